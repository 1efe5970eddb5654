//! [`SoftMargin`], the logistic loss of signs.

use super::bce_with_logits::softplus;
use super::{PointwiseLoss, check};
use crate::autograd::Tensor;
use crate::error::Result;
use crate::formula::Real;

/// The logistic loss: the mean of ln(1 + exp(−t·p)) for scores p and targets t of −1 or 1. The gradient is −t·sigmoid(−t·p).
/// Errors if a target is neither −1 nor 1.
///
/// ```
/// use tealight::loss::SoftMargin;
/// use tealight::prelude::*;
/// let (p, t) = (Tensor::new(&[0.0, 1000.0], &Device::Cpu)?, Tensor::new(&[1.0, -1.0], &Device::Cpu)?);
/// assert_eq!(SoftMargin.elementwise(&p, &t)?.to_vec1::<f64>()?, [2.0_f64.ln(), 1000.0]);
/// # Ok::<(), tealight::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
#[doc(alias = "SoftMarginLoss")]
pub struct SoftMargin;

impl PointwiseLoss for SoftMargin {
    const NAME: &'static str = "soft_margin";

    fn value<R: Real>(&self, prediction: R, target: R) -> R {
        softplus(R::constant(1.0), -(target * prediction))
    }

    fn derivative<R: Real>(&self, prediction: R, target: R) -> [R; 2] {
        let slope = -(-(target * prediction)).sigmoid();
        [slope * target, slope * prediction]
    }

    fn check(&self, _: &Tensor, target: &Tensor) -> Result<()> {
        check::signs("soft_margin", "targets", target)
    }
}

#[cfg(test)]
mod tests {
    use super::SoftMargin;
    use crate::ops::testing::{grad_at, tensor};
    use crate::prelude::*;

    #[test]
    fn gradients() -> Result<()> {
        let (p, t) = (tensor(&[0.3, -0.5, 20.0, 1e3]), tensor(&[1.0, -1.0, 1.0, -1.0]));
        autograd::gradcheck(|x| SoftMargin.loss(&x[0], &t)?.sqr(), &[p])?;
        for (p, slope) in [(f64::NEG_INFINITY, -1.0), (f64::INFINITY, 0.0), (0.0, -0.5)] {
            assert_eq!(grad_at(p, |x| SoftMargin.elementwise(x, &tensor(&[1.0])))?, slope);
        }
        let error = SoftMargin.elementwise(&tensor(&[1.0]), &tensor(&[0.0])).unwrap_err().to_string();
        assert_eq!(error, "soft_margin: expected targets that are -1 or 1, got 0 at [0]");
        Ok(())
    }
}
