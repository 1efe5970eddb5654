//! Operations with masks (u8 tensors, where 0 is false), and `nonzero`.

use candle_core::{DType, Device};

use super::create::{checked, scalar};
use super::narrow::narrowed;
use super::take::{Places, same_kind, taken, written};
use crate::autograd::array::{contiguous, elements, numbers};
use crate::autograd::{self, Array, Tensor, launch, traced};
use crate::error::{Error, Result};
use crate::kernel::{self, broadcast_dims};

/// The elements where `mask`, broadcast to `dims`, is not 0.
fn marked(mask: &Tensor, dims: &[usize]) -> Result<Places> {
    let starts = flat_nonzero(&mask.array().broadcast_as(dims)?)?;
    Places::new(starts.into_iter(), 1, dims.iter().product())
}

/// The row-major indices of the elements that are not 0.
fn flat_nonzero(x: &Array) -> Result<Vec<usize>> {
    launch::refuse_reading("where it is not 0", x);
    match x.dtype() {
        DType::U8 => Ok(kernel::nonzero(&elements::<u8>(&contiguous(&x.to_device(&Device::Cpu)?)?)?)),
        _ => Ok(kernel::nonzero(&numbers(x)?)),
    }
}

/// The shape of x and mask, broadcast together.
fn common_shape(op: &'static str, x: &Tensor, mask: &Tensor) -> Result<Vec<usize>> {
    if mask.dtype() != DType::U8 {
        return Err(Error::dtype(op, "a u8 mask (as comparisons give)", &[mask.dtype()]));
    }
    let all = [x.dims(), mask.dims()];
    let dims = broadcast_dims(all[0], all[1]);
    let dims = dims.ok_or_else(|| Error::shape(op, "a mask that broadcasts with the tensor", &all))?;
    checked(op, dims[..].into(), x.dtype().size_in_bytes())?;
    Ok(dims.into_vec())
}

/// Errors if the mask does not broadcast to the shape of x.
fn check_mask(op: &'static str, x: &Tensor, mask: &Tensor) -> Result<()> {
    if common_shape(op, x, mask)? != x.dims() {
        let got = [x.dims(), mask.dims()];
        return Err(Error::shape(op, "a mask that broadcasts to the tensor's shape", &got));
    }
    Ok(())
}

impl Tensor {
    /// Returns the elements where the mask is not 0, as a vector in row-major order.
    ///
    /// The tensor and the mask (u8) broadcast. Gradient: g where the mask is not 0, 0 elsewhere.
    ///
    /// ```
    /// # use tealight::prelude::*;
    /// let x = Tensor::new(&[[1.0, 2.0], [3.0, 4.0]], &Device::Cpu)?;
    /// let mask = Tensor::new(&[[1_u8, 0], [0, 1]], &Device::Cpu)?;
    /// assert_eq!(x.masked_select(&mask)?.to_vec1::<f64>()?, [1.0, 4.0]);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    #[doc(alias = "extract")]
    pub fn masked_select(&self, mask: &Tensor) -> Result<Tensor> {
        let dims = common_shape("masked_select", self, mask)?;
        let marked = marked(mask, &dims)?;
        let count = marked.count();
        let x = if self.dims() == dims { self.clone() } else { autograd::broadcast_to(self, &dims)? };
        traced(&[self, mask], || taken(&x, marked, &[count]), |onnx| Err(onnx.no_form("masked_select")))
    }

