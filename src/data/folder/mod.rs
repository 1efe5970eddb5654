//! A directory of pictures, one sub-directory a class.

mod dataset;
mod listing;
#[cfg(test)]
mod tests;

use std::path::Path;

use candle_core::Device;
use rayon::prelude::*;

pub use dataset::ImageFolderDataset;

use super::LabeledDataset;
use super::image::{Color, ReadOptions, read_resized};
use crate::autograd::Tensor;
use crate::error::{Error, Result};
use crate::file::file_error;
use listing::{listed, nothing};

/// How pictures are read from a directory that has one sub-directory a class (`cats/1.jpg`, `cats/2.png`, `dogs/1.jpg`, …):
/// one at a time as they are needed ([`open`](ImageFolder::open)), or all at once ([`image_folder`]).
///
/// ```
/// use tealight::data::ImageFolder;
/// let dir = std::env::temp_dir().join("tealight-doc-folder");
/// for class in ["dogs", "cats"] {
///     std::fs::create_dir_all(dir.join(class))?;
///     std::fs::write(dir.join(class).join("1.pgm"), "P2 2 1 255 0 51\n")?;
/// }
/// let pets = ImageFolder::new(64, 64).open(&dir)?;
/// assert_eq!((pets.classes(), pets.targets()?.to_vec1::<u32>()?), (&["cats".to_string(), "dogs".into()][..], vec![0, 1]));
/// # std::fs::remove_dir_all(dir).ok();
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
#[doc(alias = "image_dataset_from_directory")]
pub struct ImageFolder {
    height: usize,
    width: usize,
    color: Color,
    middle: bool,
    scale: Option<(Vec<f32>, Vec<f32>)>,
    unreadable: Unreadable,
}

/// What [`ImageFolder::open`] does with files that are no picture.
///
/// ```
/// use tealight::data::{Dataset, ImageFolder, Unreadable};
/// let dir = std::env::temp_dir().join("tealight-doc-folder-enum");
/// std::fs::create_dir_all(dir.join("cats"))?;
/// std::fs::write(dir.join("cats/1.pgm"), "P2 2 1 255 0 51\n")?;
/// std::fs::write(dir.join("cats/2.txt"), "asleep")?;
/// let strict = ImageFolder::new(8, 8).open(&dir)?;
/// assert!(strict.len() == 2 && strict.get(0).is_ok() && strict.get(1).is_err());
/// assert_eq!(ImageFolder::new(8, 8).unreadable(Unreadable::Skip).open(&dir)?.len(), 1);
/// # std::fs::remove_dir_all(dir).ok();
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Unreadable {
    /// An error, when the file is reached.
    #[default]
    Error,
    /// They are left out, and [`ImageFolderDataset::skipped`] tells why. To know them, all files are decoded once when the directory is
    /// opened.
    Skip,
}

impl ImageFolder {
    /// Pictures of this size, in rgb, whatever their proportions were.
    ///
    /// ```
    /// use tealight::data::{Dataset, ImageFolder};
    /// let dir = std::env::temp_dir().join("tealight-doc-folder-new");
    /// std::fs::create_dir_all(dir.join("cats"))?;
    /// std::fs::write(dir.join("cats/1.pgm"), "P2 2 1 255 0 51\n")?;
    /// assert_eq!(ImageFolder::new(4, 6).open(&dir)?.get(0)?.0.dims(), [3, 4, 6]);
    /// # std::fs::remove_dir_all(dir).ok();
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn new(height: usize, width: usize) -> Self {
        let (color, unreadable) = (Color::Rgb, Unreadable::Error);
        ImageFolder { height, width, color, middle: false, scale: None, unreadable }
    }

    /// In this colour.
    ///
    /// ```
    /// use tealight::data::image::Color;
    /// use tealight::data::{Dataset, ImageFolder};
    /// let dir = std::env::temp_dir().join("tealight-doc-folder-color");
    /// std::fs::create_dir_all(dir.join("cats"))?;
    /// std::fs::write(dir.join("cats/1.pgm"), "P2 2 1 255 0 51\n")?;
    /// let (input, _) = ImageFolder::new(1, 2).color(Color::Gray).open(&dir)?.get(0)?;
    /// assert_eq!(input.to_vec3::<f32>()?, [[[0.0, 0.2]]]); // one channel
    /// # std::fs::remove_dir_all(dir).ok();
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn color(mut self, color: Color) -> Self {
        self.color = color;
        self
    }

