//! numpy's basic and advanced indexing: integers, ranges and index tensors, axis by axis.

use std::ops::{Bound, Range, RangeFrom, RangeFull, RangeInclusive, RangeTo, RangeToInclusive};

use candle_core::Device;

use super::axis::Axis;
use super::create::checked;
use super::narrow::{narrowed, selected};
use super::onnx::counted;
use super::reshape::reshaped;
use super::take::{checked_indices, places_at, taken, taken_along};
use crate::autograd::array::elements;
use crate::autograd::{Array, Onnx, OnnxAttribute, OnnxValue, Tensor, launch, traced};
use crate::error::{Error, Result};
use crate::kernel::{Dims, broadcast_dims, strides, sums};

/// What an [`Index`] selects along one axis.
#[derive(Clone, Debug)]
pub enum AxisIndex {
    /// One position; the axis is removed. Negative ones count from the end.
    At(i64),
    /// The positions of a range, whose bounds may be negative as well.
    Range(Bound<i64>, Bound<i64>),
    /// Every n-th position of a range, from its end if n is negative.
    Step(Bound<i64>, Bound<i64>, i64),
    /// The positions that a tensor of indices names.
    Tensor(Tensor),
}

/// What [`Tensor::i`] takes for one axis: an integer, a range of integers, a [`step`] or a tensor of indices.
pub trait Index {
    /// What to select.
    fn axis_index(self) -> AxisIndex;
}

/// What [`Tensor::i`] takes: one [`Index`], or a tuple of up to six for the first axes.
pub trait Indices {
    /// What to select along each axis.
    fn axis_indices(self) -> Vec<AxisIndex>;
}

impl<A: Axis> Index for A {
    fn axis_index(self) -> AxisIndex {
        AxisIndex::At(self.number())
    }
}

impl Index for &Tensor {
    fn axis_index(self) -> AxisIndex {
        AxisIndex::Tensor(self.clone())
    }
}

/// A range of integers of any of Rust's kinds, for [`step`].
pub trait Bounds {
    /// The start and the end.
    fn bounds(self) -> (Bound<i64>, Bound<i64>);
}

macro_rules! ranges {
    ($($(@$a:ident)? $range:ty: $self:ident => $start:expr, $end:expr;)*) => {$(
        impl$(<$a: Axis>)? Bounds for $range {
            fn bounds($self) -> (Bound<i64>, Bound<i64>) {
                ($start, $end)
            }
        }

        impl$(<$a: Axis>)? Index for $range {
            fn axis_index(self) -> AxisIndex {
                let (start, end) = self.bounds();
                AxisIndex::Range(start, end)
            }
        }
    )*};
}
ranges! {
    RangeFull: self => Bound::Unbounded, Bound::Unbounded;
    @A Range<A>: self => Bound::Included(self.start.number()), Bound::Excluded(self.end.number());
    @A RangeFrom<A>: self => Bound::Included(self.start.number()), Bound::Unbounded;
    @A RangeInclusive<A>: self => Bound::Included(self.start().number()), Bound::Included(self.end().number());
    @A RangeTo<A>: self => Bound::Unbounded, Bound::Excluded(self.end.number());
    @A RangeToInclusive<A>: self => Bound::Unbounded, Bound::Included(self.end.number());
}

/// A range with a step; made by [`step`].
#[derive(Clone, Copy, Debug)]
pub struct StepRange {
    bounds: (Bound<i64>, Bound<i64>),
    by: i64,
}

/// Every `by`-th position of a range, for [`Tensor::i`] and [`Tensor::assign`].
///
/// A negative `by` starts at the last position of the range and goes backwards: numpy's `x[5:0:-2]` is `step(1..=5, -2)`.
/// A step of 0 is an error where it is used.
///
/// ```
/// # use tealight::ops::step;
/// # use tealight::prelude::*;
/// let x = Tensor::arange(0.0, 6.0, &Device::Cpu)?;
/// assert_eq!(x.i(step(1.., 2))?.to_vec1::<f64>()?, [1.0, 3.0, 5.0]);
/// assert_eq!(x.i(step(.., -1))?.to_vec1::<f64>()?, [5.0, 4.0, 3.0, 2.0, 1.0, 0.0]);
/// assert_eq!(x.i(step(..4, -2))?.to_vec1::<f64>()?, [3.0, 1.0]);
/// # Ok::<(), tealight::Error>(())
/// ```
pub fn step(range: impl Bounds, by: i64) -> StepRange {
    StepRange { bounds: range.bounds(), by }
}

