//! Sine, cosine and tangent.

use super::apply;
use super::pointwise::formula;
use crate::autograd::Tensor;
use crate::error::Result;

formula!(blocks Sin = "sin", elementary sin);
formula!(blocks Cos = "cos", elementary cos);
formula!(blocks Tan = "tan", [x] => x.sin() / x.cos(), y => [R::constant(1.0) + y * y]);

impl Tensor {
    /// The sine of x radians, accurate for arguments of any size. Gradient: cos x.
    ///
    /// ```
    /// # use tealight::prelude::*;
    /// let y = Tensor::new(&[0.0, 1e22], &Device::Cpu)?.sin()?.to_vec1::<f64>()?;
    /// assert!(y[0] == 0.0 && (y[1] + 0.8522008497671888).abs() < 1e-15);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn sin(&self) -> Result<Tensor> {
        apply(Sin, [self])
    }

    /// The cosine of x radians, accurate for arguments of any size. Gradient: −sin x.
    pub fn cos(&self) -> Result<Tensor> {
        apply(Cos, [self])
    }

    /// The tangent of x radians, accurate for arguments of any size. Gradient: 1 + y².
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
