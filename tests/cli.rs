//! The program `tealight`, as someone at a terminal uses it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a test fails by panicking

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use tealight::prelude::*;

#[path = "cli/exported.rs"]
mod exported;
#[path = "cli/honest.rs"]
mod honest;
#[path = "cli/serve.rs"]
mod serve;
#[path = "cli/tables.rs"]
mod tables;

fn tealight(folder: &Path, arguments: &[&str]) -> Output {
    let program = Command::new(env!("CARGO_BIN_EXE_tealight")).current_dir(folder).args(arguments).output();
    program.unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// What a command says that does all it should.
fn said(folder: &Path, arguments: &[&str]) -> String {
    let output = tealight(folder, arguments);
    assert_eq!(output.status.code(), Some(0), "{arguments:?}: {}", text(&output.stderr));
    text(&output.stdout)
}

/// The one line of a command that fails.
fn error(folder: &Path, arguments: &[&str]) -> String {
    let output = tealight(folder, arguments);
    let line = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{arguments:?}: {line}");
    assert!(line.starts_with("error: ") && line.matches('\n').count() == 1, "{arguments:?}: {line}");
    assert!(output.stdout.is_empty(), "{arguments:?}: {}", text(&output.stdout));
    line.trim_end()["error: ".len()..].to_string()
}

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

/// Warm images with a bright middle, and cold ones with a dark one.
fn photos(folder: &Path, each: u64) -> PathBuf {
    let place = folder.join("photos");
    for (class, name) in ["night", "sun"].iter().enumerate() {
        fs::create_dir_all(place.join(name)).unwrap();
        for i in 0..each {
            photo(&place.join(name).join(format!("{i}.png")), class == 1, i);
        }
    }
    place
}

fn photo(path: &Path, sun: bool, seed: u64) {
    let rng = &mut Rng::seed(2 * seed + u64::from(sun));
    let (height, width) = (20 + rng.below(8), 24);
    let noise = Tensor::rand(0f32, 0.2, (height, width, 3), rng).unwrap().flatten(0, -1).unwrap();
    let mut pixels = noise.to_vec1::<f32>().unwrap();
    for (i, pixel) in pixels.chunks_mut(3).enumerate() {
        let (y, x) = ((i / width) as f32 - height as f32 / 2.0, (i % width) as f32 - 12.0);
        let middle = x.hypot(y) < 7.0;
        pixel[0] += if sun == middle { 0.7 } else { 0.2 };
        pixel[2] += if sun { 0.1 } else { 0.6 };
    }
    let image = Tensor::from_vec(pixels, (height, width, 3), &Device::Cpu).unwrap();
    tealight::data::image::write_png(path, &image).unwrap();
}

/// Rows whose kind is told by a length and a colour; a third column says nothing, and a few values are missing.
fn flowers(folder: &Path, rows: u64) -> PathBuf {
    let rng = &mut Rng::seed(5);
    let mut lines = String::from("id,length,colour,weight,kind\n");
    for id in 0..rows {
        let kind = id % 3;
        let length = kind as f64 * 2.0 + rng.uniform();
        let colour = if kind == 1 { "blue, pale" } else { ["red", "white"][rng.below(2)] };
        let weight = if id % 17 == 5 { String::new() } else { format!("{:.2}", rng.uniform()) };
        lines +=
            &format!("{id},{length:.3},\"{colour}\",{weight},{}\n", ["iris", "lily", "rose"][kind as usize]);
    }
    let path = folder.join("flowers.csv");
    fs::write(&path, lines).unwrap();
    path
}

const TABLE: [&str; 8] =
    ["train", "flowers.csv", "--target", "kind", "--ignore", "id", "--learning-rate", "0.01"];

#[test]
fn pictures_from_training_to_answers() {
    let here = folder();
    let here = here.path();
    photos(here, 14);
    fs::write(here.join("photos/sun/broken.jpg"), "no image").unwrap();
    fs::write(here.join("photos/note.txt"), "no folder").unwrap();
    let output =
        tealight(here, &["train", "photos", "--size", "16", "--out", "pets", "--flip", "--folds", "0"]);
    let (out, notes) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(0), "{notes}");
    assert!(
        notes.contains("skipped: photos/note.txt: expected a directory of one class, got a file\n"),
        "{notes}"
    );
    assert!(notes.contains("skipped: photos/sun/broken.jpg: expected a PNG,"), "{notes}");
    assert!(notes.contains("2 of 30 files skipped\n"), "{notes}");
    assert!(
        out.starts_with("28 images of 2 classes: night (14), sun (14)\n22 for training, 6 for validation\n"),
        "{out}"
    );
    assert!(out.contains(" 100.0 % of the validation images right (6 of 6)\n"), "{out}");
    assert!(out.ends_with("next: tealight predict pets/model.safetensors photo.jpg\n"), "{out}");
    for name in ["loss.png", "confusion.png", "predictions.png", "roc.png"] {
        assert!(
            tealight::data::image::read(here.join("pets").join(name)).unwrap().elem_count() > 10_000,
            "{name}"
        );
    }
    let page = fs::read_to_string(here.join("pets/report.html")).unwrap();
    assert!(
        ["night or sun", "Confusion matrix", "trained on", "Conv2d", "note.txt: expected a directory"]
            .iter()
            .all(|word| page.contains(word))
    );

    fs::create_dir_all(here.join("new/more")).unwrap();
    photo(&here.join("new/a.png"), true, 100);
    photo(&here.join("new/more/b.png"), false, 101);
    fs::write(here.join("new/.hidden"), "").unwrap();
    fs::copy(concat!(env!("CARGO_MANIFEST_DIR"), "/data/candle.jpg"), here.join("candle.jpg")).unwrap();
    let model = "pets/model.safetensors";
    let answers = said(here, &["predict", model, "new", "candle.jpg"]);
    let lines: Vec<Vec<&str>> = answers.lines().map(|line| line.split('\t').collect()).collect();
    assert_eq!(
        (lines[0][..2].to_vec(), lines[1][..2].to_vec()),
        (vec!["new/a.png", "sun"], vec!["new/more/b.png", "night"])
    );
    assert_eq!((lines.len(), lines[2][0]), (3, "candle.jpg"));
    assert!(
        lines.iter().all(|line| line.len() == 3 && (0.5..=1.0).contains(&line[2].parse::<f64>().unwrap())),
        "{answers}"
    );

    let output = tealight(here, &["predict", model, "photos/note.txt", "none.png", "new/a.png", "--json"]);
    assert_eq!(output.status.code(), Some(1));
    let notes = text(&output.stderr);
    assert!(
        notes.contains("error: photos/note.txt: ")
            && notes.contains("error: none.png: expected a file that can be read, got: "),
        "{notes}"
    );
    let answer: serde_json::Value = serde_json::from_str(&text(&output.stdout)).unwrap();
    assert_eq!((&answer["path"], &answer["class"]), (&"new/a.png".into(), &"sun".into()));
    assert_eq!(answer["probabilities"]["sun"], answer["probability"]);

    said(here, &["predict", model, "new/a.png", "--out", "answers.tsv"]);
    assert!(fs::read_to_string(here.join("answers.tsv")).unwrap().starts_with("new/a.png\tsun\t"));
    fs::create_dir(here.join("empty")).unwrap();
    assert_eq!(error(here, &["predict", model, "empty"]), "empty: expected images, got an empty folder");

    let scores = text(&tealight(here, &["evaluate", model, "photos"]).stdout);
    assert!(scores.starts_with("28 images, 28 right: accuracy 1.0000, log loss "), "{scores}");
    assert!(scores.contains("sun       1.0000  1.0000  1.0000        14\n"), "{scores}");
    // A folder of one known class will do; an unknown one will not.
    fs::rename(here.join("new/more"), here.join("new/night")).unwrap();
    let scores = said(here, &["evaluate", model, "new", "--json"]);
    let scores: serde_json::Value = serde_json::from_str(&scores).unwrap();
    assert_eq!(
        (&scores["accuracy"], &scores["confusion"]),
        (&1.0.into(), &serde_json::json!([[1, 0], [0, 0]]))
    );
    fs::rename(here.join("new/night"), here.join("new/moon")).unwrap();
    let line = text(&tealight(here, &["evaluate", model, "new"]).stderr);
    assert!(line.ends_with("error: new: expected folders named night, sun, got \"moon\"\n"), "{line}");

    let about = said(here, &["inspect", model]);
    assert!(about.contains("inputs                 images of 16 × 16 pixels, rgb\n"), "{about}");
    assert!(
        about.contains("classes                night, sun\n")
            && about.contains(
                "turned as Exif says, background #ffffff, fit pad, resized (bilinear), from 0 to 1\n"
            )
            && about.contains("mirror images          yes\n"),
        "{about}"
    );
    assert!(about.contains("[64, 32, 3, 3]    f32    18432") && about.contains(" 0    0\n"), "{about}");
}

