//! Forward mode: jvp, taylor, laplacian, hessian_diagonal and divergence against reverse mode, and nested in each other; derivatives of batches.

#![allow(clippy::unwrap_used)] // in helpers of tests

use tealight::autograd::{self, Jacobian};
use tealight::formula::{Formula, Jet};
use tealight::layer::{BatchNorm1d, LayerNorm};
use tealight::prelude::*;

fn parameter(numbers: &[f64], dims: &[usize]) -> Tensor {
    Tensor::new(numbers, &Device::Cpu).unwrap().reshape(dims).unwrap().into_parameter()
}

fn normal(dims: &[usize], seed: u64) -> Tensor {
    Tensor::randn_dtype(0.0, 1.0, dims, DType::F64, &mut Rng::seed(seed)).unwrap().into_parameter()
}

fn scalar(x: f64) -> Tensor {
    Tensor::new(x, &Device::Cpu).unwrap()
}

fn numbers(x: &Tensor) -> Vec<f64> {
    x.flatten(0, -1).unwrap().to_vec1().unwrap()
}

#[track_caller]
fn close(a: &Tensor, b: &Tensor, tolerance: f64) {
    assert_eq!((a.dims(), a.dtype()), (b.dims(), b.dtype()));
    let (a, b) = (numbers(a), numbers(b));
    let scale = b.iter().fold(1e-3, |most: f64, x| most.max(x.abs()));
    let off = a
        .iter()
        .zip(&b)
        .map(|(a, b)| (a - b).abs())
        .fold(0.0, |most: f64, x| if x > most || x.is_nan() { x } else { most });
    assert!(off <= tolerance * scale, "{a:?}\n{b:?}");
}

fn mlp(sizes: &[usize], rng: &mut Rng) -> Result<Sequential> {
    let mut network = Sequential::new();
    for (i, pair) in sizes.windows(2).enumerate() {
        network = network.push(Linear::new(pair[0], pair[1], rng)?);
        if i + 2 < sizes.len() {
            network = network.push(Tanh);
        }
    }
    network.to_dtype(DType::F64)?;
    Ok(network)
}

#[test]
fn a_tangent_is_the_product_with_the_jacobian() -> Result<()> {
    type Function = fn(&Tensor) -> Result<Tensor>;
    let functions: [(&str, Function); 23] = [
        ("x·x", |x| x * x),
        ("broadcast", |x| x * x.narrow(0, 0, 1)?.exp()?),
        ("matmul", |x| x.matmul(&x.t()?)),
        ("outer", |x| x.i(0)?.outer(&x.i(1)?)),
        ("dot", |x| x.i(0)?.dot(&x.i(1)?)),
        ("softmax", |x| x.softmax(1)),
        ("log_softmax", |x| x.log_softmax(0)),
        ("logsumexp", |x| x.logsumexp(1)),
        ("norm", |x| x.norm(2.0, 1)),
        ("std", |x| x.std(1, 1)),
        ("sort", |x| Ok(x.sort(1, false)?.0)),
        ("max", |x| x.max(0)),
        ("cumsum", |x| x.cumsum(1)),
        ("cumprod", |x| x.cumprod(1)),
        ("prod", |x| x.prod(1)),
        ("cat", |x| Tensor::cat(&[&x.exp()?, x, &x.detach()], 0)),
        ("stack", |x| Tensor::stack(&[&x.sin()?, x], 1)),
        ("where", |x| x.gt(0.0)?.where_cond(&x.sqr()?, &x.detach())),
        ("flip, pad", |x| x.flip(&[0])?.pad(&[(1, 0), (0, 2)], tealight::ops::Pad::Constant(3.0))),
        ("normalize_rows", |x| x.normalize_rows(2.0)),
        ("a cross entropy", |x| CrossEntropy::new().loss(x, &Tensor::new(&[1_i64, 0, 2], &Device::Cpu)?)),
        ("mse", |x| Mse.loss(&x.exp()?, &x.sin()?)),
        ("pow", |x| x.abs()?.pow(x)),
    ];
    for (name, f) in functions {
        let (x, v) = (normal(&[3, 4], 1), normal(&[3, 4], 2).detach());
        let y = f(&x)?;
        let [j] = autograd::jacobian(&y, [&x])?;
        let j = j.reshape((y.elem_count(), 12))?;
        let expected = j.matvec(&v.flatten(0, -1)?)?.reshape(y.dims())?;
        let tangent = autograd::jvp(&y, [&x], [&v])?;
        println!("{name}");
        close(&tangent, &expected, 1e-12);
        let unrecorded = no_grad(|| autograd::jvp(&y, [&x], [&v]))?;
        close(&unrecorded, &expected, 1e-12);
        assert!(!unrecorded.requires_grad());
        // Along a line, and the sum of the second derivatives of each axis.
        let second = &autograd::taylor(&y, &x, &v, 2)?[1];
        let [h] = autograd::jacobian(&y.sum_all()?, [&x])?;
        let product = autograd::hvp(&y.sum_all()?, [&x], [&v])?;
        close(&second.sum_all()?, &(&product[0] * &v)?.sum_all()?, 1e-10);
        assert_eq!(h.dims(), [3, 4]);
        let z = x.flatten(0, -1)?.detach().into_parameter();
        let y = f(&z.reshape((3, 4))?)?;
        let [[hessian]] = autograd::hessian(&y.sum_all()?, [&z])?;
        let (laplacian, diagonal) = (autograd::laplacian(&y, &z)?, autograd::hessian_diagonal(&y, &z)?);
        close(&laplacian.sum_all()?, &hessian.trace()?, 1e-10);
        close(&diagonal.flatten(0, -1)?.reshape((y.elem_count(), 12))?.sum(0)?, &hessian.diag(0)?, 1e-10);
        close(&no_grad(|| autograd::laplacian(&y, &z))?, &laplacian, 1e-10);
    }
    Ok(())
}

#[test]
fn modes_nest_in_any_order() -> Result<()> {
    let (x, v) = (normal(&[4], 3), normal(&[4], 4).detach());
    let y = (x.sin()? * x.sum_all()?.exp()?)?.sum_all()?;
    let [hv] = autograd::hvp(&y, [&x], [&v])?;
    // Forward over reverse, reverse over forward, forward over forward.
    let [slope] = autograd::grad(&y, [&x])?;
    close(&autograd::jvp(&slope, [&x], [&v])?, &hv, 1e-13);
    let tangent = autograd::jvp(&y, [&x], [&v])?;
    let [back] = autograd::grad(&tangent, [&x])?;
    close(&back, &hv, 1e-13);
    close(&autograd::jvp(&tangent, [&x], [&v])?, &hv.dot(&v)?, 1e-13);
    // And once more: the gradient of vᵀHv, by three ways.
    let [third] = autograd::grad(&autograd::jvp(&tangent, [&x], [&v])?, [&x])?;
    let [other] = autograd::grad(&hv.dot(&v)?, [&x])?;
    close(&third, &other, 1e-12);
    close(&autograd::jvp(&autograd::jvp(&slope, [&x], [&v])?, [&x], [&v])?, &other, 1e-12);
    Ok(())
}

