//! Parquet files of other programs, with the cells that those wrote: tests/reference/parquet.py.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a test fails by panicking

use std::fs;
use std::path::{Path, PathBuf};

use tealight::data::{
    DataLoader, IterableDataset, Missing, Table, TableError, TableHint, TableOptions, TableSchema, read_csv,
};
use tealight::io;
use tealight::prelude::*;

fn place(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/reference/parquet").join(name)
}

fn rows(table: &Table) -> Vec<Vec<&str>> {
    (0..table.len()).map(|row| table.row(row).unwrap()).collect()
}

#[test]
fn cells_of_other_programs() -> Result<()> {
    let codecs =
        ["none", "snappy", "gzip", "lz4", "zstd"].map(|codec| (format!("pyarrow-{codec}"), "pyarrow"));
    let others = ["pandas", "polars", "fastparquet"].map(|name| (name.to_string(), name));
    for (name, cells) in codecs.into_iter().chain(others) {
        let table = Table::read(place(&format!("{name}.parquet")), &TableOptions::new())?;
        let mut expected = csv::Reader::from_path(place(&format!("{cells}.csv"))).unwrap();
        let names: Vec<String> = expected.headers().unwrap().iter().map(String::from).collect();
        assert_eq!(table.names(), names, "{name}");
        for (row, record) in expected.records().enumerate() {
            assert_eq!(table.row(row)?, record.unwrap().iter().collect::<Vec<_>>(), "{name}, row {row}");
        }
        assert_eq!(table.len(), 40, "{name}");
    }
    Ok(())
}

#[test]
fn a_table_as_inputs_and_targets() -> Result<()> {
    let options = TableOptions::auto().missing(Missing::Fill).dtype(DType::F64)?;
    let path = place("pandas.parquet");
    let schema = TableSchema::infer(&path, &options)?;
    assert_eq!(schema.summary(), "Parquet, 2 numbers, 4 words, 3 dates");
    assert_eq!(schema.notes(), ["column \"who\" has the names of the rows: left out"]);
    assert_eq!((schema.target(), schema.classes()), ("kind", &["high".to_string(), "low".into()][..]));
    // Categories are those that rows have, not those that pandas knows.
    let words: Vec<String> = schema.features().into_iter().filter(|name| name.starts_with("word=")).collect();
    assert_eq!(words, ["word=blue", "word=green", "word=red"]);
    let data = schema.read(&path)?;
    let row = data.inputs.narrow(0, 4, 1)?.squeeze(0)?.to_vec1::<f64>()?;
    assert_eq!(row[..2], [1.0, ((1_i64 << 53) + 5) as f64]);
    // A schema goes with text of the same columns, and the other way round.
    let text = tempfile::tempdir().unwrap();
    let csv = text.path().join("same.csv");
    fs::copy(place("pandas.csv"), &csv).unwrap();
    let saved: TableSchema = schema.to_string().parse()?;
    assert_eq!(saved.read(&csv)?.inputs, data.inputs);
    let other = TableSchema::infer(&csv, &options.clone().target("kind").ignore("who"))?;
    assert_eq!(other.read(&path)?.inputs, data.inputs);
    // Dictionaries of numbers are words.
    let codes = TableSchema::infer(place("pyarrow-snappy.parquet"), &options.ignore("none"))?;
    assert!(codes.features().contains(&"codes=10".to_string()), "{:?}", codes.features());
    Ok(())
}

#[test]
fn a_folder_is_a_table() -> Result<()> {
    let folder = Table::read(place("folder"), &TableOptions::new())?;
    let whole = Table::read(place("fastparquet.parquet"), &TableOptions::new())?;
    assert_eq!((folder.names(), rows(&folder)), (whole.names(), rows(&whole)));
    // The row of the file.
    let error = read_csv(place("folder"), &TableOptions::new()).unwrap_err().to_string();
    assert!(error.contains("part-0.parquet: row 4, column \"x\": expected a value"), "{error}");
    let bare = tempfile::tempdir().unwrap();
    fs::copy(place("folder/part-0.parquet"), bare.path().join("a.parquet")).unwrap();
    fs::copy(place("int128.parquet"), bare.path().join("b.parquet")).unwrap();
    let error = Table::read(bare.path(), &TableOptions::new()).unwrap_err().to_string();
    assert!(error.contains("b.parquet: expected the columns of "), "{error}");
    let empty = tempfile::tempdir().unwrap();
    let error = Table::read(empty.path(), &TableOptions::new()).unwrap_err().to_string();
    assert!(error.contains("expected a table, or a folder with .parquet files"), "{error}");
    Ok(())
}

