//! The classic traps of automatic differentiation, each with the right answer and where it is from.
//!
//! "torch" is what PyTorch 2.15 computes. docs/conventions.md has the whole table of kinks and degenerate points.

#![expect(clippy::eq_op, reason = "x/x is a trap")]
#![allow(clippy::unwrap_used, clippy::panic)] // a test fails by panicking

use tealight::layer::BatchNorm1d;
use tealight::loss::Bce;
use tealight::ops::PoolOptions;
use tealight::optim::Adam;
use tealight::prelude::*;

const INF: f64 = f64::INFINITY;
const NAN: f64 = f64::NAN;

fn tensor(x: &[f64]) -> Tensor {
    Tensor::new(x, &Device::Cpu).unwrap()
}

fn numbers(x: &Tensor) -> Result<Vec<f64>> {
    x.reshape(x.elem_count())?.to_vec1()
}

#[track_caller]
fn same(what: &str, got: &[f64], right: &[f64]) {
    let near = |(a, b): (&f64, &f64)| a == b || a.is_nan() && b.is_nan() || (a - b).abs() <= 1e-12 * b.abs();
    assert!(got.len() == right.len() && got.iter().zip(right).all(near), "{what}: {got:?}, not {right:?}");
}

/// The sum of an expression's results, its gradient, and, unless it is empty, the gradient of the sum of that gradient.
struct Trap {
    name: &'static str,
    source: &'static str,
    at: &'static [f64],
    f: fn(&Tensor) -> Result<Tensor>,
    value: f64,
    slope: &'static [f64],
    second: &'static [f64],
}

/// `name, source: f at x => value, slope[, second]`
macro_rules! traps {
    ($($name:literal, $source:literal: $f:expr, at $at:expr => $value:expr, $slope:expr $(, $second:expr)?;)*) => {
        const TRAPS: &[Trap] = &[$(Trap {
            name: $name, source: $source, at: &$at, f: $f, value: $value, slope: &$slope,
            second: traps!(@ $($second)?),
        }),*];
    };
    (@) => { &[] };
    (@ $second:expr) => { &$second };
}

/// Indices or a mask.
fn places(x: &[u32]) -> Tensor {
    Tensor::new(x, &Device::Cpu).unwrap()
}

