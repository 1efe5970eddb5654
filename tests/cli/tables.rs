//! Tables as people have them.

use std::fs;
use std::io::Write;
use std::path::Path;

use tealight::data::{Missing, TableOptions, read_csv};
use tealight::prelude::*;

use super::{error, folder, said, tealight, text};

/// What `train` says of a table.
fn trained(here: &Path, table: impl AsRef<[u8]>, arguments: &[&str]) -> String {
    fs::write(here.join("t.csv"), table).unwrap();
    said(here, &[&["train", "t.csv", "--force"], arguments].concat())
}

/// The share of the validation rows that is right, in percent.
fn right(said: &str) -> f64 {
    let line = said.lines().find(|line| line.contains("of the validation rows right")).unwrap();
    line.trim().split(' ').next().unwrap().parse().unwrap()
}

fn rows(header: &str, count: usize, row: impl Fn(usize) -> String) -> String {
    (0..count).fold(format!("{header}\n"), |text, i| text + &row(i) + "\n")
}

/// The columns of predictions.
fn predicted(here: &Path, table: &str, arguments: &[&str]) -> (Vec<Vec<String>>, Option<i32>) {
    fs::write(here.join("new.csv"), table).unwrap();
    let output = tealight(here, &[&["predict", "model/model.safetensors", "new.csv"], arguments].concat());
    let lines = text(&output.stdout);
    (lines.lines().map(|line| line.split(',').map(String::from).collect()).collect(), output.status.code())
}

fn classes(answers: &(Vec<Vec<String>>, Option<i32>)) -> Vec<&str> {
    answers.0[1..].iter().map(|row| row[1].as_str()).collect()
}

#[test]
fn what_distinguishes_large_numbers() {
    let here = folder();
    let here = here.path();
    let money = |i: usize| format!("20000000.{},{}", [10, 70][i % 2] + i % 19, ["a", "b"][i % 2]);
    let epoch = |i: usize| format!("{},{}", 1_700_000_000 + [0, 35][i % 2] + i % 13, ["a", "b"][i % 2]);
    assert_eq!(right(&trained(here, rows("balance,class", 100, money), &[])), 100.0);
    assert_eq!(classes(&predicted(here, "balance\n20000000.71\n20000000.20\n", &[])), ["b", "a"]);
    assert_eq!(right(&trained(here, rows("t,class", 100, epoch), &[])), 100.0);
    assert_eq!(classes(&predicted(here, "t\n1700000001\n1700000040\n", &[])), ["a", "b"]);
    // A target near 20,000,000 is predicted to a tenth.
    let price = |i: usize| format!("{i},{}", 20_000_000.0 + i as f64 / 100.0);
    let said = trained(here, rows("x,balance", 200, price), &["--model", "logistic"]);
    assert!(said.contains("predicting the number in column \"balance\""), "{said}");
    let (answers, _) = predicted(here, "x\n50\n150\n", &[]);
    for (answer, expected) in answers[1..].iter().zip([20_000_000.5, 20_000_001.5]) {
        assert!((answer[1].parse::<f64>().unwrap() - expected).abs() < 0.1, "{answers:?}");
    }
}

#[test]
fn a_constant_column_says_nothing() {
    let here = folder();
    let here = here.path();
    let table = rows("k,x,y", 200, |i| format!("14.62,{},{}", i % 8, if i % 8 < 3 { "b" } else { "a" }));
    trained(here, table, &[]);
    let answers = predicted(here, "k,x\n14.62,0\n14.62,6\n14.63,0\n14.63,6\n", &[]);
    assert_eq!(classes(&answers), ["b", "a", "b", "a"]);
}

