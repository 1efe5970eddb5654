//! [`ForwardContext`]: what a layer is told about the pass it takes part in.

use super::Layer;
use super::summary::{Recorder, Summary};
use crate::autograd::{Tensor, named_scope};
use crate::error::Result;
use crate::ops::Rng;

/// One pass through a model: training, with the random numbers for it, or evaluation.
///
/// ```
/// use tealight::prelude::*;
/// let (layer, x) = (Dropout::new(1.0)?, Tensor::ones(2, DType::F32, &Device::Cpu)?);
/// assert_eq!(layer.forward(&x, &mut ForwardContext::train(Rng::seed(1)))?.to_vec1::<f32>()?, [0.0, 0.0]);
/// assert_eq!(layer.forward(&x, &mut ForwardContext::eval())?.to_vec1::<f32>()?, [1.0, 1.0]);
/// # Ok::<(), tealight::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct ForwardContext {
    rng: Option<Rng>,
    pub(super) recorder: Option<Recorder>,
}

impl ForwardContext {
    /// A training pass, whose random choices come from `rng`.
    ///
    /// ```
    /// use tealight::prelude::*;
    /// let (layer, x) = (Dropout::new(0.5)?, Tensor::ones(100, DType::F32, &Device::Cpu)?);
    /// let y = |seed| layer.forward(&x, &mut ForwardContext::train(Rng::seed(seed)));
    /// assert_eq!(y(1)?, y(1)?); // the same numbers, the same choices
    /// assert_ne!(y(1)?, y(2)?);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn train(rng: Rng) -> Self {
        ForwardContext { rng: Some(rng), recorder: None }
    }

    /// An evaluating pass, where nothing is left to chance.
    ///
    /// ```
    /// use tealight::prelude::*;
    /// let (layer, x) = (Dropout::new(0.5)?, Tensor::ones(100, DType::F32, &Device::Cpu)?);
    /// assert_eq!(layer.forward(&x, &mut ForwardContext::eval())?, x);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn eval() -> Self {
        ForwardContext { rng: None, recorder: None }
    }

    /// Whether this is a training pass.
    ///
    /// ```
    /// use tealight::prelude::*;
    /// assert!(ForwardContext::train(Rng::seed(1)).training());
    /// assert!(!ForwardContext::eval().training());
    /// ```
    pub fn training(&self) -> bool {
        self.rng.is_some()
    }

    /// The random numbers of a training pass.
    ///
    /// ```
    /// use tealight::prelude::*;
    /// assert_eq!(ForwardContext::train(Rng::seed(1)).rng().map(|rng| rng.below(6)), Some(Rng::seed(1).below(6)));
    /// assert!(ForwardContext::eval().rng().is_none());
    /// ```
    pub fn rng(&mut self) -> Option<&mut Rng> {
        self.rng.as_mut()
    }

    /// The output of a whole model, and the table of its layers.
    pub(crate) fn summarised(
        mut self,
        model: &(impl Layer + ?Sized),
        x: &Tensor,
    ) -> Result<(Tensor, Summary)> {
        let mut recorder = Recorder::default();
        let row = recorder.enter("model", model.kind());
        self.recorder = Some(recorder);
        let y = model.forward(x, &mut self)?;
        let mut recorder = self.recorder.unwrap_or_default();
        recorder.leave(row, model.parameters(), &y);
        Ok((y, recorder.into_summary()))
    }

    /// The output of a layer inside a layer, under its name: an error says where it arose, and
    /// [`summary`](Layer::summary) has a row for it.
    ///
    /// # Errors
    /// Those of the layer, with the name before them.
    ///
    /// ```
    /// use tealight::prelude::*;
    /// let layer = Linear::new(3, 2, &mut Rng::seed(1))?;
    /// let error = ForwardContext::eval().call("fc1", &layer, &Tensor::zeros((1, 4), DType::F32, &Device::Cpu)?).unwrap_err();
    /// assert!(error.to_string().starts_with("fc1: linear: expected inputs of shape [.., 3]"));
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn call(&mut self, name: &str, layer: &(impl Layer + ?Sized), x: &Tensor) -> Result<Tensor> {
        named_scope(name, || {
            let row = self.recorder.as_mut().map(|recorder| recorder.enter(name, layer.kind()));
            let y = layer.forward(x, self)?;
            if let (Some(recorder), Some(row)) = (&mut self.recorder, row) {
                recorder.leave(row, layer.parameters(), &y);
            }
            Ok(y)
        })
    }
}
