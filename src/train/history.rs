//! [`History`]: what was measured, epoch by epoch.

use std::fmt;

use crate::error::{Error, Result};
use crate::metrics::ConfusionMatrix;

/// Numbers with names: `loss`, `valid_loss`, `valid_accuracy`.
///
/// ```
/// use tealight::prelude::*;
/// let model = Linear { weight: Parameter::new(Tensor::eye(2, DType::F32, &Device::Cpu)?), bias: None }; // y = x
/// let mut trainer = Trainer::new(&model, Mse, Sgd::new(model.parameters(), 0.1)?);
/// let x = Tensor::zeros((4, 2), DType::F32, &Device::Cpu)?;
/// let scores = trainer.evaluate(&(x.clone(), (x + 1.0)?))?;
/// assert_eq!(scores.to_string(), "loss 1.0000");
/// # Ok::<(), tealight::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Scores(Vec<(String, f64)>);

impl Scores {
    /// The score of this name.
    ///
    /// # Errors
    /// There is none; the error lists those that there are.
    ///
    /// ```
    /// use tealight::prelude::*;
    /// let model = Linear { weight: Parameter::new(Tensor::eye(2, DType::F32, &Device::Cpu)?), bias: None };
    /// let mut trainer = Trainer::new(&model, Mse, Sgd::new(model.parameters(), 0.1)?);
    /// let scores = trainer.evaluate(&Tensor::ones((4, 2), DType::F32, &Device::Cpu)?)?;
    /// assert_eq!(scores.get("loss")?, 0.0);
    /// assert_eq!(scores.get("mae").unwrap_err().to_string(), "Scores: expected one of loss, got \"mae\"");
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn get(&self, name: &str) -> Result<f64> {
        let found = self.0.iter().find(|(known, _)| known == name).map(|(_, score)| *score);
        found.ok_or_else(|| {
            let names: Vec<&str> = self.names().collect();
            Error::argument("Scores", format!("one of {}", names.join(", ")), format!("{name:?}"))
        })
    }

    /// All of them, in their order.
    ///
    /// ```
    /// use tealight::metrics::Mae;
    /// use tealight::prelude::*;
    /// let model = Linear { weight: Parameter::new(Tensor::eye(2, DType::F32, &Device::Cpu)?), bias: None };
    /// let mut trainer = Trainer::new(&model, Mse, Sgd::new(model.parameters(), 0.1)?).metric(Mae::new());
    /// let scores = trainer.evaluate(&Tensor::ones((4, 2), DType::F32, &Device::Cpu)?)?;
    /// assert!(scores.iter().eq([("loss", 0.0), ("mae", 0.0)]));
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn iter(&self) -> impl Iterator<Item = (&str, f64)> {
        self.0.iter().map(|(name, score)| (name.as_str(), *score))
    }

    /// Their names, in their order.
    ///
    /// ```
    /// use tealight::metrics::{Mae, Rmse};
    /// use tealight::prelude::*;
    /// let model = Linear::new(2, 2, &mut Rng::seed(1))?;
    /// let sgd = Sgd::new(model.parameters(), 0.1)?;
    /// let mut trainer = Trainer::new(&model, Mse, sgd).metric(Rmse::new()).metric(Mae::new());
    /// let scores = trainer.evaluate(&Tensor::ones((4, 2), DType::F32, &Device::Cpu)?)?;
    /// assert!(scores.names().eq(["loss", "rmse", "mae"])); // the metrics as they were added
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(name, _)| name.as_str())
    }

    pub(super) fn push(&mut self, name: impl Into<String>, score: f64) {
        self.0.push((name.into(), score));
    }
}

impl fmt::Display for Scores {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, (name, score)) in self.iter().enumerate() {
            write!(f, "{}{name} {}", if i == 0 { "" } else { "  " }, Short(score))?;
        }
        Ok(())
    }
}

/// A number for a person to read.
pub(super) struct Short(pub(super) f64);

impl fmt::Display for Short {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.abs() {
            x if x == 0.0 || (1e-2..1e5).contains(&x) => write!(f, "{:.4}", self.0),
            _ => write!(f, "{:.3e}", self.0),
        }
    }
}