#[test]
fn perturbations_are_not_confused() -> Result<()> {
    // d/dx (x · d/dy (x + y)) = 1; with the two taken for one it would be 2. Siskind & Pearlmutter 2005.
    let (x, one) = (scalar(3.0).into_parameter(), scalar(1.0));
    let inner = |x: &Tensor| -> Result<Tensor> {
        let y = scalar(5.0).into_parameter();
        autograd::jvp(&(x + &y)?, [&y], [&one])
    };
    let outer = (&x * inner(&x)?)?;
    assert_eq!(autograd::jvp(&outer, [&x], [&one])?.to_scalar::<f64>()?, 1.0);
    assert_eq!(autograd::grad(&outer, [&x])?[0].to_scalar::<f64>()?, 1.0);
    // The inner one at y = x: d/dx (x · (d/dy x·y² at y = x)) = d/dx 2x³ = 6x²
    let y = (&x + 0.0)?;
    let product = (&x * y.sqr()?)?;
    let slope = (product - 0.0)?;
    let by_y = autograd::jvp(&slope, [&y], [&one])?;
    assert_eq!(by_y.to_scalar::<f64>()?, 18.0);
    assert_eq!(autograd::jvp(&(&x * by_y)?, [&x], [&one])?.to_scalar::<f64>()?, 54.0);
    // A direction that depends on x: d/dx (J·x²) of y = x³ is d/dx 3x⁴.
    let along = autograd::jvp(&x.powf(3.0)?, [&x], [&x.sqr()?])?;
    assert_eq!(autograd::jvp(&along, [&x], [&one])?.to_scalar::<f64>()?, 12.0 * 27.0);
    // An x that is made of another x counts for both.
    let made = x.sqr()?;
    assert_eq!(autograd::jvp(&(&made * &x)?, [&x, &made], [&one, &one])?.to_scalar::<f64>()?, 27.0 + 3.0);
    assert_eq!(autograd::jvp(&made, [&x, &x], [&one, &one])?.to_scalar::<f64>()?, 12.0);
    Ok(())
}

#[test]
fn derivatives_of_a_network() -> Result<()> {
    let rng = &mut Rng::seed(7);
    let network = mlp(&[3, 8, 8, 3], rng)?;
    let x = normal(&[5, 3], 8);
    let y = network.forward(&x, &mut ForwardContext::eval())?;
    let potential = y.narrow(1, 0, 1)?;
    let mut slow = (Vec::new(), Vec::new());
    for row in 0..5 {
        let [[h]] = autograd::hessian(&potential.i((row, 0))?, [&x])?;
        let h = h.i((row, .., row))?;
        slow.0.push(h.trace()?);
        let [j] = autograd::jacobian(&y.i(row)?, [&x])?;
        slow.1.push(j.i((.., row))?.trace()?);
    }
    let slow = [slow.0, slow.1].map(|rows| Tensor::stack(&rows.iter().collect::<Vec<_>>(), 0).unwrap());
    close(&autograd::laplacian(&potential, &x)?.squeeze(1)?, &slow[0], 1e-12);
    close(&autograd::divergence(&y, &x)?, &slow[1], 1e-12);
    close(&autograd::hessian_diagonal(&potential, &x)?.sum(2)?.squeeze(1)?, &slow[0], 1e-12);

    // A loss that holds them is differentiated by the parameters as one that holds the slow ones.
    let slow = (slow[0].sqr()?.sum_all()? + slow[1].sin()?.sum_all()?)?;
    let fast = (autograd::laplacian(&potential, &x)?.sqr()?.sum_all()?
        + autograd::divergence(&y, &x)?.sin()?.sum_all()?)?;
    let (slow, fast) = (slow.backward()?, fast.backward()?);
    for (name, p) in network.parameters() {
        match (fast.get(&p.get()), slow.get(&p.get())) {
            (Some(fast), Some(slow)) => close(fast, slow, 1e-11),
            (fast, slow) => assert!(
                name.contains('4') && fast.is_none_or(|x| numbers(x).iter().all(|&x| x == 0.0)),
                "{name} {slow:?}"
            ),
        }
    }
    Ok(())
}

#[test]
fn layers_with_statistics() -> Result<()> {
    let rng = &mut Rng::seed(9);
    let network = Sequential::new()
        .push(Conv2d::new(2, 4, 3, ConvOptions::new(), rng)?)
        .push(Relu)
        .push(Flatten)
        .push(Linear::new(16, 6, rng)?)
        .push(BatchNorm1d::new(6)?)
        .push(LayerNorm::new(6)?)
        .push(Softplus::default());
    network.to_dtype(DType::F64)?;
    let (x, v) = (normal(&[3, 2, 4, 4], 10), normal(&[3, 2, 4, 4], 11).detach());
    let y = network.forward(&x, &mut ForwardContext::train(rng.clone()))?;
    let [j] = autograd::jacobian(&y, [&x])?;
    let expected = j.reshape((18, 96))?.matvec(&v.flatten(0, -1)?)?.reshape((3, 6))?;
    close(&autograd::jvp(&y, [&x], [&v])?, &expected, 1e-12);
    let parameters: Vec<Tensor> = network.parameters().iter().map(|(_, p)| p.get()).collect();
    for p in &parameters {
        let v = normal(p.dims(), 12).detach();
        let [j] = autograd::jacobian(&y, [p])?;
        let expected = j.reshape((18, p.elem_count()))?.matvec(&v.flatten(0, -1)?)?.reshape((3, 6))?;
        close(&autograd::jvp(&y, [p], [&v])?, &expected, 1e-12);
    }
    Ok(())
}

