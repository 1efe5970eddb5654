//! [`curve`] and [`curve_with_axes`].

use std::path::Path;

use super::axis::{Axis, Scale};
use super::drawing::Drawing;
use super::plane::{Key, Labels, Plane};
use super::text::MIDDLE;
use super::{FRAME, LABEL};
use crate::error::Result;

/// The width of the plot without the legend, and its height.
pub(super) const SIZE: (f32, f32) = (780.0, 560.0);
/// A line of fewer points gets markers.
const FEW: usize = 40;

/// The labels and scales of the two axes of a plot. Default: linear scales.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Axes {
    x_label: String,
    y_label: String,
    x: Scale,
    y: Scale,
    points: bool,
    diagonal: bool,
}

impl Axes {
    /// Axes with linear scales.
    pub fn new(x_label: impl Into<String>, y_label: impl Into<String>) -> Self {
        Axes { x_label: x_label.into(), y_label: y_label.into(), ..Axes::default() }
    }

    /// Makes the x axis logarithmic.
    #[doc(alias = "semilogx")]
    pub fn log_x(mut self) -> Self {
        self.x = Scale::Log;
        self
    }

    /// Makes the y axis logarithmic.
    #[doc(alias = "semilogy")]
    pub fn log_y(mut self) -> Self {
        self.y = Scale::Log;
        self
    }

    /// Draws points alone, without lines between them.
    pub fn scatter(mut self) -> Self {
        self.points = true;
        self
    }

    /// Adds the dashed line y = x, where the points are around it: of predicted against true numbers, say.
    pub fn diagonal(mut self) -> Self {
        self.diagonal = true;
        self
    }
}

/// Plots lines through points (x, y), each with a name.
///
/// A line has a gap at points that are not finite. Lines of fewer than 40 points get markers.
///
/// # Errors
/// Errors if a number is beyond ±1e300.
///
/// ```
/// # let path = std::env::temp_dir().join("tealight-doc-curve.svg");
/// let training = vec![(1.0, 0.9), (2.0, 0.4), (3.0, 0.25)];
/// let validation = vec![(1.0, 1.0), (2.0, 0.6), (3.0, 0.5)];
/// let series = [("training", training), ("validation", validation)];
/// tealight::plot::curve(&path, "Loss", "epoch", "cross-entropy", &series)?;
/// assert!(std::fs::read_to_string(&path).unwrap().contains(">validation</text>"));
/// # std::fs::remove_file(path).ok();
/// # Ok::<(), tealight::Error>(())
/// ```
pub fn curve<S: AsRef<str>>(
    path: impl AsRef<Path>,
    title: &str,
    x_label: &str,
    y_label: &str,
    series: &[(S, Vec<(f64, f64)>)],
) -> Result<()> {
    curve_with_axes(path, title, &Axes::new(x_label, y_label), series)
}

/// [`curve`] with [`Axes`], which may be logarithmic. On a logarithmic axis numbers up to 0 are gaps.
///
/// # Errors
/// As [`curve`].
///
/// ```
/// # use tealight::plot::{Axes, curve_with_axes};
/// # let path = std::env::temp_dir().join("tealight-doc-axes.svg");
/// let axes = Axes::new("rows", "seconds").log_x();
/// curve_with_axes(&path, "Time of a product", &axes, &[("f32", vec![(1.0, 1.0), (1000.0, 8.0)])])?;
/// assert!(std::fs::read_to_string(&path).unwrap().contains(">10³</text>"));
/// # std::fs::remove_file(path).ok();
/// # Ok::<(), tealight::Error>(())
/// ```
pub fn curve_with_axes<S: AsRef<str>>(
    path: impl AsRef<Path>,
    title: &str,
    axes: &Axes,
    series: &[(S, Vec<(f64, f64)>)],
) -> Result<()> {
    drawn(title, axes, series)?.save(path)
}