#[test]
fn kinds_of_models_for_pictures() {
    let here = folder();
    let here = here.path();
    photos(here, 10);
    for model in ["logistic", "mlp"] {
        let out = said(
            here,
            &[
                "train", "photos", "--size", "8", "--model", model, "--colour", "grey", "--out", model,
                "--valid", "0.2",
            ],
        );
        assert!(out.contains("(4 of 4)"), "{out}");
        let about = said(here, &["inspect", &format!("{model}/model.safetensors")]);
        assert!(about.contains("8 × 8 pixels, grey") && about.contains("model.0.mean"), "{about}");
        let (file, onnx) = (format!("{model}/model.safetensors"), format!("{model}.onnx"));
        let wrote = said(here, &["export", &file, "--onnx", &onnx]);
        let expected = "input: [1, 1, 8, 8]\noutput: a score for each of night, sun\n";
        assert_eq!(wrote, format!("wrote {onnx}\n{expected}"));
        // tests/interop has what is in such a file computed by another engine.
        let bytes = fs::read(here.join(onnx)).unwrap();
        for name in [
            "batch",
            "input",
            "output",
            "0.mean",
            "Gemm",
            r#""interpolation":"bilinear""#,
            r#""fit":"pad""#,
            r#""layout":"NCHW""#,
        ] {
            assert!(bytes.windows(name.len()).any(|bytes| bytes == name.as_bytes()), "{name}");
        }
    }
    // Grey images are seen to be grey, and the smallest network for images has one stage.
    for (class, level) in [("dark", 10u8), ("light", 200)] {
        fs::create_dir_all(here.join("levels").join(class)).unwrap();
        for i in 0..6 {
            let image = Tensor::full(level + i, (3, 5, 1), &Device::Cpu).unwrap();
            tealight::data::image::write_png(here.join(format!("levels/{class}/{i}.png")), &image).unwrap();
        }
    }
    said(
        here,
        &["train", "levels", "--size", "2", "--hidden", "4", "--out", "levels-model", "--epochs", "2"],
    );
    let about = said(here, &["inspect", "levels-model/model.safetensors"]);
    assert!(
        about.contains("images of 2 × 2 pixels, grey") && about.contains("hidden layers          4\n"),
        "{about}"
    );
}

