//! The squared difference.
//!
//! # Formula
//! (p − t)²
//!
//! # Gradient
//! 2(p − t) and its negative
//!
//! # Errors
//! Shapes or dtypes that differ.

use super::{Loss, Mean, PointwiseLoss, Sum};
use crate::autograd::Tensor;
use crate::error::Result;
use crate::formula::Real;

/// (prediction − target)²
///
/// # Formula
/// (p − t)²
///
/// # Gradient
/// 2(p − t) and its negative
///
/// # Errors
/// Shapes or dtypes that differ.
///
/// ```
/// use tealight::prelude::*;
/// let (p, t) = (Tensor::new(&[1.0, 5.0], &Device::Cpu)?, Tensor::new(&[2.0, 2.0], &Device::Cpu)?);
/// assert_eq!(L2.each(&p, &t)?.to_vec1::<f64>()?, [1.0, 9.0]);
/// # Ok::<(), tealight::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct L2;

/// The mean of the squared differences: `Mean(L2)` by its usual name.
///
/// ```
/// use tealight::prelude::*;
/// let loss: Mse = Mean(L2);
/// let (p, t) = (Tensor::new(&[1.0, 5.0], &Device::Cpu)?, Tensor::new(&[2.0, 2.0], &Device::Cpu)?);
/// assert_eq!(loss.loss(&p, &t)?.to_scalar::<f64>()?, 5.0);
/// # Ok::<(), tealight::Error>(())
/// ```
#[doc(alias = "MSELoss")]
#[doc(alias = "mean_squared_error")]
pub type Mse = Mean<L2>;

/// The mean of the squared differences: `Mean(L2)` by its usual name.
///
/// ```
/// use tealight::loss::Mse;
/// use tealight::prelude::*;
/// let (p, t) = (Tensor::new(&[1.0, 2.0], &Device::Cpu)?, Tensor::new(&[0.0, 0.0], &Device::Cpu)?);
/// assert_eq!(Mse.loss(&p, &t)?.to_scalar::<f64>()?, 2.5);
/// # Ok::<(), tealight::Error>(())
/// ```
#[allow(non_upper_case_globals)] // reads as a struct without fields, as the other losses do
pub const Mse: Mse = Mean(L2);

impl PointwiseLoss for L2 {
    const NAME: &'static str = "l2";
    const FUSED: bool = true;
    const PROPAGATES_NAN: bool = true;

    #[inline(always)]
    fn value<R: Real>(&self, prediction: R, target: R) -> R {
        let d = prediction - target;
        d * d
    }
}

/// The sum of the squared differences, Σ (p − t)².
///
/// ```
/// use tealight::prelude::*;
/// let yhat = Tensor::new(&[0.9, 0.2, 0.1, 0.4, 0.9], &Device::Cpu)?;
/// let y = Tensor::new(&[1.0, 0.0, 0.0, 1.0, 1.0], &Device::Cpu)?;
/// assert!((l2(&yhat, &y)?.to_scalar::<f64>()? - 0.43).abs() < 1e-15);
/// # Ok::<(), tealight::Error>(())
/// ```
///
/// # Errors
/// Shapes or dtypes that differ.
pub fn l2(prediction: &Tensor, target: &Tensor) -> Result<Tensor> {
    Sum(L2).loss(prediction, target)
}

impl Tensor {
    /// The sum of the squared differences from `target`, as [`l2`].
    ///
    /// ```
    /// use tealight::prelude::*;
    /// let (p, t) = (Tensor::new(&[1.0, 5.0], &Device::Cpu)?, Tensor::new(&[2.0, 2.0], &Device::Cpu)?);
    /// assert_eq!(p.l2(&t)?.to_scalar::<f64>()?, 10.0);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    ///
    /// # Errors
    /// Shapes or dtypes that differ.
    pub fn l2(&self, target: &Tensor) -> Result<Tensor> {
        l2(self, target)
    }
}

#[cfg(test)]
mod tests {
    use crate::ops::testing::tensor;
    use crate::prelude::*;

    #[test]
    fn gradients() -> Result<()> {
        let (p, t) = (tensor(&[0.3, -1.0, 2.0]), tensor(&[1.0, -2.0, 0.5]));
        autograd::gradcheck(|x| l2(&x[0].sqr()?, &x[1]), &[p, t])?;
        Ok(())
    }
}
