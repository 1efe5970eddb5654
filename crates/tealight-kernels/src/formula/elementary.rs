//! The table of elementary functions. The methods of [`Real`] and of every type that implements it, the variants of
//! [`Unary`](super::Unary) and tealight's tensor operations are generated from it.

use super::Real;

/// Passes the table to the macro `$callback`, after `$arguments`.
///
/// The columns: method of `Real`; variant of `Unary`; name in a printed formula; method of tealight's `Tensor`;
/// functions for `f32` and `f64`; derivative from x and y = f(x), or `flat` if it is 0 everywhere.
#[doc(hidden)]
#[macro_export]
macro_rules! elementary {
    ($callback:ident $($arguments:tt)*) => { $callback! { $($arguments)*
        /// eˣ
        exp Exp "exp" exp [math::exp_f32, math::exp_f64] {|x, y| y};
        /// eˣ − 1, accurate near 0.
        exp_m1 ExpM1 "exp_m1" expm1 [math::exp_m1_f32, math::exp_m1_f64] {|x, y| y + R::constant(1.0)};
        /// The natural logarithm.
        ln Ln "ln" ln [math::ln_f32, math::ln_f64] {|x, y| x.recip()};
        /// ln(1 + x), accurate near 0.
        ln_1p Ln1p "ln_1p" log1p [math::ln_1p_f32, math::ln_1p_f64] {|x, y| (R::constant(1.0) + x).recip()};
        /// √x; NaN below 0.
        sqrt Sqrt "sqrt" sqrt [f32::sqrt, f64::sqrt] {|x, y| R::constant(0.5) / y};
        /// 1/x
        recip Recip "recip" recip [f32::recip, f64::recip] {|x, y| -(y * y)};
        /// The hyperbolic tangent.
        tanh Tanh "tanh" tanh [math::tanh_f32, math::tanh_f64] {|x, y| R::constant(1.0) - y * y};
        /// 1/(1 + e⁻ˣ). Its derivative y(1 − y) never overflows; that of the quotient does at x = −1000.
        sigmoid Sigmoid "sigmoid" sigmoid [math::sigmoid_f32, math::sigmoid_f64]
            {|x, y| y * (R::constant(1.0) - y)};
        /// The error function 2/√π ∫₀ˣ exp(−t²) dt.
        erf Erf "erf" erf [math::erf_f32, math::erf_f64]
            {|x, y| R::constant(std::f64::consts::FRAC_2_SQRT_PI) * (-(x * x)).exp()};
        /// 1 − erf x, accurate where erf x is nearly 1.
        erfc Erfc "erfc" erfc [math::erfc_f32, math::erfc_f64]
            {|x, y| R::constant(-std::f64::consts::FRAC_2_SQRT_PI) * (-(x * x)).exp()};
        /// The sine of x radians.
        sin Sin "sin" sin [math::sin_f32, math::sin_f64] {|x, y| x.cos()};
        /// The cosine of x radians.
        cos Cos "cos" cos [math::cos_f32, math::cos_f64] {|x, y| -x.sin()};
        /// The arc tangent, from −π/2 to π/2.
        atan Atan "atan" atan [math::atan_f32, math::atan_f64] {|x, y| (R::constant(1.0) + x * x).recip()};
        /// |x|, with slope 0 at 0.
        abs Abs "abs" abs [f32::abs, f64::abs] {|x, y| x.signum()};
        /// −1, 0 or 1. 0 at 0, unlike `f64::signum`.
        signum Signum "signum" sign [math::signum_f32, math::signum_f64] {flat};
        /// The largest integer ≤ x.
        floor Floor "floor" floor [f32::floor, f64::floor] {flat};
        /// The nearest integer, ties to even.
        round_ties_even Round "round" round [f32::round_ties_even, f64::round_ties_even] {flat};
    } };
}

macro_rules! slope {
    ($method:ident {flat}) => {
        #[inline(always)]
        pub fn $method<R: Real>(_: R, _: R) -> R {
            R::constant(0.0)
        }
    };
    ($method:ident {|$x:ident, $y:ident| $slope:expr}) => {
        #[inline(always)]
        #[allow(unused_variables)]
        pub fn $method<R: Real>($x: R, $y: R) -> R {
            $slope
        }
    };
}

macro_rules! slopes {
    ($($(#[$_:meta])* $method:ident $_variant:ident $_name:literal $_tensor:ident $_kernels:tt $slope:tt;)*) => {
        $(slope!($method $slope);)*
    };
}

/// The derivatives of the elementary functions, each from x and y = f(x).
#[doc(hidden)]
#[allow(missing_docs)]
pub mod slope {
    use super::Real;

    elementary!(slopes);
}
