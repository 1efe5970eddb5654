//! What every expression does with odd inputs: other layouts, no elements, one, NaN, other ranks, other types.

use std::collections::BTreeMap;

use tealight::prelude::*;

use crate::cases::{self, Case};
use crate::run::{Eval, Outcome, attempt, difference, parameters};
use crate::{LINALG, name, samples};

/// Operations that take integers too.
const TAKE_INTEGERS: &[&str] = &[
    // shapes
    "reshape",
    "flatten",
    "squeeze",
    "squeeze_all",
    "unsqueeze",
    "transpose",
    "t",
    "permute",
    "broadcast_to",
    "flip",
    "roll",
    "repeat",
    "tile",
    "narrow",
    "chunk",
    "split",
    "tensor_split",
    "cat",
    "stack",
    "meshgrid",
    "unfold",
    "diag",
    "tril",
    "triu",
    "zeros_like",
    "ones_like",
    "to_dtype",
    // places
    "i",
    "assign",
    "index_select",
    "gather",
    "scatter",
    "scatter_add",
    "index_add",
    "masked_select",
    "masked_scatter",
    "nonzero",
    "where_cond",
    // comparisons, counts, whole numbers
    "eq",
    "ne",
    "lt",
    "le",
    "gt",
    "ge",
    "any",
    "any_keepdim",
    "any_all",
    "all",
    "all_keepdim",
    "all_all",
    "count_nonzero",
    "count_nonzero_keepdim",
    "count_nonzero_all",
    "argmax",
    "argmax_all",
    "argmin",
    "argmin_all",
    "max_with_indices",
    "min_with_indices",
    "median",
    "sort",
    "argsort",
    "topk",
    "max",
    "max_keepdim",
    "max_all",
    "min",
    "min_keepdim",
    "min_all",
    "sum",
    "sum_keepdim",
    "sum_all",
    "prod",
    "prod_keepdim",
    "prod_all",
    "cumsum",
    "cumprod",
    "trace",
];

/// Operations that take integers for some arguments, and refuse them for others.
const MAY_TAKE_INTEGERS: &[(&str, &str)] = &[
    ("einsum", "a single operand is only moved and summed"),
    ("full_like", "not a number that they do not have, such as 2.5"),
    ("masked_fill", "not a number that they do not have, such as -1.5"),
    ("pad", "not a number that they do not have, such as 0.5"),
];

/// Where another number of NaN than PyTorch's is right: a key's operation and the reason.
const OTHER_NANS: &[(&str, &str)] =
    &[("upsample_bilinear2d", "PyTorch reads a second element also where its weight is 0: 0 · NaN is NaN")];

/// The same numbers at an offset in a larger array, with the axes in reverse.
fn strided(x: &Array) -> Array {
    let back: Vec<usize> = (0..x.rank()).rev().collect();
    let reversed = x.permute(&back[..]).unwrap().contiguous().unwrap();
    let both = Array::stack(&[&reversed.zeros_like().unwrap(), &reversed], x.rank()).unwrap();
    let view = both.narrow(x.rank(), 1, 1).unwrap().squeeze(x.rank()).unwrap().permute(&back[..]).unwrap();
    assert_eq!(view.dims(), x.dims());
    view
}

/// The inputs of a case.
fn arrays(case: &Case) -> Vec<Array> {
    case.inputs.iter().map(|x| x.array(DType::F64)).collect()
}

fn with(inputs: &[Array], i: usize, x: Array) -> Vec<Array> {
    let mut inputs = inputs.to_vec();
    inputs[i] = x;
    inputs
}

type Wrong = Vec<String>;

/// Runs `check` for the sample of every expression; it says what is wrong.
fn every(check: impl Fn(&str, Eval, &Case) -> Wrong) {
    let cases = cases::read();
    let samples: BTreeMap<_, _> = samples(&cases);
    let wrong: Wrong = samples
        .iter()
        .flat_map(|(key, &(eval, case))| {
            check(key, eval, case).into_iter().map(move |text| format!("{key}: {text}"))
        })
        .collect();
    assert!(samples.len() > 400, "{} expressions", samples.len());
    assert!(wrong.is_empty(), "{} faults:\n{}", wrong.len(), wrong.join("\n"));
}

/// What two layouts of the same numbers do differently.
fn unlike(eval: Eval, a: &[Array], b: &[Array]) -> Option<String> {
    match (attempt(eval, a), attempt(eval, b)) {
        (Err(panic), _) | (_, Err(panic)) => Some(format!("panicked: {panic}")),
        (Ok(Err(_)), Ok(Err(_))) => None,
        (Ok(Ok(a)), Ok(Ok(b))) => outcomes_differ(&a, &b),
        (Ok(a), Ok(b)) => Some(format!("{:?} and {:?}", a.err(), b.err())),
    }
}

