//! Refuses what is no target, before anything is computed.

use candle_core::{DType, Device};

use crate::autograd::array::{contiguous, on_cpu, with_float, with_slice};
use crate::autograd::{Array, Tensor};
use crate::error::{Error, Result};
use crate::formula::Real;
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
    let text = || format!("{what} that are no NaN");
    with_float!(wide(x)?.dtype(), T => refuse(op, x, #[inline(always)] |x: T| x.is_nan(), text))
}

/// Refuses elements that are not from `low` to `high`; NaN never is.
pub(super) fn within(op: &'static str, what: &str, x: &Tensor, low: f64, high: f64) -> Result<()> {
    let text = || match high.is_finite() {
        true => format!("{what} from {low} to {high}"),
        false => format!("{what} of {low} or more"),
    };
    with_float!(wide(x)?.dtype(), T => {
        let (low, high) = (low as T, high as T);
        refuse(op, x, #[inline(always)] |x: T| !(low <= x && x <= high), text)
    })
}

/// Refuses elements that are neither −1 nor 1.
pub(super) fn signs(op: &'static str, what: &str, x: &Tensor) -> Result<()> {
    let text = || format!("{what} that are -1 or 1");
    with_float!(wide(x)?.dtype(), T => refuse(op, x, #[inline(always)] |x: T| Real::abs(x) != 1.0, text))
}

/// The array where the kernels can read it.
fn wide(x: &Tensor) -> Result<Array> {
    let x = x.array();
    if on_cpu(x) { Ok(x.clone()) } else { Ok(x.to_device(&Device::Cpu)?.to_dtype(DType::F32)?) }
}

fn refuse<T: kernel::Element>(
    op: &'static str,
    x: &Tensor,
    wrong: impl Fn(T) -> bool,
    expected: impl Fn() -> String,
) -> Result<()> {
    let array = contiguous(&wide(x)?)?;
    let found = with_slice(&array, |data: &[T]| kernel::position(data, wrong).map(|i| (i, data[i])))?;
    match found {
        None => Ok(()),
        Some((i, value)) => {
            Err(Error::argument(op, expected(), format!("{value} at {:?}", place(x.dims(), i))))
        }
    }
}

/// The index along each axis of the `i`-th element.
pub(super) fn place(dims: &[usize], mut i: usize) -> Vec<usize> {
    let mut place = vec![0; dims.len()];
    for (slot, &n) in place.iter_mut().zip(dims).rev() {
        (*slot, i) = (i % n.max(1), i / n.max(1));
    }
    place
}
