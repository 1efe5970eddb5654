//! Products of matrices: in tiles, of vectors, and in pieces for several threads. Not by candle, which reads `/proc/cpuinfo` for each.

use super::buffer::fill;
use super::one_pass::vector_matrix;
use super::parallel::{
    PARALLEL_GEMM_FROM, PIECE, Shared, for_each, for_each_rows, gemm_worthwhile, parts, vectorize, worthwhile,
};
use super::products::rows;
#[cfg(target_arch = "wasm32")]
use super::small_tiles::Small;
#[cfg(not(target_arch = "wasm32"))]
use super::tiles::{Products, compute};
use super::{Element, buffer};

/// A matrix inside a slice: element (i, j) is `data[i·rows + j·columns]`.
#[derive(Clone, Copy)]
pub struct Matrix<'a, T> {
    pub data: &'a [T],
    pub rows: usize,
    pub columns: usize,
}

impl<T> Matrix<'_, T> {
    /// Whether every element of an m × n matrix lies inside the slice.
    pub(super) fn holds(&self, m: usize, n: usize) -> bool {
        m == 0 || n == 0 || (m - 1) * self.rows + (n - 1) * self.columns < self.data.len()
    }
}

/// What a product is added to.
#[derive(Clone, Copy)]
pub(super) enum Onto<'a, T> {
    /// Nothing: what is there is never read.
    Nothing,
    /// What is there.
    Output,
    /// As many numbers as there are columns, which are added to each row.
    Row(&'a [T]),
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
        product(out.as_mut_ptr(), rows, sizes, a, b, if add { Onto::Output } else { Onto::Nothing }, threads);
    }
}

/// out ← a·b, plus what it is added to, where k > 0.
///
/// # Safety
/// `out[i·rows + j]` must be valid to write for every i < m and j < n, and to read if the product is added to it.
#[inline(never)]
unsafe fn product<T: Element>(
    out: *mut T,
    rows: usize,
    [m, k, n]: [usize; 3],
    a: Matrix<T>,
    b: Matrix<T>,
    onto: Onto<T>,
    threads: bool,
) {
    assert!(a.holds(m, k) && b.holds(k, n), "kernel::matmul: a matrix reaches beyond its slice");
    #[cfg(target_arch = "wasm32")]
    {
        let _ = threads;
        if let Onto::Row(row) = onto {
            // SAFETY: by this function's contract.
            (0..m).for_each(|i| unsafe { row[..n].as_ptr().copy_to_nonoverlapping(out.add(i * rows), n) });
        }
        super::parallel::run(Small {
            out,
            rows,
            sizes: [m, k, n],
            a,
            b,
            add: !matches!(onto, Onto::Nothing),
        });
    }
    #[cfg(not(target_arch = "wasm32"))]
    {
        let (by_columns, size) = if threads { cut([m, n, k]) } else { (true, n) };
        let out = Shared::new(out);
        let piece = |piece: usize| {
            let from = piece * size;
            let (i, j, m, n) =
                if by_columns { (0, from, m, size.min(n - from)) } else { (from, 0, size.min(m - from), n) };
            let a = Matrix { data: &a.data[i * a.rows..], ..a };
            let b = Matrix { data: &b.data[j * b.columns..], ..b };
            let onto = if let Onto::Row(row) = onto { Onto::Row(&row[j..]) } else { onto };
            // SAFETY: by this function's contract, and because each piece has other rows or columns.
            unsafe {
                let out = out.get().add(i * rows + j);
                compute(Products { out, step: 0, rows, sizes: [m, k, n], count: 1, pair: &|_| (a, b), onto });
            }
        };
        for_each(if by_columns { n } else { m }.div_ceil(size), threads, &piece);
    }
}

/// The pieces in which threads compute a product: whether they are columns, and how many rows or columns a piece has.
#[cfg(not(target_arch = "wasm32"))]
fn cut([m, n, k]: [usize; 3]) -> (bool, usize) {
    // A few for each thread, of which some may come late.
    let most = 4 * rayon::current_num_threads();
    let pieces = (m.saturating_mul(n).saturating_mul(k) / (PARALLEL_GEMM_FROM / 2)).clamp(1, most);
    // Whole panels of columns, of which each is packed once, if there are enough; or rows, for each piece of which all panels are.
    let columns = n.div_ceil(pieces).next_multiple_of(32);
    let rows = m.div_ceil(pieces).next_multiple_of(48);
    if n.div_ceil(columns) >= m.div_ceil(rows).min(most / 2) { (true, columns) } else { (false, rows) }
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
    let bias = &bias[..n];
    let (x, w) = (Matrix { data: x, rows: k, columns: 1 }, Matrix { data: w, rows: 1, columns: k });
    if m <= 1 || n <= 1 || k == 0 {
        let mut out = buffer::empty(m * n);
        (0..m).for_each(|_| out.extend_from_slice(bias));
        into(&mut out, [m, k, n], x, w, true);
        return out;
    }
    let threads = gemm_worthwhile(m.saturating_mul(n).saturating_mul(k));
    // SAFETY: the product is the m·n elements, which are all written, because k > 0, and none is read.
    unsafe {
        buffer::written(m * n, |out| {
            product(out.as_mut_ptr().cast(), n, [m, k, n], x, w, Onto::Row(bias), threads);
        })
    }
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
    pair: impl Fn(usize) -> (Matrix<'a, T>, Matrix<'a, T>) + Sync,
) -> Vec<T> {
    matmul_by(batch, sizes, &pair)
}

