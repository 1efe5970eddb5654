//! Which iris is it? Softmax regression: a linear layer gives each of three species a score.
//!
//! `cargo run --release --example softmax_regression` learns from 120 flowers, tests on 30 others, and writes `softmax_regression.png`
//! with the loss on both.

use std::path::PathBuf;

use clap::Parser;
use tealight::prelude::*;
use tealight::{data, plot};

/// Learns to tell three species of iris apart by four lengths.
#[derive(Parser)]
struct Options {
    /// Steps over all training flowers
    #[arg(long, default_value_t = 300)]
    steps: usize,
    /// Where the picture is written
    #[arg(long, value_name = "DIR", default_value = ".")]
    out: PathBuf,
}

/// The share of the flowers whose highest score is that of their species.
fn accuracy(scores: &Tensor, targets: &Tensor) -> Result<f32> {
    scores.argmax(1)?.eq(targets)?.to_dtype(DType::F32)?.mean_all()?.to_scalar()
}

fn main() -> Result<()> {
    let options = Options::parse();
    let rng = &mut Rng::seed(1);
    let (train, test) = data::iris()?.split(0.2, rng)?;
    // The scale is that of the training flowers: a test flower must not have a say in it.
    let scale = Standardize::fit(&train.inputs)?;
    let (x, x_test) = (scale.normalize(&train.inputs)?, scale.normalize(&test.inputs)?);

    let model = Linear::new(4, 3, rng)?;
    let mut optimizer = Sgd::new(model.parameters(), 0.5)?;
    let (mut curve, mut test_curve) = (Vec::new(), Vec::new());
    for step in 1..=options.steps {
        let loss = CrossEntropy.loss(&model.forward(&x, &mut Pass::train(rng.clone()))?, &train.targets)?;
        optimizer.step(&loss.backward()?)?;
        let test_loss = CrossEntropy.loss(&model.predict(&x_test)?, &test.targets)?;
        curve.push((step as f64, f64::from(loss.to_scalar::<f32>()?)));
        test_curve.push((step as f64, f64::from(test_loss.to_scalar::<f32>()?)));
    }

    println!("weights, a row a species:\n{:.2}", model.weight.get());
    println!("train accuracy {:.4}", accuracy(&model.predict(&x)?, &train.targets)?);
    let test_accuracy = accuracy(&model.predict(&x_test)?, &test.targets)?;
    println!("test accuracy {test_accuracy:.4}");
    let file = options.out.join("softmax_regression.png");
    plot::curve(
        &file,
        "Softmax regression on iris",
        "step",
        "loss",
        &[("train", curve), ("test", test_curve)],
    )?;
    println!("wrote {}", file.display());
    assert!(options.steps < 300 || test_accuracy >= 0.9, "the flowers were not learned");
    Ok(())
}
