//! [`Dataset`]: examples, one at a time or a batch at a time.

use std::sync::Arc;

use candle_core::Device;

use super::LabeledDataset;
use crate::autograd::Tensor;
use crate::error::{Error, Result};

/// Examples, each an input and a target.
///
/// The number of examples and the example of each number never change: what is random belongs to the
/// [`DataLoader`](super::DataLoader), which shuffles and augments.
///
/// ```
/// use tealight::data::{DataLoader, Dataset};
/// use tealight::prelude::*;
///
/// /// The numbers below 100, and whether they are even.
/// #[derive(Clone)]
/// struct Parity;
///
/// impl Dataset for Parity {
///     fn len(&self) -> usize {
///         100
///     }
///
///     fn get(&self, index: usize) -> Result<(Tensor, Tensor)> {
///         let input = Tensor::new(&[index as f32], &Device::Cpu)?;
///         Ok((input, Tensor::new((index % 2) as u32, &Device::Cpu)?))
///     }
/// }
///
/// let (inputs, targets) = Parity.batch(&[7, 8])?;
/// assert_eq!(inputs.to_vec2::<f32>()?, [[7.0], [8.0]]);
/// assert_eq!(targets.to_vec1::<u32>()?, [1, 0]);
/// assert_eq!(DataLoader::new(&Parity, 32)?.len(), 4);
/// # Ok::<(), tealight::Error>(())
/// ```
pub trait Dataset: Send + Sync {
    /// How many examples there are.
    ///
    /// ```
    /// use tealight::data::{Dataset, TensorDataset};
    /// use tealight::prelude::*;
    /// let x = Tensor::zeros((5, 3), DType::F32, &Device::Cpu)?;
    /// assert_eq!(TensorDataset::new(&x, &x)?.len(), 5);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    fn len(&self) -> usize;

    /// One example: its input and its target.
    ///
    /// # Errors
    /// An index beyond the examples, and whatever keeps the example from being made.
    ///
    /// ```
    /// use tealight::data::{Dataset, TensorDataset};
    /// use tealight::prelude::*;
    /// let x = Tensor::new(&[[1.0, 2.0], [3.0, 4.0]], &Device::Cpu)?;
    /// let data = TensorDataset::new(&x, &Tensor::new(&[7_u32, 8], &Device::Cpu)?)?;
    /// let (input, target) = data.get(1)?;
    /// assert_eq!((input.to_vec1::<f64>()?, target.to_scalar::<u32>()?), (vec![3.0, 4.0], 8));
    /// assert_eq!(data.get(2).unwrap_err().to_string(), "get: expected an example below 2, got 2");
    /// # Ok::<(), tealight::Error>(())
    /// ```
    fn get(&self, index: usize) -> Result<(Tensor, Tensor)>;

    /// Several examples: their inputs and their targets, each stacked along a new first axis.
    ///
    /// # Errors
    /// As [`get`](Dataset::get), with the number of the example before it; examples of different shapes or dtypes; no
    /// indices, where nothing tells the shape.
    ///
    /// ```
    /// use tealight::data::{Dataset, TensorDataset};
    /// use tealight::prelude::*;
    /// let x = Tensor::new(&[1.0, 2.0, 3.0], &Device::Cpu)?;
    /// let (inputs, targets) = TensorDataset::new(&x, &(&x * 10.0)?)?.batch(&[2, 0])?;
    /// assert_eq!((inputs.to_vec1::<f64>()?, targets.to_vec1::<f64>()?), (vec![3.0, 1.0], vec![30.0, 10.0]));
    /// # Ok::<(), tealight::Error>(())
    /// ```
    fn batch(&self, indices: &[usize]) -> Result<(Tensor, Tensor)> {
        let one = |&index: &usize| self.get(index).map_err(|error| error.context(format!("example {index}")));
        stacked(indices.iter().map(one))
    }

