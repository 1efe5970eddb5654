//! [`Huber`] and [`SmoothL1`]: quadratic near 0, linear far away.

use super::PointwiseLoss;
use crate::error::{Error, Result};
use crate::formula::Real;

/// The Huber loss: with d = p − t, the mean of d²/2 where |d| ≤ δ, else δ(|d| − δ/2). Its gradient is at most δ, so outliers
/// count less than in [`Mse`](super::Mse). (P. J. Huber 1964)
///
/// ```
/// use tealight::loss::Huber;
/// use tealight::prelude::*;
/// let (p, t) = (Tensor::new(&[0.5, 10.0], &Device::Cpu)?, Tensor::new(&[0.0, 0.0], &Device::Cpu)?);
/// assert_eq!(Huber::new().loss(&p, &t)?.to_scalar::<f64>()?, (0.125 + 9.5) / 2.0);
/// assert_eq!(Huber::new().delta(2.0)?.loss(&p, &t)?.to_scalar::<f64>()?, (0.125 + 18.0) / 2.0);
/// # Ok::<(), tealight::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
#[doc(alias = "HuberLoss")]
pub struct Huber {
    delta: f64,
}

impl Default for Huber {
    fn default() -> Self {
        Huber { delta: 1.0 }
    }
}

impl Huber {
    /// With δ = 1.
    pub fn new() -> Self {
        Huber::default()
    }

    /// δ, where the loss becomes linear. Default: 1. Errors if `delta` is not above 0.
    pub fn delta(self, delta: f64) -> Result<Self> {
        if delta.is_nan() || delta <= 0.0 {
            return Err(Error::argument("huber", "delta > 0", format!("delta = {delta}")));
        }
        Ok(Huber { delta })
    }
}

impl PointwiseLoss for Huber {
    const NAME: &'static str = "huber";

    fn value<R: Real>(&self, prediction: R, target: R) -> R {
        let far = (prediction - target).abs();
        let near = far.minimum(R::constant(self.delta));
        near * (far - R::constant(0.5) * near)
    }

    fn derivative<R: Real>(&self, prediction: R, target: R) -> [R; 2] {
        let delta = R::constant(self.delta);
        let d = prediction - target;
        let slope = delta.select_gt(d.abs(), d, d.signum() * delta);
        [slope, -slope]
    }
}

/// The smooth L1 loss: with d = p − t, the mean of d²/(2β) where |d| < β, else |d| − β/2. (R. Girshick 2015, "Fast R-CNN")
///
/// ```
/// use tealight::loss::SmoothL1;
/// use tealight::prelude::*;
/// let (p, t) = (Tensor::new(&[0.5, 10.0], &Device::Cpu)?, Tensor::new(&[0.0, 0.0], &Device::Cpu)?);
/// assert_eq!(SmoothL1::new().beta(0.5)?.loss(&p, &t)?.to_scalar::<f64>()?, (0.25 + 9.75) / 2.0);
/// # Ok::<(), tealight::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
#[doc(alias = "SmoothL1Loss")]
pub struct SmoothL1 {
    beta: f64,
}

impl Default for SmoothL1 {
    fn default() -> Self {
        SmoothL1 { beta: 1.0 }
    }
}

impl SmoothL1 {
    /// With β = 1.
    pub fn new() -> Self {
        SmoothL1::default()
    }

    /// β, where the loss becomes linear; with 0 it is [`L1`](super::L1). Default: 1. Errors if `beta` is negative or NaN.
    pub fn beta(self, beta: f64) -> Result<Self> {
        if beta.is_nan() || beta < 0.0 {
            return Err(Error::argument("smooth_l1", "beta >= 0", format!("beta = {beta}")));
        }
        Ok(SmoothL1 { beta })
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
}

#[cfg(test)]
mod tests {
    use super::{Huber, SmoothL1};
    use crate::ops::testing::{grad_at, tensor};
    use crate::prelude::*;

    #[test]
    fn gradients() -> Result<()> {
        let inputs = [tensor(&[0.3, -1.0, 2.0, 4.0]), tensor(&[1.0, -1.2, 0.5, -3.0])];
        let huber = Huber::new().delta(0.6)?.reduction(Reduction::Sum);
        autograd::gradcheck(|x| huber.loss(&x[0].sin()?, &x[1].sin()?), &inputs)?;
        for beta in [0.0, 0.6] {
            let smooth = SmoothL1::new().beta(beta)?.reduction(Reduction::Sum);
            autograd::gradcheck(|x| smooth.loss(&x[0].sin()?, &x[1].sin()?), &inputs)?;
        }
        let zero = tensor(&[0.0]);
        assert_eq!(grad_at(0.0, |x| SmoothL1::new().beta(0.0)?.elementwise(x, &zero))?, 0.0);
        assert_eq!(grad_at(f64::INFINITY, |x| Huber::new().delta(2.0)?.elementwise(x, &zero))?, 2.0);
        Ok(())
    }

    #[test]
    fn invalid_settings() {
        let error = Huber::new().delta(0.0).unwrap_err().to_string();
        assert_eq!(error, "huber: expected delta > 0, got delta = 0");
        assert!(SmoothL1::new().beta(f64::NAN).is_err());
    }
}
