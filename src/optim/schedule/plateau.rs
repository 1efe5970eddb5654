//! A learning rate that falls when a score stops improving.

use std::collections::BTreeMap;

use super::super::state::{StateReader, StateWriter};
use super::super::{fraction, not_negative};
use crate::autograd::Tensor;
use crate::error::Result;

/// A learning rate that is multiplied by a factor when a loss (or score) has not improved for a while, as PyTorch's
/// `ReduceLROnPlateau`. In a [`Trainer`](crate::train::Trainer) it goes into the callback
/// [`OnPlateau`](crate::train::OnPlateau).
///
/// It is not a [`Schedule`](super::Schedule), because it remembers the best loss. A NaN never improves it.
///
/// ```
/// # use tealight::optim::schedule::ReduceLrOnPlateau;
/// let (mut plateau, mut learning_rate) = (ReduceLrOnPlateau::new(0.5)?.patience(2), 0.1);
/// let rates = [1.0, 0.9, 0.9, 0.9, 0.9].map(|loss| {
///     learning_rate = plateau.observe(loss, learning_rate);
///     learning_rate
/// });
/// assert_eq!(rates, [0.1, 0.1, 0.1, 0.1, 0.05]);
/// # Ok::<(), tealight::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct ReduceLrOnPlateau {
    factor: f64,
    patience: u64,
    cooldown: u64,
    threshold: f64,
    absolute: bool,
    pub(crate) maximize: bool,
    min_lr: f64,
    eps: f64,
    /// NaN before the first.
    best: f64,
    /// Observations without improvement in a row.
    bad: u64,
    /// Observations that still do not count as bad.
    cooling: u64,
}

impl ReduceLrOnPlateau {
    /// Multiplies the learning rate by `factor` each time.
    ///
    /// # Errors
    /// Errors if the factor is outside [0, 1).
    pub fn new(factor: f64) -> Result<Self> {
        Ok(ReduceLrOnPlateau {
            factor: fraction("ReduceLrOnPlateau", "a factor", factor)?,
            patience: 10,
            cooldown: 0,
            threshold: 1e-4,
            absolute: false,
            maximize: false,
            min_lr: 0.0,
            eps: 1e-8,
            best: f64::NAN,
            bad: 0,
            cooling: 0,
        })
    }

    /// The number of observations without improvement that are tolerated. Default: 10.
    #[must_use]
    pub fn patience(self, patience: u64) -> Self {
        ReduceLrOnPlateau { patience, ..self }
    }

    /// The number of observations after a reduction that do not count. Default: 0.
    #[must_use]
    pub fn cooldown(self, cooldown: u64) -> Self {
        ReduceLrOnPlateau { cooldown, ..self }
    }

    /// The fraction of the best loss by which a loss must be better to be an improvement. Default: 1e-4.
    ///
    /// # Errors
    /// Errors if it is negative or not finite.
    pub fn threshold(mut self, threshold: f64) -> Result<Self> {
        self.threshold = not_negative("ReduceLrOnPlateau", "a threshold", threshold)?;
        Ok(self)
    }

    /// Makes the threshold a difference instead of a fraction.
    #[doc(alias = "threshold_mode")]
    #[must_use]
    pub fn absolute(self) -> Self {
        ReduceLrOnPlateau { absolute: true, ..self }
    }

    /// Larger is better, as for an accuracy. The callback [`OnPlateau`](crate::train::OnPlateau) decides it by the score.
    #[doc(alias = "mode")]
    #[must_use]
    pub fn maximize(self) -> Self {
        ReduceLrOnPlateau { maximize: true, ..self }
    }

    /// The lower bound of the learning rate, before the factors of schedules and groups. Default: 0.
    ///
    /// # Errors
    /// Errors if it is negative or not finite.
    pub fn min_lr(mut self, learning_rate: f64) -> Result<Self> {
        self.min_lr = not_negative("ReduceLrOnPlateau", "a learning rate", learning_rate)?;
        Ok(self)
    }

