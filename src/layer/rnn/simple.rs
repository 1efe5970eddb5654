//! The simple recurrent layer.

use super::{OnnxCell, Recurrent, RecurrentCell, RecurrentMap};
use crate::activation::Activation;
use crate::autograd::{OnnxAttribute, Tensor, trace};
use crate::error::Result;
use crate::kernel::recurrent::Cell;

/// The simple recurrent layer; see [`Recurrent`].
///
/// # Formula
/// h′ = f(W·x + b + W_h·h + b_h) with f = tanh, or relu
///
/// # Source
/// J. L. Elman 1990
///
/// ```
/// use tealight::layer::Rnn;
/// use tealight::prelude::*;
/// let layer = Rnn::new(3, 5, RnnOptions::new(), &mut Rng::seed(1))?.relu();
/// let x = Tensor::ones((2, 7, 3), DType::F32, &Device::Cpu)?;
/// assert_eq!(layer.predict(&x)?.dims(), [2, 7, 5]);
/// # Ok::<(), tealight::Error>(())
/// ```
#[doc(alias = "SimpleRNN")]
pub type Rnn = Recurrent<RnnCell, 1>;

/// A step of an [`Rnn`].
#[derive(Clone, Copy, Debug, Default)]
pub struct RnnCell {
    relu: bool,
}

impl Rnn {
    /// Uses relu instead of tanh.
    #[doc(alias = "nonlinearity")]
    pub fn relu(self) -> Self {
        Recurrent { cell: RnnCell { relu: true }, ..self }
    }
}

impl RecurrentCell<1> for RnnCell {
    const NAME: &'static str = "rnn";
    const KIND: &'static str = "Rnn";
    const GATES: usize = 1;
    const JOINT_BIAS: bool = true;

    fn step(&self, x: &Tensor, [h]: [Tensor; 1], recurrent: &RecurrentMap) -> Result<[Tensor; 1]> {
        let sum = (x + recurrent.gates(&h)?)?;
        Ok([if self.relu { crate::activation::Relu.apply(&sum)? } else { sum.tanh()? }])
    }

    fn kernel(&self) -> Option<Cell> {
        Some(if self.relu { Cell::Relu } else { Cell::Tanh })
    }

    fn onnx(&self, directions: usize) -> Option<OnnxCell> {
        // Engines compute tanh instead, or have no relu here.
        if self.relu && trace::has_fixed_steps() {
            return None;
        }
        let f = if self.relu { "Relu" } else { "Tanh" };
        let attributes = vec![("activations", OnnxAttribute::Texts(vec![f; directions]))];
        Some(OnnxCell { operator: "RNN", gates: &[0], attributes })
    }
}
