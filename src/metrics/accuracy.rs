//! [`Accuracy`] and [`TopKAccuracy`].

use super::read::{decided, scored};
use super::{Metric, ratio};
use crate::autograd::Tensor;
use crate::error::{Error, Result};

/// The fraction of examples whose class was predicted: `accuracy_score` of scikit-learn. Of equal scores the first counts.
///
/// ```
/// use tealight::metrics::{Accuracy, Metric};
/// use tealight::prelude::*;
/// let mut accuracy = Accuracy::new();
/// let scores = Tensor::new(&[[0.9, 0.1], [0.2, 0.8]], &Device::Cpu)?;
/// accuracy.update(&scores, &Tensor::new(&[0u32, 0], &Device::Cpu)?)?;
/// let classes = Tensor::new(&[1u32, 1], &Device::Cpu)?; // predicted classes instead of scores
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
    /// An empty accumulator.
    pub fn new() -> Self {
        Accuracy::default()
    }

    /// For one score per example: scores above `threshold` are class 1. 0.5 for probabilities, 0 for logits; without it, one score
    /// per example is an error.
    ///
    /// ```
    /// use tealight::metrics::{Accuracy, Metric};
    /// use tealight::prelude::*;
    /// let (logits, targets) = (Tensor::new(&[-2.0, 0.1], &Device::Cpu)?, Tensor::new(&[0_u32, 1], &Device::Cpu)?);
    /// let mut accuracy = Accuracy::new().threshold(0.0);
    /// accuracy.update(&logits, &targets)?;
    /// assert_eq!(accuracy.value()?, 1.0);
    /// assert!(Accuracy::new().update(&logits, &targets).is_err()); // 0.1 might be a probability
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

    fn higher_is_better(&self) -> bool {
        true
    }

    fn update(&mut self, prediction: &Tensor, target: &Tensor) -> Result<()> {
        let batch = decided("accuracy", prediction, target, self.threshold)?;
        self.right += batch.predicted.iter().zip(&batch.targets).filter(|(p, t)| p == t).count() as u64;
        self.count += batch.targets.len() as u64;
        Ok(())
    }

    fn value(&self) -> Result<f64> {
        ratio("accuracy", self.right as f64, self.count)
    }

    fn reset(&mut self) {
        (self.right, self.count) = (0, 0);
    }
}

/// The fraction of examples whose class has one of the k largest scores: `top_k_accuracy_score` of scikit-learn.
///
/// The scores are (n, c, ..), the classes (n, ..). Of equal scores the last ones count first, as in scikit-learn and unlike in
/// [`Accuracy`]. Errors if `k` is 0 or above c.
///
/// ```
/// use tealight::metrics::{Metric, TopKAccuracy};
/// use tealight::prelude::*;
/// let mut top = TopKAccuracy::new(2);
/// let scores = Tensor::new(&[[0.5, 0.2, 0.3], [0.1, 0.2, 0.7]], &Device::Cpu)?;
/// top.update(&scores, &Tensor::new(&[2u32, 0], &Device::Cpu)?)?;
/// assert_eq!((top.name(), top.value()?), ("top-2 accuracy".into(), 0.5));
/// # Ok::<(), tealight::Error>(())
/// ```
#[derive(Clone, Debug)]
#[doc(alias = "top_k_accuracy_score")]
#[doc(alias = "TopKCategoricalAccuracy")]
pub struct TopKAccuracy {
    k: usize,
    right: u64,
    count: u64,
}

impl TopKAccuracy {
    /// An empty accumulator.
    pub fn new(k: usize) -> Self {
        TopKAccuracy { k, right: 0, count: 0 }
    }
}

impl Metric for TopKAccuracy {
    fn name(&self) -> String {
        format!("top-{} accuracy", self.k)
    }

    fn higher_is_better(&self) -> bool {
        true
    }

    fn update(&mut self, prediction: &Tensor, target: &Tensor) -> Result<()> {
        let batch = scored("top-k accuracy", prediction, target)?;
        if !(1..=batch.columns).contains(&self.k) {
            let expected = format!("a k from 1 to {}, the number of scores", batch.columns);
            return Err(Error::argument("top-k accuracy", expected, self.k));
        }
        if batch.columns == 1 {
            let expected = "scores (n, c) of at least two classes";
            return Err(Error::shape("top-k accuracy", expected, &[prediction.dims()]));
        }
        let rank = |row: &[f64], class: usize| {
            let score = row[class];
            row.iter().enumerate().filter(|&(i, &x)| x > score || (x == score && i > class)).count()
        };
        self.right += batch.rows().filter(|&(row, class)| rank(row, class as usize) < self.k).count() as u64;
        self.count += batch.targets.len() as u64;
        Ok(())
    }

    fn value(&self) -> Result<f64> {
        ratio("top-k accuracy", self.right as f64, self.count)
    }

    fn reset(&mut self) {
        (self.right, self.count) = (0, 0);
    }
}
