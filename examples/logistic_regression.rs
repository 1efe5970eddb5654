//! Example 3: is this picture the digit 0? Logistic regression on real images, from pixels to a saved model.
//!
//! `cargo run --release --example logistic_regression` trains on 1437 handwritten digits and tests on 360 that other people wrote:
//! it prints the loss fall, and `test accuracy 0.9944`. It writes the model, a report and three images. With `--images DIR` it
//! trains on your own two folders of images instead: `DIR/cats/…`, `DIR/dogs/…`.

use clap::Parser;
use tealight::metrics::{Accuracy, Average, Recall};
use tealight::prelude::*;
use tealight::{data, io, plot};

/// Learns to tell one kind of picture from the others, and shows what it learned.
#[derive(Parser)]
struct Options {
    /// The digit to recognise, 0 to 9
    #[arg(long, default_value_t = 0, conflicts_with = "images")]
    digit: usize,
    /// A directory with two folders of pictures to tell apart, instead of the digits
    #[arg(long, value_name = "DIR")]
    images: Option<std::path::PathBuf>,
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
    #[arg(long, value_name = "DIR", default_value = "out")]
    out: std::path::PathBuf,
}

fn main() {
    tealight::memory::keep_freed(512 << 20);
    if let Err(error) = run(Options::parse()) {
        eprintln!("error: {error}");
        std::process::exit(1);
    }
}

fn run(Options { digit, images, epochs, learning_rate, seed, out }: Options) -> Result<()> {
    let rng = &mut Rng::seed(seed);
    std::fs::create_dir_all(&out).map_err(|error| Error::file(&out, error))?;
    let (train, test) = match &images {
        Some(directory) => {
            let (pictures, _, unreadable) =
                data::image_folder(directory, &data::ImageFolderOptions::new(32, 32))?;
            unreadable.iter().for_each(|error| eprintln!("skipped: {error}"));
            println!("{} pictures: {}", pictures.len(), pictures.classes.join(" and "));
            pictures.one_vs_rest(1)?.train_test_split(0.2, rng)?
        }
        None => data::digits()?.one_vs_rest(digit)?.split_at(1437)?,
    };
    let (rows, columns) = (train.inputs.dims()[1], train.inputs.dims()[2]);
    let pixels = train.inputs.elem_count() / train.len(); // three times as many with colours
    // Unrolled, brought to length 1, and weighed: the sigmoid of the score, which the loss takes itself, is the probability.
    let network =
        |linear: Linear| Sequential::new().push(Flatten).push(NormalizeRows::default()).push(linear);
    let model = network(Linear::new(pixels, 1, rng)?);
    let mut trainer = Trainer::new(&model, BceWithLogits, Sgd::new(model.parameters(), learning_rate)?)
        .epochs(epochs)
        .batch_size(usize::MAX)
        .metric(Accuracy::new().threshold(0.0))
        .metric(Recall::new(Average::Class(1)).threshold(0.0));
    let history = trainer.fit(&train, Some(&test))?;
    io::save(out.join("model.safetensors"), &model)?;
    let loaded = network(Linear::new(pixels, 1, rng)?);
    io::load(out.join("model.safetensors"), &loaded)?;
    assert_eq!(loaded.predict(&test.inputs)?, model.predict(&test.inputs)?, "the saved model is another one");
    plot::report(
        out.join("report.html"),
        &plot::Report { classes: test.classes.clone(), ..history.report() },
    )?;
    plot::curve(out.join("loss.png"), "Training", "epoch", "loss", &history.losses())?;
    let weights = loaded.parameters()[0].1.get().reshape((rows, columns, pixels / (rows * columns)))?;
    let title = format!("What speaks for {} (+) or against it (−)", test.classes[1]);
    plot::heatmap(out.join("weights.png"), &title, &weights.mean(-1)?)?;
    let answers = model.predict(&test.inputs)?.gt(0.0)?.to_dtype(DType::U32)?;
    plot::misclassified(out.join("mistakes.png"), &test, &answers)?;
    println!("wrote model.safetensors, report.html and three pictures to {}", out.display());
    println!("test accuracy {:.4}", history.last("valid_accuracy")?);
    let recall = history.last("valid_recall of class 1")?;
    assert!(images.is_some() || epochs < 500 || recall > 0.5, "the pictures were not learned");
    Ok(())
}
