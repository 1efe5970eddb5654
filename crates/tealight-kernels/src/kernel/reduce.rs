//! Sums and folds, along an axis or over everything.
//!
//! A sum runs in [`LANES`] accumulators over blocks of [`BLOCK`] elements, and the blocks are added in f64, so that no
//! accumulator adds more than 17 numbers in f32 and the relative error of a sum of positive numbers stays under 1e-6 for any
//! length. The order of additions depends on the length alone, never on threads or instruction set.

use super::buffer::Scratch;
use super::parallel::{PIECE, collect, for_each_row, parts, vectorize, worthwhile};
use super::products;
use super::{Element, buffer};
use crate::formula::Real;

/// Accumulators in flight: enough to hide the latency of an addition. A loop over more is unrolled too late to keep them in
/// registers.
pub(super) const LANES: usize = 32;

/// Accumulators in f64: the lanes are added in pairs.
pub(super) const HALF: usize = LANES / 2;

/// Elements per block: 16 additions a lane.
pub(super) const BLOCK: usize = 512;

/// Σ f(aᵢ, bᵢ); the blocks are summed in the type of `f`'s result.
pub(super) fn sum_of<T: Element, A: Element, F>(a: &[T], b: &[T], f: F) -> f64
where
    F: Fn(T, T) -> A + Sync,
{
    in_pieces(a.len(), &|from, to| {
        let (a, b) = (&a[from..to], &b[from..to]);
        vectorize!(lanes(a, b, &f))
    })
}

/// The sum of `f(from, to)` over pieces of `n` elements, in a fixed order.
#[inline]
pub(super) fn in_pieces(n: usize, f: &(dyn Fn(usize, usize) -> f64 + Sync)) -> f64 {
    if n <= PIECE { f(0, n) } else { in_several_pieces(n, f) }
}

fn in_several_pieces(n: usize, f: &(dyn Fn(usize, usize) -> f64 + Sync)) -> f64 {
    let mut sums = Scratch::zeros(n.div_ceil(PIECE));
    collect(&mut sums, PIECE, &|i| f(i * PIECE, n.min((i + 1) * PIECE)));
    sums.iter().sum()
}

/// [`sum_of`] on this thread, to be inlined into a vector loop.
#[inline(always)]
pub(super) fn lanes<T: Element, A: Element, F: Fn(T, T) -> A>(a: &[T], b: &[T], f: &F) -> f64 {
    if a.len() < LANES {
        return a.iter().zip(b).map(|(&a, &b)| f(a, b).to_f64()).sum();
    }
    let mut total = [0.0; HALF];
    for (a, b) in a.chunks(BLOCK).zip(b.chunks(BLOCK)) {
        lane_sums(a, b, &mut total, f);
    }
    across(total)
}

/// Adds Σ f(aᵢ, bᵢ) of at most [`BLOCK`] elements to `total`, whose [`across`] is the sum.
#[inline(always)]
pub(super) fn lane_sums<T: Element, A: Element>(
    a: &[T],
    b: &[T],
    total: &mut [f64; HALF],
    f: &impl Fn(T, T) -> A,
) {
    let lane = wide_sums(a, b, f);
    for i in 0..HALF {
        total[i] += (lane[i] + lane[i + HALF]).to_f64();
    }
    let whole = a.len() / LANES * LANES;
    let (mut a, mut b) = (&a[whole..], &b[whole..]);
    if let (Some((some_a, rest_a)), Some((some_b, rest_b))) =
        (a.split_first_chunk::<HALF>(), b.split_first_chunk::<HALF>())
    {
        for i in 0..HALF {
            total[i] += f(some_a[i], some_b[i]).to_f64();
        }
        (a, b) = (rest_a, rest_b);
    }
    for (total, (&a, &b)) in total.iter_mut().zip(a.iter().zip(b)) {
        *total += f(a, b).to_f64();
    }
}

/// The sums of whole runs of lanes. In a function of its own, or they do not stay in registers.
#[inline(always)]
fn wide_sums<T: Element, A: Element>(a: &[T], b: &[T], f: &impl Fn(T, T) -> A) -> [A; LANES] {
    let mut lane = [A::default(); LANES];
    for (a, b) in a.chunks_exact(LANES).zip(b.chunks_exact(LANES)) {
        for i in 0..LANES {
            lane[i] += f(a[i], b[i]);
        }
    }
    lane
}

#[inline(always)]
pub(super) fn across(mut total: [f64; HALF]) -> f64 {
    let mut width = HALF / 2;
    while width > 0 {
        for i in 0..width {
            total[i] += total[i + width];
        }
        width /= 2;
    }
    total[0]
}

