//! [`InputSet`], which finds out what inputs a formula reads.

use std::ops::{Add, BitOr, Div, Mul, Neg, Sub};

use super::Real;
use super::real::Sealed;
use crate::elementary;

/// The set of inputs that a formula reads, found by evaluating it.
///
/// The derivative of sigmoid, y(1 − y), reads only the output, so only the output is saved for the backward pass. The
/// compiler folds the evaluation to a constant.
///
/// ```
/// # use tealight_kernels as tealight;
/// use tealight::formula::{Real, InputSet};
/// let y = InputSet::input(1);
/// let slope = y * (InputSet::constant(1.0) - y);
/// assert!(slope.has(1) && !slope.has(0));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InputSet(u32);

impl InputSet {
    /// The set of input `i` alone; the empty set if `i` ≥ 32.
    #[inline(always)]
    pub fn input(i: usize) -> Self {
        InputSet(if i < 32 { 1 << i } else { 0 })
    }

    /// Whether input `i` is in the set.
    #[inline(always)]
    pub fn has(self, i: usize) -> bool {
        self.0 & InputSet::input(i).0 != 0
    }
}

impl BitOr for InputSet {
    type Output = Self;
    #[inline(always)]
    fn bitor(self, other: Self) -> Self {
        InputSet(self.0 | other.0)
    }
}

macro_rules! operators {
    ($($trait:ident $method:ident),*) => {$(
        impl $trait for InputSet {
            type Output = Self;
            #[inline(always)]
            #[allow(clippy::suspicious_arithmetic_impl)] // every operator reads both operands
            fn $method(self, other: Self) -> Self { self | other }
        }
    )*};
}
operators!(Add add, Sub sub, Mul mul, Div div);

impl Neg for InputSet {
    type Output = Self;
    #[inline(always)]
    fn neg(self) -> Self {
        self
    }
}

macro_rules! functions {
    ($($(#[$_:meta])* $method:ident $_variant:ident $_name:literal $_tensor:ident $_kernels:tt $_slope:tt;)*) => {
        $(
            #[inline(always)]
            fn $method(self) -> Self {
                self
            }
        )*
    };
}

impl Sealed for InputSet {}

impl Real for InputSet {
    elementary!(functions);

    #[inline(always)]
    fn constant(_: f64) -> Self {
        InputSet(0)
    }
    #[inline(always)]
    fn powf(self, exponent: Self) -> Self {
        self | exponent
    }
    #[inline(always)]
    fn powi(self, n: i32) -> Self {
        if n == 0 { InputSet(0) } else { self }
    }
    #[inline(always)]
    fn remainder(self, divisor: Self) -> Self {
        self | divisor
    }
    #[inline(always)]
    fn maximum(self, other: Self) -> Self {
        self | other
    }
    #[inline(always)]
    fn minimum(self, other: Self) -> Self {
        self | other
    }
    #[inline(always)]
    fn select_gt(self, other: Self, yes: Self, no: Self) -> Self {
        self | other | yes | no
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inputs_beyond_the_set_are_not_in_it() {
        assert_eq!(InputSet::input(40), InputSet::constant(0.0));
        assert!(!InputSet::input(3).has(usize::MAX));
    }
}
