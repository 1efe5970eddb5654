//! Parquet files, and folders of them, as the cells of a table.

use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap};
use std::ffi::OsStr;
use std::fs::{File, read_dir};
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
#[cfg(feature = "tar")]
use std::path::Component;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::*;
use arrow_array::{Array, ArrayRef, RecordBatch};
#[cfg(feature = "tar")]
use arrow_schema::Field;
use arrow_schema::{DataType, SchemaRef, TimeUnit};
use csv::StringRecord;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader,
    ParquetRecordBatchReaderBuilder as Builder,
};
use parquet::errors::ParquetError;
use serde_json::Value;

use super::number::NumberFormat;
use super::raw::{Metadata, Role, Row};
use super::schema::{TableSchema, TableValue};
use super::{Missing, composed, counted};
use crate::autograd::Tensor;
use crate::data::Pieces;
#[cfg(feature = "tar")]
use crate::data::folder::{Sample, Take};
#[cfg(feature = "tar")]
use crate::data::image::MAX_BYTES;
use crate::error::{Error, Result};
#[cfg(feature = "tar")]
use crate::file::read_at_most;
use crate::file::{file_error, unreadable};
use crate::kernel;

/// The most cells of a table in memory.
const MAX_CELLS: usize = 1 << 28;
/// The most columns, also those of lists.
const MAX_COLUMNS: usize = 1 << 16;
/// How deep lists, and folders, may lie in each other.
const MAX_DEPTH: usize = 8;
/// The rows that are decoded at once.
const BATCH: usize = 8192;
/// Those that become examples at once, of which a thread's cache has room for all numbers.
const PIECE: usize = 2048;
/// The most readers of one group, whatever the number of cores.
const MAX_READERS: usize = 8;
/// The images that are read at once.
#[cfg(feature = "tar")]
const IMAGES: usize = 32;

/// The cells of a table.
pub(super) struct Cells {
    pub(super) names: Vec<String>,
    pub(super) rows: Vec<Row>,
    pub(super) metadata: Metadata,
}

/// A file whose metadata were read.
struct Opened {
    path: PathBuf,
    metadata: ArrowReaderMetadata,
    /// The columns that its folders name, and their value: `year=2024`. One that the file has itself is not among them.
    keys: Vec<(String, String)>,
}

/// The rows of a file, some at a time.
struct Reader(ParquetRecordBatchReader);

impl Iterator for Reader {
    type Item = Result<RecordBatch, ParquetError>;

    fn next(&mut self) -> Option<Self::Item> {
        guarded(|| self.0.next().transpose().map_err(ParquetError::from)).transpose()
    }
}

/// An error where the crate panics at a damaged file.
fn guarded<T>(read: impl FnOnce() -> Result<T, ParquetError>) -> Result<T, ParquetError> {
    catch_unwind(AssertUnwindSafe(read))
        .unwrap_or_else(|_| Err(ParquetError::General("parts that contradict each other".into())))
}

/// The values of a column: none is an empty text.
enum Values {
    One(Vec<String>),
    /// Of a list.
    Many(Vec<Vec<String>>),
}

/// The files of a table: one, or those in a folder, and in its folders such as `year=2024`.
pub(super) fn files(path: &Path) -> Result<Vec<PathBuf>> {
    if !path.is_dir() {
        return Ok(vec![path.into()]);
    }
    let mut found = Vec::new();
    walk(path, MAX_DEPTH, &mut found)?;
    found.sort();
    if found.is_empty() {
        return Err(file_error(
            path,
            "expected a table, or a folder with .parquet files, got another folder",
        ));
    }
    Ok(found)
}

fn walk(folder: &Path, depth: usize, found: &mut Vec<PathBuf>) -> Result<()> {
    for entry in read_dir(folder).map_err(|error| unreadable(folder, error))? {
        let entry = entry.map_err(|error| unreadable(folder, error))?.path();
        let name = entry.file_name().expect("an entry of a folder has a name");
        if name.as_encoded_bytes().first().is_none_or(|byte| b"._".contains(byte)) {
            continue;
        }
        if entry.is_dir() {
            match depth.checked_sub(1) {
                _ if key(name).is_none() => {}
                Some(depth) => walk(&entry, depth, found)?,
                None => {
                    return Err(file_error(
                        &entry,
                        format!("expected folders at most {MAX_DEPTH} deep, got more"),
                    ));
                }
            }
        } else if entry.extension().is_some_and(|end| end == "parquet" || end == "pq") {
            found.push(entry);
        }
    }
    Ok(())
}

/// The column and the value in the name of a folder, as Hive, Spark, pandas and polars write it: `name=a%20b`.
fn key(folder: &OsStr) -> Option<(String, String)> {
    let decoded = |text: &str| {
        let mut bytes = Vec::new();
        let mut rest = text.as_bytes();
        while let Some((&byte, after)) = rest.split_first() {
            let code =
                after.get(..2).filter(|_| byte == b'%').and_then(|code| std::str::from_utf8(code).ok());
            let code = code.filter(|code| code.bytes().all(|digit| digit.is_ascii_hexdigit()));
            let code = code.and_then(|code| u8::from_str_radix(code, 16).ok());
            bytes.push(code.unwrap_or(byte));
            rest = if code.is_some() { &after[2..] } else { after };
        }
        String::from_utf8_lossy(&bytes).into_owned()
    };
    let (name, value) = folder.to_str()?.split_once('=')?;
    let value = if value == "__HIVE_DEFAULT_PARTITION__" { String::new() } else { decoded(value) };
    let name = decoded(name).trim().to_string();
    (!name.is_empty()).then_some((name, value))
}

