//! Adam, and AdamW, whose weight decay is a step of its own.
//!
//! # Formula
//! m ← β₁·m + (1 − β₁)·g, v ← β₂·v + (1 − β₂)·g², p ← p − η·m̂ / (√v̂ + ε) with m̂ = m / (1 − β₁ⁿ) and
//! v̂ = v / (1 − β₂ⁿ) in step n; AMSGrad takes the largest v so far. Adam adds λ·p to g; AdamW makes p ← (1 − η·λ)·p first.
//!
//! # Errors
//! A setting outside its range.
//!
//! # Source
//! D. Kingma and J. Ba 2014; S. Reddi, S. Kale and S. Kumar 2018; I. Loshchilov and F. Hutter 2017; details and defaults
//! as in PyTorch.

use super::rule::{StepInfo, Update, UpdateRule, correction, each};
use super::{FirstOrder, fraction, not_negative, positive};
use crate::error::Result;
use crate::formula::Real;

/// Adam: steps as long as the gradient is steady.
///
/// # Formula
/// m ← β₁·m + (1 − β₁)·g, v ← β₂·v + (1 − β₂)·g², p ← p − η·m̂ / (√v̂ + ε) with m̂ = m / (1 − β₁ⁿ) and
/// v̂ = v / (1 − β₂ⁿ) in step n; a [weight decay](Adam::weight_decay) λ adds λ·p to g first
///
/// ```
/// use tealight::optim::Adam;
/// use tealight::prelude::*;
/// let model = Linear::new(1, 1, &mut Rng::seed(1))?;
/// let mut optimizer = Adam::new(model.parameters(), 0.1)?.betas(0.9, 0.99)?;
/// let x = Tensor::new(&[[1.0_f32], [2.0]], &Device::Cpu)?;
/// let target = Tensor::new(&[[5.0_f32], [8.0]], &Device::Cpu)?; // 3x + 2
/// for _ in 0..400 {
///     let loss = Mse.loss(&model.forward(&x, &mut ForwardContext::eval())?, &target)?;
///     optimizer.step(&loss.backward()?)?;
/// }
/// assert!((model.weight.get().to_scalar::<f32>()? - 3.0).abs() < 1e-2);
/// # Ok::<(), tealight::Error>(())
/// ```
pub type Adam = FirstOrder<AdamRule<false>, 3>;

/// Adam with a weight decay (of 0.01 unless one says otherwise) that does not go through the gradient.
///
/// # Formula
/// p ← (1 − η·λ)·p, then as [`Adam`] without λ
///
/// ```
/// use tealight::prelude::*;
/// let p = Parameter::new(Tensor::new(1.0, &Device::Cpu)?);
/// let mut optimizer = AdamW::new(vec![("p".into(), p.clone())], 0.1)?;
/// optimizer.step(&(p.get() * 2.0)?.backward()?)?;
/// assert!((p.get().to_scalar::<f64>()? - 0.899).abs() < 1e-8); // (1 − 0.1 · 0.01) · 1 − 0.1
/// # Ok::<(), tealight::Error>(())
/// ```
pub type AdamW = FirstOrder<AdamRule<true>, 3>;

/// The settings of [`Adam`] and, decoupled, of [`AdamW`].
///
/// ```
/// use tealight::optim::AdamRule;
/// let defaults = format!("{:?}", AdamRule::<false>::default());
/// assert_eq!(defaults, "AdamRule { beta1: 0.9, beta2: 0.999, eps: 1e-8, weight_decay: 0.0, amsgrad: false }");
/// assert!(format!("{:?}", AdamRule::<true>::default()).contains("weight_decay: 0.01"));
/// # Ok::<(), tealight::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct AdamRule<const DECOUPLED: bool> {
    beta1: f64,
    beta2: f64,
    eps: f64,
    weight_decay: f64,
    amsgrad: bool,
}

impl<const DECOUPLED: bool> Default for AdamRule<DECOUPLED> {
    fn default() -> Self {
        let weight_decay = if DECOUPLED { 0.01 } else { 0.0 };
        AdamRule { beta1: 0.9, beta2: 0.999, eps: 1e-8, weight_decay, amsgrad: false }
    }
}

impl<const DECOUPLED: bool> FirstOrder<AdamRule<DECOUPLED>, 3> {
    const OP: &'static str = <AdamRule<DECOUPLED> as UpdateRule<3>>::NAME;

