//! `tealight predict`: predicts the classes or numbers of new images or rows.

use std::fmt::{Debug, Display, Formatter, Write};
use std::path::{Path, PathBuf};

use rayon::prelude::*;
use serde_json::Value;
use tealight::data::{Table, TableSchema};
use tealight::prelude::*;

use super::failure::{Failure, Result, check_out, counted, fail, note, one_line, print, write};
use super::inputs::{self, Inputs, Pictures, files};
use super::model::Model;
use super::options::{Form, Predict};

/// Images read and classified at a time.
const CHUNK: usize = 64;

pub(super) fn run(options: &Predict) -> Result<()> {
    let read: Vec<&Path> = options.files.iter().chain([&options.model]).map(PathBuf::as_path).collect();
    check_out("--out", options.out.as_deref(), &read)?;
    let model = Model::read(&options.model)?;
    match &model.plan.inputs {
        Inputs::Table(schema) => tables(options, &model, schema),
        Inputs::Images(pictures) => images(options, &model, pictures),
    }
}

/// A JSON object, written field by field: a server has no time for a tree.
pub(super) struct Object(String);

impl Object {
    pub(super) fn new() -> Self {
        let mut text = String::with_capacity(512); // a few classes
        text.push('{');
        Object(text)
    }

    pub(super) fn insert(&mut self, name: &str, value: impl Display) {
        if self.0.len() > 1 {
            self.0.push(',');
        }
        write!(self.0, "{}:{value}", Quoted(name)).expect("a String takes what is written");
    }
}

impl Display for Object {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)?;
        f.write_str("}")
    }
}

/// A text in JSON.
pub(super) struct Quoted<'a>(pub(super) &'a str);

impl Display for Quoted<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        match self.0.bytes().all(|byte| byte >= b' ' && byte != b'"' && byte != b'\\') {
            true => {
                f.write_str("\"")?;
                f.write_str(self.0)?;
                f.write_str("\"")
            }
            false => Display::fmt(&Value::from(self.0), f),
        }
    }
}

/// The shortest JSON number that reads back as this f32 or f64.
struct Number<T>(T);

impl<T: Debug + Into<f64> + Copy> Display for Number<T> {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        match self.0.into().is_finite() {
            true => self.0.fmt(f),
            false => f.write_str("null"),
        }
    }
}

/// The prediction for one example.
pub(super) enum Answer<'a> {
    Class {
        name: &'a str,
        probability: f32,
        /// The probability of each class.
        all: Vec<f32>,
    },
    Number(f64),
}

impl Answer<'_> {
    pub(super) fn json(&self, classes: &[String]) -> Object {
        let mut object = Object::new();
        match self {
            Answer::Class { name, probability, all } => {
                let mut probabilities = Object::new();
                classes.iter().zip(all).for_each(|(class, &p)| probabilities.insert(class, Number(p)));
                object.insert("class", Quoted(name));
                object.insert("probability", Number(*probability));
                object.insert("probabilities", probabilities);
            }
            Answer::Number(x) => object.insert("prediction", Number(*x)),
        }
        object
    }

    /// Whether there is an answer; numbers that are too large have none.
    pub(super) fn is_finite(&self) -> bool {
        match self {
            Answer::Class { all, .. } => all.iter().all(|p| p.is_finite()),
            Answer::Number(x) => x.is_finite(),
        }
    }

    /// The columns of a table.
    fn cells(&self) -> Vec<String> {
        match self {
            Answer::Class { name, all, .. } => {
                [name.to_string()].into_iter().chain(all.iter().map(|p| format!("{p:.6}"))).collect()
            }
            Answer::Number(x) => vec![x.to_string()],
        }
    }
}

/// Why a row has no answer: its largest number is too far from those that the model knows.
pub(super) fn too_far(schema: &TableSchema, row: &[f64]) -> String {
    let largest = schema.features().into_iter().zip(row).max_by(|a, b| a.1.abs().total_cmp(&b.1.abs()));
    let (name, x) = largest.expect("a table has a column of inputs");
    format!("column {name:?}: expected a number nearer to those of the training, got {x:e}")
}

pub(super) fn predictions<'a>(model: &'a Model, inputs: &Tensor) -> Result<Vec<Answer<'a>>> {
    let outputs = model.outputs(inputs)?;
    answers(model, &if model.plan.classes.is_empty() { outputs } else { outputs.softmax(1)? })
}

