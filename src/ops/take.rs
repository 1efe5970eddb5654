//! Elements by a list of positions: the base of indexing, gathering, padding and sliding windows.
//!
//! Take and put are each other's transpose: y[i] = x[p(i)], and y[p(i)] += x[i] on zeros.

use candle_core::{CpuStorage, DType, Device, WithDType};

use super::create::checked;
use crate::autograd::array::{contiguous, converted, elements, in_main_memory};
use crate::autograd::launch::{Describe, Operand, PlacesKernel, Primitive, launch, launch_many};
use crate::autograd::{Array, Jacobian, OnnxAttribute, Op, SaveContext, Saved, Tensor, traced};
use crate::error::{Error, Result};
use crate::kernel::{self, BlockIndices, Dims};

/// The storage that `$body` makes of `$data`, the elements of a contiguous operand of whatever type.
macro_rules! with_data {
    ([$($kind:ident)*] $x:expr, $data:ident => $body:expr) => {
        match $x.storage() {
            $(candle_core::CpuStorage::$kind(all) => {
                let $data = $x.of(all);
                Ok([candle_core::CpuStorage::$kind($body)])
            })*
            _ => {
                let expected = "an ordinary dtype (see to_dtype)";
                Err($crate::error::Error::dtype("take", expected, &[$x.dtype()]))
            }
        }
    };
    ($x:expr, $data:ident => $body:expr) => {
        $crate::ops::take::with_data!([U8 U32 I16 I32 I64 F16 BF16 F32 F64 F8E4M3] $x, $data => $body)
    };
}
pub(super) use with_data;

/// [`BlockIndices`] with the starts in an array of i64 in main memory.
#[derive(Clone, Debug)]
pub(super) struct Places {
    pub(super) starts: Array,
    pub(super) block: usize,
    pub(super) period: usize,
}

impl Places {
    pub(super) fn new(starts: impl Iterator<Item = usize>, block: usize, period: usize) -> Result<Self> {
        let starts: Vec<i64> = starts.map(|start| start as i64).collect();
        let count = starts.len();
        Ok(Places { starts: Array::from_vec(starts, count, &Device::Cpu)?, block, period })
    }

    /// The elements of all blocks of one period.
    pub(super) fn count(&self) -> usize {
        self.starts.elem_count() * self.block
    }

    /// The blocks, from the starts as a kernel reads them.
    fn blocks(&self) -> impl Fn(Operand<'_>) -> BlockIndices<'_> + Send + Sync + 'static {
        let (block, period) = (self.block, self.period);
        move |starts| BlockIndices { starts: starts.elements(), block, period }
    }

    /// What a kernel computes at these places.
    fn describe(&self, name: &'static str, what: PlacesKernel) -> impl Describe + use<> {
        let (block, period) = (self.block, self.period);
        (name, move || Primitive::Places { block, period, what })
    }

    /// The indices of blocks of one length on a device, and the length; `None` if there is a start without a block.
    fn on(&self, device: &Device) -> Result<Option<(Array, usize)>> {
        let (starts, block, period) = (&elements::<i64>(&self.starts)?[..], self.block, self.period);
        if starts.iter().any(|&start| start < 0) {
            return Ok(None);
        }
        let (indices, block) = BlockIndices { starts, block, period }.in_blocks();
        let count = indices.len();
        Ok(Some((Array::from_vec(indices, count, device)?, block)))
    }
}

/// The elements at the positions, in the shape `dims`.
#[derive(Debug)]
struct Take {
    places: Places,
    dims: Dims,
}

impl Op<1> for Take {
    const NAME: &'static str = "take";

    fn forward(&self, [x]: [&Array; 1], _: &mut SaveContext) -> Result<Array> {
        checked(Self::NAME, self.dims[..].into(), x.dtype().size_in_bytes())?;
        if in_main_memory(x) { self.on_cpu(x) } else { self.on_device(x) }
    }

    fn jacobian(&self) -> Jacobian {
        Jacobian::Linear
    }

    fn backward(&self, saved: &Saved, grad: &Tensor) -> Result<[Option<Tensor>; 1]> {
        let dims = Dims::from_slice(saved.input_dims(0)?);
        Ok([Some(Put { places: self.places.clone(), dims }.apply([grad])?)])
    }
}

impl Take {
    fn on_cpu(&self, x: &Array) -> Result<Array> {
        let (inputs, blocks) = ([&contiguous(x)?, &self.places.starts], self.places.blocks());
        let [y] = launch_many(
            self.places.describe(Self::NAME, PlacesKernel::Take),
            inputs,
            [&self.dims],
            move |[x, starts]| with_data!(x, data => blocks(starts).take(data)),
        )?;
        Ok(y)
    }

