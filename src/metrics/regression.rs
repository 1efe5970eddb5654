//! [`Mae`], [`Rmse`] and [`R2`].

use super::read::numbers;
use super::{Metric, no_examples};
use crate::autograd::Tensor;
use crate::error::{Error, Result};

/// Sums over the examples, for each output of an example.
#[derive(Clone, Debug, Default)]
struct Sums {
    /// The shape of an example.
    dims: Vec<usize>,
    count: u64,
    outputs: Vec<Output>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Output {
    absolute: f64,
    squared: f64,
    /// The first target. The others are shifted by it, so that a large mean costs no digits.
    first: f64,
    /// The mean of the shifted targets, and the sum of their squared deviations from it (Welford).
    mean: f64,
    spread: f64,
}

impl Sums {
    fn add(&mut self, op: &'static str, prediction: &Tensor, target: &Tensor) -> Result<()> {
        let (dims, targets) = (prediction.dims(), target.dims());
        let Some((&n, rest)) = dims.split_first().filter(|_| dims == targets) else {
            return Err(Error::shape(op, "predictions and targets of one shape (n, ..)", &[dims, targets]));
        };
        if self.count > 0 && self.dims != rest {
            let expected = format!("examples of shape {:?}, as before", self.dims);
            return Err(Error::shape(op, expected, &[dims]));
        }
        let predicted = numbers(op, "predictions", prediction)?;
        let expected = numbers(op, "targets", target)?;
        if let Some(bad) = predicted.iter().chain(&expected).find(|x| x.is_infinite()) {
            return Err(Error::argument(op, "finite numbers", bad));
        }
        if predicted.is_empty() {
            return Ok(());
        }
        let outputs = predicted.len() / n;
        self.dims = rest.to_vec();
        self.outputs.resize(outputs, Output::default());
        for (p, t) in predicted.chunks_exact(outputs).zip(expected.chunks_exact(outputs)) {
            self.count += 1;
            for ((sums, p), t) in self.outputs.iter_mut().zip(p).zip(t) {
                if self.count == 1 {
                    sums.first = *t;
                }
                let shifted = t - sums.first;
                let (error, step) = (p - t, shifted - sums.mean);
                sums.absolute += error.abs();
                sums.squared += error * error;
                sums.mean += step / self.count as f64;
                sums.spread += step * (shifted - sums.mean);
            }
        }
        Ok(())
    }

    /// The mean over the outputs.
    fn mean(&self, op: &'static str, value: impl Fn(&Output) -> f64) -> Result<f64> {
        if self.count == 0 {
            return Err(no_examples(op));
        }
        match self.outputs.iter().map(value).sum::<f64>() / self.outputs.len() as f64 {
            mean if mean.is_finite() => Ok(mean),
            mean => Err(Error::argument(op, "numbers whose sums and squares are finite", mean)),
        }
    }
}

macro_rules! metric {
    ($(#[$doc:meta])* $Name:ident, $name:literal, $higher:literal) => {
        $(#[$doc])*
        ///
        /// Predictions and targets have one shape (n, ..); the value is the mean over the outputs of an example. Errors if a
        /// number is not finite.
        #[derive(Clone, Debug, Default)]
        pub struct $Name(Sums);

        impl $Name {
            /// An empty accumulator.
            pub fn new() -> Self {
                $Name::default()
            }
        }

        impl Metric for $Name {
            fn name(&self) -> String {
                $name.into()
            }

            fn higher_is_better(&self) -> bool {
                $higher
            }

            fn update(&mut self, prediction: &Tensor, target: &Tensor) -> Result<()> {
                self.0.add($name, prediction, target)
            }

            fn value(&self) -> Result<f64> {
                self.score()
            }

            fn reset(&mut self) {
                self.0 = Sums::default();
            }
        }
    };
}

metric! {
    /// The mean absolute error: `mean_absolute_error` of scikit-learn.
    ///
    /// ```
    /// use tealight::metrics::{Mae, Metric};
    /// use tealight::prelude::*;
    /// let mut mae = Mae::new();
    /// mae.update(&Tensor::new(&[1.0, 2.0], &Device::Cpu)?, &Tensor::new(&[1.5, 0.5], &Device::Cpu)?)?;
    /// assert_eq!(mae.value()?, 1.0);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    #[doc(alias = "mean_absolute_error")]
    Mae, "mae", false
}

metric! {
    /// The root mean squared error, `root_mean_squared_error` of scikit-learn: a root for each output of an example.
    ///
    /// ```
    /// use tealight::metrics::{Metric, Rmse};
    /// use tealight::prelude::*;
    /// let mut rmse = Rmse::new();
    /// rmse.update(&Tensor::new(&[1.0, 2.0], &Device::Cpu)?, &Tensor::new(&[2.0, 9.0], &Device::Cpu)?)?;
    /// assert_eq!(rmse.value()?, 5.0);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    #[doc(alias = "root_mean_squared_error")]
    Rmse, "rmse", false
}

metric! {
    /// R², the coefficient of determination: `r2_score` of scikit-learn.
    ///
    /// 1 is perfect; 0 is no better than the mean of the targets. Errors if all targets are equal.
    ///
    /// ```
    /// use tealight::metrics::{Metric, R2};
    /// use tealight::prelude::*;
    /// let mut r2 = R2::new();
    /// r2.update(&Tensor::new(&[1.0, 2.0, 2.0], &Device::Cpu)?, &Tensor::new(&[1.0, 2.0, 3.0], &Device::Cpu)?)?;
    /// assert_eq!(r2.value()?, 0.5);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    #[doc(alias = "r2_score")]
    R2, "r2", true
}

impl Mae {
    fn score(&self) -> Result<f64> {
        self.0.mean("mae", |sums| sums.absolute / self.0.count as f64)
    }
}

impl Rmse {
    fn score(&self) -> Result<f64> {
        self.0.mean("rmse", |sums| (sums.squared / self.0.count as f64).sqrt())
    }
}

impl R2 {
    fn score(&self) -> Result<f64> {
        if let Some(same) = self.0.outputs.iter().find(|sums| sums.spread == 0.0) {
            let got = format!("{} in each of {}", same.first, self.0.count);
            return Err(Error::argument("r2", "targets that differ", got));
        }
        // An infinite spread would give 1; NaN makes it an error.
        self.0.mean("r2", |sums| {
            1.0 - sums.squared / if sums.spread.is_finite() { sums.spread } else { f64::NAN }
        })
    }
}
