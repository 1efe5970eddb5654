//! Normalisation of each input by itself.
//!
//! # Shapes
//! (.., shape..); the shape stays.
//!
//! # Formula
//! y = (x − mean) / √(var + ε) · w + b, mean and var (with divisor n) over the last axes
//!
//! # Gradient
//! (h − mean h − ŷ·mean h·ŷ) / √(var + ε) for x, with ŷ = (x − mean) / √(var + ε) and h = g·w; Σ g·ŷ for w, Σ g for b
//!
//! # Errors
//! Inputs that do not end in the shape.
//!
//! # Source
//! J. L. Ba, J. R. Kiros and G. E. Hinton 2016.

use candle_core::{DType, Shape};

use super::{affine, checked_eps, one_operator, ones, rows, zeros};
use crate::autograd::{OnnxAttribute, Tensor};
use crate::error::{Error, Result};
use crate::layer::{Fields, ForwardContext, Layer, Parameter};
use crate::ops::standardize;

/// Mean 0 and variance 1 over the last axes, then a scale and a shift that are learned.
///
/// # Shapes
/// (.., shape..); the shape stays.
///
/// # Formula
/// y = (x − mean) / √(var + ε) · w + b, mean and var (with divisor n) over the last axes
///
/// ```
/// use tealight::layer::LayerNorm;
/// use tealight::prelude::*;
/// let layer = LayerNorm::new(3)?;
/// let y = layer.predict(&Tensor::new(&[[1_f32, 2.0, 3.0], [10.0, 20.0, 30.0]], &Device::Cpu)?)?;
/// assert!(y.mean(1)?.abs()?.max_all()?.to_scalar::<f32>()? < 1e-6);
/// # Ok::<(), tealight::Error>(())
/// ```
#[doc(alias = "LayerNormalization")]
#[derive(Clone, Debug)]
pub struct LayerNorm {
    /// w, of the normalised shape; it starts as ones.
    pub weight: Option<Parameter>,
    /// b, of the normalised shape; it starts as zeros.
    pub bias: Option<Parameter>,
    shape: Vec<usize>,
    eps: f64,
}

impl LayerNorm {
    /// A layer for inputs whose last axes have this shape, with ε = 1e-5.
    ///
    /// # Errors
    /// No axes; a shape that does not fit in memory.
    ///
    /// ```
    /// use tealight::prelude::*;
    /// // Over the last two axes together.
    /// let x = Tensor::new(&[[[1_f32, 1.0], [3.0, 3.0]]], &Device::Cpu)?;
    /// let y = LayerNorm::new((2, 2))?.predict(&x)?;
    /// assert_eq!(y.round()?.to_vec3::<f32>()?, [[[-1.0, -1.0], [1.0, 1.0]]]);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn new(shape: impl Into<Shape>) -> Result<Self> {
        let shape = shape.into().into_dims();
        if shape.is_empty() {
            return Err(Error::shape("layer_norm", "one axis or more to normalise", &[&[]]));
        }
        Ok(LayerNorm { weight: ones(&shape[..])?, bias: zeros(&shape[..])?, shape, eps: 1e-5 })
    }

    /// The same layer without b.
    ///
    /// ```
    /// use tealight::prelude::*;
    /// let layer = LayerNorm::new(3)?.without_bias();
    /// let names: Vec<String> = layer.parameters().into_iter().map(|(name, _)| name).collect();
    /// assert_eq!(names, ["weight"]);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn without_bias(self) -> Self {
        LayerNorm { bias: None, ..self }
    }

    /// The same layer without w and b.
    ///
    /// ```
    /// use tealight::prelude::*;
    /// assert_eq!(LayerNorm::new(3)?.parameters().len(), 2);
    /// assert_eq!(LayerNorm::new(3)?.without_affine().parameters().len(), 0);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    #[doc(alias = "elementwise_affine")]
    pub fn without_affine(self) -> Self {
        LayerNorm { weight: None, bias: None, ..self }
    }

    /// The same layer with this ε.
    ///
    /// # Errors
    /// An ε that is not above 0.
    ///
    /// ```
    /// use tealight::prelude::*;
    /// let y = LayerNorm::new(2)?.eps(3.0)?.predict(&Tensor::new(&[1_f32, 3.0], &Device::Cpu)?)?;
    /// assert_eq!(y.to_vec1::<f32>()?, [-0.5, 0.5]); // ±1 / √(1 + 3)
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn eps(self, eps: f64) -> Result<Self> {
        Ok(LayerNorm { eps: checked_eps("layer_norm", eps)?, ..self })
    }
}

