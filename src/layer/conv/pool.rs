//! Pooling layers.

use super::super::{ForwardContext, Layer};
use crate::autograd::Tensor;
use crate::error::Result;
use crate::ops::PoolOptions;

macro_rules! pools {
    ($($(#[$doc:meta])* $name:ident $sides:literal $method:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug)]
        pub struct $name {
            options: PoolOptions<$sides>,
        }

        impl $name {
            /// A layer with these windows. Default stride: the size of the window.
            pub fn new(options: PoolOptions<$sides>) -> Self {
                $name { options }
            }
        }

        impl Layer for $name {
            fn forward(&self, x: &Tensor, _: &mut ForwardContext) -> Result<Tensor> {
                x.$method(self.options)
            }

            crate::fields!();
        }
    )*};
}

pools! {
    /// The maximum of each window of a sequence; see [`Tensor::max_pool1d`].
    ///
    /// # Shapes
    /// (n, c, l) or (c, l) to (n, c, l′) or (c, l′)
    #[doc(alias = "MaxPooling1D")]
    MaxPool1d 1 max_pool1d;
    /// The maximum of each window of an image; see [`Tensor::max_pool2d`].
    ///
    /// # Shapes
    /// (n, c, h, w) or (c, h, w) to (n, c, h′, w′) or (c, h′, w′)
    ///
    /// ```
    /// use tealight::prelude::*;
    /// let x = Tensor::zeros((10, 3, 9, 5), DType::F32, &Device::Cpu)?;
    /// assert_eq!(MaxPool2d::new(PoolOptions::new(3)).predict(&x)?.dims(), [10, 3, 3, 1]);
    /// assert_eq!(MaxPool2d::new(PoolOptions::new(3).stride(2)).predict(&x)?.dims(), [10, 3, 4, 2]);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    #[doc(alias = "MaxPooling2D")]
    MaxPool2d 2 max_pool2d;
    /// The mean of each window of a sequence; see [`Tensor::avg_pool1d`].
    ///
    /// # Shapes
    /// (n, c, l) or (c, l) to (n, c, l′) or (c, l′)
    #[doc(alias = "AveragePooling1D")]
    AvgPool1d 1 avg_pool1d;
    /// The mean of each window of an image; see [`Tensor::avg_pool2d`].
    ///
    /// # Shapes
    /// (n, c, h, w) or (c, h, w) to (n, c, h′, w′) or (c, h′, w′)
    #[doc(alias = "AveragePooling2D")]
    AvgPool2d 2 avg_pool2d;
}

macro_rules! adaptive_pools {
    ($($(#[$doc:meta])* $name:ident $size:ty, $method:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug)]
        pub struct $name {
            size: $size,
        }

        impl $name {
            /// A layer whose outputs have this length, or height and width.
            pub fn new(size: $size) -> Self {
                $name { size }
            }
        }

        impl Layer for $name {
            fn forward(&self, x: &Tensor, _: &mut ForwardContext) -> Result<Tensor> {
                x.$method(self.size)
            }

            crate::fields!();
        }
    )*};
}

adaptive_pools! {
    /// The means of windows of a sequence whose size follows from that of the output; see [`Tensor::adaptive_avg_pool1d`].
    ///
    /// # Shapes
    /// (n, c, l) or (c, l) to (n, c, l′) or (c, l′)
    #[doc(alias = "GlobalAveragePooling1D")]
    AdaptiveAvgPool1d usize, adaptive_avg_pool1d;
    /// The means of windows whose size follows from that of the output; see [`Tensor::adaptive_avg_pool2d`].
    ///
    /// # Shapes
    /// (n, c, h, w) or (c, h, w) to (n, c, h′, w′) or (c, h′, w′)
    ///
    /// ```
    /// use tealight::layer::AdaptiveAvgPool2d;
    /// use tealight::prelude::*;
    /// let image = Tensor::new(&[[[1.0, 2.0], [3.0, 4.0]]], &Device::Cpu)?;
    /// assert_eq!(AdaptiveAvgPool2d::new([1, 1]).predict(&image)?.to_vec3::<f64>()?, [[[2.5]]]);
    /// assert_eq!(AdaptiveAvgPool2d::new([2, 1]).predict(&image)?.to_vec3::<f64>()?, [[[1.5], [3.5]]]);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    #[doc(alias = "GlobalAveragePooling2D")]
    AdaptiveAvgPool2d [usize; 2], adaptive_avg_pool2d;
    /// The maxima of windows of a sequence whose size follows from that of the output; see [`Tensor::adaptive_max_pool1d`].
    ///
    /// # Shapes
    /// (n, c, l) or (c, l) to (n, c, l′) or (c, l′)
    #[doc(alias = "GlobalMaxPooling1D")]
    AdaptiveMaxPool1d usize, adaptive_max_pool1d;
    /// The maxima of windows whose size follows from that of the output; see [`Tensor::adaptive_max_pool2d`].
    ///
    /// # Shapes
    /// (n, c, h, w) or (c, h, w) to (n, c, h′, w′) or (c, h′, w′)
    #[doc(alias = "GlobalMaxPooling2D")]
    AdaptiveMaxPool2d [usize; 2], adaptive_max_pool2d;
}

#[cfg(test)]
mod tests {
    use super::{
        AdaptiveAvgPool1d, AdaptiveAvgPool2d, AdaptiveMaxPool1d, AdaptiveMaxPool2d, AvgPool1d, AvgPool2d,
        MaxPool1d, MaxPool2d,
    };
    use crate::layer::gradcheck;
    use crate::ops::PoolOptions;
    use crate::prelude::*;

    #[test]
    fn gradients() -> Result<()> {
        let x = Tensor::randn_dtype(0.0, 1.0, (2, 2, 5), DType::F64, &mut Rng::seed(1))?;
        let train = ForwardContext::train(Rng::seed(2));
        let checked = |model: Sequential, x: &Tensor| gradcheck(&model.push(Tanh), x, &train);
        checked(Sequential::new().push(MaxPool1d::new(PoolOptions::new(2).padding(1))), &x)?;
        checked(Sequential::new().push(AvgPool1d::new(PoolOptions::new(3).stride(2))), &x)?;
        checked(Sequential::new().push(AdaptiveAvgPool1d::new(3)), &x)?;
        checked(Sequential::new().push(AdaptiveMaxPool1d::new(3)), &x)?;
        let x = Tensor::randn_dtype(0.0, 1.0, (1, 2, 4, 5), DType::F64, &mut Rng::seed(1))?;
        checked(Sequential::new().push(MaxPool2d::new(PoolOptions::new([2, 3]))), &x)?;
        checked(Sequential::new().push(AvgPool2d::new(PoolOptions::new(2).padding(1))), &x)?;
        checked(Sequential::new().push(AdaptiveAvgPool2d::new([2, 3])), &x)?;
        checked(Sequential::new().push(AdaptiveMaxPool2d::new([2, 3])), &x)?;
        Ok(())
    }

    #[test]
    fn errors_name_the_pool() {
        let x = Tensor::zeros((2, 3, 2, 2), DType::F32, &Device::Cpu).unwrap();
        let error = MaxPool2d::new(PoolOptions::new(3)).predict(&x).unwrap_err().to_string();
        assert!(error.starts_with("max_pool2d: expected"), "{error}");
    }
}
