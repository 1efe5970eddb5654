//! The exponentials of a long row, and their sum.

use std::mem::MaybeUninit;

use pulp::{Simd, WithSimd};

use super::Element;
use super::buffer::{self, Uninit};
use super::parallel::run;
use super::reduce::{BLOCK, HALF, LANES, across};
use super::simd::{Wide, prefetch};
use crate::formula::math::{Singles, exp_negative_f32};

/// exp(x − max x) of a row of at least [`LANES`] elements.
pub(super) struct Exponentials<'a, T> {
    pub(super) e: &'a mut [T],
    /// May ignore a NaN, which shows in the exponentials.
    pub(super) largest: T,
    /// At least 1.
    pub(super) sum: T,
}

/// exp(x − max x) into `out`.
#[inline(always)]
pub(super) fn exponentials<'a, T: Element>(x: &[T], out: &'a mut [Uninit<T>]) -> Exponentials<'a, T> {
    let out = &mut out[..x.len()];
    let (largest, sum) = T::exponentials(x, out);
    // SAFETY: both implementations, `plain` and `singles`, write every slot, of which there are as many as elements of x.
    let e = unsafe { buffer::assume_written_mut(out) };
    Exponentials { e, largest, sum: T::constant(sum) }
}

/// The largest element, by explicit vectors: the last steps of `row_max` are slow.
struct Largest<'a, T>(&'a [T]);

impl<T: Element> WithSimd for Largest<'_, T> {
    type Output = T;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> T {
        largest(simd, self.0)
    }
}

/// Of a row that is no shorter than a vector, but maybe shorter than four.
#[inline(always)]
fn largest<S: Simd, T: Element>(simd: S, x: &[T]) -> T {
    let mut most = [T::splat(simd, T::constant(f64::NEG_INFINITY)); 4];
    let runs = T::vectors::<S>(x).chunks_exact(4);
    let rest = runs.remainder();
    for run in runs {
        for i in 0..4 {
            most[i] = T::larger(simd, run[i], most[i]);
        }
    }
    // The last vector may overlap others.
    let width = size_of::<T::Vector<S>>() / size_of::<T>();
    for part in [rest, T::vectors::<S>(&x[x.len() - width..])] {
        for (i, &vector) in part.iter().enumerate() {
            most[i] = T::larger(simd, vector, most[i]);
        }
    }
    let [a, b, c, d] = most;
    T::largest(simd, T::larger(simd, T::larger(simd, a, b), T::larger(simd, c, d)))
}

/// The plain loop, for f64.
#[inline(always)]
pub(super) fn plain<T: Element>(x: &[T], out: &mut [Uninit<T>]) -> (T, f64) {
    let (largest, ahead) = (run(Largest(x)), x.len());
    let mut total = 0.0;
    for (x, out) in x.chunks(BLOCK).zip(out.chunks_mut(BLOCK)) {
        let lane = lanes(x, ahead, largest, out);
        total += lane.iter().map(|lane| lane.to_f64()).sum::<f64>();
        for i in x.len() / LANES * LANES..x.len() {
            let e = (x[i] - largest).exp_negative();
            out[i].write(e);
            total += e.to_f64();
        }
    }
    (largest, total)
}

/// The sums of whole runs of lanes. In a function of its own, or they do not stay in registers.
#[inline(always)]
fn lanes<T: Element>(x: &[T], ahead: usize, largest: T, out: &mut [Uninit<T>]) -> [T; LANES] {
    let mut lane = [T::default(); LANES];
    for (x, out) in x.chunks_exact(LANES).zip(out.chunks_exact_mut(LANES)) {
        prefetch(x.as_ptr().wrapping_add(ahead), LANES);
        for i in 0..LANES {
            let e = (x[i] - largest).exp_negative();
            out[i].write(e);
            lane[i] += e;
        }
    }
    lane
}

/// For f32 by explicit vectors, several of which take each step together: in the plain loop each waits for the one before.
pub(super) fn singles(x: &[f32], out: &mut [Uninit<f32>]) -> (f32, f64) {
    run(Row { x, out })
}

struct Row<'a> {
    x: &'a [f32],
    out: &'a mut [Uninit<f32>],
}

impl WithSimd for Row<'_> {
    type Output = (f32, f64);

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> (f32, f64) {
        // How many vectors hold the lanes, and how many of them take each step together.
        match LANES / S::F32_LANES {
            2 => self.by::<S, 2, 2>(simd),
            4 => self.by::<S, 4, 4>(simd),
            8 => self.by::<S, 8, 4>(simd),
            _ => self.by::<S, LANES, 4>(simd),
        }
    }
}

