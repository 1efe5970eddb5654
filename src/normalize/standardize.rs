//! Features with mean 0 and deviation 1.
//!
//! # Shapes
//! (n, d), fitted on (m, d); images (n, c, h, w), fitted on (m, c, h′, w′)
//!
//! # Formula
//! (x − mean) / std of each feature, or of each channel of images, both taken from the data it was fitted on
//!
//! # Kinks
//! A feature that is constant in that data is only shifted: its deviation counts as 1.
//!
//! # Errors
//! Data that is no matrix, or no images, has no rows or holds NaN or infinity; another number of features or channels.

use candle_core::{DType, Device};

use super::{Normalize, check_data, check_features, check_finite, divisors};
use crate::autograd::{Tensor, no_grad};
use crate::error::{Error, Result};
use crate::layer::{Buffer, Fields, ForwardContext, Layer};

/// (x − mean) / std of each feature. Fit it on the training data only, and use it for all.
///
/// As a layer it stands before the model, and is saved with it.
///
/// # Shapes
/// (n, d), fitted on (m, d); images (n, c, h, w), fitted on (m, c, h′, w′)
///
/// # Formula
/// (x − mean) / std of each feature, or of each channel of images, both taken from the data it was fitted on
///
/// # Kinks
/// A feature that is constant in that data is only shifted: its deviation counts as 1.
///
/// # Errors
/// Data that is no matrix, or no images, has no rows or holds NaN or infinity; another number of features or channels.
///
/// ```
/// use tealight::prelude::*;
/// let train = Tensor::new(&[[1.0, 5.0], [3.0, 5.0]], &Device::Cpu)?;
/// let scale = Standardize::fit(&train)?;
/// assert_eq!(scale.normalize(&train)?.to_vec2::<f64>()?, [[-1.0, 0.0], [1.0, 0.0]]);
/// # Ok::<(), tealight::Error>(())
/// ```
#[derive(Clone, Debug)]
#[doc(alias = "StandardScaler")]
pub struct Standardize {
    mean: Buffer,
    std: Buffer,
}

impl Standardize {
    /// Takes mean and deviation (with divisor n) of each column of `x`.
    ///
    /// # Errors
    /// A tensor that is no matrix, has no rows, is no float, or holds NaN or infinity.
    ///
    /// ```
    /// use tealight::prelude::*;
    /// let scale = Standardize::fit(&Tensor::new(&[[1.0, 0.0], [3.0, 10.0]], &Device::Cpu)?)?;
    /// assert_eq!((scale.mean().to_vec1::<f64>()?, scale.std().to_vec1::<f64>()?), (vec![2.0, 5.0], vec![1.0, 5.0]));
    /// # Ok::<(), tealight::Error>(())
    /// ```
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
    ///
    /// ```
    /// use tealight::prelude::*;
    /// let x = Tensor::new(&[[3.0_f32, 7.0]], &Device::Cpu)?;
    /// assert_eq!(Standardize::new(2)?.normalize(&x)?, x);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn new(features: usize) -> Result<Self> {
        let mean = Buffer::new(Tensor::zeros(features, DType::F32, &Device::Cpu)?);
        let std = Buffer::new(Tensor::ones(features, DType::F32, &Device::Cpu)?);
        Ok(Standardize { mean, std })
    }

    /// Takes mean and deviation of each channel of images (n, c, h, w), over all their pixels.
    ///
    /// # Errors
    /// Another rank, no pixels, no floats, or NaN or infinity among them.
    ///
    /// ```
    /// use tealight::prelude::*;
    /// let images = Tensor::rand(0f32, 1.0, (10, 3, 8, 8), &mut Rng::seed(1))?;
    /// let scale = Standardize::fit_channels(&images)?;
    /// assert_eq!(scale.mean().dims(), [3, 1, 1]);
    /// assert_eq!(scale.normalize(&Tensor::ones((2, 3, 5, 5), DType::F32, &Device::Cpu)?)?.dims(), [2, 3, 5, 5]);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn fit_channels(x: &Tensor) -> Result<Self> {
        const NAME: &str = "Standardize::fit_channels";
        let [_, channels, _, _] = *x.dims() else {
            return Err(Error::shape(NAME, "images (n, c, h, w)", &[x.dims()]));
        };
        if x.elem_count() == 0 {
            return Err(Error::shape(NAME, "one pixel or more", &[x.dims()]));
        }
        let dtype = x.dtype();
        if !dtype.is_float() {
            return Err(Error::dtype(NAME, "floats", &[dtype]));
        }
        no_grad(|| {
            // In f64: a million pixels of f32 would lose three of its digits.
            let by_channel = x.to_dtype(DType::F64)?.transpose(0, 1)?.flatten(1, -1)?;
            let mean = by_channel.mean_keepdim(1)?;
            let std = (by_channel - &mean)?.sqr()?.mean(1)?.sqrt()?;
            check_finite(NAME, &std)?;
            let held =
                |x: &Tensor| Ok::<_, Error>(Buffer::new(x.to_dtype(dtype)?.reshape((channels, 1, 1))?));
            Ok(Standardize { mean: held(&mean)?, std: held(&divisors(&std)?)? })
        })
    }

    /// One for images of so many channels that changes nothing, in f32: to be loaded with what another was fitted to.
    ///
    /// # Errors
    /// A size that does not fit in memory.
    ///
    /// ```
    /// use tealight::prelude::*;
    /// let scale = Standardize::new_channels(3)?;
    /// assert_eq!(scale.std().to_vec3::<f32>()?, [[[1.0]], [[1.0]], [[1.0]]]);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn new_channels(channels: usize) -> Result<Self> {
        let one = Standardize::new(channels)?;
        let held = |x: Tensor| Ok::<_, Error>(Buffer::new(x.reshape((channels, 1, 1))?));
        Ok(Standardize { mean: held(one.mean())?, std: held(one.std())? })
    }

    /// The mean of each feature, (d), or of each channel, (c, 1, 1).
    ///
    /// ```
    /// use tealight::prelude::*;
    /// let scale = Standardize::fit(&Tensor::new(&[[1.0, 0.0], [3.0, 10.0]], &Device::Cpu)?)?;
    /// assert_eq!(scale.mean().to_vec1::<f64>()?, [2.0, 5.0]);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn mean(&self) -> Tensor {
        self.mean.get()
    }

    /// The deviation of each feature, (d), or of each channel, (c, 1, 1).
    ///
    /// ```
    /// use tealight::prelude::*;
    /// let scale = Standardize::fit(&Tensor::new(&[[1.0, 7.0], [3.0, 7.0]], &Device::Cpu)?)?;
    /// assert_eq!(scale.std().to_vec1::<f64>()?, [1.0, 1.0]); // 1 where the feature is constant
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn std(&self) -> Tensor {
        self.std.get()
    }
}

