//! Features scaled to [0, 1].

use candle_core::{DType, Device};

use super::{Normalize, check_data, check_features, check_finite, divisors};
use crate::autograd::{Tensor, no_grad};
use crate::error::Result;
use crate::layer::{Buffer, ForwardContext, Layer};

/// (x − min) / (max − min) of each feature, with the minimum and maximum of the data that it was fitted on. Fit it on the
/// training data only; other data may lie outside [0, 1].
///
/// A constant feature is only shifted: its range counts as 1.
///
/// # Shapes
/// (n, d), fitted on (m, d)
///
/// ```
/// use tealight::normalize::MinMax;
/// use tealight::prelude::*;
/// let train = Tensor::new(&[[1.0, 5.0], [3.0, 5.0]], &Device::Cpu)?;
/// let scale = MinMax::fit(&train)?;
/// let test = Tensor::new(&[[2.0, 6.0]], &Device::Cpu)?;
/// assert_eq!(scale.normalize(&test)?.to_vec2::<f64>()?, [[0.5, 1.0]]);
/// # Ok::<(), tealight::Error>(())
/// ```
#[derive(Clone, Debug)]
#[doc(alias = "MinMaxScaler")]
pub struct MinMax {
    min: Buffer,
    range: Buffer,
}

impl MinMax {
    /// Takes the minimum and maximum of each column of `x`.
    ///
    /// # Errors
    /// Errors if `x` is not a matrix, has no rows, or contains NaN or infinity.
    pub fn fit(x: &Tensor) -> Result<Self> {
        check_data("MinMax::fit", x)?;
        no_grad(|| {
            let min = x.min(0)?;
            let range = (x.max(0)? - &min)?;
            check_finite("MinMax::fit", &range)?;
            Ok(MinMax { min: Buffer::new(min), range: Buffer::new(divisors(&range)?) })
        })
    }

    /// The identity for `features` features, in f32: load a fitted one into it.
    pub fn new(features: usize) -> Result<Self> {
        let min = Buffer::new(Tensor::zeros(features, DType::F32, &Device::Cpu)?);
        let range = Buffer::new(Tensor::ones(features, DType::F32, &Device::Cpu)?);
        Ok(MinMax { min, range })
    }

    /// The minimum of each feature, (d).
    pub fn min(&self) -> Tensor {
        self.min.get()
    }

    /// The maximum minus the minimum of each feature, (d); 1 where it is constant.
    pub fn range(&self) -> Tensor {
        self.range.get()
    }
}

impl Normalize for MinMax {
    fn normalize(&self, x: &Tensor) -> Result<Tensor> {
        let (min, range) = (self.min(), self.range());
        check_features("MinMax", x, &min)?;
        (x - min)? / range
    }
}

impl Layer for MinMax {
    fn forward(&self, x: &Tensor, _: &mut ForwardContext) -> Result<Tensor> {
        self.normalize(x)
    }

    crate::fields!(min, range);
}

#[cfg(test)]
mod tests {
    use super::MinMax;
    use crate::layer::gradcheck;
    use crate::prelude::*;

    #[test]
    fn gradients_and_refusals() -> Result<()> {
        let x = Tensor::randn(3.0, 2.0, (50, 3), &mut Rng::seed(1))?;
        let scale = MinMax::fit(&x)?;
        let y = scale.normalize(&x)?;
        assert_eq!(y.min(0)?.to_vec1::<f64>()?, [0.0; 3]);
        assert_eq!(y.max(0)?.to_vec1::<f64>()?, [1.0; 3]);
        assert_eq!(scale.state().len(), 2);
        gradcheck(&Sequential::new().push(scale).push(Tanh), &x.narrow(0, 0, 2)?, &ForwardContext::eval())?;
        let error = MinMax::new(3)?.normalize(&y.t()?).unwrap_err();
        assert_eq!(error.to_string(), "MinMax: expected 3 features, as it was fitted on, got [3, 50]");
        assert!(matches!(MinMax::fit(&x.i(0)?), Err(Error::Shape { .. })));
        assert!(matches!(MinMax::fit(&x.narrow(0, 0, 0)?), Err(Error::Shape { .. })));
        let spoilt = Tensor::new(&[[1.0, f64::NAN], [0.0, 1.0]], &Device::Cpu)?;
        let error = MinMax::fit(&spoilt).unwrap_err();
        assert_eq!(error.to_string(), "MinMax::fit: expected finite numbers, got feature 1");
        Ok(())
    }
}
