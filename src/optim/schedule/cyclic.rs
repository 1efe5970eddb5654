//! [`CyclicLr`].

use super::super::not_negative;
use super::{Schedule, at_least_one_step, cycle_momentum};
use crate::error::{Error, Result};
use crate::formula::Real;

/// Up to 1 and down again along straight lines, cycle after cycle: PyTorch's `CyclicLR`, which cycles the momentum by default; here
/// [`cycle_momentum`](CyclicLr::cycle_momentum) does.
///
/// The optimizer's learning rate is the largest, PyTorch's `max_lr`, which replaces it there.
///
/// # Source
/// L. N. Smith 2017, "Cyclical learning rates for training neural networks".
///
/// ```
/// # use tealight::optim::schedule::{CyclicLr, Schedule};
/// let schedule = CyclicLr::new(0.5, 2)?;
/// assert_eq!([0, 1, 2, 3, 4].map(|step| schedule.factor(step)), [0.5, 0.75, 1.0, 0.75, 0.5]);
/// # Ok::<(), tealight::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct CyclicLr {
    base_factor: f64,
    up: usize,
    down: usize,
    /// The heights of the cycles are multiplied by this after each cycle, and after each step.
    per_cycle: f64,
    per_step: f64,
    /// The lowest and the highest.
    momentum: Option<[f64; 2]>,
}

impl CyclicLr {
    /// From `base_factor` to 1 in `step_size_up` steps, and down in as many.
    ///
    /// # Errors
    /// Errors if the factor is negative or not finite, or `step_size_up` is 0.
    #[doc(alias = "base_lr")]
    pub fn new(base_factor: f64, step_size_up: usize) -> Result<Self> {
        let base_factor = not_negative("CyclicLr", "a factor", base_factor)?;
        let up = at_least_one_step("CyclicLr", step_size_up)?;
        Ok(CyclicLr { base_factor, up, down: up, per_cycle: 1.0, per_step: 1.0, momentum: None })
    }

    /// The number of steps in which a cycle falls. Default: as many as it rises in.
    ///
    /// # Errors
    /// Errors if it is 0.
    pub fn step_size_down(mut self, steps: usize) -> Result<Self> {
        self.down = at_least_one_step("CyclicLr", steps)?;
        Ok(self)
    }

    /// Each cycle is half as high as the one before.
    #[must_use]
    pub fn triangular2(mut self) -> Self {
        self.per_cycle = 0.5;
        self
    }

    /// The height is multiplied by `gamma` after each step.
    ///
    /// # Errors
    /// Errors if it is negative or not finite.
    #[doc(alias = "gamma")]
    pub fn exp_range(mut self, gamma: f64) -> Result<Self> {
        self.per_step = not_negative("CyclicLr", "a factor", gamma)?;
        Ok(self)
    }

    cycle_momentum! { "CyclicLr", /// Moves the momentum from `max` to `base` as the rate rises, and back: PyTorch's are 0.8 and 0.9.
    }

    /// How far the rate is on its way from the smallest to the largest.
    fn height(&self, step: usize) -> f64 {
        let length = self.up.saturating_add(self.down);
        let (cycle, within) = (step / length, step % length);
        let height = match within.checked_sub(self.up) {
            None => within as f64 / self.up as f64,
            Some(fallen) => 1.0 - fallen as f64 / self.down as f64,
        };
        height * Real::powf(self.per_cycle, cycle as f64) * Real::powf(self.per_step, step as f64)
    }
}

impl Schedule for CyclicLr {
    fn factor(&self, step: usize) -> f64 {
        self.base_factor + (1.0 - self.base_factor) * self.height(step)
    }

    fn momentum(&self, step: usize) -> Option<f64> {
        self.momentum.map(|[base, max]| max - (max - base) * self.height(step))
    }
}
