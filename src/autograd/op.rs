//! [`Op`]: what to implement when no formula fits.

use std::fmt::Debug;

use super::node::{BackwardRule, Call, Grads, needs_grad, record};
use super::onnx::{Onnx, OnnxValue};
use super::saved::{SaveContext, Saved};
use super::{Array, Tensor, mode, trace};
use crate::error::Result;

/// A differentiable operation of N tensors.
///
/// `forward` computes with plain arrays on any device and says what to keep; `backward` is written in tensor
/// operations, which makes it differentiable in its turn. A gradient may have any shape that the output has: the graph
/// sums it to the shape of the input, so broadcasting is none of an operation's business.
///
/// An operation with several results returns them side by side in one array, and [`i`](Tensor::i) or
/// [`narrow`](Tensor::narrow) takes them apart: their gradients come back in one piece.
///
/// ```
/// use tealight::prelude::*;
///
/// /// The cube of a tensor.
/// #[derive(Debug)]
/// struct Cube;
/// impl Op<1> for Cube {
///     const NAME: &'static str = "cube";
///     fn forward(&self, [x]: [&Array; 1], ctx: &mut SaveContext) -> Result<Array> {
///         ctx.save_input(0);
///         Ok((x.sqr()? * x)?)
///     }
///     fn backward(&self, saved: &Saved<1>, grad: &Tensor) -> Result<[Option<Tensor>; 1]> {
///         let x = saved.input(0)?;
///         Ok([Some((grad * (x.sqr()? * 3.0))?)])
///     }
/// }
///
/// let x = Tensor::parameter(Tensor::new(2.0, &Device::Cpu)?.into_array());
/// let [first] = autograd::grad(&Cube.apply([&x])?, [&x])?;
/// let [second] = autograd::grad(&first, [&x])?;
/// assert_eq!((first.to_scalar::<f64>()?, second.to_scalar::<f64>()?), (12.0, 12.0));
/// # Ok::<(), tealight::Error>(())
/// ```
#[doc(alias = "Function")]
pub trait Op<const N: usize>: Debug + Send + Sync + 'static {
    /// The name in error messages and graphs.
    const NAME: &'static str;

    /// Computes the output from the inputs, and tells `keep` what `backward` will want.
    ///
    /// # Errors
    /// Whatever the operation refuses: see [`Error`](crate::Error).
    fn forward(&self, inputs: [&Array; N], ctx: &mut SaveContext) -> Result<Array>;

    /// The gradient of each input from `grad`, the gradient of the output.
    ///
    /// `None` is for an input nobody waits for (`saved.needs_input_grad(i)` is false), or whose gradient is zero everywhere.
    ///
    /// # Errors
    /// [`Error::NoGradient`](crate::Error::NoGradient) if there is no gradient to give.
    fn backward(&self, saved: &Saved<N>, grad: &Tensor) -> Result<[Option<Tensor>; N]>;

    /// The derivative as a formula, for [`Tensor::graph`]; `None` where there is no short one.
    ///
    /// ```
    #[doc = own!(begin 1)]
    #[doc = own!(forward)]
    #[doc = own!(backward 1)]
    ///     fn derivative(&self) -> Option<String> { Some("1".into()) }
    /// }
    /// let x = Tensor::parameter(Tensor::new(3.0, &Device::Cpu)?.into_array());
    /// assert_eq!(Own.apply([&x])?.graph().to_string(), "0: parameter []\n1: own(0) []  ∂ 1\n");
    /// # Ok::<(), tealight::Error>(())
    /// ```
    fn derivative(&self) -> Option<String> {
        None
    }

    /// The operation as nodes of an ONNX graph, for [`io::export_onnx`](crate::io::export_onnx).
    ///
    /// # Errors
    /// An operation without an ONNX form, which it is unless it has this method.
    fn onnx(&self, onnx: &mut Onnx) -> Result<OnnxValue> {
        Err(onnx.no_form(Self::NAME))
    }

    /// Runs the operation, and records it if an input needs a gradient.
    ///
    /// ```
    #[doc = own!(begin 1)]
    #[doc = own!(backward 1)]
    ///     fn forward(&self, [x]: [&Array; 1], _: &mut Keep) -> Result<Array> { Ok(x.sqr()?) }
    /// }
    /// let x = Tensor::parameter(Tensor::new(3.0, &Device::Cpu)?.into_array());
    /// let y = Own.apply([&x])?;
    /// assert_eq!((y.to_scalar::<f64>()?, y.op_name()), (9.0, Some("own")));
    /// assert!(!Own.apply([&x.detach()])?.requires_grad());
    /// # Ok::<(), tealight::Error>(())
    /// ```
    ///
    /// # Errors
    /// Those of `forward`.
    fn apply(self, inputs: [&Tensor; N]) -> Result<Tensor>
    where
        Self: Sized,
    {
        const { assert!(N <= 32, "an operation takes at most 32 inputs") };
        let mut ctx = SaveContext::new(wanted(&inputs));
        let output = self.forward(inputs.map(Tensor::array), &mut ctx)?;
        if mode::watched() != 0 {
            trace::watch(Self::NAME, &inputs, &output, &mut |onnx| self.onnx(onnx))?;
        }
        if !ctx.recording() {
            return Ok(Tensor::constant(output));
        }
        let saved_arrays = ctx.into_saved(&inputs, &output);
        Ok(record(&inputs, output, saved_arrays, || Fixed::<Self, N>(self)))
    }
}

/// Which inputs' gradients will be wanted, as bits.
fn wanted(inputs: &[&Tensor]) -> u32 {
    if !needs_grad(inputs) {
        return 0;
    }
    inputs.iter().enumerate().map(|(i, input)| u32::from(input.requires_grad()) << i).sum()
}

/// An [`Op`] of N inputs as a rule of a node.
#[derive(Debug)]
struct Fixed<O, const N: usize>(O);

impl<O: Op<N>, const N: usize> BackwardRule for Fixed<O, N> {
    fn name(&self) -> &'static str {
        O::NAME
    }

    fn backward(&self, call: &Call, grad: &Tensor) -> Result<Grads> {
        Ok(self.0.backward(&Saved { call }, grad)?.into_iter().collect())
    }

    fn derivative(&self) -> Option<String> {
        self.0.derivative()
    }
}
