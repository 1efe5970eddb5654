//! Layers that zero elements at random while training.

use candle_core::DType;

use super::{ForwardContext, Layer};
use crate::autograd::Tensor;
use crate::autograd::array::{converted, count, on_cpu, with_float};
use crate::autograd::launch::{Primitive, launch_random};
use crate::error::{Error, Result};
use crate::kernel;

/// Zeroes each element with probability p while training, and scales the others.
///
/// # Formula
/// Training: x·m / (1 − p) with m = 0 with probability p, else 1. Evaluation: x.
///
/// # Source
/// N. Srivastava et al. 2014
///
/// ```
/// use tealight::prelude::*;
/// let layer = Dropout::new(0.5)?;
/// let x = Tensor::ones(1000, DType::F32, &Device::Cpu)?;
/// assert_eq!(layer.predict(&x)?, x);
/// let y = layer.forward(&x, &mut ForwardContext::train(Rng::seed(1)))?.to_vec1::<f32>()?;
/// assert!(y.iter().all(|&y| y == 0.0 || y == 2.0));
/// # Ok::<(), tealight::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Dropout {
    p: f64,
}

impl Dropout {
    /// A layer with this p.
    ///
    /// # Errors
    /// Errors if `p` is outside [0, 1].
    pub fn new(p: f64) -> Result<Self> {
        Ok(Dropout { p: probability("dropout", p)? })
    }
}

impl Layer for Dropout {
    fn forward(&self, x: &Tensor, ctx: &mut ForwardContext) -> Result<Tensor> {
        dropped("dropout", x, x.dims(), self.p, ctx)
    }

    crate::fields!();
}

/// Zeroes whole channels with probability p while training: neighbouring pixels are too similar to drop one by one.
///
/// # Shapes
/// (n, c, ..): images (n, c, h, w), sequences (n, c, l); the shape stays.
///
/// # Formula
/// Training: x·m / (1 − p) with one m for each channel of each input. Evaluation: x.
///
/// ```
/// use tealight::layer::Dropout2d;
/// use tealight::prelude::*;
/// let x = Tensor::ones((1, 8, 2, 2), DType::F32, &Device::Cpu)?;
/// let y = Dropout2d::new(0.5)?.forward(&x, &mut ForwardContext::train(Rng::seed(1)))?;
/// assert!(y.reshape((8, 4))?.to_vec2::<f32>()?.iter().all(|c| c == &[0.0; 4] || c == &[2.0; 4]));
/// # Ok::<(), tealight::Error>(())
/// ```
#[doc(alias = "SpatialDropout2D")]
#[derive(Clone, Copy, Debug)]
#[doc(alias = "Dropout1d")]
pub struct Dropout2d {
    p: f64,
}

impl Dropout2d {
    /// A layer with this p.
    ///
    /// # Errors
    /// Errors if `p` is outside [0, 1].
    pub fn new(p: f64) -> Result<Self> {
        Ok(Dropout2d { p: probability("dropout2d", p)? })
    }
}

impl Layer for Dropout2d {
    fn forward(&self, x: &Tensor, ctx: &mut ForwardContext) -> Result<Tensor> {
        let &[n, c, _, ..] = x.dims() else {
            return Err(Error::shape("dropout2d", "inputs of shape [n, c, h, w] or [n, c, l]", &[x.dims()]));
        };
        let mut dims = vec![1; x.rank()];
        dims[..2].copy_from_slice(&[n, c]);
        dropped("dropout2d", x, &dims, self.p, ctx)
    }

    crate::fields!();
}

pub(super) fn probability(op: &'static str, p: f64) -> Result<f64> {
    if (0.0..=1.0).contains(&p) { Ok(p) } else { Err(Error::argument(op, "p from 0 to 1", p)) }
}

/// x times a mask of the shape `dims` in training mode, else x.
pub(super) fn dropped(
    op: &'static str,
    x: &Tensor,
    dims: &[usize],
    p: f64,
    ctx: &mut ForwardContext,
) -> Result<Tensor> {
    if !x.dtype().is_float() {
        return Err(Error::dtype(op, "a float tensor (see to_dtype)", &[x.dtype()]));
    }
    // The mask of a tensor without elements could still be large.
    let Some(rng) = ctx.rng().filter(|_| p > 0.0 && x.elem_count() > 0) else { return Ok(x.clone()) };
    let kept = if p < 1.0 { 1.0 / (1.0 - p) } else { 0.0 };
    let (count, wide) = (count(dims), if on_cpu(x.array()) { x.dtype() } else { DType::F64 });
    let what = ("mask", || Primitive::Mask { p, kept });
    let mask = with_float!(wide, T => launch_random(what, &mut |out| rng.fill_uniform(out), dims, move |uniform| {
        kernel::from_uniform(count, uniform, |[u]| if u < p { 0.0 } else { kept as T })
    }));
    let mask = converted(&mask.to_device(x.device())?, x.dtype())?;
    x * &Tensor::from(mask)
}