#[test]
fn transparent_pictures_in_nested_folders() {
    let here = folder();
    let here = here.path();
    // A black bar at the top or the bottom, of pictures that are transparent and black otherwise.
    for (class, bar) in [("cat", 0), ("dog", 8)] {
        for i in 0..12 {
            let place = here.join("photos").join(class).join(["", "indoor", "indoor/dark"][i % 3]);
            fs::create_dir_all(&place).unwrap();
            let alpha = |p: usize| if (p / 64).wrapping_sub(bar + i % 4) < 4 { 255 } else { 0 };
            let pixels: Vec<u8> = (0..1024).map(|p| if p % 4 == 3 { alpha(p) } else { 0 }).collect();
            let image = Tensor::from_vec(pixels, (16, 16, 4), &Device::Cpu).unwrap();
            tealight::data::image::write_png(place.join(format!("{i}.png")), &image).unwrap();
        }
    }
    fs::create_dir_all(here.join("photos/__MACOSX/cat")).unwrap();
    let train = ["train", "photos", "--size", "16", "--model", "logistic", "--out", "model"];
    let out = said(here, &train);
    assert!(out.starts_with("24 images of 2 classes: cat (12), dog (12)\n"), "{out}");
    assert!(out.contains(" 100.0 % of the validation images right"), "{out}");
    // On black there is nothing to see.
    let out = said(here, &[&train[..], &["--force", "--background", "black"]].concat());
    assert!(!out.contains(" 100.0 % of"), "{out}");
    assert!(said(here, &["inspect", "model/model.safetensors"]).contains("background #000000"));
    let line = text(&tealight(here, &["train", "photos", "--background", "pale"]).stderr);
    assert!(line.contains("expected white, black or a colour such as #ff8800"), "{line}");

    fs::create_dir_all(here.join("data/train")).unwrap();
    fs::create_dir_all(here.join("data/valid")).unwrap();
    let line = error(here, &["train", "data", "--force"]);
    assert_eq!(
        line,
        "data: expected a sub-directory for each class, got train, valid: open data/train instead"
    );
}

