//! The layer that enlarges images.

use super::super::{ForwardContext, Layer};
use crate::autograd::Tensor;
use crate::error::{Error, Result};
use crate::ops::PerSpatialDim;

#[derive(Clone, Copy, Debug)]
enum Size {
    To([usize; 2]),
    By([usize; 2]),
}

/// Resizes images, by the nearest element or bilinear; see [`Tensor::upsample_nearest2d`] and
/// [`Tensor::upsample_bilinear2d`].
///
/// # Shapes
/// (n, c, h, w) or (c, h, w) to (n, c, h′, w′) or (c, h′, w′)
///
/// ```
/// use tealight::layer::Upsample;
/// use tealight::prelude::*;
/// let x = Tensor::zeros((10, 3, 4, 5), DType::F32, &Device::Cpu)?;
/// assert_eq!(Upsample::by(2).predict(&x)?.dims(), [10, 3, 8, 10]);
/// assert_eq!(Upsample::to([7, 9]).bilinear(true).predict(&x)?.dims(), [10, 3, 7, 9]);
/// # Ok::<(), tealight::Error>(())
/// ```
#[doc(alias = "UpSampling2D")]
#[derive(Clone, Copy, Debug)]
pub struct Upsample {
    size: Size,
    bilinear: Option<bool>,
}

impl Upsample {
    /// To height and width `size`, by the nearest element.
    #[doc(alias = "size")]
    pub fn to(size: [usize; 2]) -> Self {
        Upsample { size: Size::To(size), bilinear: None }
    }

    /// To height and width times `factors`, one for both or one for each, by the nearest element.
    #[doc(alias = "scale_factor")]
    pub fn by(factors: impl Into<PerSpatialDim<2>>) -> Self {
        Upsample { size: Size::By(factors.into().0), bilinear: None }
    }

    /// Interpolates between four elements. With `align_corners` the centers of the corner pixels stay in the corners, else their
    /// outer edges do.
    #[must_use]
    pub fn bilinear(self, align_corners: bool) -> Self {
        Upsample { bilinear: Some(align_corners), ..self }
    }
}

impl Layer for Upsample {
    fn forward(&self, x: &Tensor, _: &mut ForwardContext) -> Result<Tensor> {
        let sides = match (self.size, x.dims()) {
            (Size::To(sides), _) => sides,
            (Size::By([high, wide]), [.., h, w]) => [h.saturating_mul(high), w.saturating_mul(wide)],
            (_, dims) => return Err(Error::shape("upsample", "images [n, c, h, w] or [c, h, w]", &[dims])),
        };
        match self.bilinear {
            Some(align_corners) => x.upsample_bilinear2d(sides, align_corners),
            None => x.upsample_nearest2d(sides),
        }
    }

    crate::fields!();
}

#[cfg(test)]
mod tests {
    use super::Upsample;
    use crate::layer::gradcheck;
    use crate::prelude::*;

    #[test]
    fn gradients() -> Result<()> {
        let x = Tensor::randn_dtype(0.0, 1.0, (1, 2, 2, 3), DType::F64, &mut Rng::seed(1))?;
        for layer in
            [Upsample::by(2), Upsample::to([3, 2]).bilinear(false), Upsample::by([2, 1]).bilinear(true)]
        {
            gradcheck(&Sequential::new().push(layer).push(Tanh), &x, &ForwardContext::train(Rng::seed(1)))?;
        }
        Ok(())
    }

    #[test]
    fn refusals() -> Result<()> {
        let x = Tensor::zeros((3, 2, 2), DType::F32, &Device::Cpu)?;
        assert_eq!(Upsample::by([1, 3]).predict(&x)?.dims(), [3, 2, 6]);
        assert!(Upsample::by(usize::MAX).predict(&x).is_err());
        let error = Upsample::by(2).predict(&x.i((0, 0))?).unwrap_err();
        assert_eq!(error.to_string(), "upsample: expected images [n, c, h, w] or [c, h, w], got [2]");
        Ok(())
    }
}
