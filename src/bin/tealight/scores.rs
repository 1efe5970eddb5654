//! How good a model's predictions are, beside guessing.

use tealight::metrics::{ConfusionMatrix, Mae, Metric, R2, Rmse};
use tealight::prelude::*;

use super::failure::Result;
use super::inputs::Examples;
use super::model::Model;

/// How many classes are told one by one.
const FEW: usize = 20;

/// The predictions of a model for examples.
pub(super) enum Scores<'a> {
    Classes(Evaluation<'a>),
    Numbers(Residuals),
}

impl<'a> Scores<'a> {
    pub(super) fn new(model: &Model, examples: &'a Examples) -> Result<Self> {
        Ok(match model.plan.classes.is_empty() {
            false => Scores::Classes(Evaluation::new(model, examples)?),
            true => Scores::Numbers(Residuals::new(model, examples)?),
        })
    }

    /// Names and values, for the report and the model file.
    pub(super) fn metrics(&self, part: &str) -> Vec<(String, f64)> {
        match self {
            Scores::Classes(classes) => vec![(format!("accuracy ({part})"), classes.accuracy())],
            Scores::Numbers(numbers) => [("R²", numbers.r2), ("MAE", numbers.mae), ("RMSE", numbers.rmse)]
                .map(|(name, value)| (format!("{name} ({part})"), value))
                .into(),
        }
    }

    /// A line on these examples.
    pub(super) fn line(&self, part: &str, unit: &str) -> String {
        match self {
            Scores::Classes(classes) => format!(
                "{:>6.1} % of the {part} {unit} right ({} of {})\n",
                100.0 * classes.accuracy(),
                classes.correct(),
                classes.targets.len()
            ),
            Scores::Numbers(numbers) => format!("{part} {unit}: {}\n", numbers.line()),
        }
    }

    /// What this is worth on examples that the model was not trained on: guessing, how sure it is, each class.
    pub(super) fn worth(&self, unit: &str) -> Result<String> {
        let Scores::Classes(found) = self else {
            return Ok(if self.beats_guessing() { "" } else { "no better than the mean alone\n" }.into());
        };
        let (class, share) = found.guess()?;
        let (low, high) = wilson(found.correct(), found.targets.len());
        let [share, low, high] = [share, low, high].map(|share| 100.0 * share);
        let mut text = format!(
            "guessing {class:?} gives {share:.1} %; on other {unit} of this kind it could be {low:.1} to {high:.1} %\n"
        );
        text += match (self.beats_guessing(), low > share) {
            (false, _) => "no better than guessing\n",
            (true, false) => "maybe no better than guessing: more examples would tell\n",
            (true, true) => "",
        };
        let each = found.each()?;
        if each.len() <= FEW {
            let each = each.iter().map(|(class, right, all)| format!("{class} {right} of {all}"));
            text += &format!("found of each class: {}\n", each.collect::<Vec<_>>().join(", "));
        }
        let never: Vec<&str> =
            each.iter().filter(|(_, right, all)| *right == 0 && *all > 0).map(|(class, ..)| *class).collect();
        if !never.is_empty() {
            text +=
                &format!("never found: {} (--balance gives rare classes more weight)\n", never.join(", "));
        }
        Ok(text)
    }

    /// Whether the model is better than the most frequent class, or the mean.
    pub(super) fn beats_guessing(&self) -> bool {
        match self {
            Scores::Classes(classes) => classes.guess().is_ok_and(|(_, share)| classes.accuracy() > share),
            Scores::Numbers(numbers) => numbers.rmse < numbers.rmse_of_mean,
        }
    }
}

/// The 95 % interval of a share: E. B. Wilson, "Probable inference, the law of succession, and statistical inference", 1927.
fn wilson(right: usize, all: usize) -> (f64, f64) {
    let (n, z2) = (all as f64, 1.959_963_984_540_054_f64.powi(2));
    let p = right as f64 / n;
    let middle = (p + z2 / (2.0 * n)) / (1.0 + z2 / n);
    let half = (z2 * (p * (1.0 - p) / n + z2 / (4.0 * n * n))).sqrt() / (1.0 + z2 / n);
    (middle - half, middle + half)
}

/// Predicted classes.
pub(super) struct Evaluation<'a> {
    pub(super) examples: &'a Examples,
    /// (n, c)
    pub(super) probabilities: Tensor,
    pub(super) confusion: ConfusionMatrix,
    pub(super) predicted: Vec<u32>,
    pub(super) targets: Vec<u32>,
}

