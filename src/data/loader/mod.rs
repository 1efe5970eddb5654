//! [`DataLoader`]: the examples of a data set in batches, epoch after epoch.

mod epoch;
#[cfg(test)]
mod tests;

use std::sync::Arc;

pub use epoch::{Epoch, Position};

use super::augment::Augment;
use super::dataset::Dataset;
use super::split::fits_a_list;
use crate::error::{Error, Result};
use crate::ops::Rng;
use epoch::{Plan, mix};

const NAME: &str = "DataLoader";

/// More threads than this only wait for each other.
const MOST_THREADS: usize = 256;

/// The examples of a data set in batches, epoch after epoch.
///
/// An epoch is an iterator of `Result<(inputs, targets)>`. Its order and its random changes depend on the seeds and on the
/// number of the epoch, and on nothing else: not on the threads, and not on whether the epoch was interrupted.
///
/// ```
/// use tealight::data::{DataLoader, TensorDataset};
/// use tealight::prelude::*;
/// let x = Tensor::arange(0.0, 10.0, &Device::Cpu)?;
/// let data = TensorDataset::new(&x, &x)?;
/// let mut loader = DataLoader::new(&data, 4)?.shuffle(1).num_workers(2);
/// for _ in 0..3 {
///     let mut seen = 0;
///     for batch in loader.epoch()? {
///         let (inputs, targets) = batch?;
///         assert_eq!(inputs.to_vec1::<f64>()?, targets.to_vec1::<f64>()?);
///         seen += inputs.dims()[0];
///     }
///     assert_eq!(seen, 10);
/// }
/// # Ok::<(), tealight::Error>(())
/// ```
#[derive(Clone)]
pub struct DataLoader {
    examples: Arc<dyn Dataset>,
    batch_size: usize,
    order: Order,
    drop_last: bool,
    threads: usize,
    augment: Option<(u64, Arc<dyn Augment>)>,
    epoch: u64,
    batch: usize,
}

#[derive(Clone)]
enum Order {
    Straight,
    Shuffled(u64),
    /// A seed, and the sums of the weights up to each example.
    Weighted(u64, Arc<[f64]>),
}

