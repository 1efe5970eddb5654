//! The gated recurrent unit.
//!
//! # Formula
//! h′ = (1 − σ(z))·n + σ(z)·h, n = tanh(xₙ + σ(r)·hₙ); r and z are W·x + b + W_h·h + b_h, xₙ = W·x + b and
//! hₙ = W_h·h + b_h, in the order r, z, n
//!
//! # Source
//! K. Cho and others 2014, with the reset after the product, as PyTorch has it.

use super::{Cell, Recurrent, RecurrentProjection};
use crate::autograd::Tensor;
use crate::error::Result;
use crate::formula::{Formula, Real};
use crate::ops;

/// The gated recurrent unit; see [`Recurrent::run`].
///
/// # Formula
/// h′ = (1 − σ(z))·n + σ(z)·h, n = tanh(xₙ + σ(r)·hₙ); r and z are W·x + b + W_h·h + b_h, xₙ = W·x + b and
/// hₙ = W_h·h + b_h, in the order r, z, n
///
/// ```
/// use tealight::layer::{Gru, RnnOptions};
/// use tealight::prelude::*;
/// let layer = Gru::new(3, 5, RnnOptions::new(), &mut Rng::seed(1))?;
/// let x = Tensor::ones((2, 7, 3), DType::F32, &Device::Cpu)?;
/// assert_eq!(layer.predict(&x)?.dims(), [2, 7, 5]);
/// # Ok::<(), tealight::Error>(())
/// ```
pub type Gru = Recurrent<GruCell, 1>;

/// A step of a [`Gru`].
///
/// ```
/// use tealight::layer::{Cell, GruCell};
/// use tealight::prelude::*;
/// let layer = Gru::new(3, 5, RnnOptions::new(), &mut Rng::seed(1))?;
/// assert_eq!(GruCell::GATES, 3); // r, z and n
/// assert_eq!(layer.weights[0].weight_ih.get().dims(), [3 * 5, 3]);
/// # Ok::<(), tealight::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct GruCell;

/// tanh(x + σ(r)·h): the new state, of which the update gate takes its share.
#[derive(Clone, Debug)]
struct Candidate;

impl Formula<3> for Candidate {
    const NAME: &'static str = "gru_candidate";
    const FUSED: bool = true;

    #[inline(always)]
    fn value<R: Real>(&self, [x, r, h]: [R; 3]) -> R {
        (x + r.sigmoid() * h).tanh()
    }
}

/// n + σ(z)·(h − n)
#[derive(Clone, Debug)]
struct Update;

impl Formula<3> for Update {
    const NAME: &'static str = "gru_update";
    const FUSED: bool = true;

    #[inline(always)]
    fn value<R: Real>(&self, [n, z, h]: [R; 3]) -> R {
        n + z.sigmoid() * (h - n)
    }
}

impl Cell<1> for GruCell {
    const NAME: &'static str = "gru";
    const KIND: &'static str = "Gru";
    const GATES: usize = 3;
    const JOINT_BIAS: bool = false;

    fn step(&self, x: &Tensor, [h]: [Tensor; 1], recurrence: &RecurrentProjection) -> Result<[Tensor; 1]> {
        let own = recurrence.gates(&h)?;
        let both = 2 * recurrence.hidden;
        let sums = (x.narrow(1, 0, both)? + own.narrow(1, 0, both)?)?;
        let (r, z) = (recurrence.gate(&sums, 0)?, recurrence.gate(&sums, 1)?);
        let n = ops::apply(Candidate, [&recurrence.gate(x, 2)?, &r, &recurrence.gate(&own, 2)?])?;
        Ok([ops::apply(Update, [&n, &z, &h])?])
    }
}
