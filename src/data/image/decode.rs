//! Decodes images within limits.

use std::io::Cursor;
use std::path::Path;

use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder, ImageError, ImageFormat, ImageReader, Limits};

use super::jpeg;
use super::pixels::Pixels;
use crate::error::{Error, Result};
use crate::file::file_error;

/// The longest side of an image that is read or made, in pixels.
pub const MAX_SIDE: usize = 32_768;

/// The most bytes of a file, and of an image as decoded: 256 MiB, which is 89 megapixels in RGB. With what a decoder keeps
/// beside them, reading stays under 1.5 GiB.
pub const MAX_BYTES: usize = 256 << 20;

/// The image in the bytes of a file.
pub(super) fn decode(path: &Path, bytes: &[u8]) -> Result<Pixels> {
    if bytes.is_empty() {
        return Err(file_error(path, "expected an image, got an empty file"));
    }
    let format = image::guess_format(bytes).ok().filter(ImageFormat::reading_enabled).ok_or_else(|| {
        file_error(path, "expected a PNG, JPEG, BMP, GIF, WebP, TIFF or PNM image, got something else")
    })?;
    let explain = |error| match error {
        ImageError::Limits(_) => too_large(path, "a larger one"),
        error => {
            let name = format!("{format:?}").to_uppercase();
            file_error(path, format!("expected a readable image ({name}), got: {error}"))
        }
    };
    if format == ImageFormat::Jpeg && !jpeg::is_whole(bytes) {
        return Err(file_error(path, "expected a whole JPEG image, got one that is cut off"));
    }
    let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
    let mut limits = Limits::default();
    limits.max_image_width = Some(MAX_SIDE as u32);
    limits.max_image_height = Some(MAX_SIDE as u32);
    limits.max_alloc = Some(MAX_BYTES as u64);
    reader.limits(limits);
    let mut decoder = reader.into_decoder().map_err(explain)?;
    let (width, height) = decoder.dimensions();
    if width == 0 || height == 0 {
        return Err(file_error(path, format!("expected an image, got {width} × {height} pixels")));
    }
    // Some decoders ignore the limits.
    if decoder.total_bytes() > MAX_BYTES as u64 || width.max(height) as usize > MAX_SIDE {
        return Err(too_large(path, &format!("{width} × {height} pixels")));
    }
    // Damaged Exif data do not spoil the image.
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    let mut image = DynamicImage::from_decoder(decoder).map_err(explain)?;
    image.apply_orientation(orientation);
    let pixels = eight_bits(path, image)?;
    // A GIF is decoded with alpha, whether it has any or not.
    let opaque = |pixels: &Pixels| pixels.bytes.chunks_exact(4).all(|pixel| pixel[3] == u8::MAX);
    if format == ImageFormat::Gif && pixels.channels == 4 && opaque(&pixels) {
        return Ok(pixels.map(3, |pixel, out| out.extend_from_slice(&pixel[..3])));
    }
    Ok(pixels)
}

fn too_large(path: &Path, got: &str) -> Error {
    let mib = MAX_BYTES >> 20;
    file_error(
        path,
        format!("expected an image of at most {MAX_SIDE} × {MAX_SIDE} pixels and {mib} MiB, got {got}"),
    )
}

fn eight_bits(path: &Path, image: DynamicImage) -> Result<Pixels> {
    // 65535 is 255 × 257: the nearest of the 256 steps.
    let narrow = |wide: Vec<u16>| wide.into_iter().map(|v| ((u32::from(v) + 128) / 257) as u8).collect();
    let (width, height) = (image.width() as usize, image.height() as usize);
    let (channels, bytes) = match image {
        DynamicImage::ImageLuma8(buffer) => (1, buffer.into_raw()),
        DynamicImage::ImageLumaA8(buffer) => (2, buffer.into_raw()),
        DynamicImage::ImageRgb8(buffer) => (3, buffer.into_raw()),
        DynamicImage::ImageRgba8(buffer) => (4, buffer.into_raw()),
        DynamicImage::ImageLuma16(buffer) => (1, narrow(buffer.into_raw())),
        DynamicImage::ImageLumaA16(buffer) => (2, narrow(buffer.into_raw())),
        DynamicImage::ImageRgb16(buffer) => (3, narrow(buffer.into_raw())),
        DynamicImage::ImageRgba16(buffer) => (4, narrow(buffer.into_raw())),
        other => {
            let message = format!("expected 8 or 16 bits a channel, got {:?}", other.color());
            return Err(file_error(path, message));
        }
    };
    Ok(Pixels { height, width, channels, bytes })
}

