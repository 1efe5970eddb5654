//! Muon.

use std::collections::BTreeMap;
use std::fmt::Debug;

use candle_core::{DType, Device};

use super::state::{LEARNING_RATE, StateReader, StateWriter};
use super::{Optimizer, distinct, fraction, gradient_of, nonfinite_gradient, not_negative};
use crate::autograd::array::is_finite;
use crate::autograd::{Gradients, Tensor, no_grad};
use crate::error::{Error, Result};
use crate::layer::Parameter;
use crate::layer::pattern::matching;

/// Muon: steps of which all singular values are about equal, for the matrices of hidden layers, as PyTorch's `Muon`, whose
/// learning rate is 1e-3.
///
/// Every other parameter, and better the first and the last layer too, is for another optimizer, which [`others`](Muon::others)
/// joins to it.
///
/// # Formula
/// m ← μ·m + (1 − μ)·g; o = orthogonal((1 − μ)·g + μ·m); p ← (1 − η·λ)·p − η·s·o, with a factor s of the shape
/// ([`adjust_lr`](Muon::adjust_lr)). orthogonal(x) scales x to the Frobenius norm 1, and then takes 5 Newton–Schulz steps
/// x ← a·x + b·(x·xᵀ)x + c·(x·xᵀ)²x with a, b, c = 3.4445, −4.775, 2.0315, after which the singular values are from about 0.7 to
/// 1.2. It is computed in f32, or f64 for f64 parameters; PyTorch rounds to bf16, which differs by up to a few percent.
///
/// # Source
/// K. Jordan 2024, "Muon: An optimizer for hidden layers in neural networks".
///
/// ```
/// # use tealight::optim::Muon;
/// # use tealight::prelude::*;
/// # let (x, rng) = (Tensor::ones((1, 4), DType::F32, &Device::Cpu)?, &mut Rng::seed(1));
/// # let model = Sequential::new().push(Linear::new(4, 8, rng)?).push(Tanh).push(Linear::new(8, 2, rng)?);
/// let (matrices, others) = model.parameters().into_iter().partition(|(_, p)| p.get().rank() == 2);
/// let mut optimizer = Muon::new(matrices, 0.02)?.others(AdamW::new(others, 1e-3)?)?;
/// optimizer.step(&model.forward(&x, &mut ForwardContext::eval())?.sqr()?.sum_all()?.backward()?)?;
/// # Ok::<(), tealight::Error>(())
/// ```
pub struct Muon {
    /// Each with its momentum.
    matrices: Vec<(String, Parameter, Tensor)>,
    learning_rate: f64,
    momentum: f64,
    /// What [`set_momentum`](Optimizer::set_momentum) set.
    set_momentum: Option<f64>,
    weight_decay: f64,
    nesterov: bool,
    ns_steps: usize,
    adjust_lr: AdjustLr,
    /// The patterns of [`allow_unused`](Muon::allow_unused).
    unused: Vec<String>,
    /// The optimizer of the other parameters, and its learning rate over Muon's.
    others: Option<(Box<dyn Optimizer>, f64)>,
}

/// The factor of [`Muon`]'s learning rate for a matrix (m, k), for instance a layer with m outputs and k inputs. Default:
/// `Original`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum AdjustLr {
    /// √max(1, m/k)
    #[default]
    Original,
    /// 0.2·√max(m, k), with which the steps are as long as AdamW's. (J. Liu et al. 2025)
    MatchRmsAdamW,
    /// √(m/k)
    SpectralUnclamped,
}

impl AdjustLr {
    fn factor(self, m: f64, k: f64) -> f64 {
        match self {
            AdjustLr::Original => (m / k).max(1.0).sqrt(),
            AdjustLr::MatchRmsAdamW => 0.2 * m.max(k).sqrt(),
            AdjustLr::SpectralUnclamped => (m / k).sqrt(),
        }
    }
}

