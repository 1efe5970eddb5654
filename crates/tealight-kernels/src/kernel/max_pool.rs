//! The largest element of every window of an image, and the pair of linear maps that its gradients are made of.

use pulp::{Simd, WithSimd};
use smallvec::SmallVec;

use super::buffer::{Uninit, fill, written};
use super::parallel::{PIECE, for_each_row, parts, run, vectorize, worthwhile};
use super::simd::{store, vector};
use super::{Element, WindowAxis, buffer};

/// The index for a window that lies on padding only.
const NOWHERE: u32 = u32::MAX;

/// The largest element of every window, and its index in the image, which has fewer than 2³² elements. A NaN counts as the
/// largest; of equal elements the first is taken.
#[inline(never)]
pub fn max_pool<T: Element>(x: &[T], sides: &[WindowAxis; 2]) -> (Vec<T>, Vec<u32>) {
    let [high, wide] = sides;
    let (image, size) = (high.input * wide.input, high.output * wide.output);
    let images = x.len() / image.max(1);
    if size == 0 || images == 0 {
        return (vec![], vec![]);
    }
    let halves = sides.iter().all(|side| {
        (side.kernel, side.stride, side.padding, side.dilation) == (2, 2, 0, 1)
            && 2 * side.output <= side.input
    });
    let pool = |i: usize, best: &mut [Uninit<T>], places: &mut [Uninit<u32>]| {
        let x = &x[i * image..][..best.len() / size * image];
        if halves {
            return run(TwoByTwo { x, sides, best, places });
        }
        let images = best.chunks_exact_mut(size).zip(places.chunks_exact_mut(size));
        x.chunks_exact(image).zip(images).for_each(|(x, (best, places))| any(x, sides, best, places));
    };
    let threads = worthwhile(images * size);
    let part = if threads { PIECE.div_ceil(size) } else { images };
    let mut values = vec![];
    // SAFETY: `pool` writes every slot of both of its slices, and these cover both outputs.
    let places = unsafe {
        written(images * size, |places| {
            values = written(images * size, |values| {
                let mut both: Vec<_> =
                    values.chunks_mut(part * size).zip(places.chunks_mut(part * size)).collect();
                parts(&mut both, 1, threads, &|piece, both| {
                    both.iter_mut().for_each(|(best, places)| pool(piece * part, best, places));
                });
            });
        })
    };
    (values, places)
}

/// The windows of an image, whatever their sizes.
fn any<T: Element>(x: &[T], sides: &[WindowAxis; 2], best: &mut [Uninit<T>], places: &mut [Uninit<u32>]) {
    let [high, wide] = sides;
    vectorize!({
        let best = fill(best, |_| T::constant(f64::NEG_INFINITY));
        let places = fill(places, |_| NOWHERE);
        let rows = best.chunks_exact_mut(wide.output).zip(places.chunks_exact_mut(wide.output));
        for (oy, (best, places)) in rows.enumerate() {
            for ky in high.elements(oy) {
                row_of_windows(x, high.place(oy, ky) * wide.input, wide, best, places);
            }
        }
    });
}

/// Windows of two by two elements, side by side, of whole images: the larger element of each pair of neighbours, in one long loop for
/// many short rows, then the larger one of two rows.
struct TwoByTwo<'a, T> {
    x: &'a [T],
    sides: &'a [WindowAxis; 2],
    best: &'a mut [Uninit<T>],
    places: &'a mut [Uninit<u32>],
}

/// Windows of [`TwoByTwo`] that are computed at a time, if rows are no longer.
const WINDOWS: usize = if cfg!(test) { 24 } else { 512 };

