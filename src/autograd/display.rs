//! Tensors as text.

use std::fmt;

use candle_core::DType;

use super::Tensor;
use super::array::{integers, numbers};

/// From this many elements on, only the first and last entries of each axis are shown.
const ELIDE_FROM: usize = 1000;

/// The number of entries shown at each end of an axis then.
const EDGE: usize = 3;

/// One line: shape, dtype, operation, and the elements if there are at most eight.
impl fmt::Debug for Tensor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tensor({:?}, {}", self.dims(), self.dtype().as_str())?;
        if let Some(op) = self.op_name() {
            write!(f, ", {op}")?;
        }
        let elements = || match self.dtype().is_int() {
            true => integers(self.array()).map(|numbers| format!("{numbers:?}")),
            false => numbers(self.array()).map(|numbers| format!("{numbers:?}")),
        };
        if self.elem_count() <= 8
            && let Ok(elements) = elements()
        {
            write!(f, ", {elements}")?;
        }
        write!(f, ")")
    }
}

/// The format of all floats of one tensor, so that columns align.
struct Style {
    scientific: bool,
    decimals: usize,
    /// Whether trailing zeros are replaced by blanks: if no precision was requested.
    trimmed: bool,
}

impl Style {
    fn of(numbers: &[f64], dtype: DType, precision: Option<usize>) -> Self {
        let finite = || numbers.iter().copied().filter(|x| x.is_finite());
        let largest = finite().map(f64::abs).fold(0.0, f64::max);
        let smallest = finite().map(f64::abs).filter(|&x| x > 0.0).fold(f64::INFINITY, f64::min);
        let scientific = largest >= 1e8 || smallest < 1e-4 || largest > 1e3 * smallest && largest >= 1e5;
        let most = precision.unwrap_or(if dtype == DType::F64 { 8 } else { 6 });
        let mut style = Style { scientific, decimals: most, trimmed: precision.is_none() };
        if precision.is_none() {
            // The fewest decimals that show every element as well as `most` decimals.
            let needed = |x: f64| {
                let text = style.text(x);
                let digits = text.split_once('e').map_or(&text[..], |(digits, _)| digits);
                digits.trim_end().trim_end_matches('0').split('.').nth(1).map_or(0, str::len)
            };
            style.decimals = finite().map(needed).max().unwrap_or(0);
        }
        style
    }

    fn text(&self, x: f64) -> String {
        if !x.is_finite() {
            return if x.is_nan() { "nan".into() } else { format!("{x}") };
        }
        let decimals = self.decimals;
        if self.scientific {
            return format!("{x:.decimals$e}");
        }
        let text = format!("{x:.decimals$}");
        if decimals == 0 {
            // numpy writes the float 1 as `1.`
            return text + ".";
        }
        // As in numpy, trailing zeros are blanks.
        let digits = text.trim_end_matches('0').len();
        if self.trimmed { format!("{:<width$}", &text[..digits], width = text.len()) } else { text }
    }
}

/// numpy's layout: aligned columns; from 1,000 elements on only the first and last three entries of each axis. `{:.3}`
/// shows three decimals.
impl fmt::Display for Tensor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // An empty tensor can have more rows than fit in memory. numpy writes any empty array like this.
        let rows = self.dims().iter().fold(1_usize, |rows, &size| rows.saturating_mul(size.max(1)));
        if self.elem_count() == 0 && rows >= ELIDE_FROM {
            return write!(f, "[]");
        }
        let elide = self.elem_count() >= ELIDE_FROM;
        let shown: Vec<Vec<Option<usize>>> = self
            .dims()
            .iter()
            .map(|&size| match size {
                size if elide && size > 2 * EDGE => {
                    (0..EDGE).map(Some).chain([None]).chain((size - EDGE..size).map(Some)).collect()
                }
                size => (0..size).map(Some).collect(),
            })
            .collect();
        let mut places = Vec::new();
        visit(&shown, self.dims(), 0, 0, &mut |i| places.push(i));
        let texts: Vec<String> = if self.dtype().is_int() {
            let all = integers(self.array()).map_err(|_| fmt::Error)?;
            places.into_iter().map(|i| all[i].to_string()).collect()
        } else {
            let all = numbers(self.array()).map_err(|_| fmt::Error)?;
            let visible: Vec<f64> = places.into_iter().map(|i| all[i]).collect();
            let style = Style::of(&visible, self.dtype(), f.precision());
            visible.into_iter().map(|x| style.text(x)).collect()
        };
        let width = texts.iter().map(String::len).max().unwrap_or(0);
        write_axis(f, &shown, &mut texts.iter(), width, 0)
    }
}

