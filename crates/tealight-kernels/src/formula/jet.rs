//! [`Jet`], a truncated Taylor series, which carries the derivatives of a formula along with its value.

use std::ops::{Add, Div, Mul, Neg, Sub};

use super::Real;
use super::dual::{share, sum, times_subtracted};
use super::real::Sealed;
use crate::elementary;

/// The Taylor series c₀ + c₁·t + … + c_K·t^K of a formula along a line: `f(Jet::variable(x))` is f and its first K
/// derivatives at x, exactly, in one evaluation.
///
/// Products and quotients are Cauchy sums, and every elementary function has a recurrence, so the cost grows with K², not with
/// 2^K as that of nested [`Dual`](super::Dual) numbers. A coefficient of `None` is a constant's zero, and 0 · ∞ is never
/// computed. At a kink, and in a tie, the leading coefficients decide, as for [`Dual`](super::Dual): |x| is flat at 0.
///
/// With `f32` and `f64`, a quotient 0/0 of two functions with zeros is its limit: sin(x)/x is 1 at 0. Each order of such a zero uses up one
/// coefficient: the last ones are NaN, so ask for one order more. √ of a double zero is |t|·√…, which is flat at 0 as |x| is.
///
/// ```
/// # use tealight_kernels as tealight;
/// use tealight::formula::{Jet, Real};
/// let x = Jet::<f64, 3>::variable(2.0);
/// let y = x * x * x + x.recip();
/// assert_eq!([0, 1, 2, 3].map(|k| y.derivative(k)), [8.5, 11.75, 12.25, 5.625]);
/// ```
#[derive(Clone, Copy, Debug)]
#[doc(alias = "jet")]
pub struct Jet<R, const K: usize> {
    /// f(x)
    pub value: R,
    /// c₁, …, c_K
    rest: [Option<R>; K],
}

impl<R: Real, const K: usize> Jet<R, K> {
    /// The variable to differentiate by: x + t.
    #[inline(always)]
    pub fn variable(x: R) -> Self {
        Jet::line(x, R::constant(1.0))
    }

    /// A line: x + v·t.
    #[inline(always)]
    pub fn line(x: R, v: R) -> Self {
        let mut line = Jet::fixed(x);
        if let Some(first) = line.rest.first_mut() {
            *first = Some(v);
        }
        line
    }

    /// A value that does not depend on the variable.
    #[inline(always)]
    pub fn fixed(value: R) -> Self {
        Jet { value, rest: [None; K] }
    }

    /// c_k, the coefficient of t^k; 0 beyond K.
    #[inline(always)]
    pub fn coefficient(self, k: usize) -> R {
        self.at(k).unwrap_or(R::constant(0.0))
    }

    /// The k-th derivative by t at 0: k!·c_k.
    #[inline(always)]
    pub fn derivative(self, k: usize) -> R {
        let factorial: f64 = (1..=k).map(|i| i as f64).product();
        if k < 2 { self.coefficient(k) } else { R::constant(factorial) * self.coefficient(k) }
    }

    #[inline(always)]
    fn at(&self, k: usize) -> Option<R> {
        if k == 0 { Some(self.value) } else { self.rest.get(k - 1).copied().flatten() }
    }

    /// The series with this value and with the coefficients `f(k, those before)`.
    #[inline(always)]
    fn build(value: R, mut f: impl FnMut(usize, &Self) -> Option<R>) -> Self {
        let mut y = Jet::fixed(value);
        for k in 1..=K {
            y.rest[k - 1] = f(k, &y);
        }
        y
    }

    /// y with y′ = s·u′, where u is `self` and sₖ = `slope(k, y)` reads y₀ to yₖ: yₖ = Σⱼ j/k·uⱼ·sₖ₋ⱼ.
    #[inline(always)]
    fn integrate(self, value: R, mut slope: impl FnMut(usize, &Self) -> Option<R>) -> Self {
        let mut s = [None; K];
        Jet::build(value, |k, y| {
            s[k - 1] = slope(k - 1, y);
            total((1..=k).map(|j| scaled(product(self.at(j), s[k - j]), j, k)))
        })
    }

