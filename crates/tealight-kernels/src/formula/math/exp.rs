//! `exp` and `exp_m1`.
//!
//! Both write x = n·ln 2 + r with a whole n and |r| ≤ ln 2 / 2, and need only e^r − 1 − r = r²·P(r) from a polynomial.

/// 1.5·2²³: adding it rounds a small float to a whole number, which is then found in the low bits of the sum.
pub(super) const MAGIC_F32: f32 = 12_582_912.0;
/// 1.5·2⁵²: as [`MAGIC_F32`].
pub(super) const MAGIC_F64: f64 = 6_755_399_441_055_744.0;

const LOG2_E_F32: f32 = core::f32::consts::LOG2_E;
const LOG2_E_F64: f64 = core::f64::consts::LOG2_E;

// ln 2 in two floats. n·HI needs more bits than a float has, but x − n·HI does not, so one fused step gives it exactly.
const LN2_HI_F32: f32 = core::f32::consts::LN_2;
const LN2_LO_F32: f32 = -1.9046542e-09;
const LN2_HI_F64: f64 = core::f64::consts::LN_2;
const LN2_LO_F64: f64 = 2.3190468138462996e-17;

/// `EXP_TAIL_4` of `tests/reference/math_coefficients.py`.
const TAIL_F32: [f32; 5] = [0.5, 0.16666545, 0.04166644, 0.008366399, 0.0013937146];

/// `EXP_TAIL_9` of `tests/reference/math_coefficients.py`.
const TAIL_F64: [f64; 10] = [
    0.5000000000000006,
    0.1666666666666667,
    0.041666666666573496,
    0.008333333333324712,
    0.0013888888932429373,
    0.0001984126987991364,
    2.4801504380231583e-05,
    2.755724944782165e-06,
    2.7626353941432573e-07,
    2.5107457172371487e-08,
];

/// P(r) = (e^r − 1 − r) / r².
#[inline(always)]
fn tail_f32(r: f32) -> f32 {
    polynomial!(r, TAIL_F32[4 3 2 1 0])
}

/// One f32, or several that take each step together: the steps of one wait for one another, those of several do not.
pub trait Singles: Copy {
    /// This number in each place.
    fn all(self, number: f32) -> Self;
    /// self + other
    fn plus(self, other: Self) -> Self;
    /// self − other
    fn minus(self, other: Self) -> Self;
    /// self · other
    fn times(self, other: Self) -> Self;
    /// self·a + b, rounded once.
    fn fused(self, a: Self, b: Self) -> Self;
    /// 2ⁿ, where n + 127 is in the lowest bits.
    fn power(self) -> Self;
    /// 0 where `x` is below the limit.
    fn zero_below(self, x: Self, limit: f32) -> Self;
}

impl Singles for f32 {
    #[inline(always)]
    fn all(self, number: f32) -> f32 {
        number
    }

    #[inline(always)]
    fn plus(self, other: f32) -> f32 {
        self + other
    }

    #[inline(always)]
    fn minus(self, other: f32) -> f32 {
        self - other
    }

    #[inline(always)]
    fn times(self, other: f32) -> f32 {
        self * other
    }

    #[inline(always)]
    fn fused(self, a: f32, b: f32) -> f32 {
        self.mul_add(a, b)
    }

    #[inline(always)]
    fn power(self) -> f32 {
        f32::from_bits(self.to_bits() << 23)
    }

    #[inline(always)]
    fn zero_below(self, x: f32, limit: f32) -> f32 {
        if x < limit { 0.0 } else { self }
    }
}

/// e^r for |r| ≤ ln 2 / 2 within 1 ulp: as 1 + r + r²·P(r), but in fewer steps that wait for one another.
#[inline(always)]
fn short_exp_f32<X: Singles>(r: X) -> X {
    let [c0, c1, c2, c3, c4] = TAIL_F32;
    let (c0, c1, c2, c3, c4) = (r.all(c0), r.all(c1), r.all(c2), r.all(c3), r.all(c4));
    let square = r.times(r);
    let tail = c4.fused(square, c3.fused(r, c2)).fused(square, c1.fused(r, c0));
    tail.fused(square, r.all(1.0).plus(r))
}

/// P(r) = (e^r − 1 − r) / r².
#[inline(always)]
fn tail_f64(r: f64) -> f64 {
    polynomial!(r, TAIL_F64[9 8 7 6 5 4 3 2 1 0])
}

/// y·2ⁿ, where `shifted` is n + 254 + [`MAGIC_F32`] and −254 < n < 256. Two factors, because 2ⁿ itself may be no float;
/// only the second product can round, so a subnormal result is rounded once.
#[inline(always)]
pub(super) fn scale_f32(y: f32, shifted: f32) -> f32 {
    let exponents = shifted.to_bits();
    let half = exponents >> 1;
    let first = f32::from_bits(half << 23);
    let second = f32::from_bits(exponents.wrapping_sub(half) << 23);
    y * first * second
}

