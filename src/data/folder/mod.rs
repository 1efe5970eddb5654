//! Directories of images with one sub-directory per class.

mod dataset;
mod listing;
#[cfg(feature = "tar")]
mod stream;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use candle_core::Device;

pub use dataset::ImageFolder;
#[cfg(feature = "tar")]
pub use stream::ImageStream;
#[cfg(all(feature = "tar", feature = "parquet"))]
pub(super) use stream::{Sample, Take};

use super::LabeledDataset;
use super::image::{Color, Fit, Interpolation, Pixels, ReadOptions, Size};
use crate::autograd::Tensor;
use crate::error::{Error, Result};
use crate::file::file_error;
use crate::kernel;
use listing::{list, no_images};

/// Options for a directory with one sub-directory per class (`cats/1.jpg`, `cats/2.png`, `dogs/1.jpg`, …).
///
/// [`open`](ImageFolderOptions::open) reads each image when it is needed, [`image_folder`] all at once, [`read`](ImageFolderOptions::read) one
/// from anywhere: to use a model, read new images by the options that it was trained with.
///
/// An image is
/// 1. turned as its Exif data say, unless [`exif_orientation`](ImageFolderOptions::exif_orientation) is off,
/// 2. converted to RGB or another [`color`](ImageFolderOptions::color), transparent parts on white or another
///    [`background`](ImageFolderOptions::background),
/// 3. resized to the height and width whatever its proportions, by the filter of [`interpolation`](ImageFolderOptions::interpolation);
///    [`resize`](ImageFolderOptions::resize), [`crop_to_aspect_ratio`](ImageFolderOptions::crop_to_aspect_ratio) and
///    [`pad_to_aspect_ratio`](ImageFolderOptions::pad_to_aspect_ratio) keep the proportions,
/// 4. converted to f32 from 0 to 1, and [normalized](ImageFolderOptions::normalize) if asked for,
///
/// and has the axes (channels, height, width).
///
/// Files may lie at any depth below the directory of their class. Classes are in the order of their names, on every machine, and
/// their names are in Unicode's composed form (NFC): `é` is one letter, however a file system writes it. Hidden files and
/// directories (`.name`) and what archives and desktops leave (`__MACOSX`, `Thumbs.db`, `desktop.ini`) are ignored.
///
/// ```
/// # use tealight::data::ImageFolderOptions;
/// # let dir = std::env::temp_dir().join("tealight-doc-folder");
/// for class in ["dogs", "cats"] {
///     std::fs::create_dir_all(dir.join(class))?;
///     std::fs::write(dir.join(class).join("1.pgm"), "P2 2 1 255 0 51\n")?;
/// }
/// let pets = ImageFolderOptions::new(224, 224).resize(256).normalize(&[0.5; 3], &[0.25; 3]).open(&dir)?;
/// assert_eq!((pets.classes(), pets.targets()?.to_vec1::<u32>()?), (&["cats".to_string(), "dogs".into()][..], vec![0, 1]));
/// # std::fs::remove_dir_all(dir).ok();
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
#[doc(alias = "image_dataset_from_directory")]
pub struct ImageFolderOptions {
    height: usize,
    width: usize,
    color: Color,
    read: ReadOptions,
    fit: Fit,
    interpolation: Interpolation,
    normalize: Option<(Vec<f32>, Vec<f32>)>,
    unreadable: Unreadable,
}

/// What [`ImageFolderOptions::open`] does with files that are no image.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Unreadable {
    /// Reading the file is an error.
    #[default]
    Error,
    /// Such files are left out and listed by [`ImageFolder::skipped`]. All files are decoded once when the directory is opened.
    Skip,
}

impl ImageFolderOptions {
    /// RGB images, resized to this size whatever their proportions.
    pub fn new(height: usize, width: usize) -> Self {
        let color = Color::Rgb;
        ImageFolderOptions {
            height,
            width,
            color,
            read: ReadOptions::new().color(color),
            fit: Fit::Stretch,
            interpolation: Interpolation::Bilinear,
            normalize: None,
            unreadable: Unreadable::Error,
        }
    }

    /// The channels to convert to. Default: [`Color::Rgb`].
    pub fn color(mut self, color: Color) -> Self {
        self.color = color;
        self.read = self.read.color(color);
        self
    }

    /// The colour (red, green, blue) behind transparent parts. Default: white, `[255; 3]`.
    pub fn background(mut self, color: [u8; 3]) -> Self {
        self.read = self.read.background(color);
        self
    }

    /// Discards the alpha channel, as torchvision and Pillow's `convert("RGB")` do: see [`ReadOptions::without_alpha`].
    pub fn without_alpha(mut self) -> Self {
        self.read = self.read.without_alpha();
        self
    }

    /// Whether photos are turned as their Exif data say. Default: `true`. torchvision and Keras turn no files but TIFF, which are
    /// always turned.
    pub fn exif_orientation(mut self, turn: bool) -> Self {
        self.read = self.read.exif_orientation(turn);
        self
    }

