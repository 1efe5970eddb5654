//! Resizes images.

use std::path::Path;

use rayon::prelude::*;

use super::decode::{MAX_BYTES, MAX_SIDE};
use super::pixels::Pixels;
use super::read::{ReadOptions, read_pixels};
use crate::autograd::Tensor;
use crate::error::{Error, Result};

/// Resizes an image of u8 to `height` × `width` pixels, whatever its proportions: (h, w, c) to (height, width, c), or (h, w) to
/// (height, width).
///
/// Each pixel is a weighted mean of those around its place, by Catmull and Rom's cubic, which is stretched when the image
/// shrinks (antialiasing): Pillow's `BICUBIC`. With 2 or 4 channels the last is alpha, and the colour of a transparent pixel has no weight.
///
/// Errors if the image is empty, a side is 0 or more than [`MAX_SIDE`], or the result has more than [`MAX_BYTES`].
///
/// ```
/// # use tealight::prelude::*;
/// # use tealight::data::image;
/// let image = Tensor::full(7u8, (2, 2, 3), &Device::Cpu)?;
/// assert_eq!(image::resize(&image, 5, 4)?.dims(), [5, 4, 3]);
/// # Ok::<(), tealight::Error>(())
/// ```
pub fn resize(image: &Tensor, height: usize, width: usize) -> Result<Tensor> {
    let pixels = Pixels::from_tensor("resize", image)?;
    let resized = resized(&pixels, height, width)?.into_tensor()?;
    if image.rank() == 2 { resized.squeeze(2) } else { Ok(resized) }
}

/// The bytes of an image in a file, resized; with `crop`, of the largest part in its centre that has the new proportions.
pub(in crate::data) fn read_resized(
    path: &Path,
    options: &ReadOptions,
    (height, width): (usize, usize),
    crop: bool,
) -> Result<Vec<u8>> {
    let image = read_pixels(path, options)?;
    let image = if crop { center_crop(&image, height, width) } else { image };
    Ok(resized(&image, height, width)?.bytes)
}

/// The largest part in the centre of an image that has the proportions of height × width, to a pixel.
fn center_crop(image: &Pixels, height: usize, width: usize) -> Pixels {
    let scaled = |side: usize, part: usize, whole: usize| {
        let scaled = (side as f64 * part as f64 / whole as f64).round() as usize;
        scaled.max(1)
    };
    let h = image.height.min(scaled(image.width, height, width));
    let w = image.width.min(scaled(image.height, width, height));
    let (top, left) = ((image.height - h) / 2, (image.width - w) / 2);
    let rows = image.bytes.chunks_exact(image.width * image.channels).skip(top).take(h);
    let columns = left * image.channels..(left + w) * image.channels;
    Pixels {
        height: h,
        width: w,
        channels: image.channels,
        bytes: rows.flat_map(|row| &row[columns.clone()]).copied().collect(),
    }
}

