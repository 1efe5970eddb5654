//! The conjugate gradient method.

use candle_core::DType;

use crate::autograd::Tensor;
use crate::error::{Error, Result};

/// The most iterations per unknown. In exact arithmetic one would do.
const ITERATIONS_PER_UNKNOWN: usize = 10;

/// Solves A·x = b for a symmetric, positive definite A that is given by `product`, v ↦ A·v: for a Hessian that is
/// [`hvp`](crate::autograd::hvp).
///
/// Stops when ‖b − A·x‖ ≤ `tolerance` · ‖b‖, or after ten iterations per unknown. x has no gradient history.
///
/// # Shapes
/// b and x are vectors of n elements, as are the argument and the result of `product`.
///
/// # Errors
/// Errors if `b` is not a vector, if `product` returns another shape or dtype, if A turns out not to be positive definite, or if
/// a value is not finite.
///
/// # Source
/// M. Hestenes and E. Stiefel 1952.
///
/// ```
/// # use tealight::{optim::solve_cg, prelude::*};
/// let a = Tensor::new(&[[4.0, 1.0], [1.0, 3.0]], &Device::Cpu)?;
/// let x = solve_cg(|v| a.matvec(v), &Tensor::new(&[1.0, 2.0], &Device::Cpu)?, 1e-12)?;
/// let error = (x - Tensor::new(&[1.0 / 11.0, 7.0 / 11.0], &Device::Cpu)?)?.abs()?.max_all()?;
/// assert!(error.to_scalar::<f64>()? < 1e-12);
/// # Ok::<(), tealight::Error>(())
/// ```
#[doc(alias = "cg")]
pub fn solve_cg(product: impl Fn(&Tensor) -> Result<Tensor>, b: &Tensor, tolerance: f64) -> Result<Tensor> {
    const NAME: &str = "solve_cg";
    let scalar = |x: Tensor| x.to_dtype(DType::F64)?.to_scalar::<f64>();
    let b = b.detach();
    if b.rank() != 1 {
        return Err(Error::shape(NAME, "a vector", &[b.dims()]));
    }
    let mut x = b.zeros_like()?;
    let (mut residual, mut direction) = (b.clone(), b.clone());
    let mut square = scalar(residual.dot(&residual)?)?;
    let goal = tolerance * tolerance * square;
    for _ in 0..b.elem_count().saturating_mul(ITERATIONS_PER_UNKNOWN) {
        if square <= goal {
            break;
        }
        let along = product(&direction)?.detach();
        let curvature = scalar(direction.dot(&along)?)?;
        if !(curvature > 0.0 && curvature.is_finite() && square.is_finite()) {
            let expected = "a positive definite matrix and finite numbers";
            return Err(Error::argument(
                NAME,
                expected,
                format!("v·A·v = {curvature}, ‖b − A·x‖² = {square}"),
            ));
        }
        let step = square / curvature;
        x = (x + (&direction * step)?)?;
        residual = (residual - (along * step)?)?;
        let new = scalar(residual.dot(&residual)?)?;
        direction = (&residual + (direction * (new / square))?)?;
        square = new;
    }
    Ok(x)
}

#[cfg(test)]
mod tests {
    use super::solve_cg;
    use crate::prelude::*;

    #[test]
    fn solves_a_random_system() -> Result<()> {
        let rng = &mut Rng::seed(1);
        let root = Tensor::randn_dtype(0.0, 1.0, (12, 12), DType::F64, rng)?;
        let a = root.t()?.matmul(&root)?;
        let x = Tensor::randn_dtype(0.0, 1.0, 12, DType::F64, rng)?;
        let found = solve_cg(|v| a.matvec(v), &a.matvec(&x)?, 1e-14)?;
        assert!((found - x)?.abs()?.max_all()?.to_scalar::<f64>()? < 1e-6);

        let two = Tensor::new(&[3.0_f32], &Device::Cpu)?;
        assert_eq!(solve_cg(|v| v * 2.0, &two, 1e-6)?.to_vec1::<f32>()?, [1.5]);
        Ok(())
    }

    #[test]
    fn edges() -> Result<()> {
        let zeros = |n| Tensor::zeros(n, DType::F64, &Device::Cpu);
        assert_eq!(solve_cg(|v| Ok(v.clone()), &zeros(0)?, 0.0)?.dims(), [0]);
        assert_eq!(solve_cg(|v| Ok(v.clone()), &zeros(3)?, 0.0)?, zeros(3)?);
        let ones = (zeros(2)? + 1.0)?;
        for factor in [-1.0, 0.0, f64::NAN, f64::INFINITY] {
            let error = solve_cg(|v| v * factor, &ones, 1e-9).unwrap_err().to_string();
            assert!(error.starts_with("solve_cg: expected a positive definite matrix"), "{error}");
        }
        let error = solve_cg(|v| Ok(v.clone()), &(&ones * f64::NAN)?, 1e-9).unwrap_err();
        assert!(matches!(error, Error::Argument { .. }), "{error}");
        assert!(matches!(solve_cg(|_| zeros(3), &ones, 1e-9), Err(Error::Shape { .. })));
        let matrix = ones.reshape((1, 2))?;
        assert!(matches!(solve_cg(|v| Ok(v.clone()), &matrix, 1e-9), Err(Error::Shape { .. })));
        Ok(())
    }
}
