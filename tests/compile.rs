//! What the compiler says to a wrong op, layer or formula: the error stands at the mistake, and names it.
//!
//! Each program ends with what must be said, one after the other, after `//~`. It is compiled with the library that `cargo test` built:
//! trybuild would build all dependencies once more.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a test fails by panicking

use std::fs;
use std::path::Path;
use std::process::Command;

#[test]
fn mistakes_do_not_compile() {
    // What the compiler says does not depend on the instruction set: once is enough.
    if std::env::var_os("TEALIGHT_SIMD").is_some() {
        return;
    }
    let program = std::env::current_exe().unwrap();
    let built = program.parent().expect("a file is in a folder");
    let is_library = |path: &Path| {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        name.starts_with("libtealight-") && name.ends_with(".rlib")
    };
    let library = fs::read_dir(built)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| is_library(path))
        .max_by_key(|path| path.metadata().unwrap().modified().unwrap())
        .expect("the library that this test is linked with");
    let scratch = tempfile::tempdir().unwrap();
    let mut count = 0;
    for entry in fs::read_dir("tests/compile").unwrap() {
        let file = entry.unwrap().path();
        let output = Command::new(std::env::var_os("RUSTC").unwrap_or("rustc".into()))
            .args(["--edition=2024", "--emit=metadata", "--color=never", "--out-dir"])
            .arg(scratch.path())
            .args(["--extern", &format!("tealight={}", library.display())])
            .args(["-L", &format!("dependency={}", built.display())])
            .arg(&file)
            .output()
            .unwrap();
        assert!(!output.status.success(), "{} compiles", file.display());
        let said = String::from_utf8_lossy(&output.stderr);
        let (text, mut rest) = (fs::read_to_string(&file).unwrap(), &said[..]);
        for part in text.lines().filter_map(|line| line.strip_prefix("//~ ")) {
            let found = rest.split_once(part);
            (_, rest) =
                found.unwrap_or_else(|| panic!("{}: expected {part:?}, got:\n{said}", file.display()));
            count += 1;
        }
    }
    assert!(count > 20, "{count} parts of messages");
}
