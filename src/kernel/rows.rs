//! Kernels that work on one row after the other: softmax, normalisation, cross-entropy, and their gradients.

use super::Element;
use super::parallel::{for_each_row, vectorize};
use super::reduce::{fold, lanes};
use crate::formula::Real;

/// Rows of `width` elements, each computed by `f` from the same row of every input.
#[inline(always)]
fn rows<T: Element, const N: usize>(
    inputs: [&[T]; N],
    width: usize,
    f: impl Fn([&[T]; N], &mut [T]) + Send + Sync,
) -> Vec<T> {
    let mut out = vec![T::default(); inputs[0].len()];
    for_each_row(&mut out, width, |i, out| {
        let inputs = inputs.map(|input| &input[i * width..(i + 1) * width]);
        vectorize(
            #[inline(always)]
            || f(inputs, out),
        );
    });
    out
}

/// Σ f(aᵢ, bᵢ)
#[inline(always)]
pub(super) fn sum<T: Element>(a: &[T], b: &[T], f: impl Fn(T, T) -> T) -> T {
    T::from_f64(lanes(a, b, &f))
}

#[inline(always)]
pub(super) fn largest<T: Element>(x: &[T]) -> T {
    fold(x, &|a: T, b: T| Real::max(a, b))
}

/// exp(x − max x) into `out`; returns the sum, which is at least 1.
#[inline(always)]
pub(super) fn exponentials<T: Element>(x: &[T], largest: T, out: &mut [T]) -> T {
    for i in 0..x.len() {
        out[i] = (x[i] - largest).exp();
    }
    sum(out, out, |e, _| e)
}

/// exp(x) / Σ exp(x) of each row.
pub(crate) fn softmax<T: Element>(x: &[T], width: usize) -> Vec<T> {
    rows(
        [x],
        width,
        #[inline(always)]
        |[x], out| {
            let total = exponentials(x, largest(x), out);
            out.iter_mut().for_each(|y| *y /= total);
        },
    )
}

/// y·(g − Σ g·y)
pub(crate) fn softmax_backward<T: Element>(y: &[T], grad: &[T], width: usize) -> Vec<T> {
    rows(
        [y, grad],
        width,
        #[inline(always)]
        |[y, g], out| {
            let mean = sum(g, y, |g, y| g * y);
            for i in 0..out.len() {
                out[i] = y[i] * (g[i] - mean);
            }
        },
    )
}

/// x − ln Σ exp(x) of each row.
pub(crate) fn log_softmax<T: Element>(x: &[T], width: usize) -> Vec<T> {
    rows(
        [x],
        width,
        #[inline(always)]
        |[x], out| {
            let largest = largest(x);
            let log = exponentials(x, largest, out).ln();
            for i in 0..out.len() {
                out[i] = (x[i] - largest) - log;
            }
        },
    )
}

/// g − exp(y)·Σ g
pub(crate) fn log_softmax_backward<T: Element>(y: &[T], grad: &[T], width: usize) -> Vec<T> {
    rows(
        [y, grad],
        width,
        #[inline(always)]
        |[y, g], out| {
            let total = sum(g, g, |g, _| g);
            for i in 0..out.len() {
                out[i] = g[i] - y[i].exp() * total;
            }
        },
    )
}

/// No class: the row counts for nothing, whatever its scores.
pub(crate) const IGNORED: u32 = u32::MAX;

/// −(log softmax x)[class] of each row; 0 where the class is [`IGNORED`].
pub(crate) fn cross_entropy<T: Element>(x: &[T], classes: &[u32], width: usize) -> Vec<T> {
    let mut out = vec![T::default(); classes.len()];
    for_each_row(&mut out, 1, |i, out| {
        if classes[i] == IGNORED {
            return;
        }
        let (x, mut e) = (&x[i * width..(i + 1) * width], vec![T::default(); width]);
        vectorize(
            #[inline(always)]
            || {
                let largest = largest(x);
                out[0] = exponentials(x, largest, &mut e).ln() - (x[classes[i] as usize] - largest);
            },
        );
    });
    out
}

/// (softmax x − one-hot class)·g of each row; 0 where the class is [`IGNORED`].
pub(crate) fn cross_entropy_backward<T: Element>(
    x: &[T],
    classes: &[u32],
    grad: &[T],
    width: usize,
) -> Vec<T> {
    let mut out = vec![T::default(); x.len()];
    for_each_row(&mut out, width, |i, out| {
        if classes[i] == IGNORED {
            return;
        }
        let (x, g) = (&x[i * width..(i + 1) * width], grad[i]);
        vectorize(
            #[inline(always)]
            || {
                let scale = g / exponentials(x, largest(x), out);
                out.iter_mut().for_each(|y| *y *= scale);
                let class = &mut out[classes[i] as usize];
                *class -= g;
            },
        );
    });
    out
}

/// The length of a row, also where its squares overflow or vanish.
#[inline(always)]
fn length<T: Element>(x: &[T]) -> T {
    let squares = sum(x, x, |a, _| a * a);
    let (small, large) = (T::from_f64(T::SMALL_SQUARE), T::from_f64(1.0 / T::SMALL_SQUARE));
    if squares > small && squares < large {
        return squares.sqrt();
    }
    // NaN, zero, and the extremes: rare, so this may take longer.
    let largest = fold(x, &|a: T, b: T| Real::max(a.abs(), b.abs())).abs();
    if largest.to_f64() == 0.0 || !largest.to_f64().is_finite() {
        return largest;
    }
    let scaled: T = x.iter().map(|&x| (x / largest) * (x / largest)).fold(T::default(), |a, b| a + b);
    largest * scaled.sqrt()
}

/// x / ‖x‖ of each row; a row of zeros stays zero.
pub(crate) fn normalize<T: Element>(x: &[T], width: usize) -> Vec<T> {
    rows(
        [x],
        width,
        #[inline(always)]
        |[x], out| {
            let length = length(x);
            if length.to_f64() == 0.0 {
                return;
            }
            for i in 0..out.len() {
                out[i] = x[i] / length;
            }
        },
    )
}

/// (g − y·Σ g·y) / ‖x‖; 0 for a row of zeros.
pub(crate) fn normalize_backward<T: Element>(x: &[T], y: &[T], grad: &[T], width: usize) -> Vec<T> {
    rows(
        [x, y, grad],
        width,
        #[inline(always)]
        |[x, y, g], out| {
            let length = length(x);
            if length.to_f64() == 0.0 {
                return;
            }
            let along = sum(g, y, |g, y| g * y);
            for i in 0..out.len() {
                out[i] = (g[i] - y[i] * along) / length;
            }
        },
    )
}
