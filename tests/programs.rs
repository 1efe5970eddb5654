//! Random programs against a slow interpreter: values, gradients, and gradients of gradients.
//!
//! A program has up to 50 operations over random shapes, with broadcasts, views, tensors that are used many times, and several
//! results. The interpreter (`programs/plain.rs`) knows neither our formulas nor a graph: it computes each element from its indices,
//! with numbers that carry their derivatives forwards (`programs/number.rs`).
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a test fails by panicking

#[path = "programs/number.rs"]
mod number;
#[path = "programs/plain.rs"]
mod plain;

use std::rc::Rc;

use number::Number;
use plain::{Plain, broadcast_dims};
use tealight::activation::Silu;
use tealight::ops::Pad;
use tealight::prelude::*;

const PROGRAMS: u64 = 10_000;
const LONGEST: usize = 50;
/// Numbers beyond this, or derivatives, say more about rounding than about us.
const LARGEST: f64 = 1e3;
const MOST_ELEMENTS: usize = 60;
const LEAVES: usize = 3;

type Run = Rc<dyn Fn(&[Tensor]) -> Result<Tensor>>;

/// One operation: what it is made from, what comes out by the interpreter, and how tealight does it.
struct Step {
    text: String,
    plain: Plain,
    run: Run,
}

struct Program {
    leaves: Vec<Plain>,
    steps: Vec<Step>,
    /// Tensors without a gradient, which stand among the leaves' successors.
    constants: usize,
}

