//! What kind of file this is, by its bytes: for the error of a reader that expected another.

/// How a file begins, and what it is.
const STARTS: [(&[u8], &str); 54] = [
    (b"\x89HDF\r\n\x1a\n", "an HDF5 file (Keras's .h5, MATLAB's .mat): save its arrays as .npz in Python"),
    (b"\x93NUMPY", "an array of numpy (.npy)"),
    (b"GGUF", "a GGUF model (llama.cpp)"),
    (b"lmgg", "a GGML model (llama.cpp)"),
    (b"tjgg", "a GGJT model (llama.cpp)"),
    (b"\x1f\x8b", "a gzip file: decompress it first"),
    (b"BZh", "a bzip2 file: decompress it first"),
    (b"\xfd7zXZ\0", "an xz file: decompress it first"),
    (b"\x28\xb5\x2f\xfd", "a zstd file: decompress it first"),
    (b"\x04\x22\x4d\x18", "an lz4 file: decompress it first"),
    (b"\x78\x01", "zlib-compressed data (joblib?)"),
    (b"\x78\x5e", "zlib-compressed data (joblib?)"),
    (b"\x78\x9c", "zlib-compressed data (joblib?)"),
    (b"\x78\xda", "zlib-compressed data (joblib?)"),
    (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive: unpack it first"),
    (b"Rar!\x1a\x07", "a RAR archive: unpack it first"),
    (b"PAR1", "a Parquet table"),
    (b"ARROW1", "an Arrow file (Feather)"),
    (b"FEA1", "a Feather table"),
    (b"ORC", "an ORC table"),
    (b"Obj\x01", "an Avro file"),
    (b"SQLite format 3\0", "an SQLite database"),
    (b"MATLAB 5.0", "a MATLAB file (.mat)"),
    (b"RDX", "a file of R (.RData)"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an old Office document (.xls, .doc)"),
    (b"CDF\x01", "a NetCDF file"),
    (b"CDF\x02", "a NetCDF file"),
    (b"\x89PNG\r\n\x1a\n", "a PNG image"),
    (b"\xff\xd8\xff", "a JPEG image"),
    (b"GIF8", "a GIF image"),
    (b"II*\0", "a TIFF image"),
    (b"MM\0*", "a TIFF image"),
    (b"\0\0\0\x0cjP  ", "a JPEG 2000 image"),
    (b"\xff\x4f\xff\x51", "a JPEG 2000 image"),
    (b"\0\0\0\x0cJXL ", "a JPEG XL image"),
    (b"\xff\x0a", "a JPEG XL image"),
    (b"\0\0\x01\0", "an icon of Windows (.ico)"),
    (b"8BPS", "a Photoshop image (.psd)"),
    (b"DDS ", "a DDS image"),
    (b"qoif", "a QOI image"),
    (b"\n\x05\x01\x08", "a PCX image"),
    (b"%PDF", "a PDF document"),
    (b"\x7fELF", "a program or a library (ELF)"),
    (b"MZ\x90", "a program or a library of Windows"),
    (b"\xff\xfe", "a text in UTF-16"),
    (b"\xfe\xff", "a text in UTF-16"),
    (b"version https://git-lfs.", "a pointer of Git LFS, not the file itself: run git lfs pull"),
    // Python's pickles of the protocols 0 and 1.
    (b"(dp", PICKLE),
    (b"(lp", PICKLE),
    (b"}q\0", PICKLE),
    (b"]q\0", PICKLE),
    (b"ccopy_reg\n", PICKLE),
    (b"ccollections\n", PICKLE),
    (b"cnumpy", PICKLE),
];

const PICKLE: &str = "a Python pickle";

/// A file that begins with the length of a header in JSON, and the header.
pub(crate) const SAFETENSORS: &str = "a safetensors file";

/// What a file is, by its bytes; `None` if it looks like nothing that is known here.
pub(crate) fn kind_of(bytes: &[u8]) -> Option<&'static str> {
    let text = bytes.trim_ascii_start();
    let tag = |tag: &[u8]| text.get(..tag.len()).is_some_and(|start| start.eq_ignore_ascii_case(tag));
    let at = |offset: usize, tag: &[u8]| bytes.get(offset..).is_some_and(|rest| rest.starts_with(tag));
    if let Some((_, kind)) = STARTS.iter().find(|(start, _)| bytes.starts_with(start)) {
        return Some(kind);
    }
    Some(match bytes {
        [] => "an empty file",
        [b'P', b'K', 3, 4, ..] | [b'P', b'K', 5, 6, ..] => zip(bytes),
        [0x80, 1..=5, ..] if contains(&bytes[..bytes.len().min(4096)], b"joblib") => "a joblib file",
        [0x80, 1..=5, ..] => PICKLE,
        [0, 0, 8 | 9 | 11..=14, 1..=4, 0, ..] => "an IDX file (MNIST's)",
        // The version of the format, and the name of the program that wrote the model.
        [8, 3..=20, 0x12, length @ 1..=64, name @ ..]
            if name.get(..usize::from(*length)).is_some_and(|name| name.iter().all(u8::is_ascii_graphic)) =>
        {
            "an ONNX model"
        }
        [b'R', b'I', b'F', b'F', ..] if at(8, b"WEBP") => "a WebP image",
        [b'R', b'I', b'F', b'F', ..] => "a sound or a video (RIFF)",
        [b'B', b'M', ..] if at(14, &[40, 0, 0, 0]) || at(14, &[124, 0, 0, 0]) => "a BMP image",
        _ if bytes.ends_with(b"TRUEVISION-XFILE.\0") => "a TGA image",
        _ if at(4, b"TFL3") => "a TensorFlow Lite model",
        _ if at(4, b"ftypavif") || at(4, b"ftypheic") => "an AVIF or HEIC image",
        _ if at(257, b"ustar") => "a tar archive: unpack it first",
        _ if tag(b"<!doctype html") || tag(b"<html") || tag(b"<head") => {
            "an HTML page: the download gave a page, not the file"
        }
        _ if tag(b"<?xml") || tag(b"<svg") => "an XML file",
        _ if at(4, b"\0\0\0\0{") => SAFETENSORS,
        _ if is_text(bytes) && (tag(b"{") || tag(b"[")) => "a JSON file",
        _ if is_text(bytes) => "a text file",
        _ => return None,
    })
}

/// What is in a zip archive, by the names in it: they stand at its beginning and at its end.
fn zip(bytes: &[u8]) -> &'static str {
    const LOOKED_AT: usize = 1 << 16;
    let ends = [&bytes[..bytes.len().min(LOOKED_AT)], &bytes[bytes.len().saturating_sub(LOOKED_AT)..]];
    let has = |name: &[u8]| ends.iter().any(|end| contains(end, name));
    match () {
        () if has(b"model.weights.h5") => {
            "a Keras model (.keras): save its weights as .safetensors or .npz in Python"
        }
        () if has(b"xl/workbook") => "an Excel workbook (.xlsx): save the sheet as CSV",
        () if has(b"opendocument.spreadsheet") => "an OpenDocument spreadsheet: save the sheet as CSV",
        () if has(b"word/document") => "a Word document",
        () if has(b"[Content_Types].xml") => "an Office document (.xlsx, .docx): save a table as CSV",
        () if has(b"archive_format") => "a program of torch.export (.pt2)",
        () if has(b"constants.pkl") => "a TorchScript model",
        () if has(b"data.pkl") => "a file of PyTorch's (.pth)",
        () if has(b".npy") => "arrays of numpy (.npz)",
        () => "a zip archive: unpack it first",
    }
}

