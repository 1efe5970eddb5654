//! One element of an axis for each index, as PyTorch's `gather`.
//!
//! # Formula
//! y\[…, i, …, k\] = x\[…, indices\[…, i, …, k\], …, k\], the index replacing i alone
//!
//! # Gradient
//! The gradient, added at the places that were taken: a place taken twice gets both.
//!
//! # Errors
//! An axis that does not exist; indices of another rank or longer than x along another axis; indices that are no u8,
//! u32 or i64, negative or beyond the axis.

use super::axis::Axis;
use super::index_select::{accumulated, checked_indices};
use super::narrow::narrowed;
use crate::autograd::array::contiguous;
use crate::autograd::{Array, Keep, Op, Saved, Tensor};
use crate::error::{Error, Result};
use crate::kernel::Dims;

/// The elements `indices` of `axis`; the shapes agree but for it.
#[derive(Debug)]
pub(super) struct Gather {
    pub(super) axis: usize,
    pub(super) indices: Array,
}

impl Op<1> for Gather {
    const NAME: &'static str = "gather";

    fn forward(&self, [x]: [&Array; 1], _: &mut Keep) -> Result<Array> {
        Ok(contiguous(x)?.gather(&self.indices, self.axis)?)
    }

    fn backward(&self, saved: &Saved<1>, grad: &Tensor) -> Result<[Option<Tensor>; 1]> {
        let &Gather { axis, ref indices } = self;
        let size = saved.input_dims(0)?[axis];
        Ok([Some(ScatterAdd { axis, size, indices: indices.clone() }.apply([grad])?)])
    }
}

/// The transpose of [`Gather`]: zeros along an axis of `size`, and the input added at the places `indices`.
#[derive(Debug)]
struct ScatterAdd {
    axis: usize,
    size: usize,
    indices: Array,
}

impl Op<1> for ScatterAdd {
    const NAME: &'static str = "scatter_add";

    fn forward(&self, [x]: [&Array; 1], _: &mut Keep) -> Result<Array> {
        let mut dims = Dims::from_slice(x.dims());
        dims[self.axis] = self.size;
        accumulated(x, |x| {
            let sums = Array::zeros(&dims[..], x.dtype(), x.device())?;
            sums.scatter_add_set(&self.indices, x, self.axis)?;
            Ok(sums)
        })
    }

    fn backward(&self, _: &Saved<1>, grad: &Tensor) -> Result<[Option<Tensor>; 1]> {
        Ok([Some(Gather { axis: self.axis, indices: self.indices.clone() }.apply([grad])?)])
    }
}

