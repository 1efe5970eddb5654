//! [`IterableDataset`]: examples that are read one after the other.

use std::sync::Arc;

use super::multi::{Batch, MultiDataset};
use crate::autograd::Tensor;
use crate::error::{Error, Result};

/// The pieces of an [`IterableDataset`], one after the other.
pub type Pieces = Box<dyn Iterator<Item = Result<(Tensor, Tensor)>> + Send>;

/// Examples that are read from the first to the last, such as those of files that do not fit in memory:
/// [`DataLoader::iterable`](super::super::DataLoader::iterable) gives them in batches.
///
/// ```
/// # use tealight::data::{DataLoader, IterableDataset, Pieces};
/// # use tealight::prelude::*;
/// #[derive(Clone)]
/// struct Counter; // a hundred numbers in pieces of ten, and their doubles
///
/// impl IterableDataset for Counter {
///     fn len(&self) -> usize { 100 }
///
///     fn iter(&self) -> Result<Pieces> {
///         let piece = |i| {
///             let x = Tensor::arange(10.0 * f64::from(i), 10.0 * f64::from(i + 1), &Device::Cpu)?;
///             Ok((x.clone(), (x * 2.0)?))
///         };
///         Ok(Box::new((0..10).map(piece)))
///     }
/// }
///
/// let mut loader = DataLoader::iterable(&Counter, 32)?.shuffle(1).buffer_size(50);
/// assert_eq!(loader.epoch()?.next().unwrap()?.0.dims(), [32]);
/// # Ok::<(), tealight::Error>(())
/// ```
pub trait IterableDataset: Send + Sync {
    /// The number of examples.
    fn len(&self) -> usize;

    /// The examples from the first on, the same each time, in pieces of any length: their inputs and their targets, each along a
    /// first axis.
    fn iter(&self) -> Result<Pieces>;

    /// Whether there are no examples.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl<D: IterableDataset + ?Sized> IterableDataset for Arc<D> {
    fn len(&self) -> usize {
        (**self).len()
    }

    fn iter(&self) -> Result<Pieces> {
        (**self).iter()
    }
}

/// An iterable data set where only the number of examples is asked for.
#[derive(Clone)]
pub(in crate::data) struct Counted(pub(in crate::data) usize);

impl MultiDataset for Counted {
    fn num_examples(&self) -> usize {
        self.0
    }

    fn get_multi(&self, index: usize) -> Result<Batch> {
        Err(Error::argument("get", "a data set with examples by index, not an iterable one", index))
    }
}