/// The plot of [`curve_with_axes`].
pub(super) fn drawn<S: AsRef<str>>(
    title: &str,
    axes: &Axes,
    series: &[(S, Vec<(f64, f64)>)],
) -> Result<Drawing> {
    let lines: Vec<Vec<Run>> = series.iter().map(|(_, points)| runs(axes, points)).collect();
    let all = || lines.iter().flatten().flatten();
    let x = Axis::around(axes.x, all().map(|point| point.0), 8)?;
    let y = Axis::around(axes.y, all().map(|point| point.1), 7)?;
    let names: Vec<(&str, Key)> =
        series.iter().enumerate().map(|(i, (name, _))| (name.as_ref(), Key::Line(i))).collect();
    let range = |of: fn(&(f64, f64)) -> f64| {
        all().map(of).fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), x| (a.min(x), b.max(x)))
    };
    let (xs, ys) = (range(|point| point.0), range(|point| point.1));
    let labels = Labels { title, x: &axes.x_label, y: &axes.y_label };
    let mut plane = Plane::new(SIZE, labels, [x, y], &names);
    let ends = (xs.0.max(ys.0), xs.1.min(ys.1));
    if axes.diagonal && ends.0 < ends.1 {
        plane.guide((ends.0, ends.0), (ends.1, ends.1));
    }
    for (i, runs) in lines.iter().enumerate() {
        if axes.points {
            runs.iter().flatten().for_each(|&point| plane.point(i, point));
            continue;
        }
        let few = runs.iter().map(Vec::len).sum::<usize>() < FEW;
        runs.iter().for_each(|run| plane.line(i, run, few));
    }
    if all().next().is_none() {
        plane.drawing.text("no points to show", LABEL, plane.area.middle(), MIDDLE, FRAME);
    }
    Ok(plane.drawing)
}

/// Points without a gap between them, as positions on the axes.
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

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::data::image::read;
    use crate::error::Error;
    use crate::plot::{COLORS, Rgb};

    fn pixels(axes: &Axes, series: &[(&str, Vec<(f64, f64)>)]) -> Result<Vec<u8>> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("curve.png");
        curve_with_axes(&path, "A title: ∂y/∂x", axes, series)?;
        let picture = read(&path)?;
        assert_eq!((picture.dims()[0], picture.dims()[2]), (560, 3));
        assert!(picture.dims()[1] >= 780);
        picture.flatten(0, -1)?.to_vec1()
    }

    /// The number of pixels of about this colour.
    fn count(picture: &[u8], color: Rgb) -> usize {
        picture.chunks_exact(3).filter(|p| p.iter().zip(color).all(|(a, b)| a.abs_diff(b) < 3)).count()
    }

    #[test]
    fn every_line_is_there() -> Result<()> {
        let line = |slope: f64| (0..50).map(|x| (f64::from(x), slope * f64::from(x))).collect::<Vec<_>>();
        let series: Vec<(&str, Vec<(f64, f64)>)> =
            (0..8).map(|i| ("a name", line(f64::from(i) - 3.0))).collect();
        let picture = pixels(&Axes::new("x", "y"), &series)?;
        for color in COLORS {
            assert!(count(&picture, color) > 300, "{color:?}");
        }
        Ok(())
    }

    #[test]
    fn non_finite_points_are_gaps() -> Result<()> {
        let axes = [Axes::new("x", "y"), Axes::new("x", "y").log_x(), Axes::new("x", "y").log_y().log_x()];
        let odd = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 0.0, -0.0, -1.0, 1e-320, 1e299, 3.0];
        for axes in &axes {
            pixels(axes, &[])?;
            pixels(axes, &[("", vec![])])?;
            for (a, b) in odd.iter().flat_map(|&a| [(a, 2.0), (2.0, a), (a, a)]) {
                pixels(axes, &[("a", vec![(a, b)]), ("b", vec![(1.0, 2.0), (b, a), (3.0, 4.0)])])?;
            }
        }
        // A gap on a logarithmic axis.
        let whole = pixels(&axes[2], &[("", vec![(1.0, 1.0), (5.0, 5.0), (10.0, 10.0)])])?;
        let gap = pixels(&axes[2], &[("", vec![(1.0, 1.0), (5.0, 0.0), (10.0, 10.0)])])?;
        assert!(count(&gap, COLORS[0]) * 3 < count(&whole, COLORS[0]));
        Ok(())
    }

    #[test]
    fn many_points_and_many_lines() -> Result<()> {
        let noise = (0..50_000).map(|i: u32| (f64::from(i), f64::from(i.wrapping_mul(2_654_435_761) >> 8)));
        pixels(&Axes::new("x", "y"), &[("noise", noise.collect())])?;
        let few: Vec<_> = (0..60)
            .map(|i| ("a long name, which is cut somewhere", vec![(0.0, f64::from(i)), (1.0, 1.0)]))
            .collect();
        let picture = pixels(&Axes::new("", ""), &few)?;
        assert_eq!(picture.len() % (560 * 3), 0);
        Ok(())
    }

    #[test]
    fn invalid_numbers_and_paths() {
        let error = pixels(&Axes::default(), &[("a", vec![(1.0, 1e305)])]);
        assert!(matches!(error, Err(Error::Argument { .. })));
        let nowhere = PathBuf::from("no/such/place.png");
        let error = curve(&nowhere, "", "", "", &[("a", vec![(1.0, 1.0)])]).unwrap_err();
        assert!(error.to_string().starts_with("no/such/place.png: "), "{error}");
    }
}