    /// The middle of each picture: what is too wide or too high is cut off before it is resized, so that proportions stay.
    ///
    /// ```
    /// use tealight::data::image::Color;
    /// use tealight::data::{Dataset, ImageFolder};
    /// let dir = std::env::temp_dir().join("tealight-doc-folder-middle");
    /// std::fs::create_dir_all(dir.join("cats"))?;
    /// std::fs::write(dir.join("cats/1.pgm"), "P2 3 1 255 0 51 255\n")?;
    /// let (input, _) = ImageFolder::new(1, 1).color(Color::Gray).center_crop().open(&dir)?.get(0)?;
    /// assert_eq!(input.to_vec3::<f32>()?, [[[0.2]]]); // the pixel in the middle, 51 of 255
    /// # std::fs::remove_dir_all(dir).ok();
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[doc(alias = "CenterCrop")]
    pub fn center_crop(mut self) -> Self {
        self.middle = true;
        self
    }

    /// (x − mean) / std of each channel, with x from 0 to 1.
    ///
    /// ```
    /// use tealight::data::image::Color;
    /// use tealight::data::{Dataset, ImageFolder};
    /// let dir = std::env::temp_dir().join("tealight-doc-folder-normalize");
    /// std::fs::create_dir_all(dir.join("cats"))?;
    /// std::fs::write(dir.join("cats/1.pgm"), "P2 2 1 255 0 255\n")?;
    /// let grey = ImageFolder::new(1, 2).color(Color::Gray);
    /// let (input, _) = grey.normalize(&[0.5], &[0.25]).open(&dir)?.get(0)?;
    /// assert_eq!(input.to_vec3::<f32>()?, [[[-2.0, 2.0]]]);
    /// # std::fs::remove_dir_all(dir).ok();
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn normalize(mut self, mean: &[f32], std: &[f32]) -> Self {
        self.scale = Some((mean.to_vec(), std.to_vec()));
        self
    }

    /// What happens to files that are no picture.
    ///
    /// ```
    /// use tealight::data::{ImageFolder, Unreadable};
    /// let dir = std::env::temp_dir().join("tealight-doc-folder-unreadable");
    /// std::fs::create_dir_all(dir.join("cats"))?;
    /// std::fs::write(dir.join("cats/1.pgm"), "P2 2 1 255 0 51\n")?;
    /// std::fs::write(dir.join("notes.txt"), "a stray file")?;
    /// assert!(ImageFolder::new(8, 8).open(&dir).is_err());
    /// assert_eq!(ImageFolder::new(8, 8).unreadable(Unreadable::Skip).open(&dir)?.skipped().len(), 1);
    /// # std::fs::remove_dir_all(dir).ok();
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn unreadable(mut self, unreadable: Unreadable) -> Self {
        self.unreadable = unreadable;
        self
    }