#[test]
fn how_a_table_is_written_is_recognised_and_said() {
    let here = folder();
    let here = here.path();
    let euro = rows("laenge;breite;klasse\r", 60, |i| {
        format!("{},{};{},{};{}\r", [1, 3][i % 2], i % 7 + 1, 4 + i % 2, i % 5, ["schlecht", "gut"][i % 2])
    });
    let first = "read as: ; between columns, decimal comma, 2 numbers, 1 word\n";
    for arguments in [&["--delimiter", ";"][..], &[]] {
        let said = trained(here, &euro, arguments);
        assert!(said.starts_with(first) && right(&said) == 100.0, "{said}");
    }
    assert_eq!(
        classes(&predicted(here, "laenge;breite\r\n9,9;7,7\r\n1,25;4,35\r\n", &[])),
        ["gut", "schlecht"]
    );
    // The same rows, written otherwise.
    assert_eq!(classes(&predicted(here, "breite,laenge\n7.7,9.9\n4.35,1.25\n", &[])), ["gut", "schlecht"]);

    let price = |i: usize| format!("\"{},{:03}\",{}", [1, 4][i % 2], i * 37 % 1000, ["low", "high"][i % 2]);
    let said = trained(here, rows("price,class", 60, price), &[]);
    assert!(
        said.starts_with("read as: , between columns, comma between thousands (the comma might also be"),
        "{said}"
    );
    assert!(said.contains("1 number, 1 word\n") && right(&said) == 100.0, "{said}");

    let plain = rows("x,y,klasse", 20, |i| format!("{i},{},{}", 2 * i, ["b", "a"][i % 2]));
    let utf16: Vec<u8> = plain.replace(',', "\t").encode_utf16().flat_map(u16::to_le_bytes).collect();
    for (table, form) in [
        (plain.replace(',', ";").into_bytes(), "; between columns"),
        (plain.replace(',', "\t").into_bytes(), "tab between columns"),
        (format!("\u{feff}sep=;\r\n{}", plain.replace(',', ";")).into_bytes(), "; between columns"),
        ([&[0xff, 0xfe], &utf16[..]].concat(), "tab between columns, UTF-16LE"),
        (
            plain.replace("klasse", "gr\u{f6}e").chars().map(|c| c as u8).collect(),
            ", between columns, windows-1252",
        ),
    ] {
        let said = trained(here, table, &["--epochs", "1"]);
        assert!(said.starts_with(&format!("read as: {form}, 2 numbers, 1 word\n")), "{said}");
    }
    for (bytes, expected) in [
        (&b"PK\x03\x04\x14\0"[..], "workbook"),
        (
            b"PAR1\x15\x04",
            if cfg!(feature = "parquet") { "expected a whole Parquet table" } else { "got a Parquet table" },
        ),
    ] {
        fs::write(here.join("odd"), bytes).unwrap();
        let line = error(here, &["train", "odd", "--force"]);
        assert!(line.contains(expected), "{line}");
    }
}

#[test]
fn words_that_are_missing_values_elsewhere() {
    let here = folder();
    let here = here.path();
    let table = rows("country,x,hot", 80, |i| {
        let country = ["NA", "DE", "FR", "US"][i % 4];
        format!("{country},{},{}", i % 7, if i % 4 == 0 { "yes" } else { "no" })
    });
    let said = trained(here, &table, &[]);
    let filled = "filled 20 missing values: country (20, such as \"NA\") with \"DE\" (--na-values '' keeps such words)\n";
    assert!(said.contains(filled), "{said}");
    let said = trained(here, &table, &["--na-values="]);
    assert!(right(&said) == 100.0 && !said.contains("filled"), "{said}");
    assert_eq!(classes(&predicted(here, "country,x\nNA,1\nUS,1\n", &[])), ["yes", "no"]);
}

#[test]
fn columns_that_number_the_rows() {
    let here = folder();
    let here = here.path();
    let table =
        rows(",x,class", 100, |i| format!("{i},0.{},{}", i * 7919 % 1000, if i < 50 { "a" } else { "b" }));
    let said = trained(here, &table, &[]);
    assert!(said.contains("note: column 1 has no name and numbers the rows: left out\n"), "{said}");
    assert!(said.contains("from 1 number per row") && right(&said) < 75.0, "{said}");
    assert!(
        said.contains("maybe no better than guessing") || said.contains("no better than guessing"),
        "{said}"
    );
    let said = trained(here, table.replacen("", "id", 1), &["--epochs", "1"]);
    assert!(said.contains("note: column \"id\" numbers the rows: a model can only memorise it\n"), "{said}");
}

#[test]
fn rare_classes() {
    let here = folder();
    let here = here.path();
    // What is rare lies beside what is usual.
    let table = rows("x,z,y", 1000, |i| {
        let rare = i % 50 == 0;
        let x = (i * 7919 % 1000) as f64 / 500.0;
        let x = if rare { 1.0 + x / 2.0 } else { x };
        format!("{x:.3},{},{}", i * 31 % 17, if rare { "rare" } else { "usual" })
    });
    let arguments = ["--model", "logistic"];
    let said = trained(here, &table, &arguments);
    assert!(
        said.contains("guessing \"usual\" gives 98.0 %; on other rows of this kind it could be 95"),
        "{said}"
    );
    assert!(
        said.contains("no better than guessing\nfound of each class: rare 0 of 4, usual 196 of 196\n"),
        "{said}"
    );
    assert!(said.contains("never found: rare (--balance gives rare classes more weight)\n"), "{said}");
    let output = tealight(
        here,
        &[&["train", "t.csv", "--force", "--quiet", "--beat-guessing"], &arguments[..]].concat(),
    );
    assert_eq!(output.status.code(), Some(3));
    let said = trained(here, &table, &["--model", "logistic", "--balance"]);
    assert!(!said.contains("never found"), "{said}");
}

