//! Element-by-element loops over several arrays. A formula's own code is one small loop for each type ([`fuse`], [`in_blocks`]);
//! the walk over the arrays ([`map_by`]) is compiled once.

use std::marker::PhantomData;
use std::mem::MaybeUninit;

use super::Element;
use super::block::{Block, WIDTH};
use super::buffer::{self, Uninit, fill};
use super::parallel::{PIECE, dispatch_wide, is_scalar, parts, vectorize, worthwhile};
use super::simd::Aligned;
use super::view::{Dims, View, Walk, coalesce, unravel};

/// The most arrays that one loop reads: three inputs, the output and its gradient.
pub const SOURCES: usize = 5;

/// Pads N views with [`View::unused`].
pub fn sources<'a, T, const N: usize>(views: [View<'a, T>; N]) -> [View<'a, T>; SOURCES] {
    let mut all = std::array::from_fn(|_| View::unused());
    all.iter_mut().zip(views).for_each(|(slot, view)| *slot = view);
    all
}

/// Elements that are gathered at a time from arrays that are not contiguous: the blocks of all sources stay in level-1 cache.
const BLOCK: usize = 512;

/// The uninitialised elements of one part of an output. Only a [`Loop`] is given one, and only [`fuse`], [`in_blocks`] and
/// [`both`](super::both) write to it.
pub struct Slots<'s, T> {
    out: &'s mut [Uninit<T>],
    brand: Brand<'s>,
}

/// Makes a type invariant in `'s`, so that values of two calls, whose lifetimes differ, cannot be exchanged.
type Brand<'s> = PhantomData<fn(&'s ()) -> &'s ()>;

impl<'s, T> Slots<'s, T> {
    pub(super) fn new(out: &'s mut [Uninit<T>]) -> Self {
        Slots { out, brand: PhantomData }
    }

    /// Calls `write` with all elements; it must initialise each of them.
    ///
    /// # Safety
    /// `write` must initialise every element of the slice that it is given.
    #[inline(always)]
    pub(super) unsafe fn write<R>(self, write: impl FnOnce(&mut [Uninit<T>]) -> R) -> (R, Written<'s>) {
        (write(self.out), Written(self.brand))
    }
}

/// Proves that all elements of the [`Slots`] of the same lifetime were initialised.
///
/// `'s` is invariant and a [`Loop`] works for every `'s`, so it can return only the proof that it got for its own slots:
///
/// ```
/// use tealight_kernels::kernel::{Loop, in_blocks, map_by, sources};
/// let body: Loop<f32> = &|out, slices| in_blocks(out, slices, &|[x, ..]| *x);
/// assert_eq!(map_by(&[2], sources([]), body), [0.0, 0.0]);
/// ```
///
/// One kept from another call does not compile:
///
/// ```compile_fail
/// use tealight_kernels::kernel::{Loop, in_blocks};
/// let stash = std::sync::Mutex::new(None);
/// let body: Loop<f32> = &|out, slices| match stash.lock().unwrap().take() {
///     Some(written) => written,
///     None => in_blocks(out, slices, &|[x, ..]| *x),
/// };
/// ```
pub struct Written<'s>(Brand<'s>);

/// Computes one part of an output from the same parts of the sources; the slice of an unused source is empty.
pub type Loop<'a, T> = &'a (dyn for<'s> Fn(Slots<'s, T>, [&[T]; SOURCES]) -> Written<'s> + Sync);

/// `f(sources[0][i], sources[1][i], …)` in one vector loop, into which `f` must be inlined. Without vector instructions `blocks`,
/// which must compute the same, is used.
#[inline(always)]
pub fn fuse<'s, T: Element>(
    out: Slots<'s, T>,
    slices: [&[T]; SOURCES],
    f: impl Fn([T; SOURCES]) -> T,
    blocks: &dyn Fn(&[Block<T>; SOURCES]) -> Block<T>,
) -> Written<'s> {
    if is_scalar() {
        return in_blocks(out, slices, blocks);
    }
    // SAFETY: `write_fused` writes every element, or panics where a source is too short.
    unsafe {
        out.write(
            #[inline(always)]
            |out| {
                dispatch_wide(
                    #[inline(always)]
                    || write_fused(out, slices, f),
                )
            },
        )
        .1
    }
}

/// The first n elements; those of another source if this one is unused.
#[inline(always)]
fn full<'a, T>(x: &'a [T], any: &'a [T], n: usize) -> &'a [T] {
    if x.is_empty() { &any[..n] } else { &x[..n] }
}

