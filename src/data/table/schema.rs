//! [`CsvSchema`]: which columns a table has and how they are encoded.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::path::Path;
use std::str::FromStr;

use candle_core::Device;
use serde::{Deserialize, Serialize};

use super::raw::{self, RawTable};
use super::{CsvHint, CsvOptions, Format, Missing};
use crate::autograd::Tensor;
use crate::data::LabeledDataset;
use crate::error::{Error, Result};
use crate::file::file_error;

/// The columns of a table as found in one file: it reads other files with the same categories, classes and means.
///
/// `to_string` and `parse` convert it to text (JSON) and back, to keep it with a model.
///
/// ```
/// # use tealight::data::{CsvOptions, CsvSchema};
/// # let [train, test] = ["train", "test"].map(|part| std::env::temp_dir().join(format!("tealight-doc-{part}.csv")));
/// std::fs::write(&train, "size,price\nsmall,1\nlarge,2\n")?;
/// std::fs::write(&test, "size,price\nlarge,3\n")?;
/// let schema = CsvSchema::infer(&train, &CsvOptions::new().target("price"))?;
/// assert_eq!(schema.read(&test)?.inputs.to_vec2::<f32>()?, [[1.0, 0.0]]);
/// let saved: CsvSchema = schema.to_string().parse()?;
/// assert_eq!(saved.features(), ["size=large", "size=small"]);
/// # std::fs::remove_file(train).ok();
/// # std::fs::remove_file(test).ok();
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CsvSchema {
    format: Format,
    pub(super) inputs: Vec<Column>,
    pub(super) target: Column,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Column {
    name: String,
    kind: Kind,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum Kind {
    Numeric { mean: f32 },
    Categorical { categories: Vec<String>, most_frequent: usize },
}

impl CsvSchema {
    /// Finds the columns of the table in a file, with the errors of [`read_csv`](super::read_csv).
    pub fn infer(path: impl AsRef<Path>, options: &CsvOptions) -> Result<Self> {
        let table = raw::read(path.as_ref(), &options.format)?;
        let schema = CsvSchema::from_table(&table, options)?;
        // Values that cannot be encoded are an error now, not when the schema is used.
        schema.encode(&table)?;
        Ok(schema)
    }

    /// Reads a file with the same columns in any order; other columns are ignored.
    ///
    /// # Errors
    /// The errors of [`read_csv`](super::read_csv), and a category that the first file did not have.
    pub fn read(&self, path: impl AsRef<Path>) -> Result<LabeledDataset> {
        self.encode(&raw::read(path.as_ref(), &self.format)?)
    }

    /// Reads the inputs alone, (n, columns); the file needs no target column.
    ///
    /// Each row gives a row of inputs, so [`Missing::Drop`] makes a missing value an error.
    ///
    /// ```
    /// # use tealight::data::{CsvOptions, CsvSchema};
    /// # let [known, new] = ["known", "new"].map(|part| std::env::temp_dir().join(format!("tealight-doc-{part}.csv")));
    /// std::fs::write(&known, "size,colour,kind\n1,red,a\n2,blue,b\n")?;
    /// std::fs::write(&new, "colour,size\nblue,3\n")?;
    /// let schema = CsvSchema::infer(&known, &CsvOptions::new().target("kind"))?;
    /// assert_eq!(schema.read_inputs(&new)?.to_vec2::<f32>()?, [[3.0, 1.0, 0.0]]);
    /// # std::fs::remove_file(known).ok();
    /// # std::fs::remove_file(new).ok();
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn read_inputs(&self, path: impl AsRef<Path>) -> Result<Tensor> {
        let table = raw::read(path.as_ref(), &self.format)?;
        let columns = self.input_columns(&table)?;
        let mut inputs = Vec::new();
        for (line, record) in &table.rows {
            let gap = columns.iter().find(|&&column| self.format.is_missing(&record[column]));
            if let Some(&column) = gap.filter(|_| self.format.missing != Missing::Fill) {
                let message = format!("expected a value, got {:?}", &record[column]);
                return Err(table.value_error(*line, column, message));
            }
            self.encode_inputs(&table, *line, record, &columns, &mut inputs)?;
        }
        Tensor::from_vec(inputs, (table.rows.len(), self.features().len()), &Device::Cpu)
    }

    /// The names of the columns of the inputs: `size` for a number, `colour=red` for a category.
    pub fn features(&self) -> Vec<String> {
        let features = |column: &Column| match &column.kind {
            Kind::Numeric { .. } => vec![column.name.clone()],
            Kind::Categorical { categories, .. } => {
                categories.iter().map(|category| format!("{}={category}", column.name)).collect()
            }
        };
        self.inputs.iter().flat_map(features).collect()
    }

    /// The name of the column to predict.
    pub fn target(&self) -> &str {
        &self.target.name
    }

    /// The names of the classes; empty if the target is numeric.
    pub fn classes(&self) -> &[String] {
        match &self.target.kind {
            Kind::Numeric { .. } => &[],
            Kind::Categorical { categories, .. } => categories,
        }
    }

    pub(super) fn from_table(table: &RawTable, options: &CsvOptions) -> Result<Self> {
        let target = match &options.target {
            Some(name) => table.find(name)?,
            None => table.names.len() - 1,
        };
        for name in options.ignored.iter().chain(&options.categorical) {
            table.find(name)?;
        }
        let ignored = |&column: &usize| options.ignored.contains(&table.names[column]);
        if ignored(&target) {
            return Err(table.column_error(target, "expected a target that is not ignored".into()));
        }
        let inputs: Vec<usize> =
            (0..table.names.len()).filter(|column| *column != target && !ignored(column)).collect();
        if inputs.is_empty() {
            return Err(file_error(&table.path, "expected a column of inputs beside the target, got none"));
        }
        let kept = kept_rows(table, &options.format, &inputs, target)?;
        let column = |column: usize| {
            let name = table.names[column].clone();
            let categorical = match column == target {
                true => options.categorical_target,
                false => options.categorical.contains(&name),
            };
            let kind = infer_kind(table, &options.format, &kept, column, categorical)?;
            if let Kind::Categorical { categories, .. } = &kind
                && categories.len() > options.max_categories
                && column != target
            {
                let (most, count) = (options.max_categories, categories.len());
                let message = format!("expected at most {most} categories, got {count}");
                let error = table.column_error(column, message);
                return Err(RawTable::hinted(error, CsvHint::MaxCategories));
            }
            Ok(Column { name, kind })
        };
        Ok(CsvSchema {
            format: options.format.clone(),
            inputs: inputs.iter().map(|&input| column(input)).collect::<Result<_>>()?,
            target: column(target)?,
        })
    }

    fn input_columns(&self, table: &RawTable) -> Result<Vec<usize>> {
        self.inputs.iter().map(|column| table.find(&column.name)).collect()
    }

    pub(super) fn encode(&self, table: &RawTable) -> Result<LabeledDataset> {
        let columns = self.input_columns(table)?;
        let target = table.find(&self.target.name)?;
        let kept = kept_rows(table, &self.format, &columns, target)?;
        let (mut inputs, mut numbers, mut classes) = (Vec::new(), Vec::new(), Vec::new());
        // A map, since there may be as many classes as rows. The first of two equal names counts.
        let known: HashMap<&str, usize> =
            self.classes().iter().enumerate().rev().map(|(i, name)| (name.as_str(), i)).collect();
        for &row in &kept {
            let (line, record) = &table.rows[row];
            self.encode_inputs(table, *line, record, &columns, &mut inputs)?;
            match &self.target.kind {
                Kind::Numeric { .. } => numbers.push(parse_number(table, *line, target, &record[target])?),
                Kind::Categorical { categories, .. } => {
                    let class = known.get(&record[target]);
                    let class =
                        class.ok_or_else(|| unknown(table, *line, target, categories, &record[target]))?;
                    classes.push(*class as u32);
                }
            }
        }
        let features = self.features();
        Ok(LabeledDataset {
            inputs: Tensor::from_vec(inputs, (kept.len(), features.len()), &Device::Cpu)?,
            targets: match &self.target.kind {
                Kind::Numeric { .. } => Tensor::from_vec(numbers, (kept.len(), 1), &Device::Cpu)?,
                Kind::Categorical { .. } => Tensor::from_vec(classes, kept.len(), &Device::Cpu)?,
            },
            classes: self.classes().to_vec(),
            features,
        })
    }

    fn encode_inputs(
        &self,
        table: &RawTable,
        line: usize,
        record: &csv::StringRecord,
        columns: &[usize],
        inputs: &mut Vec<f32>,
    ) -> Result<()> {
        for (&index, column) in columns.iter().zip(&self.inputs) {
            let value = &record[index];
            let missing = self.format.is_missing(value);
            match &column.kind {
                Kind::Numeric { mean } if missing => inputs.push(*mean),
                Kind::Numeric { .. } => inputs.push(parse_number(table, line, index, value)?),
                Kind::Categorical { categories, most_frequent } => {
                    let found = categories.iter().position(|category| category == value);
                    let found = if missing { Some(*most_frequent) } else { found };
                    let found = found.ok_or_else(|| unknown(table, line, index, categories, value))?;
                    inputs.extend((0..categories.len()).map(|i| f32::from(u8::from(i == found))));
                }
            }
        }
        Ok(())
    }
}

impl Format {
    fn is_missing(&self, value: &str) -> bool {
        self.na_values.iter().any(|missing| missing == value)
    }
}

/// JSON that [`parse`](str::parse) reads.
impl fmt::Display for CsvSchema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&serde_json::to_string(self).map_err(|_| fmt::Error)?)
    }
}

