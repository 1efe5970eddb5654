//! p-norms. They are accurate also where the powers of the elements would overflow or underflow.

use super::axis::Axes;
use super::max::Extremum;
use super::reduction::{ReducedAxes, float, in_memory, or_infinite};
use super::sum::Sum;
use crate::autograd::array::with_float;
use crate::autograd::launch::launch;
use crate::autograd::{Array, Onnx, OnnxValue, Op, SaveContext, Saved, Tensor};
use crate::error::{Error, Result};
use crate::kernel::moments;

/// The norm of a finite p > 0.
#[derive(Debug)]
struct Norm {
    over: ReducedAxes,
    p: f64,
}

impl Op<1> for Norm {
    const NAME: &'static str = "norm";

    fn forward(&self, [x]: [&Array; 1], ctx: &mut SaveContext) -> Result<Array> {
        ctx.save_input(0);
        ctx.save_output();
        let dims = self.over.output(Self::NAME, x)?;
        in_memory(x, |x| {
            let (n, width, p) = (dims.iter().product(), self.over.count(x.dims()), self.p);
            let rows = self.over.rows(x)?;
            with_float!(x.dtype(), T => {
                launch(Self::NAME, [&rows], &dims, move |[x]| moments::norms::<T>(x.elements(), n, width, p))
            })
        })
    }

    fn onnx(&self, onnx: &mut Onnx) -> Result<OnnxValue> {
        if self.p == 2.0 {
            return Ok(self.over.onnx_lengths(self.over.keepdim, onnx));
        }
        let (x, dtype) = (onnx.input(0), onnx.dtype(0)?);
        let (p, root) = (onnx.number(self.p, dtype)?, onnx.number(self.p.recip(), dtype)?);
        let sizes = onnx.node("Abs", &[x], &[]);
        let powers = onnx.node("Pow", &[sizes, p], &[]);
        let sum = self.over.onnx_of("ReduceSum", powers, self.over.keepdim, onnx);
        Ok(onnx.node("Pow", &[sum, root], &[]))
    }

    fn backward(&self, saved: &Saved, grad: &Tensor) -> Result<[Option<Tensor>; 1]> {
        let x = saved.input(0)?;
        let length = self.over.kept(&saved.output()?, x.dims())?;
        let slope = if self.p == 2.0 {
            // 0 for a vector of zeros, whose second derivative is 0/0: it has none.
            let zero = Tensor::zeros((), x.dtype(), x.device())?;
            length.eq(&zero)?.where_cond(&zero, &(&x / &length)?)?
        } else {
            power(&x, &(&x / or_infinite(&length)?)?, self.p - 1.0)?
        };
        Ok([Some((slope * self.over.kept(grad, x.dims())?)?)])
    }
}

/// sign(x)·|share|ᶜ, where both have the same sign. Where x is 0 the power and its slope may be infinite, so it is masked out.
fn power(x: &Tensor, share: &Tensor, c: f64) -> Result<Tensor> {
    let [zero, one] = [Tensor::zeros((), x.dtype(), x.device())?, Tensor::ones((), x.dtype(), x.device())?];
    let is_zero = x.eq(&zero)?;
    let size = is_zero.where_cond(&one, &share.abs()?)?.powf(c)?;
    let signed = x.gt(&zero)?.where_cond(&size, &size.neg()?)?;
    is_zero.where_cond(&zero, &signed)
}

pub(super) fn norm(op: &'static str, x: &Tensor, p: f64, over: ReducedAxes) -> Result<Tensor> {
    float(op, x)?;
    if p == 0.0 {
        let zero = Tensor::zeros((), x.dtype(), x.device())?;
        return Sum(over).apply([&x.ne(&zero)?])?.to_dtype(x.dtype());
    }
    if p == 1.0 || p == f64::INFINITY && over.count(x.dims()) == 0 {
        return Sum(over).apply([&x.abs()?]);
    }
    if p == f64::INFINITY {
        return Extremum::<true>(over).apply([&x.abs()?]);
    }
    if p == f64::NEG_INFINITY {
        return Extremum::<false>(over).apply([&x.abs()?]);
    }
    if p > 0.0 { Norm { over, p }.apply([x]) } else { Err(Error::argument(op, "p >= 0, or -inf", p)) }
}