/// x³, which says what forward mode needs in one of several ways.
#[derive(Debug)]
struct Cube(&'static str);

impl Op<1> for Cube {
    const NAME: &'static str = "cube";
    fn forward(&self, [x]: [&Array; 1], ctx: &mut SaveContext) -> Result<Array> {
        ctx.save_input(0);
        Ok((x.sqr()? * x)?)
    }
    fn backward(&self, saved: &Saved, grad: &Tensor) -> Result<[Option<Tensor>; 1]> {
        let x = saved.input(0)?;
        let x = if self.0 == "arrays" { x.detach() } else { x };
        let grad = if self.0 == "arrays" { grad.detach() } else { grad.clone() };
        Ok([Some((grad * (x.sqr()? * 3.0)?)?)])
    }
    fn jacobian(&self) -> Jacobian {
        if self.0 == "diagonal" { Jacobian::Diagonal } else { Jacobian::General }
    }
    fn jvp(&self, saved: &Saved, [x]: [Option<&Tensor>; 1]) -> Result<Option<Tensor>> {
        match (self.0, x) {
            ("rule", Some(v)) => Ok(Some((v * (saved.input(0)?.sqr()? * 3.0)?)?)),
            ("wrong shape", Some(_)) => Ok(Some(scalar(1.0))),
            _ => Ok(None),
        }
    }
}

#[test]
fn a_custom_operation() -> Result<()> {
    let (x, v) = (parameter(&[1.0, 2.0], &[2]), Tensor::new(&[1.0, 10.0], &Device::Cpu)?);
    for way in ["general", "diagonal", "rule"] {
        let y = Cube(way).apply([&x])?;
        assert_eq!(numbers(&autograd::jvp(&y, [&x], [&v])?), [3.0, 120.0], "{way}");
        let orders: Vec<Vec<f64>> = autograd::taylor(&y, &x, &v, 4)?.iter().map(numbers).collect();
        assert_eq!(orders, [[3.0, 120.0], [6.0, 1200.0], [6.0, 6000.0], [0.0, 0.0]], "{way}");
        assert_eq!(numbers(&autograd::hessian_diagonal(&y, &x)?), [6.0, 0.0, 0.0, 12.0], "{way}");
    }
    let message = |way| autograd::jvp(&Cube(way).apply([&x]).unwrap(), [&x], [&v]).unwrap_err().to_string();
    assert!(
        message("arrays").starts_with("cube: backward is not made of tensor operations"),
        "{}",
        message("arrays")
    );
    assert!(
        message("wrong shape").starts_with("cube: jvp returned a tangent of shape []"),
        "{}",
        message("wrong shape")
    );
    Ok(())
}

#[test]
fn edges() -> Result<()> {
    let x = parameter(&[1.0, 2.0], &[2]);
    let other = parameter(&[3.0, 4.0], &[2]);
    // No way from x to y.
    assert_eq!(numbers(&autograd::laplacian(&other.sqr()?, &x)?), [0.0; 2]);
    assert_eq!(numbers(&autograd::hessian_diagonal(&other.detach(), &x)?), [0.0; 4]);
    assert_eq!(numbers(&autograd::divergence(&other.sqr()?, &x)?), [0.0]);
    assert!(autograd::taylor(&x.sqr()?, &x, &other.detach(), 0)?.is_empty());
    // y is x itself.
    assert_eq!(numbers(&autograd::jvp(&x, [&x], [&other])?), [3.0, 4.0]);
    assert_eq!(numbers(&autograd::divergence(&x, &x)?), [2.0]);
    assert_eq!(numbers(&autograd::laplacian(&x, &x)?), [0.0; 2]);
    // A scalar, one element, none.
    let one = scalar(2.0).into_parameter();
    assert_eq!(autograd::laplacian(&one.powf(3.0)?, &one)?.to_scalar::<f64>()?, 12.0);
    for dims in [[0, 3], [3, 0]] {
        let empty = Tensor::zeros(&dims[..], DType::F64, &Device::Cpu)?.into_parameter();
        assert_eq!(autograd::laplacian(&empty.exp()?, &empty)?.dims(), dims);
        assert_eq!(autograd::hessian_diagonal(&empty.sqr()?, &empty)?.dims(), [dims[0], dims[1], dims[1]]);
        assert_eq!(autograd::divergence(&empty.sqr()?, &empty)?.dims(), &dims[..1]);
        assert_eq!(autograd::jvp(&empty.exp()?, [&empty], [&empty.detach()])?.dims(), dims);
    }
    let []: [Tensor; 0] = [];
    assert_eq!(numbers(&autograd::jvp(&x, [], [])?), [0.0; 2]);
    // Each dtype.
    for dtype in [DType::F16, DType::BF16, DType::F32] {
        let x = x.detach().to_dtype(dtype)?.into_parameter();
        let y = x.powf(3.0)?;
        let second = autograd::taylor(&y, &x, &x.ones_like()?, 2)?.pop().unwrap();
        assert_eq!((second.dtype(), numbers(&second.to_dtype(DType::F64)?)), (dtype, vec![6.0, 12.0]));
        assert_eq!(numbers(&autograd::laplacian(&y, &x)?.to_dtype(DType::F64)?), [6.0, 12.0]);
    }
    // A view, and a change of dtype on the way.
    let wide = x.to_dtype(DType::F32)?.unsqueeze(0)?.t()?.to_dtype(DType::F64)?;
    assert_eq!(numbers(&autograd::jvp(&wide.sqr()?, [&x], [&other.detach()])?), [6.0, 16.0]);
    let error = autograd::laplacian(&x.sqr()?, &x.detach()).unwrap_err().to_string();
    assert_eq!(error, "jvp: input 0 does not require a gradient (make it with Tensor::parameter)");
    let error = autograd::divergence(&x.sum_all()?, &x).unwrap_err().to_string();
    assert_eq!(
        error,
        "divergence: expected a field and a place with last axes of one length, got [] and [2]"
    );
    let error = autograd::jvp(&x.sqr()?, [&x], [&scalar(1.0)]).unwrap_err().to_string();
    assert_eq!(error, "jvp: expected a vector of the shape of its x, got [2] and []");
    assert!(autograd::jvp(&x.sqr()?, [&x], [&x.to_dtype(DType::F32)?]).is_err());
    // A parameter that was changed after the forward pass.
    let p = Parameter::new(Tensor::new(&[1.0, 2.0], &Device::Cpu)?);
    let (leaf, y) = (p.get(), p.get().sqr()?);
    p.set(&Tensor::new(&[3.0, 4.0], &Device::Cpu)?)?;
    assert!(
        autograd::jvp(&y, [&leaf], [&other.detach()])
            .unwrap_err()
            .to_string()
            .contains("was changed after the forward pass")
    );
    Ok(())
}

/// A random formula: each step takes two of the values before it.
#[derive(Clone, Debug)]
struct Program(Vec<(u8, usize, usize)>);

impl Formula<1> for Program {
    const NAME: &'static str = "random";
    fn value<R: Real>(&self, [x]: [R; 1]) -> R {
        self.values(x).last().unwrap().tanh()
    }
}

impl Program {
    fn values<R: Real>(&self, x: R) -> Vec<R> {
        let c = R::constant;
        let mut values = vec![x, c(0.75)];
        for &(kind, a, b) in &self.0 {
            let (a, b) = (values[a % values.len()], values[b % values.len()]);
            let positive = c(1.0) + a * a;
            values.push(match kind % 20 {
                0 => a + b,
                1 => a - c(0.5) * b,
                2 => a.tanh() * b.sigmoid(),
                3 => a.sin() / (c(2.0) + b.cos()),
                4 => (-(a * a)).exp(),
                5 => positive.ln(),
                6 => positive.sqrt(),
                7 => positive.recip() * b,
                8 => a.erf() + b.erfc(),
                9 => a.atan(),
                10 => a.abs(),
                11 => a.maximum(b),
                12 => a.minimum(c(0.3)),
                13 => a.tanh().powi(3),
                14 => positive.powf(c(-1.5)),
                15 => positive.powf(b.tanh()),
                16 => b.tanh().exp_m1() - (a * a).ln_1p(),
                17 => a.select_gt(b, a.sin(), b.cos()),
                18 => (a + c(7.3)).remainder(c(1.7)),
                _ => a.tanh().powf(c(2.0)),
            });
        }
        values
    }
}

/// Compares the series of random formulas of up to `steps` operations with their recorded derivatives to order K.
fn random_formulas<const K: usize>(mut seed: u64, cases: usize, steps: usize) -> Result<()> {
    let mut next = || {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) as usize
    };
    for _ in 0..cases {
        let program = Program((0..1 + next() % steps).map(|_| (next() as u8, next(), next())).collect());
        let at = next() as f64 / 2f64.powi(31) * 4.0 - 2.0;
        let x = parameter(&[at], &[1]);
        let y = tealight::ops::apply(program.clone(), [&x])?;
        let recorded = autograd::taylor(&y, &x, &x.ones_like()?, K)?;
        let values = program.values(Jet::<f64, K>::variable(at));
        let jet = values.last().unwrap().tanh();
        // How fast the values on the way change: the recorded slope of a flat part, as 1 − y² of tanh, is exact to a rounding error of 1
        // alone, and multiplied with their powers.
        let speed = |v: &Jet<f64, K>| {
            (1..=K).map(|k| v.coefficient(k).abs().powf(1.0 / k as f64)).fold(1.0, f64::max)
        };
        let speed = values.iter().map(speed).fold(1.0, f64::max);
        for (k, recorded) in (1..).zip(&recorded) {
            let (got, expected) = (jet.derivative(k), numbers(recorded)[0]);
            let scale = (0..=k).map(|k| jet.derivative(k).abs()).fold(1.0, f64::max);
            let bound = 1e-10 * scale + 1e-14 * speed.powi(k as i32);
            assert!((got - expected).abs() <= bound, "{program:?} at {at}, order {k}: {got} {expected}");
        }
    }
    Ok(())
}

