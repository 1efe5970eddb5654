//! Lion: the sign of a momentum.
//!
//! # Formula
//! p ← (1 − η·λ)·p − η·sign(β₁·m + (1 − β₁)·g), m ← β₂·m + (1 − β₂)·g
//!
//! # Kinks
//! sign 0 = 0
//!
//! # Errors
//! A setting outside its range.
//!
//! # Source
//! X. Chen and others, "Symbolic Discovery of Optimization Algorithms", 2023; the defaults are the paper's.

use super::rule::{StepInfo, Update, UpdateRule, each};
use super::{FirstOrder, fraction, not_negative};
use crate::error::Result;
use crate::formula::Real;

/// Steps of one length for every number. A good rate is a tenth of Adam's, with ten times its decay.
///
/// # Formula
/// p ← (1 − η·λ)·p − η·sign(β₁·m + (1 − β₁)·g), m ← β₂·m + (1 − β₂)·g
///
/// ```
/// use tealight::optim::Lion;
/// use tealight::prelude::*;
/// let p = Parameter::new(Tensor::new(1.0, &Device::Cpu)?);
/// let mut optimizer = Lion::new(vec![("p".into(), p.clone())], 0.25)?;
/// optimizer.step(&(p.get() * 300.0)?.backward()?)?;
/// assert_eq!(p.get().to_scalar::<f64>()?, 0.75);
/// # Ok::<(), tealight::Error>(())
/// ```
pub type Lion = FirstOrder<LionRule, 1>;

/// The settings of [`Lion`].
///
/// ```
/// use tealight::optim::LionRule;
/// let defaults = format!("{:?}", LionRule::default());
/// assert_eq!(defaults, "LionRule { beta1: 0.9, beta2: 0.99, weight_decay: 0.0 }");
/// # Ok::<(), tealight::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct LionRule {
    beta1: f64,
    beta2: f64,
    weight_decay: f64,
}

impl Default for LionRule {
    fn default() -> Self {
        LionRule { beta1: 0.9, beta2: 0.99, weight_decay: 0.0 }
    }
}

impl Lion {
    /// How much the momentum counts in a step, and how much of it stays; 0.9 and 0.99 if nothing is said.
    ///
    /// # Errors
    /// One outside [0, 1).
    ///
    /// ```
    /// use tealight::optim::Lion;
    /// use tealight::prelude::*;
    /// let p = Parameter::new(Tensor::new(1.0, &Device::Cpu)?);
    /// let mut optimizer = Lion::new(vec![("p".into(), p.clone())], 0.25)?.betas(0.0, 0.0)?;
    /// // Without a memory each gradient decides its own step, so the second step undoes the first.
    /// for slope in [100.0, -1.0] {
    ///     optimizer.step(&(p.get() * slope)?.backward()?)?;
    /// }
    /// assert_eq!(p.get().to_scalar::<f64>()?, 1.0);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn betas(mut self, beta1: f64, beta2: f64) -> Result<Self> {
        self.own.rule.beta1 = fraction("Lion", "a beta", beta1)?;
        self.own.rule.beta2 = fraction("Lion", "a beta", beta2)?;
        Ok(self)
    }

    /// How much long weights shrink, apart from the gradient: p ← (1 − η·λ)·p.
    ///
    /// # Errors
    /// A decay that is negative or not finite.
    ///
    /// ```
    /// use tealight::optim::Lion;
    /// use tealight::prelude::*;
    /// let p = Parameter::new(Tensor::new(4.0, &Device::Cpu)?);
    /// let mut optimizer = Lion::new(vec![("p".into(), p.clone())], 0.5)?.weight_decay(0.5)?;
    /// optimizer.step(&(p.get() * -1.0)?.backward()?)?;
    /// assert_eq!(p.get().to_scalar::<f64>()?, 3.5); // (1 − 0.5 · 0.5) · 4 + 0.5
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn weight_decay(mut self, decay: f64) -> Result<Self> {
        self.own.rule.weight_decay = not_negative("Lion", "a weight decay", decay)?;
        Ok(self)
    }
}

impl UpdateRule<1> for LionRule {
    const NAME: &'static str = "Lion";

    fn memory(&self) -> [Option<&'static str>; 1] {
        [Some("exp_avg")]
    }

    fn formula<T: Real + Send + Sync>(&self, at: StepInfo) -> impl Update<T, 1> {
        let (old1, new1) = (T::constant(self.beta1), T::constant(1.0 - self.beta1));
        let (old2, new2) = (T::constant(self.beta2), T::constant(1.0 - self.beta2));
        let (rate, shrink) = (T::constant(at.rate), T::constant(1.0 - at.rate * self.weight_decay));
        each(
            #[inline(always)]
            move |p, g, [m]| {
                let sign = (old1 * m + new1 * g).signum();
                (shrink * p - rate * sign, [old2 * m + new2 * g])
            },
        )
    }
}
