//! Squared near 0 and straight far away.
//!
//! # Formula
//! With d = p − t: d²/2 where |d| ≤ δ, else δ(|d| − δ/2); `SmoothL1` is that divided by β = δ
//!
//! # Gradient
//! d where |d| ≤ δ, else ±δ, and its negative
//!
//! # Errors
//! Shapes or dtypes that differ; targets that are NaN; a δ that is not above 0, a β below 0.

use super::{PointwiseLoss, check};
use crate::autograd::Tensor;
use crate::error::{Error, Result};
use crate::formula::Real;

/// d²/2 where |d| ≤ δ, else δ(|d| − δ/2): outliers pull with a force of δ at most. δ is 1 unless said otherwise.
///
/// # Formula
/// With d = p − t: d²/2 where |d| ≤ δ, else δ(|d| − δ/2); `SmoothL1` is that divided by β = δ
///
/// # Gradient
/// d where |d| ≤ δ, else ±δ, and its negative
///
/// # Errors
/// Shapes or dtypes that differ; targets that are NaN; a δ that is not above 0, a β below 0.
///
/// # Source
/// P. J. Huber 1964
///
/// ```
/// use tealight::loss::Huber;
/// use tealight::prelude::*;
/// let (p, t) = (Tensor::new(&[0.5, 10.0], &Device::Cpu)?, Tensor::new(&[0.0, 0.0], &Device::Cpu)?);
/// assert_eq!(Sum(Huber::default()).loss(&p, &t)?.to_scalar::<f64>()?, 0.125 + 9.5);
/// # Ok::<(), tealight::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
#[doc(alias = "HuberLoss")]
pub struct Huber {
    /// δ: the difference from which on the loss is straight.
    pub delta: f64,
}

impl Default for Huber {
    fn default() -> Self {
        Huber { delta: 1.0 }
    }
}

impl PointwiseLoss for Huber {
    const NAME: &'static str = "huber";

    fn value<R: Real>(&self, prediction: R, target: R) -> R {
        let far = (prediction - target).abs();
        let near = far.min(R::constant(self.delta));
        near * (far - R::constant(0.5) * near)
    }

    fn derivative<R: Real>(&self, prediction: R, target: R) -> [R; 2] {
        let delta = R::constant(self.delta);
        let slope = (prediction - target).max(-delta).min(delta);
        [slope, -slope]
    }

    fn check(&self, _: &Tensor, target: &Tensor) -> Result<()> {
        if self.delta.is_nan() || self.delta <= 0.0 {
            return Err(Error::argument("huber", "delta > 0", format!("delta = {}", self.delta)));
        }
        check::no_nan("huber", "targets", target)
    }
}

/// d²/(2β) where |d| < β, else |d| − β/2. β is 1 unless said otherwise; with 0 it is [`L1`](super::L1).
///
/// # Source
/// R. Girshick 2015, "Fast R-CNN"
///
/// ```
/// use tealight::loss::SmoothL1;
/// use tealight::prelude::*;
/// let (p, t) = (Tensor::new(&[0.5, 10.0], &Device::Cpu)?, Tensor::new(&[0.0, 0.0], &Device::Cpu)?);
/// assert_eq!(Sum(SmoothL1 { beta: 0.5 }).loss(&p, &t)?.to_scalar::<f64>()?, 0.25 + 9.75);
/// # Ok::<(), tealight::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
#[doc(alias = "SmoothL1Loss")]
pub struct SmoothL1 {
    /// β: the difference from which on the loss is straight.
    pub beta: f64,
}

impl Default for SmoothL1 {
    fn default() -> Self {
        SmoothL1 { beta: 1.0 }
    }
}

impl PointwiseLoss for SmoothL1 {
    const NAME: &'static str = "smooth_l1";

    fn value<R: Real>(&self, prediction: R, target: R) -> R {
        if self.beta == 0.0 {
            return (prediction - target).abs();
        }
        PointwiseLoss::value(&Huber { delta: self.beta }, prediction, target) / R::constant(self.beta)
    }

    fn derivative<R: Real>(&self, prediction: R, target: R) -> [R; 2] {
        if self.beta == 0.0 {
            let sign = (prediction - target).signum();
            return [sign, -sign];
        }
        PointwiseLoss::derivative(&Huber { delta: self.beta }, prediction, target)
            .map(|slope| slope / R::constant(self.beta))
    }

    fn check(&self, _: &Tensor, target: &Tensor) -> Result<()> {
        if self.beta.is_nan() || self.beta < 0.0 {
            return Err(Error::argument("smooth_l1", "beta >= 0", format!("beta = {}", self.beta)));
        }
        check::no_nan("smooth_l1", "targets", target)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{ElementwiseLoss, Sum};
    use super::{Huber, SmoothL1};
    use crate::ops::testing::{grad_at, tensor};
    use crate::prelude::*;

    #[test]
    fn gradients() -> Result<()> {
        let inputs = [tensor(&[0.3, -1.0, 2.0, 4.0]), tensor(&[1.0, -1.2, 0.5, -3.0])];
        autograd::gradcheck(|x| Sum(Huber { delta: 0.6 }).loss(&x[0].sin()?, &x[1].sin()?), &inputs)?;
        for beta in [0.0, 0.6] {
            autograd::gradcheck(|x| Sum(SmoothL1 { beta }).loss(&x[0].sin()?, &x[1].sin()?), &inputs)?;
        }
        assert_eq!(grad_at(0.0, |x| SmoothL1 { beta: 0.0 }.each(x, &tensor(&[0.0])))?, 0.0);
        assert_eq!(grad_at(f64::INFINITY, |x| Huber { delta: 2.0 }.each(x, &tensor(&[0.0])))?, 2.0);
        Ok(())
    }

    #[test]
    fn refusals() {
        let x = tensor(&[1.0]);
        let error = Huber { delta: 0.0 }.each(&x, &x).unwrap_err().to_string();
        assert_eq!(error, "huber: expected delta > 0, got delta = 0");
        assert!(SmoothL1 { beta: f64::NAN }.each(&x, &x).is_err());
    }
}
