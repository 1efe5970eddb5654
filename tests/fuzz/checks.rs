//! What the fuzz targets and tests/fuzz.rs check, one function a reader: of any bytes it makes an answer that holds together, or an
//! error that names the file.
//!
//! Checksums and lengths keep most changes of a file away from the code behind them. So some readers also get what their bytes
//! are wrapped in, made right again: numbers in gzip, an array in a zip archive, a pickle in PyTorch's, a header with its length.

mod program;
mod seeds;

use std::collections::BTreeMap;
use std::fs;
use std::io::{Cursor, Write};
use std::path::{Path, PathBuf};

use tealight::data::image::{Color, MAX_BYTES, MAX_SIDE, ReadOptions};
use tealight::data::{DataLoader, LabeledDataset, Missing, Table, TableOptions, TableSchema};
use tealight::formula::{Dual, parse};
use tealight::io::{Checkpoint, LoadOptions};
use tealight::prelude::*;
use tealight::train::{Checkpoints, EarlyStopping, Trainer};
use tealight::{data, io};
use tempfile::TempDir;

pub use seeds::{NAMES, seeds};

/// What is larger is not written again: it would take all the time.
const LARGE: usize = 1 << 16;

/// Writes the seeds of a target where cargo-fuzz looks for them.
pub fn seed(target: &str) {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target);
    fs::create_dir_all(&corpus).unwrap();
    for (i, bytes) in seeds(target).into_iter().enumerate() {
        fs::write(corpus.join(format!("seed-{i}")), bytes).unwrap();
    }
}

/// Checks the reader of this name.
pub fn check(target: &str, bytes: &[u8]) {
    match target {
        "image" => image(bytes),
        "idx" => idx(bytes),
        "csv" => csv(bytes),
        "npy" => npy(bytes),
        "npz" => npz(bytes),
        "safetensors" => safetensors(bytes),
        "pth" => pth(bytes),
        "checkpoint" => checkpoint(bytes),
        "model" => model(bytes),
        "formula" => formula(bytes),
        #[cfg(feature = "parquet")]
        "parquet" => parquet(bytes),
        "compressed" => compressed(bytes),
        #[cfg(feature = "tar")]
        "tar" => tar(bytes),
        other => panic!("no target {other}"),
    }
}

/// A folder with a file: in memory where there is such a place, since files are written through to the disk.
fn file(bytes: &[u8]) -> (TempDir, PathBuf) {
    let memory = Path::new("/dev/shm");
    let folder = if memory.is_dir() { TempDir::new_in(memory) } else { TempDir::new() }.unwrap();
    let path = folder.path().join("file");
    fs::write(&path, bytes).unwrap();
    (folder, path)
}

/// What was read, if it was; an error has to name the file.
fn answer<T>(result: Result<T>, path: &Path) -> Option<T> {
    let text = result.as_ref().err().map(ToString::to_string);
    let place = path.display().to_string();
    assert!(text.as_ref().is_none_or(|text| text.contains(&place)), "no file in: {text:?}");
    result.ok()
}

fn size(x: &Tensor) -> usize {
    x.elem_count() * x.dtype().size_in_bytes()
}

/// A tensor has as many numbers as its shape says, and no more memory than `most` bytes.
fn whole(x: &Tensor, most: usize) {
    assert!(x.dims().contains(&0) == (x.elem_count() == 0));
    assert!(size(x) <= most, "{:?} of {:?} in {most} bytes", x.dims(), x.dtype());
    if size(x) <= LARGE {
        let all = x.flatten(0, -1).unwrap().to_dtype(DType::F64).unwrap().to_vec1::<f64>().unwrap();
        assert_eq!(all.len(), x.elem_count());
        assert!(!x.to_string().is_empty());
    }
}

/// All bits of tensors and their names.
fn bits(tensors: &BTreeMap<String, Tensor>) -> Vec<u8> {
    let (_folder, path) = file(&[]);
    io::write(&path, tensors).unwrap();
    fs::read(path).unwrap()
}

fn one(x: &Tensor) -> BTreeMap<String, Tensor> {
    BTreeMap::from([("x".to_string(), x.clone())])
}

fn same(x: &Tensor, y: &Tensor) {
    assert!(bits(&one(x)) == bits(&one(y)), "{x} is not {y}");
}

