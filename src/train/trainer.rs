//! [`Trainer`]: its options, and the loop over epochs and batches.

use std::any::type_name;
use std::fmt;
use std::io::Write;
use std::time::Instant;

use super::callback::{Callback, CallbackContext, Requests, StepCallback};
use super::fit::{MeanLoss, Progression, scalar_loss};
use super::history::Short;
use super::shards::COMPARE_EVERY;
use super::task::Task;
use super::{Batches, EpochRecord, History, Progress, Scores};
use crate::autograd::array::is_finite;
use crate::autograd::{Tensor, no_grad};
use crate::data::DataLoader;
use crate::distributed::Communicator;
use crate::error::{Error, Result};
use crate::io::Checkpoint;
use crate::layer::{ForwardContext, Layer, Parameter, StateEntry};
use crate::loss::Loss;
use crate::metrics::{ConfusionMatrix, Metric};
use crate::optim::schedule::Schedule;
use crate::optim::{Optimizer, distinct, without_paths};
use crate::program::{Program, Replay};

/// Trains a model: batches, epochs, validation and callbacks.
///
/// The same data, settings and seed give the same bits, with any number of threads, and also if the training was interrupted and
/// [resumed](Trainer::resume).
///
/// Any [`Optimizer`] will do, also [`Lbfgs`](crate::optim::Lbfgs), which evaluates the loss several times a step: each evaluation
/// is on the same batches, with the same random numbers (dropout masks).
///
/// ```
/// # use tealight::optim::schedule::CosineAnnealingLr;
/// # use tealight::prelude::*;
/// # use tealight::train::{EarlyStopping, Trainer};
/// # let x = Tensor::randn(0.0, 1.0, (100, 3), &mut Rng::seed(1))?;
/// # let train = (x.clone(), x.sum_keepdim(1)?);
/// # let valid = train.clone();
/// # let model = Linear::new(3, 1, &mut Rng::seed(2))?;
/// let mut trainer = Trainer::new(&model, Mse, AdamW::new(model.parameters(), 0.1)?).epochs(40);
/// # trainer = trainer.silent();
/// trainer = trainer.schedule(CosineAnnealingLr::new(40 * 4)?).clip_grad_norm(1.0);
/// trainer = trainer.callback(EarlyStopping::new("valid_loss", 10));
/// let history = trainer.fit(&train, Some(&valid))?;
/// assert!(history.last("valid_loss")? < 0.01);
/// # Ok::<(), tealight::Error>(())
/// ```
pub struct Trainer<'a> {
    pub(super) model: &'a dyn Layer,
    pub(super) task: Task<'a>,
    pub(super) optimizer: Box<dyn Optimizer + 'a>,
    pub(super) callbacks: Vec<Box<dyn Callback + 'a>>,
    metrics: Vec<Measured<'a>>,
    pub(super) schedule: Option<Box<dyn Schedule + 'a>>,
    schedule_name: Option<String>,
    pub(super) parameters: Vec<(String, Parameter)>,
    pub(super) entries: Vec<(String, StateEntry)>,
    pub(super) replay: Replay,
    always_replay: bool,
    epochs: u64,
    pub(super) batch_size: usize,
    pub(super) accumulate: usize,
    pub(super) distributed: Option<Box<dyn Communicator + 'a>>,
    pub(super) shards: Option<usize>,
    pub(super) sync_batch_norm: bool,
    pub(super) max_norm: Option<f64>,
    pub(super) seed: u64,
    silent: bool,
    pub(super) resumed: Option<Checkpoint>,
    history: History,
}

/// The steps of an epoch from which on it pays to compare the first with a step computed anew, and to replay the others.
const REPLAYED_FROM: usize = 16;

/// A metric, and the output and target that it compares.
struct Measured<'a> {
    name: String,
    index: usize,
    metric: Box<dyn Metric + 'a>,
}

impl<'a> Trainer<'a> {
    /// A trainer for one epoch with batches of 32; the other methods change that.
    pub fn new(model: &'a dyn Layer, loss: impl Loss + 'a, optimizer: impl Optimizer + 'a) -> Self {
        Self::of_task(model, Task::One(model, Box::new(loss)), optimizer)
    }

