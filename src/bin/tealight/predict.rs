//! `tealight predict`: the classes of what is new.

use std::path::{Path, PathBuf};

use rayon::prelude::*;
use serde_json::{Map, Value, json};
use tealight::data::CsvSchema;
use tealight::data::image::Color;
use tealight::prelude::*;

use super::examples::{Inputs, files};
use super::failure::{Failure, Result, note, plain, print, said, write};
use super::model::Model;
use super::options::Predict;

/// How many pictures are in memory at a time.
const AT_A_TIME: usize = 64;

pub(super) fn run(options: &Predict) -> Result<()> {
    let model = Model::read(&options.model)?;
    match &model.plan.inputs {
        Inputs::Table(schema) => tables(options, &model, schema),
        Inputs::Pictures { size, color } => pictures(options, &model, *size, *color),
    }
}

/// A number of 32 bits, as short as it can be written.
pub(super) fn number(x: f32) -> Value {
    x.to_string().parse::<f64>().map_or(Value::Null, |x| json!(x))
}

/// What is said of one example.
struct Answer<'a> {
    class: &'a str,
    probability: f32,
    /// Of each class.
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
        let class = model.plan.classes.get(class).map_or("", String::as_str);
        Answer { class, probability, all }
    };
    Ok(model.probabilities(inputs)?.to_vec2::<f32>()?.into_iter().map(best).collect())
}

fn pictures(options: &Predict, model: &Model, size: usize, color: Color) -> Result<()> {
    let mut paths: Vec<PathBuf> = Vec::new();
    for path in &options.files {
        let before = paths.len();
        files(path, &mut paths)?;
        if paths.len() == before {
            return said(format!("{}: expected pictures, got an empty folder", path.display()));
        }
    }
    let mut unreadable = 0;
    let mut kept = String::new();
    for chunk in paths.chunks(AT_A_TIME) {
        let read: Vec<_> = chunk.par_iter().map(|path| Inputs::picture(path, size, color)).collect();
        let mut found: Vec<(&Path, Tensor)> = Vec::new();
        for (path, picture) in chunk.iter().zip(read) {
            match picture {
                Ok(picture) => found.push((path, picture)),
                Err(error) => {
                    unreadable += 1;
                    note(&format!("error: {}", plain(&error)));
                }
            }
        }
        if found.is_empty() {
            continue;
        }
        let tensors: Vec<&Tensor> = found.iter().map(|(_, picture)| picture).collect();
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
        // What is known is said at once.
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
        for (row, answer) in answers(model, &schema.inputs(path)?)?.into_iter().enumerate() {
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
    let failed = |error: &dyn std::fmt::Display| Failure::Said(format!("expected a table, got: {error}"));
    let mut writer = csv::Writer::from_writer(Vec::new());
    rows.iter().try_for_each(|row| writer.write_record(row)).map_err(|error| failed(&error))?;
    let bytes = writer.into_inner().map_err(|error| failed(&error))?;
    String::from_utf8(bytes).map_err(|error| failed(&error))
}
