//! The logistic function.

use super::Activation;
use crate::formula::Real;

/// 1 / (1 + e⁻ˣ), between 0 and 1.
///
/// # Gradient
/// y(1 − y). Only the output is saved.
///
/// ```
/// use tealight::prelude::*;
/// assert_eq!(Sigmoid.value(3.0), 0.9525741268224334);
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Sigmoid;

impl Activation for Sigmoid {
    const NAME: &'static str = "sigmoid";
    const IS_INLINED: bool = true;

    #[inline(always)]
    fn value<R: Real>(&self, x: R) -> R {
        let one = R::constant(1.0);
        one / (one + (-x).exp())
    }

    #[inline(always)]
    fn derivative<R: Real>(&self, _: R, y: R) -> R {
        y * (R::constant(1.0) - y)
    }
}

#[cfg(test)]
mod tests {
    use super::Sigmoid;
    use crate::ops::testing::{check, tensor};
    use crate::prelude::*;

    #[test]
    fn gradients() {
        check(&[-2.0, 0.0, 0.7, 3.0], |x| Sigmoid.apply(x));
    }

    #[test]
    fn the_layer_and_the_elementary_function_agree() -> Result<()> {
        let x = tensor(&[-800.0, -3.0, 0.1, 50.0]);
        assert_eq!(Sigmoid.apply(&x)?.to_vec1::<f64>()?, x.sigmoid()?.to_vec1::<f64>()?);
        Ok(())
    }

    #[test]
    fn keeps_only_the_output() {
        use crate::formula::InputSet;
        let uses = Sigmoid.derivative(InputSet::input(0), InputSet::input(1));
        assert!(!uses.has(0) && uses.has(1));
    }
}
