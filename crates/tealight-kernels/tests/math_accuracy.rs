//! The elementary functions keep the error bounds in the docs of `formula::math`.
//!
//! f32 is compared with std's f64 functions (erf, erfc: libm's), which are good to 10⁻⁹ f32 ulp: a sample by default, all 2³² values with
//! `cargo test --release --test math_accuracy -- --ignored`. f64 is compared with `reference/math.csv`, made by mpmath
//! (`reference/math_golden.py`). Loops run through pulp, as the kernels do, so that `mul_add` is an instruction.

#![allow(clippy::unwrap_used)] // in a helper of tests

use std::f32::consts::{FRAC_PI_2, PI, SQRT_2};
use std::marker::PhantomData;

use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;
use tealight_kernels::formula::Real;

/// A function under test; one of a single argument ignores `y`.
trait Function: Sync {
    const NAME: &'static str;
    fn value<R: Real>(x: R, y: R) -> R;
    /// The reference for f32.
    fn exact(x: f64, y: f64) -> f64;
}

/// The loop the kernels run.
struct Map<'a, F, R>(&'a [R], &'a [R], &'a mut [R], PhantomData<F>);

impl<F: Function, R: Real> WithSimd for Map<'_, F, R> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Map(xs, ys, out, _) = self;
        for ((&x, &y), out) in xs.iter().zip(ys).zip(out) {
            *out = F::value(x, y);
        }
    }
}

fn map<F: Function, R: Real>(xs: &[R], ys: &[R]) -> Vec<R> {
    let mut out = xs.to_vec();
    Arch::new().dispatch(Map::<F, R>(xs, ys, &mut out, PhantomData));
    out
}

/// The error bounds of a function in ulp, f32 and f64, from the table in the docs of `formula::math`.
fn bounds(name: &str) -> [f64; 2] {
    let row = include_str!("../src/formula/math/mod.rs")
        .lines()
        .find_map(|line| line.strip_prefix(&format!("//! | `{name}` | "))?.strip_suffix(" |"))
        .unwrap();
    let bounds: Vec<f64> = row.split(" | ").map(|bound| bound.parse().unwrap()).collect();
    [bounds[0], bounds[1]]
}

/// The distance of neighbouring floats at `x`, for a format with this many fraction bits and this smallest exponent.
fn ulp_at(x: f64, fraction: i32, lowest: i32) -> f64 {
    let exponent = ((x.to_bits() >> 52) & 0x7ff) as i32 - 1023;
    let power = exponent.max(lowest) - fraction;
    // In two factors: 2⁻¹⁰⁷⁴ is subnormal, and powi would go through its reciprocal.
    2f64.powi(power / 2) * 2f64.powi(power - power / 2)
}

/// |got − exact| in ulp; infinite where a NaN, an infinity or the sign of a zero is wrong. An overflow counts as 2¹²⁸.
fn error_f32(got: f32, exact: f64) -> f64 {
    if exact.is_nan() || got.is_nan() {
        return if exact.is_nan() && got.is_nan() { 0.0 } else { f64::INFINITY };
    }
    if exact == 0.0 {
        return if got.to_bits() == (exact as f32).to_bits() { 0.0 } else { f64::INFINITY };
    }
    let end = 2f64.powi(128);
    let (got, exact) = (f64::from(got).clamp(-end, end), exact.clamp(-end, end));
    (got - exact).abs() / ulp_at(exact, 23, -126)
}

/// |got − (golden + residual ulp)| in ulp, as [`error_f32`].
fn error_f64(got: f64, golden: f64, residual: f64) -> f64 {
    if got.to_bits() == golden.to_bits() || (got.is_nan() && golden.is_nan()) {
        return residual.abs();
    }
    if got.is_nan() || golden.is_nan() || got == golden || (golden == 0.0 && residual == 0.0) {
        return f64::INFINITY;
    }
    // At half scale the overflow threshold 2¹⁰²⁴ is a number; the smallest floats must not be halved.
    let infinite = got.is_infinite() || golden.is_infinite();
    let halved = |x: f64| if x.is_infinite() { 2f64.powi(1023).copysign(x) } else { x / 2.0 };
    let scaled = |x: f64| if infinite { halved(x) } else { x };
    let ulp = ulp_at(golden.clamp(f64::MIN, f64::MAX), 52, -1022) / if infinite { 2.0 } else { 1.0 };
    ((scaled(got) - scaled(golden)) / ulp - residual).abs()
}

