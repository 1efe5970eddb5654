//! `logaddexp` and `xlogy`: a logarithm of a sum, and a product with a logarithm, without NaN at infinities and zeros.

use super::apply;
use super::pointwise::formula;
use crate::autograd::Tensor;
use crate::error::Result;
use crate::formula::Real;

formula!(blocks LogAddExp = "logaddexp", [a, b] => a.maximum(b) + (-apart(a, b).abs()).exp().ln_1p(), y => {
    // As those of logsumexp, the slopes are 0 where both are −∞.
    let [zero, lowest] = [0.0, f64::NEG_INFINITY].map(R::constant);
    let (d, larger) = (apart(a, b), a.maximum(b));
    [d, -d].map(|d| larger.select_gt(lowest, d.sigmoid(), zero * d))
});
formula!(blocks XLogY = "xlogy", [x, y] => {
    // 1 where x = 0, but NaN comes through.
    let one = R::constant(1.0);
    x * x.abs().select_gt(R::constant(0.0), y, y.maximum(one).minimum(one)).ln()
}, _y => {
    let [zero, one, infinity] = [0.0, 1.0, f64::INFINITY].map(R::constant);
    let logarithm = x.abs().select_gt(zero, y, y.select_gt(zero, y, one.select_gt(y, one, y))).ln();
    [logarithm, x / y.abs().select_gt(zero, y, x.abs().select_gt(zero, y, infinity))]
});

/// a − b; 0 for two equal infinities.
#[inline(always)]
fn apart<R: Real>(a: R, b: R) -> R {
    let (d, larger) = (a - b, a.maximum(b));
    // 0, or NaN if there is one.
    let tie = R::constant(0.0) * larger.signum();
    let infinite = a.select_gt(b, d, b.select_gt(a, d, tie));
    R::constant(f64::INFINITY).select_gt(larger.abs(), d, infinite)
}

impl Tensor {
    /// ln(eᵃ + eᵇ), without overflow. Gradient: sigmoid(a − b) and sigmoid(b − a); ½ each where both are +∞, 0 where both are −∞.
    ///
    /// Over an axis it is [`logsumexp`](Tensor::logsumexp).
    ///
    /// ```
    /// # use tealight::prelude::*;
    /// let (a, b) = (Tensor::new(&[1000.0, 0.0], &Device::Cpu)?, Tensor::new(&[1000.0, -1000.0], &Device::Cpu)?);
    /// assert_eq!(a.logaddexp(&b)?.to_vec1::<f64>()?, [1000.0 + 2_f64.ln(), 0.0]);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn logaddexp(&self, other: &Tensor) -> Result<Tensor> {
        apply(LogAddExp, [self, other])
    }

    /// x·ln y; 0 where x = 0, also where ln y is infinite or NaN (but not where y is NaN). Gradient: ln y and x/y; 0 where x = 0
    /// and y ≤ 0.
    ///
    /// ```
    /// # use tealight::prelude::*;
    /// let p = Tensor::new(&[0.0, 0.5, 0.5], &Device::Cpu)?;
    /// let entropy = p.xlogy(&p)?.sum_all()?.neg()?;
    /// assert_eq!(entropy.to_scalar::<f64>()?, 2_f64.ln());
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn xlogy(&self, y: &Tensor) -> Result<Tensor> {
        apply(XLogY, [self, y])
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{check2, tensor};
    use crate::prelude::*;

    #[test]
    fn gradients() {
        check2(|a, b| a.logaddexp(b));
        check2(|a, b| (a - 1.5)?.xlogy(b));
    }

    #[test]
    fn nan_comes_through() -> Result<()> {
        let (nan, zero) = (tensor(&[f64::NAN]), tensor(&[0.0]));
        for y in [nan.logaddexp(&zero)?, zero.logaddexp(&nan)?, zero.xlogy(&nan)?, nan.xlogy(&zero)?] {
            assert!(y.to_vec1::<f64>()?[0].is_nan());
        }
        Ok(())
    }
}
