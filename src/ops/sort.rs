//! Sorting, and the largest elements.

use candle_core::{DType, Device};

use super::axis::Axis;
use super::narrow::narrowed;
use super::onnx::counted;
use super::reduction::with_number;
use crate::autograd::array::contiguous;
use crate::autograd::launch::launch;
use crate::autograd::{Array, OnnxAttribute, Tensor, traced};
use crate::error::{Error, Result};
use crate::kernel::Dims;
use crate::kernel::order::{Order, places};

/// The indices of the first `k` elements along `axis`.
fn indices(op: &'static str, x: &Tensor, axis: usize, k: usize, order: Order) -> Result<Array> {
    let (dims, width) = (x.dims(), x.dims()[axis]);
    if u32::try_from(width).is_err() {
        let expected = format!("fewer than 2^32 elements along axis {axis}");
        return Err(Error::shape(op, expected, &[dims]));
    }
    let last = dims.len() - 1;
    let mut result = Dims::from_slice(dims);
    result[axis] = k;
    if result.contains(&0) {
        return Ok(Array::zeros(&result[..], DType::U32, x.device())?);
    }
    let rows = &contiguous(&x.array().to_device(&Device::Cpu)?.transpose(axis, last)?)?;
    result.swap(axis, last);
    let found = with_number!(rows, T => {
        launch(op, [rows], &result, move |[x]| places(x.elements::<T>(), width, k, order))?
    });
    contiguous(&found.transpose(axis, last)?.to_device(x.device())?)
}

/// [`indices`], as ONNX has them.
fn traced_indices(op: &'static str, x: &Tensor, axis: usize, k: usize, order: Order) -> Result<Tensor> {
    let compute = || Ok(Tensor::constant(indices(op, x, axis, k, order)?));
    traced(&[x], compute, |onnx| {
        let (x, count) = (onnx.input(0), onnx.shape(&[k]));
        let x = counted(x, onnx.dtype(0)?, onnx)?;
        let largest = OnnxAttribute::Int(i64::from(order.descending));
        let attributes = [("axis", OnnxAttribute::Int(axis as i64)), ("largest", largest)];
        let sorted = onnx.node("TopK", &[x, count], &attributes);
        Ok(onnx.part(sorted, 1))
    })
}

fn taken(op: &'static str, x: &Tensor, axis: usize, k: usize, order: Order) -> Result<(Tensor, Tensor)> {
    let indices = traced_indices(op, x, axis, k, order)?;
    Ok((x.gather(axis, &indices)?, indices))
}

