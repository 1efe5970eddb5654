//! [`Callback`]: what else happens while a model is trained.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::History;
use crate::autograd::Tensor;
use crate::error::{Error, Result};
use crate::layer::Layer;
use crate::optim::Optimizer;

/// Something that happens while a model is trained. A closure is a callback, called after each epoch.
///
/// Callbacks are called in the order in which they were given to the trainer.
///
/// ```
/// use tealight::prelude::*;
/// use tealight::train::{Callback, CallbackContext, Trainer};
///
/// /// Stops when the loss of a step is small.
/// struct GoodEnough(f64);
///
/// impl Callback for GoodEnough {
///     fn step(&mut self, run: &mut CallbackContext) -> Result<()> {
///         if run.loss < self.0 {
///             run.stop();
///         }
///         Ok(())
///     }
/// }
///
/// let x = Tensor::ones((8, 2), DType::F32, &Device::Cpu)?;
/// let model = Linear::new(2, 1, &mut Rng::seed(1))?;
/// let mut trainer = Trainer::new(&model, Mse, Sgd::new(model.parameters(), 0.1)?)
///     .epochs(1000)
///     .silent()
///     .callback(GoodEnough(1e-3))
///     .callback(|run: &mut CallbackContext| {
///         println!("epoch {}: {}", run.epoch, run.history.last("loss")?);
///         Ok(())
///     });
/// assert!(trainer.fit(&(x.clone(), x.sum_keepdim(1)?), None)?.len() < 1000);
/// # Ok::<(), tealight::Error>(())
/// ```
pub trait Callback {
    /// Before the first step. A run that goes on has a history already.
    ///
    /// # Errors
    /// Whatever ends the training.
    ///
    /// ```
    /// use tealight::prelude::*;
    /// use tealight::train::{Callback, CallbackContext};
    /// struct Tenth;
    /// impl Callback for Tenth {
    ///     fn begin(&mut self, run: &mut CallbackContext) -> Result<()> {
    ///         run.optimizer.set_learning_rate(run.optimizer.learning_rate() / 10.0)
    ///     }
    /// }
    /// let x = Tensor::ones((8, 2), DType::F32, &Device::Cpu)?;
    /// let model = Linear::new(2, 2, &mut Rng::seed(1))?;
    /// let mut trainer = Trainer::new(&model, Mse, Sgd::new(model.parameters(), 1.0)?).silent().callback(Tenth);
    /// assert_eq!(trainer.fit(&x, None)?.last("rate")?, 0.1);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    #[doc(alias = "on_train_begin")]
    fn begin(&mut self, _: &mut CallbackContext) -> Result<()> {
        Ok(())
    }

    /// After each step of the optimizer.
    ///
    /// # Errors
    /// Whatever ends the training.
    ///
    /// ```
    /// use tealight::prelude::*;
    /// use tealight::train::{Callback, CallbackContext};
    /// struct AtMost(u64);
    /// impl Callback for AtMost {
    ///     fn step(&mut self, run: &mut CallbackContext) -> Result<()> {
    ///         if run.step >= self.0 {
    ///             let got = run.step.to_string();
    ///             return Err(Error::Argument { op: "AtMost", expected: "fewer steps".into(), got });
    ///         }
    ///         Ok(())
    ///     }
    /// }
    /// let x = Tensor::ones((8, 2), DType::F32, &Device::Cpu)?;
    /// let model = Linear::new(2, 2, &mut Rng::seed(1))?;
    /// let sgd = Sgd::new(model.parameters(), 0.1)?;
    /// let mut trainer = Trainer::new(&model, Mse, sgd).batch_size(1).silent().callback(AtMost(3));
    /// assert_eq!(trainer.fit(&x, None).unwrap_err().to_string(), "AtMost: expected fewer steps, got 3");
    /// # Ok::<(), tealight::Error>(())
    /// ```
    #[doc(alias = "on_train_batch_end")]
    fn step(&mut self, _: &mut CallbackContext) -> Result<()> {
        Ok(())
    }

    /// After each epoch, when the validation is done and the history has it.
    ///
    /// # Errors
    /// Whatever ends the training.
    ///
    /// ```
    /// use tealight::prelude::*;
    /// use tealight::train::{Callback, CallbackContext};
    /// struct Perfect;
    /// impl Callback for Perfect {
    ///     fn epoch(&mut self, run: &mut CallbackContext) -> Result<()> {
    ///         if run.score("valid_loss")? == 0.0 {
    ///             run.stop();
    ///         }
    ///         Ok(())
    ///     }
    /// }
    /// let x = Tensor::eye(2, DType::F32, &Device::Cpu)?;
    /// let model = Linear { weight: Parameter::new(x.clone()), bias: None }; // y = x
    /// let sgd = Sgd::new(model.parameters(), 0.1)?;
    /// let mut trainer = Trainer::new(&model, Mse, sgd).epochs(9).silent().callback(Perfect);
    /// assert_eq!(trainer.fit(&x, Some(&x))?.len(), 1);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    #[doc(alias = "on_epoch_end")]
    fn epoch(&mut self, _: &mut CallbackContext) -> Result<()> {
        Ok(())
    }

