//! Normalisation inside a model: mean 0 and variance 1, then a learned scale and shift.

mod batch_norm;
mod group_norm;
mod layer_norm;
mod rms_norm;

pub use batch_norm::{BatchNorm, BatchNorm1d, BatchNorm2d, RunningStats};
pub use group_norm::{GroupNorm, InstanceNorm};
pub use layer_norm::LayerNorm;
pub use rms_norm::RmsNorm;

use candle_core::{DType, Device, Shape};

use super::Parameter;
use crate::autograd::array::count;
use crate::autograd::{OnnxAttribute, Tensor, traced};
use crate::error::{Error, Result};

/// x·w + b, with what there is of w and b in the shape `dims`, which broadcasts.
fn affine(x: Tensor, weight: &Option<Parameter>, bias: &Option<Parameter>, dims: &[usize]) -> Result<Tensor> {
    let shaped = |parameter: &Parameter| parameter.get().reshape(dims);
    match (weight, bias) {
        (Some(weight), Some(bias)) => shaped(bias)?.addcmul(&x, &shaped(weight)?, 1.0),
        (Some(weight), None) => x * &shaped(weight)?,
        (None, Some(bias)) => x + &shaped(bias)?,
        (None, None) => Ok(x),
    }
}

/// `compute()`, which in an exported model is one operator of x, w, b and the `rest`, which engines fuse.
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

/// ε, if it keeps a division by zero away.
fn checked_eps(op: &'static str, eps: f64) -> Result<f64> {
    if eps > 0.0 && eps.is_finite() { Ok(eps) } else { Err(Error::argument(op, "eps > 0", eps)) }
}

/// (1, c, 1, ..): c channels, to broadcast with a tensor of this rank.
fn per_channel(channels: usize, rank: usize) -> Vec<usize> {
    let mut dims = vec![1; rank];
    dims.iter_mut().skip(1).take(1).for_each(|size| *size = channels);
    dims
}

/// The axes of x as (rows, width): those from `start` on are one.
fn rows(x: &Tensor, start: usize) -> (usize, usize) {
    (count(&x.dims()[..start]), count(&x.dims()[start..]))
}
