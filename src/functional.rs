//! The functions that a first course on neural networks builds, as plain functions: sigmoid, softmax, normalised rows,
//! losses. Elsewhere they are methods of [`Tensor`], layers or losses.
//!
//! ```
//! use tealight::functional::{sigmoid, softmax};
//! use tealight::prelude::*;
//! let x = Tensor::new(&[[1.0, 2.0]], &Device::Cpu)?;
//! assert_eq!(sigmoid(&x)?, x.sigmoid()?);
//! assert_eq!(softmax(&x, -1)?, Softmax::default().predict(&x)?);
//! # Ok::<(), tealight::Error>(())
//! ```

pub use crate::data::image_to_vector;
pub use crate::loss::{l1, l2};
pub use crate::ops::sigmoid_derivative;

use crate::autograd::Tensor;
use crate::error::Result;
use crate::ops::Axis;

/// 1/(1 + e⁻ˣ) of every element: [`Tensor::sigmoid`] as a function.
///
/// # Errors
/// A dtype that is no float.
///
/// ```
/// use tealight::functional::sigmoid;
/// use tealight::prelude::*;
///
/// assert_eq!(sigmoid(&Tensor::new(&[0.0, 1000.0], &Device::Cpu)?)?.to_vec1::<f64>()?, [0.5, 1.0]);
/// # Ok::<(), tealight::Error>(())
/// ```
pub fn sigmoid(x: &Tensor) -> Result<Tensor> {
    x.sigmoid()
}

/// The hyperbolic tangent of every element: [`Tensor::tanh`] as a function.
///
/// # Errors
/// A dtype that is no float.
///
/// ```
/// use tealight::functional::tanh;
/// use tealight::prelude::*;
///
/// assert_eq!(tanh(&Tensor::new(&[0.0, -1000.0], &Device::Cpu)?)?.to_vec1::<f64>()?, [0.0, -1.0]);
/// # Ok::<(), tealight::Error>(())
/// ```
pub fn tanh(x: &Tensor) -> Result<Tensor> {
    x.tanh()
}

/// max(x, 0) of every element: [`Tensor::relu`] as a function.
///
/// # Errors
/// A dtype that is no float.
///
/// ```
/// use tealight::functional::relu;
/// use tealight::prelude::*;
///
/// let f: fn(&Tensor) -> Result<Tensor> = relu; // a function may stand where a closure may
/// assert_eq!(f(&Tensor::new(&[-2.0, 3.0], &Device::Cpu)?)?.to_vec1::<f64>()?, [0.0, 3.0]);
/// # Ok::<(), tealight::Error>(())
/// ```
pub fn relu(x: &Tensor) -> Result<Tensor> {
    x.relu()
}

/// The share of each exp(x) in their sum along an axis: [`Tensor::softmax`] as a function.
///
/// # Errors
/// An axis that does not exist; a dtype that is no float.
///
/// ```
/// use tealight::functional::softmax;
/// use tealight::prelude::*;
///
/// let x = Tensor::new(&[[0.0, 0.0], [1.0, 1.0]], &Device::Cpu)?;
/// assert_eq!(softmax(&x, 1)?.to_vec2::<f64>()?, [[0.5, 0.5], [0.5, 0.5]]);
/// # Ok::<(), tealight::Error>(())
/// ```
pub fn softmax(x: &Tensor, axis: impl Axis) -> Result<Tensor> {
    x.softmax(axis)
}

/// The logarithm of the softmax along an axis: [`Tensor::log_softmax`] as a function.
///
/// # Errors
/// An axis that does not exist; a dtype that is no float.
///
/// ```
/// use tealight::functional::log_softmax;
/// use tealight::prelude::*;
///
/// let x = Tensor::new(&[-1000.0, 0.0], &Device::Cpu)?;
/// assert_eq!(log_softmax(&x, 0)?.to_vec1::<f64>()?, [-1000.0, 0.0]);
/// # Ok::<(), tealight::Error>(())
/// ```
pub fn log_softmax(x: &Tensor, axis: impl Axis) -> Result<Tensor> {
    x.log_softmax(axis)
}

/// Every row divided by its length: [`Tensor::normalize_rows`] as a function.
///
/// # Errors
/// A scalar; a dtype that is no float.
///
/// ```
/// use tealight::functional::normalize_rows;
/// use tealight::prelude::*;
///
/// let x = Tensor::new(&[[3.0, 4.0]], &Device::Cpu)?;
/// assert_eq!(normalize_rows(&x)?.to_vec2::<f64>()?, [[0.6, 0.8]]);
/// # Ok::<(), tealight::Error>(())
/// ```
pub fn normalize_rows(x: &Tensor) -> Result<Tensor> {
    x.normalize_rows()
}
