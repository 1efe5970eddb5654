//! What the ranks of a distributed training exchange.

use std::hash::{DefaultHasher, Hasher};
use std::panic::resume_unwind;
use std::sync::Arc;
use std::thread::{self, ScopedJoinHandle};

use super::trainer::Trainer;
use crate::autograd::{Gradients, Tensor, no_grad};
use crate::data::DataLoader;
use crate::distributed::{Alone, Communicator, agree, bytes, join, other_program, split, sum, tensor, wide};
use crate::error::{Error, Result};
use crate::layer::{Buffer, Parameter, Peer, StateEntry};
use crate::train::Batches;

/// The shards of a batch where there are several ranks and [`Trainer::shards`] does not say.
const SHARDS: usize = 4;

/// The parameters of all ranks are compared after this many steps.
pub(super) const COMPARE_EVERY: u64 = 100;

/// What a shard has of one batch.
#[derive(Clone, Copy)]
pub(super) enum Part {
    /// No rows.
    Empty,
    /// No row that the loss counts.
    Weightless,
    /// The loss and its divisor: see [`Loss::divisor`](crate::loss::Loss::divisor).
    Loss(f64, Option<f64>),
}

impl Part {
    fn numbers(self) -> [f64; 3] {
        match self {
            Part::Empty => [0.0; 3],
            Part::Weightless => [1.0, 0.0, 0.0],
            // A divisor is a sum of weights, and not NaN.
            Part::Loss(loss, divisor) => [2.0, loss, divisor.unwrap_or(f64::NAN)],
        }
    }

    fn of([kind, loss, divisor]: [f64; 3]) -> Self {
        match kind {
            0.0 => Part::Empty,
            1.0 => Part::Weightless,
            _ => Part::Loss(loss, (!divisor.is_nan()).then_some(divisor)),
        }
    }
}

/// What a step computed of one shard.
pub(super) struct Share {
    /// The sum of its gradients, each times the divisor of its loss.
    pub(super) gradients: Gradients,
    /// One for each batch of the step.
    pub(super) parts: Vec<Part>,
    /// The values of the buffers afterwards.
    pub(super) buffers: Vec<Tensor>,
}

