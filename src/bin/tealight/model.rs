//! A model, and the file that it is kept in.

use std::path::Path;

use tealight::data::image::Color;
use tealight::io::Checkpoint;
use tealight::prelude::*;

use super::examples::{Inputs, LARGEST};
use super::failure::{Result, said};
use super::options::Kind;

/// How many shapes each stage of a cnn looks for; after each stage the picture is half as wide and high.
const SHAPES: [usize; 3] = [16, 32, 64];
/// How many examples go through the model at a time.
const BATCH: usize = 256;
/// The word of a file that holds such a model, and the version of what else it says.
const NAME: &str = "tealight model";
const VERSION: u32 = 1;

/// What a model is made of.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) kind: Kind,
    pub(super) inputs: Inputs,
    /// The widths of the layers between.
    pub(super) hidden: Vec<usize>,
    pub(super) classes: Vec<String>,
}

/// A model with its plan.
pub(super) struct Model {
    pub(super) plan: Plan,
    /// Standardisation first; the outputs are scores, one a class.
    pub(super) net: Sequential,
    /// What is told of the training: names and values.
    pub(super) about: Vec<(String, String)>,
}

impl Plan {
    /// The shapes of each stage.
    fn stages(&self) -> &'static [usize] {
        match (&self.inputs, self.kind) {
            (Inputs::Pictures { size, .. }, Kind::Cnn) => {
                &SHAPES[..SHAPES.len().min(size.max(&1).ilog2() as usize)]
            }
            _ => &[],
        }
    }

    /// The widths of the dense layers, from the first one's inputs to the classes.
    fn widths(&self) -> Vec<usize> {
        let inputs = match &self.inputs {
            Inputs::Table(schema) => schema.features().len(),
            Inputs::Pictures { size, .. } => {
                let stages = self.stages();
                let side = size >> stages.len();
                stages.last().copied().unwrap_or(self.inputs.channels()) * side * side
            }
        };
        [inputs].into_iter().chain(self.hidden.iter().copied()).chain([self.classes.len()]).collect()
    }

    /// About how many weights the model has: those of the dense layers.
    pub(super) fn size(&self) -> usize {
        let widths = self.widths();
        widths.windows(2).map(|pair| pair[0].saturating_mul(pair[1])).fold(0, usize::saturating_add)
    }

    /// The model with weights that have learned nothing yet.
    pub(super) fn build(&self, scale: Standardize, rng: &mut Rng) -> Result<Sequential> {
        let mut net = Sequential::new().push(scale);
        let mut channels = self.inputs.channels();
        for &shapes in self.stages() {
            net = net
                .push(Conv2d::new(channels, shapes, 3, ConvOptions::new().padding(1), rng)?)
                .push(Relu)
                .push(MaxPool2d::new(PoolOptions::new(2)));
            channels = shapes;
        }
        if matches!(self.inputs, Inputs::Pictures { .. }) {
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

impl Model {
    /// The probability of each class, (n, c).
    pub(super) fn probabilities(&self, inputs: &Tensor) -> Result<Tensor> {
        let n = inputs.dims().first().copied().unwrap_or(0);
        let batch = |start: usize| {
            let part = inputs.narrow(0, start, BATCH.min(n - start))?;
            self.net.predict(&part)?.softmax(1)
        };
        let parts = (0..n).step_by(BATCH).map(batch).collect::<tealight::Result<Vec<_>>>()?;
        Ok(Tensor::cat(&parts, 0)?)
    }

    pub(super) fn write(&self, path: &Path) -> Result<()> {
        let Plan { kind, inputs, hidden, classes } = &self.plan;
        let mut file = Checkpoint::default();
        file.set_meta(NAME, VERSION);
        file.set_meta("kind", kind);
        file.set_meta("hidden", hidden.iter().map(usize::to_string).collect::<Vec<_>>().join(" "));
        match inputs {
            Inputs::Pictures { size, color } => {
                file.set_meta("size", size);
                file.set_meta("colour", if *color == Color::Grey { "grey" } else { "rgb" });
            }
            Inputs::Table(schema) => file.set_meta("columns", schema),
        }
        file.set_meta("classes", classes.len());
        classes.iter().enumerate().for_each(|(i, class)| file.set_meta(&format!("class {i}"), class));
        let about = self.about.iter().enumerate();
        about.for_each(|(i, (name, value))| file.set_meta(&format!("about {i}"), format!("{name}\t{value}")));
        file.insert("model", self.net.state().into_iter().map(|(name, held)| (name, held.get())).collect());
        Ok(file.write(path)?)
    }

    pub(super) fn read(path: &Path) -> Result<Self> {
        let place = path.display();
        let file = Checkpoint::read(path)?;
        match file.meta::<u32>(NAME) {
            Ok(VERSION) => {}
            Ok(version) => {
                return said(format!("{place}: expected version {VERSION} of a model, got {version}"));
            }
            Err(_) => {
                let got = "the checkpoint of a training";
                return said(format!("{place}: expected a model that `tealight train` wrote, got {got}"));
            }
        }
        let word = |name: &str| file.meta::<String>(name);
        let refuse = |name: &str, got: &str| {
            said(format!("{place}: expected a readable {name:?} in its metadata, got {got:?}"))
        };
        let Ok(kind) = word("kind")?.parse() else { return refuse("kind", &word("kind")?) };
        let hidden: Result<Vec<usize>, _> = word("hidden")?.split_whitespace().map(str::parse).collect();
        // Beside a width of 0 another could be any number, and the file would have no weights for it.
        let hidden = hidden.ok().filter(|widths| !widths.contains(&0));
        let Some(hidden) = hidden else { return refuse("hidden", &word("hidden")?) };
        let count: usize = file.meta("classes")?;
        if count == 0 {
            return refuse("classes", "0");
        }
        let classes =
            (0..count).map(|i| word(&format!("class {i}"))).collect::<tealight::Result<Vec<_>>>()?;
        let inputs = match word("columns") {
            Ok(_) => Inputs::Table(Box::new(file.meta("columns")?)),
            Err(_) => {
                let size: usize = file.meta("size")?;
                let color = match word("colour")?.as_str() {
                    "grey" => Color::Grey,
                    "rgb" => Color::Rgb,
                    other => return refuse("colour", other),
                };
                if !(1..=LARGEST).contains(&size) {
                    return refuse("size", &size.to_string());
                }
                Inputs::Pictures { size, color }
            }
        };
        let told = |i: usize| {
            let (name, value) =
                word(&format!("about {i}")).ok()?.split_once('\t').map(|(a, b)| (a.into(), b.into()))?;
            Some((name, value))
        };
        let about = (0..).map_while(told).collect();
        let plan = Plan { kind, inputs, hidden, classes };
        let net = plan.restore(&file, path)?;
        Ok(Model { plan, net, about })
    }
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
        // Before anything is made: a damaged file might ask for more than fits into memory.
        if found != expected {
            let place = path.display();
            return said(format!(
                "{place}: expected weights of shapes {expected:?}, as it says, got {found:?}"
            ));
        }
        let scale = match &self.inputs {
            Inputs::Pictures { .. } => Standardize::new_channels(self.inputs.channels())?,
            Inputs::Table(_) => Standardize::new(widths[0])?,
        };
        let net = self.build(scale, &mut Rng::seed(0))?;
        file.load(&net)?;
        Ok(net)
    }
}
