//! [`decision_boundary`].

use std::path::Path;

use candle_core::{DType, Device};

use super::axis::{Axis, Scale};
use super::canvas::mix;
use super::drawing::Drawing;
use super::plane::{Key, Labels, Plane};
use super::{COLORS, Rgb, WHITE};
use crate::autograd::array::numbers;
use crate::autograd::{Tensor, no_grad};
use crate::data::LabeledDataset;
use crate::error::{Error, Result};
use crate::metrics::decided;

const SIZE: (f32, f32) = (680.0, 560.0);
/// The width of the square of pixels that one prediction is made for.
const BLOCK: f32 = 2.0;

/// Plots the regions of the plane that a model assigns to each class, with the examples.
///
/// `predict` takes points (n, 2) of dtype f32 and returns scores (n, c), probabilities of class 1 (n) or (n, 1), or integer
/// classes (n).
///
/// # Errors
/// Errors if the examples are not (n, 2), empty or not finite, or a prediction has another shape.
///
/// ```
/// # use tealight::data::LabeledDataset;
/// # use tealight::prelude::*;
/// # let path = std::env::temp_dir().join("tealight-doc-boundary.svg");
/// # let points = LabeledDataset {
/// #     inputs: Tensor::new(&[[0_f32, 0.0], [1.0, 1.0]], &Device::Cpu)?,
/// #     targets: Tensor::new(&[0_u32, 1], &Device::Cpu)?,
/// #     classes: vec!["near".into(), "far".into()],
/// #     features: vec!["x".into(), "y".into()],
/// # };
/// let model = Linear::new(2, 2, &mut Rng::seed(1))?;
/// tealight::plot::decision_boundary(&path, "Two classes", &points, |x| model.predict(x))?;
/// assert!(std::fs::read_to_string(&path).unwrap().contains(">near</text>"));
/// # std::fs::remove_file(path).ok();
/// # Ok::<(), tealight::Error>(())
/// ```
pub fn decision_boundary(
    path: impl AsRef<Path>,
    title: &str,
    examples: &LabeledDataset,
    predict: impl Fn(&Tensor) -> Result<Tensor>,
) -> Result<()> {
    drawn(title, examples, predict)?.save(path)
}

fn drawn(
    title: &str,
    examples: &LabeledDataset,
    predict: impl Fn(&Tensor) -> Result<Tensor>,
) -> Result<Drawing> {
    let [n, 2] = *examples.inputs.dims() else {
        return Err(Error::shape("boundary", "examples (n, 2)", &[examples.inputs.dims()]));
    };
    let targets = decided("boundary", &examples.targets, &examples.targets, Some(0.5))?.predicted;
    if targets.len() != n || n == 0 {
        return Err(Error::argument(
            "boundary",
            format!("a class for each of {n} examples, and some"),
            targets.len(),
        ));
    }
    let numbers = numbers(examples.inputs.array())?;
    if let Some(bad) = numbers.iter().find(|x| !x.is_finite()) {
        return Err(Error::argument("boundary", "examples that are finite", bad));
    }
    let axis =
        |k: usize, count| Axis::around(Scale::Linear, numbers.iter().skip(k).step_by(2).copied(), count);
    let axes = [axis(0, 7)?, axis(1, 7)?];

    let label =
        |k: usize| examples.features.get(k).map_or(["first input", "second input"][k], |name| &**name);
    let classes = examples.classes.len().max(*targets.iter().max().expect("there are examples") as usize + 1);
    let shown = classes.min(20);
    let name = |class: usize| examples.classes.get(class).map_or(format!("class {class}"), String::clone);
    let names: Vec<String> = (0..shown).map(name).collect();
    let keys: Vec<(&str, Key)> =
        names.iter().enumerate().map(|(class, name)| (&**name, Key::Dot(color(class as u32)))).collect();
    let (x, y) = (axes[0].clone(), axes[1].clone());
    let mut plane = Plane::new(SIZE, Labels { title, x: label(0), y: label(1) }, axes, &keys);

    let (columns, rows) = ((plane.area.width() / BLOCK) as usize, (plane.area.height() / BLOCK) as usize);
    let at = |axis: &Axis, part: f64| (axis.low + (axis.high - axis.low) * part) as f32;
    let mut points = Vec::with_capacity(2 * rows * columns);
    for row in 0..rows {
        for column in 0..columns {
            points.push(at(&x, (column as f64 + 0.5) / columns as f64));
            points.push(at(&y, 1.0 - (row as f64 + 0.5) / rows as f64));
        }
    }
    let points = Tensor::from_vec(points, (rows * columns, 2), &Device::Cpu)?;
    let prediction = no_grad(|| predict(&points))?;
    let none = Tensor::zeros(rows * columns, DType::U32, &Device::Cpu)?;
    if prediction.dtype().is_float() && prediction.elem_count() == rows * columns {
        let scores = crate::autograd::array::numbers(prediction.array())?;
        if let Some(bad) = scores.iter().find(|p| !(0.0..=1.0).contains(*p)) {
            return Err(Error::argument("boundary", "probabilities from 0 to 1 of class 1", bad));
        }
    }
    let predicted = decided("boundary", &prediction, &none, Some(0.5))?.predicted;
    let pixels: Vec<Rgb> = predicted.iter().map(|&class| mix(WHITE, color(class), 0.3)).collect();
    plane.drawing.picture(plane.area, columns, &pixels);
    for (point, &class) in numbers.chunks_exact(2).zip(&targets) {
        let place = plane.place((point[0], point[1]));
        plane.drawing.disc(place, 5.0, WHITE);
        plane.drawing.disc(place, 4.0, color(class));
    }
    Ok(plane.drawing)
}

