//! [`image_grid`].

use std::path::Path;

use candle_core::Device;

use super::drawing::{Area, Drawing};
use super::text::{Letters, MIDDLE};
use super::{FRAME, INK, LABEL, Rgb, TICK, TITLE};
use crate::autograd::Tensor;
use crate::autograd::array::numbers;
use crate::data::image::{Interpolation, resize};
use crate::error::{Error, Result};

/// Small images are enlarged to about this many pixels; large ones are reduced to `LARGEST`.
const TILE: usize = 96;
const LARGEST: usize = 256;
/// The width of a row of images, and the most that a caption widens an image to.
const PAGE: f32 = 1040.0;
const CAPTION: f32 = 168.0;
const HIGHEST: usize = 16_384;
const ROOM: f32 = 20.0;
const GAP: f32 = 14.0;
const LINE: f32 = 18.0;

/// Plots images side by side, each with a caption.
///
/// Images are (n, h, w), or (n, h, w, c) or (n, c, h, w) with 1 channel for grey or 3 for RGB, with floats from 0 (black) to 1
/// (white). Where both would fit, the channels are the last axis. Small images are enlarged without smoothing. `captions` has one for each image, or none; a caption may have several lines.
///
/// # Errors
/// Errors if the images have another shape, dtype or range, the number of captions is not n or 0, or the plot would have more than
/// 16,384 rows of pixels.
///
/// ```
/// # use tealight::prelude::*;
/// # let path = std::env::temp_dir().join("tealight-doc-grid.svg");
/// let digits = tealight::data::digits()?;
/// let first = digits.inputs.narrow(0, 0, 4)?;
/// tealight::plot::image_grid(&path, "Digits", &first, &["zero", "one", "two", "three"])?;
/// assert!(std::fs::read_to_string(&path).unwrap().contains(">three</text>"));
/// # std::fs::remove_file(path).ok();
/// # Ok::<(), tealight::Error>(())
/// ```
pub fn image_grid<S: AsRef<str>>(
    path: impl AsRef<Path>,
    title: &str,
    images: &Tensor,
    captions: &[S],
) -> Result<()> {
    let (n, tiles, size) = tiles(images)?;
    if !captions.is_empty() && captions.len() != n {
        return Err(Error::argument("image_grid", format!("{n} captions, or none"), captions.len()));
    }
    let captions: Vec<Caption> =
        captions.iter().map(|caption| Caption { text: caption.as_ref(), color: None }).collect();
    lay_out(title, (n, tiles, size), &captions)?.save(path)
}

/// The text under an image, and the colour of it and of the frame of the image.
pub(super) struct Caption<'a> {
    pub(super) text: &'a str,
    pub(super) color: Option<Rgb>,
}

/// The plot of [`image_grid`].
pub(super) fn lay_out(
    title: &str,
    (n, tiles, [height, width]): Tiles,
    captions: &[Caption],
) -> Result<Drawing> {
    let lines = captions.iter().map(|caption| caption.text.lines().count()).max().unwrap_or(0);

    let letters = Letters::new();
    let longest = captions
        .iter()
        .flat_map(|caption| caption.text.lines())
        .map(|line| letters.width(line, TICK))
        .fold(0.0, f32::max)
        .min(CAPTION);
    let across = (width as f32).max(longest.ceil()) + GAP;
    let down = height as f32 + lines as f32 * LINE + GAP;
    // As many columns as fit, balanced so that the last row is about as long as the others.
    let fitting = (((PAGE - 2.0 * ROOM) / across) as usize).max(1);
    let columns = n.div_ceil(n.div_ceil(fitting).max(1)).max(1);
    let rows = n.div_ceil(columns);

    let top = TITLE + 2.0 * ROOM;
    let total = top + rows as f32 * down + ROOM;
    if total > HIGHEST as f32 {
        let most = ((HIGHEST as f32 - top - ROOM) / down) as usize * columns;
        return Err(Error::argument("image_grid", format!("at most {most} images of this size"), n));
    }
    let title = letters.fit(title, TITLE, PAGE - 2.0 * ROOM);
    let wide = (columns as f32 * across).max(letters.width(&title, TITLE)).max(200.0) + 2.0 * ROOM;
    let total = if n == 0 { total + 4.0 * ROOM } else { total };
    let mut drawing = Drawing::new(letters, wide, total);
    drawing.text(&title, TITLE, (wide / 2.0, top / 2.0), MIDDLE, INK);
    if n == 0 {
        drawing.text("no images to show", LABEL, (wide / 2.0, (top + total) / 2.0), MIDDLE, FRAME);
    }
    let start = (wide - columns as f32 * across) / 2.0;
    for (i, tile) in tiles.enumerate() {
        let middle = start + (i % columns) as f32 * across + across / 2.0;
        let left = (middle - width as f32 / 2.0).round();
        let above = (top + (i / columns) as f32 * down).round();
        let area = Area { left, top: above, right: left + width as f32, bottom: above + height as f32 };
        let (columns, pixels) = tile?;
        drawing.picture(area, columns, &pixels);
        let caption = captions.get(i);
        match caption.and_then(|caption| caption.color) {
            Some(color) => drawing.frame(area, 3.0, color),
            None => drawing.frame(area, 1.0, FRAME),
        }
        for (k, line) in caption.into_iter().flat_map(|caption| caption.text.lines()).enumerate() {
            let line = drawing.letters.fit(line, TICK, across - GAP / 2.0);
            let place = (middle, area.bottom + 3.0 + (k as f32 + 0.5) * LINE);
            drawing.text(
                &line,
                TICK,
                place,
                MIDDLE,
                caption.and_then(|caption| caption.color).unwrap_or(INK),
            );
        }
    }
    Ok(drawing)
}

