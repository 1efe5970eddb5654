//! The piecewise linear sigmoid.

use super::{Activation, inside};
use crate::formula::Real;

/// min(max(x + 3, 0), 6) / 6
///
/// # Gradient
/// 1/6 between −3 and 3, else 0, also at −3 and 3, as in PyTorch.
#[derive(Clone, Copy, Debug, Default)]
pub struct HardSigmoid;

impl Activation for HardSigmoid {
    const NAME: &'static str = "hard_sigmoid";

    fn value<R: Real>(&self, x: R) -> R {
        let six = R::constant(6.0);
        (x + R::constant(3.0)).maximum(R::constant(0.0)).minimum(six) / six
    }

    fn derivative<R: Real>(&self, x: R, _: R) -> R {
        inside(x, -3.0, 3.0, R::constant(1.0 / 6.0))
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::extremes;
    use super::HardSigmoid;
    use crate::ops::testing::{check, grad_at};
    use crate::prelude::*;

    #[test]
    fn gradients() -> Result<()> {
        check(&[-4.0, -2.0, 0.0, 0.7, 5.0], |x| HardSigmoid.apply(&x.sqr()?)? * x);
        extremes(&HardSigmoid, [0.0; 3], [1.0, 0.0, 0.0]);
        assert_eq!(grad_at(3.0, |x| HardSigmoid.apply(x))?, 0.0);
        assert_eq!(grad_at(-3.0, |x| HardSigmoid.apply(x))?, 0.0);
        Ok(())
    }
}
