//! Element-by-element loops after each other, block by block: what one makes for the next stays in level-1 cache.

use std::mem::MaybeUninit;

use smallvec::SmallVec;

use super::Element;
use super::buffer::{self, Uninit};
use super::map::{SOURCES, Slots, Written};
use super::parallel::{PIECE, Shared, for_each, worthwhile};
use super::simd::Aligned;

/// The most loops of a [`chain`], and the most arrays that it reads.
pub const LINKS: usize = 16;

/// Elements of a block.
const BLOCK: usize = 512;

/// A loop that computes a part of an array from the same parts of the sources; see [`Loop`](super::Loop).
pub trait ElementLoop<T> {
    fn run<'s>(&self, out: Slots<'s, T>, slices: [&[T]; SOURCES]) -> Written<'s>;
}

/// Where an operand of a [`Link`] comes from.
#[derive(Clone, Copy, Debug)]
pub enum LinkSource {
    Unused,
    /// The input with this number.
    Input(usize),
    /// The link with this number, which is an earlier one.
    Link(usize),
}

/// One loop of a [`chain`].
pub struct Link<'a, T> {
    pub body: &'a (dyn ElementLoop<T> + Sync),
    pub sources: [LinkSource; SOURCES],
    /// Whether its array is a result of the chain.
    pub is_kept: bool,
}