impl Index for StepRange {
    fn axis_index(self) -> AxisIndex {
        AxisIndex::Step(self.bounds.0, self.bounds.1, self.by)
    }
}

impl<T: Index> Indices for T {
    fn axis_indices(self) -> Vec<AxisIndex> {
        vec![self.axis_index()]
    }
}

macro_rules! tuples {
    ($(($($index:ident)*))*) => {$(
        impl<$($index: Index),*> Indices for ($($index,)*) {
            #[allow(non_snake_case)]
            fn axis_indices(self) -> Vec<AxisIndex> {
                let ($($index,)*) = self;
                vec![$($index.axis_index()),*]
            }
        }
    )*};
}
tuples!(() (A) (A B) (A B C) (A B C D) (A B C D E) (A B C D E F));

/// What is selected along an axis of known length.
pub(super) enum Selection {
    One(usize),
    /// The start and the length.
    Span(usize, usize),
    List(Vec<usize>),
    /// The positions that a tensor names, and the same checked and counted from the start.
    Tensor(Tensor, Array),
}

impl Selection {
    pub(super) fn list(&self) -> Result<Vec<usize>> {
        Ok(match self {
            &Selection::One(at) => vec![at],
            &Selection::Span(start, len) => (start..start + len).collect(),
            Selection::List(list) => list.clone(),
            Selection::Tensor(_, indices) => {
                launch::refuse_reading("indices (see index_select)", indices);
                elements::<i64>(indices)?.iter().map(|&index| index as usize).collect()
            }
        })
    }

    /// The length of the axis in the result, if it stays.
    pub(super) fn len(&self) -> Option<usize> {
        match self {
            Selection::One(_) => None,
            &Selection::Span(_, len) => Some(len),
            Selection::List(list) => Some(list.len()),
            Selection::Tensor(_, indices) => Some(indices.elem_count()),
        }
    }
}

/// Whether every axis is selected by itself: not if a tensor of indices is no vector, or several name elements together.
pub(super) fn axis_by_axis(selected: &[Selection]) -> bool {
    let mut ranks = selected.iter().filter_map(|selection| match selection {
        Selection::Tensor(indices, _) => Some(indices.rank()),
        _ => None,
    });
    ranks.next().is_none_or(|rank| rank == 1) && ranks.next().is_none()
}

/// The elements of `x` that are selected.
pub(super) fn indexed(op: &'static str, x: &Tensor, selected_by: Vec<Selection>) -> Result<Tensor> {
    let together = !axis_by_axis(&selected_by);
    let mut x = x.clone();
    // The axes of the tensors of indices, their lists and themselves.
    let mut tensors: Vec<(usize, Vec<usize>, Tensor)> = vec![];
    // From the last axis on, so that a removed axis moves none that is still to come.
    for (axis, selection) in selected_by.into_iter().enumerate().rev() {
        x = match selection {
            Selection::One(at) => {
                tensors.iter_mut().for_each(|(after, ..)| *after -= 1);
                selected(&x, axis, at)?
            }
            Selection::Span(start, len) => narrowed(&x, axis, start, len)?,
            Selection::Tensor(ref indices, _) if together => {
                tensors.insert(0, (axis, selection.list()?, indices.clone()));
                x
            }
            Selection::Tensor(indices, at) => {
                let mut dims = Dims::from_slice(x.dims());
                dims[axis] = at.elem_count();
                checked(op, dims[..].into(), x.dtype().size_in_bytes())?;
                let compute = || taken(&x, places_at(x.dims(), axis, at)?, &dims);
                traced(&[&x, &indices], compute, |onnx| gathered(axis, onnx))?
            }
            Selection::List(list) => taken_along(op, &x, axis, list.into_iter())?,
        };
    }
    if !together {
        return Ok(x);
    }
    let inputs: Vec<&Tensor> =
        std::iter::once(&x).chain(tensors.iter().map(|(.., indices)| indices)).collect();
    traced(&inputs, || indexed_together(op, &x, &tensors), |onnx| gathered_together(&tensors, onnx))
}

