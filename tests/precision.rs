//! How exact each elementary function, activation and pointwise loss is, and its derivative: docs/precision.md.
//!
//! `cargo test --test precision` holds the page to the points of `reference/precision.txt`, made by mpmath
//! (`reference/precision.py`). The measurement itself, which writes the page, takes minutes:
//!
//! ```sh
//! python3 tests/reference/precision.py 10000 > /tmp/precision.txt
//! TEALIGHT_REFERENCE=/tmp/precision.txt cargo test --release --test precision -- --ignored
//! ```
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a test fails by panicking

use rayon::prelude::*;
use tealight::activation::{
    Celu, Elu, GeluTanh, HardSigmoid, HardSwish, HardTanh, LogSigmoid, Mish, Relu6, Selu, Softsign,
    Tanhshrink, Threshold,
};
use tealight::loss::{Hinge, Huber, KlDiv, PoissonNll, SmoothL1};
use tealight::prelude::*;

const PAGE: &str = "docs/precision.md";
const BEGIN: &str = "<!-- measured by tests/precision.rs: begin -->\n";
const END: &str = "<!-- measured by tests/precision.rs: end -->\n";
/// Every which of all f32 is tried.
const STEP: usize = 257;
/// From here on an error in ulp says that digits are lost, and the page states the absolute one.
const LOST: f64 = 16.0;
const INF: f64 = f64::INFINITY;

/// Where a second input is from.
#[derive(Clone, Copy)]
enum Second {
    None,
    Between(f64, f64),
    Sign,
    Count,
}

/// A function of x, and perhaps of y.
struct Case {
    name: &'static str,
    f: fn(&[Tensor]) -> Result<Tensor>,
    /// Where x is from, for f32.
    from: f64,
    to: f64,
    second: Second,
    /// Why digits are lost, where they are.
    why: &'static str,
}

const NONE: Second = Second::None;
const REAL: Second = Second::Between(-10.0, 10.0);
const UNIT: Second = Second::Between(0.0, 1.0);
const SATURATES: &str = "made from y, which says little of how far it is from its limit";
const DIFFERENCE: &str = "a difference that is nearly 0, of numbers that are rounded";
const TAIL: &str = "e takes the rounding of its argument times that argument, in a tail that is nearly 0";
const OVERFLOW: &str = "0 for what is subnormal: e⁻ˣ overflows";
const GATE: &str =
    "x(1 − s), where s is nearly 1; a difference that is nearly 0; the tail, where e⁻ˣ overflows";

macro_rules! cases {
    ($($name:literal, $f:expr, $from:expr, $to:expr, $second:expr, $why:expr;)*) => {
        &[$(Case { name: $name, f: $f, from: $from, to: $to, second: $second, why: $why }),*]
    };
}

const ELEMENTARY: &[Case] = cases! {
    "exp", |x| x[0].exp(), -INF, INF, NONE, "";
    "expm1", |x| x[0].expm1(), -INF, INF, NONE, SATURATES;
    "ln", |x| x[0].ln(), 0.0, INF, NONE, "";
    "log2", |x| x[0].log2(), 0.0, INF, NONE, "";
    "log10", |x| x[0].log10(), 0.0, INF, NONE, "";
    "log1p", |x| x[0].log1p(), -1.0, INF, NONE, "";
    "sqrt", |x| x[0].sqrt(), 0.0, INF, NONE, "";
    "rsqrt", |x| x[0].rsqrt(), 1e-20, 1e20, NONE, "";
    "recip", |x| x[0].recip(), -1e18, 1e18, NONE, "";
    "sqr", |x| x[0].sqr(), -1e18, 1e18, NONE, "";
    "powf(3)", |x| x[0].powf(3.0), -1e12, 1e12, NONE, "";
    "powf(-2)", |x| x[0].powf(-2.0), -1e12, 1e12, NONE, "";
    "powf(2.5)", |x| x[0].powf(2.5), 0.0, 1e15, NONE, "";
    "pow", |x| x[0].pow(&x[1]), 1e-3, 1e3, REAL, "y − 1 is rounded, and the power takes that times ln x";
    "pow, by the exponent", |x| x[1].pow(&x[0]), -10.0, 10.0, Second::Between(0.1, 10.0), "";
    "sin", |x| x[0].sin(), -1e6, 1e6, NONE, "";
    "cos", |x| x[0].cos(), -1e6, 1e6, NONE, "";
    "tan", |x| x[0].tan(), -1e6, 1e6, NONE, "";
    "asin", |x| x[0].asin(), -1.0, 1.0, NONE, "";
    "acos", |x| x[0].acos(), -1.0, 1.0, NONE, "";
    "atan", |x| x[0].atan(), -INF, INF, NONE, "0 for what is subnormal: x² overflows";
    "atan2", |x| x[0].atan2(&x[1]), -1e6, 1e6, REAL, "";
    "sinh", |x| x[0].sinh(), -INF, INF, NONE, "";
    "cosh", |x| x[0].cosh(), -INF, INF, NONE, "";
    "tanh", |x| x[0].tanh(), -INF, INF, NONE, SATURATES;
    "sigmoid", |x| x[0].sigmoid(), -INF, INF, NONE, "y(1 − y), where y is nearly 1; 0 for what is subnormal: e⁻ˣ overflows";
    "erf", |x| x[0].erf(), -INF, INF, NONE, TAIL;
    "erfc", |x| x[0].erfc(), -INF, INF, NONE, TAIL;
};

