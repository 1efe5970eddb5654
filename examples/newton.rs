//! Example 13: logistic regression in under ten steps, by Newton's method, with second derivatives that nobody had to write.
//!
//! `cargo run --release --example newton` finds the minimum on breast_cancer to the last digits, and prints the loss and the length
//! of the gradient at each step. It writes `newton.png` with these lengths beside those of gradient descent. The Hessian is never
//! formed: conjugate gradients need its product with a vector alone, which is `autograd::hvp`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::Parser;
use tealight::optim::solve_cg;
use tealight::plot::{Axes, curve_with_axes};
use tealight::prelude::*;

/// Fits a logistic regression by Newton's method.
#[derive(Parser)]
struct Options {
    /// Where the weights and the picture are written
    #[arg(long, value_name = "DIR", default_value = "out")]
    out: PathBuf,
}

fn number(x: &Tensor) -> Result<f64> {
    x.to_scalar()
}

fn main() -> Result<()> {
    tealight::memory::keep_freed(512 << 20);
    let options = Options::parse();
    std::fs::create_dir_all(&options.out).map_err(|error| Error::file(&options.out, error))?;
    let data = tealight::data::breast_cancer()?;
    let x = Standardize::fit(&data.inputs)?.normalize(&data.inputs)?.to_dtype(DType::F64)?;
    // A column of ones, whose weight is the bias.
    let x = Tensor::cat(&[&x, &Tensor::ones((x.dims()[0], 1), DType::F64, &Device::Cpu)?], 1)?;
    let targets = data.targets.to_dtype(DType::F64)?;
    // A little weight decay: without it a perfect separation would have no minimum.
    let loss = |w: &Tensor| BceWithLogits.loss(&x.matvec(w)?, &targets)? + (w.dot(w)? * 5e-3)?;

    let (mut curves, mut found) = (Vec::new(), BTreeMap::new());
    for (name, newton, steps) in [("Newton", true, 10), ("gradient descent", false, 60)] {
        let mut w = Tensor::zeros(x.dims()[1], DType::F64, &Device::Cpu)?;
        let mut curve = Vec::new();
        for step in 0..=steps {
            let leaf = Tensor::parameter(w);
            let value = loss(&leaf)?;
            let [slope] = autograd::grad(&value, [&leaf])?;
            let length = number(&slope.dot(&slope)?.sqrt()?)?;
            if newton || step % 20 == 0 {
                println!("{name} {step}: loss {:.15}, gradient {length:.1e}", number(&value)?);
            }
            curve.push((step as f64, length));
            let hessian = |v: &Tensor| autograd::hvp(&value, [&leaf], [v]).map(|[product]| product);
            let push = match newton {
                true => solve_cg(hessian, &slope, 1e-12)?,
                false => (slope * 0.5)?,
            };
            w = no_grad(|| leaf - push)?;
            if length < 1e-10 {
                break;
            }
        }
        found.insert(name.to_string(), w);
        curves.push((name, curve));
    }
    let file = options.out.join("newton.png");
    curve_with_axes(&file, "Two ways down", &Axes::new("step", "length of the gradient").log_y(), &curves)?;
    tealight::io::write(options.out.join("newton.safetensors"), &found)?;
    println!("wrote {} and newton.safetensors beside it", file.display());
    assert!(curves[0].1.len() < 10, "Newton takes under ten steps");
    Ok(())
}
