//! Values, gradients and second-order products against PyTorch's.

use tealight::prelude::*;

use crate::cases::{self, Case, Numbers};
use crate::run::{Eval, caught, difference, flat, floats, gradients, like, parameters, products};
use crate::{LINALG, name, table};

const VALUE: f64 = 1e-12;
const GRADIENT: f64 = 1e-10;
const SINGLE: f64 = 2e-6;

/// Where f32 cannot be as near to f64, by nature: the beginning of a key, the label, the bound, the reason.
const WIDER: &[(&str, &str, f64, &str)] = &[
    ("x.tanh()", "ordinary", 1e-5, "1 − y² where y is nearly 1"),
    ("a.div(b)", "[] and [2, 2]", 1e-5, "the gradient of the scalar is a sum that nearly cancels"),
    ("x.softmax(-1)", "ordinary", 5e-5, "g − Σ g·y nearly cancels"),
    ("x.normalize_rows(1.0)", "batch", 5e-5, "the gradient nearly cancels"),
    ("a.cosine_similarity(b,-1)", "ordinary", 5e-5, "the gradient nearly cancels"),
    ("a.pairwise_distance(b,2.0)", "broadcast", 5e-5, "the gradient is a sum that nearly cancels"),
    ("x.upsample_bilinear2d([3,5],false)", "ordinary", 1e-5, "the gradient is a sum that nearly cancels"),
];

/// Where the gradient in f16 and bf16 is a sum of rounded parts that nearly cancel: the key and the label.
const CANCELLING: &[(&str, &str)] = &[
    ("a.div(b)", "[] and [2, 2]"),
    ("a.atan2(b)", "[] and [2, 2]"),
    ("x.addcmul(a,b,-0.5)", "broadcast"),
    ("x.softmax(0)", "ordinary"),
    ("x.softmax(-1)", "ordinary"),
];

/// Compares one case in f64; what differs goes to `wrong`.
fn compare(case: &Case, eval: Eval, wrong: &mut Vec<String>) -> Result<()> {
    let inputs = parameters(&case.inputs.iter().map(|x| x.array(DType::F64)).collect::<Vec<_>>());
    let xs = floats(&inputs);
    let mut report = |what: &str, difference: Option<String>| {
        wrong.extend(difference.map(|text| format!("{} | {}: {what}: {text}", case.key, case.label)));
    };
    let y = eval(&inputs)?;
    if (y.dims(), y.dtype()) != (&case.out.dims[..], case.out.dtype) {
        let expected = (&case.out.dims, case.out.dtype);
        report("result", Some(format!("expected {expected:?}, got {:?}", (y.dims(), y.dtype()))));
        return Ok(());
    }
    let bound = if case.out.dtype == DType::F64 { VALUE } else { 0.0 };
    report("value", difference(&case.out.data, &flat(y.array())?, bound, case.each));
    let Some(v) = &case.v else { return Ok(()) };
    let v = like(v, &y)?;
    for (i, (e, g)) in case.g.iter().zip(gradients(&y, &v, &xs)?).enumerate() {
        report(&format!("backward, input {i}"), difference(e, &g, GRADIENT, case.each));
    }
    let first = products(&y, &v, &xs)?;
    for (i, (e, g)) in case.g.iter().zip(&first).enumerate() {
        report(&format!("vjp, input {i}"), difference(e, &flat(g.array())?, GRADIENT, case.each));
    }
    let mut total = Tensor::new(0.0, &Device::Cpu)?;
    for (g, u) in first.iter().zip(&case.u) {
        total = (total + (g * like(u, g)?)?.sum_all()?)?;
    }
    let one = Tensor::new(1.0, &Device::Cpu)?;
    if case.h.is_empty() {
        return Ok(());
    }
    for (i, (e, h)) in case.h.iter().zip(products(&total, &one, &xs)?).enumerate() {
        report(&format!("second order, input {i}"), difference(e, &flat(h.array())?, GRADIENT, case.each));
    }
    Ok(())
}

/// What f32 can be expected to give: beyond its range infinity, and below it nothing that is worth a comparison.
fn narrowed(expected: &[f64], got: &[f64]) -> Vec<f64> {
    let one = |(&e, &g): (&f64, &f64)| match e as f32 {
        rounded if rounded.is_infinite() => f64::from(rounded),
        _ if e.abs() < f64::from(f32::MIN_POSITIVE) && g.abs() <= f64::from(f32::MIN_POSITIVE) => g,
        _ => e,
    };
    expected.iter().zip(got).map(one).collect()
}