/// The sum of all elements.
#[inline(never)]
pub fn sum<T: Element>(x: &[T]) -> T {
    T::constant(in_pieces(x.len(), &|from, to| products::sum(&x[from..to], T::constant(1.0))))
}

/// Elements that are computed at a time to be added: enough for the processor to see that they are read in order.
pub(super) const MADE: usize = 4 * BLOCK;

/// The sum of `n` elements that `make(from, elements)` computes, [`MADE`] at a time.
pub(super) fn sum_made<T: Element>(n: usize, make: &(dyn Fn(usize, &mut [T]) + Sync)) -> T {
    T::constant(in_pieces(n, &|from, to| {
        let mut numbers = Scratch::new(MADE.min(to - from));
        let mut total = 0.0;
        for start in (from..to).step_by(MADE) {
            let numbers = &mut numbers[..MADE.min(to - start)];
            make(start, numbers);
            total += products::sum(numbers, T::constant(1.0));
        }
        total
    }))
}

/// Whether no element is NaN or infinite.
#[inline(never)]
pub fn is_finite<T: Element>(x: &[T]) -> bool {
    // NaN and ±∞ times 0 are NaN.
    in_pieces(x.len(), &|from, to| products::sum(&x[from..to], T::default())) == 0.0
}

/// Σ aᵢ·bᵢ of two arrays of the same length.
#[inline(never)]
pub fn dot<T: Element>(a: &[T], b: &[T]) -> T {
    T::constant(in_pieces(a.len(), &|from, to| products::dot(&a[from..to], &b[from..to])))
}

/// a ← a + t·b, rounded twice, and then [`dot`] of a and c, in one pass: each step of L-BFGS's recursion.
#[inline(never)]
pub fn add_scaled_dot<T: Element>(a: &mut [T], t: T, b: &[T], c: &[T]) -> T {
    if a.len() <= PIECE {
        return T::constant(products::add_scaled_dot(a, t, b, c));
    }
    let add = |i: usize, a: &mut [T]| {
        let b = &b[i * PIECE..];
        vectorize!(a.iter_mut().zip(b).for_each(|(a, &b)| *a += t * b));
    };
    parts(a, PIECE, worthwhile(a.len()), &add);
    dot(a, c)
}

/// The sum along the middle axis of an array of shape (outer, axis, inner).
#[inline(never)]
pub fn sum_axis<T: Element>(x: &[T], outer: usize, axis: usize, inner: usize) -> Vec<T> {
    if (axis, inner, outer) == (x.len(), 1, 1) && axis > 0 {
        return buffer::one(sum(x));
    }
    let mut out = buffer::zeros(outer * inner);
    if axis == 0 || out.is_empty() {
        return out;
    }
    if inner == 1 {
        let some = |from: usize, slots: &mut [T]| {
            vectorize!({
                // A loop, no iterator: its closure would not be inlined into the vector code.
                for i in 0..slots.len() {
                    let row = &x[(from + i) * axis..(from + i + 1) * axis];
                    slots[i] = T::constant(lanes(row, row, &|x, _| x));
                }
            });
        };
        let rows = PIECE.div_ceil(axis);
        parts(&mut out, rows, worthwhile(x.len()), &|i, part| some(i * rows, part));
        return out;
    }
    let column = |o: usize, start: usize, out: &mut [T]| {
        let x = &x[o * axis * inner..];
        vectorize!(columns(axis, |row| &x[row * inner + start..], out, |x| x));
    };
    let threads = worthwhile(x.len());
    if outer == 1 {
        parts(&mut out, WIDTH, threads, &|i, part| column(0, i * WIDTH, part));
    } else {
        parts(&mut out, inner, threads, &|o, row| {
            row.chunks_mut(WIDTH).enumerate().for_each(|(i, part)| column(o, i * WIDTH, part));
        });
    }
    out
}

/// The sums of the squares of the elements of some rows at each place, with the bits that [`sum_axis`] gives of the squares.
#[inline(never)]
pub fn sum_squares<T: Element>(rows: &[&[T]]) -> Vec<T> {
    let inner = rows.first().map_or(0, |row| row.len());
    let mut out = buffer::zeros(inner);
    parts(&mut out, WIDTH, worthwhile(rows.len() * inner), &|i, part| {
        vectorize!(columns(rows.len(), |row| &rows[row][i * WIDTH..], part, |x| x * x));
    });
    out
}

/// Columns that are summed together: their accumulators stay in level-1 cache.
const WIDTH: usize = 256;

