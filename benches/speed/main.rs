//! Tealight against candle-nn, job by job: a Markdown table. See benches/README.md.
//!
//! Both sides take turns, sample by sample, so that whatever else the machine does falls on both. The ratio of the
//! medians is the figure that counts.

mod candle;
mod job;
mod memory;
mod ours;
mod serve;

use std::time::Duration;

use job::{Outcome, Timer};

/// How long one sample lasts at least, so that the clock's own cost does not count.
const SAMPLE: Duration = Duration::from_micros(500);
const SAMPLES: usize = 101;
/// Of jobs that take longer than 10 ms.
const FEW_SAMPLES: usize = 15;

fn main() -> Outcome<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    if let ["--memory", job, how] = arguments[..] {
        return memory::print(job, how);
    }
    tealight::memory::keep_freed(512 << 20);
    match arguments[..] {
        ["--memory", job, how, "keep"] => memory::print(job, how)?,
        ["--iris", "candle"] => println!("{}", candle::iris()?),
        ["--iris", ..] => println!("{}", ours::iris()?),
        _ if arguments.contains(&"--serve") => serve::serve(ours::make, &[])?,
        _ => {
            let filters: Vec<&str> =
                arguments.iter().copied().filter(|word| !word.starts_with('-')).collect();
            // `cargo test --benches` comes without this argument, and only wants to see that everything runs.
            table(&filters, arguments.contains(&"--bench"))?;
        }
    }
    Ok(())
}

/// Rows of the jobs whose names contain one of `filters`.
fn table(filters: &[&str], measure: bool) -> Outcome<()> {
    println!(
        "| job | ours µs | candle-nn µs | candle-nn / ours | least: ours µs | candle-nn µs | candle-nn / ours |"
    );
    println!("|---|---|---|---|---|---|---|");
    for name in job::names() {
        let wanted = filters.is_empty() || filters.iter().any(|filter| name.contains(filter));
        if !wanted || (!measure && name.ends_with("/10000000")) {
            continue;
        }
        let (Some(ours), Some(theirs)) = (ours::make(name)?, candle::make(name)?) else { continue };
        let [ours, theirs] = if measure { compare([ours, theirs])? } else { [once(ours)?, once(theirs)?] };
        let (middle, least) = ((median(&ours), median(&theirs)), (ours[0], theirs[0]));
        println!(
            "| {name} | {:.2} | {:.2} | {:.2} | {:.2} | {:.2} | {:.2} |",
            middle.0,
            middle.1,
            middle.1 / middle.0,
            least.0,
            least.1,
            least.1 / least.0
        );
    }
    Ok(())
}

fn once(job: Box<dyn job::Job>) -> Outcome<Vec<f64>> {
    Ok(vec![Timer { job, repeats: 1 }.sample()?])
}

/// Microseconds a run of each job, measured in turns and sorted.
fn compare([a, b]: [Box<dyn job::Job>; 2]) -> Outcome<[Vec<f64>; 2]> {
    let mut timers = [Timer::new(a, SAMPLE)?, Timer::new(b, SAMPLE)?];
    let mut microseconds = [vec![], vec![]];
    let mut longest: f64 = 0.0;
    for timer in &mut timers {
        longest = longest.max(timer.sample()?);
    }
    let samples = if longest > 10_000.0 { FEW_SAMPLES } else { SAMPLES };
    for round in 0..samples {
        // Each goes first every other time.
        for i in if round % 2 == 0 { [0, 1] } else { [1, 0] } {
            microseconds[i].push(timers[i].sample()?);
        }
    }
    Ok(microseconds.map(|mut all| {
        all.sort_by(f64::total_cmp);
        all
    }))
}

fn median(sorted: &[f64]) -> f64 {
    sorted[sorted.len() / 2]
}
