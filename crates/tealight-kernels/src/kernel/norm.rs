//! Mean 0 and variance 1 for each group of an array of shape (outer, groups, inner): layer, batch and group normalisation. A
//! group is `outer` rows of `inner` elements.

use super::Element;
use super::buffer::{self, Uninit, fill};
use super::parallel::{PIECE, for_each_rows, parts, vectorize, worthwhile};
use super::reduce::{BLOCK, HALF, across, lane_sums};

/// For each group its variance, and the numbers that standardise it: y = (x − mean)·scale + shift. The shift corrects for the
/// rounding of the mean.
pub struct Moments<T> {
    pub mean: Vec<T>,
    pub scale: Vec<T>,
    pub shift: Vec<T>,
    pub variance: Vec<T>,
}

/// The mean and variance (with divisor n) of each group; the mean counts as 0 unless `centred`.
#[inline(never)]
pub fn moments<T: Element>(x: &[T], dims: [usize; 3], eps: f64, centred: bool) -> Moments<T> {
    let [outer, groups, inner] = dims;
    let n = (outer * inner) as f64;
    let mut mean = vec![T::default(); groups];
    if centred {
        let total = sums::<T, false, _, _>(
            [x, x],
            dims,
            #[inline(always)]
            |_| (|x, _| x, |x, _| x),
        );
        mean = total.iter().map(|[total, _]| T::constant(total / n)).collect();
    }
    let rest = sums::<T, true, _, _>(
        [x, x],
        dims,
        #[inline(always)]
        |g| {
            let mean = mean[g];
            (move |x, _| x - mean, move |x, _| (x - mean) * (x - mean))
        },
    );
    let (mut scale, mut shift, mut variance) = (Vec::new(), Vec::new(), Vec::new());
    for [left, squares] in rest {
        // How far the mean is from the true one.
        let left = if centred { left / n } else { 0.0 };
        let wide = (squares / n - left * left).max(0.0);
        // `f64::max` ignores a NaN.
        let wide = if squares.is_nan() { squares } else { wide };
        let factor = 1.0 / (wide + eps).sqrt();
        variance.push(T::constant(wide));
        scale.push(T::constant(factor));
        shift.push(T::constant(-left * factor));
    }
    Moments { mean, scale, shift, variance }
}

/// Σ f(aᵢ, bᵢ) of each group and, if `BOTH`, Σ g(aᵢ, bᵢ), where `functions` gives f and g for a group.
#[inline(always)]
fn sums<T: Element, const BOTH: bool, F: Fn(T, T) -> T, G: Fn(T, T) -> T>(
    x: [&[T]; 2],
    dims: [usize; 3],
    functions: impl Fn(usize) -> (F, G) + Send + Sync,
) -> Vec<[f64; 2]> {
    let [outer, groups, inner] = dims;
    let mut out = vec![[0.0; 2]; groups];
    let piece = PIECE.div_ceil((outer * inner).max(1));
    parts(&mut out, piece, worthwhile(x[0].len()), &|i, part| {
        vectorize!(if inner == 1 {
            columns::<T, BOTH, F, G>(i * piece, part, x, dims, &functions);
        } else {
            rows::<T, BOTH, F, G>(i * piece, part, x, dims, &functions);
        });
    });
    out
}

/// [`sums`] of groups from `first` on that are columns.
#[inline(always)]
fn columns<T: Element, const BOTH: bool, F: Fn(T, T) -> T, G: Fn(T, T) -> T>(
    first: usize,
    out: &mut [[f64; 2]],
    [a, b]: [&[T]; 2],
    [outer, groups, _]: [usize; 3],
    functions: &impl Fn(usize) -> (F, G),
) {
    const SOME: usize = 32;
    for (block, out) in out.chunks_mut(SOME).enumerate() {
        let first = first + block * SOME;
        let mut totals = [[0.0; SOME]; 2];
        for o in 0..outer {
            let from = o * groups + first;
            let (a, b) = (&a[from..from + out.len()], &b[from..from + out.len()]);
            for j in 0..out.len().min(SOME) {
                let (f, g) = functions(first + j);
                totals[0][j] += f(a[j], b[j]).to_f64();
                if BOTH {
                    totals[1][j] += g(a[j], b[j]).to_f64();
                }
            }
        }
        for (j, out) in out.iter_mut().enumerate() {
            *out = totals.map(|total| total[j]);
        }
    }
}

