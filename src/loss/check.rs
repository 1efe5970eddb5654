//! Refuses what is no target, before anything is computed.

use candle_core::{DType, Device};

use crate::autograd::array::{contiguous, elements, on_cpu, place, with_float};
use crate::autograd::{Array, Tensor};
use crate::error::{Error, Result};
use crate::kernel;

/// Shapes that differ would broadcast by accident: n² losses of [n] and [n, 1].
pub(super) fn same_shape(op: &'static str, what: &str, tensors: &[&Tensor]) -> Result<()> {
    if tensors.iter().all(|x| x.dims() == tensors[0].dims()) {
        return Ok(());
    }
    let got: Vec<&[usize]> = tensors.iter().map(|x| x.dims()).collect();
    Err(Error::shape(op, format!("{what} of one shape"), &got))
}

/// Refuses NaN.
pub(super) fn no_nan(op: &'static str, what: &str, x: &Tensor) -> Result<()> {
    refuse(op, x, [f64::NEG_INFINITY, f64::INFINITY], false, &|| format!("{what} that are no NaN"))
}

/// Refuses elements that are not from `low` to `high`; NaN never is.
pub(super) fn within(op: &'static str, what: &str, x: &Tensor, low: f64, high: f64) -> Result<()> {
    refuse(op, x, [low, high], false, &|| match high.is_finite() {
        true => format!("{what} from {low} to {high}"),
        false => format!("{what} of {low} or more"),
    })
}

/// Refuses elements that are neither −1 nor 1.
pub(super) fn signs(op: &'static str, what: &str, x: &Tensor) -> Result<()> {
    refuse(op, x, [1.0, 1.0], true, &|| format!("{what} that are -1 or 1"))
}

/// The array where the kernels can read it.
fn wide(x: &Tensor) -> Result<Array> {
    let x = x.array();
    if on_cpu(x) { Ok(x.clone()) } else { Ok(x.to_device(&Device::Cpu)?.to_dtype(DType::F32)?) }
}

/// Refuses elements that are not between the bounds, or whose absolute values are not.
fn refuse(
    op: &'static str,
    x: &Tensor,
    [low, high]: [f64; 2],
    absolute: bool,
    expected: &dyn Fn() -> String,
) -> Result<()> {
    let array = contiguous(&wide(x)?)?;
    let found = with_float!(array.dtype(), T => {
        let numbers = elements::<T>(&array)?;
        kernel::outside(&numbers, low as T, high as T, absolute).map(|i| (i, numbers[i].to_string()))
    });
    match found {
        None => Ok(()),
        Some((i, value)) => {
            Err(Error::argument(op, expected(), format!("{value} at {:?}", place(x.dims(), i))))
        }
    }
}
