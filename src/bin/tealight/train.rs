//! `tealight train`: from examples to a model.

use std::path::Path;

use tealight::data::{DataLoader, FlipHorizontal, TensorDataset, stratified_split};
use tealight::metrics::Accuracy;
use tealight::optim::AdamW;
use tealight::prelude::*;
use tealight::train::{Checkpoints, EarlyStopping, History, Trainer};

use super::examples::{Examples, Inputs};
use super::failure::{Failure, Result, plain, print, said};
use super::model::{Model, Plan};
use super::options::{Kind, Train};
use super::pictures::{self, Judged};

/// A layer wider than this is no small model's.
const WIDEST: usize = 16_384;
/// A gigabyte of them, and the optimizer keeps twice as much.
const MOST_WEIGHTS: usize = 1 << 28;

pub(super) fn run(options: &Train) -> Result<()> {
    check(options)?;
    if let Some(threads) = options.threads {
        let started = rayon::ThreadPoolBuilder::new().num_threads(threads).build_global();
        started
            .map_err(|error| Failure::Said(format!("--threads: expected {threads} threads, got: {error}")))?;
    }
    let (inputs, examples) = Inputs::find(options)?;
    let kind = match (options.model, &inputs) {
        (Some(Kind::Cnn), Inputs::Table(_)) => {
            return said("--model cnn: expected pictures, got a table, for which there are mlp and logistic");
        }
        (Some(kind), _) => kind,
        (None, Inputs::Pictures { .. }) => Kind::Cnn,
        (None, Inputs::Table(_)) => Kind::Mlp,
    };
    let hidden = match (&options.hidden, kind) {
        (Some(_), Kind::Logistic) => {
            return said("--hidden: expected a model with layers inside (mlp or cnn), got logistic");
        }
        (Some(hidden), _) => hidden.clone(),
        (None, Kind::Mlp) => vec![64, 32],
        (None, _) => Vec::new(),
    };
    if let (Kind::Cnn, Inputs::Pictures { size: 1, .. }) = (kind, &inputs) {
        return said("--size: expected 2 pixels or more for a cnn, got 1");
    }
    let plan = Plan { kind, inputs, hidden, classes: examples.classes.clone() };
    if plan.size() > MOST_WEIGHTS {
        let expected = format!("expected a model of at most {MOST_WEIGHTS} weights");
        return said(format!("{expected}, got {}: try a smaller --hidden or --size", plan.size()));
    }
    let rng = &mut Rng::seed(options.seed);
    let (train, valid) = divided(&examples, options.valid, rng)?;
    if !options.quiet {
        tell(&introduction(&plan, &examples, &train, &valid)?)?;
    }
    let summary = learned(options, plan, &train, &valid, rng)?;
    if !options.quiet {
        tell(&summary)?;
    }
    Ok(())
}

/// Says how it goes. A training ends no sooner because nobody reads that.
fn tell(text: &str) -> Result<()> {
    match print(text) {
        Err(Failure::Closed) => Ok(()),
        done => done,
    }
}

/// Refuses what cannot be meant.
fn check(options: &Train) -> Result<()> {
    let Train { epochs, batch_size, learning_rate, hidden, valid, patience, threads, .. } = options;
    let at_least_1 = [
        ("epochs", epochs.unwrap_or(1)),
        ("batch-size", *batch_size as u64),
        ("patience", *patience),
        ("threads", threads.unwrap_or(1) as u64),
    ];
    if let Some((name, _)) = at_least_1.iter().find(|(_, value)| *value == 0) {
        return said(format!("--{name}: expected 1 or more, got 0"));
    }
    if let Some(rate) = learning_rate.filter(|rate| !(*rate > 0.0 && rate.is_finite())) {
        return said(format!("--learning-rate: expected a number above 0, such as 0.001, got {rate}"));
    }
    if !(*valid > 0.0 && *valid < 1.0) {
        return said(format!("--valid: expected a share between 0 and 1, such as 0.2, got {valid}"));
    }
    if let Some(width) = hidden.iter().flatten().find(|width| !(1..=WIDEST).contains(*width)) {
        return said(format!("--hidden: expected widths from 1 to {WIDEST}, got {width}"));
    }
    if let Some(threads) = threads.filter(|&threads| threads > 1024) {
        return said(format!("--threads: expected at most 1024, got {threads}"));
    }
    let out = &options.out;
    if out.exists() && !out.is_dir() {
        return said(format!("--out {}: expected a folder, or nothing there yet, got a file", out.display()));
    }
    Ok(())
}

