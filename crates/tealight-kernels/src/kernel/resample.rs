//! Mean pooling and interpolation along one axis: weighted sums of adjacent elements, and the transpose of that map.

use super::buffer::Scratch;
use super::parallel::{for_each_row, vectorize};
use super::{Element, WindowAxis, buffer};

/// How the elements of an axis are computed from those of another length.
#[derive(Clone, Copy, Debug)]
pub enum ResampleMode {
    /// The mean of each window, with the zeros of the padding if `padded`.
    Mean { side: WindowAxis, padded: bool },
    /// The mean of the elements from ⌊i·from/to⌋ to below ⌈(i + 1)·from/to⌉.
    Adaptive,
    /// Element ⌊i·from/to⌋.
    Nearest,
    /// Linear interpolation: the first and last elements coincide if `corners` (`align_corners`), otherwise the edges do.
    Linear { corners: bool },
}

/// One element: (`first`·x\[`start`\] + `rest`·Σ of the next `len` − 1) / `divisor`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Window {
    pub start: usize,
    pub len: usize,
    pub first: f64,
    pub rest: f64,
    pub divisor: f64,
}

impl Window {
    fn mean(start: usize, len: usize, divisor: usize) -> Self {
        Window { start, len, first: 1.0, rest: 1.0, divisor: divisor as f64 }
    }

    #[inline(always)]
    fn weight<T: Element>(&self, k: usize) -> T {
        T::constant(if k == 0 { self.first } else { self.rest })
    }
}

impl ResampleMode {
    /// The window of each of the `to` elements; neither length is 0.
    pub fn windows(&self, from: usize, to: usize) -> Scratch<Window> {
        let scaled = |i: usize| (i as u128 * from as u128 / to as u128) as usize;
        let window = |i: usize| match *self {
            ResampleMode::Mean { side, padded } => {
                let inside = side.elements(i);
                let len = inside.len();
                // The last window of `ceil_mode` may reach beyond the padding.
                let whole = side.kernel.min(side.input + 2 * side.padding - i * side.stride);
                Window::mean(side.place(i, inside.start), len, if padded { whole } else { len })
            }
            ResampleMode::Adaptive => {
                let end = ((i as u128 + 1) * from as u128).div_ceil(to as u128) as usize;
                Window::mean(scaled(i), end - scaled(i), end - scaled(i))
            }
            ResampleMode::Nearest => Window::mean(scaled(i), 1, 1),
            ResampleMode::Linear { corners } => {
                let at = match corners {
                    true if to == 1 => 0.0,
                    true => i as f64 * ((from - 1) as f64 / (to - 1) as f64),
                    false => ((i as f64 + 0.5) * (from as f64 / to as f64) - 0.5).max(0.0),
                };
                let start = (at as usize).min(from - 1);
                let rest = at - start as f64;
                // A neighbour of weight 0 is left out: times ∞ it would be NaN.
                let len = if rest > 0.0 && start + 1 < from { 2 } else { 1 };
                let first = if len == 2 { 1.0 - rest } else { 1.0 };
                Window { start, len, first, rest, divisor: 1.0 }
            }
        };
        Scratch::collect(to, (0..to).map(window))
    }
}

/// From (outer, from, inner), from > 0, to (outer, to, inner).
#[inline(never)]
pub fn resample<T: Element>(x: &[T], rule: ResampleMode, [outer, from, to, inner]: [usize; 4]) -> Vec<T> {
    if [outer, from, to, inner].contains(&0) {
        return vec![];
    }
    let windows = rule.windows(from, to);
    let mut out = buffer::zeros(outer * to * inner);
    for_each_row(&mut out, to * inner, |i, out| {
        let x = &x[i * from * inner..(i + 1) * from * inner];
        vectorize!({
            if inner == 1 {
                for (window, y) in windows.iter().zip(out) {
                    let x = &x[window.start..window.start + window.len];
                    *y = x
                        .iter()
                        .enumerate()
                        .fold(T::default(), |sum, (k, &x)| sum + window.weight::<T>(k) * x)
                        / T::constant(window.divisor);
                }
                return;
            }
            for (window, out) in windows.iter().zip(out.chunks_exact_mut(inner)) {
                let rows = x[window.start * inner..(window.start + window.len) * inner].chunks_exact(inner);
                for (k, row) in rows.enumerate() {
                    let weight: T = window.weight(k);
                    for i in 0..inner {
                        out[i] += weight * row[i];
                    }
                }
                if window.divisor != 1.0 {
                    let divisor = T::constant(window.divisor);
                    out.iter_mut().for_each(|y| *y /= divisor);
                }
            }
        });
    });
    out
}

