//! Resizes and crops images.

use super::decode::{MAX_BYTES, MAX_SIDE};
use super::pixels::Pixels;
use super::read::grey;
use crate::autograd::Tensor;
use crate::error::{Error, Result};
use crate::kernel;

/// The filter of [`resize`]. Each is stretched when the image shrinks (PyTorch's `antialias=True`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
#[doc(alias = "InterpolationMode")]
pub enum Interpolation {
    /// A weighted mean of the nearest pixels, two along each axis: torchvision's default.
    #[default]
    Bilinear,
    /// Catmull and Rom's cubic, four along each axis: sharper, and overshoots at edges.
    Bicubic,
}

impl Interpolation {
    /// How far the filter reaches, in pixels.
    fn reach(self) -> f64 {
        match self {
            Interpolation::Bilinear => 1.0,
            Interpolation::Bicubic => 2.0,
        }
    }

    fn weight(self, x: f64) -> f64 {
        match (self, x.abs()) {
            (Interpolation::Bilinear, x) => (1.0 - x).max(0.0),
            (Interpolation::Bicubic, x) if x < 1.0 => (1.5 * x - 2.5) * x * x + 1.0,
            (Interpolation::Bicubic, x) if x < 2.0 => ((-0.5 * x + 2.5) * x - 4.0) * x + 2.0,
            _ => 0.0,
        }
    }
}

/// The size that [`resize`] makes: `256` is the shorter side, with the proportions kept, `(height, width)` both sides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Size {
    /// The shorter side; the longer one is rounded down.
    ShorterSide(usize),
    /// The height and the width, whatever the proportions.
    Exact(usize, usize),
}

impl From<usize> for Size {
    fn from(side: usize) -> Self {
        Size::ShorterSide(side)
    }
}

impl From<(usize, usize)> for Size {
    fn from((height, width): (usize, usize)) -> Self {
        Size::Exact(height, width)
    }
}

impl Size {
    /// The height and width of an image of these sides after resizing.
    fn of(self, height: usize, width: usize) -> (usize, usize) {
        let long = |side: usize, short, long| (side as f64 * long as f64 / short as f64) as usize;
        match self {
            Size::Exact(height, width) => (height, width),
            Size::ShorterSide(side) if height < width => (side, long(side, height, width)),
            Size::ShorterSide(side) => (long(side, width, height), side),
        }
    }
}

/// Resizes an image of u8, as torchvision's `Resize` with `antialias=True`: (h, w, c) to (h′, w′, c), or (h, w) to (h′, w′).
///
/// The result is that of torchvision on float images, rounded once. On images of u8, Pillow and torchvision's v2 round and clip
/// after the first axis, too: within 1 of these with [`Interpolation::Bilinear`], up to 30 away at edges of black and white
/// with [`Interpolation::Bicubic`]. With 2 or 4 channels the last is alpha, and the colour of a transparent pixel has no weight.
///
/// Errors if the image is empty, a side is 0 or more than [`MAX_SIDE`], or the result has more than [`MAX_BYTES`].
///
/// ```
/// # use tealight::prelude::*;
/// use tealight::data::image::{Interpolation, center_crop, resize};
/// let photo = Tensor::full(7u8, (300, 400, 3), &Device::Cpu)?;
/// let small = resize(&photo, 256, Interpolation::Bilinear)?;
/// assert_eq!(small.dims(), [256, 341, 3]);
/// assert_eq!(center_crop(&small, 224, 224)?.dims(), [224, 224, 3]);
/// assert_eq!(resize(&photo, (32, 32), Interpolation::Bicubic)?.dims(), [32, 32, 3]);
/// # Ok::<(), tealight::Error>(())
/// ```
#[doc(alias = "Resize")]
pub fn resize(image: &Tensor, size: impl Into<Size>, interpolation: Interpolation) -> Result<Tensor> {
    let resized = Pixels::from_tensor("resize", image)?.resized(size.into(), interpolation)?.into_tensor()?;
    if image.rank() == 2 { resized.squeeze(2) } else { Ok(resized) }
}