/// As pandas and polars write them with keys: the latter also as a column of the files.
#[test]
fn folders_are_columns() -> Result<()> {
    let whole = Table::read(place("fastparquet.parquet"), &TableOptions::new())?;
    let mut expected = Vec::new();
    for (flag, word) in [("False", ""), ("False", "blue"), ("False", "green"), ("False", "red")]
        .into_iter()
        .chain([("True", ""), ("True", "blue"), ("True", "green"), ("True", "red")])
    {
        let at = |name: &str| whole.names().iter().position(|other| other == name).unwrap();
        let fits = |row: &&Vec<&str>| row[at("flag")] == flag && row[at("word")] == word;
        expected.extend(
            rows(&whole)
                .iter()
                .filter(fits)
                .map(|row| ["x", "kind", "flag", "word"].map(|name| row[at(name)].to_string())),
        );
    }
    expected.sort();
    for name in ["hive-pandas", "hive-polars"] {
        let table = Table::read(place(name), &TableOptions::new())?;
        let at = |name: &str| table.names().iter().position(|other| other == name).unwrap();
        let mut found: Vec<_> = rows(&table)
            .iter()
            .map(|row| ["x", "kind", "flag", "word"].map(|name| row[at(name)].to_lowercase()))
            .collect();
        found.sort();
        let lower: Vec<_> = expected.iter().map(|row| row.clone().map(|cell| cell.to_lowercase())).collect();
        assert_eq!(found, lower, "{name}");
        let options = TableOptions::auto().target("kind").ignore("big").ignore("text").missing(Missing::Fill);
        let schema = TableSchema::infer(place(name), &options)?;
        assert!(schema.features().contains(&"word=red".to_string()), "{:?}", schema.features());
        let (stream, data) = (schema.stream(place(name))?, schema.read(place(name))?);
        let (inputs, targets): (Vec<_>, Vec<_>) =
            stream.iter()?.collect::<Result<Vec<_>>>()?.into_iter().unzip();
        assert_eq!(
            (Tensor::cat(&inputs, 0)?, Tensor::cat(&targets, 0)?),
            (data.inputs, data.targets),
            "{name}"
        );
    }
    let folder = tempfile::tempdir().unwrap();
    let part = place("folder/part-0.parquet");
    let copy = |to: &str| {
        let to = folder.path().join(to);
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::copy(&part, to).unwrap();
    };
    copy("year=2023/a.parquet");
    copy("year=2024/_old/a.parquet");
    copy("year=2024/.tmp=1/a.parquet");
    copy("year=2024/other/a.parquet");
    copy("year=2024/b.parquet");
    let schema =
        TableSchema::infer(folder.path(), &TableOptions::new().target("year").missing(Missing::Fill))?;
    let years = schema.read(folder.path())?.targets.flatten(0, -1)?.to_vec1::<f32>()?;
    assert_eq!((years.len(), years[0], years[39]), (40, 2023.0, 2024.0));
    copy("b%3D=a%20%2Fé%zz/a.parquet");
    let error = Table::read(folder.path(), &TableOptions::new()).unwrap_err().to_string();
    assert!(
        error.contains("a.parquet: expected folders of the columns [\"b=\"], as ")
            && error.contains("got [\"year\"]"),
        "{error}"
    );
    fs::remove_dir_all(folder.path().join("year=2023")).unwrap();
    fs::remove_dir_all(folder.path().join("year=2024")).unwrap();
    let table = Table::read(folder.path(), &TableOptions::new())?;
    assert_eq!(table.row(0)?.last(), Some(&"a /é%zz"));
    copy(&format!("{}a.parquet", "a=1/".repeat(9)));
    let error = Table::read(folder.path(), &TableOptions::new()).unwrap_err().to_string();
    assert!(error.contains("expected folders at most 8 deep"), "{error}");
    Ok(())
}