#[derive(Clone, Copy, Debug)]
#[allow(dead_code)] // read by Debug
struct Worst<R> {
    ulp: f64,
    x: R,
    y: R,
    got: R,
}

fn none<R: Default>() -> Worst<R> {
    Worst { ulp: 0.0, x: R::default(), y: R::default(), got: R::default() }
}

fn worse<R>(a: Worst<R>, b: Worst<R>) -> Worst<R> {
    if b.ulp > a.ulp { b } else { a }
}

fn worst_f32<F: Function>(xs: &[f32], ys: &[f32]) -> Worst<f32> {
    map::<F, f32>(xs, ys).iter().zip(xs.iter().zip(ys)).fold(none(), |worst, (&got, (&x, &y))| {
        let ulp = error_f32(got, F::exact(x.into(), y.into()));
        worse(worst, Worst { ulp, x, y, got })
    })
}

fn keeps_f32_bound<F: Function>(worst: Worst<f32>) {
    println!("{} f32: {worst:?} bits {:#010x} {:#010x}", F::NAME, worst.x.to_bits(), worst.y.to_bits());
    let [bound, _] = bounds(F::NAME);
    assert!(worst.ulp <= bound, "{} f32: bound {bound}, {worst:?}", F::NAME);
}

/// Every 4099th f32, and the neighbours of every power of two, of zero, of infinity and of the places where a result
/// overflows, underflows, saturates, or a method changes.
fn sample() -> Vec<f32> {
    let overflow = [88.722_84, 87.336_54, 103.278_93, 103.972_08, 17.328_68, 9.010_913, 3.919_206];
    let method = [0.346_573_6, 0.707_106_77, SQRT_2, PI, FRAC_PI_2, 0.0, f32::INFINITY, 10.0, 3.0, 1e6];
    let powers = (-149..128).map(|e| 2f32.powi(e));
    let near = overflow.into_iter().chain(method).chain(powers).flat_map(|x| {
        let bits = x.to_bits();
        (bits.saturating_sub(40)..=bits + 40).flat_map(|b| [f32::from_bits(b), -f32::from_bits(b)])
    });
    (0..=u32::MAX).step_by(4099).map(f32::from_bits).chain(near).collect()
}

fn sampled<F: Function>() {
    let xs = sample();
    keeps_f32_bound::<F>(worst_f32::<F>(&xs, &xs));
}

fn exhaustive<F: Function>() {
    let worst = (0..1u32 << 16).into_par_iter().map(|high| {
        let xs: Vec<f32> = (0..1 << 16).map(|low| f32::from_bits(high << 16 | low)).collect();
        worst_f32::<F>(&xs, &xs)
    });
    keeps_f32_bound::<F>(worst.reduce(none, worse));
}

/// Arguments and results of one function in `reference/math.csv`: x, y, the correctly rounded result, what rounding lost in ulp.
fn golden(name: &str) -> Vec<(f64, f64, f64, f64)> {
    let bits = |s: &str| f64::from_bits(u64::from_str_radix(s, 16).unwrap());
    include_str!("../../../tests/reference/math.csv")
        .lines()
        .map(|line| line.split(',').collect::<Vec<_>>())
        .filter(|cells| cells[0] == name)
        .map(|c| {
            (bits(c[1]), if c[2].is_empty() { 0.0 } else { bits(c[2]) }, bits(c[3]), c[4].parse().unwrap())
        })
        .collect()
}

fn against_golden<F: Function>() {
    let rows = golden(F::NAME);
    assert!(rows.len() >= 300, "{} golden points", rows.len());
    let xs: Vec<f64> = rows.iter().map(|r| r.0).collect();
    let ys: Vec<f64> = rows.iter().map(|r| r.1).collect();
    let worst =
        map::<F, f64>(&xs, &ys).iter().zip(&rows).fold(none(), |worst, (&got, &(x, y, exact, residual))| {
            worse(worst, Worst { ulp: error_f64(got, exact, residual), x, y, got })
        });
    println!("{} f64: {worst:?}", F::NAME);
    let [_, bound] = bounds(F::NAME);
    assert!(worst.ulp <= bound, "{} f64: bound {bound}, {worst:?}", F::NAME);
}

