//! Which digit is it? A network with two hidden layers reads handwritten digits of 8 × 8 pixels.
//!
//! `cargo run --release --example mlp` learns from 1438 digits in mini-batches and tests on 359 others. It prints a summary of the
//! model and a line an epoch, and writes `mlp.png` with some digits that it got wrong.

use std::path::PathBuf;

use clap::Parser;
use tealight::prelude::*;
use tealight::{data, plot};

/// Learns to read handwritten digits.
#[derive(Parser)]
struct Options {
    /// Passes over the training digits
    #[arg(long, default_value_t = 30)]
    epochs: usize,
    /// The seed of all random numbers
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Where the picture is written
    #[arg(long, value_name = "DIR", default_value = ".")]
    out: PathBuf,
}

fn main() -> Result<()> {
    let options = Options::parse();
    let rng = &mut Rng::seed(options.seed);
    let digits = data::digits()?;
    let (train, test) = digits.split(0.2, rng)?;

    let model = Sequential::new()
        .push(Flatten)
        .push(Linear::new(64, 64, rng)?)
        .push(Relu)
        .push(Linear::new(64, 32, rng)?)
        .push(Relu)
        .push(Linear::new(32, 10, rng)?);
    println!("{}", model.summary(&[32, 8, 8])?);

    let mut optimizer = Adam::new(model.parameters(), 3e-3)?;
    let mut accuracy = 0.0;
    for epoch in 1..=options.epochs {
        let mut sum = 0.0;
        for rows in rng.permutation(train.len()).chunks(32) {
            let batch = train.select(rows)?;
            let scores = model.forward(&batch.inputs, &mut Pass::train(rng.clone()))?;
            let loss = CrossEntropy.loss(&scores, &batch.targets)?;
            optimizer.step(&loss.backward()?)?;
            sum += f64::from(loss.to_scalar::<f32>()?) * rows.len() as f64;
        }
        let right = model.predict(&test.inputs)?.argmax(1)?.eq(&test.targets)?;
        accuracy = right.to_dtype(DType::F32)?.mean_all()?.to_scalar::<f32>()?;
        println!("epoch {epoch:>2}: loss {:.4}, test accuracy {accuracy:.4}", sum / train.len() as f64);
    }

    let answers = model.predict(&test.inputs)?.argmax(1)?.to_vec1::<u32>()?;
    let truths = test.targets.to_vec1::<u32>()?;
    let wrong: Vec<usize> = (0..test.len()).filter(|&i| answers[i] != truths[i]).take(24).collect();
    let captions: Vec<String> =
        wrong.iter().map(|&i| format!("{}, said {}", truths[i], answers[i])).collect();
    let file = options.out.join("mlp.png");
    plot::grid(&file, "Some digits that were read wrongly", &test.select(&wrong)?.inputs, &captions)?;
    println!("wrote {}", file.display());
    assert!(options.epochs < 30 || accuracy >= 0.93, "the digits were not learned");
    Ok(())
}
