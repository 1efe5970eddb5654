//! The values of a table as text.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use csv::{ReaderBuilder, StringRecord, Trim};

use super::{CsvError, CsvHint, Format};
use crate::error::{Error, Result};
use crate::file::{file_error, read_at_most};

/// A table as text.
pub(super) struct RawTable {
    pub(super) path: PathBuf,
    pub(super) names: Vec<String>,
    /// The index of each column by its name: there may be many columns.
    columns: HashMap<String, usize>,
    /// Each row with its line in the file, from 1.
    pub(super) rows: Vec<(usize, StringRecord)>,
}

impl RawTable {
    pub(super) fn value_error(&self, line: usize, column: usize, message: String) -> Error {
        file_error(&self.path, format!("line {line}, column {:?}: {message}", self.names[column]))
    }

    pub(super) fn column_error(&self, column: usize, message: String) -> Error {
        file_error(&self.path, format!("column {:?}: {message}", self.names[column]))
    }

    /// An error with the option that avoids it, for the message and as its source.
    pub(super) fn hinted(error: Error, hint: CsvHint) -> Error {
        let Error::File { path, message, .. } = error else { return error };
        let cause = CsvError { message: message.clone(), hint };
        Error::file(path, format!("{message} ({hint})")).with_source(cause)
    }

    /// The index of a column.
    pub(super) fn find(&self, name: &str) -> Result<usize> {
        self.columns.get(name).copied().ok_or_else(|| {
            file_error(&self.path, format!("expected a column {name:?}, got {}", self.names.join(", ")))
        })
    }
}

/// All rows of a file, each of the same length.
pub(super) fn read(path: &Path, format: &Format) -> Result<RawTable> {
    let bytes = read_at_most(path, u64::MAX)?;
    let at_line = |line: usize, message: String| file_error(path, format!("line {line}: {message}"));
    let text = std::str::from_utf8(&bytes).map_err(|error| {
        let line = newlines(&bytes[..error.valid_up_to()]) + 1;
        at_line(line, "expected text in UTF-8, got other bytes".into())
    })?;
    let text = text.trim_start_matches('\u{feff}');
    let mut reader = ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .delimiter(format.delimiter)
        .trim(Trim::All)
        .from_reader(text.as_bytes());

    let mut rows: Vec<(usize, StringRecord)> = Vec::new();
    let (mut counted, mut line) = (0, 1);
    for record in reader.records() {
        let record = record.map_err(|error| at_line(line, error.to_string()))?;
        // The crate's own line numbers leave out blank lines.
        let from = record.position().expect("a record that was read has a position").byte() as usize;
        let start = from + text.as_bytes()[from..].iter().take_while(|byte| b"\r\n".contains(byte)).count();
        line += newlines(&text.as_bytes()[counted..start]);
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

    let names: Vec<String> = match format.header {
        true => rows.remove(0).1.iter().map(String::from).collect(),
        false => (0..last.len()).map(|column| column.to_string()).collect(),
    };
    let mut columns = HashMap::with_capacity(names.len());
    for (column, name) in names.iter().enumerate() {
        if columns.insert(name.clone(), column).is_some() {
            return Err(file_error(path, format!("expected one column of each name, got two {name:?}")));
        }
    }
    if rows.is_empty() {
        return Err(file_error(path, "expected rows below the header, got none"));
    }
    Ok(RawTable { path: path.into(), names, columns, rows })
}

fn newlines(bytes: &[u8]) -> usize {
    bytes.iter().filter(|&&byte| byte == b'\n').count()
}
