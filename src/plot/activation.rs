//! [`activation`].

use std::ops::Range;
use std::path::Path;

use super::curve::{Axes, curve_with_axes};
use crate::activation::Activation;
use crate::error::{Error, Result};

/// The number of points: two per pixel.
const POINTS: usize = 1400;

/// Plots an activation and its derivative.
///
/// # Errors
/// Errors if the range is empty or not within ±1e300.
pub fn activation<A: Activation>(path: impl AsRef<Path>, activation: &A, range: Range<f64>) -> Result<()> {
    let width = range.end - range.start;
    if !(width > 0.0 && width < 1e300) {
        return Err(Error::argument(
            "activation",
            "a range of finite numbers, not empty",
            format!("{range:?}"),
        ));
    }
    let points = (0..POINTS).map(|i| range.start + width * (i as f64 / (POINTS - 1) as f64));
    let (mut values, mut slopes) = (Vec::new(), Vec::new());
    for x in points {
        let y = activation.value(x);
        values.push((x, y));
        slopes.push((x, activation.derivative(x, y)));
    }
    curve_with_axes(path, A::NAME, &Axes::new("x", ""), &[("f(x)", values), ("f′(x)", slopes)])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prelude::*;

    #[test]
    fn ranges() -> Result<()> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.svg");
        activation(&path, &Relu, -2.0..3.0)?;
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.contains(">f′(x)</text>") && text.contains(">relu</text>"), "{text}");
        for range in [1.0..1.0, 2.0..1.0, f64::NAN..1.0, 0.0..f64::INFINITY, -1e300..1e300] {
            assert!(activation(&path, &Relu, range).is_err());
        }
        Ok(())
    }
}
