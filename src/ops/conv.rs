//! Convolutions and their transposes. As everywhere in machine learning the kernel is not flipped.
//!
//! The form Σ x·w·g is linear in each of its three parts, and its derivative by one part is a function of the other two: the
//! convolution of x with w, the transposed convolution of g with w, and the gradient of the kernel. So the gradients of each
//! are the other two, exact to any order.

mod bias;

use super::matmul::{floats, save_factors};
use super::onnx::batched;
use super::pad::Pad;
use super::reshape::reshaped;
use super::window::{
    ConvOptions, ConvPadding, at_least_one, in_memory, padding_fits, reach, room_for, side, span_text,
    transposed_side,
};
use crate::autograd::array::{contiguous, in_main_memory, with_float};
use crate::autograd::launch::{Primitive, launch};
use crate::autograd::{Array, Jacobian, Op, SaveContext, Saved, Tensor, traced};
use crate::error::{Error, Result};
use crate::kernel::{self, Conv, Dims, WindowAxis};
use bias::{apply_with_bias, onnx_node};

/// The parts of the form: the input, the kernel, and the gradient of the output.
const X: usize = 0;
const W: usize = 1;
const G: usize = 2;

/// The derivative of the form by part `P`, from the other two in their order.
#[derive(Debug)]
struct Derivative<const P: usize>(Conv);

impl<const P: usize> Derivative<P> {
    const INPUTS: [usize; 2] = match P {
        X => [W, G],
        W => [X, G],
        _ => [X, W],
    };

    fn primitive(conv: Conv) -> Primitive {
        match P {
            X => Primitive::ConvTranspose(Box::new(conv)),
            W => Primitive::ConvKernel(Box::new(conv)),
            _ => Primitive::Conv(Box::new(conv)),
        }
    }

    fn dims(&self) -> [usize; 4] {
        match P {
            X => self.0.x_dims(),
            W => self.0.w_dims(),
            _ => self.0.y_dims(),
        }
    }

    /// Uses candle's kernels, which have one stride and one dilation, no padding and, backwards, one group.
    fn by_candle(&self, a: &Array, b: &Array) -> Result<Option<Array>> {
        let conv = &self.0;
        let [high, wide] = &conv.sides;
        let one = (high.stride, high.dilation) == (wide.stride, wide.dilation);
        let empty = a.elem_count() == 0 || b.elem_count() == 0;
        if !one || empty {
            return Ok(None);
        }
        let (mut y, b) = match P {
            G => (a.clone(), contiguous(b)?),
            X if conv.groups == 1 && conv.sides.iter().all(|side| reach(side) > side.padding) => (
                contiguous(b)?.conv_transpose2d(&contiguous(a)?, 0, 0, wide.stride, wide.dilation)?,
                b.clone(),
            ),
            _ => return Ok(None),
        };
        for (axis, side) in [(2, high), (3, wide)] {
            let WindowAxis { input, padding, .. } = *side;
            if P == G {
                // No window reaches what an output padding added.
                let after = reach(side).saturating_sub(input + padding);
                y = y.pad_with_zeros(axis, padding, after)?.narrow(axis, 0, reach(side))?;
            } else {
                let len = input.min(reach(side) - padding);
                y = y.narrow(axis, padding, len)?.pad_with_zeros(axis, 0, input - len)?;
            }
        }
        if P == G {
            y = contiguous(&y)?.conv2d(&b, 0, wide.stride, wide.dilation, conv.groups)?;
        }
        Ok(Some(y))
    }
}

impl<const P: usize> Op<2> for Derivative<P> {
    const NAME: &'static str = match P {
        X => "conv_transpose2d",
        W => "conv_kernel",
        _ => "conv2d",
    };

    fn forward(&self, [a, b]: [&Array; 2], ctx: &mut SaveContext) -> Result<Array> {
        save_factors(ctx);
        if !in_main_memory(a)
            && let Some(result) = self.by_candle(a, b)?
        {
            return Ok(result);
        }
        in_memory([a, b], |[a, b]| {
            with_float!(a.dtype(), T => {
                let (a, b, conv) = (&contiguous(a)?, &contiguous(b)?, self.0);
                let what = (Self::NAME, || Derivative::<P>::primitive(conv));
                launch(what, [a, b], &self.dims(), move |[a, b]| {
                    let (a, b) = (a.elements::<T>(), b.elements());
                    match P {
                        X => kernel::conv_transpose(&conv, a, b, None),
                        W => kernel::conv_kernel(&conv, a, b),
                        _ => kernel::conv(&conv, a, b, None),
                    }
                })
            })
        })
    }

    fn jacobian(&self) -> Jacobian {
        Jacobian::Bilinear
    }

    fn backward(&self, saved: &Saved, grad: &Tensor) -> Result<[Option<Tensor>; 2]> {
        gradients::<P, 2>(self.0, saved, grad)
    }
}

