//! Which kernel calls are needed, and which values share memory.

use candle_core::CpuStorage;
use candle_core::DType;

use super::Place;
use super::fuse::{Way, ways};
use crate::autograd::launch::{Kernel, Launch, Value};

pub(super) struct Plan {
    pub(super) launches: Vec<Launch>,
    pub(super) ways: Vec<Way>,
    /// By value; those of externals and constants are not set.
    pub(super) places: Vec<Place>,
    pub(super) slots: Vec<CpuStorage>,
}

/// The dtype, the length, and when values live in it: from one call to another.
type Slot = (DType, usize, Vec<(usize, usize)>);

/// The calls that the values `kept`, a check or the order of random numbers needs, and a slot for each value that they make.
///
/// A value lives from the call that makes it to the last one that reads it. The largest values are placed first, each in the first
/// slot of its dtype in which nothing else lives then.
pub(super) fn plan(values: &[Value], launches: Vec<Launch>, kept: Vec<usize>) -> Plan {
    let mut needed = vec![false; values.len()];
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
    let ways = ways(&used, values, &kept);

    let mut lives: Vec<Option<(usize, usize)>> = vec![None; values.len()];
    for (i, call) in used.iter().enumerate() {
        call.outputs.iter().for_each(|&output| lives[output] = Some((i, i)));
        for view in &call.inputs {
            if let Some((_, last)) = &mut lives[view.value] {
                *last = i;
            }
        }
        if let Way::Instead(inputs, _) = &ways[i] {
            for view in inputs {
                if let Some((_, last)) = &mut lives[view.value] {
                    *last = i;
                }
            }
        }
    }
    for value in kept {
        if let Some((_, last)) = &mut lives[value] {
            *last = used.len();
        }
    }

    let mut order: Vec<usize> = (0..values.len()).filter(|&value| lives[value].is_some()).collect();
    let bytes = |value: usize| values[value].len * values[value].dtype.size_in_bytes();
    order.sort_by_key(|&value| (std::cmp::Reverse(bytes(value)), value));
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
    let slots = slots.into_iter().map(|(dtype, len, _)| zeros(dtype, len)).collect();
    Plan { launches: used, ways, places, slots }
}

/// The calls that read each of `count` values.
pub(super) fn reads(calls: &[Launch], count: usize) -> Vec<Vec<usize>> {
    let mut readers: Vec<Vec<usize>> = vec![Vec::new(); count];
    for (i, call) in calls.iter().enumerate() {
        for view in &call.inputs {
            if readers[view.value].last() != Some(&i) {
                readers[view.value].push(i);
            }
        }
    }
    readers
}

fn zeros(dtype: DType, len: usize) -> CpuStorage {
    match dtype {
        DType::F32 => CpuStorage::F32(vec![0.0; len]),
        DType::F64 => CpuStorage::F64(vec![0.0; len]),
        DType::U32 => CpuStorage::U32(vec![0; len]),
        DType::I64 => CpuStorage::I64(vec![0; len]),
        // The kernels that make the other dtypes bring their own memory.
        _ => CpuStorage::U8(vec![0; len]),
    }
}
