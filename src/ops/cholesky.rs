//! The Cholesky factorisation.

use super::linalg::{batch_and_size, check_square, in_f64, matrix_error};
use crate::autograd::{Array, Op, SaveContext, Saved, Tensor};
use crate::error::Result;
use crate::kernel::{Dims, linalg};

#[derive(Debug)]
struct Cholesky;

impl Op<1> for Cholesky {
    const NAME: &'static str = "cholesky";

    fn forward(&self, [x]: [&Array; 1], ctx: &mut SaveContext) -> Result<Array> {
        ctx.save_output();
        let (batch, n) = batch_and_size(x.dims());
        let batch = Dims::from_slice(batch);
        in_f64(Self::NAME, [(x, x.dims())], x.dims(), move |[x]| {
            let (expected, got) = ("a positive definite matrix", "one that is not");
            linalg::cholesky(x, n).map_err(|at| matrix_error(Self::NAME, expected, got, &batch, at))
        })
    }

    fn backward(&self, saved: &Saved, grad: &Tensor) -> Result<[Option<Tensor>; 1]> {
        let upper = saved.output()?.t()?;
        let product = upper.matmul(grad)?;
        // Φ + Φᵀ: the two halves of the diagonal add up to the whole.
        let symmetric = (product.tril(0)? + product.tril(-1)?.t()?)?;
        Ok([Some((upper.solve(&upper.solve(&symmetric)?.t()?)? * 0.5)?)])
    }
}

impl Tensor {
    /// Computes the Cholesky factor: the lower triangular L with a positive diagonal and L·Lᵀ = `self`.
    ///
    /// The matrix is taken to be symmetric; its upper triangle is not read. Computed in f64 and rounded once. Needs the
    /// feature `linalg`.
    ///
    /// Shapes: (.., n, n), each matrix by itself. Gradient: ½·L⁻ᵀ·(P + Pᵀ)·L⁻¹ with P = Φ(Lᵀ·g), where Φ takes the lower
    /// triangle and half of the diagonal. It is symmetric, as in PyTorch: an element and its mirror image get half each.
    ///
    /// # Errors
    /// Errors if a matrix is not square or not positive definite (one with a NaN is not), or the dtype is not f32 or f64.
    ///
    /// ```
    /// # use tealight::prelude::*;
    /// let x = Tensor::new(&[[4.0, 2.0], [2.0, 10.0]], &Device::Cpu)?;
    /// assert_eq!(x.cholesky()?.to_vec2::<f64>()?, [[2.0, 0.0], [1.0, 3.0]]);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn cholesky(&self) -> Result<Tensor> {
        check_square("cholesky", self)?;
        Cholesky.apply([self])
    }
}

#[cfg(test)]
mod tests {
    use super::super::linalg::tests::assert_near;
    use super::super::testing::tensor;
    use crate::prelude::*;

    /// Symmetric matrices with eigenvalues from 1.
    fn definite(x: &Tensor) -> Result<Tensor> {
        let n = x.dims()[x.rank() - 1];
        x.matmul(&x.t()?)? + Tensor::eye(n, x.dtype(), &Device::Cpu)?
    }

    fn random(dims: &[usize], seed: u64) -> Result<Tensor> {
        Tensor::randn_dtype(0.0, 1.0, dims, DType::F64, &mut Rng::seed(seed))
    }

    #[test]
    fn gradients() -> Result<()> {
        for dims in [&[1, 1][..], &[3, 3], &[2, 2, 2]] {
            let x = [random(dims, 1)?];
            autograd::gradcheck(|x| definite(&x[0])?.cholesky(), &x)?;
            autograd::gradcheck(|x| definite(&x[0])?.cholesky()?.powf(3.0), &x)?;
            autograd::gradcheck(|x| definite(&x[0].t()?)?.cholesky()?.exp(), &x)?;
        }
        Ok(())
    }

