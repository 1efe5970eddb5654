//! `tealight train`: trains a model on examples and writes it with its report.

use std::path::{Path, PathBuf};

use tealight::data::{
    DataLoader, RandomHorizontalFlip, Table, TensorDataset, k_fold, random_split, stratified_k_fold,
    stratified_split,
};
use tealight::distributed::Communicator;
use tealight::io::Checkpoint;
use tealight::metrics::{Accuracy, Metric, temperature};
use tealight::optim::AdamW;
use tealight::plot::{Axes, Curves};
use tealight::prelude::*;
use tealight::train::{Checkpoints, EarlyStopping, History, Trainer};

use super::artifacts::{self, Shown};
use super::failure::{Failure, Result, counted, fail, one_line, print};
use super::inputs::{Examples, Found, Inputs, Pictures};
use super::model::{Model, Plan, in_units};
use super::options::{Keep, Kind, Score, Train};
use super::scores::{Scores, digits};
use super::serve::{Stage, Teller, Watch};

/// The largest width in `--hidden`.
const MAX_WIDTH: usize = 16_384;
/// The largest number of weights: 1 GiB, and the optimizer keeps twice as much.
const MAX_WEIGHTS: usize = 1 << 28;
/// Fewer examples than these are validated in `FOLDS` folds, others on the share `VALID`.
const FEW: usize = 200;
const FOLDS: usize = 5;
const VALID: f64 = 0.2;
/// The predictions that calibrate probabilities.
const CALIBRATED: usize = 100;
/// Errors that are listed.
const LISTED: usize = 10;
const LAST: &str = "last.safetensors";

