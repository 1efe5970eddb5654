//! Example 14: physics-informed neural networks (PINNs). Their losses hold second derivatives of the network by its input, which
//! `autograd::taylor` finds in one forward pass. The residual of an equation is a layer, so that a step of its training is recorded and
//! replayed.
//!
//! `cargo run --release --example pinn` finds the swing of a damped oscillator, u″ + 2δ·u′ + ω²·u = 0 with u(0) = 1 and u′(0) = 0, and how
//! heat spreads in a rod with cold ends, ∂u/∂t = ∂²u/∂x², from the equations alone: it prints the mean square of each residual, and the
//! largest difference from the exact solution. It writes the networks, and the curves in `pinn.png` and `heat.png`.

use std::f64::consts::PI;
use std::path::PathBuf;

use clap::Parser;
use tealight::layer::Fields;
use tealight::optim::Lbfgs;
use tealight::prelude::*;
use tealight::program::TrainStep;
use tealight::{io, plot, train::Progress};

/// Solves two differential equations with small networks.
#[derive(Parser)]
struct Options {
    /// Steps of L-BFGS, of up to 20 iterations each
    #[arg(long, default_value_t = 40)]
    steps: u64,
    /// Where the networks and the pictures are written
    #[arg(long, value_name = "DIR", default_value = "out")]
    out: PathBuf,
}

const DAMPING: f64 = 1.0;
const FREQUENCY: f64 = 6.0;

fn exact(t: f64) -> f64 {
    let swing = (FREQUENCY * FREQUENCY - DAMPING * DAMPING).sqrt();
    (-DAMPING * t).exp() * ((swing * t).cos() + DAMPING / swing * (swing * t).sin())
}

/// The residual of an equation at collocation points, by a network: 0 everywhere for the solution alone.
struct Residual {
    network: Sequential,
    equation: fn(&Sequential, &Tensor, &mut ForwardContext) -> Result<Tensor>,
}

impl Layer for Residual {
    fn forward(&self, points: &Tensor, ctx: &mut ForwardContext) -> Result<Tensor> {
        (self.equation)(&self.network, &points.detach().into_parameter(), ctx)
    }

    fn fields<'a>(&'a self, fields: &mut Fields<'a>) {
        fields.layer("network", &self.network);
    }
}

/// A network with two layers of tanh.
fn network(inputs: usize, width: usize, rng: &mut Rng) -> Result<Sequential> {
    let network = Sequential::new()
        .push(Linear::new(inputs, width, rng)?)
        .push(Tanh)
        .push(Linear::new(width, width, rng)?)
        .push(Tanh)
        .push(Linear::new(width, 1, rng)?);
    network.to_dtype(DType::F64)?;
    Ok(network)
}

/// u = 1 + t²·N(t): whatever the network N is, it starts at 1 and at rest.
fn solution(network: &Sequential, t: &Tensor, ctx: &mut ForwardContext) -> Result<Tensor> {
    1.0 + (t.sqr()? * network.forward(t, ctx)?)?
}

/// u″ + 2δ·u′ + ω²·u
fn oscillation(network: &Sequential, t: &Tensor, ctx: &mut ForwardContext) -> Result<Tensor> {
    let u = solution(network, t, ctx)?;
    // Each u depends on its own t alone: all move at once.
    let [speed, acceleration] = &autograd::taylor(&u, t, &t.ones_like()?, 2)?[..] else {
        unreachable!("order 2 has two derivatives")
    };
    (acceleration + (speed * (2.0 * DAMPING))?)? + (u * (FREQUENCY * FREQUENCY))?
}

fn main() -> Result<()> {
    tealight::memory::keep_freed(512 << 20);
    let options = Options::parse();
    std::fs::create_dir_all(&options.out).map_err(|error| Error::file(&options.out, error))?;
    let model = Residual { network: network(1, 32, &mut Rng::seed(3))?, equation: oscillation };
    let times = Tensor::linspace(0.0, 1.0, 64, &Device::Cpu)?.reshape((64, 1))?;
    train(&model, &times, &options)?;

    let network = &model.network;
    let found = no_grad(|| solution(network, &times, &mut ForwardContext::eval()))?
        .flatten(0, -1)?
        .to_vec1::<f64>()?;
    let times = times.flatten(0, -1)?.to_vec1::<f64>()?;
    let worst = times.iter().zip(&found).map(|(&t, &u)| (u - exact(t)).abs()).fold(0.0, f64::max);
    println!("largest difference from the exact solution: {worst:.1e}");
    let curve = times.iter().map(|&t| (t, exact(t))).collect();
    let points = times.iter().zip(&found).step_by(2).map(|(&t, &u)| (t, u)).collect();
    let file = options.out.join("pinn.png");
    plot::curve(&file, "A damped oscillator", "time", "u", &[("exact", curve), ("network", points)])?;
    io::save(options.out.join("pinn.safetensors"), network)?;
    println!("wrote {} and pinn.safetensors beside it", file.display());
    assert!(options.steps < 40 || worst < 1e-3, "the equation was not solved");
    heat(&options)
}

