//! [`detect_anomaly`] finds the operation that makes the first NaN or infinity; [`named_scope`] says which layer it is in.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt::Write;

use super::array::numbers;
use super::mode::{ANOMALY, ObserverGuard, is_observed_by, observed};
use super::node::{InputGrads, Node};
use super::{Array, Tensor};
use crate::error::{Error, Result};

thread_local! {
    /// The names of the scopes that are running, outermost first.
    static SCOPES: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
    /// The scope that each node was made in, for errors of the backward pass.
    static SCOPE_OF_NODE: RefCell<BTreeMap<u64, String>> = const { RefCell::new(BTreeMap::new()) };
}

fn is_on() -> bool {
    is_observed_by(ANOMALY)
}

/// Runs `f`; the first operation in it that produces a NaN or an infinity, forward or backward, is an error.
///
/// The error names the operation, its layer, and the shapes and ranges of its inputs. An infinity is allowed if an input
/// was infinite already, so that a mask of −∞ passes. Every result is checked, which is slow: use it to find a fault, not
/// for training.
///
/// ```
/// # use tealight::prelude::*;
/// let x = Tensor::parameter(Tensor::new(&[1.0, -1.0], &Device::Cpu)?);
/// let error = autograd::detect_anomaly(|| x.ln()?.sum_all()).unwrap_err();
/// assert_eq!(error.to_string(), "ln: expected finite numbers in the forward pass, got 1 NaN among 2 elements; \
///     input 0 of shape [2] is within -1..=1");
/// # Ok::<(), tealight::Error>(())
/// ```
#[doc(alias = "set_detect_anomaly")]
pub fn detect_anomaly<R>(f: impl FnOnce() -> R) -> R {
    /// Clears the scopes of nodes at the end of the outermost call, also when a panic unwinds.
    struct Clear(bool);
    impl Drop for Clear {
        fn drop(&mut self) {
            if self.0 {
                SCOPE_OF_NODE.take();
            }
        }
    }
    let _clear = Clear(!is_on());
    let _guard = ObserverGuard::set(ANOMALY, true);
    f()
}

/// Runs `f`, a part of a model, with a name that is put before the messages of its errors.
///
/// [`Sequential`](crate::layer::Sequential) does this for its layers; a custom layer does it for the layers it is made
/// of.
///
/// ```
/// # use tealight::prelude::*;
/// let x = Tensor::new(&[[1.0, 2.0, 3.0]], &Device::Cpu)?;
/// let error = autograd::named_scope("fc1", || x.matmul(&x)).unwrap_err();
/// assert!(error.to_string().starts_with("fc1: matmul: "));
/// # Ok::<(), tealight::Error>(())
/// ```
///
/// # Errors
/// Those of `f`.
pub fn named_scope<R>(name: &str, f: impl FnOnce() -> Result<R>) -> Result<R> {
    struct Leave;
    impl Drop for Leave {
        fn drop(&mut self) {
            SCOPES.with_borrow_mut(Vec::pop);
        }
    }
    let leave = observed().then(|| {
        SCOPES.with_borrow_mut(|scopes| scopes.push(name.to_string()));
        Leave
    });
    let result = f();
    drop(leave);
    result.map_err(|error| error.context(name))
}

/// The running scope, such as `encoder.fc1`. Empty while nothing observes the operations.
pub(super) fn current_scope() -> String {
    SCOPES.with_borrow(|scopes| scopes.join("."))
}

/// Stores the scope that a new node is made in.
pub(super) fn remember_scope(id: u64) {
    if is_on() {
        let scope = current_scope();
        if !scope.is_empty() {
            SCOPE_OF_NODE.with_borrow_mut(|scopes| scopes.insert(id, scope));
        }
    }
}

/// The number of NaNs and infinities in an array, and the range of its finite elements.
struct Summary {
    nan: usize,
    infinite: usize,
    low: f64,
    high: f64,
}

impl Summary {
    fn of(x: &Array) -> Result<Self> {
        let mut summary = Summary { nan: 0, infinite: 0, low: f64::INFINITY, high: f64::NEG_INFINITY };
        for x in numbers(x)? {
            if x.is_nan() {
                summary.nan += 1;
            } else if x.is_infinite() {
                summary.infinite += 1;
            } else {
                summary.low = summary.low.min(x);
                summary.high = summary.high.max(x);
            }
        }
        Ok(summary)
    }

    /// "1 NaN", "2 infinities", or both.
    fn faults(&self) -> String {
        let infinities =
            if self.infinite == 1 { "1 infinity".into() } else { format!("{} infinities", self.infinite) };
        match (self.nan, self.infinite) {
            (nan, 0) => format!("{nan} NaN"),
            (0, _) => infinities,
            (nan, _) => format!("{nan} NaN and {infinities}"),
        }
    }

    fn range(&self) -> String {
        let mut text = if self.low <= self.high {
            format!("within {}..={}", self.low, self.high)
        } else {
            "without a finite element".into()
        };
        if self.nan + self.infinite > 0 {
            text = text + " with " + &self.faults();
        }
        text
    }
}

