//! The report and the plots of a training.

use std::path::Path;

use tealight::data::LabeledDataset;
use tealight::metrics::{Metric, RocAuc};
use tealight::plot::{self, Axes, Curves, Report};
use tealight::prelude::*;
use tealight::train::History;

use super::failure::Result;
use super::inputs::Inputs;
use super::model::Model;
use super::scores::{Evaluation, Residuals, Scores};

/// How many images `predictions.png` shows.
const SHOWN: usize = 24;
/// A confusion matrix of more classes is not readable.
const MAX_CLASSES: usize = 200;

/// More points are not told apart in a plot.
const MAX_POINTS: usize = 5000;

/// Writes the report and the plots; returns the file names.
pub(super) fn write(
    out: &Path,
    model: &Model,
    history: &History,
    train: &Scores,
    valid: &Scores,
) -> Result<Vec<String>> {
    let mut names = vec!["report.html", "loss.png"];
    let curves = [("training", history.curve("loss")), ("validation", history.curve("valid_loss"))];
    plot::curve(out.join("loss.png"), "Training and validation loss", "epoch", "loss", &curves)?;
    let mut page = history.report();
    page.settings = model.about.clone();
    page.metrics = [valid.metrics("validation"), train.metrics("training")].concat();
    match valid {
        Scores::Classes(valid) => classes(out, model, valid, &mut page, &mut names)?,
        Scores::Numbers(valid) => numbers(out, model, valid, &mut page, &mut names)?,
    }
    plot::report(out.join("report.html"), &page)?;
    Ok(names.into_iter().map(String::from).collect())
}

fn classes(
    out: &Path,
    model: &Model,
    valid: &Evaluation,
    page: &mut Report,
    names: &mut Vec<&str>,
) -> Result<()> {
    let classes = &model.plan.classes;
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
    let (class, share) = valid.guess()?;
    page.title = format!("{}, {}", model.plan.kind, classes_in_short(classes));
    page.metrics.push((format!("guessing {class}"), share));
    page.confusion = few.then(|| valid.confusion.clone());
    page.classes = if few { classes.clone() } else { Vec::new() };
    Ok(())
}

fn numbers(
    out: &Path,
    model: &Model,
    valid: &Residuals,
    page: &mut Report,
    names: &mut Vec<&str>,
) -> Result<()> {
    let Inputs::Table(schema) = &model.plan.inputs else { return Ok(()) };
    let target = schema.target();
    let step = valid.targets.len().div_ceil(MAX_POINTS);
    let pairs = || valid.predicted.iter().zip(&valid.targets).step_by(step);
    let plots = [
        ("predicted.png", Axes::new(format!("true {target}"), "predicted").points().diagonal()),
        ("residuals.png", Axes::new(format!("predicted {target}"), "true − predicted").points()),
    ];
    let points =
        [pairs().map(|(y, t)| (*t, *y)).collect::<Vec<_>>(), pairs().map(|(y, t)| (*y, t - y)).collect()];
    for ((name, axes), points) in plots.into_iter().zip(points) {
        let title = if name == "predicted.png" { "Predicted and true" } else { "Residuals" };
        let title = format!("{title}, on validation data");
        let series = vec![("validation".to_string(), points)];
        plot::curve_with_axes(out.join(name), &title, &axes, &series)?;
        page.curves.push(Curves { title, axes, series });
        names.push(name);
    }
    page.title = format!("{}, {target}", model.plan.kind);
    page.metrics.push(("RMSE of the mean alone".into(), valid.rmse_of_mean));
    Ok(())
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