#[test]
fn random_formulas_have_the_series_of_their_recorded_derivatives() -> Result<()> {
    // With a forced instruction set, which changes no number, a tenth of the 10,000 is enough.
    let part = if std::env::var_os("TEALIGHT_SIMD").is_some() { 10 } else { 1 };
    std::thread::scope(|scope| {
        let low = [1, 2, 3].map(|seed| scope.spawn(move || random_formulas::<4>(seed, 3_000 / part, 4)));
        let high = scope.spawn(move || random_formulas::<8>(4, 1_000 / part, 3));
        low.into_iter().chain([high]).try_for_each(|thread| thread.join().expect("no formula differs"))
    })
}

/// f(t) and its derivatives by a series, up to K.
fn series<const K: usize>(t: f64, f: impl Fn(Jet<f64, K>) -> Jet<f64, K>) -> Vec<f64> {
    let y = f(Jet::variable(t));
    (0..=K).map(|k| y.derivative(k)).collect()
}

/// The value of a scalar function, and its derivatives along the ones, by forward mode; the first must be the gradient's sum.
fn modes(x: &[f64], f: impl Fn(&Tensor) -> Result<Tensor>) -> Vec<f64> {
    let x = parameter(x, &[x.len()]);
    let y = f(&x).unwrap().sum_all().unwrap();
    let tangents = autograd::taylor(&y, &x, &x.ones_like().unwrap(), 2).unwrap();
    let [back] = autograd::grad(&y, [&x]).unwrap();
    let (forward, reverse) = (numbers(&tangents[0])[0], numbers(&back).iter().sum::<f64>());
    // Where the two modes differ, no row expects what this returns.
    let same =
        forward == reverse || (forward - reverse).abs() < 1e-12 || forward.is_nan() && reverse.is_nan();
    vec![numbers(&y)[0], if same { forward } else { f64::MAX }, numbers(&tangents[1])[0]]
}

