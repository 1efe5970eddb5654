//! Pictures of training, of models and of what they say, as PNG or SVG files: the file's name says which.
//!
//! The text of a PNG is drawn from a font in the binary (DejaVu Sans: Latin, Greek and some mathematical signs), so that a
//! picture is the same on every machine. The text of an SVG stays text, for which the viewer has a font.
//!
//! # Errors
//! A file's name that ends neither in `.png` nor in `.svg` is an [`Error::File`](crate::Error::File). A file that cannot be written is an [`Error::File`](crate::Error::File); there is then no half of a picture.

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
pub use boundary::boundary;
pub use confusion::confusion;
pub use curve::{Axes, curve, curve_on};
pub use grid::grid;
pub use heat::heat;
pub use histogram::histogram;
pub use predictions::{misclassified, predictions, weights};
pub use ranking::{calibration, roc};
pub use report::{Curves, Report, report};

/// Red, green, blue.
type Rgb = [u8; 3];

const WHITE: Rgb = [255, 255, 255];
const INK: Rgb = [33, 33, 33];
const FRAME: Rgb = [120, 120, 120];

/// The sizes of text, in pixels for an em.
const TITLE: f32 = 20.0;
const LABEL: f32 = 16.0;
const TICK: f32 = 14.0;

/// Colours that are told apart whatever one's eyes see (Okabe, Ito).
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
