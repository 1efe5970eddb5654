//! The bytes of a file as text, or as the cells of a sheet.

use std::borrow::Cow;
use std::io::Read;
use std::path::Path;

use encoding_rs::{Encoding, UTF_8, UTF_16BE, UTF_16LE, WINDOWS_1252};

use super::raw::{CsvTable, newlines};
use super::{CsvHint, Format};
use crate::error::{Error, Result};
use crate::file::{file_error, kind_of, kind_or, read_at_most};

/// The most bytes of text: a small .gz file could unpack to any size.
const MAX_BYTES: u64 = 4 << 30;

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
}

pub(super) fn read(path: &Path, format: &Format, sheet: Option<&str>) -> Result<Contents> {
    contents(path, read_at_most(path, MAX_BYTES)?.into(), format, sheet)
}

/// What the bytes of a file hold; of a workbook the `sheet` of this name, if it has one and the format names no other.
pub(super) fn contents(
    path: &Path,
    mut bytes: Cow<[u8]>,
    format: &Format,
    #[cfg_attr(not(feature = "xlsx"), expect(unused_variables))] sheet: Option<&str>,
) -> Result<Contents> {
    if bytes.starts_with(&[0x1f, 0x8b]) {
        bytes = unpacked(path, &bytes)?.into();
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

#[cfg(feature = "compress")]
fn unpacked(path: &Path, bytes: &[u8]) -> Result<Vec<u8>> {
    let mut all = Vec::new();
    let read = flate2::read::MultiGzDecoder::new(bytes).take(MAX_BYTES + 1).read_to_end(&mut all);
    read.map_err(|error| file_error(path, format!("expected a whole gzip file, got: {error}")))?;
    if all.len() as u64 > MAX_BYTES {
        return Err(file_error(path, format!("expected at most {MAX_BYTES} bytes when unpacked, got more")));
    }
    Ok(all)
}

#[cfg(not(feature = "compress"))]
fn unpacked(path: &Path, _: &[u8]) -> Result<Vec<u8>> {
    Err(file_error(path, "expected the feature `compress` of this crate, for a .gz file"))
}

fn decoded(path: &Path, bytes: &[u8], format: &Format) -> Result<Contents> {
    let told = format.encoding.as_ref().map(|label| encoding(label)).transpose()?;
    let (bytes, marked) = match Encoding::for_bom(bytes) {
        Some((found, length)) => (&bytes[length..], Some(found)),
        None => (bytes, None),
    };
    let guessed = || {
        let nul =
            |from: usize| bytes.iter().skip(from).step_by(2).take(500).filter(|byte| **byte == 0).count();
        let half = bytes.len().min(1000) / 2;
        match (nul(0), nul(1)) {
            (_, odd) if odd * 2 > half && half > 1 => UTF_16LE,
            (even, _) if even * 2 > half && half > 1 => UTF_16BE,
            _ if std::str::from_utf8(bytes).is_ok() => UTF_8,
            _ => WINDOWS_1252,
        }
    };
    let used = marked.or(told).unwrap_or_else(|| if format.auto { guessed() } else { UTF_8 });
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
            let valid = std::str::from_utf8(bytes).map_or_else(|error| error.valid_up_to(), str::len);
            let name = if used == WINDOWS_1252 && told.is_none() { "UTF-8" } else { used.name() };
            let message = format!("expected text in {name}, got other bytes");
            let line = newlines(bytes.get(..valid).unwrap_or_default()) + 1;
            Err(CsvTable::hinted(file_error(path, format!("line {line}: {message}")), CsvHint::Encoding))
        }
    }
}

/// The encoding of a label, such as `utf-16` or `latin1`.
pub(super) fn encoding(label: &str) -> Result<&'static Encoding> {
    Encoding::for_label(label.as_bytes())
        .ok_or_else(|| Error::argument("encoding", "an encoding such as utf-8 or windows-1252", label))
}
