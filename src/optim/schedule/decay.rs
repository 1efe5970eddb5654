//! Schedules that are powers and straight lines.
//!
//! # Errors
//! A factor that is negative or not finite; no steps.

use super::super::not_negative;
use super::{Schedule, some_steps};
use crate::error::Result;
use crate::formula::Real;

/// γⁿ
fn power(factor: f64, n: usize) -> f64 {
    Real::powf(factor, n as f64)
}

/// A straight line from one factor to another, which then stays: a warm-up.
///
/// ```
/// use tealight::optim::schedule::{LinearLr, Schedule};
/// let warm_up = LinearLr::new(0.0, 1.0, 4)?;
/// assert_eq!([0, 1, 4, 9].map(|step| warm_up.rate(step)), [0.0, 0.25, 1.0, 1.0]);
/// # Ok::<(), tealight::Error>(())
/// ```
#[doc(alias = "LinearLR")]
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
    /// A factor that is negative or not finite; no steps.
    ///
    /// ```
    /// use tealight::optim::schedule::{LinearLr, Schedule};
    /// assert_eq!(LinearLr::new(1.0, 0.5, 4)?.rate(2), 0.75);
    /// assert_eq!(LinearLr::new(1.0, 0.5, 0).unwrap_err().to_string(), "LinearLr: expected one step or more, got 0");
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn new(start: f64, end: f64, steps: usize) -> Result<Self> {
        let start = not_negative("LinearLr", "a factor", start)?;
        let end = not_negative("LinearLr", "a factor", end)?;
        Ok(LinearLr { start, end, steps: some_steps("LinearLr", steps)? })
    }
}

impl Schedule for LinearLr {
    fn rate(&self, step: usize) -> f64 {
        self.start + (self.end - self.start) * (step.min(self.steps) as f64 / self.steps as f64)
    }

    fn steps(&self) -> usize {
        self.steps
    }
}

/// A factor every so many steps.
///
/// ```
/// use tealight::optim::schedule::{Schedule, StepDecay};
/// let schedule = StepDecay::new(3, 0.5)?;
/// assert_eq!([0, 2, 3, 6].map(|step| schedule.rate(step)), [1.0, 1.0, 0.5, 0.25]);
/// # Ok::<(), tealight::Error>(())
/// ```
#[doc(alias = "StepLR")]
#[derive(Clone, Copy, Debug)]
pub struct StepDecay {
    every: usize,
    factor: f64,
}

impl StepDecay {
    /// Multiplied by `factor` after `every` steps, and again after as many more.
    ///
    /// # Errors
    /// A factor that is negative or not finite; no steps.
    ///
    /// ```
    /// use tealight::optim::schedule::{Schedule, StepDecay};
    /// assert_eq!(StepDecay::new(10, 0.5)?.rate(25), 0.25);
    /// assert!(StepDecay::new(10, -0.5).is_err());
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn new(every: usize, factor: f64) -> Result<Self> {
        let factor = not_negative("StepDecay", "a factor", factor)?;
        Ok(StepDecay { every: some_steps("StepDecay", every)?, factor })
    }
}

impl Schedule for StepDecay {
    fn rate(&self, step: usize) -> f64 {
        power(self.factor, step / self.every)
    }
}

/// A factor at given steps.
///
/// ```
/// use tealight::optim::schedule::{MultiStep, Schedule};
/// let schedule = MultiStep::new(&[30, 80], 0.5)?;
/// assert_eq!([0, 29, 30, 80].map(|step| schedule.rate(step)), [1.0, 1.0, 0.5, 0.25]);
/// # Ok::<(), tealight::Error>(())
/// ```
#[doc(alias = "MultiStepLR")]
#[derive(Clone, Debug)]
pub struct MultiStep {
    milestones: Vec<usize>,
    factor: f64,
}

impl MultiStep {
    /// Multiplied by `factor` at each of the milestones.
    ///
    /// # Errors
    /// A factor that is negative or not finite.
    ///
    /// ```
    /// use tealight::optim::schedule::{MultiStep, Schedule};
    /// let schedule = MultiStep::new(&[1, 2, 3], 2.0)?; // a factor above 1 makes it rise
    /// assert_eq!([0, 1, 2, 9].map(|step| schedule.rate(step)), [1.0, 2.0, 4.0, 8.0]);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn new(milestones: &[usize], factor: f64) -> Result<Self> {
        let factor = not_negative("MultiStep", "a factor", factor)?;
        Ok(MultiStep { milestones: milestones.to_vec(), factor })
    }
}

impl Schedule for MultiStep {
    fn rate(&self, step: usize) -> f64 {
        power(self.factor, self.milestones.iter().filter(|&&milestone| milestone <= step).count())
    }
}

/// A factor in every step.
///
/// ```
/// use tealight::optim::schedule::{Exponential, Schedule};
/// assert_eq!(Exponential::new(0.5)?.rate(3), 0.125);
/// # Ok::<(), tealight::Error>(())
/// ```
#[doc(alias = "ExponentialLR")]
#[derive(Clone, Copy, Debug)]
pub struct Exponential(f64);

impl Exponential {
    /// Multiplied by `factor` in every step.
    ///
    /// # Errors
    /// A factor that is negative or not finite.
    ///
    /// ```
    /// use tealight::optim::schedule::{Exponential, Schedule};
    /// let schedule = Exponential::new(0.5)?;
    /// assert_eq!([0, 1, 2].map(|step| schedule.rate(step)), [1.0, 0.5, 0.25]);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn new(factor: f64) -> Result<Self> {
        Ok(Exponential(not_negative("Exponential", "a factor", factor)?))
    }
}

impl Schedule for Exponential {
    fn rate(&self, step: usize) -> f64 {
        power(self.0, step)
    }
}

/// A power of what is left of the steps: from 1 to 0.
///
/// ```
/// use tealight::optim::schedule::{Polynomial, Schedule};
/// let schedule = Polynomial::new(4, 2.0)?;
/// assert_eq!([0, 2, 4, 9].map(|step| schedule.rate(step)), [1.0, 0.25, 0.0, 0.0]);
/// # Ok::<(), tealight::Error>(())
/// ```
#[doc(alias = "PolynomialLR")]
#[derive(Clone, Copy, Debug)]
pub struct Polynomial {
    steps: usize,
    power: f64,
}

impl Polynomial {
    /// (1 − step / steps)ᵖ; a power of 1 is a straight line.
    ///
    /// # Errors
    /// A power that is negative or not finite; no steps.
    ///
    /// ```
    /// use tealight::optim::schedule::{Polynomial, Schedule};
    /// assert_eq!(Polynomial::new(4, 1.0)?.rate(1), 0.75);
    /// assert_eq!(Polynomial::new(4, 2.0)?.rate(1), 0.5625); // 0.75²
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn new(steps: usize, power: f64) -> Result<Self> {
        let power = not_negative("Polynomial", "a power", power)?;
        Ok(Polynomial { steps: some_steps("Polynomial", steps)?, power })
    }
}

impl Schedule for Polynomial {
    fn rate(&self, step: usize) -> f64 {
        Real::powf(1.0 - step.min(self.steps) as f64 / self.steps as f64, self.power)
    }

    fn steps(&self) -> usize {
        self.steps
    }
}
