//! Parts of a tensor by integers, ranges and index tensors, axis by axis.
//!
//! # Formula
//! y = x\[a, b..c, …\]
//!
//! # Gradient
//! The gradient at the places that were taken, 0 elsewhere; where a place was taken twice, their sum.
//!
//! # Errors
//! More indices than axes; an index or the end of a range beyond its axis; steps of 0.

use std::ops::{Bound, Range, RangeFrom, RangeFull, RangeInclusive, RangeTo, RangeToInclusive};

use super::axis::Axis;
use super::index_select::vector;
use super::narrow::{narrowed, selected};
use super::take::taken_along;
use crate::autograd::{Tensor, trace};
use crate::error::{Error, Result};

/// What to take along one axis.
///
/// ```
/// use tealight::ops::{Index, Part};
/// assert!(matches!((-1).part(), Part::At(-1)));
/// ```
#[derive(Clone, Debug)]
pub enum Part {
    /// One place; the axis goes away. Negative ones count from the end.
    At(i64),
    /// The places of a range, whose bounds may be negative as well.
    Range(Bound<i64>, Bound<i64>),
    /// Every so-many-th place of a range, from its end if the number is negative.
    Step(Bound<i64>, Bound<i64>, i64),
    /// The places that a vector of indices names.
    Pick(Tensor),
}

/// An integer, a range of integers, or a tensor of indices: what [`Tensor::i`] takes for one axis.
///
/// ```
/// use tealight::prelude::*;
/// let x = Tensor::arange(0.0, 4.0, &Device::Cpu)?;
/// let picked = Tensor::new(&[3_u32, 0], &Device::Cpu)?;
/// assert_eq!(x.i(&picked)?.to_vec1::<f64>()?, [3.0, 0.0]);
/// # Ok::<(), tealight::Error>(())
/// ```
pub trait Index {
    /// What to take.
    fn part(self) -> Part;
}

/// One [`Index`], or a tuple of up to six, one for each axis from the first on.
///
/// ```
/// use tealight::ops::Indices;
/// assert_eq!((0, 1..3, ..).parts().len(), 3);
/// ```
pub trait Indices {
    /// What to take along each axis.
    fn parts(self) -> Vec<Part>;
}

impl<A: Axis> Index for A {
    fn part(self) -> Part {
        Part::At(self.number())
    }
}

/// A range of integers, of any of Rust's kinds.
///
/// ```
/// use std::ops::Bound;
/// use tealight::ops::Bounds;
/// assert_eq!((1..-1).bounds(), (Bound::Included(1), Bound::Excluded(-1)));
/// ```
pub trait Bounds {
    /// The first place and the last.
    fn bounds(self) -> (Bound<i64>, Bound<i64>);
}

impl Bounds for RangeFull {
    fn bounds(self) -> (Bound<i64>, Bound<i64>) {
        (Bound::Unbounded, Bound::Unbounded)
    }
}

impl Index for RangeFull {
    fn part(self) -> Part {
        Part::Range(Bound::Unbounded, Bound::Unbounded)
    }
}

/// What [`step`] gives.
///
/// ```
/// use tealight::ops::step;
/// use tealight::prelude::*;
/// let odd = step(1.., 2);
/// assert_eq!(Tensor::eye(5, DType::F32, &Device::Cpu)?.i((odd, odd))?.dims(), [2, 2]);
/// # Ok::<(), tealight::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Step {
    bounds: (Bound<i64>, Bound<i64>),
    by: i64,
}

/// Every `by`-th place of a range, for [`Tensor::i`] and [`Tensor::assign`].
///
/// The range says which places, `by` how they are walked: from the first on, or with a negative `by` from the last on
/// backwards. numpy's `x[5:0:-2]` is `step(1..=5, -2)`.
///
/// ```
/// use tealight::ops::step;
/// use tealight::prelude::*;
/// let x = Tensor::arange(0.0, 6.0, &Device::Cpu)?;
/// assert_eq!(x.i(step(1.., 2))?.to_vec1::<f64>()?, [1.0, 3.0, 5.0]);
/// assert_eq!(x.i(step(.., -1))?.to_vec1::<f64>()?, [5.0, 4.0, 3.0, 2.0, 1.0, 0.0]);
/// assert_eq!(x.i(step(..4, -2))?.to_vec1::<f64>()?, [3.0, 1.0]);
/// # Ok::<(), tealight::Error>(())
/// ```
///
/// Steps of 0 are an error where they are used.
pub fn step(range: impl Bounds, by: i64) -> Step {
    Step { bounds: range.bounds(), by }
}

