//! cargo bench --bench forward: forward mode against double backward passes, in turns. `-- laplacian` prints the Laplacian alone, as
//! `forward.py` does for PyTorch and JAX.
use std::sync::atomic::{AtomicU64, Ordering};

use tealight::layer::Fields;
use tealight::optim::Lbfgs;
use tealight::prelude::*;
use tealight::program::{TrainStep, compile};

/// Microseconds of processor time of a call of each, the fastest of rounds in which they take turns.
fn time<const N: usize>(mut calls: [&mut dyn FnMut() -> Result<()>; N]) -> Result<[f64; N]> {
    let (mut best, mut n) = ([f64::INFINITY; N], 1);
    for _ in 0..12 {
        let mut longest = 0.0_f64;
        for (best, call) in best.iter_mut().zip(&mut calls) {
            let start = cpu();
            (0..n).try_for_each(|_| call())?;
            let took = cpu() - start;
            *best = best.min(took / f64::from(n));
            longest = longest.max(took);
        }
        if longest < 0.05 {
            n *= 2;
        }
    }
    Ok(best.map(|seconds| seconds * 1e6))
}

/// Seconds that this thread was on a processor.
#[allow(unsafe_code)]
fn cpu() -> f64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the pointer is to a timespec.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut time) };
    time.tv_sec as f64 + time.tv_nsec as f64 * 1e-9
}

fn mlp(sizes: &[usize], dtype: DType) -> Result<Sequential> {
    let (rng, mut network) = (&mut Rng::seed(1), Sequential::new());
    for (i, pair) in sizes.windows(2).enumerate() {
        network = network.push(Linear::new(pair[0], pair[1], rng)?);
        if i + 2 < sizes.len() {
            network = network.push(Tanh);
        }
    }
    network.to_dtype(dtype)?;
    Ok(network)
}

/// The Laplacian of 10-64-64-1 at 256 points: by Hessian products along ten axes, and by one forward pass.
fn laplacian(dtype: DType) -> Result<()> {
    let network = mlp(&[10, 64, 64, 1], dtype)?;
    let x = Tensor::randn_dtype(0.0, 1.0, (256, 10), dtype, &mut Rng::seed(2))?.into_parameter();
    let y = || network.forward(&x, &mut ForwardContext::eval());
    let axis = |j: usize| {
        let row: Vec<f64> = (0..10).map(|i| f64::from(u8::from(i == j))).collect();
        Tensor::new(&row[..], &Device::Cpu)?.to_dtype(dtype)?.broadcast_to(x.dims())
    };
    let axes = (0..10).map(axis).collect::<Result<Vec<_>>>()?;
    let products = || -> Result<Tensor> {
        let (sum, mut own) = (y()?.sum_all()?, Vec::new());
        for (j, v) in axes.iter().enumerate() {
            own.push(autograd::hvp(&sum, [&x], [v])?[0].narrow(1, j, 1)?);
        }
        Tensor::cat(&own.iter().collect::<Vec<_>>(), 1)?.sum_keepdim(1)
    };
    let recorded = || autograd::laplacian(&y()?, &x);
    let alone = || {
        let y = y()?;
        no_grad(|| autograd::laplacian(&y, &x))
    };
    let mut compiled = compile(|[x]: [&Tensor; 1]| {
        let x = x.detach().into_parameter();
        autograd::laplacian(&network.forward(&x, &mut ForwardContext::eval())?, &x)
    });
    (0..3).try_for_each(|_| compiled.call([&x]).map(drop))?;
    let off = (products()? - recorded()?)?.abs()?.max_all()?.to_dtype(DType::F64)?.to_scalar::<f64>()?;
    assert!(off < 1e-4, "{off}");
    let [products, recorded, alone, compiled] = time([
        &mut || products().map(drop),
        &mut || recorded().map(drop),
        &mut || alone().map(drop),
        &mut || compiled.call([&x]).map(drop),
    ])?;
    let dtype = dtype.as_str();
    println!("| ten Hessian products, {dtype} | {products:.0} | 1 |");
    println!("| `laplacian`, {dtype} | {recorded:.0} | {:.2} |", recorded / products);
    println!("| `laplacian` under `no_grad`, {dtype} | {alone:.0} | {:.2} |", alone / products);
    println!("| `laplacian`, compiled, {dtype} | {compiled:.0} | {:.2} |", compiled / products);
    Ok(())
}

