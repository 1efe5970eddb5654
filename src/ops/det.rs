//! Determinants, with gradients that hold for singular matrices too.

use std::f64::consts::PI;

use super::create::checked;
use super::linalg::{batch_and_size, check_square, in_f64};
use crate::autograd::array::numbers;
use crate::autograd::{Array, Op, SaveContext, Saved, Tensor, launch};
use crate::error::Result;
use crate::kernel::linalg;

#[derive(Debug)]
struct Det;

impl Op<1> for Det {
    const NAME: &'static str = "det";

    fn forward(&self, [x]: [&Array; 1], ctx: &mut SaveContext) -> Result<Array> {
        ctx.save_input(0);
        ctx.save_output();
        let (batch, n) = batch_and_size(x.dims());
        let count = checked(Self::NAME, batch.into(), size_of::<f64>())?.elem_count();
        in_f64(Self::NAME, [(x, x.dims())], batch, move |[x]| Ok(linalg::det(x, n, count)))
    }

    /// The cofactors of a singular x are polynomials in t for x + t·E, of no higher degree than the rank of E. If x + t·E is
    /// invertible, their values at a few t give the value at 0, and so does any derivative. E replaces the pivots that are
    /// nothing but rounding errors, so its rank is small.
    fn backward(&self, saved: &Saved, grad: &Tensor) -> Result<[Option<Tensor>; 1]> {
        let x = saved.input(0)?;
        let (_, n) = batch_and_size(x.dims());
        launch::refuse_reading("the rank", x.array());
        let (e, rank) = linalg::completion(&numbers(x.array())?, n);
        let y = if rank == 0 {
            cofactors(&x, &saved.output()?)?
        } else {
            let e = Tensor::from_vec(e, x.dims(), x.device())?.to_dtype(x.dtype())?;
            let mut total = e.zeros_like()?;
            for (t, weight) in nodes(rank) {
                let moved = (&x + (&e * t)?)?;
                total = (total + (cofactors(&moved, &Det.apply([&moved])?)? * weight)?)?;
            }
            total
        };
        Ok([Some((y * per_matrix(grad)?)?)])
    }
}

/// One number for each matrix, in a shape that broadcasts with the matrices.
fn per_matrix(x: &Tensor) -> Result<Tensor> {
    x.unsqueeze(-1)?.unsqueeze(-1)
}

fn cofactors(x: &Tensor, det: &Tensor) -> Result<Tensor> {
    x.inv()?.t()? * per_matrix(det)?
}

/// Nodes t ≠ 0 and weights with which the values of a polynomial up to this degree sum to its value at 0.
/// Chebyshev nodes keep the weights small; an even number of them leaves out 0.
fn nodes(degree: usize) -> Vec<(f64, f64)> {
    let count = (degree + 1).next_multiple_of(2);
    let node = |i: usize| ((2 * i + 1) as f64 * PI / (2 * count) as f64).cos();
    let factor = |i: usize, j: usize| node(j) / (node(j) - node(i));
    let weight = |i: usize| (0..count).filter(|&j| j != i).map(|j| factor(i, j)).product();
    (0..count).map(|i| (node(i), weight(i))).collect()
}

impl Tensor {
    /// Computes the determinant. Needs the feature `linalg`.
    ///
    /// Computed in f64 and rounded once. A singular matrix is no error: its determinant is 0 or nearly 0. A 0×0 matrix has
    /// determinant 1.
    ///
    /// Shapes: (.., n, n) to (..). Gradient: g·det x·x⁻ᵀ, the cofactors; right for singular matrices too, to any order, but
    /// lost where the determinant under- or overflows. Errors if a matrix is not square or the dtype is not f32 or f64.
    ///
    /// ```
    /// # use tealight::prelude::*;
    /// let x = Tensor::new(&[[2.0, 1.0], [4.0, 2.0]], &Device::Cpu)?;
    /// assert_eq!(x.det()?.to_scalar::<f64>()?, 0.0);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn det(&self) -> Result<Tensor> {
        check_square("det", self)?;
        Det.apply([self])
    }
}

#[cfg(test)]
mod tests {
    use super::super::linalg::tests::{assert_near, matrices};
    use super::super::testing::tensor;
    use crate::prelude::*;

