//! [`ReducedAxes`]: what a reduction does to a shape, and how the kernels see an array.

use candle_core::{DType, Device, Shape, WithDType};

use super::axis::{Axes, resolve_axes};
use super::create::checked;
use super::reshape::reshaped;
use crate::autograd::array::{contiguous, converted, count, on_cpu};
use crate::autograd::launch::launch;
use crate::autograd::{Array, Tensor};
use crate::error::{Error, Result};
use crate::kernel::{self, Dims};

/// The axes that are reduced, ascending, and whether they stay with length 1.
#[derive(Clone, Debug)]
pub(super) struct ReducedAxes {
    pub(super) axes: Dims,
    pub(super) keepdim: bool,
}

/// An array as three axes, of which `axis` is the middle one.
pub(super) fn around(dims: &[usize], axis: usize) -> [usize; 3] {
    [count(&dims[..axis]), dims[axis], count(&dims[axis + 1..])]
}

impl ReducedAxes {
    pub(super) fn of(op: &'static str, x: &Tensor, axes: impl Axes, keepdim: bool) -> Result<Self> {
        Ok(ReducedAxes { axes: resolve_axes(op, axes, x.dims())?, keepdim })
    }

    pub(super) fn all(x: &Tensor) -> Self {
        ReducedAxes { axes: (0..x.rank()).collect(), keepdim: false }
    }

    /// The shape of the result, with or without the reduced axes.
    pub(super) fn dims(&self, input: &[usize], keepdim: bool) -> Dims {
        let mut dims = Dims::new();
        for (axis, &size) in input.iter().enumerate() {
            match self.axes.contains(&axis) {
                true if keepdim => dims.push(1),
                true => {}
                false => dims.push(size),
            }
        }
        dims
    }

    /// How many elements are reduced to one.
    pub(super) fn count(&self, input: &[usize]) -> usize {
        self.axes.iter().map(|&axis| input[axis]).fold(1, usize::saturating_mul)
    }

    /// The shape of the result, which may be too large for memory if `x` is empty.
    pub(super) fn output(&self, op: &'static str, x: &Array) -> Result<Dims> {
        let dims = self.dims(x.dims(), self.keepdim);
        checked(op, Shape::from(&dims[..]), x.dtype().size_in_bytes().max(4))?;
        Ok(dims)
    }

    /// The result, or its gradient, reshaped to broadcast against the input.
    pub(super) fn kept(&self, y: &Tensor, input: &[usize]) -> Result<Tensor> {
        reshaped(y, &self.dims(input, true))
    }

    /// The axes that stay, then the reduced ones.
    fn order(&self, rank: usize) -> Dims {
        (0..rank).filter(|axis| !self.axes.contains(axis)).chain(self.axes.iter().copied()).collect()
    }

    /// `x` with the reduced axes last, so that each result is made of a row.
    pub(super) fn rows(&self, x: &Array) -> Result<Array> {
        contiguous(&permuted(x, &self.order(x.rank()))?)
    }

    /// The inverse of [`rows`](Self::rows).
    pub(super) fn unrows(&self, rows: &Array) -> Result<Array> {
        let mut back = Dims::from_elem(0, rows.rank());
        for (i, &axis) in self.order(rows.rank()).iter().enumerate() {
            back[axis] = i;
        }
        permuted(rows, &back)
    }

    /// `x` as an array of three axes of which the middle one is reduced. Copies only if the axes are not adjacent.
    pub(super) fn grouped(&self, x: &Array) -> Result<(Array, [usize; 3])> {
        let dims = x.dims();
        let reduced = self.count(dims);
        match (self.axes.first(), self.axes.last()) {
            (Some(&first), Some(&last)) if last - first + 1 == self.axes.len() => {
                let [outer, ..] = around(dims, first);
                let [.., inner] = around(dims, last);
                Ok((x.clone(), [outer, reduced, inner]))
            }
            (None, _) => Ok((x.clone(), [count(dims), 1, 1])),
            _ => Ok((self.rows(x)?, [count(&self.dims(dims, false)), reduced, 1])),
        }
    }

