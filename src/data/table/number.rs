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
    use super::NumberFormat;

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
