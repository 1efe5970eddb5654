//! What a job is, which jobs there are, and the numbers they start from. The peers in benches/peers share this file.

use std::error::Error;
use std::hint::black_box;
use std::time::{Duration, Instant};

pub(crate) type Outcome<T> = Result<T, Box<dyn Error>>;

/// What is computed, and the size; [`STEPS`] has more.
const JOBS: &[&str] = &[
    "sigmoid/1000",
    "sigmoid/100000",
    "sigmoid/1000000",
    "sigmoid-grad/1000",
    "sigmoid-grad/100000",
    "sigmoid-grad/1000000",
    "sigmoid-grad/10000000",
    "softmax-grad/64x10",
    "softmax-grad/1024x1000",
    "softmax-grad/128x32768",
    "normalize-rows-grad/209x12288",
    "normalize-rows-grad/4096x512",
    "l1-grad/1000",
    "l1-grad/1000000",
    "l2-grad/1000",
    "l2-grad/1000000",
    "cross-entropy-grad/64x10",
    "cross-entropy-grad/1024x1000",
    "dot/1000000",
    "outer/1000x1000",
    "matvec/1000x1000",
    "logistic-sgd/209x12288",
    "mlp-sgd/64x784",
    "mlp-adamw/64x784",
    "cnn-sgd/64x28x28",
    "tiny-mlp-sgd/16x4",
    "sgemm/1024x1024",
    "iris-process/150x4",
    "sigmoid-f64/1000",
    "sigmoid-f64/100000",
    "sigmoid-f64/1000000",
    "sigmoid-grad-f64/1000",
    "sigmoid-grad-f64/1000000",
    "softmax-grad-f64/64x10",
    "softmax-grad-f64/1024x1000",
    "normalize-rows-grad-f64/209x12288",
    "normalize-rows-grad-f64/4096x512",
    "l1-grad-f64/1000",
    "l1-grad-f64/1000000",
    "l2-grad-f64/1000",
    "l2-grad-f64/1000000",
    "replayed-l1-grad/1000",
    "replayed-l2-grad/1000",
];

const STEPS: &str = include_str!("steps.txt");

/// The names of all jobs: of the list, and of the steps of training.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    JOBS.iter().copied().chain(steps().map(|(name, _)| name))
}

fn steps() -> impl Iterator<Item = (&'static str, &'static str)> {
    STEPS.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.split_once(": "))
}

/// A step of training on one batch, from `steps.txt`.
pub(crate) struct Step {
    pub(crate) dims: Vec<usize>,
    pub(crate) layers: Vec<Block>,
    pub(crate) target: Target,
    pub(crate) adamw: bool,
    pub(crate) rate: f64,
}

/// A layer, its sizes, and the layers in it.
pub(crate) struct Block {
    pub(crate) kind: &'static str,
    pub(crate) sizes: Vec<usize>,
    pub(crate) inner: Vec<Block>,
}

/// What a loss compares the scores with, which says what loss it is.
#[derive(Debug)]
pub(crate) enum Target {
    /// Cross-entropy with as many classes.
    Classes(usize),
    /// Binary cross-entropy of logits.
    Binary,
    /// The mean square of the difference from a wave.
    Wave(Vec<usize>),
    /// The mean square of the difference from the input.
    Input,
}

impl Step {
    /// The step with this name, if there is one.
    pub(crate) fn of(name: &str) -> Outcome<Option<Step>> {
        let Some((_, text)) = steps().find(|(step, _)| *step == name) else { return Ok(None) };
        let [layers, loss, optimizer] = text.split("; ").collect::<Vec<_>>()[..] else {
            return Err("a step is written LAYERS; LOSS; OPTIMIZER RATE".into());
        };
        let (loss, sizes) = words(loss)?;
        let target = match (loss, &sizes[..]) {
            ("entropy", &[count]) => Target::Classes(count),
            ("binary", []) => Target::Binary,
            ("mse", []) => Target::Input,
            ("mse", _) => Target::Wave(sizes),
            _ => return Err(format!("no loss {loss}").into()),
        };
        let (optimizer, rate) = optimizer.split_once(' ').ok_or("an optimizer has a rate")?;
        let layers = blocks(&mut layers.split(", "), usize::MAX)?;
        let adamw = match optimizer {
            "adamw" => true,
            "sgd" => false,
            _ => return Err(format!("no optimizer {optimizer}").into()),
        };
        Ok(Some(Step { dims: Spec::of(name)?.dims, layers, target, adamw, rate: rate.parse()? }))
    }

    /// The numbers of the input; those of an embedding are indices.
    ///
    /// Their frequency rises: of a plain wave a pool has two largest numbers but for rounding, and the gradient goes either way.
    pub(crate) fn input(&self) -> Input {
        let count: usize = self.dims.iter().product();
        match &self.layers[0] {
            Block { kind: "embedding", sizes, .. } => Input::Indices(classes(count, sizes[0])),
            _ => Input::Numbers(
                (0..count).map(|i| i as f64).map(|i| (INPUT * i + 1e-3 * i * i).sin()).collect(),
            ),
        }
    }
}

pub(crate) enum Input {
    Numbers(Vec<f64>),
    Indices(Vec<u32>),
}

fn words(text: &'static str) -> Outcome<(&'static str, Vec<usize>)> {
    let mut words = text.split(' ');
    Ok((words.next().unwrap_or_default(), words.map(str::parse).collect::<Result<_, _>>()?))
}

