//! Images: files to tensors and back.
//!
//! An image is (height, width, channels), with 1 channel for grey, 2 for grey and alpha, 3 for RGB, 4 for RGB and alpha; u8 from 0
//! to 255, or floats from 0 to 1 ([`to_float`]). [`ImageFolderOptions`](super::ImageFolderOptions) reads, turns, resizes, crops and normalizes
//! as torchvision does, and puts the channels first. An error of a file is an [`Error::File`](crate::Error::File) that names it.
//! No file takes more memory than [`MAX_BYTES`] allows, not even one made to do so.

mod decode;
mod jpeg;
mod pixels;
mod read;
mod resize;
mod write;

pub use decode::{MAX_BYTES, MAX_SIDE};
pub(super) use pixels::Pixels;
pub use read::{Color, ReadOptions, from_bytes, from_bytes_with, read, read_with, to_float};
pub(super) use resize::{Fit, resized_planes};
pub use resize::{Interpolation, Size, center_crop, resize};
pub use write::write_png;

pub use super::unroll::image_to_vector;
