//! Curves over two axes.

use std::path::Path;

use super::axis::{Axis, Scale};
use super::canvas::{Area, Canvas, Point};
use super::text::{LEFT, Letters, MIDDLE, RIGHT, TOP};
use super::{FRAME, INK, LABEL, Rgb, TICK, TITLE};
use crate::error::Result;

/// The width of the picture without the names of the lines, and its height.
const WIDTH: usize = 780;
const HEIGHT: usize = 560;
/// The most that a name takes.
const NAMES: f32 = 240.0;
const SAMPLE: f32 = 28.0;
const ROW: f32 = 26.0;
const ROOM: f32 = 20.0;
/// A line of fewer points has them marked.
const FEW: usize = 40;

const GRID: Rgb = [216, 216, 216];
const FINE_GRID: Rgb = [240, 240, 240];

/// Colours that are told apart whatever one's eyes see (Okabe, Ito); after these, lines are dashed.
const COLORS: [Rgb; 8] = [
    [0, 114, 178],
    [213, 94, 0],
    [0, 158, 115],
    [204, 121, 167],
    [230, 159, 0],
    [86, 180, 233],
    [90, 90, 90],
    [148, 80, 20],
];

/// What the two axes of a picture mean, and how they are divided.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Axes {
    x_label: String,
    y_label: String,
    x: Scale,
    y: Scale,
}

impl Axes {
    /// Two axes in equal steps, with what is written beside them.
    pub fn new(x_label: impl Into<String>, y_label: impl Into<String>) -> Self {
        Axes { x_label: x_label.into(), y_label: y_label.into(), ..Axes::default() }
    }

    /// With powers of ten in equal steps along x.
    pub fn log_x(mut self) -> Self {
        self.x = Scale::Log;
        self
    }

    /// With powers of ten in equal steps along y.
    pub fn log_y(mut self) -> Self {
        self.y = Scale::Log;
        self
    }
}

/// Writes a picture of lines through points (x, y), each line with a name.
///
/// A point that is not finite has no place: its line has a gap there. Lines of fewer than 40 points have the points
/// marked. No points at all is a picture that says so.
///
/// ```no_run
/// let training = vec![(1.0, 0.9), (2.0, 0.4), (3.0, 0.25)];
/// let validation = vec![(1.0, 1.0), (2.0, 0.6), (3.0, 0.5)];
/// let series = [("training", training), ("validation", validation)];
/// tealight::plot::curve("loss.png", "Loss", "epoch", "cross-entropy", &series)?;
/// # Ok::<(), tealight::Error>(())
/// ```
///
/// # Errors
/// Numbers beyond ±1e300; a file that cannot be written.
pub fn curve<S: AsRef<str>>(
    path: impl AsRef<Path>,
    title: &str,
    x_label: &str,
    y_label: &str,
    series: &[(S, Vec<(f64, f64)>)],
) -> Result<()> {
    curve_on(path, title, &Axes::new(x_label, y_label), series)
}

