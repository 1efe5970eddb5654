//! Features scaled to [0, 1].

use candle_core::{DType, Device};

use super::{Normalize, check_data, check_features, divisors, wide};
use crate::autograd::{Tensor, no_grad};
use crate::error::Result;
use crate::layer::{Buffer, ForwardContext, Layer};

/// (x − min) / (max − min) of each feature, with the minimum and maximum of the data that it was fitted on. Fit it on the
/// training data only; other data may lie outside [0, 1].
///
/// A feature that is constant but for rounding is only shifted: its range counts as 1.
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
    inverted: bool,
}

impl MinMax {
    /// Takes the minimum and maximum of each column of `x`.
    ///
    /// # Errors
    /// Errors if `x` is not a matrix, has no rows, or contains NaN or infinity.
    pub fn fit(x: &Tensor) -> Result<Self> {
        check_data("MinMax::fit", x)?;
        no_grad(|| {
            let numbers = wide("MinMax::fit", x)?;
            let (min, max) = (numbers.min(0)?, numbers.max(0)?);
            let range = (&max - &min)?;
            let constant = range.le(&(min.abs()?.maximum(&max.abs()?)? * (10.0 * f64::EPSILON))?)?;
            let range = divisors("MinMax::fit", &range, &constant, x.dtype())?;
            Ok(MinMax {
                min: Buffer::new(min.to_dtype(x.dtype())?),
                range: Buffer::new(range),
                inverted: false,
            })
        })
    }

    /// The identity for `features` features, in f32: load a fitted one into it.
    pub fn new(features: usize) -> Result<Self> {
        let min = Buffer::new(Tensor::zeros(features, DType::F32, &Device::Cpu)?);
        let range = Buffer::new(Tensor::ones(features, DType::F32, &Device::Cpu)?);
        Ok(MinMax { min, range, inverted: false })
    }

    /// The way back, range·y + min, as a layer that shares this one's numbers: see [`Standardize::inverse`](super::Standardize::inverse).
    #[must_use]
    pub fn inverse(&self) -> Self {
        MinMax { inverted: !self.inverted, ..self.clone() }
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
        if self.inverted { (x * range)? + min } else { (x - min)? / range }
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
        let x = Tensor::randn_dtype(3.0, 2.0, (50, 3), DType::F64, &mut Rng::seed(1))?;
        let scale = MinMax::fit(&x)?;
        let y = scale.normalize(&x)?;
        assert_eq!(y.min(0)?.to_vec1::<f64>()?, [0.0; 3]);
        assert_eq!(y.max(0)?.to_vec1::<f64>()?, [1.0; 3]);
        assert_eq!(scale.state_dict().len(), 2);
        let back = scale.inverse();
        let near =
            |a: &Tensor| -> Result<bool> { Ok((a - &x)?.abs()?.max_all()?.to_scalar::<f64>()? < 1e-14) };
        assert!(near(&back.normalize(&y)?)?);
        assert_eq!(back.inverse().normalize(&x)?, y);
        gradcheck(&Sequential::new().push(scale).push(Tanh), &x.narrow(0, 0, 2)?, &ForwardContext::eval())?;
        let error = MinMax::new(3)?.normalize(&y.t()?).unwrap_err();
        assert_eq!(error.to_string(), "MinMax: expected 3 features, as it was fitted on, got [3, 50]");
        assert!(matches!(MinMax::fit(&x.i(0)?), Err(Error::Shape { .. })));
        assert!(matches!(MinMax::fit(&x.narrow(0, 0, 0)?), Err(Error::Shape { .. })));
        // 0.1 + 0.2 is 0.3 but for rounding.
        let constant = Tensor::new(&[[0.3, 1.0], [0.1 + 0.2, 1.0 + 1e-14]], &Device::Cpu)?;
        let range = MinMax::fit(&constant)?.range().to_vec1::<f64>()?;
        assert!(range[0] == 1.0 && range[1] < 1e-13);
        assert!(matches!(MinMax::fit(&x.to_dtype(DType::I64)?), Err(Error::Dtype { .. })));
        let spoilt = Tensor::new(&[[1.0, f64::NAN], [0.0, 1.0]], &Device::Cpu)?;
        let error = MinMax::fit(&spoilt).unwrap_err();
        assert_eq!(error.to_string(), "MinMax::fit: expected finite numbers, got feature 1");
        Ok(())
    }
}
