//! RMSProp.
//!
//! # Formula
//! g ← g + λ·p; v ← α·v + (1 − α)·g²; d = √v + ε, or centred √(v − a²) + ε with a ← α·a + (1 − α)·g; p ← p − η·g / d, or
//! with momentum u ← μ·u + g / d and p ← p − η·u
//!
//! # Errors
//! A setting outside its range.
//!
//! # Source
//! T. Tieleman and G. Hinton 2012; centred: A. Graves 2013; details and defaults as in PyTorch.

use super::rule::{StepInfo, Update, UpdateRule, each};
use super::{FirstOrder, fraction, not_negative, positive};
use crate::error::Result;
use crate::formula::Real;

/// Descent by the gradient divided by its average size. PyTorch's learning rate is 1e-2.
///
/// # Formula
/// g ← g + λ·p; v ← α·v + (1 − α)·g²; d = √v + ε, or centred √(v − a²) + ε with a ← α·a + (1 − α)·g; p ← p − η·g / d,
/// or with momentum u ← μ·u + g / d and p ← p − η·u
///
/// ```
/// use tealight::optim::RmsProp;
/// use tealight::prelude::*;
/// let p = Parameter::new(Tensor::new(1.0, &Device::Cpu)?);
/// let mut optimizer = RmsProp::new(vec![("p".into(), p.clone())], 0.05)?;
/// optimizer.step(&(p.get() * 3.0)?.backward()?)?;
/// // The average begins with a hundredth of 3², so the first step is ten times as long as the rate.
/// assert!((p.get().to_scalar::<f64>()? - 0.5).abs() < 1e-6);
/// # Ok::<(), tealight::Error>(())
/// ```
#[doc(alias = "RMSprop")]
pub type RmsProp = FirstOrder<RmsPropRule, 3>;

/// The settings of [`RmsProp`].
///
/// ```
/// use tealight::optim::RmsPropRule;
/// let defaults = format!("{:?}", RmsPropRule::default());
/// assert!(defaults.starts_with("RmsPropRule { alpha: 0.99, eps: 1e-8, weight_decay: 0.0, momentum: 0.0"));
/// # Ok::<(), tealight::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct RmsPropRule {
    alpha: f64,
    eps: f64,
    weight_decay: f64,
    momentum: f64,
    centered: bool,
}

impl Default for RmsPropRule {
    fn default() -> Self {
        RmsPropRule { alpha: 0.99, eps: 1e-8, weight_decay: 0.0, momentum: 0.0, centered: false }
    }
}

impl RmsProp {
    /// How much of the averages stays in a step, 0.99 if nothing is said.
    ///
    /// # Errors
    /// One outside [0, 1).
    ///
    /// ```
    /// use tealight::optim::RmsProp;
    /// use tealight::prelude::*;
    /// let p = Parameter::new(Tensor::new(1.0, &Device::Cpu)?);
    /// let mut optimizer = RmsProp::new(vec![("p".into(), p.clone())], 0.25)?.alpha(0.75)?;
    /// optimizer.step(&(p.get() * 3.0)?.backward()?)?;
    /// assert!((p.get().to_scalar::<f64>()? - 0.5).abs() < 1e-8); // 1 − 0.25 · 3 / √(0.25 · 3²)
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn alpha(mut self, alpha: f64) -> Result<Self> {
        self.own.rule.alpha = fraction("RmsProp", "an alpha", alpha)?;
        Ok(self)
    }

    /// What is added to the root, 1e-8 if nothing is said.
    ///
    /// # Errors
    /// One that is not positive.
    ///
    /// ```
    /// use tealight::optim::RmsProp;
    /// use tealight::prelude::*;
    /// let p = Parameter::new(Tensor::new(1.0, &Device::Cpu)?);
    /// let mut optimizer = RmsProp::new(vec![("p".into(), p.clone())], 0.5)?.alpha(0.0)?.eps(2.0)?;
    /// optimizer.step(&(p.get() * 2.0)?.backward()?)?;
    /// assert_eq!(p.get().to_scalar::<f64>()?, 0.75); // 1 − 0.5 · 2 / (2 + 2)
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn eps(mut self, eps: f64) -> Result<Self> {
        self.own.rule.eps = positive("RmsProp", "an eps", eps)?;
        Ok(self)
    }

