//! Recurrent layers: one step after the other, each with the state that the one before left.
//!
//! # Shapes
//! (n, t, d) to (n, t, h), or 2h in both directions; (t, n, d) to (t, n, h) with [`RnnOptions::time_first`]. The state
//! after the last step is (layers · directions, n, h).
//!
//! # Errors
//! Inputs of another shape, or without a step; a first state that does not fit.

mod cell;
mod gru;
mod lstm;
mod options;
mod simple;

pub use cell::{Cell, RecurrentProjection};
pub use gru::{Gru, GruCell};
pub use lstm::{Lstm, LstmCell};
pub use options::RnnOptions;
pub use simple::{Rnn, RnnCell};

use super::dropout::dropped;
use super::{Fields, ForwardContext, Layer, Parameter, init};
use crate::autograd::Tensor;
use crate::error::{Error, Result};
use crate::ops::Rng;

/// The parameters of one layer in one direction; the gates follow each other in PyTorch's order.
///
/// ```
/// use tealight::prelude::*;
/// let layer = Lstm::new(3, 5, RnnOptions::new().bidirectional(), &mut Rng::seed(1))?;
/// assert_eq!(layer.weights.len(), 2); // one for each direction
/// assert_eq!(layer.weights[1].weight_hh.get().dims(), [20, 5]);
/// # Ok::<(), tealight::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct RnnWeights {
    /// For the input, (gates · h, inputs).
    pub weight_ih: Parameter,
    /// For the output of the step before, (gates · h, h).
    pub weight_hh: Parameter,
    /// Added to the first product, (gates · h).
    pub bias_ih: Option<Parameter>,
    /// Added to the second product, (gates · h).
    pub bias_hh: Option<Parameter>,
}

/// A recurrent layer of cells C, whose state is S tensors. Use it as [`Rnn`], [`Lstm`] or [`Gru`].
///
/// # Shapes
/// (n, t, d) to (n, t, h), or 2h in both directions; (t, n, d) to (t, n, h) with [`RnnOptions::time_first`]
///
/// ```
/// use tealight::layer::{LstmCell, Recurrent};
/// use tealight::prelude::*;
/// // What `Lstm` is short for.
/// let layer = Recurrent::<LstmCell, 2>::new(3, 5, RnnOptions::new(), &mut Rng::seed(1))?;
/// assert_eq!(layer.kind(), "Lstm");
/// # Ok::<(), tealight::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Recurrent<C, const S: usize> {
    /// Of each layer, and in it of each direction.
    pub weights: Vec<RnnWeights>,
    cell: C,
    inputs: usize,
    hidden: usize,
    options: RnnOptions,
}

impl<C: Cell<S> + Default, const S: usize> Recurrent<C, S> {
    /// A layer from `inputs` numbers a step to `hidden` numbers a step, in f32. All parameters start uniform in ±1/√hidden,
    /// as PyTorch's do.
    ///
    /// # Errors
    /// Options without a layer, or with a dropout outside [0, 1]; sizes that do not fit in memory.
    ///
    /// ```
    /// use tealight::prelude::*;
    /// let layer = Gru::new(3, 4, RnnOptions::new(), &mut Rng::seed(1))?;
    /// // 1 / √4
    /// assert!(layer.weights[0].weight_hh.get().abs()?.max_all()?.to_scalar::<f32>()? <= 0.5);
    /// let error = Gru::new(3, 4, RnnOptions::new().layers(0), &mut Rng::seed(1)).unwrap_err();
    /// assert_eq!(error.to_string(), "gru: expected one layer or more, got 0");
    /// # Ok::<(), tealight::Error>(())
    /// ```
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

impl<C: Cell<S>, const S: usize> Recurrent<C, S> {
    /// The outputs of all steps, and the state after the last; it begins with `state`, or with zeros.
    ///
    /// # Shapes
    /// Inputs (n, t, d) to outputs (n, t, h), or 2h in both directions; each tensor of a state is (layers · directions, n, h).
    ///
    /// # Errors
    /// Inputs of another shape, or without a step; a state that does not fit.
    ///
    /// ```
    /// use tealight::layer::{Lstm, RnnOptions};
    /// use tealight::prelude::*;
    /// let layer = Lstm::new(3, 5, RnnOptions::new(), &mut Rng::seed(1))?;
    /// let x = Tensor::ones((2, 7, 3), DType::F32, &Device::Cpu)?;
    /// let (y, [h, c]) = layer.run(&x, None, &mut ForwardContext::eval())?;
    /// assert_eq!((y.dims(), h.dims(), c.dims()), (&[2, 7, 5][..], &[1, 2, 5][..], &[1, 2, 5][..]));
    /// // It goes on where it stopped.
    /// let (more, _) = layer.run(&x, Some([&h, &c]), &mut ForwardContext::eval())?;
    /// assert_eq!(more.dims(), [2, 7, 5]);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn run(
        &self,
        x: &Tensor,
        state: Option<[&Tensor; S]>,
        ctx: &mut ForwardContext,
    ) -> Result<(Tensor, [Tensor; S])> {
        let n = self.batch(x)?;
        let mut y = if self.options.time_first { x.clone() } else { x.transpose(0, 1)? };
        let directions = self.options.directions();
        let dims = [self.weights.len(), n, self.hidden];
        let first = match state {
            Some(state) => state.map(Tensor::clone),
            None => {
                let zeros = Tensor::zeros(&dims[..], x.dtype(), x.device())?;
                std::array::from_fn(|_| zeros.clone())
            }
        };
        for tensor in &first {
            if tensor.dims() != dims {
                return Err(Error::shape(C::NAME, format!("a state of shape {dims:?}"), &[tensor.dims()]));
            }
        }
        if n == 0 {
            // Nothing to do in any number of steps.
            let dims = [x.dims()[0], x.dims()[1], directions.saturating_mul(self.hidden)];
            return Ok((Tensor::zeros(&dims[..], x.dtype(), x.device())?, first));
        }
        let mut last: [Vec<Tensor>; S] = std::array::from_fn(|_| Vec::with_capacity(self.weights.len()));
        for (layer, weights) in self.weights.chunks(directions).enumerate() {
            if layer > 0 {
                y = dropped(C::NAME, &y, y.dims(), self.options.dropout, ctx)?;
            }
            let mut outputs = Vec::with_capacity(directions);
            for (direction, weights) in weights.iter().enumerate() {
                let place = layer * directions + direction;
                let mut state = Vec::with_capacity(S);
                for tensor in &first {
                    state.push(tensor.i(place)?);
                }
                let state = std::array::from_fn(|s| state[s].clone());
                let (output, state) = self.one_way(&y, weights, state, direction == 1)?;
                outputs.push(output);
                last.iter_mut().zip(state).for_each(|(list, tensor)| list.push(tensor));
            }
            y = Tensor::cat(&outputs, 2)?;
        }
        let mut stacked = Vec::with_capacity(S);
        for list in &last {
            stacked.push(Tensor::stack(list, 0)?);
        }
        let y = if self.options.time_first { y } else { y.transpose(0, 1)? };
        Ok((y, std::array::from_fn(|s| stacked[s].clone())))
    }

