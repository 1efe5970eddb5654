//! The program's models and their files.

use std::path::Path;

use serde_json::{Value, json};
use tealight::io::Checkpoint;
use tealight::layer::{Fields, ForwardContext};
use tealight::prelude::*;

use super::failure::{Failure, Result, fail};
use super::inputs::{Inputs, Pictures};
use super::options::Kind;

/// Output channels of the stages of a cnn; each stage halves the width and height.
const CHANNELS: [usize; 3] = [16, 32, 64];
/// Examples per forward pass.
const BATCH: usize = 256;
/// The metadata entry that holds the plan, and the version of its format.
const NAME: &str = "tealight model";
const VERSION: u32 = 4;

/// Kind, inputs and sizes of a model.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) kind: Kind,
    pub(super) inputs: Inputs,
    /// The widths of the hidden layers.
    pub(super) hidden: Vec<usize>,
    /// Empty where numbers are predicted.
    pub(super) classes: Vec<String>,
    /// Whether all classes count the same, however rare.
    pub(super) balance: bool,
}

/// A model with its plan.
pub(super) struct Model {
    pub(super) plan: Plan,
    /// Standardization first; the outputs are logits, one per class, or the predicted number, (n, 1) of f64.
    pub(super) net: Sequential,
    /// Facts about the training, for `inspect` and the report: names and values.
    pub(super) about: Vec<(String, String)>,
    /// What the logits are divided by; 1 for none. See [`calibrate`](Model::calibrate).
    pub(super) temperature: f64,
}

impl Plan {
    /// Whether the examples are images, which have paths, and not rows.
    pub(super) fn of_images(&self) -> bool {
        matches!(self.inputs, Inputs::Images(_))
    }

    /// The output channels of the stages.
    fn stages(&self) -> &'static [usize] {
        match (&self.inputs, self.kind) {
            (Inputs::Images(Pictures { size, .. }), Kind::Cnn) => {
                &CHANNELS[..CHANNELS.len().min(size.max(&1).ilog2() as usize)]
            }
            _ => &[],
        }
    }

    /// The widths of the dense layers, from the first one's inputs to the classes or the number.
    fn widths(&self) -> Vec<usize> {
        let inputs = match &self.inputs {
            Inputs::Table(schema) => schema.features().len(),
            Inputs::Images(Pictures { size, .. }) => {
                let stages = self.stages();
                let side = size >> stages.len();
                stages.last().copied().unwrap_or(self.inputs.channels()) * side * side
            }
        };
        [inputs].into_iter().chain(self.hidden.iter().copied()).chain([self.classes.len().max(1)]).collect()
    }

    /// The number of weights of the dense layers, which are nearly all.
    pub(super) fn size(&self) -> usize {
        let widths = self.widths();
        widths.windows(2).map(|pair| pair[0].saturating_mul(pair[1])).fold(0, usize::saturating_add)
    }

    /// The model with its initial weights; it predicts a number on the scale of the training.
    pub(super) fn build(&self, scale: Standardize, rng: &mut Rng) -> Result<Sequential> {
        let mut net = Sequential::new().push(Scaled(scale));
        let mut channels = self.inputs.channels();
        for &outputs in self.stages() {
            net = net
                .push(Conv2d::new(channels, outputs, 3, ConvOptions::new().padding(1), rng)?)
                .push(Relu)
                .push(MaxPool2d::new(PoolOptions::new(2)));
            channels = outputs;
        }
        if matches!(self.inputs, Inputs::Images(_)) {
            net = net.push(Flatten);
        }
        if self.kind == Kind::Cnn {
            net = net.push(Dropout::new(0.25)?);
        }
        let widths = self.widths();
        for (i, pair) in widths.windows(2).enumerate() {
            net = net.push(Linear::new(pair[0], pair[1], rng)?);
            if i + 2 < widths.len() {
                net = net.push(Relu);
            }
        }
        Ok(net)
    }
}

/// Standardization in the dtype of its numbers, f64 for tables; what follows is in f32.
struct Scaled(Standardize);

impl Layer for Scaled {
    fn forward(&self, x: &Tensor, _: &mut ForwardContext) -> tealight::Result<Tensor> {
        self.0.normalize(&x.to_dtype(self.0.mean().dtype())?)?.to_dtype(DType::F32)
    }

    fn fields<'a>(&'a self, fields: &mut Fields<'a>) {
        self.0.fields(fields);
    }
}

/// The way back to the units of the target, in f64.
struct Unscaled(Standardize);

impl Layer for Unscaled {
    fn forward(&self, y: &Tensor, _: &mut ForwardContext) -> tealight::Result<Tensor> {
        self.0.inverse().normalize(&y.to_dtype(DType::F64)?)
    }

    fn fields<'a>(&'a self, fields: &mut Fields<'a>) {
        self.0.fields(fields);
    }
}