    /// Reduces integers on the CPU to integers of the same type.
    pub(super) fn fold<T: WithDType + Default>(
        &self,
        x: &Array,
        dims: &[usize],
        start: T,
        step: impl Fn(T, T) -> T + Send + Sync + 'static,
    ) -> Result<Array> {
        let (x, shape) = self.grouped(x)?;
        launch("reduce", [&contiguous(&x)?], dims, move |[x]| {
            kernel::scan::reduce_axis(x.elements::<T>(), shape, start, &step, |a| a)
        })
    }
}

fn permuted(x: &Array, order: &[usize]) -> Result<Array> {
    if order.iter().copied().eq(0..x.rank()) { Ok(x.clone()) } else { Ok(x.permute(order)?) }
}

/// Errors unless the dtype is float.
pub(super) fn float(op: &'static str, x: &Tensor) -> Result<()> {
    if x.dtype().is_float() {
        return Ok(());
    }
    Err(Error::dtype(op, "a float tensor (see to_dtype)", &[x.dtype()]))
}

/// `f` of `x` as f32 or f64 on the CPU; the result returns to the dtype and device of `x`.
pub(super) fn in_memory(x: &Array, f: impl FnOnce(&Array) -> Result<Array>) -> Result<Array> {
    if on_cpu(x) {
        return f(x);
    }
    let wide = if x.dtype() == DType::F64 { DType::F64 } else { DType::F32 };
    let y = f(&converted(&x.to_device(&Device::Cpu)?, wide)?)?;
    Ok(converted(&y, x.dtype())?.to_device(x.device())?)
}

/// `f` of tensors of which f16 and bf16 ones on the CPU become f32, and its result their dtype: it is rounded once.
pub(super) fn in_f32<const N: usize>(
    inputs: [&Tensor; N],
    f: impl FnOnce([&Tensor; N]) -> Result<Tensor>,
) -> Result<Tensor> {
    let dtype = inputs[0].dtype();
    if !matches!(dtype, DType::F16 | DType::BF16) || !inputs[0].device().is_cpu() {
        return f(inputs);
    }
    let mut wide = inputs.map(Tensor::clone);
    for x in &mut wide {
        *x = x.to_dtype(DType::F32)?;
    }
    f(wide.each_ref())?.to_dtype(dtype)
}

/// One of two functions of integers on the CPU: u8 and u32 as u32, others as i64.
pub(super) fn integers(
    x: &Array,
    unsigned: impl FnOnce(&Array) -> Result<Array>,
    signed: impl FnOnce(&Array) -> Result<Array>,
) -> Result<Array> {
    let own = x.to_device(&Device::Cpu)?;
    let y = match x.dtype() {
        DType::U8 | DType::U32 => unsigned(&converted(&own, DType::U32)?)?,
        dtype => converted(&signed(&converted(&own, DType::I64)?)?, dtype)?,
    };
    Ok(y.to_device(x.device())?)
}

/// Evaluates `$body` with `$x` on the CPU as one of five types `$t` that hold every dtype.
macro_rules! with_number {
    ($x:ident, $t:ident => $body:expr) => {
        match $x.dtype() {
            candle_core::DType::U8 => {
                type $t = u8;
                $body
            }
            candle_core::DType::U32 => {
                type $t = u32;
                $body
            }
            candle_core::DType::I64 => {
                type $t = i64;
                $body
            }
            candle_core::DType::F32 | candle_core::DType::F16 | candle_core::DType::BF16 => {
                type $t = f32;
                let $x = &$crate::autograd::array::converted($x, candle_core::DType::F32)?;
                $body
            }
            _ => {
                type $t = f64;
                let $x = &$crate::autograd::array::converted($x, candle_core::DType::F64)?;
                $body
            }
        }
    };
}
pub(super) use with_number;

/// y, or ∞ where y = 0: a quotient by it is 0 there, and so are all its derivatives.
pub(super) fn or_infinite(y: &Tensor) -> Result<Tensor> {
    let zero = Tensor::zeros((), y.dtype(), y.device())?;
    let infinite = Tensor::full(f64::INFINITY, (), y.device())?.to_dtype(y.dtype())?;
    y.eq(&zero)?.where_cond(&infinite, y)
}
