//! [`KlDiv`], the Kullback-Leibler divergence.

use super::{PointwiseLoss, check};
use crate::autograd::Tensor;
use crate::error::Result;
use crate::formula::Real;

/// The Kullback-Leibler divergence of log-probabilities x from target probabilities t: the mean of t(ln t − x), with
/// 0·ln 0 = 0. The gradient by a target of 0 is 0.
///
/// As in PyTorch the prediction is the [`log_softmax`](Tensor::log_softmax) of logits, and only
/// [`BatchMean`](super::Reduction::BatchMean) gives the divergence per sample. Errors if a target is outside of 0 to 1.
///
/// ```
/// use tealight::loss::KlDiv;
/// use tealight::prelude::*;
/// let t = Tensor::new(&[[0.5, 0.5, 0.0]], &Device::Cpu)?;
/// let x = Tensor::new(&[[0.0, 0.0, f64::NEG_INFINITY]], &Device::Cpu)?.log_softmax(1)?;
/// let loss = KlDiv::new().reduction(Reduction::BatchMean);
/// assert_eq!(loss.loss(&x, &t)?.to_scalar::<f64>()?, 0.0);
/// # Ok::<(), tealight::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
#[doc(alias = "KLDivLoss")]
pub struct KlDiv {
    log_target: bool,
}

impl KlDiv {
    /// With probabilities as targets.
    pub fn new() -> Self {
        KlDiv::default()
    }

    /// With log-probabilities as targets: exp(t)(t − x).
    pub fn log_target(self) -> Self {
        KlDiv { log_target: true }
    }
}

impl PointwiseLoss for KlDiv {
    const NAME: &'static str = "kl_div";

    fn value<R: Real>(&self, prediction: R, target: R) -> R {
        let zero = R::constant(0.0);
        // 0, but NaN comes through.
        let none = prediction.maximum(zero).minimum(zero);
        if self.log_target {
            let (t, p) = bounded_exp(target);
            return p.select_gt(zero, p * (t - prediction), none);
        }
        target.select_gt(zero, target * (positive_or_one(target).ln() - prediction), none)
    }

    fn derivative<R: Real>(&self, prediction: R, target: R) -> [R; 2] {
        let (zero, one) = (R::constant(0.0), R::constant(1.0));
        if self.log_target {
            let (t, p) = bounded_exp(target);
            return [-p, p.select_gt(zero, p * (t + one - prediction), zero)];
        }
        [-target, target.select_gt(zero, positive_or_one(target).ln() + one - prediction, zero)]
    }

    fn check(&self, _: &Tensor, target: &Tensor) -> Result<()> {
        match self.log_target {
            true => check::not_nan("kl_div", "targets", target),
            false => check::in_range("kl_div", "targets", target, 0.0, 1.0),
        }
    }
}

/// t and exp(t) for t ≥ −10,000, where exp(t) is 0 already: 0·(−∞) would be NaN.
fn bounded_exp<R: Real>(t: R) -> (R, R) {
    let t = t.maximum(R::constant(-1e4));
    (t, t.exp())
}

/// t, or 1 where it is 0: ln 0 is −∞.
fn positive_or_one<R: Real>(t: R) -> R {
    t.select_gt(R::constant(0.0), t, R::constant(1.0))
}

#[cfg(test)]
mod tests {
    use super::KlDiv;
    use crate::ops::testing::{grad_at, tensor};
    use crate::prelude::*;

    #[test]
    fn gradients() -> Result<()> {
        let (x, t) = (tensor(&[-0.3, -1.0, -4.0]), tensor(&[0.4, 0.9, 0.05]));
        let loss = KlDiv::new().reduction(Reduction::Sum);
        autograd::gradcheck(|x| loss.loss(&x[0], &x[1])?.sqr(), &[x.clone(), t.clone()])?;
        let log = KlDiv::new().log_target().reduction(Reduction::Sum);
        autograd::gradcheck(|x| log.loss(&x[0], &x[1])?.sqr(), &[x.clone(), t.ln()?])?;
        Ok(())
    }

    #[test]
    fn zero_probabilities() -> Result<()> {
        let (never, sure) = (tensor(&[f64::NEG_INFINITY]), tensor(&[0.0]));
        let (plain, log) = (KlDiv::new(), KlDiv::new().log_target());
        assert_eq!(plain.elementwise(&never, &sure)?.to_vec1::<f64>()?, [0.0]);
        assert_eq!(log.elementwise(&never, &never)?.to_vec1::<f64>()?, [0.0]);
        assert_eq!(log.elementwise(&sure, &never)?.to_vec1::<f64>()?, [0.0]);
        assert_eq!(grad_at(0.0, |t| plain.elementwise(&tensor(&[-1.0]), t))?, 0.0);
        assert_eq!(plain.elementwise(&never, &tensor(&[0.5]))?.to_vec1::<f64>()?, [f64::INFINITY]);
        let error = plain.elementwise(&sure, &tensor(&[1.5])).unwrap_err().to_string();
        assert_eq!(error, "kl_div: expected targets from 0 to 1, got 1.5 at [0]");
        Ok(())
    }
}
