//! A directory of pictures, one sub-directory a class.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use candle_core::Device;
use rayon::prelude::*;

use super::Labelled;
use super::image::{Color, Read, read_resized};
use crate::autograd::Tensor;
use crate::error::{Error, Result};
use crate::file::file_error;

/// How [`image_folder`] reads pictures.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageFolder {
    height: usize,
    width: usize,
    color: Color,
}

impl ImageFolder {
    /// Pictures of this size, in rgb.
    pub fn new(height: usize, width: usize) -> Self {
        ImageFolder { height, width, color: Color::Rgb }
    }

    /// In this colour.
    pub fn color(mut self, color: Color) -> Self {
        self.color = color;
        self
    }
}

/// The pictures of a directory that has one sub-directory a class (`cats/1.jpg`, `cats/2.png`, `dogs/1.jpg`, …), and an
/// error for each file that could not be read.
///
/// The classes are numbered by name, and the pictures of a class come in the order of their names, on every machine.
/// Hidden files and directories (`.name`) are passed over; every other file is tried. Each picture is resized whatever its
/// proportions are, and its alpha is discarded.
///
/// ```no_run
/// use tealight::data::{ImageFolder, image_folder};
/// let (pets, unreadable) = image_folder("pets", &ImageFolder::new(64, 64))?;
/// for error in &unreadable {
///     eprintln!("skipped: {error}");
/// }
/// assert_eq!(pets.inputs.dims()[1..], [64, 64, 3]);
/// # Ok::<(), tealight::Error>(())
/// ```
///
/// # Shapes
/// Inputs (n, height, width, channels), f32 from 0 to 1, with 3 channels, or 1 for [`Color::Grey`].
///
/// # Errors
/// A directory that cannot be read, that has no sub-directory, or in which no picture can be read; sizes that
/// [`resize`](super::image::resize) refuses.
#[doc(alias = "ImageFolder")]
pub fn image_folder(directory: impl AsRef<Path>, options: &ImageFolder) -> Result<(Labelled, Vec<Error>)> {
    let directory = directory.as_ref();
    let (classes, strays): (Vec<_>, Vec<_>) =
        entries(directory)?.into_iter().partition(|name| directory.join(name).is_dir());
    if classes.is_empty() {
        return Err(file_error(directory, "expected a sub-directory for each class, got none"));
    }
    let mut errors: Vec<Error> = strays
        .iter()
        .map(|name| file_error(&directory.join(name), "expected a directory of one class, got a file"))
        .collect();

    let mut files: Vec<(u32, PathBuf)> = Vec::new();
    for (class, name) in classes.iter().enumerate() {
        let place = directory.join(name);
        files.extend(entries(&place)?.into_iter().map(|file| (class as u32, place.join(file))));
    }
    let read = Read::new().color(options.color);
    let one = |(class, path): &(u32, PathBuf)| {
        // A pipe would be waited for, perhaps for ever.
        if !path.is_file() {
            return Err(file_error(path, "expected a picture, got something that is no file"));
        }
        Ok((*class, read_resized(path, &read, options.height, options.width)?))
    };
    let pictures: Vec<Result<(u32, Vec<u8>)>> = files.par_iter().map(one).collect();

    let (mut inputs, mut targets) = (Vec::new(), Vec::new());
    for picture in pictures {
        match picture {
            Ok((class, bytes)) => {
                targets.push(class);
                inputs.extend(bytes.iter().map(|&byte| f32::from(byte) / 255.0));
            }
            Err(error @ Error::File { .. }) => errors.push(error),
            Err(error) => return Err(error),
        }
    }
    if targets.is_empty() {
        let message =
            format!("expected pictures in its {} classes, got none that can be read", classes.len());
        let first = errors.first().map(|error| format!("; the first: {error}")).unwrap_or_default();
        return Err(file_error(directory, message + &first));
    }
    let channels = if options.color == Color::Grey { 1 } else { 3 };
    let labelled = Labelled {
        inputs: Tensor::from_vec(
            inputs,
            (targets.len(), options.height, options.width, channels),
            &Device::Cpu,
        )?,
        targets: Tensor::from_vec(targets.clone(), targets.len(), &Device::Cpu)?,
        names: classes.iter().map(|name| name.to_string_lossy().into_owned()).collect(),
        features: Vec::new(),
    };
    Ok((labelled, errors))
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::image::write_png;
    use crate::prelude::*;

    #[test]
    fn classes_pictures_and_what_is_neither() -> Result<()> {
        let root = tempfile::tempdir().unwrap();
        let at = |name: &str| root.path().join(name);
        for class in ["dogs", "cats", "empty", ".hidden", "cats/more"] {
            fs::create_dir(at(class)).unwrap();
        }
        write_png(at("dogs/1.png"), &Tensor::full(255u8, (3, 5), &Device::Cpu)?)?;
        write_png(at("cats/b"), &Tensor::full(51u8, (9, 2, 4), &Device::Cpu)?)?;
        write_png(at("cats/a.jpg"), &Tensor::zeros((2, 2, 3), DType::U8, &Device::Cpu)?)?;
        fs::write(at("cats/c.jpg"), b"").unwrap();
        fs::write(at("cats/.DS_Store"), b"x").unwrap();
        fs::write(at("dogs/notes.txt"), b"good dogs").unwrap();
        fs::write(at("readme.txt"), b"pets").unwrap();

        let (pets, errors) = image_folder(root.path(), &ImageFolder::new(4, 6))?;
        assert_eq!(pets.names, ["cats", "dogs", "empty"]);
        assert_eq!((pets.inputs.dims(), pets.inputs.dtype()), (&[3, 4, 6, 3][..], DType::F32));
        assert_eq!(pets.targets.to_vec1::<u32>()?, [0, 0, 1]);
        let first: Vec<f32> =
            pets.inputs.array().narrow(3, 0, 1)?.flatten_from(1)?.get_on_dim(1, 0)?.to_vec1()?;
        assert_eq!(first, [0.0, 0.2, 1.0]);
        let paths: Vec<PathBuf> = errors
            .iter()
            .map(|error| match error {
                Error::File { path, .. } => path.clone(),
                other => panic!("{other}"),
            })
            .collect();
        assert_eq!(paths, ["readme.txt", "cats/c.jpg", "cats/more", "dogs/notes.txt"].map(at));

        let grey = ImageFolder::new(1, 1).color(Color::Grey);
        assert_eq!(image_folder(root.path(), &grey)?.0.inputs.dims(), [3, 1, 1, 1]);
        let error = image_folder(root.path(), &ImageFolder::new(0, 4));
        assert!(matches!(error, Err(Error::Argument { .. })), "{error:?}");
        Ok(())
    }

    #[test]
    fn nothing_to_read_is_an_error() {
        let root = tempfile::tempdir().unwrap();
        let options = ImageFolder::new(2, 2);
        let said = |path: &Path| image_folder(path, &options).unwrap_err().to_string();
        assert!(said(&root.path().join("none")).contains("expected a directory"));
        assert!(said(root.path()).ends_with("expected a sub-directory for each class, got none"));
        fs::create_dir(root.path().join("cats")).unwrap();
        assert!(said(root.path()).ends_with("expected pictures in its 1 classes, got none that can be read"));
        fs::write(root.path().join("cats/a.png"), b"").unwrap();
        assert!(said(root.path()).ends_with("a.png: expected a picture, got an empty file"));
    }
}
