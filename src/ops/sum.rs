//! Sums and means, along axes or of all elements.

use candle_core::DType;

use super::axis::Axes;
use super::onnx::counted;
use super::reduction::{ReducedAxes, float, integers};
use crate::autograd::array::{on_cpu, sum_axes, with_float};
use crate::autograd::launch::{Primitive, launch};
use crate::autograd::{Array, Jacobian, Onnx, OnnxValue, Op, SaveContext, Saved, Tensor, broadcast_to};
use crate::error::Result;
use crate::formula::Real;
use crate::kernel;

#[derive(Debug)]
pub(super) struct Sum(pub(super) ReducedAxes);

#[derive(Debug)]
struct Mean(Sum);

impl Sum {
    fn total(&self, op: &'static str, x: &Array) -> Result<Array> {
        let Sum(over) = self;
        let dims = over.output(op, x)?;
        if x.dtype().is_int() {
            let add = |x: &Array| over.fold(x, &dims, 0, u32::wrapping_add);
            return integers(x, add, |x| over.fold(x, &dims, 0, i64::wrapping_add));
        }
        if x.elem_count() == 0 {
            return Ok(Array::zeros(&dims[..], x.dtype(), x.device())?);
        }
        Ok(sum_axes(x, &over.axes)?.reshape(&dims[..])?)
    }

    /// The gradient, repeated along the summed axes.
    fn spread(&self, grad: &Tensor, input: &[usize]) -> Result<Tensor> {
        broadcast_to(&self.0.kept(grad, input)?, input)
    }
}

impl Op<1> for Sum {
    const NAME: &'static str = "sum";

    fn forward(&self, [x]: [&Array; 1], _: &mut SaveContext) -> Result<Array> {
        self.total(Self::NAME, x)
    }

    fn onnx(&self, onnx: &mut Onnx) -> Result<OnnxValue> {
        if onnx.dtype(0)? != DType::U8 {
            return Ok(self.0.onnx("ReduceSum", onnx));
        }
        let x = onnx.input(0);
        let x = counted(x, DType::U8, onnx)?;
        Ok(self.0.onnx_of("ReduceSum", x, self.0.keepdim, onnx))
    }

    fn jacobian(&self) -> Jacobian {
        Jacobian::Linear
    }

    fn backward(&self, saved: &Saved, grad: &Tensor) -> Result<[Option<Tensor>; 1]> {
        Ok([Some(self.spread(grad, saved.input_dims(0)?)?)])
    }
}

impl Op<1> for Mean {
    const NAME: &'static str = "mean";

    fn forward(&self, [x]: [&Array; 1], _: &mut SaveContext) -> Result<Array> {
        let Mean(sum) = self;
        let count = sum.0.count(x.dims()) as f64;
        if matches!(x.dtype(), DType::F16 | DType::BF16) {
            // Their sums overflow long before their means do.
            let mean = (sum.total(Self::NAME, &x.to_dtype(DType::F32)?)? / count)?;
            return Ok(mean.to_dtype(x.dtype())?);
        }
        let total = sum.total(Self::NAME, x)?;
        if on_cpu(&total) {
            return with_float!(total.dtype(), T => {
                let what = (Self::NAME, || Primitive::map(1, |x| x[0] / Real::constant(count)));
                launch(what, [&total], total.dims(), move |[x]| {
                    let dims = x.dims();
                    kernel::map(dims, kernel::sources([x.view::<T>(dims)]), |[x, ..]| x / T::constant(count))
                })
            });
        }
        // A product would round 1/n; candle has no division by a number.
        let count = Array::new(count, x.device())?.to_dtype(x.dtype())?;
        Ok(total.broadcast_div(&count)?)
    }

    fn onnx(&self, onnx: &mut Onnx) -> Result<OnnxValue> {
        Ok(self.0.0.onnx("ReduceMean", onnx))
    }

    fn jacobian(&self) -> Jacobian {
        Jacobian::Linear
    }

    fn backward(&self, saved: &Saved, grad: &Tensor) -> Result<[Option<Tensor>; 1]> {
        let Mean(sum) = self;
        let dims = saved.input_dims(0)?;
        // Over no elements the gradient has none either, and 0/0 in its own would be NaN.
        Ok([Some(sum.spread(&(grad / sum.0.count(dims).max(1) as f64)?, dims)?)])
    }
}

