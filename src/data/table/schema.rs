//! [`TableSchema`]: which columns a table has and how they are encoded.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fmt;
use std::path::Path;
use std::str::FromStr;

use candle_core::{DType, Device};
use serde::{Deserialize, Serialize};

use super::date::{self, DateOrder};
use super::form::Form;
use super::marks::Marks;
use super::number::{self, NumberFormat, leading};
use super::raw::{self, Role, Row, Table};
use super::{Format, Missing, TableHint, TableOptions, composed, counted, text};
use crate::autograd::Tensor;
use crate::data::LabeledDataset;
use crate::error::{Error, Result};
use crate::file::file_error;

/// The columns of a table as found in one file: it reads other files with the same categories, classes and means.
///
/// `to_string` and `parse` convert it to text (JSON) and back, to keep it with a model.
///
/// ```
/// # use tealight::data::{TableOptions, TableSchema};
/// # let [train, test] = ["train", "test"].map(|part| std::env::temp_dir().join(format!("tealight-doc-{part}.csv")));
/// std::fs::write(&train, "size,price\nsmall,1\nlarge,2\n")?;
/// std::fs::write(&test, "size,price\nlarge,3\n")?;
/// let schema = TableSchema::infer(&train, &TableOptions::new().target("price"))?;
/// assert_eq!(schema.read(&test)?.inputs.to_vec2::<f32>()?, [[1.0, 0.0]]);
/// let saved: TableSchema = schema.to_string().parse()?;
/// assert_eq!(saved.features(), ["size=large", "size=small"]);
/// # std::fs::remove_file(train).ok();
/// # std::fs::remove_file(test).ok();
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TableSchema {
    format: Format,
    form: Form,
    /// Numbers of 64 bits.
    double: bool,
    pub(super) inputs: Vec<Column>,
    pub(super) target: Column,
    /// The currencies whose signs were left out.
    #[serde(default)]
    currencies: Vec<String>,
    #[serde(skip)]
    notes: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Column {
    name: String,
    kind: Kind,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum Kind {
    Numeric {
        #[serde(with = "exact")]
        mean: f64,
        /// All of them have a percent sign, or none has.
        #[serde(default)]
        percent: bool,
    },
    Date {
        order: DateOrder,
        timed: bool,
        #[serde(with = "exact")]
        mean: f64,
    },
    Categorical {
        categories: Vec<String>,
        most_frequent: usize,
    },
}

/// A number as text: `serde_json` reads some numbers of 64 bits with an error in the last.
mod exact {
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(x: &f64, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(x)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

/// What [`Missing::Fill`] put into the gaps of a column.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct FillValue {
    /// The name of the column.
    pub column: String,
    /// The number of gaps.
    pub count: usize,
    /// The text of the first gap, such as `NA`.
    pub text: String,
    /// The mean of the column, or its most frequent category.
    pub value: String,
}

/// A column of the inputs: [`TableSchema::columns`].
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct TableColumn<'a> {
    /// The name in the header.
    pub name: &'a str,
    /// What its values are.
    pub kind: ColumnKind<'a>,
}

/// What the values of a column are.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum ColumnKind<'a> {
    /// Numbers.
    Number {
        /// Their mean in the training rows.
        mean: f64,
    },
    /// Dates.
    Date,
    /// Dates with a time of day.
    DateTime,
    /// Times of day.
    Time,
    /// Words.
    Category {
        /// The words that are known.
        categories: &'a [String],
        /// The most frequent one of the training rows.
        most_frequent: &'a str,
    },
}

/// A value of a row: [`TableSchema::encode_values`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum TableValue<'a> {
    /// No value.
    Missing,
    /// A number; for a column of words, the word that is this number.
    Number(f64),
    /// Text as the table of the schema writes it, or a date with the year first.
    Text(&'a str),
}

/// As in an error.
impl fmt::Display for TableValue<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TableValue::Missing => write!(f, "none"),
            TableValue::Number(x) => write!(f, "{x}"),
            TableValue::Text(text) => write!(f, "{text:?}"),
        }
    }
}

impl TableSchema {
    /// Finds the columns of the table in a file, with the errors of [`read_csv`](super::read_csv).
    pub fn infer(path: impl AsRef<Path>, options: &TableOptions) -> Result<Self> {
        let table = Table::read(path, options)?;
        let schema = TableSchema::from_table(&table, options)?;
        // Values that cannot be encoded are an error now, not when the schema is used.
        schema.encode(&table)?;
        Ok(schema)
    }

    /// Reads a file with the same columns in any order; other columns are ignored.
    ///
    /// # Errors
    /// The errors of [`read_csv`](super::read_csv), and a category that the first file did not have.
    pub fn read(&self, path: impl AsRef<Path>) -> Result<LabeledDataset> {
        self.encode(&self.read_table(path)?)
    }

    /// Reads the inputs alone, (n, columns); the file needs no target column.
    ///
    /// Each row gives a row of inputs, so [`Missing::Drop`] makes a missing value an error.
    ///
    /// ```
    /// # use tealight::data::{TableOptions, TableSchema};
    /// # let [known, new] = ["known", "new"].map(|part| std::env::temp_dir().join(format!("tealight-doc-{part}.csv")));
    /// std::fs::write(&known, "size,colour,kind\n1,red,a\n2,blue,b\n")?;
    /// std::fs::write(&new, "colour,size\nblue,3\n")?;
    /// let schema = TableSchema::infer(&known, &TableOptions::new().target("kind"))?;
    /// assert_eq!(schema.read_inputs(&new)?.to_vec2::<f32>()?, [[3.0, 1.0, 0.0]]);
    /// # std::fs::remove_file(known).ok();
    /// # std::fs::remove_file(new).ok();
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn read_inputs(&self, path: impl AsRef<Path>) -> Result<Tensor> {
        let rows: Vec<Vec<f64>> =
            self.encode_rows(&self.read_table(path)?)?.into_iter().collect::<Result<_>>()?;
        self.tensor(rows.concat(), rows.len(), self.features().len())
    }

    /// Reads the table in a file as the first one was read, or in another form if that was recognised ([`TableOptions::auto`]).
    pub fn read_table(&self, path: impl AsRef<Path>) -> Result<Table> {
        let names = self.input_names();
        Table::open(path.as_ref(), &self.format, Some((&self.form, &names)))
    }

