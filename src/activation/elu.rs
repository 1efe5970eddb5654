//! The exponential linear units.

use super::{Activation, not_above_0};
use crate::autograd::Tensor;
use crate::error::{Error, Result};
use crate::formula::Real;
use crate::ops;

/// x where x > 0, else α(eˣ − 1). Default: α = 1.
///
/// # Gradient
/// 1 where x > 0, else α·eˣ; at 0 it is α, as in PyTorch.
///
/// # Source
/// D.-A. Clevert et al. 2015
///
/// ```
/// use tealight::activation::Elu;
/// use tealight::prelude::*;
/// assert_eq!(Elu { alpha: 0.5 }.value(-1e4), -0.5);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Elu {
    /// α: the limit at −∞ is −α.
    pub alpha: f64,
}

impl Default for Elu {
    fn default() -> Self {
        Elu { alpha: 1.0 }
    }
}

impl Activation for Elu {
    const NAME: &'static str = "elu";
    const IS_INLINED: bool = true;

    #[inline(always)]
    fn value<R: Real>(&self, x: R) -> R {
        x.select_gt(R::constant(0.0), x, R::constant(self.alpha) * not_above_0(x).exp_m1())
    }

    #[inline(always)]
    fn derivative<R: Real>(&self, x: R, _: R) -> R {
        let low = R::constant(self.alpha) * not_above_0(x).exp();
        x.select_gt(R::constant(0.0), R::constant(1.0), low)
    }
}

/// With this α and scale, mean 0 and variance 1 are preserved.
const SELU_ALPHA: f64 = 1.6732632423543772;
const SELU_SCALE: f64 = 1.0507009873554805;

/// 1.0507 times [`Elu`] with α = 1.6733: preserves mean 0 and variance 1.
///
/// # Source
/// G. Klambauer et al. 2017, "Self-Normalizing Neural Networks"
#[derive(Clone, Copy, Debug, Default)]
pub struct Selu;

impl Activation for Selu {
    const NAME: &'static str = "selu";

    fn value<R: Real>(&self, x: R) -> R {
        R::constant(SELU_SCALE) * Activation::value(&Elu { alpha: SELU_ALPHA }, x)
    }

    fn derivative<R: Real>(&self, x: R, y: R) -> R {
        R::constant(SELU_SCALE) * Activation::derivative(&Elu { alpha: SELU_ALPHA }, x, y)
    }
}

/// x where x > 0, else α(exp(x/α) − 1). Default: α = 1.
///
/// # Gradient
/// 1 where x > 0, else exp(x/α), which is 1 at 0 for every α.
///
/// # Errors
/// Errors if α is not above 0.
///
/// # Source
/// J. T. Barron 2017
#[derive(Clone, Copy, Debug)]
pub struct Celu {
    /// α: the limit at −∞ is −α.
    pub alpha: f64,
}

impl Default for Celu {
    fn default() -> Self {
        Celu { alpha: 1.0 }
    }
}

impl Activation for Celu {
    const NAME: &'static str = "celu";

    fn value<R: Real>(&self, x: R) -> R {
        let alpha = R::constant(self.alpha);
        x.select_gt(R::constant(0.0), x, alpha * (not_above_0(x) / alpha).exp_m1())
    }

    fn derivative<R: Real>(&self, x: R, _: R) -> R {
        let low = (not_above_0(x) / R::constant(self.alpha)).exp();
        x.select_gt(R::constant(0.0), R::constant(1.0), low)
    }

    fn apply(&self, x: &Tensor) -> Result<Tensor> {
        if self.alpha > 0.0 {
            return ops::apply(*self, [x]);
        }
        Err(Error::argument("celu", "alpha > 0", format!("alpha = {}", self.alpha)))
    }
}

impl Tensor {
    /// [`Elu`] of every element: x where x > 0, else α(eˣ − 1). PyTorch's default α is 1.
    pub fn elu(&self, alpha: f64) -> Result<Tensor> {
        Elu { alpha }.apply(self)
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::extremes;
    use super::{Celu, Elu, Selu};
    use crate::ops::testing::{check, grad_at, tensor};
    use crate::prelude::*;

    #[test]
    fn gradients() -> Result<()> {
        const INF: f64 = f64::INFINITY;
        let x = [-2.0, -0.3, 0.7, 3.0];
        check(&x, |x| Elu { alpha: 0.7 }.apply(x)? * x);
        check(&x, |x| Selu.apply(x)? * x);
        check(&x, |x| Celu { alpha: 0.7 }.apply(x)? * x);
        extremes(&Elu { alpha: 0.5 }, [-0.5, 0.0, 0.0], [INF, 1.0, 0.0]);
        extremes(&Celu { alpha: 0.5 }, [-0.5, 0.0, 0.0], [INF, 1.0, 0.0]);
        assert_eq!(grad_at(0.0, |x| Elu { alpha: 0.5 }.apply(x))?, 0.5);
        assert_eq!(grad_at(0.0, |x| Celu { alpha: 0.5 }.apply(x))?, 1.0);
        assert_eq!(grad_at(-0.0, |x| Selu.apply(x))?, 1.0507009873554805 * 1.6732632423543772);
        let y = Selu.apply(&tensor(&[f64::NEG_INFINITY, INF, f64::NAN]))?.to_vec1::<f64>()?;
        assert_eq!(y[..2], [-1.0507009873554805 * 1.6732632423543772, INF]);
        assert!(y[2].is_nan());
        Ok(())
    }

    #[test]
    fn refusals() {
        let error = Celu { alpha: 0.0 }.apply(&tensor(&[1.0])).unwrap_err();
        assert_eq!(error.to_string(), "celu: expected alpha > 0, got alpha = 0");
    }
}
