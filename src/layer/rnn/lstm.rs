//! The long short-term memory.

use super::{OnnxCell, Recurrent, RecurrentCell, RecurrentMap};
use crate::autograd::Tensor;
use crate::error::{Error, Result};
use crate::kernel::recurrent::Cell;
use crate::ops;

/// The long short-term memory, with the state [h, c]; see [`Recurrent`].
///
/// # Formula
/// c′ = σ(f)·c + σ(i)·tanh(g), h′ = σ(o)·tanh(c′); the gates i, f, g, o are W·x + b + W_h·h + b_h, in this order
///
/// # Source
/// S. Hochreiter and J. Schmidhuber 1997; F. Gers, J. Schmidhuber and F. Cummins 2000
///
/// ```
/// use tealight::prelude::*;
/// let layer = Lstm::new(3, 5, RnnOptions::new(), &mut Rng::seed(1))?;
/// let x = Tensor::ones((2, 7, 3), DType::F32, &Device::Cpu)?;
/// assert_eq!(layer.predict(&x)?.dims(), [2, 7, 5]);
/// # Ok::<(), tealight::Error>(())
/// ```
pub type Lstm = Recurrent<LstmCell, 2>;

impl Lstm {
    /// Sets the biases `bias_ih` of the forget gates to ln(steps − 1): the cell state then lasts for about this many steps. With the
    /// default biases it is halved at every step.
    ///
    /// # Errors
    /// Errors if `steps` is below 2, or if the layer has no biases.
    ///
    /// # Source
    /// C. Tallec and Y. Ollivier, "Can recurrent neural networks warp time?", 2018
    ///
    /// ```
    /// use tealight::prelude::*;
    /// let layer = Lstm::new(3, 5, RnnOptions::new(), &mut Rng::seed(1))?;
    /// layer.init_forget_bias(30)?;
    /// let bias = layer.weights[0].bias_ih.as_ref().unwrap().get();
    /// assert_eq!(bias.i(5)?.to_scalar::<f32>()?, 29_f32.ln());
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
            // The order of the gates is input, forget, cell, output.
            let forget = self.hidden..2 * self.hidden;
            let open = value.narrow(0, self.hidden, self.hidden)?.full_like(((steps - 1) as f64).ln())?;
            bias.set(&value.assign(forget, &open)?)?;
        }
        Ok(())
    }
}

/// A step of an [`Lstm`].
#[derive(Clone, Copy, Debug, Default)]
pub struct LstmCell;

fused! {
    /// σ(a)·tanh(b)
    Gated = "lstm_gate", [a, b] => a.sigmoid() * b.tanh();
    /// σ(f)·c + w
    Kept = "lstm_keep", [f, c, w] => f.sigmoid() * c + w;
}

impl RecurrentCell<2> for LstmCell {
    const NAME: &'static str = "lstm";
    const KIND: &'static str = "Lstm";
    const GATES: usize = 4;
    const JOINT_BIAS: bool = true;

    fn step(&self, x: &Tensor, [h, c]: [Tensor; 2], recurrent: &RecurrentMap) -> Result<[Tensor; 2]> {
        let gates = (x + recurrent.gates(&h)?)?;
        let gate = |k| recurrent.gate(&gates, k);
        let written = ops::apply(Gated, [&gate(0)?, &gate(2)?])?;
        let c = ops::apply(Kept, [&gate(1)?, &c, &written])?;
        let h = ops::apply(Gated, [&gate(3)?, &c])?;
        Ok([h, c])
    }

    fn kernel(&self) -> Option<Cell> {
        Some(Cell::Lstm)
    }

    fn onnx(&self, _: usize) -> Option<OnnxCell> {
        Some(OnnxCell { operator: "LSTM", gates: &[0, 3, 1, 2], attributes: vec![] })
    }
}
