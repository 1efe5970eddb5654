//! cargo bench --bench ranks --features mpi -- [STEPS [SHARDS]]: a step of a CNN on 32×32, under `mpirun` or alone.
//!
//! Prints milliseconds a step, the fastest of windows of 10 steps, and of them those in which rank 0 sends gradients or waits for others;
//! and the least processor time of a step in rank 0, without messages: what counts on a machine that does other work too. `ranks.sh` runs it
//! with two ranks and with two threads in turns.
use std::cell::{Cell, RefCell};

use tealight::data::TensorDataset;
use tealight::distributed::{Communicator, Mpi};
use tealight::prelude::*;

/// Seconds on the clock, and those that this process was on processors.
#[derive(Clone, Copy, Default)]
struct Time([f64; 2]);

#[allow(unsafe_code)]
fn now() -> Time {
    Time([libc::CLOCK_MONOTONIC, libc::CLOCK_PROCESS_CPUTIME_ID].map(|clock| {
        let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        // SAFETY: the pointer is to a timespec.
        unsafe { libc::clock_gettime(clock, &mut time) };
        time.tv_sec as f64 + time.tv_nsec as f64 * 1e-9
    }))
}

impl std::ops::Sub for Time {
    type Output = Time;

    fn sub(self, other: Time) -> Time {
        Time([self.0[0] - other.0[0], self.0[1] - other.0[1]])
    }
}

/// Notes how long messages take, with the wait for the others.
struct Timed {
    mpi: Mpi,
    took: Cell<Time>,
}

impl Timed {
    fn timed<R>(&self, f: impl FnOnce() -> R) -> R {
        let start = now();
        let result = f();
        let ([wall, cpu], Time(before)) = ((now() - start).0, self.took.get());
        self.took.set(Time([before[0] + wall, before[1] + cpu]));
        result
    }
}

impl Communicator for Timed {
    fn rank(&self) -> usize {
        self.mpi.rank()
    }

    fn size(&self) -> usize {
        self.mpi.size()
    }

    fn all_gather(&self, bytes: &[u8]) -> Result<Vec<Vec<u8>>> {
        self.timed(|| self.mpi.all_gather(bytes))
    }

    fn all_to_all(&self, parts: &[Vec<u8>]) -> Result<Vec<Vec<u8>>> {
        self.timed(|| self.mpi.all_to_all(parts))
    }

    fn abort(&self, message: &str) {
        self.mpi.abort(message);
    }
}

const BATCH: usize = 32;
const WINDOW: usize = 10;

fn main() -> Result<()> {
    tealight::memory::keep_freed(512 << 20);
    let arguments = std::env::args().skip(1).filter(|word| word != "--bench");
    let numbers: Vec<usize> = arguments.map(|word| word.parse().expect("a number")).collect();
    let steps = numbers.first().copied().unwrap_or(200).next_multiple_of(WINDOW);
    let shards = numbers.get(1).copied().unwrap_or(4);
    let comm = Timed { mpi: Mpi::init()?, took: Cell::default() };
    let rng = &mut Rng::seed(1);
    let mut model = Sequential::new();
    for [inputs, outputs] in [[3, 16], [16, 32], [32, 64]] {
        model = model
            .push(Conv2d::new(inputs, outputs, 3, ConvOptions::new().padding(1), rng)?)
            .push(BatchNorm2d::new(outputs)?)
            .push(Relu)
            .push(MaxPool2d::new(PoolOptions::new(2)));
    }
    let model = model.push(Flatten).push(Linear::new(64 * 16, 10, rng)?);
    let x = Tensor::randn(0_f32, 1.0, (1024, 3, 32, 32), rng)?;
    let y = x.flatten(1, -1)?.narrow(1, 0, 10)?.argmax(1)?;
    let data = TensorDataset::new(&x, &y)?;
    let ends = RefCell::new(vec![(now(), Time::default())]);
    let mut trainer = Trainer::new(&model, CrossEntropy::new(), AdamW::new(model.parameters(), 1e-3)?)
        .distributed(&comm)
        .shards(shards)
        .batch_size(BATCH)
        .epochs(u64::MAX)
        .silent()
        .on_step_end(|ctx| {
            ends.borrow_mut().push((now(), comm.took.get()));
            if ends.borrow().len() > steps + WINDOW {
                ctx.stop();
            }
            Ok(())
        });
    trainer.fit(&data, None)?;
    drop(trainer);
    // Without the first window, in which steps are recorded.
    let ends = &ends.borrow()[WINDOW..];
    let windows = ends.windows(WINDOW + 1).step_by(WINDOW).map(|all| {
        let ((start, before), (end, after)) = (all[0], all[WINDOW]);
        let [step, messages] =
            [end - start, after - before].map(|Time(all)| all.map(|x| x * 1e3 / WINDOW as f64));
        (step[0], messages[0], step[1] - messages[1])
    });
    let windows: Vec<(f64, f64, f64)> = windows.collect();
    let (step, messages, _) = *windows.iter().min_by(|a, b| a.0.total_cmp(&b.0)).expect("there is a window");
    let mean = windows.iter().map(|window| window.0).sum::<f64>() / windows.len() as f64;
    let processor = windows.iter().map(|window| window.2).fold(f64::INFINITY, f64::min);
    if comm.rank() == 0 {
        let threads = std::env::var("RAYON_NUM_THREADS").unwrap_or("all".into());
        println!(
            "{} ranks, {threads} threads each, {shards} shards: {step:.2} ms a step (mean {mean:.2}), {messages:.2} in messages, \
             {processor:.2} of a processor besides",
            comm.size()
        );
    }
    Ok(())
}
