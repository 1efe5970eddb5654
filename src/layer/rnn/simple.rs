//! The simple recurrent layer.
//!
//! # Formula
//! h′ = f(W·x + b + W_h·h + b_h) with f = tanh or relu
//!
//! # Source
//! J. L. Elman 1990.

use super::{Cell, Recurrent, RecurrentProjection};
use crate::activation::Activation;
use crate::autograd::Tensor;
use crate::error::Result;

/// The simple recurrent layer, for sequences; see [`Recurrent::run`].
///
/// # Shapes
/// (n, steps, inputs) to (n, steps, outputs)
///
/// # Formula
/// h′ = f(W·x + b + W_h·h + b_h) with f = tanh or relu
///
/// # Source
/// J. L. Elman 1990
///
/// ```
/// use tealight::layer::{Rnn, RnnOptions};
/// use tealight::prelude::*;
/// let layer = Rnn::new(3, 5, RnnOptions::new(), &mut Rng::seed(1))?.relu();
/// let x = Tensor::ones((2, 7, 3), DType::F32, &Device::Cpu)?;
/// assert_eq!(layer.predict(&x)?.dims(), [2, 7, 5]);
/// # Ok::<(), tealight::Error>(())
/// ```
#[doc(alias = "SimpleRNN")]
pub type Rnn = Recurrent<RnnCell, 1>;

/// A step of an [`Rnn`].
///
/// ```
/// use tealight::layer::{Cell, Rnn, RnnCell};
/// use tealight::prelude::*;
/// let layer = Rnn::new(3, 5, RnnOptions::new(), &mut Rng::seed(1))?;
/// assert_eq!(RnnCell::GATES, 1); // the new state is all that the weights make
/// assert_eq!(layer.weights[0].weight_ih.get().dims(), [5, 3]);
/// # Ok::<(), tealight::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct RnnCell {
    relu: bool,
}

impl Rnn {
    /// The same layer with relu in the place of tanh.
    ///
    /// ```
    /// use tealight::layer::Rnn;
    /// use tealight::prelude::*;
    /// let layer = Rnn::new(1, 1, RnnOptions::new().without_bias(), &mut Rng::seed(1))?.relu();
    /// for (_, weight) in layer.parameters() {
    ///     weight.set(&weight.get().ones_like()?)?;
    /// }
    /// // tanh would stay below 1.
    /// let y = layer.predict(&Tensor::new(&[[[1_f32], [2.0]]], &Device::Cpu)?)?;
    /// assert_eq!(y.to_vec3::<f32>()?, [[[1.0], [3.0]]]);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    #[doc(alias = "nonlinearity")]
    pub fn relu(self) -> Self {
        Recurrent { cell: RnnCell { relu: true }, ..self }
    }
}

impl Cell<1> for RnnCell {
    const NAME: &'static str = "rnn";
    const KIND: &'static str = "Rnn";
    const GATES: usize = 1;
    const JOINT_BIAS: bool = true;

    fn step(&self, x: &Tensor, [h]: [Tensor; 1], recurrence: &RecurrentProjection) -> Result<[Tensor; 1]> {
        let sum = (x + recurrence.gates(&h)?)?;
        Ok([if self.relu { crate::activation::Relu.apply(&sum)? } else { sum.tanh()? }])
    }
}
