//! Parameters as one vector of f64.

use candle_core::{DType, Device};

use super::super::first_order::flat_on_cpu;
use super::super::{gradient_of, nonfinite_gradient};
use crate::autograd::array::{elements, epsilon};
use crate::autograd::{Array, Gradients, Tensor};
use crate::error::{Error, Result};
use crate::layer::Parameter;

/// The trainable parameters as one vector.
pub(super) struct Flat<'a> {
    parameters: Vec<&'a (String, Parameter)>,
    unused: &'a [String],
    before: Vec<Tensor>,
    pub(super) start: Vec<f64>,
}

impl<'a> Flat<'a> {
    pub(super) fn new(parameters: &'a [(String, Parameter)], unused: &'a [String]) -> Result<Self> {
        let parameters: Vec<_> = parameters.iter().filter(|(_, p)| !p.is_frozen()).collect();
        let before: Vec<Tensor> = parameters.iter().map(|(_, p)| p.get().detach()).collect();
        let mut start = Vec::new();
        before.iter().try_for_each(|value| extend(&mut start, value.array()))?;
        Ok(Flat { parameters, unused, before, start })
    }

    /// The distance from 1 to the next number of the least precise dtype among the parameters.
    pub(super) fn epsilon(&self) -> f64 {
        self.before.iter().filter_map(|value| epsilon(value.dtype())).fold(0.0, f64::max)
    }

    /// The loss and the gradient at the current parameters.
    pub(super) fn evaluate(
        &self,
        evaluate: &mut dyn FnMut() -> Result<(f64, Gradients)>,
    ) -> Result<(f64, Vec<f64>)> {
        let (loss, gradients) = evaluate()?;
        let mut grad = Vec::with_capacity(self.start.len());
        for (name, parameter) in &self.parameters {
            let leaf = parameter.get();
            match gradient_of(&gradients, name, &leaf, self.unused)? {
                Some(own) => extend(&mut grad, own.array())?,
                None => grad.resize(grad.len() + leaf.elem_count(), 0.0),
            }
        }
        Ok((loss, grad))
    }

    /// Sets the parameters to `x`.
    pub(super) fn write(&self, x: &[f64]) -> Result<()> {
        for ((_, parameter), before, values) in self.split(x) {
            let value = Tensor::from_vec(values.to_vec(), before.dims(), &Device::Cpu)?;
            parameter.set(&value.to_dtype(before.dtype())?.to_device(before.device())?)?;
        }
        Ok(())
    }

    /// Sets the parameters to what they were, bit for bit.
    pub(super) fn restore(&self) -> Result<()> {
        let mut pairs = self.parameters.iter().zip(&self.before);
        pairs.try_for_each(|((_, parameter), value)| parameter.set(value))
    }

    pub(super) fn check_finite(&self, loss: f64, grad: &[f64]) -> Result<()> {
        if !loss.is_finite() {
            return Err(Error::argument("Lbfgs", "a finite loss", loss));
        }
        match self.split(grad).find(|(_, _, own)| !own.iter().all(|g| g.is_finite())) {
            Some(((name, _), ..)) => Err(nonfinite_gradient(name)),
            None => Ok(()),
        }
    }

    /// Each parameter with its part of a vector.
    fn split<'b>(
        &self,
        mut x: &'b [f64],
    ) -> impl Iterator<Item = (&'a (String, Parameter), &Tensor, &'b [f64])> {
        self.parameters.iter().zip(&self.before).map(move |(&parameter, before)| {
            let (own, rest) = x.split_at(before.elem_count());
            x = rest;
            (parameter, before, own)
        })
    }
}

fn extend(all: &mut Vec<f64>, x: &Array) -> Result<()> {
    all.extend_from_slice(&elements::<f64>(&flat_on_cpu(x, DType::F64)?)?);
    Ok(())
}

/// a + t·b
pub(super) fn along(a: &[f64], t: f64, b: &[f64]) -> Vec<f64> {
    a.iter().zip(b).map(|(a, b)| a + t * b).collect()
}
