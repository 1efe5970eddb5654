use super::*;
use crate::data::IterableDataset;
use crate::prelude::*;

fn read(text: &str, options: &TableOptions) -> Result<LabeledDataset> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("t.csv");
    std::fs::write(&path, text).unwrap();
    read_csv(&path, options)
}

fn error_of(text: &str, options: &TableOptions) -> String {
    let error = read(text, options).unwrap_err().to_string();
    error.split_once("t.csv: ").unwrap_or_else(|| panic!("no file in {error}")).1.into()
}

fn inputs(data: &LabeledDataset) -> Vec<Vec<f32>> {
    data.inputs.to_vec2().unwrap()
}

#[test]
fn numeric_and_categorical_columns() -> Result<()> {
    let options = TableOptions::new();
    let data = read("\u{feff}b, a ,kind\r\n 1,x,yes\r\n\r\n-2.5e1,\"y, \"\"z\"\"\",no\r\n", &options)?;
    assert_eq!(data.features, ["b", "a=x", "a=y, \"z\""]);
    assert_eq!(inputs(&data), [[1.0, 1.0, 0.0], [-25.0, 0.0, 1.0]]);
    assert_eq!((data.classes, data.targets.to_vec1::<u32>()?), (vec!["no".into(), "yes".into()], vec![1, 0]));

    let table = "y;x;id\n10;1;a\n9;2;b\n10;3;c";
    let options = TableOptions::new().delimiter(b';').target("y").ignore("id");
    let data = read(table, &options)?;
    assert_eq!(
        (data.targets.to_vec2::<f32>()?, data.classes.len()),
        (vec![vec![10.0], vec![9.0], vec![10.0]], 0)
    );
    assert_eq!((inputs(&data), data.len()), (vec![vec![1.0], vec![2.0], vec![3.0]], 3));
    let data = read(table, &options.clone().categorical_target().categorical("x"))?;
    assert_eq!(
        (data.classes, data.targets.to_vec1::<u32>()?),
        (vec!["9".into(), "10".into()], vec![1, 0, 1])
    );
    assert_eq!(data.features, ["x=1", "x=2", "x=3"]);

    let data = read("1,2,a\n3,4,b\n", &TableOptions::new().no_header())?;
    assert_eq!((data.len(), data.features), (2, vec!["0".into(), "1".into()]));
    assert_eq!(
        read("1,2,a\n3,4,b\n", &TableOptions::new().no_header().target("0"))?.features,
        ["1", "2=a", "2=b"]
    );
    Ok(())
}

#[test]
fn missing_values() -> Result<()> {
    let table = "x,colour,y\n1,red,1\n,blue,2\n3,NA,3\n5,red,4\n";
    let options = TableOptions::new();
    let error = error_of(table, &options);
    assert!(error.starts_with("line 3, column \"x\": expected a value, got \"\""), "{error}");
    let dropped = read(table, &options.clone().missing(Missing::Drop))?;
    // Blue is in no row that is left.
    assert_eq!((inputs(&dropped), dropped.features.len()), (vec![vec![1.0, 1.0], vec![5.0, 1.0]], 2));
    let filled = read(table, &options.clone().missing(Missing::Fill))?;
    assert_eq!(inputs(&filled), [[1.0, 0.0, 1.0], [3.0, 1.0, 0.0], [3.0, 0.0, 1.0], [5.0, 0.0, 1.0]]);
    let error = error_of("x,y\n1,1\n2,?\n", &options.clone().missing(Missing::Fill));
    assert!(error.starts_with("line 3, column \"y\": expected a target, got \"?\""), "{error}");
    assert_eq!(
        error_of("x,y\n,1\n2,\n", &options.clone().missing(Missing::Drop)),
        "expected a row without missing values, got none"
    );
    let error = error_of("x,z,y\n,1,1\n,2,2\n", &options.clone().missing(Missing::Fill));
    assert!(error.starts_with("column \"x\": expected a value, got none in any row"), "{error}");
    // Other texts for missing values; ignored columns may have gaps.
    let options = options.missing(Missing::Drop).na_values(&["-9"]).ignore("z");
    assert_eq!(read("x,z,y\n-9,1,NA\n2,,None\n,3,None\n", &options)?.classes, ["None"]);
    Ok(())
}

#[test]
fn a_second_file_is_read_as_the_first() -> Result<()> {
    let directory = tempfile::tempdir().unwrap();
    let [first, second] = ["a.csv", "b.csv"].map(|name| directory.path().join(name));
    std::fs::write(&first, "x,colour,y\n1,red,no\n3,blue,yes\n").unwrap();
    std::fs::write(&second, "y,more,colour,x\nyes,0,red,\n").unwrap();
    let schema = TableSchema::infer(&first, &TableOptions::new().target("y").missing(Missing::Fill))?;
    let data = schema.read(&second)?;
    // The mean of the first file, and its names.
    assert_eq!((inputs(&data), data.targets.to_vec1::<u32>()?), (vec![vec![2.0, 0.0, 1.0]], vec![1]));
    for (text, message) in [
        ("x,colour,y\n1,green,no\n", "line 2, column \"colour\": expected one of blue, red, got \"green\""),
        ("x,colour,y\n1,red,maybe\n", "line 2, column \"y\": expected one of no, yes, got \"maybe\""),
        ("x,colour,y\none,red,no\n", "line 2, column \"x\": expected a number, got \"one\""),
        ("x,y\n1,no\n", "expected a column \"colour\", got x, y"),
    ] {
        std::fs::write(&second, text).unwrap();
        let error = schema.read(&second).unwrap_err().to_string();
        assert!(error.ends_with(&format!("b.csv: {message}")), "{error}");
    }
    Ok(())
}

