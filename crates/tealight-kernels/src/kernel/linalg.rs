//! Factorisations of small matrices, by nalgebra: batches of n × n matrices, each in row-major order.
//!
//! An `Err` is the index, in the batch, of the first matrix that has no such result.

use nalgebra::{Cholesky, DMatrix, Dyn, LU};

fn matrices(data: &[f64], rows: usize, columns: usize) -> impl Iterator<Item = DMatrix<f64>> {
    // At least 1: empty data has no chunks then.
    let size = rows.saturating_mul(columns).max(1);
    data.chunks_exact(size).map(move |x| DMatrix::from_row_slice(rows, columns, x))
}

fn elements(matrices: impl Iterator<Item = Option<DMatrix<f64>>>) -> Result<Vec<f64>, usize> {
    let mut out = vec![];
    for (i, matrix) in matrices.enumerate() {
        out.extend_from_slice(matrix.ok_or(i)?.transpose().as_slice());
    }
    Ok(out)
}

/// P·A = L·U; `None` if there is a NaN, which the search for a pivot would pass over.
fn factors(a: DMatrix<f64>) -> Option<LU<f64, Dyn, Dyn>> {
    let lu = LU::new(a);
    let nan = lu.l().iter().chain(lu.u().iter()).any(|x| x.is_nan());
    (!nan).then_some(lu)
}

fn solution(a: DMatrix<f64>, b: &DMatrix<f64>) -> Option<DMatrix<f64>> {
    factors(a).map_or_else(|| Some(b.map(|_| f64::NAN)), |lu| lu.solve(b))
}

/// A⁻¹·B of each pair, B with `columns` columns; an `Err` for a pivot of 0.
pub fn solve(a: &[f64], b: &[f64], n: usize, columns: usize) -> Result<Vec<f64>, usize> {
    elements(matrices(a, n, n).zip(matrices(b, n, columns)).map(|(a, b)| solution(a, &b)))
}

/// A⁻¹ of each matrix; an `Err` for a pivot of 0.
pub fn inv(a: &[f64], n: usize) -> Result<Vec<f64>, usize> {
    elements(matrices(a, n, n).map(|a| solution(a, &DMatrix::identity(n, n))))
}

/// The determinant of each of `count` matrices.
pub fn det(a: &[f64], n: usize, count: usize) -> Vec<f64> {
    match n {
        0 => vec![1.0; count],
        _ => matrices(a, n, n).map(|a| factors(a).map_or(f64::NAN, |lu| lu.determinant())).collect(),
    }
}

/// The lower triangle L with L·Lᵀ = A of each matrix, whose upper triangle is not read; an `Err` for a pivot that is not positive.
pub fn cholesky(a: &[f64], n: usize) -> Result<Vec<f64>, usize> {
    elements(matrices(a, n, n).map(|a| Some(Cholesky::new(a)?.unpack())))
}

/// For each matrix A a matrix E such that A + t·E is invertible for t ≠ 0: each pivot that is only a rounding error is replaced by
/// a number of the matrix's size. Also the largest rank of these E: 0 if all matrices are invertible.
pub fn completion(a: &[f64], n: usize) -> (Vec<f64>, usize) {
    let (mut out, mut most) = (Vec::with_capacity(a.len()), 0);
    for a in matrices(a, n, n) {
        let mut e = DMatrix::zeros(n, n);
        if let Some(lu) = factors(a) {
            let (l, u) = (lu.l(), lu.u());
            let mut rank = 0;
            for i in 0..n {
                // A pivot is the rest of these: its rounding error is as large as ε times their sum.
                let scale: f64 = (0..=i).map(|j| (l[(i, j)] * u[(j, i)]).abs()).sum();
                if u[(i, i)].abs() <= n as f64 * f64::EPSILON * scale {
                    e[(i, i)] =
                        [scale, u.amax(), 1.0].into_iter().find(|&size| size > 0.0).expect("1 is positive");
                    rank += 1;
                }
            }
            lu.p().inv_permute_rows(&mut e);
            most = most.max(rank);
        }
        out.extend_from_slice(e.transpose().as_slice());
    }
    (out, most)
}