/// The first rows of the table in a file or a folder, at most `most`.
pub(super) fn read(path: &Path, most: usize) -> Result<Cells> {
    cells(path, most, files(path)?.into_iter().map(|file| Opened::new(path, file)).collect::<Result<_>>()?)
}

/// How many rows a schema takes of a table.
pub(super) fn count(schema: &Arc<TableSchema>, path: &Path) -> Result<usize> {
    if schema.format().missing == Missing::Drop {
        return pieces(schema, path)?.map(|piece| Ok(piece?.1.dims()[0])).sum();
    }
    files(path)?.into_iter().map(|file| Ok(Opened::new(path, file)?.rows())).sum()
}

/// The inputs and targets of a table, some rows at a time. Of each file the columns of the schema alone are read.
pub(super) fn pieces(schema: &Arc<TableSchema>, path: &Path) -> Result<Pieces> {
    let files = files(path)?.into_iter();
    Ok(Box::new(Batches { schema: schema.clone(), root: path.into(), files, open: None, ready: Vec::new() }))
}

/// The examples of files, one after the other.
struct Batches {
    schema: Arc<TableSchema>,
    root: PathBuf,
    files: std::vec::IntoIter<PathBuf>,
    open: Option<Open>,
    /// The last comes first; nothing where all rows are left out.
    ready: Vec<Result<Option<(Tensor, Tensor)>>>,
}

/// A file that is being read, one group after the other, as [`read`] does.
struct Open {
    file: Arc<Opened>,
    /// The names of the classes of each column that has only their numbers.
    labels: Arc<HashMap<String, Vec<String>>>,
    /// Those of the schema.
    columns: Vec<usize>,
    /// Those that follow.
    groups: Range<usize>,
    group: Option<Group>,
    /// How many of the file's rows were read.
    row: usize,
}

/// A group that is being read.
struct Group {
    number: usize,
    /// Each has some of the columns, so that several threads decode them.
    readers: Vec<Reader>,
    /// The rows that were not taken yet.
    left: usize,
}

impl Open {
    fn new(schema: &TableSchema, root: &Path, file: PathBuf) -> Result<Self> {
        let file = Arc::new(Opened::new(root, file)?);
        let names = schema.column_names();
        let columns =
            names.iter().filter(|name| file.key(name).is_none()).map(|name| Ok(file.column(name)?.0));
        // In the order of the file, so that one reader and several find the same errors.
        let columns: BTreeSet<usize> = columns.collect::<Result<_>>()?;
        let columns = columns.into_iter().collect();
        let labels = Arc::new(labels(file.note("huggingface")));
        Ok(Open { columns, groups: 0..file.groups(), group: None, row: 0, file, labels })
    }

    /// The next rows. Their columns are in several parts.
    fn batch(&mut self) -> Result<Option<Vec<RecordBatch>>> {
        loop {
            let Some(group) = &mut self.group else {
                let Some(number) = self.groups.next() else { return Ok(None) };
                let group = Group::open(&self.file, number, &self.columns);
                self.group = Some(group.map_err(|error| self.file.undecodable(number, error))?);
                continue;
            };
            let parts = group.next().map_err(|error| self.file.undecodable(group.number, error))?;
            let rows = parts.first().map(RecordBatch::num_rows);
            let whole = parts.is_empty() || parts.len() == group.readers.len();
            match rows {
                Some(rows)
                    if rows <= group.left && whole && parts.iter().all(|part| part.num_rows() == rows) =>
                {
                    group.left -= rows;
                    return Ok(Some(parts));
                }
                None if group.left == 0 => self.group = None,
                _ => return Err(self.file.miscounted(group.number)),
            }
        }
    }
}

impl Group {
    fn open(file: &Opened, number: usize, columns: &[usize]) -> Result<Self, ParquetError> {
        let size = columns.len().div_ceil(rayon::current_num_threads().min(MAX_READERS)).max(1);
        let mut parts: Vec<&[usize]> = columns.chunks(size).collect();
        if parts.is_empty() {
            // It has the number of rows.
            parts.push(&[]);
        }
        let readers = parts.into_iter().map(|part| file.reader(&[number], Some(part), BATCH, usize::MAX));
        let readers: Vec<Reader> = readers.collect::<Result<_, _>>()?;
        Ok(Group { number, readers, left: file.group_rows(number) })
    }

    /// The next rows of each reader that has some.
    fn next(&mut self) -> Result<Vec<RecordBatch>, ParquetError> {
        kernel::map_each(&mut self.readers, Iterator::next).into_iter().flatten().collect()
    }
}

impl Batches {
    /// The examples of the next rows; whether there were some.
    fn some(&mut self) -> Result<bool> {
        loop {
            let open = match &mut self.open {
                Some(open) => open,
                None => match self.files.next() {
                    None => return Ok(false),
                    Some(file) => {
                        let open = Open::new(&self.schema, &self.root, file)?;
                        self.open.insert(open)
                    }
                },
            };
            let Some(parts) = open.batch()? else {
                self.open = None;
                continue;
            };
            let (first, count) = (open.row, parts[0].num_rows());
            open.row += count;
            let (schema, file, labels) = (&self.schema, &open.file, &open.labels);
            let piece = |from: usize| {
                let part = |part: &RecordBatch| part.slice(from, PIECE.min(count - from));
                let parts: Vec<RecordBatch> = parts.iter().map(part).collect();
                examples(schema, file, labels, &parts, first + from)
            };
            self.ready = kernel::map_each((0..count).step_by(PIECE), piece);
            self.ready.reverse();
            return Ok(true);
        }
    }
}