impl Index for Step {
    fn part(self) -> Part {
        Part::Step(self.bounds.0, self.bounds.1, self.by)
    }
}

impl Index for &Tensor {
    fn part(self) -> Part {
        Part::Pick(self.clone())
    }
}

macro_rules! ranges {
    ($($range:ident: $self:ident => $start:expr, $end:expr;)*) => {$(
        impl<A: Axis> Bounds for $range<A> {
            fn bounds($self) -> (Bound<i64>, Bound<i64>) {
                ($start, $end)
            }
        }

        impl<A: Axis> Index for $range<A> {
            fn part(self) -> Part {
                let (start, end) = self.bounds();
                Part::Range(start, end)
            }
        }
    )*};
}
ranges! {
    Range: self => Bound::Included(self.start.number()), Bound::Excluded(self.end.number());
    RangeFrom: self => Bound::Included(self.start.number()), Bound::Unbounded;
    RangeInclusive: self => Bound::Included(self.start().number()), Bound::Included(self.end().number());
    RangeTo: self => Bound::Unbounded, Bound::Excluded(self.end.number());
    RangeToInclusive: self => Bound::Unbounded, Bound::Included(self.end.number());
}

impl<T: Index> Indices for T {
    fn parts(self) -> Vec<Part> {
        vec![self.part()]
    }
}

impl Indices for () {
    fn parts(self) -> Vec<Part> {
        Vec::new()
    }
}

macro_rules! tuples {
    ($(($($index:ident)*))*) => {$(
        impl<$($index: Index),*> Indices for ($($index,)*) {
            #[allow(non_snake_case)]
            fn parts(self) -> Vec<Part> {
                let ($($index,)*) = self;
                vec![$($index.part()),*]
            }
        }
    )*};
}
tuples!((A) (A B) (A B C) (A B C D) (A B C D E) (A B C D E F));

/// What is taken along an axis, whose length is known.
pub(super) enum Taken {
    One(usize),
    /// From the first on so many.
    Span(usize, usize),
    List(Vec<usize>),
}

impl Taken {
    pub(super) fn list(&self) -> Vec<usize> {
        match self {
            &Taken::One(at) => vec![at],
            &Taken::Span(start, len) => (start..start + len).collect(),
            Taken::List(list) => list.clone(),
        }
    }

    /// The length of the axis of the part, if it has one.
    pub(super) fn len(&self) -> Option<usize> {
        match self {
            Taken::One(_) => None,
            &Taken::Span(_, len) => Some(len),
            Taken::List(list) => Some(list.len()),
        }
    }
}

/// What the indices name, axis by axis.
pub(super) fn resolved(op: &'static str, x: &Tensor, indices: impl Indices) -> Result<Vec<Taken>> {
    let parts = indices.parts();
    if parts.len() > x.rank() {
        let expected = format!("at most {} indices for shape {:?}", x.rank(), x.dims());
        return Err(Error::argument(op, expected, parts.len()));
    }
    parts.iter().enumerate().map(|(axis, part)| part.on(op, x, axis)).collect()
}

impl Part {
    fn on(&self, op: &'static str, x: &Tensor, axis: usize) -> Result<Taken> {
        let size = x.dims()[axis];
        let beyond = |got: String| {
            let expected = format!("places of the {size} on axis {axis} of shape {:?}", x.dims());
            Error::argument(op, expected, got)
        };
        let inside = |start, end| bounds(start, end, size).ok_or_else(|| beyond(range(start, end)));
        match self {
            &Part::At(at) => {
                let place = place(at, size).filter(|&place| place < size);
                Ok(Taken::One(place.ok_or_else(|| beyond(format!("index {at}")))?))
            }
            &Part::Range(start, end) => {
                let (start, end) = inside(start, end)?;
                Ok(Taken::Span(start, end - start))
            }
            &Part::Step(_, _, 0) => Err(Error::argument(op, "steps of another size than 0", 0)),
            &Part::Step(start, end, by) => {
                let (start, end) = inside(start, end)?;
                let stride = usize::try_from(by.unsigned_abs()).unwrap_or(usize::MAX);
                let len = (end - start).div_ceil(stride);
                // Of nothing all parts of a length are alike, and none needs a list.
                Ok(if by == 1 || x.elem_count() == 0 {
                    Taken::Span(start, len)
                } else if by > 0 {
                    Taken::List((start..end).step_by(stride).collect())
                } else {
                    Taken::List((start..end).rev().step_by(stride).collect())
                })
            }
            Part::Pick(indices) => {
                trace::read("indices (see index_select)", indices)?;
                Ok(Taken::List(vector(op, x.dims(), axis, indices)?))
            }
        }
    }
}