#[test]
fn hard_points() -> Result<()> {
    let (inf, nan) = (f64::INFINITY, f64::NAN);
    let c = |x: f64| Jet::<f64, 5>::constant(x);
    let t = |x: f64, f: fn(Jet<f64, 5>) -> Jet<f64, 5>| series::<5>(x, f);
    let wrong = std::cell::RefCell::new(Vec::new());
    let eq = |source: &str, got: &[f64], expected: &[f64]| {
        let same = |(a, b): (&f64, &f64)| {
            a == b || (a - b).abs() <= 1e-12 * b.abs().max(1.0) || a.is_nan() && b.is_nan()
        };
        if got.len() < expected.len() || !got.iter().zip(expected).all(same) {
            wrong.borrow_mut().push(format!("{source}: {got:?}, not {expected:?}"));
        }
    };
    // Norms and roots.
    eq("pytorch/pytorch#2421: the norm at 0", &modes(&[0.0, 0.0], |x| x.norm(2.0, 0)), &[0.0, 0.0, 0.0]);
    eq(
        "jax-ml/jax#4177: the square of the norm at 0",
        &modes(&[0.0, 0.0], |x| x.norm(2.0, 0)?.sqr()),
        &[0.0, 0.0],
    );
    eq("HIPS/autograd#151: the norm of one element", &modes(&[0.0], |x| x.norm(2.0, 0)), &[0.0, 0.0]);
    eq(
        "stan-dev/math#3031: the distance of a point to itself",
        &modes(&[3.0, 4.0], |x| x.pairwise_distance(x, 2.0)),
        &[0.0, 0.0],
    );
    eq("pytorch/pytorch#6394: √(x²) at 0 as |x|", &t(0.0, |x| (x * x).sqrt()), &[0.0, 0.0, 0.0, 0.0]);
    eq(
        "IvanYashchuk/jax-fenics-adjoint#2: the same along 2.5·t",
        &[Jet::<f64, 2>::line(0.0, 2.5).powi(2).sqrt().derivative(1)],
        &[0.0],
    );
    eq("Griewank & Walther 2008, 13: √ at 0", &t(0.0, |x| x.sqrt()), &[0.0, inf, -inf, inf]);
    eq(
        "HajimeKawahara/exojax#598: √ of a zero that is constant",
        &t(2.0, |x| Jet::constant(0.0).sqrt() * x),
        &[0.0; 6],
    );
    // 0/0.
    eq("jax-ml/jax#1722: sin x / x at 0", &t(0.0, |x| x.sin() / x)[..5], &[1.0, 0.0, -1.0 / 3.0, 0.0, 0.2]);
    let sinc = |x: Jet<f64, 5>| (x * c(std::f64::consts::PI)).sin() / (x * c(std::f64::consts::PI));
    let sum = |t: Jet<f64, 5>| {
        c(2.0) * sinc(t) - c(3.0) * sinc(c(2.0) * t + c(1.0)) + c(5.0) * sinc(t * c(-0.5) + c(2.0))
    };
    eq("pytorch/pytorch#196703: sinc, once at 0", &series(-0.5, sum)[2..3], &[35.564_040_736_688_97]);
    let near = series(0.499_999_999_999_999_94, |t| sinc(c(2.0) * t - c(1.0)));
    eq("jax-ml/jax#40629: sinc near 0", &near[1..2], &[7.3e-16]);
    eq("HIPS/autograd#570: 1/(1/x) at 0", &t(1e-200, |x| x.recip().recip())[..1], &[1e-200]);
    eq("Kahan: (eˣ − 1)/x at 0", &t(0.0, |x| x.exp_m1() / x)[..3], &[1.0, 0.5, 1.0 / 3.0]);
    // Powers of 0.
    eq(
        "tensorflow/tensorflow#35011: x⁴ at 0",
        &t(0.0, |x| x.powf(Jet::constant(4.0))),
        &[0.0, 0.0, 0.0, 0.0, 24.0, 0.0],
    );
    let polynomial = |x: Jet<f64, 5>| {
        (1..5).fold(x, |sum, k| sum + x.powf(Jet::constant(f64::from(k))) - x.powf(Jet::constant(0.0)))
    };
    eq(
        "tensorflow/tensorflow#35011: a polynomial at 0",
        &series(0.0, polynomial),
        &[-4.0, 2.0, 2.0, 6.0, 24.0, 0.0],
    );
    eq("RobotLocomotion/drake#23862: x⁰ at 0", &t(0.0, |x| x.powf(Jet::constant(0.0))), &[1.0, 0.0, 0.0]);
    for (e, slope) in [(2.0, 0.0), (1.0, 1.0), (0.5, inf), (0.0, 0.0), (-1.0, -inf)] {
        eq("stan-dev/math#3031: the slope of xᵉ at 0", &modes(&[0.0], |x| x.powf(e))[1..2], &[slope]);
        eq(
            "roystgnr/MetaPhysicL#49: the same in a series",
            &[Jet::<f64, 1>::variable(0.0).powf(Jet::constant(e)).derivative(1)],
            &[slope],
        );
    }
    let zero = |x: &Tensor| x * 0.0;
    eq(
        "pytorch/pytorch#27134: aᵇ by b at a = 0",
        &modes(&[1.0], |b| zero(b)?.detach().pow(b)),
        &[0.0, 0.0, 0.0],
    );
    eq(
        "pytorch/pytorch#95180: twice, at b = 0",
        &modes(&[0.0], |b| zero(b)?.detach().pow(b)),
        &[1.0, 0.0, 0.0],
    );
    eq("ekmett/ad#54: x^y at (0, 2) by both", &modes(&[0.0], |x| x.pow(&(x + 2.0)?)), &[0.0, 0.0]);
    eq(
        "Hoffmann 2016: the cube of a negative number",
        &t(-2.0, |x| x.powf(Jet::constant(3.0))),
        &[-8.0, 12.0, -12.0, 6.0, 0.0],
    );
    // Logarithms.
    eq("pytorch's xlogy: x·ln x at 0", &modes(&[0.0], |x| x.xlogy(&x.detach())), &[0.0, 0.0]);
    eq(
        "the JAX FAQ, \"gradients contain NaN where using where\"",
        &t(0.0, |x| x.select_gt(Jet::constant(0.0), x.ln(), Jet::constant(0.0))),
        &[0.0; 6],
    );
    eq("tensorflow/tensorflow#59046: NaN stays NaN", &modes(&[-2.0], |x| x.log1p())[..1], &[nan]);
    eq(
        "Blanchard, Higham & Higham 2021: logsumexp of −∞",
        &modes(&[-inf, -inf], |x| x.logsumexp(0)),
        &[-inf, 0.0, 0.0],
    );
    // Kinks and ties.
    eq("jax-ml/jax#10515: |x| at 0", &modes(&[0.0], |x| x.abs()), &[0.0, 0.0, 0.0]);
    eq("Bertoin et al. 2021: relu at 0", &modes(&[0.0], |x| x.relu()), &[0.0, 0.0, 0.0]);
    eq(
        "Lee et al. 2020: relu(x) − relu(−x) at 0",
        &modes(&[0.0], |x| x.relu()? - x.neg()?.relu()?),
        &[0.0, 0.0],
    );
    let largest = |x: &Tensor| {
        let [a, d, b] = [x.narrow(0, 0, 1)?, x.narrow(0, 1, 1)?, x.narrow(0, 2, 1)?];
        ((&a + &d)? * 0.5)?.sum_all()? + Tensor::cat(&[&((&a - &d)? * 0.5)?, &b], 0)?.norm(2.0, 0)?
    };
    eq(
        "Overton 1988: the larger of two equal eigenvalues, of [[a, b], [b, d]]",
        &modes(&[2.0, 2.0, 0.0], largest),
        &[2.0, 1.0, 0.0],
    );
    let split = modes(&[3.0, 1.0, 0.0], largest);
    eq("the same where they differ: 1 and 2·1/(3 − 1)", &split, &[3.0, 1.0, 1.0]);
    eq("HIPS/autograd#141: a tie of the largest", &modes(&[2.0, 2.0], |x| x.max(0)), &[2.0, 1.0, 0.0]);
    // Saturation and overflow.
    let flat = series::<5>(195.0, |x| x.tanh());
    eq("jax-ml/jax#764: tanh far out", &flat, &[1.0, 0.0, 0.0, 0.0, 0.0, 0.0]);
    eq(
        "JuliaDiff/ForwardDiff.jl#745: a·e¹⁰⁰⁰ by a",
        &series::<1>(1.0, |a| a * Jet::constant(1000.0).exp()),
        &[inf, inf],
    );
    eq("atan2 at (0, 0)", &modes(&[0.0], |x| x.atan2(&(x * 2.0)?)), &[0.0, 0.0]);
    eq("asin at 1", &modes(&[1.0], |x| x.asin())[1..2], &[inf]);
    // Nested.
    let (p, x) = (scalar(3.0).into_parameter(), scalar(2.0).into_parameter());
    let nested = autograd::taylor(&(&p * x.sqr()?)?, &x, &scalar(1.0), 2)?.pop().unwrap();
    eq("tsotchke/eshkol#138: d/dp d²/dx² p·x²", &numbers(&autograd::grad(&nested, [&p])?[0]), &[2.0]);
    // Manzyuk et al. 2019, "Perturbation confusion in forward automatic differentiation of higher-order functions":
    // D²f at x by D of x ↦ D f(x), where the inner function is kept and called later.
    let kept: Vec<Tensor> = [0.0, 1.0]
        .iter()
        .map(|shift| autograd::jvp(&(&x + *shift)?.powf(3.0)?, [&x], [&scalar(1.0)]))
        .collect::<Result<_>>()?;
    let later = autograd::jvp(&(&kept[0] * &kept[1])?, [&x], [&scalar(1.0)])?;
    // (3x²·3(x + 1)²)′ = 9·(2x·(x + 1)² + 2x²·(x + 1)) at 2
    eq("Manzyuk et al. 2019", &numbers(&later), &[9.0 * (4.0 * 9.0 + 8.0 * 3.0)]);
    assert!(wrong.borrow().is_empty(), "{:#?}", wrong.borrow());
    Ok(())
}

