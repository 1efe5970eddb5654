//! `ln` and `ln_1p`.
//!
//! Both write the argument as 2ᵏ·(1 + f) with 1 + f between √½ and √2, and add k·ln 2 to ln(1 + f).

use super::exp::MAGIC_F64;

// ln 2 in two floats; k·HI is exact, because HI has few bits.
const LN2_HI_F32: f32 = 0.69314575;
const LN2_LO_F32: f32 = 1.4286068e-6;
pub(super) const LN2_HI_F64: f64 = 0.6931471805598903;
pub(super) const LN2_LO_F64: f64 = 5.497923018708371e-14;

/// The bits of √½ rounded: subtracting them puts the border between two exponents at √½ instead of 1.
const SQRT_HALF_BITS_F32: u32 = 0x3f35_04f3;
const SQRT_HALF_BITS_F64: u64 = 0x3fe6_a09e_667f_3bcd;

/// `LN_TAIL_7` (f32) of `tests/reference/math_coefficients.py`.
const TAIL_F32: [f32; 8] =
    [0.3333333, -0.2500082, 0.20001242, -0.16623405, 0.1420159, -0.13159704, 0.12762135, -0.07635976];

/// `LN_TAIL_6` (f64) of `tests/reference/math_coefficients.py`.
const TAIL_F64: [f64; 7] = [
    0.6666666666666734,
    0.3999999999941669,
    0.2857142874201526,
    0.2222219860625761,
    0.18183562801003314,
    0.15314085760469737,
    0.147956279950461,
];

/// k·ln 2 + ln(1 + f). The sum of k·ln 2 and f is kept with its rounding error: for k ≠ 0 the first is the larger.
#[inline(always)]
fn sum_f32(k: f32, f: f32) -> f32 {
    let q = polynomial!(f, TAIL_F32[7 6 5 4 3 2 1 0]);
    let sum = k.mul_add(LN2_HI_F32, f);
    let lost = k.mul_add(LN2_HI_F32, -sum) + f;
    let tail = q.mul_add(f, -0.5).mul_add(f * f, lost);
    sum + k.mul_add(LN2_LO_F32, tail)
}

/// k·ln 2 + ln(1 + f), by s = f/(2 + f): ln(1 + f) = 2s + s·R(s²), and 2s = f − f²/2 + s·f²/2.
#[inline(always)]
fn sum_f64(k: f64, f: f64) -> f64 {
    let s = f / (2.0 + f);
    let z = s * s;
    let r = polynomial!(z, TAIL_F64[6 5 4 3 2 1 0]);
    let half_square = (0.5 * f) * f;
    let sum = k.mul_add(LN2_HI_F64, f);
    let lost = k.mul_add(LN2_HI_F64, -sum) + f;
    let tail = s.mul_add(z.mul_add(r, half_square), k.mul_add(LN2_LO_F64, lost));
    sum + (tail - half_square)
}

/// k as a float from its two's complement bits. No f64 conversion of a 64-bit integer exists on AVX2; this is one addition.
#[inline(always)]
pub(super) fn whole_f64(k: u64) -> f64 {
    f64::from_bits(MAGIC_F64.to_bits().wrapping_add(k)) - MAGIC_F64
}

/// k and f of a positive normal x = 2ᵏ·(1 + f).
#[inline(always)]
fn split_f32(x: f32) -> (i32, f32) {
    let shifted = x.to_bits().wrapping_sub(SQRT_HALF_BITS_F32) as i32;
    let m = f32::from_bits((shifted as u32 & 0x007f_ffff).wrapping_add(SQRT_HALF_BITS_F32));
    (shifted >> 23, m - 1.0)
}

/// k (in the low bits of a biased integer: the true k is this − 1024) and f of a positive normal x = 2ᵏ·(1 + f).
#[inline(always)]
pub(super) fn split_f64(x: f64) -> (u64, f64) {
    // A logical shift, because AVX2 has no arithmetic one for 64 bits: the added 1024·2⁵² keeps the number positive.
    let shifted = x.to_bits().wrapping_sub(SQRT_HALF_BITS_F64).wrapping_add(1024 << 52);
    let m = f64::from_bits((shifted & 0x000f_ffff_ffff_ffff).wrapping_add(SQRT_HALF_BITS_F64));
    (shifted >> 52, m - 1.0)
}

