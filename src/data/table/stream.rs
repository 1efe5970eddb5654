//! [`TableStream`]: the rows of a table that stays in its file.

use std::fs::File;
use std::io::{BufReader, Read};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use encoding_rs::{Decoder, DecoderResult};

use super::form::{self, Form};
use super::raw::{Row, Table, count, newlines};
use super::schema::TableSchema;
use super::text::{self, Contents};
use super::{Format, Missing, TableHint};
use crate::autograd::Tensor;
use crate::data::{IterableDataset, Pieces};
use crate::error::Result;
use crate::file::{file_error, unreadable};
use crate::kernel;

/// The text that is looked at for the encoding, and that is read at once.
const READ: usize = if cfg!(test) { 1 << 10 } else { 1 << 16 };
/// The text of a piece.
const BLOCK: usize = if cfg!(test) { 1 << 12 } else { 1 << 18 };
/// The most text of one row.
const MAX_ROW: usize = 1 << 26;
/// The most pieces that are read at once, whatever the number of cores.
const MAX_PIECES: usize = 8;

/// The rows of a table that stays in its file, or in the Parquet files of a folder, as an [`IterableDataset`]: [`TableSchema::stream`].
#[derive(Clone, Debug)]
pub struct TableStream {
    schema: Arc<TableSchema>,
    path: PathBuf,
    len: usize,
}

impl TableStream {
    /// How the rows become inputs and targets.
    pub fn schema(&self) -> &TableSchema {
        &self.schema
    }
}

impl TableSchema {
    /// The rows of a table as they are read, one after the other: the file may be larger than the memory.
    ///
    /// CSV, plain or compressed (.gz, .zst), and Parquet, where only the columns of this schema are read: a file, or a folder of files. A
    /// folder in it such as `year=2024` gives its files a column of that name, unless they have it. The rows are counted now: by
    /// a first pass through the file, but for Parquet without [`Missing::Drop`](super::Missing::Drop), which knows their number.
    ///
    /// ```
    /// # use tealight::data::{DataLoader, TableOptions, TableSchema};
    /// # let path = std::env::temp_dir().join("tealight-doc-stream.csv");
    /// std::fs::write(&path, "x,kind\n1,a\n2,b\n3,a\n4,b\n")?;
    /// let schema = TableSchema::infer(&path, &TableOptions::new().nrows(2))?; // from the first rows
    /// let mut loader = DataLoader::iterable(&schema.stream(&path)?, 3)?;
    /// assert_eq!(loader.epoch()?.next().unwrap()?.0.to_vec2::<f32>()?, [[1.0], [2.0], [3.0]]);
    /// # std::fs::remove_file(path).ok();
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// Errors, now or when a piece is read, as [`read`](TableSchema::read) does, and if the file is a workbook.
    pub fn stream(&self, path: impl AsRef<Path>) -> Result<TableStream> {
        let (path, schema) = (path.as_ref().to_path_buf(), Arc::new(self.clone()));
        #[cfg(feature = "parquet")]
        if text::is_parquet(&path) {
            let len = super::parquet::count(&schema, &path)?;
            return Ok(TableStream { schema, path, len });
        }
        let mut blocks = Blocks::open(&path, self.format(), Some(self))?;
        let mut len = 0;
        while let Some(some) = blocks.some()? {
            let head = &blocks.head;
            let count = |block: &Block| match block {
                Block::Text(_, text) if self.format().missing != Missing::Drop => head.count_of(text),
                block => Ok(self.full_rows(&block.table(head)?)?.len()),
            };
            len += kernel::map_each(&some, count).into_iter().sum::<Result<usize>>()?;
            blocks.take_back(some);
        }
        Ok(TableStream { schema, path, len })
    }
}

impl IterableDataset for TableStream {
    fn len(&self) -> usize {
        self.len
    }

    fn iter(&self) -> Result<Pieces> {
        #[cfg(feature = "parquet")]
        if text::is_parquet(&self.path) {
            return super::parquet::pieces(&self.schema, &self.path);
        }
        let blocks = Blocks::open(&self.path, self.schema.format(), Some(&self.schema))?;
        Ok(Box::new(Rows { schema: self.schema.clone(), blocks, ready: Vec::new() }))
    }
}

