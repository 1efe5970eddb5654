//! Tables as inputs and targets: CSV, workbooks and Parquet.

mod date;
mod form;
mod marks;
mod number;
#[cfg(feature = "parquet")]
mod parquet;
mod raw;
mod schema;
#[cfg(feature = "xlsx")]
mod sheet;
mod stream;
#[cfg(test)]
mod tests;
mod text;

use std::path::Path;

use candle_core::DType;
#[cfg(all(feature = "tar", feature = "parquet"))]
pub(super) use parquet::images;
pub use raw::Table;
pub use schema::{ColumnKind, FillValue, TableColumn, TableSchema, TableValue};
use serde::{Deserialize, Serialize};
pub use stream::TableStream;
#[cfg(all(feature = "tar", feature = "parquet"))]
pub(super) use text::is_parquet;
use unicode_normalization::UnicodeNormalization;

use super::LabeledDataset;
use crate::error::{Error, Result};

/// The option that avoids an error in a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TableHint {
    /// [`TableOptions::missing`]
    #[error("TableOptions::missing can drop such rows")]
    Missing,
    /// [`TableOptions::ignore`]
    #[error("TableOptions::ignore leaves the column out")]
    Ignore,
    /// [`TableOptions::max_categories`]
    #[error("ignore the column, or raise TableOptions::max_categories")]
    MaxCategories,
    /// [`TableOptions::categorical`]
    #[error(
        "TableOptions::na_values can count them as missing, categorical and categorical_target take numbers as categories"
    )]
    Categorical,
    /// [`TableOptions::encoding`]
    #[error("TableOptions::encoding names another encoding")]
    Encoding,
    /// [`TableOptions::delimiter`]
    #[error("is the delimiter another one? See TableOptions::delimiter")]
    Delimiter,
}

/// The [source](std::error::Error::source) of an [`Error::File`](crate::Error::File) that an option can avoid, for programs that word
/// the advice themselves.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{message}")]
#[non_exhaustive]
pub struct TableError {
    /// The message without the advice.
    pub message: String,
    /// The option.
    pub hint: TableHint,
}

/// What to do about missing values: [`TableOptions::missing`].
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

/// What was told of the form of a table, and which values are missing.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Format {
    /// What was not told is found in the file.
    auto: bool,
    header: Option<bool>,
    delimiter: Option<u8>,
    decimal: Option<char>,
    thousands: Option<char>,
    encoding: Option<String>,
    sheet: Option<String>,
    day_first: bool,
    missing: Missing,
    na_values: Vec<String>,
}

/// A text in Unicode's composed form, as names and values of tables are compared.
fn composed(text: &str) -> String {
    if text.is_ascii() { text.into() } else { text.nfc().collect() }
}

/// `1 value`, `2 values`
fn counted(count: usize, unit: &str) -> String {
    format!("{count} {unit}{}", if count == 1 { "" } else { "s" })
}

impl Format {
    fn is_missing(&self, value: &str) -> bool {
        self.na_values.iter().any(|missing| missing == value)
    }

    /// [`is_missing`](Format::is_missing) for many values.
    fn missing_words(&self) -> MissingWords<'_> {
        let mut lengths = [0; 256];
        for word in &self.na_values {
            lengths[usize::from(last(word))] |= 1 << word.len().min(63);
        }
        MissingWords { lengths, words: &self.na_values }
    }
}

/// The words that stand for no value, with a look at the last byte, which numbers rarely share, and the length before they are compared.
struct MissingWords<'a> {
    /// By the last byte, a bit for each length; the last bit also for all above.
    lengths: [u64; 256],
    words: &'a [String],
}

impl MissingWords<'_> {
    fn contains(&self, value: &str) -> bool {
        let length = value.len().min(63);
        self.lengths[usize::from(last(value))] >> length & 1 == 1
            && self.words.iter().any(|word| word == value)
    }
}

fn last(text: &str) -> u8 {
    text.as_bytes().last().copied().unwrap_or(0)
}

/// How a table is read: by [`read_csv`], [`TableSchema::infer`] and [`Table::read`].
///
/// ```
/// # use tealight::data::{TableOptions, read_csv};
/// # let path = std::env::temp_dir().join("tealight-doc-options.csv");
/// std::fs::write(&path, "1;0.5;a\n2;0.25;b\n")?;
/// let data = read_csv(&path, &TableOptions::new().delimiter(b';').no_header().ignore("0"))?;
/// assert_eq!((data.features, data.classes), (vec!["1".to_string()], vec!["a".to_string(), "b".into()]));
/// # std::fs::remove_file(path).ok();
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
#[doc(alias = "csv")]
pub struct TableOptions {
    format: Format,
    target: Option<String>,
    categorical_target: bool,
    categorical: Vec<String>,
    ignored: Vec<String>,
    max_categories: usize,
    nrows: Option<usize>,
    dtype: DType,
}

