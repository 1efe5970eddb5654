//! IDX files, the format of MNIST.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use candle_core::Device;

use crate::autograd::Tensor;
use crate::error::Result;
use crate::file::{file_error, kind_or, unreadable};

/// The most bytes of numbers: a small .gz file could unpack to any size.
const MAX_BYTES: usize = 4 << 30;

/// Reads the array in an IDX file, plain or compressed with gzip.
///
/// Bytes give u8, signed integers i64, floats f32 or f64.
///
/// # Errors
/// Errors if the file cannot be read, is damaged or of another format, has fewer or more bytes than its shape says or more than
/// 4 GiB, or is a .gz file and the feature `compress` is off.
///
/// # Source
/// Y. LeCun, C. Cortes, C. Burges, "The MNIST database", <http://yann.lecun.com/exdb/mnist>: two zeros, the type, the number
/// of axes, the length of each axis (big-endian, 32 bits), and the numbers (big-endian, in row-major order).
///
/// ```
/// # let path = std::env::temp_dir().join("tealight-doc.idx");
/// std::fs::write(&path, [0, 0, 8, 1, 0, 0, 0, 3, 7, 8, 9])?;
/// assert_eq!(tealight::data::read_idx(&path)?.to_vec1::<u8>()?, [7, 8, 9]);
/// # std::fs::remove_file(path).ok();
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn read_idx(path: impl AsRef<Path>) -> Result<Tensor> {
    let path = path.as_ref();
    let mut file = File::open(path).map_err(|error| unreadable(path, error))?;
    let mut start = Vec::new();
    file.by_ref().take(2).read_to_end(&mut start).map_err(|error| unreadable(path, error))?;
    let gzip = start == [0x1f, 0x8b];
    let whole = std::io::Cursor::new(start).chain(std::io::BufReader::new(file));
    match gzip {
        false => parse(path, whole),
        #[cfg(feature = "compress")]
        true => parse(path, flate2::read::MultiGzDecoder::new(whole)),
        #[cfg(not(feature = "compress"))]
        true => Err(file_error(path, "expected the feature `compress` of this crate, for a .gz file")),
    }
}

