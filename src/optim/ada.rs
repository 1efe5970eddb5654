//! Adagrad and Adadelta: each number has its own step, by the gradients it has seen.
//!
//! # Formula
//! Adagrad: s ← s + g², p ← p − η / (1 + (n − 1)·κ) · g / (√s + ε) in step n.
//! Adadelta: v ← ρ·v + (1 − ρ)·g², d = g·√(u + ε) / √(v + ε), u ← ρ·u + (1 − ρ)·d², p ← p − η·d.
//! Both with g ← g + λ·p first.
//!
//! # Errors
//! A setting outside its range.
//!
//! # Source
//! J. Duchi, E. Hazan and Y. Singer 2011; M. Zeiler 2012; details and defaults as in PyTorch.

use super::rule::{StepInfo, Update, UpdateRule, each};
use super::{FirstOrder, fraction, not_negative, positive};
use crate::error::Result;
use crate::formula::Real;

/// Descent whose steps shrink with the sum of the squares of all gradients so far. PyTorch's learning rate is 1e-2.
///
/// # Formula
/// g ← g + λ·p; s ← s + g², p ← p − η / (1 + (n − 1)·κ) · g / (√s + ε) in step n
///
/// ```
/// use tealight::optim::Adagrad;
/// use tealight::prelude::*;
/// let p = Parameter::new(Tensor::new(1.0, &Device::Cpu)?);
/// let mut optimizer = Adagrad::new(vec![("p".into(), p.clone())], 0.25)?;
/// for _ in 0..2 {
///     optimizer.step(&(p.get() * 3.0)?.backward()?)?;
/// }
/// // The first step is as long as the rate, the second one by √2 shorter.
/// assert!((p.get().to_scalar::<f64>()? - (0.75 - 0.25 / 2_f64.sqrt())).abs() < 1e-9);
/// # Ok::<(), tealight::Error>(())
/// ```
pub type Adagrad = FirstOrder<AdagradRule, 1>;

/// The settings of [`Adagrad`].
///
/// ```
/// use tealight::optim::AdagradRule;
/// let defaults = format!("{:?}", AdagradRule::default());
/// assert_eq!(defaults, "AdagradRule { rate_decay: 0.0, weight_decay: 0.0, start: 0.0, eps: 1e-10 }");
/// # Ok::<(), tealight::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct AdagradRule {
    rate_decay: f64,
    weight_decay: f64,
    start: f64,
    eps: f64,
}

impl Default for AdagradRule {
    fn default() -> Self {
        AdagradRule { rate_decay: 0.0, weight_decay: 0.0, start: 0.0, eps: 1e-10 }
    }
}

impl Adagrad {
    /// κ: the learning rate is divided by 1 + κ·(n − 1) in step n.
    ///
    /// # Errors
    /// A decay that is negative or not finite.
    ///
    /// ```
    /// use tealight::optim::Adagrad;
    /// use tealight::prelude::*;
    /// let p = Parameter::new(Tensor::new(1.0, &Device::Cpu)?);
    /// let mut optimizer = Adagrad::new(vec![("p".into(), p.clone())], 0.5)?.rate_decay(1.0)?;
    /// for _ in 0..2 {
    ///     optimizer.step(&(p.get() * 3.0)?.backward()?)?;
    /// }
    /// // The second step has half the rate.
    /// assert!((p.get().to_scalar::<f64>()? - (0.5 - 0.25 / 2_f64.sqrt())).abs() < 1e-9);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    #[doc(alias = "lr_decay")]
    pub fn rate_decay(mut self, decay: f64) -> Result<Self> {
        self.own.rule.rate_decay = not_negative("Adagrad", "a rate decay", decay)?;
        Ok(self)
    }

