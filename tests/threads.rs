//! The same bits on any number of threads, for whatever is large enough to be divided; and from trainings and evaluations that
//! run at once.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a test fails by panicking

use std::process::{Command, Stdio};
use std::sync::{OnceLock, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use rayon::prelude::*;
use tealight::layer::{Dropout, RnnOptions};
use tealight::ops::{ConvOptions, PoolOptions};
use tealight::prelude::*;
use tealight::program::compile;
use tealight::train::Trainer;

fn bits(x: &Tensor) -> Result<Vec<u32>> {
    Ok(x.flatten(0, -1)?.to_vec1::<f32>()?.into_iter().map(f32::to_bits).collect())
}

/// A result and the gradients by its inputs.
fn with_gradients(f: impl Fn(&[Tensor]) -> Result<Tensor>, inputs: &[&[usize]]) -> Result<Vec<Vec<u32>>> {
    let rng = &mut Rng::seed(5);
    let parameter = |dims: &&[usize]| Ok(Tensor::parameter(Tensor::randn(0.0_f32, 1.0, *dims, rng)?));
    let inputs = inputs.iter().map(parameter).collect::<Result<Vec<_>>>()?;
    let y = f(&inputs)?;
    let seed = Tensor::rand(0.5_f32, 1.5, y.dims(), &mut Rng::seed(6))?;
    let gradients = y.backward_from(&seed)?;
    std::iter::once(&y).chain(inputs.iter().filter_map(|x| gradients.get(x))).map(bits).collect()
}

/// An LSTM's output and the gradients by its weights, large enough that threads divide the products.
fn lstm() -> Result<Vec<Vec<u32>>> {
    let rng = &mut Rng::seed(7);
    let lstm = Lstm::new(16, 64, RnnOptions::new(), rng)?;
    let x = Tensor::randn(0.0, 1.0, (32, 32, 16), rng)?;
    let y = lstm.forward(&x, &mut ForwardContext::eval())?;
    let gradients = y.sqr()?.sum_all()?.backward()?;
    let parameters: Vec<Tensor> = lstm.parameters().iter().map(|(_, parameter)| parameter.get()).collect();
    std::iter::once(&y).chain(parameters.iter().map(|x| gradients.get(x).unwrap())).map(bits).collect()
}

/// Formulas that a program runs as one kernel.
fn fused() -> Result<Vec<Vec<u32>>> {
    let rng = &mut Rng::seed(8);
    let [x, y] = [Tensor::randn(0.0, 1.0, 1 << 19, rng)?, Tensor::randn(0.0, 1.0, 1 << 19, rng)?];
    let mut compiled = compile(|[x, y]: [&Tensor; 2]| ((x * y)?.tanh()? + x)?.exp());
    (0..3).map(|_| bits(&compiled.call([&x, &y])?)).collect()
}

fn everything() -> Result<Vec<Vec<Vec<u32>>>> {
    let classes = Tensor::from_vec((0..1000_u32).map(|i| i % 300).collect(), 1000, &Device::Cpu)?;
    let pool = MaxPool2d::new(PoolOptions::new(2));
    let long: &[usize] = &[1 << 19];
    let rows: &[usize] = &[1000, 300];
    Ok(vec![
        with_gradients(|x| x[0].sigmoid(), &[long])?,
        with_gradients(|x| x[0].tanh()?.sum_all(), &[long])?,
        with_gradients(|x| Mse.loss(&x[0], &x[1]), &[long, long])?,
        with_gradients(|x| x[0].dot(&x[1]), &[long, long])?,
        with_gradients(|x| x[0].softmax(-1), &[rows])?,
        with_gradients(|x| x[0].log_softmax(0), &[rows])?,
        with_gradients(|x| x[0].normalize_rows(2.0), &[rows])?,
        with_gradients(|x| CrossEntropy::new().loss(&x[0], &classes), &[rows])?,
        with_gradients(|x| &x[0] + &x[1], &[rows, &[300]])?,
        with_gradients(|x| x[0].sum(0), &[rows])?,
        with_gradients(|x| x[0].sum(1), &[rows])?,
        with_gradients(|x| x[0].var(1, 1), &[rows])?,
        with_gradients(|x| x[0].matvec(&x[1]), &[rows, &[300]])?,
        with_gradients(|x| x[0].outer(&x[1]), &[&[700], &[500]])?,
        with_gradients(|x| x[0].matmul(&x[1]), &[&[400, 300], &[300, 350]])?,
        with_gradients(|x| x[0].conv2d(&x[1], ConvOptions::new()), &[&[40, 4, 24, 24], &[8, 4, 3, 3]])?,
        with_gradients(|x| pool.forward(&x[0], &mut ForwardContext::eval()), &[&[40, 8, 40, 40]])?,
        lstm()?,
        fused()?,
    ])
}

#[test]
fn the_same_bits_on_any_number_of_threads() {
    let on = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(everything).unwrap()
    };
    let one = on(1);
    for threads in [2, 3] {
        for (i, (a, b)) in one.iter().zip(on(threads)).enumerate() {
            assert!(*a == b, "case {i} on {threads} threads");
        }
    }
}

/// Runs `f`; what hangs fails after five minutes: a loaded machine needs one.
fn to_the_end<R: Send + 'static>(f: impl FnOnce() -> R + Send + 'static) -> R {
    let (done, wait) = mpsc::channel();
    let thread = thread::spawn(move || {
        let result = f();
        let _ = done.send(());
        result
    });
    match wait.recv_timeout(Duration::from_secs(300)) {
        Err(mpsc::RecvTimeoutError::Timeout) => panic!("a deadlock: nothing came for five minutes"),
        // A panic inside closes the channel, too.
        _ => thread.join().unwrap_or_else(|failure| std::panic::resume_unwind(failure)),
    }
}

