//! The header of an `.npy` file: a magic, a version, and a Python dict as text (numpy.lib.format, versions 1.0 to 3.0).
//!
//! candle's reader knows neither big-endian nor Fortran order and allocates what a header claims; the crate npyz multiplies the
//! shape without a check and brings a parser for all of Python's literals.

use std::io::Read;

use candle_core::DType;

const MAGIC: &[u8] = b"\x93NUMPY";

/// numpy itself refuses headers above 10,000 bytes by default.
const MAX_HEADER: usize = 1 << 20;

/// The type, the layout and the shape of an array.
pub(super) struct Header {
    /// b, i, u or f, as numpy calls booleans, integers, unsigned integers and floats.
    pub(super) kind: char,
    /// The bytes of one number.
    pub(super) width: usize,
    pub(super) big_endian: bool,
    pub(super) fortran: bool,
    pub(super) shape: Vec<usize>,
}

impl Header {
    /// The header, and the offset at which it ends.
    pub(super) fn read(file: &mut impl Read) -> Result<(Header, usize), String> {
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
        let (kind, width, big_endian) = parse_dtype(&descr).ok_or_else(|| {
            let got = shortened(&descr);
            format!("expected booleans, integers, or floats of 16 to 64 bits, got the dtype {got:?}")
        })?;
        Ok((Header { kind, width, big_endian, fortran, shape }, 8 + bytes_of_length + length))
    }
}

/// Kind, bytes, and whether the last byte comes first, of `<f8` and the like.
fn parse_dtype(descr: &str) -> Option<(char, usize, bool)> {
    let mut letters = descr.chars();
    let big_endian = match letters.next()? {
        '<' | '|' | '=' => false,
        '>' => true,
        _ => return None,
    };
    let kind = letters.next()?;
    let width = match (kind, letters.as_str()) {
        ('b' | 'i' | 'u', "1") => 1,
        ('i' | 'u' | 'f', "2") => 2,
        ('i' | 'u' | 'f', "4") => 4,
        ('i' | 'u' | 'f', "8") => 8,
        _ => return None,
    };
    Some((kind, width, big_endian))
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
                return Some((scanner.0.trim().into(), false, vec![]));
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
