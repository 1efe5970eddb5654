//! One step of a [`Trainer`], the learning rate finder, and checkpoints.

use std::path::Path;
use std::sync::Arc;

use candle_core::DType;

use super::shards::{Part, Share, exchange, side_by_side};
use super::task::{Task, one};
use super::trainer::Trainer;
use super::{Batches, EpochRecord, History, Scores};
use crate::autograd::{Gradients, Tensor, named, no_grad};
use crate::data::{DataLoader, Epoch, Position};
use crate::distributed::Alone;
use crate::error::{Error, Result};
use crate::io::Checkpoint;
use crate::layer::{Buffer, ForwardContext, Layer, Parameter, Peer, StateEntry};
use crate::program::{Evaluation, step_rng};

/// How far a training is.
#[derive(Clone, Debug, Default)]
pub(super) struct Progression {
    /// The number of finished epochs.
    pub(super) epoch: u64,
    /// The number of steps taken.
    pub(super) step: u64,
    /// The learning rate of the last step, with the schedule's factor.
    pub(super) learning_rate: f64,
    /// The loss of this epoch's batches so far.
    pub(super) loss: MeanLoss,
    pub(super) history: History,
    /// Whether the last step was replayed.
    pub(super) replayed: bool,
    /// See [`CallbackContext::higher_is_better`](super::CallbackContext::higher_is_better).
    pub(super) directions: Vec<(String, bool)>,
}

/// The loss of several batches together: see [`Loss::divisor`](crate::loss::Loss::divisor).
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct MeanLoss {
    sum: f64,
    /// 0 as long as no row counts.
    pub(super) divisor: f64,
}

impl MeanLoss {
    pub(super) fn add(&mut self, loss: f64, divisor: Option<f64>) {
        self.sum += loss * divisor.unwrap_or(1.0);
        self.divisor = divisor.map_or(1.0, |divisor| self.divisor + divisor);
    }

    pub(super) fn value(&self) -> f64 {
        self.sum / self.divisor
    }
}

