//! `tealight export`: writes a model as ONNX.

use tealight::io;

use super::failure::{Result, print};
use super::model::Model;
use super::options::Export;

pub(super) fn run(options: &Export) -> Result<()> {
    let model = Model::read(&options.model)?;
    // One example at a time.
    let shape: Vec<usize> = [1].into_iter().chain(model.plan.inputs.shape()).collect();
    io::export_onnx(&options.onnx, &model.net, &shape)?;
    let (path, classes) = (options.onnx.display(), model.plan.classes.join(", "));
    print(&format!("wrote {path}\ninput: {shape:?}\noutput: a score for each of {classes}\n"))
}