#[test]
fn high_orders_are_nested_tangents() -> Result<()> {
    type Function = fn(&Tensor) -> Result<Tensor>;
    let functions: &[(&str, Function)] = &[
        ("sin", |x| x.sin()),
        ("exp of a polynomial", |x| (x.powf(3.0)? - (x * 0.5)?)?.exp()),
        ("tanh, sigmoid", |x| x.tanh()? * x.sigmoid()?),
        ("gelu", |x| x.gelu()),
        ("a quotient", |x| x.cos()? / (x.sqr()? + 1.0)?),
        ("a power", |x| (x.sqr()? + 0.5)?.pow(x)),
        ("atan, erf, ln", |x| (x.atan()? + x.erf()?)? * (x.sqr()? + 2.0)?.ln()?),
        ("broadcast", |x| x * x.narrow(0, 0, 1)?.exp()?),
        ("matmul", |x| x.tanh()?.matmul(&x.t()?.sin()?)),
        ("softmax", |x| x.softmax(1)),
        ("log_softmax", |x| x.log_softmax(0)?.sqr()),
        ("logsumexp", |x| x.logsumexp(1)),
        ("norm", |x| x.norm(2.0, 1)),
        ("prod", |x| x.prod(1)),
        #[cfg(feature = "linalg")]
        ("solve", |x| {
            let square = (x.i((.., 0..3))? + (Tensor::eye(3, DType::F64, &Device::Cpu)? * 4.0)?)?;
            square.solve(&x.i((.., 3))?)
        }),
        #[cfg(feature = "linalg")]
        ("inv", |x| (x.i((.., 0..3))? + (Tensor::eye(3, DType::F64, &Device::Cpu)? * 4.0)?)?.inv()),
        ("max, cumsum, cat", |x| Tensor::cat(&[&x.cumsum(1)?.sqr()?, &x.max_keepdim(0)?.powf(4.0)?], 0)),
    ];
    for &(name, f) in functions {
        println!("{name}");
        let (x, v) = ((normal(&[3, 4], 21) * 0.7)?.detach().into_parameter(), normal(&[3, 4], 22).detach());
        let y = f(&x)?;
        let found = autograd::taylor(&y, &x, &v, 5)?;
        let unrecorded = no_grad(|| autograd::taylor(&y, &x, &v, 5))?;
        let mut nested = y;
        for (found, unrecorded) in found.iter().zip(&unrecorded) {
            nested = autograd::jvp(&nested, [&x], [&v])?;
            close(found, &nested, 1e-10);
            close(unrecorded, found, 1e-12);
            assert!(!unrecorded.requires_grad());
        }
        // The fourth one, differentiated backwards along the line, is the fifth.
        let [slope] = autograd::grad(&found[3].sum_all()?, [&x])?;
        close(&(slope * &v)?.sum_all()?, &found[4].sum_all()?, 1e-9);
    }
    Ok(())
}

#[test]
fn the_fourth_derivative_of_a_network_is_that_of_mpmath() -> Result<()> {
    // As in tests/reference/jets.py: x + t·v through 3-8-8-1.
    let weights = |from: usize, n: usize| -> Vec<f64> {
        (from..from + n).map(|i| ((i * 37 + 11) % 101) as f64 / 64.0 - 0.75).collect()
    };
    let tensor = |x: Vec<f64>, dims: &[usize]| Tensor::new(&x[..], &Device::Cpu)?.reshape(dims);
    let rows: Vec<[f64; 3]> = include_str!("reference/jets.csv")
        .lines()
        .filter_map(|row| row.strip_prefix("mlp,"))
        .map(|row| {
            let numbers: Vec<f64> = row.split(',').map(|x| x.parse().unwrap()).collect();
            [numbers[0], numbers[1], numbers[2]]
        })
        .collect();
    assert!(rows.len() > 200);
    let t = tensor(rows.iter().map(|row| row[0]).collect(), &[rows.len(), 1])?.into_parameter();
    let line = (tensor(vec![0.5, -0.25, 1.0], &[3])? + (&t * tensor(vec![1.0, 2.0, -1.0], &[3])?)?)?;
    let layer = |x: &Tensor, from: usize, dims: [usize; 2], bias: usize| {
        let weight = tensor(weights(from, dims[0] * dims[1]), &dims)?;
        x.matmul(&weight.t()?)? + tensor(weights(bias, dims[0]), &dims[..1])?
    };
    let hidden = layer(&layer(&line, 0, [8, 3], 24)?.tanh()?, 32, [8, 8], 96)?.tanh()?;
    let y = hidden.matmul(&tensor(weights(104, 8), &[8, 1])?)?;
    let fourth = &autograd::taylor(&y, &t, &t.ones_like()?, 4)?[3];
    for (got, [at, exact, moved]) in numbers(fourth).into_iter().zip(rows) {
        let error = (got - exact).abs() / (exact.abs() + moved);
        assert!(error < 1e-12, "{at}: {got} {exact} {error:e}");
    }
    Ok(())
}