/// What tests/reference/parquet.py reads by pandas, polars and pyarrow: written.parquet is what is written today, but for the footer,
/// which has the writer's version. Delete it to write it again.
#[test]
fn written_for_other_programs() -> Result<()> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("written.parquet");
    let x = Tensor::new(&[-2.5, 0.0, 1.0, f64::NAN, f64::INFINITY], &Device::Cpu)?;
    let numbers = Tensor::new(&[0.0, 1.0, 2.0, 100.0, 7.0], &Device::Cpu)?;
    let mut columns = vec![
        ("x".to_string(), x.clone()),
        ("list".into(), Tensor::stack(&[x.clone(), numbers.clone()], 1)?.to_dtype(DType::F32)?),
    ];
    for dtype in [DType::F16, DType::F32, DType::U8, DType::U32, DType::I16, DType::I32, DType::I64] {
        columns.push((format!("{dtype:?}"), numbers.to_dtype(dtype)?));
    }
    let columns: Vec<(&str, &Tensor)> = columns.iter().map(|(name, x)| (name.as_str(), x)).collect();
    io::write_parquet(&path, &columns)?;
    let kept = place("written.parquet");
    if !kept.exists() {
        fs::copy(&path, &kept).unwrap();
    }
    let pages = |path: &Path| {
        let bytes = fs::read(path).unwrap();
        let footer =
            bytes[bytes.len() - 8..].first_chunk().map(|length| u32::from_le_bytes(*length)).unwrap();
        bytes[..bytes.len() - 8 - footer as usize].to_vec()
    };
    assert!(pages(&path) == pages(&kept));
    Ok(())
}

#[test]
fn labels_of_hugging_face() -> Result<()> {
    let path = place("datasets.parquet");
    let error = read_csv(&path, &TableOptions::new().target("label")).unwrap_err();
    let said = error.to_string();
    assert!(
        said.contains("column \"image\": expected numbers, words, dates or lists of numbers, got Struct"),
        "{said}"
    );
    let cause = std::error::Error::source(&error).and_then(|cause| cause.downcast_ref::<TableError>());
    assert_eq!(cause.map(|cause| cause.hint), Some(TableHint::Ignore));
    let data = read_csv(&path, &TableOptions::new().target("label").ignore("image"))?;
    assert_eq!(data.classes, ["cat", "dog"]);
    assert_eq!(data.targets.to_vec1::<u32>()?, [0, 1, 0, 1, 0, 1, 0, 1]);
    Ok(())
}

#[test]
fn a_type_that_is_not_known_spoils_no_other_column() -> Result<()> {
    let data = read_csv(place("int128.parquet"), &TableOptions::new().ignore("odd"))?;
    assert_eq!(data.inputs.to_vec2::<f32>()?, (0..40).map(|i| vec![i as f32]).collect::<Vec<_>>());
    Ok(())
}

#[test]
fn damaged_files_are_errors_with_a_place() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bad.parquet");
    let whole = fs::read(place("pyarrow-zstd.parquet")).unwrap();
    let mut errors = Vec::new();
    for cut in [4, 5, 12, whole.len() / 2, whole.len() - 1] {
        fs::write(&path, &whole[..cut]).unwrap();
        errors.push(Table::read(&path, &TableOptions::new()).unwrap_err().to_string());
    }
    // The first column's pages.
    let mut spoilt = whole.clone();
    spoilt[4..60].fill(0xff);
    fs::write(&path, spoilt).unwrap();
    let error = Table::read(&path, &TableOptions::new()).unwrap_err().to_string();
    assert!(error.contains("in row group 0, column \"half\""), "{error}");
    errors.push(error);
    for error in errors {
        assert!(error.contains("bad.parquet: expected a whole Parquet table, got"), "{error}");
    }
}

#[test]
fn streams_are_the_tables_in_memory() -> Result<()> {
    for name in ["pandas", "polars", "pyarrow-gzip", "fastparquet", "folder"] {
        let path = if name == "folder" { place(name) } else { place(&format!("{name}.parquet")) };
        for missing in [Missing::Fill, Missing::Drop] {
            let mut options = TableOptions::auto().missing(missing).dtype(DType::F64)?;
            options = if name.starts_with("pyarrow") { options.ignore("none") } else { options };
            options =
                if name == "polars" && missing == Missing::Drop { options.ignore("nan") } else { options };
            let schema = TableSchema::infer(&path, &options)?;
            let (data, stream) = (schema.read(&path)?, schema.stream(&path)?);
            assert_eq!(stream.len(), data.len(), "{name}");
            let mut loader = DataLoader::iterable(&stream, 7)?.num_workers(1);
            let (inputs, targets): (Vec<_>, Vec<_>) =
                loader.epoch()?.collect::<Result<Vec<_>>>()?.into_iter().unzip();
            assert_eq!(Tensor::cat(&inputs, 0)?, data.inputs, "{name}");
            assert_eq!(Tensor::cat(&targets, 0)?, data.targets, "{name}");
        }
        assert_eq!(Table::read(&path, &TableOptions::new().nrows(21))?.len(), 21);
    }
    Ok(())
}

