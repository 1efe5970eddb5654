//! The sum of a function of two arrays, and its slopes by the way.

use super::Element;
use super::buffer::{self, Uninit};
use super::map::{Loop, SOURCES, Slots, Written};
use super::parallel::{DisjointChunks, PIECE, is_scalar, vectorize};
use super::reduce::{BLOCK, HALF, LANES, MADE, across, in_pieces, sum_made};

/// Σ `values` over arrays of `n` elements, added as [`sum`](super::sum) does; and what `slopes`, if it is given, computes from
/// the same elements while they are in cache, with a number as the last source.
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
        if let Some(number) = number.get(..out.len()) {
            slices[SOURCES - 1] = number;
        }
        body(Slots::new(out), slices);
    };
    let make = |from: usize, out: &mut [T]| {
        // SAFETY: MaybeUninit<T> has T's layout, and a loop writes only numbers.
        #[allow(unsafe_code)]
        run(values, from, unsafe { &mut *(std::ptr::from_mut(out) as *mut [Uninit<T>]) }, &[]);
    };
    let Some((slopes, number)) = slopes else { return (sum_made(n, &make), None) };
    let numbers = vec![number; n.min(MADE)];
    let mut total = T::default();
    // SAFETY: `sum_made` comes by every block of the n numbers, and each run writes its block.
    #[allow(unsafe_code)]
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

/// What computes the slopes of a part of two arrays, and sums the values.
pub type Both<'a, T> = &'a (dyn for<'s> Fn(Slots<'s, T>, [&[T]; 2]) -> (f64, Written<'s>) + Sync);

/// [`total`] by a loop that computes values and slopes at once: while two loops take turns, memory waits for one of them.
/// `None` where there are no vectors, and no such loop.
pub fn total_at_once<T: Element>([a, b]: [&[T]; 2], both: Both<T>) -> Option<(T, Vec<T>)> {
    if is_scalar() || a.is_empty() {
        return None;
    }
    let mut total = T::default();
    // SAFETY: `in_pieces` comes by every piece, and a loop writes every element of the slots that it is given, or it could
    // not say so.
    #[allow(unsafe_code)]
    let slopes = unsafe {
        buffer::written(a.len(), |out| {
            let pieces = DisjointChunks::new(out, PIECE);
            total = T::constant(in_pieces(a.len(), &|from, to| {
                both(Slots::new(pieces.take(from / PIECE)), [&a[from..to], &b[from..to]]).0
            }));
        })
    };
    Some((total, slopes))
}

/// Writes the second of the numbers that `f` gives, and sums the first in the order of [`sum`](super::sum).
#[inline(always)]
pub fn both<'s, T: Element>(
    out: Slots<'s, T>,
    [a, b]: [&[T]; 2],
    f: impl Fn(T, T) -> [T; 2],
) -> (f64, Written<'s>) {
    // SAFETY: `write_both` writes every element, or panics where an array is too short.
    #[allow(unsafe_code)]
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
    vectorize!({
        let mut total = [0.0; HALF];
        for (out, (a, b)) in out.chunks_mut(BLOCK).zip(a.chunks(BLOCK).zip(b.chunks(BLOCK))) {
            let rest = out.len() / LANES * LANES;
            let mut lane = [T::default(); LANES];
            for start in (0..rest).step_by(LANES) {
                let (a, b) = (&a[start..start + LANES], &b[start..start + LANES]);
                let out = &mut out[start..start + LANES];
                // Arrays of its own, or the compiler would have to know that no input is the output.
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
    })
}