/// Calls `f` with the position of each shown element. The recursion is as deep as the rank.
fn visit(shown: &[Vec<Option<usize>>], dims: &[usize], axis: usize, at: usize, f: &mut impl FnMut(usize)) {
    if axis == dims.len() {
        return f(at);
    }
    for i in shown[axis].iter().flatten() {
        visit(shown, dims, axis + 1, at * dims[axis] + i, f);
    }
}

/// Writes `texts`, the shown elements in their order, from `axis` on.
fn write_axis(
    f: &mut fmt::Formatter<'_>,
    shown: &[Vec<Option<usize>>],
    texts: &mut std::slice::Iter<'_, String>,
    width: usize,
    axis: usize,
) -> fmt::Result {
    if axis == shown.len() {
        return write!(f, "{:>width$}", texts.next().expect("a text for each shown element"));
    }
    write!(f, "[")?;
    for (position, entry) in shown[axis].iter().enumerate() {
        if position > 0 {
            let innermost = axis + 1 == shown.len();
            let gap = if innermost {
                " ".into()
            } else {
                "\n".repeat(shown.len() - axis - 1) + &" ".repeat(axis + 1)
            };
            write!(f, "{gap}")?;
        }
        match entry {
            Some(_) => write_axis(f, shown, texts, width, axis + 1)?,
            None => write!(f, "...")?,
        }
    }
    write!(f, "]")
}

#[cfg(test)]
mod tests {
    use super::super::{Array, Tensor};
    use candle_core::{DType, Device::Cpu};

    fn show(array: candle_core::Result<Array>) -> String {
        Tensor::constant(array.unwrap()).to_string()
    }

    #[test]
    fn like_numpy() {
        assert_eq!(show(Array::new(&[1.0, 2.5, -3.0], &Cpu)), "[ 1.   2.5 -3. ]");
        assert_eq!(show(Array::new(&[1.0, 2.0], &Cpu)), "[1. 2.]");
        assert_eq!(show(Array::new(3.0, &Cpu)), "3.");
        assert_eq!(show(Array::new(&[[1u32, 20], [300, 4]], &Cpu)), "[[  1  20]\n [300   4]]");
        assert_eq!(show(Array::new(&[f64::NAN, f64::INFINITY, 1.0], &Cpu)), "[nan inf  1.]");
        assert_eq!(show(Array::new(&[1e-9, 1.0], &Cpu)), "[1e-9  1e0]");
        assert_eq!(show(Array::zeros((2, 0), DType::F32, &Cpu)), "[[]\n []]");
        for rows in [vec![1 << 40, 0], vec![0, 1 << 40], vec![2; 60].into_iter().chain([0]).collect()] {
            assert_eq!(show(Array::zeros(rows, DType::F32, &Cpu)), "[]");
        }
        assert_eq!(show(Array::arange(0u32, 1000, &Cpu)), "[  0   1   2 ... 997 998 999]");
        let third = Tensor::constant(Array::new(&[1.0 / 3.0], &Cpu).unwrap());
        assert_eq!(third.to_string(), "[0.33333333]");
        assert_eq!(format!("{third:.3}"), "[0.333]");
        assert_eq!(format!("{third:?}"), "Tensor([1], f64, [0.3333333333333333])");
    }

    #[test]
    fn integers_as_they_are() {
        // Above 2⁵³ not every integer is an f64.
        let odd = (1_i64 << 53) + 1;
        let x = Array::new(&[i64::MAX, odd, i64::MIN], &Cpu);
        assert_eq!(show(x), "[ 9223372036854775807     9007199254740993 -9223372036854775808]");
        assert_eq!(show(Array::new(&[u32::MAX, 7], &Cpu)), "[4294967295          7]");
        let debug = |x: candle_core::Result<Array>| format!("{:?}", Tensor::constant(x.unwrap()));
        assert_eq!(
            debug(Array::new(&[i64::MAX, odd], &Cpu)),
            format!("Tensor([2], i64, [{}, {odd}])", i64::MAX)
        );
        assert_eq!(debug(Array::new(&[u32::MAX, 7], &Cpu)), "Tensor([2], u32, [4294967295, 7])");
        assert_eq!(debug(Array::new(&[255_u8], &Cpu)), "Tensor([1], u8, [255])");
        assert_eq!(debug(Array::zeros(0, DType::I64, &Cpu)), "Tensor([0], i64, [])");
    }
}
