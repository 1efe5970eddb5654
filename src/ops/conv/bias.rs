//! Convolutions with a bias for each channel, in one pass.

use super::super::matmul::save_factors;
use super::super::onnx::{dilations, pad_after, windows};
use super::super::reshape::reshaped;
use super::super::window::reach;
use super::{ConvOptions, Derivative, G, convolve, gradients};
use crate::autograd::array::{contiguous, on_cpu, with_float};
use crate::autograd::launch::launch;
use crate::autograd::{Array, Onnx, OnnxAttribute, OnnxValue, Op, SaveContext, Saved, Tensor};
use crate::error::Result;
use crate::kernel::{self, Conv, WindowAxis};

/// A [`Derivative`] of images, plus the bias of its channels.
#[derive(Debug)]
struct Biased<const P: usize>(Conv);

impl<const P: usize> Op<3> for Biased<P> {
    const NAME: &'static str = Derivative::<P>::NAME;

    fn forward(&self, [a, b, bias]: [&Array; 3], ctx: &mut SaveContext) -> Result<Array> {
        save_factors(ctx);
        with_float!(a.dtype(), T => {
            let (inputs, conv) = ([&contiguous(a)?, &contiguous(b)?, &contiguous(bias)?], self.0);
            let what = (Self::NAME, || Derivative::<P>::primitive(conv));
            launch(what, inputs, &Derivative::<P>(conv).dims(), move |inputs| {
                let [a, b, bias] = inputs.map(|x| x.elements::<T>());
                match P {
                    G => kernel::conv(&conv, a, b, Some(bias)),
                    _ => kernel::conv_transpose(&conv, a, b, Some(bias)),
                }
            })
        })
    }

    fn jvp(&self, saved: &Saved, [a, b, bias]: [Option<&Tensor>; 3]) -> Result<Option<Tensor>> {
        let own = |a: &Tensor, b: &Tensor| Derivative::<P>(self.0).apply([a, b]);
        let terms = [
            a.map(|a| own(a, &saved.input(1)?)).transpose()?,
            b.map(|b| own(&saved.input(0)?, b)).transpose()?,
            bias.map(|bias| {
                bias.reshape((bias.elem_count(), 1, 1))?.broadcast_to(&Derivative::<P>(self.0).dims()[..])
            })
            .transpose()?,
        ];
        terms.into_iter().flatten().map(Ok).reduce(|a, b| a? + b?).transpose()
    }

    fn backward(&self, saved: &Saved, grad: &Tensor) -> Result<[Option<Tensor>; 3]> {
        let [a, b] = gradients::<P, 3>(self.0, saved, grad)?;
        let [images, channels, h, w] = Derivative::<P>(self.0).dims();
        let sums = || reshaped(grad, &[images, channels, h * w])?.sum(2)?.sum(0);
        Ok([a, b, saved.needs_input_grad(2).then(sums).transpose()?])
    }
}

/// The derivative by the images `P`, plus the bias of each channel if there is one.
pub(super) fn apply_with_bias<const P: usize>(
    conv: Conv,
    inputs: [&Tensor; 2],
    bias: Option<&Tensor>,
) -> Result<Tensor> {
    let own = Derivative::<P>(conv);
    let Some(bias) = bias else { return own.apply(inputs) };
    let [a, b] = inputs;
    let channels = own.dims()[1];
    let same = bias.dims() == [channels] && bias.dtype() == a.dtype();
    if same && [a, b, bias].iter().all(|x| on_cpu(x.array())) {
        return Biased::<P>(conv).apply([a, b, bias]);
    }
    own.apply(inputs)? + bias.reshape((bias.elem_count(), 1, 1))?
}

