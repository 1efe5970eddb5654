//! A training as a checkpoint, and back.

use std::path::Path;

use candle_core::Device;

use super::trainer::{State, Trainer};
use super::{History, Record, Scores};
use crate::autograd::{Tensor, named};
use crate::data::{DataLoader, Position};
use crate::error::{Error, Result};
use crate::io::Checkpoint;

/// What the table of the history has before the scores.
const COLUMNS: [&str; 3] = ["epoch", "step", "seconds"];

/// The error of a checkpoint that was not written, with what is left of the training.
fn stopped(error: Error, step: u64) -> Error {
    match error {
        Error::File { path, message, source } => {
            let left = if path.is_file() {
                "the one from before is whole: `resume` from it"
            } else {
                "there is none from before"
            };
            let message =
                format!("{message}; training stopped after step {step} without this checkpoint, {left}");
            Error::File { path, message, source }
        }
        other => other,
    }
}

impl Trainer<'_> {
    pub(super) fn save(&self, path: &Path, state: &State, position: Position) -> Result<()> {
        let mut checkpoint = Checkpoint::default();
        let model = self.model.state().into_iter().map(|(name, held)| (name, held.get()));
        checkpoint.insert("model", named(model));
        checkpoint.insert("optimizer", self.optimizer.state()?);
        for (i, callback) in self.callbacks.iter().enumerate() {
            checkpoint.insert(&format!("callback{i}"), callback.state()?);
        }
        checkpoint.set_meta("callbacks", self.callbacks.len());
        checkpoint.set_meta("seed", self.seed);
        checkpoint.set_meta("accumulate", self.accumulate);
        checkpoint.set_meta("position", position);
        checkpoint.set_meta("epoch", state.epoch);
        checkpoint.set_meta("step", state.step);
        // A number is written with all digits that it needs to be read again as the same.
        checkpoint.set_meta("loss_sum", state.sum);
        checkpoint.set_meta("examples", state.examples);
        put_history(&mut checkpoint, state.history.records())?;
        checkpoint.write(path).map_err(|error| stopped(error, state.step))
    }

    /// What `fit` begins with: where the run was, with the loader there, or a new run.
    pub(super) fn begin(&mut self, loader: &mut DataLoader) -> Result<State> {
        let Some(checkpoint) = self.resumed.take() else { return Ok(State::default()) };
        let saved: usize = checkpoint.meta("callbacks")?;
        if saved != self.callbacks.len() {
            let expected = format!("a checkpoint with {} callbacks", self.callbacks.len());
            return Err(Error::argument("fit", expected, saved));
        }
        loader.restore(checkpoint.meta("position")?)?;
        for (i, callback) in self.callbacks.iter_mut().enumerate() {
            let place = format!("callback{i}");
            callback.load_state(&checkpoint.tensors(&place)).map_err(|error| error.context(place))?;
        }
        Ok(State {
            epoch: checkpoint.meta("epoch")?,
            step: checkpoint.meta("step")?,
            sum: checkpoint.meta("loss_sum")?,
            examples: checkpoint.meta("examples")?,
            history: history(&checkpoint)?,
        })
    }

    /// Goes on where a checkpoint was written, with the same bits as if there had been no interruption. The model and the
    /// optimizer get what they had at once, the data and the callbacks when [`fit`](Trainer::fit) begins, which then takes
    /// the number of epochs as that of all together.
    ///
    /// The trainer is to be made as it was then, with the same data, settings and callbacks, in the same order, before this is
    /// called.
    ///
    /// # Errors
    /// A file that cannot be read, is cut off, or is no checkpoint; one of another model, optimizer or seed.
    ///
    /// ```
    /// use tealight::prelude::*;
    /// use tealight::train::Checkpoints;
    /// let dir = std::env::temp_dir().join("tealight-doc-resume");
    /// let x = Tensor::ones((8, 2), DType::F32, &Device::Cpu)?;
    /// let model = Linear::new(2, 2, &mut Rng::seed(1))?;
    /// let trainer = |epochs| {
    ///     let (sgd, files) = (Sgd::new(model.parameters(), 0.1)?, Checkpoints::new(&dir)?);
    ///     Ok::<_, Error>(Trainer::new(&model, Mse, sgd).epochs(epochs).silent().callback(files))
    /// };
    /// trainer(2)?.fit(&x, None)?;
    /// let history = trainer(5)?.resume(dir.join("last.safetensors"))?.fit(&x, None)?;
    /// assert_eq!(history.len(), 5); // two from before and three more
    /// # std::fs::remove_dir_all(dir).ok();
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn resume(mut self, path: impl AsRef<Path>) -> Result<Self> {
        let checkpoint = Checkpoint::read(path)?;
        let own = [("seed", self.seed), ("accumulate", self.accumulate as u64)];
        for (name, own) in own {
            let saved: u64 = checkpoint.meta(name)?;
            if saved != own {
                return Err(Error::argument("resume", format!("a checkpoint with {name} {own}"), saved));
            }
        }
        // All of the optimizer or nothing, and then all of the model or nothing.
        let before = self.optimizer.state()?;
        self.optimizer.load_state(&checkpoint.tensors("optimizer"))?;
        if let Err(error) = checkpoint.load(self.model) {
            self.optimizer.load_state(&before)?;
            return Err(error);
        }
        self.resumed = Some(checkpoint);
        Ok(self)
    }
}

fn put_history(checkpoint: &mut Checkpoint, records: &[Record]) -> Result<()> {
    let mut names: Vec<&str> = Vec::new();
    for name in records.iter().flat_map(|record| record.scores.names()) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    let mut table = Vec::with_capacity(records.len() * (COLUMNS.len() + names.len()));
    for record in records {
        table.extend([record.epoch as f64, record.step as f64, record.seconds]);
        // A score that this epoch does not have is written as one that is not a number.
        table.extend(names.iter().map(|name| record.scores.get(name).unwrap_or(f64::NAN)));
    }
    checkpoint.set_meta("scores", names.join("\n"));
    let table = Tensor::from_vec(table, (records.len(), COLUMNS.len() + names.len()), &Device::Cpu)?;
    checkpoint.insert("history", [("table".to_string(), table)].into());
    Ok(())
}

fn history(checkpoint: &Checkpoint) -> Result<History> {
    let names: String = checkpoint.meta("scores")?;
    let table = checkpoint.tensors("history").remove("table");
    let table = table.ok_or_else(|| Error::argument("resume", "a history in the checkpoint", "none"))?;
    let record = |row: Vec<f64>| match row.as_slice() {
        [epoch, step, seconds, values @ ..] if values.len() == names.lines().count() => {
            let mut scores = Scores::default();
            names.lines().zip(values).for_each(|(name, &value)| scores.push(name, value));
            Ok(Record { epoch: *epoch as u64, step: *step as u64, seconds: *seconds, scores })
        }
        row => {
            let expected = format!("{} columns in the history", COLUMNS.len() + names.lines().count());
            Err(Error::argument("resume", expected, row.len()))
        }
    };
    let records = table.to_vec2::<f64>()?.into_iter().map(record).collect::<Result<_>>()?;
    Ok(History { records, ..History::default() })
}
