//! The exponential and the logarithm, and both near 0 and 1 without cancellation.
//!
//! # Formula
//! eˣ, eˣ − 1, ln x, ln(1 + x)
//!
//! # Gradient
//! y, y + 1, 1/x, 1/(1 + x)
//!
//! # Errors
//! A dtype that is no float.

use super::apply;
use super::pointwise::formula;
use crate::autograd::Tensor;
use crate::error::Result;

formula!(Exp = "exp", [x] => x.exp(), y => [y]);
formula!(ExpM1 = "exp_m1", [x] => x.exp_m1(), y => [y + R::constant(1.0)]);
formula!(Ln = "ln", [x] => x.ln(), y => [x.recip()]);
formula!(Ln1p = "ln_1p", [x] => x.ln_1p(), y => [(x + R::constant(1.0)).recip()]);

impl Tensor {
    /// eˣ
    ///
    /// # Gradient
    /// y
    ///
    /// # Precision
    /// 2 ulp
    ///
    /// # Errors
    /// A dtype that is no float.
    ///
    /// ```
    /// use tealight::prelude::*;
    /// let y = Tensor::new(&[1.0, 2.0, 3.0], &Device::Cpu)?.exp()?;
    /// assert_eq!(y.to_string(), "[ 2.71828183  7.3890561  20.08553692]");
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn exp(&self) -> Result<Tensor> {
        apply(Exp, [self])
    }

    /// The natural logarithm; −∞ at 0, NaN below.
    ///
    /// # Gradient
    /// 1/x
    ///
    /// # Precision
    /// 2 ulp
    ///
    /// # Errors
    /// A dtype that is no float.
    #[doc(alias = "log")]
    pub fn ln(&self) -> Result<Tensor> {
        apply(Ln, [self])
    }
}

#[cfg(test)]
mod tests {
    use super::super::{apply, testing::check};

    #[test]
    fn gradients() {
        check(&[-3.0, 0.0, 0.7, 4.0], |x| x.exp());
        check(&[-3.0, 0.0, 1e-3, 2.0], |x| apply(super::ExpM1, [x]));
        check(&[0.2, 1.0, 30.0], |x| x.ln());
        check(&[-0.5, 1e-3, 30.0], |x| apply(super::Ln1p, [x]));
    }
}