fn outcomes_differ(a: &Outcome, b: &Outcome) -> Option<String> {
    if (a.dtype, &a.dims) != (b.dtype, &b.dims) {
        return Some(format!("{:?} {:?} and {:?} {:?}", a.dtype, a.dims, b.dtype, b.dims));
    }
    let values = difference(&a.data, &b.data, 1e-13, false).map(|text| format!("value: {text}"));
    values.or_else(|| match (&a.grads, &b.grads) {
        (Ok(a), Ok(b)) => a
            .iter()
            .zip(b)
            .find_map(|(a, b)| difference(a, b, 1e-13, false))
            .map(|text| format!("gradient: {text}")),
        (Err(_), Err(_)) => None,
        (a, b) => Some(format!("gradient: {:?} and {:?}", a.as_ref().err(), b.as_ref().err())),
    })
}

/// A panic in the value or in the gradient.
fn panics(eval: Eval, inputs: &[Array], what: impl Fn() -> String) -> Option<String> {
    attempt(eval, inputs).err().map(|panic| format!("{}: panicked: {panic}", what()))
}

#[test]
fn strided_inputs() {
    every(|_, eval, case| {
        let inputs = arrays(case);
        let mut layouts: Vec<_> = (0..inputs.len()).map(|i| with(&inputs, i, strided(&inputs[i]))).collect();
        layouts.push(inputs.iter().map(strided).collect());
        layouts.iter().filter_map(|layout| unlike(eval, &inputs, layout)).collect()
    });
}

#[test]
fn broadcast_inputs() {
    every(|_, eval, case| {
        let inputs = arrays(case);
        let mut wrong = vec![];
        for (i, x) in inputs.iter().enumerate() {
            for axis in (0..x.rank()).filter(|&axis| x.dims()[axis] > 1) {
                let view = x.narrow(axis, 0, 1).unwrap().broadcast_as(x.dims()).unwrap();
                let copy = view.contiguous().unwrap();
                let found = unlike(eval, &with(&inputs, i, copy), &with(&inputs, i, view));
                wrong.extend(found.map(|text| format!("input {i}, axis {axis}: {text}")));
            }
        }
        wrong
    });
}

/// What goes wrong in the backward pass of three uses of the same inputs, whose gradients are added up.
fn used_thrice(eval: Eval, inputs: &[Array]) -> Option<String> {
    let inputs = parameters(inputs);
    let sums = [(); 3].map(|()| eval(&inputs).and_then(|y| y.sum_all()));
    let [Ok(a), Ok(b), Ok(c)] = &sums else { return None };
    let total = (a + b).and_then(|sum| sum + c).ok().filter(Tensor::requires_grad)?;
    let error = total.backward().err()?;
    Some(format!("used three times: {error}"))
}

#[test]
fn axes_without_elements() {
    every(|_, eval, case| {
        let inputs = arrays(case);
        let empty =
            |x: &Array, axis: usize| if axis < x.rank() { x.narrow(axis, 0, 0).unwrap() } else { x.clone() };
        let rank = inputs.iter().map(|x| x.rank()).max().unwrap_or(0);
        let mut sets = vec![];
        for axis in 0..rank {
            sets.extend((0..inputs.len()).map(|i| (axis, with(&inputs, i, empty(&inputs[i], axis)))));
            sets.push((axis, inputs.iter().map(|x| empty(x, axis)).collect()));
        }
        sets.iter()
            .filter_map(|(axis, set)| {
                let copies: Vec<_> = set.iter().map(|x| x.force_contiguous().unwrap()).collect();
                unlike(eval, set, &copies).or_else(|| used_thrice(eval, set)).map(|text| {
                    let dims: Vec<_> = set.iter().map(|x| x.dims()).collect();
                    format!("axis {axis}: shapes {dims:?}: {text}")
                })
            })
            .collect()
    });
}

#[test]
fn one_element() {
    every(|_, eval, case| {
        let one = |x: &Array| match x.elem_count() {
            0 => x.clone(),
            _ => x.flatten_all().unwrap().narrow(0, 0, 1).unwrap().reshape(vec![1; x.rank()]).unwrap(),
        };
        let inputs: Vec<_> = arrays(case).iter().map(one).collect();
        let layout: Vec<_> = inputs.iter().map(strided).collect();
        unlike(eval, &inputs, &layout).into_iter().collect()
    });
}