impl Trainer<'_> {
    /// One optimizer step; returns its loss. At least one batch must be left.
    pub(super) fn step(&mut self, batches: &mut Epoch, state: &mut Progression) -> Result<f64> {
        let base = self.optimizer.learning_rate();
        state.learning_rate = base;
        state.replayed = false;
        let Some(schedule) = &self.schedule else { return self.unscheduled_step(batches, state) };
        // With 32 bits, a schedule stays where it is after 2^32 steps.
        let step = usize::try_from(state.step).unwrap_or(usize::MAX);
        state.learning_rate *= schedule.factor(step);
        self.optimizer.set_learning_rate(state.learning_rate)?;
        let ready = self.optimizer.set_momentum(schedule.momentum(step));
        let loss = ready.and_then(|()| self.unscheduled_step(batches, state));
        // Callbacks and checkpoints have the learning rate and the momentum without the schedule's.
        self.optimizer.set_momentum(None)?;
        self.optimizer.set_learning_rate(base)?;
        loss
    }

    fn unscheduled_step(&mut self, batches: &mut Epoch, state: &mut Progression) -> Result<f64> {
        let batches =
            (0..self.accumulate).map_while(|_| batches.next_shards()).collect::<Result<Vec<_>>>()?;
        let (model, task, parameters) = (self.model, &self.task, &self.parameters);
        let (accumulate, max_norm, seed, step) =
            (self.accumulate as u64, self.max_norm, self.seed, state.step);
        let (count, comm) = (self.shard_count(), self.distributed.as_deref().unwrap_or(&Alone));
        // Whether the batch is one piece.
        let whole = accumulate == 1 && count == 1;
        let (replay, entries) = (&mut self.replay, &self.entries);
        let summary = &mut state.history.summary;
        if let (true, [shards]) = (whole, &batches[..])
            && let [(_, (inputs, targets))] = &shards[..]
        {
            let data: Vec<Tensor> = inputs.iter().chain(targets).cloned().collect();
            let (rng, optimizer) = (|| step_rng(seed, step), &mut *self.optimizer);
            if let Some(loss) = replay.step_in_place(entries, &data, &rng, optimizer, max_norm, &finite) {
                let (loss, outputs) = (loss?, replay.last_outputs(&data, entries)?);
                state.step = state.step.saturating_add(1);
                state.replayed = true;
                state.loss.add(loss, task.divisor(&outputs, targets)?);
                return Ok(loss);
            }
        }
        // The losses and divisors of the batches at the first evaluation, before the parameters change.
        let (mut first, mut evaluations, before) = (None, 0, replay.replayed());
        let sync = self.sync_batch_norm && count > 1;
        self.optimizer.step_with(&mut || {
            let buffers = || entries.iter().filter_map(|(_, entry)| entry.buffer()).cloned();
            let buffers: Vec<Buffer> = if count == 1 { Vec::new() } else { buffers().collect() };
            let values = || buffers.iter().map(Buffer::get).collect::<Vec<_>>();
            let (before, mut shares) = (values(), Vec::new());
            if sync {
                let Task::One(model, loss) = task else {
                    let expected = "a trainer of one input, output and target for synchronized batch norms";
                    return Err(Error::argument("fit", expected, "one with a forward function"));
                };
                // The table of layers is that of the first shard.
                let known = summary.clone();
                let one_shard = |shard: usize, peer: Arc<Peer>| -> Result<(Gradients, Vec<Part>, String)> {
                    let (mut total, mut parts, mut table) = (Gradients::default(), Vec::new(), known.clone());
                    for (batch, shards) in (step.wrapping_mul(accumulate)..).zip(&batches) {
                        let Some((_, (inputs, targets))) = shards.iter().find(|(number, _)| *number == shard) else {
                            let expected = "a row for each shard of a batch where batch norms are synchronized \
                                            (DataLoader::drop_last leaves out a smaller last batch)";
                            return Err(Error::argument("fit", expected, format!("none for shard {shard}")));
                        };
                        let (x, y) = (one("input", inputs)?, one("target", targets)?);
                        let number = batch.wrapping_mul(count as u64).wrapping_add(shard as u64);
                        let mut ctx = ForwardContext::train(step_rng(seed, number)).with_peer(peer.clone());
                        let output = if table.is_empty() {
                            let (output, layers) = ctx.summarize(*model, x)?;
                            table = layers.to_string();
                            output
                        } else {
                            model.forward(x, &mut ctx)?
                        };
                        let divisor = loss.divisor(&output, y)?;
                        // Weighted before the backward pass, where the shards meet.
                        let weighted = if divisor == Some(0.0) {
                            parts.push(Part::Weightless);
                            output.sum_all()? * 0.0
                        } else {
                            let loss = loss.loss(&output, y)?;
                            parts.push(Part::Loss(scalar_loss(&loss)?, divisor));
                            loss * divisor.unwrap_or(1.0)
                        };
                        total = add_scaled(parameters, total, weighted?.backward()?, 1.0)?;
                    }
                    Ok((total, parts, table))
                };
                for (gradients, parts, table) in side_by_side(comm, count, &one_shard)? {
                    evaluations += 1;
                    *summary = table;
                    shares.push(Share { gradients, parts, buffers: values() });
                }
                buffers.iter().zip(&before).try_for_each(|(buffer, before)| buffer.set(before))?;
            }
            // The sum of a shard's gradients, each times the divisor of its loss, and its losses.
            let mut evaluate = |shard: usize| -> Result<(Gradients, Vec<Part>)> {
                let (mut total, mut parts) = (Gradients::default(), Vec::new());
                for (batch, shards) in (step.wrapping_mul(accumulate)..).zip(&batches) {
                    let Some((_, (inputs, targets))) = shards.iter().find(|(number, _)| *number == shard)
                    else {
                        parts.push(Part::Empty);
                        continue;
                    };
                    let number = batch.wrapping_mul(count as u64).wrapping_add(shard as u64);
                    let (rng, mut weightless) = (step_rng(seed, number), false);
                    let data: Vec<Tensor> = inputs.iter().chain(targets).cloned().collect();
                    evaluations += 1;
                    let evaluated = replay.evaluate(entries, &data, &rng, &mut |data, ctx| {
                        let (inputs, targets) = data.split_at(inputs.len());
                        let outputs = forward(task, model, inputs, ctx, summary)?;
                        weightless = !whole && task.divisor(&outputs, targets)? == Some(0.0);
                        let loss = task.loss(&outputs, targets)?;
                        scalar(&loss)?;
                        let gradients = loss.backward()?;
                        Ok(Evaluation { outputs, loss, gradients })
                    });
                    let Evaluation { outputs, loss, gradients } = match evaluated {
                        // A part of which no row counts has no loss, but the others have.
                        Err(_) if weightless => {
                            parts.push(Part::Weightless);
                            continue;
                        }
                        evaluated => evaluated?,
                    };
                    let (divisor, value) = (task.divisor(&outputs, targets)?, scalar_loss(&loss)?);
                    parts.push(Part::Loss(value, divisor));
                    total = match whole {
                        true => gradients,
                        false => add_scaled(parameters, total, gradients, divisor.unwrap_or(1.0))?,
                    };
                }
                Ok((total, parts))
            };
            let (mut gradients, parts) = if count == 1 {
                evaluate(0)?
            } else {
                for shard in (comm.rank()..count).step_by(comm.size()).filter(|_| !sync) {
                    let (gradients, parts) = evaluate(shard)?;
                    shares.push(Share { gradients, parts, buffers: values() });
                    buffers.iter().zip(&before).try_for_each(|(buffer, before)| buffer.set(before))?;
                }
                let all = exchange(comm, count, parameters, &buffers, &before, &shares)?;
                (all.gradients, all.parts)
            };
            let (mut together, losses) = (MeanLoss::default(), losses(&parts));
            losses.iter().for_each(|&(loss, divisor)| together.add(loss, divisor));
            if losses.is_empty() {
                return Err(Error::argument("fit", "a batch with a row that the loss counts", "none"));
            }
            // Later evaluations are trial points of a line search, which may leave the range of the loss.
            if first.is_none() {
                losses.iter().try_for_each(|&(loss, _)| finite(loss))?;
            }
            if !whole {
                gradients = add_scaled(parameters, Gradients::default(), gradients, 1.0 / together.divisor)?;
            }
            if let Some(max_norm) = max_norm {
                gradients.clip_grad_norm(max_norm, parameters)?;
            }
            first.get_or_insert((together.value(), losses));
            Ok((together.value(), gradients))
        })?;
        let Some((loss, parts)) = first else {
            return Err(Error::argument("fit", "an optimizer that evaluates the loss", "one that does not"));
        };
        state.step = state.step.saturating_add(1);
        state.replayed = replay.replayed() - before == evaluations;
        parts.into_iter().for_each(|(loss, divisor)| state.loss.add(loss, divisor));
        Ok(loss)
    }

    /// Trains with learning rates that grow from `start` to `end` by a constant factor from step to step, and then sets the model
    /// and the optimizer back to what they were. Stops early when the loss becomes very large. Ignores schedule, callbacks and
    /// epochs.
    ///
    /// # Errors
    /// Errors unless 0 < `start` < `end` and there are two steps or more, or as [`fit`](Trainer::fit) does.
    ///
    /// ```
    /// # use tealight::prelude::*;
    /// # let x = Tensor::randn(0.0, 1.0, (200, 3), &mut Rng::seed(1))?;
    /// # let data = (x.clone(), x.sum_keepdim(1)?);
    /// # let model = Linear::new(3, 1, &mut Rng::seed(2))?;
    /// let mut trainer = Trainer::new(&model, Mse, Sgd::new(model.parameters(), 0.1)?);
    /// let range = trainer.lr_find(&data, 1e-5, 10.0, 100)?;
    /// assert!((1e-3..1.0).contains(&range.suggestion()?));
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn lr_find(&mut self, data: &dyn Batches, start: f64, end: f64, steps: u64) -> Result<LrFinder> {
        if !(start > 0.0 && start < end && end.is_finite() && steps > 1) {
            let got = format!("{start}, {end} and {steps}");
            return Err(Error::argument("lr_find", "0 < start < end and two steps or more", got));
        }
        let optimizer = self.optimizer.state_dict()?;
        let model: Vec<(StateEntry, Tensor)> =
            self.model.state_dict().into_iter().map(|(_, entry)| (entry.clone(), entry.get())).collect();
        let schedule = self.schedule.take();
        let found = self.try_learning_rates(data, start, end, steps);
        self.schedule = schedule;
        model.into_iter().try_for_each(|(entry, value)| entry.set(&value))?;
        self.optimizer.load_state_dict(&optimizer)?;
        found
    }

    fn try_learning_rates(
        &mut self,
        data: &dyn Batches,
        start: f64,
        end: f64,
        steps: u64,
    ) -> Result<LrFinder> {
        let mut loader = self.train_loader(data)?;
        if loader.is_empty() {
            return Err(Error::argument(
                "lr_find",
                "enough examples for a batch",
                loader.dataset().num_examples(),
            ));
        }
        let mut batches = loader.epoch()?;
        let (mut state, mut losses) = (Progression::default(), Vec::new());
        let (mut mean, mut least) = (0.0, f64::INFINITY);
        while state.step < steps {
            if batches.len() == 0 {
                batches = loader.epoch()?;
            }
            let learning_rate = start * (end / start).powf(state.step as f64 / (steps - 1) as f64);
            self.optimizer.set_learning_rate(learning_rate)?;
            let loss = match self.step(&mut batches, &mut state) {
                Ok(loss) => loss,
                // The loss diverged within one step; the learning rates before are the result.
                Err(_) if state.step > 1 => break,
                Err(error) => return Err(error),
            };
            mean = LrFinder::SMOOTHING * mean + (1.0 - LrFinder::SMOOTHING) * loss;
            let smooth = mean / (1.0 - LrFinder::SMOOTHING.powf(state.step as f64));
            losses.push((learning_rate, smooth));
            least = least.min(smooth);
            if smooth > LrFinder::DIVERGED * least {
                break;
            }
        }
        Ok(LrFinder { losses })
    }

    /// Writes a checkpoint, on rank 0.
    pub(super) fn save(&self, path: &Path, state: &Progression, position: Position) -> Result<()> {
        if self.comm().rank() > 0 {
            return Ok(());
        }
        let mut checkpoint = Checkpoint::default();
        let model = self.model.state_dict().into_iter().map(|(name, entry)| (name, entry.get()));
        checkpoint.insert("model", named(model));
        checkpoint.insert("optimizer", self.optimizer.state_dict()?);
        for (i, callback) in self.callbacks.iter().enumerate() {
            checkpoint.insert(&format!("callback{i}"), callback.state_dict()?);
        }
        checkpoint.set_meta("callbacks", self.callbacks.len());
        checkpoint.set_meta("seed", self.seed);
        checkpoint.set_meta("accumulate", self.accumulate);
        checkpoint.set_meta("shards", self.shard_count());
        checkpoint.set_meta("position", position);
        checkpoint.set_meta("epoch", state.epoch);
        checkpoint.set_meta("step", state.step);
        checkpoint.set_meta("loss_sum", state.loss.sum);
        checkpoint.set_meta("loss_divisor", state.loss.divisor);
        checkpoint.set_meta("history", history_to_json(&state.history));
        checkpoint.write(path).map_err(|error| with_outcome(error, state.step))
    }

    /// Where `fit` begins: after the checkpoint of [`resume`](Trainer::resume), with the loader there too, or at 0.
    pub(super) fn begin(&mut self, loader: &mut DataLoader) -> Result<Progression> {
        let Some(checkpoint) = self.resumed.take() else { return Ok(Progression::default()) };
        let saved: usize = checkpoint.meta("callbacks")?;
        if saved != self.callbacks.len() {
            let expected = format!("a checkpoint with {} callbacks", self.callbacks.len());
            return Err(Error::argument("fit", expected, saved));
        }
        loader.restore(checkpoint.meta("position")?)?;
        for (i, callback) in self.callbacks.iter_mut().enumerate() {
            let name = format!("callback{i}");
            callback.load_state_dict(&checkpoint.tensors(&name)).map_err(|error| error.context(name))?;
        }
        Ok(Progression {
            epoch: checkpoint.meta("epoch")?,
            step: checkpoint.meta("step")?,
            loss: MeanLoss { sum: checkpoint.meta("loss_sum")?, divisor: checkpoint.meta("loss_divisor")? },
            history: history_from_json(&checkpoint.meta::<String>("history")?)?,
            ..Progression::default()
        })
    }

    /// Continues from a checkpoint, bit for bit as if the training had not been interrupted.
    ///
    /// First make the trainer as it was, with the same data, settings and callbacks in the same order. This restores the model
    /// and the optimizer; [`fit`](Trainer::fit) restores the data and the callbacks. The number of epochs is the total.
    ///
    /// # Errors
    /// Errors if the file cannot be read, is truncated, or is not a checkpoint, or if it is of another model, optimizer, seed, or
    /// number of accumulated batches or [shards](Trainer::shards).
    ///
    /// ```
    /// # use tealight::prelude::*;
    /// # use tealight::train::Checkpoints;
    /// # let dir = std::env::temp_dir().join("tealight-doc-resume");
    /// # let x = Tensor::ones((8, 2), DType::F32, &Device::Cpu)?;
    /// # let model = Linear::new(2, 2, &mut Rng::seed(1))?;
    /// let trainer = |epochs| {
    ///     let (sgd, checkpoints) = (Sgd::new(model.parameters(), 0.1)?, Checkpoints::new(&dir)?);
    ///     Ok::<_, Error>(Trainer::new(&model, Mse, sgd).epochs(epochs).silent().callback(checkpoints))
    /// };
    /// trainer(2)?.fit(&x, None)?;
    /// assert_eq!(trainer(5)?.resume(dir.join("last.safetensors"))?.fit(&x, None)?.len(), 5); // three more epochs
    /// # std::fs::remove_dir_all(dir).ok();
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn resume(mut self, path: impl AsRef<Path>) -> Result<Self> {
        let checkpoint = Checkpoint::read(path)?;
        let own = [
            ("seed", self.seed),
            ("accumulate", self.accumulate as u64),
            ("shards", self.shard_count() as u64),
        ];
        // Those of earlier versions do not say that there is one shard.
        let shards = checkpoint.meta("shards").unwrap_or(1);
        for (name, own) in own {
            let saved: u64 = if name == "shards" { shards } else { checkpoint.meta(name)? };
            if saved != own {
                return Err(Error::argument("resume", format!("a checkpoint with {name} {own}"), saved));
            }
        }
        // Both load all or nothing, so a model that does not fit leaves only the optimizer to put back.
        let before = self.optimizer.state_dict()?;
        self.optimizer.load_state_dict(&checkpoint.tensors("optimizer"))?;
        if let Err(error) = checkpoint.load(self.model) {
            self.optimizer.load_state_dict(&before)?;
            return Err(error);
        }
        self.resumed = Some(checkpoint);
        Ok(self)
    }
}

