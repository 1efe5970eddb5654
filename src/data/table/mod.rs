//! Tables: files of comma-separated values, as inputs and targets.

mod raw;
mod schema;
#[cfg(test)]
mod tests;
mod text;

use std::path::Path;

pub use schema::CsvSchema;

use super::LabeledDataset;
use crate::error::Result;

/// What is done where a value is missing.
///
/// ```
/// use tealight::data::{CsvOptions, Missing, read_csv};
/// let path = std::env::temp_dir().join("tealight-doc-missing-enum.csv");
/// std::fs::write(&path, "x,y\n1,5\nNA,6\n3,7\n")?;
/// let read = |missing| read_csv(&path, &CsvOptions::new().missing(missing));
/// assert!(read(Missing::Error).unwrap_err().to_string().contains("line 3"));
/// assert_eq!(read(Missing::Drop)?.inputs.to_vec2::<f32>()?, [[1.0], [3.0]]);
/// assert_eq!(read(Missing::Fill)?.inputs.to_vec2::<f32>()?, [[1.0], [2.0], [3.0]]);
/// # std::fs::remove_file(path).ok();
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
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

/// How [`read_csv`](fn@read_csv) reads a table.
///
/// ```
/// use tealight::data::{CsvOptions, read_csv};
/// let path = std::env::temp_dir().join("tealight-doc-options.csv");
/// std::fs::write(&path, "1;0.5;a\n2;0.25;b\n")?;
/// let data = read_csv(&path, &CsvOptions::new().delimiter(b';').no_header().ignore("0"))?;
/// assert_eq!((data.features, data.classes), (vec!["1".to_string()], vec!["a".to_string(), "b".into()]));
/// # std::fs::remove_file(path).ok();
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
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
    ///
    /// ```
    /// use tealight::data::{CsvOptions, read_csv};
    /// let path = std::env::temp_dir().join("tealight-doc-options-new.csv");
    /// std::fs::write(&path, "width,height,price\n1,2,3\n")?;
    /// let data = read_csv(&path, &CsvOptions::new())?;
    /// assert_eq!((data.features.len(), data.targets.to_vec2::<f32>()?), (2, vec![vec![3.0]])); // the price
    /// # std::fs::remove_file(path).ok();
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
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
    ///
    /// ```
    /// use tealight::data::{CsvOptions, read_csv};
    /// let path = std::env::temp_dir().join("tealight-doc-options-target.csv");
    /// std::fs::write(&path, "kind,size\na,1\nb,2\n")?;
    /// let data = read_csv(&path, &CsvOptions::new().target("kind"))?;
    /// assert_eq!((data.features, data.targets.to_vec1::<u32>()?), (vec!["size".to_string()], vec![0, 1]));
    /// # std::fs::remove_file(path).ok();
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn target(mut self, column: &str) -> Self {
        self.target = Some(column.into());
        self
    }

    /// The target's numbers are the names of classes.
    ///
    /// ```
    /// use tealight::data::{CsvOptions, read_csv};
    /// let path = std::env::temp_dir().join("tealight-doc-options-classes.csv");
    /// std::fs::write(&path, "size,stars\n1,5\n2,3\n3,5\n")?;
    /// let data = read_csv(&path, &CsvOptions::new().categorical_target())?;
    /// assert_eq!((data.classes, data.targets.to_vec1::<u32>()?), (vec!["3".to_string(), "5".into()], vec![1, 0, 1]));
    /// # std::fs::remove_file(path).ok();
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn categorical_target(mut self) -> Self {
        self.classes = true;
        self
    }

    /// The first line holds values: the columns are called `0`, `1`, `2`, ….
    ///
    /// ```
    /// use tealight::data::{CsvOptions, read_csv};
    /// let path = std::env::temp_dir().join("tealight-doc-options-header.csv");
    /// std::fs::write(&path, "1,2\n3,4\n")?;
    /// let data = read_csv(&path, &CsvOptions::new().no_header())?;
    /// assert_eq!((data.len(), data.features), (2, vec!["0".to_string()]));
    /// # std::fs::remove_file(path).ok();
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn no_header(mut self) -> Self {
        self.header = false;
        self
    }

    /// What stands between two values: `b';'`, `b'\t'`. At first a comma.
    ///
    /// ```
    /// use tealight::data::{CsvOptions, read_csv};
    /// let path = std::env::temp_dir().join("tealight-doc-options-delimiter.tsv");
    /// std::fs::write(&path, "x\ty\n1\t2\n")?;
    /// assert_eq!(read_csv(&path, &CsvOptions::new().delimiter(b'\t'))?.inputs.to_vec2::<f32>()?, [[1.0]]);
    /// # std::fs::remove_file(path).ok();
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[doc(alias = "sep")]
    pub fn delimiter(mut self, delimiter: u8) -> Self {
        self.delimiter = delimiter;
        self
    }

    /// What is done where a value is missing.
    ///
    /// ```
    /// use tealight::data::{CsvOptions, Missing, read_csv};
    /// let path = std::env::temp_dir().join("tealight-doc-options-missing.csv");
    /// std::fs::write(&path, "x,y\n1,5\n?,6\n")?;
    /// assert_eq!(read_csv(&path, &CsvOptions::new().missing(Missing::Drop))?.len(), 1);
    /// # std::fs::remove_file(path).ok();
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn missing(mut self, missing: Missing) -> Self {
        self.missing = missing;
        self
    }

    /// The texts that say that a value is missing, in place of `NA`, `NaN`, `null`, `None`, `?` and the like. Nothing at all
    /// is always one.
    ///
    /// ```
    /// use tealight::data::{CsvOptions, Missing, read_csv};
    /// let path = std::env::temp_dir().join("tealight-doc-options-marks.csv");
    /// std::fs::write(&path, "x,y\n1,5\n-999,6\n,7\n")?;
    /// let options = CsvOptions::new().missing(Missing::Drop).na_values(&["-999"]);
    /// assert_eq!(read_csv(&path, &options)?.targets.to_vec2::<f32>()?, [[5.0]]);
    /// # std::fs::remove_file(path).ok();
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn na_values(mut self, marks: &[&str]) -> Self {
        self.marks = marks.iter().map(|mark| mark.to_string()).chain([String::new()]).collect();
        self
    }

    /// This column holds names, even where they look like numbers: post codes.
    ///
    /// ```
    /// use tealight::data::{CsvOptions, read_csv};
    /// let path = std::env::temp_dir().join("tealight-doc-options-categorical.csv");
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

    /// This column is passed over: a row's number, a free text.
    ///
    /// ```
    /// use tealight::data::{CsvOptions, read_csv};
    /// let path = std::env::temp_dir().join("tealight-doc-options-ignore.csv");
    /// std::fs::write(&path, "id,x,y\n7,1,2\n8,3,4\n")?;
    /// assert_eq!(read_csv(&path, &CsvOptions::new().ignore("id"))?.features, ["x"]);
    /// # std::fs::remove_file(path).ok();
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[doc(alias = "usecols")]
    pub fn ignore(mut self, column: &str) -> Self {
        self.ignored.push(column.into());
        self
    }

    /// A column of more names than this is an error, since each takes a column of inputs. At first 100.
    ///
    /// ```
    /// use tealight::data::{CsvOptions, read_csv};
    /// let path = std::env::temp_dir().join("tealight-doc-options-most.csv");
    /// std::fs::write(&path, "name,y\nada,1\nbob,2\ncid,3\n")?;
    /// let error = read_csv(&path, &CsvOptions::new().max_categories(2)).unwrap_err().to_string();
    /// assert!(error.contains("expected at most 2 names, got 3"));
    /// # std::fs::remove_file(path).ok();
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn max_categories(mut self, most: usize) -> Self {
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
/// # Shapes
/// Inputs (n, columns), f32. Targets: u32 (n) of classes; f32 (n, 1) of numbers, as a model with one output gives them, and
/// then no names.
///
/// # Errors
/// A file that cannot be read, has no rows, or whose rows have different lengths; a column that is not there; a value that is
/// missing, or none of its column. Each names the file, the line and the column.
///
/// ```
/// use tealight::data::{CsvOptions, read_csv};
/// let path = std::env::temp_dir().join("tealight-doc-csv.csv");
/// std::fs::write(&path, "length,colour,species\n1.5,red,a\n2,blue,b\n2.5,red,a\n")?;
/// let data = read_csv(&path, &CsvOptions::new().target("species"))?;
/// assert_eq!(data.features, ["length", "colour=blue", "colour=red"]);
/// assert_eq!(data.inputs.to_vec2::<f32>()?[1], [2.0, 1.0, 0.0]);
/// assert_eq!((data.classes, data.targets.to_vec1::<u32>()?), (vec!["a".into(), "b".into()], vec![0, 1, 0]));
/// # std::fs::remove_file(path).ok();
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn read_csv(path: impl AsRef<Path>, options: &CsvOptions) -> Result<LabeledDataset> {
    let rows = raw::read(path.as_ref(), options)?;
    CsvSchema::from_rows(&rows, options)?.encode(rows)
}