/// The node of a convolution or of its transpose, of an input, a weight and perhaps a bias.
pub(super) fn onnx_node<const D: usize>(
    conv: &Conv,
    transposed: bool,
    x: OnnxValue,
    onnx: &mut Onnx,
) -> OnnxValue {
    let mut inputs = vec![x];
    inputs.extend((1..onnx.input_count()).map(|i| onnx.input(i)));
    let channels = if transposed { conv.x_dims()[1] } else { conv.y_dims()[1] };
    // A single bias is one for all channels.
    if let Some(bias) = inputs.get_mut(2)
        && onnx.dims(2).is_ok_and(|dims| dims != [channels])
    {
        let all = onnx.ints(&[channels as i64]);
        *bias = onnx.node("Expand", &[*bias, all], &[]);
    }
    let mut attributes = windows::<D>(&conv.sides);
    attributes.push(dilations::<D>(&conv.sides));
    attributes.push(("group", OnnxAttribute::Int(conv.groups as i64)));
    if transposed {
        let extra =
            |side: &WindowAxis| (side.input + side.padding + pad_after(side)) as i64 - reach(side) as i64;
        let extra = conv.sides[2 - D..].iter().map(extra).collect();
        attributes.push(("output_padding", OnnxAttribute::Ints(extra)));
    }
    onnx.node(if transposed { "ConvTranspose" } else { "Conv" }, &inputs, &attributes)
}

impl Tensor {
    /// The convolution named `op`, such as [`conv2d`](Tensor::conv2d), plus a bias for each channel.
    pub(crate) fn conv_with_bias<const D: usize>(
        &self,
        op: &'static str,
        weight: &Tensor,
        bias: Option<&Tensor>,
        options: ConvOptions<D>,
        transposed: bool,
    ) -> Result<Tensor> {
        convolve(op, self, weight, bias, options, transposed)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{numbers, options};
    use crate::prelude::*;

    #[test]
    fn gradients() -> Result<()> {
        // By the direct way and by the general one.
        for own in [ConvOptions::new(), options([2, 1], [1, 0], [1, 2], 1)] {
            for transposed in [false, true] {
                let inputs = [numbers(&[2, 2, 3, 4]), numbers(&[2, 2, 2, 2]), numbers(&[2])];
                let f = |x: &[Tensor]| x[0].conv_with_bias("conv2d", &x[1], Some(&x[2]), own, transposed);
                autograd::gradcheck(f, &inputs)?;
                autograd::gradcheck(|x| f(x)?.powf(3.0), &inputs)?;
            }
        }
        let inputs = [numbers(&[2, 5]), numbers(&[4, 1, 2]), numbers(&[4])];
        let own = ConvOptions::<1>::new().groups(2);
        autograd::gradcheck(
            |x| x[0].conv_with_bias("conv1d", &x[1], Some(&x[2]), own, false)?.exp(),
            &inputs,
        )?;
        Ok(())
    }

    #[test]
    fn as_a_sum() -> Result<()> {
        for dtype in [DType::F16, DType::BF16, DType::F32, DType::F64] {
            let [x, w, b] = [numbers(&[2, 3, 5, 6]), numbers(&[4, 3, 3, 2]), numbers(&[4])]
                .map(|x| x.to_dtype(dtype).unwrap());
            let own = ConvOptions::<2>::new().padding(1);
            for bias in [b.clone(), b.i(..1)?, b.to_dtype(DType::F32)?] {
                let near = |x: Result<Tensor>| x?.to_dtype(DType::F64)?.flatten(0, -1)?.to_vec1::<f64>();
                let y = near(x.conv_with_bias("conv2d", &w, Some(&bias), own, false));
                let sum = near(x.conv2d(&w, own)? + bias.reshape((bias.elem_count(), 1, 1))?);
                match (y, sum) {
                    (Ok(y), Ok(sum)) => assert!(y.iter().zip(&sum).all(|(a, b)| (a - b).abs() < 1e-5)),
                    (y, sum) => assert!(y.is_err() && sum.is_err()),
                }
            }
            assert!(x.conv_with_bias("conv2d", &w, Some(&b.i(..3)?), own, false).is_err());
        }
        Ok(())
    }

    #[test]
    fn edges() -> Result<()> {
        let bias = numbers(&[3]);
        for dims in [[0, 2, 4, 4], [1, 0, 4, 4]] {
            let w = Tensor::parameter(Array::zeros(&[3, dims[1], 3, 3], DType::F64, &Device::Cpu)?);
            let y =
                numbers(&dims).conv_with_bias("conv2d", &w, Some(&bias), ConvOptions::<2>::new(), false)?;
            assert_eq!(y.dims(), [dims[0], 3, 2, 2]);
            assert_eq!(y.sum_all()?.backward()?.get(&w).unwrap().dims(), w.dims());
            if dims[0] > 0 {
                assert_eq!(y.i((0, .., 1, 1))?.to_vec1::<f64>()?, bias.to_vec1::<f64>()?);
            }
        }
        Ok(())
    }
}
