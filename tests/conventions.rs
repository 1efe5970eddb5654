//! Values and derivatives at kinks and degenerate points against PyTorch's, which `reference/conventions.py` made. The table in
//! `docs/conventions.md` says what they are, and where we differ.
#![allow(clippy::unwrap_used, clippy::panic)] // a test fails by panicking

use std::collections::BTreeSet;

use tealight::activation::*;
use tealight::loss::*;
use tealight::ops::PoolOptions;
use tealight::prelude::*;

type Eval = fn(&[Tensor]) -> Result<Tensor>;

/// Pairs each expression with its text: `[a, b]: a.add(b), …;` names the inputs of the expressions that follow.
macro_rules! expressions {
    ($($inputs:tt: $($body:expr),* $(,)?;)*) => {
        const EXPRESSIONS: &[(&str, Eval)] = &[$($((
            stringify!($body),
            |inputs| {
                let $inputs = inputs else { panic!("{} inputs", inputs.len()) };
                $body
            },
        ),)*)*];
    };
}
expressions! {
    [x]:
        x.exp(), x.expm1(), x.ln(), x.log2(), x.log10(), x.log1p(), x.sqr(), x.sqrt(), x.rsqrt(), x.recip(), x.neg(), x.abs(),
        x.sign(), x.floor(), x.ceil(), x.round(), x.trunc(), x.sin(), x.cos(), x.tan(), x.asin(), x.acos(), x.atan(), x.sinh(),
        x.cosh(), x.tanh(), x.erf(), x.erfc(), x.sigmoid(), x.softplus(), x.relu(), x.gelu(), x.silu(),
        x.powf(-2.0), x.powf(-1.0), x.powf(-0.5), x.powf(0.0), x.powf(0.5), x.powf(1.0), x.powf(1.5), x.powf(2.0), x.powf(2.5),
        x.powf(3.0), x.powf(4.0), x.leaky_relu(0.25), x.elu(1.5),
        Relu6.apply(x), HardTanh::default().apply(x), HardSigmoid.apply(x), HardSwish.apply(x),
        Threshold { threshold: 1.0, value: 7.0 }.apply(x), Selu.apply(x), Celu { alpha: 0.5 }.apply(x), Softsign.apply(x),
        Tanhshrink.apply(x), LogSigmoid.apply(x), Mish.apply(x), GeluTanh.apply(x),
        x.sum(0), x.mean(0), x.prod(0), x.max(0), x.min(0), x.var(0, 0), x.var(0, 1), x.std(0, 0), x.std(0, 1), x.logsumexp(0),
        x.norm(0.0, 0), x.norm(0.5, 0), x.norm(1.0, 0), x.norm(1.5, 0), x.norm(2.0, 0), x.norm(3.0, 0),
        x.norm(f64::INFINITY, 0), x.norm(f64::NEG_INFINITY, 0), x.norm(2.0, 0)?.sqr(), x.norm(3.0, 0)?.sqr(), x.cumsum(0), x.cumprod(0), x.softmax(0), x.log_softmax(0), x.normalize_rows(2.0),
        x.normalize_rows(1.0), x.normalize_rows(f64::INFINITY),
        x.reshape((1, 1, x.elem_count()))?.adaptive_max_pool1d(1),
        Ok(x.reshape((1, 1, x.elem_count()))?.max_pool1d_with_indices(PoolOptions::<1>::new(x.elem_count()))?.0),
        HingeEmbedding::new().elementwise(x, &scalar(1.0)), HingeEmbedding::new().elementwise(x, &scalar(-1.0)),
        SoftMargin.elementwise(x, &scalar(1.0)),
        MultiMargin::new().elementwise(&x.unsqueeze(0)?, &Tensor::new(&[0_u32], &Device::Cpu)?),
        MultiMargin::new().p(2)?.elementwise(&x.unsqueeze(0)?, &Tensor::new(&[0_u32], &Device::Cpu)?),
        Ok(x.max_with_indices(0)?.0), Ok(x.min_with_indices(0)?.0), Ok(x.median(0)?.0),
        BceWithLogits.pos_weight(&scalar(3.0))?.elementwise(x, &scalar(0.0)),
        BceWithLogits.pos_weight(&scalar(3.0))?.elementwise(x, &scalar(1.0)),
        Ok(x.sort(0, false)?.0), Ok(x.topk(1, 0)?.0),
        x.reshape((1, 1, x.elem_count()))?.max_pool1d(PoolOptions::<1>::new(x.elem_count())),
        BceWithLogits.elementwise(x, &scalar(0.0)), BceWithLogits.elementwise(x, &scalar(0.5)),
        BceWithLogits.elementwise(x, &scalar(1.0)), Bce.elementwise(x, &scalar(0.0)),
        Bce.elementwise(x, &scalar(1.0)), L1.elementwise(x, &scalar(0.0)), Mse.elementwise(x, &scalar(0.0)),
        Huber::default().elementwise(x, &scalar(0.0)), SmoothL1::default().elementwise(x, &scalar(0.0)),
        Hinge.elementwise(x, &scalar(1.0)), KlDiv::default().elementwise(x, &scalar(0.0)),
        CrossEntropy::new().elementwise(&x.unsqueeze(0)?, &Tensor::new(&[0_u32], &Device::Cpu)?),
        CrossEntropy::new().elementwise(&x.unsqueeze(0)?, &Tensor::new(&[1_u32], &Device::Cpu)?);
    [a]:
        a.maximum(1.0), a.minimum(1.0), a.clamp(-1.0, 1.0), a.clamp(1.0, 1.0), a.remainder(2.0);
    [a, b]:
        a.add(b), a.sub(b), a.mul(b), a.div(b), a.pow(b), a.maximum(b), a.minimum(b), a.atan2(b), a.remainder(b), a.fmod(b), a.fmax(b), a.fmin(b), a.xlogy(b), a.logaddexp(b),
        a.cosine_similarity(b, 0), a.pairwise_distance(b, 2.0), a.lerp(b, 0.25),
        a.scatter(0, &Tensor::new(&[0_u32, 0, 1], &Device::Cpu)?, b),
        MarginRanking::new().reduction(Reduction::None).loss(a, b, &scalar(1.0)),
        PoissonNll::new().elementwise(a, b), PoissonNll::new().full().elementwise(a, b),
        PoissonNll::new().log_input(false).elementwise(a, b), PoissonNll::new().log_input(false).full().elementwise(a, b);
    [a, b, c]:
        a.addcmul(b, c, 2.0), GaussianNll::new().reduction(Reduction::None).loss(a, b, c),
        TripletMargin::new().reduction(Reduction::None).loss(a, b, c),
        TripletMargin::new().p(1.0)?.swap().reduction(Reduction::None).loss(a, b, c);
}