/// Of many rows, whose columns several threads decode.
#[test]
fn streams_are_the_same_on_any_number_of_threads() -> Result<()> {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, odd: f64| {
        let path = folder.path().join(name);
        let column = |value: &dyn Fn(usize) -> f64| {
            Tensor::from_vec((0..20_000).map(value).collect::<Vec<f64>>(), 20_000, &Device::Cpu)
        };
        let a = column(&|i| match i {
            15_000 => odd,
            i if i % 97 == 3 => f64::NAN,
            i => (i % 1013) as f64 / 8.0,
        })?;
        let b = column(&|i| if i == 9_000 { odd } else { i as f64 })?;
        let (c, y) = (column(&|i| (i * i % 31) as f64)?, column(&|i| (i % 3) as f64)?);
        io::write_parquet(&path, &[("a", &a), ("b", &b), ("c", &c), ("y", &y)])?;
        Ok::<_, Error>(path)
    };
    let whole = write("whole.parquet", 0.5)?;
    let schema = TableSchema::infer(&whole, &TableOptions::new().missing(Missing::Fill))?;
    let streamed = |path: &Path, threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let pieces = schema.stream(path)?.iter()?.collect::<Result<Vec<_>>>()?;
            let (inputs, targets): (Vec<_>, Vec<_>) = pieces.into_iter().unzip();
            Ok::<_, Error>((Tensor::cat(&inputs, 0)?, Tensor::cat(&targets, 0)?))
        })
    };
    let data = schema.read(&whole)?;
    // Too large for 32 bits, in two places; and a column that cannot be decoded.
    let odd = write("odd.parquet", 1e300)?;
    let spoilt = folder.path().join("spoilt.parquet");
    let mut bytes = fs::read(&whole).unwrap();
    bytes[4..60].fill(0xff);
    fs::write(&spoilt, bytes).unwrap();
    for threads in [1, 2, 5] {
        assert_eq!(streamed(&whole, threads)?, (data.inputs.clone(), data.targets.clone()), "{threads}");
        for (path, expected) in [
            (&odd, "odd.parquet: row 9001 (row group 0), column \"b\": expected a finite number"),
            (&spoilt, "spoilt.parquet: expected a whole Parquet table, got: "),
        ] {
            let error = streamed(path, threads).unwrap_err().to_string();
            assert!(error.contains(expected), "{threads}: {error}");
            assert_eq!(error, streamed(path, 1).unwrap_err().to_string());
        }
    }
    Ok(())
}

#[test]
fn a_training_from_a_stream_goes_on_in_mid_epoch() -> Result<()> {
    let path = place("pandas.parquet");
    let schema = TableSchema::infer(&path, &TableOptions::auto().missing(Missing::Fill))?;
    let loader = DataLoader::iterable(&schema.stream(&path)?, 4)?.shuffle(1).buffer_size(10).num_workers(2);
    let folder = tempfile::tempdir().unwrap();
    let middle = folder.path().join("middle.safetensors");
    let train = |resume: bool| {
        let model = Linear::new(schema.features().len(), 2, &mut Rng::seed(1))?;
        let mut trainer = Trainer::new(&model, CrossEntropy::new(), Sgd::new(model.parameters(), 0.01)?)
            .epochs(3)
            .silent()
            .on_step_end(|ctx| {
                if ctx.step == 14 {
                    ctx.save(&middle);
                }
                Ok(())
            });
        if resume {
            trainer = trainer.resume(&middle)?;
        }
        let history = trainer.fit(&loader, Some(&loader))?;
        assert_eq!(history.records().last().unwrap().step, 30);
        Ok::<_, Error>((model.weight.get().to_vec2::<f32>()?, history.curve("valid_loss")))
    };
    assert_eq!(train(false)?, train(true)?);
    Ok(())
}