const ACTIVATIONS: &[Case] = cases! {
    "elu", |x| Elu::default().apply(&x[0]), -INF, INF, NONE, "";
    "selu", |x| Selu.apply(&x[0]), -INF, INF, NONE, "";
    "celu(0.5)", |x| Celu { alpha: 0.5 }.apply(&x[0]), -INF, INF, NONE, "";
    "gelu", |x| Gelu.apply(&x[0]), -INF, INF, NONE, "the tail, where e takes the rounding of x²; a difference that is nearly 0";
    "gelu_tanh", |x| GeluTanh.apply(&x[0]), -INF, INF, NONE, GATE;
    "hard_sigmoid", |x| HardSigmoid.apply(&x[0]), -INF, INF, NONE, "";
    "hard_swish", |x| HardSwish.apply(&x[0]), -INF, INF, NONE, DIFFERENCE;
    "hard_tanh", |x| HardTanh::default().apply(&x[0]), -INF, INF, NONE, "";
    "relu6", |x| Relu6.apply(&x[0]), -INF, INF, NONE, "";
    "leaky_relu", |x| LeakyRelu::default().apply(&x[0]), -INF, INF, NONE, "";
    "log_sigmoid", |x| LogSigmoid.apply(&x[0]), -INF, INF, NONE, OVERFLOW;
    "mish", |x| Mish.apply(&x[0]), -INF, INF, NONE, "x(1 − t²), where t is nearly 1; a difference that is nearly 0; the tail, where eˣ underflows";
    "relu", |x| Relu.apply(&x[0]), -INF, INF, NONE, "";
    "silu", |x| Silu.apply(&x[0]), -INF, INF, NONE, GATE;
    "softplus", |x| Softplus::default().apply(&x[0]), -INF, INF, NONE, OVERFLOW;
    "softplus(2)", |x| Softplus { beta: 2.0 }.apply(&x[0]), -INF, INF, NONE, OVERFLOW;
    "softsign", |x| Softsign.apply(&x[0]), -INF, INF, NONE, "";
    "tanhshrink", |x| Tanhshrink.apply(&x[0]), -INF, INF, NONE, DIFFERENCE;
    "threshold(1, -5)", |x| Threshold { threshold: 1.0, value: -5.0 }.apply(&x[0]), -INF, INF, NONE, "";
};

const LOSSES: &[Case] = cases! {
    "bce", |x| Bce.elementwise(&x[0], &x[1]), 1e-3, 0.999, UNIT, DIFFERENCE;
    "bce_with_logits", |x| BceWithLogits.elementwise(&x[0], &x[1]), -20.0, 20.0, UNIT, DIFFERENCE;
    "hinge", |x| Hinge.elementwise(&x[0], &x[1]), -20.0, 20.0, Second::Sign, "";
    "huber", |x| Huber::new().elementwise(&x[0], &x[1]), -20.0, 20.0, REAL, "";
    "smooth_l1(0.5)", |x| SmoothL1::new().beta(0.5)?.elementwise(&x[0], &x[1]), -20.0, 20.0, REAL, "";
    "kl_div", |x| KlDiv::new().elementwise(&x[0], &x[1]), -20.0, 0.0, Second::Between(1e-3, 1.0), DIFFERENCE;
    "l1", |x| L1.elementwise(&x[0], &x[1]), -20.0, 20.0, REAL, "";
    "l2", |x| Mse.elementwise(&x[0], &x[1]), -20.0, 20.0, REAL, "";
    "poisson_nll", |x| PoissonNll::new().elementwise(&x[0], &x[1]), -5.0, 5.0, Second::Count, DIFFERENCE;
};

