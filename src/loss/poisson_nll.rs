//! The Poisson distribution's negative logarithm of the likelihood.
//!
//! # Formula
//! exp(x) − t·x of the logarithm x of a rate and a count t, or x − t·ln(x + ε) of a rate x; `full` adds Stirling's
//! t·ln t − t + ln(2πt)/2 where t > 1
//!
//! # Gradient
//! exp(x) − t, or 1 − t/(x + ε); by the count −x, or −ln(x + ε), and with `full` ln t + 1/(2t) more
//!
//! # Errors
//! Shapes or dtypes that differ; counts or rates below 0.

use super::{PointwiseLoss, check};
use crate::autograd::Tensor;
use crate::error::Result;
use crate::formula::Real;

/// How unlikely the counts are if they are Poisson distributed with the predicted rates, up to what depends on the counts
/// alone. The defaults are PyTorch's: the logarithm of the rate is predicted.
///
/// # Formula
/// exp(x) − t·x of the logarithm x of a rate and a count t, or x − t·ln(x + ε) of a rate x; `full` adds Stirling's
/// t·ln t − t + ln(2πt)/2 where t > 1
///
/// # Gradient
/// exp(x) − t, or 1 − t/(x + ε); by the count −x, or −ln(x + ε), and with `full` ln t + 1/(2t) more
///
/// # Errors
/// Shapes or dtypes that differ; counts or rates below 0.
///
/// ```
/// use tealight::loss::PoissonNll;
/// use tealight::prelude::*;
/// let (x, t) = (Tensor::new(&[0.0, 2.0], &Device::Cpu)?, Tensor::new(&[3.0, 0.0], &Device::Cpu)?);
/// assert_eq!(Sum(PoissonNll::default()).loss(&x, &t)?.to_scalar::<f64>()?, 1.0 + 2.0_f64.exp());
/// # Ok::<(), tealight::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
#[doc(alias = "PoissonNLLLoss")]
pub struct PoissonNll {
    /// Whether the prediction is the rate's logarithm.
    pub log_input: bool,
    /// Whether Stirling's approximation of ln t! is added.
    pub full: bool,
    /// ε, which keeps the logarithm of a rate finite.
    pub eps: f64,
}

impl Default for PoissonNll {
    fn default() -> Self {
        PoissonNll { log_input: true, full: false, eps: 1e-8 }
    }
}

impl PointwiseLoss for PoissonNll {
    const NAME: &'static str = "poisson_nll";

    fn value<R: Real>(&self, prediction: R, target: R) -> R {
        let loss = match self.log_input {
            true => prediction.exp() - target * prediction,
            false => prediction - target * (prediction + R::constant(self.eps)).ln(),
        };
        if !self.full {
            return loss;
        }
        let (zero, one) = (R::constant(0.0), R::constant(1.0));
        // At 1, where it is not counted, it is finite.
        let t = target.select_gt(one, target, one);
        let stirling = t * t.ln() - t + R::constant(0.5) * (R::constant(std::f64::consts::TAU) * t).ln();
        loss + target.select_gt(one, stirling, zero)
    }

    fn check(&self, prediction: &Tensor, target: &Tensor) -> Result<()> {
        if !self.log_input {
            check::within("poisson_nll", "rates", prediction, 0.0, f64::INFINITY)?;
        }
        check::within("poisson_nll", "counts", target, 0.0, f64::INFINITY)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{ElementwiseLoss, Sum};
    use super::PoissonNll;
    use crate::ops::testing::tensor;
    use crate::prelude::*;

    #[test]
    fn gradients() -> Result<()> {
        let inputs = [tensor(&[0.3, 1.0, 2.0]), tensor(&[0.2, 3.0, 5.5])];
        for (log_input, full) in [(true, false), (false, false), (true, true), (false, true)] {
            let loss = PoissonNll { log_input, full, eps: 1e-3 };
            autograd::gradcheck(|x| Sum(loss).loss(&x[0], &x[1])?.sqr(), &inputs)?;
        }
        Ok(())
    }

    #[test]
    fn refusals() -> Result<()> {
        let loss = PoissonNll { log_input: false, ..PoissonNll::default() };
        let (one, minus) = (tensor(&[1.0]), tensor(&[-1.0]));
        let error = loss.each(&one, &minus).unwrap_err().to_string();
        assert_eq!(error, "poisson_nll: expected counts of 0 or more, got -1 at [0]");
        assert!(loss.each(&minus, &one).unwrap_err().to_string().contains("rates of 0 or more"));
        assert!(loss.each(&tensor(&[0.0]), &one)?.to_vec1::<f64>()?[0].is_finite());
        Ok(())
    }
}
