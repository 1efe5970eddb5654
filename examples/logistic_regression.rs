//! Is this picture the digit 0? Logistic regression on real images, from pixels to a saved model.
//!
//! `cargo run --release --example logistic_regression` trains on 1437 handwritten digits and tests on 360 others. With
//! `--images DIR` it trains on your own two folders of pictures instead: `DIR/cats/…`, `DIR/dogs/…`. It writes the model, a report
//! and three pictures.

use std::path::PathBuf;

use clap::Parser;
use tealight::data::{self, ImageFolder};
use tealight::metrics::{Accuracy, Average, Recall};
use tealight::prelude::*;
use tealight::{io, plot, plot::Report};

/// Learns to tell one kind of picture from the others, and shows what it learned.
#[derive(Parser)]
struct Options {
    /// The digit to recognise, 0 to 9
    #[arg(long, default_value_t = 0, conflicts_with = "images")]
    digit: usize,
    /// A directory with two folders of pictures to tell apart, instead of the digits
    #[arg(long, value_name = "DIR")]
    images: Option<PathBuf>,
    /// Passes over the training images
    #[arg(long, default_value_t = 500)]
    epochs: u64,
    /// How far each step goes
    #[arg(long, default_value_t = 10.0)]
    learning_rate: f64,
    /// The seed of all random numbers
    #[arg(long, default_value_t = 42)]
    seed: u64,
    /// Where the pictures and the model are written
    #[arg(long, value_name = "DIR", default_value = ".")]
    out: PathBuf,
}

fn main() {
    if let Err(error) = run(&Options::parse()) {
        eprintln!("error: {error}");
        std::process::exit(1);
    }
}

fn run(options: &Options) -> Result<()> {
    let (out, rng) = (&options.out, &mut Rng::seed(options.seed));
    let unmade = |error: std::io::Error| Error::File { path: out.clone(), message: error.to_string() };
    std::fs::create_dir_all(out).map_err(unmade)?;
    let (train, test) = match &options.images {
        Some(directory) => {
            let (pictures, unreadable) = data::image_folder(directory, &ImageFolder::new(32, 32))?;
            unreadable.iter().for_each(|error| eprintln!("skipped: {error}"));
            println!("{} pictures: {}", pictures.len(), pictures.names.join(" and "));
            pictures.against_rest(1)?.split(0.2, rng)?
        }
        // The last 360 are the test: other people wrote them.
        None => data::digits()?.against_rest(options.digit)?.split_at(1437)?,
    };

    // A picture is unrolled to a vector, its length made 1, and a linear layer gives a score, whose sigmoid is the probability.
    // The loss takes the sigmoid itself, which loses no digits; a score above 0 is a probability above one half.
    let shape = &train.inputs.dims()[1..];
    let build = |rng: &mut Rng| {
        let linear = Linear::new(shape.iter().product(), 1, rng)?;
        Ok::<_, Error>(Sequential::new().push(Flatten).push(NormalizeRows).push(linear))
    };
    let model = build(rng)?;
    let optimizer = Sgd::new(model.parameters(), options.learning_rate)?;
    let mut trainer = Trainer::new(&model, Mean(BceWithLogits), optimizer)
        .epochs(options.epochs)
        .batch_size(usize::MAX)
        .metric(Accuracy::new().threshold(0.0))
        .metric(Recall::new(Average::Class(1)).threshold(0.0));
    let history = trainer.fit(&train, Some(&test))?;

    let file = out.join("model.safetensors");
    io::save(&file, &model)?;
    let loaded = build(rng)?;
    io::load(&file, &loaded)?;
    assert_eq!(loaded.predict(&test.inputs)?, model.predict(&test.inputs)?, "the saved model is another one");

    plot::report(out.join("report.html"), &Report { classes: test.names.clone(), ..history.page() })?;
    let curves = ["loss", "valid_loss"].map(|name| (name, history.curve(name)));
    plot::curve(out.join("loss.png"), "Training", "epoch", "loss", &curves)?;
    let weight = model.parameters()[0].1.get().reshape(shape)?;
    // Of a colour picture, the mean over its colours.
    let weight = if shape.len() == 3 { weight.mean(-1)? } else { weight };
    let title = format!("What speaks for {} (+) or against it (−)", test.names[1]);
    plot::heat(out.join("weights.png"), &title, &weight)?;
    plot::mistakes(out.join("mistakes.png"), &test, &model.predict(&test.inputs)?.sigmoid()?)?;
    println!("wrote model.safetensors, report.html and three pictures to {}", out.display());
    println!("test accuracy {:.4}", history.last("valid_accuracy")?);
    Ok(())
}
