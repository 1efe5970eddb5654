//! Checks of predictions and targets, before anything is computed.

use candle_core::{DType, Device};

use crate::autograd::array::{contiguous, converted, on_cpu, place, with_float};
use crate::autograd::launch::{Primitive, launch_check};
use crate::autograd::{Array, Tensor};
use crate::error::{Error, Result};
use crate::kernel::{self, Dims};

/// Different shapes would broadcast by accident: n² losses for [n] and [n, 1].
pub(super) fn same_shape(op: &'static str, what: &str, tensors: &[&Tensor]) -> Result<()> {
    if tensors.iter().all(|x| x.dims() == tensors[0].dims()) {
        return Ok(());
    }
    let got: Vec<&[usize]> = tensors.iter().map(|x| x.dims()).collect();
    Err(Error::shape(op, format!("{what} of one shape"), &got))
}

pub(super) fn not_nan(op: &'static str, what: &'static str, x: &Tensor) -> Result<()> {
    require(op, x, [f64::NEG_INFINITY, f64::INFINITY], false, move || format!("{what} that are not NaN"))
}

/// Errors unless all elements are from `low` to `high`; NaN never is.
pub(super) fn in_range(op: &'static str, what: &'static str, x: &Tensor, low: f64, high: f64) -> Result<()> {
    require(op, x, [low, high], false, move || match high.is_finite() {
        true => format!("{what} from {low} to {high}"),
        false => format!("{what} of {low} or more"),
    })
}

/// Errors unless all elements are −1 or 1.
pub(super) fn signs(op: &'static str, what: &'static str, x: &Tensor) -> Result<()> {
    require(op, x, [1.0, 1.0], true, move || format!("{what} that are -1 or 1"))
}

/// The array where the kernels can read it.
fn readable(x: &Tensor) -> Result<Array> {
    let x = x.array();
    if on_cpu(x) { Ok(x.clone()) } else { converted(&x.to_device(&Device::Cpu)?, DType::F32) }
}

/// Errors at the first element that is outside of the bounds, or whose absolute value is.
fn require(
    op: &'static str,
    x: &Tensor,
    [low, high]: [f64; 2],
    absolute: bool,
    expected: impl Fn() -> String + Send + Sync + 'static,
) -> Result<()> {
    let (array, dims) = (contiguous(&readable(x)?)?, Dims::from_slice(x.dims()));
    let what = ("check", || Primitive::InRange { bounds: [low, high], absolute });
    with_float!(array.dtype(), T => launch_check(what, [&array], move |[x]| {
        let numbers = x.elements::<T>();
        match kernel::outside(numbers, low as T, high as T, absolute) {
            None => Ok(()),
            Some(i) => Err(Error::argument(op, expected(), format!("{} at {:?}", numbers[i], place(&dims, i)))),
        }
    }))
}
