//! The normal distribution's negative logarithm of the likelihood.
//!
//! # Formula
//! (ln v + (m − t)²/v)/2 with v = max(variance, ε); `full` adds ln(2π)/2
//!
//! # Gradient
//! (m − t)/v, its negative, and (1/v − (m − t)²/v²)/2
//!
//! # Kinks
//! Below ε the slope by the variance is that at ε, as in PyTorch: so it can grow again.
//!
//! # Errors
//! Shapes or dtypes that differ; targets that are NaN; variances below 0; an ε that is not above 0.

use super::{check, reductions};
use crate::autograd::Tensor;
use crate::error::{Error, Result};
use crate::formula::{Formula, Real};
use crate::ops;

/// How unlikely the targets are if they are normally distributed with the predicted means and variances.
///
/// # Formula
/// (ln v + (m − t)²/v)/2 with v = max(variance, ε); `full` adds ln(2π)/2
///
/// # Gradient
/// (m − t)/v, its negative, and (1/v − (m − t)²/v²)/2
///
/// # Kinks
/// Below ε the slope by the variance is that at ε, as in PyTorch: so it can grow again.
///
/// # Errors
/// Shapes or dtypes that differ; targets that are NaN; variances below 0; an ε that is not above 0.
///
/// ```
/// use tealight::loss::GaussianNll;
/// use tealight::prelude::*;
/// let mean = Tensor::new(&[[0.0], [1.0]], &Device::Cpu)?;
/// let (target, variance) = (Tensor::new(&[[2.0], [1.0]], &Device::Cpu)?, Tensor::ones((2, 1), DType::F64, &Device::Cpu)?);
/// let loss = Mean(GaussianNll::default()).gaussians(&mean, &target, &variance)?;
/// assert_eq!(loss.to_scalar::<f64>()?, 1.0);
/// # Ok::<(), tealight::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
#[doc(alias = "GaussianNLLLoss")]
pub struct GaussianNll {
    /// Whether ln(2π)/2 is added.
    pub full: bool,
    /// ε, the smallest variance.
    pub eps: f64,
}

impl Default for GaussianNll {
    fn default() -> Self {
        GaussianNll { full: false, eps: 1e-6 }
    }
}

const NAME: &str = "gaussian_nll";

impl Formula<3> for GaussianNll {
    const NAME: &'static str = NAME;

    fn value<R: Real>(&self, [mean, target, variance]: [R; 3]) -> R {
        let d = mean - target;
        let constant = if self.full { 0.5 * std::f64::consts::TAU.ln() } else { 0.0 };
        R::constant(0.5) * (variance.ln() + d * d / variance) + R::constant(constant)
    }
}

impl GaussianNll {
    /// The losses, one for each element of `mean`.
    ///
    /// # Shapes
    /// `mean` and `target` of one shape; `variance` of that shape too, or with 1 for the last axis, or without it.
    ///
    /// # Errors
    /// Shapes or dtypes that differ; targets that are NaN; variances below 0; an ε that is not above 0.
    ///
    /// ```
    /// use tealight::loss::GaussianNll;
    /// use tealight::prelude::*;
    /// let [mean, target, variance] = [[0.0], [2.0], [4.0]].map(|x| Tensor::new(&x, &Device::Cpu));
    /// let loss = GaussianNll::default().gaussians(&mean?, &target?, &variance?)?;
    /// assert!((loss.to_scalar::<f64>()? - (4.0_f64.ln() + 1.0) / 2.0).abs() < 1e-15);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn gaussians(&self, mean: &Tensor, target: &Tensor, variance: &Tensor) -> Result<Tensor> {
        check::same_shape(NAME, "means and targets", &[mean, target])?;
        if self.eps.is_nan() || self.eps <= 0.0 {
            return Err(Error::argument(NAME, "eps > 0", format!("eps = {}", self.eps)));
        }
        let (dims, got) = (mean.dims(), variance.dims());
        let whole = got == dims;
        let rows = dims.split_last().map(|(_, rows)| rows);
        let variance = match rows {
            _ if whole => variance.clone(),
            Some(rows) if got == rows => variance.unsqueeze(-1)?,
            Some(rows) if got.split_last() == Some((&1, rows)) => variance.clone(),
            _ => return Err(Error::shape(NAME, format!("variances of shape {dims:?}"), &[got])),
        };
        check::no_nan(NAME, "targets", target)?;
        check::within(NAME, "variances", &variance, 0.0, f64::INFINITY)?;
        // At least ε, by a step that is no part of the history.
        let lifted = (variance.clamp(self.eps, f64::INFINITY)?.detach() - variance.detach())?;
        ops::apply(*self, [mean, target, &(variance + lifted)?])
    }
}

reductions!(GaussianNll.gaussians(mean, target, variance));

#[cfg(test)]
mod tests {
    use super::GaussianNll;
    use crate::ops::testing::{grad_at, tensor};
    use crate::prelude::*;

    #[test]
    fn gradients() -> Result<()> {
        let matrix = |x: &[f64]| tensor(x).reshape((2, 2));
        let mean = matrix(&[0.3, 1.0, 2.0, -1.0])?;
        let target = matrix(&[0.2, 3.0, 5.5, 0.0])?;
        for variance in
            [matrix(&[0.5, 2.0, 1.0, 0.1])?, tensor(&[0.5, 2.0]), tensor(&[0.5, 2.0]).unsqueeze(1)?]
        {
            let inputs = [mean.clone(), target.clone(), variance];
            let loss = |full: bool| GaussianNll { full, ..GaussianNll::default() };
            autograd::gradcheck(|x| Mean(loss(true)).gaussians(&x[0], &x[1], &x[2])?.sqr(), &inputs)?;
            autograd::gradcheck(|x| Sum(loss(false)).gaussians(&x[0], &x[1], &x[2]), &inputs)?;
        }
        Ok(())
    }

    #[test]
    fn edges() -> Result<()> {
        let (loss, one) = (GaussianNll { full: false, eps: 0.5 }, tensor(&[1.0]));
        assert_eq!(grad_at(0.0, |v| loss.gaussians(&one, &one, v))?, 1.0);
        let error = loss.gaussians(&one, &one, &tensor(&[-1.0])).unwrap_err().to_string();
        assert_eq!(error, "gaussian_nll: expected variances of 0 or more, got -1 at [0]");
        let error = loss.gaussians(&one, &one, &tensor(&[1.0, 1.0])).unwrap_err().to_string();
        assert_eq!(error, "gaussian_nll: expected variances of shape [1], got [2]");
        assert!(loss.gaussians(&one, &tensor(&[f64::NAN]), &one).is_err());
        assert!(Mean(loss).gaussians(&tensor(&[]), &tensor(&[]), &tensor(&[])).is_err());
        assert!(GaussianNll { full: false, eps: 0.0 }.gaussians(&one, &one, &one).is_err());
        Ok(())
    }
}
