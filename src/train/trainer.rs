//! [`Trainer`]: a model, a loss and an optimizer, taken through the epochs.

use std::time::Instant;

use super::callback::{Callback, CallbackContext, Requests};
use super::history::Short;
use super::step::scalar;
use super::{Batches, History, Progress, Record, Scores};
use crate::autograd::{Tensor, no_grad};
use crate::data::DataLoader;
use crate::error::{Error, Result};
use crate::io::Checkpoint;
use crate::layer::{Layer, Parameter};
use crate::loss::Loss;
use crate::metrics::Metric;
use crate::optim::schedule::Schedule;
use crate::optim::{Optimizer, distinct};

/// Trains a model: batches, epochs, validation, and the callbacks.
///
/// The same data, settings and seed give the same bits, with any number of threads, and also if the training was interrupted and
/// [resumed](Trainer::resume).
///
/// ```
/// use tealight::optim::schedule::Cosine;
/// use tealight::optim::schedule::Schedule;
/// use tealight::prelude::*;
/// use tealight::train::{EarlyStopping, Trainer};
/// # #[cfg(feature = "csv")] {
/// let (train, valid) = tealight::data::iris()?.split(0.2, &mut Rng::seed(1))?;
/// let scale = Standardize::fit(&train.inputs)?;
/// let model = Linear::new(4, 3, &mut Rng::seed(1))?;
/// let mut trainer = Trainer::new(&model, CrossEntropy::new(), AdamW::new(model.parameters(), 0.1)?)
///     .epochs(40)
///     .batch_size(16)
///     .schedule(Cosine::new(40 * 8)?.times(0.1))
///     .clip_norm(1.0)
///     .silent()
///     .callback(EarlyStopping::new("valid_loss", 10));
/// let data = |part: &tealight::data::LabeledDataset| Ok::<_, Error>((scale.normalize(&part.inputs)?, part.targets.clone()));
/// let history = trainer.fit(&data(&train)?, Some(&data(&valid)?))?;
/// assert!(history.last("valid_loss")? < 0.3);
/// # }
/// # Ok::<(), tealight::Error>(())
/// ```
pub struct Trainer<'a> {
    pub(super) model: &'a dyn Layer,
    pub(super) loss: Box<dyn Loss + 'a>,
    pub(super) optimizer: Box<dyn Optimizer + 'a>,
    pub(super) callbacks: Vec<Box<dyn Callback + 'a>>,
    pub(super) metrics: Vec<Box<dyn Metric + 'a>>,
    pub(super) schedule: Option<Box<dyn Schedule + 'a>>,
    pub(super) parameters: Vec<(String, Parameter)>,
    pub(super) epochs: u64,
    pub(super) batch_size: usize,
    pub(super) accumulate: usize,
    pub(super) clip: Option<f64>,
    pub(super) seed: u64,
    pub(super) silent: bool,
    pub(super) schedule_name: String,
    pub(super) resumed: Option<Checkpoint>,
}

/// Where a run is.
#[derive(Clone, Debug, Default)]
pub(super) struct State {
    /// How many epochs are done.
    pub(super) epoch: u64,
    /// How many steps are done.
    pub(super) step: u64,
    /// The sum of the losses of this epoch's examples so far, and how many these are.
    pub(super) sum: f64,
    pub(super) examples: u64,
    pub(super) history: History,
}

impl<'a> Trainer<'a> {
    /// One epoch in batches of 32, unless one says otherwise.
    ///
    /// ```
    /// use tealight::prelude::*;
    /// let x = Tensor::ones((40, 2), DType::F32, &Device::Cpu)?;
    /// let model = Linear::new(2, 2, &mut Rng::seed(1))?;
    /// let mut trainer = Trainer::new(&model, Mse, Sgd::new(model.parameters(), 0.1)?).silent();
    /// let history = trainer.fit(&x, None)?; // one tensor is its own target
    /// assert_eq!((history.len(), history.records()[0].step), (1, 2)); // batches of 32 and of 8
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn new(model: &'a dyn Layer, loss: impl Loss + 'a, optimizer: impl Optimizer + 'a) -> Self {
        Trainer {
            model,
            loss: Box::new(loss),
            optimizer: Box::new(optimizer),
            callbacks: Vec::new(),
            metrics: Vec::new(),
            schedule: None,
            parameters: distinct(model.parameters()),
            epochs: 1,
            batch_size: 32,
            accumulate: 1,
            clip: None,
            seed: 0,
            silent: false,
            schedule_name: String::new(),
            resumed: None,
        }
    }