/// An error if `output` has a NaN, or an infinity that no input had.
fn check(op: &'static str, pass: &str, inputs: &[(String, &Array)], output: &Array) -> Result<()> {
    if !output.dtype().is_float() || super::array::is_finite(output)? {
        return Ok(());
    }
    let found = Summary::of(output)?;
    let summaries = inputs.iter().map(|(_, x)| Summary::of(x)).collect::<Result<Vec<_>>>()?;
    if found.nan == 0 && summaries.iter().any(|summary| summary.infinite > 0) {
        return Ok(());
    }
    let mut got = format!("{} among {} elements", found.faults(), output.elem_count());
    for ((name, x), summary) in inputs.iter().zip(summaries) {
        write!(got, "; {name} of shape {:?} is {}", x.dims(), summary.range())
            .expect("a String takes any text");
    }
    Err(Error::argument(op, format!("finite numbers in the {pass} pass"), got))
}

pub(super) fn check_forward(op: &'static str, inputs: &[&Tensor], output: &Array) -> Result<()> {
    if !is_on() {
        return Ok(());
    }
    let inputs: Vec<(String, &Array)> =
        inputs.iter().enumerate().map(|(i, x)| (format!("input {i}"), x.array())).collect();
    check(op, "forward", &inputs, output)
}

/// Runs the backward rule of a node, and checks what it returns. The operations inside the rule are not checked: the
/// error names the operation that the user called.
pub(super) fn check_backward(
    node: &Node,
    grad: &Tensor,
    f: impl FnOnce() -> Result<InputGrads>,
) -> Result<InputGrads> {
    if !is_on() {
        return f();
    }
    let grads = {
        let _guard = ObserverGuard::set(ANOMALY, false);
        f()?
    };
    for found in grads.iter().flatten() {
        let mut inputs = vec![("the gradient".to_string(), &grad.array)];
        let saved = node.saved_arrays.inputs.iter().enumerate();
        inputs.extend(saved.filter_map(|(i, x)| Some((format!("input {i}"), x.as_ref()?))));
        inputs.extend(node.saved_arrays.output.iter().map(|output| ("the output".into(), output)));
        check(node.rule.name(), "backward", &inputs, &found.array).map_err(|error| {
            match SCOPE_OF_NODE.with_borrow(|scopes| scopes.get(&node.id).cloned()) {
                Some(scope) => error.context(scope),
                None => error,
            }
        })?;
    }
    Ok(grads)
}

#[cfg(test)]
mod tests {
    use crate::prelude::*;

    fn parameter(numbers: &[f64]) -> Tensor {
        Tensor::parameter(Array::new(numbers, &Device::Cpu).unwrap())
    }

    #[test]
    fn the_first_fault_is_named() -> Result<()> {
        let x = parameter(&[0.0, 4.0]);
        // √ has an infinite slope at 0, and nothing is wrong with its value.
        let backward = || x.sqrt()?.sum_all()?.backward();
        let slopes = backward()?;
        assert_eq!(slopes.get(&x).unwrap().to_vec1::<f64>()?, [f64::INFINITY, 0.25]);
        let error = autograd::detect_anomaly(backward).unwrap_err().to_string();
        let expected = "sqrt: expected finite numbers in the backward pass, got 1 infinity among 2 elements; \
                        the gradient of shape [2] is within 1..=1; the output of shape [2] is within 0..=2";
        assert_eq!(error, expected);
        // An input that is infinite allows an infinite output, but not a NaN.
        let infinite = parameter(&[f64::INFINITY]);
        autograd::detect_anomaly(|| &infinite * 2.0)?;
        assert!(
            autograd::detect_anomaly(|| &infinite - &infinite).unwrap_err().to_string().starts_with("sub: ")
        );
        assert!(
            autograd::detect_anomaly(|| no_grad(|| infinite.neg()?.exp()?.ln()?.exp()?.recip())).is_err()
        );
        backward()?;
        Ok(())
    }

    #[test]
    fn a_recorded_backward_is_checked() {
        let x = parameter(&[0.0]);
        let error = autograd::detect_anomaly(|| autograd::grad(&x.sqrt()?.sum_all()?, [&x])).unwrap_err();
        assert!(
            error.to_string().starts_with("sqrt: expected finite numbers in the backward pass"),
            "{error}"
        );
    }

    #[test]
    fn scopes_are_named_in_both_passes() -> Result<()> {
        let x = parameter(&[0.0, 4.0]);
        let run = || {
            let y = autograd::named_scope("model", || autograd::named_scope("root", || x.sqrt()))?;
            autograd::named_scope("head", || y.sum_all())?.backward()
        };
        let error = autograd::detect_anomaly(run).unwrap_err().to_string();
        assert!(error.starts_with("model.root: sqrt: expected finite"), "{error}");
        let forward =
            || autograd::named_scope("a", || autograd::named_scope("b", || parameter(&[-1.0]).ln()));
        let error = autograd::detect_anomaly(forward).unwrap_err().to_string();
        assert!(error.starts_with("a.b: ln: expected finite"), "{error}");
        // Outside detect_anomaly a NaN is not an error.
        run()?;
        forward()?;
        Ok(())
    }
}
