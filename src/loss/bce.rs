//! Binary cross-entropy of probabilities.
//!
//! # Formula
//! −(t·ln p + (1 − t)·ln(1 − p)), each logarithm at least −100, as in PyTorch
//!
//! # Gradient
//! (p − t) / max(p(1 − p), 1e-12) and ln(1 − p) − ln p
//!
//! # Kinks
//! Where p is 0 or 1 the loss is at most 100 and the slope at most 1e12, not infinite.
//!
//! # Errors
//! Shapes or dtypes that differ; a probability or a target outside of 0 to 1.

use super::PointwiseLoss;
use super::check;
use crate::autograd::Tensor;
use crate::error::Result;
use crate::formula::Real;

/// −(t·ln p + (1 − t)·ln(1 − p)) of a probability p and a target t from 0 to 1.
///
/// For logits use [`BceWithLogits`](super::BceWithLogits): it loses no digits where p is close to 0 or 1.
///
/// # Formula
/// −(t·ln p + (1 − t)·ln(1 − p)), each logarithm at least −100, as in PyTorch
///
/// # Gradient
/// (p − t) / max(p(1 − p), 1e-12) and ln(1 − p) − ln p
///
/// # Kinks
/// Where p is 0 or 1 the loss is at most 100 and the slope at most 1e12, not infinite.
///
/// # Errors
/// Shapes or dtypes that differ; a probability or a target outside of 0 to 1.
///
/// ```
/// use tealight::prelude::*;
/// let (p, t) = (Tensor::new(&[0.5, 1.0], &Device::Cpu)?, Tensor::new(&[1.0, 1.0], &Device::Cpu)?);
/// assert!((Sum(Bce).loss(&p, &t)?.to_scalar::<f64>()? - 2.0_f64.ln()).abs() < 1e-15);
/// # Ok::<(), tealight::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
#[doc(alias = "BCELoss")]
#[doc(alias = "binary_crossentropy")]
pub struct Bce;

fn logs<R: Real>(p: R) -> (R, R) {
    let floor = R::constant(-100.0);
    (p.ln().max(floor), (-p).ln_1p().max(floor))
}

impl PointwiseLoss for Bce {
    const NAME: &'static str = "bce";

    fn value<R: Real>(&self, prediction: R, target: R) -> R {
        let (yes, no) = logs(prediction);
        -(target * yes + (R::constant(1.0) - target) * no)
    }

    fn derivative<R: Real>(&self, prediction: R, target: R) -> [R; 2] {
        let spread = prediction * (R::constant(1.0) - prediction);
        let (yes, no) = logs(prediction);
        [(prediction - target) / spread.max(R::constant(1e-12)), no - yes]
    }

    fn check(&self, prediction: &Tensor, target: &Tensor) -> Result<()> {
        check::within(Self::NAME, "probabilities", prediction, 0.0, 1.0)?;
        check::within(Self::NAME, "targets", target, 0.0, 1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{ElementwiseLoss, Mean};
    use super::Bce;
    use crate::ops::testing::{grad_at, tensor};
    use crate::prelude::*;

    #[test]
    fn gradients() -> Result<()> {
        let (p, t) = (tensor(&[0.3, 0.9, 0.1]), tensor(&[0.95, 0.2, 0.05]));
        autograd::gradcheck(|x| Mean(Bce).loss(&x[0], &x[1]), &[p, t])?;
        Ok(())
    }

    #[test]
    fn certainty() -> Result<()> {
        let loss = Bce.each(&tensor(&[0.0, 1.0, 0.0, 1.0]), &tensor(&[0.0, 1.0, 1.0, 0.0]))?;
        assert_eq!(loss.to_vec1::<f64>()?, [0.0, 0.0, 100.0, 100.0]);
        assert_eq!(grad_at(0.0, |p| Bce.each(p, &tensor(&[1.0])))?, -1e12);
        assert_eq!(grad_at(0.0, |p| Bce.each(p, &tensor(&[0.0])))?, 0.0);
        let refusal =
            |p: f64, t: f64| Bce.each(&tensor(&[0.5, p]), &tensor(&[1.0, t])).unwrap_err().to_string();
        assert_eq!(refusal(1.5, 1.0), "bce: expected probabilities from 0 to 1, got 1.5 at [1]");
        assert!(refusal(f64::NAN, 1.0).ends_with("got NaN at [1]"));
        assert_eq!(refusal(0.5, -1.0), "bce: expected targets from 0 to 1, got -1 at [1]");
        Ok(())
    }
}
