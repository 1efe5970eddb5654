//! Gradient descent.
//!
//! # Formula
//! v ← μ·v + g, p ← p − η·v, with learning rate η and momentum μ (0 unless one asks for it)
//!
//! # Errors
//! A parameter without a gradient or with one that is not finite; a rate or momentum outside its range.
//!
//! # Source
//! H. Robbins and S. Monro 1951; momentum as in PyTorch.

use super::{Optimizer, checked_rate, distinct};
use crate::autograd::array::is_finite;
use crate::autograd::{Array, Gradients, Tensor, no_grad};
use crate::error::{Error, Result};
use crate::layer::Parameter;

/// Gradient descent: p ← p − η·g.
///
/// ```
/// use tealight::prelude::*;
/// let model = Linear::new(1, 1, &mut Rng::seed(1))?;
/// let mut optimizer = Sgd::new(model.parameters(), 0.2)?;
/// let x = Tensor::new(&[[1.0_f32], [2.0]], &Device::Cpu)?;
/// let target = Tensor::new(&[[5.0_f32], [8.0]], &Device::Cpu)?; // 3x + 2
/// for _ in 0..400 {
///     let loss = Mean(L2).loss(&model.forward(&x, &mut Pass::eval())?, &target)?;
///     optimizer.step(&loss.backward()?)?;
/// }
/// assert!((model.weight.get().to_scalar::<f32>()? - 3.0).abs() < 1e-2);
/// # Ok::<(), tealight::Error>(())
/// ```
#[derive(Debug)]
pub struct Sgd {
    parameters: Vec<(String, Parameter)>,
    velocities: Vec<Option<Array>>,
    rate: f64,
    momentum: f64,
}

impl Sgd {
    /// Descent for the parameters of a model: `Sgd::new(model.parameters(), 0.1)`.
    ///
    /// # Errors
    /// A learning rate that is negative or not finite.
    pub fn new(parameters: Vec<(String, Parameter)>, learning_rate: f64) -> Result<Self> {
        let rate = checked_rate("Sgd::new", learning_rate)?;
        let parameters = distinct(parameters);
        Ok(Sgd { velocities: vec![None; parameters.len()], parameters, rate, momentum: 0.0 })
    }

    /// With a momentum from 0 to below 1: earlier gradients keep pushing.
    ///
    /// # Errors
    /// A momentum outside [0, 1).
    pub fn with_momentum(self, momentum: f64) -> Result<Self> {
        if (0.0..1.0).contains(&momentum) {
            return Ok(Sgd { momentum, ..self });
        }
        Err(Error::argument("Sgd::with_momentum", "a momentum from 0 to below 1", momentum))
    }
}

impl Optimizer for Sgd {
    fn step(&mut self, gradients: &Gradients) -> Result<()> {
        no_grad(|| {
            // Everything is computed before anything is set: a step happens whole or not at all.
            let mut updates = Vec::with_capacity(self.parameters.len());
            for ((name, parameter), velocity) in self.parameters.iter().zip(&self.velocities) {
                if parameter.is_frozen() {
                    updates.push(None);
                    continue;
                }
                let leaf = parameter.get();
                let refuse = |message: &str| Error::Parameter { name: name.clone(), message: message.into() };
                let grad = gradients.get(&leaf).ok_or_else(|| {
                    refuse(
                        "no gradient: the loss does not depend on it, or it was changed since the forward pass",
                    )
                })?;
                if !is_finite(grad.array())? {
                    return Err(refuse("its gradient is NaN or infinite"));
                }
                let push = match velocity {
                    Some(velocity) => (Tensor::from(velocity.clone()) * self.momentum)?.add(grad)?,
                    None => grad.clone(),
                };
                let value = (&leaf - (&push * self.rate)?)?;
                updates.push(Some((value.into_array(), push.into_array())));
            }
            for (((_, parameter), velocity), update) in
                self.parameters.iter().zip(&mut self.velocities).zip(updates)
            {
                let Some((value, push)) = update else { continue };
                parameter.set(value)?;
                *velocity = (self.momentum > 0.0).then_some(push);
            }
            Ok(())
        })
    }

    fn learning_rate(&self) -> f64 {
        self.rate
    }

    fn set_learning_rate(&mut self, rate: f64) -> Result<()> {
        self.rate = checked_rate("Sgd::set_learning_rate", rate)?;
        Ok(())
    }
}
