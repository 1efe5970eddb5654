//! Optimizers: how gradients change parameters.

mod sgd;

pub use sgd::Sgd;

use crate::autograd::Gradients;
use crate::error::{Error, Result};
use crate::layer::Parameter;

/// Changes parameters by their gradients.
pub trait Optimizer {
    /// One step for every parameter.
    ///
    /// # Errors
    /// A parameter without a gradient, or with one that is NaN or infinite: the error names it, and no parameter is
    /// changed.
    fn step(&mut self, gradients: &Gradients) -> Result<()>;

    /// How far a step goes.
    fn learning_rate(&self) -> f64;

    /// Changes how far a step goes.
    ///
    /// # Errors
    /// A rate that is negative or not finite.
    fn set_learning_rate(&mut self, rate: f64) -> Result<()>;
}

/// A learning rate that makes sense.
fn checked_rate(op: &'static str, rate: f64) -> Result<f64> {
    if rate.is_finite() && rate >= 0.0 {
        return Ok(rate);
    }
    Err(Error::argument(op, "a learning rate that is finite and not negative", rate))
}

/// The parameters, each once: tied weights take one step, not two.
fn distinct(parameters: Vec<(String, Parameter)>) -> Vec<(String, Parameter)> {
    let mut all: Vec<(String, Parameter)> = Vec::with_capacity(parameters.len());
    for (name, parameter) in parameters {
        if !all.iter().any(|(_, known)| known.same(&parameter)) {
            all.push((name, parameter));
        }
    }
    all
}
