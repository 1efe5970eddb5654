//! [`histogram`].

use std::path::Path;

use super::axis::{Axis, Scale};
use super::drawing::{Area, Drawing};
use super::text::{LEFT, Letters, MIDDLE, RIGHT, TOP};
use super::{COLORS, FRAME, INK, LABEL, Rgb, TICK, TITLE};
use crate::autograd::Tensor;
use crate::autograd::array::numbers;
use crate::error::{Error, Result};

const WIDTH: f32 = 480.0;
const PANEL: f32 = 56.0;
const GAP: f32 = 12.0;
const NAMES: f32 = 200.0;
const ROOM: f32 = 20.0;
const BINS: usize = 80;
/// The most histograms in one plot.
const MOST: usize = 200;
const GRID: Rgb = [216, 216, 216];

/// Plots a histogram of each tensor's elements, all over the same axis: the gradients of each layer, for example.
///
/// The highest bar of each has the same height. Beside it stand the number of elements, their mean and their standard
/// deviation. Elements that are not finite are counted but not shown.
///
/// # Errors
/// Errors if there are more than 200 tensors, or a number is beyond ±1e300.
///
/// ```
/// # use tealight::prelude::*;
/// # let path = std::env::temp_dir().join("tealight-doc-histogram.svg");
/// let model = Linear::new(64, 10, &mut Rng::seed(1))?;
/// let weights = [("weight", model.weight.get())];
/// tealight::plot::histogram(&path, "Weights at the start", "value", &weights)?;
/// assert!(std::fs::read_to_string(&path).unwrap().contains(">640 numbers</text>"));
/// # std::fs::remove_file(path).ok();
/// # Ok::<(), tealight::Error>(())
/// ```
pub fn histogram<S: AsRef<str>>(
    path: impl AsRef<Path>,
    title: &str,
    label: &str,
    series: &[(S, Tensor)],
) -> Result<()> {
    drawn(title, label, series)?.save(path)
}

fn drawn<S: AsRef<str>>(title: &str, label: &str, series: &[(S, Tensor)]) -> Result<Drawing> {
    if series.len() > MOST {
        return Err(Error::argument("histogram", format!("at most {MOST} tensors"), series.len()));
    }
    let mut all: Vec<(Vec<f64>, usize)> = Vec::new();
    for (_, tensor) in series {
        let numbers = numbers(tensor.array())?;
        let finite: Vec<f64> = numbers.iter().copied().filter(|x| x.is_finite()).collect();
        let odd = numbers.len() - finite.len();
        all.push((finite, odd));
    }
    let axis = Axis::around(Scale::Linear, all.iter().flat_map(|(numbers, _)| numbers.iter().copied()), 7)?;
    let letters = Letters::new();
    let names: Vec<String> = series.iter().map(|(name, _)| letters.fit(name.as_ref(), TICK, NAMES)).collect();
    let widest = names.iter().map(|name| letters.width(name, TICK)).fold(0.0, f32::max).ceil();
    let notes: Vec<[String; 2]> = all.iter().map(|(numbers, odd)| notes(numbers, *odd)).collect();
    let beside = notes.iter().flatten().map(|note| letters.width(note, TICK)).fold(0.0, f32::max).ceil();

    let left = ROOM + widest + 9.0;
    let top = TITLE + 2.0 * ROOM;
    let bottom = top + series.len().max(1) as f32 * (PANEL + GAP);
    let width = left + WIDTH + 9.0 + beside + ROOM;
    let mut drawing = Drawing::new(letters, width, bottom + 9.0 + TICK + LABEL + 1.5 * ROOM);
    let middle = left + WIDTH / 2.0;
    let title = drawing.letters.fit(title, TITLE, width - 2.0 * ROOM);
    let half = drawing.letters.width(&title, TITLE) / 2.0 + ROOM;
    drawing.text(&title, TITLE, (middle.max(half).min(width - half), top / 2.0), MIDDLE, INK);
    let across = |place: f64| left + ((place - axis.low) / (axis.high - axis.low)) as f32 * WIDTH;
    for (place, label) in &axis.ticks {
        let x = across(*place).round();
        drawing.fill(Area { left: x, right: x + 1.0, top, bottom: bottom + 5.0 }, GRID);
        drawing.text(label, TICK, (x, bottom + 9.0), TOP, INK);
    }
    drawing.fitted(label, LABEL, WIDTH, (middle, bottom + 9.0 + TICK + ROOM), MIDDLE);
    for (i, (numbers, _)) in all.iter().enumerate() {
        let floor = top + (i + 1) as f32 * (PANEL + GAP) - 1.0;
        let mut counts = [0_usize; BINS];
        for x in numbers {
            let part = (x - axis.low) / (axis.high - axis.low);
            counts[((part * BINS as f64) as usize).min(BINS - 1)] += 1;
        }
        let most = counts.into_iter().max().expect("there are bins").max(1) as f32;
        let bar = WIDTH / BINS as f32;
        for (k, &count) in counts.iter().enumerate().filter(|(_, count)| **count > 0) {
            // A single number is visible.
            let high = (count as f32 / most * PANEL).max(1.0);
            let area = Area {
                left: left + k as f32 * bar,
                right: left + (k + 1) as f32 * bar,
                top: floor - high,
                bottom: floor,
            };
            drawing.fill(area, COLORS[0]);
        }
        drawing.fill(Area { left, right: left + WIDTH, top: floor, bottom: floor + 1.0 }, FRAME);
        drawing.text(&names[i], TICK, (left - 9.0, floor - PANEL / 2.0), RIGHT, INK);
        for (note, line) in notes[i].iter().zip([-0.68, -0.32]) {
            drawing.text(note, TICK, (left + WIDTH + 9.0, floor + line * PANEL), LEFT, INK);
        }
    }
    if series.is_empty() {
        drawing.text("nothing to show", LABEL, (middle, (top + bottom) / 2.0), MIDDLE, FRAME);
    }
    Ok(drawing)
}

