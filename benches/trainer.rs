//! What a step of `Trainer` costs beyond the bare loop that it stands for: `cargo bench --bench trainer`.
//!
//! Both train the same model on the same batches; they take turns, and the fastest of each is compared.

use std::time::{Duration, Instant};

use tealight::data::{DataLoader, TensorDataset};
use tealight::prelude::*;

const STEPS: usize = 1000;
const BATCH: usize = 16;

fn model() -> Result<Sequential> {
    let rng = &mut Rng::seed(1);
    Ok(Sequential::new().push(Linear::new(4, 16, rng)?).push(Tanh).push(Linear::new(16, 3, rng)?))
}

fn timed(run: impl FnOnce() -> Result<()>) -> Result<Duration> {
    let start = Instant::now();
    run()?;
    Ok(start.elapsed())
}

fn main() -> Result<()> {
    tealight::memory::keep_freed(512 << 20);
    let rng = &mut Rng::seed(2);
    let inputs = Tensor::randn(0_f32, 1.0, (STEPS * BATCH, 4), rng)?;
    let targets = inputs.narrow(1, 0, 3)?.argmax(1)?;
    let data = TensorDataset::new(&inputs, &targets)?;
    let (mut bare, mut trained) = (Duration::MAX, Duration::MAX);
    for _ in 0..50 {
        let (a, b) = (model()?, model()?);
        bare = bare.min(timed(|| {
            let mut optimizer = Sgd::new(a.parameters(), 0.1)?;
            let mut ctx = ForwardContext::train(Rng::seed(3));
            for batch in DataLoader::new(&data, BATCH)?.shuffle(0).epoch()? {
                let (x, y) = batch?;
                let loss = CrossEntropy::new().loss(&a.forward(&x, &mut ctx)?, &y)?;
                optimizer.step(&loss.backward()?)?;
            }
            Ok(())
        })?);
        trained = trained.min(timed(|| {
            let optimizer = Sgd::new(b.parameters(), 0.1)?;
            Trainer::new(&b, CrossEntropy::new(), optimizer).batch_size(BATCH).silent().fit(&data, None)?;
            Ok(())
        })?);
        let weights = |model: &Sequential| model.parameters()[0].1.get().to_vec2::<f32>();
        assert_eq!(weights(&a)?, weights(&b)?, "the trainer is not the loop");
    }
    let step = |time: Duration| time.as_secs_f64() * 1e6 / STEPS as f64;
    let more = step(trained) - step(bare);
    println!("a step: bare loop {:.2} µs, Trainer {:.2} µs, {more:.2} µs more", step(bare), step(trained));
    Ok(())
}
