//! [`ImageFolder`]: images that are read when they are needed.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use candle_core::Device;

use super::ImageFolderOptions;
use crate::autograd::Tensor;
use crate::data::dataset::{Dataset, check, stacked};
use crate::error::{Error, Result};
use crate::kernel;

/// The images of a directory, each read when it is needed: [`ImageFolderOptions::open`].
///
/// ```
/// # use tealight::data::{Dataset, ImageFolderOptions};
/// # let dir = std::env::temp_dir().join("tealight-doc-image-folder-dataset");
/// # std::fs::create_dir_all(dir.join("cats"))?;
/// std::fs::write(dir.join("cats/1.pgm"), "P2 2 1 255 0 51\n")?;
/// std::fs::write(dir.join("cats/2.pgm"), "P2 2 1 255 51 0\n")?;
/// let images = ImageFolderOptions::new(8, 8).open(&dir)?;
/// assert_eq!(images.batch(&[1, 0])?.0.dims(), [2, 3, 8, 8]);
/// # std::fs::remove_dir_all(dir).ok();
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct ImageFolder {
    pub(super) options: ImageFolderOptions,
    pub(super) files: Arc<[(u32, PathBuf)]>,
    pub(super) classes: Vec<String>,
    pub(super) skipped: Arc<[Error]>,
}

impl ImageFolder {
    /// The name of each class.
    pub fn classes(&self) -> &[String] {
        &self.classes
    }

    /// The class index of each image, u32 of shape (n), as [`stratified_split`](crate::data::stratified_split) takes it.
    pub fn targets(&self) -> Result<Tensor> {
        Tensor::from_vec(self.files.iter().map(|(class, _)| *class).collect(), self.files.len(), &Device::Cpu)
    }

    /// The path of each image.
    #[doc(alias = "imgs")]
    pub fn paths(&self) -> impl Iterator<Item = &Path> {
        self.files.iter().map(|(_, path)| path.as_path())
    }

    /// An error for each file that was left out ([`Unreadable::Skip`](super::Unreadable::Skip)).
    pub fn skipped(&self) -> &[Error] {
        &self.skipped
    }
}

impl Dataset for ImageFolder {
    fn len(&self) -> usize {
        self.files.len()
    }

    fn get(&self, index: usize) -> Result<(Tensor, Tensor)> {
        check("get", index, self.files.len())?;
        let (class, path) = &self.files[index];
        Ok((self.options.read(path)?, Tensor::new(*class, &Device::Cpu)?))
    }

    /// Decodes in parallel.
    fn batch(&self, indices: &[usize]) -> Result<(Tensor, Tensor)> {
        let examples = kernel::map_each(indices, |&index| self.get(index));
        stacked(examples.into_iter())
    }
}
