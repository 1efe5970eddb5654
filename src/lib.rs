//! tealight

pub mod autograd;
pub mod data;
pub mod error;
#[cfg(feature = "image")]
mod file;
pub mod formula;
mod kernel;
pub mod ops;
#[cfg(feature = "plot")]
pub mod plot;

pub use error::{Error, Result};

/// Everything that most programs use: `use tealight::prelude::*;`.
pub mod prelude {
    pub use crate::autograd::{self, Array, Gradients, Tensor, no_grad};
    pub use crate::data::unroll::image_to_vector;
    pub use crate::error::{Error, Result};
    pub use crate::ops::Rng;
    pub use candle_core::{DType, Device};
}
