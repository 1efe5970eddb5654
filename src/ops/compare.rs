//! Comparisons, element by element: 1 where it holds, else 0, as u8. A comparison with NaN does not hold (but for `ne`).
//!
//! # Formula
//! a = b, a ≠ b, a < b, a ≤ b, a > b, a ≥ b
//!
//! # Gradient
//! None: a comparison is constant almost everywhere, so its result has no history.
//!
//! # Errors
//! Shapes that do not broadcast; dtypes that differ.

use crate::autograd::Tensor;
use crate::error::{Error, Result};
use crate::kernel::broadcast_dims;

macro_rules! comparisons {
    ($($method:ident $sign:literal),*) => {
        impl Tensor {$(
            #[doc = concat!("Whether self ", $sign, " other, element by element: a u8 tensor of 0 and 1.")]
            ///
            /// # Shapes
            /// Any two that broadcast together.
            ///
            /// # Errors
            /// Shapes that do not broadcast; dtypes that differ.
            ///
            /// ```
            /// use tealight::prelude::*;
            /// let x = Tensor::new(&[1.0, 2.0, 3.0], &Device::Cpu)?;
            #[doc = concat!("let mask = x.", stringify!($method), "(&Tensor::new(2.0, &Device::Cpu)?)?;")]
            #[doc = concat!("assert_eq!(mask.to_vec1::<u8>()?, [1.0, 2.0, 3.0].map(|x| (x ", $sign, " 2.0) as u8));")]
            /// # Ok::<(), tealight::Error>(())
            /// ```
            pub fn $method(&self, other: &Tensor) -> Result<Tensor> {
                let (a, b) = (self.array(), other.array());
                if a.dtype() != b.dtype() {
                    let got = [a.dtype(), b.dtype()];
                    return Err(Error::dtype(stringify!($method), "two tensors of one dtype", &got));
                }
                let dims = broadcast_dims(a.dims(), b.dims()).ok_or_else(|| {
                    Error::shape(stringify!($method), "shapes that broadcast together", &[a.dims(), b.dims()])
                })?;
                let (a, b) = (a.broadcast_as(&dims[..])?, b.broadcast_as(&dims[..])?);
                Ok(Tensor::constant(a.$method(&b)?))
            }
        )*}
    };
}
comparisons!(eq "==", ne "!=", lt "<", le "<=", gt ">", ge ">=");

#[cfg(test)]
mod tests {
    use super::super::testing::tensor;
    use crate::prelude::*;

    #[test]
    fn broadcasting_nan_and_no_gradient() -> Result<()> {
        let x = Tensor::parameter(tensor(&[1.0, f64::NAN]).into_array());
        let y = Tensor::new(&[[1.0], [0.0]], &Device::Cpu)?;
        assert_eq!(x.eq(&y)?.to_vec2::<u8>()?, [[1, 0], [0, 0]]);
        assert_eq!(x.ne(&y)?.to_vec2::<u8>()?, [[0, 1], [1, 1]]);
        assert!(!x.ge(&y)?.requires_grad());
        assert!(matches!(x.eq(&tensor(&[1.0, 2.0, 3.0])), Err(Error::Shape { .. })));
        assert!(matches!(x.eq(&Tensor::new(1u8, &Device::Cpu)?), Err(Error::Dtype { .. })));
        Ok(())
    }
}
