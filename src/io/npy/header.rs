//! The header of an `.npy` file: a magic, a version, and a Python dict as text (numpy.lib.format, versions 1.0 to 3.0).
//!
//! candle's reader knows neither big-endian nor Fortran order and allocates what a header claims; the crate npyz multiplies the
//! shape without a check and brings a parser for all of Python's literals.

use std::io::Read;

use candle_core::DType;

use super::super::element::ElementType;

pub(super) const MAGIC: &[u8] = b"\x93NUMPY";

/// numpy itself refuses headers above 10,000 bytes by default.
const MAX_HEADER: usize = 1 << 20;

/// The type, the layout and the shape of an array.
pub(super) struct Header {
    /// The type of the elements, or why they are not read.
    pub(super) element: Result<ElementType, String>,
    pub(super) big_endian: bool,
    pub(super) fortran: bool,
    pub(super) shape: Vec<usize>,
}

impl Header {
    /// The header, and the offset at which it ends.
    pub(super) fn read(file: &mut impl Read, extensions: &[DType]) -> Result<(Header, usize), String> {
        let mut take = |count: usize, what: &str| {
            let mut bytes = Vec::new();
            let read = file.by_ref().take(count as u64).read_to_end(&mut bytes);
            read.map_err(|error| format!("expected {what}, got: {error}"))?;
            match bytes.len() == count {
                true => Ok(bytes),
                false => Err(format!("expected {what} of {count} bytes, got {}", bytes.len())),
            }
        };
        let start = take(8, "the beginning of an .npy file")?;
        let Some([major, minor]) = start.strip_prefix(MAGIC) else {
            return Err(format!("expected the beginning of an .npy file, got the bytes {start:?}"));
        };
        let bytes_of_length = match (major, minor) {
            (1, 0) => 2,
            (2 | 3, 0) => 4,
            _ => return Err(format!("expected version 1.0, 2.0 or 3.0, got {major}.{minor}")),
        };
        let length = take(bytes_of_length, "the length of the header")?;
        let length = length.iter().rev().fold(0, |sum, &byte| sum << 8 | usize::from(byte));
        if length > MAX_HEADER {
            return Err(format!("expected a header of at most {MAX_HEADER} bytes, got {length}"));
        }
        let text = String::from_utf8_lossy(&take(length, "a header")?).into_owned();
        let shortened = |text: &str| text.chars().take(80).collect::<String>();
        let (descr, fortran, shape) = parse_dict(&text).ok_or_else(|| {
            format!("expected a header with descr, fortran_order and shape, got {:?}", shortened(&text))
        })?;
        let element = parse_dtype(&descr, extensions).ok_or_else(|| {
            let got = format!("{} ({})", describe(&descr), shortened(&descr));
            format!("expected booleans, integers, or floats of 16 to 64 bits, got {got}")
        });
        let header = Header { element, big_endian: descr.starts_with('>'), fortran, shape };
        Ok((header, 8 + bytes_of_length + length))
    }
}

/// The type of the elements of `<f8` and the like; the first character is the byte order.
fn parse_dtype(descr: &str, extensions: &[DType]) -> Option<ElementType> {
    let extension = |dtype| extensions.contains(&dtype).then_some(ElementType::Plain(dtype));
    Some(match descr.strip_prefix(['<', '|', '=', '>'])? {
        "b1" => ElementType::Bool,
        "i1" => ElementType::I8,
        "u2" => ElementType::U16,
        "u8" => ElementType::U64,
        "u1" => ElementType::Plain(DType::U8),
        "u4" => ElementType::Plain(DType::U32),
        "i2" => ElementType::Plain(DType::I16),
        "i4" => ElementType::Plain(DType::I32),
        "i8" => ElementType::Plain(DType::I64),
        "f2" => ElementType::Plain(DType::F16),
        "f4" => ElementType::Plain(DType::F32),
        "f8" => ElementType::Plain(DType::F64),
        "V2" => extension(DType::BF16)?,
        "V1" => extension(DType::F8E4M3)?,
        // Of ml_dtypes' floats of 8 bits this one alone has a kind of numpy's.
        "f1" => ElementType::F8E5M2,
        _ => return None,
    })
}