/// The outputs for a batch. Fills in the model's summary table if it is empty.
fn forward(
    task: &Task,
    model: &dyn Layer,
    inputs: &[Tensor],
    mut ctx: ForwardContext,
    summary: &mut String,
) -> Result<Vec<Tensor>> {
    if !summary.is_empty() {
        return task.forward(inputs, &mut ctx);
    }
    let (outputs, table) = ctx.summarize_with(model, |ctx| task.forward(inputs, ctx))?;
    *summary = table.to_string();
    Ok(outputs)
}

pub(super) fn scalar_loss(loss: &Tensor) -> Result<f64> {
    scalar(loss)?;
    loss.detach().to_dtype(DType::F64)?.to_scalar()
}

/// The losses and divisors of the parts that have one.
fn losses(parts: &[Part]) -> Vec<(f64, Option<f64>)> {
    let loss = |part: &Part| if let Part::Loss(loss, divisor) = *part { Some((loss, divisor)) } else { None };
    parts.iter().filter_map(loss).collect()
}

fn finite(loss: f64) -> Result<()> {
    if loss.is_finite() {
        return Ok(());
    }
    let expected =
        "a loss that is finite (a smaller learning rate? autograd::detect_anomaly finds the operation)";
    Err(Error::argument("fit", expected, loss))
}

