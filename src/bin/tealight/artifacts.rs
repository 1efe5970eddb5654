//! The report and the plots of a training or an evaluation.

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use tealight::data::LabeledDataset;
use tealight::metrics::{Metric, RocAuc};
use tealight::plot::{self, Axes, Cell, Curves, Report, ReportTable};
use tealight::prelude::*;

use super::failure::Result;
use super::inputs::{Examples, Inputs, Pictures};
use super::model::Model;
use super::scores::{Evaluation, Residuals, Scores, cell, digits};

/// How many images `predictions.png` shows.
const SHOWN: usize = 24;
/// A confusion matrix of more classes is not readable.
const MAX_CLASSES: usize = 200;
/// More ROC curves are not told apart.
const MAX_CURVES: usize = 8;
/// More points are not told apart in a plot.
const MAX_POINTS: usize = 5000;
/// Errors in the report, and those of them with images, of at least this size.
const MAX_ERRORS: usize = 50;
const MAX_IMAGES: usize = 24;
const IMAGE: usize = 128;
/// The importance is that of this many columns at most, on this many rows.
const MAX_COLUMNS: usize = 200;
const MAX_ROWS: usize = 1000;
/// How often each column is shuffled.
const SHUFFLES: usize = 5;

/// Predictions to show.
pub(super) struct Shown<'a> {
    /// The models, and the examples that each predicted.
    pub(super) parts: &'a [(&'a Model, &'a Examples)],
    /// The scores of all.
    pub(super) scores: &'a Scores,
    /// What the examples are for.
    pub(super) name: &'static str,
    /// Names and values: what was read, and how.
    pub(super) data: Vec<(String, String)>,
}

/// Adds to a report what is known of the predictions.
pub(super) fn fill(page: &mut Report, shown: &Shown) -> Result<()> {
    let Shown { parts, scores, name, data } = shown;
    let plan = &parts[0].0.plan;
    page.notes = scores.worth(plan.inputs.unit())?.lines().map(String::from).collect();
    match scores {
        Scores::Classes(found) => {
            page.title = format!("{}, {}", plan.kind, classes_in_short(&plan.classes));
            page.metrics.push((format!("guessing {}", found.guess()?.0), found.guess()?.1));
            page.metrics.push(("calibration error".into(), found.calibration.value()?));
            let few = plan.classes.len() <= MAX_CLASSES;
            page.confusion = few.then(|| found.confusion.clone());
            page.classes = if few { plan.classes.clone() } else { Vec::new() };
            page.roc = roc(found, &plan.classes)?;
            page.calibration = Some(found.calibration.clone());
        }
        Scores::Numbers(found) => {
            if let Inputs::Table(schema) = &plan.inputs {
                page.title = format!("{}, {}", plan.kind, schema.target());
                page.curves.extend(numbers(found, schema.target(), name));
            }
            page.metrics.push(("RMSE of the mean alone".into(), found.rmse_of_mean));
        }
    }
    page.tables.extend(mistakes(parts, scores)?);
    page.tables.extend(importance(parts)?);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs());
    let command: Vec<String> =
        std::env::args_os().skip(1).map(|argument| super::train::shell(argument.as_ref())).collect();
    let told = [("command", format!("tealight {}", command.join(" "))), ("date", date(now / 86_400))];
    let rows = told.map(|(name, value)| vec![name.into(), value.into()]).into_iter();
    let rows = rows.chain(data.iter().map(|(name, value)| vec![name.as_str().into(), value.as_str().into()]));
    page.tables.push(ReportTable { title: "Data".into(), head: Vec::new(), rows: rows.collect() });
    Ok(())
}