    /// y with y′ = u′/d, where u is `self`.
    #[inline(always)]
    fn integrate_over(self, d: Self, value: R) -> Self {
        Jet::build(value, |k, y| {
            let known = total((1..k).map(|j| scaled(product(y.at(j), d.at(k - j)), j, k)));
            less(self.at(k), known).map(|x| x / d.value)
        })
    }

    /// The sine and the cosine, which are each other's derivatives.
    #[inline(always)]
    fn sin_cos(self) -> [Self; 2] {
        let (mut sin, mut cos) = (Jet::fixed(self.value.sin()), Jet::fixed(self.value.cos()));
        for k in 1..=K {
            let by = |s: &Self| total((1..=k).map(|j| scaled(product(self.at(j), s.at(k - j)), j, k)));
            (sin.rest[k - 1], cos.rest[k - 1]) = (by(&cos), by(&sin).map(|x| -x));
        }
        [sin, cos]
    }

    /// Σ fₘ·δᵐ with δ = u − u₀: f of `self`, given the Taylor coefficients of f at u₀.
    #[inline(always)]
    fn compose(self, value: R, mut f: impl FnMut(usize) -> Option<R>) -> Self {
        let mut y = Jet::fixed(value);
        let mut power = self.rest;
        for m in 1..=K {
            let factor = f(m);
            for (y, &p) in y.rest.iter_mut().zip(&power) {
                *y = sum(*y, product(factor, p));
            }
            // δᵐ⁺¹; its coefficients below m + 1 are zero.
            let last = power;
            power = std::array::from_fn(|i| total((1..=i).map(|j| product(self.rest[j - 1], last[i - j]))));
        }
        y
    }

    /// The quotient by tᵐ of a series that is zero below; the last m coefficients are unknown.
    fn shifted(self, m: usize) -> Self {
        let coefficient = |k| if k <= K { self.at(k) } else { Some(R::constant(f64::NAN)) };
        Jet::build(self.coefficient(m), |k, _| coefficient(k + m))
    }

    /// How many of the leading coefficients are known to be zero; `None` if all are.
    fn zeros(&self) -> Option<usize> {
        (0..=K).find(|&k| self.at(k).is_some_and(|c| !c.is_zero()))
    }
}

/// Σ of the coefficients that are not zero.
#[inline(always)]
fn total<R: Real>(terms: impl Iterator<Item = Option<R>>) -> Option<R> {
    terms.fold(None, sum)
}

#[inline(always)]
fn product<R: Real>(a: Option<R>, b: Option<R>) -> Option<R> {
    Some(a? * b?)
}

#[inline(always)]
fn less<R: Real>(a: Option<R>, b: Option<R>) -> Option<R> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a - b),
        (a, b) => sum(a, b.map(|b| -b)),
    }
}

/// j/k·x
#[inline(always)]
fn scaled<R: Real>(x: Option<R>, j: usize, k: usize) -> Option<R> {
    if j == k { x } else { x.map(|x| R::constant(j as f64 / k as f64) * x) }
}

impl<R: Real, const K: usize> Add for Jet<R, K> {
    type Output = Self;
    #[inline(always)]
    fn add(self, other: Self) -> Self {
        Jet::build(self.value + other.value, |k, _| sum(self.at(k), other.at(k)))
    }
}

impl<R: Real, const K: usize> Sub for Jet<R, K> {
    type Output = Self;
    #[inline(always)]
    fn sub(self, other: Self) -> Self {
        Jet::build(self.value - other.value, |k, _| less(self.at(k), other.at(k)))
    }
}

impl<R: Real, const K: usize> Mul for Jet<R, K> {
    type Output = Self;
    #[inline(always)]
    #[allow(clippy::suspicious_arithmetic_impl)] // Cauchy's product: coefficients j and k − j
    fn mul(self, other: Self) -> Self {
        Jet::build(self.value * other.value, |k, _| {
            total((0..=k).map(|j| product(self.at(j), other.at(k - j))))
        })
    }
}

impl<R: Real, const K: usize> Div for Jet<R, K> {
    type Output = Self;
    #[inline(always)]
    fn div(self, other: Self) -> Self {
        let (mut a, mut d) = (self, other);
        if let (true, true, Some(m)) = (a.value.is_zero(), d.value.is_zero(), d.zeros())
            && a.zeros().is_none_or(|zeros| zeros >= m)
        {
            (a, d) = (a.shifted(m), d.shifted(m));
        }
        Jet::build(a.value / d.value, |k, q| {
            let known = total((1..=k).map(|j| product(d.at(j), q.at(k - j))));
            less(a.at(k), known).map(|x| x / d.value)
        })
    }
}

