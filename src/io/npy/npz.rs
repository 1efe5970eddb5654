//! Several arrays in a zip file.

use std::collections::BTreeMap;
use std::io::{Cursor, Read, Write};
use std::path::Path;

use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipArchive, ZipWriter};

use super::{parse, written};
use crate::autograd::Tensor;
use crate::error::Result;
use crate::file::{file_error, read_at_most, write_atomically};

/// Arrays may be this large together, or [`MOST_TIMES`] as large as the file: numbers that were measured or learned compress
/// to a half or a tenth, and what was made to fill the memory to a thousandth.
const MOST_BYTES: u64 = 4 << 30;

/// See [`MOST_BYTES`].
const MOST_TIMES: u64 = 64;

/// Reads all arrays of an `.npz` file, by name. Compressed or not: `np.savez` or `np.savez_compressed`.
///
/// ```
/// use tealight::io;
/// use tealight::prelude::*;
/// let path = std::env::temp_dir().join("tealight-doc-read.npz");
/// let [a, b] = [1.0, 2.0].map(|x| Tensor::new(x, &Device::Cpu));
/// io::write_npz(&path, &[("a".to_string(), a?), ("b".to_string(), b?)].into())?;
/// let arrays = io::read_npz(&path)?;
/// assert!(arrays.keys().eq(["a", "b"]));
/// assert_eq!(arrays["b"].to_scalar::<f64>()?, 2.0);
/// # std::fs::remove_file(path).ok();
/// # Ok::<(), tealight::Error>(())
/// ```
///
/// # Errors
/// A file that cannot be read, or is none of the format, or whose records share their bytes; arrays of more than 4 GiB together
/// and 64 times the file; an array that [`read_npy`](super::read_npy) would refuse.
pub fn read_npz(path: impl AsRef<Path>) -> Result<BTreeMap<String, Tensor>> {
    read_up_to(path.as_ref(), MOST_BYTES)
}

pub(super) fn read_up_to(path: &Path, most: u64) -> Result<BTreeMap<String, Tensor>> {
    let bytes = read_at_most(path, u64::MAX)?;
    let failed = |error| file_error(path, format!("expected an .npz file, got: {error}"));
    // No two records may have the same bytes of the file: a small one could have any number of arrays.
    let mut left = bytes.len() as u64;
    let most = most.max(left.saturating_mul(MOST_TIMES));
    let mut room = most;
    let mut archive = ZipArchive::new(Cursor::new(bytes)).map_err(failed)?;
    let mut tensors = BTreeMap::new();
    for i in 0..archive.len() {
        let file = archive.by_index(i).map_err(failed)?;
        let full = file.name().map_err(failed)?.into_owned();
        let Some(name) = full.strip_suffix(".npy") else {
            return Err(file_error(path, format!("expected arrays (.npy), got {full:?}")));
        };
        left = left.checked_sub(file.compressed_size()).ok_or_else(|| {
            file_error(path, format!("expected an .npz file, got records that share their bytes: {name}"))
        })?;
        let mut file = file.take(room + 1);
        let tensor = parse(&mut file);
        room = file.limit().checked_sub(1).ok_or_else(|| {
            let got = "more; np.savez writes them without compression";
            file_error(path, format!("expected arrays of at most {most} bytes together, got {got}"))
        })?;
        let tensor = tensor.map_err(|message| file_error(path, format!("{name}: {message}")))?;
        if tensors.insert(name.to_string(), tensor).is_some() {
            return Err(file_error(path, format!("expected one array of each name, got two {name:?}")));
        }
    }
    Ok(tensors)
}

/// Writes arrays under their names as an `.npz` file, as `np.savez` does. The file is complete or is not there.
///
/// ```
/// use std::collections::BTreeMap;
/// use tealight::io;
/// use tealight::prelude::*;
/// let path = std::env::temp_dir().join("tealight-doc.npz");
/// let x = Tensor::new(&[1.0, 2.0], &Device::Cpu)?;
/// io::write_npz(&path, &BTreeMap::from([("x".to_string(), x)]))?;
/// assert_eq!(io::read_npz(&path)?["x"].to_vec1::<f64>()?, [1.0, 2.0]);
/// # std::fs::remove_file(path).ok();
/// # Ok::<(), tealight::Error>(())
/// ```
///
/// # Errors
/// As [`write_npy`](super::write_npy); a name that a zip file cannot have.
#[doc(alias = "savez")]
pub fn write_npz(path: impl AsRef<Path>, tensors: &BTreeMap<String, Tensor>) -> Result<()> {
    let path = path.as_ref();
    let failed = |error: &dyn std::fmt::Display| file_error(path, format!("cannot be written: {error}"));
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, tensor) in tensors {
        let (header, numbers) = written("write_npz", tensor)?;
        let large = header.len() + numbers.len() >= u32::MAX as usize;
        let options =
            SimpleFileOptions::default().compression_method(CompressionMethod::Stored).large_file(large);
        zip.start_file(format!("{name}.npy"), options).map_err(|error| failed(&error))?;
        zip.write_all(&header).and_then(|()| zip.write_all(&numbers)).map_err(|error| failed(&error))?;
    }
    let bytes = zip.finish().map_err(|error| failed(&error))?.into_inner();
    write_atomically(path, &bytes)
}