/// The residual of the oscillator's equation in `examples/pinn.rs`.
struct Residual<F>(Sequential, F);

impl<F: Fn(&Tensor, &Tensor) -> Result<[Tensor; 2]> + Send + Sync> Layer for Residual<F> {
    fn forward(&self, t: &Tensor, ctx: &mut ForwardContext) -> Result<Tensor> {
        FORWARD_PASSES.fetch_add(1, Ordering::Relaxed);
        let t = t.detach().into_parameter();
        let u = (1.0 + (t.sqr()? * self.0.forward(&t, ctx)?)?)?;
        let [speed, acceleration] = (self.1)(&u, &t)?;
        (acceleration + (speed * 2.0)?)? + (u * 36.0)?
    }

    fn fields<'a>(&'a self, fields: &mut Fields<'a>) {
        fields.layer("network", &self.0);
    }
}

static FORWARD_PASSES: AtomicU64 = AtomicU64::new(0);

/// A step of training it: with double backward passes, and with `taylor`.
fn equation() -> Result<()> {
    let t = Tensor::linspace(0.0, 1.0, 64, &Device::Cpu)?.reshape((64, 1))?;
    let zero = t.zeros_like()?;
    let network = || mlp(&[1, 32, 32, 1], DType::F64);
    let twice = |u: &Tensor, t: &Tensor| -> Result<[Tensor; 2]> {
        let [speed] = autograd::grad(&u.sum_all()?, [t])?;
        let [acceleration] = autograd::grad(&speed.sum_all()?, [t])?;
        Ok([speed, acceleration])
    };
    let slow = Residual(network()?, twice);
    let slow_too = Residual(network()?, twice);
    let taylor = |u: &Tensor, t: &Tensor| -> Result<[Tensor; 2]> {
        let mut both = autograd::taylor(u, t, &t.ones_like()?.detach(), 2)?.into_iter();
        Ok([both.next(), both.next()].map(|order| order.expect("two orders")))
    };
    let fast = [Residual(network()?, taylor), Residual(network()?, taylor)];
    fn step(model: &dyn Layer) -> Result<TrainStep<'_>> {
        Ok(TrainStep::new(model, Mse, Sgd::new(model.parameters(), 1e-6)?))
    }
    let (mut double, mut replayed_double) = (step(&slow)?.eager(), step(&slow_too)?);
    let (mut eager, mut replayed) = (step(&fast[0])?.eager(), step(&fast[1])?);
    let times = time([
        &mut || double.run(&t, &zero).map(drop),
        &mut || eager.run(&t, &zero).map(drop),
        &mut || replayed_double.run(&t, &zero).map(drop),
        &mut || replayed.run(&t, &zero).map(drop),
    ])?;
    assert!(replayed.refusal().is_none(), "{:?}", replayed.refusal());
    let names = ["double backward", "`taylor`", "double backward, replayed", "`taylor`, replayed"];
    for (name, took) in names.iter().zip(times) {
        println!("| a step of a PINN, {name} | {took:.0} | {:.2} |", took / times[0]);
    }
    // Trained as in the example: an evaluation in 40 steps of L-BFGS, on average; the fastest of five trainings.
    let slow = || Ok::<_, Error>(Residual(network()?, twice));
    let fast = || Ok::<_, Error>(Residual(network()?, taylor));
    let mut least = [f64::INFINITY; 4];
    for _ in 0..5 {
        least[0] = least[0].min(evaluation(&slow()?, &t, true)?);
        least[1] = least[1].min(evaluation(&fast()?, &t, true)?);
        least[2] = least[2].min(evaluation(&slow()?, &t, false)?);
        least[3] = least[3].min(evaluation(&fast()?, &t, false)?);
    }
    for (name, took) in names.iter().zip(least) {
        println!("| an evaluation of L-BFGS, {name} | {took:.0} | {:.2} |", took / least[0]);
    }
    Ok(())
}