impl Tensor {
    /// For each element of `indices` the element of this tensor at the same place, but for `axis`, where the index says.
    ///
    /// ```
    /// use tealight::prelude::*;
    /// let scores = Tensor::new(&[[0.1, 0.2, 0.7], [0.8, 0.1, 0.1]], &Device::Cpu)?; // (n, c)
    /// let labels = Tensor::new(&[[2_u32], [0]], &Device::Cpu)?; // (n, 1)
    /// assert_eq!(scores.gather(1, &labels)?.to_vec2::<f64>()?, [[0.7], [0.8]]);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    ///
    /// # Shapes
    /// The result has the shape of `indices`, which along every axis but `axis` is at most as long as this tensor.
    ///
    /// # Gradient
    /// The gradient, added at the places that were taken.
    ///
    /// # Errors
    /// An axis that does not exist; indices of another rank or longer along another axis; indices that are no u8, u32 or
    /// i64, negative or beyond the axis.
    #[doc(alias = "take_along_axis")]
    pub fn gather(&self, axis: impl Axis, indices: &Tensor) -> Result<Tensor> {
        let axis = axis.of("gather", self.dims())?;
        let (own, other) = (self.dims(), indices.dims());
        if own.len() != other.len() || (0..own.len()).any(|i| i != axis && other[i] > own[i]) {
            let expected = format!("indices no longer than the tensor, but for axis {axis}");
            return Err(Error::shape("gather", expected, &[own, other]));
        }
        let indices = checked_indices("gather", self, axis, indices)?;
        let mut x = self.clone();
        // candle's kernel walks both alike, so it would take the wrong elements of a longer tensor.
        for (i, &len) in indices.dims().iter().enumerate().filter(|&(i, _)| i != axis) {
            x = narrowed(&x, i, 0, len)?;
        }
        Gather { axis, indices }.apply([&x])
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{check, tensor};
    use crate::prelude::*;

    #[test]
    fn gradients() -> Result<()> {
        let x = [0.3, -1.0, 2.0, 0.5, 1.5, -0.7];
        let cpu = &Device::Cpu;
        // 1 is taken three times and 0 never.
        let long = Tensor::new(&[[1_u32, 1, 5, 2, 1, 3, 3]], cpu)?;
        check(&x, |x| x.reshape((x.elem_count() / 6, 6))?.gather(1, &long)?.exp());
        let short = Tensor::new(&[[2_i64, 0], [2, 1]], cpu)?;
        check(&x, |x| x.sqr()?.reshape((3, x.elem_count() / 3))?.gather(0, &short));
        Ok(())
    }

    #[test]
    fn against_plain_indexing() -> Result<()> {
        let plain = Tensor::arange(0.0, 120.0, &Device::Cpu)?.reshape((4, 5, 6))?;
        for dtype in [DType::U32, DType::BF16, DType::F32, DType::F64] {
            for x in [plain.clone(), plain.permute(&[2, 0, 1])?, plain.narrow(0, 1, 3)?] {
                for axis in 0..3 {
                    // Strided indices, shorter along the other axes and longer along this one.
                    let size = x.dims()[axis];
                    let remainder: Vec<i64> = (0..60).map(|i| i * 7 % size as i64).collect();
                    let indices = Tensor::from_vec(remainder, (5, 3, 4), &Device::Cpu)?;
                    let indices = match axis {
                        0 => indices.transpose(1, 2)?.narrow(1, 0, 3)?.narrow(2, 0, 3)?,
                        1 => indices.transpose(0, 1)?.narrow(2, 0, 3)?,
                        _ => indices.permute(&[1, 2, 0])?,
                    };
                    let numbers = x.to_vec3::<f64>()?;
                    let at = indices.to_vec3::<i64>()?;
                    let y = x.to_dtype(dtype)?.gather(axis, &indices)?;
                    assert_eq!(y.dims(), indices.dims());
                    let y = y.to_dtype(DType::F64)?.to_vec3::<f64>()?;
                    for (i, rows) in at.iter().enumerate() {
                        for (j, row) in rows.iter().enumerate() {
                            for (k, &index) in row.iter().enumerate() {
                                let mut place = [i, j, k];
                                place[axis] = index as usize;
                                let [a, b, c] = place;
                                assert_eq!(y[i][j][k], numbers[a][b][c], "{dtype:?} {axis} {place:?}");
                            }
                        }
                    }
                }
            }
        }
        Ok(())
    }

    #[test]
    fn a_gradient_is_added_for_every_time_a_place_was_taken() -> Result<()> {
        for dtype in [DType::F16, DType::F32, DType::F64] {
            let x = Tensor::parameter(Array::zeros((3, 2), dtype, &Device::Cpu)?);
            // 4096 ones, added in f16, would stay at 2048. The second column of x is never reached.
            let y = x.gather(0, &Tensor::full(1_u8, (4096, 1), &Device::Cpu)?)?.sum_all()?;
            let gradients = y.backward()?;
            let gradient = gradients.get(&x).unwrap().to_dtype(DType::F64)?;
            assert_eq!(gradient.to_vec2::<f64>()?, [[0.0, 0.0], [4096.0, 0.0], [0.0, 0.0]], "{dtype:?}");
        }
        Ok(())
    }

    #[test]
    fn edges() -> Result<()> {
        let cpu = &Device::Cpu;
        let x = Tensor::zeros((2, 3), DType::F32, cpu)?;
        let none = Tensor::zeros((0, 3), DType::U32, cpu)?;
        assert_eq!(x.gather(0, &none)?.dims(), [0, 3]);
        assert_eq!(x.gather(1, &none)?.dims(), [0, 3]);
        assert_eq!(
            Tensor::zeros((2, 0), DType::F32, cpu)?.gather(0, &none.t()?.i((..1, ..))?)?.dims(),
            [1, 0]
        );
        let error = x.gather(1, &Tensor::new(&[[0_i64, -1]], cpu)?).unwrap_err().to_string();
        let message = "gather: expected indices from 0 and below 3 (axis 1 of shape [2, 3]), \
                       got -1 (element 1 of the indices)";
        assert_eq!(error, message);
        let error = x.gather(1, &Tensor::zeros((3, 1), DType::U32, cpu)?).unwrap_err();
        let message =
            "gather: expected indices no longer than the tensor, but for axis 1, got [2, 3] and [3, 1]";
        assert_eq!(error.to_string(), message);
        assert!(matches!(x.gather(1, &Tensor::zeros(3, DType::U32, cpu)?), Err(Error::Shape { .. })));
        assert!(matches!(x.gather(1, &x), Err(Error::Dtype { .. })));
        assert!(matches!(x.gather(-3, &none), Err(Error::Axis { axis: -3, .. })));
        assert!(matches!(tensor(&[1.0]).i(0)?.gather(0, &none), Err(Error::Axis { .. })));
        Ok(())
    }
}
