//! The matrix product, by the crate `gemm`. Not through candle, which reads `/proc/cpuinfo` for every product.

use super::buffer::{Uninit, fill};
use super::one_pass::vector_matrix;
use super::parallel::{
    PARALLEL_GEMM_FROM, PIECE, Shared, for_each, for_each_rows, gemm_worthwhile, parts, run, vectorize,
    worthwhile,
};
use super::products::rows;
use super::{Element, buffer};
use pulp::{Simd, WithSimd};

/// A matrix inside a slice: element (i, j) is `data[i·rows + j·columns]`.
#[derive(Clone, Copy)]
pub struct Matrix<'a, T> {
    pub data: &'a [T],
    pub rows: usize,
    pub columns: usize,
}

impl<T> Matrix<'_, T> {
    /// Whether every element of an m × n matrix lies inside the slice.
    fn holds(&self, m: usize, n: usize) -> bool {
        m == 0 || n == 0 || (m - 1) * self.rows + (n - 1) * self.columns < self.data.len()
    }
}

/// out ← a·b, or out + a·b if `add`, where a is m × k and b is k × n, on several threads if `threads`.
///
/// Element (i, j) of the product is `out[i·rows + j]`.
pub(super) fn multiply<T: Element>(
    out: (&mut [T], usize),
    sizes: [usize; 3],
    a: Matrix<T>,
    b: Matrix<T>,
    add: bool,
    threads: bool,
) {
    let ((out, rows), [m, k, n]) = (out, sizes);
    if m == 0 || n == 0 {
        return;
    }
    assert!((m - 1) * rows + n <= out.len(), "kernel::multiply: the product reaches beyond its slice");
    if k == 0 {
        if !add {
            out.chunks_mut(rows.max(1)).take(m).for_each(|row| row[..n].fill(T::default()));
        }
        return;
    }
    // SAFETY: the assertion above shows that the product lies inside the slice, whose elements are all initialised.
    unsafe {
        product(out.as_mut_ptr(), rows, sizes, a, b, add, threads);
    }
}

/// out ← a·b, or out + a·b if `add`, where k > 0. Unless `add`, `out` is never read.
///
/// # Safety
/// `out[i·rows + j]` must be valid to write for every i < m and j < n, and to read if `add`.
unsafe fn product<T: Element>(
    out: *mut T,
    rows: usize,
    [m, k, n]: [usize; 3],
    a: Matrix<T>,
    b: Matrix<T>,
    add: bool,
    threads: bool,
) {
    assert!(a.holds(m, k) && b.holds(k, n), "kernel::matmul: a matrix reaches beyond its slice");
    // `gemm` does not know relaxed SIMD, and its tiles are made for more registers.
    if !threads && m * n * k <= SMALL || cfg!(target_arch = "wasm32") {
        return run(Small { out, rows, sizes: [m, k, n], a, b, add });
    }
    let (by_columns, size) = cut([m, n, k]);
    let out = Shared::new(out);
    let piece = |i: usize| {
        let from = i * size;
        let (i, j, m, n) =
            if by_columns { (0, from, m, size.min(n - from)) } else { (from, 0, size.min(m - from), n) };
        let (left, right) = (&a.data[i * a.rows..], &b.data[j * b.columns..]);
        // SAFETY: by this function's contract `out` may be written, each piece has other rows or columns of it, and the assertion
        // above shows that both operands lie inside their slices.
        unsafe {
            gemm::gemm(
                m,
                n,
                k,
                out.get().add(i * rows + j),
                1,
                rows as isize,
                add,
                left.as_ptr(),
                a.columns as isize,
                a.rows as isize,
                right.as_ptr(),
                b.columns as isize,
                b.rows as isize,
                if add { T::constant(1.0) } else { T::constant(0.0) },
                T::constant(1.0),
                false,
                false,
                false,
                // Not gemm's own threads: while they wait they take up other tasks of rayon, such as a second training, which
                // would run inside the `no_grad` and the locks of this one.
                gemm::Parallelism::None,
            );
        }
    };
    for_each(if by_columns { n } else { m }.div_ceil(size), threads, &piece);
}

