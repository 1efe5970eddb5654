//! Stochastic gradient descent.

use super::rule::{LoweredRule, StepInfo, UpdateFn, UpdateRule, update_fn};
use super::{FirstOrder, fraction, not_negative};
use crate::error::{Error, Result};
use crate::formula::{Real, Tape};

/// Stochastic gradient descent, with optional momentum, as PyTorch's `SGD`.
///
/// # Formula
/// g ← g + λ·p; v ← μ·v + (1 − δ)·g (v ← g in the first step); p ← p − η·v, or with Nesterov momentum p ← p − η·(g + μ·v),
/// with learning rate η, [momentum](Sgd::momentum) μ, [dampening](Sgd::dampening) δ and
/// [weight decay](Sgd::weight_decay) λ, all 0 by default.
///
/// ```
/// # use tealight::prelude::*;
/// # let p = Parameter::new(Tensor::new(1.0, &Device::Cpu)?);
/// let mut optimizer = Sgd::new(vec![("p".into(), p.clone())], 0.25)?.momentum(0.5)?;
/// for _ in 0..2 {
///     optimizer.step(&(p.get() * 1.0)?.backward()?)?;
/// }
/// assert_eq!(p.get().to_scalar::<f64>()?, 0.375); // 1 − 0.25 · 1 − 0.25 · (0.5 · 1 + 1)
/// # Ok::<(), tealight::Error>(())
/// ```
#[doc(alias = "SGD")]
pub type Sgd = FirstOrder<SgdRule, 1>;

/// The hyperparameters of [`Sgd`].
#[derive(Clone, Debug, Default)]
pub struct SgdRule {
    momentum: f64,
    dampening: f64,
    nesterov: bool,
    weight_decay: f64,
}

impl Sgd {
    /// The momentum μ, in [0, 1). Default: 0.
    ///
    /// # Errors
    /// Errors if it is outside [0, 1).
    pub fn momentum(mut self, momentum: f64) -> Result<Self> {
        self.base.rule.momentum = fraction("Sgd", "a momentum", momentum)?;
        self.check_nesterov()
    }

    /// The dampening δ, in [0, 1): the momentum takes in 1 − δ of each gradient. Default: 0.
    ///
    /// # Errors
    /// Errors if it is outside [0, 1), or together with Nesterov momentum.
    pub fn dampening(mut self, dampening: f64) -> Result<Self> {
        self.base.rule.dampening = fraction("Sgd", "a dampening", dampening)?;
        self.check_nesterov()
    }

    /// Uses Nesterov momentum.
    ///
    /// # Errors
    /// Errors if the momentum is 0 or there is a dampening.
    pub fn nesterov(mut self) -> Result<Self> {
        self.base.rule.nesterov = true;
        self.check_nesterov()
    }

    setters! { "Sgd",
        /// The weight decay λ, an L2 penalty: λ·p is added to the gradient. Default: 0.
        ///
        /// # Errors
        /// Errors if it is negative or not finite.
        weight_decay: not_negative, "a weight decay";
    }

    fn check_nesterov(self) -> Result<Self> {
        let SgdRule { momentum, dampening, nesterov, .. } = self.base.rule;
        if nesterov && (momentum == 0.0 || dampening > 0.0) {
            let got = format!("a momentum of {momentum} and a dampening of {dampening}");
            return Err(Error::argument("Sgd", "a momentum and no dampening with nesterov", got));
        }
        Ok(self)
    }
}

impl SgdRule {
    /// The learning rate, and what is kept of v and added to it.
    fn scalars<R: Real>(&self, learning_rate: R, step: R) -> [R; 3] {
        let later = |yes, no| step.select_gt(R::constant(1.0), R::constant(yes), R::constant(no));
        [learning_rate, later(self.momentum, 0.0), later(1.0 - self.dampening, 1.0)]
    }

    #[inline(always)]
    fn element<R: Real>(&self, p: R, g: R, [v]: [R; 1], [rate, keep, add]: [R; 3]) -> (R, [R; 1]) {
        let g = g + R::constant(self.weight_decay) * p;
        let v = keep * v + add * g;
        let direction = if self.nesterov { g + R::constant(self.momentum) * v } else { v };
        (p - rate * direction, [v])
    }
}

impl UpdateRule<1> for SgdRule {
    const NAME: &'static str = "Sgd";

    fn state_names(&self) -> [Option<&'static str>; 1] {
        [(self.momentum > 0.0).then_some("momentum_buffer")]
    }

    fn with_momentum(&self, momentum: f64) -> Option<Self> {
        (self.momentum > 0.0).then(|| Self { momentum, ..self.clone() })
    }

    fn lowered(&self) -> Option<LoweredRule> {
        Some(LoweredRule {
            lr_factor: 1.0,
            scalars: Tape::capture_exact(2, |x| self.scalars(x[0], x[1]).to_vec()),
            formula: Tape::capture_exact(6, |x| {
                let (p, [v]) = self.element(x[0], x[1], [x[2]], [x[3], x[4], x[5]]);
                vec![p, v]
            }),
            states: vec![(self.momentum > 0.0).then_some(0.0)],
        })
    }

    fn formula<T: Real + Send + Sync>(&self, at: StepInfo) -> impl UpdateFn<T, 1> {
        let scalars = self.scalars(at.learning_rate, at.step as f64).map(T::constant);
        let rule = self.clone();
        update_fn(
            #[inline(always)]
            move |p, g, state| rule.element(p, g, state, scalars),
        )
    }
}