/// Compares the value and the gradient in f32.
fn compare_single(case: &Case, eval: Eval, wrong: &mut Vec<String>) -> Result<()> {
    let exact = |&x: &f64| x.is_nan() || f64::from(x as f32) == x;
    let some = case.inputs.iter().any(|x| x.is_float());
    if !some || case.out.dtype != DType::F64 || !case.inputs.iter().all(|x| x.data.iter().all(exact)) {
        return Ok(());
    }
    let inputs = parameters(&case.inputs.iter().map(|x| x.array(DType::F32)).collect::<Vec<_>>());
    let wider = WIDER.iter().find(|(key, label, ..)| case.key.starts_with(key) && case.label == *label);
    let bound = wider.map_or(SINGLE, |&(_, _, bound, _)| bound);
    let mut report = |what: &str, expected: &[f64], got: &[f64]| {
        let difference = difference(&narrowed(expected, got), got, bound, case.each);
        wrong.extend(difference.map(|text| format!("{} | {}: {what}: {text}", case.key, case.label)));
    };
    let y = eval(&inputs)?;
    if y.dtype() == DType::F32 {
        report("f32 value", &case.out.data, &flat(y.array())?);
    }
    let Some(v) = &case.v else { return Ok(()) };
    for (i, (e, g)) in case.g.iter().zip(gradients(&y, &like(v, &y)?, &floats(&inputs))?).enumerate() {
        report(&format!("f32 backward, input {i}"), e, &g);
    }
    Ok(())
}

/// Compares the value and the gradient in f16 and bf16, roughly: relative to the largest element.
fn compare_half(case: &Case, eval: Eval, wrong: &mut Vec<String>) -> Result<()> {
    if LINALG.contains(&name(&case.key)) {
        return Ok(());
    }
    for (dtype, bound) in [(DType::F16, 2e-3), (DType::BF16, 1.6e-2)] {
        let arrays: Vec<_> = case.inputs.iter().map(|x| x.array(dtype)).collect();
        let same = |(x, array): (&Numbers, &Array)| flat(array).is_ok_and(|data| data == x.data);
        let exact = case.inputs.iter().zip(&arrays).all(same);
        if !exact || !case.inputs.iter().any(|x| x.is_float()) || case.out.dtype != DType::F64 {
            continue;
        }
        let inputs = parameters(&arrays);
        let y = eval(&inputs)?;
        let mut report = |what: &str, expected: &[f64], got: &[f64], bound: f64| {
            let most = expected.iter().filter(|x| x.is_finite()).fold(0.0, |most: f64, x| most.max(x.abs()));
            let off = |(&e, &g): (&f64, &f64)| {
                !(e == g || e.is_nan() && g.is_nan() || e.is_finite() && (e - g).abs() <= bound * most)
            };
            if let Some(at) = expected.iter().zip(got).position(off) {
                let (key, label, e, g) = (&case.key, &case.label, expected[at], got[at]);
                wrong.push(format!(
                    "{key} | {label}: {dtype:?} {what}: element {at}: expected {e:?}, got {g:?}"
                ));
            }
        };
        if y.dtype() != dtype {
            continue;
        }
        report("value", &case.out.data, &flat(y.array())?, bound);
        let wider = CANCELLING.contains(&(&case.key, &case.label));
        let Some(v) = &case.v else { continue };
        for (i, (e, g)) in case.g.iter().zip(gradients(&y, &like(v, &y)?, &floats(&inputs))?).enumerate() {
            report(&format!("backward, input {i}"), e, &g, if wider { 8.0 * bound } else { bound });
        }
    }
    Ok(())
}

fn check(compare: fn(&Case, Eval, &mut Vec<String>) -> Result<()>) {
    let table = table();
    let mut wrong = vec![];
    for case in &cases::read() {
        let Some(&eval) = table.get(&case.key) else { continue };
        let what = match caught(|| compare(case, eval, &mut wrong)) {
            Ok(Ok(())) => continue,
            Ok(Err(error)) => error.to_string(),
            Err(panic) => format!("panicked: {panic}"),
        };
        wrong.push(format!("{} | {}: {what}", case.key, case.label));
    }
    assert!(wrong.is_empty(), "{} differences:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn values_and_gradients() {
    check(compare);
}

#[test]
fn values_and_gradients_in_f32() {
    check(compare_single);
}

#[test]
fn values_and_gradients_in_half_precision() {
    check(compare_half);
}

#[test]
fn exceptions_are_of_cases() {
    let cases = cases::read();
    for (key, label, _, reason) in WIDER {
        assert!(
            cases.iter().any(|case| case.key.starts_with(key) && case.label == *label),
            "{key} | {label}: {reason}"
        );
    }
}

#[test]
fn the_comparison_sees_what_differs() {
    let expected = [1.0, -2000.0, f64::NAN, f64::INFINITY];
    assert_eq!(difference(&expected, &expected, 0.0, true), None);
    assert_eq!(difference(&[1.0, 2000.0], &[1.0 + 1e-7, 2000.0], 1e-7, false), None);
    for (i, other) in
        [(0, 1.001), (1, 2000.0), (2, 1.0), (3, f64::NEG_INFINITY), (0, f64::NAN), (0, f64::INFINITY)]
    {
        let mut got = expected;
        got[i] = other;
        let text = difference(&expected, &got, 1e-6, true).unwrap();
        assert!(text.starts_with(&format!("element {i} (1 of 4): expected ")), "{text}");
    }
    assert!(difference(&[1.0], &[], 1.0, false).is_some());
}