#[test]
fn a_table_from_training_to_answers() {
    let here = folder();
    let here = here.path();
    flowers(here, 90);
    let out = said(here, &[&TABLE[..], &["--out", "with space", "--valid", "0.2"]].concat());
    let first = "read as: , between columns, 2 numbers, 2 words\nfilled 5 missing values: weight (5) with the mean 0.";
    assert!(out.starts_with(first), "{out}");
    assert!(out.contains("\n90 rows of 3 classes: iris (30), lily (30), rose (30)\n"), "{out}");
    assert!(
        out.contains(
            "predicting column \"kind\" from 5 numbers per row\n72 for training, 18 for validation\n"
        ),
        "{out}"
    );
    assert!(out.contains(" 100.0 % of the validation rows right (18 of 18)\n"), "{out}");
    assert!(out.ends_with("next: tealight predict 'with space/model.safetensors' new.csv\n"), "{out}");
    assert!(!here.join("with space/predictions.png").exists() && !here.join("with space/roc.png").exists());

    let model = "with space/model.safetensors";
    // Other columns, in another order, without the target; a weight is missing.
    fs::write(
        here.join("new.csv"),
        "colour,more,length,weight\n\"blue, pale\",x,2.5,\nred,y,4.5,0.5\nwhite,z,0.5,0.5\n",
    )
    .unwrap();
    let answers = said(here, &["predict", model, "new.csv"]);
    let rows: Vec<Vec<&str>> = answers.lines().map(|line| line.split(',').collect()).collect();
    assert_eq!(rows[0], ["row", "class", "iris", "lily", "rose", "problem"]);
    assert_eq!([rows[1][1], rows[2][1], rows[3][1]], ["lily", "rose", "iris"]);
    for row in &rows[1..] {
        let sum: f64 = row[2..5].iter().map(|p| p.parse::<f64>().unwrap()).sum();
        assert!((sum - 1.0).abs() < 1e-5, "{answers}");
    }
    said(here, &["predict", model, "new.csv", "new.csv", "--out", "answers.csv"]);
    assert_eq!(fs::read_to_string(here.join("answers.csv")).unwrap().lines().count(), 7);
    let line = said(here, &["predict", model, "new.csv", "--json"]);
    let answer: serde_json::Value = serde_json::from_str(line.lines().nth(1).unwrap()).unwrap();
    assert_eq!((&answer["class"], &answer["row"]), (&"rose".into(), &2.into()));

    let scores: serde_json::Value =
        serde_json::from_str(&said(here, &["evaluate", model, "flowers.csv", "--json"])).unwrap();
    assert_eq!((&scores["examples"], &scores["classes"][1]["class"]), (&90.into(), &"lily".into()));
    assert!(
        scores["accuracy"].as_f64().unwrap() > 0.97 && scores["log_loss"].as_f64().unwrap() < 0.2,
        "{scores}"
    );
    let scores = said(here, &["evaluate", model, "flowers.csv"]);
    assert!(scores.contains("class  precision  recall      F1  examples\niris "), "{scores}");

    let wrong = |table: &str| {
        fs::write(here.join("wrong.csv"), table).unwrap();
        error(here, &["predict", model, "wrong.csv"])
    };
    assert_eq!(wrong("length,weight\n1,2\n"), "wrong.csv: expected a column \"colour\", got length, weight");
    let line = error(here, &["evaluate", model, "new.csv"]);
    assert_eq!(line, "new.csv: expected a column \"kind\", got colour, more, length, weight");
    assert!(error(here, &["predict", "flowers.csv", "new.csv"]).contains("expected a whole checkpoint"));
    let line = error(here, &["predict", "with space/checkpoint/last.safetensors", "new.csv"]);
    assert!(
        line.ends_with("expected a model that `tealight train` wrote, got the checkpoint of a training"),
        "{line}"
    );
    let about = said(here, &["inspect", model]);
    let told = "rows of length, colour=blue, pale, colour=red, colour=white, weight\n";
    assert!(about.contains(told) && about.contains("predicts               kind\n"), "{about}");
}

#[test]
fn breast_cancer_without_any_tuning() {
    let here = folder();
    let table = concat!(env!("CARGO_MANIFEST_DIR"), "/data/breast_cancer.csv");
    for model in ["mlp", "logistic"] {
        said(here.path(), &["train", table, "--model", model, "--force"]);
        let about = said(here.path(), &["inspect", "model/model.safetensors"]);
        let accuracy = about.lines().find_map(|line| line.strip_prefix("accuracy (validation)")).unwrap();
        assert!(accuracy.trim().parse::<f64>().unwrap() >= 0.95, "{model}: {accuracy}");
        assert!(here.path().join("model/roc.png").exists());
    }
}

