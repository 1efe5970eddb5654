//! [`Op`] and [`VariadicOp`]: custom differentiable operations.

use std::fmt::Debug;
use std::sync::Arc;

use super::launch::{self, Operand};
use super::node::{BackwardRule, Call, InputGrads};
use super::onnx::{Onnx, OnnxValue};
use super::saved::{SaveContext, Saved, with_inputs};
use super::{Array, Tensor, mode, trace};
use crate::error::{Error, Result};
use crate::formula::Tape;

/// What the Jacobian of an operation is like: how forward mode ([`jvp`](super::jvp)) pushes tangents through it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Jacobian {
    /// Nothing is known. The tangent is found by differentiating `backward`, which takes two backward passes through the operation.
    General,
    /// The operation is linear in all its inputs together: it is applied to the tangents.
    Linear,
    /// The operation of two inputs is linear in each: it is applied to one tangent and the other input, which `forward` saves.
    Bilinear,
    /// Each element of the output depends on the elements at its place in the inputs alone, after broadcasting: `backward` is its own
    /// transpose.
    Diagonal,
    /// The output has the shape of each input, and the Jacobian is symmetric: `backward` is its own transpose.
    Symmetric,
}

/// Applies a formula that is given as a tape.
pub(crate) type ApplyTape = fn(Tape, &[&Tensor]) -> Result<Tensor>;

/// A differentiable operation on N tensors.
///
/// `forward` computes with plain arrays, on any device. `backward` is written in tensor operations, so it can be
/// differentiated again. Broadcasting needs no code: a gradient of the output's shape is summed to the input's shape.
/// An operation with several outputs returns them joined in one array; split the result with [`narrow`](Tensor::narrow).
/// [`VariadicOp`] is the same for a number of inputs known only at run time.
///
/// ```
/// # use tealight::prelude::*;
/// /// x³
/// #[derive(Debug)]
/// struct Cube;
/// impl Op<1> for Cube {
///     const NAME: &'static str = "cube";
///     fn forward(&self, [x]: [&Array; 1], ctx: &mut SaveContext) -> Result<Array> {
///         ctx.save_input(0);
///         Ok((x.sqr()? * x)?)
///     }
///     fn backward(&self, saved: &Saved, grad: &Tensor) -> Result<[Option<Tensor>; 1]> {
///         let x = saved.input(0)?;
///         Ok([Some((grad * (x.sqr()? * 3.0))?)])
///     }
/// }
///
/// let x = Tensor::parameter(Tensor::new(2.0, &Device::Cpu)?);
/// let [first] = autograd::grad(&Cube.apply([&x])?, [&x])?;
/// let [second] = autograd::grad(&first, [&x])?;
/// assert_eq!((first.to_scalar::<f64>()?, second.to_scalar::<f64>()?), (12.0, 12.0));
/// # Ok::<(), tealight::Error>(())
/// ```
#[doc(alias = "Function")]
pub trait Op<const N: usize>: Debug + Send + Sync + 'static {
    /// The name in error messages and graphs.
    const NAME: &'static str;

    /// Computes the output, and saves in `ctx` what `backward` needs.
    ///
    /// # Errors
    /// Invalid inputs; [`Error`] has constructors such as [`Error::shape`].
    fn forward(&self, inputs: [&Array; N], ctx: &mut SaveContext) -> Result<Array>;

    /// The gradient of each input, from `grad`, the gradient of the output.
    ///
    /// `None` means that the gradient is zero, or not needed ([`Saved::needs_input_grad`] is false).
    ///
    /// # Errors
    /// [`Error::NoGradient`] if the operation has no gradient.
    fn backward(&self, saved: &Saved, grad: &Tensor) -> Result<[Option<Tensor>; N]>;

    /// What the Jacobian is like, for forward mode. Default: [`Jacobian::General`].
    fn jacobian(&self) -> Jacobian {
        Jacobian::General
    }

    /// The tangent of the output, in its shape, from those of the inputs (`None`: zero), for forward mode. Default: `None`, found as
    /// [`jacobian`](Self::jacobian) says.
    ///
    /// As `backward` it is written in tensor operations on what `forward` saved. [`Saved::needs_input_grad`] says which tangents are given;
    /// `forward` was told the same or more.
    ///
    /// # Errors
    /// [`Error::NoGradient`] if the operation has no derivative.
    fn jvp(&self, saved: &Saved, tangents: [Option<&Tensor>; N]) -> Result<Option<Tensor>> {
        let _ = (saved, tangents);
        Ok(None)
    }

    /// Whether a matrix as the first input is changed row by row, however many rows there are: forward mode then pushes the tangents of all
    /// directions at once, by [`jvp`](Self::jvp) or, if [`jacobian`](Self::jacobian) is bilinear, by `forward`.
    #[doc(hidden)]
    fn by_rows(&self) -> bool {
        false
    }

    /// The first and the second derivative of a formula of one input, from the input and the output; `None` if they are found by
    /// differentiating `backward`. And what applies a formula of one to three inputs that is given as a tape.
    #[doc(hidden)]
    fn slopes(&self) -> Option<([Tape; 2], ApplyTape)> {
        None
    }

    /// The derivative as a formula, shown by [`Tensor::graph`]. Default: none.
    fn derivative(&self) -> Option<String> {
        None
    }

    /// Writes the operation as ONNX nodes, for [`io::export_onnx`](crate::io::export_onnx). Default: an error.
    ///
    /// # Errors
    /// Errors if the operation, or this use of it, has no ONNX form.
    fn onnx(&self, onnx: &mut Onnx) -> Result<OnnxValue> {
        Err(onnx.no_form(Self::NAME))
    }

    /// Runs the operation, and records it if an input needs a gradient.
    ///
    /// # Errors
    /// Those of `forward`.
    fn apply(self, inputs: [&Tensor; N]) -> Result<Tensor>
    where
        Self: Sized,
    {
        let (mut ctx, mark) = (SaveContext::new(&inputs), launch::mark());
        let output = self.forward(inputs.map(Tensor::array), &mut ctx)?;
        if mode::observed() {
            trace::observe(Self::NAME, &inputs, &output, &mut |onnx| self.onnx(onnx))?;
            if ctx.is_opaque(&output) {
                return Ok(ctx.record_opaque(mark, output, Arc::new(Fixed::<Self, N>(self))));
            }
        }
        Ok(ctx.record(output, || Fixed::<Self, N>(self)))
    }
}

