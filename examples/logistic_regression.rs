//! Is this picture the digit 0? Logistic regression on real images, from pixels to a saved model.
//!
//! `cargo run --release --example logistic_regression` trains on 1437 handwritten digits and tests on 360 others. With
//! `--images DIR` it trains on your own two folders of pictures instead: `DIR/cats/…`, `DIR/dogs/…`.

use std::path::{Path, PathBuf};

use clap::Parser;
use tealight::data::{self, ImageFolder, Labelled};
use tealight::prelude::*;
use tealight::train::Progress;
use tealight::{io, plot};

/// Learns to tell one kind of picture from the others, and shows what it learned.
#[derive(Parser)]
struct Options {
    /// The digit to recognise, 0 to 9
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..10), conflicts_with = "images")]
    digit: u32,
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

/// Images, 1 or 0 for each, and what these two stand for.
struct Task {
    train: (Tensor, Tensor),
    test: (Tensor, Tensor),
    names: [String; 2],
}

fn digits(digit: u32) -> Result<Task> {
    let Labelled { inputs, targets, .. } = data::digits()?;
    let is_digit: Vec<f32> =
        targets.to_vec1::<u32>()?.iter().map(|&t| f32::from(u8::from(t == digit))).collect();
    let targets = Tensor::from_vec(is_digit, (inputs.dims()[0], 1), &Device::Cpu)?;
    let part = |start, len| Ok::<_, Error>((inputs.narrow(0, start, len)?, targets.narrow(0, start, len)?));
    Ok(Task {
        train: part(0, 1437)?,
        test: part(1437, 360)?,
        names: ["another".into(), format!("a {digit}")],
    })
}

fn folders(directory: &Path, rng: &mut Rng) -> Result<Task> {
    let (Labelled { inputs, targets, names, .. }, unreadable) =
        data::image_folder(directory, &ImageFolder::new(32, 32))?;
    for error in &unreadable {
        eprintln!("skipped: {error}");
    }
    let found = names.len();
    let names: [String; 2] = names.try_into().map_err(|_| Error::File {
        path: directory.into(),
        message: format!("expected two folders of pictures, got {found}"),
    })?;
    let n = inputs.dims()[0];
    println!("{n} pictures of {} and {}, {} files skipped", names[0], names[1], unreadable.len());
    let targets = targets.to_dtype(DType::F32)?.reshape((n, 1))?;
    // One picture in five is for the test, chosen at random.
    let order: Vec<u32> = rng.permutation(n).into_iter().map(|i| i as u32).collect();
    let (test, train) = order.split_at((n / 5).max(1).min(n));
    let part = |rows: &[u32]| {
        let rows = Tensor::new(rows, &Device::Cpu)?;
        Ok::<_, Error>((inputs.index_select(0, &rows)?, targets.index_select(0, &rows)?))
    };
    Ok(Task { train: part(train)?, test: part(test)?, names })
}

/// What became of the test images: `[truth][answer]`.
fn confusion(model: &dyn Layer, (images, targets): &(Tensor, Tensor)) -> Result<[[usize; 2]; 2]> {
    let mut counts = [[0; 2]; 2];
    let probabilities: Vec<f32> = model.predict(images)?.sigmoid()?.flatten(0, -1)?.to_vec1()?;
    for (p, truth) in probabilities.into_iter().zip(targets.flatten(0, -1)?.to_vec1::<f32>()?) {
        counts[usize::from(truth > 0.5)][usize::from(p > 0.5)] += 1;
    }
    Ok(counts)
}

fn accuracy([[no, false_yes], [false_no, yes]]: [[usize; 2]; 2]) -> f64 {
    (no + yes) as f64 / (no + yes + false_yes + false_no) as f64
}

fn main() {
    if let Err(error) = run(&Options::parse()) {
        eprintln!("error: {error}");
        std::process::exit(1);
    }
}

