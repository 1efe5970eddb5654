//! cargo bench --bench stream -- read|train FILE [HIDDEN]: a large table, read from its first row to its last, or logistic regression on it; with
//! HIDDEN, a network with as many hidden units.
//!
//! Prints the rows, their number a second, the share of the time that training waits for rows, and the most memory that was resident.
//! `stream.py` makes the table and times pandas and pyarrow beside it.
use std::time::{Duration, Instant};

use tealight::data::{DataLoader, IterableDataset, TableOptions, TableSchema};
use tealight::prelude::*;
use tealight::program::TrainStep;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    let (job, file, hidden) = match arguments.as_slice() {
        [job, file] => (job, file, None),
        [job, file, hidden] => (job, file, hidden.parse().ok()),
        _ => {
            println!("usage: cargo bench --bench stream -- read|train FILE [HIDDEN]");
            return Ok(());
        }
    };
    let schema = TableSchema::infer(file, &TableOptions::new().target("y").categorical_target().nrows(1000))?;
    let counting = Instant::now();
    let rows = schema.stream(file)?;
    let counting = counting.elapsed();
    let (start, mut waited, mut count) = (Instant::now(), Duration::ZERO, 0);
    match job.as_str() {
        "read" => {
            for piece in rows.iter()? {
                count += piece?.0.dims()[0];
            }
        }
        _ => {
            let (d, k, rng) = (schema.features().len(), schema.classes().len(), &mut Rng::seed(1));
            let model = match hidden {
                None => Sequential::new().push(Linear::new(d, k, rng)?),
                Some(hidden) => Sequential::new()
                    .push(Linear::new(d, hidden, rng)?)
                    .push(Relu)
                    .push(Linear::new(hidden, k, rng)?),
            };
            let mut step = TrainStep::new(&model, CrossEntropy::new(), Sgd::new(model.parameters(), 0.1)?);
            let mut loader = DataLoader::iterable(&rows, 256)?.shuffle(1).buffer_size(20_000).num_workers(2);
            let mut epoch = loader.epoch()?;
            loop {
                let asked = Instant::now();
                let Some(batch) = epoch.next() else { break };
                waited += asked.elapsed();
                let (x, y) = batch?;
                step.run(&x, &y)?;
                count += x.dims()[0];
            }
        }
    }
    let took = start.elapsed().as_secs_f64();
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let resident = status.lines().find(|line| line.starts_with("VmHWM")).unwrap_or("unknown memory");
    println!(
        "{job}: {count} rows, {:.0} a second, waiting {:.1} %, counted in {:.2} s, {}",
        count as f64 / took,
        100.0 * waited.as_secs_f64() / took,
        counting.as_secs_f64(),
        resident.split_whitespace().collect::<Vec<_>>().join(" ")
    );
    Ok(())
}