pub fn image(bytes: &[u8]) {
    let (_folder, path) = file(bytes);
    let Some(image) = answer(data::image::from_bytes(&path, bytes), &path) else { return };
    let &[height, width, channels] = image.dims() else { panic!("{:?}", image.dims()) };
    assert!(height.min(width) > 0 && height.max(width) <= MAX_SIDE && (1..=4).contains(&channels));
    whole(&image, MAX_BYTES);
    if size(&image) > LARGE {
        return;
    }
    same(&image, &data::image::read(&path).unwrap());
    for (options, expected) in [
        (ReadOptions::new().color(Color::Gray), 1),
        (ReadOptions::new().color(Color::Rgb), 3),
        (ReadOptions::new().without_alpha(), (channels - 1) | 1),
        (ReadOptions::new().background([1, 2, 3]).exif_orientation(true), (channels - 1) | 1),
    ] {
        let other = data::image::from_bytes_with(&path, bytes, &options).unwrap();
        assert_eq!(other.dims(), [height, width, expected]);
    }
    data::image::write_png(&path, &image).unwrap();
    same(&image, &data::image::read(&path).unwrap());
}

pub fn idx(bytes: &[u8]) {
    let (_folder, path) = file(bytes);
    let plain = answer(data::read_idx(&path), &path);
    if bytes.starts_with(&[0x1f, 0x8b]) {
        // A thousandfold, at most.
        return plain.iter().for_each(|x| whole(x, bytes.len() * 1100 * 8));
    }
    plain.iter().for_each(|x| whole(x, bytes.len() * 8));
    let mut zip =
        flate2::write::GzEncoder::new(fs::File::create(&path).unwrap(), flate2::Compression::fast());
    zip.write_all(bytes).unwrap();
    zip.finish().unwrap();
    match (plain, answer(data::read_idx(&path), &path)) {
        (Some(plain), Some(zipped)) => same(&plain, &zipped),
        (plain, zipped) => assert_eq!(plain.is_some(), zipped.is_some()),
    }
}

/// The first byte has the options. Bit 7: what follows up to a zero is a schema.
pub fn csv(bytes: &[u8]) {
    let Some((&bits, bytes)) = bytes.split_first() else { return };
    if bits & 0x80 != 0 {
        let at = bytes.iter().position(|&byte| byte == 0).unwrap_or(bytes.len());
        return schema(&bytes[..at], bytes.get(at + 1..).unwrap_or_default());
    }
    let missing = [Missing::Error, Missing::Drop, Missing::Fill, Missing::Fill][usize::from(bits & 3)];
    let mut options = TableOptions::new().missing(missing);
    options = if bits & 4 != 0 { options.categorical_target() } else { options };
    options = if bits & 8 != 0 { options.no_header() } else { options };
    options = if bits & 16 != 0 { options.delimiter(b';') } else { options };
    options = if bits & 32 != 0 { options.categorical("a").na_values(&["-"]) } else { options };

    let (_folder, path) = file(bytes);
    let table = answer(data::read_csv(&path, &options), &path);
    let schema = answer(TableSchema::infer(&path, &options), &path);
    assert_eq!(table.is_some(), schema.is_some());
    let (Some(table), Some(schema)) = (table, schema) else { return };
    table_is_whole(&table);
    let again: TableSchema = schema.to_string().parse().unwrap();
    assert_eq!(again.to_string(), schema.to_string());
    for schema in [schema, again] {
        let other = schema.read(&path).unwrap();
        same(&table.inputs, &other.inputs);
        same(&table.targets, &other.targets);
        assert_eq!((&table.classes, &table.features), (&other.classes, &other.features));
        match answer(schema.read_inputs(&path), &path) {
            // Rows that were dropped because their target is missing.
            Some(inputs) if missing == Missing::Drop && inputs.dims()[0] > table.len() => finite(&inputs),
            Some(inputs) => same(&inputs, &table.inputs),
            None => assert_eq!(missing, Missing::Drop),
        }
    }
}

/// A table in memory and the same as it is read in pieces.
#[cfg(feature = "parquet")]
pub fn parquet(bytes: &[u8]) {
    // What begins otherwise is read as text.
    let bytes = &[&b"PAR1"[..], bytes].concat();
    let (_folder, path) = file(bytes);
    let options = TableOptions::auto().missing(Missing::Fill).dtype(DType::F64).unwrap();
    if let Some(table) = answer(Table::read(&path, &options), &path) {
        assert!(!table.is_empty() && table.len() * table.names().len() <= 1 << 28);
        streamed(&table, &options, &path);
    }
}

