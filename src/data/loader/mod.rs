//! [`DataLoader`]: the batches of a data set, epoch after epoch.

mod epoch;
mod stream;
#[cfg(test)]
mod tests;

use std::sync::Arc;

pub use epoch::{Epoch, Position};

use super::augment::Augment;
use super::dataset::{Counted, IterableDataset, MultiDataset};
use super::split::check_length;
use crate::error::{Error, Result};
use crate::ops::Rng;
use epoch::{BatchSource, Shards, mix};
use stream::Streamed;

const NAME: &str = "DataLoader";

/// More threads than this only wait for each other.
const MAX_THREADS: usize = 256;

/// The examples of a data set in batches, epoch after epoch.
///
/// An [`epoch`](DataLoader::epoch) is an iterator of `Result<(inputs, targets)>`; [`Epoch::next_multi`] is for examples with
/// several of them. Its order and its random changes depend on the
/// seeds and on the number of the epoch alone: not on the threads, and not on whether the epoch was interrupted.
///
/// ```
/// # use tealight::data::{DataLoader, TensorDataset};
/// # use tealight::prelude::*;
/// let x = Tensor::arange(0.0, 10.0, &Device::Cpu)?;
/// let mut loader = DataLoader::new(&TensorDataset::new(&x, &x)?, 4)?.shuffle(1).num_workers(2);
/// for batch in loader.epoch()? {
///     let (inputs, targets) = batch?;
///     assert_eq!(inputs, targets);
/// }
/// # Ok::<(), tealight::Error>(())
/// ```
#[derive(Clone)]
pub struct DataLoader {
    dataset: Arc<dyn MultiDataset>,
    /// Where the examples come one after the other, and the size of the buffer that shuffles them.
    stream: Option<(Arc<dyn IterableDataset>, usize)>,
    batch_size: usize,
    order: Order,
    drop_last: bool,
    num_workers: usize,
    augment: Option<(u64, Arc<dyn Augment>)>,
    shards: Shards,
    epoch: u64,
    batch: usize,
}

#[derive(Clone)]
enum Order {
    Sequential,
    Shuffled(u64),
    /// A seed, and the sums of the weights up to each example.
    Weighted(u64, Arc<[f64]>),
}