    /// Reads a table as [`read_table`](TableSchema::read_table) does from the bytes of a file; `name` stands for the path in errors.
    pub fn table_from_bytes(&self, name: impl AsRef<Path>, bytes: &[u8]) -> Result<Table> {
        let names = self.input_names();
        let contents = text::contents(name.as_ref(), bytes.into(), &self.format, self.form.sheet.as_deref())?;
        Table::from_contents(name.as_ref(), contents, &self.format, Some((&self.form, &names)))
    }

    /// The columns that [`encode_values`](TableSchema::encode_values) needs, in their order.
    pub fn columns(&self) -> Vec<TableColumn<'_>> {
        let kind = |kind| match kind {
            &Kind::Numeric { mean, .. } => ColumnKind::Number { mean },
            Kind::Date { order: DateOrder::Time, .. } => ColumnKind::Time,
            Kind::Date { timed: true, .. } => ColumnKind::DateTime,
            Kind::Date { .. } => ColumnKind::Date,
            Kind::Categorical { categories, most_frequent } => {
                ColumnKind::Category { categories, most_frequent: &categories[*most_frequent] }
            }
        };
        self.inputs
            .iter()
            .map(|column| TableColumn { name: &column.name, kind: kind(&column.kind) })
            .collect()
    }

    /// The names of the columns of the inputs: `size` for a number, `colour=red` for a category.
    pub fn features(&self) -> Vec<String> {
        let features = |column: &Column| match &column.kind {
            Kind::Numeric { .. } => vec![column.name.clone()],
            Kind::Date { order, timed, .. } => date::names(&column.name, *order, *timed),
            Kind::Categorical { categories, .. } => {
                categories.iter().map(|category| format!("{}={category}", column.name)).collect()
            }
        };
        self.inputs.iter().flat_map(features).collect()
    }

    /// How many [features](TableSchema::features) each of the [columns](TableSchema::columns) gives.
    pub fn feature_counts(&self) -> Vec<usize> {
        let count = |column: &Column| match &column.kind {
            Kind::Numeric { .. } => 1,
            Kind::Date { order, timed, .. } => date::names("", *order, *timed).len(),
            Kind::Categorical { categories, .. } => categories.len(),
        };
        self.inputs.iter().map(count).collect()
    }

    /// The name of the column to predict.
    pub fn target(&self) -> &str {
        &self.target.name
    }

    /// The names of the classes; empty if the target is numeric.
    pub fn classes(&self) -> &[String] {
        match &self.target.kind {
            Kind::Categorical { categories, .. } => categories,
            _ => &[],
        }
    }

    /// How the table was read: `; between columns, decimal comma, 3 numbers, 2 words, 1 date, 1 in percent (12 % is 0.12), in €`.
    pub fn summary(&self) -> String {
        let kinds = || self.inputs.iter().chain([&self.target]).map(|column| &column.kind);
        let counts = [
            ("number", kinds().filter(|kind| matches!(kind, Kind::Numeric { .. })).count()),
            ("word", kinds().filter(|kind| matches!(kind, Kind::Categorical { .. })).count()),
            ("date", kinds().filter(|kind| matches!(kind, Kind::Date { .. })).count()),
        ];
        let counts = counts.iter().filter(|(_, count)| *count > 0);
        let text =
            counts.fold(self.form.to_string(), |text, (name, count)| text + ", " + &counted(*count, name));
        let percent = kinds().filter(|kind| matches!(kind, Kind::Numeric { percent: true, .. })).count();
        let percent =
            if percent > 0 { format!(", {percent} in percent (12 % is 0.12)") } else { String::new() };
        match &self.currencies[..] {
            [] => text + &percent,
            some => format!("{text}{percent}, in {}", some.join(", ")),
        }
    }

    /// What should be looked at: columns that were left out, dates that can be read in two ways, and columns that number the rows or
    /// give the target away. Empty after `parse`.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// Finds the columns of a table, with the errors of [`read_csv`](super::read_csv).
    pub fn from_table(table: &Table, options: &TableOptions) -> Result<Self> {
        let format = &options.format;
        let target = match &options.target {
            Some(name) => table.find(name)?,
            None => {
                let rows = |&column: &usize| table.metadata.roles.get(column) == Some(&Role::Index);
                (0..table.names.len()).rev().find(|column| !rows(column)).unwrap_or(0)
            }
        };
        let unread = |name: &String| table.metadata.unread.iter().any(|(unread, _)| unread == name);
        for name in options.ignored.iter().filter(|name| !unread(name)).chain(&options.categorical) {
            table.find(name)?;
        }
        if let Some((name, kind)) =
            table.metadata.unread.iter().find(|(name, _)| !options.ignored.contains(name))
        {
            let message =
                format!("column {name:?}: expected numbers, words, dates or lists of numbers, got {kind}");
            return Err(Table::hinted(file_error(&table.path, message), TableHint::Ignore));
        }
        let ignored = |column: usize| options.ignored.contains(&table.names[column]);
        if ignored(target) {
            return Err(table.column_error(target, "expected a target that is not ignored".into()));
        }
        let mut notes = Vec::new();
        let mut inputs = Vec::new();
        for (column, name) in table.names.iter().enumerate().filter(|(i, _)| *i != target && !ignored(*i)) {
            if name.starts_with("Unnamed: ")
                && !options.categorical.contains(name)
                && is_index(table, format, column)
            {
                notes.push(format!("column {} has no name and numbers the rows: left out", column + 1));
            } else if table.metadata.roles.get(column) == Some(&Role::Index)
                && !options.categorical.contains(name)
            {
                notes.push(format!("column {name:?} has the names of the rows: left out"));
            } else {
                inputs.push(column);
            }
        }
        if inputs.is_empty() {
            let error = file_error(&table.path, "expected a column of inputs beside the target, got none");
            let one = table.names.len() == 1;
            return Err(if one { Table::hinted(error, TableHint::Delimiter) } else { error });
        }
        let kept = kept_rows(table, format, &inputs, target)?;
        let mut column = |column: usize| {
            let name = table.names[column].clone();
            let categorical = match column == target {
                true => options.categorical_target,
                false => options.categorical.contains(&name),
            };
            let categorical = categorical || table.metadata.roles.get(column) == Some(&Role::Words);
            let kind = infer_kind(table, format, &kept, column, categorical, column != target, &mut notes)?;
            if let Kind::Categorical { categories, .. } = &kind
                && categories.len() > options.max_categories
                && column != target
            {
                let (most, count) = (options.max_categories, categories.len());
                let message = format!("expected at most {most} categories, got {count}");
                let error = table.column_error(column, message);
                return Err(Table::hinted(error, TableHint::MaxCategories));
            }
            Ok(Column { name, kind })
        };
        let columns = inputs.iter().map(|&input| column(input)).collect::<Result<Vec<_>>>()?;
        let target_column = column(target)?;
        let mut currencies = Vec::new();
        for (&index, column) in inputs.iter().zip(&columns).chain([(&target, &target_column)]) {
            if matches!(column.kind, Kind::Numeric { .. }) {
                let cells = kept.iter().filter_map(|&row| table.rows[row].cells.get(index));
                let found: BTreeSet<&str> = cells.filter_map(number::currency).collect();
                if found.len() > 1 {
                    let found = found.iter().copied().collect::<Vec<_>>().join(", ");
                    notes.push(format!("column {:?} has several currencies: {found}", column.name));
                }
                currencies.extend(found);
            }
        }
        currencies.sort_unstable();
        currencies.dedup();
        for (&input, column) in inputs.iter().zip(&columns) {
            notes.extend(giveaway(table, format, &kept, (input, column), (target, &target_column)));
        }
        Ok(TableSchema {
            // Another file may have another sheet, or none.
            format: Format { sheet: None, ..format.clone() },
            form: table.form.clone(),
            double: options.dtype == DType::F64,
            inputs: columns,
            target: target_column,
            currencies: currencies.into_iter().map(String::from).collect(),
            notes,
        })
    }

    /// Takes what [`Missing::Fill`] fills in from these rows of the table alone: those to train on. A column without a value in them
    /// keeps what it had.
    pub fn fill_from(&mut self, table: &Table, rows: &[usize]) -> Result<()> {
        let columns = self.input_columns(table)?;
        let format = &self.format;
        for (index, column) in columns.into_iter().zip(&mut self.inputs) {
            let values =
                rows.iter().filter_map(|&row| table.rows.get(row)).filter_map(|row| row.cells.get(index));
            let values = values.filter(|value| !format.is_missing(value));
            let numbers = |parse: &dyn Fn(&str) -> Option<f64>| {
                mean(&values.clone().filter_map(parse).collect::<Vec<_>>())
            };
            match &mut column.kind {
                Kind::Numeric { mean, .. } => {
                    *mean = numbers(&|text| table.form.numbers.parse(text)).unwrap_or(*mean)
                }
                Kind::Date { order, mean, .. } => {
                    *mean = numbers(&|text| date::parse(text, *order)).unwrap_or(*mean)
                }
                Kind::Categorical { categories, most_frequent } => {
                    let mut counts = vec![0; categories.len()];
                    let found = values.filter_map(|value| category(categories, table.form.numbers, value));
                    found.for_each(|category| counts[category] += 1);
                    if counts.iter().any(|count| *count > 0) {
                        *most_frequent = first_largest(&counts);
                    }
                }
            }
        }
        Ok(())
    }

    /// What [`Missing::Fill`] fills into these rows of the table: an entry for each column with gaps.
    pub fn fill_values(&self, table: &Table, rows: &[usize]) -> Result<Vec<FillValue>> {
        let mut all = Vec::new();
        for (index, column) in self.input_columns(table)?.into_iter().zip(&self.inputs) {
            let cells =
                rows.iter().filter_map(|&row| table.rows.get(row)).filter_map(|row| row.cells.get(index));
            let mut gaps = cells.filter(|value| self.format.is_missing(value)).peekable();
            let value = match &column.kind {
                Kind::Numeric { mean, .. } => format!("the mean {}", short(*mean)),
                Kind::Date { .. } => "the mean date".into(),
                Kind::Categorical { categories, most_frequent } => {
                    format!("{:?}", categories[*most_frequent])
                }
            };
            if let Some(text) = gaps.peek().map(|text| text.to_string()) {
                all.push(FillValue { column: column.name.clone(), count: gaps.count(), text, value });
            }
        }
        Ok(all)
    }

    fn input_columns(&self, table: &Table) -> Result<Vec<usize>> {
        self.inputs.iter().map(|column| table.find(&column.name)).collect()
    }

    /// The rows of a table that [`encode`](TableSchema::encode) takes: all, or with [`Missing::Drop`] those without a gap.
    pub fn used_rows(&self, table: &Table) -> Result<Vec<usize>> {
        kept_rows(table, &self.format, &self.input_columns(table)?, table.find(&self.target.name)?)
    }

    /// The same, of a part of a table, where there may be none.
    pub(super) fn full_rows(&self, table: &Table) -> Result<Vec<usize>> {
        full_rows(table, &self.format, &self.input_columns(table)?, table.find(&self.target.name)?)
    }

    /// The inputs and targets of a table, with the errors of [`read`](TableSchema::read).
    pub fn encode(&self, table: &Table) -> Result<LabeledDataset> {
        let kept = self.used_rows(table)?;
        let (inputs, targets) = self.encode_text(table, &kept)?;
        Ok(LabeledDataset { inputs, targets, classes: self.classes().to_vec(), features: self.features() })
    }

    /// The inputs and targets of a part of a table; `None` if all its rows are dropped.
    pub(super) fn piece(&self, table: &Table) -> Result<Option<(Tensor, Tensor)>> {
        let kept = self.full_rows(table)?;
        if kept.is_empty() { Ok(None) } else { self.encode_text(table, &kept).map(Some) }
    }

    /// [`piece`](TableSchema::piece) of a later part of a table's text, whose values are read where they stand; `None` if some need a
    /// closer look: quotes, letters beyond ASCII, and whatever is an error.
    pub(super) fn plain_piece(&self, head: &Table, text: &str) -> Option<Option<(Tensor, Tensor)>> {
        let (numbers, delimiter) = (head.form.numbers, head.form.delimiter);
        if !text.is_ascii() || !raw::is_plain(text, delimiter) || !Marks::has(delimiter) {
            return None;
        }
        let missing = self.format.missing_words();
        let in_digits = numbers == NumberFormat::PLAIN
            && !self.format.na_values.iter().any(|word| leading(word.as_bytes()).is_some());
        // What each column of the text is for: an input, with its places in a row, or the target; or nothing.
        let mut uses = vec![None; head.names().len()];
        let mut width = 0;
        for (column, count) in self.inputs.iter().zip(self.feature_counts()) {
            let first =
                uses[head.find(&column.name).ok()?].replace((Some(&column.kind), width..width + count));
            width += count;
            first.is_none().then_some(())?;
        }
        let first = uses[head.find(&self.target.name).ok()?].replace((None, 0..0));
        first.is_none().then_some(())?;
        // The place of each column that is nothing but a number.
        let plain: Vec<Option<usize>> = uses
            .iter()
            .map(|use_| match use_ {
                Some((Some(Kind::Numeric { percent: false, .. }), place)) if in_digits => Some(place.start),
                _ => None,
            })
            .collect();
        let bytes = text.as_bytes();
        let is_end = |at: usize| bytes.get(at).is_none_or(|&byte| raw::ends(byte));
        let is_last = |at: usize| is_end(at) || bytes[at] == delimiter;
        let (mut inputs, mut targets) = (Inputs::new(self), Targets::new(self));
        let (mut marks, mut at, mut row) = (Marks::of(bytes), 0, vec![0.0; width]);
        loop {
            // A line without anything is no row.
            if at < bytes.len() && is_end(at) {
                at += bytes[at..].iter().take_while(|&&byte| raw::ends(byte)).count();
                marks.seek(at);
            }
            if at == bytes.len() {
                break;
            }
            let (begin, known, mut gap) = (at, targets.len(), false);
            for (column, &place) in plain.iter().enumerate() {
                let last = column + 1 == plain.len();
                let ended = |end| if last { is_end(end) } else { bytes.get(end) == Some(&delimiter) };
                let mut end = marks.next();
                if let Some(place) = place
                    && ended(end)
                    && let Some(x) = number::short(bytes, at, end)
                {
                    row[place] = x;
                    at = end + 1;
                    continue;
                }
                while !is_last(end) {
                    end = marks.next();
                }
                if !ended(end) {
                    return None;
                }
                let value = &bytes[at..end];
                if let Some(place) = place
                    && let Some((x, length)) = leading(value)
                    && length == value.len()
                    && self.fits(x)
                {
                    row[place] = x;
                    at = end + 1;
                    continue;
                }
                let spaced = [value.first(), value.last()].into_iter().flatten().any(|&byte| byte <= b' ');
                let value = if spaced { text[at..end].trim() } else { &text[at..end] };
                at = end + 1;
                let value =
                    if missing.contains(value) { TableValue::Missing } else { TableValue::Text(value) };
                match &uses[column] {
                    None => {}
                    Some(_) if value == TableValue::Missing && self.format.missing == Missing::Drop => {
                        gap = true
                    }
                    Some((Some(kind), place)) => {
                        self.encode_value(kind, numbers, value, &mut row[place.clone()]).ok()?;
                    }
                    Some((None, _)) => targets.push(numbers, value).ok()?,
                }
            }
            at = at.min(bytes.len());
            if gap {
                targets.truncate(known);
                continue;
            }
            if inputs.is_empty() {
                // About as many rows as there are of the length of the first.
                inputs.reserve((bytes.len() / (at - begin) + 1) * width);
            }
            inputs.extend(&row);
        }
        let rows = targets.len();
        if rows == 0 {
            return Some(None);
        }
        Some(Some((inputs.tensor(rows, width).ok()?, targets.tensor().ok()?)))
    }

    fn encode_text(&self, table: &Table, rows: &[usize]) -> Result<(Tensor, Tensor)> {
        let columns = [self.input_columns(table)?, vec![table.find(&self.target.name)?]].concat();
        let missing = self.format.missing_words();
        let value = |row: usize, column: usize| {
            let text = &table.rows[row].cells[columns[column]];
            if missing.contains(text) { TableValue::Missing } else { TableValue::Text(text) }
        };
        let error = |row: usize, column: usize, error: String| {
            table.value_error(table.rows[row].line, columns[column], error)
        };
        self.encode_rows_of(rows, table.form.numbers, |_| None, value, error)
    }

    /// The inputs and targets of rows by their values: the columns are those of the inputs, and then the target. Those that `whole`
    /// knows are numbers, NaN where there is none.
    pub(super) fn encode_rows_of<'v>(
        &self,
        rows: &[usize],
        numbers: NumberFormat,
        whole: impl Fn(usize) -> Option<&'v [f64]>,
        value: impl Fn(usize, usize) -> TableValue<'v>,
        error: impl Fn(usize, usize, String) -> Error,
    ) -> Result<(Tensor, Tensor)> {
        let counts = self.feature_counts();
        let width = counts.iter().sum();
        let (mut inputs, mut targets) = (Inputs::new(self), Targets::new(self));
        inputs.reserve(width * rows.len());
        let mut block = vec![0.0; width * rows.len().min(BLOCK)];
        for rows in rows.chunks(BLOCK) {
            // The columns whose numbers are not all there, with their places; the others are copied at once.
            let (mut single, mut from) = (Vec::new(), 0);
            for (i, (column, &count)) in self.inputs.iter().zip(&counts).enumerate() {
                let copied = match (&column.kind, whole(i)) {
                    (Kind::Numeric { mean, .. }, Some(all)) => {
                        let gap = if self.format.missing == Missing::Fill { *mean } else { f64::NAN };
                        let places = block.iter_mut().skip(from).step_by(width);
                        places.zip(rows).fold(true, |fits, (place, &row)| {
                            *place = if all[row].is_nan() { gap } else { all[row] };
                            fits & self.fits(*place)
                        })
                    }
                    _ => false,
                };
                if !copied {
                    single.push((i, column, from..from + count));
                }
                from += count;
            }
            for (n, &row) in rows.iter().enumerate() {
                for (i, column, places) in &single {
                    let places = &mut block[n * width..][places.clone()];
                    self.encode_value(&column.kind, numbers, value(row, *i), places)
                        .map_err(|unusable| error(row, *i, unusable.to_string()))?;
                }
                let last = self.inputs.len();
                targets
                    .push(numbers, value(row, last))
                    .map_err(|unusable| error(row, last, unusable.to_string()))?;
            }
            inputs.extend(&block[..width * rows.len()]);
        }
        Ok((inputs.tensor(rows.len(), width)?, targets.tensor()?))
    }

    pub(super) fn form(&self) -> &Form {
        &self.form
    }

    pub(super) fn format(&self) -> &Format {
        &self.format
    }

    pub(super) fn input_names(&self) -> Vec<&str> {
        self.inputs.iter().map(|column| column.name.as_str()).collect()
    }

    /// The names of the inputs and of the target.
    #[cfg(feature = "parquet")]
    pub(super) fn column_names(&self) -> Vec<&str> {
        [self.input_names(), vec![self.target()]].concat()
    }

    /// Whether the values of a column, the inputs and then the target, are numbers; not if they are dates or words.
    #[cfg(feature = "parquet")]
    pub(super) fn is_number(&self, column: usize) -> bool {
        let column = self.inputs.get(column).unwrap_or(&self.target);
        matches!(column.kind, Kind::Numeric { .. })
    }

    /// The inputs of each row of a table, which needs no target column, or why there are none: a row that is too short, a category
    /// that the first table did not have, a gap that is not filled.
    ///
    /// Errors if the table lacks a column.
    pub fn encode_rows(&self, table: &Table) -> Result<Vec<Result<Vec<f64>>>> {
        let columns = self.input_columns(table)?;
        let row = |row: &Row| {
            table.check_row(row)?;
            let gap = columns.iter().find(|&&column| self.format.is_missing(&row.cells[column]));
            if let Some(&column) = gap.filter(|_| self.format.missing != Missing::Fill) {
                let message = format!("expected a value, got {:?}", &row.cells[column]);
                return Err(table.value_error(row.line, column, message));
            }
            let text = |i: usize| &row.cells[columns[i]];
            let value = |i: usize| match text(i) {
                text if self.format.is_missing(text) => TableValue::Missing,
                text => TableValue::Text(text),
            };
            self.encode_row(table.form.numbers, value)
                .map_err(|(i, unusable)| table.value_error(row.line, columns[i], unusable.to_string()))
        };
        Ok(table.rows.iter().map(row).collect())
    }

    /// The inputs of one row, or the column that has none.
    fn encode_row<'v>(
        &self,
        numbers: NumberFormat,
        value: impl Fn(usize) -> TableValue<'v>,
    ) -> Result<Vec<f64>, (usize, Unusable)> {
        let counts = self.feature_counts();
        let mut inputs = vec![0.0; counts.iter().sum()];
        let mut rest = &mut inputs[..];
        for (i, (column, count)) in self.inputs.iter().zip(counts).enumerate() {
            let (places, later) = rest.split_at_mut(count);
            self.encode_value(&column.kind, numbers, value(i), places).map_err(|unusable| (i, unusable))?;
            rest = later;
        }
        Ok(inputs)
    }

    /// The inputs of one row, whose values stand in the order of [`columns`](TableSchema::columns).
    ///
    /// ```
    /// # use tealight::data::{TableOptions, TableSchema, TableValue};
    /// # let path = std::env::temp_dir().join("tealight-doc-values.csv");
    /// std::fs::write(&path, "size;colour;kind\n1,5;red;a\n2,5;blue;b\n")?;
    /// let schema = TableSchema::infer(&path, &TableOptions::auto())?;
    /// assert_eq!(schema.encode_values(&[TableValue::Number(1.5), TableValue::Text("red")])?, [1.5, 0.0, 1.0]);
    /// # std::fs::remove_file(path).ok();
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// Errors if there is not one value for each column, or one is of the wrong kind, a category that the table did not have, or
    /// missing and not [filled](Missing::Fill).
    pub fn encode_values(&self, values: &[TableValue]) -> Result<Vec<f64>> {
        if values.len() != self.inputs.len() {
            let expected = format!("{} values, one for each column", self.inputs.len());
            return Err(Error::argument("encode_values", expected, values.len()));
        }
        let texts: Vec<Option<String>> = values
            .iter()
            .map(|value| match value {
                TableValue::Text(text) => Some(composed(text.trim())),
                _ => None,
            })
            .collect();
        let value = |i: usize| match &texts[i] {
            Some(text) if self.format.is_missing(text) => TableValue::Missing,
            Some(text) => TableValue::Text(text),
            None => values[i],
        };
        self.encode_row(self.form.numbers, value).map_err(|(i, Unusable { expected, got })| {
            let expected = format!("{expected} in column {:?}", self.inputs[i].name);
            Error::argument("encode_values", expected, got)
        })
    }

    fn encode_value(
        &self,
        kind: &Kind,
        numbers: NumberFormat,
        value: TableValue,
        places: &mut [f64],
    ) -> Result<(), Unusable> {
        if value == TableValue::Missing && self.format.missing != Missing::Fill {
            return Err(Unusable::new("a value", value));
        }
        match (kind, value) {
            (Kind::Numeric { mean, .. }, TableValue::Missing) => places[0] = *mean,
            (Kind::Numeric { .. }, TableValue::Number(x)) => places[0] = self.finite(x, value)?,
            (Kind::Numeric { percent, .. }, TableValue::Text(text)) => {
                places[0] = self.number(numbers, *percent, text)?
            }
            (Kind::Date { order, timed, mean }, value) => {
                // A date with the year first cannot be mistaken for another one.
                let moment = match value {
                    TableValue::Missing => Some(*mean),
                    TableValue::Number(_) => None,
                    TableValue::Text(text) => date::parse(text, *order).or_else(|| match order {
                        DateOrder::Time => None,
                        _ => date::parse(text, DateOrder::Year),
                    }),
                };
                let expected = match order {
                    DateOrder::Year => "a date with the year first",
                    DateOrder::Day => "a date with the day first",
                    DateOrder::Month => "a date with the month first",
                    DateOrder::Named => "a date with the name of the month",
                    DateOrder::Time => "a time",
                };
                let moment = moment.ok_or_else(|| Unusable::new(expected, value))?;
                places.copy_from_slice(&date::features(moment, *order, *timed));
            }
            (Kind::Categorical { categories, most_frequent }, value) => {
                let found = match value {
                    TableValue::Missing => Some(*most_frequent),
                    TableValue::Number(x) => {
                        let name = (x + 0.0).to_string();
                        categories.iter().position(|category| *category == name)
                    }
                    TableValue::Text(text) => category(categories, numbers, text),
                };
                let found = found.ok_or_else(|| unknown(categories, value))?;
                places.fill(0.0);
                places[found] = 1.0;
            }
        }
        Ok(())
    }

    fn number(&self, numbers: NumberFormat, percent: bool, text: &str) -> Result<f64, Unusable> {
        let value = TableValue::Text(text);
        let x = numbers.parse(text).ok_or_else(|| Unusable::new("a number", value))?;
        // 80 % is 0.8: beside numbers such as 80 it would be wrong.
        if number::is_percent(text) != percent && x != 0.0 {
            let sign = if percent { "with" } else { "without" };
            return Err(Unusable::new(format!("a number {sign} a percent sign"), value));
        }
        self.finite(x, value)
    }

    fn finite(&self, x: f64, value: TableValue) -> Result<f64, Unusable> {
        let bits = if self.double { 64 } else { 32 };
        let expected = || format!("a finite number (of {bits} bits)");
        self.fits(x).then_some(x).ok_or_else(|| Unusable::new(expected(), value))
    }

    fn fits(&self, x: f64) -> bool {
        if self.double { x.is_finite() } else { (x as f32).is_finite() }
    }

    fn tensor(&self, numbers: Vec<f64>, n: usize, d: usize) -> Result<Tensor> {
        match self.double {
            true => Tensor::from_vec(numbers, (n, d), &Device::Cpu),
            false => Tensor::from_vec(numbers.into_iter().map(|x| x as f32).collect(), (n, d), &Device::Cpu),
        }
    }
}

