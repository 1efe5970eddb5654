//! What an operation saves for its backward pass.

use std::sync::Arc;

use smallvec::SmallVec;

use super::launch::{self, Mark, Operand};
use super::node::{BackwardRule, Call, Node, Shared, attach, needs_grad};
use super::{Array, Tensor, mode};
use crate::error::Result;

/// The arrays that a node holds.
#[derive(Debug, Default)]
pub(super) struct SavedArrays {
    /// `None` for an input that was not saved; empty if none was.
    pub(super) inputs: SmallVec<[Option<Array>; 3]>,
    pub(super) output: Option<Array>,
    pub(super) others: SmallVec<[Array; 1]>,
}

/// Passed to [`Op::forward`](super::Op::forward), which saves in it what the backward pass needs. Nothing else is kept
/// in memory.
///
/// ```
/// # use tealight::prelude::*;
/// # #[derive(Debug)]
/// # struct MyExp;
/// # impl Op<1> for MyExp {
/// #     const NAME: &'static str = "my_exp";
/// fn forward(&self, [x]: [&Array; 1], ctx: &mut SaveContext) -> Result<Array> {
///     ctx.save_output(); // the derivative of eˣ is eˣ: x is not needed
///     Ok(x.exp()?)
/// }
/// #     fn backward(&self, saved: &Saved, grad: &Tensor) -> Result<[Option<Tensor>; 1]> {
/// #         Ok([Some((grad * saved.output()?)?)])
/// #     }
/// # }
/// # autograd::gradcheck(|x| MyExp.apply([&x[0]]), &[Tensor::new(&[0.5, 2.0], &Device::Cpu)?])?;
/// # Ok::<(), tealight::Error>(())
/// ```
#[derive(Debug)]
#[doc(alias = "save_for_backward")]
pub struct SaveContext<'a> {
    inputs: &'a [&'a Tensor],
    recording: bool,
    saves_output: bool,
    saved_arrays: SavedArrays,
}

impl<'a> SaveContext<'a> {
    pub(super) fn new(inputs: &'a [&'a Tensor]) -> Self {
        let (recording, saved_arrays) = (needs_grad(inputs), SavedArrays::default());
        SaveContext { inputs, recording, saves_output: false, saved_arrays }
    }

    /// The result of the operation, with a node if it is recorded; `rule` is only called then.
    pub(super) fn record<R: BackwardRule + 'static>(self, output: Array, rule: impl FnOnce() -> R) -> Tensor {
        if !self.recording {
            return Tensor::constant(output);
        }
        let mut saved_arrays = self.saved_arrays;
        if self.saves_output {
            saved_arrays.output = Some(output.clone());
        }
        let edges = self.inputs.iter().map(|input| input.node.clone()).collect();
        attach(Node::new(rule(), &output, edges, saved_arrays), output)
    }

    /// Whether a program has to call the operation as a whole.
    pub(super) fn is_opaque(&self, output: &Array) -> bool {
        launch::is_opaque(self.inputs, output, &self.saved_arrays.others)
    }

    /// [`record`](Self::record) for an operation that a program calls as a whole.
    pub(super) fn record_opaque(self, mark: Mark, output: Array, rule: Arc<dyn BackwardRule>) -> Tensor {
        launch::record_opaque(mark, &rule, self.inputs, &output, &self.saved_arrays.others);
        self.record(output, || Shared(rule))
    }

    /// Whether the operation is recorded: false under [`no_grad`](super::no_grad) and if no input needs a gradient.
    /// Then nothing is saved.
    pub fn recording(&self) -> bool {
        self.recording
    }

    /// Whether input `i` needs a gradient. What only its gradient reads need not be saved otherwise.
    pub fn needs_input_grad(&self, i: usize) -> bool {
        self.recording && self.inputs.get(i).is_some_and(|input| input.requires_grad())
    }

    /// Saves input `i`, for [`Saved::input`].
    pub fn save_input(&mut self, i: usize) {
        // An input that does not exist is reported by `Saved::input`.
        if let (true, Some(input)) = (self.recording, self.inputs.get(i)) {
            self.saved_arrays.inputs.resize(self.inputs.len(), None);
            self.saved_arrays.inputs[i] = Some(input.array().clone());
        }
    }

    /// Saves the output, for [`Saved::output`].
    pub fn save_output(&mut self) {
        self.saves_output = true;
    }

    /// Saves another array, such as a mask, indices or a statistic, for [`Saved::array`].
    pub fn save(&mut self, array: Array) {
        if self.recording {
            self.saved_arrays.others.push(array);
        }
    }
}

/// The output of a forward pass, and what it saves besides inputs and output.
pub(super) fn with_inputs(
    inputs: &[Operand<'_>],
    wanted: &[bool],
    forward: impl FnOnce(&[&Array], &mut SaveContext) -> Result<Array>,
) -> Result<Vec<Array>> {
    let leaf = |(x, &wanted): (&Operand<'_>, &bool)| {
        let x = x.to_array()?;
        Ok(if wanted { Tensor::parameter(x) } else { Tensor::constant(x) })
    };
    let tensors = inputs.iter().zip(wanted).map(leaf).collect::<Result<Vec<Tensor>>>()?;
    let tensors: Vec<&Tensor> = tensors.iter().collect();
    let mut ctx = mode::with_recording(true, || SaveContext::new(&tensors));
    let arrays: Vec<&Array> = tensors.iter().map(|x| x.array()).collect();
    let output = forward(&arrays, &mut ctx)?;
    Ok([output].into_iter().chain(ctx.saved_arrays.others).collect())
}

/// What [`Op::forward`](super::Op::forward) saved, for [`Op::backward`](super::Op::backward).
///
/// ```
/// # use tealight::prelude::*;
/// # #[derive(Debug)]
/// # struct Product;
/// # impl Op<2> for Product {
/// #     const NAME: &'static str = "product";
/// #     fn forward(&self, [a, b]: [&Array; 2], ctx: &mut SaveContext) -> Result<Array> {
/// #         ctx.save_input(0);
/// #         ctx.save_input(1);
/// #         Ok((a * b)?)
/// #     }
/// fn backward(&self, saved: &Saved, grad: &Tensor) -> Result<[Option<Tensor>; 2]> {
///     Ok([Some((grad * saved.input(1)?)?), Some((grad * saved.input(0)?)?)])
/// }
/// # }
/// # let x = [Tensor::new(&[0.5, 2.0], &Device::Cpu)?, Tensor::new(&[3.0, -1.0], &Device::Cpu)?];
/// # autograd::gradcheck(|x| Product.apply([&x[0], &x[1]]), &x)?;
/// # Ok::<(), tealight::Error>(())
/// ```
#[doc(alias = "saved_tensors")]
pub struct Saved<'a> {
    pub(crate) call: &'a Call<'a>,
}

