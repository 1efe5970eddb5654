//! Diagonals and triangles of matrices.

use super::create::checked;
use super::take::{Places, taken, written};
use crate::autograd::{Array, Tensor};
use crate::error::{Error, Result};

impl Tensor {
    /// Returns the matrix with this vector on its diagonal, or the diagonal of this matrix.
    ///
    /// `offset` moves the diagonal to the right of the main one, a negative one to the left. A diagonal outside of the
    /// matrix is empty.
    ///
    /// Shapes: (n) to (n + |offset|, n + |offset|); (n, m) to a vector. Gradient: g on the diagonal, 0 elsewhere.
    ///
    /// ```
    /// # use tealight::prelude::*;
    /// let x = Tensor::new(&[1.0, 2.0], &Device::Cpu)?;
    /// assert_eq!(x.diag(0)?.to_vec2::<f64>()?, [[1.0, 0.0], [0.0, 2.0]]);
    /// assert_eq!(x.diag(1)?.diag(1)?.to_vec1::<f64>()?, [1.0, 2.0]);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    #[doc(alias = "diagonal")]
    pub fn diag(&self, offset: i64) -> Result<Tensor> {
        let away = usize::try_from(offset.unsigned_abs()).unwrap_or(usize::MAX);
        let (down, right) = if offset < 0 { (away, 0) } else { (0, away) };
        let diagonal = |rows: usize, columns: usize| {
            let length = rows.saturating_sub(down).min(columns.saturating_sub(right));
            let starts = (0..length).map(move |i| (i + down) * columns + i + right);
            Ok::<_, Error>((length, Places::new(starts, 1, rows * columns)?))
        };
        match *self.dims() {
            [n] => {
                let side = n.saturating_add(away);
                let shape = checked("diag", (side, side).into(), self.dtype().size_in_bytes())?;
                let zeros = Array::zeros(shape, self.dtype(), self.device())?;
                written(&zeros.into(), self, diagonal(side, side)?.1)
            }
            [n, m] => {
                let (length, indices) = diagonal(n, m)?;
                taken(self, indices, &[length])
            }
            _ => Err(Error::shape("diag", "a vector or a matrix", &[self.dims()])),
        }
    }

