//! The text of a table.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use csv::{ReaderBuilder, StringRecord, Trim};

use super::CsvOptions;
use crate::error::{Error, Result};
use crate::file::{file_error, read_at_most};

/// A table as text.
pub(super) struct Rows {
    pub(super) path: PathBuf,
    pub(super) names: Vec<String>,
    /// Where each name is: there may be many.
    places: HashMap<String, usize>,
    /// Each row with its line in the file, from 1.
    pub(super) rows: Vec<(usize, StringRecord)>,
}

impl Rows {
    /// The error of one value.
    pub(super) fn wrong(&self, line: usize, column: usize, message: String) -> Error {
        file_error(&self.path, format!("line {line}, column {:?}: {message}", self.names[column]))
    }

    /// The error of one column.
    pub(super) fn wrong_column(&self, column: usize, message: String) -> Error {
        file_error(&self.path, format!("column {:?}: {message}", self.names[column]))
    }

    /// Where the column of this name is.
    pub(super) fn find(&self, name: &str) -> Result<usize> {
        self.places.get(name).copied().ok_or_else(|| {
            file_error(&self.path, format!("expected a column {name:?}, got {}", self.names.join(", ")))
        })
    }
}

/// All rows of a file, each of the same length.
pub(super) fn read(path: &Path, options: &CsvOptions) -> Result<Rows> {
    let bytes = read_at_most(path, u64::MAX)?;
    let at_line = |line: usize, message: String| file_error(path, format!("line {line}: {message}"));
    let text = std::str::from_utf8(&bytes).map_err(|error| {
        let line = lines(&bytes[..error.valid_up_to()]) + 1;
        at_line(line, "expected text in UTF-8, got other bytes".into())
    })?;
    let text = text.trim_start_matches('\u{feff}');
    let mut reader = ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .delimiter(options.delimiter)
        .trim(Trim::All)
        .from_reader(text.as_bytes());

    let mut rows: Vec<(usize, StringRecord)> = Vec::new();
    let (mut counted, mut line) = (0, 1);
    for record in reader.records() {
        let record = record.map_err(|error| at_line(line, error.to_string()))?;
        // The crate's own line numbers leave out blank lines.
        let from = record.position().map_or(counted, |position| position.byte() as usize);
        let start = from + text.as_bytes()[from..].iter().take_while(|byte| b"\r\n".contains(byte)).count();
        line += lines(&text.as_bytes()[counted..start]);
        counted = start;
        let length = rows.first().map_or(record.len(), |(_, first)| first.len());
        if record.len() != length {
            return Err(at_line(line, format!("expected {length} values, got {}", record.len())));
        }
        rows.push((line, record));
    }
    let Some((line, last)) = rows.last() else {
        return Err(file_error(path, "expected a table, got an empty file"));
    };
    if last.iter().next_back().is_some_and(|value| value.contains('\n')) && !text.trim_end().ends_with('"') {
        return Err(at_line(*line, "expected the end of a value in quotes, got the end of the file".into()));
    }

    let names: Vec<String> = match options.header {
        true => rows.remove(0).1.iter().map(String::from).collect(),
        false => (0..last.len()).map(|column| column.to_string()).collect(),
    };
    let mut places = HashMap::with_capacity(names.len());
    for (place, name) in names.iter().enumerate() {
        if places.insert(name.clone(), place).is_some() {
            return Err(file_error(path, format!("expected one column of each name, got two {name:?}")));
        }
    }
    if rows.is_empty() {
        return Err(file_error(path, "expected rows below the header, got none"));
    }
    Ok(Rows { path: path.into(), names, places, rows })
}

fn lines(bytes: &[u8]) -> usize {
    bytes.iter().filter(|&&byte| byte == b'\n').count()
}
