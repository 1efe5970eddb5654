//! Rows of norm 1.

use super::Normalize;
use crate::autograd::Tensor;
use crate::error::Result;
use crate::layer::{ForwardContext, Layer};

/// x / ‖x‖ along the last axis; see [`Tensor::normalize_rows`]. Default: p = 2.
///
/// ```
/// use tealight::prelude::*;
/// let x = Tensor::new(&[[0.0, 3.0, 4.0], [1.0, 6.0, 4.0]], &Device::Cpu)?;
/// assert_eq!(NormalizeRows::default().normalize(&x)?.to_vec2::<f64>()?[0], [0.0, 0.6, 0.8]);
/// assert_eq!(NormalizeRows { p: f64::INFINITY }.normalize(&x)?.to_vec2::<f64>()?[0], [0.0, 0.75, 1.0]);
/// # Ok::<(), tealight::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
#[doc(alias = "Normalizer")]
pub struct NormalizeRows {
    /// The order of the norm: 1, 2, ∞ or another number above 0.
    pub p: f64,
}

impl Default for NormalizeRows {
    fn default() -> Self {
        NormalizeRows { p: 2.0 }
    }
}

impl Normalize for NormalizeRows {
    fn normalize(&self, x: &Tensor) -> Result<Tensor> {
        x.normalize_rows(self.p)
    }
}

impl Layer for NormalizeRows {
    fn forward(&self, x: &Tensor, _: &mut ForwardContext) -> Result<Tensor> {
        self.normalize(x)
    }

    crate::fields!();
}
