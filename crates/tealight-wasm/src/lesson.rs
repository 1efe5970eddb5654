//! The trainings of the book's chapters 4, 9, 10 and 11.

use tealight::prelude::*;
use wasm_bindgen::prelude::*;

use crate::digits::{PIXELS, TRAIN};
use crate::thrown;

/// A model of the book, with its data and its training.
#[wasm_bindgen]
pub struct Lesson {
    inputs: [Tensor; 2],
    targets: [Tensor; 2],
    model: Sequential,
    optimizer: Box<dyn Optimizer>,
    loss: Box<dyn Loss>,
    batch: usize,
    rng: Rng,
    steps: u64,
}

#[wasm_bindgen]
impl Lesson {
    /// `zero` and `eight` (is it that digit?), `mlp` or `cnn` on digits as `Digits` takes them; `iris` and `standardised` on the lengths of
    /// the flowers.
    #[wasm_bindgen(constructor)]
    pub fn new(kind: &str, ink: &[u8], labels: &[u8]) -> Result<Lesson, JsError> {
        build(kind, ink, labels).map_err(thrown)
    }

    /// Takes the training through all examples once, and returns its mean loss, and the loss on the others.
    pub fn epoch(&mut self) -> Result<Vec<f64>, JsError> {
        self.run().map_err(thrown)
    }

    /// The weight of the first layer that has one.
    pub fn weights(&self) -> Result<Vec<f32>, JsError> {
        let weights = || self.model.parameters()[0].1.get().flatten(0, -1)?.to_vec1();
        weights().map_err(thrown)
    }

    /// The scores of the examples that are not trained on, one after the other.
    pub fn scores(&self) -> Result<Vec<f32>, JsError> {
        let scores = || self.model.predict(&self.inputs[1])?.flatten(0, -1)?.to_vec1();
        scores().map_err(thrown)
    }
}

impl Lesson {
    fn run(&mut self) -> Result<Vec<f64>> {
        let n = self.inputs[0].dims()[0];
        let order: Vec<u32> = self.rng.permutation(n).into_iter().map(|i| i as u32).collect();
        let mut sum = 0.0;
        for chosen in order.chunks(self.batch) {
            let chosen_rows = Tensor::new(chosen, &Device::Cpu)?;
            self.steps += 1;
            let context = &mut ForwardContext::train(Rng::seed(self.steps));
            let scores = self.model.forward(&self.inputs[0].index_select(0, &chosen_rows)?, context)?;
            let loss = self.loss.loss(&scores, &self.targets[0].index_select(0, &chosen_rows)?)?;
            sum += f64::from(loss.to_scalar::<f32>()?) * chosen.len() as f64;
            self.optimizer.step(&loss.backward()?)?;
        }
        let valid = self.loss.loss(&self.model.predict(&self.inputs[1])?, &self.targets[1])?;
        Ok(vec![sum / n as f64, valid.to_scalar::<f32>()?.into()])
    }
}

fn build(kind: &str, ink: &[u8], labels: &[u8]) -> Result<Lesson> {
    let rng = &mut Rng::seed(1);
    let (inputs, targets, train) = match kind {
        "iris" | "standardised" => {
            let iris = tealight::data::iris()?;
            let scaled = match kind {
                "iris" => iris.inputs,
                _ => Standardize::fit(&iris.inputs)?.normalize(&iris.inputs)?,
            };
            (scaled, iris.targets, 150)
        }
        _ => {
            let ink: Vec<f32> = ink.iter().map(|&ink| f32::from(ink) / 16.0).collect();
            let labels: Vec<u32> = labels.iter().map(|&label| label.into()).collect();
            let targets = Tensor::new(&labels[..], &Device::Cpu)?;
            (Tensor::from_vec(ink, (labels.len(), PIXELS), &Device::Cpu)?, targets, TRAIN)
        }
    };
    let (n, one) = (inputs.dims()[0], |digit: f64| targets.eq(digit)?.to_dtype(DType::F32)?.unsqueeze(1));
    let linear = |inputs, outputs, rng: &mut Rng| Linear::new(inputs, outputs, rng);
    let same = ConvOptions::new().padding(1);
    let (model, targets, loss, rate, batch): (_, _, Box<dyn Loss>, _, _) = match kind {
        "zero" | "eight" => {
            let model = Sequential::new().push(NormalizeRows::default()).push(linear(PIXELS, 1, rng)?);
            let targets = one(if kind == "zero" { 0.0 } else { 8.0 })?;
            (model, targets, Box::new(BceWithLogits), 10.0, n)
        }
        "mlp" => {
            let model = Sequential::new().push(linear(PIXELS, 64, rng)?).push(Relu);
            let model = model.push(linear(64, 32, rng)?).push(Relu).push(linear(32, 10, rng)?);
            (model, targets, Box::new(CrossEntropy::new()), 3e-3, 32)
        }
        "cnn" => {
            let model = Sequential::new().push(Conv2d::new(1, 8, 3, same, rng)?).push(Relu);
            let model = model.push(Conv2d::new(8, 16, 3, same, rng)?).push(Relu);
            let model = model.push(MaxPool2d::new(PoolOptions::new(2))).push(Flatten);
            let model = model.push(Dropout::new(0.3)?).push(linear(16 * 4 * 4, 10, rng)?);
            (model, targets, Box::new(CrossEntropy::new()), 4e-3, 32)
        }
        "iris" | "standardised" => {
            let model = Sequential::new().push(linear(4, 3, rng)?);
            (model, targets, Box::new(CrossEntropy::new()), 0.1, n)
        }
        _ => return Err(Error::argument("Lesson", "zero, eight, mlp, cnn, iris or standardised", kind)),
    };
    let inputs = if kind == "cnn" { inputs.reshape((n, 1, 8, 8))? } else { inputs };
    let parameters = model.parameters();
    let optimizer: Box<dyn Optimizer> = match kind {
        "mlp" | "cnn" => Box::new(Adam::new(parameters, rate)?),
        _ => Box::new(Sgd::new(parameters, rate)?),
    };
    // Of the flowers none are left out: their loss is measured twice.
    let others = if train < n { train } else { 0 };
    let parts = |x: &Tensor| Ok::<_, Error>([x.narrow(0, 0, train)?, x.narrow(0, others, n - others)?]);
    let (inputs, targets, rng) = (parts(&inputs)?, parts(&targets)?, Rng::seed(1));
    Ok(Lesson { inputs, targets, model, optimizer, loss, batch, rng, steps: 0 })
}
