//! NAdam: Adam with Nesterov's momentum.
//!
//! # Formula
//! m and v as in Adam; μₙ = β₁·(1 − 0.96^(nψ) / 2), πₙ = Π μᵢ;
//! p ← p − η·((1 − μₙ)·g / (1 − πₙ) + μₙ₊₁·m / (1 − πₙ·μₙ₊₁)) / (√v̂ + ε)
//!
//! # Errors
//! A setting outside its range.
//!
//! # Source
//! T. Dozat 2016; details and defaults as in PyTorch.

use super::rule::{StepInfo, Update, UpdateRule, correction, each};
use super::{FirstOrder, fraction, not_negative, positive};
use crate::error::Result;
use crate::formula::Real;

/// Adam that looks one push of its momentum ahead. PyTorch's learning rate is 2e-3.
///
/// # Formula
/// m, v and v̂ as in [`Adam`](super::Adam); μₙ = β₁·(1 − 0.96^(nψ) / 2), πₙ = Π μᵢ;
/// p ← p − η·((1 − μₙ)·g / (1 − πₙ) + μₙ₊₁·m / (1 − πₙ·μₙ₊₁)) / (√v̂ + ε)
///
/// ```
/// use tealight::optim::NAdam;
/// use tealight::prelude::*;
/// let p = Parameter::new(Tensor::new(1.0, &Device::Cpu)?);
/// let mut optimizer = NAdam::new(vec![("p".into(), p.clone())], 0.5)?;
/// optimizer.step(&(p.get() * 3.0)?.backward()?)?;
/// // Adam's first step is as long as the rate; this one goes farther.
/// assert!((0.4..0.5).contains(&p.get().to_scalar::<f64>()?));
/// # Ok::<(), tealight::Error>(())
/// ```
pub type NAdam = FirstOrder<NAdamRule, 2>;

/// The settings of [`NAdam`].
///
/// ```
/// use tealight::optim::NAdamRule;
/// let defaults = format!("{:?}", NAdamRule::default());
/// assert!(defaults.starts_with("NAdamRule { beta1: 0.9, beta2: 0.999, eps: 1e-8, weight_decay: 0.0"));
/// assert!(defaults.ends_with("momentum_decay: 0.004 }"));
/// # Ok::<(), tealight::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct NAdamRule {
    beta1: f64,
    beta2: f64,
    eps: f64,
    weight_decay: f64,
    decoupled: bool,
    momentum_decay: f64,
}

impl Default for NAdamRule {
    fn default() -> Self {
        let (beta1, beta2, eps) = (0.9, 0.999, 1e-8);
        NAdamRule { beta1, beta2, eps, weight_decay: 0.0, decoupled: false, momentum_decay: 4e-3 }
    }
}

impl NAdamRule {
    /// μ of a step.
    fn push(&self, step: u64) -> f64 {
        self.beta1 * (1.0 - 0.5 * Real::powf(0.96_f64, step as f64 * self.momentum_decay))
    }
}

