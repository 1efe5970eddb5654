//! Which digit is it? A small convolutional network reads handwritten digits of 8 × 8 pixels.
//!
//! `cargo run --release --example cnn` learns from 1438 digits and tests on 359 others. It writes `cnn.png` with
//! the loss and `cnn-kernels.png` with the first layer's kernels.

use std::path::PathBuf;

use clap::Parser;
use tealight::prelude::*;
use tealight::{data, plot};

/// Learns to read handwritten digits with convolutions.
#[derive(Parser)]
struct Options {
    /// Passes over the training digits
    #[arg(long, default_value_t = 20)]
    epochs: usize,
    /// The seed of all random numbers
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Where the pictures are written
    #[arg(long, value_name = "DIR", default_value = ".")]
    out: PathBuf,
}

fn main() -> Result<()> {
    let options = Options::parse();
    let rng = &mut Rng::seed(options.seed);
    let mut digits = data::digits()?;
    // Convolutions want to know the channels: here there is one.
    digits.inputs = digits.inputs.reshape((digits.len(), 1, 8, 8))?;
    let (train, test) = digits.split(0.2, rng)?;

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

    let mut optimizer = Adam::new(model.parameters(), 2e-3)?;
    let (mut curve, mut accuracy) = (Vec::new(), 0.0);
    for epoch in 1..=options.epochs {
        let mut sum = 0.0;
        for rows in rng.permutation(train.len()).chunks(32) {
            let batch = train.select(rows)?;
            // Each pass drops other numbers: its seed is drawn anew.
            let mut pass = Pass::train(Rng::seed(rng.below(usize::MAX) as u64));
            let loss = CrossEntropy.loss(&model.forward(&batch.inputs, &mut pass)?, &batch.targets)?;
            optimizer.step(&loss.backward()?)?;
            sum += f64::from(loss.to_scalar::<f32>()?) * rows.len() as f64;
        }
        let right = model.predict(&test.inputs)?.argmax(1)?.eq(&test.targets)?;
        accuracy = right.to_dtype(DType::F32)?.mean_all()?.to_scalar::<f32>()?;
        let loss = sum / train.len() as f64;
        println!("epoch {epoch:>2}: loss {loss:.4}, test accuracy {accuracy:.4}");
        curve.push((epoch as f64, loss));
    }

    let file = options.out.join("cnn.png");
    plot::curve(&file, "A small CNN on digits", "epoch", "training loss", &[("loss", curve)])?;
    let kernels = model.parameters()[0].1.get().squeeze(1)?;
    let kernels = ((&kernels - kernels.min_all()?)? / (kernels.max_all()? - kernels.min_all()?)?)?;
    let names: Vec<String> = (1..=16).map(|i| format!("kernel {i}")).collect();
    plot::grid(options.out.join("cnn-kernels.png"), "What the first layer looks for", &kernels, &names)?;
    println!("wrote {} and cnn-kernels.png beside it", file.display());
    assert!(options.epochs < 20 || accuracy >= 0.96, "the digits were not learned");
    Ok(())
}
