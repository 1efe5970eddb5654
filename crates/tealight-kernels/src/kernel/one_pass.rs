//! Products of a matrix with vectors from both sides, of which the second follows from the first: the matrix is read once.

use super::buffer::{self, Scratch};
use super::chain::{FEW, LINKS, Link, last_link};
use super::parallel::{DisjointChunks, for_each, parts, worthwhile};
use super::{Element, add_assign, products};
use smallvec::SmallVec;

/// The fewest and the most columns that are summed at a time: enough for the processor to read ahead in each row, and as many as have
/// their sums in level-2 cache.
const FEWEST: usize = 2048;
const MOST: usize = 1 << 14;

/// Elements of the matrix that stay in level-2 cache from one product to the other.
const CACHED: usize = 1 << 17;

/// How many of `n` rows are summed by themselves, before their sum is added to that of the rows before: by their number alone, so that
/// threads give the same bits.
pub fn run_of(n: usize) -> usize {
    n.div_ceil(16).max(48).next_multiple_of(8)
}

/// out ← vᵀ·b, or out + vᵀ·b if `add`, where b is k × n and its rows are `stride` apart, and the elements of v are `step` apart.
pub(super) fn vector_matrix<T: Element>(
    out: &mut [T],
    [k, n]: [usize; 2],
    v: &[T],
    step: usize,
    (b, stride): (&[T], usize),
    add: bool,
    threads: bool,
) {
    let run = run_of(k);
    let mut copied: SmallVec<[T; 512]> = SmallVec::new();
    let v = if step == 1 {
        &v[..k]
    } else {
        copied.extend((0..k).map(|i| v[i * step]));
        &copied
    };
    assert_eq!(out.len(), n, "the caller gives a row for the product");
    // A column's sum does not depend on the others.
    let strip = match threads {
        true => n.div_ceil(2 * rayon::current_num_threads()).clamp(FEWEST, MOST),
        false => MOST,
    };
    parts(out, strip, threads, &|number, out| {
        if !add {
            out.fill(T::default());
        }
        let columns = &b[number * strip..];
        let mut sums = Scratch::<T>::new(if k > run { out.len() } else { 0 });
        for (number, factors) in v.chunks(run).enumerate() {
            let rows = &columns[number * run * stride..];
            let is_first = number == 0;
            if !is_first {
                sums.fill(T::default());
            }
            // One call: a page has room for one such loop.
            products::add_rows(if is_first { &mut *out } else { &mut sums }, rows, stride, factors);
            if !is_first {
                add_assign(out, &sums);
            }
        }
    });
}