/// The gradients of the first two inputs of a derivative by part `P`.
fn gradients<const P: usize, const N: usize>(
    conv: Conv,
    saved: &Saved,
    grad: &Tensor,
) -> Result<[Option<Tensor>; 2]> {
    let parts = Derivative::<P>::INPUTS;
    let gradient = |i: usize| {
        if !saved.needs_input_grad(i) {
            return Ok(None);
        }
        let other = saved.input(1 - i)?;
        let inputs = if P < parts[1 - i] { [grad, &other] } else { [&other, grad] };
        let gradient = match parts[i] {
            X => Derivative::<X>(conv).apply(inputs),
            W => Derivative::<W>(conv).apply(inputs),
            _ => Derivative::<G>(conv).apply(inputs),
        };
        gradient.map(Some)
    };
    Ok([gradient(0)?, gradient(1)?])
}

/// The convolution of images or sequences with `weight`, or its transpose, plus a bias for each channel.
fn convolve<const D: usize>(
    op: &'static str,
    x: &Tensor,
    weight: &Tensor,
    bias: Option<&Tensor>,
    options: ConvOptions<D>,
    transposed: bool,
) -> Result<Tensor> {
    floats(op, x, weight)?;
    let wrong = |expected: String| Error::shape(op, expected, &[x.dims(), weight.dims()]);
    let lead = x.rank().wrapping_sub(D + 1);
    if lead > 1 || weight.rank() != D + 2 {
        return Err(wrong(format!("an input of rank {} or {} and a weight of rank {}", D + 2, D + 1, D + 2)));
    }
    let batch = if lead == 1 { x.dims()[0] } else { 1 };
    let (channels, weight_dims) = (x.dims()[lead], weight.dims());
    let groups = options.groups;
    if groups == 0 || channels % groups != 0 {
        let expected = format!("a number of groups that divides the {channels} channels of the input");
        return Err(Error::argument(op, expected, groups));
    }
    let (stride, dilation) = (options.stride.both(), options.dilation.both());
    at_least_one(op, "strides", stride)?;
    at_least_one(op, "dilations", dilation)?;
    let extra = options.output_padding.image(0);
    // A sequence is an image of height 1.
    let image = |dims: &[usize]| [if D == 2 { dims[dims.len() - 2] } else { 1 }, dims[dims.len() - 1]];
    let (own, kernel) = (image(x.dims()), image(weight_dims));
    if kernel.contains(&0) {
        return Err(wrong("a kernel with sides of at least 1".into()));
    }
    let padding = options.padding.image(kernel, dilation);
    let zeros = options.padding_mode == Pad::Constant(0.0);
    if options.padding == ConvPadding::Same && (transposed || stride != [1, 1]) {
        let got = if transposed { "Same" } else { "Same with a stride above 1" };
        return Err(Error::argument(
            op,
            "the numbers of padding (Same has one meaning at stride 1 only)",
            got,
        ));
    }

    let (inputs, outputs, sides) = if transposed {
        if !zeros {
            let expected = "zeros as padding (a transposed convolution cuts it off)";
            return Err(Error::argument(op, expected, format!("{:?}", options.padding_mode)));
        }
        if weight_dims[0] != channels {
            return Err(wrong(format!("a weight of shape ({channels}, ..)")));
        }
        if own.contains(&0) {
            return Err(wrong("an input with sides of at least 1".into()));
        }
        if let Some(i) = (0..2).find(|&i| extra[i] > 0 && extra[i] >= stride[i].max(dilation[i])) {
            let expected = "an output padding below the stride or the dilation";
            return Err(Error::argument(op, expected, extra[i]));
        }
        let side = |i| {
            transposed_side(own[i], kernel[i], stride[i], padding[i], dilation[i], extra[i])
                .ok_or_else(|| wrong("an output with sides of at least 1 that fits in memory".into()))
        };
        (weight_dims[1], channels / groups, [side(0)?, side(1)?])
    } else {
        if weight_dims[1] != channels / groups {
            let wanted = weight_dims[1].saturating_mul(groups);
            // Images from files have their channels last.
            let last = x.dims().last() == Some(&wanted);
            let hint = if last { " (is it the last axis? see permute)" } else { "" };
            return Err(wrong(format!("inputs of {wanted} channels for this weight{hint}")));
        }
        if weight_dims[0] % groups != 0 {
            return Err(wrong(format!("a weight whose first axis is a multiple of {groups} groups")));
        }
        if extra != [0, 0] {
            let expected = "no output padding (transposed convolutions have it)";
            return Err(Error::argument(op, expected, format!("{extra:?}")));
        }
        if !zeros {
            let padded = x.pad(&padding[2 - D..], options.padding_mode).map_err(|error| error.context(op))?;
            let bare = ConvOptions { padding: 0.into(), padding_mode: Pad::Constant(0.0), ..options };
            return convolve(op, &padded, weight, bias, bare, transposed);
        }
        padding_fits(op, own, padding)?;
        let side = |i: usize| {
            side(own[i], kernel[i], stride[i], padding[i], dilation[i], false).ok_or_else(|| {
                let spans = span_text::<D>(kernel, dilation);
                wrong(format!("a kernel no larger than the padded input (it spans {spans})"))
            })
        };
        (channels / groups, weight_dims[0] / groups, [side(0)?, side(1)?])
    };
    let conv = Conv { batch, groups, inputs, outputs, sides };
    let (from, to) = if transposed { (conv.y_dims(), conv.x_dims()) } else { (conv.x_dims(), conv.y_dims()) };
    room_for(op, &to)?;

    let mut dims = Dims::from_slice(&to[1 - lead..2]);
    dims.extend_from_slice(&to[4 - D..]);
    let compute = || {
        let (x, weight) = (&reshaped(x, &from)?, &reshaped(weight, &conv.w_dims())?);
        let result = match transposed {
            true => apply_with_bias::<X>(conv, [weight, x], bias)?,
            false => apply_with_bias::<G>(conv, [x, weight], bias)?,
        };
        reshaped(&result, &dims)
    };
    let inputs: Vec<&Tensor> = [x, weight].into_iter().chain(bias).collect();
    traced(&inputs, compute, |onnx| {
        batched::<D>(onnx, |onnx, x| Ok(onnx_node::<D>(&conv, transposed, x, onnx)))
    })
}