/// The inputs of examples, one row after the other, in the dtype of a schema.
enum Inputs {
    Single(Vec<f32>),
    Double(Vec<f64>),
}

impl Inputs {
    fn new(schema: &TableSchema) -> Self {
        if schema.double { Inputs::Double(Vec::new()) } else { Inputs::Single(Vec::new()) }
    }

    fn is_empty(&self) -> bool {
        match self {
            Inputs::Single(all) => all.is_empty(),
            Inputs::Double(all) => all.is_empty(),
        }
    }

    fn reserve(&mut self, count: usize) {
        match self {
            Inputs::Single(all) => all.reserve(count),
            Inputs::Double(all) => all.reserve(count),
        }
    }

    /// Adds rows.
    fn extend(&mut self, rows: &[f64]) {
        match self {
            Inputs::Single(all) => all.extend(rows.iter().map(|&x| x as f32)),
            Inputs::Double(all) => all.extend_from_slice(rows),
        }
    }

    fn tensor(self, n: usize, d: usize) -> Result<Tensor> {
        match self {
            Inputs::Single(all) => Tensor::from_vec(all, (n, d), &Device::Cpu),
            Inputs::Double(all) => Tensor::from_vec(all, (n, d), &Device::Cpu),
        }
    }
}

/// The rows that are made of columns at once: few enough that all their numbers stay in the nearest cache.
const BLOCK: usize = 64;
/// From this many classes on a map finds one sooner than a look at each.
const FEW_CLASSES: usize = 8;