impl<T: Element> WithSimd for TwoByTwo<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let TwoByTwo { x, sides: [high, wide], best, places } = self;
        let (width, n, rows) = (wide.input, wide.output, high.output);
        let (image, lanes) = (high.input * width, size_of::<T::Vector<S>>() / size_of::<T>());
        // Whole images or a part of one.
        let (mut done, all) = (0, best.len() / n);
        let at_once = (WINDOWS / n).clamp(1, all);
        let at_once = if at_once > rows { at_once / rows * rows } else { at_once };
        // Of each pair of neighbours: the elements and their places in the image, from the first row that is looked at on.
        let mut buffers = [(); 8].map(|()| zeros::<T>(2 * at_once * n + lanes));
        let [first, second, first_at, second_at, pairs, pairs_at, windows, windows_at] =
            buffers.each_mut().map(|buffer| &mut buffer[..]);
        for row in 0..2 * at_once {
            let start = row % (2 * rows) * width;
            for i in 0..n {
                let place = (start + 2 * i) as u32;
                (first_at[row * n + i], second_at[row * n + i]) =
                    (T::of_index(place), T::of_index(place + 1));
            }
        }
        while done < all {
            let (from, oy) = (done / rows * image, done % rows);
            let count = at_once.min(all - done).min(if at_once < rows { rows - oy } else { usize::MAX });
            if width == 2 * n && high.input == 2 * rows {
                split(&x[from + 2 * oy * width..][..2 * count * width], first, second);
            } else {
                for row in 0..2 * count {
                    let (i, y) = (row / (2 * rows) * image, row % (2 * rows) + 2 * oy);
                    let x = &x[from + i + y * width..][..2 * n];
                    split(x, &mut first[row * n..], &mut second[row * n..]);
                }
            }
            let read = |x: &[T], i: usize| vector::<S, T>(x, i);
            for i in (0..2 * count * n).step_by(lanes) {
                let both = [[read(first, i), read(first_at, i)], [read(second, i), read(second_at, i)]];
                let [larger, place] = T::later(simd, both[0], both[1]);
                store(larger, &mut pairs[i..i + lanes]);
                store(place, &mut pairs_at[i..i + lanes]);
            }
            // Behind a row lies the next one, which is written later.
            for row in 0..count {
                for i in (0..n).step_by(lanes) {
                    let (above, below) = (2 * row * n + i, (2 * row + 1) * n + i);
                    let both = [
                        [read(pairs, above), read(pairs_at, above)],
                        [read(pairs, below), read(pairs_at, below)],
                    ];
                    let [larger, place] = T::later(simd, both[0], both[1]);
                    store(larger, &mut windows[row * n + i..][..lanes]);
                    store(place, &mut windows_at[row * n + i..][..lanes]);
                }
            }
            let start = (2 * oy * width) as u32;
            let (best, places) = (&mut best[done * n..][..count * n], &mut places[done * n..][..count * n]);
            let (windows, windows_at) = (&windows[..count * n], &windows_at[..count * n]);
            for i in 0..count * n {
                best[i].write(windows[i]);
                places[i].write(start + windows_at[i].index());
            }
            done += count;
        }
    }
}

fn zeros<T: Element>(n: usize) -> SmallVec<[T; 2 * WINDOWS]> {
    SmallVec::from_elem(T::default(), n)
}

/// The elements of a row that have even and odd places.
#[inline(always)]
fn split<T: Element>(row: &[T], evens: &mut [T], odds: &mut [T]) {
    let pairs = row.as_chunks::<2>().0;
    let (evens, odds) = (&mut evens[..pairs.len()], &mut odds[..pairs.len()]);
    for i in 0..pairs.len() {
        evens[i] = pairs[i][0];
        odds[i] = pairs[i][1];
    }
}

/// Whether x is larger, or a NaN where `best` is none.
#[inline(always)]
#[allow(clippy::eq_op, clippy::neg_cmp_op_on_partial_ord)]
fn exceeds<T: Element>(x: T, best: T) -> bool {
    (best == best) & !(x <= best)
}

