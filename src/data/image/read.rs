//! Reads images as tensors of u8.

use std::path::Path;

use candle_core::DType;

use super::decode::{MAX_BYTES, decode};
use super::pixels::Pixels;
use crate::autograd::Tensor;
use crate::error::{Error, Result};
use crate::file::read_at_most;

/// The channels to convert an image to: [`ReadOptions::color`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Color {
    /// One channel, the brightness: 0.299 r + 0.587 g + 0.114 b, rounded.
    Gray,
    /// Three channels; a grey image is repeated.
    Rgb,
}

/// What becomes of transparency.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Alpha {
    Keep,
    Discard,
    Over([u8; 3]),
}

/// Options of [`read_with`] and [`from_bytes_with`].
///
/// ```
/// # use tealight::data::image::{Color, ReadOptions, from_bytes_with};
/// let green = b"P3 1 1 255 0 255 0\n";
/// assert_eq!(from_bytes_with("green.ppm", green, &ReadOptions::new())?.dims(), [1, 1, 3]);
/// let gray = from_bytes_with("green.ppm", green, &ReadOptions::new().color(Color::Gray))?;
/// assert_eq!(gray.to_vec3::<u8>()?, [[[150]]]); // 0.587 · 255, rounded
/// # Ok::<(), tealight::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadOptions {
    color: Option<Color>,
    alpha: Alpha,
    turn: bool,
    max_bytes: usize,
}

impl Default for ReadOptions {
    fn default() -> Self {
        ReadOptions { color: None, alpha: Alpha::Keep, turn: true, max_bytes: MAX_BYTES }
    }
}

impl ReadOptions {
    /// The channels of the file.
    pub fn new() -> Self {
        ReadOptions::default()
    }

    /// Converts to these channels, transparent pixels on white unless [`background`](ReadOptions::background) or
    /// [`without_alpha`](ReadOptions::without_alpha) says otherwise.
    pub fn color(mut self, color: Color) -> Self {
        self.color = Some(color);
        self
    }

    /// Blends transparent pixels with this colour (red, green, blue) and removes the alpha channel. A grey image stays grey
    /// unless [`Color::Rgb`] is asked for.
    ///
    /// ```
    /// # use tealight::data::image::{ReadOptions, from_bytes_with};
    /// # use tealight::prelude::*;
    /// # let file = std::env::temp_dir().join("tealight-doc-background.png");
    /// # tealight::data::image::write_png(&file, &Tensor::new(&[[[0_u8, 0, 0, 0]]], &Device::Cpu)?)?;
    /// # let clear = std::fs::read(&file).unwrap();
    /// # std::fs::remove_file(file).ok();
    /// let blue = from_bytes_with("clear.png", &clear, &ReadOptions::new().background([0, 0, 255]))?;
    /// assert_eq!(blue.to_vec3::<u8>()?, [[[0, 0, 255]]]);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn background(mut self, color: [u8; 3]) -> Self {
        self.alpha = Alpha::Over(color);
        self
    }

    /// Discards the alpha channel, as Pillow's `convert("RGB")` does: a transparent pixel shows the colour that the file has
    /// for it, which is black in many.
    pub fn without_alpha(mut self) -> Self {
        self.alpha = Alpha::Discard;
        self
    }

    /// Whether photos are turned as their Exif data say. Default: `true`. Pillow, torchvision and Keras turn no files but TIFF,
    /// which are always turned.
    #[doc(alias = "exif_transpose")]
    pub fn exif_orientation(mut self, turn: bool) -> Self {
        self.turn = turn;
        self
    }

    /// The most bytes of a file, and of an image as decoded. Default: [`MAX_BYTES`]. A photo of 108 megapixels has 310 MiB.
    #[doc(alias = "MAX_IMAGE_PIXELS")]
    pub fn max_bytes(mut self, max_bytes: usize) -> Self {
        self.max_bytes = max_bytes;
        self
    }

    #[cfg(feature = "tar")]
    pub(in crate::data) fn most(&self) -> usize {
        self.max_bytes
    }

    /// The colour behind transparent parts.
    pub(in crate::data) fn ground(&self) -> [u8; 3] {
        match self.alpha {
            Alpha::Over(color) => color,
            Alpha::Discard => [0; 3],
            Alpha::Keep => [255; 3],
        }
    }

    pub(in crate::data) fn read(&self, path: &Path) -> Result<Pixels> {
        self.decode(path, &read_at_most(path, self.max_bytes as u64)?)
    }

    pub(in crate::data) fn decode(&self, path: &Path, bytes: &[u8]) -> Result<Pixels> {
        Ok(self.apply(decode(path, bytes, self.max_bytes, self.turn)?))
    }

    fn apply(&self, mut pixels: Pixels) -> Pixels {
        if pixels.channels == 2 && self.color == Some(Color::Rgb) {
            pixels = pixels.map(4, |p, out| out.extend([p[0], p[0], p[0], p[1]]));
        }
        let colors = pixels.channels - 1;
        let alpha = match self.alpha {
            // An odd number of channels is an image without alpha.
            _ if colors.is_multiple_of(2) => Alpha::Keep,
            Alpha::Keep if self.color.is_some() => Alpha::Over([255; 3]),
            alpha => alpha,
        };
        pixels = match alpha {
            Alpha::Keep => pixels,
            Alpha::Discard => pixels.map(colors, |p, out| out.extend_from_slice(&p[..colors])),
            Alpha::Over(ground) => {
                let ground = if colors == 1 { [grey(&ground); 3] } else { ground };
                pixels.map(colors, |p, out| {
                    let alpha = u32::from(p[colors]);
                    let blend = |(&x, &y): (&u8, &u8)| {
                        ((u32::from(x) * alpha + u32::from(y) * (255 - alpha) + 127) / 255) as u8
                    };
                    out.extend(p[..colors].iter().zip(&ground).map(blend));
                })
            }
        };
        match (pixels.channels, self.color) {
            (3, Some(Color::Gray)) => pixels.map(1, |p, out| out.push(grey(p))),
            (1, Some(Color::Rgb)) => pixels.map(3, |p, out| out.extend([p[0]; 3])),
            _ => pixels,
        }
    }
}