/// Targets, one after the other.
struct Targets<'s> {
    schema: &'s TableSchema,
    /// The index of each class. A map, since there may be as many classes as rows.
    known: HashMap<&'s str, u32>,
    classes: Vec<u32>,
    numbers: Vec<f64>,
}

impl<'s> Targets<'s> {
    fn new(schema: &'s TableSchema) -> Self {
        // The first of two equal names counts.
        let known =
            schema.classes().iter().enumerate().rev().map(|(i, name)| (name.as_str(), i as u32)).collect();
        Targets { schema, known, classes: Vec::new(), numbers: Vec::new() }
    }

    fn len(&self) -> usize {
        self.classes.len() + self.numbers.len()
    }

    fn truncate(&mut self, len: usize) {
        self.classes.truncate(len);
        self.numbers.truncate(len);
    }

    fn push(&mut self, numbers: NumberFormat, value: TableValue) -> Result<(), Unusable> {
        if let Kind::Categorical { categories, .. } = &self.schema.target.kind {
            let named = |name: &str| match categories.len() {
                ..FEW_CLASSES => categories.iter().position(|class| class == name).map(|i| i as u32),
                _ => self.known.get(name).copied(),
            };
            let found = match value {
                TableValue::Missing => None,
                TableValue::Number(x) => named(&(x + 0.0).to_string()),
                TableValue::Text(text) => named(text).or_else(|| named(&canonical(numbers, text)?)),
            };
            self.classes.push(found.ok_or_else(|| unknown(categories, value))?);
            return Ok(());
        }
        self.numbers.push(match value {
            TableValue::Text(text) => {
                let percent = matches!(self.schema.target.kind, Kind::Numeric { percent: true, .. });
                self.schema.number(numbers, percent, text)?
            }
            TableValue::Number(x) => self.schema.finite(x, value)?,
            TableValue::Missing => return Err(Unusable::new("a value", value)),
        });
        Ok(())
    }

