//! The long short-term memory.
//!
//! # Formula
//! c′ = σ(f)·c + σ(i)·tanh(g), h′ = σ(o)·tanh(c′); i, f, g, o are W·x + b + W_h·h + b_h, in this order
//!
//! # Source
//! S. Hochreiter and J. Schmidhuber 1997; F. Gers, J. Schmidhuber and F. Cummins 2000.

use super::{Cell, Recurrence, Recurrent};
use crate::autograd::Tensor;
use crate::error::Result;
use crate::formula::{Formula, Real};
use crate::ops;

/// The long short-term memory; its state is [h, c]. See [`Recurrent::run`].
///
/// ```
/// use tealight::layer::{Lstm, RnnOptions};
/// use tealight::prelude::*;
/// let layer = Lstm::new(3, 5, RnnOptions::new(), &mut Rng::seed(1))?;
/// let x = Tensor::ones((2, 7, 3), DType::F32, &Device::Cpu)?;
/// assert_eq!(layer.predict(&x)?.dims(), [2, 7, 5]);
/// # Ok::<(), tealight::Error>(())
/// ```
pub type Lstm = Recurrent<LstmCell, 2>;

/// A step of an [`Lstm`].
#[derive(Clone, Copy, Debug, Default)]
pub struct LstmCell;

/// σ(a)·tanh(b): what is written, and what is shown.
#[derive(Clone, Debug)]
struct Gated;

impl Formula<2> for Gated {
    const NAME: &'static str = "lstm_gate";
    const FUSED: bool = true;

    #[inline(always)]
    fn value<R: Real>(&self, [a, b]: [R; 2]) -> R {
        a.sigmoid() * b.tanh()
    }
}

/// σ(f)·c + w: what is kept, and what is written.
#[derive(Clone, Debug)]
struct Kept;

impl Formula<3> for Kept {
    const NAME: &'static str = "lstm_keep";
    const FUSED: bool = true;

    #[inline(always)]
    fn value<R: Real>(&self, [f, c, w]: [R; 3]) -> R {
        f.sigmoid() * c + w
    }
}

impl Cell<2> for LstmCell {
    const NAME: &'static str = "lstm";
    const KIND: &'static str = "Lstm";
    const GATES: usize = 4;
    const JOINT_BIAS: bool = true;

    fn step(&self, x: &Tensor, [h, c]: [Tensor; 2], recurrence: &Recurrence) -> Result<[Tensor; 2]> {
        let gates = (x + recurrence.gates(&h)?)?;
        let gate = |k| recurrence.gate(&gates, k);
        let written = ops::apply(Gated, [&gate(0)?, &gate(2)?])?;
        let c = ops::apply(Kept, [&gate(1)?, &c, &written])?;
        let h = ops::apply(Gated, [&gate(3)?, &c])?;
        Ok([h, c])
    }
}