    #[test]
    fn the_gradient_is_symmetric() -> Result<()> {
        // √x and its slope, 1/(2√x), on a diagonal; of the off-diagonal element, half each: L₁₀ = x₁₀/√x₀₀.
        let x = Tensor::new(&[[4.0, 0.0], [0.0, 9.0]], &Device::Cpu)?;
        let x = Tensor::parameter(x);
        let gradients = x.cholesky()?.sum_all()?.backward()?;
        assert_near(
            gradients.get(&x).unwrap(),
            &tensor(&[0.25, 0.25, 0.25, 1.0 / 6.0]).reshape((2, 2))?,
            1e-16,
        )
    }

    #[test]
    fn against_loops() -> Result<()> {
        for n in [1, 2, 3, 8, 30] {
            let x = definite(&random(&[n, n], n as u64)?)?;
            let l = x.cholesky()?.to_vec2::<f64>()?;
            // Only the lower triangle counts.
            let junk = (x.tril(0)? + (x.triu(1)? * f64::NAN)?.triu(1)?)?;
            assert_eq!(junk.cholesky()?.to_vec2::<f64>()?, l);
            let x = x.to_vec2::<f64>()?;
            for i in 0..n {
                assert!(l[i][i] > 0.0);
                for j in 0..n {
                    let got: f64 = (0..n).map(|k| l[i][k] * l[j][k]).sum();
                    assert!(
                        (got - x[i][j]).abs() <= 1e-15 * n as f64 * x[i][i].max(x[j][j]),
                        "{n}: {i}, {j}"
                    );
                    assert!(j <= i || l[i][j] == 0.0);
                }
            }
        }
        Ok(())
    }

    #[test]
    fn edges() -> Result<()> {
        let zeros = |dims: &[usize]| Tensor::from(Array::zeros(dims, DType::F32, &Device::Cpu).unwrap());
        assert_eq!(zeros(&[0, 0]).cholesky()?.dims(), [0, 0]);
        assert_eq!(zeros(&[0, 3, 3]).cholesky()?.dims(), [0, 3, 3]);
        let empty = Tensor::parameter(zeros(&[2, 0, 0]));
        assert_eq!(empty.cholesky()?.sum_all()?.backward()?.get(&empty).unwrap().dims(), [2, 0, 0]);
        // Batches, turned and in f32.
        let x = definite(&random(&[2, 3, 3], 4)?)?;
        let l = x.cholesky()?;
        assert_near(&x.t()?.cholesky()?, &l, 1e-14)?;
        assert_near(&x.i(1)?.cholesky()?, &l.i(1)?, 0.0)?;
        let narrow = x.to_dtype(DType::F32)?;
        let wide = narrow.to_dtype(DType::F64)?.cholesky()?.to_dtype(DType::F32)?;
        assert_near(&narrow.cholesky()?, &wide, 0.0)?;

        let one = Tensor::eye(2, DType::F64, &Device::Cpu)?;
        for wrong in [0.0, -1.0, f64::NAN, f64::NEG_INFINITY] {
            let bad = Tensor::new(&[[1.0, 0.0], [0.0, wrong]], &Device::Cpu)?;
            let error = Tensor::stack(&[&one, &one, &bad], 0)?.cholesky().unwrap_err().to_string();
            let text =
                "cholesky: expected a positive definite matrix, got one that is not at [2] of the batch";
            assert_eq!(error, text);
        }
        let infinite = Tensor::new(&[[f64::INFINITY, 1.0], [1.0, f64::INFINITY]], &Device::Cpu)?;
        assert!(infinite.cholesky()?.to_vec2::<f64>()?[0][0].is_infinite());
        assert!(matches!(zeros(&[2, 3]).cholesky(), Err(Error::Shape { .. })));
        assert!(matches!(zeros(&[]).cholesky(), Err(Error::Shape { .. })));
        assert!(matches!(one.to_dtype(DType::BF16)?.cholesky(), Err(Error::Dtype { .. })));
        Ok(())
    }
}