    /// Returns the lower triangle of each matrix: elements above the `k`-th diagonal right of the main one become 0.
    ///
    /// Shapes: (.., n, m). Gradient: g where the element is kept, 0 elsewhere.
    ///
    /// ```
    /// # use tealight::prelude::*;
    /// let x = Tensor::ones((2, 3), DType::F64, &Device::Cpu)?;
    /// assert_eq!(x.tril(0)?.to_vec2::<f64>()?, [[1.0, 0.0, 0.0], [1.0, 1.0, 0.0]]);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn tril(&self, k: i64) -> Result<Tensor> {
        self.triangle("tril", |right| right <= i128::from(k))
    }

    /// Returns the upper triangle of each matrix: elements below the `k`-th diagonal right of the main one become 0.
    ///
    /// Shapes: (.., n, m). Gradient: g where the element is kept, 0 elsewhere.
    pub fn triu(&self, k: i64) -> Result<Tensor> {
        self.triangle("triu", |right| right >= i128::from(k))
    }

    /// Keeps the elements for which `keep` holds of their distance to the right of the main diagonal; the rest become 0.
    fn triangle(&self, op: &'static str, keep: impl Fn(i128) -> bool) -> Result<Tensor> {
        let [.., n, m] = *self.dims() else {
            return Err(Error::shape(op, "a tensor of rank 2 or more", &[self.dims()]));
        };
        if self.elem_count() == 0 {
            return Ok(self.clone());
        }
        checked(op, self.shape().into(), self.dtype().size_in_bytes())?;
        let row = |i: usize| (0..m).map(move |j| j as i128 - i as i128);
        let mask: Vec<u8> = (0..n).flat_map(row).map(|right| u8::from(keep(right))).collect();
        let mask = Tensor::from_vec(mask, (n, m), self.device())?;
        mask.where_cond(self, &Array::zeros((), self.dtype(), self.device())?.into())
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{check, tensor};
    use crate::prelude::*;

    #[test]
    fn gradients() {
        let x = [0.3, -1.0, 2.0, 0.5, 1.5, -0.7];
        check(&x, |x| x.flatten(0, -1)?.exp()?.diag(-1)?.sqr());
        for k in [-1, 0, 2] {
            check(&x, |x| x.sqr()?.reshape((x.elem_count() / 3, 3))?.diag(k));
            check(&x, |x| x.sqr()?.reshape((2, x.elem_count() / 2))?.tril(k));
            check(&x, |x| x.exp()?.reshape((x.elem_count() / 6, 2, 3))?.triu(k));
        }
    }

    #[test]
    fn against_loops() -> Result<()> {
        for dtype in [DType::U8, DType::U32, DType::I64, DType::F16, DType::BF16, DType::F32, DType::F64] {
            let x = Tensor::arange(1.0, 13.0, &Device::Cpu)?.reshape((3, 4))?.to_dtype(dtype)?;
            for x in [x.clone(), x.t()?] {
                let numbers = x.to_dtype(DType::F64)?.to_vec2::<f64>()?;
                let (n, m) = (numbers.len() as i64, numbers[0].len() as i64);
                for k in -5..6 {
                    let keep = |keep: &dyn Fn(i64) -> bool| -> Vec<Vec<f64>> {
                        let at = |i: i64, j: i64| numbers[i as usize][j as usize];
                        let pick = |i: i64, j: i64| if keep(j - i) { at(i, j) } else { 0.0 };
                        (0..n).map(|i| (0..m).map(|j| pick(i, j)).collect()).collect()
                    };
                    let rows = |x: Tensor| x.to_dtype(DType::F64)?.to_vec2::<f64>();
                    assert_eq!(rows(x.tril(k)?)?, keep(&|right| right <= k), "{dtype:?} {k}");
                    assert_eq!(rows(x.triu(k)?)?, keep(&|right| right >= k), "{dtype:?} {k}");
                    let on_it = keep(&|right| right == k).concat();
                    let diagonal: Vec<f64> = on_it.into_iter().filter(|&x| x != 0.0).collect();
                    let y = x.diag(k)?;
                    assert_eq!(y.to_dtype(DType::F64)?.to_vec1::<f64>()?, diagonal, "{dtype:?} {k}");
                    let back = y.diag(k)?.to_dtype(DType::F64)?;
                    assert_eq!(back.sum_all()?.to_scalar::<f64>()?, diagonal.iter().sum::<f64>());
                    assert_eq!(back.diag(k)?.to_vec1::<f64>()?, diagonal);
                }
            }
        }
        Ok(())
    }

    #[test]
    fn edges() -> Result<()> {
        // What is cut away may be infinite or NaN, and the sign of a zero stays.
        let x = Tensor::new(&[[-0.0, f64::INFINITY], [1.0, f64::NAN]], &Device::Cpu)?;
        assert_eq!(x.tril(0)?.i((0, 1))?.to_scalar::<f64>()?, 0.0);
        assert!(x.tril(0)?.i((1, 1))?.to_scalar::<f64>()?.is_nan());
        assert!(x.diag(0)?.diag(0)?.i((0, 0))?.to_scalar::<f64>()?.is_sign_negative());
        assert_eq!(x.diag(i64::MIN)?.dims(), [0]);
        assert_eq!(x.diag(i64::MAX)?.dims(), [0]);
        assert_eq!(x.triu(i64::MAX)?.to_vec2::<f64>()?, [[0.0; 2]; 2]);
        assert_eq!(tensor(&[]).diag(2)?.to_vec2::<f64>()?, [[0.0; 2]; 2]);
        let none = Tensor::zeros((0, 1 << 20, 1 << 20), DType::F32, &Device::Cpu)?;
        assert_eq!(none.tril(0)?.dims(), none.dims());
        assert_eq!(Tensor::zeros((1 << 40, 0), DType::F32, &Device::Cpu)?.diag(0)?.dims(), [0]);
        for offset in [i64::MIN, i64::MAX, 1 << 40] {
            assert!(matches!(tensor(&[1.0]).diag(offset), Err(Error::Shape { .. })), "{offset}");
        }
        let error = x.unsqueeze(0)?.diag(0).unwrap_err();
        assert_eq!(error.to_string(), "diag: expected a vector or a matrix, got [1, 2, 2]");
        assert!(matches!(tensor(&[1.0]).tril(0), Err(Error::Shape { .. })));
        Ok(())
    }
}
