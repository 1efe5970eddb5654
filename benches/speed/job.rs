//! What a job is, which jobs there are, and the numbers they start from. The peers in benches/peers share this file.

use std::error::Error;
use std::hint::black_box;
use std::time::{Duration, Instant};

pub(crate) type Outcome<T> = Result<T, Box<dyn Error>>;

/// Every job: what is computed, and the size.
pub(crate) const JOBS: &[&str] = &[
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
];

/// How many times the training of `iris-process` steps, and how far.
pub(crate) const IRIS_STEPS: usize = 1000;
pub(crate) const IRIS_RATE: f64 = 0.1;

/// A job's name, taken apart.
pub(crate) struct Spec<'a> {
    pub(crate) kind: &'a str,
    pub(crate) double: bool,
    pub(crate) dims: Vec<usize>,
}

impl<'a> Spec<'a> {
    pub(crate) fn of(name: &'a str) -> Outcome<Self> {
        let (kind, dims) = name.split_once('/').ok_or("a job is written kind/size")?;
        let dims = dims.split('x').map(str::parse).collect::<Result<_, _>>()?;
        let single = kind.strip_suffix("-f64");
        Ok(Spec { kind: single.unwrap_or(kind), double: single.is_some(), dims })
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
