//! Adam and AdamW.

use super::rule::{LoweredRule, StepInfo, UpdateFn, UpdateRule, update_fn};
use super::{FirstOrder, fraction, not_negative, positive};
use crate::error::Result;
use crate::formula::{Real, Tape};

/// Adam: gradient descent with averages of the gradient and of its square, as PyTorch's `Adam`.
///
/// # Formula
/// g ← g + λ·p; m ← β₁·m + (1 − β₁)·g; v ← β₂·v + (1 − β₂)·g²; p ← p − η·m̂ / (√v̂ + ε) with m̂ = m / (1 − β₁ⁿ) and
/// v̂ = v / (1 − β₂ⁿ) in step n. [AMSGrad](Adam::amsgrad) takes the largest v so far.
///
/// # Source
/// D. Kingma and J. Ba 2014; AMSGrad: S. Reddi, S. Kale and S. Kumar 2018.
///
/// ```
/// # use tealight::optim::Adam;
/// # use tealight::prelude::*;
/// # let p = Parameter::new(Tensor::new(1.0, &Device::Cpu)?);
/// let mut optimizer = Adam::new(vec![("p".into(), p.clone())], 0.1)?.betas(0.9, 0.99)?;
/// optimizer.step(&(p.get() * 30.0)?.backward()?)?;
/// assert!((p.get().to_scalar::<f64>()? - 0.9).abs() < 1e-8); // the first step is as long as the learning rate
/// # Ok::<(), tealight::Error>(())
/// ```
pub type Adam = FirstOrder<AdamRule<false>, 3>;

/// Adam with decoupled weight decay, as PyTorch's `AdamW`.
///
/// # Formula
/// p ← (1 − η·λ)·p, then as [`Adam`] with λ = 0. Default: λ = 0.01.
///
/// # Source
/// I. Loshchilov and F. Hutter 2017.
///
/// ```
/// # use tealight::prelude::*;
/// # let p = Parameter::new(Tensor::new(1.0, &Device::Cpu)?);
/// let mut optimizer = AdamW::new(vec![("p".into(), p.clone())], 0.1)?;
/// optimizer.step(&(p.get() * 2.0)?.backward()?)?;
/// assert!((p.get().to_scalar::<f64>()? - 0.899).abs() < 1e-8); // (1 − 0.1 · 0.01) · 1 − 0.1
/// # Ok::<(), tealight::Error>(())
/// ```
pub type AdamW = FirstOrder<AdamRule<true>, 3>;

/// The hyperparameters of [`Adam`] and, `DECOUPLED`, of [`AdamW`].
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

    betas! { Self::OP, /// The decay rates β₁ and β₂ of the averages of the gradient and of its square. Default: 0.9 and 0.999.
    }

    setters! { Self::OP,
        /// ε, added to the root. Default: 1e-8.
        ///
        /// # Errors
        /// Errors if it is not positive and finite.
        eps: positive, "an eps";

        /// The weight decay λ. `Adam` adds λ·p to the gradient (default: 0), `AdamW` multiplies p by 1 − η·λ (default: 0.01).
        ///
        /// # Errors
        /// Errors if it is negative or not finite.
        weight_decay: not_negative, "a weight decay";
    }

    /// Uses AMSGrad: divides by the root of the largest v so far, so that steps do not grow when gradients shrink.
    #[must_use]
    pub fn amsgrad(mut self) -> Self {
        self.base.rule.amsgrad = true;
        self
    }
}

impl<const DECOUPLED: bool> AdamRule<DECOUPLED> {
    /// The learning rate over the first bias correction, the root of the second, and the factor of p.
    fn scalars<R: Real>(&self, learning_rate: R, step: R) -> [R; 3] {
        let one = R::constant(1.0);
        let correction = |beta| one - R::constant(beta).powf(step);
        let shrink = if DECOUPLED { one - learning_rate * R::constant(self.weight_decay) } else { one };
        [learning_rate / correction(self.beta1), correction(self.beta2).sqrt(), shrink]
    }

    #[inline(always)]
    fn element<R: Real>(
        &self,
        p: R,
        g: R,
        [m, v, largest]: [R; 3],
        [rate, root, shrink]: [R; 3],
    ) -> (R, [R; 3]) {
        let decay = R::constant(if DECOUPLED { 0.0 } else { self.weight_decay });
        let (new1, new2) = (R::constant(1.0 - self.beta1), R::constant(1.0 - self.beta2));
        let g = g + decay * p;
        let m = m + new1 * (g - m);
        let v = R::constant(self.beta2) * v + new2 * (g * g);
        let largest = largest.maximum(v);
        let scale = if self.amsgrad { largest } else { v }.sqrt() / root + R::constant(self.eps);
        (shrink * p - rate * (m / scale), [m, v, largest])
    }
}

impl<const DECOUPLED: bool> UpdateRule<3> for AdamRule<DECOUPLED> {
    const NAME: &'static str = if DECOUPLED { "AdamW" } else { "Adam" };

    fn state_names(&self) -> [Option<&'static str>; 3] {
        [Some("exp_avg"), Some("exp_avg_sq"), self.amsgrad.then_some("max_exp_avg_sq")]
    }

    fn with_momentum(&self, beta1: f64) -> Option<Self> {
        Some(Self { beta1, ..self.clone() })
    }

    fn formula<T: Real + Send + Sync>(&self, at: StepInfo) -> impl UpdateFn<T, 3> {
        let scalars = self.scalars(at.learning_rate, at.step as f64).map(T::constant);
        let rule = self.clone();
        update_fn(
            #[inline(always)]
            move |p, g, state| rule.element(p, g, state, scalars),
        )
    }

    fn lowered(&self) -> Option<LoweredRule> {
        let used = self.state_names().map(|name| name.map(|_| 0.0));
        Some(LoweredRule {
            lr_factor: 1.0,
            scalars: Tape::capture_exact(2, |x| self.scalars(x[0], x[1]).to_vec()),
            formula: Tape::capture_exact(8, |x| {
                let (p, state) = self.element(x[0], x[1], [x[2], x[3], x[4]], [x[5], x[6], x[7]]);
                [p].into_iter().chain(state).collect()
            }),
            states: used.to_vec(),
        })
    }
}

/// The factor of p, and the λ that goes into the gradient.
pub(super) fn split_decay<T: Real>(decoupled: bool, weight_decay: f64, learning_rate: f64) -> (T, T) {
    let (shrink, decay) =
        if decoupled { (1.0 - learning_rate * weight_decay, 0.0) } else { (1.0, weight_decay) };
    (T::constant(shrink), T::constant(decay))
}
