//! Softmax, normalisation, cross-entropy and their gradients, row by row. Rows shorter than `LANES` are taken in blocks, so
//! that the exponentials of many rows are one vector loop.

use super::Element;
use super::buffer::{self, Uninit, fill};
use super::exponentials::exponentials;
use super::parallel::{DisjointChunks, PIECE, parts, vectorize, worthwhile};
use super::reduce::{LANES, lanes, length, row_max};

/// The most elements of a block of short rows.
const BLOCK: usize = 1024;

/// Rows of `width` elements, computed by `f(first, rows, out, numbers)` from the same rows of every input, several at a time if
/// they are short. `first` is the index of the first row; `numbers` has one slot for each row, or none at all.
#[inline(always)]
fn rows<T: Element, const N: usize>(
    inputs: [&[T]; N],
    width: usize,
    numbers: &mut [T],
    f: impl Fn(usize, [&[T]; N], &mut [Uninit<T>], &mut [T]) + Sync,
) -> Vec<T> {
    let n = inputs[0].len();
    if n == 0 {
        return Vec::new();
    }
    let threads = worthwhile(n);
    let step = together(width);
    let run = if threads { PIECE.div_ceil(width).next_multiple_of(step) } else { n / width };
    let numbers = DisjointChunks::new(numbers, run);
    // SAFETY: every `f` in this file initialises all of its `out`, by `fill`, `shifted` or `exponentials`; the runs cover the
    // whole output.
    unsafe {
        buffer::written(n, |out| {
            parts(out, run * width, threads, &|piece, out| {
                let numbers = if numbers.is_empty() { &mut [] } else { numbers.take(piece) };
                vectorize!({
                    for (i, out) in out.chunks_mut(step * width).enumerate() {
                        let first = piece * run + i * step;
                        let (from, count) = (first * width, out.len());
                        let numbers = match numbers.len() {
                            0 => &mut [],
                            _ => &mut numbers[i * step..i * step + count / width],
                        };
                        f(first, inputs.map(|input| &input[from..from + count]), out, numbers);
                    }
                });
            });
        })
    }
}

/// The number of rows that are taken at a time.
#[inline(always)]
fn together(width: usize) -> usize {
    if width < LANES { BLOCK / width.max(1) } else { 1 }
}

/// Σ f(aᵢ, bᵢ)
#[inline(always)]
pub(super) fn sum<T: Element>(a: &[T], b: &[T], f: impl Fn(T, T) -> T) -> T {
    T::constant(lanes(a, b, &f))
}

/// x − max x of each row.
#[inline(always)]
fn shifted<'a, T: Element>(x: &[T], out: &'a mut [Uninit<T>], width: usize) -> &'a mut [T] {
    for (x, out) in x.chunks_exact(width).zip(out.chunks_exact_mut(width)) {
        let largest = row_max(x);
        fill(out, |i| x[i] - largest);
    }
    // SAFETY: the rows cover all of `out`, whose length is a multiple of `width`, and each was written.
    unsafe { buffer::assume_written_mut(out) }
}

/// exp(x) / Σ exp(x) of each row.
#[inline(never)]
pub fn softmax<T: Element>(x: &[T], width: usize) -> Vec<T> {
    rows(
        [x],
        width,
        &mut [],
        #[inline(always)]
        |_, [x], out, _| {
            if width >= LANES {
                let row = exponentials(x, out);
                for y in row.e.iter_mut() {
                    *y /= row.sum;
                }
                return;
            }
            let out = shifted(x, out, width);
            for x in out.iter_mut() {
                *x = x.exp_negative();
            }
            for row in out.chunks_exact_mut(width) {
                let total = sum(row, row, |e, _| e);
                for y in row.iter_mut() {
                    *y /= total;
                }
            }
        },
    )
}

/// y·(g − Σ g·y)
#[inline(never)]
pub fn softmax_backward<T: Element>(y: &[T], grad: &[T], width: usize) -> Vec<T> {
    rows(
        [y, grad],
        width,
        &mut [],
        #[inline(always)]
        |_, [y, g], out, _| {
            let rows = y.chunks_exact(width).zip(g.chunks_exact(width));
            for ((y, g), out) in rows.zip(out.chunks_exact_mut(width)) {
                let mean = sum(g, y, |g, y| g * y);
                fill(out, |i| y[i] * (g[i] - mean));
            }
        },
    )
}

/// x − ln Σ exp(x) of each row.
#[inline(never)]
pub fn log_softmax<T: Element>(x: &[T], width: usize) -> Vec<T> {
    rows(
        [x],
        width,
        &mut [],
        #[inline(always)]
        |_, [x], out, _| {
            for row in shifted(x, out, width).chunks_exact_mut(width) {
                let log = T::constant(lanes(row, row, &|x: T, _| x.exp_negative())).ln();
                for x in row.iter_mut() {
                    *x -= log;
                }
            }
        },
    )
}

/// g − exp(y)·Σ g
#[inline(never)]
pub fn log_softmax_backward<T: Element>(y: &[T], grad: &[T], width: usize) -> Vec<T> {
    rows(
        [y, grad],
        width,
        &mut [],
        #[inline(always)]
        |_, [y, g], out, _| {
            let rows = y.chunks_exact(width).zip(g.chunks_exact(width));
            for ((y, g), out) in rows.zip(out.chunks_exact_mut(width)) {
                let total = sum(g, g, |g, _| g);
                fill(out, |i| g[i] - y[i].exp() * total);
            }
        },
    )
}

