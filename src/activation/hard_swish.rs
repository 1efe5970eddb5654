//! The piecewise quadratic swish.

use super::Activation;
use crate::formula::Real;

/// x·min(max(x + 3, 0), 6) / 6: x times its [`HardSigmoid`](super::HardSigmoid).
///
/// # Gradient
/// 0 up to −3, x/3 + 1/2 between, 1 from 3 on, as in PyTorch.
///
/// # Source
/// A. Howard et al. 2019, "Searching for MobileNetV3"
#[derive(Clone, Copy, Debug, Default)]
pub struct HardSwish;

impl Activation for HardSwish {
    const NAME: &'static str = "hard_swish";
    const IS_INLINED: bool = true;

    #[inline(always)]
    fn value<R: Real>(&self, x: R) -> R {
        // Below −3 the other factor is 0: bounded, because −∞ · 0 is NaN.
        let (three, six) = (R::constant(3.0), R::constant(6.0));
        let x = x.maximum(-three);
        x * ((x + three).minimum(six) / six)
    }

    #[inline(always)]
    fn derivative<R: Real>(&self, x: R, _: R) -> R {
        let (three, zero, one) = (R::constant(3.0), R::constant(0.0), R::constant(1.0));
        let between = x / three + R::constant(0.5);
        x.select_gt(-three, three.select_gt(x, between, one), zero)
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::extremes;
    use super::HardSwish;
    use crate::ops::testing::{check, grad_at};
    use crate::prelude::*;

    #[test]
    fn gradients() -> Result<()> {
        check(&[-2.5, 0.0, 0.7, 2.0], |x| HardSwish.apply(x));
        check(&[4.0, 7.0, -5.0], |x| HardSwish.apply(x)? * x);
        extremes(&HardSwish, [0.0; 3], [f64::INFINITY, 1.0, 0.0]);
        assert_eq!(grad_at(-3.0, |x| HardSwish.apply(x))?, 0.0);
        assert_eq!(grad_at(3.0, |x| HardSwish.apply(x))?, 1.0);
        Ok(())
    }
}
