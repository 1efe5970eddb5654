//! [`Precision`], [`Recall`] and [`F1`].

use super::confusion::{ConfusionMatrix, Tally};
use super::{Metric, no_examples};
use crate::autograd::Tensor;
use crate::error::{Error, Result};

/// How the scores of the classes are averaged, as in scikit-learn. Classes that occur neither among the targets nor among the
/// predictions do not count.
///
/// ```
/// use tealight::metrics::{Average, Metric, Recall};
/// use tealight::prelude::*;
/// let predicted = Tensor::new(&[0_u32, 0, 1, 0], &Device::Cpu)?;
/// let targets = Tensor::new(&[0_u32, 1, 1, 1], &Device::Cpu)?;
/// for (average, value) in [
///     (Average::Class(1), 1.0 / 3.0),
///     (Average::Macro, (1.0 + 1.0 / 3.0) / 2.0),
///     (Average::Weighted, 0.5), // (1 · 1 + 3 · 1/3) / 4
///     (Average::Micro, 0.5),
/// ] {
///     let mut recall = Recall::new(average);
///     recall.update(&predicted, &targets)?;
///     assert_eq!(recall.value()?, value);
/// }
/// # Ok::<(), tealight::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Average {
    /// The score of all counts together; with one class per example this is the accuracy.
    Micro,
    /// The unweighted mean over the classes.
    Macro,
    /// The mean over the classes, weighted by their number of targets.
    Weighted,
    /// The score of one class: `Class(1)` is `binary` of scikit-learn.
    Class(u32),
}

macro_rules! score {
    ($(#[$doc:meta])* $Score:ident, $name:literal, $value:expr) => {
        $(#[$doc])*
        ///
        /// 0 where it would be 0/0, such as a class that occurs but was never predicted. The value is an error for
        /// [`Average::Class`] of a class that does not occur.
        #[derive(Clone, Debug)]
        pub struct $Score {
            average: Average,
            counts: ConfusionMatrix,
        }

        impl $Score {
            /// An empty accumulator.
            pub fn new(average: Average) -> Self {
                $Score { average, counts: ConfusionMatrix::new() }
            }

            /// For one score per example: scores above `threshold` are class 1. 0.5 for probabilities, 0 for logits; without
            /// it, one score per example is an error.
            pub fn threshold(mut self, threshold: f64) -> Self {
                self.counts = self.counts.threshold(threshold);
                self
            }

            /// The score of each class, 0 for one that does not occur. Errors without examples.
            pub fn per_class(&self) -> Result<Vec<f64>> {
                match &self.counts.tallies()[..] {
                    tallies if tallies.iter().all(|tally| tally.targets == 0) => Err(no_examples($name)),
                    tallies => Ok(tallies.iter().map($value).collect()),
                }
            }
        }

        impl Metric for $Score {
            fn name(&self) -> String {
                match self.average {
                    Average::Micro => concat!("micro ", $name).into(),
                    Average::Macro => concat!("macro ", $name).into(),
                    Average::Weighted => concat!("weighted ", $name).into(),
                    Average::Class(class) => format!(concat!($name, " of class {}"), class),
                }
            }

            fn higher_is_better(&self) -> bool {
                true
            }

            fn update(&mut self, prediction: &Tensor, target: &Tensor) -> Result<()> {
                self.counts.add($name, prediction, target)
            }

            fn value(&self) -> Result<f64> {
                average_score($name, self.average, &self.counts.tallies(), $value)
            }

            fn reset(&mut self) {
                self.counts.reset();
            }

            fn confusion(&self) -> Option<&ConfusionMatrix> {
                Some(&self.counts)
            }
        }
    };
}

score! {
    /// The fraction of the predictions of a class that are right: `precision_score` of scikit-learn.
    ///
    /// ```
    /// use tealight::metrics::{Average, Metric, Precision};
    /// use tealight::prelude::*;
    /// let mut precision = Precision::new(Average::Class(1)).threshold(0.5);
    /// let probabilities = Tensor::new(&[0.9, 0.8, 0.7, 0.1], &Device::Cpu)?;
    /// precision.update(&probabilities, &Tensor::new(&[1u32, 1, 0, 1], &Device::Cpu)?)?;
    /// assert_eq!(precision.value()?, 2.0 / 3.0);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    #[doc(alias = "precision_score")]
    Precision, "precision", |tally| or_zero(tally.right, tally.predicted)
}

score! {
    /// The fraction of the examples of a class that were predicted as it: `recall_score` of scikit-learn.
    ///
    /// ```
    /// use tealight::metrics::{Average, Metric, Recall};
    /// use tealight::prelude::*;
    /// let mut recall = Recall::new(Average::Macro);
    /// let predicted = Tensor::new(&[0u32, 0, 1, 2], &Device::Cpu)?;
    /// recall.update(&predicted, &Tensor::new(&[0u32, 1, 1, 2], &Device::Cpu)?)?;
    /// assert_eq!(recall.per_class()?, [1.0, 0.5, 1.0]);
    /// assert_eq!(recall.value()?, 2.5 / 3.0);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    #[doc(alias = "recall_score")]
    Recall, "recall", |tally| or_zero(tally.right, tally.targets)
}

score! {
    /// The harmonic mean of precision and recall: `f1_score` of scikit-learn.
    ///
    /// ```
    /// use tealight::metrics::{Average, F1, Metric};
    /// use tealight::prelude::*;
    /// let mut f1 = F1::new(Average::Weighted);
    /// let predicted = Tensor::new(&[0u32, 0, 1, 1], &Device::Cpu)?;
    /// f1.update(&predicted, &Tensor::new(&[0u32, 1, 1, 1], &Device::Cpu)?)?;
    /// assert_eq!(f1.per_class()?, [2.0 / 3.0, 0.8]);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    #[doc(alias = "f1_score")]
    F1, "f1", |tally| or_zero(2 * tally.right, tally.predicted + tally.targets)
}

/// The quotient, 0 for 0/0.
fn or_zero(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

fn average_score(
    op: &'static str,
    average: Average,
    tallies: &[Tally],
    value: impl Fn(&Tally) -> f64,
) -> Result<f64> {
    let seen = || tallies.iter().filter(|tally| tally.targets + tally.predicted > 0);
    let total: u64 = tallies.iter().map(|tally| tally.targets).sum();
    if total == 0 {
        return Err(no_examples(op));
    }
    match average {
        Average::Micro => {
            let right = tallies.iter().map(|tally| tally.right).sum();
            Ok(value(&Tally { right, predicted: total, targets: total }))
        }
        Average::Macro => Ok(seen().map(&value).sum::<f64>() / seen().count() as f64),
        Average::Weighted => {
            Ok(tallies.iter().map(|tally| value(tally) * tally.targets as f64).sum::<f64>() / total as f64)
        }
        Average::Class(class) => match tallies.get(class as usize) {
            Some(tally) if tally.targets + tally.predicted > 0 => Ok(value(tally)),
            _ => {
                let expected = format!("class {class} among the targets or the predictions");
                Err(Error::argument(op, expected, format!("{total} examples without it")))
            }
        },
    }
}
