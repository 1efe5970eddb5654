//! `powf`, with two float arguments.
//!
//! |x|^y = 2^(y·log2|x|), where the logarithm carries enough extra digits for the largest exponents; then the sign and the
//! special cases of IEEE 754 (and C), by choices between finished values.

use super::exp::{MAGIC_F64, scale_f64};
use super::ln::{split_f64, whole_f64};

/// `LOG2` (5) of `tests/reference/math_coefficients.py`: log2((1 + s)/(1 − s)) / s in powers of s².
const LOG2: [f64; 5] =
    [2.885390081790051, 0.9617966733606753, 0.5770835823220938, 0.4116728532650161, 0.3407278659733188];

/// `EXP2` (6): (2^r − 1) / r in powers of r.
const EXP2_F32: [f64; 6] = [
    0.6931472058003489,
    0.24022651188681693,
    0.05550328355895225,
    0.009618021903437881,
    0.0013400111356658652,
    0.0001547147332512122,
];

/// `EXP2` (11).
const EXP2_F64: [f64; 11] = [
    core::f64::consts::LN_2,
    0.24022650695910117,
    0.05550410866482261,
    0.009618129107598608,
    0.0013333558146255778,
    0.00015403530452485576,
    1.5252733948218796e-05,
    1.3215437246865145e-06,
    1.0178021604794011e-07,
    7.073487705704482e-09,
    4.4603103489078767e-10,
];

/// `ATANH_TAIL` (8): ((atanh(s) / s − 1) / s² − ⅓) / s² in powers of s².
const ATANH_TAIL: [f64; 8] = [
    0.1999999999999999,
    0.1428571428572192,
    0.1111111110889487,
    0.09090909421996171,
    0.07692279214317922,
    0.06668132246526833,
    0.05837890435922426,
    0.05990875910317004,
];

const THIRD_HI: f64 = 0.3333333333333333;
const THIRD_LO: f64 = 1.850371707708594e-17;
const TWO_OVER_LN2_HI: f64 = 2.8853900817779268;
const TWO_OVER_LN2_LO: f64 = 4.0710547481862066e-17;

/// The sum of two numbers with what is lost, for |a| ≥ |b| or a = 0.
#[inline(always)]
fn fast_two_sum(a: f64, b: f64) -> (f64, f64) {
    let sum = a + b;
    (sum, (a - sum) + b)
}

/// x^y from |x|^y: the sign of an odd power, and NaN for a negative base with an exponent that is not whole.
#[inline(always)]
fn finish_f32(x: f32, y: f32, magnitude: f32) -> f32 {
    let half = 0.5 * y;
    let whole = y.floor() == y;
    let odd = whole & (half.floor() != half);
    let signed = if odd { magnitude.copysign(x) } else { magnitude };
    // A zero or infinite base has its limit instead, so −∞ is let off; −0 < 0 is false.
    if (x < 0.0) & (x > f32::NEG_INFINITY) & !whole { f32::NAN } else { signed }
}

/// [`finish_f32`] in f64; no macro makes both, since exported programs are made of this text.
#[inline(always)]
fn finish_f64(x: f64, y: f64, magnitude: f64) -> f64 {
    let half = 0.5 * y;
    let whole = y.floor() == y;
    let odd = whole & (half.floor() != half);
    let signed = if odd { magnitude.copysign(x) } else { magnitude };
    // A zero or infinite base has its limit instead, so −∞ is let off; −0 < 0 is false.
    if (x < 0.0) & (x > f64::NEG_INFINITY) & !whole { f64::NAN } else { signed }
}

/// x to the power of y.
///
/// In f64 with 36 good bits: 2⁷ is the largest logarithm that matters.
/// x⁰ = 1^y = 1 even for NaN; (−1)^±∞ = 1; a negative base with a
/// whole exponent has the right sign, with another it is NaN; zeros and infinities as in IEEE 754.
#[inline(always)]
pub fn powf_f32(x: f32, y: f32) -> f32 {
    const BIAS: f64 = MAGIC_F64 + 1023.0;
    let base = f64::from(x.abs());
    let (k, f) = split_f64(base);
    let s = f / (2.0 + f);
    let z = s * s;
    let log = polynomial!(z, LOG2[4 3 2 1 0]).mul_add(s, whole_f64(k) - 1024.0);
    let log = if base < f64::INFINITY { log } else { base };
    let log = if base == 0.0 { f64::NEG_INFINITY } else { log };

    let w = f64::from(y) * log;
    let w = if (base == 1.0) | (y == 0.0) { 0.0 } else { w };
    let w = if w < -200.0 { -200.0 } else { w };
    let w = if w > 200.0 { 200.0 } else { w };
    let shifted = w + BIAS;
    let r = w - (shifted - BIAS);
    let e = polynomial!(r, EXP2_F32[5 4 3 2 1 0]).mul_add(r, 1.0);
    // 2⁻²⁰⁰ to 2²⁰⁰ are doubles; becoming an f32 does the rounding of subnormals and the overflow.
    let magnitude = e * f64::from_bits(shifted.to_bits() << 52);
    finish_f32(x, y, magnitude as f32)
}

