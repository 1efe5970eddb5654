//! Layer normalization.

use candle_core::Shape;

use super::{
    affine, check_last_axes, checked_eps, checked_shape, one_operator, ones, standardize_last_axes, zeros,
};
use crate::autograd::{OnnxAttribute, Tensor, trace};
use crate::error::Result;
use crate::layer::{ForwardContext, Layer, Parameter};

/// Normalizes each input over its last axes to mean 0 and variance 1, then scales and shifts each element.
///
/// # Shapes
/// (.., shape..); the shape stays.
///
/// # Formula
/// y = ŷ·w + b with ŷ = (x − mean) / √(var + ε), mean and var (with divisor n) over the last axes
///
/// # Gradient
/// (h − mean h − ŷ·mean h·ŷ) / √(var + ε) for x, with h = g·w; Σ g·ŷ for w, Σ g for b
///
/// # Source
/// J. L. Ba, J. R. Kiros and G. E. Hinton 2016
///
/// ```
/// use tealight::prelude::*;
/// let x = Tensor::new(&[[1_f32, 2.0, 3.0], [10.0, 20.0, 30.0]], &Device::Cpu)?;
/// let y = LayerNorm::new(3)?.predict(&x)?;
/// assert!(y.mean(1)?.abs()?.max_all()?.to_scalar::<f32>()? < 1e-6);
/// # Ok::<(), tealight::Error>(())
/// ```
#[doc(alias = "LayerNormalization")]
#[derive(Clone, Debug)]
pub struct LayerNorm {
    /// w, of the normalized shape, initially ones.
    pub weight: Option<Parameter>,
    /// b, of the normalized shape, initially zeros.
    pub bias: Option<Parameter>,
    shape: Vec<usize>,
    eps: f64,
}

impl LayerNorm {
    /// A layer for inputs whose last axes have this shape, in f32.
    ///
    /// # Errors
    /// Errors if `shape` has no axes.
    pub fn new(shape: impl Into<Shape>) -> Result<Self> {
        let shape = checked_shape("layer_norm", shape)?;
        Ok(LayerNorm { weight: ones(&shape[..])?, bias: zeros(&shape[..])?, shape, eps: 1e-5 })
    }

    /// Removes b.
    pub fn without_bias(self) -> Self {
        LayerNorm { bias: None, ..self }
    }

    /// Removes w and b.
    #[doc(alias = "elementwise_affine")]
    pub fn without_affine(self) -> Self {
        LayerNorm { weight: None, bias: None, ..self }
    }

    /// Sets ε. Default: `1e-5`.
    ///
    /// # Errors
    /// Errors if `eps` is not above 0.
    pub fn eps(self, eps: f64) -> Result<Self> {
        Ok(LayerNorm { eps: checked_eps("layer_norm", eps)?, ..self })
    }
}

impl Layer for LayerNorm {
    fn forward(&self, x: &Tensor, _: &mut ForwardContext) -> Result<Tensor> {
        check_last_axes("layer_norm", x, &self.shape)?;
        let compute = || {
            let y = standardize_last_axes(x, self.shape.len(), self.eps, true)?;
            affine(y, &self.weight, &self.bias, &self.shape)
        };
        match (&self.weight, &self.bias) {
            // The operator's ε is an f32, and an engine may compute in f32 too.
            (Some(weight), Some(bias)) if trace::is_f32(x.dtype()) => {
                let axis = OnnxAttribute::Int(-(self.shape.len() as i64));
                let eps = OnnxAttribute::Float(self.eps as f32);
                let operator = ("LayerNormalization", &[("axis", axis), ("epsilon", eps)][..]);
                one_operator(operator, x, [weight, bias], &[], compute)
            }
            _ => compute(),
        }
    }

    crate::fields!(weight, bias);
}

#[cfg(test)]
mod tests {
    use super::LayerNorm;
    use crate::layer::gradcheck;
    use crate::prelude::*;

    #[test]
    fn gradients() -> Result<()> {
        let x = Tensor::randn_dtype(0.5, 1.0, (4, 2, 3), DType::F64, &mut Rng::seed(1))?;
        let noise = |dims: &[usize]| Tensor::randn(1.0, 0.5, dims, &mut Rng::seed(2));
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