impl<R: Real, const K: usize> Neg for Jet<R, K> {
    type Output = Self;
    #[inline(always)]
    fn neg(self) -> Self {
        Jet::build(-self.value, |k, _| self.at(k).map(|c| -c))
    }
}

/// The elementary functions: each from u and the value y₀.
mod series {
    use super::{Jet, Real, less, product, total};

    macro_rules! series {
        ($($name:ident($u:ident, $y0:ident) $body:block)*) => {$(
            #[inline(always)]
            pub(super) fn $name<R: Real, const K: usize>($u: Jet<R, K>, $y0: R) -> Jet<R, K> $body
        )*};
    }

    /// Σ yⱼ·yₖ₋ⱼ without the terms of y₀.
    #[inline(always)]
    fn inner<R: Real, const K: usize>(y: &Jet<R, K>, k: usize) -> Option<R> {
        total((1..k).map(|j| product(y.at(j), y.at(k - j))))
    }

    /// 2/√π·exp(−u²)
    #[inline(always)]
    fn bell<R: Real, const K: usize>(u: Jet<R, K>) -> Jet<R, K> {
        Jet::constant(std::f64::consts::FRAC_2_SQRT_PI) * (-(u * u)).exp()
    }

    series! {
        exp(u, y0) { u.integrate(y0, |k, y| y.at(k)) }
        exp_m1(u, y0) { Jet { value: y0, ..u.exp() } }
        ln(u, y0) { u.integrate_over(u, y0) }
        ln_1p(u, y0) { u.integrate_over(Jet::constant(1.0) + u, y0) }
        sqrt(u, y0) {
            if let (true, Some(m)) = (u.value.is_zero(), u.zeros()) && m % 2 == 0 {
                // |t|^(m/2)·√(u/tᵐ): smooth where m/2 is even, else flat at 0.
                let root = u.shifted(m).sqrt();
                return Jet::build(y0, |k, _| if m % 4 == 0 && k >= m / 2 { root.at(k - m / 2) } else { None });
            }
            let twice = y0 + y0;
            Jet::build(y0, |k, y| less(u.at(k), inner(y, k)).map(|x| x / twice))
        }
        recip(u, y0) {
            Jet::build(y0, |k, y| total((1..=k).map(|j| product(u.at(j), y.at(k - j)))).map(|x| -(y0 * x)))
        }
        // 1 − y² would lose its digits where y is nearly 1.
        tanh(u, y0) {
            let double = u.value + u.value;
            let first = R::constant(4.0) * (double.sigmoid() * (-double).sigmoid());
            let factor = R::constant(-2.0) * y0;
            u.integrate(y0, |k, y| match k {
                0 => Some(first),
                _ => less(y.at(k).map(|c| factor * c), inner(y, k)),
            })
        }
        sigmoid(u, y0) {
            let other = (-u.value).sigmoid();
            // 1 − 2y with all its digits, also near 0.
            let tilt = -(R::constant(0.5) * u.value).tanh();
            u.integrate(y0, |k, y| match k {
                0 => Some(y0 * other),
                _ => less(y.at(k).map(|c| tilt * c), inner(y, k)),
            })
        }
        erf(u, y0) {
            let slope = bell(u);
            u.integrate(y0, |k, _| slope.at(k))
        }
        erfc(u, y0) {
            let slope = -bell(u);
            u.integrate(y0, |k, _| slope.at(k))
        }
        sin(u, _y0) { u.sin_cos()[0] }
        cos(u, _y0) { u.sin_cos()[1] }
        atan(u, y0) { u.integrate_over(Jet::constant(1.0) + u * u, y0) }
        abs(u, y0) {
            let sign = u.value.signum();
            Jet::build(y0, |k, _| u.at(k).map(|c| sign * c))
        }
        signum(_u, y0) { Jet::fixed(y0) }
        floor(_u, y0) { Jet::fixed(y0) }
        round_ties_even(_u, y0) { Jet::fixed(y0) }
    }