    /// A trainer of a model with several inputs, outputs or targets: `forward` makes the outputs of the inputs of a batch, and
    /// `loss` one number, a mean over the batch, of outputs and targets. The outputs are a tensor, or an array or `Vec` of them.
    ///
    /// The data are a pair of lists of tensors, or another [`MultiDataset`](crate::data::MultiDataset).
    /// [`metric_of`](Trainer::metric_of) measures an output.
    ///
    /// ```
    /// # use tealight::metrics::Mae;
    /// # use tealight::prelude::*;
    /// # let [a, b] = [1, 2].map(|seed| Tensor::randn(0.0, 1.0, (100, 3), &mut Rng::seed(seed)));
    /// # let (a, b) = (a?, b?);
    /// # let net = Linear::new(3, 2, &mut Rng::seed(3))?;
    /// // Sum and difference of two inputs, each through the same layer.
    /// let forward = |x: &[Tensor], ctx: &mut ForwardContext| {
    ///     let [a, b] = [net.forward(&x[0], ctx)?, net.forward(&x[1], ctx)?];
    ///     Ok([(&a + &b)?, (a - b)?])
    /// };
    /// let loss = |y: &[Tensor], t: &[Tensor]| Mse.loss(&y[0], &t[0])? + Mse.loss(&y[1], &t[1])?;
    /// let mut trainer = Trainer::with_forward(&net, forward, loss, Adam::new(net.parameters(), 0.01)?)
    ///     .metric_of(1, "difference", Mae::new());
    /// # trainer = trainer.silent();
    /// # let half = |x: &Tensor| x.narrow(1, 0, 2);
    /// # let data = (vec![a.clone(), b.clone()], vec![half(&(&a + &b)?)?, half(&(a - b)?)?]);
    /// let history = trainer.fit(&data, Some(&data))?; // (vec![a, b], vec![sums, differences])
    /// assert!(history.last("valid_difference mae")? > 0.0);
    /// assert_eq!(trainer.predict_multi(&data)?.len(), 2);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn with_forward<Y: AsRef<[Tensor]>>(
        model: &'a dyn Layer,
        forward: impl Fn(&[Tensor], &mut ForwardContext) -> Result<Y> + 'a,
        loss: impl Fn(&[Tensor], &[Tensor]) -> Result<Tensor> + 'a,
        optimizer: impl Optimizer + 'a,
    ) -> Self {
        let forward = move |inputs: &[Tensor], ctx: &mut ForwardContext| {
            forward(inputs, ctx).map(|outputs| outputs.as_ref().to_vec())
        };
        Self::of_task(model, Task::Multi(Box::new(forward), Box::new(loss)), optimizer)
    }

    fn of_task(model: &'a dyn Layer, task: Task<'a>, optimizer: impl Optimizer + 'a) -> Self {
        Trainer {
            model,
            task,
            optimizer: Box::new(optimizer),
            callbacks: Vec::new(),
            metrics: Vec::new(),
            schedule: None,
            schedule_name: None,
            parameters: distinct(model.parameters()),
            entries: model.state_dict(),
            replay: Replay::default(),
            always_replay: false,
            epochs: 1,
            batch_size: 32,
            accumulate: 1,
            distributed: None,
            shards: None,
            sync_batch_norm: false,
            max_norm: None,
            seed: 0,
            silent: false,
            resumed: None,
            history: History::default(),
        }
    }

    /// The number of epochs. Default: 1.
    #[must_use]
    pub fn epochs(mut self, epochs: u64) -> Self {
        self.epochs = epochs;
        self
    }

    /// The number of examples in a batch; `usize::MAX` for all. Default: 32. A [`DataLoader`](crate::data::DataLoader) keeps
    /// its own.
    ///
    /// The last batch may be smaller. One of a single example is an error in a batch normalization: [`DataLoader::drop_last`]
    /// leaves it out.
    #[must_use]
    pub fn batch_size(mut self, size: usize) -> Self {
        self.batch_size = size;
        self
    }

    /// Takes one optimizer step for this many batches together, with the gradient of one large batch. Of losses with class
    /// weights or an ignored class, too: [`Loss::divisor`]. Default: 1; 0 counts as 1.
    #[must_use]
    #[doc(alias = "gradient_accumulation_steps")]
    #[doc(alias = "accumulate_grad_batches")]
    pub fn accumulate(mut self, batches: usize) -> Self {
        self.accumulate = batches.max(1);
        self
    }

    /// Trains on all ranks together: each computes the gradients of some of the [`shards`](Trainer::shards) of a batch, and all take the
    /// same step with their sum.
    ///
    /// All ranks run the same program with the same data, seeds and settings; each reads only the examples of its shards. The results
    /// have the same bits with any number of ranks, also where a training is [resumed](Trainer::resume) with another number.
    /// Every 100 steps the ranks compare their parameters. Validation runs on all ranks alike, so that early stopping and schedules
    /// agree; other callbacks must do so too. Rank 0 alone shows progress and writes checkpoints and [`Log`](super::Log)s;
    /// a resumed training reads its checkpoint on all ranks. Where one rank fails, all end with its error. Ctrl-C ends all without a
    /// checkpoint: see [`Checkpoints::every_steps`](super::Checkpoints::every_steps).
    ///
    /// ```no_run
    /// # #[cfg(feature = "mpi")] {
    /// # use tealight::prelude::*;
    /// # use tealight::distributed::Mpi;
    /// # let x = Tensor::ones((40, 2), DType::F32, &Device::Cpu)?;
    /// # let model = Linear::new(2, 1, &mut Rng::seed(1))?;
    /// // mpirun -n 4 my_program
    /// let mut trainer = Trainer::new(&model, Mse, Sgd::new(model.parameters(), 0.1)?).distributed(Mpi::init()?);
    /// trainer.fit(&(x.clone(), x.sum_keepdim(1)?), None)?;
    /// # }
    /// # Ok::<(), tealight::Error>(())
    /// ```
    #[must_use]
    #[doc(alias = "DistributedDataParallel")]
    pub fn distributed(mut self, comm: impl Communicator + 'a) -> Self {
        self.distributed = Some(Box::new(comm));
        self
    }

    /// Cuts each batch into this many shards, of equal size but for one row, and adds their gradients. Default: 4 for a
    /// [`distributed`](Trainer::distributed) training, 1 for others; 0 counts as 1.
    ///
    /// Rank r of P computes the shards r, r + P, …: at most as many ranks as shards can share the work, and a number of ranks that
    /// divides that of the shards shares it evenly. The bits of the results depend on the number of shards, not on that of ranks.
    ///
    /// A batch normalization sees one shard at a time, and its running statistics get the mean of all shards, unless they are
    /// [synchronized](Trainer::sync_batch_norm). Dropout draws other numbers for each shard.
    #[must_use]
    pub fn shards(mut self, count: usize) -> Self {
        self.shards = Some(count.max(1));
        self
    }

    /// Batch normalizations see all [`shards`](Trainer::shards) of a batch together, on all ranks: the training is that of the whole batch, but
    /// for rounding. Default: each sees one shard.
    ///
    /// The shards of a rank are computed side by side, and all ranks exchange the sums of each batch normalization twice in a step. The bits
    /// of the results depend on the number of shards, not on that of ranks. No step is replayed.
    ///
    /// # Errors
    /// [`fit`](Trainer::fit) errors if a batch has fewer rows than shards, and for a trainer of several inputs
    /// ([`with_forward`](Trainer::with_forward)).
    #[must_use]
    #[doc(alias = "SyncBatchNorm")]
    #[doc(alias = "convert_sync_batchnorm")]
    pub fn sync_batch_norm(mut self) -> Self {
        self.sync_batch_norm = true;
        self
    }

    /// Multiplies the optimizer's learning rate, and so that of each parameter group, by the schedule's factor in each step, and
    /// sets the schedule's momentum, if it has one. Default: no schedule.
    ///
    /// ```
    /// # use tealight::prelude::*;
    /// # let x = Tensor::ones((8, 2), DType::F32, &Device::Cpu)?;
    /// # let model = Linear::new(2, 2, &mut Rng::seed(1))?;
    /// # let sgd = Sgd::new(model.parameters(), 0.1)?;
    /// let halves = |step: usize| 0.5_f64.powi(step as i32); // of 0.1
    /// let mut trainer = Trainer::new(&model, Mse, sgd).epochs(3).schedule(halves).silent();
    /// let history = trainer.fit(&x, None)?;
    /// assert_eq!(history.curve("learning_rate"), [(1.0, 0.1), (2.0, 0.05), (3.0, 0.025)]);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    #[must_use]
    #[doc(alias = "lr_scheduler")]
    #[doc(alias = "LearningRateScheduler")]
    pub fn schedule<S: Schedule + 'a>(mut self, schedule: S) -> Self {
        self.schedule_name = Some(without_paths(type_name::<S>()));
        self.schedule = Some(Box::new(schedule));
        self
    }

    /// Scales the gradients so that their total norm is at most `max_norm`. Default: no clipping.
    #[must_use]
    #[doc(alias = "gradient_clip_val")]
    pub fn clip_grad_norm(mut self, max_norm: f64) -> Self {
        self.max_norm = Some(max_norm);
        self
    }

    /// The seed of the order of the examples and of the model's random numbers, such as dropout masks. Default: 0.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Computes every step anew.
    ///
    /// By default a step is recorded once for each shape of a batch, and replayed from then on with the same results, as by a
    /// [`TrainStep`](crate::program::TrainStep). The first step of each epoch is compared with a step computed anew: so what a
    /// callback changes between epochs, such as a number that a layer reads, is seen. Computed anew are all steps of epochs of
    /// fewer than 16 steps, and those of [`with_forward`](Trainer::with_forward), whose closures may read what changes at any
    /// time; [`always_replay`](Trainer::always_replay) replays these, too. [`History::replayed_steps`] counts.
    #[must_use]
    pub fn eager(mut self) -> Self {
        self.replay.refuse(Error::argument("fit", "steps that may be recorded", "eager()"));
        self
    }

    /// Replays steps in epochs of any length, and those of [`with_forward`](Trainer::with_forward), and does not compare the first
    /// step of each epoch: nothing that the model and the loss read besides tensors, parameters and buffers may change.
    #[must_use]
    #[doc(alias = "compile")]
    pub fn always_replay(mut self) -> Self {
        self.always_replay = true;
        self
    }

    /// The program of the last recorded step; none before the first step, or if steps are not replayed.
    pub fn program(&self) -> Option<&Program> {
        self.replay.program()
    }

    /// Shows no [`Progress`].
    #[must_use]
    #[doc(alias = "verbose")]
    pub fn silent(mut self) -> Self {
        self.silent = true;
        self
    }

    /// Adds a metric, measured after each epoch on the validation data, or on the training data if there is none. It is NaN in an
    /// epoch where it is undefined: see [`History::undefined`].
    ///
    /// ```
    /// # use tealight::metrics::Mae;
    /// # use tealight::prelude::*;
    /// # let x = Tensor::ones((8, 2), DType::F32, &Device::Cpu)?;
    /// # let model = Linear::new(2, 2, &mut Rng::seed(1))?;
    /// # let sgd = Sgd::new(model.parameters(), 0.1)?;
    /// let mut trainer = Trainer::new(&model, Mse, sgd).metric(Mae::new()).silent();
    /// let history = trainer.fit(&x, Some(&x))?;
    /// assert_eq!(trainer.evaluate(&x)?.get("mae")?, history.last("valid_mae")?);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    #[must_use]
    pub fn metric(mut self, metric: impl Metric + 'a) -> Self {
        self.metrics.push(Measured { name: metric.name(), index: 0, metric: Box::new(metric) });
        self
    }

    /// Adds a [`metric`](Trainer::metric) of the output and the target number `index`, from 0, of several. Its score is called
    /// `valid_parity accuracy` for the name `parity`.
    #[must_use]
    pub fn metric_of(mut self, index: usize, name: &str, metric: impl Metric + 'a) -> Self {
        let name = format!("{name} {}", metric.name());
        self.metrics.push(Measured { name, index, metric: Box::new(metric) });
        self
    }

    /// Adds a callback. Callbacks are called in the order in which they were added.
    #[must_use]
    pub fn callback(mut self, callback: impl Callback + 'a) -> Self {
        self.callbacks.push(Box::new(callback));
        self
    }

    /// Adds a closure that is called after each epoch. An error from it ends the training.
    ///
    /// ```
    /// # use tealight::prelude::*;
    /// # let x = Tensor::ones((8, 2), DType::F32, &Device::Cpu)?;
    /// # let model = Linear::new(2, 2, &mut Rng::seed(1))?;
    /// # let sgd = Sgd::new(model.parameters(), 0.1)?;
    /// let mut trainer = Trainer::new(&model, Mse, sgd).epochs(9).silent().on_epoch_end(|ctx| {
    ///     if ctx.epoch == 2 { ctx.stop() }
    ///     Ok(())
    /// });
    /// assert_eq!(trainer.fit(&x, None)?.len(), 2);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    #[must_use]
    pub fn on_epoch_end(self, f: impl FnMut(&mut CallbackContext) -> Result<()> + 'a) -> Self {
        self.callback(f)
    }

    /// Adds a closure that is called after each optimizer step. An error from it ends the training.
    #[must_use]
    #[doc(alias = "on_train_batch_end")]
    pub fn on_step_end(self, f: impl FnMut(&mut CallbackContext) -> Result<()> + 'a) -> Self {
        self.callback(StepCallback(f))
    }

    /// Trains the model, and evaluates it after each epoch on `valid`, if given.
    ///
    /// Each call starts from epoch 0, with the model and the optimizer as they are.
    ///
    /// # Errors
    /// Errors if there are no examples, if the loss is NaN or infinite (the error names the step, which is not taken), or if the
    /// data, the model, the loss, the optimizer or a callback does. With several ranks an error ends all of them.
    /// [`Error::Interrupted`] after Ctrl-C if a callback, such as
    /// [`Checkpoints`](super::Checkpoints), saves the training then.
    ///
    /// ```
    /// # use tealight::prelude::*;
    /// # let x = Tensor::ones((40, 2), DType::F32, &Device::Cpu)?;
    /// # let model = Linear::new(2, 1, &mut Rng::seed(1))?;
    /// # let mut trainer = Trainer::new(&model, Mse, Sgd::new(model.parameters(), 0.1)?).silent();
    /// let data = (x.clone(), x.sum_keepdim(1)?); // inputs and targets
    /// let history = trainer.fit(&data, Some(&data))?;
    /// let record = &history.records()[0];
    /// assert!(record.scores.names().eq(["loss", "learning_rate", "valid_loss"]));
    /// assert_eq!(record.step, 2); // batches of 32 and of 8
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn fit(&mut self, train: &dyn Batches, valid: Option<&dyn Batches>) -> Result<History> {
        let fitted = self.fit_here(train, valid);
        if let Err(error) = &fitted
            && self.comm().size() > 1
        {
            self.comm().abort(&error.to_string());
        }
        fitted
    }

    fn fit_here(&mut self, train: &dyn Batches, valid: Option<&dyn Batches>) -> Result<History> {
        self.history = History::default();
        let mut loader = self.train_loader(train)?;
        if loader.is_empty() {
            let got = format!("{} examples", loader.dataset().num_examples());
            return Err(Error::argument("fit", "enough examples for a batch", got));
        }
        let measured = match valid {
            Some(valid) => Some(("valid_", valid.batches(self.batch_size, None)?)),
            None if self.metrics.is_empty() => None,
            None => Some(("", train.batches(self.batch_size, None)?)),
        };
        let mut state = self.begin(&mut loader)?;
        state.directions = self.directions(measured.as_ref().map(|(prefix, _)| *prefix));
        state.history.settings = self.settings(loader.dataset().num_examples(), measured.as_ref());
        self.check_settings(&format!("{:?} at step {}", state.history.settings, state.step))?;
        #[cfg(feature = "interrupt")]
        let watch = match self.callbacks.iter().find_map(|callback| callback.checkpoint_on_interrupt()) {
            // The ranks would not notice it at the same step.
            Some(path) if self.comm().size() == 1 => Some((super::interrupt::Watch::start()?, path)),
            _ => None,
        };
        let mut position = loader.position();
        let mut requests = Requests::default();
        let mut progress = (!self.silent && self.comm().rank() == 0).then(|| {
            let steps = (loader.len().div_ceil(self.accumulate) as u64).saturating_mul(self.epochs);
            Progress::new(steps).after(state.step)
        });
        // A refusal that is there before the first step was asked for, or printed before.
        let (first, begun, mut said) = (state.step, Instant::now(), self.replay.refusal().is_some());
        self.notify(&state, f64::NAN, &mut requests, |callback, ctx| callback.on_train_begin(ctx))?;
        while state.epoch < self.epochs && !requests.stop {
            let (mut batches, started) = (loader.epoch()?, Instant::now());
            if !self.always_replay {
                let pays = batches.len().div_ceil(self.accumulate) >= REPLAYED_FROM;
                self.replay.pause(!(pays && matches!(self.task, Task::One(..))));
                self.replay.compare_next();
            }
            while batches.len() > 0 && !requests.stop {
                let step = state.step.saturating_add(1);
                if state.step.is_multiple_of(COMPARE_EVERY) {
                    self.compare_ranks()?;
                }
                let loss = self.step(&mut batches, &mut state);
                let loss = loss.map_err(|error| error.context(format!("step {step}")))?;
                state.history.replayed_steps += u64::from(state.replayed);
                if let (false, Some(reason)) = (said, self.replay.refusal()) {
                    self.say(format_args!("steps are computed anew: {reason}"));
                    said = true;
                }
                position = batches.position();
                let mut notified =
                    self.notify(&state, loss, &mut requests, |callback, ctx| callback.on_step_end(ctx));
                if batches.len() == 0 && notified.is_ok() {
                    self.end_epoch(&mut state, started, measured.as_ref())?;
                    notified =
                        self.notify(&state, loss, &mut requests, |callback, ctx| callback.on_epoch_end(ctx));
                }
                if let Some(progress) = &mut progress {
                    progress.step(|| {
                        let rate = state.step.saturating_sub(first) as f64 / begun.elapsed().as_secs_f64();
                        format!("{}  {rate:.0} steps per second", self.message(&state))
                    });
                }
                // Only now, so that a checkpoint after the last step of an epoch has the record of the epoch.
                requests.saves.drain(..).try_for_each(|path| self.save(&path, &state, position))?;
                // Only now, so that a callback that fails costs no checkpoint: a log on a full disk, for example.
                notified?;
                #[cfg(feature = "interrupt")]
                if let Some((_, saved)) = watch.as_ref().filter(|(watch, _)| watch.interrupted()) {
                    self.save(saved, &state, position)?;
                    self.notify(&state, f64::NAN, &mut requests, |callback, ctx| callback.on_train_end(ctx))?;
                    state.history.kept = requests.kept.filter(|&epoch| epoch != state.epoch);
                    self.history = state.history;
                    return Err(Error::Interrupted { step: state.step, saved: saved.clone() });
                }
            }
        }
        self.compare_ranks()?;
        self.notify(&state, f64::NAN, &mut requests, |callback, ctx| callback.on_train_end(ctx))?;
        requests.saves.drain(..).try_for_each(|path| self.save(&path, &state, position))?;
        if let Some(progress) = progress {
            progress.finish();
        }
        state.history.kept = requests.kept.filter(|&epoch| epoch != state.epoch);
        // That of the last epoch is there already.
        if let Some((_, loader)) = measured.as_ref().filter(|_| state.history.kept.is_some())
            && self.confusion().is_some()
        {
            self.measure(loader)?;
            state.history.confusion = self.confusion().cloned();
        }
        self.history = state.history.clone();
        Ok(state.history)
    }

    /// The history of the last [`fit`](Trainer::fit), also of one that Ctrl-C interrupted; empty if it ended with another error.
    pub fn history(&self) -> &History {
        &self.history
    }

    /// The loss and the metrics on data, without training: on all examples, unshuffled and without augmentation, also those of a
    /// [`DataLoader`] that is made for training.
    ///
    /// # Errors
    /// Errors if there are no examples, or if the data, the model, the loss or a metric does. A metric without a value for these
    /// examples, such as the area under the ROC curve of a single class, is NaN.
    pub fn evaluate(&mut self, data: &dyn Batches) -> Result<Scores> {
        let (scores, undefined) = self.measure(&data.batches(self.batch_size, None)?)?;
        undefined.iter().for_each(|(name, why)| self.say(format_args!("warning: {name} is NaN: {why}")));
        Ok(scores)
    }

    /// The predictions for the inputs of the data, batch by batch, in one tensor with a row for each example, in the data's order
    /// and without augmentation, also those of a [`DataLoader`] that is made for training.
    ///
    /// # Errors
    /// Errors if there are no examples, or if the data or the model does.
    ///
    /// ```
    /// # use tealight::prelude::*;
    /// # let model = Linear::new(2, 3, &mut Rng::seed(1))?;
    /// let trainer = Trainer::new(&model, Mse, Sgd::new(model.parameters(), 0.1)?);
    /// let x = Tensor::ones((100, 2), DType::F32, &Device::Cpu)?;
    /// assert_eq!(trainer.predict(&x)?.dims(), [100, 3]);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn predict(&self, data: &dyn Batches) -> Result<Tensor> {
        let mut all = self.predict_multi(data)?;
        match (all.pop(), all.len()) {
            (Some(only), 0) => Ok(only),
            (_, rest) => {
                let expected = "one output (see predict_multi)";
                Err(Error::argument("predict", expected, rest + usize::from(rest > 0)))
            }
        }
    }

    /// The predictions of a model with several outputs, each as [`predict`](Trainer::predict) has the one.
    ///
    /// # Errors
    /// Errors if there are no examples, or if the data or the model does.
    pub fn predict_multi(&self, data: &dyn Batches) -> Result<Vec<Tensor>> {
        let mut batches = data.batches(self.batch_size, None)?.epoch()?;
        let mut all: Vec<Vec<Tensor>> = Vec::new();
        while let Some(batch) = batches.next_multi() {
            let outputs = self.task.predict(&batch?.0)?;
            all.resize(outputs.len(), Vec::new());
            all.iter_mut().zip(outputs).for_each(|(all, output)| all.push(output));
        }
        if all.is_empty() {
            return Err(Error::argument("predict", "one example or more", 0));
        }
        all.iter().map(|batches| Tensor::cat(batches, 0)).collect()
    }

    fn confusion(&self) -> Option<&ConfusionMatrix> {
        self.metrics.iter().find_map(|measured| measured.metric.confusion())
    }

    /// The names of the scores that can improve, and whether larger is better.
    fn directions(&self, prefix: Option<&str>) -> Vec<(String, bool)> {
        let mut all = vec![("loss".to_string(), false)];
        if let Some(prefix) = prefix {
            if !prefix.is_empty() {
                all.push((format!("{prefix}loss"), false));
            }
            let metric = |measured: &Measured| {
                (format!("{prefix}{}", measured.name), measured.metric.higher_is_better())
            };
            all.extend(self.metrics.iter().map(metric));
        }
        all
    }

    fn end_epoch(
        &mut self,
        state: &mut Progression,
        started: Instant,
        measured: Option<&(&str, DataLoader)>,
    ) -> Result<()> {
        state.epoch = state.epoch.saturating_add(1);
        let mut scores = Scores::default();
        scores.push("loss", state.loss.value());
        scores.push("learning_rate", state.learning_rate);
        if let Some((prefix, loader)) = measured {
            let (measured, undefined) = self.measure(loader)?;
            // The loss on the training data, without a prefix, is there already.
            for (name, score) in measured.iter().skip(usize::from(prefix.is_empty())) {
                scores.push(format!("{prefix}{name}"), score);
            }
            for (name, why) in undefined {
                let name = format!("{prefix}{name}");
                if state.history.undefined.iter().all(|(known, _)| *known != name) {
                    self.say(format_args!("warning: {name} is NaN: {why}"));
                    state.history.undefined.push((name, why));
                }
            }
        }
        let seconds = started.elapsed().as_secs_f64();
        state.history.records.push(EpochRecord { epoch: state.epoch, step: state.step, seconds, scores });
        state.history.confusion = self.confusion().cloned();
        state.loss = MeanLoss::default();
        Ok(())
    }

    /// Prints a line on standard error, unless the trainer is silent.
    fn say(&self, line: fmt::Arguments<'_>) {
        if !self.silent && self.comm().rank() == 0 {
            // Not `eprintln!`, which panics when standard error is closed.
            let _ = writeln!(std::io::stderr(), "{line}");
        }
    }

    /// The scores, and the metrics that are undefined with the reasons.
    fn measure(&mut self, loader: &DataLoader) -> Result<(Scores, Vec<(String, String)>)> {
        let mut loss = MeanLoss::default();
        let mut failed: Vec<Option<Error>> = self.metrics.iter().map(|_| None).collect();
        self.metrics.iter_mut().for_each(|measured| measured.metric.reset());
        // A clone, since an epoch moves the loader on.
        let mut batches = loader.clone().epoch()?;
        while let Some(batch) = batches.next_multi() {
            let (inputs, targets) = batch?;
            let outputs = self.task.predict(&inputs)?;
            let divisor = self.task.divisor(&outputs, &targets)?;
            if divisor != Some(0.0) {
                loss.add(scalar_loss(&no_grad(|| self.task.loss(&outputs, &targets))?)?, divisor);
            }
            for (Measured { name, index, metric }, failed) in self.metrics.iter_mut().zip(&mut failed) {
                let (Some(prediction), Some(target)) = (outputs.get(*index), targets.get(*index)) else {
                    let expected = format!("an output {index} and a target {index} for the metric {name}");
                    let got = format!("{} outputs and {} targets", outputs.len(), targets.len());
                    return Err(Error::argument("fit", expected, got));
                };
                if failed.is_some() {
                    continue;
                }
                match metric.update(prediction, target) {
                    // A model that diverged, and not a metric of the wrong kind.
                    Err(error) if !is_finite(prediction.array())? => *failed = Some(error),
                    updated => updated?,
                }
            }
        }
        if loss.divisor == 0.0 {
            return Err(Error::argument("evaluate", "one example or more that the loss counts", 0));
        }
        let mut scores = Scores::default();
        scores.push("loss", loss.value());
        let mut undefined = Vec::new();
        for (Measured { name, metric, .. }, failed) in self.metrics.iter().zip(failed) {
            let value = failed.map_or_else(|| metric.value(), Err);
            scores.push(name, *value.as_ref().unwrap_or(&f64::NAN));
            undefined.extend(value.err().map(|error| (name.clone(), error.to_string())));
        }
        Ok((scores, undefined))
    }

    /// Calls all callbacks, also after one fails, and returns the first error.
    fn notify(
        &mut self,
        state: &Progression,
        loss: f64,
        requests: &mut Requests,
        mut call: impl FnMut(&mut dyn Callback, &mut CallbackContext) -> Result<()>,
    ) -> Result<()> {
        let rank = self.comm().rank();
        let mut ctx = CallbackContext {
            rank,
            model: self.model,
            optimizer: &mut *self.optimizer,
            epoch: state.epoch,
            step: state.step,
            loss,
            history: &state.history,
            directions: &state.directions,
            requests,
        };
        // All callbacks are called; the first error counts.
        let mut result = Ok(());
        for callback in &mut self.callbacks {
            result = result.and(call(&mut **callback, &mut ctx));
        }
        result
    }

    /// The text beside the progress bar.
    fn message(&self, state: &Progression) -> String {
        let within_epoch = state.loss.divisor > 0.0;
        let epoch = state.epoch + u64::from(within_epoch);
        let mut message = format!("epoch {epoch}/{}  ", self.epochs);
        if within_epoch {
            message += &format!("loss {}  ", Short(state.loss.value()));
        }
        let last = state.history.records.last().into_iter().flat_map(|record| record.scores.iter());
        for (name, score) in
            last.filter(|(name, _)| *name != "learning_rate" && !(within_epoch && *name == "loss"))
        {
            message += &format!("{name} {}  ", Short(score));
        }
        message + &format!("learning rate {}", Short(state.learning_rate))
    }

    /// What [`History::settings`] returns.
    fn settings(&self, examples: usize, measured: Option<&(&str, DataLoader)>) -> Vec<(String, String)> {
        let valid = measured.filter(|(prefix, _)| *prefix == "valid_");
        let settings = [
            ("loss", Some(self.task.name())),
            ("optimizer", Some(self.optimizer.name())),
            ("learning rate", Some(self.optimizer.learning_rate().to_string())),
            ("schedule", self.schedule_name.clone()),
            ("epochs", Some(self.epochs.to_string())),
            ("batch size", Some(self.batch_size.min(examples).to_string())),
            ("shards per batch", Some(self.shard_count()).filter(|&count| count > 1).map(|n| n.to_string())),
            ("batch norms", self.sync_batch_norm.then(|| "synchronized".to_string())),
            ("batches per step", Some(self.accumulate.to_string())),
            ("training examples", Some(examples.to_string())),
            ("validation examples", valid.map(|(_, loader)| loader.dataset().num_examples().to_string())),
            ("clip norm", self.max_norm.map(|max| max.to_string())),
            ("seed", Some(self.seed.to_string())),
        ];
        settings.into_iter().filter_map(|(name, value)| Some((name.to_string(), value?))).collect()
    }
}