    /// After the last step, unless an error ended the training.
    ///
    /// # Errors
    /// Whatever makes the training end with an error.
    ///
    /// ```
    /// use tealight::prelude::*;
    /// use tealight::train::{Callback, CallbackContext};
    /// struct Steps<'a>(&'a mut u64);
    /// impl Callback for Steps<'_> {
    ///     fn end(&mut self, run: &mut CallbackContext) -> Result<()> {
    ///         *self.0 = run.step;
    ///         Ok(())
    ///     }
    /// }
    /// let x = Tensor::ones((8, 2), DType::F32, &Device::Cpu)?;
    /// let model = Linear::new(2, 2, &mut Rng::seed(1))?;
    /// let (sgd, mut steps) = (Sgd::new(model.parameters(), 0.1)?, 0);
    /// Trainer::new(&model, Mse, sgd).epochs(3).silent().callback(Steps(&mut steps)).fit(&x, None)?;
    /// assert_eq!(steps, 3);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    #[doc(alias = "on_train_end")]
    fn end(&mut self, _: &mut CallbackContext) -> Result<()> {
        Ok(())
    }

    /// Where a checkpoint is to be written when somebody interrupts the training (Ctrl-C); the first callback that says a place has
    /// its way. If none does, an interrupt ends the program at once, as ever.
    ///
    /// ```
    /// use tealight::train::{Callback, Checkpoints};
    /// let dir = std::env::temp_dir().join("tealight-doc-interrupt");
    /// assert_eq!(Checkpoints::new(&dir)?.on_interrupt(), Some(dir.join("last.safetensors")));
    /// # std::fs::remove_dir_all(dir).ok();
    /// # Ok::<(), tealight::Error>(())
    /// ```
    fn on_interrupt(&self) -> Option<PathBuf> {
        None
    }

    /// What it has to remember when the training goes on after an interruption: it is saved in every checkpoint.
    ///
    /// # Errors
    /// What cannot be saved.
    ///
    /// ```
    /// use tealight::train::{Callback, EarlyStopping};
    /// let state = EarlyStopping::new("valid_loss", 5).state()?;
    /// assert!(state.keys().eq(["bad", "best"])); // how many epochs in a row were no better, and the best score
    /// # Ok::<(), tealight::Error>(())
    /// ```
    fn state(&self) -> Result<BTreeMap<String, Tensor>> {
        Ok(BTreeMap::new())
    }

    /// Takes over what [`state`](Callback::state) gave.
    ///
    /// # Errors
    /// Something that is missing, unknown, or of another kind.
    ///
    /// ```
    /// use tealight::train::{Callback, EarlyStopping};
    /// let mut state = EarlyStopping::new("valid_loss", 5).state()?;
    /// state.remove("best");
    /// let error = EarlyStopping::new("valid_loss", 5).load_state(&state).unwrap_err();
    /// assert_eq!(error.to_string(), "best: expected in the state, but not there");
    /// # Ok::<(), tealight::Error>(())
    /// ```
    fn load_state(&mut self, state: &BTreeMap<String, Tensor>) -> Result<()> {
        match state.keys().next() {
            None => Ok(()),
            Some(name) => {
                let message = "in the state, but the callback has no such thing";
                Err(Error::Parameter { name: name.clone(), message: message.into() })
            }
        }
    }
}

impl<F: FnMut(&mut CallbackContext) -> Result<()>> Callback for F {
    fn epoch(&mut self, run: &mut CallbackContext) -> Result<()> {
        self(run)
    }
}

/// A closure that is called after each step.
pub(super) struct EachStep<F>(pub(super) F);

impl<F: FnMut(&mut CallbackContext) -> Result<()>> Callback for EachStep<F> {
    fn step(&mut self, run: &mut CallbackContext) -> Result<()> {
        (self.0)(run)
    }
}

/// The training as a [`Callback`] sees it.
///
/// ```
/// use tealight::prelude::*;
/// use tealight::train::CallbackContext;
/// let halve = |run: &mut CallbackContext| run.optimizer.set_learning_rate(run.optimizer.learning_rate() / 2.0);
/// let x = Tensor::ones((8, 2), DType::F32, &Device::Cpu)?;
/// let model = Linear::new(2, 2, &mut Rng::seed(1))?;
/// let mut trainer = Trainer::new(&model, Mse, Sgd::new(model.parameters(), 0.4)?).epochs(3).silent().callback(halve);
/// assert_eq!(trainer.fit(&x, None)?.curve("rate"), [(1.0, 0.4), (2.0, 0.2), (3.0, 0.1)]);
/// # Ok::<(), tealight::Error>(())
/// ```
pub struct CallbackContext<'a> {
    /// The model.
    pub model: &'a dyn Layer,
    /// The optimizer: its learning rate may be changed, if no schedule sets it.
    pub optimizer: &'a mut dyn Optimizer,
    /// How many epochs are done.
    pub epoch: u64,
    /// How many steps are done.
    pub step: u64,
    /// The loss of the last step; NaN before the first.
    pub loss: f64,
    /// What was measured, epoch by epoch.
    pub history: &'a History,
    pub(super) wishes: &'a mut Requests,
}

