//! Dot products by explicit vectors, in lanes that do not depend on the vectors' width.

use pulp::{Simd, WithSimd};

use super::Element;
use super::parallel::run;
use super::reduce::{BLOCK, HALF, LANES, across};

/// Σ aᵢ·bᵢ
struct Dot<'a, T> {
    a: &'a [T],
    b: &'a [T],
}

impl<T: Element> WithSimd for Dot<'_, T> {
    type Output = f64;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> f64 {
        of::<S, T, false>(simd, self.a, self.b, T::default())
    }
}

/// Σ xᵢ·factor
struct Sum<'a, T> {
    x: &'a [T],
    factor: T,
}

impl<T: Element> WithSimd for Sum<'_, T> {
    type Output = f64;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> f64 {
        of::<S, T, true>(simd, self.x, self.x, self.factor)
    }
}

/// a ← a + t·b, and then Σ aᵢ·cᵢ
struct AddScaledDot<'a, T> {
    a: &'a mut [T],
    t: T,
    b: &'a [T],
    c: &'a [T],
}

impl<T: Element> WithSimd for AddScaledDot<'_, T> {
    type Output = f64;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> f64 {
        match LANES * size_of::<T>() / size_of::<T::Vector<S>>() {
            2 => self.in_vectors::<S, 2>(simd),
            4 => self.in_vectors::<S, 4>(simd),
            8 => self.in_vectors::<S, 8>(simd),
            16 => self.in_vectors::<S, 16>(simd),
            _ => self.in_vectors::<S, LANES>(simd),
        }
    }
}

impl<T: Element> AddScaledDot<'_, T> {
    /// The sums are those of [`in_vectors`].
    #[inline(always)]
    fn in_vectors<S: Simd, const N: usize>(self, simd: S) -> f64 {
        let AddScaledDot { a, t, b, c } = self;
        let mut total = [0.0; HALF];
        let factors = T::splat(simd, t);
        for ((a, b), c) in a.chunks_mut(BLOCK).zip(b.chunks(BLOCK)).zip(c.chunks(BLOCK)) {
            let rest = a.len() / LANES * LANES;
            let mut sums = [T::splat(simd, T::default()); N];
            let vectors = T::vectors_mut::<S>(&mut a[..rest])
                .chunks_exact_mut(N)
                .zip(T::vectors::<S>(&b[..rest]).chunks_exact(N))
                .zip(T::vectors::<S>(&c[..rest]).chunks_exact(N));
            for ((a, b), c) in vectors {
                for i in 0..N {
                    a[i] = T::plus(simd, a[i], T::times(simd, factors, b[i]));
                    sums[i] = T::fused(simd, a[i], c[i], sums[i]);
                }
            }
            add_lanes::<S, T, N>(&sums, &mut total);
            for (i, ((a, &b), &c)) in a[rest..].iter_mut().zip(&b[rest..]).zip(&c[rest..]).enumerate() {
                *a += t * b;
                total[i % HALF] += (*a * c).to_f64();
            }
        }
        across(total)
    }
}

/// The product of a matrix, row after row, with a vector.
struct Rows<'a, T> {
    rows: &'a [T],
    stride: usize,
    vector: &'a [T],
    out: &'a mut [T],
    add: bool,
}

impl<T: Element> WithSimd for Rows<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        match PLACES * size_of::<T>() / size_of::<T::Vector<S>>() {
            1 => self.by::<S, 1>(simd),
            2 => self.by::<S, 2>(simd),
            4 => self.by::<S, 4>(simd),
            8 => self.by::<S, 8>(simd),
            _ => self.by::<S, PLACES>(simd),
        }
    }
}

impl<T: Element> Rows<'_, T> {
    #[inline(always)]
    fn by<S: Simd, const N: usize>(self, simd: S) {
        let Rows { rows, stride, vector, out, add } = self;
        let row = |i: usize| &rows[i * stride..][..vector.len()];
        for (number, out) in out.chunks_mut(4).enumerate() {
            let (first, last) = (4 * number, 4 * number + out.len() - 1);
            // The last row stands in for missing ones.
            let some = [row(first), row(last.min(first + 1)), row(last.min(first + 2)), row(last)];
            let sums = four::<S, T, N>(simd, some, vector);
            for i in 0..out.len() {
                let sum = T::constant(sums[if i + 1 == out.len() { 3 } else { i }]);
                out[i] = if add { out[i] + sum } else { sum };
            }
        }
    }
}

