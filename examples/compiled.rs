//! Example 15: every step of a training does the same with other numbers. So it is recorded once, and replayed.
//!
//! `cargo run --release --example compiled` trains a reader of digits twice, each step anew and replayed: it prints the recorded
//! program and the time of a step both ways, and compares every loss and all weights, bit for bit. It writes the model.

use std::path::PathBuf;
use std::time::Instant;

use clap::Parser;
use tealight::prelude::*;
use tealight::program::TrainStep;
use tealight::{data, io};

/// Trains a reader of digits with steps computed anew, and with steps that are replayed.
#[derive(Parser)]
struct Options {
    /// Steps of the optimizer, each way
    #[arg(long, default_value_t = 2000)]
    steps: usize,
    /// Where the model is written
    #[arg(long, value_name = "DIR", default_value = "out")]
    out: PathBuf,
}

fn build() -> Result<Sequential> {
    let rng = &mut Rng::seed(1);
    Ok(Sequential::new()
        .push(Flatten)
        .push(Linear::new(64, 32, rng)?)
        .push(Relu)
        .push(Dropout::new(0.1)?)
        .push(Linear::new(32, 10, rng)?))
}

/// Takes steps on one batch after the other: the losses, and the microseconds of a step.
fn train(step: &mut TrainStep, batches: &[(Tensor, Tensor)], steps: usize) -> Result<(Vec<f64>, f64)> {
    let start = Instant::now();
    let losses = batches.iter().cycle().take(steps).map(|(x, y)| step.run(x, y)).collect::<Result<_>>()?;
    Ok((losses, start.elapsed().as_secs_f64() * 1e6 / steps as f64))
}

fn main() -> Result<()> {
    tealight::memory::keep_freed(512 << 20);
    let options = Options::parse();
    std::fs::create_dir_all(&options.out).map_err(|error| Error::file(&options.out, error))?;
    let digits = data::digits()?;
    let batch = |i| Ok((digits.inputs.narrow(0, 64 * i, 64)?, digits.targets.narrow(0, 64 * i, 64)?));
    let batches = (0..digits.len() / 64).map(batch).collect::<Result<Vec<_>>>()?;

    let (a, b) = (build()?, build()?);
    let step = |model| {
        let optimizer = AdamW::new(Layer::parameters(model), 1e-3)?;
        Ok::<_, Error>(TrainStep::new(model, CrossEntropy::new(), optimizer).clip_grad_norm(1.0))
    };
    let (mut eager, mut replayed) = (step(&a)?.eager(), step(&b)?);
    let (expected, anew) = train(&mut eager, &batches, options.steps)?;
    let (losses, again) = train(&mut replayed, &batches, options.steps)?;
    if let Some(program) = replayed.program() {
        println!("{program}");
    }
    println!(
        "a step: {anew:.1} µs anew, {again:.1} µs replayed ({} of {})",
        replayed.replayed(),
        options.steps
    );
    io::save(options.out.join("compiled.safetensors"), &b)?;
    println!("the loss went from {:.4} to {:.4}", losses[0], losses[losses.len() - 1]);

    let bits = |losses: &[f64]| losses.iter().map(|loss| loss.to_bits()).collect::<Vec<_>>();
    let weights =
        |model: &Sequential| model.parameters().into_iter().map(|(_, p)| p.get()).collect::<Vec<_>>();
    assert_eq!(replayed.replayed() + 1, options.steps as u64);
    assert!(bits(&losses) == bits(&expected) && weights(&a) == weights(&b), "the replayed training differs");
    Ok(())
}
