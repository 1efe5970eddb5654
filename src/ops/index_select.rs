//! The places of an axis that a vector of indices names.
//!
//! # Formula
//! y\[…, i, …\] = x\[…, indices\[i\], …\]
//!
//! # Gradient
//! The gradient, added at the places that were taken: a place taken twice gets both.
//!
//! # Errors
//! An axis that does not exist; indices that are no vector, no u8, u32 or i64, negative or beyond the axis.

use candle_core::DType;

use super::axis::Axis;
use crate::autograd::array::{contiguous, with_slice};
use crate::autograd::{Array, Keep, Op, Saved, Tensor};
use crate::error::{Error, Result};
use crate::kernel::Dims;

/// The places `indices` of `axis`.
#[derive(Debug)]
struct IndexSelect {
    axis: usize,
    indices: Array,
}

impl Op<1> for IndexSelect {
    const NAME: &'static str = "index_select";

    fn forward(&self, [x]: [&Array; 1], _: &mut Keep) -> Result<Array> {
        Ok(contiguous(x)?.index_select(&self.indices, self.axis)?)
    }

    fn backward(&self, saved: &Saved<1>, grad: &Tensor) -> Result<[Option<Tensor>; 1]> {
        let &IndexSelect { axis, ref indices } = self;
        let size = saved.input_dims(0)?[axis];
        Ok([Some(IndexAdd { axis, size, indices: indices.clone() }.apply([grad])?)])
    }
}

/// The transpose of [`IndexSelect`]: zeros along an axis of `size`, and the input added at the places `indices`.
#[derive(Debug)]
struct IndexAdd {
    axis: usize,
    size: usize,
    indices: Array,
}

impl Op<1> for IndexAdd {
    const NAME: &'static str = "index_add";

    fn forward(&self, [x]: [&Array; 1], _: &mut Keep) -> Result<Array> {
        let mut dims = Dims::from_slice(x.dims());
        dims[self.axis] = self.size;
        accumulated(x, |x| {
            let zeros = Array::zeros(&dims[..], x.dtype(), x.device())?;
            Ok(zeros.index_add(&self.indices, x, self.axis)?)
        })
    }

    fn backward(&self, _: &Saved<1>, grad: &Tensor) -> Result<[Option<Tensor>; 1]> {
        Ok([Some(IndexSelect { axis: self.axis, indices: self.indices.clone() }.apply([grad])?)])
    }
}

/// `add(x)` of the contiguous x: in f32 where candle would accumulate in a narrow type.
pub(super) fn accumulated(x: &Array, add: impl FnOnce(&Array) -> Result<Array>) -> Result<Array> {
    let narrow = matches!(x.dtype(), DType::F16 | DType::BF16) && x.device().is_cpu();
    if narrow {
        return Ok(add(&x.to_dtype(DType::F32)?.contiguous()?)?.to_dtype(x.dtype())?);
    }
    add(&contiguous(x)?)
}

/// The indices as candle's kernels want them: contiguous, u32 or i64, and in main memory all on the axis of `x`.
pub(super) fn checked_indices(op: &'static str, x: &Tensor, axis: usize, indices: &Tensor) -> Result<Array> {
    if !indices.device().same_device(x.device()) {
        let got = [x, indices].map(|x| format!("{:?}", x.device().location())).join(" and ");
        return Err(Error::Device { op, got });
    }
    let indices = match indices.dtype() {
        // candle takes the largest number of a type for "nowhere", and 255 may well be a place.
        DType::U8 => indices.array().to_dtype(DType::U32)?,
        DType::U32 | DType::I64 => indices.array().clone(),
        dtype => return Err(Error::dtype(op, "indices of dtype u8, u32 or i64", &[dtype])),
    };
    let indices = contiguous(&indices)?;
    if indices.device().is_cpu() {
        let size = x.dims()[axis];
        let wrong = match indices.dtype() {
            DType::U32 => first_beyond(&indices, |i: u32| (i as usize) < size)?,
            _ => first_beyond(&indices, |i: i64| usize::try_from(i).is_ok_and(|i| i < size))?,
        };
        if let Some((index, place)) = wrong {
            let expected = format!("indices from 0 and below {size} (axis {axis} of shape {:?})", x.dims());
            return Err(Error::argument(op, expected, format!("{index} (element {place} of the indices)")));
        }
    }
    Ok(indices)
}

/// The first index that does not fit, and where it is.
fn first_beyond<T>(indices: &Array, fits: impl Fn(T) -> bool) -> Result<Option<(i64, usize)>>
where
    T: candle_core::WithDType + Into<i64>,
{
    with_slice(indices, |indices: &[T]| {
        let place = indices.iter().position(|&index| !fits(index))?;
        Some((indices[place].into(), place))
    })
}