/// The slices of `axis` that the second input names.
pub(super) fn gathered(axis: usize, onnx: &mut Onnx) -> Result<OnnxValue> {
    let (x, at) = (onnx.input(0), onnx.input(1));
    let at = counted(at, onnx.dtype(1)?, onnx)?;
    Ok(onnx.node("Gather", &[x, at], &[("axis", OnnxAttribute::Int(axis as i64))]))
}

/// [`indexed_together`] in ONNX, where the axes that have indices must come first.
fn gathered_together(tensors: &[(usize, Vec<usize>, Tensor)], onnx: &mut Onnx) -> Result<OnnxValue> {
    if let &[(axis, ..)] = tensors {
        return gathered(axis, onnx);
    }
    let axes = &tensors.iter().map(|(axis, ..)| *axis).collect::<Vec<_>>()[..];
    let (x, last, rank) = (onnx.input(0), onnx.ints(&[-1]), onnx.dims(0)?.len());
    let (output, at) = (onnx.output_dims().to_vec(), first_of(axes));
    let common = &output[at..at + output.len() + axes.len() - rank];
    let shape = onnx.shape(common);
    let mut columns = Vec::with_capacity(axes.len());
    for (i, (_, list, indices)) in (1..).zip(tensors) {
        let own = onnx.input(i);
        let mut column = if onnx.is_constant(own) {
            // Counted from the start: not all engines know negative ones here.
            let list = list.iter().map(|&at| at as i64).collect();
            onnx.constant(&Array::from_vec(list, indices.dims(), &Device::Cpu)?)
        } else {
            counted(own, onnx.dtype(i)?, onnx)?
        };
        if onnx.dims(i)? != common {
            column = onnx.node("Expand", &[column, shape], &[]);
        }
        columns.push(onnx.node("Unsqueeze", &[column, last], &[]));
    }
    let indices = onnx.node("Concat", &columns, &[("axis", OnnxAttribute::Int(-1))]);
    let turned = |order: Vec<usize>, x: OnnxValue, onnx: &mut Onnx| {
        if order.is_sorted() {
            return x;
        }
        let order = order.into_iter().map(|axis| axis as i64).collect();
        onnx.node("Transpose", &[x], &[("perm", OnnxAttribute::Ints(order))])
    };
    let others = (0..rank).filter(|axis| !axes.contains(axis));
    let x = turned(axes.iter().copied().chain(others).collect(), x, onnx);
    let y = onnx.node("GatherND", &[x, indices], &[]);
    let (count, all) = (common.len(), output.len());
    Ok(turned((count..count + at).chain(0..count).chain(count + at..all).collect(), y, onnx))
}

/// Where the axes of the indices come: where those are that they index, or first if those are not adjacent.
fn first_of(axes: &[usize]) -> usize {
    if axes.windows(2).all(|pair| pair[0] + 1 == pair[1]) { axes[0] } else { 0 }
}

/// Makes one axis of those that have indices, and takes from it.
fn indexed_together(op: &'static str, x: &Tensor, tensors: &[(usize, Vec<usize>, Tensor)]) -> Result<Tensor> {
    let axes: Vec<usize> = tensors.iter().map(|(axis, ..)| *axis).collect();
    let shapes = || tensors.iter().map(|(.., indices)| indices.dims()).collect::<Vec<_>>();
    let common = shapes().into_iter().try_fold(Dims::new(), |common, dims| broadcast_dims(&common, dims));
    let common =
        common.ok_or_else(|| Error::shape(op, "tensors of indices that broadcast together", &shapes()))?;
    let at = first_of(&axes);
    let mut others: Vec<usize> = (0..x.rank()).filter(|axis| !axes.contains(axis)).collect();
    let sizes: Vec<usize> = axes.iter().map(|&axis| x.dims()[axis]).collect();
    let rest: Vec<usize> = others.iter().map(|&axis| x.dims()[axis]).collect();
    let around = |middle: &[usize]| [&rest[..at], middle, &rest[at..]].concat();
    checked(op, around(&common).into(), x.dtype().size_in_bytes())?;
    others.splice(at..at, axes);
    let x = if others.is_sorted() { x.clone() } else { x.permute(&others[..])? };
    let x = reshaped(&x, &around(&[sizes.iter().product()]))?;
    let mut places = vec![0; common.iter().product()];
    for ((_, list, indices), step) in tensors.iter().zip(strides(&sizes)) {
        let dims = indices.dims();
        let missing = common.len() - dims.len();
        let steps = strides(dims);
        // Along an axis of length 1 every position is the first.
        let walk = |i: usize| match i.checked_sub(missing) {
            Some(own) if dims[own] != 1 => (0..common[i]).map(|at| at * steps[own]).collect(),
            _ => vec![0; common[i]],
        };
        let from = sums((0..common.len()).map(walk));
        places.iter_mut().zip(from).for_each(|(place, from)| *place += list[from] * step);
    }
    let y = taken_along(op, &x, at, places.into_iter())?;
    reshaped(&y, &around(&common))
}

