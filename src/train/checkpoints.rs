//! [`Checkpoints`]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::callback::{Callback, CallbackContext};
use crate::autograd::Tensor;
use crate::error::Result;
use crate::file::{advice, file_error};
use crate::optim::state::{StateReader, StateWriter};

/// Writes checkpoints to a directory: `last.safetensors` after each epoch, and others on request.
/// [`Trainer::resume`](super::Trainer::resume) continues from each, bit for bit.
///
/// With the feature `interrupt`, Ctrl-C during [`fit`](super::Trainer::fit) writes `last.safetensors` after the current step, and
/// ends `fit` with [`Error::Interrupted`](crate::Error::Interrupted). A second Ctrl-C ends the program at once, as does Ctrl-C
/// before and after `fit`.
///
/// ```
/// # use tealight::prelude::*;
/// # use tealight::train::Checkpoints;
/// # let dir = std::env::temp_dir().join("tealight-doc-checkpoints");
/// # let x = Tensor::ones((8, 2), DType::F32, &Device::Cpu)?;
/// # let model = Linear::new(2, 2, &mut Rng::seed(2))?;
/// # let sgd = Sgd::new(model.parameters(), 0.1)?;
/// let checkpoints = Checkpoints::new(&dir)?.best("valid_loss").every(2);
/// let mut trainer = Trainer::new(&model, Mse, sgd).epochs(3).callback(checkpoints).silent();
/// trainer.fit(&x, Some(&x))?;
/// let exists = |name: &str| dir.join(name).with_extension("safetensors").exists();
/// assert_eq!(["last", "best", "epoch-2", "epoch-3"].map(exists), [true, true, true, false]);
/// # std::fs::remove_dir_all(dir).ok();
/// # Ok::<(), tealight::Error>(())
/// ```
#[derive(Clone, Debug)]
#[doc(alias = "ModelCheckpoint")]
pub struct Checkpoints {
    directory: PathBuf,
    every_epochs: Option<u64>,
    every_steps: Option<u64>,
    /// The score that decides what is best, and its best value so far.
    score: Option<String>,
    best: f64,
}

impl Checkpoints {
    /// Writes to this directory, which is created if it does not exist.
    ///
    /// # Errors
    /// Errors if the directory cannot be created.
    pub fn new(directory: impl AsRef<Path>) -> Result<Self> {
        let directory = directory.as_ref().to_path_buf();
        std::fs::create_dir_all(&directory).map_err(|error| {
            let advice = advice(&error);
            file_error(&directory, format!("expected a directory that can be made, got: {error}{advice}"))
        })?;
        Ok(Checkpoints { directory, every_epochs: None, every_steps: None, score: None, best: f64::NAN })
    }

    /// Also writes `epoch-10.safetensors`, `epoch-20.safetensors`, …, for `epochs` = 10. These stay.
    #[must_use]
    pub fn every(mut self, epochs: u64) -> Self {
        self.every_epochs = Some(epochs.max(1));
        self
    }

    /// Writes `last.safetensors` also after each `steps` steps, for long epochs.
    #[must_use]
    #[doc(alias = "save_freq")]
    pub fn every_steps(mut self, steps: u64) -> Self {
        self.every_steps = Some(steps.max(1));
        self
    }

    /// Also writes `best.safetensors`, whenever the score is better than in all epochs before: smaller for a loss, larger or smaller
    /// for a metric [as it says](crate::metrics::Metric::higher_is_better).
    #[must_use]
    #[doc(alias = "save_best_only")]
    #[doc(alias = "mode")]
    pub fn best(mut self, score: &str) -> Self {
        self.score = Some(score.into());
        self
    }

    fn file(&self, name: &str) -> PathBuf {
        self.directory.join(format!("{name}.safetensors"))
    }
}

impl Callback for Checkpoints {
    fn on_train_begin(&mut self, ctx: &mut CallbackContext) -> Result<()> {
        if ctx.history.is_empty() {
            self.best = f64::NAN;
        }
        self.score.as_ref().map_or(Ok(()), |name| ctx.higher_is_better(name).map(drop))
    }

    fn on_step_end(&mut self, ctx: &mut CallbackContext) -> Result<()> {
        if self.every_steps.is_some_and(|steps| ctx.step.is_multiple_of(steps)) {
            ctx.save(self.file("last"));
        }
        Ok(())
    }

    fn on_epoch_end(&mut self, ctx: &mut CallbackContext) -> Result<()> {
        if let Some(name) = &self.score
            && let Some(score) = ctx.improved(name, self.best, 0.0)?
        {
            self.best = score;
            ctx.save(self.file("best"));
        }
        if self.every_epochs.is_some_and(|epochs| ctx.epoch.is_multiple_of(epochs)) {
            ctx.save(self.file(&format!("epoch-{}", ctx.epoch)));
        }
        ctx.save(self.file("last"));
        Ok(())
    }

    fn checkpoint_on_interrupt(&self) -> Option<PathBuf> {
        Some(self.file("last"))
    }

    fn state_dict(&self) -> Result<BTreeMap<String, Tensor>> {
        let mut writer = StateWriter::default();
        writer.scalar("best".into(), self.best)?;
        Ok(writer.0)
    }

    fn load_state_dict(&mut self, state: &BTreeMap<String, Tensor>) -> Result<()> {
        let mut reader = StateReader::new(state);
        let best = reader.scalar("best")?;
        reader.finish()?;
        self.best = best;
        Ok(())
    }
}
