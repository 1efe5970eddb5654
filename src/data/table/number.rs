//! Numbers as people write them: decimal comma, marks between thousands, currencies, percent, negatives in parentheses.

use serde::{Deserialize, Serialize};

/// The decimal mark, and the mark between thousands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct NumberFormat {
    pub(super) decimal: char,
    pub(super) thousands: Option<char>,
}

const CURRENCIES: [&str; 20] = [
    "€", "$", "£", "¥", "₹", "₩", "₽", "₺", "EUR", "USD", "GBP", "CHF", "JPY", "CNY", "INR", "AUD", "CAD",
    "BRL", "kr", "zł",
];

impl NumberFormat {
    pub(super) const PLAIN: NumberFormat = NumberFormat { decimal: '.', thousands: None };

    /// All that are recognised, the likelier first: where values stand between semicolons, a comma is a decimal mark.
    pub(super) fn candidates(delimiter: u8) -> Vec<NumberFormat> {
        let mut all: Vec<NumberFormat> = [
            ('.', None),
            ('.', Some(',')),
            (',', None),
            (',', Some('.')),
            (',', Some(' ')),
            ('.', Some(' ')),
        ]
        .into_iter()
        .chain([('.', Some('\'')), (',', Some('\''))])
        .map(|(decimal, thousands)| NumberFormat { decimal, thousands })
        .collect();
        if delimiter == b';' {
            all[1..4].rotate_left(1);
        }
        all
    }

    /// The number in a text: `1.234,50 €` if the decimal mark is a comma and thousands are marked by dots. `12 %` is 0.12, as in a
    /// spreadsheet, and `(12.50)` is −12.5, as in accounts.
    pub(super) fn parse(self, text: &str) -> Option<f64> {
        if self == NumberFormat::PLAIN
            && let Ok(x) = text.parse()
        {
            return Some(x);
        }
        let text = text.trim();
        if let Some(inside) = text.strip_prefix('(').and_then(|text| text.strip_suffix(')')) {
            let unsigned = !inside.contains(['(', '-', '−', '+']);
            return self.parse(inside).filter(|x| unsigned && x.is_finite()).map(|x| -x);
        }
        let (text, percent) = text.strip_suffix('%').map_or((text, false), |rest| (rest.trim_end(), true));
        let (before, text) = signed(text);
        let bare = CURRENCIES.iter().find_map(|c| text.strip_prefix(c).or_else(|| text.strip_suffix(c)));
        let (after, text) = match bare {
            Some(text) if before.is_none() => signed(text.trim()),
            bare => (None, bare.unwrap_or(text).trim()),
        };
        let x: f64 = self.plain(text)?.parse().ok()?;
        let x = if before.or(after) == Some('-') { -x } else { x };
        Some(if percent { x / 100.0 } else { x })
    }

    /// The digits of a number without a sign, as Rust writes them.
    fn plain(self, text: &str) -> Option<String> {
        let (mantissa, exponent) = text.split_at(text.find(['e', 'E']).unwrap_or(text.len()));
        let (whole, fraction) = mantissa.split_once(self.decimal).unwrap_or((mantissa, ""));
        let groups: Vec<&str> = whole.split(|c| self.thousands.is_some_and(|mark| same(mark, c))).collect();
        let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        let grouped = match &groups[..] {
            [_] => true,
            // 12,34,567 in India.
            [first, middle @ .., last] => {
                (1..=3).contains(&first.len())
                    && !first.starts_with('0')
                    && middle.iter().all(|group| (2..=3).contains(&group.len()))
                    && last.len() == 3
            }
            [] => false,
        };
        let whole = groups.concat();
        let valid =
            grouped && digits(&whole) && digits(fraction) && !(whole.is_empty() && fraction.is_empty());
        valid.then(|| format!("{whole}.{fraction}{exponent}"))
    }
}

/// 10⁰ to 10²², which an f64 has exactly.
const POWERS: [f64; 23] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18,
    1e19, 1e20, 1e21, 1e22,
];

/// The number that a text begins with and its length, if it has only digits, a point, and a minus sign before them: −12.5 of `-12.5,7`.
/// It is the one that `parse` finds.
pub(super) fn leading(text: &[u8]) -> Option<(f64, usize)> {
    let negative = text.first() == Some(&b'-');
    let from = usize::from(negative);
    let (x, length) = long(&text[from..])?;
    Some((if negative { -x } else { x }, from + length))
}

const ONES: u64 = u64::from_le_bytes([1; 8]);

