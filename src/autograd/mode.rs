//! Whether operations record their history, for each thread.

use std::cell::Cell;

thread_local!(static RECORDING: Cell<bool> = const { Cell::new(true) });

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
pub fn no_grad<R>(f: impl FnOnce() -> R) -> R {
    with_recording(false, f)
}

/// Whether operations on this thread record their history just now.
pub fn is_recording() -> bool {
    RECORDING.get()
}
