//! The variance, along axes or of all elements.

use super::axis::Axes;
use super::reduction::{ReducedAxes, float, in_memory};
use crate::autograd::array::with_float;
use crate::autograd::launch::launch;
use crate::autograd::{Array, Jacobian, Onnx, OnnxValue, Op, SaveContext, Saved, Tensor};
use crate::error::Result;
use crate::kernel::moments;

#[derive(Debug)]
pub(super) struct Var {
    pub(super) over: ReducedAxes,
    pub(super) ddof: usize,
}

impl Var {
    /// The variance, or its square root.
    pub(super) fn value(&self, op: &'static str, x: &Array, root: bool) -> Result<Array> {
        let dims = self.over.output(op, x)?;
        in_memory(x, |x| {
            let (n, width, ddof) = (dims.iter().product(), self.over.count(x.dims()), self.ddof);
            let rows = self.over.rows(x)?;
            with_float!(x.dtype(), T => {
                launch(op, [&rows], &dims, move |[x]| {
                    moments::variances::<T>(x.elements(), n, width, ddof, root)
                })
            })
        })
    }

    /// The variance. With a ddof it depends on the number of elements, which then must not be the batch size.
    pub(super) fn onnx_value(&self, onnx: &mut Onnx) -> Result<OnnxValue> {
        let variance = self.over.onnx_variance(self.over.keepdim, onnx);
        if self.ddof == 0 {
            return Ok(variance);
        }
        let count = self.over.count(onnx.dims(0)?) as f64;
        let factor = onnx.number(count / self.free(onnx.dims(0)?), onnx.dtype(0)?)?;
        Ok(onnx.node("Mul", &[variance, factor], &[]))
    }

    /// n − ddof, at least 0: a quotient by it is then infinite or NaN.
    pub(super) fn free(&self, dims: &[usize]) -> f64 {
        self.over.count(dims).saturating_sub(self.ddof) as f64
    }
}

impl Op<1> for Var {
    const NAME: &'static str = "var";

    fn forward(&self, [x]: [&Array; 1], ctx: &mut SaveContext) -> Result<Array> {
        ctx.save_input(0);
        self.value(Self::NAME, x, false)
    }

    fn onnx(&self, onnx: &mut Onnx) -> Result<OnnxValue> {
        self.onnx_value(onnx)
    }

    fn backward(&self, saved: &Saved, grad: &Tensor) -> Result<[Option<Tensor>; 1]> {
        let x = saved.input(0)?;
        let factor = (self.over.kept(grad, x.dims())? * (2.0 / self.free(x.dims())))?;
        Ok([Some((Center(self.over.clone()).apply([&x])? * factor)?)])
    }
}

/// x − mean: a projection that is its own transpose.
#[derive(Debug)]
pub(super) struct Center(pub(super) ReducedAxes);

impl Op<1> for Center {
    const NAME: &'static str = "center";

    fn forward(&self, [x]: [&Array; 1], _: &mut SaveContext) -> Result<Array> {
        in_memory(x, |x| {
            let (rows, width) = (self.0.rows(x)?, self.0.count(x.dims()));
            let centered = with_float!(x.dtype(), T => {
                launch(Self::NAME, [&rows], rows.dims(), move |[x]| moments::centered::<T>(x.elements(), width))?
            });
            self.0.unrows(&centered)
        })
    }

    fn jacobian(&self) -> Jacobian {
        Jacobian::Linear
    }

    fn backward(&self, _: &Saved, grad: &Tensor) -> Result<[Option<Tensor>; 1]> {
        Ok([Some(Center(self.0.clone()).apply([grad])?)])
    }
}