const GROUPS: [(&str, &[Case]); 3] =
    [("Elementary functions", ELEMENTARY), ("Activations", ACTIVATIONS), ("Pointwise losses", LOSSES)];

/// f(x, y) and its derivative by x, in this type, as f64.
fn evaluate(case: &Case, xs: &[f64], ys: &[f64], dtype: DType) -> [Vec<f64>; 2] {
    let tensor = |numbers: &[f64]| Tensor::new(numbers, &Device::Cpu).unwrap().to_dtype(dtype).unwrap();
    let x = Tensor::parameter(tensor(xs));
    let y = (case.f)(&[x.clone(), tensor(ys)]).unwrap();
    let gradients = y.sum_all().unwrap().backward().unwrap();
    [&y, gradients.get(&x).unwrap()].map(|t| t.to_dtype(DType::F64).unwrap().to_vec1().unwrap())
}

/// The fraction bits and the smallest exponent of a type.
fn format(dtype: DType) -> (i32, i32) {
    if dtype == DType::F32 { (23, -126) } else { (52, -1022) }
}

/// The distance of neighbouring floats at `x`.
fn ulp_at(x: f64, dtype: DType) -> f64 {
    let (fraction, lowest) = format(dtype);
    let exponent = ((x.to_bits() >> 52) & 0x7ff) as i32 - 1023;
    let power = exponent.max(lowest) - fraction;
    // In two factors, for 2⁻¹⁰⁷⁴ is subnormal and powi would go through its reciprocal.
    2f64.powi(power / 2) * 2f64.powi(power - power / 2)
}

/// The worst errors in ulp and in ε·max(1, |y|), each with its place.
#[derive(Clone, Copy, Debug, Default)]
struct Worst {
    ulp: f64,
    at: (f64, f64),
    relative: f64,
    relative_at: (f64, f64),
}

impl Worst {
    fn with(self, other: Worst) -> Worst {
        let (ulp, at) = if other.ulp > self.ulp { (other.ulp, other.at) } else { (self.ulp, self.at) };
        let far = if other.relative > self.relative { other } else { self };
        Worst { ulp, at, relative: far.relative, relative_at: far.relative_at }
    }

    /// `exact` is off by `lost` f64 ulp.
    fn of(got: f64, exact: f64, lost: f64, dtype: DType, at: (f64, f64)) -> Worst {
        if got.to_bits() == exact.to_bits() && dtype == DType::F64 {
            return Worst { ulp: lost.abs(), at, relative: lost.abs(), relative_at: at };
        }
        if got.is_nan() || exact.is_nan() {
            let ulp = if got.is_nan() && exact.is_nan() { 0.0 } else { INF };
            return Worst { ulp, at, relative: ulp, relative_at: at };
        }
        // An overflow counts as the first number that is too large.
        let end = if dtype == DType::F32 { 2f64.powi(128) } else { f64::MAX };
        let (got, exact) = (got.clamp(-end, end), exact.clamp(-end, end));
        let off = ((got - exact) - lost * ulp_at(exact, DType::F64)).abs();
        let one = ulp_at(1.0, dtype) * exact.abs().max(1.0);
        Worst { ulp: off / ulp_at(exact, dtype), at, relative: off / one, relative_at: at }
    }
}

/// A point of the reference: x, y, and f and its derivative, each with what rounding lost in ulp.
struct Point {
    at: (f64, f64),
    short: bool,
    exact: [(f64, f64); 2],
}

fn number(text: &str) -> (f64, bool) {
    let bits = u64::from_str_radix(text, 16).unwrap();
    match text.len() {
        8 => (f32::from_bits(bits as u32).into(), true),
        _ => (f64::from_bits(bits), false),
    }
}

