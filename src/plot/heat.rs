//! [`heatmap`].

use std::path::Path;

use super::axis::{Axis, Scale, TINY};
use super::canvas::mix;
use super::drawing::{Area, Drawing};
use super::text::{LEFT, Letters, MIDDLE, RIGHT, TOP};
use super::{FRAME, INK, Rgb, TICK, TITLE, WHITE};
use crate::autograd::Tensor;
use crate::autograd::array::numbers;
use crate::error::{Error, Result};

const WIDEST: f32 = 640.0;
const HIGHEST: f32 = 480.0;
/// The cells of a longer matrix are not square.
const NARROWEST: f32 = 96.0;
const LARGEST_CELL: f32 = 48.0;
const ROOM: f32 = 24.0;
const BAR: f32 = 22.0;
const SHORTEST_BAR: f32 = 180.0;

const NEGATIVE: [Rgb; 2] = [[103, 169, 207], [5, 48, 97]];
const POSITIVE: [Rgb; 2] = [[239, 138, 98], [103, 0, 31]];
const NOT_FINITE: Rgb = [150, 150, 150];

/// Plots a matrix (h, w): blue below 0, white at 0, red above, with a colour bar. Row 0 is at the top.
///
/// The darkest colours are ± the largest absolute value. Numbers that are not finite are grey, and counted below.
///
/// # Errors
/// Errors if the matrix has another rank, no elements, or a number beyond ±1e300.
///
/// ```
/// # use tealight::prelude::*;
/// # let path = std::env::temp_dir().join("tealight-doc-heat.svg");
/// let weights = Tensor::new(&[[-1.0, 0.0], [f64::NAN, 1.0]], &Device::Cpu)?;
/// tealight::plot::heatmap(&path, "Weights of class 3", &weights)?;
/// assert!(std::fs::read_to_string(&path).unwrap().contains(">1 not finite (grey)</text>"));
/// # std::fs::remove_file(path).ok();
/// # Ok::<(), tealight::Error>(())
/// ```
pub fn heatmap(path: impl AsRef<Path>, title: &str, matrix: &Tensor) -> Result<()> {
    let (rows, columns) = match *matrix.dims() {
        [rows, columns] if rows > 0 && columns > 0 => (rows, columns),
        _ => return Err(Error::shape("heatmap", "a matrix (h, w), not empty", &[matrix.dims()])),
    };
    let numbers = numbers(matrix.array())?;
    let odd = numbers.iter().filter(|x| !x.is_finite()).count();
    let largest = largest("heatmap", &numbers)?;
    // A matrix of zeros has a colour bar too.
    let largest = if largest < TINY { 1.0 } else { largest };
    let bar = Axis::new(Scale::Linear, -largest, largest, 8);

    let letters = Letters::new();
    let labels = bar.ticks.iter().map(|(_, label)| letters.width(label, TICK)).fold(0.0, f32::max);
    let (width, height) = size(rows, columns);
    let left = letters.width(&(rows - 1).to_string(), TICK) + 2.0 * ROOM;
    let top = TITLE + 2.0 * ROOM;
    // A low matrix has a colour bar high enough for its numbers.
    let tall = height.max(SHORTEST_BAR);
    let above = top + ((tall - height) / 2.0).floor();
    let area = Area { left: left.ceil(), top: above, right: left.ceil() + width, bottom: above + height };
    let scale = Area { left: area.right + ROOM, right: area.right + ROOM + BAR, top, bottom: top + tall };
    let natural = scale.right + 9.0 + labels + ROOM;
    let across = natural.max(letters.width(title, TITLE) + 2.0 * ROOM).min(natural.max(WIDEST));
    let note = if odd > 0 { 2.0 * TICK } else { 0.0 };
    let down = scale.bottom.max(area.bottom + TICK) + ROOM + note;
    let mut drawing = Drawing::new(letters, across, down);

    drawing.fitted(title, TITLE, across - ROOM, (across / 2.0, top / 2.0), MIDDLE);
    // Of more cells than pixels, some are left out.
    let sampled = |count: usize, room: f32| {
        let shown = count.min(room as usize);
        (0..shown)
            .map(move |i| ((i as f32 + 0.5) / shown as f32 * count as f32) as usize)
            .map(move |i| i.min(count - 1))
    };
    let shown = sampled(rows, height)
        .flat_map(|row| sampled(columns, width).map(move |column| row * columns + column));
    let cells: Vec<Rgb> = shown.map(|i| color(numbers[i] / largest)).collect();
    drawing.picture(area, columns.min(width as usize), &cells);
    drawing.frame(area, 1.0, FRAME);
    for (i, place) in indices(columns, width) {
        drawing.text(&i.to_string(), TICK, (area.left + place, area.bottom + 9.0), TOP, INK);
    }
    for (i, place) in indices(rows, height) {
        drawing.text(&i.to_string(), TICK, (area.left - 9.0, area.top + place), RIGHT, INK);
    }
    drawing.color_bar(scale, |part| color(f64::from(1.0 - 2.0 * part)));
    for (number, label) in &bar.ticks {
        let y = scale.bottom - ((number / largest + 1.0) / 2.0) as f32 * scale.height();
        drawing.text(label, TICK, (scale.right + 9.0, y), LEFT, INK);
    }
    if odd > 0 {
        let text = format!("{odd} not finite (grey)");
        drawing.fitted(&text, TICK, across - area.left, (area.left, down - TICK), LEFT);
    }
    drawing.save(path)
}