    /// The most bytes of a file, and of an image as decoded. Default: [`MAX_BYTES`](super::image::MAX_BYTES).
    pub fn max_bytes(mut self, max_bytes: usize) -> Self {
        self.read = self.read.max_bytes(max_bytes);
        self
    }

    /// The filter of resizing. Default: [`Interpolation::Bilinear`], which is torchvision's.
    pub fn interpolation(mut self, interpolation: Interpolation) -> Self {
        self.interpolation = interpolation;
        self
    }

    /// Resizes to this size first, and takes the centre of it: `ImageFolderOptions::new(224, 224).resize(256)` is torchvision's
    /// `Resize(256)` and `CenterCrop(224)`. A number is the shorter side, as [`image::resize`](super::image::resize) has it.
    #[doc(alias = "Resize")]
    #[doc(alias = "CenterCrop")]
    pub fn resize(mut self, size: impl Into<Size>) -> Self {
        self.fit = Fit::CenterCrop(size.into());
        self
    }

    /// Keeps the proportions, as Keras's option of this name: cuts off what is too wide or too high, and then resizes.
    pub fn crop_to_aspect_ratio(mut self) -> Self {
        self.fit = Fit::AspectRatio;
        self
    }

    /// Keeps the proportions and the whole image, as Pillow's `ImageOps.pad`: resizes it so that it just fits, and fills up both
    /// sides with the [`background`](ImageFolderOptions::background), or with black [without alpha](ImageFolderOptions::without_alpha).
    #[doc(alias = "Pad")]
    #[doc(alias = "letterbox")]
    pub fn pad_to_aspect_ratio(mut self) -> Self {
        self.fit = Fit::Pad;
        self
    }

    /// Normalizes each channel to (x − mean) / std, where x is from 0 to 1.
    ///
    /// ```
    /// # use tealight::data::image::Color;
    /// # use tealight::data::{Dataset, ImageFolderOptions};
    /// # let dir = std::env::temp_dir().join("tealight-doc-folder-normalize");
    /// # std::fs::create_dir_all(dir.join("cats"))?;
    /// std::fs::write(dir.join("cats/1.pgm"), "P2 2 1 255 0 255\n")?;
    /// let gray = ImageFolderOptions::new(1, 2).color(Color::Gray);
    /// let (input, _) = gray.normalize(&[0.5], &[0.25]).open(&dir)?.get(0)?;
    /// assert_eq!(input.to_vec3::<f32>()?, [[[-2.0, 2.0]]]);
    /// # std::fs::remove_dir_all(dir).ok();
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn normalize(mut self, mean: &[f32], std: &[f32]) -> Self {
        self.normalize = Some((mean.to_vec(), std.to_vec()));
        self
    }

    /// What to do with files that are no image. Default: [`Unreadable::Error`].
    pub fn unreadable(mut self, unreadable: Unreadable) -> Self {
        self.unreadable = unreadable;
        self
    }

    /// The images of a directory as a data set that reads each when it is needed.
    ///
    /// Inputs: (channels, height, width), f32 from 0 to 1 unless [normalized](ImageFolderOptions::normalize). Targets: the class index, a
    /// u32 scalar. [`DataLoader::num_workers`](super::DataLoader::num_workers) decodes in the background.
    ///
    /// # Errors
    /// Errors if the directory cannot be read, has no sub-directory or no image, or has one of images to train on and one of
    /// images to test with; if there are files beside the sub-directories that may not be skipped; if the means and deviations
    /// are not one per channel, with deviations above 0.
    pub fn open(&self, directory: impl AsRef<Path>) -> Result<ImageFolder> {
        let directory = directory.as_ref();
        self.check()?;
        let (classes, mut files, mut skipped) = list(directory)?;
        match self.unreadable {
            Unreadable::Error if !skipped.is_empty() => return Err(skipped.remove(0)),
            Unreadable::Error => {}
            Unreadable::Skip => {
                let found =
                    readable(files, &mut skipped, |path| self.planes(&pixels(path, &self.read)?).map(drop))?;
                files = found.into_iter().map(|(file, ())| file).collect();
            }
        }
        if files.is_empty() {
            return Err(no_images(directory, &classes, &skipped));
        }
        Ok(ImageFolder { options: self.clone(), files: files.into(), classes, skipped: skipped.into() })
    }

    fn channels(&self) -> usize {
        match self.color {
            Color::Gray => 1,
            Color::Rgb => 3,
        }
    }

    fn check(&self) -> Result<()> {
        let Some((mean, std)) = &self.normalize else { return Ok(()) };
        let lengths = [mean.len(), std.len()] == [self.channels(); 2];
        if lengths && mean.iter().all(|x| x.is_finite()) && std.iter().all(|&x| x > 0.0 && x.is_finite()) {
            return Ok(());
        }
        let expected = format!("{0} means, and {0} deviations above 0", self.channels());
        Err(Error::argument("ImageFolderOptions::normalize", expected, format!("{mean:?} and {std:?}")))
    }