/// What callbacks want to be done when all of them were called.
#[derive(Debug, Default)]
pub(super) struct Requests {
    pub(super) stop: bool,
    pub(super) saves: Vec<PathBuf>,
}

impl CallbackContext<'_> {
    /// No further step is taken. A training that stops within an epoch has no entry for it in its history.
    ///
    /// ```
    /// use tealight::prelude::*;
    /// use tealight::train::CallbackContext;
    /// let x = Tensor::ones((8, 2), DType::F32, &Device::Cpu)?;
    /// let model = Linear::new(2, 2, &mut Rng::seed(1))?;
    /// let stop = |run: &mut CallbackContext| {
    ///     if run.step == 6 {
    ///         run.stop();
    ///     }
    ///     Ok(())
    /// };
    /// let sgd = Sgd::new(model.parameters(), 0.1)?;
    /// let mut trainer = Trainer::new(&model, Mse, sgd).epochs(9).batch_size(2).silent().each_step(stop);
    /// assert_eq!(trainer.fit(&x, None)?.len(), 1); // the second epoch had two of its four steps
    /// # Ok::<(), tealight::Error>(())
    /// ```
    #[doc(alias = "stop_training")]
    pub fn stop(&mut self) {
        self.wishes.stop = true;
    }

    /// Writes a checkpoint when all callbacks were called: a training goes on from there with
    /// [`Trainer::resume`](super::Trainer::resume).
    ///
    /// ```
    /// use tealight::io::Checkpoint;
    /// use tealight::prelude::*;
    /// use tealight::train::CallbackContext;
    /// let file = std::env::temp_dir().join("tealight-doc-run-save.safetensors");
    /// let x = Tensor::ones((8, 2), DType::F32, &Device::Cpu)?;
    /// let model = Linear::new(2, 2, &mut Rng::seed(1))?;
    /// let save = |run: &mut CallbackContext| {
    ///     run.save(&file);
    ///     Ok(())
    /// };
    /// let sgd = Sgd::new(model.parameters(), 0.1)?;
    /// Trainer::new(&model, Mse, sgd).epochs(2).silent().each_epoch(save).fit(&x, None)?;
    /// assert_eq!(Checkpoint::read(&file)?.meta::<u64>("epoch")?, 2);
    /// # std::fs::remove_file(file).ok();
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn save(&mut self, path: impl AsRef<Path>) {
        self.wishes.saves.push(path.as_ref().to_path_buf());
    }

    /// The score of this name in the last epoch.
    ///
    /// # Errors
    /// There is none; the error lists those that there are.
    ///
    /// ```
    /// use tealight::prelude::*;
    /// use tealight::train::CallbackContext;
    /// let x = Tensor::ones((8, 2), DType::F32, &Device::Cpu)?;
    /// let model = Linear::new(2, 2, &mut Rng::seed(1))?;
    /// let ask = |run: &mut CallbackContext| run.score("valid_loss").map(|loss| println!("{loss}"));
    /// let mut trainer = Trainer::new(&model, Mse, Sgd::new(model.parameters(), 0.1)?).silent().callback(ask);
    /// assert!(trainer.fit(&x, Some(&x)).is_ok());
    /// let error = trainer.fit(&x, None).unwrap_err().to_string();
    /// assert_eq!(error, "Scores: expected one of loss, rate, got \"valid_loss\"");
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn score(&self, name: &str) -> Result<f64> {
        self.history.last(name)
    }
}

/// Whether a score is better than another.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Better {
    pub(super) larger: bool,
    pub(super) least_change: f64,
}

impl Better {
    pub(super) fn than(self, score: f64, best: f64) -> bool {
        // The first that is a number is better than none.
        match (score.is_nan(), best.is_nan()) {
            (true, _) => false,
            (false, true) => true,
            _ if self.larger => score > best + self.least_change,
            _ => score < best - self.least_change,
        }
    }
}

/// A number as a tensor, for a state.
pub(super) fn to_tensor(number: f64) -> Result<Tensor> {
    Tensor::new(number, &candle_core::Device::Cpu)
}

/// A number of a state.
pub(super) fn number(state: &BTreeMap<String, Tensor>, name: &str) -> Result<f64> {
    let missing = |message: &str| Error::Parameter { name: name.into(), message: message.into() };
    let tensor = state.get(name).ok_or_else(|| missing("expected in the state, but not there"))?;
    tensor.to_scalar().map_err(|error| error.context(name))
}