/// y·2ⁿ, where `shifted` is n + 2046 + [`MAGIC_F64`] and −2046 < n < 2048; see [`scale_f32`].
#[inline(always)]
pub(super) fn scale_f64(y: f64, shifted: f64) -> f64 {
    let exponents = shifted.to_bits();
    let half = exponents >> 1;
    let first = f64::from_bits(half << 52);
    let second = f64::from_bits(exponents.wrapping_sub(half) << 52);
    y * first * second
}

/// eˣ.
///
/// x = n·ln 2 + r; eˣ = 2ⁿ·(1 + r + r²·P(r)) with P of degree 4. Outside [−104, 89] the result is settled, so x is
/// held inside and needs no special case.
/// e^−∞ = 0, e^∞ = ∞, NaN stays NaN.
#[inline(always)]
pub fn exp_f32(x: f32) -> f32 {
    const BIAS: f32 = MAGIC_F32 + 254.0;
    // Comparisons this way round let NaN through, and are one instruction each.
    let x = if x < -104.0 { -104.0 } else { x };
    let x = if x > 89.0 { 89.0 } else { x };
    let shifted = x.mul_add(LOG2_E_F32, BIAS);
    let n = shifted - BIAS;
    let r = n.mul_add(-LN2_LO_F32, n.mul_add(-LN2_HI_F32, x));
    let y = tail_f32(r).mul_add(r, 1.0).mul_add(r, 1.0);
    scale_f32(y, shifted)
}

/// eˣ.
///
/// As [`exp_f32`], with P of degree 9; x is held inside [−746, 710].
/// e^−∞ = 0, e^∞ = ∞, NaN stays NaN.
#[inline(always)]
pub fn exp_f64(x: f64) -> f64 {
    exp_times_f64(x, 0.0, 1.0)
}

/// eˣ for x ≤ 0, but 0 where the result would be subnormal: one factor is enough to scale the rest.
/// At most 1.5 ulp off where the result is not 0. NaN stays NaN.
#[inline(always)]
pub fn exp_negative_f32<X: Singles>(x: X) -> X {
    let bias = x.all(MAGIC_F32 + 127.0);
    let shifted = x.fused(x.all(LOG2_E_F32), bias);
    let n = shifted.minus(bias);
    let r = n.fused(x.all(-LN2_LO_F32), n.fused(x.all(-LN2_HI_F32), x));
    short_exp_f32(r).times(shifted.power()).zero_below(x, -87.0)
}

/// 1 / (1 + e⁻ˣ), as ½ / (½ + ½·e⁻ˣ): ½·e⁻ˣ overflows later, and where it is subnormal it does not count, so that one factor
/// is enough to scale it.
/// The error bound holds where the result is not subnormal. NaN stays NaN.
#[inline(always)]
pub fn sigmoid_f32(x: f32) -> f32 {
    const BIAS: f32 = MAGIC_F32 + 126.0;
    // x is held inside before its sign is turned, which then costs no instruction.
    let x = if x > 86.0 { 86.0 } else { x };
    let x = if x < -89.5 { -89.5 } else { x };
    let shifted = x.mul_add(-LOG2_E_F32, BIAS);
    let n = shifted - BIAS;
    let r = n.mul_add(-LN2_LO_F32, n.mul_add(-LN2_HI_F32, -x));
    let y = short_exp_f32(r);
    0.5 / y.mul_add(f32::from_bits(shifted.to_bits() << 23), 0.5)
}

/// 1 / (1 + e⁻ˣ)
#[inline(always)]
pub fn sigmoid_f64(x: f64) -> f64 {
    1.0 / (1.0 + exp_f64(-x))
}

/// e^(x − low)·factor with a small `low`, rounded once where the result is subnormal.
#[inline(always)]
pub(super) fn exp_times_f64(x: f64, low: f64, factor: f64) -> f64 {
    const BIAS: f64 = MAGIC_F64 + 2046.0;
    let x = if x < -746.0 { -746.0 } else { x };
    let x = if x > 710.0 { 710.0 } else { x };
    let shifted = x.mul_add(LOG2_E_F64, BIAS);
    let n = shifted - BIAS;
    let r = n.mul_add(-LN2_LO_F64, n.mul_add(-LN2_HI_F64, x)) - low;
    let y = tail_f64(r).mul_add(r, 1.0).mul_add(r, 1.0);
    scale_f64(y * factor, shifted)
}

/// e^r − 1 and n + bias + [`MAGIC_F32`], for x = n·ln 2 + r.
#[inline(always)]
fn exp_m1_parts_f32(x: f32, bias: f32) -> (f32, f32) {
    let x = if x < -20.0 { -20.0 } else { x };
    let shifted = x.mul_add(LOG2_E_F32, MAGIC_F32 + bias);
    let n = shifted - (MAGIC_F32 + bias);
    let r = n.mul_add(-LN2_LO_F32, n.mul_add(-LN2_HI_F32, x));
    (tail_f32(r).mul_add(r * r, r), shifted)
}

