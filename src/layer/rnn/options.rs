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
    ///
    /// ```
    /// use tealight::prelude::*;
    /// let layer = Gru::new(3, 5, RnnOptions::new(), &mut Rng::seed(1))?;
    /// assert_eq!(layer.predict(&Tensor::ones((2, 7, 3), DType::F32, &Device::Cpu)?)?.dims(), [2, 7, 5]);
    /// assert_eq!(layer.parameters().len(), 4);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn new() -> Self {
        Self::default()
    }

    /// This many layers, each on the outputs of the one before.
    ///
    /// ```
    /// use tealight::prelude::*;
    /// let layer = Gru::new(3, 5, RnnOptions::new().layers(2), &mut Rng::seed(1))?;
    /// let (y, [h]) = layer.run(&Tensor::ones((2, 7, 3), DType::F32, &Device::Cpu)?, None, &mut ForwardContext::eval())?;
    /// assert_eq!((y.dims(), h.dims()), (&[2, 7, 5][..], &[2, 2, 5][..])); // a state for each layer
    /// # Ok::<(), tealight::Error>(())
    /// ```
    #[must_use]
    #[doc(alias = "num_layers")]
    pub fn layers(self, layers: usize) -> Self {
        RnnOptions { layers, ..self }
    }

    /// Each layer twice, the second time from the last step to the first; their outputs stand side by side.
    ///
    /// ```
    /// use tealight::prelude::*;
    /// let layer = Gru::new(3, 5, RnnOptions::new().bidirectional(), &mut Rng::seed(1))?;
    /// assert_eq!(layer.predict(&Tensor::ones((2, 7, 3), DType::F32, &Device::Cpu)?)?.dims(), [2, 7, 10]);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    #[must_use]
    pub fn bidirectional(self) -> Self {
        RnnOptions { bidirectional: true, ..self }
    }

    /// No biases.
    ///
    /// ```
    /// use tealight::prelude::*;
    /// let layer = Gru::new(3, 5, RnnOptions::new().without_bias(), &mut Rng::seed(1))?;
    /// let names: Vec<String> = layer.parameters().into_iter().map(|(name, _)| name).collect();
    /// assert_eq!(names, ["weight_ih_l0", "weight_hh_l0"]);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    #[must_use]
    pub fn without_bias(self) -> Self {
        RnnOptions { bias: false, ..self }
    }

    /// The probability with which a number between two layers is left out while training.
    ///
    /// ```
    /// use tealight::prelude::*;
    /// // Everything is left out, so the second layer finds nothing.
    /// let options = RnnOptions::new().layers(2).without_bias().dropout(1.0);
    /// let layer = Gru::new(3, 5, options, &mut Rng::seed(1))?;
    /// let y = layer.forward(&Tensor::ones((2, 7, 3), DType::F32, &Device::Cpu)?, &mut ForwardContext::train(Rng::seed(2)))?;
    /// assert_eq!(y.abs()?.max_all()?.to_scalar::<f32>()?, 0.0);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    #[must_use]
    pub fn dropout(self, dropout: f64) -> Self {
        RnnOptions { dropout, ..self }
    }

    /// Inputs and outputs are (t, n, d), as is PyTorch's default.
    ///
    /// ```
    /// use tealight::prelude::*;
    /// let layer = Gru::new(3, 5, RnnOptions::new().time_first(), &mut Rng::seed(1))?;
    /// let (y, [h]) = layer.run(&Tensor::ones((7, 2, 3), DType::F32, &Device::Cpu)?, None, &mut ForwardContext::eval())?;
    /// assert_eq!((y.dims(), h.dims()), (&[7, 2, 5][..], &[1, 2, 5][..]));
    /// # Ok::<(), tealight::Error>(())
    /// ```
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
