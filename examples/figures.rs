//! The images of the book in `docs/`.
//!
//! `cargo run --release --example figures -- --out docs/images` makes them anew, the same each time. The recorded graphs are written
//! in Graphviz' language, and as SVG too where its `dot` is installed.

use std::path::{Path, PathBuf};
use std::process::Command;

use clap::Parser;
use tealight::data::{self, LabeledDataset};
use tealight::loss::Huber;
use tealight::metrics::{Accuracy, ConfusionMatrix, Metric, RocAuc};
use tealight::plot;
use tealight::prelude::*;
use tealight::train::History;

/// Writes the pictures of the book.
#[derive(Parser)]
struct Options {
    /// Where the pictures are written
    #[arg(long, value_name = "DIR", default_value = "out")]
    out: PathBuf,
}

fn main() -> Result<()> {
    tealight::memory::keep_freed(512 << 20);
    let out = Options::parse().out;
    std::fs::create_dir_all(&out).map_err(|error| Error::file(&out, error))?;
    formulas(&out)?;
    tensors(&out)?;
    graphs(&out)?;
    let digits = data::digits()?;
    zero_or_not(&out, &digits)?;
    two_rings(&out)?;
    which_digit(&out, digits)
}

/// The points (x, y) of a curve.
fn points(x: &Tensor, y: &Tensor) -> Result<Vec<(f64, f64)>> {
    Ok(x.to_vec1::<f64>()?.into_iter().zip(y.to_vec1::<f64>()?).collect())
}

fn formulas(out: &Path) -> Result<()> {
    plot::activation(out.join("sigmoid.png"), &Sigmoid, -8.0..8.0)?;

    let x = Tensor::parameter(Tensor::linspace(-8.0, 8.0, 401, &Device::Cpu)?);
    let y = x.sigmoid()?;
    let mut curves = vec![("s".to_string(), points(&x, &y)?)];
    let mut derivative = y;
    for name in ["s′", "s″", "s‴"] {
        // Each y depends on its own x alone, so the gradient of the sum is the derivative of each.
        [derivative] = autograd::grad(&derivative.sum_all()?, [&x])?;
        curves.push((name.into(), points(&x, &derivative)?));
    }
    plot::curve(out.join("derivatives.svg"), "The sigmoid and its derivatives", "x", "", &curves)?;

    let p = Tensor::linspace(-3.0, 3.0, 301, &Device::Cpu)?;
    let t = p.zeros_like()?;
    let curves = [
        ("L1", points(&p, &L1.reduction(Reduction::None).loss(&p, &t)?)?),
        ("L2", points(&p, &Mse.reduction(Reduction::None).loss(&p, &t)?)?),
        ("Huber", points(&p, &Huber::new().reduction(Reduction::None).loss(&p, &t)?)?),
    ];
    plot::curve(out.join("losses.svg"), "What a difference costs", "prediction − target", "loss", &curves)?;

    let z = Tensor::linspace(-6.0, 6.0, 301, &Device::Cpu)?;
    let cost =
        |target| points(&z, &BceWithLogits.reduction(Reduction::None).loss(&z, &z.full_like(target)?)?);
    let curves = [("target 1", cost(1.0)?), ("target 0", cost(0.0)?)];
    plot::curve(out.join("cross-entropy.svg"), "What a score costs", "score", "cross-entropy", &curves)
}

fn tensors(out: &Path) -> Result<()> {
    // The same scores six times, each time twice as far apart.
    let scores = Tensor::new(&[[0.0, 1.0, 2.0, 3.0, 4.0, 5.0]], &Device::Cpu)?;
    let factors = Tensor::new(&[[0.125], [0.25], [0.5], [1.0], [2.0], [4.0]], &Device::Cpu)?;
    let rows = (&scores * &factors)?.softmax(1)?;
    plot::heatmap(out.join("softmax.svg"), "Softmax of six rows of scores", &rows)?;

    let digit = data::digits()?.inputs.i(0)?;
    plot::heatmap(out.join("image.svg"), "A picture of 8 × 8 pixels", &digit)?;
    plot::heatmap(out.join("unrolled.svg"), "The same, unrolled", &digit.reshape((1, 64))?)?;

    // The same model, loss and rate, on the four lengths as they are, and normalised.
    let iris = data::iris()?;
    let scaled = Standardize::fit(&iris.inputs)?.normalize(&iris.inputs)?;
    let descend = |inputs: &Tensor| {
        let model = Linear::new(4, 3, &mut Rng::seed(1))?;
        let optimizer = Sgd::new(model.parameters(), 0.1)?;
        let mut trainer =
            Trainer::new(&model, CrossEntropy::new(), optimizer).epochs(100).batch_size(usize::MAX).silent();
        Ok::<_, Error>(trainer.fit(&(inputs.clone(), iris.targets.clone()), None)?.curve("loss"))
    };
    let curves = [("as measured", descend(&iris.inputs)?), ("standardised", descend(&scaled)?)];
    plot::curve(out.join("normalise.svg"), "Iris by gradient descent", "epoch", "cross-entropy", &curves)
}

/// A graph in Graphviz' language, and as a picture if Graphviz is there.
fn graph(out: &Path, name: &str, tensor: &Tensor) -> Result<()> {
    let file = out.join(name).with_extension("dot");
    let failed = |error: std::io::Error| Error::io(&file, error);
    std::fs::write(&file, tensor.graph().to_dot()).map_err(failed)?;
    let svg = file.with_extension("svg");
    match Command::new("dot").arg("-Tsvg").arg(&file).arg("-o").arg(&svg).status() {
        Ok(status) if status.success() => {}
        _ => println!("no {}: Graphviz' dot did not make it", svg.display()),
    }
    Ok(())
}

