//! Sine, cosine and the error function.
//!
//! # Formula
//! sin x, cos x (x in radians), erf x = 2/√π ∫₀ˣ exp(−t²) dt
//!
//! # Gradient
//! cos x, −sin x, 2/√π exp(−x²)
//!
//! # Errors
//! A dtype that is no float.

use super::apply;
use super::pointwise::formula;
use crate::autograd::Tensor;
use crate::error::Result;

formula!(Sin = "sin", [x] => x.sin(), y => [x.cos()]);
formula!(Cos = "cos", [x] => x.cos(), y => [-x.sin()]);
formula!(Erf = "erf", [x] => x.erf(),
    y => [R::constant(std::f64::consts::FRAC_2_SQRT_PI) * (-(x * x)).exp()]);

impl Tensor {
    /// The sine, exact for arguments of any size.
    ///
    /// # Gradient
    /// cos x
    ///
    /// # Units
    /// Radians.
    ///
    /// # Errors
    /// A dtype that is no float.
    pub fn sin(&self) -> Result<Tensor> {
        apply(Sin, [self])
    }

    /// The cosine, exact for arguments of any size.
    ///
    /// # Gradient
    /// −sin x
    ///
    /// # Units
    /// Radians.
    ///
    /// # Errors
    /// A dtype that is no float.
    pub fn cos(&self) -> Result<Tensor> {
        apply(Cos, [self])
    }

    /// The error function.
    ///
    /// # Gradient
    /// 2/√π exp(−x²)
    ///
    /// # Errors
    /// A dtype that is no float.
    pub fn erf(&self) -> Result<Tensor> {
        apply(Erf, [self])
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::check;

    #[test]
    fn gradients() {
        check(&[-4.0, 0.0, 0.7, 100.0], |x| x.sin());
        check(&[-4.0, 0.0, 0.7, 100.0], |x| x.cos());
        check(&[-1.5, 0.1, 0.7, 2.0], |x| x.erf());
    }
}
