//! The identity between two bounds.

use super::{Activation, inside};
use crate::autograd::Tensor;
use crate::error::{Error, Result};
use crate::formula::Real;
use crate::ops;

/// min(max(x, low), high). Default: from −1 to 1.
///
/// # Gradient
/// 1 between the bounds, else 0, also at the bounds, as in PyTorch.
///
/// # Errors
/// Errors if a bound is NaN or `low > high`.
///
/// ```
/// use tealight::activation::HardTanh;
/// use tealight::prelude::*;
/// assert_eq!(HardTanh { low: 0.0, high: 2.0 }.value(-3.0), 0.0);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct HardTanh {
    /// The smallest value.
    pub low: f64,
    /// The largest value.
    pub high: f64,
}

impl Default for HardTanh {
    fn default() -> Self {
        HardTanh { low: -1.0, high: 1.0 }
    }
}

impl Activation for HardTanh {
    const NAME: &'static str = "hard_tanh";

    fn value<R: Real>(&self, x: R) -> R {
        x.maximum(R::constant(self.low)).minimum(R::constant(self.high))
    }

    fn derivative<R: Real>(&self, x: R, _: R) -> R {
        inside(x, self.low, self.high, R::constant(1.0))
    }

    fn apply(&self, x: &Tensor) -> Result<Tensor> {
        let HardTanh { low, high } = *self;
        if low <= high {
            return ops::apply(*self, [x]);
        }
        Err(Error::argument("hard_tanh", "low <= high", format!("low = {low} and high = {high}")))
    }
}

/// min(max(x, 0), 6), with slope 0 at 0 and 6.
#[derive(Clone, Copy, Debug, Default)]
pub struct Relu6;

impl Activation for Relu6 {
    const NAME: &'static str = "relu6";

    fn value<R: Real>(&self, x: R) -> R {
        Activation::value(&HardTanh { low: 0.0, high: 6.0 }, x)
    }

    fn derivative<R: Real>(&self, x: R, y: R) -> R {
        Activation::derivative(&HardTanh { low: 0.0, high: 6.0 }, x, y)
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::extremes;
    use super::{HardTanh, Relu6};
    use crate::ops::testing::{check, grad_at, tensor};
    use crate::prelude::*;

    #[test]
    fn gradients() -> Result<()> {
        check(&[-4.0, -0.5, 0.3, 1.7, 5.0], |x| HardTanh { low: -0.6, high: 3.0 }.apply(x)? * x);
        check(&[-4.0, 0.7, 5.0, 8.0], |x| Relu6.apply(x)? * x);
        extremes(&HardTanh::default(), [-1.0, 0.0, 0.0], [1.0, 0.0, 0.0]);
        extremes(&Relu6, [0.0; 3], [6.0, 0.0, 0.0]);
        for x in [0.0, 6.0] {
            assert_eq!(grad_at(x, |x| Relu6.apply(x))?, 0.0);
        }
        Ok(())
    }

    #[test]
    fn refusals() {
        let error = HardTanh { low: 1.0, high: f64::NAN }.apply(&tensor(&[1.0])).unwrap_err();
        assert_eq!(error.to_string(), "hard_tanh: expected low <= high, got low = 1 and high = NaN");
    }
}