#[test]
fn malformed_tables() {
    let plain = TableOptions::new();
    for (text, message) in [
        ("", "expected a table, got an empty file"),
        ("\n\n", "expected a table, got an empty file"),
        ("x,y\n", "expected rows below the header, got none"),
        ("x,y\n1,2\n\n1\n", "line 4: expected 2 values, got 1"),
        ("x,y\n1,2,3\n", "line 2: expected 2 values, got 3"),
        ("x,x,y\n1,2,3\n", "expected one column of each name, got two \"x\": rename one of them"),
        (
            "y\n1\n",
            "expected a column of inputs beside the target, got none (is the delimiter another one? See TableOptions::delimiter)",
        ),
        ("x,y\n1,a\n2,\"b\n3,c\n", "line 3: expected the end of a value in quotes, got the end of the file"),
        ("x,y\n1,2\ninf,2\n", "line 3, column \"x\": expected a finite number (of 32 bits), got \"inf\""),
        ("x,y\n1,2\n1e39,2\n", "line 3, column \"x\": expected a finite number (of 32 bits), got \"1e39\""),
    ] {
        assert_eq!(error_of(text, &plain), message, "{text:?}");
    }
    let error = error_of("x,y\n1,2\n\"2\n\",2\n1O,2\n", &plain);
    assert!(
        error.starts_with("line 5, column \"x\": expected a number, as in line 2, got \"1O\""),
        "{error}"
    );
    assert_eq!(error_of("x,y\n1,2\n", &plain.clone().target("z")), "expected a column \"z\", got x, y");
    assert_eq!(error_of("x,y\n1,2\n", &plain.clone().ignore("z")), "expected a column \"z\", got x, y");
    assert!(
        error_of("x,y\n1,2\n", &plain.clone().ignore("y")).contains("expected a target that is not ignored")
    );
    // Many columns, and many classes, are found without a search through all of them for each.
    let wide: Vec<String> = (0..50_000).map(|i| format!("c{i}")).collect();
    let ones = vec!["1"; wide.len()].join(",");
    let data = read(&format!("{}\n{ones}\n", wide.join(",")), &plain).unwrap();
    assert_eq!(data.features, wide[..wide.len() - 1]);
    let long: String = wide.iter().map(|name| format!("1,{name}\n")).collect();
    assert_eq!(read(&format!("x,y\n{long}"), &plain).unwrap().classes.len(), wide.len());
    let many: String = (0..101).map(|i| format!("n{i},1\n")).collect();
    let error = error_of(&format!("x,y\n{many}"), &plain);
    assert!(error.starts_with("column \"x\": expected at most 100 categories, got 101"), "{error}");
    assert!(read(&format!("x,y\n{many}"), &plain.clone().max_categories(101)).is_ok());
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("t.csv");
    std::fs::write(&path, b"x,y\n1,2\n\xff,2\n").unwrap();
    let error = read_csv(&path, &plain).unwrap_err().to_string();
    let expected = "t.csv: line 3: expected text in UTF-8, got other bytes (TableOptions::encoding names another encoding)";
    assert!(error.ends_with(expected), "{error}");
    assert!(matches!(read_csv(directory.path().join("none"), &plain), Err(Error::File { .. })));
}

#[test]
fn any_bytes_are_a_table_or_an_error() {
    let rng = &mut Rng::seed(4);
    let pieces = [",", "\n", "\"", "1", "x", "\r", ";", "é", "NA", " ", "-", "e9"];
    for round in 0..400 {
        let text: String = (0..rng.below(40)).map(|_| pieces[rng.below(pieces.len())]).collect();
        let odd = TableOptions::new().no_header().missing(Missing::Drop).delimiter(b'"');
        for options in [TableOptions::new(), TableOptions::auto().missing(Missing::Fill), odd] {
            if let Ok(data) = read(&text, &options) {
                assert_eq!(
                    data.inputs.dims(),
                    [data.targets.dims()[0], data.features.len()],
                    "{round} {text:?}"
                );
                assert!(inputs(&data).concat().iter().all(|x| x.is_finite()), "{text:?}");
            }
        }
    }
}

