//! Powers, roots and the reciprocal.

use super::apply;
use super::operand::{Operand, TensorOrScalar};
use super::pointwise::formula;
use crate::autograd::Tensor;
use crate::error::Result;
use crate::formula::{Formula, Real};

formula!(blocks PowScalar(c: f64) = "powf", [x] => x.powf(R::constant(c)),
    y => [R::constant(c) * x.powf(R::constant(c - 1.0))]);
formula!(blocks Powi(n: i32) = "powi", [x] => x.powi(n),
    // x⁰ is flat also at 0, where 0 · x⁻¹ would be NaN.
    y => [if n == 0 { R::constant(0.0) } else { R::constant(f64::from(n)) * x.powi(n.saturating_sub(1)) }]);
formula!(Sqr = "sqr", [x] => x * x, y => [R::constant(2.0) * x]);
formula!(Sqrt = "sqrt", elementary sqrt);
formula!(blocks Rsqrt = "rsqrt", [x] => x.sqrt().recip(), y => [R::constant(-0.5) * y * (y * y)]);
formula!(blocks Recip = "recip", elementary recip);

#[derive(Clone, Copy, Debug)]
struct Pow;

impl Formula<2> for Pow {
    const NAME: &'static str = "pow";
    fn value<R: Real>(&self, [a, b]: [R; 2]) -> R {
        a.powf(b)
    }
}

impl Tensor {
    /// aᵇ element by element, where b is a tensor or a scalar; NaN where a < 0 and b is not an integer.
    ///
    /// Gradient: b·aᵇ⁻¹ for a and aᵇ·ln a for b; where a = 0, 0 for a if b = 0 and 0 for b if b ≥ 0.
    ///
    /// ```
    /// # use tealight::prelude::*;
    /// let x = Tensor::new(&[2.0, 3.0], &Device::Cpu)?;
    /// assert_eq!(x.pow(&x)?.to_vec1::<f64>()?, [4.0, 27.0]);
    /// assert_eq!(x.pow(2.0)?.to_vec1::<f64>()?, [4.0, 9.0]);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    #[doc(alias = "power")]
    pub fn pow(&self, exponent: impl Operand) -> Result<Tensor> {
        match exponent.get() {
            TensorOrScalar::Tensor(exponent) => apply(Pow, [self, exponent]),
            TensorOrScalar::Scalar(exponent) => self.powf(exponent),
        }
    }

    /// xᶜ for a scalar c; NaN where x < 0 and c is not an integer. Gradient: c·xᶜ⁻¹.
    pub fn powf(&self, exponent: f64) -> Result<Tensor> {
        // Integers are the common case, and products are much faster than a power.
        if exponent.fract() == 0.0 && exponent.abs() <= f64::from(i32::MAX) {
            return match exponent as i32 {
                0 => apply(Powi(0), [self]),
                1 if self.dtype().is_float() => Ok(self.clone()),
                2 => apply(Sqr, [self]),
                n => apply(Powi(n), [self]),
            };
        }
        apply(PowScalar(exponent), [self])
    }

    /// x². Gradient: 2x.
    #[doc(alias = "square")]
    pub fn sqr(&self) -> Result<Tensor> {
        apply(Sqr, [self])
    }

    /// √x; NaN below 0. Gradient: 1/(2y); ∞ at 0, as in PyTorch.
    pub fn sqrt(&self) -> Result<Tensor> {
        apply(Sqrt, [self])
    }

    /// 1/√x; ∞ at 0, NaN below. Gradient: −y³/2; −∞ at 0, as in PyTorch.
    pub fn rsqrt(&self) -> Result<Tensor> {
        apply(Rsqrt, [self])
    }

    /// 1/x. Gradient: −y².
    #[doc(alias = "reciprocal")]
    pub fn recip(&self) -> Result<Tensor> {
        apply(Recip, [self])
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{check, check2, grad_at, tensor};
    use crate::prelude::*;

    #[test]
    fn gradients() {
        for c in [-2.0, -0.5, 1.0, 2.0, 3.0, 7.0, 2.5] {
            check(&[0.3, 1.0, 2.2], |x| x.powf(c));
        }
        check(&[-2.0, 0.5], |x| x.powf(3.0));
        check(&[-2.0, 0.5], |x| x.sqr());
        check(&[0.3, 1.0, 5.0], |x| x.sqrt());
        check(&[0.3, 1.0, 5.0], |x| x.rsqrt());
        check(&[0.3, 1.0, 5.0], |x| x.pow(1.7));
        check(&[-0.3, 1.0, 5.0], |x| x.recip());
        check2(|a, b| a.sqr()?.pow(b));
    }

    #[test]
    fn a_tensor_exponent_is_as_a_scalar_one_at_base_0() -> Result<()> {
        for c in [0.0, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 4.0, -1.0] {
            let x = Tensor::parameter(tensor(&[0.0]));
            let (mut a, mut b) = (x.pow(tensor(&[c]))?, x.powf(c)?);
            for order in 0..4 {
                let [found, expected] = [&a, &b].map(|y| y.to_vec1::<f64>().unwrap()[0]);
                assert!(
                    found == expected || expected.is_nan(),
                    "{c}, order {order}: {found}, not {expected}"
                );
                [a, b] = [a, b].map(|y| autograd::grad(&y.sum_all().unwrap(), [&x]).unwrap()[0].clone());
            }
        }
        Ok(())
    }

    #[test]
    fn edges() -> Result<()> {
        assert_eq!(tensor(&[0.0, -2.0, f64::NAN]).powf(2.0)?.to_vec1::<f64>()?[..2], [0.0, 4.0]);
        assert!(tensor(&[-2.0]).powf(0.5)?.to_vec1::<f64>()?[0].is_nan());
        assert!(matches!(Tensor::new(&[3_u32], &Device::Cpu)?.powf(1.0), Err(Error::Dtype { .. })));
        // candle: NaN.
        assert_eq!(grad_at(0.0, |x| x.powf(3.0))?, 0.0);
        assert_eq!(grad_at(-2.0, |x| x.powf(3.0))?, 12.0);
        assert_eq!(grad_at(2.0, |x| x.powf(0.0))?, 0.0);
        assert_eq!(grad_at(0.0, |x| x.powf(0.0))?, 0.0);
        assert_eq!(grad_at(0.0, |x| x.sqrt())?, f64::INFINITY);
        assert_eq!(grad_at(0.0, |x| x.rsqrt())?, f64::NEG_INFINITY);
        assert_eq!(tensor(&[0.0, f64::INFINITY]).rsqrt()?.to_vec1::<f64>()?, [f64::INFINITY, 0.0]);
        assert!(tensor(&[-1.0]).rsqrt()?.to_vec1::<f64>()?[0].is_nan());
        Ok(())
    }
}
