//! A learning rate that falls when a score stops improving.

use std::collections::BTreeMap;

use super::super::state::{LEARNING_RATE, StateReader, StateWriter};
use super::super::{fraction, not_negative};
use crate::autograd::Tensor;
use crate::error::{Error, Result};

/// A learning rate that is multiplied by a factor when a loss (or score) has not improved for a while, as PyTorch's
/// `ReduceLROnPlateau`. In a [`Trainer`](crate::train::Trainer) it goes into the callback
/// [`OnPlateau`](crate::train::OnPlateau).
///
/// It is not a [`Schedule`](super::Schedule), because it remembers the best loss. A NaN never improves it.
///
/// ```
/// # use tealight::optim::schedule::ReduceLrOnPlateau;
/// let mut plateau = ReduceLrOnPlateau::new(0.1, 0.5)?.patience(2);
/// let rates = [1.0, 0.9, 0.9, 0.9, 0.9].map(|loss| plateau.observe(loss));
/// assert_eq!(rates, [0.1, 0.1, 0.1, 0.1, 0.05]);
/// # Ok::<(), tealight::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct ReduceLrOnPlateau {
    learning_rate: f64,
    factor: f64,
    patience: u64,
    cooldown: u64,
    threshold: f64,
    absolute: bool,
    maximize: bool,
    min_lr: f64,
    eps: f64,
    best: f64,
    /// Observations without improvement in a row.
    bad: u64,
    /// Observations that still do not count as bad.
    cooling: u64,
}

impl ReduceLrOnPlateau {
    /// Starts at `learning_rate`, and multiplies it by `factor` each time.
    ///
    /// # Errors
    /// Errors if the learning rate is negative or not finite, or the factor is outside [0, 1).
    pub fn new(learning_rate: f64, factor: f64) -> Result<Self> {
        Ok(ReduceLrOnPlateau {
            learning_rate: not_negative("ReduceLrOnPlateau", "a learning rate", learning_rate)?,
            factor: fraction("ReduceLrOnPlateau", "a factor", factor)?,
            patience: 10,
            cooldown: 0,
            threshold: 1e-4,
            absolute: false,
            maximize: false,
            min_lr: 0.0,
            eps: 1e-8,
            best: f64::INFINITY,
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

    /// Larger is better, as for an accuracy.
    #[doc(alias = "mode")]
    #[must_use]
    pub fn maximize(self) -> Self {
        ReduceLrOnPlateau { maximize: true, best: f64::NEG_INFINITY, ..self }
    }

    /// The lower bound of the learning rate. Default: 0.
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

    /// The current learning rate.
    pub fn learning_rate(&self) -> f64 {
        self.learning_rate
    }

    /// Takes in a loss, and returns the learning rate from now on. PyTorch's `scheduler.step(loss)`.
    pub fn observe(&mut self, loss: f64) -> f64 {
        let sign = if self.maximize { 1.0 } else { -1.0 };
        let bound = match self.absolute {
            true => self.best + sign * self.threshold,
            false => self.best * (1.0 + sign * self.threshold),
        };
        if if self.maximize { loss > bound } else { loss < bound } {
            (self.best, self.bad) = (loss, 0);
        } else {
            self.bad = self.bad.saturating_add(1);
        }
        if self.cooling > 0 {
            (self.cooling, self.bad) = (self.cooling - 1, 0);
        }
        if self.bad > self.patience {
            let reduced = (self.learning_rate * self.factor).max(self.min_lr);
            if self.learning_rate - reduced > self.eps {
                self.learning_rate = reduced;
            }
            (self.cooling, self.bad) = (self.cooldown, 0);
        }
        self.learning_rate
    }

    /// The state as named tensors, to be saved.
    #[doc(alias = "state_dict")]
    pub fn state(&self) -> Result<BTreeMap<String, Tensor>> {
        let mut writer = StateWriter::default();
        writer.scalar(LEARNING_RATE.into(), self.learning_rate)?;
        writer.scalar("best".into(), self.best)?;
        writer.count("num_bad_epochs".into(), self.bad)?;
        writer.count("cooldown_counter".into(), self.cooling)?;
        Ok(writer.0)
    }

    /// Loads what [`state`](ReduceLrOnPlateau::state) returned.
    ///
    /// # Errors
    /// Errors if an entry is missing, unexpected or invalid. The error names it, and nothing changes.
    #[doc(alias = "load_state_dict")]
    pub fn load_state(&mut self, state: &BTreeMap<String, Tensor>) -> Result<()> {
        let mut reader = StateReader::new(state);
        let learning_rate = reader.scalar(LEARNING_RATE)?;
        let learning_rate = not_negative("ReduceLrOnPlateau", "a learning rate", learning_rate)?;
        let best: f64 = reader.scalar("best")?;
        if best.is_nan() {
            return Err(Error::argument("ReduceLrOnPlateau", "a best loss that is not NaN", best));
        }
        let (bad, cooling) = (reader.count("num_bad_epochs")?, reader.count("cooldown_counter")?);
        reader.finish()?;
        (self.learning_rate, self.best, self.bad, self.cooling) = (learning_rate, best, bad, cooling);
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
        let new = || ReduceLrOnPlateau::new(1.0, 0.5).map(|plateau| plateau.patience(1).cooldown(1));
        let mut whole = new()?;
        let rates: Vec<f64> = losses.iter().map(|&loss| whole.observe(loss)).collect();
        for at in 0..losses.len() {
            let (mut first, mut second) = (new()?, new()?);
            losses[..at].iter().for_each(|&loss| _ = first.observe(loss));
            second.load_state(&first.state()?)?;
            let rest: Vec<f64> = losses[at..].iter().map(|&loss| second.observe(loss)).collect();
            assert_eq!(rest, rates[at..], "{at}");
        }
        let mut other = new()?;
        let text = other.load_state(&Default::default()).unwrap_err().to_string();
        assert_eq!(text, "learning_rate: expected in the state, but not there");
        assert!(ReduceLrOnPlateau::new(0.1, 1.0).is_err() && ReduceLrOnPlateau::new(f64::NAN, 0.1).is_err());
        Ok(())
    }
}
