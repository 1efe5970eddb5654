//! Exponentials and logarithms.

use std::f64::consts::{LOG2_E, LOG10_E};

use super::apply;
use super::pointwise::formula;
use crate::autograd::Tensor;
use crate::error::Result;
use crate::formula::Real;

formula!(Exp = "exp", elementary exp);
formula!(blocks ExpM1 = "expm1", elementary exp_m1);
formula!(blocks Ln = "ln", elementary ln);
formula!(blocks Ln1p = "log1p", elementary ln_1p);
formula!(blocks Log2 = "log2", [x] => log(x, 2.0, LOG2_E), y => [R::constant(LOG2_E) / x]);
formula!(blocks Log10 = "log10", [x] => log(x, 10.0, LOG10_E), y => [R::constant(LOG10_E) / x]);

/// The logarithm to `base`; `factor` is 1/ln(base).
#[inline(always)]
fn log<R: Real>(x: R, base: f64, factor: f64) -> R {
    let y = x.ln() * R::constant(factor);
    let whole = y.round_ties_even();
    // The product may miss the integer logarithm of a power of the base.
    let off = (x - R::constant(base).powf(whole)).abs();
    off.select_gt(R::constant(0.0), y, whole)
}

impl Tensor {
    /// eˣ, within 2 ulp. Gradient: y.
    ///
    /// ```
    /// # use tealight::prelude::*;
    /// let y = Tensor::new(&[1.0, 2.0, 3.0], &Device::Cpu)?.exp()?;
    /// assert_eq!(y.to_string(), "[ 2.71828183  7.3890561  20.08553692]");
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn exp(&self) -> Result<Tensor> {
        apply(Exp, [self])
    }

    /// The natural logarithm, within 2 ulp; −∞ at 0, NaN below. Gradient: 1/x.
    #[doc(alias = "log")]
    pub fn ln(&self) -> Result<Tensor> {
        apply(Ln, [self])
    }

    /// eˣ − 1, accurate near 0. Gradient: y + 1.
    ///
    /// ```
    /// # use tealight::prelude::*;
    /// assert_eq!(Tensor::new(1e-20, &Device::Cpu)?.expm1()?.to_scalar::<f64>()?, 1e-20);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    #[doc(alias = "exp_m1")]
    pub fn expm1(&self) -> Result<Tensor> {
        apply(ExpM1, [self])
    }

    /// ln(1 + x), accurate near 0; −∞ at −1, NaN below. Gradient: 1/(1 + x).
    #[doc(alias = "ln_1p")]
    pub fn log1p(&self) -> Result<Tensor> {
        apply(Ln1p, [self])
    }

    /// The logarithm to the base 2, exact for powers of 2; −∞ at 0, NaN below. Gradient: 1/(x·ln 2).
    ///
    /// ```
    /// # use tealight::prelude::*;
    /// let x = Tensor::new(&[0.125, 1.0, 1024.0], &Device::Cpu)?;
    /// assert_eq!(x.log2()?.to_vec1::<f64>()?, [-3.0, 0.0, 10.0]);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn log2(&self) -> Result<Tensor> {
        apply(Log2, [self])
    }

    /// The logarithm to the base 10, exact for powers of 10; −∞ at 0, NaN below. Gradient: 1/(x·ln 10).
    pub fn log10(&self) -> Result<Tensor> {
        apply(Log10, [self])
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{check, close, tensor};
    use crate::prelude::*;

    #[test]
    fn gradients() {
        check(&[-3.0, 0.0, 0.7, 4.0], |x| x.exp());
        check(&[-3.0, 0.0, 1e-3, 2.0], |x| x.expm1());
        check(&[0.2, 1.0, 30.0], |x| x.ln());
        check(&[-0.5, 1e-3, 30.0], |x| x.log1p());
        check(&[0.2, 1.0, 30.0], |x| x.log2());
        check(&[0.2, 1.0, 30.0], |x| x.log10());
    }

    #[test]
    fn logarithms_of_powers_are_whole() -> Result<()> {
        let exponents: Vec<f64> = (-1074..1024).map(f64::from).collect();
        // powi would go through 2¹⁰⁷⁴, which is infinite.
        let halves = exponents.iter().map(|e| (e / 2.0).floor()).collect::<Vec<_>>();
        let powers = exponents.iter().zip(&halves).map(|(e, half)| half.exp2() * (e - half).exp2());
        assert_eq!(tensor(&powers.collect::<Vec<_>>()).log2()?.to_vec1::<f64>()?, exponents);
        let exponents: Vec<f64> = (0..23).map(f64::from).collect();
        let powers: Vec<f64> = (0..23).map(|e| 10_u128.pow(e) as f64).collect();
        assert_eq!(tensor(&powers).log10()?.to_vec1::<f64>()?, exponents);
        let narrow = tensor(&powers[..11]).to_dtype(DType::F32)?.log10()?;
        assert_eq!(narrow.to_dtype(DType::F64)?.to_vec1::<f64>()?, exponents[..11]);
        Ok(())
    }

    #[test]
    fn logarithms_against_std() -> Result<()> {
        let x: Vec<f64> = (-900..900).map(|i| 1.09_f64.powi(i)).collect();
        close(|x| x.log2(), f64::log2, &x, 3.0)?;
        close(|x| x.log10(), f64::log10, &x, 3.0)?;
        let x = tensor(&[0.0, -0.0, -1.0, f64::INFINITY, f64::NAN]);
        for y in [x.log2()?, x.log10()?] {
            let y = y.to_vec1::<f64>()?;
            assert_eq!((y[0], y[1], y[3]), (f64::NEG_INFINITY, f64::NEG_INFINITY, f64::INFINITY));
            assert!(y[2].is_nan() && y[4].is_nan());
        }
        Ok(())
    }
}
