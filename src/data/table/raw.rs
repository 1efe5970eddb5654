//! [`Table`]: the values of a table as text.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use csv::{ReaderBuilder, StringRecord};

use super::form::{self, Form};
use super::stream;
use super::text::{self, Contents};
use super::{Format, TableError, TableHint, TableOptions, composed, counted};
use crate::error::{Error, Result};
use crate::file::file_error;

/// A row as text.
#[derive(Clone, Debug)]
pub(super) struct Row {
    /// From 1.
    pub(super) line: usize,
    pub(super) cells: StringRecord,
    /// Why the row cannot be used.
    pub(super) problem: Option<String>,
}

/// What a column is that the file itself says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(not(feature = "parquet"), expect(dead_code))]
pub(super) enum Role {
    /// Its values say it.
    Values,
    /// Categories, also if they are numbers.
    Words,
    /// The names of the rows.
    Index,
}

/// What files other than text say of their tables.
#[derive(Clone, Debug, Default)]
pub(super) struct Metadata {
    /// Of each column, or empty.
    pub(super) roles: Vec<Role>,
    /// The columns that are neither numbers nor words, which are left out, and what they are.
    pub(super) unread: Vec<(String, String)>,
    /// The files of the table with the first row of each, from 0; or empty.
    pub(super) parts: Vec<(usize, PathBuf)>,
}

/// A table as text: the names of its columns and its rows.
///
/// ```
/// # use tealight::data::{Table, TableOptions};
/// # let path = std::env::temp_dir().join("tealight-doc-raw.csv");
/// std::fs::write(&path, "size;price\n1,5;2\n2,5;3\n")?;
/// let table = Table::read(&path, &TableOptions::auto())?;
/// assert_eq!((table.len(), table.names()), (2, &["size".to_string(), "price".into()][..]));
/// assert_eq!(table.row(1)?, ["2,5", "3"]);
/// # std::fs::remove_file(path).ok();
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Table {
    pub(super) path: PathBuf,
    pub(super) names: Vec<String>,
    /// The index of each column by its name: there may be many columns.
    columns: HashMap<String, usize>,
    pub(super) rows: Vec<Row>,
    pub(super) form: Form,
    pub(super) metadata: Metadata,
}

impl Table {
    /// Reads the table in a file. A row that is too long or too short is an error only when it is used.
    ///
    /// # Errors
    /// Errors if the file cannot be read, is not text, or has no rows below its header or two columns of one name.
    pub fn read(path: impl AsRef<Path>, options: &TableOptions) -> Result<Self> {
        let (path, format) = (path.as_ref(), &options.format);
        let Some(count) = options.nrows else { return Table::open(path, format, None) };
        if text::is_text(path) {
            return stream::head(path, format, count);
        }
        let contents = text::read(path, format, None, count)?;
        let mut table = Table::from_contents(path, contents, format, None)?;
        table.rows.truncate(count);
        Ok(table)
    }

    /// Reads a table whose columns were found in another one of this form.
    pub(super) fn open(path: &Path, format: &Format, known: Option<(&Form, &[&str])>) -> Result<Self> {
        let sheet = known.and_then(|(form, _)| form.sheet.as_deref());
        Table::from_contents(path, text::read(path, format, sheet, usize::MAX)?, format, known)
    }

    /// The table in a file that was read.
    pub(super) fn from_contents(
        path: &Path,
        contents: Contents,
        format: &Format,
        known: Option<(&Form, &[&str])>,
    ) -> Result<Self> {
        let (mut form, whole, mut rows, metadata) = match contents {
            Contents::Text { text, encoding } => {
                let (form, whole) = form::of_text(&text, encoding, format, known);
                let rows = records(&text, form::start(&text), form.delimiter);
                (form, whole, rows.map_err(|message| file_error(path, message))?, Metadata::default())
            }
            #[cfg(feature = "xlsx")]
            Contents::Sheet { name, rows } => {
                let row = |(line, cells)| Row { line, cells: StringRecord::from(cells), problem: None };
                (Form::of_sheet(name), false, rows.into_iter().map(row).collect(), Metadata::default())
            }
            #[cfg(feature = "parquet")]
            Contents::Parquet(cells) => {
                let header = Row { line: 0, cells: StringRecord::from(cells.names), problem: None };
                (Form::of_parquet(), true, [header].into_iter().chain(cells.rows).collect(), cells.metadata)
            }
        };
        compose(&mut rows);
        let Some(first) = rows.first() else {
            return Err(file_error(path, "expected a table, got an empty file"));
        };
        if let Some(problem) = &first.problem {
            return Err(file_error(path, format!("line {}: {problem}", first.line)));
        }
        if !whole {
            form.find(&rows, format, known.map(|(known, _)| known.header));
        }
        let mut names: Vec<String> = match form.header {
            true => rows.remove(0).cells.iter().map(String::from).collect(),
            false => (0..rows[0].cells.len()).map(|column| column.to_string()).collect(),
        };
        trim_ends(&mut names, &rows, format.auto && form.header);
        trim_rows(&names, &mut rows);
        let mut columns = HashMap::with_capacity(names.len());
        for (column, name) in names.iter_mut().enumerate() {
            if name.is_empty() {
                *name = format!("Unnamed: {column}");
            }
            if columns.insert(name.clone(), column).is_some() {
                let message =
                    format!("expected one column of each name, got two {name:?}: rename one of them");
                return Err(file_error(path, message));
            }
        }
        if rows.is_empty() {
            return Err(file_error(path, "expected rows below the header, got none"));
        }
        Ok(Table { path: path.into(), names, columns, rows, form, metadata })
    }

