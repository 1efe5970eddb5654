//! [`CalibrationError`]: whether probabilities match observed frequencies.

use super::read::{largest, scored};
use super::{Metric, no_examples};
use crate::autograd::Tensor;
use crate::error::{Error, Result};

/// More bins than any plot shows: a larger number is a mistake.
const MOST_BINS: usize = 10_000;

/// The expected calibration error (ECE): the mean distance between predicted probabilities and observed frequencies.
///
/// The examples are put into bins of equal width by probability. The distance between the mean probability of a bin and its
/// fraction of positives is averaged over the bins, weighted by their counts. The bins are those of scikit-learn's
/// `calibration_curve`: a probability on an edge belongs to the lower bin.
///
/// One probability per example is that of class 1. Of probabilities (n, c) the largest counts, and the example is positive if
/// that class is right. Errors if the number of bins is 0 or above 10,000.
///
/// ```
/// use tealight::metrics::{CalibrationError, Metric};
/// use tealight::prelude::*;
/// let mut error = CalibrationError::new(10);
/// let probabilities = Tensor::new(&[0.75, 0.75, 0.75, 0.75], &Device::Cpu)?;
/// error.update(&probabilities, &Tensor::new(&[1u32, 1, 0, 0], &Device::Cpu)?)?;
/// assert_eq!(error.value()?, 0.25);
/// assert_eq!((error.curve()?[0].frequency, error.curve()?[0].count), (0.5, 4));
/// # Ok::<(), tealight::Error>(())
/// ```
#[derive(Clone, Debug)]
#[doc(alias = "ECE")]
pub struct CalibrationError {
    bins: usize,
    logits: bool,
    /// For each bin the sum of the probabilities, the positives and the count.
    sums: Vec<(f64, u64, u64)>,
}

/// One bin of [`CalibrationError::curve`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CalibrationBin {
    /// The mean probability of its examples.
    pub probability: f64,
    /// The fraction of positives.
    pub frequency: f64,
    /// The number of examples.
    pub count: u64,
}

impl CalibrationError {
    /// An empty accumulator for probabilities, with `bins` bins from 0 to 1.
    pub fn new(bins: usize) -> Self {
        CalibrationError { bins, logits: false, sums: Vec::new() }
    }

    /// An empty accumulator for logits: a softmax makes them probabilities, or a sigmoid if there is one per example.
    pub fn from_logits(bins: usize) -> Self {
        CalibrationError { logits: true, ..CalibrationError::new(bins) }
    }

    /// The bins that have examples, by rising probability. Errors without examples.
    #[doc(alias = "calibration_curve")]
    pub fn curve(&self) -> Result<Vec<CalibrationBin>> {
        let bin = |&(sum, right, count): &(f64, u64, u64)| {
            let n = count as f64;
            CalibrationBin { probability: sum / n, frequency: right as f64 / n, count }
        };
        let bins: Vec<CalibrationBin> = self.sums.iter().filter(|sums| sums.2 > 0).map(bin).collect();
        if bins.is_empty() { Err(no_examples("calibration error")) } else { Ok(bins) }
    }
}

impl Metric for CalibrationError {
    fn name(&self) -> String {
        "calibration error".into()
    }

    fn higher_is_better(&self) -> bool {
        false
    }

    fn update(&mut self, prediction: &Tensor, target: &Tensor) -> Result<()> {
        if !(1..=MOST_BINS).contains(&self.bins) {
            let expected = format!("from 1 to {MOST_BINS} bins");
            return Err(Error::argument("calibration error", expected, self.bins));
        }
        let mut batch = scored("calibration error", prediction, target)?;
        match self.logits {
            true => batch = batch.logits_to_probabilities("calibration error")?,
            false => batch.check_probabilities("calibration error")?,
        }
        self.sums.resize(self.bins, (0.0, 0, 0));
        // Rounded as numpy.linspace rounds them.
        let step = 1.0 / self.bins as f64;
        let edges: Vec<f64> = (1..self.bins).map(|i| i as f64 * step).collect();
        for (row, class) in batch.rows() {
            let (p, right) = match row {
                [p] => (*p, class == 1),
                row => (row[largest(row)], largest(row) == class as usize),
            };
            let sums = &mut self.sums[edges.partition_point(|&edge| edge < p)];
            *sums = (sums.0 + p, sums.1 + u64::from(right), sums.2 + 1);
        }
        Ok(())
    }

    fn value(&self) -> Result<f64> {
        let bins = self.curve()?;
        let total: u64 = bins.iter().map(|bin| bin.count).sum();
        let weighted_distance =
            |bin: &CalibrationBin| bin.count as f64 / total as f64 * (bin.probability - bin.frequency).abs();
        Ok(bins.iter().map(weighted_distance).sum())
    }

    fn reset(&mut self) {
        self.sums.clear();
    }
}
