//! Adagrad and Adadelta.

use super::rule::{StepInfo, UpdateFn, UpdateRule, update_fn};
use super::{FirstOrder, fraction, not_negative, positive};
use crate::error::Result;
use crate::formula::Real;

/// Adagrad: steps shrink with the sum of all squared gradients so far, as PyTorch's `Adagrad`, whose learning rate is
/// 1e-2.
///
/// # Formula
/// g ← g + λ·p; s ← s + g²; p ← p − η / (1 + (n − 1)·κ) · g / (√s + ε) in step n
///
/// # Source
/// J. Duchi, E. Hazan and Y. Singer 2011.
///
/// ```
/// # use tealight::optim::Adagrad;
/// # use tealight::prelude::*;
/// # let p = Parameter::new(Tensor::new(1.0, &Device::Cpu)?);
/// let mut optimizer = Adagrad::new(vec![("p".into(), p.clone())], 0.25)?;
/// for _ in 0..2 {
///     optimizer.step(&(p.get() * 3.0)?.backward()?)?;
/// }
/// assert!((p.get().to_scalar::<f64>()? - (0.75 - 0.25 / 2_f64.sqrt())).abs() < 1e-9);
/// # Ok::<(), tealight::Error>(())
/// ```
pub type Adagrad = FirstOrder<AdagradRule, 1>;

/// The hyperparameters of [`Adagrad`].
#[derive(Clone, Debug)]
pub struct AdagradRule {
    lr_decay: f64,
    weight_decay: f64,
    initial_accumulator_value: f64,
    eps: f64,
}

impl Default for AdagradRule {
    fn default() -> Self {
        AdagradRule { lr_decay: 0.0, weight_decay: 0.0, initial_accumulator_value: 0.0, eps: 1e-10 }
    }
}

impl Adagrad {
    setters! { "Adagrad",
        /// κ: the learning rate is divided by 1 + κ·(n − 1) in step n. Default: 0.
        ///
        /// # Errors
        /// Errors if it is negative or not finite.
        lr_decay: not_negative, "a learning rate decay";

        /// The weight decay λ, an L2 penalty: λ·p is added to the gradient. Default: 0.
        ///
        /// # Errors
        /// Errors if it is negative or not finite.
        weight_decay: not_negative, "a weight decay";

        /// The initial value of the sum s. Default: 0.
        ///
        /// # Errors
        /// Errors if it is negative or not finite.
        initial_accumulator_value: not_negative, "an initial accumulator value";

        /// ε, added to the root. Default: 1e-10.
        ///
        /// # Errors
        /// Errors if it is not positive and finite.
        eps: positive, "an eps";
    }
}

impl UpdateRule<1> for AdagradRule {
    const NAME: &'static str = "Adagrad";

    fn state_names(&self) -> [Option<&'static str>; 1] {
        [Some("sum")]
    }

    fn initial_state(&self) -> f64 {
        self.initial_accumulator_value
    }

    fn formula<T: Real + Send + Sync>(&self, at: StepInfo) -> impl UpdateFn<T, 1> {
        let rate = at.learning_rate / (1.0 + at.step.saturating_sub(1) as f64 * self.lr_decay);
        let rate = T::constant(rate);
        let (eps, decay) = (T::constant(self.eps), T::constant(self.weight_decay));
        update_fn(
            #[inline(always)]
            move |p, g, [sum]| {
                let g = g + decay * p;
                let sum = sum + g * g;
                (p - rate * (g / (sum.sqrt() + eps)), [sum])
            },
        )
    }
}

/// Adadelta: steps are as long as the average of its earlier steps, as PyTorch's `Adadelta`, whose learning rate is 1.
///
/// # Formula
/// g ← g + λ·p; v ← ρ·v + (1 − ρ)·g²; d = g·√(u + ε) / √(v + ε); u ← ρ·u + (1 − ρ)·d²; p ← p − η·d
///
/// # Source
/// M. Zeiler 2012.
///
/// ```
/// # use tealight::optim::Adadelta;
/// # use tealight::prelude::*;
/// # let p = Parameter::new(Tensor::new(1.0, &Device::Cpu)?);
/// let mut optimizer = Adadelta::new(vec![("p".into(), p.clone())], 1.0)?.rho(0.75)?;
/// optimizer.step(&(p.get() * 2.0)?.backward()?)?;
/// assert!((p.get().to_scalar::<f64>()? - 0.998).abs() < 1e-8); // 1 − √ε · 2 / √(0.25 · 2²)
/// # Ok::<(), tealight::Error>(())
/// ```
pub type Adadelta = FirstOrder<AdadeltaRule, 2>;

/// The hyperparameters of [`Adadelta`].
#[derive(Clone, Debug)]
pub struct AdadeltaRule {
    rho: f64,
    eps: f64,
    weight_decay: f64,
}

impl Default for AdadeltaRule {
    fn default() -> Self {
        AdadeltaRule { rho: 0.9, eps: 1e-6, weight_decay: 0.0 }
    }
}

impl Adadelta {
    setters! { "Adadelta",
        /// The decay rate ρ of the averages. Default: 0.9.
        ///
        /// # Errors
        /// Errors if it is outside [0, 1).
        rho: fraction, "a rho";

        /// ε, added under the roots: the first step has the length η·√(ε / (1 − ρ)). Default: 1e-6.
        ///
        /// # Errors
        /// Errors if it is not positive and finite.
        eps: positive, "an eps";

        /// The weight decay λ, an L2 penalty: λ·p is added to the gradient. Default: 0.
        ///
        /// # Errors
        /// Errors if it is negative or not finite.
        weight_decay: not_negative, "a weight decay";
    }
}

impl UpdateRule<2> for AdadeltaRule {
    const NAME: &'static str = "Adadelta";

    fn state_names(&self) -> [Option<&'static str>; 2] {
        [Some("square_avg"), Some("acc_delta")]
    }

    fn formula<T: Real + Send + Sync>(&self, at: StepInfo) -> impl UpdateFn<T, 2> {
        let (rho, new) = (T::constant(self.rho), T::constant(1.0 - self.rho));
        let (eps, decay) = (T::constant(self.eps), T::constant(self.weight_decay));
        let rate = T::constant(at.learning_rate);
        update_fn(
            #[inline(always)]
            move |p, g, [v, u]| {
                let g = g + decay * p;
                let v = rho * v + new * (g * g);
                let step = (u + eps).sqrt() / (v + eps).sqrt() * g;
                (p - rate * step, [v, rho * u + new * (step * step)])
            },
        )
    }
}