#[test]
fn a_schema_as_text() -> Result<()> {
    let directory = tempfile::tempdir().unwrap();
    let (known, new) = (directory.path().join("known.csv"), directory.path().join("new.csv"));
    let table = "x;\"a \"\"b\"\"\";kind\n0.1;\"one\ntwo\";1\n?;;2\n0.3;é;2\n";
    std::fs::write(&known, table).unwrap();
    let options = TableOptions::new().delimiter(b';').categorical_target();
    let filling = TableSchema::infer(&known, &options.clone().missing(Missing::Fill))?;
    let again: TableSchema = filling.to_string().parse()?;
    assert_eq!((&again.inputs, &again.target), (&filling.inputs, &filling.target));
    assert_eq!((again.classes(), again.target()), (&["1".to_string(), "2".into()][..], "kind"));
    let (first, second) = (filling.read(&known)?, again.read(&known)?);
    assert_eq!((first.inputs, first.targets), (second.inputs, second.targets));

    std::fs::write(&new, "\"a \"\"b\"\"\";more;x\n\"one\ntwo\";;1\n;5;\n").unwrap();
    // The mean of 0.1 and 0.3, and the first of two names that are as frequent.
    assert_eq!(again.read_inputs(&new)?.to_vec2::<f32>()?, [[1.0, 1.0, 0.0], [0.2, 1.0, 0.0]]);
    let dropping: TableSchema =
        TableSchema::infer(&known, &options.clone().missing(Missing::Drop))?.to_string().parse()?;
    let error_of = |schema: &TableSchema, text: &str| {
        std::fs::write(&new, text).unwrap();
        let error = schema.read_inputs(&new).unwrap_err().to_string();
        error.split_once("new.csv: ").unwrap_or_else(|| panic!("no file in {error}")).1.to_string()
    };
    let head = "x;\"a \"\"b\"\"\"\n";
    assert_eq!(
        error_of(&dropping, &format!("{head}?;é\n")),
        "line 2, column \"x\": expected a value, got \"?\""
    );
    assert!(
        error_of(&again, &format!("{head}1;z\n"))
            .starts_with("line 2, column \"a \\\"b\\\"\": expected one of")
    );
    assert!(error_of(&again, "x;b\n1;2\n").starts_with("expected a column \"a"));
    assert_eq!(error_of(&again, head), "expected rows below the header, got none");

    let text = again.to_string();
    for length in 0..text.len() {
        assert!(text.get(..length).is_none_or(|part| part.parse::<TableSchema>().is_err()), "{length}");
    }
    for (from, to) in [
        (":59", ":300"),
        ("\"Fill\"", "\"Guess\""),
        ("\"mean\":\"0.2\"", "\"mean\":\"1e39\""),
        ("\"mean\":\"0.2\"", "\"mean\":\"x\""),
        ("\"encoding\":null", "\"encoding\":\"klingon\""),
        ("\"mean\":\"0.2\"", "\"mean\":null"),
        ("\"most_frequent\":0", "\"most_frequent\":2"),
        ("\"most_frequent\":0", "\"most_frequent\":-1"),
        ("Numeric", "Words"),
        ("[\"1\",\"2\"]", "[]"),
        ("\"target\"", "\"other\""),
    ] {
        let text = text.replace(from, to);
        assert!(matches!(text.parse::<TableSchema>(), Err(Error::Argument { .. })), "{text}");
    }
    let target = r#"{"name":"y","kind":{"Numeric":{"mean":"1.0"}}}"#;
    let (format, rest) = text.split_once(",\"inputs\":").expect("the schema has inputs");
    assert!(rest.contains("\"target\":"), "{rest}");
    let alone = format!(r#"{format},"inputs":[],"target":{target}}}"#);
    let error = alone.parse::<TableSchema>().unwrap_err().to_string();
    assert_eq!(error, "TableSchema: expected the text of a schema, got no column of inputs");
    Ok(())
}

fn auto(text: impl AsRef<[u8]>) -> Result<(TableSchema, LabeledDataset)> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("t.csv");
    std::fs::write(&path, text).unwrap();
    let schema = TableSchema::infer(&path, &TableOptions::auto().missing(Missing::Fill))?;
    let data = schema.read(&path)?;
    Ok((schema, data))
}

#[test]
fn tables_as_they_come() -> Result<()> {
    let utf16: Vec<u8> = "x\ty\r\n1,5\ta\r\n2,5\tb\r\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
    let marked = [&[0xff, 0xfe], &utf16[..]].concat();
    for (text, summary, first) in [
        (&b"x;y\n1,5;a\n2,5;b\n"[..], "; between columns, decimal comma, 1 number, 1 word", &[1.5][..]),
        (b"\xef\xbb\xbfsep=;\r\nx;y\r\n1;a\r\n2;b\r\n", "; between columns, 1 number, 1 word", &[1.0]),
        (&utf16, "tab between columns, decimal comma, UTF-16LE, 1 number, 1 word", &[1.5]),
        (&marked, "tab between columns, decimal comma, UTF-16LE, 1 number, 1 word", &[1.5]),
        (b"gr\xf6\xdfe,y\n1,a\n2,b\n", ", between columns, windows-1252, 1 number, 1 word", &[1.0]),
        (
            b"x|y\n$1,000.5|a\n$2|b\n",
            "| between columns, comma between thousands, 1 number, 1 word, in $",
            &[1000.5],
        ),
        (
            b"x;y\n1.234,5 \x80;a\n2;b\n",
            "; between columns, decimal comma, point between thousands, windows-1252, 1 number, 1 word, in €",
            &[1234.5],
        ),
        (
            b"x,y\n\"1,000\",a\n\"2,500\",b\n",
            ", between columns, comma between thousands (the comma might also be the decimal mark: the option decimal tells), 1 number, 1 word",
            &[1000.0],
        ),
        (b"x,y\n\"1,5\",a\n\"2,5\",b\n", ", between columns, decimal comma, 1 number, 1 word", &[1.5]),
        (b"x,y\n12 %,a\n5%,b\n", ", between columns, 1 number, 1 word, 1 in percent (12 % is 0.12)", &[0.12]),
        (
            b"5.1,3.5,a\n4.9,3.0,a\n6.1,2.9,b\n5.9,3.1,b\n",
            ", between columns, no header, 2 numbers, 1 word",
            &[5.1, 3.5],
        ),
        (
            b"red,small,yes\nblue,small,no\nred,large,no\nblue,small,yes\n",
            ", between columns, no header, 3 words",
            &[0.0, 1.0, 0.0, 1.0],
        ),
        // Years are names.
        (
            b"2019,2020,y\n7,3,a\n8,1,b\n9,1,a\n2,1,b\n9,3,b\n",
            ", between columns, 2 numbers, 1 word",
            &[7.0, 3.0],
        ),
        (b"x,y,\n1,a,\n2,b,\n", ", between columns, 1 number, 1 word", &[1.0]),
        (b"x,y\n1,a,\n2,b,\n", ", between columns, 1 number, 1 word", &[1.0]),
        // As R writes it: no name for the names of the rows.
        (b"x,y\nr1,1,a\nr2,2,b\n", ", between columns, 1 number, 1 word", &[1.0]),
        (b"when,y\n2024-02-29,a\n2024-03-01,b\n", ", between columns, 1 word, 1 date", &[19_782.0, 2.0, 3.0]),
        (
            b"when,y\n31.12.2024 12:00,a\n1.1.2025 00:00,b\n",
            ", between columns, 1 word, 1 date",
            &[20_088.5, 12.0, 1.0, 12.0],
        ),
        (
            b"when,y\n\"Mar 3, 2024\",a\n\"March 10, 2024\",b\n",
            ", between columns, 1 word, 1 date",
            &[19_785.0, 3.0, 6.0],
        ),
        (b"paid,y\n(12.50),a\n3,b\n", ", between columns, 1 number, 1 word", &[-12.5]),
        (
            b"   x    y  kind  \n 1.5  -20  \"a  b\" \n10     3  c\n 2    15  c  \n",
            "space between columns, 2 numbers, 1 word",
            &[1.5, -20.0],
        ),
        (b"when,y\n12:30,a\n1:00,b\n", ", between columns, 1 word, 1 date", &[12.5]),
    ] {
        let shown = String::from_utf8_lossy(text);
        let (schema, data) = auto(text)?;
        assert_eq!(schema.summary(), summary, "{shown}");
        assert_eq!(inputs(&data)[0], first.iter().map(|x| *x as f32).collect::<Vec<_>>(), "{shown}");
        let kept: TableSchema = schema.to_string().parse()?;
        assert_eq!(kept.summary(), summary);
    }
    Ok(())
}

