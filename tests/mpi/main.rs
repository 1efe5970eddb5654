//! A program for tests/mpi/run: trains under `mpirun` and prints a hash of all that the training leaves. Alone it is one rank.
//!
//! `mpi MODEL STEPS [DIRECTORY]`: with a directory it continues from its last checkpoint, and writes one after each step.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a test fails by panicking

use std::hash::{DefaultHasher, Hasher};
use std::path::PathBuf;

use tealight::data::{DataLoader, RandomHorizontalFlip, TensorDataset};
use tealight::distributed::{Communicator, Mpi};
use tealight::prelude::*;
use tealight::train::Checkpoints;

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1).filter(|argument| !argument.starts_with('-'));
    let name = arguments.next().unwrap_or("mlp".into());
    let steps: u64 = arguments.next().map_or(20, |steps| steps.parse().unwrap());
    let directory = arguments.next().map(PathBuf::from);
    let mpi = Mpi::init()?;
    let rng = &mut Rng::seed(1);
    let x = Tensor::randn(0_f32, 1.0, (203, 1, 6, 6), rng)?;
    let y = x.flatten(1, -1)?.narrow(1, 0, 4)?.sum(1)?.gt(0.0)?.to_dtype(DType::U32)?;
    let cnn = name != "mlp";
    let model = match cnn {
        false => Sequential::new()
            .push(Flatten)
            .push(Linear::new(36, 32, rng)?)
            .push(Tanh)
            .push(Linear::new(32, 2, rng)?),
        true => Sequential::new()
            .push(Conv2d::new(1, 4, 3, ConvOptions::new(), rng)?)
            .push(BatchNorm2d::new(4)?)
            .push(Relu)
            .push(Flatten)
            .push(Dropout::new(0.25)?)
            .push(Linear::new(64, 2, rng)?),
    };
    // The last of 7 batches has 11 examples: of the CNN's 4 steps the last one has one batch.
    let mut data = DataLoader::new(&TensorDataset::new(&x, &y)?, 32)?.shuffle(2);
    let mut trainer = Trainer::new(&model, CrossEntropy::new(), AdamW::new(model.parameters(), 0.002)?)
        .distributed(&mpi)
        .silent()
        .on_step_end(|ctx| {
            Ok(if ctx.step == steps {
                ctx.stop()
            })
        });
    if cnn {
        data = data.augment(RandomHorizontalFlip(0.5), 3).num_workers(1);
        trainer = trainer.accumulate(2).clip_grad_norm(0.5);
    }
    trainer = if name == "sync" { trainer.sync_batch_norm() } else { trainer };
    trainer = trainer.epochs(steps.div_ceil(if cnn { 4 } else { 7 }));
    if name == "fails" {
        let rank = mpi.rank();
        let fails = move |step| rank == 1 && step == 7;
        trainer = trainer.on_step_end(move |ctx| match fails(ctx.step) {
            true => Err(Error::argument("test", "success", "a failure")),
            false => Ok(()),
        });
    }
    if name == "panics" {
        let rank = mpi.rank();
        trainer = trainer.on_step_end(move |ctx| {
            assert!(rank != 1 || ctx.step != 7, "a panic");
            Ok(())
        });
    }
    if let Some(directory) = directory {
        trainer = trainer.callback(Checkpoints::new(&directory)?.every_steps(1));
        let last = directory.join("last.safetensors");
        trainer = if last.exists() { trainer.resume(last)? } else { trainer };
    }
    trainer.fit(&data, None)?;
    drop(trainer);
    let mut hasher = DefaultHasher::new();
    for (_, entry) in model.state_dict() {
        let numbers = entry.get().to_dtype(DType::F64)?.flatten(0, -1)?.to_vec1::<f64>()?;
        numbers.iter().for_each(|number| hasher.write_u64(number.to_bits()));
    }
    let hash = hasher.finish().to_ne_bytes();
    assert!(mpi.all_gather(&hash)?.iter().all(|other| *other == hash));
    // Parts of different lengths, some of them empty.
    let parts: Vec<Vec<u8>> = (0..mpi.size()).map(|to| vec![mpi.rank() as u8; to]).collect();
    let received = mpi.all_to_all(&parts)?;
    assert!((0..mpi.size()).all(|from| received[from] == vec![from as u8; mpi.rank()]));
    // Nothing from some ranks, and from all.
    let gathered = mpi.all_gather(&vec![7; mpi.rank() % 2])?;
    assert!((0..mpi.size()).all(|from| gathered[from] == vec![7; from % 2]));
    assert!(mpi.all_gather(&[])?.iter().all(Vec::is_empty));
    assert!(mpi.all_to_all(&vec![Vec::new(); mpi.size()])?.iter().all(Vec::is_empty));
    if mpi.rank() == 0 {
        println!("{:016x}", u64::from_ne_bytes(hash));
    }
    Ok(())
}
