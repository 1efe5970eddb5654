//! Example 4: which iris is it? Softmax regression: a linear layer gives each of three species a score.
//!
//! `cargo run --release --example softmax_regression` learns from 120 flowers and tests on 30 others: it prints the weights, and the
//! share of flowers that it names rightly. It writes the model, and `softmax_regression.png` with the loss on both.

use std::path::PathBuf;

use clap::Parser;
use tealight::metrics::Accuracy;
use tealight::prelude::*;
use tealight::{data, io, plot};

/// Learns to tell three species of iris apart by four lengths.
#[derive(Parser)]
struct Options {
    /// Steps over all training flowers
    #[arg(long, default_value_t = 300)]
    steps: u64,
    /// Where the model and the picture are written
    #[arg(long, value_name = "DIR", default_value = "out")]
    out: PathBuf,
}

fn main() -> Result<()> {
    tealight::memory::keep_freed(512 << 20);
    let options = Options::parse();
    std::fs::create_dir_all(&options.out).map_err(|error| Error::file(&options.out, error))?;
    let rng = &mut Rng::seed(1);
    let (train, test) = data::iris()?.train_test_split(0.2, rng)?;
    // The scale is that of the training flowers: a test flower must not have a say in it. It is a part of the model.
    let linear = Linear::new(4, 3, rng)?;
    let model = Sequential::new().push(Standardize::fit(&train.inputs)?).push(linear.clone());

    let mut trainer = Trainer::new(&model, CrossEntropy::new(), Sgd::new(model.parameters(), 0.5)?)
        .epochs(options.steps)
        .batch_size(usize::MAX)
        .metric(Accuracy::new());
    let history = trainer.fit(&train, Some(&test))?;

    println!("weights, a row a species:\n{:.2}", linear.weight.get());
    println!("train accuracy {:.4}", trainer.evaluate(&train)?.get("accuracy")?);
    let accuracy = history.last("valid_accuracy")?;
    println!("test accuracy {accuracy:.4}");
    let out = |name| options.out.join(name);
    io::save(out("softmax_regression.safetensors"), &model)?;
    plot::curve(
        out("softmax_regression.png"),
        "Softmax regression on iris",
        "step",
        "loss",
        &history.losses(),
    )?;
    println!("wrote softmax_regression.safetensors and .png to {}", options.out.display());
    assert!(options.steps < 300 || accuracy >= 0.9, "the flowers were not learned");
    Ok(())
}