    /// One image from a file, (channels, height, width), as the images of a directory are read.
    pub fn read(&self, path: impl AsRef<Path>) -> Result<Tensor> {
        self.check()?;
        self.tensor(&pixels(path.as_ref(), &self.read)?)
    }

    /// [`read`](ImageFolderOptions::read) from the bytes of a file; `name` stands for the path in errors.
    pub fn from_bytes(&self, name: impl AsRef<Path>, bytes: &[u8]) -> Result<Tensor> {
        self.check()?;
        self.tensor(&self.read.decode(name.as_ref(), bytes)?)
    }

    fn tensor(&self, pixels: &Pixels) -> Result<Tensor> {
        let shape = (self.channels(), self.height, self.width);
        Tensor::from_vec(self.planes(pixels)?, shape, &Device::Cpu)
    }

    /// The numbers of an image, (channels, height, width).
    fn planes(&self, pixels: &Pixels) -> Result<Vec<f32>> {
        let fitted =
            pixels.fitted((self.height, self.width), self.fit, self.interpolation, self.read.ground())?;
        let mut planes = Vec::with_capacity(fitted.bytes.len());
        for channel in 0..fitted.channels {
            let bytes = fitted.bytes.iter().skip(channel).step_by(fitted.channels);
            let numbers = bytes.map(|&byte| f32::from(byte) / 255.0);
            match &self.normalize {
                None => planes.extend(numbers),
                Some((mean, std)) => planes.extend(numbers.map(|x| (x - mean[channel]) / std[channel])),
            }
        }
        Ok(planes)
    }
}

fn pixels(path: &Path, options: &ReadOptions) -> Result<Pixels> {
    // Reading a pipe could block forever.
    if path.exists() && !path.is_file() {
        return Err(file_error(path, "expected an image, got something that is no file"));
    }
    options.read(path)
}

/// The files that `read` can read, with its results; the errors of the others go to `errors`.
fn readable<T: Send>(
    files: Vec<(u32, PathBuf)>,
    errors: &mut Vec<Error>,
    read: impl Fn(&Path) -> Result<T> + Sync,
) -> Result<Vec<((u32, PathBuf), T)>> {
    let results = kernel::map_each(&files, |(_, path)| read(path));
    let mut found = Vec::with_capacity(files.len());
    for (file, result) in files.into_iter().zip(results) {
        match result {
            Ok(result) => found.push((file, result)),
            Err(error @ Error::File { .. }) => errors.push(error),
            Err(error) => return Err(error),
        }
    }
    Ok(found)
}

/// Reads all images of a directory at once; returns them, the path of each, and an error for each file that could not be read.
///
/// Inputs: (n, channels, height, width), f32 from 0 to 1 unless [normalized](ImageFolderOptions::normalize). Errors as
/// [`ImageFolderOptions::open`] does, and if no image can be read.
///
/// ```
/// # use tealight::data::{ImageFolderOptions, image_folder};
/// # let dir = std::env::temp_dir().join("tealight-doc-image-folder");
/// # std::fs::create_dir_all(dir.join("cats"))?;
/// std::fs::write(dir.join("cats/1.pgm"), "P2 2 1 255 0 51\n")?;
/// std::fs::write(dir.join("cats/2.txt"), "asleep")?;
/// let (pets, paths, unreadable) = image_folder(&dir, &ImageFolderOptions::new(8, 8))?;
/// assert_eq!((pets.inputs.dims(), &paths[0]), (&[1, 3, 8, 8][..], &dir.join("cats/1.pgm")));
/// assert!(unreadable[0].to_string().contains("2.txt: expected a PNG, JPEG, "));
/// # std::fs::remove_dir_all(dir).ok();
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn image_folder(
    directory: impl AsRef<Path>,
    options: &ImageFolderOptions,
) -> Result<(LabeledDataset, Vec<PathBuf>, Vec<Error>)> {
    let directory = directory.as_ref();
    options.check()?;
    let (classes, files, mut errors) = list(directory)?;
    let found = readable(files, &mut errors, |path| options.planes(&pixels(path, &options.read)?))?;
    if found.is_empty() {
        return Err(no_images(directory, &classes, &errors));
    }
    let n = found.len();
    let (files, inputs): (Vec<(u32, PathBuf)>, Vec<Vec<f32>>) = found.into_iter().unzip();
    let (targets, paths): (Vec<u32>, Vec<PathBuf>) = files.into_iter().unzip();
    let shape = (n, options.channels(), options.height, options.width);
    let images = LabeledDataset {
        inputs: Tensor::from_vec(inputs.concat(), shape, &Device::Cpu)?,
        targets: Tensor::from_vec(targets, n, &Device::Cpu)?,
        classes,
        features: Vec::new(),
    };
    Ok((images, paths, errors))
}
