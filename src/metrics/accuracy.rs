//! The share of right answers.

use super::read::{decided, scored};
use super::{Metric, nothing};
use crate::autograd::Tensor;
use crate::error::{Error, Result};

/// The share of examples whose class was predicted: `accuracy_score` of scikit-learn.
///
/// Of equal scores the first counts.
///
/// # Errors
/// As [`metrics`](super) says; one score an example that is no probability, without a threshold.
///
/// ```
/// use tealight::metrics::{Accuracy, Metric};
/// use tealight::prelude::*;
/// let mut accuracy = Accuracy::new();
/// let scores = Tensor::new(&[[0.9, 0.1], [0.2, 0.8]], &Device::Cpu)?;
/// accuracy.update(&scores, &Tensor::new(&[0u32, 0], &Device::Cpu)?)?;
/// // Or the classes themselves.
/// let classes = Tensor::new(&[1u32, 1], &Device::Cpu)?;
/// accuracy.update(&classes, &classes)?;
/// assert_eq!(accuracy.value()?, 0.75);
/// # Ok::<(), tealight::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
#[doc(alias = "accuracy_score")]
#[doc(alias = "BinaryAccuracy")]
#[doc(alias = "CategoricalAccuracy")]
pub struct Accuracy {
    threshold: Option<f64>,
    right: u64,
    count: u64,
}

impl Accuracy {
    /// Of no examples yet.
    ///
    /// ```
    /// use tealight::metrics::{Accuracy, Metric};
    /// let error = Accuracy::new().value().unwrap_err();
    /// assert_eq!(error.to_string(), "accuracy: expected at least one example, got none");
    /// ```
    pub fn new() -> Self {
        Accuracy::default()
    }

    /// One score an example means class 1 above this; without a threshold the scores are probabilities, and it is 0.5.
    ///
    /// ```
    /// use tealight::metrics::{Accuracy, Metric};
    /// use tealight::prelude::*;
    /// let (logits, targets) = (Tensor::new(&[-2.0, 0.1], &Device::Cpu)?, Tensor::new(&[0_u32, 1], &Device::Cpu)?);
    /// let mut accuracy = Accuracy::new().threshold(0.0);
    /// accuracy.update(&logits, &targets)?;
    /// assert_eq!(accuracy.value()?, 1.0);
    /// assert!(Accuracy::new().update(&logits, &targets).is_err()); // -2 is no probability
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn threshold(mut self, threshold: f64) -> Self {
        self.threshold = Some(threshold);
        self
    }
}

impl Metric for Accuracy {
    fn name(&self) -> String {
        "accuracy".into()
    }

    fn update(&mut self, prediction: &Tensor, target: &Tensor) -> Result<()> {
        let batch = decided("accuracy", prediction, target, self.threshold)?;
        self.right += batch.predicted.iter().zip(&batch.targets).filter(|(p, t)| p == t).count() as u64;
        self.count += batch.targets.len() as u64;
        Ok(())
    }

    fn value(&self) -> Result<f64> {
        share("accuracy", self.right, self.count)
    }

    fn reset(&mut self) {
        (self.right, self.count) = (0, 0);
    }
}

/// The share of examples whose class has one of the k largest scores: `top_k_accuracy_score` of scikit-learn.
///
/// Of equal scores the last ones count first, as there. (That is not what [`Accuracy`] does.)
///
/// # Shapes
/// Scores (n, c, ..) and classes (n, ..)
///
/// # Errors
/// As [`metrics`](super) says; k of 0, or above c.
///
/// ```
/// use tealight::metrics::{Metric, TopK};
/// use tealight::prelude::*;
/// let mut top = TopK::new(2);
/// let scores = Tensor::new(&[[0.5, 0.2, 0.3], [0.1, 0.2, 0.7]], &Device::Cpu)?;
/// top.update(&scores, &Tensor::new(&[2u32, 0], &Device::Cpu)?)?;
/// assert_eq!((top.name(), top.value()?), ("top-2 accuracy".into(), 0.5));
/// # Ok::<(), tealight::Error>(())
/// ```
#[derive(Clone, Debug)]
#[doc(alias = "top_k_accuracy_score")]
#[doc(alias = "TopKCategoricalAccuracy")]
pub struct TopK {
    k: usize,
    right: u64,
    count: u64,
}

impl TopK {
    /// Of no examples yet.
    ///
    /// ```
    /// use tealight::metrics::{Metric, TopK};
    /// use tealight::prelude::*;
    /// let (scores, targets) = (Tensor::new(&[[0.4, 0.6]], &Device::Cpu)?, Tensor::new(&[0_u32], &Device::Cpu)?);
    /// let error = TopK::new(3).update(&scores, &targets).unwrap_err().to_string();
    /// assert_eq!(error, "top-k accuracy: expected a k from 1 to 2, the number of scores, got 3");
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn new(k: usize) -> Self {
        TopK { k, right: 0, count: 0 }
    }
}

impl Metric for TopK {
    fn name(&self) -> String {
        format!("top-{} accuracy", self.k)
    }

    fn update(&mut self, prediction: &Tensor, target: &Tensor) -> Result<()> {
        let batch = scored("top-k accuracy", prediction, target)?;
        if !(1..=batch.columns).contains(&self.k) {
            let expected = format!("a k from 1 to {}, the number of scores", batch.columns);
            return Err(Error::argument("top-k accuracy", expected, self.k));
        }
        let before = |row: &[f64], class: usize| {
            let score = row[class];
            row.iter().enumerate().filter(|&(i, &x)| x > score || (x == score && i > class)).count()
        };
        // One score an example is that of class 1 out of two: not enough to count.
        if batch.columns == 1 {
            let expected = "scores (n, c) of at least two classes";
            return Err(Error::shape("top-k accuracy", expected, &[prediction.dims()]));
        }
        self.right +=
            batch.rows().filter(|&(row, class)| before(row, class as usize) < self.k).count() as u64;
        self.count += batch.targets.len() as u64;
        Ok(())
    }

    fn value(&self) -> Result<f64> {
        share("top-k accuracy", self.right, self.count)
    }

    fn reset(&mut self) {
        (self.right, self.count) = (0, 0);
    }
}

fn share(op: &'static str, right: u64, count: u64) -> Result<f64> {
    if count == 0 { Err(nothing(op)) } else { Ok(right as f64 / count as f64) }
}
