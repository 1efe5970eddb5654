//! Pictures from files or from memory, as tensors of u8.

use std::path::Path;

use candle_core::DType;

use super::decode::{MAX_BYTES, decode};
use super::pixels::Pixels;
use crate::autograd::Tensor;
use crate::error::{Error, Result};
use crate::file::read_at_most;

/// Which channels a picture is wanted in.
///
/// ```
/// use tealight::data::image::{Color, ReadOptions, from_bytes_with};
/// let green = b"P3 1 1 255 0 255 0\n";
/// let grey = from_bytes_with("green.ppm", green, &ReadOptions::new().color(Color::Gray))?;
/// assert_eq!(grey.to_vec3::<u8>()?, [[[150]]]); // 0.587 · 255, rounded
/// # Ok::<(), tealight::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Color {
    /// One channel, the brightness: 0.299 r + 0.587 g + 0.114 b, rounded.
    Gray,
    /// Three channels; a grey picture is repeated.
    Rgb,
}

/// How to read a picture: as the file has it, unless told otherwise.
///
/// ```
/// use tealight::data::image::{Color, ReadOptions, from_bytes_with};
/// let red = from_bytes_with("red.ppm", b"P3 1 1 255 255 0 0\n", &ReadOptions::new())?;
/// assert_eq!(red.to_vec3::<u8>()?, [[[255, 0, 0]]]);
/// let grey = from_bytes_with("red.ppm", b"P3 1 1 255 255 0 0\n", &ReadOptions::new().color(Color::Gray))?;
/// assert_eq!(grey.dims(), [1, 1, 1]);
/// # Ok::<(), tealight::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReadOptions {
    color: Option<Color>,
    opaque: bool,
}

impl ReadOptions {
    /// As the file has it.
    ///
    /// ```
    /// use tealight::data::image::{ReadOptions, from_bytes_with};
    /// let (grey, rgb) = (b"P2 1 1 255 7\n", b"P3 1 1 255 7 8 9\n");
    /// assert_eq!(from_bytes_with("grey.pgm", grey, &ReadOptions::new())?.dims(), [1, 1, 1]);
    /// assert_eq!(from_bytes_with("rgb.ppm", rgb, &ReadOptions::new())?.dims(), [1, 1, 3]);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn new() -> Self {
        ReadOptions::default()
    }

    /// In this colour. Alpha is discarded: a pixel that was transparent shows the colour that the file has for it.
    ///
    /// ```
    /// use tealight::data::image::{Color, ReadOptions, from_bytes_with};
    /// let picture = from_bytes_with("grey.pgm", b"P2 1 1 255 7\n", &ReadOptions::new().color(Color::Rgb))?;
    /// assert_eq!(picture.to_vec3::<u8>()?, [[[7, 7, 7]]]);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn color(mut self, color: Color) -> Self {
        self.color = Some(color);
        self
    }

    /// Without the alpha channel, if there is one: it is discarded, and nothing is blended with a background.
    ///
    /// ```
    /// use tealight::data::image::{ReadOptions, read_with, write_png};
    /// use tealight::prelude::*;
    /// let file = std::env::temp_dir().join("tealight-doc-alpha.png");
    /// write_png(&file, &Tensor::new(&[[[50_u8, 0], [60, 255]]], &Device::Cpu)?)?; // grey and alpha
    /// assert_eq!(read_with(&file, &ReadOptions::new().without_alpha())?.to_vec3::<u8>()?, [[[50], [60]]]);
    /// # std::fs::remove_file(file).ok();
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn without_alpha(mut self) -> Self {
        self.opaque = true;
        self
    }

    pub(super) fn apply(&self, pixels: Pixels) -> Pixels {
        // Pillow's weights and rounding.
        let grey = |p: &[u8]| {
            let [r, g, b] = [p[0], p[1], p[2]].map(u32::from);
            ((19_595 * r + 38_470 * g + 7_471 * b + 0x8000) >> 16) as u8
        };
        let wanted = match self.color {
            Some(Color::Gray) => 1,
            Some(Color::Rgb) => 3,
            // An odd number of channels is a picture without alpha.
            None if self.opaque => (pixels.channels - 1) | 1,
            None => pixels.channels,
        };
        match (pixels.channels, wanted) {
            (from, to) if from == to => pixels,
            (3 | 4, 1) => pixels.map(1, |p, out| out.push(grey(p))),
            (1 | 2, 3) => pixels.map(3, |p, out| out.extend([p[0]; 3])),
            (_, to) => pixels.map(to, |p, out| out.extend_from_slice(&p[..to])),
        }
    }
}