impl Tensor {
    /// Computes the p-norms (Σ |x|ᵖ)^(1/p) along `axes`, which are removed.
    ///
    /// p = 2 is the Euclidean norm, p = ∞ gives the largest |x|, −∞ the smallest, and 0 counts the elements that are not 0
    /// (without gradient). Over no elements the norm is 0, but an error for p = −∞.
    ///
    /// Gradient: g·sign(x)·(|x| / y)ᵖ⁻¹, for p = 2 g·x / y; 0 for a vector of zeros and at an element 0. For p = ±∞ tied
    /// elements share it equally. The second derivative of the Euclidean norm at 0 does not exist and is NaN, as in PyTorch; that of its
    /// square is right with `x.sqr()?.sum(..)`. Errors if p is negative (except −∞) or NaN.
    ///
    /// ```
    /// # use tealight::prelude::*;
    /// let x = Tensor::new(&[[3.0, -4.0], [0.0, 0.0]], &Device::Cpu)?;
    /// assert_eq!(x.norm(2.0, 1)?.to_vec1::<f64>()?, [5.0, 0.0]);
    /// assert_eq!(x.norm(f64::INFINITY, 1)?.to_vec1::<f64>()?, [4.0, 0.0]);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    #[doc(alias = "vector_norm")]
    pub fn norm(&self, p: f64, axes: impl Axes) -> Result<Tensor> {
        norm("norm", self, p, ReducedAxes::of("norm", self, axes, false)?)
    }

    /// [`norm`](Tensor::norm) with the axes kept at length 1.
    pub fn norm_keepdim(&self, p: f64, axes: impl Axes) -> Result<Tensor> {
        norm("norm_keepdim", self, p, ReducedAxes::of("norm_keepdim", self, axes, true)?)
    }

    /// [`norm`](Tensor::norm) over all elements, as a scalar. With p = 2 it is the Frobenius norm of a matrix.
    pub fn norm_all(&self, p: f64) -> Result<Tensor> {
        norm("norm_all", self, p, ReducedAxes::all(self))
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
        for p in [2.0, 1.0, 3.0, 2.5, 0.5, INFINITY, -INFINITY] {
            check(&x, |x| x.norm(p, -1));
            check(&x, |x| x.sqr()?.norm_keepdim(p, 0)? * x);
            check(&x, |x| x.norm_all(p));
            check(&x, |x| x.reshape((3, 2, x.elem_count() / 6))?.norm(p, [0, -1]));
        }
        // An element of 0 is no kink of an even power.
        check(&[0.3, 0.0, -2.0], |x| x.norm(2.0, -1));
        check(&[0.3, 0.0, -2.0], |x| x.norm(4.0, -1));
    }

    #[test]
    fn no_power_overflows_or_vanishes() -> Result<()> {
        for scale in [1e-315, 1e-300, 1e-160, 1.0, 1e160, 1e307] {
            for (p, expected) in [(2.0, 5.0), (1.0, 7.0), (3.0, 91_f64.cbrt()), (0.5, 7.0 + 48_f64.sqrt())] {
                let x = Tensor::parameter(tensor(&[3.0 * scale, -4.0 * scale]));
                let y = x.norm(p, 0)?;
                let off = y.to_scalar::<f64>()? / (expected * scale) - 1.0;
                assert!(off.abs() < if scale < 1e-310 { 1e-7 } else { 1e-14 }, "{scale} {p}: {off}");
                let slope = y.backward()?.get(&x).unwrap().to_vec1::<f64>()?;
                let exact = [3_f64, 4.0].map(|x| (x / expected).powf(p - 1.0));
                let off = (slope[0] / exact[0] - 1.0).abs().max((slope[1] / -exact[1] - 1.0).abs());
                assert!(off < if scale < 1e-310 { 1e-7 } else { 1e-14 }, "{scale} {p}: {slope:?}");
            }
        }
        for scale in [1e-44_f32, 1e-37, 1e-20, 1e20, 6e37] {
            let x = Tensor::new(&[3.0 * scale, -4.0 * scale], &Device::Cpu)?;
            assert!((x.norm(2.0, 0)?.to_scalar::<f32>()? / (5.0 * scale) - 1.0).abs() < 0.05, "{scale}");
        }
        for dtype in [DType::F16, DType::BF16] {
            // 300² is no f16.
            let x = Tensor::new(&[[300.0, 400.0]], &Device::Cpu)?.to_dtype(dtype)?;
            let y = x.norm(2.0, 1)?;
            assert_eq!((y.dtype(), y.to_dtype(DType::F64)?.to_vec1::<f64>()?), (dtype, vec![500.0]));
        }
        Ok(())
    }