/// The centre of an image of u8, as torchvision's `CenterCrop`: (h, w, c) to (height, width, c), or (h, w) to (height, width).
/// A smaller image gets zeros around it.
///
/// Errors if the image is empty, a side is 0 or more than [`MAX_SIDE`], or the result has more than [`MAX_BYTES`].
#[doc(alias = "CenterCrop")]
pub fn center_crop(image: &Tensor, height: usize, width: usize) -> Result<Tensor> {
    let cropped = Pixels::from_tensor("center_crop", image)?.center_cropped(height, width)?.into_tensor()?;
    if image.rank() == 2 { cropped.squeeze(2) } else { Ok(cropped) }
}

/// How an image comes to a height and a width.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::data) enum Fit {
    /// Resized to them.
    Stretch,
    /// The largest part in the centre that has the proportions, resized.
    AspectRatio,
    /// Resized to fit into them, in the centre of a background.
    Pad,
    /// Resized to this size, then the centre.
    CenterCrop(Size),
}

impl Pixels {
    pub(in crate::data) fn fitted(
        &self,
        (height, width): (usize, usize),
        fit: Fit,
        filter: Interpolation,
        background: [u8; 3],
    ) -> Result<Pixels> {
        match fit {
            Fit::Stretch => self.resized(Size::Exact(height, width), filter),
            Fit::AspectRatio => {
                let scaled = |side: usize, part: usize, whole: usize| {
                    ((side as f64 * part as f64 / whole as f64) as usize).max(1)
                };
                let h = self.height.min(scaled(self.width, height, width));
                let w = self.width.min(scaled(self.height, width, height));
                let part = self.cut(((self.height - h) / 2) as isize, ((self.width - w) / 2) as isize, h, w);
                part.resized(Size::Exact(height, width), filter)
            }
            Fit::Pad => {
                check("resize", height, width, self.channels)?;
                let (h, w) = (self.height as f64, self.width as f64);
                // As Pillow rounds them.
                let side = |x: f64, most: usize| (x.round_ties_even() as usize).clamp(1, most);
                let wide = w / h > width as f64 / height as f64;
                let h1 = if wide { side(h / w * width as f64, height) } else { height };
                let w1 = if wide { width } else { side(w / h * height as f64, width) };
                let inner = self.resized(Size::Exact(h1, w1), filter)?;
                let start = |room: usize| (room as f64 / 2.0).round_ties_even() as usize;
                let (top, left, c) = (start(height - h1), start(width - w1), self.channels);
                let ground = if c == 1 { vec![grey(&background)] } else { background.to_vec() };
                let mut bytes = ground.repeat(height * width);
                for (row, from) in
                    bytes.chunks_exact_mut(width * c).skip(top).zip(inner.bytes.chunks_exact(w1 * c))
                {
                    row[left * c..(left + w1) * c].copy_from_slice(from);
                }
                Ok(Pixels { height, width, channels: c, bytes })
            }
            Fit::CenterCrop(size) => self.resized(size, filter)?.center_cropped(height, width),
        }
    }

    fn center_cropped(&self, height: usize, width: usize) -> Result<Pixels> {
        check("center_crop", height, width, self.channels)?;
        // Where the part begins: rounded to even inside the image, and down in what is padded.
        let start = |side: usize, part: usize| match side.checked_sub(part) {
            Some(rest) => (rest as f64 / 2.0).round_ties_even() as isize,
            None => -(((part - side) / 2) as isize),
        };
        Ok(self.cut(start(self.height, height), start(self.width, width), height, width))
    }

    /// A part, with zeros outside the image.
    fn cut(&self, top: isize, left: isize, height: usize, width: usize) -> Pixels {
        let mut bytes = vec![0; height * width * self.channels];
        let inside = |start: isize, i: usize, side: usize| {
            start.checked_add_unsigned(i).filter(|&i| (0..side as isize).contains(&i))
        };
        for (y, row) in bytes.chunks_exact_mut(width * self.channels).enumerate() {
            let Some(from) = inside(top, y, self.height) else { continue };
            for (x, pixel) in row.chunks_exact_mut(self.channels).enumerate() {
                if let Some(column) = inside(left, x, self.width) {
                    let at = (from as usize * self.width + column as usize) * self.channels;
                    pixel.copy_from_slice(&self.bytes[at..at + self.channels]);
                }
            }
        }
        Pixels { height, width, channels: self.channels, bytes }
    }