/// What the indices select, axis by axis.
pub(super) fn resolve(op: &'static str, x: &Tensor, indices: impl Indices) -> Result<Vec<Selection>> {
    let indices = indices.axis_indices();
    if indices.len() > x.rank() {
        let expected = format!("at most {} indices for shape {:?}", x.rank(), x.dims());
        return Err(Error::argument(op, expected, indices.len()));
    }
    indices.iter().enumerate().map(|(axis, index)| index.resolve(op, x, axis)).collect()
}

impl AxisIndex {
    fn resolve(&self, op: &'static str, x: &Tensor, axis: usize) -> Result<Selection> {
        let size = x.dims()[axis];
        let beyond = |got: String| {
            let expected = format!(
                "indices from {} and below {size} (axis {axis} of shape {:?})",
                -(size as i64),
                x.dims()
            );
            Error::argument(op, expected, got)
        };
        let inside = |start, end| span(start, end, size).ok_or_else(|| beyond(range_text(start, end)));
        match self {
            &AxisIndex::At(at) => {
                let position = from_start(at, size).filter(|&position| position < size);
                Ok(Selection::One(position.ok_or_else(|| beyond(at.to_string()))?))
            }
            &AxisIndex::Range(start, end) => {
                let (start, end) = inside(start, end)?;
                Ok(Selection::Span(start, end - start))
            }
            &AxisIndex::Step(_, _, 0) => Err(Error::argument(op, "a step other than 0", 0)),
            &AxisIndex::Step(start, end, by) => {
                let (start, end) = inside(start, end)?;
                let stride = usize::try_from(by.unsigned_abs()).unwrap_or(usize::MAX);
                let len = (end - start).div_ceil(stride);
                // In an empty tensor all selections of one length are alike, and none needs a list.
                Ok(if by == 1 || x.elem_count() == 0 {
                    Selection::Span(start, len)
                } else if by > 0 {
                    Selection::List((start..end).step_by(stride).collect())
                } else {
                    Selection::List((start..end).rev().step_by(stride).collect())
                })
            }
            AxisIndex::Tensor(indices) => {
                let at = checked_indices(op, x.dims(), axis, indices, |_| {})?;
                Ok(Selection::Tensor(indices.clone(), at))
            }
        }
    }
}

