//! `tealight evaluate`: metrics of a model on labeled examples.

use std::path::Path;

use serde_json::{Value, json};
use tealight::metrics::{Average, F1, LogLoss, Metric, Precision, Recall};
use tealight::plot::{self, Report};
use tealight::prelude::*;

use super::artifacts::{self, Shown};
use super::failure::{Result, check_out, counted, fail, print};
use super::inputs::{Examples, Inputs};
use super::model::Model;
use super::options::Evaluate;
use super::predict::too_far;
use super::scores::{Evaluation, Scores};

/// The confusion matrix is printed up to this many classes.
const MAX_COLUMNS: usize = 30;

/// Errors that are listed.
const MOST: usize = 20;

pub(super) fn run(options: &Evaluate) -> Result<()> {
    check_out("--report", options.report.as_deref(), &[&options.model, &options.data])?;
    let model = Model::read(&options.model)?;
    let examples = model.plan.inputs.read(&options.data, &model.plan.classes, &options.form)?;
    check_answers(&options.data, &model, &examples)?;
    let parts = [(&model, &examples)];
    let scores = Scores::new(&parts)?;
    if let Some(path) = &options.report {
        let data = vec![
            ("model".to_string(), options.model.display().to_string()),
            ("data".into(), options.data.display().to_string()),
            ("examples".into(), format!("{} {}", examples.len(), model.plan.inputs.unit())),
        ];
        let mut page = Report { metrics: scores.metrics("evaluation"), ..Report::default() };
        page.settings.clone_from(&model.about);
        let shown = Shown { parts: &parts, scores: &scores, name: "evaluation", data };
        artifacts::fill(&mut page, &shown)?;
        plot::report(path, &page)?;
    }
    let errors = || -> Result<Vec<Value>> {
        let (head, unit) = (scores.head().1, if model.plan.of_images() { "path" } else { "row" });
        let one = |(i, cells): (usize, [Value; 3])| {
            let name = &examples.names[i];
            let name =
                name.parse::<u64>().ok().filter(|_| unit == "row").map_or(json!(name), |row| json!(row));
            let pairs = head.iter().map(|name| name.to_string()).zip(cells);
            Value::Object([(unit.to_string(), name)].into_iter().chain(pairs).collect())
        };
        Ok(scores.mistakes()?.into_iter().take(MOST).map(one).collect())
    };
    match &scores {
        Scores::Classes(evaluation) => classes(options, &model, &scores, evaluation, errors),
        Scores::Numbers(residuals) if options.json => {
            let all = json!({
                "examples": examples.len(),
                "r2": residuals.r2,
                "mae": residuals.mae,
                "rmse": residuals.rmse,
                "mae_of_mean": residuals.mae_of_mean,
                "rmse_of_mean": residuals.rmse_of_mean,
                "errors": errors()?,
            });
            print(&format!("{all}\n"))
        }
        Scores::Numbers(residuals) => {
            let (line, worth) = (residuals.line(), scores.worth("rows")?);
            let rows = counted(examples.len(), "rows");
            print(&format!("{rows}: {line}\n{worth}{}", scores.wrong(MOST, "rows")?))
        }
    }
}

/// Errors if the model has no answer for a row.
fn check_answers(data: &Path, model: &Model, examples: &Examples) -> Result<()> {
    let Inputs::Table(schema) = &model.plan.inputs else { return Ok(()) };
    let outputs = model.outputs(&examples.inputs)?.to_dtype(DType::F64)?.to_vec2::<f64>()?;
    match outputs.iter().position(|scores| scores.iter().any(|score| !score.is_finite())) {
        None => Ok(()),
        Some(i) => {
            let row = examples.inputs.narrow(0, i, 1)?.flatten(0, -1)?.to_vec1()?;
            fail(format!("{}: row {}: {}", data.display(), examples.names[i], too_far(schema, &row)))
        }
    }
}

