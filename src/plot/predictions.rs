//! [`predictions`], [`misclassified`] and [`weights`].

use std::path::Path;

use candle_core::Device;

use super::Rgb;
use super::drawing::Drawing;
use super::grid::{Caption, lay_out, tiles};
use super::heat::{color, largest};
use crate::autograd::Tensor;
use crate::autograd::array::numbers;
use crate::data::LabeledDataset;
use crate::error::{Error, Result};
use crate::metrics::decided;

/// The approximate size in pixels of an image of weights.
const TILE: usize = 96;

const RIGHT: Rgb = [0, 122, 61];
const WRONG: Rgb = [200, 30, 30];

/// Plots images with their predicted classes: correct ones green, wrong ones red with the true class.
///
/// Images are as for [`image_grid`](super::image_grid()); `predicted` has scores (n, c), or classes (n).
///
/// # Errors
/// As [`image_grid`](super::image_grid()), and if the predictions have another shape.
///
/// ```
/// # use tealight::prelude::*;
/// # let path = std::env::temp_dir().join("tealight-doc-predictions.svg");
/// let digits = tealight::data::digits()?.select(&[0, 1, 2, 3])?;
/// let predicted = Tensor::new(&[0u32, 1, 2, 5], &Device::Cpu)?;
/// tealight::plot::predictions(&path, "Some digits", &digits, &predicted)?;
/// assert!(std::fs::read_to_string(&path).unwrap().contains(">✗ 5</text>"));
/// # std::fs::remove_file(path).ok();
/// # Ok::<(), tealight::Error>(())
/// ```
pub fn predictions(
    path: impl AsRef<Path>,
    title: &str,
    images: &LabeledDataset,
    predicted: &Tensor,
) -> Result<()> {
    let classes = decided("predictions", predicted, &images.targets, None)?;
    let tiles = tiles(&images.inputs)?;
    if tiles.0 != classes.predicted.len() {
        let expected = format!("a class for each of {} images", tiles.0);
        return Err(Error::argument("predictions", expected, classes.predicted.len()));
    }
    let name = |class: u32| images.classes.get(class as usize).map_or(class.to_string(), String::clone);
    let texts: Vec<(String, Rgb)> = classes
        .predicted
        .iter()
        .zip(&classes.targets)
        .map(|(&said, &is)| match said == is {
            true => (format!("✓ {}", name(said)), RIGHT),
            false => (format!("✗ {}\nis {}", name(said), name(is)), WRONG),
        })
        .collect();
    let captions: Vec<Caption> =
        texts.iter().map(|(text, color)| Caption { text, color: Some(*color) }).collect();
    lay_out(title, tiles, &captions)?.save(path)
}

/// The most wrong predictions shown.
const MOST_WRONG: usize = 100;

/// [`predictions`] of the images with a wrong prediction, at most 100 of them.
///
/// # Errors
/// As [`predictions`].
pub fn misclassified(path: impl AsRef<Path>, images: &LabeledDataset, predicted: &Tensor) -> Result<()> {
    let classes = decided("misclassified", predicted, &images.targets, None)?;
    let pairs = classes.predicted.iter().zip(&classes.targets).enumerate();
    let wrong: Vec<usize> = pairs.filter(|(_, (said, is))| said != is).map(|(i, _)| i).collect();
    let mut title = format!("{} of {} are wrong", wrong.len(), images.len());
    let shown = &wrong[..wrong.len().min(MOST_WRONG)];
    if shown.len() < wrong.len() {
        title += &format!(", the first {MOST_WRONG}");
    }
    let tensor = |classes: &[u32]| {
        Tensor::new(&shown.iter().map(|&i| classes[i]).collect::<Vec<u32>>()[..], &Device::Cpu)
    };
    let mut images = images.select(shown)?;
    images.targets = tensor(&classes.targets)?;
    predictions(path, &title, &images, &tensor(&classes.predicted)?)
}

/// Plots the weights of a layer as images, all on one colour scale: blue below 0, white at 0, red above.
///
/// The weights are (n, h, w), or (n, c, h, w) as a convolution has them, which gives n · c images. Numbers that are not
/// finite are grey.
///
/// # Errors
/// Errors if the weights have another shape, no elements, or a number beyond ±1e300, or the plot would have more than 16,384 rows of
/// pixels.
pub fn weights(path: impl AsRef<Path>, title: &str, weights: &Tensor) -> Result<()> {
    weighed(title, weights)?.save(path)
}

