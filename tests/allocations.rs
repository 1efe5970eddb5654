//! A replayed step takes no memory from the heap.
#![allow(clippy::unwrap_used, clippy::expect_used)] // a test fails by panicking
#![allow(unsafe_code)] // an allocator

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

use tealight::prelude::*;
use tealight::program::TrainStep;

struct Counting;

static TAKEN: AtomicUsize = AtomicUsize::new(0);

// SAFETY: everything is left to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        TAKEN.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller's promises are the system's.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the caller's promises are the system's.
        unsafe { System.dealloc(block, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

#[test]
fn a_step_takes_none() -> Result<()> {
    let rng = &mut Rng::seed(1);
    let model = Sequential::new().push(Linear::new(4, 16, rng)?).push(Relu).push(Linear::new(16, 3, rng)?);
    let x = Tensor::randn(0.0, 1.0, (16, 4), rng)?;
    let y = Tensor::new(&[0u32, 1, 2, 0, 1, 2, 0, 1, 2, 0, 1, 2, 0, 1, 2, 0], &Device::Cpu)?;
    let mut step = TrainStep::new(&model, CrossEntropy::new(), AdamW::new(model.parameters(), 1e-2)?);
    for _ in 0..5 {
        step.run(&x, &y)?;
    }
    let before = TAKEN.load(Ordering::Relaxed);
    for _ in 0..100 {
        step.run(&x, &y)?;
    }
    let taken = TAKEN.load(Ordering::Relaxed) - before;
    assert_eq!(taken, 0, "in 100 steps: {:?}", step.refusal());
    Ok(())
}
