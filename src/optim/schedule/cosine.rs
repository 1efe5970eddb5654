//! Schedules with cosine annealing.

use std::f64::consts::PI;

use super::super::{not_negative, positive};
use super::{Schedule, at_least_one_step, cycle_momentum};
use crate::error::{Error, Result};
use crate::formula::Real;

/// From `start` to `end` along half a cosine, while x goes from 0 to 1.
fn anneal(start: f64, end: f64, x: f64) -> f64 {
    end + (start - end) / 2.0 * (1.0 + Real::cos(PI * x))
}

/// From 1 down to [`min_factor`](CosineAnnealingLr::min_factor) along half a cosine.
///
/// After that it rises again, as with PyTorch, unless another schedule [follows](Schedule::then).
///
/// ```
/// # use tealight::optim::schedule::{CosineAnnealingLr, Schedule};
/// let schedule = CosineAnnealingLr::new(10)?.min_factor(0.5)?;
/// assert_eq!([0, 5, 10].map(|step| schedule.factor(step)), [1.0, 0.75, 0.5]);
/// # Ok::<(), tealight::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct CosineAnnealingLr {
    steps: usize,
    min_factor: f64,
}

impl CosineAnnealingLr {
    /// Reaches the minimum in this many steps.
    ///
    /// # Errors
    /// Errors if `steps` is 0.
    #[doc(alias = "T_max")]
    pub fn new(steps: usize) -> Result<Self> {
        Ok(CosineAnnealingLr { steps: at_least_one_step("CosineAnnealingLr", steps)?, min_factor: 0.0 })
    }

    /// The minimum, relative to the start (PyTorch's `eta_min` is absolute). Default: 0.
    ///
    /// # Errors
    /// Errors if it is negative or not finite.
    #[doc(alias = "eta_min")]
    pub fn min_factor(mut self, factor: f64) -> Result<Self> {
        self.min_factor = not_negative("CosineAnnealingLr", "a factor", factor)?;
        Ok(self)
    }
}

impl Schedule for CosineAnnealingLr {
    fn factor(&self, step: usize) -> f64 {
        // The cosine of a large multiple of π would lose digits.
        let step = step % self.steps.saturating_mul(2);
        anneal(1.0, self.min_factor, step as f64 / self.steps as f64)
    }

    fn steps(&self) -> usize {
        self.steps
    }
}

/// [`CosineAnnealingLr`], started again and again, each time over `factor` times as many steps.
///
/// ```
/// # use tealight::optim::schedule::{CosineAnnealingWarmRestarts, Schedule};
/// let schedule = CosineAnnealingWarmRestarts::new(2, 2)?;
/// let percents = [0, 1, 2, 4, 6].map(|step| (schedule.factor(step) * 100.0).round());
/// assert_eq!(percents, [100.0, 50.0, 100.0, 50.0, 100.0]);
/// # Ok::<(), tealight::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct CosineAnnealingWarmRestarts {
    first: usize,
    factor: usize,
    min_factor: f64,
}

impl CosineAnnealingWarmRestarts {
    /// Restarts after `first` steps, then after `factor` times as many, and so on.
    ///
    /// # Errors
    /// Errors if `first` or `factor` is 0.
    #[doc(alias = "T_0")]
    #[doc(alias = "T_mult")]
    pub fn new(first: usize, factor: usize) -> Result<Self> {
        let first = at_least_one_step("CosineAnnealingWarmRestarts", first)?;
        match factor {
            0 => Err(Error::argument("CosineAnnealingWarmRestarts", "a factor of 1 or more", factor)),
            _ => Ok(CosineAnnealingWarmRestarts { first, factor, min_factor: 0.0 }),
        }
    }

    /// The minimum, relative to the start (PyTorch's `eta_min` is absolute). Default: 0.
    ///
    /// # Errors
    /// Errors if it is negative or not finite.
    #[doc(alias = "eta_min")]
    pub fn min_factor(mut self, factor: f64) -> Result<Self> {
        self.min_factor = not_negative("CosineAnnealingWarmRestarts", "a factor", factor)?;
        Ok(self)
    }
}

impl Schedule for CosineAnnealingWarmRestarts {
    fn factor(&self, step: usize) -> f64 {
        let (mut step, mut length) = (step, self.first);
        if self.factor == 1 {
            step %= length;
        }
        while step >= length {
            step -= length;
            length = length.saturating_mul(self.factor);
        }
        anneal(1.0, self.min_factor, step as f64 / length as f64)
    }
}

