//! Metrics: how good predictions are, accumulated over batches, with the values of scikit-learn.
//!
//! Target classes are integers 0, 1, … in a tensor (n) of any dtype. Predictions are scores (n, c), of which the largest counts;
//! or one score per example, (n) or (n, 1), that of class 1 of two, for which a threshold says where class 1 begins; or, for metrics that need no scores, predicted classes
//! (n) of an integer dtype. Scores (n, c, ..) go with classes (n, ..), as in [`CrossEntropy`](crate::loss::CrossEntropy).

mod accuracy;
mod calibration;
mod confusion;
mod log_loss;
mod precision;
mod ranking;
mod read;
mod regression;

use std::fmt::Debug;

pub use accuracy::{Accuracy, TopKAccuracy};
pub use calibration::{CalibrationBin, CalibrationError, temperature};
pub use confusion::ConfusionMatrix;
pub use log_loss::LogLoss;
pub use precision::{Average, F1, Precision, Recall};
pub use ranking::{AveragePrecision, RocAuc};
#[cfg(feature = "plot")]
pub(crate) use read::decided;
pub use regression::{Mae, R2, Rmse};

use crate::autograd::Tensor;
use crate::error::{Error, Result};

/// A measure of predictions, accumulated over batches. The value is that of all examples together, whatever the batch sizes.
///
/// ```
/// use tealight::metrics::{Metric, Rmse};
/// use tealight::prelude::*;
/// let mut metric = Rmse::new();
/// for off in [1.0, 7.0] {
///     metric.update(&Tensor::new(&[off], &Device::Cpu)?, &Tensor::new(&[0.0], &Device::Cpu)?)?;
/// }
/// assert_eq!(metric.value()?, 5.0); // of both batches together, and not the mean of 1 and 7
/// # Ok::<(), tealight::Error>(())
/// ```
pub trait Metric: Debug + Send {
    /// The name in tables and files: `accuracy`, `macro f1`.
    fn name(&self) -> String;

    /// Whether larger values are better, as for an accuracy, and not smaller ones, as for an error.
    fn higher_is_better(&self) -> bool;

    /// Adds a batch. Errors if the shapes do not fit, a number is NaN or a class does not exist; the batch then does not count.
    #[doc(alias = "update_state")]
    fn update(&mut self, prediction: &Tensor, target: &Tensor) -> Result<()>;

    /// The value over all batches since the last reset. Errors if it is undefined, such as without examples.
    #[doc(alias = "compute")]
    fn value(&self) -> Result<f64>;

    /// Forgets all batches.
    #[doc(alias = "reset_state")]
    fn reset(&mut self);

    /// The confusion matrix, if the metric counts one.
    fn confusion(&self) -> Option<&ConfusionMatrix> {
        None
    }
}

impl<M: Metric + ?Sized> Metric for &mut M {
    fn name(&self) -> String {
        (**self).name()
    }

    fn higher_is_better(&self) -> bool {
        (**self).higher_is_better()
    }

    fn update(&mut self, prediction: &Tensor, target: &Tensor) -> Result<()> {
        (**self).update(prediction, target)
    }

    fn value(&self) -> Result<f64> {
        (**self).value()
    }

    fn reset(&mut self) {
        (**self).reset();
    }

    fn confusion(&self) -> Option<&ConfusionMatrix> {
        (**self).confusion()
    }
}

fn no_examples(op: &'static str) -> Error {
    Error::argument(op, "at least one example", "none")
}

