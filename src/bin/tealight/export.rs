//! `tealight export`: writes a model as ONNX.

use serde_json::json;
use tealight::io::OnnxExport;

use super::failure::{Result, print};
use super::inputs::Inputs;
use super::model::Model;
use super::options::Export;

pub(super) fn run(options: &Export) -> Result<()> {
    let model = Model::read(&options.model)?;
    // One example at a time.
    let shape: Vec<usize> = [1].into_iter().chain(model.plan.inputs.shape()).collect();
    let inputs = match &model.plan.inputs {
        Inputs::Images(pictures) => pictures.description(),
        Inputs::Table(schema) => json!({ "features": schema.features() }),
    };
    OnnxExport::new(&shape)
        .metadata("inputs", &inputs.to_string())
        .metadata("classes", &json!(model.plan.classes).to_string())
        .write(&options.onnx, &model.net)?;
    let path = options.onnx.display();
    let (input, output) = match &model.plan.inputs {
        Inputs::Table(schema) if model.plan.classes.is_empty() => {
            (" of 64 bits", schema.target().to_string())
        }
        Inputs::Table(_) => (" of 64 bits", format!("a score for each of {}", model.plan.classes.join(", "))),
        Inputs::Images(_) => ("", format!("a score for each of {}", model.plan.classes.join(", "))),
    };
    print(&format!("wrote {path}\ninput: {shape:?}{input}\noutput: {output}\n"))
}