    fn square(x: &[f64], n: usize) -> Result<Tensor> {
        tensor(x).reshape((x.len() / (n * n), n, n))?.squeeze_all()
    }

    /// By the first row.
    fn laplace(x: &[Vec<f64>]) -> f64 {
        let minor = |j: usize| -> Vec<Vec<f64>> {
            x[1..].iter().map(|row| [&row[..j], &row[j + 1..]].concat()).collect()
        };
        let sign = |j: usize| if j.is_multiple_of(2) { 1.0 } else { -1.0 };
        if x.is_empty() { 1.0 } else { (0..x.len()).map(|j| sign(j) * x[0][j] * laplace(&minor(j))).sum() }
    }

    /// The cofactors by their definition.
    fn cofactors(x: &[Vec<f64>]) -> Vec<f64> {
        let n = x.len();
        let entry = |k: usize| {
            let mut x = x.to_vec();
            x[k / n] = (0..n).map(|j| if j == k % n { 1.0 } else { 0.0 }).collect();
            laplace(&x)
        };
        (0..n * n).map(entry).collect()
    }

    #[test]
    fn gradients() -> Result<()> {
        for dims in [&[1, 1][..], &[2, 2], &[4, 4], &[2, 2, 3, 3]] {
            let x = [matrices(dims, 1)?];
            autograd::gradcheck(|x| x[0].det(), &x)?;
            autograd::gradcheck(|x| (x[0].det()? + 1.0)?.powf(3.0), &x)?;
            autograd::gradcheck(|x| x[0].t()?.exp()?.det()?.sqr(), &x)?;
        }
        Ok(())
    }

