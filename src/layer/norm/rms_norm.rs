//! Normalisation of each input by its length alone.
//!
//! # Shapes
//! (.., shape..); the shape stays.
//!
//! # Formula
//! y = x / √(mean x² + ε) · w over the last axes
//!
//! # Gradient
//! (h − ŷ·mean h·ŷ) / √(mean x² + ε) for x, with ŷ = x / √(mean x² + ε) and h = g·w; Σ g·ŷ for w
//!
//! # Errors
//! Inputs that do not end in the shape.
//!
//! # Source
//! B. Zhang and R. Sennrich 2019.

use candle_core::{DType, Shape};

use super::{affine, checked_eps, ones, rows};
use crate::autograd::Tensor;
use crate::error::{Error, Result};
use crate::layer::{Fields, ForwardContext, Layer, Parameter};
use crate::ops::standardize;

/// Mean of squares 1 over the last axes, then a scale that is learned.
///
/// # Shapes
/// (.., shape..); the shape stays.
///
/// # Formula
/// y = x / √(mean x² + ε) · w over the last axes
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
    /// w, of the normalised shape; it starts as ones.
    pub weight: Option<Parameter>,
    shape: Vec<usize>,
    eps: Option<f64>,
}

impl RmsNorm {
    /// A layer for inputs whose last axes have this shape. ε is the distance from 1 to the next number of the input's
    /// type, as PyTorch's.
    ///
    /// # Errors
    /// No axes; a shape that does not fit in memory.
    ///
    /// ```
    /// use tealight::layer::RmsNorm;
    /// use tealight::prelude::*;
    /// // A LayerNorm would take the mean away and give zeros.
    /// let y = RmsNorm::new(2)?.predict(&Tensor::new(&[2_f32, 2.0], &Device::Cpu)?)?;
    /// assert_eq!(y.to_vec1::<f32>()?, [1.0, 1.0]);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn new(shape: impl Into<Shape>) -> Result<Self> {
        let shape = shape.into().into_dims();
        if shape.is_empty() {
            return Err(Error::shape("rms_norm", "one axis or more to normalise", &[&[]]));
        }
        Ok(RmsNorm { weight: ones(&shape[..])?, shape, eps: None })
    }

    /// The same layer without w.
    ///
    /// ```
    /// use tealight::layer::RmsNorm;
    /// use tealight::prelude::*;
    /// assert_eq!(RmsNorm::new(3)?.parameters().len(), 1);
    /// assert_eq!(RmsNorm::new(3)?.without_affine().parameters().len(), 0);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    #[doc(alias = "elementwise_affine")]
    pub fn without_affine(self) -> Self {
        RmsNorm { weight: None, ..self }
    }

    /// The same layer with this ε.
    ///
    /// # Errors
    /// An ε that is not above 0.
    ///
    /// ```
    /// use tealight::layer::RmsNorm;
    /// use tealight::prelude::*;
    /// let y = RmsNorm::new(2)?.eps(12.0)?.predict(&Tensor::new(&[2_f32, 2.0], &Device::Cpu)?)?;
    /// assert_eq!(y.to_vec1::<f32>()?, [0.5, 0.5]); // 2 / √(4 + 12)
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn eps(self, eps: f64) -> Result<Self> {
        Ok(RmsNorm { eps: Some(checked_eps("rms_norm", eps)?), ..self })
    }
}

impl Layer for RmsNorm {
    fn forward(&self, x: &Tensor, _: &mut ForwardContext) -> Result<Tensor> {
        if !x.dims().ends_with(&self.shape) {
            let sizes: Vec<String> = self.shape.iter().map(usize::to_string).collect();
            let expected = format!("inputs of shape [.., {}]", sizes.join(", "));
            return Err(Error::shape("rms_norm", expected, &[x.dims()]));
        }
        let epsilon = match x.dtype() {
            DType::F64 => f64::EPSILON,
            DType::F16 => 2f64.powi(-10),
            DType::BF16 => 2f64.powi(-7),
            _ => f64::from(f32::EPSILON),
        };
        let (n, width) = rows(x, x.rank() - self.shape.len());
        let (y, _) = standardize(&x.reshape((1, n, width))?, self.eps.unwrap_or(epsilon), false)?;
        affine(y.reshape(x.dims())?, &self.weight, &None, &self.shape)
    }

    fn fields<'a>(&'a self, fields: &mut Fields<'a>) {
        fields.field("weight", &self.weight);
    }
}

#[cfg(test)]
mod tests {
    use super::RmsNorm;
    use crate::layer::gradcheck;
    use crate::prelude::*;

    #[test]
    fn gradients() -> Result<()> {
        let x = Tensor::randn(0.5, 1.0, (4, 2, 3), &mut Rng::seed(1))?;
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