#[cfg(test)]
mod tests {
    use image::{ExtendedColorType, ImageEncoder};

    use super::*;

    fn message(bytes: &[u8]) -> String {
        decode(Path::new("p"), bytes).unwrap_err().to_string()
    }

    fn encoded(image: &DynamicImage, format: ImageFormat) -> Vec<u8> {
        let mut bytes = Cursor::new(Vec::new());
        image.write_to(&mut bytes, format).unwrap();
        bytes.into_inner()
    }

    fn noise(width: u32, height: u32) -> image::RgbImage {
        image::RgbImage::from_fn(width, height, |x, y| {
            let v = (x * 7919 + y * 104_729).wrapping_mul(2_654_435);
            image::Rgb([(v >> 3) as u8, (v >> 9) as u8, (v >> 15) as u8])
        })
    }

    const FORMATS: [ImageFormat; 7] = [
        ImageFormat::Png,
        ImageFormat::Jpeg,
        ImageFormat::Bmp,
        ImageFormat::Gif,
        ImageFormat::WebP,
        ImageFormat::Tiff,
        ImageFormat::Pnm,
    ];

    #[test]
    fn a_file_that_is_cut_off_is_an_error() {
        let image = DynamicImage::ImageRgb8(noise(19, 17));
        for format in FORMATS {
            let bytes = encoded(&image, format);
            let whole = decode(Path::new("p"), &bytes).unwrap();
            assert_eq!((whole.height, whole.width, whole.channels), (17, 19, 3), "{format:?}");
            for length in 0..bytes.len() {
                // A format may end in bytes that no pixel needs.
                if let Ok(part) = decode(Path::new("p"), &bytes[..length]) {
                    assert!(part == whole && length + 16 > bytes.len(), "{format:?} {length}");
                }
            }
        }
    }

    #[test]
    fn damaged_files_never_panic() {
        let image = DynamicImage::ImageRgb8(noise(9, 8));
        for format in FORMATS {
            let bytes = encoded(&image, format);
            for place in 0..bytes.len() {
                for change in [0x00, 0x7F, 0xFF] {
                    let mut damaged = bytes.clone();
                    damaged[place] = change;
                    let _ = decode(Path::new("p"), &damaged);
                }
            }
        }
    }

    #[test]
    fn huge_images_are_refused_before_they_are_made() {
        let side = 100_000_u32;
        let mut png = b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR".to_vec();
        png.extend([side.to_be_bytes(), side.to_be_bytes()].concat());
        png.extend([8, 2, 0, 0, 0, 0x27, 0x30, 0x9C, 0x9F]);
        let mut bmp = b"BM\0\0\0\0\0\0\0\0\x36\0\0\0\x28\0\0\0".to_vec();
        bmp.extend([side.to_le_bytes(), side.to_le_bytes()].concat());
        bmp.extend([1, 0, 24, 0].iter().chain(&[0; 24]));
        let pnm = b"P6 100000 100000 255\n".to_vec();
        // Within the longest side, but 3 GiB.
        let area = b"P6 32768 32768 255\n".to_vec();
        for bytes in [png, bmp, pnm, area] {
            let message = message(&bytes);
            // The BMP decoder has a limit of its own.
            let limits = ["at most 32768 × 32768 pixels and 256 MiB", "Image too large"];
            assert!(limits.iter().any(|limit| message.contains(limit)), "{message}");
        }
    }