    /// Whether there are no examples.
    ///
    /// ```
    /// use tealight::data::{Dataset, TensorDataset};
    /// use tealight::prelude::*;
    /// let x = Tensor::new(&[1.0, 2.0], &Device::Cpu)?;
    /// let data = TensorDataset::new(&x, &x)?;
    /// assert!(data.subset(vec![])?.is_empty() && !data.is_empty());
    /// # Ok::<(), tealight::Error>(())
    /// ```
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The same examples with each input changed by `f`, one input at a time, whenever one is asked for.
    ///
    /// ```
    /// use tealight::data::{Dataset, TensorDataset};
    /// use tealight::prelude::*;
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
        Mapped { examples: self.clone(), change: Arc::new(f) }
    }

    /// The examples that `indices` names, in its order; one may come more than once.
    ///
    /// # Errors
    /// An index beyond the examples.
    ///
    /// ```
    /// use tealight::data::{Dataset, TensorDataset, random_split};
    /// use tealight::prelude::*;
    /// let x = Tensor::arange(0.0, 10.0, &Device::Cpu)?;
    /// let all = TensorDataset::new(&x, &x)?;
    /// let (train, test) = random_split(all.len(), 0.2, &mut Rng::seed(1))?;
    /// let (train, test) = (all.subset(train)?, all.subset(test)?);
    /// assert_eq!((train.len(), test.len()), (8, 2));
    /// # Ok::<(), tealight::Error>(())
    /// ```
    fn subset(&self, indices: Vec<usize>) -> Result<Subset<Self>>
    where
        Self: Sized + Clone,
    {
        indices.iter().try_for_each(|&index| check("subset", index, self.len()))?;
        Ok(Subset { examples: self.clone(), indices: indices.into() })
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

/// The rows of `x`.
pub(super) fn rows(x: &Tensor, indices: &[usize]) -> Result<Tensor> {
    indices.iter().try_for_each(|&index| check("batch", index, x.dims().first().copied().unwrap_or(0)))?;
    let wide: Vec<i64> = indices.iter().map(|&index| index as i64).collect();
    x.index_select(0, &Tensor::from_vec(wide, indices.len(), &Device::Cpu)?)
}

/// One row of `x`.
pub(super) fn row(x: &Tensor, index: usize) -> Result<Tensor> {
    check("get", index, x.dims().first().copied().unwrap_or(0))?;
    x.narrow(0, index, 1)?.squeeze(0)
}

/// Examples in memory: the first axis of both tensors counts them.
///
/// ```
/// use tealight::data::{Dataset, TensorDataset};
/// use tealight::prelude::*;
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
    /// The examples of these inputs and targets.
    ///
    /// # Errors
    /// Tensors whose first axes have different lengths, or that have none.
    ///
    /// ```
    /// use tealight::data::TensorDataset;
    /// use tealight::prelude::*;
    /// let x = Tensor::zeros((3, 2), DType::F32, &Device::Cpu)?;
    /// assert_eq!(TensorDataset::new(&x, &x.sum(1)?)?.targets.dims(), [3]);
    /// let error = TensorDataset::new(&x, &x.t()?).unwrap_err().to_string();
    /// assert_eq!(error, "TensorDataset: expected inputs (n, ..) and targets (n, ..), got [3, 2] and [2, 3]");
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn new(inputs: &Tensor, targets: &Tensor) -> Result<Self> {
        if inputs.rank() == 0 || inputs.dims().first() != targets.dims().first() {
            let expected = "inputs (n, ..) and targets (n, ..)";
            return Err(Error::shape("TensorDataset", expected, &[inputs.dims(), targets.dims()]));
        }
        Ok(TensorDataset { inputs: inputs.clone(), targets: targets.clone() })
    }
}

impl Dataset for TensorDataset {
    fn len(&self) -> usize {
        self.inputs.dims().first().copied().unwrap_or(0)
    }

    fn get(&self, index: usize) -> Result<(Tensor, Tensor)> {
        Ok((row(&self.inputs, index)?, row(&self.targets, index)?))
    }

    fn batch(&self, indices: &[usize]) -> Result<(Tensor, Tensor)> {
        Ok((rows(&self.inputs, indices)?, rows(&self.targets, indices)?))
    }
}

impl Dataset for LabeledDataset {
    fn len(&self) -> usize {
        self.len()
    }

    fn get(&self, index: usize) -> Result<(Tensor, Tensor)> {
        Ok((row(&self.inputs, index)?, row(&self.targets, index)?))
    }

    fn batch(&self, indices: &[usize]) -> Result<(Tensor, Tensor)> {
        Ok((rows(&self.inputs, indices)?, rows(&self.targets, indices)?))
    }
}

/// A function that makes the example of a number.
type Make = dyn Fn(usize) -> Result<(Tensor, Tensor)> + Send + Sync;