traps! {
    // Kinks and ties.
    "relu at 0", "torch": |x| x.relu(), at [-1.0, 0.0, 1.0] => 1.0, [0.0, 0.0, 1.0], [0.0; 3];
    "|x| at 0", "torch": |x| x.abs(), at [-1.0, 0.0, 1.0] => 2.0, [-1.0, 0.0, 1.0], [0.0; 3];
    "clamp at its bounds", "torch, since 2.15": |x| x.clamp(-1.0, 1.0), at [-1.0, 0.5, 1.0] => 0.5, [0.0, 1.0, 0.0];
    "a tie of max", "torch: amax": |x| x.max_all(), at [2.0, 2.0, 1.0] => 2.0, [0.5, 0.5, 0.0];
    "a tie of the greater of two uses of one input", "torch": |x| x.maximum(&(x * 1.0)?), at [3.0] => 3.0, [1.0];
    "a tie of sort: stable, each place has one element", "torch": |x| x.sort(0, false)?.0 * tensor(&[1.0, 10.0, 100.0]),
        at [2.0, 2.0, 1.0] => 221.0, [10.0, 100.0, 1.0];
    "a tie of max_pool: the first one", "torch": |x| x.reshape((1, 1, 4))?.max_pool1d(PoolOptions::<1>::new(2)),
        at [1.0, 1.0, 3.0, 3.0] => 4.0, [1.0, 0.0, 1.0, 0.0], [0.0; 4];
    "the distance of two equal numbers", "torch": |x| (x.unsqueeze(1)? - x.unsqueeze(0)?)?.abs(),
        at [1.0, 1.0] => 0.0, [0.0, 0.0], [0.0, 0.0];
    // Constant functions: the gradient is 0, and not none.
    "times 0", "torch": |x| x * 0.0, at [3.0, -2.0] => 0.0, [0.0, 0.0], [0.0, 0.0];
    "divided by ∞", "torch": |x| x / INF, at [3.0, -2.0] => 0.0, [0.0, 0.0], [0.0, 0.0];
    "floor", "torch": |x| x.floor(), at [1.0, 1.5] => 2.0, [0.0, 0.0], [0.0, 0.0];
    "sign", "torch": |x| x.sign(), at [-2.0, 0.0, 5.0] => 0.0, [0.0; 3], [0.0; 3];
    "x⁰ at 0", "torch": |x| x.powf(0.0), at [0.0, 2.0] => 2.0, [0.0, 0.0], [0.0, 0.0];
    "the straight-through estimator", "Bengio et al. 2013; torch": |x| x + (x.round()? - x)?.detach(), at [1.4] => 1.0, [1.0];
    // Zeros in products and norms.
    "prod with one 0", "torch": |x| x.prod_all(), at [2.0, 0.0, 3.0] => 0.0, [0.0, 6.0, 0.0], [3.0, 5.0, 2.0];
    "prod with two 0", "torch": |x| x.prod_all(), at [0.0, 0.0, 3.0] => 0.0, [0.0; 3], [3.0, 3.0, 0.0];
    "cumprod with one 0", "torch": |x| x.cumprod(0), at [2.0, 0.0, 3.0] => 2.0, [1.0, 8.0, 0.0], [4.0, 6.0, 2.0];
    "cumprod with two 0", "torch": |x| x.cumprod(0), at [0.0, 2.0, 0.0, 3.0] => 0.0, [3.0, 0.0, 0.0, 0.0],
        [9.0, 1.0, 8.0, 0.0];
    "‖x‖ at 0", "torch": |x| x.norm_all(2.0), at [0.0, 0.0] => 0.0, [0.0, 0.0], [NAN, NAN];
    "‖x‖² at 0", "torch": |x| x.norm_all(2.0)?.sqr(), at [0.0, 0.0] => 0.0, [0.0, 0.0], [NAN, NAN];
    "Σ x² at 0, the remedy", "torch": |x| x.sqr()?.sum_all(), at [0.0, 0.0] => 0.0, [0.0, 0.0], [2.0, 2.0];
    "‖x‖ has a curvature elsewhere", "torch": |x| x.norm_all(2.0), at [3.0, 4.0] => 5.0, [0.6, 0.8], [0.032, -0.024];
    // 0 · ∞, 0/0 and ∞ − ∞.
    "√x at 0", "torch": |x| x.sqrt(), at [0.0] => 0.0, [INF], [-INF];
    "0 · √x at 0: the chain rule has 0 · ∞", "torch": |x| x.sqrt()? * 0.0, at [0.0] => 0.0, [NAN];
    "x/x at 0", "torch": |x| x / x, at [0.0] => NAN, [NAN];
    "a naive x·ln x at 0", "torch": |x| x * x.ln()?, at [0.0] => NAN, [NAN];
    "where does not stop the NaN of the branch not taken", "torch; JAX's FAQ": |x| x.gt(0.0)?.where_cond(&x.ln()?, &x.zeros_like()?),
        at [0.0, 1.0] => 0.0, [NAN, 1.0];
    "the remedy, where on the input too", "JAX's FAQ; torch":
        |x| {
            let some = x.gt(0.0)?;
            some.where_cond(&some.where_cond(x, &x.ones_like()?)?.ln()?, &x.zeros_like()?)
        },
        at [0.0, 2.0] => std::f64::consts::LN_2, [0.0, 0.5], [0.0, -0.25];
    "the second derivative through where", "torch": |x| x.gt(0.0)?.where_cond(&x.powf(2.0)?, &x.powf(3.0)?),
        at [2.0, -2.0] => -4.0, [4.0, 12.0], [2.0, -12.0];
    "eˣ/(1 + eˣ) overflows", "torch": |x| x.exp()? / (x.exp()? + 1.0)?, at [1000.0] => NAN, [NAN];
    "sigmoid does not", "torch": |x| x.sigmoid(), at [1000.0, -1000.0] => 1.0, [0.0, 0.0], [0.0, 0.0];
    "softplus of large numbers", "torch": |x| x.softplus(), at [1000.0, -1000.0] => 1000.0, [1.0, 0.0], [0.0, 0.0];
    "ln(1 + x) of small numbers", "torch": |x| x.log1p(), at [1e-20] => 1e-20, [1.0], [-1.0];
    "eˣ − 1 of small numbers", "torch": |x| x.expm1(), at [1e-20] => 1e-20, [1.0], [1.0];
    "the variance far from 0", "torch": |x| x.var_all(1), at [1e8, 1e8 + 1.0, 1e8 + 2.0] => 1.0, [-1.0, 0.0, 1.0], [0.0; 3];
    "ln Σ eˣ with a −∞", "torch": |x| x.logsumexp_all(), at [-INF, 1.0] => 1.0, [0.0, 1.0], [0.0, 0.0];
    "ln Σ eˣ of −∞ only", "the limit, where torch has NaN": |x| x.logsumexp_all(), at [-INF, -INF] => -INF, [0.0, 0.0];
    "a softmax masked with −∞", "torch":
        |x| Tensor::new(&[1_u8, 0, 0], &Device::Cpu)?.where_cond(&tensor(&[-INF; 3]), x)?.softmax(0)? * tensor(&[7.0, 0.0, 1.0]),
        at [5.0, 0.0, 0.0] => 0.5, [0.0, -0.25, 0.25], [0.0; 3];
    "−∞ of log_softmax at another class", "torch": |x| x.log_softmax(0)?.narrow(0, 1, 1), at [-INF, 0.0, 0.0] =>
        -std::f64::consts::LN_2, [0.0, 0.5, -0.5], [0.0; 3];
    // One element, equal ones, and none.
    "std of one element, n − 1", "torch": |x| x.std_all(1), at [3.0] => NAN, [NAN];
    "std of one element, n", "torch": |x| x.std_all(0), at [3.0] => 0.0, [0.0], [0.0];
    "std of equal elements", "torch": |x| x.std_all(1), at [3.0, 3.0, 3.0] => 0.0, [0.0; 3], [0.0; 3];
    "the mean of nothing", "torch": |x| x.mean_all(), at [] => NAN, [];
    "the sum of nothing", "torch": |x| x.sum_all(), at [] => 0.0, [];
    "the product of nothing", "torch": |x| x.prod_all(), at [] => 1.0, [];
    // Paths.
    "detach cuts one factor", "torch": |x| x * x.detach(), at [3.0] => 9.0, [3.0], [0.0];
    "one input used three times", "torch": |x| (x * x)? * x, at [2.0] => 8.0, [12.0], [12.0];
    "broadcasting is summed", "torch": |x| x.unsqueeze(1)? * tensor(&[3.0, 4.0, 5.0]), at [1.0, 2.0] => 36.0, [12.0, 12.0],
        [0.0, 0.0];
    "views of one storage that overlap", "torch": |x| x.narrow(0, 0, 2)? * x.narrow(0, 1, 2)?, at [1.0, 2.0, 3.0] => 8.0,
        [2.0, 4.0, 2.0], [1.0, 2.0, 1.0];
    "one place gathered twice", "torch": |x| x.index_select(0, &places(&[0, 0, 1]))? * tensor(&[1.0, 10.0, 100.0]),
        at [3.0, 4.0] => 433.0, [11.0, 100.0], [0.0, 0.0];
    "two added to one place", "torch": |x| tensor(&[0.0; 2]).index_add(0, &places(&[0, 0, 1]), x)?.sqr(),
        at [3.0, 4.0, 5.0] => 74.0, [14.0, 14.0, 10.0], [4.0, 4.0, 2.0];
    "two written to one place: the last is there, and only it counts", "the derivative of what was computed; torch has [1, 1, 1]":
        |x| tensor(&[0.0; 2]).scatter(0, &places(&[0, 0, 1]), x), at [3.0, 4.0, 5.0] => 9.0, [0.0, 1.0, 1.0], [0.0; 3];
    "a quantity written over", "torch: scatter": |x| x.scatter(0, &places(&[0]), &tensor(&[9.0])), at [3.0, 4.0] => 13.0,
        [0.0, 1.0], [0.0, 0.0];
    "the remainder jumps, its slope does not", "torch": |x| x.remainder(2.0), at [3.0, -1.5] => 1.5, [1.0, 1.0], [0.0, 0.0];
}