/// The examples of the blocks of a text.
struct Rows {
    schema: Arc<TableSchema>,
    blocks: Blocks,
    /// The last comes first.
    ready: Vec<Result<Option<(Tensor, Tensor)>>>,
}

impl Iterator for Rows {
    type Item = Result<(Tensor, Tensor)>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            match self.ready.pop() {
                // A piece whose rows were all left out.
                Some(Ok(None)) => {}
                Some(piece) => return piece.transpose(),
                None => match self.blocks.some() {
                    Err(error) => return Some(Err(error)),
                    Ok(None) => return None,
                    Ok(Some(some)) => {
                        let (schema, head) = (&self.schema, &self.blocks.head);
                        let piece = |block: &Block| {
                            let plain = match block {
                                Block::Text(_, text) => schema.plain_piece(head, text),
                                Block::First(_) => None,
                            };
                            plain.map_or_else(|| schema.piece(&block.table(head)?), Ok)
                        };
                        self.ready = kernel::map_each(&some, piece);
                        self.ready.reverse();
                        self.blocks.take_back(some);
                    }
                },
            }
        }
    }
}

/// The first rows of a text, at most `count`.
pub(super) fn head(path: &Path, format: &Format, count: usize) -> Result<Table> {
    let mut blocks = Blocks::open(path, format, None)?;
    let mut rows = Vec::new();
    while rows.len() < count {
        let Some(block) = blocks.next()? else { break };
        rows.extend(block.rows(&blocks.head)?);
    }
    rows.truncate(count);
    Ok(blocks.head.with_rows(rows))
}

/// A part of a text that ends with a row.
enum Block {
    /// The first part was read to find the columns.
    First(Vec<Row>),
    /// With its first line.
    Text(usize, String),
}

impl Block {
    fn rows(&self, head: &Table) -> Result<Vec<Row>> {
        match self {
            Block::First(rows) => Ok(rows.clone()),
            Block::Text(line, text) => head.rows_of(text, *line),
        }
    }

    fn table(&self, head: &Table) -> Result<Table> {
        Ok(head.with_rows(self.rows(head)?))
    }
}

struct Blocks {
    text: Text,
    /// The table without its rows.
    head: Table,
    first: Option<Vec<Row>>,
}

impl Blocks {
    fn open(path: &Path, format: &Format, schema: Option<&TableSchema>) -> Result<Self> {
        let names = schema.map(TableSchema::input_names);
        let known = schema.zip(names.as_deref()).map(|(schema, names)| (schema.form(), names));
        let mut text = Text::open(path, format, known)?;
        let (_, mut block) = text.next()?.unwrap_or_default();
        // The header, which a row longer than a block may follow.
        let records = |block: &str, delimiter| {
            count(&block[form::start(block)..], delimiter).map_err(|message| file_error(path, message))
        };
        while records(&block, text.delimiter)? < 2 {
            let Some((_, more)) = text.next()? else { break };
            block += &more;
        }
        let contents = Contents::Text { text: block, encoding: text.decoder.encoding().name() };
        let mut head = Table::from_contents(path, contents, format, known)?;
        let first = std::mem::take(&mut head.rows);
        Ok(Blocks { text, head, first: Some(first) })
    }

    fn next(&mut self) -> Result<Option<Block>> {
        match self.first.take() {
            Some(rows) => Ok(Some(Block::First(rows))),
            None => Ok(self.text.next()?.map(|(line, text)| Block::Text(line, text))),
        }
    }

    /// As many blocks as there are cores.
    fn some(&mut self) -> Result<Option<Vec<Block>>> {
        let mut some = Vec::new();
        while some.len() < rayon::current_num_threads().min(MAX_PIECES) {
            let Some(block) = self.next()? else { break };
            some.push(block);
        }
        Ok(Some(some).filter(|some| !some.is_empty()))
    }

    /// The memory of blocks is that of later ones.
    fn take_back(&mut self, blocks: Vec<Block>) {
        self.text.spare.extend(blocks.into_iter().filter_map(|block| match block {
            Block::First(_) => None,
            Block::Text(_, text) => Some(text),
        }));
    }
}

