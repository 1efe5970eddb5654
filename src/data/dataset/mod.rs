//! [`Dataset`] and the data sets that are made of tensors, functions and other data sets.

mod iterable;
mod multi;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use candle_core::Device;

pub(super) use iterable::Counted;
pub use iterable::{IterableDataset, Pieces};
pub(super) use multi::{Batch, stacked_lists};
pub use multi::{MultiDataset, MultiTensorDataset};

use super::LabeledDataset;
use crate::autograd::Tensor;
use crate::error::{Error, Result};

/// Examples, each an input and a target, by index; with several of them, see [`MultiDataset`].
///
/// The examples never change: shuffling and augmenting belong to the [`DataLoader`](super::DataLoader).
///
/// ```
/// # use tealight::data::Dataset;
/// # use tealight::prelude::*;
/// struct Parity; // the numbers below 100, and whether they are even
///
/// impl Dataset for Parity {
///     fn len(&self) -> usize { 100 }
///
///     fn get(&self, index: usize) -> Result<(Tensor, Tensor)> {
///         let input = Tensor::new(&[index as f32], &Device::Cpu)?;
///         Ok((input, Tensor::new((index % 2) as u32, &Device::Cpu)?))
///     }
/// }
///
/// assert_eq!(Parity.batch(&[7, 8])?.1.to_vec1::<u32>()?, [1, 0]);
/// # Ok::<(), tealight::Error>(())
/// ```
pub trait Dataset: Send + Sync {
    /// The number of examples.
    fn len(&self) -> usize;

    /// One example: its input and its target.
    fn get(&self, index: usize) -> Result<(Tensor, Tensor)>;

    /// Several examples: their inputs and their targets, each stacked along a new first axis.
    ///
    /// Errors if `indices` is empty, since the shape of an example is not known, or if the examples have different shapes or dtypes.
    #[doc(alias = "collate")]
    fn batch(&self, indices: &[usize]) -> Result<(Tensor, Tensor)> {
        let one = |&index: &usize| self.get(index).map_err(|error| error.context(format!("example {index}")));
        stacked(indices.iter().map(one))
    }

    /// Whether there are no examples.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The same examples with `f` applied to each input when it is read.
    ///
    /// ```
    /// # use tealight::data::{Dataset, TensorDataset};
    /// # use tealight::prelude::*;
    /// let x = Tensor::new(&[[1.0, 5.0], [3.0, 5.0]], &Device::Cpu)?;
    /// let scale = Standardize::fit(&x)?;
    /// let scaled = TensorDataset::new(&x, &x)?.map(move |x| scale.normalize(x)).map(|x| x * 2.0);
    /// assert_eq!(scaled.get(1)?.0.to_vec1::<f64>()?, [2.0, 0.0]);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    #[doc(alias = "transform")]
    fn map<F>(&self, f: F) -> Mapped<Self>
    where
        Self: Sized + Clone,
        F: Fn(&Tensor) -> Result<Tensor> + Send + Sync + 'static,
    {
        Mapped { dataset: self.clone(), f: Arc::new(f) }
    }

    /// The examples with these indices, in this order; an index may be repeated.
    ///
    /// ```
    /// # use tealight::data::{Dataset, TensorDataset, random_split};
    /// # use tealight::prelude::*;
    /// let x = Tensor::arange(0.0, 10.0, &Device::Cpu)?;
    /// let all = TensorDataset::new(&x, &x)?;
    /// let (train, test) = random_split(all.len(), 0.2, &mut Rng::seed(1))?;
    /// assert_eq!((all.subset(train)?.len(), all.subset(test)?.len()), (8, 2));
    /// # Ok::<(), tealight::Error>(())
    /// ```
    fn subset(&self, indices: Vec<usize>) -> Result<Subset<Self>>
    where
        Self: Sized + Clone,
    {
        indices.iter().try_for_each(|&index| check("subset", index, self.len()))?;
        Ok(Subset { dataset: self.clone(), indices: indices.into() })
    }
}

impl<D: Dataset + ?Sized> Dataset for Arc<D> {
    fn len(&self) -> usize {
        (**self).len()
    }

    fn get(&self, index: usize) -> Result<(Tensor, Tensor)> {
        (**self).get(index)
    }

    fn batch(&self, indices: &[usize]) -> Result<(Tensor, Tensor)> {
        (**self).batch(indices)
    }
}

/// Inputs and targets, each along a new first axis.
pub(super) fn stacked(examples: impl Iterator<Item = Result<(Tensor, Tensor)>>) -> Result<(Tensor, Tensor)> {
    let (inputs, targets): (Vec<_>, Vec<_>) = examples.collect::<Result<Vec<_>>>()?.into_iter().unzip();
    let all = |name: &str, tensors| Tensor::stack(tensors, 0).map_err(|error| error.context(name));
    Ok((all("inputs", &inputs)?, all("targets", &targets)?))
}

pub(super) fn check(op: &'static str, index: usize, len: usize) -> Result<()> {
    if index >= len {
        return Err(Error::argument(op, format!("an example below {len}"), index));
    }
    Ok(())
}

