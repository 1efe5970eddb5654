//! Adamax.

use super::rule::{StepInfo, UpdateFn, UpdateRule, bias_correction, update_fn};
use super::{FirstOrder, fraction, not_negative, positive};
use crate::error::Result;
use crate::formula::Real;

/// Adam with the largest gradient, which fades, in place of the root of the average of squares, as PyTorch's `Adamax`, whose
/// learning rate is 2e-3.
///
/// # Formula
/// g ← g + λ·p; m ← β₁·m + (1 − β₁)·g; u ← max(β₂·u, |g| + ε); p ← p − η / (1 − β₁ⁿ) · m / u in step n
///
/// # Source
/// D. Kingma and J. Ba 2014.
///
/// ```
/// # use tealight::optim::Adamax;
/// # use tealight::prelude::*;
/// # let p = Parameter::new(Tensor::new(1.0, &Device::Cpu)?);
/// let mut optimizer = Adamax::new(vec![("p".into(), p.clone())], 0.25)?;
/// optimizer.step(&(p.get() * 3.0)?.backward()?)?;
/// assert!((p.get().to_scalar::<f64>()? - 0.75).abs() < 1e-8); // the first step is as long as the learning rate
/// # Ok::<(), tealight::Error>(())
/// ```
pub type Adamax = FirstOrder<AdamaxRule, 2>;

/// The hyperparameters of [`Adamax`].
#[derive(Clone, Debug)]
pub struct AdamaxRule {
    beta1: f64,
    beta2: f64,
    eps: f64,
    weight_decay: f64,
}

impl Default for AdamaxRule {
    fn default() -> Self {
        AdamaxRule { beta1: 0.9, beta2: 0.999, eps: 1e-8, weight_decay: 0.0 }
    }
}

impl Adamax {
    betas! { "Adamax", /// β₁, the decay rate of the average of the gradient, and β₂, that of the largest. Default: 0.9 and 0.999.
    }

    setters! { "Adamax",
        /// ε, added to |g|. Default: 1e-8.
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

impl UpdateRule<2> for AdamaxRule {
    const NAME: &'static str = "Adamax";

    fn state_names(&self) -> [Option<&'static str>; 2] {
        [Some("exp_avg"), Some("exp_inf")]
    }

    fn with_momentum(&self, beta1: f64) -> Option<Self> {
        Some(Self { beta1, ..self.clone() })
    }

    fn formula<T: Real + Send + Sync>(&self, at: StepInfo) -> impl UpdateFn<T, 2> {
        let (new1, beta2) = (T::constant(1.0 - self.beta1), T::constant(self.beta2));
        let (eps, decay) = (T::constant(self.eps), T::constant(self.weight_decay));
        let rate = T::constant(at.learning_rate / bias_correction(self.beta1, at.step));
        update_fn(
            #[inline(always)]
            move |p, g, [m, u]| {
                let g = g + decay * p;
                let m = m + new1 * (g - m);
                let u = (beta2 * u).maximum(g.abs() + eps);
                (p - rate * (m / u), [m, u])
            },
        )
    }
}
