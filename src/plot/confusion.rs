//! [`confusion_matrix`].

use std::path::Path;

use super::canvas::mix;
use super::drawing::{Area, Drawing};
use super::text::{LEFT, Letters, MIDDLE, RIGHT, TOP};
use super::{FRAME, INK, LABEL, Rgb, TICK, TITLE, WHITE};
use crate::error::{Error, Result};
use crate::metrics::{ConfusionMatrix, Metric};

const CELLS: f32 = 560.0;
const LARGEST_CELL: f32 = 72.0;
const SMALLEST_CELL: f32 = 1.0;
const NARROWEST: f32 = 216.0;
const NAMES: f32 = 160.0;
const ROOM: f32 = 20.0;
const BAR: f32 = 22.0;
/// The smallest distance of two names.
const LINE: f32 = 17.0;
/// The font size of the smallest digits.
const DIGITS: f32 = 9.0;

const FULL: Rgb = [8, 48, 107];

/// Plots a confusion matrix: a row for each class, a column for each predicted class, and the counts in the cells.
///
/// The colour of a cell is its share of its row. Counts that do not fit into their cells are left out. Without `names`,
/// classes are numbered.
///
/// # Errors
/// Errors if there are no examples, more than 560 classes, or another number of names than classes.
///
/// ```
/// # use tealight::metrics::{ConfusionMatrix, Metric};
/// # use tealight::prelude::*;
/// # let path = std::env::temp_dir().join("tealight-doc-confusion.svg");
/// let mut matrix = ConfusionMatrix::new();
/// let predicted = Tensor::new(&[0u32, 1, 1], &Device::Cpu)?;
/// matrix.update(&predicted, &Tensor::new(&[0u32, 0, 1], &Device::Cpu)?)?;
/// tealight::plot::confusion_matrix(&path, "Cats and dogs", &matrix, &["cat", "dog"])?;
/// assert!(std::fs::read_to_string(&path).unwrap().contains("2 of 3 right"));
/// # std::fs::remove_file(path).ok();
/// # Ok::<(), tealight::Error>(())
/// ```
pub fn confusion_matrix<S: AsRef<str>>(
    path: impl AsRef<Path>,
    title: &str,
    matrix: &ConfusionMatrix,
    names: &[S],
) -> Result<()> {
    drawn(title, matrix, names)?.save(path)
}

