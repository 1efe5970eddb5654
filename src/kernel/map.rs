//! Element-by-element loops over several arrays at once.

use std::mem::MaybeUninit;

use rayon::prelude::*;

use super::Element;
use super::block::{Block, WIDTH};
use super::buffer::{self, Uninit};
use super::parallel::{PIECE, vectorize, worthwhile};
use super::view::{View, Walk, coalesce};

/// How many arrays one loop reads at most: three inputs, the output and its gradient.
pub(crate) const SOURCES: usize = 5;

/// `N` views and placeholders for the rest.
pub(crate) fn sources<'a, T, const N: usize>(views: [View<'a, T>; N]) -> [View<'a, T>; SOURCES] {
    let mut views = views.into_iter();
    std::array::from_fn(|_| views.next().unwrap_or_else(View::unused))
}

/// Elements per block where an array has to be gathered first: all blocks of a loop stay in level-1 cache.
const BLOCK: usize = 512;

/// `f(sources[0][i], sources[1][i], …)` for every element i of the shape `dims`, in row-major order.
///
/// Arrays that are not contiguous are gathered block by block, so that the loop itself is always over plain slices.
/// `f` must be inlined (closures over `#[inline(always)]` functions are); if it cannot be, see [`map_blocks`].
pub(crate) fn map<T: Element>(
    dims: &[usize],
    sources: [View<'_, T>; SOURCES],
    f: impl Fn([T; SOURCES]) -> T + Send + Sync,
) -> Vec<T> {
    run(dims, sources, |out, slices| {
        vectorize(
            #[inline(always)]
            || body(out, slices, &f),
        );
    })
}

/// [`map`] for a function that is not inlined: it is handed [`Block`]s instead of numbers.
pub(crate) fn map_blocks<T: Element>(
    dims: &[usize],
    sources: [View<'_, T>; SOURCES],
    f: impl Fn([Block<T>; SOURCES]) -> Block<T> + Send + Sync,
) -> Vec<T> {
    let used = sources.each_ref().map(|view| !view.is_unused());
    run(dims, sources, |out, slices| {
        let mut blocks = [Block::zero(); SOURCES];
        for (number, part) in out.chunks_mut(WIDTH).enumerate() {
            let range = number * WIDTH..number * WIDTH + part.len();
            for i in (0..SOURCES).filter(|&i| used[i]) {
                blocks[i].load(&slices[i][range.clone()]);
            }
            for (slot, &value) in part.iter_mut().zip(f(blocks).numbers()) {
                slot.write(value);
            }
        }
    })
}

/// Calls `body` for piece after piece of the output, with plain slices of the sources, until all of it is written.
fn run<T: Element>(
    dims: &[usize],
    mut sources: [View<'_, T>; SOURCES],
    body: impl Fn(&mut [Uninit<T>], [&[T]; SOURCES]) + Send + Sync,
) -> Vec<T> {
    let n = dims.iter().product();
    if n == 0 {
        return Vec::new();
    }
    let dims = coalesce(dims, &mut sources);
    let contiguous = dims.len() <= 1
        && sources.iter().all(|view| {
            view.is_unused() || view.strides.iter().all(|&stride| stride == 1) && view.data.len() >= n
        });
    let piece = |start: usize, out: &mut [Uninit<T>]| blocks(&sources, &dims, contiguous, start, out, &body);
    // SAFETY: both bodies write every element of the slice they are given, and the pieces cover the whole output.
    #[allow(unsafe_code)]
    unsafe {
        buffer::written(n, |out| {
            if worthwhile(n) {
                out.par_chunks_mut(PIECE).enumerate().for_each(|(i, part)| piece(i * PIECE, part));
            } else {
                piece(0, out);
            }
        })
    }
}

/// The elements from `start` on, block by block.
fn blocks<T: Element>(
    sources: &[View<'_, T>; SOURCES],
    dims: &[usize],
    contiguous: bool,
    start: usize,
    out: &mut [Uninit<T>],
    body: &impl Fn(&mut [Uninit<T>], [&[T]; SOURCES]),
) {
    let mut blocks = [[MaybeUninit::<T>::uninit(); BLOCK]; SOURCES];
    let constant = sources.each_ref().map(|view| view.strides.iter().all(|&stride| stride == 0));
    let straight = sources.each_ref().map(|view| contiguous || dims.len() == 1 && view.strides[..] == [1]);
    let Some(used) = sources.iter().position(|view| !view.is_unused()) else { return };
    let mut walks = [const { None }; SOURCES];
    for i in (0..SOURCES).filter(|&i| !straight[i] && !sources[i].is_unused()) {
        walks[i] = Some(Walk::new(&sources[i], dims, start));
    }
    let step = if contiguous { out.len() } else { BLOCK };
    for (number, part) in out.chunks_mut(step).enumerate() {
        let (n, from) = (part.len(), start + number * step);
        for i in 0..SOURCES {
            // A number is copied out once: the first block is the longest.
            if constant[i] && number > 0 {
                continue;
            }
            if let Some(walk) = &mut walks[i] {
                walk.fill(&mut blocks[i][..n]);
            }
        }
        let slices: [&[T]; SOURCES] = std::array::from_fn(|i| {
            let i = if sources[i].is_unused() { used } else { i };
            if straight[i] {
                return &sources[i].data[from..from + n];
            }
            // SAFETY: source i is in use and not straight, so its walk has just written the first n elements of
            // block i (or, for a number, all elements of the first and longest block).
            #[allow(unsafe_code)]
            unsafe {
                buffer::assume_written(&blocks[i][..n])
            }
        });
        body(part, slices);
    }
}

#[inline(always)]
fn body<T: Copy, F: Fn([T; SOURCES]) -> T>(out: &mut [Uninit<T>], [a, b, c, d, e]: [&[T]; SOURCES], f: &F) {
    let n = out.len();
    let (a, b, c, d, e) = (&a[..n], &b[..n], &c[..n], &d[..n], &e[..n]);
    for i in 0..n {
        out[i].write(f([a[i], b[i], c[i], d[i], e[i]]));
    }
}

/// `target[i] += other[i]`, in place.
pub(crate) fn add_assign<T>(target: &mut [T], other: &[T])
where
    T: Element,
{
    let add = |target: &mut [T], other: &[T]| {
        vectorize(
            #[inline(always)]
            || target.iter_mut().zip(other).for_each(|(a, &b)| *a += b),
        );
    };
    if worthwhile(target.len()) {
        target.par_chunks_mut(PIECE).zip(other.par_chunks(PIECE)).for_each(|(a, b)| add(a, b));
    } else {
        add(target, other);
    }
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