/// The brightness of a colour, with Pillow's weights and rounding.
pub(super) fn grey(color: &[u8]) -> u8 {
    let [r, g, b] = [color[0], color[1], color[2]].map(u32::from);
    ((19_595 * r + 38_470 * g + 7_471 * b + 0x8000) >> 16) as u8
}

/// Reads an image file: u8 of shape (height, width, channels), with as many channels as the file has.
///
/// PNG, JPEG, BMP, GIF, WebP, TIFF and PNM are told apart by their content, not by the file's name. 16 bits a channel are
/// rounded to 8, a palette is looked up, an animation gives its first image, and a photo is turned as its Exif data say, which
/// PyTorch's readers do not do. [`ReadOptions`] has choices: the channels, transparency, turning, the largest size.
///
/// # Errors
/// Errors if the file is missing, empty, cut off or no image, has more than [`MAX_SIDE`](super::MAX_SIDE) pixels a side or
/// [`MAX_BYTES`], or more than 16 bits a channel.
///
/// ```
/// # use tealight::data::image;
/// let digits = image::read(concat!(env!("CARGO_MANIFEST_DIR"), "/data/digits.png"))?;
/// assert_eq!(digits.dims(), [288, 400, 1]);
/// # Ok::<(), tealight::Error>(())
/// ```
#[doc(alias = "imread")]
#[doc(alias = "read_image")]
pub fn read(path: impl AsRef<Path>) -> Result<Tensor> {
    read_with(path, &ReadOptions::new())
}

/// [`read`] with options.
pub fn read_with(path: impl AsRef<Path>, options: &ReadOptions) -> Result<Tensor> {
    options.read(path.as_ref())?.into_tensor()
}

/// Decodes the bytes of an image file as [`read`] does; `name` stands for the path in errors.
///
/// ```
/// # use tealight::data::image;
/// let image = image::from_bytes("tiny.pgm", b"P2 2 1 255 7 9\n")?;
/// assert_eq!(image.to_vec3::<u8>()?, [[[7], [9]]]);
/// # Ok::<(), tealight::Error>(())
/// ```
#[doc(alias = "decode_image")]
pub fn from_bytes(name: impl AsRef<Path>, bytes: &[u8]) -> Result<Tensor> {
    from_bytes_with(name, bytes, &ReadOptions::new())
}

/// [`from_bytes`] with options.
pub fn from_bytes_with(name: impl AsRef<Path>, bytes: &[u8], options: &ReadOptions) -> Result<Tensor> {
    options.decode(name.as_ref(), bytes)?.into_tensor()
}

/// Converts u8 to f32 from 0 to 1, in any shape, which stays: PyTorch's `ToTensor` also puts the channels first.
/// [`write_png`](super::write_png) converts back without loss.
///
/// ```
/// # use tealight::prelude::*;
/// let bytes = Tensor::new(&[0u8, 51, 255], &Device::Cpu)?;
/// assert_eq!(tealight::data::image::to_float(&bytes)?.to_vec1::<f32>()?, [0.0, 0.2, 1.0]);
/// # Ok::<(), tealight::Error>(())
/// ```
#[doc(alias = "ToDtype")]
#[doc(alias = "convert_image_dtype")]
pub fn to_float(image: &Tensor) -> Result<Tensor> {
    if image.dtype() != DType::U8 {
        return Err(Error::dtype("to_float", "an image of u8", &[image.dtype()]));
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
        // On white: (5·0 + 255·255 + 127) / 255, (6·9 + 255·246 + 127) / 255.
        assert_eq!(read_as(2, &two, &grey), (1, vec![255, 246]));
        assert_eq!(read_as(2, &two, &rgb), (3, vec![255, 255, 255, 246, 246, 246]));
        let red = [255, 0, 0];
        assert_eq!(read_as(2, &two, &rgb.clone().background(red)), (3, vec![255, 0, 0, 246, 0, 0]));
        assert_eq!(read_as(2, &two, &ReadOptions::new().background(red)), (1, vec![76, 74]));
        assert_eq!(read_as(2, &two, &rgb.clone().without_alpha()), (3, vec![5, 5, 5, 6, 6, 6]));
        assert_eq!(read_as(3, &three, &ReadOptions::new().background(red)), (3, three.to_vec()));
        assert_eq!(read_as(2, &two, &opaque), (1, one.to_vec()));
        // As Pillow: convert("L").
        assert_eq!(read_as(3, &three, &grey), (1, vec![76, 18]));
        assert_eq!(read_as(3, &three, &opaque), (3, three.to_vec()));
        let clear = [255, 255, 255, 10, 20, 30];
        assert_eq!(read_as(4, &four, &grey), (1, vec![255, 18]));
        assert_eq!(read_as(4, &four, &rgb), (3, clear.to_vec()));
        assert_eq!(read_as(4, &four, &grey.clone().without_alpha()), (1, vec![76, 18]));
        assert_eq!(read_as(4, &four, &opaque), (3, three.to_vec()));
        assert_eq!(read_as(4, &four, &ReadOptions::new()), (4, four.to_vec()));
    }

    #[test]
    fn missing_files_are_named() {
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
