//! The scheduler's protocol in every interleaving of its threads that loom finds:
//! `RUSTFLAGS="--cfg loom" cargo test -p tealight-kernels --test loom --release`
#![cfg(loom)]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use loom::cell::UnsafeCell;
use loom::sync;

#[path = "../src/kernel/scope.rs"]
#[allow(unsafe_code)]
mod scope;

/// Elements that threads write without a lock: loom reports a race, and a read that does not see the write.
struct Cells(Vec<UnsafeCell<usize>>);

// SAFETY: loom checks every access.
#[allow(unsafe_code)]
unsafe impl Sync for Cells {}

impl Cells {
    fn new(n: usize) -> Self {
        Cells((0..n).map(|_| UnsafeCell::new(0)).collect())
    }

    fn add(&self, i: usize) {
        // SAFETY: the pointer is valid during the call, and loom reports a second access at the same time.
        #[allow(unsafe_code)]
        self.0[i].with_mut(|x| unsafe { *x += 1 });
    }

    fn get(&self, i: usize) -> usize {
        // SAFETY: as above.
        #[allow(unsafe_code)]
        self.0[i].with(|x| unsafe { *x })
    }
}

fn share(count: usize, helpers: usize, work: &(dyn Fn(usize) + Sync)) {
    // Nobody joins the helpers: one may come when the loop is over, and even when its work is gone.
    let spawn = |scope: sync::Arc<scope::Scope>| drop(loom::thread::spawn(move || scope.help()));
    scope::share(count, helpers, spawn, work);
}

/// Two threads in every order; more with at most two preemptions, or it takes hours.
fn check(helpers: usize, f: impl Fn() + Sync + Send + 'static) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = (helpers > 1).then_some(2);
    model.check(f);
}

#[test]
fn every_index_once_and_seen_by_the_owner() {
    for (count, helpers) in [(0, 1), (1, 1), (3, 1), (2, 2)] {
        check(helpers, move || {
            let cells = Cells::new(count);
            share(count, helpers, &|i| cells.add(i));
            assert!((0..count).all(|i| cells.get(i) == 1));
        });
    }
}

#[test]
fn no_helper_works_after_the_end() {
    // Not an assertion in the work: a helper catches panics.
    static LATE: AtomicBool = AtomicBool::new(false);
    for helpers in [1, 2] {
        check(helpers, move || {
            let open = Arc::new(AtomicBool::new(true));
            let seen = open.clone();
            share(2, helpers, &move |_| {
                if !seen.load(Relaxed) {
                    LATE.store(true, Relaxed);
                }
                loom::thread::yield_now();
            });
            open.store(false, Relaxed);
        });
    }
    assert!(!LATE.load(Relaxed));
}

#[test]
fn a_loop_inside_a_loop() {
    check(3, || {
        let cells = Cells::new(4);
        share(2, 1, &|i| share(2, 1, &|j| cells.add(2 * i + j)));
        assert!((0..4).all(|i| cells.get(i) == 1));
    });
}

#[test]
fn a_panic_reaches_the_owner_after_the_helpers_left() {
    std::panic::set_hook(Box::new(|_| {}));
    check(1, || {
        let cells = Cells::new(2);
        let work = |i| {
            cells.add(i);
            assert!(i != 1);
        };
        assert!(catch_unwind(AssertUnwindSafe(|| share(2, 1, &work))).is_err());
        assert_eq!([cells.get(0), cells.get(1)], [1, 1]);
    });
}
