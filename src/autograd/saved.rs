//! What a recorded operation keeps for its backward pass.

use smallvec::SmallVec;

use super::node::Call;
use super::{Array, Tensor};
use crate::error::Result;

/// The arrays that a node holds.
#[derive(Debug, Default)]
pub(crate) struct Stash {
    pub(crate) inputs: SmallVec<[Option<Array>; 3]>,
    pub(crate) output: Option<Array>,
    pub(crate) extra: SmallVec<[Array; 1]>,
}

/// Told by [`Op::forward`](super::Op::forward) what the backward pass will want; nothing else is held.
#[derive(Debug)]
pub struct Keep {
    wanted: u32,
    pub(super) inputs: u32,
    pub(super) output: bool,
    pub(super) extra: SmallVec<[Array; 1]>,
}

/// The mark of input `i`; an operation has at most 32.
fn bit(i: usize) -> u32 {
    1_u32.checked_shl(i as u32).unwrap_or(0)
}

impl Keep {
    pub(super) fn new(wanted: u32) -> Self {
        Keep { wanted, inputs: 0, output: false, extra: SmallVec::new() }
    }

    pub(super) fn into_stash(self, inputs: &[&Tensor], output: &Array) -> Stash {
        let kept = |(i, input): (usize, &&Tensor)| (self.inputs & bit(i) != 0).then(|| input.array().clone());
        Stash {
            inputs: inputs.iter().enumerate().map(kept).collect(),
            output: self.output.then(|| output.clone()),
            extra: self.extra,
        }
    }

    /// Whether anything is kept at all: false under [`no_grad`](super::no_grad) and where no input needs a gradient.
    pub fn recording(&self) -> bool {
        self.wanted != 0
    }

    /// Whether input `i` will need a gradient: what only the gradients of others read need not be kept.
    pub fn wants(&self, i: usize) -> bool {
        self.wanted & bit(i) != 0
    }

    /// Keeps input `i`; one that the operation does not have is no input to keep.
    pub fn input(&mut self, i: usize) {
        self.inputs |= bit(i);
    }

    /// Keeps the output.
    pub fn output(&mut self) {
        self.output = true;
    }

    /// Keeps something else: a mask, indices, a statistic. It comes back from [`Saved::extra`] in the order given, as
    /// a constant.
    pub fn extra(&mut self, array: Array) {
        if self.recording() {
            self.extra.push(array);
        }
    }
}

/// What [`Op::backward`](super::Op::backward) has to work with.
pub struct Saved<'a, const N: usize> {
    pub(crate) call: &'a Call<'a>,
}

impl<const N: usize> Saved<'_, N> {
    /// Input `i`, with its history, so that what is computed from it can be differentiated again.
    ///
    /// # Errors
    /// If `forward` did not keep it.
    pub fn input(&self, i: usize) -> Result<Tensor> {
        self.call.input_with_history(i)
    }

    /// The output, with its history.
    ///
    /// # Errors
    /// If `forward` did not keep it.
    pub fn output(&self) -> Result<Tensor> {
        self.call.output_with_history()
    }

    /// The `i`-th of the other arrays that `forward` kept.
    ///
    /// # Errors
    /// If there is none.
    pub fn extra(&self, i: usize) -> Result<&Array> {
        self.call.extra(i)
    }

    /// The shape of input `i`, whether it was kept or not.
    ///
    /// # Errors
    /// If input `i` is a constant, whose gradient nobody wants.
    pub fn input_dims(&self, i: usize) -> Result<&[usize]> {
        self.call.known_dims(i)
    }

    /// Whether anybody waits for the gradient of input `i`; if not, answer `None` and save the work.
    pub fn wants(&self, i: usize) -> bool {
        self.call.wants(i)
    }

    /// Whether this backward pass is itself recorded. In an ordinary one a fused kernel may do the work.
    pub fn recording(&self) -> bool {
        self.call.recording()
    }
}