fn wide(seed: u64) -> Result<Sequential> {
    let rng = &mut Rng::seed(seed);
    // As wide as it takes for a product to be divided among threads.
    Ok(Sequential::new()
        .push(Linear::new(256, 256, rng)?)
        .push(Relu)
        .push(Dropout::new(0.1)?)
        .push(Linear::new(256, 4, rng)?))
}

fn inputs(seed: u64) -> Result<Tensor> {
    Tensor::randn(0_f32, 1.0, (512, 256), &mut Rng::seed(seed))
}

/// Trains a model of its own, with the shared one evaluated in between: what came out of both.
fn train_beside(shared: &Sequential, x: &Tensor, seed: u64) -> Result<Vec<Vec<u32>>> {
    let (own, mut out) = (wide(seed)?, vec![]);
    let data = (inputs(seed + 100)?, inputs(seed + 200)?.narrow(1, 0, 4)?);
    let mut trainer = Trainer::new(&own, Mse, Adam::new(own.parameters(), 0.01)?)
        .epochs(2)
        .batch_size(512)
        .seed(seed)
        .silent()
        .on_epoch_end(|_| {
            assert!(autograd::is_recording(), "no_grad of another task");
            out.push(bits(&shared.predict(x)?)?);
            Ok(())
        });
    trainer.fit(&data, Some(&data))?;
    drop(trainer);
    out.extend(own.parameters().iter().map(|(_, held)| bits(&held.get())).collect::<Result<Vec<_>>>()?);
    Ok(out)
}

const TRAININGS: u64 = 4;

/// Each training alone, on one thread.
fn one_by_one() -> &'static Vec<Vec<Vec<u32>>> {
    static RESULTS: OnceLock<Vec<Vec<Vec<u32>>>> = OnceLock::new();
    RESULTS.get_or_init(|| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
        pool.install(|| {
            let (shared, x) = (wide(0).unwrap(), inputs(1).unwrap());
            (0..TRAININGS).map(|seed| train_beside(&shared, &x, seed).unwrap()).collect()
        })
    })
}

#[test]
fn models_trained_at_once_beside_a_shared_one() {
    to_the_end(|| {
        let expected = one_by_one();
        let (shared, x) = (wide(0).unwrap(), inputs(1).unwrap());
        for round in 0..2 {
            let got: Vec<_> = thread::scope(|scope| {
                let threads: Vec<_> = (0..TRAININGS)
                    .map(|seed| {
                        scope.spawn({
                            let (shared, x) = (&shared, &x);
                            move || train_beside(shared, x, seed).unwrap()
                        })
                    })
                    .collect();
                threads.into_iter().map(|thread| thread.join().unwrap()).collect()
            });
            assert!(got == *expected, "round {round}");
        }
    });
}

#[test]
fn the_same_inside_a_rayon_pool() {
    to_the_end(|| {
        let expected = one_by_one();
        let (shared, x) = (wide(0).unwrap(), inputs(1).unwrap());
        for threads in [1, 3] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let got: Vec<_> = pool.install(|| {
                // A thread that waits may take up another training meanwhile: nothing of the one may reach the other.
                (0..TRAININGS).into_par_iter().map(|seed| train_beside(&shared, &x, seed).unwrap()).collect()
            });
            assert!(got == *expected, "{threads} threads");
        }
    });
}

/// The tests above in a process whose rayon has a single thread.
#[test]
fn the_same_with_one_rayon_thread() {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "models_trained_at_once_beside_a_shared_one",
            "the_same_inside_a_rayon_pool",
            "tensors_sent",
        ])
        .env("RAYON_NUM_THREADS", "1")
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let started = Instant::now();
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            assert!(status.success());
            return;
        }
        if started.elapsed() > Duration::from_secs(400) {
            child.kill().unwrap();
            panic!("a deadlock with one thread");
        }
        thread::sleep(Duration::from_millis(20));
    }
}

/// A graph that is begun on one thread, continued on a second, and whose gradient a third one takes.
#[test]
fn tensors_sent() {
    to_the_end(|| {
        let (model, x) = (wide(3).unwrap(), inputs(4).unwrap());
        let weight = model.parameters()[0].1.get();
        let expected = {
            let y = model.predict(&x).unwrap();
            let y = model.forward(&x, &mut ForwardContext::eval()).and_then(|h| {
                assert_eq!(bits(&h)?, bits(&y)?);
                h.sqr()?.sum_all()
            });
            bits(y.unwrap().backward().unwrap().get(&weight).unwrap()).unwrap()
        };
        let (to_second, second) = mpsc::channel::<Tensor>();
        let (to_third, third) = mpsc::channel::<Tensor>();
        thread::scope(|scope| {
            scope.spawn(|| {
                for _ in 0..20 {
                    to_second.send(model.forward(&x, &mut ForwardContext::eval()).unwrap()).unwrap();
                }
                drop(to_second);
            });
            scope.spawn(|| {
                for hidden in second {
                    to_third.send(hidden.sqr().unwrap().sum_all().unwrap()).unwrap();
                }
                drop(to_third);
            });
            let taken = scope.spawn(|| {
                third
                    .into_iter()
                    .map(|y| y.backward().unwrap().get(&weight).map(|g| bits(g).unwrap()))
                    .collect::<Vec<_>>()
            });
            let taken = taken.join().unwrap();
            assert_eq!(taken.len(), 20);
            assert!(taken.iter().all(|gradient| gradient.as_ref() == Some(&expected)));
        });
    });
}
