//! The cross-entropy between a softmax and a weight for each class, row by row.

use super::buffer::Scratch;
use super::parallel::{for_each_row, vectorize};
use super::reduce::row_max;
use super::rows::sum;
use super::{Element, buffer};

/// exp(x − largest) into `out`; returns the sum. Not `exponentials`, which adds the last elements of a row in another order.
#[inline(always)]
fn shifted_exponentials<T: Element>(x: &[T], largest: T, out: &mut [T]) -> T {
    for i in 0..x.len() {
        out[i] = (x[i] - largest).exp_negative();
    }
    sum(out, out, |e, _| e)
}

/// Σ q·(ln Σ exp(x) − x) of each row. A class whose weight is 0 counts for nothing, whatever its score.
#[inline(never)]
pub fn soft_cross_entropy<T: Element>(x: &[T], q: &[T], rows: usize, width: usize) -> Vec<T> {
    let mut out = buffer::zeros(rows);
    if width == 0 {
        return out;
    }
    for_each_row(&mut out, 1, |i, out| {
        let (x, q) = (&x[i * width..(i + 1) * width], &q[i * width..(i + 1) * width]);
        let mut e = Scratch::new(width);
        vectorize!({
            let largest = row_max(x);
            let log = shifted_exponentials(x, largest, &mut e).ln();
            let zero = T::default();
            out[0] = sum(x, q, |x, q| q.select_gt(zero, q * (log - (x - largest)), zero));
        });
    });
    out
}

/// g·(softmax(x)·Σ q − q) of each row; 0 where all of q is.
#[inline(never)]
pub fn soft_cross_entropy_backward<T: Element>(x: &[T], q: &[T], grad: &[T], width: usize) -> Vec<T> {
    let mut out = buffer::zeros(x.len());
    for_each_row(&mut out, width, |i, out| {
        let (x, q) = (&x[i * width..(i + 1) * width], &q[i * width..(i + 1) * width]);
        vectorize!({
            let total = sum(q, q, |q, _| q);
            if total == T::default() {
                return;
            }
            let scale = total / shifted_exponentials(x, row_max(x), out);
            for j in 0..out.len() {
                out[j] = grad[i] * (out[j] * scale - q[j]);
            }
        });
    });
    out
}