impl Tensor {
    /// Indexes the tensor with integers, ranges and index tensors, axis by axis, as `x[…]` does in numpy and PyTorch.
    ///
    /// An integer selects one position and removes the axis; a range selects several. Both return a view. A tensor of indices
    /// selects the positions that it names, in its order and shape, and [`step`] every n-th position of a range; these two copy.
    /// Negative integers count from the end. Axes that are not mentioned are selected whole.
    ///
    /// Several tensors of indices broadcast together and name elements: `x.i((&i, &j))` is x\[i\[k\], j\[k\]\] for every k, as in
    /// PyTorch. (For rows and columns crosswise, give one of them an axis of length 1.) The axes of the indices stand where the axes that
    /// they index were, or first if those are not adjacent.
    ///
    /// Gradient: g at the selected elements, 0 elsewhere; repeated ones add.
    ///
    /// # Errors
    /// Errors if there are more indices than axes, an index or the end of a range is beyond its axis, a range ends before it
    /// starts, a step is 0, or several tensors of indices do not broadcast together.
    ///
    /// ```
    /// # use tealight::prelude::*;
    /// let x = Tensor::arange(0.0, 12.0, &Device::Cpu)?.reshape((3, 4))?;
    /// assert_eq!(x.i(1)?.to_vec1::<f64>()?, [4.0, 5.0, 6.0, 7.0]);
    /// assert_eq!(x.i((.., -1))?.to_vec1::<f64>()?, [3.0, 7.0, 11.0]);
    /// assert_eq!(x.i((1.., 1..=2))?.to_vec2::<f64>()?, [[5.0, 6.0], [9.0, 10.0]]);
    /// let last_first = Tensor::new(&[-1_i64, 0], &Device::Cpu)?;
    /// assert_eq!(x.i((&last_first, 3))?.to_vec1::<f64>()?, [11.0, 3.0]);
    /// let columns = Tensor::new(&[2_u32, 0], &Device::Cpu)?;
    /// assert_eq!(x.i((&last_first, &columns))?.to_vec1::<f64>()?, [10.0, 0.0]);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    #[doc(alias = "index")]
    #[doc(alias = "slice")]
    pub fn i(&self, indices: impl Indices) -> Result<Tensor> {
        indexed("i", self, resolve("i", self, indices)?)
    }
}

/// The position of `at` on an axis of length `size`, or the one just behind it.
fn from_start(at: i64, size: usize) -> Option<usize> {
    let from_start = if at < 0 { at.saturating_add_unsigned(size as u64) } else { at };
    usize::try_from(from_start).ok().filter(|&position| position <= size)
}

/// The first position of a range and the one behind its last, if they are on the axis.
fn span(start: Bound<i64>, end: Bound<i64>, size: usize) -> Option<(usize, usize)> {
    let behind = |at: i64| from_start(at, size)?.checked_add(1);
    let start = match start {
        Bound::Included(at) => from_start(at, size)?,
        Bound::Excluded(at) => behind(at)?,
        Bound::Unbounded => 0,
    };
    let end = match end {
        Bound::Included(at) => behind(at)?,
        Bound::Excluded(at) => from_start(at, size)?,
        Bound::Unbounded => size,
    };
    (start <= end && end <= size).then_some((start, end))
}

/// The range as it is written in Rust.
fn range_text(start: Bound<i64>, end: Bound<i64>) -> String {
    let start = match start {
        Bound::Included(at) | Bound::Excluded(at) => at.to_string(),
        Bound::Unbounded => String::new(),
    };
    match end {
        Bound::Included(at) => format!("{start}..={at}"),
        Bound::Excluded(at) => format!("{start}..{at}"),
        Bound::Unbounded => format!("{start}.."),
    }
}

#[cfg(test)]
#[allow(clippy::reversed_empty_ranges)] // they are what is tested
mod tests {
    use super::super::testing::check;
    use super::step;
    use crate::prelude::*;

    #[test]
    fn gradients() {
        let x = [0.3, -1.0, 2.0, 0.5, 1.5, -0.7];
        check(&x, |x| x.i(0)?.sqr());
        check(&x, |x| x.reshape((2, x.elem_count() / 2))?.i((1, 1..3))?.exp());
        check(&x, |x| x.unsqueeze(0)?.i((.., -1)));
        let twice = Tensor::new(&[1u32, 0, 1], &Device::Cpu).unwrap();
        check(&x, |x| x.unsqueeze(0)?.reshape((2, x.elem_count() / 2))?.i((&twice, ..-1)));
        check(&x, |x| {
            x.reshape((2, x.elem_count() / 2))?.i((&twice, &Tensor::new(&[0_i64, -1, 0], &Device::Cpu)?))
        });
        check(&x, |x| x.exp()?.i(step(.., -1))?.unsqueeze(0)?.i((0, step(1.., 2)))?.sqr());
    }

