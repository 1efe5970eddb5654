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
#[cfg(feature = "compress")]
use super::tensor_file::TensorFile;
use crate::autograd::{Array, Tensor};
use crate::error::{Error, Result};
use crate::file::{file_error, kind_or, read_at_most, replace};
use header::{Header, MAGIC};
#[cfg(feature = "compress")]
pub use npz::{read_npz, write_npz};

/// Reads the array in an `.npy` file: versions 1 to 3, both byte orders, C and Fortran order.
///
/// Floats, u8, u32 and i64 keep their dtype. Booleans become u8, other integers the smallest of u8, u32 and i64 that holds them.
/// float8_e5m2 of ml_dtypes becomes f32; [`NpyOptions`] reads bfloat16 and float8_e4m3fn.
///
/// # Errors
/// Errors if the file cannot be read, is of another format, or has fewer or more bytes than its header says; for complex numbers,
/// text, dates, structured arrays and objects; for a u64 above the largest i64.
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
    NpyOptions::new().read_npy(path)
}

/// Options for reading numpy's files.
///
/// ```
/// # use tealight::io::NpyOptions;
/// # use tealight::prelude::*;
/// # let path = std::env::temp_dir().join("tealight-doc-bf16.npy");
/// let header = "{'descr': '<V2', 'fortran_order': False, 'shape': (1,), }\n"; // what np.save writes of a bfloat16 array
/// # let start = [&b"\x93NUMPY\x01\x00"[..], &[header.len() as u8, 0], header.as_bytes()].concat();
/// # std::fs::write(&path, [start, vec![0xc0, 0x3f]].concat())?;
/// let x = NpyOptions::new().extension_dtype(DType::BF16)?.read_npy(&path)?;
/// assert_eq!((x.dtype(), x.to_dtype(DType::F32)?.to_vec1::<f32>()?), (DType::BF16, vec![1.5]));
/// # std::fs::remove_file(path).ok();
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct NpyOptions {
    extensions: Vec<DType>,
}

impl NpyOptions {
    /// What numpy itself has.
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads elements of a size that only this dtype has as such: bf16 those of two bytes, F8E4M3 those of one. numpy does not know the
    /// dtypes bfloat16 and float8_e4m3fn of ml_dtypes, and `np.save` writes them without their name, as `<V2` and `<V1`.
    ///
    /// Errors for another dtype.
    #[doc(alias = "ml_dtypes")]
    #[doc(alias = "bfloat16")]
    pub fn extension_dtype(mut self, dtype: DType) -> Result<Self> {
        if !matches!(dtype, DType::BF16 | DType::F8E4M3) {
            return Err(Error::dtype("extension_dtype", "bf16 or f8e4m3", &[dtype]));
        }
        self.extensions.push(dtype);
        Ok(self)
    }

    /// [`read_npy`] with these options.
    pub fn read_npy(&self, path: impl AsRef<Path>) -> Result<Tensor> {
        let path = path.as_ref();
        let bytes = read_at_most(path, u64::MAX)?;
        let array = match bytes.starts_with(MAGIC) {
            true => parse(&bytes[..], &self.extensions).flatten(),
            false => {
                Err(format!("expected the beginning of an .npy file, got {}", kind_or(&bytes, "other bytes")))
            }
        };
        array.map(Tensor::from).map_err(|message| file_error(path, message))
    }

    /// [`read_npz`] with these options.
    #[cfg(feature = "compress")]
    pub fn read_npz(&self, path: impl AsRef<Path>) -> Result<TensorFile> {
        npz::read_up_to(path.as_ref(), npz::MAX_BYTES, &self.extensions)
    }
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

/// The array in a file, or why its dtype or its numbers cannot be read; an error if the file is damaged.
fn parse(mut file: impl Read, extensions: &[DType]) -> Result<Result<Array, String>, String> {
    let (header, offset) = Header::read(&mut file, extensions)?;
    let Header { element, big_endian, fortran, mut shape } = header;
    let element = match element {
        Ok(element) => element,
        Err(message) => return Ok(Err(message)),
    };
    let bytes = elements(&shape).and_then(|count| count.checked_mul(element.width()));
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
    if big_endian != cfg!(target_endian = "big") {
        numbers.chunks_exact_mut(element.width()).for_each(<[u8]>::reverse);
    }
    if fortran {
        shape.reverse();
    }
    Ok(element.array(&numbers, &shape).and_then(|array| {
        let array = match array.dtype() {
            DType::I16 | DType::I32 => array.to_dtype(DType::I64),
            _ => Ok(array),
        };
        let axes: Vec<usize> = (0..shape.len()).rev().collect();
        let turned = |array: Array| array.permute(axes)?.contiguous();
        let array = if fortran && shape.len() > 1 { array.and_then(turned) } else { array };
        array.map_err(|error| Error::from(error).to_string())
    }))
}
