//! [`Bce`], binary cross-entropy of probabilities.

use super::{PointwiseLoss, check};
use crate::autograd::Tensor;
use crate::error::Result;
use crate::formula::Real;

/// Binary cross-entropy: the mean of −(t·ln p + (1 − t)·ln(1 − p)) for probabilities p and targets t from 0 to 1.
///
/// As in PyTorch each logarithm is at least −100, and the gradient (p − t)/(p(1 − p)) divides by at least 1e-12. For logits use
/// [`BceWithLogits`](super::BceWithLogits), which is exact where p is close to 0 or 1. Errors if a probability or a target
/// is outside of 0 to 1.
///
/// ```
/// use tealight::prelude::*;
/// let (p, t) = (Tensor::new(&[0.5, 1.0], &Device::Cpu)?, Tensor::new(&[1.0, 1.0], &Device::Cpu)?);
/// assert!((Bce.loss(&p, &t)?.to_scalar::<f64>()? - 2.0_f64.ln() / 2.0).abs() < 1e-15);
/// # Ok::<(), tealight::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
#[doc(alias = "BCELoss")]
#[doc(alias = "binary_crossentropy")]
pub struct Bce;

/// ln p and ln(1 − p), not below −100.
fn clamped_logs<R: Real>(p: R) -> (R, R) {
    let floor = R::constant(-100.0);
    (p.ln().maximum(floor), (-p).ln_1p().maximum(floor))
}

impl PointwiseLoss for Bce {
    const NAME: &'static str = "bce";

    fn value<R: Real>(&self, prediction: R, target: R) -> R {
        let (yes, no) = clamped_logs(prediction);
        -(target * yes + (R::constant(1.0) - target) * no)
    }

    fn derivative<R: Real>(&self, prediction: R, target: R) -> [R; 2] {
        let spread = prediction * (R::constant(1.0) - prediction);
        let (yes, no) = clamped_logs(prediction);
        [(prediction - target) / spread.maximum(R::constant(1e-12)), no - yes]
    }

    fn check(&self, prediction: &Tensor, target: &Tensor) -> Result<()> {
        check::in_range(Self::NAME, "probabilities", prediction, 0.0, 1.0)?;
        check::in_range(Self::NAME, "targets", target, 0.0, 1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::Bce;
    use crate::ops::testing::{grad_at, tensor};
    use crate::prelude::*;

    #[test]
    fn gradients() -> Result<()> {
        let (p, t) = (tensor(&[0.3, 0.9, 0.1]), tensor(&[0.95, 0.2, 0.05]));
        autograd::gradcheck(|x| Bce.loss(&x[0], &x[1]), &[p, t])?;
        Ok(())
    }

    #[test]
    fn certainty() -> Result<()> {
        let loss = Bce.elementwise(&tensor(&[0.0, 1.0, 0.0, 1.0]), &tensor(&[0.0, 1.0, 1.0, 0.0]))?;
        assert_eq!(loss.to_vec1::<f64>()?, [0.0, 0.0, 100.0, 100.0]);
        assert_eq!(grad_at(0.0, |p| Bce.elementwise(p, &tensor(&[1.0])))?, -1e12);
        assert_eq!(grad_at(0.0, |p| Bce.elementwise(p, &tensor(&[0.0])))?, 0.0);
        let error =
            |p: f64, t: f64| Bce.elementwise(&tensor(&[0.5, p]), &tensor(&[1.0, t])).unwrap_err().to_string();
        assert_eq!(error(1.5, 1.0), "bce: expected probabilities from 0 to 1, got 1.5 at [1]");
        assert!(error(f64::NAN, 1.0).ends_with("got NaN at [1]"));
        assert_eq!(error(0.5, -1.0), "bce: expected targets from 0 to 1, got -1 at [1]");
        Ok(())
    }
}
