//! [`Batches`]: what a trainer can take its examples from.

use crate::autograd::Tensor;
use crate::data::{DataLoader, Dataset, TensorDataset};
use crate::error::Result;

/// What a trainer can take its examples from: any [`Dataset`] that can be cloned, inputs and targets as a pair of tensors, one
/// tensor (which is its own target), or a [`DataLoader`], which goes its own way.
///
/// ```
/// use tealight::data::DataLoader;
/// use tealight::prelude::*;
/// use tealight::train::Trainer;
/// let x = Tensor::ones((10, 2), DType::F32, &Device::Cpu)?;
/// let pair = (x.clone(), x.sum_keepdim(1)?);
/// let model = Linear::new(2, 1, &mut Rng::seed(1))?;
/// let mut trainer = Trainer::new(&model, Mse, Sgd::new(model.parameters(), 0.1)?).silent();
/// trainer.fit(&pair, None)?;
/// assert_eq!(trainer.predict(&x)?.dims(), [10, 1]);
/// # Ok::<(), tealight::Error>(())
/// ```
pub trait Batches {
    /// The examples in batches of this size, in an order from this seed or, without one, as they are.
    ///
    /// # Errors
    /// A size of 0.
    ///
    /// ```
    /// use tealight::prelude::*;
    /// use tealight::train::Batches;
    /// let x = Tensor::ones((10, 2), DType::F32, &Device::Cpu)?;
    /// assert_eq!(x.batches(4, Some(1))?.len(), 3); // 4, 4 and 2 examples
    /// assert!(x.batches(0, None).is_err());
    /// # Ok::<(), tealight::Error>(())
    /// ```
    fn batches(&self, size: usize, seed: Option<u64>) -> Result<DataLoader>;
}

impl<D: Dataset + Clone + 'static> Batches for D {
    fn batches(&self, size: usize, seed: Option<u64>) -> Result<DataLoader> {
        let loader = DataLoader::new(self, size)?;
        // The order within a batch of everything would change nothing but the rounding.
        Ok(match seed.filter(|_| size < self.len()) {
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

/// The loader as it is: its own size, order, threads and augmentation. A run starts where the loader is, and leaves it there.
impl Batches for DataLoader {
    fn batches(&self, _: usize, _: Option<u64>) -> Result<DataLoader> {
        Ok(self.clone())
    }
}