    fn tensor(self) -> Result<Tensor> {
        let n = self.len();
        match &self.schema.target.kind {
            Kind::Categorical { .. } => Tensor::from_vec(self.classes, n, &Device::Cpu),
            _ => self.schema.tensor(self.numbers, n, 1),
        }
    }
}

/// JSON that [`parse`](str::parse) reads.
impl fmt::Display for TableSchema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&serde_json::to_string(self).map_err(|_| fmt::Error)?)
    }
}

impl FromStr for TableSchema {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let refuse = |got: String| Error::argument("TableSchema", "the text of a schema", got);
        let schema: TableSchema = serde_json::from_str(text).map_err(|error| refuse(error.to_string()))?;
        if schema.inputs.is_empty() {
            return Err(refuse("no column of inputs".into()));
        }
        if schema.format.encoding.iter().any(|label| super::text::encoding(label).is_err()) {
            return Err(refuse(format!("the encoding {:?}", schema.format.encoding)));
        }
        for Column { name, kind } in schema.inputs.iter().chain([&schema.target]) {
            let valid = match kind {
                Kind::Numeric { mean, .. } if schema.double => mean.is_finite(),
                Kind::Numeric { mean, .. } => (*mean as f32).is_finite(),
                Kind::Date { mean, .. } => mean.abs() < 1e15,
                Kind::Categorical { categories, most_frequent } => *most_frequent < categories.len(),
            };
            if !valid {
                return Err(refuse(format!("{kind:?} as column {name:?}")));
            }
        }
        Ok(schema)
    }
}

