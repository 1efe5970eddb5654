//! Tensors from data, from nothing, and of another type.
//!
//! # Formula
//! None: numbers are laid out.
//!
//! # Gradient
//! `to_dtype` converts its gradient back; the rest make constants.
//!
//! # Errors
//! A number of elements that does not fit the shape, or memory.

use candle_core::{DType, Device, NdArray, Shape, WithDType};

use crate::autograd::{Array, Keep, Op, Saved, Tensor};
use crate::error::{Error, Result};

/// The shape, if an array of it can exist at all.
pub(super) fn checked(op: &'static str, shape: Shape, bytes: usize) -> Result<Shape> {
    let count = shape.dims().iter().try_fold(1_usize, |count, &size| count.checked_mul(size));
    match count.and_then(|count| count.checked_mul(bytes.max(1))) {
        Some(size) if isize::try_from(size).is_ok() => Ok(shape),
        _ => Err(Error::shape(op, "a shape whose elements fit in memory", &[shape.dims()])),
    }
}

impl Tensor {
    /// A tensor of the numbers given: a number, an array, nested arrays, a slice, a `Vec`.
    ///
    /// ```
    /// use tealight::prelude::*;
    /// let x = Tensor::new(&[[1.0_f32, 2.0], [3.0, 4.0]], &Device::Cpu)?;
    /// assert_eq!((x.dims(), x.dtype()), (&[2, 2][..], DType::F32));
    /// # Ok::<(), tealight::Error>(())
    /// ```
    ///
    /// # Errors
    /// Nested vectors of unequal lengths.
    #[doc(alias = "array")]
    pub fn new<D: NdArray>(data: D, device: &Device) -> Result<Tensor> {
        Ok(Array::new(data, device)?.into())
    }

    /// A tensor of the elements of a `Vec`, in row-major order.
    ///
    /// ```
    /// use tealight::prelude::*;
    /// let x = Tensor::from_vec(vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0], (2, 3), &Device::Cpu)?;
    /// assert_eq!(x.to_vec2::<f64>()?[1], [4.0, 5.0, 6.0]);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    ///
    /// # Errors
    /// Another number of elements than the shape has.
    pub fn from_vec<T: WithDType>(data: Vec<T>, shape: impl Into<Shape>, device: &Device) -> Result<Tensor> {
        let shape = checked("from_vec", shape.into(), size_of::<T>())?;
        if shape.elem_count() != data.len() {
            let expected = format!("{} elements for shape {:?}", shape.elem_count(), shape.dims());
            return Err(Error::argument("from_vec", expected, data.len()));
        }
        Ok(Array::from_vec(data, shape, device)?.into())
    }

    /// Zeros.
    ///
    /// # Errors
    /// A shape that does not fit in memory.
    pub fn zeros(shape: impl Into<Shape>, dtype: DType, device: &Device) -> Result<Tensor> {
        let shape = checked("zeros", shape.into(), dtype.size_in_bytes())?;
        Ok(Array::zeros(shape, dtype, device)?.into())
    }

    /// Ones.
    ///
    /// # Errors
    /// A shape that does not fit in memory.
    pub fn ones(shape: impl Into<Shape>, dtype: DType, device: &Device) -> Result<Tensor> {
        let shape = checked("ones", shape.into(), dtype.size_in_bytes())?;
        Ok(Array::ones(shape, dtype, device)?.into())
    }

    /// `value` everywhere, of the type of `value`.
    ///
    /// ```
    /// use tealight::prelude::*;
    /// assert_eq!(Tensor::full(7u32, 3, &Device::Cpu)?.to_vec1::<u32>()?, [7, 7, 7]);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    ///
    /// # Errors
    /// A shape that does not fit in memory.
    pub fn full<T: WithDType>(value: T, shape: impl Into<Shape>, device: &Device) -> Result<Tensor> {
        let shape = checked("full", shape.into(), size_of::<T>())?;
        Ok(Array::from_vec(vec![value; shape.elem_count()], shape, device)?.into())
    }

