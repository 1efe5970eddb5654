//! Example 14: a network that solves a differential equation. Its loss holds second derivatives of the network by its input.
//!
//! `cargo run --release --example pinn` finds the swing of a damped oscillator, u″ + 2δ·u′ + ω²·u = 0 with u(0) = 1 and u′(0) = 0, from
//! the equation alone: it prints how little is left of it, and the largest difference from the exact solution. It writes the network,
//! and both curves in `pinn.png`.

use std::path::PathBuf;

use clap::Parser;
use tealight::optim::Lbfgs;
use tealight::prelude::*;
use tealight::{io, plot, train::Progress};

/// Solves a differential equation with a small network.
#[derive(Parser)]
struct Options {
    /// Steps of L-BFGS, of up to 20 iterations each
    #[arg(long, default_value_t = 40)]
    steps: u64,
    /// Where the network and the picture are written
    #[arg(long, value_name = "DIR", default_value = "out")]
    out: PathBuf,
}

const DAMPING: f64 = 1.0;
const FREQUENCY: f64 = 6.0;

fn exact(t: f64) -> f64 {
    let swing = (FREQUENCY * FREQUENCY - DAMPING * DAMPING).sqrt();
    (-DAMPING * t).exp() * ((swing * t).cos() + DAMPING / swing * (swing * t).sin())
}

/// u = 1 + t²·N(t): whatever the network N is, it starts at 1 and at rest.
fn solution(network: &Sequential, t: &Tensor, ctx: &mut ForwardContext) -> Result<Tensor> {
    1.0 + (t.sqr()? * network.forward(t, ctx)?)?
}

fn main() -> Result<()> {
    tealight::memory::keep_freed(512 << 20);
    let options = Options::parse();
    std::fs::create_dir_all(&options.out).map_err(|error| Error::file(&options.out, error))?;
    let rng = &mut Rng::seed(3);
    let network = Sequential::new()
        .push(Linear::new(1, 32, rng)?)
        .push(Tanh)
        .push(Linear::new(32, 32, rng)?)
        .push(Tanh)
        .push(Linear::new(32, 1, rng)?);
    network.to_dtype(DType::F64)?;
    let times = Tensor::linspace(0.0, 1.0, 64, &Device::Cpu)?.reshape((64, 1))?;
    let t = Tensor::parameter(times.array().clone());
    // What is left of the equation: its mean square is 0 for the solution alone.
    let loss = || {
        let u = solution(&network, &t, &mut ForwardContext::eval())?;
        // Each u depends on its own t alone, so the gradient of the sum is the derivative of each.
        let [speed] = autograd::grad(&u.sum_all()?, [&t])?;
        let [acceleration] = autograd::grad(&speed.sum_all()?, [&t])?;
        let left = ((acceleration + (speed * (2.0 * DAMPING))?)? + (u * (FREQUENCY * FREQUENCY))?)?;
        left.sqr()?.mean_all()
    };
    let mut optimizer = Lbfgs::new(network.parameters(), 1.0)?.strong_wolfe();
    let mut progress = Progress::new(options.steps);
    for _ in 0..options.steps {
        let value = optimizer.step(loss)?;
        progress.step(|| format!("mean square of what is left of the equation: {value:.2e}"));
    }
    progress.finish();

    let found = no_grad(|| solution(&network, &times, &mut ForwardContext::eval()))?
        .flatten(0, -1)?
        .to_vec1::<f64>()?;
    let times = times.flatten(0, -1)?.to_vec1::<f64>()?;
    let worst = times.iter().zip(&found).map(|(&t, &u)| (u - exact(t)).abs()).fold(0.0, f64::max);
    println!("largest difference from the exact solution: {worst:.1e}");
    let curve = times.iter().map(|&t| (t, exact(t))).collect();
    let points = times.iter().zip(&found).step_by(2).map(|(&t, &u)| (t, u)).collect();
    let file = options.out.join("pinn.png");
    plot::curve(&file, "A damped oscillator", "time", "u", &[("exact", curve), ("network", points)])?;
    io::save(options.out.join("pinn.safetensors"), &network)?;
    println!("wrote {} and pinn.safetensors beside it", file.display());
    assert!(options.steps < 40 || worst < 1e-3, "the equation was not solved");
    Ok(())
}