impl Row<'_> {
    #[inline(always)]
    fn by<S: Simd, const V: usize, const G: usize>(self, simd: S) -> (f32, f64) {
        let (number, ahead) = (largest(simd, self.x), self.x.len());
        let largest = Wide(simd, [simd.splat_f32s(number); G]);
        let mut total = [0.0; HALF];
        for (x, out) in self.x.chunks(BLOCK).zip(self.out.chunks_mut(BLOCK)) {
            let (whole, rest) = x.split_at(x.len() / LANES * LANES);
            let (out, last) = out.split_at_mut(whole.len());
            let mut sums = [simd.splat_f32s(0.0); V];
            let runs = S::as_simd_f32s(whole).0.chunks_exact(V);
            for (x, out) in runs.zip(S::as_uninit_mut_simd_f32s(out).0.chunks_exact_mut(V)) {
                prefetch(x.as_ptr().cast::<f32>().wrapping_add(ahead), LANES);
                step(largest, &mut sums, x, out);
            }
            if !rest.is_empty() {
                // exp(−∞) = 0 for the missing elements.
                let (mut x, mut e) = ([f32::NEG_INFINITY; LANES], [MaybeUninit::uninit(); LANES]);
                x[..rest.len()].copy_from_slice(rest);
                step(largest, &mut sums, S::as_simd_f32s(&x).0, S::as_uninit_mut_simd_f32s(&mut e).0);
                last.copy_from_slice(&e[..rest.len()]);
            }
            let mut lane = [0.0; LANES];
            S::as_mut_simd_f32s(&mut lane).0.copy_from_slice(&sums);
            for i in 0..HALF {
                total[i] += f64::from(lane[i] + lane[i + HALF]);
            }
        }
        (number, across(total))
    }
}

/// Writes the exponentials of V vectors to `out` and adds them to `sums`.
#[inline(always)]
fn step<S: Simd, const V: usize, const G: usize>(
    largest: Wide<S, G>,
    sums: &mut [S::f32s; V],
    x: &[S::f32s],
    out: &mut [MaybeUninit<S::f32s>],
) {
    let simd = largest.0;
    for i in (0..V).step_by(G) {
        let mut group = largest;
        group.1.copy_from_slice(&x[i..i + G]);
        let Wide(_, e) = exp_negative_f32(group.minus(largest));
        for j in 0..G {
            sums[i + j] = simd.add_f32s(sums[i + j], e[j]);
            out[i + j].write(e[j]);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::mem::MaybeUninit;

    use pulp::{Simd, WithSimd};

    use super::super::Element;
    use super::super::buffer::assume_written_mut;
    use super::{Row, exponentials, largest, plain};

    #[test]
    fn explicit_vectors_and_the_plain_loop_give_the_same_exponentials() {
        for n in [32, 33, 63, 64, 511, 512, 513, 1000, 3001] {
            let x: Vec<f32> = (0..n).map(|i| 7.0 - (i as f32 * 0.37 + 9.0) % 100.0).collect();
            let largest = x.iter().fold(f32::NEG_INFINITY, |a, &b| a.max(b));
            let mut slots = [vec![MaybeUninit::uninit(); n], vec![MaybeUninit::uninit(); n]];
            let [named, other] = &mut slots;
            let row = exponentials(&x, named);
            let expected: Vec<f32> = x.iter().map(|x| (x - largest).exp_negative()).collect();
            assert!(row.e == expected && row.largest == largest, "{n}");
            let exact: f64 = expected.iter().map(|&e| f64::from(e)).sum();
            assert!((f64::from(row.sum) - exact).abs() <= 1e-6 * exact, "{n}: {} {exact}", row.sum);
            let (same, sum) = plain(&x, other);
            assert!(same == largest && (sum - exact).abs() <= 1e-6 * exact, "{n}");
        }
    }

    /// Vectors of 512, 256 and 128 bits, which pulp imitates where the machine has none.
    #[test]
    fn every_width_of_a_vector() {
        fn check<S: Simd>(simd: S) {
            for n in [32, 33, 47, 48, 63, 64, 65, 127, 1000] {
                for most in [0, 17, 31, n - 1] {
                    let mut x: Vec<f32> = (0..n).map(|i| -(i as f32 * 0.37) % 50.0).collect();
                    x[most] = 3.0;
                    let mut slots = vec![MaybeUninit::uninit(); n];
                    let (number, sum) = Row { x: &x, out: &mut slots }.with_simd(simd);
                    let expected: Vec<f32> = x.iter().map(|x| (x - 3.0).exp_negative()).collect();
                    let exact: f64 = expected.iter().map(|&e| f64::from(e)).sum();
                    assert!(number == 3.0 && (sum - exact).abs() <= 1e-6 * exact, "{n} {most}");
                    // SAFETY: `by` writes every slot, as `exponentials` relies on.
                    let e = unsafe { assume_written_mut(&mut slots) };
                    assert_eq!(e, expected, "{n} {most}");
                    let wide: Vec<f64> = x.iter().map(|&x| f64::from(x)).collect();
                    assert_eq!(largest(simd, &wide), 3.0);
                }
            }
        }
        check(pulp::Scalar512b);
        check(pulp::Scalar256b);
        check(pulp::Scalar128b);
    }

    #[test]
    fn nan_and_infinities() {
        for x in [f32::NAN, f32::NEG_INFINITY, f32::INFINITY] {
            let mut slots = [MaybeUninit::uninit(); 40];
            let row = exponentials(&[x; 40], &mut slots);
            assert!(row.sum.is_nan() && row.e.iter().all(|e| e.is_nan()), "{x}");
        }
        for at in [0, 3, 31, 32, 39] {
            let mut x = [-1.0_f32; 40];
            x[at] = f32::NAN;
            let mut slots = [MaybeUninit::uninit(); 40];
            let row = exponentials(&x, &mut slots);
            assert!(row.sum.is_nan() && row.e[at].is_nan() && row.largest == -1.0, "{at}");
        }
        let mut x = [f32::NEG_INFINITY; 33];
        (x[0], x[1]) = (0.0, -200.0);
        let mut slots = [MaybeUninit::uninit(); 33];
        let row = exponentials(&x, &mut slots);
        assert!(row.sum == 1.0 && row.e[0] == 1.0 && row.e[1..].iter().all(|&e| e == 0.0));
    }
}