impl Default for TableOptions {
    fn default() -> Self {
        TableOptions::new()
    }
}

impl TableOptions {
    /// A comma-separated table in UTF-8 with a header whose last column is the target.
    pub fn new() -> Self {
        // The defaults of pandas, and the question mark of the UCI repository.
        let na_values = "|NA|N/A|n/a|#N/A|<NA>|NaN|nan|-NaN|-nan|NULL|null|None|?";
        TableOptions {
            format: Format {
                auto: false,
                header: None,
                delimiter: None,
                decimal: None,
                thousands: None,
                encoding: None,
                sheet: None,
                day_first: false,
                missing: Missing::Error,
                na_values: na_values.split('|').map(String::from).collect(),
            },
            target: None,
            categorical_target: false,
            categorical: Vec::new(),
            ignored: Vec::new(),
            max_categories: 100,
            nrows: None,
            dtype: DType::F32,
        }
    }

    /// Recognises in the file what no other option says: the delimiter (`,` `;` tab `|` space, or Excel's first line `sep=;`), decimal
    /// comma and marks between thousands, a missing header, and the encoding (UTF-8, UTF-16 or Windows-1252).
    /// [`TableSchema::summary`] says what was recognised.
    ///
    /// ```
    /// # use tealight::data::{TableOptions, read_csv};
    /// # let path = std::env::temp_dir().join("tealight-doc-options-auto.csv");
    /// std::fs::write(&path, "width;price;kind\n1,5;1.200,50 €;a\n2,5;900 €;b\n")?;
    /// let data = read_csv(&path, &TableOptions::auto())?;
    /// assert_eq!(data.inputs.to_vec2::<f32>()?, [[1.5, 1200.5], [2.5, 900.0]]);
    /// # std::fs::remove_file(path).ok();
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[doc(alias = "sniff")]
    pub fn auto() -> Self {
        let options = TableOptions::new();
        TableOptions { format: Format { auto: true, ..options.format }, ..options }
    }

    /// The column to predict: classes if it holds text, numbers for a regression otherwise. Default: the last column.
    pub fn target(mut self, column: &str) -> Self {
        self.target = Some(composed(column));
        self
    }

    /// Takes a numeric target as class names: stars from 1 to 5, say.
    ///
    /// ```
    /// # use tealight::data::{TableOptions, read_csv};
    /// # let path = std::env::temp_dir().join("tealight-doc-options-categorical-target.csv");
    /// std::fs::write(&path, "size,stars\n1,5\n2,3\n3,5\n")?;
    /// let data = read_csv(&path, &TableOptions::new().categorical_target())?;
    /// assert_eq!((data.classes, data.targets.to_vec1::<u32>()?), (vec!["3".to_string(), "5".into()], vec![1, 0, 1]));
    /// # std::fs::remove_file(path).ok();
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn categorical_target(mut self) -> Self {
        self.categorical_target = true;
        self
    }

    /// For a file without a header: the columns are called `0`, `1`, `2`, ….
    pub fn no_header(mut self) -> Self {
        self.format.header = Some(false);
        self
    }

    /// The first row has the names of the columns, whatever it looks like. Default, unless [`auto`](TableOptions::auto) finds none.
    pub fn header(mut self) -> Self {
        self.format.header = Some(true);
        self
    }

    /// The byte between two values, such as `b';'` or `b'\t'`. Default: `b','`.
    #[doc(alias = "sep")]
    pub fn delimiter(mut self, delimiter: u8) -> Self {
        self.format.delimiter = Some(delimiter);
        self
    }

    /// The decimal mark. Default: `.`.
    pub fn decimal(mut self, mark: char) -> Self {
        self.format.decimal = Some(mark);
        self
    }

    /// The mark between thousands, such as `,` in 1,000. A space is any space, also the narrow one. Default: none.
    pub fn thousands(mut self, mark: char) -> Self {
        self.format.thousands = Some(mark);
        self
    }

    /// The encoding by its name on the web, such as `windows-1252` or `utf-16le`. A byte order mark in the file is stronger.
    /// Default: UTF-8.
    ///
    /// Errors if there is no encoding of this name.
    pub fn encoding(mut self, label: &str) -> Result<Self> {
        self.format.encoding = Some(text::encoding(label)?.name().into());
        Ok(self)
    }

    /// The sheet of a workbook (.xlsx, .xls, .ods; with the feature `xlsx`). Default: the first.
    #[doc(alias = "sheet_name")]
    pub fn sheet(mut self, name: &str) -> Self {
        self.format.sheet = Some(name.into());
        self
    }

    /// Reads 1/2/2024 as the first of February where no row says which part is the month. Default: the second of January, as in
    /// pandas. With dots, 1.2.2024, the day is always first.
    #[doc(alias = "dayfirst")]
    pub fn day_first(mut self) -> Self {
        self.format.day_first = true;
        self
    }

