//! PyTorch's files: a zip archive with a pickle that describes the tensors, and one record for each storage.

mod pickle;
mod state;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::io::{Cursor, Read};
use std::path::Path;

use candle_core::Device;
use zip::{CompressionMethod, ZipArchive};

use super::shape::elements;
use super::tensor_file::{Entries, TensorFile};
use crate::error::Result;
use crate::file::{file_error, kind_of, read_at_most};
use pickle::Pickle;
use state::{TensorView, state_dict};

/// Reads the tensors of a state dict that `torch.save` wrote, by name. No code in the file is run.
///
/// The state dict is the one dict of tensors in the file, however deep: `{"epoch": 7, "loss": tensor, "state_dict": {…}}`. Beside a module's
/// `state_dict()`, the tensors of a dict around it do not count, nor do an optimizer's state and dicts of nothing but bytes (random
/// states) and single numbers. [`LoadOptions::state_dict_key`](super::LoadOptions::state_dict_key) chooses if there are several.
///
/// Tensors that shared memory in PyTorch are separate. Floats of 16 to 64 bits, float8_e4m3fn, u8, u32, i16, i32 and i64 keep their dtype;
/// bool becomes u8, i8 and u64 become i64, u16 becomes u32, float8_e5m2 becomes f32. What cannot be read is listed in
/// [`TensorFile::unreadable`]: complex, sparse, quantized and lazily negated tensors, a u64 above the largest i64, lists of tensors.
///
/// # Errors
/// Errors if the file cannot be read, is cut off or damaged, or is older than PyTorch 1.6; if there is no state dict, or several; if the
/// tensors are far larger than the file.
///
/// ```
/// # use tealight::io;
/// # use tealight::prelude::*;
/// let tensors = io::read_pth("tests/interop/fixtures/tensors.pth", &Device::Cpu)?;
/// assert_eq!(tensors["view.whole"].dims(), [2, 3, 4]);
/// # Ok::<(), tealight::Error>(())
/// ```
#[doc(alias = "torch")]
#[doc(alias = "pt")]
pub fn read_pth(path: impl AsRef<Path>, device: &Device) -> Result<TensorFile> {
    let path = path.as_ref();
    let entries =
        entries(&read_at_most(path, u64::MAX)?, None).map_err(|message| file_error(path, message))?;
    TensorFile::new(path, entries, device)
}

/// The beginning of a file of PyTorch before 1.6: a magic number in a separate pickle.
const OLD: &[u8] = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19";

/// Whether a file begins as PyTorch's do.
pub(super) fn looks_like_pth(bytes: &[u8]) -> bool {
    bytes.starts_with(b"PK\x03\x04") || bytes.starts_with(OLD)
}

/// The state dict in a file, or at this path in it.
pub(super) fn entries(bytes: &[u8], key: Option<&str>) -> Result<Entries, String> {
    let mut archive = Archive::open(bytes)?;
    let pickle = archive.record("data.pkl")?;
    let pickle =
        Pickle::read(&pickle).map_err(|got| format!("expected a file of PyTorch, got one with {got}"))?;
    let views = state_dict(&pickle, key)?;

    // A storage of one number can be expanded a billion times, and be used by a thousand tensors.
    let bytes_of =
        |view: &TensorView| view.element.dtype().size_in_bytes().checked_mul(elements(&view.shape)?);
    let mut readable = views.values().flatten();
    let all = readable.try_fold(0_usize, |sum, view| sum.checked_add(bytes_of(view)?));
    let most = bytes.len().saturating_mul(16).saturating_add(64 << 20);
    if all.is_none_or(|all| all > most) {
        let got = all.map_or("more than fits in memory".into(), |all| all.to_string());
        return Err(format!(
            "expected tensors of at most {most} bytes in a file of {}, got {got}",
            bytes.len()
        ));
    }

    let mut storages: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    let mut entries = Entries::new();
    for (name, view) in views {
        let entry = match view {
            Ok(view) => {
                let in_tensor = |message: String| format!("{name}: {message}");
                if !storages.contains_key(&view.storage) {
                    let record = archive.record(&format!("data/{}", view.storage)).map_err(in_tensor)?;
                    storages.insert(view.storage.clone(), record);
                }
                let bytes = gathered(&view, &storages[&view.storage], archive.swapped).map_err(in_tensor)?;
                view.element.array(&bytes, &view.shape)
            }
            Err(message) => Err(message),
        };
        entries.insert(name, entry);
    }
    Ok(entries)
}

