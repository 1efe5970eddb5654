//! Whether probabilities come true as often as they say.

use super::read::{largest, scored};
use super::{Metric, nothing};
use crate::autograd::Tensor;
use crate::error::{Error, Result};

/// The most bins there can be.
const MOST_BINS: usize = 10_000;

/// The expected calibration error: how far probabilities are from how often they come true, on average.
///
/// The examples are put into bins of equal width by their probability, and the distance between the mean probability and the
/// share that came true is averaged, each bin as often as it has examples. The bins and their means are those of
/// `calibration_curve` of scikit-learn: a number on the edge is in the lower bin.
///
/// One probability an example is that of class 1. Of probabilities (n, c) the largest counts, and it comes true where it is
/// that of the right class.
///
/// # Errors
/// As [`metrics`](super) says; what is no probability; no bins, or more than 10,000.
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
    /// For each bin the sum of the probabilities, how many came true, and how many there are.
    sums: Vec<(f64, u64, u64)>,
}

/// The examples whose probabilities are about the same.
///
/// ```
/// use tealight::metrics::{Bin, CalibrationError, Metric};
/// use tealight::prelude::*;
/// let mut error = CalibrationError::new(2);
/// let probabilities = Tensor::new(&[0.25, 0.75, 1.0], &Device::Cpu)?;
/// error.update(&probabilities, &Tensor::new(&[0_u32, 1, 0], &Device::Cpu)?)?;
/// assert_eq!(error.curve()?[1], Bin { probability: 0.875, frequency: 0.5, count: 2 });
/// # Ok::<(), tealight::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bin {
    /// The mean of their probabilities.
    pub probability: f64,
    /// The share of them that came true.
    pub frequency: f64,
    /// How many there are.
    pub count: u64,
}

impl CalibrationError {
    /// Of no examples yet, with so many bins from 0 to 1.
    ///
    /// ```
    /// use tealight::metrics::{CalibrationError, Metric};
    /// use tealight::prelude::*;
    /// let (probabilities, targets) = (Tensor::new(&[0.25, 0.5], &Device::Cpu)?, Tensor::new(&[0_u32, 1], &Device::Cpu)?);
    /// let mut values = Vec::new();
    /// for bins in [1, 4] {
    ///     let mut error = CalibrationError::new(bins);
    ///     error.update(&probabilities, &targets)?;
    ///     values.push(error.value()?);
    /// }
    /// assert_eq!(values, [0.125, 0.375]); // |0.375 - 0.5|, and the mean of 0.25 and 0.5
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn new(bins: usize) -> Self {
        CalibrationError { bins, sums: Vec::new() }
    }

    /// The bins that have examples, by rising probability.
    ///
    /// # Errors
    /// No examples.
    ///
    /// ```
    /// use tealight::metrics::{CalibrationError, Metric};
    /// use tealight::prelude::*;
    /// let mut error = CalibrationError::new(10);
    /// let probabilities = Tensor::new(&[0.95, 0.15, 0.12], &Device::Cpu)?;
    /// error.update(&probabilities, &Tensor::new(&[1_u32, 0, 1], &Device::Cpu)?)?;
    /// assert!(error.curve()?.iter().map(|bin| (bin.frequency, bin.count)).eq([(0.5, 2), (1.0, 1)]));
    /// # Ok::<(), tealight::Error>(())
    /// ```
    #[doc(alias = "calibration_curve")]
    pub fn curve(&self) -> Result<Vec<Bin>> {
        let bin = |&(sum, right, count): &(f64, u64, u64)| {
            let n = count as f64;
            Bin { probability: sum / n, frequency: right as f64 / n, count }
        };
        let bins: Vec<Bin> = self.sums.iter().filter(|sums| sums.2 > 0).map(bin).collect();
        if bins.is_empty() { Err(nothing("calibration error")) } else { Ok(bins) }
    }
}

impl Metric for CalibrationError {
    fn name(&self) -> String {
        "calibration error".into()
    }

    fn update(&mut self, prediction: &Tensor, target: &Tensor) -> Result<()> {
        if !(1..=MOST_BINS).contains(&self.bins) {
            let expected = format!("from 1 to {MOST_BINS} bins");
            return Err(Error::argument("calibration error", expected, self.bins));
        }
        let batch = scored("calibration error", prediction, target)?;
        batch.probabilities("calibration error")?;
        self.sums.resize(self.bins, (0.0, 0, 0));
        // The edges as numpy.linspace rounds them.
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
        let off = |bin: &Bin| bin.count as f64 / total as f64 * (bin.probability - bin.frequency).abs();
        Ok(bins.iter().map(off).sum())
    }

    fn reset(&mut self) {
        self.sums.clear();
    }
}