    /// The same by candle.
    fn on_device(&self, x: &Array) -> Result<Array> {
        if self.places.count() == 0 || x.elem_count() == 0 {
            return Ok(Array::zeros(&self.dims[..], x.dtype(), x.device())?);
        }
        let Some((places, block)) = self.places.on(x.device())? else {
            return Ok(self.on_cpu(&x.to_device(&Device::Cpu)?)?.to_device(x.device())?);
        };
        let period = self.places.period;
        let x = x.contiguous()?.reshape((x.elem_count() / period, period / block, block))?;
        Ok(x.index_select(&places, 1)?.reshape(&self.dims[..])?)
    }
}

/// Zeros of the shape `dims`, with the input added at the positions.
#[derive(Debug)]
struct Put {
    places: Places,
    dims: Dims,
}

impl Op<1> for Put {
    const NAME: &'static str = "put";

    fn forward(&self, [x]: [&Array; 1], _: &mut SaveContext) -> Result<Array> {
        if in_main_memory(x) { self.on_cpu(x) } else { self.on_device(x) }
    }

    fn jacobian(&self) -> Jacobian {
        Jacobian::Linear
    }

    fn backward(&self, saved: &Saved, grad: &Tensor) -> Result<[Option<Tensor>; 1]> {
        Ok([Some(taken(grad, self.places.clone(), saved.input_dims(0)?)?)])
    }
}

impl Put {
    fn on_cpu(&self, x: &Array) -> Result<Array> {
        let (n, blocks) = (self.dims.iter().product(), self.places.blocks());
        let inputs = [&contiguous(&wide(x)?)?, &self.places.starts];
        let [y] = launch_many(
            self.places.describe(Self::NAME, PlacesKernel::Put),
            inputs,
            [&self.dims],
            move |[x, starts]| with_data!([U8 U32 I16 I32 I64 F32 F64] x, data => blocks(starts).put(data, n)),
        )?;
        converted(&y, x.dtype())
    }

    /// The same by candle.
    fn on_device(&self, x: &Array) -> Result<Array> {
        let zeros = Array::zeros(&self.dims[..], x.dtype(), x.device())?;
        if x.elem_count() == 0 {
            return Ok(zeros);
        }
        let Some((places, block)) = self.places.on(x.device())? else {
            return Ok(self.on_cpu(&x.to_device(&Device::Cpu)?)?.to_device(x.device())?);
        };
        let period = self.places.period;
        let shape = (zeros.elem_count() / period, period / block, block);
        let x = x.contiguous()?.reshape((shape.0, places.elem_count(), block))?;
        Ok(zeros.reshape(shape)?.index_add(&places, &x, 1)?.reshape(&self.dims[..])?)
    }
}

/// f32 for dtypes that are too coarse to be summed.
fn wide(x: &Array) -> Result<Array> {
    match x.dtype() {
        DType::F16 | DType::BF16 | DType::F8E4M3 => converted(x, DType::F32),
        _ => Ok(x.clone()),
    }
}

/// The first input with the second added at the positions.
#[derive(Debug)]
struct Add(Places);

impl Op<2> for Add {
    const NAME: &'static str = "add_at";

    fn forward(&self, [x, source]: [&Array; 2], _: &mut SaveContext) -> Result<Array> {
        if !in_main_memory(x) {
            let put = Put { places: self.0.clone(), dims: Dims::from_slice(x.dims()) };
            return Ok((x + put.on_device(source)?)?);
        }
        let blocks = self.0.blocks();
        let inputs = [&contiguous(&wide(x)?)?, &contiguous(&wide(source)?)?, &self.0.starts];
        let what = self.0.describe(Self::NAME, PlacesKernel::Add);
        let [y] = launch_many(what, inputs, [x.dims()], move |[x, source, starts]| {
            with_data!([U8 U32 I16 I32 I64 F32 F64] x, data => {
                changed(data, source, |out, source| blocks(starts).add(out, source))
            })
        })?;
        converted(&y, x.dtype())
    }

    fn jacobian(&self) -> Jacobian {
        Jacobian::Linear
    }

    fn backward(&self, saved: &Saved, grad: &Tensor) -> Result<[Option<Tensor>; 2]> {
        let source = || taken(grad, self.0.clone(), saved.input_dims(1)?);
        let source = saved.needs_input_grad(1).then(source).transpose()?;
        Ok([Some(grad.clone()), source])
    }
}

/// The first input with the second written at the positions, none of which occurs twice.
#[derive(Debug)]
struct Write(Places);

impl Op<2> for Write {
    const NAME: &'static str = "write";

