//! [`LogLoss`].

use super::read::scored;
use super::{Metric, ratio};
use crate::autograd::Tensor;
use crate::error::{Error, Result};

/// The mean of −ln p of the probability p of the target's class: `log_loss` of scikit-learn.
///
/// As there, probabilities are clamped to ε and 1 − ε, with the machine epsilon of their dtype.
///
/// ```
/// use tealight::metrics::{LogLoss, Metric};
/// use tealight::prelude::*;
/// let targets = Tensor::new(&[0u32, 1], &Device::Cpu)?;
/// let mut loss = LogLoss::new();
/// loss.update(&Tensor::new(&[[0.5, 0.5], [0.2, 0.8]], &Device::Cpu)?, &targets)?;
/// assert!((loss.value()? - (2_f64.ln() + 1.25_f64.ln()) / 2.0).abs() < 1e-15);
/// # Ok::<(), tealight::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct LogLoss {
    logits: bool,
    sum: f64,
    count: u64,
}

impl LogLoss {
    /// An empty accumulator for probabilities.
    pub fn new() -> Self {
        LogLoss::default()
    }

    /// An empty accumulator for logits: a softmax makes them probabilities, or a sigmoid if there is one per example.
    ///
    /// ```
    /// use tealight::metrics::{LogLoss, Metric};
    /// use tealight::prelude::*;
    /// let mut loss = LogLoss::from_logits();
    /// loss.update(&Tensor::new(&[[5.0, 5.0, 5.0]], &Device::Cpu)?, &Tensor::new(&[2_u32], &Device::Cpu)?)?;
    /// assert!((loss.value()? - 3_f64.ln()).abs() < 1e-15); // equal scores are probabilities of 1/3
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn from_logits() -> Self {
        LogLoss { logits: true, ..LogLoss::default() }
    }
}

impl Metric for LogLoss {
    fn name(&self) -> String {
        "log loss".into()
    }

    fn higher_is_better(&self) -> bool {
        false
    }

    fn update(&mut self, prediction: &Tensor, target: &Tensor) -> Result<()> {
        let batch = scored("log loss", prediction, target)?;
        if !self.logits {
            batch.check_probabilities("log loss")?;
        }
        let bounded = |p: f64| p.clamp(batch.epsilon, 1.0 - batch.epsilon);
        let loss = |(row, class): (&[f64], u32)| match (self.logits, row) {
            (false, [p]) if class == 0 => -(1.0 - bounded(*p)).ln(),
            (false, [p]) => -bounded(*p).ln(),
            (false, _) => -bounded(row[class as usize]).ln(),
            // softplus(z) and softplus(−z)
            (true, [z]) => {
                let z = if class == 0 { *z } else { -z };
                z.max(0.0) + (-z.abs()).exp().ln_1p()
            }
            (true, _) => {
                let largest = row.iter().fold(f64::NEG_INFINITY, |m, &z| m.max(z));
                let sum: f64 = row.iter().map(|z| (z - largest).exp()).sum();
                largest - row[class as usize] + sum.ln()
            }
        };
        let sum: f64 = batch.rows().map(loss).sum();
        if sum.is_nan() {
            let expected = "scores without +inf, and not all of an example -inf";
            return Err(Error::argument("log loss", expected, "infinite scores"));
        }
        self.sum += sum;
        self.count += batch.targets.len() as u64;
        Ok(())
    }

    fn value(&self) -> Result<f64> {
        ratio("log loss", self.sum, self.count)
    }

    fn reset(&mut self) {
        (self.sum, self.count) = (0.0, 0);
    }
}
