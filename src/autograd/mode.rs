//! Whether operations record their history, and who watches them, for each thread.

use std::cell::Cell;

thread_local! {
    static RECORDING: Cell<bool> = const { Cell::new(true) };
    /// Who looks at every operation: nobody, most of the time, and to know that is one look.
    static WATCHED: Cell<u8> = const { Cell::new(0) };
}

/// The mark of [`detect_anomaly`](super::anomaly) mode.
pub(super) const ANOMALY: u8 = 1;
/// The mark of a trace.
pub(super) const TRACE: u8 = 2;

/// The marks of those who watch.
pub(super) fn watched() -> u8 {
    WATCHED.get()
}

/// Puts the marks back as they were, also when a panic unwinds.
pub(super) struct Watch(u8);

impl Watch {
    /// Sets or clears a mark until this is dropped.
    pub(super) fn set(mark: u8, on: bool) -> Self {
        let before = WATCHED.get();
        WATCHED.set(if on { before | mark } else { before & !mark });
        Watch(before)
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        WATCHED.set(self.0);
    }
}

/// Restores the mode, also when a panic unwinds.
struct Restore(bool);

impl Drop for Restore {
    fn drop(&mut self) {
        RECORDING.set(self.0);
    }
}

pub(super) fn with_recording<R>(recording: bool, f: impl FnOnce() -> R) -> R {
    let _restore = Restore(RECORDING.replace(recording));
    f()
}

/// Runs `f` without recording: its results have no history and cost no memory for one.
///
/// ```
/// use tealight::prelude::*;
/// let w = Tensor::parameter(Tensor::new(2.0, &Device::Cpu)?.into_array());
/// let y = no_grad(|| &w * 3.0)?;
/// assert!(!y.requires_grad());
/// # Ok::<(), tealight::Error>(())
/// ```
#[doc(alias = "set_grad_enabled")]
#[doc(alias = "inference_mode")]
pub fn no_grad<R>(f: impl FnOnce() -> R) -> R {
    with_recording(false, f)
}

/// Whether operations on this thread record their history just now.
///
/// ```
/// use tealight::prelude::*;
/// assert!(autograd::is_recording());
/// assert!(!no_grad(autograd::is_recording));
/// ```
#[doc(alias = "is_grad_enabled")]
pub fn is_recording() -> bool {
    RECORDING.get()
}