impl Tensor {
    /// The sums along `axes`, which are removed; 0 over no elements.
    ///
    /// The relative error of a sum of positive f32 stays below 1e-6 for any length, and f16 and bf16 accumulate in f32. Integers wrap
    /// around, as in numpy; u8 are summed as u32.
    ///
    /// ```
    /// use tealight::prelude::*;
    /// let x = Tensor::new(&[[1.0, 2.0], [3.0, 4.0]], &Device::Cpu)?;
    /// assert_eq!(x.sum(0)?.to_vec1::<f64>()?, [4.0, 6.0]);
    /// assert_eq!(x.sum(-1)?.to_vec1::<f64>()?, [3.0, 7.0]);
    /// assert_eq!(x.sum([0, 1])?.to_scalar::<f64>()?, 10.0);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn sum(&self, axes: impl Axes) -> Result<Tensor> {
        Sum(ReducedAxes::of("sum", self, axes, false)?).apply([self])
    }

    /// [`sum`](Tensor::sum), with the axes kept at length 1, so that the result broadcasts against this tensor.
    ///
    /// ```
    /// use tealight::prelude::*;
    /// let x = Tensor::new(&[[1.0, 3.0], [2.0, 2.0]], &Device::Cpu)?;
    /// assert_eq!((&x / x.sum_keepdim(1)?)?.to_vec2::<f64>()?, [[0.25, 0.75], [0.5, 0.5]]);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn sum_keepdim(&self, axes: impl Axes) -> Result<Tensor> {
        Sum(ReducedAxes::of("sum_keepdim", self, axes, true)?).apply([self])
    }

    /// The sum of all elements.
    pub fn sum_all(&self) -> Result<Tensor> {
        Sum(ReducedAxes::all(self)).apply([self])
    }

    /// The means along `axes`, which are removed; NaN over no elements.
    ///
    /// ```
    /// use tealight::prelude::*;
    /// let x = Tensor::new(&[[1.0, 3.0], [2.0, 6.0]], &Device::Cpu)?;
    /// assert_eq!(x.mean(0)?.to_vec1::<f64>()?, [1.5, 4.5]);
    /// assert_eq!(x.mean([0, 1])?.to_scalar::<f64>()?, 3.0);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn mean(&self, axes: impl Axes) -> Result<Tensor> {
        float("mean", self)?;
        Mean(Sum(ReducedAxes::of("mean", self, axes, false)?)).apply([self])
    }

    /// [`mean`](Tensor::mean), with the axes kept at length 1.
    pub fn mean_keepdim(&self, axes: impl Axes) -> Result<Tensor> {
        float("mean_keepdim", self)?;
        Mean(Sum(ReducedAxes::of("mean_keepdim", self, axes, true)?)).apply([self])
    }

    /// The mean of all elements; NaN if there are none.
    pub fn mean_all(&self) -> Result<Tensor> {
        float("mean_all", self)?;
        Mean(Sum(ReducedAxes::all(self))).apply([self])
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{check, tensor};
    use crate::prelude::*;

    #[test]
    fn gradients() {
        let x = [0.3, -1.0, 2.0, 0.5, 1.5, -0.7];
        check(&x, |x| x.sum(-1));
        check(&x, |x| x.sqr()?.sum_keepdim(0)?.exp());
        check(&x, |x| x.sqr()?.sum_all());
        check(&x, |x| x.mean(0));
        check(&x, |x| x * x.mean_keepdim(-1));
        check(&x, |x| x.exp()?.mean_all());
        check(&x, |x| x.reshape((3, 2, x.elem_count() / 6))?.exp()?.sum([2, 0]));
        check(&x, |x| x.reshape((3, 2, x.elem_count() / 6))?.sqr()?.mean_keepdim([0, 1]));
        check(&x, |x| x.exp()?.sum([0; 0]));
    }

    #[test]
    fn edges() -> Result<()> {
        let empty = Tensor::zeros((2, 0), DType::F32, &Device::Cpu)?;
        assert_eq!(empty.sum(1)?.to_vec1::<f32>()?, [0.0, 0.0]);
        assert_eq!(empty.sum_all()?.to_scalar::<f32>()?, 0.0);
        assert!(empty.mean(1)?.to_vec1::<f32>()?.iter().all(|x| x.is_nan()));
        assert!(empty.mean_all()?.to_scalar::<f32>()?.is_nan());
        // PyTorch: 0.
        let (x, w) = (Tensor::parameter(empty.array().clone()), Tensor::parameter(tensor(&[1.0, 2.0])));
        let y = (x.to_dtype(DType::F64)?.mean(1)? * &w)?;
        let [first] = autograd::grad(&y.sum_all()?, [&x])?;
        let [second] = autograd::grad(&first.sum_all()?, [&w])?;
        assert_eq!(second.to_vec1::<f64>()?, [0.0, 0.0]);
        assert_eq!(empty.sum(0)?.dims(), [0]);
        // candle wraps at 256.
        let ones = Tensor::full(1u8, 1000, &Device::Cpu)?;
        assert_eq!(ones.sum_all()?.to_scalar::<u32>()?, 1000);
        assert!(matches!(ones.mean_all(), Err(Error::Dtype { .. })));
        // candle: 0.256.
        let half = Tensor::ones(70_000, DType::F16, &Device::Cpu)?;
        assert_eq!(half.mean_all()?.to_dtype(DType::F32)?.to_scalar::<f32>()?, 1.0);
        assert!(matches!(ones.sum(1), Err(Error::Axis { axis: 1, .. })));
        assert!(matches!(ones.sum([0, -1]), Err(Error::Argument { op: "sum", .. })));
        // No array has that many elements.
        let nothing = Tensor::from(Array::zeros((0, usize::MAX), DType::F32, &Device::Cpu)?);
        assert!(matches!(nothing.sum(0), Err(Error::Shape { op: "sum", .. })));
        assert_eq!(nothing.sum(1)?.dims(), [0]);
        let infinities = tensor(&[1.0, f64::INFINITY, f64::NEG_INFINITY]);
        assert!(infinities.sum(0)?.to_scalar::<f64>()?.is_nan());
        Ok(())
    }

    #[test]
    fn integers_wrap_around() -> Result<()> {
        let most = Tensor::new(&[[u32::MAX, 2], [3, 4]], &Device::Cpu)?;
        assert_eq!(most.sum(0)?.to_vec1::<u32>()?, [2, 6]);
        let most = Tensor::new(&[i64::MAX, 1], &Device::Cpu)?;
        assert_eq!(most.sum_all()?.to_scalar::<i64>()?, i64::MIN);
        let bytes = Tensor::new(&[[200_u8, 100]], &Device::Cpu)?;
        assert_eq!(bytes.sum_keepdim(1)?.to_vec2::<u32>()?, [[300]]);
        assert_eq!(Tensor::zeros((2, 0), DType::I64, &Device::Cpu)?.sum(1)?.to_vec1::<i64>()?, [0, 0]);
        Ok(())
    }
}
