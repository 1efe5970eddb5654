//! How good a model's predictions are, beside guessing, and which are wrong.

use serde_json::{Value, json};
use tealight::metrics::{CalibrationError, ConfusionMatrix, Mae, Metric, R2, Rmse};
use tealight::prelude::*;

use super::evaluate::aligned;
use super::failure::Result;
use super::inputs::Examples;
use super::model::Model;

/// How many classes are told one by one.
const FEW: usize = 20;
/// The interval of 95 % of a normal distribution, in standard deviations to either side of the mean.
const Z: f64 = 1.959_963_984_540_054;
/// Bins of the calibration error.
const BINS: usize = 10;

/// The predictions for examples that a model was not trained on, or of several models, each for its own examples.
pub(super) enum Scores {
    Classes(Evaluation),
    Numbers(Residuals),
}

/// A wrong prediction: the number of the example; the true class, the answer and its probability, or the true number, the
/// prediction and the difference.
pub(super) type Mistake = (usize, [Value; 3]);

impl Scores {
    pub(super) fn new(parts: &[(&Model, &Examples)]) -> Result<Self> {
        Ok(match parts[0].0.plan.classes.is_empty() {
            false => Scores::Classes(Evaluation::new(parts)?),
            true => Scores::Numbers(Residuals::new(parts)?),
        })
    }

