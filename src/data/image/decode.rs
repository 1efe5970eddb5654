//! Decodes images within limits.

use std::io::Cursor;
use std::path::Path;

use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder, ImageError, ImageFormat, ImageReader, Limits};

use super::jpeg;
use super::pixels::Pixels;
use crate::error::Result;
use crate::file::{file_error, kind_of};

/// The longest side of an image that is read or made, in pixels.
pub const MAX_SIDE: usize = 32_768;

/// The most bytes of a file, and of an image as decoded, unless [`ReadOptions::max_bytes`](super::ReadOptions::max_bytes) says
/// otherwise: 256 MiB, which is 89 megapixels in RGB. With what a decoder keeps beside them, reading stays under 1.5 GiB.
pub const MAX_BYTES: usize = 256 << 20;

/// The chunk that ends a PNG.
const IEND: &[u8] = b"\0\0\0\0IEND\xae\x42\x60\x82";

/// The image in the bytes of a file, of at most `max_bytes` as decoded, turned as its Exif data say if `turn`, and a
/// TIFF always.
pub(super) fn decode(path: &Path, bytes: &[u8], max_bytes: usize, turn: bool) -> Result<Pixels> {
    if bytes.is_empty() {
        return Err(file_error(path, "expected an image, got an empty file"));
    }
    let format = format(bytes).map_err(|got| {
        let expected = "expected a PNG, JPEG, BMP, GIF, WebP, TIFF or PNM image";
        file_error(path, format!("{expected}, got {got}"))
    })?;
    let too_large = |got: &str| {
        let mib = max_bytes >> 20;
        let expected = format!("expected an image of at most {MAX_SIDE} × {MAX_SIDE} pixels and {mib} MiB");
        file_error(path, format!("{expected}, got {got}"))
    };
    let explain = |error| match error {
        ImageError::Limits(_) => too_large("a larger one"),
        ImageError::Unsupported(error) => {
            let expected = "expected an image that is grey or RGB, of at most 16 bits a channel";
            file_error(path, format!("{expected}, got: {error}; convert it to PNG"))
        }
        error => {
            let name = format!("{format:?}").to_uppercase();
            file_error(path, format!("expected a readable image ({name}), got: {error}"))
        }
    };
    if format == ImageFormat::Jpeg && !jpeg::is_whole(bytes) {
        return Err(file_error(path, "expected a whole JPEG image, got one that is cut off"));
    }
    // All pixels may be there without the last chunk.
    let ended = (format == ImageFormat::Png && lacks_end(bytes)).then(|| [bytes, IEND].concat());
    let mut reader = ImageReader::with_format(Cursor::new(ended.as_deref().unwrap_or(bytes)), format);
    let mut limits = Limits::default();
    limits.max_image_width = Some(MAX_SIDE as u32);
    limits.max_image_height = Some(MAX_SIDE as u32);
    limits.max_alloc = Some(max_bytes as u64);
    reader.limits(limits);
    let mut decoder = reader.into_decoder().map_err(explain)?;
    let (width, height) = decoder.dimensions();
    if width == 0 || height == 0 {
        return Err(file_error(path, format!("expected an image, got {width} × {height} pixels")));
    }
    // Some decoders ignore the limits.
    if decoder.total_bytes() > max_bytes as u64 || width.max(height) as usize > MAX_SIDE {
        return Err(too_large(&format!("{width} × {height} pixels")));
    }
    // Damaged Exif data do not spoil the image.
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    let mut image = DynamicImage::from_decoder(decoder).map_err(explain)?;
    // The orientation of a TIFF is no Exif: Pillow turns it, too.
    if turn || format == ImageFormat::Tiff {
        image.apply_orientation(orientation);
    }
    let pixels = eight_bits(path, image)?;
    // A GIF is decoded with alpha, whether it has any or not.
    let opaque = |pixels: &Pixels| pixels.bytes.chunks_exact(4).all(|pixel| pixel[3] == u8::MAX);
    if format == ImageFormat::Gif && pixels.channels == 4 && opaque(&pixels) {
        return Ok(pixels.map(3, |pixel, out| out.extend_from_slice(&pixel[..3])));
    }
    Ok(pixels)
}

/// Whether a PNG ends after a chunk that is not the last.
fn lacks_end(bytes: &[u8]) -> bool {
    let mut rest = bytes.get(8..).unwrap_or(bytes);
    while let Some((length, after)) = rest.split_first_chunk() {
        let length = u32::from_be_bytes(*length) as usize;
        let next = after.get(length.saturating_add(8)..);
        match next.filter(|_| !after.starts_with(b"IEND")) {
            Some(next) => rest = next,
            None => return false,
        }
    }
    rest.is_empty()
}