impl Debug for Muon {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names: Vec<_> = self.matrices.iter().map(|(name, ..)| name).collect();
        f.debug_struct("Muon").field("matrices", &names).finish_non_exhaustive()
    }
}

impl Muon {
    /// The optimizer for matrices (m, k).
    ///
    /// # Errors
    /// Errors if the learning rate is negative or not finite, or if a parameter is not a matrix.
    pub fn new(parameters: Vec<(String, Parameter)>, learning_rate: f64) -> Result<Self> {
        let matrix = |(name, parameter): (String, Parameter)| {
            let value = parameter.get();
            if value.rank() != 2 {
                let message = format!("expected a matrix for Muon (see others), got {:?}", value.dims());
                return Err(Error::Parameter { name, message });
            }
            let dtype = if value.dtype() == DType::F64 { DType::F64 } else { DType::F32 };
            let momentum = Tensor::zeros(value.dims(), dtype, value.device())?;
            Ok((name, parameter, momentum))
        };
        Ok(Muon {
            matrices: distinct(parameters).into_iter().map(matrix).collect::<Result<_>>()?,
            learning_rate: not_negative("Muon", "a learning rate", learning_rate)?,
            momentum: 0.95,
            set_momentum: None,
            weight_decay: 0.1,
            nesterov: true,
            ns_steps: 5,
            adjust_lr: AdjustLr::default(),
            unused: Vec::new(),
            others: None,
        })
    }

    /// Joins an optimizer of the other parameters: they step together, and [`set_learning_rate`](Optimizer::set_learning_rate)
    /// changes both rates by the same factor.
    ///
    /// # Errors
    /// Errors if Muon's learning rate is 0.
    pub fn others(mut self, optimizer: impl Optimizer + 'static) -> Result<Self> {
        let rate = super::positive("Muon", "a learning rate", self.learning_rate)?;
        let ratio = optimizer.learning_rate() / rate;
        self.others = Some((Box::new(optimizer), ratio));
        Ok(self)
    }

    /// μ, the decay rate of the momentum. Default: 0.95.
    ///
    /// # Errors
    /// Errors if it is outside [0, 1).
    pub fn momentum(mut self, momentum: f64) -> Result<Self> {
        self.momentum = fraction("Muon", "a momentum", momentum)?;
        Ok(self)
    }

    /// The decoupled weight decay λ. Default: 0.1.
    ///
    /// # Errors
    /// Errors if it is negative or not finite.
    pub fn weight_decay(mut self, weight_decay: f64) -> Result<Self> {
        self.weight_decay = not_negative("Muon", "a weight decay", weight_decay)?;
        Ok(self)
    }

    /// Whether the step looks ahead: orthogonal((1 − μ)·g + μ·m), else orthogonal(m). Default: `true`.
    #[must_use]
    pub fn nesterov(mut self, nesterov: bool) -> Self {
        self.nesterov = nesterov;
        self
    }

    /// The number of Newton–Schulz steps. Default: 5.
    #[must_use]
    pub fn ns_steps(mut self, steps: usize) -> Self {
        self.ns_steps = steps;
        self
    }

    /// The factor of the learning rate for the shape of a matrix. Default: [`AdjustLr::Original`].
    #[doc(alias = "adjust_lr_fn")]
    #[must_use]
    pub fn adjust_lr(mut self, adjust_lr: AdjustLr) -> Self {
        self.adjust_lr = adjust_lr;
        self
    }

    /// Leaves the matrices whose names match `pattern` out of the steps in which they have no gradient; see
    /// [`FirstOrder::allow_unused`](super::FirstOrder::allow_unused).
    ///
    /// # Errors
    /// Errors if no matrix matches.
    pub fn allow_unused(mut self, pattern: &str) -> Result<Self> {
        matching("Muon", "matrix", self.matrices.iter().map(|(name, ..)| name.as_str()), pattern)?;
        self.unused.push(pattern.into());
        Ok(self)
    }