/// Sums `of` each number in the columns of `axis` rows, which begin with those of `out`, into it: 16 rows at a time in T, and these in f64.
#[inline(always)]
fn columns<'a, T: Element>(axis: usize, row: impl Fn(usize) -> &'a [T], out: &mut [T], of: impl Fn(T) -> T) {
    let n = out.len();
    let row = |i: usize| &row(i)[..n];
    if axis <= 16 {
        let first = row(0);
        for i in 0..n {
            out[i] = of(first[i]);
        }
        for next in 1..axis {
            let row = row(next);
            for i in 0..n {
                out[i] += of(row[i]);
            }
        }
        return;
    }
    let mut total = Scratch::<f64>::zeros(n);
    let total = &mut total[..];
    for from in (0..axis).step_by(16) {
        out.fill(T::default());
        for next in from..axis.min(from + 16) {
            let row = row(next);
            for i in 0..n {
                out[i] += of(row[i]);
            }
        }
        for i in 0..n {
            total[i] += out[i].to_f64();
        }
    }
    for i in 0..n {
        out[i] = T::constant(total[i]);
    }
}

/// `f` over the middle axis of an array of shape (outer, axis, inner), axis > 0. `f` must be commutative, associative and
/// idempotent, as maximum and minimum are.
pub fn fold_axis<T, F>(x: &[T], outer: usize, axis: usize, inner: usize, f: F) -> Vec<T>
where
    T: Element,
    F: Fn(T, T) -> T + Send + Sync,
{
    let mut out = buffer::zeros(outer * inner);
    for_each_row(&mut out, inner, |o, out| {
        let block = &x[o * axis * inner..(o + 1) * axis * inner];
        vectorize!({
            if inner == 1 {
                out[0] = fold(block, &f);
                return;
            }
            out.copy_from_slice(&block[..inner]);
            for row in block[inner..].chunks_exact(inner) {
                for i in 0..inner {
                    out[i] = f(out[i], row[i]);
                }
            }
        });
    });
    out
}

/// `f` over a row that has elements; as for [`fold_axis`].
#[inline(always)]
pub(super) fn fold<T: Element>(x: &[T], f: &impl Fn(T, T) -> T) -> T {
    if x.len() < LANES {
        return x[1..].iter().fold(x[0], |a, &b| f(a, b));
    }
    let mut lane = wide_fold(x, f);
    // The last elements, some of them for the second time.
    let last = &x[x.len() - LANES..];
    for i in 0..LANES {
        lane[i] = f(lane[i], last[i]);
    }
    let mut width = LANES / 2;
    while width > 0 {
        for i in 0..width {
            lane[i] = f(lane[i], lane[i + width]);
        }
        width /= 2;
    }
    lane[0]
}

/// In a function of its own for the reason of [`wide_sums`].
#[inline(always)]
fn wide_fold<T: Element>(x: &[T], f: &impl Fn(T, T) -> T) -> [T; LANES] {
    let mut lane = [x[0]; LANES];
    for part in x.chunks_exact(LANES) {
        for i in 0..LANES {
            lane[i] = f(lane[i], part[i]);
        }
    }
    lane
}

/// The largest element of a row that has elements, from which the row is subtracted before its exponentials are taken. A NaN
/// may be passed over: it shows in the exponentials.
#[inline(always)]
pub(super) fn row_max<T: Element>(x: &[T]) -> T {
    fold(x, &|a: T, b: T| if b > a { b } else { a })
}

/// The largest absolute value; NaN if there is one, 0 for no elements.
#[inline(always)]
pub(super) fn max_abs<T: Element>(x: &[T]) -> T {
    if x.is_empty() { T::default() } else { fold(x, &|a: T, b: T| Real::maximum(a.abs(), b.abs())).abs() }
}

/// ‖x‖ in A, given Σ x² (`squares`): its root, unless that is so `small`, or its reciprocal so large, that squares overflowed or
/// lost digits.
#[inline(always)]
pub(super) fn length<T: Element, A: Element>(x: &[T], squares: A, small: f64, wide: impl Fn(T) -> A) -> A {
    if squares > A::constant(small) && squares < A::constant(1.0 / small) {
        return squares.sqrt();
    }
    extreme_length(x, wide)
}

/// [`length`] by scaled squares: slower, and for any elements.
#[inline(never)]
fn extreme_length<T: Element, A: Element>(x: &[T], wide: impl Fn(T) -> A) -> A {
    let largest = wide(max_abs(x));
    if largest == A::default() || !largest.to_f64().is_finite() {
        return largest;
    }
    // A quotient: a subnormal number has no finite reciprocal.
    let scaled = x.iter().map(|&x| wide(x) / largest).fold(A::default(), |sum, x| sum + x * x);
    largest * scaled.sqrt()
}

#[cfg(test)]
mod tests {
    use super::super::Element;
    use super::{add_scaled_dot, dot, fold_axis, sum, sum_axis, sum_squares};

