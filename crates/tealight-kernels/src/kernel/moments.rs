//! Variances, norms and log-sum-exps of rows, and what their gradients are made of.
//!
//! All sums but those of exponentials are in f64 and rounded once. `norm` has a faster variance for layers: in the elements' type.

use super::parallel::{collect, for_each_row, vectorize};
use super::reduce::{length, max_abs, row_max, sum, sum_of};
use super::{Element, buffer};
use crate::formula::Real;

/// `f` of each of `n` rows of `width` elements.
fn each_row<T: Element>(x: &[T], n: usize, width: usize, f: impl Fn(&[T]) -> f64 + Send + Sync) -> Vec<T> {
    let mut out = buffer::zeros(n);
    collect(&mut out, width, &|i| T::constant(f(&x[i * width..(i + 1) * width])));
    out
}

/// `f(row, slots)` for each row of `width` elements.
fn map_rows<T: Element>(x: &[T], width: usize, f: impl Fn(&[T], &mut [T]) + Send + Sync) -> Vec<T> {
    let mut out = buffer::zeros(x.len());
    for_each_row(&mut out, width, |i, out| f(&x[i * width..(i + 1) * width], out));
    out
}

/// Σ (x − from)
fn differences<T: Element>(x: &[T], from: f64) -> f64 {
    sum_of(
        x,
        x,
        #[inline(always)]
        |x: T, _| x.to_f64() - from,
    )
}

/// Σ (x − from)²
fn squares<T: Element>(x: &[T], from: f64) -> f64 {
    sum_of(
        x,
        x,
        #[inline(always)]
        |x: T, _| (x.to_f64() - from) * (x.to_f64() - from),
    )
}

/// The mean of a row that has elements. That of equal numbers is exact: the first is subtracted from all.
fn mean<T: Element>(x: &[T]) -> f64 {
    let (first, n) = (x[0].to_f64(), x.len() as f64);
    let mean = first + differences(x, first) / n;
    // A difference may overflow where the mean does not: rare, so this may take longer.
    if mean.is_finite() { mean } else { x.iter().map(|x| x.to_f64() / n).sum() }
}

/// Σ (x − mean)² / (n − ddof) of each row, or its square root.
#[inline(never)]
pub fn variances<T: Element>(x: &[T], n: usize, width: usize, ddof: usize, root: bool) -> Vec<T> {
    let free = width.saturating_sub(ddof) as f64;
    each_row(x, n, width, |x| {
        if x.is_empty() {
            return f64::NAN;
        }
        let mean = mean(x);
        let squares = squares(x, mean);
        // Corrects for the rounding of the mean.
        let off = differences(x, mean);
        let squares =
            if squares.is_finite() { (squares - off * off / width as f64).max(0.0) } else { squares };
        if root { (squares / free).sqrt() } else { squares / free }
    })
}

/// x − mean of each row.
#[inline(never)]
pub fn centered<T: Element>(x: &[T], width: usize) -> Vec<T> {
    map_rows(x, width, |x, out| {
        let mean = mean(x);
        vectorize!({
            for i in 0..out.len() {
                out[i] = T::constant(x[i].to_f64() - mean);
            }
        });
    })
}

/// (Σ |x|ᵖ)^(1/p) of each row, p > 0 and finite.
#[inline(never)]
pub fn norms<T: Element>(x: &[T], n: usize, width: usize, p: f64) -> Vec<T> {
    each_row(x, n, width, |x| norm(x, p))
}

/// (Σ |x|ᵖ)^(1/p), p > 0 and finite.
#[inline(never)]
pub fn norm<T: Element>(x: &[T], p: f64) -> f64 {
    if p == 2.0 {
        return length(x, squares(x, 0.0), f64::SMALL_SQUARE, T::to_f64);
    }
    let largest = vectorize!(max_abs(x)).to_f64();
    if largest == 0.0 || !largest.is_finite() {
        return largest;
    }
    let powers = sum_of(
        x,
        x,
        #[inline(always)]
        |x: T, _| Real::powf((x.to_f64() / largest).abs(), p),
    );
    largest * powers.powf(p.recip())
}

/// ln Σ eˣ of each row.
#[inline(never)]
pub fn log_sum_exps<T: Element>(x: &[T], n: usize, width: usize) -> Vec<T> {
    each_row(x, n, width, |x| {
        if x.is_empty() {
            return f64::NEG_INFINITY;
        }
        let largest = vectorize!(row_max(x));
        if !largest.to_f64().is_finite() {
            // Here a NaN has no exponential to show in.
            return x.iter().fold(largest, |a, &b| Real::maximum(a, b)).to_f64();
        }
        let total = sum_of(
            x,
            x,
            #[inline(always)]
            |x, _| (x - largest).exp(),
        );
        largest.to_f64() + total.ln()
    })
}

/// The gradient of [`log_sum_exps`]: eˣ / Σ eˣ of each row. Unlike `rows::softmax` it is 0 in a row of −∞, shared by the elements
/// +∞ if there are some, and keeps subnormal values.
#[inline(never)]
pub fn softmax<T: Element>(x: &[T], width: usize) -> Vec<T> {
    map_rows(x, width, |x, out| {
        let largest = vectorize!(row_max(x));
        if largest.to_f64().is_infinite() && !x.iter().any(|x| x.to_f64().is_nan()) {
            if largest > T::default() {
                let share = T::constant((x.iter().filter(|&&x| x == largest).count() as f64).recip());
                out.iter_mut().zip(x).filter(|(_, x)| **x == largest).for_each(|(out, _)| *out = share);
            }
            return;
        }
        vectorize!(for i in 0..out.len() {
            out[i] = (x[i] - largest).exp();
        });
        let total = sum(out);
        out.iter_mut().for_each(|e| *e /= total);
    })
}
