//! A training that is killed and taken up again ends with the same bits, whatever it was doing; and so does one with another
//! number of threads.
//!
//! The trainings run in processes of their own: this test program, started again with a variable that says where to train.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a test fails by panicking

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tealight::data::DataLoader;
use tealight::data::TensorDataset;
use tealight::io;
use tealight::layer::{BatchNorm1d, Dropout};
use tealight::optim::schedule::CosineAnnealingLr;
use tealight::prelude::*;
use tealight::train::{Checkpoints, EarlyStopping, Trainer};

const PLACE: &str = "TEALIGHT_TEST_TRAIN_IN";
const SLOW: &str = "TEALIGHT_TEST_TRAIN_SLOWLY_IN";
const AFTER: &str = "TEALIGHT_TEST_WAIT_AFTER_TRAINING_IN";
const EPOCHS: u64 = 16;
/// The exit code of a training that was interrupted.
const INTERRUPTED: i32 = 130;

/// Trains in this directory, from the last checkpoint if there is one, and writes the weights when all is done.
fn train(directory: &Path) -> Result<()> {
    let rng = &mut Rng::seed(1);
    let x = Tensor::randn(0_f32, 1.0, (200, 16), rng)?;
    let y = x.narrow(1, 0, 4)?.sum_keepdim(1)?.gt(0.0)?.to_dtype(DType::F32)?;
    let part = |start, len| TensorDataset::new(&x.narrow(0, start, len)?, &y.narrow(0, start, len)?);
    let model = Sequential::new()
        .push(Linear::new(16, 64, rng)?)
        .push(BatchNorm1d::new(64)?)
        .push(Relu)
        .push(Dropout::new(0.2)?)
        .push(Linear::new(64, 1, rng)?);
    let noise = |x: &Tensor, rng: &mut Rng| x + Tensor::randn(0_f32, 0.1, x.dims(), rng)?;
    let examples = DataLoader::new(&part(0, 160)?, 10)?.shuffle(2).augment(noise, 3).num_workers(2);
    let mut trainer = Trainer::new(&model, BceWithLogits, Adam::new(model.parameters(), 0.01)?)
        .epochs(EPOCHS)
        .accumulate(2)
        .clip_grad_norm(1.0)
        .schedule(CosineAnnealingLr::new(8 * EPOCHS as usize)?)
        .silent()
        .callback(EarlyStopping::new("valid_loss", 1000))
        .callback(Checkpoints::new(directory)?.every_steps(1).best("valid_loss"));
    let last = directory.join("last.safetensors");
    if last.exists() {
        trainer = trainer.resume(last)?;
    }
    let history = trainer.fit(&examples, Some(&part(160, 40)?))?;
    drop(trainer);
    if history.len() < EPOCHS as usize {
        return Ok(());
    }
    let mut state: std::collections::BTreeMap<_, _> =
        model.state_dict().into_iter().map(|(name, held)| (name, held.get())).collect();
    for name in ["loss", "valid_loss"] {
        let curve: Vec<f64> = history.curve(name).into_iter().map(|(_, score)| score).collect();
        state.insert(format!("history.{name}"), Tensor::new(&curve[..], &Device::Cpu)?);
    }
    io::write(directory.join("done.safetensors"), &state)
}

/// What the other processes run; nothing, where the tests are run.
#[test]
fn child() {
    let Some(directory) = std::env::var_os(PLACE) else { return };
    match train(Path::new(&directory)) {
        Err(Error::Interrupted { step, saved }) => {
            assert!(step > 0 && saved.ends_with("last.safetensors"));
            std::process::exit(INTERRUPTED);
        }
        trained => trained.unwrap(),
    }
}

/// Training with a batch that takes for ever, after it has told so by a file.
#[test]
fn slow_child() {
    let Some(directory) = std::env::var_os(SLOW).map(std::path::PathBuf::from) else { return };
    let number = Tensor::ones(1, DType::F32, &Device::Cpu).unwrap();
    let place = directory.clone();
    let slow = tealight::data::from_fn(8, move |i| {
        if i == 5 {
            std::fs::write(place.join("slow"), "").unwrap();
            std::thread::sleep(Duration::from_secs(60));
        }
        Ok((number.clone(), number.clone()))
    });
    let model = Linear::new(1, 1, &mut Rng::seed(1)).unwrap();
    let mut trainer = Trainer::new(&model, Mse, Sgd::new(model.parameters(), 0.1).unwrap())
        .callback(Checkpoints::new(&directory).unwrap())
        .silent();
    let fitted = trainer.fit(&DataLoader::new(&slow, 2).unwrap(), None);
    panic!("the batch that takes for ever: {fitted:?}");
}