#[cfg(feature = "compress")]
#[test]
fn compressed_tables_and_other_files() {
    use std::io::Write;
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packed.write_all(b"x,y\n1,a\n2,b\n").unwrap();
    let packed = packed.finish().unwrap();
    assert_eq!(inputs(&auto(&packed).unwrap().1), [[1.0], [2.0]]);
    for (bytes, expected) in [
        (&packed[..packed.len() - 9], "expected a whole gzip file"),
        (
            b"PAR1\x15\x04",
            if cfg!(feature = "parquet") { "whole Parquet table" } else { "got a Parquet table" },
        ),
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "expected text (CSV, TSV), got a PNG image"),
        (b"<!doctype html><p>1,2</p>", "got an HTML page"),
    ] {
        let error = auto(bytes).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn told_is_stronger_than_recognised() -> Result<()> {
    let table = "x,y\n\"1,000\",a\n\"2,500\",b\n";
    assert_eq!(inputs(&read(table, &TableOptions::auto().decimal(','))?), [[1.0], [2.5]]);
    assert_eq!(inputs(&read(table, &TableOptions::new().thousands(','))?), [[1000.0], [2500.0]]);
    assert_eq!(read(table, &TableOptions::new())?.features, ["x=1,000", "x=2,500"]);
    assert_eq!(read("1,2\n1,3\n2,3\n", &TableOptions::auto().header())?.features, ["1"]);
    assert_eq!(
        read("x,y\n1/2/2024,a\n", &TableOptions::new().day_first())?.inputs.to_vec2::<f32>()?[0][1],
        2.0
    );
    let latin = TableOptions::new().encoding("latin1")?;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("t.csv");
    std::fs::write(&path, b"x,y\n1,b\xf6\n").unwrap();
    assert_eq!(read_csv(&path, &latin)?.classes, ["bö"]);
    let error = TableOptions::new().encoding("klingon").unwrap_err().to_string();
    assert_eq!(error, "encoding: expected an encoding such as utf-8 or windows-1252, got klingon");
    assert!(TableOptions::new().dtype(DType::U8).is_err());
    // In f32 the two would be one.
    let double = read("x,y\n20000000.16,1\n20000000.79,2\n", &TableOptions::new().dtype(DType::F64)?)?;
    assert_eq!(double.inputs.to_vec2::<f64>()?, [[20_000_000.16], [20_000_000.79]]);
    assert_eq!(double.targets.dtype(), DType::F64);
    Ok(())
}

#[test]
fn what_should_be_looked_at() -> Result<()> {
    let notes = |text: &str| auto(text).unwrap().0.notes().to_vec();
    let rows = |row: &dyn Fn(usize) -> String| (0..12).map(row).collect::<String>();
    let kind = |i: usize| ["a", "b"][i * i % 5 % 2];
    let table = format!(",x,y\n{}", rows(&|i| format!("{i},0.{},{}\n", i % 7, kind(i))));
    assert_eq!(notes(&table), ["column 1 has no name and numbers the rows: left out"]);
    assert_eq!(auto(&table)?.1.features, ["x"]);
    // Not if its values repeat.
    assert_eq!(auto(",y\n1,a\n1,b\n2,a\n")?.1.features, ["Unnamed: 0"]);
    let table = format!("id,x,y\n{}", rows(&|i| format!("{},0.{},{}\n", 100 - i, i % 7, kind(i))));
    assert_eq!(notes(&table), ["column \"id\" numbers the rows: a model can only memorise it"]);
    let table = format!("name,x,y\n{}", rows(&|i| format!("n{i},0.{},{}\n", i % 7, kind(i))));
    assert_eq!(notes(&table), ["column \"name\" differs in every row: a model can only memorise it"]);
    let table = format!("c,x,y\n{}", rows(&|i| format!("{}1,0.{},{}\n", kind(i), i % 7, kind(i))));
    assert_eq!(notes(&table), ["column \"c\" gives \"y\" away: is it known before?"]);
    let table =
        format!("pence,x,pounds\n{}", rows(&|i| format!("{}.5,0.{},{}\n", 100 * i * i, i % 7, i * i)));
    assert_eq!(notes(&table), ["column \"pence\" gives \"pounds\" away: is it known before?"]);
    let (schema, _) = auto("d,y\n1/2/2024,a\n3/4/2024,b\n")?;
    assert_eq!(
        schema.notes(),
        [
            "column \"d\": dates such as 1/2/2024 are read with the month first (the option day-first changes that)"
        ]
    );
    let id =
        "column \"id\" has another whole number in every row: is it an id? The option ignore leaves it out";
    for first in [["1000", "5000"], ["77", "78"]] {
        // Of the same length, or rising.
        let id_of =
            |i: usize| first[i % 2].parse::<usize>().unwrap() + if first[0] == "77" { 3 * i } else { i };
        let table = format!("id,x,y\n{}", rows(&|i| format!("{},0.{},{}\n", id_of(i), i % 7, kind(i))));
        assert_eq!(notes(&table), [id]);
    }
    let area = format!(
        "area,x,y\n{}",
        rows(&|i| format!(
            "{},0.{},{}\n",
            [61, 45, 90, 120, 77, 52, 88, 101, 64, 49, 73, 110][i],
            i % 7,
            kind(i)
        ))
    );
    assert!(notes(&area).is_empty());
    let prices = format!(
        "p,x,y\n{}",
        rows(&|i| format!("{}{}.5,0.{},{}\n", ["$", "€"][i % 2], i % 5, i % 7, kind(i)))
    );
    assert_eq!(notes(&prices), ["column \"p\" has several currencies: $, €"]);
    assert!(auto("d,y\n1/2/2024,a\n13/4/2024,b\n")?.0.notes().is_empty());
    Ok(())
}

#[test]
fn words_among_numbers_and_numbers_as_words() -> Result<()> {
    let error = error_of(
        "x,y\n1,a\n2,a\noops,b\n4,b\n?,b\nn.a.,b\n5,a\n",
        &TableOptions::auto().missing(Missing::Fill),
    );
    assert!(error.starts_with("line 4, column \"x\": expected a number, as in line 2, got \"oops\", in line 7 \"n.a.\" (TableOptions::na_values"), "{error}");
    // A cabin may look like a number.
    assert_eq!(
        read("x,y\nC85,1\nE46,2\n123,3\n", &TableOptions::new())?.features,
        ["x=123", "x=C85", "x=E46"]
    );
    let data = read("x,y\n1,1\n2,1.0\n3,2.00\n4,2\n", &TableOptions::new().categorical_target())?;
    assert_eq!(
        (data.classes, data.targets.to_vec1::<u32>()?),
        (vec!["1".to_string(), "2".into()], vec![0, 0, 1, 1])
    );
    // One date that is none.
    let dates = "d,y\n2024-01-31,1\nunknown,2\n2024-02-01,3\n2023-02-30,4\n2024-02-03,5\n";
    let error = error_of(dates, &TableOptions::auto());
    assert!(error.starts_with("line 3, column \"d\": expected a date, as in line 2, got \"unknown\", in line 5 \"2023-02-30\" (TableOptions::na_values"), "{error}");
    assert_eq!(read("d,y\nmay,1\n2024-02-01,2\njune,3\n", &TableOptions::auto())?.features.len(), 3);
    // Percent signs on all numbers, or on none.
    let (schema, data) = auto("p,y\n80 %,1\n(5 %),2\n0,3\n7%,4\n")?;
    assert_eq!(data.inputs.flatten(0, -1)?.to_vec1::<f32>()?, [0.8, -0.05, 0.0, 0.07]);
    assert_eq!(schema.summary(), ", between columns, 2 numbers, 1 in percent (12 % is 0.12)");
    let again: TableSchema = schema.to_string().parse()?;
    assert!(
        again.encode_values(&[TableValue::Text("80")]).is_err()
            && again.encode_values(&[TableValue::Text("80%")]).is_ok()
    );
    let error = error_of("p,y\n80 %,1\n5 %,2\n20,3\n", &TableOptions::auto());
    assert!(
        error.starts_with("line 4, column \"p\": expected a percent sign, as in line 2, got \"20\""),
        "{error}"
    );
    let (schema, _) = auto("p,y\n80,1\n5,2\n20,3\n")?;
    let error = schema.encode_values(&[TableValue::Text("80 %")]).unwrap_err().to_string();
    assert!(
        error.contains("expected a number without a percent sign in column \"p\", got \"80 %\""),
        "{error}"
    );
    assert_eq!(auto("p,y\n3 €,1\n5 €,2\n€ 4,3\n")?.0.summary(), ", between columns, 2 numbers, in €");
    // One class, also beside a code.
    let data = read("x,y\n1,1\n2,1.0\n3,01\n4,01\n", &TableOptions::new().categorical_target())?;
    assert_eq!(data.classes, ["01", "1"]);
    // A postcode keeps its zero.
    let data = read("code,y\n01067,1\n80331,2\n", &TableOptions::new().categorical("code"))?;
    assert_eq!(data.features, ["code=01067", "code=80331"]);
    // The row of a quote without an end is known, and those below it.
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("t.csv");
    std::fs::write(&path, "x,y\n1,a\n\"2,b\n3,c\n4\n5,e\n").unwrap();
    let table = Table::read(&path, &TableOptions::auto())?;
    let known = TableSchema::infer(&path, &TableOptions::new());
    assert!(
        known
            .unwrap_err()
            .to_string()
            .ends_with("line 3: expected the end of a value in quotes, got the end of the file")
    );
    std::fs::write(&path, "x,y\n1,a\n2,b\n").unwrap();
    let rows = TableSchema::infer(&path, &TableOptions::new())?.encode_rows(&table)?;
    let rows: Vec<Option<Vec<f64>>> = rows.into_iter().map(Result::ok).collect();
    assert_eq!(rows, [Some(vec![1.0]), None, Some(vec![3.0]), None, Some(vec![5.0])]);
    assert!(table.row(5).is_err());
    Ok(())
}

#[test]
fn gaps_are_filled_from_the_rows_to_train_on() -> Result<()> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("t.csv");
    std::fs::write(&path, "x,c,y\n1,red,1\n,red,2\n3,NA,3\n8,blue,4\n9,blue,5\n").unwrap();
    let options = TableOptions::new().missing(Missing::Fill);
    let table = Table::read(&path, &options)?;
    let mut schema = TableSchema::from_table(&table, &options)?;
    assert_eq!(inputs(&schema.encode(&table)?)[1..3], [[5.25, 0.0, 1.0], [3.0, 1.0, 0.0]]);
    schema.fill_from(&table, &[0, 1, 2])?;
    assert_eq!(inputs(&schema.encode(&table)?)[1..3], [[2.0, 0.0, 1.0], [3.0, 0.0, 1.0]]);
    let filled = schema.fill_values(&table, &schema.used_rows(&table)?)?;
    let told: Vec<_> =
        filled.iter().map(|gap| (&gap.column[..], gap.count, &gap.text[..], &gap.value[..])).collect();
    assert_eq!(told, [("x", 1, "", "the mean 2"), ("c", 1, "NA", "\"red\"")]);
    Ok(())
}

