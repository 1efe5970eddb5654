//! Tensors from data and constants.

use candle_core::{DType, Device, FloatDType, NdArray, Shape, WithDType};

use crate::autograd::array::{fits, integers};
use crate::autograd::{Array, Tensor};
use crate::error::{Error, Result};

/// Returns the shape if an array of it can exist; `bytes` is the size of an element, 0 for a view.
pub(super) fn checked(op: &'static str, shape: Shape, bytes: usize) -> Result<Shape> {
    // As in numpy, the other axes of an empty shape must fit too: candle multiplies them for its strides.
    let count = shape.dims().iter().try_fold(bytes.max(1), |count, &size| count.checked_mul(size.max(1)));
    if count.is_none_or(|count| isize::try_from(count).is_err()) {
        return Err(Error::shape(op, "a shape whose elements fit in memory", &[shape.dims()]));
    }
    if bytes > 0 {
        fits(op, shape.dims(), bytes)?;
    }
    Ok(shape)
}

/// `value` as a scalar of `dtype`. Errors if an integer dtype cannot hold it; a float dtype rounds it.
pub(super) fn scalar(op: &'static str, value: f64, dtype: DType, device: &Device) -> Result<Tensor> {
    let scalar = Array::new(value, &Device::Cpu)?.to_dtype(dtype)?;
    if !dtype.is_float() && scalar.to_dtype(DType::F64)?.to_scalar::<f64>()? != value {
        return Err(Error::argument(op, format!("a number of dtype {}", dtype.as_str()), value));
    }
    Ok(scalar.to_device(device)?.into())
}

impl Tensor {
    /// Creates a tensor from a scalar, an array, nested arrays, a slice or a `Vec`. Errors if nested `Vec`s have different lengths.
    ///
    /// ```
    /// # use tealight::prelude::*;
    /// let x = Tensor::new(&[[1.0_f32, 2.0], [3.0, 4.0]], &Device::Cpu)?;
    /// assert_eq!((x.dims(), x.dtype()), (&[2, 2][..], DType::F32));
    /// # Ok::<(), tealight::Error>(())
    /// ```
    #[doc(alias = "array")]
    pub fn new<D: NdArray>(data: D, device: &Device) -> Result<Tensor> {
        let ragged = |error| Error::argument("new", "nested arrays of equal lengths", Error::from(error));
        Ok(Array::new(data, device).map_err(ragged)?.into())
    }

    /// Creates a tensor from elements in row-major order. Errors if the shape has another number of elements.
    ///
    /// ```
    /// # use tealight::prelude::*;
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

    /// Creates a tensor from elements in row-major order, which are copied; see [`from_vec`](Tensor::from_vec).
    #[doc(alias = "frombuffer")]
    pub fn from_slice<T: WithDType>(data: &[T], shape: impl Into<Shape>, device: &Device) -> Result<Tensor> {
        Tensor::from_vec(data.to_vec(), shape, device)
    }

