//! [`Batches`]: what a trainer accepts as data.

use crate::autograd::Tensor;
use crate::data::{DataLoader, MultiDataset, MultiTensorDataset, TensorDataset};
use crate::error::Result;

/// What a trainer accepts as data: a pair of tensors (inputs and targets), one tensor (which is its own target), a pair of lists of
/// tensors (several inputs and targets), any [`Dataset`](crate::data::Dataset) or [`MultiDataset`] that is `Clone`, or a
/// [`DataLoader`].
///
/// ```
/// # use tealight::prelude::*;
/// # use tealight::train::Batches;
/// let x = Tensor::ones((10, 2), DType::F32, &Device::Cpu)?;
/// assert_eq!((x.clone(), x.sum(1)?).batches(4, Some(1))?.len(), 3); // 4, 4 and 2 examples
/// # Ok::<(), tealight::Error>(())
/// ```
pub trait Batches {
    /// The examples in batches of `size`: for training, shuffled with `seed`; without one, all examples in their order and
    /// without augmentation, to evaluate or predict.
    ///
    /// # Errors
    /// Errors if `size` is 0.
    fn batches(&self, size: usize, seed: Option<u64>) -> Result<DataLoader>;
}

impl<D: MultiDataset + Clone + 'static> Batches for D {
    fn batches(&self, size: usize, seed: Option<u64>) -> Result<DataLoader> {
        let loader = DataLoader::new(self, size)?;
        // Shuffling a single batch would change only the rounding.
        Ok(match seed.filter(|_| size < self.num_examples()) {
            Some(seed) => loader.shuffle(seed),
            None => loader,
        })
    }
}

impl Batches for (Tensor, Tensor) {
    fn batches(&self, size: usize, seed: Option<u64>) -> Result<DataLoader> {
        TensorDataset::new(&self.0, &self.1)?.batches(size, seed)
    }
}

impl Batches for Tensor {
    fn batches(&self, size: usize, seed: Option<u64>) -> Result<DataLoader> {
        TensorDataset::new(self, self)?.batches(size, seed)
    }
}

impl Batches for (Vec<Tensor>, Vec<Tensor>) {
    fn batches(&self, size: usize, seed: Option<u64>) -> Result<DataLoader> {
        let (inputs, targets): (Vec<_>, Vec<_>) = (self.0.iter().collect(), self.1.iter().collect());
        MultiTensorDataset::new(&inputs, &targets)?.batches(size, seed)
    }
}

/// The loader with its own batch size and threads; for training also with its own order, weights, augmentation and `drop_last`.
/// Training starts at its position, and does not move it.
impl Batches for DataLoader {
    fn batches(&self, _: usize, seed: Option<u64>) -> Result<DataLoader> {
        Ok(if seed.is_some() { self.clone() } else { self.in_order() })
    }
}
