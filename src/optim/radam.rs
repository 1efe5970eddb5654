//! RAdam.

use super::adam::split_decay;
use super::rule::{StepInfo, UpdateFn, UpdateRule, bias_correction, update_fn};
use super::{FirstOrder, fraction, not_negative, positive};
use crate::error::Result;
use crate::formula::Real;

/// Adam without a warm-up: its first steps, where the average of squares is of few gradients, are momentum alone, and later ones
/// grow to Adam's, as PyTorch's `RAdam`.
///
/// # Formula
/// g, m, v, m̂ and v̂ as in [`Adam`](super::Adam); ρ∞ = 2 / (1 − β₂) − 1; ρ = ρ∞ − 2n·β₂ⁿ / (1 − β₂ⁿ) in step n;
/// p ← p − η·m̂ if ρ ≤ 5, else p ← p − η·r·m̂·√(1 − β₂ⁿ) / (√v + ε) with
/// r² = (ρ − 4)(ρ − 2)·ρ∞ / ((ρ∞ − 4)(ρ∞ − 2)·ρ)
///
/// # Source
/// L. Liu et al. 2019.
///
/// ```
/// # use tealight::optim::RAdam;
/// # use tealight::prelude::*;
/// # let p = Parameter::new(Tensor::new(1.0, &Device::Cpu)?);
/// let mut optimizer = RAdam::new(vec![("p".into(), p.clone())], 0.1)?;
/// optimizer.step(&(p.get() * 3.0)?.backward()?)?;
/// assert!((p.get().to_scalar::<f64>()? - 0.7).abs() < 1e-12); // 1 − 0.1 · 3
/// # Ok::<(), tealight::Error>(())
/// ```
pub type RAdam = FirstOrder<RAdamRule, 2>;

/// The hyperparameters of [`RAdam`].
#[derive(Clone, Debug)]
pub struct RAdamRule {
    beta1: f64,
    beta2: f64,
    eps: f64,
    weight_decay: f64,
    decoupled: bool,
}

impl Default for RAdamRule {
    fn default() -> Self {
        RAdamRule { beta1: 0.9, beta2: 0.999, eps: 1e-8, weight_decay: 0.0, decoupled: false }
    }
}

impl RAdam {
    betas! { "RAdam", /// The decay rates β₁ and β₂ of the averages of the gradient and of its square. Default: 0.9 and 0.999.
    }

    setters! { "RAdam",
        /// ε, added to the root. Default: 1e-8.
        ///
        /// # Errors
        /// Errors if it is not positive and finite.
        eps: positive, "an eps";
    }

    weight_decays! { "RAdam" }
}

impl UpdateRule<2> for RAdamRule {
    const NAME: &'static str = "RAdam";

    fn state_names(&self) -> [Option<&'static str>; 2] {
        [Some("exp_avg"), Some("exp_avg_sq")]
    }

    fn with_momentum(&self, beta1: f64) -> Option<Self> {
        Some(Self { beta1, ..self.clone() })
    }

    fn formula<T: Real + Send + Sync>(&self, at: StepInfo) -> impl UpdateFn<T, 2> {
        let (shrink, decay) = split_decay::<T>(self.decoupled, self.weight_decay, at.learning_rate);
        let (new1, new2) = (T::constant(1.0 - self.beta1), T::constant(1.0 - self.beta2));
        let (beta2, eps) = (T::constant(self.beta2), T::constant(self.eps));
        let correction = bias_correction(self.beta2, at.step);
        let most = 2.0 / (1.0 - self.beta2) - 1.0;
        let rho = most - 2.0 * at.step as f64 * (1.0 - correction) / correction;
        let rate = at.learning_rate / bias_correction(self.beta1, at.step);
        let rectified = ((rho - 4.0) * (rho - 2.0) * most / ((most - 4.0) * (most - 2.0) * rho)).sqrt();
        let adaptive = rho > 5.0;
        let rate = T::constant(if adaptive { rate * rectified * correction.sqrt() } else { rate });
        update_fn(
            #[inline(always)]
            move |p, g, [m, v]| {
                let g = g + decay * p;
                let m = m + new1 * (g - m);
                let v = beta2 * v + new2 * (g * g);
                let step = if adaptive { m / (v.sqrt() + eps) } else { m };
                (shrink * p - rate * step, [m, v])
            },
        )
    }
}
