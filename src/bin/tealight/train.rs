//! `tealight train`: trains a model on examples and writes it with its report.

use std::path::Path;

use tealight::data::{DataLoader, RandomHorizontalFlip, TensorDataset, random_split, stratified_split};
use tealight::metrics::Accuracy;
use tealight::optim::AdamW;
use tealight::prelude::*;
use tealight::train::{Checkpoints, EarlyStopping, History, Trainer};

use super::artifacts;
use super::failure::{Failure, Result, fail, one_line, print};
use super::inputs::{Examples, Inputs, Pictures};
use super::model::{Model, Plan, in_units};
use super::options::{Kind, Train};
use super::scores::{Scores, digits};

/// The largest width in `--hidden`.
const MAX_WIDTH: usize = 16_384;
/// The largest number of weights: 1 GiB, and the optimizer keeps twice as much.
const MAX_WEIGHTS: usize = 1 << 28;

pub(super) fn run(options: &Train) -> Result<()> {
    check(options)?;
    if let Some(threads) = options.threads {
        let started = rayon::ThreadPoolBuilder::new().num_threads(threads).build_global();
        started.map_err(|error| {
            Failure::Message(format!("--threads: expected {threads} threads, got: {error}"))
        })?;
    }
    let (inputs, mut examples, table) = Inputs::find(options)?;
    let kind = match (options.model, &inputs) {
        (Some(Kind::Cnn), Inputs::Table(_)) => {
            return fail("--model cnn: expected images, got a table, for which there are mlp and logistic");
        }
        (Some(kind), _) => kind,
        (None, Inputs::Images(_)) => Kind::Cnn,
        (None, Inputs::Table(_)) => Kind::Mlp,
    };
    let hidden = match (&options.hidden, kind) {
        (Some(_), Kind::Logistic) => {
            return fail("--hidden: expected a model with layers inside (mlp or cnn), got logistic");
        }
        (Some(hidden), _) => hidden.clone(),
        (None, Kind::Mlp) => vec![64, 32],
        (None, _) => Vec::new(),
    };
    if let (Kind::Cnn, Inputs::Images(Pictures { size: 1, .. })) = (kind, &inputs) {
        return fail("--size: expected 2 pixels or more for a cnn, got 1");
    }
    let mut plan = Plan { kind, inputs, hidden, classes: examples.classes.clone() };
    if plan.size() > MAX_WEIGHTS {
        let expected = format!("expected a model of at most {MAX_WEIGHTS} weights");
        return fail(format!("{expected}, got {}: try a smaller --hidden or --size", plan.size()));
    }
    let rng = &mut Rng::seed(options.seed);
    let (train, valid) = split(&examples, options.valid, rng)?;
    let mut filled = None;
    if let (Inputs::Table(schema), Some(table)) = (&mut plan.inputs, &table) {
        let rows = schema.used_rows(table)?;
        // What the model is validated on must not show in what it is trained on.
        schema.fill_from(table, &train.iter().map(|&i| rows[i]).collect::<Vec<_>>())?;
        filled = super::inputs::filled(&schema.filled(table, &rows)?);
        examples = super::inputs::examples(schema, table)?;
    }
    let (train, valid) = (examples.select(&train)?, examples.select(&valid)?);
    if !options.quiet {
        let filled = filled.unwrap_or_default();
        print_progress(&introduction(&plan, &examples, &train, &valid, &filled)?)?;
    }
    let (summary, beats_guessing) = train_and_write(options, plan, &train, &valid, rng)?;
    if !options.quiet {
        print_progress(&summary)?;
    }
    match options.beat_guessing && !beats_guessing {
        true => Err(Failure::Guessing),
        false => Ok(()),
    }
}

/// Prints progress; a closed standard output does not end the training.
fn print_progress(text: &str) -> Result<()> {
    match print(text) {
        Err(Failure::OutputClosed) => Ok(()),
        done => done,
    }
}

/// Errors if an option is out of range.
fn check(options: &Train) -> Result<()> {
    let Train { epochs, batch_size, learning_rate, hidden, valid, patience, threads, .. } = options;
    let at_least_1 = [
        ("epochs", epochs.unwrap_or(1)),
        ("batch-size", *batch_size as u64),
        ("patience", *patience),
        ("threads", threads.unwrap_or(1) as u64),
    ];
    if let Some((name, _)) = at_least_1.iter().find(|(_, value)| *value == 0) {
        return fail(format!("--{name}: expected 1 or more, got 0"));
    }
    if let Some(rate) = learning_rate.filter(|rate| !(*rate > 0.0 && rate.is_finite())) {
        return fail(format!("--learning-rate: expected a number above 0, such as 0.001, got {rate}"));
    }
    if !(*valid > 0.0 && *valid < 1.0) {
        return fail(format!("--valid: expected a share between 0 and 1, such as 0.2, got {valid}"));
    }
    if let Some(width) = hidden.iter().flatten().find(|width| !(1..=MAX_WIDTH).contains(*width)) {
        return fail(format!("--hidden: expected widths from 1 to {MAX_WIDTH}, got {width}"));
    }
    if let Some(threads) = threads.filter(|&threads| threads > 1024) {
        return fail(format!("--threads: expected at most 1024, got {threads}"));
    }
    let out = &options.out;
    if out.exists() && !out.is_dir() {
        return fail(format!("--out {}: expected a folder, or nothing there yet, got a file", out.display()));
    }
    if out.join("model.safetensors").exists() && !options.resume && !options.force {
        let (expected, out) = ("expected a folder without a model", out.display());
        return fail(format!(
            "--out {out}: {expected}, got one (--force replaces it, --resume continues it)"
        ));
    }
    Ok(())
}

