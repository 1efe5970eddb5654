//! How the learning rate changes while a model is trained.
//!
//! A [`Schedule`] is a function of the step, without a memory, so a run that is taken up again goes on at the same rate.
//! Those here start at 1 or end at it, and are multiplied by the rate that one wants; a number is a schedule too, which
//! never changes, and so is any closure.

mod cosine;
mod decay;
mod plateau;

pub use cosine::{Cosine, OneCycle, WarmRestarts};
pub use decay::{Exponential, LinearLr, MultiStep, Polynomial, StepDecay};
pub use plateau::Plateau;

use crate::error::{Error, Result};

/// The learning rate of each step, counted from 0.
///
/// ```
/// use tealight::optim::schedule::{Cosine, LinearLr, Schedule};
/// use tealight::prelude::*;
/// // From 0.01 to 0.1 in 5 steps, and down to 0 in 45 more.
/// let schedule = LinearLr::new(0.1, 1.0, 5)?.then(Cosine::new(45)?).times(0.1);
/// let model = Linear::new(2, 1, &mut Rng::seed(1))?;
/// let mut optimizer = Sgd::new(model.parameters(), 0.1)?;
/// let x = Tensor::ones((4, 2), DType::F32, &Device::Cpu)?;
/// for step in 0..50 {
///     optimizer.set_learning_rate(schedule.rate(step))?;
///     let y = model.forward(&x, &mut ForwardContext::eval())?;
///     optimizer.step(&y.sqr()?.mean_all()?.backward()?)?;
/// }
/// assert_eq!((schedule.rate(0), schedule.rate(5), schedule.steps()), (0.1 * 0.1, 0.1, 50));
/// # Ok::<(), tealight::Error>(())
/// ```
#[doc(alias = "LRScheduler")]
#[doc(alias = "LambdaLR")]
pub trait Schedule {
    /// The rate of this step.
    ///
    /// ```
    /// use tealight::optim::schedule::Schedule;
    /// let slower = |step: usize| 1.0 / (step + 1) as f64;
    /// assert_eq!((slower.rate(0), slower.rate(3)), (1.0, 0.25));
    /// ```
    fn rate(&self, step: usize) -> f64;

    /// After how many steps the next schedule [follows](Schedule::then).
    ///
    /// ```
    /// use tealight::optim::schedule::{LinearLr, Schedule};
    /// assert_eq!(LinearLr::new(0.0, 1.0, 5)?.steps(), 5);
    /// assert_eq!(0.1_f64.steps(), usize::MAX); // nothing ever follows a number
    /// # Ok::<(), tealight::Error>(())
    /// ```
    fn steps(&self) -> usize {
        usize::MAX
    }

    /// This schedule for its [`steps`](Schedule::steps), then `next` from its beginning.
    ///
    /// ```
    /// use tealight::optim::schedule::{LinearLr, Schedule};
    /// let schedule = LinearLr::new(0.0, 1.0, 2)?.then(0.5);
    /// assert_eq!([0, 1, 2, 9].map(|step| schedule.rate(step)), [0.0, 0.5, 0.5, 0.5]);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    #[doc(alias = "SequentialLR")]
    fn then<S: Schedule>(self, next: S) -> Then<Self, S>
    where
        Self: Sized,
    {
        Then(self, next)
    }

    /// The product of two schedules, or of one and a number.
    ///
    /// ```
    /// use tealight::optim::schedule::{Schedule, StepDecay};
    /// let schedule = StepDecay::new(3, 0.5)?.times(0.25);
    /// assert_eq!((schedule.rate(0), schedule.rate(3)), (0.25, 0.125));
    /// # Ok::<(), tealight::Error>(())
    /// ```
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
    /// use tealight::optim::schedule::Schedule;
    /// let schedule = 1_f64.take(3).then(0.5);
    /// assert_eq!((schedule.rate(2), schedule.rate(3)), (1.0, 0.5));
    /// ```
    fn take(self, steps: usize) -> Take<Self>
    where
        Self: Sized,
    {
        Take(self, steps)
    }
}

/// The same rate in every step.
impl Schedule for f64 {
    fn rate(&self, _: usize) -> f64 {
        *self
    }
}

impl<F: Fn(usize) -> f64> Schedule for F {
    fn rate(&self, step: usize) -> f64 {
        self(step)
    }
}

/// One schedule after the other: see [`Schedule::then`].
///
/// ```
/// use tealight::optim::schedule::{Exponential, LinearLr, Schedule, Then};
/// let schedule: Then<LinearLr, Exponential> = LinearLr::new(0.5, 1.0, 2)?.then(Exponential::new(0.5)?);
/// assert_eq!([0, 1, 2, 3].map(|step| schedule.rate(step)), [0.5, 0.75, 1.0, 0.5]);
/// # Ok::<(), tealight::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Then<A, B>(A, B);

