//! How well scores rank the examples of a class above the others.

use super::read::scored;
use super::{Metric, nothing};
use crate::autograd::Tensor;
use crate::error::{Error, Result};

/// The area under the ROC curve: the chance that an example of a class is ranked above another one.
///
/// It is `roc_auc_score` of scikit-learn: for scores (n) or (n, 1) that of class 1, for probabilities (n, 2) that of the
/// second column. More than two classes are each compared with all the others, and the areas averaged
/// (`multi_class="ovr"`). All scores are kept until the reset.
///
/// # Errors
/// As [`metrics`](super) says; scores (n, c) that are no probabilities; a value without examples of every class.
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
    /// Of no examples yet.
    ///
    /// ```
    /// use tealight::metrics::{Metric, RocAuc};
    /// let error = RocAuc::new().value().unwrap_err();
    /// assert_eq!(error.to_string(), "roc auc: expected at least one example, got none");
    /// ```
    pub fn new() -> Self {
        RocAuc::default()
    }

    /// The classes that have a curve: 1 alone, if there are two.
    #[cfg(feature = "plot")]
    pub(crate) fn classes(&self) -> std::ops::Range<u32> {
        if self.0.columns == 1 { 1..2 } else { 0..self.0.columns as u32 }
    }

    /// The points (false positive rate, true positive rate) of this class, from (0, 0) to (1, 1); of two classes, class 1.
    ///
    /// # Errors
    /// A class that does not exist; targets without this class, or without others.
    ///
    /// ```
    /// use tealight::metrics::{Metric, RocAuc};
    /// use tealight::prelude::*;
    /// let mut auc = RocAuc::new();
    /// auc.update(&Tensor::new(&[0.2, 0.9], &Device::Cpu)?, &Tensor::new(&[0_u32, 1], &Device::Cpu)?)?;
    /// assert_eq!(auc.curve(1)?, [(0.0, 0.0), (0.0, 1.0), (1.0, 1.0)]); // a perfect ranking
    /// # Ok::<(), tealight::Error>(())
    /// ```
    #[doc(alias = "roc_curve")]
    pub fn curve(&self, class: u32) -> Result<Vec<(f64, f64)>> {
        let steps = self.0.both("roc auc", class)?;
        let (positive, negative) = last(&steps);
        Ok(steps.iter().map(|&(t, f)| (f as f64 / negative as f64, t as f64 / positive as f64)).collect())
    }

    /// The area of one class alone; of two classes, class 1.
    ///
    /// # Errors
    /// As [`RocAuc::curve`].
    ///
    /// ```
    /// use tealight::metrics::{Metric, RocAuc};
    /// use tealight::prelude::*;
    /// let mut auc = RocAuc::new();
    /// let probabilities = [[0.8, 0.1, 0.1], [0.3, 0.5, 0.2], [0.9, 0.05, 0.05]];
    /// auc.update(&Tensor::new(&probabilities, &Device::Cpu)?, &Tensor::new(&[0_u32, 1, 2], &Device::Cpu)?)?;
    /// assert_eq!([auc.of_class(0)?, auc.of_class(1)?], [0.5, 1.0]); // 0.8 is above 0.3 and below 0.9
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn of_class(&self, class: u32) -> Result<f64> {
        let steps = self.0.both("roc auc", class)?;
        let (positive, negative) = last(&steps);
        // Whole numbers, so that nothing is rounded before the division.
        let pairs = |w: &[(u64, u64)]| u128::from(w[1].1 - w[0].1) * u128::from(w[1].0 + w[0].0);
        let twice: u128 = steps.windows(2).map(pairs).sum();
        Ok(twice as f64 / (2 * u128::from(positive) * u128::from(negative)) as f64)
    }
}

/// The area under the curve of precision over recall, as average precision: `average_precision_score` of scikit-learn.
///
/// Classes and scores are as in [`RocAuc`].
///
/// # Errors
/// As [`metrics`](super) says; scores (n, c) that are no probabilities; a value without examples of a class.
///
/// ```
/// use tealight::metrics::{Metric, PrAuc};
/// use tealight::prelude::*;
/// let mut auc = PrAuc::new();
/// let scores = Tensor::new(&[0.1, 0.4, 0.35, 0.8], &Device::Cpu)?;
/// auc.update(&scores, &Tensor::new(&[0u32, 0, 1, 1], &Device::Cpu)?)?;
/// assert_eq!(auc.value()?, 0.5 + 0.5 * (2.0 / 3.0));
/// # Ok::<(), tealight::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
#[doc(alias = "average_precision_score")]
pub struct PrAuc(Ranking);

