//! Several processes train one network: which digit is it?
//!
//! `cargo build --release --features mpi --example distributed`, and then `mpirun -n 4 target/release/examples/distributed`: each
//! process computes a part of every batch. The hash of the weights is the same for 1, 2 and 4 processes.

use std::hash::{DefaultHasher, Hasher};
use std::path::PathBuf;

use clap::Parser;
use tealight::data;
use tealight::distributed::{Communicator, Mpi};
use tealight::metrics::Accuracy;
use tealight::prelude::*;
use tealight::train::Checkpoints;

/// Learns to read handwritten digits in several processes.
#[derive(Parser)]
struct Options {
    /// Passes over the training digits
    #[arg(long, default_value_t = 15)]
    epochs: u64,
    /// The seed of all random numbers
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Where the checkpoints are written: a folder that all processes see
    #[arg(long, value_name = "DIR", default_value = "out")]
    out: PathBuf,
}

fn main() -> Result<()> {
    let options = Options::parse();
    let mpi = Mpi::init()?;
    // The same seed on all ranks: the same data and the same model.
    let rng = &mut Rng::seed(options.seed);
    let (train, test) = data::digits()?.train_test_split(0.2, rng)?;
    let model = Sequential::new()
        .push(Flatten)
        .push(Linear::new(64, 64, rng)?)
        .push(Relu)
        .push(Linear::new(64, 10, rng)?);

    // Batches of 64 in 4 shards of 16, of which four ranks have one each.
    let mut trainer = Trainer::new(&model, CrossEntropy::new(), Adam::new(model.parameters(), 0.003)?)
        .distributed(&mpi)
        .shards(4)
        .batch_size(64)
        .epochs(options.epochs)
        .seed(options.seed)
        .metric(Accuracy::new())
        .callback(Checkpoints::new(&options.out)?);
    let history = trainer.fit(&train, Some(&test))?;

    if mpi.rank() == 0 {
        let mut hasher = DefaultHasher::new();
        for (_, parameter) in model.parameters() {
            let weights = parameter.get().flatten(0, -1)?.to_vec1::<f32>()?;
            weights.iter().for_each(|weight| hasher.write_u32(weight.to_bits()));
        }
        let accuracy = history.last("valid_accuracy")?;
        println!("{} ranks: test accuracy {accuracy:.4}, hash {:016x}", mpi.size(), hasher.finish());
        assert!(options.epochs < 15 || accuracy >= 0.93, "the digits were not learned");
    }
    Ok(())
}
