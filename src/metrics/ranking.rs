//! [`RocAuc`] and [`AveragePrecision`]: how well scores rank the examples of a class above the others.

use super::read::scored;
use super::{Metric, no_examples};
use crate::autograd::Tensor;
use crate::error::{Error, Result};

/// The area under the ROC curve, `roc_auc_score` of scikit-learn: the probability that an example of the class has a larger
/// score than an example of another class.
///
/// The scores are those of class 1, (n) or (n, 1), or probabilities (n, c). With more than two classes the areas of each
/// class against the others are averaged (`multi_class="ovr"`). All scores are kept until the reset. The value is an error
/// unless every class occurs among the targets.
///
/// ```
/// use tealight::metrics::{Metric, RocAuc};
/// use tealight::prelude::*;
/// let mut auc = RocAuc::new();
/// let scores = Tensor::new(&[0.1, 0.4, 0.35, 0.8], &Device::Cpu)?;
/// auc.update(&scores, &Tensor::new(&[0u32, 0, 1, 1], &Device::Cpu)?)?;
/// assert_eq!(auc.value()?, 0.75);
/// assert_eq!(auc.curve(1)?, [(0.0, 0.0), (0.0, 0.5), (0.5, 0.5), (0.5, 1.0), (1.0, 1.0)]);
/// # Ok::<(), tealight::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
#[doc(alias = "roc_auc_score")]
#[doc(alias = "AUROC")]
pub struct RocAuc(Ranking);

impl RocAuc {
    /// An empty accumulator for probabilities (n, c), or any scores of class 1.
    pub fn new() -> Self {
        RocAuc::default()
    }

    /// An empty accumulator for logits: a softmax over the classes makes them probabilities.
    pub fn from_logits() -> Self {
        RocAuc(Ranking { logits: true, ..Ranking::default() })
    }

    /// The classes that have a curve: 1 alone, if there are two.
    #[cfg(feature = "plot")]
    pub(crate) fn classes(&self) -> std::ops::Range<u32> {
        if self.0.columns == 1 { 1..2 } else { 0..self.0.columns as u32 }
    }

    /// The points (false positive rate, true positive rate) of `class`, from (0, 0) to (1, 1). Of two classes only class 1 has a
    /// curve. Errors if all targets are of this class, or none.
    #[doc(alias = "roc_curve")]
    pub fn curve(&self, class: u32) -> Result<Vec<(f64, f64)>> {
        let steps = self.0.steps_with_both("roc auc", class)?;
        let (positive, negative) = last(&steps);
        Ok(steps.iter().map(|&(t, f)| (f as f64 / negative as f64, t as f64 / positive as f64)).collect())
    }

    /// The area of one class against the others; errors as [`curve`](RocAuc::curve) does.
    pub fn of_class(&self, class: u32) -> Result<f64> {
        let steps = self.0.steps_with_both("roc auc", class)?;
        let (positive, negative) = last(&steps);
        // Whole numbers, so that no_examples is rounded before the division.
        let pairs = |w: &[(u64, u64)]| u128::from(w[1].1 - w[0].1) * u128::from(w[1].0 + w[0].0);
        let twice: u128 = steps.windows(2).map(pairs).sum();
        Ok(twice as f64 / (2 * u128::from(positive) * u128::from(negative)) as f64)
    }
}

/// The average precision, a step-wise area under the precision-recall curve: `average_precision_score` of scikit-learn.
///
/// Scores and classes are as in [`RocAuc`].
///
/// ```
/// use tealight::metrics::{AveragePrecision, Metric};
/// use tealight::prelude::*;
/// let mut metric = AveragePrecision::new();
/// let scores = Tensor::new(&[0.1, 0.4, 0.35, 0.8], &Device::Cpu)?;
/// metric.update(&scores, &Tensor::new(&[0u32, 0, 1, 1], &Device::Cpu)?)?;
/// assert_eq!(metric.value()?, 0.5 + 0.5 * (2.0 / 3.0));
/// assert_eq!(metric.curve(1)?, [(0.5, 1.0), (0.5, 0.5), (1.0, 2.0 / 3.0), (1.0, 0.5)]);
/// # Ok::<(), tealight::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
#[doc(alias = "average_precision_score")]
#[doc(alias = "PrAuc")]
pub struct AveragePrecision(Ranking);

impl AveragePrecision {
    /// An empty accumulator for probabilities (n, c), or any scores of class 1.
    pub fn new() -> Self {
        AveragePrecision::default()
    }

    /// An empty accumulator for logits: a softmax over the classes makes them probabilities.
    pub fn from_logits() -> Self {
        AveragePrecision(Ranking { logits: true, ..Ranking::default() })
    }

    /// The points (recall, precision) of `class`, by falling score. Of two classes only class 1 has a curve. Errors if no target
    /// is of this class.
    #[doc(alias = "precision_recall_curve")]
    pub fn curve(&self, class: u32) -> Result<Vec<(f64, f64)>> {
        let steps = self.0.steps_with_positives("average precision", class)?;
        let (positive, _) = last(&steps);
        Ok(steps[1..].iter().map(|&(t, f)| (t as f64 / positive as f64, t as f64 / (t + f) as f64)).collect())
    }

