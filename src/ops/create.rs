//! Tensors from data and from nothing.
//!
//! # Formula
//! None: numbers are laid out.
//!
//! # Gradient
//! None: these are constants.
//!
//! # Errors
//! A number of elements that does not fit the shape, or memory.

use candle_core::{DType, Device, FloatDType, NdArray, Shape, WithDType};

use crate::autograd::array::fits;
use crate::autograd::{Array, Tensor};
use crate::error::{Error, Result};

/// The shape, if an array of it can exist at all; elements of 0 bytes are those of a view, which take no memory.
pub(super) fn checked(op: &'static str, shape: Shape, bytes: usize) -> Result<Shape> {
    // As in numpy, an axis of length 0 makes no room for the others: candle multiplies the sizes for its strides.
    let count = shape.dims().iter().try_fold(bytes.max(1), |count, &size| count.checked_mul(size.max(1)));
    if count.is_none_or(|count| isize::try_from(count).is_err()) {
        return Err(Error::shape(op, "a shape whose elements fit in memory", &[shape.dims()]));
    }
    if bytes > 0 {
        fits(op, shape.dims(), bytes)?;
    }
    Ok(shape)
}

/// `value` as a scalar of `dtype`, which must be able to hold it; a float rounds it.
pub(super) fn number(op: &'static str, value: f64, dtype: DType, device: &Device) -> Result<Tensor> {
    let scalar = Array::new(value, &Device::Cpu)?.to_dtype(dtype)?;
    if !dtype.is_float() && scalar.to_dtype(DType::F64)?.to_scalar::<f64>()? != value {
        return Err(Error::argument(op, format!("a number of dtype {}", dtype.as_str()), value));
    }
    Ok(scalar.to_device(device)?.into())
}

impl Tensor {
    /// A tensor of the numbers given: a number, an array, nested arrays, a slice, a `Vec`.
    ///
    /// # Errors
    /// Nested vectors of unequal lengths.
    ///
    /// ```
    /// use tealight::prelude::*;
    /// let x = Tensor::new(&[[1.0_f32, 2.0], [3.0, 4.0]], &Device::Cpu)?;
    /// assert_eq!((x.dims(), x.dtype()), (&[2, 2][..], DType::F32));
    /// # Ok::<(), tealight::Error>(())
    /// ```
    #[doc(alias = "array")]
    pub fn new<D: NdArray>(data: D, device: &Device) -> Result<Tensor> {
        let array = Array::new(data, device);
        Ok(array
            .map_err(|error| Error::argument("new", "nested numbers of equal lengths", Error::from(error)))?
            .into())
    }