    #[test]
    fn against_plain_indexing() -> Result<()> {
        let x = Tensor::arange(0u32, 60, &Device::Cpu)?.reshape((5, 4, 3))?.transpose(0, 2)?;
        assert_eq!(x.dims(), [3, 4, 5]);
        let at = |i: usize, j: usize, k: usize| (k * 12 + j * 3 + i) as u32;
        assert_eq!(x.i((2, 1, 3))?.to_scalar::<u32>()?, at(2, 1, 3));
        assert_eq!(x.i((-1_i8, -3_i64, 3_usize))?.to_scalar::<u32>()?, at(2, 1, 3));
        assert_eq!(x.i((1, .., 4))?.to_vec1::<u32>()?, [0, 1, 2, 3].map(|j| at(1, j, 4)));
        assert_eq!(x.i((.., 0..2, -2..))?.dims(), [3, 2, 2]);
        assert_eq!(x.i((..=0, 2..=-1, 1..1))?.dims(), [1, 2, 0]);
        assert_eq!(x.i((0..3, 3..4, ..))?.dims(), [3, 1, 5]);
        assert_eq!(x.i((0..3,))?.dims(), [3, 4, 5]);
        let steps = x.i((step(.., -2), step(1..=3, 2), step(-4.., i64::MIN)))?;
        let expected = [2, 0].map(|i| [1, 3].map(|j| [at(i, j, 4)]));
        assert_eq!(steps.to_vec3::<u32>()?, expected);
        let ends = Tensor::new(&[-1_i64, 0], &Device::Cpu)?;
        // Element by element; crosswise; apart, with the axes of the indices first; around an integer, which leaves them adjacent.
        let up = Tensor::new(&[1_u8, 3], &Device::Cpu)?;
        assert_eq!(x.i((&ends, &up, 0))?.to_vec1::<u32>()?, [at(2, 1, 0), at(0, 3, 0)]);
        let across = up.unsqueeze(1)?;
        let crossed = [1, 3].map(|j| [at(2, j, 4), at(0, j, 4)]);
        assert_eq!(x.i((&ends, &across, 4))?.to_vec2::<u32>()?, crossed);
        let apart = [(2, 1), (0, 3)].map(|(i, k)| [0, 1, 2, 3].map(|j| at(i, j, k)));
        assert_eq!(x.i((&ends, .., &up))?.to_vec2::<u32>()?, apart);
        assert_eq!(x.i((1.., 3, &up))?.dims(), [2, 2]);
        assert_eq!(x.i((&ends, 2, &up))?.to_vec1::<u32>()?, [at(2, 2, 1), at(0, 2, 3)]);
        assert_eq!(x.i((.., &across))?.dims(), [3, 2, 1, 5]);
        assert_eq!(x.i((&ends, 0, 0))?.to_vec1::<u32>()?, [at(2, 0, 0), at(0, 0, 0)]);
        Ok(())
    }

    #[test]
    fn errors() -> Result<()> {
        let x = Tensor::zeros((3, 4), DType::F32, &Device::Cpu)?;
        let error = x.i((0, 4)).unwrap_err();
        assert_eq!(
            error.to_string(),
            "i: expected indices from -4 and below 4 (axis 1 of shape [3, 4]), got 4"
        );
        let error = x.i((.., 1..=4)).unwrap_err();
        assert_eq!(
            error.to_string(),
            "i: expected indices from -4 and below 4 (axis 1 of shape [3, 4]), got 1..=4"
        );
        assert!(matches!(x.i(-4), Err(Error::Argument { .. })));
        assert!(matches!(x.i(i64::MIN..), Err(Error::Argument { .. })));
        assert!(matches!(x.i(..=u64::MAX), Err(Error::Argument { .. })));
        assert!(matches!(x.i(2..1), Err(Error::Argument { .. })));
        let error = x.i(step(.., 0)).unwrap_err();
        assert_eq!(error.to_string(), "i: expected a step other than 0, got 0");
        assert!(matches!(x.i(step(..5, -1)), Err(Error::Argument { .. })));
        assert!(matches!(x.i((0, 0, 0)), Err(Error::Argument { .. })));
        assert!(matches!(Tensor::new(1.0, &Device::Cpu)?.i(0), Err(Error::Argument { .. })));
        let [two, three] = [&[0_u32, 0][..], &[0_u32, 0, 0]].map(|i| Tensor::new(i, &Device::Cpu));
        let error = x.i((&two?, &three?)).unwrap_err();
        assert_eq!(
            error.to_string(),
            "i: expected tensors of indices that broadcast together, got [2] and [3]"
        );
        Ok(())
    }
}
