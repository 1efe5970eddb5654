//! The layer that enlarges images.
//!
//! # Shapes
//! (n, c, h, w) or (c, h, w) to (n, c, h′, w′) or (c, h′, w′)
//!
//! # Formula
//! The nearest element, or what lies between four of them; see [`Tensor::upsample_nearest2d`] and
//! [`Tensor::upsample_bilinear2d`]
//!
//! # Errors
//! A rank that is no image's; results too large for memory.

use super::super::{Fields, ForwardContext, Layer};
use crate::autograd::Tensor;
use crate::error::{Error, Result};
use crate::ops::PerAxis;

#[derive(Clone, Copy, Debug)]
enum Size {
    To([usize; 2]),
    By([usize; 2]),
}

/// Images in another size, of their nearest elements or bilinear.
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
    /// To these sides, of the nearest elements.
    ///
    /// ```
    /// use tealight::layer::Upsample;
    /// use tealight::prelude::*;
    /// let x = Tensor::new(&[[[1.0, 2.0]]], &Device::Cpu)?;
    /// assert_eq!(Upsample::to([1, 4]).predict(&x)?.to_vec3::<f64>()?, [[[1.0, 1.0, 2.0, 2.0]]]);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    #[doc(alias = "size")]
    pub fn to(sides: [usize; 2]) -> Self {
        Upsample { size: Size::To(sides), bilinear: None }
    }

    /// To sides that are this many times as long, of the nearest elements.
    ///
    /// ```
    /// use tealight::layer::Upsample;
    /// use tealight::prelude::*;
    /// let x = Tensor::zeros((3, 4, 5), DType::F32, &Device::Cpu)?;
    /// assert_eq!(Upsample::by(2).predict(&x)?.dims(), [3, 8, 10]);
    /// assert_eq!(Upsample::by([1, 3]).predict(&x)?.dims(), [3, 4, 15]);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    #[doc(alias = "scale_factor")]
    pub fn by(factors: impl Into<PerAxis<2>>) -> Self {
        Upsample { size: Size::By(factors.into().0), bilinear: None }
    }

    /// The same layer, bilinear: `align_corners` says whether the middles of the corners stay in the corners, or their edges.
    ///
    /// ```
    /// use tealight::layer::Upsample;
    /// use tealight::prelude::*;
    /// let x = Tensor::new(&[[[1.0, 2.0]]], &Device::Cpu)?;
    /// let y = Upsample::to([1, 3]).bilinear(true).predict(&x)?;
    /// assert_eq!(y.to_vec3::<f64>()?, [[[1.0, 1.5, 2.0]]]);
    /// let y = Upsample::to([1, 4]).bilinear(false).predict(&x)?;
    /// assert_eq!(y.to_vec3::<f64>()?, [[[1.0, 1.25, 1.75, 2.0]]]);
    /// # Ok::<(), tealight::Error>(())
    /// ```
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

    fn fields<'a>(&'a self, _: &mut Fields<'a>) {}
}

#[cfg(test)]
mod tests {
    use super::Upsample;
    use crate::layer::gradcheck;
    use crate::prelude::*;

    #[test]
    fn gradients() -> Result<()> {
        let x = Tensor::randn(0.0, 1.0, (1, 2, 2, 3), &mut Rng::seed(1))?;
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