#[test]
fn what_may_be_luck_beats_no_guessing() {
    let here = folder();
    let here = here.path();
    let beats = |table: &str| {
        fs::write(here.join("t.csv"), table).unwrap();
        let out =
            tealight(here, &["train", "t.csv", "--force", "--quiet", "--beat-guessing", "--epochs", "20"]);
        out.status.code() == Some(0)
    };
    let noise = |i: usize| i * i * 31 % 101 * 17 % 13;
    assert!(beats(&rows("x,y", 60, |i| format!("{},{}", noise(i), if noise(i) < 7 { "a" } else { "b" }))));
    assert!(beats(&rows("x,y", 60, |i| format!("{},{}.5", noise(i), 3 * noise(i) + i % 3))));
    for seed in 0..4 {
        let x = |i: usize| (i + seed) * 7919 % 1009;
        assert!(!beats(&rows("x,y", 60, |i| format!("{},{}", x(i), ["a", "b"][noise(i + seed) % 2]))));
        assert!(!beats(&rows("x,y", 60, |i| format!("{},{}.5", x(i), noise(i + seed)))));
    }
}

#[test]
fn what_is_read_is_not_replaced() {
    let here = folder();
    let here = here.path();
    let table = rows("x,y", 20, |i| format!("{i},{}", ["a", "b"][i % 2]));
    trained(here, &table, &["--epochs", "1"]);
    let model = "model/model.safetensors";
    for arguments in [
        &["predict", model, "t.csv", "--out", "./t.csv"][..],
        &["predict", model, "t.csv", "--out", model],
        &["evaluate", model, "t.csv", "--report", "t.csv"],
        &["export", model, "--c", model],
    ] {
        let line = error(here, arguments);
        assert!(line.ends_with("expected another file than those that are read"), "{line}");
    }
    assert_eq!(fs::read_to_string(here.join("t.csv")).unwrap(), table);
    said(here, &["predict", model, "t.csv", "--out", "answers.csv"]);
}

#[test]
fn numbers_beyond_what_can_be_computed() {
    let here = folder();
    let here = here.path();
    for (table, problem) in [
        (rows("x,y", 40, |i| format!("{i},{}", if i < 20 { "a" } else { "b" })), "class"),
        (rows("x,y", 40, |i| format!("{i},{}.5", 3 * i)), "prediction"),
    ] {
        trained(here, &table, &["--epochs", "5"]);
        let (answers, code) = predicted(here, "x\n1\n1e300\n-1e45\n", &[]);
        assert_eq!((answers[0][1].as_str(), code), (problem, Some(1)));
        assert!(
            !answers[1][1].is_empty() && answers[2][1].is_empty() && answers[3][1].is_empty(),
            "{answers:?}"
        );
        let last = answers[2].join(",");
        assert!(last.contains("expected a number nearer to those of the training"), "{last}");
        fs::write(here.join("e.csv"), "x,y\n1,a\n1e300,b\n").unwrap();
        if problem == "class" {
            let line = error(here, &["evaluate", "model/model.safetensors", "e.csv"]);
            assert!(line.starts_with("e.csv: row 2: column \"x\": expected a number nearer"), "{line}");
        }
    }
    fs::write(here.join("t.csv"), rows("x,y", 20, |i| format!("1e{},{}", 15 * i, ["a", "b"][i % 2])))
        .unwrap();
    let line = error(here, &["train", "t.csv", "--force"]);
    assert!(
        line.starts_with("t.csv: row 8, column \"x\": expected numbers up to 1e100, got 1e105 (--na"),
        "{line}"
    );
}