fn color(class: u32) -> Rgb {
    COLORS[class as usize % COLORS.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn examples(inputs: Tensor, targets: &[u32]) -> Result<LabeledDataset> {
        let targets = Tensor::new(targets, &Device::Cpu)?;
        Ok(LabeledDataset { inputs, targets, classes: vec!["left".into(), "right".into()], features: vec![] })
    }

    #[test]
    fn regions_follow_the_predictions() -> Result<()> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.png");
        let inputs = Tensor::new(&[[-1f32, -1.0], [1.0, 1.0], [0.5, -0.5]], &Device::Cpu)?;
        let two = examples(inputs, &[0, 1, 1])?;
        let first = |x: &Tensor| x.i((.., 0..1))?.gt(0.0)?.to_dtype(DType::F32);
        decision_boundary(&path, "A title", &two, first)?;
        let picture = crate::data::image::read(&path)?.to_vec3::<u8>()?;
        let count = |color: Rgb| picture.iter().flatten().filter(|pixel| **pixel == color).count();
        let (left, right) = (count(mix(WHITE, COLORS[0], 0.3)), count(mix(WHITE, COLORS[1], 0.3)));
        assert!(left > 100_000 && left.abs_diff(right) < 2000, "{left} {right}");
        // Scores, and class numbers.
        decision_boundary(&path, "A title", &two, |x| Ok(x.clone()))?;
        decision_boundary(&path, "A title", &two, |x| x.argmax(1))?;
        Ok(())
    }

    #[test]
    fn invalid_examples() -> Result<()> {
        let zeros = |dims: (usize, usize)| Tensor::zeros(dims, DType::F32, &Device::Cpu);
        let ones = |x: &Tensor| x.argmax(1);
        assert!(matches!(drawn("", &examples(zeros((2, 3))?, &[0, 1])?, ones), Err(Error::Shape { .. })));
        assert!(drawn("", &examples(zeros((2, 2))?, &[0])?, ones).is_err());
        assert!(drawn("", &examples(zeros((0, 2))?, &[])?, ones).is_err());
        assert!(drawn("", &examples((zeros((1, 2))? * f64::NAN)?, &[0])?, ones).is_err());
        assert!(drawn("", &examples(zeros((1, 2))?, &[0])?, |_| zeros((3, 2))).is_err());
        // A single point.
        drawn("", &examples(zeros((1, 2))?, &[u32::MAX])?, ones)?;
        Ok(())
    }
}
