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

/// The temperature T for which softmax(logits / T) fits the targets best: above 1 if the model is overconfident. It changes no
/// order of classes.
///
/// It minimises the cross-entropy. Each class counts as seen once more than it was, so that T stays above 0 if all predictions are
/// right: the probability to aim at is (n + 1)/(n + c) for the true class and 1/(n + c) for the others. T is from 0.01 to 100.
/// The logits are (n, c), or (n) or (n, 1) of class 1; choose T on examples that the model was not trained on. Errors without examples.
///
/// # Source
/// C. Guo, G. Pleiss, Y. Sun, K. Q. Weinberger 2017, "On calibration of modern neural networks"; for the targets J. Platt 1999,
/// "Probabilistic outputs for support vector machines".
///
/// ```
/// # use tealight::prelude::*;
/// // Three of four right, and each time as sure as e⁴ : 1.
/// let logits = Tensor::new(&[[4.0, 0.0], [4.0, 0.0], [0.0, 4.0], [0.0, 4.0]], &Device::Cpu)?;
/// let t = tealight::metrics::temperature(&logits, &Tensor::new(&[0u32, 0, 1, 0], &Device::Cpu)?)?;
/// let p = (logits / t)?.softmax(1)?.i((0, 0))?.to_scalar::<f64>()?;
/// assert!((p - 4.0 / 6.0).abs() < 1e-12); // (3 + 1)/(4 + 2)
/// # Ok::<(), tealight::Error>(())
/// ```
#[doc(alias = "temperature_scaling")]
pub fn temperature(logits: &Tensor, targets: &Tensor) -> Result<f64> {
    let batch = scored("temperature", logits, targets)?;
    let rows: Vec<(Vec<f64>, usize)> = batch
        .rows()
        .map(|(row, class)| (if let [z] = row { vec![0.0, *z] } else { row.to_vec() }, class as usize))
        .collect();
    if let Some(odd) = rows.iter().flat_map(|(row, _)| row).find(|z| !z.is_finite()) {
        return Err(Error::argument("temperature", "finite logits", odd));
    }
    let Some((first, _)) = rows.first() else { return Err(no_examples("temperature")) };
    let (n, c) = (rows.len() as f64, first.len() as f64);
    // The slope of the cross-entropy over 1/T, which rises.
    let slope = |beta: f64| -> f64 {
        let row = |(logits, class): &(Vec<f64>, usize)| {
            let top = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let weights: Vec<f64> = logits.iter().map(|z| (beta * (z - top)).exp()).collect();
            let sum: f64 = weights.iter().sum();
            let mean: f64 = logits.iter().zip(&weights).map(|(z, w)| z * w / sum).sum();
            mean - (n * logits[*class] + logits.iter().sum::<f64>()) / (n + c)
        };
        rows.iter().map(row).sum()
    };
    let (mut low, mut high) = (0.01_f64.ln(), 100.0_f64.ln());
    for _ in 0..60 {
        let middle = 0.5 * (low + high);
        if slope((-middle).exp()) > 0.0 { low = middle } else { high = middle }
    }
    Ok((0.5 * (low + high)).exp())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prelude::*;

    /// `scipy.optimize.minimize_scalar` of the cross-entropy with these targets, over ln T.
    #[test]
    fn the_temperature_of_scipy() -> Result<()> {
        for (n, c, scale, expected) in [
            (12, 3, 1.0, 1.92870166),
            (40, 5, 2.0, 3.37626347),
            (30, 2, 0.1, 0.173655778),
            (25, 4, 0.5, 1.03967224),
        ] {
            let class = |row: usize| row * 7 % 5 % c;
            let right = |i: usize| i % c == class(i / c) && !(i / c).is_multiple_of(3);
            let logit = |i: usize| ((i * i + 3 * i) % 17) as f64 / 4.0 + if right(i) { 3.0 } else { 0.0 };
            let logits =
                Tensor::from_vec((0..n * c).map(|i| scale * logit(i)).collect(), (n, c), &Device::Cpu)?;
            let classes = (0..n).map(|row| class(row) as u32).collect();
            let t = temperature(&logits, &Tensor::from_vec(classes, n, &Device::Cpu)?)?;
            assert!((t / expected - 1.0).abs() < 1e-6, "{n} {c} {scale}: {t}");
        }
        Ok(())
    }

    #[test]
    fn edges_of_the_temperature() -> Result<()> {
        let of = |logits: &[f64], classes: &[u32]| {
            temperature(&Tensor::new(logits, &Device::Cpu)?, &Tensor::new(classes, &Device::Cpu)?)
        };
        // All right: one logit for an example, of 3 + 1 in 3 + 2.
        assert!((of(&[2.0, -2.0, 2.0], &[1, 0, 1])? - 2.0 / 4.0_f64.ln()).abs() < 1e-12);
        assert_eq!(of(&[0.0, 0.0], &[1, 0])?, of(&[0.0], &[0])?); // anything will do
        assert!((of(&[5.0, 5.0], &[0, 0])? - 100.0).abs() < 1e-9); // all wrong
        assert!(of(&[], &[]).is_err() && of(&[f64::NAN], &[0]).is_err());
        Ok(())
    }
}
