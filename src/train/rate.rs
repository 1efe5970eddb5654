//! The search for a learning rate.
//!
//! # Formula
//! The rate grows from step to step by a constant factor; the losses are smoothed, m ← 0.9·m + 0.1·l, and divided by 1 − 0.9ᵗ.
//!
//! # Source
//! L. N. Smith 2017, "Cyclical learning rates for training neural networks".

use super::Batches;
use super::trainer::{State, Trainer};
use crate::autograd::Tensor;
use crate::error::{Error, Result};
use crate::layer::StateEntry;

const KEPT: f64 = 0.9;

/// A loss that is so many times the smallest one has left the range of useful rates.
const TOO_MUCH: f64 = 4.0;

/// The losses at rates that grow: [`Trainer::lr_find`].
///
/// ```
/// use tealight::prelude::*;
/// let x = Tensor::ones((8, 2), DType::F32, &Device::Cpu)?;
/// let model = Linear::new(2, 2, &mut Rng::seed(1))?;
/// let mut trainer = Trainer::new(&model, Mse, Sgd::new(model.parameters(), 0.1)?).silent();
/// let range = trainer.lr_find(&x, 1e-4, 1e-2, 3)?;
/// assert_eq!((range.losses.len(), range.losses[0].0), (3, 1e-4));
/// assert!((range.losses[1].0 - 1e-3).abs() < 1e-12); // ten times as large at each step
/// # Ok::<(), tealight::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct LrFinder {
    /// Pairs of a rate and the smoothed loss after the steps up to it, as [`plot::curve`](crate::plot::curve) takes them.
    pub losses: Vec<(f64, f64)>,
}

impl LrFinder {
    /// A tenth of the rate at which the loss was least: there it still falls, and it is far from where it runs away. A good rate to
    /// train with, or the largest of a schedule.
    ///
    /// # Errors
    /// A loss that never falls.
    ///
    /// ```
    /// use tealight::train::LrFinder;
    /// let range = LrFinder { losses: vec![(0.01, 1.0), (0.1, 0.5), (1.0, 3.0)] };
    /// assert_eq!(range.suggestion()?, 0.01); // a tenth of 0.1, where the loss is 0.5
    /// assert!(LrFinder { losses: vec![(0.1, 1.0), (1.0, 2.0)] }.suggestion().is_err());
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn suggestion(&self) -> Result<f64> {
        let least = self.losses.iter().min_by(|a, b| a.1.total_cmp(&b.1));
        match (self.losses.first(), least) {
            (Some(first), Some(least)) if least.1 < first.1 => Ok(least.0 / 10.0),
            _ => {
                let expected = "a loss that falls at some rate: smaller ones, more steps";
                Err(Error::argument("lr_find", expected, "none"))
            }
        }
    }
}

impl Trainer<'_> {
    /// Trains for `steps` steps with learning rates that grow from `from` to `to`, and puts the model and the optimizer back as
    /// they were. It ends early when the loss becomes very large. Schedule, callbacks and epochs are left aside.
    ///
    /// # Errors
    /// Rates that are not positive and growing, fewer than two steps; what [`fit`](Trainer::fit) refuses.
    ///
    /// ```
    /// use tealight::prelude::*;
    /// use tealight::train::Trainer;
    /// let x = Tensor::randn(0_f32, 1.0, (200, 3), &mut Rng::seed(1))?;
    /// let data = (x.clone(), x.sum_keepdim(1)?);
    /// let model = Linear::new(3, 1, &mut Rng::seed(2))?;
    /// let mut trainer = Trainer::new(&model, Mse, Sgd::new(model.parameters(), 0.1)?).silent();
    /// let range = trainer.lr_find(&data, 1e-5, 10.0, 100)?;
    /// assert!((1e-3..1.0).contains(&range.suggestion()?));
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn lr_find(&mut self, data: &dyn Batches, from: f64, to: f64, steps: u64) -> Result<LrFinder> {
        if !(from > 0.0 && from < to && to.is_finite() && steps > 1) {
            let got = format!("{from}, {to} and {steps}");
            return Err(Error::argument("lr_find", "0 < from < to and two steps or more", got));
        }
        let optimizer = self.optimizer.state()?;
        let model: Vec<(StateEntry, Tensor)> =
            self.model.state().into_iter().map(|(_, held)| (held.clone(), held.get())).collect();
        let schedule = self.schedule.take();
        let found = self.try_rates(data, from, to, steps);
        self.schedule = schedule;
        model.into_iter().try_for_each(|(held, value)| held.set(&value))?;
        self.optimizer.load_state(&optimizer)?;
        found
    }

    fn try_rates(&mut self, data: &dyn Batches, from: f64, to: f64, steps: u64) -> Result<LrFinder> {
        let mut loader = data.batches(self.batch_size, Some(self.seed))?;
        if loader.is_empty() {
            return Err(Error::argument("lr_find", "enough examples for a batch", loader.dataset().len()));
        }
        let mut batches = loader.epoch()?;
        let (mut state, mut losses) = (State::default(), Vec::new());
        let (mut mean, mut least) = (0.0, f64::INFINITY);
        while state.step < steps {
            if batches.len() == 0 {
                batches = loader.epoch()?;
            }
            let rate = from * (to / from).powf(state.step as f64 / (steps - 1) as f64);
            self.optimizer.set_learning_rate(rate)?;
            let loss = match self.step(&mut batches, &mut state) {
                Ok(loss) => loss,
                // It ran away between two steps: the rates before are what was asked for.
                Err(_) if state.step > 1 => break,
                Err(error) => return Err(error),
            };
            mean = KEPT * mean + (1.0 - KEPT) * loss;
            let smooth = mean / (1.0 - KEPT.powf(state.step as f64));
            losses.push((rate, smooth));
            least = least.min(smooth);
            if smooth > TOO_MUCH * least {
                break;
            }
        }
        Ok(LrFinder { losses })
    }
}