/// Updates a row of windows by the row of the image that begins at `start`, one element of every window after the other.
#[inline(always)]
fn row_of_windows<T: Element>(x: &[T], start: usize, side: &WindowAxis, best: &mut [T], out: &mut [u32]) {
    if side.output == 0 {
        return;
    }
    // The last window has the first element that any has on the image, and the first window the last.
    for k in side.elements(side.output - 1).start..side.elements(0).end {
        let windows = side.outputs(k);
        if windows.is_empty() {
            continue;
        }
        let first = start + side.place(windows.start, k);
        let (best, out) = (&mut best[windows.clone()], &mut out[windows]);
        if side.stride == 1 {
            let x = &x[first..first + out.len()];
            for i in 0..out.len() {
                look(x[i], (first + i) as u32, &mut best[i], &mut out[i]);
            }
        } else {
            for i in 0..out.len() {
                let place = first + i * side.stride;
                look(x[place], place as u32, &mut best[i], &mut out[i]);
            }
        }
    }
}

/// Takes x if it is larger: a selection instead of a branch.
#[inline(always)]
fn look<T: Element>(x: T, place: u32, best: &mut T, best_place: &mut u32) {
    let better = exceeds(x, *best) | (*best_place == NOWHERE);
    *best = if better { x } else { *best };
    *best_place = if better { place } else { *best_place };
}

/// The elements at `places` of every image; `nowhere` for windows on padding only.
#[inline(never)]
pub fn pool_gather<T: Element>(x: &[T], places: &[u32], images: usize, nowhere: T) -> Vec<T> {
    let mut out = buffer::zeros(places.len());
    let (image, width) = (x.len() / images.max(1), places.len() / images.max(1));
    for_each_row(&mut out, width, |i, out| {
        let x = &x[i * image..(i + 1) * image];
        for (y, &place) in out.iter_mut().zip(&places[i * width..]) {
            *y = if place == NOWHERE { nowhere } else { x[place as usize] };
        }
    });
    out
}