impl Tensor {
    /// Computes the convolution of sequences with `weight`; see [`conv2d`](Tensor::conv2d).
    ///
    /// Shapes: (n, c, l) or (c, l), and a weight (o, c / groups, k), give (n, o, l′) or (o, l′) with
    /// l′ = ⌊(l + 2·padding − dilation·(k − 1) − 1) / stride⌋ + 1.
    ///
    /// ```
    /// # use tealight::prelude::*;
    /// let x = Tensor::new(&[[1.0, 2.0, 4.0, 8.0]], &Device::Cpu)?; // (c, l)
    /// let difference = Tensor::new(&[[[-1.0, 1.0]]], &Device::Cpu)?; // (o, c, k)
    /// assert_eq!(x.conv1d(&difference, ConvOptions::new())?.to_vec2::<f64>()?, [[1.0, 2.0, 4.0]]);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    #[doc(alias = "correlate")]
    pub fn conv1d(&self, weight: &Tensor, options: ConvOptions<1>) -> Result<Tensor> {
        convolve("conv1d", self, weight, None, options, false)
    }

    /// Computes the convolution of images with `weight`: yₒₚ = Σ xᵢ,ₚₛ₊ₖ wₒᵢₖ over the input channels i and the elements k
    /// of the kernel, with stride s.
    ///
    /// Shapes: (n, c, h, w) or (c, h, w), and a weight (o, c / groups, kh, kw), give (n, o, h′, w′) or (o, h′, w′) with
    /// h′ = ⌊(h + 2·padding − dilation·(kh − 1) − 1) / stride⌋ + 1, and w′ likewise.
    ///
    /// Gradient: for the images the transposed convolution of g with the weight, for the weight the correlation of the
    /// images with g.
    ///
    /// # Errors
    /// Errors if the ranks, channels or groups do not fit each other, a stride, dilation, side or the number of groups is 0,
    /// or the kernel is longer than the padded input.
    ///
    /// ```
    /// # use tealight::prelude::*;
    /// let x = Tensor::arange(0.0, 16.0, &Device::Cpu)?.reshape((1, 1, 4, 4))?;
    /// let sum = Tensor::ones((1, 1, 2, 2), DType::F64, &Device::Cpu)?;
    /// let y = x.conv2d(&sum, ConvOptions::new().stride(2))?;
    /// assert_eq!(y.i((0, 0))?.to_vec2::<f64>()?, [[10.0, 18.0], [42.0, 50.0]]);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn conv2d(&self, weight: &Tensor, options: ConvOptions<2>) -> Result<Tensor> {
        convolve("conv2d", self, weight, None, options, false)
    }

    /// Computes the transposed convolution of sequences with `weight`; see [`conv_transpose2d`](Tensor::conv_transpose2d).
    ///
    /// Shapes: (n, c, l) or (c, l), and a weight (c, o / groups, k), give (n, o, l′) or (o, l′) with
    /// l′ = (l − 1)·stride − 2·padding + dilation·(k − 1) + output padding + 1.
    ///
    /// ```
    /// # use tealight::prelude::*;
    /// let x = Tensor::new(&[[1.0, 2.0]], &Device::Cpu)?; // (c, l)
    /// let weight = Tensor::new(&[[[1.0, 1.0, 0.5]]], &Device::Cpu)?; // (c, o, k)
    /// let y = x.conv_transpose1d(&weight, ConvOptions::new().stride(2))?;
    /// assert_eq!(y.to_vec2::<f64>()?, [[1.0, 1.0, 2.5, 2.0, 1.0]]);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    #[doc(alias = "deconvolution")]
    pub fn conv_transpose1d(&self, weight: &Tensor, options: ConvOptions<1>) -> Result<Tensor> {
        convolve("conv_transpose1d", self, weight, None, options, true)
    }

    /// Computes the transposed convolution of images with `weight`: each input element adds a multiple of the kernel to the
    /// output. It is the gradient of [`conv2d`](Tensor::conv2d) by its images.
    ///
    /// Shapes: (n, c, h, w) or (c, h, w), and a weight (c, o / groups, kh, kw), give (n, o, h′, w′) or (o, h′, w′) with
    /// h′ = (h − 1)·stride − 2·padding + dilation·(kh − 1) + output padding + 1, and w′ likewise.
    ///
    /// Gradient: for the images the convolution of g with the weight, for the weight the correlation of g with the images.
    ///
    /// # Errors
    /// Errors as for [`conv2d`](Tensor::conv2d), or if the output padding is not below the stride or the dilation, or the
    /// output has a side below 1.
    #[doc(alias = "deconvolution")]
    pub fn conv_transpose2d(&self, weight: &Tensor, options: ConvOptions<2>) -> Result<Tensor> {
        convolve("conv_transpose2d", self, weight, None, options, true)
    }
}

