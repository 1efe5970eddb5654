//! The operations of the document as plain functions; each is also a method of [`Tensor`] and a layer.
//!
//! ```
//! use tealight::functional::{sigmoid, softmax};
//! use tealight::prelude::*;
//! let x = Tensor::new(&[[1.0, 2.0]], &Device::Cpu)?;
//! assert_eq!(sigmoid(&x)?, x.sigmoid()?);
//! assert_eq!(softmax(&x, -1)?, Softmax.predict(&x)?);
//! # Ok::<(), tealight::Error>(())
//! ```

pub use crate::data::image_to_vector;
pub use crate::loss::{l1, l2};
pub use crate::ops::sigmoid_derivative;

use crate::autograd::Tensor;
use crate::error::Result;
use crate::ops::Axis;

/// [`Tensor::sigmoid`]
///
/// # Errors
/// A dtype that is no float.
pub fn sigmoid(x: &Tensor) -> Result<Tensor> {
    x.sigmoid()
}

/// [`Tensor::tanh`]
///
/// # Errors
/// A dtype that is no float.
pub fn tanh(x: &Tensor) -> Result<Tensor> {
    x.tanh()
}

/// [`Tensor::relu`]
///
/// # Errors
/// A dtype that is no float.
pub fn relu(x: &Tensor) -> Result<Tensor> {
    x.relu()
}

/// [`Tensor::softmax`]
///
/// # Errors
/// An axis that does not exist; a dtype that is no float.
pub fn softmax(x: &Tensor, axis: impl Axis) -> Result<Tensor> {
    x.softmax(axis)
}

/// [`Tensor::log_softmax`]
///
/// # Errors
/// An axis that does not exist; a dtype that is no float.
pub fn log_softmax(x: &Tensor, axis: impl Axis) -> Result<Tensor> {
    x.log_softmax(axis)
}

/// [`Tensor::normalize_rows`]
///
/// # Errors
/// A scalar; a dtype that is no float.
pub fn normalize_rows(x: &Tensor) -> Result<Tensor> {
    x.normalize_rows()
}
