//! NAdam.

use super::adam::split_decay;
use super::rule::{StepInfo, UpdateFn, UpdateRule, bias_correction, update_fn};
use super::{FirstOrder, fraction, not_negative, positive};
use crate::error::Result;
use crate::formula::Real;

/// Adam with Nesterov momentum, as PyTorch's `NAdam`, whose learning rate is 2e-3.
///
/// # Formula
/// g, m, v and v̂ as in [`Adam`](super::Adam); μₙ = β₁·(1 − 0.96^(nψ) / 2); πₙ = Π μᵢ;
/// p ← p − η·((1 − μₙ)·g / (1 − πₙ) + μₙ₊₁·m / (1 − πₙ·μₙ₊₁)) / (√v̂ + ε)
///
/// # Source
/// T. Dozat 2016.
///
/// ```
/// # use tealight::optim::NAdam;
/// # use tealight::prelude::*;
/// # let p = Parameter::new(Tensor::new(1.0, &Device::Cpu)?);
/// let mut optimizer = NAdam::new(vec![("p".into(), p.clone())], 0.5)?;
/// optimizer.step(&(p.get() * 3.0)?.backward()?)?;
/// assert!((0.4..0.5).contains(&p.get().to_scalar::<f64>()?)); // Adam would arrive at 0.5
/// # Ok::<(), tealight::Error>(())
/// ```
pub type NAdam = FirstOrder<NAdamRule, 2>;

/// The hyperparameters of [`NAdam`].
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
    fn mu(&self, step: u64) -> f64 {
        self.beta1 * (1.0 - 0.5 * Real::powf(0.96_f64, step as f64 * self.momentum_decay))
    }
}

impl NAdam {
    betas! { "NAdam", /// The decay rates β₁ and β₂ of the averages of the gradient and of its square. Default: 0.9 and 0.999.
    }

    setters! { "NAdam",
        /// ε, added to the root. Default: 1e-8.
        ///
        /// # Errors
        /// Errors if it is not positive and finite.
        eps: positive, "an eps";
    }

    weight_decays! { "NAdam" }

    setters! { "NAdam",
        /// ψ: how fast the momentum μ rises from β₁ / 2 to β₁. Default: 4e-3.
        ///
        /// # Errors
        /// Errors if it is negative or not finite.
        momentum_decay: not_negative, "a momentum decay";
    }
}

impl UpdateRule<2> for NAdamRule {
    const NAME: &'static str = "NAdam";
    const SCALAR_STATE: Option<&'static str> = Some("mu_product");

    fn state_names(&self) -> [Option<&'static str>; 2] {
        [Some("exp_avg"), Some("exp_avg_sq")]
    }

    fn scalar_state(&self, step: u64, scalar_state: f64) -> f64 {
        scalar_state * self.mu(step)
    }

    fn with_momentum(&self, beta1: f64) -> Option<Self> {
        Some(Self { beta1, ..self.clone() })
    }

    fn formula<T: Real + Send + Sync>(&self, at: StepInfo) -> impl UpdateFn<T, 2> {
        let (now, next) = (self.mu(at.step), self.mu(at.step.saturating_add(1)));
        let by_grad = T::constant(at.learning_rate * (1.0 - now) / (1.0 - at.scalar_state));
        let by_average = T::constant(at.learning_rate * next / (1.0 - at.scalar_state * next));
        let (shrink, decay) = split_decay::<T>(self.decoupled, self.weight_decay, at.learning_rate);
        let (new1, new2) = (T::constant(1.0 - self.beta1), T::constant(1.0 - self.beta2));
        let (beta2, eps) = (T::constant(self.beta2), T::constant(self.eps));
        let correction = T::constant(bias_correction(self.beta2, at.step));
        update_fn(
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
