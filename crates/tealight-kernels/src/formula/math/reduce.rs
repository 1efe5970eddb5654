//! Arguments of `sin` and `cos` in quarter turns, exact for the largest floats too.
//!
//! Only 2/π·x modulo 4 matters. For x = m·2ᵉ with a whole number m, a table has 2/π·2ᵉ modulo 4 for each e (Payne and
//! Hanek's idea: digits of 2/π that only contribute whole turns, or nothing visible, are never looked at).

use super::exp::MAGIC_F64;

/// The first 1280 bits of 2/π behind the point (`job_trig` of `tests/reference/math_coefficients.py`).
const TWO_OVER_PI: [u64; 20] = [
    0xa2f9836e4e441529,
    0xfc2757d1f534ddc0,
    0xdb6295993c439041,
    0xfe5163abdebbc561,
    0xb7246e3a424dd2e0,
    0x06492eea09d1921c,
    0xfe1deb1cb129a73e,
    0xe88235f52ebb4484,
    0xe99c7026b45f7e41,
    0x3991d639835339f4,
    0x9c845f8bbdf9283b,
    0x1ff897ffde05980f,
    0xef2f118b5a0a6d1f,
    0x6d367ecf27cb09b7,
    0x4f463f669e5fea2d,
    0x7527bac7ebe5f17b,
    0x3d0739f78a5292ea,
    0x6bfb5fb11f8d5d08,
    0x56033046fc7b6bab,
    0xf0cfbc209af4361d,
];

/// A part of 2/π·2ᵉ modulo 4: its `count` ≤ 53 binary digits from the `skip`-th on, where digit 0 is worth 2.
const fn digits(e: i64, skip: i64, count: i64) -> f64 {
    let (mut value, mut i) = (0u64, 0);
    while i < count {
        // 2/π itself has its first digit, worth ½, two places below the one worth 2.
        let place = e + skip + i - 2;
        let digit = if place < 0 { 0 } else { TWO_OVER_PI[place as usize / 64] >> (63 - place % 64) & 1 };
        value = value << 1 | digit;
        i += 1;
    }
    value as f64 * power(2 - skip - count)
}

const fn power(e: i64) -> f64 {
    f64::from_bits(((1023 + e) as u64) << 52)
}

/// Row i: 2⁵²·(2/π·2ⁱ⁻⁵² modulo 4) in four floats, for mantissas in [1, 2) instead of whole numbers m·2⁵². The first has
/// only 50 digits; see [`quarter_turns_f64`].
struct Table {
    first: [f64; 1024],
    second: [f64; 1024],
    third: [f64; 1024],
    fourth: [f64; 1024],
}

static TABLE: Table = {
    const ZERO: [f64; 1024] = [0.0; 1024];
    let mut table = Table { first: ZERO, second: ZERO, third: ZERO, fourth: ZERO };
    let mut row = 0;
    while row < 1024 {
        let e = row as i64 - 52;
        table.first[row] = digits(e, 0, 50) * power(52);
        table.second[row] = digits(e, 50, 53) * power(52);
        table.third[row] = digits(e, 103, 53) * power(52);
        table.fourth[row] = digits(e, 156, 53) * power(52);
        row += 1;
    }
    table
};

/// The row is the exponent field of an f32: 2/π·2ᵉ modulo 4, over 2ᵉ, so that x itself is the other factor.
struct TableF32 {
    high: [f64; 256],
    low: [f64; 256],
}

static TABLE_F32: TableF32 = {
    let mut table = TableF32 { high: [0.0; 256], low: [0.0; 256] };
    let mut row = 0;
    while row < 256 {
        // Below 2²⁴ nothing is left out: one entry is right for all.
        let e = if row < 150 { 0 } else { row as i64 - 150 };
        // 29 digits times the 24 of an f32 are exact in f64.
        table.high[row] = digits(e, 0, 29) * power(-e);
        table.low[row] = digits(e, 29, 53) * power(-e);
        row += 1;
    }
    table
};

/// x = (n + part)·π/2 up to whole turns: part, between −½ and ½, and bits whose lowest two are those of n.
#[inline(always)]
pub(super) fn quarter_turns_f32(x: f32) -> (f64, u64) {
    let row = (x.to_bits() >> 23 & 0xff) as usize;
    let x = f64::from(x);
    let product = x * TABLE_F32.high[row];
    let shifted = x.mul_add(TABLE_F32.low[row], product) + MAGIC_F64;
    let part = product - (shifted - MAGIC_F64);
    (x.mul_add(TABLE_F32.low[row], part), shifted.to_bits())
}

/// |x| = (n + high + low)·π/2 up to whole turns, as [`quarter_turns_f32`]. An x that is not finite gives anything.
///
/// The nearest that a double comes to a multiple of π/2 is 2⁻⁶² quarter turns; high + low is right to 2⁻¹⁵⁰ always, and
/// to 2⁻¹⁰⁰ of itself where x is small.
#[inline(always)]
pub(super) fn quarter_turns_f64(x: f64) -> (f64, f64, u64) {
    let x = x.abs();
    let at_least_one = if x < 1.0 { 1.0 } else { x };
    let bits = at_least_one.to_bits();
    let row = ((bits >> 52).wrapping_sub(1023) & 1023) as usize;
    let mantissa = f64::from_bits(bits & 0x000f_ffff_ffff_ffff | 1023 << 52);
    // Below 1 the factor is x itself, from there on its mantissa: the smaller of the two everywhere.
    let m = if x < mantissa { x } else { mantissa };

    // The first product is a multiple of 2⁻⁴⁸ below 2⁵⁵. Taken modulo 16 (this magic number rounds to multiples of 16) it
    // is one float, without error. In row 0, the one for x < 1, it is 0.
    const MAGIC_16: f64 = 16.0 * MAGIC_F64;
    let product = m * TABLE.first[row];
    let lost = m.mul_add(TABLE.first[row], -product);
    let first = product - ((product + MAGIC_16) - MAGIC_16) + lost;

    let second = m * TABLE.second[row];
    let second_lost = m.mul_add(TABLE.second[row], -second);
    let third = m * TABLE.third[row];
    let third_lost = m.mul_add(TABLE.third[row], -third);
    let rest = m.mul_add(TABLE.fourth[row], third_lost);

    let (sum, sum_lost) = two_sum(first, second);
    let shifted = sum + MAGIC_F64;
    let part = sum - (shifted - MAGIC_F64);
    // From here on the larger terms can cancel to 2⁻⁶², so their sums keep what they lose.
    let (small, small_lost) = two_sum(sum_lost, second_lost);
    let (middle, middle_lost) = two_sum(small, third);
    let (high, high_lost) = two_sum(part, middle);
    (high, high_lost + (small_lost + middle_lost + rest), shifted.to_bits())
}

/// a + b and its rounding error.
#[inline(always)]
pub(super) fn two_sum(a: f64, b: f64) -> (f64, f64) {
    let sum = a + b;
    let b_seen = sum - a;
    let a_seen = sum - b_seen;
    (sum, (a - a_seen) + (b - b_seen))
}