impl FromStr for CsvSchema {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let refuse = |got: String| Error::argument("CsvSchema", "the text of a schema", got);
        let schema: CsvSchema = serde_json::from_str(text).map_err(|error| refuse(error.to_string()))?;
        if schema.inputs.is_empty() {
            return Err(refuse("no column of inputs".into()));
        }
        for Column { name, kind } in schema.inputs.iter().chain([&schema.target]) {
            let valid = match kind {
                Kind::Numeric { mean } => mean.is_finite(),
                Kind::Categorical { categories, most_frequent } => *most_frequent < categories.len(),
            };
            if !valid {
                return Err(refuse(format!("{kind:?} as column {name:?}")));
            }
        }
        Ok(schema)
    }
}

fn parse_number(table: &RawTable, line: usize, column: usize, value: &str) -> Result<f32> {
    let number: Option<f32> = value.parse().ok();
    number.filter(|number| number.is_finite()).ok_or_else(|| {
        let what = if number.is_some() { "a finite number (of 32 bits)" } else { "a number" };
        table.value_error(line, column, format!("expected {what}, got {value:?}"))
    })
}

/// The error of a value that is no known category.
fn unknown(table: &RawTable, line: usize, column: usize, categories: &[String], value: &str) -> Error {
    let some = categories.iter().take(10).map(String::as_str).collect::<Vec<_>>().join(", ");
    let more = if categories.len() > 10 { ", …" } else { "" };
    table.value_error(line, column, format!("expected one of {some}{more}, got {value:?}"))
}