fn resized(image: &Pixels, height: usize, width: usize) -> Result<Pixels> {
    let channels = image.channels;
    let sides = 1..=MAX_SIDE;
    // The sides are checked first, so the product cannot overflow.
    if !(sides.contains(&height) && sides.contains(&width)) || height * width * channels > MAX_BYTES {
        let expected = format!("sides from 1 to {MAX_SIDE} and at most {} MiB", MAX_BYTES >> 20);
        return Err(Error::argument("resize", expected, format!("{height} × {width}")));
    }
    if (image.height, image.width) == (height, width) {
        return Ok(image.clone());
    }
    let (rows, columns) = (weights(image.height, height), weights(image.width, width));
    let mut bytes = vec![0; height * width * channels];
    bytes.par_chunks_mut(width * channels).zip(&rows).for_each(|(out, row)| {
        let narrow = blend_rows(image, row);
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

/// The pixels along one axis that a pixel of the result is a weighted sum of.
struct Window {
    start: usize,
    weights: Vec<f32>,
}

fn weights(from: usize, to: usize) -> Vec<Window> {
    let scale = from as f64 / to as f64;
    let stretch = scale.max(1.0);
    let window = |i: usize| {
        let centre = (i as f64 + 0.5) * scale;
        let start = (centre - 2.0 * stretch).floor().max(0.0) as usize;
        let end = ((centre + 2.0 * stretch).ceil() as usize).min(from);
        let weights: Vec<f64> = (start..end).map(|j| cubic((j as f64 + 0.5 - centre) / stretch)).collect();
        let sum: f64 = weights.iter().sum();
        Window { start, weights: weights.iter().map(|w| (w / sum) as f32).collect() }
    };
    (0..to).map(window).collect()
}

fn cubic(x: f64) -> f64 {
    match x.abs() {
        x if x < 1.0 => (1.5 * x - 2.5) * x * x + 1.0,
        x if x < 2.0 => ((-0.5 * x + 2.5) * x - 4.0) * x + 2.0,
        _ => 0.0,
    }
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
    fn as_pillow_does() -> Result<()> {
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
        assert_eq!(resized(&alpha, 2, 2)?.bytes, [54, 216, 249, 40, 191, 137, 233, 117]);
        Ok(())
    }

    fn check(image: &Pixels, height: usize, width: usize, golden: &[u8]) {
        let bytes = resized(image, height, width).unwrap().bytes;
        assert_eq!(bytes.len(), golden.len());
        let near = |(a, b): (&u8, &u8)| a.abs_diff(*b) <= 1;
        assert!(bytes.iter().zip(golden).all(near), "{height} × {width}: {bytes:?}");
    }

    #[test]
    fn uniform_images_stay_uniform() -> Result<()> {
        for channels in 1..=4 {
            let flat = Tensor::full(200u8, (7, 5, channels), &Device::Cpu)?;
            for (height, width) in [(1, 1), (3, 9), (7, 5), (20, 2)] {
                let bytes = Pixels::from_tensor("test", &resize(&flat, height, width)?)?.bytes;
                assert!(bytes.iter().all(|&x| x == 200), "{channels} {height} {width} {bytes:?}");
            }
        }
        Ok(())
    }

    #[test]
    fn transparent_pixels_have_no_weight() -> Result<()> {
        // A white pixel, and a transparent red one.
        let image = pixels(1, 2, 4, &[255, 255, 255, 255, 255, 0, 0, 0]);
        assert_eq!(resized(&image, 1, 1)?.bytes, [255, 255, 255, 128]);
        let nothing = pixels(2, 2, 2, &[9, 0, 9, 0, 9, 0, 9, 0]);
        assert_eq!(resized(&nothing, 1, 1)?.bytes, [0, 0]);
        Ok(())
    }

    #[test]
    fn center_crops() {
        let bytes: Vec<u8> = (0..15).collect();
        let image = pixels(3, 5, 1, &bytes);
        assert_eq!(center_crop(&image, 2, 2), pixels(3, 3, 1, &[1, 2, 3, 6, 7, 8, 11, 12, 13]));
        assert_eq!(center_crop(&image, 1, 5), pixels(1, 5, 1, &[5, 6, 7, 8, 9]));
        assert_eq!(center_crop(&image, 1000, 1), pixels(3, 1, 1, &[2, 7, 12]));
        assert_eq!(center_crop(&image, 6, 10), image);
        for (height, width) in [(0, 0), (0, 3), (3, 0), (usize::MAX, 1), (1, usize::MAX)] {
            center_crop(&image, height, width);
        }
        let colours = pixels(2, 4, 2, &(0..16).collect::<Vec<u8>>());
        assert_eq!(center_crop(&colours, 1, 1).bytes, [2, 3, 4, 5, 10, 11, 12, 13]);
    }

    #[test]
    fn arguments() -> Result<()> {
        let image = Tensor::zeros((2, 3), DType::U8, &Device::Cpu)?;
        assert_eq!(resize(&image, 4, 1)?.dims(), [4, 1]);
        for (height, width) in [(0, 1), (1, 0), (1, 32_769), (usize::MAX, usize::MAX), (32_768, 32_768)] {
            assert!(matches!(resize(&image, height, width), Err(Error::Argument { .. })));
        }
        let empty = Tensor::zeros((0, 3, 1), DType::U8, &Device::Cpu)?;
        assert!(matches!(resize(&empty, 1, 1), Err(Error::Shape { .. })));
        assert!(matches!(
            resize(&Tensor::zeros((2, 2, 5), DType::U8, &Device::Cpu)?, 1, 1),
            Err(Error::Shape { .. })
        ));
        assert!(matches!(resize(&image.to_dtype(DType::F32)?, 1, 1), Err(Error::Dtype { .. })));
        Ok(())
    }
}
