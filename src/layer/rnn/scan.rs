//! All steps of a cell in one operation, or one after the other in operations.

use std::sync::Arc;

use super::{RecurrentCell, RecurrentMap, steps};
use crate::autograd::array::{contiguous, fits, on_cpu, with_float};
use crate::autograd::launch::{Kernel, Operand, Outputs, launch_borrowed, wants_steps};
use crate::autograd::{Array, Element, SaveContext, Saved, Tensor, VariadicOp, is_traced, partial_vjp};
use crate::error::{Error, Result};
use crate::kernel::recurrent::{self, Scan};
use candle_core::CpuStorage;

/// What a scan reads besides W·x + b of all steps.
pub(super) struct Recurrence<const S: usize> {
    /// W_h, (gates · hidden, hidden)
    pub(super) weight: Tensor,
    /// b_h, unless the inputs have it already.
    pub(super) bias: Option<Tensor>,
    pub(super) state: [Tensor; S],
}

/// What lies behind the ends of sequences.
pub(super) struct Padding {
    /// The first step at which a sequence has ended.
    start: usize,
    /// The first step at which all have.
    pub(super) end: usize,
    /// (end, n, 1) of u8: 1 where a sequence has ended.
    pub(super) mask: Tensor,
}

impl Padding {
    pub(super) fn new(lengths: &[usize], x: &Tensor) -> Result<Self> {
        let start = lengths.iter().copied().min().expect("there is a sequence");
        let end = lengths.iter().copied().max().expect("there is a sequence");
        let ended = (0..end).flat_map(|step| lengths.iter().map(move |&length| u8::from(step >= length)));
        let mask = Tensor::from_vec(ended.collect::<Vec<u8>>(), (end, lengths.len(), 1), x.device())?;
        Ok(Padding { start, end, mask })
    }
}

/// The layout and the direction of a scan, of which `kernel` computes all steps.
#[derive(Clone, Debug)]
pub(super) struct Steps {
    pub(super) time_first: bool,
    pub(super) reverse: bool,
    pub(super) lengths: Option<Vec<usize>>,
    /// Whether the last state is wanted.
    pub(super) with_state: bool,
}

/// The outputs in the layout of `x`, which is W·x + b, and the last state if it is wanted.
pub(super) fn scan<C: RecurrentCell<S>, const S: usize>(
    cell: &C,
    x: &Tensor,
    recurrence: Recurrence<S>,
    how: &Steps,
) -> Result<(Tensor, Option<[Tensor; S]>)> {
    let [steps, batch] = if how.time_first { [x.dims()[0], x.dims()[1]] } else { [x.dims()[1], x.dims()[0]] };
    // A product of one row has another order of its sums, on which an exported model relies.
    let usable = |_: &_| batch > 1 && on_cpu(x.array()) && !is_traced() && !wants_steps(C::NAME);
    let kernel = cell.kernel().filter(usable);
    let Some(kernel) = kernel else { return one_by_one(cell, x, recurrence, how) };
    let Recurrence { weight, bias, state } = &recurrence;
    let all: Vec<&Tensor> = [x, weight].into_iter().chain(state).chain(bias).collect();
    if let Some(other) = all.iter().find(|tensor| tensor.dtype() != x.dtype()) {
        let got = [x.dtype(), other.dtype()];
        return Err(Error::dtype(
            C::NAME,
            "inputs, parameters and a state of one dtype (see to_dtype)",
            &got,
        ));
    }
    let (mut dims, hidden) = (x.dims().to_vec(), weight.dims()[1]);
    dims[2] = hidden;
    let &Steps { time_first, reverse, with_state, .. } = how;
    let lengths = how.lengths.clone();
    let scan = Scan { cell: kernel, steps, batch, hidden, time_first, reverse, lengths, with_state };
    let op = Fused { cell: cell.clone(), how: how.clone(), scan: Arc::new(scan) };
    let y = op.apply(&all)?;
    if !with_state {
        return Ok((y.reshape(&dims[..])?, None));
    }
    let (outputs, state) = (steps * batch * hidden, batch * hidden);
    let last = |k: usize| y.narrow(0, outputs + k * state, state)?.reshape((batch, hidden));
    let last = (0..S).map(last).collect::<Result<Vec<_>>>()?.try_into().expect("S states");
    Ok((y.narrow(0, 0, outputs)?.reshape(&dims[..])?, Some(last)))
}

