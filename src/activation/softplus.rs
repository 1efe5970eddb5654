//! The smooth rectifier.

use super::Activation;
use crate::autograd::Tensor;
use crate::error::{Error, Result};
use crate::formula::Real;
use crate::ops;

/// ln(1 + exp(βx))/β, computed as max(x, 0) + ln(1 + exp(−|βx|))/β. Default: β = 1.
///
/// It is accurate for every x, so it has no `threshold`, from which on PyTorch's returns x.
///
/// # Gradient
/// sigmoid(βx)
///
/// # Errors
/// Errors if β is not above 0.
///
/// ```
/// use tealight::prelude::*;
/// assert_eq!(Softplus { beta: 2.0 }.value(0.0), 0.5 * 2.0_f64.ln());
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Softplus {
    /// β: how sharp the corner is.
    pub beta: f64,
}

impl Default for Softplus {
    fn default() -> Self {
        Softplus { beta: 1.0 }
    }
}

impl Activation for Softplus {
    const NAME: &'static str = "softplus";

    fn value<R: Real>(&self, x: R) -> R {
        let beta = R::constant(self.beta);
        x.maximum(R::constant(0.0)) + (-(beta * x).abs()).exp().ln_1p() / beta
    }

    fn derivative<R: Real>(&self, x: R, _: R) -> R {
        (R::constant(self.beta) * x).sigmoid()
    }

    fn apply(&self, x: &Tensor) -> Result<Tensor> {
        if self.beta > 0.0 {
            return ops::apply(*self, [x]);
        }
        Err(Error::argument("softplus", "beta > 0", format!("beta = {}", self.beta)))
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::extremes;
    use super::Softplus;
    use crate::ops::testing::{check, tensor};
    use crate::prelude::*;

    #[test]
    fn gradients() {
        for beta in [1.0, 2.5] {
            check(&[-2.0, 0.0, 0.7, 3.0], |x| Softplus { beta }.apply(x));
            extremes(&Softplus { beta }, [0.0; 3], [f64::INFINITY, 1.0, 0.0]);
        }
        assert_eq!(Softplus::default().value(-40.0), (-40.0_f64).exp());
    }

    #[test]
    fn refusals() {
        let error = Softplus { beta: -1.0 }.apply(&tensor(&[1.0])).unwrap_err();
        assert_eq!(error.to_string(), "softplus: expected beta > 0, got beta = -1");
    }
}
