//! [`Form`]: how a file writes its table.

use std::collections::HashSet;
use std::fmt;

use csv::StringRecord;
use serde::{Deserialize, Serialize};

use super::Format;
use super::date::{self, DateOrder};
use super::number::NumberFormat;
use super::raw::{Row, records};

/// How many rows are looked at.
const SAMPLE: usize = 1000;
/// The text that is looked at for the delimiter.
const PREFIX: usize = 1 << 16;

/// How a file writes its table.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Form {
    pub(super) header: bool,
    pub(super) delimiter: u8,
    pub(super) numbers: NumberFormat,
    pub(super) encoding: String,
    pub(super) sheet: Option<String>,
    #[serde(default)]
    pub(super) parquet: bool,
    /// A number such as 1,234 has another meaning where the comma is the other mark.
    ambiguous: bool,
}

/// The form of a text, and whether it is `known`: that of a table whose columns the header names.
pub(super) fn of_text(
    text: &str,
    encoding: &str,
    format: &Format,
    known: Option<(&Form, &[&str])>,
) -> (Form, bool) {
    if let Some((known, names)) = known {
        let from = start(text);
        let first =
            text[from..].split_inclusive('\n').find(|line| !line.trim().is_empty()).unwrap_or_default();
        let header = records(first, 0, known.delimiter).ok().and_then(|rows| rows.into_iter().next());
        let has = |name: &&str| header.as_ref().is_some_and(|row| row.cells.iter().any(|cell| cell == *name));
        if known.sheet.is_none() && !known.parquet && (!format.auto || !known.header || names.iter().all(has))
        {
            return (Form { encoding: encoding.into(), ..known.clone() }, true);
        }
    }
    let delimiter = match format.delimiter {
        Some(told) => told,
        None if format.auto => excel(text).unwrap_or_else(|| delimiter(text)),
        None => b',',
    };
    let form = Form { delimiter, encoding: encoding.into(), ..Form::of_sheet(String::new()) };
    (Form { sheet: None, ..form }, false)
}

/// Where the table begins: Excel takes a first line such as `sep=;` for the delimiter.
pub(super) fn start(text: &str) -> usize {
    excel(text).and_then(|_| text.find('\n')).map_or(0, |end| end + 1)
}

fn excel(text: &str) -> Option<u8> {
    let line = text.lines().next()?.trim_end_matches('\r').trim_matches('"');
    match line.strip_prefix("sep=").or(line.strip_prefix("SEP="))?.as_bytes() {
        [delimiter] if delimiter.is_ascii() => Some(*delimiter),
        _ => None,
    }
}

/// The delimiter that gives rows of one length, with the most numbers in them.
fn delimiter(text: &str) -> u8 {
    let mut end = text.len().min(PREFIX);
    if end < text.len() {
        end = text.as_bytes()[..end].iter().rposition(|byte| *byte == b'\n').map_or(end, |at| at + 1);
    }
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let score = |&delimiter: &u8| {
        let rows = records(&text[..end], 0, delimiter).ok()?;
        let (header, rows) = rows.split_first()?;
        let mut lengths: Vec<usize> = rows.iter().map(|row| row.cells.len()).collect();
        lengths.sort_unstable();
        let n = header.cells.len();
        let usual = lengths.get(lengths.len() / 2).copied().unwrap_or(n);
        let same = lengths.iter().filter(|length| **length == usual).count();
        let (fits, enough) = (n.abs_diff(usual) <= 1, same * 10 >= lengths.len() * 9);
        // Words have spaces, too.
        let sure = delimiter != b' ' || (same == lengths.len() && n == usual);
        let numbers = NumberFormat::candidates(delimiter).into_iter().map(|numbers| {
            let cells = rows.iter().flat_map(|row| row.cells.iter());
            let (mut all, mut parsed) = (1, 0);
            cells.for_each(|cell| {
                all += 1;
                parsed += usize::from(numbers.parse(cell).is_some());
            });
            parsed * 1000 / all
        });
        let numbers = numbers.max()?;
        (n.min(usual) > 1 && fits && enough && sure).then_some((delimiter != b' ', numbers, n))
    };
    // Of equals the last.
    [b' ', b'|', b'\t', b';', b',']
        .into_iter()
        .max_by_key(score)
        .filter(|best| score(best).is_some())
        .unwrap_or(b',')
}

impl Form {
    pub(super) fn of_sheet(name: String) -> Form {
        Form {
            header: true,
            delimiter: b',',
            numbers: NumberFormat::PLAIN,
            encoding: String::new(),
            sheet: Some(name),
            parquet: false,
            ambiguous: false,
        }
    }

    #[cfg(feature = "parquet")]
    pub(super) fn of_parquet() -> Form {
        Form { sheet: None, parquet: true, ..Form::of_sheet(String::new()) }
    }

