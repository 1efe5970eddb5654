//! Layers that make one number of each window.
//!
//! # Formula
//! The largest number of each window, or the mean; see [`Tensor::max_pool2d`] and [`Tensor::avg_pool2d`]
//!
//! # Errors
//! Inputs smaller than a window; options that make no sense.

use super::super::{Fields, ForwardContext, Layer};
use crate::autograd::Tensor;
use crate::error::Result;
use crate::ops::PoolOptions;

macro_rules! pools {
    ($($(#[$doc:meta])* $name:ident $sides:literal $method:ident $shapes:literal $x:literal $y:literal;)*) => {$(
        $(#[$doc])*
        ///
        /// # Shapes
        #[doc = $shapes]
        ///
        /// ```
        #[doc = concat!("use tealight::layer::", stringify!($name), ";")]
        /// use tealight::ops::PoolOptions;
        /// use tealight::prelude::*;
        #[doc = concat!("let layer = ", stringify!($name), "::new(PoolOptions::new(3).stride(2));")]
        #[doc = concat!("let x = Tensor::zeros(", $x, ", DType::F32, &Device::Cpu)?;")]
        #[doc = concat!("assert_eq!(layer.predict(&x)?.dims(), ", $y, ");")]
        /// # Ok::<(), tealight::Error>(())
        /// ```
        #[derive(Clone, Copy, Debug)]
        pub struct $name {
            options: PoolOptions<$sides>,
        }

        impl $name {
            /// A layer with these windows.
            ///
            /// ```
            #[doc = concat!("use tealight::layer::", stringify!($name), ";")]
            /// use tealight::ops::PoolOptions;
            /// use tealight::prelude::*;
            #[doc = concat!("let layer = ", stringify!($name), "::new(PoolOptions::new(3));")]
            #[doc = concat!("let x = Tensor::zeros(", $x, ", DType::F32, &Device::Cpu)?;")]
            /// // 9 places in windows of 3, side by side.
            /// assert_eq!(layer.predict(&x)?.dims()[2], 3);
            /// # Ok::<(), tealight::Error>(())
            /// ```
            pub fn new(options: PoolOptions<$sides>) -> Self {
                $name { options }
            }
        }

        impl Layer for $name {
            fn forward(&self, x: &Tensor, _: &mut ForwardContext) -> Result<Tensor> {
                x.$method(self.options)
            }

            fn fields<'a>(&'a self, _: &mut Fields<'a>) {}
        }
    )*};
}

pools! {
    /// The largest number of each window of a sequence; see [`Tensor::max_pool1d`].
    #[doc(alias = "MaxPooling1D")]
    MaxPool1d 1 max_pool1d "(n, c, l) or (c, l) to (n, c, l′) or (c, l′)" "(10, 3, 9)" "[10, 3, 4]";
    /// The largest number of each window of an image; see [`Tensor::max_pool2d`].
    #[doc(alias = "MaxPooling2D")]
    MaxPool2d 2 max_pool2d "(n, c, h, w) or (c, h, w) to (n, c, h′, w′) or (c, h′, w′)"
        "(10, 3, 9, 5)" "[10, 3, 4, 2]";
    /// The mean of each window of a sequence; see [`Tensor::avg_pool1d`].
    #[doc(alias = "AveragePooling1D")]
    AvgPool1d 1 avg_pool1d "(n, c, l) or (c, l) to (n, c, l′) or (c, l′)" "(10, 3, 9)" "[10, 3, 4]";
    /// The mean of each window of an image; see [`Tensor::avg_pool2d`].
    #[doc(alias = "AveragePooling2D")]
    AvgPool2d 2 avg_pool2d "(n, c, h, w) or (c, h, w) to (n, c, h′, w′) or (c, h′, w′)"
        "(10, 3, 9, 5)" "[10, 3, 4, 2]";
}

/// Means of windows that are as large as the output asks for; see [`Tensor::adaptive_avg_pool2d`].
///
/// # Shapes
/// (n, c, h, w) or (c, h, w) to (n, c, h′, w′) or (c, h′, w′)
///
/// ```
/// use tealight::layer::AdaptiveAvgPool2d;
/// use tealight::prelude::*;
/// let x = Tensor::zeros((10, 64, 7, 5), DType::F32, &Device::Cpu)?;
/// assert_eq!(AdaptiveAvgPool2d::new([1, 1]).predict(&x)?.dims(), [10, 64, 1, 1]);
/// # Ok::<(), tealight::Error>(())
/// ```
#[doc(alias = "GlobalAveragePooling2D")]
#[derive(Clone, Copy, Debug)]
pub struct AdaptiveAvgPool2d {
    sides: [usize; 2],
}

impl AdaptiveAvgPool2d {
    /// A layer whose outputs have these sides.
    ///
    /// ```
    /// use tealight::layer::AdaptiveAvgPool2d;
    /// use tealight::prelude::*;
    /// let image = Tensor::new(&[[[1.0, 2.0], [3.0, 4.0]]], &Device::Cpu)?;
    /// assert_eq!(AdaptiveAvgPool2d::new([1, 1]).predict(&image)?.to_vec3::<f64>()?, [[[2.5]]]);
    /// assert_eq!(AdaptiveAvgPool2d::new([2, 1]).predict(&image)?.to_vec3::<f64>()?, [[[1.5], [3.5]]]);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn new(sides: [usize; 2]) -> Self {
        AdaptiveAvgPool2d { sides }
    }
}

impl Layer for AdaptiveAvgPool2d {
    fn forward(&self, x: &Tensor, _: &mut ForwardContext) -> Result<Tensor> {
        x.adaptive_avg_pool2d(self.sides)
    }

    fn fields<'a>(&'a self, _: &mut Fields<'a>) {}
}

#[cfg(test)]
mod tests {
    use super::{AdaptiveAvgPool2d, AvgPool1d, AvgPool2d, MaxPool1d, MaxPool2d};
    use crate::layer::gradcheck;
    use crate::ops::PoolOptions;
    use crate::prelude::*;

    #[test]
    fn gradients() -> Result<()> {
        let x = Tensor::randn(0.0, 1.0, (2, 2, 5), &mut Rng::seed(1))?;
        let train = ForwardContext::train(Rng::seed(2));
        let checked = |model: Sequential, x: &Tensor| gradcheck(&model.push(Tanh), x, &train);
        checked(Sequential::new().push(MaxPool1d::new(PoolOptions::new(2).padding(1))), &x)?;
        checked(Sequential::new().push(AvgPool1d::new(PoolOptions::new(3).stride(2))), &x)?;
        let x = Tensor::randn(0.0, 1.0, (1, 2, 4, 5), &mut Rng::seed(1))?;
        checked(Sequential::new().push(MaxPool2d::new(PoolOptions::new([2, 3]))), &x)?;
        checked(Sequential::new().push(AvgPool2d::new(PoolOptions::new(2).padding(1))), &x)?;
        checked(Sequential::new().push(AdaptiveAvgPool2d::new([2, 3])), &x)?;
        Ok(())
    }

    #[test]
    fn errors_name_the_pool() {
        let x = Tensor::zeros((2, 3, 2, 2), DType::F32, &Device::Cpu).unwrap();
        let error = MaxPool2d::new(PoolOptions::new(3)).predict(&x).unwrap_err().to_string();
        assert!(error.starts_with("max_pool2d: expected"), "{error}");
    }
}
