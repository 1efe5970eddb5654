//! The Kullback-Leibler divergence.
//!
//! # Formula
//! t(ln t − x) of a logarithm x of a probability and a probability t, with 0·ln 0 = 0; exp(t)(t − x) if t is a logarithm too
//!
//! # Gradient
//! −t and ln t + 1 − x; −exp(t) and exp(t)(t + 1 − x)
//!
//! # Kinks
//! The slope by a target of 0 is 0, not −∞.
//!
//! # Errors
//! Shapes or dtypes that differ; targets outside of 0 to 1, or logarithms that are NaN.

use super::{PointwiseLoss, check};
use crate::autograd::Tensor;
use crate::error::Result;
use crate::formula::Real;

/// How far the distribution whose logarithms are predicted is from that of the targets, element by element. As in PyTorch
/// the prediction is [`log_softmax`](Tensor::log_softmax) of scores, and [`BatchMean`](super::BatchMean) is the mean to take.
///
/// # Formula
/// t(ln t − x) of a logarithm x of a probability and a probability t, with 0·ln 0 = 0; exp(t)(t − x) if t is a logarithm too
///
/// # Gradient
/// −t and ln t + 1 − x; −exp(t) and exp(t)(t + 1 − x)
///
/// # Kinks
/// The slope by a target of 0 is 0, not −∞.
///
/// # Errors
/// Shapes or dtypes that differ; targets outside of 0 to 1, or logarithms that are NaN.
///
/// ```
/// use tealight::loss::{BatchMean, KlDiv};
/// use tealight::prelude::*;
/// let t = Tensor::new(&[[0.5, 0.5, 0.0]], &Device::Cpu)?;
/// let x = Tensor::new(&[[0.0, 0.0, f64::NEG_INFINITY]], &Device::Cpu)?.log_softmax(1)?;
/// assert_eq!(BatchMean(KlDiv::default()).loss(&x, &t)?.to_scalar::<f64>()?, 0.0);
/// # Ok::<(), tealight::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
#[doc(alias = "KLDivLoss")]
pub struct KlDiv {
    /// Whether the targets are logarithms too.
    pub log_target: bool,
}

impl PointwiseLoss for KlDiv {
    const NAME: &'static str = "kl_div";

    fn value<R: Real>(&self, prediction: R, target: R) -> R {
        let zero = R::constant(0.0);
        if self.log_target {
            let (t, p) = logarithm(target);
            return p.select_gt(zero, p * (t - prediction), zero);
        }
        target.select_gt(zero, target * (above_0(target).ln() - prediction), zero)
    }

    fn derivative<R: Real>(&self, prediction: R, target: R) -> [R; 2] {
        let (zero, one) = (R::constant(0.0), R::constant(1.0));
        if self.log_target {
            let (t, p) = logarithm(target);
            return [-p, p.select_gt(zero, p * (t + one - prediction), zero)];
        }
        [-target, target.select_gt(zero, above_0(target).ln() + one - prediction, zero)]
    }

    fn check(&self, _: &Tensor, target: &Tensor) -> Result<()> {
        match self.log_target {
            true => check::no_nan("kl_div", "targets", target),
            false => check::within("kl_div", "targets", target, 0.0, 1.0),
        }
    }
}

/// t and exp(t), which is 0 long before t = −10,000; of −∞ there is no finite multiple.
fn logarithm<R: Real>(t: R) -> (R, R) {
    let t = t.max(R::constant(-1e4));
    (t, t.exp())
}

/// t, or 1 where it is 0: ln 0 is −∞.
fn above_0<R: Real>(t: R) -> R {
    t.select_gt(R::constant(0.0), t, R::constant(1.0))
}

#[cfg(test)]
mod tests {
    use super::super::{ElementwiseLoss, Sum};
    use super::KlDiv;
    use crate::ops::testing::{grad_at, tensor};
    use crate::prelude::*;

    #[test]
    fn gradients() -> Result<()> {
        let (x, t) = (tensor(&[-0.3, -1.0, -4.0]), tensor(&[0.4, 0.9, 0.05]));
        autograd::gradcheck(|x| Sum(KlDiv::default()).loss(&x[0], &x[1])?.sqr(), &[x.clone(), t.clone()])?;
        let log = KlDiv { log_target: true };
        autograd::gradcheck(|x| Sum(log).loss(&x[0], &x[1])?.sqr(), &[x.clone(), t.ln()?])?;
        Ok(())
    }

    #[test]
    fn nothing_is_expected() -> Result<()> {
        let (never, sure) = (tensor(&[f64::NEG_INFINITY]), tensor(&[0.0]));
        let log = KlDiv { log_target: true };
        assert_eq!(KlDiv::default().each(&never, &sure)?.to_vec1::<f64>()?, [0.0]);
        assert_eq!(log.each(&never, &never)?.to_vec1::<f64>()?, [0.0]);
        assert_eq!(log.each(&sure, &never)?.to_vec1::<f64>()?, [0.0]);
        assert_eq!(grad_at(0.0, |t| KlDiv::default().each(&tensor(&[-1.0]), t))?, 0.0);
        assert_eq!(KlDiv::default().each(&never, &tensor(&[0.5]))?.to_vec1::<f64>()?, [f64::INFINITY]);
        let error = KlDiv::default().each(&sure, &tensor(&[1.5])).unwrap_err().to_string();
        assert_eq!(error, "kl_div: expected targets from 0 to 1, got 1.5 at [0]");
        Ok(())
    }
}