/// Writes the report of a training and the plots beside it; returns the file names.
pub(super) fn write(out: &Path, page: &Report, shown: &Shown) -> Result<Vec<String>> {
    let mut names = vec!["report.html".to_string()];
    for (curves, name) in page.curves.iter().filter_map(|curves| Some((curves, png(&curves.title)?))) {
        plot::curve_with_axes(out.join(name), &curves.title, &curves.axes, &curves.series)?;
        names.push(name.into());
    }
    if let Some(matrix) = &page.confusion {
        plot::confusion_matrix(out.join("confusion.png"), "On validation data", matrix, &page.classes)?;
        names.push("confusion.png".into());
    }
    let model = shown.parts[0].0;
    if let (Scores::Classes(found), Inputs::Images(_)) = (shown.scores, &model.plan.inputs) {
        predictions(&out.join("predictions.png"), found)?;
        names.push("predictions.png".into());
    }
    if let ([(class, auc)], 2) = (&page.roc[..], model.plan.classes.len()) {
        let title = format!("{class} or not, on validation data");
        plot::roc_curve(out.join("roc.png"), &title, &[("model", auc)])?;
        names.push("roc.png".into());
    }
    plot::report(out.join("report.html"), page)?;
    Ok(names)
}

/// The file of a plot that is also a picture of its own.
fn png(title: &str) -> Option<&'static str> {
    match title.split(',').next()? {
        "Loss" => Some("loss.png"),
        "Predicted and true" => Some("predicted.png"),
        "Residuals" => Some("residuals.png"),
        _ => None,
    }
}

/// The ROC curve of each class that some examples have and others have not; of two classes, that of the second.
fn roc(found: &Evaluation, classes: &[String]) -> Result<Vec<(String, RocAuc)>> {
    let first = usize::from(classes.len() == 2);
    let curves = (first..classes.len()).filter(|class| {
        let has =
            |expected: bool| found.targets.iter().any(|target| (*target as usize == *class) == expected);
        has(true) && has(false)
    });
    let curve = |class: usize| {
        let targets = found.targets.iter().map(|target| u32::from(*target as usize == class)).collect();
        let mut auc = RocAuc::new();
        let scores = found.probabilities.narrow(1, class, 1)?.squeeze(1)?;
        auc.update(&scores, &Tensor::from_vec(targets, found.targets.len(), &Device::Cpu)?)?;
        Ok((classes[class].clone(), auc))
    };
    curves.take(MAX_CURVES).map(curve).collect()
}

fn numbers(found: &Residuals, target: &str, name: &str) -> [Curves; 2] {
    let step = found.targets.len().div_ceil(MAX_POINTS).max(1);
    let pairs = || found.predicted.iter().zip(&found.targets).step_by(step);
    [
        (
            "Predicted and true",
            Axes::new(format!("true {target}"), "predicted").scatter().diagonal(),
            pairs().map(|(y, t)| (*t, *y)).collect(),
        ),
        (
            "Residuals",
            Axes::new(format!("predicted {target}"), "true − predicted").scatter(),
            pairs().map(|(y, t)| (*y, t - y)).collect(),
        ),
    ]
    .map(|(title, axes, points)| {
        let title = format!("{title}, on {name} data");
        Curves { title, axes, series: vec![(name.to_string(), points)] }
    })
}

fn classes_in_short(classes: &[String]) -> String {
    match classes {
        [one, other] => format!("{one} or {other}"),
        _ => format!("{} classes", classes.len()),
    }
}

/// The errors, the most confident first, with images and what mattered in them.
fn mistakes(parts: &[(&Model, &Examples)], scores: &Scores) -> Result<Option<ReportTable>> {
    let (all, (title, head)) = (scores.mistakes()?, scores.head());
    let pictures = match &parts[0].0.plan.inputs {
        Inputs::Images(pictures) => Some(pictures),
        Inputs::Table(_) => None,
    };
    let mut rows = Vec::new();
    for (number, (i, cells)) in all.iter().take(MAX_ERRORS).enumerate() {
        let mut row = vec![scores.examples().names[*i].as_str().into()];
        row.extend(cells.iter().map(|value| Cell::Text(cell(value))));
        if let (Some(pictures), Scores::Classes(found), true) = (pictures, scores, number < MAX_IMAGES) {
            let (mut model, mut at) = (parts[0].0, *i);
            for (of, part) in parts {
                model = of;
                if at < part.len() {
                    break;
                }
                at -= part.len();
            }
            let input = found.examples.inputs.narrow(0, *i, 1)?;
            let large = Pictures { size: pictures.size.max(IMAGE), ..*pictures };
            let image = large.reader().read(&found.examples.names[*i]);
            row.push(Cell::Image(image.or_else(|_| input.squeeze(0))?));
            row.push(Cell::Image(model.saliency(&input)?.squeeze(0)?));
        }
        rows.push(row);
    }
    let unit = parts[0].0.plan.inputs.unit().trim_end_matches('s');
    let names = [unit].into_iter().chain(head);
    let names = names.chain(pictures.iter().flat_map(|_| ["picture", "what mattered"])).map(String::from);
    let title = title[..1].to_uppercase() + &title[1..];
    Ok((!rows.is_empty()).then(|| ReportTable { title, head: names.collect(), rows }))
}

