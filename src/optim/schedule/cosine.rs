//! Schedules that go along a cosine.
//!
//! # Errors
//! A floor, factor or share outside its range; no steps.

use std::f64::consts::PI;

use super::super::{not_negative, positive};
use super::{Schedule, some_steps};
use crate::error::{Error, Result};
use crate::formula::Real;

/// From `start` to `end` while x goes from 0 to 1.
fn ease(start: f64, end: f64, x: f64) -> f64 {
    end + (start - end) / 2.0 * (1.0 + Real::cos(PI * x))
}

/// From 1 down to a floor along half a cosine.
///
/// If nothing follows it, the rate goes up again, as PyTorch's does.
///
/// ```
/// use tealight::optim::schedule::{Cosine, Schedule};
/// let schedule = Cosine::new(10)?.down_to(0.5)?;
/// assert_eq!([0, 5, 10].map(|step| schedule.rate(step)), [1.0, 0.75, 0.5]);
/// # Ok::<(), tealight::Error>(())
/// ```
#[doc(alias = "CosineAnnealingLR")]
#[derive(Clone, Copy, Debug)]
pub struct Cosine {
    steps: usize,
    floor: f64,
}

impl Cosine {
    /// Down to 0 in this many steps.
    ///
    /// # Errors
    /// No steps.
    ///
    /// ```
    /// use tealight::optim::schedule::{Cosine, Schedule};
    /// let schedule = Cosine::new(6)?;
    /// assert_eq!([0, 3, 6].map(|step| schedule.rate(step)), [1.0, 0.5, 0.0]);
    /// assert_eq!(schedule.steps(), 6);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    #[doc(alias = "T_max")]
    pub fn new(steps: usize) -> Result<Self> {
        Ok(Cosine { steps: some_steps("Cosine", steps)?, floor: 0.0 })
    }

    /// Down to this part of where it starts.
    ///
    /// # Errors
    /// A floor that is negative or not finite.
    ///
    /// ```
    /// use tealight::optim::schedule::{Cosine, Schedule};
    /// assert_eq!(Cosine::new(6)?.down_to(0.25)?.rate(6), 0.25);
    /// assert!(Cosine::new(6)?.down_to(-0.25).is_err());
    /// # Ok::<(), tealight::Error>(())
    /// ```
    #[doc(alias = "eta_min")]
    pub fn down_to(mut self, floor: f64) -> Result<Self> {
        self.floor = not_negative("Cosine", "a floor", floor)?;
        Ok(self)
    }
}

impl Schedule for Cosine {
    fn rate(&self, step: usize) -> f64 {
        // The cosine of a large multiple of π would lose its digits.
        let turns = step % self.steps.saturating_mul(2);
        ease(1.0, self.floor, turns as f64 / self.steps as f64)
    }

    fn steps(&self) -> usize {
        self.steps
    }
}

/// From 1 down to a floor along half a cosine, and again from 1, each time over `factor` times as many steps.
///
/// ```
/// use tealight::optim::schedule::{Schedule, WarmRestarts};
/// let schedule = WarmRestarts::new(2, 2)?;
/// let rates = [0, 1, 2, 4, 6].map(|step| (schedule.rate(step) * 100.0).round());
/// assert_eq!(rates, [100.0, 50.0, 100.0, 50.0, 100.0]);
/// # Ok::<(), tealight::Error>(())
/// ```
#[doc(alias = "CosineAnnealingWarmRestarts")]
#[derive(Clone, Copy, Debug)]
pub struct WarmRestarts {
    first: usize,
    factor: usize,
    floor: f64,
}

impl WarmRestarts {
    /// Restarts after `first` steps, then after `factor` times as many, and so on.
    ///
    /// # Errors
    /// No steps; a factor of 0.
    ///
    /// ```
    /// use tealight::optim::schedule::{Schedule, WarmRestarts};
    /// let schedule = WarmRestarts::new(4, 1)?;
    /// assert_eq!([0, 2, 4, 8].map(|step| schedule.rate(step)), [1.0, 0.5, 1.0, 1.0]);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    #[doc(alias = "T_0")]
    #[doc(alias = "T_mult")]
    pub fn new(first: usize, factor: usize) -> Result<Self> {
        let first = some_steps("WarmRestarts", first)?;
        match factor {
            0 => Err(Error::argument("WarmRestarts", "a factor of 1 or more", factor)),
            _ => Ok(WarmRestarts { first, factor, floor: 0.0 }),
        }
    }

    /// Down to this part of where it starts.
    ///
    /// # Errors
    /// A floor that is negative or not finite.
    ///
    /// ```
    /// use tealight::optim::schedule::{Schedule, WarmRestarts};
    /// assert_eq!(WarmRestarts::new(4, 1)?.down_to(0.5)?.rate(2), 0.75); // half of the way to 0.5
    /// # Ok::<(), tealight::Error>(())
    /// ```
    #[doc(alias = "eta_min")]
    pub fn down_to(mut self, floor: f64) -> Result<Self> {
        self.floor = not_negative("WarmRestarts", "a floor", floor)?;
        Ok(self)
    }
}

impl Schedule for WarmRestarts {
    fn rate(&self, step: usize) -> f64 {
        let (mut step, mut length) = (step, self.first);
        if self.factor == 1 {
            step %= length;
        }
        while step >= length {
            step -= length;
            length = length.saturating_mul(self.factor);
        }
        ease(1.0, self.floor, step as f64 / length as f64)
    }
}