    /// λ·p is added to the gradient: long weights shrink.
    ///
    /// # Errors
    /// A decay that is negative or not finite.
    ///
    /// ```
    /// use tealight::optim::RmsProp;
    /// use tealight::prelude::*;
    /// let p = Parameter::new(Tensor::new(4.0, &Device::Cpu)?);
    /// let mut optimizer = RmsProp::new(vec![("p".into(), p.clone())], 0.5)?.alpha(0.0)?.weight_decay(0.5)?;
    /// optimizer.step(&(p.get() * -1.0)?.backward()?)?;
    /// assert!((p.get().to_scalar::<f64>()? - 3.5).abs() < 1e-8); // down, since 0.5 · 4 outweighs −1
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn weight_decay(mut self, decay: f64) -> Result<Self> {
        self.own.rule.weight_decay = not_negative("RmsProp", "a weight decay", decay)?;
        Ok(self)
    }

    /// A momentum from 0 to below 1: earlier steps keep pushing.
    ///
    /// # Errors
    /// A momentum outside [0, 1).
    ///
    /// ```
    /// use tealight::optim::RmsProp;
    /// use tealight::prelude::*;
    /// let p = Parameter::new(Tensor::new(1.0, &Device::Cpu)?);
    /// let mut optimizer = RmsProp::new(vec![("p".into(), p.clone())], 0.25)?.alpha(0.0)?.momentum(0.5)?;
    /// for _ in 0..2 {
    ///     optimizer.step(&(p.get() * 2.0)?.backward()?)?;
    /// }
    /// assert!((p.get().to_scalar::<f64>()? - 0.375).abs() < 1e-8); // pushes of 1 and 1.5
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn momentum(mut self, momentum: f64) -> Result<Self> {
        self.own.rule.momentum = fraction("RmsProp", "a momentum", momentum)?;
        Ok(self)
    }

    /// Gradients are divided by their deviation from their average, not by their size.
    ///
    /// ```
    /// use tealight::optim::RmsProp;
    /// use tealight::prelude::*;
    /// let p = Parameter::new(Tensor::new(1.0, &Device::Cpu)?);
    /// let mut optimizer = RmsProp::new(vec![("p".into(), p.clone())], 0.25)?.alpha(0.5)?.centered();
    /// optimizer.step(&(p.get() * 2.0)?.backward()?)?;
    /// assert!((p.get().to_scalar::<f64>()? - 0.5).abs() < 1e-8); // 1 − 0.25 · 2 / √(2 − 1²)
    /// # Ok::<(), tealight::Error>(())
    /// ```
    #[must_use]
    pub fn centered(mut self) -> Self {
        self.own.rule.centered = true;
        self
    }
}

impl UpdateRule<3> for RmsPropRule {
    const NAME: &'static str = "RmsProp";

    fn memory(&self) -> [Option<&'static str>; 3] {
        let push = (self.momentum > 0.0).then_some("momentum_buffer");
        [Some("square_avg"), push, self.centered.then_some("grad_avg")]
    }

    fn formula<T: Real + Send + Sync>(&self, at: StepInfo) -> impl Update<T, 3> {
        let (alpha, new) = (T::constant(self.alpha), T::constant(1.0 - self.alpha));
        let (eps, decay) = (T::constant(self.eps), T::constant(self.weight_decay));
        let (rate, momentum) = (T::constant(at.rate), T::constant(self.momentum));
        let (centered, zero) = (self.centered, T::constant(0.0));
        each(
            #[inline(always)]
            move |p, g, [v, push, mean]| {
                let g = g + decay * p;
                let v = alpha * v + new * (g * g);
                let mean = mean + new * (g - mean);
                // Never below 0 but for rounding, of which the root would be NaN.
                let square = if centered { (v - mean * mean).max(zero) } else { v };
                let push = momentum * push + g / (square.sqrt() + eps);
                (p - rate * push, [v, push, mean])
            },
        )
    }
}