    /// The new value and momentum of a matrix.
    fn updated(&self, value: &Tensor, grad: &Tensor, momentum: &Tensor) -> Result<[Tensor; 2]> {
        let (dtype, mu) = (momentum.dtype(), self.set_momentum.unwrap_or(self.momentum));
        let grad = grad.to_dtype(dtype)?;
        let momentum = ((momentum * mu)? + (&grad * (1.0 - mu))?)?;
        let ahead =
            if self.nesterov { ((grad * (1.0 - mu))? + (&momentum * mu)?)? } else { momentum.clone() };
        let (m, k) = (value.dims()[0] as f64, value.dims()[1] as f64);
        let step = (orthogonal(&ahead, self.ns_steps)? * (self.learning_rate * self.adjust_lr.factor(m, k)))?;
        let kept = (value.to_dtype(dtype)? * (1.0 - self.learning_rate * self.weight_decay))?;
        Ok([(kept - step)?.to_dtype(value.dtype())?, momentum])
    }
}

/// The orthogonal matrix that is nearest to `x`, roughly: all singular values come near 1.
fn orthogonal(x: &Tensor, steps: usize) -> Result<Tensor> {
    const A: f64 = 3.4445;
    const B: f64 = -4.775;
    const C: f64 = 2.0315;
    // In f64, where the norm of f32 gradients is finite.
    let wide = x.to_dtype(DType::F64)?;
    let mut q = (&wide / wide.norm_all(2.0)?.maximum(1e-7)?)?.to_dtype(x.dtype())?;
    let tall = x.dims()[0] > x.dims()[1];
    if tall {
        q = q.t()?;
    }
    for _ in 0..steps {
        let gram = q.matmul(&q.t()?)?;
        let update = ((&gram * B)? + (gram.matmul(&gram)? * C)?)?;
        q = ((&q * A)? + update.matmul(&q)?)?;
    }
    if tall { q.t() } else { Ok(q) }
}

impl Optimizer for Muon {
    fn step(&mut self, gradients: &Gradients) -> Result<()> {
        let mut ready = Vec::with_capacity(self.matrices.len());
        for (i, (name, parameter, momentum)) in self.matrices.iter().enumerate() {
            if parameter.is_frozen() {
                continue;
            }
            let leaf = parameter.get();
            let Some(grad) = gradient_of(gradients, name, &leaf, &self.unused)? else { continue };
            if !is_finite(grad.array())? {
                return Err(nonfinite_gradient(name));
            }
            ready.push((i, no_grad(|| self.updated(&leaf, grad, momentum))?));
        }
        if let Some((others, _)) = &mut self.others {
            others.step(gradients)?;
        }
        for (i, [value, momentum]) in ready {
            self.matrices[i].1.set(&value)?;
            self.matrices[i].2 = momentum;
        }
        Ok(())
    }

    fn learning_rate(&self) -> f64 {
        self.learning_rate
    }

    fn set_learning_rate(&mut self, learning_rate: f64) -> Result<()> {
        self.learning_rate = not_negative("Muon", "a learning rate", learning_rate)?;
        match &mut self.others {
            Some((others, ratio)) => others.set_learning_rate(learning_rate * *ratio),
            None => Ok(()),
        }
    }

    /// Of both optimizers, where [`others`](Muon::others) joined one.
    fn set_momentum(&mut self, momentum: Option<f64>) -> Result<()> {
        momentum.map(|new| super::momentum("Muon", new)).transpose()?;
        if let Some((others, _)) = &mut self.others {
            others.set_momentum(momentum)?;
        }
        self.set_momentum = momentum;
        Ok(())
    }

    fn state_dict(&self) -> Result<BTreeMap<String, Tensor>> {
        let mut writer = StateWriter::default();
        writer.scalar(LEARNING_RATE.into(), self.learning_rate)?;
        for (name, _, momentum) in &self.matrices {
            writer.insert(format!("{name}.momentum_buffer"), momentum.to_device(&Device::Cpu)?)?;
        }
        let others = self.others.as_ref().map(|(others, _)| others.state_dict()).transpose()?;
        for (name, value) in others.into_iter().flatten().filter(|(name, _)| name != LEARNING_RATE) {
            writer.insert(name, value)?;
        }
        Ok(writer.0)
    }