#[test]
fn a_row_that_cannot_be_answered() {
    let here = folder();
    let here = here.path();
    let table = rows("city,x,y", 40, |i| format!("{},{i},{}", ["rome", "oslo"][i % 2], ["b", "a"][i % 2]));
    trained(here, table, &[]);
    let odd = "city,x,name\nrome,1,\"a, b\"\nlima,2,c\noslo,3,d\nrome\noslo,many,e\nrome,,f\n";
    let answers = predicted(here, &odd.replace("\"a, b\"", "z"), &[]);
    assert_eq!(answers.0[0], ["row", "class", "a", "b", "problem"]);
    assert_eq!(classes(&answers), ["b", "", "a", "", "", "b"]);
    assert_eq!(answers.1, Some(1));
    fs::write(here.join("new.csv"), odd).unwrap();
    let output = tealight(here, &["predict", "model/model.safetensors", "new.csv", "--id", "name", "--keep"]);
    let (out, notes) = (text(&output.stdout), text(&output.stderr));
    assert!(out.starts_with("name,city,x,name,class,a,b,problem\n\"a, b\",rome,1,\"a, b\",b,"), "{out}");
    for problem in [
        "c,lima,2,c,,,,\"line 3, column \"\"city\"\": expected one of oslo, rome, got \"\"lima\"\"\"\n",
        ",rome,,,,,,\"line 5: expected 3 values, got 1\"\n",
        "e,oslo,many,e,,,,\"line 6, column \"\"x\"\": expected a number, got \"\"many\"\"\"\n",
    ] {
        assert!(out.contains(problem), "{problem} {out}");
    }
    assert!(
        notes.ends_with("error: 3 of 6 rows could not be predicted: the column \"problem\" says why\n"),
        "{notes}"
    );
    assert!(notes.starts_with("filled 1 missing value: x (1) with the mean "), "{notes}");
    let output = tealight(here, &["predict", "model/model.safetensors", "new.csv", "--id", "name", "--json"]);
    let lines = text(&output.stdout);
    let lines: Vec<serde_json::Value> =
        lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((&lines[1]["id"], lines[1].get("class")), (&"c".into(), None));
    assert!(lines[1]["problem"].as_str().unwrap().starts_with("line 3, column"), "{}", lines[1]);
    assert!(
        error(here, &["predict", "model/model.safetensors", "new.csv", "--id", "n"])
            .contains("--id: expected a column \"n\"")
    );
}

#[test]
fn numbers_to_predict() {
    let here = folder();
    let here = here.path();
    let house = |i: usize| {
        let (area, rooms) = (40 + i * 7 % 37 * 3, 1 + i % 5);
        format!("{area},{rooms},{}", 3 * area + 20 * rooms)
    };
    let table = rows("area,rooms,price", 200, house);
    let said = trained(here, &table, &[]);
    let line = said.lines().find(|line| line.starts_with("validation rows: R² ")).unwrap();
    assert!(line["validation rows: R² ".len()..][..4].parse::<f64>().unwrap() > 0.9, "{line}");
    assert!(line.contains("(the mean alone: ") && said.contains("predicted.png, residuals.png\n"), "{said}");
    let page = fs::read_to_string(here.join("model/report.html")).unwrap();
    assert!(
        ["R² (validation)", "RMSE of the mean alone", "Residuals, on validation data"]
            .iter()
            .all(|part| page.contains(part))
    );
    let (answers, code) = predicted(here, "rooms,area\n3,100\n1,40\n", &[]);
    assert_eq!((&answers[0][..], code), (&["row", "prediction", "problem"].map(String::from)[..], Some(0)));
    for (row, price) in answers[1..].iter().zip([360.0, 140.0]) {
        assert!((row[1].parse::<f64>().unwrap() - price).abs() < 60.0, "{answers:?}");
    }
    let scores = super::said(here, &["evaluate", "model/model.safetensors", "t.csv", "--json"]);
    let scores: serde_json::Value = serde_json::from_str(&scores).unwrap();
    assert!(
        scores["r2"].as_f64().unwrap() > 0.9 && scores["rmse"].as_f64() < scores["rmse_of_mean"].as_f64(),
        "{scores}"
    );
    let about = super::said(here, &["inspect", "model/model.safetensors"]);
    assert!(about.lines().any(|line| line.starts_with("predicts ") && line.ends_with(" price")), "{about}");
    assert!(!about.contains("\nclasses "), "{about}");
    let wrote = super::said(here, &["export", "model/model.safetensors", "--onnx", "m.onnx"]);
    assert_eq!(wrote, "wrote m.onnx\ninput: [1, 2] of 64 bits\noutput: price\n");

    // 1 and 1.0 are one class; few whole numbers are classes, unless told otherwise.
    let table = rows("x,y", 40, |i| format!("{},{}", i % 9, ["0", "1", "1.0", "0.0"][i % 4]));
    assert!(trained(here, &table, &["--epochs", "1"]).contains("40 rows of 2 classes: 0 (20), 1 (20)\n"));
    let said = trained(here, &table, &["--epochs", "1", "--task", "regression"]);
    assert!(said.contains("40 rows\npredicting the number in column \"y\""), "{said}");
    fs::write(here.join("w.csv"), "x,y\n1,a\n2,b\n3,a\n4,b\n").unwrap();
    let line = error(here, &["train", "w.csv", "--force", "--task", "regression"]);
    assert_eq!(line, "w.csv: column \"y\": expected numbers for a regression, got a, b");
    fs::write(here.join("w.csv"), "x,y\n1,2\n2,oops\n3,4\n4,b\n5,6\n").unwrap();
    let line = error(here, &["train", "w.csv", "--force"]);
    assert!(line.contains("line 3, column \"y\": expected a number, as in line 2, got \"oops\", in line 5 \"b\" (--na-values"), "{line}");
}

