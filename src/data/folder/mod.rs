//! A directory of pictures, one sub-directory a class.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use candle_core::Device;
use rayon::prelude::*;

use super::Labelled;
use super::dataset::{Dataset, check, stacked};
use super::image::{Color, Read, read_resized};
use crate::autograd::Tensor;
use crate::error::{Error, Result};
use crate::file::file_error;

/// How pictures are read from a directory that has one sub-directory a class (`cats/1.jpg`, `cats/2.png`, `dogs/1.jpg`, …):
/// one at a time as they are needed ([`open`](ImageFolder::open)), or all at once ([`image_folder`]).
#[derive(Clone, Debug, PartialEq)]
pub struct ImageFolder {
    height: usize,
    width: usize,
    color: Color,
    middle: bool,
    scale: Option<(Vec<f32>, Vec<f32>)>,
    unreadable: Unreadable,
}

/// What [`ImageFolder::open`] does with files that are no picture.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Unreadable {
    /// An error, when the file is reached.
    #[default]
    Error,
    /// They are left out, and [`Pictures::skipped`] tells why. To know them, all files are decoded once when the directory is
    /// opened.
    Skip,
}

impl ImageFolder {
    /// Pictures of this size, in rgb, whatever their proportions were.
    pub fn new(height: usize, width: usize) -> Self {
        let (color, unreadable) = (Color::Rgb, Unreadable::Error);
        ImageFolder { height, width, color, middle: false, scale: None, unreadable }
    }

    /// In this colour.
    pub fn color(mut self, color: Color) -> Self {
        self.color = color;
        self
    }

    /// The middle of each picture: what is too wide or too high is cut off before it is resized, so that proportions stay.
    #[doc(alias = "CenterCrop")]
    pub fn crop_middle(mut self) -> Self {
        self.middle = true;
        self
    }

    /// (x − mean) / std of each channel, with x from 0 to 1.
    pub fn normalize(mut self, mean: &[f32], std: &[f32]) -> Self {
        self.scale = Some((mean.to_vec(), std.to_vec()));
        self
    }

    /// What happens to files that are no picture.
    pub fn unreadable(mut self, unreadable: Unreadable) -> Self {
        self.unreadable = unreadable;
        self
    }

    /// The pictures of a directory as a data set that reads each when it is asked for. A
    /// [`DataLoader`](super::DataLoader) with [`prefetch`](super::DataLoader::prefetch) decodes in the background.
    ///
    /// The classes are numbered by name, and the pictures of a class come in the order of their names, on every machine.
    /// Hidden files and directories (`.name`) are passed over.
    ///
    /// ```no_run
    /// use tealight::data::{DataLoader, FlipHorizontal, ImageFolder, Unreadable};
    /// let options = ImageFolder::new(64, 64).crop_middle().unreadable(Unreadable::Skip);
    /// let pets = options.normalize(&[0.5; 3], &[0.25; 3]).open("pets")?;
    /// println!("{} files are no pictures", pets.skipped().len());
    /// let mut loader = DataLoader::new(&pets, 32)?.shuffle(1).augment(FlipHorizontal(0.5), 1).prefetch(4);
    /// for batch in loader.epoch()? {
    ///     assert_eq!(batch?.0.dims()[1..], [3, 64, 64]);
    /// }
    /// # Ok::<(), tealight::Error>(())
    /// ```
    ///
    /// # Shapes
    /// An input is (channels, height, width), as convolutions take it: f32 from 0 to 1, unless they are
    /// [normalized](ImageFolder::normalize). Its target is the class number, a u32.
    ///
    /// # Errors
    /// A directory that cannot be read, that has no sub-directory, or in which there are no pictures; files beside the
    /// sub-directories, unless they are skipped; another number of means or deviations than of channels, or deviations that
    /// are not above 0; a size that [`resize`](super::image::resize) refuses.
    pub fn open(&self, directory: impl AsRef<Path>) -> Result<Pictures> {
        let directory = directory.as_ref();
        self.check()?;
        let (names, mut files, mut skipped) = listed(directory)?;
        match self.unreadable {
            Unreadable::Error => {
                if let Some(error) = skipped.into_iter().next() {
                    return Err(error);
                }
                skipped = Vec::new();
            }
            Unreadable::Skip => {
                let tried: Vec<Result<Vec<f32>>> =
                    files.par_iter().map(|(_, path)| self.read(path)).collect();
                let mut tried = tried.into_iter();
                let mut broken = None;
                files.retain(|_| match tried.next() {
                    Some(Err(error @ Error::File { .. })) => {
                        skipped.push(error);
                        false
                    }
                    Some(Err(error)) => {
                        broken = Some(error);
                        false
                    }
                    _ => true,
                });
                if let Some(error) = broken {
                    return Err(error);
                }
            }
        }
        if files.is_empty() {
            return Err(nothing(directory, &names, &skipped));
        }
        Ok(Pictures { options: self.clone(), files: files.into(), names, skipped: skipped.into() })
    }

    fn channels(&self) -> usize {
        if self.color == Color::Grey { 1 } else { 3 }
    }

