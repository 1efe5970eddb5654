//! tealight

pub mod autograd;
pub mod error;
pub mod formula;
mod kernel;
pub mod ops;

pub use error::{Error, Result};

/// Everything that most programs use: `use tealight::prelude::*;`.
pub mod prelude {
    pub use crate::autograd::{self, Array, Gradients, Tensor, no_grad};
    pub use crate::error::{Error, Result};
    pub use crate::ops::Rng;
    pub use candle_core::{DType, Device};
}