/// The same bits from scalar code and from every SIMD level of this machine.
#[cfg(target_arch = "x86_64")]
fn same_bits<F: Function>() {
    fn all_levels<F: Function, R: Real>(xs: &[R], ys: &[R], bits: impl Fn(R) -> u64) {
        let scalar: Vec<u64> = xs.iter().zip(ys).map(|(&x, &y)| bits(F::value(x, y))).collect();
        let check = |out: &[R], level: &str| {
            for (i, (&got, &want)) in out.iter().zip(&scalar).enumerate() {
                assert_eq!(bits(got), want, "{} at {:#x}, {level}", F::NAME, bits(xs[i]));
            }
        };
        let mut out = xs.to_vec();
        if let Some(simd) = pulp::x86::V3::try_new() {
            Simd::vectorize(simd, Map::<F, R>(xs, ys, &mut out, PhantomData));
            check(&out, "AVX2");
        }
        if let Some(simd) = pulp::x86::V4::try_new() {
            Simd::vectorize(simd, Map::<F, R>(xs, ys, &mut out, PhantomData));
            check(&out, "AVX-512");
        }
    }
    let xs: Vec<f32> = sample().into_iter().step_by(7).collect();
    let ys: Vec<f32> = xs.iter().rev().copied().collect();
    // The payload of a NaN may differ.
    all_levels::<F, f32>(&xs, &ys, |x| if x.is_nan() { 1 << 40 } else { x.to_bits().into() });
    let rows = golden(F::NAME);
    let xs: Vec<f64> = rows.iter().map(|r| r.0).chain(xs.iter().map(|&x| x.into())).collect();
    let ys: Vec<f64> = rows.iter().map(|r| r.1).chain(ys.iter().map(|&y| y.into())).collect();
    all_levels::<F, f64>(&xs, &ys, |x| if x.is_nan() { u64::MAX } else { x.to_bits() });
}

macro_rules! functions {
    ($($name:ident, $type:ident, $sampled:ident, $exhaustive:ident,
       |$x:ident, $y:ident| $value:expr, $exact:expr;)*) => {$(
        struct $type;

        impl Function for $type {
            const NAME: &'static str = stringify!($name);
            #[inline(always)]
            fn value<R: Real>($x: R, $y: R) -> R { $value }
            fn exact($x: f64, $y: f64) -> f64 { $exact }
        }

        mod $name {
            use super::*;

            #[test]
            fn f32_sample() { $sampled::<$type>(); }

            #[test]
            #[ignore = "all 2^32 arguments: a minute or two in release mode"]
            fn f32_exhaustive() { $exhaustive::<$type>(); }

            #[test]
            fn f64_golden() { against_golden::<$type>(); }

            #[test]
            #[cfg(target_arch = "x86_64")]
            fn same_bits_at_every_simd_level() { same_bits::<$type>(); }
        }
    )*};
}

functions! {
    exp, Exp, sampled, exhaustive, |x, _y| Real::exp(x), x.exp();
    exp_m1, ExpM1, sampled, exhaustive, |x, _y| Real::exp_m1(x), x.exp_m1();
    ln, Ln, sampled, exhaustive, |x, _y| Real::ln(x), if x == 0.0 { f64::NEG_INFINITY } else { x.ln() };
    ln_1p, Ln1p, sampled, exhaustive, |x, _y| Real::ln_1p(x), x.ln_1p();
    tanh, Tanh, sampled, exhaustive, |x, _y| Real::tanh(x), x.tanh();
    erf, Erf, sampled, exhaustive, |x, _y| Real::erf(x), libm::erf(x);
    erfc, Erfc, sampled, exhaustive, |x, _y| Real::erfc(x), libm::erfc(x);
    atan, Atan, sampled, exhaustive, |x, _y| Real::atan(x), x.atan();
    sin, Sin, sampled, exhaustive, |x, _y| Real::sin(x), x.sin();
    cos, Cos, sampled, exhaustive, |x, _y| Real::cos(x), x.cos();
    powf, Powf, sampled_pairs, all_bases, |x, y| Real::powf(x, y), x.powf(y);
}

