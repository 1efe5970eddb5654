//! Softmax, its logarithm and softmin as layers.

use super::{ForwardContext, Layer};
use crate::autograd::Tensor;
use crate::error::Result;

macro_rules! along_axis {
    ($($(#[$doc:meta])* $name:ident: |$x:ident, $axis:ident| $value:expr;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug)]
        pub struct $name {
            axis: i64,
        }

        impl $name {
            /// A layer that works along `axis`, counted from the end if it is negative. Default: `-1`.
            #[doc(alias = "dim")]
            pub fn new(axis: i64) -> Self {
                $name { axis }
            }
        }

        impl Default for $name {
            fn default() -> Self {
                $name::new(-1)
            }
        }

        impl Layer for $name {
            fn forward(&self, $x: &Tensor, _: &mut ForwardContext) -> Result<Tensor> {
                let $axis = self.axis;
                $value
            }

            crate::fields!();
        }
    )*};
}

along_axis! {
    /// exp(x) / Σ exp(x) along an axis: probabilities from scores. For training, give the scores to
    /// [`CrossEntropy`](crate::loss::CrossEntropy) instead.
    ///
    /// ```
    /// use tealight::prelude::*;
    /// let x = Tensor::new(&[[0.0, 0.0], [0.0, 800.0]], &Device::Cpu)?;
    /// assert_eq!(Softmax::default().predict(&x)?.to_vec2::<f64>()?, [[0.5, 0.5], [0.0, 1.0]]);
    /// assert_eq!(Softmax::new(0).predict(&x)?.to_vec2::<f64>()?, [[0.5, 0.0], [0.5, 1.0]]);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    Softmax: |x, axis| x.softmax(axis);
    /// x − ln Σ exp(x) along an axis, the logarithm of the softmax: the input of [`Nll`](crate::loss::Nll).
    LogSoftmax: |x, axis| x.log_softmax(axis);
    /// The softmax of −x along an axis: the smallest element gets the largest weight.
    Softmin: |x, axis| x.neg()?.softmax(axis);
}

#[cfg(test)]
mod tests {
    use super::{LogSoftmax, Softmin};
    use crate::layer::gradcheck;
    use crate::prelude::*;

    #[test]
    fn gradients() -> Result<()> {
        let x = Tensor::randn_dtype(0.0, 1.0, (3, 4), DType::F64, &mut Rng::seed(1))?;
        let layers: [Box<dyn Layer>; 4] = [
            Box::new(Softmax::default()),
            Box::new(Softmax::new(0)),
            Box::new(LogSoftmax::new(-2)),
            Box::new(Softmin::default()),
        ];
        for layer in layers {
            gradcheck(&layer, &x, &ForwardContext::eval())?;
        }
        assert!(matches!(Softmin::new(2).predict(&x), Err(Error::Axis { .. })));
        Ok(())
    }

    #[test]
    fn extremes() -> Result<()> {
        let x = Tensor::new(&[0.0, 1e4], &Device::Cpu)?;
        assert_eq!(LogSoftmax::default().predict(&x)?.to_vec1::<f64>()?, [-1e4, 0.0]);
        assert_eq!(Softmin::default().predict(&x)?.to_vec1::<f64>()?, [1.0, 0.0]);
        Ok(())
    }
}
