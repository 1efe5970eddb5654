//! Fixed points, minima and differential equations: gradients against closed forms, and the errors of solvers that do not converge.

#![allow(clippy::unwrap_used)] // in helpers of tests

use tealight::autograd::{self, GradCheck};
use tealight::implicit::{Argmin, FixedPoint, Odeint, argmin, fixed_point, odeint};
use tealight::layer::{Fields, Parameter};
use tealight::prelude::*;
use tealight::program::{TrainStep, compile};

fn tensor(numbers: &[f64]) -> Tensor {
    Tensor::new(numbers, &Device::Cpu).unwrap()
}

fn numbers(x: &Tensor) -> Vec<f64> {
    x.flatten(0, -1).unwrap().to_vec1().unwrap()
}

#[track_caller]
fn close(a: &[f64], b: &[f64], tolerance: f64) {
    assert!(
        a.len() == b.len() && a.iter().zip(b).all(|(a, b)| (a - b).abs() <= tolerance * b.abs().max(1.0)),
        "{a:?}\n{b:?}"
    );
}

fn tight() -> FixedPoint {
    FixedPoint::new().tolerance(1e-14).unwrap()
}

#[test]
fn kepler() -> Result<()> {
    // E = M + e·sin E: dE/dM = 1/(1 − e·cos E), dE/de = sin E/(1 − e·cos E), d²E/dM² = −e·sin E/(1 − e·cos E)³.
    let (m, e) = (tensor(&[0.3, 1.0, 2.5]).into_parameter(), tensor(&[0.1, 0.4, 0.7]).into_parameter());
    let (held_m, held_e) = (m.clone(), e.clone());
    let orbit =
        tight().solve(move |z| &held_m + (&held_e * z.sin()?)?, &m.detach(), &[m.clone(), e.clone()])?;
    let (z, ecc) = (numbers(&orbit), numbers(&e));
    close(&z, &numbers(&(&m + (&e * orbit.sin()?)?)?), 1e-13);
    let d: Vec<f64> = z.iter().zip(&ecc).map(|(z, e)| 1.0 / (1.0 - e * z.cos())).collect();
    let [by_m, by_e] = autograd::grad(&orbit.sum_all()?, [&m, &e])?;
    close(&numbers(&by_m), &d, 1e-12);
    close(&numbers(&by_e), &z.iter().zip(&d).map(|(z, d)| z.sin() * d).collect::<Vec<_>>(), 1e-12);
    let second: Vec<f64> = (0..3).map(|i| -ecc[i] * z[i].sin() * d[i].powi(3)).collect();
    let [twice] = autograd::grad(&by_m.sum_all()?, [&m])?;
    close(&numbers(&twice), &second, 1e-10);
    // The same by the plain backward pass, and forward mode.
    let gradients = orbit.sum_all()?.backward()?;
    assert_eq!(gradients.len(), 2);
    close(&numbers(gradients.get(&m).unwrap()), &d, 1e-12);
    close(&numbers(&autograd::jvp(&orbit, [&m], [&m.ones_like()?])?), &d, 1e-12);
    close(&numbers(&autograd::taylor(&orbit, &m, &m.ones_like()?, 2)?[1]), &second, 1e-10);
    Ok(())
}

#[test]
fn an_equilibrium_of_a_layer() -> Result<()> {
    // z = tanh(W·z + x), against 200 recorded steps.
    let rng = &mut Rng::seed(3);
    let layer = Linear::new(5, 5, rng)?;
    layer.to_dtype(DType::F64)?;
    let x = Tensor::randn_dtype(0.0, 1.0, (2, 5), DType::F64, rng)?.into_parameter();
    let start = x.zeros_like()?;
    let (held, input) = (layer.clone(), x.clone());
    let f = move |z: &Tensor| (held.forward(&(z * 0.5)?, &mut ForwardContext::eval())? + &input)?.tanh();
    let mut unrolled = start.clone();
    for _ in 0..200 {
        unrolled = f(&unrolled)?;
    }
    let z = tight().solve(f, &start, &[x.clone(), layer.weight.get()])?;
    let (ours, long) = (z.sqr()?.sum_all()?.backward()?, unrolled.sqr()?.sum_all()?.backward()?);
    for p in [x.clone(), layer.weight.get()] {
        close(&numbers(ours.get(&p).unwrap()), &numbers(long.get(&p).unwrap()), 1e-12);
    }
    assert_eq!(ours.len(), 2);
    GradCheck::new().run(
        |x| {
            let (x, reads) = (x[0].clone(), x[0].clone());
            tight().solve(
                move |z| ((z * 0.3)? + (&x * z.cos()?)?)?.sin(),
                &tensor(&[0.1, 0.2]),
                std::slice::from_ref(&reads),
            )
        },
        &[tensor(&[0.2, 0.4])],
    )?;
    Ok(())
}

