//! [`Real`], the kind of number that a formula is written for.

use std::fmt::Debug;
use std::ops::{Add, Div, Mul, Neg, Sub};

use super::math;

/// A number that a formula can be evaluated with.
///
/// `f32` and `f64` compute it, [`Dual`](super::Dual) differentiates it, [`Expr`](super::Expr) writes it down, and
/// [`InputSet`](super::Uses) finds out which inputs it reads. A formula is a function that is generic over `Real`:
///
/// ```
/// # use tealight_kernels as tealight;
/// use tealight::formula::{Dual, Real};
/// fn softplus<R: Real>(x: R) -> R { x.exp().ln_1p() }
/// assert!((softplus(0.0_f64) - 2.0_f64.ln()).abs() < 1e-15);
/// assert!((softplus(Dual::variable(0.0_f64)).slope() - 0.5).abs() < 1e-15);
/// ```
///
/// # Kinks
/// `signum(0) = 0`, so that `abs′(0) = 0`; in a tie `max` and `min` give each side half of the slope. NaN in, NaN out.
///
/// # Precision
/// `f32` and `f64` use this crate's own branch-free functions ([`math`](super::math)), the same bits on every machine,
/// each with its error bound.
pub trait Real:
    Copy
    + Debug
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
    + Neg<Output = Self>
{
    /// The number `value`.
    ///
    /// ```
    /// # use tealight_kernels as tealight;
    /// use tealight::formula::Real;
    /// assert_eq!(<f32 as Real>::constant(0.1), 0.1_f32);
    /// ```
    fn constant(value: f64) -> Self;
    /// eˣ
    ///
    /// ```
    /// # use tealight_kernels as tealight;
    /// use tealight::formula::Real;
    /// assert_eq!((Real::exp(0.0_f64), Real::exp(1000.0_f64)), (1.0, f64::INFINITY));
    /// ```
    fn exp(self) -> Self;
    /// eˣ − 1, exact near 0.
    ///
    /// ```
    /// # use tealight_kernels as tealight;
    /// use tealight::formula::Real;
    /// assert_eq!((Real::exp_m1(1e-20_f64), Real::exp(1e-20_f64) - 1.0), (1e-20, 0.0));
    /// ```
    fn exp_m1(self) -> Self;
    /// The natural logarithm.
    ///
    /// ```
    /// # use tealight_kernels as tealight;
    /// use tealight::formula::Real;
    /// assert_eq!((Real::ln(1.0_f64), Real::ln(0.0_f64)), (0.0, f64::NEG_INFINITY));
    /// ```
    fn ln(self) -> Self;
    /// ln(1 + x), exact near 0.
    ///
    /// ```
    /// # use tealight_kernels as tealight;
    /// use tealight::formula::Real;
    /// assert_eq!((Real::ln_1p(1e-20_f64), Real::ln(1.0 + 1e-20_f64)), (1e-20, 0.0));
    /// ```
    fn ln_1p(self) -> Self;
    /// √x
    ///
    /// ```
    /// # use tealight_kernels as tealight;
    /// use tealight::formula::Real;
    /// assert!(Real::sqrt(9.0_f64) == 3.0 && Real::sqrt(-1.0_f64).is_nan());
    /// ```
    fn sqrt(self) -> Self;
    /// The hyperbolic tangent.
    ///
    /// ```
    /// # use tealight_kernels as tealight;
    /// use tealight::formula::Real;
    /// assert_eq!((Real::tanh(0.0_f64), Real::tanh(-1000.0_f64)), (0.0, -1.0));
    /// ```
    fn tanh(self) -> Self;
    /// 1/(1 + e⁻ˣ). Its derivative y(1 − y) never overflows, which that of the quotient does at x = −1000.
    ///
    /// ```
    /// # use tealight_kernels as tealight;
    /// use tealight::formula::{Dual, Real};
    /// assert_eq!(Real::sigmoid(0.0_f64), 0.5);
    /// assert_eq!(Dual::variable(-1000.0_f64).sigmoid().slope(), 0.0);
    /// ```
    #[inline(always)]
    fn sigmoid(self) -> Self {
        let one = Self::constant(1.0);
        one / (one + (-self).exp())
    }
    /// The error function 2/√π ∫₀ˣ exp(−t²) dt.
    ///
    /// ```
    /// # use tealight_kernels as tealight;
    /// use tealight::formula::Real;
    /// assert_eq!((Real::erf(0.0_f64), Real::erf(10.0_f64)), (0.0, 1.0));
    /// ```
    fn erf(self) -> Self;
    /// 1 − erf x, with all its digits where erf x is nearly 1.
    ///
    /// ```
    /// # use tealight_kernels as tealight;
    /// use tealight::formula::Real;
    /// assert!((Real::erfc(10.0_f64) / 2.088487583762545e-45 - 1.0).abs() < 1e-14); // where 1 − erf(10) is 0
    /// ```
    fn erfc(self) -> Self;
    /// The sine of x radians.
    ///
    /// ```
    /// # use tealight_kernels as tealight;
    /// use tealight::formula::Real;
    /// assert!((Real::sin(std::f64::consts::PI / 6.0) - 0.5).abs() < 1e-15);
    /// ```
    fn sin(self) -> Self;
    /// The cosine of x radians.
    ///
    /// ```
    /// # use tealight_kernels as tealight;
    /// use tealight::formula::Real;
    /// assert_eq!(Real::cos(std::f64::consts::PI), -1.0);
    /// ```
    fn cos(self) -> Self;
    /// The arc tangent, from −π/2 to π/2.
    ///
    /// ```
    /// # use tealight_kernels as tealight;
    /// use tealight::formula::Real;
    /// assert_eq!(Real::atan(f64::INFINITY), std::f64::consts::FRAC_PI_2);
    /// ```
    fn atan(self) -> Self;
    /// The largest whole number that is not above x; flat.
    ///
    /// ```
    /// # use tealight_kernels as tealight;
    /// use tealight::formula::{Dual, Real};
    /// assert_eq!(Real::floor(-1.5_f64), -2.0);
    /// assert_eq!(Dual::variable(-1.5_f64).floor().slope(), 0.0);
    /// ```
    fn floor(self) -> Self;
    /// The nearest whole number, the even one of two that are as near; flat.
    ///
    /// ```
    /// # use tealight_kernels as tealight;
    /// use tealight::formula::Real;
    /// assert_eq!([0.5, 1.5, 2.6].map(|x: f64| Real::round_ties_even(x)), [0.0, 2.0, 3.0]);
    /// ```
    fn round_ties_even(self) -> Self;
    /// |x|
    ///
    /// ```
    /// # use tealight_kernels as tealight;
    /// use tealight::formula::{Dual, Real};
    /// assert_eq!([-3.0, 0.0].map(|x: f64| Dual::variable(x).abs().slope()), [-1.0, 0.0]);
    /// ```
    fn abs(self) -> Self;
    /// −1, 0 or 1 (0 at 0, unlike `f64::signum`).
    ///
    /// ```
    /// # use tealight_kernels as tealight;
    /// use tealight::formula::Real;
    /// assert_eq!([-3.0, 0.0, 2.0].map(|x: f64| Real::signum(x)), [-1.0, 0.0, 1.0]);
    /// ```
    fn signum(self) -> Self;
    /// selfᵉ for a number `exponent`; NaN where self < 0 and `exponent` is no integer.
    ///
    /// ```
    /// # use tealight_kernels as tealight;
    /// use tealight::formula::Real;
    /// assert!(Real::powf(4.0_f64, 0.5) == 2.0 && Real::powf(-4.0_f64, 0.5).is_nan());
    /// ```
    fn powf(self, exponent: Self) -> Self;
    /// selfⁿ for an integer n.
    ///
    /// ```
    /// # use tealight_kernels as tealight;
    /// use tealight::formula::Real;
    /// assert_eq!((Real::powi(-1.5_f64, 2), Real::powi(4.0_f64, -1)), (2.25, 0.25));
    /// ```
    fn powi(self, n: i32) -> Self;
    /// What is left of self after subtracting a whole number of `divisor`s: exact, from 0 up to `divisor`, with its sign.
    /// NaN where `divisor` is 0 or self is infinite.
    ///
    /// ```
    /// # use tealight_kernels as tealight;
    /// use tealight::formula::Real;
    /// assert_eq!((Real::rem(-5.5_f64, 2.0), Real::rem(5.5_f64, -2.0)), (0.5, -0.5));
    /// ```
    fn rem(self, divisor: Self) -> Self;
    /// The larger of two; NaN if either is.
    ///
    /// ```
    /// # use tealight_kernels as tealight;
    /// use tealight::formula::{Dual, Real};
    /// assert_eq!(Real::max(2.0_f64, 3.0), 3.0);
    /// assert_eq!(Dual::variable(1.0_f64).max(Dual::fixed(1.0)).slope(), 0.5);
    /// ```
    fn max(self, other: Self) -> Self;
    /// The smaller of two; NaN if either is.
    ///
    /// ```
    /// # use tealight_kernels as tealight;
    /// use tealight::formula::Real;
    /// assert!(Real::min(2.0_f64, 3.0) == 2.0 && Real::min(2.0, f64::NAN).is_nan());
    /// ```
    fn min(self, other: Self) -> Self;
    /// `yes` where `self > other`, else `no` (also where either is NaN): a selection, never a branch.
    ///
    /// ```
    /// # use tealight_kernels as tealight;
    /// use tealight::formula::Real;
    /// assert_eq!([3.0, f64::NAN].map(|x| x.select_gt(0.0, 1.0, -1.0)), [1.0, -1.0]);
    /// ```
    fn select_gt(self, other: Self, yes: Self, no: Self) -> Self;
    /// 1/x
    ///
    /// ```
    /// # use tealight_kernels as tealight;
    /// use tealight::formula::Real;
    /// assert_eq!(Real::recip(4.0_f64), 0.25);
    /// ```
    #[inline(always)]
    fn recip(self) -> Self {
        Self::constant(1.0) / self
    }
}