/// Errors unless the loss is one number.
fn scalar(loss: &Tensor) -> Result<()> {
    if loss.rank() != 0 {
        return Err(Error::shape("fit", "a scalar loss (not Reduction::None)", &[loss.dims()]));
    }
    Ok(())
}

/// `total` + `gradients`·`factor`
fn add_scaled(
    parameters: &[(String, Parameter)],
    mut total: Gradients,
    gradients: Gradients,
    factor: f64,
) -> Result<Gradients> {
    for (_, parameter) in parameters {
        let leaf = parameter.get();
        let Some(gradient) = gradients.get(&leaf) else { continue };
        let gradient = no_grad(|| {
            let scaled = gradient * factor;
            match total.get(&leaf) {
                Some(known) => known + &scaled?,
                None => scaled,
            }
        })?;
        total.replace(&leaf, gradient);
    }
    Ok(total)
}

/// Losses at growing learning rates: what [`Trainer::lr_find`] returns.
///
/// # Source
/// L. N. Smith 2017, "Cyclical learning rates for training neural networks".
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct LrFinder {
    /// Pairs of learning rate and loss, for [`plot::curve`](crate::plot::curve). The losses are smoothed: m ← 0.9·m + 0.1·loss,
    /// divided by 1 − 0.9ⁿ after n steps.
    pub losses: Vec<(f64, f64)>,
}