/// 10 to the number of the bytes behind each of eight bytes, and 1 for none of them.
const DECIMALS: [f64; 9] = [1e7, 1e6, 1e5, 1e4, 1e3, 1e2, 1e1, 1e0, 1e0];

/// The number that some bytes of a text are, as [`leading`] finds it, if they are at most eight, without a sign, and as many stand before
/// their end. All of them are read together.
#[inline(always)]
pub(super) fn short(text: &[u8], from: usize, end: usize) -> Option<f64> {
    let negative = text.get(from) == Some(&b'-');
    let length = end.wrapping_sub(from + usize::from(negative));
    let word = text.get(end.wrapping_sub(8)..end)?.try_into().expect("these are eight bytes");
    if !(1..=8).contains(&length) {
        return None;
    }
    // A digit is at most 9 without the bits of '0'; what stands before the number becomes zeros.
    let value = (u64::from_le_bytes(word) ^ (ONES * u64::from(b'0'))) & (u64::MAX << (64 - 8 * length));
    // Of each byte the first bit, if it is no digit.
    let others = (((value & (ONES * 0x7f)) + ONES * (0x80 - 10)) | value) & (ONES * 0x80);
    let point = others >> 7;
    let is_point = value & (point * 0xff) == point * u64::from(b'.' ^ b'0');
    if others & others.wrapping_sub(1) != 0 || !is_point || length == usize::from(point != 0) {
        return None;
    }
    // The digits before the point move to those behind it: all of them, by nothing, if there is none.
    let (before, behind) = (point.wrapping_sub(1), !(point << 8).wrapping_sub(1));
    let value = ((value & before) << (8 * u32::from(point != 0))) | (value & behind);
    // Pairs, fours and all of them as a number.
    let value = (value * 10) + (value >> 8);
    let value = (value & 0x0000_00ff_0000_00ff)
        .wrapping_mul(100 + (1_000_000 << 32))
        .wrapping_add(((value >> 16) & 0x0000_00ff_0000_00ff).wrapping_mul(1 + (10_000 << 32)))
        >> 32;
    // An i64 becomes an f64 in one instruction. Both are exact, so that their quotient is the nearest number.
    let x = value as i64 as f64 / DECIMALS[others.trailing_zeros() as usize / 8];
    // Whether a number is negative cannot be foreseen: no branch.
    Some(f64::from_bits(x.to_bits() | u64::from(negative) << 63))
}

/// [`leading`] of any length without a sign.
fn long(text: &[u8]) -> Option<(f64, usize)> {
    let (mut value, mut point, mut end) = (0_u64, None, 0);
    for &byte in text {
        match byte {
            b'0'..=b'9' => value = value.saturating_mul(10).saturating_add(u64::from(byte - b'0')),
            b'.' if point.is_none() => point = Some(end),
            _ => break,
        }
        end += 1;
    }
    let decimals = point.map_or(0, |point| end - point - 1);
    if end == usize::from(point.is_some()) {
        return None;
    }
    // Both exact, so that their quotient is the nearest number.
    let exact = POWERS.get(decimals).filter(|_| value <= 1 << f64::MANTISSA_DIGITS);
    let x = match exact {
        Some(power) => value as f64 / power,
        None => std::str::from_utf8(&text[..end]).ok()?.parse().ok()?,
    };
    Some((x, end))
}

/// Whether the number in a text has a percent sign.
pub(super) fn is_percent(text: &str) -> bool {
    // The last character but for the end of a negative in parentheses.
    text.trim_end_matches([')', ' ']).ends_with('%')
}

/// The currency of the number in a text.
pub(super) fn currency(text: &str) -> Option<&'static str> {
    let digit = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_digit);
    let bytes = text.as_bytes();
    if digit(bytes.first()) && digit(bytes.last()) {
        return None;
    }
    let text = text.trim_matches(|c: char| c.is_whitespace() || "()-−+%".contains(c));
    CURRENCIES.into_iter().find(|sign| text.starts_with(sign) || text.ends_with(sign))
}

fn signed(text: &str) -> (Option<char>, &str) {
    match text.chars().next() {
        Some(sign @ ('-' | '−' | '+')) => {
            (Some(if sign == '+' { '+' } else { '-' }), text[sign.len_utf8()..].trim_start())
        }
        _ => (None, text),
    }
}

fn same(mark: char, c: char) -> bool {
    match mark {
        ' ' => matches!(c, ' ' | '\u{a0}' | '\u{202f}'),
        '\'' => matches!(c, '\'' | '’'),
        _ => mark == c,
    }
}

#[cfg(test)]
mod tests {
    use super::{NumberFormat, leading, short};

