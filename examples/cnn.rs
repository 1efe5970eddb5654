//! Example 6: which digit is it? Convolutions look at the same digits as the network before, and do better.
//!
//! `cargo run --release --example cnn` learns from 1438 digits and tests on 359 others: it prints a summary of the model, its
//! progress, and the share of digits that it reads rightly. It writes the model, `cnn.png` with the loss, and `cnn-kernels.png` with
//! what the first layer looks for.

use std::path::PathBuf;

use clap::Parser;
use tealight::metrics::Accuracy;
use tealight::prelude::*;
use tealight::{data, io, plot};

/// Learns to read handwritten digits with convolutions.
#[derive(Parser)]
struct Options {
    /// Passes over the training digits
    #[arg(long, default_value_t = 20)]
    epochs: u64,
    /// The seed of all random numbers
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Where the model and the pictures are written
    #[arg(long, value_name = "DIR", default_value = "out")]
    out: PathBuf,
}

fn main() -> Result<()> {
    tealight::memory::keep_freed(512 << 20);
    let options = Options::parse();
    std::fs::create_dir_all(&options.out).map_err(|error| Error::file(&options.out, error))?;
    let rng = &mut Rng::seed(options.seed);
    let mut digits = data::digits()?;
    // Convolutions want to know the channels: here there is one.
    digits.inputs = digits.inputs.reshape((digits.len(), 1, 8, 8))?;
    let (train, test) = digits.train_test_split(0.2, rng)?;

    let same = ConvOptions::new().padding(1);
    let model = Sequential::new()
        .push(Conv2d::new(1, 16, 3, same, rng)?)
        .push(Relu)
        .push(Conv2d::new(16, 32, 3, same, rng)?)
        .push(Relu)
        .push(MaxPool2d::new(PoolOptions::new(2)))
        .push(Flatten)
        .push(Dropout::new(0.3)?)
        .push(Linear::new(32 * 4 * 4, 10, rng)?);
    println!("{}", model.summary(&[32, 1, 8, 8])?);

    let mut trainer = Trainer::new(&model, CrossEntropy::new(), Adam::new(model.parameters(), 2e-3)?)
        .epochs(options.epochs)
        .seed(options.seed)
        .metric(Accuracy::new());
    let history = trainer.fit(&train, Some(&test))?;

    let out = |name| options.out.join(name);
    io::save(out("cnn.safetensors"), &model)?;
    plot::curve(out("cnn.png"), "A small CNN on digits", "epoch", "cross-entropy", &history.losses())?;
    plot::weights(out("cnn-kernels.png"), "What the first layer looks for", &model.parameters()[0].1.get())?;
    println!("wrote cnn.safetensors, cnn.png and cnn-kernels.png to {}", options.out.display());
    let accuracy = history.last("valid_accuracy")?;
    println!("test accuracy {accuracy:.4}, {} steps replayed", history.replayed_steps());
    assert!(options.epochs < 20 || accuracy >= 0.96, "the digits were not learned");
    Ok(())
}
