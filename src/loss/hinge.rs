//! [`Hinge`], the loss of support vector machines.

use super::{PointwiseLoss, check};
use crate::autograd::Tensor;
use crate::error::Result;
use crate::formula::Real;

/// The hinge loss of support vector machines: the mean of max(0, 1 − t·p) for targets t of −1 or 1. The gradient is 0 where
/// t·p = 1. Errors if a target is neither −1 nor 1.
///
/// ```
/// use tealight::loss::Hinge;
/// use tealight::prelude::*;
/// let (p, t) = (Tensor::new(&[0.5, 3.0, 1.0], &Device::Cpu)?, Tensor::new(&[1.0, 1.0, -1.0], &Device::Cpu)?);
/// assert_eq!(Hinge.elementwise(&p, &t)?.to_vec1::<f64>()?, [0.5, 0.0, 2.0]);
/// # Ok::<(), tealight::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Hinge;

impl PointwiseLoss for Hinge {
    const NAME: &'static str = "hinge";

    fn value<R: Real>(&self, prediction: R, target: R) -> R {
        // Not `max`: NaN must come through, and the slope at the kink is 0.
        let (zero, short) = (R::constant(0.0), R::constant(1.0) - target * prediction);
        zero.select_gt(short, zero, short)
    }

    fn derivative<R: Real>(&self, prediction: R, target: R) -> [R; 2] {
        let zero = R::constant(0.0);
        let short = R::constant(1.0) - target * prediction;
        [short.select_gt(zero, -target, zero), short.select_gt(zero, -prediction, zero)]
    }

    fn check(&self, _: &Tensor, target: &Tensor) -> Result<()> {
        check::signs("hinge", "targets", target)
    }
}

#[cfg(test)]
mod tests {
    use super::Hinge;
    use crate::ops::testing::{grad_at, tensor};
    use crate::prelude::*;

    #[test]
    fn gradients() -> Result<()> {
        let t = tensor(&[1.0, -1.0, 1.0, -1.0]);
        let p = tensor(&[0.3, -0.5, 2.0, 1e4]);
        autograd::gradcheck(|x| Hinge.reduction(Reduction::Sum).loss(&x[0], &t)?.sqr(), &[p])?;
        assert_eq!(grad_at(1.0, |x| Hinge.elementwise(x, &tensor(&[1.0])))?, 0.0);
        assert!(Hinge.elementwise(&tensor(&[f64::NAN]), &tensor(&[1.0]))?.to_vec1::<f64>()?[0].is_nan());
        let error = Hinge.elementwise(&tensor(&[1.0, 2.0]), &tensor(&[1.0, 0.0])).unwrap_err().to_string();
        assert_eq!(error, "hinge: expected targets that are -1 or 1, got 0 at [1]");
        Ok(())
    }
}