    fn resized(&self, size: Size, filter: Interpolation) -> Result<Pixels> {
        let channels = self.channels;
        let (height, width) = size.of(self.height, self.width);
        check("resize", height, width, channels)?;
        if (self.height, self.width) == (height, width) {
            return Ok(self.clone());
        }
        let (rows, columns) = (weights(self.height, height, filter), weights(self.width, width, filter));
        let mut bytes = vec![0; height * width * channels];
        kernel::parts(&mut bytes, width * channels, true, &|row, out| {
            let narrow = blend_rows(self, &rows[row]);
            for (pixel, column) in out.chunks_exact_mut(channels).zip(&columns) {
                let mut sum = [0.0; 4];
                let near = narrow[column.start * channels..].chunks_exact(channels);
                for (numbers, weight) in near.zip(&column.weights) {
                    sum.iter_mut().zip(numbers).for_each(|(sum, x)| *sum += weight * x);
                }
                if channels.is_multiple_of(2) {
                    let alpha = sum[channels - 1];
                    let scale = if alpha > 0.0 { 255.0 / alpha } else { 0.0 };
                    sum[..channels - 1].iter_mut().for_each(|x| *x *= scale);
                }
                pixel.iter_mut().zip(sum).for_each(|(byte, x)| *byte = x.round() as u8);
            }
        });
        Ok(Pixels { height, width, channels, bytes })
    }
}

fn check(op: &'static str, height: usize, width: usize, channels: usize) -> Result<()> {
    let sides = 1..=MAX_SIDE;
    // The sides are checked first, so the product cannot overflow.
    if !(sides.contains(&height) && sides.contains(&width)) || height * width * channels > MAX_BYTES {
        let expected = format!("sides from 1 to {MAX_SIDE} and at most {} MiB", MAX_BYTES >> 20);
        return Err(Error::argument(op, expected, format!("{height} × {width}")));
    }
    Ok(())
}

/// The pixels along one axis that a pixel of the result is a weighted sum of.
struct Window {
    start: usize,
    weights: Vec<f32>,
}

fn weights(from: usize, to: usize, filter: Interpolation) -> Vec<Window> {
    let scale = from as f64 / to as f64;
    let stretch = scale.max(1.0);
    let reach = filter.reach() * stretch;
    let window = |i: usize| {
        let centre = (i as f64 + 0.5) * scale;
        let start = (centre - reach).floor().max(0.0) as usize;
        let end = ((centre + reach).ceil() as usize).min(from);
        let weights: Vec<f64> =
            (start..end).map(|j| filter.weight((j as f64 + 0.5 - centre) / stretch)).collect();
        let sum: f64 = weights.iter().sum();
        Window { start, weights: weights.iter().map(|w| (w / sum) as f32).collect() }
    };
    (0..to).map(window).collect()
}

/// Planes of this height and width, resized.
pub(in crate::data) fn resized_planes(
    planes: &[f64],
    [height, width]: [usize; 2],
    [rows, columns]: [usize; 2],
    filter: Interpolation,
) -> Vec<f64> {
    let (rows, columns) = (weights(height, rows, filter), weights(width, columns, filter));
    let sum = |window: &Window, at: &dyn Fn(usize) -> f64| -> f64 {
        (window.start..).zip(&window.weights).map(|(i, &weight)| f64::from(weight) * at(i)).sum()
    };
    let mut resized = Vec::new();
    for plane in planes.chunks_exact(height * width) {
        for row in &rows {
            let narrow: Vec<f64> = (0..width).map(|x| sum(row, &|y| plane[y * width + x])).collect();
            resized.extend(columns.iter().map(|column| sum(column, &|x| narrow[x])));
        }
    }
    resized
}

