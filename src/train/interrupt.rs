//! Ctrl-C while a model is trained.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use signal_hook::consts::SIGINT;
use signal_hook::flag;

use crate::error::{Error, Result};

/// Registered once and for all: a handler that is taken away again leaves a program that Ctrl-C does not end.
static SIGNAL: LazyLock<std::io::Result<Signal>> = LazyLock::new(Signal::register);

struct Signal {
    /// Whether the next Ctrl-C ends the program.
    ends: Arc<AtomicBool>,
    came: Arc<AtomicBool>,
    /// How many trainings wait for one.
    watches: Mutex<usize>,
}

impl Signal {
    fn register() -> std::io::Result<Self> {
        let (ends, came) = (Arc::new(AtomicBool::new(true)), Arc::new(AtomicBool::new(false)));
        // Called in this order: the first Ctrl-C of a training is noted, and makes the second one end the program.
        flag::register_conditional_default(SIGINT, Arc::clone(&ends))?;
        flag::register(SIGINT, Arc::clone(&came))?;
        flag::register(SIGINT, Arc::clone(&ends))?;
        Ok(Signal { ends, came, watches: Mutex::new(0) })
    }

    /// Changes how many trainings wait; with the first to come and the last to go, what Ctrl-C does.
    fn count(&self, change: impl FnOnce(usize) -> usize) {
        let mut watches = self.watches.lock().unwrap_or_else(PoisonError::into_inner);
        let before = *watches;
        *watches = change(before);
        if (before == 0) != (*watches == 0) {
            self.came.store(false, Ordering::SeqCst);
            self.ends.store(*watches == 0, Ordering::SeqCst);
        }
    }
}

/// While there is one, Ctrl-C does not end the program, but is noted.
pub(super) struct Watch(&'static Signal);

impl Watch {
    pub(super) fn start() -> Result<Self> {
        let signal = SIGNAL
            .as_ref()
            .map_err(|error| Error::argument("fit", "to be told of interrupts", format!("{error}")))?;
        signal.count(|watches| watches.saturating_add(1));
        Ok(Watch(signal))
    }

    pub(super) fn interrupted(&self) -> bool {
        self.0.came.load(Ordering::Relaxed)
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.0.count(|watches| watches.saturating_sub(1));
    }
}
