//! `normalize_rows`: rows scaled to norm 1.

use candle_core::{DType, WithDType};

use super::reduction::{ReducedAxes, float, in_f32, or_infinite};
use crate::autograd::array::{contiguous, on_cpu, with_float};
use crate::autograd::launch::{Primitive, launch, launch_many};
use crate::autograd::{Array, Onnx, OnnxValue, Op, SaveContext, Saved, Tensor};
use crate::error::{Error, Result};
use crate::kernel::rows;

/// The fused operation for p = 2.
#[derive(Debug)]
struct NormalizeRows;

impl Op<1> for NormalizeRows {
    const NAME: &'static str = "normalize_rows";

    fn forward(&self, [x]: [&Array; 1], ctx: &mut SaveContext) -> Result<Array> {
        ctx.save_input(0);
        ctx.save_output();
        let width = x.dims()[x.rank() - 1];
        if x.elem_count() == 0 {
            return Ok(x.clone());
        }
        if !on_cpu(x) {
            let wide = if x.dtype() == DType::F64 { x.clone() } else { x.to_dtype(DType::F32)? };
            let length = wide.sqr()?.sum_keepdim(x.rank() - 1)?.sqrt()?;
            let length = length.eq(0.0)?.where_cond(&length.ones_like()?, &length)?;
            return Ok(wide.broadcast_div(&length)?.to_dtype(x.dtype())?);
        }
        let dims = [x.dims(), &[x.elem_count() / width]];
        let [y, lengths] = with_float!(x.dtype(), T => launch_many((Self::NAME, || Primitive::NormalizeRows(width)), [&contiguous(x)?], dims, move |[x]| {
            Ok(rows::normalize(x.elements::<T>(), width).map(T::to_cpu_storage_owned))
        })?);
        ctx.save(lengths);
        Ok(y)
    }

    fn onnx(&self, onnx: &mut Onnx) -> Result<OnnxValue> {
        let over = ReducedAxes { axes: [onnx.dims(0)?.len() - 1].into_iter().collect(), keepdim: true };
        let (x, dtype) = (onnx.input(0), onnx.dtype(0)?);
        let length = over.onnx_lengths(true, onnx);
        let (zero, one) = (onnx.number(0.0, dtype)?, onnx.number(1.0, dtype)?);
        let is_zero = onnx.node("Equal", &[length, zero], &[]);
        let length = onnx.node("Where", &[is_zero, one, length], &[]);
        Ok(onnx.node("Div", &[x, length], &[]))
    }

    fn backward(&self, saved: &Saved, grad: &Tensor) -> Result<[Option<Tensor>; 1]> {
        let (x, y) = (saved.input(0)?, saved.output()?);
        let width = x.dims()[x.rank() - 1];
        if !saved.recording() && on_cpu(grad.array()) && x.elem_count() > 0 {
            let inputs = [&contiguous(y.array())?, saved.array(0)?, &contiguous(grad.array())?];
            let slope = with_float!(y.dtype(), T => {
                launch(("normalize_rows_backward", || Primitive::NormalizeRowsBackward(width)), inputs, x.dims(), move |inputs| {
                    let [y, lengths, g] = inputs.map(|x| x.elements::<T>());
                    rows::normalize_backward(y, lengths, g, width)
                })?
            });
            return Ok([Some(Tensor::constant(slope))]);
        }
        // ‖x‖ = Σ x·y, with the history of both. Rows of zeros are masked out.
        let length = (&x * &y)?.sum_keepdim(-1)?;
        let zero = Tensor::zeros((), x.dtype(), x.device())?;
        let one = Tensor::ones((), x.dtype(), x.device())?;
        let some = length.ne(&zero)?;
        let slope = ((grad - &y * (grad * &y)?.sum_keepdim(-1)?)? / some.where_cond(&length, &one)?)?;
        Ok([Some(some.where_cond(&slope, &zero)?)])
    }
}

