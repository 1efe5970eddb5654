//! Normalisation: inputs brought to a common scale.

mod rows;
mod standardize;

pub use rows::NormalizeRows;
pub use standardize::Standardize;

use crate::autograd::Tensor;
use crate::error::Result;

/// Brings inputs to a common scale.
pub trait Normalize {
    /// The inputs on the common scale; the shape stays.
    ///
    /// # Errors
    /// Inputs that do not fit.
    fn normalize(&self, x: &Tensor) -> Result<Tensor>;
}