impl Iterator for Batches {
    type Item = Result<(Tensor, Tensor)>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let next = match self.ready.pop() {
                Some(next) => next,
                None => match self.some() {
                    Ok(true) => continue,
                    Ok(false) => return None,
                    Err(error) => Err(error),
                },
            };
            match next {
                Ok(None) => {}
                Ok(Some(piece)) => return Some(Ok(piece)),
                // What comes after it is not read.
                Err(error) => {
                    (self.files, self.open, self.ready) = (Vec::new().into_iter(), None, Vec::new());
                    return Some(Err(error));
                }
            }
        }
    }
}

/// The values of a column of a schema.
enum Cell<'a> {
    /// NaN is no value.
    Numbers(Cow<'a, [f64]>),
    Texts(Vec<Cow<'a, str>>),
}

/// The examples in some rows, of which `first` is the number of the first in its file; `None` if all are dropped.
fn examples(
    schema: &TableSchema,
    opened: &Opened,
    labels: &HashMap<String, Vec<String>>,
    parts: &[RecordBatch],
    first: usize,
) -> Result<Option<(Tensor, Tensor)>> {
    let (names, count) = (schema.column_names(), parts[0].num_rows());
    let column = |(i, name): (usize, &&str)| {
        if let Some(value) = opened.key(name) {
            return Ok(Cell::Texts(vec![clean(value); count]));
        }
        let (root, place) = opened.column(name)?;
        let field = opened.schema().field(root).name();
        let array = parts.iter().find_map(|part| part.column_by_name(field)).expect("the column was read");
        let numbers = if schema.is_number(i) && place.is_none() { numbers(array) } else { None };
        if let Some(numbers) = numbers {
            return Ok(Cell::Numbers(numbers));
        }
        let owned = |text: &str| -> Cow<'static, str> { Cow::Owned(clean(text).into_owned()) };
        let label = labels.get(field);
        if let (None, None, Some(words)) = (label, place, words(array)) {
            return Ok(Cell::Texts(words));
        }
        match (values(array, label), place) {
            (Some(Values::One(texts)), None) => {
                Ok(Cell::Texts(texts.iter().map(|text| owned(text)).collect()))
            }
            (Some(Values::Many(lists)), Some(place)) => {
                let prefix = format!("{}[", composed(field.trim()));
                let width = names.iter().filter(|name| name.starts_with(&prefix)).count();
                let one = |(row, list): (usize, &Vec<String>)| {
                    if !list.is_empty() && list.len() != width {
                        let message =
                            format!("expected a list of {}, got {}", counted(width, "value"), list.len());
                        return Err(value_error(opened, first + row, field, message));
                    }
                    Ok(list.get(place).map_or(Cow::Borrowed(""), |text| owned(text)))
                };
                Ok(Cell::Texts(lists.iter().enumerate().map(one).collect::<Result<_>>()?))
            }
            _ => {
                let got = array.data_type();
                let expected = format!(
                    "expected numbers, words, dates or lists of numbers in column {name:?}, got {got}"
                );
                Err(file_error(&opened.path, expected))
            }
        }
    };
    let columns = names.iter().enumerate().map(column).collect::<Result<Vec<_>>>()?;
    let format = schema.format();
    let missing = format.missing_words();
    let whole = |column: usize| match &columns[column] {
        Cell::Numbers(all) => Some(&all[..]),
        Cell::Texts(_) => None,
    };
    let value = |row: usize, column: usize| match &columns[column] {
        Cell::Numbers(all) if all[row].is_nan() => TableValue::Missing,
        Cell::Numbers(all) => TableValue::Number(all[row]),
        Cell::Texts(all) if missing.contains(&all[row]) => TableValue::Missing,
        Cell::Texts(all) => TableValue::Text(&all[row]),
    };
    let full = |row: &usize| (0..columns.len()).all(|column| value(*row, column) != TableValue::Missing);
    let rows = 0..count;
    let rows: Vec<usize> =
        if format.missing == Missing::Drop { rows.filter(full).collect() } else { rows.collect() };
    if rows.is_empty() {
        return Ok(None);
    }
    let error =
        |row: usize, column: usize, message: String| value_error(opened, first + row, names[column], message);
    schema.encode_rows_of(&rows, NumberFormat::PLAIN, whole, value, error).map(Some)
}

fn value_error(opened: &Opened, row: usize, column: &str, message: String) -> Error {
    let group = opened.group_of(row);
    file_error(&opened.path, format!("row {} (row group {group}), column {column:?}: {message}", row + 1))
}

fn damaged(path: &Path, error: impl std::fmt::Display) -> Error {
    file_error(path, format!("expected a whole Parquet table, got: {error}"))
}

impl Opened {
    /// A file of a table, which is the file, or the folder that it lies in.
    fn new(root: &Path, path: PathBuf) -> Result<Self> {
        let file = File::open(&path).map_err(|error| unreadable(&path, error))?;
        let metadata = load(&path, &file)?;
        let folders =
            path.parent().and_then(|folder| folder.strip_prefix(root).ok()).into_iter().flat_map(Path::iter);
        let mut opened = Opened { keys: folders.filter_map(key).collect(), path, metadata };
        let (schema, keys) = (opened.schema().clone(), std::mem::take(&mut opened.keys));
        let own = |name: &str| schema.fields().iter().any(|field| clean(field.name()) == composed(name));
        opened.keys = keys.into_iter().filter(|(name, _)| !own(name)).collect();
        Ok(opened)
    }

    /// The value of a column that the folders name.
    fn key(&self, name: &str) -> Option<&str> {
        self.keys.iter().find(|(key, _)| composed(key) == name).map(|(_, value)| value.as_str())
    }

    fn schema(&self) -> &SchemaRef {
        self.metadata.schema()
    }

    fn groups(&self) -> usize {
        self.metadata.metadata().num_row_groups()
    }

    fn rows(&self) -> usize {
        (0..self.groups()).map(|group| self.group_rows(group)).sum()
    }

    fn group_rows(&self, group: usize) -> usize {
        usize::try_from(self.metadata.metadata().row_group(group).num_rows())
            .expect("a length that was checked")
    }

    /// The group that has a row; behind the last row, the last group, where reading stopped.
    fn group_of(&self, row: usize) -> usize {
        let mut before = 0;
        let has = |group: &usize| {
            before += self.group_rows(*group);
            row < before
        };
        (0..self.groups()).find(has).unwrap_or(self.groups().saturating_sub(1))
    }

    /// The column that has a column of a table, and the place in its lists.
    fn column(&self, name: &str) -> Result<(usize, Option<usize>)> {
        let fields = self.schema().fields();
        let find = |name: &str| fields.iter().position(|field| clean(field.name()) == name);
        let item = || {
            let (list, place) = name.strip_suffix(']')?.rsplit_once('[')?;
            Some((find(list)?, Some(place.parse().ok()?)))
        };
        find(name).map(|column| (column, None)).or_else(item).ok_or_else(|| {
            let names: Vec<&str> = fields.iter().map(|field| field.name().as_str()).collect();
            file_error(&self.path, format!("expected a column {name:?}, got {}", names.join(", ")))
        })
    }

    /// The first rows of groups, at most `most`, and `batch` at a time; with `columns`, only those.
    fn reader(
        &self,
        groups: &[usize],
        columns: Option<&[usize]>,
        batch: usize,
        most: usize,
    ) -> Result<Reader, ParquetError> {
        let file = File::open(&self.path)?;
        let builder = Builder::new_with_metadata(file, self.metadata.clone());
        let mask = match columns {
            None => ProjectionMask::all(),
            Some(columns) => ProjectionMask::roots(builder.parquet_schema(), columns.iter().copied()),
        };
        let builder = builder.with_projection(mask).with_row_groups(groups.to_vec());
        guarded(|| builder.with_batch_size(batch).with_limit(most).build().map(Reader))
    }

    /// The first rows of a group, at most `most`.
    fn group(&self, group: usize, most: usize) -> Result<Vec<RecordBatch>> {
        let batches: Result<Vec<RecordBatch>, _> =
            self.reader(&[group], None, BATCH, most).and_then(Iterator::collect);
        let batches = batches.map_err(|error| self.undecodable(group, error))?;
        if batches.iter().map(RecordBatch::num_rows).sum::<usize>() != self.group_rows(group).min(most) {
            return Err(self.miscounted(group));
        }
        Ok(batches)
    }

    /// The error of a group that has fewer or more rows than the file says.
    fn miscounted(&self, group: usize) -> Error {
        let said = self.group_rows(group);
        damaged(&self.path, format!("another number of rows in row group {group}, which says {said}"))
    }

    /// The error of a group, with the column if one alone cannot be read.
    fn undecodable(&self, group: usize, error: impl std::fmt::Display) -> Error {
        let fields = self.schema().fields();
        let fails = |column: &usize| match self.reader(&[group], Some(&[*column]), BATCH, usize::MAX) {
            Ok(mut rows) => rows.any(|batch| batch.is_err()),
            Err(_) => true,
        };
        let column =
            (0..fields.len()).find(fails).map(|column| format!(", column {:?}", fields[column].name()));
        damaged(&self.path, format!("{error} in row group {group}{}", column.unwrap_or_default()))
    }

    /// What another program wrote beside the table.
    fn note(&self, key: &str) -> Option<Value> {
        let notes = self.metadata.metadata().file_metadata().key_value_metadata()?;
        serde_json::from_str(notes.iter().find(|note| note.key == key)?.value.as_deref()?).ok()
    }
}

/// The metadata of a file, whose numbers are checked.
fn load(path: &Path, file: &File) -> Result<ArrowReaderMetadata> {
    let length = file.metadata().map_err(|error| unreadable(path, error))?.len();
    let options = ArrowReaderOptions::new();
    // A type that the crate does not know, such as polars' Int128, makes the arrow schema unreadable.
    let load = |options| guarded(|| ArrowReaderMetadata::load(file, options));
    let read = load(options.clone()).or_else(|_| load(options.with_skip_arrow_metadata(true)));
    let metadata = read.map_err(|error| damaged(path, error))?;
    for (i, group) in metadata.metadata().row_groups().iter().enumerate() {
        let inside = |column: &parquet::file::metadata::ColumnChunkMetaData| {
            let start = column.dictionary_page_offset().unwrap_or(column.data_page_offset());
            let number = |x: i64| u64::try_from(x).ok();
            let end = number(start).zip(number(column.compressed_size())).and_then(|(a, b)| a.checked_add(b));
            number(column.data_page_offset()).is_some() && end.is_some_and(|end| end <= length)
        };
        // A sum of these overflows nowhere.
        let few = (0..1 << 40).contains(&group.num_rows());
        if !few || !group.columns().iter().all(inside) {
            return Err(damaged(path, format!("numbers that do not fit the file in row group {i}")));
        }
    }
    Ok(metadata)
}

fn cells(path: &Path, most: usize, files: Vec<Opened>) -> Result<Cells> {
    let first = files.first().expect("a table has a file");
    let names: Vec<&String> = first.schema().fields().iter().map(|field| field.name()).collect();
    let total = files.iter().fold(0_usize, |sum, file| sum.saturating_add(file.rows())).min(most);
    let width = names.len() + first.keys.len();
    let fits = total.saturating_mul(width) <= MAX_CELLS;
    if width > MAX_COLUMNS || !fits {
        let expected = format!("expected at most {MAX_COLUMNS} columns and {MAX_CELLS} values in memory");
        return Err(file_error(path, format!("{expected}, got more")));
    }
    let (mut columns, mut parts, mut count): (Vec<Option<Values>>, _, _) = (Vec::new(), Vec::new(), 0);
    columns.resize_with(names.len(), || Some(Values::One(Vec::new())));
    let mut unread = Vec::new();
    for file in &files {
        parts.push((count, file.path.clone()));
        let order = names.iter().map(|name| file.schema().index_of(name)).collect::<Result<Vec<_>, _>>();
        let keys = |file: &Opened| file.keys.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
        if keys(file) != keys(first) {
            let expected =
                format!("expected folders of the columns {:?}, as {}", keys(first), first.path.display());
            return Err(file_error(&file.path, format!("{expected}, got {:?}", keys(file))));
        }
        let order = order.map_err(|_| {
            let expected = format!("expected the columns of {}", first.path.display());
            file_error(&file.path, format!("{expected} ({names:?}), got others"))
        })?;
        let labels = labels(file.note("huggingface"));
        let group = |group: usize| -> Result<Vec<(usize, Vec<Option<Values>>)>> {
            let values = |batch: &RecordBatch| {
                let one =
                    |(&name, &column): (&&String, &usize)| values(batch.column(column), labels.get(name));
                (batch.num_rows(), names.iter().zip(&order).map(one).collect())
            };
            let before: usize = (0..group).map(|group| file.group_rows(group)).sum();
            let left = most.saturating_sub(count).saturating_sub(before);
            if left == 0 {
                return Ok(Vec::new());
            }
            Ok(file.group(group, left)?.iter().map(values).collect())
        };
        let groups = kernel::map_each(0..file.groups(), group).into_iter().collect::<Result<Vec<_>>>()?;
        for (rows, batch) in groups.into_iter().flatten() {
            count += rows;
            for (i, (all, more)) in columns.iter_mut().zip(batch).enumerate() {
                *all = match (all.take(), more) {
                    (Some(Values::One(mut all)), Some(Values::One(more))) => {
                        all.extend(more);
                        Some(Values::One(all))
                    }
                    (Some(Values::Many(mut all)), Some(Values::Many(more))) => {
                        all.extend(more);
                        Some(Values::Many(all))
                    }
                    (Some(Values::One(all)), Some(Values::Many(more))) if all.is_empty() => {
                        Some(Values::Many(more))
                    }
                    _ => {
                        let kind = file.schema().field(order[i]).data_type();
                        let known = unread.iter().any(|(name, _)| name == names[i]);
                        if !known {
                            unread.push((names[i].clone(), kind.to_string()));
                        }
                        None
                    }
                };
            }
        }
    }
    let index = index_names(first.note("pandas"));
    let labels = labels(first.note("huggingface"));
    let role = |name: &String, kind: &DataType| match kind {
        _ if index.contains(name) => Role::Index,
        DataType::Dictionary(..) | DataType::Boolean => Role::Words,
        _ if labels.contains_key(name) => Role::Words,
        _ => Role::Values,
    };
    let metadata = Metadata { roles: Vec::new(), unread, parts };
    let mut cells = Cells { names: Vec::new(), rows: Vec::new(), metadata };
    let mut rows: Vec<StringRecord> = (0..count).map(|_| StringRecord::new()).collect();
    let mut problems: HashMap<usize, String> = HashMap::new();
    for (i, values) in columns.into_iter().enumerate() {
        let (name, role) = (names[i], role(names[i], first.schema().field(i).data_type()));
        match values {
            None => continue,
            Some(Values::One(values)) => {
                cells.names.push(name.trim().into());
                cells.metadata.roles.push(role);
                rows.iter_mut().zip(values).for_each(|(row, value)| row.push_field(value.trim()));
            }
            Some(Values::Many(values)) => {
                let width = values.iter().map(Vec::len).find(|&width| width > 0).unwrap_or(0);
                if width.saturating_add(cells.names.len()) > MAX_COLUMNS {
                    let got = counted(width, "value");
                    return Err(file_error(
                        path,
                        format!(
                            "expected lists of at most {MAX_COLUMNS} values in column {name:?}, got {got}"
                        ),
                    ));
                }
                cells.names.extend((0..width).map(|place| format!("{}[{place}]", name.trim())));
                cells.metadata.roles.resize(cells.names.len(), role);
                for (number, (row, list)) in rows.iter_mut().zip(values).enumerate() {
                    if !list.is_empty() && list.len() != width {
                        let got = format!("a list of {}", list.len());
                        problems.entry(number).or_insert_with(|| {
                            format!(
                                "expected a list of {} in column {name:?}, got {got}",
                                counted(width, "value")
                            )
                        });
                    }
                    (0..width).for_each(|place| row.push_field(list.get(place).map_or("", |x| x.trim())));
                }
            }
        }
    }
    for (i, (name, _)) in first.keys.iter().enumerate() {
        cells.names.push(name.clone());
        cells.metadata.roles.push(Role::Values);
        let ends = cells.metadata.parts.iter().skip(1).map(|(start, _)| *start).chain([count]);
        let mut start = 0;
        for (file, end) in files.iter().zip(ends) {
            rows[start..end].iter_mut().for_each(|row| row.push_field(file.keys[i].1.trim()));
            start = end;
        }
    }
    let row = |(number, cells): (usize, StringRecord)| Row {
        line: number + 1,
        cells,
        problem: problems.remove(&number),
    };
    cells.rows = rows.into_iter().enumerate().map(row).collect();
    Ok(cells)
}

/// The columns that pandas took for names of the rows.
fn index_names(note: Option<Value>) -> Vec<String> {
    let names = note.as_ref().and_then(|note| note["index_columns"].as_array().cloned());
    names.unwrap_or_default().iter().filter_map(|name| Some(name.as_str()?.to_string())).collect()
}

/// The names of the classes of each column of Hugging Face's `ClassLabel`.
fn labels(note: Option<Value>) -> HashMap<String, Vec<String>> {
    let features = note.as_ref().and_then(|note| note["info"]["features"].as_object());
    let label = |(name, feature): (&String, &Value)| {
        let names = feature["names"].as_array().filter(|_| feature["_type"] == "ClassLabel")?;
        Some((name.clone(), names.iter().map(|name| name.as_str().map(String::from)).collect::<Option<_>>()?))
    };
    features.into_iter().flatten().filter_map(label).collect()
}

/// The values of a column as text; `None` if it has neither numbers nor words.
fn values(array: &ArrayRef, labels: Option<&Vec<String>>) -> Option<Values> {
    if let Some(labels) = labels {
        // −1 is a label that is missing.
        let name = |code: String| match code.parse::<i64>() {
            Ok(code) if code < 0 => String::new(),
            Ok(number) => labels.get(number as usize).cloned().unwrap_or(code),
            Err(_) => code,
        };
        return Some(Values::One(texts(array)?.into_iter().map(name).collect()));
    }
    if !is_list(array.data_type()) {
        return Some(Values::One(texts(array)?));
    }
    (0..array.len()).map(|row| flat(array, row, 0)).collect::<Option<_>>().map(Values::Many)
}

fn is_list(kind: &DataType) -> bool {
    matches!(kind, DataType::List(_) | DataType::LargeList(_) | DataType::FixedSizeList(..))
}

/// The numbers of a list, and of the lists in it.
fn flat(array: &ArrayRef, row: usize, depth: usize) -> Option<Vec<String>> {
    if array.is_null(row) {
        return Some(Vec::new());
    }
    let inner = match array.data_type() {
        DataType::List(_) => array.as_list::<i32>().value(row),
        DataType::LargeList(_) => array.as_list::<i64>().value(row),
        _ => array.as_fixed_size_list().value(row),
    };
    match is_list(inner.data_type()) {
        true if depth == MAX_DEPTH => None,
        true => {
            let lists =
                (0..inner.len()).map(|row| flat(&inner, row, depth + 1)).collect::<Option<Vec<_>>>()?;
            Some(lists.concat())
        }
        false => texts(&inner),
    }
}

/// A value as tables of text have it.
fn clean(text: &str) -> Cow<'_, str> {
    let bytes = text.as_bytes();
    // What has only printed ASCII has no ends to trim.
    if text.is_ascii() && [bytes.first(), bytes.last()].into_iter().flatten().all(|&byte| byte > b' ') {
        return Cow::Borrowed(text);
    }
    let text = text.trim();
    if text.is_ascii() { Cow::Borrowed(text) } else { Cow::Owned(composed(text)) }
}