fn graphs(out: &Path) -> Result<()> {
    let x = Tensor::parameter(Tensor::new(&[1.0, 2.0, 3.0], &Device::Cpu)?);
    graph(out, "graph-sigmoid", &x.sigmoid()?.sum_all()?)?;
    graph(out, "graph-shared", &(x.sigmoid()? * &x)?.sum_all()?)?;
    let [slope] = autograd::grad(&x.sigmoid()?.sum_all()?, [&x])?;
    graph(out, "graph-slope", &slope)?;

    let model = Sequential::new().push(Flatten).push(NormalizeRows::default()).push(Linear::new(
        64,
        1,
        &mut Rng::seed(42),
    )?);
    let zeros = data::digits()?.one_vs_rest(0)?;
    let scores = model.forward(&zeros.inputs, &mut ForwardContext::eval())?;
    graph(out, "graph-logistic", &BceWithLogits.loss(&scores, &zeros.targets)?)
}

fn losses(history: &History) -> [(&'static str, Vec<(f64, f64)>); 2] {
    [("loss", "training"), ("valid_loss", "test")].map(|(name, shown)| (shown, history.curve(name)))
}

/// The model of the example `logistic_regression`, with its settings.
fn zero_or_not(out: &Path, digits: &LabeledDataset) -> Result<()> {
    let rng = &mut Rng::seed(42);
    let (train, test) = digits.one_vs_rest(0)?.split_at(1437)?;
    let model = Sequential::new().push(Flatten).push(NormalizeRows::default()).push(Linear::new(64, 1, rng)?);
    let optimizer = Sgd::new(model.parameters(), 10.0)?;
    let mut trainer =
        Trainer::new(&model, BceWithLogits, optimizer).epochs(500).batch_size(usize::MAX).silent();
    let history = trainer.fit(&train, Some(&test))?;
    plot::curve(out.join("loss.svg"), "Is it a 0?", "epoch", "cross-entropy", &losses(&history))?;
    let title = "What speaks for a 0 (+) or against it (−)";
    plot::heatmap(out.join("weights.png"), title, &model.parameters()[0].1.get().reshape((8, 8))?)?;

    // An 8 among the other digits is harder to find than a 0, so that its curve leaves the corner.
    let (train, test) = digits.one_vs_rest(8)?.split_at(1437)?;
    let model = Sequential::new().push(Flatten).push(NormalizeRows::default()).push(Linear::new(64, 1, rng)?);
    let optimizer = Sgd::new(model.parameters(), 10.0)?;
    let mut trainer =
        Trainer::new(&model, BceWithLogits, optimizer).epochs(500).batch_size(usize::MAX).silent();
    trainer.fit(&train, None)?;
    let mut roc = RocAuc::new();
    roc.update(&model.predict(&test.inputs)?.sigmoid()?, &test.targets)?;
    plot::roc_curve(out.join("roc.svg"), "Is it an 8?", &[("linear model", &roc)])
}

/// Points in a disc and in a ring around it: no straight line parts them.
fn rings(n: usize, rng: &mut Rng) -> Result<LabeledDataset> {
    let angle = Tensor::rand(0.0, std::f32::consts::TAU, n, rng)?;
    let inside = Tensor::rand(0.0, 1.0, n, rng)?.gt(0.5)?;
    let outwards = (1.2 - (inside.to_dtype(DType::F32)? * 1.2)?)?;
    let radius = (Tensor::rand(0.0, 0.8, n, rng)? + outwards)?;
    let inputs = Tensor::stack(&[(&radius * angle.cos()?)?, (&radius * angle.sin()?)?], 1)?;
    let names = ["ring", "disc"].map(String::from).to_vec();
    let targets = inside.to_dtype(DType::U32)?;
    Ok(LabeledDataset { inputs, targets, classes: names, features: vec!["x".into(), "y".into()] })
}

fn two_rings(out: &Path) -> Result<()> {
    let rng = &mut Rng::seed(7);
    let data = rings(200, rng)?;
    let line = Linear::new(2, 2, rng)?;
    let hidden = Sequential::new().push(Linear::new(2, 16, rng)?).push(Tanh).push(Linear::new(16, 2, rng)?);
    let models: [(&str, &str, &dyn Layer); 2] =
        [("boundary-linear.svg", "A linear layer", &line), ("boundary.svg", "With a hidden layer", &hidden)];
    for (file, title, model) in models {
        let optimizer = Adam::new(model.parameters(), 0.02)?;
        Trainer::new(model, CrossEntropy::new(), optimizer).epochs(100).silent().fit(&data, None)?;
        plot::decision_boundary(out.join(file), title, &data, |x| model.predict(x))?;
    }
    Ok(())
}

/// A short training of the model of the example `cnn`.
fn which_digit(out: &Path, mut digits: LabeledDataset) -> Result<()> {
    let rng = &mut Rng::seed(1);
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
    let optimizer = Adam::new(model.parameters(), 2e-3)?;
    let mut trainer = Trainer::new(&model, CrossEntropy::new(), optimizer)
        .epochs(5)
        .seed(1)
        .silent()
        .metric(Accuracy::new())
        .metric(ConfusionMatrix::new());
    let history = trainer.fit(&train, Some(&test))?;
    plot::curve(out.join("cnn.svg"), "Which digit is it?", "epoch", "cross-entropy", &losses(&history))?;
    plot::weights(out.join("kernels.svg"), "The kernels of the first layer", &model.parameters()[0].1.get())?;
    if let Some(matrix) = history.confusion() {
        plot::confusion_matrix(out.join("confusion.svg"), "Which digit is it?", matrix, &test.classes)?;
    }
    println!("wrote the pictures to {}; test accuracy {:.4}", out.display(), history.last("valid_accuracy")?);
    Ok(())
}