/// The picture in a file: u8, with as many channels as the file has.
///
/// PNG, JPEG, BMP, GIF, WebP, TIFF and PNM are read, told apart by what the file holds and not by its name. 16 bits a
/// channel are rounded to 8, a palette is looked up, and of an animation the first picture is taken. A photo that says
/// which way up it was taken is turned that way.
///
/// # Shapes
/// (height, width, 1 to 4 channels).
///
/// # Errors
/// A file that is missing, empty, cut off or no picture; one of more than [`MAX_SIDE`](super::MAX_SIDE) pixels a side or
/// [`MAX_BYTES`]; samples that are neither 8 nor 16 bits, nor fewer. Each names the file.
///
/// ```
/// use tealight::data::image;
/// let digits = image::read(concat!(env!("CARGO_MANIFEST_DIR"), "/data/digits.png"))?;
/// assert_eq!(digits.dims(), [288, 400, 1]);
/// # Ok::<(), tealight::Error>(())
/// ```
#[doc(alias = "imread")]
pub fn read(path: impl AsRef<Path>) -> Result<Tensor> {
    read_with(path, &ReadOptions::new())
}

/// [`read`], with the channels asked for.
///
/// # Errors
/// As [`read`].
///
/// ```
/// use tealight::data::image::{Color, ReadOptions, read_with};
/// let file = std::env::temp_dir().join("tealight-doc-read-with.pgm");
/// std::fs::write(&file, "P2 2 1 255 7 9\n")?;
/// let picture = read_with(&file, &ReadOptions::new().color(Color::Rgb))?;
/// assert_eq!(picture.to_vec3::<u8>()?, [[[7, 7, 7], [9, 9, 9]]]);
/// # std::fs::remove_file(file).ok();
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn read_with(path: impl AsRef<Path>, options: &ReadOptions) -> Result<Tensor> {
    pixels(path.as_ref(), options)?.into_tensor()
}

/// The picture in the bytes of a file, which errors call `name`.
///
/// # Errors
/// As [`read`].
///
/// ```
/// use tealight::data::image;
/// let picture = image::from_bytes("tiny.pgm", b"P2 2 1 255 7 9\n")?;
/// assert_eq!(picture.to_vec3::<u8>()?, [[[7], [9]]]);
/// # Ok::<(), tealight::Error>(())
/// ```
pub fn from_bytes(name: impl AsRef<Path>, bytes: &[u8]) -> Result<Tensor> {
    from_bytes_with(name, bytes, &ReadOptions::new())
}

/// [`from_bytes`], with the channels asked for.
///
/// # Errors
/// As [`read`].
///
/// ```
/// use tealight::data::image::{Color, ReadOptions, from_bytes_with};
/// let options = ReadOptions::new().color(Color::Gray);
/// assert_eq!(from_bytes_with("red.ppm", b"P3 1 1 255 255 0 0\n", &options)?.to_vec3::<u8>()?, [[[76]]]);
/// let error = from_bytes_with("upload 3", b"", &options).unwrap_err().to_string();
/// assert_eq!(error, "upload 3: expected a picture, got an empty file");
/// # Ok::<(), tealight::Error>(())
/// ```
pub fn from_bytes_with(name: impl AsRef<Path>, bytes: &[u8], options: &ReadOptions) -> Result<Tensor> {
    options.apply(decode(name.as_ref(), bytes)?).into_tensor()
}

