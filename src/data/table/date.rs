//! Dates and times of day as numbers.

use serde::{Deserialize, Serialize};

/// The order of the parts of a date.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum DateOrder {
    Year,
    Day,
    Month,
    /// The month by its name.
    Named,
    /// A time of day alone.
    Time,
}

const DAY: f64 = 86_400.0;

/// The seconds since the beginning of 1970 (UTC) of a date, with a time or without; or since midnight.
///
/// Dates: `2024-03-01`, `2024/3/1`, `1.3.2024`, `3/1/2024`, `3/1/24`, `1 Mar 2024`, `March 1st, 2024`, `1-Mar-24`. Times: `14:05`, `14:05:30.5`, `2:05 PM`, after a date also
/// with an offset (`Z`, `+01:00`).
pub(super) fn parse(text: &str, order: DateOrder) -> Option<f64> {
    if order == DateOrder::Time {
        return time(text);
    }
    let (days, rest) = if order == DateOrder::Named {
        let (days, rest) = named(text)?;
        (days, (!rest.is_empty()).then(|| rest.trim_start_matches([' ', ',', 'T'])))
    } else {
        let (date, rest) = text.split_at(text.find(['T', ' ']).unwrap_or(text.len()));
        (day(date, order)?, rest.get(1..))
    };
    let seconds = rest.map_or(Some(0.0), |rest| zoned(rest.trim()))?;
    Some(days * DAY + seconds)
}

/// Whether a text has a time beside its date.
pub(super) fn has_time(text: &str) -> bool {
    text.contains(':')
}

/// What a model gets of a moment: days since 1970, the month from 1, the day of the week from 0 for Monday, the hour; or the hours
/// since midnight.
pub(super) fn features(seconds: f64, order: DateOrder, timed: bool) -> Vec<f64> {
    if order == DateOrder::Time {
        return vec![seconds / 3600.0];
    }
    let days = (seconds / DAY).floor();
    let mut all = vec![seconds / DAY, month(days), (days + 3.0).rem_euclid(7.0)];
    if timed {
        all.push((seconds - days * DAY) / 3600.0);
    }
    all
}

/// The names of the [`features`].
pub(super) fn names(name: &str, order: DateOrder, timed: bool) -> Vec<String> {
    let parts: &[&str] = match (order, timed) {
        (DateOrder::Time, _) => &[""],
        (_, false) => &["", ".month", ".weekday"],
        (_, true) => &["", ".month", ".weekday", ".hour"],
    };
    parts.iter().map(|part| format!("{name}{part}")).collect()
}

/// Days since 1970.
fn day(text: &str, order: DateOrder) -> Option<f64> {
    let mark = text.chars().find(|c| "-/.".contains(*c))?;
    let parts: Vec<&str> = text.split(mark).collect();
    let [first, second, third] = parts[..] else { return None };
    let (year, month, day) = match order {
        DateOrder::Year => (first, second, third),
        DateOrder::Day => (third, second, first),
        _ => (third, first, second),
    };
    // A version, 1.2.10, is not a date.
    let short = order != DateOrder::Year && (mark == '/' || (month.len() == 2 && day.len() == 2));
    checked(self::year(year, short)?, number(month, &[1, 2])?, number(day, &[1, 2])?)
}

/// Days since 1970, and the text after the date.
fn named(text: &str) -> Option<(f64, &str)> {
    const MONTHS: [&str; 12] = [
        "january",
        "february",
        "march",
        "april",
        "may",
        "june",
        "july",
        "august",
        "september",
        "october",
        "november",
        "december",
    ];
    let (mut words, mut rest) = ([""; 3], text);
    for (i, word) in words.iter_mut().enumerate() {
        rest = rest.trim_start_matches([' ', ',', '-', '/', '.']);
        let ends = |c| " ,-/.".contains(c) || (i == 2 && c == 'T');
        (*word, rest) = rest.split_at(rest.find(ends).unwrap_or(rest.len()));
    }
    let (day, month, year) = match words {
        [year, month, day] if year.len() == 4 && number(year, &[4]).is_some() => (day, month, year),
        [day, month, year] if day.starts_with(|c: char| c.is_ascii_digit()) => (day, month, year),
        [month, day, year] => (day, month, year),
    };
    let day = ["st", "nd", "rd", "th"].iter().find_map(|end| day.strip_suffix(end)).unwrap_or(day);
    let month = month.to_lowercase();
    let place = MONTHS.iter().position(|name| month.len() >= 3 && name.starts_with(&month))?;
    Some((checked(self::year(year, true)?, place as i64 + 1, number(day, &[1, 2])?)?, rest))
}

fn number(text: &str, widths: &[usize]) -> Option<i64> {
    let digits = widths.contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten()
}

/// A year of four digits or, if it may be short, of two.
fn year(text: &str, short: bool) -> Option<i64> {
    Some(match number(text, if short { &[2, 4] } else { &[4] })? {
        short @ 0..69 if text.len() == 2 => 2000 + short,
        short if text.len() == 2 => 1900 + short,
        year => year,
    })
}

/// Days since 1970 of a date that exists.
fn checked(year: i64, month: i64, day: i64) -> Option<f64> {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let length = match month {
        2 => 28 + i64::from(leap),
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => return None,
    };
    (1..=length).contains(&day).then(|| since_1970(year, month, day) as f64)
}

