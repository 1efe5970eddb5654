//! The remainder of a division.

use super::apply;
use super::operand::{Operand, TensorOrScalar};
use super::pointwise::formula;
use crate::autograd::Tensor;
use crate::error::Result;
use crate::formula::{Formula, Real};

#[derive(Clone, Copy, Debug)]
struct Remainder;

impl Formula<2> for Remainder {
    const NAME: &'static str = "remainder";
    fn value<R: Real>(&self, [a, b]: [R; 2]) -> R {
        a.remainder(b)
    }
}

formula!(blocks Fmod = "fmod", [a, b] => {
    let (zero, left) = (R::constant(0.0), a.abs().remainder(b.abs()));
    zero.select_gt(a, -left, left)
}, y => [R::constant(1.0), -((a - y) / b).round_ties_even()]);
formula!(blocks RemainderScalar(c: f64) = "remainder", [x] => x.remainder(R::constant(c)), y => [R::constant(1.0)]);

impl Tensor {
    /// The remainder a − b·⌊a/b⌋, where b is a tensor or a scalar, without rounding error; it has the sign of `divisor`.
    ///
    /// NaN where the divisor is 0 or this tensor infinite. Gradient: 1 for a and −⌊a/b⌋ for b.
    ///
    /// ```
    /// # use tealight::prelude::*;
    /// let x = Tensor::new(&[-1.0, 5.5], &Device::Cpu)?;
    /// assert_eq!(x.remainder(3.0)?.to_vec1::<f64>()?, [2.0, 2.5]);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    #[doc(alias = "mod")]
    pub fn remainder(&self, divisor: impl Operand) -> Result<Tensor> {
        match divisor.get() {
            TensorOrScalar::Tensor(divisor) => apply(Remainder, [self, divisor]),
            TensorOrScalar::Scalar(c) => apply(RemainderScalar(c), [self]),
        }
    }

    /// The remainder a − b·trunc(a/b), where b is a tensor or a scalar, without rounding error; it has the sign of this tensor, as C's
    /// `fmod` and Rust's `%`. ([`remainder`](Tensor::remainder) has the divisor's.)
    ///
    /// NaN where the divisor is 0 or this tensor infinite. Gradient: 1 for a and −trunc(a/b) for b.
    ///
    /// ```
    /// # use tealight::prelude::*;
    /// let x = Tensor::new(&[-1.0, 5.5], &Device::Cpu)?;
    /// assert_eq!(x.fmod(3.0)?.to_vec1::<f64>()?, [-1.0, 2.5]);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn fmod(&self, divisor: impl Operand) -> Result<Tensor> {
        match divisor.get() {
            TensorOrScalar::Tensor(divisor) => apply(Fmod, [self, divisor]),
            TensorOrScalar::Scalar(c) => apply(Fmod, [self, &self.scalar_like(c)?]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{check, check2, grad_at, tensor};
    use crate::prelude::*;

    #[test]
    fn gradients() {
        check2(|a, b| (a * 3.1)?.remainder(b));
        check2(|a, b| (a * -3.1)?.fmod(b));
        check2(|a, b| (a * b)?.fmod(0.7));
        check(&[-1.7, 0.2, 2.6], |x| x.remainder(-0.9));
    }

    #[test]
    fn numpy_remainders() -> Result<()> {
        let (a, b) = (tensor(&[5.5, -5.5, 5.5, -5.5, 1e300, -1.0, 1.0]), [2.0, 2.0, -2.0, -2.0, 7.0]);
        let b = tensor(&[&b[..], &[f64::INFINITY, f64::INFINITY]].concat());
        let expected = [1.5, 0.5, -0.5, -1.5, 1.0, f64::INFINITY, 1.0];
        assert_eq!(a.remainder(&b)?.to_vec1::<f64>()?, expected);
        assert_eq!(a.remainder(b)?.to_vec1::<f64>()?, expected);
        assert_eq!(tensor(&[7.5, -7.5]).to_dtype(DType::F32)?.remainder(2.0)?.to_vec1::<f32>()?, [1.5, 0.5]);
        for (a, b) in [(1.0, 0.0), (f64::NEG_INFINITY, 2.0), (f64::NAN, 1.0), (1.0, f64::NAN)] {
            assert!(tensor(&[a]).remainder(b)?.to_vec1::<f64>()?[0].is_nan(), "{a} remainder {b}");
        }
        // 6/0.1 rounds to 60.
        assert_eq!(grad_at(0.1, |b| tensor(&[6.0]).remainder(b))?, -59.0);
        assert!(matches!(tensor(&[1.0; 2]).remainder(tensor(&[1.0; 3])), Err(Error::Shape { .. })));
        Ok(())
    }
}