#[test]
fn nan_in_nan_out() {
    every(|key, eval, case| {
        let inputs = arrays(case);
        let mut wrong = vec![];
        let floats = case.inputs.iter().enumerate().filter(|(_, x)| x.is_float());
        for (f, (i, x)) in floats.enumerate() {
            for place in 0..x.data.len() {
                let mut x = x.clone();
                x.data[place] = f64::NAN;
                let known = OTHER_NANS.iter().any(|(op, _)| *op == name(key));
                match (attempt(eval, &with(&inputs, i, x.array(DType::F64))), case.nan.get(f)) {
                    (Err(panic), _) => wrong.push(format!("input {i}, place {place}: panicked: {panic}")),
                    (Ok(Err(error)), Some(_)) => wrong.push(format!("input {i}, place {place}: {error}")),
                    (Ok(Ok(y)), Some(counts)) if !known => {
                        let count = y.data.iter().filter(|y| y.is_nan()).count();
                        if count as f64 != counts[place] {
                            let expected = counts[place];
                            wrong.push(format!(
                                "input {i}, place {place}: expected {expected} NaN, got {count}"
                            ));
                        }
                    }
                    _ => {}
                }
            }
        }
        wrong
    });
}

#[test]
fn wrong_ranks() {
    every(|_, eval, case| {
        let inputs = arrays(case);
        let mut sets = vec![];
        let more = |x: &Array| Array::stack(&[x, x], 0).unwrap();
        let fewer = |x: &Array| match x.dims() {
            [] | [0, ..] => x.clone(),
            _ => x.get(0).unwrap(),
        };
        let scalar = |x: &Array| Array::new(1.0, &Device::Cpu).unwrap().to_dtype(x.dtype()).unwrap();
        let seven = |x: &Array| {
            x.reshape([vec![1; 7_usize.saturating_sub(x.rank())], x.dims().to_vec()].concat()).unwrap()
        };
        for change in [&more as &dyn Fn(&Array) -> Array, &fewer, &scalar, &seven] {
            sets.extend((0..inputs.len()).map(|i| with(&inputs, i, change(&inputs[i]))));
            sets.push(inputs.iter().map(change).collect());
        }
        let dims =
            |set: &[Array]| format!("shapes {:?}", set.iter().map(|x| x.dims().to_vec()).collect::<Vec<_>>());
        sets.iter().filter_map(|set| panics(eval, set, || dims(set))).collect()
    });
}

#[test]
fn wrong_dtypes() {
    const DTYPES: [DType; 7] =
        [DType::U8, DType::U32, DType::I64, DType::F16, DType::BF16, DType::F32, DType::F64];
    every(|key, eval, case| {
        let inputs = arrays(case);
        let mut wrong = vec![];
        for dtype in DTYPES {
            let half = matches!(dtype, DType::F16 | DType::BF16);
            let cast = |x: &Array| x.to_dtype(dtype).unwrap();
            for i in 0..inputs.len() {
                wrong.extend(panics(eval, &with(&inputs, i, cast(&inputs[i])), || {
                    format!("input {i} of {dtype:?}")
                }));
            }
            let floats = |(x, of): (&Array, &cases::Numbers)| if of.is_float() { cast(x) } else { x.clone() };
            let all: Vec<_> = inputs.iter().zip(&case.inputs).map(floats).collect();
            let takes = TAKE_INTEGERS.contains(&name(key)) || !case.inputs.iter().any(|x| x.is_float());
            let may = MAY_TAKE_INTEGERS.iter().any(|(op, _)| *op == name(key));
            match attempt(eval, &all) {
                Ok(_) if may && dtype.is_int() => {}
                Err(panic) => wrong.push(format!("all of {dtype:?}: panicked: {panic}")),
                Ok(Err(error)) if dtype.is_int() && !takes && !error.to_string().contains("to_dtype") => {
                    wrong.push(format!("of {dtype:?}: no word of to_dtype: {error}"));
                }
                Ok(Ok(_)) if dtype.is_int() && !takes => wrong.push(format!("of {dtype:?}: no error")),
                Ok(Err(error)) if dtype.is_int() && takes => wrong.push(format!("of {dtype:?}: {error}")),
                Ok(Err(_)) if half && LINALG.contains(&name(key)) => {}
                Ok(Err(error)) if dtype.is_float() => wrong.push(format!("of {dtype:?}: {error}")),
                Ok(_) => {}
            }
        }
        wrong
    });
}
