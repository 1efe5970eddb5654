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
//! Shapes or dtypes that differ. A probability outside [0, 1] gives NaN.

use super::PointwiseLoss;
use crate::formula::Real;

/// −(t·ln p + (1 − t)·ln(1 − p)) of a probability p and a target t from 0 to 1.
///
/// For logits use [`BceWithLogits`](super::BceWithLogits): it loses no digits where p is close to 0 or 1.
#[derive(Clone, Copy, Debug, Default)]
pub struct Bce;

#[inline(always)]
fn logs<R: Real>(p: R) -> (R, R) {
    let floor = R::constant(-100.0);
    (p.ln().max(floor), (-p).ln_1p().max(floor))
}

impl PointwiseLoss for Bce {
    const NAME: &'static str = "bce";

    #[inline(always)]
    fn value<R: Real>(&self, prediction: R, target: R) -> R {
        let (yes, no) = logs(prediction);
        -(target * yes + (R::constant(1.0) - target) * no)
    }

    #[inline(always)]
    fn derivative<R: Real>(&self, prediction: R, target: R) -> [R; 2] {
        let spread = prediction * (R::constant(1.0) - prediction);
        let (yes, no) = logs(prediction);
        [(prediction - target) / spread.max(R::constant(1e-12)), no - yes]
    }
}

#[cfg(test)]
mod tests {
    use super::super::{EachLoss, Mean};
    use super::Bce;
    use crate::ops::testing::{grad_at, tensor};
    use crate::prelude::*;

    #[test]
    fn gradients() -> Result<()> {
        let (p, t) = (tensor(&[0.3, 0.9, 0.01]), tensor(&[1.0, 0.2, 0.0]));
        autograd::gradcheck(|x| Mean(Bce).loss(&x[0], &x[1]), &[p, t])?;
        Ok(())
    }

    #[test]
    fn certainty() -> Result<()> {
        let loss = Bce.each(&tensor(&[0.0, 1.0, 0.0, 1.0]), &tensor(&[0.0, 1.0, 1.0, 0.0]))?;
        assert_eq!(loss.to_vec1::<f64>()?, [0.0, 0.0, 100.0, 100.0]);
        assert_eq!(grad_at(0.0, |p| Bce.each(p, &tensor(&[1.0])))?, -1e12);
        assert_eq!(grad_at(0.0, |p| Bce.each(p, &tensor(&[0.0])))?, 0.0);
        assert!(Bce.each(&tensor(&[1.5]), &tensor(&[1.0]))?.to_vec1::<f64>()?[0].is_nan());
        Ok(())
    }
}
