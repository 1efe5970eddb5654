//! A replayed step takes no memory from the heap, and a solver of an equation none for its steps.
#![allow(clippy::unwrap_used, clippy::expect_used)] // a test fails by panicking
#![allow(unsafe_code)] // an allocator

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

use tealight::implicit::Odeint;
use tealight::prelude::*;
use tealight::program::TrainStep;

struct Counting;

static TAKEN: AtomicUsize = AtomicUsize::new(0);
/// Bytes that are in use, and the most since this was set to them.
static USED: AtomicUsize = AtomicUsize::new(0);
static MOST: AtomicUsize = AtomicUsize::new(0);

// SAFETY: everything is left to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        TAKEN.fetch_add(1, Ordering::Relaxed);
        let used = USED.fetch_add(layout.size(), Ordering::Relaxed) + layout.size();
        MOST.fetch_max(used, Ordering::Relaxed);
        // SAFETY: the caller's promises are the system's.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        USED.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller's promises are the system's.
        unsafe { System.dealloc(block, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

/// One test after the other: the counters are those of the whole program, the threads of other tests included.
#[test]
fn memory() -> Result<()> {
    a_step_takes_none()?;
    convolutions_in_tiles_take_none()?;
    a_replayed_step_holds_less()?;
    odeint_takes_none_for_its_steps()
}

fn replays_take_none(mut step: TrainStep, x: &Tensor, y: &Tensor) -> Result<()> {
    for _ in 0..5 {
        step.run(x, y)?;
    }
    let before = TAKEN.load(Ordering::Relaxed);
    for _ in 0..100 {
        step.run(x, y)?;
    }
    let taken = TAKEN.load(Ordering::Relaxed) - before;
    assert_eq!(taken, 0, "in 100 steps: {:?}", step.refusal());
    Ok(())
}

fn a_step_takes_none() -> Result<()> {
    let rng = &mut Rng::seed(1);
    let model = Sequential::new().push(Linear::new(4, 16, rng)?).push(Relu).push(Linear::new(16, 3, rng)?);
    let x = Tensor::randn(0.0, 1.0, (16, 4), rng)?;
    let y = Tensor::new(&[0u32, 1, 2, 0, 1, 2, 0, 1, 2, 0, 1, 2, 0, 1, 2, 0], &Device::Cpu)?;
    replays_take_none(
        TrainStep::new(&model, CrossEntropy::new(), AdamW::new(model.parameters(), 1e-2)?),
        &x,
        &y,
    )
}

fn convolutions_in_tiles_take_none() -> Result<()> {
    // Other convolutions list the places of their windows in each call.
    if tealight::simd_level() == "scalar" {
        return Ok(());
    }
    let rng = &mut Rng::seed(3);
    let conv = |rng: &mut Rng| Conv2d::new(16, 16, 3, ConvOptions::new().padding(1), rng);
    let model = Sequential::new()
        .push(conv(rng)?)
        .push(Relu)
        .push(conv(rng)?)
        .push(Flatten)
        .push(Linear::new(1024, 3, rng)?);
    let x = Tensor::randn(0.0, 1.0, (4, 16, 8, 8), rng)?;
    let y = Tensor::new(&[0u32, 1, 2, 0], &Device::Cpu)?;
    replays_take_none(
        TrainStep::new(&model, CrossEntropy::new(), AdamW::new(model.parameters(), 1e-3)?),
        &x,
        &y,
    )
}

fn a_replayed_step_holds_less() -> Result<()> {
    let build = || -> Result<Sequential> {
        let (rng, mut model) = (&mut Rng::seed(4), Sequential::new());
        for [inputs, outputs] in [[3, 16], [16, 32]] {
            model = model
                .push(Conv2d::new(inputs, outputs, 3, ConvOptions::new().padding(1), rng)?)
                .push(BatchNorm2d::new(outputs)?)
                .push(Relu)
                .push(MaxPool2d::new(PoolOptions::new(2)));
        }
        Ok(model.push(Flatten).push(Linear::new(512, 4, rng)?))
    };
    let x = Tensor::randn(0.0, 1.0, (16, 3, 16, 16), &mut Rng::seed(5))?;
    let y = Tensor::new(&[0u32, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3], &Device::Cpu)?;
    // The most bytes in the first steps and in later ones, above those of the model.
    let most = |eager: bool| -> Result<[usize; 2]> {
        let model = build()?;
        let before = USED.load(Ordering::Relaxed);
        let mut step = TrainStep::new(&model, CrossEntropy::new(), AdamW::new(model.parameters(), 1e-3)?);
        if eager {
            step = step.eager();
        }
        let mut most = |steps: usize| -> Result<usize> {
            MOST.store(USED.load(Ordering::Relaxed), Ordering::Relaxed);
            for _ in 0..steps {
                step.run(&x, &y)?;
            }
            Ok(MOST.load(Ordering::Relaxed) - before)
        };
        Ok([most(3)?, most(5)?])
    };
    let ([first, _], [recorded, replayed]) = (most(true)?, most(false)?);
    println!("eager: {first} bytes, replayed: {recorded} in the first steps, then {replayed}");
    assert!(5 * replayed < 3 * first, "{replayed} bytes, {first} eager");
    // A run that is recorded or compared with, and less than another one beside it.
    assert!(recorded < 2 * first, "{recorded} bytes in the first steps, {first} eager");
    Ok(())
}

fn odeint_takes_none_for_its_steps() -> Result<()> {
    let rng = &mut Rng::seed(2);
    let layer = Linear::new(64, 64, rng)?;
    layer.to_dtype(DType::F64)?;
    let start = Tensor::randn_dtype(0.0, 1.0, (16, 64), DType::F64, rng)?.into_parameter();
    // The bytes of the solution and its gradients, and how often the function was evaluated.
    let most = |end: f64| -> Result<(usize, usize)> {
        let calls = std::sync::Arc::new(AtomicUsize::new(0));
        let (held, counted) = (layer.clone(), calls.clone());
        let field = move |t: f64, y: &Tensor| {
            counted.fetch_add(1, Ordering::Relaxed);
            held.forward(y, &mut ForwardContext::eval())?.sin()? + 20.0 * (20.0 * t).cos()
        };
        let reads: Vec<Tensor> = layer.parameters().iter().map(|(_, p)| p.get()).collect();
        let before = USED.load(Ordering::Relaxed);
        MOST.store(before, Ordering::Relaxed);
        let y = Odeint::new().rtol(1e-3)?.atol(1e-3)?.solve(field, &start, &[0.0, end], &reads)?;
        assert_eq!(y.sum_all()?.backward()?.len(), 3);
        Ok((MOST.load(Ordering::Relaxed) - before, calls.load(Ordering::Relaxed)))
    };
    most(0.1)?;
    let ((short, few), (long, many)) = (most(0.5)?, most(20.0)?);
    assert!(many > 10 * few, "{few} and {many} evaluations");
    assert!(long < short + short / 20, "{short} bytes for {few} evaluations, {long} for {many}");
    Ok(())
}