/// [`matmul`], compiled once.
#[inline(never)]
pub(super) fn matmul_by<'a, T: Element>(
    batch: usize,
    [m, k, n]: [usize; 3],
    pair: &(dyn Fn(usize) -> (Matrix<'a, T>, Matrix<'a, T>) + Sync),
) -> Vec<T> {
    // `pair` may have no matrix to give where one has no elements.
    if k == 0 || batch * m * n == 0 {
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
    let each = m.saturating_mul(n).saturating_mul(k);
    let (one, all) = (gemm_worthwhile(each), gemm_worthwhile(each.saturating_mul(batch)));
    // Products that a thread takes at a time.
    let size = if all && !one { (PARALLEL_GEMM_FROM / 4 / each.max(1)).max(1) } else { batch.max(1) };
    // SAFETY: product i is the m·n elements from i·m·n on, whose elements are all written, because k > 0, and none is read.
    unsafe {
        buffer::written(batch * m * n, |out| {
            let out = Shared::new(out.as_mut_ptr().cast::<T>());
            for_each(batch.div_ceil(size), all && !one, &|piece| {
                let products = piece * size..batch.min((piece + 1) * size);
                let to = |i: usize| out.get().add(i * m * n);
                if cfg!(target_arch = "wasm32") || one {
                    for i in products {
                        let (a, b) = pair(i);
                        product(to(i), n, [m, k, n], a, b, Onto::Nothing, one);
                    }
                    return;
                }
                #[cfg(not(target_arch = "wasm32"))]
                compute(Products {
                    out: to(products.start),
                    step: m * n,
                    rows: n,
                    sizes: [m, k, n],
                    count: products.len(),
                    pair: &|i| pair(products.start + i),
                    onto: Onto::Nothing,
                });
            });
        })
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use rayon::prelude::*;

    use super::super::tiles::DEPTH;
    use super::{Matrix, affine, matmul, multiply};

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
    fn sums_are_blocks_in_order() {
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
            // Tiles and panels of each size, packed ones, and more than one group of them.
            [6, 70, 64],
            [15, 70, 48],
            [63, 1030, 33],
            [64, 64, 10],
            [10, 64, 128],
            [50, 65, 512],
            [49, 520, 300],
            [49, 600, 784],
            // Factors whose lines drive out one another.
            [32, 200, 100],
            [96, 600, 72],
            [64, 300, 256],
            [1, 1, 1],
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
                        let mut expected = if add { old[i] } else { 0.0 };
                        for from in (0..k).step_by(DEPTH) {
                            expected += (from..k.min(from + DEPTH)).fold(0_f32, |sum, p| {
                                a.data[row * a.rows + p * a.columns]
                                    .mul_add(b.data[p * b.rows + column * b.columns], sum)
                            });
                        }
                        assert_eq!(own, expected, "{m} x {k} x {n}, {add}: {row}, {column}");
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

    /// Sums of blocks keep digits that one long sum loses.
    #[test]
    fn long_sums_against_f64() {
        let [m, k, n] = [3, 100_000, 20];
        let numbers = |n: usize| -> Vec<f32> { (0..n).map(|i| (i as f32 * 1.7).sin().abs()).collect() };
        let (a, b) = (numbers(m * k), numbers(k * n));
        let got = matmul(1, [m, k, n], |_| {
            (Matrix { data: &a[..], rows: k, columns: 1 }, Matrix { data: &b[..], rows: 1, columns: k })
        });
        for (i, got) in got.iter().enumerate() {
            let (a, b) = (&a[i / n * k..][..k], &b[i % n * k..][..k]);
            let exact: f64 = a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum();
            assert!((f64::from(*got) - exact).abs() < 3e-6 * exact, "{i}: {got} {exact}");
        }
    }

    #[test]
    fn a_bias_is_added_to_each_row() {
        let data: Vec<f32> = (0..70_000).map(|i| (i as f32 * 0.7).sin()).collect();
        // In one piece and in several, also as the transpose of another product.
        for [m, k, n] in [[5, 70, 9], [2, 0, 3], [1, 8, 40], [64, 784, 70], [300, 40, 200], [8, 600, 64]] {
            let (x, w, bias) = (&data[..m * k], &data[100..100 + n * k], &data[7..7 + n]);
            let product = matmul(1, [m, k, n], |_| {
                (Matrix { data: x, rows: k, columns: 1 }, Matrix { data: w, rows: 1, columns: k })
            });
            let got = affine(x, w, bias, [m, k, n]);
            for (i, (got, product)) in got.iter().zip(product).enumerate() {
                let expected = bias[i % n] + product;
                // Several blocks are added one after the other.
                let equal = if k <= DEPTH { *got == expected } else { (got - expected).abs() < 1e-4 };
                assert!(equal, "{m} x {k} x {n}: {i}");
            }
        }
    }

    #[test]
    fn matrices_without_elements_are_not_asked_for() {
        for (batch, sizes) in [(0, [2, 3, 4]), (2, [0, 3, 4]), (2, [2, 0, 4]), (2, [2, 3, 0]), (3, [0, 1, 1])]
        {
            let zeros: Vec<f32> = matmul(batch, sizes, |i| unreachable!("matrix {i} of none"));
            assert_eq!(zeros, vec![0.0; batch * sizes[0] * sizes[2]]);
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