    /// The same columns with other rows.
    pub(super) fn with_rows(&self, rows: Vec<Row>) -> Self {
        Table { rows, ..self.clone() }
    }

    /// The rows in a later part of this table's text, which begins in this line.
    pub(super) fn rows_of(&self, text: &str, line: usize) -> Result<Vec<Row>> {
        let rows = records(text, 0, self.form.delimiter);
        let mut rows = rows.map_err(|message| file_error(&self.path, message))?;
        compose(&mut rows);
        trim_rows(&self.names, &mut rows);
        rows.iter_mut().for_each(|row| row.line += line - 1);
        Ok(rows)
    }

    /// The number of [`rows_of`](Table::rows_of).
    pub(super) fn count_of(&self, text: &str) -> Result<usize> {
        count(text, self.form.delimiter).map_err(|message| file_error(&self.path, message))
    }

    /// The number of rows.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The names of the columns. One without a name is called `Unnamed: 0`, with its number from 0.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// The values of a row, from 0; fewer or more than the columns if the row is damaged.
    pub fn row(&self, row: usize) -> Result<Vec<&str>> {
        let found = self.rows.get(row).map(|row| row.cells.iter().collect());
        found.ok_or_else(|| Error::argument("row", format!("a row below {}", self.len()), row))
    }

    /// The error of a row, with its file and its line there.
    fn row_error(&self, line: usize, message: String) -> Error {
        match self.metadata.parts.iter().rfind(|(first, _)| *first < line) {
            None => file_error(&self.path, format!("line {line}{message}")),
            Some((first, path)) => file_error(path, format!("row {}{message}", line - first)),
        }
    }

    pub(super) fn value_error(&self, line: usize, column: usize, message: String) -> Error {
        self.row_error(line, format!(", column {:?}: {message}", self.names[column]))
    }

    pub(super) fn column_error(&self, column: usize, message: String) -> Error {
        file_error(&self.path, format!("column {:?}: {message}", self.names[column]))
    }

    /// The error of a row that cannot be used.
    pub(super) fn check_row(&self, row: &Row) -> Result<()> {
        match &row.problem {
            None => Ok(()),
            Some(problem) => Err(self.row_error(row.line, format!(": {problem}"))),
        }
    }

    /// An error with the option that avoids it, for the message and as its source.
    pub(super) fn hinted(error: Error, hint: TableHint) -> Error {
        let Error::File { path, message, .. } = error else { return error };
        let cause = TableError { message: message.clone(), hint };
        Error::file(path, format!("{message} ({hint})")).with_source(cause)
    }

    /// The index of a column.
    pub(super) fn find(&self, name: &str) -> Result<usize> {
        self.columns.get(name).copied().ok_or_else(|| {
            let expected = format!("expected a column {name:?}, got {}", self.names.join(", "));
            let error = file_error(&self.path, expected);
            if self.names.len() > 1 { error } else { Table::hinted(error, TableHint::Delimiter) }
        })
    }
}

/// Removes a last column without a name and values, which trailing delimiters made. With
/// `index`, a header that is one name short is that of R, whose first column has the names of the rows.
fn trim_ends(names: &mut Vec<String>, rows: &[Row], index: bool) {
    let usual = |rows: &[Row], length: usize| {
        rows.iter().filter(|row| row.cells.len() == length).count() * 2 > rows.len()
    };
    let n = names.len();
    if n > 1 && names[n - 1].is_empty() && rows.iter().all(|row| empty_end(row, n)) {
        names.pop();
    } else if index && usual(rows, n + 1) && !rows.iter().all(|row| empty_end(row, n + 1)) {
        names.insert(0, String::new());
    }
}

/// Whether a row has no value in the last of `length` columns.
fn empty_end(row: &Row, length: usize) -> bool {
    row.cells.len() < length || row.cells.get(length - 1) == Some("")
}

