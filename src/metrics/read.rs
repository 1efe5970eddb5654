//! Reads the predictions and targets of a batch, and checks them.

use crate::autograd::Tensor;
use crate::autograd::array::{self, epsilon, place};
use crate::error::{Error, Result};

/// The elements of `x`; errors if one is NaN.
pub(super) fn numbers(op: &'static str, what: &str, x: &Tensor) -> Result<Vec<f64>> {
    let numbers = array::numbers(x.array())?;
    match numbers.iter().position(|x| x.is_nan()) {
        Some(i) => Err(Error::argument(
            op,
            format!("{what} that are not NaN"),
            format!("NaN at {:?}", place(x.dims(), i)),
        )),
        None => Ok(numbers),
    }
}

/// The elements of `x` as classes; errors unless they are integers below `count`.
fn classes(op: &'static str, what: &str, x: &Tensor, count: Option<usize>) -> Result<Vec<u32>> {
    let last = count.map_or(u32::MAX, |count| u32::try_from(count.saturating_sub(1)).unwrap_or(u32::MAX));
    let class = |(i, x_i): (usize, f64)| match x_i.fract() == 0.0 && (0.0..=f64::from(last)).contains(&x_i) {
        true => Ok(x_i as u32),
        false => Err(Error::argument(
            op,
            format!("{what} that are classes from 0 to {last}"),
            format!("{x_i} at {:?}", place(x.dims(), i)),
        )),
    };
    numbers(op, what, x)?.into_iter().enumerate().map(class).collect()
}

/// Scores and target classes.
pub(super) struct Scored {
    /// A row per example.
    pub(super) scores: Vec<f64>,
    /// The length of a row: 1 for the scores of class 1 out of two, else the number of classes.
    pub(super) columns: usize,
    pub(super) targets: Vec<u32>,
    /// The machine epsilon of the scores' dtype.
    pub(super) epsilon: f64,
}

/// Reads scores (n), (n, 1) or (n, c, ..), and classes.
pub(super) fn scored(op: &'static str, prediction: &Tensor, target: &Tensor) -> Result<Scored> {
    let dtype = prediction.dtype();
    let epsilon = epsilon(dtype).ok_or_else(|| Error::dtype(op, "scores of floats", &[dtype]))?;
    let (dims, target_dims) = (prediction.dims(), target.dims());
    let (columns, inner) = match *dims {
        [_] if target_dims == dims => (1, 1),
        [_, 1] if target_dims == dims => (1, 1),
        [n, c, ref rest @ ..] if c > 0 && target_dims.split_first() == Some((&n, rest)) => {
            (c, rest.iter().product::<usize>())
        }
        _ => {
            let expected = "scores (n, c) or (n) and the class (n) of each";
            return Err(Error::shape(op, expected, &[dims, target_dims]));
        }
    };
    let targets = classes(op, "targets", target, Some(columns.max(2)))?;
    let mut scores = numbers(op, "predictions", prediction)?;
    if inner > 1 {
        // Moves the axis of the classes to the end.
        let block = columns * inner;
        let from = |i: usize| i / block * block + i % columns * inner + i % block / columns;
        scores = (0..scores.len()).map(|i| scores[from(i)]).collect();
    }
    Ok(Scored { scores, columns, targets, epsilon })
}

impl Scored {
    /// Makes probabilities of logits: by a sigmoid if there is one per example, else by a softmax.
    pub(super) fn logits_to_probabilities(mut self, op: &'static str) -> Result<Self> {
        for row in self.scores.chunks_exact_mut(self.columns) {
            match row {
                [z] => *z = 1.0 / (1.0 + (-*z).exp()),
                row => {
                    let largest = row.iter().fold(f64::NEG_INFINITY, |most, &z| most.max(z));
                    row.iter_mut().for_each(|z| *z = (*z - largest).exp());
                    let sum: f64 = row.iter().sum();
                    row.iter_mut().for_each(|z| *z /= sum);
                }
            }
        }
        if self.scores.iter().any(|p| p.is_nan()) {
            let expected = "scores without +inf, and not all of an example -inf";
            return Err(Error::argument(op, expected, "infinite scores"));
        }
        Ok(self)
    }

    /// Errors unless the scores are probabilities.
    pub(super) fn check_probabilities(&self, op: &'static str) -> Result<()> {
        if let Some(bad) = self.scores.iter().find(|p| !(0.0..=1.0).contains(*p)) {
            return Err(Error::argument(op, "probabilities from 0 to 1", bad));
        }
        let slack = self.epsilon.sqrt().max(1e-3);
        let mut sums = self.scores.chunks_exact(self.columns).map(|row| row.iter().sum::<f64>()).enumerate();
        match sums.find(|(_, sum)| self.columns > 1 && (sum - 1.0).abs() > slack) {
            None => Ok(()),
            Some((row, sum)) => {
                let got = format!("{sum} for example {row}");
                Err(Error::argument(op, "probabilities of the classes that sum to 1", got))
            }
        }
    }

    /// The rows with their target classes.
    pub(super) fn rows(&self) -> impl Iterator<Item = (&[f64], u32)> {
        self.scores.chunks_exact(self.columns).zip(self.targets.iter().copied())
    }
}

/// The class of the largest score; the first one of equal scores.
pub(super) fn largest(row: &[f64]) -> usize {
    (1..row.len()).fold(0, |best, i| if row[i] > row[best] { i } else { best })
}

/// Predicted classes, target classes, and the number of classes if known, else 0.
pub(crate) struct Decided {
    pub(crate) predicted: Vec<u32>,
    pub(crate) targets: Vec<u32>,
    pub(super) classes: usize,
}

/// Reads target classes, and scores or predicted classes. One score per example means class 1 above `threshold`.
pub(crate) fn decided(
    op: &'static str,
    prediction: &Tensor,
    target: &Tensor,
    threshold: Option<f64>,
) -> Result<Decided> {
    if prediction.dtype().is_int() {
        if prediction.dims() != target.dims() {
            let expected = "predicted classes (n) and target classes (n)";
            return Err(Error::shape(op, expected, &[prediction.dims(), target.dims()]));
        }
        let predicted = classes(op, "predictions", prediction, None)?;
        return Ok(Decided { predicted, targets: classes(op, "targets", target, None)?, classes: 0 });
    }
    let scored = scored(op, prediction, target)?;
    let predicted = if scored.columns == 1 {
        // A number from 0 to 1 may be a probability or a logit.
        let Some(threshold) = threshold.filter(|threshold| !threshold.is_nan()) else {
            let expected = "a threshold for one score an example (0.5 for probabilities, 0 for logits)";
            return Err(Error::argument(op, expected, threshold.map_or("none", |_| "NaN")));
        };
        scored.scores.iter().map(|&score| u32::from(score > threshold)).collect()
    } else {
        scored.rows().map(|(row, _)| largest(row) as u32).collect()
    };
    Ok(Decided { predicted, classes: scored.columns.max(2), targets: scored.targets })
}