fn evaluation<F>(model: &Residual<F>, t: &Tensor, eager: bool) -> Result<f64>
where
    Residual<F>: Layer,
{
    let mut step = TrainStep::new(model, Mse, Lbfgs::new(model.parameters(), 1.0)?.strong_wolfe());
    if eager {
        step = step.eager();
    }
    let (zero, before, start) = (t.zeros_like()?, FORWARD_PASSES.load(Ordering::Relaxed), cpu());
    for _ in 0..40 {
        step.run(t, &zero)?;
    }
    // A replay makes no forward pass; the first one is compared with one.
    let passes = FORWARD_PASSES.load(Ordering::Relaxed) - before;
    let evaluations = if eager { passes } else { 1 + step.replayed() };
    Ok((cpu() - start) / evaluations as f64 * 1e6)
}

/// The derivatives of 3-32-32-1 along a line, by nested `jvp` and by `taylor`.
fn orders() -> Result<()> {
    let network = mlp(&[3, 32, 32, 1], DType::F64)?;
    let x = Tensor::randn_dtype(0.0, 1.0, (64, 3), DType::F64, &mut Rng::seed(2))?.into_parameter();
    let v = x.ones_like()?.detach();
    let y = network.forward(&x, &mut ForwardContext::eval())?;
    for order in [2, 3, 4, 6, 8] {
        let nested = || (0..order).try_fold(y.clone(), |y, _| autograd::jvp(&y, [&x], [&v]));
        let together = || autograd::taylor(&y, &x, &v, order);
        if order > 4 {
            let [together] = time([&mut || together().map(drop)])?;
            println!("| order {order}, `taylor` | {together:.0} | |");
            continue;
        }
        let [nested, together] = time([&mut || nested().map(drop), &mut || together().map(drop)])?;
        println!("| order {order}, nested `jvp` | {nested:.0} | 1 |");
        println!("| order {order}, `taylor` | {together:.0} | {:.2} |", together / nested);
    }
    Ok(())
}

/// Of a batch of 128: the Jacobian of each row of 8-64-64-4, and the gradient of each loss by the parameters.
fn batches() -> Result<()> {
    let network = mlp(&[8, 64, 64, 4], DType::F32)?;
    let x = Tensor::randn(0.0, 1.0, (128, 8), &mut Rng::seed(2))?.into_parameter();
    let y = network.forward(&x, &mut ForwardContext::eval())?;
    let losses = y.sqr()?.sum(1)?;
    let p: Vec<Tensor> = network.parameters().iter().map(|(_, p)| p.get()).collect();
    let p: [&Tensor; 6] = std::array::from_fn(|i| &p[i]);
    let [all, batch, rows, each] = time([
        &mut || autograd::jacobian(&y, [&x]).map(drop),
        &mut || autograd::batch_jacobian(&y, &x).map(drop),
        &mut || (0..128).try_for_each(|i| losses.i(i)?.backward().map(drop)),
        &mut || autograd::per_sample_grad(&losses, &x, p).map(drop),
    ])?;
    println!("| Jacobian of 128 rows, `jacobian` | {all:.0} | 1 |");
    println!("| Jacobian of 128 rows, `batch_jacobian` | {batch:.0} | {:.2} |", batch / all);
    println!("| gradients of 128 losses, `backward` of each | {rows:.0} | 1 |");
    println!("| gradients of 128 losses, `per_sample_grad` | {each:.0} | {:.2} |", each / rows);
    Ok(())
}

fn main() -> Result<()> {
    tealight::memory::keep_freed(512 << 20);
    println!("| | µs | ratio |\n|---|---|---|");
    laplacian(DType::F32)?;
    laplacian(DType::F64)?;
    if std::env::args().any(|word| word == "laplacian") {
        return Ok(());
    }
    equation()?;
    orders()?;
    batches()
}
