//! `narrow` and `chunk`: ranges of an axis as views.

use super::axis::Axis;
use crate::autograd::array::{contiguous, on_cpu, with_float};
use crate::autograd::launch::{Primitive, launch};
use crate::autograd::{Array, Jacobian, Onnx, OnnxAttribute, OnnxValue, Op, SaveContext, Saved, Tensor};
use crate::error::{Error, Result};
use crate::kernel::{self, Dims};

/// `len` positions along `axis`, from `start` on.
#[derive(Debug)]
struct Narrow {
    axis: usize,
    start: usize,
    len: usize,
}

impl Op<1> for Narrow {
    const NAME: &'static str = "narrow";

    fn forward(&self, [x]: [&Array; 1], _: &mut SaveContext) -> Result<Array> {
        view(x, self.axis, self.start, self.len)
    }

    fn onnx(&self, onnx: &mut Onnx) -> Result<OnnxValue> {
        let &Narrow { axis, start, len } = self;
        let (x, along) = (onnx.input(0), onnx.ints(&[axis as i64]));
        let bounds = [onnx.shape(&[start]), onnx.shape(&[start + len])];
        Ok(onnx.node("Slice", &[x, bounds[0], bounds[1], along], &[]))
    }

    fn jacobian(&self) -> Jacobian {
        Jacobian::Linear
    }

    fn backward(&self, saved: &Saved, grad: &Tensor) -> Result<[Option<Tensor>; 1]> {
        let &Narrow { axis, start, .. } = self;
        let to = saved.input_dims(0)?[axis];
        Ok([Some(Embed { axis, start, to }.apply([grad])?)])
    }
}

/// An empty range is taken at 0, as its start may be beyond the end of the data.
fn view(x: &Array, axis: usize, start: usize, len: usize) -> Result<Array> {
    let start = if len == 0 || x.elem_count() == 0 { 0 } else { start };
    Ok(x.narrow(axis, start, len)?)
}

/// Position `at` of `axis`, which is removed.
#[derive(Debug)]
struct Select {
    axis: usize,
    at: usize,
}

impl Op<1> for Select {
    const NAME: &'static str = "select";

    fn forward(&self, [x]: [&Array; 1], _: &mut SaveContext) -> Result<Array> {
        Ok(view(x, self.axis, self.at, 1)?.squeeze(self.axis)?)
    }

    fn onnx(&self, onnx: &mut Onnx) -> Result<OnnxValue> {
        let x = onnx.input(0);
        let at = onnx.int(self.at as i64);
        Ok(onnx.node("Gather", &[x, at], &[("axis", OnnxAttribute::Int(self.axis as i64))]))
    }

    fn jacobian(&self) -> Jacobian {
        Jacobian::Linear
    }

    fn backward(&self, saved: &Saved, grad: &Tensor) -> Result<[Option<Tensor>; 1]> {
        let &Select { axis, at } = self;
        let to = saved.input_dims(0)?[axis];
        Ok([Some(Embed { axis, start: at, to }.apply([&grad.unsqueeze(axis)?])?)])
    }
}

/// The transpose of [`Narrow`]: zeros with the input at `start` of `axis`, whose length becomes `to`.
#[derive(Debug)]
struct Embed {
    axis: usize,
    start: usize,
    to: usize,
}

impl Op<1> for Embed {
    const NAME: &'static str = "embed";

    fn forward(&self, [x]: [&Array; 1], _: &mut SaveContext) -> Result<Array> {
        let &Embed { axis, start, to } = self;
        let len = x.dims()[axis];
        if !on_cpu(x) {
            return Ok(x.pad_with_zeros(axis, start, to - start - len)?);
        }
        let mut dims = Dims::from_slice(x.dims());
        dims[axis] = to;
        let inner: usize = dims[axis + 1..].iter().product();
        let count = dims.iter().product();
        let outer = dims[..axis].iter().product();
        let what = (Self::NAME, || Primitive::Embed { sizes: [outer, to, inner], start, len });
        with_float!(x.dtype(), T => launch(what, [&contiguous(x)?], &dims, move |[x]| {
            // The system zeroes fresh memory only where it is touched.
            let mut out: Vec<T> = kernel::zeros(count);
            if len * inner > 0 {
                let rows = out.chunks_exact_mut(to * inner).zip(x.elements::<T>().chunks_exact(len * inner));
                rows.for_each(|(out, row)| out[start * inner..][..row.len()].copy_from_slice(row));
            }
            out
        }))
    }

    fn jacobian(&self) -> Jacobian {
        Jacobian::Linear
    }

    fn backward(&self, saved: &Saved, grad: &Tensor) -> Result<[Option<Tensor>; 1]> {
        let &Embed { axis, start, .. } = self;
        let len = saved.input_dims(0)?[axis];
        Ok([Some(Narrow { axis, start, len }.apply([grad])?)])
    }
}

/// [`Tensor::narrow`] of a range that the axis is known to have.
pub(super) fn narrowed(x: &Tensor, axis: usize, start: usize, len: usize) -> Result<Tensor> {
    if len == x.dims()[axis] { Ok(x.clone()) } else { Narrow { axis, start, len }.apply([x]) }
}

/// Position `at` of `axis`, which is known to have it and is removed.
pub(super) fn selected(x: &Tensor, axis: usize, at: usize) -> Result<Tensor> {
    Select { axis, at }.apply([x])
}