/// How much the score falls when a column is shuffled, on average: L. Breiman 2001, "Random forests".
fn importance(parts: &[(&Model, &Examples)]) -> Result<Option<ReportTable>> {
    let Inputs::Table(schema) = &parts[0].0.plan.inputs else { return Ok(None) };
    let (columns, d) = (schema.columns(), schema.features().len());
    let widths = schema.feature_counts();
    let step = parts.iter().map(|(_, part)| part.len()).sum::<usize>().div_ceil(MAX_ROWS).max(1);
    let few = |(model, part): &(_, &Examples)| -> Result<(&Model, Examples)> {
        Ok((*model, part.select(&(0..part.len()).step_by(step).collect::<Vec<_>>())?))
    };
    let parts = parts.iter().map(few).collect::<Result<Vec<_>>>()?;
    let score = |parts: &[(&Model, Examples)]| -> Result<(&'static str, f64)> {
        Ok(Scores::new(&parts.iter().map(|(model, part)| (*model, part)).collect::<Vec<_>>())?.score())
    };
    let (name, whole) = score(&parts)?;
    if columns.len() > MAX_COLUMNS || !whole.is_finite() {
        return Ok(None);
    }
    let (mut start, mut drops) = (0, Vec::new());
    let rng = &mut Rng::seed(0);
    for (column, width) in columns.iter().zip(widths) {
        let mut sum = 0.0;
        for _ in 0..SHUFFLES {
            let mut shuffle = |(model, part): &(_, Examples)| -> Result<(&Model, Examples)> {
                let (n, before) = (part.len(), part.inputs.flatten(0, -1)?.to_vec1::<f64>()?);
                let mut after = before.clone();
                for (row, from) in rng.permutation(n).into_iter().enumerate() {
                    let cells = &before[from * d + start..][..width];
                    after[row * d + start..][..width].copy_from_slice(cells);
                }
                let mut part = part.select(&(0..n).collect::<Vec<_>>())?;
                part.inputs = Tensor::from_vec(after, (n, d), &Device::Cpu)?;
                Ok((*model, part))
            };
            let shuffled = parts.iter().map(&mut shuffle).collect::<Result<Vec<_>>>()?;
            sum += whole - score(&shuffled)?.1;
        }
        drops.push((column.name.to_string(), sum / SHUFFLES as f64));
        start += width;
    }
    drops.sort_by(|a, b| b.1.total_cmp(&a.1));
    let most = drops.first().map_or(0.0, |(_, drop)| *drop).max(f64::MIN_POSITIVE);
    let row =
        |(column, drop): (String, f64)| vec![column.into(), digits(drop).into(), Cell::Bar(drop / most)];
    let title = format!("Columns, by how much the {name} falls when the column is shuffled");
    let head = ["column", "falls by", ""].map(String::from).into();
    Ok(Some(ReportTable { title, head, rows: drops.into_iter().map(row).collect() }))
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

/// A day since 1970 as a date: H. Hinnant, "chrono-compatible low-level date algorithms".
fn date(days: u64) -> String {
    let days = days + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let of_year = day - (365 * year + year / 4 - year / 100);
    let shifted = (5 * of_year + 2) / 153;
    let (day, month) = (of_year - (153 * shifted + 2) / 5 + 1, (shifted + 2) % 12 + 1);
    format!("{}-{month:02}-{day:02}", era * 400 + year + u64::from(month <= 2))
}
