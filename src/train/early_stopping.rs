//! [`EarlyStopping`]

use std::collections::BTreeMap;

use super::callback::{Callback, CallbackContext};
use crate::autograd::{Tensor, named};
use crate::error::Result;
use crate::optim::state::{StateReader, StateWriter};

/// Stops the training when a score has not improved for a while, and restores the weights (and buffers) of the best epoch.
///
/// They are restored also when the training ends for another reason, such as Ctrl-C, but not when it ends with another error.
///
/// ```
/// # use tealight::prelude::*;
/// # use tealight::train::EarlyStopping;
/// # let x = Tensor::eye(2, DType::F32, &Device::Cpu)?;
/// let model = Linear { weight: Parameter::new(x.clone()), bias: None }; // y = x: the loss stays 0
/// # let sgd = Sgd::new(model.parameters(), 0.1)?;
/// let mut trainer = Trainer::new(&model, Mse, sgd).epochs(99).callback(EarlyStopping::new("loss", 3)).silent();
/// assert_eq!(trainer.fit(&x, None)?.len(), 4); // the best epoch, and three without improvement
/// # Ok::<(), tealight::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct EarlyStopping {
    score: String,
    patience: u64,
    min_delta: f64,
    best: f64,
    /// The epoch of the best.
    epoch: u64,
    /// Epochs without improvement in a row.
    bad: u64,
    weights: BTreeMap<String, Tensor>,
}

impl EarlyStopping {
    /// Stops after `patience` epochs in a row (at least one) in which the score was not better than the best: smaller for a loss,
    /// larger or smaller for a metric [as it says](crate::metrics::Metric::higher_is_better).
    #[doc(alias = "mode")]
    pub fn new(score: &str, patience: u64) -> Self {
        EarlyStopping {
            score: score.into(),
            patience: patience.max(1),
            min_delta: 0.0,
            best: f64::NAN,
            epoch: 0,
            bad: 0,
            weights: BTreeMap::new(),
        }
    }

    /// The change by which a score must be better to be an improvement. Default: 0.
    #[must_use]
    pub fn min_delta(mut self, change: f64) -> Self {
        self.min_delta = change;
        self
    }
}

impl Callback for EarlyStopping {
    fn on_train_begin(&mut self, ctx: &mut CallbackContext) -> Result<()> {
        if ctx.history.is_empty() {
            (self.best, self.bad, self.weights) = (f64::NAN, 0, BTreeMap::new());
        }
        if self.bad >= self.patience {
            ctx.stop();
        }
        ctx.higher_is_better(&self.score).map(drop)
    }

    fn on_epoch_end(&mut self, ctx: &mut CallbackContext) -> Result<()> {
        if let Some(score) = ctx.improved(&self.score, self.best, self.min_delta)? {
            (self.best, self.epoch, self.bad) = (score, ctx.epoch, 0);
            self.weights = named(ctx.model.state_dict().into_iter().map(|(name, entry)| (name, entry.get())));
        } else {
            self.bad += 1;
        }
        if self.bad >= self.patience {
            ctx.stop();
        }
        Ok(())
    }

    fn on_train_end(&mut self, ctx: &mut CallbackContext) -> Result<()> {
        if !self.weights.is_empty() {
            ctx.set_kept_epoch(self.epoch);
        }
        for (name, entry) in ctx.model.state_dict() {
            if let Some(best) = self.weights.get(&name) {
                entry.set(best)?;
            }
        }
        Ok(())
    }

    fn state_dict(&self) -> Result<BTreeMap<String, Tensor>> {
        let mut writer = StateWriter::default();
        writer.scalar("best".into(), self.best)?;
        writer.count("epoch".into(), self.epoch)?;
        writer.count("bad".into(), self.bad)?;
        for (name, value) in &self.weights {
            writer.insert(format!("weights.{name}"), value.clone())?;
        }
        Ok(writer.0)
    }

    fn load_state_dict(&mut self, state: &BTreeMap<String, Tensor>) -> Result<()> {
        let mut reader = StateReader::new(state);
        let (best, epoch, bad) = (reader.scalar("best")?, reader.count("epoch")?, reader.count("bad")?);
        let weight = |(name, value): (&String, &Tensor)| {
            Some((name.strip_prefix("weights.")?.to_string(), value.clone()))
        };
        (self.best, self.epoch, self.bad) = (best, epoch, bad);
        self.weights = named(state.iter().filter_map(weight));
        Ok(())
    }
}