/// Minimizes the mean square of the residual.
fn train(model: &Residual, points: &Tensor, options: &Options) -> Result<()> {
    let optimizer = Lbfgs::new(model.parameters(), 1.0)?.strong_wolfe();
    let mut step = TrainStep::new(model, Mse, optimizer);
    let zeros = Tensor::zeros((points.dims()[0], 1), DType::F64, &Device::Cpu)?;
    let mut progress = Progress::new(options.steps);
    for _ in 0..options.steps {
        let value = step.run(points, &zeros)?;
        progress.step(|| format!("mean square of the residual: {value:.2e}"));
    }
    progress.finish();
    Ok(())
}

/// The temperature at x, between 0 and 1, of a rod that started with sin πx + ½·sin 3πx.
fn exact_temperature(x: f64, t: f64) -> f64 {
    let wave = |k: f64| (-(k * PI).powi(2) * t).exp() * (k * PI * x).sin();
    wave(1.0) + 0.5 * wave(3.0)
}

/// The last time: points are (x, t / END).
const END: f64 = 0.1;

/// u starts as it should, and its ends stay cold, whatever the network is.
fn temperature(network: &Sequential, p: &Tensor, ctx: &mut ForwardContext) -> Result<Tensor> {
    let (x, t) = (p.narrow(1, 0, 1)?, p.narrow(1, 1, 1)?);
    let start = ((&x * PI)?.sin()? + ((&x * (3.0 * PI))?.sin()? * 0.5)?)?;
    let free = ((&x * (1.0 - &x)?)? * t)?;
    start + (free * network.forward(p, ctx)?)?
}

/// ∂u/∂t − ∂²u/∂x²
fn conduction(network: &Sequential, p: &Tensor, ctx: &mut ForwardContext) -> Result<Tensor> {
    let u = temperature(network, p, ctx)?;
    let along = |row: [f64; 2]| Tensor::new(&row, &Device::Cpu)?.broadcast_to(p.dims());
    let second = autograd::taylor(&u, p, &along([1.0, 0.0])?, 2)?.pop().expect("two orders");
    autograd::jvp(&u, [p], [&along([0.0, 1.0])?])? - (second * END)?
}

fn heat(options: &Options) -> Result<()> {
    const SIDE: usize = 20;
    let model = Residual { network: network(2, 24, &mut Rng::seed(5))?, equation: conduction };
    let along = |i: usize| i as f64 / (SIDE - 1) as f64;
    let points: Vec<f64> = (0..SIDE * SIDE).flat_map(|i| [along(i % SIDE), along(i / SIDE)]).collect();
    let p = Tensor::new(&points[..], &Device::Cpu)?.reshape((SIDE * SIDE, 2))?;
    train(&model, &p, options)?;

    let found = no_grad(|| temperature(&model.network, &p, &mut ForwardContext::eval()))?
        .flatten(0, -1)?
        .to_vec1::<f64>()?;
    let exact: Vec<f64> = points.chunks_exact(2).map(|p| exact_temperature(p[0], p[1] * END)).collect();
    let worst = exact.iter().zip(&found).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
    println!("largest difference from the exact temperature: {worst:.1e}");
    let row =
        |numbers: &[f64], i: usize| (0..SIDE).map(|j| (along(j), numbers[i * SIDE + j])).collect::<Vec<_>>();
    let last = SIDE - 1;
    let file = options.out.join("heat.png");
    let curves = [
        ("exact, t = 0.016", row(&exact, last / 5)),
        ("network", row(&found, last / 5)),
        ("exact, t = 0.1", row(&exact, last)),
        ("network", row(&found, last)),
    ];
    plot::curve(&file, "Heat in a rod", "position", "temperature", &curves)?;
    io::save(options.out.join("heat.safetensors"), &model.network)?;
    println!("wrote {} and heat.safetensors beside it", file.display());
    assert!(options.steps < 40 || worst < 1e-2, "the heat equation was not solved");
    Ok(())
}
