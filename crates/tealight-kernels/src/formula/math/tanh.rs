//! `tanh`.

use super::exp::{exp_m1_negative_f32, exp_m1_negative_f64};

/// The hyperbolic tangent.
///
/// tanh |x| = −t / (t + 2) with t = e^(−2|x|) − 1, which is never near −2 and never large; the sign is put back at the end.
/// ±∞ gives ±1, −0 stays −0, NaN stays NaN.
#[inline(always)]
pub fn tanh_f32(x: f32) -> f32 {
    let t = exp_m1_negative_f32(-2.0 * x.abs());
    (t / (t + 2.0)).copysign(x)
}

/// The hyperbolic tangent.
///
/// As [`tanh_f32`].
/// ±∞ gives ±1, −0 stays −0, NaN stays NaN.
#[inline(always)]
pub fn tanh_f64(x: f64) -> f64 {
    let t = exp_m1_negative_f64(-2.0 * x.abs());
    (t / (t + 2.0)).copysign(x)
}