    /// A tensor of the elements of a `Vec`, in row-major order.
    ///
    /// # Errors
    /// Another number of elements than the shape has.
    ///
    /// ```
    /// use tealight::prelude::*;
    /// let x = Tensor::from_vec(vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0], (2, 3), &Device::Cpu)?;
    /// assert_eq!(x.to_vec2::<f64>()?[1], [4.0, 5.0, 6.0]);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn from_vec<T: WithDType>(data: Vec<T>, shape: impl Into<Shape>, device: &Device) -> Result<Tensor> {
        let shape = checked("from_vec", shape.into(), size_of::<T>())?;
        if shape.elem_count() != data.len() {
            let expected = format!("{} elements for shape {:?}", shape.elem_count(), shape.dims());
            return Err(Error::argument("from_vec", expected, data.len()));
        }
        Ok(Array::from_vec(data, shape, device)?.into())
    }

    /// A tensor of the elements of a slice, in row-major order.
    ///
    /// # Errors
    /// Another number of elements than the shape has.
    ///
    /// ```
    /// use tealight::prelude::*;
    /// let numbers = [1_u32, 2, 3, 4, 5, 6];
    /// let x = Tensor::from_slice(&numbers[2..], (2, 2), &Device::Cpu)?;
    /// assert_eq!(x.to_vec2::<u32>()?, [[3, 4], [5, 6]]);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    #[doc(alias = "frombuffer")]
    pub fn from_slice<T: WithDType>(data: &[T], shape: impl Into<Shape>, device: &Device) -> Result<Tensor> {
        Tensor::from_vec(data.to_vec(), shape, device)
    }

    /// Zeros.
    ///
    /// # Errors
    /// A shape that does not fit in memory.
    ///
    /// ```
    /// use tealight::prelude::*;
    /// assert_eq!(Tensor::zeros((2, 3), DType::F32, &Device::Cpu)?.to_vec2::<f32>()?, [[0.0; 3]; 2]);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn zeros(shape: impl Into<Shape>, dtype: DType, device: &Device) -> Result<Tensor> {
        let shape = checked("zeros", shape.into(), dtype.size_in_bytes())?;
        Ok(Array::zeros(shape, dtype, device)?.into())
    }

    /// Ones.
    ///
    /// # Errors
    /// A shape that does not fit in memory.
    ///
    /// ```
    /// use tealight::prelude::*;
    /// assert_eq!(Tensor::ones(3, DType::U8, &Device::Cpu)?.to_vec1::<u8>()?, [1, 1, 1]);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn ones(shape: impl Into<Shape>, dtype: DType, device: &Device) -> Result<Tensor> {
        let shape = checked("ones", shape.into(), dtype.size_in_bytes())?;
        Ok(Array::ones(shape, dtype, device)?.into())
    }

    /// `value` everywhere, of the type of `value`.
    ///
    /// # Errors
    /// A shape that does not fit in memory.
    ///
    /// ```
    /// use tealight::prelude::*;
    /// assert_eq!(Tensor::full(7u32, 3, &Device::Cpu)?.to_vec1::<u32>()?, [7, 7, 7]);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn full<T: WithDType>(value: T, shape: impl Into<Shape>, device: &Device) -> Result<Tensor> {
        let shape = checked("full", shape.into(), size_of::<T>())?;
        Ok(Array::from_vec(vec![value; shape.elem_count()], shape, device)?.into())
    }

    /// Zeros, of this tensor's shape and dtype and on its device.
    ///
    /// # Errors
    /// A shape that does not fit in memory.
    ///
    /// ```
    /// use tealight::prelude::*;
    /// let x = Tensor::new(&[5.0, 6.0], &Device::Cpu)?;
    /// assert_eq!(x.zeros_like()?.to_vec1::<f64>()?, [0.0, 0.0]);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn zeros_like(&self) -> Result<Tensor> {
        Tensor::zeros(self.shape(), self.dtype(), self.device())
    }

    /// Ones, of this tensor's shape and dtype and on its device.
    ///
    /// # Errors
    /// A shape that does not fit in memory.
    ///
    /// ```
    /// use tealight::prelude::*;
    /// let x = Tensor::new(&[5.0, 6.0], &Device::Cpu)?;
    /// assert_eq!(x.ones_like()?.to_vec1::<f64>()?, [1.0, 1.0]);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn ones_like(&self) -> Result<Tensor> {
        Tensor::ones(self.shape(), self.dtype(), self.device())
    }

    /// `value` everywhere, of this tensor's shape and dtype and on its device.
    ///
    /// # Errors
    /// A shape that does not fit in memory; a number that an integer dtype cannot hold.
    ///
    /// ```
    /// use tealight::prelude::*;
    /// let x = Tensor::new(&[1_i64, 2], &Device::Cpu)?;
    /// assert_eq!(x.full_like(-7.0)?.to_vec1::<i64>()?, [-7, -7]);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn full_like(&self, value: f64) -> Result<Tensor> {
        let shape = checked("full_like", self.shape().into(), self.dtype().size_in_bytes())?;
        let value = number("full_like", value, self.dtype(), self.device())?;
        Ok(value.array().broadcast_as(shape)?.contiguous()?.into())
    }

    /// start, start + 1, … below `end`; empty if `end` is not above `start`.
    ///
    /// # Errors
    /// Bounds that are not finite, or further apart than memory is large.
    ///
    /// ```
    /// use tealight::prelude::*;
    /// assert_eq!(Tensor::arange(2.0, 4.5, &Device::Cpu)?.to_vec1::<f64>()?, [2.0, 3.0, 4.0]);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn arange<T: WithDType>(start: T, end: T, device: &Device) -> Result<Tensor> {
        arange("arange", start, end, 1.0, device)
    }

    /// start, start + step, … before `end`; empty if `end` does not lie in the step's direction.
    ///
    /// # Errors
    /// Bounds that are not finite, or further apart than memory is large; a step of 0 or NaN.
    ///
    /// ```
    /// use tealight::prelude::*;
    /// assert_eq!(Tensor::arange_step(5_i64, 0, -2, &Device::Cpu)?.to_vec1::<i64>()?, [5, 3, 1]);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn arange_step<T: WithDType>(start: T, end: T, step: T, device: &Device) -> Result<Tensor> {
        arange("arange_step", start, end, step.to_f64(), device)
    }

    /// `n` numbers at equal distances from `start` to `end`, both included; one is `start`.
    ///
    /// # Errors
    /// Bounds that are not finite; more numbers than memory.
    ///
    /// ```
    /// use tealight::prelude::*;
    /// assert_eq!(Tensor::linspace(0.0, 1.0, 5, &Device::Cpu)?.to_vec1::<f64>()?, [0.0, 0.25, 0.5, 0.75, 1.0]);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn linspace<T: FloatDType>(start: T, end: T, n: usize, device: &Device) -> Result<Tensor> {
        let shape = checked("linspace", n.into(), size_of::<T>())?;
        let (low, high) = (start.to_f64(), end.to_f64());
        if !(low.is_finite() && high.is_finite()) {
            return Err(Error::argument("linspace", "finite bounds", format!("{start} to {end}")));
        }
        // Halves, for a distance that is no number.
        let step = (0.5 * high - 0.5 * low) / (n.max(2) - 1) as f64;
        let inner = |i: usize| T::from_f64((0.5 * low + i as f64 * step) * 2.0);
        let numbers: Vec<T> = (0..n).map(|i| if i > 0 && i + 1 == n { end } else { inner(i) }).collect();
        Ok(Array::from_vec(numbers, shape, device)?.into())
    }

    /// The n × n matrix with ones on the diagonal.
    ///
    /// # Errors
    /// A size that does not fit in memory.
    ///
    /// ```
    /// use tealight::prelude::*;
    /// assert_eq!(Tensor::eye(2, DType::F64, &Device::Cpu)?.to_vec2::<f64>()?, [[1.0, 0.0], [0.0, 1.0]]);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn eye(n: usize, dtype: DType, device: &Device) -> Result<Tensor> {
        checked("eye", (n, n).into(), dtype.size_in_bytes().max(4))?;
        let mut ones = vec![0_u8; n * n];
        ones.iter_mut().step_by(n + 1).for_each(|one| *one = 1);
        Ok(Array::from_vec(ones, (n, n), device)?.to_dtype(dtype)?.into())
    }
}

