//! Sums over ranks in an order that does not depend on their number.

use std::ops::Range;

use candle_core::{DType, Device};
use safetensors::View;

use super::{Communicator, wide};
use crate::autograd::array::converted;
use crate::autograd::{Array, Tensor};
use crate::error::{Error, Result};

/// The numbers of all tensors in one of shape (n): f64 if there is an f64, else f32.
pub(crate) fn join(tensors: &[Tensor]) -> Result<Tensor> {
    let dtype = wide(tensors.iter().map(Tensor::dtype));
    let flat = |x: &Tensor| {
        Ok(Tensor::constant(converted(&x.array().to_device(&Device::Cpu)?.flatten_all()?, dtype)?))
    };
    match tensors {
        [] => Tensor::zeros(0, dtype, &Device::Cpu),
        _ => Tensor::cat(&tensors.iter().map(flat).collect::<Result<Vec<_>>>()?, 0),
    }
}

/// The tensors of [`join`], with the shapes, dtypes and devices of `like`.
pub(crate) fn split(flat: &Tensor, like: &[Tensor]) -> Result<Vec<Tensor>> {
    let mut start = 0;
    let part = |like: &Tensor| {
        let part =
            flat.array().narrow(0, start, like.elem_count())?.force_contiguous()?.reshape(like.shape())?;
        start += like.elem_count();
        Ok(Tensor::constant(converted(&part, like.dtype())?.to_device(like.device())?))
    };
    like.iter().map(part).collect()
}

/// The sum of the tensors 0, 1, …, `count` − 1, each of shape (`len`), of which `parts` are those of this rank: its number,
/// its number + size, ….
///
/// As long as there are several, number i and number i + half are added, where half is `count`/2 rounded up. Where half is a
/// multiple of the size, both are on the same rank; the rest of the tree is added in shares of the numbers, one by each rank.
///
/// The `note` of each rank goes to all others with these, by rank.
pub(crate) fn sum(
    comm: &(impl Communicator + ?Sized),
    mut parts: Vec<Tensor>,
    mut count: usize,
    len: usize,
    dtype: DType,
    note: Vec<u8>,
) -> Result<(Tensor, Vec<Vec<u8>>)> {
    let size = comm.size();
    while count > 1 && count.div_ceil(2).is_multiple_of(size) {
        count = count.div_ceil(2);
        fold(&mut parts, count / size)?;
    }
    if size == 1 {
        return Ok((parts.remove(0), vec![note]));
    }
    let share = |rank: usize| -> Range<usize> { rank * len / size..(rank + 1) * len / size };
    let message = |to: usize| -> Result<Vec<u8>> {
        let slices = parts.iter().map(|part| bytes(&part.narrow(0, share(to).start, share(to).len())?));
        let mut message = slices.collect::<Result<Vec<_>>>()?.concat();
        message.extend_from_slice(&note);
        Ok(message)
    };
    let mut received = comm.all_to_all(&(0..size).map(message).collect::<Result<Vec<_>>>()?)?;
    let own = share(comm.rank()).len();
    let width = own * dtype.size_in_bytes();
    let mut notes = Vec::with_capacity(size);
    for (rank, message) in received.iter_mut().enumerate() {
        let slices = width * (rank..count).step_by(size).len();
        // A message that is too short is found below, by the slice that it lacks.
        notes.push(if slices <= message.len() { message.split_off(slices) } else { Vec::new() });
    }
    let part = |i: usize| {
        let (from, first) = (i % size, i / size * width);
        let slice = received.get(from).and_then(|bytes| bytes.get(first..first + width));
        tensor(slice.ok_or_else(|| other_program(from))?, own, dtype)
    };
    let mut parts = (0..count).map(part).collect::<Result<Vec<_>>>()?;
    while parts.len() > 1 {
        let half = parts.len().div_ceil(2);
        fold(&mut parts, half)?;
    }
    let sums = comm.all_gather(&bytes(&parts.remove(0))?)?.concat();
    if sums.len() != len * dtype.size_in_bytes() {
        return Err(other_program(comm.rank()));
    }
    Ok((tensor(&sums, len, dtype)?, notes))
}

/// Adds the parts from `keep` on to the first ones.
fn fold(parts: &mut Vec<Tensor>, keep: usize) -> Result<()> {
    let rest = parts.split_off(keep.min(parts.len()));
    for (part, other) in parts.iter_mut().zip(&rest) {
        *part = (&*part + other)?;
    }
    Ok(())
}

/// The error of a message that this program would not send.
pub(crate) fn other_program(rank: usize) -> Error {
    let expected = "the same program with the same settings on all ranks";
    Error::argument("distributed", expected, format!("another message of rank {rank}"))
}

/// The numbers in the byte order of this machine.
pub(crate) fn bytes(x: &Tensor) -> Result<Vec<u8>> {
    Ok(x.array().to_device(&Device::Cpu)?.force_contiguous()?.data().into_owned())
}

pub(crate) fn tensor(bytes: &[u8], len: usize, dtype: DType) -> Result<Tensor> {
    Ok(Tensor::constant(Array::from_raw_buffer(bytes, dtype, &[len], &Device::Cpu)?))
}