#[test]
fn a_finished_model_is_not_replaced_unasked() {
    let here = folder();
    let here = here.path();
    trained(here, rows("x,y", 20, |i| format!("{i},{}", ["a", "b"][i % 2])), &["--epochs", "1"]);
    let line = error(here, &["train", "t.csv"]);
    assert_eq!(
        line,
        "--out model: expected a folder without a model, got one (--force replaces it, --resume continues it)"
    );
    let line = error(here, &["train", "t.csv", "--out", "other", "--resume"]);
    assert_eq!(
        line,
        "--resume: expected the checkpoint of a training in other, got none: leave out --resume"
    );
    let line = error(here, &["train", "t.csv", "--resume", "--keep", "last", "--epochs", "1", "--quiet"]);
    assert!(
        line.starts_with("--resume: expected a checkpoint of the same command, got one of another"),
        "{line}"
    );
    fs::create_dir_all(here.join("photos/a")).unwrap();
    let line = error(here, &["train", "photos", "--out", "photos/model"]);
    assert_eq!(
        line,
        "--out photos/model: expected a folder outside of photos, whose folders are the classes"
    );
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink("photos", here.join("link")).unwrap();
        let line = error(here, &["train", "link", "--out", "link/new/model"]);
        assert!(line.starts_with("--out link/new/model: expected a folder outside of link"), "{line}");
    }
    assert_eq!(
        error(here, &["evaluate", "model/model.safetensors", "photos"]),
        "photos: expected a table, as the model was trained on, got a folder"
    );
    let said = trained(here, "x,y\n1,a\n,a\n3,b\n4,b\n5,a\n6,b\n", &["--missing", "drop", "--epochs", "1"]);
    assert!(said.contains("left out 1 of 6 rows, which have missing values\n"), "{said}");
}