/// The arrays of `n` elements of the links that are kept, in their order. An input has `n` elements, or one, which stands for all.
///
/// The results are those of the loops over whole arrays, bit for bit: a loop computes each element by itself.
#[inline(never)]
pub fn chain<T: Element>(n: usize, inputs: &[&[T]], links: &[Link<'_, T>]) -> SmallVec<[Vec<T>; LINKS]> {
    assert!(inputs.len() <= LINKS && links.len() <= LINKS, "the caller groups as many as fit");
    let kept = links.iter().filter(|link| link.is_kept);
    let mut results: SmallVec<[Vec<T>; LINKS]> = kept.map(|_| buffer::empty(n)).collect();
    if n == 0 {
        return results;
    }
    let mut starts = results.iter_mut().map(|result| Shared::new(result.spare_capacity_mut().as_mut_ptr()));
    // By link.
    let targets: SmallVec<[Option<Shared<Uninit<T>>>; LINKS]> =
        links.iter().map(|link| if link.is_kept { starts.next() } else { None }).collect();
    let threads = worthwhile(n);
    let size = if threads { PIECE } else { n };
    let piece = |piece: usize| {
        let (first, end) = (piece * size, n.min((piece + 1) * size));
        let mut made = Aligned([[const { MaybeUninit::<T>::uninit() }; BLOCK]; LINKS]);
        let mut constants = Aligned([[const { MaybeUninit::<T>::uninit() }; BLOCK]; LINKS]);
        for (block, x) in constants.0.iter_mut().zip(inputs) {
            if x.len() == 1 {
                buffer::fill(&mut block[..BLOCK.min(end - first)], |_| x[0]);
            }
        }
        for from in (first..end).step_by(BLOCK) {
            let len = BLOCK.min(end - from);
            for (i, link) in links.iter().enumerate() {
                let (earlier, own) = made.0.split_at_mut(i);
                let slices = link.sources.map(|source| match source {
                    LinkSource::Unused => &[][..],
                    LinkSource::Input(j) if inputs[j].len() > 1 => &inputs[j][from..from + len],
                    // SAFETY: as many elements as the longest block of the piece has were written above.
                    LinkSource::Input(j) => unsafe { buffer::assume_written(&constants.0[j][..len]) },
                    LinkSource::Link(j) => match &targets[..i][j] {
                        // SAFETY: link j has written these elements of its result, as the `Written` below proves. Only this piece has
                        // them, and nobody writes them again.
                        Some(target) => unsafe {
                            std::slice::from_raw_parts(target.get().add(from).cast_const().cast::<T>(), len)
                        },
                        // SAFETY: link j has written the first `len` elements of its block, as the `Written` below proves.
                        None => unsafe { buffer::assume_written(&earlier[j][..len]) },
                    },
                });
                let out = match &targets[i] {
                    // SAFETY: the result has room for n elements, and this piece alone has those from `from` on. A link reads
                    // earlier ones only.
                    Some(target) => unsafe { std::slice::from_raw_parts_mut(target.get().add(from), len) },
                    None => &mut own[0][..len],
                };
                let _: Written<'_> = link.body.run(Slots::new(out), slices);
            }
        }
    };
    for_each(n.div_ceil(size), threads, &piece);
    for result in &mut results {
        // SAFETY: the pieces cover all n elements, and each wrote its own, as `Written` proves.
        unsafe { result.set_len(n) };
    }
    results
}

/// The most elements of [`last_link`].
pub(super) const FEW: usize = 64;

/// What the last of the links makes of a few elements, which the inputs are, or one element for all.
pub(super) fn last_link<T: Element>(inputs: &[&[T]], links: &[Link<'_, T>], out: &mut [T]) {
    let n = out.len();
    assert!(n <= FEW && inputs.len() <= LINKS && links.len() <= LINKS, "the caller takes as many as fit");
    let mut constants = Aligned([[T::default(); FEW]; LINKS]);
    for (constant, x) in constants.0.iter_mut().zip(inputs).filter(|(_, x)| x.len() == 1) {
        constant[..n].fill(x[0]);
    }
    let mut made = Aligned([[T::default(); FEW]; LINKS]);
    for (i, link) in links.iter().enumerate() {
        let (earlier, own) = made.0.split_at_mut(i);
        let slices = link.sources.map(|source| match source {
            LinkSource::Unused => &[][..],
            LinkSource::Input(j) if inputs[j].len() > 1 => inputs[j],
            LinkSource::Input(j) => &constants.0[j][..n],
            LinkSource::Link(j) => &earlier[j][..n],
        });
        // SAFETY: MaybeUninit<T> has T's layout, and a loop writes only initialised elements.
        let own = unsafe { &mut *(std::ptr::from_mut(&mut own[0][..n]) as *mut [Uninit<T>]) };
        let _: Written<'_> = link.body.run(Slots::new(own), slices);
    }
    match links.len().checked_sub(1) {
        Some(last) => out.copy_from_slice(&made.0[last][..n]),
        None => out.copy_from_slice(inputs[0]),
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Slots, Written, fuse};
    use super::{ElementLoop, Link, LinkSource, SOURCES, chain};

    struct MulAdd;
    impl ElementLoop<f32> for MulAdd {
        fn run<'s>(&self, out: Slots<'s, f32>, slices: [&[f32]; SOURCES]) -> Written<'s> {
            fuse(out, slices, |[a, b, c, ..]| a * b + c, &|[a, b, c, ..]| *a * *b + *c)
        }
    }

    #[test]
    fn links_read_inputs_constants_and_earlier_links() {
        use LinkSource::{Input, Link as Earlier, Unused};
        for n in [0, 1, 2, 511, 512, 513, 70_000] {
            let a: Vec<f32> = (0..n).map(|i| (i % 7) as f32).collect();
            let b: Vec<f32> = (0..n).map(|i| (i % 5) as f32 - 2.0).collect();
            let link = |sources: [LinkSource; 3], is_kept| {
                let [x, y, z] = sources;
                Link { body: &MulAdd, sources: [x, y, z, Unused, Unused], is_kept }
            };
            let links = [
                link([Input(0), Input(1), Input(2)], false),
                link([Earlier(0), Input(2), Earlier(0)], true),
                link([Earlier(1), Earlier(0), Input(0)], false),
                link([Earlier(2), Earlier(1), Earlier(2)], true),
            ];
            let got = chain(n, &[&a, &b, &[3.0]], &links);
            let expected = a.iter().zip(&b).map(|(&a, &b)| {
                let first = a * b + 3.0;
                let second = first * 3.0 + first;
                let third = second * first + a;
                (second, third * second + third)
            });
            let (second, fourth): (Vec<f32>, Vec<f32>) = expected.unzip();
            assert_eq!(got.as_slice(), [second, fourth], "{n}");
        }
    }
}
