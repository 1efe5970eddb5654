//! A rate that goes down when nothing gets better.
//!
//! # Errors
//! A setting outside its range.

use std::collections::BTreeMap;

use super::super::state::{RATE, Reader, Writer};
use super::super::{fraction, not_negative};
use crate::autograd::Tensor;
use crate::error::{Error, Result};

/// A learning rate that is multiplied by a factor when a loss has not become better for a while.
///
/// It is no [`Schedule`](super::Schedule): it remembers the best loss. A loss that is NaN is no better than any.
///
/// ```
/// use tealight::optim::schedule::Plateau;
/// let mut plateau = Plateau::new(0.1, 0.5)?.patience(2);
/// let rates = [1.0, 0.9, 0.9, 0.9, 0.9].map(|loss| plateau.observe(loss));
/// assert_eq!(rates, [0.1, 0.1, 0.1, 0.1, 0.05]);
/// # Ok::<(), tealight::Error>(())
/// ```
#[doc(alias = "ReduceLROnPlateau")]
#[derive(Clone, Debug)]
pub struct Plateau {
    rate: f64,
    factor: f64,
    patience: u64,
    cooldown: u64,
    threshold: f64,
    absolute: bool,
    larger_is_better: bool,
    least_rate: f64,
    least_change: f64,
    best: f64,
    /// Bad observations in a row.
    bad: u64,
    /// Observations for which nothing counts as bad.
    cooling: u64,
}

impl Plateau {
    /// Starts at `rate`, which is multiplied by `factor` each time.
    ///
    /// # Errors
    /// A rate that is negative or not finite; a factor outside [0, 1).
    ///
    /// ```
    /// use tealight::optim::schedule::Plateau;
    /// assert_eq!(Plateau::new(0.1, 0.5)?.rate(), 0.1);
    /// let error = Plateau::new(0.1, 1.0).unwrap_err();
    /// assert_eq!(error.to_string(), "Plateau: expected a factor from 0 to below 1, got 1");
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn new(rate: f64, factor: f64) -> Result<Self> {
        Ok(Plateau {
            rate: not_negative("Plateau", "a rate", rate)?,
            factor: fraction("Plateau", "a factor", factor)?,
            patience: 10,
            cooldown: 0,
            threshold: 1e-4,
            absolute: false,
            larger_is_better: false,
            least_rate: 0.0,
            least_change: 1e-8,
            best: f64::INFINITY,
            bad: 0,
            cooling: 0,
        })
    }

    /// How many bad observations in a row are borne, 10 if nothing is said.
    ///
    /// ```
    /// use tealight::optim::schedule::Plateau;
    /// let mut plateau = Plateau::new(0.8, 0.5)?.patience(1);
    /// assert_eq!([1.0, 1.0, 1.0].map(|loss| plateau.observe(loss)), [0.8, 0.8, 0.4]);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    #[must_use]
    pub fn patience(self, patience: u64) -> Self {
        Plateau { patience, ..self }
    }

    /// For how many observations after a change nothing counts as bad, 0 if nothing is said.
    ///
    /// ```
    /// use tealight::optim::schedule::Plateau;
    /// let mut plateau = Plateau::new(0.8, 0.5)?.patience(0).cooldown(1);
    /// // The third observation is let pass.
    /// assert_eq!([1.0; 4].map(|loss| plateau.observe(loss)), [0.8, 0.4, 0.4, 0.2]);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    #[must_use]
    pub fn cooldown(self, cooldown: u64) -> Self {
        Plateau { cooldown, ..self }
    }