fn run(options: &Options) -> Result<()> {
    let rng = &mut Rng::seed(options.seed);
    let task = match &options.images {
        Some(directory) => folders(directory, rng)?,
        None => digits(options.digit)?,
    };
    std::fs::create_dir_all(&options.out)
        .map_err(|error| Error::File { path: options.out.clone(), message: error.to_string() })?;

    // The model: a picture is unrolled to a vector, its length made 1, and a linear layer gives a score, whose sigmoid is
    // the probability. The loss takes the sigmoid itself, which loses no digits.
    let (images, targets) = &task.train;
    let pixels = images.dims()[1..].iter().product();
    let build = |rng: &mut Rng| {
        Ok::<_, Error>(Sequential::new().push(Flatten).push(NormalizeRows).push(Linear::new(pixels, 1, rng)?))
    };
    let model = build(rng)?;
    let loss = Mean(BceWithLogits);
    let mut optimizer = Sgd::new(model.parameters(), options.learning_rate)?;

    let mut curve = Vec::new();
    let mut progress = Progress::new(options.epochs);
    for epoch in 1..=options.epochs {
        let value = loss.loss(&model.forward(images, &mut Pass::train(rng.clone()))?, targets)?;
        optimizer.step(&value.backward()?)?;
        let value = f64::from(value.to_scalar::<f32>()?);
        curve.push((epoch as f64, value));
        progress.step(|| format!("loss {value:.5}"));
    }
    progress.finish();

    show(&model, &task, &options.out, curve)?;
    let file = options.out.join("model.safetensors");
    io::save(&file, &model)?;
    let loaded = build(&mut Rng::seed(0))?;
    io::load(&file, &loaded)?;
    let same =
        model.predict(&task.test.0)?.to_vec2::<f32>()? == loaded.predict(&task.test.0)?.to_vec2::<f32>()?;
    assert!(same, "the model that was loaded again predicts something else");
    println!("saved {}, loaded it again: the same predictions", file.display());
    println!("test accuracy {:.4}", accuracy(confusion(&model, &task.test)?));
    Ok(())
}

/// Prints what the model got right and wrong, and draws what it learned.
fn show(model: &Sequential, task: &Task, out: &Path, curve: Vec<(f64, f64)>) -> Result<()> {
    let [[no, false_yes], [false_no, yes]] = confusion(model, &task.test)?;
    let [other, name] = &task.names;
    println!("train accuracy {:.4}", accuracy(confusion(model, &task.train)?));
    println!("of the test images:       said {other:<10} said {name:<10}");
    println!("  {other:<18} {no:>12} {false_yes:>15}");
    println!("  {name:<18} {false_no:>12} {yes:>15}");
    println!("precision {:.4}", yes as f64 / (yes + false_yes).max(1) as f64);
    println!("recall {:.4}", yes as f64 / (yes + false_no).max(1) as f64);

    plot::curve(out.join("loss.png"), "Training", "epoch", "loss", &[("loss", curve)])?;

    let image = &task.test.0.dims()[1..];
    let weight = model.parameters()[0].1.get().reshape(image)?;
    // Of a colour picture, the mean over its colours.
    let weight = if image.len() == 3 { weight.mean(-1)? } else { weight };
    plot::heat(out.join("weights.png"), &format!("What speaks for {name} (+) or against it (−)"), &weight)?;

    let probabilities: Vec<f32> = model.predict(&task.test.0)?.sigmoid()?.flatten(0, -1)?.to_vec1()?;
    let truths: Vec<f32> = task.test.1.flatten(0, -1)?.to_vec1()?;
    let wrong: Vec<u32> = (0..truths.len() as u32)
        .filter(|&i| (probabilities[i as usize] > 0.5) != (truths[i as usize] > 0.5))
        .take(40)
        .collect();
    let captions: Vec<String> =
        wrong.iter().map(|&i| format!("{name}: {:.0} %", 100.0 * probabilities[i as usize])).collect();
    let mistakes = task.test.0.index_select(0, &Tensor::new(&wrong[..], &Device::Cpu)?)?;
    let title = format!("{} of {} test images are wrong", false_yes + false_no, truths.len());
    plot::grid(out.join("mistakes.png"), &title, &mistakes, &captions)?;
    println!("wrote loss.png, weights.png and mistakes.png to {}", out.display());
    Ok(())
}
