//! Everything of one's own: an activation, a loss, a normaliser, an operation and a layer, each a few lines, each checked.
//!
//! `cargo run --release --example new_layer` checks the gradients of all five against finite differences, to second order, and then
//! trains a model made of them.

use tealight::layer;
use tealight::prelude::*;

/// x·sigmoid(βx). Its derivative is found by itself: exact, and differentiable again.
#[derive(Clone, Debug)]
struct Swish {
    beta: f64,
}

impl Activation for Swish {
    const NAME: &'static str = "swish";
    fn value<R: Real>(&self, x: R) -> R {
        x * (R::constant(self.beta) * x).sigmoid()
    }
}

/// ln cosh(p − t): a parabola near 0, a straight line far away. Written so that nothing overflows.
#[derive(Clone, Debug)]
struct LogCosh;

impl PointwiseLoss for LogCosh {
    const NAME: &'static str = "log_cosh";
    fn value<R: Real>(&self, prediction: R, target: R) -> R {
        let size = (prediction - target).abs();
        size + (R::constant(-2.0) * size).exp().ln_1p() - R::constant(std::f64::consts::LN_2)
    }
}

/// Every row divided by its largest absolute value.
#[derive(Clone, Debug)]
struct MaxNorm;

impl Normalize for MaxNorm {
    fn normalize(&self, x: &Tensor) -> Result<Tensor> {
        x / x.abs()?.max_keepdim(-1)?
    }
}

/// The differences of neighbours along the last axis. No formula of single elements, so it says how to go back.
#[derive(Debug)]
struct Differences;

impl Op<1> for Differences {
    const NAME: &'static str = "differences";

    fn forward(&self, [x]: [&Array; 1], _: &mut Keep) -> Result<Array> {
        let (axis, n) = match x.dims() {
            [.., n] if *n > 1 => (x.rank() - 1, *n),
            dims => {
                let expected = "a last axis of two places or more".into();
                return Err(Error::Shape { op: Self::NAME, expected, got: vec![dims.to_vec()] });
            }
        };
        Ok((x.narrow(axis, 1, n - 1)? - x.narrow(axis, 0, n - 1)?)?)
    }

    fn backward(&self, _: &Saved<1>, grad: &Tensor) -> Result<[Option<Tensor>; 1]> {
        // Each x counts with + for the difference before it, and with − for the one after it.
        let none = (grad.narrow(-1, 0, 1)? * 0.0)?;
        Ok([Some((Tensor::cat(&[&none, grad], -1)? - Tensor::cat(&[grad, &none], -1)?)?)])
    }
}

/// A linear layer that sees the differences as well, and scales what comes out.
struct Slopes {
    linear: Linear,
    scale: Parameter,
}

impl Slopes {
    fn new(inputs: usize, outputs: usize, rng: &mut Rng) -> Result<Self> {
        let scale = Parameter::new(Tensor::ones(outputs, DType::F32, &Device::Cpu)?);
        Ok(Slopes { linear: Linear::new(2 * inputs - 1, outputs, rng)?, scale })
    }
}

impl Layer for Slopes {
    fn forward(&self, x: &Tensor, pass: &mut Pass) -> Result<Tensor> {
        let both = Tensor::cat(&[x, &Differences.apply([x])?], -1)?;
        pass.call("linear", &self.linear, &both)? * &self.scale.get()
    }
    tealight::parts!(linear, scale);
}

fn main() -> Result<()> {
    let rng = &mut Rng::seed(1);
    let x = Tensor::randn(0.0, 1.0, (3, 4), rng)?;
    let t = Tensor::randn(0.0, 1.0, (3, 4), rng)?;
    let one = std::slice::from_ref(&x);
    println!("swish       {:?}", autograd::gradcheck(|x| Swish { beta: 1.5 }.apply(&x[0]), one)?);
    println!("log_cosh    {:?}", autograd::gradcheck(|x| Mean(LogCosh).loss(&x[0], &t), one)?);
    println!("max_norm    {:?}", autograd::gradcheck(|x| MaxNorm.normalize(&x[0]), one)?);
    println!("differences {:?}", autograd::gradcheck(|x| Differences.apply([&x[0]])?.powf(3.0), one)?);
    println!("slopes      {:?}", layer::gradcheck(&Slopes::new(4, 2, rng)?, &x, &Pass::eval())?);

    // Learns how much a curve goes up and down: Σ|difference|.
    let inputs = Tensor::randn(0.0_f32, 1.0, (256, 8), rng)?;
    let targets = Differences.apply([&inputs])?.abs()?.sum_keepdim(-1)?;
    let model = Sequential::new()
        .push(Slopes::new(8, 32, rng)?)
        .push(Swish { beta: 1.0 })
        .push(Linear::new(32, 1, rng)?);
    println!("{}", model.summary(&[256, 8])?);
    let mut optimizer = Sgd::new(model.parameters(), 0.02)?.with_momentum(0.9)?;
    let mut last = f32::INFINITY;
    for step in 0..=500 {
        let loss = Mean(LogCosh).loss(&model.forward(&inputs, &mut Pass::train(rng.clone()))?, &targets)?;
        optimizer.step(&loss.backward()?)?;
        last = loss.to_scalar()?;
        if step % 100 == 0 {
            println!("step {step:>3}: loss {last:.4}");
        }
    }
    assert!(last < 0.1, "nothing was learned");
    Ok(())
}
