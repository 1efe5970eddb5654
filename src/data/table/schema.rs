//! What the columns of a table are.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use candle_core::Device;

use super::raw::{self, Rows};
use super::{CsvOptions, Missing};
use crate::autograd::Tensor;
use crate::data::LabeledDataset;
use crate::error::Result;
use crate::file::file_error;

/// What the columns of a table are, found in one file and used for others: a test set is read with the names, the classes
/// and the means of the training set. As a text (`to_string`, `parse`) it can be kept with a model.
///
/// ```
/// use tealight::data::{CsvOptions, CsvSchema};
/// let [train, test] = ["train", "test"].map(|part| std::env::temp_dir().join(format!("tealight-doc-{part}.csv")));
/// std::fs::write(&train, "size,price\nsmall,1\nlarge,2\n")?;
/// std::fs::write(&test, "size,price\nlarge,3\n")?;
/// let schema = CsvSchema::infer(&train, &CsvOptions::new().target("price"))?;
/// let data = schema.read(&test)?;
/// assert_eq!(data.features, ["size=large", "size=small"]);
/// assert_eq!(data.inputs.to_vec2::<f32>()?, [[1.0, 0.0]]);
/// assert_eq!(data.targets.to_vec2::<f32>()?, [[3.0]]);
/// # std::fs::remove_file(train).ok();
/// # std::fs::remove_file(test).ok();
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct CsvSchema {
    pub(super) options: CsvOptions,
    pub(super) inputs: Vec<Column>,
    pub(super) target: Column,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Column {
    pub(super) name: String,
    pub(super) kind: Kind,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Kind {
    Numbers { mean: f64 },
    Names { names: Vec<String>, most_frequent: usize },
}

impl CsvSchema {
    /// The columns of the table in a file.
    ///
    /// # Errors
    /// As [`read_csv`](super::read_csv).
    ///
    /// ```
    /// use tealight::data::{CsvOptions, CsvSchema};
    /// let path = std::env::temp_dir().join("tealight-doc-schema-of.csv");
    /// std::fs::write(&path, "size,price\nsmall,1\nlarge,2\n")?;
    /// assert_eq!(CsvSchema::infer(&path, &CsvOptions::new())?.target(), "price");
    /// assert!(CsvSchema::infer(&path, &CsvOptions::new().target("colour")).is_err());
    /// # std::fs::remove_file(path).ok();
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn infer(path: impl AsRef<Path>, options: &CsvOptions) -> Result<Self> {
        let rows = raw::read(path.as_ref(), options)?;
        let schema = CsvSchema::from_rows(&rows, options)?;
        // An error in it is told now.
        schema.encode(rows)?;
        Ok(schema)
    }

    /// The table in a file that has the same columns, perhaps in another order; other columns are passed over.
    ///
    /// # Errors
    /// As [`read_csv`](super::read_csv); a name that was not in the first file.
    ///
    /// ```
    /// use tealight::data::{CsvOptions, CsvSchema};
    /// let [old, new] = ["old", "new"].map(|name| std::env::temp_dir().join(format!("tealight-doc-schema-{name}.csv")));
    /// std::fs::write(&old, "size,kind\n1,a\n2,b\n")?;
    /// std::fs::write(&new, "kind,size\nb,3\nc,4\n")?;
    /// let schema = CsvSchema::infer(&old, &CsvOptions::new().target("kind"))?;
    /// assert!(schema.read(&new).unwrap_err().to_string().contains("expected one of a, b, got \"c\""));
    /// # std::fs::remove_file(old).ok();
    /// # std::fs::remove_file(new).ok();
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn read(&self, path: impl AsRef<Path>) -> Result<LabeledDataset> {
        self.encode(raw::read(path.as_ref(), &self.options)?)
    }

    /// The inputs alone of a table in a file, (n, columns): its columns may come in another order, and the target need not be
    /// among them. No row is left out: a missing value is filled, or else an error.
    ///
    /// # Errors
    /// A file that cannot be read or has no rows, a column that is not there, a name that was not in the first file, a missing
    /// value that is not filled. Each names the file, the line and the column.
    ///
    /// ```
    /// use tealight::data::{CsvOptions, CsvSchema};
    /// let [known, new] = ["known", "new"].map(|part| std::env::temp_dir().join(format!("tealight-doc-{part}.csv")));
    /// std::fs::write(&known, "size,colour,kind\n1,red,a\n2,blue,b\n")?;
    /// std::fs::write(&new, "colour,size\nblue,3\n")?;
    /// let schema = CsvSchema::infer(&known, &CsvOptions::new().target("kind"))?;
    /// assert_eq!(schema.read_inputs(&new)?.to_vec2::<f32>()?, [[3.0, 1.0, 0.0]]);
    /// # std::fs::remove_file(known).ok();
    /// # std::fs::remove_file(new).ok();
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn read_inputs(&self, path: impl AsRef<Path>) -> Result<Tensor> {
        let rows = raw::read(path.as_ref(), &self.options)?;
        let places = self.inputs.iter().map(|column| rows.find(&column.name)).collect::<Result<Vec<_>>>()?;
        let mut inputs = Vec::new();
        for (row, (line, record)) in rows.rows.iter().enumerate() {
            let gap = places.iter().find(|&&place| is_missing(&self.options, &record[place]));
            if let Some(&place) = gap.filter(|_| self.options.missing != Missing::Fill) {
                return Err(rows.wrong(*line, place, format!("expected a value, got {:?}", &record[place])));
            }
            self.row(&rows, row, &places, &mut inputs)?;
        }
        Tensor::from_vec(inputs, (rows.rows.len(), self.features().len()), &Device::Cpu)
    }

    /// What each column of the inputs measures.
    ///
    /// ```
    /// use tealight::data::{CsvOptions, CsvSchema};
    /// let path = std::env::temp_dir().join("tealight-doc-schema-features.csv");
    /// std::fs::write(&path, "size,colour,price\n1,red,5\n2,blue,6\n")?;
    /// let schema = CsvSchema::infer(&path, &CsvOptions::new())?;
    /// assert_eq!(schema.features(), ["size", "colour=blue", "colour=red"]);
    /// # std::fs::remove_file(path).ok();
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn features(&self) -> Vec<String> {
        self.inputs.iter().flat_map(Column::features).collect()
    }

    /// The column that is to be predicted.
    ///
    /// ```
    /// use tealight::data::{CsvOptions, CsvSchema};
    /// let path = std::env::temp_dir().join("tealight-doc-schema-target.csv");
    /// std::fs::write(&path, "size,price\n1,5\n2,6\n")?;
    /// assert_eq!(CsvSchema::infer(&path, &CsvOptions::new())?.target(), "price"); // the last column
    /// # std::fs::remove_file(path).ok();
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn target(&self) -> &str {
        &self.target.name
    }

    /// The names of the classes; none if numbers are predicted.
    ///
    /// ```
    /// use tealight::data::{CsvOptions, CsvSchema};
    /// let path = std::env::temp_dir().join("tealight-doc-schema-classes.csv");
    /// std::fs::write(&path, "size,kind\n1,dog\n2,cat\n")?;
    /// assert_eq!(CsvSchema::infer(&path, &CsvOptions::new())?.classes(), ["cat", "dog"]);
    /// assert!(CsvSchema::infer(&path, &CsvOptions::new().target("size"))?.classes().is_empty());
    /// # std::fs::remove_file(path).ok();
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn classes(&self) -> &[String] {
        match &self.target.kind {
            Kind::Numbers { .. } => &[],
            Kind::Names { names, .. } => names,
        }
    }

    pub(super) fn from_rows(rows: &Rows, options: &CsvOptions) -> Result<Self> {
        let target = match &options.target {
            Some(name) => rows.find(name)?,
            None => rows.names.len() - 1,
        };
        for name in options.ignored.iter().chain(&options.categorical) {
            rows.find(name)?;
        }
        let ignored = |&column: &usize| options.ignored.contains(&rows.names[column]);
        if ignored(&target) {
            return Err(rows.wrong_column(target, "expected a target that is not ignored".into()));
        }
        let inputs: Vec<usize> =
            (0..rows.names.len()).filter(|column| *column != target && !ignored(column)).collect();
        if inputs.is_empty() {
            return Err(file_error(&rows.path, "expected a column of inputs beside the target, got none"));
        }
        let kept = kept(rows, options, &inputs, target)?;
        let column = |column: usize| {
            let names = match column == target {
                true => options.classes,
                false => options.categorical.contains(&rows.names[column]),
            };
            let kind = kind(rows, options, &kept, column, names)?;
            if let Kind::Names { names, .. } = &kind
                && names.len() > options.most_names
                && column != target
            {
                let expected = format!("expected at most {} names", options.most_names);
                let hint = "it may be one to ignore, or CsvOptions::max_categories may allow more";
                return Err(rows.wrong_column(column, format!("{expected}, got {} ({hint})", names.len())));
            }
            Ok(Column { name: rows.names[column].clone(), kind })
        };
        Ok(CsvSchema {
            options: options.clone(),
            inputs: inputs.iter().map(|&input| column(input)).collect::<Result<_>>()?,
            target: column(target)?,
        })
    }

    pub(super) fn encode(&self, rows: Rows) -> Result<LabeledDataset> {
        let places = self.inputs.iter().map(|column| rows.find(&column.name)).collect::<Result<Vec<_>>>()?;
        let target = rows.find(&self.target.name)?;
        let kept = kept(&rows, &self.options, &places, target)?;
        let (mut inputs, mut numbers, mut classes) = (Vec::new(), Vec::new(), Vec::new());
        // There may be as many classes as rows. The first of two that are the same counts.
        let known: HashMap<&str, usize> =
            self.classes().iter().enumerate().rev().map(|(i, name)| (name.as_str(), i)).collect();
        for &row in &kept {
            self.row(&rows, row, &places, &mut inputs)?;
            // A missing target was refused or dropped, so that nothing stands in for it.
            match &self.target.kind {
                Kind::Numbers { .. } => numbers.push(self.number(&rows, row, target, f64::NAN)?),
                Kind::Names { names, .. } => classes.push(match known.get(&rows.rows[row].1[target]) {
                    Some(&class) => class as u32,
                    None => self.which(&rows, row, target, names, 0)? as u32,
                }),
            }
        }
        let features = self.features();
        let (targets, names) = match &self.target.kind {
            Kind::Numbers { .. } => (Tensor::from_vec(numbers, (kept.len(), 1), &Device::Cpu)?, Vec::new()),
            Kind::Names { names, .. } => {
                (Tensor::from_vec(classes, kept.len(), &Device::Cpu)?, names.clone())
            }
        };
        let inputs = Tensor::from_vec(inputs, (kept.len(), features.len()), &Device::Cpu)?;
        Ok(LabeledDataset { inputs, targets, classes: names, features })
    }

    /// Adds the inputs of a row.
    fn row(&self, rows: &Rows, row: usize, places: &[usize], inputs: &mut Vec<f32>) -> Result<()> {
        for (&place, column) in places.iter().zip(&self.inputs) {
            match &column.kind {
                Kind::Numbers { mean } => inputs.push(self.number(rows, row, place, *mean)?),
                Kind::Names { names, most_frequent } => {
                    let which = self.which(rows, row, place, names, *most_frequent)?;
                    inputs.extend((0..names.len()).map(|i| f32::from(u8::from(i == which))));
                }
            }
        }
        Ok(())
    }

    fn number(&self, rows: &Rows, row: usize, column: usize, mean: f64) -> Result<f32> {
        let (line, record) = &rows.rows[row];
        let value = &record[column];
        if is_missing(&self.options, value) {
            return Ok(mean as f32);
        }
        let number: Option<f32> = value.parse().ok();
        number.filter(|number| number.is_finite()).ok_or_else(|| {
            let what = if number.is_some() { "a finite number (of 32 bits)" } else { "a number" };
            rows.wrong(*line, column, format!("expected {what}, got {value:?}"))
        })
    }

    fn which(&self, rows: &Rows, row: usize, column: usize, names: &[String], fill: usize) -> Result<usize> {
        let (line, record) = &rows.rows[row];
        let value = &record[column];
        if is_missing(&self.options, value) {
            return Ok(fill);
        }
        names.iter().position(|name| name == value).ok_or_else(|| {
            let some = names.iter().take(10).map(String::as_str).collect::<Vec<_>>().join(", ");
            let more = if names.len() > 10 { ", …" } else { "" };
            rows.wrong(*line, column, format!("expected one of {some}{more}, got {value:?}"))
        })
    }
}

impl Column {
    fn features(&self) -> Vec<String> {
        match &self.kind {
            Kind::Numbers { .. } => vec![self.name.clone()],
            Kind::Names { names, .. } => names.iter().map(|name| format!("{}={name}", self.name)).collect(),
        }
    }
}

fn is_missing(options: &CsvOptions, value: &str) -> bool {
    options.marks.iter().any(|mark| mark == value)
}

/// The rows that are used.
fn kept(rows: &Rows, options: &CsvOptions, inputs: &[usize], target: usize) -> Result<Vec<usize>> {
    let mut kept = Vec::with_capacity(rows.rows.len());
    for (row, (line, record)) in rows.rows.iter().enumerate() {
        let mut columns = inputs.iter().chain([&target]);
        let gap = match options.missing {
            Missing::Fill => Some(&target).filter(|&&column| is_missing(options, &record[column])),
            _ => columns.find(|&&column| is_missing(options, &record[column])),
        };
        match (gap, options.missing) {
            (None, _) => kept.push(row),
            (Some(_), Missing::Drop) => {}
            (Some(&column), missing) => {
                let what = if missing == Missing::Fill { "a target" } else { "a value" };
                let hint = "CsvOptions::missing can drop such rows";
                let got = &record[column];
                return Err(rows.wrong(*line, column, format!("expected {what}, got {got:?} ({hint})")));
            }
        }
    }
    if kept.is_empty() {
        return Err(file_error(&rows.path, "expected a row without missing values, got none"));
    }
    Ok(kept)
}

/// Whether a column has numbers or names, and which.
fn kind(rows: &Rows, options: &CsvOptions, kept: &[usize], column: usize, names: bool) -> Result<Kind> {
    let (mut counts, mut sum, mut n) = (BTreeMap::<&str, usize>::new(), 0.0, 0);
    let (mut number, mut name) = (None, None);
    for &row in kept {
        let (line, record) = &rows.rows[row];
        let value = &record[column];
        if is_missing(options, value) {
            continue;
        }
        *counts.entry(value).or_default() += 1;
        n += 1;
        match value.parse::<f64>() {
            Ok(x) => {
                sum += x;
                number = number.or(Some((*line, value)));
            }
            Err(_) => name = name.or(Some((*line, value))),
        }
    }
    if n == 0 {
        let message = "expected a value, got none in any row (CsvOptions::ignore passes over the column)";
        return Err(rows.wrong_column(column, message.into()));
    }
    match (number, name) {
        (Some((like, _)), Some((line, odd))) if !names => {
            let hint = "CsvOptions::categorical or classes takes all values of a column as names";
            let message = format!("expected a number, as in line {like}, got {odd:?} ({hint})");
            Err(rows.wrong(line, column, message))
        }
        (Some(_), None) if !names => Ok(Kind::Numbers { mean: sum / n as f64 }),
        (_, odd) => {
            let mut all: Vec<(&str, usize)> = counts.into_iter().collect();
            if odd.is_none() {
                // 2 comes before 10.
                let value = |name: &str| name.parse().unwrap_or(f64::NAN);
                all.sort_by(|a, b| value(a.0).total_cmp(&value(b.0)));
            }
            let most = all.iter().map(|&(_, count)| count).max().unwrap_or(0);
            let most_frequent = all.iter().position(|&(_, count)| count == most).unwrap_or(0);
            Ok(Kind::Names { names: all.into_iter().map(|(name, _)| name.into()).collect(), most_frequent })
        }
    }
}