/// The class of a row that is left out: its loss and gradient are 0.
pub const IGNORED: u32 = u32::MAX;

/// −log softmax(x)·factor of each row, at its class; 0 where the class is [`IGNORED`]. `factors` has one element for each row, or one
/// for all.
#[inline(never)]
pub fn cross_entropy<T: Element>(x: &[T], classes: &[u32], factors: &[T], width: usize) -> Vec<T> {
    let mut losses = buffer::zeros(classes.len());
    let rows = PIECE.div_ceil(width.max(1));
    parts(&mut losses, rows, worthwhile(x.len()), &|piece, losses| {
        vectorize!({
            for (i, loss) in (piece * rows..).zip(losses) {
                if classes[i] != IGNORED {
                    let x = &x[i * width..(i + 1) * width];
                    let largest = row_max(x);
                    let total = T::constant(lanes(x, x, &|x: T, _| (x - largest).exp_negative()));
                    *loss = (total.ln() - (x[classes[i] as usize] - largest)) * factor(factors, i);
                }
            }
        });
    });
    losses
}

#[inline(always)]
fn factor<T: Element>(factors: &[T], row: usize) -> T {
    if factors.len() == 1 { factors[0] } else { factors[row] }
}

/// [`cross_entropy`] in `losses`, which has an element for each row, and its gradient (softmax x − one-hot class)·factor.
#[inline(never)]
pub fn cross_entropy_and_slopes<T: Element>(
    x: &[T],
    classes: &[u32],
    factors: &[T],
    width: usize,
    losses: &mut [T],
) -> Vec<T> {
    losses.fill(T::default());
    rows(
        [x],
        width,
        losses,
        #[inline(always)]
        |first, [x], out, losses| with_slopes(x, &classes[first..], factors, first, width, out, losses),
    )
}

/// [`cross_entropy_and_slopes`] of the rows from index `first` on: a block of short ones or a single long one.
#[inline(always)]
fn with_slopes<T: Element>(
    x: &[T],
    classes: &[u32],
    factors: &[T],
    first: usize,
    width: usize,
    out: &mut [Uninit<T>],
    losses: &mut [T],
) {
    if width >= LANES {
        let (class, row) = (classes[0], exponentials(x, out));
        if class == IGNORED {
            row.e.fill(T::default());
            return;
        }
        let factor = factor(factors, first);
        let scale = factor / row.sum;
        losses[0] = (row.sum.ln() - (x[class as usize] - row.largest)) * factor;
        for y in row.e.iter_mut() {
            *y *= scale;
        }
        row.e[class as usize] -= factor;
        return;
    }
    let out = shifted(x, out, width);
    for ((row, loss), &class) in out.chunks_exact(width).zip(&mut *losses).zip(classes) {
        if class != IGNORED {
            *loss = -row[class as usize];
        }
    }
    for x in out.iter_mut() {
        *x = x.exp_negative();
    }
    let rows = out.chunks_exact_mut(width).zip(losses).zip(classes).enumerate();
    for (i, ((row, loss), &class)) in rows {
        if class == IGNORED {
            row.fill(T::default());
            continue;
        }
        let (total, factor) = (sum(row, row, |e, _| e), factor(factors, first + i));
        let scale = factor / total;
        *loss = (total.ln() + *loss) * factor;
        for y in row.iter_mut() {
            *y *= scale;
        }
        row[class as usize] -= factor;
    }
}

/// x / ‖x‖ of each row, and ‖x‖; a row of zeros stays zero.
#[inline(never)]
pub fn normalize<T: Element>(x: &[T], width: usize) -> [Vec<T>; 2] {
    let mut lengths = buffer::zeros(x.len() / width.max(1));
    let y = rows(
        [x],
        width,
        &mut lengths,
        #[inline(always)]
        |_, [x], out, lengths| {
            let rows = x.chunks_exact(width).zip(out.chunks_exact_mut(width)).zip(lengths);
            for ((x, out), number) in rows {
                *number = length(x, sum(x, x, |x, _| x * x), T::SMALL_SQUARE, |x| x);
                let divisor = if *number == T::default() { T::constant(1.0) } else { *number };
                fill(out, |i| x[i] / divisor);
            }
        },
    );
    [y, lengths]
}

/// (g − y·Σ g·y) / ‖x‖; 0 for a row of zeros.
#[inline(never)]
pub fn normalize_backward<T: Element>(y: &[T], lengths: &[T], grad: &[T], width: usize) -> Vec<T> {
    rows(
        [y, grad],
        width,
        &mut [],
        #[inline(always)]
        |first, [y, g], out, _| {
            let rows = y.chunks_exact(width).zip(g.chunks_exact(width)).zip(out.chunks_exact_mut(width));
            for (((y, g), out), &length) in rows.zip(&lengths[first..]) {
                let scale = T::constant(1.0) / length;
                let along = sum(g, y, |g, y| g * y);
                if length == T::default() {
                    fill(out, |_| T::default());
                } else if scale.to_f64().is_finite() {
                    fill(out, |i| (g[i] - y[i] * along) * scale);
                } else {
                    fill(out, |i| (g[i] - y[i] * along) / length);
                }
            }
        },
    )
}
