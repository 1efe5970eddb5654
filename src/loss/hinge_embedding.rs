//! [`HingeEmbedding`], for distances of similar and of dissimilar pairs.

use super::{PointwiseLoss, check};
use crate::autograd::Tensor;
use crate::error::{Error, Result};
use crate::formula::Real;

/// The hinge loss of distances: the mean of p where the target is 1, and of max(0, margin − p) where it is −1. The
/// gradient is 0 at the kink. Errors if a target is neither −1 nor 1.
///
/// ```
/// use tealight::loss::HingeEmbedding;
/// use tealight::prelude::*;
/// let (p, t) = (Tensor::new(&[0.5, 0.25, 7.0], &Device::Cpu)?, Tensor::new(&[1.0, -1.0, -1.0], &Device::Cpu)?);
/// assert_eq!(HingeEmbedding::new().elementwise(&p, &t)?.to_vec1::<f64>()?, [0.5, 0.75, 0.0]);
/// # Ok::<(), tealight::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
#[doc(alias = "HingeEmbeddingLoss")]
pub struct HingeEmbedding {
    margin: f64,
}

impl Default for HingeEmbedding {
    fn default() -> Self {
        HingeEmbedding { margin: 1.0 }
    }
}

impl HingeEmbedding {
    /// With a margin of 1.
    pub fn new() -> Self {
        HingeEmbedding::default()
    }

    /// The distance from which dissimilar pairs have no loss. Default: 1. Errors if `margin` is NaN.
    pub fn margin(self, margin: f64) -> Result<Self> {
        if margin.is_nan() {
            return Err(Error::argument("hinge_embedding", "a margin that is not NaN", margin));
        }
        Ok(HingeEmbedding { margin })
    }
}

impl PointwiseLoss for HingeEmbedding {
    const NAME: &'static str = "hinge_embedding";

    fn value<R: Real>(&self, prediction: R, target: R) -> R {
        let (zero, short) = (R::constant(0.0), R::constant(self.margin) - prediction);
        // Not `max`: NaN must come through.
        target.select_gt(zero, prediction, zero.select_gt(short, zero, short))
    }

    fn derivative<R: Real>(&self, prediction: R, target: R) -> [R; 2] {
        let (zero, one) = (R::constant(0.0), R::constant(1.0));
        let apart = R::constant(self.margin).select_gt(prediction, -one, zero);
        [target.select_gt(zero, one, apart), zero]
    }

    fn check(&self, _: &Tensor, target: &Tensor) -> Result<()> {
        check::signs("hinge_embedding", "targets", target)
    }
}

#[cfg(test)]
mod tests {
    use super::HingeEmbedding;
    use crate::ops::testing::{grad_at, tensor};
    use crate::prelude::*;

    #[test]
    fn gradients() -> Result<()> {
        let (p, t) = (tensor(&[0.3, -0.5, 2.0, 0.6]), tensor(&[1.0, -1.0, -1.0, -1.0]));
        let loss = HingeEmbedding::new().margin(0.7)?;
        autograd::gradcheck(|x| loss.loss(&x[0], &t)?.sqr(), &[p])?;
        assert_eq!(grad_at(0.7, |x| loss.elementwise(x, &tensor(&[-1.0])))?, 0.0);
        let nan = loss.elementwise(&tensor(&[f64::NAN; 2]), &tensor(&[1.0, -1.0]))?.to_vec1::<f64>()?;
        assert!(nan.iter().all(|x| x.is_nan()) && loss.margin(f64::NAN).is_err());
        assert!(loss.elementwise(&tensor(&[1.0]), &tensor(&[0.0])).is_err());
        Ok(())
    }
}
