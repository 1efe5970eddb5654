//! `sin` and `cos`.
//!
//! Both take the argument in quarter turns, n + u with |u| ≤ ½, compute the sine and the cosine of u, and choose by n.

use super::reduce::{quarter_turns_f32, quarter_turns_f64};

/// `SIN5` of `tests/reference/math_coefficients.py`: sin(u·π/2) / u in powers of u².
const SIN_F32: [f64; 5] = [
    1.5707963267881158,
    -0.6459640961469789,
    0.07969258271395264,
    -0.004681266103502651,
    0.00015820585334829152,
];

/// `COS` (4): (cos(u·π/2) − 1) / u² in powers of u².
const COS_F32: [f64; 4] =
    [-1.2337005433376966, 0.2536692435705302, -0.020860284830836733, 0.0009040129805629928];

const HALF_PI_HI: f64 = core::f64::consts::FRAC_PI_2;
const HALF_PI_LO: f64 = 6.123233995736766e-17;

/// `SIN_TAIL`: (sin(u·π/2) / u − π/2) / u² in powers of u².
const SIN_F64: [f64; 6] = [
    -0.645964097506245,
    0.07969262624606431,
    -0.004681754132640192,
    0.00016044115276267107,
    -3.598649864774433e-06,
    5.63473827159072e-08,
];

/// `COS_TAIL` (7): (cos(u·π/2) − 1) / u² in powers of u².
const COS_F64: [f64; 7] = [
    -1.2337005501361697,
    0.2536695079010416,
    -0.020863480763175773,
    0.0009192602725474324,
    -2.5202026819316472e-05,
    4.710312614069271e-07,
    -6.286627380702085e-09,
];

/// The sine of n + u quarter turns from those of u: n's lowest bit exchanges sine and cosine, the next one turns the sign.
#[inline(always)]
fn choose(n: u64, sin: f64, cos: f64) -> f64 {
    let y = if n & 1 == 0 { sin } else { cos };
    f64::from_bits(y.to_bits() ^ ((n & 2) << 62))
}

/// sin(x + turns·π/2), in f64 up to the last step: there is no cheaper way to stay exact near multiples of π.
#[inline(always)]
fn sin_ahead_f32(x: f32, turns: u64) -> f32 {
    let (u, n) = quarter_turns_f32(x);
    let z = u * u;
    let sin = u * polynomial!(z, SIN_F32[4 3 2 1 0]);
    let cos = polynomial!(z, COS_F32[3 2 1 0]).mul_add(z, 1.0);
    choose(n.wrapping_add(turns), sin, cos) as f32
}

/// sin(|x| + turns·π/2).
#[inline(always)]
fn sin_ahead_f64(x: f64, turns: u64) -> f64 {
    let (u, low, n) = quarter_turns_f64(x);
    let z = u * u;
    let q = polynomial!(z, SIN_F64[5 4 3 2 1 0]);
    // u·π/2 to more than a float's precision: the last step adds everything else to the exact product.
    let small = q.mul_add(u * z, u.mul_add(HALF_PI_LO, low * HALF_PI_HI));
    let sin = u.mul_add(HALF_PI_HI, small);
    let cos = polynomial!(z, COS_F64[6 5 4 3 2 1 0]).mul_add(z, 1.0);
    let y = choose(n.wrapping_add(turns), sin, cos);
    if x.abs() < f64::INFINITY { y } else { f64::NAN }
}

/// The sine of x radians.
///
/// The argument is reduced with as many digits of π as its exponent needs, then two polynomials in f64.
/// −0 stays −0; ±∞ and NaN give NaN.
#[inline(always)]
pub fn sin_f32(x: f32) -> f32 {
    sin_ahead_f32(x, 0)
}

/// The sine of x radians.
///
/// The argument is reduced with as many digits of π as its exponent needs, to two floats, then two polynomials.
/// −0 stays −0; ±∞ and NaN give NaN.
#[inline(always)]
pub fn sin_f64(x: f64) -> f64 {
    let y = sin_ahead_f64(x, 0);
    let y = f64::from_bits(y.to_bits() ^ (x.to_bits() & (1 << 63)));
    // sin x = x below 2⁻²⁷; the table's product would lose the last digits of a subnormal.
    if x.abs() < 7.450580596923828e-9 { x } else { y }
}

/// The cosine of x radians: [`sin_f32`] a quarter turn ahead.
/// ±∞ and NaN give NaN.
#[inline(always)]
pub fn cos_f32(x: f32) -> f32 {
    sin_ahead_f32(x, 1)
}

/// The cosine of x radians: [`sin_f64`] a quarter turn ahead.
/// ±∞ and NaN give NaN.
#[inline(always)]
pub fn cos_f64(x: f64) -> f64 {
    sin_ahead_f64(x, 1)
}