    /// λ·p is added to the gradient: long weights shrink.
    ///
    /// # Errors
    /// A decay that is negative or not finite.
    ///
    /// ```
    /// use tealight::optim::Adagrad;
    /// use tealight::prelude::*;
    /// let p = Parameter::new(Tensor::new(4.0, &Device::Cpu)?);
    /// let mut optimizer = Adagrad::new(vec![("p".into(), p.clone())], 0.5)?.weight_decay(0.5)?;
    /// optimizer.step(&(p.get() * -1.0)?.backward()?)?;
    /// assert!((p.get().to_scalar::<f64>()? - 3.5).abs() < 1e-8); // down, since 0.5 · 4 outweighs −1
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn weight_decay(mut self, decay: f64) -> Result<Self> {
        self.own.rule.weight_decay = not_negative("Adagrad", "a weight decay", decay)?;
        Ok(self)
    }

    /// What the sum starts from, 0 if nothing is said.
    ///
    /// # Errors
    /// One that is negative or not finite.
    ///
    /// ```
    /// use tealight::optim::Adagrad;
    /// use tealight::prelude::*;
    /// let p = Parameter::new(Tensor::new(1.0, &Device::Cpu)?);
    /// let mut optimizer = Adagrad::new(vec![("p".into(), p.clone())], 0.5)?.initial_accumulator(16.0)?;
    /// optimizer.step(&(p.get() * 3.0)?.backward()?)?;
    /// assert!((p.get().to_scalar::<f64>()? - 0.7).abs() < 1e-9); // 1 − 0.5 · 3 / √(16 + 9)
    /// # Ok::<(), tealight::Error>(())
    /// ```
    #[doc(alias = "initial_accumulator_value")]
    pub fn initial_accumulator(mut self, start: f64) -> Result<Self> {
        self.own.rule.start = not_negative("Adagrad", "an initial accumulator", start)?;
        Ok(self)
    }

    /// What is added to the root, 1e-10 if nothing is said.
    ///
    /// # Errors
    /// One that is not positive.
    ///
    /// ```
    /// use tealight::optim::Adagrad;
    /// use tealight::prelude::*;
    /// let p = Parameter::new(Tensor::new(1.0, &Device::Cpu)?);
    /// let mut optimizer = Adagrad::new(vec![("p".into(), p.clone())], 0.5)?.eps(1.0)?;
    /// optimizer.step(&(p.get() * 3.0)?.backward()?)?;
    /// assert_eq!(p.get().to_scalar::<f64>()?, 0.625); // 1 − 0.5 · 3 / (3 + 1)
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn eps(mut self, eps: f64) -> Result<Self> {
        self.own.rule.eps = positive("Adagrad", "an eps", eps)?;
        Ok(self)
    }
}

impl UpdateRule<1> for AdagradRule {
    const NAME: &'static str = "Adagrad";

    fn memory(&self) -> [Option<&'static str>; 1] {
        [Some("sum")]
    }

    fn start(&self) -> f64 {
        self.start
    }

    fn formula<T: Real + Send + Sync>(&self, at: StepInfo) -> impl Update<T, 1> {
        let rate = T::constant(at.rate / (1.0 + at.step.saturating_sub(1) as f64 * self.rate_decay));
        let (eps, decay) = (T::constant(self.eps), T::constant(self.weight_decay));
        each(
            #[inline(always)]
            move |p, g, [sum]| {
                let g = g + decay * p;
                let sum = sum + g * g;
                (p - rate * (g / (sum.sqrt() + eps)), [sum])
            },
        )
    }
}

/// Descent whose steps are as long as its own earlier ones. PyTorch's learning rate is 1.
///
/// # Formula
/// g ← g + λ·p; v ← ρ·v + (1 − ρ)·g², d = g·√(u + ε) / √(v + ε), u ← ρ·u + (1 − ρ)·d², p ← p − η·d
///
/// ```
/// use tealight::optim::Adadelta;
/// use tealight::prelude::*;
/// let p = Parameter::new(Tensor::new(1.0, &Device::Cpu)?);
/// let mut optimizer = Adadelta::new(vec![("p".into(), p.clone())], 1.0)?;
/// optimizer.step(&(p.get() * 3.0)?.backward()?)?;
/// // √(ε / (1 − ρ)), whatever the gradient.
/// assert!((p.get().to_scalar::<f64>()? - (1.0 - 1e-5_f64.sqrt())).abs() < 1e-8);
/// # Ok::<(), tealight::Error>(())
/// ```
pub type Adadelta = FirstOrder<AdadeltaRule, 2>;

