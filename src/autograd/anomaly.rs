//! Anomaly mode: the first operation that makes a NaN or an infinity is an error that says where.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt::Write;

use super::array::numbers;
use super::mode::{ANOMALY, ObserverGuard, is_observed_by, observed};
use super::node::{InputGrads, Node};
use super::{Array, Tensor};
use crate::error::{Error, Result};

thread_local! {
    /// The layers that are running just now, from the outermost on.
    static PLACE: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
    /// The layer that each node was made in: a backward pass has left it long ago.
    static PLACES: RefCell<BTreeMap<u64, String>> = const { RefCell::new(BTreeMap::new()) };
}

fn is_on() -> bool {
    is_observed_by(ANOMALY)
}

/// Forgets the places when the outermost anomaly mode ends, also when a panic unwinds.
struct Forget(bool);

impl Drop for Forget {
    fn drop(&mut self) {
        if self.0 {
            PLACES.take();
        }
    }
}

/// Runs `f`, and makes an error of the first operation in it that produces a NaN or an infinity, forward or backward.
///
/// The error names the operation, the shapes and ranges of its inputs, and the layer it is in. A NaN is always an
/// error; an infinity is one unless an input was infinite already, so that a mask of −∞ may pass. Every result is looked
/// at, so it is slower: for finding a fault, not for training.
///
/// ```
/// use tealight::prelude::*;
/// let x = Tensor::parameter(Tensor::new(&[1.0, -1.0], &Device::Cpu)?.into_array());
/// let error = autograd::detect_anomaly(|| x.ln()?.sum_all()).unwrap_err();
/// assert_eq!(error.to_string(), "ln: expected finite numbers in the forward pass, got 1 NaN among 2 elements; \
///     input 0 of shape [2] is within -1..=1");
/// # Ok::<(), tealight::Error>(())
/// ```
#[doc(alias = "set_detect_anomaly")]
pub fn detect_anomaly<R>(f: impl FnOnce() -> R) -> R {
    let _forget = Forget(!is_on());
    let _watch = ObserverGuard::set(ANOMALY, true);
    f()
}

/// Runs `f`, a part of a model, and puts its name before any error that comes out.
///
/// [`Sequential`](crate::layer::Sequential) does this for its layers. In a layer made of layers it is what tells them
/// apart:
///
/// ```
/// use tealight::prelude::*;
/// let x = Tensor::new(&[[1.0, 2.0, 3.0]], &Device::Cpu)?;
/// let error = autograd::named_scope("fc1", || x.matmul(&x)).unwrap_err();
/// assert!(error.to_string().starts_with("fc1: matmul: "));
/// # Ok::<(), tealight::Error>(())
/// ```
///
/// # Errors
/// Those of `f`, with the name before them.
pub fn named_scope<R>(place: &str, f: impl FnOnce() -> Result<R>) -> Result<R> {
    struct Leave;
    impl Drop for Leave {
        fn drop(&mut self) {
            PLACE.with_borrow_mut(Vec::pop);
        }
    }
    let leave = observed().then(|| {
        PLACE.with_borrow_mut(|places| places.push(place.to_string()));
        Leave
    });
    let result = f();
    drop(leave);
    result.map_err(|error| error.context(place))
}

/// The layer that is running just now, `encoder.fc1`, while anybody watches.
pub(super) fn current_scope() -> String {
    PLACE.with_borrow(|places| places.join("."))
}

/// Notes the layer that a new node is made in.
pub(super) fn remember_scope(id: u64) {
    if is_on() {
        let place = current_scope();
        if !place.is_empty() {
            PLACES.with_borrow_mut(|places| places.insert(id, place));
        }
    }
}

/// How many elements are NaN, how many infinite, and the range of the rest.
struct Look {
    nan: usize,
    infinite: usize,
    low: f64,
    high: f64,
    count: usize,
}

