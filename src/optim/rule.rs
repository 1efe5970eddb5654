//! [`UpdateRule`]: the hyperparameters of a first-order optimizer and its update formula.

use std::fmt::Debug;

use crate::formula::{Real, Tape};

/// What an update formula may read about the step.
#[derive(Clone, Copy, Debug)]
pub struct StepInfo {
    /// The learning rate of the parameter.
    pub learning_rate: f64,
    /// The number of this step of the parameter: 1, 2, …
    pub step: u64,
    /// The scalar that [`UpdateRule::scalar_state`] returned for this step.
    pub scalar_state: f64,
}

/// An update formula for one element: (parameter, gradient, state) → (new parameter, new state).
pub trait UpdateFn<T, const N: usize>: Fn(T, T, [T; N]) -> (T, [T; N]) + Send + Sync {}

impl<T, const N: usize, F: Fn(T, T, [T; N]) -> (T, [T; N]) + Send + Sync> UpdateFn<T, N> for F {}

/// Returns the closure unchanged. Rust accepts `#[inline(always)]` on a closure that is an argument, not on one that is
/// returned, and an update formula is fast only when it is inlined.
pub fn update_fn<T, const N: usize, F: UpdateFn<T, N>>(formula: F) -> F {
    formula
}

/// The hyperparameters of an optimizer and its update formula, with N state values per parameter element.
///
/// Implement it to write your own optimizer; [`FirstOrder`](super::FirstOrder) does the rest:
///
/// ```
/// # use tealight::optim::{FirstOrder, StepInfo, UpdateFn, UpdateRule, update_fn};
/// # use tealight::prelude::*;
/// /// Signed gradient descent: p ← p − η·sign(g).
/// #[derive(Clone, Debug, Default)]
/// struct SignSgd;
///
/// impl UpdateRule<0> for SignSgd {
///     const NAME: &'static str = "SignSgd";
///     fn state_names(&self) -> [Option<&'static str>; 0] { [] }
///     fn formula<T: Real + Send + Sync>(&self, at: StepInfo) -> impl UpdateFn<T, 0> {
///         let learning_rate = T::constant(at.learning_rate);
///         update_fn(#[inline(always)] move |p: T, g: T, []| (p - learning_rate * g.signum(), []))
///     }
/// }
/// # let p = Parameter::new(Tensor::new(1.0, &Device::Cpu)?);
/// let mut optimizer = FirstOrder::<SignSgd, 0>::new(vec![("p".into(), p.clone())], 0.25)?;
/// optimizer.step(&(p.get() * 30.0)?.backward()?)?;
/// assert_eq!(p.get().to_scalar::<f64>()?, 0.75);
/// # Ok::<(), tealight::Error>(())
/// ```
pub trait UpdateRule<const N: usize>: Clone + Debug + Send + Sync {
    /// The optimizer's name, for errors and reports.
    const NAME: &'static str;

    /// The name under which the [`scalar_state`](UpdateRule::scalar_state) is saved, if the rule uses one.
    const SCALAR_STATE: Option<&'static str> = None;

    /// The names under which the N state arrays are saved. `None` for an array that these hyperparameters do not use:
    /// it is not allocated, and reads as 0.
    fn state_names(&self) -> [Option<&'static str>; N];

    /// The value of the state before the first step. Default: 0.
    fn initial_state(&self) -> f64 {
        0.0
    }

    /// The next value of a scalar that each parameter carries from step to step, such as a running product. It starts
    /// at 1. Default: unchanged.
    fn scalar_state(&self, step: u64, scalar_state: f64) -> f64 {
        let _ = step;
        scalar_state
    }

    /// These hyperparameters with another momentum, or β₁: see [`set_momentum`](super::Optimizer::set_momentum). Default: `None`,
    /// without momentum.
    fn with_momentum(&self, momentum: f64) -> Option<Self> {
        let _ = momentum;
        None
    }

    /// The formula as data, for a step that is written down in another language. Default: `None`, which it cannot be.
    #[doc(hidden)]
    fn lowered(&self) -> Option<LoweredRule> {
        None
    }

    /// The update formula for one step.
    fn formula<T: Real + Send + Sync>(&self, at: StepInfo) -> impl UpdateFn<T, N>;
}

/// A rule as data.
#[doc(hidden)]
#[derive(Clone, Debug)]
pub struct LoweredRule {
    /// The factor of the learning rate.
    pub(crate) lr_factor: f64,
    /// What depends on the step, computed in f64 from the learning rate and the number of the step.
    pub(crate) scalars: Tape,
    /// From the parameter, the gradient, the N states and the scalars to the parameter and the N states.
    pub(crate) formula: Tape,
    /// The value of each state before the first step; `None` for one that is not used and reads as 0.
    pub(crate) states: Vec<Option<f64>>,
}

/// Adam's bias correction, 1 − βⁿ.
pub(super) fn bias_correction(beta: f64, n: u64) -> f64 {
    1.0 - Real::powf(beta, n as f64)
}