    #[test]
    fn numbers_at_the_beginning_of_a_text() {
        let mut texts: Vec<String> = [
            "", "-", ".", "-.", "-.5", "5.", "0", "-0", "-0.0", "1.2.3", "..", "--1", "+1", "/1", ":1", "1:",
            "é", "1é",
        ]
        .map(String::from)
        .into();
        let mut state = 1_u64;
        for length in (0..45).cycle().take(20_000) {
            let mut text = String::new();
            for _ in 0..length {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                text.push(char::from(
                    b"0123456789000999.-,e"[(state >> 40) as usize % if length % 3 == 0 { 20 } else { 16 }],
                ));
            }
            let point = (state >> 33) as usize % (length + 1);
            texts.extend([format!("{}.{}", &text[..point], &text[point..]), text]);
        }
        texts.extend(
            [
                "9007199254740992",
                "9007199254740993",
                "900719925474099.3",
                "0.00000000000000000000001",
                "18446744073709551616",
            ]
            .map(String::from),
        );
        for text in texts {
            let digits = text.strip_prefix('-').unwrap_or(&text);
            let whole = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
            let rest = digits[whole..]
                .strip_prefix('.')
                .map(|rest| rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len()));
            let length = text.len() - digits.len() + whole + rest.map_or(0, |decimals| 1 + decimals);
            let expected = text[..length].parse::<f64>().ok().map(|x| (x.to_bits(), length));
            for after in ["", ",1.5,2.5,3.5"] {
                let after = if length == text.len() { after } else { "" };
                let found =
                    leading((text.clone() + after).as_bytes()).map(|(x, length)| (x.to_bits(), length));
                assert_eq!(found, expected, "{text}{after}");
            }
            // The same in another text, whatever stands before it.
            for before in ["", "1.5,-2.5,", "........", "99999999\n"] {
                let (from, all) = (before.len(), before.to_string() + &text);
                let digits = text.strip_prefix('-').unwrap_or(&text).len();
                let whole = expected.filter(|(_, length)| *length == text.len()).map(|(bits, _)| bits);
                let expected = whole.filter(|_| (1..=8).contains(&digits) && all.len() >= 8);
                let found =
                    |after: &str| short((all.clone() + after).as_bytes(), from, all.len()).map(f64::to_bits);
                assert_eq!((found(""), found(",7")), (expected, expected), "{before:?} {text:?}");
            }
        }
    }

    #[test]
    fn numbers_as_they_are_written() {
        let parse = |decimal, thousands, text| NumberFormat { decimal, thousands }.parse(text);
        for (decimal, thousands, text, number) in [
            ('.', None, "-1.5e-3", Some(-1.5e-3)),
            ('.', None, "+.5", Some(0.5)),
            ('.', None, "$5", Some(5.0)),
            ('.', None, "-$5.25", Some(-5.25)),
            ('.', None, "$ -5", Some(-5.0)),
            ('.', None, "EUR 7", Some(7.0)),
            ('.', None, "12.5 %", Some(0.125)),
            ('.', None, "−3", Some(-3.0)),
            ('.', None, "(12.50)", Some(-12.5)),
            ('.', None, "( $3 )", Some(-3.0)),
            ('.', None, "(12 %)", Some(-0.12)),
            (',', Some('.'), "(1.234,50 €)", Some(-1234.5)),
            ('.', None, "(-5)", None),
            ('.', None, "((5))", None),
            ('.', None, "(5", None),
            ('.', None, "()", None),
            ('.', None, "(nan)", None),
            ('.', None, "1,5", None),
            ('.', None, "--5", None),
            ('.', None, "-$-5", None),
            ('.', None, "$", None),
            ('.', None, ".", None),
            ('.', None, "", None),
            ('.', None, "1 2", None),
            ('.', Some(','), "1,234.5", Some(1234.5)),
            ('.', Some(','), "12,34,567", Some(1_234_567.0)),
            ('.', Some(','), "1,5", None),
            ('.', Some(','), "0,123", None),
            ('.', Some(','), "1234,567", None),
            (',', None, "1,5", Some(1.5)),
            (',', None, "1.5", None),
            (',', Some('.'), "1.234,50 €", Some(1234.5)),
            (',', Some('.'), "1.5", None),
            (',', Some(' '), "1\u{202f}234\u{a0}567,8", Some(1_234_567.8)),
            ('.', Some('\''), "CHF 1’234.50", Some(1234.5)),
        ] {
            assert_eq!(parse(decimal, thousands, text), number, "{text:?} {decimal:?} {thousands:?}");
        }
    }
}