#[test]
fn another_file_may_be_written_otherwise() -> Result<()> {
    let directory = tempfile::tempdir().unwrap();
    let [first, second] = ["a.csv", "b.csv"].map(|name| directory.path().join(name));
    std::fs::write(&first, "x;z;y\n1,5;2;a\n2,5;3;b\n").unwrap();
    let schema = TableSchema::infer(&first, &TableOptions::auto())?;
    for text in ["z;x\n7;\"1,250\"\n", "x,z\n1.25,7\n", "x\tz\n1,25\t7\n"] {
        std::fs::write(&second, text).unwrap();
        assert_eq!(schema.read_inputs(&second)?.to_vec2::<f32>()?, [[1.25, 7.0]], "{text:?}");
    }
    Ok(())
}

#[test]
fn texts_are_compared_in_composed_form() -> Result<()> {
    // é as one letter, and as e with an accent: what an editor and a file system of a Mac write.
    let [one, two] = ["\u{e9}t\u{e9}", "e\u{301}te\u{301}"];
    let text = format!("{one},kind,id\n{one},{two},1\n{two},{one},2\nhiver\u{37e},x,3\n");
    let options = TableOptions::new().target("kind").ignore("id").categorical(two);
    let data = read(&text, &options)?;
    assert_eq!(
        (data.classes, data.features),
        (vec!["x".into(), one.into()], vec![format!("{one}=hiver;"), format!("{one}={one}")])
    );
    assert_eq!(data.targets.to_vec1::<u32>()?, [1, 1, 0]);
    let data = read(
        &text,
        &TableOptions::new().target(two).ignore("kind").missing(Missing::Drop).na_values(&[two]),
    )?;
    assert_eq!((inputs(&data), data.classes), (vec![vec![3.0]], vec!["hiver;".to_string()]));
    Ok(())
}

