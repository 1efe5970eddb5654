//! Common functions as plain functions, for use without methods, layers or losses.
//!
//! ```
//! # use tealight::functional::{sigmoid, softmax};
//! # use tealight::prelude::*;
//! let x = Tensor::new(&[0.0, 1000.0], &Device::Cpu)?;
//! assert_eq!(sigmoid(&x)?.to_vec1::<f64>()?, [0.5, 1.0]);
//! assert_eq!(softmax(&x, 0)?, x.softmax(0)?);
//! # Ok::<(), tealight::Error>(())
//! ```

pub use crate::data::image_to_vector;
pub use crate::loss::{l1, l2};
pub use crate::ops::sigmoid_derivative;

use crate::autograd::Tensor;
use crate::error::Result;
use crate::ops::Axis;

/// 1/(1 + e⁻ˣ) of every element; see [`Tensor::sigmoid`].
pub fn sigmoid(x: &Tensor) -> Result<Tensor> {
    x.sigmoid()
}

/// The hyperbolic tangent of every element; see [`Tensor::tanh`].
pub fn tanh(x: &Tensor) -> Result<Tensor> {
    x.tanh()
}

/// max(x, 0) of every element; see [`Tensor::relu`].
pub fn relu(x: &Tensor) -> Result<Tensor> {
    x.relu()
}

/// exp(x) / Σ exp(x) along an axis; see [`Tensor::softmax`].
pub fn softmax(x: &Tensor, axis: impl Axis) -> Result<Tensor> {
    x.softmax(axis)
}

/// The logarithm of the softmax along an axis; see [`Tensor::log_softmax`].
pub fn log_softmax(x: &Tensor, axis: impl Axis) -> Result<Tensor> {
    x.log_softmax(axis)
}

/// Every row divided by its Euclidean norm; see [`Tensor::normalize_rows`].
pub fn normalize_rows(x: &Tensor) -> Result<Tensor> {
    x.normalize_rows(2.0)
}