#[test]
fn minima() -> Result<()> {
    // Ridge regression: w = (XᵀX + λ)⁻¹·Xᵀy, in two unknowns.
    let x = Tensor::new(&[[1.0, 2.0], [0.5, -1.0], [3.0, 0.3]], &Device::Cpu)?;
    let y = tensor(&[1.0, 2.0, -0.5]).into_parameter();
    let penalty = Tensor::new(0.7, &Device::Cpu)?.into_parameter();
    let closed = |penalty: &Tensor, y: &Tensor| -> Result<Tensor> {
        let (gram, right) = (x.t()?.matmul(&x)?, x.t()?.matvec(y)?);
        let at = |i, j| if i == j { gram.i((i, j))? + penalty } else { gram.i((i, j)) };
        let (a, b, d) = (at(0, 0)?, at(0, 1)?, at(1, 1)?);
        let det = ((&a * &d)? - b.sqr()?)?;
        let first = ((&d * right.i(0)?)? - (&b * right.i(1)?)?)?;
        let second = ((&a * right.i(1)?)? - (&b * right.i(0)?)?)?;
        Tensor::stack(&[&(first / &det)?, &(second / &det)?], 0)
    };
    let (held_x, held_y, held_p) = (x.clone(), y.clone(), penalty.clone());
    let objective =
        move |w: &Tensor| (held_x.matvec(w)? - &held_y)?.sqr()?.sum_all()? + (w.sqr()?.sum_all()? * &held_p)?;
    let ours = Argmin::new().tolerance(1e-12)?.solve(
        objective,
        &tensor(&[0.0, 0.0]),
        &[penalty.clone(), y.clone()],
    )?;
    let exact = closed(&penalty, &y)?;
    close(&numbers(&ours), &numbers(&exact), 1e-12);
    let slopes = |w: &Tensor| autograd::grad(&w.powf(3.0)?.sum_all()?, [&penalty, &y]);
    let (ours_by, exact_by) = (slopes(&ours)?, slopes(&exact)?);
    for (ours, exact) in ours_by.iter().zip(&exact_by) {
        close(&numbers(ours), &numbers(exact), 1e-10);
    }
    let plain = ours.powf(3.0)?.sum_all()?.backward()?;
    assert_eq!(plain.len(), 2);
    close(&numbers(plain.get(&y).unwrap()), &numbers(&exact_by[1]), 1e-10);
    // Once more.
    let twice = |by: &[Tensor; 2]| autograd::grad(&by[1].sqr()?.sum_all()?, [&penalty, &y]);
    for (ours, exact) in twice(&ours_by)?.iter().zip(&twice(&exact_by)?) {
        close(&numbers(ours), &numbers(exact), 1e-8);
    }
    let v = tensor(&[1.0, -2.0, 0.5]);
    close(&numbers(&autograd::jvp(&ours, [&y], [&v])?), &numbers(&autograd::jvp(&exact, [&y], [&v])?), 1e-10);

    // Not quadratic, far from the start: z + z³ = a.
    let a = tensor(&[100.0, -3.0, 0.0]).into_parameter();
    let held = a.clone();
    let z = argmin(
        move |z| (((z.sqr()? * 0.5)? + (z.powf(4.0)? * 0.25)?)? - (&held * z)?)?.sum_all(),
        &tensor(&[0.0; 3]),
        std::slice::from_ref(&a),
    )?;
    let slope = z.sum_all()?.backward()?;
    let exact: Vec<f64> = numbers(&z).iter().map(|z| 1.0 / (1.0 + 3.0 * z * z)).collect();
    close(&numbers(slope.get(&a).unwrap()), &exact, 1e-8);
    Ok(())
}

