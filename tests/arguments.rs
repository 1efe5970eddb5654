//! The program `tealight` with arguments of every kind: it does what it is asked, or says in a line why not. It never panics, and
//! never waits.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a test fails by panicking

use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use proptest::prelude::*;
use tealight::prelude::*;

/// What people ask for.
const LINES: [&str; 14] = [
    "",
    "train photos --epochs 1 --size 8",
    "train photos --epochs 1 --size 1 --model mlp --colour grey --flip",
    "train table.csv --epochs 2 --target kind --watch",
    "train table.csv --epochs 1 --model logistic --missing drop --ignore id --categorical size",
    "train table.csv --epochs 1 --out flowers --resume --hidden 3,2 --valid 0.5 --patience 1 --threads 1",
    "train photos --epochs 1 --size 8 --out pets --resume --batch-size 2 --learning-rate 0.1 --quiet --seed 7",
    "predict pets/model.safetensors photos/sun/0.png photos --json",
    "predict flowers/model.safetensors table.csv --out answers.csv",
    "evaluate flowers/model.safetensors table.csv",
    "evaluate pets/model.safetensors photos --json",
    "inspect pets/model.safetensors",
    "inspect flowers/checkpoint/last.safetensors",
    "export pets/model.safetensors --onnx pets.onnx",
];

/// Files, and what is none.
const FILES: &[&str] = &[
    "photos",
    "photos/sun",
    "photos/sun/0.png",
    "table.csv",
    "pets",
    "pets/model.safetensors",
    "flowers",
    "flowers/model.safetensors",
    "flowers/checkpoint/last.safetensors",
    "flowers/report.html",
    "cut.safetensors",
    "empty",
    "nothing",
    "none",
    "none/none",
    "bytes.npy",
    "bytes.npz",
    "bytes.pth",
    "bytes.onnx",
    ".",
    "..",
    "/dev/null",
    "/dev/full",
];

/// Options with their values. No number of epochs that would take its time.
const OPTIONS: &[&str] = &[
    "--resume",
    "--quiet",
    "--flip",
    "--json",
    "--out=",
    "--out=none/none",
    "--out=table.csv",
    "--out=/dev/full",
    "--model=cnn",
    "--model=mlp",
    "--model=logistic",
    "--model=none",
    "--epochs=0",
    "--epochs=-1",
    "--epochs=99999999999999999999",
    "--size=0",
    "--size=1",
    "--size=3",
    "--size=18446744073709551615",
    "--batch-size=0",
    "--batch-size=18446744073709551615",
    "--seed=18446744073709551615",
    "--patience=0",
    "--patience=18446744073709551615",
    "--threads=0",
    "--threads=3",
    "--threads=18446744073709551615",
    "--hidden=",
    "--hidden=0",
    "--hidden=1,,2",
    "--hidden=4611686018427387904",
    "--hidden=4294967296,4294967296",
    "--valid=0",
    "--valid=1",
    "--valid=-1",
    "--valid=nan",
    "--valid=0.0001",
    "--learning-rate=0",
    "--learning-rate=-1",
    "--learning-rate=nan",
    "--learning-rate=inf",
    "--learning-rate=1e300",
    "--delimiter=tab",
    "--delimiter=;",
    "--delimiter=",
    "--delimiter=\"",
    "--delimiter=é",
    "--missing=drop",
    "--missing=error",
    "--decimal=,",
    "--thousands=",
    "--thousands=e",
    "--encoding=latin1",
    "--encoding=none",
    "--na-values=",
    "--task=regression",
    "--task=classification",
    "--header",
    "--no-header",
    "--day-first",
    "--sheet=x",
    "--id=size",
    "--keep",
    "--force",
    "--balance",
    "--target=",
    "--target=kind",
    "--target=size",
    "--ignore=kind",
    "--ignore=size",
    "--categorical=id",
    "--categorical=none",
    "--colour=auto",
    "--color=rgb",
    "--onnx=pets.onnx",
    "--onnx=/dev/full",
    "--json=1",
];