/// The pieces in which a large product is computed, by its sizes alone, so that its bits do not depend on the number of threads:
/// whether they are columns, and how many rows or columns a piece has.
fn cut([m, n, k]: [usize; 3]) -> (bool, usize) {
    let work = m.saturating_mul(n).saturating_mul(k);
    let pieces = if work < PARALLEL_GEMM_FROM { 1 } else { work / (PARALLEL_GEMM_FROM / 2) };
    // Each piece packs all of the other factor, which pays from 96 columns or 128 rows on. Pieces are whole vectors.
    let columns = n.div_ceil(pieces).max(96).next_multiple_of(32);
    if columns < n || pieces == 1 {
        return (true, columns);
    }
    (false, m.div_ceil(pieces).max(128).next_multiple_of(8))
}

/// A product of so few multiplications is faster without the memory and the packing of a large one.
const SMALL: usize = 1 << 15;

/// The columns and the rows of a tile: their sums stay in registers.
const WIDTH: usize = if cfg!(target_arch = "wasm32") { 8 } else { 16 };
const HEIGHT: usize = 4;

/// Rows of the right factor that are copied at a time.
const DEEP: usize = 256;

/// [`product`] of small matrices: each element is one fused multiply-add after the other.
///
/// `out` is as for [`product`]; a holds m × k elements, b holds k × n.
struct Small<'a, T> {
    out: *mut T,
    rows: usize,
    sizes: [usize; 3],
    a: Matrix<'a, T>,
    b: Matrix<'a, T>,
    add: bool,
}

impl<T: Element> WithSimd for Small<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        match WIDTH * size_of::<T>() / size_of::<T::Vector<S>>() {
            1 => self.tiles::<S, 1>(simd),
            2 => self.tiles::<S, 2>(simd),
            4 => self.tiles::<S, 4>(simd),
            8 => self.tiles::<S, 8>(simd),
            _ => self.one_by_one(),
        }
    }
}

impl<T: Element> Small<'_, T> {
    /// The same sums without vectors.
    fn one_by_one(self) {
        let Small { out, rows, sizes: [m, k, n], a, b, add } = self;
        for (i, j) in (0..m).flat_map(|i| (0..n).map(move |j| (i, j))) {
            let sum = (0..k).fold(T::default(), |sum, p| {
                a.data[i * a.rows + p * a.columns].multiply_add(b.data[p * b.rows + j * b.columns], sum)
            });
            // SAFETY: by the contract of `product`, for i < m and j < n.
            unsafe {
                let to = out.add(i * rows + j);
                to.write(if add { to.read() + sum } else { sum });
            }
        }
    }

    #[inline(always)]
    fn tiles<S: Simd, const N: usize>(self, simd: S) {
        let Small { out, rows, sizes: [m, k, n], a, b, add } = self;
        let mut packed = [const { Uninit::<T>::uninit() }; DEEP * WIDTH];
        let in_place = b.columns == 1 && n % WIDTH == 0;
        for j in (0..n).step_by(WIDTH) {
            let width = WIDTH.min(n - j);
            for i in (0..m).step_by(HEIGHT) {
                let height = HEIGHT.min(m - i);
                // The rows below the last one are computed from that one, and not written.
                let lines: [usize; HEIGHT] = std::array::from_fn(|r| (i + r.min(height - 1)) * a.rows);
                let mut sums = [[T::splat(simd, T::default()); N]; HEIGHT];
                for from in (0..k).step_by(DEEP) {
                    let depth = DEEP.min(k - from);
                    if !in_place && (i == 0 || k > DEEP) {
                        for p in 0..depth {
                            let row = &mut packed[p * WIDTH..(p + 1) * WIDTH];
                            for l in 0..width {
                                row[l].write(b.data[(from + p) * b.rows + (j + l) * b.columns]);
                            }
                            for l in width..WIDTH {
                                row[l].write(T::default());
                            }
                        }
                    }
                    let (right, step) = match in_place {
                        true => (&b.data[from * b.rows + j..], b.rows),
                        // SAFETY: these rows were written just now, or, if they are all there are, for the first tile.
                        false => (unsafe { buffer::assume_written(&packed[..depth * WIDTH]) }, WIDTH),
                    };
                    for p in 0..depth {
                        let row = T::vectors::<S>(&right[p * step..][..WIDTH]);
                        for r in 0..HEIGHT {
                            // SAFETY: a holds the element (i + r, from + p), or that of the last row.
                            let x = unsafe { *a.data.get_unchecked(lines[r] + (from + p) * a.columns) };
                            let x = T::splat(simd, x);
                            for l in 0..N {
                                sums[r][l] = T::fused(simd, x, row[l], sums[r][l]);
                            }
                        }
                    }
                }
                for r in 0..height {
                    let mut line = [T::default(); WIDTH];
                    T::vectors_mut::<S>(&mut line)[..N].copy_from_slice(&sums[r]);
                    for l in 0..width {
                        // SAFETY: by the contract of `product`, for i + r < m and j + l < n.
                        unsafe {
                            let to = out.add((i + r) * rows + j + l);
                            to.write(if add { to.read() + line[l] } else { line[l] });
                        }
                    }
                }
            }
        }
    }
}

