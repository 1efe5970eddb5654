//! Weighted sums: linear interpolation, and a scaled product added.

use super::apply;
use super::operand::{Operand, TensorOrScalar};
use super::pointwise::formula;
use crate::autograd::Tensor;
use crate::error::Result;

formula!(blocks Lerp = "lerp", [a, b, w] => {
    // From the nearer end, so that both ends are exact.
    let (step, one) = (b - a, R::constant(1.0));
    R::constant(0.5).select_gt(w.abs(), a + w * step, b - step * (one - w))
}, y => [R::constant(1.0) - w, w, b - a]);
formula!(AddCMul(c: f64) = "addcmul", [x, a, b] => x + R::constant(c) * (a * b),
    y => [R::constant(1.0), R::constant(c) * b, R::constant(c) * a]);

impl Tensor {
    /// Linear interpolation self + w·(end − self), where the weight w is a tensor or a scalar; exact at w = 0 and w = 1.
    ///
    /// Gradient: 1 − w for self, w for `end`, end − self for w.
    ///
    /// ```
    /// # use tealight::prelude::*;
    /// let (a, b) = (Tensor::new(&[0.0, 10.0], &Device::Cpu)?, Tensor::new(&[4.0, 20.0], &Device::Cpu)?);
    /// assert_eq!(a.lerp(&b, 0.25)?.to_vec1::<f64>()?, [1.0, 12.5]);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn lerp(&self, end: &Tensor, weight: impl Operand) -> Result<Tensor> {
        match weight.get() {
            TensorOrScalar::Tensor(weight) => apply(Lerp, [self, end, weight]),
            TensorOrScalar::Scalar(weight) => apply(Lerp, [self, end, &self.scalar_like(weight)?]),
        }
    }

    /// self + value·a·b. Gradient: 1, value·b, value·a.
    ///
    /// ```
    /// # use tealight::prelude::*;
    /// let x = Tensor::new(&[1.0, 2.0], &Device::Cpu)?;
    /// assert_eq!(x.addcmul(&x, &x, 0.5)?.to_vec1::<f64>()?, [1.5, 4.0]);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn addcmul(&self, a: &Tensor, b: &Tensor, value: f64) -> Result<Tensor> {
        apply(AddCMul(value), [self, a, b])
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{check, check2, tensor};
    use crate::prelude::*;

    #[test]
    fn gradients() {
        let third = tensor(&[0.3, -1.0, 2.0]);
        check2(|a, b| a.lerp(b, &third));
        check2(|a, b| third.lerp(a, b));
        check2(|a, b| a.lerp(b, 0.7));
        check2(|a, b| third.addcmul(a, b, -1.5));
        check(&[-1.0, 0.5, 2.0], |x| x.addcmul(x, x, 2.0));
    }

    #[test]
    fn both_ends_are_met() -> Result<()> {
        let (a, b) = (tensor(&[0.1, 1e20, -3.0]), tensor(&[0.7, 1.0, f64::MIN_POSITIVE]));
        for dtype in [DType::F32, DType::F64, DType::BF16] {
            let (a, b) = (a.to_dtype(dtype)?, b.to_dtype(dtype)?);
            assert_eq!(a.lerp(&b, 0.0)?.to_string(), a.to_string());
            assert_eq!(a.lerp(&b, 1.0)?.to_string(), b.to_string());
        }
        let weights = tensor(&[0.25, 0.75, 2.0]);
        assert_eq!(tensor(&[4.0]).lerp(&tensor(&[8.0]), weights)?.to_vec1::<f64>()?, [5.0, 7.0, 12.0]);
        assert!(matches!(a.lerp(&tensor(&[1.0; 2]), 0.5), Err(Error::Shape { .. })));
        let integer = Tensor::new(&[1_u32, 2, 3], &Device::Cpu)?;
        assert!(matches!(integer.lerp(&integer, 0.5), Err(Error::Dtype { .. })));
        assert!(matches!(a.addcmul(&integer, &b, 1.0), Err(Error::Dtype { .. })));
        Ok(())
    }
}
