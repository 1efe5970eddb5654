//! [`OnCtrlC`]: Ctrl-C ends a training with a checkpoint.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use super::callback::{Callback, Run};
use crate::error::{Error, Result};

/// How many trainings wait for Ctrl-C.
static WAITING: AtomicUsize = AtomicUsize::new(0);
static PRESSED: AtomicBool = AtomicBool::new(false);

/// What a program exits with that Ctrl-C ended.
const EXIT: i32 = 130;

/// Ctrl-C lets a training finish its step, write a checkpoint and stop; [`Trainer::fit`](super::Trainer::fit) returns
/// what was trained until then. Pressed a second time, or when no training runs, Ctrl-C ends the program as ever.
///
/// ```
/// use tealight::prelude::*;
/// use tealight::train::{OnCtrlC, Trainer};
/// let x = Tensor::ones((8, 2), DType::F32, &Device::Cpu)?;
/// let model = Linear::new(2, 1, &mut Rng::seed(1))?;
/// let mut trainer = Trainer::new(&model, Mean(L2), Sgd::new(model.parameters(), 0.1)?)
///     .silent()
///     .callback(OnCtrlC::save("interrupted.safetensors")?);
/// trainer.fit(&(x.clone(), x.sum_keepdim(1)?), None)?;
/// # Ok::<(), tealight::Error>(())
/// ```
#[derive(Debug)]
pub struct OnCtrlC {
    path: PathBuf,
    pressed: bool,
    waiting: bool,
}

impl OnCtrlC {
    /// Writes the checkpoint to this file: [`Trainer::resume`](super::Trainer::resume) goes on from it. From now on the
    /// program listens to Ctrl-C.
    ///
    /// # Errors
    /// Something else in the program listens to it already.
    pub fn save(path: impl AsRef<Path>) -> Result<Self> {
        listen()?;
        Ok(OnCtrlC { path: path.as_ref().into(), pressed: false, waiting: false })
    }

    /// Whether Ctrl-C was pressed during the training.
    pub fn pressed(&self) -> bool {
        self.pressed
    }

    fn wait(&mut self, wait: bool) {
        if self.waiting != wait {
            self.waiting = wait;
            let last = match wait {
                true => WAITING.fetch_add(1, Ordering::SeqCst) == usize::MAX,
                false => WAITING.fetch_sub(1, Ordering::SeqCst) == 1,
            };
            if last {
                PRESSED.store(false, Ordering::SeqCst);
            }
        }
    }
}

/// Listens, once in the life of the program.
fn listen() -> Result<()> {
    static LISTENING: OnceLock<std::result::Result<(), String>> = OnceLock::new();
    let listen = || {
        ctrlc::try_set_handler(|| {
            if WAITING.load(Ordering::SeqCst) == 0 || PRESSED.swap(true, Ordering::SeqCst) {
                std::process::exit(EXIT);
            }
        })
        .map_err(|error| error.to_string())
    };
    let listening = LISTENING.get_or_init(listen).clone();
    listening
        .map_err(|error| Error::argument("OnCtrlC", "a program in which nothing listens to Ctrl-C", error))
}

impl Callback for OnCtrlC {
    fn begin(&mut self, _: &mut Run) -> Result<()> {
        self.pressed = false;
        self.wait(true);
        Ok(())
    }

    fn step(&mut self, run: &mut Run) -> Result<()> {
        if PRESSED.load(Ordering::SeqCst) {
            self.pressed = true;
            run.save(&self.path);
            run.stop();
        }
        Ok(())
    }

    fn end(&mut self, _: &mut Run) -> Result<()> {
        self.wait(false);
        Ok(())
    }
}

impl Drop for OnCtrlC {
    fn drop(&mut self) {
        // After an error there was no end.
        self.wait(false);
    }
}