    /// By which part of the best a loss must be better to count as such, 1e-4 if nothing is said.
    ///
    /// # Errors
    /// One that is negative or not finite.
    ///
    /// ```
    /// use tealight::optim::schedule::Plateau;
    /// let mut plateau = Plateau::new(0.8, 0.5)?.patience(0).threshold(0.1)?;
    /// // 0.95 is not better than 1 by a tenth, 0.85 is.
    /// assert_eq!([1.0, 0.95, 0.85].map(|loss| plateau.observe(loss)), [0.8, 0.4, 0.4]);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn threshold(mut self, threshold: f64) -> Result<Self> {
        self.threshold = not_negative("Plateau", "a threshold", threshold)?;
        Ok(self)
    }

    /// The threshold is a difference, not a part of the best.
    ///
    /// ```
    /// use tealight::optim::schedule::Plateau;
    /// let mut plateau = Plateau::new(0.8, 0.5)?.patience(0).threshold(0.5)?.absolute();
    /// // Better by 1, and then by 0.25.
    /// assert_eq!([10.0, 9.0, 8.75].map(|loss| plateau.observe(loss)), [0.8, 0.8, 0.4]);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    #[doc(alias = "threshold_mode")]
    #[must_use]
    pub fn absolute(self) -> Self {
        Plateau { absolute: true, ..self }
    }

    /// What is observed is better the larger it is, such as an accuracy.
    ///
    /// ```
    /// use tealight::optim::schedule::Plateau;
    /// let mut plateau = Plateau::new(0.8, 0.5)?.patience(0).larger_is_better();
    /// assert_eq!([0.6, 0.7, 0.7].map(|accuracy| plateau.observe(accuracy)), [0.8, 0.8, 0.4]);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    #[must_use]
    pub fn larger_is_better(self) -> Self {
        Plateau { larger_is_better: true, best: f64::NEG_INFINITY, ..self }
    }

    /// The rate never goes below this; and a change smaller than `change` (1e-8 if nothing is said) is not made.
    ///
    /// # Errors
    /// One that is negative or not finite.
    ///
    /// ```
    /// use tealight::optim::schedule::Plateau;
    /// let mut plateau = Plateau::new(0.8, 0.5)?.patience(0).least(0.5, 0.0)?;
    /// assert_eq!([1.0, 1.0, 1.0].map(|loss| plateau.observe(loss)), [0.8, 0.5, 0.5]);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    #[doc(alias = "min_lr")]
    pub fn least(mut self, rate: f64, change: f64) -> Result<Self> {
        self.least_rate = not_negative("Plateau", "a least rate", rate)?;
        self.least_change = not_negative("Plateau", "a least change", change)?;
        Ok(self)
    }

    /// The rate at the moment: what the last [`observe`](Plateau::observe) returned.
    ///
    /// ```
    /// use tealight::optim::schedule::Plateau;
    /// let mut plateau = Plateau::new(0.8, 0.5)?.patience(0);
    /// plateau.observe(1.0);
    /// plateau.observe(2.0);
    /// assert_eq!(plateau.rate(), 0.4);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn rate(&self) -> f64 {
        self.rate
    }

    /// Takes note of a loss, and returns the rate from now on.
    ///
    /// ```
    /// use tealight::optim::schedule::Plateau;
    /// let mut plateau = Plateau::new(0.8, 0.5)?.patience(0);
    /// assert_eq!(plateau.observe(1.0), 0.8);
    /// assert_eq!(plateau.observe(f64::NAN), 0.4); // no better than 1
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn observe(&mut self, loss: f64) -> f64 {
        let sign = if self.larger_is_better { 1.0 } else { -1.0 };
        let bound = match self.absolute {
            true => self.best + sign * self.threshold,
            false => self.best * (1.0 + sign * self.threshold),
        };
        if if self.larger_is_better { loss > bound } else { loss < bound } {
            (self.best, self.bad) = (loss, 0);
        } else {
            self.bad = self.bad.saturating_add(1);
        }
        if self.cooling > 0 {
            (self.cooling, self.bad) = (self.cooling - 1, 0);
        }
        if self.bad > self.patience {
            let rate = (self.rate * self.factor).max(self.least_rate);
            if self.rate - rate > self.least_change {
                self.rate = rate;
            }
            (self.cooling, self.bad) = (self.cooldown, 0);
        }
        self.rate
    }

    /// What it remembers, to be saved.
    ///
    /// # Errors
    /// None that are known.
    ///
    /// ```
    /// use tealight::optim::schedule::Plateau;
    /// let names: Vec<String> = Plateau::new(0.1, 0.5)?.state()?.into_keys().collect();
    /// assert_eq!(names, ["best", "cooldown_counter", "learning_rate", "num_bad_epochs"]);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn state(&self) -> Result<BTreeMap<String, Tensor>> {
        let mut writer = Writer::default();
        writer.number(RATE.into(), self.rate)?;
        writer.number("best".into(), self.best)?;
        writer.count("num_bad_epochs".into(), self.bad)?;
        writer.count("cooldown_counter".into(), self.cooling)?;
        Ok(writer.0)
    }

    /// Takes over what [`state`](Plateau::state) gave.
    ///
    /// # Errors
    /// Something that is missing, unknown or no number: the error names it, and nothing is changed.
    ///
    /// ```
    /// use tealight::optim::schedule::Plateau;
    /// let mut plateau = Plateau::new(0.8, 0.5)?.patience(1);
    /// [1.0, 1.0].map(|loss| plateau.observe(loss));
    /// let mut resumed = Plateau::new(0.8, 0.5)?.patience(1);
    /// resumed.load_state(&plateau.state()?)?;
    /// assert_eq!(resumed.observe(1.0), 0.4); // its second bad observation
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn load_state(&mut self, state: &BTreeMap<String, Tensor>) -> Result<()> {
        let mut reader = Reader::new(state);
        let rate = not_negative("Plateau", "a rate", reader.number(RATE)?)?;
        let best: f64 = reader.number("best")?;
        if best.is_nan() {
            return Err(Error::argument("Plateau", "a best loss that is a number", best));
        }
        let (bad, cooling) = (reader.count("num_bad_epochs")?, reader.count("cooldown_counter")?);
        reader.finish()?;
        (self.rate, self.best, self.bad, self.cooling) = (rate, best, bad, cooling);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::Plateau;
    use crate::error::Result;

    #[test]
    fn taken_up_again() -> Result<()> {
        let losses = [3.0, 2.0, f64::NAN, 2.0, 2.5, 1.0, f64::INFINITY, 1.0, 1.0, 1.0, 1.0, 0.5, -1.0, -1.0];
        let new = || Plateau::new(1.0, 0.5).map(|plateau| plateau.patience(1).cooldown(1));
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
        assert!(Plateau::new(0.1, 1.0).is_err() && Plateau::new(f64::NAN, 0.1).is_err());
        Ok(())
    }
}
