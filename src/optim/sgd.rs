//! Gradient descent.
//!
//! # Formula
//! g ← g + λ·p; v ← μ·v + (1 − δ)·g (v ← g at first); p ← p − η·v, or with Nesterov's look ahead p ← p − η·(g + μ·v);
//! learning rate η, momentum μ, dampening δ and weight decay λ, all 0 unless one asks for them
//!
//! # Errors
//! A setting outside its range.
//!
//! # Source
//! H. Robbins and S. Monro 1951; momentum as in PyTorch.

use super::rule::{StepInfo, Update, UpdateRule, each};
use super::{FirstOrder, fraction, not_negative};
use crate::error::{Error, Result};
use crate::formula::Real;

/// Gradient descent: p ← p − η·g.
///
/// # Formula
/// g ← g + λ·p; v ← μ·v + (1 − δ)·g (v ← g at first); p ← p − η·v, or with Nesterov's look ahead p ← p − η·(g + μ·v);
/// learning rate η, [momentum](Sgd::momentum) μ, [dampening](Sgd::dampening) δ and [weight decay](Sgd::weight_decay) λ
///
/// ```
/// use tealight::prelude::*;
/// let model = Linear::new(1, 1, &mut Rng::seed(1))?;
/// let mut optimizer = Sgd::new(model.parameters(), 0.2)?;
/// let x = Tensor::new(&[[1.0_f32], [2.0]], &Device::Cpu)?;
/// let target = Tensor::new(&[[5.0_f32], [8.0]], &Device::Cpu)?; // 3x + 2
/// for _ in 0..400 {
///     let loss = Mse.loss(&model.forward(&x, &mut ForwardContext::eval())?, &target)?;
///     optimizer.step(&loss.backward()?)?;
/// }
/// assert!((model.weight.get().to_scalar::<f32>()? - 3.0).abs() < 1e-2);
/// # Ok::<(), tealight::Error>(())
/// ```
pub type Sgd = FirstOrder<SgdRule, 1>;

/// The settings of [`Sgd`].
///
/// ```
/// use tealight::optim::SgdRule;
/// let defaults = format!("{:?}", SgdRule::default());
/// assert_eq!(defaults, "SgdRule { momentum: 0.0, dampening: 0.0, nesterov: false, weight_decay: 0.0 }");
/// # Ok::<(), tealight::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct SgdRule {
    momentum: f64,
    dampening: f64,
    nesterov: bool,
    weight_decay: f64,
}

impl Sgd {
    /// A momentum from 0 to below 1: earlier gradients keep pushing.
    ///
    /// # Errors
    /// A momentum outside [0, 1).
    ///
    /// ```
    /// use tealight::prelude::*;
    /// let p = Parameter::new(Tensor::new(1.0, &Device::Cpu)?);
    /// let mut optimizer = Sgd::new(vec![("p".into(), p.clone())], 0.25)?.momentum(0.5)?;
    /// for _ in 0..2 {
    ///     optimizer.step(&(p.get() * 1.0)?.backward()?)?;
    /// }
    /// assert_eq!(p.get().to_scalar::<f64>()?, 0.375); // pushes of 1 and 1.5
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn momentum(mut self, momentum: f64) -> Result<Self> {
        self.own.rule.momentum = fraction("Sgd", "a momentum", momentum)?;
        self.checked()
    }

    /// The same as [`momentum`](Sgd::momentum).
    ///
    /// # Errors
    /// A momentum outside [0, 1).
    ///
    /// ```
    /// use tealight::prelude::*;
    /// let model = Linear::new(3, 2, &mut Rng::seed(1))?;
    /// let error = Sgd::new(model.parameters(), 0.1)?.with_momentum(1.0).unwrap_err();
    /// assert_eq!(error.to_string(), "Sgd: expected a momentum from 0 to below 1, got 1");
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn with_momentum(self, momentum: f64) -> Result<Self> {
        self.momentum(momentum)
    }

