//! Elementwise maximum and minimum, absolute value, sign and clamping. NaN in, NaN out.

use super::apply;
use super::operand::{Operand, TensorOrScalar};
use super::pointwise::formula;
use crate::autograd::Tensor;
use crate::error::{Error, Result};
use crate::formula::Real;

formula!(blocks Abs = "abs", elementary abs);
formula!(blocks Sign = "sign", elementary signum);
formula!(blocks Maximum = "maximum", [a, b] => a.maximum(b), y => [above(a, b), above(b, a)]);
formula!(blocks Minimum = "minimum", [a, b] => a.minimum(b), y => [above(b, a), above(a, b)]);
formula!(blocks MaximumScalar(c: f64) = "maximum", [x] => x.maximum(R::constant(c)), y => [beyond(x, R::constant(c))]);
formula!(blocks MinimumScalar(c: f64) = "minimum", [x] => x.minimum(R::constant(c)), y => [beyond(R::constant(c), x)]);

/// 1 where a > b, ½ in a tie, else 0.
#[inline(always)]
fn above<R: Real>(a: R, b: R) -> R {
    let [zero, half, one] = [0.0, 0.5, 1.0].map(R::constant);
    a.select_gt(b, one, b.select_gt(a, zero, half))
}

formula!(blocks Fmax = "fmax", [a, b] => of_numbers(a, b, a, b), y => taken(a, b));
formula!(blocks Fmin = "fmin", [a, b] => of_numbers(-a, -b, a, b), y => taken(-a, -b));

/// `yes` where a ≥ b or b is NaN, else `no`; `no` where a is NaN.
#[inline(always)]
fn of_numbers<R: Real>(a: R, b: R, yes: R, no: R) -> R {
    unless_nan(a, b.select_gt(a, no, yes), no)
}

#[inline(always)]
fn unless_nan<R: Real>(x: R, yes: R, no: R) -> R {
    let infinity = R::constant(f64::INFINITY);
    x.select_gt(-infinity, yes, infinity.select_gt(x, yes, no))
}

/// The slopes of the larger of two numbers, half each in a tie.
#[inline(always)]
fn taken<R: Real>(a: R, b: R) -> [R; 2] {
    let [zero, half, one] = [0.0, 0.5, 1.0].map(R::constant);
    let by =
        |a: R, b: R| b.select_gt(a, zero, a.select_gt(b, one, unless_nan(a, unless_nan(b, half, one), zero)));
    [by(a, b), by(b, a)]
}

/// 1 where a > b, else 0: in a tie with a number the number is taken.
#[inline(always)]
fn beyond<R: Real>(a: R, b: R) -> R {
    a.select_gt(b, R::constant(1.0), R::constant(0.0))
}

formula!(blocks Clamp(bounds: [f64; 2]) = "clamp",
[x] => x.maximum(R::constant(bounds[0])).minimum(R::constant(bounds[1])),
y => {
    let [low, high, zero] = [bounds[0], bounds[1], 0.0].map(R::constant);
    [x.select_gt(low, beyond(high, x), zero)]
});

impl Tensor {
    /// The larger of self and `other`, a tensor or a scalar, element by element.
    ///
    /// Gradient: 1 for the one that is taken, 0 for the other; in a tie ½ for each of two tensors, and 0 with a scalar.
    ///
    /// ```
    /// # use tealight::prelude::*;
    /// let x = Tensor::new(&[-1.0, 2.0], &Device::Cpu)?;
    /// assert_eq!(x.maximum(0.5)?.to_vec1::<f64>()?, [0.5, 2.0]);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    #[doc(alias = "clamp_min")]
    pub fn maximum(&self, other: impl Operand) -> Result<Tensor> {
        match other.get() {
            TensorOrScalar::Tensor(other) => apply(Maximum, [self, other]),
            TensorOrScalar::Scalar(c) => apply(MaximumScalar(c), [self]),
        }
    }