impl PrAuc {
    /// Of no examples yet.
    ///
    /// ```
    /// use tealight::metrics::{Metric, PrAuc};
    /// let error = PrAuc::new().value().unwrap_err();
    /// assert_eq!(error.to_string(), "pr auc: expected at least one example, got none");
    /// ```
    pub fn new() -> Self {
        PrAuc::default()
    }

    /// The points (recall, precision) of this class, by falling score; of two classes, class 1.
    ///
    /// # Errors
    /// A class that does not exist; targets without this class.
    ///
    /// ```
    /// use tealight::metrics::{Metric, PrAuc};
    /// use tealight::prelude::*;
    /// let mut auc = PrAuc::new();
    /// auc.update(&Tensor::new(&[0.9, 0.5, 0.1], &Device::Cpu)?, &Tensor::new(&[1_u32, 0, 1], &Device::Cpu)?)?;
    /// assert_eq!(auc.curve(1)?, [(0.5, 1.0), (0.5, 0.5), (1.0, 2.0 / 3.0)]);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    #[doc(alias = "precision_recall_curve")]
    pub fn curve(&self, class: u32) -> Result<Vec<(f64, f64)>> {
        let steps = self.0.some("pr auc", class)?;
        let (positive, _) = last(&steps);
        Ok(steps[1..].iter().map(|&(t, f)| (t as f64 / positive as f64, t as f64 / (t + f) as f64)).collect())
    }

    /// The area of one class alone; of two classes, class 1.
    ///
    /// # Errors
    /// As [`PrAuc::curve`].
    ///
    /// ```
    /// use tealight::metrics::{Metric, PrAuc};
    /// use tealight::prelude::*;
    /// let mut auc = PrAuc::new();
    /// let probabilities = [[0.8, 0.1, 0.1], [0.3, 0.5, 0.2], [0.9, 0.05, 0.05]];
    /// auc.update(&Tensor::new(&probabilities, &Device::Cpu)?, &Tensor::new(&[0_u32, 1, 2], &Device::Cpu)?)?;
    /// assert_eq!([auc.of_class(0)?, auc.of_class(1)?], [0.5, 1.0]); // of 0.9 and 0.8 one is of class 0
    /// # Ok::<(), tealight::Error>(())
    /// ```
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

            fn update(&mut self, prediction: &Tensor, target: &Tensor) -> Result<()> {
                self.0.add($name, prediction, target)
            }

            fn value(&self) -> Result<f64> {
                match self.0.columns {
                    0 => Err(nothing($name)),
                    1 => self.of_class(1),
                    columns => {
                        let areas: Result<Vec<f64>> =
                            (0..columns as u32).map(|class| self.of_class(class)).collect();
                        Ok(areas?.iter().sum::<f64>() / columns as f64)
                    }
                }
            }

            fn reset(&mut self) {
                self.0 = Ranking::default();
            }
        }
    };
}

metric!(RocAuc, "roc auc");
metric!(PrAuc, "pr auc");

/// The scores and classes of all examples.
#[derive(Clone, Debug, Default)]
struct Ranking {
    /// 1 for scores of class 1 out of two; 0 as long as there are none.
    columns: usize,
    scores: Vec<f64>,
    targets: Vec<u32>,
}

impl Ranking {
    fn add(&mut self, op: &'static str, prediction: &Tensor, target: &Tensor) -> Result<()> {
        let batch = scored(op, prediction, target)?;
        if batch.columns > 1 {
            batch.probabilities(op)?;
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

    /// How many examples of the class, and of others, have the largest scores: from (0, 0) on a step for each score.
    fn steps(&self, op: &'static str, class: u32) -> Result<Vec<(u64, u64)>> {
        let classes = self.columns.max(2);
        let column = if self.columns == 1 { class.wrapping_sub(1) } else { class } as usize;
        if self.columns == 0 {
            return Err(nothing(op));
        }
        if column >= self.columns {
            let expected =
                if self.columns == 1 { "class 1".into() } else { format!("a class below {classes}") };
            return Err(Error::argument(op, expected, class));
        }
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

    /// The steps, with examples of the class.
    fn some(&self, op: &'static str, class: u32) -> Result<Vec<(u64, u64)>> {
        let steps = self.steps(op, class)?;
        match last(&steps) {
            (0, others) => Err(Error::argument(
                op,
                format!("targets of class {class}"),
                format!("{others} of other classes"),
            )),
            _ => Ok(steps),
        }
    }

    /// The steps, with examples of the class and of others.
    fn both(&self, op: &'static str, class: u32) -> Result<Vec<(u64, u64)>> {
        let steps = self.some(op, class)?;
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
    steps.last().copied().unwrap_or_default()
}
