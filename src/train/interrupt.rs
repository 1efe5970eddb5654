//! Ctrl-C while a model is trained: the first is noted, the second ends the program.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use signal_hook::consts::SIGINT;
use signal_hook::flag;

use crate::error::{Error, Result};

/// Registered once and never removed: signal-hook does not restore the default action, so without a handler Ctrl-C would do nothing.
static SIGNAL: LazyLock<std::io::Result<Signal>> = LazyLock::new(Signal::register);

struct Signal {
    /// Whether the next Ctrl-C ends the program.
    terminate: Arc<AtomicBool>,
    received: Arc<AtomicBool>,
    /// The number of trainings that run.
    watches: Mutex<usize>,
}

impl Signal {
    fn register() -> std::io::Result<Self> {
        let (terminate, received) = (Arc::new(AtomicBool::new(true)), Arc::new(AtomicBool::new(false)));
        // The handlers run in this order: the first Ctrl-C sets `terminate`, for the second one.
        flag::register_conditional_default(SIGINT, Arc::clone(&terminate))?;
        flag::register(SIGINT, Arc::clone(&received))?;
        flag::register(SIGINT, Arc::clone(&terminate))?;
        Ok(Signal { terminate, received, watches: Mutex::new(0) })
    }

    /// Changes the number of trainings, and with the first and the last one what Ctrl-C does.
    fn count(&self, change: impl FnOnce(usize) -> usize) {
        let mut watches = self.watches.lock().unwrap_or_else(PoisonError::into_inner);
        let before = *watches;
        *watches = change(before);
        if (before == 0) != (*watches == 0) {
            self.received.store(false, Ordering::SeqCst);
            self.terminate.store(*watches == 0, Ordering::SeqCst);
        }
    }
}

/// While one exists, the first Ctrl-C does not end the program.
pub(super) struct Watch(&'static Signal);

impl Watch {
    pub(super) fn start() -> Result<Self> {
        let signal = SIGNAL
            .as_ref()
            .map_err(|error| Error::argument("fit", "a handler for Ctrl-C", format!("{error}")))?;
        signal.count(|watches| watches.saturating_add(1));
        Ok(Watch(signal))
    }

    pub(super) fn interrupted(&self) -> bool {
        self.0.received.load(Ordering::Relaxed)
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.0.count(|watches| watches.saturating_sub(1));
    }
}
