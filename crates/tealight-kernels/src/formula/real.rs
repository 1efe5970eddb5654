//! [`Real`], the type of number that a formula is generic over.

use std::fmt::Debug;
use std::ops::{Add, Div, Mul, Neg, Sub};

use super::math;
use crate::elementary;

/// Only this crate implements [`Real`], which gains methods over time.
pub trait Sealed {
    /// Whether this is one number, and 0. A [`Jet`](super::Jet) takes the limit of 0/0 then.
    #[inline(always)]
    fn is_zero(&self) -> bool {
        false
    }
}

macro_rules! real {
    ($($(#[$doc:meta])* $method:ident $_variant:ident $_name:literal $_tensor:ident $_kernels:tt $_slope:tt;)*) => {
        /// A number that a formula can be evaluated with.
        ///
        /// A formula is a function that is generic over `Real`. With `f32` or `f64` it computes, with
        /// [`Dual`](super::Dual) it differentiates, with [`Expr`](super::Expr) it is recorded, and with
        /// [`InputSet`](super::InputSet) it tells which inputs it reads. The trait is sealed.
        ///
        /// ```
        /// # use tealight_kernels as tealight;
        /// use tealight::formula::{Dual, Real};
        /// fn softplus<R: Real>(x: R) -> R { x.exp().ln_1p() }
        /// assert!((softplus(0.0_f64) - 2.0_f64.ln()).abs() < 1e-15);
        /// assert!((softplus(Dual::variable(0.0_f64)).slope() - 0.5).abs() < 1e-15);
        /// ```
        ///
        /// NaN in, NaN out. `f32` and `f64` give the same bits on every machine.
        pub trait Real:
            Sealed
            + Copy
            + Debug
            + Add<Output = Self>
            + Sub<Output = Self>
            + Mul<Output = Self>
            + Div<Output = Self>
            + Neg<Output = Self>
        {
            /// The constant `value`, rounded to this type.
            fn constant(value: f64) -> Self;
            $($(#[$doc])* fn $method(self) -> Self;)*
            /// xᵉ; NaN where x < 0 and `exponent` is not an integer.
            fn powf(self, exponent: Self) -> Self;
            /// xⁿ
            fn powi(self, n: i32) -> Self;
            /// The remainder x − d·⌊x/d⌋ without rounding error; it has the sign of `divisor`, as Python's `%` and
            /// `torch.remainder`. NaN where `divisor` is 0 or x is infinite.
            ///
            /// ```
            /// # use tealight_kernels as tealight;
            /// use tealight::formula::Real;
            /// assert_eq!((Real::remainder(-5.5_f64, 2.0), Real::remainder(5.5_f64, -2.0)), (0.5, -0.5));
            /// ```
            fn remainder(self, divisor: Self) -> Self;
            /// The larger of two; NaN if either is. In a tie each side gets half of the gradient.
            fn maximum(self, other: Self) -> Self;
            /// The smaller of two; NaN if either is. In a tie each side gets half of the gradient.
            fn minimum(self, other: Self) -> Self;
            /// `yes` where self > other, else `no`; also `no` where either is NaN. It compiles to a selection, not a branch.
            ///
            /// ```
            /// # use tealight_kernels as tealight;
            /// use tealight::formula::Real;
            /// assert_eq!([3.0, f64::NAN].map(|x| x.select_gt(0.0, 1.0, -1.0)), [1.0, -1.0]);
            /// ```
            fn select_gt(self, other: Self, yes: Self, no: Self) -> Self;
        }
    };
}
elementary!(real);

macro_rules! call {
    (f32 [$f:path, $_f64:path] $x:expr) => {
        $f($x)
    };
    (f64 [$_f32:path, $f:path] $x:expr) => {
        $f($x)
    };
}

macro_rules! functions {
    ($t:ident $($(#[$_:meta])* $method:ident $_variant:ident $_name:literal $_tensor:ident $kernels:tt $_slope:tt;)*) => {
        $(
            #[inline(always)]
            fn $method(self) -> Self {
                call!($t $kernels self)
            }
        )*
    };
}

macro_rules! float {
    ($t:ident $powf:path) => {
        impl Sealed for $t {
            #[inline(always)]
            fn is_zero(&self) -> bool {
                *self == 0.0
            }
        }

        impl Real for $t {
            elementary!(functions $t);

            #[inline(always)]
            fn constant(value: f64) -> Self {
                value as $t
            }
            #[inline(always)]
            fn powf(self, exponent: Self) -> Self {
                $powf(self, exponent)
            }
            #[inline(always)]
            fn powi(self, n: i32) -> Self {
                match n {
                    0 => 1.0,
                    1 => self,
                    2 => self * self,
                    3 => self * self * self,
                    -1 => 1.0 / self,
                    _ => $powf(self, n as $t),
                }
            }
            #[inline(always)]
            fn remainder(self, divisor: Self) -> Self {
                let left = self % divisor;
                let wrong_sign = (left > 0.0) & (divisor < 0.0) | (left < 0.0) & (divisor > 0.0);
                let moved = if wrong_sign { left + divisor } else { left };
                if left == 0.0 { moved.copysign(divisor) } else { moved }
            }
            #[inline(always)]
            fn maximum(self, other: Self) -> Self {
                let larger = if self > other { self } else { other };
                if self.is_nan() { self } else { larger }
            }
            #[inline(always)]
            fn minimum(self, other: Self) -> Self {
                let smaller = if self < other { self } else { other };
                if self.is_nan() { self } else { smaller }
            }
            #[inline(always)]
            fn select_gt(self, other: Self, yes: Self, no: Self) -> Self {
                if self > other { yes } else { no }
            }
        }
    };
}
float!(f32 math::powf_f32);
float!(f64 math::powf_f64);

#[cfg(test)]
mod tests {
    use super::Real;

    #[test]
    fn remainders_have_the_sign_of_the_divisor() {
        const INF: f64 = f64::INFINITY;
        // numpy.remainder
        let table = [
            (5.5, 2.0, 1.5),
            (-5.5, 2.0, 0.5),
            (5.5, -2.0, -0.5),
            (-5.5, -2.0, -1.5),
            (6.0, 0.1, 0.09999999999999967),
            (1e300, 7.0, 1.0),
            (1.0, INF, 1.0),
            (-1.0, INF, INF),
            (1.0, -INF, -INF),
            (f64::MIN_POSITIVE, -1.0, -1.0),
            (4.0, 2.0, 0.0),
            (-4.0, 2.0, 0.0),
            (4.0, -2.0, -0.0),
        ];
        for (a, b, expected) in table {
            let got = Real::remainder(a, b);
            assert_eq!(got.to_bits(), f64::to_bits(expected), "{a} remainder {b} = {got}");
        }
        for (a, b) in [(1.0, 0.0), (INF, 2.0), (INF, INF), (f64::NAN, 1.0), (1.0, f64::NAN)] {
            assert!(Real::remainder(a, b).is_nan(), "{a} remainder {b}");
        }
    }

    #[test]
    fn kinks_and_nan() {
        let x = f64::NAN;
        assert!(Real::maximum(x, 1.0).is_nan() && Real::maximum(1.0, x).is_nan());
        assert!(Real::minimum(x, 1.0).is_nan() && Real::minimum(1.0, x).is_nan());
        assert!(Real::signum(x).is_nan());
        assert_eq!(Real::signum(0.0_f32), 0.0);
        assert_eq!(Real::signum(-3.0_f32), -1.0);
        assert_eq!(Real::signum(f64::INFINITY), 1.0);
        assert_eq!(f64::NAN.select_gt(0.0, 1.0, 2.0), 2.0);
        for n in [-3, -1, 0, 1, 2, 3, 5] {
            let (ours, std) = (Real::powi(-1.7_f64, n), f64::powi(-1.7, n));
            assert!((ours - std).abs() < 1e-14 * std.abs(), "{n}: {ours} {std}");
        }
    }
}
