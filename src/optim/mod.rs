//! Optimizers, learning rate schedules, gradient clipping and averaged weights.

/// Setters of the hyperparameters of an optimizer: each checks its argument, and sets the field of its name.
macro_rules! setters {
    ($op:expr, $($(#[$doc:meta])* $name:ident: $check:ident, $what:literal;)*) => {$(
        $(#[$doc])*
        pub fn $name(mut self, $name: f64) -> Result<Self> {
            self.base.rule.$name = $check($op, $what, $name)?;
            Ok(self)
        }
    )*};
}

/// The setter of two decay rates.
macro_rules! betas {
    ($op:expr, $(#[$doc:meta])*) => {
        $(#[$doc])*
        ///
        /// # Errors
        /// Errors if one is outside [0, 1).
        pub fn betas(mut self, beta1: f64, beta2: f64) -> Result<Self> {
            self.base.rule.beta1 = fraction($op, "a beta", beta1)?;
            self.base.rule.beta2 = fraction($op, "a beta", beta2)?;
            Ok(self)
        }
    };
}

/// The setters of a weight decay that may be decoupled.
macro_rules! weight_decays {
    ($op:expr) => {
        /// The weight decay λ, an L2 penalty: λ·p is added to the gradient. Default: 0.
        ///
        /// # Errors
        /// Errors if it is negative or not finite.
        pub fn weight_decay(mut self, weight_decay: f64) -> Result<Self> {
            self.base.rule.weight_decay = not_negative($op, "a weight decay", weight_decay)?;
            self.base.rule.decoupled = false;
            Ok(self)
        }

        /// A decoupled weight decay λ: p ← (1 − η·λ)·p before each step, as in [`AdamW`](super::AdamW).
        ///
        /// # Errors
        /// Errors if it is negative or not finite.
        pub fn decoupled_weight_decay(mut self, weight_decay: f64) -> Result<Self> {
            self = self.weight_decay(weight_decay)?;
            self.base.rule.decoupled = true;
            Ok(self)
        }
    };
}

mod ada;
mod adam;
mod adamax;
mod clip;
mod ema;
mod first_order;
mod lbfgs;
mod lion;
mod muon;
mod nadam;
mod radam;
mod rms_prop;
mod rule;
pub mod schedule;
mod sgd;
mod solve_cg;
pub(crate) mod state;

pub use ada::{Adadelta, AdadeltaRule, Adagrad, AdagradRule};
pub use adam::{Adam, AdamRule, AdamW};
pub use adamax::{Adamax, AdamaxRule};
pub(crate) use clip::total_norm_and_factor;
pub use ema::Ema;
pub use first_order::FirstOrder;
pub use lbfgs::Lbfgs;
pub use lion::{Lion, LionRule};
pub use muon::{AdjustLr, Muon};
pub use nadam::{NAdam, NAdamRule};
pub use radam::{RAdam, RAdamRule};
pub use rms_prop::{RmsProp, RmsPropRule};
pub(crate) use rule::LoweredRule;
pub use rule::{StepInfo, UpdateFn, UpdateRule, update_fn};
pub use sgd::{Sgd, SgdRule};
pub use solve_cg::solve_cg;

use std::collections::BTreeMap;

use candle_core::CpuStorage;

use crate::autograd::{Gradients, Tensor};
use crate::error::{Error, Result};
use crate::layer::Parameter;
use crate::layer::pattern::fits;

/// The memory of a program, for [`Optimizer::step_in_place`].
#[doc(hidden)]
pub struct InPlace<'a>(pub(crate) &'a mut dyn ParameterMemory);

/// Parameters and their gradients in main memory, f32 or f64.
pub(crate) trait ParameterMemory {
    /// The elements of the gradient, in row-major order; none if the parameter has none.
    fn gradient(&self, parameter: &Parameter) -> Option<&CpuStorage>;
    /// Replaces the value by what `update` makes of it and the gradient.
    fn update(
        &mut self,
        parameter: &Parameter,
        update: &mut dyn FnMut(&CpuStorage, &CpuStorage) -> CpuStorage,
    );
}

/// Updates the parameters of a model.
///
/// To write your own, implement [`UpdateRule`], an update formula per element, or this trait.
///
/// ```
/// # use tealight::prelude::*;
/// # let p = Parameter::new(Tensor::new(4.0, &Device::Cpu)?);
/// # let parameters = vec![("p".to_string(), p.clone())];
/// let mut optimizer: Box<dyn Optimizer> = Box::new(Sgd::new(parameters, 0.25)?);
/// let loss = p.get().sqr()?;
/// optimizer.step(&loss.backward()?)?;
/// assert_eq!(p.get().to_scalar::<f64>()?, 2.0); // 4 − 0.25 · 2 · 4
/// # Ok::<(), tealight::Error>(())
/// ```
pub trait Optimizer {
    /// Updates every parameter that is not frozen.
    ///
    /// # Errors
    /// Errors if a parameter has no gradient (see [`FirstOrder::allow_unused`]), or one that is NaN or infinite. The error names the parameter, and no
    /// parameter changes.
    fn step(&mut self, gradients: &Gradients) -> Result<()>;

    /// One step of an optimizer that may evaluate the loss more than once, such as [`Lbfgs`]; returns the loss before the
    /// step. Default: evaluates once, and calls [`step`](Optimizer::step).
    ///
    /// `evaluate` returns the loss and its gradients at the current parameters, and must compute the same function in
    /// each call of one step. PyTorch's `optimizer.step(closure)`.
    ///
    /// # Errors
    /// Errors if `evaluate` does, or as [`step`](Optimizer::step). No parameter changes then.
    ///
    /// ```
    /// # use tealight::optim::Lbfgs;
    /// # use tealight::prelude::*;
    /// # let p = Parameter::new(Tensor::new(5.0, &Device::Cpu)?);
    /// let mut optimizer = Lbfgs::new(vec![("p".into(), p.clone())], 1.0)?.strong_wolfe();
    /// optimizer.step_with(&mut || {
    ///     let loss = (p.get() - 3.0)?.sqr()?;
    ///     Ok((loss.to_scalar()?, loss.backward()?))
    /// })?;
    /// assert!((p.get().to_scalar::<f64>()? - 3.0).abs() < 1e-6);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    #[doc(alias = "closure")]
    fn step_with(&mut self, evaluate: &mut dyn FnMut() -> Result<(f64, Gradients)>) -> Result<f64> {
        let (loss, gradients) = evaluate()?;
        self.step(&gradients)?;
        Ok(loss)
    }

    /// Whether [`step_in_place`](Optimizer::step_in_place) works.
    #[doc(hidden)]
    fn is_in_place(&self) -> bool {
        false
    }

    /// [`step`](Optimizer::step) on memory that a program holds.
    #[doc(hidden)]
    fn step_in_place(&mut self, _: &mut InPlace<'_>) -> Result<()> {
        unreachable!("an optimizer whose is_in_place is true has its own step_in_place")
    }

    /// How a parameter is updated, as data.
    #[doc(hidden)]
    fn lowered(&self, _: &Parameter) -> Option<LoweredRule> {
        None
    }

    /// The learning rate.
    #[doc(alias = "lr")]
    fn learning_rate(&self) -> f64;

    /// Changes the learning rate.
    ///
    /// # Errors
    /// Errors if it is negative or not finite.
    #[doc(alias = "lr")]
    fn set_learning_rate(&mut self, learning_rate: f64) -> Result<()>;

    /// Steps with this momentum, the β₁ of the Adam family, in every parameter group, until `None` sets back to each group's.
    /// It is not part of the [`state_dict`](Optimizer::state_dict).
    ///
    /// A [`Trainer`](crate::train::Trainer) does it for a [schedule of the momentum](schedule::Schedule::momentum).
    ///
    /// # Errors
    /// Errors if it is not above 0 and below 1, or the optimizer has no momentum, as `Adagrad` or a parameter group of `Sgd` with a
    /// momentum of 0.
    ///
    /// ```
    /// # use tealight::optim::schedule::{OneCycleLr, Schedule};
    /// # use tealight::prelude::*;
    /// # let p = Parameter::new(Tensor::new(1.0, &Device::Cpu)?);
    /// # let mut optimizer = AdamW::new(vec![("p".into(), p.clone())], 0.1)?;
    /// let schedule = OneCycleLr::new(100)?.cycle_momentum(0.85, 0.95)?;
    /// for step in 0..100 {
    ///     optimizer.set_learning_rate(0.1 * schedule.factor(step))?;
    ///     optimizer.set_momentum(schedule.momentum(step))?;
    ///     optimizer.step(&p.get().sqr()?.backward()?)?;
    /// }
    /// # assert!(p.get().to_scalar::<f64>()?.abs() < 0.1);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    fn set_momentum(&mut self, momentum: Option<f64>) -> Result<()> {
        momentum.map_or(Ok(()), |_| Err(no_momentum(&self.name())))
    }

    /// The optimizer's state as named tensors, such as `0.weight.exp_avg`, to be saved with
    /// [`io::write`](crate::io::write). The learning rate is part of it, other hyperparameters are not.
    ///
    /// # Errors
    /// Errors if two parameters have the same name.
    ///
    /// ```
    /// # use tealight::prelude::*;
    /// # let p = Parameter::new(Tensor::new(1.0, &Device::Cpu)?);
    /// let new = || Sgd::new(vec![("p".into(), p.clone())], 0.25)?.momentum(0.5);
    /// let mut optimizer = new()?;
    /// optimizer.step(&(p.get() * 1.0)?.backward()?)?;
    /// assert!(optimizer.state_dict()?.keys().eq(["learning_rate", "p.momentum_buffer", "p.step"]));
    /// new()?.load_state_dict(&optimizer.state_dict()?)?; // continues bit for bit
    /// # Ok::<(), tealight::Error>(())
    /// ```
    fn state_dict(&self) -> Result<BTreeMap<String, Tensor>>;

    /// Loads what [`state_dict`](Optimizer::state_dict) returned, into an optimizer with the same hyperparameters.
    ///
    /// # Errors
    /// Errors if an entry is missing, unexpected, or of another shape or dtype. The error names it, and nothing changes.
    fn load_state_dict(&mut self, state: &BTreeMap<String, Tensor>) -> Result<()>;

    /// The name in reports. Default: the type's name.
    fn name(&self) -> String {
        without_paths(std::any::type_name::<Self>())
    }
}

/// A type name without paths: `Weighted<BceWithLogits>`.
pub(crate) fn without_paths(name: &str) -> String {
    let words = name.split_inclusive(|c: char| !c.is_alphanumeric() && c != '_' && c != ':');
    words.map(|word| word.rsplit_once("::").map_or(word, |(_, last)| last)).collect()
}

fn not_negative(op: &'static str, what: &str, x: f64) -> Result<f64> {
    check(op, x.is_finite() && x >= 0.0, what, "that is finite and not negative", x)
}

fn positive(op: &'static str, what: &str, x: f64) -> Result<f64> {
    check(op, x.is_finite() && x > 0.0, what, "that is finite and positive", x)
}

fn fraction(op: &'static str, what: &str, x: f64) -> Result<f64> {
    check(op, (0.0..1.0).contains(&x), what, "from 0 to below 1", x)
}

/// A momentum that a schedule may set.
fn momentum(op: &'static str, x: f64) -> Result<f64> {
    check(op, x > 0.0 && x < 1.0, "a momentum", "above 0 and below 1", x)
}

fn no_momentum(optimizer: &str) -> Error {
    let expected = "an optimizer with a momentum, in every parameter group";
    Error::argument("set_momentum", expected, format!("{optimizer} without"))
}

fn check(op: &'static str, valid: bool, what: &str, range: &str, x: f64) -> Result<f64> {
    if valid { Ok(x) } else { Err(Error::argument(op, format!("{what} {range}"), x)) }
}

/// The parameters, each once: tied parameters take one step, not two.
pub(crate) fn distinct(parameters: Vec<(String, Parameter)>) -> Vec<(String, Parameter)> {
    let mut all: Vec<(String, Parameter)> = Vec::with_capacity(parameters.len());
    for (name, parameter) in parameters {
        if !all.iter().any(|(_, known)| known.ptr_eq(&parameter)) {
            all.push((name, parameter));
        }
    }
    all
}

/// The gradient of a parameter whose value is `leaf`; `None` if it has none, and `unused` has a pattern that it matches.
fn gradient_of<'a>(
    gradients: &'a Gradients,
    name: &str,
    leaf: &Tensor,
    unused: &[String],
) -> Result<Option<&'a Tensor>> {
    let gradient = gradients.get(leaf);
    check_reached(gradient.is_some(), name, unused)?;
    Ok(gradient)
}

/// Errors if a parameter has no gradient and is not one that may be left out.
fn check_reached(has_gradient: bool, name: &str, unused: &[String]) -> Result<()> {
    if has_gradient || unused.iter().any(|pattern| fits(name, pattern)) {
        return Ok(());
    }
    let message = "no gradient: the loss does not depend on it (see allow_unused), or it was changed since the forward pass";
    Err(Error::Parameter { name: name.into(), message: message.into() })
}

fn nonfinite_gradient(name: &str) -> Error {
    Error::Parameter {
        name: name.into(),
        message: "its gradient is NaN or infinite (autograd::detect_anomaly finds the operation)".into(),
    }
}
