//! [`L1`], the absolute error.

use super::{ElementwiseLoss, PointwiseLoss, Reduction};
use crate::autograd::Tensor;
use crate::error::Result;
use crate::formula::Real;

/// The mean absolute error: the mean of |p − t|. The gradient is 0 where p = t.
///
/// ```
/// use tealight::prelude::*;
/// let (p, t) = (Tensor::new(&[1.0, 5.0], &Device::Cpu)?, Tensor::new(&[2.0, 2.0], &Device::Cpu)?);
/// assert_eq!(L1.loss(&p, &t)?.to_scalar::<f64>()?, 2.0);
/// # Ok::<(), tealight::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
#[doc(alias = "L1Loss")]
#[doc(alias = "mean_absolute_error")]
pub struct L1;

impl PointwiseLoss for L1 {
    const NAME: &'static str = "l1";
    const IS_INLINED: bool = true;
    const PROPAGATES_NAN: bool = true;

    #[inline(always)]
    fn value<R: Real>(&self, prediction: R, target: R) -> R {
        (prediction - target).abs()
    }
}

/// The sum of the absolute differences, Σ |p − t|. (The mean is [`L1`].)
///
/// ```
/// use tealight::functional::l1;
/// use tealight::prelude::*;
/// let yhat = Tensor::new(&[0.9, 0.2, 0.1, 0.4, 0.9], &Device::Cpu)?;
/// let y = Tensor::new(&[1.0, 0.0, 0.0, 1.0, 1.0], &Device::Cpu)?;
/// assert!((l1(&yhat, &y)?.to_scalar::<f64>()? - 1.1).abs() < 1e-15);
/// # Ok::<(), tealight::Error>(())
/// ```
pub fn l1(prediction: &Tensor, target: &Tensor) -> Result<Tensor> {
    L1.reduced(prediction, target, Reduction::Sum)
}

impl Tensor {
    /// The sum of the absolute differences from `target`: see [`l1`].
    pub fn l1(&self, target: &Tensor) -> Result<Tensor> {
        l1(self, target)
    }
}

#[cfg(test)]
mod tests {
    use super::l1;
    use crate::ops::testing::{grad_at, tensor};
    use crate::prelude::*;

    #[test]
    fn gradients() -> Result<()> {
        let (p, t) = (tensor(&[0.3, -1.0, 2.0]), tensor(&[1.0, -2.0, 0.5]));
        autograd::gradcheck(|x| l1(&x[0].sqr()?, &x[1]), &[p.clone(), t])?;
        assert_eq!(grad_at(2.0, |x| l1(x, &tensor(&[2.0])))?, 0.0);
        let column = p.unsqueeze(1)?;
        assert!(matches!(l1(&p, &column), Err(Error::Shape { .. })));
        Ok(())
    }
}