    /// How much of a new gradient the momentum leaves out.
    ///
    /// # Errors
    /// A dampening outside [0, 1); one beside Nesterov's momentum.
    ///
    /// ```
    /// use tealight::prelude::*;
    /// let p = Parameter::new(Tensor::new(1.0, &Device::Cpu)?);
    /// let mut optimizer = Sgd::new(vec![("p".into(), p.clone())], 0.25)?.momentum(0.5)?.dampening(0.5)?;
    /// for _ in 0..2 {
    ///     optimizer.step(&(p.get() * 1.0)?.backward()?)?;
    /// }
    /// assert_eq!(p.get().to_scalar::<f64>()?, 0.5); // pushes of 1 and 0.5 · 1 + 0.5 · 1
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn dampening(mut self, dampening: f64) -> Result<Self> {
        self.own.rule.dampening = fraction("Sgd", "a dampening", dampening)?;
        self.checked()
    }

    /// Nesterov's momentum, which looks one push ahead.
    ///
    /// # Errors
    /// No momentum yet, or a dampening.
    ///
    /// ```
    /// use tealight::prelude::*;
    /// let p = Parameter::new(Tensor::new(1.0, &Device::Cpu)?);
    /// let mut optimizer = Sgd::new(vec![("p".into(), p.clone())], 0.25)?.momentum(0.5)?.nesterov()?;
    /// optimizer.step(&(p.get() * 1.0)?.backward()?)?;
    /// assert_eq!(p.get().to_scalar::<f64>()?, 0.625); // 1 − 0.25 · (1 + 0.5 · 1)
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn nesterov(mut self) -> Result<Self> {
        self.own.rule.nesterov = true;
        self.checked()
    }

    /// λ·p is added to the gradient: long weights shrink.
    ///
    /// # Errors
    /// A decay that is negative or not finite.
    ///
    /// ```
    /// use tealight::prelude::*;
    /// let p = Parameter::new(Tensor::new(4.0, &Device::Cpu)?);
    /// let mut optimizer = Sgd::new(vec![("p".into(), p.clone())], 0.5)?.weight_decay(0.5)?;
    /// optimizer.step(&(p.get() * 1.0)?.backward()?)?;
    /// assert_eq!(p.get().to_scalar::<f64>()?, 2.5); // 4 − 0.5 · (1 + 0.5 · 4)
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn weight_decay(mut self, decay: f64) -> Result<Self> {
        self.own.rule.weight_decay = not_negative("Sgd", "a weight decay", decay)?;
        Ok(self)
    }

    fn checked(self) -> Result<Self> {
        let SgdRule { momentum, dampening, nesterov, .. } = self.own.rule;
        if nesterov && (momentum == 0.0 || dampening > 0.0) {
            let got = format!("a momentum of {momentum} and a dampening of {dampening}");
            return Err(Error::argument("Sgd", "a momentum and no dampening beside nesterov", got));
        }
        Ok(self)
    }
}

impl UpdateRule<1> for SgdRule {
    const NAME: &'static str = "Sgd";

    fn memory(&self) -> [Option<&'static str>; 1] {
        [(self.momentum > 0.0).then_some("momentum_buffer")]
    }

    fn formula<T: Real + Send + Sync>(&self, at: StepInfo) -> impl Update<T, 1> {
        // The first push is the gradient itself.
        let (keep, add) = if at.step > 1 { (self.momentum, 1.0 - self.dampening) } else { (0.0, 1.0) };
        let (keep, add) = (T::constant(keep), T::constant(add));
        let ahead = self.nesterov.then_some(T::constant(self.momentum));
        let (rate, decay) = (T::constant(at.rate), T::constant(self.weight_decay));
        each(
            #[inline(always)]
            move |p, g, [v]| {
                let g = g + decay * p;
                let v = keep * v + add * g;
                let push = match ahead {
                    Some(momentum) => g + momentum * v,
                    None => v,
                };
                (p - rate * push, [v])
            },
        )
    }
}