/// Up to 1 and down again to nearly 0, in one cycle for the whole training: PyTorch's `OneCycleLR`, which cycles the momentum by
/// default; here [`cycle_momentum`](OneCycleLr::cycle_momentum) does.
///
/// The optimizer's learning rate is the largest, PyTorch's `max_lr`, which replaces it there.
///
/// # Source
/// L. Smith and N. Topin 2017.
///
/// ```
/// # use tealight::optim::schedule::{OneCycleLr, Schedule};
/// let schedule = OneCycleLr::new(100)?;
/// assert!((schedule.factor(0) - 0.04).abs() < 1e-15);
/// assert_eq!(schedule.factor(29), 1.0);
/// assert!(schedule.factor(99) < 1e-5);
/// # Ok::<(), tealight::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct OneCycleLr {
    steps: usize,
    pct_start: f64,
    div_factor: f64,
    final_div_factor: f64,
    linear: bool,
    three_phase: bool,
    /// The lowest and the highest.
    momentum: Option<[f64; 2]>,
}

impl OneCycleLr {
    /// A cycle of this many steps, after which the rate stays constant.
    ///
    /// # Errors
    /// Errors if `steps` is 0.
    #[doc(alias = "total_steps")]
    pub fn new(steps: usize) -> Result<Self> {
        let steps = at_least_one_step("OneCycleLr", steps)?;
        let (div_factor, final_div_factor) = (25.0, 1e4);
        Ok(OneCycleLr {
            steps,
            pct_start: 0.3,
            div_factor,
            final_div_factor,
            linear: false,
            three_phase: false,
            momentum: None,
        })
    }

    /// The fraction of the steps in which the rate rises, from 0 to 1. Default: 0.3.
    ///
    /// # Errors
    /// Errors if it is outside [0, 1].
    pub fn pct_start(mut self, fraction: f64) -> Result<Self> {
        if !(0.0..=1.0).contains(&fraction) {
            return Err(Error::argument("OneCycleLr", "a fraction from 0 to 1", fraction));
        }
        self.pct_start = fraction;
        Ok(self)
    }

    /// The rate starts at 1 / `initial` and ends at 1 / (`initial` · `last`). Default: 25 and 10,000.
    ///
    /// # Errors
    /// Errors if one is not positive and finite.
    #[doc(alias = "div_factor")]
    #[doc(alias = "final_div_factor")]
    pub fn div_factors(mut self, initial: f64, last: f64) -> Result<Self> {
        self.div_factor = positive("OneCycleLr", "a divisor", initial)?;
        self.final_div_factor = positive("OneCycleLr", "a divisor", last)?;
        Ok(self)
    }

    /// Follows straight lines instead of cosines.
    #[doc(alias = "anneal_strategy")]
    #[must_use]
    pub fn linear(mut self) -> Self {
        self.linear = true;
        self
    }

    /// Falls to the start in as many steps as it rose, and then to the end.
    #[must_use]
    pub fn three_phase(mut self) -> Self {
        self.three_phase = true;
        self
    }

    cycle_momentum! { "OneCycleLr", /// Moves the momentum from `max` to `base` as the rate rises, and back: PyTorch's are 0.85 and 0.95.
    }

    /// A value that goes from `start` to `top` with the rate, and then to `end`.
    fn at(&self, step: usize, [start, top, end]: [f64; 3]) -> f64 {
        let total = self.steps as f64;
        let (step, last) = (step.min(self.steps - 1) as f64, total - 1.0);
        // As in PyTorch, a phase ends with its last step, counted from 0.
        let (up, down) = (self.pct_start * total - 1.0, 2.0 * self.pct_start * total - 2.0);
        let two = [(up, start, top), (last, top, end)];
        let three = [(up, start, top), (down, top, start), (last, start, end)];
        let phases = if self.three_phase { &three[..] } else { &two[..] };
        let (mut begin, mut value) = (0.0, end);
        for (i, &(until, from, to)) in phases.iter().enumerate() {
            if step <= until || i + 1 == phases.len() {
                // A phase without a step is at its end.
                let x = if until > begin { ((step - begin) / (until - begin)).min(1.0) } else { 1.0 };
                value = if self.linear { from + (to - from) * x } else { anneal(from, to, x) };
                break;
            }
            begin = until;
        }
        value
    }
}

impl Schedule for OneCycleLr {
    fn factor(&self, step: usize) -> f64 {
        let low = 1.0 / self.div_factor;
        self.at(step, [low, 1.0, low / self.final_div_factor])
    }

    fn momentum(&self, step: usize) -> Option<f64> {
        self.momentum.map(|[base, max]| self.at(step, [max, base, max]))
    }

    fn steps(&self) -> usize {
        self.steps
    }
}
