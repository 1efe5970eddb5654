//! Features with mean 0 and deviation 1.
//!
//! # Shapes
//! (n, d), fitted on (m, d)
//!
//! # Formula
//! (x − mean) / std of each feature, both taken from the data it was fitted on
//!
//! # Kinks
//! A feature that is constant in that data is only shifted: its deviation counts as 1.
//!
//! # Errors
//! Data that is no matrix, has no rows or holds NaN or infinity; another number of features.

use super::Normalize;
use crate::autograd::{Tensor, no_grad};
use crate::error::{Error, Result};

/// (x − mean) / std of each feature. Fit it on the training data only, and use it for all.
///
/// ```
/// use tealight::prelude::*;
/// let train = Tensor::new(&[[1.0, 5.0], [3.0, 5.0]], &Device::Cpu)?;
/// let scale = Standardize::fit(&train)?;
/// assert_eq!(scale.normalize(&train)?.to_vec2::<f64>()?, [[-1.0, 0.0], [1.0, 0.0]]);
/// # Ok::<(), tealight::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Standardize {
    mean: Tensor,
    std: Tensor,
}

impl Standardize {
    /// Takes mean and deviation (with divisor n) of each column of `x`.
    ///
    /// # Errors
    /// A tensor that is no matrix, has no rows, is no float, or holds NaN or infinity.
    pub fn fit(x: &Tensor) -> Result<Self> {
        let &[rows, features] = x.dims() else {
            return Err(Error::shape("Standardize::fit", "a matrix (n, d)", &[x.dims()]));
        };
        if rows == 0 {
            return Err(Error::shape("Standardize::fit", "one row or more", &[x.dims()]));
        }
        no_grad(|| {
            let mean = x.mean(0)?;
            let std = (x - &mean)?.sqr()?.mean(0)?.sqrt()?;
            let wide: Vec<f64> = std.to_dtype(candle_core::DType::F64)?.to_vec1()?;
            if let Some(i) = wide.iter().position(|x| !x.is_finite()) {
                return Err(Error::argument("Standardize::fit", "finite numbers", format!("feature {i}")));
            }
            let zero = Tensor::zeros(features, std.dtype(), std.device())?;
            let one = Tensor::ones(features, std.dtype(), std.device())?;
            let std = std.gt(&zero)?.where_cond(&std, &one)?;
            Ok(Standardize { mean: mean.detach(), std: std.detach() })
        })
    }

    /// The mean of each feature, (d).
    pub fn mean(&self) -> &Tensor {
        &self.mean
    }

    /// The deviation of each feature, (d).
    pub fn std(&self) -> &Tensor {
        &self.std
    }
}

impl Normalize for Standardize {
    fn normalize(&self, x: &Tensor) -> Result<Tensor> {
        if x.dims().last() != self.mean.dims().first() {
            let expected = format!("{} features, as it was fitted on", self.mean.elem_count());
            return Err(Error::shape("Standardize", expected, &[x.dims()]));
        }
        (x - &self.mean)? / &self.std
    }
}

#[cfg(test)]
mod tests {
    use super::Standardize;
    use crate::prelude::*;

    #[test]
    fn gradients_and_refusals() -> Result<()> {
        let x = Tensor::randn(3.0, 2.0, (50, 3), &mut Rng::seed(1))?;
        let scale = Standardize::fit(&x)?;
        let y = scale.normalize(&x)?;
        assert!(y.mean(0)?.to_vec1::<f64>()?.iter().all(|m| m.abs() < 1e-14));
        assert!(y.sqr()?.mean(0)?.to_vec1::<f64>()?.iter().all(|v| (v - 1.0).abs() < 1e-14));
        autograd::gradcheck(
            |x| scale.normalize(&x[0])?.powf(3.0),
            &[Tensor::ones((2, 3), DType::F64, &Device::Cpu)?],
        )?;
        assert!(matches!(scale.normalize(&y.t()?), Err(Error::Shape { .. })));
        assert!(matches!(
            Standardize::fit(&Tensor::zeros((0, 3), DType::F32, &Device::Cpu)?),
            Err(Error::Shape { .. })
        ));
        assert!(matches!(Standardize::fit(&(x / 0.0)?), Err(Error::Argument { .. })));
        Ok(())
    }
}
