//! [`Mse`], the squared error.

use super::{ElementwiseLoss, PointwiseLoss, Reduction};
use crate::autograd::Tensor;
use crate::error::Result;
use crate::formula::Real;

/// The mean squared error: the mean of (p − t)².
///
/// ```
/// use tealight::prelude::*;
/// let (p, t) = (Tensor::new(&[1.0, 5.0], &Device::Cpu)?, Tensor::new(&[2.0, 2.0], &Device::Cpu)?);
/// assert_eq!(Mse.loss(&p, &t)?.to_scalar::<f64>()?, 5.0);
/// # Ok::<(), tealight::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
#[doc(alias = "MSELoss")]
#[doc(alias = "L2")]
#[doc(alias = "mean_squared_error")]
pub struct Mse;

impl PointwiseLoss for Mse {
    const NAME: &'static str = "mse";
    const IS_INLINED: bool = true;
    const PROPAGATES_NAN: bool = true;

    #[inline(always)]
    fn value<R: Real>(&self, prediction: R, target: R) -> R {
        let d = prediction - target;
        d * d
    }
}

/// The sum of the squared differences, Σ (p − t)². (The mean is [`Mse`].)
///
/// ```
/// use tealight::functional::l2;
/// use tealight::prelude::*;
/// let yhat = Tensor::new(&[0.9, 0.2, 0.1, 0.4, 0.9], &Device::Cpu)?;
/// let y = Tensor::new(&[1.0, 0.0, 0.0, 1.0, 1.0], &Device::Cpu)?;
/// assert!((l2(&yhat, &y)?.to_scalar::<f64>()? - 0.43).abs() < 1e-15);
/// # Ok::<(), tealight::Error>(())
/// ```
pub fn l2(prediction: &Tensor, target: &Tensor) -> Result<Tensor> {
    Mse.reduced(prediction, target, Reduction::Sum)
}

impl Tensor {
    /// The sum of the squared differences from `target`: see [`l2`].
    pub fn l2(&self, target: &Tensor) -> Result<Tensor> {
        l2(self, target)
    }
}

#[cfg(test)]
mod tests {
    use super::l2;
    use crate::ops::testing::tensor;
    use crate::prelude::*;

    #[test]
    fn gradients() -> Result<()> {
        let (p, t) = (tensor(&[0.3, -1.0, 2.0]), tensor(&[1.0, -2.0, 0.5]));
        autograd::gradcheck(|x| l2(&x[0].sqr()?, &x[1]), &[p, t])?;
        Ok(())
    }
}
