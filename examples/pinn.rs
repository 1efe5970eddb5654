//! A network that solves a differential equation: its loss holds second derivatives of the network by its input.
//!
//! `cargo run --release --example pinn` finds the swing of a damped oscillator, u″ + 2δ·u′ + ω²·u = 0 with u(0) = 1 and
//! u′(0) = 0, from the equation alone, compares it with the exact solution and draws both in `pinn.png`.

use std::path::PathBuf;

use clap::Parser;
use tealight::prelude::*;
use tealight::{plot, train::Progress};

/// Solves a differential equation with a small network.
#[derive(Parser)]
struct Options {
    /// Steps of the optimizer
    #[arg(long, default_value_t = 3000)]
    steps: u64,
    /// Where the picture is written
    #[arg(long, value_name = "DIR", default_value = ".")]
    out: PathBuf,
}

const DAMPING: f64 = 1.0;
const FREQUENCY: f64 = 6.0;

fn exact(t: f64) -> f64 {
    let swing = (FREQUENCY * FREQUENCY - DAMPING * DAMPING).sqrt();
    (-DAMPING * t).exp() * ((swing * t).cos() + DAMPING / swing * (swing * t).sin())
}

/// u = 1 + t²·N(t): whatever the network N is, it starts at 1 and at rest.
fn solution(network: &Sequential, t: &Tensor, pass: &mut Pass) -> Result<Tensor> {
    1.0 + (t.sqr()? * network.forward(t, pass)?)?
}

fn main() -> Result<()> {
    let options = Options::parse();
    let rng = &mut Rng::seed(3);
    let network = Sequential::new()
        .push(Linear::new(1, 32, rng)?)
        .push(Tanh)
        .push(Linear::new(32, 32, rng)?)
        .push(Tanh)
        .push(Linear::new(32, 1, rng)?);
    let times = (Tensor::arange(0.0_f32, 64.0, &Device::Cpu)? / 63.0)?.reshape((64, 1))?;
    let t = Tensor::parameter(times.array().clone());
    let mut optimizer = Adam::new(network.parameters(), 5e-3)?;
    let mut progress = Progress::new(options.steps);
    for step in 0..options.steps {
        optimizer.set_learning_rate(5e-3 * (1.0 - step as f64 / options.steps as f64))?;
        let u = solution(&network, &t, &mut Pass::train(rng.clone()))?;
        // Each u depends on its own t alone, so the gradient of the sum is the derivative of each.
        let [speed] = autograd::grad(&u.sum_all()?, [&t])?;
        let [acceleration] = autograd::grad(&speed.sum_all()?, [&t])?;
        let residual = ((acceleration + (speed * (2.0 * DAMPING))?)? + (u * (FREQUENCY * FREQUENCY))?)?;
        let loss = residual.sqr()?.mean_all()?;
        optimizer.step(&loss.backward()?)?;
        let loss = loss.to_scalar::<f32>()?;
        progress.step(|| format!("mean square of what is left of the equation: {loss:.2e}"));
    }
    progress.finish();

    let found =
        no_grad(|| solution(&network, &times, &mut Pass::eval()))?.flatten(0, -1)?.to_vec1::<f32>()?;
    let times: Vec<f64> = times.flatten(0, -1)?.to_vec1::<f32>()?.into_iter().map(f64::from).collect();
    let worst = times.iter().zip(&found).map(|(&t, &u)| (f64::from(u) - exact(t)).abs()).fold(0.0, f64::max);
    println!("largest difference from the exact solution: {worst:.1e}");
    let curve = times.iter().map(|&t| (t, exact(t))).collect();
    let points = times.iter().zip(&found).map(|(&t, &u)| (t, f64::from(u))).collect();
    let file = options.out.join("pinn.png");
    plot::curve(&file, "A damped oscillator", "time", "u", &[("exact", curve), ("network", points)])?;
    println!("wrote {}", file.display());
    assert!(options.steps < 3000 || worst < 0.01, "the equation was not solved");
    Ok(())
}
