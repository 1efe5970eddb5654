//! [`Operand`]: a tensor or a number, on the right of an operation.

use crate::autograd::Tensor;

/// The right side of an operation.
///
/// ```
/// use tealight::ops::{Operand, Side};
/// assert!(matches!(2.5_f64.side(), Side::Number(2.5)));
/// ```
#[derive(Clone, Copy, Debug)]
pub enum Side<'a> {
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
    /// use tealight::ops::{Operand, Side};
    /// use tealight::prelude::*;
    /// let x = Tensor::new(&[1.0, 2.0], &Device::Cpu)?;
    /// assert!(matches!(x.side(), Side::Tensor(x) if x.dims() == [2]));
    /// # Ok::<(), tealight::Error>(())
    /// ```
    fn side(&self) -> Side<'_>;
}

impl Operand for f64 {
    fn side(&self) -> Side<'_> {
        Side::Number(*self)
    }
}

impl Operand for Tensor {
    fn side(&self) -> Side<'_> {
        Side::Tensor(self)
    }
}

impl<T: Operand + ?Sized> Operand for &T {
    fn side(&self) -> Side<'_> {
        (**self).side()
    }
}