    /// The smaller of self and `other`, a tensor or a scalar, element by element.
    ///
    /// Gradient: 1 for the one that is taken, 0 for the other; in a tie ½ for each of two tensors, and 0 with a scalar.
    #[doc(alias = "clamp_max")]
    pub fn minimum(&self, other: impl Operand) -> Result<Tensor> {
        match other.get() {
            TensorOrScalar::Tensor(other) => apply(Minimum, [self, other]),
            TensorOrScalar::Scalar(c) => apply(MinimumScalar(c), [self]),
        }
    }

    /// The larger of self and `other`, element by element, or the one that is a number if the other is NaN.
    /// ([`maximum`](Tensor::maximum) is NaN there.)
    ///
    /// Gradient: 1 for the one that is taken, 0 for the other, ½ for each in a tie.
    ///
    /// ```
    /// # use tealight::prelude::*;
    /// let (a, b) = (Tensor::new(&[1.0, f64::NAN], &Device::Cpu)?, Tensor::new(&[2.0, 0.0], &Device::Cpu)?);
    /// assert_eq!(a.fmax(&b)?.to_vec1::<f64>()?, [2.0, 0.0]);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn fmax(&self, other: &Tensor) -> Result<Tensor> {
        apply(Fmax, [self, other])
    }

    /// The smaller of self and `other`, element by element, or the one that is a number if the other is NaN.
    ///
    /// Gradient: 1 for the one that is taken, 0 for the other, ½ for each in a tie.
    pub fn fmin(&self, other: &Tensor) -> Result<Tensor> {
        apply(Fmin, [self, other])
    }

    /// |x|. Gradient: the sign of x, 0 at 0.
    #[doc(alias = "absolute")]
    #[doc(alias = "fabs")]
    pub fn abs(&self) -> Result<Tensor> {
        apply(Abs, [self])
    }

    /// The sign of x: −1, 0 or 1. Gradient: 0.
    pub fn sign(&self) -> Result<Tensor> {
        apply(Sign, [self])
    }

    /// x limited to [`low`, `high`]. Gradient: 1 inside, 0 outside and at the bounds.
    ///
    /// # Errors
    /// Errors unless `low` ≤ `high`.
    ///
    /// ```
    /// # use tealight::prelude::*;
    /// let x = Tensor::new(&[-5.0, 0.5, 5.0], &Device::Cpu)?;
    /// assert_eq!(x.clamp(-1.0, 1.0)?.to_vec1::<f64>()?, [-1.0, 0.5, 1.0]);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    #[doc(alias = "clip")]
    pub fn clamp(&self, low: f64, high: f64) -> Result<Tensor> {
        if low <= high {
            return apply(Clamp([low, high]), [self]);
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
        check2(|a, b| a.sqr()?.fmax(b));
        check2(|a, b| a.sqr()?.fmin(b));
        check(&[-2.0, 0.5, 3.0], |x| x.sqr()?.maximum(0.7));
        check(&[-2.0, 0.5, 3.0], |x| x.sqr()?.minimum(0.7));
        check(&[-2.0, 0.5, 3.0], |x| x * x.sign()?);
        check(&[-2.0, 0.5, 3.0], |x| x.abs());
        check(&[-2.0, 0.5, 3.0], |x| x.sqr()?.clamp(0.1, 3.5));
    }

    #[test]
    fn kinks() -> Result<()> {
        assert_eq!(grad_at(0.0, |x| x.abs())?, 0.0);
        assert_eq!(grad_at(1.0, |x| x.clamp(-1.0, 1.0))?, 0.0);
        assert_eq!(grad_at(-1.0, |x| x.clamp(-1.0, 1.0))?, 0.0);
        assert_eq!(grad_at(1.1, |x| x.clamp(-1.0, 1.0))?, 0.0);
        assert_eq!(grad_at(2.0, |x| x.maximum(tensor(&[2.0])))?, 0.5);
        assert_eq!(grad_at(2.0, |x| x.minimum(x))?, 1.0);
        assert_eq!(grad_at(2.0, |x| x.maximum(2.0))?, 0.0);
        assert_eq!(grad_at(2.0, |x| x.minimum(2.0))?, 0.0);
        for x in [1.0, 3.0] {
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
