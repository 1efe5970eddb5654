//! Optimizers: how gradients change parameters.
//!
//! An optimizer is a [`UpdateRule`], its settings and its formula for one number, in the hands of [`FirstOrder`], which walks the
//! parameters, checks the gradients, and keeps the rule's memory: [`Adam`] is `FirstOrder` by [`AdamRule`].

mod ada;
mod adam;
mod clip;
mod conjugate_gradient;
mod ema;
mod first_order;
mod lbfgs;
mod lion;
mod nadam;
mod rms_prop;
mod rule;
pub mod schedule;
mod sgd;
mod state;

pub use ada::{Adadelta, AdadeltaRule, Adagrad, AdagradRule};
pub use adam::{Adam, AdamRule, AdamW};
pub use conjugate_gradient::conjugate_gradient;
pub use ema::Ema;
pub use first_order::FirstOrder;
pub use lbfgs::Lbfgs;
pub use lion::{Lion, LionRule};
pub use nadam::{NAdam, NAdamRule};
pub use rms_prop::{RmsProp, RmsPropRule};
pub use rule::{StepInfo, Update, UpdateRule, each};
pub use sgd::{Sgd, SgdRule};

use std::collections::BTreeMap;

use crate::autograd::{Gradients, Tensor};
use crate::error::{Error, Result};
use crate::layer::Parameter;

/// Changes parameters by their gradients.
///
/// ```
/// use tealight::prelude::*;
/// let p = Parameter::new(Tensor::new(4.0, &Device::Cpu)?);
/// let all = vec![("p".to_string(), p.clone())];
/// let optimizers: [Box<dyn Optimizer>; 2] =
///     [Box::new(Sgd::new(all.clone(), 0.25)?), Box::new(Adam::new(all, 0.5)?)];
/// for mut optimizer in optimizers {
///     optimizer.step(&(p.get() * 2.0)?.backward()?)?;
/// }
/// assert!((p.get().to_scalar::<f64>()? - 3.0).abs() < 1e-8); // Sgd goes as far as 0.25 · 2, Adam as its rate
/// # Ok::<(), tealight::Error>(())
/// ```
pub trait Optimizer {
    /// One step for every parameter that is not frozen.
    ///
    /// # Errors
    /// A parameter without a gradient, or with one that is NaN or infinite: the error names it, and no parameter is
    /// changed.
    ///
    /// ```
    /// use tealight::prelude::*;
    /// let p = Parameter::new(Tensor::new(1.0, &Device::Cpu)?);
    /// let mut optimizer = Sgd::new(vec![("p".into(), p.clone())], 0.25)?;
    /// optimizer.step(&(p.get() * 2.0)?.backward()?)?;
    /// assert_eq!(p.get().to_scalar::<f64>()?, 0.5);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    fn step(&mut self, gradients: &Gradients) -> Result<()>;

    /// How far a step goes.
    ///
    /// ```
    /// use tealight::prelude::*;
    /// let model = Linear::new(3, 2, &mut Rng::seed(1))?;
    /// assert_eq!(Sgd::new(model.parameters(), 0.1)?.learning_rate(), 0.1);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    fn learning_rate(&self) -> f64;

    /// Changes how far a step goes.
    ///
    /// # Errors
    /// A rate that is negative or not finite.
    ///
    /// ```
    /// use tealight::prelude::*;
    /// let p = Parameter::new(Tensor::new(1.0, &Device::Cpu)?);
    /// let mut optimizer = Sgd::new(vec![("p".into(), p.clone())], 0.25)?;
    /// optimizer.set_learning_rate(0.125)?;
    /// optimizer.step(&(p.get() * 2.0)?.backward()?)?;
    /// assert_eq!(p.get().to_scalar::<f64>()?, 0.75);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    #[doc(alias = "lr")]
    fn set_learning_rate(&mut self, rate: f64) -> Result<()>;

    /// What the optimizer remembers, under names such as `0.weight.exp_avg`, to be saved with
    /// [`io::write`](crate::io::write). An optimizer that loads it goes on with the same bits.
    ///
    /// # Errors
    /// Two parameters of one name.
    ///
    /// ```
    /// use tealight::prelude::*;
    /// let p = Parameter::new(Tensor::new(1.0, &Device::Cpu)?);
    /// let mut optimizer = Sgd::new(vec![("p".into(), p.clone())], 0.25)?.momentum(0.5)?;
    /// optimizer.step(&(p.get() * 2.0)?.backward()?)?;
    /// let names: Vec<String> = optimizer.state()?.into_keys().collect();
    /// assert_eq!(names, ["learning_rate", "p.momentum_buffer", "p.step"]);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    #[doc(alias = "state_dict")]
    fn state(&self) -> Result<BTreeMap<String, Tensor>>;

