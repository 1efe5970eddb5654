//! The largest element of every window of an image, and the pair of linear maps that its gradients are made of.

use pulp::{Simd, WithSimd};

use super::buffer::{Scratch, Uninit, fill, written};
use super::parallel::{DisjointChunks, PIECE, for_each_row, parts, run, vectorize, worthwhile};
use super::simd::{store, vector};
use super::{Element, WindowAxis, buffer};
use std::ops::DerefMut;

/// The index for a window that lies on padding only.
const NOWHERE: u32 = u32::MAX;

/// The largest element of every window, and its index in the image, which has fewer than 2³² elements. A NaN counts as the
/// largest; of equal elements the first is taken.
#[inline(never)]
pub fn max_pool<T: Element>(x: &[T], sides: &[WindowAxis; 2]) -> (Vec<T>, Vec<u32>) {
    max_pool_of(x, x.len(), sides)
}

/// The images of which a pool takes elements.
pub(super) trait Images<T>: Copy + Sync {
    type Room: DerefMut<Target = [T]>;

    /// Room for `n` elements that are computed.
    fn room(n: usize) -> Self::Room;

    /// Elements `from..from + n` of all images, which may be computed in `room`.
    fn read<'a>(&'a self, from: usize, n: usize, room: &'a mut [T]) -> &'a [T];
}

impl<T: Element> Images<T> for &[T] {
    type Room = Box<[T]>;

    fn room(_: usize) -> Box<[T]> {
        Box::default()
    }

    #[inline(always)]
    fn read<'a>(&'a self, from: usize, n: usize, _: &'a mut [T]) -> &'a [T] {
        &self[from..from + n]
    }
}

/// Whether windows of `kernel` elements, one or two, lie side by side.
fn is_simple(side: &WindowAxis, kernel: usize) -> bool {
    // The height of a sequence has the stride and dilation of its length.
    (side.kernel, side.padding) == (kernel, 0)
        && (side.stride == kernel || side.output == 1)
        && (side.dilation == 1 || kernel == 1)
        && kernel * side.output <= side.input
}

/// Whether the windows are two neighbours of a row, or of two rows.
fn are_halves([high, wide]: &[WindowAxis; 2]) -> bool {
    // A page has no room for two loops.
    is_simple(wide, 2) && (is_simple(high, 2) || (!cfg!(target_arch = "wasm32") && is_simple(high, 1)))
}

