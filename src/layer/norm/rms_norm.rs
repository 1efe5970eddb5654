//! Root mean square normalization.

use candle_core::{DType, Shape};

use super::{affine, check_last_axes, checked_eps, checked_shape, ones, standardize_last_axes};
use crate::autograd::Tensor;
use crate::error::Result;
use crate::layer::{ForwardContext, Layer, Parameter};

/// Normalizes each input over its last axes to mean square 1, then scales each element. Unlike
/// [`LayerNorm`](super::LayerNorm) it does not subtract the mean.
///
/// # Shapes
/// (.., shape..); the shape stays.
///
/// # Formula
/// y = ŷ·w with ŷ = x / √(mean x² + ε), the mean over the last axes
///
/// # Gradient
/// (h − ŷ·mean h·ŷ) / √(mean x² + ε) for x, with h = g·w; Σ g·ŷ for w
///
/// # Source
/// B. Zhang and R. Sennrich 2019
///
/// ```
/// use tealight::layer::RmsNorm;
/// use tealight::prelude::*;
/// let y = RmsNorm::new(2)?.predict(&Tensor::new(&[[1_f32, 7.0]], &Device::Cpu)?)?;
/// assert_eq!(y.to_vec2::<f32>()?, [[0.2, 1.4]]);
/// # Ok::<(), tealight::Error>(())
/// ```
#[doc(alias = "RMSNormalization")]
#[derive(Clone, Debug)]
pub struct RmsNorm {
    /// w, of the normalized shape, initially ones.
    pub weight: Option<Parameter>,
    shape: Vec<usize>,
    eps: Option<f64>,
}

impl RmsNorm {
    /// A layer for inputs whose last axes have this shape, in f32.
    ///
    /// # Errors
    /// Errors if `shape` has no axes.
    pub fn new(shape: impl Into<Shape>) -> Result<Self> {
        let shape = checked_shape("rms_norm", shape)?;
        Ok(RmsNorm { weight: ones(&shape[..])?, shape, eps: None })
    }

    /// Removes w.
    #[doc(alias = "elementwise_affine")]
    pub fn without_affine(self) -> Self {
        RmsNorm { weight: None, ..self }
    }

    /// Sets ε. Default: the distance from 1 to the next number of the input's dtype, as in PyTorch.
    ///
    /// # Errors
    /// Errors if `eps` is not above 0.
    pub fn eps(self, eps: f64) -> Result<Self> {
        Ok(RmsNorm { eps: Some(checked_eps("rms_norm", eps)?), ..self })
    }
}

impl Layer for RmsNorm {
    fn forward(&self, x: &Tensor, _: &mut ForwardContext) -> Result<Tensor> {
        check_last_axes("rms_norm", x, &self.shape)?;
        let epsilon = match x.dtype() {
            DType::F64 => f64::EPSILON,
            DType::F16 => 2f64.powi(-10),
            DType::BF16 => 2f64.powi(-7),
            _ => f64::from(f32::EPSILON),
        };
        let y = standardize_last_axes(x, self.shape.len(), self.eps.unwrap_or(epsilon), false)?;
        affine(y, &self.weight, &None, &self.shape)
    }

    crate::fields!(weight);
}

#[cfg(test)]
mod tests {
    use super::RmsNorm;
    use crate::layer::gradcheck;
    use crate::prelude::*;

    #[test]
    fn gradients() -> Result<()> {
        let x = Tensor::randn_dtype(0.5, 1.0, (4, 2, 3), DType::F64, &mut Rng::seed(1))?;
        for layer in [RmsNorm::new((2, 3))?.eps(0.1)?, RmsNorm::new(3)?.without_affine()] {
            gradcheck(&Sequential::new().push(layer).push(Tanh), &x, &ForwardContext::train(Rng::seed(1)))?;
        }
        Ok(())
    }

    #[test]
    fn edges() -> Result<()> {
        let zeros = |dims: &[usize]| Tensor::zeros(dims, DType::F32, &Device::Cpu);
        let layer = RmsNorm::new(3)?;
        assert_eq!(layer.predict(&zeros(&[2, 3])?)?.to_vec2::<f32>()?, [[0.0; 3]; 2]);
        let error = layer.predict(&zeros(&[3, 1])?).unwrap_err();
        assert_eq!(error.to_string(), "rms_norm: expected inputs of shape [.., 3], got [3, 1]");
        assert!(layer.eps(-1.0).is_err() && RmsNorm::new(()).is_err());
        Ok(())
    }
}