impl Layer for LayerNorm {
    fn forward(&self, x: &Tensor, _: &mut ForwardContext) -> Result<Tensor> {
        if !x.dims().ends_with(&self.shape) {
            let sizes: Vec<String> = self.shape.iter().map(usize::to_string).collect();
            let expected = format!("inputs of shape [.., {}]", sizes.join(", "));
            return Err(Error::shape("layer_norm", expected, &[x.dims()]));
        }
        let compute = || {
            let (n, width) = rows(x, x.rank() - self.shape.len());
            let (y, _) = standardize(&x.reshape((1, n, width))?, self.eps, true)?;
            affine(y.reshape(x.dims())?, &self.weight, &self.bias, &self.shape)
        };
        match (&self.weight, &self.bias) {
            // The operator's ε is an f32, and so may be what it computes with.
            (Some(weight), Some(bias)) if x.dtype() == DType::F32 && !self.shape.is_empty() => {
                let axis = OnnxAttribute::Int(-(self.shape.len() as i64));
                let eps = OnnxAttribute::Float(self.eps as f32);
                let operator = ("LayerNormalization", &[("axis", axis), ("epsilon", eps)][..]);
                one_operator(operator, x, [weight, bias], &[], compute)
            }
            _ => compute(),
        }
    }

    fn fields<'a>(&'a self, fields: &mut Fields<'a>) {
        fields.field("weight", &self.weight).field("bias", &self.bias);
    }
}

#[cfg(test)]
mod tests {
    use super::LayerNorm;
    use crate::layer::gradcheck;
    use crate::prelude::*;

    #[test]
    fn gradients() -> Result<()> {
        let x = Tensor::randn(0.5, 1.0, (4, 2, 3), &mut Rng::seed(1))?;
        let noise = |dims: &[usize]| Tensor::randn(1f32, 0.5, dims, &mut Rng::seed(2));
        for dims in [&[3][..], &[2, 3]] {
            let mut layer = LayerNorm::new(dims)?.eps(0.1)?;
            layer.weight = Some(Parameter::new(noise(dims)?));
            for layer in [layer.clone(), layer.clone().without_bias(), layer.without_affine()] {
                gradcheck(
                    &Sequential::new().push(layer).push(Tanh),
                    &x,
                    &ForwardContext::train(Rng::seed(1)),
                )?;
            }
        }
        Ok(())
    }

    #[test]
    fn edges() -> Result<()> {
        let layer = LayerNorm::new((2, 3))?;
        let zeros = |dims: &[usize]| Tensor::zeros(dims, DType::F32, &Device::Cpu);
        assert_eq!(layer.predict(&zeros(&[2, 3])?)?.dims(), [2, 3]);
        assert_eq!(layer.predict(&zeros(&[0, 2, 3])?)?.dims(), [0, 2, 3]);
        let error = layer.predict(&zeros(&[2, 4])?).unwrap_err();
        assert_eq!(error.to_string(), "layer_norm: expected inputs of shape [.., 2, 3], got [2, 4]");
        assert!(layer.predict(&zeros(&[])?).is_err());
        assert!(LayerNorm::new(()).is_err());
        for eps in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            assert!(matches!(layer.clone().eps(eps), Err(Error::Argument { .. })));
        }
        Ok(())
    }
}