fn points(reference: &str, case: &Case) -> Vec<Point> {
    let mut lines = reference.lines().skip_while(|line| line.strip_prefix("= ") != Some(case.name)).skip(1);
    let two = !matches!(case.second, Second::None);
    let point = |line: &str| {
        let mut fields = line.split(' ');
        let (x, short_x) = number(fields.next().unwrap());
        let (y, short_y) = if two { number(fields.next().unwrap()) } else { (0.0, true) };
        let exact = [(); 2].map(|()| {
            let (value, _) = number(fields.next().unwrap());
            (value, fields.next().unwrap().parse::<f64>().unwrap() / 100.0)
        });
        Point { at: (x, y), short: short_x && short_y, exact }
    };
    let points: Vec<Point> = lines.by_ref().take_while(|line| !line.starts_with('=')).map(point).collect();
    assert!(points.len() >= 50, "{}: {} points of reference", case.name, points.len());
    points
}

/// The errors of the value and of the derivative at the points of the reference that this type has.
fn against_reference(case: &Case, reference: &str, dtype: DType) -> [Worst; 2] {
    let mut points = points(reference, case);
    points.retain(|point| dtype == DType::F64 || point.short);
    let (xs, ys): (Vec<f64>, Vec<f64>) = points.iter().map(|point| point.at).unzip();
    let got = evaluate(case, &xs, &ys, dtype);
    [0, 1].map(|i| {
        points.iter().zip(&got[i]).fold(Worst::default(), |worst, (point, &got)| {
            let (exact, lost) = point.exact[i];
            worst.with(Worst::of(got, exact, lost, dtype, point.at))
        })
    })
}

/// The errors of f32 at every 257th number of the domain, beside f64.
fn sampled(case: &Case) -> [Worst; 2] {
    let chunk = 1 << 16;
    (0..(1_usize << 32) / STEP / chunk + 1)
        .into_par_iter()
        .map(|i| {
            let bits = (i * chunk..(i + 1) * chunk).filter_map(|k| u32::try_from(k * STEP).ok());
            let xs: Vec<f64> = bits
                .map(|bits| f64::from(f32::from_bits(bits)))
                .filter(|x| x.is_finite() && (case.from..=case.to).contains(x))
                .collect();
            let ys: Vec<f64> = xs.iter().map(|x| second(case.second, x.to_bits())).collect();
            let exact = evaluate(case, &xs, &ys, DType::F64);
            let got = evaluate(case, &xs, &ys, DType::F32);
            [0, 1].map(|which| {
                (0..xs.len()).fold(Worst::default(), |worst, i| {
                    let (got, exact) = (got[which][i], exact[which][i]);
                    worst.with(Worst::of(got, exact, 0.0, DType::F32, (xs[i], ys[i])))
                })
            })
        })
        .reduce(|| [Worst::default(); 2], |a, b| [a[0].with(b[0]), a[1].with(b[1])])
}

/// A number that has nothing to do with the size of x.
fn second(from: Second, seed: u64) -> f64 {
    let random = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let unit = (random >> 40) as f64 / 16_777_216.0;
    let y = match from {
        Second::None => 0.0,
        Second::Between(from, to) => from + unit * (to - from),
        Second::Sign => (unit - 0.5).signum(),
        Second::Count => (unit * 21.0).floor(),
    };
    f64::from(y as f32)
}

/// Rounded up, as a bound is.
fn up(x: f64) -> String {
    if x < 1e4 { format!("{:.2}", (x * 100.0).ceil() / 100.0) } else { format!("{:.1e}", x * 1.05) }
}

fn place(case: &Case, (x, y): (f64, f64)) -> String {
    let short = |x: f64| {
        if x == 0.0 || (1e-3..1e5).contains(&x.abs()) { format!("{x:.4}") } else { format!("{x:.3e}") }
    };
    if matches!(case.second, Second::None) { short(x) } else { format!("({}, {})", short(x), short(y)) }
}

fn cells(case: &Case, worst: &Worst) -> String {
    if worst.ulp <= LOST {
        return format!("{} | {}", up(worst.ulp), place(case, worst.at));
    }
    format!("{} ε | {}", up(worst.relative), place(case, worst.relative_at))
}

const COLUMNS: [&str; 4] = ["f32, value", "f32, derivative", "f64, value", "f64, derivative"];