/// A network that predicts numbers in the units of the target.
pub(super) fn in_units(net: Sequential, target: Standardize) -> Sequential {
    net.push(Unscaled(target))
}

/// Divides logits by a temperature.
struct Tempered(f64);

impl Layer for Tempered {
    fn forward(&self, logits: &Tensor, _: &mut ForwardContext) -> tealight::Result<Tensor> {
        logits / self.0
    }

    fn fields<'a>(&'a self, _: &mut Fields<'a>) {}
}

impl Model {
    pub(super) fn new(plan: Plan, net: Sequential) -> Self {
        Model { plan, net, about: Vec::new(), temperature: 1.0 }
    }

    /// Calibrates the probabilities of a model without a temperature: divides the logits by one.
    pub(super) fn calibrate(&mut self, temperature: f64) {
        self.temperature = temperature;
        self.net = std::mem::take(&mut self.net).push(Tempered(temperature));
    }

    /// The outputs for inputs (n, …): logits or numbers.
    pub(super) fn outputs(&self, inputs: &Tensor) -> Result<Tensor> {
        let n = inputs.dims()[0];
        let batch = |start: usize| self.net.predict(&inputs.narrow(0, start, BATCH.min(n - start))?);
        let parts = (0..n).step_by(BATCH).map(batch).collect::<tealight::Result<Vec<_>>>()?;
        Ok(Tensor::cat(&parts, 0)?)
    }

    /// The probability of each class, (n, c).
    pub(super) fn probabilities(&self, inputs: &Tensor) -> Result<Tensor> {
        Ok(self.outputs(inputs)?.softmax(1)?)
    }

    /// The predicted numbers.
    pub(super) fn numbers(&self, inputs: &Tensor) -> Result<Vec<f64>> {
        Ok(self.outputs(inputs)?.flatten(0, -1)?.to_vec1()?)
    }

    /// How much each pixel matters for the class that is predicted, (n, h, w): |∂ score / ∂ pixel|, the largest of the channels, as a
    /// share of the largest in the picture.
    ///
    /// K. Simonyan et al., "Deep inside convolutional networks: visualising image classification models and saliency maps", 2013.
    pub(super) fn saliency(&self, images: &Tensor) -> Result<Tensor> {
        let n = images.dims()[0];
        let batch = |start: usize| {
            let x = Tensor::parameter(images.narrow(0, start, BATCH.min(n - start))?);
            let scores = self.net.forward(&x, &mut ForwardContext::eval())?;
            let classes = scores.argmax(1)?.unsqueeze(1)?;
            let [gradient] = autograd::grad(&scores.gather(1, &classes)?.sum_all()?, [&x])?;
            let slope = gradient.detach().abs()?.max(1)?;
            let most = slope.max_keepdim(1)?.max_keepdim(2)?.maximum(f64::from(f32::MIN_POSITIVE))?;
            slope / most
        };
        let parts = (0..n).step_by(BATCH).map(batch).collect::<tealight::Result<Vec<_>>>()?;
        Ok(Tensor::cat(&parts, 0)?)
    }

    /// Whether the images that the model was trained on are dark in the mean; not for a table.
    pub(super) fn is_dark(&self) -> bool {
        let state = self.net.state_dict();
        let mean =
            state.iter().find(|(name, _)| name.ends_with(".mean")).expect("the first layer has a mean");
        let mean = mean.1.get().to_dtype(DType::F64).and_then(|mean| mean.mean_all()?.to_scalar::<f64>());
        mean.is_ok_and(|mean| mean < 0.5)
    }

    /// The mean of the numbers that the model was trained on: what to predict without one.
    pub(super) fn target_mean(&self) -> Result<f64> {
        let state = self.net.state_dict();
        let (_, mean) =
            state.iter().rfind(|(name, _)| name.ends_with(".mean")).expect("the last layer has a mean");
        Ok(mean.get().flatten(0, -1)?.to_vec1::<f64>()?[0])
    }

    /// Writes the weights, and the plan and the description as JSON in the file's metadata.
    pub(super) fn write(&self, path: &Path) -> Result<()> {
        let Plan { kind, inputs, hidden, classes, balance } = &self.plan;
        let inputs = match inputs {
            Inputs::Images(pictures) => pictures.description(),
            Inputs::Table(schema) => json!({"columns": schema.to_string()}),
        };
        let plan = json!({
            "version": VERSION,
            "kind": kind.to_string(),
            "inputs": inputs,
            "hidden": hidden,
            "classes": classes,
            "about": self.about,
            "balance": balance,
            // As text: serde_json reads some numbers of 64 bits with an error in the last.
            "temperature": self.temperature.to_string(),
        });
        let mut file = Checkpoint::default();
        file.set_meta(NAME, plan);
        file.insert(
            "model",
            self.net.state_dict().into_iter().map(|(name, entry)| (name, entry.get())).collect(),
        );
        Ok(file.write(path)?)
    }