#[cfg(test)]
mod tests {
    use super::{Dropout, Dropout2d};
    use crate::layer::gradcheck;
    use crate::prelude::*;

    #[test]
    fn gradients() -> Result<()> {
        let x = Tensor::randn_dtype(0.0, 1.0, (3, 4, 2), DType::F64, &mut Rng::seed(1))?;
        for ctx in [ForwardContext::eval(), ForwardContext::train(Rng::seed(2))] {
            gradcheck(&Sequential::new().push(Tanh).push(Dropout::new(0.3)?), &x, &ctx)?;
            gradcheck(&Sequential::new().push(Dropout2d::new(0.3)?).push(Tanh), &x, &ctx)?;
        }
        Ok(())
    }

    #[test]
    fn share_of_zeros() -> Result<()> {
        let train = || ForwardContext::train(Rng::seed(5));
        let x = Tensor::ones((100, 1000), DType::F32, &Device::Cpu)?;
        let y = Dropout::new(0.2)?.forward(&x, &mut train())?;
        let zeros = y.eq(&Tensor::zeros((), DType::F32, &Device::Cpu)?)?.to_dtype(DType::F64)?;
        assert!((zeros.mean_all()?.to_scalar::<f64>()? - 0.2).abs() < 0.005);
        assert!((y.mean_all()?.to_scalar::<f32>()? - 1.0).abs() < 0.005);
        assert_eq!(Dropout::new(1.0)?.forward(&x, &mut train())?.sum_all()?.to_scalar::<f32>()?, 0.0);
        assert_eq!(Dropout::new(0.0)?.forward(&x, &mut train())?, x);
        let empty = Tensor::zeros((0, 3, 2), DType::F16, &Device::Cpu)?;
        assert_eq!(Dropout2d::new(0.5)?.forward(&empty, &mut train())?.dims(), [0, 3, 2]);
        let empty = Tensor::zeros((1 << 30, 1 << 20, 0), DType::F32, &Device::Cpu)?;
        assert_eq!(Dropout2d::new(0.5)?.forward(&empty, &mut train())?.dims(), empty.dims());
        // Two passes draw two masks.
        let mut ctx = train();
        let first = Dropout::new(0.5)?.forward(&x, &mut ctx)?;
        assert_ne!(first, Dropout::new(0.5)?.forward(&x, &mut ctx)?);
        Ok(())
    }

    #[test]
    fn each_element_takes_the_next_uniform_number() -> Result<()> {
        for dtype in [DType::F32, DType::F64] {
            let (mut ctx, mut rng) = (ForwardContext::train(Rng::seed(6)), Rng::seed(6));
            for n in [1, 255, 256, 257, 1000] {
                let y = Dropout::new(0.25)?.forward(&Tensor::ones(n, dtype, &Device::Cpu)?, &mut ctx)?;
                let kept = 1.0 / 0.75;
                let kept = if dtype == DType::F32 { f64::from(kept as f32) } else { kept };
                let mask: Vec<f64> = (0..n).map(|_| if rng.uniform() < 0.25 { 0.0 } else { kept }).collect();
                assert_eq!(y.to_dtype(DType::F64)?.to_vec1::<f64>()?, mask, "{n} {dtype:?}");
            }
        }
        Ok(())
    }

    #[test]
    fn refusals() -> Result<()> {
        let error = Dropout::new(1.5).unwrap_err();
        assert_eq!(error.to_string(), "dropout: expected p from 0 to 1, got 1.5");
        assert!(Dropout2d::new(f64::NAN).is_err());
        let x = Tensor::zeros((2, 3), DType::F32, &Device::Cpu)?;
        let error = Dropout2d::new(0.5)?.predict(&x).unwrap_err();
        let message = "dropout2d: expected inputs of shape [n, c, h, w] or [n, c, l], got [2, 3]";
        assert_eq!(error.to_string(), message);
        assert!(matches!(Dropout::new(0.5)?.predict(&x.to_dtype(DType::U8)?), Err(Error::Dtype { .. })));
        Ok(())
    }
}
