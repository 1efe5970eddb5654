//! Softmax and its logarithm along an axis.

use candle_core::DType;

use super::axis::Axis;
use super::reduction::{ReducedAxes, float};
use crate::autograd::array::{by_candle, contiguous, converted, is_narrow, on_cpu, with_float};
use crate::autograd::launch::{Primitive, launch};
use crate::autograd::{Array, Jacobian, Onnx, OnnxAttribute, OnnxValue, Op, SaveContext, Saved, Tensor};
use crate::error::Result;
use crate::kernel::rows;

#[derive(Clone, Copy, Debug)]
struct SoftmaxOp<const LOG: bool> {
    axis: usize,
}

impl<const LOG: bool> SoftmaxOp<LOG> {
    fn of(x: &Tensor, axis: impl Axis) -> Result<Tensor> {
        float(Self::NAME, x)?;
        Self { axis: axis.to_index(Self::NAME, x.dims())? }.apply([x])
    }

    /// Calls `f` with each array's softmax axis last and contiguous, and moves the axis of the result back.
    fn along<const N: usize>(
        &self,
        arrays: [&Array; N],
        f: impl FnOnce([&Array; N]) -> Result<Array>,
    ) -> Result<Array> {
        let last = arrays[0].rank() - 1;
        let mut rows = Vec::with_capacity(N);
        for array in arrays {
            rows.push(contiguous(&array.transpose(self.axis, last)?)?);
        }
        Ok(f(std::array::from_fn(|i| &rows[i]))?.transpose(self.axis, last)?)
    }

    fn value(&self, x: &Array) -> Result<Array> {
        if x.elem_count() == 0 {
            return Ok(x.clone());
        }
        if is_narrow(x) {
            return converted(&self.value(&converted(x, DType::F32)?)?, x.dtype());
        }
        if by_candle(x) {
            let shifted = x.broadcast_sub(&x.max_keepdim(self.axis)?)?;
            let exp = shifted.exp()?;
            let total = exp.sum_keepdim(self.axis)?;
            return Ok(if LOG { shifted.broadcast_sub(&total.log()?)? } else { exp.broadcast_div(&total)? });
        }
        let width = x.dims()[self.axis];
        self.along([x], |[x]| {
            with_float!(x.dtype(), T => {
                let kernel = if LOG { rows::log_softmax::<T> } else { rows::softmax::<T> };
                launch((Self::NAME, || Primitive::Softmax { width, log: LOG }), [x], x.dims(), move |[x]| kernel(x.elements(), width))
            })
        })
    }

    /// The gradient in one pass over each row.
    fn fused_gradient(&self, y: &Array, grad: &Array) -> Result<Array> {
        let width = y.dims()[self.axis];
        self.along([y, grad], |[y, grad]| {
            with_float!(y.dtype(), T => {
                let kernel = if LOG { rows::log_softmax_backward::<T> } else { rows::softmax_backward::<T> };
                let what = ("softmax_backward", || Primitive::SoftmaxBackward { width, log: LOG });
                launch(what, [y, grad], y.dims(), move |[y, g]| kernel(y.elements(), g.elements(), width))
            })
        })
    }
}

impl<const LOG: bool> Op<1> for SoftmaxOp<LOG> {
    const NAME: &'static str = if LOG { "log_softmax" } else { "softmax" };

    fn forward(&self, [x]: [&Array; 1], ctx: &mut SaveContext) -> Result<Array> {
        ctx.save_output();
        self.value(x)
    }

    /// The logarithm is composed: some engines take that of a softmax that has become 0; OpenCV does it to these nodes, too, if a
    /// difference is last.
    fn onnx(&self, onnx: &mut Onnx) -> Result<OnnxValue> {
        let x = onnx.input(0);
        if !LOG {
            return Ok(onnx.node("Softmax", &[x], &[("axis", OnnxAttribute::Int(self.axis as i64))]));
        }
        let along = ReducedAxes { axes: [self.axis].into_iter().collect(), keepdim: true };
        let max = along.onnx("ReduceMax", onnx);
        let shifted = onnx.node("Sub", &[x, max], &[]);
        let powers = onnx.node("Exp", &[shifted], &[]);
        let sum = along.onnx_of("ReduceSum", powers, true, onnx);
        let log = onnx.node("Log", &[sum], &[]);
        let log = onnx.node("Neg", &[log], &[]);
        Ok(onnx.node("Add", &[shifted, log], &[]))
    }

    fn jacobian(&self) -> Jacobian {
        if LOG { Jacobian::General } else { Jacobian::Symmetric }
    }

