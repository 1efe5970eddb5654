//! numpy's files: `.npy` with one array, `.npz` with several.

mod header;
#[cfg(feature = "compress")]
mod npz;
#[cfg(test)]
mod tests;

use std::io::Read;
use std::path::Path;

use candle_core::{DType, Device};
use safetensors::View;

use super::shape::elements;
use crate::autograd::{Array, Tensor};
use crate::error::{Error, Result};
use crate::file::{file_error, read_at_most, replace};
use header::Header;
#[cfg(feature = "compress")]
pub use npz::{read_npz, write_npz};

/// Reads the array in an `.npy` file: versions 1 to 3, both byte orders, C and Fortran order.
///
/// Floats, u8, u32 and i64 keep their dtype. Booleans become u8, other integers the smallest of u8, u32 and i64 that holds them.
///
/// # Errors
/// Errors if the file cannot be read, is of another format, or has fewer or more bytes than its header says; for complex numbers,
/// strings and objects; for a u64 above the largest i64.
///
/// ```
/// # use tealight::io;
/// # let path = std::env::temp_dir().join("tealight-doc-read.npy");
/// let header = "{'descr': '<f8', 'fortran_order': False, 'shape': (1,), }\n"; // what np.save writes
/// let start = [&b"\x93NUMPY\x01\x00"[..], &[header.len() as u8, 0], header.as_bytes()].concat();
/// std::fs::write(&path, [start, 1.5_f64.to_le_bytes().to_vec()].concat())?;
/// assert_eq!(io::read_npy(&path)?.to_vec1::<f64>()?, [1.5]);
/// # std::fs::remove_file(path).ok();
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[doc(alias = "load")]
pub fn read_npy(path: impl AsRef<Path>) -> Result<Tensor> {
    let path = path.as_ref();
    let bytes = read_at_most(path, u64::MAX)?;
    parse(&bytes[..]).map_err(|message| file_error(path, message))
}

/// Writes an array as an `.npy` file, whole or not at all.
///
/// Errors if numpy does not have the dtype (bf16 and smaller floats) or the file cannot be written.
///
/// ```
/// # use tealight::io;
/// # use tealight::prelude::*;
/// # let path = std::env::temp_dir().join("tealight-doc.npy");
/// let x = Tensor::new(&[[1_u32, 2], [3, 4]], &Device::Cpu)?;
/// io::write_npy(&path, &x)?;
/// assert_eq!(io::read_npy(&path)?, x);
/// # std::fs::remove_file(path).ok();
/// # Ok::<(), tealight::Error>(())
/// ```
#[doc(alias = "save")]
pub fn write_npy(path: impl AsRef<Path>, tensor: &Tensor) -> Result<()> {
    let (header, numbers) = serialized("write_npy", tensor)?;
    replace(path.as_ref(), |file| {
        file.write_all(&header)?;
        file.write_all(&numbers)
    })
}

/// The header and the numbers of a file.
fn serialized(op: &'static str, tensor: &Tensor) -> Result<(Vec<u8>, Vec<u8>)> {
    let array = tensor.array().to_device(&Device::Cpu)?;
    let header = header::write(array.dtype(), array.dims()).ok_or_else(|| {
        let expected = "a dtype that numpy has too (to_dtype changes it)";
        Error::dtype(op, expected, &[array.dtype()])
    })?;
    Ok((header, array.data().into_owned()))
}

/// The array in a file, or what is wrong with it.
fn parse(mut file: impl Read) -> Result<Tensor, String> {
    let (header, offset) = Header::read(&mut file)?;
    let Header { kind, width, big_endian, fortran, mut shape } = header;
    let bytes = elements(&shape).and_then(|count| count.checked_mul(width));
    let bytes = bytes.filter(|&bytes| isize::try_from(bytes).is_ok_and(|bytes| bytes < isize::MAX));
    let bytes = bytes.ok_or_else(|| format!("expected a shape that fits in memory, got {shape:?}"))?;
    // One byte more, to notice bytes that should not be there and to reach the checksum of a compressed array.
    let mut numbers = Vec::new();
    file.take(bytes as u64 + 1)
        .read_to_end(&mut numbers)
        .map_err(|error| format!("expected numbers, got: {error}"))?;
    if numbers.len() != bytes {
        let got = if numbers.len() > bytes { "more".into() } else { numbers.len().to_string() };
        return Err(format!(
            "expected {bytes} bytes from offset {offset} for the shape {shape:?}, got {got}"
        ));
    }
    if big_endian {
        numbers.chunks_exact_mut(width).for_each(<[u8]>::reverse);
    }
    if fortran {
        shape.reverse();
    }

    macro_rules! tensor {
        ($from:ty, $to:ty) => {{
            let (words, _) = numbers.as_chunks::<{ size_of::<$from>() }>();
            let words = words.iter().map(|&word| <$to>::from(<$from>::from_le_bytes(word)));
            Tensor::from_vec(words.collect::<Vec<$to>>(), shape, &Device::Cpu)
        }};
    }
    let tensor = match (kind, width) {
        ('b', _) => {
            let bits = numbers.iter().map(|&byte| u8::from(byte != 0)).collect();
            Tensor::from_vec(bits, shape, &Device::Cpu)
        }
        ('u', 1) => Tensor::from_vec(numbers, shape, &Device::Cpu),
        ('u', 2) => tensor!(u16, u32),
        ('u', 4) => tensor!(u32, u32),
        ('u', _) => {
            let words = numbers.as_chunks::<8>().0.iter().map(|&word| u64::from_le_bytes(word));
            let narrow = |(i, word)| {
                i64::try_from(word).map_err(|_| format!("expected numbers below 2^63, got {word} at {i}"))
            };
            let words = words.enumerate().map(narrow).collect::<Result<Vec<i64>, _>>()?;
            Tensor::from_vec(words, shape, &Device::Cpu)
        }
        ('i', 1) => tensor!(i8, i64),
        ('i', 2) => tensor!(i16, i64),
        ('i', 4) => tensor!(i32, i64),
        ('i', _) => tensor!(i64, i64),
        (_, 2) => Array::from_raw_buffer(&numbers, DType::F16, &shape, &Device::Cpu)
            .map(Tensor::from)
            .map_err(Error::from),
        (_, 4) => tensor!(f32, f32),
        (_, _) => tensor!(f64, f64),
    };
    let tensor = tensor.map_err(|error| error.to_string())?;
    if !fortran || tensor.rank() < 2 {
        return Ok(tensor);
    }
    let axes: Vec<usize> = (0..tensor.rank()).rev().collect();
    let c_order = tensor.array().permute(axes).and_then(|array| array.contiguous());
    c_order.map(Tensor::from).map_err(|error| Error::from(error).to_string())
}
