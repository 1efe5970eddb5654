//! The hinge.
//!
//! # Formula
//! max(0, 1 − t·p) for targets t that are −1 or 1
//!
//! # Gradient
//! −t and −p where t·p < 1, else 0
//!
//! # Kinks
//! 0 where t·p = 1.
//!
//! # Errors
//! Shapes or dtypes that differ; targets that are neither −1 nor 1.

use super::{PointwiseLoss, check};
use crate::autograd::Tensor;
use crate::error::Result;
use crate::formula::Real;

/// max(0, 1 − t·p): what a support vector machine makes small. The targets are −1 and 1.
///
/// # Formula
/// max(0, 1 − t·p) for targets t that are −1 or 1
///
/// # Gradient
/// −t and −p where t·p < 1, else 0
///
/// # Kinks
/// 0 where t·p = 1.
///
/// # Errors
/// Shapes or dtypes that differ; targets that are neither −1 nor 1.
///
/// ```
/// use tealight::loss::Hinge;
/// use tealight::prelude::*;
/// let (p, t) = (Tensor::new(&[0.5, 3.0, 1.0], &Device::Cpu)?, Tensor::new(&[1.0, 1.0, -1.0], &Device::Cpu)?);
/// assert_eq!(Sum(Hinge).loss(&p, &t)?.to_scalar::<f64>()?, 2.5);
/// # Ok::<(), tealight::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Hinge;

impl PointwiseLoss for Hinge {
    const NAME: &'static str = "hinge";

    fn value<R: Real>(&self, prediction: R, target: R) -> R {
        // Not max: NaN must come through, and the slope at the kink is 0.
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
    use super::super::{ElementwiseLoss, Sum};
    use super::Hinge;
    use crate::ops::testing::{grad_at, tensor};
    use crate::prelude::*;

    #[test]
    fn gradients() -> Result<()> {
        let t = tensor(&[1.0, -1.0, 1.0, -1.0]);
        let p = tensor(&[0.3, -0.5, 2.0, 1e4]);
        autograd::gradcheck(|x| Sum(Hinge).loss(&x[0], &t)?.sqr(), &[p])?;
        assert_eq!(grad_at(1.0, |x| Hinge.each(x, &tensor(&[1.0])))?, 0.0);
        assert!(Hinge.each(&tensor(&[f64::NAN]), &tensor(&[1.0]))?.to_vec1::<f64>()?[0].is_nan());
        let error = Hinge.each(&tensor(&[1.0, 2.0]), &tensor(&[1.0, 0.0])).unwrap_err().to_string();
        assert_eq!(error, "hinge: expected targets that are -1 or 1, got 0 at [1]");
        Ok(())
    }
}
