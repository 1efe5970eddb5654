//! The gated linear unit.

use super::{ForwardContext, Layer};
use crate::autograd::Tensor;
use crate::error::{Error, Result};
use crate::ops::Axis;

/// a·sigmoid(b), where a and b are the two halves of the input along an axis.
///
/// # Errors
/// Errors if the length of the axis is odd.
///
/// # Source
/// Y. Dauphin et al. 2016
///
/// ```
/// use tealight::layer::Glu;
/// use tealight::prelude::*;
/// let x = Tensor::new(&[[3.0, 5.0, 0.0, 800.0]], &Device::Cpu)?;
/// assert_eq!(Glu::default().predict(&x)?.to_vec2::<f64>()?, [[1.5, 5.0]]);
/// # Ok::<(), tealight::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Glu {
    axis: i64,
}

impl Glu {
    /// A layer that works along `axis`, counted from the end if it is negative. Default: `-1`.
    #[doc(alias = "dim")]
    pub fn new(axis: i64) -> Self {
        Glu { axis }
    }
}

impl Default for Glu {
    fn default() -> Self {
        Glu::new(-1)
    }
}

impl Layer for Glu {
    fn forward(&self, x: &Tensor, _: &mut ForwardContext) -> Result<Tensor> {
        let axis = self.axis.to_index("glu", x.dims())?;
        let half = x.dims()[axis] / 2;
        if x.dims()[axis] != 2 * half {
            let expected = format!("an even length along axis {}", self.axis);
            return Err(Error::shape("glu", expected, &[x.dims()]));
        }
        x.narrow(axis, 0, half)? * x.narrow(axis, half, half)?.sigmoid()?
    }

    crate::fields!();
}

#[cfg(test)]
mod tests {
    use super::Glu;
    use crate::layer::gradcheck;
    use crate::prelude::*;

    #[test]
    fn gradients_and_errors() -> Result<()> {
        let x = Tensor::randn_dtype(0.0, 1.0, (2, 3, 4), DType::F64, &mut Rng::seed(1))?;
        gradcheck(&Glu::default(), &x, &ForwardContext::eval())?;
        gradcheck(&Glu::new(0), &x, &ForwardContext::eval())?;
        assert_eq!(Glu::new(0).predict(&x)?.dims(), [1, 3, 4]);
        let error = Glu::new(1).predict(&x).unwrap_err().to_string();
        assert_eq!(error, "glu: expected an even length along axis 1, got [2, 3, 4]");
        assert!(matches!(Glu::new(-4).predict(&x), Err(Error::Axis { .. })));
        let empty = Tensor::zeros((2, 0), DType::F32, &Device::Cpu)?;
        assert_eq!(Glu::default().predict(&empty)?.dims(), [2, 0]);
        Ok(())
    }
}
