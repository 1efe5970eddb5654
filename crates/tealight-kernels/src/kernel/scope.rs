//! How threads share one loop and how its owner waits for them. `tests/loom.rs` includes this file with loom's `sync`.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use super::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use super::sync::{Arc, Condvar, Mutex, MutexGuard};

/// A loop whose indices several threads take, one after the other.
pub(super) struct Scope {
    next: AtomicUsize,
    count: usize,
    /// Valid while the scope is open or a helper is inside.
    work: *const (dyn Fn(usize) + Sync),
    state: Mutex<State>,
    left: Condvar,
}

#[derive(Default)]
struct State {
    closed: bool,
    inside: usize,
    panic: Option<Box<dyn Any + Send>>,
}

// SAFETY: `work` is Sync, and is called only while it is valid: see `help` and `share`.
unsafe impl Send for Scope {}
// SAFETY: as above; the other fields are atomic, behind a lock, or never change.
unsafe impl Sync for Scope {}

impl Scope {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nothing panics while it holds this lock")
    }

    fn run(&self, work: &(dyn Fn(usize) + Sync)) {
        loop {
            // Relaxed: what `work` writes is published by the lock, when a helper leaves.
            let i = self.next.fetch_add(1, Relaxed);
            if i >= self.count {
                return;
            }
            work(i);
        }
    }

    /// Takes part in the loop. A thread that comes when it is closed does nothing.
    pub(super) fn help(&self) {
        {
            let mut state = self.state();
            if state.closed {
                return;
            }
            state.inside += 1;
        }
        // SAFETY: the scope was open when this thread entered, so `share`, whose argument this is, has not returned and will
        // not before this thread has left.
        let result = catch_unwind(AssertUnwindSafe(|| self.run(unsafe { &*self.work })));
        let mut state = self.state();
        state.inside -= 1;
        if let Err(panic) = result {
            state.panic = Some(panic);
        }
        drop(state);
        self.left.notify_one();
    }
}

/// Calls `work(i)` for every i below `count`, on this thread and on those that call [`Scope::help`] in time. `spawn` is called
/// `helpers` times and makes one thread do so.
///
/// This thread begins at once, and waits only for helpers that are inside. A panic of `work` is raised again here.
pub(super) fn share(count: usize, helpers: usize, spawn: impl Fn(Arc<Scope>), work: &(dyn Fn(usize) + Sync)) {
    // SAFETY: only the lifetime changes. Helpers call `work` only between entering and leaving the scope, and this function
    // does not return before the scope is closed and the last of them has left.
    let endless: &'static (dyn Fn(usize) + Sync) = unsafe { std::mem::transmute(work) };
    let scope = Arc::new(Scope {
        next: AtomicUsize::new(0),
        count,
        work: endless,
        state: Mutex::new(State::default()),
        left: Condvar::new(),
    });
    (0..helpers).for_each(|_| spawn(scope.clone()));
    let result = catch_unwind(AssertUnwindSafe(|| scope.run(work)));
    let mut state = scope.state();
    state.closed = true;
    while state.inside > 0 {
        state = scope.left.wait(state).expect("nothing panics while it holds this lock");
    }
    let panic = state.panic.take().or(result.err());
    drop(state);
    if let Some(panic) = panic {
        resume_unwind(panic);
    }
}