    /// Takes over what [`state`](Optimizer::state) gave. The settings are not in it: give them to the optimizer as before.
    ///
    /// # Errors
    /// Something that is missing, unknown, or of another shape or dtype: the error names it, and nothing is changed.
    ///
    /// ```
    /// use tealight::prelude::*;
    /// let p = Parameter::new(Tensor::new(1.0, &Device::Cpu)?);
    /// let mut optimizer = Sgd::new(vec![("p".into(), p.clone())], 0.25)?.momentum(0.5)?;
    /// optimizer.step(&(p.get() * 1.0)?.backward()?)?;
    /// let mut resumed = Sgd::new(vec![("p".into(), p.clone())], 0.25)?.momentum(0.5)?;
    /// resumed.load_state(&optimizer.state()?)?;
    /// resumed.step(&(p.get() * 1.0)?.backward()?)?;
    /// assert_eq!(p.get().to_scalar::<f64>()?, 0.375); // 0.75 − 0.25 · (0.5 · 1 + 1)
    /// # Ok::<(), tealight::Error>(())
    /// ```
    #[doc(alias = "load_state_dict")]
    fn load_state(&mut self, state: &BTreeMap<String, Tensor>) -> Result<()>;

    /// What it is called in reports.
    ///
    /// ```
    /// use tealight::prelude::*;
    /// let model = Linear::new(3, 2, &mut Rng::seed(1))?;
    /// assert_eq!(AdamW::new(model.parameters(), 1e-3)?.name(), "AdamW");
    /// # Ok::<(), tealight::Error>(())
    /// ```
    fn name(&self) -> String {
        without_paths(std::any::type_name::<Self>())
    }
}

/// The name of a type without its paths: `Weighted<BceWithLogits>`.
pub(crate) fn without_paths(name: &str) -> String {
    let words = name.split_inclusive(|c: char| !c.is_alphanumeric() && c != '_' && c != ':');
    words.map(|word| word.rsplit("::").next().unwrap_or_default()).collect()
}

/// A number that is finite and not negative.
fn not_negative(op: &'static str, what: &str, x: f64) -> Result<f64> {
    if x.is_finite() && x >= 0.0 {
        return Ok(x);
    }
    Err(Error::argument(op, format!("{what} that is finite and not negative"), x))
}

/// A number that is finite and positive.
fn positive(op: &'static str, what: &str, x: f64) -> Result<f64> {
    if x.is_finite() && x > 0.0 {
        return Ok(x);
    }
    Err(Error::argument(op, format!("{what} that is finite and positive"), x))
}

/// A number from 0 to below 1.
fn fraction(op: &'static str, what: &str, x: f64) -> Result<f64> {
    if (0.0..1.0).contains(&x) {
        return Ok(x);
    }
    Err(Error::argument(op, format!("{what} from 0 to below 1"), x))
}

/// The parameters, each once: tied weights take one step, not two.
pub(crate) fn distinct(parameters: Vec<(String, Parameter)>) -> Vec<(String, Parameter)> {
    let mut all: Vec<(String, Parameter)> = Vec::with_capacity(parameters.len());
    for (name, parameter) in parameters {
        if !all.iter().any(|(_, known)| known.ptr_eq(&parameter)) {
            all.push((name, parameter));
        }
    }
    all
}

/// The gradient of a parameter, whose value is `leaf`.
fn gradient_of<'a>(gradients: &'a Gradients, name: &str, leaf: &Tensor) -> Result<&'a Tensor> {
    gradients.get(leaf).ok_or_else(|| Error::Parameter {
        name: name.into(),
        message: "no gradient: the loss does not depend on it, or it was changed since the forward pass"
            .into(),
    })
}

/// The error for a gradient that would spoil a parameter.
fn not_finite(name: &str) -> Error {
    Error::Parameter {
        name: name.into(),
        message: "its gradient is NaN or infinite (autograd::detect_anomaly finds the operation)".into(),
    }
}