/// Where `mpirun` started several processes, they train together, and the first one prints and writes.
#[cfg(feature = "mpi")]
pub(super) fn run(mut options: Train) -> Result<()> {
    // What Open MPI sets, and MPICH, and Slurm.
    let started =
        ["OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "PMIX_RANK"].iter().any(|name| std::env::var_os(name).is_some());
    if !started {
        return run_with(&options, None);
    }
    let mpi = tealight::distributed::Mpi::init()?;
    options.quiet |= mpi.rank() > 0;
    let done = run_with(&options, Some(&mpi));
    if let (Err(failure), true) = (&done, mpi.size() > 1) {
        let text = match failure {
            Failure::Message(text) => text.clone(),
            Failure::Library(error) => one_line(error),
            other => format!("{other:?}"),
        };
        mpi.abort(&text);
    }
    done
}

#[cfg(not(feature = "mpi"))]
pub(super) fn run(options: Train) -> Result<()> {
    run_with(&options, None)
}

fn run_with(options: &Train, ranks: Option<&dyn Communicator>) -> Result<()> {
    check(options)?;
    if let Some(threads) = options.threads {
        let started = rayon::ThreadPoolBuilder::new().num_threads(threads).build_global();
        started.map_err(|error| {
            Failure::Message(format!("--threads: expected {}, got: {error}", counted(threads, "threads")))
        })?;
    }
    let Found { inputs, examples, table, skipped } = Inputs::find(options)?;
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
    let mut plan = Plan { kind, inputs, hidden, classes: examples.classes.clone(), balance: options.balance };
    if plan.size() > MAX_WEIGHTS {
        let expected = format!("expected a model of at most {MAX_WEIGHTS} weights");
        return fail(format!("{expected}, got {}: try a smaller --hidden or --size", plan.size()));
    }
    let rng = &mut Rng::seed(options.seed);
    let splits = splits(options, &examples, rng)?;
    let all: Vec<usize> = match &splits[..] {
        [(train, _)] => train.clone(),
        _ => (0..examples.len()).collect(),
    };
    if options.balance && examples.classes.is_empty() {
        return fail("--balance: expected classes, got a numeric target");
    }
    let (mut filled, mut dropped) = (None, 0);
    if let (Inputs::Table(schema), Some(table)) = (&mut plan.inputs, &table) {
        let rows = schema.used_rows(table)?;
        dropped = table.len() - rows.len();
        schema.fill_from(table, &all.iter().map(|&i| rows[i]).collect::<Vec<_>>())?;
        filled = super::inputs::filled(&schema.fill_values(table, &rows)?);
    }
    let mut data = introduction(&plan, &examples, &splits, dropped, filled)?;
    if !options.quiet {
        let line = |(name, value): &(String, String)| match name.as_str() {
            "read as" | "note" => format!("{name}: {value}\n"),
            _ => format!("{value}\n"),
        };
        print_progress(&data.iter().map(line).collect::<String>())?;
    }
    data.insert(0, ("data".into(), options.data.display().to_string()));
    data.extend(skipped.into_iter().map(|why| ("skipped".into(), why)));
    // Each process would have a page, and a button that stops it alone.
    let alone = ranks.is_none_or(|ranks| ranks.size() == 1);
    if options.watch && !alone {
        return fail("--watch: expected a training of one process, got several (mpirun)");
    }
    let watch = options.watch.then(Watch::start).transpose()?;
    if let Some(watch) = &watch {
        print_progress(&format!("the training is at {}\n", watch.address))?;
    }
    let training = Training { options, ranks, plan, examples, table, watch };
    let mut done = training.run(&splits, &all, rng)?;
    if ranks.is_some_and(|ranks| ranks.rank() > 0) {
        return Ok(());
    }
    let (summary, beats_guessing) = write(options, &mut done, data)?;
    training.watch.iter().for_each(|watch| watch.finish(&summary));
    if !options.quiet {
        print_progress(&summary)?;
    }
    match (done.interrupted, options.beat_guessing && !beats_guessing) {
        (Some(step), _) => Err(Failure::Interrupted { step, keep: options.keep }),
        (None, true) => Err(Failure::Guessing),
        (None, false) => Ok(()),
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
    if let Some(valid) = valid.filter(|valid| !(*valid > 0.0 && *valid < 1.0)) {
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
    let checkpoint = out.join("checkpoint");
    if options.resume && !checkpoint.join(LAST).exists() && !checkpoint.join("fold-1").join(LAST).exists() {
        let expected = "expected the checkpoint of a training";
        return fail(format!("--resume: {expected} in {}, got none: leave out --resume", out.display()));
    }
    if out.join("model.safetensors").exists() && !options.resume && !options.force {
        let (expected, out) = ("expected a folder without a model", out.display());
        return fail(format!(
            "--out {out}: {expected}, got one (--force replaces it, --resume continues it)"
        ));
    }
    Ok(())
}

/// The indices of the examples to train on and of those to validate with, or several such pairs, one for each fold; of classes,
/// with the same share of each.
fn splits(options: &Train, examples: &Examples, rng: &mut Rng) -> Result<Vec<(Vec<usize>, Vec<usize>)>> {
    let n = examples.len();
    let usual = if n < FEW && options.valid.is_none() { FOLDS.min(n) } else { 0 };
    let folds = options.folds.unwrap_or(usual);
    if folds > n {
        return fail(format!("--folds: expected at most {n}, the number of examples, got {folds}"));
    }
    let classes = (!examples.classes.is_empty()).then_some(&examples.targets);
    if folds > 1 {
        let folds = match classes {
            Some(classes) => stratified_k_fold(classes, folds, rng),
            None => k_fold(n, folds, rng),
        };
        return Ok(folds?.collect());
    }
    let valid = options.valid.unwrap_or(VALID);
    let Some(classes) = classes else { return Ok(vec![random_split(n, valid, rng)?]) };
    let (train, test) = stratified_split(classes, valid, rng)?;
    let unknown = examples.select(&train)?.counts()?.iter().position(|&count| count == 0);
    match unknown.and_then(|class| examples.classes.get(class)) {
        Some(class) => {
            let got = format!("got none of {class:?} among the other {}", train.len());
            fail(format!("--valid {valid}: expected a share that leaves some examples of each class, {got}"))
        }
        None => Ok(vec![(train, test)]),
    }
}

/// What was read, and how: names and values.
fn introduction(
    plan: &Plan,
    all: &Examples,
    splits: &[(Vec<usize>, Vec<usize>)],
    dropped: usize,
    filled: Option<String>,
) -> Result<Vec<(String, String)>> {
    let unit = plan.inputs.unit();
    let mut lines = Vec::new();
    let mut say = |name: &str, value: String| lines.push((name.to_string(), value));
    if let Inputs::Table(schema) = &plan.inputs {
        say("read as", schema.summary());
        schema.notes().iter().for_each(|note| say("note", note.clone()));
        filled.into_iter().for_each(|filled| say("filled", filled));
        if dropped > 0 {
            let all = counted(all.len() + dropped, "rows");
            say("left out", format!("left out {dropped} of {all}, which have missing values"));
        }
    }
    let mut examples = format!("{} {unit}", all.len());
    if !all.classes.is_empty() {
        let counts = all.classes.iter().zip(all.counts()?).take(10);
        let counts: Vec<String> = counts.map(|(class, count)| format!("{class} ({count})")).collect();
        let more = if all.classes.len() > 10 { ", …" } else { "" };
        examples += &format!(" of {} classes: {}{more}", all.classes.len(), counts.join(", "));
    }
    say("examples", examples);
    if let Inputs::Table(schema) = &plan.inputs {
        let (target, features) = (schema.target(), schema.features().len());
        let what = if all.classes.is_empty() { "the number in " } else { "" };
        say(
            "target",
            format!("predicting {what}column {target:?} from {} per row", counted(features, "numbers")),
        );
    }
    say(
        "validation",
        match splits {
            [(train, valid)] => format!("{} for training, {} for validation", train.len(), valid.len()),
            folds => {
                format!("{} folds: each {} for validation once", folds.len(), unit.trim_end_matches('s'))
            }
        },
    );
    Ok(lines)
}

/// What is trained, and on what.
struct Training<'a> {
    options: &'a Train,
    ranks: Option<&'a dyn Communicator>,
    plan: Plan,
    examples: Examples,
    table: Option<Table>,
    watch: Option<Watch>,
}

/// One of the trainings of a command: of a fold, or of all examples.
struct Run {
    /// For people; empty for the only one.
    name: String,
    place: PathBuf,
    /// The number of epochs, whatever --epochs and --patience say.
    epochs: Option<u64>,
    /// Whether it continues from the checkpoint in its place.
    goes_on: bool,
    /// How many follow, at most.
    later: usize,
}

/// A trained model with the examples that it was trained on, and those that it was not.
struct Part {
    model: Model,
    history: History,
    /// The epoch whose weights the model has.
    kept: u64,
    train: Examples,
    valid: Examples,
}

/// A finished training.
struct Done {
    /// The model of each fold, or the only one.
    parts: Vec<Part>,
    /// With folds, the model of all examples, unless the training was interrupted.
    last: Option<Part>,
    /// The number of folds, 1 for none.
    folds: usize,
    /// The step after which Ctrl-C ended it.
    interrupted: Option<u64>,
}

impl Done {
    fn main(&self) -> &Part {
        self.last.as_ref().or(self.parts.last()).expect("a training makes a model")
    }

    /// The models with the examples that they were not trained on.
    fn held_out(&self) -> Vec<(&Model, &Examples)> {
        self.parts.iter().map(|part| (&part.model, &part.valid)).collect()
    }

    /// The number of all examples.
    fn examples(&self) -> usize {
        let first = &self.parts[0];
        first.train.len() + first.valid.len()
    }

    /// The epoch that is best on average of the folds, but for one that may be left out. A fold that ended before the others stays
    /// as it was in its last epoch.
    fn best_epoch(&self, options: &Train, but: Option<usize>) -> u64 {
        let others = || (0..).zip(&self.parts).filter(|(fold, _)| Some(*fold) != but).map(|(_, part)| part);
        let epochs = others().map(|part| part.history.len()).max().expect("there are two folds or more");
        let (name, sign) = match options.score {
            _ if options.keep == Keep::Last => return epochs as u64,
            Score::Loss => ("valid_loss", 1.0),
            Score::Accuracy => ("valid_accuracy", -1.0),
        };
        let curves: Vec<_> = others().map(|part| part.history.curve(name)).collect();
        let sum = |epoch: usize| {
            curves
                .iter()
                .filter_map(|curve| curve.get(epoch).or(curve.last()))
                .map(|point| sign * point.1)
                .sum()
        };
        let sums: Vec<f64> = (0..epochs).map(sum).collect();
        let best = (0..epochs).min_by(|&a, &b| sums[a].total_cmp(&sums[b]));
        best.expect("--epochs is 1 or more") as u64 + 1
    }
}

impl Training<'_> {
    fn run(&self, splits: &[(Vec<usize>, Vec<usize>)], all: &[usize], rng: &mut Rng) -> Result<Done> {
        let (options, folds) = (self.options, splits.len());
        let place = options.out.join("checkpoint");
        let fold = |number: usize| place.join(format!("fold-{number}"));
        if !options.resume {
            // Those of an earlier training are not continued.
            let places = (1..=folds).flat_map(|number| [fold(number), fold(number).join("again")]);
            for place in places.chain([place.clone()]) {
                let _ = std::fs::remove_file(place.join(LAST));
            }
        }
        let mut done = Done { parts: Vec::new(), last: None, folds, interrupted: None };
        let mut starts = Vec::new();
        for (number, (train, valid)) in (1..).zip(splits) {
            let (name, place, later) = match folds {
                1 => (String::new(), place.clone(), 0),
                _ => (format!("fold {number} of {folds}"), fold(number), 2 * folds + 1 - number),
            };
            let goes_on = options.resume && (number == 1 || place.join(LAST).exists());
            starts.push(rng.clone());
            let part = self.part(train, valid, &Run { name, place, epochs: None, goes_on, later }, rng);
            let part = done.take(part)?;
            done.parts.extend(part);
            if folds == 1 || self.has_ended(&done) {
                return done.calibrated();
            }
        }
        // A fold that chose its epoch itself would look better than it is.
        let mut again = Vec::new();
        for (i, ((train, valid), mut start)) in splits.iter().zip(starts).enumerate() {
            let (number, epochs) = (i + 1, done.best_epoch(options, Some(i)));
            if epochs == done.parts[i].kept {
                again.push(None);
                continue;
            }
            let name = format!("fold {number} of {folds} again, for {}", counted(epochs as usize, "epochs"));
            let run = self.fixed(name, fold(number).join("again"), epochs, folds + 1 - number);
            let part = done.take(self.part(train, valid, &run, &mut start))?;
            if self.has_ended(&done) {
                return done.calibrated();
            }
            again.push(part);
        }
        let epochs = done.best_epoch(options, None);
        for (part, again) in done.parts.iter_mut().zip(again) {
            if let Some(mut again) = again {
                if again.history.len() < part.history.len() {
                    again.history = std::mem::take(&mut part.history);
                }
                *part = again;
            }
        }
        let run = self.fixed("all examples".into(), place, epochs, 0);
        done.last = done.take(self.part(all, &[], &run, rng))?;
        done.calibrated()
    }

    /// A training of this number of epochs.
    fn fixed(&self, name: String, place: PathBuf, epochs: u64, later: usize) -> Run {
        let before = Checkpoint::read(place.join(LAST)).and_then(|file| file.meta::<u64>("epoch"));
        let goes_on = self.options.resume && before.is_ok_and(|done| done < epochs);
        Run { name, place, epochs: Some(epochs), goes_on, later }
    }

    /// Whether the training was interrupted or stopped.
    fn has_ended(&self, done: &Done) -> bool {
        done.interrupted.is_some() || self.watch.as_ref().is_some_and(Watch::stopped)
    }

    /// Trains one model; the second result is the step after which it was interrupted.
    fn part(
        &self,
        train: &[usize],
        valid: &[usize],
        run: &Run,
        rng: &mut Rng,
    ) -> Result<(Part, Option<u64>)> {
        if !run.name.is_empty() && !self.options.quiet {
            print_progress(&format!("{}\n", run.name))?;
        }
        let mut plan = self.plan.clone();
        let mut examples = None;
        if let (Inputs::Table(schema), Some(table)) = (&mut plan.inputs, &self.table) {
            // What the model is validated on must not show in what it is trained on.
            let rows = schema.used_rows(table)?;
            schema.fill_from(table, &train.iter().map(|&i| rows[i]).collect::<Vec<_>>())?;
            examples = Some(super::inputs::examples(schema, table)?);
        }
        let examples = examples.as_ref().unwrap_or(&self.examples);
        let (train, valid) = (examples.select(train)?, examples.select(valid)?);
        let scale = match &plan.inputs {
            Inputs::Images(_) => Standardize::fit_channels(&train.inputs)?,
            Inputs::Table(_) => Standardize::fit(&train.inputs)?,
        };
        let net = plan.build(scale, rng)?;
        let mut model = Model::new(plan, net);
        let fit = |train: &Examples, valid: &Examples| {
            let valid = (valid.len() > 0).then_some(valid);
            fit(self.options, self.ranks, &model, train, valid, run, self.watch.as_ref())
        };
        let (history, interrupted) = if model.plan.classes.is_empty() {
            let scale = Standardize::fit(&train.targets)?;
            let [train, valid] = [&train, &valid].map(|part| -> Result<Examples> {
                let targets = scale.normalize(&part.targets)?.to_dtype(DType::F32)?;
                let (inputs, names) = (part.inputs.clone(), part.names.clone());
                Ok(Examples { targets, inputs, classes: Vec::new(), names })
            });
            let fitted = fit(&train?, &valid?)?;
            model.net = in_units(model.net, scale);
            fitted
        } else {
            fit(&train, &valid)?
        };
        let kept = history.kept().expect("--epochs is 1 or more").epoch;
        Ok((Part { model, history, kept, train, valid }, interrupted))
    }
}

impl Done {
    /// What was trained, if one epoch was finished; notes when it was interrupted.
    fn take(&mut self, part: Result<(Part, Option<u64>)>) -> Result<Option<Part>> {
        match part {
            Ok((part, interrupted)) => {
                self.interrupted = interrupted;
                Ok(Some(part))
            }
            // A model that was finished before is kept.
            Err(Failure::Library(Error::Interrupted { step, .. })) if !self.parts.is_empty() => {
                self.interrupted = Some(step);
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// Calibrates the probabilities, if there are enough predictions for it.
    fn calibrated(mut self) -> Result<Done> {
        let count: usize = self.parts.iter().map(|part| part.valid.len()).sum();
        if count >= CALIBRATED && !self.main().model.plan.classes.is_empty() {
            let logits = self.parts.iter().map(|part| part.model.outputs(&part.valid.inputs));
            let logits = Tensor::cat(&logits.collect::<Result<Vec<_>>>()?, 0)?;
            let targets: Vec<&Tensor> = self.parts.iter().map(|part| &part.valid.targets).collect();
            let temperature = temperature(&logits, &Tensor::cat(&targets, 0)?)?;
            self.parts.iter_mut().chain(&mut self.last).for_each(|part| part.model.calibrate(temperature));
        }
        Ok(self)
    }
}

/// Writes the files of a training; returns the summary to print, and whether the model is better than guessing.
fn write(options: &Train, done: &mut Done, data: Vec<(String, String)>) -> Result<(String, bool)> {
    let on_train = Scores::new(&[(&done.main().model, &done.main().train)])?;
    let on_valid = Scores::new(&done.held_out())?;
    let about = about(options, done, &on_train, &on_valid);
    let main = done.last.as_mut().or(done.parts.last_mut());
    main.expect("a training makes a model").model.about = about;
    let (main, parts) = (done.main(), done.held_out());
    let out = &options.out;
    let file = out.join("model.safetensors");
    main.model.write(&file)?;

    let mut page = main.history.report();
    page.settings.clone_from(&main.model.about);
    page.metrics = [on_valid.metrics("validation"), on_train.metrics("training")].concat();
    page.confusion = None;
    if done.folds > 1 {
        page.curves = ["loss", "accuracy"].into_iter().filter_map(|name| curves(done, name)).collect();
    }
    let shown = Shown { parts: &parts, scores: &on_valid, name: "validation", data };
    artifacts::fill(&mut page, &shown)?;
    let mut wrote = vec!["model.safetensors".to_string()];
    wrote.extend(artifacts::write(out, &page, &shown)?);

    let unit = main.model.plan.inputs.unit();
    let epochs = |history: &History| counted(history.len(), "epochs");
    let mut text = match done.folds {
        1 if options.keep == Keep::Last => format!("{}; kept the last\n", epochs(&main.history)),
        1 => format!("{}; kept the best, number {}\n", epochs(&main.history), main.kept),
        folds => {
            let numbers: Vec<String> = done.parts.iter().map(|part| part.kept.to_string()).collect();
            let which = match (options.keep, &done.last) {
                (Keep::Last, _) => "kept the last epoch of each",
                (Keep::Best, Some(_)) => "each at the best epoch of the others",
                (Keep::Best, None) => "kept the best epoch of each",
            };
            let last = match &done.last {
                Some(last) => {
                    format!("; the model: {} on all {} {unit}", epochs(&last.history), last.train.len())
                }
                None => format!("; the model is that of fold {}", done.parts.len()),
            };
            format!("{} of {folds} folds; {which}: {}{last}\n", done.parts.len(), numbers.join(", "))
        }
    };
    text += &on_train.line("training", unit);
    text += &on_valid.line("validation", unit);
    text += &on_valid.worth(unit)?;
    if let (Scores::Classes(found), true) = (&on_valid, main.model.temperature != 1.0) {
        let (t, off) = (main.model.temperature, 100.0 * found.calibration.value()?);
        text += &format!("probabilities calibrated (temperature {t:.2}): off by {off:.1} % on average\n");
    }
    text += &on_valid.wrong(LISTED, unit)?;
    let example = if main.model.plan.of_images() { "photo.jpg" } else { "new.csv" };
    let (place, wrote) = (out.display(), wrote.join(", "));
    text += &format!("wrote to {place}: {wrote}\nnext: tealight predict {} {example}\n", shell(&file));
    Ok((text, on_valid.beats_guessing()))
}

/// A score of the model on the examples that it was trained on, and of each fold on its own.
fn curves(done: &Done, name: &str) -> Option<Curves> {
    let mut series = vec![("training".to_string(), done.main().history.curve(name))];
    let mut best = Vec::new();
    for (fold, Part { history, kept, .. }) in done.parts.iter().enumerate() {
        let points = history.curve(&format!("valid_{name}"));
        // A gap after each point.
        best.extend(points.iter().filter(|point| point.0 == *kept as f64).copied().chain([(f64::NAN, 0.0)]));
        series.push((format!("fold {}", fold + 1), points));
    }
    series.push(("kept".into(), best));
    series.retain(|(_, points)| points.iter().any(|point| point.0.is_finite()));
    let title = name[..1].to_uppercase() + &name[1..];
    (!series.is_empty()).then(|| Curves { title, axes: Axes::new("epoch", name), series })
}

/// Trains a model; the second result is the step after which it was interrupted.
fn fit(
    options: &Train,
    ranks: Option<&dyn Communicator>,
    model: &Model,
    train: &Examples,
    valid: Option<&Examples>,
    run: &Run,
    watch: Option<&Watch>,
) -> Result<(History, Option<u64>)> {
    let Model { plan, net, .. } = model;
    let (place, goes_on) = (&run.place, run.goes_on);
    let (usual, rate) = match (plan.kind, &plan.inputs) {
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
    let optimizer = AdamW::new(net.parameters(), rate)?;
    let mut trainer = match plan.classes.is_empty() {
        true => Trainer::new(net, Mse, optimizer),
        false => Trainer::new(net, loss(options, train)?, optimizer),
    };
    let epochs = run.epochs.or(options.epochs).unwrap_or(usual);
    let (name, later, steps_per_epoch) = (&run.name, run.later as u64, loader.len() as u64);
    trainer = trainer.epochs(epochs).seed(options.seed).callback(Checkpoints::new(place)?);
    let keeps_best = run.epochs.is_none() && options.keep == Keep::Best;
    if keeps_best {
        let score = match (options.score, plan.classes.is_empty()) {
            (Score::Loss, _) => "valid_loss",
            (Score::Accuracy, false) => "valid_accuracy",
            (Score::Accuracy, true) => {
                return fail("--score accuracy: expected classes, got a numeric target");
            }
        };
        trainer = trainer.callback(EarlyStopping::new(score, options.patience));
    }
    if valid.is_some() && !plan.classes.is_empty() {
        trainer = trainer.metric(Accuracy::new());
    }
    let stage = Stage { name, epochs, steps_per_epoch, later, model, valid, keeps_best };
    trainer = trainer.callback(Teller::new(watch, stage));
    if options.quiet {
        trainer = trainer.silent();
    }
    if let Some(ranks) = ranks {
        trainer = trainer.distributed(ranks);
    }
    if goes_on {
        trainer = match trainer.resume(place.join(LAST)) {
            Err(error) if !matches!(error, Error::File { .. }) => return Err(wrong_checkpoint(&error)),
            resumed => resumed?,
        };
    }
    let valid = valid.map(|valid| (valid.inputs.clone(), valid.targets.clone()));
    let fitted = match &valid {
        Some(valid) => trainer.fit(&loader, Some(valid)),
        None => trainer.fit(&loader, None),
    };
    match fitted {
        Err(error @ Error::Argument { op: "DataLoader" | "fit", .. }) if goes_on => {
            Err(wrong_checkpoint(&error))
        }
        Err(Error::Interrupted { step, .. }) if !trainer.history().is_empty() => {
            Ok((trainer.history().clone(), Some(step)))
        }
        Err(error @ Error::Interrupted { .. }) => Err(error.into()),
        // The loss of the last step may be that of the weights before it.
        done if !is_finite(net, &train.inputs)? => {
            let why = done.err().map_or(String::new(), |error| format!(" ({error})"));
            fail(format!(
                "the training reached values that are not finite: try a --learning-rate below {rate}{why}"
            ))
        }
        done => Ok((done?, None)),
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
fn about(options: &Train, done: &Done, train: &Scores, valid: &Scores) -> Vec<(String, String)> {
    let main = done.main();
    let mut about: Vec<(String, String)> = vec![
        ("trained on".into(), options.data.display().to_string()),
        ("examples".into(), done.examples().to_string()),
    ];
    let scores = train.metrics("training").into_iter().chain(valid.metrics("validation"));
    // With more digits than are shown, which are rounded once.
    let rounded = |score: f64| {
        format!("{score:.5e}").parse::<f64>().expect("Rust reads the numbers that it writes").to_string()
    };
    about.extend(scores.map(|(name, score)| (name, rounded(score))));
    about.push(("epochs done".into(), main.history.len().to_string()));
    about.extend(main.history.settings().iter().map(|(name, value)| {
        let name = if name == "epochs" { "epochs at most" } else { name };
        // The options of the loss are all at their defaults.
        let value = if name == "loss" { value.split(" {").next().unwrap_or(value) } else { value };
        (name.to_string(), value.to_string())
    }));
    match done.folds {
        1 => about.push(("validation share".into(), options.valid.unwrap_or(VALID).to_string())),
        folds => about.push(("folds".into(), folds.to_string())),
    }
    if main.model.temperature != 1.0 {
        about.push(("temperature".into(), digits(main.model.temperature)));
    }
    match (options.keep, options.score) {
        (Keep::Last, _) => about.push(("epoch kept".into(), "the last".into())),
        (Keep::Best, score) => {
            let score = if score == Score::Loss { "loss" } else { "accuracy" };
            about.push(("patience".into(), options.patience.to_string()));
            let of = if done.folds > 1 { "of the folds' mean validation" } else { "validation" };
            about.push(("epoch kept".into(), format!("the best {of} {score}")));
        }
    }
    if options.images.flip {
        about.push(("mirror images".into(), "yes".into()));
    }
    about
}

/// Quotes a path for a shell.
pub(super) fn shell(path: &Path) -> String {
    let text = path.display().to_string();
    let plain = |c: char| c.is_alphanumeric() || "/._-+=:,@".contains(c);
    if text.chars().all(plain) { text } else { format!("'{}'", text.replace('\'', r"'\''")) }
}
