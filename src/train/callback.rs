//! [`Callback`]: code that runs while a model is trained.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::History;
use crate::autograd::Tensor;
use crate::error::{Error, Result};
use crate::layer::Layer;
use crate::optim::Optimizer;
use crate::optim::state::StateReader;

/// Code that runs while a model is trained. A closure is a callback too, called after each epoch.
///
/// ```
/// # use tealight::prelude::*;
/// # use tealight::train::{Callback, CallbackContext};
/// /// Stops when the loss of a step is small.
/// struct StopAt(f64);
/// impl Callback for StopAt {
///     fn on_step_end(&mut self, ctx: &mut CallbackContext) -> Result<()> {
///         Ok(if ctx.loss < self.0 { ctx.stop() })
///     }
/// }
/// # let x = Tensor::ones((8, 2), DType::F32, &Device::Cpu)?;
/// # let model = Linear::new(2, 1, &mut Rng::seed(1))?;
/// # let mut trainer = Trainer::new(&model, Mse, Sgd::new(model.parameters(), 0.1)?)
/// #     .epochs(1000)
/// #     .silent()
/// #     .callback(StopAt(1e-3));
/// # assert!(trainer.fit(&(x.clone(), x.sum_keepdim(1)?), None)?.len() < 1000);
/// # Ok::<(), tealight::Error>(())
/// ```
pub trait Callback {
    /// Called before the first step. When a training is resumed, the history is not empty.
    ///
    /// # Errors
    /// An error ends the training.
    fn on_train_begin(&mut self, _: &mut CallbackContext) -> Result<()> {
        Ok(())
    }

    /// Called after each optimizer step.
    ///
    /// # Errors
    /// An error ends the training.
    #[doc(alias = "on_train_batch_end")]
    fn on_step_end(&mut self, _: &mut CallbackContext) -> Result<()> {
        Ok(())
    }

    /// Called after each epoch and its validation, with the scores of the epoch in the history.
    ///
    /// # Errors
    /// An error ends the training.
    fn on_epoch_end(&mut self, _: &mut CallbackContext) -> Result<()> {
        Ok(())
    }

    /// Called after the last step, also after Ctrl-C, unless another error ended the training.
    ///
    /// # Errors
    /// An error is the result of the training.
    fn on_train_end(&mut self, _: &mut CallbackContext) -> Result<()> {
        Ok(())
    }

    /// Where a checkpoint is written when Ctrl-C interrupts the training; the first callback that returns a path decides. Default:
    /// `None`. If all return `None`, Ctrl-C ends the program.
    fn checkpoint_on_interrupt(&self) -> Option<PathBuf> {
        None
    }

    /// The state that every checkpoint saves, to be loaded when the training is resumed. Default: empty.
    ///
    /// # Errors
    /// An error ends the training.
    fn state_dict(&self) -> Result<BTreeMap<String, Tensor>> {
        Ok(BTreeMap::new())
    }

    /// Loads what [`state_dict`](Callback::state_dict) returned.
    ///
    /// # Errors
    /// Errors if an entry is missing, unexpected or invalid.
    fn load_state_dict(&mut self, state: &BTreeMap<String, Tensor>) -> Result<()> {
        StateReader::new(state).finish()
    }
}

impl<F: FnMut(&mut CallbackContext) -> Result<()>> Callback for F {
    fn on_epoch_end(&mut self, ctx: &mut CallbackContext) -> Result<()> {
        self(ctx)
    }
}

/// A closure that is called after each step.
pub(super) struct StepCallback<F>(pub(super) F);

impl<F: FnMut(&mut CallbackContext) -> Result<()>> Callback for StepCallback<F> {
    fn on_step_end(&mut self, ctx: &mut CallbackContext) -> Result<()> {
        (self.0)(ctx)
    }
}

/// The training as a [`Callback`] sees it.
#[non_exhaustive]
pub struct CallbackContext<'a> {
    /// The model.
    pub model: &'a dyn Layer,
    /// The optimizer. Its learning rate may be changed; a schedule's factor multiplies it in each step.
    pub optimizer: &'a mut dyn Optimizer,
    /// The number of this process in a [`distributed`](super::Trainer::distributed) training; else 0. A callback that writes files or
    /// prints does so on rank 0 alone.
    pub rank: usize,
    /// The number of finished epochs.
    pub epoch: u64,
    /// The number of steps taken.
    pub step: u64,
    /// The loss of the last step; NaN before the first step and after the training.
    pub loss: f64,
    /// The scores of the finished epochs.
    pub history: &'a History,
    /// The names of the scores that can improve, and whether larger is better.
    pub(super) directions: &'a [(String, bool)],
    pub(super) requests: &'a mut Requests,
}

/// What callbacks asked for, carried out when all of them were called.
#[derive(Debug, Default)]
pub(super) struct Requests {
    pub(super) stop: bool,
    pub(super) kept: Option<u64>,
    pub(super) saves: Vec<PathBuf>,
}

impl CallbackContext<'_> {
    /// Ends the training: no further step is taken. An unfinished epoch has no record in the history.
    #[doc(alias = "stop_training")]
    pub fn stop(&mut self) {
        self.requests.stop = true;
    }

    /// Writes a checkpoint, from which [`Trainer::resume`](super::Trainer::resume) continues, when all callbacks were called.
    pub fn save(&mut self, path: impl AsRef<Path>) {
        self.requests.saves.push(path.as_ref().to_path_buf());
    }

    /// Says that the model has the weights of this epoch again, those of [`History::kept`].
    pub fn set_kept_epoch(&mut self, epoch: u64) {
        self.requests.kept = Some(epoch);
    }

    /// A score of the last epoch, such as `valid_loss`.
    ///
    /// # Errors
    /// Errors if there is none; the error lists those that there are.
    pub fn score(&self, name: &str) -> Result<f64> {
        self.history.last(name)
    }

    /// Whether larger values of a score, such as `valid_accuracy`, are better: those of a
    /// [metric](crate::metrics::Metric::higher_is_better) that says so. Those of a loss are not.
    ///
    /// # Errors
    /// Errors if no metric or loss has this name; the error lists those that there are.
    pub fn higher_is_better(&self, name: &str) -> Result<bool> {
        let found = self.directions.iter().find(|(known, _)| known == name).map(|(_, higher)| *higher);
        found.ok_or_else(|| {
            let names: Vec<&str> = self.directions.iter().map(|(name, _)| name.as_str()).collect();
            Error::argument("fit", format!("one of the scores {}", names.join(", ")), format!("{name:?}"))
        })
    }

    /// The score of the last epoch, if it is better than `best` by more than `min_delta`. NaN stands for no score.
    pub(super) fn improved(&self, name: &str, best: f64, min_delta: f64) -> Result<Option<f64>> {
        let score = self.score(name)?;
        let change = if self.higher_is_better(name)? { score - best } else { best - score };
        Ok((change > min_delta || (best.is_nan() && !score.is_nan())).then_some(score))
    }
}
