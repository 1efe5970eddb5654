//! Long trainings: the memory that a step takes is given back.
#![cfg(target_os = "linux")] // where /proc says how much memory is resident
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a test fails by panicking

use tealight::data::{DataLoader, from_fn};
use tealight::layer::{Lstm, RnnOptions};
use tealight::prelude::*;
use tealight::train::Trainer;

/// What may come and go: buffers that are kept for the next step, and pages of the allocator.
const SLACK: usize = 4 << 20;

/// The resident memory in bytes.
fn resident() -> usize {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap();
    pages.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
}

/// Trains for the last of these numbers of steps, and asserts that from the first on the memory stays.
fn train(name: &str, model: &dyn Layer, example: &[usize], target: &[usize], steps: &[u64]) {
    let last = *steps.last().unwrap();
    let (example, target) = (example.to_vec(), target.to_vec());
    let data = from_fn(4 * last as usize, move |i| {
        let rng = &mut Rng::seed(i as u64);
        Ok((Tensor::randn(0_f32, 1.0, &example[..], rng)?, Tensor::randn(0_f32, 1.0, &target[..], rng)?))
    });
    let (mut measured, mut steps) = (vec![], steps.iter().peekable());
    let mut trainer = Trainer::new(model, Mse, Adam::new(model.parameters(), 1e-3).unwrap())
        .clip_grad_norm(1.0)
        .silent()
        .on_step_end(|run| {
            if steps.next_if_eq(&&run.step).is_some() {
                measured.push((run.step, resident()));
            }
            Ok(())
        });
    let history = trainer.fit(&DataLoader::new(&data, 4).unwrap(), None).unwrap();
    drop(trainer);
    assert!(history.last("loss").unwrap().is_finite());
    println!(
        "{name}: resident after each number of steps, in KiB: {:?}",
        measured.iter().map(|(n, m)| (n, m >> 10)).collect::<Vec<_>>()
    );
    let first = measured[0].1;
    for (step, now) in measured {
        assert!(now <= first + SLACK, "{name}: {first} bytes at first, {now} after {step} steps");
    }
}

/// One after the other: what is measured is the process.
fn both(steps: &[u64]) {
    let rng = &mut Rng::seed(1);
    let mlp = Sequential::new()
        .push(Linear::new(8, 16, rng).unwrap())
        .push(Tanh)
        .push(Linear::new(16, 1, rng).unwrap());
    train("MLP", &mlp, &[8], &[1], steps);
    let lstm = Sequential::new()
        .push(Lstm::new(3, 6, RnnOptions::new(), rng).unwrap())
        .push(Linear::new(6, 1, rng).unwrap());
    train("LSTM", &lstm, &[5, 3], &[5, 1], steps);
}

#[test]
fn short() {
    both(&[500, 1_000, 2_000]);
}

#[test]
#[ignore = "100,000 steps of each: for the release profile"]
fn long() {
    both(&[1_000, 10_000, 100_000]);
}