fn ratio(op: &'static str, sum: f64, count: u64) -> Result<f64> {
    if count == 0 { Err(no_examples(op)) } else { Ok(sum / count as f64) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prelude::*;

    fn all() -> Vec<Box<dyn Metric>> {
        vec![
            Box::new(Accuracy::new().threshold(0.5)),
            Box::new(TopKAccuracy::new(1)),
            Box::new(ConfusionMatrix::new().threshold(0.5)),
            Box::new(Precision::new(Average::Micro).threshold(0.5)),
            Box::new(Recall::new(Average::Weighted).threshold(0.5)),
            Box::new(F1::new(Average::Class(1)).threshold(0.5)),
            Box::new(RocAuc::new()),
            Box::new(RocAuc::from_logits()),
            Box::new(AveragePrecision::new()),
            Box::new(LogLoss::new()),
            Box::new(CalibrationError::new(10)),
            Box::new(CalibrationError::from_logits(10)),
            Box::new(Mae::new()),
            Box::new(Rmse::new()),
            Box::new(R2::new()),
        ]
    }

    fn tensor(numbers: &[f64]) -> Tensor {
        Tensor::new(numbers, &Device::Cpu).unwrap()
    }

    /// What a metric takes: scores, and targets that are 0 and 1.
    fn batch(metric: &dyn Metric) -> (Tensor, Tensor) {
        let scores = tensor(&[0.9, 0.2, 0.6]);
        match metric.name().starts_with("top") {
            true => {
                (Tensor::stack(&[&(1.0 - &scores).unwrap(), &scores], 1).unwrap(), tensor(&[1.0, 0.0, 0.0]))
            }
            false => (scores, tensor(&[1.0, 0.0, 0.0])),
        }
    }

    #[test]
    fn no_examples_and_reset() -> Result<()> {
        for mut metric in all() {
            let none = metric.value().unwrap_err().to_string();
            assert!(none.ends_with("expected at least one example, got none"), "{none}");
            let (scores, targets) = batch(&*metric);
            metric.update(&scores.i(0..0)?, &targets.i(0..0)?)?;
            assert_eq!(metric.value().unwrap_err().to_string(), none);
            metric.update(&scores, &targets)?;
            let value = metric.value()?;
            metric.reset();
            assert_eq!(metric.value().unwrap_err().to_string(), none);
            metric.update(&scores, &targets)?;
            assert_eq!(metric.value()?, value);
        }
        Ok(())
    }

    #[test]
    fn an_invalid_batch_does_not_count() -> Result<()> {
        for mut metric in all() {
            let name = metric.name();
            let (scores, targets) = batch(&*metric);
            metric.update(&scores, &targets)?;
            let value = metric.value()?;
            let nan = (&scores * f64::NAN)?;
            for (scores, targets) in [
                (&nan, &targets),
                (&scores, &tensor(&[1.0, f64::NAN, 0.0])),
                (&scores, &tensor(&[1.0, f64::INFINITY, 0.0])),
                (&scores, &tensor(&[1.0, 0.0])),
                (&scores, &tensor(&[1.0, 0.0]).reshape((2, 1))?),
                (&scores.sum_all()?, &targets.sum_all()?),
            ] {
                assert!(metric.update(scores, targets).is_err(), "{name} {scores} {targets}");
                assert_eq!(metric.value()?, value, "{name}");
            }
        }
        Ok(())
    }

    fn error_of(metric: &mut dyn Metric, prediction: &Tensor, target: &Tensor) -> String {
        metric.update(prediction, target).unwrap_err().to_string()
    }

    #[test]
    fn error_messages() -> Result<()> {
        let (scores, classes) = (tensor(&[0.9, 0.2, 0.6]), tensor(&[1.0, 0.0, 0.0]));
        let rows = Tensor::new(&[[0.5, 0.5, 0.0], [0.1, 0.2, 0.7]], &Device::Cpu)?;
        let accuracy = &mut Accuracy::new();
        for (prediction, target, text) in [
            (
                &scores,
                &tensor(&[1.0, 2.0, 0.0]),
                "expected targets that are classes from 0 to 1, got 2 at [1]",
            ),
            (
                &scores,
                &tensor(&[1.0, 0.5, 0.0]),
                "expected targets that are classes from 0 to 1, got 0.5 at [1]",
            ),
            (&scores, &(&classes * f64::NAN)?, "expected targets that are not NaN, got NaN at [0]"),
            (&(&scores * f64::NAN)?, &classes, "expected predictions that are not NaN, got NaN at [0]"),
            (
                &scores,
                &classes,
                "expected a threshold for one score an example (0.5 for probabilities, 0 for logits), got none",
            ),
            (&rows, &tensor(&[0.0, 3.0]), "expected targets that are classes from 0 to 2, got 3 at [1]"),
            (&rows, &classes, "expected scores (n, c) or (n) and the class (n) of each, got [2, 3] and [3]"),
            (&rows, &rows, "expected scores (n, c) or (n) and the class (n) of each, got [2, 3] and [2, 3]"),
            (
                &Tensor::new(&[0i64, -1, 0], &Device::Cpu)?,
                &classes,
                "expected predictions that are classes from 0 to 4294967295, got -1 at [1]",
            ),
        ] {
            assert_eq!(error_of(accuracy, prediction, target), format!("accuracy: {text}"));
        }
        assert!(error_of(&mut Accuracy::new().threshold(f64::NAN), &scores, &classes).ends_with("got NaN"));
        for k in [0, 4, usize::MAX] {
            let error = error_of(&mut TopKAccuracy::new(k), &rows, &tensor(&[0.0, 1.0]));
            assert_eq!(
                error,
                format!("top-k accuracy: expected a k from 1 to 3, the number of scores, got {k}")
            );
        }
        assert!(matches!(TopKAccuracy::new(1).update(&scores, &classes), Err(Error::Shape { .. })));
        for metric in
            [&mut LogLoss::new() as &mut dyn Metric, &mut RocAuc::new(), &mut CalibrationError::new(5)]
        {
            let error = error_of(metric, &(&rows * 0.9)?, &tensor(&[0.0, 1.0]));
            assert!(
                error.ends_with("probabilities of the classes that sum to 1, got 0.9 for example 0"),
                "{error}"
            );
        }
        for bins in [0, usize::MAX] {
            assert!(CalibrationError::new(bins).update(&scores, &classes).is_err());
        }
        assert!(matches!(
            LogLoss::new().update(&classes.to_dtype(DType::U8)?, &classes),
            Err(Error::Dtype { .. })
        ));
        let infinite = Tensor::full(f64::INFINITY, (2, 3), &Device::Cpu)?;
        for metric in [
            &mut LogLoss::from_logits() as &mut dyn Metric,
            &mut RocAuc::from_logits(),
            &mut CalibrationError::from_logits(5),
        ] {
            let error = error_of(metric, &infinite, &tensor(&[0.0, 1.0]));
            assert!(error.ends_with("not all of an example -inf, got infinite scores"), "{error}");
        }
        let infinite = error_of(&mut Mae::new(), &(&scores * f64::INFINITY)?, &classes);
        assert_eq!(infinite, "mae: expected finite numbers, got inf");
        Ok(())
    }

    #[test]
    fn one_class_only() -> Result<()> {
        let scores = tensor(&[0.9, 0.2, 0.6]);
        let text = |metric: &mut dyn Metric, class: f64| {
            metric
                .update(&scores, &tensor(&[class; 3]))
                .and_then(|()| metric.value())
                .map_err(|e| e.to_string())
        };
        let none = "roc auc: expected targets of class 1, got 3 of other classes";
        assert_eq!(text(&mut RocAuc::new(), 0.0), Err(none.into()));
        let all = "roc auc: expected targets of other classes than 1, got 3 of class 1";
        assert_eq!(text(&mut RocAuc::new(), 1.0), Err(all.into()));
        assert_eq!(text(&mut AveragePrecision::new(), 1.0), Ok(1.0));
        assert!(text(&mut AveragePrecision::new(), 0.0).is_err());
        assert_eq!(text(&mut Recall::new(Average::Class(1)).threshold(0.5), 0.0), Ok(0.0));
        let none = "f1: expected class 2 among the targets or the predictions, got 3 examples without it";
        assert_eq!(text(&mut F1::new(Average::Class(2)).threshold(0.5), 0.0), Err(none.into()));
        assert_eq!(
            text(&mut R2::new(), 0.1),
            Err("r2: expected targets that differ, got 0.1 in each of 3".into())
        );
        Ok(())
    }

    #[test]
    fn large_numbers_take_no_memory_and_lose_no_digits() -> Result<()> {
        let wide = Tensor::new(&[0u32, 1 << 19, u32::MAX], &Device::Cpu)?;
        let mut confusion = ConfusionMatrix::new();
        assert!(confusion.update(&wide, &wide).is_err());
        confusion.update(&wide.i(0..2)?, &wide.i(0..2)?)?;
        assert_eq!(confusion.value()?, 1.0);
        assert!(confusion.counts().is_err());
        let mut accuracy = Accuracy::new();
        accuracy.update(&wide, &wide)?;
        assert_eq!(accuracy.value()?, 1.0);
        let (mut r2, far) = (R2::new(), tensor(&[1e9, 1e9 + 1.0, 1e9 + 2.0]));
        r2.update(&(&far + 0.5)?, &far)?;
        assert_eq!(r2.value()?, 1.0 - 0.75 / 2.0);
        for metric in [&mut R2::new() as &mut dyn Metric, &mut Rmse::new()] {
            metric.update(&tensor(&[1e200, 2.0]), &tensor(&[1.0, -1e200]))?;
            assert!(metric.value().is_err(), "{}", metric.name());
        }
        Ok(())
    }

    #[test]
    fn classes_are_on_the_second_axis() -> Result<()> {
        // Two examples of three places, each with scores of two classes.
        let scores =
            Tensor::new(&[[[3.0, 0.0, 1.0], [1.0, 2.0, 1.5]], [[0.0; 3], [1.0, -1.0, 0.0]]], &Device::Cpu)?;
        let classes = Tensor::new(&[[0u32, 1, 1], [1, 0, 0]], &Device::Cpu)?;
        let mut accuracy = Accuracy::new();
        accuracy.update(&scores, &classes)?;
        assert_eq!(accuracy.value()?, 1.0);
        assert!(accuracy.update(&scores, &classes.reshape((3, 2))?).is_err());
        Ok(())
    }

    #[test]
    fn curves() -> Result<()> {
        let (mut roc, mut pr) = (RocAuc::new(), AveragePrecision::new());
        let (p, y) = (Tensor::new(&[[0.2, 0.3, 0.5], [0.6, 0.4, 0.0]], &Device::Cpu)?, tensor(&[2.0, 0.0]));
        roc.update(&p, &y)?;
        pr.update(&p, &y)?;
        assert_eq!(roc.curve(2)?, [(0.0, 0.0), (0.0, 1.0), (1.0, 1.0)]);
        assert_eq!(pr.curve(0)?, [(1.0, 1.0), (1.0, 0.5)]);
        assert!(roc.curve(1).is_err() && roc.curve(3).is_err() && roc.curve(u32::MAX).is_err());
        assert!(roc.update(&tensor(&[0.5]), &tensor(&[1.0])).is_err());
        Ok(())
    }
}