/// One epoch.
///
/// ```
/// use tealight::prelude::*;
/// let x = Tensor::ones((10, 2), DType::F32, &Device::Cpu)?;
/// let model = Linear::new(2, 2, &mut Rng::seed(1))?;
/// let sgd = Sgd::new(model.parameters(), 0.1)?;
/// let history = Trainer::new(&model, Mse, sgd).epochs(2).batch_size(4).silent().fit(&x, None)?;
/// let second = &history.records()[1];
/// assert_eq!((second.epoch, second.step, second.scores.get("rate")?), (2, 6, 0.1));
/// # Ok::<(), tealight::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    /// The number of the epoch, from 1.
    pub epoch: u64,
    /// How many steps were taken until its end, from the start of the training.
    pub step: u64,
    /// How long it took, with its validation; of an epoch that was interrupted, the rest.
    pub seconds: f64,
    /// `loss` (the mean over the examples while the model learned from them), `rate` (the learning rate of the last step),
    /// and what was measured after the epoch, with `valid_` before its name if it was on the validation data.
    pub scores: Scores,
}

/// What was measured, epoch by epoch.
///
/// ```
/// use tealight::prelude::*;
/// use tealight::train::Trainer;
/// let x = Tensor::ones((8, 2), DType::F32, &Device::Cpu)?;
/// let data = (x.clone(), x.sum_keepdim(1)?);
/// let model = Linear::new(2, 1, &mut Rng::seed(1))?;
/// let mut trainer = Trainer::new(&model, Mse, Sgd::new(model.parameters(), 0.1)?).epochs(3).silent();
/// let history = trainer.fit(&data, Some(&data))?;
/// assert_eq!(history.len(), 3);
/// assert_eq!(history.curve("valid_loss").len(), 3);
/// assert!(history.last("loss")? < history.curve("loss")[0].1);
/// # Ok::<(), tealight::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct History {
    pub(super) records: Vec<Record>,
    pub(super) settings: Vec<(String, String)>,
    pub(super) summary: String,
    pub(super) confusion: Option<ConfusionMatrix>,
}

impl History {
    /// One record an epoch.
    ///
    /// ```
    /// use tealight::prelude::*;
    /// let x = Tensor::ones((6, 2), DType::F32, &Device::Cpu)?;
    /// let model = Linear::new(2, 2, &mut Rng::seed(1))?;
    /// let sgd = Sgd::new(model.parameters(), 0.1)?;
    /// let history = Trainer::new(&model, Mse, sgd).epochs(3).batch_size(3).silent().fit(&x, None)?;
    /// assert!(history.records().iter().map(|record| record.step).eq([2, 4, 6]));
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn records(&self) -> &[Record] {
        &self.records
    }

    /// How the training was set up, names and values: the loss, the optimizer, the numbers of examples and epochs, …
    ///
    /// ```
    /// use tealight::prelude::*;
    /// let x = Tensor::ones((8, 2), DType::F32, &Device::Cpu)?;
    /// let model = Linear::new(2, 2, &mut Rng::seed(1))?;
    /// let history = Trainer::new(&model, Mse, Sgd::new(model.parameters(), 0.1)?).silent().fit(&x, None)?;
    /// assert!(history.settings().contains(&("loss".into(), "Mse".into())));
    /// assert!(history.settings().contains(&("training examples".into(), "8".into())));
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn settings(&self) -> &[(String, String)] {
        &self.settings
    }

    /// The table of the model's layers, as [`Layer::summary`](crate::layer::Layer::summary) prints it, for the first batch.
    ///
    /// ```
    /// use tealight::prelude::*;
    /// let x = Tensor::ones((8, 2), DType::F32, &Device::Cpu)?;
    /// let model = Sequential::new().push(Linear::new(2, 2, &mut Rng::seed(1))?);
    /// let history = Trainer::new(&model, Mse, Sgd::new(model.parameters(), 0.1)?).silent().fit(&x, None)?;
    /// assert_eq!(history.summary(), model.summary(&[8, 2])?.to_string());
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn summary(&self) -> &str {
        &self.summary
    }