/// out ← a·b (+ out, if `add`) where the product is one column or one row and the matrix is stored row by row, or column by column
/// where it is transposed; otherwise `false`, and nothing is done.
fn with_vector<T: Element>(
    out: &mut [T],
    [m, k, n]: [usize; 3],
    a: Matrix<T>,
    b: Matrix<T>,
    add: bool,
    threads: bool,
) -> bool {
    if n == 1 && a.columns == 1 && b.rows == 1 {
        let v = &b.data[..k];
        let size = (PIECE / k).clamp(1, m.max(1)).next_multiple_of(4);
        parts(out, size, threads, &|piece, out| {
            rows(&a.data[piece * size * a.rows..], a.rows, v, out, add);
        });
        return true;
    }
    if m == 1 && a.columns == 1 && b.rows == 1 {
        let v = &a.data[..k];
        let size = (PIECE / k).clamp(1, n.max(1)).next_multiple_of(4);
        parts(out, size, threads, &|piece, out| {
            rows(&b.data[piece * size * b.columns..], b.columns, v, out, add);
        });
        return true;
    }
    if m == 1 && b.columns == 1 {
        vector_matrix(out, [k, n], a.data, a.columns, (b.data, b.rows), add, threads);
        return true;
    }
    if n == 1 && a.rows == 1 {
        vector_matrix(out, [k, m], b.data, b.rows, (a.data, a.columns), add, threads);
        return true;
    }
    false
}

/// aᵢ·bⱼ
#[inline(never)]
pub fn outer<T: Element>(a: &[T], b: &[T]) -> Vec<T> {
    // SAFETY: the rows cover the whole output, and `fill` writes all of a row.
    unsafe {
        buffer::written(a.len() * b.len(), |out| {
            for_each_rows(out, b.len(), &|first, out| {
                vectorize!({
                    for (out, &a) in out.chunks_exact_mut(b.len()).zip(&a[first..]) {
                        fill(out, |j| a * b[j]);
                    }
                });
            });
        })
    }
}

/// x·wᵀ + bias, where x is m × k and w is n × k, both row by row.
#[inline(never)]
pub fn affine<T: Element>(x: &[T], w: &[T], bias: &[T], [m, k, n]: [usize; 3]) -> Vec<T> {
    let mut out = buffer::empty(m * n);
    (0..m).for_each(|_| out.extend_from_slice(&bias[..n]));
    let x = Matrix { data: x, rows: k, columns: 1 };
    into(&mut out, [m, k, n], x, Matrix { data: w, rows: 1, columns: k }, true);
    out
}

