//! The graph itself: order, memory, depth, threads, and that nobody works for nothing.
#![allow(clippy::unwrap_used, clippy::panic)] // a test fails by panicking

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tealight::autograd::{self, Array, Op, SaveContext, Saved, grad, gradcheck, is_recording, vjp};
use tealight::prelude::*;

fn parameter(x: &[f64]) -> Tensor {
    Tensor::parameter(Tensor::new(x, &Device::Cpu).unwrap())
}

/// y = x, counting the calls of its backward rule and what it was asked for.
#[derive(Debug, Default)]
struct Counted {
    backward: Arc<AtomicUsize>,
    wanted: Arc<AtomicUsize>,
}

impl Op<2> for Counted {
    const NAME: &'static str = "counted";

    fn forward(&self, [a, b]: [&Array; 2], ctx: &mut SaveContext) -> Result<Array> {
        ctx.save_input(0);
        Ok((a * b)?)
    }

    fn backward(&self, saved: &Saved, grad: &Tensor) -> Result<[Option<Tensor>; 2]> {
        self.backward.fetch_add(1, Ordering::Relaxed);
        let a = saved.needs_input_grad(0);
        let b = saved.needs_input_grad(1);
        self.wanted.fetch_add(usize::from(a) + usize::from(b), Ordering::Relaxed);
        // Only what input 1's gradient needs was kept, so input 0 must not be asked for.
        assert!(!a, "nobody wants the gradient of input 0");
        Ok([None, if b { Some((grad * saved.input(0)?)?) } else { None }])
    }
}

#[test]
fn a_million_operations_on_a_small_stack() {
    let run = || -> Result<f64> {
        let x = parameter(&[1.0]);
        let mut y = x.clone();
        for _ in 0..1_000_000 {
            y = (&y + 1.0)?;
        }
        let gradients = y.sum_all()?.backward()?;
        let slope = gradients.get(&x).map_or(Ok(0.0), Tensor::to_scalar)?;
        // Dropping y drops the chain: that must not recurse either.
        drop(y);
        Ok(slope)
    };
    let thread = std::thread::Builder::new().stack_size(2 << 20).spawn(run).unwrap();
    assert_eq!(thread.join().unwrap().unwrap(), 1.0);
}

#[test]
fn a_deep_chain_can_be_differentiated_twice() -> Result<()> {
    let x = parameter(&[0.5]);
    let mut y = x.clone();
    for _ in 0..20_000 {
        y = (y * 1.0001)?;
    }
    let [first] = grad(&y.sqr()?.sum_all()?, [&x])?;
    let [second] = grad(&first.sum_all()?, [&x])?;
    let factor = 1.0001_f64.powi(20_000);
    assert!((second.to_vec1::<f64>()?[0] / (2.0 * factor * factor) - 1.0).abs() < 1e-9);
    Ok(())
}

#[test]
fn a_diamond_of_exponentially_many_paths_is_walked_once() -> Result<()> {
    let x = parameter(&[1.0]);
    let mut y = x.clone();
    for _ in 0..50 {
        y = (&y + &y)?;
    }
    assert_eq!(y.sum_all()?.backward()?.get(&x).unwrap().to_vec1::<f64>()?, [2f64.powi(50)]);
    Ok(())
}

#[test]
fn gradients_that_nobody_wants_cost_nothing() -> Result<()> {
    let (x, y) = (parameter(&[2.0]), parameter(&[3.0]));
    let counted = Counted::default();
    let (backward, wanted) = (counted.backward.clone(), counted.wanted.clone());
    let count = || (backward.load(Ordering::Relaxed), wanted.load(Ordering::Relaxed));

    // Input 0 is a constant: its gradient is not asked for.
    let constant = Tensor::new(&[5.0], &Device::Cpu)?;
    let product = counted.apply([&constant, &y])?;
    let loss = ((&product + x.sqr()?)?).sum_all()?;
    assert_eq!(loss.backward()?.get(&y).unwrap().to_vec1::<f64>()?, [5.0]);
    assert_eq!(count(), (1, 1));

    // Only x is asked for: the branch of y is not walked at all.
    let [slope] = grad(&loss, [&x])?;
    assert_eq!(slope.to_vec1::<f64>()?, [4.0]);
    assert_eq!(count(), (1, 1));

    // No input needs a gradient: nothing is recorded.
    let idle = Counted::default();
    let seen = idle.backward.clone();
    assert!(!idle.apply([&constant, &constant])?.requires_grad());
    assert_eq!(seen.load(Ordering::Relaxed), 0);
    Ok(())
}