#[test]
fn a_row_of_values() -> Result<()> {
    use TableValue::{Missing as Gap, Number, Text};
    let table = "size;day;code;kind\n1,5;31.12.2024;7;a\n2,5;30.12.2024;10;b\n3,5;;7;b\n";
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("t.csv");
    std::fs::write(&path, table).unwrap();
    let options = TableOptions::auto().categorical("code").missing(Missing::Fill);
    let schema = TableSchema::infer(&path, &options)?;
    let read = Table::read(&path, &options)?;
    let rows: Vec<Vec<f64>> = schema.encode_rows(&read)?.into_iter().collect::<Result<_>>()?;
    let from_bytes = schema.table_from_bytes("t.csv", table.as_bytes())?;
    assert_eq!(schema.encode_rows(&from_bytes)?.into_iter().collect::<Result<Vec<_>>>()?, rows);

    let columns = schema.columns();
    assert_eq!(
        (columns[0], columns[1].kind),
        (TableColumn { name: "size", kind: ColumnKind::Number { mean: 2.5 } }, ColumnKind::Date)
    );
    let codes = ["7".to_string(), "10".into()];
    assert_eq!(columns[2].kind, ColumnKind::Category { categories: &codes, most_frequent: "7" });
    // The decimal mark and the order of dates are those of the table; numbers and dates with the year first need neither.
    assert_eq!(schema.encode_values(&[Text(" 1,5"), Text("31.12.2024"), Text("7")])?, rows[0]);
    assert_eq!(schema.encode_values(&[Number(1.5), Text("2024-12-31"), Number(7.0)])?, rows[0]);
    assert_eq!(schema.encode_values(&[Number(3.5), Gap, Text("7,0")])?, rows[2]);
    assert_eq!(schema.encode_values(&[Text("NA"), Text("30.12.2024"), Gap])?[0], 2.5);

    let error = |values: &[TableValue]| schema.encode_values(values).unwrap_err().to_string();
    assert_eq!(
        error(&[Text("long"), Gap, Gap]),
        "encode_values: expected a number in column \"size\", got \"long\""
    );
    assert!(error(&[Number(f64::NAN), Gap, Gap]).contains("a finite number (of 32 bits) in column"));
    assert!(
        error(&[Gap, Number(3.0), Gap])
            .ends_with("expected a date with the day first in column \"day\", got 3")
    );
    assert!(error(&[Gap, Gap, Number(8.0)]).ends_with("expected one of 7, 10 in column \"code\", got 8"));
    assert!(error(&[Gap]).ends_with("expected 3 values, one for each column, got 1"));
    let strict = TableSchema::infer(&path, &TableOptions::auto().missing(Missing::Drop))?;
    assert!(strict.encode_values(&[Gap; 3]).unwrap_err().to_string().contains("expected a value in column"));
    Ok(())
}

/// All examples of a stream.
fn streamed(stream: &TableStream) -> Result<(Tensor, Tensor)> {
    let (inputs, targets): (Vec<_>, Vec<_>) = stream.iter()?.collect::<Result<Vec<_>>>()?.into_iter().unzip();
    assert_eq!(targets.iter().map(|part| part.dims()[0]).sum::<usize>(), stream.len());
    Ok((Tensor::cat(&inputs, 0)?, Tensor::cat(&targets, 0)?))
}