#[test]
fn the_same_bits_on_any_number_of_threads_and_after_an_interruption() {
    let here = folder();
    let here = here.path();
    photos(here, 8);
    flowers(here, 60);
    let train = |arguments: &[&str], threads: &str, out: &str| {
        let mut program = Command::new(env!("CARGO_BIN_EXE_tealight"));
        program.current_dir(here).env("RAYON_NUM_THREADS", threads).args(arguments);
        let output = program.args(["--seed", "3", "--quiet", "--force", "--out", out]).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
        assert!(output.stdout.is_empty() && output.stderr.is_empty(), "{}", text(&output.stderr));
    };
    let same = |a: &str, b: &str, name: &str| {
        let read = |folder: &str| {
            let bytes = fs::read(here.join(folder).join(name)).unwrap();
            let told = [">command<", ">date<"];
            let lines = bytes.split(|byte| *byte == b'\n').map(<[u8]>::to_vec);
            lines
                .filter(|line| {
                    !told.iter().any(|name| line.windows(name.len()).any(|part| part == name.as_bytes()))
                })
                .collect::<Vec<_>>()
        };
        assert!(read(a) == read(b), "{name} of {a} and {b}");
    };
    let images = ["train", "photos", "--size", "16", "--flip", "--folds", "2"];
    let table = [&TABLE[..], &["--folds", "0"]].concat();
    for arguments in [&images[..], &table, &TABLE] {
        let six = [arguments, &["--epochs", "6"]].concat();
        train(&six, "1", "one");
        train(&six, "2", "two");
        for name in ["model.safetensors", "report.html", "loss.png", "confusion.png"] {
            same("one", "two", name);
        }
        train(&[arguments, &["--epochs", "3"]].concat(), "1", "three");
        train(&[&six[..], &["--resume", "--threads", "2"]].concat(), "1", "three");
        same("one", "three", "model.safetensors");
        same("one", "three", "report.html");
        let line =
            error(here, &[&six[..], &["--resume", "--seed", "4", "--quiet", "--out", "three"]].concat());
        let another = "--resume: expected a checkpoint of the same command, got one of another (resume: expected a checkpoint with seed 4";
        assert!(line.starts_with(another), "{line}");
        let arguments =
            [&six[..], &["--resume", "--batch-size", "5", "--seed", "3", "--quiet", "--out", "three"]]
                .concat();
        assert!(error(here, &arguments).starts_with(
            "--resume: expected a checkpoint of the same command, got one of another (DataLoader"
        ));
    }
}