#[test]
fn differential_equations() -> Result<()> {
    // y″ = −ω²·y as a system: y = cos ωt, y′ = −ω·sin ωt from (1, 0).
    let omega = Tensor::new(2.0, &Device::Cpu)?.into_parameter();
    let start = tensor(&[1.0, 0.0]).into_parameter();
    let held = omega.clone();
    let field = move |_: f64, y: &Tensor| Tensor::stack(&[&y.i(1)?, &(y.i(0)? * held.sqr()?.neg()?)?], 0);
    let solver = Odeint::new().rtol(1e-10)?.atol(1e-11)?;
    let times = [0.0, 0.4, 1.0];
    let y = solver.solve(field.clone(), &start, &times, std::slice::from_ref(&omega))?;
    assert_eq!(y.dims(), [3, 2]);
    let exact: Vec<f64> = times.iter().flat_map(|t| [(2.0 * t).cos(), -2.0 * (2.0 * t).sin()]).collect();
    close(&numbers(&y), &exact, 1e-9);
    // The gradient of Σ y(t) by ω is −Σ t·sin ωt; by the start (cos ωt, sin(ωt)/ω).
    let places = y.narrow(1, 0, 1)?.sum_all()?;
    let [by_omega, by_start] = autograd::grad(&places, [&omega, &start])?;
    close(&numbers(&by_omega), &[-times.iter().map(|t| t * (2.0 * t).sin()).sum::<f64>()], 1e-8);
    let sums = |f: &dyn Fn(f64) -> f64| times.iter().map(|&t| f(t)).sum::<f64>();
    close(&numbers(&by_start), &[sums(&|t| (2.0 * t).cos()), sums(&|t| (2.0 * t).sin() / 2.0)], 1e-8);
    let plain = places.backward()?;
    close(&numbers(plain.get(&omega).unwrap()), &numbers(&by_omega), 1e-9);
    assert_eq!(plain.len(), 2);
    // The second derivative by ω, −Σ t²·cos ωt, and forward mode.
    let [second] = autograd::grad(&by_omega, [&omega])?;
    close(&numbers(&second), &[-sums(&|t| t * t * (2.0 * t).cos())], 1e-7);
    close(&numbers(&autograd::jvp(&places, [&omega], [&omega.ones_like()?])?), &numbers(&by_omega), 1e-8);
    // Backwards in time to where it began; and the graph is as long for many steps as for few.
    let end = y.i(2)?.detach();
    let back = solver.solve(field.clone(), &end, &[1.0, 0.0], &[])?;
    close(&numbers(&back.i(1)?), &[1.0, 0.0], 1e-9);
    let [short, long] = [1.0, 10.0]
        .map(|t| solver.solve(field.clone(), &start, &[0.0, t], std::slice::from_ref(&omega)).unwrap());
    assert_eq!(short.graph().to_string().lines().count(), long.graph().to_string().lines().count());
    // Time in the equation, f32, and no interval.
    let y = Odeint::new().rtol(1e-5)?.solve(
        |t, y| (y * 0.0)? + 3.0 * t * t,
        &tensor(&[0.0]).to_dtype(DType::F32)?,
        &[0.0, 2.0],
        &[],
    )?;
    assert!((y.i((1, 0))?.to_scalar::<f32>()? - 8.0).abs() < 1e-4);
    assert_eq!(numbers(&odeint(|_, y| Ok(y.clone()), &end, &[3.0], &[])?), numbers(&end));
    assert_eq!(odeint(|_, y| Ok(y.clone()), &tensor(&[]), &[0.0, 1.0], &[])?.dims(), [2, 0]);
    Ok(())
}

/// Of an input and a parameter.
type Function = fn(&Tensor, &Tensor) -> Result<Tensor>;

/// A layer that is one of the three.
struct Solved(Parameter, Function);

impl Layer for Solved {
    fn forward(&self, x: &Tensor, _: &mut ForwardContext) -> Result<Tensor> {
        (self.1)(x, &self.0.get())
    }

    fn fields<'a>(&'a self, fields: &mut Fields<'a>) {
        fields.parameter("a", &self.0);
    }
}