    #[test]
    fn zero_is_flat() -> Result<()> {
        for p in [2.0, 1.0, 3.0, 1.5, 0.5, INFINITY, -INFINITY] {
            let x = Tensor::parameter(Array::zeros((2, 3), DType::F64, &Device::Cpu)?);
            let y = x.norm(p, 1)?;
            assert_eq!(y.to_vec1::<f64>()?, [0.0, 0.0]);
            let slope = y.sum_all()?.backward()?.get(&x).unwrap().to_vec2::<f64>()?;
            assert_eq!(slope, [[0.0; 3]; 2], "{p}");
        }
        // A penalty on the gradient's length, which is 0 here.
        let x = Tensor::parameter(tensor(&[0.0, 0.0]));
        let [first] = autograd::grad(&x.sqr()?.sum_all()?, [&x])?;
        let penalty = first.norm(2.0, 0)?.sqr()?;
        assert_eq!(penalty.backward()?.get(&x).unwrap().to_vec1::<f64>()?, [0.0, 0.0]);
        Ok(())
    }

    #[test]
    fn edges() -> Result<()> {
        let x = tensor(&[-2.0, 0.0, 2.0, -0.0, 1.0]);
        let norm = |x: &Tensor, p| x.norm(p, 0)?.to_scalar::<f64>();
        assert_eq!(norm(&x, 0.0)?, 3.0);
        assert!(!Tensor::parameter(x.array().clone()).norm(0.0, 0)?.requires_grad());
        let leaf = Tensor::parameter(x.array().clone());
        let slope = leaf.norm(INFINITY, 0)?.backward()?.get(&leaf).unwrap().to_vec1::<f64>()?;
        assert_eq!(slope, [-0.5, 0.0, 0.5, 0.0, 0.0]);
        for p in [1.0, 2.0, 3.0, INFINITY] {
            assert_eq!(norm(&tensor(&[]), p)?, 0.0);
            assert_eq!(norm(&tensor(&[1.0, -INFINITY]), p)?, INFINITY);
            assert!(norm(&tensor(&[1.0, f64::NAN, INFINITY]), p)?.is_nan());
            assert_eq!(x.i(2)?.norm_all(p)?.to_scalar::<f64>()?, 2.0);
            assert_eq!(Tensor::zeros((0, 3), DType::F32, &Device::Cpu)?.norm_keepdim(p, 1)?.dims(), [0, 1]);
        }
        assert_eq!(norm(&tensor(&[]), 0.0)?, 0.0);
        assert!(matches!(tensor(&[]).norm(-INFINITY, 0), Err(Error::Shape { .. })));
        for p in [-1.0, f64::NAN, -1e-300] {
            assert!(matches!(x.norm(p, 0), Err(Error::Argument { op: "norm", .. })));
        }
        assert_eq!(x.norm_all(-2.0).unwrap_err().to_string(), "norm_all: expected p >= 0, or -inf, got -2");
        assert!(matches!(x.norm(2.0, [0, 0]), Err(Error::Argument { .. })));
        assert!(matches!(x.norm_keepdim(2.0, 1), Err(Error::Axis { op: "norm_keepdim", .. })));
        let error = Tensor::new(&[1_i64], &Device::Cpu)?.norm(1.0, 0).unwrap_err();
        assert_eq!(error.to_string(), "norm: expected a float tensor (see to_dtype), got i64");
        Ok(())
    }
}