/// What stands where it should not.
const ODD: &[&str] = &[
    "train",
    "predict",
    "evaluate",
    "inspect",
    "export",
    "help",
    "",
    " ",
    "-",
    "--",
    "-h",
    "--help",
    "-V",
    "--version",
    "--out",
    "--model",
    "--epochs",
    "--batch-size",
    "--learning-rate",
    "--hidden",
    "--target",
    "--unknown",
    "-x",
    "0",
    "1",
    "-1",
    "1e400",
    "nan",
    "99999999999999999999",
    "kind",
    "size",
    "é",
    "a\nb",
    "a\tb",
    "%s",
    "{}",
    "$HOME",
    "*",
];

/// An argument.
fn word() -> impl Strategy<Value = OsString> {
    let of = |words: &'static [&'static str]| prop::sample::select(words).prop_map(OsString::from);
    prop_oneof![
        40 => of(OPTIONS),
        20 => of(FILES),
        10 => of(ODD),
        1 => "[ -~]{0,8}".prop_map(OsString::from),
        1 => Just("long".repeat(2000).into()),
        1 => Just(odd()),
    ]
}

/// An option that is not valid UTF-8.
#[cfg(unix)]
fn odd() -> OsString {
    std::os::unix::ffi::OsStringExt::from_vec(b"--out=\xff".to_vec())
}

#[cfg(not(unix))]
fn odd() -> OsString {
    "odd".into()
}

#[derive(Clone, Debug)]
enum Edit {
    Insert(usize, OsString),
    Replace(usize, OsString),
    Drop(usize),
    Swap(usize, usize),
}

fn arguments() -> impl Strategy<Value = Vec<OsString>> {
    let at = any::<usize>;
    let edit = prop_oneof![
        4 => (at(), prop::sample::select(OPTIONS)).prop_map(|(at, word)| Edit::Insert(at, word.into())),
        1 => (at(), word()).prop_map(|(at, word)| Edit::Insert(at, word)),
        2 => (at(), word()).prop_map(|(at, word)| Edit::Replace(at, word)),
        1 => at().prop_map(Edit::Drop),
        1 => (at(), at()).prop_map(|(a, b)| Edit::Swap(a, b)),
    ];
    (prop::sample::select(&LINES[..]), prop::collection::vec(edit, 0..3)).prop_map(|(line, edits)| {
        let mut words: Vec<OsString> = line.split_whitespace().map(OsString::from).collect();
        for edit in edits {
            let length = words.len().max(1);
            let place = |at: usize| at % length;
            match edit {
                Edit::Insert(at, word) => words.insert(at % (words.len() + 1), word),
                Edit::Replace(at, word) => {
                    let place = place(at);
                    words.iter_mut().skip(place).take(1).for_each(|old| *old = word.clone());
                }
                Edit::Drop(at) if !words.is_empty() => drop(words.remove(place(at))),
                Edit::Swap(a, b) if !words.is_empty() => words.swap(place(a), place(b)),
                _ => {}
            }
        }
        words
    })
}

fn tealight(folder: &Path, arguments: &[impl AsRef<OsStr>]) -> Output {
    let mut program = Command::new(env!("CARGO_BIN_EXE_tealight"));
    program.current_dir(folder).args(arguments).env("RUST_BACKTRACE", "0");
    let (out, errors) = (folder.join(".out"), folder.join(".errors"));
    program
        .stdin(Stdio::null())
        .stdout(fs::File::create(&out).unwrap())
        .stderr(fs::File::create(&errors).unwrap());
    let mut running = program.spawn().unwrap();
    let start = Instant::now();
    let status = loop {
        if let Some(status) = running.try_wait().unwrap() {
            break status;
        }
        if start.elapsed() > Duration::from_secs(120) {
            running.kill().unwrap();
            panic!("still running after two minutes");
        }
        std::thread::sleep(Duration::from_millis(2));
    };
    Output { status, stdout: fs::read(out).unwrap(), stderr: fs::read(errors).unwrap() }
}

