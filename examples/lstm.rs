//! Example 7: what came first? An LSTM reads thirty symbols and says which the first one was: it has to remember it all along.
//!
//! `cargo run --release --example lstm` learns from random sequences and tests on new ones: the accuracy rises from chance, 0.25, to
//! above 0.95. It writes the model, and `lstm.png` with the accuracy.

use std::path::PathBuf;

use clap::Parser;
use tealight::prelude::*;
use tealight::{io, plot};

/// Learns to remember the first symbol of a sequence.
#[derive(Parser)]
struct Options {
    /// Steps of the optimizer
    #[arg(long, default_value_t = 400)]
    steps: usize,
    /// How many symbols a sequence has
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..10_000))]
    length: u32,
    /// Where the model and the picture are written
    #[arg(long, value_name = "DIR", default_value = "out")]
    out: PathBuf,
}

const SYMBOLS: usize = 4;

/// Sequences of random symbols, a row of 0 and 1 each, and the first symbol of each.
fn sequences(n: usize, length: usize, rng: &mut Rng) -> Result<(Tensor, Tensor)> {
    let symbols: Vec<u32> = (0..n * length).map(|_| rng.below(SYMBOLS) as u32).collect();
    let symbols = Tensor::from_vec(symbols, (n, length), &Device::Cpu)?;
    Ok((symbols.one_hot(SYMBOLS, DType::F32)?, symbols.i((.., 0))?))
}

/// The answer is read off what the LSTM shows after the last symbol.
struct Reader {
    lstm: Lstm,
    head: Linear,
}

impl Layer for Reader {
    fn forward(&self, x: &Tensor, ctx: &mut ForwardContext) -> Result<Tensor> {
        let shown = ctx.call("lstm", &self.lstm, x)?;
        ctx.call("head", &self.head, &shown.i((.., -1))?)
    }
    tealight::fields!(lstm, head);
}

fn main() -> Result<()> {
    tealight::memory::keep_freed(512 << 20);
    let options = Options::parse();
    std::fs::create_dir_all(&options.out).map_err(|error| Error::file(&options.out, error))?;
    let (length, rng) = (options.length as usize, &mut Rng::seed(1));
    let lstm = Lstm::new(SYMBOLS, 32, RnnOptions::new(), rng)?;
    // The forget gates begin nearly open: with PyTorch's default it does not learn to remember.
    lstm.init_forget_bias(length.max(3))?;
    let model = Reader { lstm, head: Linear::new(32, SYMBOLS, rng)? };
    println!("{}", model.summary(&[32, length, SYMBOLS])?);
    let test = sequences(500, length, rng)?;
    let mut optimizer = Adam::new(model.parameters(), 1e-2)?;
    let (mut curve, mut accuracy) = (Vec::new(), 0.0);
    for step in 0..=options.steps {
        let (x, first) = sequences(32, length, rng)?;
        let loss =
            CrossEntropy::new().loss(&model.forward(&x, &mut ForwardContext::train(rng.clone()))?, &first)?;
        // Through thirty steps a gradient may grow: its length is cut to 1.
        let mut gradients = loss.backward()?;
        gradients.clip_grad_norm(1.0, &model.parameters())?;
        optimizer.step(&gradients)?;
        if step % 20 == 0 {
            let right = model.predict(&test.0)?.argmax(1)?.eq(&test.1)?;
            accuracy = f64::from(right.to_dtype(DType::F32)?.mean_all()?.to_scalar::<f32>()?);
            println!("step {step:>3}: loss {:.4}, test accuracy {accuracy:.3}", loss.to_scalar::<f32>()?);
            curve.push((step as f64, accuracy));
        }
    }
    let file = options.out.join("lstm.png");
    plot::curve(&file, "Remembering the first of thirty", "step", "test accuracy", &[("accuracy", curve)])?;
    io::save(options.out.join("lstm.safetensors"), &model)?;
    println!("wrote {} and lstm.safetensors beside it", file.display());
    assert!(options.steps < 400 || accuracy > 0.95, "nothing was remembered");
    Ok(())
}
