//! The gated linear unit.
//!
//! # Shapes
//! 2d features along an axis to d
//!
//! # Formula
//! a·sigmoid(b), where a is the first half along the axis and b the second
//!
//! # Gradient
//! g·sigmoid(b) for a, g·a·s(1 − s) with s = sigmoid(b) for b
//!
//! # Errors
//! An axis that does not exist or has an odd length; a dtype that is no float.
//!
//! # Source
//! Y. Dauphin et al. 2016

use super::{Fields, ForwardContext, Layer};
use crate::autograd::Tensor;
use crate::error::{Error, Result};
use crate::ops::Axis;

/// The first half of the features, each gated by one of the second half.
///
/// # Shapes
/// 2d features along an axis to d
///
/// # Formula
/// a·sigmoid(b), where a is the first half along the axis and b the second
///
/// # Errors
/// An axis that the input does not have or whose length is odd; a dtype that is no float.
///
/// ```
/// use tealight::layer::Glu;
/// use tealight::prelude::*;
/// let x = Tensor::new(&[[3.0, 5.0, 0.0, 800.0]], &Device::Cpu)?;
/// assert_eq!(Glu.predict(&x)?.to_vec2::<f64>()?, [[1.5, 5.0]]);
/// # Ok::<(), tealight::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Glu {
    axis: i64,
}

/// Along the last axis.
#[allow(non_upper_case_globals)] // reads as a struct without fields, as Flatten and the activations do
pub const Glu: Glu = Glu { axis: -1 };

impl Glu {
    /// Along `axis`, counted from the end if it is negative.
    ///
    /// ```
    /// use tealight::layer::Glu;
    /// use tealight::prelude::*;
    /// let x = Tensor::new(&[[3.0, 5.0], [0.0, 800.0]], &Device::Cpu)?;
    /// assert_eq!(Glu::along(0).predict(&x)?.to_vec2::<f64>()?, [[1.5, 5.0]]);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn along(axis: i64) -> Self {
        Glu { axis }
    }
}

impl Default for Glu {
    fn default() -> Self {
        Glu
    }
}

impl Layer for Glu {
    fn forward(&self, x: &Tensor, _: &mut ForwardContext) -> Result<Tensor> {
        let axis = self.axis.of("glu", x.dims())?;
        let half = x.dims()[axis] / 2;
        if x.dims()[axis] != 2 * half {
            let expected = format!("an even length along axis {}", self.axis);
            return Err(Error::shape("glu", expected, &[x.dims()]));
        }
        x.narrow(axis, 0, half)? * x.narrow(axis, half, half)?.sigmoid()?
    }

    fn fields<'a>(&'a self, _: &mut Fields<'a>) {}
}

#[cfg(test)]
mod tests {
    use super::Glu;
    use crate::layer::gradcheck;
    use crate::prelude::*;

    #[test]
    fn gradients_and_errors() -> Result<()> {
        let x = Tensor::randn(0.0, 1.0, (2, 3, 4), &mut Rng::seed(1))?;
        gradcheck(&Glu, &x, &ForwardContext::eval())?;
        gradcheck(&Glu::along(0), &x, &ForwardContext::eval())?;
        assert_eq!(Glu::along(0).predict(&x)?.dims(), [1, 3, 4]);
        let error = Glu::along(1).predict(&x).unwrap_err().to_string();
        assert_eq!(error, "glu: expected an even length along axis 1, got [2, 3, 4]");
        assert!(matches!(Glu::along(-4).predict(&x), Err(Error::Axis { .. })));
        assert_eq!(Glu.predict(&Tensor::zeros((2, 0), DType::F32, &Device::Cpu)?)?.dims(), [2, 0]);
        Ok(())
    }
}
