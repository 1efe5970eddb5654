//! [`ConfusionMatrix`].

use std::collections::BTreeMap;

use candle_core::Device;

use super::read::decided;
use super::{Metric, no_examples, ratio};
use crate::autograd::Tensor;
use crate::error::{Error, Result};

/// More classes than any vocabulary has: a larger class number is a mistake.
const MOST_CLASSES: usize = 1 << 20;
/// The largest matrix that is written out.
const MOST_ROWS: usize = 4096;

/// How often each class was predicted as each class: `confusion_matrix` of scikit-learn. Its [`value`](Metric::value) is the
/// accuracy. Errors if a class is 1,048,576 or more.
///
/// ```
/// use tealight::metrics::{ConfusionMatrix, Metric};
/// use tealight::prelude::*;
/// let mut confusion = ConfusionMatrix::new();
/// let predicted = Tensor::new(&[0u32, 1, 1, 1], &Device::Cpu)?;
/// confusion.update(&predicted, &Tensor::new(&[0u32, 0, 1, 1], &Device::Cpu)?)?;
/// assert_eq!(confusion.counts()?, [[1, 1], [0, 2]]);
/// # Ok::<(), tealight::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct ConfusionMatrix {
    threshold: Option<f64>,
    classes: usize,
    /// By (true class, predicted class); pairs that never occurred are absent.
    cells: BTreeMap<(u32, u32), u64>,
}

impl ConfusionMatrix {
    /// An empty matrix.
    pub fn new() -> Self {
        ConfusionMatrix::default()
    }

    /// For one score per example: scores above `threshold` are class 1. 0.5 for probabilities, 0 for logits; without it, one score
    /// per example is an error.
    pub fn threshold(mut self, threshold: f64) -> Self {
        self.threshold = Some(threshold);
        self
    }

    /// The counts: a row for each true class, a column for each predicted class. The number of classes is that of the
    /// scores, or the largest class number plus 1. Errors without examples, and for more than 4096 classes.
    pub fn counts(&self) -> Result<Vec<Vec<u64>>> {
        if self.cells.is_empty() {
            return Err(no_examples("confusion matrix"));
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

    /// The [`counts`](ConfusionMatrix::counts) as a tensor (c, c) of i64.
    pub fn to_tensor(&self) -> Result<Tensor> {
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

    /// True positives, predictions and targets of each class.
    pub(super) fn tallies(&self) -> Vec<Tally> {
        let mut tallies = vec![Tally::default(); self.classes];
        for (&(class, predicted), &count) in &self.cells {
            tallies[class as usize].targets += count;
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
    pub(super) targets: u64,
}

impl Metric for ConfusionMatrix {
    fn name(&self) -> String {
        "accuracy (confusion matrix)".into()
    }

    fn higher_is_better(&self) -> bool {
        true
    }

    fn update(&mut self, prediction: &Tensor, target: &Tensor) -> Result<()> {
        self.add("confusion matrix", prediction, target)
    }

    fn value(&self) -> Result<f64> {
        let total: u64 = self.cells.values().sum();
        let right: u64 = self.cells.iter().filter(|((a, b), _)| a == b).map(|(_, count)| count).sum();
        ratio("confusion matrix", right as f64, total)
    }

    fn reset(&mut self) {
        self.classes = 0;
        self.cells.clear();
    }

    fn confusion(&self) -> Option<&ConfusionMatrix> {
        Some(self)
    }
}
