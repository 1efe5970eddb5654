//! [`ImageFolderDataset`]: the pictures of a directory, each read when it is asked for.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use candle_core::Device;
use rayon::prelude::*;

use super::ImageFolder;
use crate::autograd::Tensor;
use crate::data::dataset::{Dataset, check, stacked};
use crate::error::{Error, Result};

/// The pictures of a directory, each read when it is asked for: [`ImageFolder::open`].
///
/// ```
/// use tealight::data::{Dataset, ImageFolder, ImageFolderDataset};
/// let dir = std::env::temp_dir().join("tealight-doc-image-folder-dataset");
/// std::fs::create_dir_all(dir.join("cats"))?;
/// std::fs::write(dir.join("cats/1.pgm"), "P2 2 1 255 0 51\n")?;
/// std::fs::write(dir.join("cats/2.pgm"), "P2 2 1 255 51 0\n")?;
/// let pictures: ImageFolderDataset = ImageFolder::new(8, 8).open(&dir)?;
/// assert_eq!(pictures.batch(&[1, 0])?.0.dims(), [2, 3, 8, 8]);
/// # std::fs::remove_dir_all(dir).ok();
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct ImageFolderDataset {
    pub(super) options: ImageFolder,
    pub(super) files: Arc<[(u32, PathBuf)]>,
    pub(super) classes: Vec<String>,
    pub(super) skipped: Arc<[Error]>,
}

impl ImageFolderDataset {
    /// The name of each class: class number 0 first.
    ///
    /// ```
    /// use tealight::data::ImageFolder;
    /// let dir = std::env::temp_dir().join("tealight-doc-image-folder-dataset-names");
    /// for class in ["dogs", "cats"] {
    ///     std::fs::create_dir_all(dir.join(class))?;
    ///     std::fs::write(dir.join(class).join("1.pgm"), "P2 2 1 255 0 51\n")?;
    /// }
    /// assert_eq!(ImageFolder::new(8, 8).open(&dir)?.classes(), ["cats", "dogs"]);
    /// # std::fs::remove_dir_all(dir).ok();
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn classes(&self) -> &[String] {
        &self.classes
    }

    /// The class number of each picture, (n) of u32: for a stratified split.
    ///
    /// # Errors
    /// None in practice.
    ///
    /// ```
    /// use tealight::data::{ImageFolder, stratified_split};
    /// use tealight::prelude::*;
    /// let dir = std::env::temp_dir().join("tealight-doc-image-folder-dataset-classes");
    /// for file in ["cats/1.pgm", "cats/2.pgm", "dogs/1.pgm", "dogs/2.pgm"].map(|file| dir.join(file)) {
    ///     std::fs::create_dir_all(file.parent().unwrap())?;
    ///     std::fs::write(file, "P2 2 1 255 0 51\n")?;
    /// }
    /// let classes = ImageFolder::new(8, 8).open(&dir)?.targets()?;
    /// assert_eq!(classes.to_vec1::<u32>()?, [0, 0, 1, 1]);
    /// let (_, test) = stratified_split(&classes, 0.5, &mut Rng::seed(1))?;
    /// assert_eq!(test.iter().filter(|&&i| i < 2).count(), 1); // one cat, and one dog
    /// # std::fs::remove_dir_all(dir).ok();
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn targets(&self) -> Result<Tensor> {
        Tensor::from_vec(self.files.iter().map(|(class, _)| *class).collect(), self.files.len(), &Device::Cpu)
    }

    /// Where the pictures are.
    ///
    /// ```
    /// use tealight::data::ImageFolder;
    /// let dir = std::env::temp_dir().join("tealight-doc-image-folder-dataset-paths");
    /// std::fs::create_dir_all(dir.join("cats"))?;
    /// std::fs::write(dir.join("cats/b.pgm"), "P2 2 1 255 0 51\n")?;
    /// std::fs::write(dir.join("cats/a.pgm"), "P2 2 1 255 51 0\n")?;
    /// let pictures = ImageFolder::new(8, 8).open(&dir)?;
    /// assert!(pictures.paths().eq([dir.join("cats/a.pgm"), dir.join("cats/b.pgm")]));
    /// # std::fs::remove_dir_all(dir).ok();
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn paths(&self) -> impl Iterator<Item = &Path> {
        self.files.iter().map(|(_, path)| path.as_path())
    }

    /// An error for each file that was left out ([`Unreadable::Skip`](super::Unreadable::Skip)).
    ///
    /// ```
    /// use tealight::data::{ImageFolder, Unreadable};
    /// let dir = std::env::temp_dir().join("tealight-doc-image-folder-dataset-skipped");
    /// std::fs::create_dir_all(dir.join("cats"))?;
    /// std::fs::write(dir.join("cats/1.pgm"), "P2 2 1 255 0 51\n")?;
    /// std::fs::write(dir.join("cats/2.pgm"), "")?;
    /// let pictures = ImageFolder::new(8, 8).unreadable(Unreadable::Skip).open(&dir)?;
    /// assert!(pictures.skipped()[0].to_string().ends_with("2.pgm: expected a picture, got an empty file"));
    /// # std::fs::remove_dir_all(dir).ok();
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn skipped(&self) -> &[Error] {
        &self.skipped
    }
}

impl Dataset for ImageFolderDataset {
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
