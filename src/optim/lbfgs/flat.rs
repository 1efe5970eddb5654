//! Parameters as one vector of f64.

use candle_core::{DType, Device};

use super::super::first_order::numbers;
use super::super::{gradient_of, not_finite};
use crate::autograd::array::elements;
use crate::autograd::{Array, Tensor};
use crate::error::{Error, Result};
use crate::layer::Parameter;

/// The parameters that learn, as one vector.
pub(super) struct Flat<'a> {
    pub(super) parameters: Vec<&'a (String, Parameter)>,
    pub(super) before: Vec<Array>,
    pub(super) start: Vec<f64>,
}

impl<'a> Flat<'a> {
    pub(super) fn new(parameters: impl Iterator<Item = &'a (String, Parameter)>) -> Result<Self> {
        let parameters: Vec<_> = parameters.collect();
        let before: Vec<Array> = parameters.iter().map(|(_, p)| p.get().into_array()).collect();
        let mut start = Vec::new();
        before.iter().try_for_each(|value| extend(&mut start, value))?;
        Ok(Flat { parameters, before, start })
    }

    /// Loss and gradient where the parameters are.
    pub(super) fn evaluate(&self, f: &mut impl FnMut() -> Result<Tensor>) -> Result<(f64, Vec<f64>)> {
        let loss = f()?;
        let value = loss.detach().to_dtype(DType::F64)?.to_scalar()?;
        let (gradients, mut grad) = (loss.backward()?, Vec::with_capacity(self.start.len()));
        for (name, parameter) in &self.parameters {
            extend(&mut grad, gradient_of(&gradients, name, &parameter.get())?.array())?;
        }
        Ok((value, grad))
    }

    /// Moves the parameters to `x`.
    pub(super) fn write(&self, x: &[f64]) -> Result<()> {
        let mut rest = x;
        for ((_, parameter), before) in self.parameters.iter().zip(&self.before) {
            let (own, others) = rest.split_at(before.elem_count().min(rest.len()));
            rest = others;
            let value = Tensor::from_vec(own.to_vec(), before.dims(), &Device::Cpu)?;
            let value = value.to_dtype(before.dtype())?.into_array();
            parameter.set(&Tensor::from(value.to_device(before.device())?))?;
        }
        Ok(())
    }

    pub(super) fn check(&self, loss: f64, grad: &[f64]) -> Result<()> {
        if !loss.is_finite() {
            return Err(Error::argument("Lbfgs", "a finite loss", loss));
        }
        let mut rest = grad;
        for ((name, _), before) in self.parameters.iter().zip(&self.before) {
            let (own, others) = rest.split_at(before.elem_count().min(rest.len()));
            rest = others;
            if !own.iter().all(|g| g.is_finite()) {
                return Err(not_finite(name));
            }
        }
        Ok(())
    }
}

fn extend(all: &mut Vec<f64>, x: &Array) -> Result<()> {
    all.extend_from_slice(&elements::<f64>(&numbers(x, DType::F64)?)?);
    Ok(())
}

/// a + t·b
pub(super) fn along(a: &[f64], t: f64, b: &[f64]) -> Vec<f64> {
    a.iter().zip(b).map(|(a, b)| a + t * b).collect()
}
