//! The layer that multiplies two inputs.
//!
//! # Shapes
//! (.., k) and (.., l) to (.., m)
//!
//! # Formula
//! yᵢ = aᵀ·Wᵢ·b + cᵢ
//!
//! # Gradient
//! Σ gᵢ·Wᵢ·b for a, Σ gᵢ·Wᵢᵀ·a for b, gᵢ·a·bᵀ for Wᵢ, the sums of g for c
//!
//! # Errors
//! Inputs whose last axes are not k and l, or whose other axes differ.
//!
//! # Source
//! All parameters start uniform in ±1/√k, as PyTorch's do.

use super::{Fields, ForwardContext, Layer, Parameter, init};
use crate::autograd::Tensor;
use crate::autograd::array::count;
use crate::error::{Error, Result};
use crate::ops::Rng;

/// yᵢ = aᵀ·Wᵢ·b + cᵢ of two inputs a and b, with W of shape (outputs, k, l).
///
/// As a [`Layer`] it takes both inputs in one tensor, the one after the other along the last axis.
///
/// # Shapes
/// (.., k) and (.., l) to (.., m); in one tensor (.., k + l) to (.., m)
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
    /// A layer from `k` and `l` numbers to `outputs`, in f32.
    ///
    /// # Errors
    /// Sizes that do not fit in memory.
    ///
    /// ```
    /// use tealight::layer::Bilinear;
    /// use tealight::prelude::*;
    /// let layer = Bilinear::new(3, 4, 2, &mut Rng::seed(1))?;
    /// assert_eq!(layer.weight.get().dims(), [2, 3, 4]);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn new(k: usize, l: usize, outputs: usize, rng: &mut Rng) -> Result<Self> {
        let bound = 1.0 / (k.max(1) as f64).sqrt();
        let weight = Parameter::new(init::uniform((outputs, k, l), -bound, bound, rng)?);
        let bias = Parameter::new(init::uniform(outputs, -bound, bound, rng)?);
        Ok(Bilinear { weight, bias: Some(bias) })
    }

    /// The same layer without c.
    ///
    /// ```
    /// use tealight::layer::Bilinear;
    /// use tealight::prelude::*;
    /// let layer = Bilinear::new(3, 4, 2, &mut Rng::seed(1))?.without_bias();
    /// let zeros = Tensor::zeros((1, 7), DType::F32, &Device::Cpu)?;
    /// assert_eq!(layer.predict(&zeros)?.to_vec2::<f32>()?, [[0.0, 0.0]]);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn without_bias(self) -> Self {
        Bilinear { bias: None, ..self }
    }

    /// The output for `a` and `b`.
    ///
    /// # Shapes
    /// (.., k) and (.., l) to (.., m)
    ///
    /// # Errors
    /// Inputs whose last axes are not k and l, or whose other axes differ.
    ///
    /// ```
    /// use tealight::layer::Bilinear;
    /// use tealight::prelude::*;
    /// let layer = Bilinear::new(1, 2, 1, &mut Rng::seed(1))?.without_bias();
    /// layer.weight.set(&Tensor::new(&[[[1_f32, 2.0]]], &Device::Cpu)?)?;
    /// let y = layer.apply(&Tensor::new(&[3_f32], &Device::Cpu)?, &Tensor::new(&[10_f32, 1.0], &Device::Cpu)?)?;
    /// assert_eq!(y.to_vec1::<f32>()?, [36.0]); // 3 · (1 · 10 + 2 · 1)
    /// # Ok::<(), tealight::Error>(())
    /// ```
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

    fn fields<'a>(&'a self, fields: &mut Fields<'a>) {
        fields.field("weight", &self.weight).field("bias", &self.bias);
    }
}

#[cfg(test)]
mod tests {
    use super::Bilinear;
    use crate::layer::gradcheck;
    use crate::prelude::*;

    #[test]
    fn gradients() -> Result<()> {
        let layer = Bilinear::new(3, 2, 4, &mut Rng::seed(1))?;
        let x = Tensor::randn(0.0, 1.0, (2, 5), &mut Rng::seed(2))?;
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
