//! [`GaussianNll`], the negative log-likelihood of a normal distribution.

use super::{Reduction, check};
use crate::autograd::Tensor;
use crate::error::{Error, Result};
use crate::formula::{Formula, Real};
use crate::ops;

/// The negative log-likelihood of targets t under normal distributions with predicted means m and variances: the mean of
/// (ln v + (m − t)²/v)/2 with v = max(variance, ε).
///
/// As in PyTorch the gradient by a variance below ε is that at ε.
///
/// ```
/// use tealight::loss::GaussianNll;
/// use tealight::prelude::*;
/// let mean = Tensor::new(&[[0.0], [1.0]], &Device::Cpu)?;
/// let (target, variance) = (Tensor::new(&[[2.0], [1.0]], &Device::Cpu)?, Tensor::ones((2, 1), DType::F64, &Device::Cpu)?);
/// let loss = GaussianNll::new().loss(&mean, &target, &variance)?;
/// assert_eq!(loss.to_scalar::<f64>()?, 1.0);
/// # Ok::<(), tealight::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
#[doc(alias = "GaussianNLLLoss")]
pub struct GaussianNll {
    full: bool,
    eps: f64,
    reduction: Reduction,
}

impl Default for GaussianNll {
    fn default() -> Self {
        GaussianNll { full: false, eps: 1e-6, reduction: Reduction::Mean }
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
    /// Without the constant ln(2π)/2, and with ε = 1e-6.
    pub fn new() -> Self {
        GaussianNll::default()
    }

    /// Adds the constant ln(2π)/2.
    pub fn full(self) -> Self {
        GaussianNll { full: true, ..self }
    }

    /// ε, the smallest variance. Default: 1e-6. Errors if `eps` is not above 0.
    pub fn eps(self, eps: f64) -> Result<Self> {
        if eps.is_nan() || eps <= 0.0 {
            return Err(Error::argument(NAME, "eps > 0", format!("eps = {eps}")));
        }
        Ok(GaussianNll { eps, ..self })
    }

    /// How the losses are reduced. Default: the mean.
    pub fn reduction(self, reduction: Reduction) -> Self {
        GaussianNll { reduction, ..self }
    }

    /// The loss. `mean` and `target` have one shape; `variance` has that shape too, or 1 for its last axis, or lacks it.
    ///
    /// Errors if a target is NaN or a variance is negative.
    pub fn loss(&self, mean: &Tensor, target: &Tensor, variance: &Tensor) -> Result<Tensor> {
        check::same_shape(NAME, "means and targets", &[mean, target])?;
        let (dims, got) = (mean.dims(), variance.dims());
        let variance = match dims.split_last() {
            _ if got == dims => variance.clone(),
            Some((_, rows)) if got == rows => variance.unsqueeze(-1)?,
            Some((_, rows)) if got.split_last() == Some((&1, rows)) => variance.clone(),
            _ => return Err(Error::shape(NAME, format!("variances of shape {dims:?}"), &[got])),
        };
        check::not_nan(NAME, "targets", target)?;
        check::in_range(NAME, "variances", &variance, 0.0, f64::INFINITY)?;
        // Adding a constant raises the variance to ε and keeps its gradient, which a clamp would make 0.
        let missing = (self.eps - variance.detach())?.relu()?;
        self.reduction.apply(ops::apply(*self, [mean, target, &(variance + missing)?])?)
    }
}

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
        let (full, sum) = (GaussianNll::new().full(), GaussianNll::new().reduction(Reduction::Sum));
        for variance in
            [matrix(&[0.5, 2.0, 1.0, 0.1])?, tensor(&[0.5, 2.0]), tensor(&[0.5, 2.0]).unsqueeze(1)?]
        {
            let inputs = [mean.clone(), target.clone(), variance];
            autograd::gradcheck(|x| full.loss(&x[0], &x[1], &x[2])?.sqr(), &inputs)?;
            autograd::gradcheck(|x| sum.loss(&x[0], &x[1], &x[2]), &inputs)?;
        }
        Ok(())
    }

    #[test]
    fn edges() -> Result<()> {
        let (loss, one) = (GaussianNll::new().eps(0.5)?, tensor(&[1.0]));
        assert_eq!(grad_at(0.0, |v| loss.loss(&one, &one, v))?, 1.0);
        let error = loss.loss(&one, &one, &tensor(&[-1.0])).unwrap_err().to_string();
        assert_eq!(error, "gaussian_nll: expected variances of 0 or more, got -1 at [0]");
        let error = loss.loss(&one, &one, &tensor(&[1.0, 1.0])).unwrap_err().to_string();
        assert_eq!(error, "gaussian_nll: expected variances of shape [1], got [2]");
        assert!(loss.loss(&one, &tensor(&[f64::NAN]), &one).is_err());
        assert!(loss.loss(&tensor(&[]), &tensor(&[]), &tensor(&[])).is_err());
        assert!(loss.eps(0.0).is_err());
        Ok(())
    }
}