/// The two lines of text beside a histogram.
fn notes(numbers: &[f64], odd: usize) -> [String; 2] {
    let n = numbers.len() as f64;
    let mean = numbers.iter().map(|x| x / n).sum::<f64>();
    let deviation = numbers.iter().map(|x| (x - mean).powi(2) / n).sum::<f64>().sqrt();
    let odd = if odd > 0 { format!(", {odd} not finite") } else { String::new() };
    let count = format!("{} numbers{odd}", numbers.len());
    match numbers.is_empty() {
        true => [count, String::new()],
        false => [count, format!("{} ± {}", three_digits(mean), three_digits(deviation))],
    }
}

/// A number with three significant digits.
pub(super) fn three_digits(x: f64) -> String {
    let text = match x.abs() {
        0.0 => "0".into(),
        size if (1e-3..1e4).contains(&size) => {
            format!("{x:.*}", (2 - size.log10().floor() as i32).max(0) as usize)
        }
        _ => format!("{x:.2e}"),
    };
    text.replace('-', "−")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prelude::*;

    #[test]
    fn what_is_drawn() -> Result<()> {
        let two = [
            ("a", Tensor::new(&[1.0, 2.0, 2.0, f64::NAN], &Device::Cpu)?),
            ("b", Tensor::new(&[0f32; 0], &Device::Cpu)?),
        ];
        let text = format!("{:?}", drawn("A title", "x", &two)?.shapes);
        for part in ["\"3 numbers, 1 not finite\"", "\"1.67 ± 0.471\"", "\"0 numbers\""] {
            assert!(text.contains(part), "{part} {text}");
        }
        // Two bars, and the lower one half as high.
        assert_eq!(text.matches("color: [0, 114, 178]").count(), 2);
        drawn::<&str>("", "", &[])?;
        let many = vec![("a", two[0].1.clone()); 201];
        assert!(drawn("", "", &many).is_err());
        assert!(drawn("", "", &[("a", Tensor::new(&[1e301], &Device::Cpu)?)]).is_err());
        for x in [0.0, 1e300, -1e-310, f64::INFINITY] {
            drawn("", "", &[("a", Tensor::full(x, (3, 2), &Device::Cpu)?)])?;
        }
        Ok(())
    }

    #[test]
    fn three_digits_of_each_size() {
        let texts = [0.0, 1.0, -12.345, 999.96, 12345.0, 0.001234, -1.5e-7].map(three_digits);
        assert_eq!(texts, ["0", "1.00", "−12.3", "1000", "1.23e4", "0.00123", "−1.50e−7"]);
    }
}