    #[test]
    fn ten_million_f32_stay_exact_to_1e_6() {
        for value in [0.1_f32, 1.0 / 3.0, 16_777.21] {
            let x = vec![value; 10_000_000];
            let exact = f64::from(value) * 1e7;
            assert!((f64::from(sum(&x)) - exact).abs() < 1e-6 * exact, "{value}: {} {exact}", sum(&x));
            let columns = sum_axis(&x, 1, 5_000_000, 2);
            assert!((f64::from(columns[1]) - exact / 2.0).abs() < 1e-6 * exact);
        }
        let x: Vec<f32> = (0..10_000_000).map(|i| 1.0 + (i % 1009) as f32 * 1e-3).collect();
        let exact: f64 = x.iter().map(|&x| f64::from(x)).sum();
        assert!((f64::from(sum(&x)) - exact).abs() < 1e-6 * exact);
    }

    #[test]
    fn adding_and_multiplying_has_the_bits_of_two_passes() {
        fn check<T: Element>(n: usize) {
            let numbers = |k: f64| (0..n).map(|i| T::constant((i as f64 * k).sin())).collect::<Vec<T>>();
            let (mut a, b, c, t) = (numbers(0.7), numbers(1.3), numbers(2.9), T::constant(0.1));
            // Rounded twice.
            let sums: Vec<T> = a.iter().zip(&b).map(|(&a, &b)| a + std::hint::black_box(t * b)).collect();
            let product = add_scaled_dot(&mut a, t, &b, &c);
            assert!(a == sums && product == dot(&c, &sums), "{n} elements");
        }
        for n in [0, 1, 5, 16, 31, 32, 33, 511, 512, 513, 1153, 100_003] {
            check::<f32>(n);
            check::<f64>(n);
        }
    }

    fn along<T: Element>(x: &[T], outer: usize, axis: usize, inner: usize) -> Vec<f64> {
        (0..outer * inner)
            .map(|i| (0..axis).map(|k| x[(i / inner * axis + k) * inner + i % inner].to_f64()).sum())
            .collect()
    }

    #[test]
    fn sums_of_squares_have_the_bits_of_squares_that_are_summed() {
        for (axis, inner) in [(1, 5), (10, 300), (16, 64), (17, 64), (40, 1000)] {
            let x: Vec<f32> = (0..axis * inner).map(|i| (i as f32 * 1.37).sin()).collect();
            let squares: Vec<f32> = x.iter().map(|x| x * x).collect();
            let rows: Vec<_> = x.chunks(inner).collect();
            assert_eq!(sum_squares(&rows), sum_axis(&squares, 1, axis, inner), "{axis}, {inner}");
        }
        assert!(sum_squares(&[&[1.0, f64::NAN], &[f64::INFINITY, -0.0]])[1].is_nan());
        assert!(sum_squares::<f32>(&[]).is_empty());
    }

    #[test]
    fn axes_against_plain_sums() {
        for (outer, axis, inner) in [
            (1, 1, 1),
            (1, 0, 3),
            (0, 3, 2),
            (3, 5, 0),
            (2, 3, 4),
            (1, 70, 1),
            (5, 1030, 1),
            (3, 17, 300),
            (1, 40, 2000),
            (300, 300, 1),
            (2, 300, 300),
        ] {
            let x: Vec<f64> = (0..outer * axis * inner).map(|i| (i as f64 * 0.37).sin()).collect();
            let got = sum_axis(&x, outer, axis, inner);
            let expected = along(&x, outer, axis, inner);
            assert_eq!(got.len(), expected.len());
            for (a, b) in got.iter().zip(&expected) {
                assert!((a - b).abs() < 1e-11, "{outer} {axis} {inner}: {a} {b}");
            }
        }
    }

    #[test]
    fn maxima_and_products() {
        let x: Vec<f32> = (0..3 * 130 * 7).map(|i| ((i * 7919) % 1013) as f32).collect();
        for (outer, axis, inner) in [(3, 130, 7), (21, 130, 1), (1, 2730, 1)] {
            let expected: Vec<f32> = (0..outer * inner)
                .map(|i| {
                    (0..axis).map(|k| x[(i / inner * axis + k) * inner + i % inner]).fold(-1.0, f32::max)
                })
                .collect();
            assert_eq!(fold_axis(&x, outer, axis, inner, |a, b| if a > b { a } else { b }), expected);
        }
        assert_eq!(dot(&[1.0, 2.0, 3.0], &[4.0, 5.0, 6.0]), 32.0);
        assert_eq!(dot::<f64>(&[], &[]), 0.0);
    }
}
