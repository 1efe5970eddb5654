//! The sigmoid linear unit.

use super::{Activation, bounded};
use crate::autograd::Tensor;
use crate::error::Result;
use crate::formula::Real;

/// From here on the sigmoid is 0 or 1 in f64: x is bounded before it is multiplied by 0.
const FAR: f64 = 800.0;

/// x·sigmoid(x), also called swish.
///
/// # Gradient
/// s(1 + x(1 − s)) with s = sigmoid(x)
///
/// # Source
/// S. Elfwing et al. 2017; P. Ramachandran et al. 2017, as Swish
///
/// ```
/// use tealight::prelude::*;
/// assert_eq!([-1e4, 0.0, 1e4].map(|x: f64| Silu.value(x)), [0.0, 0.0, 1e4]);
/// ```
#[derive(Clone, Copy, Debug, Default)]
#[doc(alias = "Swish")]
pub struct Silu;

impl Activation for Silu {
    const NAME: &'static str = "silu";
    const IS_INLINED: bool = true;

    #[inline(always)]
    fn value<R: Real>(&self, x: R) -> R {
        let x = x.maximum(R::constant(-FAR));
        x * x.sigmoid()
    }

    #[inline(always)]
    fn derivative<R: Real>(&self, x: R, _: R) -> R {
        let x = bounded(x, -FAR, FAR);
        let s = x.sigmoid();
        s * (R::constant(1.0) + x * (R::constant(1.0) - s))
    }
}

impl Tensor {
    /// [`Silu`] of every element: x·sigmoid(x).
    #[doc(alias = "swish")]
    pub fn silu(&self) -> Result<Tensor> {
        Silu.apply(self)
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::extremes;
    use super::Silu;
    use crate::ops::testing::check;
    use crate::prelude::*;

    #[test]
    fn gradients() {
        check(&[-2.0, 0.0, 0.7, 3.0], |x| Silu.apply(x));
        extremes(&Silu, [0.0; 3], [f64::INFINITY, 1.0, 0.0]);
    }
}
