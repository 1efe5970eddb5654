//! Pictures of curves, of weights and of examples, as PNG files.
//!
//! Text is drawn from a font in the binary (DejaVu Sans: Latin, Greek and some mathematical signs), so that a picture is
//! the same on every machine.
//!
//! # Errors
//! A file that cannot be written is an [`Error::File`](crate::Error::File); there is then no half of a picture.

mod axis;
mod canvas;
mod curve;
mod grid;
mod heat;
mod text;

pub use curve::{Axes, curve, curve_on};
pub use grid::grid;
pub use heat::heat;

/// Red, green, blue.
type Rgb = [u8; 3];

const WHITE: Rgb = [255, 255, 255];
const INK: Rgb = [33, 33, 33];
const FRAME: Rgb = [120, 120, 120];

/// The sizes of text, in pixels for an em.
const TITLE: f32 = 20.0;
const LABEL: f32 = 16.0;
const TICK: f32 = 14.0;
