//! [`Pass`]: what a layer is told about the pass it takes part in.

use super::Layer;
use super::summary::{Recorder, Summary};
use crate::autograd::{Tensor, within};
use crate::error::Result;
use crate::ops::Rng;

/// One pass through a model: training, with the random numbers for it, or evaluation.
#[derive(Clone, Debug)]
pub struct Pass {
    rng: Option<Rng>,
    pub(super) recorder: Option<Recorder>,
}

impl Pass {
    /// A training pass, whose random choices come from `rng`.
    pub fn train(rng: Rng) -> Self {
        Pass { rng: Some(rng), recorder: None }
    }

    /// An evaluating pass, where nothing is left to chance.
    pub fn eval() -> Self {
        Pass { rng: None, recorder: None }
    }

    /// Whether this is a training pass.
    pub fn training(&self) -> bool {
        self.rng.is_some()
    }

    /// The random numbers of a training pass.
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
    pub fn call(&mut self, name: &str, layer: &(impl Layer + ?Sized), x: &Tensor) -> Result<Tensor> {
        within(name, || {
            let row = self.recorder.as_mut().map(|recorder| recorder.enter(name, layer.kind()));
            let y = layer.forward(x, self)?;
            if let (Some(recorder), Some(row)) = (&mut self.recorder, row) {
                recorder.leave(row, layer.parameters(), &y);
            }
            Ok(y)
        })
    }
}
