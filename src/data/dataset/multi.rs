//! Data sets of examples with several inputs or targets.

use super::{Dataset, length, row, rows};
use crate::autograd::Tensor;
use crate::error::{Error, Result};

/// The inputs and the targets of an example, or of a batch.
pub(in crate::data) type Batch = (Vec<Tensor>, Vec<Tensor>);

/// Examples, each of several inputs and targets, by index. Every [`Dataset`] is one, of one input and one target.
///
/// ```
/// # use tealight::data::{DataLoader, MultiDataset};
/// # use tealight::prelude::*;
/// #[derive(Clone)]
/// struct Pairs; // two numbers, and whether the first is larger
///
/// impl MultiDataset for Pairs {
///     fn num_examples(&self) -> usize { 100 }
///
///     fn get_multi(&self, index: usize) -> Result<(Vec<Tensor>, Vec<Tensor>)> {
///         let [a, b] = [index as f32, 50.0].map(|x| Tensor::new(&[x], &Device::Cpu));
///         Ok((vec![a?, b?], vec![Tensor::new(u32::from(index > 50), &Device::Cpu)?]))
///     }
/// }
///
/// let (inputs, targets) = DataLoader::new(&Pairs, 10)?.epoch()?.next_multi().unwrap()?;
/// assert_eq!((inputs.len(), inputs[1].dims(), targets[0].dims()), (2, &[10, 1][..], &[10][..]));
/// # Ok::<(), tealight::Error>(())
/// ```
pub trait MultiDataset: Send + Sync {
    /// The number of examples.
    fn num_examples(&self) -> usize;

    /// One example: its inputs and its targets, as many for each example.
    fn get_multi(&self, index: usize) -> Result<(Vec<Tensor>, Vec<Tensor>)>;

    /// Several examples: each input and each target stacked along a new first axis.
    ///
    /// Errors if `indices` is empty, or if the examples have different numbers of tensors, shapes or dtypes.
    fn batch_multi(&self, indices: &[usize]) -> Result<(Vec<Tensor>, Vec<Tensor>)> {
        let one =
            |&index: &usize| self.get_multi(index).map_err(|error| error.context(format!("example {index}")));
        stacked_lists(indices.iter().map(one))
    }
}

impl<D: Dataset + ?Sized> MultiDataset for D {
    fn num_examples(&self) -> usize {
        self.len()
    }

    fn get_multi(&self, index: usize) -> Result<(Vec<Tensor>, Vec<Tensor>)> {
        self.get(index).map(|(input, target)| (vec![input], vec![target]))
    }

    fn batch_multi(&self, indices: &[usize]) -> Result<(Vec<Tensor>, Vec<Tensor>)> {
        self.batch(indices).map(|(inputs, targets)| (vec![inputs], vec![targets]))
    }
}

/// The inputs and the targets of examples, each along a new first axis.
pub(in crate::data) fn stacked_lists(examples: impl Iterator<Item = Result<Batch>>) -> Result<Batch> {
    let (inputs, targets): (Vec<_>, Vec<_>) = examples.collect::<Result<Vec<_>>>()?.into_iter().unzip();
    let all = |name: &str, examples: &[Vec<Tensor>]| {
        let count = examples.first().map_or(1, Vec::len);
        if let Some(other) = examples.iter().find(|tensors| tensors.len() != count) {
            let expected = format!("as many {name} for each example, {count}");
            return Err(Error::argument("batch", expected, other.len()));
        }
        let column = |i: usize| {
            let column: Vec<&Tensor> = examples.iter().map(|tensors| &tensors[i]).collect();
            Tensor::stack(&column, 0).map_err(|error| error.context(name))
        };
        (0..count).map(column).collect()
    };
    Ok((all("inputs", &inputs)?, all("targets", &targets)?))
}

/// Examples of several inputs or targets in memory: the first axis of each tensor counts them.
///
/// ```
/// # use tealight::data::{MultiDataset, MultiTensorDataset};
/// # use tealight::prelude::*;
/// let [a, b] = [1.0, 2.0].map(|start| Tensor::arange(start, start + 5.0, &Device::Cpu));
/// let data = MultiTensorDataset::new(&[&a?, &b?], &[])?; // two inputs, no target
/// assert_eq!(data.batch_multi(&[4, 0])?.0[1].to_vec1::<f64>()?, [6.0, 2.0]);
/// # Ok::<(), tealight::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct MultiTensorDataset {
    inputs: Vec<Tensor>,
    targets: Vec<Tensor>,
}

impl MultiTensorDataset {
    /// Errors if there is no input, the first axes differ in length, or a tensor is a scalar.
    pub fn new(inputs: &[&Tensor], targets: &[&Tensor]) -> Result<Self> {
        let all: Vec<&[usize]> = inputs.iter().chain(targets).map(|x| x.dims()).collect();
        let first = inputs.first().and_then(|x| x.dims().first());
        if first.is_none() || all.iter().any(|dims| dims.first() != first) {
            let expected = "one input (n, ..) or more, and targets (n, ..)";
            return Err(Error::shape("MultiTensorDataset", expected, &all));
        }
        let owned = |tensors: &[&Tensor]| tensors.iter().map(|&x| x.clone()).collect();
        Ok(MultiTensorDataset { inputs: owned(inputs), targets: owned(targets) })
    }
}

impl MultiDataset for MultiTensorDataset {
    fn num_examples(&self) -> usize {
        length(&self.inputs[0])
    }

    fn get_multi(&self, index: usize) -> Result<(Vec<Tensor>, Vec<Tensor>)> {
        let all = |tensors: &[Tensor]| tensors.iter().map(|x| row(x, index)).collect::<Result<_>>();
        Ok((all(&self.inputs)?, all(&self.targets)?))
    }

    fn batch_multi(&self, indices: &[usize]) -> Result<(Vec<Tensor>, Vec<Tensor>)> {
        let all = |tensors: &[Tensor]| tensors.iter().map(|x| rows(x, indices)).collect::<Result<_>>();
        Ok((all(&self.inputs)?, all(&self.targets)?))
    }
}
