//! `.npz`: several arrays in a zip file.

use std::collections::BTreeMap;
use std::io::{Cursor, Read, Write};
use std::path::Path;

use candle_core::{DType, Device};
use zip::result::ZipError;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipArchive, ZipWriter};

use super::super::tensor_file::{Entries, TensorFile};
use super::{parse, serialized};
use crate::autograd::Tensor;
use crate::error::Result;
use crate::file::{file_error, kind_of, kind_or, read_at_most, write_atomically};

/// All arrays together may have this many bytes, or [`MAX_RATIO`] times those of the file: real data compress to a half or a
/// tenth, a file that is made to fill the memory to a thousandth.
pub(super) const MAX_BYTES: u64 = 4 << 30;
const MAX_RATIO: u64 = 64;

/// Reads all arrays of an `.npz` file by name, as `np.savez` or `np.savez_compressed` wrote it.
///
/// Entries that are no arrays, and arrays of text, objects and other dtypes that [`read_npy`](super::read_npy) refuses, are listed in
/// [`TensorFile::unreadable`].
///
/// # Errors
/// Errors if the file cannot be read, is cut off, damaged or another zip archive, and if all arrays together have more than 4 GiB and more
/// than 64 times the bytes of the file.
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
pub fn read_npz(path: impl AsRef<Path>) -> Result<TensorFile> {
    super::NpyOptions::new().read_npz(path)
}

pub(super) fn read_up_to(path: &Path, most: u64, extensions: &[DType]) -> Result<TensorFile> {
    let bytes = read_at_most(path, u64::MAX)?;
    let refuse = |message: String| file_error(path, message);
    let kind = kind_of(&bytes).unwrap_or("another file");
    let zip = bytes.starts_with(b"PK");
    let failed = |error: ZipError| {
        refuse(if zip {
            format!("expected an .npz file, got: {error}")
        } else {
            format!("expected an .npz file, got {kind}")
        })
    };
    // If records could share bytes of the file, a small one could have any number of arrays.
    let mut left = bytes.len() as u64;
    let most = most.max(left.saturating_mul(MAX_RATIO));
    let mut room = most;
    let mut archive = ZipArchive::new(Cursor::new(bytes)).map_err(failed)?;
    let mut entries = Entries::new();
    let arrays = archive.file_names().flatten().filter(|name| name.ends_with(".npy")).count();
    if arrays == 0 && !archive.is_empty() {
        return Err(refuse(format!("expected an .npz file, got {kind}")));
    }
    for i in 0..archive.len() {
        let mut file = archive.by_index(i).map_err(failed)?;
        let full = file.name().map_err(failed)?.into_owned();
        let Some(name) = full.strip_suffix(".npy") else {
            let mut start = Vec::new();
            let read = file.by_ref().take(512).read_to_end(&mut start);
            read.map_err(|error| refuse(format!("{full}: {error}")))?;
            let message = format!("expected an array (.npy), got {}", kind_or(&start, "another file"));
            entries.insert(full, Err(message));
            continue;
        };
        left = left.checked_sub(file.compressed_size()).ok_or_else(|| {
            refuse(format!("expected an .npz file, got records that share their bytes: {name}"))
        })?;
        let mut file = file.take(room + 1);
        let array = parse(&mut file, extensions);
        room = file.limit().checked_sub(1).ok_or_else(|| {
            let got = "more; np.savez writes them without compression";
            refuse(format!("expected arrays of at most {most} bytes together, got {got}"))
        })?;
        let array = array.map_err(|message| refuse(format!("{name}: {message}")))?;
        if entries.insert(name.to_string(), array).is_some() {
            return Err(refuse(format!("expected one array of each name, got two {name:?}")));
        }
    }
    TensorFile::new(path, entries, &Device::Cpu)
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