#[test]
fn values_and_slopes() -> Result<()> {
    for &Trap { name, source, at, f, value, slope, second } in TRAPS {
        let what = format!("{name} ({source})");
        let x = Tensor::parameter(tensor(at));
        let y = f(&x)?.sum_all()?;
        same(&what, &[y.to_scalar()?], &[value]);
        // The fused backward pass and the recorded one.
        let gradients = y.backward()?;
        same(&what, &numbers(gradients.get(&x).unwrap_or_else(|| panic!("{what}: no gradient")))?, slope);
        let [first] = autograd::grad(&y, [&x])?;
        same(&format!("{what}, recorded"), &numbers(&first)?, slope);
        if !second.is_empty() {
            let [again] = autograd::grad(&first.sum_all()?, [&x])?;
            same(&format!("{what}, second derivative"), &numbers(&again)?, second);
        }
    }
    Ok(())
}

/// torch, and Siskind and Pearlmutter 2005: ∂/∂x (x · ∂/∂y (x + y)) = 1. Perturbations confused give 2.
#[test]
fn nested_derivatives() -> Result<()> {
    let [x, y] = [3.0, 5.0].map(|x| Tensor::parameter(Tensor::new(x, &Device::Cpu).unwrap()));
    let [inner] = autograd::grad(&(&x + &y)?, [&y])?;
    let [outer] = autograd::grad(&(&x * inner)?, [&x])?;
    assert_eq!(outer.to_scalar::<f64>()?, 1.0);
    Ok(())
}