/// The natural logarithm.
///
/// x = 2ᵏ·(1 + f), ln x = k·ln 2 + f − f²/2 + f³·Q(f) with Q of degree 7. A subnormal x is first multiplied by 2²³.
/// ln ±0 = −∞, ln ∞ = ∞, NaN for NaN and below 0.
#[inline(always)]
pub fn ln_f32(x: f32) -> f32 {
    let tiny = x < f32::MIN_POSITIVE;
    let scaled = if tiny { x * 8_388_608.0 } else { x };
    let (k, f) = split_f32(scaled);
    let k = k as f32 - if tiny { 23.0 } else { 0.0 };
    let y = sum_f32(k, f);
    let y = if x < f32::INFINITY { y } else { x };
    let y = if x < 0.0 { f32::NAN } else { y };
    if x == 0.0 { f32::NEG_INFINITY } else { y }
}

/// The natural logarithm.
///
/// x = 2ᵏ·(1 + f), ln x = k·ln 2 + 2·atanh(f / (2 + f)) by an odd polynomial. A subnormal x is first multiplied by 2⁵².
/// ln ±0 = −∞, ln ∞ = ∞, NaN for NaN and below 0.
#[inline(always)]
pub fn ln_f64(x: f64) -> f64 {
    let tiny = x < f64::MIN_POSITIVE;
    let scaled = if tiny { x * 4_503_599_627_370_496.0 } else { x };
    let (k, f) = split_f64(scaled);
    let k = whole_f64(k) - if tiny { 1076.0 } else { 1024.0 };
    let y = sum_f64(k, f);
    let y = if x < f64::INFINITY { y } else { x };
    let y = if x < 0.0 { f64::NAN } else { y };
    if x == 0.0 { f64::NEG_INFINITY } else { y }
}

/// ln(1 + x), exact for small x too.
///
/// k is read off 1 + x rounded, and then f = x·2⁻ᵏ + (2⁻ᵏ − 1) comes from x itself by one fused step: where k = 0, f = x.
/// Below 2⁻²⁵ the answer is x itself, which keeps −0.
/// −1 gives −∞, ∞ gives ∞, NaN for NaN and below −1.
#[inline(always)]
pub fn ln_1p_f32(x: f32) -> f32 {
    let (k, _) = split_f32(1.0 + x);
    // 2⁻ᵏ may be subnormal (k = 128), so 2²⁻ᵏ·(x/4) stands for 2⁻ᵏ·x.
    let four = f32::from_bits(129u32.wrapping_sub(k as u32) << 23);
    let f = (0.25 * x).mul_add(four, 0.25f32.mul_add(four, -1.0));
    let y = sum_f32(k as f32, f);
    let y = if x < f32::INFINITY { y } else { x };
    let y = if x < -1.0 { f32::NAN } else { y };
    let y = if x == -1.0 { f32::NEG_INFINITY } else { y };
    if x.abs() < 2.9802322e-8 { x } else { y }
}

/// ln(1 + x), exact for small x too.
///
/// As [`ln_1p_f32`]; below 2⁻⁵⁴ the answer is x itself.
/// −1 gives −∞, ∞ gives ∞, NaN for NaN and below −1.
#[inline(always)]
pub fn ln_1p_f64(x: f64) -> f64 {
    let (k, _) = split_f64(1.0 + x);
    let four = f64::from_bits(2049u64.wrapping_sub(k) << 52);
    let f = (0.25 * x).mul_add(four, 0.25f64.mul_add(four, -1.0));
    let y = sum_f64(whole_f64(k) - 1024.0, f);
    let y = if x < f64::INFINITY { y } else { x };
    let y = if x < -1.0 { f64::NAN } else { y };
    let y = if x == -1.0 { f64::NEG_INFINITY } else { y };
    if x.abs() < 5.551115123125783e-17 { x } else { y }
}
