//! Which kernel calls are needed, and which values share memory.

use candle_core::CpuStorage;
use candle_core::DType;

use super::Place;
use crate::autograd::launch::{Kernel, Launch};

/// What a value is stored as.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Stored {
    pub(super) dtype: DType,
    /// In elements.
    pub(super) len: usize,
}

impl Stored {
    pub(super) fn bytes(self) -> usize {
        self.len * self.dtype.size_in_bytes()
    }
}

/// The dtype, the length, and when values live in it: from one call to another.
type Slot = (DType, usize, Vec<(usize, usize)>);

/// The calls that the values `kept`, a check or the order of random numbers needs.
pub(super) fn needed(values: usize, launches: Vec<Launch>, kept: &[usize]) -> Vec<Launch> {
    let mut needed = vec![false; values];
    kept.iter().for_each(|&value| needed[value] = true);
    let mut used: Vec<Launch> = Vec::new();
    for call in launches.into_iter().rev() {
        let for_itself = call.outputs.is_empty() || matches!(call.kernel, Kernel::Random(_));
        if for_itself || call.outputs.iter().any(|&output| needed[output]) {
            call.inputs.iter().for_each(|view| needed[view.value] = true);
            used.push(call);
        }
    }
    used.reverse();
    used
}

/// A slot for each value that the calls make, by value, and the slots.
///
/// A value lives from the call that makes it to the last one that reads it, and on as what that makes of it in its place. The largest values are placed first, each in the first
/// slot of its dtype in which nothing else lives then.
pub(super) fn plan(values: &[Stored], launches: &[Launch], kept: &[usize]) -> (Vec<Place>, Vec<Stored>) {
    let mut lives: Vec<Option<(usize, usize)>> = vec![None; values.len()];
    // The value whose place another one takes.
    let mut firsts: Vec<usize> = (0..values.len()).collect();
    for (i, call) in launches.iter().enumerate() {
        if let Kernel::Over(_) = call.kernel {
            firsts[call.outputs[0]] = firsts[call.inputs[0].value];
        }
        for &output in &call.outputs {
            let life = &mut lives[firsts[output]];
            *life = Some((life.map_or(i, |(first, _)| first), i));
        }
        for view in &call.inputs {
            if let Some((_, last)) = &mut lives[firsts[view.value]] {
                *last = i;
            }
        }
    }
    for &value in kept {
        if let Some((_, last)) = &mut lives[firsts[value]] {
            *last = launches.len();
        }
    }

    let mut order: Vec<usize> = (0..values.len()).filter(|&value| lives[value].is_some()).collect();
    order.sort_by_key(|&value| (std::cmp::Reverse(values[value].bytes()), value));
    let mut places = vec![Place::Nowhere; values.len()];
    let mut slots: Vec<Slot> = Vec::new();
    for value in order {
        let (first, last) = lives[value].expect("only living values are placed");
        let dtype = values[value].dtype;
        let free = slots.iter().position(|(own, _, taken)| {
            *own == dtype && taken.iter().all(|&(from, to)| to < first || last < from)
        });
        let slot = free.unwrap_or_else(|| {
            slots.push((dtype, values[value].len, Vec::new()));
            slots.len() - 1
        });
        slots[slot].2.push((first, last));
        places[value] = Place::Slot(slot);
    }
    for (value, first) in firsts.into_iter().enumerate() {
        places[value] = places[first];
    }
    (places, slots.into_iter().map(|(dtype, len, _)| Stored { dtype, len }).collect())
}

/// The memory of a slot.
pub(super) fn zeros(Stored { dtype, len }: Stored) -> CpuStorage {
    match dtype {
        DType::F32 => CpuStorage::F32(vec![0.0; len]),
        DType::F64 => CpuStorage::F64(vec![0.0; len]),
        DType::U32 => CpuStorage::U32(vec![0; len]),
        DType::I64 => CpuStorage::I64(vec![0; len]),
        // The kernels that make the other dtypes bring their own memory.
        _ => CpuStorage::U8(vec![0; len]),
    }
}
