//! The bytes of a file as text, or as the cells of a sheet.

use std::borrow::Cow;
use std::io::{BufRead, Read};
use std::path::Path;

use encoding_rs::{Encoding, UTF_8, UTF_16BE, UTF_16LE, WINDOWS_1252};

use super::raw::{Table, newlines};
use super::{Format, TableHint};
use crate::error::{Error, Result};
use crate::file::{file_error, kind_of, kind_or, read_at_most, unreadable};

/// The most bytes of text: a small .gz file could unpack to any size.
const MAX_BYTES: u64 = 4 << 30;

const GZIP: &[u8] = &[0x1f, 0x8b];
const ZSTD: &[u8] = &[0x28, 0xb5, 0x2f, 0xfd];

/// What a file holds.
pub(super) enum Contents {
    Text {
        text: String,
        encoding: &'static str,
    },
    /// The cells of a sheet of a workbook, each with its row in it.
    #[cfg(feature = "xlsx")]
    Sheet {
        name: String,
        rows: Vec<(usize, Vec<String>)>,
    },
    #[cfg(feature = "parquet")]
    Parquet(super::parquet::Cells),
}

/// The rows of a Parquet table are at most `count`.
pub(super) fn read(
    path: &Path,
    format: &Format,
    sheet: Option<&str>,
    #[cfg_attr(not(feature = "parquet"), expect(unused_variables))] count: usize,
) -> Result<Contents> {
    #[cfg(feature = "parquet")]
    if is_parquet(path) {
        return super::parquet::read(path, count).map(Contents::Parquet);
    }
    contents(path, read_at_most(path, MAX_BYTES)?.into(), format, sheet)
}

/// The first four bytes of a file; zeros if it cannot be read.
fn magic(path: &Path) -> [u8; 4] {
    let mut first = [0; 4];
    // Reading a pipe would take them off it.
    if path.is_file() {
        let _ = std::fs::File::open(path).and_then(|mut file| file.read_exact(&mut first));
    }
    first
}

/// Whether a file is neither a workbook nor a Parquet table.
pub(super) fn is_text(path: &Path) -> bool {
    let workbook = |bytes: [u8; 4]| bytes == *b"PK\x03\x04" || bytes == *b"\xd0\xcf\x11\xe0";
    path.is_file() && !workbook(magic(path)) && magic(path) != *b"PAR1"
}

/// What the bytes of a file hold; of a workbook the `sheet` of this name, if it has one and the format names no other.
pub(super) fn contents(
    path: &Path,
    mut bytes: Cow<[u8]>,
    format: &Format,
    #[cfg_attr(not(feature = "xlsx"), expect(unused_variables))] sheet: Option<&str>,
) -> Result<Contents> {
    if bytes.starts_with(GZIP) || bytes.starts_with(ZSTD) {
        let mut all = Vec::new();
        let read = unpacked(path, &*bytes)?.take(MAX_BYTES + 1).read_to_end(&mut all);
        let kind = if bytes.starts_with(GZIP) { "gzip" } else { "Zstandard" };
        read.map_err(|error| file_error(path, format!("expected a whole {kind} file, got: {error}")))?;
        if all.len() as u64 > MAX_BYTES {
            return Err(file_error(
                path,
                format!("expected at most {MAX_BYTES} bytes when unpacked, got more"),
            ));
        }
        bytes = all.into();
    }
    #[cfg(not(feature = "parquet"))]
    if bytes.starts_with(b"PAR1") {
        let got = "a Parquet table, which the feature `parquet` reads";
        return Err(file_error(path, format!("expected text (CSV, TSV), got {got}")));
    }
    // Zip files and the older format of Microsoft.
    if bytes.starts_with(b"PK\x03\x04") || bytes.starts_with(b"\xd0\xcf\x11\xe0") {
        #[cfg(feature = "xlsx")]
        return super::sheet::read(path, &bytes, format.sheet.as_deref(), sheet);
        #[cfg(not(feature = "xlsx"))]
        return Err(file_error(
            path,
            format!(
                "expected text (CSV, TSV) or, with the feature `xlsx`, a workbook, got {}",
                kind_or(&bytes, "another file")
            ),
        ));
    }
    if format.sheet.is_some() {
        return Err(file_error(path, "expected a workbook (.xlsx) to have a sheet, got text"));
    }
    decoded(path, &bytes, format)
}

