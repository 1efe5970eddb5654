//! RMSProp.

use super::rule::{StepInfo, UpdateFn, UpdateRule, update_fn};
use super::{FirstOrder, fraction, not_negative, positive};
use crate::error::Result;
use crate::formula::Real;

/// RMSProp: the gradient divided by its root mean square, as PyTorch's `RMSprop`, whose learning rate is 1e-2.
///
/// # Formula
/// g ← g + λ·p; v ← α·v + (1 − α)·g²; d = √v + ε, or [centered](RmsProp::centered) √(v − a²) + ε with
/// a ← α·a + (1 − α)·g; p ← p − η·g / d, or with [momentum](RmsProp::momentum) u ← μ·u + g / d and p ← p − η·u
///
/// # Source
/// T. Tieleman and G. Hinton 2012; centered: A. Graves 2013.
///
/// ```
/// # use tealight::optim::RmsProp;
/// # use tealight::prelude::*;
/// # let p = Parameter::new(Tensor::new(1.0, &Device::Cpu)?);
/// let mut optimizer = RmsProp::new(vec![("p".into(), p.clone())], 0.25)?.alpha(0.75)?;
/// optimizer.step(&(p.get() * 3.0)?.backward()?)?;
/// assert!((p.get().to_scalar::<f64>()? - 0.5).abs() < 1e-8); // 1 − 0.25 · 3 / √(0.25 · 3²)
/// # Ok::<(), tealight::Error>(())
/// ```
#[doc(alias = "RMSprop")]
pub type RmsProp = FirstOrder<RmsPropRule, 3>;

/// The hyperparameters of [`RmsProp`].
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
    setters! { "RmsProp",
        /// The decay rate α of the averages. Default: 0.99.
        ///
        /// # Errors
        /// Errors if it is outside [0, 1).
        alpha: fraction, "an alpha";

        /// ε, added to the root. Default: 1e-8.
        ///
        /// # Errors
        /// Errors if it is not positive and finite.
        eps: positive, "an eps";

        /// The weight decay λ, an L2 penalty: λ·p is added to the gradient. Default: 0.
        ///
        /// # Errors
        /// Errors if it is negative or not finite.
        weight_decay: not_negative, "a weight decay";

        /// The momentum μ, in [0, 1). Default: 0.
        ///
        /// # Errors
        /// Errors if it is outside [0, 1).
        momentum: fraction, "a momentum";
    }

    /// Divides by the standard deviation of the gradient instead of its root mean square.
    #[must_use]
    pub fn centered(mut self) -> Self {
        self.base.rule.centered = true;
        self
    }
}

impl UpdateRule<3> for RmsPropRule {
    const NAME: &'static str = "RmsProp";

    fn state_names(&self) -> [Option<&'static str>; 3] {
        let buffer = (self.momentum > 0.0).then_some("momentum_buffer");
        [Some("square_avg"), buffer, self.centered.then_some("grad_avg")]
    }

    fn with_momentum(&self, momentum: f64) -> Option<Self> {
        (self.momentum > 0.0).then(|| Self { momentum, ..self.clone() })
    }

    fn formula<T: Real + Send + Sync>(&self, at: StepInfo) -> impl UpdateFn<T, 3> {
        let (alpha, new) = (T::constant(self.alpha), T::constant(1.0 - self.alpha));
        let (eps, decay) = (T::constant(self.eps), T::constant(self.weight_decay));
        let (rate, momentum) = (T::constant(at.learning_rate), T::constant(self.momentum));
        let (centered, zero) = (self.centered, T::constant(0.0));
        update_fn(
            #[inline(always)]
            move |p, g, [v, buffer, mean]| {
                let g = g + decay * p;
                let v = alpha * v + new * (g * g);
                let mean = mean + new * (g - mean);
                // Rounding can make the variance negative, and its root NaN.
                let square = if centered { (v - mean * mean).maximum(zero) } else { v };
                let buffer = momentum * buffer + g / (square.sqrt() + eps);
                (p - rate * buffer, [v, buffer, mean])
            },
        )
    }
}