/// The zip archive around a pickle.
struct Archive<'a> {
    zip: ZipArchive<Cursor<&'a [u8]>>,
    /// The folder of all records, with its slash.
    folder: String,
    /// The bytes that records can still have, if no two of them share bytes of the file.
    left: usize,
    /// Whether the numbers have the other byte order than this machine.
    swapped: bool,
}

impl<'a> Archive<'a> {
    fn open(bytes: &'a [u8]) -> Result<Self, String> {
        const EXPECTED: &str = "expected a file that torch.save wrote";
        if bytes.starts_with(OLD) {
            return Err(
                "expected PyTorch's format since 1.6, got the one before (no zip archive): read it with \
                        torch.load and write it again with torch.save"
                    .into(),
            );
        }
        let zip = ZipArchive::new(Cursor::new(bytes)).map_err(|error| match kind_of(bytes) {
            Some(kind) if !bytes.starts_with(b"PK") => format!("{EXPECTED}, got {kind}"),
            _ if bytes.starts_with(b"PK") => format!("{EXPECTED}, a whole file, got: {error}"),
            _ => format!("{EXPECTED}, a zip archive, got: {error}"),
        })?;
        let names = zip.file_names().map(|name| name.map(|name| name.into_owned()));
        let names: Vec<String> =
            names.collect::<Result<_, _>>().map_err(|e| format!("{EXPECTED}, got: {e}"))?;
        let mut folders = names.iter().filter_map(|name| {
            let folder = name.strip_suffix("data.pkl")?;
            (folder.ends_with('/') && folder.matches('/').count() == 1).then_some(folder)
        });
        let (Some(folder), None) = (folders.next(), folders.next()) else {
            let some: Vec<&str> = names.iter().take(3).map(String::as_str).collect();
            let kind = kind_of(bytes).unwrap_or("a zip archive");
            return Err(format!("{EXPECTED}, got {kind}, with {}", some.join(", ")));
        };
        let folder = folder.to_string();
        // TorchScript has code too, and its tensors are attributes of objects.
        if names.iter().any(|name| *name == format!("{folder}constants.pkl")) {
            return Err("expected a state dict, got TorchScript: read it with torch.jit.load, and write \
                        its state_dict() with torch.save"
                .into());
        }
        let has_order = names.iter().any(|name| *name == format!("{folder}byteorder"));
        let mut archive = Archive { zip, folder, left: bytes.len(), swapped: false };
        if has_order {
            archive.swapped = match &archive.record("byteorder")?[..] {
                b"little" => cfg!(target_endian = "big"),
                b"big" => cfg!(target_endian = "little"),
                other => {
                    let got = String::from_utf8_lossy(other).chars().take(20).collect::<String>();
                    return Err(format!("{EXPECTED}, with the byte order little or big, got {got:?}"));
                }
            };
        }
        Ok(archive)
    }

    fn record(&mut self, name: &str) -> Result<Vec<u8>, String> {
        let refuse =
            |got: String| format!("expected a file that torch.save wrote, whole, with {name}, got: {got}");
        let file = self.zip.by_name(&format!("{}{name}", self.folder));
        let mut file = file.map_err(|error| refuse(error.to_string()))?;
        if file.compression() != CompressionMethod::Stored {
            return Err(refuse("one that is compressed (torch.save compresses nothing)".into()));
        }
        let mut bytes = Vec::new();
        let read = file.by_ref().take(self.left as u64 + 1).read_to_end(&mut bytes);
        read.map_err(|error| refuse(error.to_string()))?;
        self.left = self
            .left
            .checked_sub(bytes.len())
            .ok_or_else(|| refuse("records that share their bytes".into()))?;
        Ok(bytes)
    }
}

/// The elements of a tensor, out of the bytes of its storage, in the byte order of this machine.
fn gathered(view: &TensorView, storage: &[u8], swapped: bool) -> Result<Vec<u8>, String> {
    let width = view.element.width();
    if storage.len() / width != view.length {
        let (expected, got) = (view.length, storage.len());
        return Err(format!("expected a storage of {expected} numbers of {width} bytes, got {got} bytes"));
    }
    let mut bytes = view.gather(storage)?;
    if swapped {
        bytes.chunks_exact_mut(width).for_each(<[u8]>::reverse);
    }
    Ok(bytes)
}