/// A weighted sum of rows; colours are multiplied by alpha, if there is one.
fn blend_rows(image: &Pixels, window: &Window) -> Vec<f32> {
    let (channels, length) = (image.channels, image.width * image.channels);
    let mut sum = vec![0.0; length];
    let rows = image.bytes.chunks_exact(length).skip(window.start);
    for (row, weight) in rows.zip(&window.weights) {
        if channels % 2 == 1 {
            sum.iter_mut().zip(row).for_each(|(sum, &x)| *sum += weight * f32::from(x));
            continue;
        }
        for (sum, pixel) in sum.chunks_exact_mut(channels).zip(row.chunks_exact(channels)) {
            let alpha = f32::from(pixel[channels - 1]);
            sum.iter_mut().zip(pixel).for_each(|(sum, &x)| *sum += weight * f32::from(x) * (alpha / 255.0));
            sum[channels - 1] += weight * (alpha - alpha * (alpha / 255.0));
        }
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prelude::*;

    fn pixels(height: usize, width: usize, channels: usize, bytes: &[u8]) -> Pixels {
        Pixels { height, width, channels, bytes: bytes.to_vec() }
    }

    #[test]
    fn bicubic_as_pillow_does() -> Result<()> {
        // Image.frombytes("L", (4, 3), …).resize((w, h), BICUBIC) of Pillow 13, which rounds after each axis.
        let small = pixels(3, 4, 1, &[0, 50, 100, 150, 200, 250, 30, 60, 90, 120, 5, 255]);
        check(&small, 2, 2, &[96, 98, 137, 105]);
        check(&small, 2, 7, &[70, 91, 124, 102, 77, 99, 114, 134, 154, 177, 84, 14, 125, 197]);
        check(&small, 5, 3, &[0, 70, 149, 90, 102, 99, 225, 141, 40, 156, 88, 131, 95, 49, 198]);
        check(&small, 1, 1, &[110]);
        let bytes: Vec<u8> = (0..3600).map(|i| ((i * i * 37 + i * 11) % 256) as u8).collect();
        let golden =
            [132, 126, 125, 126, 126, 129, 124, 130, 126, 123, 129, 128, 129, 128, 126, 128, 124, 130];
        check(&pixels(30, 40, 3, &bytes), 2, 3, &golden);
        let alpha = pixels(2, 3, 2, &[10, 255, 200, 128, 90, 0, 40, 60, 250, 255, 120, 30]);
        // Pillow rounds the product of colour and alpha too, and has 248 and 231.
        assert_eq!(
            alpha.resized(Size::Exact(2, 2), Interpolation::Bicubic)?.bytes,
            [54, 216, 249, 40, 191, 137, 233, 117]
        );
        Ok(())
    }

    fn check(image: &Pixels, height: usize, width: usize, golden: &[u8]) {
        let bytes = image.resized(Size::Exact(height, width), Interpolation::Bicubic).unwrap().bytes;
        assert_eq!(bytes.len(), golden.len());
        let near = |(a, b): (&u8, &u8)| a.abs_diff(*b) <= 1;
        assert!(bytes.iter().zip(golden).all(near), "{height} × {width}: {bytes:?}");
    }

    #[test]
    fn uniform_images_stay_uniform() -> Result<()> {
        for channels in 1..=4 {
            let flat = Tensor::full(200u8, (7, 5, channels), &Device::Cpu)?;
            for size in [(1, 1), (3, 9), (7, 5), (20, 2)] {
                for filter in [Interpolation::Bilinear, Interpolation::Bicubic] {
                    let bytes = Pixels::from_tensor("test", &resize(&flat, size, filter)?)?.bytes;
                    assert!(bytes.iter().all(|&x| x == 200), "{channels} {size:?} {bytes:?}");
                }
            }
        }
        Ok(())
    }

    #[test]
    fn transparent_pixels_have_no_weight() -> Result<()> {
        // A white pixel, and a transparent red one.
        let image = pixels(1, 2, 4, &[255, 255, 255, 255, 255, 0, 0, 0]);
        assert_eq!(image.resized(Size::Exact(1, 1), Interpolation::Bicubic)?.bytes, [255, 255, 255, 128]);
        let nothing = pixels(2, 2, 2, &[9, 0, 9, 0, 9, 0, 9, 0]);
        assert_eq!(nothing.resized(Size::Exact(1, 1), Interpolation::Bilinear)?.bytes, [0, 0]);
        Ok(())
    }

    #[test]
    fn crops() {
        let bytes: Vec<u8> = (1..16).collect();
        let image = pixels(3, 5, 1, &bytes);
        // torchvision.transforms.functional.center_crop, whose halves are rounded to even.
        let centre = |height, width| image.center_cropped(height, width).unwrap().bytes;
        assert_eq!(centre(3, 3), [2, 3, 4, 7, 8, 9, 12, 13, 14]);
        assert_eq!(centre(2, 2), [3, 4, 8, 9]);
        assert_eq!(centre(4, 2), [3, 4, 8, 9, 13, 14, 0, 0]);
        assert_eq!(centre(1, 8), [0, 6, 7, 8, 9, 10, 0, 0]);
        // Keras's crop_to_aspect_ratio takes the part of 3 × 3 for 2 × 2, and that of 1 × 5 for 1 × 5.
        let fitted = |sides| image.fitted(sides, Fit::AspectRatio, Interpolation::Bilinear, [0; 3]).unwrap();
        assert_eq!(fitted((3, 3)).bytes, [2, 3, 4, 7, 8, 9, 12, 13, 14]);
        assert_eq!(fitted((1, 5)).bytes, [6, 7, 8, 9, 10]);
        assert_eq!(fitted((6, 10)).width, 10);
        for sides in [(0, 0), (0, 3), (3, 0), (usize::MAX, 1), (1, usize::MAX)] {
            for fit in [Fit::Stretch, Fit::AspectRatio, Fit::Pad, Fit::CenterCrop(Size::ShorterSide(4))] {
                assert!(
                    image.fitted(sides, fit, Interpolation::Bilinear, [0; 3]).is_err(),
                    "{sides:?} {fit:?}"
                );
            }
        }
        let colours = pixels(2, 4, 2, &(0..16).collect::<Vec<u8>>());
        assert_eq!(colours.center_cropped(2, 2).unwrap().bytes, [2, 3, 4, 5, 10, 11, 12, 13]);
    }

    #[test]
    fn the_shorter_side() {
        // torchvision.transforms.v2.functional.resize(image, size).
        for (height, width, side, expected) in [
            (300, 400, 256, (256, 341)),
            (400, 300, 256, (341, 256)),
            (7, 7, 3, (3, 3)),
            (1, 1000, 2, (2, 2000)),
            (3, 5, 4, (4, 6)),
        ] {
            assert_eq!(Size::from(side).of(height, width), expected);
        }
    }

    #[test]
    fn arguments() -> Result<()> {
        let image = Tensor::zeros((2, 3), DType::U8, &Device::Cpu)?;
        let resize = |image: &Tensor, size| resize(image, size, Interpolation::Bilinear);
        assert_eq!(resize(&image, Size::Exact(4, 1))?.dims(), [4, 1]);
        assert_eq!(center_crop(&image, 1, 2)?.dims(), [1, 2]);
        for (height, width) in [(0, 1), (1, 0), (1, 32_769), (usize::MAX, usize::MAX), (32_768, 32_768)] {
            assert!(matches!(resize(&image, (height, width).into()), Err(Error::Argument { .. })));
            assert!(matches!(center_crop(&image, height, width), Err(Error::Argument { .. })));
        }
        for side in [0, 32_768, usize::MAX] {
            assert!(matches!(resize(&image, side.into()), Err(Error::Argument { .. })));
        }
        let one = Size::Exact(1, 1);
        let empty = Tensor::zeros((0, 3, 1), DType::U8, &Device::Cpu)?;
        assert!(matches!(resize(&empty, one), Err(Error::Shape { .. })));
        assert!(matches!(
            resize(&Tensor::zeros((2, 2, 5), DType::U8, &Device::Cpu)?, one),
            Err(Error::Shape { .. })
        ));
        assert!(matches!(resize(&image.to_dtype(DType::F32)?, one), Err(Error::Dtype { .. })));
        Ok(())
    }
}
