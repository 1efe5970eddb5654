//! How operations reach the numbers of candle's arrays.

use std::marker::PhantomData;
use std::ops::Deref;

use candle_core::{DType, Device, Layout, Storage, StorageRef, WithDType};

use super::Array;
use crate::error::{Error, Result};
use crate::kernel::{self, Dims, View};

/// The float types that have kernels of their own on the CPU.
pub(crate) trait Element: kernel::Element + WithDType {}
impl Element for f32 {}
impl Element for f64 {}

/// Evaluates `$body` with `$t` standing for `f32` or `f64`, whichever `$dtype` is; the caller has checked that it is one.
macro_rules! with_float {
    ($dtype:expr, $t:ident => $body:expr) => {
        if $dtype == candle_core::DType::F64 {
            type $t = f64;
            $body
        } else {
            type $t = f32;
            $body
        }
    };
}
pub(crate) use with_float;

/// Whether our own kernels can read the array: f32 or f64, in main memory.
pub(crate) fn on_cpu(x: &Array) -> bool {
    matches!(x.dtype(), DType::F32 | DType::F64) && x.device().is_cpu()
}

/// The elements of an array while they are read: those of its storage from the first of the array on.
pub(crate) struct Elements<'a, T> {
    storage: StorageRef<'a>,
    layout: &'a Layout,
    of: PhantomData<T>,
}

/// The elements of an array of type `T` in main memory; see [`contiguous`] to have them in order.
pub(crate) fn elements<T: WithDType>(x: &Array) -> Result<Elements<'_, T>> {
    let (storage, layout) = x.storage_and_layout();
    match &*storage {
        Storage::Cpu(numbers) => T::cpu_storage_as_slice(numbers).map(|_| ())?,
        _ => return Err(candle_core::Error::Msg("expected an array in main memory".into()).into()),
    }
    Ok(Elements { storage, layout, of: PhantomData })
}

impl<T: WithDType> Deref for Elements<'_, T> {
    type Target = [T];
    fn deref(&self) -> &[T] {
        let Storage::Cpu(numbers) = &*self.storage else { return &[] };
        let numbers = T::cpu_storage_as_slice(numbers).unwrap_or_default();
        let start = self.layout.start_offset();
        // A contiguous array ends where its elements do; an empty view may begin behind the data.
        let end = if self.layout.is_contiguous() {
            start + self.layout.shape().elem_count()
        } else {
            numbers.len()
        };
        numbers.get(start..end).unwrap_or_default()
    }
}

impl<T: WithDType> Elements<'_, T> {
    /// The array, broadcast to `out`.
    pub(crate) fn view(&self, out: &[usize]) -> View<'_, T> {
        View::broadcast(self, self.layout.dims(), self.layout.stride(), out)
    }
}

/// All elements of an array of any type, anywhere, in row-major order.
pub(crate) fn numbers(x: &Array) -> Result<Vec<f64>> {
    Ok(x.to_device(&Device::Cpu)?.to_dtype(DType::F64)?.flatten_all()?.to_vec1()?)
}

/// How many elements a shape has. A part of the shape of an empty array may have more than any number.
pub(crate) fn count(dims: &[usize]) -> usize {
    dims.iter().copied().fold(1, usize::saturating_mul)
}

/// The index along each axis of element number `i`.
pub(crate) fn place(dims: &[usize], mut i: usize) -> Dims {
    let mut place = Dims::from_slice(dims);
    for index in place.iter_mut().rev() {
        let size = (*index).max(1);
        (*index, i) = (i % size, i / size);
    }
    place
}

/// An array of our own making.
pub(crate) fn make<T: WithDType>(data: Vec<T>, dims: &[usize], like: &Array) -> Result<Array> {
    Ok(Array::from_vec(data, dims, like.device())?)
}

/// So many bytes are asked for before they are needed: an allocator that has not got them ends the program.
const ASKED: usize = 1 << 30;

/// Refuses a shape whose elements, of so many bytes each, do not fit in memory.
pub(crate) fn fits(op: &'static str, dims: &[usize], bytes: usize) -> Result<()> {
    if dims.contains(&0) {
        return Ok(());
    }
    let count = dims.iter().try_fold(bytes, |count, &size| count.checked_mul(size));
    let fits = |&bytes: &usize| {
        bytes < ASKED || isize::try_from(bytes).is_ok() && Vec::<u8>::new().try_reserve_exact(bytes).is_ok()
    };
    match count.filter(fits) {
        Some(_) => Ok(()),
        None => Err(Error::shape(op, "a shape whose elements fit in memory", &[dims])),
    }
}

/// The elements in row-major order, copied only if they are not there already.
pub(crate) fn contiguous(x: &Array) -> Result<Array> {
    if x.is_contiguous() {
        return Ok(x.clone());
    }
    if !on_cpu(x) {
        return Ok(x.contiguous()?);
    }
    fits("copy", x.dims(), x.dtype().size_in_bytes())?;
    with_float!(x.dtype(), T => {
        let source = elements::<T>(x)?;
        make(kernel::map(x.dims(), kernel::sources([source.view(x.dims())]), |[x, ..]| x), x.dims(), x)
    })
}

/// The sums over `axes` (ascending), which stay with length 1.
pub(crate) fn sum_axes(x: &Array, axes: &[usize]) -> Result<Array> {
    if axes.is_empty() {
        return Ok(x.clone());
    }
    match x.dtype() {
        // candle accumulates in the narrow type: a mean of 1,000 ones would be 0.256.
        DType::F16 | DType::BF16 => {
            return Ok(sum_axes(&x.to_dtype(DType::F32)?, axes)?.to_dtype(x.dtype())?);
        }
        // A sum of u8 would wrap at 256.
        DType::U8 => return sum_axes(&x.to_dtype(DType::U32)?, axes),
        _ if !on_cpu(x) => return Ok(x.sum_keepdim(axes)?),
        _ => {}
    }
    let mut dims = x.dims().to_vec();
    let mut x = contiguous(x)?;
    let mut rest = axes;
    while let Some(&last) = rest.last() {
        // Neighbouring axes are summed as one.
        let run = rest.iter().rev().enumerate().take_while(|&(i, &axis)| axis + i == last).count();
        let first = last + 1 - run;
        rest = &rest[..rest.len() - run];
        let outer = dims[..first].iter().product();
        let inner = dims[last + 1..].iter().product();
        let length = dims[first..=last].iter().product();
        dims[first..=last].fill(1);
        x = with_float!(x.dtype(), T => {
            make(kernel::sum_axis(&elements::<T>(&x)?, outer, length, inner), &dims, &x)?
        });
    }
    Ok(x)
}

/// Whether no element is NaN or infinite.
pub(crate) fn is_finite(x: &Array) -> Result<bool> {
    if !on_cpu(x) {
        let zero: f64 = (x * 0.0)?.sum_all()?.to_dtype(DType::F64)?.to_scalar()?;
        return Ok(zero == 0.0);
    }
    with_float!(x.dtype(), T => Ok(kernel::is_finite::<T>(&elements(&contiguous(x)?)?)))
}
