//! The report and the plots of a training.

use std::path::Path;

use tealight::data::LabeledDataset;
use tealight::metrics::{ConfusionMatrix, Metric, RocAuc};
use tealight::plot;
use tealight::prelude::*;
use tealight::train::History;

use super::failure::Result;
use super::inputs::{Examples, Inputs};
use super::model::Model;

/// How many images `predictions.png` shows.
const SHOWN: usize = 24;
/// A confusion matrix of more classes is not readable.
const MAX_CLASSES: usize = 200;

/// A model's predictions for examples.
pub(super) struct Evaluation<'a> {
    examples: &'a Examples,
    /// (n, c)
    pub(super) probabilities: Tensor,
    pub(super) confusion: ConfusionMatrix,
    predicted: Vec<u32>,
    targets: Vec<u32>,
}

impl<'a> Evaluation<'a> {
    pub(super) fn new(model: &Model, examples: &'a Examples) -> Result<Self> {
        let probabilities = model.probabilities(&examples.inputs)?;
        let mut confusion = ConfusionMatrix::new();
        confusion.update(&probabilities, &examples.targets)?;
        let predicted = probabilities.argmax(1)?.to_vec1::<u32>()?;
        let targets = examples.targets.to_vec1::<u32>()?;
        Ok(Evaluation { examples, probabilities, confusion, predicted, targets })
    }

    /// The number of correct predictions.
    pub(super) fn correct(&self) -> usize {
        self.is_right().filter(|right| *right).count()
    }

    fn is_right(&self) -> impl Iterator<Item = bool> {
        self.predicted.iter().zip(&self.targets).map(|(predicted, target)| predicted == target)
    }

    pub(super) fn accuracy(&self) -> f64 {
        self.correct() as f64 / self.targets.len() as f64
    }

    /// `3 of 4`.
    pub(super) fn of(&self) -> String {
        format!("{} of {}", self.correct(), self.targets.len())
    }
}

/// Writes the report and the plots; returns the file names.
pub(super) fn write(
    out: &Path,
    model: &Model,
    history: &History,
    train: &Evaluation,
    valid: &Evaluation,
) -> Result<Vec<String>> {
    let classes = &model.plan.classes;
    let mut names = vec!["report.html", "loss.png"];
    let curves = [("training", history.curve("loss")), ("validation", history.curve("valid_loss"))];
    plot::curve(out.join("loss.png"), "Training and validation loss", "epoch", "loss", &curves)?;
    let few = classes.len() <= MAX_CLASSES;
    if few {
        plot::confusion_matrix(out.join("confusion.png"), "On validation data", &valid.confusion, classes)?;
        names.push("confusion.png");
    }
    if matches!(model.plan.inputs, Inputs::Images(_)) {
        predictions(&out.join("predictions.png"), valid)?;
        names.push("predictions.png");
    }
    let has = |class: u32| valid.targets.contains(&class);
    if classes.len() == 2 && has(0) && has(1) {
        let mut auc = RocAuc::new();
        auc.update(&valid.probabilities, &valid.examples.targets)?;
        let title = format!("{} or not, on validation data", classes[1]);
        plot::roc_curve(out.join("roc.png"), &title, &[("model", &auc)])?;
        names.push("roc.png");
    }

    let mut page = history.report();
    page.title = format!("{}, {}", model.plan.kind, classes_in_short(classes));
    page.metrics = vec![
        ("Accuracy (validation)".into(), valid.accuracy()),
        ("Accuracy (training)".into(), train.accuracy()),
    ];
    page.settings = model.about.clone();
    page.confusion = few.then(|| valid.confusion.clone());
    page.classes = if few { classes.clone() } else { Vec::new() };
    plot::report(out.join("report.html"), &page)?;
    Ok(names.into_iter().map(String::from).collect())
}

fn classes_in_short(classes: &[String]) -> String {
    match classes {
        [one, other] => format!("{one} or {other}"),
        _ => format!("{} classes", classes.len()),
    }
}

/// Validation images with their predictions, wrong ones first.
fn predictions(path: &Path, valid: &Evaluation) -> Result<()> {
    let mut order: Vec<(bool, usize)> = valid.is_right().zip(0..).collect();
    order.sort();
    let wrong = order.iter().filter(|(right, _)| !right).count();
    let rows: Vec<usize> = order.into_iter().map(|(_, row)| row).take(SHOWN).collect();
    let some = valid.examples.select(&rows)?;
    let predicted: Vec<u32> = rows.iter().map(|&row| valid.predicted[row]).collect();
    let images = LabeledDataset {
        inputs: some.inputs,
        targets: some.targets,
        classes: some.classes,
        features: Vec::new(),
    };
    let predicted = Tensor::from_vec(predicted, rows.len(), &Device::Cpu)?;
    let title = format!("Validation images: {wrong} of {} wrong", valid.targets.len());
    Ok(plot::predictions(path, &title, &images, &predicted)?)
}
