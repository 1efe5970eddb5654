//! Learning rate schedules.
//!
//! A [`Schedule`] is a function of the step without state, so resuming a training needs nothing of it. Its factors multiply the
//! optimizer's learning rate, and so that of each parameter group, as in PyTorch. A constant f64 and any closure are schedules
//! too. [`OneCycleLr`] and [`CyclicLr`] can set the momentum as well. [`ReduceLrOnPlateau`] depends on a score instead.

mod cosine;
mod cyclic;
mod decay;
mod plateau;

pub use cosine::{CosineAnnealingLr, CosineAnnealingWarmRestarts, OneCycleLr};
pub use cyclic::CyclicLr;
pub use decay::{ExponentialLr, LinearLr, MultiStepLr, PolynomialLr, StepLr};
pub use plateau::ReduceLrOnPlateau;

use crate::error::{Error, Result};

/// The factor of the optimizer's learning rate in each step, counted from 0.
///
/// [`Trainer::schedule`](crate::train::Trainer::schedule) applies it. Your own loop sets the learning rate of each step to the
/// product: `optimizer.set_learning_rate(0.01 * schedule.factor(step))?`.
///
/// ```
/// # use tealight::optim::schedule::{CosineAnnealingLr, LinearLr, Schedule};
/// // From a tenth of the optimizer's learning rate to all of it in 5 steps, and down to 0 in 45 more.
/// let schedule = LinearLr::new(0.1, 1.0, 5)?.then(CosineAnnealingLr::new(45)?);
/// assert_eq!((schedule.factor(0), schedule.factor(5), schedule.steps()), (0.1, 1.0, 50));
/// // A closure is a schedule.
/// let inverse = |step: usize| 1.0 / (step + 1) as f64;
/// assert_eq!(inverse.factor(3), 0.25);
/// # Ok::<(), tealight::Error>(())
/// ```
#[doc(alias = "LRScheduler")]
#[doc(alias = "LambdaLR")]
pub trait Schedule {
    /// The learning rate of this step, divided by the optimizer's.
    #[doc(alias = "get_lr")]
    fn factor(&self, step: usize) -> f64;

    /// The momentum of this step, which replaces the optimizer's: see
    /// [`Optimizer::set_momentum`](super::Optimizer::set_momentum). Default: `None`, the optimizer's.
    fn momentum(&self, step: usize) -> Option<f64> {
        let _ = step;
        None
    }

    /// The number of steps after which the next schedule [follows](Schedule::then). Default: `usize::MAX`, never.
    fn steps(&self) -> usize {
        usize::MAX
    }

    /// This schedule for its [`steps`](Schedule::steps), then `next` from its step 0.
    #[doc(alias = "SequentialLR")]
    fn then<S: Schedule>(self, next: S) -> Then<Self, S>
    where
        Self: Sized,
    {
        Then(self, next)
    }

    /// The product of two schedules, or of a schedule and a constant. It ends with the shorter one. The momentum is that of the
    /// first which has one.
    #[doc(alias = "ChainedScheduler")]
    fn times<S: Schedule>(self, other: S) -> Times<Self, S>
    where
        Self: Sized,
    {
        Times(self, other)
    }

    /// This schedule with another number of [`steps`](Schedule::steps).
    ///
    /// ```
    /// # use tealight::optim::schedule::Schedule;
    /// let schedule = 1_f64.take(3).then(0.5);
    /// assert_eq!((schedule.factor(2), schedule.factor(3)), (1.0, 0.5));
    /// ```
    fn take(self, steps: usize) -> Take<Self>
    where
        Self: Sized,
    {
        Take(self, steps)
    }
}

/// A constant factor.
impl Schedule for f64 {
    fn factor(&self, _: usize) -> f64 {
        *self
    }
}

impl<F: Fn(usize) -> f64> Schedule for F {
    fn factor(&self, step: usize) -> f64 {
        self(step)
    }
}

/// One schedule after the other: see [`Schedule::then`].
#[derive(Clone, Copy, Debug)]
pub struct Then<A, B>(A, B);

impl<A: Schedule, B: Schedule> Schedule for Then<A, B> {
    fn factor(&self, step: usize) -> f64 {
        match step.checked_sub(self.0.steps()) {
            Some(step) => self.1.factor(step),
            None => self.0.factor(step),
        }
    }

    fn momentum(&self, step: usize) -> Option<f64> {
        match step.checked_sub(self.0.steps()) {
            Some(step) => self.1.momentum(step),
            None => self.0.momentum(step),
        }
    }

    fn steps(&self) -> usize {
        self.0.steps().saturating_add(self.1.steps())
    }
}

/// The product of two schedules: see [`Schedule::times`].
#[derive(Clone, Copy, Debug)]
pub struct Times<A, B>(A, B);

impl<A: Schedule, B: Schedule> Schedule for Times<A, B> {
    fn factor(&self, step: usize) -> f64 {
        self.0.factor(step) * self.1.factor(step)
    }