    /// uᵉ of a constant exponent, with the binomial coefficients of e. Where one is 0, so is its term: x² has no third derivative
    /// at 0.
    #[inline(always)]
    pub(super) fn power<R: Real, const K: usize>(u: Jet<R, K>, e: R, y0: R) -> Jet<R, K> {
        let zero = R::constant(0.0);
        let mut binomial = R::constant(1.0);
        u.compose(y0, |m| {
            let left = e - R::constant((m - 1) as f64);
            binomial = binomial * left * R::constant((m as f64).recip());
            let used = binomial.abs();
            let base =
                u.value.abs().select_gt(zero, u.value, used.select_gt(zero, u.value, R::constant(1.0)));
            Some(binomial * base.powf(left - R::constant(1.0)))
        })
    }

    /// uⁿ
    #[inline(always)]
    pub(super) fn whole_power<R: Real, const K: usize>(u: Jet<R, K>, n: i32) -> Jet<R, K> {
        let mut binomial = 1.0;
        u.compose(u.value.powi(n), |m| {
            binomial *= (f64::from(n) - (m - 1) as f64) / m as f64;
            let left = n.saturating_sub(i32::try_from(m).unwrap_or(i32::MAX));
            (binomial != 0.0).then(|| R::constant(binomial) * u.value.powi(left))
        })
    }

    /// uᵉ = exp(e·ln u); where u₀ is 0 it does not change with e.
    #[inline(always)]
    pub(super) fn variable_power<R: Real, const K: usize>(u: Jet<R, K>, e: Jet<R, K>, y0: R) -> Jet<R, K> {
        let zero = R::constant(0.0);
        let by_base = power(u, e.value, y0);
        let both = (e * u.ln()).integrate(y0, |k, y| y.at(k));
        Jet::build(y0, |k, _| {
            let both = both.coefficient(k);
            let at_zero = zero.select_gt(e.value, both, by_base.coefficient(k));
            Some(u.value.abs().select_gt(zero, both, at_zero))
        })
    }
}

macro_rules! functions {
    ($($(#[$_:meta])* $method:ident $_variant:ident $_name:literal $_tensor:ident $_kernels:tt $_slope:tt;)*) => {
        $(
            #[inline(always)]
            fn $method(self) -> Self {
                series::$method(self, self.value.$method())
            }
        )*
    };
}

impl<R: Real, const K: usize> Sealed for Jet<R, K> {}

impl<R: Real, const K: usize> Real for Jet<R, K> {
    elementary!(functions);

    #[inline(always)]
    fn constant(value: f64) -> Self {
        Jet::fixed(R::constant(value))
    }
    #[inline(always)]
    fn powf(self, exponent: Self) -> Self {
        let y0 = self.value.powf(exponent.value);
        match exponent.rest.iter().all(Option::is_none) {
            true => series::power(self, exponent.value, y0),
            false => series::variable_power(self, exponent, y0),
        }
    }
    #[inline(always)]
    fn powi(self, n: i32) -> Self {
        series::whole_power(self, n)
    }
    #[inline(always)]
    fn remainder(self, divisor: Self) -> Self {
        let value = self.value.remainder(divisor.value);
        let times = || times_subtracted(self.value, divisor.value, value);
        Jet::build(value, |k, _| less(self.at(k), divisor.at(k).map(|c| times() * c)))
    }
    #[inline(always)]
    fn maximum(self, other: Self) -> Self {
        let value = self.value.maximum(other.value);
        Jet::build(value, |k, _| share(self.value, other.value, self.at(k), other.at(k)))
    }
    #[inline(always)]
    fn minimum(self, other: Self) -> Self {
        let value = self.value.minimum(other.value);
        Jet::build(value, |k, _| share(other.value, self.value, self.at(k), other.at(k)))
    }
    #[inline(always)]
    fn select_gt(self, other: Self, yes: Self, no: Self) -> Self {
        Jet::build(self.value.select_gt(other.value, yes.value, no.value), |k, _| {
            match (yes.at(k), no.at(k)) {
                (None, None) => None,
                _ => Some(self.value.select_gt(other.value, yes.coefficient(k), no.coefficient(k))),
            }
        })
    }
}
