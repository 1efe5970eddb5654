//! An activation with its derivative.

use std::ops::Range;
use std::path::Path;

use super::curve::{Axes, curve_on};
use crate::activation::Activation;
use crate::error::{Error, Result};

/// Two points a pixel.
const POINTS: usize = 1400;

/// Writes a picture of an activation and its derivative.
///
/// # Errors
/// A range that is empty, or not within ±1e300; a file that cannot be written.
///
/// ```
/// use tealight::prelude::*;
/// let path = std::env::temp_dir().join("tealight-doc-activation.svg");
/// tealight::plot::activation(&path, &Gelu, -4.0..4.0)?;
/// let picture = std::fs::read_to_string(&path).unwrap();
/// assert!(picture.contains(">gelu</text>") && picture.contains(">f′(x)</text>"));
/// # std::fs::remove_file(path).ok();
/// # Ok::<(), tealight::Error>(())
/// ```
pub fn activation(path: impl AsRef<Path>, activation: &impl Activation, range: Range<f64>) -> Result<()> {
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
    let title = name(activation);
    curve_on(path, title, &Axes::new("x", ""), &[("f(x)", values), ("f′(x)", slopes)])
}

fn name<A: Activation>(_: &A) -> &'static str {
    A::NAME
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
