//! The larger and the smaller of two, absolute value, sign, and clamping.
//!
//! # Formula
//! max(a, b), min(a, b), |x|, sign x, min(max(x, low), high)
//!
//! # Gradient
//! 1 for the one that is taken and 0 for the other; sign x; 0; 1 inside the bounds and 0 outside
//!
//! # Kinks
//! In a tie of max or min each side gets half. |x|′(0) = 0. The sign is flat everywhere: nothing flows back. At a bound of clamp the slope is 1.
//! NaN in, NaN out.
//!
//! # Errors
//! A dtype that is no float; for `maximum` and `minimum`, shapes that do not broadcast.

use super::apply;
use super::operand::{Operand, TensorOrScalar};
use super::pointwise::formula;
use crate::autograd::Tensor;
use crate::error::{Error, Result};
use crate::formula::{Formula, Real};

formula!(blocks Abs = "abs", [x] => x.abs(), y => [x.signum()]);
formula!(blocks Sign = "sign", [x] => x.signum(), y => [R::constant(0.0)]);

/// The larger of two; the dual numbers know how ties share.
#[derive(Clone, Copy, Debug)]
struct Maximum;

impl Formula<2> for Maximum {
    const NAME: &'static str = "maximum";
    fn value<R: Real>(&self, [a, b]: [R; 2]) -> R {
        a.max(b)
    }
}

#[derive(Clone, Copy, Debug)]
struct Minimum;

impl Formula<2> for Minimum {
    const NAME: &'static str = "minimum";
    fn value<R: Real>(&self, [a, b]: [R; 2]) -> R {
        a.min(b)
    }
}

formula!(blocks MaximumNumber(c: f64) = "maximum", [x] => x.max(R::constant(c)), y => [above(x, R::constant(c))]);
formula!(blocks MinimumNumber(c: f64) = "minimum", [x] => x.min(R::constant(c)), y => [above(R::constant(c), x)]);

/// 1 where a > b, ½ in a tie, else 0.
fn above<R: Real>(a: R, b: R) -> R {
    let [zero, half, one] = [0.0, 0.5, 1.0].map(R::constant);
    a.select_gt(b, one, b.select_gt(a, zero, half))
}

#[derive(Clone, Copy, Debug)]
struct Clamp {
    low: f64,
    high: f64,
}

impl Formula<1> for Clamp {
    const NAME: &'static str = "clamp";
    fn value<R: Real>(&self, [x]: [R; 1]) -> R {
        x.max(R::constant(self.low)).min(R::constant(self.high))
    }
    fn derivative<R: Real>(&self, [x]: [R; 1], _: R) -> [R; 1] {
        let (zero, one) = (R::constant(0.0), R::constant(1.0));
        let below = R::constant(self.low).select_gt(x, zero, one);
        [x.select_gt(R::constant(self.high), zero, below)]
    }
}

impl Tensor {
    /// The larger of two, element by element, the other a tensor or a number; NaN if either is.
    ///
    /// # Shapes
    /// Any two that broadcast together.
    ///
    /// # Gradient
    /// g for the one that is taken, 0 for the other.
    ///
    /// # Kinks
    /// In a tie each side gets half of the gradient.
    ///
    /// # Errors
    /// Shapes that do not broadcast; dtypes or devices that differ.
    ///
    /// ```
    /// use tealight::prelude::*;
    /// let x = Tensor::new(&[-1.0, 2.0], &Device::Cpu)?;
    /// assert_eq!(x.maximum(0.5)?.to_vec1::<f64>()?, [0.5, 2.0]);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    #[doc(alias = "fmax")]
    pub fn maximum(&self, other: impl Operand) -> Result<Tensor> {
        match other.side() {
            TensorOrScalar::Tensor(other) => apply(Maximum, [self, other]),
            TensorOrScalar::Number(c) => apply(MaximumNumber(c), [self]),
        }
    }

    /// The smaller of two, element by element, the other a tensor or a number; NaN if either is.
    ///
    /// # Shapes
    /// Any two that broadcast together.
    ///
    /// # Gradient
    /// g for the one that is taken, 0 for the other.
    ///
    /// # Kinks
    /// In a tie each side gets half of the gradient.
    ///
    /// # Errors
    /// Shapes that do not broadcast; dtypes or devices that differ.
    ///
    /// ```
    /// use tealight::prelude::*;
    /// let x = Tensor::new(&[-1.0, 2.0], &Device::Cpu)?;
    /// assert_eq!(x.minimum(0.5)?.to_vec1::<f64>()?, [-1.0, 0.5]);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    #[doc(alias = "fmin")]
    pub fn minimum(&self, other: impl Operand) -> Result<Tensor> {
        match other.side() {
            TensorOrScalar::Tensor(other) => apply(Minimum, [self, other]),
            TensorOrScalar::Number(c) => apply(MinimumNumber(c), [self]),
        }
    }

