//! Data sets, tables, images and loaders.
//!
//! A [`Dataset`] has examples, each an input and a target: [`LabeledDataset`] (with the names of the classes), [`TensorDataset`],
//! [`from_fn`], or your own. A [`DataLoader`] gives them in batches, epoch after epoch.

mod augment;
mod breast_cancer;
mod dataset;
#[cfg(feature = "image")]
mod digits;
#[cfg(feature = "image")]
mod folder;
mod idx;
#[cfg(feature = "image")]
pub mod image;
mod iris;
mod labeled_dataset;
mod loader;
mod mnist;
mod split;
#[cfg(feature = "csv")]
mod table;
mod unroll;

pub use augment::{
    Augment, ChannelsLast, ColorJitter, GaussianNoise, RandomCrop, RandomHorizontalFlip, RandomRotation,
    RandomVerticalFlip, Then,
};
#[cfg(feature = "image")]
pub use augment::{RandomErasing, RandomResizedCrop};
pub use breast_cancer::breast_cancer;
pub use dataset::{
    Dataset, FromFn, IterableDataset, Mapped, MultiDataset, MultiTensorDataset, Pieces, Subset,
    TensorDataset, from_fn,
};
#[cfg(feature = "image")]
pub use digits::digits;
#[cfg(feature = "tar")]
pub use folder::ImageStream;
#[cfg(feature = "image")]
pub use folder::{ImageFolder, ImageFolderOptions, Unreadable, image_folder};
pub use idx::read_idx;
pub use iris::iris;
pub use labeled_dataset::LabeledDataset;
pub use loader::{DataLoader, Epoch, Position};
pub use mnist::{fashion_mnist, mnist};
pub use split::{Folds, k_fold, random_split, stratified_k_fold, stratified_split};
#[cfg(feature = "csv")]
pub use table::{
    ColumnKind, FillValue, Missing, Table, TableColumn, TableError, TableHint, TableOptions, TableSchema,
    TableStream, TableValue, read_csv,
};
pub use unroll::image_to_vector;
