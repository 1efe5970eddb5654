//! Lists the images of a directory and their classes.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use unicode_normalization::UnicodeNormalization;

use crate::error::{Error, Result};
use crate::file::{file_error, unreadable};

/// Names of sub-directories that have the images to train on, and those to test with, rather than a class.
const TRAIN: &[&str] = &["train", "training"];
const TEST: &[&str] = &["test", "testing", "val", "valid", "validation"];

/// What archives and desktops leave behind.
const LEFT: [&str; 3] = ["__MACOSX", "Thumbs.db", "desktop.ini"];

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
    // Composed, and so sorted alike wherever the directory is.
    let class = |name: &OsString| name.to_string_lossy().nfc().collect::<String>();
    let names: BTreeSet<String> = classes.iter().map(class).collect();
    let is = |part: &[&str]| names.iter().position(|name| part.contains(&&*name.to_lowercase()));
    if let (Some(train), Some(_)) = (is(TRAIN), is(TEST))
        && names.iter().all(|name| [TRAIN, TEST].concat().contains(&&*name.to_lowercase()))
    {
        let got = names.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
        let train = names.iter().nth(train).expect("a position among the names");
        let expected = format!("expected a sub-directory for each class, got {got}");
        return Err(file_error(
            directory,
            format!("{expected}: open {} instead", directory.join(train).display()),
        ));
    }
    let stray = |name| file_error(&directory.join(name), "expected a directory of one class, got a file");
    let errors = strays.iter().map(stray).collect();
    let mut files: Vec<(u32, PathBuf)> = Vec::new();
    for folder in &classes {
        let number = names.range(..class(folder)).count() as u32;
        let mut below = Vec::new();
        walk(&directory.join(folder), &mut Vec::new(), &mut below)?;
        // As torchvision: by directory, and then by name.
        below.sort();
        files.extend(below.into_iter().map(|(place, name)| (number, Path::new(&place).join(name))));
    }
    // Two directories have one class if their names are the same when composed.
    files.sort_by_key(|(class, _)| *class);
    Ok((names.into_iter().collect(), files, errors))
}

/// Collects the files at any depth below a directory, each as its directory and its name. `above` has the directories that it
/// lies in: a link to one of them is not followed.
fn walk(place: &Path, above: &mut Vec<PathBuf>, found: &mut Vec<(OsString, OsString)>) -> Result<()> {
    let real = fs::canonicalize(place).map_err(|cause| unreadable(place, cause))?;
    if above.contains(&real) {
        return Ok(());
    }
    above.push(real);
    for name in entries(place)? {
        let path = place.join(&name);
        if path.is_dir() {
            walk(&path, above, found)?;
        } else {
            found.push((place.into(), name));
        }
    }
    above.pop();
    Ok(())
}

/// The names in a directory that are not hidden, sorted.
fn entries(directory: &Path) -> Result<Vec<OsString>> {
    let unreadable = |error| file_error(directory, format!("expected a directory, got: {error}"));
    let mut names = Vec::new();
    for entry in fs::read_dir(directory).map_err(unreadable)? {
        let name = entry.map_err(unreadable)?.file_name();
        if !name.as_encoded_bytes().starts_with(b".") && !LEFT.iter().any(|left| name == *left) {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}