/// The mean of numbers; of none, none.
fn mean(numbers: &[f64]) -> Option<f64> {
    let (sum, n) = (numbers.iter().sum::<f64>(), numbers.len() as f64);
    // The sum of large numbers may be infinite where their mean is not.
    let mean = if sum.is_finite() { sum / n } else { numbers.iter().map(|x| x / n).sum() };
    (!numbers.is_empty()).then_some(mean)
}

/// A number with about four digits.
fn short(x: f64) -> String {
    match x.abs() {
        a if a != 0.0 && !(1e-3..1e6).contains(&a) => format!("{x:.3e}"),
        a if a >= 100.0 => format!("{x:.1}"),
        _ => format!("{x:.4}").trim_end_matches('0').trim_end_matches('.').into(),
    }
}

fn first_largest(counts: &[usize]) -> usize {
    (0..counts.len()).rev().max_by_key(|&i| counts[i]).expect("a column has a category")
}

/// The name of a number as a category: 1 for 1.0. No name for 01067, which is a postcode.
fn canonical(numbers: NumberFormat, value: &str) -> Option<String> {
    let digits = value.trim_start_matches(['-', '+']).as_bytes();
    let zero = digits.first() == Some(&b'0') && digits.get(1).is_some_and(u8::is_ascii_digit);
    numbers.parse(value).filter(|x| !zero && x.is_finite()).map(|x| (x + 0.0).to_string())
}

