//! Which class was taken for which.

use std::collections::BTreeMap;

use candle_core::Device;

use super::read::decided;
use super::{Metric, nothing};
use crate::autograd::Tensor;
use crate::error::{Error, Result};

/// More classes than any vocabulary has: a larger number is a mistake.
const MOST_CLASSES: usize = 1 << 20;
/// A matrix of more than this is no matrix to look at.
const MOST_ROWS: usize = 4096;

/// How often each class was taken for each other: `confusion_matrix` of scikit-learn.
///
/// As a [`Metric`] its value is the accuracy.
///
/// # Errors
/// As [`metrics`](super) says; a class of 1,048,576 or more.
///
/// ```
/// use tealight::metrics::{ConfusionMatrix, Metric};
/// use tealight::prelude::*;
/// let mut confusion = ConfusionMatrix::new();
/// let predicted = Tensor::new(&[0u32, 1, 1, 1], &Device::Cpu)?;
/// confusion.update(&predicted, &Tensor::new(&[0u32, 0, 1, 1], &Device::Cpu)?)?;
/// // A row for each class as it is, a column for each as it was predicted.
/// assert_eq!(confusion.counts()?, [[1, 1], [0, 2]]);
/// # Ok::<(), tealight::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct ConfusionMatrix {
    threshold: Option<f64>,
    classes: usize,
    /// By (class, predicted class); what never happened is not there.
    cells: BTreeMap<(u32, u32), u64>,
}

impl ConfusionMatrix {
    /// Of no examples yet.
    ///
    /// ```
    /// use tealight::metrics::ConfusionMatrix;
    /// let error = ConfusionMatrix::new().counts().unwrap_err();
    /// assert_eq!(error.to_string(), "confusion matrix: expected at least one example, got none");
    /// ```
    pub fn new() -> Self {
        ConfusionMatrix::default()
    }

    /// One score an example means class 1 above this; without a threshold the scores are probabilities, and it is 0.5.
    ///
    /// ```
    /// use tealight::metrics::{ConfusionMatrix, Metric};
    /// use tealight::prelude::*;
    /// let mut confusion = ConfusionMatrix::new().threshold(0.2);
    /// let probabilities = Tensor::new(&[0.3, 0.6], &Device::Cpu)?;
    /// confusion.update(&probabilities, &Tensor::new(&[0_u32, 1], &Device::Cpu)?)?;
    /// assert_eq!(confusion.counts()?, [[0, 1], [0, 1]]); // both are taken for class 1
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn threshold(mut self, threshold: f64) -> Self {
        self.threshold = Some(threshold);
        self
    }

    /// A row for each class, a column for each predicted class.
    ///
    /// There are as many classes as scores an example, or as the largest class number says.
    ///
    /// # Errors
    /// No examples; more than 4096 classes.
    ///
    /// ```
    /// use tealight::metrics::{ConfusionMatrix, Metric};
    /// use tealight::prelude::*;
    /// let mut confusion = ConfusionMatrix::new();
    /// let scores = Tensor::new(&[[0.1, 0.7, 0.2]], &Device::Cpu)?;
    /// confusion.update(&scores, &Tensor::new(&[0_u32], &Device::Cpu)?)?;
    /// assert_eq!(confusion.counts()?, [[0, 1, 0], [0, 0, 0], [0, 0, 0]]);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn counts(&self) -> Result<Vec<Vec<u64>>> {
        if self.cells.is_empty() {
            return Err(nothing("confusion matrix"));
        }
        if self.classes > MOST_ROWS {
            let expected = format!("at most {MOST_ROWS} classes");
            return Err(Error::argument("confusion matrix", expected, self.classes));
        }
        let mut counts = vec![vec![0; self.classes]; self.classes];
        for (&(class, predicted), &count) in &self.cells {
            counts[class as usize][predicted as usize] = count;
        }
        Ok(counts)
    }

    /// [`ConfusionMatrix::counts`] as a tensor (c, c) of i64.
    ///
    /// # Errors
    /// As there.
    ///
    /// ```
    /// use tealight::metrics::{ConfusionMatrix, Metric};
    /// use tealight::prelude::*;
    /// let mut confusion = ConfusionMatrix::new();
    /// let predicted = Tensor::new(&[1_u32, 1, 0], &Device::Cpu)?;
    /// confusion.update(&predicted, &Tensor::new(&[0_u32, 1, 0], &Device::Cpu)?)?;
    /// assert_eq!(confusion.tensor()?.sum(0)?.to_vec1::<i64>()?, [1, 2]); // how often each class was predicted
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn tensor(&self) -> Result<Tensor> {
        let counts: Vec<i64> = self.counts()?.into_iter().flatten().map(|count| count as i64).collect();
        Tensor::from_vec(counts, (self.classes, self.classes), &Device::Cpu)
    }

    pub(super) fn add(&mut self, op: &'static str, prediction: &Tensor, target: &Tensor) -> Result<()> {
        let batch = decided(op, prediction, target, self.threshold)?;
        let largest =
            batch.targets.iter().chain(&batch.predicted).max().map_or(0, |&class| class as usize + 1);
        if largest > MOST_CLASSES {
            return Err(Error::argument(op, format!("classes below {MOST_CLASSES}"), largest - 1));
        }
        self.classes = self.classes.max(batch.classes).max(largest);
        for pair in batch.targets.into_iter().zip(batch.predicted) {
            *self.cells.entry(pair).or_insert(0) += 1;
        }
        Ok(())
    }

    /// For each class how often it was right, how often it was predicted, and how often it was there.
    pub(super) fn tallies(&self) -> Vec<Tally> {
        let mut tallies = vec![Tally::default(); self.classes];
        for (&(class, predicted), &count) in &self.cells {
            tallies[class as usize].there += count;
            tallies[predicted as usize].predicted += count;
            if class == predicted {
                tallies[class as usize].right += count;
            }
        }
        tallies
    }
}

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tally {
    pub(super) right: u64,
    pub(super) predicted: u64,
    pub(super) there: u64,
}

impl Metric for ConfusionMatrix {
    fn name(&self) -> String {
        "accuracy (confusion matrix)".into()
    }

    fn update(&mut self, prediction: &Tensor, target: &Tensor) -> Result<()> {
        self.add("confusion matrix", prediction, target)
    }

    fn value(&self) -> Result<f64> {
        let total: u64 = self.cells.values().sum();
        let right: u64 = self.cells.iter().filter(|((a, b), _)| a == b).map(|(_, count)| count).sum();
        if total == 0 { Err(nothing("confusion matrix")) } else { Ok(right as f64 / total as f64) }
    }

    fn reset(&mut self) {
        self.classes = 0;
        self.cells.clear();
    }

    fn confusion(&self) -> Option<&ConfusionMatrix> {
        Some(self)
    }
}
