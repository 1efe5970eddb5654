use super::*;
use crate::prelude::*;

fn read(text: &str, options: &CsvOptions) -> Result<LabeledDataset> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("t.csv");
    std::fs::write(&path, text).unwrap();
    read_csv(&path, options)
}

fn error_of(text: &str, options: &CsvOptions) -> String {
    let error = read(text, options).unwrap_err().to_string();
    error.split_once("t.csv: ").unwrap_or_else(|| panic!("no file in {error}")).1.into()
}

fn inputs(data: &LabeledDataset) -> Vec<Vec<f32>> {
    data.inputs.to_vec2().unwrap()
}

#[test]
fn numeric_and_categorical_columns() -> Result<()> {
    let options = CsvOptions::new();
    let data = read("\u{feff}b, a ,kind\r\n 1,x,yes\r\n\r\n-2.5e1,\"y, \"\"z\"\"\",no\r\n", &options)?;
    assert_eq!(data.features, ["b", "a=x", "a=y, \"z\""]);
    assert_eq!(inputs(&data), [[1.0, 1.0, 0.0], [-25.0, 0.0, 1.0]]);
    assert_eq!((data.classes, data.targets.to_vec1::<u32>()?), (vec!["no".into(), "yes".into()], vec![1, 0]));

    let table = "y;x;id\n10;1;a\n9;2;b\n10;3;c";
    let options = CsvOptions::new().delimiter(b';').target("y").ignore("id");
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

    let data = read("1,2,a\n3,4,b\n", &CsvOptions::new().no_header())?;
    assert_eq!((data.len(), data.features), (2, vec!["0".into(), "1".into()]));
    assert_eq!(
        read("1,2,a\n3,4,b\n", &CsvOptions::new().no_header().target("0"))?.features,
        ["1", "2=a", "2=b"]
    );
    Ok(())
}

#[test]
fn missing_values() -> Result<()> {
    let table = "x,colour,y\n1,red,1\n,blue,2\n3,NA,3\n5,red,4\n";
    let options = CsvOptions::new();
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
    let schema = CsvSchema::infer(&first, &CsvOptions::new().target("y").missing(Missing::Fill))?;
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
    let plain = CsvOptions::new();
    for (text, message) in [
        ("", "expected a table, got an empty file"),
        ("\n\n", "expected a table, got an empty file"),
        ("x,y\n", "expected rows below the header, got none"),
        ("x,y\n1,2\n\n1\n", "line 4: expected 2 values, got 1"),
        ("x,y\n1,2,3\n", "line 2: expected 2 values, got 3"),
        ("x,x,y\n1,2,3\n", "expected one column of each name, got two \"x\""),
        ("y\n1\n", "expected a column of inputs beside the target, got none"),
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
    let (start, ones) = (std::time::Instant::now(), vec!["1"; wide.len()].join(","));
    let data = read(&format!("{}\n{ones}\n", wide.join(",")), &plain).unwrap();
    assert_eq!(data.features, wide[..wide.len() - 1]);
    let long: String = wide.iter().map(|name| format!("1,{name}\n")).collect();
    assert_eq!(read(&format!("x,y\n{long}"), &plain).unwrap().classes.len(), wide.len());
    assert!(start.elapsed().as_secs() < 20, "{:?}", start.elapsed());
    let many: String = (0..101).map(|i| format!("n{i},1\n")).collect();
    let error = error_of(&format!("x,y\n{many}"), &plain);
    assert!(error.starts_with("column \"x\": expected at most 100 categories, got 101"), "{error}");
    assert!(read(&format!("x,y\n{many}"), &plain.clone().max_categories(101)).is_ok());
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("t.csv");
    std::fs::write(&path, b"x,y\n1,2\n\xff,2\n").unwrap();
    let error = read_csv(&path, &plain).unwrap_err().to_string();
    assert!(error.ends_with("t.csv: line 3: expected text in UTF-8, got other bytes"), "{error}");
    assert!(matches!(read_csv(directory.path().join("none"), &plain), Err(Error::File { .. })));
}

#[test]
fn any_bytes_are_a_table_or_an_error() {
    let rng = &mut Rng::seed(4);
    let pieces = [",", "\n", "\"", "1", "x", "\r", ";", "é", "NA", " ", "-", "e9"];
    for round in 0..400 {
        let text: String = (0..rng.below(40)).map(|_| pieces[rng.below(pieces.len())]).collect();
        for options in
            [CsvOptions::new(), CsvOptions::new().no_header().missing(Missing::Drop).delimiter(b'"')]
        {
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
    let options = CsvOptions::new().delimiter(b';').categorical_target();
    let filling = CsvSchema::infer(&known, &options.clone().missing(Missing::Fill))?;
    let again: CsvSchema = filling.to_string().parse()?;
    assert_eq!((&again.inputs, &again.target), (&filling.inputs, &filling.target));
    assert_eq!((again.classes(), again.target()), (&["1".to_string(), "2".into()][..], "kind"));
    let (first, second) = (filling.read(&known)?, again.read(&known)?);
    assert_eq!((first.inputs, first.targets), (second.inputs, second.targets));

    std::fs::write(&new, "\"a \"\"b\"\"\";more;x\n\"one\ntwo\";;1\n;5;\n").unwrap();
    // The mean of 0.1 and 0.3, and the first of two names that are as frequent.
    assert_eq!(again.read_inputs(&new)?.to_vec2::<f32>()?, [[1.0, 1.0, 0.0], [0.2, 1.0, 0.0]]);
    let dropping: CsvSchema =
        CsvSchema::infer(&known, &options.clone().missing(Missing::Drop))?.to_string().parse()?;
    let error_of = |schema: &CsvSchema, text: &str| {
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
        assert!(text.get(..length).is_none_or(|part| part.parse::<CsvSchema>().is_err()), "{length}");
    }
    for (from, to) in [
        ("59", "300"),
        ("\"Fill\"", "\"Guess\""),
        ("\"mean\":0.2", "\"mean\":1e39"),
        ("\"mean\":0.2", "\"mean\":null"),
        ("\"most_frequent\":0", "\"most_frequent\":2"),
        ("\"most_frequent\":0", "\"most_frequent\":-1"),
        ("Numeric", "Words"),
        ("[\"1\",\"2\"]", "[]"),
        ("\"target\"", "\"other\""),
    ] {
        let text = text.replace(from, to);
        assert!(matches!(text.parse::<CsvSchema>(), Err(Error::Argument { .. })), "{text}");
    }
    let target = r#"{"name":"y","kind":{"Numeric":{"mean":1.0}}}"#;
    let format = r#"{"header":true,"delimiter":44,"missing":"Fill","na_values":[""]}"#;
    let alone = format!(r#"{{"format":{format},"inputs":[],"target":{target}}}"#);
    let error = alone.parse::<CsvSchema>().unwrap_err().to_string();
    assert_eq!(error, "CsvSchema: expected the text of a schema, got no column of inputs");
    Ok(())
}