/// torch: a float made an integer and back has no history.
#[test]
fn integers_end_the_history() -> Result<()> {
    let x = Tensor::parameter(tensor(&[1.5]));
    let y = x.to_dtype(DType::I64)?.to_dtype(DType::F64)?;
    assert!(!y.requires_grad() && y.sum_all()?.backward().is_err());
    // Between float dtypes it has one, in the dtype of x.
    let gradients = x.to_dtype(DType::F16)?.sum_all()?.backward()?;
    assert_eq!(gradients.get(&x).unwrap().to_vec1::<f64>()?, [1.0]);
    Ok(())
}

/// torch's "modified by an inplace operation": a parameter changed between the passes is an error, not a wrong gradient.
#[test]
fn a_parameter_changed_in_between() -> Result<()> {
    let p = Parameter::new(tensor(&[3.0]));
    let loss = p.get().sqr()?.sum_all()?;
    let kept = p.get();
    p.set(&tensor(&[7.0]))?;
    let error = loss.backward().unwrap_err().to_string();
    assert!(error.contains("was changed after the forward pass"), "{error}");
    // What was read before is no view of the new value.
    assert_eq!(kept.to_vec1::<f64>()?, [3.0]);
    Ok(())
}

/// torch: `0 · √x` has the gradient NaN, and `detect_anomaly` names √.
#[test]
fn the_operation_of_a_nan_is_named() {
    let x = Tensor::parameter(tensor(&[0.0]));
    let error =
        autograd::detect_anomaly(|| (x.sqrt()? * 0.0)?.sum_all()?.backward()).unwrap_err().to_string();
    assert!(error.starts_with("sqrt: expected finite numbers in the backward pass"), "{error}");
}

/// torch for the first two; 0 · ln 0 = 0 (Cover and Thomas, 2.1) for the class of probability 0, where torch has NaN.
#[test]
fn cross_entropy_of_a_logit_of_minus_infinity() -> Result<()> {
    let x = Tensor::parameter(Tensor::new(&[[-INF, 1.0, 2.0]], &Device::Cpu)?);
    let (p, q) = (0.268_941_421_369_995_1, 0.731_058_578_630_004_9);
    for (class, value, slope) in [(1_u32, 1.313_261_687_518_222_8, [0.0, -q, q]), (0, INF, [-1.0, p, q])] {
        let loss = CrossEntropy::new().loss(&x, &Tensor::new(&[class], &Device::Cpu)?)?;
        same("the loss", &[loss.to_scalar()?], &[value]);
        same("its slope", &numbers(loss.backward()?.get(&x).unwrap())?, &slope);
    }
    let loss = CrossEntropy::new().loss(&x, &Tensor::new(&[[0.0, 0.5, 0.5]], &Device::Cpu)?)?;
    same("of probabilities", &[loss.to_scalar()?], &[0.813_261_687_518_222_8]);
    same("its slope", &numbers(loss.backward()?.get(&x).unwrap())?, &[0.0, p - 0.5, q - 0.5]);
    Ok(())
}

/// torch: 0 · ln 0 is 0, and a loss of logits does not overflow.
#[test]
fn binary_cross_entropy_at_its_ends() -> Result<()> {
    let at = |loss: &dyn Loss, x: f64, t: f64| -> Result<[f64; 2]> {
        let x = Tensor::parameter(tensor(&[x]));
        let y = loss.loss(&x, &tensor(&[t]))?;
        Ok([y.to_scalar()?, y.backward()?.get(&x).unwrap().to_vec1::<f64>()?[0]])
    };
    for (p, t) in [(0.0, 0.0), (1.0, 1.0)] {
        same("of a probability", &at(&Bce, p, t)?, &[0.0, 0.0]);
    }
    for (z, t, right) in [(1000.0, 1.0, [0.0, 0.0]), (-1000.0, 1.0, [1000.0, -1.0])] {
        same("of a logit", &at(&BceWithLogits, z, t)?, &right);
    }
    Ok(())
}

