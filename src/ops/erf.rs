//! The error function and its complement.

use super::apply;
use super::pointwise::formula;
use crate::autograd::Tensor;
use crate::error::Result;

formula!(blocks Erf = "erf", elementary erf);
formula!(blocks Erfc = "erfc", elementary erfc);

impl Tensor {
    /// The error function 2/√π ∫₀ˣ exp(−t²) dt. Gradient: 2/√π exp(−x²).
    pub fn erf(&self) -> Result<Tensor> {
        apply(Erf, [self])
    }

    /// 1 − erf x, accurate where erf x is nearly 1. Gradient: −2/√π exp(−x²).
    ///
    /// ```
    /// # use tealight::prelude::*;
    /// let y = Tensor::new(10.0, &Device::Cpu)?.erfc()?.to_scalar::<f64>()?;
    /// assert!((y / 2.088487583762545e-45 - 1.0).abs() < 1e-15);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn erfc(&self) -> Result<Tensor> {
        apply(Erfc, [self])
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{check, tensor};
    use crate::prelude::*;

    #[test]
    fn gradients() {
        check(&[-1.5, 0.1, 0.7, 2.0], |x| x.erf());
        check(&[-1.5, 0.1, 0.7, 2.0], |x| x.erfc());
    }

    #[test]
    fn extremes() -> Result<()> {
        let x = tensor(&[f64::NEG_INFINITY, -1e4, 0.0, 1e4, f64::INFINITY]);
        assert_eq!(x.erfc()?.to_vec1::<f64>()?, [2.0, 2.0, 1.0, 0.0, 0.0]);
        assert_eq!(x.erf()?.to_vec1::<f64>()?, [-1.0, -1.0, 0.0, 1.0, 1.0]);
        assert!(tensor(&[f64::NAN]).erfc()?.to_vec1::<f64>()?[0].is_nan());
        Ok(())
    }
}
