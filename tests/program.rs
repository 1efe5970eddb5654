//! A replayed step does what an eager step does, bit for bit.
#![allow(clippy::unwrap_used, clippy::expect_used)] // a test fails by panicking

use tealight::prelude::*;
use tealight::program::TrainStep;

/// Two equal models and their steps: one replayed, one eager.
fn compare<M: Layer>(
    make: impl Fn() -> Result<M>,
    batches: &[(Tensor, Tensor)],
    loss: impl Loss + Clone,
    steps: usize,
    with: impl for<'a> Fn(TrainStep<'a>, &M) -> TrainStep<'a>,
    between: impl Fn(usize, &M) -> Result<()>,
) -> Result<()> {
    let (a, b) = (make()?, make()?);
    let step = |model| {
        Ok::<_, Error>(TrainStep::new(model, loss.clone(), AdamW::new(Layer::parameters(model), 1e-2)?))
    };
    let (mut replayed, mut eager) = (with(step(&a)?, &a), with(step(&b)?.eager(), &b));
    for i in 0..steps {
        let (x, y) = &batches[i % batches.len()];
        let losses = (replayed.run(x, y)?, eager.run(x, y)?);
        assert!(replayed.refusal().is_none(), "step {i}: {}", replayed.refusal().unwrap());
        assert_eq!(losses.0.to_bits(), losses.1.to_bits(), "step {i}: {losses:?}");
        between(i, &a)?;
        between(i, &b)?;
    }
    assert!(replayed.replayed() as usize > steps / 2);
    println!("{}", replayed.program().unwrap());
    for ((name, p), (_, q)) in a.state().into_iter().zip(b.state()) {
        assert_eq!(p.get(), q.get(), "{name}");
    }
    Ok(())
}

fn classes(rows: usize, classes: usize, rng: &mut Rng) -> Result<Tensor> {
    let y: Vec<u32> = (0..rows).map(|_| rng.below(classes) as u32).collect();
    Tensor::new(&y[..], &Device::Cpu)
}

fn batches(dims: &[usize], count: usize) -> Result<Vec<(Tensor, Tensor)>> {
    let rng = &mut Rng::seed(9);
    let batch = |rows: usize| {
        let shape: Vec<usize> = [rows].iter().chain(dims).copied().collect();
        Ok((Tensor::randn(0.0, 1.0, shape, rng)?, classes(rows, count, rng)?))
    };
    [16, 16, 16, 7].into_iter().map(batch).collect()
}

#[test]
fn a_perceptron() -> Result<()> {
    let make = || {
        let rng = &mut Rng::seed(1);
        Ok(Sequential::new().push(Linear::new(4, 16, rng)?).push(Relu).push(Linear::new(16, 3, rng)?))
    };
    let data = batches(&[4], 3)?;
    compare(make, &data, CrossEntropy::new(), 200, |step, _| step.clip_grad_norm(0.5), |_, _| Ok(()))
}

#[test]
fn a_convolutional_network() -> Result<()> {
    let make = || {
        let rng = &mut Rng::seed(1);
        Ok(Sequential::new()
            .push(Conv2d::new(1, 4, 3, ConvOptions::default(), rng)?)
            .push(BatchNorm2d::new(4)?)
            .push(Relu)
            .push(MaxPool2d::new(PoolOptions::new(2)))
            .push(Dropout::new(0.3)?)
            .push(Flatten::default())
            .push(Linear::new(36, 3, rng)?))
    };
    let data = batches(&[1, 8, 8], 3)?;
    let loss = CrossEntropy::new().label_smoothing(0.1)?;
    compare(make, &data, loss, 60, |step, _| step, |_, _| Ok(()))
}

#[test]
fn what_changes_between_steps_is_seen() -> Result<()> {
    let make = || {
        let rng = &mut Rng::seed(1);
        Ok(Sequential::new().push(Linear::new(4, 8, rng)?).push(Tanh).push(Linear::new(8, 3, rng)?))
    };
    let data = batches(&[4], 3)?;
    let between = |i: usize, model: &Sequential| {
        let parameters = model.parameters();
        match i {
            20 => parameters[0].1.set_frozen(true),
            40 => parameters[0].1.set_frozen(false),
            50 => parameters[1].1.set(&Tensor::ones(8, DType::F32, &Device::Cpu)?)?,
            _ => {}
        }
        Ok(())
    };
    compare(make, &data, CrossEntropy::new(), 80, |step, _| step, between)
}

#[test]
fn a_compiled_function() -> Result<()> {
    use tealight::program::compile;
    let rng = &mut Rng::seed(3);
    let model = Sequential::new().push(Linear::new(4, 8, rng)?).push(Gelu).push(Linear::new(8, 1, rng)?);
    // The gradient by the input, and a number of axes that changes.
    let slope = |[x]: [&Tensor; 1]| {
        let x = x.clone().into_parameter();
        let [slope] = autograd::grad(&model.forward(&x, &mut ForwardContext::eval())?.sum_all()?, [&x])?;
        Ok(slope)
    };
    let mut compiled = compile(slope);
    for i in 0..12 {
        let x = Tensor::randn(0.0, 1.0, (1 + i % 3, 4), rng)?;
        assert_eq!(compiled.call([&x])?, slope([&x])?);
        if i == 8 {
            model.parameters()[1].1.set(&Tensor::ones(8, DType::F32, &Device::Cpu)?)?;
        }
    }
    assert!(compiled.program().unwrap().kernel_count() > 4);
    // What it looks at is refused with the line; what it draws too.
    let mut looks = compile(|[x]: [&Tensor; 1]| x * f64::from(x.sum_all()?.to_scalar::<f32>()?));
    let x = Tensor::ones(3, DType::F32, &Device::Cpu)?;
    let error = looks.call([&x]).unwrap_err().to_string();
    assert!(error.contains("to_scalar") && error.contains("tests/program.rs"), "{error}");
    let draws = std::cell::RefCell::new(Rng::seed(1));
    let mut draws = compile(|[x]: [&Tensor; 1]| x + Tensor::rand(0.0, 1.0, 3, &mut draws.borrow_mut())?);
    assert!(draws.call([&x]).unwrap_err().to_string().contains("random numbers"));
    // A hidden count is found by the comparison.
    let count = std::cell::Cell::new(0.0);
    let mut counts = compile(|[x]: [&Tensor; 1]| {
        count.set(count.get() + 1.0);
        x * count.get()
    });
    counts.call([&x])?;
    assert!(counts.call([&x]).unwrap_err().to_string().contains("does the same each time"));
    Ok(())
}