/// out ← a·b, or out + a·b if `add`, where `out` is m × n, row by row.
fn into<T: Element>(out: &mut [T], sizes: [usize; 3], a: Matrix<T>, b: Matrix<T>, add: bool) {
    let [m, k, n] = sizes;
    assert!(out.len() == m * n && a.holds(m, k) && b.holds(k, n), "kernel::gemm: a matrix of another size");
    let work = m.saturating_mul(n).saturating_mul(k);
    if k > 0 && with_vector(out, sizes, a, b, add, worthwhile(work)) {
        return;
    }
    multiply((out, n), sizes, a, b, add, gemm_worthwhile(work));
}

/// The products of `batch` pairs of matrices m × k and k × n, one after the other.
pub fn matmul<'a, T: Element>(
    batch: usize,
    sizes: [usize; 3],
    pair: impl Fn(usize) -> (Matrix<'a, T>, Matrix<'a, T>),
) -> Vec<T> {
    matmul_by(batch, sizes, &pair)
}

/// [`matmul`], compiled once.
#[inline(never)]
pub(super) fn matmul_by<'a, T: Element>(
    batch: usize,
    [m, k, n]: [usize; 3],
    pair: &dyn Fn(usize) -> (Matrix<'a, T>, Matrix<'a, T>),
) -> Vec<T> {
    if k == 0 {
        return buffer::zeros(batch * m * n);
    }
    if (m == 1 || n == 1) && m * n > 0 {
        let mut out = buffer::zeros(batch * m * n);
        for (i, out) in out.chunks_exact_mut(m * n).enumerate() {
            let (a, b) = pair(i);
            into(out, [m, k, n], a, b, false);
        }
        return out;
    }
    let threads = gemm_worthwhile(m.saturating_mul(n).saturating_mul(k));
    // SAFETY: each part of `out` has m·n elements, and `product` writes them all, because k > 0, and reads none.
    unsafe {
        buffer::written(batch * m * n, |out| {
            for (i, out) in out.chunks_exact_mut((m * n).max(1)).enumerate() {
                let (a, b) = pair(i);
                product(out.as_mut_ptr().cast::<T>(), n, [m, k, n], a, b, false, threads);
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use rayon::prelude::*;

    use super::{Matrix, matmul, multiply};

    thread_local!(static BUSY: Cell<bool> = const { Cell::new(false) });

    /// What a caller holds while it multiplies, such as a lock or a mode of its thread, meets no other task.
    #[test]
    fn a_thread_that_waits_takes_up_no_other_task() {
        let [m, k, n] = [128, 64, 256];
        let (a, b) = (vec![0.5_f32; m * k], vec![0.25_f32; k * n]);
        let (a, b) =
            (Matrix { data: &a[..], rows: k, columns: 1 }, Matrix { data: &b[..], rows: n, columns: 1 });
        let pool = rayon::ThreadPoolBuilder::new().num_threads(3).build().unwrap();
        pool.install(|| {
            (0..300).into_par_iter().with_max_len(1).for_each(|_| {
                assert!(!BUSY.replace(true), "a task inside another one");
                let mut out = vec![0.0; m * n];
                multiply((&mut out, n), [m, k, n], a, b, false, true);
                assert!(out.iter().all(|&x| x == 8.0));
                BUSY.set(false);
            });
        });
    }

    #[test]
    fn small_products_are_sums_in_order() {
        let numbers =
            |n: usize, seed: f64| (0..n).map(|i| ((i as f64 + seed) * 1.37).sin() as f32).collect::<Vec<_>>();
        for [m, k, n] in [
            [16, 4, 16],
            [16, 16, 3],
            [3, 16, 16],
            [1, 9, 40],
            [5, 64, 7],
            [31, 2, 33],
            [4, 100, 17],
            [2, 64, 130],
            [3, 600, 17],
        ] {
            let (x, y, old) = (numbers(m * k, 0.5), numbers(k * n, 0.1), numbers(m * n, 0.7));
            for (a, b) in [([k, 1], [n, 1]), ([1, m], [1, k]), ([k, 1], [1, k]), ([1, m], [n, 1])] {
                let a = Matrix { data: &x[..], rows: a[0], columns: a[1] };
                let b = Matrix { data: &y[..], rows: b[0], columns: b[1] };
                for add in [false, true] {
                    let mut own = old.clone();
                    multiply((&mut own, n), [m, k, n], a, b, add, false);
                    for (i, &own) in own.iter().enumerate() {
                        let (row, column) = (i / n, i % n);
                        let sum = (0..k).fold(0_f32, |sum, p| {
                            a.data[row * a.rows + p * a.columns]
                                .mul_add(b.data[p * b.rows + column * b.columns], sum)
                        });
                        assert_eq!(own, if add { old[i] + sum } else { sum }, "{m} x {k} x {n}, {add}");
                    }
                }
            }
        }
    }

    #[test]
    fn against_plain_loops() {
        let data: Vec<f64> = (0..30_000).map(|i| (i as f64 * 0.7).sin()).collect();
        for (batch, m, k, n) in [
            (1, 1, 1, 1),
            (2, 3, 4, 5),
            (1, 0, 3, 2),
            (3, 2, 0, 2),
            (2, 33, 17, 9),
            (1, 7, 64, 1),
            // In pieces: three of rows, four of columns.
            (1, 300, 40, 70),
            (1, 70, 40, 300),
        ] {
            for (row_a, column_a) in [(k, 1), (1, m)] {
                let a = |i: usize| Matrix { data: &data[i * m * k..], rows: row_a, columns: column_a };
                let b = |i: usize| Matrix { data: &data[i * k * n + 100..], rows: n, columns: 1 };
                let got = matmul(batch, [m, k, n], |i| (a(i), b(i)));
                let at = |x: Matrix<f64>, i: usize, j: usize| x.data[i * x.rows + j * x.columns];
                let expected: Vec<f64> = (0..batch * m * n)
                    .map(|flat| {
                        let (i, row, column) = (flat / (m * n), flat / n % m, flat % n);
                        (0..k).map(|l| at(a(i), row, l) * at(b(i), l, column)).sum()
                    })
                    .collect();
                assert_eq!(got.len(), expected.len());
                for (x, y) in got.iter().zip(&expected) {
                    assert!((x - y).abs() < 1e-12, "{batch} {m} {k} {n}: {x} {y}");
                }
            }
        }
    }

    #[test]
    fn into_a_slice_and_onto_it() {
        let (a, b) = ([1.0, 2.0, 3.0, 4.0], [5.0, 6.0, 7.0, 8.0]);
        let matrix = |data| Matrix { data, rows: 2, columns: 1 };
        let mut out = [f64::NAN; 8];
        let mut run = |sizes, add| {
            multiply((&mut out[1..], 4), sizes, matrix(&a), matrix(&b), add, false);
            out.map(|x| if x.is_nan() { -1.0 } else { x })
        };
        assert_eq!(run([2, 2, 2], false), [-1.0, 19.0, 22.0, -1.0, -1.0, 43.0, 50.0, -1.0]);
        assert_eq!(run([2, 2, 2], true), [-1.0, 38.0, 44.0, -1.0, -1.0, 86.0, 100.0, -1.0]);
        assert_eq!(run([2, 0, 2], true), [-1.0, 38.0, 44.0, -1.0, -1.0, 86.0, 100.0, -1.0]);
        assert_eq!(run([2, 0, 2], false), [-1.0, 0.0, 0.0, -1.0, -1.0, 0.0, 0.0, -1.0]);
    }
}