/// A table, and its stream, have the same examples.
fn streamed(table: &Table, options: &TableOptions, path: &Path) {
    let Some(schema) = answer(TableSchema::from_table(table, options), path) else { return };
    let whole = answer(schema.encode(table), path);
    let Some(stream) = answer(schema.stream(path), path) else { return };
    let mut loader = DataLoader::iterable(&stream, table.len()).unwrap();
    let first = loader.epoch().unwrap().next().unwrap();
    if let (Some(whole), Some((inputs, targets))) = (whole, answer(first, path)) {
        assert_eq!((whole.inputs.dims(), whole.targets.dims()), (inputs.dims(), targets.dims()));
        same(&whole.inputs, &inputs);
        same(&whole.targets, &targets);
    }
}

/// A table in gzip (the first byte is 0) or Zstandard (1), or as text, which is put into gzip, in two parts at that.
pub fn compressed(bytes: &[u8]) {
    let Some((&kind, bytes)) = bytes.split_first() else { return };
    let packed = match kind {
        0 => [&b"\x1f\x8b"[..], bytes].concat(),
        1 => [&b"\x28\xb5\x2f\xfd"[..], bytes].concat(),
        _ => {
            let gzip = |text: &[u8]| {
                let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
                gzip.write_all(text).unwrap();
                gzip.finish().unwrap()
            };
            let (first, second) = bytes.split_at(bytes.len() / 3);
            [gzip(first), gzip(second)].concat()
        }
    };
    let (_folder, path) = file(&packed);
    let options = TableOptions::auto().missing(Missing::Fill).dtype(DType::F64).unwrap();
    let table = Table::read(&path, &options);
    let damaged = table.as_ref().is_err_and(|error| error.to_string().contains("expected a whole"));
    let table = answer(table, &path);
    if let Some(table) = &table {
        streamed(table, &options, &path);
    }
    // The first rows of a file that ends too early can be read, but not all.
    let some = options.clone().nrows(3);
    if let Some(first) = answer(Table::read(&path, &some), &path) {
        assert!(first.len() <= 3);
        if let Some(schema) = answer(TableSchema::from_table(&first, &some), &path) {
            let stream = answer(schema.stream(&path), &path);
            assert!(stream.is_none() || !damaged);
        }
    }
    if kind > 1 && ![&b"PAR1"[..], b"\x1f\x8b", b"\x28\xb5"].iter().any(|magic| bytes.starts_with(magic)) {
        let (_folder, plain) = file(bytes);
        let plain = Table::read(&plain, &options).ok();
        let rows =
            |table: Table| (0..table.len()).map(|row| table.row(row).unwrap().concat()).collect::<Vec<_>>();
        assert_eq!(table.map(rows), plain.map(rows));
    }
}

/// An archive as it is, and with the checksums of its headers made right.
#[cfg(feature = "tar")]
pub fn tar(bytes: &[u8]) {
    use tealight::data::{ImageFolderOptions, IterableDataset};
    let mut whole = bytes.to_vec();
    let mut at = 0;
    while let Some(header) = whole.get_mut(at..at + 512) {
        header[148..156].fill(b' ');
        let sum: u32 = header.iter().map(|&byte| u32::from(byte)).sum();
        header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        let digits = header[124..136].iter().copied().skip_while(|&byte| byte == b' ');
        let digits = digits.take_while(|byte| (b'0'..b'8').contains(byte));
        let size = digits.fold(0, |size, digit| size * 8 + usize::from(digit - b'0'));
        at += 512 + size.next_multiple_of(512);
    }
    for bytes in [bytes, &whole] {
        let (_folder, path) = file(bytes);
        let options = ImageFolderOptions::new(4, 4).max_bytes(1 << 20);
        let Some(stream) = answer(options.stream(&path), &path) else { continue };
        assert!(stream.len() <= bytes.len() / 512 && stream.classes().len() <= stream.len());
        let Some(pieces) = answer(stream.iter(), &path) else { continue };
        let pieces = pieces.map(|piece| answer(piece, &path)).collect::<Option<Vec<_>>>();
        let rows = pieces.map(|pieces| pieces.iter().map(|(x, _)| x.dims()[0]).sum::<usize>());
        assert!(rows.is_none_or(|rows| rows == stream.len()));
    }
}