/// x to the power of y.
///
/// The logarithm is the sum of two floats, with 65 good bits: s = f/(2 + f) with its rounding error, and
/// log2(1 + f) = 2/ln 2·s·(1 + s²/3 + s⁴·Q(s²)), where everything up to s²/3 is carried in two floats.
/// x⁰ = 1^y = 1 even for NaN; (−1)^±∞ = 1; a negative base with a
/// whole exponent has the right sign, with another it is NaN; zeros and infinities as in IEEE 754.
#[inline(always)]
pub fn powf_f64(x: f64, y: f64) -> f64 {
    finish_f64(x, y, magnitude_f64(x.abs(), y))
}

/// The power of a number that is not negative.
#[inline(always)]
fn magnitude_f64(base: f64, y: f64) -> f64 {
    const BIAS: f64 = MAGIC_F64 + 2046.0;
    let (log, log_low) = log2_f64(base);
    // 0·∞ has to be 0 here: x⁰ and 1^y are 1 whatever the other is.
    let trivial = (base == 1.0) | (y == 0.0);
    let log = if trivial { 0.0 } else { log };
    let exponent = if trivial { 0.0 } else { y };

    let w = exponent * log;
    let w_low = exponent.mul_add(log_low, exponent.mul_add(log, -w));
    // Beyond, the result is settled; w_low may be ∞ − ∞.
    let w_low = if w.abs() < 1100.0 { w_low } else { 0.0 };
    let w = if w < -1100.0 { -1100.0 } else { w };
    let w = if w > 1100.0 { 1100.0 } else { w };
    let shifted = w + BIAS;
    let r = (w - (shifted - BIAS)) + w_low;
    let e = polynomial!(r, EXP2_F64[10 9 8 7 6 5 4 3 2 1 0]).mul_add(r, 1.0);
    scale_f64(e, shifted)
}

/// log2 x for x ≥ 0 as the sum of two floats, the second of which is always finite.
#[inline(always)]
fn log2_f64(x: f64) -> (f64, f64) {
    let tiny = x < f64::MIN_POSITIVE;
    let (k, f) = split_f64(if tiny { x * 4_503_599_627_370_496.0 } else { x });
    let k = whole_f64(k) - if tiny { 1076.0 } else { 1024.0 };

    let (d, d_low) = fast_two_sum(2.0, f);
    let reciprocal = 1.0 / d;
    let s = f * reciprocal;
    let s_low = (-s).mul_add(d_low, (-s).mul_add(d, f)) * reciprocal;

    let z = s * s;
    let z_low = (s + s).mul_add(s_low, s.mul_add(s, -z));
    let q = polynomial!(z, ATANH_TAIL[7 6 5 4 3 2 1 0]);
    let (b, b_low) = fast_two_sum(THIRD_HI, z * q);
    let b_low = b_low + THIRD_LO;
    let t = z * b;
    let t_low = z_low.mul_add(b, z.mul_add(b_low, z.mul_add(b, -t)));

    let st = s * t;
    let st_low = s.mul_add(t_low, s.mul_add(t, -st));
    let (v, v_low) = fast_two_sum(s, st);
    let v_low = v_low + (st_low + s_low.mul_add(t, s_low));

    let log = v * TWO_OVER_LN2_HI;
    let log_low =
        v_low.mul_add(TWO_OVER_LN2_HI, v.mul_add(TWO_OVER_LN2_LO, v.mul_add(TWO_OVER_LN2_HI, -log)));
    let (sum, sum_low) = fast_two_sum(k, log);
    let sum = if x < f64::INFINITY { sum } else { x };
    let sum = if x == 0.0 { f64::NEG_INFINITY } else { sum };
    (sum, sum_low + log_low)
}