    /// Trains the model, and measures it after each epoch on `valid`, if there is such data.
    ///
    /// Each call is a training of its own, from epoch 0, with the model and the optimizer as they are.
    ///
    /// # Errors
    /// No examples; a loss that is NaN or infinite, said with the number of the step, which is not taken; whatever the data, the
    /// model, the loss, the optimizer or a callback refuses. [`Error::Interrupted`] after Ctrl-C, if a callback saves the training
    /// then, as [`Checkpoints`](super::Checkpoints) does.
    ///
    /// ```
    /// use tealight::prelude::*;
    /// let x = Tensor::ones((8, 2), DType::F32, &Device::Cpu)?;
    /// let valid = Tensor::zeros((4, 2), DType::F32, &Device::Cpu)?;
    /// let model = Linear::new(2, 2, &mut Rng::seed(1))?;
    /// let mut trainer = Trainer::new(&model, Mse, Sgd::new(model.parameters(), 0.1)?).silent();
    /// let history = trainer.fit(&x, Some(&valid))?;
    /// assert!(history.records()[0].scores.names().eq(["loss", "rate", "valid_loss"]));
    /// let error = trainer.fit(&(x * 1e30)?, None).unwrap_err().to_string();
    /// assert!(error.starts_with("step 1: fit: expected a loss that is finite"));
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn fit(&mut self, train: &dyn Batches, valid: Option<&dyn Batches>) -> Result<History> {
        let mut loader = train.batches(self.batch_size, Some(self.seed))?;
        if loader.is_empty() {
            let got = format!("{} examples", loader.dataset().len());
            return Err(Error::argument("fit", "enough examples for a batch", got));
        }
        let measured = match valid {
            Some(valid) => Some(("valid_", valid.batches(self.batch_size, None)?)),
            None if self.metrics.is_empty() => None,
            None => Some(("", train.batches(self.batch_size, None)?)),
        };
        let mut state = self.begin(&mut loader)?;
        state.history.settings = self.settings(loader.dataset().len(), measured.as_ref());
        #[cfg(feature = "interrupt")]
        let watch = match self.callbacks.iter().find_map(|callback| callback.on_interrupt()) {
            Some(place) => Some((super::interrupt::Watch::start()?, place)),
            None => None,
        };
        let mut position = loader.position();
        let mut wishes = Requests::default();
        let mut progress = (!self.silent).then(|| {
            let steps = (loader.len().div_ceil(self.accumulate) as u64).saturating_mul(self.epochs);
            Progress::new(steps).after(state.step)
        });
        self.tell(&state, f64::NAN, &mut wishes, |callback, run| callback.begin(run))?;
        while state.epoch < self.epochs && !wishes.stop {
            let (mut batches, started) = (loader.epoch()?, Instant::now());
            while batches.len() > 0 && !wishes.stop {
                let step = state.step.saturating_add(1);
                let loss = self.step(&mut batches, &mut state);
                let loss = loss.map_err(|error| error.context(format!("step {step}")))?;
                position = batches.position();
                let mut told = self.tell(&state, loss, &mut wishes, |callback, run| callback.step(run));
                if batches.len() == 0 && told.is_ok() {
                    self.close_epoch(&mut state, started, measured.as_ref())?;
                    told = self.tell(&state, loss, &mut wishes, |callback, run| callback.epoch(run));
                }
                if let Some(progress) = &mut progress {
                    progress.step(|| self.message(&state));
                }
                // Not before the epoch is closed: a checkpoint is within an epoch or after it.
                wishes.saves.drain(..).try_for_each(|path| self.save(&path, &state, position))?;
                // Not before: a log on a full disk costs no checkpoint elsewhere.
                told?;
                #[cfg(feature = "interrupt")]
                if let Some((_, saved)) = watch.as_ref().filter(|(watch, _)| watch.interrupted()) {
                    self.save(saved, &state, position)?;
                    return Err(Error::Interrupted { step: state.step, saved: saved.clone() });
                }
            }
        }
        self.tell(&state, f64::NAN, &mut wishes, |callback, run| callback.end(run))?;
        wishes.saves.drain(..).try_for_each(|path| self.save(&path, &state, position))?;
        if let Some(progress) = progress {
            progress.finish();
        }
        Ok(state.history)
    }

    /// The loss and the metrics on data that the model does not learn from.
    ///
    /// # Errors
    /// No examples; whatever the data, the model or the loss refuses.
    ///
    /// ```
    /// use tealight::metrics::Mae;
    /// use tealight::prelude::*;
    /// let model = Linear { weight: Parameter::new(Tensor::eye(2, DType::F32, &Device::Cpu)?), bias: None }; // y = x
    /// let mut trainer = Trainer::new(&model, Mse, Sgd::new(model.parameters(), 0.1)?).metric(Mae::new());
    /// let x = Tensor::zeros((40, 2), DType::F32, &Device::Cpu)?;
    /// let scores = trainer.evaluate(&(x.clone(), (x + 2.0)?))?;
    /// assert_eq!((scores.get("loss")?, scores.get("mae")?), (4.0, 2.0));
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn evaluate(&mut self, data: &dyn Batches) -> Result<Scores> {
        self.measure(&data.batches(self.batch_size, None)?)
    }