#[test]
fn the_second_derivatives_of_each_activation() -> Result<()> {
    type Function = fn(&Tensor) -> Result<Tensor>;
    let functions: &[(&str, Function)] = &[
        ("tanh", |x| x.tanh()),
        ("sigmoid", |x| x.sigmoid()),
        ("gelu", |x| x.gelu()),
        ("silu", |x| x.silu()),
        ("softplus", |x| x.softplus()),
        ("elu", |x| x.elu(0.7)),
        ("relu, whose second derivative is 0", |x| x.relu()),
        ("sin", |x| x.sin()),
        ("sqr, whose second derivative is constant", |x| x.sqr()),
        ("a slope that is constant", |x| x * 3.0),
        ("exp, of y alone", |x| (x * 0.3)?.exp()),
        ("√(1 + x²), of several", |x| (x.sqr()? + 1.0)?.sqrt()),
        ("powf", |x| (x.sqr()? + 0.5)?.powf(1.5)),
        ("two variables", |x| x.cos()? * x.atan()?),
    ];
    let rng = &mut Rng::seed(5);
    let mut parameter = |n, m| {
        Ok::<_, Error>(
            (Tensor::randn_dtype(0.0, 1.0, (n, m), DType::F64, rng)? * 0.4)?.detach().into_parameter(),
        )
    };
    for d in [1, 4] {
        let [first, second, last] = [parameter(d, 7)?, parameter(7, 5)?, parameter(5, 1)?];
        for &(name, f) in functions {
            println!("{name}, {d}");
            let (x, v) = (normal(&[6, d], 31), normal(&[6, d], 32).detach());
            let y = f(&f(&x.matmul(&first)?)?.matmul(&second)?)?.matmul(&last)?;
            let total = y.sum_all()?;
            let mut diagonal = Vec::new();
            for j in 0..d {
                let axis = Tensor::eye(d, DType::F64, &Device::Cpu)?.i(j)?.broadcast_to((6, d))?;
                diagonal.push(autograd::hvp(&total, [&x], [&axis])?[0].narrow(1, j, 1)?);
            }
            let diagonal = Tensor::cat(&diagonal.iter().collect::<Vec<_>>(), 1)?;
            let [product] = autograd::hvp(&total, [&x], [&v])?;
            type Derived = fn(&Tensor, &Tensor, &Tensor) -> Result<Tensor>;
            let pairs: [(Derived, Tensor); 3] = [
                (|y, x, _| autograd::laplacian(y, x), diagonal.sum_keepdim(1)?),
                (|y, x, _| autograd::hessian_diagonal(y, x)?.squeeze(1), diagonal),
                (|y, x, v| Ok(autograd::taylor(y, x, v, 2)?[1].clone()), (product * &v)?.sum_keepdim(1)?),
            ];
            for (derived, expected) in pairs {
                let found = derived(&y, &x, &v)?;
                close(&found, &expected, 1e-12);
                close(&no_grad(|| derived(&y, &x, &v))?, &expected, 1e-12);
                if !found.requires_grad() {
                    continue;
                }
                // A loss may hold it.
                let grads = |y: &Tensor| autograd::grad(&y.sin()?.sum_all()?, [&x, &first, &second, &last]);
                for (found, expected) in grads(&found)?.iter().zip(&grads(&expected)?) {
                    close(found, expected, 1e-11);
                }
            }
        }
    }
    Ok(())
}

#[test]
fn laplacians_nest() -> Result<()> {
    // More axes than 16 are summed in blocks.
    for d in [1, 3, 18] {
        let network = mlp(&[d, 7, 6, 1], &mut Rng::seed(4))?;
        let x = normal(&[5, d], 9);
        let y = network.forward(&x, &mut ForwardContext::eval())?;
        let first = autograd::laplacian(&y, &x)?;
        let total = first.sum_all()?;
        let v = normal(&[5, d], 10).detach();
        let [slope] = autograd::grad(&total, [&x])?;
        let along = (slope * &v)?.sum_keepdim(1)?;
        close(&autograd::jvp(&first, [&x], [&v])?, &along, 1e-11);
        let mut twice = Tensor::zeros((5, 1), DType::F64, &Device::Cpu)?;
        for j in 0..d {
            let axis = Tensor::eye(d, DType::F64, &Device::Cpu)?.i(j)?.broadcast_to((5, d))?;
            twice = (twice + autograd::hvp(&total, [&x], [&axis])?[0].narrow(1, j, 1)?)?;
        }
        close(&autograd::laplacian(&first, &x)?, &twice, 1e-11);
    }
    Ok(())
}

#[test]
fn a_series_of_many_orders() -> Result<()> {
    // sin: the derivatives go round; eˣ: they stay. By nested derivatives, order 16 would take 2¹⁶ operations.
    let x = parameter(&[0.3, -1.2], &[2]);
    let one = x.ones_like()?.detach();
    let waves = autograd::taylor(&x.sin()?, &x, &one, 16)?;
    let grown = autograd::taylor(&(x.exp()? * &x)?, &x, &one, 16)?;
    for k in 1..=16 {
        let wave = match k % 4 {
            0 => x.sin()?,
            1 => x.cos()?,
            2 => x.sin()?.neg()?,
            _ => x.cos()?.neg()?,
        };
        close(&waves[k - 1], &wave, 1e-12);
        // (x·eˣ)⁽ᵏ⁾ = (x + k)·eˣ
        close(&grown[k - 1], &((&x + k as f64)? * x.exp()?)?, 1e-12);
    }
    assert!(autograd::taylor(&x.sqr()?, &x, &one, 5)?[2..].iter().all(|x| numbers(x) == [0.0; 2]));
    Ok(())
}

