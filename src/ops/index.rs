//! Parts of a tensor by integers, ranges and index tensors, axis by axis.
//!
//! # Formula
//! y = x\[a, b..c, …\]
//!
//! # Gradient
//! The gradient at the places that were taken, 0 elsewhere; where a place was taken twice, their sum.
//!
//! # Errors
//! More indices than axes; an index or the end of a range beyond its axis.

use std::ops::{Bound, Range, RangeFrom, RangeFull, RangeInclusive, RangeTo, RangeToInclusive};

use super::axis::Axis;
use super::narrow::{narrowed, selected};
use crate::autograd::Tensor;
use crate::error::{Error, Result};

/// What to take along one axis.
#[derive(Clone, Debug)]
pub enum Part {
    /// One place; the axis goes away. Negative ones count from the end.
    At(i64),
    /// The places of a range, whose bounds may be negative as well.
    Range(Bound<i64>, Bound<i64>),
    /// The places that a vector of indices names.
    Pick(Tensor),
}

/// An integer, a range of integers, or a tensor of indices: what [`Tensor::i`] takes for one axis.
pub trait Index {
    /// What to take.
    fn part(self) -> Part;
}

/// One [`Index`], or a tuple of up to six, one for each axis from the first on.
pub trait Indices {
    /// What to take along each axis.
    fn parts(self) -> Vec<Part>;
}

impl<A: Axis> Index for A {
    fn part(self) -> Part {
        Part::At(self.number())
    }
}

impl Index for RangeFull {
    fn part(self) -> Part {
        Part::Range(Bound::Unbounded, Bound::Unbounded)
    }
}

impl Index for &Tensor {
    fn part(self) -> Part {
        Part::Pick(self.clone())
    }
}

macro_rules! ranges {
    ($($range:ident: $self:ident => $start:expr, $end:expr;)*) => {$(
        impl<A: Axis> Index for $range<A> {
            fn part($self) -> Part {
                Part::Range($start, $end)
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

impl Tensor {
    /// The part of this tensor that integers and ranges name, axis by axis: a view, no copy.
    ///
    /// An integer takes one place, and its axis goes away; a range takes several; a vector of indices takes the places
    /// that it names, in its order, and copies them. Negative integers count from the end, as they do for axes. Axes
    /// that are not mentioned are taken whole.
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
    ///
    /// # Gradient
    /// The gradient at the places that were taken, 0 elsewhere.
    ///
    /// # Errors
    /// More indices than axes; an index or the end of a range beyond its axis; a range whose end is before its start.
    #[doc(alias = "index")]
    #[doc(alias = "slice")]
    pub fn i(&self, indices: impl Indices) -> Result<Tensor> {
        let parts = indices.parts();
        if parts.len() > self.rank() {
            let expected = format!("at most {} indices for shape {:?}", self.rank(), self.dims());
            return Err(Error::argument("i", expected, parts.len()));
        }
        let mut x = self.clone();
        // From the last axis on, so that an axis that goes away moves none that is still to come.
        for (axis, part) in parts.iter().enumerate().rev() {
            x = match part {
                &Part::At(at) => {
                    let place = place(at, self.dims()[axis]);
                    let place = place.filter(|&place| place < self.dims()[axis]);
                    selected(&x, axis, place.ok_or_else(|| beyond(self, axis, format!("index {at}")))?)?
                }
                &Part::Range(start, end) => {
                    let (start, end) = bounds(start, end, self.dims()[axis])
                        .ok_or_else(|| beyond(self, axis, range(start, end)))?;
                    narrowed(&x, axis, start, end - start)?
                }
                Part::Pick(indices) => x.index_select(axis, indices)?,
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

fn beyond(x: &Tensor, axis: usize, got: String) -> Error {
    let size = x.dims()[axis];
    let expected = format!("places of the {size} on axis {axis} of shape {:?}", x.dims());
    Error::argument("i", expected, got)
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
    use crate::prelude::*;

    #[test]
    fn gradients() {
        let x = [0.3, -1.0, 2.0, 0.5, 1.5, -0.7];
        check(&x, |x| x.i(0)?.sqr());
        check(&x, |x| x.reshape((2, x.elem_count() / 2))?.i((1, 1..3))?.exp());
        check(&x, |x| x.unsqueeze(0)?.i((.., -1)));
        let twice = Tensor::new(&[1u32, 0, 1], &Device::Cpu).unwrap();
        check(&x, |x| x.unsqueeze(0)?.reshape((2, x.elem_count() / 2))?.i((&twice, ..-1)));
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
        assert!(matches!(x.i((0, 0, 0)), Err(Error::Argument { .. })));
        assert!(matches!(Tensor::new(1.0, &Device::Cpu)?.i(0), Err(Error::Argument { .. })));
        Ok(())
    }
}
