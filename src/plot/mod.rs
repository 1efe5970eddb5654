//! Plots of training, models and predictions, as PNG or SVG files, by the extension of the file's name.
//!
//! The text of a PNG is drawn with a bundled font (DejaVu Sans: Latin, Greek, Cyrillic, Armenian, Georgian and some mathematical
//! signs), so that a plot is the same on every machine; a letter of another script is a box. The text of an SVG stays text,
//! which a browser draws in any script.
//!
//! All functions return [`Error::File`](crate::Error::File) for another extension, and if the file cannot be written; an
//! existing file is then left as it was.

mod activation;
mod axis;
mod boundary;
mod canvas;
mod confusion;
mod curve;
mod drawing;
mod grid;
mod heat;
mod histogram;
mod plane;
mod predictions;
mod ranking;
mod report;
mod svg;
mod text;

pub use activation::activation;
pub use boundary::decision_boundary;
pub use confusion::confusion_matrix;
pub use curve::{Axes, curve, curve_with_axes};
pub use grid::image_grid;
pub use heat::heatmap;
pub use histogram::histogram;
pub use predictions::{misclassified, predictions, weights};
pub use ranking::{calibration_curve, roc_curve};
pub use report::{Cell, Curves, Report, ReportTable, report};

/// Red, green, blue.
type Rgb = [u8; 3];

const WHITE: Rgb = [255, 255, 255];
const INK: Rgb = [33, 33, 33];
const FRAME: Rgb = [120, 120, 120];

/// Font sizes, in pixels per em.
const TITLE: f32 = 20.0;
const LABEL: f32 = 16.0;
const TICK: f32 = 14.0;

/// Colours that colour-blind people can tell apart (Okabe, Ito).
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