/// The predictions of a model with these probabilities or numbers.
pub(super) fn answers<'a>(model: &'a Model, scores: &Tensor) -> Result<Vec<Answer<'a>>> {
    if model.plan.classes.is_empty() {
        let numbers: Vec<f64> = scores.flatten(0, -1)?.to_vec1()?;
        return Ok(numbers.into_iter().map(Answer::Number).collect());
    }
    let best = |all: Vec<f32>| {
        let first = (0, f32::NEG_INFINITY);
        let (class, probability) =
            all.iter().enumerate().fold(first, |best, (i, &p)| if p > best.1 { (i, p) } else { best });
        Answer::Class { name: &model.plan.classes[class], probability, all }
    };
    Ok(scores.to_vec2::<f32>()?.into_iter().map(best).collect())
}

fn images(options: &Predict, model: &Model, pictures: &Pictures) -> Result<()> {
    if options.id.is_some() || options.keep || options.form != Form::default() {
        return fail("expected a model of a table for the options of tables, got one of images");
    }
    let mut paths: Vec<PathBuf> = Vec::new();
    for path in &options.files {
        let before = paths.len();
        files(path, &mut paths)?;
        if paths.len() == before {
            return fail(format!("{}: expected images, got an empty folder", path.display()));
        }
    }
    let reader = pictures.reader();
    let mut unreadable = 0;
    let mut kept = String::new();
    for chunk in paths.chunks(CHUNK) {
        let read: Vec<_> = chunk.par_iter().map(|path| reader.read(path)).collect();
        let mut found: Vec<(&Path, Tensor)> = Vec::new();
        for (path, image) in chunk.iter().zip(read) {
            match image {
                Ok(image) => found.push((path, image)),
                Err(error) => {
                    unreadable += 1;
                    note(&format!("error: {}", one_line(&error)));
                }
            }
        }
        if found.is_empty() {
            continue;
        }
        let tensors: Vec<&Tensor> = found.iter().map(|(_, image)| image).collect();
        let mut text = String::new();
        for ((path, _), answer) in found.iter().zip(predictions(model, &Tensor::stack(&tensors, 0)?)?) {
            let path = path.display().to_string();
            text += &match answer {
                Answer::Class { name, probability, .. } if !options.json => {
                    format!("{path}\t{name}\t{probability:.4}\n")
                }
                answer => {
                    let mut object = answer.json(&model.plan.classes);
                    object.insert("path", Quoted(&path));
                    format!("{object}\n")
                }
            };
        }
        // Without --out, each chunk is printed as soon as it is known.
        if options.out.is_some() { kept += &text } else { print(&text)? }
    }
    if options.out.is_some() {
        write(options.out.as_deref(), &kept)?;
    }
    if unreadable == 0 { Ok(()) } else { Err(Failure::Reported) }
}

/// Predicts the rows of tables; a row that cannot be used is answered with the problem.
fn tables(options: &Predict, model: &Model, schema: &TableSchema) -> Result<()> {
    let mut answers = Answers::new(options, model);
    let (mut all, mut without, mut failed) = (0, 0, false);
    for path in &options.files {
        inputs::check_table(path)?;
        match answers.add(schema, path) {
            Ok((rows, unanswered)) => {
                all += rows;
                without += unanswered;
            }
            Err(Failure::Library(error)) if options.files.len() > 1 => {
                failed = true;
                note(&format!("error: {}", one_line(&error)));
            }
            Err(error) => return Err(error),
        }
    }
    let text = if options.json { answers.lines } else { answers.csv()? };
    write(options.out.as_deref(), &text)?;
    if without > 0 {
        // Each row has the same problem where the file writes numbers otherwise than the first table.
        let told = options.form != Form::default();
        let hint = if without == all && !told { " (see --decimal, --delimiter and the like)" } else { "" };
        note(&format!(
            "error: {without} of {} could not be predicted: the column \"problem\" says why{hint}",
            counted(all, "rows")
        ));
    }
    if failed || without > 0 { Err(Failure::Reported) } else { Ok(()) }
}

/// The answers for rows of tables.
pub(super) struct Answers<'a> {
    options: &'a Predict,
    model: &'a Model,
    /// A header and rows.
    rows: Vec<Vec<String>>,
    /// The same as JSON: an object per line.
    pub(super) lines: String,
}

impl<'a> Answers<'a> {
    pub(super) fn new(options: &'a Predict, model: &'a Model) -> Self {
        Answers { options, model, rows: Vec::new(), lines: String::new() }
    }

    /// Adds the rows of a file; returns how many there are, and how many of them have no prediction.
    fn add(&mut self, schema: &TableSchema, path: &Path) -> Result<(usize, usize)> {
        let table = inputs::table(schema, path, &self.options.form)?;
        let good = self.add_table(schema, path, &table)?;
        if let Some(text) = inputs::filled(&schema.fill_values(&table, &good)?) {
            note(text.trim_end());
        }
        Ok((table.len(), table.len() - good.len()))
    }

