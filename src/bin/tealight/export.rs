//! `tealight export`: writes a model as ONNX, C or Rust.

use std::path::Path;

use serde_json::json;
use tealight::export::{Export as Source, quantize};
use tealight::io::OnnxExport;
use tealight::prelude::*;

use super::failure::{Failure, Result, check_out, print};
use super::inputs::Inputs;
use super::model::Model;
use super::options::Export;

pub(super) fn run(options: &Export) -> Result<()> {
    let outs = [("--onnx", &options.onnx), ("--c", &options.c), ("--rust", &options.rust)];
    outs.iter().try_for_each(|(option, out)| check_out(option, out.as_deref(), &[&options.model]))?;
    let model = Model::read(&options.model)?;
    // One example at a time.
    let shape: Vec<usize> = [1].into_iter().chain(model.plan.inputs.shape()).collect();
    let inputs = match &model.plan.inputs {
        Inputs::Images(pictures) => pictures.description(),
        Inputs::Table(schema) => json!({ "features": schema.features(), "target": schema.target() }),
    };
    let dtype = if model.plan.of_images() { DType::F32 } else { DType::F64 };
    let small = match &options.calibrate {
        Some(data) => {
            let examples = model.plan.inputs.read(data, &model.plan.classes, &options.form)?;
            Some(quantize(&model.net, &examples.inputs)?)
        }
        None => None,
    };
    let net: &dyn Layer = small.as_ref().map_or(&model.net, |small| small);
    let mut written = Vec::new();
    if let Some(path) = &options.onnx {
        let export = OnnxExport::new(&shape);
        let export = match options.opset {
            Some(opset) => export.opset(opset),
            None => export,
        }
        .floats(dtype)
        .metadata("inputs", &inputs.to_string())
        .metadata("classes", &json!(model.plan.classes).to_string());
        if options.f32 { export.as_f32() } else { export }.write(path, net)?;
        written.push(path.display().to_string());
    }
    if options.c.is_some() || options.rust.is_some() {
        let example = Tensor::zeros(&shape[..], dtype, &Device::Cpu)?;
        let mut source =
            Source::function(|[x]| net.predict(x), [&example])?.note(&format!("inputs: {inputs}"));
        if !model.plan.classes.is_empty() {
            source = source.note(&format!("classes: {}", model.plan.classes.join(", ")));
        }
        for (path, text) in [(&options.c, source.to_c()), (&options.rust, source.to_rust())] {
            if let Some(path) = path {
                write(path, &text)?;
                let (flash, ram) = (source.flash(), source.ram());
                written.push(format!("{} ({flash} bytes of weights, {ram} bytes of memory)", path.display()));
            }
        }
    }
    let written = written.join(", ");
    let bits = if options.f32 { "" } else { " of 64 bits" };
    let (input, output) = match &model.plan.inputs {
        Inputs::Table(schema) if model.plan.classes.is_empty() => (bits, schema.target().to_string()),
        Inputs::Table(_) => (bits, format!("a score for each of {}", model.plan.classes.join(", "))),
        Inputs::Images(_) => ("", format!("a score for each of {}", model.plan.classes.join(", "))),
    };
    print(&format!("wrote {written}\ninput: {shape:?}{input}\noutput: {output}\n"))
}

fn write(path: &Path, text: &str) -> Result<()> {
    std::fs::write(path, text).map_err(|error| Failure::Message(format!("{}: {error}", path.display())))
}