/// Takes one empty value too many off the rows; those of another length have a problem.
fn trim_rows(names: &[String], rows: &mut [Row]) {
    let n = names.len();
    for row in rows {
        if row.cells.len() == n + 1 && empty_end(row, n + 1) {
            row.cells.truncate(n);
        }
        if row.problem.is_none() && row.cells.len() != n {
            row.problem = Some(format!("expected {}, got {}", counted(n, "value"), row.cells.len()));
        }
    }
}

/// The cells, not the whole text: composed, a Greek question mark is a semicolon.
fn compose(rows: &mut [Row]) {
    for row in rows.iter_mut().filter(|row| !row.cells.as_slice().is_ascii()) {
        row.cells = row.cells.iter().map(composed).collect();
    }
}

/// A text in which several spaces outside of quotes are one, and none are at the ends of a line: columns may be aligned by spaces.
fn one_space(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let (mut quoted, mut last) = (false, '\n');
    for c in text.chars() {
        let starts = matches!(last, ' ' | '\n');
        if c == '"' && (quoted || starts) {
            quoted = !quoted;
        }
        if !quoted && c == ' ' && starts {
            continue;
        }
        if !quoted && matches!(c, '\r' | '\n') && last == ' ' {
            out.pop();
        }
        out.push(c);
        last = c;
    }
    out
}

/// The records from a place in the text on. A quote without an end is the problem of its line. Values between spaces may have
/// several of them between them.
pub(super) fn records(text: &str, mut from: usize, delimiter: u8) -> Result<Vec<Row>, String> {
    let packed;
    let text = if delimiter == b' ' {
        packed = text[..from].to_string() + &one_space(&text[from..]);
        &packed
    } else {
        text
    };
    let mut rows: Vec<Row> = Vec::new();
    let mut line = newlines(&text.as_bytes()[..from]) + 1;
    loop {
        let bytes = &text.as_bytes()[from..];
        let mut reader =
            ReaderBuilder::new().has_headers(false).flexible(true).delimiter(delimiter).from_reader(bytes);
        let (mut start, first) = (0, rows.len());
        for record in reader.records() {
            let mut cells = record.map_err(|error| format!("line {line}: {error}"))?;
            // What has only printed ASCII has no ends to trim, which would copy each record.
            if cells.as_slice().bytes().any(|byte| byte <= b' ' || !byte.is_ascii()) {
                cells.trim();
            }
            // The crate's own line numbers leave out blank lines.
            let at = cells.position().expect("a record that was read has a position").byte() as usize;
            let at = at + bytes[at..].iter().take_while(|byte| b"\r\n".contains(byte)).count();
            line += newlines(&bytes[start..at]);
            start = at;
            rows.push(Row { line, cells, problem: None });
        }
        // The value took the rest of the file.
        let open = |row: &&mut Row| row.cells.iter().next_back().is_some_and(|value| value.contains('\n'));
        match rows[first..].last_mut().filter(open) {
            Some(last) if !bytes.trim_ascii_end().ends_with(b"\"") => {
                last.problem = Some("expected the end of a value in quotes, got the end of the file".into());
                from += start + bytes[start..].iter().take_while(|byte| **byte != b'\n').count() + 1;
                line += 1;
            }
            _ => return Ok(rows),
        }
    }
}

/// Whether a delimiter and the end of a line are that wherever they stand.
pub(super) fn is_plain(text: &str, delimiter: u8) -> bool {
    delimiter != b' ' && !ends(delimiter) && count_bytes(text.as_bytes(), |byte| byte == b'"') == 0
}

/// Whether a byte ends a line.
pub(super) fn ends(byte: u8) -> bool {
    matches!(byte, b'\r' | b'\n')
}

/// The number of [`records`] in a text that begins with one.
pub(super) fn count(text: &str, delimiter: u8) -> Result<usize, String> {
    if !is_plain(text, delimiter) {
        return Ok(records(text, 0, delimiter)?.len());
    }
    let bytes = text.as_bytes();
    let first = bytes.first().is_some_and(|&byte| !ends(byte));
    let begins =
        bytes.chunks(LANE).zip(bytes.get(1..).unwrap_or_default().chunks(LANE)).map(|(before, after)| {
            before.iter().zip(after).map(|(&before, &byte)| u8::from(ends(before) & !ends(byte))).sum::<u8>()
        });
    Ok(usize::from(first) + begins.map(usize::from).sum::<usize>())
}

/// As many bytes as are counted in one byte, so that vectors hold many counts.
const LANE: usize = 255;

fn count_bytes(bytes: &[u8], is: impl Fn(u8) -> bool) -> usize {
    let count = |some: &[u8]| usize::from(some.iter().map(|&byte| u8::from(is(byte))).sum::<u8>());
    bytes.chunks(LANE).map(count).sum()
}

pub(super) fn newlines(bytes: &[u8]) -> usize {
    count_bytes(bytes, |byte| byte == b'\n')
}
