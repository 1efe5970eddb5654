//! [`Epoch`]: the batches of one epoch, prepared in the background or when they are read.

use std::fmt;
use std::ops::Range;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread;

use super::NAME;
use super::stream::{StreamBatches, Streamed};
use crate::autograd::{Tensor, no_grad};
use crate::data::augment::Augment;
use crate::data::dataset::{Batch, MultiDataset, stacked_lists};
use crate::error::{Error, Result};
use crate::ops::Rng;

/// A hash of several numbers.
pub(super) fn mix(parts: &[u64]) -> u64 {
    parts.iter().fold(0x9e37_79b9_7f4a_7c15, |hash, part| {
        // The finalizer of SplitMix64.
        let x = (hash ^ part).wrapping_add(0x9e37_79b9_7f4a_7c15);
        let x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        x ^ (x >> 31)
    })
}

/// Where a [`DataLoader`](super::DataLoader) is, for [`restore`](super::DataLoader::restore).
///
/// `to_string` and `parse` convert it to text and back, to save it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// The index of the epoch, from 0.
    pub epoch: u64,
    /// The number of its batches that were taken.
    pub batch: usize,
    /// The fingerprint of the loader.
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

/// All that a thread needs to prepare the batches of an epoch.
pub(super) struct BatchSource {
    pub(super) dataset: Arc<dyn MultiDataset>,
    /// `None` for 0, 1, 2, ….
    pub(super) order: Option<Vec<usize>>,
    /// An iterable data set has no order.
    pub(super) stream: Option<Streamed>,
    pub(super) batch_size: usize,
    pub(super) augment: Option<(u64, Arc<dyn Augment>)>,
    pub(super) shards: Shards,
    pub(super) epoch: u64,
}

/// The `count` shards of each batch, of which every `size`-th from number `rank` on is read.
#[derive(Clone, Copy)]
pub(super) struct Shards {
    pub(super) count: usize,
    pub(super) rank: usize,
    pub(super) size: usize,
}

impl BatchSource {
    /// The shards of a batch that are read, and their places in the order; none that is empty.
    pub(super) fn shards(&self, number: usize) -> impl Iterator<Item = (usize, Range<usize>)> + Clone {
        let Shards { count, rank, size } = self.shards;
        let start = number.saturating_mul(self.batch_size);
        let n = start.saturating_add(self.batch_size).min(self.dataset.num_examples()).saturating_sub(start);
        let places = move |shard: usize| {
            start + (shard * n).div_ceil(count)..start + ((shard + 1) * n).div_ceil(count)
        };
        (rank..count)
            .step_by(size)
            .map(move |shard| (shard, places(shard)))
            .filter(|(_, places)| !places.is_empty())
    }

    fn batch(&self, number: usize) -> Result<Batch> {
        let mut places = self.shards(number).flat_map(|(_, places)| places).peekable();
        if places.peek().is_none() {
            return Ok(Batch::default());
        }
        let example = |place: usize| self.order.as_ref().map_or(place, |order| order[place]);
        no_grad(|| match &self.augment {
            None => self.dataset.batch_multi(&places.map(example).collect::<Vec<_>>()),
            Some((seed, change)) => stacked_lists(places.map(|place| {
                let index = example(place);
                let changed = || {
                    let (inputs, targets) = self.dataset.get_multi(index)?;
                    let mut rng = Rng::seed(mix(&[*seed, self.epoch, place as u64]));
                    Ok((inputs.iter().map(|x| change.apply(x, &mut rng)).collect::<Result<_>>()?, targets))
                };
                changed().map_err(|error: Error| error.context(format!("example {index}")))
            })),
        })
    }
}

/// The most batches of a shuffled stream that are prepared ahead only because its buffer has as many.
const MAX_AHEAD: usize = 1 << 14;

/// A thread that prepares the batches of an iterable data set from `first` on, `ahead` of them or more; `None` if the system has no
/// thread left.
fn spawn_stream(
    source: &Arc<BatchSource>,
    first: usize,
    batches: usize,
    ahead: usize,
) -> Option<Receiver<Result<Batch>>> {
    let source = source.clone();
    let streamed = source.stream.clone().expect("the data set is iterable");
    // All that a buffer deals at once, so that it fills up again while they are taken.
    let dealt = streamed.dealt().div_ceil(source.batch_size).min(batches - first).min(MAX_AHEAD);
    let (sender, receiver) = sync_channel(ahead.max(dealt) - 1);
    let work = move || match StreamBatches::new(source, &streamed, first) {
        Ok(mut all) => {
            let _ = (first..batches).try_for_each(|number| sender.send(all.batch(number)));
        }
        Err(error) => drop(sender.send(Err(error))),
    };
    thread::Builder::new().name("data".into()).spawn(work).ok().map(|_| receiver)
}