/// The examples of [`from_fn`].
///
/// ```
/// use tealight::data::{Dataset, FromFn, from_fn};
/// use tealight::prelude::*;
/// let squares: FromFn = from_fn(10, |i| {
///     let x = Tensor::new(i as f64, &Device::Cpu)?;
///     Ok((x.clone(), x.sqr()?))
/// });
/// assert_eq!(squares.get(3)?.1.to_scalar::<f64>()?, 9.0);
/// assert_eq!(squares.get(10).unwrap_err().to_string(), "get: expected an example below 10, got 10");
/// # Ok::<(), tealight::Error>(())
/// ```
#[derive(Clone)]
pub struct FromFn {
    len: usize,
    make: Arc<Make>,
}

/// `len` examples that `f` makes of their numbers, whenever one is asked for. An error from `f` is told then.
///
/// ```
/// use tealight::data::{Dataset, from_fn};
/// use tealight::prelude::*;
/// let noise = from_fn(1000, |i| {
///     let x = Tensor::randn(0_f32, 1.0, 3, &mut Rng::seed(i as u64))?;
///     Ok((x.clone(), x.sum_keepdim(0)?))
/// });
/// assert_eq!(noise.batch(&[3, 4])?.1.dims(), [2, 1]);
/// # Ok::<(), tealight::Error>(())
/// ```
pub fn from_fn(len: usize, f: impl Fn(usize) -> Result<(Tensor, Tensor)> + Send + Sync + 'static) -> FromFn {
    FromFn { len, make: Arc::new(f) }
}

impl Dataset for FromFn {
    fn len(&self) -> usize {
        self.len
    }

    fn get(&self, index: usize) -> Result<(Tensor, Tensor)> {
        check("get", index, self.len)?;
        (self.make)(index)
    }
}

/// A function that changes an input.
type Change = dyn Fn(&Tensor) -> Result<Tensor> + Send + Sync;

/// The examples of [`Dataset::map`].
///
/// ```
/// use tealight::data::{Dataset, Mapped, TensorDataset};
/// use tealight::prelude::*;
/// let x = Tensor::new(&[1.0, 2.0], &Device::Cpu)?;
/// let tenfold: Mapped<TensorDataset> = TensorDataset::new(&x, &x)?.map(|x| x * 10.0);
/// let (input, target) = tenfold.get(1)?;
/// assert_eq!((input.to_scalar::<f64>()?, target.to_scalar::<f64>()?), (20.0, 2.0)); // targets stay
/// # Ok::<(), tealight::Error>(())
/// ```
#[derive(Clone)]
pub struct Mapped<D> {
    examples: D,
    change: Arc<Change>,
}

impl<D: Dataset> Dataset for Mapped<D> {
    fn len(&self) -> usize {
        self.examples.len()
    }

    fn get(&self, index: usize) -> Result<(Tensor, Tensor)> {
        let (input, target) = self.examples.get(index)?;
        Ok(((self.change)(&input)?, target))
    }
}

/// The examples of [`Dataset::subset`].
///
/// ```
/// use tealight::data::{Dataset, Subset, TensorDataset};
/// use tealight::prelude::*;
/// let x = Tensor::new(&[5.0, 6.0, 7.0], &Device::Cpu)?;
/// let part: Subset<TensorDataset> = TensorDataset::new(&x, &x)?.subset(vec![2, 0])?;
/// assert_eq!(part.get(0)?.0.to_scalar::<f64>()?, 7.0);
/// # Ok::<(), tealight::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Subset<D> {
    examples: D,
    indices: Arc<[usize]>,
}

impl<D> Subset<D> {
    /// Which of the examples these are.
    ///
    /// ```
    /// use tealight::data::{Dataset, TensorDataset};
    /// use tealight::prelude::*;
    /// let x = Tensor::zeros(9, DType::F32, &Device::Cpu)?;
    /// assert_eq!(TensorDataset::new(&x, &x)?.subset(vec![8, 0, 8])?.indices(), [8, 0, 8]);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn indices(&self) -> &[usize] {
        &self.indices
    }

    fn within(&self, index: usize) -> Result<usize> {
        check("get", index, self.indices.len())?;
        Ok(self.indices[index])
    }
}

impl<D: Dataset> Dataset for Subset<D> {
    fn len(&self) -> usize {
        self.indices.len()
    }

    fn get(&self, index: usize) -> Result<(Tensor, Tensor)> {
        self.examples.get(self.within(index)?)
    }

    fn batch(&self, indices: &[usize]) -> Result<(Tensor, Tensor)> {
        let inner = indices.iter().map(|&index| self.within(index)).collect::<Result<Vec<_>>>()?;
        self.examples.batch(&inner)
    }
}

#[cfg(test)]
mod tests;
