//! The standard deviation, along axes or of all elements.

use super::axis::Axes;
use super::reduction::{ReducedAxes, float, or_infinite};
use super::var::{Center, Var};
use crate::autograd::{Array, Onnx, OnnxValue, Op, SaveContext, Saved, Tensor};
use crate::error::Result;

#[derive(Debug)]
struct Std(Var);

impl Op<1> for Std {
    const NAME: &'static str = "std";

    fn forward(&self, [x]: [&Array; 1], ctx: &mut SaveContext) -> Result<Array> {
        ctx.save_input(0);
        ctx.save_output();
        self.0.value(Self::NAME, x, true)
    }

    fn onnx(&self, onnx: &mut Onnx) -> Result<OnnxValue> {
        let variance = self.0.onnx_value(onnx)?;
        Ok(onnx.node("Sqrt", &[variance], &[]))
    }

    fn backward(&self, saved: &Saved, grad: &Tensor) -> Result<[Option<Tensor>; 1]> {
        let Std(var) = self;
        let x = saved.input(0)?;
        let deviation = or_infinite(&var.over.kept(&saved.output()?, x.dims())?)?;
        let factor = (var.over.kept(grad, x.dims())? / var.free(x.dims()))?;
        Ok([Some(((Center(var.over.clone()).apply([&x])? / deviation)? * factor)?)])
    }
}

impl Tensor {
    /// The standard deviations along `axes`, which are removed: the square roots of [`var`](Tensor::var), with the same `ddof`.
    ///
    /// The gradient is (x − mean) / ((n − ddof)·y)·g; it is 0 where all elements are equal, as in PyTorch.
    ///
    /// ```
    /// use tealight::prelude::*;
    /// let x = Tensor::new(&[[1.0, 2.0, 3.0], [0.0, 0.0, 0.0]], &Device::Cpu)?;
    /// assert_eq!(x.std(1, 1)?.to_vec1::<f64>()?, [1.0, 0.0]);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn std(&self, axes: impl Axes, ddof: usize) -> Result<Tensor> {
        float("std", self)?;
        Std(Var { over: ReducedAxes::of("std", self, axes, false)?, ddof }).apply([self])
    }

    /// [`std`](Tensor::std), with the axes kept at length 1.
    pub fn std_keepdim(&self, axes: impl Axes, ddof: usize) -> Result<Tensor> {
        float("std_keepdim", self)?;
        Std(Var { over: ReducedAxes::of("std_keepdim", self, axes, true)?, ddof }).apply([self])
    }

    /// The standard deviation of all elements.
    pub fn std_all(&self, ddof: usize) -> Result<Tensor> {
        float("std_all", self)?;
        Std(Var { over: ReducedAxes::all(self), ddof }).apply([self])
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{check, tensor};
    use crate::prelude::*;

    #[test]
    fn gradients() {
        let x = [0.3, -1.0, 2.0, 0.5, 1.5, -0.7];
        check(&x, |x| x.std(-1, 1));
        check(&x, |x| {
            let x = x.reshape((x.elem_count() / 2, 2))?;
            x.exp()?.std_keepdim(0, 0)? * x
        });
        check(&x, |x| x.sqr()?.std_all(2));
        check(&x, |x| x.reshape((3, 2, x.elem_count() / 6))?.std([0, -1], 1));
    }

    #[test]
    fn equal_numbers_are_flat_at_any_order() -> Result<()> {
        for dtype in [DType::F16, DType::F32, DType::F64] {
            let third = Tensor::full(1.0 / 3.0, (2, 37), &Device::Cpu)?.to_dtype(dtype)?;
            let x = Tensor::parameter(third);
            let y = x.std(1, 1)?;
            let zero = |x: &Tensor| x.to_dtype(DType::F64)?.sqr()?.sum_all()?.to_scalar::<f64>();
            assert_eq!(zero(&y)?, 0.0);
            let [first] = autograd::grad(&y.sum_all()?, [&x])?;
            assert_eq!(zero(&first)?, 0.0);
            let [second] = autograd::grad(&(first * &x)?.sum_all()?, [&x])?;
            assert_eq!(zero(&second)?, 0.0, "{dtype:?}");
        }
        Ok(())
    }

    #[test]
    fn extremes() -> Result<()> {
        // The squares do not fit in f32.
        for scale in [1e-30_f32, 1e30] {
            let x = Tensor::new(&[scale, -scale], &Device::Cpu)?;
            assert!((x.std(0, 0)?.to_scalar::<f32>()? / scale - 1.0).abs() < 1e-6);
            let x = Tensor::parameter(x);
            let slope = x.std_all(0)?.backward()?.get(&x).unwrap().to_vec1::<f32>()?;
            assert!((slope[0] - 0.5).abs() < 1e-6 && (slope[1] + 0.5).abs() < 1e-6, "{slope:?}");
        }
        // Neighbours in f32, whose mean is no f32: the gradient is as exact as ever.
        let x = [16_777_212.0_f32, 16_777_213.0, 16_777_214.0, 16_777_214.0];
        let x = Tensor::parameter(Tensor::new(&x, &Device::Cpu)?);
        let slope = x.std_all(0)?.backward()?.get(&x).unwrap().to_vec1::<f32>()?;
        let root = 0.6875_f32.sqrt();
        for (slope, away) in slope.iter().zip([-1.25, -0.25, 0.75, 0.75]) {
            assert!((slope - away / (4.0 * root)).abs() < 1e-6);
        }
        assert!(tensor(&[]).std(0, 0)?.to_scalar::<f64>()?.is_nan());
        assert!(tensor(&[1.0]).std(0, 1)?.to_scalar::<f64>()?.is_nan());
        assert!(tensor(&[1.0, f64::NAN]).std_all(0)?.to_scalar::<f64>()?.is_nan());
        assert_eq!(Tensor::zeros((0, 3), DType::F32, &Device::Cpu)?.std_keepdim(1, 0)?.dims(), [0, 1]);
        let error = tensor(&[1.0]).std([0, 0], 0).unwrap_err();
        assert_eq!(error.to_string(), "std: expected each axis at most once, got [0, 0]");
        assert!(matches!(Tensor::new(&[1_u8], &Device::Cpu)?.std_all(0), Err(Error::Dtype { .. })));
        Ok(())
    }
}