fn category(categories: &[String], numbers: NumberFormat, value: &str) -> Option<usize> {
    let find = |value: &str| categories.iter().position(|category| category == value);
    find(value).or_else(|| find(&canonical(numbers, value)?))
}

/// A value that has no inputs.
struct Unusable {
    expected: String,
    got: String,
}

impl Unusable {
    fn new(expected: impl Into<String>, got: TableValue) -> Self {
        Unusable { expected: expected.into(), got: got.to_string() }
    }
}

impl fmt::Display for Unusable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "expected {}, got {}", self.expected, self.got)
    }
}

/// The error of a value that is no known category.
fn unknown(categories: &[String], value: TableValue) -> Unusable {
    let some = categories.iter().take(10).map(String::as_str).collect::<Vec<_>>().join(", ");
    let more = if categories.len() > 10 { ", …" } else { "" };
    Unusable::new(format!("one of {some}{more}"), value)
}

/// Whether a column's values all differ, or it has none.
fn is_index(table: &Table, format: &Format, column: usize) -> bool {
    let mut seen = HashSet::new();
    let mut values = table.rows.iter().filter_map(|row| row.cells.get(column));
    values.all(|value| format.is_missing(value) || seen.insert(value))
}

/// The rows that are used, at least one.
fn kept_rows(table: &Table, format: &Format, inputs: &[usize], target: usize) -> Result<Vec<usize>> {
    let kept = full_rows(table, format, inputs, target)?;
    if kept.is_empty() {
        return Err(file_error(&table.path, "expected a row without missing values, got none"));
    }
    Ok(kept)
}

/// The rows that have all values that are needed.
fn full_rows(table: &Table, format: &Format, inputs: &[usize], target: usize) -> Result<Vec<usize>> {
    let mut kept = Vec::with_capacity(table.rows.len());
    let words = format.missing_words();
    for (i, row) in table.rows.iter().enumerate() {
        table.check_row(row)?;
        let mut columns = inputs.iter().chain([&target]);
        let gap = match format.missing {
            Missing::Fill => Some(&target).filter(|&&column| words.contains(&row.cells[column])),
            _ => columns.find(|&&column| words.contains(&row.cells[column])),
        };
        match (gap, format.missing) {
            (None, _) => kept.push(i),
            (Some(_), Missing::Drop) => {}
            (Some(&column), missing) => {
                let what = if missing == Missing::Fill { "a target" } else { "a value" };
                let message = format!("expected {what}, got {:?}", &row.cells[column]);
                let error = table.value_error(row.line, column, message);
                return Err(Table::hinted(error, TableHint::Missing));
            }
        }
    }
    Ok(kept)
}

/// Whether a column has numbers, dates or categories, and its mean or categories.
fn infer_kind(
    table: &Table,
    format: &Format,
    kept: &[usize],
    column: usize,
    categorical: bool,
    dates: bool,
    notes: &mut Vec<String>,
) -> Result<Kind> {
    let cells = kept.iter().map(|&row| (table.rows[row].line, &table.rows[row].cells[column]));
    let cells: Vec<(usize, &str)> = cells.filter(|(_, value)| !format.is_missing(value)).collect();
    if cells.is_empty() {
        let error = table.column_error(column, "expected a value, got none in any row".into());
        return Err(Table::hinted(error, TableHint::Ignore));
    }
    let parsed: Vec<Option<f64>> = cells.iter().map(|(_, value)| table.form.numbers.parse(value)).collect();
    let numbers: Vec<f64> = parsed.iter().flatten().copied().collect();
    if !categorical {
        if numbers.len() == cells.len() {
            let percent: Vec<bool> = cells.iter().map(|(_, value)| number::is_percent(value)).collect();
            let first = percent.iter().position(|percent| *percent);
            let plain = (0..cells.len()).find(|&i| !percent[i] && numbers[i] != 0.0);
            if let (Some(first), Some(plain)) = (first, plain) {
                let ((like, _), (line, text)) = (cells[first], cells[plain]);
                let message = format!("expected a percent sign, as in line {like}, got {text:?}");
                return Err(Table::hinted(table.value_error(line, column, message), TableHint::Ignore));
            }
            let mean = mean(&numbers).expect("the column has a value");
            return Ok(Kind::Numeric { mean, percent: first.is_some() });
        }
        if let Some((order, ambiguous)) =
            Some(&cells).filter(|_| dates).and_then(|cells| date_order(cells, format))
        {
            if ambiguous {
                let first = if order == DateOrder::Day { "day" } else { "month" };
                let message = format!(
                    "dates such as {} are read with the {first} first (the option day-first changes that)",
                    cells[0].1
                );
                notes.push(format!("column {:?}: {message}", table.names[column]));
            }
            let moments: Vec<f64> = cells.iter().filter_map(|(_, value)| date::parse(value, order)).collect();
            let timed = cells.iter().any(|(_, value)| date::has_time(value));
            return Ok(Kind::Date { order, timed, mean: mean(&moments).expect("the column has a value") });
        }
        // A few texts among numbers or dates are a mistake; a few numbers or dates among texts are texts.
        let dates = if dates { nearest_dates(&cells) } else { Vec::new() };
        let is_date = dates.iter().filter(|is| **is).count();
        let (what, is) = match numbers.len() >= is_date {
            true => ("number", parsed.iter().map(Option::is_some).collect()),
            false => ("date", dates),
        };
        if numbers.len().max(is_date) * 2 >= cells.len() {
            let like = is.iter().position(|is| *is).expect("half of the cells are");
            let like = cells[like].0;
            let mut odd = cells.iter().zip(&is).filter(|(_, is)| !**is).map(|(cell, _)| cell);
            let (line, text) = odd.next().expect("not all are");
            let mut message = format!("expected a {what}, as in line {like}, got {text:?}");
            for (line, text) in odd.by_ref().take(4) {
                message += &format!(", in line {line} {text:?}");
            }
            match odd.count() {
                0 => {}
                more => message += &format!(" and {more} more"),
            }
            return Err(Table::hinted(table.value_error(*line, column, message), TableHint::Categorical));
        }
    }
    let all_numbers = numbers.len() == cells.len();
    let name = |value: &str| canonical(table.form.numbers, value).filter(|_| all_numbers);
    let names = cells.iter().map(|(_, value)| name(value).unwrap_or_else(|| value.to_string()));
    let mut counts = BTreeMap::<String, usize>::new();
    names.for_each(|name| *counts.entry(name).or_default() += 1);
    let mut all: Vec<(String, usize)> = counts.into_iter().collect();
    if all_numbers {
        // 2 comes before 10.
        let number = |name: &str| name.parse().ok().or_else(|| table.form.numbers.parse(name));
        all.sort_by(|a, b| {
            let [a, b] = [a, b].map(|(name, _)| number(name).expect("the column has only numbers"));
            f64::total_cmp(&a, &b)
        });
    }
    let (categories, counts): (Vec<String>, Vec<usize>) = all.into_iter().unzip();
    Ok(Kind::Categorical { most_frequent: first_largest(&counts), categories })
}

