//! Derivatives of high order by [`Jet`], compared with mpmath (`reference/jets.csv`, made by `reference/jets.py`), with nested [`Dual`]
//! numbers, and with limits that are known.

#![allow(clippy::unwrap_used)] // in helpers of tests

use tealight_kernels::elementary;
use tealight_kernels::formula::{Dual, Jet, Real, Tape};

type Jet8 = Jet<f64, 8>;

fn weight<R: Real>(i: usize) -> R {
    R::constant(((i * 37 + 11) % 101) as f64 / 64.0 - 0.75)
}

/// x + t·v through 3-8-8-1 with tanh.
fn mlp<R: Real>(t: R) -> R {
    let c = |x| R::constant(x);
    let x = [c(0.5) + t, c(-0.25) + t * c(2.0), c(1.0) - t];
    let layer = |x: &[R], from: usize, bias: usize| -> Vec<R> {
        let n = x.len();
        let row = |o| (0..n).fold(weight(bias + o), |sum: R, i| sum + weight::<R>(from + n * o + i) * x[i]);
        (0..8).map(|o| row(o).tanh()).collect()
    };
    let x = layer(&layer(&x, 0, 24), 32, 96);
    (0..8).fold(c(0.0), |sum, i| sum + weight::<R>(104 + i) * x[i])
}