impl DataLoader {
    /// The examples in their order, `batch_size` at a time; the last batch of an epoch may be smaller.
    ///
    /// Cloning a data set of tensors is cheap. Pass another one in an `Arc`: `DataLoader::new(&Arc::new(data), 32)`,
    /// `&Arc<dyn Dataset>`. Errors if `batch_size` is 0.
    pub fn new<D: MultiDataset + Clone + 'static>(data: &D, batch_size: usize) -> Result<Self> {
        if batch_size == 0 {
            return Err(Error::argument(NAME, "a batch size of 1 or more", 0));
        }
        Ok(DataLoader {
            dataset: Arc::new(data.clone()),
            stream: None,
            batch_size,
            order: Order::Sequential,
            drop_last: false,
            num_workers: 0,
            augment: None,
            shards: Shards { count: 1, rank: 0, size: 1 },
            epoch: 0,
            batch: 0,
        })
    }

    /// The examples of an iterable data set, which stay in its files: memory holds a few pieces, the
    /// [buffer](DataLoader::buffer_size) if they are shuffled, and the batches that are prepared ahead.
    ///
    /// [`num_workers`](DataLoader::num_workers) makes one thread prepare that many batches ahead, or all that the buffer gives at once
    /// if these are more. A saved position is found again by reading up to it. Errors if `batch_size` is 0.
    pub fn iterable<D: IterableDataset + Clone + 'static>(data: &D, batch_size: usize) -> Result<Self> {
        let loader = DataLoader::new(&Counted(data.len()), batch_size)?;
        Ok(DataLoader { stream: Some((Arc::new(data.clone()), 10_000)), ..loader })
    }

    /// The number of examples that are [shuffled](DataLoader::shuffle) at a time where the data set is
    /// [iterable](DataLoader::iterable): half of them are given, and the others mixed with those that follow. Data that are sorted
    /// need a buffer as large as they are, or files that are mixed. Default: 10,000; 0 counts as 1.
    pub fn buffer_size(mut self, examples: usize) -> Self {
        self.stream = self.stream.map(|(data, _)| (data, examples.max(1)));
        self
    }

    /// Shuffles the examples, differently in each epoch.
    pub fn shuffle(mut self, seed: u64) -> Self {
        self.order = Order::Shuffled(seed);
        self
    }

    /// Draws the n examples of an epoch with replacement, each with a probability in proportion to its weight.
    ///
    /// Errors if there is not one weight for each example, a weight is negative or not finite, or all are 0; and of an iterable data
    /// set, whose examples are read in their order.
    ///
    /// ```
    /// # use tealight::data::{DataLoader, TensorDataset};
    /// # use tealight::prelude::*;
    /// let x = Tensor::arange(0.0, 4.0, &Device::Cpu)?;
    /// let mut loader = DataLoader::new(&TensorDataset::new(&x, &x)?, 4)?.weighted(&[0.0, 0.0, 1.0, 0.0], 7)?;
    /// let (inputs, _) = loader.epoch()?.next().unwrap()?;
    /// assert_eq!(inputs.to_vec1::<f64>()?, [2.0; 4]);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    #[doc(alias = "WeightedRandomSampler")]
    pub fn weighted(mut self, weights: &[f64], seed: u64) -> Result<Self> {
        let n = self.dataset.num_examples();
        if self.stream.is_some() {
            return Err(Error::argument(
                NAME,
                "a data set with examples by index for weights",
                "an iterable one",
            ));
        }
        if weights.len() != n {
            let got = format!("{} weights", weights.len());
            return Err(Error::argument(NAME, format!("a weight for each of the {n} examples"), got));
        }
        let mut sum = 0.0;
        let mut sums = Vec::with_capacity(n);
        for (i, &weight) in weights.iter().enumerate() {
            sum += weight;
            if !(weight >= 0.0 && sum.is_finite()) {
                let expected = "weights that are positive or 0, with a finite sum";
                return Err(Error::argument(NAME, expected, format!("{weight} for example {i}")));
            }
            sums.push(sum);
        }
        if n > 0 && sum == 0.0 {
            return Err(Error::argument(NAME, "a weight above 0", "zeros"));
        }
        self.order = Order::Weighted(seed, sums.into());
        Ok(self)
    }

    /// Leaves out the last batch of an epoch if it is smaller than the others.
    #[doc(alias = "drop_remainder")]
    pub fn drop_last(mut self) -> Self {
        self.drop_last = true;
        self
    }

    /// The number of background threads, each of which prepares one batch ahead. Default: 0, which prepares a batch when it is
    /// read. The batches and their order are the same, bit for bit.
    #[doc(alias = "prefetch")]
    pub fn num_workers(mut self, threads: usize) -> Self {
        self.num_workers = threads.min(MAX_THREADS);
        self
    }

    /// Applies a random change to each input, also to each of several of an example, differently in each epoch.
    ///
    /// ```
    /// # use tealight::data::{DataLoader, TensorDataset};
    /// # use tealight::prelude::*;
    /// let x = Tensor::zeros((10, 2), DType::F32, &Device::Cpu)?;
    /// let noise = |x: &Tensor, rng: &mut Rng| x + Tensor::randn(0.0, 0.1, x.dims(), rng)?;
    /// let mut loader = DataLoader::new(&TensorDataset::new(&x, &x)?, 10)?.augment(noise, 1);
    /// let (first, second) = (loader.epoch()?.next().unwrap()?.0, loader.epoch()?.next().unwrap()?.0);
    /// assert_ne!(first, second);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn augment(mut self, change: impl Augment + 'static, seed: u64) -> Self {
        self.augment = Some((seed, Arc::new(change)));
        self
    }

    /// All examples in their order, unchanged: without shuffling, weights, augmentation and [`drop_last`](DataLoader::drop_last).
    pub(crate) fn in_order(&self) -> Self {
        DataLoader {
            order: Order::Sequential,
            drop_last: false,
            augment: None,
            epoch: 0,
            batch: 0,
            ..self.clone()
        }
    }

    /// Cuts each batch into `count` shards, of which only every `size`-th from number `rank` on is read.
    pub(crate) fn sharded(mut self, count: usize, rank: usize, size: usize) -> Self {
        self.shards = Shards { count, rank, size };
        self
    }

    /// The number of batches in an epoch.
    pub fn len(&self) -> usize {
        let n = self.dataset.num_examples();
        if self.drop_last { n / self.batch_size } else { n.div_ceil(self.batch_size) }
    }

    /// Whether an epoch has no batches.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The data set.
    pub fn dataset(&self) -> &Arc<dyn MultiDataset> {
        &self.dataset
    }

    /// The number of examples in a batch; the last one of an epoch may have fewer.
    pub fn batch_size(&self) -> usize {
        self.batch_size
    }

    /// The batches of the next epoch; after [`restore`](DataLoader::restore), the rest of it.
    ///
    /// The loader moves on at once, whether or not the iterator is used up. Errors if more than 2³² − 1 examples are to be shuffled.
    pub fn epoch(&mut self) -> Result<Epoch> {
        let source = Arc::new(BatchSource {
            order: self.epoch_order()?,
            stream: self.stream.clone().map(|(data, buffer_size)| {
                let seed = match self.order {
                    Order::Shuffled(seed) => Some(mix(&[seed, self.epoch])),
                    _ => None,
                };
                Streamed { data, buffer_size, seed }
            }),
            dataset: self.dataset.clone(),
            batch_size: self.batch_size,
            augment: self.augment.clone(),
            shards: self.shards,
            epoch: self.epoch,
        });
        let epoch = Epoch::new(source, self.batch, self.len(), self.num_workers, self.fingerprint());
        (self.epoch, self.batch) = (self.epoch.wrapping_add(1), 0);
        Ok(epoch)
    }

    /// Where the next [`epoch`](DataLoader::epoch) begins. Inside an epoch, use [`Epoch::position`].
    pub fn position(&self) -> Position {
        Position { epoch: self.epoch, batch: self.batch, loader: self.fingerprint() }
    }

    /// Goes to a saved position: the next [`epoch`](DataLoader::epoch) gives the batches that were left, bit for bit.
    ///
    /// Errors if the position is of a loader with another number of examples, batch size, order or seed.
    ///
    /// ```
    /// # use tealight::data::{DataLoader, TensorDataset};
    /// # use tealight::prelude::*;
    /// # let x = Tensor::arange(0.0, 10.0, &Device::Cpu)?;
    /// # let data = TensorDataset::new(&x, &x)?;
    /// let mut epoch = DataLoader::new(&data, 4)?.shuffle(1).epoch()?;
    /// epoch.next();
    /// let saved = epoch.position().to_string();
    /// let mut again = DataLoader::new(&data, 4)?.shuffle(1);
    /// again.restore(saved.parse()?)?;
    /// assert_eq!(again.epoch()?.next().unwrap()?.0, epoch.next().unwrap()?.0);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    #[doc(alias = "load_state_dict")]
    pub fn restore(&mut self, position: Position) -> Result<()> {
        if position.loader != self.fingerprint() || position.batch > self.len() {
            let expected = "a position of a loader with the same examples, batch size, order and seeds";
            return Err(Error::argument(NAME, expected, position));
        }
        (self.epoch, self.batch) = (position.epoch, position.batch);
        Ok(())
    }

    /// A hash of everything that the batches depend on.
    fn fingerprint(&self) -> u64 {
        let order = match &self.order {
            Order::Sequential => 0,
            Order::Shuffled(seed) => match &self.stream {
                None => mix(&[1, *seed]),
                Some((_, buffer_size)) => mix(&[4, *seed, *buffer_size as u64]),
            },
            Order::Weighted(seed, sums) => sums.iter().fold(mix(&[2, *seed]), |h, s| mix(&[h, s.to_bits()])),
        };
        let augment = self.augment.as_ref().map_or(0, |(seed, _)| mix(&[3, *seed]));
        let (n, batch_size) = (self.dataset.num_examples() as u64, self.batch_size as u64);
        mix(&[n, batch_size, u64::from(self.drop_last), order, augment])
    }

    /// The indices of the epoch's examples; `None` for 0, 1, 2, ….
    fn epoch_order(&self) -> Result<Option<Vec<usize>>> {
        let n = self.dataset.num_examples();
        match &self.order {
            Order::Sequential => Ok(None),
            _ if self.stream.is_some() => Ok(None),
            Order::Shuffled(seed) => {
                check_length(NAME, n)?;
                Ok(Some(Rng::seed(mix(&[*seed, self.epoch])).permutation(n)))
            }
            Order::Weighted(seed, sums) => {
                let mut rng = Rng::seed(mix(&[*seed, self.epoch]));
                let Some(&total) = sums.last() else { return Ok(Some(Vec::new())) };
                let mut draw = || {
                    let mark = rng.uniform() * total;
                    // The product may round up to the total, which belongs to the last example with a weight.
                    sums.partition_point(|&sum| sum <= mark).min(sums.partition_point(|&sum| sum < total))
                };
                Ok(Some((0..n).map(|_| draw()).collect()))
            }
        }
    }
}
