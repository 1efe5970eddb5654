//! Trainings on several ranks have the same bits as on one, whatever the ranks are: here they are threads.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a test fails by panicking

use std::path::Path;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;

use tealight::data::{DataLoader, RandomHorizontalFlip, TensorDataset};
use tealight::distributed::Communicator;
use tealight::layer::StateEntry;
use tealight::optim::Lbfgs;
use tealight::optim::schedule::CosineAnnealingLr;
use tealight::prelude::*;
use tealight::train::{Checkpoints, EarlyStopping, History, Log, TensorBoard};

/// A rank that is a thread: a channel to and from each.
struct Thread {
    rank: usize,
    to: Vec<Sender<Vec<u8>>>,
    from: Vec<Receiver<Vec<u8>>>,
    aborted: Arc<Mutex<Vec<String>>>,
}

impl Communicator for Thread {
    fn rank(&self) -> usize {
        self.rank
    }

    fn size(&self) -> usize {
        self.to.len()
    }

    fn all_gather(&self, bytes: &[u8]) -> Result<Vec<Vec<u8>>> {
        self.all_to_all(&vec![bytes.to_vec(); self.size()])
    }

    fn all_to_all(&self, parts: &[Vec<u8>]) -> Result<Vec<Vec<u8>>> {
        let gone = |_| Error::argument("Thread", "ranks that go on", "one that ended");
        self.to.iter().zip(parts).for_each(|(to, part)| drop(to.send(part.clone())));
        self.from.iter().map(|from| from.recv().map_err(|error| gone(error.to_string()))).collect()
    }

    fn abort(&self, message: &str) {
        self.aborted.lock().unwrap().push(format!("rank {}: {message}", self.rank));
    }
}