impl Tensor {
    /// The variances along `axes`, which are removed: Σ (x − mean)² / (n − ddof).
    ///
    /// `ddof` is 0 for the variance of the population (numpy's default), and 1 for the unbiased estimate from a sample (PyTorch's).
    /// Where n − ddof is 0 or less the sum is divided by 0, as there. The sums are accumulated in f64, after the mean is subtracted.
    /// The gradient is 2·(x − mean) / (n − ddof)·g.
    ///
    /// ```
    /// use tealight::prelude::*;
    /// let x = Tensor::new(&[[1.0, 2.0, 3.0], [0.0, 0.0, 9.0]], &Device::Cpu)?;
    /// assert_eq!(x.var(1, 1)?.to_vec1::<f64>()?, [1.0, 27.0]);
    /// assert_eq!(x.var(1, 0)?.to_vec1::<f64>()?, [2.0 / 3.0, 18.0]);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn var(&self, axes: impl Axes, ddof: usize) -> Result<Tensor> {
        float("var", self)?;
        Var { over: ReducedAxes::of("var", self, axes, false)?, ddof }.apply([self])
    }

    /// [`var`](Tensor::var), with the axes kept at length 1.
    pub fn var_keepdim(&self, axes: impl Axes, ddof: usize) -> Result<Tensor> {
        float("var_keepdim", self)?;
        Var { over: ReducedAxes::of("var_keepdim", self, axes, true)?, ddof }.apply([self])
    }

    /// The variance of all elements.
    pub fn var_all(&self, ddof: usize) -> Result<Tensor> {
        float("var_all", self)?;
        Var { over: ReducedAxes::all(self), ddof }.apply([self])
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{check, tensor};
    use crate::prelude::*;

    #[test]
    fn gradients() {
        let x = [0.3, -1.0, 2.0, 0.5, 1.5, -0.7];
        check(&x, |x| x.var(-1, 1));
        check(&x, |x| {
            let x = x.reshape((x.elem_count() / 2, 2))?;
            x.exp()?.var_keepdim(0, 0)? * x
        });
        check(&x, |x| x.sqr()?.var_all(2));
        check(&x, |x| x.reshape((3, 2, x.elem_count() / 6))?.var([0, -1], 1));
        check(&x, |x| x.reshape((3, 2, x.elem_count() / 6))?.exp()?.var_keepdim([0, 1], 0));
    }

    #[test]
    fn against_plain_loops() -> Result<()> {
        let plain = Tensor::randn_dtype(3.0, 2.0, (4, 5, 6), DType::F64, &mut Rng::seed(2))?;
        for x in [plain.permute(&[2, 0, 1])?, plain.narrow(1, 1, 3)?, plain] {
            let numbers = x.to_vec3::<f64>()?;
            let got = x.var([0, 2], 1)?.to_vec1::<f64>()?;
            for (j, got) in got.into_iter().enumerate() {
                let row: Vec<f64> = numbers.iter().flat_map(|part| part[j].clone()).collect();
                let mean = row.iter().sum::<f64>() / row.len() as f64;
                let squares: f64 = row.iter().map(|x| (x - mean).powi(2)).sum();
                assert!((got - squares / (row.len() - 1) as f64).abs() < 1e-13);
            }
            for dtype in [DType::F16, DType::BF16, DType::F32] {
                let (narrow, exact) =
                    (x.to_dtype(dtype)?.var(1, 0)?, x.to_dtype(dtype)?.to_dtype(DType::F64)?);
                assert_eq!(narrow.dtype(), dtype);
                let off = (narrow.to_dtype(DType::F64)? / exact.var(1, 0)?)? - 1.0;
                let limit = if dtype == DType::F32 { 1e-7 } else { 4e-3 };
                assert!(off?.abs()?.max_all()?.to_scalar::<f64>()? < limit, "{dtype:?}");
            }
        }
        Ok(())
    }

    #[test]
    fn a_large_mean_costs_nothing() -> Result<()> {
        // numpy's f32: 0.24 here; a formula of Σ x² and (Σ x)² would be negative.
        let x: Vec<f32> = (0..100_000).map(|i| 8_388_608.0 + (i % 2) as f32).collect();
        let x = Tensor::from_vec(x, 100_000, &Device::Cpu)?;
        assert_eq!(x.var_all(0)?.to_scalar::<f32>()?, 0.25);
        let x = tensor(&[1e9 + 4.0, 1e9 + 7.0, 1e9 + 13.0, 1e9 + 16.0]);
        assert_eq!(x.var_all(1)?.to_scalar::<f64>()?, 30.0);
        for dtype in [DType::F32, DType::F64] {
            let third = Tensor::full(1.0 / 3.0, 100_001, &Device::Cpu)?.to_dtype(dtype)?;
            assert_eq!(third.var_all(0)?.to_dtype(DType::F64)?.to_scalar::<f64>()?, 0.0);
        }
        Ok(())
    }

    #[test]
    fn extremes() -> Result<()> {
        let var = |x: &[f64], ddof| tensor(x).var(0, ddof)?.to_scalar::<f64>();
        assert!(var(&[], 0)?.is_nan() && var(&[5.0], 1)?.is_nan() && var(&[5.0], usize::MAX)?.is_nan());
        assert_eq!(var(&[5.0], 0)?, 0.0);
        assert_eq!(var(&[1.0, 2.0], 2)?, f64::INFINITY);
        assert!(var(&[1.0, f64::NAN], 0)?.is_nan() && var(&[1.0, f64::INFINITY], 0)?.is_nan());
        assert_eq!(var(&[1e308, -1e308], 0)?, f64::INFINITY);
        assert_eq!(var(&[1e-160, -1e-160], 0)?, 1e-160 * 1e-160);
        let x = Tensor::zeros((0, 3, 0), DType::F32, &Device::Cpu)?;
        assert_eq!(x.var(0, 0)?.dims(), [3, 0]);
        assert!(x.var([0, 2], 0)?.to_vec1::<f32>()?.iter().all(|x| x.is_nan()));
        assert_eq!(x.var_keepdim([0; 0], 0)?.dims(), [0, 3, 0]);
        assert_eq!(tensor(&[3.0]).i(0)?.var_all(0)?.to_scalar::<f64>()?, 0.0);
        let error = Tensor::new(&[1_u32], &Device::Cpu)?.var(0, 0).unwrap_err();
        assert_eq!(error.to_string(), "var: expected a float tensor (see to_dtype), got u32");
        assert!(matches!(x.var(3, 0), Err(Error::Axis { op: "var", .. })));
        assert!(matches!(x.var_keepdim([0, -3], 0), Err(Error::Argument { op: "var_keepdim", .. })));
        Ok(())
    }
}