/// The transpose of [`pool_gather`]: images of zeros, `size` elements together, with the elements of x added at `places`.
#[inline(never)]
pub fn pool_scatter<T: Element>(x: &[T], places: &[u32], images: usize, size: usize) -> Vec<T> {
    let (width, image) = (places.len() / images.max(1), size / images.max(1));
    // SAFETY: every slot is filled before anything is added, and `rest` is what lies behind the last image.
    unsafe {
        written(size, |out| {
            let (out, rest) = out.split_at_mut(images * image);
            fill(rest, |_| T::default());
            for_each_row(out, image, |i, out| {
                let out = fill(out, |_| T::default());
                for (&x, &place) in x[i * width..(i + 1) * width].iter().zip(&places[i * width..]) {
                    if place != NOWHERE {
                        out[place as usize] += x;
                    }
                }
            });
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{Element, NOWHERE, Uninit, WindowAxis, any, max_pool, pool_gather, pool_scatter};
    use crate::kernel::buffer::assume_written;

    #[allow(clippy::eq_op)]
    fn max_places<T: Element>(x: &[T], sides: &[WindowAxis; 2]) -> Vec<u32> {
        let (values, places) = max_pool(x, sides);
        let images = x.len() / (sides[0].input * sides[1].input);
        let same = |(a, b): (&T, &T)| a == b || (a != a && b != b);
        let taken = pool_gather(x, &places, images, T::constant(f64::NEG_INFINITY));
        assert!(values.len() == taken.len() && values.iter().zip(&taken).all(same));
        places
    }

    #[test]
    fn against_plain_loops() {
        for (stride, padding, dilation) in [(1, 0, 1), (2, 1, 1), (3, 1, 2), (1, 1, 2)] {
            let side = |input, kernel| {
                let output = (input + 2 * padding - dilation * (kernel - 1) - 1) / stride + 1;
                WindowAxis { input, output, kernel, stride, padding, dilation }
            };
            let sides = [side(5, 2), side(8, 3)];
            let [oh, ow] = [sides[0].output, sides[1].output];
            // Few different numbers, so that there are ties, all of them below the padding that is never chosen.
            let x: Vec<f32> = (0..80).map(|i| -1.0 - (i * i % 5) as f32).collect();
            let places = max_places(&x, &sides);
            assert_eq!(places.len(), 2 * oh * ow);
            for (i, &place) in places.iter().enumerate() {
                let (image, oy, ox) = (i / (oh * ow), i / ow % oh, i % ow);
                let mut best: Option<usize> = None;
                for k in 0..6 {
                    let y = (oy * stride + k / 3 * dilation).wrapping_sub(padding);
                    let wide = (ox * stride + k % 3 * dilation).wrapping_sub(padding);
                    let at = y.wrapping_mul(8).wrapping_add(wide);
                    if y < 5 && wide < 8 && best.is_none_or(|best| x[image * 40 + at] > x[image * 40 + best])
                    {
                        best = Some(at);
                    }
                }
                assert_eq!(Some(place as usize), best, "{stride} {padding} {dilation}: {i}");
            }
            let taken = pool_gather(&x, &places, 2, 0.0);
            let back = pool_scatter(&taken, &places, 2, 80);
            assert_eq!(back.iter().sum::<f32>(), taken.iter().sum::<f32>());
            assert!(back.iter().zip(&x).all(|(sum, x)| sum % x == 0.0));
        }
    }

    #[test]
    fn two_by_two_as_any_other() {
        let two =
            |input| WindowAxis { input, output: input / 2, kernel: 2, stride: 2, padding: 0, dilation: 1 };
        for (high, wide) in (2..8).flat_map(|high| (2..36).map(move |wide| (high, wide))) {
            // Ties, and a NaN now and then.
            let number = |i: usize| if i % 7 == 3 { f32::NAN } else { (i * i % 5) as f32 };
            let (sides, size) = ([two(high), two(wide)], (high / 2) * (wide / 2));
            let x: Vec<f32> = (0..3 * high * wide).map(number).collect();
            let places = max_places(&x, &sides);
            for (x, places) in x.chunks(high * wide).zip(places.chunks(size)) {
                let (mut best, mut expected) = (vec![Uninit::new(0.0); size], vec![Uninit::new(0); size]);
                any(x, &sides, &mut best, &mut expected);
                assert_eq!(places, numbers_of(&expected), "{high} {wide}");
            }
        }
    }

    fn numbers_of(slots: &[Uninit<u32>]) -> &[u32] {
        // SAFETY: the vector was made of numbers.
        unsafe { assume_written(slots) }
    }

    #[test]
    fn extremes() {
        let side = WindowAxis { input: 4, output: 2, kernel: 2, stride: 2, padding: 0, dilation: 1 };
        let one = WindowAxis { input: 1, output: 1, kernel: 1, stride: 1, padding: 0, dilation: 1 };
        let (nan, low) = (f64::NAN, f64::NEG_INFINITY);
        assert_eq!(max_places(&[1.0, nan, nan, nan], &[one, side]), [1, 2]);
        assert_eq!(max_places(&[low, low, nan, f64::INFINITY], &[one, side]), [0, 2]);
        assert_eq!(max_places(&[1.0, 1.0, -0.0, 0.0], &[one, side]), [0, 2]);
        assert!(max_places::<f64>(&[], &[one, side]).is_empty());
        // Every element of the window lies beside the image.
        let beside = WindowAxis { input: 2, output: 1, kernel: 2, stride: 1, padding: 1, dilation: 3 };
        let places = max_places(&[1.0, 2.0], &[one, beside]);
        assert_eq!(places, [NOWHERE]);
        assert_eq!(pool_gather(&[1.0, 2.0], &places, 1, low), [low]);
        assert_eq!(pool_scatter(&[5.0], &places, 1, 2), [0.0, 0.0]);
        assert!(pool_scatter::<f64>(&[], &[], 0, 0).is_empty());
    }
}
