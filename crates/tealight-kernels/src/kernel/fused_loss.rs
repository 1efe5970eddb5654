//! The sum of a formula over arrays, and the gradient of it in the same pass.

use super::Element;
use super::buffer::{self, Scratch, Uninit};
use super::map::{Loop, SOURCES, Slots, Written};
use super::parallel::{DisjointChunks, PIECE, dispatch_wide, is_scalar};
use super::reduce::{BLOCK, HALF, LANES, MADE, across, in_pieces, sum_made};

/// Σ `values` over arrays of `n` elements, in the order of [`sum`](super::sum); and the array that `slopes`, if given, computes from
/// the same elements while they are in cache, with the number beside it as the last source.
#[inline(never)]
pub fn total<T: Element>(
    n: usize,
    sources: [&[T]; SOURCES],
    values: Loop<T>,
    slopes: Option<(Loop<T>, T)>,
) -> (T, Option<Vec<T>>) {
    let run = |body: Loop<T>, from: usize, out: &mut [Uninit<T>], number: &[T]| {
        let mut slices = sources;
        for slice in slices.iter_mut().filter(|slice| !slice.is_empty()) {
            *slice = &slice[from..from + out.len()];
        }
        if !number.is_empty() {
            slices[SOURCES - 1] = &number[..out.len()];
        }
        body(Slots::new(out), slices);
    };
    let make = |from: usize, out: &mut [T]| {
        // SAFETY: MaybeUninit<T> has T's layout, and a loop writes only initialised elements.
        run(values, from, unsafe { &mut *(std::ptr::from_mut(out) as *mut [Uninit<T>]) }, &[]);
    };
    let Some((slopes, number)) = slopes else { return (sum_made(n, &make), None) };
    let numbers = Scratch::filled(n.min(MADE), number);
    let mut total = T::default();
    // SAFETY: `sum_made` makes every block of the n elements, and each run writes its block.
    let slopes = unsafe {
        buffer::written(n, |out| {
            let blocks = DisjointChunks::new(out, MADE);
            total = sum_made(n, &|from, values| {
                make(from, values);
                run(slopes, from, blocks.take(from / MADE), &numbers);
            });
        })
    };
    (total, Some(slopes))
}

/// Computes the slopes of one part of two arrays, and sums the values.
pub type Both<'a, T> = &'a (dyn for<'s> Fn(Slots<'s, T>, [&[T]; 2]) -> (f64, Written<'s>) + Sync);

/// [`total`] of two arrays by one loop for values and slopes, which keeps memory busier than two loops in turn. `None` without
/// vector instructions, or for no elements.
#[inline(never)]
pub fn total_at_once<T: Element>([a, b]: [&[T]; 2], both: Both<T>) -> Option<(T, Vec<T>)> {
    if is_scalar() || a.is_empty() {
        return None;
    }
    let mut total = T::default();
    // SAFETY: `both` writes all of its slots, as the returned `Written` proves, and gets all, or `in_pieces` takes every piece.
    let slopes = unsafe {
        buffer::written(a.len(), |out| {
            if a.len() <= PIECE {
                total = T::constant(both(Slots::new(out), [a, b]).0);
                return;
            }
            let pieces = DisjointChunks::new(out, PIECE);
            total = T::constant(in_pieces(a.len(), &|from, to| {
                both(Slots::new(pieces.take(from / PIECE)), [&a[from..to], &b[from..to]]).0
            }));
        })
    };
    Some((total, slopes))
}

/// Sums the first results of `f` in the order of [`sum`](super::sum), and writes the second ones; for [`total_at_once`].
#[inline(always)]
pub fn both<'s, T: Element>(
    out: Slots<'s, T>,
    [a, b]: [&[T]; 2],
    f: impl Fn(T, T) -> [T; 2],
) -> (f64, Written<'s>) {
    // SAFETY: `write_both` writes every element, or panics where an array is too short.
    unsafe {
        out.write(
            #[inline(always)]
            |out| write_both(out, [a, b], f),
        )
    }
}

#[inline(always)]
fn write_both<T: Element>(out: &mut [Uninit<T>], [a, b]: [&[T]; 2], f: impl Fn(T, T) -> [T; 2]) -> f64 {
    let (a, b) = (&a[..out.len()], &b[..out.len()]);
    dispatch_wide(
        #[inline(always)]
        || {
            let mut total = [0.0; HALF];
            for (out, (a, b)) in out.chunks_mut(BLOCK).zip(a.chunks(BLOCK).zip(b.chunks(BLOCK))) {
                let rest = out.len() / LANES * LANES;
                let mut lane = [T::default(); LANES];
                for start in (0..rest).step_by(LANES) {
                    let (a, b) = (&a[start..start + LANES], &b[start..start + LANES]);
                    let out = &mut out[start..start + LANES];
                    // Local arrays, of which the compiler sees that they do not overlap the inputs.
                    let (mut values, mut slopes) = ([T::default(); LANES], [T::default(); LANES]);
                    for i in 0..LANES {
                        [values[i], slopes[i]] = f(a[i], b[i]);
                    }
                    for i in 0..LANES {
                        lane[i] += values[i];
                    }
                    for i in 0..LANES {
                        out[i].write(slopes[i]);
                    }
                }
                for i in 0..HALF {
                    total[i] += (lane[i] + lane[i + HALF]).to_f64();
                }
                for i in rest..out.len() {
                    let [value, slope] = f(a[i], b[i]);
                    total[(i - rest) % HALF] += value.to_f64();
                    out[i].write(slope);
                }
            }
            across(total)
        },
    )
}