impl Tensor {
    /// The part of this tensor that integers and ranges name, axis by axis: a view, no copy.
    ///
    /// An integer takes one place, and its axis goes away; a range takes several. A vector of indices takes the places that
    /// it names, in its order, and [`step`] every so-many-th of a range: these two copy. Negative integers count from the
    /// end, as they do for axes. Axes that are not mentioned are taken whole.
    ///
    /// # Gradient
    /// The gradient at the places that were taken, 0 elsewhere.
    ///
    /// # Errors
    /// More indices than axes; an index or the end of a range beyond its axis; a range whose end is before its start; steps
    /// of 0.
    ///
    /// ```
    /// use tealight::prelude::*;
    /// let x = Tensor::arange(0.0, 12.0, &Device::Cpu)?.reshape((3, 4))?;
    /// assert_eq!(x.i(1)?.to_vec1::<f64>()?, [4.0, 5.0, 6.0, 7.0]);
    /// assert_eq!(x.i((.., -1))?.to_vec1::<f64>()?, [3.0, 7.0, 11.0]);
    /// assert_eq!(x.i((1.., 1..=2))?.to_vec2::<f64>()?, [[5.0, 6.0], [9.0, 10.0]]);
    /// assert_eq!(x.i((2, 3))?.to_scalar::<f64>()?, 11.0);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    #[doc(alias = "index")]
    #[doc(alias = "slice")]
    pub fn i(&self, indices: impl Indices) -> Result<Tensor> {
        let mut x = self.clone();
        // From the last axis on, so that an axis that goes away moves none that is still to come.
        for (axis, taken) in resolved("i", self, indices)?.into_iter().enumerate().rev() {
            x = match taken {
                Taken::One(at) => selected(&x, axis, at)?,
                Taken::Span(start, len) => narrowed(&x, axis, start, len)?,
                Taken::List(list) => taken_along("i", &x, axis, list.into_iter())?,
            };
        }
        Ok(x)
    }
}

/// Where `at` is on an axis of `size` places, or just behind it.
fn place(at: i64, size: usize) -> Option<usize> {
    let from_start = if at < 0 { at.saturating_add_unsigned(size as u64) } else { at };
    usize::try_from(from_start).ok().filter(|&place| place <= size)
}

/// The first place of a range and the one behind its last.
fn bounds(start: Bound<i64>, end: Bound<i64>, size: usize) -> Option<(usize, usize)> {
    let behind = |at: i64| place(at, size)?.checked_add(1);
    let start = match start {
        Bound::Included(at) => place(at, size)?,
        Bound::Excluded(at) => behind(at)?,
        Bound::Unbounded => 0,
    };
    let end = match end {
        Bound::Included(at) => behind(at)?,
        Bound::Excluded(at) => place(at, size)?,
        Bound::Unbounded => size,
    };
    (start <= end && end <= size).then_some((start, end))
}

/// The range as it is written.
fn range(start: Bound<i64>, end: Bound<i64>) -> String {
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
        assert_eq!(x.i((&ends, 0, 0))?.to_vec1::<u32>()?, [at(2, 0, 0), at(0, 0, 0)]);
        Ok(())
    }

    #[test]
    fn errors() -> Result<()> {
        let x = Tensor::zeros((3, 4), DType::F32, &Device::Cpu)?;
        let error = x.i((0, 4)).unwrap_err();
        assert_eq!(error.to_string(), "i: expected places of the 4 on axis 1 of shape [3, 4], got index 4");
        let error = x.i((.., 1..=4)).unwrap_err();
        assert_eq!(error.to_string(), "i: expected places of the 4 on axis 1 of shape [3, 4], got 1..=4");
        assert!(matches!(x.i(-4), Err(Error::Argument { .. })));
        assert!(matches!(x.i(i64::MIN..), Err(Error::Argument { .. })));
        assert!(matches!(x.i(..=u64::MAX), Err(Error::Argument { .. })));
        assert!(matches!(x.i(2..1), Err(Error::Argument { .. })));
        let error = x.i(step(.., 0)).unwrap_err();
        assert_eq!(error.to_string(), "i: expected steps of another size than 0, got 0");
        assert!(matches!(x.i(step(..5, -1)), Err(Error::Argument { .. })));
        assert!(matches!(x.i((0, 0, 0)), Err(Error::Argument { .. })));
        assert!(matches!(Tensor::new(1.0, &Device::Cpu)?.i(0), Err(Error::Argument { .. })));
        Ok(())
    }
}
