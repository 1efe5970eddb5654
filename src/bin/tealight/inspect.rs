//! `tealight inspect`: the tensors of a file, and the description of our own models.

use std::collections::BTreeMap;
use std::path::Path;

use tealight::io;
use tealight::prelude::*;

use super::evaluate::aligned;
use super::failure::{Result, counted, print};
use super::inputs::{Inputs, listed};
use super::model::Model;
use super::options::Inspect;

pub(super) fn run(options: &Inspect) -> Result<()> {
    let path = &options.file;
    let (tensors, unreadable) = read(path)?;
    let mut text = Model::read(path).map(|model| about(&model)).unwrap_or_default();
    let head = ["tensor", "shape", "dtype", "numbers", "min", "max", "mean", "std", "NaN", "inf"];
    let mut table = vec![head.map(String::from).to_vec()];
    let (mut all, mut odd) = (0, 0);
    let mut tensors: Vec<(String, Tensor)> = tensors.into_iter().collect();
    // Sorts numbers by value: layer 4 before layer 12.
    tensors.sort_by_cached_key(|(name, _)| {
        name.split('.').map(|part| (part.parse().unwrap_or(u64::MAX), part.to_string())).collect::<Vec<_>>()
    });
    for (name, tensor) in &tensors {
        let (row, unusual) = statistics(tensor)?;
        all += tensor.elem_count();
        odd += unusual;
        let start = [name.clone(), format!("{:?}", tensor.dims()), tensor.dtype().as_str().into()];
        table.push(start.into_iter().chain(row).collect());
    }
    text += &aligned(&table);
    let (tensors, all) = (counted(tensors.len(), "tensors"), counted(all, "numbers"));
    text += &format!("\n{tensors}, {all}");
    text += &if odd > 0 { format!(", {odd} of them NaN or infinite\n") } else { "\n".into() };
    for (name, message) in unreadable {
        text += &format!("unreadable: {name}: {message}\n");
    }
    print(&text)
}

/// The tensors, and what is wrong with those that cannot be read.
fn read(path: &Path) -> Result<(BTreeMap<String, Tensor>, BTreeMap<String, String>)> {
    let extension = path.extension().map(|extension| extension.to_string_lossy().to_lowercase());
    let file = match extension.as_deref() {
        Some("npz") => io::read_npz(path)?,
        Some("npy") => {
            return Ok((BTreeMap::from([("array".to_string(), io::read_npy(path)?)]), BTreeMap::new()));
        }
        // PyTorch's files are recognised by their content.
        _ => io::read(path, &Device::Cpu)?,
    };
    Ok((file.tensors, file.unreadable))
}

/// The description of a model of `tealight train`.
fn about(model: &Model) -> String {
    let plan = &model.plan;
    let inputs = match &plan.inputs {
        Inputs::Images(pictures) => {
            let (size, told) = (pictures.size, pictures.description());
            format!(
                "images of {size} × {size} pixels, {}",
                told["color"].as_str().expect("a description says the color")
            )
        }
        Inputs::Table(schema) => format!("rows of {}", listed(&schema.features())),
    };
    let mut lines =
        vec![vec!["model".to_string(), plan.kind.to_string()], vec!["inputs".to_string(), inputs]];
    if !plan.classes.is_empty() {
        lines.push(vec!["classes".into(), plan.classes.join(", ")]);
    }
    match &plan.inputs {
        Inputs::Table(schema) => lines.push(vec!["predicts".into(), schema.target().into()]),
        Inputs::Images(pictures) => {
            let told = pictures.description();
            let background = told["background"].as_str().unwrap_or("as the file has it");
            let steps = format!(
                "turned as Exif says, background {background}, fit {}, resized ({}), from 0 to 1",
                told["fit"].as_str().expect("a description says the fit"),
                told["interpolation"].as_str().expect("a description says the filter")
            );
            lines.push(vec!["images are".into(), steps]);
        }
    }
    if !plan.hidden.is_empty() {
        let widths: Vec<String> = plan.hidden.iter().map(usize::to_string).collect();
        lines.push(vec!["hidden layers".into(), widths.join(", ")]);
    }
    lines.extend(model.about.iter().map(|(name, value)| vec![name.clone(), value.clone()]));
    let width = lines.iter().map(|line| line[0].chars().count()).max().unwrap_or(0);
    let line =
        |line: &Vec<String>| format!("{:<width$}  {}\n", line[0], line[1].replace(char::is_control, " "));
    lines.iter().map(line).collect::<String>() + "\n"
}

/// A row of statistics, and the number of elements that are not finite.
fn statistics(tensor: &Tensor) -> Result<(Vec<String>, usize)> {
    let numbers: Vec<f64> = tensor.to_dtype(DType::F64)?.flatten(0, -1)?.to_vec1()?;
    let nan = numbers.iter().filter(|x| x.is_nan()).count();
    let infinite = numbers.iter().filter(|x| x.is_infinite()).count();
    let finite: Vec<f64> = numbers.iter().copied().filter(|x| x.is_finite()).collect();
    let mut row = vec![numbers.len().to_string()];
    if finite.is_empty() {
        row.extend(["-"; 4].map(String::from));
    } else {
        let n = finite.len() as f64;
        let (min, max) =
            finite.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), &x| (a.min(x), b.max(x)));
        let mean = finite.iter().map(|x| x / n).sum::<f64>();
        let std = finite.iter().map(|x| (x - mean).powi(2) / n).sum::<f64>().sqrt();
        row.extend([min, max, mean, std].map(short));
    }
    row.extend([nan, infinite].map(|count| count.to_string()));
    Ok((row, nan + infinite))
}

/// A number with four decimals, or in scientific notation.
fn short(x: f64) -> String {
    match x.abs() {
        _ if x == 0.0 => "0".into(),
        a if (1e-3..1e5).contains(&a) => format!("{x:.4}"),
        _ => format!("{x:.2e}"),
    }
}