#[cfg(feature = "tar")]
#[test]
fn images_of_tables_and_archives() -> Result<()> {
    use tealight::data::ImageFolderOptions;
    use tealight::data::image::read;
    let table = ImageFolderOptions::new(2, 3).stream(place("datasets.parquet"))?;
    assert_eq!((table.len(), table.classes()), (8, &["cat".to_string(), "dog".into()][..]));
    let mut loader = DataLoader::iterable(&table, 8)?.num_workers(1);
    let (inputs, targets) = loader.epoch()?.next().unwrap()?;
    assert_eq!(targets.to_vec1::<u32>()?, [0, 1, 0, 1, 0, 1, 0, 1]);
    let colour =
        |i: usize| inputs.narrow(0, i, 1)?.narrow(2, 0, 1)?.narrow(3, 0, 1)?.flatten(0, -1)?.to_vec1::<f32>();
    assert_eq!((colour(0)?, colour(1)?), (vec![1.0, 0.0, 0.0], vec![0.0, 0.0, 1.0]));

    // The same pictures in an archive: with classes as texts, and in directories.
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("shard.tar");
    let picture = fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("data/candle.jpg")).unwrap();
    assert!(read(Path::new(env!("CARGO_MANIFEST_DIR")).join("data/candle.jpg")).is_ok());
    let archive = |files: &[(&str, &[u8])]| {
        let mut tar = tar::Builder::new(Vec::new());
        for (name, bytes) in files {
            let mut header = tar::Header::new_gnu();
            header.set_size(bytes.len() as u64);
            tar.append_data(&mut header, name, *bytes).unwrap();
        }
        fs::write(&path, tar.into_inner().unwrap()).unwrap();
        ImageFolderOptions::new(4, 4).stream(&path)
    };
    let texts = archive(&[
        ("a/01.jpg", &picture),
        ("a/01.cls", b"10\n"),
        ("a/02.cls", b"2"),
        ("a/02.jpg", &picture),
        ("a/02.json", b"{}"),
    ])?;
    assert_eq!((texts.len(), texts.classes()), (2, &["2".to_string(), "10".into()][..]));
    let pieces = texts.iter()?.collect::<Result<Vec<_>>>()?;
    assert_eq!((pieces[0].0.dims(), pieces[0].1.to_vec1::<u32>()?), (&[2, 3, 4, 4][..], vec![1, 0]));
    let folders =
        archive(&[("x/dogs/1.2.jpg", &picture), ("x/dogs/1.3.jpg", &picture), ("x/cats/1.JPG", &picture)])?;
    assert_eq!((folders.len(), folders.classes()), (3, &["cats".to_string(), "dogs".into()][..]));
    let other = folders.with_classes(&["dogs".into(), "cats".into()])?;
    assert_eq!(other.iter()?.next().unwrap()?.1.to_vec1::<u32>()?, [0, 0, 1]);
    assert!(other.with_classes(&["dogs".into()]).is_err());
    // Damaged, or without a class.
    for (files, expected) in [
        (vec![("1.jpg", &picture[..])], "1.jpg: expected a directory of its class"),
        (
            vec![("a/1.cls", b"3"), ("a/1.jpg", &picture), ("a/2.jpg", &picture)],
            "2.jpg: expected its class as a text",
        ),
        (
            vec![("a/1.jpg", &picture), ("a/2.cls", b"3"), ("a/2.jpg", &picture)],
            "2.jpg: expected a directory",
        ),
    ] {
        let error = archive(&files).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
    archive(&[("x/dogs/1.jpg", &picture)])?;
    let whole = fs::read(&path).unwrap();
    for (bytes, expected) in [(&whole[..3000], "tar archive"), (&b"not a tar"[..], "tar archive")] {
        fs::write(&path, bytes).unwrap();
        let error = ImageFolderOptions::new(4, 4).stream(&path).unwrap_err().to_string();
        assert!(error.contains(expected) && error.contains("shard.tar"), "{error}");
    }
    let error = ImageFolderOptions::new(4, 4).stream(place("pandas.parquet")).unwrap_err().to_string();
    assert!(error.contains("expected a column of images"), "{error}");
    Ok(())
}

#[test]
fn columns_are_written() -> Result<()> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("out.parquet");
    let device = &Device::Cpu;
    let x = Tensor::new(&[[0.5_f64, f64::NAN, -1e300], [1.0, 2.0, 3.0]], device)?;
    let n = Tensor::new(&[1_i64 << 60, -1], device)?;
    let half = Tensor::new(&[0.5_f32, 2.0], device)?.to_dtype(DType::F16)?;
    io::write_parquet(&path, &[("x", &x), ("n", &n), ("half", &half)])?;
    let table = Table::read(&path, &TableOptions::new())?;
    assert_eq!(table.names(), ["x[0]", "x[1]", "x[2]", "n", "half"]);
    let large = (-1e300_f64).to_string();
    assert_eq!(
        rows(&table),
        [vec!["0.5", "", large.as_str(), "1152921504606846976", "0.5"], vec!["1", "2", "3", "-1", "2"]]
    );
    for (columns, expected) in [
        (vec![("a", &n), ("a", &n)], "one column of each name"),
        (vec![], "columns of one length"),
        (vec![("a", &n), ("b", &x.narrow(0, 0, 1)?.squeeze(0)?)], "columns of one length"),
        (vec![("a", &Tensor::zeros((2, 2, 2), DType::F32, device)?)], "a tensor (n) or (n, k)"),
    ] {
        let error = io::write_parquet(&path, &columns).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
    Ok(())
}