impl Tensor {
    /// The places of `axis` that a vector of `indices` names, in its order; one may be named any number of times.
    ///
    /// ```
    /// use tealight::prelude::*;
    /// let words = Tensor::new(&[[0.0, 0.1], [1.0, 1.1], [2.0, 2.1]], &Device::Cpu)?;
    /// let text = Tensor::new(&[2_u32, 0, 2], &Device::Cpu)?;
    /// assert_eq!(words.index_select(0, &text)?.to_vec2::<f64>()?, [[2.0, 2.1], [0.0, 0.1], [2.0, 2.1]]);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    ///
    /// # Shapes
    /// (…, n, …) and (k) to (…, k, …)
    ///
    /// # Gradient
    /// The gradient, added at the places that were taken.
    ///
    /// # Errors
    /// An axis that does not exist; indices that are no vector, no u8, u32 or i64, negative or beyond the axis.
    #[doc(alias = "embedding")]
    #[doc(alias = "take")]
    pub fn index_select(&self, axis: impl Axis, indices: &Tensor) -> Result<Tensor> {
        let axis = axis.of("index_select", self.dims())?;
        if indices.rank() != 1 {
            return Err(Error::shape("index_select", "a vector of indices", &[indices.dims()]));
        }
        let indices = checked_indices("index_select", self, axis, indices)?;
        IndexSelect { axis, indices }.apply([self])
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{check, tensor};
    use crate::prelude::*;

    fn indices(numbers: &[u32]) -> Tensor {
        Tensor::new(numbers, &Device::Cpu).unwrap()
    }

    #[test]
    fn gradients() {
        let x = [0.3, -1.0, 2.0, 0.5, 1.5, -0.7];
        // 4 is taken three times and 1 never.
        let twice = indices(&[4, 0, 4, 5, 3, 4, 2]);
        check(&x, |x| x.index_select(-1, &twice));
        check(&x, |x| x.sqr()?.unsqueeze(0)?.index_select(-1, &twice)?.exp());
        check(&x, |x| x.unsqueeze(-1)?.index_select(-2, &twice)?.index_select(1, &indices(&[0, 0])));
        check(&x, |x| x.reshape((3, x.elem_count() / 3))?.index_select(0, &indices(&[2, 0, 2])));
        check(&x, |x| x + x.index_select(-1, &indices(&[]))?.sum_all());
    }

    #[test]
    fn against_plain_indexing() -> Result<()> {
        for dtype in [DType::U8, DType::I64, DType::F16, DType::F32, DType::F64] {
            let plain = Tensor::arange(0.0, 24.0, &Device::Cpu)?.reshape((2, 3, 4))?.to_dtype(dtype)?;
            let repeated =
                Tensor::arange(0.0, 4.0, &Device::Cpu)?.to_dtype(dtype)?.broadcast_to((2, 3, 4))?;
            // A part, a transpose and a broadcast view, with strided indices.
            for x in [plain.narrow(1, 1, 2)?, plain.transpose(0, 2)?, plain, repeated] {
                let numbers = x.to_dtype(DType::F64)?.to_vec3::<f64>()?;
                let table = Tensor::new(&[[1_i64, 9], [0, 9], [1, 9]], &Device::Cpu)?;
                let strided = table.i((.., 0))?;
                assert!(!strided.array().is_contiguous());
                let got = x.index_select(1, &strided)?.to_dtype(DType::F64)?.to_vec3::<f64>()?;
                let expected: Vec<Vec<Vec<f64>>> =
                    numbers.iter().map(|rows| [1, 0, 1].map(|i: usize| rows[i].clone()).to_vec()).collect();
                assert_eq!(got, expected, "{dtype:?} {x:?}");
            }
        }
        Ok(())
    }

    #[test]
    fn a_gradient_is_added_for_every_time_a_place_was_taken() -> Result<()> {
        for dtype in [DType::BF16, DType::F32, DType::F64] {
            let x = Tensor::parameter(Array::zeros((2, 3), dtype, &Device::Cpu)?);
            // 1000 bf16 ones, added in bf16, would stay at 256.
            let y = x.index_select(-1, &Tensor::full(2_u8, 1000, &Device::Cpu)?)?.sum_all()?;
            let gradients = y.backward()?;
            let gradient = gradients.get(&x).unwrap().to_dtype(DType::F64)?;
            assert_eq!(gradient.to_vec2::<f64>()?, [[0.0, 0.0, 1000.0]; 2], "{dtype:?}");
        }
        Ok(())
    }

    #[test]
    fn index_255_is_an_index() -> Result<()> {
        // candle takes it for "nowhere" and answers 0.
        let x = Tensor::parameter(Array::ones(300, DType::F32, &Device::Cpu)?);
        let y = x.index_select(0, &Tensor::new(&[255_u8], &Device::Cpu)?)?;
        assert_eq!(y.to_vec1::<f32>()?, [1.0]);
        assert_eq!(y.sum_all()?.backward()?.get(&x).unwrap().to_vec1::<f32>()?[255], 1.0);
        Ok(())
    }

    #[test]
    fn edges() -> Result<()> {
        let x = Tensor::zeros((0, 3), DType::F32, &Device::Cpu)?;
        assert_eq!(x.index_select(0, &indices(&[]))?.dims(), [0, 3]);
        assert_eq!(x.index_select(1, &indices(&[2, 2, 2, 0]))?.dims(), [0, 4]);
        assert!(matches!(x.index_select(0, &indices(&[0])), Err(Error::Argument { .. })));
        assert!(matches!(x.index_select(2, &indices(&[0])), Err(Error::Axis { axis: 2, .. })));
        let error = x.index_select(1, &indices(&[1, 3])).unwrap_err().to_string();
        let message = "index_select: expected indices from 0 and below 3 (axis 1 of shape [0, 3]), \
                       got 3 (element 1 of the indices)";
        assert_eq!(error, message);
        let negative = Tensor::new(&[-1_i64], &Device::Cpu)?;
        assert!(matches!(x.index_select(1, &negative), Err(Error::Argument { .. })));
        for nowhere in [Tensor::new(&[u32::MAX], &Device::Cpu)?, Tensor::new(&[i64::MAX], &Device::Cpu)?] {
            assert!(matches!(x.index_select(1, &nowhere), Err(Error::Argument { .. })));
        }
        assert!(matches!(x.index_select(1, &tensor(&[1.0])), Err(Error::Dtype { .. })));
        assert!(matches!(x.index_select(1, &Tensor::new(1_u32, &Device::Cpu)?), Err(Error::Shape { .. })));
        assert!(matches!(tensor(&[1.0]).i(0)?.index_select(0, &indices(&[0])), Err(Error::Axis { .. })));
        Ok(())
    }
}
