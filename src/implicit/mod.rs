//! Layers that are defined by an equation: a fixed point, a minimum, the solution of a differential equation.
//!
//! The solver runs without recording. The gradient comes from the equation at the solution (the implicit function theorem), so it is exact
//! however many steps the solver took, and nothing of them is kept in memory. Where a solver does not converge there is an error,
//! and no gradient.
//!
//! The functions are closures that are kept for the backward pass: clone into them what they read. `parameters` are those of the tensors
//! that they read whose gradient is wanted, such as those of [`Parameter::get`](crate::layer::Parameter::get); the others are constants.
//!
//! How many steps a solver takes depends on the numbers, so it is no part of a [program](crate::program): a `TrainStep` with such a layer runs
//! as it would without one, and `compile` is an error.

mod argmin;
mod fixed_point;
mod odeint;

use std::fmt;
use std::sync::Arc;

pub use argmin::{Argmin, argmin};
pub use fixed_point::{FixedPoint, fixed_point};
pub use odeint::{Odeint, odeint};

use crate::autograd::{Saved, Tensor, partial_vjp};
use crate::error::{Error, Result};

/// A function of one tensor that a node holds.
type Function = Arc<dyn Fn(&Tensor) -> Result<Tensor> + Send + Sync>;

/// A function in an op, which has to be `Debug`.
#[derive(Clone)]
struct Held<F>(F);

impl<F> fmt::Debug for Held<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("..")
    }
}

/// A variable with the elements of `x`: x itself if it has a history.
fn variable(x: Tensor) -> Tensor {
    if x.requires_grad() { x } else { x.into_parameter() }
}

/// The gradients of ⟨`y`, `weights`⟩ by the wanted ones of `parameters`, with `z` held fixed.
fn by_parameters(
    saved: &Saved,
    y: &Tensor,
    z: &Tensor,
    parameters: &[Tensor],
    weights: &Tensor,
) -> Result<Vec<Option<Tensor>>> {
    let wanted: Vec<usize> = (0..parameters.len()).filter(|&i| saved.needs_input_grad(i)).collect();
    let targets: Vec<&Tensor> = [z].into_iter().chain(wanted.iter().map(|&i| &parameters[i])).collect();
    let mut grads = vec![None; parameters.len()];
    for (i, grad) in wanted.into_iter().zip(partial_vjp(y, &targets, weights)?.into_iter().skip(1)) {
        grads[i] = Some(grad);
    }
    Ok(grads)
}

/// What the weights of a backward pass depend on.
fn with_history(tensors: &[&Tensor], parameters: &[Tensor]) -> Vec<Tensor> {
    tensors.iter().copied().chain(parameters).filter(|x| x.requires_grad()).cloned().collect()
}

/// The largest magnitude; infinite if an element is NaN.
fn largest(x: &Tensor) -> Result<f64> {
    let largest = crate::autograd::array::numbers(x.array())?
        .into_iter()
        .fold(0.0, |most: f64, x| if x.is_nan() { f64::INFINITY } else { most.max(x.abs()) });
    Ok(largest)
}

fn same_kind(op: &'static str, what: &str, x: &Tensor, y: &Tensor) -> Result<()> {
    if x.dims() != y.dims() {
        return Err(Error::shape(op, what, &[x.dims(), y.dims()]));
    }
    if x.dtype() != y.dtype() || !x.dtype().is_float() {
        return Err(Error::dtype(op, format!("{what} of one float dtype"), &[x.dtype(), y.dtype()]));
    }
    Ok(())
}

fn positive(op: &'static str, what: &str, x: f64) -> Result<f64> {
    if x > 0.0 && x.is_finite() { Ok(x) } else { Err(Error::argument(op, format!("{what} above 0"), x)) }
}

fn not_converged(op: &'static str, tolerance: f64, steps: usize, residual: f64) -> Error {
    Error::argument(op, format!("a residual of {tolerance:e} within {steps} steps"), format!("{residual:e}"))
}