/// A table of several blocks: text with delimiters and ends of lines in quotes, gaps, dates.
fn long_table() -> String {
    let mut text = "n,word,day,kind\n".to_string();
    for i in 0..1200 {
        let n = if i % 100 == 7 { String::new() } else { format!("{}.25", i % 977) };
        let word = ["red", "\"a, \"\"b\"\"\"", "\"two\nlines\"", "5\" pipe"][i % 4];
        text += &format!("{n},{word},2024-0{}-01,{}\n", i % 9 + 1, ["yes", "no"][i % 2]);
        if i % 500 == 0 {
            text += "\n";
        }
    }
    text
}

#[test]
fn streamed_tables_are_those_in_memory() -> Result<()> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("long.csv");
    let text = long_table();
    let plain = text.replace("\"a, \"\"b\"\"\"", " a b ").replace("\"two\nlines\"", "two\t").replace('"', "");
    for (bytes, missing) in [
        (plain.clone().into_bytes(), Missing::Fill),
        (plain.clone().into_bytes(), Missing::Drop),
        (plain.replace(',', ";").replace('\n', "\r\n").into_bytes(), Missing::Drop),
        // Its last row needs a closer look.
        ((plain + "1.25,\"red\",2024-01-01,yes\n").into_bytes(), Missing::Drop),
        (text.clone().into_bytes(), Missing::Fill),
        (text.clone().into_bytes(), Missing::Drop),
        (text.encode_utf16().flat_map(u16::to_le_bytes).collect(), Missing::Fill),
        (text.replace("red", "r\u{e9}d").chars().map(|c| c as u8).collect(), Missing::Fill),
        (text.replace(',', ";").replace(".25", ",25").into_bytes(), Missing::Fill),
        (text.trim_end().replace('\n', "\r\n").into_bytes(), Missing::Fill),
    ] {
        std::fs::write(&path, bytes).unwrap();
        let options = TableOptions::auto().missing(missing);
        let whole = TableSchema::infer(&path, &options)?;
        let data = whole.read(&path)?;
        let stream = whole.stream(&path)?;
        let (inputs, targets) = streamed(&stream)?;
        assert!(stream.iter()?.count() > 1);
        assert_eq!((inputs, targets), (data.inputs, data.targets));
        // The same columns, found in the first rows.
        let first = TableSchema::infer(&path, &options.nrows(500))?;
        assert_eq!(first.features(), whole.features());
        assert_eq!(Table::read(&path, &TableOptions::auto().nrows(1000))?.len(), 1000);
    }
    Ok(())
}

#[test]
fn values_without_quotes() -> Result<()> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.csv");
    std::fs::write(&path, "x,unused,kind\n1,2,a\n3,?,b\n").unwrap();
    let options = TableOptions::new().ignore("unused").target("kind");
    let rows = |options: &TableOptions, text: &str| {
        let schema = TableSchema::infer(&path, options)?;
        let piece = schema.plain_piece(&Table::read(&path, options)?, text);
        let lists =
            |(x, y): (Tensor, Tensor)| Ok::<_, Error>((x.to_vec2::<f32>()?.concat(), y.to_vec1::<u32>()?));
        Ok::<_, Error>(match piece {
            None => None,
            Some(None) => Some(Default::default()),
            Some(Some(piece)) => Some(lists(piece)?),
        })
    };
    for (text, expected) in [
        ("", (vec![], vec![])),
        ("\n\r\n 1 ,\t,b \r\n\r\n-2.5,,a\n", (vec![1.0, -2.5], vec![1, 0])),
        ("1.25,b,b", (vec![1.25], vec![1])),
        (
            "1e3,1,a\r12345678.5,1,b\r\n0.100000000000000001,?,a\n",
            (vec![1e3, 12345678.5, 0.1], vec![0, 1, 0]),
        ),
        ("$5,1,a\n(1.5),1,b", (vec![5.0, -1.5], vec![0, 1])),
    ] {
        assert_eq!(rows(&options, text)?, Some(expected), "{text:?}");
    }
    for text in [
        "50 %,2,a\n",
        "1,2\n",
        "1,2,a,b\n",
        "1,2,a,\n",
        " \n1,2,a\n",
        "1,\"2\",a\n",
        "1,\u{e9},a\n",
        ",1,a\n",
        "x,1,a\n",
        "1,1,c",
        "1",
    ] {
        assert_eq!(rows(&options, text)?, None, "{text:?}");
    }
    // A number that stands for no value, and rows without one.
    let dropped = options.missing(Missing::Drop).na_values(&["-9"]);
    assert_eq!(rows(&dropped, "-9,1,a\n1,-9,b\n2,,\n,2,b\n3,3,a\n")?, Some((vec![1.0, 3.0], vec![1, 0])));
    assert_eq!(rows(&dropped, "-9,1,a\n")?, Some((vec![], vec![])));
    Ok(())
}