#[test]
#[ignore = "measures, and writes docs/precision.md: minutes in release mode, with a larger reference"]
fn measure() {
    let reference = match std::env::var_os("TEALIGHT_REFERENCE") {
        Some(path) => std::fs::read_to_string(path).unwrap(),
        None => include_str!("reference/precision.txt").to_owned(),
    };
    let (mut tables, mut lost) = (String::new(), String::new());
    for (title, cases) in GROUPS {
        tables += &format!("\n### {title}\n\n| | {} |\n|---|", COLUMNS.join(" | at | ") + " | at");
        tables += &"---|".repeat(8);
        tables += "\n";
        for case in cases {
            let single = {
                let [a, b] = against_reference(case, &reference, DType::F32);
                let [c, d] = sampled(case);
                [a.with(c), b.with(d)]
            };
            let double = against_reference(case, &reference, DType::F64);
            let all = [single[0], single[1], double[0], double[1]];
            println!("{}: {all:?}", case.name);
            let cells = all.each_ref().map(|worst| cells(case, worst));
            tables += &format!("| `{}` | {} |\n", case.name, cells.join(" | "));
            for (column, worst) in COLUMNS.iter().zip(&all).filter(|(_, worst)| worst.ulp > LOST) {
                assert!(!case.why.is_empty(), "{} {column}: {worst:?}", case.name);
                let digits = 2f64.powi(if column.starts_with("f32") { 23 } else { 52 });
                let ulp = if worst.ulp < digits { up(worst.ulp) } else { "all digits".into() };
                let at = place(case, worst.at);
                lost += &format!("| `{}` | {column} | {ulp} | {at} | {} |\n", case.name, case.why);
            }
        }
    }
    let page = std::fs::read_to_string(PAGE).unwrap();
    let (before, rest) = page.split_once(BEGIN).unwrap();
    let (_, after) = rest.split_once(END).unwrap();
    let most = reference.lines().count() / GROUPS.iter().map(|(_, cases)| cases.len()).sum::<usize>();
    let said = format!(
        "\nf32: every {STEP}th of all numbers in the domain. f64: {most} points of reference for a function on average.\n"
    );
    let lost = format!("\n### Lost digits\n\n| | | worst ulp | at | why |\n|---|---|---|---|---|\n{lost}\n");
    std::fs::write(PAGE, format!("{before}{BEGIN}{said}{tables}{lost}{END}{after}")).unwrap();
}

/// What the page states for a function: each bound, and whether it is in ε.
fn stated(page: &str, name: &str) -> Vec<(f64, bool)> {
    let row = page.lines().find(|line| line.starts_with(&format!("| `{name}` | "))).expect(name);
    let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
    assert_eq!(cells.len(), 9, "{row}");
    cells[1..]
        .iter()
        .step_by(2)
        .map(|cell| match cell.strip_suffix(" ε") {
            Some(number) => (number.parse().unwrap(), true),
            None => (cell.parse().unwrap(), false),
        })
        .collect()
}

#[test]
fn the_page_holds() {
    let page = std::fs::read_to_string(PAGE).unwrap();
    for case in GROUPS.iter().flat_map(|(_, cases)| *cases) {
        let bounds = stated(&page, case.name);
        let reference = include_str!("reference/precision.txt");
        let measured =
            [DType::F32, DType::F64].map(|dtype| against_reference(case, reference, dtype)).concat();
        for ((column, worst), (bound, absolute)) in COLUMNS.iter().zip(measured).zip(bounds) {
            let got = if absolute { worst.relative } else { worst.ulp };
            assert!(got <= bound, "{} {column}: {got} at {:?}, the page says {bound}", case.name, worst.at);
        }
    }
}

/// The comparison itself notices one ulp, a wrong infinity and a NaN.
#[test]
fn planted_faults() {
    let one = Worst::of(1.0 + f64::from(f32::EPSILON), 1.0, 0.0, DType::F32, (0.0, 0.0));
    assert_eq!((one.ulp, one.relative), (1.0, 1.0));
    assert_eq!(Worst::of(1.0 + f64::EPSILON, 1.0, 0.25, DType::F64, (0.0, 0.0)).ulp, 0.75);
    assert_eq!(Worst::of(INF, f64::from(f32::MAX), 0.0, DType::F32, (0.0, 0.0)).ulp, 1.0);
    assert_eq!(Worst::of(f64::NAN, 1.0, 0.0, DType::F64, (0.0, 0.0)).ulp, INF);
    assert!(Worst::of(1e-300, 0.0, 0.0, DType::F64, (0.0, 0.0)).ulp > 1e10);
}
