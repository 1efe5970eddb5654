//! Sum, difference, product and quotient, with numpy's broadcasting, and negation.

use super::apply;
use super::pointwise::formula;
use crate::autograd::Tensor;
use crate::error::Result;

formula!(Add = "add", [a, b] => a + b, y => [R::constant(1.0), R::constant(1.0)]);
formula!(Sub = "sub", [a, b] => a - b, y => [R::constant(1.0), R::constant(-1.0)]);
formula!(Mul = "mul", [a, b] => a * b, y => [b, a]);
// b² might overflow, or vanish.
formula!(Div = "div", [a, b] => a / b, y => [b.recip(), -(y / b)]);
formula!(Neg = "neg", [x] => -x, y => [R::constant(-1.0)]);

// With a scalar on one side no tensor is built for it.
formula!(AddScalar(c: f64) = "add", [x] => x + R::constant(c), y => [R::constant(1.0)]);
formula!(SubScalar(c: f64) = "sub", [x] => x - R::constant(c), y => [R::constant(1.0)]);
formula!(ScalarSub(c: f64) = "sub", [x] => R::constant(c) - x, y => [R::constant(-1.0)]);
formula!(MulScalar(c: f64) = "mul", [x] => x * R::constant(c), y => [R::constant(c)]);
formula!(DivScalar(c: f64) = "div", [x] => x / R::constant(c), y => [R::constant(1.0 / c)]);
formula!(ScalarDiv(c: f64) = "div", [x] => R::constant(c) / x, y => [-(y / x)]);

impl Tensor {
    /// The sum, the same as `self + other`. Gradient: 1 for both.
    ///
    /// ```
    /// # use tealight::prelude::*;
    /// let (a, b) = (Tensor::new(&[[1.0], [2.0]], &Device::Cpu)?, Tensor::new(&[10.0, 20.0], &Device::Cpu)?);
    /// assert_eq!(a.add(&b)?.to_vec2::<f64>()?, [[11.0, 21.0], [12.0, 22.0]]);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn add(&self, other: &Tensor) -> Result<Tensor> {
        apply(Add, [self, other])
    }

    /// The difference, the same as `self - other`. Gradient: 1 and −1.
    #[doc(alias = "subtract")]
    pub fn sub(&self, other: &Tensor) -> Result<Tensor> {
        apply(Sub, [self, other])
    }

    /// The elementwise product, the same as `self * other`. Gradient: b and a.
    ///
    /// The matrix product is [`matmul`](Tensor::matmul).
    #[doc(alias = "multiply")]
    pub fn mul(&self, other: &Tensor) -> Result<Tensor> {
        apply(Mul, [self, other])
    }

    /// The elementwise quotient, the same as `self / other`. Gradient: 1/b and −a/b².
    #[doc(alias = "divide")]
    #[doc(alias = "true_divide")]
    pub fn div(&self, other: &Tensor) -> Result<Tensor> {
        apply(Div, [self, other])
    }

    /// −x. Gradient: −1.
    #[doc(alias = "negative")]
    pub fn neg(&self) -> Result<Tensor> {
        apply(Neg, [self])
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{check, check2, tensor};
    use crate::prelude::*;

    #[test]
    fn gradients() {
        check2(|a, b| a + b);
        check2(|a, b| a - b);
        check2(|a, b| a * b);
        check2(|a, b| a / b);
        check(&[-1.5, 0.3, 2.0], |x| -x);
        check(&[-1.5, 0.3, 2.0], |x| (((x + 2.0)? * 3.0)? - 1.0)? / 7.0);
        check(&[-1.5, 0.3, 2.0], |x| 1.0 - (2.0 / (3.0 * x)?)?);
    }

    #[test]
    fn a_tensor_used_twice_gets_both_gradients() -> Result<()> {
        let x = Tensor::parameter(tensor(&[3.0, -2.0]));
        let y = ((&x * &x)? + &x)?.sum_all()?;
        assert_eq!(y.backward()?.get(&x).unwrap().to_vec1::<f64>()?, [7.0, -3.0]);
        Ok(())
    }

    #[test]
    fn broadcasting_and_its_errors() -> Result<()> {
        let row = Tensor::parameter(Tensor::new(&[1.0, 2.0, 3.0], &Device::Cpu)?);
        let column = Tensor::parameter(Tensor::new(&[[10.0], [20.0]], &Device::Cpu)?);
        let y = (&row * &column)?;
        assert_eq!(y.to_vec2::<f64>()?, [[10.0, 20.0, 30.0], [20.0, 40.0, 60.0]]);
        let gradients = y.sum_all()?.backward()?;
        assert_eq!(gradients.get(&row).unwrap().to_vec1::<f64>()?, [30.0; 3]);
        assert_eq!(gradients.get(&column).unwrap().to_vec2::<f64>()?, [[6.0], [6.0]]);
        let error = (&row + &Tensor::zeros((2, 2), DType::F64, &Device::Cpu)?).unwrap_err();
        assert!(matches!(&error, Error::Shape { got, .. } if *got == [vec![3], vec![2, 2]]), "{error}");
        let error = (&row + &Tensor::zeros(3, DType::F32, &Device::Cpu)?).unwrap_err();
        assert!(matches!(&error, Error::Dtype { got, .. } if *got == [DType::F64, DType::F32]), "{error}");
        let integers = Tensor::new(&[1u32], &Device::Cpu)?;
        assert!(matches!(&integers + &integers, Err(Error::Dtype { .. })));
        Ok(())
    }

    #[test]
    fn every_float_dtype() -> Result<()> {
        for dtype in [DType::F16, DType::BF16, DType::F32, DType::F64] {
            let x = Tensor::full(1.5, 4, &Device::Cpu)?.into_array().to_dtype(dtype)?;
            let x = Tensor::parameter(x);
            let y = (((&x * &x)? - 0.25)? / &x)?;
            assert_eq!(y.dtype(), dtype);
            let values: Vec<f32> = y.array().to_dtype(DType::F32)?.to_vec1()?;
            assert!(values.iter().all(|v| (v - 4.0 / 3.0).abs() < 0.01), "{values:?}");
            assert_eq!(y.sum_all()?.backward()?.get(&x).unwrap().dtype(), dtype);
        }
        Ok(())
    }
}
