//! [`Pass`]: what a layer is told about the pass it takes part in.

use crate::ops::Rng;

/// One pass through a model: training, with the random numbers for it, or evaluation.
#[derive(Clone, Debug)]
pub struct Pass {
    rng: Option<Rng>,
}

impl Pass {
    /// A training pass, whose random choices come from `rng`.
    pub fn train(rng: Rng) -> Self {
        Pass { rng: Some(rng) }
    }

    /// An evaluating pass, where nothing is left to chance.
    pub fn eval() -> Self {
        Pass { rng: None }
    }

    /// Whether this is a training pass.
    pub fn training(&self) -> bool {
        self.rng.is_some()
    }

    /// The random numbers of a training pass.
    pub fn rng(&mut self) -> Option<&mut Rng> {
        self.rng.as_mut()
    }
}