/// The other operations: they select, move, compare or count elements, add and multiply them, or (`inv`, `solve`, `cholesky`) refuse
/// what is singular. The derivatives of `det` there are tested with it.
const PLAIN: &str = "eq ne lt le gt ge where_cond any all count_nonzero argmax argmin argsort matmul dot outer matvec einsum trace \
    cholesky solve inv det flatten squeeze squeeze_all transpose t permute broadcast_to flip roll repeat tile pad narrow chunk split \
    tensor_split cat stack meshgrid unfold diag tril triu i assign index_select gather scatter_add index_add masked_select masked_fill \
    masked_scatter nonzero one_hot conv1d conv_transpose1d avg_pool1d max_unpool1d adaptive_avg_pool1d upsample_nearest2d \
    upsample_bilinear2d new from_vec zeros ones eye arange linspace rand randn to_device to_dtype unsqueeze reshape full";

#[test]
fn every_operation_is_looked_at() {
    let rows = include_str!("../docs/ops.md").lines().filter_map(|line| line.strip_prefix("| `"));
    let names: BTreeSet<&str> = rows
        .filter_map(|row| row.split(['.', ':']).find(|part| part.contains('('))?.split('(').next())
        .collect();
    assert!(names.len() > 120 && names.contains("atan2") && names.contains("einsum"), "{names:?}");
    let tried = |name: &str| EXPRESSIONS.iter().any(|(text, _)| key(text).contains(&format!(".{name}(")));
    let plain: BTreeSet<&str> = PLAIN.split_whitespace().collect();
    let missing: Vec<_> = names.iter().filter(|name| !plain.contains(*name) && !tried(name)).collect();
    assert!(missing.is_empty(), "neither tried at its kinks nor among the plain ones: {missing:?}");
    assert_eq!(plain.difference(&names).collect::<Vec<_>>(), [] as [&&str; 0]);
}

