//! Features scaled to mean 0 and standard deviation 1.

use candle_core::{DType, Device};

use super::{Normalize, check_data, check_features, divisors, wide};
use crate::autograd::{Tensor, no_grad};
use crate::error::{Error, Result};
use crate::layer::{Buffer, ForwardContext, Layer};

/// (x − mean) / std of each feature, or of each channel of images, with the mean and the standard deviation of the data that it
/// was fitted on. Fit it on the training data only.
///
/// A feature that is constant but for rounding is only shifted: its deviation counts as 1. As in scikit-learn, that is one whose
/// variance is at most n·ε·var + (n·ε·mean)², with the ε of f64.
///
/// # Shapes
/// (n, d), fitted on (m, d); images (n, c, h, w), fitted on (m, c, h′, w′)
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
    inverted: bool,
}

impl Standardize {
    /// Takes the mean and the standard deviation (with divisor n) of each column of `x`.
    ///
    /// # Errors
    /// Errors if `x` is not a matrix, has no rows, or contains NaN or infinity.
    pub fn fit(x: &Tensor) -> Result<Self> {
        check_data("Standardize::fit", x)?;
        Standardize::of_columns("Standardize::fit", x, |x| Ok(Buffer::new(x)))
    }

    /// Fitted on the columns of a matrix; the mean and the deviation of each get their shape from `held`.
    fn of_columns(op: &'static str, x: &Tensor, held: impl Fn(Tensor) -> Result<Buffer>) -> Result<Self> {
        no_grad(|| {
            let (numbers, n) = (wide(op, x)?, x.dims()[0] as f64);
            // A rounded mean may lie outside its data: that of a constant is the constant.
            let mean = numbers.mean(0)?.maximum(&numbers.min(0)?)?.minimum(&numbers.max(0)?)?;
            let var = (numbers - &mean)?.sqr()?.mean(0)?;
            let noise = ((&var * (n * f64::EPSILON))? + (&mean * (n * f64::EPSILON))?.sqr()?)?;
            let std = divisors(op, &var.sqrt()?, &var.le(&noise)?, x.dtype())?;
            Ok(Standardize { mean: held(mean.to_dtype(x.dtype())?)?, std: held(std)?, inverted: false })
        })
    }

    /// The identity for `features` features, in f32: load a fitted one into it.
    pub fn new(features: usize) -> Result<Self> {
        let mean = Buffer::new(Tensor::zeros(features, DType::F32, &Device::Cpu)?);
        let std = Buffer::new(Tensor::ones(features, DType::F32, &Device::Cpu)?);
        Ok(Standardize { mean, std, inverted: false })
    }

    /// Takes the mean and the standard deviation of each channel of images (n, c, h, w), over all pixels.
    ///
    /// # Errors
    /// Errors if `x` has another rank, no pixels, or contains NaN or infinity.
    ///
    /// ```
    /// use tealight::prelude::*;
    /// let images = Tensor::rand(0.0, 1.0, (10, 3, 8, 8), &mut Rng::seed(1))?;
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
        let pixels = x.transpose(1, -1)?.reshape((x.elem_count() / channels, channels))?;
        let by_channel = |x: Tensor| x.reshape((channels, 1, 1)).map(Buffer::new);
        Standardize::of_columns(NAME, &pixels, by_channel)
    }

    /// The identity for images with `channels` channels, in f32: load a fitted one into it.
    pub fn new_channels(channels: usize) -> Result<Self> {
        let features = Standardize::new(channels)?;
        let by_channel = |x: Tensor| x.reshape((channels, 1, 1)).map(Buffer::new);
        Ok(Standardize {
            mean: by_channel(features.mean())?,
            std: by_channel(features.std())?,
            inverted: false,
        })
    }

    /// The way back, std·y + mean, as a layer that shares this one's numbers. At the end of a model it gives predictions in the
    /// units of the target, also in a saved or exported model.
    ///
    /// ```
    /// use tealight::prelude::*;
    /// let price = Standardize::fit(&Tensor::new(&[[100.0], [300.0]], &Device::Cpu)?)?;
    /// let scaled = Tensor::new(&[[0.5]], &Device::Cpu)?;
    /// assert_eq!(price.inverse().normalize(&scaled)?.to_vec2::<f64>()?, [[250.0]]);
    /// // Train the model on scaled targets, then save it with the way back.
    /// let model = Sequential::new().push(Tanh);
    /// let model = model.push(price.inverse());
    /// # assert_eq!(model.state_dict().len(), 2);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    #[must_use]
    #[doc(alias = "inverse_transform")]
    #[doc(alias = "TransformedTargetRegressor")]
    pub fn inverse(&self) -> Self {
        Standardize { inverted: !self.inverted, ..self.clone() }
    }

    /// The mean of each feature, (d), or of each channel, (c, 1, 1).
    pub fn mean(&self) -> Tensor {
        self.mean.get()
    }

    /// The standard deviation of each feature, (d), or of each channel, (c, 1, 1); 1 where it is constant.
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
        if self.inverted { (x * std)? + mean } else { (x - mean)? / std }
    }
}