impl<'a> Evaluation<'a> {
    fn new(model: &Model, examples: &'a Examples) -> Result<Self> {
        let probabilities = model.probabilities(&examples.inputs)?;
        let mut confusion = ConfusionMatrix::new();
        confusion.update(&probabilities, &examples.targets)?;
        let predicted = probabilities.argmax(1)?.to_vec1::<u32>()?;
        let targets = examples.targets.to_vec1::<u32>()?;
        Ok(Evaluation { examples, probabilities, confusion, predicted, targets })
    }

    /// The number of correct predictions.
    pub(super) fn correct(&self) -> usize {
        self.is_right().filter(|right| *right).count()
    }

    pub(super) fn is_right(&self) -> impl Iterator<Item = bool> {
        self.predicted.iter().zip(&self.targets).map(|(predicted, target)| predicted == target)
    }

    pub(super) fn accuracy(&self) -> f64 {
        self.correct() as f64 / self.targets.len() as f64
    }

    /// The most frequent class, and its share.
    pub(super) fn guess(&self) -> Result<(&str, f64)> {
        let counts = self.examples.counts()?;
        let most = (0..counts.len()).rev().max_by_key(|&i| counts[i]).expect("there are classes");
        Ok((&self.examples.classes[most], counts[most] as f64 / self.targets.len() as f64))
    }

    /// Each class with its correct predictions and its examples.
    fn each(&self) -> Result<Vec<(&str, usize, usize)>> {
        let mut right = vec![0; self.examples.classes.len()];
        let found = self.targets.iter().zip(self.is_right()).filter(|(_, right)| *right);
        found.for_each(|(class, _)| right[*class as usize] += 1);
        let names = self.examples.classes.iter().map(String::as_str);
        Ok(names
            .zip(right)
            .zip(self.examples.counts()?)
            .map(|((name, right), all)| (name, right, all))
            .collect())
    }
}

/// Predicted numbers, and what the mean of the training would have given.
pub(super) struct Residuals {
    pub(super) predicted: Vec<f64>,
    pub(super) targets: Vec<f64>,
    /// NaN where all targets are equal.
    pub(super) r2: f64,
    pub(super) mae: f64,
    pub(super) rmse: f64,
    pub(super) mae_of_mean: f64,
    pub(super) rmse_of_mean: f64,
}

impl Residuals {
    fn new(model: &Model, examples: &Examples) -> Result<Self> {
        let (predicted, targets) = (model.numbers(&examples.inputs)?, examples.numbers()?);
        let [y, t] = [&predicted, &targets].map(|x| Tensor::new(&x[..], &Device::Cpu));
        let (y, t, mean) = (y?, t?, model.target_mean()?);
        let score = |mut metric: Box<dyn Metric>, y: &Tensor| {
            metric.update(y, &t)?;
            metric.value()
        };
        let mean = Tensor::full(mean, targets.len(), &Device::Cpu)?;
        Ok(Residuals {
            r2: score(Box::new(R2::new()), &y).unwrap_or(f64::NAN),
            mae: score(Box::new(Mae::new()), &y)?,
            rmse: score(Box::new(Rmse::new()), &y)?,
            mae_of_mean: score(Box::new(Mae::new()), &mean)?,
            rmse_of_mean: score(Box::new(Rmse::new()), &mean)?,
            predicted,
            targets,
        })
    }

    /// `R² 0.9734, MAE 1.2 (the mean alone: 8.9), RMSE 1.7 (11.2)`
    pub(super) fn line(&self) -> String {
        let [mae, mae_of_mean, rmse, rmse_of_mean] =
            [self.mae, self.mae_of_mean, self.rmse, self.rmse_of_mean].map(digits);
        format!("R² {:.4}, MAE {mae} (the mean alone: {mae_of_mean}), RMSE {rmse} ({rmse_of_mean})", self.r2)
    }
}

/// A number with four digits.
pub(super) fn digits(x: f64) -> String {
    match x.abs() {
        a if (1e-3..1e6).contains(&a) => format!("{x:.*}", (3 - a.log10().floor() as i32).max(0) as usize),
        _ if x == 0.0 => "0".into(),
        _ => format!("{x:.3e}"),
    }
}