/// The indices of the examples to train on and of those to validate with; of classes, with the same share of each.
fn split(examples: &Examples, valid: f64, rng: &mut Rng) -> Result<(Vec<usize>, Vec<usize>)> {
    if examples.classes.is_empty() {
        return Ok(random_split(examples.len(), valid, rng)?);
    }
    let (train, test) = stratified_split(&examples.targets, valid, rng)?;
    let unknown = examples.select(&train)?.counts()?.iter().position(|&count| count == 0);
    match unknown.and_then(|class| examples.classes.get(class)) {
        Some(class) => {
            let got = format!("got none of {class:?} among the other {}", train.len());
            fail(format!("--valid {valid}: expected a share that leaves some examples of each class, {got}"))
        }
        None => Ok((train, test)),
    }
}

fn introduction(
    plan: &Plan,
    all: &Examples,
    train: &Examples,
    valid: &Examples,
    filled: &str,
) -> Result<String> {
    let unit = plan.inputs.unit();
    let mut text = String::new();
    if let Inputs::Table(schema) = &plan.inputs {
        text += &format!("read as: {}\n", schema.summary());
        schema.notes().iter().for_each(|note| text += &format!("note: {note}\n"));
        text += filled;
    }
    text += &format!("{} {unit}", all.len());
    if !all.classes.is_empty() {
        let counts = all.classes.iter().zip(all.counts()?).take(10);
        let counts: Vec<String> = counts.map(|(class, count)| format!("{class} ({count})")).collect();
        let more = if all.classes.len() > 10 { ", …" } else { "" };
        text += &format!(" of {} classes: {}{more}", all.classes.len(), counts.join(", "));
    }
    text.push('\n');
    if let Inputs::Table(schema) = &plan.inputs {
        let (target, features) = (schema.target(), schema.features().len());
        let what = if all.classes.is_empty() { "the number in " } else { "" };
        text += &format!("predicting {what}column {target:?} from {features} numbers per row\n");
    }
    Ok(text + &format!("{} for training, {} for validation\n", train.len(), valid.len()))
}

