//! [`roc_curve`] and [`calibration_curve`].

use std::path::Path;

use super::COLORS;
use super::axis::{Axis, Scale};
use super::drawing::Drawing;
use super::plane::{Key, Labels, Plane};
use crate::error::Result;
use crate::metrics::{CalibrationError, Metric, RocAuc};

/// With it the axes are about square.
const SIZE: (f32, f32) = (524.0, 560.0);

/// Plots ROC curves, each with the area under it. More than two classes have a curve each, for that class against the rest.
///
/// # Errors
/// Errors if a class has no examples, or all of them.
///
/// ```
/// # use tealight::metrics::{Metric, RocAuc};
/// # use tealight::prelude::*;
/// # let path = std::env::temp_dir().join("tealight-doc-roc.svg");
/// let mut auc = RocAuc::new();
/// let scores = Tensor::new(&[0.1, 0.4, 0.35, 0.8], &Device::Cpu)?;
/// auc.update(&scores, &Tensor::new(&[0u32, 0, 1, 1], &Device::Cpu)?)?;
/// tealight::plot::roc_curve(&path, "Malignant or not", &[("model", &auc)])?;
/// assert!(std::fs::read_to_string(&path).unwrap().contains(">model (0.750)</text>")); // the area
/// # std::fs::remove_file(path).ok();
/// # Ok::<(), tealight::Error>(())
/// ```
pub fn roc_curve<S: AsRef<str>>(path: impl AsRef<Path>, title: &str, series: &[(S, &RocAuc)]) -> Result<()> {
    ranked(title, series)?.save(path)
}

/// The plot of [`roc_curve`].
pub(super) fn ranked<S: AsRef<str>>(title: &str, series: &[(S, &RocAuc)]) -> Result<Drawing> {
    let mut lines = Vec::new();
    for (name, auc) in series {
        // Errors if there are no examples.
        auc.value()?;
        for class in auc.classes() {
            let which = if auc.classes().len() > 1 { format!(", class {class}") } else { String::new() };
            let name = format!("{}{which} ({:.3})", name.as_ref(), auc.of_class(class)?);
            lines.push((name, auc.curve(class)?));
        }
    }
    let labels = Labels { title, x: "false positive rate", y: "true positive rate" };
    let mut plane = square(labels, lines.iter().map(|(name, _)| &**name), "chance (0.500)");
    lines.iter().enumerate().for_each(|(i, (_, points))| plane.line(i, points, false));
    Ok(plane.drawing)
}

/// Plots calibration curves, the observed frequency over the predicted probability, each with its calibration error.
///
/// Larger dots stand for more examples. Below the diagonal a model is overconfident.
///
/// # Errors
/// Errors if there are no examples.
pub fn calibration_curve<S: AsRef<str>>(
    path: impl AsRef<Path>,
    title: &str,
    series: &[(S, &CalibrationError)],
) -> Result<()> {
    calibrated(title, series)?.save(path)
}

/// The plot of [`calibration_curve`].
pub(super) fn calibrated<S: AsRef<str>>(title: &str, series: &[(S, &CalibrationError)]) -> Result<Drawing> {
    let mut names = Vec::new();
    for (name, error) in series {
        names.push(format!("{} (off by {:.3})", name.as_ref(), error.value()?));
    }
    let labels = Labels { title, x: "predicted probability", y: "share that came true" };
    let mut plane = square(labels, names.iter().map(|name| &**name), "perfect");
    for (i, (_, error)) in series.iter().enumerate() {
        let bins = error.curve()?;
        let total: u64 = bins.iter().map(|bin| bin.count).sum();
        let points: Vec<(f64, f64)> = bins.iter().map(|bin| (bin.probability, bin.frequency)).collect();
        plane.line(i, &points, false);
        for (bin, &point) in bins.iter().zip(&points) {
            let radius = 3.0 + 9.0 * (bin.count as f32 / total as f32).sqrt();
            let centre = plane.place(point);
            plane.drawing.disc(centre, radius, COLORS[i % COLORS.len()]);
        }
    }
    Ok(plane.drawing)
}

/// Two axes from 0 to 1 with the diagonal.
fn square<'a>(labels: Labels, names: impl Iterator<Item = &'a str>, diagonal: &'a str) -> Plane {
    let axis = || Axis::new(Scale::Linear, -0.03, 1.03, 6);
    let mut names: Vec<(&str, Key)> = names.enumerate().map(|(i, name)| (name, Key::Line(i))).collect();
    names.push((diagonal, Key::Guide));
    let mut plane = Plane::new(SIZE, labels, [axis(), axis()], &names);
    plane.guide((0.0, 0.0), (1.0, 1.0));
    plane
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prelude::*;

    #[test]
    fn curves_are_labelled() -> Result<()> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.svg");
        let text = || std::fs::read_to_string(&path).unwrap();
        let probabilities = Tensor::new(&[[0.2, 0.3, 0.5], [0.6, 0.4, 0.0], [0.1, 0.8, 0.1]], &Device::Cpu)?;
        let targets = Tensor::new(&[2u32, 0, 1], &Device::Cpu)?;
        let (mut auc, mut off) = (RocAuc::new(), CalibrationError::new(4));
        assert!(
            roc_curve(&path, "", &[("a", &auc)]).is_err()
                && calibration_curve(&path, "", &[("a", &off)]).is_err()
        );
        auc.update(&probabilities, &targets)?;
        off.update(&probabilities, &targets)?;
        roc_curve(&path, "", &[("a", &auc), ("b", &auc)])?;
        assert!(text().contains(">b, class 2 (1.000)</text>"), "{}", text());
        calibration_curve(&path, "", &[("a", &off)])?;
        assert!(text().contains(">a (off by 0.367)</text>"), "{}", text());
        roc_curve::<&str>(&path, "", &[])?;
        Ok(())
    }
}