    /// Which class was taken for which after the last epoch, if one of the trainer's metrics counts that:
    /// [`ConfusionMatrix`], precision, recall or F1.
    ///
    /// ```
    /// use tealight::metrics::ConfusionMatrix;
    /// use tealight::prelude::*;
    /// let x = Tensor::eye(2, DType::F32, &Device::Cpu)?;
    /// let data = (x.clone(), Tensor::new(&[0_u32, 1], &Device::Cpu)?);
    /// let model = Linear { weight: Parameter::new(x), bias: None }; // right from the start
    /// let sgd = Sgd::new(model.parameters(), 0.1)?;
    /// let mut trainer = Trainer::new(&model, CrossEntropy::new(), sgd).silent().metric(ConfusionMatrix::new());
    /// assert_eq!(trainer.fit(&data, None)?.confusion().unwrap().counts()?, [[1, 0], [0, 1]]);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn confusion(&self) -> Option<&ConfusionMatrix> {
        self.confusion.as_ref()
    }

    /// How many epochs there are.
    ///
    /// ```
    /// use tealight::prelude::*;
    /// let x = Tensor::ones((8, 2), DType::F32, &Device::Cpu)?;
    /// let model = Linear::new(2, 2, &mut Rng::seed(1))?;
    /// let sgd = Sgd::new(model.parameters(), 0.1)?;
    /// let history = Trainer::new(&model, Mse, sgd).epochs(2).batch_size(2).silent().fit(&x, None)?;
    /// assert_eq!(history.len(), 2); // and not 8, the steps
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// Whether there are none.
    ///
    /// ```
    /// use tealight::prelude::*;
    /// use tealight::train::CallbackContext;
    /// let x = Tensor::ones((8, 2), DType::F32, &Device::Cpu)?;
    /// let model = Linear::new(2, 2, &mut Rng::seed(1))?;
    /// let stop = |run: &mut CallbackContext| {
    ///     run.stop();
    ///     Ok(())
    /// };
    /// let sgd = Sgd::new(model.parameters(), 0.1)?;
    /// let mut trainer = Trainer::new(&model, Mse, sgd).batch_size(2).silent().each_step(stop);
    /// assert!(trainer.fit(&x, None)?.is_empty()); // stopped within the first epoch
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// The points (epoch, score) of the epochs that have a score of this name, as [`plot::curve`](crate::plot::curve) takes
    /// them.
    ///
    /// ```
    /// use tealight::prelude::*;
    /// let x = Tensor::ones((8, 2), DType::F32, &Device::Cpu)?;
    /// let model = Linear::new(2, 2, &mut Rng::seed(1))?;
    /// let sgd = Sgd::new(model.parameters(), 0.1)?;
    /// let history = Trainer::new(&model, Mse, sgd).epochs(2).silent().fit(&x, None)?;
    /// assert_eq!(history.curve("rate"), [(1.0, 0.1), (2.0, 0.1)]);
    /// assert_eq!(history.curve("valid_loss"), []); // nothing was validated
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn curve(&self, name: &str) -> Vec<(f64, f64)> {
        let point = |record: &Record| Some((record.epoch as f64, record.scores.get(name).ok()?));
        self.records.iter().filter_map(point).collect()
    }

    /// The curves of `loss` and, where there was validation, of `valid_loss`, as [`plot::curve`](crate::plot::curve) takes them.
    ///
    /// ```
    /// use tealight::prelude::*;
    /// let data = (Tensor::ones((8, 2), DType::F32, &Device::Cpu)?, Tensor::ones((8, 1), DType::F32, &Device::Cpu)?);
    /// let model = Linear::new(2, 1, &mut Rng::seed(1))?;
    /// let mut trainer = Trainer::new(&model, Mse, Sgd::new(model.parameters(), 0.1)?).epochs(3).silent();
    /// assert_eq!(trainer.fit(&data, None)?.losses().len(), 1);
    /// assert_eq!(trainer.fit(&data, Some(&data))?.losses()[1].0, "valid_loss");
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn losses(&self) -> Vec<(&'static str, Vec<(f64, f64)>)> {
        let curves = ["loss", "valid_loss"].map(|name| (name, self.curve(name)));
        curves.into_iter().filter(|(_, points)| !points.is_empty()).collect()
    }

    /// The score of this name in the last epoch.
    ///
    /// # Errors
    /// There is none; the error lists those that there are.
    ///
    /// ```
    /// use tealight::prelude::*;
    /// let x = Tensor::ones((8, 2), DType::F32, &Device::Cpu)?;
    /// let model = Linear::new(2, 2, &mut Rng::seed(1))?;
    /// let sgd = Sgd::new(model.parameters(), 0.1)?;
    /// let history = Trainer::new(&model, Mse, sgd).epochs(2).silent().fit(&x, None)?;
    /// assert_eq!(history.last("loss")?, history.curve("loss")[1].1);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn last(&self, name: &str) -> Result<f64> {
        self.records.last().map_or(&Scores::default(), |record| &record.scores).get(name)
    }
}
