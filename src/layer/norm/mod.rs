//! Normalization layers: mean 0 and variance 1, then a learned scale and shift.

mod batch_norm;
mod group_norm;
mod layer_norm;
mod rms_norm;
mod synchronized;

pub use batch_norm::{BatchNorm, BatchNorm1d, BatchNorm2d, RunningStats};
pub use group_norm::{GroupNorm, InstanceNorm};
pub use layer_norm::LayerNorm;
pub use rms_norm::RmsNorm;

use candle_core::{DType, Device, Shape};

use super::Parameter;
use crate::autograd::array::count;
use crate::autograd::{OnnxAttribute, Tensor, traced};
use crate::error::{Error, Result};
use crate::ops::standardize;

/// x·w + b for the w and b that the layer has, reshaped to `dims`, which broadcasts.
fn affine(x: Tensor, weight: &Option<Parameter>, bias: &Option<Parameter>, dims: &[usize]) -> Result<Tensor> {
    let shaped = |parameter: &Parameter| parameter.get().reshape(dims);
    match (weight, bias) {
        (Some(weight), Some(bias)) => shaped(bias)?.addcmul(&x, &shaped(weight)?, 1.0),
        (Some(weight), None) => x * &shaped(weight)?,
        (None, Some(bias)) => x + &shaped(bias)?,
        (None, None) => Ok(x),
    }
}

/// `compute()`, exported to ONNX as one operator of x, w, b and the `rest`: engines fuse it.
fn one_operator(
    operator: (&'static str, &[(&'static str, OnnxAttribute)]),
    x: &Tensor,
    [weight, bias]: [&Parameter; 2],
    rest: &[Tensor],
    compute: impl FnOnce() -> Result<Tensor>,
) -> Result<Tensor> {
    let (weight, bias) = (weight.get(), bias.get());
    let mut inputs = vec![x, &weight, &bias];
    inputs.extend(rest);
    traced(&inputs, compute, |onnx| {
        let mut values = Vec::with_capacity(inputs.len());
        for i in 0..inputs.len() {
            values.push(onnx.input(i));
        }
        Ok(onnx.node(operator.0, &values, operator.1))
    })
}

fn ones(shape: impl Into<Shape>) -> Result<Option<Parameter>> {
    Ok(Some(Parameter::new(Tensor::ones(shape, DType::F32, &Device::Cpu)?)))
}

fn zeros(shape: impl Into<Shape>) -> Result<Option<Parameter>> {
    Ok(Some(Parameter::new(Tensor::zeros(shape, DType::F32, &Device::Cpu)?)))
}

/// ε, if it prevents a division by zero.
fn checked_eps(op: &'static str, eps: f64) -> Result<f64> {
    if eps > 0.0 && eps.is_finite() { Ok(eps) } else { Err(Error::argument(op, "eps > 0", eps)) }
}

/// (1, c, 1, ..): c channels, to broadcast with a tensor of this rank.
pub(super) fn per_channel(channels: usize, rank: usize) -> Vec<usize> {
    let mut dims = vec![1; rank];
    dims[1] = channels;
    dims
}

/// The shape of the axes to normalize over, at least one.
fn checked_shape(op: &'static str, shape: impl Into<Shape>) -> Result<Vec<usize>> {
    let shape = shape.into().into_dims();
    if shape.is_empty() {
        return Err(Error::shape(op, "one axis or more to normalize", &[&[]]));
    }
    Ok(shape)
}

fn check_last_axes(op: &'static str, x: &Tensor, shape: &[usize]) -> Result<()> {
    if x.dims().ends_with(shape) {
        return Ok(());
    }
    let sizes: Vec<String> = shape.iter().map(usize::to_string).collect();
    Err(Error::shape(op, format!("inputs of shape [.., {}]", sizes.join(", ")), &[x.dims()]))
}

/// x over its standard deviation along the last `axes` axes together; minus the mean before, if `center`.
fn standardize_last_axes(x: &Tensor, axes: usize, eps: f64, center: bool) -> Result<Tensor> {
    let (outer, inner) = x.dims().split_at(x.rank() - axes);
    standardize(&x.reshape((1, count(outer), count(inner)))?, eps, center)?.0.reshape(x.dims())
}