/// [`max_pool`] of images with `len` elements.
pub(super) fn max_pool_of<T: Element, I: Images<T>>(
    x: I,
    len: usize,
    sides: &[WindowAxis; 2],
) -> (Vec<T>, Vec<u32>) {
    let [high, wide] = sides;
    let (image, size) = (high.input * wide.input, high.output * wide.output);
    let images = len / image.max(1);
    if size == 0 || images == 0 {
        return (vec![], vec![]);
    }
    // A page has no room for the loop of numbers that its models do not have.
    let halves = are_halves(sides) && !(cfg!(target_arch = "wasm32") && size_of::<T>() == 8);
    let pool = |i: usize, best: &mut [Uninit<T>], places: &mut [Uninit<u32>]| {
        if halves {
            return run(Halves { x, first: i * image, sides, best, places });
        }
        let mut room = I::room(image);
        let images = best.chunks_exact_mut(size).zip(places.chunks_exact_mut(size));
        for (k, (best, places)) in images.enumerate() {
            any(x.read((i + k) * image, image, &mut room), sides, best, places);
        }
    };
    let threads = worthwhile(images * size);
    let part = if threads { PIECE.div_ceil(size) } else { images };
    let mut values = vec![];
    // SAFETY: `pool` writes every slot of both of its slices, and these cover both outputs.
    let places = unsafe {
        written(images * size, |places| {
            values = written(images * size, |values| {
                let places = DisjointChunks::new(places, part * size);
                parts(values, part * size, threads, &|piece, best| {
                    pool(piece * part, best, places.take(piece));
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

/// Windows of two neighbours of one row or of two rows, side by side, of whole images from element `first` on: the larger element of
/// each pair of neighbours, in one long loop for many short rows, then the larger one of two rows.
struct Halves<'a, T, I> {
    x: I,
    first: usize,
    sides: &'a [WindowAxis; 2],
    best: &'a mut [Uninit<T>],
    places: &'a mut [Uninit<u32>],
}

/// Windows of [`Halves`] that are computed at a time, if rows are no longer.
const WINDOWS: usize = if cfg!(test) { 24 } else { 512 };

impl<T: Element, I: Images<T>> WithSimd for Halves<'_, T, I> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Halves { x, first: origin, sides: [high, wide], best, places } = self;
        let (width, n, rows) = (wide.input, wide.output, high.output);
        let tall = if cfg!(target_arch = "wasm32") { 2 } else { high.kernel };
        let (image, lanes) = (high.input * width, size_of::<T::Vector<S>>() / size_of::<T>());
        // Whole images or a part of one.
        let (mut done, all) = (0, best.len() / n);
        let at_once = (WINDOWS / n).clamp(1, all);
        let at_once = if at_once > rows { at_once / rows * rows } else { at_once };
        let mut room = I::room(tall * at_once * width);
        // Of each pair of neighbours: the elements and their places in the image, from the first row that is looked at on.
        let mut buffers = [(); 8].map(|()| Scratch::<T>::zeros(tall * at_once * n + lanes));
        let [first, second, first_at, second_at, pairs, pairs_at, windows, windows_at] =
            buffers.each_mut().map(|buffer| &mut buffer[..]);
        for row in 0..tall * at_once {
            let start = row % (tall * rows) * width;
            for i in 0..n {
                let place = (start + 2 * i) as u32;
                (first_at[row * n + i], second_at[row * n + i]) =
                    (T::of_index(place), T::of_index(place + 1));
            }
        }
        while done < all {
            let (from, oy) = (origin + done / rows * image, done % rows);
            let count = at_once.min(all - done).min(if at_once < rows { rows - oy } else { usize::MAX });
            if width == 2 * n && high.input == tall * rows {
                let x = x.read(from + tall * oy * width, tall * count * width, &mut room);
                split(x, first, second);
            } else {
                for row in 0..tall * count {
                    let (i, y) = (row / (tall * rows) * image, row % (tall * rows) + tall * oy);
                    let x = x.read(from + i + y * width, 2 * n, &mut room);
                    split(x, &mut first[row * n..], &mut second[row * n..]);
                }
            }
            let read = |x: &[T], i: usize| vector::<S, T>(x, i);
            let (larger_of, larger_at) = match tall {
                1 => (&mut *windows, &mut *windows_at),
                _ => (&mut *pairs, &mut *pairs_at),
            };
            for i in (0..tall * count * n).step_by(lanes) {
                let both = [[read(first, i), read(first_at, i)], [read(second, i), read(second_at, i)]];
                let [larger, place] = T::later(simd, both[0], both[1]);
                store(larger, &mut larger_of[i..i + lanes]);
                store(place, &mut larger_at[i..i + lanes]);
            }
            // Behind a row lies the next one, which is written later.
            for row in 0..if tall == 2 { count } else { 0 } {
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
            let start = (tall * oy * width) as u32;
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
                let range = i * width..(i + 1) * width;
                add_at(&x[range.clone()], &places[range], out);
            });
        })
    }
}

/// Adds each element to that of the image at its place.
#[inline(always)]
fn add_at<T: Element>(x: &[T], places: &[u32], image: &mut [T]) {
    for (&x, &place) in x.iter().zip(places) {
        if place != NOWHERE {
            image[place as usize] += x;
        }
    }
}

/// The gradient of images by that of a pool, which took the elements at `places`.
#[derive(Clone, Copy)]
pub(super) struct Scattered<'a, T> {
    grad: &'a [T],
    places: &'a [u32],
    /// The windows of an image.
    size: usize,
    /// Whether no element is in two windows.
    apart: bool,
}

impl<'a, T: Element> Scattered<'a, T> {
    pub(super) fn new(grad: &'a [T], places: &'a [u32], sides: &[WindowAxis; 2]) -> Self {
        Scattered { grad, places, size: sides[0].output * sides[1].output, apart: are_halves(sides) }
    }

    /// Writes the gradient of image i, as [`pool_scatter`] does.
    #[inline(always)]
    pub(super) fn write(&self, i: usize, image: &mut [T]) {
        let size = self.size;
        let (grad, places) = (&self.grad[i * size..][..size], &self.places[i * size..][..size]);
        image.fill(T::default());
        if !self.apart {
            return add_at(grad, places, image);
        }
        for (&g, &place) in grad.iter().zip(places) {
            if let Some(element) = image.get_mut(place as usize) {
                // As a sum from 0 on: −0 becomes 0.
                *element = T::default() + g;
            }
        }
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

    #[test]
    fn pairs_as_any_other_windows() {
        for (high, wide) in [(1, 2), (1, 7), (1, 64), (1, 1001), (3, 5), (5, 34)] {
            let number = |i: usize| if i % 7 == 3 { f64::NAN } else { (i * i % 5) as f64 };
            let stride = if high == 1 { 2 } else { 1 };
            let one = WindowAxis { input: high, output: high, kernel: 1, stride, padding: 0, dilation: 1 };
            let two =
                WindowAxis { input: wide, output: wide / 2, kernel: 2, stride: 2, padding: 0, dilation: 1 };
            let (sides, size) = ([one, two], high * (wide / 2));
            let x: Vec<f64> = (0..3 * high * wide).map(number).collect();
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
