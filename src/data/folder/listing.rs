//! Lists the images of a directory and their classes.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::file::file_error;

/// The error of a directory without an image.
pub(super) fn no_images(directory: &Path, classes: &[String], errors: &[Error]) -> Error {
    let message = format!("expected images in its {} classes, got none that can be read", classes.len());
    let first = errors.first().map(|error| format!("; the first: {error}")).unwrap_or_default();
    file_error(directory, message + &first)
}

/// The classes, each file with its class, and an error for each file outside the sub-directories.
pub(super) type Listing = (Vec<String>, Vec<(u32, PathBuf)>, Vec<Error>);

pub(super) fn list(directory: &Path) -> Result<Listing> {
    let (classes, strays): (Vec<_>, Vec<_>) =
        entries(directory)?.into_iter().partition(|name| directory.join(name).is_dir());
    if classes.is_empty() {
        return Err(file_error(directory, "expected a sub-directory for each class, got none"));
    }
    let stray = |name| file_error(&directory.join(name), "expected a directory of one class, got a file");
    let errors = strays.iter().map(stray).collect();
    let mut files: Vec<(u32, PathBuf)> = Vec::new();
    for (class, name) in classes.iter().enumerate() {
        let place = directory.join(name);
        files.extend(entries(&place)?.into_iter().map(|file| (class as u32, place.join(file))));
    }
    let names = classes.iter().map(|name| name.to_string_lossy().into_owned()).collect();
    Ok((names, files, errors))
}

/// The names in a directory that are not hidden, sorted.
fn entries(directory: &Path) -> Result<Vec<OsString>> {
    let unreadable = |error| file_error(directory, format!("expected a directory, got: {error}"));
    let mut names = Vec::new();
    for entry in fs::read_dir(directory).map_err(unreadable)? {
        let name = entry.map_err(unreadable)?.file_name();
        if !name.as_encoded_bytes().starts_with(b".") {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}