    /// Adds the rows of a table; returns those that have a prediction.
    pub(super) fn add_table(
        &mut self,
        schema: &TableSchema,
        path: &Path,
        table: &Table,
    ) -> Result<Vec<usize>> {
        let options = self.options;
        let column = |name: &String| {
            table.names().iter().position(|known| known == name).ok_or_else(|| {
                let names = table.names().join(", ");
                Failure::Message(format!("{}: --id: expected a column {name:?}, got {names}", path.display()))
            })
        };
        let id = options.id.as_ref().map(column).transpose()?;
        let encoded: Vec<Result<Vec<f64>, String>> =
            schema.encode_rows(table)?.into_iter().map(|row| row.map_err(|error| problem(&error))).collect();
        let numbers: Vec<f64> = encoded.iter().flatten().flatten().copied().collect();
        let predicted = match encoded.iter().flatten().count() {
            0 => Vec::new(),
            n => predictions(
                self.model,
                &Tensor::from_vec(numbers, (n, schema.features().len()), &Device::Cpu)?,
            )?,
        };
        let mut predicted = predicted.into_iter();
        let answers: Vec<Result<Answer, String>> = encoded
            .into_iter()
            .map(|row| {
                let row = row?;
                let answer = predicted.next().expect("each row that was encoded has a prediction");
                if answer.is_finite() { Ok(answer) } else { Err(too_far(schema, &row)) }
            })
            .collect();
        let good: Vec<usize> = (0..answers.len()).filter(|&row| answers[row].is_ok()).collect();
        let classes = &self.model.plan.classes;
        let several = options.files.len() > 1;
        if self.rows.is_empty() {
            let mut header: Vec<String> = several.then(|| "file".to_string()).into_iter().collect();
            header.push(options.id.clone().unwrap_or_else(|| "row".into()));
            header.extend(table.names().iter().filter(|_| options.keep).cloned());
            header.push(if classes.is_empty() { "prediction" } else { "class" }.into());
            header.extend(classes.iter().cloned());
            header.push("problem".into());
            self.rows.push(header);
        }
        let kept = if options.keep { table.names().len() } else { 0 };
        for (row, answer) in answers.into_iter().enumerate() {
            let cells = table.row(row)?;
            let name = match id {
                Some(column) => cells.get(column).copied().unwrap_or_default().to_string(),
                None => (row + 1).to_string(),
            };
            let (answer, problem) = match answer {
                Ok(answer) => (Some(answer), None),
                Err(problem) => (None, Some(problem)),
            };
            if options.json {
                let mut object = answer.map_or_else(Object::new, |answer| answer.json(classes));
                object.insert("path", Quoted(&path.display().to_string()));
                object.insert("row", row + 1);
                id.iter().for_each(|_| object.insert("id", Quoted(&name)));
                if options.keep {
                    let mut columns = Object::new();
                    table
                        .names()
                        .iter()
                        .zip(&cells)
                        .for_each(|(name, cell)| columns.insert(name, Quoted(cell)));
                    object.insert("columns", columns);
                }
                problem.iter().for_each(|text| object.insert("problem", Quoted(text)));
                self.lines += &format!("{object}\n");
                continue;
            }
            let mut line: Vec<String> = several.then(|| path.display().to_string()).into_iter().collect();
            line.push(name);
            line.extend((0..kept).map(|i| cells.get(i).copied().unwrap_or_default().to_string()));
            match answer {
                Some(answer) => line.extend(answer.cells()),
                None => line.extend(std::iter::repeat_n(String::new(), 1 + classes.len())),
            }
            line.push(problem.unwrap_or_default());
            self.rows.push(line);
        }
        Ok(good)
    }

    /// The answers as CSV.
    pub(super) fn csv(&self) -> Result<String> {
        let failed =
            |error: &dyn std::fmt::Display| Failure::Message(format!("expected a table, got: {error}"));
        let mut writer = csv::Writer::from_writer(Vec::new());
        self.rows.iter().try_for_each(|row| writer.write_record(row)).map_err(|error| failed(&error))?;
        let bytes = writer.into_inner().map_err(|error| failed(&error))?;
        String::from_utf8(bytes).map_err(|error| failed(&error))
    }
}

/// The message of an error in a row without the file's name, on one line.
pub(super) fn problem(error: &Error) -> String {
    let text = match error {
        Error::File { message, .. } => message.clone(),
        other => other.to_string(),
    };
    text.replace(['\n', '\r'], " ")
}