/// The examples to learn from, and those to check with, with the same share of each class.
fn divided(examples: &Examples, valid: f64, rng: &mut Rng) -> Result<(Examples, Examples)> {
    let (train, test) = stratified_split(&examples.targets, valid, rng)?;
    let (train, test) = (examples.select(&train)?, examples.select(&test)?);
    let unknown = train.counts()?.iter().position(|&count| count == 0);
    match unknown.and_then(|class| examples.classes.get(class)) {
        Some(class) => {
            let got = format!("got none of {class:?} among the other {}", train.len());
            said(format!("--valid {valid}: expected a share that leaves some examples of each class, {got}"))
        }
        None => Ok((train, test)),
    }
}

fn introduction(plan: &Plan, all: &Examples, train: &Examples, valid: &Examples) -> Result<String> {
    let unit = plan.inputs.unit();
    let classes: Vec<String> = all
        .classes
        .iter()
        .zip(all.counts()?)
        .take(10)
        .map(|(class, count)| format!("{class} ({count})"))
        .collect();
    let more = if all.classes.len() > 10 { ", …" } else { "" };
    let mut text =
        format!("{} {unit} of {} classes: {}{more}\n", all.len(), all.classes.len(), classes.join(", "));
    if let Inputs::Table(schema) = &plan.inputs {
        let features = schema.features().len();
        text += &format!("to be predicted: column {:?}, from {features} numbers a row\n", schema.target());
    }
    Ok(text + &format!("{} to learn from, {} to check with\n", train.len(), valid.len()))
}

/// Trains a model and writes all there is to write; what there is to say of it.
fn learned(options: &Train, plan: Plan, train: &Examples, valid: &Examples, rng: &mut Rng) -> Result<String> {
    let scale = match &plan.inputs {
        Inputs::Pictures { .. } => Standardize::fit_channels(&train.inputs)?,
        Inputs::Table(_) => Standardize::fit(&train.inputs)?,
    };
    let net = plan.build(scale, rng)?;
    let history = fit(options, &plan, &net, train, valid)?;

    let mut model = Model { plan, net, about: Vec::new() };
    let judged = [train, valid].map(|part| Judged::new(&model, part));
    let [on_train, on_valid] = judged;
    let (on_train, on_valid) = (on_train?, on_valid?);
    model.about = about(options, &history, &on_train, &on_valid, train.len() + valid.len());

    let out = &options.out;
    let file = out.join("model.safetensors");
    model.write(&file)?;
    let mut wrote = vec!["model.safetensors".to_string()];
    wrote.extend(pictures::write(out, &model, &history, &on_train, &on_valid)?);
    let unit = model.plan.inputs.unit();
    let first = (0.0, f64::INFINITY);
    let (best, _) = history
        .curve("valid_loss")
        .into_iter()
        .fold(first, |best, point| if point.1 < best.1 { point } else { best });
    let example = match &model.plan.inputs {
        Inputs::Pictures { .. } => "photo.jpg",
        Inputs::Table(_) => "new.csv",
    };
    Ok(format!(
        "{} epochs; the best was number {best}, which is kept\n\
         {:>6.1} % right of the {unit} that it learned from ({})\n\
         {:>6.1} % right of the {unit} that it had not seen ({})\n\
         wrote to {}: {}\n\
         next: tealight predict {} {example}\n",
        history.len(),
        100.0 * on_train.accuracy(),
        on_train.of(),
        100.0 * on_valid.accuracy(),
        on_valid.of(),
        out.display(),
        wrote.join(", "),
        shell(&file),
    ))
}