/// The largest absolute value of the finite numbers. Errors near the end of f64, where scaling overflows.
pub(super) fn largest(op: &'static str, numbers: &[f64]) -> Result<f64> {
    let largest = numbers.iter().filter(|x| x.is_finite()).fold(0.0_f64, |m, x| m.max(x.abs()));
    if largest > 1e300 {
        return Err(Error::argument(op, "numbers within ±1e300", format!("{largest:e}")));
    }
    Ok(largest)
}

/// The colour of a number from −1 to 1.
pub(super) fn color(x: f64) -> Rgb {
    if !x.is_finite() {
        return NOT_FINITE;
    }
    let [half, full] = if x < 0.0 { NEGATIVE } else { POSITIVE };
    let strength = x.abs().min(1.0) as f32 * 2.0;
    if strength <= 1.0 { mix(WHITE, half, strength) } else { mix(half, full, strength - 1.0) }
}

/// The width and height of the cells together, in whole pixels.
fn size(rows: usize, columns: usize) -> (f32, f32) {
    let [rows, columns] = [rows as f32, columns as f32];
    let cell = (WIDEST / columns).min(HIGHEST / rows).min(LARGEST_CELL);
    // Cells of whole pixels have equal widths.
    let cell = if cell > 2.0 { cell.floor() } else { cell };
    let side = |count: f32| (cell * count).max(NARROWEST).floor();
    (side(columns), side(rows))
}

/// The labelled indices of an axis of `count` cells, and their positions.
fn indices(count: usize, length: f32) -> impl Iterator<Item = (usize, f32)> {
    let cell = length / count as f32;
    let most = (length / 48.0).max(1.0);
    let steps = (0..).flat_map(|p| [1, 2, 5].map(|f| f * 10_usize.pow(p)));
    let step = if cell >= 20.0 && count <= 100 {
        1
    } else {
        steps.into_iter().find(|&step| count as f32 / step as f32 <= most).unwrap_or(1)
    };
    (0..count).step_by(step).map(move |i| (i, (i as f32 + 0.5) * cell))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::image::read;
    use crate::prelude::*;

    fn drawn(matrix: &Tensor) -> Result<Tensor> {
        let directory = tempfile::tempdir().unwrap();
        heatmap(directory.path().join("heat.png"), "A title", matrix)?;
        read(directory.path().join("heat.png"))
    }

    #[test]
    fn colours() {
        assert_eq!((color(0.0), color(-0.0)), (WHITE, WHITE));
        assert_eq!((color(1.0), color(-1.0)), (POSITIVE[1], NEGATIVE[1]));
        assert_eq!((color(0.5), color(-0.5)), (POSITIVE[0], NEGATIVE[0]));
        assert_eq!((color(f64::NAN), color(f64::INFINITY)), (NOT_FINITE, NOT_FINITE));
    }

    #[test]
    fn cells_are_where_they_belong() -> Result<()> {
        let picture = drawn(&Tensor::new(&[[1.0, -1.0], [0.5, f64::NAN]], &Device::Cpu)?)?.to_vec3::<u8>()?;
        let places = |color: Rgb| {
            let at = |(y, row): (usize, &Vec<Vec<u8>>)| {
                let columns: Vec<usize> = (0..row.len()).filter(|&x| row[x] == color).collect();
                (columns.len() == 48).then(|| (columns[0], y))
            };
            picture.iter().enumerate().filter_map(at).next().unwrap()
        };
        let (positive, negative) = (places(POSITIVE[1]), places(NEGATIVE[1]));
        let (half, odd) = (places(POSITIVE[0]), places(NOT_FINITE));
        assert_eq!((negative.0 - positive.0, negative.1, positive.1), (48, odd.1 - 48, half.1 - 48));
        assert_eq!((half.0, odd.0), (positive.0, negative.0));
        Ok(())
    }

    #[test]
    fn all_kinds_of_matrices() -> Result<()> {
        let cpu = &Device::Cpu;
        for shape in [(1, 1), (1, 3000), (3000, 1), (700, 900), (28, 28), (1, 2)] {
            let dims = drawn(&Tensor::randn(0.0, 1.0, shape, &mut Rng::seed(1))?)?.dims().to_vec();
            assert!(dims[0] < 700 && dims[1] < 900, "{dims:?}");
        }
        for x in [0.0, f64::NAN, f64::INFINITY, 1e300, 1e-310, -7.0, 1e-200] {
            drawn(&Tensor::full(x, (2, 3), cpu)?)?;
        }
        drawn(&Tensor::full(200u8, (2, 3), cpu)?)?;
        Ok(())
    }

    #[test]
    fn invalid_matrices() -> Result<()> {
        for shape in [&[3][..], &[0, 3], &[3, 0], &[1, 2, 3], &[]] {
            let error = drawn(&Tensor::zeros(shape, DType::F32, &Device::Cpu)?);
            assert!(matches!(error, Err(Error::Shape { .. })), "{shape:?}");
        }
        let matrix = Tensor::full(1e301, (2, 2), &Device::Cpu)?;
        assert!(matches!(drawn(&matrix), Err(Error::Argument { .. })));
        let matrix = Tensor::zeros((2, 2), DType::F32, &Device::Cpu)?;
        assert!(matches!(heatmap("no/such/place.png", "", &matrix), Err(Error::File { .. })));
        Ok(())
    }
}