/// Up to 1 and down to nearly nothing: one cycle for the whole training, with a high rate in its middle.
///
/// # Source
/// L. Smith and N. Topin 2017; details and defaults as in PyTorch.
///
/// ```
/// use tealight::optim::schedule::{OneCycle, Schedule};
/// let schedule = OneCycle::new(100)?;
/// assert!((schedule.rate(0) - 0.04).abs() < 1e-15);
/// assert_eq!(schedule.rate(29), 1.0);
/// assert!(schedule.rate(99) < 1e-5);
/// # Ok::<(), tealight::Error>(())
/// ```
#[doc(alias = "OneCycleLR")]
#[derive(Clone, Copy, Debug)]
pub struct OneCycle {
    steps: usize,
    share: f64,
    first: f64,
    last: f64,
    linear: bool,
    three: bool,
}

impl OneCycle {
    /// A cycle of this many steps, after which the rate stays.
    ///
    /// # Errors
    /// No steps.
    ///
    /// ```
    /// use tealight::optim::schedule::{OneCycle, Schedule};
    /// let schedule = OneCycle::new(100)?;
    /// assert_eq!(schedule.rate(99), schedule.rate(500));
    /// assert_eq!(OneCycle::new(0).unwrap_err().to_string(), "OneCycle: expected one step or more, got 0");
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn new(steps: usize) -> Result<Self> {
        let steps = some_steps("OneCycle", steps)?;
        Ok(OneCycle { steps, share: 0.3, first: 25.0, last: 1e4, linear: false, three: false })
    }

    /// The part of the steps in which the rate goes up, 0.3 if nothing is said.
    ///
    /// # Errors
    /// A part outside [0, 1].
    ///
    /// ```
    /// use tealight::optim::schedule::{OneCycle, Schedule};
    /// assert_eq!(OneCycle::new(100)?.rising(0.5)?.rate(49), 1.0); // the last of the first 50 steps
    /// # Ok::<(), tealight::Error>(())
    /// ```
    #[doc(alias = "pct_start")]
    pub fn rising(mut self, share: f64) -> Result<Self> {
        if !(0.0..=1.0).contains(&share) {
            return Err(Error::argument("OneCycle", "a share from 0 to 1", share));
        }
        self.share = share;
        Ok(self)
    }

    /// It starts at 1 / `first`, and ends at 1 / (`first` · `last`); 25 and 10,000 if nothing is said.
    ///
    /// # Errors
    /// One that is not positive.
    ///
    /// ```
    /// use tealight::optim::schedule::{OneCycle, Schedule};
    /// let schedule = OneCycle::new(100)?.divisors(4.0, 2.0)?;
    /// assert_eq!((schedule.rate(0), schedule.rate(99)), (0.25, 0.125));
    /// # Ok::<(), tealight::Error>(())
    /// ```
    #[doc(alias = "div_factor")]
    #[doc(alias = "final_div_factor")]
    pub fn divisors(mut self, first: f64, last: f64) -> Result<Self> {
        self.first = positive("OneCycle", "a divisor", first)?;
        self.last = positive("OneCycle", "a divisor", last)?;
        Ok(self)
    }

    /// Along straight lines instead of cosines.
    ///
    /// ```
    /// use tealight::optim::schedule::{OneCycle, Schedule};
    /// let schedule = OneCycle::new(10)?.rising(0.5)?.divisors(2.0, 1.0)?.linear();
    /// assert_eq!([0, 1, 2, 4].map(|step| schedule.rate(step)), [0.5, 0.625, 0.75, 1.0]);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    #[doc(alias = "anneal_strategy")]
    #[must_use]
    pub fn linear(mut self) -> Self {
        self.linear = true;
        self
    }

    /// Down to the start in as many steps as up, and then on to the end.
    ///
    /// ```
    /// use tealight::optim::schedule::{OneCycle, Schedule};
    /// let schedule = OneCycle::new(20)?.divisors(4.0, 2.0)?.three_phase();
    /// assert_eq!([0, 5, 10, 19].map(|step| schedule.rate(step)), [0.25, 1.0, 0.25, 0.125]);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    #[must_use]
    pub fn three_phase(mut self) -> Self {
        self.three = true;
        self
    }
}

impl Schedule for OneCycle {
    fn rate(&self, step: usize) -> f64 {
        let total = self.steps as f64;
        let (step, last) = (step.min(self.steps - 1) as f64, total - 1.0);
        let (low, lowest) = (1.0 / self.first, 1.0 / self.first / self.last);
        // PyTorch's ends: the last step of each phase, counted from 0.
        let (up, down) = (self.share * total - 1.0, 2.0 * self.share * total - 2.0);
        let two = [(up, low, 1.0), (last, 1.0, lowest)];
        let three = [(up, low, 1.0), (down, 1.0, low), (last, low, lowest)];
        let phases = if self.three { &three[..] } else { &two[..] };
        let (mut begin, mut rate) = (0.0, lowest);
        for (i, &(end, from, to)) in phases.iter().enumerate() {
            if step <= end || i + 1 == phases.len() {
                // A phase without a step is at its end.
                let x = if end > begin { ((step - begin) / (end - begin)).min(1.0) } else { 1.0 };
                rate = if self.linear { from + (to - from) * x } else { ease(from, to, x) };
                break;
            }
            begin = end;
        }
        rate
    }

    fn steps(&self) -> usize {
        self.steps
    }
}
