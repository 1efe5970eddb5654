//! Per thread: whether operations are recorded in the graph, and who observes them.

use std::cell::Cell;

thread_local! {
    static RECORDING: Cell<bool> = const { Cell::new(true) };
    /// The observers of every operation. One byte, since each operation looks at it.
    static OBSERVERS: Cell<u8> = const { Cell::new(0) };
}

/// The bit of [`detect_anomaly`](super::detect_anomaly).
pub(super) const ANOMALY: u8 = 1;
/// The bit of an ONNX trace.
pub(super) const TRACE: u8 = 2;
/// The bit of a program's recording.
pub(super) const PROGRAM: u8 = 4;

pub(super) fn is_observed_by(observer: u8) -> bool {
    OBSERVERS.get() & observer != 0
}

pub(crate) fn observed() -> bool {
    OBSERVERS.get() != 0
}

/// Restores the observers when dropped, also when a panic unwinds.
pub(super) struct ObserverGuard(u8);

impl ObserverGuard {
    /// Adds or removes an observer until the guard is dropped.
    pub(super) fn set(observer: u8, on: bool) -> Self {
        let before = OBSERVERS.get();
        OBSERVERS.set(if on { before | observer } else { before & !observer });
        ObserverGuard(before)
    }
}

impl Drop for ObserverGuard {
    fn drop(&mut self) {
        OBSERVERS.set(self.0);
    }
}

pub(super) fn with_recording<R>(recording: bool, f: impl FnOnce() -> R) -> R {
    /// Restores the mode, also when a panic unwinds.
    struct Restore(bool);
    impl Drop for Restore {
        fn drop(&mut self) {
            RECORDING.set(self.0);
        }
    }
    let _restore = Restore(RECORDING.replace(recording));
    f()
}

/// Runs `f` without recording: its results have no history, and nothing is saved for a backward pass.
///
/// ```
/// # use tealight::prelude::*;
/// let w = Tensor::parameter(Tensor::new(2.0, &Device::Cpu)?);
/// let y = no_grad(|| &w * 3.0)?;
/// assert!(!y.requires_grad());
/// # Ok::<(), tealight::Error>(())
/// ```
#[doc(alias = "set_grad_enabled")]
#[doc(alias = "inference_mode")]
pub fn no_grad<R>(f: impl FnOnce() -> R) -> R {
    with_recording(false, f)
}

/// Runs `f` with recording, also inside [`no_grad`].
pub(crate) fn with_grad<R>(f: impl FnOnce() -> R) -> R {
    with_recording(true, f)
}

/// Whether operations on this thread are recorded: false inside [`no_grad`].
#[doc(alias = "is_grad_enabled")]
pub fn is_recording() -> bool {
    RECORDING.get()
}
