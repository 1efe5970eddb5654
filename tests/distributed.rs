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
    train_with(comm, epochs, directory, false)
}

fn train_with(
    comm: impl Communicator,
    epochs: u64,
    directory: Option<&Path>,
    sync: bool,
) -> Result<Vec<u64>> {
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
    trainer = if sync { trainer.sync_batch_norm() } else { trainer };
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
    Ok(bits(model.state_dict(), &history))
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
        numbers.extend(bits(both.state_dict(), &history));
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

/// As PyTorch 2.15 trains the whole batch, which is what its `SyncBatchNorm` does on several devices: three steps of SGD.
#[test]
fn synchronized_batch_norms_are_those_of_the_whole_batch() -> Result<()> {
    let sines = |count: usize, from: usize| (0..count).map(|i| ((i + from) as f64).sin()).collect::<Vec<_>>();
    let train = |comm: Option<Thread>, shards: usize| -> Result<Vec<f64>> {
        let rng = &mut Rng::seed(1);
        let model = Sequential::new()
            .push(Linear::new(3, 4, rng)?)
            .push(BatchNorm1d::new(4)?)
            .push(Tanh)
            .push(Linear::new(4, 1, rng)?);
        model.to_dtype(DType::F64)?;
        for (k, (_, parameter)) in model.parameters().into_iter().enumerate() {
            let value = parameter.get();
            parameter.set(&Tensor::from_vec(sines(value.elem_count(), k), value.dims(), &Device::Cpu)?)?;
        }
        let x = Tensor::from_vec(sines(33, 0), (11, 3), &Device::Cpu)?;
        let y = Tensor::from_vec((0..11).map(|i| f64::from(i).cos()).collect(), (11, 1), &Device::Cpu)?;
        let sgd = Sgd::new(model.parameters(), 0.1)?;
        let mut trainer =
            Trainer::new(&model, Mse, sgd).epochs(3).batch_size(11).silent().shards(shards).sync_batch_norm();
        if let Some(comm) = comm {
            trainer = trainer.distributed(comm);
        }
        let history = trainer.fit(&(x, y), None)?;
        assert!(history.summary().contains("BatchNorm"), "{}", history.summary());
        drop(trainer);
        let mut numbers: Vec<f64> = history.curve("loss").into_iter().map(|(_, loss)| loss).collect();
        for name in ["0.weight", "1.running_mean", "1.running_var", "1.weight"] {
            let (_, entry) = model.state_dict().into_iter().find(|(other, _)| other == name).unwrap();
            numbers.extend(entry.get().flatten(0, -1)?.to_vec1::<f64>()?);
        }
        Ok(numbers)
    };
    let expected = [
        0.6564336577612278,
        0.5925266051703513,
        0.5712299912974679,
        -0.028451572931415307,
        0.8270718628922523,
        0.922189242210099,
        0.13783112233842962,
        -0.7588172826295742,
        -0.9578125774131393,
        -0.2772314728759669,
        0.6585904546319902,
        0.9889073553967885,
        0.39256080268438137,
        -0.5608833937381784,
        -0.9986539846041526,
        0.24783941416577532,
        0.22478696155347555,
        0.06147489252025344,
        -0.2294028458840427,
        1.0961744448339408,
        1.1395319280669627,
        1.1800335697275826,
        1.2081355093124029,
        0.9287738783425405,
        0.1065754474524729,
        -0.7304347904489187,
        -0.961392526541756,
    ];
    for shards in [1, 2, 4, 11] {
        let alone = train(None, shards)?;
        for (a, b) in alone.iter().zip(expected) {
            assert!((a - b).abs() < 1e-12, "{shards} shards: {a} {b}");
        }
        for size in [2, 4].into_iter().filter(|&size| size <= shards) {
            let (all, _) = ranks(size, |comm| train(Some(comm), shards).unwrap());
            assert!(all.iter().all(|numbers| *numbers == alone), "{shards} shards, {size} ranks");
        }
    }
    let error = train(None, 12).unwrap_err().to_string();
    assert!(error.contains("a row for each shard of a batch where batch norms are synchronized"), "{error}");
    Ok(())
}

/// With dropout, accumulated batches and a smaller last one; and a rank that fails ends all.
#[test]
fn synchronized_batch_norms_have_the_same_bits_on_any_number_of_ranks() {
    let (alone, _) = ranks(1, |comm| train_with(comm, 2, None, true).unwrap());
    for size in [2, 3, 4] {
        let (all, messages) = ranks(size, |comm| train_with(comm, 2, None, true).unwrap());
        assert!(all.iter().all(|bits| *bits == alone[0]), "{size} ranks");
        assert!(messages.is_empty());
    }
    let (other, _) = ranks(1, |comm| train_cnn(comm, 2, None).unwrap());
    assert_ne!(alone, other);
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