    pub(super) fn examples(&self) -> &Examples {
        match self {
            Scores::Classes(classes) => &classes.examples,
            Scores::Numbers(numbers) => &numbers.examples,
        }
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

    /// The name and the value of one score, larger for better.
    pub(super) fn score(&self) -> (&'static str, f64) {
        match self {
            Scores::Classes(classes) if classes.balance => ("balanced accuracy", classes.balanced().0),
            Scores::Classes(classes) => ("accuracy", classes.accuracy()),
            Scores::Numbers(numbers) => ("R²", numbers.r2),
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
        let found = match self {
            Scores::Classes(found) => found,
            Scores::Numbers(found) => {
                let text = match (found.gain() > 0.0, self.beats_guessing()) {
                    (false, _) => "no better than the mean alone\n",
                    (true, false) => "maybe no better than the mean alone: more examples would tell\n",
                    (true, true) => "",
                };
                return Ok(text.into());
            }
        };
        let (class, share) = found.guess()?;
        let (low, high) = found.interval();
        let [p, share, low, high] = [self.score().1, share, low, high].map(|share| 100.0 * share);
        let guessing = match found.balance {
            true => format!("{p:.1} % right on average of the classes; guessing gives {share:.1} %"),
            false => format!("guessing {class:?} gives {share:.1} %"),
        };
        let mut text =
            format!("{guessing}; on other {unit} of this kind it could be {low:.1} to {high:.1} %\n");
        text += match (p > share, self.beats_guessing()) {
            (false, _) => "no better than guessing\n",
            (true, false) => "maybe no better than guessing: more examples would tell\n",
            (true, true) => "",
        };
        let each = found.each();
        if each.len() <= FEW {
            let each = each.iter().map(|(class, right, all)| format!("{class} {right} of {all}"));
            text += &format!("found of each class: {}\n", each.collect::<Vec<_>>().join(", "));
        }
        let never: Vec<&str> =
            each.iter().filter(|(_, right, all)| *right == 0 && *all > 0).map(|(class, ..)| *class).collect();
        if !never.is_empty() {
            let advice = if found.balance { "" } else { " (--balance gives rare classes more weight)" };
            text += &format!("never found: {}{advice}\n", never.join(", "));
        }
        Ok(text)
    }

    /// Whether the model is better than the most frequent class, or than any class if all count the same, or than the mean, with the
    /// whole interval of 95 %.
    pub(super) fn beats_guessing(&self) -> bool {
        match self {
            Scores::Classes(classes) => classes.guess().is_ok_and(|(_, share)| classes.interval().0 > share),
            Scores::Numbers(numbers) => numbers.gain() > Z * numbers.gain_error(),
        }
    }

    /// The wrong predictions, the most confident first; of numbers all, the largest differences first.
    pub(super) fn mistakes(&self) -> Result<Vec<Mistake>> {
        match self {
            Scores::Classes(found) => {
                let all = found.probabilities.to_vec2::<f32>()?;
                let names = &found.examples.classes;
                let mut wrong: Vec<(usize, f32)> = (0..all.len())
                    .filter(|&i| found.predicted[i] != found.targets[i])
                    .map(|i| (i, all[i][found.predicted[i] as usize]))
                    .collect();
                wrong.sort_by(|a, b| b.1.total_cmp(&a.1));
                // The shortest number that reads back as this f32.
                let number = |p: f32| p.to_string().parse::<f64>().map_or(Value::Null, |p| json!(p));
                let mistake = |(i, p): (usize, f32)| {
                    let [truth, answer] =
                        [&found.targets, &found.predicted].map(|of| json!(names[of[i] as usize]));
                    (i, [truth, answer, number(p)])
                };
                Ok(wrong.into_iter().map(mistake).collect())
            }
            Scores::Numbers(found) => {
                let mut all: Vec<(usize, f64, f64)> = found
                    .targets
                    .iter()
                    .zip(&found.predicted)
                    .enumerate()
                    .map(|(i, (t, y))| (i, *t, *y))
                    .collect();
                all.sort_by(|a, b| (b.1 - b.2).abs().total_cmp(&(a.1 - a.2).abs()));
                Ok(all.into_iter().map(|(i, t, y)| (i, [json!(t), json!(y), json!(t - y)])).collect())
            }
        }
    }

    /// What the list of [`mistakes`](Scores::mistakes) is called, and its columns.
    pub(super) fn head(&self) -> (&'static str, [&'static str; 3]) {
        match self {
            Scores::Classes(_) => ("wrong, the most confident first", ["true", "answer", "probability"]),
            Scores::Numbers(_) => ("largest residuals", ["true", "prediction", "residual"]),
        }
    }

    /// The first [`mistakes`](Scores::mistakes) as a table; nothing if there are none.
    pub(super) fn wrong(&self, most: usize, unit: &str) -> Result<String> {
        let (all, (title, head)) = (self.mistakes()?, self.head());
        let name = |name: &str| vec![name.to_string()].into_iter();
        let mut table = vec![name(unit.trim_end_matches('s')).chain(head.map(String::from)).collect()];
        for (i, cells) in all.iter().take(most) {
            table.push(name(&self.examples().names[*i]).chain(cells.each_ref().map(cell)).collect());
        }
        let more = match self {
            Scores::Classes(_) if all.len() > most => format!("… and {} more\n", all.len() - most),
            _ => String::new(),
        };
        Ok(if all.is_empty() { String::new() } else { format!("\n{title}:\n{}{more}", aligned(&table)) })
    }
}

/// A cell of a [`Mistake`] as text.
pub(super) fn cell(value: &Value) -> String {
    value.as_str().map_or_else(|| digits(value.as_f64().unwrap_or(f64::NAN)), String::from)
}

/// The 95 % interval of a share: E. B. Wilson, "Probable inference, the law of succession, and statistical inference", 1927.
fn wilson(right: usize, all: usize) -> (f64, f64) {
    let (n, z2) = (all as f64, Z.powi(2));
    let p = right as f64 / n;
    let middle = (p + z2 / (2.0 * n)) / (1.0 + z2 / n);
    let half = (z2 * (p * (1.0 - p) / n + z2 / (4.0 * n * n))).sqrt() / (1.0 + z2 / n);
    (middle - half, middle + half)
}

/// Predicted classes.
pub(super) struct Evaluation {
    pub(super) examples: Examples,
    /// (n, c)
    pub(super) probabilities: Tensor,
    pub(super) confusion: ConfusionMatrix,
    pub(super) calibration: CalibrationError,
    pub(super) predicted: Vec<u32>,
    pub(super) targets: Vec<u32>,
    /// Whether all classes count the same.
    balance: bool,
}

impl Evaluation {
    fn new(parts: &[(&Model, &Examples)]) -> Result<Self> {
        let probabilities = parts.iter().map(|(model, part)| model.probabilities(&part.inputs));
        let probabilities = Tensor::cat(&probabilities.collect::<Result<Vec<_>>>()?, 0)?;
        let examples = Examples::cat(&parts.iter().map(|(_, part)| *part).collect::<Vec<_>>())?;
        let (mut confusion, mut calibration) = (ConfusionMatrix::new(), CalibrationError::new(BINS));
        confusion.update(&probabilities, &examples.targets)?;
        calibration.update(&probabilities, &examples.targets)?;
        let predicted = probabilities.argmax(1)?.to_vec1::<u32>()?;
        let targets = examples.targets.to_vec1::<u32>()?;
        let balance = parts[0].0.plan.balance;
        Ok(Evaluation { examples, probabilities, confusion, calibration, predicted, targets, balance })
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

    /// The mean share of each class that is right, and its 95 % interval: G. Y. Zou, A. Donner 2008, "Construction of confidence
    /// limits about effect measures", with Wilson's for each class.
    fn balanced(&self) -> (f64, (f64, f64)) {
        let each: Vec<_> = self.each().into_iter().filter(|(_, _, all)| *all > 0).collect();
        let mean = |of: &dyn Fn(usize, usize) -> f64| {
            each.iter().map(|(_, right, all)| of(*right, *all)).sum::<f64>() / each.len() as f64
        };
        let p = mean(&|right, all| right as f64 / all as f64);
        let off = |end: &dyn Fn((f64, f64)) -> f64| {
            let squares = mean(&|right, all| (right as f64 / all as f64 - end(wilson(right, all))).powi(2));
            (squares / each.len() as f64).sqrt()
        };
        (p, (p - off(&|(low, _)| low), p + off(&|(_, high)| high)))
    }

    /// The 95 % interval of the score.
    pub(super) fn interval(&self) -> (f64, f64) {
        let (low, high) =
            if self.balance { self.balanced().1 } else { wilson(self.correct(), self.targets.len()) };
        (low.max(0.0), high.min(1.0)) // but for rounding they are
    }

    /// The most frequent class, and the score of guessing it.
    pub(super) fn guess(&self) -> Result<(&str, f64)> {
        let counts = self.examples.counts()?;
        let most = (0..counts.len()).rev().max_by_key(|&i| counts[i]).expect("there are classes");
        let score = match self.balance {
            true => 1.0 / counts.iter().filter(|count| **count > 0).count() as f64,
            false => counts[most] as f64 / self.targets.len() as f64,
        };
        Ok((&self.examples.classes[most], score))
    }

    /// Each class with its correct predictions and its examples.
    fn each(&self) -> Vec<(&str, usize, usize)> {
        let mut each: Vec<_> = self.examples.classes.iter().map(|name| (name.as_str(), 0, 0)).collect();
        for (&class, right) in self.targets.iter().zip(self.is_right()) {
            let (_, found, all) = &mut each[class as usize];
            (*found, *all) = (*found + usize::from(right), *all + 1);
        }
        each
    }
}

/// Predicted numbers, and what the mean of the training would have given.
pub(super) struct Residuals {
    pub(super) examples: Examples,
    pub(super) predicted: Vec<f64>,
    pub(super) targets: Vec<f64>,
    /// NaN where all targets are equal.
    pub(super) r2: f64,
    pub(super) mae: f64,
    pub(super) rmse: f64,
    pub(super) mae_of_mean: f64,
    pub(super) rmse_of_mean: f64,
    /// How much larger the squared error of the mean is, for each number.
    gains: Vec<f64>,
}

impl Residuals {
    fn new(parts: &[(&Model, &Examples)]) -> Result<Self> {
        let (mut predicted, mut means) = (Vec::new(), Vec::new());
        for (model, part) in parts {
            predicted.extend(model.numbers(&part.inputs)?);
            means.resize(predicted.len(), model.target_mean()?);
        }
        let examples = Examples::cat(&parts.iter().map(|(_, part)| *part).collect::<Vec<_>>())?;
        let targets = examples.numbers()?;
        let errors = targets.iter().zip(&predicted).zip(&means);
        let gains = errors.map(|((t, y), mean)| (t - mean).powi(2) - (t - y).powi(2)).collect();
        let [y, t, mean] = [&predicted, &targets, &means].map(|x| Tensor::new(&x[..], &Device::Cpu));
        let (y, t, mean) = (y?, t?, mean?);
        let score = |mut metric: Box<dyn Metric>, y: &Tensor| {
            metric.update(y, &t)?;
            metric.value()
        };
        Ok(Residuals {
            r2: score(Box::new(R2::new()), &y).unwrap_or(f64::NAN),
            mae: score(Box::new(Mae::new()), &y)?,
            rmse: score(Box::new(Rmse::new()), &y)?,
            mae_of_mean: score(Box::new(Mae::new()), &mean)?,
            rmse_of_mean: score(Box::new(Rmse::new()), &mean)?,
            examples,
            predicted,
            targets,
            gains,
        })
    }

    /// The mean of how much larger the squared error of the mean is, or less if R² is below 0: the mean of these numbers themselves
    /// is as good.
    fn gain(&self) -> f64 {
        if self.r2 <= 0.0 { 0.0 } else { self.gains.iter().sum::<f64>() / self.gains.len() as f64 }
    }

    /// The standard error of the [`gain`](Residuals::gain).
    fn gain_error(&self) -> f64 {
        let (n, mean) = (self.gains.len() as f64, self.gain());
        (self.gains.iter().map(|gain| (gain - mean).powi(2)).sum::<f64>() / (n * (n - 1.0))).sqrt()
    }

    /// `R² 0.9734, MAE 1.2 (the mean alone: 8.9), RMSE 1.7 (11.2)`
    pub(super) fn line(&self) -> String {
        let [mae, mae_of_mean, rmse, rmse_of_mean] =
            [self.mae, self.mae_of_mean, self.rmse, self.rmse_of_mean].map(digits);
        let r2 = if self.r2.is_nan() { "unknown".into() } else { format!("{:.4}", self.r2) };
        format!("R² {r2}, MAE {mae} (the mean alone: {mae_of_mean}), RMSE {rmse} ({rmse_of_mean})")
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