#[test]
fn a_program_is_not_made_of_a_solver() -> Result<()> {
    // How many steps it takes depends on the numbers: a step of training runs as without a program, and says why.
    let layers: [(&str, Function); 3] = [
        ("fixed_point", |x, a| {
            let (held, shift) = (a.clone(), x.clone());
            fixed_point(move |z| (&held * z.sin()?)? + &shift, x, std::slice::from_ref(a))
        }),
        ("argmin", |x, a| {
            let (held, to) = (a.clone(), x.clone());
            argmin(
                move |z| (z.sqr()?.sqr()? + (z - (&to * &held)?)?.sqr()?)?.sum_all(),
                x,
                std::slice::from_ref(a),
            )
        }),
        ("odeint", |x, a| {
            let held = a.clone();
            odeint(move |_, y| y * &held, x, &[0.0, 1.0], std::slice::from_ref(a))?.i(1)
        }),
    ];
    for (name, f) in layers {
        let x = tensor(&[0.3, 1.0, -0.5]);
        let make = || Solved(Parameter::new(tensor(&[0.4, 0.1, 0.2])), f);
        let (a, b) = (make(), make());
        let mut step = TrainStep::new(&a, Mse, Sgd::new(a.parameters(), 0.1)?);
        let mut eager = TrainStep::new(&b, Mse, Sgd::new(b.parameters(), 0.1)?).eager();
        for _ in 0..5 {
            assert_eq!(step.run(&x, &x)?.to_bits(), eager.run(&x, &x)?.to_bits(), "{name}");
        }
        assert_eq!(numbers(&a.0.get()), numbers(&b.0.get()));
        assert_ne!(numbers(&a.0.get()), [0.4, 0.1, 0.2]);
        let refusal = step.refusal().expect(name).to_string();
        println!("{name}: {refusal}");
        assert_eq!(step.replayed(), 0);
        let error = compile(|[x]: [&Tensor; 1]| f(x, &a.0.get())).call([&x]).unwrap_err().to_string();
        println!("{error}");
        for text in [refusal, error] {
            assert!(
                text.starts_with("program: expected a function that does not look at the numbers"),
                "{text}"
            );
        }
    }
    Ok(())
}

#[test]
fn what_does_not_converge_is_an_error() -> Result<()> {
    let one = tensor(&[1.0]);
    let message = |result: Result<Tensor>| result.unwrap_err().to_string();
    let error = message(FixedPoint::new().max_steps(5).solve(|z| z * 0.5, &one, &[]));
    assert_eq!(error, "fixed_point: expected a residual of 1e-6 within 5 steps, got 3.125e-2");
    assert!(message(fixed_point(|z| z * 2.0, &one, &[])).ends_with("within 1000 steps, got 5e-1"));
    assert!(message(fixed_point(|z| z / 0.0, &tensor(&[0.0]), &[])).contains("got inf"));
    let error = message(fixed_point(|z| z.sum_all(), &one, &[]));
    assert_eq!(error, "fixed_point: expected a function that keeps the shape, got [1] and []");
    // It converges, but the slope of f is 1 there: no gradient.
    let a = tensor(&[0.0]).into_parameter();
    let held = a.clone();
    let z = FixedPoint::new().max_steps(50).solve(move |z| z + &held, &one, std::slice::from_ref(&a))?;
    assert!(z.sum_all()?.backward().unwrap_err().to_string().starts_with("fixed_point: expected a residual"));

    let error = message(Argmin::new().max_steps(3).solve(|z| z.exp()?.sum_all(), &one, &[]));
    assert!(error.starts_with("argmin: expected a residual of"), "{error}");
    assert!(matches!(argmin(Tensor::sqr, &tensor(&[1.0, 2.0]), &[]), Err(Error::Shape { op: "grad", .. })));
    let held = a.clone();
    let flat =
        argmin(move |z| (z.powf(4.0)? + (&held * z)?)?.sum_all(), &tensor(&[0.0]), std::slice::from_ref(&a))?;
    let error = flat.sum_all()?.backward().unwrap_err().to_string();
    assert!(
        error.starts_with("argmin: expected a function that is strictly convex at its minimum"),
        "{error}"
    );

    // y′ = y² blows up at t = 1.
    let error = message(odeint(|_, y| y.sqr(), &one, &[0.0, 2.0], &[]));
    assert!(
        error.starts_with("odeint: expected steps within rtol 1e-7") && error.contains("got none from t = "),
        "{error}"
    );
    assert!(
        message(odeint(|_, y| y.ln(), &tensor(&[-1.0]), &[0.0, 2.0], &[]))
            .starts_with("odeint: expected steps")
    );
    for times in [&[][..], &[0.0, 0.0], &[0.0, 2.0, 1.0], &[0.0, f64::NAN]] {
        assert!(
            message(odeint(|_, y| Ok(y.clone()), &one, times, &[]))
                .starts_with("odeint: expected times that rise or fall")
        );
    }
    assert!(
        FixedPoint::new().tolerance(0.0).is_err()
            && Argmin::new().tolerance(f64::NAN).is_err()
            && Odeint::new().rtol(-1.0).is_err()
    );
    Ok(())
}
