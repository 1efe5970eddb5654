//! The layer that reshapes everything but the batch.

use super::{ForwardContext, Layer};
use crate::autograd::Tensor;
use crate::error::{Error, Result};

/// Each of n inputs in another shape.
///
/// # Shapes
/// (n, ..) to (n, shape..)
///
/// # Errors
/// Errors if the inputs have another number of elements.
///
/// ```
/// use tealight::layer::Reshape;
/// use tealight::prelude::*;
/// let x = Tensor::zeros((10, 784), DType::F32, &Device::Cpu)?;
/// assert_eq!(Reshape::new([1, 28, 28]).predict(&x)?.dims(), [10, 1, 28, 28]);
/// # Ok::<(), tealight::Error>(())
/// ```
#[derive(Clone, Debug)]
#[doc(alias = "Unflatten")]
pub struct Reshape {
    shape: Vec<usize>,
}

impl Reshape {
    /// A layer that gives each input this shape.
    pub fn new(shape: impl Into<Vec<usize>>) -> Self {
        Reshape { shape: shape.into() }
    }
}

impl Layer for Reshape {
    fn forward(&self, x: &Tensor, _: &mut ForwardContext) -> Result<Tensor> {
        let product =
            |dims: &[usize]| dims.iter().try_fold(1_usize, |product, &size| product.checked_mul(size));
        match x.dims() {
            [n, rest @ ..] if product(rest) == product(&self.shape) && product(rest).is_some() => {
                x.reshape([&[*n], &self.shape[..]].concat())
            }
            dims => {
                let expected = format!("inputs [n, ..] with the elements of {:?} each", self.shape);
                Err(Error::shape("reshape", expected, &[dims]))
            }
        }
    }

    crate::fields!();
}

#[cfg(test)]
mod tests {
    use super::Reshape;
    use crate::layer::gradcheck;
    use crate::prelude::*;

    #[test]
    fn gradients_and_refusals() -> Result<()> {
        let x = Tensor::randn_dtype(0.0, 1.0, (2, 6), DType::F64, &mut Rng::seed(1))?;
        gradcheck(&Sequential::new().push(Reshape::new([3, 2])).push(Tanh), &x, &ForwardContext::eval())?;
        assert_eq!(Reshape::new([]).predict(&x.narrow(1, 0, 1)?)?.dims(), [2]);
        assert_eq!(Reshape::new([3, 2]).predict(&x.narrow(0, 0, 0)?)?.dims(), [0, 3, 2]);
        let error = Reshape::new([4]).predict(&x).unwrap_err();
        assert_eq!(
            error.to_string(),
            "reshape: expected inputs [n, ..] with the elements of [4] each, got [2, 6]"
        );
        assert!(Reshape::new([usize::MAX, 2]).predict(&x).is_err());
        assert!(Reshape::new([1]).predict(&Tensor::new(1.0, &Device::Cpu)?).is_err());
        Ok(())
    }
}