/// The order in which all values are dates, and whether another one would do as well.
fn date_order(cells: &[(usize, &str)], format: &Format) -> Option<(DateOrder, bool)> {
    let fits = |order| cells.iter().all(|(_, value)| date::parse(value, order).is_some());
    match (fits(DateOrder::Day), fits(DateOrder::Month)) {
        (true, true) => {
            let dots = cells.iter().all(|(_, value)| value.contains('.'));
            let same = cells
                .iter()
                .all(|(_, value)| date::parse(value, DateOrder::Day) == date::parse(value, DateOrder::Month));
            let order = if dots || format.day_first { DateOrder::Day } else { DateOrder::Month };
            Some((order, !dots && !same && !format.day_first))
        }
        (true, false) => Some((DateOrder::Day, false)),
        (false, true) => Some((DateOrder::Month, false)),
        (false, false) => [DateOrder::Year, DateOrder::Named, DateOrder::Time]
            .into_iter()
            .find(|&order| fits(order))
            .map(|order| (order, false)),
    }
}

/// Which values are dates, in the order in which most are.
fn nearest_dates(cells: &[(usize, &str)]) -> Vec<bool> {
    let orders = [DateOrder::Year, DateOrder::Day, DateOrder::Month, DateOrder::Named, DateOrder::Time];
    let each = |order| cells.iter().map(|(_, value)| date::parse(value, order).is_some()).collect();
    let found: [Vec<bool>; 5] = orders.map(each);
    let count = |is: &Vec<bool>| is.iter().filter(|is| **is).count();
    found.into_iter().max_by_key(count).expect("there are orders")
}

/// A note on a column that numbers the rows, or that tells the target in each row.
fn giveaway(
    table: &Table,
    format: &Format,
    kept: &[usize],
    (input, column): (usize, &Column),
    (target, target_column): (usize, &Column),
) -> Option<String> {
    let cell =
        |row: &usize, column| table.rows[*row].cells.get(column).filter(|value| !format.is_missing(value));
    let pairs: Vec<(&str, &str)> =
        kept.iter().map(|row| Some((cell(row, input)?, cell(row, target)?))).collect::<Option<_>>()?;
    let n = pairs.len();
    if n < 10 {
        return None;
    }
    let (there, back): (HashMap<&str, &str>, HashMap<&str, &str>) =
        (pairs.iter().copied().collect(), pairs.iter().map(|(x, y)| (*y, *x)).collect());
    let numbers = |column: usize| {
        kept.iter().map(|row| table.form.numbers.parse(cell(row, column)?)).collect::<Option<Vec<f64>>>()
    };
    let (rows, target_name) = ("a model can only memorise it", &target_column.name);
    let what = match (&column.kind, &target_column.kind) {
        (Kind::Categorical { .. }, _) if there.len() == n => Some(format!("differs in every row: {rows}")),
        (Kind::Numeric { .. }, _) if there.len() == n && is_dense(&numbers(input)?) => {
            Some(format!("numbers the rows: {rows}"))
        }
        (Kind::Numeric { .. }, _) if there.len() == n && is_id(&numbers(input)?) => {
            Some("has another whole number in every row: is it an id? The option ignore leaves it out".into())
        }
        (Kind::Numeric { .. }, Kind::Numeric { .. })
            if correlation(&numbers(input)?, &numbers(target)?).abs() > 0.999999 =>
        {
            Some(format!("gives {target_name:?} away: is it known before?"))
        }
        (_, Kind::Categorical { .. })
            if there.len() > 1
                && there.len() == back.len()
                && pairs.iter().all(|(x, y)| there[x] == *y && back[y] == *x) =>
        {
            Some(format!("gives {target_name:?} away: is it known before?"))
        }
        _ => None,
    };
    what.map(|what| format!("column {:?} {what}", column.name))
}

/// Whether these are n whole numbers without a gap, in any order.
fn is_dense(numbers: &[f64]) -> bool {
    let range = numbers.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), x| (a.min(*x), b.max(*x)));
    range.1 - range.0 == (numbers.len() - 1) as f64 && numbers.iter().all(|x| x.fract() == 0.0)
}

/// Whether different whole numbers look like ids: they rise from row to row, or most of them are as far apart as the others.
fn is_id(numbers: &[f64]) -> bool {
    let mut sorted = numbers.to_vec();
    sorted.sort_by(f64::total_cmp);
    let mut gaps: Vec<f64> = sorted.windows(2).map(|pair| pair[1] - pair[0]).collect();
    gaps.sort_by(f64::total_cmp);
    let usual = gaps.chunk_by(|a, b| a == b).map(<[f64]>::len).max().expect("there are ten rows or more");
    numbers.iter().all(|x| x.fract() == 0.0) && (sorted == numbers || usual * 10 >= gaps.len() * 9)
}

fn correlation(a: &[f64], b: &[f64]) -> f64 {
    let centred = |x: &[f64]| {
        let mean = mean(x).unwrap_or(0.0);
        x.iter().map(|x| x - mean).collect::<Vec<f64>>()
    };
    let (a, b) = (centred(a), centred(b));
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(x, y)| x * y).sum::<f64>();
    // NaN of a constant is above no bound.
    dot(&a, &b) / (dot(&a, &a) * dot(&b, &b)).sqrt()
}