    /// start, start + 1, … below `end`; empty if `end` is not above `start`.
    ///
    /// ```
    /// use tealight::prelude::*;
    /// assert_eq!(Tensor::arange(2.0, 4.5, &Device::Cpu)?.to_vec1::<f64>()?, [2.0, 3.0, 4.0]);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    ///
    /// # Errors
    /// Bounds that are not finite, or further apart than memory is large.
    pub fn arange<T: WithDType>(start: T, end: T, device: &Device) -> Result<Tensor> {
        let (low, high) = (start.to_f64(), end.to_f64());
        let count = (high - low).ceil().max(0.0);
        if !(low.is_finite() && high.is_finite() && count < 2f64.powi(48)) {
            return Err(Error::argument("arange", "finite bounds", format!("{start} to {end}")));
        }
        let numbers: Vec<T> = (0..count as usize).map(|i| T::from_f64(low + i as f64)).collect();
        let length = numbers.len();
        Ok(Array::from_vec(numbers, length, device)?.into())
    }

    /// The n × n matrix with ones on the diagonal.
    ///
    /// # Errors
    /// A size that does not fit in memory.
    pub fn eye(n: usize, dtype: DType, device: &Device) -> Result<Tensor> {
        checked("eye", (n, n).into(), dtype.size_in_bytes().max(4))?;
        let mut ones = vec![0_u8; n * n];
        ones.iter_mut().step_by(n + 1).for_each(|one| *one = 1);
        Ok(Array::from_vec(ones, (n, n), device)?.to_dtype(dtype)?.into())
    }

    /// The same numbers in another type, rounded or truncated as Rust's `as` does.
    ///
    /// # Gradient
    /// The gradient, in this tensor's type. An integer result has no history.
    ///
    /// # Errors
    /// A type that the device does not have.
    pub fn to_dtype(&self, dtype: DType) -> Result<Tensor> {
        if dtype == self.dtype() {
            return Ok(self.clone());
        }
        if !dtype.is_float() {
            return Ok(self.array().to_dtype(dtype)?.into());
        }
        ToDtype { from: self.dtype(), to: dtype }.apply([self])
    }
}

#[derive(Debug)]
struct ToDtype {
    from: DType,
    to: DType,
}

impl Op<1> for ToDtype {
    const NAME: &'static str = "to_dtype";

    fn forward(&self, [x]: [&Array; 1], _: &mut Keep) -> Result<Array> {
        Ok(x.to_dtype(self.to)?)
    }

    fn backward(&self, _: &Saved<1>, grad: &Tensor) -> Result<[Option<Tensor>; 1]> {
        Ok([Some(grad.to_dtype(self.from)?)])
    }
}

#[cfg(test)]
mod tests {
    use crate::prelude::*;

    #[test]
    fn shapes_and_their_errors() -> Result<()> {
        let cpu = &Device::Cpu;
        assert_eq!(Tensor::eye(2, DType::F32, cpu)?.to_vec2::<f32>()?, [[1.0, 0.0], [0.0, 1.0]]);
        assert_eq!(Tensor::eye(0, DType::F32, cpu)?.dims(), [0, 0]);
        assert_eq!(Tensor::arange(5u32, 2, cpu)?.dims(), [0]);
        assert!(Tensor::arange(0.0, f64::INFINITY, cpu).is_err());
        for shape in [[usize::MAX, 2], [usize::MAX / 4, 1]] {
            assert!(matches!(Tensor::zeros(&shape[..], DType::F32, cpu), Err(Error::Shape { .. })));
            assert!(matches!(Tensor::full(1.0, &shape[..], cpu), Err(Error::Shape { .. })));
        }
        let error = Tensor::from_vec(vec![1.0; 5], (2, 3), cpu).unwrap_err();
        assert_eq!(error.to_string(), "from_vec: expected 6 elements for shape [2, 3], got 5");
        Ok(())
    }

    #[test]
    fn gradients_change_their_type_back() -> Result<()> {
        let x = Tensor::parameter(Tensor::new(&[1.0_f32, 2.0], &Device::Cpu)?.into_array());
        let y = x.to_dtype(DType::F64)?.sqr()?.sum_all()?;
        assert_eq!(y.backward()?.get(&x).unwrap().to_vec1::<f32>()?, [2.0, 4.0]);
        assert!(!x.to_dtype(DType::U32)?.requires_grad());
        Ok(())
    }
}