#[inline(always)]
fn write_fused<T: Element>(out: &mut [Uninit<T>], slices: [&[T]; SOURCES], f: impl Fn([T; SOURCES]) -> T) {
    let n = out.len();
    let [a, b, c, d, e] = slices;
    let any = if !a.is_empty() {
        a
    } else if !e.is_empty() {
        e
    } else {
        d
    };
    let (a, b, c) = (full(a, any, n), full(b, any, n), full(c, any, n));
    let (d, e) = (full(d, any, n), full(e, any, n));
    for i in 0..n {
        out[i].write(f([a[i], b[i], c[i], d[i], e[i]]));
    }
}

/// [`fuse`] for a function that is not inlined: it computes [`Block`]s instead of single elements.
#[inline(never)]
pub fn in_blocks<'s, T: Element>(
    out: Slots<'s, T>,
    slices: [&[T]; SOURCES],
    f: &dyn Fn(&[Block<T>; SOURCES]) -> Block<T>,
) -> Written<'s> {
    let write = |out: &mut [Uninit<T>]| {
        let mut blocks = [Block::zero(); SOURCES];
        for (number, part) in out.chunks_mut(WIDTH).enumerate() {
            load(&mut blocks, slices, number * WIDTH, part.len());
            f(&blocks).store(part);
        }
    };
    // SAFETY: the chunks are all of `out`, and `store` writes every element of each.
    unsafe { out.write(write).1 }
}

#[inline(never)]
fn load<T: Element>(blocks: &mut [Block<T>; SOURCES], slices: [&[T]; SOURCES], from: usize, n: usize) {
    for (block, slice) in blocks.iter_mut().zip(slices) {
        if !slice.is_empty() {
            block.load(&slice[from..from + n]);
        }
    }
}