#[test]
fn what_the_graph_lets_go_is_freed() -> Result<()> {
    #[derive(Debug)]
    struct StateEntry(#[allow(dead_code)] Arc<()>);
    impl Op<1> for StateEntry {
        const NAME: &'static str = "held";
        fn forward(&self, [x]: [&Array; 1], _: &mut SaveContext) -> Result<Array> {
            Ok((x + 1.0)?)
        }
        fn backward(&self, _: &Saved, grad: &Tensor) -> Result<[Option<Tensor>; 1]> {
            Ok([Some(grad.clone())])
        }
    }
    let token = Arc::new(());
    let x = parameter(&[1.0]);
    let mut y = x.clone();
    for _ in 0..100 {
        y = StateEntry(token.clone()).apply([&y])?.sigmoid()?;
    }
    assert_eq!(Arc::strong_count(&token), 101);
    let [slope] = grad(&y.sum_all()?, [&x])?;
    drop(y);
    // The gradient's own history still needs the sigmoids' outputs, and they their past.
    assert!(slope.requires_grad());
    drop(slope);
    assert_eq!(Arc::strong_count(&token), 1);
    no_grad(|| StateEntry(token.clone()).apply([&x]))?;
    assert_eq!(Arc::strong_count(&token), 1);
    Ok(())
}

#[test]
fn sigmoid_to_the_third_derivative() -> Result<()> {
    let x = parameter(&[-2.0, 0.0, 0.7, 3.0]);
    let [first] = grad(&x.sigmoid()?.sum_all()?, [&x])?;
    let [second] = grad(&first.sum_all()?, [&x])?;
    let [third] = grad(&second.sum_all()?, [&x])?;
    for (i, x) in x.to_vec1::<f64>()?.into_iter().enumerate() {
        let s = 1.0 / (1.0 + (-x).exp());
        let d = s * (1.0 - s);
        let exact = [d, d * (1.0 - 2.0 * s), d * (1.0 - 6.0 * s + 6.0 * s * s)];
        for (order, (given, exact)) in [&first, &second, &third].into_iter().zip(exact).enumerate() {
            let given = given.to_vec1::<f64>()?[i];
            assert!((given - exact).abs() < 1e-15, "order {}: {given} {exact}", order + 1);
        }
    }
    Ok(())
}

#[test]
fn histories_end_where_they_should() -> Result<()> {
    let x = parameter(&[1.0, 2.0]);
    assert!(!x.detach().requires_grad());
    assert!(!no_grad(|| x.sigmoid())?.requires_grad());
    assert!(is_recording());
    assert!(std::panic::catch_unwind(|| no_grad(|| panic!("unwinds"))).is_err());
    assert!(is_recording(), "a panic inside no_grad leaves the mode as it was");

    let error = x.backward().unwrap_err();
    assert!(matches!(error, Error::Shape { op: "backward", .. }), "{error}");
    let error = x.detach().sum_all()?.backward().unwrap_err();
    assert!(matches!(error, Error::NoGradient { .. }), "{error}");
    let error = grad(&x.sum_all()?, [&x.detach()]).unwrap_err();
    assert!(matches!(error, Error::NoGradient { .. }), "{error}");
    assert!(matches!(vjp(&x, [&x], &parameter(&[1.0])), Err(Error::Shape { .. })));

    // y does not depend on x: the gradient is zero, exactly.
    let y = parameter(&[1.0]).sum_all()?;
    assert_eq!(grad(&y, [&x])?[0].to_vec1::<f64>()?, [0.0, 0.0]);
    assert!(y.backward()?.get(&x).is_none());
    // A tensor is its own gradient's target.
    let z = x.sum_all()?;
    assert_eq!(grad(&z, [&z])?[0].to_scalar::<f64>()?, 1.0);
    Ok(())
}

#[test]
fn a_gradient_of_a_wrong_shape_names_the_operation() -> Result<()> {
    #[derive(Debug)]
    struct Wrong;
    impl Op<1> for Wrong {
        const NAME: &'static str = "wrong_shape";
        fn forward(&self, [x]: [&Array; 1], _: &mut SaveContext) -> Result<Array> {
            Ok(x.sum_all()?)
        }
        fn backward(&self, _: &Saved, _: &Tensor) -> Result<[Option<Tensor>; 1]> {
            Ok([Some(Tensor::zeros(7, DType::F64, &Device::Cpu)?)])
        }
    }
    let error = Wrong.apply([&parameter(&[1.0, 2.0])])?.backward().unwrap_err().to_string();
    assert!(error.starts_with("wrong_shape: "), "{error}");
    Ok(())
}

#[test]
fn what_was_not_kept_is_an_error() -> Result<()> {
    #[derive(Debug)]
    struct Forgetful;
    impl Op<1> for Forgetful {
        const NAME: &'static str = "forgetful";
        fn forward(&self, [x]: [&Array; 1], _: &mut SaveContext) -> Result<Array> {
            Ok(x.sqr()?)
        }
        fn backward(&self, saved: &Saved, grad: &Tensor) -> Result<[Option<Tensor>; 1]> {
            Ok([Some((grad * (saved.input(0)? * 2.0)?)?)])
        }
    }
    let y = Forgetful.apply([&parameter(&[1.0])])?.sum_all()?;
    let error = y.backward().unwrap_err().to_string();
    assert_eq!(error, "forgetful: backward reads input 0, which forward did not save");
    Ok(())
}

#[test]
fn the_checker_rejects_planted_faults() -> Result<()> {
    /// x³ with a derivative that is off by a factor.
    #[derive(Debug)]
    struct Cube(Option<f64>);
    impl Op<1> for Cube {
        const NAME: &'static str = "faulty_cube";
        fn forward(&self, [x]: [&Array; 1], ctx: &mut SaveContext) -> Result<Array> {
            ctx.save_input(0);
            Ok((x.sqr()? * x)?)
        }
        fn backward(&self, saved: &Saved, grad: &Tensor) -> Result<[Option<Tensor>; 1]> {
            let Some(factor) = self.0 else { return Ok([None]) };
            Ok([Some((grad * (saved.input(0)?.sqr()? * (3.0 * factor))?)?)])
        }
    }
    let x = Tensor::new(&[[0.5, -1.5], [2.0, 0.1]], &Device::Cpu)?;
    let check = |factor| gradcheck(|x| Cube(factor).apply([&x[0]])?.sum_all(), std::slice::from_ref(&x));
    check(Some(1.0))?;
    for factor in [Some(1.0 + 1e-7), Some(1.0 - 1e-7), Some(f64::NAN), None] {
        let error = check(factor).unwrap_err();
        let Error::GradCheck(mismatch) = &error else { panic!("{factor:?}: {error}") };
        assert!(mismatch.ops.contains("faulty_cube"), "{error}");
        assert!(error.to_string().contains("faulty_cube"), "{error}");
        assert_eq!((mismatch.order, mismatch.input), (1, 0));
    }

    /// The first derivative is right, but its own history is cut.
    #[derive(Debug)]
    struct Cut;
    impl Op<1> for Cut {
        const NAME: &'static str = "cut";
        fn forward(&self, [x]: [&Array; 1], ctx: &mut SaveContext) -> Result<Array> {
            ctx.save_input(0);
            Ok(x.sqr()?)
        }
        fn backward(&self, saved: &Saved, grad: &Tensor) -> Result<[Option<Tensor>; 1]> {
            Ok([Some((grad * (saved.input(0)?.detach() * 2.0)?)?)])
        }
    }
    let error = gradcheck(|x| Cut.apply([&x[0]]), &[x]).unwrap_err();
    assert!(matches!(&error, Error::GradCheck(mismatch) if mismatch.order == 2), "{error}");
    Ok(())
}

#[test]
fn odd_arguments_are_errors_not_panics() -> Result<()> {
    // A result that is longer on one side of x than on the other.
    let x = Tensor::new(&[1.0], &Device::Cpu)?;
    let longer = |x: &[Tensor]| {
        let extra = x[0].to_vec1::<f64>()?[0] > 1.0;
        if extra { Tensor::cat(&[&x[0], &x[0]], 0) } else { Ok(x[0].clone()) }
    };
    let error = gradcheck(|x| longer(x)? * 1.0, &[x]).unwrap_err();
    assert!(matches!(error, Error::Argument { op: "gradcheck", .. }), "{error}");
    Ok(())
}

#[test]
fn gradients_of_one_tensor_from_many_threads() {
    let w = parameter(&[0.1, 0.2, 0.3]);
    let slopes: Vec<Vec<f64>> = std::thread::scope(|scope| {
        let run = |_| {
            scope.spawn(|| -> Result<Vec<f64>> {
                let mut last = Vec::new();
                for _ in 0..200 {
                    let y = (&w * &w)?.sigmoid()?.sum_all()?;
                    last = y.backward()?.get(&w).unwrap().to_vec1()?;
                }
                Ok(last)
            })
        };
        let threads: Vec<_> = (0..4).map(run).collect();
        threads.into_iter().map(|thread| thread.join().unwrap().unwrap()).collect()
    });
    assert!(slopes.windows(2).all(|pair| pair[0] == pair[1]));
}

#[test]
fn a_parameter_that_changed_since_the_forward_pass_is_an_error() -> Result<()> {
    let model = Linear::new(2, 1, &mut Rng::seed(1))?;
    let mut optimizer = Sgd::new(model.parameters(), 0.1)?;
    let x = Tensor::ones((3, 2), DType::F32, &Device::Cpu)?;
    let loss = model.forward(&x, &mut tealight::layer::ForwardContext::eval())?.sum_all()?;
    let before = loss.backward()?;
    model.weight.set(&Tensor::zeros((1, 2), DType::F32, &Device::Cpu)?)?;
    let error = loss.backward().unwrap_err().to_string();
    let expected = "backward: a parameter of shape [1, 2] was changed after the forward pass that read it: run forward again";
    assert_eq!(error, expected);
    let error = optimizer.step(&before).unwrap_err().to_string();
    assert!(error.starts_with("weight: no gradient"), "{error}");
    // Nothing was changed, not even the bias, whose gradient was there.
    let again = optimizer.step(&before).unwrap_err();
    assert!(matches!(again, Error::Parameter { .. }));
    let loss = model.forward(&x, &mut tealight::layer::ForwardContext::eval())?.sum_all()?;
    optimizer.step(&loss.backward()?)
}

#[test]
fn nan_and_infinite_gradients_are_refused_by_name() -> Result<()> {
    let model = Sequential::new().push(Linear::new(1, 1, &mut Rng::seed(1))?);
    let mut optimizer = Sgd::new(model.parameters(), 0.1)?;
    for bad in [f32::NAN, f32::INFINITY] {
        let x = Tensor::new(&[[bad]], &Device::Cpu)?;
        let loss = model.forward(&x, &mut tealight::layer::ForwardContext::eval())?.sum_all()?;
        let error = optimizer.step(&loss.backward()?).unwrap_err().to_string();
        assert_eq!(
            error,
            "0.weight: its gradient is NaN or infinite (autograd::detect_anomaly finds the operation)"
        );
    }
    assert!(matches!(Sgd::new(model.parameters(), f64::NAN), Err(Error::Argument { .. })));
    assert!(matches!(Sgd::new(model.parameters(), -1.0), Err(Error::Argument { .. })));
    assert!(Sgd::new(model.parameters(), 0.1)?.momentum(1.0).is_err());
    assert!(matches!(autograd::grad(&Tensor::new(1u32, &Device::Cpu)?, []), Ok([])));
    Ok(())
}
