//! The gated recurrent unit.

use super::{OnnxCell, Recurrent, RecurrentCell, RecurrentMap};
use crate::autograd::{OnnxAttribute, Tensor};
use crate::error::Result;
use crate::kernel::recurrent::Cell;
use crate::ops;

/// The gated recurrent unit; see [`Recurrent`].
///
/// # Formula
/// h′ = (1 − σ(z))·n + σ(z)·h with n = tanh(xₙ + σ(r)·hₙ); r and z are W·x + b + W_h·h + b_h, xₙ is W·x + b and hₙ is
/// W_h·h + b_h. The gates have the order r, z, n.
///
/// # Source
/// K. Cho et al. 2014, with the reset gate after the product, as in PyTorch
///
/// ```
/// use tealight::prelude::*;
/// let layer = Gru::new(3, 5, RnnOptions::new(), &mut Rng::seed(1))?;
/// let x = Tensor::ones((2, 7, 3), DType::F32, &Device::Cpu)?;
/// assert_eq!(layer.predict(&x)?.dims(), [2, 7, 5]);
/// # Ok::<(), tealight::Error>(())
/// ```
pub type Gru = Recurrent<GruCell, 1>;

/// A step of a [`Gru`].
#[derive(Clone, Copy, Debug, Default)]
pub struct GruCell;

fused! {
    /// n = tanh(x + σ(r)·h)
    Candidate = "gru_candidate", [x, r, h] => (x + r.sigmoid() * h).tanh();
    /// n + σ(z)·(h − n)
    Update = "gru_update", [n, z, h] => n + z.sigmoid() * (h - n);
}

impl RecurrentCell<1> for GruCell {
    const NAME: &'static str = "gru";
    const KIND: &'static str = "Gru";
    const GATES: usize = 3;
    const JOINT_BIAS: bool = false;

    fn step(&self, x: &Tensor, [h]: [Tensor; 1], recurrent: &RecurrentMap) -> Result<[Tensor; 1]> {
        let own = recurrent.gates(&h)?;
        let both = 2 * recurrent.hidden;
        let sums = (x.narrow(1, 0, both)? + own.narrow(1, 0, both)?)?;
        let (r, z) = (recurrent.gate(&sums, 0)?, recurrent.gate(&sums, 1)?);
        let n = ops::apply(Candidate, [&recurrent.gate(x, 2)?, &r, &recurrent.gate(&own, 2)?])?;
        Ok([ops::apply(Update, [&n, &z, &h])?])
    }

    fn kernel(&self) -> Option<Cell> {
        Some(Cell::Gru)
    }

    fn onnx(&self, _: usize) -> Option<OnnxCell> {
        let after = ("linear_before_reset", OnnxAttribute::Int(1));
        Some(OnnxCell { operator: "GRU", gates: &[1, 0, 2], attributes: vec![after] })
    }
}