/// What waits when the training is done, for a signal that is to end it.
#[test]
fn child_after_training() {
    let Some(directory) = std::env::var_os(AFTER).map(std::path::PathBuf::from) else { return };
    train(&directory).unwrap();
    std::fs::write(directory.join("after"), "").unwrap();
    std::thread::sleep(Duration::from_secs(60));
}

fn start(directory: &Path, threads: usize) -> Child {
    start_test("child", PLACE, directory, threads)
}

fn start_test(name: &str, place: &str, directory: &Path, threads: usize) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", name])
        .env(place, directory)
        .env("RAYON_NUM_THREADS", threads.to_string())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// The weights and the history at the end.
fn done(directory: &Path) -> Vec<u8> {
    std::fs::read(directory.join("done.safetensors")).unwrap()
}

#[test]
fn killed_at_any_moment() {
    let whole = tempfile::tempdir().unwrap();
    let started = Instant::now();
    assert!(start(whole.path(), 1).wait().unwrap().success());
    let long = started.elapsed();
    let expected = done(whole.path());
    let two = tempfile::tempdir().unwrap();
    assert!(start(two.path(), 2).wait().unwrap().success());
    assert_eq!(done(two.path()), expected, "two threads");

    let rng = &mut Rng::seed(u64::from(std::process::id()));
    let (mut kills, mut finished) = (0, 0);
    while kills < 20 || finished == 0 {
        let directory = tempfile::tempdir().unwrap();
        // About six kills a training.
        loop {
            let mut child = start(directory.path(), 1 + kills % 2);
            if kills < 20 {
                std::thread::sleep(Duration::from_secs_f64(long.as_secs_f64() * rng.uniform() / 3.0));
                child.kill().unwrap();
            }
            let status = child.wait().unwrap();
            if status.success() {
                break;
            }
            // Anything else than a kill has a code.
            assert_eq!(status.code(), None, "the training failed");
            kills += 1;
        }
        assert_eq!(done(directory.path()), expected, "after {kills} kills");
        finished += 1;
    }
    println!("{kills} kills, {finished} trainings of {long:?}");
}

/// What Ctrl-C does, on systems that have signals.
#[cfg(all(unix, feature = "interrupt"))]
mod interrupts {
    use std::os::unix::process::ExitStatusExt;

    use super::*;

    const SIGINT: i32 = 2;

    fn interrupt(child: &Child) {
        let sent = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
        assert!(sent.success());
    }

    fn wait_for(file: &Path) {
        let started = Instant::now();
        while !file.exists() {
            assert!(started.elapsed() < Duration::from_secs(300), "{} never came", file.display());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    #[test]
    fn a_training_is_saved_and_goes_on() {
        let whole = tempfile::tempdir().unwrap();
        let started = Instant::now();
        assert!(start(whole.path(), 1).wait().unwrap().success());
        let long = started.elapsed();
        let rng = &mut Rng::seed(u64::from(std::process::id()));
        let mut saved = 0;
        while saved < 3 {
            let directory = tempfile::tempdir().unwrap();
            loop {
                let mut child = start(directory.path(), 1);
                std::thread::sleep(Duration::from_secs_f64(long.as_secs_f64() * rng.uniform()));
                // It may have ended by itself.
                let _ = Command::new("kill").args(["-INT", &child.id().to_string()]).status();
                let status = child.wait().unwrap();
                match status.code() {
                    Some(0) => break,
                    Some(INTERRUPTED) => saved += 1,
                    // Before the training or after it, Ctrl-C ends the program as ever.
                    _ => assert_eq!(status.signal(), Some(SIGINT)),
                }
            }
            assert_eq!(done(directory.path()), done(whole.path()));
        }
    }

    #[test]
    fn a_second_one_ends_the_program_at_once() {
        let directory = tempfile::tempdir().unwrap();
        let mut child = start_test("slow_child", SLOW, directory.path(), 1);
        wait_for(&directory.path().join("slow"));
        interrupt(&child);
        std::thread::sleep(Duration::from_millis(100));
        assert!(child.try_wait().unwrap().is_none(), "the first one ended it");
        interrupt(&child);
        assert_eq!(child.wait().unwrap().signal(), Some(SIGINT));
    }

    #[test]
    fn after_a_training_it_ends_the_program() {
        let directory = tempfile::tempdir().unwrap();
        let mut child = start_test("child_after_training", AFTER, directory.path(), 1);
        wait_for(&directory.path().join("after"));
        interrupt(&child);
        assert_eq!(child.wait().unwrap().signal(), Some(SIGINT));
    }
}