    fn jvp(&self, saved: &Saved, [x]: [Option<&Tensor>; 1]) -> Result<Option<Tensor>> {
        let (true, Some(x)) = (LOG, x) else { return Ok(None) };
        let mean = (saved.output()?.exp()? * x)?.sum_keepdim(self.axis)?;
        (x - mean).map(Some)
    }

    fn backward(&self, saved: &Saved, grad: &Tensor) -> Result<[Option<Tensor>; 1]> {
        let y = saved.output()?;
        if !saved.recording() && on_cpu(grad.array()) && y.elem_count() > 0 {
            return Ok([Some(Tensor::constant(self.fused_gradient(y.array(), grad.array())?))]);
        }
        let slope = match LOG {
            true => (grad - y.exp()? * grad.sum_keepdim(self.axis)?)?,
            false => (&y * (grad - (grad * &y)?.sum_keepdim(self.axis)?))?,
        };
        Ok([Some(slope)])
    }
}

impl Tensor {
    /// exp(x) / Σ exp(x) along `axis`; the maximum is subtracted first, so nothing overflows. The gradient is y·(g − Σ g·y).
    ///
    /// ```
    /// use tealight::prelude::*;
    /// let x = Tensor::new(&[[0.0, 3.0, 4.0], [1.0, 6.0, 4.0]], &Device::Cpu)?;
    /// let y = x.softmax(-1)?.to_vec2::<f64>()?;
    /// assert!((y[0][0] - 0.01321289).abs() < 1e-8);
    /// assert!((y[1].iter().sum::<f64>() - 1.0).abs() < 1e-15);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn softmax(&self, axis: impl Axis) -> Result<Tensor> {
        SoftmaxOp::<false>::of(self, axis)
    }

    /// The logarithm of [`softmax`](Tensor::softmax): x − ln Σ exp(x). It is finite where the softmax itself underflows. The
    /// gradient is g − exp(y)·Σ g.
    ///
    /// ```
    /// use tealight::prelude::*;
    /// let x = Tensor::new(&[0.0, -1000.0], &Device::Cpu)?;
    /// assert_eq!(x.log_softmax(0)?.to_vec1::<f64>()?, [0.0, -1000.0]);
    /// assert_eq!(x.softmax(0)?.ln()?.to_vec1::<f64>()?, [0.0, f64::NEG_INFINITY]);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn log_softmax(&self, axis: impl Axis) -> Result<Tensor> {
        SoftmaxOp::<true>::of(self, axis)
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{check, tensor};
    use crate::prelude::*;

    #[test]
    fn gradients() -> Result<()> {
        let x = [0.3, -1.0, 2.0, 0.5];
        for axis in [0, -1] {
            check(&x, |x| x.softmax(axis));
            check(&x, |x| x.log_softmax(axis));
        }
        let cube = Tensor::randn_dtype(0.0, 2.0, (2, 3, 2), DType::F64, &mut Rng::seed(3))?;
        for axis in 0..3 {
            autograd::gradcheck(|x| x[0].softmax(axis)?.sqr(), std::slice::from_ref(&cube))?;
            autograd::gradcheck(|x| x[0].log_softmax(axis)?.sqr(), std::slice::from_ref(&cube))?;
        }
        Ok(())
    }

    #[test]
    fn extremes() -> Result<()> {
        let x = tensor(&[1e4, -1e4, 0.0]);
        assert_eq!(x.softmax(0)?.to_vec1::<f64>()?, [1.0, 0.0, 0.0]);
        assert_eq!(x.log_softmax(0)?.to_vec1::<f64>()?, [0.0, -2e4, -1e4]);
        assert_eq!(tensor(&[5.0]).softmax(0)?.to_vec1::<f64>()?, [1.0]);
        assert!(tensor(&[1.0, f64::NAN]).softmax(0)?.to_vec1::<f64>()?.iter().all(|x| x.is_nan()));
        assert_eq!(tensor(&[f64::NEG_INFINITY, 0.0]).softmax(0)?.to_vec1::<f64>()?, [0.0, 1.0]);
        assert_eq!(Tensor::zeros((0, 3), DType::F32, &Device::Cpu)?.softmax(1)?.dims(), [0, 3]);
        assert_eq!(Tensor::zeros((3, 0), DType::F32, &Device::Cpu)?.softmax(1)?.dims(), [3, 0]);
        assert!(matches!(tensor(&[1.0]).softmax(1), Err(Error::Axis { .. })));
        assert!(matches!(Tensor::new(1.0, &Device::Cpu)?.softmax(0), Err(Error::Axis { .. })));
        assert!(matches!(Tensor::new(&[1u32], &Device::Cpu)?.softmax(0), Err(Error::Dtype { .. })));
        Ok(())
    }
}
