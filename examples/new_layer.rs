//! Example 12: a custom layer is a struct, a method and a list of its fields.
//!
//! `cargo run --release --example new_layer` checks the gradient by the input and by every parameter against finite differences, and
//! learns how much a curve goes up and down: it prints the table of the model's layers, and the loss as it falls.

use tealight::layer;
use tealight::prelude::*;

/// The differences of neighbours.
fn differences(x: &Tensor) -> Result<Tensor> {
    x.i((.., 1..))? - x.i((.., ..-1))?
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
    fn forward(&self, x: &Tensor, ctx: &mut ForwardContext) -> Result<Tensor> {
        let both = Tensor::cat(&[x, &differences(x)?], -1)?;
        ctx.call("linear", &self.linear, &both)? * &self.scale.get()
    }
    tealight::fields!(linear, scale);
}

fn main() -> Result<()> {
    tealight::memory::keep_freed(512 << 20);
    let rng = &mut Rng::seed(1);
    let x = Tensor::randn_dtype(0.0, 1.0, (3, 4), DType::F64, rng)?;
    println!("slopes {:?}", layer::gradcheck(&Slopes::new(4, 2, rng)?, &x, &ForwardContext::eval())?);

    // Σ|difference| of eight numbers.
    let inputs = Tensor::randn(0.0, 1.0, (256, 8), rng)?;
    let targets = differences(&inputs)?.abs()?.sum_keepdim(-1)?;
    let model = Sequential::new()
        .push(Slopes::new(8, 32, rng)?)
        .push(tealight::activation::Silu)
        .push(Linear::new(32, 1, rng)?);
    println!("{}", model.summary(&[256, 8])?);
    let mut optimizer = Sgd::new(model.parameters(), 0.02)?.momentum(0.9)?;
    let mut last = f32::INFINITY;
    for step in 0..=500 {
        let loss = Mse.loss(&model.forward(&inputs, &mut ForwardContext::train(rng.clone()))?, &targets)?;
        optimizer.step(&loss.backward()?)?;
        last = loss.to_scalar()?;
        if step % 100 == 0 {
            println!("step {step:>3}: loss {last:.4}");
        }
    }
    assert!(last < 0.3, "nothing was learned");
    Ok(())
}