    /// The pictures of a directory as a data set that reads each when it is asked for. A
    /// [`DataLoader`](super::DataLoader) with [`num_workers`](super::DataLoader::num_workers) decodes in the background.
    ///
    /// The classes are numbered by name, and the pictures of a class come in the order of their names, on every machine.
    /// Hidden files and directories (`.name`) are passed over.
    ///
    /// # Shapes
    /// An input is (channels, height, width), as convolutions take it: f32 from 0 to 1, unless they are
    /// [normalized](ImageFolder::normalize). Its target is the class number, a u32.
    ///
    /// # Errors
    /// A directory that cannot be read, that has no sub-directory, or in which there are no pictures; files beside the
    /// sub-directories, unless they are skipped; another number of means or deviations than of channels, or deviations that
    /// are not above 0; a size that [`resize`](super::image::resize) refuses.
    ///
    /// ```
    /// use tealight::data::{DataLoader, RandomHorizontalFlip, ImageFolder};
    /// let dir = std::env::temp_dir().join("tealight-doc-folder-open");
    /// std::fs::create_dir_all(dir.join("cats"))?;
    /// std::fs::write(dir.join("cats/1.pgm"), "P2 2 1 255 0 51\n")?;
    /// let pets = ImageFolder::new(8, 8).center_crop().normalize(&[0.5; 3], &[0.25; 3]).open(&dir)?;
    /// let mut loader = DataLoader::new(&pets, 32)?.shuffle(1).augment(RandomHorizontalFlip(0.5), 1).num_workers(4);
    /// for batch in loader.epoch()? {
    ///     assert_eq!(batch?.0.dims(), [1, 3, 8, 8]);
    /// }
    /// # std::fs::remove_dir_all(dir).ok();
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn open(&self, directory: impl AsRef<Path>) -> Result<ImageFolderDataset> {
        let directory = directory.as_ref();
        self.check()?;
        let (classes, mut files, mut skipped) = listed(directory)?;
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
            return Err(nothing(directory, &classes, &skipped));
        }
        Ok(ImageFolderDataset {
            options: self.clone(),
            files: files.into(),
            classes,
            skipped: skipped.into(),
        })
    }

    fn channels(&self) -> usize {
        if self.color == Color::Gray { 1 } else { 3 }
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
        let bytes = read_resized(
            path,
            &ReadOptions::new().color(self.color),
            (self.height, self.width),
            self.middle,
        )?;
        let mut numbers: Vec<f32> = bytes.into_iter().map(|byte| f32::from(byte) / 255.0).collect();
        if let Some((mean, std)) = &self.scale {
            for pixel in numbers.chunks_exact_mut(mean.len()) {
                pixel.iter_mut().zip(mean).zip(std).for_each(|((x, mean), std)| *x = (*x - mean) / std);
            }
        }
        Ok(numbers)
    }
}

/// The pictures of a directory, all at once, and an error for each file that could not be read.
///
/// The classes are numbered by name, and the pictures of a class come in the order of their names, on every machine.
/// Hidden files and directories (`.name`) are passed over; every other file is tried. Alpha is discarded.
/// [`ImageFolder::open`] gives the same pictures without holding them all.
///
/// # Shapes
/// Inputs (n, height, width, channels), f32 from 0 to 1, with 3 channels, or 1 for [`Color::Gray`].
///
/// # Errors
/// A directory that cannot be read, that has no sub-directory, or in which no picture can be read; options that
/// [`ImageFolder::open`] refuses.
///
/// ```
/// use tealight::data::{ImageFolder, image_folder};
/// let dir = std::env::temp_dir().join("tealight-doc-image-folder");
/// std::fs::create_dir_all(dir.join("cats"))?;
/// std::fs::write(dir.join("cats/1.pgm"), "P2 2 1 255 0 51\n")?;
/// std::fs::write(dir.join("cats/2.txt"), "asleep")?;
/// let (pets, unreadable) = image_folder(&dir, &ImageFolder::new(8, 8))?;
/// assert_eq!(pets.inputs.dims(), [1, 8, 8, 3]);
/// assert!(unreadable[0].to_string().contains("2.txt: expected a PNG, JPEG, "));
/// # std::fs::remove_dir_all(dir).ok();
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[doc(alias = "ImageFolder")]
pub fn image_folder(
    directory: impl AsRef<Path>,
    options: &ImageFolder,
) -> Result<(LabeledDataset, Vec<Error>)> {
    let directory = directory.as_ref();
    options.check()?;
    let (classes, files, mut errors) = listed(directory)?;
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
        return Err(nothing(directory, &classes, &errors));
    }
    let count = targets.len();
    let shape = (count, options.height, options.width, options.channels());
    let labelled = LabeledDataset {
        inputs: Tensor::from_vec(inputs, shape, &Device::Cpu)?,
        targets: Tensor::from_vec(targets, count, &Device::Cpu)?,
        classes,
        features: Vec::new(),
    };
    Ok((labelled, errors))
}
