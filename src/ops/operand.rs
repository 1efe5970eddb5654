//! [`Operand`]: a tensor or a number, on the right of an operation.

use crate::autograd::Tensor;

/// The right side of an operation.
///
/// ```
/// use tealight::ops::{Operand, TensorOrScalar};
/// assert!(matches!(2.5_f64.side(), TensorOrScalar::Number(2.5)));
/// ```
#[derive(Clone, Copy, Debug)]
pub enum TensorOrScalar<'a> {
    /// A tensor, which broadcasts.
    Tensor(&'a Tensor),
    /// A number: no tensor is built for it.
    Number(f64),
}

/// What may stand on the right of an operation such as [`maximum`](Tensor::maximum): `&Tensor`, `Tensor` or `f64`.
///
/// ```
/// use tealight::prelude::*;
/// let x = Tensor::new(&[-1.0, 2.0], &Device::Cpu)?;
/// assert_eq!(x.maximum(0.0)?.to_vec1::<f64>()?, [0.0, 2.0]);
/// assert_eq!(x.maximum(&x.sqr()?)?.to_vec1::<f64>()?, [1.0, 4.0]);
/// # Ok::<(), tealight::Error>(())
/// ```
pub trait Operand {
    /// Which of the two it is.
    ///
    /// ```
    /// use tealight::ops::{Operand, TensorOrScalar};
    /// use tealight::prelude::*;
    /// let x = Tensor::new(&[1.0, 2.0], &Device::Cpu)?;
    /// assert!(matches!(x.side(), TensorOrScalar::Tensor(x) if x.dims() == [2]));
    /// # Ok::<(), tealight::Error>(())
    /// ```
    fn side(&self) -> TensorOrScalar<'_>;
}

impl Operand for f64 {
    fn side(&self) -> TensorOrScalar<'_> {
        TensorOrScalar::Number(*self)
    }
}

impl Operand for Tensor {
    fn side(&self) -> TensorOrScalar<'_> {
        TensorOrScalar::Tensor(self)
    }
}

impl<T: Operand + ?Sized> Operand for &T {
    fn side(&self) -> TensorOrScalar<'_> {
        (**self).side()
    }
}