    /// Returns a copy with `value` where the mask (u8, broadcast to this shape) is not 0.
    ///
    /// Gradient: g where the mask is 0, 0 elsewhere. Errors if an integer dtype cannot hold the value.
    ///
    /// ```
    /// # use tealight::prelude::*;
    /// let x = Tensor::new(&[[1.0, 2.0], [3.0, 4.0]], &Device::Cpu)?;
    /// let mask = Tensor::new(&[1_u8, 0], &Device::Cpu)?;
    /// assert_eq!(x.masked_fill(&mask, -1.0)?.to_vec2::<f64>()?, [[-1.0, 2.0], [-1.0, 4.0]]);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn masked_fill(&self, mask: &Tensor, value: f64) -> Result<Tensor> {
        check_mask("masked_fill", self, mask)?;
        mask.where_cond(&scalar("masked_fill", value, self.dtype(), self.device())?, self)
    }

    /// Returns a copy with elements of `source`, taken in order, where the mask (u8, broadcast to this shape) is not 0.
    ///
    /// The source has any shape; elements that are left over are not used. Gradient: for this tensor g where the mask is 0;
    /// for each element of the source g where it went.
    ///
    /// # Errors
    /// Errors if the source has fewer elements than the mask marks.
    ///
    /// ```
    /// # use tealight::prelude::*;
    /// let x = Tensor::zeros(4, DType::F64, &Device::Cpu)?;
    /// let mask = Tensor::new(&[0_u8, 1, 0, 1], &Device::Cpu)?;
    /// let source = Tensor::new(&[5.0, 6.0, 7.0], &Device::Cpu)?;
    /// assert_eq!(x.masked_scatter(&mask, &source)?.to_vec1::<f64>()?, [0.0, 5.0, 0.0, 6.0]);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    #[doc(alias = "place")]
    pub fn masked_scatter(&self, mask: &Tensor, source: &Tensor) -> Result<Tensor> {
        const OP: &str = "masked_scatter";
        check_mask(OP, self, mask)?;
        same_kind(OP, self, source)?;
        let marked = marked(mask, self.dims())?;
        let count = marked.count();
        if source.elem_count() < count {
            let expected = format!("at least {count} elements in the source, as many as the mask marks");
            return Err(Error::argument(OP, expected, source.elem_count()));
        }
        let source = source.reshape(source.elem_count())?;
        let compute = || written(self, &narrowed(&source, 0, 0, count)?, marked);
        traced(&[self, mask, &source], compute, |onnx| Err(onnx.no_form(OP)))
    }

    /// Returns the indices of the elements that are not 0, one per row, in row-major order. NaN is not 0.
    ///
    /// Shapes: any to (count, rank), as i64.
    ///
    /// ```
    /// # use tealight::prelude::*;
    /// let x = Tensor::new(&[[0.0, 2.0], [3.0, 0.0]], &Device::Cpu)?;
    /// assert_eq!(x.nonzero()?.to_vec2::<i64>()?, [[0, 1], [1, 0]]);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    #[doc(alias = "argwhere")]
    pub fn nonzero(&self) -> Result<Tensor> {
        checked("nonzero", self.shape().into(), self.dtype().size_in_bytes())?;
        let found = flat_nonzero(self.array())?;
        let shape = checked("nonzero", (found.len(), self.rank()).into(), size_of::<i64>())?;
        let steps = kernel::strides(self.dims());
        let indices = found.iter().flat_map(|flat| {
            let along = move |(step, size): (&usize, &usize)| (flat / step % size) as i64;
            steps.iter().zip(self.dims()).map(along)
        });
        let indices = Array::from_vec(indices.collect::<Vec<i64>>(), shape, self.device())?;
        traced(&[self], || Ok(indices.into()), |onnx| Err(onnx.no_form("nonzero")))
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{check, check2, tensor};
    use crate::prelude::*;

    fn mask(marks: &[u8]) -> Tensor {
        Tensor::new(marks, &Device::Cpu).unwrap()
    }

    #[test]
    fn gradients() {
        let x = [0.3, -1.0, 2.0, 0.5, 1.5, -0.7];
        let marks = mask(&[0, 1, 1, 0, 255, 0]);
        check(&x, |x| x.exp()?.masked_select(&marks)?.sqr());
        check(&x, |x| x.exp()?.masked_fill(&marks, 3.0)? * x);
        check(&x, |x| x.exp()?.masked_scatter(&marks, &x.sqr()?));
        // The tensor, or the mask, is repeated.
        let rows = marks.reshape((3, 2)).unwrap();
        check(&x, |x| x.flatten(0, -1)?.unsqueeze(-1)?.unsqueeze(-1)?.sqr()?.masked_select(&rows));
        check2(|a, b| {
            let x = (a * b)?;
            let marks = x.gt(&x.mean_all()?)?;
            x.masked_scatter(&marks, &(a + b)?)?.masked_fill(&marks.eq(&marks.zeros_like()?)?, 2.0)
        });
    }

    #[test]
    fn every_dtype() -> Result<()> {
        let marks = Tensor::new(&[[1_u8], [0]], &Device::Cpu)?;
        for dtype in [DType::U8, DType::U32, DType::I64, DType::F16, DType::BF16, DType::F32, DType::F64] {
            // A strided view: [[0, 2, 4], [1, 3, 5]].
            let x = Tensor::arange(0.0, 6.0, &Device::Cpu)?.reshape((3, 2))?.t()?.to_dtype(dtype)?;
            let wide = |x: Tensor| x.to_dtype(DType::F64);
            assert_eq!(wide(x.masked_select(&marks)?)?.to_vec1::<f64>()?, [0.0, 2.0, 4.0], "{dtype:?}");
            let filled = wide(x.masked_fill(&marks, 9.0)?)?.to_vec2::<f64>()?;
            assert_eq!(filled, [[9.0; 3], [1.0, 3.0, 5.0]]);
            let scattered = wide(x.masked_scatter(&marks, &x.t()?)?)?.to_vec2::<f64>()?;
            assert_eq!(scattered, [[0.0, 1.0, 2.0], [1.0, 3.0, 5.0]]);
            assert_eq!(x.nonzero()?.to_vec2::<i64>()?, [[0, 1], [0, 2], [1, 0], [1, 1], [1, 2]]);
        }
        Ok(())
    }

    #[test]
    fn what_is_replaced_does_not_matter() -> Result<()> {
        let x = Tensor::parameter(tensor(&[f64::NAN, f64::INFINITY, 1.0]));
        let y = x.masked_fill(&mask(&[1, 1, 0]), f64::NEG_INFINITY)?;
        assert_eq!(y.to_vec1::<f64>()?, [f64::NEG_INFINITY, f64::NEG_INFINITY, 1.0]);
        let gradients = y.exp()?.sum_all()?.backward()?;
        assert_eq!(gradients.get(&x).unwrap().to_vec1::<f64>()?, [0.0, 0.0, 1_f64.exp()]);
        assert_eq!(tensor(&[f64::NAN, -0.0, 0.0]).nonzero()?.to_vec2::<i64>()?, [[0]]);
        Ok(())
    }

    #[test]
    fn edges() -> Result<()> {
        let x = tensor(&[1.0, 2.0, 3.0]);
        assert_eq!(x.masked_select(&mask(&[0]))?.dims(), [0]);
        assert_eq!(x.i(0)?.masked_select(&mask(&[1, 0, 1]))?.to_vec1::<f64>()?, [1.0, 1.0]);
        assert_eq!(tensor(&[]).masked_select(&mask(&[1]))?.dims(), [0]);
        assert_eq!(tensor(&[]).masked_scatter(&mask(&[1]), &x)?.dims(), [0]);
        for (number, rows) in [(0.0, 0), (2.0, 1)] {
            let scalar = Tensor::new(number, &Device::Cpu)?;
            assert_eq!(scalar.nonzero()?.dims(), [rows, 0]);
        }
        assert_eq!(Tensor::zeros((0, 3), DType::F32, &Device::Cpu)?.nonzero()?.dims(), [0, 2]);
        let error = x.masked_scatter(&mask(&[1]), &x.i(..2)?).unwrap_err();
        let message =
            "masked_scatter: expected at least 3 elements in the source, as many as the mask marks, got 2";
        assert_eq!(error.to_string(), message);
        let error = x.masked_fill(&Tensor::ones((2, 3), DType::U8, &Device::Cpu)?, 0.0).unwrap_err();
        let message =
            "masked_fill: expected a mask that broadcasts to the tensor's shape, got [3] and [2, 3]";
        assert_eq!(error.to_string(), message);
        assert!(matches!(x.masked_select(&mask(&[1, 0])), Err(Error::Shape { .. })));
        assert!(matches!(x.masked_select(&x), Err(Error::Dtype { .. })));
        assert!(matches!(x.masked_scatter(&mask(&[1]), &mask(&[1, 2, 3])), Err(Error::Dtype { .. })));
        assert!(matches!(mask(&[1]).masked_fill(&mask(&[1]), 0.5), Err(Error::Argument { .. })));
        Ok(())
    }
}