/// The next `count` layers, or all.
fn blocks(texts: &mut dyn Iterator<Item = &'static str>, count: usize) -> Outcome<Vec<Block>> {
    let mut made = Vec::new();
    while made.len() < count
        && let Some(text) = texts.next()
    {
        let (kind, sizes) = words(text)?;
        let inner = match kind {
            "residual" | "oscillation" => blocks(texts, sizes[0])?,
            _ => Vec::new(),
        };
        made.push(Block { kind, sizes, inner });
    }
    Ok(made)
}

/// How many times the training of `iris-process` steps, and how far.
pub(crate) const IRIS_STEPS: usize = 1000;
pub(crate) const IRIS_RATE: f64 = 0.1;

/// A job's name, taken apart.
pub(crate) struct Spec<'a> {
    pub(crate) kind: &'a str,
    /// For us; the others do the same as without it.
    pub(crate) replayed: bool,
    pub(crate) double: bool,
    pub(crate) dims: Vec<usize>,
}

impl<'a> Spec<'a> {
    pub(crate) fn of(name: &'a str) -> Outcome<Self> {
        let (kind, dims) = name.split_once('/').ok_or("a job is written kind/size")?;
        let dims = dims.split('x').map(str::parse).collect::<Result<_, _>>()?;
        let single = kind.strip_suffix("-f64");
        let kind = single.unwrap_or(kind);
        let eager = kind.strip_prefix("replayed-");
        Ok(Spec { kind: eager.unwrap_or(kind), replayed: eager.is_some(), double: single.is_some(), dims })
    }

    pub(crate) fn count(&self) -> usize {
        self.dims.iter().product()
    }
}

/// The frequencies of the numbers: inputs, second operands and targets, learned weights.
pub(crate) const INPUT: f64 = 0.37;
pub(crate) const OTHER: f64 = 0.53;
pub(crate) const WEIGHT: f64 = 0.91;

/// scale · sin(frequency · i): the same numbers in every language.
pub(crate) fn wave(count: usize, frequency: f64, scale: f64) -> Vec<f64> {
    (0..count).map(|i| scale * (frequency * i as f64).sin()).collect()
}

/// What a learned array of this shape starts from: a vector (a bias) from zeros.
pub(crate) fn start(dims: &[usize]) -> Vec<f64> {
    let inputs: usize = dims[1..].iter().product();
    let scale = if dims.len() > 1 { 1.0 / (inputs as f64).sqrt() } else { 0.0 };
    wave(dims.iter().product(), WEIGHT, scale)
}

/// The right class of each row.
pub(crate) fn classes(rows: usize, classes: usize) -> Vec<u32> {
    (0..rows).map(|i| (7 * i % classes) as u32).collect()
}

/// Something to time, and to check against the others.
pub(crate) trait Job {
    fn run(&mut self, times: usize) -> Outcome<()>;

    /// The sum of the absolute values of what the fourth run gives: by then a wrong step shows in the loss.
    fn check(&mut self) -> Outcome<f64>;
}

/// What a run gives.
pub(crate) trait Total {
    fn total(&self) -> Outcome<f64>;
}

impl Total for f64 {
    fn total(&self) -> Outcome<f64> {
        Ok(*self)
    }
}

struct Repeat<F>(F);

impl<F, T, E> Job for Repeat<F>
where
    F: FnMut() -> Result<T, E>,
    T: Total,
    E: Into<Box<dyn Error>>,
{
    fn run(&mut self, times: usize) -> Outcome<()> {
        for _ in 0..times {
            black_box((self.0)().map_err(Into::into)?);
        }
        Ok(())
    }

    fn check(&mut self) -> Outcome<f64> {
        self.run(3)?;
        (self.0)().map_err(Into::into)?.total()
    }
}

/// The job that does `f`.
pub(crate) fn job<F, T, E>(f: F) -> Box<dyn Job>
where
    F: FnMut() -> Result<T, E> + 'static,
    T: Total + 'static,
    E: Into<Box<dyn Error>> + 'static,
{
    Box::new(Repeat(f))
}

/// The job that runs this program once more, with these arguments; it prints its last loss.
pub(crate) fn process(arguments: &'static [&'static str]) -> Box<dyn Job> {
    job(move || -> Outcome<f64> {
        let output = std::process::Command::new(std::env::current_exe()?).args(arguments).output()?;
        if !output.status.success() {
            return Err(format!("the process failed: {}", String::from_utf8_lossy(&output.stderr)).into());
        }
        Ok(String::from_utf8_lossy(&output.stdout).trim().parse()?)
    })
}

/// A job, and how often it runs in one sample.
pub(crate) struct Timer {
    pub(crate) job: Box<dyn Job>,
    pub(crate) repeats: usize,
}

impl Timer {
    /// With as many repeats as make a sample last at least `sample`.
    pub(crate) fn new(job: Box<dyn Job>, sample: Duration) -> Outcome<Self> {
        let mut timer = Timer { job, repeats: 1 };
        timer.sample()?; // the first run warms up
        loop {
            let took = timer.sample()? * timer.repeats as f64;
            if took >= 1e6 * sample.as_secs_f64() {
                return Ok(timer);
            }
            timer.repeats *= 2;
        }
    }

    /// Microseconds a run.
    pub(crate) fn sample(&mut self) -> Outcome<f64> {
        let start = Instant::now();
        self.job.run(self.repeats)?;
        Ok(1e6 * start.elapsed().as_secs_f64() / self.repeats as f64)
    }
}