    /// The dtype of inputs and numeric targets, f32 or f64. Default: f32.
    ///
    /// An f32 has 7 digits: it does not tell 20000000.16 from 20000000.79, or the seconds of today's dates apart. Read such a table
    /// in f64, fit [`Standardize`](crate::normalize::Standardize) on it, and then use [`to_dtype`](crate::autograd::Tensor::to_dtype).
    ///
    /// Errors if it is another dtype.
    pub fn dtype(mut self, dtype: DType) -> Result<Self> {
        if !matches!(dtype, DType::F32 | DType::F64) {
            return Err(Error::argument("TableOptions::dtype", "f32 or f64", dtype.as_str()));
        }
        self.dtype = dtype;
        Ok(self)
    }

    /// What to do about missing values. Default: [`Missing::Error`].
    ///
    /// ```
    /// # use tealight::data::{Missing, TableOptions, read_csv};
    /// # let path = std::env::temp_dir().join("tealight-doc-options-missing.csv");
    /// std::fs::write(&path, "x,y\n1,5\nNA,6\n3,7\n")?;
    /// let read = |missing| read_csv(&path, &TableOptions::new().missing(missing));
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
        self.format.na_values = values.iter().map(|value| composed(value)).chain([String::new()]).collect();
        self
    }

    /// Takes the values of an input column as categories even if they are numbers: postcodes, say.
    ///
    /// ```
    /// # use tealight::data::{TableOptions, read_csv};
    /// # let path = std::env::temp_dir().join("tealight-doc-options-categorical.csv");
    /// std::fs::write(&path, "code,price\n10115,2\n80331,3\n")?;
    /// let data = read_csv(&path, &TableOptions::new().categorical("code"))?;
    /// assert_eq!(data.features, ["code=10115", "code=80331"]);
    /// # std::fs::remove_file(path).ok();
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn categorical(mut self, column: &str) -> Self {
        self.categorical.push(composed(column));
        self
    }

    /// Leaves a column out: an id or a comment, say.
    #[doc(alias = "usecols")]
    #[doc(alias = "drop")]
    pub fn ignore(mut self, column: &str) -> Self {
        self.ignored.push(composed(column));
        self
    }

    /// The most rows that are read. Default: all. A schema of the first 100,000 rows, say, reads a file of any size by
    /// [`stream`](TableSchema::stream); a word that none of them has is an error there.
    pub fn nrows(mut self, most: usize) -> Self {
        self.nrows = Some(most);
        self
    }

    /// The most categories that an input column may have, since each becomes a column of inputs. Default: 100.
    pub fn max_categories(mut self, most: usize) -> Self {
        self.max_categories = most;
        self
    }
}

/// Reads a CSV file, plain or compressed with gzip: numeric columns as they are, dates as numbers, categorical ones one-hot encoded,
/// and one column as the target.
///
/// * A number may have a currency sign, or a percent sign: `12 %` is 0.12.
/// * A date, such as `2024-03-01`, `1.3.2024 14:05` or `3/1/2024`, gives the days since 1970, the month, the day of the week (0 for
///   Monday) and, if a row has a time, the hour; a time of day alone gives hours.
/// * Categories are sorted; 1 and 1.0 are one, and so are é as one letter and as two (NFC). A column of numbers and a few texts is an error that names them.
/// * A column without a name (or called `Unnamed: 0`, as by pandas) whose values all differ numbers the rows, and is left out.
///
/// Values in double quotes may contain the delimiter. To read a test set with the categories of the training set, use [`TableSchema`].
///
/// # Shapes
/// Inputs: (n, columns). Targets: class indices, u32 (n); or numbers (n, 1), and then `classes` is empty.
///
/// # Errors
/// Errors, with line and column, if the file cannot be read or is empty, rows differ in length, a column does not exist, or
/// a value is missing or of the wrong kind.
///
/// ```
/// # use tealight::data::{TableOptions, read_csv};
/// # let path = std::env::temp_dir().join("tealight-doc-csv.csv");
/// std::fs::write(&path, "length,colour,species\n1.5,red,a\n2,blue,b\n2.5,red,a\n")?;
/// let data = read_csv(&path, &TableOptions::new().target("species"))?;
/// assert_eq!(data.features, ["length", "colour=blue", "colour=red"]);
/// assert_eq!(data.inputs.to_vec2::<f32>()?[1], [2.0, 1.0, 0.0]);
/// assert_eq!((data.classes, data.targets.to_vec1::<u32>()?), (vec!["a".into(), "b".into()], vec![0, 1, 0]));
/// # std::fs::remove_file(path).ok();
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn read_csv(path: impl AsRef<Path>, options: &TableOptions) -> Result<LabeledDataset> {
    let table = Table::read(path, options)?;
    TableSchema::from_table(&table, options)?.encode(&table)
}
