//! [`RnnOptions`]: what recurrent layers have in common.

use crate::error::{Error, Result};

/// What a recurrent layer is like.
///
/// ```
/// use tealight::layer::{Gru, RnnOptions};
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
    /// One layer, from the first step to the last, with biases, without dropout; inputs are (n, t, d).
    pub fn new() -> Self {
        Self::default()
    }

    /// This many layers, each on the outputs of the one before.
    #[must_use]
    #[doc(alias = "num_layers")]
    pub fn layers(self, layers: usize) -> Self {
        RnnOptions { layers, ..self }
    }

    /// Each layer twice, the second time from the last step to the first; their outputs stand side by side.
    #[must_use]
    pub fn bidirectional(self) -> Self {
        RnnOptions { bidirectional: true, ..self }
    }

    /// No biases.
    #[must_use]
    pub fn without_bias(self) -> Self {
        RnnOptions { bias: false, ..self }
    }

    /// The probability with which a number between two layers is left out while training.
    #[must_use]
    pub fn dropout(self, dropout: f64) -> Self {
        RnnOptions { dropout, ..self }
    }

    /// Inputs and outputs are (t, n, d), as is PyTorch's default.
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
