//! cargo bench --bench program: a step replayed against the same step run eagerly, in turns.
use std::sync::LazyLock;
use std::time::Instant;

use tealight::activation::HardSwish;
use tealight::layer::{AdaptiveAvgPool2d, TransformerEncoderLayer};
use tealight::prelude::*;
use tealight::program::TrainStep;

/// Seconds that this thread was on a processor; or the clock's, if RAYON_NUM_THREADS says that there are more threads.
#[allow(unsafe_code)]
fn now() -> f64 {
    static START: LazyLock<(Instant, bool)> = LazyLock::new(|| {
        (Instant::now(), std::env::var("RAYON_NUM_THREADS").is_ok_and(|threads| threads != "1"))
    });
    if START.1 {
        return START.0.elapsed().as_secs_f64();
    }
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the pointer is to a timespec.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut time) };
    time.tv_sec as f64 + time.tv_nsec as f64 * 1e-9
}

/// Microseconds of a call of each, the fastest of rounds in which they take turns.
fn time(calls: &mut [&mut dyn FnMut(); 2]) -> [f64; 2] {
    let (mut best, mut n) = ([f64::INFINITY; 2], 1);
    for _ in 0..12 {
        let mut longest = 0.0_f64;
        for (best, call) in best.iter_mut().zip(&mut *calls) {
            let start = now();
            (0..n).for_each(|_| call());
            let took = now() - start;
            *best = best.min(took / f64::from(n));
            longest = longest.max(took);
        }
        if longest < 0.05 {
            n *= 2
        }
    }
    best.map(|seconds| seconds * 1e6)
}

fn row<M: Layer>(
    name: &str,
    make: impl Fn(&mut Rng) -> Result<M>,
    loss: impl Loss + Clone,
    x: &[usize],
    y: &Tensor,
) -> Result<()> {
    if std::env::args().skip(1).any(|only| only != "--bench" && only != name) {
        return Ok(());
    }
    let x = Tensor::randn(0.0, 1.0, x, &mut Rng::seed(2))?;
    for adamw in [false, true] {
        let models = [make(&mut Rng::seed(1))?, make(&mut Rng::seed(1))?];
        let step = |i: usize| -> Result<TrainStep> {
            let model = &models[i];
            Ok(match adamw {
                true => TrainStep::new(model, loss.clone(), AdamW::new(model.parameters(), 1e-4)?),
                false => TrainStep::new(model, loss.clone(), Sgd::new(model.parameters(), 1e-4)?),
            })
        };
        let (mut replayed, mut eager) = (step(0)?, step(1)?.eager());
        let [fast, slow] =
            time(&mut [&mut || assert!(replayed.run(&x, y).is_ok_and(f64::is_finite)), &mut || {
                assert!(eager.run(&x, y).is_ok_and(f64::is_finite))
            }]);
        assert!(replayed.refusal().is_none(), "{name}: {:?}", replayed.refusal());
        let optimizer = if adamw { "AdamW" } else { "SGD" };
        println!("| {name}, {optimizer} | {slow:.1} | {fast:.1} | {:.2} |", fast / slow);
    }
    Ok(())
}

fn main() -> Result<()> {
    tealight::memory::keep_freed(512 << 20);
    let classes = |n: usize, c: usize| {
        let rng = &mut Rng::seed(3);
        let y: Vec<u32> = (0..n).map(|_| rng.below(c) as u32).collect();
        Tensor::new(&y[..], &Device::Cpu)
    };
    let random = |dims: &[usize]| Tensor::randn(0.0, 1.0, dims, &mut Rng::seed(3));
    println!("| step | eager, µs | replayed, µs | ratio |\n|---|---|---|---|");

    let mlp = |inputs: usize, hidden: usize, outputs: usize| {
        move |rng: &mut Rng| {
            let first = Linear::new(inputs, hidden, rng)?;
            Ok(Sequential::new().push(first).push(Relu).push(Linear::new(hidden, outputs, rng)?))
        }
    };
    row("tiny", mlp(4, 16, 3), CrossEntropy::new(), &[16, 4], &classes(16, 3)?)?;
    row("mlp", mlp(784, 128, 10), CrossEntropy::new(), &[64, 784], &classes(64, 10)?)?;

    let padded = || ConvOptions::new().padding(1);
    let cnn = |rng: &mut Rng| {
        Ok(Sequential::new()
            .push(Conv2d::new(1, 32, 3, padded(), rng)?)
            .push(BatchNorm2d::new(32)?)
            .push(Relu)
            .push(Conv2d::new(32, 64, 3, padded(), rng)?)
            .push(BatchNorm2d::new(64)?)
            .push(Relu)
            .push(MaxPool2d::new(PoolOptions::new(2)))
            .push(Flatten)
            .push(Linear::new(64 * 16, 64, rng)?)
            .push(Relu)
            .push(Dropout::new(0.25)?)
            .push(Linear::new(64, 10, rng)?))
    };
    row("cnn", cnn, CrossEntropy::new(), &[64, 1, 8, 8], &classes(64, 10)?)?;

    let pooled = |rng: &mut Rng| {
        let mut model = Sequential::new();
        for [inputs, outputs] in [[3, 16], [16, 32], [32, 64]] {
            model = model
                .push(Conv2d::new(inputs, outputs, 3, padded(), rng)?)
                .push(BatchNorm2d::new(outputs)?)
                .push(Relu)
                .push(MaxPool2d::new(PoolOptions::new(2)));
        }
        Ok(model.push(Flatten).push(Linear::new(64 * 16, 10, rng)?))
    };
    row("cnn32", pooled, CrossEntropy::new(), &[32, 3, 32, 32], &classes(32, 10)?)?;
    let separable = |rng: &mut Rng| {
        let first = Conv2d::new(3, 16, 3, padded(), rng)?;
        let mut model = Sequential::new().push(first).push(BatchNorm2d::new(16)?).push(HardSwish);
        for [inputs, outputs] in [[16, 32], [32, 64]] {
            model = model
                .push(Conv2d::new(inputs, inputs, 3, padded().stride(2).groups(inputs), rng)?)
                .push(BatchNorm2d::new(inputs)?)
                .push(HardSwish)
                .push(Conv2d::new(inputs, outputs, 1, ConvOptions::new(), rng)?)
                .push(BatchNorm2d::new(outputs)?)
                .push(HardSwish);
        }
        Ok(model.push(AdaptiveAvgPool2d::new([1, 1])).push(Flatten).push(Linear::new(64, 10, rng)?))
    };
    row("separable", separable, CrossEntropy::new(), &[16, 3, 32, 32], &classes(16, 10)?)?;

    let lstm = |rng: &mut Rng| Lstm::new(16, 64, RnnOptions::new(), rng);
    row("lstm", lstm, Mse, &[32, 32, 16], &random(&[32, 32, 64])?)?;
    let encoder = |rng: &mut Rng| TransformerEncoderLayer::new(64, 4, 256, rng);
    row("transformer", encoder, Mse, &[16, 32, 64], &random(&[16, 32, 64])?)
}
