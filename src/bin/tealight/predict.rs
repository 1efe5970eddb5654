//! `tealight predict`: predicts the classes of new images or rows.

use std::path::{Path, PathBuf};

use rayon::prelude::*;
use serde_json::{Map, Value, json};
use tealight::data::CsvSchema;
use tealight::prelude::*;

use super::failure::{Failure, Result, fail, note, one_line, print, write};
use super::inputs::{Inputs, Pictures, files};
use super::model::Model;
use super::options::Predict;

/// Images read and classified at a time.
const CHUNK: usize = 64;

pub(super) fn run(options: &Predict) -> Result<()> {
    let model = Model::read(&options.model)?;
    match &model.plan.inputs {
        Inputs::Table(schema) => tables(options, &model, schema),
        Inputs::Images(pictures) => images(options, &model, pictures),
    }
}

/// An f32 as the shortest JSON number that reads back as it.
pub(super) fn number(x: f32) -> Value {
    x.to_string().parse::<f64>().map_or(Value::Null, |x| json!(x))
}

/// The prediction for one example.
struct Answer<'a> {
    class: &'a str,
    probability: f32,
    /// The probability of each class.
    all: Vec<f32>,
}

impl Answer<'_> {
    fn json(&self, classes: &[String]) -> Map<String, Value> {
        let all = classes.iter().zip(&self.all).map(|(class, &p)| (class.clone(), number(p)));
        let mut object = Map::new();
        object.insert("class".into(), self.class.into());
        object.insert("probability".into(), number(self.probability));
        object.insert("probabilities".into(), Value::Object(all.collect()));
        object
    }
}

fn answers<'a>(model: &'a Model, inputs: &Tensor) -> Result<Vec<Answer<'a>>> {
    let best = |all: Vec<f32>| {
        let first = (0, f32::NEG_INFINITY);
        let (class, probability) =
            all.iter().enumerate().fold(first, |best, (i, &p)| if p > best.1 { (i, p) } else { best });
        let class = model.plan.classes[class].as_str();
        Answer { class, probability, all }
    };
    Ok(model.probabilities(inputs)?.to_vec2::<f32>()?.into_iter().map(best).collect())
}

fn images(options: &Predict, model: &Model, pictures: &Pictures) -> Result<()> {
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
        for ((path, _), answer) in found.iter().zip(answers(model, &Tensor::stack(&tensors, 0)?)?) {
            let path = path.display().to_string();
            text += &match options.json {
                true => {
                    let mut object = answer.json(&model.plan.classes);
                    object.insert("path".into(), path.into());
                    format!("{}\n", Value::Object(object))
                }
                false => format!("{path}\t{}\t{:.4}\n", answer.class, answer.probability),
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

fn tables(options: &Predict, model: &Model, schema: &CsvSchema) -> Result<()> {
    let classes = &model.plan.classes;
    let mut rows: Vec<Vec<String>> =
        vec![[&"class".to_string()].into_iter().chain(classes).cloned().collect()];
    let mut lines = String::new();
    for path in &options.files {
        for (row, answer) in answers(model, &schema.read_inputs(path)?)?.into_iter().enumerate() {
            if options.json {
                let mut object = answer.json(classes);
                object.insert("path".into(), path.display().to_string().into());
                object.insert("row".into(), (row + 1).into());
                lines += &format!("{}\n", Value::Object(object));
            } else {
                let probabilities = answer.all.iter().map(|p| format!("{p:.6}"));
                rows.push([answer.class.to_string()].into_iter().chain(probabilities).collect());
            }
        }
    }
    let text = if options.json { lines } else { as_csv(&rows)? };
    write(options.out.as_deref(), &text)
}

fn as_csv(rows: &[Vec<String>]) -> Result<String> {
    let failed = |error: &dyn std::fmt::Display| Failure::Message(format!("expected a table, got: {error}"));
    let mut writer = csv::Writer::from_writer(Vec::new());
    rows.iter().try_for_each(|row| writer.write_record(row)).map_err(|error| failed(&error))?;
    let bytes = writer.into_inner().map_err(|error| failed(&error))?;
    String::from_utf8(bytes).map_err(|error| failed(&error))
}