    /// A reduction by no more than this is not made. Default: 1e-8.
    ///
    /// # Errors
    /// Errors if it is negative or not finite.
    pub fn eps(mut self, eps: f64) -> Result<Self> {
        self.eps = not_negative("ReduceLrOnPlateau", "an eps", eps)?;
        Ok(self)
    }

    /// Takes in a loss and the learning rate, and returns the learning rate from now on. PyTorch's `scheduler.step(loss)`.
    pub fn observe(&mut self, loss: f64, learning_rate: f64) -> f64 {
        let sign = if self.maximize { 1.0 } else { -1.0 };
        let best = if self.best.is_nan() { -sign * f64::INFINITY } else { self.best };
        let bound = match self.absolute {
            true => best + sign * self.threshold,
            false => best * (1.0 + sign * self.threshold),
        };
        if if self.maximize { loss > bound } else { loss < bound } {
            (self.best, self.bad) = (loss, 0);
        } else {
            self.bad = self.bad.saturating_add(1);
        }
        if self.cooling > 0 {
            (self.cooling, self.bad) = (self.cooling - 1, 0);
        }
        if self.bad <= self.patience {
            return learning_rate;
        }
        (self.cooling, self.bad) = (self.cooldown, 0);
        let reduced = (learning_rate * self.factor).max(self.min_lr);
        if learning_rate - reduced > self.eps { reduced } else { learning_rate }
    }

    /// The state as named tensors, to be saved.
    pub fn state_dict(&self) -> Result<BTreeMap<String, Tensor>> {
        let mut writer = StateWriter::default();
        writer.scalar("best".into(), self.best)?;
        writer.count("num_bad_epochs".into(), self.bad)?;
        writer.count("cooldown_counter".into(), self.cooling)?;
        Ok(writer.0)
    }

    /// Loads what [`state_dict`](ReduceLrOnPlateau::state_dict) returned.
    ///
    /// # Errors
    /// Errors if an entry is missing, unexpected or invalid. The error names it, and nothing changes.
    pub fn load_state_dict(&mut self, state: &BTreeMap<String, Tensor>) -> Result<()> {
        let mut reader = StateReader::new(state);
        let best = reader.scalar("best")?;
        let (bad, cooling) = (reader.count("num_bad_epochs")?, reader.count("cooldown_counter")?);
        reader.finish()?;
        (self.best, self.bad, self.cooling) = (best, bad, cooling);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::ReduceLrOnPlateau;
    use crate::error::Result;

    #[test]
    fn resumes_with_the_same_rates() -> Result<()> {
        let losses = [3.0, 2.0, f64::NAN, 2.0, 2.5, 1.0, f64::INFINITY, 1.0, 1.0, 1.0, 1.0, 0.5, -1.0, -1.0];
        let new = || ReduceLrOnPlateau::new(0.5).map(|plateau| plateau.patience(1).cooldown(1));
        let run = |plateau: &mut ReduceLrOnPlateau, losses: &[f64], start: f64| -> Vec<f64> {
            let step = |rate: &mut f64, &loss: &f64| {
                *rate = plateau.observe(loss, *rate);
                Some(*rate)
            };
            losses.iter().scan(start, step).collect()
        };
        let rates = run(&mut new()?, &losses, 1.0);
        for at in 0..losses.len() {
            let (mut first, mut second) = (new()?, new()?);
            let rate = run(&mut first, &losses[..at], 1.0).last().copied().unwrap_or(1.0);
            second.load_state_dict(&first.state_dict()?)?;
            assert_eq!(run(&mut second, &losses[at..], rate), rates[at..], "{at}");
        }
        let mut other = new()?;
        let text = other.load_state_dict(&Default::default()).unwrap_err().to_string();
        assert_eq!(text, "best: expected in the state, but not there");
        assert!(ReduceLrOnPlateau::new(1.0).is_err() && ReduceLrOnPlateau::new(f64::NAN).is_err());
        Ok(())
    }
}
