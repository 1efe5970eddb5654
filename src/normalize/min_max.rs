//! Features from 0 to 1.
//!
//! # Shapes
//! (n, d), fitted on (m, d)
//!
//! # Formula
//! (x − min) / (max − min) of each feature, both taken from the data it was fitted on
//!
//! # Kinks
//! A feature that is constant in that data is only shifted: its range counts as 1.
//!
//! # Errors
//! Data that is no matrix, has no rows or holds NaN or infinity; another number of features.

use candle_core::{DType, Device};

use super::{Normalize, check_data, check_features, check_finite, divisors};
use crate::autograd::{Tensor, no_grad};
use crate::error::Result;
use crate::layer::{Buffer, Fields, ForwardContext, Layer};

/// (x − min) / (max − min) of each feature. Fit it on the training data only; others may lie outside 0 to 1.
///
/// As a layer it stands before the model, and is saved with it.
///
/// # Shapes
/// (n, d), fitted on (m, d)
///
/// # Formula
/// (x − min) / (max − min) of each feature, both taken from the data it was fitted on
///
/// # Kinks
/// A feature that is constant in that data is only shifted: its range counts as 1.
///
/// # Errors
/// Data that is no matrix, has no rows or holds NaN or infinity; another number of features.
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
    /// Takes the smallest and the largest number of each column of `x`.
    ///
    /// # Errors
    /// A tensor that is no matrix, has no rows, is no float, or holds NaN or infinity.
    ///
    /// ```
    /// use tealight::normalize::MinMax;
    /// use tealight::prelude::*;
    /// let scale = MinMax::fit(&Tensor::new(&[[1.0, -2.0], [5.0, 0.0], [3.0, -1.0]], &Device::Cpu)?)?;
    /// assert_eq!((scale.min().to_vec1::<f64>()?, scale.range().to_vec1::<f64>()?), (vec![1.0, -2.0], vec![4.0, 2.0]));
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn fit(x: &Tensor) -> Result<Self> {
        check_data("MinMax::fit", x)?;
        no_grad(|| {
            let min = x.min(0)?;
            let range = (x.max(0)? - &min)?;
            check_finite("MinMax::fit", &range)?;
            Ok(MinMax { min: Buffer::new(min), range: Buffer::new(divisors(&range)?) })
        })
    }

    /// One for `features` features that changes nothing, in f32: to be loaded with what another was fitted to.
    ///
    /// # Errors
    /// A size that does not fit in memory.
    ///
    /// ```
    /// use tealight::normalize::MinMax;
    /// use tealight::prelude::*;
    /// let x = Tensor::new(&[[3.0_f32, 7.0]], &Device::Cpu)?;
    /// assert_eq!(MinMax::new(2)?.normalize(&x)?, x);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn new(features: usize) -> Result<Self> {
        let min = Buffer::new(Tensor::zeros(features, DType::F32, &Device::Cpu)?);
        let range = Buffer::new(Tensor::ones(features, DType::F32, &Device::Cpu)?);
        Ok(MinMax { min, range })
    }

    /// The smallest number of each feature, (d).
    ///
    /// ```
    /// use tealight::normalize::MinMax;
    /// use tealight::prelude::*;
    /// let scale = MinMax::fit(&Tensor::new(&[[1.0], [5.0]], &Device::Cpu)?)?;
    /// assert_eq!(scale.min().to_vec1::<f64>()?, [1.0]);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn min(&self) -> Tensor {
        self.min.get()
    }

    /// How far above it the largest is, (d).
    ///
    /// ```
    /// use tealight::normalize::MinMax;
    /// use tealight::prelude::*;
    /// let scale = MinMax::fit(&Tensor::new(&[[1.0, 3.0], [5.0, 3.0]], &Device::Cpu)?)?;
    /// assert_eq!(scale.range().to_vec1::<f64>()?, [4.0, 1.0]); // 1 where the feature is constant
    /// # Ok::<(), tealight::Error>(())
    /// ```
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

    fn fields<'a>(&'a self, fields: &mut Fields<'a>) {
        fields.buffer("min", &self.min).buffer("range", &self.range);
    }
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
