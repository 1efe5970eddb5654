//! The batches of an iterable data set: its pieces, through the buffer that shuffles them.

use std::collections::VecDeque;
use std::sync::Arc;

use candle_core::Device;

use super::NAME;
use super::epoch::{BatchSource, mix};
use crate::autograd::{Tensor, no_grad};
use crate::data::dataset::{Batch, IterableDataset, Pieces, stacked};
use crate::error::{Error, Result};
use crate::ops::Rng;

/// The examples of an iterable data set, and how they are shuffled.
#[derive(Clone)]
pub(super) struct Streamed {
    pub(super) data: Arc<dyn IterableDataset>,
    pub(super) buffer_size: usize,
    /// Of the epoch.
    pub(super) seed: Option<u64>,
}

impl Streamed {
    /// The examples that a full buffer gives at once.
    pub(super) fn dealt(&self) -> usize {
        if self.seed.is_some() { self.buffer_size.div_ceil(2) } else { 1 }
    }
}

/// Examples in their order, in pieces.
#[derive(Default)]
struct Queue {
    pieces: VecDeque<(Tensor, Tensor)>,
    rows: usize,
}

impl Queue {
    fn push(&mut self, (inputs, targets): (Tensor, Tensor)) -> Result<()> {
        let [n, m] = [&inputs, &targets].map(|x| x.dims().first().copied());
        match n {
            Some(rows) if n == m => {
                self.rows += rows;
                self.pieces.push_back((inputs, targets));
                Ok(())
            }
            _ => {
                let got = format!("{:?} and {:?}", inputs.dims(), targets.dims());
                Err(Error::argument(NAME, "pieces with a first axis that counts inputs and targets", got))
            }
        }
    }

    /// The next examples, at most `count`; `None` if there are none.
    fn take(&mut self, count: usize) -> Result<Option<(Tensor, Tensor)>> {
        let (mut inputs, mut targets, mut missing) = (Vec::new(), Vec::new(), count.min(self.rows));
        self.rows -= missing;
        while missing > 0 {
            let (x, y) = self.pieces.pop_front().expect("the queue has as many rows as it says");
            let rows = x.dims()[0];
            let used = rows.min(missing);
            inputs.push(x.narrow(0, 0, used)?);
            targets.push(y.narrow(0, 0, used)?);
            if used < rows {
                self.pieces.push_front((x.narrow(0, used, rows - used)?, y.narrow(0, used, rows - used)?));
            }
            missing -= used;
        }
        let all = |name: &str, pieces: &[Tensor]| match pieces {
            [one] => Ok(one.clone()),
            _ => Tensor::cat(pieces, 0).map_err(|error| error.context(name)),
        };
        if inputs.is_empty() {
            return Ok(None);
        }
        Ok(Some((all("inputs", &inputs)?, all("targets", &targets)?)))
    }
}

/// The batches of an epoch, from the first on.
pub(super) struct StreamBatches {
    source: Arc<BatchSource>,
    pieces: Pieces,
    /// The buffer's size, and what draws from it.
    shuffle: Option<(usize, Rng)>,
    /// The examples before the buffer, in it, and after it.
    arriving: Queue,
    buffer: Queue,
    ready: Queue,
}

impl StreamBatches {
    /// The batches after the first `skipped` ones.
    pub(super) fn new(source: Arc<BatchSource>, streamed: &Streamed, skipped: usize) -> Result<Self> {
        let mut batches = StreamBatches {
            source,
            pieces: streamed.data.iter()?,
            shuffle: streamed.seed.map(|seed| (streamed.buffer_size, Rng::seed(seed))),
            arriving: Queue::default(),
            buffer: Queue::default(),
            ready: Queue::default(),
        };
        (0..skipped).try_for_each(|number| batches.examples(number).map(drop))?;
        Ok(batches)
    }

    /// Reads on until `count` examples arrived; fewer at the end.
    fn read(&mut self, count: usize) -> Result<()> {
        while self.arriving.rows < count {
            let Some(piece) = self.pieces.next() else { break };
            self.arriving.push(piece?)?;
        }
        Ok(())
    }

    /// The examples of a batch, which must come in their order.
    fn examples(&mut self, number: usize) -> Result<(Tensor, Tensor)> {
        let (n, size) = (self.source.dataset.num_examples(), self.source.batch_size);
        let count = n.saturating_sub(number.saturating_mul(size)).min(size);
        while self.ready.rows < count {
            let Some((size, _)) = self.shuffle else {
                self.read(count - self.ready.rows)?;
                let Some(piece) = self.arriving.take(count - self.ready.rows)? else { break };
                self.ready.push(piece)?;
                continue;
            };
            let missing = size.saturating_sub(self.buffer.rows).max(1);
            self.read(missing)?;
            let last = self.arriving.rows < missing;
            if let Some(piece) = self.arriving.take(missing)? {
                self.buffer.push(piece)?;
            }
            let rows = self.buffer.rows;
            let Some((inputs, targets)) = self.buffer.take(rows)? else { break };
            let (_, rng) = self.shuffle.as_mut().expect("there is a buffer");
            let order: Vec<i64> = rng.permutation(rows).into_iter().map(|row| row as i64).collect();
            let order = Tensor::from_vec(order, rows, &Device::Cpu)?;
            let (inputs, targets) = (inputs.index_select(0, &order)?, targets.index_select(0, &order)?);
            // Half of the buffer stays, to mix with what comes.
            let dealt = if last { rows } else { rows.div_ceil(2) };
            let part = |from, count| {
                Ok::<_, Error>((inputs.narrow(0, from, count)?, targets.narrow(0, from, count)?))
            };
            self.ready.push(part(0, dealt)?)?;
            if dealt < rows {
                self.buffer.push(part(dealt, rows - dealt)?)?;
            }
        }
        if self.ready.rows < count {
            let got = number * size + self.ready.rows;
            return Err(Error::argument(
                NAME,
                format!("an iterable data set of {n} examples, as it says"),
                got,
            ));
        }
        Ok(self.ready.take(count)?.expect("a batch has an example"))
    }

    /// The next batch, or its shards that are read.
    pub(super) fn batch(&mut self, number: usize) -> Result<Batch> {
        no_grad(|| {
            let (mut inputs, mut targets) = self.examples(number)?;
            let start = number * self.source.batch_size;
            if self.source.shards.count > 1 {
                let places: Vec<i64> = self
                    .source
                    .shards(number)
                    .flat_map(|(_, places)| places)
                    .map(|i| (i - start) as i64)
                    .collect();
                if places.is_empty() {
                    return Ok(Batch::default());
                }
                let rows = Tensor::from_vec(places.clone(), places.len(), &Device::Cpu)?;
                (inputs, targets) = (inputs.index_select(0, &rows)?, targets.index_select(0, &rows)?);
            }
            if let Some((seed, change)) = &self.source.augment {
                let places = self.source.shards(number).flat_map(|(_, places)| places).enumerate();
                let (x, y) = (inputs, targets);
                (inputs, targets) = stacked(places.map(|(row, place)| {
                    let mut rng = Rng::seed(mix(&[*seed, self.source.epoch, place as u64]));
                    let one = |x: &Tensor| x.narrow(0, row, 1)?.squeeze(0);
                    Ok((change.apply(&one(&x)?, &mut rng)?, one(&y)?))
                }))?;
            }
            Ok((vec![inputs], vec![targets]))
        })
    }
}
