//! A network for `wasm/run speed` alone, to be timed beside those of other libraries.

use tealight::prelude::*;
use tealight::program::TrainStep;
use wasm_bindgen::prelude::*;

use crate::thrown;

/// 64-128-10 with ReLU, one batch of digits, and SGD.
#[wasm_bindgen]
pub struct Mlp {
    inputs: Tensor,
    targets: Tensor,
    model: &'static Sequential,
    step: TrainStep<'static>,
}

#[wasm_bindgen]
impl Mlp {
    /// From 64 numbers for each label.
    #[wasm_bindgen(constructor)]
    pub fn new(inputs: Vec<f32>, labels: Vec<u32>) -> Result<Mlp, JsError> {
        build(inputs, labels).map_err(thrown)
    }

    /// Takes this many steps and returns the last loss.
    pub fn train(&mut self, steps: u32) -> Result<f64, JsError> {
        let loss = (0..steps).try_fold(f64::NAN, |_, _| self.step.run(&self.inputs, &self.targets));
        loss.map_err(thrown)
    }

    /// The scores, computed this many times.
    pub fn answer(&self, times: u32) -> Result<Vec<f32>, JsError> {
        let scores = || self.model.predict(&self.inputs)?.flatten(0, -1)?.to_vec1();
        (1..times).try_for_each(|_| scores().map(drop)).and_then(|()| scores()).map_err(thrown)
    }

    /// The parameters, one after the other.
    pub fn parameters(&self) -> Result<Vec<f32>, JsError> {
        let all = || {
            let parts = self.model.parameters();
            let parts = parts.iter().map(|(_, part)| part.get().flatten(0, -1)?.to_vec1::<f32>());
            Ok::<_, Error>(parts.collect::<Result<Vec<_>>>()?.concat())
        };
        all().map_err(thrown)
    }
}

#[cfg(not(target_arch = "wasm32"))]
impl Mlp {
    /// Writes the network as an ONNX file.
    pub fn export(&self, path: &str) -> Result<()> {
        tealight::io::export_onnx(path, self.model, self.inputs.dims())
    }
}

fn build(inputs: Vec<f32>, labels: Vec<u32>) -> Result<Mlp> {
    let rng = &mut Rng::seed(1);
    let first = Linear::new(64, 128, rng)?;
    let model = Sequential::new().push(first).push(Relu).push(Linear::new(128, 10, rng)?);
    // It lives as long as the page.
    let model: &'static Sequential = Box::leak(Box::new(model));
    Ok(Mlp {
        inputs: Tensor::from_vec(inputs, (labels.len(), 64), &Device::Cpu)?,
        targets: Tensor::new(&labels[..], &Device::Cpu)?,
        step: TrainStep::new(model, CrossEntropy::new(), Sgd::new(model.parameters(), 0.1)?),
        model,
    })
}