/// A differentiable operation on any number of tensors. See [`Op`], which this follows.
///
/// ```
/// # use tealight::prelude::*;
/// # use tealight::autograd::VariadicOp;
/// /// x₁ + x₂ + …
/// #[derive(Debug)]
/// struct Total;
/// impl VariadicOp for Total {
///     fn name(&self) -> &'static str { "total" }
///     fn forward(&self, inputs: &[&Array], _: &mut SaveContext) -> Result<Array> {
///         Ok(Array::stack(inputs, 0)?.sum(0)?)
///     }
///     fn backward(&self, saved: &Saved, grad: &Tensor) -> Result<Vec<Option<Tensor>>> {
///         Ok(vec![Some(grad.clone()); saved.input_count()])
///     }
/// }
///
/// let xs = [1.0, 2.0, 3.0].map(|x| Tensor::parameter(Array::new(x, &Device::Cpu).unwrap()));
/// let y = Total.apply(&xs.each_ref())?;
/// assert_eq!((y.to_scalar::<f64>()?, y.backward()?.len()), (6.0, 3));
/// # Ok::<(), tealight::Error>(())
/// ```
pub trait VariadicOp: Debug + Send + Sync + 'static {
    /// The name in error messages and graphs.
    fn name(&self) -> &'static str;

    /// Computes the output, and saves in `ctx` what `backward` needs.
    ///
    /// # Errors
    /// Invalid inputs.
    fn forward(&self, inputs: &[&Array], ctx: &mut SaveContext) -> Result<Array>;

    /// The gradient of each input, from `grad`, the gradient of the output. `None` means zero, or not needed.
    ///
    /// # Errors
    /// [`Error::NoGradient`] if the operation has no gradient.
    fn backward(&self, saved: &Saved, grad: &Tensor) -> Result<Vec<Option<Tensor>>>;

    /// What the Jacobian is like, for forward mode. Default: [`Jacobian::General`].
    fn jacobian(&self) -> Jacobian {
        Jacobian::General
    }

    /// The tangent of the output, in its shape, from those of the inputs (`None`: zero), for forward mode. Default: `None`, found as
    /// [`jacobian`](Self::jacobian) says.
    ///
    /// As `backward` it is written in tensor operations on what `forward` saved. [`Saved::needs_input_grad`] says which tangents are given;
    /// `forward` was told the same or more.
    ///
    /// # Errors
    /// [`Error::NoGradient`] if the operation has no derivative.
    fn jvp(&self, saved: &Saved, tangents: &[Option<&Tensor>]) -> Result<Option<Tensor>> {
        let _ = (saved, tangents);
        Ok(None)
    }

    /// The derivative as a formula, shown by [`Tensor::graph`]. Default: none.
    fn derivative(&self) -> Option<String> {
        None
    }

    /// Writes the operation as ONNX nodes, for [`io::export_onnx`](crate::io::export_onnx). Default: an error.
    ///
    /// # Errors
    /// Errors if the operation, or this use of it, has no ONNX form.
    fn onnx(&self, onnx: &mut Onnx) -> Result<OnnxValue> {
        Err(onnx.no_form(self.name()))
    }

    /// Runs the operation, and records it if an input needs a gradient.
    ///
    /// # Errors
    /// Those of `forward`.
    fn apply(self, inputs: &[&Tensor]) -> Result<Tensor>
    where
        Self: Sized,
    {
        let (mut ctx, mark) = (SaveContext::new(inputs), launch::mark());
        let arrays: Vec<&Array> = inputs.iter().map(|x| x.array()).collect();
        let output = self.forward(&arrays, &mut ctx)?;
        if mode::observed() {
            trace::observe(self.name(), inputs, &output, &mut |onnx| self.onnx(onnx))?;
            if ctx.is_opaque(&output) {
                return Ok(ctx.record_opaque(mark, output, Arc::new(Variadic(self))));
            }
        }
        Ok(ctx.record(output, || Variadic(self)))
    }
}