impl Tensor {
    /// The `k` largest elements along `axis`, in descending order, and their indices (u32). Of equal elements the first comes
    /// first, and NaN counts as the largest, as in PyTorch. Errors if the axis is shorter than `k`.
    ///
    /// ```
    /// use tealight::prelude::*;
    /// let x = Tensor::new(&[[1.0, 5.0, 2.0], [7.0, 0.0, 7.0]], &Device::Cpu)?;
    /// let (values, places) = x.topk(2, 1)?;
    /// assert_eq!(values.to_vec2::<f64>()?, [[5.0, 2.0], [7.0, 7.0]]);
    /// assert_eq!(places.to_vec2::<u32>()?, [[1, 2], [0, 2]]);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn topk(&self, k: usize, axis: impl Axis) -> Result<(Tensor, Tensor)> {
        let axis = axis.to_index("topk", self.dims())?;
        let size = self.dims()[axis];
        if k > size {
            let expected = format!("k <= {size} (axis {axis} of shape {:?})", self.dims());
            return Err(Error::argument("topk", expected, format!("k = {k}")));
        }
        let order = Order { descending: true, nan_first: true };
        taken("topk", self, axis, k, order)
    }

    /// The elements sorted along `axis`, and the indices (u32) that they had. The sort is stable. NaN comes last in both
    /// directions, as in numpy.
    ///
    /// ```
    /// use tealight::prelude::*;
    /// let x = Tensor::new(&[3.0, f64::NAN, 1.0, 2.0], &Device::Cpu)?;
    /// let (values, places) = x.sort(0, false)?;
    /// assert_eq!(values.to_vec1::<f64>()?[..3], [1.0, 2.0, 3.0]);
    /// assert_eq!(places.to_vec1::<u32>()?, [2, 3, 0, 1]);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn sort(&self, axis: impl Axis, descending: bool) -> Result<(Tensor, Tensor)> {
        let axis = axis.to_index("sort", self.dims())?;
        let order = Order { descending, nan_first: false };
        taken("sort", self, axis, self.dims()[axis], order)
    }

    /// The medians along `axis`, which is removed, and their indices (u32); of an even number of elements the lower of the two in the
    /// middle, as in PyTorch (numpy's is their mean). NaN if an element is NaN.
    ///
    /// Gradient: g at the element that was taken. Errors if the axis is empty.
    ///
    /// ```
    /// use tealight::prelude::*;
    /// let x = Tensor::new(&[[1.0, 9.0, 2.0, 4.0], [7.0, 0.0, 7.0, 8.0]], &Device::Cpu)?;
    /// let (values, indices) = x.median(1)?;
    /// assert_eq!(values.to_vec1::<f64>()?, [2.0, 7.0]);
    /// assert_eq!(indices.to_vec1::<u32>()?, [2, 0]);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn median(&self, axis: impl Axis) -> Result<(Tensor, Tensor)> {
        let axis = axis.to_index("median", self.dims())?;
        let Some(end) = self.dims()[axis].checked_sub(1) else {
            let expected = format!("at least one element along axis {axis}");
            return Err(Error::shape("median", expected, &[self.dims()]));
        };
        let order = self.argsort(axis, false)?;
        let [middle, last] = [narrowed(&order, axis, end / 2, 1)?, narrowed(&order, axis, end, 1)?];
        // NaN is sorted last.
        let largest = self.gather(axis, &last)?;
        let indices = largest.ne(&largest)?.where_cond(&last, &middle)?;
        Ok((self.gather(axis, &indices)?.squeeze(axis)?, indices.squeeze(axis)?))
    }

    /// The indices (u32) that sort the elements, as [`sort`](Tensor::sort) does.
    pub fn argsort(&self, axis: impl Axis, descending: bool) -> Result<Tensor> {
        let axis = axis.to_index("argsort", self.dims())?;
        let order = Order { descending, nan_first: false };
        traced_indices("argsort", self, axis, self.dims()[axis], order)
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{check, tensor};
    use crate::prelude::*;

    const X: [f64; 6] = [0.3, -1.0, 2.0, 0.5, 1.5, -0.7];

    #[test]
    fn gradients() {
        check(&X, |x| Ok(x.sort(-1, false)?.0));
        check(&X, |x| x.exp()?.sort(0, true)?.0 * x);
        check(&X, |x| Ok(x.sqr()?.topk(3, -1)?.0));
        check(&X, |x| Ok(x.exp()?.median(-1)?.0));
        check(&X, |x| Ok(x.reshape((x.elem_count() / 6, 3, 2))?.exp()?.topk(2, 1)?.0));
    }

    #[test]
    fn every_dtype_and_layout_against_plain_sorts() -> Result<()> {
        for dtype in [DType::U8, DType::U32, DType::I64, DType::F16, DType::BF16, DType::F32, DType::F64] {
            let numbers: Vec<f64> = (0..120).map(|i| f64::from(i * 37 % 23)).collect();
            let plain = Tensor::from_vec(numbers, (4, 5, 6), &Device::Cpu)?.to_dtype(dtype)?;
            for x in [plain.permute(&[2, 0, 1])?, plain.narrow(2, 1, 4)?, plain] {
                for axis in 0..3 {
                    let (values, places) = x.sort(axis, false)?;
                    assert_eq!((values.dtype(), values.dims()), (dtype, x.dims()));
                    assert_eq!(x.argsort(axis, false)?.to_vec3::<u32>()?, places.to_vec3::<u32>()?);
                    let along = |x: &Tensor| -> Result<Vec<Vec<f64>>> {
                        Ok(x.to_dtype(DType::F64)?.transpose(axis, 2)?.to_vec3::<f64>()?.concat())
                    };
                    let (top, top_places) = x.topk(2, axis)?;
                    let (down, _) = x.sort(axis, true)?;
                    let rows = along(&x)?.into_iter().zip(along(&values)?).zip(along(&places)?);
                    let ends = along(&top)?.into_iter().zip(along(&top_places)?).zip(along(&down)?);
                    for (((row, values), places), ((top, top_places), down)) in rows.zip(ends) {
                        let mut sorted = row.clone();
                        sorted.sort_by(f64::total_cmp);
                        assert_eq!(values, sorted, "{dtype:?} {axis}");
                        for pair in places.windows(2) {
                            let [a, b] = [pair[0] as usize, pair[1] as usize];
                            assert!(row[a] < row[b] || row[a] == row[b] && a < b);
                        }
                        sorted.reverse();
                        assert_eq!(down, sorted);
                        assert_eq!(top, sorted[..2]);
                        assert_eq!([row[top_places[0] as usize], row[top_places[1] as usize]], sorted[..2]);
                    }
                }
            }
        }
        Ok(())
    }

    #[test]
    fn nan_and_ties() -> Result<()> {
        let x = tensor(&[2.0, f64::NAN, -0.0, f64::INFINITY, 0.0, f64::NAN, f64::NEG_INFINITY]);
        assert_eq!(x.argsort(0, false)?.to_vec1::<u32>()?, [6, 2, 4, 0, 3, 1, 5]);
        assert_eq!(x.argsort(0, true)?.to_vec1::<u32>()?, [3, 0, 2, 4, 6, 1, 5]);
        assert_eq!(x.topk(4, 0)?.1.to_vec1::<u32>()?, [1, 5, 3, 0]);
        // The gradient of a tie goes to the one that was taken.
        let x = Tensor::parameter(tensor(&[1.0, 3.0, 3.0]));
        let slope = x.topk(1, 0)?.0.sum_all()?.backward()?.get(&x).unwrap().to_vec1::<f64>()?;
        assert_eq!(slope, [0.0, 1.0, 0.0]);
        Ok(())
    }

    #[test]
    fn edges() -> Result<()> {
        let x = Tensor::zeros((2, 0, 3), DType::F32, &Device::Cpu)?;
        for axis in 0..3 {
            let (values, places) = x.sort(axis, true)?;
            assert_eq!((values.dims(), places.dims()), (&[2, 0, 3][..], &[2, 0, 3][..]));
        }
        assert_eq!(x.topk(2, 2)?.0.dims(), [2, 0, 2]);
        assert_eq!(x.topk(0, 1)?.1.dims(), [2, 0, 3]);
        let y = Tensor::parameter(Array::ones((2, 3), DType::F64, &Device::Cpu)?);
        assert_eq!(y.topk(0, 1)?.0.dims(), [2, 0]);
        let slope = y.topk(0, 0)?.0.sum_all()?.backward()?.get(&y).unwrap().to_vec2::<f64>()?;
        assert_eq!(slope, [[0.0; 3]; 2]);
        assert!(!y.argsort(0, false)?.requires_grad() && !y.topk(1, 0)?.1.requires_grad());
        let error = y.topk(4, -1).unwrap_err();
        assert_eq!(error.to_string(), "topk: expected k <= 3 (axis 1 of shape [2, 3]), got k = 4");
        assert!(matches!(y.topk(usize::MAX, 0), Err(Error::Argument { .. })));
        assert!(matches!(y.sort(2, false), Err(Error::Axis { op: "sort", .. })));
        assert!(tensor(&[1.0, f64::NAN, 0.0]).median(0)?.0.to_scalar::<f64>()?.is_nan());
        let error = x.median(1).unwrap_err();
        assert_eq!(error.to_string(), "median: expected at least one element along axis 1, got [2, 0, 3]");
        assert_eq!(x.median(0)?.0.dims(), [0, 3]);
        assert!(matches!(tensor(&[1.0]).i(0)?.argsort(0, false), Err(Error::Axis { op: "argsort", .. })));
        Ok(())
    }
}
