//! Cumulative sums, and the scans that `cumprod` shares.

use candle_core::WithDType;

use super::axis::Axis;
use super::onnx::counted;
use super::reduction::{around, in_memory, integers};
use crate::autograd::array::{contiguous, with_float};
use crate::autograd::launch::{Primitive, launch};
use crate::autograd::{Array, Jacobian, Onnx, OnnxAttribute, OnnxValue, Op, SaveContext, Saved, Tensor};
use crate::error::Result;
use crate::kernel::scan::{Walk, scan};

/// The cumulative sums along `axis`, from its start or from its end: each is the transpose of the other.
#[derive(Debug)]
struct CumSum {
    axis: usize,
    reverse: bool,
}

/// A scan of integers in main memory, in their own type.
pub(super) fn scan_integers<T: WithDType + Default>(
    x: &Array,
    axis: usize,
    start: T,
    step: impl Fn(T, T) -> T + Send + Sync + 'static,
) -> Result<Array> {
    let shape = around(x.dims(), axis);
    launch("scan", [&contiguous(x)?], x.dims(), move |[x]| {
        scan([x.elements(); 2], shape, Walk::default(), start, |a, x, _: T| step(a, x), |a| a)
    })
}

/// A scan of floats that accumulates in f64; `text` is `step` for [`Primitive::Scan`].
pub(super) fn scan_floats(
    x: &Array,
    axis: usize,
    walk: Walk,
    start: f64,
    step: impl Fn(f64, f64) -> f64 + Send + Sync + 'static,
    text: &'static str,
) -> Result<Array> {
    in_memory(x, |x| {
        let shape = around(x.dims(), axis);
        let what = ("scan", || Primitive::Scan { sizes: shape, walk: Some(walk), start, step: text });
        with_float!(x.dtype(), T => launch(what, [&contiguous(x)?], x.dims(), move |[x]| {
            scan([x.elements(); 2], shape, walk, start, |a, x: T, _: T| step(a, x.to_f64()), T::from_f64)
        }))
    })
}

impl Op<1> for CumSum {
    const NAME: &'static str = "cumsum";

    fn forward(&self, [x]: [&Array; 1], _: &mut SaveContext) -> Result<Array> {
        let &CumSum { axis, reverse } = self;
        if x.dtype().is_int() {
            let add = |x: &Array| scan_integers(x, axis, 0, u32::wrapping_add);
            return integers(x, add, |x| scan_integers(x, axis, 0, i64::wrapping_add));
        }
        // A sum that starts with −0 keeps the sign of zeros.
        scan_floats(x, axis, Walk { reverse, exclusive: false }, -0.0, |total, a| total + a, "total + a")
    }

    fn onnx(&self, onnx: &mut Onnx) -> Result<OnnxValue> {
        let x = onnx.input(0);
        let x = counted(x, onnx.dtype(0)?, onnx)?;
        let axis = onnx.int(self.axis as i64);
        Ok(onnx.node("CumSum", &[x, axis], &[("reverse", OnnxAttribute::Int(i64::from(self.reverse)))]))
    }

    fn jacobian(&self) -> Jacobian {
        Jacobian::Linear
    }

    fn backward(&self, _: &Saved, grad: &Tensor) -> Result<[Option<Tensor>; 1]> {
        Ok([Some(CumSum { axis: self.axis, reverse: !self.reverse }.apply([grad])?)])
    }
}

impl Tensor {
    /// Computes the cumulative sums along `axis`: each element plus all before it. The shape stays.
    ///
    /// Floats are added in f64, so the error does not grow with the length. Integers wrap around; u8 are added as u32.
    /// Gradient: the cumulative sum of g from the other end.
    ///
    /// ```
    /// # use tealight::prelude::*;
    /// let x = Tensor::new(&[[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]], &Device::Cpu)?;
    /// assert_eq!(x.cumsum(1)?.to_vec2::<f64>()?, [[1.0, 3.0, 6.0], [4.0, 9.0, 15.0]]);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn cumsum(&self, axis: impl Axis) -> Result<Tensor> {
        CumSum { axis: axis.to_index("cumsum", self.dims())?, reverse: false }.apply([self])
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{check, tensor};
    use crate::prelude::*;

    #[test]
    fn gradients() {
        let x = [0.3, -1.0, 2.0, 0.5, 1.5, -0.7];
        check(&x, |x| x.cumsum(-1));
        check(&x, |x| x.exp()?.cumsum(0));
        check(&x, |x| x.reshape((x.elem_count() / 6, 3, 2))?.sqr()?.cumsum(1));
    }

    #[test]
    fn the_error_does_not_grow() -> Result<()> {
        let x = Tensor::full(0.1_f32, (1_000_000, 2), &Device::Cpu)?;
        for (x, axis) in [(x.t()?, 1), (x, 0)] {
            let last = x.cumsum(axis)?.narrow(axis, 999_999, 1)?.flatten(0, -1)?.to_vec1::<f32>()?;
            assert_eq!(last, [(f64::from(0.1_f32) * 1e6) as f32; 2]);
        }
        let half = Tensor::ones(3000, DType::F16, &Device::Cpu)?.cumsum(0)?.to_dtype(DType::F32)?;
        assert_eq!(half.i(2999)?.to_scalar::<f32>()?, 3000.0);
        Ok(())
    }

    #[test]
    fn edges() -> Result<()> {
        let sums = tensor(&[-0.0, 1.0, f64::INFINITY, f64::NEG_INFINITY, 1.0]).cumsum(0)?.to_vec1::<f64>()?;
        assert!(sums[0] == 0.0 && sums[0].is_sign_negative());
        assert_eq!(sums[1..3], [1.0, f64::INFINITY]);
        assert!(sums[3..].iter().all(|x| x.is_nan()));
        assert_eq!(Tensor::zeros((2, 0, 3), DType::F32, &Device::Cpu)?.cumsum(1)?.dims(), [2, 0, 3]);
        assert_eq!(Tensor::zeros((2, 0, 3), DType::I64, &Device::Cpu)?.cumsum(0)?.dims(), [2, 0, 3]);
        let bytes = Tensor::new(&[200_u8, 100], &Device::Cpu)?;
        assert_eq!(bytes.cumsum(0)?.to_vec1::<u32>()?, [200, 300]);
        let large = Tensor::new(&[[i64::MAX], [1]], &Device::Cpu)?;
        assert_eq!(large.cumsum(0)?.to_vec2::<i64>()?, [[i64::MAX], [i64::MIN]]);
        let repeated = Tensor::new(&[1_u32], &Device::Cpu)?.broadcast_to((2, 3))?;
        assert_eq!(repeated.cumsum(-1)?.to_vec2::<u32>()?, [[1, 2, 3]; 2]);
        let error = tensor(&[1.0]).cumsum(1).unwrap_err();
        assert_eq!(error.to_string(), "cumsum: expected an axis from -1 to 0, got axis 1 of shape [1]");
        assert!(matches!(tensor(&[1.0]).i(0)?.cumsum(0), Err(Error::Axis { .. })));
        Ok(())
    }
}
