//! Features with mean 0 and deviation 1.
//!
//! # Shapes
//! (n, d), fitted on (m, d)
//!
//! # Formula
//! (x − mean) / std of each feature, both taken from the data it was fitted on
//!
//! # Kinks
//! A feature that is constant in that data is only shifted: its deviation counts as 1.
//!
//! # Errors
//! Data that is no matrix, has no rows or holds NaN or infinity; another number of features.

use candle_core::{DType, Device};

use super::{Normalize, check_data, check_features, check_finite, divisors};
use crate::autograd::{Tensor, no_grad};
use crate::error::Result;
use crate::layer::{Buffer, Layer, Parts, Pass};

/// (x − mean) / std of each feature. Fit it on the training data only, and use it for all.
///
/// As a layer it stands before the model, and is saved with it.
///
/// ```
/// use tealight::prelude::*;
/// let train = Tensor::new(&[[1.0, 5.0], [3.0, 5.0]], &Device::Cpu)?;
/// let scale = Standardize::fit(&train)?;
/// assert_eq!(scale.normalize(&train)?.to_vec2::<f64>()?, [[-1.0, 0.0], [1.0, 0.0]]);
/// # Ok::<(), tealight::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Standardize {
    mean: Buffer,
    std: Buffer,
}

impl Standardize {
    /// Takes mean and deviation (with divisor n) of each column of `x`.
    ///
    /// # Errors
    /// A tensor that is no matrix, has no rows, is no float, or holds NaN or infinity.
    pub fn fit(x: &Tensor) -> Result<Self> {
        check_data("Standardize::fit", x)?;
        no_grad(|| {
            let mean = x.mean(0)?;
            let std = (x - &mean)?.sqr()?.mean(0)?.sqrt()?;
            check_finite("Standardize::fit", &std)?;
            Ok(Standardize { mean: Buffer::new(mean), std: Buffer::new(divisors(&std)?) })
        })
    }

    /// One for `features` features that changes nothing, in f32: to be loaded with what another was fitted to.
    ///
    /// # Errors
    /// A size that does not fit in memory.
    pub fn new(features: usize) -> Result<Self> {
        let mean = Buffer::new(Tensor::zeros(features, DType::F32, &Device::Cpu)?);
        let std = Buffer::new(Tensor::ones(features, DType::F32, &Device::Cpu)?);
        Ok(Standardize { mean, std })
    }

    /// The mean of each feature, (d).
    pub fn mean(&self) -> Tensor {
        self.mean.get()
    }

    /// The deviation of each feature, (d).
    pub fn std(&self) -> Tensor {
        self.std.get()
    }
}

impl Normalize for Standardize {
    fn normalize(&self, x: &Tensor) -> Result<Tensor> {
        let (mean, std) = (self.mean(), self.std());
        check_features("Standardize", x, &mean)?;
        (x - mean)? / std
    }
}

impl Layer for Standardize {
    fn forward(&self, x: &Tensor, _: &mut Pass) -> Result<Tensor> {
        self.normalize(x)
    }

    fn parts<'a>(&'a self, parts: &mut Parts<'a>) {
        parts.buffer("mean", &self.mean).buffer("std", &self.std);
    }
}

#[cfg(test)]
mod tests {
    use super::Standardize;
    use crate::prelude::*;

    #[test]
    fn gradients_and_refusals() -> Result<()> {
        let x = Tensor::randn(3.0, 2.0, (50, 3), &mut Rng::seed(1))?;
        let scale = Standardize::fit(&x)?;
        let y = scale.normalize(&x)?;
        assert!(y.mean(0)?.to_vec1::<f64>()?.iter().all(|m| m.abs() < 1e-14));
        assert!(y.sqr()?.mean(0)?.to_vec1::<f64>()?.iter().all(|v| (v - 1.0).abs() < 1e-14));
        autograd::gradcheck(
            |x| scale.normalize(&x[0])?.powf(3.0),
            &[Tensor::ones((2, 3), DType::F64, &Device::Cpu)?],
        )?;
        assert!(matches!(scale.normalize(&y.t()?), Err(Error::Shape { .. })));
        let zeros = Tensor::zeros((0, 3), DType::F32, &Device::Cpu)?;
        assert!(matches!(Standardize::fit(&zeros), Err(Error::Shape { .. })));
        assert!(matches!(Standardize::fit(&(x / 0.0)?), Err(Error::Argument { .. })));
        Ok(())
    }

    #[test]
    fn it_belongs_to_the_model() -> Result<()> {
        let x = Tensor::randn(3f32, 2.0, (50, 3), &mut Rng::seed(1))?;
        let fitted = Sequential::new().push(Standardize::fit(&x)?).push(Tanh);
        let empty = Sequential::new().push(Standardize::new(3)?).push(Tanh);
        assert_eq!(empty.predict(&x)?, x.tanh()?);
        for ((name, from), (_, to)) in fitted.state().into_iter().zip(empty.state()) {
            assert!(["0.mean", "0.std"].contains(&name.as_str()), "{name}");
            to.set(&from.get())?;
        }
        assert_eq!(empty.predict(&x)?, fitted.predict(&x)?);
        Ok(())
    }
}