    /// Creates a tensor of zeros.
    ///
    /// ```
    /// # use tealight::prelude::*;
    /// assert_eq!(Tensor::zeros((2, 3), DType::F32, &Device::Cpu)?.to_vec2::<f32>()?, [[0.0; 3]; 2]);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn zeros(shape: impl Into<Shape>, dtype: DType, device: &Device) -> Result<Tensor> {
        let shape = checked("zeros", shape.into(), dtype.size_in_bytes())?;
        Ok(Array::zeros(shape, dtype, device)?.into())
    }

    /// Creates a tensor of ones.
    pub fn ones(shape: impl Into<Shape>, dtype: DType, device: &Device) -> Result<Tensor> {
        let shape = checked("ones", shape.into(), dtype.size_in_bytes())?;
        Ok(Array::ones(shape, dtype, device)?.into())
    }

    /// Creates a tensor filled with `value`, whose type is its dtype.
    ///
    /// ```
    /// # use tealight::prelude::*;
    /// assert_eq!(Tensor::full(7_u32, 3, &Device::Cpu)?.to_vec1::<u32>()?, [7, 7, 7]);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn full<T: WithDType>(value: T, shape: impl Into<Shape>, device: &Device) -> Result<Tensor> {
        let shape = checked("full", shape.into(), size_of::<T>())?;
        Ok(Array::from_vec(vec![value; shape.elem_count()], shape, device)?.into())
    }

    /// Creates a tensor of zeros with the shape, dtype and device of this one.
    pub fn zeros_like(&self) -> Result<Tensor> {
        Tensor::zeros(self.shape(), self.dtype(), self.device())
    }

    /// Creates a tensor of ones with the shape, dtype and device of this one.
    pub fn ones_like(&self) -> Result<Tensor> {
        Tensor::ones(self.shape(), self.dtype(), self.device())
    }

    /// Creates a tensor filled with `value` with the shape, dtype and device of this one. Errors if an integer dtype cannot
    /// hold the value.
    pub fn full_like(&self, value: f64) -> Result<Tensor> {
        let shape = checked("full_like", self.shape().into(), self.dtype().size_in_bytes())?;
        let value = scalar("full_like", value, self.dtype(), self.device())?;
        Ok(value.array().broadcast_as(shape)?.contiguous()?.into())
    }

    /// Creates the vector start, start + 1, … below `end`; empty if `end` is not above `start`. Errors if a bound is not finite.
    ///
    /// ```
    /// # use tealight::prelude::*;
    /// assert_eq!(Tensor::arange(2.0, 4.5, &Device::Cpu)?.to_vec1::<f64>()?, [2.0, 3.0, 4.0]);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn arange<T: WithDType>(start: T, end: T, device: &Device) -> Result<Tensor> {
        arange("arange", start, end, T::one(), device)
    }

    /// Creates the vector start, start + step, … up to but not including `end`; empty if `end` is in the other direction.
    /// Errors if a bound is not finite, or the step is 0 or NaN.
    ///
    /// ```
    /// # use tealight::prelude::*;
    /// assert_eq!(Tensor::arange_step(5_i64, 0, -2, &Device::Cpu)?.to_vec1::<i64>()?, [5, 3, 1]);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn arange_step<T: WithDType>(start: T, end: T, step: T, device: &Device) -> Result<Tensor> {
        arange("arange_step", start, end, step, device)
    }

    /// Creates a vector of `n` evenly spaced numbers from `start` to `end`, both included (`start` alone for n = 1). Errors
    /// if a bound is not finite.
    ///
    /// ```
    /// # use tealight::prelude::*;
    /// assert_eq!(Tensor::linspace(0.0, 1.0, 5, &Device::Cpu)?.to_vec1::<f64>()?, [0.0, 0.25, 0.5, 0.75, 1.0]);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn linspace<T: FloatDType>(start: T, end: T, n: usize, device: &Device) -> Result<Tensor> {
        let shape = checked("linspace", n.into(), size_of::<T>())?;
        let (low, high) = (start.to_f64(), end.to_f64());
        if !(low.is_finite() && high.is_finite()) {
            return Err(Error::argument("linspace", "finite bounds", format!("{start} to {end}")));
        }
        // Half of each bound, as their distance may overflow.
        let step = (0.5 * high - 0.5 * low) / (n.max(2) - 1) as f64;
        let inner = |i: usize| T::from_f64((0.5 * low + i as f64 * step) * 2.0);
        let numbers: Vec<T> = (0..n).map(|i| if i > 0 && i + 1 == n { end } else { inner(i) }).collect();
        Ok(Array::from_vec(numbers, shape, device)?.into())
    }

    /// Creates the n × n identity matrix.
    ///
    /// ```
    /// # use tealight::prelude::*;
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

fn arange<T: WithDType>(op: &'static str, start: T, end: T, step: T, device: &Device) -> Result<Tensor> {
    let (low, high, by) = (start.to_f64(), end.to_f64(), step.to_f64());
    if by == 0.0 || by.is_nan() {
        return Err(Error::argument(op, "a step other than 0", step));
    }
    let whole = T::DTYPE.is_int();
    let count = if whole {
        // In f64, i64 above 2⁵³ would be other numbers.
        let [start, end, step] = [start, end, step].map(|x| Array::new(&[x], &Device::Cpu));
        let [start, end, step] =
            [integers(&start?)?, integers(&end?)?, integers(&step?)?].map(|x| i128::from(x[0]));
        let (way, step) = ((end - start) * step.signum(), step.abs());
        ((way + step - 1) / step).max(0) as f64
    } else {
        ((high - low) / by).ceil().max(0.0)
    };
    if !(low.is_finite() && high.is_finite() && count < 2f64.powi(48)) {
        return Err(Error::argument(op, "finite bounds", format!("{start} to {end}")));
    }
    checked(op, (count as usize).into(), size_of::<T>())?;
    let mut next = start;
    let number = |i: usize| match whole {
        true if i > 0 => {
            next += step;
            next
        }
        true => start,
        false => T::from_f64(low + i as f64 * by),
    };
    let numbers: Vec<T> = (0..count as usize).map(number).collect();
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
        let big = i64::MAX;
        assert_eq!(Tensor::arange(big - 2, big, cpu)?.to_vec1::<i64>()?, [big - 2, big - 1]);
        let far = Tensor::arange_step(i64::MIN, big, big, cpu)?.to_vec1::<i64>()?;
        assert_eq!(far, [i64::MIN, -1, big - 1]);
        assert_eq!(Tensor::arange_step(250_u8, 255, 3, cpu)?.to_vec1::<u8>()?, [250, 253]);
        assert_eq!(Tensor::arange_step(big, i64::MIN, i64::MIN, cpu)?.to_vec1::<i64>()?, [big, -1]);
        for step in [0.0, f64::NAN, 1e-300] {
            assert!(matches!(Tensor::arange_step(0.0, 1.0, step, cpu), Err(Error::Argument { .. })));
        }
        Ok(())
    }
}