/// The values of a column of words where they stand; `None` if it has others.
fn words(array: &dyn Array) -> Option<Vec<Cow<'_, str>>> {
    fn all<'a>(words: impl Iterator<Item = Option<&'a str>>) -> Option<Vec<Cow<'a, str>>> {
        Some(words.map(|word| clean(word.unwrap_or(""))).collect())
    }
    match array.data_type() {
        DataType::Utf8 => all(array.as_string::<i32>().iter()),
        DataType::LargeUtf8 => all(array.as_string::<i64>().iter()),
        DataType::Utf8View => all(array.as_string_view().iter()),
        _ => None,
    }
}

/// The values of a column of numbers.
fn numbers(array: &dyn Array) -> Option<Cow<'_, [f64]>> {
    if let Some(numbers) = array.as_primitive_opt::<Float64Type>().filter(|all| all.null_count() == 0) {
        return Some(Cow::Borrowed(numbers.values()));
    }
    macro_rules! all {
        ($kind:ty, $to:expr) => {{
            let numbers = array.as_primitive::<$kind>();
            Some(match numbers.null_count() {
                0 => numbers.values().iter().copied().map($to).collect(),
                _ => numbers.iter().map(|x| x.map_or(f64::NAN, $to)).collect(),
            })
        }};
    }
    match array.data_type() {
        DataType::Int8 => all!(Int8Type, f64::from),
        DataType::Int16 => all!(Int16Type, f64::from),
        DataType::Int32 => all!(Int32Type, f64::from),
        DataType::Int64 => all!(Int64Type, |x| x as f64),
        DataType::UInt8 => all!(UInt8Type, f64::from),
        DataType::UInt16 => all!(UInt16Type, f64::from),
        DataType::UInt32 => all!(UInt32Type, f64::from),
        DataType::UInt64 => all!(UInt64Type, |x| x as f64),
        DataType::Float16 => all!(Float16Type, f64::from),
        DataType::Float32 => all!(Float32Type, f64::from),
        DataType::Float64 => all!(Float64Type, |x| x),
        _ => None,
    }
}

