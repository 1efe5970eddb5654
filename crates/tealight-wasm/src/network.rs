//! Page 4: a network on points in the plane.

use std::f64::consts::PI;

use tealight::formula::parse;
use tealight::optim::RmsProp;
use tealight::prelude::*;
use wasm_bindgen::prelude::*;

use crate::thrown;

/// `count` points of two classes, in turn: x, y, and 0 or 1, in turn.
#[wasm_bindgen]
pub fn points(kind: &str, count: u32, noise: f64, seed: u32) -> Result<Vec<f32>, JsError> {
    let rng = &mut Rng::seed(seed.into());
    let mut points = Vec::new();
    for i in 0..count {
        let (class, t) = (f64::from(i % 2), rng.uniform());
        let sign = 1.0 - 2.0 * class;
        let (x, y) = match kind {
            "moons" => ((t * PI).cos() * sign + class - 0.5, (t * PI).sin() * sign + class * 0.5 - 0.25),
            "circles" => {
                let radius = 1.2 - 0.7 * class;
                (radius * (2.0 * PI * t).cos(), radius * (2.0 * PI * t).sin())
            }
            // The book's: a disc, and a ring around it.
            "ring" => {
                let radius = 0.8 * rng.uniform() + 1.2 * (1.0 - class);
                (radius * (2.0 * PI * t).cos(), radius * (2.0 * PI * t).sin())
            }
            "spirals" => {
                let (radius, angle) = (0.15 + 1.2 * t, 3.5 * PI * t);
                (sign * radius * angle.cos(), sign * radius * angle.sin())
            }
            _ => return Err(thrown(Error::argument("points", "moons, circles, ring or spirals", kind))),
        };
        points.extend([x + noise * rng.normal(), y + noise * rng.normal(), class].map(|x| x as f32));
    }
    Ok(points)
}

/// A network from two numbers to one score, its points, and its training.
#[wasm_bindgen]
pub struct Network {
    inputs: Tensor,
    targets: Tensor,
    model: Sequential,
    optimizer: Box<dyn Optimizer>,
}

#[wasm_bindgen]
impl Network {
    /// `points` as [`points`] makes them; `widths` of the hidden layers; `activation` is a formula of x.
    #[wasm_bindgen(constructor)]
    pub fn new(
        points: &[f32],
        widths: Vec<usize>,
        activation: &str,
        optimizer: &str,
        rate: f64,
        seed: u32,
    ) -> Result<Network, JsError> {
        build(points, &widths, activation, optimizer, rate, seed).map_err(thrown)
    }

    /// Takes this many steps with all points and returns the last loss.
    pub fn train(&mut self, steps: u32) -> Result<f64, JsError> {
        let mut steps = || {
            let mut last = f64::NAN;
            for _ in 0..steps {
                let loss = self.loss()?;
                last = loss.to_scalar::<f32>()?.into();
                self.optimizer.step(&loss.backward()?)?;
            }
            Ok::<_, Error>(last)
        };
        steps().map_err(thrown)
    }

    /// The share of points on the right side.
    pub fn accuracy(&self) -> Result<f64, JsError> {
        let share = || {
            let right = self.model.predict(&self.inputs)?.gt(0.0)?.eq(&self.targets.gt(0.5)?)?;
            Ok::<_, Error>(right.to_dtype(DType::F32)?.mean_all()?.to_scalar::<f32>()?.into())
        };
        share().map_err(thrown)
    }

    /// The probability of class 1 on a grid of `side` × `side` points of the square ±`reach`, the top row first.
    pub fn plane(&self, side: usize, reach: f32) -> Result<Vec<f32>, JsError> {
        let place = |i: usize| reach * (2.0 * i as f32 + 1.0 - side as f32) / side as f32;
        let all = (0..side).flat_map(|row| (0..side).flat_map(move |column| [place(column), -place(row)]));
        let answer = || {
            let x = Tensor::from_vec(all.collect(), (side * side, 2), &Device::Cpu)?;
            self.model.predict(&x)?.sigmoid()?.flatten(0, -1)?.to_vec1()
        };
        answer().map_err(thrown)
    }

    /// The graph that a step records, with the derivatives of its formulas.
    pub fn graph(&self) -> Result<String, JsError> {
        self.loss().map(|loss| loss.graph().to_string()).map_err(thrown)
    }
}

impl Network {
    fn loss(&self) -> Result<Tensor> {
        BceWithLogits.loss(&self.model.forward(&self.inputs, &mut ForwardContext::eval())?, &self.targets)
    }
}

fn build(
    points: &[f32],
    widths: &[usize],
    activation: &str,
    optimizer: &str,
    rate: f64,
    seed: u32,
) -> Result<Network> {
    let activation = parse(activation, ["x"])?;
    if widths.len() > 6 || widths.iter().any(|width| !(1..=64).contains(width)) {
        return Err(Error::argument("Network", "at most 6 layers of 1 to 64 units", format!("{widths:?}")));
    }
    let rng = &mut Rng::seed(seed.into());
    let (mut model, mut before) = (Sequential::new(), 2);
    for &width in widths {
        model = model.push(Linear::new(before, width, rng)?).push(activation.clone());
        before = width;
    }
    let model = model.push(Linear::new(before, 1, rng)?);
    let parameters = model.parameters();
    let optimizer: Box<dyn Optimizer> = match optimizer {
        "sgd" => Box::new(Sgd::new(parameters, rate)?),
        "momentum" => Box::new(Sgd::new(parameters, rate)?.momentum(0.9)?),
        "rmsprop" => Box::new(RmsProp::new(parameters, rate)?),
        "adam" => Box::new(Adam::new(parameters, rate)?),
        _ => return Err(Error::argument("Network", "sgd, momentum, rmsprop or adam", optimizer)),
    };
    let rows: Vec<&[f32]> = points.chunks_exact(3).collect();
    let flat = |part: fn(&[f32]) -> &[f32]| {
        rows.iter().flat_map(|&row| part(row).iter().copied()).collect::<Vec<_>>()
    };
    Ok(Network {
        inputs: Tensor::from_vec(flat(|row| &row[..2]), (rows.len(), 2), &Device::Cpu)?,
        targets: Tensor::from_vec(flat(|row| &row[2..]), (rows.len(), 1), &Device::Cpu)?,
        model,
        optimizer,
    })
}