/// out ← out + factorsᵀ·rows.
struct AddRows<'a, T> {
    rows: &'a [T],
    stride: usize,
    factors: &'a [T],
    out: &'a mut [T],
}

impl<T: Element> WithSimd for AddRows<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let AddRows { rows, stride, factors, out } = self;
        let width = out.len();
        let row = |i: usize| &rows[i * stride..][..width];
        let mut i = 0;
        // A page has no room for another loop, which would make the same sums.
        while cfg!(not(target_arch = "wasm32")) && i + 8 <= factors.len() {
            let lines = std::array::from_fn(|r| row(i + r));
            add_fours::<S, T, 8>(simd, out, lines, std::array::from_fn(|r| factors[i + r]));
            i += 8;
        }
        while i + 4 <= factors.len() {
            let lines = std::array::from_fn(|r| row(i + r));
            add_fours::<S, T, 4>(simd, out, lines, std::array::from_fn(|r| factors[i + r]));
            i += 4;
        }
        for i in i..factors.len() {
            add_one::<S, T>(simd, out, row(i), factors[i]);
        }
    }
}

/// Where the vectors of a row lie: the elements before the first that is at the start of a line of the cache, and those in whole vectors.
#[inline(always)]
fn in_vectors_from<S: Simd, T: Element>(row: &[T]) -> [usize; 2] {
    let lanes = size_of::<T::Vector<S>>() / size_of::<T>();
    // A page has no room for the loop before the first vector, and its sums are the same.
    let from = match cfg!(target_arch = "wasm32") {
        true => 0,
        false => row.as_ptr().align_offset(64).min(row.len()),
    };
    [from, from + (row.len() - from) / lanes * lanes]
}

/// Vectors of the sums that stay in registers while rows are added.
const WIDE: usize = if cfg!(target_arch = "wasm32") { 1 } else { 8 };

/// Adds rows times their factors, four at a time.
#[inline(always)]
fn add_fours<S: Simd, T: Element, const ROWS: usize>(
    simd: S,
    out: &mut [T],
    rows: [&[T]; ROWS],
    factors: [T; ROWS],
) {
    let n = out.len();
    // A vector that lies in two lines takes as long as two.
    let [from, to] = in_vectors_from::<S, T>(rows[0]);
    add_elements(&mut out[..from], rows, factors, 0);
    add_vectors::<S, T, ROWS>(simd, &mut out[from..to], rows.map(|row| &row[from..to]), factors);
    add_elements(&mut out[to..n], rows, factors, to);
}

/// [`add_fours`] one element after the other: those from `from` on.
#[inline(always)]
fn add_elements<T: Element, const ROWS: usize>(
    out: &mut [T],
    rows: [&[T]; ROWS],
    factors: [T; ROWS],
    from: usize,
) {
    for (j, sum) in out.iter_mut().enumerate() {
        for r in (0..ROWS).step_by(4) {
            let left = factors[r] * rows[r][from + j] + factors[r + 1] * rows[r + 1][from + j];
            *sum += left + (factors[r + 2] * rows[r + 2][from + j] + factors[r + 3] * rows[r + 3][from + j]);
        }
    }
}

/// [`add_fours`] of whole vectors.
#[inline(always)]
fn add_vectors<S: Simd, T: Element, const ROWS: usize>(
    simd: S,
    out: &mut [T],
    rows: [&[T]; ROWS],
    factors: [T; ROWS],
) {
    let sums = T::vectors_mut::<S>(out);
    let n = sums.len();
    let (mut vectors, mut splat) = ([&[][..]; ROWS], [T::splat(simd, T::default()); ROWS]);
    for r in 0..ROWS {
        vectors[r] = &T::vectors::<S>(rows[r])[..n];
        splat[r] = T::splat(simd, factors[r]);
    }
    let wide = n / WIDE * WIDE;
    for j in (0..wide).step_by(WIDE) {
        let mut own = [T::splat(simd, T::default()); WIDE];
        own.copy_from_slice(&sums[j..j + WIDE]);
        for r in (0..ROWS).step_by(4) {
            for l in 0..WIDE {
                own[l] = T::plus(simd, own[l], four_products::<S, T, ROWS>(simd, &vectors, &splat, r, j + l));
            }
        }
        sums[j..j + WIDE].copy_from_slice(&own);
    }
    for j in wide..n {
        for r in (0..ROWS).step_by(4) {
            sums[j] = T::plus(simd, sums[j], four_products::<S, T, ROWS>(simd, &vectors, &splat, r, j));
        }
    }
}

