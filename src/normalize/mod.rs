//! Normalization of a model's inputs to a common scale.
//! The fitted ones are layers with buffers: as the first layer of a model they are saved with it.

mod min_max;
mod rows;
mod standardize;

pub use min_max::MinMax;
pub use rows::NormalizeRows;
pub use standardize::Standardize;

use candle_core::DType;

use crate::autograd::Tensor;
use crate::error::{Error, Result};

/// Brings inputs to a common scale.
///
/// ```
/// use tealight::prelude::*;
/// /// The bytes of images from 0 to 1.
/// struct Bytes;
/// impl Normalize for Bytes {
///     fn normalize(&self, x: &Tensor) -> Result<Tensor> { x.to_dtype(DType::F32)? / 255.0 }
/// }
/// # let pixels = Tensor::new(&[[0_u8, 51, 255]], &Device::Cpu)?;
/// # assert_eq!(Bytes.normalize(&pixels)?.to_vec2::<f32>()?, [[0.0, 0.2, 1.0]]);
/// # Ok::<(), tealight::Error>(())
/// ```
pub trait Normalize {
    /// The normalized inputs; the shape stays.
    fn normalize(&self, x: &Tensor) -> Result<Tensor>;
}

/// An error unless `x` is a matrix with a row to fit on.
fn check_data(op: &'static str, x: &Tensor) -> Result<()> {
    match *x.dims() {
        [0, _] => Err(Error::shape(op, "one row or more", &[x.dims()])),
        [_, _] => Ok(()),
        _ => Err(Error::shape(op, "a matrix (n, d)", &[x.dims()])),
    }
}

/// `x` in f64, so that fitting rounds once, to the dtype of `x`.
fn wide(op: &'static str, x: &Tensor) -> Result<Tensor> {
    if !x.dtype().is_float() {
        return Err(Error::dtype(op, "floats", &[x.dtype()]));
    }
    x.to_dtype(DType::F64)
}

/// The spreads in this dtype, with 1 where a feature is constant. An error if the spread of a feature is NaN or infinite, as it
/// is if one of its elements is.
fn divisors(op: &'static str, spread: &Tensor, constant: &Tensor, dtype: DType) -> Result<Tensor> {
    let spread = spread.to_dtype(dtype)?;
    if let Some(i) = spread.to_dtype(DType::F64)?.to_vec1::<f64>()?.iter().position(|x| !x.is_finite()) {
        return Err(Error::argument(op, "finite numbers", format!("feature {i}")));
    }
    // One that is too small for the dtype is 0.
    spread.masked_fill(constant, 1.0)?.masked_fill(&spread.eq(0.0)?, 1.0)
}

/// An error unless the last axis of `x` has the features that were fitted.
fn check_features(op: &'static str, x: &Tensor, fitted: &Tensor) -> Result<()> {
    if x.dims().last() == fitted.dims().first() {
        return Ok(());
    }
    let expected = format!("{} features, as it was fitted on", fitted.elem_count());
    Err(Error::shape(op, expected, &[x.dims()]))
}
