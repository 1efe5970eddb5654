//! [`grad`] and [`vjp`]: derivatives that can be differentiated again.

use super::backward::{gradients_of, ones};
use super::{Tensor, mode};
use crate::error::{Error, Result};

/// The gradient of the scalar `y` with respect to each of `xs`, recorded, so that it can be differentiated again.
///
/// It is zero where `y` does not depend on an input. Only the part of the graph between `y` and `xs` is visited.
///
/// # Errors
/// Errors if `y` is not a scalar, or an input does not require a gradient.
///
/// ```
/// # use tealight::prelude::*;
/// let x = Tensor::parameter(Tensor::new(2.0, &Device::Cpu)?);
/// let [first] = autograd::grad(&x.powf(3.0)?, [&x])?;
/// let [second] = autograd::grad(&first, [&x])?;
/// assert_eq!(first.to_scalar::<f64>()?, 12.0); // 3x²
/// assert_eq!(second.to_scalar::<f64>()?, 12.0); // 6x
/// # Ok::<(), tealight::Error>(())
/// ```
pub fn grad<const N: usize>(y: &Tensor, xs: [&Tensor; N]) -> Result<[Tensor; N]> {
    if y.elem_count() != 1 {
        let expected = "a scalar (reduce it with mean_all or sum_all, or see autograd::vjp)";
        return Err(Error::shape("grad", expected, &[y.dims()]));
    }
    vjp(y, xs, &ones(y)?)
}

/// The vector-Jacobian product: the gradient of Σ v·y with respect to each of `xs`, recorded. `v` has the shape of `y`.
///
/// # Errors
/// Errors if the shapes of `y` and `v` differ, or an input does not require a gradient.
///
/// ```
/// # use tealight::prelude::*;
/// let x = Tensor::parameter(Tensor::new(&[1.0, 2.0], &Device::Cpu)?);
/// let v = Tensor::new(&[10.0, 1.0], &Device::Cpu)?;
/// let [product] = autograd::vjp(&x.sqr()?, [&x], &v)?;
/// assert_eq!(product.to_vec1::<f64>()?, [20.0, 4.0]);
/// # Ok::<(), tealight::Error>(())
/// ```
pub fn vjp<const N: usize>(y: &Tensor, xs: [&Tensor; N], v: &Tensor) -> Result<[Tensor; N]> {
    let grads = vjps(y, &xs, v, true)?;
    Ok(grads.try_into().expect("one gradient for each of xs"))
}

/// `std::array::from_fn` of a fallible function.
pub(super) fn try_from_fn<T, const N: usize>(f: impl FnMut(usize) -> Result<T>) -> Result<[T; N]> {
    let all = (0..N).map(f).collect::<Result<Vec<T>>>()?;
    Ok(all.try_into().ok().expect("N results of 0..N"))
}

/// [`vjp`] for any number of inputs, recorded or not.
pub(super) fn vjps(y: &Tensor, xs: &[&Tensor], v: &Tensor, recording: bool) -> Result<Vec<Tensor>> {
    vjps_by(y, xs, v, recording, true)
}

/// [`vjp`] for any number of inputs, each with the others held fixed even where one was computed from another.
pub(crate) fn partial_vjp(y: &Tensor, xs: &[&Tensor], v: &Tensor) -> Result<Vec<Tensor>> {
    vjps_by(y, xs, v, true, false)
}

fn vjps_by(y: &Tensor, xs: &[&Tensor], v: &Tensor, recording: bool, through: bool) -> Result<Vec<Tensor>> {
    if y.dims() != v.dims() {
        return Err(Error::shape("vjp", "a vector of the shape of y", &[y.dims(), v.dims()]));
    }
    mode::with_recording(recording, || {
        let grads = gradients_of(y, xs, v.clone(), through)?;
        grads
            .into_iter()
            .zip(xs)
            .map(|(grad, x)| grad.map_or_else(|| Ok(Tensor::constant(x.array.zeros_like()?)), Ok))
            .collect()
    })
}
