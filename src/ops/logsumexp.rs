//! `logsumexp`.

use candle_core::DType;

use super::axis::Axes;
use super::reduction::{ReducedAxes, float, in_memory, or_infinite};
use crate::autograd::array::with_float;
use crate::autograd::launch::launch;
use crate::autograd::{Array, Onnx, OnnxValue, Op, SaveContext, Saved, Tensor};
use crate::error::Result;
use crate::kernel::moments;

#[derive(Debug)]
struct LogSumExp(ReducedAxes);

impl LogSumExp {
    /// The softmax in one pass over each row.
    fn softmax(&self, x: &Array) -> Result<Array> {
        in_memory(x, |x| {
            let (rows, width) = (self.0.rows(x)?, self.0.count(x.dims()));
            let y = with_float!(x.dtype(), T => {
                launch("softmax", [&rows], rows.dims(), move |[x]| moments::softmax::<T>(x.elements(), width))?
            });
            self.0.unrows(&y)
        })
    }

    /// The softmax in tensor operations. The maximum, which is subtracted, cancels, so it may be a constant.
    fn recorded_softmax(&self, x: &Tensor, y: &Tensor) -> Result<Tensor> {
        let max = self.0.kept(&y.detach(), x.dims())?;
        let zero = Tensor::zeros((), x.dtype(), x.device())?;
        let lowest = Tensor::full(f64::NEG_INFINITY, (), x.device())?.to_dtype(x.dtype())?;
        let shifted = (x - max.eq(&lowest)?.where_cond(&zero, &max)?)?;
        let exp = x.eq(f64::INFINITY)?.where_cond(&zero, &shifted)?.exp()?;
        let total = or_infinite(&exp.sum_keepdim(&self.0.axes[..])?)?;
        exp / total
    }
}

impl Op<1> for LogSumExp {
    const NAME: &'static str = "logsumexp";

    fn forward(&self, [x]: [&Array; 1], ctx: &mut SaveContext) -> Result<Array> {
        ctx.save_input(0);
        ctx.save_output();
        let LogSumExp(over) = self;
        let dims = over.output(Self::NAME, x)?;
        in_memory(x, |x| {
            let (n, width) = (dims.iter().product(), over.count(x.dims()));
            let rows = over.rows(x)?;
            with_float!(x.dtype(), T => {
                launch(Self::NAME, [&rows], &dims, move |[x]| moments::log_sum_exps::<T>(x.elements(), n, width))
            })
        })
    }

    /// m + ln Σ exp(x − m) with the maximum m, which is kept finite. Engines are wrong about `ReduceLogSumExp`, or overflow in it.
    fn onnx(&self, onnx: &mut Onnx) -> Result<OnnxValue> {
        let (x, dtype) = (onnx.input(0), onnx.dtype(0)?);
        let most = if dtype == DType::F16 { 65504.0 } else { f64::from(f32::MAX) };
        let (low, high) = (onnx.number(-most, dtype)?, onnx.number(most, dtype)?);
        let max = self.0.onnx_of("ReduceMax", x, true, onnx);
        let max = onnx.node("Clip", &[max, low, high], &[]);
        let shifted = onnx.node("Sub", &[x, max], &[]);
        let powers = onnx.node("Exp", &[shifted], &[]);
        let sum = self.0.onnx_of("ReduceSum", powers, true, onnx);
        let log = onnx.node("Log", &[sum], &[]);
        let y = onnx.node("Add", &[log, max], &[]);
        if self.0.keepdim || self.0.axes.is_empty() {
            return Ok(y);
        }
        let axes = onnx.ints(&self.0.axes.iter().map(|&axis| axis as i64).collect::<Vec<_>>());
        Ok(onnx.node("Squeeze", &[y, axes], &[]))
    }

    fn backward(&self, saved: &Saved, grad: &Tensor) -> Result<[Option<Tensor>; 1]> {
        let x = saved.input(0)?;
        let softmax = if saved.recording() {
            self.recorded_softmax(&x, &saved.output()?)?
        } else {
            Tensor::constant(self.softmax(x.array())?)
        };
        Ok([Some((softmax * self.0.kept(grad, x.dims())?)?)])
    }
}