#[cfg(test)]
mod tests;

#[cfg(test)]
mod gradients {
    use super::tests::{numbers, options};
    use crate::prelude::*;

    #[test]
    fn of_any_stride_padding_dilation_and_groups() -> Result<()> {
        let strided = numbers(&[3, 4, 2, 2]).permute(&[3, 2, 1, 0])?; // (2, 2, 4, 3)
        let repeated = numbers(&[2, 1, 2, 1]).broadcast_to((2, 2, 2, 2))?;
        let (one, most) = (ConvOptions::new(), options([2, 3], [1, 0], [1, 2], 1));
        let three = options([1, 2], [0, 1], [3, 1], 2).output_padding([2, 1]);
        // Strides that leave a row over, sides that differ, kernels that are no squares.
        for (transposed, x, w, own) in [
            (false, numbers(&[1, 2, 3, 4]), numbers(&[2, 2, 2, 2]), one),
            (false, numbers(&[2, 1, 4, 5]), numbers(&[1, 1, 1, 3]), options([2, 1], [0, 1], [1, 1], 1)),
            (false, strided.clone(), repeated.clone(), options([2, 2], [1, 1], [1, 2], 1)),
            (false, strided.clone(), numbers(&[2, 1, 2, 1]), options([3, 1], [0, 0], [2, 1], 2)),
            (false, numbers(&[2, 2, 2, 3]), numbers(&[2, 2, 1, 1]), one),
            (true, numbers(&[1, 2, 2, 3]), numbers(&[2, 1, 2, 2]), one),
            (true, strided.i((.., .., ..2, ..2))?, repeated, most.output_padding([0, 1])),
            (true, numbers(&[2, 2, 2, 2]), numbers(&[2, 2, 1, 2]), three),
        ] {
            let f = |x: &[Tensor]| match transposed {
                false => x[0].conv2d(&x[1], own),
                true => x[0].conv_transpose2d(&x[1], own),
            };
            autograd::gradcheck(f, &[x.clone(), w.clone()])?;
            autograd::gradcheck(|x| f(x)?.powf(3.0), &[x, w])?;
        }
        let own = ConvOptions::new().stride(2).padding(1);
        let inputs = [numbers(&[2, 2, 4]), numbers(&[2, 2, 3]).transpose(0, 1)?];
        autograd::gradcheck(|x| x[0].conv1d(&x[1], own)?.powf(3.0), &inputs)?;
        autograd::gradcheck(|x| x[0].conv_transpose1d(&x[1], own)?.powf(3.0), &inputs)?;
        Ok(())
    }
}
