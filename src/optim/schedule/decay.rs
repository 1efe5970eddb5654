//! Linear, step, exponential and polynomial schedules.

use super::super::not_negative;
use super::{Schedule, at_least_one_step};
use crate::error::Result;
use crate::formula::Real;

fn power(factor: f64, n: usize) -> f64 {
    Real::powf(factor, n as f64)
}

/// From one factor to another along a straight line, and constant after that: a warm-up.
///
/// ```
/// # use tealight::optim::schedule::{LinearLr, Schedule};
/// let warm_up = LinearLr::new(0.0, 1.0, 4)?;
/// assert_eq!([0, 1, 4, 9].map(|step| warm_up.factor(step)), [0.0, 0.25, 1.0, 1.0]);
/// # Ok::<(), tealight::Error>(())
/// ```
#[doc(alias = "warmup")]
#[derive(Clone, Copy, Debug)]
pub struct LinearLr {
    start: f64,
    end: f64,
    steps: usize,
}

impl LinearLr {
    /// From `start` to `end` in this many steps.
    ///
    /// # Errors
    /// Errors if a factor is negative or not finite, or `steps` is 0.
    pub fn new(start: f64, end: f64, steps: usize) -> Result<Self> {
        let start = not_negative("LinearLr", "a factor", start)?;
        let end = not_negative("LinearLr", "a factor", end)?;
        Ok(LinearLr { start, end, steps: at_least_one_step("LinearLr", steps)? })
    }
}

impl Schedule for LinearLr {
    fn factor(&self, step: usize) -> f64 {
        self.start + (self.end - self.start) * (step.min(self.steps) as f64 / self.steps as f64)
    }

    fn steps(&self) -> usize {
        self.steps
    }
}

/// Multiplied by a factor after each `step_size` steps.
///
/// ```
/// # use tealight::optim::schedule::{Schedule, StepLr};
/// let schedule = StepLr::new(3, 0.5)?;
/// assert_eq!([0, 2, 3, 6].map(|step| schedule.factor(step)), [1.0, 1.0, 0.5, 0.25]);
/// # Ok::<(), tealight::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct StepLr {
    step_size: usize,
    factor: f64,
}

impl StepLr {
    /// Multiplied by `factor` after each `step_size` steps.
    ///
    /// # Errors
    /// Errors if the factor is negative or not finite, or `step_size` is 0.
    #[doc(alias = "gamma")]
    pub fn new(step_size: usize, factor: f64) -> Result<Self> {
        let factor = not_negative("StepLr", "a factor", factor)?;
        Ok(StepLr { step_size: at_least_one_step("StepLr", step_size)?, factor })
    }
}

impl Schedule for StepLr {
    fn factor(&self, step: usize) -> f64 {
        power(self.factor, step / self.step_size)
    }
}

/// Multiplied by a factor at each milestone.
///
/// ```
/// # use tealight::optim::schedule::{MultiStepLr, Schedule};
/// let schedule = MultiStepLr::new(&[30, 80], 0.5)?;
/// assert_eq!([0, 29, 30, 80].map(|step| schedule.factor(step)), [1.0, 1.0, 0.5, 0.25]);
/// # Ok::<(), tealight::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct MultiStepLr {
    milestones: Vec<usize>,
    factor: f64,
}

impl MultiStepLr {
    /// Multiplied by `factor` at each of the milestones.
    ///
    /// # Errors
    /// Errors if the factor is negative or not finite.
    #[doc(alias = "gamma")]
    pub fn new(milestones: &[usize], factor: f64) -> Result<Self> {
        let factor = not_negative("MultiStepLr", "a factor", factor)?;
        Ok(MultiStepLr { milestones: milestones.to_vec(), factor })
    }
}

impl Schedule for MultiStepLr {
    fn factor(&self, step: usize) -> f64 {
        power(self.factor, self.milestones.iter().filter(|&&milestone| milestone <= step).count())
    }
}

/// Multiplied by a factor after each step.
///
/// ```
/// # use tealight::optim::schedule::{ExponentialLr, Schedule};
/// let schedule = ExponentialLr::new(0.5)?;
/// assert_eq!([0, 1, 2].map(|step| schedule.factor(step)), [1.0, 0.5, 0.25]);
/// # Ok::<(), tealight::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct ExponentialLr(f64);

impl ExponentialLr {
    /// Multiplied by `factor` after each step.
    ///
    /// # Errors
    /// Errors if the factor is negative or not finite.
    #[doc(alias = "gamma")]
    pub fn new(factor: f64) -> Result<Self> {
        Ok(ExponentialLr(not_negative("ExponentialLr", "a factor", factor)?))
    }
}

impl Schedule for ExponentialLr {
    fn factor(&self, step: usize) -> f64 {
        power(self.0, step)
    }
}

/// From 1 to 0 as (1 − step / steps)ᵖ.
///
/// ```
/// # use tealight::optim::schedule::{PolynomialLr, Schedule};
/// let schedule = PolynomialLr::new(4, 2.0)?;
/// assert_eq!([0, 2, 4, 9].map(|step| schedule.factor(step)), [1.0, 0.25, 0.0, 0.0]);
/// # Ok::<(), tealight::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct PolynomialLr {
    steps: usize,
    power: f64,
}

impl PolynomialLr {
    /// Reaches 0 in this many steps; a power of 1 is a straight line.
    ///
    /// # Errors
    /// Errors if the power is negative or not finite, or `steps` is 0.
    #[doc(alias = "total_iters")]
    pub fn new(steps: usize, power: f64) -> Result<Self> {
        let power = not_negative("PolynomialLr", "a power", power)?;
        Ok(PolynomialLr { steps: at_least_one_step("PolynomialLr", steps)?, power })
    }
}

impl Schedule for PolynomialLr {
    fn factor(&self, step: usize) -> f64 {
        Real::powf(1.0 - step.min(self.steps) as f64 / self.steps as f64, self.power)
    }

    fn steps(&self) -> usize {
        self.steps
    }
}