/// The format of an image by its first bytes, or what else they are.
fn format(bytes: &[u8]) -> Result<ImageFormat, &'static str> {
    if let Some(format) = image::guess_format(bytes).ok().filter(ImageFormat::reading_enabled) {
        return Ok(format);
    }
    match bytes {
        // BigTIFF.
        [b'I', b'I', 43, 0, ..] | [b'M', b'M', 0, 43, ..] => Ok(ImageFormat::Tiff),
        // The brand of an ISO media file.
        [_, _, _, _, b'f', b't', b'y', b'p', brand @ ..] => Err(match brand.first_chunk() {
            Some(b"avif" | b"avis") => "an AVIF image: convert it to PNG or JPEG",
            Some(b"heic" | b"heix" | b"heim" | b"heis" | b"hevc" | b"hevx" | b"mif1" | b"msf1") => {
                "a HEIC image: convert it to JPEG, or set the phone to save JPEG"
            }
            _ => "a film",
        }),
        _ => Err(kind_of(bytes).unwrap_or("something else")),
    }
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

    fn decode(path: &Path, bytes: &[u8]) -> Result<Pixels> {
        super::decode(path, bytes, MAX_BYTES, true)
    }

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
    fn tiffs() {
        // A row of two pixels, 10 and 200: the fields are the width, the height, bits, compression, photometric interpretation, …
        let tiff = |photometric, orientation| {
            let fields = [
                (256, 2),
                (257, 1),
                (258, 8),
                (259, 1),
                (262, photometric),
                (273, 134),
                (274, orientation),
                (277, 1),
                (278, 1),
                (279, 2),
            ];
            let mut bytes = b"II*\0\x08\0\0\0\x0a\0".to_vec();
            for (tag, value) in fields {
                bytes.extend([tag, 3, 1, 0, value, 0].map(u16::to_le_bytes).as_flattened());
            }
            [&bytes, &[0; 4][..], &[10, 200]].concat()
        };
        // Pillow 13 turns a TIFF, whether exif_transpose is called or not.
        for turn in [false, true] {
            for (orientation, bytes) in
                [(1, [10, 200]), (2, [200, 10]), (3, [200, 10]), (4, [10, 200]), (6, [10, 200])]
            {
                let pixels = super::decode(Path::new("p"), &tiff(1, orientation), MAX_BYTES, turn).unwrap();
                assert_eq!(
                    (pixels.bytes, pixels.height),
                    (bytes.to_vec(), if orientation == 6 { 2 } else { 1 })
                );
            }
        }
        let palette = message(&tiff(3, 1));
        assert!(
            palette.starts_with("p: expected an image that is grey or RGB, of at most 16 bits"),
            "{palette}"
        );
    }

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
        let expected = "p: expected a PNG, JPEG, BMP, GIF, WebP, TIFF or PNM image, got";
        assert_eq!(message(b"hello, world"), format!("{expected} a text file"));
        assert_eq!(message(b"%PDF-1.7\n"), format!("{expected} a PDF document"));
        assert_eq!(message(b"\0"), format!("{expected} something else"));
        for (brand, named) in [(b"avif", "an AVIF image"), (b"heic", "a HEIC image"), (b"mp42", "a film")] {
            let bytes = [b"\0\0\0\x1cftyp", &brand[..], b"\0\0\0\0mif1miaf"].concat();
            let expected = format!("{expected} {named}");
            assert!(message(&bytes).starts_with(&expected), "{}", message(&bytes));
        }
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
        let pixels = super::decode(Path::new("p"), &bytes, 6, false).unwrap();
        assert_eq!((pixels.height, pixels.width, pixels.bytes), (2, 3, vec![1, 2, 3, 4, 5, 6]));
        let error = super::decode(Path::new("p"), &bytes, 5, false).unwrap_err().to_string();
        assert!(error.ends_with("pixels and 0 MiB, got 3 × 2 pixels"), "{error}");
    }

    #[test]
    fn big_tiff_and_png_without_its_end() {
        // A TIFF of one grey row with 64-bit offsets: 7 entries of tag, type, count, value.
        let mut tiff = b"II\x2b\0\x08\0\0\0\x10\0\0\0\0\0\0\0".to_vec();
        let entries = [(256, 3), (257, 1), (258, 8), (259, 1), (262, 1), (273, 172), (278, 1), (279, 3)];
        tiff.extend((entries.len() as u64).to_le_bytes());
        for (tag, value) in entries {
            tiff.extend([tag as u16, 3].iter().flat_map(|x| x.to_le_bytes()));
            tiff.extend(
                [1, value as u64 + if tag == 273 { 20 } else { 0 }].iter().flat_map(|x| x.to_le_bytes()),
            );
        }
        tiff.extend([0; 8]);
        tiff.extend([7, 8, 9]);
        assert_eq!(decode(Path::new("p"), &tiff).unwrap().bytes, [7, 8, 9]);
        let png = encoded(&DynamicImage::ImageRgb8(noise(19, 17)), ImageFormat::Png);
        assert!(png.ends_with(IEND));
        let cut = &png[..png.len() - IEND.len()];
        assert_eq!(decode(Path::new("p"), cut).unwrap(), decode(Path::new("p"), &png).unwrap());
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