/// torch: normalised with the variance of n, remembered with that of n − 1; equal inputs leave √eps in the denominator.
#[test]
fn the_two_variances_of_batch_norm() -> Result<()> {
    let layer = BatchNorm1d::new(1)?;
    layer.to_dtype(DType::F64)?;
    let ctx = &mut ForwardContext::train(Rng::seed(1));
    let y = layer.forward(&Tensor::new(&[[1.0], [3.0]], &Device::Cpu)?, ctx)?;
    same("the output", &numbers(&y)?, &[-0.999_995_000_037_499_7, 0.999_995_000_037_499_7]);
    let state = |name: &str| layer.state_dict().into_iter().find(|(known, _)| known == name).unwrap().1.get();
    same("the mean", &numbers(&state("running_mean"))?, &[0.2]);
    same("the variance", &numbers(&state("running_var"))?, &[1.1]);
    let x = Tensor::parameter(Tensor::new(&[[3.0], [3.0]], &Device::Cpu)?);
    let y = (BatchNorm1d::new(1)?
        .without_affine()
        .forward(&x.to_dtype(DType::F32)?, ctx)?
        .to_dtype(DType::F64)?
        * Tensor::new(&[[1.0], [2.0]], &Device::Cpu)?)?;
    assert_eq!(numbers(&y)?, [0.0, 0.0]);
    let slope = numbers(y.sum_all()?.backward()?.get(&x).unwrap())?;
    let right = -158.113_883_008_418_95;
    assert!((slope[0] / right - 1.0).abs() < 1e-5 && (slope[1] / right + 1.0).abs() < 1e-5, "{slope:?}");
    Ok(())
}

/// torch: Adam's counter is no bfloat16, in which 256 + 1 is 256.
#[test]
fn the_counter_of_adam_in_low_precision() -> Result<()> {
    let p = Parameter::new(Tensor::ones(1, DType::BF16, &Device::Cpu)?);
    let mut optimizer = Adam::new(vec![("p".into(), p.clone())], 0.0)?;
    for _ in 0..300 {
        optimizer.step(&p.get().sum_all()?.backward()?)?;
    }
    assert_eq!(optimizer.state_dict()?["p.step"].to_scalar::<i64>()?, 300);
    Ok(())
}

/// torch: AdamW shrinks a parameter whose gradient is 0, and not one without a gradient.
#[test]
fn weight_decay_without_a_gradient() -> Result<()> {
    let p = Parameter::new(tensor(&[1.0]));
    let mut optimizer =
        AdamW::new(vec![("p".into(), p.clone())], 0.1)?.weight_decay(0.5)?.allow_unused("p")?;
    optimizer.step(&Gradients::default())?;
    assert_eq!(p.get().to_vec1::<f64>()?, [1.0]);
    optimizer.step(&(p.get() * 0.0)?.sum_all()?.backward()?)?;
    assert_eq!(p.get().to_vec1::<f64>()?, [0.95]);
    Ok(())
}

/// torch: clipping gradients of norm 0 divides nothing by 0.
#[test]
fn the_norm_of_zero_gradients() -> Result<()> {
    let p = Parameter::new(tensor(&[1.0, 2.0]));
    let parameters = vec![("p".to_string(), p.clone())];
    let mut gradients = (p.get() * 0.0)?.sum_all()?.backward()?;
    assert_eq!(gradients.clip_grad_norm(1.0, &parameters)?, 0.0);
    assert_eq!(gradients.get(&p.get()).unwrap().to_vec1::<f64>()?, [0.0, 0.0]);
    Ok(())
}

/// torch: the mean of 70,000 ones in half precision is 1, though their sum is above its largest number.
#[test]
fn a_mean_in_half_precision() -> Result<()> {
    let x = Tensor::parameter(Tensor::ones(70_000, DType::F16, &Device::Cpu)?);
    let y = x.mean_all()?;
    assert_eq!(y.to_dtype(DType::F64)?.to_scalar::<f64>()?, 1.0);
    let slope = y.backward()?.get(&x).unwrap().to_dtype(DType::F64)?.to_vec1::<f64>()?;
    // 1/70,000 rounded to float16, a subnormal number.
    assert_eq!(slope[0], 240.0 * 2f64.powi(-24));
    Ok(())
}

/// torch: gradients of two passes are added by the caller here, and backward twice gives the same twice.
#[test]
fn backward_twice_does_not_accumulate() -> Result<()> {
    let x = Tensor::parameter(tensor(&[3.0]));
    let y = x.sqr()?.sum_all()?;
    let (mut first, second) = (y.backward()?, y.backward()?);
    assert_eq!((first.get(&x), first.get(&x).unwrap().to_vec1::<f64>()?), (second.get(&x), vec![6.0]));
    first.add(&second)?;
    assert_eq!(first.get(&x).unwrap().to_vec1::<f64>()?, [12.0]);
    Ok(())
}
