//! Sheets of workbooks: .xlsx, .xls, .xlsb, .ods.

use std::io::Cursor;
use std::path::Path;

use calamine::{Data, Reader, open_workbook_auto_from_rs};

use super::text::Contents;
use crate::error::Result;
use crate::file::file_error;

/// The cells of a sheet: that of the name `told`, or else that of the name `usual` if there is one, or else the first.
pub(super) fn read(path: &Path, bytes: &[u8], told: Option<&str>, usual: Option<&str>) -> Result<Contents> {
    let refuse = |got: String| file_error(path, format!("expected text (CSV, TSV) or a workbook, got {got}"));
    let damaged =
        |error: calamine::Error| refuse(format!("a workbook or zip file that cannot be read: {error}"));
    let mut book = open_workbook_auto_from_rs(Cursor::new(bytes)).map_err(damaged)?;
    let names = book.sheet_names();
    let find = |sheet: Option<&str>| names.iter().find(|name| sheet == Some(name.as_str()));
    let found = find(told).or_else(|| find(usual).or(names.first()).filter(|_| told.is_none()));
    let Some(name) = found else {
        let expected = format!("expected one of the sheets {names:?}");
        return Err(file_error(path, format!("{expected}, got {:?}", told.unwrap_or_default())));
    };
    let range = book.worksheet_range(name).map_err(damaged)?;
    let first = range.start().map_or(0, |(row, _)| row as usize);
    let rows = range.rows().enumerate().map(|(i, cells)| (first + i + 1, cells.iter().map(cell).collect()));
    let rows = rows.filter(|(_, cells): &(usize, Vec<String>)| cells.iter().any(|cell| !cell.is_empty()));
    let rows: Vec<_> = rows.collect();
    if rows.is_empty() {
        let got = format!("got an empty one (the sheets are {names:?})");
        return Err(file_error(path, format!("expected a table in the sheet {name:?}, {got}")));
    }
    Ok(Contents::Sheet { name: name.clone(), rows })
}

fn cell(cell: &Data) -> String {
    match cell {
        Data::DateTime(moment) if moment.is_datetime() => {
            let (year, month, day, hour, minute, second, _) = moment.to_ymd_hms_milli();
            match (moment.as_f64() < 1.0, moment.as_f64().fract() == 0.0) {
                (true, _) => format!("{hour:02}:{minute:02}:{second:02}"),
                (_, true) => format!("{year:04}-{month:02}-{day:02}"),
                _ => format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}"),
            }
        }
        // A duration is a number of days.
        Data::DateTime(moment) => moment.as_f64().to_string(),
        Data::DateTimeIso(text) | Data::DurationIso(text) | Data::String(text) => text.trim().into(),
        // Of a formula, such as #N/A.
        Data::Error(_) => String::new(),
        other => other.to_string(),
    }
}
