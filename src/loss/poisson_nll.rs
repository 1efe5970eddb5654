//! [`PoissonNll`], the negative log-likelihood of a Poisson distribution.

use super::{PointwiseLoss, check};
use crate::autograd::Tensor;
use crate::error::{Error, Result};
use crate::formula::Real;

/// The negative log-likelihood of counts t under Poisson distributions with log-rates x: the mean of exp(x) − t·x.
///
/// The defaults are PyTorch's. Terms that depend on t alone are left out unless [`full`](Self::full) is called. Errors if a
/// count is negative.
///
/// ```
/// use tealight::loss::PoissonNll;
/// use tealight::prelude::*;
/// let (x, t) = (Tensor::new(&[0.0, 2.0], &Device::Cpu)?, Tensor::new(&[3.0, 0.0], &Device::Cpu)?);
/// assert_eq!(PoissonNll::new().loss(&x, &t)?.to_scalar::<f64>()?, (1.0 + 2.0_f64.exp()) / 2.0);
/// # Ok::<(), tealight::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
#[doc(alias = "PoissonNLLLoss")]
pub struct PoissonNll {
    log_input: bool,
    full: bool,
    eps: f64,
}

impl Default for PoissonNll {
    fn default() -> Self {
        PoissonNll { log_input: true, full: false, eps: 1e-8 }
    }
}

impl PoissonNll {
    /// For predicted log-rates.
    pub fn new() -> Self {
        PoissonNll::default()
    }

    /// Whether the prediction is the logarithm of the rate. Default: `true`. With `false` the loss is x − t·ln(x + ε), and
    /// negative rates are errors.
    pub fn log_input(self, log_input: bool) -> Self {
        PoissonNll { log_input, ..self }
    }

    /// Adds Stirling's approximation of ln t! where t > 1: t·ln t − t + ln(2πt)/2.
    pub fn full(self) -> Self {
        PoissonNll { full: true, ..self }
    }

    /// ε in ln(x + ε), used with `log_input(false)`. Default: 1e-8. Errors if `eps` is negative, infinite or NaN.
    pub fn eps(self, eps: f64) -> Result<Self> {
        if !(0.0..f64::INFINITY).contains(&eps) {
            return Err(Error::argument("poisson_nll", "eps >= 0", format!("eps = {eps}")));
        }
        Ok(PoissonNll { eps, ..self })
    }
}

impl PoissonNll {
    /// The rate and its logarithm.
    #[inline(always)]
    fn rate<R: Real>(&self, prediction: R) -> (R, R) {
        match self.log_input {
            true => (prediction.exp(), prediction),
            false => (prediction, (prediction + R::constant(self.eps)).ln()),
        }
    }
}

impl PointwiseLoss for PoissonNll {
    const NAME: &'static str = "poisson_nll";

    fn value<R: Real>(&self, prediction: R, target: R) -> R {
        let (zero, one) = (R::constant(0.0), R::constant(1.0));
        let (rate, log) = self.rate(prediction);
        // The limits: ∞ − t·∞ is ∞ (above 1000 the rate is infinite), and 0·∞ is 0.
        let loss = rate - target.select_gt(zero, target * log.minimum(R::constant(1000.0)), zero);
        if !self.full {
            return loss;
        }
        // 1 where the term is not selected, so that it is finite there.
        let t = target.select_gt(one, target, one);
        let stirling = t * t.ln() - t + R::constant(0.5) * (R::constant(std::f64::consts::TAU) * t).ln();
        loss + target.select_gt(one, stirling, zero)
    }

    fn derivative<R: Real>(&self, prediction: R, target: R) -> [R; 2] {
        let (rate, log) = self.rate(prediction);
        let by_prediction = match self.log_input {
            true => rate - target,
            false => R::constant(1.0) - target / (prediction + R::constant(self.eps)),
        };
        if !self.full {
            return [by_prediction, -log];
        }
        let (zero, one) = (R::constant(0.0), R::constant(1.0));
        let t = target.select_gt(one, target, one);
        [by_prediction, target.select_gt(one, t.ln() + R::constant(0.5) / t, zero) - log]
    }

    fn check(&self, prediction: &Tensor, target: &Tensor) -> Result<()> {
        if !self.log_input {
            check::in_range("poisson_nll", "rates", prediction, 0.0, f64::INFINITY)?;
        }
        check::in_range("poisson_nll", "counts", target, 0.0, f64::INFINITY)
    }
}

#[cfg(test)]
mod tests {
    use super::PoissonNll;
    use crate::ops::testing::tensor;
    use crate::prelude::*;

    #[test]
    fn gradients() -> Result<()> {
        let inputs = [tensor(&[0.3, 1.0, 2.0]), tensor(&[0.2, 3.0, 5.5])];
        let (log, rates) = (PoissonNll::new().eps(1e-3)?, PoissonNll::new().eps(1e-3)?.log_input(false));
        for loss in [log, rates, log.full(), rates.full()] {
            let loss = loss.reduction(Reduction::Sum);
            autograd::gradcheck(|x| loss.loss(&x[0], &x[1])?.sqr(), &inputs)?;
        }
        Ok(())
    }

    #[test]
    fn invalid_counts_and_rates() -> Result<()> {
        let loss = PoissonNll::new().log_input(false);
        let (one, minus) = (tensor(&[1.0]), tensor(&[-1.0]));
        let error = loss.elementwise(&one, &minus).unwrap_err().to_string();
        assert_eq!(error, "poisson_nll: expected counts of 0 or more, got -1 at [0]");
        assert!(loss.elementwise(&minus, &one).unwrap_err().to_string().contains("rates of 0 or more"));
        assert!(loss.elementwise(&tensor(&[0.0]), &one)?.to_vec1::<f64>()?[0].is_finite());
        assert!(loss.eps(f64::NAN).is_err());
        Ok(())
    }
}