#[test]
fn the_jacobians_of_a_batch() -> Result<()> {
    let network = mlp(&[3, 8, 8, 2], &mut Rng::seed(31))?;
    let x = normal(&[6, 3], 32);
    let y = network.forward(&x, &mut ForwardContext::eval())?;
    // Backward passes, and forward ones where y is wider.
    let wide = Tensor::cat(&[&y.sin()?, &y, &(&y * &y)?], 1)?.reshape((6, 2, 3))?;
    for (y, dims) in [(&y, &[6, 2, 3][..]), (&wide, &[6, 2, 3, 3])] {
        let each = autograd::batch_jacobian(y, &x)?;
        assert_eq!(each.dims(), dims);
        let [all] = autograd::jacobian(y, [&x])?;
        let all = all.reshape((6, y.elem_count() / 6, 6, 3))?;
        let each = each.reshape((6, y.elem_count() / 6, 3))?;
        for i in 0..6 {
            close(&each.i(i)?, &all.i((i, .., i))?, 1e-13);
        }
        // Differentiated again.
        let [slope] = autograd::grad(&each.sqr()?.sum_all()?, [&x])?;
        let [expected] = autograd::grad(&all.sqr()?.sum_all()?, [&x])?;
        close(&slope, &expected, 1e-12);
    }
    // Rows that depend on one another: by their mean, their order, or a norm.
    let mixed: [fn(&Tensor) -> Result<Tensor>; 4] = [
        |x| x - x.mean_keepdim(0)?,
        |x| x.flip(&[0]),
        |x| x / x.norm(2.0, [0, 1])?,
        |x| BatchNorm1d::new(3)?.forward(&x.to_dtype(DType::F32)?, &mut ForwardContext::train(Rng::seed(1))),
    ];
    for f in mixed {
        let error = autograd::batch_jacobian(&f(&x)?, &x).unwrap_err().to_string();
        assert!(
            error.starts_with("batch_jacobian: expected rows that do not depend on one another"),
            "{error}"
        );
    }
    let error = autograd::batch_jacobian(&x.sum(0)?, &x).unwrap_err().to_string();
    assert_eq!(error, "batch_jacobian: expected a row of y for each row of x, got [3] and [6, 3]");
    let scalar = scalar(1.0).into_parameter();
    assert!(autograd::batch_jacobian(&scalar, &scalar).is_err());
    assert!(autograd::batch_jacobian(&x.detach(), &x.detach()).is_err());
    for dims in [[0, 3], [3, 0]] {
        let empty = Tensor::zeros(&dims[..], DType::F64, &Device::Cpu)?.into_parameter();
        assert_eq!(autograd::batch_jacobian(&empty.exp()?, &empty)?.dims(), [dims[0], dims[1], dims[1]]);
    }
    let one = normal(&[1, 2], 3);
    assert_eq!(autograd::batch_jacobian(&one.exp()?, &one)?.dims(), [1, 2, 2]);
    for dtype in [DType::F16, DType::BF16, DType::F32] {
        let x = normal(&[5, 4], 3).detach().to_dtype(dtype)?.into_parameter();
        assert_eq!(autograd::batch_jacobian(&x.softmax(1)?, &x)?.dtype(), dtype);
    }
    Ok(())
}

#[test]
fn gradients_of_each_sample() -> Result<()> {
    let rng = &mut Rng::seed(41);
    // Weights that all rows share directly, tied and transposed, broadcast, in convolutions, and along further axes.
    let conv = Sequential::new()
        .push(Conv2d::new(2, 3, 3, ConvOptions::new().padding(1), rng)?)
        .push(tealight::layer::GroupNorm::new(3, 3)?)
        .push(Relu)
        .push(MaxPool2d::new(PoolOptions::new(2)))
        .push(Conv2d::new(3, 4, 2, ConvOptions::new(), rng)?.without_bias())
        .push(Flatten)
        .push(Linear::new(4, 3, rng)?);
    let sequence = Sequential::new()
        .push(Linear::new(4, 5, rng)?)
        .push(LayerNorm::new(5)?)
        .push(tealight::layer::PRelu::new()?)
        .push(tealight::layer::TransformerEncoderLayer::new(5, 1, 7, rng)?)
        .push(Flatten)
        .push(Linear::new(15, 3, rng)?);
    for (model, dims) in [(mlp(&[4, 6, 3], rng)?, &[5, 4][..]), (conv, &[5, 2, 4, 4]), (sequence, &[5, 3, 4])]
    {
        model.to_dtype(DType::F64)?;
        let x = normal(dims, 42);
        let target = Tensor::new(&[0_u32, 2, 1, 1, 0], &Device::Cpu)?;
        let ctx = &mut ForwardContext::eval();
        let y = model.forward(&x, ctx)?;
        let losses =
            (y.log_softmax(1)?.gather(1, &target.unsqueeze(1)?)?.squeeze(1)?.neg()? + y.sqr()?.sum(1)?)?;
        for (name, p) in model.parameters() {
            let [each] = autograd::per_sample_grad(&losses, &x, [&p.get()])?;
            let [expected] = autograd::jacobian(&losses, [&p.get()])?;
            println!("{name} {:?}", each.dims());
            close(&each, &expected, 1e-12);
            assert!(!each.requires_grad());
        }
    }
    let (w, x) = (normal(&[3, 3], 43), normal(&[4, 3], 44));
    // Used twice, as it is and transposed; not at all; and a function of x alone.
    let losses = x.matmul(&w)?.tanh()?.matmul(&w.t()?)?.powf(3.0)?.sum(1)?;
    let other = scalar(1.0).into_parameter();
    let [each, none] = autograd::per_sample_grad(&losses, &x, [&w, &other])?;
    close(&each, &autograd::jacobian(&losses, [&w])?[0], 1e-12);
    assert_eq!(numbers(&none), [0.0; 4]);
    let mixed = |y: &Tensor| {
        let error = autograd::per_sample_grad(&y.sum(1).unwrap(), &x, [&w]).unwrap_err().to_string();
        assert!(
            error.starts_with("per_sample_grad: expected rows that do not depend on one another"),
            "{error}"
        );
    };
    let y = x.matmul(&w)?;
    mixed(&(&y - y.mean_keepdim(0)?)?.powf(3.0)?);
    mixed(&y.flip(&[0])?);
    mixed(&(y.sqr()? + w.i(0)?.detach().into_parameter())?.matmul(&y.t()?)?);
    // A loss that reads the parameter without x.
    mixed(&w.narrow(0, 0, 1)?.broadcast_to((4, 3))?);
    let error = autograd::per_sample_grad(&x, &x, [&w]).unwrap_err().to_string();
    assert_eq!(error, "per_sample_grad: expected one loss for each row of x, got [4, 3] and [4, 3]");
    assert!(autograd::per_sample_grad(&losses, &x.detach(), [&w]).is_err());
    assert!(autograd::per_sample_grad(&losses, &x, [&w.detach()]).is_err());
    let empty = Tensor::zeros((0, 3), DType::F64, &Device::Cpu)?.into_parameter();
    let [each] = autograd::per_sample_grad(&empty.matmul(&w)?.sum(1)?, &empty, [&w])?;
    assert_eq!(each.dims(), [0, 3, 3]);
    Ok(())
}