fn table_is_whole(table: &LabeledDataset) {
    let n = table.targets.dims()[0];
    assert_eq!(table.inputs.dims(), [n, table.features.len()]);
    assert_eq!(table.len(), n);
    finite(&table.inputs);
    match table.targets.dtype() {
        DType::U32 => {
            let classes = table.targets.to_vec1::<u32>().unwrap();
            assert!(classes.iter().all(|&class| (class as usize) < table.classes.len()));
        }
        _ => finite(&table.targets),
    }
}

fn finite(x: &Tensor) {
    assert!(x.to_vec2::<f32>().unwrap().iter().flatten().all(|x| x.is_finite()), "{x}");
}

fn schema(text: &[u8], table: &[u8]) {
    let Ok(text) = std::str::from_utf8(text) else { return };
    let Ok(schema) = text.parse::<TableSchema>() else { return };
    let again: TableSchema = schema.to_string().parse().unwrap();
    assert_eq!(again.to_string(), schema.to_string());
    let (_folder, path) = file(table);
    if let Some(inputs) = answer(schema.read_inputs(&path), &path) {
        assert_eq!(inputs.dims()[1], schema.features().len());
        finite(&inputs);
    }
    if let Some(table) = answer(schema.read(&path), &path) {
        table_is_whole(&table);
    }
}

pub fn npy(bytes: &[u8]) {
    let (_folder, path) = file(bytes);
    let Some(x) = answer(io::read_npy(&path), &path) else { return };
    whole(&x, bytes.len() * 8);
    io::write_npy(&path, &x).unwrap();
    same(&x, &io::read_npy(&path).unwrap());
}

/// A zip archive, or an array that is put into one.
pub fn npz(bytes: &[u8]) {
    let (_folder, path) = file(bytes);
    if bytes.starts_with(b"\x93NUMPY") {
        let plain = answer(io::read_npy(&path), &path);
        fs::write(&path, zipped(&[("x.npy", bytes), ("y.npy", bytes)])).unwrap();
        let arrays = answer(io::read_npz(&path), &path);
        match (plain, arrays) {
            (Some(plain), arrays) => {
                let arrays = arrays.unwrap();
                assert_eq!(arrays.len(), 2);
                arrays.values().for_each(|x| same(x, &plain));
            }
            (None, arrays) => {
                arrays.iter().for_each(|arrays| assert!(arrays.is_empty() && arrays.unreadable.len() == 2))
            }
        }
        return;
    }
    let Some(arrays) = answer(io::read_npz(&path), &path) else { return };
    let all: usize = arrays.values().map(size).sum();
    arrays.values().for_each(|x| whole(x, usize::MAX));
    assert!(all <= bytes.len() * 1100 * 8, "{all} bytes of numbers in a file of {}", bytes.len());
    if all <= LARGE {
        io::write_npz(&path, &arrays).unwrap();
        assert!(bits(&arrays) == bits(&io::read_npz(&path).unwrap()));
    }
}