/// The plot of [`confusion_matrix`].
pub(super) fn drawn<S: AsRef<str>>(title: &str, matrix: &ConfusionMatrix, names: &[S]) -> Result<Drawing> {
    let counts = matrix.counts()?;
    let n = counts.len();
    let cell = (CELLS / n as f32).min(LARGEST_CELL).floor();
    if cell < SMALLEST_CELL {
        return Err(Error::argument("confusion", format!("at most {CELLS} classes"), n));
    }
    if !names.is_empty() && names.len() != n {
        return Err(Error::argument("confusion", format!("{n} names, or none"), names.len()));
    }
    let letters = Letters::new();
    let name =
        |i: usize| letters.fit(&names.get(i).map_or(i.to_string(), |s| s.as_ref().into()), TICK, NAMES);
    let names: Vec<String> = (0..n).map(name).collect();
    let widest = names.iter().map(|name| letters.width(name, TICK)).fold(0.0, f32::max).ceil();
    // Names wider than their columns are rotated.
    let upwards = widest > cell - 6.0;
    let below = if upwards { widest } else { TICK };
    let step = ((LINE / cell).ceil() as usize).max(1);

    let side = cell * n as f32;
    let left = ROOM + LABEL + ROOM / 2.0 + widest + 9.0;
    let top = TITLE + LABEL + 2.5 * ROOM;
    let across = side.max(NARROWEST);
    let area = Area { left, top, right: left + side, bottom: top + side };
    let bar = Area { left: left + across + ROOM, right: left + across + ROOM + BAR, ..area };
    let width = bar.right + 9.0 + letters.width("100 %", TICK) + ROOM;
    let height = area.bottom + 9.0 + below + ROOM / 2.0 + LABEL + ROOM;
    let mut drawing = Drawing::new(letters, width, height);
    drawing.fitted(title, TITLE, width - 2.0 * ROOM, (width / 2.0, ROOM + TITLE / 2.0), MIDDLE);
    let total: u64 = counts.iter().flatten().sum();
    let right: u64 = (0..n).map(|i| counts[i][i]).sum();
    let note = format!("{right} of {total} right: {:.1} %", 100.0 * matrix.value()?);
    drawing.text(&note, TICK, (width / 2.0, 1.5 * ROOM + TITLE + LABEL / 2.0), MIDDLE, INK);

    let shares: Vec<f32> = counts
        .iter()
        .flat_map(|row| {
            let all: u64 = row.iter().sum();
            row.iter().map(move |&count| count as f32 / all.max(1) as f32)
        })
        .collect();
    drawing.picture(area, n, &shares.iter().map(|&share| color(share)).collect::<Vec<Rgb>>());
    drawing.frame(area, 1.0, FRAME);
    for (i, (&count, &share)) in counts.iter().flatten().zip(&shares).enumerate() {
        let text = count.to_string();
        let size = (TICK * (cell - 4.0) / drawing.letters.width(&text, TICK)).min(TICK).min(0.7 * cell);
        if size >= DIGITS {
            let place = (left + (i % n) as f32 * cell + cell / 2.0, top + (i / n) as f32 * cell + cell / 2.0);
            drawing.text(&text, size, place, MIDDLE, if share > 0.5 { WHITE } else { INK });
        }
    }
    for (i, name) in names.iter().enumerate().step_by(step) {
        let middle = (i as f32 + 0.5) * cell;
        drawing.text(name, TICK, (left - 9.0, top + middle), RIGHT, INK);
        let place = (left + middle, area.bottom + 9.0);
        match upwards {
            true => drawing.text_up(name, TICK, place, RIGHT, INK),
            false => drawing.text(name, TICK, place, TOP, INK),
        }
    }
    drawing.text("predicted class", LABEL, (area.middle().0, height - ROOM), MIDDLE, INK);
    drawing.text_up("class", LABEL, (ROOM, area.middle().1), MIDDLE, INK);
    drawing.color_bar(bar, |part| color(1.0 - part));
    for (text, part) in [("100 %", 0.0), ("50 %", 0.5), ("0 %", 1.0)] {
        drawing.text(text, TICK, (bar.right + 9.0, bar.top + part * bar.height()), LEFT, INK);
    }
    Ok(drawing)
}

/// The colour of a share of a row. The power keeps small shares visible.
fn color(share: f32) -> Rgb {
    mix(WHITE, FULL, share.powf(0.7))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::image::read;
    use crate::prelude::*;

    fn matrix(n: u32, count: i64) -> Result<ConfusionMatrix> {
        let mut matrix = ConfusionMatrix::new();
        let targets: Vec<i64> = (0..count).map(|i| i % i64::from(n)).collect();
        let predicted: Vec<i64> = targets.iter().map(|&class| if class == 3 { 2 } else { class }).collect();
        let tensor = |classes: &[i64]| Tensor::new(classes, &Device::Cpu);
        matrix.update(&tensor(&predicted)?, &tensor(&targets)?)?;
        Ok(matrix)
    }

    #[test]
    fn all_sizes() -> Result<()> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.png");
        for n in [1, 2, 10, 40, 100, 560] {
            confusion_matrix::<&str>(&path, "A title", &matrix(n, 5000)?, &[])?;
            let dims = read(&path)?.dims().to_vec();
            assert!(dims[0] < 780 && dims[1] < 780, "{n} {dims:?}");
        }
        let names = ["a name that is long, and cut"; 5];
        confusion_matrix(&path, "A title", &matrix(5, 50)?, &names)?;
        let drawing = drawn("A title", &matrix(5, 50)?, &names)?;
        let text = format!("{:?}", drawing.shapes);
        assert!(text.contains("\"40 of 50 right: 80.0 %\""), "{text}");
        Ok(())
    }

    #[test]
    fn what_cannot_be_drawn() -> Result<()> {
        let error = |result: Result<Drawing>| result.unwrap_err().to_string();
        let none: [&str; 0] = [];
        assert!(error(drawn("", &ConfusionMatrix::new(), &none)).ends_with("at least one example, got none"));
        assert_eq!(
            error(drawn("", &matrix(561, 1000)?, &none)),
            "confusion: expected at most 560 classes, got 561"
        );
        assert_eq!(error(drawn("", &matrix(3, 9)?, &["a"])), "confusion: expected 3 names, or none, got 1");
        Ok(())
    }
}