/// [`scan`] in operations.
fn one_by_one<C: RecurrentCell<S>, const S: usize>(
    cell: &C,
    x: &Tensor,
    recurrence: Recurrence<S>,
    how: &Steps,
) -> Result<(Tensor, Option<[Tensor; S]>)> {
    let Recurrence { weight, bias, mut state } = recurrence;
    let padding = how.lengths.as_ref().map(|lengths| Padding::new(lengths, x)).transpose()?;
    let recurrent = RecurrentMap { hidden: weight.dims()[1], weight: weight.t()?, bias };
    let x = if how.time_first { x.clone() } else { x.transpose(0, 1)? };
    let mut inputs: Vec<(usize, Tensor)> = steps(x)?.into_iter().enumerate().collect();
    if how.reverse {
        inputs.reverse();
    }
    let mut outputs = Vec::with_capacity(inputs.len());
    for (step, input) in &inputs {
        match padding.as_ref().filter(|padding| padding.start <= *step) {
            None => {
                state = cell.step(input, state, &recurrent)?;
                outputs.push(state[0].clone());
            }
            // Sequences that have ended keep their state, or have not begun yet.
            Some(padding) => {
                let ended = padding.mask.i(*step)?;
                let next = cell.step(input, state.clone(), &recurrent)?;
                outputs.push(next[0].masked_fill(&ended, 0.0)?);
                for (old, new) in state.iter_mut().zip(&next) {
                    *old = ended.where_cond(old, new)?;
                }
            }
        }
    }
    if how.reverse {
        outputs.reverse();
    }
    let y = Tensor::stack(&outputs, 0)?;
    Ok((if how.time_first { y } else { y.transpose(0, 1)? }, how.with_state.then_some(state)))
}

/// All steps in one operation on x, W_h, the state and, if there is one, b_h. The last state follows the outputs in one vector.
#[derive(Debug)]
struct Fused<C, const S: usize> {
    cell: C,
    how: Steps,
    scan: Arc<Scan>,
}

/// The operands of the kernels, which are x, W_h, the state and, if there is one, b_h.
fn inputs<'a, T: Element>(scan: &Scan, all: &[Operand<'a>]) -> recurrent::Inputs<'a, T> {
    let states = scan.cell.states();
    let c = if states == 2 { all[3].elements() } else { &[] };
    let bias = all.get(2 + states).map(Operand::elements);
    recurrent::Inputs { x: all[0].elements(), weight: all[1].elements(), bias, h: all[2].elements(), c }
}

