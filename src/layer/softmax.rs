//! Softmax, its logarithm and softmin as layers.
//!
//! # Formula
//! exp(x) / Σ exp(x) along an axis; its logarithm; softmax of −x
//!
//! # Errors
//! An axis that does not exist; a dtype that is no float.

use super::{Fields, ForwardContext, Layer};
use crate::autograd::Tensor;
use crate::error::Result;

macro_rules! along_axis {
    ($($(#[$doc:meta])* $name:ident: |$x:ident, $axis:ident| $value:expr;)*) => {$(
        $(#[$doc])*
        ///
        /// # Shapes
        /// Any; the shape stays.
        ///
        /// # Errors
        /// An axis that the input does not have; a dtype that is no float.
        #[derive(Clone, Copy, Debug)]
        pub struct $name {
            axis: i64,
        }

        /// Along the last axis.
        #[allow(non_upper_case_globals)] // reads as a struct without fields, as Flatten and the activations do
        pub const $name: $name = $name { axis: -1 };

        impl $name {
            /// Along `axis`, counted from the end if it is negative.
            ///
            /// ```
            #[doc = concat!("use tealight::layer::", stringify!($name), ";")]
            /// use tealight::prelude::*;
            /// let x = Tensor::new(&[[0.0, 1.0], [2.0, 4.0]], &Device::Cpu)?;
            #[doc = concat!("let down = ", stringify!($name), "::along(0).predict(&x)?;")]
            /// // The first axis is the last one of the transpose.
            #[doc = concat!("assert_eq!(down.t()?, ", stringify!($name), ".predict(&x.t()?)?);")]
            /// # Ok::<(), tealight::Error>(())
            /// ```
            pub fn along(axis: i64) -> Self {
                $name { axis }
            }
        }

        impl Default for $name {
            fn default() -> Self {
                $name
            }
        }

        impl Layer for $name {
            fn forward(&self, $x: &Tensor, _: &mut ForwardContext) -> Result<Tensor> {
                let $axis = self.axis;
                $value
            }

            fn fields<'a>(&'a self, _: &mut Fields<'a>) {}
        }
    )*};
}

along_axis! {
    /// Softmax along the last axis, or [`along`](Softmax::along) another. For training, give the scores to
    /// [`CrossEntropy`](struct@crate::loss::CrossEntropy) instead.
    ///
    /// ```
    /// use tealight::prelude::*;
    /// let x = Tensor::new(&[[0.0, 0.0], [0.0, 800.0]], &Device::Cpu)?;
    /// assert_eq!(Softmax.predict(&x)?.to_vec2::<f64>()?, [[0.5, 0.5], [0.0, 1.0]]);
    /// assert_eq!(Softmax::along(0).predict(&x)?.to_vec2::<f64>()?, [[0.5, 0.0], [0.5, 1.0]]);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    Softmax: |x, axis| x.softmax(axis);
    /// The logarithm of the softmax along the last axis, or [`along`](LogSoftmax::along) another: what
    /// [`Nll`](struct@crate::loss::Nll) takes.
    ///
    /// ```
    /// use tealight::layer::LogSoftmax;
    /// use tealight::prelude::*;
    /// let x = Tensor::new(&[0.0, 1e4], &Device::Cpu)?;
    /// assert_eq!(LogSoftmax.predict(&x)?.to_vec1::<f64>()?, [-1e4, 0.0]);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    LogSoftmax: |x, axis| x.log_softmax(axis);
    /// The softmax of −x along the last axis, or [`along`](Softmin::along) another: the smallest gets the most.
    ///
    /// ```
    /// use tealight::layer::Softmin;
    /// use tealight::prelude::*;
    /// let x = Tensor::new(&[0.0, 1e4], &Device::Cpu)?;
    /// assert_eq!(Softmin.predict(&x)?.to_vec1::<f64>()?, [1.0, 0.0]);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    Softmin: |x, axis| x.neg()?.softmax(axis);
}

#[cfg(test)]
mod tests {
    use super::{LogSoftmax, Softmin};
    use crate::layer::gradcheck;
    use crate::prelude::*;

    #[test]
    fn gradients() -> Result<()> {
        let x = Tensor::randn(0.0, 1.0, (3, 4), &mut Rng::seed(1))?;
        let layers: [Box<dyn Layer>; 4] = [
            Box::new(Softmax),
            Box::new(Softmax::along(0)),
            Box::new(LogSoftmax::along(-2)),
            Box::new(Softmin::default()),
        ];
        for layer in layers {
            gradcheck(&*layer, &x, &ForwardContext::eval())?;
        }
        assert!(matches!(Softmin::along(2).predict(&x), Err(Error::Axis { .. })));
        Ok(())
    }
}