/// An archive in which nothing is compressed.
fn zipped(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
    let plain = zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    for (name, bytes) in files {
        zip.start_file(*name, plain).unwrap();
        zip.write_all(bytes).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

/// A safetensors file. Of one that begins with its header the length is put before it.
fn measured(bytes: &[u8]) -> Vec<u8> {
    if !bytes.starts_with(b"{") {
        return bytes.to_vec();
    }
    let end = bytes.iter().rposition(|&byte| byte == b'}').map_or(bytes.len(), |end| end + 1);
    [&(end as u64).to_le_bytes()[..], bytes].concat()
}

pub fn safetensors(bytes: &[u8]) {
    let bytes = &measured(bytes)[..];
    let (_folder, path) = file(bytes);
    let model = seeds::net();
    let before = bits(&state(&model));
    let Some(tensors) = answer(io::read(&path, &Device::Cpu), &path) else {
        assert!(answer(io::load(&path, &model), &path).is_none() && before == bits(&state(&model)));
        return;
    };
    let all: usize = tensors.values().map(size).sum();
    assert!(all <= 16 * bytes.len() + (64 << 20), "{all} bytes of numbers in a file of {}", bytes.len());
    tensors.values().for_each(|x| whole(x, usize::MAX));
    if answer(io::load(&path, &model), &path).is_none() {
        assert!(before == bits(&state(&model)));
    }
    let loaded = LoadOptions::new().strict(false).convert(true).load(&path, &model).unwrap();
    assert_eq!(
        loaded.loaded.len() + loaded.missing.len() + loaded.mismatched.len() + loaded.unreadable.len(),
        4
    );
    if all <= LARGE {
        let first = bits(&tensors);
        fs::write(&path, &first).unwrap();
        assert!(first == bits(&io::read(&path, &Device::Cpu).unwrap()));
    }
}

fn state(model: &dyn Layer) -> BTreeMap<String, Tensor> {
    model.state_dict().into_iter().map(|(name, held)| (name, held.get())).collect()
}

/// PyTorch's file, or a pickle that is put into one.
pub fn pth(bytes: &[u8]) {
    let numbers: Vec<u8> = (0..16_u8).flat_map(|i| f32::from(i).to_le_bytes()).collect();
    let wrapped = bytes
        .starts_with(b"\x80")
        .then(|| zipped(&[("a/data.pkl", bytes), ("a/byteorder", b"little"), ("a/data/0", &numbers)]));
    let bytes = wrapped.as_deref().unwrap_or(bytes);
    let (_folder, path) = file(bytes);
    for key in ["", "model", "a.0"] {
        answer(LoadOptions::new().state_dict_key(key).read(&path, &Device::Cpu), &path);
    }
    let Some(tensors) = answer(io::read_pth(&path, &Device::Cpu), &path) else { return };
    let all: usize = tensors.values().map(size).sum();
    assert!(all <= 16 * bytes.len() + (64 << 20), "{all} bytes of numbers in a file of {}", bytes.len());
    tensors.values().for_each(|x| whole(x, usize::MAX));
    if all <= LARGE {
        fs::write(&path, bits(&tensors)).unwrap();
        assert!(bits(&tensors) == bits(&io::read(&path, &Device::Cpu).unwrap()));
    }
}

fn trainer<'a>(model: &'a Linear, folder: &Path) -> Trainer<'a> {
    let adam = Adam::new(model.parameters(), 0.1).unwrap();
    Trainer::new(model, Mse, adam)
        .epochs(2)
        .batch_size(2)
        .silent()
        .callback(EarlyStopping::new("valid_loss", 3))
        .callback(Checkpoints::new(folder).unwrap().best("loss"))
}

fn examples() -> (Tensor, Tensor) {
    let x = Tensor::randn(0_f32, 1.0, (4, 2), &mut Rng::seed(1)).unwrap();
    let y = x.sum_keepdim(1).unwrap();
    (x, y)
}

pub fn checkpoint(bytes: &[u8]) {
    let bytes = &measured(bytes)[..];
    let (folder, path) = file(bytes);
    let model = Linear::new(2, 1, &mut Rng::seed(1)).unwrap();
    let before = bits(&state(&model));
    let trainer = trainer(&model, &folder.path().join("made"));
    let Some(read) = answer(Checkpoint::read(&path), &path) else {
        assert!(trainer.resume(&path).is_err() && before == bits(&state(&model)));
        return;
    };
    for part in ["model", "optimizer", "history", "callback0"] {
        read.tensors(part).values().for_each(|x| whole(x, bytes.len() * 8));
    }
    match trainer.resume(&path) {
        // What comes of damaged numbers is all the same.
        Ok(mut trainer) => drop(trainer.fit(&examples(), Some(&examples()))),
        Err(_) => assert!(before == bits(&state(&model))),
    }
    read.write(&path).unwrap();
    let first = fs::read(&path).unwrap();
    Checkpoint::read(&path).unwrap().write(&path).unwrap();
    assert!(first == fs::read(&path).unwrap());
}

/// A file of the program's.
pub fn model(bytes: &[u8]) {
    let (_folder, path) = file(&measured(bytes));
    program::check(&path);
}

/// A text is a formula, whose printed text can be read, or an error that points into it.
pub fn formula(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let parsed = match parse(&text, ["x", "y"]) {
        Ok(parsed) => parsed,
        Err(error) => {
            return assert!((1..=text.chars().count() + 1).contains(&error.column), "{error}: {text:?}");
        }
    };
    let printed = parsed.to_string();
    // Only what is printed can be too long or too deep: a part that is used twice has a name, and few brackets are needed.
    let again = match parse(&printed, ["x", "y"]) {
        Ok(again) => again,
        Err(error) => {
            return assert!(error.expected.starts_with("at most"), "{text:?}: {error} in {printed:?}");
        }
    };
    for x in [[0.5, -2.0], [-0.0, f64::INFINITY], [f64::NAN, 1e300]] {
        again.value(x);
        parsed.value(x.map(Dual::variable)).slope();
    }
}