impl<C: RecurrentCell<S>, const S: usize> VariadicOp for Fused<C, S> {
    fn name(&self) -> &'static str {
        C::NAME
    }

    fn forward(&self, all: &[&Array], ctx: &mut SaveContext) -> Result<Array> {
        let (scan, keep) = (&self.scan, ctx.recording());
        (0..all.len()).for_each(|i| ctx.save_input(i));
        ctx.save_output();
        let dtype = all[0].dtype();
        fits(C::NAME, &[scan.gates_len()], dtype.size_in_bytes())?;
        let all = all.iter().map(|x| contiguous(x)).collect::<Result<Vec<Array>>>()?;
        let all: Vec<&Array> = all.iter().collect();
        let lens = [scan.output_len(), scan.gates_len(), scan.cells_len()];
        let made = if !keep { 1 } else { 1 + S };
        let dims: Vec<&[usize]> = lens[..made].iter().map(std::slice::from_ref).collect();
        let scan = scan.clone();
        let mut made = with_float!(dtype, T => {
            let kernel = move |all: &[Operand<'_>]| -> Outputs {
                let (y, kept) = scan.forward::<T>(inputs(&scan, all), keep);
                [y, kept.gates, kept.cells].into_iter().take(made).map(storage).collect()
            };
            launch_borrowed(C::NAME, &all, &dims, &kernel, || Kernel::map(kernel.clone()))?
        })
        .into_iter();
        let y = made.next().expect("a kernel makes the outputs");
        made.for_each(|kept| ctx.save(kept));
        Ok(y)
    }

    fn backward(&self, saved: &Saved, grad: &Tensor) -> Result<Vec<Option<Tensor>>> {
        let count = saved.input_count();
        let wanted: Vec<usize> = (0..count).filter(|&i| saved.needs_input_grad(i)).collect();
        let mut grads = vec![None; count];
        if saved.recording() {
            let all = (0..count).map(|i| saved.input(i)).collect::<Result<Vec<_>>>()?;
            let targets: Vec<&Tensor> = wanted.iter().map(|&i| &all[i]).collect();
            for (&i, grad) in wanted.iter().zip(partial_vjp(&self.in_operations(&all)?, &targets, grad)?) {
                grads[i] = Some(grad);
            }
            return Ok(grads);
        }
        let scan = self.scan.clone();
        let (weight, states) = (wanted.iter().any(|&i| i == 1 || i == 2 + S), S);
        let mut all = vec![contiguous(grad.array())?, saved.call.output()?.clone()];
        for i in 0..S {
            all.push(saved.array(i)?.clone());
        }
        let x_dims = saved.call.input(0)?.dims().to_vec();
        for i in 1..count {
            all.push(contiguous(saved.call.input(i)?)?);
        }
        let all: Vec<&Array> = all.iter().collect();
        // In the order of the inputs.
        let made: Vec<usize> = (0..count).filter(|&i| weight || i != 1 && i != 2 + S).collect();
        let mut dims: Vec<&[usize]> = vec![&x_dims];
        dims.extend(made[1..].iter().map(|&i| all[1 + S + i].dims()));
        let outputs = with_float!(grad.dtype(), T => {
            let kernel = move |all: &[Operand<'_>]| -> Outputs {
                let [grad, y, gates] = [0, 1, 2].map(|i| all[i].elements::<T>());
                let cells = if states == 2 { all[3].elements() } else { &[] };
                // The product of the inputs is not read.
                let inputs = recurrent::Inputs { x: &[], ..inputs(&scan, &all[1 + states..]) };
                let made = scan.backward(inputs, [gates, cells], y, grad, weight);
                let state = [made.h, made.c].into_iter().take(states);
                let parameters = [Some(made.x), made.weight].into_iter().flatten();
                parameters.chain(state).chain(made.bias.filter(|_| weight)).map(storage).collect()
            };
            launch_borrowed(C::NAME, &all, &dims, &kernel, || Kernel::map(kernel.clone()))?
        });
        for (i, grad) in made.into_iter().zip(outputs) {
            if saved.needs_input_grad(i) {
                grads[i] = Some(Tensor::constant(grad));
            }
        }
        Ok(grads)
    }
}

fn storage<T: Element>(data: Vec<T>) -> CpuStorage {
    T::to_cpu_storage_owned(data)
}

impl<C: RecurrentCell<S>, const S: usize> Fused<C, S> {
    /// The output, which can be differentiated any number of times.
    fn in_operations(&self, all: &[Tensor]) -> Result<Tensor> {
        let state = std::array::from_fn(|k| all[2 + k].clone());
        let recurrence = Recurrence { weight: all[1].clone(), bias: all.get(2 + S).cloned(), state };
        let (y, last) = one_by_one(&self.cell, &all[0], recurrence, &self.how)?;
        let last = last.into_iter().flatten();
        let all: Vec<Tensor> =
            [y].into_iter().chain(last).map(|x| x.flatten(0, -1)).collect::<Result<_>>()?;
        Tensor::cat(&all, 0)
    }
}
