//! Recurrent layers: a cell is run over the steps of a sequence.

/// Formulas of a cell, each one fused loop over the elements of its inputs.
macro_rules! fused {
    ($($(#[$doc:meta])* $name:ident = $label:literal, [$($x:ident),*] => $value:expr;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug)]
        struct $name;

        impl $crate::formula::Formula<{ [$(stringify!($x)),*].len() }> for $name {
            const NAME: &'static str = $label;
            const IS_INLINED: bool = true;

            #[inline(always)]
            fn value<R: $crate::formula::Real>(&self, [$($x),*]: [R; [$(stringify!($x)),*].len()]) -> R {
                $value
            }
        }
    )*};
}

mod cell;
mod gru;
mod lstm;
mod options;
mod scan;
mod simple;

pub use cell::{OnnxCell, RecurrentCell, RecurrentMap};
pub use gru::{Gru, GruCell};
pub use lstm::{Lstm, LstmCell};
pub use options::RnnOptions;
pub use simple::{Rnn, RnnCell};

use scan::{Padding, Recurrence, Steps};

use super::dropout::dropped;
use super::{Fields, ForwardContext, Layer, Parameter, init};
use crate::autograd::{Array, Onnx, OnnxAttribute, OnnxValue, Tensor, is_traced, trace, traced_many};
use crate::error::{Error, Result};
use crate::ops::affine::affine;
use crate::ops::{Pad, Rng};

/// The parameters of one layer in one direction, with the gates in PyTorch's order.
#[derive(Clone, Debug)]
pub struct RnnWeights {
    /// For the input, (gates · hidden, inputs).
    pub weight_ih: Parameter,
    /// For the output of the previous step, (gates · hidden, hidden).
    pub weight_hh: Parameter,
    /// Added to the product of the input, (gates · hidden).
    pub bias_ih: Option<Parameter>,
    /// Added to the product of the previous output, (gates · hidden).
    pub bias_hh: Option<Parameter>,
}

/// A recurrent layer of cells C, whose state is S tensors. Use it as [`Rnn`], [`Lstm`] or [`Gru`], or with a custom
/// [`RecurrentCell`].
///
/// # Shapes
/// (n, t, inputs) to (n, t, hidden), or 2 · hidden if bidirectional; (t, n, ..) with [`RnnOptions::time_first`]
///
/// # Errors
/// Errors if t is 0.
#[derive(Clone, Debug)]
pub struct Recurrent<C, const S: usize> {
    /// In the order of the layers, and for each layer of its directions.
    pub weights: Vec<RnnWeights>,
    cell: C,
    inputs: usize,
    hidden: usize,
    options: RnnOptions,
}

impl<C: RecurrentCell<S> + Default, const S: usize> Recurrent<C, S> {
    /// A layer from `inputs` to `hidden` features at each step, in f32. All parameters start uniform in ±1/√hidden, as in
    /// PyTorch.
    ///
    /// # Errors
    /// Errors if the options have no layers, or a dropout outside [0, 1].
    pub fn new(inputs: usize, hidden: usize, options: RnnOptions, rng: &mut Rng) -> Result<Self> {
        options.check(C::NAME)?;
        let bound = 1.0 / (hidden.max(1) as f64).sqrt();
        let rows = C::GATES.saturating_mul(hidden);
        let mut weights = Vec::new();
        for layer in 0..options.layers {
            let inputs = if layer == 0 { inputs } else { hidden.saturating_mul(options.directions()) };
            for _ in 0..options.directions() {
                let mut matrix =
                    |columns| init::uniform((rows, columns), -bound, bound, rng).map(Parameter::new);
                let (weight_ih, weight_hh) = (matrix(inputs)?, matrix(hidden)?);
                let mut bias = || -> Result<Option<Parameter>> {
                    let drawn = options.bias.then(|| init::uniform(rows, -bound, bound, rng));
                    Ok(drawn.transpose()?.map(Parameter::new))
                };
                let (bias_ih, bias_hh) = (bias()?, bias()?);
                weights.push(RnnWeights { weight_ih, weight_hh, bias_ih, bias_hh });
            }
        }
        Ok(Recurrent { weights, cell: C::default(), inputs, hidden, options })
    }
}

impl<C: RecurrentCell<S>, const S: usize> Recurrent<C, S> {
    /// The outputs of all steps and the state after the last one. The initial state is `state`, or zeros.
    ///
    /// # Shapes
    /// As [`Recurrent`]; each tensor of a state is (layers · directions, n, hidden).
    ///
    /// # Errors
    /// Errors if t is 0, or if the state has another shape.
    ///
    /// ```
    /// use tealight::prelude::*;
    /// let layer = Lstm::new(3, 5, RnnOptions::new(), &mut Rng::seed(1))?;
    /// let (x, ctx) = (Tensor::ones((2, 7, 3), DType::F32, &Device::Cpu)?, &mut ForwardContext::eval());
    /// let (y, [h, c]) = layer.forward_with_state(&x, None, ctx)?;
    /// assert_eq!((y.dims(), h.dims(), c.dims()), (&[2, 7, 5][..], &[1, 2, 5][..], &[1, 2, 5][..]));
    /// let (next, _) = layer.forward_with_state(&x, Some([&h, &c]), ctx)?; // the next 7 steps
    /// assert_eq!(next.dims(), [2, 7, 5]);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn forward_with_state(
        &self,
        x: &Tensor,
        state: Option<[&Tensor; S]>,
        ctx: &mut ForwardContext,
    ) -> Result<(Tensor, [Tensor; S])> {
        let (y, last) = self.run(x, None, state, true, ctx)?;
        Ok((y, last.expect("the state is asked for")))
    }

    /// The outputs and the last state of sequences of different lengths, each padded to the longest: the padding is not looked at,
    /// outputs beyond the end are 0, the state is that after the last step, and the reverse direction begins there.
    ///
    /// # Shapes
    /// As [`forward_with_state`](Recurrent::forward_with_state), with n lengths.
    ///
    /// # Errors
    /// Errors unless there are n lengths from 1 to t, or if the state has another shape.
    ///
    /// ```
    /// use tealight::prelude::*;
    /// let layer = Gru::new(3, 5, RnnOptions::new(), &mut Rng::seed(1))?;
    /// let x = Tensor::ones((2, 7, 3), DType::F32, &Device::Cpu)?;
    /// let (y, [h]) = layer.forward_with_lengths(&x, &[7, 4], None, &mut ForwardContext::eval())?;
    /// assert_eq!(y.i((1, 3))?, h.i((0, 1))?); // the fourth step
    /// assert_eq!(y.i((1, 4))?.to_vec1::<f32>()?, [0.0; 5]);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    #[doc(alias = "pack_padded_sequence")]
    #[doc(alias = "pad_packed_sequence")]
    pub fn forward_with_lengths(
        &self,
        x: &Tensor,
        lengths: &[usize],
        state: Option<[&Tensor; S]>,
        ctx: &mut ForwardContext,
    ) -> Result<(Tensor, [Tensor; S])> {
        let (y, last) = self.run(x, Some(lengths), state, true, ctx)?;
        Ok((y, last.expect("the state is asked for")))
    }

    /// The outputs, and the last state if it is wanted.
    fn run(
        &self,
        x: &Tensor,
        lengths: Option<&[usize]>,
        state: Option<[&Tensor; S]>,
        with_state: bool,
        ctx: &mut ForwardContext,
    ) -> Result<(Tensor, Option<[Tensor; S]>)> {
        let n = self.batch(x)?;
        let t = x.dims()[usize::from(!self.options.time_first)];
        if let Some(lengths) = lengths
            && (lengths.len() != n || lengths.iter().any(|length| !(1..=t).contains(length)))
        {
            return Err(Error::argument(
                C::NAME,
                format!("{n} lengths from 1 to {t}"),
                format!("{lengths:?}"),
            ));
        }
        let directions = self.options.directions();
        let dims = [self.weights.len(), n, self.hidden];
        let given = state.is_some();
        let initial: [Tensor; S] = match state {
            Some(state) => state.map(Tensor::clone),
            None => {
                let zeros = Tensor::zeros(&dims[..], x.dtype(), x.device())?;
                std::array::from_fn(|_| zeros.clone())
            }
        };
        for tensor in &initial {
            if tensor.dims() != dims {
                return Err(Error::shape(C::NAME, format!("a state of shape {dims:?}"), &[tensor.dims()]));
            }
        }
        if n == 0 {
            // There may be more steps than a loop should count.
            let dims = [x.dims()[0], x.dims()[1], directions.saturating_mul(self.hidden)];
            return Ok((Tensor::zeros(&dims[..], x.dtype(), x.device())?, Some(initial)));
        }
        // The operators of ONNX have the time first.
        let turned = is_traced() && !self.options.time_first;
        let (time_first, with_state) = (self.options.time_first || turned, with_state || is_traced());
        let time = usize::from(!time_first);
        let mut y = if turned { x.transpose(0, 1)? } else { x.clone() };
        let mut end = t;
        if let Some(lengths) = lengths {
            let padding = Padding::new(lengths, x)?;
            end = padding.end;
            let mask = if time_first { padding.mask } else { padding.mask.transpose(0, 1)? };
            // Not even a NaN of the padding may come through.
            y = y.narrow(time, 0, end)?.masked_fill(&mask, 0.0)?;
        }
        let mut last: [Vec<Tensor>; S] = std::array::from_fn(|_| Vec::with_capacity(self.weights.len()));
        for (layer, weights) in self.weights.chunks(directions).enumerate() {
            if layer > 0 {
                y = dropped(C::NAME, &y, y.dims(), self.options.dropout, ctx)?;
            }
            let first = layer * directions;
            let compute = || {
                let mut outputs = Vec::with_capacity(directions);
                let mut states = Vec::with_capacity(1 + directions * S);
                for (direction, weights) in weights.iter().enumerate() {
                    let state = try_map(&initial, |tensor| tensor.i(first + direction))?;
                    let lengths = lengths.map(<[usize]>::to_vec);
                    let how = Steps { time_first, reverse: direction == 1, lengths, with_state };
                    let (output, state) = self.one_way(&y, weights, state, &how)?;
                    outputs.push(output);
                    states.extend(state.into_iter().flatten());
                }
                states.push(Tensor::cat(&outputs, 2)?);
                Ok(states)
            };
            let whole = lengths.is_none() && trace::has_recurrent_nodes(y.dtype());
            let mut results = match self.cell.onnx(directions).filter(|_| whole) {
                None => compute()?,
                Some(cell) => {
                    let own = try_map(&initial, |tensor| tensor.narrow(0, first, directions))?;
                    let inputs: Vec<&Tensor> = [&y].into_iter().chain(own.iter().filter(|_| given)).collect();
                    traced_many(&inputs, compute, |onnx| self.onnx_nodes(cell, weights, onnx))?
                }
            };
            y = results.pop().expect("the outputs are last");
            for (k, tensor) in results.into_iter().enumerate() {
                last[k % S].push(tensor);
            }
        }
        if end < t {
            let mut by = [(0, 0); 3];
            by[time].1 = t - end;
            y = y.pad(&by, Pad::Constant(0.0))?;
        }
        let y = if turned { y.transpose(0, 1)? } else { y };
        let last = with_state.then(|| try_map(&last, |list| Tensor::stack(list, 0))).transpose()?;
        Ok((y, last))
    }

    /// One layer as a node: for each direction its last state, and the outputs of all steps.
    fn onnx_nodes(&self, cell: OnnxCell, weights: &[RnnWeights], onnx: &mut Onnx) -> Result<Vec<OnnxValue>> {
        let (directions, hidden) = (weights.len(), self.hidden);
        // The gates of both directions in the order of the operator.
        let joined = |of: &dyn Fn(&RnnWeights) -> Result<Vec<Array>>| -> Result<Array> {
            let mut rows = Vec::new();
            for weights in weights {
                for array in of(weights)? {
                    for &gate in cell.gates {
                        rows.push(array.narrow(0, gate * hidden, hidden)?);
                    }
                }
            }
            let rows = Array::cat(&rows, 0)?;
            let dims = [&[directions, rows.dims()[0] / directions], &rows.dims()[1..]].concat();
            Ok(rows.reshape(dims)?)
        };
        let own = |parameter: &Parameter| Ok(vec![parameter.get().into_array()]);
        let ih = joined(&|weights| own(&weights.weight_ih))?;
        let hh = joined(&|weights| own(&weights.weight_hh))?;
        let mut inputs = vec![onnx.input(0), onnx.constant(&ih), onnx.constant(&hh)];
        let biases = |weights: &RnnWeights| {
            let bias = |bias: &Option<Parameter>| -> Result<Array> {
                match bias {
                    Some(bias) => Ok(bias.get().into_array()),
                    None => Ok(Array::zeros(C::GATES * hidden, hh.dtype(), hh.device())?),
                }
            };
            Ok(vec![bias(&weights.bias_ih)?, bias(&weights.bias_hh)?])
        };
        let biased = weights.iter().any(|weights| weights.bias_ih.is_some() || weights.bias_hh.is_some());
        inputs.push(if biased { onnx.constant(&joined(&biases)?) } else { onnx.absent() });
        inputs.push(onnx.absent()); // the lengths of the sequences
        for i in 1..onnx.input_count() {
            inputs.push(onnx.input(i));
        }
        let mut attributes = vec![("hidden_size", OnnxAttribute::Int(hidden as i64))];
        if directions == 2 {
            attributes.push(("direction", OnnxAttribute::Text("bidirectional")));
        }
        attributes.extend(cell.attributes.iter().cloned());
        let node = onnx.node(cell.operator, &inputs, &attributes);
        let mut results = Vec::with_capacity(1 + directions * S);
        for direction in 0..directions {
            for k in 0..S {
                let state = onnx.part(node, 1 + k);
                // tract fails at a Gather of both states of an LSTM whose outputs nothing takes.
                results.push(if directions == 1 {
                    let axis = onnx.ints(&[0]);
                    onnx.node("Squeeze", &[state, axis], &[])
                } else {
                    let at = onnx.int(direction as i64);
                    onnx.node("Gather", &[state, at], &[("axis", OnnxAttribute::Int(0))])
                });
            }
        }
        // (t, directions, n, hidden)
        results.push(if directions == 1 {
            let axis = onnx.ints(&[1]);
            // candle-onnx takes t and n of these for each other, in silence. The sum of one tensor changes nothing elsewhere, and is refused there.
            let misread = cell.operator == "LSTM" && !onnx.dims(0)?[..2].contains(&1);
            let y = if misread { onnx.node("Sum", &[node], &[]) } else { node };
            onnx.node("Squeeze", &[y, axis], &[])
        } else {
            let order = OnnxAttribute::Ints(vec![0, 2, 1, 3]);
            let turned = onnx.node("Transpose", &[node], &[("perm", order)]);
            let shape = onnx.ints(&[0, 0, (directions * hidden) as i64]);
            onnx.node("Reshape", &[turned, shape], &[])
        });
        Ok(results)
    }

    /// One layer in one direction.
    fn one_way(
        &self,
        x: &Tensor,
        weights: &RnnWeights,
        state: [Tensor; S],
        how: &Steps,
    ) -> Result<(Tensor, Option<[Tensor; S]>)> {
        let bias = |bias: &Option<Parameter>| bias.as_ref().map(Parameter::get);
        let (input_bias, bias) = match (bias(&weights.bias_ih), bias(&weights.bias_hh)) {
            (Some(bias_ih), Some(bias_hh)) if C::JOINT_BIAS => (Some((bias_ih + bias_hh)?), None),
            biases => biases,
        };
        // W·x + b of all steps in one product.
        let weight = weights.weight_ih.get();
        let projected = match input_bias {
            Some(bias) if !is_traced() => affine(x, &weight, &bias)?,
            Some(bias) => (x.matmul(&weight.t()?)? + bias)?,
            None => x.matmul(&weight.t()?)?,
        };
        scan::scan(&self.cell, &projected, Recurrence { weight: weights.weight_hh.get(), bias, state }, how)
    }

    /// Checks the shape of the inputs, and returns n.
    fn batch(&self, x: &Tensor) -> Result<usize> {
        match (x.dims(), self.options.time_first) {
            (&[n, t, d], false) | (&[t, n, d], true) if d == self.inputs && t > 0 => Ok(n),
            (dims, time_first) => {
                let axes = if time_first { "t, n" } else { "n, t" };
                let expected = format!("inputs of shape [{axes}, {}] with t > 0", self.inputs);
                Err(Error::shape(C::NAME, expected, &[dims]))
            }
        }
    }
}

