//! One epoch of a loader: its batches, made in the background or when they are asked for.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread;

use super::NAME;
use crate::autograd::{Tensor, no_grad};
use crate::data::augment::Augment;
use crate::data::dataset::{Dataset, stacked};
use crate::error::{Error, Result};
use crate::ops::Rng;

/// One number of several: each bit of the result depends on each of theirs.
pub(super) fn mix(parts: &[u64]) -> u64 {
    parts.iter().fold(0x9e37_79b9_7f4a_7c15, |hash, part| {
        // The finalizer of SplitMix64.
        let x = (hash ^ part).wrapping_add(0x9e37_79b9_7f4a_7c15);
        let x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        x ^ (x >> 31)
    })
}

/// Where a loader is: what to save, as text, and to [`restore`](super::DataLoader::restore).
///
/// ```
/// use tealight::data::{DataLoader, Position, TensorDataset};
/// use tealight::prelude::*;
/// let x = Tensor::arange(0.0, 5.0, &Device::Cpu)?;
/// let loader = DataLoader::new(&TensorDataset::new(&x, &x)?, 2)?;
/// let text = loader.position().to_string();
/// assert!(text.starts_with("epoch 0 batch 0 of loader "));
/// assert_eq!(text.parse::<Position>()?, loader.position());
/// # Ok::<(), tealight::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// The number of the epoch, from 0.
    pub epoch: u64,
    /// How many batches of it were taken.
    pub batch: usize,
    pub(super) loader: u64,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "epoch {} batch {} of loader {:016x}", self.epoch, self.batch, self.loader)
    }
}

impl FromStr for Position {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let parsed = || {
            let [_, epoch, _, batch, _, _, loader] = text.split(' ').collect::<Vec<_>>().try_into().ok()?;
            let loader = u64::from_str_radix(loader, 16).ok()?;
            Some(Position { epoch: epoch.parse().ok()?, batch: batch.parse().ok()?, loader })
        };
        let position = parsed().filter(|position| position.to_string() == text);
        position.ok_or_else(|| {
            Error::argument("Position", "the text of a loader's position", format!("{text:?}"))
        })
    }
}

/// What the batches of an epoch are made of.
pub(super) struct Plan {
    pub(super) examples: Arc<dyn Dataset>,
    /// None: 0, 1, 2, …
    pub(super) order: Option<Vec<usize>>,
    pub(super) batch_size: usize,
    pub(super) augment: Option<(u64, Arc<dyn Augment>)>,
    pub(super) epoch: u64,
}

impl Plan {
    fn batch(&self, number: usize) -> Result<(Tensor, Tensor)> {
        let start = number.saturating_mul(self.batch_size);
        let places = start..start.saturating_add(self.batch_size).min(self.examples.len());
        let example = |place: usize| self.order.as_ref().map_or(place, |order| order[place]);
        no_grad(|| match &self.augment {
            None => self.examples.batch(&places.map(example).collect::<Vec<_>>()),
            Some((seed, change)) => stacked(places.map(|place| {
                let index = example(place);
                let changed = || {
                    let (input, target) = self.examples.get(index)?;
                    let mut rng = Rng::seed(mix(&[*seed, self.epoch, place as u64]));
                    Ok((change.apply(&input, &mut rng)?, target))
                };
                changed().map_err(|error: Error| error.context(format!("example {index}")))
            })),
        })
    }
}

type Batch = Result<(Tensor, Tensor)>;

/// A thread that makes every `step`-th batch from `first` on, one ahead; none if the system has no thread left.
fn ahead(plan: &Arc<Plan>, first: usize, batches: usize, step: usize) -> Option<Receiver<Batch>> {
    let plan = plan.clone();
    let (sender, receiver) = sync_channel(0);
    let work = move || {
        // Nobody listens any more when the epoch was dropped.
        let _ = (first..batches).step_by(step).try_for_each(|number| sender.send(plan.batch(number)));
    };
    thread::Builder::new().name("data".into()).spawn(work).ok().map(|_| receiver)
}

/// The batches of one epoch: [`DataLoader::epoch`](super::DataLoader::epoch).
///
/// ```
/// use tealight::data::{DataLoader, Epoch, TensorDataset};
/// use tealight::prelude::*;
/// let x = Tensor::arange(0.0, 5.0, &Device::Cpu)?;
/// let mut epoch: Epoch = DataLoader::new(&TensorDataset::new(&x, &x)?, 2)?.epoch()?;
/// let (inputs, _) = epoch.next().unwrap()?;
/// assert_eq!((inputs.to_vec1::<f64>()?, epoch.len()), (vec![0.0, 1.0], 2)); // two batches are left
/// # Ok::<(), tealight::Error>(())
/// ```
pub struct Epoch {
    plan: Arc<Plan>,
    next: usize,
    first: usize,
    batches: usize,
    ahead: Vec<Option<Receiver<Batch>>>,
    loader: u64,
}

impl Epoch {
    pub(super) fn new(plan: Arc<Plan>, first: usize, batches: usize, threads: usize, loader: u64) -> Self {
        let threads = threads.min(batches.saturating_sub(first));
        let ahead = (0..threads).map(|thread| ahead(&plan, first + thread, batches, threads)).collect();
        Epoch { plan, next: first, first, batches, ahead, loader }
    }

    /// Where to go on after the batches that were taken: in this epoch, or at the start of the next.
    ///
    /// ```
    /// use tealight::data::{DataLoader, TensorDataset};
    /// use tealight::prelude::*;
    /// let x = Tensor::arange(0.0, 5.0, &Device::Cpu)?;
    /// let mut epoch = DataLoader::new(&TensorDataset::new(&x, &x)?, 2)?.epoch()?;
    /// epoch.next();
    /// assert_eq!((epoch.position().epoch, epoch.position().batch), (0, 1));
    /// epoch.by_ref().count();
    /// assert_eq!((epoch.position().epoch, epoch.position().batch), (1, 0)); // all three are taken
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn position(&self) -> Position {
        let (epoch, batch) = match self.next < self.batches {
            true => (self.plan.epoch, self.next),
            false => (self.plan.epoch.wrapping_add(1), 0),
        };
        Position { epoch, batch, loader: self.loader }
    }
}

impl Iterator for Epoch {
    type Item = Batch;

    fn next(&mut self) -> Option<Batch> {
        let number = (self.next < self.batches).then_some(self.next)?;
        self.next += 1;
        let thread = (number - self.first).checked_rem(self.ahead.len());
        Some(match thread.and_then(|thread| self.ahead[thread].as_ref()) {
            None => self.plan.batch(number),
            Some(receiver) => receiver.recv().unwrap_or_else(|_| {
                Err(Error::argument(
                    NAME,
                    "a data set that does not panic",
                    format!("a panic in batch {number}"),
                ))
            }),
        })
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.batches - self.next, Some(self.batches - self.next))
    }
}

impl ExactSizeIterator for Epoch {}