/// Days since 1970 in the Gregorian calendar: H. Hinnant, "chrono-compatible low-level date algorithms".
fn since_1970(year: i64, month: i64, day: i64) -> i64 {
    let year = year - i64::from(month <= 2);
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

/// The month of a day: the inverse of [`since_1970`].
fn month(days: f64) -> f64 {
    let of_era = (days as i64 + 719_468).rem_euclid(146_097);
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    ((month + 2) % 12 + 1) as f64
}

fn zoned(text: &str) -> Option<f64> {
    if let Some(text) = text.strip_suffix(['Z', 'z']) {
        return time(text);
    }
    match text.rfind(['+', '-']) {
        None => time(text),
        Some(at) => {
            let (text, offset) = text.split_at(at);
            let (sign, offset) = offset.split_at(1);
            let offset = match (offset.len(), offset.contains(':')) {
                (2, false) => format!("{offset}:00"),
                (4, false) => format!("{}:{}", offset.get(..2)?, offset.get(2..)?),
                _ => offset.into(),
            };
            let offset = time(&offset)?;
            Some(time(text.trim_end())? - if sign == "-" { -offset } else { offset })
        }
    }
}

/// Seconds since midnight.
fn time(text: &str) -> Option<f64> {
    let upper = text.trim().to_ascii_uppercase();
    let (text, noon) = match (upper.strip_suffix("AM"), upper.strip_suffix("PM")) {
        (Some(text), _) => (text.trim_end(), Some(0)),
        (_, Some(text)) => (text.trim_end(), Some(12)),
        _ => (upper.as_str(), None),
    };
    let parts: Vec<&str> = text.split(':').collect();
    let ([hour, minute, ..], 2..=3) = (&parts[..], parts.len()) else { return None };
    let number = |text: &str, below: u32| {
        let digits = (1..=2).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
        digits.then(|| text.parse::<u32>().ok()).flatten().filter(|&number| number < below)
    };
    let hour = match (number(hour, 24)?, noon) {
        (hour, None) => hour,
        (hour @ 1..=12, Some(noon)) => hour % 12 + noon,
        _ => return None,
    };
    let second = match parts.get(2) {
        None => 0.0,
        Some(second) => {
            let (whole, fraction) = second.split_once('.').unwrap_or((second, "0"));
            let digits = fraction.bytes().all(|byte| byte.is_ascii_digit());
            number(whole, 60)?;
            digits.then(|| second.parse::<f64>().ok()).flatten()?
        }
    };
    Some(f64::from(hour * 3600 + number(minute, 60)? * 60) + second)
}

#[cfg(test)]
mod tests {
    use super::*;

    // Seconds from pandas 3.1.1: pd.Timestamp(text).timestamp(); months, weekdays and hours from .month, .dayofweek and .hour.
    #[test]
    fn moments_as_pandas_has_them() {
        use DateOrder::{Day, Month, Named, Time, Year};
        for (text, order, seconds) in [
            ("1970-01-01", Year, 0.0),
            ("2024-02-29", Year, 1_709_164_800.0),
            ("1900-03-01", Year, -2_203_891_200.0),
            ("2024-02-29T14:05:30.5", Year, 1_709_215_530.5),
            ("2024-02-29 14:05:30+01:00", Year, 1_709_211_930.0),
            ("2024-02-29T14:05Z", Year, 1_709_215_500.0),
            ("2024/12/31", Year, 1_735_603_200.0),
            ("31.12.2024", Day, 1_735_603_200.0),
            ("12/31/2024 11:59 PM", Month, 1_735_689_540.0),
            ("12/31/24", Month, 1_735_603_200.0),
            ("3 Mar 2024", Named, 1_709_424_000.0),
            ("Mar 3, 2024", Named, 1_709_424_000.0),
            ("March 3rd, 2024 2:05 PM", Named, 1_709_474_700.0),
            ("03-MAR-24", Named, 1_709_424_000.0),
            ("AUGUST 31 1999", Named, 936_057_600.0),
            ("2024-Mar-03T14:05Z", Named, 1_709_474_700.0),
            ("12:30", Time, 45_000.0),
            ("12:05 am", Time, 300.0),
        ] {
            assert_eq!(parse(text, order), Some(seconds), "{text}");
        }
        assert_eq!(features(1_709_215_530.5, Year, true)[1..3], [2.0, 3.0]);
        assert_eq!(features(-2_203_891_200.0, Year, false), [-25_508.0, 3.0, 3.0]);
        assert_eq!(features(54_000.0, Year, true), [0.625, 1.0, 3.0, 15.0]);
        for text in [
            "2023-02-29",
            "2024-13-01",
            "2024-1",
            "1.2.10",
            "24:00",
            "2024-01-01T",
            "2024-01-01 noon",
            "x-y-z",
            "30 Feb 2024",
            "3 Ma 2024",
            "3 Marble 2024",
            "Mar 2024",
            "3 Mar 2024 noon",
            "3 2024 Mar",
        ] {
            assert!(
                [Year, Day, Month, Named, Time].iter().all(|&order| parse(text, order).is_none()),
                "{text}"
            );
        }
    }
}