/// Pairs of samples, in an order unrelated to their size; half of the exponents are of ordinary size.
fn sampled_pairs<F: Function>() {
    let xs = sample();
    let ys: Vec<f32> = (0..xs.len()).map(|i| exponent(i as u64, xs[i * 7919 % xs.len()])).collect();
    keeps_f32_bound::<F>(worst_f32::<F>(&xs, &ys));
}

fn exponent(seed: u64, wild: f32) -> f32 {
    let random =
        (seed + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let ordinary = (random >> 40) as f32 / 16_777_216.0 - 0.5;
    match random % 4 {
        0 => wild,
        1 => (ordinary * 40.0).round(),
        2 => ordinary * 200.0,
        _ => ordinary * 8.0,
    }
}

/// Every base, each with a different exponent.
fn all_bases<F: Function>() {
    let worst = (0..1u32 << 16).into_par_iter().map(|high| {
        let bits = (0..1 << 16).map(|low: u32| high << 16 | low);
        let xs: Vec<f32> = bits.clone().map(f32::from_bits).collect();
        let ys: Vec<f32> =
            bits.map(|b| exponent(b.into(), f32::from_bits(b.wrapping_mul(0x9e37_79b1)))).collect();
        worst_f32::<F>(&xs, &ys)
    });
    keeps_f32_bound::<F>(worst.reduce(none, worse));
}

#[test]
fn special_values() {
    const INF: f64 = f64::INFINITY;
    const NAN: f64 = f64::NAN;
    const MAX: f64 = f64::MAX;
    type Unary = (&'static str, fn(f64) -> f64, fn(f32) -> f32, &'static [(f64, f64)]);
    let unary: [Unary; 10] = [
        (
            "exp",
            Real::exp,
            Real::exp,
            &[(0.0, 1.0), (-0.0, 1.0), (INF, INF), (-INF, 0.0), (MAX, INF), (-MAX, 0.0)],
        ),
        (
            "exp_m1",
            Real::exp_m1,
            Real::exp_m1,
            &[(0.0, 0.0), (-0.0, -0.0), (INF, INF), (-INF, -1.0), (MAX, INF), (-MAX, -1.0)],
        ),
        (
            "ln",
            Real::ln,
            Real::ln,
            &[(1.0, 0.0), (0.0, -INF), (-0.0, -INF), (INF, INF), (-1.0, NAN), (-INF, NAN), (-MAX, NAN)],
        ),
        (
            "ln_1p",
            Real::ln_1p,
            Real::ln_1p,
            &[(0.0, 0.0), (-0.0, -0.0), (-1.0, -INF), (INF, INF), (-1.5, NAN), (-INF, NAN)],
        ),
        (
            "tanh",
            Real::tanh,
            Real::tanh,
            &[(0.0, 0.0), (-0.0, -0.0), (INF, 1.0), (-INF, -1.0), (MAX, 1.0), (-40.0, -1.0)],
        ),
        (
            "erf",
            Real::erf,
            Real::erf,
            &[(0.0, 0.0), (-0.0, -0.0), (INF, 1.0), (-INF, -1.0), (MAX, 1.0), (-7.0, -1.0)],
        ),
        (
            "erfc",
            Real::erfc,
            Real::erfc,
            &[(0.0, 1.0), (-0.0, 1.0), (INF, 0.0), (-INF, 2.0), (MAX, 0.0), (-7.0, 2.0), (28.0, 0.0)],
        ),
        ("atan", Real::atan, Real::atan, &[(0.0, 0.0), (-0.0, -0.0)]),
        ("sin", Real::sin, Real::sin, &[(0.0, 0.0), (-0.0, -0.0), (INF, NAN), (-INF, NAN)]),
        ("cos", Real::cos, Real::cos, &[(0.0, 1.0), (-0.0, 1.0), (INF, NAN), (-INF, NAN)]),
    ];
    let check = |name: &str, x: f64, got: f64, want: f64| {
        assert!(
            got.to_bits() == want.to_bits() || (got.is_nan() && want.is_nan()),
            "{name}({x}) = {got}, not {want}"
        );
    };
    for (name, f64, f32, table) in unary {
        for &(x, want) in table.iter().chain(&[(NAN, NAN), (-NAN, NAN)]) {
            check(name, x, f64(x), want);
            check(name, x, f32(x as f32).into(), want);
        }
    }
    for tiny in [f64::from_bits(1), f64::from_bits(3), f64::MIN_POSITIVE, -1e-310, 1e-300] {
        for (name, f64, _, _) in
            unary.iter().filter(|f| ["exp_m1", "ln_1p", "tanh", "atan", "sin"].contains(&f.0))
        {
            check(name, tiny, f64(tiny), tiny);
        }
    }
}

#[test]
fn powf_special_values() {
    const INF: f64 = f64::INFINITY;
    let [bound, _] = bounds("powf");
    let numbers = [
        0.0,
        0.5,
        1.0,
        1.5,
        2.0,
        3.0,
        4.0,
        0.1,
        1e30,
        16_777_215.0,
        4_503_599_627_370_497.0,
        1e300,
        INF,
        f64::NAN,
    ];
    for (x, y) in numbers.iter().flat_map(|&x| numbers.iter().map(move |&y| (x, y))) {
        for (x, y) in [(x, y), (-x, y), (x, -y), (-x, -y)] {
            // std is right about zeros, infinities, NaN and signs; the other tests bound its error.
            let (got, want) = (Real::powf(x, y), x.powf(y));
            let near = ((got - want) / want).abs() < 1e-14 && want != 0.0;
            assert!(
                near || got.to_bits() == want.to_bits() || (got.is_nan() && want.is_nan()),
                "powf({x}, {y}) = {got}, not {want}"
            );
            let (x, y) = (x as f32, y as f32);
            let error = error_f32(Real::powf(x, y), f64::from(x).powf(y.into()));
            assert!(error <= bound, "powf({x}f32, {y}f32) = {}", Real::powf(x, y));
        }
    }
    // Not left to std: the rules of IEEE 754, 9.2.1.
    for y in [0.0, -0.0] {
        assert!([f64::NAN, 0.0, INF, -INF, -2.5].iter().all(|&x| Real::powf(x, y) == 1.0));
    }
    assert!([f64::NAN, INF, -INF, 0.3].iter().all(|&y| Real::powf(1.0, y) == 1.0));
    assert_eq!((Real::powf(-1.0, INF), Real::powf(-1.0, -INF)), (1.0, 1.0));
    assert_eq!((Real::powf(-2.0, 3.0), Real::powf(-2.0, 4.0)), (-8.0, 16.0));
    assert!(f64::is_nan(Real::powf(-8.0, 1.0 / 3.0)));
    assert_eq!(Real::powf(-0.0, -3.0), -INF);
    assert_eq!(Real::powf(-INF, -3.0).to_bits(), (-0.0f64).to_bits());
}

/// The error measure itself finds errors.
#[test]
fn a_wrong_result_is_noticed() {
    assert_eq!(error_f32(1.0 + f32::EPSILON, 1.0), 1.0);
    assert_eq!(error_f32(0.0, 2f64.powi(-149)), 1.0);
    assert_eq!(error_f32(f32::INFINITY, 2f64.powi(128) - 2f64.powi(104)), 1.0);
    assert_eq!(error_f32(-0.0, 0.0), f64::INFINITY);
    assert_eq!(error_f32(f32::NAN, 1.0), f64::INFINITY);
    assert_eq!(error_f64(1.0 + f64::EPSILON, 1.0, 0.25), 0.75);
    assert_eq!(error_f64(f64::INFINITY, f64::MAX, 0.0), 1.0);
    assert_eq!(error_f64(f64::from_bits(2), f64::from_bits(1), 0.0), 1.0);
    assert_eq!(error_f64(0.0, -0.0, 0.0), f64::INFINITY);
    assert_eq!(error_f64(1.0, f64::NAN, 0.0), f64::INFINITY);
}
