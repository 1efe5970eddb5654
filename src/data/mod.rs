//! Pictures, tables and the small real data sets that ship with the crate.
//!
//! A data set is a [`Labelled`]: inputs, a class number for each, and the names of the classes.

#[cfg(feature = "csv")]
mod breast_cancer;
#[cfg(feature = "image")]
mod digits;
#[cfg(feature = "image")]
mod folder;
#[cfg(feature = "image")]
pub mod image;
#[cfg(feature = "csv")]
mod iris;
mod labelled;
mod unroll;

#[cfg(feature = "csv")]
pub use breast_cancer::breast_cancer;
#[cfg(feature = "image")]
pub use digits::digits;
#[cfg(feature = "image")]
pub use folder::{ImageFolder, image_folder};
#[cfg(feature = "csv")]
pub use iris::iris;
pub use labelled::Labelled;
pub use unroll::image_to_vector;