fn scalar(x: f64) -> Tensor {
    Tensor::new(x, &Device::Cpu).unwrap()
}

/// The text without its spaces, which the compiler may set as it likes.
fn key(text: &str) -> String {
    text.split_whitespace().collect()
}

fn numbers(text: &str) -> Vec<f64> {
    text.split_whitespace().map(|number| number.parse().unwrap()).collect()
}

/// One point of an expression: its inputs as text, and the value, gradient and second derivatives there, as far as they are known.
struct Point {
    key: String,
    inputs: String,
    numbers: [Option<Vec<f64>>; 3],
    /// What PyTorch computes, if it is not this.
    elsewhere: String,
}

/// What PyTorch computes.
fn golden() -> Vec<Point> {
    let mut current = String::new();
    let mut points = vec![];
    for line in include_str!("reference/conventions.txt").lines() {
        if let Some(name) = line.strip_prefix("of ") {
            current = key(name);
        } else if let [inputs, rest @ ..] = &line.split('|').map(str::trim).collect::<Vec<_>>()[..]
            && let [value, first, second] = rest
        {
            let second = (*second != "-").then(|| numbers(second));
            let numbers = [Some(numbers(value)), Some(numbers(first)), second];
            points.push(Point {
                key: current.clone(),
                inputs: inputs.to_string(),
                numbers,
                elsewhere: String::new(),
            });
        }
    }
    points
}

/// The rows of the tables of the book.
fn documented() -> Vec<Point> {
    let text =
        include_str!("../docs/conventions.md").replace('∞', "inf").replace('−', "-").replace("NaN", "nan");
    let row = |line: &str| {
        let cells: Vec<&str> = line.strip_prefix("| `")?.split('|').map(str::trim).collect();
        let [expression, inputs, value, first, second, elsewhere, ""] = cells[..] else { panic!("{line}") };
        let inputs = match inputs.strip_prefix('(') {
            Some(pair) => pair
                .trim_end_matches(')')
                .replace("], ", "]; ")
                .replace(", ", if pair.starts_with('[') { "," } else { " " })
                .replace("; ", " "),
            None => inputs.replace(", ", ","),
        };
        let numbers = [value, first, second].map(|cell| (cell != "–").then(|| numbers(cell)));
        let key = key(expression.trim_end_matches('`'));
        Some(Point { key, inputs, numbers, elsewhere: elsewhere.to_string() })
    };
    text.lines().filter_map(row).collect()
}

/// A scalar, or a vector in brackets.
fn input(text: &str) -> Tensor {
    let Some(row) = text.strip_prefix('[') else { return Tensor::parameter(scalar(text.parse().unwrap())) };
    let numbers = row.trim_end_matches(']').split_terminator(',').map(|number| number.parse().unwrap());
    Tensor::parameter(Tensor::new(&numbers.collect::<Vec<f64>>()[..], &Device::Cpu).unwrap())
}

fn flat(x: &Tensor) -> Vec<f64> {
    x.array().flatten_all().unwrap().to_vec1().unwrap()
}

/// The gradient of a scalar by all elements of all inputs; `recorded`, or else by `backward`.
fn gradient(y: &Tensor, inputs: &[Tensor], recorded: bool) -> Result<Vec<Tensor>> {
    let zeros = |x: &Tensor| x.zeros_like();
    if !y.requires_grad() {
        return inputs.iter().map(zeros).collect();
    }
    if recorded {
        return match inputs {
            [a] => Ok(autograd::grad(y, [a])?.to_vec()),
            [a, b] => Ok(autograd::grad(y, [a, b])?.to_vec()),
            [a, b, c] => Ok(autograd::grad(y, [a, b, c])?.to_vec()),
            _ => panic!("{} inputs", inputs.len()),
        };
    }
    let gradients = y.backward()?;
    inputs.iter().map(|x| gradients.get(x).cloned().map_or_else(|| zeros(x), Ok)).collect()
}

