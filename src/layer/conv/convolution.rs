//! Convolutions with learned weights.

use super::super::{ForwardContext, Layer, Parameter, init};
use crate::autograd::Tensor;
use crate::error::{Error, Result};
use crate::ops::{ConvOptions, PerSpatialDim, Rng};

/// The weight, whose first axis has `first` channels and whose second axis `second / groups`, and the bias.
fn initial<const D: usize>(
    op: &'static str,
    [first, second]: [usize; 2],
    outputs: usize,
    kernel: PerSpatialDim<D>,
    groups: usize,
    rng: &mut Rng,
) -> Result<(Parameter, Option<Parameter>)> {
    if groups == 0 || first % groups != 0 || second % groups != 0 {
        let expected = format!("groups that divide {first} and {second} channels");
        return Err(Error::argument(op, expected, groups));
    }
    let second = second / groups;
    let products = kernel.0.iter().fold(second, |product, &side| product.saturating_mul(side));
    let bound = 1.0 / (products.max(1) as f64).sqrt();
    let dims = [&[first, second], &kernel.0[..]].concat();
    let weight = Parameter::new(init::uniform(dims, -bound, bound, rng)?);
    Ok((weight, Some(Parameter::new(init::uniform(outputs, -bound, bound, rng)?))))
}

macro_rules! convolutions {
    ($($(#[$doc:meta])* $name:ident $sides:literal $method:ident $transposed:literal $weight:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug)]
        pub struct $name {
            #[doc = concat!("W, ", $weight, ".")]
            pub weight: Parameter,
            /// b, (outputs).
            pub bias: Option<Parameter>,
            options: ConvOptions<$sides>,
        }

        impl $name {
            /// A layer from `inputs` to `outputs` channels, in f32. The kernel has one size for all axes, or one for each.
            ///
            /// W and b start uniform in ±1/√k, where k is the length of W's second axis times the size of the kernel, as
            /// in PyTorch.
            ///
            /// # Errors
            /// Errors if the groups do not divide both numbers of channels.
            pub fn new(
                inputs: usize,
                outputs: usize,
                kernel: impl Into<PerSpatialDim<$sides>>,
                options: ConvOptions<$sides>,
                rng: &mut Rng,
            ) -> Result<Self> {
                let channels = if $transposed { [inputs, outputs] } else { [outputs, inputs] };
                let (weight, bias) =
                    initial(stringify!($method), channels, outputs, kernel.into(), options.groups, rng)?;
                Ok($name { weight, bias, options })
            }

            /// Removes b.
            pub fn without_bias(self) -> Self {
                $name { bias: None, ..self }
            }
        }

        impl Layer for $name {
            fn forward(&self, x: &Tensor, _: &mut ForwardContext) -> Result<Tensor> {
                let bias = self.bias.as_ref().map(Parameter::get);
                x.conv_with_bias(stringify!($method), &self.weight.get(), bias.as_ref(), self.options, $transposed)
            }

            crate::fields!(weight, bias);
        }
    )*};
}

convolutions! {
    /// The convolution of sequences, y = x ∗ W + b; see [`Tensor::conv1d`].
    ///
    /// # Shapes
    /// (n, inputs, l) or (inputs, l) to (n, outputs, l′) or (outputs, l′)
    ///
    /// ```
    /// use tealight::layer::Conv1d;
    /// use tealight::prelude::*;
    /// let layer = Conv1d::new(3, 16, 5, ConvOptions::new().stride(2), &mut Rng::seed(1))?;
    /// let x = Tensor::zeros((10, 3, 33), DType::F32, &Device::Cpu)?;
    /// assert_eq!(layer.predict(&x)?.dims(), [10, 16, 15]);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    Conv1d 1 conv1d false "(outputs, inputs / groups, k)";
    /// The convolution of images, y = x ∗ W + b; see [`Tensor::conv2d`].
    ///
    /// # Shapes
    /// (n, inputs, h, w) or (inputs, h, w) to (n, outputs, h′, w′) or (outputs, h′, w′)
    ///
    /// ```
    /// use tealight::prelude::*;
    /// let layer = Conv2d::new(3, 16, 5, ConvOptions::new().stride(2), &mut Rng::seed(1))?;
    /// let x = Tensor::zeros((10, 3, 33, 21), DType::F32, &Device::Cpu)?;
    /// assert_eq!(layer.predict(&x)?.dims(), [10, 16, 15, 9]);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    Conv2d 2 conv2d false "(outputs, inputs / groups, kh, kw)";
    /// The transposed convolution of sequences: with a stride, y is longer than x. See [`Tensor::conv_transpose1d`].
    ///
    /// # Shapes
    /// (n, inputs, l) or (inputs, l) to (n, outputs, l′) or (outputs, l′)
    ///
    /// ```
    /// use tealight::layer::ConvTranspose1d;
    /// use tealight::prelude::*;
    /// let layer = ConvTranspose1d::new(3, 16, 5, ConvOptions::new().stride(2), &mut Rng::seed(1))?;
    /// let x = Tensor::zeros((10, 3, 15), DType::F32, &Device::Cpu)?;
    /// assert_eq!(layer.predict(&x)?.dims(), [10, 16, 33]);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    #[doc(alias = "deconvolution")]
    #[doc(alias = "Conv1DTranspose")]
    ConvTranspose1d 1 conv_transpose1d true "(inputs, outputs / groups, k)";
    /// The transposed convolution of images: with a stride, y is larger than x. See [`Tensor::conv_transpose2d`].
    ///
    /// # Shapes
    /// (n, inputs, h, w) or (inputs, h, w) to (n, outputs, h′, w′) or (outputs, h′, w′)
    ///
    /// ```
    /// use tealight::layer::ConvTranspose2d;
    /// use tealight::prelude::*;
    /// let layer = ConvTranspose2d::new(3, 16, 5, ConvOptions::new().stride(2), &mut Rng::seed(1))?;
    /// let x = Tensor::zeros((10, 3, 15, 9), DType::F32, &Device::Cpu)?;
    /// assert_eq!(layer.predict(&x)?.dims(), [10, 16, 33, 21]);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    #[doc(alias = "deconvolution")]
    #[doc(alias = "Conv2DTranspose")]
    ConvTranspose2d 2 conv_transpose2d true "(inputs, outputs / groups, kh, kw)";
}

#[cfg(test)]
mod tests {
    use super::{Conv1d, Conv2d, ConvTranspose1d, ConvTranspose2d};
    use crate::layer::gradcheck;
    use crate::ops::ConvOptions;
    use crate::prelude::*;

    #[test]
    fn gradients() -> Result<()> {
        let rng = &mut Rng::seed(1);
        let train = ForwardContext::train(Rng::seed(2));
        let x = Tensor::randn_dtype(0.0, 1.0, (2, 2, 4), DType::F64, rng)?;
        let one = ConvOptions::new().stride(2).padding(1).groups(2);
        gradcheck(&Sequential::new().push(Conv1d::new(2, 2, 3, one, rng)?).push(Tanh), &x, &train)?;
        let layer = ConvTranspose1d::new(2, 4, 3, one.output_padding(1), rng)?;
        gradcheck(&Sequential::new().push(layer).push(Tanh), &x, &train)?;
        let x = Tensor::randn_dtype(0.0, 1.0, (1, 2, 3, 4), DType::F64, rng)?;
        let two = ConvOptions::new().padding([0, 1]).dilation([1, 2]);
        let layer = Conv2d::new(2, 2, [2, 3], two, rng)?.without_bias();
        gradcheck(&Sequential::new().push(layer).push(Tanh), &x, &train)?;
        gradcheck(&ConvTranspose2d::new(2, 1, 2, two, rng)?, &x, &train)?;
        Ok(())
    }

    #[test]
    fn edges() -> Result<()> {
        let rng = &mut Rng::seed(1);
        let grouped = ConvOptions::new().groups(2);
        let layer = ConvTranspose2d::new(4, 6, [3, 5], grouped, rng)?;
        assert_eq!(layer.weight.get().dims(), [4, 3, 3, 5]);
        assert_eq!(Conv2d::new(4, 6, [3, 5], grouped, rng)?.weight.get().dims(), [6, 2, 3, 5]);
        let error = Conv1d::new(3, 4, 3, ConvOptions::new().groups(2), rng).unwrap_err();
        assert_eq!(error.to_string(), "conv1d: expected groups that divide 4 and 3 channels, got 2");
        assert!(Conv1d::new(3, 4, 3, ConvOptions::new().groups(0), rng).is_err());
        assert!(Conv1d::new(3, 4, usize::MAX, ConvOptions::new(), rng).is_err());
        let layer = Conv1d::new(3, 4, 3, ConvOptions::new(), rng)?;
        assert_eq!(layer.parameters().len(), 2);
        let wrong = Tensor::zeros((2, 4, 7), DType::F32, &Device::Cpu)?;
        assert!(layer.predict(&wrong).unwrap_err().to_string().starts_with("conv1d: expected"));
        assert_eq!(layer.predict(&wrong.narrow(1, 0, 3)?.i(0)?)?.dims(), [4, 5]);
        // Uniform in ±1/√9.
        let largest = layer.weight.get().abs()?.max_all()?.to_scalar::<f32>()?;
        assert!((0.2..=1.0 / 3.0).contains(&largest), "{largest}");
        Ok(())
    }
}