    /// Of rank 2, by rounding alone invertible; rank 1; nilpotent; zero; and one that is invertible.
    fn singular() -> Result<Tensor> {
        Tensor::cat(
            &[
                &tensor(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0]),
                &tensor(&[0.1, 0.2, -0.3, 0.7, 1.4, -2.1, 0.3, 0.6, -0.9]),
                &tensor(&[0.0, 1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0]),
                &tensor(&[0.0; 9]),
                &tensor(&[0.0, 2.0, 1.0, -1.0, 0.0, 3.0, 1.0, 1.0, 1.0]),
            ],
            0,
        )?
        .reshape((5, 3, 3))
    }

    #[test]
    fn gradients_of_singular_matrices() -> Result<()> {
        let all = singular()?;
        for x in [all.clone(), all.i(0)?, all.i(2)?] {
            let x = [x];
            autograd::gradcheck(|x| x[0].det(), &x)?;
            autograd::gradcheck(|x| (x[0].det()? + 1.0)?.powf(3.0), &x)?;
            autograd::gradcheck(|x| (x[0].t()?.det()? + 2.0)?.ln(), &x)?;
        }
        Ok(())
    }

    /// Along a direction the determinant is a cubic, whose third derivative is 6·det of the direction, everywhere.
    #[test]
    fn third_derivatives_of_singular_matrices() -> Result<()> {
        let direction = matrices(&[3, 3], 4)?;
        let x = Tensor::parameter(singular()?);
        let mut y = x.det()?;
        for _ in 0..3 {
            let [gradient] = autograd::vjp(&y, [&x], &y.ones_like()?)?;
            y = (gradient * &direction)?.sum([1, 2])?;
        }
        let third = (direction.det()? * 6.0)?.broadcast_to(5)?;
        assert_near(&y, &third, 1e-11)?;
        let [fourth] = autograd::vjp(&y, [&x], &y.ones_like()?)?;
        assert_near(&fourth, &fourth.zeros_like()?, 1e-8)
    }

    #[test]
    fn against_laplace() -> Result<()> {
        let mut all = vec![singular()?];
        for n in 1..7 {
            let x = Tensor::randn_dtype(0.0, 1.0, (2, n, n), DType::F64, &mut Rng::seed(n as u64))?;
            // The last row is the sum of the others.
            let rest = x.i((.., ..n - 1, ..))?;
            all.extend([Tensor::cat(&[&rest, &rest.sum_keepdim(1)?], 1)?, x.t()?, x]);
        }
        for x in all {
            let x = Tensor::parameter(x);
            let y = x.det()?;
            let gradients = y.sum_all()?.backward()?;
            let gradient = gradients.get(&x).unwrap().to_vec3::<f64>()?;
            for (i, x) in x.to_vec3::<f64>()?.iter().enumerate() {
                let off = (y.i(i)?.to_scalar::<f64>()? - laplace(x)).abs();
                assert!(off < 1e-13, "{x:?}: {off}");
                for (got, exact) in gradient[i].concat().into_iter().zip(cofactors(x)) {
                    assert!((got - exact).abs() < 1e-12, "{x:?}: {got} and {exact}");
                }
            }
        }
        Ok(())
    }

    #[test]
    fn edges() -> Result<()> {
        let zeros = |dims: &[usize]| Tensor::from(Array::zeros(dims, DType::F64, &Device::Cpu).unwrap());
        assert_eq!(zeros(&[0, 0]).det()?.to_scalar::<f64>()?, 1.0);
        assert_eq!(zeros(&[2, 0, 0]).det()?.to_vec1::<f64>()?, [1.0, 1.0]);
        assert_eq!(zeros(&[0, 3, 3]).det()?.dims(), [0]);
        for dims in [&[2, 0, 0][..], &[0, 3, 3]] {
            let x = Tensor::parameter(zeros(dims));
            assert_eq!(x.det()?.sum_all()?.backward()?.get(&x).unwrap().dims(), dims);
        }
        // The sign of a permutation; elements of any size; a diagonal of very unequal ones, whose gradient is as exact.
        assert_eq!(
            square(&[0.0, 1.0, 0.0, 0.0, 0.0, 1.0, 1.0, 0.0, 0.0], 3)?.det()?.to_scalar::<f64>()?,
            1.0
        );
        assert_eq!(square(&[0.0, 1e200, 1e100, 0.0], 2)?.det()?.to_scalar::<f64>()?, -1e300);
        assert_eq!(square(&[1e200, 0.0, 0.0, 1e200], 2)?.det()?.to_scalar::<f64>()?, f64::INFINITY);
        let x = Tensor::parameter(square(&[1.0, 0.0, 0.0, 1e-40], 2)?);
        let gradients = x.det()?.backward()?;
        assert_near(gradients.get(&x).unwrap(), &square(&[1e-40, 0.0, 0.0, 1.0], 2)?, 1e-55)?;
        // NaN stays in its own matrix, wherever a pivot is looked for; in the gradient too.
        for place in 0..9 {
            let mut numbers = [0.0; 18];
            numbers[place] = f64::NAN;
            numbers[9] = 1.0;
            let x = Tensor::parameter(square(&numbers, 3)?);
            let y = x.det()?;
            let det = y.to_vec1::<f64>()?;
            assert!(det[0].is_nan() && det[1] == 0.0);
            let gradients = y.sum_all()?.backward()?;
            let gradient = gradients.get(&x).unwrap().to_vec3::<f64>()?;
            assert!(gradient[0].concat().iter().all(|x| x.is_nan()));
            assert!(gradient[1].concat().iter().all(|x| x.abs() < 1e-15));
            for infinite in [f64::INFINITY, f64::NEG_INFINITY] {
                numbers[place] = infinite;
                let x = Tensor::parameter(square(&numbers, 3)?);
                let _ = x.det()?.sum_all()?.backward();
            }
        }
        // f32 is rounded once.
        let x = matrices(&[2, 4, 4], 2)?.to_dtype(DType::F32)?;
        let wide = x.to_dtype(DType::F64)?.det()?.to_dtype(DType::F32)?;
        assert_near(&x.det()?, &wide, 0.0)?;
        let error = zeros(&[2, 3]).det().unwrap_err().to_string();
        assert_eq!(error, "det: expected a square matrix or a batch of them, got [2, 3]");
        assert!(matches!(zeros(&[3]).det(), Err(Error::Shape { .. })));
        assert!(matches!(x.to_dtype(DType::F16)?.det(), Err(Error::Dtype { .. })));
        assert!(matches!(x.to_dtype(DType::U32)?.det(), Err(Error::Dtype { .. })));
        Ok(())
    }
}