    /// |x|
    ///
    /// # Gradient
    /// The sign of x
    ///
    /// # Kinks
    /// The slope at 0 is 0.
    ///
    /// # Errors
    /// A dtype that is no float.
    ///
    /// ```
    /// use tealight::prelude::*;
    /// let x = Tensor::parameter(Tensor::new(&[-3.0, 0.0, 2.0], &Device::Cpu)?.into_array());
    /// let gradients = x.abs()?.sum_all()?.backward()?;
    /// assert_eq!(gradients.get(&x).unwrap().to_vec1::<f64>()?, [-1.0, 0.0, 1.0]);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    #[doc(alias = "absolute")]
    #[doc(alias = "fabs")]
    pub fn abs(&self) -> Result<Tensor> {
        apply(Abs, [self])
    }

    /// −1, 0 or 1, as the element is below, at or above 0; NaN stays NaN.
    ///
    /// # Gradient
    /// 0
    ///
    /// # Errors
    /// A dtype that is no float.
    ///
    /// ```
    /// use tealight::prelude::*;
    /// let x = Tensor::new(&[-3.0, 0.0, 0.1], &Device::Cpu)?;
    /// assert_eq!(x.sign()?.to_vec1::<f64>()?, [-1.0, 0.0, 1.0]);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn sign(&self) -> Result<Tensor> {
        apply(Sign, [self])
    }

    /// Every element, but none below `low` or above `high`.
    ///
    /// # Gradient
    /// g inside the bounds, 0 outside.
    ///
    /// # Kinks
    /// At a bound the slope is 1.
    ///
    /// # Errors
    /// A dtype that is no float; bounds that are NaN or the wrong way round.
    ///
    /// ```
    /// use tealight::prelude::*;
    /// let x = Tensor::new(&[-5.0, 0.5, 5.0], &Device::Cpu)?;
    /// assert_eq!(x.clamp(-1.0, 1.0)?.to_vec1::<f64>()?, [-1.0, 0.5, 1.0]);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    #[doc(alias = "clip")]
    #[doc(alias = "clamp_min")]
    #[doc(alias = "clamp_max")]
    pub fn clamp(&self, low: f64, high: f64) -> Result<Tensor> {
        if low <= high {
            return apply(Clamp { low, high }, [self]);
        }
        Err(Error::argument("clamp", "low <= high", format!("low = {low} and high = {high}")))
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{check, check2, grad_at, tensor};
    use crate::prelude::*;

    #[test]
    fn gradients() {
        check2(|a, b| a.sqr()?.maximum(b));
        check2(|a, b| a.sqr()?.minimum(b));
        check(&[-2.0, 0.5, 3.0], |x| x.sqr()?.maximum(0.7));
        check(&[-2.0, 0.5, 3.0], |x| x.sqr()?.minimum(0.7));
        check(&[-2.0, 0.5, 3.0], |x| x * x.sign()?);
        check(&[-2.0, 0.5, 3.0], |x| x.abs());
        check(&[-2.0, 0.5, 3.0], |x| x.sqr()?.clamp(0.1, 3.5));
    }

    #[test]
    fn kinks() -> Result<()> {
        assert_eq!(grad_at(0.0, |x| x.abs())?, 0.0);
        assert_eq!(grad_at(1.0, |x| x.clamp(-1.0, 1.0))?, 1.0);
        assert_eq!(grad_at(1.1, |x| x.clamp(-1.0, 1.0))?, 0.0);
        assert_eq!(grad_at(2.0, |x| x.maximum(tensor(&[2.0])))?, 0.5);
        assert_eq!(grad_at(2.0, |x| x.minimum(x))?, 1.0);
        for x in [1.0, 2.0, 3.0] {
            let two = tensor(&[2.0]);
            assert_eq!(grad_at(x, |x| x.maximum(2.0))?, grad_at(x, |x| x.maximum(&two))?);
            assert_eq!(grad_at(x, |x| x.minimum(2.0))?, grad_at(x, |x| x.minimum(&two))?);
        }
        assert_eq!(grad_at(3.0, |x| x.sign())?, 0.0);
        let nan = tensor(&[f64::NAN]);
        assert!(nan.maximum(tensor(&[1.0]))?.to_vec1::<f64>()?[0].is_nan());
        assert!(nan.minimum(1.0)?.to_vec1::<f64>()?[0].is_nan());
        assert!(tensor(&[1.0]).maximum(f64::NAN)?.to_vec1::<f64>()?[0].is_nan());
        assert!(nan.sign()?.to_vec1::<f64>()?[0].is_nan());
        assert!(nan.clamp(0.0, 1.0)?.to_vec1::<f64>()?[0].is_nan());
        assert!(matches!(nan.clamp(1.0, 0.0), Err(Error::Argument { .. })));
        Ok(())
    }
}