impl DataLoader {
    /// The examples in their order, `batch_size` at a time; the last batch of an epoch may be smaller.
    ///
    /// Cloning a data set of tensors is cheap. One that cannot be cloned, or whose type is not known, is passed in an `Arc`:
    /// `DataLoader::new(&Arc::new(data), 32)`, `&Arc<dyn Dataset>`.
    ///
    /// # Errors
    /// A batch size of 0.
    ///
    /// ```
    /// use tealight::data::{DataLoader, TensorDataset};
    /// use tealight::prelude::*;
    /// let x = Tensor::arange(0.0, 5.0, &Device::Cpu)?;
    /// let mut loader = DataLoader::new(&TensorDataset::new(&x, &x)?, 2)?;
    /// let last = loader.epoch()?.last().unwrap()?;
    /// assert_eq!(last.0.to_vec1::<f64>()?, [4.0]);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn new<D: Dataset + Clone + 'static>(data: &D, batch_size: usize) -> Result<Self> {
        if batch_size == 0 {
            return Err(Error::argument(NAME, "a batch size of 1 or more", 0));
        }
        Ok(DataLoader {
            examples: Arc::new(data.clone()),
            batch_size,
            order: Order::Straight,
            drop_last: false,
            threads: 0,
            augment: None,
            epoch: 0,
            batch: 0,
        })
    }

    /// In random order, another one each epoch.
    ///
    /// ```
    /// use tealight::data::{DataLoader, TensorDataset};
    /// use tealight::prelude::*;
    /// let x = Tensor::arange(0.0, 100.0, &Device::Cpu)?;
    /// let mut loader = DataLoader::new(&TensorDataset::new(&x, &x)?, 100)?.shuffle(1);
    /// let (first, second) = (loader.epoch()?.next().unwrap()?.0, loader.epoch()?.next().unwrap()?.0);
    /// assert_ne!(first, second); // two orders
    /// assert_eq!(first.sum_all()?, second.sum_all()?); // of the same numbers
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn shuffle(mut self, seed: u64) -> Self {
        self.order = Order::Shuffled(seed);
        self
    }

    /// As many examples an epoch as there are, each drawn at random (so one may come twice), with a probability in
    /// proportion to its weight.
    ///
    /// # Errors
    /// Another number of weights than of examples; a weight that is negative or not finite; weights that are all 0.
    ///
    /// ```
    /// use tealight::data::{DataLoader, TensorDataset};
    /// use tealight::prelude::*;
    /// let x = Tensor::arange(0.0, 4.0, &Device::Cpu)?;
    /// let data = TensorDataset::new(&x, &x)?;
    /// let mut loader = DataLoader::new(&data, 4)?.weighted(&[0.0, 0.0, 1.0, 0.0], 7)?;
    /// let (inputs, _) = loader.epoch()?.next().unwrap()?;
    /// assert_eq!(inputs.to_vec1::<f64>()?, [2.0; 4]);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    #[doc(alias = "WeightedRandomSampler")]
    pub fn weighted(mut self, weights: &[f64], seed: u64) -> Result<Self> {
        let n = self.examples.len();
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

    /// Without the last batch of an epoch if it is smaller than the others.
    ///
    /// ```
    /// use tealight::data::{DataLoader, TensorDataset};
    /// use tealight::prelude::*;
    /// let x = Tensor::arange(0.0, 10.0, &Device::Cpu)?;
    /// let loader = DataLoader::new(&TensorDataset::new(&x, &x)?, 4)?;
    /// assert_eq!((loader.len(), loader.drop_last().len()), (3, 2));
    /// # Ok::<(), tealight::Error>(())
    /// ```
    #[doc(alias = "drop_remainder")]
    pub fn drop_last(mut self) -> Self {
        self.drop_last = true;
        self
    }

    /// On `threads` threads in the background, each of which makes one batch ahead; with 0, a batch is made when it is asked
    /// for. The batches and their order are the same, bit for bit.
    ///
    /// ```
    /// use tealight::data::{DataLoader, TensorDataset};
    /// use tealight::prelude::*;
    /// let x = Tensor::arange(0.0, 10.0, &Device::Cpu)?;
    /// let data = TensorDataset::new(&x, &x)?;
    /// let plain = DataLoader::new(&data, 4)?.shuffle(1).epoch()?;
    /// let ahead = DataLoader::new(&data, 4)?.shuffle(1).num_workers(2).epoch()?;
    /// for (a, b) in plain.zip(ahead) {
    ///     assert_eq!(a?.0, b?.0);
    /// }
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn num_workers(mut self, threads: usize) -> Self {
        self.threads = threads.min(MOST_THREADS);
        self
    }

    /// Changes every input at random, whenever it is taken. The random numbers depend on the seed, the epoch and the
    /// example's place in it.
    ///
    /// ```
    /// use tealight::data::{DataLoader, TensorDataset};
    /// use tealight::prelude::*;
    /// let x = Tensor::zeros((6, 2), DType::F64, &Device::Cpu)?;
    /// let noise = |x: &Tensor, rng: &mut Rng| x + Tensor::randn(0.0, 0.1, x.dims(), rng)?;
    /// let mut loader = DataLoader::new(&TensorDataset::new(&x, &x)?, 3)?.augment(noise, 1);
    /// assert_eq!(loader.epoch()?.count(), 2);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn augment(mut self, change: impl Augment + 'static, seed: u64) -> Self {
        self.augment = Some((seed, Arc::new(change)));
        self
    }

    /// How many batches an epoch has.
    ///
    /// ```
    /// use tealight::data::{DataLoader, TensorDataset};
    /// use tealight::prelude::*;
    /// let x = Tensor::arange(0.0, 9.0, &Device::Cpu)?;
    /// assert_eq!(DataLoader::new(&TensorDataset::new(&x, &x)?, 4)?.len(), 3); // 4, 4 and 1
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn len(&self) -> usize {
        let n = self.examples.len();
        if self.drop_last { n / self.batch_size } else { n.div_ceil(self.batch_size) }
    }

    /// Whether an epoch has no batches.
    ///
    /// ```
    /// use tealight::data::{DataLoader, TensorDataset};
    /// use tealight::prelude::*;
    /// let x = Tensor::arange(0.0, 3.0, &Device::Cpu)?;
    /// let loader = DataLoader::new(&TensorDataset::new(&x, &x)?, 4)?;
    /// assert!(!loader.is_empty() && loader.drop_last().is_empty()); // too few for a whole batch
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The data set.
    ///
    /// ```
    /// use tealight::data::{DataLoader, TensorDataset};
    /// use tealight::prelude::*;
    /// let x = Tensor::arange(0.0, 9.0, &Device::Cpu)?;
    /// let loader = DataLoader::new(&TensorDataset::new(&x, &x)?, 4)?;
    /// assert_eq!(loader.dataset().len(), 9); // examples; the loader has three batches
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn dataset(&self) -> &Arc<dyn Dataset> {
        &self.examples
    }

    /// How many examples a batch has; the last one of an epoch may have fewer.
    ///
    /// ```
    /// use tealight::data::{DataLoader, TensorDataset};
    /// use tealight::prelude::*;
    /// let x = Tensor::arange(0.0, 9.0, &Device::Cpu)?;
    /// assert_eq!(DataLoader::new(&TensorDataset::new(&x, &x)?, 4)?.batch_size(), 4);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn batch_size(&self) -> usize {
        self.batch_size
    }

    /// The next epoch: all of it, or after [`restore`](DataLoader::restore) the rest of it. The loader goes on to the epoch
    /// after it at once, so that an iterator that is not used up costs nothing.
    ///
    /// # Errors
    /// More examples than can be shuffled (2³² − 1).
    ///
    /// ```
    /// use tealight::data::{DataLoader, TensorDataset};
    /// use tealight::prelude::*;
    /// let x = Tensor::arange(0.0, 5.0, &Device::Cpu)?;
    /// let mut loader = DataLoader::new(&TensorDataset::new(&x, &x)?, 2)?;
    /// let sizes = loader.epoch()?.map(|batch| Ok(batch?.0.dims()[0])).collect::<Result<Vec<_>>>()?;
    /// assert_eq!((sizes, loader.position().epoch), (vec![2, 2, 1], 1));
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn epoch(&mut self) -> Result<Epoch> {
        let plan = Arc::new(Plan {
            order: self.listed_order()?,
            examples: self.examples.clone(),
            batch_size: self.batch_size,
            augment: self.augment.clone(),
            epoch: self.epoch,
        });
        let epoch = Epoch::new(plan, self.batch, self.len(), self.threads, self.fingerprint());
        (self.epoch, self.batch) = (self.epoch.wrapping_add(1), 0);
        Ok(epoch)
    }

    /// Where the next [`epoch`](DataLoader::epoch) begins. [`Epoch::position`] is the place within one.
    ///
    /// ```
    /// use tealight::data::{DataLoader, TensorDataset};
    /// use tealight::prelude::*;
    /// let x = Tensor::arange(0.0, 5.0, &Device::Cpu)?;
    /// let mut loader = DataLoader::new(&TensorDataset::new(&x, &x)?, 2)?;
    /// loader.epoch()?.next();
    /// assert_eq!((loader.position().epoch, loader.position().batch), (1, 0)); // the rest of epoch 0 is passed over
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn position(&self) -> Position {
        Position { epoch: self.epoch, batch: self.batch, loader: self.fingerprint() }
    }

    /// Goes to a position that was saved: the next [`epoch`](DataLoader::epoch) begins there, and gives the batches that were
    /// left, bit for bit.
    ///
    /// # Errors
    /// A position of a loader with another number of examples, batch size, order or seed: its batches are others.
    ///
    /// ```
    /// use tealight::data::{DataLoader, TensorDataset};
    /// use tealight::prelude::*;
    /// let x = Tensor::arange(0.0, 10.0, &Device::Cpu)?;
    /// let data = TensorDataset::new(&x, &x)?;
    /// let mut loader = DataLoader::new(&data, 4)?.shuffle(1);
    /// let mut epoch = loader.epoch()?;
    /// epoch.next();
    /// let saved = epoch.position().to_string();
    /// let rest = epoch.next().unwrap()?.0.to_vec1::<f64>()?;
    ///
    /// let mut again = DataLoader::new(&data, 4)?.shuffle(1);
    /// again.restore(saved.parse()?)?;
    /// assert_eq!(again.epoch()?.next().unwrap()?.0.to_vec1::<f64>()?, rest);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn restore(&mut self, position: Position) -> Result<()> {
        if position.loader != self.fingerprint() || position.batch > self.len() {
            let expected = "a position of a loader with the same examples, batch size, order and seeds";
            return Err(Error::argument(NAME, expected, position));
        }
        (self.epoch, self.batch) = (position.epoch, position.batch);
        Ok(())
    }

    /// A number that is another one, almost surely, for a loader whose batches are others.
    fn fingerprint(&self) -> u64 {
        let order = match &self.order {
            Order::Straight => 0,
            Order::Shuffled(seed) => mix(&[1, *seed]),
            Order::Weighted(seed, sums) => sums.iter().fold(mix(&[2, *seed]), |h, s| mix(&[h, s.to_bits()])),
        };
        let augment = self.augment.as_ref().map_or(0, |(seed, _)| mix(&[3, *seed]));
        let sizes = [self.examples.len() as u64, self.batch_size as u64, u64::from(self.drop_last)];
        mix(&[sizes[0], sizes[1], sizes[2], order, augment])
    }

    fn listed_order(&self) -> Result<Option<Vec<usize>>> {
        let n = self.examples.len();
        match &self.order {
            Order::Straight => Ok(None),
            Order::Shuffled(seed) => {
                fits_a_list(NAME, n)?;
                Ok(Some(Rng::seed(mix(&[*seed, self.epoch])).permutation(n)))
            }
            Order::Weighted(seed, sums) => {
                let mut rng = Rng::seed(mix(&[*seed, self.epoch]));
                let total = sums.last().copied().unwrap_or(0.0);
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