/// Trains a model and writes its files; returns the summary to print, and whether the model is better than guessing.
fn train_and_write(
    options: &Train,
    plan: Plan,
    train: &Examples,
    valid: &Examples,
    rng: &mut Rng,
) -> Result<(String, bool)> {
    let scale = match &plan.inputs {
        Inputs::Images(_) => Standardize::fit_channels(&train.inputs)?,
        Inputs::Table(_) => Standardize::fit(&train.inputs)?,
    };
    let mut net = plan.build(scale, rng)?;
    let history;
    if plan.classes.is_empty() {
        let scale = Standardize::fit(&train.targets)?;
        let [train, valid] = [train, valid].map(|part| -> Result<Examples> {
            let targets = scale.normalize(&part.targets)?.to_dtype(DType::F32)?;
            Ok(Examples { targets, inputs: part.inputs.clone(), classes: Vec::new() })
        });
        history = fit(options, &plan, &net, &train?, &valid?)?;
        net = in_units(net, scale);
    } else {
        history = fit(options, &plan, &net, train, valid)?;
    }

    let mut model = Model { plan, net, about: Vec::new() };
    let (on_train, on_valid) = (Scores::new(&model, train)?, Scores::new(&model, valid)?);
    model.about = about(options, &history, &on_train, &on_valid, train.len() + valid.len());

    let out = &options.out;
    let file = out.join("model.safetensors");
    model.write(&file)?;
    let mut wrote = vec!["model.safetensors".to_string()];
    wrote.extend(artifacts::write(out, &model, &history, &on_train, &on_valid)?);
    let unit = model.plan.inputs.unit();
    let best = history.kept().expect("--epochs is 1 or more").epoch;
    let example = match &model.plan.inputs {
        Inputs::Images(_) => "photo.jpg",
        Inputs::Table(_) => "new.csv",
    };
    let summary = format!(
        "{} epochs; kept the best, number {best}\n{}{}{}wrote to {}: {}\nnext: tealight predict {} {example}\n",
        history.len(),
        on_train.line("training", unit),
        on_valid.line("validation", unit),
        on_valid.worth(unit)?,
        out.display(),
        wrote.join(", "),
        shell(&file),
    );
    Ok((summary, on_valid.beats_guessing()))
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
        (Kind::Mlp, Inputs::Images(_)) => (40, 2e-3),
        (Kind::Mlp, Inputs::Table(_)) => (100, 1e-3),
        (Kind::Logistic, Inputs::Images(_)) => (40, 2e-3),
        (Kind::Logistic, Inputs::Table(_)) => (100, 2e-2),
    };
    let data = TensorDataset::new(&train.inputs, &train.targets)?;
    let mut loader = DataLoader::new(&data, options.batch_size)?.shuffle(options.seed);
    if options.images.flip {
        loader = loader.augment(RandomHorizontalFlip(0.5), options.seed);
    }
    let rate = options.learning_rate.unwrap_or(rate);
    let checkpoint = options.out.join("checkpoint");
    let optimizer = AdamW::new(net.parameters(), rate)?;
    let trainer = match plan.classes.is_empty() {
        true => Trainer::new(net, Mse, optimizer),
        false => Trainer::new(net, loss(options, train)?, optimizer).metric(Accuracy::new()),
    };
    let mut trainer = trainer
        .epochs(options.epochs.unwrap_or(epochs))
        .seed(options.seed)
        .callback(EarlyStopping::new("valid_loss", options.patience))
        .callback(Checkpoints::new(&checkpoint)?);
    if options.quiet {
        trainer = trainer.silent();
    }
    if options.resume {
        trainer = match trainer.resume(checkpoint.join("last.safetensors")) {
            Err(error) if !matches!(error, Error::File { .. }) => return Err(wrong_checkpoint(&error)),
            resumed => resumed?,
        };
    }
    let valid = (valid.inputs.clone(), valid.targets.clone());
    match trainer.fit(&loader, Some(&valid)) {
        Err(error @ Error::Argument { op: "DataLoader", .. }) if options.resume => {
            Err(wrong_checkpoint(&error))
        }
        Err(error @ Error::Interrupted { .. }) => Err(error.into()),
        // The loss of the last step may be that of the weights before it.
        done if !is_finite(net, &valid.0)? => {
            let why = done.err().map_or(String::new(), |error| format!(" ({error})"));
            fail(format!(
                "the training reached values that are not finite: try a --learning-rate below {rate}{why}"
            ))
        }
        done => Ok(done?),
    }
}

/// The cross-entropy; with --balance each class weighs the same.
fn loss(options: &Train, train: &Examples) -> Result<CrossEntropy> {
    if !options.balance {
        return Ok(CrossEntropy::new());
    }
    let (counts, classes) = (train.counts()?, train.classes.len() as f64);
    let weight = |count: usize| (train.len() as f64 / (classes * count as f64)) as f32;
    let weights = counts.iter().map(|&count| weight(count)).collect();
    Ok(CrossEntropy::new().class_weights(&Tensor::from_vec(weights, counts.len(), &Device::Cpu)?)?)
}

/// The error of a checkpoint that another command wrote.
fn wrong_checkpoint(error: &Error) -> Failure {
    Failure::Message(format!(
        "--resume: expected a checkpoint of the same command, got one of another ({})",
        one_line(error)
    ))
}

/// Whether the model's outputs are finite.
fn is_finite(net: &Sequential, inputs: &Tensor) -> Result<bool> {
    let scores = net.predict(inputs)?.flatten(0, -1)?.to_vec1::<f32>()?;
    Ok(scores.iter().all(|score| score.is_finite()))
}

/// Facts about the training that the model file keeps.
fn about(
    options: &Train,
    history: &History,
    train: &Scores,
    valid: &Scores,
    examples: usize,
) -> Vec<(String, String)> {
    let mut about: Vec<(String, String)> = vec![
        ("trained on".into(), options.data.display().to_string()),
        ("examples".into(), examples.to_string()),
    ];
    let scores = train.metrics("training").into_iter().chain(valid.metrics("validation"));
    about.extend(scores.map(|(name, score)| (name, digits(score))));
    about.push(("epochs done".into(), history.len().to_string()));
    about.extend(history.settings().iter().map(|(name, value)| {
        let name = if name == "epochs" { "epochs at most" } else { name };
        // The options of the loss are all at their defaults.
        let value = if name == "loss" { value.split(" {").next().unwrap_or(value) } else { value };
        (name.to_string(), value.to_string())
    }));
    about.push(("validation share".into(), options.valid.to_string()));
    about.push(("patience".into(), options.patience.to_string()));
    if options.images.flip {
        about.push(("mirror images".into(), "yes".into()));
    }
    about
}

/// Quotes a path for a shell.
fn shell(path: &Path) -> String {
    let text = path.display().to_string();
    let plain = |c: char| c.is_alphanumeric() || "/._-+=:,@".contains(c);
    if text.chars().all(plain) { text } else { format!("'{}'", text.replace('\'', r"'\''")) }
}