/// [`curve`] over axes of one's own, logarithmic ones for example; on these, what is not above 0 has no place.
///
/// ```no_run
/// use tealight::plot::{Axes, curve_on};
/// let axes = Axes::new("elements", "seconds").log_x().log_y();
/// curve_on("times.png", "Time of a dot product", &axes, &[("loop", vec![(10.0, 2e-9), (1e6, 1e-3)])])?;
/// # Ok::<(), tealight::Error>(())
/// ```
///
/// # Errors
/// As [`curve`].
pub fn curve_on<S: AsRef<str>>(
    path: impl AsRef<Path>,
    title: &str,
    axes: &Axes,
    series: &[(S, Vec<(f64, f64)>)],
) -> Result<()> {
    let lines: Vec<Vec<Run>> = series.iter().map(|(_, points)| runs(axes, points)).collect();
    let all = || lines.iter().flatten().flatten();
    let x = Axis::around(axes.x, all().map(|point| point.0), 8)?;
    let y = Axis::around(axes.y, all().map(|point| point.1), 7)?;
    let names: Vec<&str> = series.iter().map(|(name, _)| name.as_ref()).collect();

    let letters = Letters::new()?;
    let widest =
        |labels: &[&str], size| labels.iter().map(|label| letters.width(label, size)).fold(0.0, f32::max);
    let beside = match widest(&names, LABEL).min(NAMES) {
        0.0 => 0.0,
        // Room for "and 99 more", too.
        width => width.max(6.0 * LABEL) + SAMPLE + 1.5 * ROOM,
    };
    let numbers: Vec<&str> = y.ticks.iter().map(|(_, label)| &**label).collect();
    let area = Area {
        left: (widest(&numbers, TICK) + LABEL + 2.0 * ROOM).ceil(),
        top: (TITLE + 2.0 * ROOM).ceil(),
        right: WIDTH as f32 - ROOM,
        bottom: (HEIGHT as f32 - TICK - LABEL - 2.0 * ROOM).floor(),
    };
    let (centre, half) = area.middle();

    let mut canvas = Canvas::new(WIDTH + beside as usize, HEIGHT)?;
    draw_axes(&mut canvas, area, &x, &y);
    let title = canvas.letters.fit(title, TITLE, WIDTH as f32 - ROOM);
    // A long title has more room over the picture than over the axes.
    let rightmost = WIDTH as f32 - (canvas.letters.width(&title, TITLE) + ROOM) / 2.0;
    canvas.text(&title, TITLE, (centre.min(rightmost), area.top / 2.0), MIDDLE, INK);
    let below = canvas.letters.fit(&axes.x_label, LABEL, area.width());
    canvas.text(&below, LABEL, (centre, HEIGHT as f32 - ROOM), MIDDLE, INK);
    let left = canvas.letters.fit(&axes.y_label, LABEL, area.height());
    canvas.text_up(&left, LABEL, (ROOM, half), MIDDLE, INK);

    for (i, runs) in lines.iter().enumerate() {
        let few = runs.iter().map(Vec::len).sum::<usize>() < FEW;
        draw_line(&mut canvas, i, runs, few, |(px, py)| {
            let part = |axis: &Axis, place: f64| ((place - axis.low) / (axis.high - axis.low)) as f32;
            (area.left + part(&x, px) * area.width(), area.bottom - part(&y, py) * area.height())
        });
    }
    if all().next().is_none() {
        canvas.text("no points to show", LABEL, area.middle(), MIDDLE, FRAME);
    }
    if beside > 0.0 {
        write_names(&mut canvas, &names, area);
    }
    canvas.save(path.as_ref())
}

/// Points without a gap between them, as places on the axes.
type Run = Vec<(f64, f64)>;

fn runs(axes: &Axes, points: &[(f64, f64)]) -> Vec<Run> {
    let mut runs = vec![Run::new()];
    for &(x, y) in points {
        match (axes.x.place(x), axes.y.place(y), runs.last_mut()) {
            (Some(x), Some(y), Some(run)) => run.push((x, y)),
            _ => runs.push(Run::new()),
        }
    }
    runs.retain(|run| !run.is_empty());
    runs
}

fn draw_axes(canvas: &mut Canvas, area: Area, x: &Axis, y: &Axis) {
    let across = |place: f64| area.left + ((place - x.low) / (x.high - x.low)) as f32 * area.width();
    let up = |place: f64| area.bottom - ((place - y.low) / (y.high - y.low)) as f32 * area.height();
    let ticks = |axis: &Axis| axis.ticks.iter().map(|(place, _)| *place).collect::<Vec<_>>();
    for (x, y, color) in [(&x.minor, &y.minor, FINE_GRID), (&ticks(x), &ticks(y), GRID)] {
        for left in x.iter().map(|&place| across(place).round()) {
            canvas.fill(Area { left, right: left + 1.0, ..area }, color);
        }
        for top in y.iter().map(|&place| up(place).round()) {
            canvas.fill(Area { top, bottom: top + 1.0, ..area }, color);
        }
    }
    canvas.frame(area, FRAME);
    for (place, label) in &x.ticks {
        let left = across(*place).round();
        canvas.fill(Area { left, right: left + 1.0, top: area.bottom, bottom: area.bottom + 5.0 }, FRAME);
        canvas.text(label, TICK, (left, area.bottom + 9.0), TOP, INK);
    }
    for (place, label) in &y.ticks {
        let top = up(*place).round();
        canvas.fill(Area { top, bottom: top + 1.0, left: area.left - 5.0, right: area.left }, FRAME);
        canvas.text(label, TICK, (area.left - 9.0, top), RIGHT, INK);
    }
}

