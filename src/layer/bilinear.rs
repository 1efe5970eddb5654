//! A linear layer of two inputs.

use super::{ForwardContext, Layer, Parameter, init};
use crate::autograd::Tensor;
use crate::autograd::array::count;
use crate::error::{Error, Result};
use crate::ops::Rng;

/// yᵢ = aᵀ·Wᵢ·b + cᵢ for two inputs a and b.
///
/// As a [`Layer`] it takes one tensor, a and b concatenated along the last axis.
///
/// # Shapes
/// (.., k) and (.., l) to (.., outputs); as one tensor (.., k + l) to (.., outputs)
///
/// # Gradient
/// Σ gᵢ·Wᵢ·b for a, Σ gᵢ·Wᵢᵀ·a for b, gᵢ·a·bᵀ for Wᵢ, Σ g for c
///
/// ```
/// use tealight::layer::Bilinear;
/// use tealight::prelude::*;
/// let layer = Bilinear::new(3, 4, 2, &mut Rng::seed(1))?;
/// let (a, b) = (Tensor::ones((5, 3), DType::F32, &Device::Cpu)?, Tensor::ones((5, 4), DType::F32, &Device::Cpu)?);
/// let y = layer.apply(&a, &b)?;
/// assert_eq!(y.dims(), [5, 2]);
/// assert_eq!(layer.forward(&Tensor::cat(&[a, b], -1)?, &mut ForwardContext::eval())?, y);
/// # Ok::<(), tealight::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Bilinear {
    /// W, (outputs, k, l).
    pub weight: Parameter,
    /// c, (outputs).
    pub bias: Option<Parameter>,
}

impl Bilinear {
    /// A layer in f32. W and c start uniform in ±1/√k, as in PyTorch.
    pub fn new(k: usize, l: usize, outputs: usize, rng: &mut Rng) -> Result<Self> {
        let bound = 1.0 / (k.max(1) as f64).sqrt();
        let weight = Parameter::new(init::uniform((outputs, k, l), -bound, bound, rng)?);
        let bias = Parameter::new(init::uniform(outputs, -bound, bound, rng)?);
        Ok(Bilinear { weight, bias: Some(bias) })
    }

    /// Removes c.
    pub fn without_bias(self) -> Self {
        Bilinear { bias: None, ..self }
    }

    /// The output for `a` and `b`.
    ///
    /// # Errors
    /// Errors if the last axes are not k and l, or if the other axes differ: they do not broadcast.
    pub fn apply(&self, a: &Tensor, b: &Tensor) -> Result<Tensor> {
        let weight = self.weight.get();
        let [outputs, k, l] = sizes(&weight)?;
        let ([batch @ .., last_a], [batch_b @ .., last_b]) = (a.dims(), b.dims()) else {
            return Err(mismatch([outputs, k, l], &[a.dims(), b.dims()]));
        };
        if batch != batch_b || [*last_a, *last_b] != [k, l] {
            return Err(mismatch([outputs, k, l], &[a.dims(), b.dims()]));
        }
        let n = count(batch);
        // Of each a all Wᵀ·a at once, and then their products with b.
        let joined = weight.permute(&[1, 0, 2])?.reshape((k, outputs.saturating_mul(l)))?;
        let half = a.reshape((n, k))?.matmul(&joined)?.reshape((n, outputs, l))?;
        let y = half.matmul(&b.reshape((n, l, 1))?)?.reshape([batch, &[outputs]].concat())?;
        match &self.bias {
            Some(bias) => y + &bias.get(),
            None => Ok(y),
        }
    }
}

fn sizes(weight: &Tensor) -> Result<[usize; 3]> {
    match *weight.dims() {
        [outputs, k, l] => Ok([outputs, k, l]),
        _ => Err(Error::shape("bilinear", "a weight (outputs, k, l)", &[weight.dims()])),
    }
}

fn mismatch([outputs, k, l]: [usize; 3], got: &[&[usize]]) -> Error {
    Error::shape("bilinear", format!("inputs of shape [.., {k}] and [.., {l}] for {outputs} outputs"), got)
}

impl Layer for Bilinear {
    fn forward(&self, x: &Tensor, _: &mut ForwardContext) -> Result<Tensor> {
        let [outputs, k, l] = sizes(&self.weight.get())?;
        if x.dims().last() != Some(&k.saturating_add(l)) {
            return Err(mismatch([outputs, k, l], &[x.dims()]));
        }
        self.apply(&x.narrow(-1, 0, k)?, &x.narrow(-1, k, l)?)
    }

    crate::fields!(weight, bias);
}

#[cfg(test)]
mod tests {
    use super::Bilinear;
    use crate::layer::gradcheck;
    use crate::prelude::*;

    #[test]
    fn gradients() -> Result<()> {
        let layer = Bilinear::new(3, 2, 4, &mut Rng::seed(1))?;
        let x = Tensor::randn_dtype(0.0, 1.0, (2, 5), DType::F64, &mut Rng::seed(2))?;
        gradcheck(&layer, &x, &ForwardContext::train(Rng::seed(3)))?;
        gradcheck(&layer.without_bias(), &x.i(0)?, &ForwardContext::eval())?;
        Ok(())
    }

    #[test]
    fn refusals() -> Result<()> {
        let layer = Bilinear::new(3, 2, 4, &mut Rng::seed(1))?;
        let zeros = |dims: &[usize]| Tensor::zeros(dims, DType::F32, &Device::Cpu);
        assert_eq!(layer.apply(&zeros(&[0, 3])?, &zeros(&[0, 2])?)?.dims(), [0, 4]);
        let error = layer.apply(&zeros(&[5, 3])?, &zeros(&[1, 2])?).unwrap_err();
        let message =
            "bilinear: expected inputs of shape [.., 3] and [.., 2] for 4 outputs, got [5, 3] and [1, 2]";
        assert_eq!(error.to_string(), message);
        assert!(layer.apply(&zeros(&[])?, &zeros(&[2])?).is_err());
        assert!(layer.predict(&zeros(&[5, 3])?).is_err());
        Ok(())
    }
}
