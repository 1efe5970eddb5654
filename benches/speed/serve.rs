//! `--serve`: the job names on one line each, then a blank line; after that an answer for each line of the input.
//!
//! `JOB` runs one sample and answers microseconds a run; `check JOB` answers a number that every peer must give too;
//! `drop JOB` frees what the job holds. A job that fails answers `error: …`.

use std::collections::HashMap;
use std::io::{Write, stdin, stdout};
use std::time::Duration;

use crate::job::{Job, Outcome, Timer, names};

/// How long a sample lasts at least.
const SAMPLE: Duration = Duration::from_millis(2);

pub(crate) type Maker = fn(&str) -> Outcome<Option<Box<dyn Job>>>;

/// Serves the jobs that `make` knows: all but those with one of the words `without` in their names.
pub(crate) fn serve(make: Maker, without: &[&str]) -> Outcome<()> {
    let offered = |name: &str| !without.iter().any(|word| name.contains(word));
    for name in names().filter(|name| offered(name)) {
        println!("{name}");
    }
    println!();
    stdout().flush()?;
    let mut timers = HashMap::new();
    for line in stdin().lines() {
        match answer(make, &mut timers, line?.trim()) {
            Ok(number) => println!("{number}"),
            Err(error) => println!("error: {}", error.to_string().replace('\n', " ")),
        }
        stdout().flush()?;
    }
    Ok(())
}

fn answer(make: Maker, timers: &mut HashMap<String, Timer>, line: &str) -> Outcome<f64> {
    if let Some(name) = line.strip_prefix("drop ") {
        timers.remove(name);
        return Ok(0.0);
    }
    let known = |name: &str| make(name)?.ok_or_else(|| format!("no job {name}").into());
    if let Some(name) = line.strip_prefix("check ") {
        let job: Outcome<Box<dyn Job>> = known(name);
        return job?.check();
    }
    if !timers.contains_key(line) {
        timers.insert(line.into(), Timer::new(known(line)?, SAMPLE)?);
    }
    timers.get_mut(line).ok_or("the job is gone")?.sample()
}