/// The transpose of [`resample`]: from (outer, to, inner) to (outer, from, inner).
#[inline(never)]
pub fn resample_transpose<T: Element>(
    g: &[T],
    rule: ResampleMode,
    [outer, from, to, inner]: [usize; 4],
) -> Vec<T> {
    if [outer, from, inner].contains(&0) {
        return vec![];
    }
    let windows = rule.windows(from, to); // none if to = 0: all zeros
    let mut out = buffer::zeros(outer * from * inner);
    for_each_row(&mut out, from * inner, |i, out| {
        let g = &g[i * to * inner..(i + 1) * to * inner];
        vectorize!({
            if inner == 1 {
                for (window, &g) in windows.iter().zip(g) {
                    let g = g / T::constant(window.divisor);
                    let out = &mut out[window.start..window.start + window.len];
                    out.iter_mut().enumerate().for_each(|(k, x)| *x += window.weight::<T>(k) * g);
                }
                return;
            }
            for (window, row) in windows.iter().zip(g.chunks_exact(inner)) {
                let divisor = T::constant(window.divisor);
                let rows =
                    out[window.start * inner..(window.start + window.len) * inner].chunks_exact_mut(inner);
                for (k, out) in rows.enumerate() {
                    let weight: T = window.weight(k);
                    for i in 0..inner {
                        out[i] += weight * (row[i] / divisor);
                    }
                }
            }
        });
    });
    out
}

#[cfg(test)]
mod tests {
    use super::super::WindowAxis;
    use super::{ResampleMode, resample, resample_transpose};

    fn row(x: &[f64], rule: ResampleMode, to: usize) -> Vec<f64> {
        resample(x, rule, [1, x.len(), to, 1])
    }

    #[test]
    fn known_rows() {
        let x = [1.0, 2.0, 4.0, 8.0, 16.0];
        let side = WindowAxis { input: 5, output: 3, kernel: 3, stride: 2, padding: 1, dilation: 1 };
        assert_eq!(row(&x, ResampleMode::Mean { side, padded: true }, 3), [1.0, 14.0 / 3.0, 8.0]);
        assert_eq!(row(&x, ResampleMode::Mean { side, padded: false }, 3), [1.5, 14.0 / 3.0, 12.0]);
        let side = WindowAxis { input: 5, output: 3, kernel: 3, stride: 3, padding: 1, dilation: 1 };
        assert_eq!(row(&x, ResampleMode::Mean { side, padded: true }, 3), [1.0, 28.0 / 3.0, 0.0]);
        assert_eq!(row(&x, ResampleMode::Adaptive, 2), [7.0 / 3.0, 28.0 / 3.0]);
        assert_eq!(row(&x, ResampleMode::Nearest, 3), [1.0, 2.0, 8.0]);
        assert_eq!(row(&x[..2], ResampleMode::Nearest, 5), [1.0, 1.0, 1.0, 2.0, 2.0]);
        assert_eq!(row(&x[..2], ResampleMode::Linear { corners: false }, 4), [1.0, 1.25, 1.75, 2.0]);
        assert_eq!(row(&x[..2], ResampleMode::Linear { corners: true }, 3), [1.0, 1.5, 2.0]);
        assert_eq!(row(&x, ResampleMode::Linear { corners: true }, 1), [1.0]);
        assert_eq!(row(&x, ResampleMode::Linear { corners: false }, 1), [4.0]);
        assert_eq!(
            row(&[f64::INFINITY, 2.0], ResampleMode::Linear { corners: true }, 2),
            [f64::INFINITY, 2.0]
        );
    }

    #[test]
    fn the_transpose_is_one() {
        let side = WindowAxis { input: 5, output: 3, kernel: 3, stride: 2, padding: 1, dilation: 1 };
        for (rule, to) in [
            (ResampleMode::Mean { side, padded: true }, 3),
            (ResampleMode::Adaptive, 3),
            (ResampleMode::Adaptive, 7),
            (ResampleMode::Nearest, 3),
            (ResampleMode::Linear { corners: true }, 8),
            (ResampleMode::Linear { corners: false }, 3),
        ] {
            for (outer, inner) in [(2, 3), (3, 1), (0, 2), (2, 0)] {
                let numbers =
                    |n, salt: f64| (0..n).map(|i| (i as f64 * 1.3 + salt).sin()).collect::<Vec<f64>>();
                let (x, g) = (numbers(outer * 5 * inner, 0.1), numbers(outer * to * inner, 0.2));
                let sizes = [outer, 5, to, inner];
                let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
                let (y, back) = (resample(&x, rule, sizes), resample_transpose(&g, rule, sizes));
                assert_eq!((y.len(), back.len()), (g.len(), x.len()));
                assert!((dot(&y, &g) - dot(&x, &back)).abs() < 1e-12, "{rule:?} {to} {outer} {inner}");
            }
        }
    }
}