impl Tensor {
    /// Computes ln Σ exp(x) along `axes`, which are removed, without overflow.
    ///
    /// Gradient: g times the softmax of x. Where all elements are −∞ the result is −∞ and the gradient 0; elements +∞ share the
    /// gradient equally. (PyTorch's is NaN in both cases.)
    ///
    /// ```
    /// # use tealight::prelude::*;
    /// let x = Tensor::new(&[[1000.0, 1000.0], [0.0, 0.0]], &Device::Cpu)?;
    /// assert_eq!(x.logsumexp(1)?.to_vec1::<f64>()?, [1000.0 + 2_f64.ln(), 2_f64.ln()]);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn logsumexp(&self, axes: impl Axes) -> Result<Tensor> {
        float("logsumexp", self)?;
        LogSumExp(ReducedAxes::of("logsumexp", self, axes, false)?).apply([self])
    }

    /// [`logsumexp`](Tensor::logsumexp) with the axes kept at length 1.
    pub fn logsumexp_keepdim(&self, axes: impl Axes) -> Result<Tensor> {
        float("logsumexp_keepdim", self)?;
        LogSumExp(ReducedAxes::of("logsumexp_keepdim", self, axes, true)?).apply([self])
    }

    /// [`logsumexp`](Tensor::logsumexp) over all elements, as a scalar.
    pub fn logsumexp_all(&self) -> Result<Tensor> {
        float("logsumexp_all", self)?;
        LogSumExp(ReducedAxes::all(self)).apply([self])
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{check, tensor};
    use crate::prelude::*;

    const INFINITY: f64 = f64::INFINITY;

    #[test]
    fn gradients() {
        let x = [0.3, -1.0, 2.0, 0.5, 1.5, -0.7];
        check(&x, |x| x.logsumexp(-1));
        check(&x, |x| x.sqr()?.logsumexp_keepdim(0)? * x);
        check(&x, |x| x.sqr()?.logsumexp_all());
        check(&x, |x| x.reshape((3, 2, x.elem_count() / 6))?.logsumexp([0, -1]));
    }

    #[test]
    fn agrees_with_the_softmax() -> Result<()> {
        for dtype in [DType::F16, DType::BF16, DType::F32, DType::F64] {
            let x =
                Tensor::randn_dtype(1e3, 3.0, (3, 130, 2), DType::F64, &mut Rng::seed(4))?.to_dtype(dtype)?;
            let x = Tensor::parameter(x);
            let plain = x.to_dtype(DType::F64)?;
            let slope = x.logsumexp(1)?.sum_all()?.backward()?.get(&x).unwrap().to_dtype(DType::F64)?;
            let off = (slope - plain.softmax(1)?)?.abs()?.max_all()?.to_scalar::<f64>()?;
            let limit = if dtype == DType::F64 { 1e-15 } else { 1e-2 };
            assert!(off < if dtype == DType::F32 { 1e-6 } else { limit }, "{dtype:?} {off}");
            let value = x.logsumexp(1)?.to_dtype(DType::F64)?;
            let exact = ((&plain - 1e3)?.exp()?.sum(1)?.ln()? + 1e3)?;
            let off = ((value - &exact)? / exact)?.abs()?.max_all()?.to_scalar::<f64>()?;
            assert!(off < if dtype == DType::F32 { 1e-7 } else { limit }, "{dtype:?} {off}");
        }
        Ok(())
    }

    #[test]
    fn extremes() -> Result<()> {
        let x = [
            [-INFINITY, -INFINITY],
            [-INFINITY, 5.0],
            [INFINITY, 0.0],
            [1.0, f64::NAN],
            [1e308, -1e308],
            [INFINITY, INFINITY],
        ];
        let x = Tensor::parameter(Tensor::new(&x, &Device::Cpu)?);
        let y = x.logsumexp(1)?;
        let values = y.to_vec1::<f64>()?;
        assert_eq!(values[..3], [-INFINITY, 5.0, INFINITY]);
        assert!(values[3].is_nan() && values[4] == 1e308);
        assert_eq!(values[5], INFINITY);
        let fused = y.sum_all()?.backward()?.get(&x).unwrap().to_vec2::<f64>()?;
        let [recorded] = autograd::grad(&y.sum_all()?, [&x])?;
        for slope in [fused, recorded.to_vec2::<f64>()?] {
            assert_eq!(slope[..2], [[0.0, 0.0], [0.0, 1.0]]);
            assert_eq!((&slope[2][..], &slope[5][..]), (&[1.0, 0.0][..], &[0.5, 0.5][..]));
            assert!(slope[3].iter().all(|g| g.is_nan()), "{slope:?}");
            assert_eq!(slope[4], [1.0, 0.0]);
        }
        // No NaN arises from −∞ at second order either.
        let x = Tensor::parameter(tensor(&[-INFINITY, -INFINITY]));
        let [first] = autograd::grad(&x.logsumexp(0)?, [&x])?;
        let [second] = autograd::grad(&first.sum_all()?, [&x])?;
        assert_eq!(second.to_vec1::<f64>()?, [0.0, 0.0]);
        // Digits that a sum rounded to f32 would lose.
        let near = Tensor::new(&[0.0_f32, -20.0], &Device::Cpu)?.logsumexp(0)?.to_scalar::<f32>()?;
        assert!((f64::from(near) / 2.061_153_620_314_381e-9 - 1.0).abs() < 1e-6);
        let empty = Tensor::zeros((2, 0), DType::F32, &Device::Cpu)?;
        assert_eq!(empty.logsumexp(1)?.to_vec1::<f32>()?, [f32::NEG_INFINITY; 2]);
        assert_eq!(empty.logsumexp(0)?.dims(), [0]);
        assert_eq!(empty.logsumexp_all()?.to_scalar::<f32>()?, f32::NEG_INFINITY);
        assert_eq!(tensor(&[3.0]).i(0)?.logsumexp_all()?.to_scalar::<f64>()?, 3.0);
        let error = Tensor::new(&[1_u8], &Device::Cpu)?.logsumexp(0).unwrap_err();
        assert_eq!(error.to_string(), "logsumexp: expected a float tensor (see to_dtype), got u8");
        assert!(matches!(empty.logsumexp_keepdim(2), Err(Error::Axis { op: "logsumexp_keepdim", .. })));
        Ok(())
    }
}