macro_rules! real {
    ($t:ident, $($own:ident => $f:path),*; $pow:path) => {
        impl Real for $t {
            #[inline(always)]
            fn constant(value: f64) -> Self { value as $t }
            $(#[inline(always)] fn $own(self) -> Self { $f(self) })*
            #[inline(always)]
            fn sqrt(self) -> Self { $t::sqrt(self) }
            #[inline(always)]
            fn abs(self) -> Self { $t::abs(self) }
            #[inline(always)]
            fn signum(self) -> Self {
                // x itself is the answer at ±0 and NaN.
                let sign = $t::copysign(1.0, self);
                if self.abs() > 0.0 { sign } else { self }
            }
            #[inline(always)]
            fn powf(self, exponent: Self) -> Self { $pow(self, exponent) }
            #[inline(always)]
            fn powi(self, n: i32) -> Self {
                match n {
                    0 => 1.0,
                    1 => self,
                    2 => self * self,
                    3 => self * self * self,
                    -1 => 1.0 / self,
                    _ => $pow(self, n as $t),
                }
            }
            #[inline(always)]
            fn rem(self, divisor: Self) -> Self {
                let left = self % divisor;
                let wrong_sign = (left > 0.0) & (divisor < 0.0) | (left < 0.0) & (divisor > 0.0);
                let moved = if wrong_sign { left + divisor } else { left };
                if left == 0.0 { moved.copysign(divisor) } else { moved }
            }
            #[inline(always)]
            fn floor(self) -> Self { $t::floor(self) }
            #[inline(always)]
            fn round_ties_even(self) -> Self { $t::round_ties_even(self) }
            #[inline(always)]
            fn max(self, other: Self) -> Self {
                let larger = if self > other { self } else { other };
                if self.is_nan() { self } else { larger }
            }
            #[inline(always)]
            fn min(self, other: Self) -> Self {
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

real!(f32, exp => math::exp_f32, sigmoid => math::sigmoid_f32, exp_m1 => math::exp_m1_f32, ln => math::ln_f32, ln_1p => math::ln_1p_f32,
      tanh => math::tanh_f32, erf => math::erf_f32, erfc => math::erfc_f32, atan => math::atan_f32, sin => math::sin_f32, cos => math::cos_f32; math::powf_f32);
real!(f64, exp => math::exp_f64, exp_m1 => math::exp_m1_f64, ln => math::ln_f64, ln_1p => math::ln_1p_f64,
      tanh => math::tanh_f64, erf => math::erf_f64, erfc => math::erfc_f64, atan => math::atan_f64, sin => math::sin_f64, cos => math::cos_f64; math::powf_f64);

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
            let got = Real::rem(a, b);
            assert_eq!(got.to_bits(), f64::to_bits(expected), "{a} rem {b} = {got}");
        }
        for (a, b) in [(1.0, 0.0), (INF, 2.0), (INF, INF), (f64::NAN, 1.0), (1.0, f64::NAN)] {
            assert!(Real::rem(a, b).is_nan(), "{a} rem {b}");
        }
    }

    #[test]
    fn kinks_and_nan() {
        let x = f64::NAN;
        assert!(Real::max(x, 1.0).is_nan() && Real::max(1.0, x).is_nan());
        assert!(Real::min(x, 1.0).is_nan() && Real::min(1.0, x).is_nan());
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
