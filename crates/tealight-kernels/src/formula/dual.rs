//! [`Dual`] numbers, which carry the exact derivative of a formula along with its value.

use std::ops::{Add, Div, Mul, Neg, Sub};

use super::real::Sealed;
use super::{Real, slope};
use crate::elementary;

/// A value and its slope (derivative): `f(Dual::variable(x))` is f(x) and f′(x), exactly, without finite differences.
///
/// A slope of `None` is a constant's zero: constants cost nothing, and 2·x has the slope 2 even where x is infinite
/// (0 · ∞ is never computed).
///
/// ```
/// # use tealight_kernels as tealight;
/// use tealight::formula::{Dual, Real};
/// let x = Dual::variable(3.0_f64);
/// let y = x * x + Dual::constant(1.0);
/// assert_eq!((y.value, y.slope()), (10.0, 6.0));
/// ```
///
/// `Dual<Dual<f64>>` gives second derivatives. [`Jet<f64, 1>`](super::Jet) finds the same slope, and takes 1.5 times the time of a formula with
/// a sigmoid, an exponential and a cosine, and ten times that of a rational one.
#[derive(Clone, Copy, Debug)]
pub struct Dual<R> {
    /// f(x)
    pub value: R,
    slope: Option<R>,
}

impl<R: Real> Dual<R> {
    /// The variable to differentiate by: its slope is 1.
    #[inline(always)]
    pub fn variable(value: R) -> Self {
        Dual { value, slope: Some(R::constant(1.0)) }
    }

    /// A value that does not depend on the variable: its slope is 0.
    ///
    /// ```
    /// # use tealight_kernels as tealight;
    /// use tealight::formula::Dual;
    /// let product = Dual::variable(3.0_f64) * Dual::fixed(5.0);
    /// assert_eq!((product.value, product.slope()), (15.0, 5.0));
    /// ```
    #[inline(always)]
    pub fn fixed(value: R) -> Self {
        Dual { value, slope: None }
    }

    /// f′(x)
    #[inline(always)]
    pub fn slope(self) -> R {
        or_zero(self.slope)
    }

    /// The chain rule: `value` = g(self), `derivative` = g′(self).
    #[inline(always)]
    fn chain(self, value: R, derivative: impl FnOnce() -> R) -> Self {
        Dual { value, slope: self.slope.map(|slope| derivative() * slope) }
    }
}

#[inline(always)]
fn or_zero<R: Real>(slope: Option<R>) -> R {
    match slope {
        Some(slope) => slope,
        None => R::constant(0.0),
    }
}

/// a + b of two slopes.
#[inline(always)]
pub(super) fn sum<R: Real>(a: Option<R>, b: Option<R>) -> Option<R> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a + b),
        (a, None) => a,
        (None, b) => b,
    }
}

impl<R: Real> Add for Dual<R> {
    type Output = Self;
    #[inline(always)]
    fn add(self, other: Self) -> Self {
        Dual { value: self.value + other.value, slope: sum(self.slope, other.slope) }
    }
}

impl<R: Real> Sub for Dual<R> {
    type Output = Self;
    #[inline(always)]
    fn sub(self, other: Self) -> Self {
        let slope = match (self.slope, other.slope) {
            (Some(a), Some(b)) => Some(a - b),
            (a, b) => sum(a, b.map(|b| -b)),
        };
        Dual { value: self.value - other.value, slope }
    }
}

impl<R: Real> Mul for Dual<R> {
    type Output = Self;
    #[inline(always)]
    fn mul(self, other: Self) -> Self {
        let slope = sum(self.slope.map(|s| s * other.value), other.slope.map(|s| self.value * s));
        Dual { value: self.value * other.value, slope }
    }
}

impl<R: Real> Div for Dual<R> {
    type Output = Self;
    #[inline(always)]
    #[allow(clippy::suspicious_arithmetic_impl)] // the quotient rule has a product in it
    fn div(self, other: Self) -> Self {
        let value = self.value / other.value;
        let slope = sum(self.slope.map(|s| s / other.value), other.slope.map(|s| -(value * s / other.value)));
        Dual { value, slope }
    }
}

