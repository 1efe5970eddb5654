//! Every operation against PyTorch, and at its edges.
//!
//! `reference/ops.txt` has the numbers, which `reference/ops.py` made. The files of `ops/` say which expressions there are:
//! an expression's text is the key of its cases.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a test fails by panicking

#[path = "ops/cases.rs"]
mod cases;
#[path = "ops/conv.rs"]
mod conv;
#[path = "ops/documented.rs"]
mod documented;
#[path = "ops/edges.rs"]
mod edges;
#[path = "ops/golden.rs"]
mod golden;
#[path = "ops/index.rs"]
mod index;
#[cfg(feature = "linalg")]
#[path = "ops/linalg.rs"]
mod linalg;
#[path = "ops/pointwise.rs"]
mod pointwise;
#[path = "ops/products.rs"]
mod products;
#[path = "ops/reduce.rs"]
mod reduce;
#[path = "ops/run.rs"]
mod run;
#[path = "ops/shape.rs"]
mod shape;

use std::collections::BTreeMap;

use cases::Case;
use run::Eval;

/// Pairs each expression with its text: `[x, i]: x.gather(0, i), …;` names the inputs of the expressions that follow.
macro_rules! expressions {
    ($($inputs:tt: $($body:expr),* ;)*) => {
        pub(crate) const TABLE: &[(&str, crate::run::Eval)] = &[$($((
            stringify!($body),
            |inputs| {
                let $inputs = inputs else { panic!("{} inputs", inputs.len()) };
                $body
            },
        ),)*)*];
    };
}
pub(crate) use expressions;

/// Operations behind the feature `linalg`, with cases even where there are no expressions. They factorise nothing but f32
/// and f64.
const LINALG: &[&str] = &["cholesky", "solve", "inv", "det"];

/// The text of an expression without its spaces, which the compiler may set as it likes.
fn key(text: &str) -> String {
    text.split_whitespace().collect()
}

/// All expressions by their key.
fn table() -> BTreeMap<String, Eval> {
    let all = [
        pointwise::TABLE,
        reduce::TABLE,
        products::TABLE,
        shape::TABLE,
        index::TABLE,
        conv::TABLE,
        #[cfg(feature = "linalg")]
        linalg::TABLE,
    ]
    .concat();
    let count = all.len();
    let table: BTreeMap<_, _> = all.into_iter().map(|(text, eval)| (key(text), eval)).collect();
    assert_eq!(table.len(), count, "an expression stands there twice");
    table
}

/// The first case of every expression that the table has.
fn samples(cases: &[Case]) -> BTreeMap<String, (Eval, &Case)> {
    let mut samples = BTreeMap::new();
    for (key, eval) in table() {
        if let Some(case) = cases.iter().find(|case| case.key == key) {
            samples.insert(key, (eval, case));
        }
    }
    samples
}

/// The name of the operation of an expression: "sum" of "x.sum(0)", "+" of "x + 2.5".
fn name(key: &str) -> &str {
    let word = |c: char| !(c.is_alphanumeric() || c == '_');
    let key = ["Ok(", "part(", "first(", "second("]
        .iter()
        .find_map(|wrapper| key.strip_prefix(wrapper))
        .unwrap_or(key);
    if let Some(rest) = key.strip_prefix("Tensor::").or(key.strip_prefix("positive(x)?.")) {
        return rest.split(word).next().unwrap();
    }
    if key.starts_with("sigmoid_derivative") {
        return "sigmoid_derivative";
    }
    match key.split_once('.') {
        Some((input, rest)) if input.len() == 1 && input.starts_with(char::is_alphabetic) => {
            rest.split(word).next().unwrap()
        }
        _ => key.matches(['+', '-', '*', '/']).next().unwrap(),
    }
}

#[test]
fn every_case_has_an_expression_and_every_expression_a_case() {
    let (cases, table) = (cases::read(), table());
    assert!(cases.len() > 800, "{} cases", cases.len());
    let absent = |key: &str| cfg!(not(feature = "linalg")) && LINALG.contains(&name(key));
    let lost = cases.iter().filter(|case| !table.contains_key(&case.key) && !absent(&case.key));
    let lost: Vec<_> = lost.map(|case| &case.key).collect();
    let bare: Vec<_> = table.keys().filter(|&key| !cases.iter().any(|case| case.key == *key)).collect();
    assert!(lost.is_empty() && bare.is_empty(), "no expression for {lost:#?}\nno case for {bare:#?}");
}

#[test]
fn names_of_expressions() {
    let names =
        ["x.sum(0)", "Ok(x.sort(0,true)?.0)", "2.5*x", "-x", "Tensor::cat(&[a,b],0)", "2.5-x"].map(name);
    assert_eq!(names, ["sum", "sort", "*", "-", "cat", "-"]);
}
