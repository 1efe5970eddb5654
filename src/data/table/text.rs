//! A schema as a text, and back: a table of its own, with one line a column.

use std::fmt;
use std::str::FromStr;

use csv::{ReaderBuilder, StringRecord, WriterBuilder};

use super::schema::{Column, CsvSchema, Kind};
use super::{CsvOptions, Missing};
use crate::error::{Error, Result};

const MISSING: [(Missing, &str); 3] =
    [(Missing::Error, "error"), (Missing::Drop, "drop"), (Missing::Fill, "fill")];

/// A text that `parse` makes the same schema of.
///
/// ```
/// use tealight::data::{CsvOptions, CsvSchema};
/// let path = std::env::temp_dir().join("tealight-doc-schema.csv");
/// std::fs::write(&path, "size,colour,kind\n1,red,a\n2,blue,b\n")?;
/// let schema = CsvSchema::infer(&path, &CsvOptions::new().target("kind"))?;
/// let again: CsvSchema = schema.to_string().parse()?;
/// assert_eq!(again.features(), ["size", "colour=blue", "colour=red"]);
/// assert_eq!(again.classes(), ["a", "b"]);
/// # std::fs::remove_file(path).ok();
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
impl fmt::Display for CsvSchema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let options = &self.options;
        let missing = MISSING.iter().find(|(missing, _)| *missing == options.missing);
        let table = ["table", if options.header { "header" } else { "no header" }].map(String::from);
        let table = table
            .into_iter()
            .chain([options.delimiter.to_string(), missing.map_or("", |(_, word)| word).into()])
            .chain(options.marks.iter().cloned());
        let column = |Column { name, kind }: &Column| match kind {
            Kind::Numbers { mean } => vec!["numbers".into(), name.clone(), mean.to_string()],
            Kind::Names { names, most_frequent } => {
                let start = ["names".into(), name.clone(), most_frequent.to_string()];
                start.into_iter().chain(names.iter().cloned()).collect()
            }
        };
        let columns = self.inputs.iter().chain([&self.target]).map(column);
        let mut writer = WriterBuilder::new().flexible(true).from_writer(Vec::new());
        for record in [table.collect()].into_iter().chain(columns) {
            writer.write_record(&record).map_err(|_| fmt::Error)?;
        }
        let bytes = writer.into_inner().map_err(|_| fmt::Error)?;
        f.write_str(std::str::from_utf8(&bytes).map_err(|_| fmt::Error)?)
    }
}

impl FromStr for CsvSchema {
    type Err = Error;

    /// # Errors
    /// A text that is none of a schema.
    fn from_str(text: &str) -> Result<Self> {
        let wrong = |got: String| Error::argument("CsvSchema", "the text of a schema", got);
        let mut reader = ReaderBuilder::new().has_headers(false).flexible(true).from_reader(text.as_bytes());
        let mut records = reader.records().map(|record| record.map_err(|error| wrong(error.to_string())));
        let first = records.next().ok_or_else(|| wrong("nothing".into()))??;
        let mut options = options(&first).ok_or_else(|| wrong(format!("{first:?} as its first line")))?;
        let mut columns = Vec::new();
        for record in records {
            let record = record?;
            columns.push(column(&record).ok_or_else(|| wrong(format!("{record:?} as a column")))?);
        }
        match columns.pop() {
            Some(target) if !columns.is_empty() => {
                options.target = Some(target.name.clone());
                Ok(CsvSchema { options, inputs: columns, target })
            }
            _ => Err(wrong("fewer than two columns".into())),
        }
    }
}

fn options(record: &StringRecord) -> Option<CsvOptions> {
    let mut fields = record.iter();
    let header = match (fields.next()?, fields.next()?) {
        ("table", "header") => true,
        ("table", "no header") => false,
        _ => return None,
    };
    let delimiter = fields.next()?.parse().ok()?;
    let word = fields.next()?;
    let (missing, _) = MISSING.iter().find(|(_, known)| *known == word)?;
    let marks = fields.map(String::from).collect();
    Some(CsvOptions { header, delimiter, missing: *missing, marks, ..CsvOptions::new() })
}

fn column(record: &StringRecord) -> Option<Column> {
    let mut fields = record.iter();
    let (kind, name, number) = (fields.next()?, fields.next()?.to_string(), fields.next()?);
    let names: Vec<String> = fields.map(String::from).collect();
    let kind = match kind {
        "numbers" if names.is_empty() => {
            // It fills gaps between numbers of 32 bits.
            Kind::Numbers { mean: number.parse().ok().filter(|&mean: &f64| (mean as f32).is_finite())? }
        }
        "names" => {
            let most_frequent = number.parse().ok().filter(|&most| most < names.len())?;
            Kind::Names { names, most_frequent }
        }
        _ => return None,
    };
    Some(Column { name, kind })
}
