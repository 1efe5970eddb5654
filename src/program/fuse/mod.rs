//! Calls that follow one another and run as one kernel, with the same bits.

mod batch_norm;
mod formulas;
mod one_pass;

use smallvec::SmallVec;

use super::plan::Stored;
use crate::autograd::launch::{Kernel, Launch, Primitive, ValueView};

/// The calls as fewer ones. `kept` are the values that are read after the last call.
pub(super) fn fuse(values: &[Stored], calls: Vec<Launch>, kept: &[usize]) -> Vec<Launch> {
    let calls = one_pass::fuse(values, calls);
    formulas::fuse(values, batch_norm::fuse(values, calls, kept), kept)
}

/// One call in place of `parts`.
fn joined(
    parts: Vec<Launch>,
    inputs: Vec<ValueView>,
    outputs: SmallVec<[usize; 2]>,
    kernel: Kernel,
) -> Launch {
    let names: Vec<&str> = parts.iter().map(|part| &*part.name).collect();
    let mut scopes: Vec<&str> = parts.iter().map(|part| &*part.scope).collect();
    scopes.dedup();
    Launch {
        number: parts[0].number,
        name: names.join("+").into(),
        primitive: Primitive::Opaque,
        scope: scopes.join("+"),
        kernel,
        inputs,
        outputs,
        parts,
    }
}