fn contains(bytes: &[u8], word: &[u8]) -> bool {
    bytes.windows(word.len()).any(|window| window == word)
}

/// Whether the beginning is UTF-8 without control characters; a letter at its end may be cut.
fn is_text(bytes: &[u8]) -> bool {
    let start = &bytes[..bytes.len().min(512)];
    let letters = match std::str::from_utf8(start) {
        Ok(text) => text,
        Err(error) if error.error_len().is_none() => {
            std::str::from_utf8(&start[..error.valid_up_to()]).unwrap_or("")
        }
        Err(_) => return false,
    };
    !letters.is_empty() && !letters.contains(|c: char| c.is_control() && !c.is_ascii_whitespace())
}

/// What a file is in place of the expected one, or what else is wrong with it.
pub(crate) fn kind_or(bytes: &[u8], otherwise: impl std::fmt::Display) -> String {
    kind_of(bytes).map_or_else(|| otherwise.to_string(), String::from)
}

#[cfg(test)]
mod tests {
    use super::kind_of;

    #[test]
    fn kinds() {
        let padded = |start: &[u8]| [start, &[0xd7; 300]].concat();
        for (bytes, kind) in [
            (&b""[..], Some("an empty file")),
            (
                b"\x89HDF\r\n\x1a\n\0",
                Some("an HDF5 file (Keras's .h5, MATLAB's .mat): save its arrays as .npz in Python"),
            ),
            (b"PK\x05\x06", Some("a zip archive: unpack it first")),
            (
                b"PK\x03\x04 [Content_Types].xml",
                Some("an Office document (.xlsx, .docx): save a table as CSV"),
            ),
            (b"\x80\x04\x95\x0b\0\0\0\0\0\0\0}", Some("a Python pickle")),
            (b"\x80\x04\x95\x0b\0\0\0\0\0\0\0\x8c\x13joblib.numpy_pickle", Some("a joblib file")),
            (b"\x08\x08\x12\x07pytorch\x1a", Some("an ONNX model")),
            (b"\x1c\0\0\0TFL3", Some("a TensorFlow Lite model")),
            (b"\n <!DOCTYPE HTML>", Some("an HTML page: the download gave a page, not the file")),
            (b"\x02\0\0\0\0\0\0\0{}", Some("a safetensors file")),
            (b"{\"a\": 1}", Some("a JSON file")),
            ("ä,b\n1,2\n".as_bytes(), Some("a text file")),
            (b"a\0b", None),
            (b"\xff", None),
            (b"PK", Some("a text file")),
        ] {
            assert_eq!(kind_of(bytes), kind, "{bytes:?}");
        }
        assert_eq!(kind_of(&padded(b"\x01\x02")), None);
        // A letter of two bytes at the end of what is looked at.
        assert_eq!(kind_of(&["a".repeat(511), "é".repeat(9)].concat().into_bytes()), Some("a text file"));
    }
}
