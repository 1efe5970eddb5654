//! [`OnPlateau`]

use std::collections::BTreeMap;

use super::callback::{Callback, CallbackContext};
use crate::autograd::Tensor;
use crate::error::Result;
use crate::optim::schedule::ReduceLrOnPlateau;

/// Reduces the optimizer's learning rate when a score stops improving: the callback for [`ReduceLrOnPlateau`]. The factor of a
/// [schedule](super::Trainer::schedule) multiplies it.
///
/// ```
/// # use tealight::optim::schedule::ReduceLrOnPlateau;
/// # use tealight::prelude::*;
/// # use tealight::train::OnPlateau;
/// # let x = Tensor::eye(2, DType::F32, &Device::Cpu)?;
/// # let model = Linear { weight: Parameter::new(x.clone()), bias: None }; // y = x: the loss stays 0
/// # let sgd = Sgd::new(model.parameters(), 0.1)?;
/// let halve = OnPlateau::new("loss", ReduceLrOnPlateau::new(0.5)?.patience(0));
/// let mut trainer = Trainer::new(&model, Mse, sgd).epochs(3).callback(halve).silent();
/// let history = trainer.fit(&x, None)?; // the loss stays the same
/// assert_eq!(history.curve("learning_rate"), [(1.0, 0.1), (2.0, 0.1), (3.0, 0.05)]);
/// # Ok::<(), tealight::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct OnPlateau {
    score: String,
    plateau: ReduceLrOnPlateau,
}

impl OnPlateau {
    /// Observes the score of this name after each epoch.
    pub fn new(score: &str, plateau: ReduceLrOnPlateau) -> Self {
        OnPlateau { score: score.into(), plateau }
    }
}

impl Callback for OnPlateau {
    fn on_train_begin(&mut self, ctx: &mut CallbackContext) -> Result<()> {
        self.plateau.maximize = ctx.higher_is_better(&self.score)?;
        Ok(())
    }

    fn on_epoch_end(&mut self, ctx: &mut CallbackContext) -> Result<()> {
        let learning_rate = self.plateau.observe(ctx.score(&self.score)?, ctx.optimizer.learning_rate());
        ctx.optimizer.set_learning_rate(learning_rate)
    }

    fn state_dict(&self) -> Result<BTreeMap<String, Tensor>> {
        self.plateau.state_dict()
    }

    fn load_state_dict(&mut self, state: &BTreeMap<String, Tensor>) -> Result<()> {
        self.plateau.load_state_dict(state)
    }
}