fn joined(tensors: &[Tensor]) -> Vec<f64> {
    tensors.iter().flat_map(flat).collect()
}

/// The value, the gradient by `backward`, the recorded gradient, and the second derivatives.
fn outcome(eval: Eval, inputs: &[Tensor]) -> Result<[Vec<f64>; 4]> {
    let y = eval(inputs)?;
    let total = y.sum_all()?;
    let by_backward = gradient(&total, inputs, false)?;
    let first = gradient(&total, inputs, true)?;
    let mut second = vec![];
    for g in &first {
        for at in 0..g.elem_count() {
            let element = g.flatten(0, -1)?.i(at)?;
            second.extend(joined(&gradient(&element, inputs, true)?));
        }
    }
    Ok([flat(&y), joined(&by_backward), joined(&first), second])
}

/// A single 0 or NaN stands for as many as there are.
fn same(got: &[f64], expected: &[f64]) -> bool {
    let close =
        |a: f64, b: f64| a == b || a.is_nan() && b.is_nan() || (a - b).abs() <= 1e-12 * b.abs().max(1e-3);
    match expected {
        [0.0] => got.iter().all(|&a| a == 0.0),
        [all] if all.is_nan() => got.iter().all(|a| a.is_nan()),
        _ => got.len() == expected.len() && got.iter().zip(expected).all(|(&a, &b)| close(a, b)),
    }
}

/// What we compute instead, in the form of the file; or an error; empty if it is the same. Where the value is NaN, the derivatives
/// mean nothing, except if the book names them.
fn difference(point: &Point, named: bool) -> String {
    let Some((_, eval)) = EXPRESSIONS.iter().find(|(text, _)| key(text) == point.key) else {
        return format!("{}: no such expression", point.key);
    };
    let inputs: Vec<Tensor> = point.inputs.split(' ').map(input).collect();
    let [value, backward, recorded, second] = match outcome(*eval, &inputs) {
        Ok(got) => got,
        Err(error) => return format!("{}: {}: {error}", point.key, point.inputs),
    };
    let is = |i: usize, got: &[f64]| point.numbers[i].as_ref().is_none_or(|expected| same(got, expected));
    let nowhere = !named && value.iter().any(|x| x.is_nan());
    if is(0, &value) && (nowhere || is(1, &backward) && is(1, &recorded) && is(2, &second)) {
        return String::new();
    }
    let [value, backward, recorded, second] = [value, backward, recorded, second]
        .map(|numbers| numbers.iter().map(|x| format!(" {x:?}")).collect::<String>());
    format!("{}: {} |{value} |{recorded} (backward:{backward}) |{second}", point.key, point.inputs)
}

#[test]
fn every_point_is_as_in_pytorch_or_in_the_book() {
    let (golden, documented) = (golden(), documented());
    let named: BTreeSet<_> = golden.iter().map(|point| point.key.clone()).collect();
    let expressions: BTreeSet<_> = EXPRESSIONS.iter().map(|(text, _)| key(text)).collect();
    assert_eq!(named.symmetric_difference(&expressions).collect::<Vec<_>>(), [] as [&String; 0]);
    let mut wrong: Vec<String> = documented.iter().map(|row| difference(row, true)).collect();
    for point in &golden {
        let row = documented.iter().find(|row| (&row.key, &row.inputs) == (&point.key, &point.inputs));
        let ours = difference(point, row.is_some());
        match row.is_some_and(|row| !row.elsewhere.is_empty()) {
            true if ours.is_empty() => wrong.push(format!("{}: {}: as in PyTorch", point.key, point.inputs)),
            false => wrong.push(ours),
            true => {}
        }
    }
    for row in &documented {
        let known = golden.iter().any(|point| (&row.key, &row.inputs) == (&point.key, &point.inputs));
        wrong.extend((!known).then(|| format!("{}: {}: no golden values", row.key, row.inputs)));
    }
    wrong.retain(|text| !text.is_empty());
    assert!(wrong.is_empty(), "{} differences:\n{}", wrong.len(), wrong.join("\n"));
}
