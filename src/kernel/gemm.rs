//! The matrix product, by the `gemm` crate: called directly, because candle reads `/proc/cpuinfo` for every product
//! to find out how many threads there are.

use super::buffer;
use super::parallel::product_worthwhile;

/// A matrix inside a slice: element (i, j) is `data[i·rows + j·columns]`.
#[derive(Clone, Copy)]
pub(crate) struct Matrix<'a, T> {
    pub(crate) data: &'a [T],
    pub(crate) rows: usize,
    pub(crate) columns: usize,
}

impl<T> Matrix<'_, T> {
    /// Whether every element of an m × n matrix lies inside the slice.
    fn holds(&self, m: usize, n: usize) -> bool {
        m == 0 || n == 0 || (m - 1) * self.rows + (n - 1) * self.columns < self.data.len()
    }
}

/// The products of `batch` pairs of matrices m × k and k × n, each given by where it starts, one after the other.
pub(crate) fn matmul<'a, T>(
    batch: usize,
    [m, k, n]: [usize; 3],
    pair: impl Fn(usize) -> (Matrix<'a, T>, Matrix<'a, T>),
) -> Vec<T>
where
    T: super::Element,
{
    let (zero, one) = (T::from_f64(0.0), T::from_f64(1.0));
    if k == 0 {
        return vec![zero; batch * m * n];
    }
    let threads = match product_worthwhile(m.saturating_mul(n).saturating_mul(k)) {
        true => gemm::Parallelism::Rayon(0),
        false => gemm::Parallelism::None,
    };
    // SAFETY: gemm writes all m·n elements of each product, because k > 0 and it is told not to read them.
    #[allow(unsafe_code)]
    unsafe {
        buffer::written(batch * m * n, |out| {
            for (i, out) in out.chunks_exact_mut((m * n).max(1)).enumerate() {
                let (a, b) = pair(i);
                assert!(a.holds(m, k) && b.holds(k, n), "kernel::matmul: a matrix reaches beyond its slice");
                // SAFETY: `out` has m·n elements, and both operands were just seen to lie inside their slices.
                gemm::gemm(
                    m,
                    n,
                    k,
                    out.as_mut_ptr().cast::<T>(),
                    1,
                    n as isize,
                    false,
                    a.data.as_ptr(),
                    a.columns as isize,
                    a.rows as isize,
                    b.data.as_ptr(),
                    b.columns as isize,
                    b.rows as isize,
                    zero,
                    one,
                    false,
                    false,
                    false,
                    threads,
                );
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{Matrix, matmul};

    #[test]
    fn against_plain_loops() {
        let data: Vec<f64> = (0..5000).map(|i| (i as f64 * 0.7).sin()).collect();
        for (batch, m, k, n) in
            [(1, 1, 1, 1), (2, 3, 4, 5), (1, 0, 3, 2), (3, 2, 0, 2), (2, 33, 17, 9), (1, 7, 64, 1)]
        {
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
}
