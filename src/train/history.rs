//! [`History`]: the scores of a training, epoch by epoch.

use std::fmt;
#[cfg(feature = "plot")]
use std::path::Path;

use crate::error::{Error, Result};
use crate::metrics::ConfusionMatrix;
#[cfg(feature = "plot")]
use crate::plot::{Axes, Curves, Report, report};

/// Scores with their names: `loss`, `valid_loss`, `valid_accuracy`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Scores(Vec<(String, f64)>);

impl Scores {
    /// The score of this name.
    ///
    /// # Errors
    /// Errors if there is none; the error lists those that there are.
    pub fn get(&self, name: &str) -> Result<f64> {
        let found = self.iter().find(|(known, _)| *known == name).map(|(_, score)| score);
        found.ok_or_else(|| {
            let names: Vec<&str> = self.names().collect();
            Error::argument("Scores", format!("one of {}", names.join(", ")), format!("{name:?}"))
        })
    }

    /// Names and scores: the loss, then the metrics in the order in which they were added.
    pub fn iter(&self) -> impl Iterator<Item = (&str, f64)> {
        self.0.iter().map(|(name, score)| (name.as_str(), *score))
    }

    /// The names, in the order of [`iter`](Scores::iter).
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.iter().map(|(name, _)| name)
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

/// A score with few digits.
pub(super) struct Short(pub(super) f64);

impl fmt::Display for Short {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.abs() {
            x if x == 0.0 || (1e-2..1e5).contains(&x) => write!(f, "{:.4}", self.0),
            _ => write!(f, "{:.3e}", self.0),
        }
    }
}

/// An epoch of a [`History`].
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct EpochRecord {
    /// The number of the epoch, from 1.
    pub epoch: u64,
    /// The number of steps from the start of the training to the end of the epoch.
    pub step: u64,
    /// How long the epoch took, with its validation; for an epoch that was resumed, since then.
    pub seconds: f64,
    /// `loss` (the mean over the training examples, each before the step that used it), `learning_rate` (of the last step), and
    /// the scores measured after the epoch: `valid_loss`, `valid_accuracy`, … on validation data, `accuracy`, … on training data.
    pub scores: Scores,
}

/// The scores of a training, epoch by epoch: what [`Trainer::fit`](super::Trainer::fit) returns.
///
/// ```
/// # use tealight::prelude::*;
/// # let x = Tensor::ones((8, 2), DType::F32, &Device::Cpu)?;
/// # let model = Linear::new(2, 2, &mut Rng::seed(1))?;
/// # let sgd = Sgd::new(model.parameters(), 0.1)?;
/// let history = Trainer::new(&model, Mse, sgd).epochs(3).silent().fit(&x, Some(&x))?;
/// assert_eq!(history.len(), 3);
/// assert_eq!(history.last("loss")?, history.curve("loss")[2].1);
/// assert!(history.last("valid_loss")? < history.curve("valid_loss")[0].1);
/// # Ok::<(), tealight::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct History {
    pub(super) records: Vec<EpochRecord>,
    pub(super) settings: Vec<(String, String)>,
    pub(super) summary: String,
    pub(super) confusion: Option<ConfusionMatrix>,
    /// The epoch that was restored.
    pub(super) kept: Option<u64>,
    pub(super) undefined: Vec<(String, String)>,
    pub(super) replayed_steps: u64,
}

impl History {
    /// The records of the epochs.
    pub fn records(&self) -> &[EpochRecord] {
        &self.records
    }

    /// The settings of the training, as names and values: `loss`, `optimizer`, `epochs`, `training examples`, …
    pub fn settings(&self) -> &[(String, String)] {
        &self.settings
    }

    /// The model's layers for the first batch, as [`Layer::summary`](crate::layer::Layer::summary) prints them.
    pub fn summary(&self) -> &str {
        &self.summary
    }

