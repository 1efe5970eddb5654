//! [`EarlyStopping`]: no step after the best ones.

use std::collections::BTreeMap;

use super::callback::{Better, Callback, CallbackContext, number, to_tensor};
use crate::autograd::{Tensor, named};
use crate::error::{Error, Result};

/// Stops when a score has not become better for a while, and gives the model the weights (and buffers) of the best epoch.
///
/// They are given also when the training ends for another reason, but not where it ends with an error.
///
/// ```
/// use tealight::prelude::*;
/// use tealight::train::{EarlyStopping, Trainer};
/// let x = Tensor::randn(0_f32, 1.0, (20, 2), &mut Rng::seed(1))?;
/// let data = (x.clone(), x.sum_keepdim(1)?);
/// let model = Linear::new(2, 1, &mut Rng::seed(2))?;
/// let mut trainer = Trainer::new(&model, Mse, Sgd::new(model.parameters(), 0.1)?)
///     .epochs(10_000)
///     .silent()
///     .callback(EarlyStopping::new("valid_loss", 5));
/// assert!(trainer.fit(&data, Some(&data))?.len() < 10_000);
/// # Ok::<(), tealight::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct EarlyStopping {
    score: String,
    patience: u64,
    better: Better,
    best: f64,
    /// How many epochs in a row were no better.
    bad: u64,
    weights: BTreeMap<String, Tensor>,
}

impl EarlyStopping {
    /// Stops after `patience` epochs in a row (at least one) in which the score was not smaller than the smallest before.
    ///
    /// ```
    /// use tealight::prelude::*;
    /// use tealight::train::EarlyStopping;
    /// let x = Tensor::eye(2, DType::F32, &Device::Cpu)?;
    /// let model = Linear { weight: Parameter::new(x.clone()), bias: None }; // y = x: the loss stays 0
    /// let sgd = Sgd::new(model.parameters(), 0.1)?;
    /// let mut trainer = Trainer::new(&model, Mse, sgd).epochs(99).silent().callback(EarlyStopping::new("loss", 3));
    /// assert_eq!(trainer.fit(&x, None)?.len(), 4); // the best one, and three that are no better
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn new(score: &str, patience: u64) -> Self {
        EarlyStopping {
            score: score.into(),
            patience: patience.max(1),
            better: Better::default(),
            best: f64::NAN,
            bad: 0,
            weights: BTreeMap::new(),
        }
    }

    /// The score is better the larger it is, such as an accuracy.
    ///
    /// ```
    /// use tealight::metrics::Accuracy;
    /// use tealight::prelude::*;
    /// use tealight::train::EarlyStopping;
    /// let x = Tensor::eye(2, DType::F32, &Device::Cpu)?;
    /// let data = (x.clone(), Tensor::new(&[0_u32, 1], &Device::Cpu)?);
    /// let model = Linear { weight: Parameter::new((x * -1.0)?), bias: None }; // at first it takes each class for the other
    /// let (sgd, stop) = (Sgd::new(model.parameters(), 1.0)?, EarlyStopping::new("accuracy", 2).larger_is_better());
    /// let mut trainer = Trainer::new(&model, CrossEntropy::new(), sgd).epochs(99).silent().metric(Accuracy::new()).callback(stop);
    /// assert_eq!(trainer.fit(&data, None)?.curve("accuracy"), [(1.0, 0.0), (2.0, 1.0), (3.0, 1.0), (4.0, 1.0)]);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    #[must_use]
    pub fn larger_is_better(mut self) -> Self {
        self.better.larger = true;
        self
    }

    /// A score counts as better only if it is so by more than this; 0 if nothing is said.
    ///
    /// ```
    /// use tealight::prelude::*;
    /// use tealight::train::EarlyStopping;
    /// let x = Tensor::ones((8, 2), DType::F32, &Device::Cpu)?;
    /// let model = Linear::new(2, 2, &mut Rng::seed(1))?;
    /// let (sgd, stop) = (Sgd::new(model.parameters(), 0.1)?, EarlyStopping::new("loss", 2).least_change(1000.0));
    /// let mut trainer = Trainer::new(&model, Mse, sgd).epochs(99).silent().callback(stop);
    /// assert_eq!(trainer.fit(&x, None)?.len(), 3); // the loss falls, but never by 1000
    /// # Ok::<(), tealight::Error>(())
    /// ```
    #[must_use]
    #[doc(alias = "min_delta")]
    pub fn least_change(mut self, change: f64) -> Self {
        self.better.least_change = change;
        self
    }
}

impl Callback for EarlyStopping {
    fn begin(&mut self, run: &mut CallbackContext) -> Result<()> {
        if run.history.is_empty() {
            (self.best, self.bad, self.weights) = (f64::NAN, 0, BTreeMap::new());
        }
        if self.bad >= self.patience {
            run.stop();
        }
        Ok(())
    }

    fn epoch(&mut self, run: &mut CallbackContext) -> Result<()> {
        let score = run.score(&self.score)?;
        if self.better.than(score, self.best) {
            (self.best, self.bad) = (score, 0);
            self.weights = named(run.model.state().into_iter().map(|(name, held)| (name, held.get())));
        } else {
            self.bad += 1;
        }
        if self.bad >= self.patience {
            run.stop();
        }
        Ok(())
    }

    fn end(&mut self, run: &mut CallbackContext) -> Result<()> {
        for (name, held) in run.model.state() {
            if let Some(best) = self.weights.get(&name) {
                held.set(best)?;
            }
        }
        Ok(())
    }

    fn state(&self) -> Result<BTreeMap<String, Tensor>> {
        let weights = self.weights.iter().map(|(name, value)| (format!("weights.{name}"), value.clone()));
        let mut state = named(weights);
        state.insert("best".into(), to_tensor(self.best)?);
        state.insert("bad".into(), to_tensor(self.bad as f64)?);
        Ok(state)
    }

    fn load_state(&mut self, state: &BTreeMap<String, Tensor>) -> Result<()> {
        let (best, bad) = (number(state, "best")?, number(state, "bad")?);
        if !(bad >= 0.0 && bad.fract() == 0.0) {
            return Err(Error::argument("EarlyStopping", "a number of epochs in the state", bad));
        }
        let weight = |(name, value): (&String, &Tensor)| {
            Some((name.strip_prefix("weights.")?.to_string(), value.clone()))
        };
        (self.best, self.bad) = (best, bad as u64);
        self.weights = named(state.iter().filter_map(weight));
        Ok(())
    }
}