fn weighed(title: &str, weights: &Tensor) -> Result<Drawing> {
    let (inner, height, width) = match *weights.dims() {
        [_, height, width] => (1, height, width),
        [_, inner, height, width] => (inner, height, width),
        _ => (0, 0, 0),
    };
    let size = height * width;
    if weights.elem_count() == 0 || size == 0 {
        let expected = "weights (n, h, w) or (n, c, h, w), not empty";
        return Err(Error::shape("weights", expected, &[weights.dims()]));
    }
    let numbers = numbers(weights.array())?;
    let largest = largest("weights", &numbers)?;
    let scale = if largest < super::axis::TINY { 1.0 } else { largest };
    let n = numbers.len() / size;
    let names: Vec<String> = (0..n)
        .map(|i| if inner == 1 { i.to_string() } else { format!("{}, {}", i / inner, i % inner) })
        .collect();
    let captions: Vec<Caption> = names.iter().map(|text| Caption { text, color: None }).collect();
    let title = format!("{title} (±{largest:.3})");
    let shown = match TILE / height.max(width) {
        0 => [height, width].map(|side| (side * TILE).div_ceil(height.max(width))),
        cell => [height, width].map(|side| side * cell.min(24)),
    };
    let tile = |i: usize| {
        Ok((width, numbers[i * size..(i + 1) * size].iter().map(|x| color(x / scale)).collect::<Vec<Rgb>>()))
    };
    lay_out(&title, (n, Box::new((0..n).map(tile)), shown), &captions)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::image::read;
    use crate::prelude::*;

    #[test]
    fn right_and_wrong() -> Result<()> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.svg");
        let digits = crate::data::digits()?.select(&[0, 1, 2])?;
        predictions(&path, "A title", &digits, &Tensor::new(&[0u32, 1, 9], &Device::Cpu)?)?;
        let text = std::fs::read_to_string(&path).unwrap();
        for (part, count) in [("✓ 0<", 1), ("✓ 1<", 1), ("✗ 9<", 1), (">is 2<", 1), ("<image", 3)] {
            assert_eq!(text.matches(part).count(), count, "{part}");
        }
        let scores = Tensor::zeros((3, 10), DType::F32, &Device::Cpu)?;
        predictions(&path, "A title", &digits, &scores)?;
        let few = Tensor::zeros((2, 10), DType::F32, &Device::Cpu)?;
        assert!(predictions(&path, "A title", &digits, &few).is_err());
        Ok(())
    }

    #[test]
    fn what_was_wrong() -> Result<()> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.svg");
        let all = crate::data::digits()?;
        let digits = all.select(&(0..200).collect::<Vec<_>>())?;
        let drawn = |images: &LabeledDataset, predicted: &Tensor| -> Result<String> {
            misclassified(&path, images, predicted)?;
            Ok(std::fs::read_to_string(&path).unwrap())
        };
        assert!(drawn(&digits, &digits.targets)?.contains("0 of 200 are wrong"));
        let zeros = Tensor::zeros(200, DType::U32, &Device::Cpu)?;
        let text = drawn(&digits, &zeros)?;
        assert_eq!(text.matches("<image").count(), 100);
        let others = 200 - digits.class_counts()?[0];
        assert!(text.contains(&format!("{others} of 200 are wrong, the first 100")));
        // One score an example says nothing of where class 1 begins.
        let half = Tensor::full(0.6_f32, (200, 1), &Device::Cpu)?;
        assert!(drawn(&digits.one_vs_rest(3)?, &half).is_err());
        assert!(drawn(&digits.one_vs_rest(3)?, &half.gt(0.5)?)?.contains("of 200 are wrong"));
        assert!(misclassified(&path, &digits, &zeros.narrow(0, 0, 3)?).is_err());
        Ok(())
    }

    #[test]
    fn all_kinds_of_weights() -> Result<()> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.png");
        for shape in [&[1, 1, 1][..], &[10, 8, 8], &[8, 3, 5, 5], &[2, 700, 300], &[3, 1, 900]] {
            let x = Tensor::randn_dtype(0.0, 1.0, shape, DType::F64, &mut Rng::seed(1))?;
            weights(&path, "A title", &x)?;
            let dims = read(&path)?.dims().to_vec();
            assert!(dims[0] < 800 && dims[1] <= 1040, "{shape:?} {dims:?}");
        }
        for x in [0.0, f64::NAN, f64::INFINITY, 1e-310] {
            weights(&path, "A title", &Tensor::full(x, (2, 3, 3), &Device::Cpu)?)?;
        }
        for shape in [&[3, 3][..], &[0, 3, 3], &[3, 0, 3, 3], &[]] {
            assert!(
                weights(&path, "", &Tensor::zeros(shape, DType::F32, &Device::Cpu)?).is_err(),
                "{shape:?}"
            );
        }
        Ok(())
    }
}
