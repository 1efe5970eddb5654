//! `atan`.

const HALF_PI_HI: f64 = core::f64::consts::FRAC_PI_2;
const HALF_PI_LO: f64 = 6.123233995736766e-17;

/// `ATAN` of `tests/reference/math_coefficients.py`: (atan t / t − 1) / t² in powers of t².
const ATAN: [f64; 11] = [
    -0.333333333333332,
    0.1999999999995368,
    -0.14285714280200482,
    0.11111110783542508,
    -0.09090897758956407,
    0.07692060235332089,
    -0.06663104373220816,
    0.05847892718061663,
    -0.050393257373031956,
    0.03806525108635971,
    -0.017908142612240056,
];

/// The arc tangent: [`atan_f64`] of the same number.
/// ±∞ gives ±π/2, −0 stays −0, NaN stays NaN.
#[inline(always)]
pub fn atan_f32(x: f32) -> f32 {
    atan_f64(x.into()) as f32
}

/// The arc tangent.
///
/// atan |x| is a whole number n of eighth turns and the arc tangent of a t between −0.4143 and 0.4143: t = x for n = 0,
/// (x − 1)/(x + 1) for n = 1, −1/x for n = 2; there it is an odd polynomial.
/// ±∞ gives ±π/2, −0 stays −0, NaN stays NaN.
#[inline(always)]
pub fn atan_f64(x: f64) -> f64 {
    const TAN_EIGHTH: f64 = 0.41421356237309503;
    const TAN_THREE_EIGHTHS: f64 = 2.414213562373095;
    let a = x.abs();
    let (above, far) = (a > TAN_EIGHTH, a > TAN_THREE_EIGHTHS);
    let top = if above { a - 1.0 } else { a };
    let top = if far { -1.0 } else { top };
    let bottom = if above { a + 1.0 } else { 1.0 };
    let bottom = if far { a } else { bottom };
    let quarters = if above { 0.5 } else { 0.0 };
    let quarters = if far { 1.0 } else { quarters };
    let t = top / bottom;
    let z = t * t;
    let small = polynomial!(z, ATAN[10 9 8 7 6 5 4 3 2 1 0]).mul_add(t * z, quarters * HALF_PI_LO);
    // `quarters` is a power of two or 0, so its product is exact.
    let large = quarters * HALF_PI_HI;
    let sum = large + t;
    (sum + (t - (sum - large) + small)).copysign(x)
}