/// A sheet that openpyxl wrote has what pandas reads in it (tests/reference/workbook.py).
#[test]
fn workbooks() {
    let here = folder();
    let here = here.path();
    for name in ["workbook.xlsx", "workbook.csv"] {
        fs::copy(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/reference").join(name), here.join(name))
            .unwrap();
    }
    let options = TableOptions::auto().missing(Missing::Fill).dtype(DType::F64).unwrap();
    let text = read_csv(here.join("workbook.csv"), &options).unwrap();
    let sheet = read_csv(here.join("workbook.xlsx"), &options.clone().sheet("Sales 2024")).unwrap();
    assert_eq!((&sheet.features, &sheet.classes), (&text.features, &text.classes));
    let [numbers, expected] = [&sheet, &text].map(|data| data.inputs.to_vec2::<f64>().unwrap());
    assert_eq!(numbers, expected);
    assert_eq!(sheet.targets.to_vec1::<u32>().unwrap(), text.targets.to_vec1::<u32>().unwrap());

    let train = ["train", "workbook.xlsx", "--target", "kind", "--epochs", "30"];
    let out = said(here, &[&train[..], &["--sheet", "Sales 2024"]].concat());
    let first = "read as: sheet \"Sales 2024\", 4 numbers, 3 words, 3 dates\n";
    assert!(
        out.starts_with(first) && out.contains("filled 3 missing values: price (1) with the mean "),
        "{out}"
    );
    // The sheet of this name, or else the first; or a text.
    let predict = |file| said(here, &["predict", "model/model.safetensors", file]);
    let answers = predict("workbook.xlsx");
    assert!(answers == predict("workbook.csv") && answers.lines().count() == 41, "{answers}");
    let rows = [vec!["x", "kind"], vec!["1.5", "low"]];
    workbook(&here.join("named.xlsx"), &[("About", &[]), ("Sales 2024", &rows)]);
    workbook(&here.join("first.xlsx"), &[("Tabelle1", &rows)]);
    for (file, arguments, expected) in [
        (
            "workbook.xlsx",
            &["--sheet", "Sales"][..],
            "expected one of the sheets [\"About\", \"Sales 2024\"], got \"Sales\"",
        ),
        ("workbook.csv", &["--sheet", "About"], "expected a workbook (.xlsx) to have a sheet, got text"),
        (
            "named.xlsx",
            &[],
            "expected a table in the sheet \"About\", got an empty one (the sheets are [\"About\", \"Sales 2024\"])",
        ),
        ("first.xlsx", &[], "column \"kind\": expected two classes or more, got \"low\" in every row"),
    ] {
        let line = error(here, &[&["train", file, "--out", "other"], arguments].concat());
        assert!(line.contains(expected), "{line}");
    }
    fs::write(here.join("cut.xlsx"), &fs::read(here.join("workbook.xlsx")).unwrap()[..4000]).unwrap();
    let line = error(here, &["train", "cut.xlsx", "--out", "other"]);
    assert!(line.contains("expected text (CSV, TSV) or a workbook, got "), "{line}");
}

/// Writes a workbook with these sheets, of texts and numbers.
fn workbook(path: &Path, sheets: &[(&str, &[Vec<&str>])]) {
    let mut file = zip::ZipWriter::new(fs::File::create(path).unwrap());
    let mut add = |name: &str, text: &str| {
        file.start_file(name, zip::write::SimpleFileOptions::default()).unwrap();
        file.write_all(text.as_bytes()).unwrap();
    };
    let main = "http://schemas.openxmlformats.org/spreadsheetml/2006/main";
    let relations = "http://schemas.openxmlformats.org/officeDocument/2006/relationships";
    let packages = "http://schemas.openxmlformats.org/package/2006/relationships";
    add(
        "_rels/.rels",
        &format!(
            r#"<Relationships xmlns="{packages}"><Relationship Id="r" Type="{relations}/officeDocument" Target="xl/workbook.xml"/></Relationships>"#
        ),
    );
    let (mut list, mut links) = (String::new(), String::new());
    for (i, (name, rows)) in sheets.iter().enumerate() {
        list += &format!(r#"<sheet name="{name}" sheetId="{}" r:id="r{i}"/>"#, i + 1);
        links += &format!(
            r#"<Relationship Id="r{i}" Type="{relations}/worksheet" Target="worksheets/sheet{i}.xml"/>"#
        );
        let cell = |text: &&str| match text.parse::<f64>() {
            Ok(x) => format!("<c><v>{x}</v></c>"),
            Err(_) => format!(r#"<c t="inlineStr"><is><t>{text}</t></is></c>"#),
        };
        let rows: String = rows
            .iter()
            .map(|row| format!("<row>{}</row>", row.iter().map(cell).collect::<String>()))
            .collect();
        add(
            &format!("xl/worksheets/sheet{i}.xml"),
            &format!(r#"<worksheet xmlns="{main}"><sheetData>{rows}</sheetData></worksheet>"#),
        );
    }
    add(
        "xl/_rels/workbook.xml.rels",
        &format!(r#"<Relationships xmlns="{packages}">{links}</Relationships>"#),
    );
    add(
        "xl/workbook.xml",
        &format!(r#"<workbook xmlns="{main}" xmlns:r="{relations}"><sheets>{list}</sheets></workbook>"#),
    );
    file.finish().unwrap();
}

#[cfg(feature = "parquet")]
#[test]
fn parquet_as_csv() {
    let here = folder();
    let here = here.path();
    let place = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/reference/parquet");
    for name in ["pandas.parquet", "folder"] {
        let data = place.join(name).display().to_string();
        let said = said(here, &["train", &data, "--target", "kind", "--out", name, "--epochs", "2"]);
        assert!(said.contains("read as: Parquet, "), "{said}");
        let model = format!("{name}/model.safetensors");
        assert!(super::said(here, &["evaluate", &model, &data]).contains("40 rows"));
        let answers = super::said(here, &["predict", &model, &data]);
        assert_eq!(answers.lines().count(), 41, "{answers}");
    }
}