fn parse(path: &Path, mut file: impl Read) -> Result<Tensor> {
    let mut take = |count: usize| -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let read = file.by_ref().take(count as u64).read_to_end(&mut bytes);
        read.map_err(|error| file_error(path, format!("expected a whole file, got: {error}")))?;
        Ok(bytes)
    };
    let magic = take(4)?;
    let &[0, 0, kind @ (0x08 | 0x09 | 0x0b..=0x0e), rank] = &magic[..] else {
        let expected = "expected the beginning of an idx file (0, 0, type 8 to 14, number of axes)";
        let got = kind_or(&[&magic[..], &take(1 << 16)?].concat(), format!("{magic:?}"));
        return Err(file_error(path, format!("{expected}, got {got}")));
    };
    let lengths = take(4 * usize::from(rank))?;
    if lengths.len() < 4 * usize::from(rank) {
        let expected = format!("expected the lengths of {rank} axes at offset 4");
        return Err(file_error(path, format!("{expected}, got {} bytes", lengths.len())));
    }
    let shape: Vec<usize> =
        lengths.as_chunks().0.iter().map(|&length| u32::from_be_bytes(length) as usize).collect();
    let width = match kind {
        0x08 | 0x09 => 1,
        0x0b => 2,
        0x0c | 0x0d => 4,
        _ => 8,
    };
    let bytes = shape.iter().try_fold(width, |n: usize, &length| n.checked_mul(length));
    let Some(bytes) = bytes.filter(|&bytes| bytes <= MAX_BYTES) else {
        return Err(file_error(path, format!("expected at most 4 GiB of numbers, got the shape {shape:?}")));
    };
    // One byte more, to notice bytes that should not be there and to reach the checksum of a .gz file.
    let numbers = take(bytes + 1)?;
    if numbers.len() != bytes {
        let got = if numbers.len() > bytes { "more".into() } else { numbers.len().to_string() };
        let offset = 4 + lengths.len();
        let message =
            format!("expected {bytes} bytes from offset {offset} for the shape {shape:?}, got {got}");
        return Err(file_error(path, message));
    }

    macro_rules! tensor {
        ($from:ty, $to:ty) => {{
            let (words, _) = numbers.as_chunks::<{ size_of::<$from>() }>();
            let words = words.iter().map(|&word| <$from>::from_be_bytes(word) as $to).collect();
            Tensor::from_vec(words, shape, &Device::Cpu)
        }};
    }
    let tensor = match kind {
        0x08 => Tensor::from_vec(numbers, shape, &Device::Cpu),
        0x09 => tensor!(i8, i64),
        0x0b => tensor!(i16, i64),
        0x0c => tensor!(i32, i64),
        0x0d => tensor!(f32, f32),
        _ => tensor!(f64, f64),
    };
    tensor.map_err(|error| file_error(path, error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prelude::*;

    fn read(bytes: &[u8]) -> Result<Tensor> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a");
        std::fs::write(&path, bytes).unwrap();
        read_idx(path)
    }

    fn message(bytes: &[u8]) -> String {
        read(bytes).unwrap_err().to_string().split_once("/a: ").unwrap().1.into()
    }

    fn head(kind: u8, shape: &[u32]) -> Vec<u8> {
        let mut bytes = vec![0, 0, kind, shape.len() as u8];
        bytes.extend(shape.iter().flat_map(|length| length.to_be_bytes()));
        bytes
    }

    #[test]
    fn every_type() -> Result<()> {
        let x = read(&[head(8, &[2, 1, 2]), vec![1, 2, 3, 255]].concat())?;
        assert_eq!(x.to_vec3::<u8>()?, [[[1, 2]], [[3, 255]]]);
        assert_eq!(read(&[head(9, &[2]), vec![1, 255]].concat())?.to_vec1::<i64>()?, [1, -1]);
        assert_eq!(read(&[head(11, &[1]), vec![255, 254]].concat())?.to_vec1::<i64>()?, [-2]);
        assert_eq!(read(&[head(12, &[1]), vec![0, 1, 0, 0]].concat())?.to_vec1::<i64>()?, [65536]);
        let floats = [head(13, &[1]), 1.5_f32.to_be_bytes().to_vec()].concat();
        assert_eq!(read(&floats)?.to_vec1::<f32>()?, [1.5]);
        let floats = [head(14, &[1, 1]), (-0.1_f64).to_be_bytes().to_vec()].concat();
        assert_eq!(read(&floats)?.to_vec2::<f64>()?, [[-0.1]]);
        assert_eq!(read(&head(8, &[0, 28, 28]))?.dims(), [0, 28, 28]);
        assert_eq!(read(&[0, 0, 8, 0, 5])?.to_scalar::<u8>()?, 5);
        Ok(())
    }

    #[test]
    fn malformed_files() {
        let wrong = "expected the beginning of an idx file (0, 0, type 8 to 14, number of axes), got ";
        for (bytes, got) in
            [(&[][..], "an empty file"), (&[0, 0, 8], "[0, 0, 8]"), (&[0, 0, 10, 1, 0], "[0, 0, 10, 1]")]
        {
            assert_eq!(message(bytes), format!("{wrong}{got}"));
        }
        assert_eq!(
            message(&[0, 0, 8, 2, 0, 0, 0, 9, 1]),
            "expected the lengths of 2 axes at offset 4, got 5 bytes"
        );
        let two = [head(8, &[2, 2]), vec![1, 2, 3]].concat();
        assert_eq!(message(&two), "expected 4 bytes from offset 12 for the shape [2, 2], got 3");
        let two = [head(8, &[2, 2]), vec![1, 2, 3, 4, 5]].concat();
        assert_eq!(message(&two), "expected 4 bytes from offset 12 for the shape [2, 2], got more");
        for huge in [&[u32::MAX; 9][..], &[u32::MAX, 2], &[u32::MAX, 0, u32::MAX, u32::MAX]] {
            assert!(message(&head(14, huge)).contains("got"), "{huge:?}");
        }
        // A length that the file does not have takes no memory.
        assert!(message(&head(8, &[1 << 31])).ends_with("got 0"));
        assert!(matches!(read_idx("no/such"), Err(Error::File { .. })));
    }

    #[cfg(feature = "compress")]
    #[test]
    fn compressed() -> Result<()> {
        use std::io::Write;
        let zip = |bytes: &[u8]| {
            let mut zip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            zip.write_all(bytes).unwrap();
            zip.finish().unwrap()
        };
        let plain = [head(8, &[3]), vec![1, 2, 3]].concat();
        let zipped = zip(&plain);
        assert_eq!(read(&zipped)?.to_vec1::<u8>()?, [1, 2, 3]);
        assert!(message(&zip(&[&plain[..], &[0]].concat())).ends_with("got more"));
        for end in 2..zipped.len() {
            assert!(message(&zipped[..end]).starts_with("expected "), "{end}");
        }
        let mut damaged = zipped;
        let crc = damaged.len() - 6;
        damaged[crc] ^= 1;
        assert!(message(&damaged).starts_with("expected a whole file, got: "));
        Ok(())
    }
}
