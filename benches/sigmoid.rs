//! The sigmoid against candle-nn's, forward and backward: a Markdown table of medians. See benches/README.md.
//!
//! Both sides take turns, sample by sample, so that whatever else the machine does falls on both. The ratio of the
//! medians is the figure that counts.

use std::hint::black_box;
use std::time::{Duration, Instant};

use candle_core::Var;
use tealight::prelude::*;

/// How long one sample lasts at least, so that the clock's own cost does not count.
const SAMPLE: Duration = Duration::from_micros(200);
const SAMPLES: usize = 301;

type Job<'a> = Box<dyn FnMut() -> Result<()> + 'a>;

fn time(job: &mut Job, times: usize) -> Result<Duration> {
    let start = Instant::now();
    for _ in 0..times {
        job()?;
    }
    Ok(start.elapsed())
}

/// How often the job runs within a sample.
fn times(job: &mut Job) -> Result<usize> {
    let mut times = 1;
    while time(job, times)? < SAMPLE {
        times *= 2;
    }
    Ok(times)
}

fn median(mut seconds: Vec<f64>) -> f64 {
    seconds.sort_by(f64::total_cmp);
    seconds[seconds.len() / 2]
}

/// Microseconds of each job, measured in turns.
fn compare(jobs: &mut [Job; 2], samples: usize) -> Result<[f64; 2]> {
    let [a, b] = jobs;
    let repeats = [times(a)?, times(b)?];
    let mut seconds = [vec![], vec![]];
    for round in 0..samples {
        // Each goes first every other time.
        for i in if round % 2 == 0 { [0, 1] } else { [1, 0] } {
            let took = time(&mut jobs[i], repeats[i])?;
            seconds[i].push(1e6 * took.as_secs_f64() / repeats[i] as f64);
        }
    }
    Ok(seconds.map(median))
}

fn main() -> Result<()> {
    // `cargo test --benches` comes without this argument, and only wants to see that everything runs.
    let samples = if std::env::args().any(|arg| arg == "--bench") { SAMPLES } else { 1 };
    println!("| job | ours µs | candle-nn µs | candle-nn / ours |");
    println!("|---|---|---|---|");
    for n in [1_000, 100_000, 1_000_000] {
        let numbers = Tensor::randn(0.0_f32, 3.0, n, &mut Rng::seed(1))?.into_array();
        let (x, theirs) = (Tensor::constant(numbers.clone()), numbers.clone());
        let mut forward: [Job; 2] = [
            Box::new(|| {
                black_box(x.sigmoid()?);
                Ok(())
            }),
            Box::new(|| {
                black_box(candle_nn::ops::sigmoid(&theirs)?);
                Ok(())
            }),
        ];
        row(&format!("forward, {n}"), compare(&mut forward, samples)?);

        let (x, theirs) = (Tensor::parameter(numbers.clone()), Var::from_tensor(&numbers)?);
        let mut both: [Job; 2] = [
            Box::new(|| {
                black_box(x.sigmoid()?.sum_all()?.backward()?);
                Ok(())
            }),
            Box::new(|| {
                black_box(candle_nn::ops::sigmoid(&theirs)?.sum_all()?.backward()?);
                Ok(())
            }),
        ];
        row(&format!("forward and backward, {n}"), compare(&mut both, samples)?);
    }
    Ok(())
}

fn row(job: &str, [ours, theirs]: [f64; 2]) {
    println!("| {job} | {ours:.2} | {theirs:.2} | {:.2} |", theirs / ours);
}