/// z = x·w, plus the bias if there is one, and gᵀ·x, where x is m × k, row by row, and g is what the last of the links makes of the
/// inputs. z is input 0; `inputs` are those from 1 on, of m elements, or one for all.
///
/// The bits are those of both products and the links one after the other.
#[inline(never)]
pub fn one_pass<T: Element>(
    x: &[T],
    w: &[T],
    bias: Option<T>,
    [m, k]: [usize; 2],
    inputs: &[&[T]],
    links: &[Link<'_, T>],
) -> [Vec<T>; 2] {
    assert!(x.len() >= m * k && w.len() >= k, "kernel::one_pass: a matrix reaches beyond its slice");
    let (x, w) = (&x[..m * k], &w[..k]);
    let (mut z, mut out) = (buffer::zeros::<T>(m), buffer::zeros::<T>(k));
    let run = run_of(m);
    let block = (CACHED / k.max(1) / 8 * 8).clamp(8, FEW);
    let add_run = |number: usize, z: &mut [T], sums: &mut [T]| {
        for (i, z) in z.chunks_mut(block).enumerate() {
            let from = number * run + i * block;
            let to = from + z.len();
            let rows = &x[from * k..to * k];
            if let Some(bias) = bias {
                z.fill(bias);
            }
            products::rows(rows, k, w, z, bias.is_some());
            let mut slices: SmallVec<[&[T]; LINKS]> = SmallVec::new();
            slices.push(z);
            slices.extend(inputs.iter().map(|input| if input.len() == m { &input[from..to] } else { input }));
            let mut g = [T::default(); FEW];
            let g = &mut g[..to - from];
            last_link(&slices, links, g);
            products::add_rows(sums, rows, k, g);
        }
    };
    let runs = m.div_ceil(run);
    if runs > 1 && k > 0 && worthwhile(m.saturating_mul(k)) {
        let mut sums = Scratch::<T>::new(runs * k);
        {
            let (z, sums) = (DisjointChunks::new(&mut z, run), DisjointChunks::new(&mut sums, k));
            for_each(runs, true, &|i| {
                let sums = sums.take(i);
                sums.fill(T::default());
                add_run(i, z.take(i), sums);
            });
        }
        sums.chunks_exact(k).for_each(|sums| add_assign(&mut out, sums));
    } else {
        let mut sums = Scratch::<T>::new(if runs > 1 { k } else { 0 });
        for (i, z) in z.chunks_mut(run).enumerate() {
            if i == 0 {
                add_run(i, z, &mut out);
            } else {
                sums.fill(T::default());
                add_run(i, z, &mut sums);
                add_assign(&mut out, &sums);
            }
        }
    }
    [z, out]
}

#[cfg(test)]
mod tests {
    use super::super::chain::{ElementLoop, LinkSource};
    use super::super::{Block, Element, Matrix, SOURCES, Slots, Written, affine, fuse, matmul};
    use super::{Link, one_pass};
    use crate::formula::Real;

    /// (a − b)·c
    struct Slope;
    impl<T: Element> ElementLoop<T> for Slope
    where
        Block<T>: Real,
    {
        fn run<'s>(&self, out: Slots<'s, T>, slices: [&[T]; SOURCES]) -> Written<'s> {
            fuse(out, slices, |[a, b, c, ..]| (a - b) * c, &|[a, b, c, ..]| (*a - *b) * *c)
        }
    }

    fn check<T: Element>(m: usize, k: usize)
    where
        Block<T>: Real,
    {
        let wave = |n: usize, f: f64| (0..n).map(|i| T::constant((i as f64 * f).sin())).collect::<Vec<T>>();
        let (x, w, t, c) = (wave(m * k, 0.7), wave(k, 1.3), wave(m, 2.9), [T::constant(0.1)]);
        let sources = |a, b, c| [a, b, c, LinkSource::Unused, LinkSource::Unused];
        let links = [
            Link {
                body: &Slope,
                sources: sources(LinkSource::Input(0), LinkSource::Input(1), LinkSource::Input(2)),
                is_kept: false,
            },
            Link {
                body: &Slope,
                sources: sources(LinkSource::Link(0), LinkSource::Input(0), LinkSource::Link(0)),
                is_kept: false,
            },
        ];
        let slope = |a: T, b: T, c: T| (a - b) * c;
        for bias in [None, Some(T::constant(0.3))] {
            let matrix = |data, rows, columns| Matrix { data, rows, columns };
            let z = match bias {
                Some(bias) => affine(&x, &w, &[bias], [m, k, 1]),
                None => matmul(1, [m, k, 1], |_| (matrix(&x[..], k, 1), matrix(&w[..], 1, 1))),
            };
            let g: Vec<T> = z
                .iter()
                .zip(&t)
                .map(|(&z, &t)| {
                    let first = slope(z, t, c[0]);
                    slope(first, z, first)
                })
                .collect();
            let expected = matmul(1, [1, m, k], |_| (matrix(&g[..], m, 1), matrix(&x[..], k, 1)));
            let turned = matmul(1, [k, m, 1], |_| (matrix(&x[..], 1, k), matrix(&g[..], 1, 1)));
            assert!(k == 1 || turned == expected, "{m} {k}");
            for threads in [1, 2, 3] {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
                let [a, b] = pool.install(|| one_pass(&x, &w, bias, [m, k], &[&t, &c], &links));
                assert!(a == z && (k == 1 || b == expected), "{m} {k} {threads}");
            }
            let exact = |j: usize| (0..m).map(|i| g[i].to_f64() * x[i * k + j].to_f64()).sum::<f64>();
            let worst = (0..k).map(|j| (exact(j) - expected[j].to_f64()).abs()).fold(0.0, f64::max);
            let most = if size_of::<T>() == 8 { 1e-13 } else { 1e-4 };
            assert!(worst <= most * (m as f64).max(1.0), "{m} {k} {worst}");
        }
    }

    #[test]
    fn as_two_products() {
        for (m, k) in
            [(0, 3), (1, 1), (1, 300), (2, 5), (3, 5000), (47, 40), (49, 40), (64, 7), (209, 600), (2100, 9)]
        {
            check::<f32>(m, k);
            check::<f64>(m, k);
        }
        // Some rows in level-2 cache.
        check::<f32>(75, 12_289);
    }

    #[test]
    fn nan_and_infinity_arrive() {
        let x = [f64::INFINITY, 1.0, 2.0, f64::NAN];
        let link = Link {
            body: &Slope,
            sources: [
                LinkSource::Input(0),
                LinkSource::Input(1),
                LinkSource::Input(1),
                LinkSource::Unused,
                LinkSource::Unused,
            ],
            is_kept: false,
        };
        let [z, out] = one_pass(&x, &[1.0, 1.0], None, [2, 2], &[&[0.5]], &[link]);
        assert!(z[0] == f64::INFINITY && z[1].is_nan() && out.iter().all(|x| x.is_nan()));
    }
}