/// Examples in memory: the first axis of both tensors counts them.
///
/// ```
/// # use tealight::data::{Dataset, TensorDataset};
/// # use tealight::prelude::*;
/// let inputs = Tensor::arange(0.0, 6.0, &Device::Cpu)?.reshape((3, 2))?;
/// let targets = Tensor::new(&[0_u32, 1, 0], &Device::Cpu)?;
/// let data = TensorDataset::new(&inputs, &targets)?;
/// assert_eq!(data.len(), 3);
/// assert_eq!(data.batch(&[2, 0])?.0.to_vec2::<f64>()?, [[4.0, 5.0], [0.0, 1.0]]);
/// # Ok::<(), tealight::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct TensorDataset {
    /// The inputs, (n, …).
    pub inputs: Tensor,
    /// The targets, (n, …).
    pub targets: Tensor,
}

impl TensorDataset {
    /// Errors if the first axes of `inputs` and `targets` differ in length, or one of them is a scalar.
    pub fn new(inputs: &Tensor, targets: &Tensor) -> Result<Self> {
        if inputs.rank() == 0 || inputs.dims().first() != targets.dims().first() {
            let expected = "inputs (n, ..) and targets (n, ..)";
            return Err(Error::shape("TensorDataset", expected, &[inputs.dims(), targets.dims()]));
        }
        Ok(TensorDataset { inputs: inputs.clone(), targets: targets.clone() })
    }
}

fn length(x: &Tensor) -> usize {
    x.dims().first().copied().unwrap_or(0)
}

fn row(x: &Tensor, index: usize) -> Result<Tensor> {
    check("get", index, length(x))?;
    x.narrow(0, index, 1)?.squeeze(0)
}

fn rows(x: &Tensor, indices: &[usize]) -> Result<Tensor> {
    indices.iter().try_for_each(|&index| check("batch", index, length(x)))?;
    let indices: Vec<i64> = indices.iter().map(|&index| index as i64).collect();
    let count = indices.len();
    x.index_select(0, &Tensor::from_vec(indices, count, &Device::Cpu)?)
}

/// The fields `inputs` and `targets` are public, so their first axes may differ or be missing.
macro_rules! tensors_in_memory {
    ($dataset:ty) => {
        impl Dataset for $dataset {
            fn len(&self) -> usize {
                length(&self.inputs)
            }

            fn get(&self, index: usize) -> Result<(Tensor, Tensor)> {
                Ok((row(&self.inputs, index)?, row(&self.targets, index)?))
            }

            fn batch(&self, indices: &[usize]) -> Result<(Tensor, Tensor)> {
                Ok((rows(&self.inputs, indices)?, rows(&self.targets, indices)?))
            }
        }
    };
}

tensors_in_memory!(TensorDataset);
tensors_in_memory!(LabeledDataset);

type ExampleFn = dyn Fn(usize) -> Result<(Tensor, Tensor)> + Send + Sync;

/// The data set of [`from_fn`].
#[derive(Clone)]
pub struct FromFn {
    len: usize,
    f: Arc<ExampleFn>,
}

/// A data set of `len` examples that `f` makes from their indices, each when it is read.
///
/// ```
/// # use tealight::data::{Dataset, from_fn};
/// # use tealight::prelude::*;
/// let noise = from_fn(1000, |i| {
///     let x = Tensor::randn(0.0, 1.0, 3, &mut Rng::seed(i as u64))?;
///     Ok((x.clone(), x.sum_keepdim(0)?))
/// });
/// assert_eq!(noise.batch(&[3, 4])?.1.dims(), [2, 1]);
/// # Ok::<(), tealight::Error>(())
/// ```
pub fn from_fn(len: usize, f: impl Fn(usize) -> Result<(Tensor, Tensor)> + Send + Sync + 'static) -> FromFn {
    FromFn { len, f: Arc::new(f) }
}

impl Dataset for FromFn {
    fn len(&self) -> usize {
        self.len
    }

    fn get(&self, index: usize) -> Result<(Tensor, Tensor)> {
        check("get", index, self.len)?;
        (self.f)(index)
    }
}

type InputFn = dyn Fn(&Tensor) -> Result<Tensor> + Send + Sync;

/// The data set of [`Dataset::map`].
#[derive(Clone)]
pub struct Mapped<D> {
    dataset: D,
    f: Arc<InputFn>,
}

impl<D: Dataset> Dataset for Mapped<D> {
    fn len(&self) -> usize {
        self.dataset.len()
    }

    fn get(&self, index: usize) -> Result<(Tensor, Tensor)> {
        let (input, target) = self.dataset.get(index)?;
        Ok(((self.f)(&input)?, target))
    }
}

/// The data set of [`Dataset::subset`].
#[derive(Clone, Debug)]
pub struct Subset<D> {
    dataset: D,
    indices: Arc<[usize]>,
}

impl<D> Subset<D> {
    /// The index of each example in the whole data set.
    pub fn indices(&self) -> &[usize] {
        &self.indices
    }

    fn index(&self, index: usize) -> Result<usize> {
        check("get", index, self.indices.len())?;
        Ok(self.indices[index])
    }
}

impl<D: Dataset> Dataset for Subset<D> {
    fn len(&self) -> usize {
        self.indices.len()
    }

    fn get(&self, index: usize) -> Result<(Tensor, Tensor)> {
        self.dataset.get(self.index(index)?)
    }

    fn batch(&self, indices: &[usize]) -> Result<(Tensor, Tensor)> {
        let indices = indices.iter().map(|&index| self.index(index)).collect::<Result<Vec<_>>>()?;
        self.dataset.batch(&indices)
    }
}