impl Tensor {
    /// Returns the `len` elements along `axis` from `start` on, as a view. Gradient: g, with zeros before and after it.
    ///
    /// ```
    /// # use tealight::prelude::*;
    /// let x = Tensor::new(&[[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]], &Device::Cpu)?;
    /// assert_eq!(x.narrow(-1, 1, 2)?.to_vec2::<f64>()?, [[2.0, 3.0], [5.0, 6.0]]);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    #[doc(alias = "slice")]
    pub fn narrow(&self, axis: impl Axis, start: usize, len: usize) -> Result<Tensor> {
        let axis = axis.to_index("narrow", self.dims())?;
        let size = self.dims()[axis];
        if start.checked_add(len).is_none_or(|end| end > size) {
            let expected = format!("start + len <= {size} on axis {axis} of shape {:?}", self.dims());
            return Err(Error::argument("narrow", expected, format!("start = {start} and len = {len}")));
        }
        narrowed(self, axis, start, len)
    }

    /// Splits the tensor along `axis` into `n` views whose lengths differ by at most 1, the longer ones first.
    ///
    /// An axis shorter than `n` gives one view per element. Gradient: as for [`narrow`](Tensor::narrow). Errors if n is 0.
    ///
    /// ```
    /// # use tealight::prelude::*;
    /// let parts = Tensor::arange(0.0, 5.0, &Device::Cpu)?.chunk(2, 0)?;
    /// assert_eq!(parts[0].to_vec1::<f64>()?, [0.0, 1.0, 2.0]);
    /// assert_eq!(parts[1].to_vec1::<f64>()?, [3.0, 4.0]);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    #[doc(alias = "array_split")]
    #[doc(alias = "tensor_split")]
    pub fn chunk(&self, n: usize, axis: impl Axis) -> Result<Vec<Tensor>> {
        let axis = axis.to_index("chunk", self.dims())?;
        if n == 0 {
            return Err(Error::argument("chunk", "at least one part", n));
        }
        let size = self.dims()[axis];
        let n = n.min(size.max(1));
        let starts = |i: usize| i * (size / n) + i.min(size % n);
        (0..n).map(|i| narrowed(self, axis, starts(i), starts(i + 1) - starts(i))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{check, tensor};
    use super::selected;
    use crate::prelude::*;

    #[test]
    fn gradients() {
        let x = [0.3, -1.0, 2.0, 0.5, 1.5, -0.7];
        check(&x, |x| x.narrow(-1, 1, 3));
        check(&x, |x| x.unsqueeze(0)?.narrow(-1, 2, 2)?.exp());
        check(&x, |x| selected(&x.sqr()?, x.rank() - 1, 4));
        check(&x, |x| {
            let parts = x.sqr()?.chunk(3, -1)?;
            &parts[0] * (&parts[2] - &parts[1])?
        });
        // An empty part has a gradient of zeros.
        check(&x, |x| x + x.narrow(0, 0, 0)?.sum_all());
    }

    #[test]
    fn views_of_views() -> Result<()> {
        for dtype in [DType::F16, DType::F32, DType::F64] {
            let x = Tensor::arange(0.0, 24.0, &Device::Cpu)?.reshape((2, 3, 4))?.to_dtype(dtype)?;
            let x = Tensor::parameter(x);
            let y = x.transpose(0, 2)?.narrow(0, 1, 2)?.narrow(1, 2, 1)?;
            assert_eq!(y.dims(), [2, 1, 2]);
            let values = y.to_dtype(DType::F64)?.to_vec3::<f64>()?;
            assert_eq!(values, [[[9.0, 21.0]], [[10.0, 22.0]]]);
            let gradients = y.sqr()?.sum_all()?.backward()?;
            let gradient = gradients.get(&x).unwrap().to_dtype(DType::F64)?;
            assert_eq!(gradient.sum_all()?.to_scalar::<f64>()?, 2.0 * (9.0 + 21.0 + 10.0 + 22.0));
            assert_eq!(gradient.to_vec3::<f64>()?[1][2], [0.0, 42.0, 44.0, 0.0]);
        }
        Ok(())
    }

    #[test]
    fn edges() -> Result<()> {
        let x = Tensor::arange(0u32, 12, &Device::Cpu)?.reshape((3, 4))?;
        assert_eq!(x.narrow(0, 3, 0)?.dims(), [0, 4]);
        // An empty part of an empty part, which would begin behind the end.
        let nothing = x.to_dtype(DType::F64)?.narrow(0, 3, 0)?.i((.., 3))?.exp()?;
        assert_eq!(nothing.to_vec1::<f64>()?, [0.0; 0]);
        let error = x.narrow(1, 3, 2).unwrap_err();
        let message =
            "narrow: expected start + len <= 4 on axis 1 of shape [3, 4], got start = 3 and len = 2";
        assert_eq!(error.to_string(), message);
        assert!(matches!(x.narrow(0, 1, usize::MAX), Err(Error::Argument { .. })));
        assert!(matches!(x.narrow(2, 0, 1), Err(Error::Axis { axis: 2, .. })));
        assert!(matches!(Tensor::new(1.0, &Device::Cpu)?.narrow(0, 0, 1), Err(Error::Axis { .. })));
        // candle divides by zero.
        assert!(matches!(x.chunk(0, 0), Err(Error::Argument { .. })));
        let lengths = |n| -> Result<Vec<usize>> {
            Ok(tensor(&[0.0; 10]).chunk(n, 0)?.iter().map(Tensor::elem_count).collect())
        };
        assert_eq!(lengths(1)?, [10]);
        assert_eq!(lengths(4)?, [3, 3, 2, 2]);
        assert_eq!(lengths(usize::MAX)?, [1; 10]);
        assert_eq!(Tensor::zeros((2, 0), DType::F32, &Device::Cpu)?.chunk(3, 1)?.len(), 1);
        Ok(())
    }
}
