//! Files: read up to a limit, and written whole or not at all.

mod kind;
pub(crate) mod protobuf;

use std::fs::{self, File, OpenOptions};
use std::io::{BufWriter, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};
use std::process;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::error::{Error, Result};
pub(crate) use kind::{SAFETENSORS, kind_of, kind_or};

pub(crate) fn file_error(path: &Path, message: impl Into<String>) -> Error {
    Error::file(path, message.into())
}

/// The error of a file that cannot be read.
pub(crate) fn unreadable(path: &Path, cause: std::io::Error) -> Error {
    file_error(path, format!("expected a file that can be read, got: {cause}")).with_source(cause)
}

/// The error of a file that cannot be written, and what to do about it.
pub(crate) fn unwritable(path: &Path, cause: std::io::Error) -> Error {
    let message = format!("expected a file that can be written, got: {cause}{}", advice(&cause));
    file_error(path, message).with_source(cause)
}

/// What to do about an error, where the system's message does not say it.
pub(crate) fn advice(error: &std::io::Error) -> &'static str {
    match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => "; free some space and try again",
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => {
            "; allow writing there, or name another place"
        }
        ErrorKind::NotFound => "; make its directory first, or name another place",
        _ => "",
    }
}

/// The most that is read of a device or a pipe, which may have no end: `/dev/zero`.
const MAX_STREAM: u64 = 256 << 20;

/// The bytes of a file that has no more than `limit` of them.
pub(crate) fn read_at_most(path: &Path, limit: u64) -> Result<Vec<u8>> {
    let unreadable = |cause| unreadable(path, cause);
    let file = File::open(path).map_err(unreadable)?;
    let stream = !file.metadata().map_err(unreadable)?.is_file();
    let limit = if stream { limit.min(MAX_STREAM) } else { limit };
    let mut bytes = Vec::new();
    // Not the length in the metadata: a device has none, and another program may be writing.
    file.take(limit.saturating_add(1)).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > limit {
        return Err(file_error(path, format!("expected a file of at most {limit} bytes, got more")));
    }
    Ok(bytes)
}

/// Writes a file whole or not at all: to a temporary file in the same directory, flushed to disk and then renamed.
///
/// A symbolic link keeps pointing where it did; a device or a pipe is written to directly.
///
/// # Errors
/// Errors if the file cannot be written; the old file is then unchanged.
///
/// ```
/// # let dir = tempfile::tempdir().unwrap();
/// let path = dir.path().join("answers.csv");
/// tealight::io::write_atomically(&path, "class\ncat\n")?;
/// assert_eq!(std::fs::read_to_string(path).unwrap(), "class\ncat\n");
/// # Ok::<(), tealight::Error>(())
/// ```
pub fn write_atomically(path: impl AsRef<Path>, contents: impl AsRef<[u8]>) -> Result<()> {
    replace(path.as_ref(), |file| file.write_all(contents.as_ref()))
}

/// [`write_atomically`] with the bytes from `write`.
pub(crate) fn replace<F>(path: &Path, write: F) -> Result<()>
where
    F: FnOnce(&mut dyn Write) -> std::io::Result<()>,
{
    let unwritable = |cause| unwritable(path, cause);
    // A link stays a link: its target is replaced.
    let target = fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf());
    match fs::metadata(&target) {
        // A device or a pipe is written to, not replaced.
        Ok(found) if !found.is_file() => {
            let file = OpenOptions::new().write(true).open(&target).map_err(unwritable)?;
            let mut writer = BufWriter::new(file);
            write(&mut writer).and_then(|()| writer.flush()).map_err(unwritable)
        }
        found => {
            let (file, temporary) = create_beside(&target).map_err(unwritable)?;
            let written = fill(file, write).and_then(|()| {
                if let Ok(found) = found {
                    fs::set_permissions(&temporary, found.permissions())?;
                }
                fs::rename(&temporary, &target)
            });
            if written.is_err() {
                // The first error is the one to report.
                let _ = fs::remove_file(&temporary);
            }
            written.map_err(unwritable)
        }
    }
}

fn fill<F>(file: File, write: F) -> std::io::Result<()>
where
    F: FnOnce(&mut dyn Write) -> std::io::Result<()>,
{
    let mut writer = BufWriter::new(file);
    write(&mut writer)?;
    // Some file systems tell only now that the disk is full.
    writer.into_inner()?.sync_all()
}

/// A new file with an unused name in the directory of `target`.
fn create_beside(target: &Path) -> std::io::Result<(File, PathBuf)> {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let Some(name) = target.file_name() else {
        return Err(std::io::Error::new(ErrorKind::InvalidInput, "a path that ends in no file name"));
    };
    loop {
        let mut hidden = std::ffi::OsString::from(".");
        hidden.push(name);
        hidden.push(format!(".{}-{}.tmp", process::id(), COUNT.fetch_add(1, Ordering::Relaxed)));
        let temporary = target.with_file_name(hidden);
        match OpenOptions::new().write(true).create_new(true).open(&temporary) {
            Ok(file) => return Ok((file, temporary)),
            // Left over from a process with the same number.
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Result;

    fn names(directory: &Path) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(directory)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn a_file_is_replaced_whole_or_not_at_all() -> Result<()> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a");
        replace(&path, |w| w.write_all(b"one"))?;
        let error = replace(&path, |w| {
            w.write_all(b"two")?;
            Err(ErrorKind::StorageFull.into())
        });
        assert!(error.unwrap_err().to_string().starts_with(&path.display().to_string()));
        assert_eq!(fs::read(&path).unwrap(), b"one");
        replace(&path, |w| w.write_all(b"three"))?;
        assert_eq!(fs::read(&path).unwrap(), b"three");
        assert_eq!(names(directory.path()), ["a"]);
        Ok(())
    }

    #[test]
    fn places_that_cannot_be_written() {
        let directory = tempfile::tempdir().unwrap();
        for path in [directory.path().to_path_buf(), directory.path().join("none/a"), PathBuf::new()] {
            let error = replace(&path, |w| w.write_all(b"x")).unwrap_err();
            assert!(matches!(error, Error::File { .. }), "{error}");
        }
        assert!(names(directory.path()).is_empty());
    }

    #[cfg(unix)]
    #[test]
    fn links_and_devices_stay_what_they_are() -> Result<()> {
        let directory = tempfile::tempdir().unwrap();
        let (file, link) = (directory.path().join("a"), directory.path().join("b"));
        replace(&file, |w| w.write_all(b"one"))?;
        std::os::unix::fs::symlink(&file, &link).unwrap();
        replace(&link, |w| w.write_all(b"two"))?;
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::read(&file).unwrap(), b"two");
        if cfg!(target_os = "linux") {
            let error = replace(Path::new("/dev/full"), |w| w.write_all(b"x")).unwrap_err();
            assert!(error.to_string().contains("No space left"), "{error}");
        }
        Ok(())
    }

    #[test]
    fn a_limit_on_reading() -> Result<()> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a");
        fs::write(&path, b"12345").unwrap();
        assert_eq!(read_at_most(&path, 5)?, b"12345");
        for (path, limit) in [(path.as_path(), 4), (directory.path(), 9), (Path::new("none"), 9)] {
            assert!(matches!(read_at_most(path, limit), Err(Error::File { .. })));
        }
        if cfg!(target_os = "linux") {
            let error = read_at_most(Path::new("/dev/zero"), u64::MAX).unwrap_err().to_string();
            assert_eq!(error, "/dev/zero: expected a file of at most 268435456 bytes, got more");
        }
        Ok(())
    }
}