/// A thread that prepares every `step`-th batch from `first` on, one ahead; `None` if the system has no thread left.
fn spawn_worker(
    source: &Arc<BatchSource>,
    first: usize,
    batches: usize,
    step: usize,
) -> Option<Receiver<Result<Batch>>> {
    let source = source.clone();
    let (sender, receiver) = sync_channel(0);
    let work = move || {
        // Sending fails when the epoch was dropped.
        let _ = (first..batches).step_by(step).try_for_each(|number| sender.send(source.batch(number)));
    };
    thread::Builder::new().name("data".into()).spawn(work).ok().map(|_| receiver)
}

/// The batches of one epoch: [`DataLoader::epoch`](super::DataLoader::epoch).
pub struct Epoch {
    source: Arc<BatchSource>,
    next: usize,
    first: usize,
    batches: usize,
    workers: Vec<Option<Receiver<Result<Batch>>>>,
    /// An iterable data set that is read here.
    stream: Option<StreamBatches>,
    loader: u64,
}

impl Epoch {
    pub(super) fn new(
        source: Arc<BatchSource>,
        first: usize,
        batches: usize,
        threads: usize,
        loader: u64,
    ) -> Self {
        let threads = threads.min(batches.saturating_sub(first));
        let workers = match source.stream {
            Some(_) if threads > 0 => vec![spawn_stream(&source, first, batches, threads)],
            _ => (0..threads).map(|thread| spawn_worker(&source, first + thread, batches, threads)).collect(),
        };
        Epoch { source, next: first, first, batches, workers, stream: None, loader }
    }

    /// Where to go on after the batches that were taken: in this epoch, or at the start of the next.
    pub fn position(&self) -> Position {
        let (epoch, batch) = match self.next < self.batches {
            true => (self.source.epoch, self.next),
            false => (self.source.epoch.wrapping_add(1), 0),
        };
        Position { epoch, batch, loader: self.loader }
    }
}

impl Epoch {
    /// The shards of the next batch that are read, with their numbers.
    pub(crate) fn next_shards(&mut self) -> Option<Result<Vec<(usize, Batch)>>> {
        let (number, batch) = (self.next, self.next_multi()?);
        Some(batch.and_then(|(inputs, targets)| {
            if self.source.shards.count == 1 {
                return Ok(vec![(0, (inputs, targets))]);
            }
            let mut first = 0;
            let shard = |(shard, places): (usize, Range<usize>)| {
                let rows = |all: &[Tensor]| {
                    all.iter().map(|x| x.narrow(0, first, places.len())).collect::<Result<Vec<_>>>()
                };
                let batch = (rows(&inputs)?, rows(&targets)?);
                first += places.len();
                Ok((shard, batch))
            };
            self.source.shards(number).map(shard).collect()
        }))
    }

    fn streamed(&mut self, streamed: Streamed, number: usize) -> Result<Batch> {
        if self.stream.is_none() {
            self.stream = Some(StreamBatches::new(self.source.clone(), &streamed, number)?);
        }
        self.stream.as_mut().expect("the stream was begun").batch(number)
    }

    /// The next batch of examples with several inputs or targets.
    pub fn next_multi(&mut self) -> Option<Result<(Vec<Tensor>, Vec<Tensor>)>> {
        let number = (self.next < self.batches).then_some(self.next)?;
        self.next += 1;
        let thread = (number - self.first).checked_rem(self.workers.len());
        Some(match thread.and_then(|thread| self.workers[thread].as_ref()) {
            None => match &self.source.stream {
                None => self.source.batch(number),
                Some(streamed) => self.streamed(streamed.clone(), number),
            },
            Some(receiver) => receiver.recv().unwrap_or_else(|_| {
                Err(Error::argument(
                    NAME,
                    "a data set that does not panic",
                    format!("a panic in batch {number}"),
                ))
            }),
        })
    }
}

/// The inputs and the targets of each batch. Errors if there are several, or none, for an example.
impl Iterator for Epoch {
    type Item = Result<(Tensor, Tensor)>;

    fn next(&mut self) -> Option<Self::Item> {
        let one_each = |(inputs, targets): Batch| {
            let counts = format!("{} and {}", inputs.len(), targets.len());
            match (<[Tensor; 1]>::try_from(inputs), <[Tensor; 1]>::try_from(targets)) {
                (Ok([inputs]), Ok([targets])) => Ok((inputs, targets)),
                _ => Err(Error::argument(NAME, "one input and one target (see next_multi)", counts)),
            }
        };
        Some(self.next_multi()?.and_then(one_each))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.batches - self.next, Some(self.batches - self.next))
    }
}

impl ExactSizeIterator for Epoch {}