fn function<R: Real>(name: &str, x: R) -> R {
    macro_rules! by_name {
        ($($(#[$_:meta])* $method:ident $_variant:ident $_name:literal $_tensor:ident $_kernels:tt $_slope:tt;)*) => {
            match name {
                $(stringify!($method) => x.$method(),)*
                "powf 2.5" => x.powf(R::constant(2.5)),
                "powf -1.5" => x.powf(R::constant(-1.5)),
                "powi 11" => x.powi(11),
                "powi -3" => x.powi(-3),
                "1.5^x" => R::constant(1.5).powf(x),
                "x^x" => x.powf(x),
                "sinc" => x.sin() / x,
                "softplus" => x.exp().ln_1p(),
                "mlp" => mlp(x),
                _ => panic!("{name} has no formula"),
            }
        };
    }
    elementary!(by_name)
}

#[test]
fn high_derivatives_are_those_of_mpmath() {
    let rows = include_str!("../../../tests/reference/jets.csv").lines();
    let mut worst = std::collections::BTreeMap::new();
    for row in rows {
        let fields: Vec<&str> = row.split(',').collect();
        let [x, exact, moved] = [1, 2, 3].map(|i| fields[i].parse::<f64>().unwrap());
        let order = if fields[0] == "mlp" { 4 } else { 8 };
        let got = function(fields[0], Jet8::variable(x)).derivative(order);
        // A relative error of 1e-12, or that of a rounding of x where the derivative is about to change its sign.
        let error = (got - exact).abs() / (exact.abs() + moved).max(f64::MIN_POSITIVE);
        let known: &mut (f64, f64, usize) = worst.entry(fields[0]).or_default();
        if error > known.0 || error.is_nan() {
            *known = (error, x, known.2);
        }
        known.2 += 1;
    }
    assert_eq!(worst.len(), 22);
    for (name, (error, x, count)) in worst {
        assert!(count > 200, "{name}: {count} points");
        assert!(error < 1e-12, "{name}({x}): {error:e}");
    }
}

fn coefficients<const K: usize>(y: Jet<f64, K>) -> Vec<f64> {
    (0..=K).map(|k| y.coefficient(k)).collect()
}

#[test]
fn limits_of_0_over_0() {
    let t = Jet8::variable(0.0);
    // sin t / t, (1 − cos t)/t², tan t / t, (eᵗ − 1)/t, ln(1 + t)/t: the last coefficients are unknown.
    let sinc = coefficients(t.sin() / t);
    let close = |got: &[f64], exact: &[f64]| got.iter().zip(exact).all(|(a, b)| (a - b).abs() < 1e-16);
    assert!(
        close(&sinc[..8], &[1.0, 0.0, -1.0 / 6.0, 0.0, 1.0 / 120.0, 0.0, -1.0 / 5040.0, 0.0])
            && sinc[8].is_nan()
    );
    let half = coefficients((Jet8::constant(1.0) - t.cos()) / (t * t));
    assert!(
        close(&half[..7], &[0.5, 0.0, -1.0 / 24.0, 0.0, 1.0 / 720.0, 0.0, -1.0 / 40320.0])
            && half[7].is_nan()
    );
    assert!(close(&coefficients(t.sin() / t.cos() / t)[..5], &[1.0, 0.0, 1.0 / 3.0, 0.0, 2.0 / 15.0]));
    assert!(close(&coefficients(t.exp_m1() / t)[..4], &[1.0, 0.5, 1.0 / 6.0, 1.0 / 24.0]));
    assert!(close(&coefficients(t.ln_1p() / t)[..4], &[1.0, -0.5, 1.0 / 3.0, -0.25]));
    // A pole stays one, and zero over zero of constants is no limit.
    assert_eq!((t.cos() / t).value, f64::INFINITY);
    assert!((t / Jet8::constant(0.0)).value.is_nan());
    // The same with the tape's numbers is the plain quotient.
    assert_eq!(
        Tape::capture(|[x]| [(Jet::<_, 1>::variable(x).sin() / Jet::variable(x)).value]).to_string(),
        "sin(x) / x"
    );
}

#[test]
fn roots_and_powers_at_0() {
    let t = Jet::<f64, 4>::variable(0.0);
    let (inf, c) = (f64::INFINITY, Jet::<f64, 4>::constant);
    assert_eq!(coefficients(t.sqrt())[..4], [0.0, inf, -inf, inf]);
    // √(t²) = |t|, and √(t⁴·e²ᵗ) = t²·eᵗ
    assert_eq!(coefficients((t * t).sqrt()), [0.0; 5]);
    let [a, b, more, rest, last] = coefficients((t * t * t * t * (t + t).exp()).sqrt())[..] else { panic!() };
    assert!([a, b, more] == [0.0, 0.0, 1.0] && rest.is_nan() && last.is_nan());
    assert_eq!(coefficients(t.abs()), [0.0; 5]);
    assert_eq!(coefficients(t.powi(2)), [0.0, 0.0, 1.0, 0.0, 0.0]);
    assert_eq!(coefficients(t.powi(0)), [1.0, 0.0, 0.0, 0.0, 0.0]);
    assert_eq!(coefficients(t.powf(c(0.0))), [1.0, 0.0, 0.0, 0.0, 0.0]);
    assert_eq!(coefficients(t.powf(c(3.0))), [0.0, 0.0, 0.0, 1.0, 0.0]);
    assert_eq!(coefficients(t.powf(c(1.5)))[..3], [0.0, 0.0, inf]);
    assert_eq!(coefficients((t - c(2.0)).powf(c(3.0))), [-8.0, 12.0, -6.0, 1.0, 0.0]);
    assert_eq!(coefficients(c(0.0).powf(t + c(1.0))), [0.0; 5]);
    assert_eq!(coefficients(t.ln())[..3], [-inf, inf, -inf]);
    assert_eq!(coefficients(t.recip())[..2], [inf, -inf]);
}

#[test]
fn kinks_follow_the_leading_coefficient() {
    let (x, c) = (Jet::<f64, 2>::variable(1.0), Jet::<f64, 2>::constant);
    assert_eq!(coefficients((x * x).maximum(x)), [1.0, 1.5, 0.5]);
    assert_eq!(coefficients((x * x).minimum(c(1.0))), [1.0, 1.0, 0.5]);
    assert_eq!(coefficients((-(x * x)).abs()), [1.0, 2.0, 1.0]);
    assert_eq!(coefficients((x * x).floor() + x.round_ties_even() + x.signum()), [3.0, 0.0, 0.0]);
    assert_eq!(coefficients(c(7.5).remainder(x * x)), [0.5, -14.0, -7.0]);
    assert_eq!(coefficients(x.select_gt(c(0.0), x * x, c(f64::NAN))), [1.0, 2.0, 1.0]);
    // A constant's zero is no factor: 2·x has the slope 2 at ∞.
    assert_eq!(coefficients(c(2.0) * Jet::variable(f64::INFINITY))[1..], [2.0, 0.0]);
    assert!(coefficients((x * c(f64::NAN)).exp()).iter().all(|c| c.is_nan()));
    // Saturated functions are flat.
    for far in [-1e3, 1e3] {
        let x = Jet::<f64, 8>::variable(far);
        for y in [x.tanh(), x.sigmoid(), x.erf(), x.erfc()] {
            assert!(coefficients(y)[1..].iter().all(|&c| c == 0.0), "{far}: {y:?}");
        }
    }
}

#[test]
fn the_first_coefficients_are_those_of_nested_duals() {
    macro_rules! list {
        ($($(#[$_:meta])* $method:ident $_variant:ident $_name:literal $_tensor:ident $_kernels:tt $_slope:tt;)*) => {
            [$(stringify!($method)),*]
        };
    }
    for name in
        elementary!(list).into_iter().chain(["powf 2.5", "powi -3", "1.5^x", "x^x", "softplus", "mlp"])
    {
        for x in [0.1_f64, 0.7, 2.3] {
            let jet = function(name, Jet::<f64, 3>::variable(x));
            let dual = function(name, Dual::variable(Dual::variable(Dual::variable(x))));
            let expected = [
                dual.value.value.value,
                dual.slope().value.value,
                dual.slope().slope().value,
                dual.slope().slope().slope(),
            ];
            for (k, expected) in expected.into_iter().enumerate() {
                let got = jet.derivative(k);
                assert!(
                    (got - expected).abs() <= 1e-12 * expected.abs().max(1.0),
                    "{name}({x}), order {k}: {got} {expected}"
                );
            }
            // In f32, and along a line: each direction's power is a factor.
            let single = function(name, Jet::<f32, 2>::line(x as f32, 2.0));
            let wanted = 2.0 * jet.derivative(2);
            assert!(
                (f64::from(single.coefficient(2)) - wanted).abs() < 1e-4 * wanted.abs().max(1.0),
                "{name}({x})"
            );
        }
    }
    assert_eq!(coefficients(Jet::<f64, 0>::variable(2.0).exp().ln()), [2.0]);
}