/// eˣ − 1 for x ≤ 0; the sign of a zero is the caller's business.
#[inline(always)]
pub(super) fn exp_m1_negative_f32(x: f32) -> f32 {
    let (m, shifted) = exp_m1_parts_f32(x, 127.0);
    let power = f32::from_bits(shifted.to_bits() << 23);
    m.mul_add(power, power - 1.0)
}

/// eˣ − 1.
///
/// x = n·ln 2 + r; 2ⁿ·(e^r − 1) + (2ⁿ − 1), where only the last addition can cancel, and there both parts are exact enough.
/// Below 2⁻²⁵ the answer is x itself, which keeps −0.
/// −∞ gives −1, ∞ gives ∞, NaN stays NaN.
#[inline(always)]
pub fn exp_m1_f32(x: f32) -> f32 {
    let (m, shifted) = exp_m1_parts_f32(if x > 89.0 { 89.0 } else { x }, 126.0);
    // 2ⁿ⁻¹ instead of 2ⁿ, because n = 128 occurs.
    let half = f32::from_bits(shifted.to_bits() << 23);
    let y = m.mul_add(half, half - 0.5) * 2.0;
    if x.abs() < 2.9802322e-8 { x } else { y }
}

/// e^r − 1 and n + bias + [`MAGIC_F64`], for x = n·ln 2 + r.
#[inline(always)]
fn exp_m1_parts_f64(x: f64, bias: f64) -> (f64, f64) {
    let x = if x < -40.0 { -40.0 } else { x };
    let shifted = x.mul_add(LOG2_E_F64, MAGIC_F64 + bias);
    let n = shifted - (MAGIC_F64 + bias);
    let r = n.mul_add(-LN2_LO_F64, n.mul_add(-LN2_HI_F64, x));
    (tail_f64(r).mul_add(r * r, r), shifted)
}

/// eˣ − 1 for x ≤ 0; the sign of a zero is the caller's business.
#[inline(always)]
pub(super) fn exp_m1_negative_f64(x: f64) -> f64 {
    let (m, shifted) = exp_m1_parts_f64(x, 1023.0);
    let power = f64::from_bits(shifted.to_bits() << 52);
    m.mul_add(power, power - 1.0)
}

/// eˣ − 1.
///
/// As [`exp_m1_f32`]; below 2⁻⁵⁴ the answer is x itself.
/// −∞ gives −1, ∞ gives ∞, NaN stays NaN.
#[inline(always)]
pub fn exp_m1_f64(x: f64) -> f64 {
    let (m, shifted) = exp_m1_parts_f64(if x > 710.0 { 710.0 } else { x }, 1022.0);
    // 2ⁿ⁻¹ instead of 2ⁿ, because n = 1024 occurs.
    let half = f64::from_bits(shifted.to_bits() << 52);
    let y = m.mul_add(half, half - 0.5) * 2.0;
    if x.abs() < 5.551115123125783e-17 { x } else { y }
}

#[cfg(test)]
mod tests {
    use super::{exp_negative_f32, sigmoid_f32};

    /// The largest error of `f`, in ulp of the exact results that are normal numbers.
    fn worst(range: std::ops::Range<f32>, f: fn(f32) -> f32, exact: fn(f64) -> f64) -> f64 {
        let n = 2_000_003;
        let mut worst: f64 = 0.0;
        for i in 0..=n {
            let x = range.start + (range.end - range.start) * (i as f32 / n as f32);
            let (got, exact) = (f64::from(f(x)), exact(x.into()));
            if exact >= f64::from(f32::MIN_POSITIVE) {
                let ulp = 2_f64.powf(exact.log2().floor() - 23.0);
                worst = worst.max((got - exact).abs() / ulp);
            }
        }
        worst
    }

    #[test]
    fn as_exact_as_stated() {
        assert!(worst(-87.0..0.0, exp_negative_f32, f64::exp) < 1.5);
        let sigmoid = |x: f64| 1.0 / (1.0 + (-x).exp());
        for range in [-88.0..88.0, -1.0..1.0, -20.0..-5.0] {
            let worst = worst(range, sigmoid_f32, sigmoid);
            assert!(worst < 3.5, "{worst}");
        }
    }

    #[test]
    fn extremes() {
        let inf = f32::INFINITY;
        assert_eq!([0.0, -0.0, -100.0, -inf].map(exp_negative_f32), [1.0, 1.0, 0.0, 0.0]);
        assert_eq!(
            [-inf, -1e30, -90.0, 0.0, 40.0, 1e30, inf].map(sigmoid_f32),
            [0.0, 0.0, 0.0, 0.5, 1.0, 1.0, 1.0]
        );
        assert!(exp_negative_f32(f32::NAN).is_nan() && sigmoid_f32(f32::NAN).is_nan());
    }
}
