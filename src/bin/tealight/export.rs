//! `tealight export`: a model for other programs.

use std::path::Path;

use tealight::prelude::*;

use super::failure::{Result, print, said};
use super::model::Model;
use super::options::Export;

pub(super) fn run(options: &Export) -> Result<()> {
    let model = Model::read(&options.model)?;
    // One example at a time.
    let shape: Vec<usize> = [1].into_iter().chain(model.plan.inputs.shape()).collect();
    onnx(&options.onnx, &model.net, &shape)?;
    let (path, classes) = (options.onnx.display(), model.plan.classes.join(", "));
    print(&format!("wrote {path}\ninput: {shape:?}\noutput: a score for each of {classes}\n"))
}

// MERGE: `Ok(tealight::io::export_onnx(path, net, shape)?)` in place of the error, when the library has it.
fn onnx(_path: &Path, _net: &Sequential, _shape: &[usize]) -> Result<()> {
    said("export --onnx: expected a library that writes ONNX files, got one that does not do so yet")
}
