//! The rectifier.

use super::Activation;
use crate::autograd::Tensor;
use crate::error::Result;
use crate::formula::Real;

/// max(x, 0); NaN stays NaN.
///
/// # Gradient
/// 1 where y > 0, else 0, also at 0, as in PyTorch (candle: 1). Only the output is saved.
///
/// ```
/// use tealight::prelude::*;
/// let x = Tensor::new(&[-2.0, 0.0, 3.0], &Device::Cpu)?;
/// assert_eq!(Relu.apply(&x)?.to_vec1::<f64>()?, [0.0, 0.0, 3.0]);
/// # Ok::<(), tealight::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Relu;

impl Activation for Relu {
    const NAME: &'static str = "relu";
    const IS_INLINED: bool = true;

    #[inline(always)]
    fn value<R: Real>(&self, x: R) -> R {
        // NaN > 0 does not hold, so NaN comes through.
        let zero = R::constant(0.0);
        zero.select_gt(x, zero, x)
    }

    #[inline(always)]
    fn derivative<R: Real>(&self, _: R, y: R) -> R {
        y.select_gt(R::constant(0.0), R::constant(1.0), R::constant(0.0))
    }
}

impl Tensor {
    /// [`Relu`] of every element: max(x, 0), with slope 0 at 0.
    pub fn relu(&self) -> Result<Tensor> {
        Relu.apply(self)
    }
}

#[cfg(test)]
mod tests {
    use crate::ops::testing::{check, grad_at, tensor};
    use crate::prelude::*;

    #[test]
    fn gradients() {
        check(&[-2.0, 0.7, 3.0], |x| (x * x.relu()?)?.exp());
    }

    #[test]
    fn kinks() -> Result<()> {
        assert_eq!(grad_at(0.0, |x| x.relu())?, 0.0);
        let y = tensor(&[f64::NAN, -0.0, f64::INFINITY, f64::NEG_INFINITY]).relu()?.to_vec1::<f64>()?;
        assert!(y[0].is_nan());
        assert_eq!(y[1..], [0.0, f64::INFINITY, 0.0]);
        Ok(())
    }
}
