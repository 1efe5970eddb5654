//! CSV tables as inputs and targets.

mod raw;
mod schema;
#[cfg(test)]
mod tests;

use std::path::Path;

pub use schema::CsvSchema;
use serde::{Deserialize, Serialize};

use super::LabeledDataset;
use crate::error::Result;

/// The option that avoids an error in a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CsvHint {
    /// [`CsvOptions::missing`]
    #[error("CsvOptions::missing can drop such rows")]
    Missing,
    /// [`CsvOptions::ignore`]
    #[error("CsvOptions::ignore leaves the column out")]
    Ignore,
    /// [`CsvOptions::max_categories`]
    #[error("ignore the column, or raise CsvOptions::max_categories")]
    MaxCategories,
    /// [`CsvOptions::categorical`]
    #[error("CsvOptions::categorical and categorical_target take numbers as categories")]
    Categorical,
}

/// The [source](std::error::Error::source) of an [`Error::File`](crate::Error::File) that an option can avoid, for programs that word
/// the advice themselves.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{message}")]
#[non_exhaustive]
pub struct CsvError {
    /// The message without the advice.
    pub message: String,
    /// The option.
    pub hint: CsvHint,
}

/// What to do about missing values: [`CsvOptions::missing`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Missing {
    /// Return an error that names the line and the column.
    #[default]
    Error,
    /// Leave the row out, as pandas' `dropna` does.
    Drop,
    /// Use the mean of the column, or its most frequent category. A missing target is an error.
    Fill,
}

/// How values are separated and which are missing: all that is needed to read another file of the same kind.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Format {
    header: bool,
    delimiter: u8,
    missing: Missing,
    na_values: Vec<String>,
}

/// Options of [`read_csv`].
///
/// ```
/// # use tealight::data::{CsvOptions, read_csv};
/// # let path = std::env::temp_dir().join("tealight-doc-options.csv");
/// std::fs::write(&path, "1;0.5;a\n2;0.25;b\n")?;
/// let data = read_csv(&path, &CsvOptions::new().delimiter(b';').no_header().ignore("0"))?;
/// assert_eq!((data.features, data.classes), (vec!["1".to_string()], vec!["a".to_string(), "b".into()]));
/// # std::fs::remove_file(path).ok();
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct CsvOptions {
    format: Format,
    target: Option<String>,
    categorical_target: bool,
    categorical: Vec<String>,
    ignored: Vec<String>,
    max_categories: usize,
}

impl Default for CsvOptions {
    fn default() -> Self {
        CsvOptions::new()
    }
}

impl CsvOptions {
    /// A comma-separated table with a header whose last column is the target.
    pub fn new() -> Self {
        // The defaults of pandas, and the question mark of the UCI repository.
        let na_values = "|NA|N/A|n/a|#N/A|<NA>|NaN|nan|-NaN|-nan|NULL|null|None|?";
        CsvOptions {
            format: Format {
                header: true,
                delimiter: b',',
                missing: Missing::Error,
                na_values: na_values.split('|').map(String::from).collect(),
            },
            target: None,
            categorical_target: false,
            categorical: Vec::new(),
            ignored: Vec::new(),
            max_categories: 100,
        }
    }

    /// The column to predict: classes if it holds text, numbers for a regression otherwise. Default: the last column.
    pub fn target(mut self, column: &str) -> Self {
        self.target = Some(column.into());
        self
    }

    /// Takes a numeric target as class names: stars from 1 to 5, say.
    ///
    /// ```
    /// # use tealight::data::{CsvOptions, read_csv};
    /// # let path = std::env::temp_dir().join("tealight-doc-options-categorical-target.csv");
    /// std::fs::write(&path, "size,stars\n1,5\n2,3\n3,5\n")?;
    /// let data = read_csv(&path, &CsvOptions::new().categorical_target())?;
    /// assert_eq!((data.classes, data.targets.to_vec1::<u32>()?), (vec!["3".to_string(), "5".into()], vec![1, 0, 1]));
    /// # std::fs::remove_file(path).ok();
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn categorical_target(mut self) -> Self {
        self.categorical_target = true;
        self
    }

    /// For a file without a header: the columns are called `0`, `1`, `2`, ….
    #[doc(alias = "header")]
    pub fn no_header(mut self) -> Self {
        self.format.header = false;
        self
    }