    fn check(&self) -> Result<()> {
        let Some((mean, std)) = &self.scale else { return Ok(()) };
        let lengths = [mean.len(), std.len()] == [self.channels(); 2];
        if lengths && mean.iter().all(|x| x.is_finite()) && std.iter().all(|&x| x > 0.0 && x.is_finite()) {
            return Ok(());
        }
        let expected = format!("{0} means, and {0} deviations above 0", self.channels());
        Err(Error::argument("ImageFolder::normalize", expected, format!("{mean:?} and {std:?}")))
    }

    /// The numbers of one picture, (height, width, channels).
    fn read(&self, path: &Path) -> Result<Vec<f32>> {
        // A pipe would be waited for, perhaps for ever.
        if path.exists() && !path.is_file() {
            return Err(file_error(path, "expected a picture, got something that is no file"));
        }
        let bytes =
            read_resized(path, &Read::new().color(self.color), (self.height, self.width), self.middle)?;
        let mut numbers: Vec<f32> = bytes.into_iter().map(|byte| f32::from(byte) / 255.0).collect();
        if let Some((mean, std)) = &self.scale {
            for pixel in numbers.chunks_exact_mut(mean.len()) {
                pixel.iter_mut().zip(mean).zip(std).for_each(|((x, mean), std)| *x = (*x - mean) / std);
            }
        }
        Ok(numbers)
    }
}

/// The pictures of a directory, each read when it is asked for: [`ImageFolder::open`].
#[derive(Clone, Debug)]
pub struct Pictures {
    options: ImageFolder,
    files: Arc<[(u32, PathBuf)]>,
    names: Vec<String>,
    skipped: Arc<[Error]>,
}

impl Pictures {
    /// The name of each class: class number 0 first.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// The class number of each picture, (n) of u32: for a stratified split.
    ///
    /// # Errors
    /// None in practice.
    pub fn classes(&self) -> Result<Tensor> {
        Tensor::from_vec(self.files.iter().map(|(class, _)| *class).collect(), self.files.len(), &Device::Cpu)
    }

    /// Where the pictures are.
    pub fn paths(&self) -> impl Iterator<Item = &Path> {
        self.files.iter().map(|(_, path)| path.as_path())
    }

    /// An error for each file that was left out ([`Unreadable::Skip`]).
    pub fn skipped(&self) -> &[Error] {
        &self.skipped
    }
}

impl Dataset for Pictures {
    fn len(&self) -> usize {
        self.files.len()
    }

    fn get(&self, index: usize) -> Result<(Tensor, Tensor)> {
        check("get", index, self.files.len())?;
        let (class, path) = &self.files[index];
        let (pixels, channels) = (self.options.read(path)?, self.options.channels());
        let planes = (0..channels).flat_map(|channel| pixels.iter().skip(channel).step_by(channels));
        let shape = (channels, self.options.height, self.options.width);
        let input = Tensor::from_vec(planes.copied().collect(), shape, &Device::Cpu)?;
        Ok((input, Tensor::new(*class, &Device::Cpu)?))
    }

    /// Decoded in parallel.
    fn batch(&self, indices: &[usize]) -> Result<(Tensor, Tensor)> {
        let examples: Vec<_> = indices.par_iter().map(|&index| self.get(index)).collect();
        stacked(examples.into_iter())
    }
}

/// The pictures of a directory, all at once, and an error for each file that could not be read.
///
/// The classes are numbered by name, and the pictures of a class come in the order of their names, on every machine.
/// Hidden files and directories (`.name`) are passed over; every other file is tried. Alpha is discarded.
/// [`ImageFolder::open`] gives the same pictures without holding them all.
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
/// A directory that cannot be read, that has no sub-directory, or in which no picture can be read; options that
/// [`ImageFolder::open`] refuses.
#[doc(alias = "ImageFolder")]
pub fn image_folder(directory: impl AsRef<Path>, options: &ImageFolder) -> Result<(Labelled, Vec<Error>)> {
    let directory = directory.as_ref();
    options.check()?;
    let (names, files, mut errors) = listed(directory)?;
    let pictures: Vec<Result<Vec<f32>>> = files.par_iter().map(|(_, path)| options.read(path)).collect();
    let (mut inputs, mut targets) = (Vec::new(), Vec::new());
    for ((class, _), picture) in files.iter().zip(pictures) {
        match picture {
            Ok(numbers) => {
                targets.push(*class);
                inputs.extend(numbers);
            }
            Err(error @ Error::File { .. }) => errors.push(error),
            Err(error) => return Err(error),
        }
    }
    if targets.is_empty() {
        return Err(nothing(directory, &names, &errors));
    }
    let count = targets.len();
    let shape = (count, options.height, options.width, options.channels());
    let labelled = Labelled {
        inputs: Tensor::from_vec(inputs, shape, &Device::Cpu)?,
        targets: Tensor::from_vec(targets, count, &Device::Cpu)?,
        names,
        features: Vec::new(),
    };
    Ok((labelled, errors))
}

/// The error of a directory without a picture.
fn nothing(directory: &Path, classes: &[String], errors: &[Error]) -> Error {
    let message = format!("expected pictures in its {} classes, got none that can be read", classes.len());
    let first = errors.first().map(|error| format!("; the first: {error}")).unwrap_or_default();
    file_error(directory, message + &first)
}

/// The classes, each file with its class, and an error for each file that is in none.
type Listing = (Vec<String>, Vec<(u32, PathBuf)>, Vec<Error>);

fn listed(directory: &Path) -> Result<Listing> {
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

#[cfg(test)]
mod tests;