/// The values of a column as a table of text has them.
fn texts(array: &dyn Array) -> Option<Vec<String>> {
    fn all<T: ToString>(values: impl Iterator<Item = Option<T>>) -> Option<Vec<String>> {
        Some(values.map(|x| x.map_or_else(String::new, |x| x.to_string())).collect())
    }
    /// NaN is no value.
    fn floats(values: impl Iterator<Item = Option<f64>>) -> Option<Vec<String>> {
        all(values.map(|x| x.filter(|x| !x.is_nan())))
    }
    let rows = || 0..array.len();
    macro_rules! moments {
        ($kind:ty, $value:ident) => {{
            let values = array.as_primitive::<$kind>();
            all(rows().map(|i| values.is_valid(i).then(|| values.$value(i)).flatten()))
        }};
    }
    macro_rules! decimals {
        ($kind:ty) => {{
            let values = array.as_primitive::<$kind>();
            all(rows().map(|i| values.is_valid(i).then(|| values.value_as_string(i))))
        }};
    }
    // As in a workbook.
    macro_rules! days {
        ($kind:ty, $second:literal) => {
            floats(array.as_primitive::<$kind>().iter().map(|x| x.map(|x| x as f64 / $second / 86_400.0)))
        };
    }
    match array.data_type() {
        DataType::Null => Some(vec![String::new(); array.len()]),
        DataType::Boolean => {
            all(array.as_boolean().iter().map(|x| x.map(|x| if x { "True" } else { "False" })))
        }
        DataType::Utf8 => all(array.as_string::<i32>().iter()),
        DataType::LargeUtf8 => all(array.as_string::<i64>().iter()),
        DataType::Utf8View => all(array.as_string_view().iter()),
        DataType::Float16 => floats(array.as_primitive::<Float16Type>().iter().map(|x| x.map(f64::from))),
        DataType::Float32 => floats(array.as_primitive::<Float32Type>().iter().map(|x| x.map(f64::from))),
        DataType::Float64 => floats(array.as_primitive::<Float64Type>().iter()),
        DataType::Date32 => moments!(Date32Type, value_as_date),
        DataType::Date64 => moments!(Date64Type, value_as_date),
        DataType::Time32(TimeUnit::Second) => moments!(Time32SecondType, value_as_time),
        DataType::Time32(_) => moments!(Time32MillisecondType, value_as_time),
        DataType::Time64(TimeUnit::Microsecond) => moments!(Time64MicrosecondType, value_as_time),
        DataType::Time64(_) => moments!(Time64NanosecondType, value_as_time),
        DataType::Timestamp(unit, _) => {
            let all = match unit {
                TimeUnit::Second => moments!(TimestampSecondType, value_as_datetime),
                TimeUnit::Millisecond => moments!(TimestampMillisecondType, value_as_datetime),
                TimeUnit::Microsecond => moments!(TimestampMicrosecondType, value_as_datetime),
                TimeUnit::Nanosecond => moments!(TimestampNanosecondType, value_as_datetime),
            };
            // A moment at midnight is a date.
            Some(all?.into_iter().map(|x| x.strip_suffix(" 00:00:00").unwrap_or(&x).to_string()).collect())
        }
        DataType::Dictionary(..) => {
            let dictionary = array.as_any_dictionary();
            let words = texts(dictionary.values())?;
            let keys = dictionary.keys();
            // Without a word, all keys are null.
            let codes = if words.is_empty() { vec![0; keys.len()] } else { dictionary.normalized_keys() };
            let word = |(row, code): (usize, usize)| {
                words.get(code).filter(|_| keys.is_valid(row)).cloned().unwrap_or_default()
            };
            Some(codes.into_iter().enumerate().map(word).collect())
        }
        DataType::Decimal32(..) => decimals!(Decimal32Type),
        DataType::Decimal64(..) => decimals!(Decimal64Type),
        DataType::Decimal128(..) => decimals!(Decimal128Type),
        DataType::Decimal256(..) => decimals!(Decimal256Type),
        DataType::Duration(TimeUnit::Second) => days!(DurationSecondType, 1.0),
        DataType::Duration(TimeUnit::Millisecond) => days!(DurationMillisecondType, 1e3),
        DataType::Duration(TimeUnit::Microsecond) => days!(DurationMicrosecondType, 1e6),
        DataType::Duration(TimeUnit::Nanosecond) => days!(DurationNanosecondType, 1e9),
        DataType::Int8 => all(array.as_primitive::<Int8Type>().iter()),
        DataType::Int16 => all(array.as_primitive::<Int16Type>().iter()),
        DataType::Int32 => all(array.as_primitive::<Int32Type>().iter()),
        DataType::Int64 => all(array.as_primitive::<Int64Type>().iter()),
        DataType::UInt8 => all(array.as_primitive::<UInt8Type>().iter()),
        DataType::UInt16 => all(array.as_primitive::<UInt16Type>().iter()),
        DataType::UInt32 => all(array.as_primitive::<UInt32Type>().iter()),
        DataType::UInt64 => all(array.as_primitive::<UInt64Type>().iter()),
        _ => None,
    }
}