impl Tensor {
    /// Divides each row (along the last axis) by its p-norm, y = x / ‖x‖: p = 1 is the sum of |x|, 2 the Euclidean length and ∞ the
    /// largest |x|. A row of zeros stays zero.
    ///
    /// Norms that overflow or underflow when squared are accurate too. Gradient for p = 2: (g − y·Σ g·y) / ‖x‖; 0 for a row of
    /// zeros. Errors unless p > 0, and for a scalar.
    ///
    /// ```
    /// # use tealight::prelude::*;
    /// let x = Tensor::new(&[[0.0, 3.0, 4.0], [0.0, 0.0, 0.0]], &Device::Cpu)?;
    /// assert_eq!(x.normalize_rows(2.0)?.to_vec2::<f64>()?, [[0.0, 0.6, 0.8], [0.0; 3]]);
    /// assert_eq!(x.normalize_rows(f64::INFINITY)?.to_vec2::<f64>()?, [[0.0, 0.75, 1.0], [0.0; 3]]);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn normalize_rows(&self, p: f64) -> Result<Tensor> {
        const NAME: &str = "normalize_rows";
        float(NAME, self)?;
        if self.rank() == 0 {
            return Err(Error::shape(NAME, "one axis or more", &[self.dims()]));
        }
        if p.is_nan() || p <= 0.0 {
            return Err(Error::argument(NAME, "p > 0", format!("p = {p}")));
        }
        if p == 2.0 {
            return NormalizeRows.apply([self]);
        }
        in_f32([self], |[x]| x / or_infinite(&x.norm_keepdim(p, -1)?)?)
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{check, tensor};
    use crate::prelude::*;

    #[test]
    fn gradients() {
        for p in [1.0, 2.0, 3.0, f64::INFINITY] {
            check(&[0.3, -1.0, 2.0, 0.5], |x| x.normalize_rows(p));
        }
    }

    #[test]
    fn extremes() -> Result<()> {
        for scale in [1e-300, 1e-160, 1.0, 1e160, 1e300] {
            let y = tensor(&[3.0 * scale, -4.0 * scale]).normalize_rows(2.0)?.to_vec1::<f64>()?;
            assert!((y[0] - 0.6).abs() < 1e-15 && (y[1] + 0.8).abs() < 1e-15, "{scale}: {y:?}");
        }
        for scale in [1e-37_f32, 1e-20, 1e20, 1e37] {
            let y = Tensor::new(&[3.0 * scale, -4.0 * scale], &Device::Cpu)?
                .normalize_rows(2.0)?
                .to_vec1::<f32>()?;
            assert!((y[0] - 0.6).abs() < 1e-7 && (y[1] + 0.8).abs() < 1e-7, "{scale}: {y:?}");
        }
        // candle and numpy: NaN.
        let zero = Tensor::parameter(Tensor::zeros((2, 3), DType::F64, &Device::Cpu)?);
        let y = zero.normalize_rows(2.0)?;
        assert_eq!(y.to_vec2::<f64>()?, [[0.0; 3]; 2]);
        let slope = y.sum_all()?.backward()?.get(&zero).unwrap().to_vec2::<f64>()?;
        assert_eq!(slope, [[0.0; 3]; 2]);
        for p in [1.0, f64::INFINITY] {
            let y = zero.normalize_rows(p)?;
            assert_eq!(y.to_vec2::<f64>()?, [[0.0; 3]; 2]);
            let slope = y.sum_all()?.backward()?.get(&zero).unwrap().to_vec2::<f64>()?;
            assert_eq!(slope, [[0.0; 3]; 2]);
        }
        let error = zero.normalize_rows(-1.0).unwrap_err();
        assert_eq!(error.to_string(), "normalize_rows: expected p > 0, got p = -1");
        let [first] = autograd::grad(&y.sum_all()?, [&zero])?;
        let [second] = autograd::grad(&first.sum_all()?, [&zero])?;
        assert_eq!(second.to_vec2::<f64>()?, [[0.0; 3]; 2]);
        assert!(tensor(&[f64::NAN, 1.0]).normalize_rows(2.0)?.to_vec1::<f64>()?.iter().all(|x| x.is_nan()));
        assert_eq!(Tensor::zeros((2, 0), DType::F32, &Device::Cpu)?.normalize_rows(2.0)?.dims(), [2, 0]);
        assert!(matches!(Tensor::new(1.0, &Device::Cpu)?.normalize_rows(2.0), Err(Error::Shape { .. })));
        assert!(matches!(Tensor::new(&[1u8], &Device::Cpu)?.normalize_rows(2.0), Err(Error::Dtype { .. })));
        Ok(())
    }
}
