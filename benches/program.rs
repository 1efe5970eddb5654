//! cargo bench --bench program: a step replayed against the same step run eagerly.
use tealight::prelude::*;
use tealight::program::TrainStep;

/// Seconds that this thread was on a processor.
#[allow(unsafe_code)]
fn cpu() -> f64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the pointer is to a timespec.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut time) };
    time.tv_sec as f64 + time.tv_nsec as f64 * 1e-9
}

fn time(mut f: impl FnMut()) -> f64 {
    let mut best = f64::INFINITY;
    let mut n = 1;
    for _ in 0..12 {
        let start = cpu();
        (0..n).for_each(|_| f());
        let took = cpu() - start;
        best = best.min(took / f64::from(n));
        if took < 0.05 {
            n *= 2
        }
    }
    best * 1e6
}

fn main() -> Result<()> {
    tealight::memory::keep_freed(512 << 20);
    let rng = &mut Rng::seed(1);
    let tiny = Sequential::new().push(Linear::new(4, 16, rng)?).push(Relu).push(Linear::new(16, 3, rng)?);
    let mlp = Sequential::new().push(Linear::new(784, 128, rng)?).push(Relu).push(Linear::new(128, 10, rng)?);
    let classes = |n: usize, c: usize, rng: &mut Rng| {
        let y: Vec<u32> = (0..n).map(|_| rng.below(c) as u32).collect();
        Tensor::new(&y[..], &Device::Cpu)
    };
    for (name, model, n, k, c) in [("tiny", &tiny, 16, 4, 3), ("mlp", &mlp, 64, 784, 10)] {
        let (x, y) = (Tensor::randn(0.0, 1.0, (n, k), rng)?, classes(n, c, rng)?);
        if std::env::args().nth(1).is_some_and(|only| only != "--bench" && only != name) {
            continue;
        }
        for sgd in [true, false] {
            let step = || -> Result<TrainStep> {
                Ok(if sgd {
                    TrainStep::new(model, CrossEntropy::new(), Sgd::new(model.parameters(), 1e-4)?)
                } else {
                    TrainStep::new(model, CrossEntropy::new(), AdamW::new(model.parameters(), 1e-4)?)
                })
            };
            let (mut replayed, mut eager) = (step()?, step()?.eager());
            let r = time(|| {
                replayed.run(&x, &y).expect("the step runs");
            });
            let e = time(|| {
                eager.run(&x, &y).expect("the step runs");
            });
            println!(
                "{name} {} replayed {r:.1} us, eager {e:.1} us {:?}",
                if sgd { "sgd" } else { "adamw" },
                replayed.refusal()
            );
        }
    }
    Ok(())
}