    fn forward(&self, [x, source]: [&Array; 2], _: &mut SaveContext) -> Result<Array> {
        let home = x.device();
        let on_cpu = |x: &Array| contiguous(&x.to_device(&Device::Cpu)?);
        let (inputs, blocks) = ([&on_cpu(x)?, &on_cpu(source)?, &self.0.starts], self.0.blocks());
        let [y] = launch_many(
            self.0.describe(Self::NAME, PlacesKernel::Write),
            inputs,
            [x.dims()],
            move |[x, source, starts]| with_data!(x, data => changed(data, source, |out, source| blocks(starts).set(out, source))),
        )?;
        Ok(y.to_device(home)?)
    }

    fn jacobian(&self) -> Jacobian {
        Jacobian::Linear
    }

    fn backward(&self, saved: &Saved, grad: &Tensor) -> Result<[Option<Tensor>; 2]> {
        let source = || taken(grad, self.0.clone(), saved.input_dims(1)?);
        let source = saved.needs_input_grad(1).then(source).transpose()?;
        let rest = || {
            let pieces = grad.elem_count().checked_div(self.0.period).unwrap_or(0);
            let zeros = Array::zeros(pieces * self.0.count(), grad.dtype(), grad.device())?;
            Write(self.0.clone()).apply([grad, &zeros.into()])
        };
        Ok([saved.needs_input_grad(0).then(rest).transpose()?, source])
    }
}

/// A copy of `data`, the elements of x, changed by `change`.
fn changed<T: WithDType>(data: &[T], source: Operand<'_>, change: impl FnOnce(&mut [T], &[T])) -> Vec<T> {
    let mut out = kernel::collected(data.len(), data.iter().copied());
    change(&mut out, source.elements());
    out
}

/// The elements of `x` at the positions, in the shape `dims`.
pub(super) fn taken(x: &Tensor, places: Places, dims: &[usize]) -> Result<Tensor> {
    Take { places, dims: Dims::from_slice(dims) }.apply([x])
}

/// The slices of `axis` at `indices`, which must exist.
pub(super) fn taken_along(
    op: &'static str,
    x: &Tensor,
    axis: usize,
    indices: impl ExactSizeIterator<Item = usize> + Clone,
) -> Result<Tensor> {
    let mut dims = Dims::from_slice(x.dims());
    dims[axis] = indices.len();
    let shape = checked(op, dims[..].into(), x.dtype().size_in_bytes())?;
    // An empty result may name any number of indices: no list of them is made.
    let indices = indices.take(shape.elem_count());
    let compute = || taken(x, places_along(x.dims(), axis, indices.clone())?, &dims);
    traced(&[x], compute, |onnx| {
        let at = onnx.ints(&indices.clone().map(|index| index as i64).collect::<Vec<_>>());
        let x = onnx.input(0);
        Ok(onnx.node("Gather", &[x, at], &[("axis", OnnxAttribute::Int(axis as i64))]))
    })
}

/// The slices along `axis` with [`checked_indices`].
pub(super) fn places_at(dims: &[usize], axis: usize, indices: Array) -> Result<Places> {
    let block: usize = dims[axis + 1..].iter().product();
    let starts = launch("starts", [&indices], indices.dims(), move |[x]| {
        let starts = x.elements::<i64>().iter().map(|index| index * block as i64);
        kernel::collected(starts.len(), starts)
    })?;
    Ok(Places { starts, block, period: dims[axis] * block })
}

/// The positions of the slices of `axis` at `indices`.
fn places_along(dims: &[usize], axis: usize, indices: impl Iterator<Item = usize>) -> Result<Places> {
    let block = dims[axis + 1..].iter().product();
    Places::new(indices.map(|index| index * block), block, dims[axis] * block)
}

/// A copy of `x` with `source` added at the positions.
pub(super) fn added(x: &Tensor, source: &Tensor, places: Places) -> Result<Tensor> {
    Add(places).apply([x, source])
}

/// A copy of `x` with `source` written at the positions; where one occurs twice the last write counts.
pub(super) fn written(x: &Tensor, source: &Tensor, mut places: Places) -> Result<Tensor> {
    if source.requires_grad() {
        // What is written over has no influence, so it gets no gradient.
        let starts = &places.starts;
        places.starts =
            launch("last_of_each", [starts], starts.dims(), |[x]| kernel::last_of_each(x.elements()))?;
    }
    Write(places).apply([x, source])
}