    /// How many steps were replayed (see [`Trainer::eager`](super::Trainer::eager)): all but the first with each shape of a batch,
    /// unless they cannot be, for a reason that [`Trainer::fit`](super::Trainer::fit) prints. After [`resume`](super::Trainer::resume), the steps since then.
    ///
    /// ```
    /// # use tealight::prelude::*;
    /// # let x = Tensor::ones((64, 2), DType::F32, &Device::Cpu)?;
    /// # let model = Linear::new(2, 2, &mut Rng::seed(1))?;
    /// let trainer = || Ok::<_, Error>(Trainer::new(&model, Mse, Sgd::new(model.parameters(), 0.1)?).epochs(9).silent());
    /// assert_eq!(trainer()?.always_replay().fit(&x, None)?.replayed_steps(), 17); // of 18: the first is recorded
    /// assert_eq!(trainer()?.eager().fit(&x, None)?.replayed_steps(), 0);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn replayed_steps(&self) -> u64 {
        self.replayed_steps
    }

    /// The record of the epoch whose weights the model has after the training: the best epoch, if
    /// [`EarlyStopping`](super::EarlyStopping) restored it, and otherwise the last. `None` if no epoch was finished.
    ///
    /// ```
    /// # use tealight::prelude::*;
    /// # use tealight::train::EarlyStopping;
    /// # let x = Tensor::eye(2, DType::F32, &Device::Cpu)?;
    /// # let model = Linear { weight: Parameter::new(x.clone()), bias: None }; // y = x: the loss stays 0
    /// # let mut trainer = Trainer::new(&model, Mse, Sgd::new(model.parameters(), 0.1)?).epochs(9).silent();
    /// # trainer = trainer.callback(EarlyStopping::new("loss", 3));
    /// let history = trainer.fit(&x, None)?;
    /// let kept = history.kept().unwrap();
    /// assert_eq!((kept.epoch, kept.scores.get("loss")?, history.len()), (1, 0.0, 4));
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn kept(&self) -> Option<&EpochRecord> {
        let kept = |record: &&EpochRecord| self.kept.is_none_or(|epoch| record.epoch == epoch);
        self.records.iter().rfind(kept)
    }

    /// The scores that are NaN in some epoch because the metric is undefined, such as the area under the ROC curve of a single
    /// class, each with the first reason.
    pub fn undefined(&self) -> &[(String, String)] {
        &self.undefined
    }

    /// The confusion matrix after the [kept](History::kept) epoch, if a metric of the trainer counts one: [`ConfusionMatrix`], precision, recall
    /// or F1.
    pub fn confusion(&self) -> Option<&ConfusionMatrix> {
        self.confusion.as_ref()
    }

    /// The number of finished epochs.
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// Whether no epoch was finished.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// The points (epoch, score) of the epochs that have this score, for [`plot::curve`](crate::plot::curve).
    pub fn curve(&self, name: &str) -> Vec<(f64, f64)> {
        let point = |record: &EpochRecord| Some((record.epoch as f64, record.scores.get(name).ok()?));
        self.records.iter().filter_map(point).collect()
    }

    /// The [curves](History::curve) of `loss` and, with validation data, of `valid_loss`.
    pub fn losses(&self) -> Vec<(&'static str, Vec<(f64, f64)>)> {
        let curves = ["loss", "valid_loss"].map(|name| (name, self.curve(name)));
        curves.into_iter().filter(|(_, points)| !points.is_empty()).collect()
    }

    /// The score of this name in the last epoch, which need not be the one that was [kept](History::kept).
    ///
    /// # Errors
    /// Errors if there is none; the error lists those that there are.
    pub fn last(&self, name: &str) -> Result<f64> {
        match self.records.last() {
            Some(record) => record.scores.get(name),
            None => Err(Error::argument("History", "an epoch or more", "none")),
        }
    }

    /// Writes the [`report`](History::report) as one HTML file, with its images.
    ///
    /// # Errors
    /// Errors if the file cannot be written.
    #[cfg(feature = "plot")]
    pub fn save_report(&self, path: impl AsRef<Path>) -> Result<()> {
        report(path, &self.report())
    }

    /// The scores of the [kept](History::kept) epoch, curves, confusion matrix, settings and model summary, for [`plot::report`](crate::plot::report).
    ///
    /// ```
    /// # use tealight::plot;
    /// # use tealight::prelude::*;
    /// # let x = Tensor::ones((8, 2), DType::F32, &Device::Cpu)?;
    /// # let model = Linear::new(2, 2, &mut Rng::seed(1))?;
    /// # let history = Trainer::new(&model, Mse, Sgd::new(model.parameters(), 0.1)?).silent().fit(&x, None)?;
    /// # let file = std::env::temp_dir().join("tealight-doc-history-report.html");
    /// let mut report = history.report();
    /// report.settings.push(("data".into(), "eight ones".into()));
    /// plot::report(&file, &report)?;
    /// assert!(std::fs::read_to_string(&file).unwrap().contains("<td>eight ones</td>"));
    /// # std::fs::remove_file(file).ok();
    /// # Ok::<(), tealight::Error>(())
    /// ```
    #[cfg(feature = "plot")]
    pub fn report(&self) -> Report {
        let mut names: Vec<&str> = Vec::new();
        for name in self.records.iter().flat_map(|record| record.scores.names()) {
            let name = name.strip_prefix("valid_").unwrap_or(name);
            if !names.contains(&name) {
                names.push(name);
            }
        }
        let kept = self.kept.map(|epoch| (format!("Epoch kept of {}", self.len()), epoch as f64));
        let scores = self.kept().into_iter().flat_map(|record| record.scores.iter());
        let scores = scores.filter(|(name, _)| *name != "learning_rate");
        let undefined = self.undefined.iter().map(|(name, why)| (format!("{name} is NaN"), why.clone()));
        Report {
            title: "Training".into(),
            metrics: kept.into_iter().chain(scores.map(|(name, score)| (title(name), score))).collect(),
            settings: self.settings.iter().cloned().chain(undefined).collect(),
            summary: self.summary.clone(),
            curves: names.into_iter().filter_map(|name| self.report_curves(name)).collect(),
            confusion: self.confusion.clone(),
            ..Report::default()
        }
    }

    /// A score on the training and on the validation data; `None` for a constant learning rate.
    #[cfg(feature = "plot")]
    fn report_curves(&self, name: &str) -> Option<Curves> {
        if name == "learning_rate" {
            let points = self.curve(name);
            let constant = points.windows(2).all(|pair| pair[0].1 == pair[1].1);
            let axes = Axes::new("epoch", "learning rate");
            let series = vec![("learning rate".to_string(), points)];
            return (!constant).then(|| Curves { title: title(name), axes, series });
        }
        let series = [("training", name.to_string()), ("validation", format!("valid_{name}"))];
        let series = series.map(|(kind, name)| (kind.to_string(), self.curve(&name))).into_iter();
        let mut series: Vec<(String, Vec<(f64, f64)>)> =
            series.filter(|(_, points)| !points.is_empty()).collect();
        if let (Some(kept), Some((_, points))) = (self.kept, series.last()) {
            let point = points.iter().filter(|(epoch, _)| *epoch == kept as f64).copied().collect();
            series.push((format!("kept: epoch {kept}"), point));
        }
        Some(Curves { title: title(name), axes: Axes::new("epoch", name), series })
    }
}

/// `Loss (validation)` for `valid_loss`.
#[cfg(feature = "plot")]
fn title(name: &str) -> String {
    let text = match name.strip_prefix("valid_") {
        Some(name) => format!("{name} (validation)"),
        None => name.replace('_', " "),
    };
    let mut characters = text.chars();
    characters.next().into_iter().flat_map(char::to_uppercase).chain(characters).collect()
}