/// The products of the vectors j of the rows from r on.
#[inline(always)]
fn four_products<S: Simd, T: Element, const ROWS: usize>(
    simd: S,
    rows: &[&[T::Vector<S>]; ROWS],
    factors: &[T::Vector<S>; ROWS],
    r: usize,
    j: usize,
) -> T::Vector<S> {
    let left =
        T::plus(simd, T::times(simd, factors[r], rows[r][j]), T::times(simd, factors[r + 1], rows[r + 1][j]));
    let right = T::plus(
        simd,
        T::times(simd, factors[r + 2], rows[r + 2][j]),
        T::times(simd, factors[r + 3], rows[r + 3][j]),
    );
    T::plus(simd, left, right)
}

#[inline(always)]
fn add_one<S: Simd, T: Element>(simd: S, out: &mut [T], row: &[T], factor: T) {
    let lanes = size_of::<T::Vector<S>>() / size_of::<T>();
    let whole = out.len() / lanes * lanes;
    let factors = T::splat(simd, factor);
    let sums = T::vectors_mut::<S>(&mut out[..whole]);
    for (sum, &x) in sums.iter_mut().zip(T::vectors::<S>(&row[..whole])) {
        *sum = T::plus(simd, *sum, T::times(simd, factors, x));
    }
    for j in whole..out.len() {
        out[j] += factor * row[j];
    }
}

/// Σ aᵢ·bᵢ
pub(super) fn dot<T: Element>(a: &[T], b: &[T]) -> f64 {
    run(Dot { a, b })
}

/// a ← a + t·b, and then Σ aᵢ·cᵢ
pub(super) fn add_scaled_dot<T: Element>(a: &mut [T], t: T, b: &[T], c: &[T]) -> f64 {
    run(AddScaledDot { a, t, b, c })
}

/// Σ xᵢ·factor
pub(super) fn sum<T: Element>(x: &[T], factor: T) -> f64 {
    run(Sum { x, factor })
}

/// out ← rows·vector, or out + rows·vector if `add`.
pub(super) fn rows<T: Element>(rows: &[T], stride: usize, vector: &[T], out: &mut [T], add: bool) {
    run(Rows { rows, stride, vector, out, add });
}

/// out ← out + factorsᵀ·rows: four rows at a time, and what is left one by one.
pub(super) fn add_rows<T: Element>(out: &mut [T], rows: &[T], stride: usize, factors: &[T]) {
    run(AddRows { rows, stride, factors, out });
}

#[inline(always)]
fn of<S: Simd, T: Element, const ALONE: bool>(simd: S, a: &[T], b: &[T], factor: T) -> f64 {
    // How many vectors hold the lanes.
    match LANES * size_of::<T>() / size_of::<T::Vector<S>>() {
        2 => in_vectors::<S, T, 2, ALONE>(simd, a, b, factor),
        4 => in_vectors::<S, T, 4, ALONE>(simd, a, b, factor),
        8 => in_vectors::<S, T, 8, ALONE>(simd, a, b, factor),
        16 => in_vectors::<S, T, 16, ALONE>(simd, a, b, factor),
        _ => in_vectors::<S, T, LANES, ALONE>(simd, a, b, factor),
    }
}

#[inline(always)]
fn in_vectors<S: Simd, T: Element, const N: usize, const ALONE: bool>(
    simd: S,
    a: &[T],
    b: &[T],
    factor: T,
) -> f64 {
    let mut total = [0.0; HALF];
    let factors = T::splat(simd, factor);
    for (a, b) in a.chunks(BLOCK).zip(b.chunks(BLOCK)) {
        let rest = a.len() / LANES * LANES;
        let mut sums = [T::splat(simd, T::default()); N];
        let vectors =
            T::vectors::<S>(&a[..rest]).chunks_exact(N).zip(T::vectors::<S>(&b[..rest]).chunks_exact(N));
        for (a, b) in vectors {
            for i in 0..N {
                sums[i] = T::fused(simd, a[i], if ALONE { factors } else { b[i] }, sums[i]);
            }
        }
        add_lanes::<S, T, N>(&sums, &mut total);
        for (i, (&a, &b)) in a[rest..].iter().zip(&b[rest..]).enumerate() {
            total[i % HALF] += (a * if ALONE { factor } else { b }).to_f64();
        }
    }
    across(total)
}