    /// Finds how numbers are written, and whether there is a header.
    pub(super) fn find(&mut self, rows: &[Row], format: &Format, header: Option<bool>) {
        let step = rows.len().div_ceil(SAMPLE).max(1);
        let sample: Vec<&StringRecord> = rows.iter().skip(1).step_by(step).map(|row| &row.cells).collect();
        let decimal = format.decimal.or((!format.auto && format.thousands.is_none()).then_some('.'));
        let told = |numbers: &NumberFormat| {
            decimal.is_none_or(|decimal| decimal == numbers.decimal)
                && match format.thousands {
                    Some(mark) => numbers.thousands == Some(mark),
                    None => format.auto || numbers.thousands.is_none(),
                }
        };
        let count = |numbers: NumberFormat| {
            let all = sample.iter().flat_map(|row| row.iter());
            all.filter(|cell| numbers.parse(cell).is_some()).count()
        };
        let candidates: Vec<NumberFormat> =
            NumberFormat::candidates(self.delimiter).into_iter().filter(told).collect();
        let counts: Vec<usize> = candidates.iter().map(|&numbers| count(numbers)).collect();
        let best = (0..candidates.len()).rev().max_by_key(|&i| counts[i]);
        self.numbers = best.map_or_else(
            || NumberFormat { decimal: decimal.unwrap_or('.'), thousands: format.thousands },
            |best| candidates[best],
        );
        let ties = || {
            let best = counts.iter().max().filter(|&&most| most > counts[0]);
            candidates
                .iter()
                .zip(&counts)
                .filter(move |(_, count)| Some(*count) == best)
                .map(|(numbers, _)| numbers)
        };
        self.ambiguous = ties().any(|numbers| numbers.decimal == ',')
            && ties().any(|numbers| numbers.thousands == Some(','));
        self.header = format
            .header
            .or(header)
            .unwrap_or_else(|| !format.auto || self.has_header(rows, &sample, format));
    }

    /// Whether the first row has names: it is unlike what stands below.
    fn has_header(&self, rows: &[Row], sample: &[&StringRecord], format: &Format) -> bool {
        let is_value = |text: &str| {
            let orders =
                [DateOrder::Year, DateOrder::Day, DateOrder::Month, DateOrder::Named, DateOrder::Time];
            self.numbers.parse(text).is_some()
                || orders.iter().any(|&order| date::parse(text, order).is_some())
        };
        let (mut names, mut values, mut numbers) = (0, 0, Vec::new());
        for (column, first) in rows[0].cells.iter().enumerate() {
            let below =
                || sample.iter().filter_map(|row| row.get(column)).filter(|cell| !format.is_missing(cell));
            let (n, known) = (below().count(), below().filter(|cell| is_value(cell)).count());
            if format.is_missing(first) || n == 0 {
                continue;
            }
            let distinct = || below().collect::<HashSet<_>>();
            if known * 10 >= n * 9 {
                numbers.extend(self.numbers.parse(first));
                if is_value(first) { values += 1 } else { names += 1 }
            } else if distinct().contains(first) {
                values += 1;
            } else if distinct().len() * 2 < n {
                names += 1;
            }
        }
        // Years, or the numbers of the columns.
        let counted = numbers.len() > 1 && numbers.windows(2).all(|pair| pair[1] - pair[0] == 1.0);
        let values = if counted { values - numbers.len() } else { values };
        values <= names
    }
}

/// `; between columns, decimal comma`
impl fmt::Display for Form {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = |c: char| match c {
            ',' => "comma".to_string(),
            '.' => "point".into(),
            ' ' => "space".into(),
            '\'' => "apostrophe".into(),
            '\t' => "tab".into(),
            other => other.to_string(),
        };
        match &self.sheet {
            Some(sheet) => write!(f, "sheet {sheet:?}")?,
            None if self.parquet => write!(f, "Parquet")?,
            None if self.delimiter == b'\t' || self.delimiter == b' ' => {
                write!(f, "{} between columns", name(self.delimiter.into()))?;
            }
            None => write!(f, "{} between columns", char::from(self.delimiter))?,
        }
        if self.numbers.decimal != '.' {
            write!(f, ", decimal {}", name(self.numbers.decimal))?;
        }
        if let Some(mark) = self.numbers.thousands {
            write!(f, ", {} between thousands", name(mark))?;
        }
        if self.ambiguous {
            let other =
                if self.numbers.decimal == ',' { "stand between thousands" } else { "be the decimal mark" };
            write!(f, " (the comma might also {other}: the option decimal tells)")?;
        }
        if !self.header {
            write!(f, ", no header")?;
        }
        match self.encoding.as_str() {
            "" | "UTF-8" => Ok(()),
            encoding => write!(f, ", {encoding}"),
        }
    }
}
