//! The layer that flattens everything but the batch.

use super::{ForwardContext, Layer};
use crate::autograd::Tensor;
use crate::error::{Error, Result};

/// Each of n inputs as one row.
///
/// # Shapes
/// (n, ..) to (n, d)
///
/// ```
/// use tealight::prelude::*;
/// let x = Tensor::zeros((10, 8, 8), DType::F32, &Device::Cpu)?;
/// assert_eq!(Flatten.predict(&x)?.dims(), [10, 64]);
/// # Ok::<(), tealight::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Flatten;

impl Layer for Flatten {
    fn forward(&self, x: &Tensor, _: &mut ForwardContext) -> Result<Tensor> {
        match x.dims() {
            [] => Err(Error::shape("flatten", "a batch (n, ..)", &[&[]])),
            [n] => x.reshape((*n, 1)),
            [n, rest @ ..] => x.reshape((*n, rest.iter().product::<usize>())),
        }
    }

    crate::fields!();
}