/// A unary function by both.
type Unary = (&'static str, fn(Number) -> Number, fn(&Tensor) -> Result<Tensor>, fn(f64) -> bool);

const UNARY: &[Unary] = &[
    ("exp", Number::exp, |x| x.exp(), |x| x < 4.0),
    ("ln", Number::ln, |x| x.ln(), |x| x > 0.1),
    ("tanh", Number::tanh, |x| x.tanh(), any),
    ("sigmoid", Number::sigmoid, |x| x.sigmoid(), any),
    ("softplus", Number::softplus, |x| x.softplus(), |x| x.abs() < 20.0),
    ("silu", |x| x * x.sigmoid(), |x| Silu.apply(x), any),
    ("sin", Number::sin, |x| x.sin(), any),
    ("cos", Number::cos, |x| x.cos(), any),
    ("erf", Number::erf, |x| x.erf(), any),
    ("neg", |x| -x, |x| x.neg(), any),
    ("sqr", |x| x * x, |x| x.sqr(), any),
    ("sqrt", |x| x.powf(0.5), |x| x.sqrt(), |x| x > 0.1),
    ("recip", Number::recip, |x| x.recip(), |x| x.abs() > 0.2),
    ("powf(1.7)", |x| x.powf(1.7), |x| x.powf(1.7), |x| x > 0.1),
    ("powf(3)", |x| x.powf(3.0), |x| x.powf(3.0), any),
    ("abs", |x| if x.value < 0.0 { -x } else { x }, |x| x.abs(), apart),
    ("relu", |x| if x.value > 0.0 { x } else { Number::constant(0.0) }, |x| Relu.apply(x), apart),
    ("clamp(-0.5, 0.7)", clamped, |x| x.clamp(-0.5, 0.7), |x| apart(x + 0.5) && apart(x - 0.7)),
    ("2.5 · x − 0.3", |x| x.scale(2.5) + Number::constant(-0.3), |x| (x * 2.5)? - 0.3, any),
    ("1 / (x + 3)", |x| (x + Number::constant(3.0)).recip(), |x| 1.0 / (x + 3.0)?, |x| (x + 3.0).abs() > 0.2),
];

fn any(_: f64) -> bool {
    true
}

/// Not at a kink, where the interpreter would take one side.
fn apart(x: f64) -> bool {
    x.abs() > 1e-6
}

fn clamped(x: Number) -> Number {
    if (-0.5..=0.7).contains(&x.value) { x } else { Number::constant(x.value.clamp(-0.5, 0.7)) }
}

type Binary = (&'static str, fn(Number, Number) -> Number, fn(&Tensor, &Tensor) -> Result<Tensor>);

const BINARY: &[Binary] = &[
    ("+", |a, b| a + b, |a, b| a + b),
    ("−", |a, b| a - b, |a, b| a - b),
    ("·", |a, b| a * b, |a, b| a * b),
    ("/", |a, b| a * b.recip(), |a, b| a / b),
    ("maximum", |a, b| if a.value > b.value { a } else { b }, |a, b| a.maximum(b)),
    ("minimum", |a, b| if a.value < b.value { a } else { b }, |a, b| a.minimum(b)),
];

/// A number for each line, by both; whether it has a kink where two are alike.
type Reduction = (&'static str, fn(&[Number]) -> Number, fn(&Tensor, usize) -> Result<Tensor>);

const REDUCTIONS: &[Reduction] = &[
    ("sum", |x| x.iter().copied().sum(), |x, axis| x.sum(axis)),
    ("mean", mean, |x, axis| x.mean(axis)),
    (
        "max",
        |x| x.iter().copied().reduce(|a, b| if b.value > a.value { b } else { a }).unwrap(),
        |x, axis| x.max(axis),
    ),
    ("prod", |x| x.iter().copied().reduce(|a, b| a * b).unwrap(), |x, axis| x.prod(axis)),
    ("logsumexp", |x| x.iter().map(|x| x.exp()).sum::<Number>().ln(), |x, axis| x.logsumexp(axis)),
    ("var", variance, |x, axis| x.var(axis, 0)),
    ("norm", |x| x.iter().map(|&x| x * x).sum::<Number>().powf(0.5), |x, axis| x.norm(2.0, axis)),
];

fn mean(x: &[Number]) -> Number {
    x.iter().copied().sum::<Number>().scale(1.0 / x.len() as f64)
}

fn variance(x: &[Number]) -> Number {
    let middle = mean(x);
    mean(&x.iter().map(|&x| (x - middle) * (x - middle)).collect::<Vec<_>>())
}

type Lines = (&'static str, fn(&[Number]) -> Vec<Number>, fn(&Tensor, usize) -> Result<Tensor>);

const LINES: &[Lines] = &[
    ("softmax", softmax, |x, axis| x.softmax(axis)),
    ("log_softmax", |x| softmax(x).into_iter().map(Number::ln).collect(), |x, axis| x.log_softmax(axis)),
    ("cumsum", |x| (0..x.len()).map(|i| x[..=i].iter().copied().sum()).collect(), |x, axis| x.cumsum(axis)),
    ("flip", |x| x.iter().rev().copied().collect(), |x, axis| x.flip(&[axis])),
    ("roll", |x| (0..x.len()).map(|i| x[(i + 1) % x.len()]).collect(), |x, axis| x.roll(-1, axis)),
];

fn softmax(x: &[Number]) -> Vec<Number> {
    let total = x.iter().map(|x| x.exp()).sum::<Number>().recip();
    x.iter().map(|x| x.exp() * total).collect()
}

fn shape(rng: &mut Rng) -> Vec<usize> {
    (0..rng.below(4)).map(|_| 1 + rng.below(4)).collect()
}

/// Numbers of this shape that are no multiples of each other, with directions if they are to be differentiated by.
fn random(dims: &[usize], leaf: bool, rng: &mut Rng) -> Plain {
    let mut data = Vec::new();
    for _ in 0..dims.iter().product() {
        let mut number = Number::constant(rng.normal());
        if leaf {
            number.first = [rng.normal(), rng.normal()];
        }
        data.push(number);
    }
    Plain { dims: dims.to_vec(), data }
}

/// An operation on some of the values so far, unless it makes no sense for these.
fn step(values: &[&Plain], rng: &mut Rng) -> Option<Step> {
    // Late values are taken more often, so that programs get deep.
    let pick = |rng: &mut Rng| values.len() - 1 - rng.below(values.len()).min(rng.below(values.len()));
    let (i, j) = (pick(rng), pick(rng));
    let (x, other) = (values[i], values[j]);
    let axis = rng.below(x.dims.len().max(1));
    let flat = x.dims.is_empty();
    let (text, plain, run): (String, Plain, Run) = match rng.below(17) {
        0..4 => {
            let (name, number, tensor, domain) = UNARY[rng.below(UNARY.len())];
            if !x.data.iter().all(|x| domain(x.value)) {
                return None;
            }
            (format!("{name} of {i}"), x.map(number), Rc::new(move |t| tensor(&t[i])))
        }
        4..8 => {
            let (name, number, tensor) = BINARY[rng.below(BINARY.len())];
            if name == "/" && other.data.iter().any(|x| x.value.abs() < 0.2) {
                return None;
            }
            let kink = |a: Number, b: Number| {
                Number::constant(f64::from(u8::from(i == j || apart(a.value - b.value))))
            };
            if name.starts_with('m') && x.zip(other, kink)?.data.iter().any(|x| x.value == 0.0) {
                return None;
            }
            (format!("{i} {name} {j}"), x.zip(other, number)?, Rc::new(move |t| tensor(&t[i], &t[j])))
        }
        8 if !flat => {
            let (name, number, tensor) = REDUCTIONS[rng.below(REDUCTIONS.len())];
            let mut alike = x.data.iter().map(|x| x.value).collect::<Vec<_>>();
            alike.sort_by(f64::total_cmp);
            let kink = match name {
                "max" => alike.windows(2).any(|pair| !apart(pair[1] - pair[0])),
                "norm" => alike.iter().any(|x| x.abs() < 0.1),
                _ => false,
            };
            if kink {
                return None;
            }
            (
                format!("{name} of {i} along {axis}"),
                x.reduce(axis, number),
                Rc::new(move |t| tensor(&t[i], axis)),
            )
        }
        9 if !flat => {
            let (name, number, tensor) = LINES[rng.below(LINES.len())];
            (
                format!("{name} of {i} along {axis}"),
                x.lines(axis, number),
                Rc::new(move |t| tensor(&t[i], axis)),
            )
        }
        10 => {
            let order = rng.permutation(x.dims.len());
            let plain = x.permute(&order);
            (format!("{i} permuted {order:?}"), plain, Rc::new(move |t| t[i].permute(&order)))
        }
        11 => {
            // All the elements, in other axes.
            let (mut rest, mut dims) = (x.data.len(), Vec::new());
            while rest > 1 {
                let divisors: Vec<usize> = (2..=rest).filter(|&d| rest.is_multiple_of(d)).collect();
                dims.push(divisors[rng.below(divisors.len())]);
                rest /= dims[dims.len() - 1];
            }
            if rng.below(2) == 0 {
                dims.insert(rng.below(dims.len() + 1), 1);
            }
            (format!("{i} as {dims:?}"), x.reshape(&dims), Rc::new(move |t| t[i].reshape(&dims[..])))
        }
        12 if !flat => {
            let size = x.dims[axis];
            let start = rng.below(size);
            let len = 1 + rng.below(size - start);
            let places: Vec<_> = (start..start + len).map(Some).collect();
            let text = format!("{i} narrowed along {axis} to {start}, {len}");
            (text, x.pick(axis, &places), Rc::new(move |t| t[i].narrow(axis, start, len)))
        }
        13 if !flat => {
            let places: Vec<usize> = (0..1 + rng.below(4)).map(|_| rng.below(x.dims[axis])).collect();
            let plain = x.pick(axis, &places.iter().copied().map(Some).collect::<Vec<_>>());
            let numbers: Vec<u32> = places.iter().map(|&place| place as u32).collect();
            let run = move |t: &[Tensor]| t[i].index_select(axis, &Tensor::new(&numbers[..], &Device::Cpu)?);
            (format!("{places:?} of {i} along {axis}"), plain, Rc::new(run))
        }
        14 if !flat => match rng.below(2) {
            0 => {
                let (before, after) = (rng.below(3), rng.below(3));
                let inner = (0..x.dims[axis]).map(Some);
                let places: Vec<_> = std::iter::repeat_n(None, before)
                    .chain(inner)
                    .chain(std::iter::repeat_n(None, after))
                    .collect();
                let mut pairs = vec![(0, 0); x.dims.len()];
                pairs[axis] = (before, after);
                let text = format!("{i} padded along {axis} by {before}, {after}");
                (text, x.pick(axis, &places), Rc::new(move |t| t[i].pad(&pairs, Pad::Constant(0.0))))
            }
            _ => {
                let fits = x.dims.len() == other.dims.len()
                    && (0..x.dims.len()).all(|k| k == axis || x.dims[k] == other.dims[k]);
                if !fits {
                    return None;
                }
                let text = format!("{i} and {j} along {axis}");
                (text, x.cat(other, axis), Rc::new(move |t| Tensor::cat(&[&t[i], &t[j]], axis)))
            }
        },
        15 => {
            let dims =
                [&(0..rng.below(2)).map(|_| 1 + rng.below(3)).collect::<Vec<_>>()[..], &x.dims].concat();
            let dims: Vec<usize> =
                dims.into_iter().map(|d| if d == 1 { 1 + rng.below(3) } else { d }).collect();
            broadcast_dims(&dims, &x.dims)?;
            let plain = Plain::build(&dims, |at| x.broadcast(at));
            (format!("{i} broadcast to {dims:?}"), plain, Rc::new(move |t| t[i].broadcast_to(&dims[..])))
        }
        16 => match x.conv1d(other, 1 + axis, 1) {
            Some(plain) => {
                let options = ConvOptions::new().stride(1 + axis).padding(1);
                (
                    format!("conv1d of {i} with {j}, {}", 1 + axis),
                    plain,
                    Rc::new(move |t| t[i].conv1d(&t[j], options)),
                )
            }
            None => (format!("{i} @ {j}"), x.matmul(other)?, Rc::new(move |t| t[i].matmul(&t[j]))),
        },
        _ => return None,
    };
    let small = plain.data.iter().all(|x| x.all().iter().all(|x| x.abs() < LARGEST));
    (small && (1..=MOST_ELEMENTS).contains(&plain.data.len())).then_some(Step { text, plain, run })
}

fn program(rng: &mut Rng) -> Program {
    let leaves: Vec<Plain> = (0..LEAVES).map(|_| random(&shape(rng), true, rng)).collect();
    let mut steps: Vec<Step> = Vec::new();
    let constants = rng.below(2);
    for _ in 0..constants {
        let plain = random(&shape(rng), false, rng);
        let tensor = tensor(&plain, |x| x.value);
        steps.push(Step { text: "constant".into(), plain, run: Rc::new(move |_| Ok(tensor.clone())) });
    }
    let long = 1 + rng.below(LONGEST);
    // Some shapes are so odd that next to nothing fits them.
    for _ in 0..20 * long {
        let values: Vec<&Plain> = leaves.iter().chain(steps.iter().map(|step| &step.plain)).collect();
        if let Some(next) = step(&values, rng) {
            steps.push(next);
        }
        if steps.len() == constants + long {
            break;
        }
    }
    Program { leaves, steps, constants }
}

fn tensor(plain: &Plain, of: impl Fn(&Number) -> f64) -> Tensor {
    Tensor::from_vec(plain.data.iter().map(of).collect(), &plain.dims[..], &Device::Cpu).unwrap()
}

fn numbers(x: &Tensor) -> Vec<f64> {
    x.flatten(0, -1).unwrap().to_vec1().unwrap()
}

/// What went wrong: which number, what it was to be, what it was.
fn differs(what: &str, expected: f64, got: f64) -> Option<String> {
    // NaN differs from everything.
    let close = (expected - got).abs() <= 1e-8 * (1.0 + expected.abs());
    (!close).then(|| format!("{what}: {expected} by the interpreter, {got} by us"))
}

fn check(program: &Program, rng: &mut Rng) -> Result<Option<String>> {
    let leaves: Vec<Tensor> =
        program.leaves.iter().map(|leaf| Tensor::parameter(tensor(leaf, |x| x.value))).collect();
    let mut values = leaves.clone();
    for (number, step) in program.steps.iter().enumerate() {
        let y = (step.run)(&values)?;
        if y.dims() != step.plain.dims {
            return Ok(Some(format!("step {number}: {:?}, got {:?}", step.plain.dims, y.dims())));
        }
        let pairs = step.plain.data.iter().zip(numbers(&y));
        let wrong = pairs.filter_map(|(x, y)| differs(&format!("value of step {number}"), x.value, y)).next();
        if wrong.is_some() {
            return Ok(wrong);
        }
        values.push(y);
    }
    // The results: the last value, and some others, each with weights of its own.
    let mut results = vec![values.len() - 1];
    results.extend((0..rng.below(4)).map(|_| rng.below(values.len())));
    let plains: Vec<&Plain> =
        program.leaves.iter().chain(program.steps.iter().map(|step| &step.plain)).collect();
    let (mut expected, mut loss) = (Number::constant(0.0), Tensor::new(0.0, &Device::Cpu)?);
    for result in results {
        let weights = random(&plains[result].dims, false, rng);
        let products = plains[result].data.iter().zip(&weights.data).map(|(&x, &w)| x * w);
        expected = expected + products.sum();
        loss = (loss + (&values[result] * &tensor(&weights, |x| x.value))?.sum_all()?)?;
    }
    let along = |k: usize| -> Vec<Tensor> {
        program.leaves.iter().map(|leaf| tensor(leaf, |x| x.first[k])).collect()
    };
    let (first, second) = (along(0), along(1));
    let inner = |a: &[Tensor], b: &[Tensor]| -> f64 {
        let dot =
            |(a, b): (&Tensor, &Tensor)| numbers(a).iter().zip(numbers(b)).map(|(a, b)| a * b).sum::<f64>();
        a.iter().zip(b).map(dot).sum()
    };
    let xs: [&Tensor; LEAVES] = std::array::from_fn(|i| &leaves[i]);
    let mut wrong = differs("loss", expected.value, loss.to_scalar()?);
    // What depends on no leaf has no gradient.
    if !loss.requires_grad() {
        wrong = wrong.or(differs("backward", expected.first[0], 0.0));
    } else {
        let gradients = loss.backward()?;
        let fused: Vec<Tensor> = leaves
            .iter()
            .map(|leaf| gradients.get(leaf).cloned().unwrap_or(leaf.zeros_like().unwrap()))
            .collect();
        let recorded = autograd::grad(&loss, xs)?;
        for k in 0..2 {
            let direction = if k == 0 { &first } else { &second };
            wrong = wrong.or(differs("backward", expected.first[k], inner(&fused, direction)));
            wrong = wrong.or(differs("grad", expected.first[k], inner(&recorded, direction)));
        }
        let mut slope = Tensor::new(0.0, &Device::Cpu)?;
        for (gradient, direction) in recorded.iter().zip(&first) {
            slope = (slope + (gradient * direction)?.sum_all()?)?;
        }
        let curved = match slope.requires_grad() {
            true => inner(&autograd::grad(&slope, xs)?, &second),
            false => 0.0,
        };
        wrong = wrong.or(differs("gradient of the gradient", expected.second, curved));
    }
    Ok(wrong)
}

fn show(program: &Program) -> String {
    let mut text = String::new();
    for (i, leaf) in program.leaves.iter().enumerate() {
        text += &format!("{i}: leaf {:?}\n", leaf.dims);
    }
    for (i, step) in program.steps.iter().enumerate() {
        text += &format!("{}: {} {:?}\n", LEAVES + i, step.text, step.plain.dims);
    }
    text
}

/// How many programs: all, but on each instruction set in turn a part has to do.
fn count() -> u64 {
    if std::env::var_os("TEALIGHT_SIMD").is_some() { PROGRAMS / 20 } else { PROGRAMS }
}

fn run(seeds: impl Iterator<Item = u64>) -> (usize, usize) {
    let (mut steps, mut longest) = (0, 0);
    for seed in seeds {
        let rng = &mut Rng::seed(seed);
        let program = program(rng);
        match check(&program, rng) {
            Ok(None) => {}
            Ok(Some(wrong)) => panic!("program {seed}: {wrong}\n{}", show(&program)),
            Err(error) => panic!("program {seed}: {error}\n{}", show(&program)),
        }
        steps += program.steps.len() - program.constants;
        longest = longest.max(program.steps.len() - program.constants);
    }
    (steps, longest)
}

/// Two halves, for two cores.
#[test]
fn even_programs() {
    let (steps, longest) = run((0..count()).filter(|seed| seed % 2 == 0));
    println!("{} programs, {steps} operations, up to {longest} in one", count() / 2);
    assert!(longest > LONGEST * 4 / 5, "the programs are short: {longest}");
}

#[test]
fn odd_programs() {
    let (steps, _) = run((0..count()).filter(|seed| seed % 2 == 1));
    println!("{} programs, {steps} operations", count() / 2);
    assert!(steps as u64 > 5 * count(), "the programs are short: {steps}");
}

/// The gradient times 1 + 10⁻⁶.
#[derive(Debug)]
struct Fault;

impl Op<1> for Fault {
    const NAME: &'static str = "fault";
    fn forward(&self, [x]: [&Array; 1], _: &mut SaveContext) -> Result<Array> {
        Ok(x.clone())
    }
    fn backward(&self, _: &Saved, grad: &Tensor) -> Result<[Option<Tensor>; 1]> {
        Ok([Some((grad * (1.0 + 1e-6))?)])
    }
}

/// The check finds a derivative that is a little wrong, and one that is not there.
#[test]
fn planted_faults_are_found() {
    let faults: [fn(&Tensor) -> Result<Tensor>; 2] = [|y| Fault.apply([y]), |y| Ok(y.detach())];
    for fault in faults {
        let found = |seed: &u64| {
            let rng = &mut Rng::seed(*seed);
            let mut program = program(rng);
            let Some(last) = program.steps.last_mut() else { return false };
            let run = last.run.clone();
            last.run = Rc::new(move |values| fault(&run(values)?));
            check(&program, rng).unwrap().is_some_and(|wrong| wrong.starts_with("backward"))
        };
        let count = (0..100).filter(found).count();
        assert!(count > 50, "{count} of 100 were found");
    }
}