fn classes(
    options: &Evaluate,
    model: &Model,
    scores: &Scores,
    evaluation: &Evaluation,
    errors: impl Fn() -> Result<Vec<Value>>,
) -> Result<()> {
    let (classes, examples) = (&model.plan.classes, &evaluation.examples);
    let unit = model.plan.inputs.unit();
    let (mut precision, mut recall) = (Precision::new(Average::Macro), Recall::new(Average::Macro));
    let (mut f1, mut loss) = (F1::new(Average::Macro), LogLoss::new());
    let metrics: [&mut dyn Metric; 4] = [&mut precision, &mut recall, &mut f1, &mut loss];
    for metric in metrics {
        metric.update(&evaluation.probabilities, &examples.targets)?;
    }
    let loss = loss.value()?;
    let per_class = [precision.per_class()?, recall.per_class()?, f1.per_class()?];
    let counts = examples.counts()?;
    let confusion = evaluation.confusion.counts()?;
    let row = |i: usize| (per_class.each_ref().map(|scores| scores[i]), counts[i]);

    if options.json {
        let class = |(i, class): (usize, &String)| {
            let ([precision, recall, f1], examples) = row(i);
            json!({"class": class, "precision": precision, "recall": recall, "f1": f1, "examples": examples})
        };
        let all: Vec<_> = classes.iter().enumerate().map(class).collect();
        let all = json!({
            "examples": examples.len(),
            "accuracy": evaluation.accuracy(),
            "accuracy_of_guessing": evaluation.guess()?.1,
            "score": scores.score().0,
            "interval": [evaluation.interval().0, evaluation.interval().1],
            "log_loss": loss,
            "calibration_error": evaluation.calibration.value()?,
            "classes": all,
            "confusion": confusion,
            "errors": errors()?,
        });
        return print(&format!("{all}\n"));
    }
    let mut table = vec![["class", "precision", "recall", "F1", "examples"].map(String::from).to_vec()];
    for (i, class) in classes.iter().enumerate() {
        let (scores, count) = row(i);
        let numbers = scores.iter().map(|score| format!("{score:.4}")).chain([count.to_string()]);
        table.push([class.clone()].into_iter().chain(numbers).collect());
    }
    let mut text = format!(
        "{} {}, {} right: accuracy {:.4}, log loss {loss:.4}\n{}\n{}",
        examples.len(),
        unit,
        evaluation.correct(),
        evaluation.accuracy(),
        scores.worth(unit)?,
        aligned(&table)
    );
    if classes.len() <= MAX_COLUMNS {
        let mut table =
            vec![["true ↓, predicted →".to_string()].into_iter().chain(classes.clone()).collect()];
        for (class, counts) in classes.iter().zip(&confusion) {
            let counts = counts.iter().map(u64::to_string);
            table.push([class.clone()].into_iter().chain(counts).collect::<Vec<_>>());
        }
        text += &format!("\n{}", aligned(&table));
    }
    print(&(text + &scores.wrong(MOST, unit)?))
}

/// Formats a table: the first column left-aligned, the others right-aligned.
pub(super) fn aligned(table: &[Vec<String>]) -> String {
    let one_line = |text: &String| text.replace(char::is_control, " ");
    let table: Vec<Vec<String>> = table.iter().map(|row| row.iter().map(one_line).collect()).collect();
    let columns = table.iter().map(Vec::len).max().unwrap_or(0);
    let wide = |text: &String| text.chars().count();
    let width = |column: usize| table.iter().filter_map(|row| row.get(column)).map(wide).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut text = String::new();
    for row in &table {
        let cells = row.iter().zip(&widths).enumerate().map(|(i, (cell, &width))| {
            if i == 0 { format!("{cell:<width$}") } else { format!("{cell:>width$}") }
        });
        text += cells.collect::<Vec<_>>().join("  ").trim_end();
        text.push('\n');
    }
    text
}