/// Numbers as people and programs write them, gaps, and rows of other kinds, in blocks of a few kilobytes.
#[test]
fn random_tables_are_read_alike_in_memory_and_as_streams() -> Result<()> {
    const NUMBERS: [&str; 24] = [
        "1",
        "-2.5",
        "+3",
        "1e3",
        " 7 ",
        "1.",
        ".5",
        "-0",
        "0.1000000000000000055",
        "123456789.125",
        "$5",
        "$ 6",
        "(3)",
        "1e-400",
        "12345678",
        "1234567.8",
        "0.30000000000000004",
        "-179769313486231570000000000000000000000",
        "99999999999999999999",
        "\"6\"",
        "",
        "NA",
        "-9",
        "00012",
    ];
    const WORDS: [&str; 5] = ["red", " blue\t", "\"a, b\"", "gr\u{fc}n", ""];
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.csv");
    for seed in 0..24 {
        let rng = &mut Rng::seed(seed);
        let mut draw = |n: usize| (rng.uniform() * n as f64) as usize;
        // Some tables have nothing that needs a closer look.
        let (numbers, words) = ([24, 19, 12][draw(3)], [5, 2][draw(2)]);
        let end = ["\n", "\r\n", "\r"][draw(3)];
        let mut text = format!("a,unused,b,word,c,kind{end}");
        for row in 0..400 {
            let (a, b, c) = (NUMBERS[draw(numbers)], NUMBERS[draw(numbers)], NUMBERS[draw(4)]);
            let (unused, word, kind) = (NUMBERS[draw(24)], WORDS[draw(words)], ["yes", "no"][draw(2)]);
            text +=
                &format!("{a},{unused},{b},{word},{c},{kind}{end}{}", if row % 97 == 3 { end } else { "" });
        }
        let options = TableOptions::new().ignore("unused").dtype([DType::F32, DType::F64][draw(2)])?;
        let options = if draw(2) == 0 { options } else { options.na_values(&["NA", "-9"]) };
        std::fs::write(&path, text).unwrap();
        for missing in [Missing::Fill, Missing::Drop] {
            let schema = TableSchema::infer(&path, &options.clone().missing(missing))?;
            let data = schema.read(&path)?;
            assert_eq!(streamed(&schema.stream(&path)?)?, (data.inputs, data.targets), "{seed}");
        }
    }
    Ok(())
}

#[test]
fn small_streams_and_their_errors() -> Result<()> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.csv");
    let write = |text: &str| std::fs::write(&path, text).unwrap();
    write("sep=;\nx;kind;\n1;a;\n2;b;\n");
    let schema = TableSchema::infer(&path, &TableOptions::auto())?;
    assert_eq!(streamed(&schema.stream(&path)?)?.0.to_vec2::<f32>()?, [[1.0], [2.0]]);
    // In another form.
    write("kind,y,x\nb,1,5");
    assert_eq!(streamed(&schema.stream(&path)?)?.0.to_vec2::<f32>()?, [[5.0]]);
    let fails = |text: &str| {
        write(text);
        let pieces = schema.stream(&path).and_then(|stream| stream.iter()?.collect::<Result<Vec<_>>>());
        let error = pieces.unwrap_err().to_string();
        error.split_once("t.csv: ").unwrap_or_else(|| panic!("no file in {error}")).1.to_string()
    };
    // A first row that is longer than a block, and no mistake.
    let long = |row: &str| format!("x,kind\n\n{row}\n2,b\n");
    write(&long(&format!("1.{},a", "0".repeat(10_000))));
    assert_eq!(streamed(&schema.stream(&path)?)?.0.to_vec2::<f32>()?, [[1.0], [2.0]]);
    assert_eq!(Table::read(&path, &TableOptions::new().nrows(1))?.len(), 1);
    let many = |last: &str| format!("x,kind\n{}{last}", "1.000000,a\n\n2,b\n".repeat(1000));
    let line = 1000 * 3 + 2;
    for (text, expected) in [
        (String::new(), "got an empty file".into()),
        ("x,y\n1,a\n".into(), "expected a column \"kind\", got x, y".into()),
        ("\u{89}PNG".chars().map(|c| c as u8 as char).collect(), "expected".into()),
        (many("3,c\n"), format!("line {line}, column \"kind\": expected one of a, b, got \"c\"")),
        (many("z,a\n"), format!("line {line}, column \"x\": expected a number, got \"z\"")),
        (many("3\n"), format!("line {line}: expected 2 values, got 1")),
        (long(&"1,".repeat(5_000)), "line 3: expected 2 values, got 5001".into()),
        (many(",a\n"), format!("line {line}, column \"x\": expected a value, got \"\"")),
    ] {
        let error = fails(&text);
        assert!(error.contains(&expected), "{error}");
    }
    Ok(())
}

#[cfg(feature = "compress")]
#[test]
fn compressed_streams() -> Result<()> {
    use std::io::Write;
    let folder = tempfile::tempdir().unwrap();
    let text = long_table();
    let plain = folder.path().join("long.csv");
    std::fs::write(&plain, &text).unwrap();
    let schema = TableSchema::infer(&plain, &TableOptions::new().missing(Missing::Fill))?;
    // A row that is larger than any, in a small file.
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    (0..80).for_each(|_| gzip.write_all(&[b'1'; 1 << 20]).unwrap());
    std::fs::write(folder.path().join("bomb"), gzip.finish().unwrap()).unwrap();
    let error = schema.stream(folder.path().join("bomb")).unwrap_err().to_string();
    assert!(error.contains("line 1: expected a row of at most 67108864 bytes, got more"), "{error}");
    let (path, mut files) = (folder.path().join("packed"), Vec::new());
    // Several files one after the other are one.
    let mut packed = Vec::new();
    for part in [&text[..text.len() / 2], &text[text.len() / 2..]] {
        let mut gzip = flate2::write::GzEncoder::new(packed, flate2::Compression::fast());
        gzip.write_all(part.as_bytes()).unwrap();
        packed = gzip.finish().unwrap();
    }
    files.push(packed);
    #[cfg(feature = "zstd")]
    files.push(zstd::encode_all(text.as_bytes(), 1).unwrap());
    for bytes in files {
        std::fs::write(&path, &bytes).unwrap();
        assert_eq!(streamed(&schema.stream(&path)?)?.0, schema.read(&plain)?.inputs);
        assert_eq!(schema.read(&path)?.inputs, schema.read(&plain)?.inputs);
        std::fs::write(&path, &bytes[..bytes.len() - 20]).unwrap();
        for error in [schema.stream(&path).unwrap_err(), schema.read(&path).unwrap_err()] {
            assert!(error.to_string().contains("packed: "), "{error}");
        }
    }
    Ok(())
}