fn fit(
    options: &Train,
    plan: &Plan,
    net: &Sequential,
    train: &Examples,
    valid: &Examples,
) -> Result<History> {
    let (epochs, rate) = match (plan.kind, &plan.inputs) {
        (Kind::Cnn, _) => (40, 2e-3),
        (Kind::Mlp, Inputs::Pictures { .. }) => (40, 2e-3),
        (Kind::Mlp, Inputs::Table(_)) => (100, 1e-3),
        (Kind::Logistic, Inputs::Pictures { .. }) => (40, 2e-3),
        (Kind::Logistic, Inputs::Table(_)) => (100, 2e-2),
    };
    let data = TensorDataset::new(&train.inputs, &train.targets)?;
    let mut loader = DataLoader::new(&data, options.batch_size)?.shuffle(options.seed);
    if options.pictures.flip {
        loader = loader.augment(FlipHorizontal(0.5), options.seed);
    }
    let rate = options.learning_rate.unwrap_or(rate);
    let checkpoint = options.out.join("checkpoint");
    let mut trainer = Trainer::new(net, CrossEntropy, AdamW::new(net.parameters(), rate)?)
        .epochs(options.epochs.unwrap_or(epochs))
        .seed(options.seed)
        .metric(Accuracy::new())
        .callback(EarlyStopping::new("valid_loss", options.patience))
        .callback(Checkpoints::new(&checkpoint)?);
    if options.quiet {
        trainer = trainer.silent();
    }
    if options.resume {
        trainer = match trainer.resume(checkpoint.join("last.safetensors")) {
            Err(error) if !matches!(error, Error::File { .. }) => return Err(of_another(&error)),
            resumed => resumed?,
        };
    }
    let valid = (valid.inputs.clone(), valid.targets.clone());
    match trainer.fit(&loader, Some(&valid)) {
        Err(error @ Error::Argument { op: "DataLoader", .. }) if options.resume => Err(of_another(&error)),
        Err(error) if !matches!(error, Error::Interrupted { .. }) && !is_finite(net, &valid.0)? => {
            said(format!(
                "the training came to numbers that are not finite: try a smaller --learning-rate than {rate} ({error})"
            ))
        }
        done => Ok(done?),
    }
}

/// The failure of a checkpoint that does not fit.
fn of_another(error: &Error) -> Failure {
    Failure::Said(format!("--resume: expected what the same command left, got another's ({})", plain(error)))
}

/// Whether a model's scores are numbers still.
fn is_finite(net: &Sequential, inputs: &Tensor) -> Result<bool> {
    let scores = net.predict(inputs)?.flatten(0, -1)?.to_vec1::<f32>()?;
    Ok(scores.iter().all(|score| score.is_finite()))
}

/// What is kept of the training with the model.
fn about(
    options: &Train,
    history: &History,
    train: &Judged,
    valid: &Judged,
    examples: usize,
) -> Vec<(String, String)> {
    let mut about: Vec<(String, String)> = vec![
        ("trained on".into(), options.data.display().to_string()),
        ("examples".into(), examples.to_string()),
        ("accuracy (training)".into(), format!("{:.4}", train.accuracy())),
        ("accuracy (validation)".into(), format!("{:.4}", valid.accuracy())),
        ("epochs done".into(), history.len().to_string()),
    ];
    about.extend(history.settings().iter().map(|(name, value)| {
        let name = if name == "epochs" { "epochs at most" } else { name };
        // The loss without its options: none of them is set.
        let value = if name == "loss" { value.split(" {").next().unwrap_or(value) } else { value };
        (name.to_string(), value.to_string())
    }));
    about.push(("validation share".into(), options.valid.to_string()));
    about.push(("patience".into(), options.patience.to_string()));
    if options.pictures.flip {
        about.push(("mirror images".into(), "yes".into()));
    }
    about
}

/// A path as a shell takes it.
fn shell(path: &Path) -> String {
    let text = path.display().to_string();
    let plain = |c: char| c.is_alphanumeric() || "/._-+=:,@".contains(c);
    if text.chars().all(plain) { text } else { format!("'{}'", text.replace('\'', r"'\''")) }
}
