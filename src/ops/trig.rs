//! Sine, cosine and tangent.
//!
//! # Formula
//! sin x, cos x, sin x / cos x (x in radians)
//!
//! # Gradient
//! cos x, −sin x, 1 + y²
//!
//! # Errors
//! A dtype that is no float.

use super::apply;
use super::pointwise::formula;
use crate::autograd::Tensor;
use crate::error::Result;

formula!(blocks Sin = "sin", [x] => x.sin(), y => [x.cos()]);
formula!(blocks Cos = "cos", [x] => x.cos(), y => [-x.sin()]);
formula!(blocks Tan = "tan", [x] => x.sin() / x.cos(), y => [R::constant(1.0) + y * y]);

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
    ///
    /// ```
    /// use tealight::prelude::*;
    /// let y = Tensor::new(&[0.0, 1e22], &Device::Cpu)?.sin()?.to_vec1::<f64>()?;
    /// assert!(y[0] == 0.0 && (y[1] + 0.8522008497671888).abs() < 1e-15);
    /// # Ok::<(), tealight::Error>(())
    /// ```
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
    ///
    /// ```
    /// use std::f64::consts::PI;
    /// use tealight::prelude::*;
    /// assert_eq!(Tensor::new(&[0.0, PI, 2.0 * PI], &Device::Cpu)?.cos()?.to_vec1::<f64>()?, [1.0, -1.0, 1.0]);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn cos(&self) -> Result<Tensor> {
        apply(Cos, [self])
    }

    /// The tangent, exact for arguments of any size.
    ///
    /// # Gradient
    /// 1 + y²
    ///
    /// # Units
    /// Radians.
    ///
    /// # Errors
    /// A dtype that is no float.
    ///
    /// ```
    /// use tealight::prelude::*;
    /// let y = Tensor::new(&[0.0, 1.0], &Device::Cpu)?.tan()?;
    /// assert_eq!(y.to_string(), "[0.         1.55740772]");
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn tan(&self) -> Result<Tensor> {
        apply(Tan, [self])
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{check, close, tensor};
    use crate::prelude::*;

    #[test]
    fn gradients() {
        check(&[-4.0, 0.0, 0.7, 100.0], |x| x.sin());
        check(&[-4.0, 0.0, 0.7, 100.0], |x| x.cos());
        check(&[-4.0, 0.0, 0.7, 100.0], |x| x.tan());
    }

    #[test]
    fn tangents() -> Result<()> {
        let x: Vec<f64> = (-500..500).map(|i| f64::from(i) * 0.77).chain([1e22, f64::MAX, 1e-310]).collect();
        close(
            |x| if x.dtype() == DType::F64 { x.tan() } else { x.narrow(0, 0, 1000)?.tan() },
            f64::tan,
            &x,
            4.0,
        )?;
        let extremes = tensor(&[-0.0, f64::INFINITY, f64::NAN]).tan()?.to_vec1::<f64>()?;
        assert!(extremes[0].is_sign_negative() && extremes[1].is_nan() && extremes[2].is_nan());
        Ok(())
    }
}