impl Normalize for Standardize {
    fn normalize(&self, x: &Tensor) -> Result<Tensor> {
        let (mean, std) = (self.mean(), self.std());
        match (x.dims(), mean.rank()) {
            (&[.., channels, _, _], 3) if channels == mean.elem_count() => {}
            (_, 3) => {
                let expected = format!("images (.., {}, h, w), as it was fitted on", mean.elem_count());
                return Err(Error::shape("Standardize", expected, &[x.dims()]));
            }
            _ => check_features("Standardize", x, &mean)?,
        }
        (x - mean)? / std
    }
}

impl Layer for Standardize {
    fn forward(&self, x: &Tensor, _: &mut ForwardContext) -> Result<Tensor> {
        self.normalize(x)
    }

    fn fields<'a>(&'a self, fields: &mut Fields<'a>) {
        fields.buffer("mean", &self.mean).buffer("std", &self.std);
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
    fn channels_of_images() -> Result<()> {
        let one = |mean, rng: &mut Rng| Tensor::randn(mean, 2f32, (6, 1, 4, 5), rng);
        let rng = &mut Rng::seed(1);
        let x = Tensor::cat(&[one(3.0, rng)?, one(-1.0, rng)?], 1)?;
        let scale = Standardize::fit_channels(&x)?;
        let y = scale.normalize(&x)?.transpose(0, 1)?.flatten(1, -1)?;
        assert!(y.mean(1)?.to_vec1::<f32>()?.iter().all(|m| m.abs() < 1e-5));
        assert!(y.sqr()?.mean(1)?.to_vec1::<f32>()?.iter().all(|v| (v - 1.0).abs() < 1e-5));
        assert_eq!(Standardize::new_channels(2)?.normalize(&x)?, x);
        // One image alone, but no other number of channels, and no constant divided by 0.
        assert_eq!(scale.normalize(&x.narrow(0, 0, 1)?.squeeze(0)?)?.dims(), [2, 4, 5]);
        for wrong in [x.narrow(1, 0, 1)?, x.flatten(1, -1)?, x.transpose(1, 3)?] {
            assert!(matches!(scale.normalize(&wrong), Err(Error::Shape { .. })), "{:?}", wrong.dims());
        }
        let ones = Tensor::ones((1, 1, 2, 2), DType::F32, &Device::Cpu)?;
        assert_eq!(Standardize::fit_channels(&ones)?.normalize(&ones)?.sum_all()?.to_scalar::<f32>()?, 0.0);
        assert!(matches!(Standardize::fit_channels(&(&ones / 0.0)?), Err(Error::Argument { .. })));
        assert!(matches!(Standardize::fit_channels(&ones.narrow(0, 0, 0)?), Err(Error::Shape { .. })));
        assert!(matches!(Standardize::fit_channels(&ones.squeeze(0)?), Err(Error::Shape { .. })));
        assert!(matches!(Standardize::fit_channels(&ones.to_dtype(DType::U8)?), Err(Error::Dtype { .. })));
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