/// What a dtype is that is not read.
fn describe(descr: &str) -> &'static str {
    match descr.trim_start_matches(['<', '|', '=', '>']) {
        "V2" => {
            "elements of 2 bytes without a dtype: bfloat16 of ml_dtypes is read with NpyOptions::extension_dtype"
        }
        "V1" => {
            "elements of 1 byte without a dtype: float8_e4m3fn of ml_dtypes is read with NpyOptions::extension_dtype"
        }
        other => match other.chars().next() {
            Some('[') => "a structured array: save each field by itself",
            Some('O') => "Python objects",
            Some('U' | 'T') => "text",
            Some('S' | 'a') => "bytes",
            Some('M') => "dates",
            Some('m') => "durations",
            Some('c') => "complex numbers",
            Some('f' | 'g') => "floats of another size",
            Some('V') => "raw bytes",
            _ => "another dtype",
        },
    }
}

/// The three entries of the dict, in any order, and no others.
fn parse_dict(text: &str) -> Option<(String, bool, Vec<usize>)> {
    let mut scanner = Scanner(text);
    let (mut descr, mut fortran, mut shape) = (None, None, None);
    scanner.eat("{")?;
    while scanner.eat("}").is_none() {
        let key = scanner.string()?;
        scanner.eat(":")?;
        match key {
            // A list: the elements are records, which `parse_dtype` refuses.
            "descr" if scanner.0.trim_start().starts_with('[') => {
                let fields =
                    scanner.0.trim().split_once("], '").map_or(scanner.0.trim(), |(fields, _)| fields);
                return Some((format!("{fields}]"), false, vec![]));
            }
            "descr" => descr = Some(scanner.string()?.to_string()),
            "fortran_order" if scanner.eat("True").is_some() => fortran = Some(true),
            "fortran_order" => {
                scanner.eat("False")?;
                fortran = Some(false);
            }
            "shape" => shape = Some(scanner.tuple()?),
            _ => return None,
        }
        if scanner.eat(",").is_none() {
            scanner.eat("}")?;
            break;
        }
    }
    scanner.0.trim().is_empty().then_some((descr?, fortran?, shape?))
}

/// The rest of a text in Python's notation.
struct Scanner<'a>(&'a str);

impl<'a> Scanner<'a> {
    fn eat(&mut self, token: &str) -> Option<()> {
        self.0 = self.0.trim_start().strip_prefix(token)?;
        Some(())
    }

    fn string(&mut self) -> Option<&'a str> {
        let text = self.0.trim_start();
        let quote = text.chars().next().filter(|quote| "'\"".contains(*quote))?;
        let (inner, rest) = text[1..].split_once(quote)?;
        self.0 = rest;
        Some(inner)
    }

    fn tuple(&mut self) -> Option<Vec<usize>> {
        self.eat("(")?;
        let (inner, rest) = self.0.split_once(')')?;
        self.0 = rest;
        let inner = inner.trim();
        if inner.is_empty() {
            return Some(Vec::new());
        }
        let inner = inner.strip_suffix(',').unwrap_or(inner);
        // Python 2 wrote long integers with an L.
        inner.split(',').map(|number| number.trim().trim_end_matches('L').parse().ok()).collect()
    }
}

/// The header of a file; `None` for a dtype that numpy does not have.
pub(super) fn write(dtype: DType, shape: &[usize]) -> Option<Vec<u8>> {
    let descr = match dtype {
        DType::U8 => "|u1",
        DType::U32 => "<u4",
        DType::I16 => "<i2",
        DType::I32 => "<i4",
        DType::I64 => "<i8",
        DType::F16 => "<f2",
        DType::F32 => "<f4",
        DType::F64 => "<f8",
        _ => return None,
    };
    let mut tuple = shape.iter().map(usize::to_string).collect::<Vec<_>>().join(", ");
    if shape.len() == 1 {
        tuple.push(',');
    }
    let mut text = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': ({tuple}), }}");
    // The numbers begin at a multiple of 64.
    let padding = 64 - (MAGIC.len() + 4 + text.len() + 1) % 64;
    text.push_str(&" ".repeat(padding % 64));
    text.push('\n');
    let length = u16::try_from(text.len()).ok()?;
    Some([MAGIC, &[1, 0], &length.to_le_bytes(), text.as_bytes()].concat())
}
