//! The rectifier with a learned slope.

use candle_core::{DType, Device};

use super::norm::per_channel;
use super::{ForwardContext, Layer, Parameter};
use crate::autograd::Tensor;
use crate::error::{Error, Result};
use crate::formula::{Formula, Real};
use crate::ops;

/// x where x > 0, else slope·x: a [`LeakyRelu`](crate::activation::LeakyRelu) whose slope is learned, one for all elements or
/// one for each channel. Initial slope: 0.25.
///
/// # Shapes
/// (n, channels, ..) with a slope for each channel, any with a single one; the shape stays.
///
/// # Gradient
/// For x: 1 where x > 0, else slope, also at 0, as in PyTorch. For the slope: 0 where x > 0, else x.
///
/// # Source
/// K. He et al. 2015, "Delving Deep into Rectifiers"
///
/// ```
/// use tealight::layer::PRelu;
/// use tealight::prelude::*;
/// let x = Tensor::new(&[[-4.0_f32, 2.0]], &Device::Cpu)?;
/// assert_eq!(PRelu::new()?.predict(&x)?.to_vec2::<f32>()?, [[-1.0, 2.0]]);
/// assert_eq!(PRelu::per_channel(2)?.weight.get().dims(), [2]);
/// # Ok::<(), tealight::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct PRelu {
    /// The slopes, (channels), or (1) for a single one.
    pub weight: Parameter,
}

impl PRelu {
    /// One slope for all elements, in f32.
    pub fn new() -> Result<Self> {
        PRelu::per_channel(1)
    }

    /// A slope for each channel, in f32.
    pub fn per_channel(channels: usize) -> Result<Self> {
        let ones = Tensor::ones(channels, DType::F32, &Device::Cpu)?;
        Ok(PRelu { weight: Parameter::new((ones * 0.25)?) })
    }
}

/// x > 0 ? x : slope·x
#[derive(Clone, Copy, Debug)]
struct Rectify;

impl Formula<2> for Rectify {
    const NAME: &'static str = "prelu";

    fn value<R: Real>(&self, [x, slope]: [R; 2]) -> R {
        x.select_gt(R::constant(0.0), x, slope * x)
    }

    fn derivative<R: Real>(&self, [x, slope]: [R; 2], _: R) -> [R; 2] {
        let (zero, one) = (R::constant(0.0), R::constant(1.0));
        [x.select_gt(zero, one, slope), x.select_gt(zero, zero, x)]
    }
}

impl Layer for PRelu {
    fn forward(&self, x: &Tensor, _: &mut ForwardContext) -> Result<Tensor> {
        let slope = self.weight.get();
        if slope.elem_count() == 1 {
            return ops::apply(Rectify, [x, &slope.reshape(())?]);
        }
        if x.dims().get(1) != Some(&slope.elem_count()) {
            let expected = format!("inputs of shape [n, {}, ..]", slope.elem_count());
            return Err(Error::shape("prelu", expected, &[x.dims()]));
        }
        ops::apply(Rectify, [x, &slope.reshape(per_channel(slope.elem_count(), x.rank()))?])
    }

    crate::fields!(weight);
}

#[cfg(test)]
mod tests {
    use super::PRelu;
    use crate::layer::gradcheck;
    use crate::prelude::*;

    #[test]
    fn gradients() -> Result<()> {
        let x = Tensor::randn_dtype(0.0, 1.0, (2, 3, 4), DType::F64, &mut Rng::seed(1))?;
        let layer = PRelu { weight: Parameter::new(Tensor::new(&[0.1, -0.5, 2.0], &Device::Cpu)?) };
        gradcheck(&layer, &x, &ForwardContext::eval())?;
        let y = layer.predict(&x)?;
        assert_eq!(y.dims(), x.dims());
        let (x, y) = (x.to_vec3::<f64>()?, y.to_vec3::<f64>()?);
        for (i, slope) in [0.1, -0.5, 2.0].into_iter().enumerate() {
            assert_eq!(
                y[1][i],
                x[1][i].iter().map(|&x| if x > 0.0 { x } else { slope * x }).collect::<Vec<_>>()
            );
        }
        gradcheck(&PRelu::new()?, &Tensor::new(&[-1.0, 0.5], &Device::Cpu)?, &ForwardContext::eval())?;
        Ok(())
    }

    #[test]
    fn edges() -> Result<()> {
        let x = Parameter::new(Tensor::new(&[f64::INFINITY, 0.0], &Device::Cpu)?);
        let layer = PRelu { weight: Parameter::new(Tensor::new(&[0.5], &Device::Cpu)?) };
        let y = layer.forward(&x.get(), &mut ForwardContext::eval())?;
        assert_eq!(y.to_vec1::<f64>()?, [f64::INFINITY, 0.0]);
        let gradients = y.sum_all()?.backward()?;
        assert_eq!(gradients.get(&x.get()).unwrap().to_vec1::<f64>()?, [1.0, 0.5]);
        assert_eq!(gradients.get(&layer.weight.get()).unwrap().to_vec1::<f64>()?, [0.0]);
        assert!(layer.predict(&Tensor::new(f64::NAN, &Device::Cpu)?)?.to_scalar::<f64>()?.is_nan());
        let error = PRelu::per_channel(3)?.predict(&Tensor::zeros((3, 2), DType::F32, &Device::Cpu)?);
        assert_eq!(error.unwrap_err().to_string(), "prelu: expected inputs of shape [n, 3, ..], got [3, 2]");
        Ok(())
    }
}