/// The sums over all shards, of which `shares` are those of this rank; sets the buffers, which were `before`. A float buffer that
/// a shard has changed gets the mean of all shards with rows, another one the value of the first shard.
pub(super) fn exchange(
    comm: &dyn Communicator,
    count: usize,
    parameters: &[(String, Parameter)],
    buffers: &[Buffer],
    before: &[Tensor],
    shares: &[Share],
) -> Result<Share> {
    let leaves: Vec<Tensor> = parameters.iter().map(|(_, p)| p.get()).filter(Tensor::requires_grad).collect();
    let batches = shares.first().map_or(0, |share| share.parts.len());
    let mut message: Vec<u8> = Vec::new();
    for part in shares.iter().flat_map(|share| &share.parts) {
        message.extend(part.numbers().iter().flat_map(|x| x.to_ne_bytes()));
    }
    let has = |leaf: &Tensor| shares.iter().any(|share| share.gradients.get(leaf).is_some());
    message.extend(leaves.iter().map(|leaf| u8::from(has(leaf))));
    for (i, before) in before.iter().enumerate() {
        message.push(u8::from(shares.iter().any(|share| share.buffers[i] != *before)));
    }
    if let (0, [first, ..]) = (comm.rank(), shares) {
        for exact in first.buffers.iter().filter(|x| !x.dtype().is_float()) {
            message.extend(bytes(exact)?);
        }
    }
    no_grad(|| {
        let floats = || before.iter().enumerate().filter(|(_, x)| x.dtype().is_float());
        let like: Vec<Tensor> =
            leaves.iter().map(Tensor::detach).chain(floats().map(|(_, x)| x.clone())).collect();
        let flat = |share: &Share| {
            let gradients = leaves.iter().map(|leaf| match share.gradients.get(leaf) {
                Some(gradient) => Ok(gradient.clone()),
                None => leaf.zeros_like(),
            });
            let empty = share.parts.iter().all(|part| matches!(part, Part::Empty));
            let buffers =
                floats().map(|(i, x)| if empty { x.zeros_like() } else { Ok(share.buffers[i].clone()) });
            join(&gradients.chain(buffers).collect::<Result<Vec<_>>>()?)
        };
        let (len, dtype) = (like.iter().map(Tensor::elem_count).sum(), wide(like.iter().map(Tensor::dtype)));
        let own = shares.iter().map(flat).collect::<Result<Vec<_>>>()?;
        let (sums, messages) = sum(comm, own, count, len, dtype, message)?;
        let mut sums = split(&sums, &like)?;
        // What all ranks say: the parts, the flags, and the exact buffers.
        let mut parts = vec![Part::Empty; count * batches];
        let mut flags = vec![false; leaves.len() + before.len()];
        let mut exact: Vec<u8> = Vec::new();
        for (rank, message) in messages.into_iter().enumerate() {
            let shards = (rank..count).step_by(comm.size());
            let split = message.split_at_checked(shards.len() * batches * 24);
            let (numbers, rest) = split.ok_or_else(|| other_program(rank))?;
            let (said, rest) = rest.split_at_checked(flags.len()).ok_or_else(|| other_program(rank))?;
            let numbers: Vec<f64> = numbers.as_chunks().0.iter().map(|&x| f64::from_ne_bytes(x)).collect();
            let places = shards.flat_map(|shard| shard * batches..(shard + 1) * batches);
            for (place, numbers) in places.zip(numbers.as_chunks().0) {
                parts[place] = Part::of(*numbers);
            }
            flags.iter_mut().zip(said).for_each(|(flag, &said)| *flag |= said == 1);
            exact.extend(rest);
        }
        let (has, changed) = flags.split_at(leaves.len());
        let means = sums.split_off(leaves.len());
        let mut gradients = Gradients::default();
        for ((leaf, sum), _) in leaves.iter().zip(sums).zip(has).filter(|(_, has)| **has) {
            gradients.replace(leaf, sum);
        }
        let ran = parts
            .chunks(batches.max(1))
            .filter(|parts| parts.iter().any(|part| !matches!(part, Part::Empty)));
        let ran = ran.count() as f64;
        let (mut means, mut exact) = (means.into_iter(), &exact[..]);
        for ((buffer, before), changed) in buffers.iter().zip(before).zip(changed) {
            let value = if before.dtype().is_float() {
                (means.next().expect("each float buffer has a sum") / ran)?
            } else {
                let length = before.elem_count() * before.dtype().size_in_bytes();
                let (own, rest) = exact.split_at_checked(length).ok_or_else(|| other_program(0))?;
                exact = rest;
                tensor(own, before.elem_count(), before.dtype())?.reshape(before.dims())?
            };
            buffer.set(if *changed { &value } else { before })?;
        }
        Ok(Share { gradients, parts, buffers: Vec::new() })
    })
}

/// What `evaluate` returns for each shard of this rank. They are computed side by side, each by a thread of its own, and their layers see
/// all shards of all ranks.
pub(super) fn side_by_side<R: Send>(
    comm: &dyn Communicator,
    count: usize,
    evaluate: &(dyn Fn(usize, Arc<Peer>) -> Result<R> + Sync),
) -> Result<Vec<R>> {
    let unequal = || Error::argument("fit", "the same layers for each shard of a batch", "others");
    thread::scope(|scope| {
        let (mut threads, mut ends) = (Vec::new(), Vec::new());
        for shard in (comm.rank()..count).step_by(comm.size()) {
            let (peer, end) = Peer::new(threads.is_empty());
            let work = move || {
                let peer = Arc::new(peer);
                let result = evaluate(shard, peer.clone());
                peer.end();
                result
            };
            let thread = thread::Builder::new().name(format!("shard {shard}")).spawn_scoped(scope, work);
            threads.push(thread.map_err(|error| Error::argument("fit", "a thread for each shard", error))?);
            ends.push(end);
        }
        let stopped = loop {
            let said: Vec<Option<Vec<f64>>> =
                ends.iter().map(|(said, _)| said.recv().ok().flatten()).collect();
            let stopped = said.iter().position(Option::is_none);
            let Some(said) = said.into_iter().collect::<Option<Vec<_>>>() else { break Ok(stopped) };
            match gathered(comm, count, &said) {
                Ok(all) => ends.iter().for_each(|(_, answer)| drop(answer.send(all.clone()))),
                Err(error) => break Err(error),
            }
        };
        // Who still waits gets an error.
        drop(ends);
        let join =
            |thread: ScopedJoinHandle<Result<R>>| thread.join().unwrap_or_else(|panic| resume_unwind(panic));
        let mut results: Vec<Result<R>> = threads.into_iter().map(join).collect();
        match stopped?.filter(|_| results.iter().any(Result::is_err)) {
            // The others stopped because this one did.
            Some(first) => Err(results.swap_remove(first).err().unwrap_or_else(unequal)),
            None => results.into_iter().collect(),
        }
    })
}