/// The slices along the first axis. It is halved again and again: the gradients of t slices taken one by one would be t
/// tensors of the whole shape.
fn steps(x: Tensor) -> Result<Vec<Tensor>> {
    let rest = x.dims()[1..].to_vec();
    let mut slices = vec![x];
    while slices.iter().any(|slice| slice.dims()[0] > 1) {
        let mut halves = Vec::with_capacity(2 * slices.len());
        for slice in &slices {
            halves.extend(slice.chunk(2, 0)?);
        }
        slices = halves;
    }
    slices.iter().map(|slice| slice.reshape(&rest[..])).collect()
}

fn try_map<T, const S: usize>(items: &[T; S], f: impl Fn(&T) -> Result<Tensor>) -> Result<[Tensor; S]> {
    let mapped = items.iter().map(f).collect::<Result<Vec<_>>>()?;
    Ok(mapped.try_into().expect("map keeps the number of items"))
}

impl<C: RecurrentCell<S>, const S: usize> Layer for Recurrent<C, S> {
    fn forward(&self, x: &Tensor, ctx: &mut ForwardContext) -> Result<Tensor> {
        Ok(self.run(x, None, None, false, ctx)?.0)
    }

    fn fields<'a>(&'a self, fields: &mut Fields<'a>) {
        for (i, weights) in self.weights.iter().enumerate() {
            let (layer, direction) = (i / self.options.directions(), i % self.options.directions());
            let name = |field| format!("{field}_l{layer}{}", if direction == 1 { "_reverse" } else { "" });
            fields.parameter(&name("weight_ih"), &weights.weight_ih);
            fields.parameter(&name("weight_hh"), &weights.weight_hh);
            fields.field(&name("bias_ih"), &weights.bias_ih).field(&name("bias_hh"), &weights.bias_hh);
        }
    }

    fn kind(&self) -> &'static str {
        C::KIND
    }
}

#[cfg(test)]
mod tests;
