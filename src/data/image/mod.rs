//! Pictures: files to tensors and back.
//!
//! # Shapes
//! A picture is (height, width, channels), with 1 channel for grey, 2 for grey and alpha, 3 for rgb, 4 for rgb and alpha.
//!
//! # Units
//! u8 from 0 to 255, or floats from 0 to 1: [`to_float`] and [`write_png`] go there and back without a loss.
//!
//! # Errors
//! A file is an [`Error::File`](crate::Error::File) that names it. No file, however it was made, takes more memory than
//! [`MAX_BYTES`] allows.

mod decode;
mod jpeg;
mod pixels;
mod read;
mod resize;
mod write;

pub use decode::{MAX_BYTES, MAX_SIDE};
pub use read::{Color, ReadOptions, from_bytes, from_bytes_with, read, read_with, to_float};
pub(super) use resize::read_resized;
pub use resize::resize;
pub use write::write_png;

pub use super::unroll::image_to_vector;