/// Indices along an axis, checked; negative ones count from the end.
pub(super) fn checked_indices(
    op: &'static str,
    dims: &[usize],
    axis: usize,
    indices: &Tensor,
    finish: impl Fn(&mut [i64]) + Send + Sync + 'static,
) -> Result<Array> {
    if !matches!(indices.dtype(), DType::U8 | DType::U32 | DType::I64) {
        return Err(Error::dtype(op, "indices of dtype u8, u32 or i64", &[indices.dtype()]));
    }
    let numbers = contiguous(&converted(&indices.array().to_device(&Device::Cpu)?, DType::I64)?)?;
    let (size, dims) = (dims[axis] as i64, Dims::from_slice(dims));
    let [places] = launch_many("indices", [&numbers], [&[numbers.elem_count()]], move |[x]| {
        let place = |(element, &index): (usize, &i64)| {
            let place = if index < 0 { index.saturating_add(size) } else { index };
            if (0..size).contains(&place) {
                return Ok(place);
            }
            let expected = format!("indices from {} and below {size} (axis {axis} of shape {dims:?})", -size);
            Err(Error::argument(op, expected, format!("{index} (element {element} of the indices)")))
        };
        let numbers = x.elements::<i64>();
        let mut places = kernel::empty(numbers.len());
        for number in numbers.iter().enumerate() {
            places.push(place(number)?);
        }
        finish(&mut places);
        Ok([CpuStorage::I64(places)])
    })?;
    Ok(places)
}

/// Errors unless both tensors have the same dtype and device.
pub(super) fn same_kind(op: &'static str, x: &Tensor, source: &Tensor) -> Result<()> {
    if x.dtype() != source.dtype() {
        return Err(Error::dtype(op, "a source of the tensor's dtype", &[x.dtype(), source.dtype()]));
    }
    if !x.device().same_device(source.device()) {
        let got = [x, source].map(|x| format!("{:?}", x.device().location())).join(" and ");
        return Err(Error::Device { op, got });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::testing::check;
    use super::{Places, Put, Take, added, taken, written};
    use crate::kernel::Dims;
    use crate::prelude::*;

    fn places(starts: &[usize], block: usize, period: usize) -> Places {
        Places::new(starts.iter().copied(), block, period).unwrap()
    }

    #[test]
    fn gradients() {
        let x = [0.3, -1.0, 2.0, 0.5, 1.5, -0.7];
        // Overlapping blocks, a place named three times and one never.
        check(&x, |x| taken(x, places(&[3, 0, 3, 2], 2, 6), &[x.elem_count() / 6, 8]));
        check(&x, |x| {
            let flat = x.flatten(0, -1)?;
            added(&flat.exp()?, &flat.i(..4)?.sqr()?, places(&[1, 1], 2, flat.elem_count()))
        });
        check(&x, |x| {
            let flat = x.flatten(0, -1)?;
            written(&flat.exp()?, &flat.i(..6)?.sqr()?, places(&[1, 3, 1], 2, flat.elem_count()))
        });
    }

    #[test]
    fn other_devices_do_the_same() -> Result<()> {
        let x = Tensor::arange(0.0, 24.0, &Device::Cpu)?.reshape((2, 12))?;
        for places in [places(&[4, 0, 4], 2, 12), places(&[5, 0], 3, 12), places(&[1, 1], 1, 24)] {
            let n = 24 / places.period * places.count();
            let take = Take { places: places.clone(), dims: Dims::from_slice(&[n]) };
            let put = Put { places, dims: Dims::from_slice(&[2, 12]) };
            let there = take.on_device(x.array())?;
            let back = put.on_device(&there)?.to_vec2::<f64>()?;
            let y = take.apply([&x])?;
            assert_eq!(y.to_vec1::<f64>()?, there.to_vec1::<f64>()?);
            assert_eq!(put.apply([&y])?.to_vec2::<f64>()?, back);
        }
        Ok(())
    }

    #[test]
    fn every_dtype_moves() -> Result<()> {
        for dtype in [DType::U8, DType::U32, DType::I64, DType::F16, DType::BF16, DType::F32, DType::F64] {
            let x = Tensor::new(&[1.0, 2.0, 3.0, 4.0], &Device::Cpu)?.to_dtype(dtype)?;
            let numbers = |x: Tensor| x.to_dtype(DType::F64)?.to_vec1::<f64>();
            assert_eq!(numbers(taken(&x, places(&[3, 0, 3], 1, 4), &[3])?)?, [4.0, 1.0, 4.0]);
            let two = x.i(..2)?;
            assert_eq!(numbers(added(&x, &two, places(&[3, 3], 1, 4))?)?, [1.0, 2.0, 3.0, 7.0], "{dtype:?}");
            assert_eq!(numbers(written(&x, &two, places(&[3, 3], 1, 4))?)?, [1.0, 2.0, 3.0, 2.0]);
        }
        Ok(())
    }

    #[test]
    fn sums_of_narrow_numbers_are_exact() -> Result<()> {
        for dtype in [DType::F16, DType::BF16] {
            let ones = Tensor::ones(1000, dtype, &Device::Cpu)?;
            let zero = Tensor::zeros(1, dtype, &Device::Cpu)?;
            let y = added(&zero, &ones, places(&[0; 1000], 1, 1))?;
            assert_eq!(y.to_dtype(DType::F64)?.to_vec1::<f64>()?, [1000.0]);
        }
        Ok(())
    }
}
