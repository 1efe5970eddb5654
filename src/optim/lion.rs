//! Lion.

use super::rule::{StepInfo, UpdateFn, UpdateRule, update_fn};
use super::{FirstOrder, fraction, not_negative};
use crate::error::Result;
use crate::formula::Real;

/// Lion: every element moves by the learning rate, in the direction of the sign of a momentum. The paper recommends a
/// tenth of AdamW's learning rate and ten times its weight decay.
///
/// # Formula
/// p ← (1 − η·λ)·p − η·sign(β₁·m + (1 − β₁)·g); m ← β₂·m + (1 − β₂)·g; sign 0 = 0
///
/// # Source
/// X. Chen and others, "Symbolic Discovery of Optimization Algorithms", 2023; the defaults are the paper's.
///
/// ```
/// # use tealight::optim::Lion;
/// # use tealight::prelude::*;
/// # let p = Parameter::new(Tensor::new(1.0, &Device::Cpu)?);
/// let mut optimizer = Lion::new(vec![("p".into(), p.clone())], 0.25)?;
/// optimizer.step(&(p.get() * 300.0)?.backward()?)?;
/// assert_eq!(p.get().to_scalar::<f64>()?, 0.75);
/// # Ok::<(), tealight::Error>(())
/// ```
pub type Lion = FirstOrder<LionRule, 1>;

/// The hyperparameters of [`Lion`].
#[derive(Clone, Debug)]
pub struct LionRule {
    beta1: f64,
    beta2: f64,
    weight_decay: f64,
}

impl Default for LionRule {
    fn default() -> Self {
        LionRule { beta1: 0.9, beta2: 0.99, weight_decay: 0.0 }
    }
}

impl Lion {
    betas! { "Lion", /// β₁, the weight of the momentum in the step, and β₂, the decay rate of the momentum. Default: 0.9 and 0.99.
    }

    setters! { "Lion",
        /// The decoupled weight decay λ. Default: 0.
        ///
        /// # Errors
        /// Errors if it is negative or not finite.
        weight_decay: not_negative, "a weight decay";
    }
}

impl UpdateRule<1> for LionRule {
    const NAME: &'static str = "Lion";

    fn state_names(&self) -> [Option<&'static str>; 1] {
        [Some("exp_avg")]
    }

    fn with_momentum(&self, beta1: f64) -> Option<Self> {
        Some(Self { beta1, ..self.clone() })
    }

    fn formula<T: Real + Send + Sync>(&self, at: StepInfo) -> impl UpdateFn<T, 1> {
        let (old1, new1) = (T::constant(self.beta1), T::constant(1.0 - self.beta1));
        let (old2, new2) = (T::constant(self.beta2), T::constant(1.0 - self.beta2));
        let rate = T::constant(at.learning_rate);
        let shrink = T::constant(1.0 - at.learning_rate * self.weight_decay);
        update_fn(
            #[inline(always)]
            move |p, g, [m]| {
                let sign = (old1 * m + new1 * g).signum();
                (shrink * p - rate * sign, [old2 * m + new2 * g])
            },
        )
    }
}