/// Small examples, what was learned from them, and files that are none.
fn examples(here: &Path) {
    for (class, name) in ["night", "sun"].iter().enumerate() {
        let folder = here.join("photos").join(name);
        fs::create_dir_all(&folder).unwrap();
        for i in 0..3 {
            let image =
                Tensor::full(0.2 + 0.5 * class as f64 + 0.1 * f64::from(i), (6, 5, 3), &Device::Cpu).unwrap();
            tealight::data::image::write_png(folder.join(format!("{i}.png")), &image).unwrap();
        }
    }
    let rows = (0..12).map(|i| format!("{i},{},{}\n", i % 3, ["iris", "lily"][i % 2]));
    fs::write(here.join("table.csv"), format!("id,size,kind\n{}", rows.collect::<String>())).unwrap();
    for line in [
        "train photos --epochs 1 --size 8 --out pets --batch-size 2 --learning-rate 0.1 --quiet --seed 7",
        "train table.csv --epochs 1 --out flowers --hidden 3,2 --valid 0.5 --patience 1 --quiet",
    ] {
        let output = tealight(here, &line.split(' ').collect::<Vec<_>>());
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    let model = fs::read(here.join("pets/model.safetensors")).unwrap();
    fs::write(here.join("cut.safetensors"), &model[..model.len() / 2]).unwrap();
    fs::write(here.join("empty"), "").unwrap();
    fs::create_dir(here.join("nothing")).unwrap();
    for name in ["bytes.npy", "bytes.npz", "bytes.pth", "bytes.onnx"] {
        fs::write(here.join(name), b"PK\x03\x04 and no more").unwrap();
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let new = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy(&path, &new);
        } else {
            fs::copy(&path, &new).unwrap();
        }
    }
}

/// The report holds the command that it came from, whatever bytes a path has.
#[cfg(unix)]
#[test]
fn a_folder_whose_name_is_not_utf8_is_written_to() {
    let whole = tempfile::tempdir().unwrap();
    examples(whole.path());
    let line = "train photos --epochs 1 --size 1 --model mlp --colour grey";
    let arguments: Vec<OsString> = line.split(' ').map(OsString::from).chain([odd()]).collect();
    let output = tealight(whole.path(), &arguments);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let folder: OsString = std::os::unix::ffi::OsStringExt::from_vec(vec![0xff]);
    let report = fs::read_to_string(whole.path().join(folder).join("report.html")).unwrap();
    assert!(report.contains("\u{fffd}"), "{report}");
}

#[test]
fn any_arguments_end_well() {
    let whole = tempfile::tempdir().unwrap();
    examples(whole.path());
    let mut ends = [0; 3];
    let config =
        ProptestConfig { failure_persistence: None, max_shrink_iters: 50, ..ProptestConfig::with_cases(400) };
    let mut runner = proptest::test_runner::TestRunner::new(config);
    let ended = std::cell::RefCell::new(&mut ends);
    let run = runner.run(&arguments(), |arguments| {
        // A folder of its own, whatever is written over there; its parent is one, too.
        let place = tempfile::tempdir().unwrap();
        let here = place.path().join("here");
        copy(whole.path(), &here);
        let output = tealight(&here, &arguments);
        let notes = String::from_utf8_lossy(&output.stderr);
        let lines = notes.lines().filter(|line| line.starts_with("error: ")).count();
        match output.status.code() {
            Some(0) => prop_assert_eq!(lines, 0, "{}", notes),
            Some(1) => {
                prop_assert!(lines > 0, "{}", notes);
                let known = |line: &str| {
                    let starts = ["error: ", "skipped: ", "filled ", "warning: "];
                    starts.iter().any(|start| line.starts_with(start))
                        || line.ends_with(" files skipped")
                        || line.contains("  epoch ")
                };
                prop_assert!(notes.lines().all(known), "{}", notes);
            }
            // What the arguments should be, at some length.
            Some(2) => prop_assert!(lines == 1 || notes.contains("Usage: tealight"), "{}", notes),
            code => prop_assert!(false, "{:?}: {}", code, notes),
        }
        ended.borrow_mut()[output.status.code().unwrap() as usize] += 1;
        Ok(())
    });
    run.unwrap();
    // Each end was tried, not one of them alone.
    assert!(ends.iter().all(|&count| count > 10), "{ends:?}");
}