    fn momentum(&self, step: usize) -> Option<f64> {
        self.0.momentum(step).or_else(|| self.1.momentum(step))
    }

    fn steps(&self) -> usize {
        self.0.steps().min(self.1.steps())
    }
}

/// A schedule with another number of steps: see [`Schedule::take`].
#[derive(Clone, Copy, Debug)]
pub struct Take<A>(A, usize);

impl<A: Schedule> Schedule for Take<A> {
    fn factor(&self, step: usize) -> f64 {
        self.0.factor(step)
    }

    fn momentum(&self, step: usize) -> Option<f64> {
        self.0.momentum(step)
    }

    fn steps(&self) -> usize {
        self.1
    }
}

/// The setter of a momentum that moves against the rate.
macro_rules! cycle_momentum {
    ($op:literal, $(#[$doc:meta])*) => {
        $(#[$doc])*
        ///
        /// The momentum of all parameter groups moves between the two, and stands in for their own. It is β₁ of the Adam family.
        /// Default: the momentum does not change.
        ///
        /// # Errors
        /// Errors unless 0 < `base` ≤ `max` < 1. A [`Trainer`](crate::train::Trainer) refuses an optimizer without momentum.
        #[doc(alias = "base_momentum")]
        #[doc(alias = "max_momentum")]
        pub fn cycle_momentum(mut self, base: f64, max: f64) -> Result<Self> {
            if !(0.0 < base && base <= max && max < 1.0) {
                return Err(Error::argument($op, "0 < base momentum ≤ max momentum < 1", format!("{base} and {max}")));
            }
            self.momentum = Some([base, max]);
            Ok(self)
        }
    };
}
use cycle_momentum;

fn at_least_one_step(op: &'static str, steps: usize) -> Result<usize> {
    if steps > 0 { Ok(steps) } else { Err(Error::argument(op, "one step or more", steps)) }
}

#[cfg(test)]
mod tests {
    use super::{
        CosineAnnealingLr, CosineAnnealingWarmRestarts, CyclicLr, ExponentialLr, LinearLr, MultiStepLr,
        OneCycleLr, PolynomialLr, Schedule, StepLr,
    };
    use crate::error::Result;

    #[test]
    fn compositions() -> Result<()> {
        let schedule = (|step: usize| step as f64).take(2).then(0.5.take(1)).then(ExponentialLr::new(0.5)?);
        let rates: Vec<f64> = (0..6).map(|step| schedule.factor(step)).collect();
        assert_eq!(rates, [0.0, 1.0, 0.5, 1.0, 0.5, 0.25]);
        assert_eq!(schedule.steps(), usize::MAX);
        let product = LinearLr::new(0.0, 1.0, 4)?.times(StepLr::new(2, 0.1)?).times(3.0);
        assert_eq!((product.steps(), product.factor(2)), (4, 0.5 * 0.1 * 3.0));
        // What follows a schedule without an end never comes.
        assert_eq!(2.0.then(5.0).factor(usize::MAX - 1), 2.0);
        Ok(())
    }

    #[test]
    fn the_last_step_of_all() -> Result<()> {
        let schedules: [Box<dyn Schedule>; 11] = [
            Box::new(0.5),
            Box::new(LinearLr::new(0.1, 1.0, 5)?),
            Box::new(StepLr::new(1, 0.9)?),
            Box::new(MultiStepLr::new(&[3, 1, usize::MAX], 0.1)?),
            Box::new(ExponentialLr::new(1.0)?),
            Box::new(PolynomialLr::new(3, 2.0)?),
            Box::new(CosineAnnealingLr::new(1)?),
            Box::new(CosineAnnealingWarmRestarts::new(1, 1)?),
            Box::new(CosineAnnealingWarmRestarts::new(3, 2)?),
            Box::new(CyclicLr::new(0.1, 1)?.triangular2()),
            Box::new(CyclicLr::new(0.0, usize::MAX)?.step_size_down(2)?.exp_range(0.9)?),
        ];
        for schedule in schedules.iter().chain([&(Box::new(OneCycleLr::new(1)?) as Box<dyn Schedule>)]) {
            for step in [0, 1, 2, usize::MAX / 2, usize::MAX - 1, usize::MAX] {
                let rate = schedule.factor(step);
                assert!((0.0..=1.0).contains(&rate), "{step}: {rate}");
            }
        }
        assert!(
            CosineAnnealingLr::new(0).is_err()
                && StepLr::new(0, 0.1).is_err()
                && CosineAnnealingWarmRestarts::new(1, 0).is_err()
        );
        assert!(ExponentialLr::new(f64::NAN).is_err() && MultiStepLr::new(&[], -1.0).is_err());
        let error = PolynomialLr::new(0, 1.0).unwrap_err().to_string();
        assert_eq!(error, "PolynomialLr: expected one step or more, got 0");
        Ok(())
    }
}