/// The settings of [`Adadelta`].
///
/// ```
/// use tealight::optim::AdadeltaRule;
/// let defaults = format!("{:?}", AdadeltaRule::default());
/// assert_eq!(defaults, "AdadeltaRule { rho: 0.9, eps: 1e-6, weight_decay: 0.0 }");
/// # Ok::<(), tealight::Error>(())
/// ```
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
    /// How much of the averages stays in a step, 0.9 if nothing is said.
    ///
    /// # Errors
    /// One outside [0, 1).
    ///
    /// ```
    /// use tealight::optim::Adadelta;
    /// use tealight::prelude::*;
    /// let p = Parameter::new(Tensor::new(1.0, &Device::Cpu)?);
    /// let mut optimizer = Adadelta::new(vec![("p".into(), p.clone())], 1.0)?.rho(0.75)?;
    /// optimizer.step(&(p.get() * 2.0)?.backward()?)?;
    /// assert!((p.get().to_scalar::<f64>()? - 0.998).abs() < 1e-8); // √ε · 2 / √(0.25 · 2²)
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn rho(mut self, rho: f64) -> Result<Self> {
        self.own.rule.rho = fraction("Adadelta", "a rho", rho)?;
        Ok(self)
    }

    /// What is added under the roots, 1e-6 if nothing is said. The first step is as long as its root.
    ///
    /// # Errors
    /// One that is not positive.
    ///
    /// ```
    /// use tealight::optim::Adadelta;
    /// use tealight::prelude::*;
    /// let p = Parameter::new(Tensor::new(1.0, &Device::Cpu)?);
    /// let mut optimizer = Adadelta::new(vec![("p".into(), p.clone())], 1.0)?.rho(0.0)?.eps(16.0)?;
    /// optimizer.step(&(p.get() * 3.0)?.backward()?)?;
    /// assert!((p.get().to_scalar::<f64>()? - (1.0 - 4.0 * 3.0 / 5.0)).abs() < 1e-12); // √16 · 3 / √(3² + 16)
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn eps(mut self, eps: f64) -> Result<Self> {
        self.own.rule.eps = positive("Adadelta", "an eps", eps)?;
        Ok(self)
    }

    /// λ·p is added to the gradient: long weights shrink.
    ///
    /// # Errors
    /// A decay that is negative or not finite.
    ///
    /// ```
    /// use tealight::optim::Adadelta;
    /// use tealight::prelude::*;
    /// let p = Parameter::new(Tensor::new(4.0, &Device::Cpu)?);
    /// let mut optimizer = Adadelta::new(vec![("p".into(), p.clone())], 1.0)?.weight_decay(0.5)?;
    /// optimizer.step(&(p.get() * -1.0)?.backward()?)?;
    /// assert!((p.get().to_scalar::<f64>()? - (4.0 - 1e-5_f64.sqrt())).abs() < 1e-6); // down, since 0.5 · 4 outweighs −1
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn weight_decay(mut self, decay: f64) -> Result<Self> {
        self.own.rule.weight_decay = not_negative("Adadelta", "a weight decay", decay)?;
        Ok(self)
    }
}

impl UpdateRule<2> for AdadeltaRule {
    const NAME: &'static str = "Adadelta";

    fn memory(&self) -> [Option<&'static str>; 2] {
        [Some("square_avg"), Some("acc_delta")]
    }

    fn formula<T: Real + Send + Sync>(&self, at: StepInfo) -> impl Update<T, 2> {
        let (rho, new) = (T::constant(self.rho), T::constant(1.0 - self.rho));
        let (eps, decay) = (T::constant(self.eps), T::constant(self.weight_decay));
        let rate = T::constant(at.rate);
        each(
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