/// The line number `i`, with its points marked if they are few; `place` tells where a point is on the canvas.
fn draw_line(canvas: &mut Canvas, i: usize, runs: &[Run], few: bool, place: impl Fn((f64, f64)) -> Point) {
    let color = COLORS[i % COLORS.len()];
    for run in runs {
        let points = thinned(run.iter().map(|&point| place(point)));
        match i / COLORS.len() {
            0 => canvas.line(&points, 2.0, color),
            round => {
                dashes(&points, 9.0 / round as f32).iter().for_each(|dash| canvas.line(dash, 2.0, color))
            }
        }
        // A line of one point is no line.
        if few || run.len() == 1 {
            points.iter().for_each(|&point| canvas.disc(point, 3.5, color));
        }
    }
}

/// The points that matter: in a column of pixels, the first, the lowest, the highest and the last.
fn thinned(points: impl Iterator<Item = Point>) -> Vec<Point> {
    let mut kept: Vec<Point> = Vec::new();
    let mut column: Vec<Point> = Vec::new();
    let mut close = |column: &mut Vec<Point>| {
        if column.len() > 4 {
            let (first, last) = (column[0], column[column.len() - 1]);
            let by_height = |a: &&Point, b: &&Point| a.1.total_cmp(&b.1);
            let (low, high) = (column.iter().min_by(by_height), column.iter().max_by(by_height));
            kept.extend([Some(first), low.copied(), high.copied(), Some(last)].into_iter().flatten());
        } else {
            kept.extend(column.iter());
        }
        column.clear();
    };
    for point in points {
        if column.last().is_some_and(|last| last.0.floor() != point.0.floor()) {
            close(&mut column);
        }
        column.push(point);
    }
    close(&mut column);
    kept
}

/// The line in pieces of this length, with a gap of two thirds of it after each.
fn dashes(points: &[Point], length: f32) -> Vec<Vec<Point>> {
    let (mut pieces, mut piece) = (Vec::new(), Vec::new());
    let (mut left, mut drawn) = (length, true);
    for pair in points.windows(2) {
        let [mut from, to] = [pair[0], pair[1]];
        loop {
            let far = (to.0 - from.0).hypot(to.1 - from.1);
            if drawn {
                piece.push(from);
            }
            if far < left {
                left -= far;
                break;
            }
            let part = left / far.max(f32::MIN_POSITIVE);
            from = (from.0 + (to.0 - from.0) * part, from.1 + (to.1 - from.1) * part);
            if drawn {
                piece.push(from);
                pieces.push(std::mem::take(&mut piece));
            }
            drawn = !drawn;
            left = if drawn { length } else { length * 2.0 / 3.0 };
        }
    }
    piece.extend(points.last().filter(|_| drawn));
    pieces.push(piece);
    pieces
}