/// Adds the lanes of a block to the sums of the blocks before.
#[inline(always)]
fn add_lanes<S: Simd, T: Element, const N: usize>(sums: &[T::Vector<S>; N], total: &mut [f64; HALF]) {
    let mut lane = [T::default(); LANES];
    T::vectors_mut::<S>(&mut lane)[..N].copy_from_slice(sums);
    for i in 0..HALF {
        total[i] += (lane[i] + lane[i + HALF]).to_f64();
    }
}

/// The places in which the products of [`four`] are summed: as many numbers as the widest vector has.
const PLACES: usize = 16;

/// The products of four rows with one vector: each of its elements is read once for four rows, and four streams are read faster.
/// Blocks of elements are summed in [`PLACES`] accumulators, whose halves are added until one is left, and then in f64.
#[inline(always)]
fn four<S: Simd, T: Element, const N: usize>(simd: S, rows: [&[T]; 4], vector: &[T]) -> [f64; 4] {
    let mut total = [0.0; 4];
    for from in (0..vector.len()).step_by(2 * BLOCK) {
        let to = vector.len().min(from + 2 * BLOCK);
        let whole = from + (to - from) / PLACES * PLACES;
        let mut sums = [[T::splat(simd, T::default()); N]; 4];
        let v = T::vectors::<S>(&vector[from..whole]);
        let [a, b, c, d] =
            [&rows[0][from..whole], &rows[1][from..whole], &rows[2][from..whole], &rows[3][from..whole]];
        let (a, b) = (T::vectors::<S>(a), T::vectors::<S>(b));
        let (c, d) = (T::vectors::<S>(c), T::vectors::<S>(d));
        for i in (0..v.len()).step_by(N) {
            for j in 0..N {
                sums[0][j] = T::fused(simd, a[i + j], v[i + j], sums[0][j]);
                sums[1][j] = T::fused(simd, b[i + j], v[i + j], sums[1][j]);
                sums[2][j] = T::fused(simd, c[i + j], v[i + j], sums[2][j]);
                sums[3][j] = T::fused(simd, d[i + j], v[i + j], sums[3][j]);
            }
        }
        for i in 0..4 {
            let mut place = [T::default(); PLACES];
            T::vectors_mut::<S>(&mut place)[..N].copy_from_slice(&sums[i]);
            for j in whole..to {
                place[j - whole] = rows[i][j].multiply_add(vector[j], place[j - whole]);
            }
            let mut width = PLACES / 2;
            while width > 0 {
                for j in 0..width {
                    let other = place[j + width];
                    place[j] += other;
                }
                width /= 2;
            }
            total[i] += place[0].to_f64();
        }
    }
    total
}

#[cfg(test)]
mod tests {
    use super::{dot, rows, sum};

    #[test]
    fn every_length_against_a_plain_loop() {
        let a: Vec<f64> = (0..3000).map(|i| (i as f64 * 0.7).sin()).collect();
        let b: Vec<f64> = (0..3000).map(|i| (i as f64 * 0.3).cos()).collect();
        for n in [0, 1, 7, 31, 32, 33, 511, 512, 513, 1100, 3000] {
            let exact: f64 = a[..n].iter().zip(&b[..n]).map(|(a, b)| a * b).sum();
            assert!((dot(&a[..n], &b[..n]) - exact).abs() < 1e-12, "{n}");
            let (narrow_a, narrow_b): (Vec<f32>, Vec<f32>) =
                a[..n].iter().zip(&b[..n]).map(|(&a, &b)| (a as f32, b as f32)).unzip();
            assert!((dot(&narrow_a, &narrow_b) - exact).abs() < 1e-4, "{n}");
        }
        assert!((sum(&a, 2.0) - 2.0 * a.iter().sum::<f64>()).abs() < 1e-10);
        for count in [1, 2, 3, 4, 5, 9] {
            for k in [1, 40, 700] {
                let mut out = vec![1.0; count];
                rows(&a, 200, &b[..k], &mut out, true);
                for (i, out) in out.into_iter().enumerate() {
                    assert!((out - 1.0 - dot(&a[200 * i..][..k], &b[..k])).abs() < 1e-12, "{count} {k} {i}");
                }
            }
        }
    }
}
