//! `--memory JOB replayed|eager [keep]`: the resident size of a step of training, in a process of its own. See ../memory.sh.

use std::fs::{read_to_string, write};

use crate::job::Outcome;
use crate::ours;

/// Steps of which the first is recorded, and the second run both ways.
const FIRST: usize = 3;
const STEPS: usize = 50;

/// A line of what Linux says of this process, in bytes.
fn bytes(name: &str) -> Outcome<f64> {
    let status = read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix(name)).ok_or("no such line")?;
    let number: f64 = line.trim_start_matches(':').trim().trim_end_matches(" kB").parse()?;
    Ok(1024.0 * number)
}

/// Makes the present size the largest one so far.
fn reset() -> Outcome<()> {
    Ok(write("/proc/self/clear_refs", "5")?)
}

/// Prints, in megabytes: the largest resident size above that of the model in the first steps and in later ones, and the latter without the pages of
/// the program's file, which are read as they are needed.
pub(crate) fn print(name: &str, how: &str) -> Outcome<()> {
    let mut job = ours::step(name, how == "eager")?.ok_or("not a step of training")?;
    let (before, own) = (bytes("VmRSS")?, bytes("RssAnon")?);
    let mut most = |steps: usize| -> Outcome<f64> {
        reset()?;
        job.run(steps)?;
        bytes("VmHWM")
    };
    let (first, later) = (most(FIRST)? - before, most(STEPS)?);
    let data = later - bytes("RssFile")? - bytes("RssShmem")? - own;
    println!("{:.1} {:.1} {:.1}", first / 1e6, (later - before) / 1e6, data / 1e6);
    Ok(())
}
