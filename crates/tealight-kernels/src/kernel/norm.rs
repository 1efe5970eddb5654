//! Mean 0 and variance 1 for each group of an array of shape (outer, groups, inner): layer, batch and group normalisation. A
//! group is `outer` rows of `inner` elements.

use super::Element;
use super::parallel::{PIECE, for_each_row, parts, vectorize, worthwhile};
use super::reduce::lanes;

/// Rows shorter than this are added one element after the other: the lanes of a longer sum would cost more.
const SHORT: usize = 64;

/// For each group its variance, and the numbers that standardise it: y = (x − mean)·scale + shift. The shift corrects for the
/// rounding of the mean.
pub struct Moments<T> {
    pub mean: Vec<T>,
    pub scale: Vec<T>,
    pub shift: Vec<T>,
    pub variance: Vec<T>,
}

/// The mean and variance (with divisor n) of each group; the mean counts as 0 unless `centred`.
pub fn moments<T: Element>(x: &[T], dims: [usize; 3], eps: f64, centred: bool) -> Moments<T> {
    let [outer, groups, inner] = dims;
    let n = (outer * inner) as f64;
    let mut mean = vec![T::default(); groups];
    let mut rest = vec![0.0; groups];
    if centred {
        let total = differences(x, dims, &mean);
        mean = total.iter().map(|total| T::constant(total / n)).collect();
        rest = differences(x, dims, &mean).iter().map(|left| left / n).collect();
    }
    let squares = sums(x, x, dims, |g| {
        let mean = mean[g];
        move |x: T, _| (x - mean) * (x - mean)
    });
    let (mut scale, mut shift, mut variance) = (vec![T::default(); groups], rest, Vec::new());
    for g in 0..groups {
        let wide = (squares[g] / n - shift[g] * shift[g]).max(0.0);
        // `f64::max` ignores a NaN.
        let wide = if squares[g].is_nan() { squares[g] } else { wide };
        let factor = 1.0 / (wide + eps).sqrt();
        variance.push(T::constant(wide));
        scale[g] = T::constant(factor);
        shift[g] *= -factor;
    }
    Moments { mean, scale, shift: shift.into_iter().map(T::constant).collect(), variance }
}

/// Σ (x − from) of each group.
fn differences<T: Element>(x: &[T], dims: [usize; 3], from: &[T]) -> Vec<f64> {
    sums(x, x, dims, |g| {
        let from = from[g];
        move |x: T, _| x - from
    })
}

/// Σ f(group)(aᵢ, bᵢ) of each group.
#[inline(always)]
fn sums<T: Element, F: Fn(T, T) -> T>(
    a: &[T],
    b: &[T],
    [outer, groups, inner]: [usize; 3],
    f: impl Fn(usize) -> F + Send + Sync,
) -> Vec<f64> {
    let columns = |first: usize, out: &mut [f64]| {
        for o in 0..outer {
            let from = o * groups + first;
            let (a, b) = (&a[from..from + out.len()], &b[from..from + out.len()]);
            for j in 0..out.len() {
                out[j] += f(first + j)(a[j], b[j]).to_f64();
            }
        }
    };
    let rows = |first: usize, out: &mut [f64]| {
        for (j, total) in out.iter_mut().enumerate() {
            let f = f(first + j);
            for o in 0..outer {
                let from = (o * groups + first + j) * inner;
                let (a, b) = (&a[from..from + inner], &b[from..from + inner]);
                *total += match inner {
                    0..SHORT => (0..inner).map(|i| f(a[i], b[i]).to_f64()).sum::<f64>(),
                    _ => lanes(a, b, &f),
                };
            }
        }
    };
    let some = |first: usize, out: &mut [f64]| {
        vectorize!(if inner == 1 { columns(first, out) } else { rows(first, out) });
    };
    let mut out = vec![0.0; groups];
    let piece = PIECE.div_ceil((outer * inner).max(1));
    parts(&mut out, piece, worthwhile(a.len()), &|i, part| some(i * piece, part));
    out
}

/// `f(group, i)` for each element i, row by row.
#[inline(always)]
fn elements<T: Element>(
    [outer, groups, inner]: [usize; 3],
    f: impl Fn(usize, usize) -> T + Send + Sync,
) -> Vec<T> {
    let mut out = vec![T::default(); outer * groups * inner];
    let width = if inner == 1 { groups } else { inner };
    for_each_row(&mut out, width, |r, row| {
        vectorize!(match inner {
            1 => (0..width).for_each(|g| row[g] = f(g, r * width + g)),
            _ => (0..width).for_each(|i| row[i] = f(r % groups, r * width + i)),
        });
    });
    out
}

/// y = (x − mean)·scale + shift
pub fn standardize<T: Element>(x: &[T], dims: [usize; 3], [mean, scale, shift]: [&[T]; 3]) -> Vec<T> {
    elements(
        dims,
        #[inline(always)]
        |g, i| (x[i] - mean[g]) * scale[g] + shift[g],
    )
}

/// scale·(g − mean g − y·mean g·y), without the first mean unless `centred`.
pub fn standardize_backward<T: Element>(
    x: &[T],
    grad: &[T],
    dims: [usize; 3],
    [mean, scale, shift]: [&[T]; 3],
    centred: bool,
) -> Vec<T> {
    let [outer, groups, inner] = dims;
    let n = (outer * inner) as f64;
    let average = |sums: Vec<f64>| -> Vec<T> { sums.iter().map(|sum| T::constant(sum / n)).collect() };
    let mut plain = vec![T::default(); groups];
    if centred {
        plain = average(differences(grad, dims, &plain));
    }
    let along = average(sums(x, grad, dims, |g| {
        let (mean, scale, shift) = (mean[g], scale[g], shift[g]);
        move |x: T, grad: T| ((x - mean) * scale + shift) * grad
    }));
    elements(
        dims,
        #[inline(always)]
        |g, i| {
            let y = (x[i] - mean[g]) * scale[g] + shift[g];
            scale[g] * ((grad[i] - plain[g]) - y * along[g])
        },
    )
}