pub(super) fn pixels(path: &Path, options: &ReadOptions) -> Result<Pixels> {
    Ok(options.apply(decode(path, &read_at_most(path, MAX_BYTES as u64)?)?))
}

/// Bytes as f32 from 0 to 1, of any shape.
///
/// # Errors
/// Another dtype than u8.
///
/// ```
/// use tealight::prelude::*;
/// let bytes = Tensor::new(&[0u8, 51, 255], &Device::Cpu)?;
/// assert_eq!(tealight::data::image::to_float(&bytes)?.to_vec1::<f32>()?, [0.0, 0.2, 1.0]);
/// # Ok::<(), tealight::Error>(())
/// ```
pub fn to_float(image: &Tensor) -> Result<Tensor> {
    if image.dtype() != DType::U8 {
        return Err(Error::dtype("to_float", "a picture of u8", &[image.dtype()]));
    }
    // A product with 1/255 would be off in the last bit.
    image.to_dtype(DType::F32)? / 255.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prelude::*;

    fn read_as(channels: usize, bytes: &[u8], options: &ReadOptions) -> (usize, Vec<u8>) {
        let pixels = Pixels { height: 1, width: bytes.len() / channels, channels, bytes: bytes.to_vec() };
        let pixels = options.apply(pixels);
        (pixels.channels, pixels.bytes)
    }

    #[test]
    fn conversions() {
        let (grey, rgb) = (ReadOptions::new().color(Color::Gray), ReadOptions::new().color(Color::Rgb));
        let opaque = ReadOptions::new().without_alpha();
        let (one, two, four) = ([5, 6], [5, 0, 6, 9], [255, 0, 0, 0, 10, 20, 30, 255]);
        let three = [255, 0, 0, 10, 20, 30];
        assert_eq!(read_as(1, &one, &grey), (1, one.to_vec()));
        assert_eq!(read_as(1, &one, &rgb), (3, vec![5, 5, 5, 6, 6, 6]));
        assert_eq!(read_as(1, &one, &opaque), (1, one.to_vec()));
        assert_eq!(read_as(2, &two, &grey), (1, one.to_vec()));
        assert_eq!(read_as(2, &two, &rgb), (3, vec![5, 5, 5, 6, 6, 6]));
        assert_eq!(read_as(2, &two, &opaque), (1, one.to_vec()));
        // As Pillow: convert("L").
        assert_eq!(read_as(3, &three, &grey), (1, vec![76, 18]));
        assert_eq!(read_as(3, &three, &opaque), (3, three.to_vec()));
        assert_eq!(read_as(4, &four, &grey), (1, vec![76, 18]));
        assert_eq!(read_as(4, &four, &rgb), (3, three.to_vec()));
        assert_eq!(read_as(4, &four, &opaque), (3, three.to_vec()));
        assert_eq!(read_as(4, &four, &ReadOptions::new()), (4, four.to_vec()));
    }

    #[test]
    fn files_that_are_not_there_are_named() {
        let error = read("no/such.png").unwrap_err();
        assert!(matches!(error, Error::File { .. }));
        assert!(error.to_string().starts_with("no/such.png: expected a file that can be read"), "{error}");
        assert!(matches!(read("."), Err(Error::File { .. })));
    }

    #[test]
    fn floats() -> Result<()> {
        let bytes = Tensor::arange(0u32, 256, &Device::Cpu)?.to_dtype(DType::U8)?;
        let floats = to_float(&bytes)?.to_vec1::<f32>()?;
        assert!(floats.iter().enumerate().all(|(i, &x)| x == i as f32 / 255.0));
        assert_eq!(to_float(&bytes.reshape((16, 16, 1))?)?.dims(), [16, 16, 1]);
        assert!(matches!(to_float(&to_float(&bytes)?), Err(Error::Dtype { .. })));
        Ok(())
    }
}
