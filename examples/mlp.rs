//! Example 5: which digit is it? A network with two hidden layers reads handwritten digits of 8 × 8 pixels.
//!
//! `cargo run --release --example mlp` learns from 1438 digits in mini-batches and tests on 359 others: it prints a summary of the
//! model, its progress, and the share of digits that it reads rightly. It writes the model, and `mlp.png` with those it got wrong.

use std::path::PathBuf;

use clap::Parser;
use tealight::metrics::Accuracy;
use tealight::optim::schedule::OneCycleLr;
use tealight::prelude::*;
use tealight::{data, io, plot};

/// Learns to read handwritten digits.
#[derive(Parser)]
struct Options {
    /// Passes over the training digits
    #[arg(long, default_value_t = 30)]
    epochs: u64,
    /// The seed of all random numbers
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Where the model and the picture are written
    #[arg(long, value_name = "DIR", default_value = "out")]
    out: PathBuf,
}

fn main() -> Result<()> {
    tealight::memory::keep_freed(512 << 20);
    let options = Options::parse();
    std::fs::create_dir_all(&options.out).map_err(|error| Error::file(&options.out, error))?;
    let rng = &mut Rng::seed(options.seed);
    let (train, test) = data::digits()?.train_test_split(0.2, rng)?;

    let model = Sequential::new()
        .push(Flatten)
        .push(Linear::new(64, 64, rng)?)
        .push(Relu)
        .push(Linear::new(64, 32, rng)?)
        .push(Relu)
        .push(Linear::new(32, 10, rng)?);
    println!("{}", model.summary(&[32, 8, 8])?);

    // The learning rate rises to 0.01 and falls to nearly 0, in one cycle over all steps.
    let steps = options.epochs as usize * train.len().div_ceil(32);
    let mut trainer = Trainer::new(&model, CrossEntropy::new(), Adam::new(model.parameters(), 0.01)?)
        .schedule(OneCycleLr::new(steps)?)
        .epochs(options.epochs)
        .seed(options.seed)
        .metric(Accuracy::new());
    let history = trainer.fit(&train, Some(&test))?;

    let out = |name| options.out.join(name);
    io::save(out("mlp.safetensors"), &model)?;
    plot::misclassified(out("mlp.png"), &test, &model.predict(&test.inputs)?)?;
    println!("wrote mlp.safetensors and mlp.png to {}", options.out.display());
    let accuracy = history.last("valid_accuracy")?;
    println!("test accuracy {accuracy:.4}, {} steps replayed", history.replayed_steps());
    assert!(options.epochs < 30 || accuracy >= 0.95, "the digits were not learned");
    Ok(())
}