impl Layer for Standardize {
    fn forward(&self, x: &Tensor, _: &mut ForwardContext) -> Result<Tensor> {
        self.normalize(x)
    }

    crate::fields!(mean, std);
}

#[cfg(test)]
mod tests {
    use super::Standardize;
    use crate::prelude::*;

    #[test]
    fn gradients_and_refusals() -> Result<()> {
        let x = Tensor::randn_dtype(3.0, 2.0, (50, 3), DType::F64, &mut Rng::seed(1))?;
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
        let one = |mean: f64, rng: &mut Rng| Tensor::randn(mean, 2.0, (6, 1, 4, 5), rng);
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

    /// As scikit-learn's StandardScaler: its `_is_constant_feature`.
    #[test]
    fn constants_that_are_no_binary_fractions() -> Result<()> {
        for c in [0.0, 0.1, 0.2, 0.3, 2.3, 14.62, 98.6, 1013.25, 1e-3, -123.456, 1e6 + 0.1, 1e-300, 1e150] {
            for n in [1_usize, 10, 50, 333, 569, 5000] {
                for dtype in [DType::F32, DType::F64] {
                    let x = Tensor::full(c, (n, 1), &Device::Cpu)?.to_dtype(dtype)?;
                    if x.to_dtype(DType::F64)?.max_all()?.to_scalar::<f64>()?.is_infinite() {
                        continue;
                    }
                    let images = x.reshape((n, 1, 1, 1))?;
                    for (scale, x) in
                        [(Standardize::fit(&x)?, x), (Standardize::fit_channels(&images)?, images)]
                    {
                        let std = scale.std().to_dtype(DType::F64)?.flatten(0, -1)?.to_vec1::<f64>()?;
                        assert_eq!(std, [1.0], "{c} {n}");
                        assert_eq!(scale.normalize(&x)?.ne(0.0)?.max_all()?.to_scalar::<u8>()?, 0, "{c} {n}");
                        assert_eq!(scale.inverse().normalize(&scale.normalize(&x)?)?, x);
                    }
                }
            }
        }
        // Constant but for rounding, and a small variance that is one.
        let x = Tensor::new(&[[0.3, 1.0], [0.1 + 0.2, 1.0 + 1e-14]], &Device::Cpu)?;
        let std = Standardize::fit(&x)?.std().to_vec1::<f64>()?;
        assert!(std[0] == 1.0 && std[1] < 1e-13);
        Ok(())
    }

    #[test]
    fn the_way_back() -> Result<()> {
        let rng = &mut Rng::seed(1);
        let x = Tensor::randn_dtype(3.0, 2.0, (50, 3), DType::F64, rng)?;
        let images = Tensor::randn_dtype(3.0, 2.0, (4, 3, 5, 2), DType::F64, rng)?;
        for (scale, x) in [(Standardize::fit(&x)?, x), (Standardize::fit_channels(&images)?, images)] {
            let (y, back) = (scale.normalize(&x)?, scale.inverse());
            assert!((back.normalize(&y)? - &x)?.abs()?.max_all()?.to_scalar::<f64>()? < 1e-14);
            assert_eq!(back.inverse().normalize(&x)?, y);
            assert!(matches!(back.normalize(&y.transpose(0, 1)?), Err(Error::Shape { .. })));
            crate::layer::gradcheck(
                &Sequential::new().push(back).push(Tanh),
                &y.narrow(0, 0, 2)?,
                &ForwardContext::eval(),
            )?;
        }
        Ok(())
    }

    #[test]
    fn saved_with_the_model() -> Result<()> {
        let x = Tensor::randn(3.0, 2.0, (50, 3), &mut Rng::seed(1))?;
        let scale = Standardize::fit(&x)?;
        let fitted = Sequential::new().push(scale.clone()).push(Tanh).push(scale.inverse());
        let scale = Standardize::new(3)?;
        let empty = Sequential::new().push(scale.clone()).push(Tanh).push(scale.inverse());
        assert_eq!(empty.predict(&x)?, x.tanh()?);
        for ((name, from), (_, to)) in fitted.state_dict().into_iter().zip(empty.state_dict()) {
            assert!(["0.mean", "0.std", "2.mean", "2.std"].contains(&name.as_str()), "{name}");
            to.set(&from.get())?;
        }
        assert_eq!(empty.predict(&x)?, fitted.predict(&x)?);
        Ok(())
    }
}