/// What `f` returns on each of `size` ranks, and what they said when they ended all.
fn ranks<R: Send>(size: usize, f: impl Fn(Thread) -> R + Sync) -> (Vec<R>, Vec<String>) {
    let aborted = Arc::new(Mutex::new(Vec::new()));
    let (mut to, mut from): (Vec<Vec<_>>, Vec<Vec<_>>) = (0..size).map(|_| (Vec::new(), Vec::new())).unzip();
    for to in &mut to {
        for from in &mut from {
            let (sender, receiver) = channel();
            to.push(sender);
            from.push(receiver);
        }
    }
    let results = thread::scope(|scope| {
        let starts = to.into_iter().zip(from).enumerate().map(|(rank, (to, from))| {
            let (thread, f) = (Thread { rank, to, from, aborted: aborted.clone() }, &f);
            scope.spawn(move || f(thread))
        });
        let started: Vec<_> = starts.collect();
        started.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let messages = aborted.lock().unwrap().clone();
    (results, messages)
}

/// All that a training leaves: the bits of parameters and buffers, and of the curves.
fn bits(state: Vec<(String, StateEntry)>, history: &History) -> Vec<u64> {
    let numbers =
        |x: &Tensor| x.to_dtype(DType::F64).unwrap().flatten(0, -1).unwrap().to_vec1::<f64>().unwrap();
    let curves = ["loss", "valid_loss"].map(|name| history.curve(name));
    let scores = curves.into_iter().flatten().map(|(_, score)| score);
    state.iter().flat_map(|(_, entry)| numbers(&entry.get())).chain(scores).map(f64::to_bits).collect()
}

/// A network with dropout and batch normalization, augmented images, accumulated batches, and a smaller last one.
fn train_cnn(comm: impl Communicator, epochs: u64, directory: Option<&Path>) -> Result<Vec<u64>> {
    let rng = &mut Rng::seed(1);
    let x = Tensor::randn(0_f32, 1.0, (75, 1, 6, 6), rng)?;
    let y = x.flatten(1, -1)?.narrow(1, 0, 4)?.sum(1)?.gt(0.0)?.to_dtype(DType::U32)?;
    let model = Sequential::new()
        .push(Conv2d::new(1, 4, 3, ConvOptions::new(), rng)?)
        .push(BatchNorm2d::new(4)?)
        .push(Relu)
        .push(Flatten)
        .push(Dropout::new(0.25)?)
        .push(Linear::new(64, 2, rng)?);
    let part = |start, len| TensorDataset::new(&x.narrow(0, start, len)?, &y.narrow(0, start, len)?);
    let data =
        DataLoader::new(&part(0, 59)?, 16)?.shuffle(2).augment(RandomHorizontalFlip(0.5), 3).num_workers(2);
    let mut trainer = Trainer::new(&model, CrossEntropy::new(), AdamW::new(model.parameters(), 0.01)?)
        .epochs(epochs)
        .accumulate(2)
        .clip_grad_norm(0.5)
        .schedule(CosineAnnealingLr::new(20)?)
        .callback(EarlyStopping::new("valid_loss", 50))
        .silent()
        .distributed(comm);
    if let Some(directory) = directory {
        let files = ["log.csv", "board"].map(|name| directory.join(name));
        trainer = trainer
            .callback(Checkpoints::new(directory)?)
            .callback(Log::csv(&files[0]))
            .callback(TensorBoard::new(&files[1]));
        let last = directory.join("last.safetensors");
        trainer = if last.exists() { trainer.resume(last)? } else { trainer };
    }
    let history = trainer.fit(&data, Some(&part(59, 16)?))?;
    drop(trainer);
    Ok(bits(model.state(), &history))
}

#[test]
fn the_same_bits_on_any_number_of_ranks() {
    let (alone, _) = ranks(1, |comm| train_cnn(comm, 4, None).unwrap());
    for size in [2, 3, 4] {
        let (all, messages) = ranks(size, |comm| train_cnn(comm, 4, None).unwrap());
        assert!(all.iter().all(|bits| *bits == alone[0]), "{size} ranks");
        assert!(messages.is_empty());
    }
    // Without a communicator, but with the shards.
    let (more, _) = ranks(1, |comm| train_cnn(comm, 5, None).unwrap());
    assert_ne!(alone, more);
}

#[test]
fn another_number_of_ranks_continues() {
    let (whole, _) = ranks(1, |comm| train_cnn(comm, 6, None).unwrap());
    let directory = tempfile::tempdir().unwrap();
    let mut last = Vec::new();
    for (size, epochs) in [(2, 2), (4, 3), (1, 5), (3, 6)] {
        last = ranks(size, |comm| train_cnn(comm, epochs, Some(directory.path())).unwrap()).0;
    }
    assert!(last.iter().all(|bits| *bits == whole[0]));
    // One log and one file of each training.
    let count = std::fs::read_dir(directory.path().join("board")).unwrap().count();
    assert_eq!(count, 4);
    assert_eq!(std::fs::read_to_string(directory.path().join("log.csv")).unwrap().lines().count(), 7);
}

/// Class weights, a class that is ignored in whole shards, f64, frozen parameters, unused ones, and an optimizer that evaluates the
/// loss several times a step.
fn train_odd(comm: Option<Thread>, shards: usize) -> Result<Vec<u64>> {
    let rng = &mut Rng::seed(4);
    let x = Tensor::randn_dtype(0.0, 1.0, (22, 3), DType::F64, rng)?;
    let y: Vec<i64> = (0..22).map(|i| if i < 6 { -1 } else { i % 3 }).collect();
    let y = Tensor::from_vec(y, 22, &Device::Cpu)?;
    let [first, unused, last] = [(); 3].map(|()| Linear::new(3, 3, rng).unwrap());
    first.bias.as_ref().unwrap().set_frozen(true);
    let model = Sequential::new().push(first.clone()).push(Tanh).push(last.clone());
    let both = Sequential::new().push(first).push(last).push(unused);
    both.to_dtype(DType::F64)?;
    let forward = |x: &[Tensor], ctx: &mut ForwardContext| Ok([model.forward(&x[0], ctx)?]);
    let loss =
        CrossEntropy::new().ignore_index(-1).class_weights(&Tensor::new(&[1.0, 2.0, 0.5], &Device::Cpu)?)?;
    let weighted = Trainer::new(&model, loss, Lbfgs::new(model.parameters(), 1.0)?).epochs(3);
    let mean = |y: &[Tensor], t: &[Tensor]| {
        y[0].sqr()?.mean_all()? + (t[0].to_dtype(DType::F64)?.mean_all()? * 0.0)?
    };
    let several =
        Trainer::with_forward(&both, forward, mean, Sgd::new(both.parameters(), 0.01)?.allow_unused("*")?)
            .epochs(3);
    let mut numbers = Vec::new();
    for mut trainer in [weighted.batch_size(22), several.batch_size(5)] {
        trainer = trainer.shards(shards).silent();
        if let Some(comm) = &comm {
            trainer = trainer.distributed(comm);
        }
        let history = trainer.fit(&(x.clone(), y.clone()), None)?;
        drop(trainer);
        numbers.extend(bits(both.state(), &history));
    }
    Ok(numbers)
}

#[test]
fn shards_without_ranks() {
    for shards in [2, 5, 30] {
        let alone = train_odd(None, shards).unwrap();
        let (all, _) = ranks(2, |comm| train_odd(Some(comm), shards).unwrap());
        assert!(all.iter().all(|bits| *bits == alone), "{shards} shards");
    }
    // The gradient of the whole batch, but for rounding.
    let [one, four] = [1, 4].map(|shards| train_odd(None, shards).unwrap());
    for (a, b) in one.iter().zip(&four) {
        let (a, b) = (f64::from_bits(*a), f64::from_bits(*b));
        assert!((a - b).abs() <= 1e-6 * (1.0 + a.abs()), "{a} {b}");
    }
}

#[test]
fn means_of_gradients() -> Result<()> {
    let (all, _) = ranks(3, |comm| -> Result<Vec<f32>> {
        let layer = Linear::new(2, 1, &mut Rng::seed(1))?;
        let x = (Tensor::ones((1, 2), DType::F32, &Device::Cpu)? * (comm.rank() as f64 + 1.0))?;
        let mut gradients = layer.forward(&x, &mut ForwardContext::eval())?.sum_all()?.backward()?;
        comm.average(&mut gradients)?;
        gradients.get(&layer.weight.get()).unwrap().flatten(0, -1)?.to_vec1()
    });
    for mean in all {
        assert_eq!(mean?, [2.0, 2.0]);
    }
    // Gradients of other parameters.
    let (all, _) = ranks(2, |comm| {
        let x = Tensor::parameter(Tensor::ones(1 + comm.rank(), DType::F32, &Device::Cpu)?);
        comm.average(&mut x.sum_all()?.backward()?)
    });
    let expected = "average: expected gradients of the same shapes on all ranks, got [([1], F32)] on rank 0 and [([2], F32)] on rank 1";
    for error in all {
        assert_eq!(error.unwrap_err().to_string(), expected);
    }
    Ok(())
}

#[test]
fn ranks_that_differ_or_fail() {
    let x = Tensor::randn(0_f32, 1.0, (300, 2), &mut Rng::seed(1)).unwrap();
    type Change = fn(usize, &Linear, u64) -> Result<()>;
    let train = |size: usize, seed: fn(usize) -> u64, change: Change| {
        ranks(size, |comm| -> Result<()> {
            let rank = comm.rank();
            let model = Linear::new(2, 2, &mut Rng::seed(seed(rank)))?;
            let optimizer = Sgd::new(model.parameters(), 0.1)?;
            let mut trainer = Trainer::new(&model, Mse, optimizer)
                .batch_size(4)
                .epochs(2)
                .silent()
                .distributed(comm)
                .on_step_end(|ctx| change(rank, &model, ctx.step));
            trainer.fit(&x, None).map(drop)
        })
    };
    let message = |result: (Vec<Result<()>>, Vec<String>)| {
        assert!(result.0.iter().all(Result::is_err));
        result.1.into_iter().min().unwrap()
    };
    // Another seed on rank 1.
    let text = message(train(3, |rank| u64::from(rank == 1), |_, _, _| Ok(())));
    assert_eq!(
        text,
        "rank 0: fit: expected the same weight on all ranks, got one on rank 0 and another one on rank 1 (is a seed not the same?)"
    );
    // A bias that changes on rank 2.
    let text = message(train(
        3,
        |_| 1,
        |rank, model, step| {
            let bias = model.bias.as_ref().unwrap();
            if rank == 2 && step == 50 { bias.set(&(bias.get() + 1e-3)?) } else { Ok(()) }
        },
    ));
    assert!(
        text.contains("the same bias on all ranks, got one on rank 0 and another one on rank 2"),
        "{text}"
    );
    // A rank that fails ends the others.
    let fails: Change = |rank, _, step| match (rank, step) {
        (1, 30) => Err(Error::argument("test", "success", "a failure")),
        _ => Ok(()),
    };
    let (results, messages) = train(2, |_| 1, fails);
    assert!(results.iter().all(Result::is_err));
    assert!(messages.contains(&"rank 1: test: expected success, got a failure".to_string()), "{messages:?}");
    // More ranks than shards.
    let text = message(train(5, |_| 1, |_, _, _| Ok(())));
    assert!(
        text.ends_with(
            "fit: expected at most 4 ranks, one for each shard of a batch (Trainer::shards), got 5"
        ),
        "{text}"
    );
}