/// The images of a table, each with its class, as long as they are taken.
#[cfg(feature = "tar")]
pub(in crate::data) fn images(path: &Path, take: &mut Take) -> Result<()> {
    let mut of_file = |file: PathBuf| -> Result<bool> {
        let opened = Opened::new(path, file)?;
        let (image, label) = opened.image_columns()?;
        let labels = labels(opened.note("huggingface"));
        let groups: Vec<usize> = (0..opened.groups()).collect();
        let reader = opened.reader(&groups, Some(&[image, label]), IMAGES, usize::MAX);
        let mut row = 0;
        for batch in reader.map_err(|error| damaged(&opened.path, error))? {
            let batch = batch.map_err(|error| opened.undecodable(opened.group_of(row), error))?;
            let name = |column: usize| opened.schema().field(column).name();
            let column = |column| batch.column_by_name(name(column)).expect("the column was read");
            let classes = match values(column(label), labels.get(name(label))) {
                Some(Values::One(classes)) => classes,
                _ => return Err(file_error(&opened.path, "expected a label for each image, got a list")),
            };
            for (i, class) in classes.into_iter().enumerate() {
                let sample = opened.image(column(image), i).and_then(|(bytes, path)| {
                    let name = opened.path.join(path.unwrap_or_else(|| format!("row {}", row + 1)));
                    match class.as_str() {
                        "" => Err(file_error(&name, "expected a label, got none")),
                        _ => Ok(Sample { name, bytes, class: composed(&class) }),
                    }
                });
                row += 1;
                if !take(sample) {
                    return Ok(false);
                }
            }
        }
        Ok(true)
    };
    for file in files(path)? {
        if !of_file(file)? {
            break;
        }
    }
    Ok(())
}