/// The rows that are used.
fn kept_rows(table: &RawTable, format: &Format, inputs: &[usize], target: usize) -> Result<Vec<usize>> {
    let mut kept = Vec::with_capacity(table.rows.len());
    for (row, (line, record)) in table.rows.iter().enumerate() {
        let mut columns = inputs.iter().chain([&target]);
        let gap = match format.missing {
            Missing::Fill => Some(&target).filter(|&&column| format.is_missing(&record[column])),
            _ => columns.find(|&&column| format.is_missing(&record[column])),
        };
        match (gap, format.missing) {
            (None, _) => kept.push(row),
            (Some(_), Missing::Drop) => {}
            (Some(&column), missing) => {
                let what = if missing == Missing::Fill { "a target" } else { "a value" };
                let message = format!("expected {what}, got {:?}", &record[column]);
                let error = table.value_error(*line, column, message);
                return Err(RawTable::hinted(error, CsvHint::Missing));
            }
        }
    }
    if kept.is_empty() {
        return Err(file_error(&table.path, "expected a row without missing values, got none"));
    }
    Ok(kept)
}

/// Whether a column is numeric or categorical, and its mean or categories.
fn infer_kind(
    table: &RawTable,
    format: &Format,
    kept: &[usize],
    column: usize,
    categorical: bool,
) -> Result<Kind> {
    let (mut counts, mut sum, mut n) = (BTreeMap::<&str, usize>::new(), 0.0, 0);
    let (mut first_number, mut first_text) = (None, None);
    for &row in kept {
        let (line, record) = &table.rows[row];
        let value = &record[column];
        if format.is_missing(value) {
            continue;
        }
        *counts.entry(value).or_default() += 1;
        n += 1;
        match value.parse::<f64>() {
            Ok(x) => {
                sum += x;
                first_number = first_number.or(Some(*line));
            }
            Err(_) => first_text = first_text.or(Some((*line, value))),
        }
    }
    if n == 0 {
        let error = table.column_error(column, "expected a value, got none in any row".into());
        return Err(RawTable::hinted(error, CsvHint::Ignore));
    }
    match (first_number, first_text) {
        (Some(like), Some((line, odd))) if !categorical => {
            let message = format!("expected a number, as in line {like}, got {odd:?}");
            Err(RawTable::hinted(table.value_error(line, column, message), CsvHint::Categorical))
        }
        (Some(_), None) if !categorical => Ok(Kind::Numeric { mean: (sum / n as f64) as f32 }),
        (_, text) => {
            let mut all: Vec<(&str, usize)> = counts.into_iter().collect();
            if text.is_none() {
                // 2 comes before 10.
                all.sort_by(|a, b| {
                    let [a, b] =
                        [a.0, b.0].map(|name| name.parse::<f64>().expect("the column has only numbers"));
                    a.total_cmp(&b)
                });
            }
            let most_frequent = (0..all.len()).rev().max_by_key(|&i| all[i].1).expect("n > 0");
            let categories = all.into_iter().map(|(name, _)| name.into()).collect();
            Ok(Kind::Categorical { categories, most_frequent })
        }
    }
}