    fn load_state_dict(&mut self, state: &BTreeMap<String, Tensor>) -> Result<()> {
        let mut reader = StateReader::new(state);
        let learning_rate = not_negative("Muon", "a learning rate", reader.scalar(LEARNING_RATE)?)?;
        let mut momenta = Vec::with_capacity(self.matrices.len());
        for (name, _, momentum) in &self.matrices {
            let name = format!("{name}.momentum_buffer");
            let value = reader.take(&name, momentum.dims(), momentum.dtype())?;
            momenta.push(value.detach().to_device(momentum.device())?);
        }
        match &mut self.others {
            Some((others, ratio)) => {
                let mut rest = reader.rest();
                rest.insert(LEARNING_RATE.into(), Tensor::new(learning_rate * *ratio, &Device::Cpu)?);
                others.load_state_dict(&rest)?;
            }
            None => reader.finish()?,
        }
        self.learning_rate = learning_rate;
        self.matrices.iter_mut().zip(momenta).for_each(|((.., own), momentum)| *own = momentum);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{Muon, orthogonal};
    use crate::prelude::*;

    #[test]
    fn singular_values_come_near_one() -> Result<()> {
        for (m, k) in [(3, 3), (7, 2), (2, 7), (1, 5)] {
            for scale in [1e-3, 1.0, 1e38] {
                let x = (Tensor::randn(0.0, 1.0, (m, k), &mut Rng::seed(4))? * scale)?;
                let q = orthogonal(&x, 5)?;
                let gram = if m < k { q.matmul(&q.t()?)? } else { q.t()?.matmul(&q)? };
                let trace = gram.mul(&Tensor::eye(m.min(k), DType::F32, &Device::Cpu)?)?.sum_all()?;
                let mean = f64::from(trace.to_scalar::<f32>()?) / m.min(k) as f64;
                assert!((0.4..1.5).contains(&mean), "({m}, {k}) x {scale}: {mean}");
            }
        }
        let zeros = Tensor::zeros((2, 3), DType::F32, &Device::Cpu)?;
        assert_eq!(orthogonal(&zeros, 5)?.to_vec2::<f32>()?, zeros.to_vec2::<f32>()?);
        Ok(())
    }

    #[test]
    fn others_step_along_or_nothing_does() -> Result<()> {
        let model = Linear::new(3, 2, &mut Rng::seed(1))?;
        let error = Muon::new(model.parameters(), 0.1).unwrap_err().to_string();
        assert_eq!(error, "bias: expected a matrix for Muon (see others), got [2]");
        let (matrices, others) = model.parameters().into_iter().partition(|(_, p)| p.get().rank() == 2);
        let mut optimizer = Muon::new(matrices, 0.1)?.others(Sgd::new(others, 0.5)?)?;
        optimizer.set_learning_rate(0.02)?;
        let (weight, bias) = (model.weight.get(), model.bias.as_ref().unwrap().get());
        let bad = (weight.sum_all()? + (bias.sum_all()? * f64::NAN)?)?.backward()?;
        assert!(optimizer.step(&bad).unwrap_err().to_string().starts_with("bias: its gradient"));
        assert_eq!(model.weight.get().to_vec2::<f32>()?, weight.to_vec2::<f32>()?);
        optimizer.step(&(weight.sum_all()? + bias.sum_all()?)?.backward()?)?;
        let moved = (bias - model.bias.as_ref().unwrap().get())?.to_vec1::<f32>()?;
        assert!(moved.iter().all(|step| (step - 0.1).abs() < 1e-6), "{moved:?}");
        assert!(Muon::new(Vec::new(), 0.0)?.others(Sgd::new(Vec::new(), 0.1)?).is_err());
        Ok(())
    }
}