    /// What the model predicts for the inputs of the data, batch by batch, in one tensor. Plain inputs are data too.
    ///
    /// # Errors
    /// No examples; whatever the data or the model refuses.
    ///
    /// ```
    /// use tealight::prelude::*;
    /// let model = Linear::new(2, 3, &mut Rng::seed(1))?;
    /// let trainer = Trainer::new(&model, Mse, Sgd::new(model.parameters(), 0.1)?).batch_size(4);
    /// let x = Tensor::ones((10, 2), DType::F32, &Device::Cpu)?;
    /// assert_eq!(trainer.predict(&x)?.dims(), [10, 3]); // of three batches
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn predict(&self, data: &dyn Batches) -> Result<Tensor> {
        let batches = data.batches(self.batch_size, None)?.epoch()?;
        let predictions =
            batches.map(|batch| self.model.predict(&batch?.0)).collect::<Result<Vec<Tensor>>>()?;
        if predictions.is_empty() {
            return Err(Error::argument("predict", "one example or more", 0));
        }
        Tensor::cat(&predictions, 0)
    }

    fn close_epoch(
        &mut self,
        state: &mut State,
        started: Instant,
        measured: Option<&(&str, DataLoader)>,
    ) -> Result<()> {
        state.epoch = state.epoch.saturating_add(1);
        let mut scores = Scores::default();
        scores.push("loss", state.sum / state.examples as f64);
        scores.push("rate", self.optimizer.learning_rate());
        if let Some((prefix, loader)) = measured {
            // The loss of the training data is known already.
            for (name, score) in self.measure(loader)?.iter().skip(usize::from(prefix.is_empty())) {
                scores.push(format!("{prefix}{name}"), score);
            }
        }
        let seconds = started.elapsed().as_secs_f64();
        state.history.records.push(Record { epoch: state.epoch, step: state.step, seconds, scores });
        state.history.confusion = self.metrics.iter().find_map(|metric| metric.confusion()).cloned();
        (state.sum, state.examples) = (0.0, 0);
        Ok(())
    }

    fn measure(&mut self, loader: &DataLoader) -> Result<Scores> {
        let (mut sum, mut examples) = (0.0, 0);
        self.metrics.iter_mut().for_each(|metric| metric.reset());
        // A clone, so that each time sees the same, whatever the loader does at random.
        for batch in loader.clone().epoch()? {
            let (inputs, targets) = batch?;
            let prediction = self.model.predict(&inputs)?;
            let rows = inputs.dims().first().map_or(1, |&rows| rows);
            sum += scalar(&no_grad(|| self.loss.loss(&prediction, &targets))?)? * rows as f64;
            examples += rows;
            self.metrics.iter_mut().try_for_each(|metric| metric.update(&prediction, &targets))?;
        }
        if examples == 0 {
            return Err(Error::argument("evaluate", "one example or more", 0));
        }
        let mut scores = Scores::default();
        scores.push("loss", sum / examples as f64);
        for metric in &self.metrics {
            scores.push(metric.name(), metric.value()?);
        }
        Ok(scores)
    }

    fn tell(
        &mut self,
        state: &State,
        loss: f64,
        wishes: &mut Requests,
        mut what: impl FnMut(&mut dyn Callback, &mut CallbackContext) -> Result<()>,
    ) -> Result<()> {
        if self.callbacks.is_empty() {
            return Ok(());
        }
        let mut run = CallbackContext {
            model: self.model,
            optimizer: &mut *self.optimizer,
            epoch: state.epoch,
            step: state.step,
            loss,
            history: &state.history,
            wishes,
        };
        // All are told, whatever one of them refuses; the first error is the one to tell.
        let mut told = Ok(());
        for callback in &mut self.callbacks {
            told = told.and(what(&mut **callback, &mut run));
        }
        told
    }

    /// What the progress bar says.
    fn message(&self, state: &State) -> String {
        let within = state.examples > 0;
        let epoch = state.epoch + u64::from(within);
        let mut message = format!("epoch {epoch}/{}  ", self.epochs);
        if within {
            message += &format!("loss {}  ", Short(state.sum / state.examples as f64));
        }
        let last = state.history.records.last().map(|record| record.scores.clone()).unwrap_or_default();
        for (name, score) in last.iter().filter(|(name, _)| *name != "rate" && !(within && *name == "loss")) {
            message += &format!("{name} {}  ", Short(score));
        }
        message + &format!("rate {}", Short(self.optimizer.learning_rate()))
    }
}
