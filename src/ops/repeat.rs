//! [`Tensor::repeat`] and [`Tensor::tile`].

use super::axis::Axis;
use super::create::checked;
use super::reshape::reshaped;
use crate::autograd::{self, Tensor};
use crate::error::Result;
use crate::kernel::Dims;

impl Tensor {
    /// Repeats each element `n` times along `axis`. (PyTorch's `repeat` is [`tile`](Tensor::tile).)
    ///
    /// ```
    /// use tealight::prelude::*;
    /// let x = Tensor::new(&[1.0, 2.0], &Device::Cpu)?;
    /// assert_eq!(x.repeat(3, 0)?.to_vec1::<f64>()?, [1.0, 1.0, 1.0, 2.0, 2.0, 2.0]);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    #[doc(alias = "repeat_interleave")]
    pub fn repeat(&self, n: usize, axis: impl Axis) -> Result<Tensor> {
        let axis = axis.to_index("repeat", self.dims())?;
        let mut dims = Dims::from_slice(self.dims());
        let (mut narrow, mut wide) = (dims.clone(), dims.clone());
        narrow.insert(axis + 1, 1);
        wide.insert(axis + 1, n);
        dims[axis] = dims[axis].saturating_mul(n);
        repeated("repeat", self, &narrow, &wide, &dims)
    }

    /// Repeats the whole tensor `times[i]` times along axis i. As in numpy the shorter of `times` and the shape is extended with
    /// ones in front.
    ///
    /// ```
    /// use tealight::prelude::*;
    /// let x = Tensor::new(&[1.0, 2.0], &Device::Cpu)?;
    /// assert_eq!(x.tile(&[2])?.to_vec1::<f64>()?, [1.0, 2.0, 1.0, 2.0]);
    /// assert_eq!(x.tile(&[2, 1])?.to_vec2::<f64>()?, [[1.0, 2.0], [1.0, 2.0]]);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn tile(&self, times: &[usize]) -> Result<Tensor> {
        let rank = times.len().max(self.rank());
        let of = |numbers: &[usize], axis: usize| match (axis + numbers.len()).checked_sub(rank) {
            Some(own) => numbers[own],
            None => 1,
        };
        let pairs = (0..rank).map(|axis| (of(times, axis), of(self.dims(), axis)));
        let narrow: Dims = pairs.clone().flat_map(|(_, size)| [1, size]).collect();
        let wide: Dims = pairs.clone().flat_map(|(n, size)| [n, size]).collect();
        let dims: Dims = pairs.map(|(n, size)| n.saturating_mul(size)).collect();
        repeated("tile", self, &narrow, &wide, &dims)
    }
}

/// `x` in the shape `narrow`, broadcast to `wide`, in the shape `dims`.
fn repeated(
    op: &'static str,
    x: &Tensor,
    narrow: &[usize],
    wide: &[usize],
    dims: &[usize],
) -> Result<Tensor> {
    let bytes = x.dtype().size_in_bytes();
    checked(op, dims.into(), bytes)?;
    checked(op, wide.into(), bytes)?;
    if x.dims() == dims {
        return Ok(x.clone());
    }
    reshaped(&autograd::broadcast_to(&reshaped(x, narrow)?, wide)?, dims)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{check, tensor};
    use crate::prelude::*;

    #[test]
    fn gradients() {
        let x = [0.3, -1.0, 2.0];
        check(&x, |x| x.exp()?.repeat(2, -1)?.sqr());
        check(&x, |x| x.unsqueeze(0)?.repeat(3, 1)?.sqr());
        check(&x, |x| x.exp()?.tile(&[2, 1, 3]));
        check(&x, |x| (x + x.tile(&[0])?.sum_all()?)? + x.repeat(0, -1)?.sum_all()?);
    }

    #[test]
    fn against_plain_indexing() -> Result<()> {
        for dtype in [DType::U8, DType::U32, DType::I64, DType::F16, DType::BF16, DType::F32, DType::F64] {
            let x = Tensor::arange(0.0, 6.0, &Device::Cpu)?.reshape((3, 2))?.t()?.to_dtype(dtype)?;
            let at = |i: usize, j: usize| (j * 2 + i) as f64;
            let numbers = |x: Tensor| x.to_dtype(DType::F64)?.to_vec2::<f64>();
            let expected: Vec<_> = (0..4).map(|i| [0, 1, 2].map(|j| at(i / 2, j))).collect();
            assert_eq!(numbers(x.repeat(2, 0)?)?, expected, "{dtype:?}");
            let expected: Vec<_> = (0..2).map(|i| [0, 1, 2, 3, 4, 5].map(|j| at(i, j / 2))).collect();
            assert_eq!(numbers(x.repeat(2, 1)?)?, expected, "{dtype:?}");
            let expected: Vec<_> = (0..4).map(|i| [0, 1, 2, 3, 4, 5].map(|j| at(i % 2, j % 3))).collect();
            assert_eq!(numbers(x.tile(&[2, 2])?)?, expected, "{dtype:?}");
            assert_eq!(x.tile(&[3, 1, 1])?.dims(), [3, 2, 3]);
        }
        Ok(())
    }

    #[test]
    fn a_gradient_in_f16_is_summed_in_f32() -> Result<()> {
        let x = Tensor::parameter(Array::ones(1, DType::F16, &Device::Cpu)?);
        for y in [x.repeat(4096, 0)?, x.tile(&[4096])?] {
            let gradients = y.sum_all()?.backward()?;
            let gradient = gradients.get(&x).unwrap().to_dtype(DType::F32)?;
            assert_eq!(gradient.to_vec1::<f32>()?, [4096.0]);
        }
        Ok(())
    }

    #[test]
    fn edges() -> Result<()> {
        let x = tensor(&[1.0, 2.0]);
        assert_eq!(x.tile(&[])?.to_vec1::<f64>()?, [1.0, 2.0]);
        assert_eq!(x.tile(&[0, 3])?.dims(), [0, 6]);
        assert_eq!(x.repeat(0, 0)?.dims(), [0]);
        assert_eq!(Tensor::new(7.0, &Device::Cpu)?.tile(&[2])?.to_vec1::<f64>()?, [7.0, 7.0]);
        assert_eq!(Tensor::zeros((0, 2), DType::F32, &Device::Cpu)?.repeat(2, 1)?.dims(), [0, 4]);
        let error = x.repeat(usize::MAX, 0).unwrap_err().to_string();
        assert!(error.starts_with("repeat: expected a shape whose elements fit in memory, got ["), "{error}");
        assert!(matches!(x.tile(&[usize::MAX / 2, 2, 2]), Err(Error::Shape { .. })));
        assert!(matches!(x.tile(&[usize::MAX, 0]), Err(Error::Shape { .. })));
        assert!(matches!(x.repeat(2, 1), Err(Error::Axis { axis: 1, .. })));
        assert!(matches!(Tensor::new(7.0, &Device::Cpu)?.repeat(2, 0), Err(Error::Axis { .. })));
        Ok(())
    }
}
