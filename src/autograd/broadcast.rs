//! Broadcasting, and its transpose: the backward pass sums every gradient to the shape of its input here, so that no
//! operation has to.

use super::array::{add, contiguous, on_cpu, sum_axes};
use super::op::{Jacobian, Op};
use super::saved::{SaveContext, Saved};
use super::{Array, Onnx, OnnxValue, Tensor};
use crate::error::{Error, Result};
use crate::kernel::Dims;

/// The sum of `x` over the axes along which `dims` was broadcast: the transpose of `broadcast_to`.
pub(super) fn sum_to(x: &Tensor, dims: &[usize]) -> Result<Tensor> {
    if x.dims() == dims { Ok(x.clone()) } else { SumTo(Dims::from_slice(dims)).apply([x]) }
}

#[derive(Debug)]
struct SumTo(Dims);

impl Op<1> for SumTo {
    const NAME: &'static str = "sum_to";

    fn forward(&self, [x]: [&Array; 1], _: &mut SaveContext) -> Result<Array> {
        let dims = &self.0[..];
        let fits = x.rank() >= dims.len();
        let lead = x.rank().saturating_sub(dims.len());
        if !fits || dims.iter().zip(&x.dims()[lead..]).any(|(&own, &wide)| own != wide && own != 1) {
            let expected = format!("a gradient of a shape to which {dims:?} broadcasts");
            return Err(Error::shape("backward", expected, &[x.dims()]));
        }
        let summed: Dims =
            (0..x.rank()).filter(|&axis| axis < lead || dims[axis - lead] != x.dims()[axis]).collect();
        Ok(sum_axes(x, &summed)?.reshape(dims)?)
    }

    fn jacobian(&self) -> Jacobian {
        Jacobian::Linear
    }

    fn backward(&self, saved: &Saved, grad: &Tensor) -> Result<[Option<Tensor>; 1]> {
        Ok([Some(broadcast_to(grad, saved.input_dims(0)?)?)])
    }
}

/// `x` repeated to the shape `dims`, without a copy.
pub(crate) fn broadcast_to(x: &Tensor, dims: &[usize]) -> Result<Tensor> {
    BroadcastTo(Dims::from_slice(dims)).apply([x])
}

#[derive(Debug)]
struct BroadcastTo(Dims);

impl Op<1> for BroadcastTo {
    const NAME: &'static str = "broadcast_to";

    fn forward(&self, [x]: [&Array; 1], _: &mut SaveContext) -> Result<Array> {
        let dims = &self.0[..];
        let lead = dims.len().checked_sub(x.rank());
        let fits = lead.is_some_and(|lead| {
            x.dims().iter().zip(&dims[lead..]).all(|(&own, &wide)| own == wide || own == 1)
        });
        if !fits {
            let expected = format!("a shape that broadcasts to {dims:?}");
            return Err(Error::shape(Self::NAME, expected, &[x.dims()]));
        }
        Ok(x.broadcast_as(dims)?)
    }

    fn onnx(&self, onnx: &mut Onnx) -> Result<OnnxValue> {
        let (x, to) = (onnx.input(0), onnx.shape(&self.0));
        Ok(onnx.node("Expand", &[x, to], &[]))
    }

    fn jacobian(&self) -> Jacobian {
        Jacobian::Linear
    }

    // The backward pass sums it to the input's shape.
    fn backward(&self, _: &Saved, grad: &Tensor) -> Result<[Option<Tensor>; 1]> {
        Ok([Some(grad.clone())])
    }
}

/// The sum of two gradients of one shape, as a recorded operation.
#[derive(Debug)]
pub(super) struct Accumulate;

impl Op<2> for Accumulate {
    const NAME: &'static str = "accumulate";

    fn forward(&self, [a, b]: [&Array; 2], _: &mut SaveContext) -> Result<Array> {
        add(a, b)
    }

    fn jacobian(&self) -> Jacobian {
        Jacobian::Linear
    }

    fn backward(&self, _: &Saved, grad: &Tensor) -> Result<[Option<Tensor>; 2]> {
        Ok([Some(grad.clone()), Some(grad.clone())])
    }
}

/// Adds `other` to an array that nothing else shares.
pub(super) fn add_in_place(target: &mut Array, other: &Array) -> Result<()> {
    // candle takes an empty array for one with repeated elements.
    let in_place = target.is_contiguous() && on_cpu(target) && on_cpu(other) && target.elem_count() > 0;
    if in_place {
        target.inplace_op2(&contiguous(other)?, &AddAssign)?;
    } else {
        *target = (&*target + other)?;
    }
    Ok(())
}

struct AddAssign;

impl candle_core::InplaceOp2 for AddAssign {
    fn name(&self) -> &'static str {
        "add_assign"
    }

    fn cpu_fwd(
        &self,
        target: &mut candle_core::CpuStorage,
        own: &candle_core::Layout,
        other: &candle_core::CpuStorage,
        layout: &candle_core::Layout,
    ) -> candle_core::Result<()> {
        use candle_core::CpuStorage::{F32, F64};
        let n = own.shape().elem_count();
        let (a, b) = (own.start_offset(), layout.start_offset());
        match (target, other) {
            (F32(x), F32(y)) => crate::kernel::add_assign(&mut x[a..a + n], &y[b..b + n]),
            (F64(x), F64(y)) => crate::kernel::add_assign(&mut x[a..a + n], &y[b..b + n]),
            _ => candle_core::bail!("add_assign: expected two f32 or two f64 arrays"),
        }
        Ok(())
    }
}
