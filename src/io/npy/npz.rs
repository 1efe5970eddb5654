//! `.npz`: several arrays in a zip file.

use std::collections::BTreeMap;
use std::io::{Cursor, Read, Write};
use std::path::Path;

use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipArchive, ZipWriter};

use super::{parse, serialized};
use crate::autograd::Tensor;
use crate::error::Result;
use crate::file::{file_error, read_at_most, write_atomically};

/// All arrays together may have this many bytes, or [`MAX_RATIO`] times those of the file: real data compress to a half or a
/// tenth, a file that is made to fill the memory to a thousandth.
const MAX_BYTES: u64 = 4 << 30;
const MAX_RATIO: u64 = 64;

/// Reads all arrays of an `.npz` file by name, as `np.savez` or `np.savez_compressed` wrote it.
///
/// # Errors
/// Errors as [`read_npy`](super::read_npy) does for each array, and if all together have more than 4 GiB and more than 64 times the
/// bytes of the file.
///
/// ```
/// # use tealight::io;
/// # use tealight::prelude::*;
/// # let path = std::env::temp_dir().join("tealight-doc-read.npz");
/// let [a, b] = [1.0, 2.0].map(|x| Tensor::new(x, &Device::Cpu));
/// io::write_npz(&path, &[("a".to_string(), a?), ("b".to_string(), b?)].into())?;
/// let arrays = io::read_npz(&path)?;
/// assert!(arrays.keys().eq(["a", "b"]));
/// assert_eq!(arrays["b"].to_scalar::<f64>()?, 2.0);
/// # std::fs::remove_file(path).ok();
/// # Ok::<(), tealight::Error>(())
/// ```
pub fn read_npz(path: impl AsRef<Path>) -> Result<BTreeMap<String, Tensor>> {
    read_up_to(path.as_ref(), MAX_BYTES)
}

pub(super) fn read_up_to(path: &Path, most: u64) -> Result<BTreeMap<String, Tensor>> {
    let bytes = read_at_most(path, u64::MAX)?;
    let refuse = |message: String| file_error(path, message);
    let failed = |error| refuse(format!("expected an .npz file, got: {error}"));
    // If records could share bytes of the file, a small one could have any number of arrays.
    let mut left = bytes.len() as u64;
    let most = most.max(left.saturating_mul(MAX_RATIO));
    let mut room = most;
    let mut archive = ZipArchive::new(Cursor::new(bytes)).map_err(failed)?;
    let mut tensors = BTreeMap::new();
    for i in 0..archive.len() {
        let file = archive.by_index(i).map_err(failed)?;
        let full = file.name().map_err(failed)?.into_owned();
        let Some(name) = full.strip_suffix(".npy") else {
            return Err(refuse(format!("expected arrays (.npy), got {full:?}")));
        };
        left = left.checked_sub(file.compressed_size()).ok_or_else(|| {
            refuse(format!("expected an .npz file, got records that share their bytes: {name}"))
        })?;
        let mut file = file.take(room + 1);
        let tensor = parse(&mut file);
        room = file.limit().checked_sub(1).ok_or_else(|| {
            let got = "more; np.savez writes them without compression";
            refuse(format!("expected arrays of at most {most} bytes together, got {got}"))
        })?;
        let tensor = tensor.map_err(|message| refuse(format!("{name}: {message}")))?;
        if tensors.insert(name.to_string(), tensor).is_some() {
            return Err(refuse(format!("expected one array of each name, got two {name:?}")));
        }
    }
    Ok(tensors)
}

/// Writes arrays under their names as an `.npz` file, uncompressed as `np.savez` does, whole or not at all.
#[doc(alias = "savez")]
pub fn write_npz(path: impl AsRef<Path>, tensors: &BTreeMap<String, Tensor>) -> Result<()> {
    let path = path.as_ref();
    let failed = |error: &dyn std::fmt::Display| file_error(path, format!("cannot be written: {error}"));
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, tensor) in tensors {
        let (header, numbers) = serialized("write_npz", tensor)?;
        let large = header.len() + numbers.len() >= u32::MAX as usize;
        let options =
            SimpleFileOptions::default().compression_method(CompressionMethod::Stored).large_file(large);
        zip.start_file(format!("{name}.npy"), options).map_err(|error| failed(&error))?;
        zip.write_all(&header).and_then(|()| zip.write_all(&numbers)).map_err(|error| failed(&error))?;
    }
    let bytes = zip.finish().map_err(|error| failed(&error))?.into_inner();
    write_atomically(path, &bytes)
}
