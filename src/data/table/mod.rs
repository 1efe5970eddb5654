//! Tables: files of comma-separated values, as inputs and targets.

mod raw;
mod schema;
#[cfg(test)]
mod tests;
mod text;

use std::path::Path;

pub use schema::CsvSchema;

use super::Labelled;
use crate::error::Result;

/// What is done where a value is missing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Missing {
    /// It is an error, which names the line and the column.
    #[default]
    Error,
    /// The row is left out.
    Drop,
    /// In its place stands the mean of the column, or its most frequent name. A missing target is an error.
    Fill,
}

/// How [`csv`](fn@csv) reads a table.
#[derive(Clone, Debug)]
pub struct CsvOptions {
    target: Option<String>,
    header: bool,
    delimiter: u8,
    missing: Missing,
    marks: Vec<String>,
    classes: bool,
    categorical: Vec<String>,
    ignored: Vec<String>,
    most_names: usize,
}

impl Default for CsvOptions {
    fn default() -> Self {
        CsvOptions::new()
    }
}

impl CsvOptions {
    /// A table with a header, whose last column is the target and in which nothing is missing.
    pub fn new() -> Self {
        // What pandas takes for missing, and the question mark of the UCI repository.
        let marks = "|NA|N/A|n/a|#N/A|<NA>|NaN|nan|-NaN|-nan|NULL|null|None|?";
        CsvOptions {
            target: None,
            header: true,
            delimiter: b',',
            missing: Missing::Error,
            marks: marks.split('|').map(String::from).collect(),
            classes: false,
            categorical: Vec::new(),
            ignored: Vec::new(),
            most_names: 100,
        }
    }

    /// The column that is to be predicted. Numbers are targets of a regression, names are classes.
    pub fn target(mut self, column: &str) -> Self {
        self.target = Some(column.into());
        self
    }

    /// The target's numbers are the names of classes.
    pub fn classes(mut self) -> Self {
        self.classes = true;
        self
    }

    /// The first line holds values: the columns are called `0`, `1`, `2`, ….
    pub fn no_header(mut self) -> Self {
        self.header = false;
        self
    }

    /// What stands between two values: `b';'`, `b'\t'`. At first a comma.
    pub fn delimiter(mut self, delimiter: u8) -> Self {
        self.delimiter = delimiter;
        self
    }

    /// What is done where a value is missing.
    pub fn missing(mut self, missing: Missing) -> Self {
        self.missing = missing;
        self
    }

    /// The texts that say that a value is missing, in place of `NA`, `NaN`, `null`, `None`, `?` and the like. Nothing at all
    /// is always one.
    pub fn missing_marks(mut self, marks: &[&str]) -> Self {
        self.marks = marks.iter().map(|mark| mark.to_string()).chain([String::new()]).collect();
        self
    }

    /// This column holds names, even where they look like numbers: post codes.
    pub fn categorical(mut self, column: &str) -> Self {
        self.categorical.push(column.into());
        self
    }

    /// This column is passed over: a row's number, a free text.
    pub fn ignore(mut self, column: &str) -> Self {
        self.ignored.push(column.into());
        self
    }

    /// A column of more names than this is an error, since each takes a column of inputs. At first 100.
    pub fn most_categories(mut self, most: usize) -> Self {
        self.most_names = most;
        self
    }
}

/// The table in a file: a number is a column of inputs, a name is one column for each name in its column (1 where it is the
/// one, 0 elsewhere; the names are sorted), and one column is the target.
///
/// A column is one of numbers or one of names: one that mixes them is an error, which names the first odd value. Values in
/// double quotes may hold delimiters. For a second file, such as a test set, use [`CsvSchema`]: it reads both alike.
///
/// ```
/// use tealight::data::{CsvOptions, csv};
/// let path = std::env::temp_dir().join("tealight-doc-csv.csv");
/// std::fs::write(&path, "length,colour,species\n1.5,red,a\n2,blue,b\n2.5,red,a\n")?;
/// let data = csv(&path, &CsvOptions::new().target("species"))?;
/// assert_eq!(data.features, ["length", "colour=blue", "colour=red"]);
/// assert_eq!(data.inputs.to_vec2::<f32>()?[1], [2.0, 1.0, 0.0]);
/// assert_eq!((data.names, data.targets.to_vec1::<u32>()?), (vec!["a".into(), "b".into()], vec![0, 1, 0]));
/// # std::fs::remove_file(path).ok();
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Shapes
/// Inputs (n, columns), f32. Targets: u32 (n) of classes; f32 (n, 1) of numbers, as a model with one output gives them, and
/// then no names.
///
/// # Errors
/// A file that cannot be read, has no rows, or whose rows have different lengths; a column that is not there; a value that is
/// missing, or none of its column. Each names the file, the line and the column.
#[doc(alias = "read_csv")]
pub fn csv(path: impl AsRef<Path>, options: &CsvOptions) -> Result<Labelled> {
    let rows = raw::read(path.as_ref(), options)?;
    CsvSchema::infer(&rows, options)?.encode(rows)
}
