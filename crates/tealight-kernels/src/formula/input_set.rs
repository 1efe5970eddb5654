//! [`InputSet`]: a number that knows nothing but which inputs it was computed from.

use std::ops::{Add, BitOr, Div, Mul, Neg, Sub};

use super::Real;

/// The set of inputs that a formula reads, found by evaluating it.
///
/// The derivative of sigmoid, y(1 − y), reads only the output; so only the output is kept for the backward pass. The
/// compiler folds the evaluation to a constant: asking costs nothing.
///
/// ```
/// # use tealight_kernels as tealight;
/// use tealight::formula::{Real, InputSet};
/// let (x, y) = (InputSet::input(0), InputSet::input(1));
/// let slope = y * (InputSet::constant(1.0) - y);
/// assert!(slope.has(1) && !slope.has(0));
/// # let _ = x;
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InputSet(u32);

impl InputSet {
    /// Input number `i`; from 32 on, none.
    ///
    /// ```
    /// # use tealight_kernels as tealight;
    /// use tealight::formula::{Real, InputSet};
    /// assert_eq!(InputSet::input(0) * InputSet::input(1), InputSet::input(0) | InputSet::input(1));
    /// assert_eq!(InputSet::input(32), InputSet::constant(1.0));
    /// ```
    #[inline(always)]
    pub fn input(i: usize) -> Self {
        InputSet(1_u32.checked_shl(i as u32).unwrap_or(0))
    }

    /// Whether input `i` was read.
    ///
    /// ```
    /// # use tealight_kernels as tealight;
    /// use tealight::formula::{Real, InputSet};
    /// let read = InputSet::input(0).max(InputSet::input(2));
    /// assert_eq!([0, 1, 2].map(|i| read.has(i)), [true, false, true]);
    /// ```
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

macro_rules! either {
    ($($trait:ident $method:ident),*) => {$(
        impl $trait for InputSet {
            type Output = Self;
            #[inline(always)]
            #[allow(clippy::suspicious_arithmetic_impl)] // whatever is done to two inputs, both are read
            fn $method(self, other: Self) -> Self { self | other }
        }
    )*};
}
either!(Add add, Sub sub, Mul mul, Div div);

impl Neg for InputSet {
    type Output = Self;
    #[inline(always)]
    fn neg(self) -> Self {
        self
    }
}

macro_rules! same {
    ($($method:ident)*) => {$(#[inline(always)] fn $method(self) -> Self { self })*};
}

impl Real for InputSet {
    #[inline(always)]
    fn constant(_: f64) -> Self {
        InputSet(0)
    }
    same!(exp exp_m1 ln ln_1p sqrt tanh sigmoid erf erfc atan floor round_ties_even sin cos abs signum recip);
    #[inline(always)]
    fn powf(self, exponent: Self) -> Self {
        self | exponent
    }
    #[inline(always)]
    fn powi(self, n: i32) -> Self {
        if n == 0 { InputSet(0) } else { self }
    }
    #[inline(always)]
    fn rem(self, divisor: Self) -> Self {
        self | divisor
    }
    #[inline(always)]
    fn max(self, other: Self) -> Self {
        self | other
    }
    #[inline(always)]
    fn min(self, other: Self) -> Self {
        self | other
    }
    #[inline(always)]
    fn select_gt(self, other: Self, yes: Self, no: Self) -> Self {
        self | other | yes | no
    }
}
