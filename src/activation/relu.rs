//! The rectifier.
//!
//! # Formula
//! max(x, 0)
//!
//! # Gradient
//! 1 where y > 0, else 0: it needs the output only.
//!
//! # Kinks
//! relu′(0) = 0, as in PyTorch (candle: 1). NaN stays NaN.
//!
//! # Errors
//! A dtype that is no float.

use super::Activation;
use crate::autograd::Tensor;
use crate::error::Result;
use crate::formula::Real;

/// max(x, 0)
///
/// # Formula
/// max(x, 0)
///
/// # Gradient
/// 1 where y > 0, else 0: it needs the output only.
///
/// # Kinks
/// relu′(0) = 0, as in PyTorch (candle: 1). NaN stays NaN.
///
/// # Errors
/// A dtype that is no float.
///
/// ```
/// use tealight::prelude::*;
/// let model = Sequential::new().push(Linear::new(3, 2, &mut Rng::seed(1))?).push(Relu);
/// let y = model.predict(&Tensor::ones((4, 3), DType::F32, &Device::Cpu)?)?;
/// assert!(y.min_all()?.to_scalar::<f32>()? >= 0.0);
/// # Ok::<(), tealight::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Relu;

impl Activation for Relu {
    const NAME: &'static str = "relu";
    const FUSED: bool = true;

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
    /// max(x, 0)
    ///
    /// # Gradient
    /// 1 where x > 0, else 0
    ///
    /// # Kinks
    /// The slope at 0 is 0.
    ///
    /// # Errors
    /// A dtype that is no float.
    ///
    /// ```
    /// use tealight::prelude::*;
    /// assert_eq!(Tensor::new(&[-2.0, 0.0, 3.0], &Device::Cpu)?.relu()?.to_vec1::<f64>()?, [0.0, 0.0, 3.0]);
    /// # Ok::<(), tealight::Error>(())
    /// ```
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