/// [`sums`] of groups from `first` on that are rows.
#[inline(always)]
fn rows<T: Element, const BOTH: bool, F: Fn(T, T) -> T, G: Fn(T, T) -> T>(
    first: usize,
    out: &mut [[f64; 2]],
    [a, b]: [&[T]; 2],
    [outer, groups, inner]: [usize; 3],
    functions: &impl Fn(usize) -> (F, G),
) {
    for (j, out) in out.iter_mut().enumerate() {
        let (f, g) = functions(first + j);
        let mut totals = [[0.0; HALF]; 2];
        for o in 0..outer {
            let from = (o * groups + first + j) * inner;
            let blocks = a[from..from + inner].chunks(BLOCK).zip(b[from..from + inner].chunks(BLOCK));
            for (a, b) in blocks {
                lane_sums(a, b, &mut totals[0], &f);
                if BOTH {
                    lane_sums(a, b, &mut totals[1], &g);
                }
            }
        }
        *out = totals.map(across);
    }
}

/// f(elements of x, numbers of the group) for each place of the arrays x.
#[inline(always)]
fn elements<T: Element, const N: usize, const K: usize>(
    [outer, groups, inner]: [usize; 3],
    x: [&[T]; N],
    numbers: [&[T]; K],
    f: impl Fn([T; N], [T; K]) -> T + Send + Sync,
) -> Vec<T> {
    let width = if inner == 1 { groups } else { inner };
    let rows = |first: usize, part: &mut [Uninit<T>]| {
        vectorize!(for (r, row) in part.chunks_exact_mut(width).enumerate() {
            let r = first + r;
            let x = x.map(|x| &x[r * width..][..width]);
            if inner == 1 {
                let numbers = numbers.map(|numbers| &numbers[..width]);
                fill(
                    row,
                    #[inline(always)]
                    |i| f(x.map(|x| x[i]), numbers.map(|numbers| numbers[i])),
                );
            } else {
                let numbers = numbers.map(|numbers| numbers[r % groups]);
                fill(
                    row,
                    #[inline(always)]
                    |i| f(x.map(|x| x[i]), numbers),
                );
            }
        });
    };
    // SAFETY: the rows are all of the output, and `fill` writes every element of one.
    unsafe { buffer::written(outer * groups * inner, |out| for_each_rows(out, width, &rows)) }
}

/// y = (x − mean)·scale + shift
#[inline(never)]
pub fn standardize<T: Element>(x: &[T], dims: [usize; 3], numbers: [&[T]; 3]) -> Vec<T> {
    elements(
        dims,
        [x],
        numbers,
        #[inline(always)]
        |[x], [mean, scale, shift]| (x - mean) * scale + shift,
    )
}

/// scale·(g − mean g − y·mean g·y), without the first mean unless `centred`.
#[inline(never)]
pub fn standardize_backward<T: Element>(
    x: &[T],
    grad: &[T],
    dims: [usize; 3],
    [mean, scale, shift]: [&[T]; 3],
    centred: bool,
) -> Vec<T> {
    let n = (dims[0] * dims[2]) as f64;
    let totals = sums::<T, true, _, _>(
        [x, grad],
        dims,
        #[inline(always)]
        |g| {
            let (mean, scale, shift) = (mean[g], scale[g], shift[g]);
            (|_, grad| grad, move |x, grad| ((x - mean) * scale + shift) * grad)
        },
    );
    let plain: Vec<T> =
        totals.iter().map(|total| if centred { T::constant(total[0] / n) } else { T::default() }).collect();
    let along: Vec<T> = totals.iter().map(|total| T::constant(total[1] / n)).collect();
    elements(
        dims,
        [x, grad],
        [mean, scale, shift, &plain, &along],
        #[inline(always)]
        |[x, grad], [mean, scale, shift, plain, along]| {
            let y = (x - mean) * scale + shift;
            scale * ((grad - plain) - y * along)
        },
    )
}