/// An [`Op`] as the rule of a node.
#[derive(Debug)]
struct Fixed<O, const N: usize>(O);

impl<O: Op<N>, const N: usize> BackwardRule for Fixed<O, N> {
    fn name(&self) -> &'static str {
        O::NAME
    }

    fn backward(&self, call: &Call, grad: &Tensor) -> Result<InputGrads> {
        Ok(self.0.backward(&Saved { call }, grad)?.into_iter().collect())
    }

    fn derivative(&self) -> Option<String> {
        self.0.derivative()
    }

    fn forward(&self, inputs: &[Operand<'_>], wanted: &[bool]) -> Result<Vec<Array>> {
        with_inputs(inputs, wanted, |arrays, ctx| {
            let arrays = arrays.try_into().expect("a program calls an op with the inputs that it recorded");
            self.0.forward(arrays, ctx)
        })
    }

    fn jacobian(&self) -> Jacobian {
        self.0.jacobian()
    }

    fn jvp(&self, call: &Call, tangents: &[Option<&Tensor>]) -> Result<Option<Tensor>> {
        self.0.jvp(&Saved { call }, tangents.try_into().expect("one tangent for each input"))
    }

    fn by_rows(&self) -> bool {
        self.0.by_rows()
    }

    fn slopes(&self) -> Option<([Tape; 2], ApplyTape)> {
        self.0.slopes()
    }

    fn run(&self, inputs: &[&Array], ctx: &mut SaveContext) -> Result<Array> {
        self.0.forward(inputs.try_into().expect("as many inputs as before"), ctx)
    }
}

/// A [`VariadicOp`] as the rule of a node.
#[derive(Debug)]
struct Variadic<O>(O);

impl<O: VariadicOp> BackwardRule for Variadic<O> {
    fn name(&self) -> &'static str {
        self.0.name()
    }

    fn backward(&self, call: &Call, grad: &Tensor) -> Result<InputGrads> {
        let grads = self.0.backward(&Saved { call }, grad)?;
        if grads.len() != call.input_count() {
            let reason =
                format!("backward returned {} gradients for {} inputs", grads.len(), call.input_count());
            return Err(Error::no_gradient(self.name(), reason));
        }
        Ok(grads.into())
    }

    fn derivative(&self) -> Option<String> {
        self.0.derivative()
    }

    fn forward(&self, inputs: &[Operand<'_>], wanted: &[bool]) -> Result<Vec<Array>> {
        with_inputs(inputs, wanted, |arrays, ctx| self.0.forward(arrays, ctx))
    }

    fn jacobian(&self) -> Jacobian {
        self.0.jacobian()
    }

    fn jvp(&self, call: &Call, tangents: &[Option<&Tensor>]) -> Result<Option<Tensor>> {
        self.0.jvp(&Saved { call }, tangents)
    }

    fn run(&self, inputs: &[&Array], ctx: &mut SaveContext) -> Result<Array> {
        self.0.forward(inputs, ctx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prelude::*;

    /// Σ i·xᵢ, with every input saved.
    #[derive(Debug)]
    struct Weighted {
        returned: usize,
    }

    impl VariadicOp for Weighted {
        fn name(&self) -> &'static str {
            "weighted"
        }

        fn forward(&self, inputs: &[&Array], ctx: &mut SaveContext) -> Result<Array> {
            let mut sum = inputs[0].zeros_like()?;
            for (i, x) in inputs.iter().enumerate() {
                ctx.save_input(i);
                sum = (sum + (*x * i as f64)?)?;
            }
            Ok(sum)
        }

        fn backward(&self, saved: &Saved, grad: &Tensor) -> Result<Vec<Option<Tensor>>> {
            let wanted = |i: usize| saved.needs_input_grad(i).then(|| grad * i as f64).transpose();
            (0..self.returned).map(wanted).collect()
        }
    }

    #[test]
    fn more_inputs_than_bits_in_a_word() -> Result<()> {
        let xs: Vec<Tensor> = (0..100)
            .map(|i| Ok(Tensor::parameter(Array::new(i as f64, &Device::Cpu)?)))
            .collect::<Result<_>>()?;
        let all: Vec<&Tensor> = xs.iter().collect();
        let gradients = Weighted { returned: 100 }.apply(&all)?.backward()?;
        assert_eq!(gradients.get(&xs[99]).unwrap().to_scalar::<f64>()?, 99.0);
        let constant = xs[1].detach();
        let gradients = Weighted { returned: 2 }.apply(&[&xs[0], &constant])?.backward()?;
        assert_eq!(gradients.len(), 1);
        let error = Weighted { returned: 1 }.apply(&[&xs[0], &xs[1]])?.backward().unwrap_err();
        assert_eq!(error.to_string(), "weighted: backward returned 1 gradients for 2 inputs");
        assert!(!Weighted { returned: 0 }.apply(&[&constant])?.requires_grad());
        Ok(())
    }
}