/// A text that is decoded as it is read.
struct Text {
    path: PathBuf,
    reader: Box<dyn Read + Send>,
    decoder: Decoder,
    delimiter: u8,
    /// What was read and not given yet, and its first line.
    text: String,
    line: usize,
    ended: bool,
    /// What is read at once.
    bytes: Vec<u8>,
    /// Texts that were used.
    spare: Vec<String>,
}

impl Text {
    fn open(path: &Path, format: &Format, known: Option<(&Form, &[&str])>) -> Result<Self> {
        let file = File::open(path).map_err(|error| unreadable(path, error))?;
        let mut reader = text::unpacked(path, BufReader::with_capacity(READ, file))?;
        let mut bytes = Vec::with_capacity(READ);
        reader.by_ref().take(READ as u64).read_to_end(&mut bytes).map_err(|error| unreadable(path, error))?;
        let ended = bytes.len() < READ;
        text::check_kind(path, &bytes)?;
        let (encoding, mark) = text::encoding_of(&bytes, format, ended)?;
        let decoder = encoding.new_decoder_without_bom_handling();
        let (delimiter, text) = (b',', String::new());
        let mut text = Text {
            path: path.into(),
            reader,
            decoder,
            delimiter,
            text,
            line: 1,
            ended,
            bytes,
            spare: Vec::new(),
        };
        text.decode(mark..text.bytes.len())?;
        text.bytes.resize(READ, 0);
        text.delimiter = form::of_text(&text.text, encoding.name(), format, known).0.delimiter;
        Ok(text)
    }

    /// Decodes some of the bytes that were read.
    fn decode(&mut self, range: Range<usize>) -> Result<()> {
        let bytes = &self.bytes[range];
        let length = self.decoder.max_utf8_buffer_length_without_replacement(bytes.len());
        self.text.reserve(length.expect("a piece of a file is far from the largest length"));
        let (result, _) =
            self.decoder.decode_to_string_without_replacement(bytes, &mut self.text, self.ended);
        if let DecoderResult::InputEmpty = result {
            return Ok(());
        }
        let line = self.line + newlines(self.text.as_bytes());
        let message =
            format!("line {line}: expected text in {}, got other bytes", self.decoder.encoding().name());
        Err(Table::hinted(file_error(&self.path, message), TableHint::Encoding))
    }

    /// The next block, and its first line.
    fn next(&mut self) -> Result<Option<(usize, String)>> {
        let mut wanted = BLOCK;
        loop {
            while self.text.len() < wanted && !self.ended {
                let count =
                    self.reader.read(&mut self.bytes).map_err(|error| unreadable(&self.path, error))?;
                self.ended = count == 0;
                self.decode(0..count)?;
            }
            let end = if self.ended { self.text.len() } else { rows_end(&self.text, self.delimiter) };
            if end > 0 {
                let mut rest = self.spare.pop().unwrap_or_default();
                rest.clear();
                rest.push_str(&self.text[end..]);
                self.text.truncate(end);
                let line = self.line;
                self.line += newlines(self.text.as_bytes());
                return Ok(Some((line, std::mem::replace(&mut self.text, rest))));
            } else if self.ended {
                return Ok(None);
            } else if wanted >= MAX_ROW {
                let message =
                    format!("line {}: expected a row of at most {MAX_ROW} bytes, got more", self.line);
                return Err(file_error(&self.path, message));
            }
            wanted *= 2;
        }
    }
}

/// The end of the last row that is whole.
fn rows_end(text: &str, delimiter: u8) -> usize {
    let bytes = text.as_bytes();
    if !bytes.contains(&b'"') {
        return bytes.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
    }
    // As the crate csv reads: a quote counts at the beginning of a value.
    let (mut begins, mut quoted, mut closed, mut end) = (true, false, false, 0);
    for (i, &byte) in bytes.iter().enumerate() {
        if quoted {
            (quoted, closed) = (byte != b'"', byte == b'"');
            continue;
        }
        match byte {
            b'"' if begins || closed => quoted = true,
            b'\n' => end = i + 1,
            _ => {}
        }
        begins = byte == delimiter || byte == b'\n' || byte == b'\r';
        closed = false;
    }
    end
}