/// An array of shape `dims`, in row-major order, computed by `body` from the sources. Sources that are not contiguous are gathered
/// block by block, so that `body` always gets plain slices.
#[inline(never)]
pub fn map_by<T: Element>(dims: &[usize], mut sources: [View<'_, T>; SOURCES], body: Loop<T>) -> Vec<T> {
    let n = dims.iter().product();
    if n == 0 {
        return Vec::new();
    }
    let mut dims = coalesce(dims, &mut sources);
    let contiguous = dims.len() <= 1
        && sources.iter().all(|view| {
            view.is_unused() || view.strides.iter().all(|&stride| stride == 1) && view.data.len() >= n
        });
    if contiguous {
        return map_slices(
            n,
            sources.each_ref().map(|view| if view.is_unused() { &[] } else { &view.data[..n] }),
            body,
        );
    }
    let periods = join_rows(&mut dims, &mut sources);
    let in_rows = dims.last().is_some_and(|&last| last >= LONG)
        && sources
            .iter()
            .all(|view| view.is_unused() || view.strides.last().is_some_and(|&stride| stride < 2));
    let piece = |start: usize, out: &mut [Uninit<T>]| {
        if in_rows {
            rows(&sources, periods, &dims, start, out, body);
        } else {
            blocks(&sources, &dims, start, out, body);
        }
    };
    // SAFETY: `body` writes all of its slots, as the returned `Written` proves.
    unsafe { in_pieces(n, &piece) }
}

/// `n` elements, computed by `body` from the elements of the sources in the same places; an unused source is empty.
#[inline(never)]
pub fn map_slices<T: Element>(n: usize, sources: [&[T]; SOURCES], body: Loop<T>) -> Vec<T> {
    let piece = |start: usize, out: &mut [Uninit<T>]| {
        let slices = sources.map(|x| if x.is_empty() { x } else { &x[start..start + out.len()] });
        body(Slots::new(out), slices);
    };
    // SAFETY: as in `map_by`.
    unsafe { in_pieces(n, &piece) }
}

/// `n` elements, of which `piece` writes those from a place on: all at once on one thread.
///
/// # Safety
/// `piece` must initialise every element of the slice that it is given.
unsafe fn in_pieces<T: Element>(n: usize, piece: &(dyn Fn(usize, &mut [Uninit<T>]) + Sync)) -> Vec<T> {
    if n == 0 {
        return Vec::new();
    }
    let threads = worthwhile(n);
    let size = if threads { PIECE } else { n };
    // SAFETY: `piece` writes all of its slots by this function's contract, and the pieces cover the whole output.
    unsafe {
        buffer::written(n, |out| {
            parts(out, size, threads, &|i, part| piece(i * size, part));
        })
    }
}

/// `f(sources[0][i], sources[1][i], …)` for every element i of the shape `dims`; `f` must be inlined.
pub fn map<T: Element>(
    dims: &[usize],
    sources: [View<'_, T>; SOURCES],
    f: impl Fn([T; SOURCES]) -> T + Sync,
) -> Vec<T> {
    map_by(dims, sources, &|out, slices| {
        // SAFETY: as in `fuse`.
        unsafe { out.write(|out| vectorize!(write_fused(out, slices, &f))).1 }
    })
}

/// Rows at least this long are walked one after the other, without a copy.
const LONG: usize = 48;

/// Elements of a row that are taken at a time if a source is constant along it, or repeats.
const RUN: usize = 1024;

/// The longest part that is repeated along a row.
const PERIOD: usize = 512;

/// Makes one axis of the last two where some sources repeat along the outer one of them, as a vector that is added to each row of a
/// matrix does, and all others are contiguous or constant; the lengths of the parts that repeat.
fn join_rows<T>(dims: &mut Dims, sources: &mut [View<'_, T>; SOURCES]) -> [usize; SOURCES] {
    let mut periods = [0; SOURCES];
    let &[.., outer, inner] = &dims[..] else { return periods };
    if !(2..=PERIOD).contains(&inner) || outer * inner < LONG {
        return periods;
    }
    for (period, view) in periods.iter_mut().zip(&*sources).filter(|(_, view)| !view.is_unused()) {
        match view.strides[dims.len() - 2..] {
            [0, 1] => *period = inner,
            [0, 0] => {}
            [outer, 1] if outer == inner => {}
            _ => return [0; SOURCES],
        }
    }
    if periods != [0; SOURCES] {
        let last = dims.len() - 1;
        dims.remove(last);
        dims[last - 1] = outer * inner;
        for view in sources.iter_mut().filter(|view| !view.is_unused()) {
            view.strides.remove(last - 1);
        }
    }
    periods
}

/// The elements from `start` on, row by row: along a row every source is constant, contiguous, or repeats its first elements.
fn rows<T: Element>(
    sources: &[View<'_, T>; SOURCES],
    periods: [usize; SOURCES],
    dims: &[usize],
    start: usize,
    out: &mut [Uninit<T>],
    body: Loop<T>,
) {
    let mut numbers = Aligned([[MaybeUninit::<T>::uninit(); RUN + PERIOD]; SOURCES]);
    let numbers = &mut numbers.0;
    let last = dims.len() - 1;
    let constant = sources.each_ref().map(|view| !view.is_unused() && view.strides[last] == 0);
    let copied: [bool; SOURCES] = std::array::from_fn(|i| constant[i] || periods[i] > 0);
    let step = if copied.contains(&true) { RUN } else { usize::MAX };
    let mut index = unravel(start, dims);
    let mut out = out;
    let mut known: [Option<usize>; SOURCES] = [None; SOURCES];
    // Where the row begins in each source.
    let mut begin = sources.each_ref().map(|view| match view.is_unused() {
        true => 0,
        false => index[..last].iter().zip(&view.strides).map(|(place, stride)| place * stride).sum(),
    });
    while !out.is_empty() {
        let n = (dims[last] - index[last]).min(out.len());
        for i in (0..SOURCES).filter(|&i| copied[i]) {
            if known[i] == Some(begin[i]) {
                continue;
            }
            known[i] = Some(begin[i]);
            // As many as the longest part of a row needs, not only this one.
            let whole = RUN.min(dims[last]);
            match periods[i] {
                0 => numbers[i][..whole].fill(MaybeUninit::new(sources[i].data[begin[i]])),
                period => {
                    let first = &sources[i].data[begin[i]..begin[i] + period];
                    for part in numbers[i][..whole + period].chunks_mut(period) {
                        fill(part, |i| first[i]);
                    }
                }
            }
        }
        let (mut row, later) = out.split_at_mut(n);
        out = later;
        let mut from = index[last];
        while !row.is_empty() {
            let (part, next) = row.split_at_mut(step.min(row.len()));
            let mut now: [&[T]; SOURCES] = [&[]; SOURCES];
            for i in 0..SOURCES {
                if copied[i] {
                    let first = if periods[i] > 0 { from % periods[i] } else { 0 };
                    // SAFETY: the first min(RUN, length of a row) numbers were written above, and as many more as a period has; the part is
                    // no longer than that, and starts within the first period.
                    now[i] = unsafe { buffer::assume_written(&numbers[i][first..first + part.len()]) };
                } else if !sources[i].is_unused() {
                    now[i] = &sources[i].data[begin[i] + from..][..part.len()];
                }
            }
            from += part.len();
            body(Slots::new(part), now);
            row = next;
        }
        index[last] = 0;
        for axis in (0..last).rev() {
            index[axis] += 1;
            let wraps = index[axis] == dims[axis];
            for i in (0..SOURCES).filter(|&i| !sources[i].is_unused()) {
                begin[i] += sources[i].strides[axis];
                begin[i] -= if wraps { dims[axis] * sources[i].strides[axis] } else { 0 };
            }
            if !wraps {
                break;
            }
            index[axis] = 0;
        }
    }
}

/// The elements from `start` on, block by block.
fn blocks<T: Element>(
    sources: &[View<'_, T>; SOURCES],
    dims: &[usize],
    start: usize,
    out: &mut [Uninit<T>],
    body: Loop<T>,
) {
    let mut blocks = Aligned([[MaybeUninit::<T>::uninit(); BLOCK]; SOURCES]);
    let blocks = &mut blocks.0;
    let constant = sources.each_ref().map(|view| view.strides.iter().all(|&stride| stride == 0));
    let straight = sources.each_ref().map(|view| dims.len() == 1 && view.strides[..] == [1]);
    let mut walks = [const { None }; SOURCES];
    for i in (0..SOURCES).filter(|&i| !straight[i] && !sources[i].is_unused()) {
        walks[i] = Some(Walk::new(&sources[i], dims, start));
    }
    for (number, part) in out.chunks_mut(BLOCK).enumerate() {
        let (n, from) = (part.len(), start + number * BLOCK);
        for i in 0..SOURCES {
            // A constant is copied once: the first block is the longest.
            if constant[i] && number > 0 {
                continue;
            }
            if let Some(walk) = &mut walks[i] {
                walk.fill(&mut blocks[i][..n]);
            }
        }
        let mut slices: [&[T]; SOURCES] = [&[]; SOURCES];
        for i in (0..SOURCES).filter(|&i| !sources[i].is_unused()) {
            slices[i] = if straight[i] {
                &sources[i].data[from..from + n]
            } else {
                // SAFETY: source i is in use and not straight, so its walk has just written the first n elements of
                // block i (or, for a constant, all elements of the first and longest block).
                unsafe { buffer::assume_written(&blocks[i][..n]) }
            };
        }
        body(Slots::new(part), slices);
    }
}

/// `f(x[i])` for every i, of another type.
pub fn cast<T: Element, U: Element>(x: &[T], f: impl Fn(T) -> U + Sync) -> Vec<U> {
    let piece = |start: usize, out: &mut [Uninit<U>]| {
        let x = &x[start..start + out.len()];
        vectorize!({
            for i in 0..x.len() {
                out[i].write(f(x[i]));
            }
        });
    };
    // SAFETY: each piece writes all of its slots, and the pieces cover the whole output.
    unsafe {
        buffer::written(x.len(), |out| {
            parts(out, PIECE, worthwhile(x.len()), &|i, part| piece(i * PIECE, part));
        })
    }
}

/// `target[i] += other[i]`
#[inline(never)]
pub fn add_assign<T: Element>(target: &mut [T], other: &[T]) {
    let add = |target: &mut [T], other: &[T]| {
        vectorize!(target.iter_mut().zip(other).for_each(|(a, &b)| *a += b));
    };
    parts(target, PIECE, worthwhile(target.len()), &|i, part| add(part, &other[i * PIECE..]));
}

#[cfg(test)]
mod tests {
    use super::super::view::{Dims, View};
    use super::{add_assign, map, sources};

    fn view<'a>(data: &'a [f32], strides: &[usize]) -> View<'a, f32> {
        View { data, strides: Dims::from_slice(strides) }
    }

    #[test]
    fn every_layout_against_plain_indexing() {
        let data: Vec<f32> = (0..200_000).map(|i| i as f32).collect();
        let shapes: [[usize; 3]; 6] =
            [[1, 1, 1], [2, 3, 4], [7, 1, 600], [600, 3, 5], [40, 50, 60], [0, 3, 4]];
        for dims in shapes {
            let [x, y, z] = dims;
            let layouts: [[usize; 3]; 6] =
                [[y * z, z, 1], [1, x, x * y], [0, 0, 0], [0, 0, 1], [1, 0, 0], [0, 1, y]];
            for sa in layouts {
                for sb in layouts {
                    let at = |s: [usize; 3], i: usize| i / (y * z) * s[0] + i / z % y * s[1] + i % z * s[2];
                    let expected: Vec<f32> =
                        (0..x * y * z).map(|i| data[at(sa, i)] - 2.0 * data[at(sb, i)]).collect();
                    let got =
                        map(&dims, sources([view(&data, &sa), view(&data, &sb)]), |[a, b, ..]| a - 2.0 * b);
                    assert_eq!(got, expected, "{dims:?} {sa:?} {sb:?}");
                }
            }
        }
    }

    #[test]
    fn scalars_and_nothing() {
        let one = [3.0];
        let one = || sources([view(&one, &[])]);
        assert_eq!(map(&[], one(), |[a, ..]| a * a), [9.0]);
        assert!(map(&[0, 5], one(), |[a, ..]| a).is_empty());
    }

    #[test]
    fn adding_in_place() {
        for n in [0, 1, 5, 100_003] {
            let mut a: Vec<f64> = (0..n).map(|i| i as f64).collect();
            let b: Vec<f64> = (0..n).map(|i| 2.0 * i as f64).collect();
            add_assign(&mut a, &b);
            assert!(a.iter().enumerate().all(|(i, &x)| x == 3.0 * i as f64));
        }
    }
}