/// What each shard says, in their order: `own` are those of this rank.
fn gathered(comm: &dyn Communicator, count: usize, own: &[Vec<f64>]) -> Result<Vec<Vec<f64>>> {
    let width = own.first().map_or(0, Vec::len);
    if own.iter().any(|numbers| numbers.len() != width) {
        return Err(other_program(comm.rank()));
    }
    let message: Vec<u8> = own.iter().flatten().flat_map(|x| x.to_ne_bytes()).collect();
    let all = comm.all_gather(&message)?;
    let shard = |shard: usize| {
        let (rank, first) = (shard % comm.size(), shard / comm.size() * width * 8);
        let bytes = all.get(rank).and_then(|bytes| bytes.get(first..first + width * 8));
        let numbers = bytes.ok_or_else(|| other_program(rank))?.as_chunks().0;
        Ok(numbers.iter().map(|&x| f64::from_ne_bytes(x)).collect())
    };
    (0..count).map(shard).collect()
}

impl<'a> Trainer<'a> {
    pub(super) fn comm(&self) -> &(dyn Communicator + 'a) {
        self.distributed.as_deref().unwrap_or(&Alone)
    }

    /// The number of shards of a batch.
    pub(super) fn shard_count(&self) -> usize {
        self.shards.unwrap_or(if self.distributed.is_some() { SHARDS } else { 1 })
    }

    /// The batches to train on, of which this rank reads its shards.
    pub(super) fn train_loader(&self, data: &dyn Batches) -> Result<DataLoader> {
        let (count, comm) = (self.shard_count(), self.comm());
        if comm.size() > count {
            let expected = format!("at most {count} ranks, one for each shard of a batch (Trainer::shards)");
            return Err(Error::argument("fit", expected, comm.size()));
        }
        Ok(data.batches(self.batch_size, Some(self.seed))?.sharded(count, comm.rank(), comm.size()))
    }

    /// Errors unless all ranks have these settings.
    pub(super) fn check_settings(&self, settings: &str) -> Result<()> {
        match self.comm() {
            comm if comm.size() > 1 => agree(comm, "fit", "the same settings", settings),
            _ => Ok(()),
        }
    }

    /// Errors unless all ranks have the same parameters and buffers.
    pub(super) fn compare_ranks(&self) -> Result<()> {
        let comm = self.comm();
        if comm.size() == 1 {
            return Ok(());
        }
        let hash = |(_, entry): &(String, StateEntry)| {
            let mut hasher = DefaultHasher::new();
            hasher.write(&bytes(&entry.get())?);
            Ok(hasher.finish().to_ne_bytes())
        };
        let own = self.entries.iter().map(hash).collect::<Result<Vec<_>>>()?.concat();
        let all = comm.all_gather(&own)?;
        let first = all.first().map_or(&[][..], Vec::as_slice);
        let Some(rank) = all.iter().position(|other| other != first) else { return Ok(()) };
        let differs = |i: &usize| all[rank].get(8 * i..8 * i + 8) != first.get(8 * i..8 * i + 8);
        let name = (0..self.entries.len()).find(differs).map_or("list of parameters", |i| &self.entries[i].0);
        let got = format!("one on rank 0 and another one on rank {rank} (is a seed not the same?)");
        Err(Error::argument("fit", format!("the same {name} on all ranks"), got))
    }
}