impl<R: Real> Neg for Dual<R> {
    type Output = Self;
    #[inline(always)]
    fn neg(self) -> Self {
        Dual { value: -self.value, slope: self.slope.map(|s| -s) }
    }
}

macro_rules! function {
    ($method:ident {flat}) => {
        #[inline(always)]
        fn $method(self) -> Self {
            Dual::fixed(self.value.$method())
        }
    };
    ($method:ident $_slope:tt) => {
        #[inline(always)]
        fn $method(self) -> Self {
            let y = self.value.$method();
            self.chain(y, || slope::$method(self.value, y))
        }
    };
}

macro_rules! functions {
    ($($(#[$_:meta])* $method:ident $_variant:ident $_name:literal $_tensor:ident $_kernels:tt $slope:tt;)*) => {
        $(function!($method $slope);)*
    };
}

impl<R: Real> Sealed for Dual<R> {}

impl<R: Real> Real for Dual<R> {
    elementary!(functions);

    #[inline(always)]
    fn constant(value: f64) -> Self {
        Dual::fixed(R::constant(value))
    }
    #[inline(always)]
    fn powf(self, exponent: Self) -> Self {
        let (x, e) = (self.value, exponent.value);
        let y = x.powf(e);
        let (zero, one) = (R::constant(0.0), R::constant(1.0));
        // x⁰ is flat also at 0, where 0 · x⁻¹ would be NaN.
        let by_x = self.slope.map(|s| {
            let base = x.abs().select_gt(zero, x, e.abs().select_gt(zero, x, one));
            e * base.powf(e - one) * s
        });
        // xᵉ is flat in e where x = 0 and e ≥ 0; ln(0) would turn the 0 into NaN.
        let by_e = exponent.slope.map(|s| {
            let base = x.abs().select_gt(zero, x, zero.select_gt(e, x, one));
            y * base.ln() * s
        });
        Dual { value: y, slope: sum(by_x, by_e) }
    }
    #[inline(always)]
    fn powi(self, n: i32) -> Self {
        let y = self.value.powi(n);
        if n == 0 {
            return Dual::fixed(y);
        }
        self.chain(y, || R::constant(f64::from(n)) * self.value.powi(n.saturating_sub(1)))
    }
    #[inline(always)]
    fn remainder(self, divisor: Self) -> Self {
        let value = self.value.remainder(divisor.value);
        let times = || times_subtracted(self.value, divisor.value, value);
        Dual { value, slope: sum(self.slope, divisor.slope.map(|s| -(times() * s))) }
    }
    #[inline(always)]
    fn maximum(self, other: Self) -> Self {
        let value = self.value.maximum(other.value);
        Dual { value, slope: share(self.value, other.value, self.slope, other.slope) }
    }
    #[inline(always)]
    fn minimum(self, other: Self) -> Self {
        let value = self.value.minimum(other.value);
        Dual { value, slope: share(other.value, self.value, self.slope, other.slope) }
    }
    #[inline(always)]
    fn select_gt(self, other: Self, yes: Self, no: Self) -> Self {
        let slope = match (yes.slope, no.slope) {
            (None, None) => None,
            _ => Some(self.value.select_gt(other.value, yes.slope(), no.slope())),
        };
        Dual { value: self.value.select_gt(other.value, yes.value, no.value), slope }
    }
}

/// How often `divisor` was subtracted from `x` to leave `remainder`. The quotient's floor would be one too many where it rounds up. An
/// infinite remainder (of a finite number of the other sign) was added once.
#[inline(always)]
pub(super) fn times_subtracted<R: Real>(x: R, divisor: R, remainder: R) -> R {
    let infinity = R::constant(f64::INFINITY);
    let finite = infinity.select_gt(remainder.abs(), remainder, remainder.signum());
    let added = remainder.signum() * divisor.signum();
    let once = infinity.select_gt(remainder.abs(), R::constant(0.0), added);
    ((x - finite) / divisor).round_ties_even() - once
}

/// `a` where left > right, `b` where left < right, half of each in a tie.
#[inline(always)]
pub(super) fn share<R: Real>(left: R, right: R, a: Option<R>, b: Option<R>) -> Option<R> {
    if a.is_none() && b.is_none() {
        return None;
    }
    let (a, b) = (or_zero(a), or_zero(b));
    let tie = R::constant(0.5) * (a + b);
    Some(left.select_gt(right, a, right.select_gt(left, b, tie)))
}

#[cfg(test)]
mod tests {
    use super::{Dual, Real};
    use crate::elementary;

    fn slope(f: impl Fn(Dual<f64>) -> Dual<f64>, x: f64) -> f64 {
        f(Dual::variable(x)).slope()
    }

    type Function = fn(Dual<f64>) -> Dual<f64>;

    macro_rules! list {
        ($($(#[$_:meta])* $method:ident $_variant:ident $_name:literal $_tensor:ident $_kernels:tt $_slope:tt;)*) => {
            [$((stringify!($method), (|x| x.$method()) as Function)),*]
        };
    }

    #[test]
    fn slopes_match_finite_differences() {
        let more: [(&str, Function); 8] = [
            ("remainder", |x| x.remainder(Dual::constant(0.4))),
            ("divisor", |x| Dual::constant(7.0).remainder(x)),
            ("powf", |x| x.powf(Dual::constant(2.5))),
            ("exponent", |x| Dual::constant(1.5).powf(x)),
            ("x^x", |x| x.powf(x)),
            ("powi", |x| x.powi(-3) + x.powi(4)),
            ("quotient", |x| (x * x - Dual::constant(3.0)) / (x + x.exp())),
            ("select", |x| {
                x.maximum(Dual::constant(0.5)) * x.minimum(Dual::constant(9.0)) - (-x).select_gt(x, x, x * x)
            }),
        ];
        for (name, f) in elementary!(list).into_iter().chain(more) {
            for x in [0.3, 0.9, 2.1] {
                let at = |x: f64| f(Dual::fixed(x)).value;
                let h = 1e-3;
                let numeric =
                    (8.0 * (at(x + h) - at(x - h)) - (at(x + 2.0 * h) - at(x - 2.0 * h))) / (12.0 * h);
                let exact = slope(f, x);
                assert!(
                    (numeric - exact).abs() < 1e-8 * exact.abs().max(1.0),
                    "{name}({x}): {exact} {numeric}"
                );
            }
        }
    }

    #[test]
    fn kinks() {
        assert_eq!(slope(|x| x.abs(), 0.0), 0.0);
        assert_eq!(slope(|x| x.maximum(Dual::constant(1.0)), 1.0), 0.5);
        assert_eq!(slope(|x| x.minimum(Dual::constant(1.0)), 1.0), 0.5);
        assert_eq!(slope(|x| x.maximum(x), 1.0), 1.0);
        assert_eq!(slope(|x| x.floor() + x.round_ties_even(), 1.3), 0.0);
        assert_eq!(slope(|x| Dual::constant(2.0) * x, f64::INFINITY), 2.0);
        assert_eq!(slope(|x| Dual::constant(0.0).powf(x), 2.0), 0.0);
        assert_eq!(slope(|x| x.powf(Dual::constant(2.0)), 0.0), 0.0);
        assert_eq!(slope(|x| x.powf(Dual::constant(2.0)), -3.0), -6.0);
        assert_eq!(slope(|x| x.powf(Dual::constant(0.0)), 0.0), 0.0);
        assert_eq!(slope(|x| Dual::constant(0.0).powf(x), 0.0), 0.0);
        assert_eq!(slope(|x| Dual::constant(0.0).powf(x), -1.0), f64::NEG_INFINITY);
        assert_eq!(slope(|x| Dual::constant(1.0).remainder(x), f64::NEG_INFINITY), 1.0);
    }

    #[test]
    fn second_derivative_by_nesting() {
        let x = Dual::variable(Dual::variable(0.7_f64));
        let y = x.sin() * x;
        let exact = 2.0 * 0.7_f64.cos() - 0.7 * 0.7_f64.sin();
        assert!((y.slope().slope() - exact).abs() < 1e-14);
    }
}
