//! The elements of candle's arrays, as slices for the kernels.

use std::marker::PhantomData;
use std::ops::{Add, Deref};
use std::sync::Arc;

use candle_core::backend::BackendStorage;
use candle_core::{CpuStorage, DType, Device, Layout, Storage, StorageRef, WithDType};

use super::Array;
use super::launch::{
    COPY, FormulaKernel, Kernel, Operand, Outputs, Primitive, launch, launch_borrowed, launch_many,
    note_read, refuse_reading, single,
};
use crate::error::{Error, Result};
use crate::kernel::{self, Block, Dims, ElementLoop, SOURCES, Slots, Written};

/// The float types that our CPU kernels compute in.
pub(crate) trait Element: kernel::Element + WithDType {}
impl Element for f32 {}
impl Element for f64 {}

/// Evaluates `$body` with `$t` standing for `f32` or `f64`, whichever `$dtype` is: the caller has checked [`on_cpu`].
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

/// Whether our kernels can read the array: f32 or f64, in main memory.
pub(crate) fn on_cpu(x: &Array) -> bool {
    matches!(x.dtype(), DType::F32 | DType::F64) && in_main_memory(x)
}

/// Whether the array lies in main memory. In WebAssembly all do, so that candle's kernels are left out of that build.
pub(crate) fn in_main_memory(x: &Array) -> bool {
    cfg!(target_arch = "wasm32") || x.device().is_cpu()
}

/// Whether a float array is computed in f32 and rounded once: f16 and bf16 in main memory, and in WebAssembly f8 as well.
pub(crate) fn is_narrow(x: &Array) -> bool {
    match cfg!(target_arch = "wasm32") {
        true => !on_cpu(x),
        false => matches!(x.dtype(), DType::F16 | DType::BF16) && x.device().is_cpu(),
    }
}

/// Whether candle computes with a float array, because our kernels cannot: never in WebAssembly, where [`is_narrow`] arrays are widened.
pub(crate) fn by_candle(x: &Array) -> bool {
    !cfg!(target_arch = "wasm32") && !on_cpu(x)
}

/// `f` of [`is_narrow`] arrays as f32, and its result in their dtype.
pub(crate) fn widened(inputs: [&Array; 2], f: impl FnOnce([&Array; 2]) -> Result<Array>) -> Result<Array> {
    let [a, b] = inputs.map(|x| converted(x, DType::F32));
    converted(&f([&a?, &b?])?, inputs[0].dtype())
}

/// A slice of the storage of an array in main memory: from its first element to its last.
pub(crate) struct Elements<'a, T> {
    storage: StorageRef<'a>,
    layout: &'a Layout,
    of: PhantomData<T>,
}

/// The elements of an array of type `T` in main memory, in memory order; see [`contiguous`].
pub(crate) fn elements<T: WithDType>(x: &Array) -> Result<Elements<'_, T>> {
    note_read(x);
    let (storage, layout) = x.storage_and_layout();
    cpu_slice::<T>(&storage)?;
    Ok(Elements { storage, layout, of: PhantomData })
}

fn cpu_slice<T: WithDType>(storage: &Storage) -> candle_core::Result<&[T]> {
    match storage {
        Storage::Cpu(storage) => T::cpu_storage_as_slice(storage),
        _ => candle_core::bail!("expected an array in main memory"),
    }
}

impl<T: WithDType> Deref for Elements<'_, T> {
    type Target = [T];
    fn deref(&self) -> &[T] {
        let all = cpu_slice::<T>(&self.storage).expect("`elements` checked device and dtype");
        let (start, count) = (self.layout.start_offset(), self.layout.shape().elem_count());
        match count {
            // An empty view may begin behind the end of its storage.
            0 => &[],
            _ if self.layout.is_contiguous() => &all[start..start + count],
            // The last element of a strided view may lie anywhere behind the first.
            _ => &all[start..],
        }
    }
}

/// All elements of an array of any dtype on any device, in row-major order. Of an i64 it may be another number.
pub(crate) fn numbers(x: &Array) -> Result<Vec<f64>> {
    elements_as(x)
}

/// All elements of an array of an integer dtype, in row-major order.
pub(crate) fn integers(x: &Array) -> Result<Vec<i64>> {
    elements_as(x)
}

fn elements_as<T: WithDType>(x: &Array) -> Result<Vec<T>> {
    refuse_reading("the elements", x);
    Ok(converted(&x.to_device(&Device::Cpu)?, T::DTYPE)?.flatten_all()?.to_vec1()?)
}

/// The array in another dtype.
///
/// 8-bit floats go through f32, which has them all: candle's conversion of them to f64 calls itself for ever.
pub(crate) fn converted(x: &Array, dtype: DType) -> Result<Array> {
    match (x.dtype(), dtype) {
        (from, to) if from == to => Ok(x.clone()),
        (DType::F8E4M3, DType::F64) => converted(&converted(x, DType::F32)?, dtype),
        _ if in_main_memory(x) => copied("to_dtype", x, dtype),
        _ => Ok(x.to_dtype(dtype)?),
    }
}

/// A copy in row-major order, in any dtype.
fn copied(name: &'static str, x: &Array, dtype: DType) -> Result<Array> {
    let what = (name, || Primitive::Cast);
    let [y] = launch_many(what, [x], [x.dims()], move |[x]| Ok([cast(x, dtype)?]))?;
    Ok(y)
}

