//! Writes images as PNG files.

use std::path::Path;

use image::codecs::png::PngEncoder;
use image::{ExtendedColorType, ImageEncoder};

use super::decode::MAX_SIDE;
use super::pixels::{Pixels, dims};
use crate::autograd::Tensor;
use crate::autograd::array::numbers;
use crate::error::{Error, Result};
use crate::file::{file_error, write_atomically};

/// Writes an image (h, w) or (h, w, c) as a PNG file: u8, or floats from 0 to 1, which are rounded to the nearest of 256 steps.
///
/// The file is replaced when the new one is complete, so a full disk leaves the old one.
///
/// # Errors
/// Errors if a float is outside [0, 1] or NaN, integers are not u8, the image is empty or has more than [`MAX_SIDE`] pixels a side,
/// or the file cannot be written.
///
/// ```
/// # use tealight::data::image::{read, write_png};
/// # use tealight::prelude::*;
/// # let file = std::env::temp_dir().join("tealight-doc-write.png");
/// write_png(&file, &Tensor::new(&[[0_f32, 0.5, 1.0]], &Device::Cpu)?)?;
/// assert_eq!(read(&file)?.to_vec3::<u8>()?, [[[0], [128], [255]]]);
/// # std::fs::remove_file(file).ok();
/// # Ok::<(), tealight::Error>(())
/// ```
#[doc(alias = "imwrite")]
#[doc(alias = "save")]
pub fn write_png(path: impl AsRef<Path>, image: &Tensor) -> Result<()> {
    let path = path.as_ref();
    let Pixels { height, width, channels, bytes } = to_pixels(image)?;
    if height.max(width) > MAX_SIDE {
        let expected = format!("sides of at most {MAX_SIDE} pixels");
        return Err(Error::argument("write_png", expected, format!("{height} × {width}")));
    }
    let color = match channels {
        1 => ExtendedColorType::L8,
        2 => ExtendedColorType::La8,
        3 => ExtendedColorType::Rgb8,
        _ => ExtendedColorType::Rgba8,
    };
    let mut png = Vec::new();
    PngEncoder::new(&mut png)
        .write_image(&bytes, width as u32, height as u32, color)
        .map_err(|error| file_error(path, format!("expected an image that PNG can hold, got: {error}")))?;
    write_atomically(path, &png)
}

fn to_pixels(image: &Tensor) -> Result<Pixels> {
    if !image.dtype().is_float() {
        return Pixels::from_tensor("write_png", image);
    }
    let (height, width, channels) = dims("write_png", image)?;
    let byte = |x: f64| match x {
        x if (0.0..=1.0).contains(&x) => Ok((x * 255.0).round() as u8),
        x => Err(Error::argument("write_png", "floats from 0 to 1", x)),
    };
    let bytes = numbers(image.array())?.iter().map(|&x| byte(x)).collect::<Result<_>>()?;
    Ok(Pixels { height, width, channels, bytes })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::image::{read, to_float};
    use crate::prelude::*;

    #[test]
    fn round_trip() -> Result<()> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.png");
        for channels in 1..=4 {
            let image = Tensor::arange(0u32, 256 * channels as u32, &Device::Cpu)?;
            let image = image.to_dtype(DType::U8)?.reshape((16, 16, channels))?;
            let bytes = image.flatten(0, -1)?.to_vec1::<u8>()?;
            for image in [&image, &to_float(&image)?] {
                write_png(&path, image)?;
                let back = read(&path)?;
                assert_eq!(back.dims(), image.dims());
                assert_eq!(back.flatten(0, -1)?.to_vec1::<u8>()?, bytes);
            }
            // A view that is not laid out row by row.
            let turned: Tensor = image.array().transpose(0, 1)?.into();
            write_png(&path, &turned)?;
            assert_eq!(read(&path)?.to_vec3::<u8>()?, turned.to_vec3::<u8>()?);
        }
        write_png(&path, &Tensor::new(&[[0.0, 0.5], [0.501, 1.0]], &Device::Cpu)?)?;
        assert_eq!(read(&path)?.to_vec3::<u8>()?, [[[0], [128]], [[128], [255]]]);
        Ok(())
    }

    #[test]
    fn values_and_shapes_that_do_not_fit() -> Result<()> {
        let cpu = &Device::Cpu;
        for (bad, named) in [(1.5, "1.5"), (-0.25, "-0.25"), (f64::NAN, "NaN"), (f64::INFINITY, "inf")] {
            let error = write_png("never.png", &Tensor::new(&[[0.0, bad]], cpu)?).unwrap_err();
            assert_eq!(error.to_string(), format!("write_png: expected floats from 0 to 1, got {named}"));
        }
        for shape in [&[3][..], &[2, 2, 5], &[0, 2], &[2, 0, 3], &[2, 2, 0], &[1, 2, 2, 3], &[]] {
            for dtype in [DType::U8, DType::F32] {
                let error = write_png("never.png", &Tensor::zeros(shape, dtype, cpu)?);
                assert!(matches!(error, Err(Error::Shape { .. })), "{shape:?} {error:?}");
            }
        }
        let error = write_png("never.png", &Tensor::zeros((2, 2), DType::U32, cpu)?);
        assert!(matches!(error, Err(Error::Dtype { .. })));
        let error = write_png("never.png", &Tensor::zeros((1, 32_769), DType::U8, cpu)?);
        assert!(matches!(error, Err(Error::Argument { .. })));
        let error = write_png("no/such/never.png", &Tensor::zeros((2, 2), DType::U8, cpu)?);
        assert!(matches!(error, Err(Error::File { .. })));
        assert!(!Path::new("never.png").exists());
        Ok(())
    }
}