    /// The byte between two values, such as `b';'` or `b'\t'`. Default: `b','`.
    #[doc(alias = "sep")]
    pub fn delimiter(mut self, delimiter: u8) -> Self {
        self.format.delimiter = delimiter;
        self
    }

    /// What to do about missing values. Default: [`Missing::Error`].
    ///
    /// ```
    /// # use tealight::data::{CsvOptions, Missing, read_csv};
    /// # let path = std::env::temp_dir().join("tealight-doc-options-missing.csv");
    /// std::fs::write(&path, "x,y\n1,5\nNA,6\n3,7\n")?;
    /// let read = |missing| read_csv(&path, &CsvOptions::new().missing(missing));
    /// assert!(read(Missing::Error).unwrap_err().to_string().contains("line 3"));
    /// assert_eq!(read(Missing::Drop)?.inputs.to_vec2::<f32>()?, [[1.0], [3.0]]);
    /// assert_eq!(read(Missing::Fill)?.inputs.to_vec2::<f32>()?, [[1.0], [2.0], [3.0]]);
    /// # std::fs::remove_file(&path).ok();
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn missing(mut self, missing: Missing) -> Self {
        self.format.missing = missing;
        self
    }

    /// The texts that mean "missing", in place of the defaults (`NA`, `NaN`, `null`, `None`, `?`, …). An empty value is
    /// always missing.
    #[doc(alias = "missing_values")]
    pub fn na_values(mut self, values: &[&str]) -> Self {
        self.format.na_values = values.iter().map(|value| value.to_string()).chain([String::new()]).collect();
        self
    }

    /// Takes the values of an input column as categories even if they are numbers: postcodes, say.
    ///
    /// ```
    /// # use tealight::data::{CsvOptions, read_csv};
    /// # let path = std::env::temp_dir().join("tealight-doc-options-categorical.csv");
    /// std::fs::write(&path, "code,price\n10115,2\n80331,3\n")?;
    /// let data = read_csv(&path, &CsvOptions::new().categorical("code"))?;
    /// assert_eq!(data.features, ["code=10115", "code=80331"]);
    /// # std::fs::remove_file(path).ok();
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn categorical(mut self, column: &str) -> Self {
        self.categorical.push(column.into());
        self
    }

    /// Leaves a column out: an id or a comment, say.
    #[doc(alias = "usecols")]
    #[doc(alias = "drop")]
    pub fn ignore(mut self, column: &str) -> Self {
        self.ignored.push(column.into());
        self
    }

    /// The most categories that an input column may have, since each becomes a column of inputs. Default: 100.
    pub fn max_categories(mut self, most: usize) -> Self {
        self.max_categories = most;
        self
    }
}

/// Reads a CSV file: numeric columns as they are, categorical ones one-hot encoded, and one column as the target.
///
/// Categories are sorted; a column that mixes numbers and text is an error. Values in double quotes may contain the
/// delimiter. To read a test set with the categories of the training set, use [`CsvSchema`].
///
/// # Shapes
/// Inputs: (n, columns), f32. Targets: class indices, u32 (n); or numbers, f32 (n, 1), and then `classes` is empty.
///
/// # Errors
/// Errors, with line and column, if the file cannot be read or is empty, rows differ in length, a column does not exist, or
/// a value is missing or of the wrong kind.
///
/// ```
/// # use tealight::data::{CsvOptions, read_csv};
/// # let path = std::env::temp_dir().join("tealight-doc-csv.csv");
/// std::fs::write(&path, "length,colour,species\n1.5,red,a\n2,blue,b\n2.5,red,a\n")?;
/// let data = read_csv(&path, &CsvOptions::new().target("species"))?;
/// assert_eq!(data.features, ["length", "colour=blue", "colour=red"]);
/// assert_eq!(data.inputs.to_vec2::<f32>()?[1], [2.0, 1.0, 0.0]);
/// assert_eq!((data.classes, data.targets.to_vec1::<u32>()?), (vec!["a".into(), "b".into()], vec![0, 1, 0]));
/// # std::fs::remove_file(path).ok();
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn read_csv(path: impl AsRef<Path>, options: &CsvOptions) -> Result<LabeledDataset> {
    let table = raw::read(path.as_ref(), &options.format)?;
    CsvSchema::from_table(&table, options)?.encode(&table)
}
