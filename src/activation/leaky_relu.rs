//! The leaky rectifier.

use super::Activation;
use crate::autograd::Tensor;
use crate::error::Result;
use crate::formula::Real;

/// x where x > 0, else slope·x. Default: slope = 0.01.
///
/// # Gradient
/// 1 where x > 0, else slope, also at 0, as in PyTorch.
///
/// ```
/// use tealight::prelude::*;
/// assert_eq!(LeakyRelu { slope: 0.5 }.value(-3.0), -1.5);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct LeakyRelu {
    /// The slope below 0.
    pub slope: f64,
}

impl Default for LeakyRelu {
    fn default() -> Self {
        LeakyRelu { slope: 0.01 }
    }
}

impl Activation for LeakyRelu {
    const NAME: &'static str = "leaky_relu";
    const IS_INLINED: bool = true;

    #[inline(always)]
    fn value<R: Real>(&self, x: R) -> R {
        x.select_gt(R::constant(0.0), x, R::constant(self.slope) * x)
    }

    #[inline(always)]
    fn derivative<R: Real>(&self, x: R, _: R) -> R {
        x.select_gt(R::constant(0.0), R::constant(1.0), R::constant(self.slope))
    }
}

impl Tensor {
    /// [`LeakyRelu`] of every element: x where x > 0, else slope·x. PyTorch's default slope is 0.01.
    pub fn leaky_relu(&self, slope: f64) -> Result<Tensor> {
        LeakyRelu { slope }.apply(self)
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::extremes;
    use super::LeakyRelu;
    use crate::ops::testing::{check, grad_at};
    use crate::prelude::*;

    #[test]
    fn gradients() -> Result<()> {
        let leaky = LeakyRelu { slope: 0.25 };
        check(&[-2.0, 0.7, 3.0], |x| leaky.apply(x)? * x);
        extremes(&leaky, [f64::NEG_INFINITY, 0.25, 0.0], [f64::INFINITY, 1.0, 0.0]);
        assert_eq!(grad_at(0.0, |x| leaky.apply(x))?, 0.25);
        Ok(())
    }
}