impl Saved<'_> {
    /// Input `i`. It has its history, so that what is computed from it can be differentiated again.
    ///
    /// # Errors
    /// Errors if `forward` did not save it.
    pub fn input(&self, i: usize) -> Result<Tensor> {
        self.call.input_with_history(i)
    }

    /// The output, with its history.
    ///
    /// # Errors
    /// Errors if `forward` did not save it.
    pub fn output(&self) -> Result<Tensor> {
        self.call.output_with_history()
    }

    /// The `i`-th array given to [`SaveContext::save`].
    ///
    /// # Errors
    /// Errors if there is none.
    pub fn array(&self, i: usize) -> Result<&Array> {
        self.call.extra(i)
    }

    /// The number of inputs.
    pub fn input_count(&self) -> usize {
        self.call.input_count()
    }

    /// The shape of input `i`, whether it was saved or not.
    ///
    /// # Errors
    /// Errors if input `i` is a constant, whose gradient is not needed.
    pub fn input_dims(&self, i: usize) -> Result<&[usize]> {
        self.call.known_dims(i)
    }

    /// Whether the gradient of input `i` is needed; if not, return `None` for it.
    pub fn needs_input_grad(&self, i: usize) -> bool {
        self.call.wants(i)
    }

    /// Whether this backward pass is itself recorded. If not, a fused kernel may compute the gradient.
    pub fn recording(&self) -> bool {
        self.call.recording()
    }
}

#[cfg(test)]
mod tests {
    use crate::prelude::*;

    /// The identity, which saves nothing and reads what `reads` says.
    #[derive(Debug)]
    struct Forgetful {
        reads: &'static str,
    }

    impl Op<1> for Forgetful {
        const NAME: &'static str = "forgetful";
        fn forward(&self, [x]: [&Array; 1], ctx: &mut SaveContext) -> Result<Array> {
            ctx.save_input(1);
            Ok(x.clone())
        }
        fn backward(&self, saved: &Saved, grad: &Tensor) -> Result<[Option<Tensor>; 1]> {
            match self.reads {
                "input" => saved.input(0).map(|_| ())?,
                "input 1" => saved.input(1).map(|_| ())?,
                "output" => saved.output().map(|_| ())?,
                _ => saved.array(0).map(|_| ())?,
            }
            Ok([Some(grad.clone())])
        }
    }

    #[test]
    fn reading_what_was_not_saved_is_an_error() -> Result<()> {
        let x = Tensor::parameter(Array::new(3.0, &Device::Cpu)?);
        for (reads, what) in
            [("input", "input 0"), ("input 1", "input 1"), ("output", "the output"), ("array", "array 0")]
        {
            let error = Forgetful { reads }.apply([&x])?.backward().unwrap_err();
            let expected = format!("forgetful: backward reads {what}, which forward did not save");
            assert_eq!(error.to_string(), expected);
        }
        Ok(())
    }

    /// Zeros, and whether each input needs a gradient.
    #[derive(Debug)]
    struct Needs;

    impl Op<2> for Needs {
        const NAME: &'static str = "needs";
        fn forward(&self, [a, _]: [&Array; 2], ctx: &mut SaveContext) -> Result<Array> {
            let needs = [ctx.recording(), ctx.needs_input_grad(0), ctx.needs_input_grad(1)];
            Ok(Array::new(&needs.map(u8::from), a.device())?)
        }
        fn backward(&self, saved: &Saved, grad: &Tensor) -> Result<[Option<Tensor>; 2]> {
            assert_eq!(saved.input_count(), 2);
            assert!(saved.input_dims(1).is_err());
            let grad = (grad.to_dtype(DType::F64)? * if saved.recording() { 1.0 } else { 0.0 })?.sum_all()?;
            Ok([0, 1].map(|i| saved.needs_input_grad(i).then(|| grad.clone())))
        }
    }

    #[test]
    fn what_is_needed_is_known_in_both_passes() -> Result<()> {
        let x = Tensor::parameter(Array::new(3.0, &Device::Cpu)?);
        let y = Needs.apply([&x, &x.detach()])?;
        assert_eq!(y.to_vec1::<u8>()?, [1, 1, 0]);
        assert_eq!(no_grad(|| Needs.apply([&x, &x]))?.to_vec1::<u8>()?, [0; 3]);
        let ones = Tensor::constant(y.array().ones_like()?);
        let [recorded] = autograd::vjp(&y, [&x], &ones)?;
        assert_eq!(recorded.to_scalar::<f64>()?, 3.0);
        let gradients = y.backward_from(&ones)?;
        assert_eq!((gradients.len(), gradients.get(&x).unwrap().to_scalar::<f64>()?), (1, 0.0));
        Ok(())
    }
}