    #[test]
    fn files_that_are_no_image() {
        assert_eq!(message(b""), "p: expected an image, got an empty file");
        let expected = "p: expected a PNG, JPEG, BMP, GIF, WebP, TIFF or PNM image, got something else";
        assert_eq!(message(b"hello, world"), expected);
        assert_eq!(message(b"\0"), expected);
        assert!(message(b"P6 0 0 255\n").starts_with("p: expected a"));
        let float = DynamicImage::ImageRgb32F(image::Rgb32FImage::new(2, 2));
        assert_eq!(
            message(&encoded(&float, ImageFormat::Tiff)),
            "p: expected 8 or 16 bits a channel, got Rgb32F"
        );
    }

    #[test]
    fn sixteen_bits_become_the_nearest_eight() {
        let values = [0_u16, 128, 129, 257, 32_768, 65_406, 65_407, 65_535];
        let wide = image::ImageBuffer::<image::Luma<u16>, _>::from_raw(8, 1, values.to_vec()).unwrap();
        let bytes = encoded(&DynamicImage::ImageLuma16(wide), ImageFormat::Png);
        let pixels = decode(Path::new("p"), &bytes).unwrap();
        assert_eq!((pixels.channels, pixels.bytes), (1, vec![0, 0, 1, 1, 128, 254, 255, 255]));
        // Other ranges than whole bytes.
        let pixels = decode(Path::new("p"), b"P2 3 1 15\n0 1 15\n").unwrap();
        assert_eq!(pixels.bytes, [0, 17, 255]);
        let pixels = decode(Path::new("p"), b"P2 3 1 1000\n0 500 1000\n").unwrap();
        assert_eq!(pixels.bytes, [0, 128, 255]);
        let pixels = decode(Path::new("p"), b"P1 3 1\n0 1 0\n").unwrap();
        assert_eq!(pixels.bytes, [255, 0, 255]);
    }

    #[test]
    fn the_channels_of_the_file() {
        for (color, channels) in [
            (ExtendedColorType::L8, 1),
            (ExtendedColorType::La8, 2),
            (ExtendedColorType::Rgb8, 3),
            (ExtendedColorType::Rgba8, 4),
        ] {
            let data: Vec<u8> = (0..2 * 3 * channels as u8).map(|v| v * 9).collect();
            let mut bytes = Vec::new();
            let encoder = image::codecs::png::PngEncoder::new(&mut bytes);
            encoder.write_image(&data, 3, 2, color).unwrap();
            let pixels = decode(Path::new("p"), &bytes).unwrap();
            assert_eq!(pixels, Pixels { height: 2, width: 3, channels, bytes: data });
        }
    }

    #[test]
    fn photos_are_turned_the_way_they_were_taken() {
        // Exif with one entry: the orientation (0x112) is 6, a quarter turn clockwise.
        let exif = b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0";
        let mut bytes = Vec::new();
        let mut encoder = image::codecs::png::PngEncoder::new(&mut bytes);
        encoder.set_exif_metadata(exif.to_vec()).unwrap();
        encoder.write_image(&[1, 2, 3, 4, 5, 6], 3, 2, ExtendedColorType::L8).unwrap();
        let pixels = decode(Path::new("p"), &bytes).unwrap();
        assert_eq!((pixels.height, pixels.width, pixels.bytes), (3, 2, vec![4, 1, 5, 2, 6, 3]));
    }

    #[test]
    fn a_palette_is_looked_up() {
        let red = image::Frame::new(image::RgbaImage::from_pixel(2, 2, image::Rgba([255, 0, 0, 255])));
        let clear = image::Frame::new(image::RgbaImage::from_fn(2, 1, |x, _| match x {
            0 => image::Rgba([0, 0, 255, 255]),
            _ => image::Rgba([0, 0, 0, 0]),
        }));
        for (frame, channels, first) in [(red, 3, [255, 0, 0]), (clear, 4, [0, 0, 255])] {
            let mut bytes = Vec::new();
            image::codecs::gif::GifEncoder::new(&mut bytes).encode_frame(frame).unwrap();
            let pixels = decode(Path::new("p"), &bytes).unwrap();
            assert_eq!((pixels.channels, &pixels.bytes[..3]), (channels, &first[..]));
        }
    }
}
