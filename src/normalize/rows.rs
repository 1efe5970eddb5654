//! Rows of length 1.

use super::Normalize;
use crate::autograd::Tensor;
use crate::error::Result;
use crate::layer::{ForwardContext, Layer};

/// x / ‖x‖ along the last axis; see [`Tensor::normalize_rows`].
///
/// ```
/// use tealight::prelude::*;
/// let x = Tensor::new(&[[0.0, 3.0, 4.0], [1.0, 6.0, 4.0]], &Device::Cpu)?;
/// assert_eq!(NormalizeRows.normalize(&x)?.to_vec2::<f64>()?[0], [0.0, 0.6, 0.8]);
/// # Ok::<(), tealight::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
#[doc(alias = "Normalizer")]
pub struct NormalizeRows;

impl Normalize for NormalizeRows {
    fn normalize(&self, x: &Tensor) -> Result<Tensor> {
        x.normalize_rows()
    }
}

impl Layer for NormalizeRows {
    fn forward(&self, x: &Tensor, _: &mut ForwardContext) -> Result<Tensor> {
        self.normalize(x)
    }

    crate::fields!();
}