/// The number of images, the width and the pixels of each, and the size at which it is shown.
pub(super) type Tiles<'a> = (usize, Box<dyn Iterator<Item = Result<(usize, Vec<Rgb>)>> + 'a>, [usize; 2]);

pub(super) fn tiles(images: &Tensor) -> Result<Tiles<'_>> {
    // The distances in memory of two pixels of a row, and of two channels.
    let (n, height, width, channels, [pixel, plane]) = match *images.dims() {
        [n, height, width] => (n, height, width, 1, [1, 1]),
        [n, height, width, channels @ (1 | 3)] => (n, height, width, channels, [channels, 1]),
        [n, channels @ (1 | 3), height, width] => (n, height, width, channels, [1, height * width]),
        _ => (1, 0, 0, 0, [0, 0]),
    };
    if n > 0 && (height == 0 || width == 0) {
        let expected = "images (n, h, w), or (n, h, w, c) or (n, c, h, w) with 1 or 3 channels, not empty";
        return Err(Error::shape("image_grid", expected, &[images.dims()]));
    }
    if !images.dtype().is_float() {
        return Err(Error::dtype(
            "image_grid",
            "images of floats (see data::image::to_float)",
            &[images.dtype()],
        ));
    }
    let numbers = numbers(images.array())?;
    if let Some(bad) = numbers.iter().find(|x| !(0.0..=1.0).contains(*x)) {
        return Err(Error::argument("image_grid", "numbers from 0 to 1", bad));
    }
    let side = height.max(width).max(1);
    let shown = match TILE / side {
        0 if side > LARGEST => [height, width].map(|x| (x * LARGEST / side).max(1)),
        factor => [height, width].map(|x| x * factor.max(1)),
    };
    let one = move |i: usize| {
        let size = height * width * channels;
        let image = &numbers[i * size..(i + 1) * size];
        let places = (0..size).map(|at| at / channels * pixel + at % channels * plane);
        let bytes: Vec<u8> = places.map(|place| (image[place] * 255.0).round() as u8).collect();
        let (width, bytes) = if shown[0] >= height {
            (width, bytes)
        } else {
            let image = Tensor::from_vec(bytes, (height, width, channels), &Device::Cpu)?;
            (
                shown[1],
                resize(&image, (shown[0], shown[1]), Interpolation::Bicubic)?.flatten(0, -1)?.to_vec1()?,
            )
        };
        let rgb = |p: &[u8]| std::array::from_fn(|i| p[i % channels]);
        Ok((width, bytes.chunks_exact(channels).map(rgb).collect()))
    };
    Ok((n, Box::new((0..n).map(one)), shown))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::image::read;
    use crate::prelude::*;

    fn drawn(images: &Tensor, captions: &[&str]) -> Result<Tensor> {
        let directory = tempfile::tempdir().unwrap();
        image_grid(directory.path().join("grid.png"), "A title", images, captions)?;
        read(directory.path().join("grid.png"))
    }

    #[test]
    fn pixels_become_squares() -> Result<()> {
        let image = Tensor::new(&[[[0.2, 0.4], [0.6, 0.8]]], &Device::Cpu)?;
        let picture = drawn(&image, &[])?.to_vec3::<u8>()?;
        let count = |value: u8| picture.iter().flatten().filter(|p| **p == [value; 3]).count();
        for value in [51, 102, 153, 204] {
            assert!((48 * 48..48 * 48 + 40).contains(&count(value)), "{value} {}", count(value));
        }
        Ok(())
    }

    #[test]
    fn all_kinds_of_images() -> Result<()> {
        let rng = &mut Rng::seed(1);
        for shape in
            [&[1, 1, 1][..], &[3, 1, 500], &[30, 28, 28], &[2, 300, 400, 3], &[5, 8, 8, 1], &[1, 2000, 1]]
        {
            let images = Tensor::rand(0.0, 1.0, shape, rng)?;
            let dims =
                drawn(&images, &vec!["one\ntwo, and a long line that is cut"; shape[0]])?.dims().to_vec();
            assert!(dims[0] < 1000 && dims[1] <= PAGE as usize, "{shape:?} {dims:?}");
            drawn(&images, &[])?;
        }
        for shape in [&[0, 8, 8][..], &[0, 0, 0], &[0, 8, 8, 3]] {
            drawn(&Tensor::zeros(shape, DType::F32, &Device::Cpu)?, &[])?;
        }
        Ok(())
    }

    #[test]
    fn invalid_images() -> Result<()> {
        let cpu = &Device::Cpu;
        for shape in [&[8, 8][..], &[1, 0, 8], &[1, 8, 8, 2], &[]] {
            let error = drawn(&Tensor::zeros(shape, DType::F32, cpu)?, &[]);
            assert!(matches!(error, Err(Error::Shape { .. })), "{shape:?}");
        }
        for bad in [1.5, -0.1, f64::NAN] {
            let error = drawn(&Tensor::full(bad, (1, 2, 2), cpu)?, &[]).unwrap_err();
            assert_eq!(error.to_string(), format!("image_grid: expected numbers from 0 to 1, got {bad}"));
        }
        let one = Tensor::zeros((1, 2, 2), DType::F32, cpu)?;
        let error = drawn(&one, &["a", "b"]).unwrap_err();
        assert_eq!(error.to_string(), "image_grid: expected 1 captions, or none, got 2");
        assert!(matches!(drawn(&one.to_dtype(DType::U8)?, &[]), Err(Error::Dtype { .. })));
        let many = Tensor::zeros((5000, 2, 2), DType::F32, cpu)?;
        assert!(matches!(drawn(&many, &[]), Err(Error::Argument { .. })));
        assert!(matches!(image_grid::<&str>("no/such/place.png", "", &one, &[]), Err(Error::File { .. })));
        Ok(())
    }
}