#[cfg(feature = "tar")]
impl Opened {
    /// The columns of images and of their classes.
    fn image_columns(&self) -> Result<(usize, usize)> {
        let fields = self.schema().fields();
        let is_image = |kind: &DataType| match kind {
            DataType::Struct(inner) => inner.iter().any(|field| field.name() == "bytes"),
            kind => is_binary(kind),
        };
        let known = labels(self.note("huggingface"));
        let find = |has: &dyn Fn(&Field) -> bool| fields.iter().position(|field| has(field));
        let image = find(&|field| is_image(field.data_type()));
        let label = find(&|field| known.contains_key(field.name()))
            .or_else(|| find(&|field| field.name() == "label"));
        image.zip(label).ok_or_else(|| {
            let names: Vec<String> = fields.iter().map(|field| format!("{} ({})", field.name(), field.data_type())).collect();
            let expected = "expected a column of images ({bytes, path} or bytes) and one of a ClassLabel or of the name \"label\"";
            file_error(&self.path, format!("{expected}, got {}", names.join(", ")))
        })
    }

    /// The bytes of an image, and its path if there is one.
    fn image(&self, column: &ArrayRef, row: usize) -> Result<(Vec<u8>, Option<String>)> {
        let (array, path) = match column.as_struct_opt() {
            None => (Some(column), None),
            Some(parts) => {
                let path =
                    parts.column_by_name("path").filter(|paths| parts.is_valid(row) && paths.is_valid(row));
                (parts.column_by_name("bytes"), path.and_then(|paths| texts(&paths.slice(row, 1))?.pop()))
            }
        };
        let bytes = array.filter(|array| column.is_valid(row) && array.is_valid(row));
        let bytes = bytes.and_then(|array| match array.data_type() {
            DataType::Binary => Some(array.as_binary::<i32>().value(row).to_vec()),
            DataType::LargeBinary => Some(array.as_binary::<i64>().value(row).to_vec()),
            DataType::BinaryView => Some(array.as_binary_view().value(row).to_vec()),
            _ => None,
        });
        match (bytes, path) {
            (Some(bytes), path) => Ok((bytes, path)),
            // Beside the table.
            (None, Some(path)) => {
                let inside = Path::new(&path).components().all(|part| matches!(part, Component::Normal(_)));
                if !inside {
                    let expected = "expected the bytes of an image, or its path beside the table";
                    return Err(file_error(&self.path, format!("row {}: {expected}, got {path:?}", row + 1)));
                }
                let file = self.path.with_file_name(&path);
                Ok((read_at_most(&file, MAX_BYTES as u64)?, Some(path)))
            }
            (None, None) => {
                Err(file_error(&self.path, format!("row {}: expected an image, got none", row + 1)))
            }
        }
    }
}

#[cfg(feature = "tar")]
fn is_binary(kind: &DataType) -> bool {
    matches!(kind, DataType::Binary | DataType::LargeBinary | DataType::BinaryView)
}
