//! Mish.

use super::{Activation, bounded};
use crate::formula::Real;

/// x·tanh(ln(1 + eˣ)), computed as x·n/(n + 2) with n = eˣ(eˣ + 2). x is bounded where the second factor is 0 or 1, so nothing
/// overflows.
///
/// # Gradient
/// t + x(1 − t²)·sigmoid(x) with t = tanh(ln(1 + eˣ))
///
/// # Source
/// D. Misra 2019
#[derive(Clone, Copy, Debug, Default)]
pub struct Mish;

/// tanh(ln(1 + eˣ))
fn gate<R: Real>(x: R) -> R {
    let (two, e) = (R::constant(2.0), x.minimum(R::constant(20.0)).exp());
    let n = e * (e + two);
    n / (n + two)
}

impl Activation for Mish {
    const NAME: &'static str = "mish";

    fn value<R: Real>(&self, x: R) -> R {
        let x = x.maximum(R::constant(-800.0));
        x * gate(x)
    }

    fn derivative<R: Real>(&self, x: R, _: R) -> R {
        let x = bounded(x, -800.0, 40.0);
        let t = gate(x);
        t + x * (R::constant(1.0) - t * t) * x.sigmoid()
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::extremes;
    use super::Mish;
    use crate::ops::testing::check;
    use crate::prelude::*;

    #[test]
    fn gradients() {
        check(&[-2.0, 0.0, 0.7, 3.0], |x| Mish.apply(x));
        extremes(&Mish, [0.0; 3], [f64::INFINITY, 1.0, 0.0]);
    }
}