    /// One layer in one direction: x is (t, n, inputs), the output (t, n, h).
    fn one_way(
        &self,
        x: &Tensor,
        weights: &RnnWeights,
        mut state: [Tensor; S],
        backwards: bool,
    ) -> Result<(Tensor, [Tensor; S])> {
        let (mut before, mut within) = (None, None);
        if let (Some(bias_ih), Some(bias_hh)) = (&weights.bias_ih, &weights.bias_hh) {
            let (bias_ih, bias_hh) = (bias_ih.get(), bias_hh.get());
            (before, within) = match C::JOINT_BIAS {
                true => (Some((bias_ih + bias_hh)?), None),
                false => (Some(bias_ih), Some(bias_hh)),
            };
        }
        // The input's share of all steps in one product.
        let mut shares = x.matmul(&weights.weight_ih.get().t()?)?;
        if let Some(bias) = before {
            shares = (shares + bias)?;
        }
        let recurrence =
            RecurrentProjection { weight: weights.weight_hh.get().t()?, bias: within, hidden: self.hidden };
        let mut shares = steps(shares)?;
        if backwards {
            shares.reverse();
        }
        let mut outputs = Vec::with_capacity(shares.len());
        for share in &shares {
            state = self.cell.step(share, state, &recurrence)?;
            outputs.push(state[0].clone());
        }
        if backwards {
            outputs.reverse();
        }
        Ok((Tensor::stack(&outputs, 0)?, state))
    }

    /// n, of inputs that fit.
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

/// The places of the first axis. They are halved again and again: the gradients of t places that are taken one by one would
/// be t tensors of the whole shape.
fn steps(x: Tensor) -> Result<Vec<Tensor>> {
    let rest = x.dims()[1..].to_vec();
    let mut parts = vec![x];
    while parts.iter().any(|part| part.dims()[0] > 1) {
        let mut halves = Vec::with_capacity(2 * parts.len());
        for part in &parts {
            halves.extend(part.chunk(2, 0)?);
        }
        parts = halves;
    }
    parts.iter().map(|part| part.reshape(&rest[..])).collect()
}

impl<C: Cell<S>, const S: usize> Layer for Recurrent<C, S> {
    fn forward(&self, x: &Tensor, ctx: &mut ForwardContext) -> Result<Tensor> {
        Ok(self.run(x, None, ctx)?.0)
    }

    fn fields<'a>(&'a self, fields: &mut Fields<'a>) {
        for (i, weights) in self.weights.iter().enumerate() {
            let (layer, direction) = (i / self.options.directions(), i % self.options.directions());
            let name = |part| format!("{part}_l{layer}{}", if direction == 1 { "_reverse" } else { "" });
            fields
                .field(&name("weight_ih"), &weights.weight_ih)
                .field(&name("weight_hh"), &weights.weight_hh);
            fields.field(&name("bias_ih"), &weights.bias_ih).field(&name("bias_hh"), &weights.bias_hh);
        }
    }

    fn kind(&self) -> &'static str {
        C::KIND
    }
}

#[cfg(test)]
mod tests;