impl Look {
    fn at(x: &Array) -> Result<Self> {
        let mut look =
            Look { nan: 0, infinite: 0, low: f64::INFINITY, high: f64::NEG_INFINITY, count: x.elem_count() };
        for x in numbers(x)? {
            if x.is_nan() {
                look.nan += 1;
            } else if x.is_infinite() {
                look.infinite += 1;
            } else {
                look.low = look.low.min(x);
                look.high = look.high.max(x);
            }
        }
        Ok(look)
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
            // Writing into a String cannot fail.
            let _ = write!(text, " with {}", self.faults());
        }
        text
    }
}

/// An error if `output` has a NaN, or an infinity that no input had.
fn check(op: &'static str, pass: &str, inputs: &[(String, &Array)], output: &Array) -> Result<()> {
    if !output.dtype().is_float() || super::array::is_finite(output)? {
        return Ok(());
    }
    let found = Look::at(output)?;
    let looks = inputs.iter().map(|(_, x)| Look::at(x)).collect::<Result<Vec<_>>>()?;
    if found.nan == 0 && looks.iter().any(|look| look.infinite > 0) {
        return Ok(());
    }
    let mut got = format!("{} among {} elements", found.faults(), found.count);
    for ((name, x), look) in inputs.iter().zip(looks) {
        let _ = write!(got, "; {name} of shape {:?} is {}", x.dims(), look.range());
    }
    Err(Error::argument(op, format!("finite numbers in the {pass} pass"), got))
}

pub(super) fn check_forward(op: &'static str, inputs: &[&Tensor], output: &Array) -> Result<()> {
    if !is_on() {
        return Ok(());
    }
    let named = |(i, x): (usize, &&Tensor)| (format!("input {i}"), x.array().clone());
    let inputs: Vec<(String, Array)> = inputs.iter().enumerate().map(named).collect();
    let inputs: Vec<(String, &Array)> = inputs.iter().map(|(name, x)| (name.clone(), x)).collect();
    check(op, "forward", &inputs, output)
}

/// Runs the backward rule of a node, and checks what it returns. The rule's own operations are not looked at: the node
/// is what the user wrote.
pub(super) fn check_backward(
    node: &Node,
    grad: &Tensor,
    f: impl FnOnce() -> Result<InputGrads>,
) -> Result<InputGrads> {
    if !is_on() {
        return f();
    }
    let grads = {
        let _watch = ObserverGuard::set(ANOMALY, false);
        f()?
    };
    for found in grads.iter().flatten() {
        let mut inputs = vec![("the gradient".to_string(), &grad.array)];
        let kept = node.saved_arrays.inputs.iter().enumerate();
        inputs.extend(kept.filter_map(|(i, x)| Some((format!("input {i}"), x.as_ref()?))));
        if let Some(output) = &node.saved_arrays.output {
            inputs.push(("the output".into(), output));
        }
        check(node.rule.name(), "backward", &inputs, &found.array).map_err(|error| {
            let place = PLACES.with_borrow(|places| places.get(&node.id).cloned());
            match place {
                Some(place) => error.context(place),
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
    fn the_first_fault_is_named_and_only_within() -> Result<()> {
        let x = parameter(&[0.0, 4.0]);
        // √ has an infinite slope at 0, and nothing is wrong with its value.
        let backward = || x.sqrt()?.sum_all()?.backward();
        let slopes = backward()?;
        assert_eq!(slopes.get(&x).unwrap().to_vec1::<f64>()?, [f64::INFINITY, 0.25]);
        let error = autograd::detect_anomaly(backward).unwrap_err().to_string();
        let expected = "sqrt: expected finite numbers in the backward pass, got 1 infinity among 2 elements; \
                        the gradient of shape [2] is within 1..=1; the output of shape [2] is within 0..=2";
        assert_eq!(error, expected);
        // What was infinite before is no news, a NaN is.
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
    fn a_recorded_backward_is_looked_at_too() {
        let x = parameter(&[0.0]);
        let error = autograd::detect_anomaly(|| autograd::grad(&x.sqrt()?.sum_all()?, [&x])).unwrap_err();
        assert!(
            error.to_string().starts_with("sqrt: expected finite numbers in the backward pass"),
            "{error}"
        );
    }

    #[test]
    fn places_come_with_both_passes() -> Result<()> {
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
        // Without the mode nothing is remembered, and nothing is wrong.
        run()?;
        forward()?;
        Ok(())
    }
}