    /// The average precision of one class; errors as [`curve`](AveragePrecision::curve) does.
    pub fn of_class(&self, class: u32) -> Result<f64> {
        let curve = self.curve(class)?;
        let before = std::iter::once(0.0).chain(curve.iter().map(|point| point.0));
        Ok(curve.iter().zip(before).map(|((recall, precision), before)| (recall - before) * precision).sum())
    }
}

macro_rules! metric {
    ($Area:ident, $name:literal) => {
        impl Metric for $Area {
            fn name(&self) -> String {
                $name.into()
            }

            fn higher_is_better(&self) -> bool {
                true
            }

            fn update(&mut self, prediction: &Tensor, target: &Tensor) -> Result<()> {
                self.0.add($name, prediction, target)
            }

            fn value(&self) -> Result<f64> {
                match self.0.columns {
                    0 => Err(no_examples($name)),
                    1 => self.of_class(1),
                    columns => {
                        let areas: Result<Vec<f64>> =
                            (0..columns as u32).map(|class| self.of_class(class)).collect();
                        Ok(areas?.iter().sum::<f64>() / columns as f64)
                    }
                }
            }

            fn reset(&mut self) {
                self.0 = Ranking { logits: self.0.logits, ..Ranking::default() };
            }
        }
    };
}

metric!(RocAuc, "roc auc");
metric!(AveragePrecision, "average precision");

/// The scores and classes of all examples.
#[derive(Clone, Debug, Default)]
struct Ranking {
    /// 1 for scores of class 1 out of two; 0 as long as there are no examples.
    columns: usize,
    logits: bool,
    scores: Vec<f64>,
    targets: Vec<u32>,
}

impl Ranking {
    fn add(&mut self, op: &'static str, prediction: &Tensor, target: &Tensor) -> Result<()> {
        let mut batch = scored(op, prediction, target)?;
        if batch.columns > 1 && self.logits {
            batch = batch.logits_to_probabilities(op)?;
        } else if batch.columns > 1 {
            batch.check_probabilities(op)?;
        }
        let (columns, from) = if batch.columns == 2 { (1, 1) } else { (batch.columns, 0) };
        if self.columns != columns && self.columns > 0 {
            let expected = format!("{} scores an example, as before", self.columns);
            return Err(Error::shape(op, expected, &[prediction.dims()]));
        }
        if batch.targets.is_empty() {
            return Ok(());
        }
        self.columns = columns;
        self.scores.extend(batch.rows().flat_map(|(row, _)| &row[from..]));
        self.targets.extend(batch.targets);
        Ok(())
    }

    /// The numbers of (positives, negatives) with the largest scores: from (0, 0), a step for each distinct score.
    fn steps(&self, op: &'static str, class: u32) -> Result<Vec<(u64, u64)>> {
        let column = match self.columns {
            0 => return Err(no_examples(op)),
            1 if class != 1 => return Err(Error::argument(op, "class 1", class)),
            1 => 0,
            n if class as usize >= n => return Err(Error::argument(op, format!("a class below {n}"), class)),
            _ => class as usize,
        };
        let scores = self.scores.iter().skip(column).step_by(self.columns);
        // −0 is 0.
        let mut ranked: Vec<(f64, bool)> =
            scores.zip(&self.targets).map(|(score, &target)| (score + 0.0, target == class)).collect();
        ranked.sort_unstable_by(|a, b| b.0.total_cmp(&a.0));
        let (mut steps, mut at) = (vec![(0, 0)], (0, 0));
        for tied in ranked.chunk_by(|a, b| a.0 == b.0) {
            let positive = tied.iter().filter(|(_, positive)| *positive).count();
            at = (at.0 + positive as u64, at.1 + (tied.len() - positive) as u64);
            steps.push(at);
        }
        Ok(steps)
    }

    /// The steps; errors if no target is of the class.
    fn steps_with_positives(&self, op: &'static str, class: u32) -> Result<Vec<(u64, u64)>> {
        let steps = self.steps(op, class)?;
        match last(&steps) {
            (0, others) => {
                let expected = format!("targets of class {class}");
                Err(Error::argument(op, expected, format!("{others} of other classes")))
            }
            _ => Ok(steps),
        }
    }

    /// The steps; errors if no target is of the class, or all are.
    fn steps_with_both(&self, op: &'static str, class: u32) -> Result<Vec<(u64, u64)>> {
        let steps = self.steps_with_positives(op, class)?;
        match last(&steps) {
            (all, 0) => {
                let expected = format!("targets of other classes than {class}");
                Err(Error::argument(op, expected, format!("{all} of class {class}")))
            }
            _ => Ok(steps),
        }
    }
}

fn last(steps: &[(u64, u64)]) -> (u64, u64) {
    *steps.last().expect("begins with (0, 0)")
}
