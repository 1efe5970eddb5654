//! [`Operand`], a tensor or a scalar as the right side of an operation.

use crate::autograd::{Array, Tensor};
use crate::error::Result;

/// The kinds of [`Operand`].
#[derive(Clone, Copy, Debug)]
pub enum TensorOrScalar<'a> {
    Tensor(&'a Tensor),
    /// No tensor is built for it.
    Scalar(f64),
}

/// The right side of an operation such as [`maximum`](Tensor::maximum): `&Tensor`, `Tensor` or `f64`.
///
/// ```
/// # use tealight::prelude::*;
/// let x = Tensor::new(&[-1.0, 2.0], &Device::Cpu)?;
/// assert_eq!(x.maximum(0.0)?.to_vec1::<f64>()?, [0.0, 2.0]);
/// assert_eq!(x.maximum(&x.sqr()?)?.to_vec1::<f64>()?, [1.0, 4.0]);
/// # Ok::<(), tealight::Error>(())
/// ```
pub trait Operand {
    // Not for users, and its result is private: nobody else can implement the trait.
    #[doc(hidden)]
    fn get(&self) -> TensorOrScalar<'_>;
}

impl Operand for f64 {
    fn get(&self) -> TensorOrScalar<'_> {
        TensorOrScalar::Scalar(*self)
    }
}

impl Operand for Tensor {
    fn get(&self) -> TensorOrScalar<'_> {
        TensorOrScalar::Tensor(self)
    }
}

impl<T: Operand + ?Sized> Operand for &T {
    fn get(&self) -> TensorOrScalar<'_> {
        (**self).get()
    }
}

impl Tensor {
    /// A number of this tensor's dtype and device.
    pub(super) fn scalar_like(&self, number: f64) -> Result<Tensor> {
        Ok(Array::full(number, (), self.device())?.to_dtype(self.dtype())?.into())
    }
}
