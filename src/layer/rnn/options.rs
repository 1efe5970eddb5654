//! [`RnnOptions`]: the options of all recurrent layers.

use crate::error::{Error, Result};

/// The options of a recurrent layer.
///
/// ```
/// use tealight::prelude::*;
/// let options = RnnOptions::new().layers(2).bidirectional();
/// let layer = Gru::new(3, 5, options, &mut Rng::seed(1))?;
/// let x = Tensor::ones((2, 7, 3), DType::F32, &Device::Cpu)?;
/// assert_eq!(layer.predict(&x)?.dims(), [2, 7, 10]);
/// assert_eq!(layer.parameters()[4].0, "weight_ih_l0_reverse");
/// # Ok::<(), tealight::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct RnnOptions {
    pub(super) layers: usize,
    pub(super) bidirectional: bool,
    pub(super) bias: bool,
    pub(super) dropout: f64,
    pub(super) time_first: bool,
}

impl Default for RnnOptions {
    fn default() -> Self {
        RnnOptions { layers: 1, bidirectional: false, bias: true, dropout: 0.0, time_first: false }
    }
}

impl RnnOptions {
    /// One layer in one direction, with biases and without dropout, for inputs (n, t, inputs).
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the number of layers, each on the outputs of the one before. Default: `1`.
    #[must_use]
    #[doc(alias = "num_layers")]
    pub fn layers(self, layers: usize) -> Self {
        RnnOptions { layers, ..self }
    }

    /// Runs each layer in both directions and concatenates the outputs.
    #[must_use]
    pub fn bidirectional(self) -> Self {
        RnnOptions { bidirectional: true, ..self }
    }

    /// Removes the biases.
    #[must_use]
    pub fn without_bias(self) -> Self {
        RnnOptions { bias: false, ..self }
    }

    /// Sets the probability that an element of the input of a layer after the first is zeroed while training. Default: `0`.
    #[must_use]
    pub fn dropout(self, dropout: f64) -> Self {
        RnnOptions { dropout, ..self }
    }

    /// Inputs and outputs are (t, n, ..), PyTorch's default `batch_first=False`.
    #[doc(alias = "time_major")]
    #[must_use]
    #[doc(alias = "batch_first")]
    pub fn time_first(self) -> Self {
        RnnOptions { time_first: true, ..self }
    }

    pub(super) fn directions(&self) -> usize {
        1 + usize::from(self.bidirectional)
    }

    pub(super) fn check(&self, op: &'static str) -> Result<()> {
        if self.layers == 0 {
            return Err(Error::argument(op, "one layer or more", self.layers));
        }
        if !(0.0..=1.0).contains(&self.dropout) {
            return Err(Error::argument(op, "a dropout from 0 to 1", self.dropout));
        }
        Ok(())
    }
}