#[cfg(unix)]
#[test]
fn interrupted_and_resumed() {
    let here = folder();
    let here = here.path();
    flowers(here, 60);
    fs::write(here.join("new.csv"), "colour,length,weight\nred,4.5,0.5\nwhite,0.5,0.5\n").unwrap();
    for (folds, checkpoint) in [("0", "last.safetensors"), ("3", "fold-1/last.safetensors")] {
        let train = [&TABLE[..], &["--folds", folds, "--out", folds]].concat();
        let long = [&train[..], &["--epochs", "1000000", "--patience", "1000000", "--quiet"]].concat();
        let mut program = Command::new(env!("CARGO_BIN_EXE_tealight"));
        let child = program.current_dir(here).args(&long).stderr(Stdio::piped()).spawn().unwrap();
        let started = std::time::Instant::now();
        while !here.join(folds).join("checkpoint").join(checkpoint).exists() {
            assert!(started.elapsed().as_secs() < 300, "no checkpoint");
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
        let output = child.wait_with_output().unwrap();
        let line = text(&output.stderr);
        assert_eq!(output.status.code(), Some(130), "{line}");
        let expected = "the best model so far was kept; the same command with --resume goes on\n";
        assert!(line.starts_with("interrupted after step ") && line.ends_with(expected), "{line}");
        assert_eq!(line.matches('\n').count(), 1, "{line}");
        let answers = said(here, &["predict", &format!("{folds}/model.safetensors"), "new.csv"]);
        assert_eq!(answers.lines().count(), 3, "{answers}");
        let about = said(here, &["inspect", &format!("{folds}/model.safetensors")]);
        assert!(
            about.contains("accuracy (validation)") && about.contains("\nexamples               60\n"),
            "{about}"
        );
        assert!(here.join(folds).join("report.html").exists());
        let out = said(here, &[&train[..], &["--epochs", "1", "--resume"]].concat());
        assert!(
            out.contains(if folds == "0" {
                " epochs; kept the best, number "
            } else {
                "3 of 3 folds; each at"
            }),
            "{out}"
        );
    }
}

#[test]
fn what_cannot_be_meant_is_said_on_one_line() {
    let here = folder();
    let here = here.path();
    flowers(here, 30);
    photos(here, 3);
    for (name, table) in [
        ("one-row", "x,y\n1,a\n"),
        ("one-class", "x,y\n1,a\n2,a\n"),
        ("ids", "x,y\n1,a\n2,b\n3,c\n"),
        ("rare", "x,y\n1,a\n2,a\n3,b\n"),
        ("empty", ""),
        ("header", "x,y\n"),
        ("ragged", "x,y\n1,a\n2\n"),
        ("constant", "y,z\na,1\nb,1\na,1\nb,1\n"),
    ] {
        fs::write(here.join(format!("{name}.csv")), table).unwrap();
    }
    for place in ["nothing", "single/cat", "hollow/cat", "hollow/dog", "half/dog", "half/cat"] {
        fs::create_dir_all(here.join(place)).unwrap();
    }
    for place in ["single/cat/1.png", "single/cat/2.png", "half/dog/1.png", "half/dog/2.png"] {
        photo(&here.join(place), true, 1);
    }
    fs::create_dir_all(here.join("lonely")).unwrap();
    fs::rename(here.join("half/cat"), here.join("lonely/cat")).unwrap();
    fs::create_dir_all(here.join("lonely/dog")).unwrap();
    ["lonely/cat/1.png", "lonely/dog/1.png", "lonely/dog/2.png"]
        .iter()
        .for_each(|p| photo(&here.join(p), true, 1));
    fs::create_dir_all(here.join("half/ant")).unwrap();

    let cases: &[(&str, &str)] = &[
        ("flowers.csv --epochs 0", "--epochs: expected 1 or more, got 0"),
        ("flowers.csv --batch-size 0", "--batch-size: expected 1 or more, got 0"),
        ("flowers.csv --patience 0", "--patience: expected 1 or more, got 0"),
        ("flowers.csv --threads 0", "--threads: expected 1 or more, got 0"),
        ("flowers.csv --threads 99999", "--threads: expected at most 1024, got 99999"),
        ("flowers.csv --learning-rate nan", "--learning-rate: expected a number above 0"),
        ("flowers.csv --learning-rate -1", "--learning-rate: expected a number above 0"),
        ("flowers.csv --learning-rate inf", "--learning-rate: expected a number above 0"),
        (
            "flowers.csv --learning-rate 1e30 --target kind",
            "the training reached values that are not finite: try a --learning-rate below",
        ),
        (
            "flowers.csv --learning-rate 1e300 --target kind --epochs 1 --batch-size 1000",
            "the training reached values that are not finite: try a --learning-rate below",
        ),
        ("flowers.csv --folds 31", "--folds: expected at most 30, the number of examples, got 31"),
        ("flowers.csv --fit crop", "flowers.csv: expected a folder for the options of images, got a file"),
        ("flowers.csv --valid 1.5", "--valid: expected a share between 0 and 1"),
        ("flowers.csv --valid 0", "--valid: expected a share between 0 and 1"),
        ("flowers.csv --valid nan", "--valid: expected a share between 0 and 1"),
        (
            "flowers.csv --valid 0.99",
            "--valid 0.99: expected a share that leaves some examples of each class",
        ),
        ("flowers.csv --hidden 8,0", "--hidden: expected widths from 1 to 16384, got 0"),
        ("flowers.csv --hidden 99999999999", "--hidden: expected widths from 1 to 16384, got 99999999999"),
        ("flowers.csv --hidden 4 --model logistic", "--hidden: expected a model with layers inside"),
        ("flowers.csv --model cnn", "--model cnn: expected images, got a table"),
        ("flowers.csv --size 32", "flowers.csv: expected a folder for the options of images, got a file"),
        ("flowers.csv --flip", "flowers.csv: expected a folder for the options of images, got a file"),
        (
            "flowers.csv --target species",
            "flowers.csv: expected a column \"species\", got id, length, colour, weight, kind",
        ),
        (
            "flowers.csv --target id --task classification",
            "flowers.csv: column \"id\": expected classes that several rows share",
        ),
        ("flowers.csv --ignore none", "flowers.csv: expected a column \"none\""),
        (
            "flowers.csv --missing error",
            "flowers.csv: line 7, column \"weight\": expected a value, got \"\" (--missing drop",
        ),
        ("flowers.csv --delimiter ab", "--delimiter: expected one character or `tab`, got \"ab\""),
        ("flowers.csv --delimiter ;", "flowers.csv: expected a column of inputs beside the target, got none"),
        (
            "flowers.csv --out flowers.csv",
            "--out flowers.csv: expected a folder, or nothing there yet, got a file",
        ),
        ("flowers.csv --out flowers.csv/model", "flowers.csv/model"),
        (
            "flowers.csv --resume --out new",
            "--resume: expected the checkpoint of a training in new, got none: leave out --resume",
        ),
        ("one-row.csv", "one-row.csv: column \"y\": expected two classes or more, got \"a\" in every row"),
        (
            "one-class.csv",
            "one-class.csv: column \"y\": expected two classes or more, got \"a\" in every row",
        ),
        (
            "ids.csv",
            "ids.csv: column \"y\": expected classes that several rows share, got 3 different values in 3 rows",
        ),
        ("rare.csv", "rare.csv: column \"y\": expected two rows or more of each class, got one of \"b\""),
        ("empty.csv", "empty.csv: expected a table, got an empty file"),
        ("header.csv", "header.csv: expected rows below the header, got none"),
        ("ragged.csv", "ragged.csv: line 3: expected 2 values, got 1"),
        (
            "constant.csv --target z",
            "constant.csv: column \"z\": expected two classes or more, got \"1\" in every row",
        ),
        ("photos/sun/0.png", "photos/sun/0.png: expected text (CSV, TSV), got a PNG image"),
        (
            "photos --size 512 --model mlp --hidden 16384",
            "expected a model of at most 268435456 weights, got ",
        ),
        ("photos --size 0", "--size: expected 1 to 512 pixels, got 0"),
        ("photos --size 100000", "--size: expected 1 to 512 pixels, got 100000"),
        ("photos --size 1", "--size: expected 2 pixels or more for a cnn, got 1"),
        ("photos --target kind", "photos: expected a CSV file for the options of tables, got a folder"),
        ("nothing", "nothing: expected a sub-directory for each class, got none"),
        ("single/cat", "single/cat: expected a sub-directory for each class, got none"),
        ("single", "single: expected two folders or more, one for each class, got one (cat)"),
        ("hollow", "hollow: expected images in its 2 classes, got none that can be read"),
        ("half", "half/ant: expected images of this class, got none"),
        ("lonely", "lonely/cat: expected two images or more of each class, got one"),
        ("nowhere", "nowhere: expected a folder of images or a CSV file, got nothing of this name"),
    ];
    for (arguments, expected) in cases {
        let arguments: Vec<&str> = ["train", "--quiet"].into_iter().chain(arguments.split(' ')).collect();
        let line = error(here, &arguments);
        assert!(line.starts_with(expected), "{arguments:?}: {line}");
    }
    assert!(error(here, &["inspect", "flowers.csv"]).starts_with("flowers.csv: expected a safetensors file"));
    std::fs::write(here.join("x.onnx"), b"\x08\x08\x12\x07pytorch").unwrap();
    let expected = "x.onnx: expected a safetensors file, or a state dict of PyTorch's, got an ONNX model";
    assert!(error(here, &["inspect", "x.onnx"]).starts_with(expected));
    assert!(error(here, &["predict", "none", "none"]).starts_with("none: expected a file that can be read"));
}

#[test]
fn usage_and_help() {
    let here = folder();
    let here = here.path();
    for arguments in [
        &[][..],
        &["traim"],
        &["train"],
        &["train", "x", "--epochs", "ten"],
        &["predict", "x"],
        &["export", "x"],
        &["train", "x", "--folds", "3", "--valid", "0.5"],
        &["completions", "basic"],
    ] {
        let output = tealight(here, arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(output.stdout.is_empty() && !output.stderr.is_empty(), "{arguments:?}");
    }
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = said(here, &["completions", shell]);
        assert!(script.contains("evaluate") && script.contains("learning-rate"), "{shell}: {script}");
    }
    let page = said(here, &["man"]);
    assert!(page.contains(".TH tealight 1") && page.contains("tealight\\-train(1)"), "{page}");
    let page = said(here, &["man", "train"]);
    assert!(page.contains(".TH tealight-train 1") && page.contains("\\-\\-folds"), "{page}");
    assert!(error(here, &["man", "brew"]).starts_with("man: expected one of train, predict, "));
    for command in ["train", "predict", "evaluate", "inspect", "export", "completions", "man"] {
        let help = said(here, &[command, "--help"]);
        assert!(help.contains(&format!("  tealight {command} ")) && help.contains("Examples:"), "{help}");
    }
    assert!(said(here, &["--version"]).starts_with("tealight 0."));
}

#[test]
fn nobody_has_to_read_on() {
    let here = folder();
    let here = here.path();
    flowers(here, 60);
    said(here, &[&TABLE[..], &["--epochs", "2"]].concat());
    let rows: String = (0..5000).map(|i| format!("{i},red,1\n")).collect();
    fs::write(here.join("many.csv"), format!("length,colour,weight\n{rows}")).unwrap();
    let commands: [&[&str]; 3] = [
        &["predict", "model/model.safetensors", "many.csv"],
        &["inspect", "model/model.safetensors"],
        &[&TABLE[..], &["--out", "other"]].concat(),
    ];
    for arguments in commands {
        let mut program = Command::new(env!("CARGO_BIN_EXE_tealight"));
        program.current_dir(here).args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = program.spawn().unwrap();
        drop(child.stdout.take());
        drop(child.stderr.take());
        assert_eq!(child.wait().unwrap().code(), Some(0), "{arguments:?}");
    }
    // The training went on to its end.
    assert!(here.join("other/model.safetensors").exists());
}

#[test]
fn any_file_of_tensors_is_inspected() {
    let here = folder();
    let here = here.path();
    let x = Tensor::new(&[[1.0, f64::NAN], [f64::INFINITY, 3.0]], &Device::Cpu).unwrap();
    let nothing = Tensor::zeros((0, 2), DType::F32, &Device::Cpu).unwrap();
    let count = Tensor::new(&[7i64], &Device::Cpu).unwrap();
    let tensors =
        [("10.x", x), ("9.nothing", nothing), ("9.count", count)].map(|(name, x)| (name.to_string(), x));
    let tensors = std::collections::BTreeMap::from(tensors);
    tealight::io::write(here.join("a.safetensors"), &tensors).unwrap();
    tealight::io::write_npz(here.join("a.npz"), &tensors).unwrap();
    for file in ["a.safetensors", "a.npz"] {
        let lines = said(here, &["inspect", file]);
        let lines: Vec<Vec<&str>> = lines.lines().map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(lines[1], ["9.count", "[1]", "i64", "1", "7.0000", "7.0000", "7.0000", "0", "0", "0"]);
        assert_eq!(lines[2], ["9.nothing", "[0,", "2]", "f32", "0", "-", "-", "-", "-", "0", "0"]);
        assert_eq!(
            lines[3],
            ["10.x", "[2,", "2]", "f64", "4", "1.0000", "3.0000", "2.0000", "1.0000", "1", "1"]
        );
        assert_eq!(lines[5].join(" "), "3 tensors, 5 numbers, 2 of them NaN or infinite");
    }
}

#[test]
fn a_damaged_model_is_an_error_and_no_panic() {
    let here = folder();
    let here = here.path();
    flowers(here, 30);
    said(here, &[&TABLE[..], &["--epochs", "1", "--hidden", "2"]].concat());
    fs::write(here.join("new.csv"), "colour,length,weight\nred,4.5,0.5\n").unwrap();
    let good = fs::read(here.join("model/model.safetensors")).unwrap();
    let check = |bytes: &[u8]| {
        fs::write(here.join("bad"), bytes).unwrap();
        let output = tealight(here, &["predict", "bad", "new.csv"]);
        let line = text(&output.stderr);
        let told =
            output.status.code() == Some(1) && line.starts_with("error: ") && line.matches('\n').count() == 1;
        assert!(told || output.status.code() == Some(0), "{:?}: {line}", output.status);
    };
    let header = 8 + u64::from_le_bytes(good[..8].try_into().unwrap()) as usize;
    for length in (0..good.len()).step_by(97) {
        check(&good[..length]);
    }
    for place in (0..header).step_by(7) {
        let mut bad = good.clone();
        // Digits become other digits, letters other letters.
        bad[place] ^= 1;
        check(&bad);
    }
}

#[test]
fn a_small_model_file_asks_for_no_memory() {
    let here = folder();
    let path = here.path().join("m.safetensors");
    let message = |hidden: &[usize], classes: usize, size: usize, shapes: &[[usize; 2]]| {
        let mut file = tealight::io::Checkpoint::default();
        let classes: Vec<String> = (0..classes).map(|i| i.to_string()).collect();
        let inputs = serde_json::json!({"size": size, "color": "grey"});
        let plan = serde_json::json!({
            "version": 3, "kind": "mlp", "inputs": inputs, "hidden": hidden, "classes": classes, "about": [],
        });
        file.set_meta("tealight model", plan);
        let weight = |(i, &[outputs, inputs]): (usize, &[usize; 2])| {
            let weight = Tensor::zeros((outputs, inputs), DType::F32, &Device::Cpu).unwrap();
            (format!("{}.weight", 2 * i + 2), weight)
        };
        file.insert("model", shapes.iter().enumerate().map(weight).collect());
        file.write(&path).unwrap();
        error(here.path(), &["predict", "m.safetensors", "none.png"])
    };
    // Where one width is 0, the next may be any number without a weight in the file.
    let said = "m.safetensors: expected a valid \"hidden\" in the model's metadata, got [0,3]";
    assert_eq!(message(&[0, 3], 1, 1, &[[0, 1], [3, 0], [1, 3]]), said);
    let said = "m.safetensors: expected a valid \"classes\" in the model's metadata, got []";
    assert_eq!(message(&[3], 0, 1, &[[3, 1], [0, 3]]), said);
    // A gigabyte for each image.
    let said = "\"inputs\" in the model's metadata, got {\"color\":\"grey\",\"size\":513}";
    assert!(message(&[], 1, 513, &[[1, 513 * 513]]).ends_with(said));
    let said = "expected weights of the shapes [[3, 1], [1, 3]] that its metadata gives";
    assert!(message(&[3], 1, 1, &[[3, 1], [1, 4]]).contains(said));
}