/// A sample of each line with its name, right of the axes.
fn write_names(canvas: &mut Canvas, names: &[&str], area: Area) {
    let left = area.right + ROOM;
    let rows = (area.height() / ROW) as usize;
    for (i, name) in names.iter().enumerate().take(rows) {
        let y = area.top + (i as f32 + 0.5) * ROW;
        let text = left + SAMPLE + ROOM / 2.0;
        if i + 1 == rows && names.len() > rows {
            let more = format!("and {} more", names.len() - i);
            return canvas.text(&more, LABEL, (text, y), LEFT, INK);
        }
        draw_line(canvas, i, &[vec![(0.0, 0.0), (1.0, 0.0)]], false, |(x, _)| (left + x as f32 * SAMPLE, y));
        let name = canvas.letters.fit(name, LABEL, NAMES);
        canvas.text(&name, LABEL, (text, y), LEFT, INK);
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::data::image::read;
    use crate::error::Error;

    fn drawn(axes: &Axes, series: &[(&str, Vec<(f64, f64)>)]) -> Result<Vec<u8>> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("curve.png");
        curve_on(&path, "A title: ∂y/∂x", axes, series)?;
        let picture = read(&path)?;
        assert_eq!((picture.dims()[0], picture.dims()[2]), (HEIGHT, 3));
        assert!(picture.dims()[1] >= WIDTH);
        picture.flatten(0, -1)?.to_vec1()
    }

    /// How many pixels are nearly of this colour.
    fn count(picture: &[u8], color: Rgb) -> usize {
        picture.chunks_exact(3).filter(|p| p.iter().zip(color).all(|(a, b)| a.abs_diff(b) < 3)).count()
    }

    #[test]
    fn every_line_is_there() -> Result<()> {
        let line = |slope: f64| (0..50).map(|x| (f64::from(x), slope * f64::from(x))).collect::<Vec<_>>();
        let series: Vec<(&str, Vec<(f64, f64)>)> =
            (0..8).map(|i| ("a name", line(f64::from(i) - 3.0))).collect();
        let picture = drawn(&Axes::new("x", "y"), &series)?;
        for color in COLORS {
            assert!(count(&picture, color) > 300, "{color:?}");
        }
        Ok(())
    }

    #[test]
    fn odd_numbers_are_gaps() -> Result<()> {
        let axes = [Axes::new("x", "y"), Axes::new("x", "y").log_x(), Axes::new("x", "y").log_y().log_x()];
        let odd = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 0.0, -0.0, -1.0, 1e-320, 1e299, 3.0];
        for axes in &axes {
            drawn(axes, &[])?;
            drawn(axes, &[("", vec![])])?;
            for (a, b) in odd.iter().flat_map(|&a| [(a, 2.0), (2.0, a), (a, a)]) {
                drawn(axes, &[("a", vec![(a, b)]), ("b", vec![(1.0, 2.0), (b, a), (3.0, 4.0)])])?;
            }
        }
        // A gap on a logarithmic axis.
        let whole = drawn(&axes[2], &[("", vec![(1.0, 1.0), (5.0, 5.0), (10.0, 10.0)])])?;
        let gap = drawn(&axes[2], &[("", vec![(1.0, 1.0), (5.0, 0.0), (10.0, 10.0)])])?;
        assert!(count(&gap, COLORS[0]) * 3 < count(&whole, COLORS[0]));
        Ok(())
    }

    #[test]
    fn many_points_and_many_lines() -> Result<()> {
        let noise = (0..50_000).map(|i: u32| (f64::from(i), f64::from(i.wrapping_mul(2_654_435_761) >> 8)));
        drawn(&Axes::new("x", "y"), &[("noise", noise.collect())])?;
        let few: Vec<_> = (0..60)
            .map(|i| ("a long name, which is cut somewhere", vec![(0.0, f64::from(i)), (1.0, 1.0)]))
            .collect();
        let picture = drawn(&Axes::new("", ""), &few)?;
        assert_eq!(picture.len() % (HEIGHT * 3), 0);
        Ok(())
    }

    #[test]
    fn thinning_keeps_the_extremes() {
        let points: Vec<Point> = (0..100).map(|i| (i as f32 / 50.0, ((i * 37) % 100) as f32)).collect();
        let kept = thinned(points.iter().copied());
        assert_eq!(kept.len(), 8);
        assert_eq!((kept[0], kept[7]), (points[0], points[99]));
        let heights: Vec<f32> = kept.iter().map(|p| p.1).collect();
        assert!(heights.contains(&0.0) && heights.contains(&99.0));
        assert_eq!(thinned(points[..4].iter().copied()), points[..4]);
    }

    #[test]
    fn dashes_have_their_length() {
        let pieces = dashes(&[(0.0, 0.0), (10.0, 0.0), (10.0, 20.0)], 6.0);
        let lengths: Vec<f32> = pieces
            .iter()
            .map(|p| p.windows(2).map(|w| (w[1].0 - w[0].0).hypot(w[1].1 - w[0].1)).sum())
            .collect();
        // The last begins where the line ends.
        assert_eq!(lengths, [6.0, 6.0, 6.0, 0.0]);
        assert_eq!(dashes(&[(1.0, 1.0), (1.0, 1.0)], 6.0), [[(1.0, 1.0), (1.0, 1.0)]]);
    }

    #[test]
    fn what_cannot_be_drawn_or_written() {
        let error = drawn(&Axes::default(), &[("a", vec![(1.0, 1e305)])]);
        assert!(matches!(error, Err(Error::Argument { .. })));
        let nowhere = PathBuf::from("no/such/place.png");
        let error = curve(&nowhere, "", "", "", &[("a", vec![(1.0, 1.0)])]).unwrap_err();
        assert!(error.to_string().starts_with("no/such/place.png: "), "{error}");
    }
}