impl<A: Schedule, B: Schedule> Schedule for Then<A, B> {
    fn rate(&self, step: usize) -> f64 {
        match step.checked_sub(self.0.steps()) {
            Some(step) => self.1.rate(step),
            None => self.0.rate(step),
        }
    }

    fn steps(&self) -> usize {
        self.0.steps().saturating_add(self.1.steps())
    }
}

/// The product of two schedules: see [`Schedule::times`].
///
/// ```
/// use tealight::optim::schedule::{LinearLr, Schedule, StepDecay, Times};
/// let schedule: Times<StepDecay, LinearLr> = StepDecay::new(2, 0.5)?.times(LinearLr::new(0.0, 1.0, 4)?);
/// assert_eq!(schedule.rate(2), 0.25); // 0.5 · 0.5
/// assert_eq!(schedule.steps(), 4); // the smaller number
/// # Ok::<(), tealight::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Times<A, B>(A, B);

impl<A: Schedule, B: Schedule> Schedule for Times<A, B> {
    fn rate(&self, step: usize) -> f64 {
        self.0.rate(step) * self.1.rate(step)
    }

    fn steps(&self) -> usize {
        self.0.steps().min(self.1.steps())
    }
}

/// A schedule with another number of steps: see [`Schedule::take`].
///
/// ```
/// use tealight::optim::schedule::{Exponential, Schedule, Take};
/// let schedule: Take<Exponential> = Exponential::new(0.5)?.take(3);
/// assert_eq!((schedule.steps(), schedule.rate(3)), (3, 0.125)); // without a successor it goes on
/// # Ok::<(), tealight::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Take<A>(A, usize);

impl<A: Schedule> Schedule for Take<A> {
    fn rate(&self, step: usize) -> f64 {
        self.0.rate(step)
    }

    fn steps(&self) -> usize {
        self.1
    }
}

fn some_steps(op: &'static str, steps: usize) -> Result<usize> {
    if steps > 0 { Ok(steps) } else { Err(Error::argument(op, "one step or more", steps)) }
}

#[cfg(test)]
mod tests {
    use super::{
        Cosine, Exponential, LinearLr, MultiStep, OneCycle, Polynomial, Schedule, StepDecay, WarmRestarts,
    };
    use crate::error::Result;

    #[test]
    fn compositions() -> Result<()> {
        let schedule = (|step: usize| step as f64).take(2).then(0.5.take(1)).then(Exponential::new(0.5)?);
        let rates: Vec<f64> = (0..6).map(|step| schedule.rate(step)).collect();
        assert_eq!(rates, [0.0, 1.0, 0.5, 1.0, 0.5, 0.25]);
        assert_eq!(schedule.steps(), usize::MAX);
        let product = LinearLr::new(0.0, 1.0, 4)?.times(StepDecay::new(2, 0.1)?).times(3.0);
        assert_eq!((product.steps(), product.rate(2)), (4, 0.5 * 0.1 * 3.0));
        // What follows a schedule without an end never comes.
        assert_eq!(2.0.then(5.0).rate(usize::MAX - 1), 2.0);
        Ok(())
    }

    #[test]
    fn the_last_step_of_all() -> Result<()> {
        let schedules: [Box<dyn Schedule>; 9] = [
            Box::new(0.5),
            Box::new(LinearLr::new(0.1, 1.0, 5)?),
            Box::new(StepDecay::new(1, 0.9)?),
            Box::new(MultiStep::new(&[3, 1, usize::MAX], 0.1)?),
            Box::new(Exponential::new(1.0)?),
            Box::new(Polynomial::new(3, 2.0)?),
            Box::new(Cosine::new(1)?),
            Box::new(WarmRestarts::new(1, 1)?),
            Box::new(WarmRestarts::new(3, 2)?),
        ];
        for schedule in schedules.iter().chain([&(Box::new(OneCycle::new(1)?) as Box<dyn Schedule>)]) {
            for step in [0, 1, 2, usize::MAX / 2, usize::MAX - 1, usize::MAX] {
                let rate = schedule.rate(step);
                assert!((0.0..=1.0).contains(&rate), "{step}: {rate}");
            }
        }
        assert!(
            Cosine::new(0).is_err() && StepDecay::new(0, 0.1).is_err() && WarmRestarts::new(1, 0).is_err()
        );
        assert!(Exponential::new(f64::NAN).is_err() && MultiStep::new(&[], -1.0).is_err());
        let error = Polynomial::new(0, 1.0).unwrap_err().to_string();
        assert_eq!(error, "Polynomial: expected one step or more, got 0");
        Ok(())
    }
}