    pub(super) fn read(path: &Path) -> Result<Self> {
        let place = path.display();
        if path.is_dir() {
            let file = path.join("model.safetensors");
            return fail(format!("{place}: expected a model file, got a folder: is it {}?", file.display()));
        }
        let file = Checkpoint::read(path)?;
        let Ok(plan) = file.meta::<Value>(NAME) else {
            let got = "the checkpoint of a training";
            return fail(format!("{place}: expected a model that `tealight train` wrote, got {got}"));
        };
        // Version 3 knew no temperature.
        if !(3..=VERSION).any(|version| plan["version"] == version) {
            return fail(format!("{place}: expected version {VERSION} of a model, got {}", plan["version"]));
        }
        let wrong = |name: &str| {
            let expected = format!("expected a valid {name:?} in the model's metadata");
            Failure::Message(format!("{place}: {expected}, got {}", plan[name]))
        };
        let kind = plan["kind"].as_str().and_then(|kind| kind.parse().ok()).ok_or_else(|| wrong("kind"))?;
        // A layer of width 0 has no weights, so that the file would not limit the width beside it.
        let width = |value: &Value| value.as_u64().filter(|&width| width > 0).map(|width| width as usize);
        let hidden = list(&plan["hidden"], width).ok_or_else(|| wrong("hidden"))?;
        let classes = list(&plan["classes"], |class| class.as_str().map(String::from));
        let classes = classes.ok_or_else(|| wrong("classes"))?;
        let about = list(&plan["about"], |pair| Some((pair[0].as_str()?.into(), pair[1].as_str()?.into())))
            .ok_or_else(|| wrong("about"))?;
        let inputs = match plan["inputs"]["columns"].as_str() {
            Some(columns) => Inputs::Table(Box::new(columns.parse()?)),
            None => Inputs::Images(Pictures::parse(&plan["inputs"]).ok_or_else(|| wrong("inputs"))?),
        };
        let known = match &inputs {
            Inputs::Table(schema) => schema.classes() == classes,
            Inputs::Images { .. } => !classes.is_empty(),
        };
        if !known {
            return Err(wrong("classes"));
        }
        let temperature = match &plan["temperature"] {
            Value::Null => Some(1.0),
            text => text.as_str().and_then(|text| text.parse().ok()),
        };
        let temperature: f64 =
            temperature.filter(|t: &f64| *t > 0.0 && t.is_finite()).ok_or_else(|| wrong("temperature"))?;
        let balance = plan["balance"].as_bool().unwrap_or(false);
        let plan = Plan { kind, inputs, hidden, classes, balance };
        let net = plan.restore(&file, path)?;
        let mut model = Model { about, ..Model::new(plan, net) };
        if temperature != 1.0 {
            model.calibrate(temperature);
        }
        Ok(model)
    }
}

/// The elements of a JSON array, each read by `element`.
fn list<T>(value: &Value, element: impl Fn(&Value) -> Option<T>) -> Option<Vec<T>> {
    value.as_array()?.iter().map(element).collect()
}

impl Plan {
    /// The model with the weights of a file.
    fn restore(&self, file: &Checkpoint, path: &Path) -> Result<Sequential> {
        let mut found: Vec<(usize, Vec<usize>)> = Vec::new();
        for (name, tensor) in file.tensors("model") {
            let number = name.strip_suffix(".weight").and_then(|number| number.parse().ok());
            if let (Some(number), [_, _]) = (number, tensor.dims()) {
                found.push((number, tensor.dims().to_vec()));
            }
        }
        found.sort();
        let found: Vec<Vec<usize>> = found.into_iter().map(|(_, dims)| dims).collect();
        let widths = self.widths();
        let expected: Vec<Vec<usize>> = widths.windows(2).map(|pair| vec![pair[1], pair[0]]).collect();
        // Checked before anything is allocated: a damaged file might ask for more than fits into memory.
        if found != expected {
            let place = path.display();
            return fail(format!(
                "{place}: expected weights of the shapes {expected:?} that its metadata gives, got {found:?}"
            ));
        }
        let scale = match &self.inputs {
            Inputs::Images(_) => Standardize::new_channels(self.inputs.channels())?,
            Inputs::Table(_) => wide(widths[0])?,
        };
        let mut net = self.build(scale, &mut Rng::seed(0))?;
        if self.classes.is_empty() {
            net = in_units(net, wide(1)?);
        }
        file.load(&net)?;
        Ok(net)
    }
}

/// The identity for features in f64.
pub(super) fn wide(features: usize) -> tealight::Result<Standardize> {
    let scale = Standardize::new(features)?;
    scale.to_dtype(DType::F64)?;
    Ok(scale)
}
