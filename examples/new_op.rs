//! Example 11: a custom operation has a forward and a backward method. It is for results that are not a formula of single elements.
//!
//! `cargo run --release --example new_op` checks both against finite differences, and smooths a noisy sine by keeping the
//! differences of neighbours small: it prints the distance from the true sine, before and after.

use tealight::prelude::*;

/// The differences of neighbours along the last axis.
#[derive(Debug)]
struct Differences;

impl Op<1> for Differences {
    const NAME: &'static str = "differences";

    fn forward(&self, [x]: [&Array; 1], _: &mut SaveContext) -> Result<Array> {
        let (axis, n) = match x.dims() {
            [.., n] if *n > 1 => (x.rank() - 1, *n),
            dims => {
                let expected = "a last axis of two places or more".into();
                return Err(Error::Shape { op: Self::NAME, expected, got: vec![dims.to_vec()] });
            }
        };
        Ok((x.narrow(axis, 1, n - 1)? - x.narrow(axis, 0, n - 1)?)?)
    }

    fn backward(&self, _: &Saved, grad: &Tensor) -> Result<[Option<Tensor>; 1]> {
        // Each x counts with + for the difference before it, and with − for the one after it.
        let none = (grad.narrow(-1, 0, 1)? * 0.0)?;
        Ok([Some((Tensor::cat(&[&none, grad], -1)? - Tensor::cat(&[grad, &none], -1)?)?)])
    }
}

/// The mean square of the difference.
fn distance(a: &Tensor, b: &Tensor) -> Result<f64> {
    (a - b)?.sqr()?.mean_all()?.to_scalar()
}

fn main() -> Result<()> {
    tealight::memory::keep_freed(512 << 20);
    let rng = &mut Rng::seed(1);
    let x = Tensor::randn_dtype(0.0, 1.0, (3, 4), DType::F64, rng)?;
    // The third power makes the second derivative depend on the gradient's own history.
    println!("{:?}", autograd::gradcheck(|x| Differences.apply([&x[0]])?.powf(3.0), &[x])?);

    let sine = Tensor::linspace(0.0, std::f64::consts::TAU, 200, &Device::Cpu)?.sin()?;
    let noisy = (&sine + Tensor::randn_dtype(0.0, 0.3, 200, DType::F64, rng)?)?;
    let smooth = Parameter::new(noisy.clone());
    let mut optimizer = Sgd::new(vec![("smooth".into(), smooth.clone())], 0.02)?;
    for _ in 0..500 {
        let x = smooth.get();
        let rough = Differences.apply([&x])?.sqr()?.sum_all()?;
        let loss = ((&x - &noisy)?.sqr()?.sum_all()? + (rough * 10.0)?)?;
        optimizer.step(&loss.backward()?)?;
    }
    let (before, after) = (distance(&noisy, &sine)?, distance(&smooth.get(), &sine)?);
    println!("mean square of the distance from the sine: {before:.4} before, {after:.4} after");
    assert!(after < before / 4.0, "nothing was smoothed");
    Ok(())
}
