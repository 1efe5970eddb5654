//! Example 9: a custom loss is the cost of one prediction. Here it is one that outliers do not bend.
//!
//! `cargo run --release --example new_loss` checks the derivatives against finite differences, and draws a line through points, two
//! of which are far off, with this loss and with MSE: ln cosh finds a slope near 2, and MSE one below 0.

use tealight::prelude::*;

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

/// The slope of the line with the least loss.
fn slope(loss: impl Loss, x: &Tensor, y: &Tensor) -> Result<f32> {
    let line = Linear::new(1, 1, &mut Rng::seed(1))?;
    let mut optimizer = Sgd::new(line.parameters(), 0.1)?;
    for _ in 0..500 {
        let gradients = loss.loss(&line.forward(x, &mut ForwardContext::eval())?, y)?.backward()?;
        optimizer.step(&gradients)?;
    }
    line.weight.get().sum_all()?.to_scalar()
}

fn main() -> Result<()> {
    tealight::memory::keep_freed(512 << 20);
    let rng = &mut Rng::seed(1);
    let (p, t) = (
        Tensor::randn_dtype(0.0, 1.0, 6, DType::F64, rng)?,
        Tensor::randn_dtype(0.0, 1.0, 6, DType::F64, rng)?,
    );
    println!("{:?}", autograd::gradcheck(|p| LogCosh.loss(&p[0], &t), &[p])?);

    // Points near the line y = 2x + 1, but the last two of forty are 20 too low.
    let x = Tensor::linspace(-1.0_f32, 1.0, 40, &Device::Cpu)?.reshape((40, 1))?;
    let y = ((&x * 2.0)? + 1.0)?;
    let y = (y - (x.gt(0.93)?.to_dtype(DType::F32)? * 20.0)?)?;
    let (robust, bent) = (slope(LogCosh, &x, &y)?, slope(Mse, &x, &y)?);
    println!("the slope is 2; ln cosh finds {robust:.3}, MSE {bent:.3}");
    assert!((robust - 2.0).abs() < 0.25 && (bent - 2.0).abs() > 2.0, "the outliers bent the line");
    Ok(())
}