fn arange<T: WithDType>(op: &'static str, start: T, end: T, step: f64, device: &Device) -> Result<Tensor> {
    let (low, high) = (start.to_f64(), end.to_f64());
    let count = ((high - low) / step).ceil().max(0.0);
    if step == 0.0 || step.is_nan() {
        return Err(Error::argument(op, "a step of another size than 0", step));
    }
    if !(low.is_finite() && high.is_finite() && count < 2f64.powi(48)) {
        return Err(Error::argument(op, "finite bounds", format!("{start} to {end}")));
    }
    checked(op, (count as usize).into(), size_of::<T>())?;
    let numbers: Vec<T> = (0..count as usize).map(|i| T::from_f64(low + i as f64 * step)).collect();
    let length = numbers.len();
    Ok(Array::from_vec(numbers, length, device)?.into())
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
        // No room is made by an axis of length 0: its neighbours are multiplied as well.
        assert!(matches!(Tensor::zeros((0, usize::MAX, 2), DType::F32, cpu), Err(Error::Shape { .. })));
        let error = Tensor::from_vec(vec![1.0; 5], (2, 3), cpu).unwrap_err();
        assert_eq!(error.to_string(), "from_vec: expected 6 elements for shape [2, 3], got 5");
        Ok(())
    }

    #[test]
    fn like_another() -> Result<()> {
        for dtype in [DType::U8, DType::U32, DType::I64, DType::F16, DType::BF16, DType::F32, DType::F64] {
            let x = Tensor::zeros((3, 2), dtype, &Device::Cpu)?.t()?;
            let like = [x.zeros_like()?, x.ones_like()?, x.full_like(7.0)?];
            for (y, number) in like.iter().zip([0.0, 1.0, 7.0]) {
                assert_eq!((y.dims(), y.dtype()), (&[2, 3][..], dtype));
                assert_eq!(y.to_dtype(DType::F64)?.to_vec2::<f64>()?, [[number; 3]; 2]);
            }
        }
        let bytes = Tensor::zeros(2, DType::U8, &Device::Cpu)?;
        let error = bytes.full_like(256.0).unwrap_err();
        assert_eq!(error.to_string(), "full_like: expected a number of dtype u8, got 256");
        assert!(bytes.full_like(0.5).is_err() && bytes.full_like(f64::NAN).is_err());
        // A view may be larger than memory, a copy may not.
        let wide = Tensor::new(1.0, &Device::Cpu)?.broadcast_to(1 << 62)?;
        assert!(matches!(wide.zeros_like(), Err(Error::Shape { .. })));
        assert!(matches!(wide.full_like(1.0), Err(Error::Shape { .. })));
        Ok(())
    }

    #[test]
    fn numbers_at_equal_distances() -> Result<()> {
        let cpu = &Device::Cpu;
        let x = Tensor::linspace(-1.0, 0.8, 7, cpu)?.to_vec1::<f64>()?;
        for (i, x) in x.iter().enumerate() {
            assert!((x - (-1.0 + 0.3 * i as f64)).abs() < 1e-15);
        }
        assert_eq!((x[0], x[6]), (-1.0, 0.8));
        assert_eq!(Tensor::linspace(3_f32, 1.0, 3, cpu)?.to_vec1::<f32>()?, [3.0, 2.0, 1.0]);
        assert_eq!(Tensor::linspace(3.0, 5.0, 1, cpu)?.to_vec1::<f64>()?, [3.0]);
        assert_eq!(Tensor::linspace(3.0, 5.0, 0, cpu)?.dims(), [0]);
        let far = Tensor::linspace(f64::MIN, f64::MAX, 3, cpu)?.to_vec1::<f64>()?;
        assert_eq!(far, [f64::MIN, 0.0, f64::MAX]);
        assert!(matches!(Tensor::linspace(0.0, f64::NAN, 3, cpu), Err(Error::Argument { .. })));
        assert!(matches!(Tensor::linspace(0.0, 1.0, usize::MAX, cpu), Err(Error::Shape { .. })));
        assert_eq!(Tensor::arange_step(0.0, 1.0, 0.25, cpu)?.to_vec1::<f64>()?, [0.0, 0.25, 0.5, 0.75]);
        assert_eq!(Tensor::arange_step(0.0, -1.0, 0.25, cpu)?.dims(), [0]);
        for step in [0.0, f64::NAN, 1e-300] {
            assert!(matches!(Tensor::arange_step(0.0, 1.0, step, cpu), Err(Error::Argument { .. })));
        }
        Ok(())
    }
}
