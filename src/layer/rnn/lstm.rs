//! The long short-term memory.
//!
//! # Formula
//! c′ = σ(f)·c + σ(i)·tanh(g), h′ = σ(o)·tanh(c′); i, f, g, o are W·x + b + W_h·h + b_h, in this order
//!
//! # Source
//! S. Hochreiter and J. Schmidhuber 1997; F. Gers, J. Schmidhuber and F. Cummins 2000.

use super::{Cell, Recurrent, RecurrentProjection};
use crate::autograd::Tensor;
use crate::error::{Error, Result};
use crate::formula::{Formula, Real};
use crate::ops;

/// The long short-term memory; its state is [h, c]. See [`Recurrent::run`].
///
/// # Formula
/// c′ = σ(f)·c + σ(i)·tanh(g), h′ = σ(o)·tanh(c′); i, f, g, o are W·x + b + W_h·h + b_h, in this order
///
/// ```
/// use tealight::layer::{Lstm, RnnOptions};
/// use tealight::prelude::*;
/// let layer = Lstm::new(3, 5, RnnOptions::new(), &mut Rng::seed(1))?;
/// let x = Tensor::ones((2, 7, 3), DType::F32, &Device::Cpu)?;
/// assert_eq!(layer.predict(&x)?.dims(), [2, 7, 5]);
/// # Ok::<(), tealight::Error>(())
/// ```
pub type Lstm = Recurrent<LstmCell, 2>;

impl Lstm {
    /// Opens the forget gates so far that memories last about so many steps: their first bias becomes ln(steps − 1). With the
    /// biases that a new layer has, a memory is halved at every step.
    ///
    /// # Errors
    /// Fewer than two steps; a layer without biases.
    ///
    /// # Source
    /// C. Tallec and Y. Ollivier, "Can recurrent neural networks warp time?", 2018.
    ///
    /// ```
    /// use tealight::prelude::*;
    /// let layer = Lstm::new(3, 5, RnnOptions::new(), &mut Rng::seed(1))?;
    /// layer.init_forget_bias(30)?;
    /// let bias = layer.weights[0].bias_ih.as_ref().map(|bias| bias.get().i(5));
    /// assert_eq!(bias.transpose()?.map(|bias| bias.to_scalar::<f32>()).transpose()?, Some(29_f32.ln()));
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn init_forget_bias(&self, steps: usize) -> Result<()> {
        if steps < 2 {
            return Err(Error::argument("init_forget_bias", "two steps or more", steps));
        }
        for weights in &self.weights {
            let Some(bias) = &weights.bias_ih else {
                return Err(Error::argument("init_forget_bias", "a layer with biases", "one without"));
            };
            let value = bias.get();
            // The gates stand in PyTorch's order: input, forget, cell, output.
            let forget = self.hidden..2 * self.hidden;
            let open = value.narrow(0, self.hidden, self.hidden)?.full_like(((steps - 1) as f64).ln())?;
            bias.set(&value.assign(forget, &open)?)?;
        }
        Ok(())
    }
}

/// A step of an [`Lstm`].
///
/// ```
/// use tealight::layer::{Cell, LstmCell};
/// use tealight::prelude::*;
/// let layer = Lstm::new(3, 5, RnnOptions::new(), &mut Rng::seed(1))?;
/// assert_eq!(LstmCell::GATES, 4); // i, f, g and o
/// assert_eq!(layer.weights[0].weight_ih.get().dims(), [4 * 5, 3]);
/// # Ok::<(), tealight::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct LstmCell;

/// σ(a)·tanh(b): what is written, and what is shown.
#[derive(Clone, Debug)]
struct Gated;

impl Formula<2> for Gated {
    const NAME: &'static str = "lstm_gate";
    const FUSED: bool = true;

    #[inline(always)]
    fn value<R: Real>(&self, [a, b]: [R; 2]) -> R {
        a.sigmoid() * b.tanh()
    }
}

/// σ(f)·c + w: what is kept, and what is written.
#[derive(Clone, Debug)]
struct Kept;

impl Formula<3> for Kept {
    const NAME: &'static str = "lstm_keep";
    const FUSED: bool = true;

    #[inline(always)]
    fn value<R: Real>(&self, [f, c, w]: [R; 3]) -> R {
        f.sigmoid() * c + w
    }
}

impl Cell<2> for LstmCell {
    const NAME: &'static str = "lstm";
    const KIND: &'static str = "Lstm";
    const GATES: usize = 4;
    const JOINT_BIAS: bool = true;

    fn step(&self, x: &Tensor, [h, c]: [Tensor; 2], recurrence: &RecurrentProjection) -> Result<[Tensor; 2]> {
        let gates = (x + recurrence.gates(&h)?)?;
        let gate = |k| recurrence.gate(&gates, k);
        let written = ops::apply(Gated, [&gate(0)?, &gate(2)?])?;
        let c = ops::apply(Kept, [&gate(1)?, &c, &written])?;
        let h = ops::apply(Gated, [&gate(3)?, &c])?;
        Ok([h, c])
    }
}
