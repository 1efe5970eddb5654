//! Example 8: a custom activation is one formula. Its derivatives of every order follow from it.
//!
//! `cargo run --release --example new_activation` checks the first and the second derivative against finite differences, and trains
//! a network that has the activation: it prints both errors, next to nothing, and the loss as the network becomes a sine.

use tealight::prelude::*;

/// x·sigmoid(βx).
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

fn main() -> Result<()> {
    tealight::memory::keep_freed(512 << 20);
    let rng = &mut Rng::seed(1);
    let swish = Swish { beta: 1.5 };
    println!("swish(1) = {:.6}", swish.value(1.0));
    let x = Tensor::randn_dtype(0.0, 1.0, (3, 4), DType::F64, rng)?;
    println!("{:?}", autograd::gradcheck(|x| swish.apply(&x[0]), &[x])?);

    let x = Tensor::linspace(-3.0_f32, 3.0, 100, &Device::Cpu)?.reshape((100, 1))?;
    let sine = x.sin()?;
    let model = Sequential::new().push(Linear::new(1, 16, rng)?).push(swish).push(Linear::new(16, 1, rng)?);
    let mut optimizer = Adam::new(model.parameters(), 0.02)?;
    let mut last = f32::INFINITY;
    for step in 0..=500 {
        let loss = Mse.loss(&model.forward(&x, &mut ForwardContext::train(rng.clone()))?, &sine)?;
        optimizer.step(&loss.backward()?)?;
        last = loss.to_scalar()?;
        if step % 100 == 0 {
            println!("step {step:>3}: loss {last:.5}");
        }
    }
    assert!(last < 1e-2, "the sine was not learned");
    Ok(())
}