/// What a file holds, or the compressed file in it.
pub(super) fn unpacked<'a>(
    path: &Path,
    mut file: impl BufRead + Send + 'a,
) -> Result<Box<dyn Read + Send + 'a>> {
    let first = file.fill_buf().map_err(|error| unreadable(path, error))?;
    match first {
        #[cfg(feature = "compress")]
        gzip if gzip.starts_with(GZIP) => Ok(Box::new(flate2::bufread::MultiGzDecoder::new(file))),
        #[cfg(feature = "zstd")]
        zstd if zstd.starts_with(ZSTD) => match zstd::stream::read::Decoder::with_buffer(file) {
            Ok(decoder) => Ok(Box::new(decoder)),
            Err(error) => Err(unreadable(path, error)),
        },
        other => match [(GZIP, "compress", ".gz"), (ZSTD, "zstd", ".zst")]
            .iter()
            .find(|(magic, ..)| other.starts_with(magic))
        {
            Some((_, feature, end)) => {
                let expected = format!("expected the feature `{feature}` of this crate, for a {end} file");
                Err(file_error(path, expected))
            }
            None => Ok(Box::new(file)),
        },
    }
}

fn decoded(path: &Path, bytes: &[u8], format: &Format) -> Result<Contents> {
    let (used, mark) = encoding_of(bytes, format, true)?;
    let bytes = &bytes[mark..];
    let text = used.decode_without_bom_handling_and_without_replacement(bytes);
    // Windows-1252 has a character for nearly each byte: pictures and archives are no text in it.
    let odd = |text: &Cow<str>| {
        format.auto && text.chars().any(|c| matches!(c, '\0'..='\x08' | '\x0e'..='\x19' | '\x7f'..='\u{9f}'))
    };
    match text {
        Some(_)
            if kind_of(bytes)
                .is_some_and(|kind| kind.starts_with("an HTML page") || kind.contains("Git LFS")) =>
        {
            Err(file_error(path, format!("expected text (CSV, TSV), got {}", kind_or(bytes, "a text"))))
        }
        Some(text) if !odd(&text) => Ok(Contents::Text { text: text.into_owned(), encoding: used.name() }),
        _ => {
            if let Some(kind) = kind_of(bytes).filter(|kind| !kind.starts_with("a text")) {
                return Err(file_error(path, format!("expected text (CSV, TSV), got {kind}")));
            }
            // Text with a character that is none.
            if let Ok(text) = std::str::from_utf8(bytes)
                && let Some((at, c)) = text.char_indices().find(|(_, c)| c.is_control() && !c.is_whitespace())
            {
                let line = newlines(&bytes[..at]) + 1;
                let message =
                    format!("line {line}: expected text, got the control character U+{:04X}", c as u32);
                return Err(file_error(path, message));
            }
            let valid = std::str::from_utf8(bytes).map_or_else(|error| error.valid_up_to(), str::len);
            let name = if used == WINDOWS_1252 && format.encoding.is_none() { "UTF-8" } else { used.name() };
            let message = format!("expected text in {name}, got other bytes");
            let line = newlines(bytes.get(..valid).expect("the valid part is of these bytes")) + 1;
            Err(Table::hinted(file_error(path, format!("line {line}: {message}")), TableHint::Encoding))
        }
    }
}

/// The encoding of a text, of which the bytes are a part or the whole, and how many of them mark it.
pub(super) fn encoding_of(bytes: &[u8], format: &Format, whole: bool) -> Result<(&'static Encoding, usize)> {
    if let Some(marked) = Encoding::for_bom(bytes) {
        return Ok(marked);
    }
    if let Some(label) = &format.encoding {
        return Ok((encoding(label)?, 0));
    }
    let nul = |from: usize| bytes.iter().skip(from).step_by(2).take(500).filter(|byte| **byte == 0).count();
    let half = bytes.len().min(1000) / 2;
    let utf8 =
        std::str::from_utf8(bytes).map_or_else(|error| !whole && error.error_len().is_none(), |_| true);
    let found = match (nul(0), nul(1)) {
        _ if !format.auto => UTF_8,
        (_, odd) if odd * 2 > half && half > 1 => UTF_16LE,
        (even, _) if even * 2 > half && half > 1 => UTF_16BE,
        _ if utf8 => UTF_8,
        _ => WINDOWS_1252,
    };
    Ok((found, 0))
}

/// Whether a file, or a folder, is a Parquet table.
#[cfg(feature = "parquet")]
pub(in crate::data) fn is_parquet(path: &Path) -> bool {
    path.is_dir() || magic(path) == *b"PAR1"
}

/// Errors if a file begins as one of another kind does.
pub(super) fn check_kind(path: &Path, bytes: &[u8]) -> Result<()> {
    match kind_of(bytes).filter(|kind| !kind.starts_with("a text")) {
        Some(kind) => Err(file_error(path, format!("expected text (CSV, TSV) or Parquet, got {kind}"))),
        None => Ok(()),
    }
}

/// The encoding of a label, such as `utf-16` or `latin1`.
pub(super) fn encoding(label: &str) -> Result<&'static Encoding> {
    Encoding::for_label(label.as_bytes())
        .ok_or_else(|| Error::argument("encoding", "an encoding such as utf-8 or windows-1252", label))
}
