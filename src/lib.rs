//! tealight

pub mod activation;
pub mod autograd;
pub mod data;
pub mod error;
mod file;
pub mod formula;
pub mod functional;
pub mod io;
mod kernel;
pub mod layer;
pub mod loss;
pub mod normalize;
pub mod ops;
pub mod optim;
#[cfg(feature = "plot")]
pub mod plot;
pub mod train;

pub use error::{Error, Result};

/// Everything that most programs use: `use tealight::prelude::*;`.
pub mod prelude {
    pub use crate::activation::{Activation, Relu, Sigmoid, Tanh};
    pub use crate::autograd::{self, Array, Gradients, Tensor, no_grad};
    pub use crate::data::image_to_vector;
    pub use crate::error::{Error, Result};
    pub use crate::formula::Real;
    pub use crate::layer::{Flatten, Layer, Linear, Parameter, Sequential, Softmax};
    pub use crate::loss::{Bce, BceWithLogits, CrossEntropy, L1, L2, Loss, Mean, PointwiseLoss, Sum, l1, l2};
    pub use crate::normalize::{Normalize, NormalizeRows, Standardize};
    pub use crate::ops::{Rng, sigmoid_derivative};
    pub use crate::optim::{Optimizer, Sgd};
    pub use candle_core::{DType, Device};
}