impl NAdam {
    /// How much of the averages of the gradient and of its square stays in a step; 0.9 and 0.999 if nothing is said.
    ///
    /// # Errors
    /// One outside [0, 1).
    ///
    /// ```
    /// use tealight::optim::NAdam;
    /// use tealight::prelude::*;
    /// let p = Parameter::new(Tensor::new(1.0, &Device::Cpu)?);
    /// let mut optimizer = NAdam::new(vec![("p".into(), p.clone())], 0.5)?.betas(0.0, 0.0)?;
    /// // Without a memory every step is as long as the rate.
    /// for slope in [200.0, -1.0] {
    ///     optimizer.step(&(p.get() * slope)?.backward()?)?;
    /// }
    /// assert!((p.get().to_scalar::<f64>()? - 1.0).abs() < 1e-8);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn betas(mut self, beta1: f64, beta2: f64) -> Result<Self> {
        self.own.rule.beta1 = fraction("NAdam", "a beta", beta1)?;
        self.own.rule.beta2 = fraction("NAdam", "a beta", beta2)?;
        Ok(self)
    }

    /// What is added to the root, 1e-8 if nothing is said.
    ///
    /// # Errors
    /// One that is not positive.
    ///
    /// ```
    /// use tealight::optim::NAdam;
    /// use tealight::prelude::*;
    /// let p = Parameter::new(Tensor::new(1.0, &Device::Cpu)?);
    /// let mut optimizer = NAdam::new(vec![("p".into(), p.clone())], 0.5)?.betas(0.0, 0.0)?.eps(2.0)?;
    /// optimizer.step(&(p.get() * 2.0)?.backward()?)?;
    /// assert_eq!(p.get().to_scalar::<f64>()?, 0.75); // 1 − 0.5 · 2 / (2 + 2)
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn eps(mut self, eps: f64) -> Result<Self> {
        self.own.rule.eps = positive("NAdam", "an eps", eps)?;
        Ok(self)
    }

    /// λ·p is added to the gradient: long weights shrink.
    ///
    /// # Errors
    /// A decay that is negative or not finite.
    ///
    /// ```
    /// use tealight::optim::NAdam;
    /// use tealight::prelude::*;
    /// let p = Parameter::new(Tensor::new(4.0, &Device::Cpu)?);
    /// let mut optimizer = NAdam::new(vec![("p".into(), p.clone())], 0.5)?.betas(0.0, 0.0)?.weight_decay(0.5)?;
    /// optimizer.step(&(p.get() * -1.0)?.backward()?)?;
    /// assert!((p.get().to_scalar::<f64>()? - 3.5).abs() < 1e-8); // down, since 0.5 · 4 outweighs −1
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn weight_decay(mut self, decay: f64) -> Result<Self> {
        self.own.rule.weight_decay = not_negative("NAdam", "a weight decay", decay)?;
        self.own.rule.decoupled = false;
        Ok(self)
    }

    /// p ← (1 − η·λ)·p before each step, as in AdamW.
    ///
    /// # Errors
    /// A decay that is negative or not finite.
    ///
    /// ```
    /// use tealight::optim::NAdam;
    /// use tealight::prelude::*;
    /// let p = Parameter::new(Tensor::new(4.0, &Device::Cpu)?);
    /// let mut optimizer = NAdam::new(vec![("p".into(), p.clone())], 0.5)?.betas(0.0, 0.0)?.decoupled_weight_decay(0.5)?;
    /// optimizer.step(&(p.get() * -1.0)?.backward()?)?;
    /// assert!((p.get().to_scalar::<f64>()? - 3.5).abs() < 1e-8); // (1 − 0.5 · 0.5) · 4 + 0.5
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn decoupled_weight_decay(mut self, decay: f64) -> Result<Self> {
        self = self.weight_decay(decay)?;
        self.own.rule.decoupled = true;
        Ok(self)
    }

    /// ψ: how soon the momentum has its full strength; 4e-3 if nothing is said.
    ///
    /// # Errors
    /// One that is negative or not finite.
    ///
    /// ```
    /// use tealight::optim::NAdam;
    /// use tealight::prelude::*;
    /// let p = Parameter::new(Tensor::new(1.0, &Device::Cpu)?);
    /// let mut optimizer = NAdam::new(vec![("p".into(), p.clone())], 0.5)?.momentum_decay(1e3)?;
    /// optimizer.step(&(p.get() * 3.0)?.backward()?)?;
    /// // β₁ in full from the first step on; it would begin with half of it.
    /// assert_eq!(optimizer.state()?["p.mu_product"].to_scalar::<f64>()?, 0.9);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn momentum_decay(mut self, decay: f64) -> Result<Self> {
        self.own.rule.momentum_decay = not_negative("NAdam", "a momentum decay", decay)?;
        Ok(self)
    }
}

impl UpdateRule<2> for NAdamRule {
    const NAME: &'static str = "NAdam";
    const CARRIED: Option<&'static str> = Some("mu_product");

    fn memory(&self) -> [Option<&'static str>; 2] {
        [Some("exp_avg"), Some("exp_avg_sq")]
    }

    fn carry(&self, step: u64, carried: f64) -> f64 {
        carried * self.push(step)
    }

    fn formula<T: Real + Send + Sync>(&self, at: StepInfo) -> impl Update<T, 2> {
        let (now, next) = (self.push(at.step), self.push(at.step.saturating_add(1)));
        let by_grad = T::constant(at.rate * (1.0 - now) / (1.0 - at.carried));
        let by_average = T::constant(at.rate * next / (1.0 - at.carried * next));
        let (shrink, decay) = match self.decoupled {
            true => (1.0 - at.rate * self.weight_decay, 0.0),
            false => (1.0, self.weight_decay),
        };
        let (shrink, decay) = (T::constant(shrink), T::constant(decay));
        let (new1, new2) = (T::constant(1.0 - self.beta1), T::constant(1.0 - self.beta2));
        let (beta2, eps) = (T::constant(self.beta2), T::constant(self.eps));
        let correction = T::constant(correction(self.beta2, at.step));
        each(
            #[inline(always)]
            move |p, g, [m, v]| {
                let g = g + decay * p;
                let m = m + new1 * (g - m);
                let v = beta2 * v + new2 * (g * g);
                let scale = (v / correction).sqrt() + eps;
                (shrink * p - by_grad * (g / scale) - by_average * (m / scale), [m, v])
            },
        )
    }
}