impl LrFinder {
    const SMOOTHING: f64 = 0.9;
    /// `lr_find` stops where the loss is this many times the smallest.
    const DIVERGED: f64 = 4.0;

    /// A tenth of the learning rate with the smallest loss, where the loss still falls: a good learning rate, or the largest of a
    /// schedule.
    ///
    /// # Errors
    /// Errors if the loss never falls.
    #[doc(alias = "lr_suggestion")]
    pub fn suggestion(&self) -> Result<f64> {
        let least = self.losses.iter().min_by(|a, b| a.1.total_cmp(&b.1));
        match (self.losses.first(), least) {
            (Some(first), Some(least)) if least.1 < first.1 => Ok(least.0 / 10.0),
            _ => {
                let expected = "a loss that falls at some learning rate (try smaller ones, or more steps)";
                Err(Error::argument("lr_find", expected, "none"))
            }
        }
    }
}

/// Adds to the error of a checkpoint that was not written what is left of the training.
fn with_outcome(error: Error, step: u64) -> Error {
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

/// Epoch, step, seconds, and the scores. Floats are text: JSON has no NaN, and serde_json does not read all digits back exactly.
type SavedRecord = (u64, u64, String, Vec<(String, String)>);

fn history_to_json(history: &History) -> String {
    let record = |record: &EpochRecord| -> SavedRecord {
        let scores = record.scores.iter().map(|(name, score)| (name.to_string(), score.to_string()));
        (record.epoch, record.step, record.seconds.to_string(), scores.collect())
    };
    serde_json::to_string(&history.records.iter().map(record).collect::<Vec<_>>())
        .expect("numbers and strings can be written as JSON")
}

fn history_from_json(text: &str) -> Result<History> {
    let invalid =
        |error: &dyn std::fmt::Display| Error::argument("resume", "a history in the checkpoint", error);
    let float = |text: &str| text.parse::<f64>().map_err(|error| invalid(&error));
    let saved: Vec<SavedRecord> = serde_json::from_str(text).map_err(|error| invalid(&error))?;
    let mut history = History::default();
    for (epoch, step, seconds, values) in saved {
        let mut scores = Scores::default();
        for (name, score) in values {
            scores.push(name, float(&score)?);
        }
        history.records.push(EpochRecord { epoch, step, seconds: float(&seconds)?, scores });
    }
    Ok(history)
}