/// The elements in row-major order, in another dtype: into spare memory where they are indices or numbers of layers.
fn cast(x: Operand<'_>, dtype: DType) -> Result<CpuStorage> {
    macro_rules! from {
        ($($from:ident $to:ident;)*) => {
            match (x.storage(), dtype) {
                $((CpuStorage::$from(all), DType::$to) if x.layout().is_contiguous() => {
                    let elements = x.of(all);
                    CpuStorage::$to(kernel::collected(elements.len(), elements.iter().map(|&x| x.into())))
                })*
                _ => x.storage().to_dtype(x.layout(), dtype)?,
            }
        };
    }
    // A page trains no step for which that counts.
    if cfg!(target_arch = "wasm32") {
        return Ok(x.storage().to_dtype(x.layout(), dtype)?);
    }
    Ok(from!(U8 I64; U32 I64; I64 I64; F32 F64;))
}

/// The number of elements of a shape. It saturates: some axes of an empty array may have a product beyond `usize`.
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

/// From this size on, an allocation is tried before it is needed: one that fails there ends the program.
const TRIED_FROM: usize = 1 << 30;

/// Errors if elements of `bytes` bytes each in this shape do not fit in memory.
pub(crate) fn fits(op: &'static str, dims: &[usize], bytes: usize) -> Result<()> {
    if dims.contains(&0) {
        return Ok(());
    }
    let count = dims.iter().try_fold(bytes, |count, &size| count.checked_mul(size));
    let fits = |&bytes: &usize| {
        bytes < TRIED_FROM
            || isize::try_from(bytes).is_ok() && Vec::<u8>::new().try_reserve_exact(bytes).is_ok()
    };
    match count.filter(fits) {
        Some(_) => Ok(()),
        None => Err(Error::shape(op, "a shape whose elements fit in memory", &[dims])),
    }
}

/// The same array in row-major order, copied only if it has another order.
pub(crate) fn contiguous(x: &Array) -> Result<Array> {
    if x.is_contiguous() {
        return Ok(x.clone());
    }
    if !in_main_memory(x) {
        return Ok(x.contiguous()?);
    }
    fits("copy", x.dims(), x.dtype().size_in_bytes())?;
    if !on_cpu(x) {
        return copied("copy", x, x.dtype());
    }
    with_float!(x.dtype(), T => {
        launch(COPY, [x], x.dims(), |[x]| {
            kernel::map(x.dims(), kernel::sources([x.view::<T>(x.dims())]), |[x, ..]| x)
        })
    })
}

/// a + b for arrays of one shape and dtype.
pub(super) fn add(a: &Array, b: &Array) -> Result<Array> {
    if !(on_cpu(a) && on_cpu(b)) {
        if is_narrow(a) && a.dtype().is_float() {
            return widened([a, b], |[a, b]| add(a, b));
        }
        return Ok((a + b)?);
    }
    let what = ("add", || Primitive::map(2, |x| x[0] + x[1]));
    let owned = || Kernel::Formula(Arc::new(AddKernel));
    let mut made = launch_borrowed(what, &[a, b], &[a.dims()], &|x| AddKernel.call(x), owned)?;
    Ok(made.pop().expect("a sum is one array"))
}

/// The loop of [`add`].
struct AddKernel;

impl<T: Element> ElementLoop<T> for AddKernel
where
    Block<T>: Add<Output = Block<T>>,
{
    fn run<'s>(&self, out: Slots<'s, T>, slices: [&[T]; SOURCES]) -> Written<'s> {
        kernel::fuse(out, slices, |[a, b, ..]| a + b, &|[a, b, ..]| *a + *b)
    }
}

impl FormulaKernel for AddKernel {
    fn call(&self, operands: &[Operand<'_>]) -> Outputs {
        let [a, b] = operands else { unreachable!("a sum has two terms") };
        let dims = a.dims();
        with_float!(a.dtype(), T => {
            let body: kernel::Loop<T> = &|out, slices| self.run(out, slices);
            if a.fills(dims) && b.fills(dims) {
                let slices = [a.elements(), b.elements(), &[], &[], &[]];
                return single(kernel::map_slices(slices[0].len(), slices, body));
            }
            single(kernel::map_by(dims, kernel::sources([a.view::<T>(dims), b.view(dims)]), body))
        })
    }

    fn used(&self) -> [bool; SOURCES] {
        [true, true, false, false, false]
    }
}

/// The sums over `axes` (ascending), which keep length 1. Of u8 they are u32.
pub(crate) fn sum_axes(x: &Array, axes: &[usize]) -> Result<Array> {
    if axes.is_empty() {
        return Ok(x.clone());
    }
    match x.dtype() {
        // candle accumulates in the narrow type: a mean of 1,000 ones would be 0.256.
        DType::F16 | DType::BF16 => {
            return converted(&sum_axes(&converted(x, DType::F32)?, axes)?, x.dtype());
        }
        // A sum of u8 would wrap at 256.
        DType::U8 => return sum_axes(&converted(x, DType::U32)?, axes),
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
            let sum = ("sum", || Primitive::Sum([outer, length, inner]));
            launch(sum, [&x], &dims, move |[x]| kernel::sum_axis(x.elements::<T>(), outer, length, inner))?
        });
    }
    Ok(x)
}

/// The distance from 1 to the next number of a float dtype.
pub(crate) fn epsilon(dtype: DType) -> Option<f64> {
    match dtype {
        DType::F64 => Some(f64::EPSILON),
        DType::F32 => Some(f64::from(f32::EPSILON)),
        DType::F16 => Some(2_f64.powi(-10)),
        DType::BF16 => Some(2_f64.powi(-7)),
        _ => None,
    }
}

/// Whether no element is NaN or infinite.
pub(crate) fn is_finite(x: &Array) -> Result<bool> {
    if !on_cpu(x) {
        let zero: f64 = (x * 0.0)?.sum_all()?.to_dtype(DType::F64)?.to_scalar()?;
        return Ok(zero == 0.0);
    }
    with_float!(x.dtype(), T => Ok(kernel::is_finite::<T>(&elements(&contiguous(x)?)?)))
}