    /// How much of the averages of the gradient and of its square stays in a step; 0.9 and 0.999 if nothing is said.
    ///
    /// # Errors
    /// One outside [0, 1).
    ///
    /// ```
    /// use tealight::prelude::*;
    /// let p = Parameter::new(Tensor::new(1.0, &Device::Cpu)?);
    /// let mut optimizer = Adam::new(vec![("p".into(), p.clone())], 0.5)?.betas(0.0, 0.0)?;
    /// // Without a memory every step is as long as the rate.
    /// for slope in [200.0, -1.0] {
    ///     optimizer.step(&(p.get() * slope)?.backward()?)?;
    /// }
    /// assert!((p.get().to_scalar::<f64>()? - 1.0).abs() < 1e-8);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn betas(mut self, beta1: f64, beta2: f64) -> Result<Self> {
        self.own.rule.beta1 = fraction(Self::OP, "a beta", beta1)?;
        self.own.rule.beta2 = fraction(Self::OP, "a beta", beta2)?;
        Ok(self)
    }

    /// What is added to the root, 1e-8 if nothing is said.
    ///
    /// # Errors
    /// One that is not positive.
    ///
    /// ```
    /// use tealight::prelude::*;
    /// let p = Parameter::new(Tensor::new(1.0, &Device::Cpu)?);
    /// let mut optimizer = Adam::new(vec![("p".into(), p.clone())], 0.5)?.eps(2.0)?;
    /// optimizer.step(&(p.get() * 2.0)?.backward()?)?;
    /// assert!((p.get().to_scalar::<f64>()? - 0.75).abs() < 1e-12); // 1 − 0.5 · 2 / (2 + 2)
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn eps(mut self, eps: f64) -> Result<Self> {
        self.own.rule.eps = positive(Self::OP, "an eps", eps)?;
        Ok(self)
    }

    /// How much long weights shrink: Adam adds λ·p to the gradient, AdamW makes p ← (1 − η·λ)·p before each step.
    ///
    /// # Errors
    /// A decay that is negative or not finite.
    ///
    /// ```
    /// use tealight::prelude::*;
    /// let p = Parameter::new(Tensor::new(4.0, &Device::Cpu)?);
    /// let mut optimizer = AdamW::new(vec![("p".into(), p.clone())], 0.5)?.weight_decay(0.5)?;
    /// optimizer.step(&(p.get() * -1.0)?.backward()?)?;
    /// assert!((p.get().to_scalar::<f64>()? - 3.5).abs() < 1e-8); // (1 − 0.5 · 0.5) · 4 + 0.5
    /// let mut optimizer = Adam::new(vec![("p".into(), p.clone())], 0.5)?.weight_decay(0.5)?;
    /// optimizer.step(&(p.get() * -1.0)?.backward()?)?;
    /// assert!((p.get().to_scalar::<f64>()? - 3.0).abs() < 1e-8); // down, since 0.5 · 3.5 outweighs −1
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn weight_decay(mut self, decay: f64) -> Result<Self> {
        self.own.rule.weight_decay = not_negative(Self::OP, "a weight decay", decay)?;
        Ok(self)
    }

    /// AMSGrad: the largest average of the squares so far counts, so a step does not grow when gradients become small.
    ///
    /// ```
    /// use tealight::prelude::*;
    /// let p = Parameter::new(Tensor::new(1.0, &Device::Cpu)?);
    /// let mut optimizer = Adam::new(vec![("p".into(), p.clone())], 0.5)?.amsgrad();
    /// optimizer.step(&(p.get() * 2.0)?.backward()?)?;
    /// assert!(optimizer.state()?.contains_key("p.max_exp_avg_sq"));
    /// # Ok::<(), tealight::Error>(())
    /// ```
    #[must_use]
    pub fn amsgrad(mut self) -> Self {
        self.own.rule.amsgrad = true;
        self
    }
}

impl<const DECOUPLED: bool> UpdateRule<3> for AdamRule<DECOUPLED> {
    const NAME: &'static str = if DECOUPLED { "AdamW" } else { "Adam" };

    fn memory(&self) -> [Option<&'static str>; 3] {
        [Some("exp_avg"), Some("exp_avg_sq"), self.amsgrad.then_some("max_exp_avg_sq")]
    }

    fn formula<T: Real + Send + Sync>(&self, at: StepInfo) -> impl Update<T, 3> {
        let (shrink, decay) =
            if DECOUPLED { (1.0 - at.rate * self.weight_decay, 0.0) } else { (1.0, self.weight_decay) };
        let (shrink, decay) = (T::constant(shrink), T::constant(decay));
        let (new1, new2) = (T::constant(1.0 - self.beta1), T::constant(1.0 - self.beta2));
        let (beta2, eps, amsgrad) = (T::constant(self.beta2), T::constant(self.eps), self.amsgrad);
        let rate = T::constant(at.rate / correction(self.beta1, at.step));
        let root = T::constant(correction(self.beta2, at.step).sqrt());
        each(
            #[inline(always)]
            move |p, g, [m, v, largest]| {
                let g = g + decay * p;
                let m = m + new1 * (g - m);
                let v = beta2 * v + new2 * (g * g);
                let largest = largest.max(v);
                let scale = if amsgrad { largest } else { v }.sqrt() / root + eps;
                (shrink * p - rate * (m / scale), [m, v, largest])
            },
        )
    }
}
