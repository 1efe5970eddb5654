//! The house rules, kept over the source text itself. CONTRIBUTING.md lists them; house_rules/planted.rs tries each on planted faults.
#![allow(clippy::unwrap_used, clippy::expect_used)] // a test fails by panicking

use std::fs;
use std::path::Path;

#[path = "house_rules/planted.rs"]
mod planted;
#[path = "house_rules/shown.rs"]
mod shown;
#[path = "house_rules/source.rs"]
mod source;

use shown::shown;
use source::{Source, test_files, words};

/// Every module of the crate, and what stands directly below it. A file may import what is below it, however far down.
const HOUSE: &[(&str, &[&str])] = &[
    ("error", &[]),
    ("book", &[]),        // the code in docs/, for its tests alone
    ("file", &["error"]), // reads and writes whole files
    ("formula", &["error"]),
    ("kernel", &["formula"]),
    ("autograd", &["kernel"]),
    ("ops", &["autograd"]),
    ("activation", &["ops"]),
    ("loss", &["ops"]),
    ("data", &["ops", "file"]),
    ("metrics", &["ops"]),
    ("plot", &["activation", "data", "metrics"]),
    ("functional", &["data", "loss"]), // a first course's functions, defined elsewhere
    ("layer", &["activation", "loss"]),
    ("normalize", &["layer"]), // what is fitted belongs to the model: buffers
    ("optim", &["layer"]),
    ("io", &["optim", "file"]),
    ("train", &["optim", "data", "io", "metrics", "plot"]),
    ("bin", &[]), // programs: they use the crate by its public names, as every other program does
];

/// Folders where a file is an op, an activation or a loss.
const DOCUMENTED: &[&str] = &["src/ops/", "src/activation/", "src/loss/"];

/// Files there that are none: no formula, no gradient of their own.
const HELPERS: &[(&str, &str)] = &[
    ("src/loss/check.rs", "refuses what is no target, and computes nothing"),
    ("src/loss/classes.rs", "reads the classes and their weights for the losses that take them"),
    ("src/ops/axis.rs", "names an axis and touches no number"),
    ("src/ops/interpreters.rs", "runs a formula's program as candle ops or tensor ops: pointwise.rs"),
    ("src/ops/onnx.rs", "writes a formula's program as ONNX nodes: the models in tests/interop test it"),
    ("src/ops/operand.rs", "a tensor or a number, whichever it is; the operations that take one test it"),
    ("src/ops/operators.rs", "+ - * / for the methods that arithmetic.rs defines and tests"),
    ("src/ops/reduction.rs", "says which axes go; the ops that reduce are tested"),
    ("src/ops/pointwise.rs", "makes an op of any formula: the gradient test of every formula is its test"),
    ("src/ops/window.rs", "options, and where windows lie: what uses them has the formulas"),
];

/// Files without a gradient test.
const UNTESTED: &[(&str, &str)] = &[
    ("src/ops/compare.rs", "a comparison has no gradient, and its test says so"),
    ("src/ops/create.rs", "what is made depends on no tensor"),
    ("src/ops/random.rs", "a random tensor depends on no other"),
    ("src/ops/to_dtype.rs", "tested with numbers: gradcheck takes nothing but f64"),
];

const HEADINGS: &[&str] = &["# Formula", "# Gradient", "# Errors"];
const CHECKS: &[&str] = &["gradcheck(", "check(", "check2("];
const MOST_LINES: usize = 400;

/// The first name of each path in `rest`, which follows `crate::`: one, or those in braces.
fn first_names(rest: &str) -> Vec<&str> {
    let rest = rest.trim_start();
    let mut names = vec![];
    match rest.strip_prefix('{') {
        None => names.push(rest),
        Some(inner) => {
            let (mut depth, mut start) = (0, 0);
            for (i, c) in inner.char_indices() {
                match c {
                    '{' => depth += 1,
                    '}' if depth > 0 => depth -= 1,
                    ',' | '}' if depth == 0 => {
                        names.push(&inner[start..i]);
                        start = i + 1;
                        if c == '}' {
                            break;
                        }
                    }
                    _ => {}
                }
            }
        }
    }
    let name = |c: char| !c.is_alphanumeric() && c != '_';
    names
        .iter()
        .map(|n| n.trim())
        .filter(|n| !n.is_empty())
        .map(|n| n.split(name).next().unwrap_or(n))
        .collect()
}

/// Whether `module` stands above `other`.
fn above(module: &str, other: &str) -> bool {
    let below = HOUSE.iter().find(|(name, _)| *name == module).map_or(&[][..], |(_, below)| below);
    below.iter().any(|&next| next == other || above(next, other))
}

fn imports_point_down(source: &Source) -> Vec<String> {
    let module = source.module();
    if module == "lib" {
        return vec![];
    }
    if !HOUSE.iter().any(|(name, _)| *name == module) {
        return vec![format!(
            "{}:1: `{module}` has no place in the house yet: give it one in HOUSE",
            source.path
        )];
    }
    let mut paths: Vec<(usize, usize)> =
        words(&source.used, "crate").map(|i| (i, i + "crate".len())).collect();
    for i in words(&source.used, "super") {
        let chain = source.used[i..].split("::").take_while(|part| part.trim() == "super").count();
        let inside = source.used[..i].trim_end().ends_with("::");
        if !inside && chain >= source.depth() {
            let end = source.used[i..].match_indices("super").nth(chain - 1).map_or(0, |(j, _)| i + j + 5);
            paths.push((i, end));
        }
    }
    let mut wrong = vec![];
    for (start, end) in paths {
        let Some(rest) = source.used[end..].trim_start().strip_prefix("::") else { continue };
        for name in first_names(rest) {
            // The root re-exports these two.
            let to = if matches!(name, "Error" | "Result") { "error" } else { name };
            if to != module && !above(module, to) {
                wrong.push(source.at(start, &format!("`{module}` imports `{name}`, which is not below it")));
            }
        }
    }
    wrong
}

fn is_documented(path: &str) -> bool {
    let listed = |list: &[(&str, &str)]| list.iter().any(|(helper, _)| *helper == path);
    DOCUMENTED.iter().any(|folder| path.starts_with(folder)) && !path.ends_with("/mod.rs") && !listed(HELPERS)
}

fn headings(source: &Source) -> Vec<String> {
    if !is_documented(&source.path) {
        return vec![];
    }
    let docs: Vec<&str> =
        source.text.lines().map_while(|line| line.strip_prefix("//!")).map(str::trim).collect();
    let said = |heading: &&str| {
        let at = docs.iter().position(|line| line == heading);
        let next = at.and_then(|i| docs.get(i + 1));
        next.is_some_and(|line| !line.is_empty() && !line.starts_with('#'))
    };
    let missing = HEADINGS.iter().filter(|heading| !said(heading));
    missing.map(|heading| format!("{}:1: no `{heading}` in the module's docs", source.path)).collect()
}

fn gradient_test(source: &Source) -> Vec<String> {
    let listed = UNTESTED.iter().any(|(path, _)| *path == source.path);
    if !is_documented(&source.path) || listed {
        return vec![];
    }
    let checked = CHECKS.iter().any(|call| words(&source.tests, call).next().is_some());
    match checked && source.tests.contains("#[test]") {
        true => vec![],
        false => vec![format!("{}:1: no gradient test (gradcheck, check or check2)", source.path)],
    }
}

fn length(source: &Source) -> Vec<String> {
    match source.text.lines().count() {
        lines if lines > MOST_LINES => vec![format!("{}:{lines}: more than {MOST_LINES} lines", source.path)],
        _ => vec![],
    }
}

fn unsafe_is_documented(source: &Source) -> Vec<String> {
    let lines: Vec<&str> = source.text.lines().collect();
    let mut wrong = vec![];
    for offset in words(&source.code, "unsafe") {
        if source.module() != "kernel" {
            wrong.push(source.at(offset, "`unsafe` outside src/kernel"));
            continue;
        }
        let item = source.code[offset + "unsafe".len()..].trim_start();
        let reason = if item.starts_with("fn") || item.starts_with("trait") { "# Safety" } else { "SAFETY:" };
        let above = lines[..source.lines_before(offset)].iter().rev().map(|line| line.trim());
        let mut notes = above.take_while(|line| line.starts_with("//") || line.starts_with("#["));
        if !notes.any(|line| line.starts_with("//") && line.contains(reason)) {
            wrong.push(source.at(offset, &format!("`unsafe` without a `{reason}` comment above it")));
        }
    }
    wrong
}

fn nothing_unfinished(source: &Source) -> Vec<String> {
    let found = ["todo!", "unimplemented!", "dbg!"]
        .into_iter()
        .flat_map(|call| words(&source.code, call).map(move |i| source.at(i, &format!("`{call}` is left"))));
    found.collect()
}

fn no_panics(source: &Source) -> Vec<String> {
    let mut calls = vec![".unwrap()", ".unwrap_err()", ".expect(", ".expect_err(", "panic!", "unreachable!"];
    if source.module() != "kernel" {
        // A kernel checks what its callers promised. Elsewhere a wrong argument is an error.
        calls.extend(["assert!", "assert_eq!", "assert_ne!"]);
    }
    let mut wrong = vec![];
    for call in calls {
        for i in words(&source.used, call) {
            let at_compile_time = source.used[..i].trim_end().ends_with("const {");
            if !at_compile_time {
                wrong.push(source.at(i, &format!("`{call}` outside of tests")));
            }
        }
    }
    wrong
}

/// Every feature in the manifest has a comment on the line above it.
fn features_are_explained(manifest: &str) -> Vec<String> {
    let lines: Vec<&str> = manifest.lines().collect();
    let start = lines.iter().position(|line| line.trim() == "[features]").map_or(lines.len(), |i| i + 1);
    let mut wrong = vec![];
    let mut open = 0;
    for (i, line) in lines.iter().enumerate().skip(start) {
        if line.starts_with('[') {
            break;
        }
        let bare = line.split('#').next().unwrap_or("");
        if open == 0 && bare.contains('=') && !lines[i - 1].starts_with("# ") {
            wrong.push(format!("Cargo.toml:{}: no comment above `{}`", i + 1, bare.trim()));
        }
        open += bare.matches('[').count();
        open -= bare.matches(']').count().min(open);
    }
    wrong
}

fn violations(files: &[(String, String)]) -> Vec<String> {
    let mut sources: Vec<Source> = files.iter().map(|(path, text)| Source::new(path, text)).collect();
    let tests: Vec<String> = sources.iter().flat_map(test_files).collect();
    for source in sources.iter_mut().filter(|source| tests.contains(&source.path)) {
        source.tests = source.code.clone();
        source.used = source.code.chars().map(|c| if c == '\n' { c } else { ' ' }).collect();
    }
    let rules = [imports_point_down, length, unsafe_is_documented, nothing_unfinished, no_panics, shown];
    let mut wrong: Vec<String> = sources.iter().flat_map(|s| rules.iter().flat_map(|rule| rule(s))).collect();
    let ops = sources.iter().filter(|source| !tests.contains(&source.path));
    wrong.extend(ops.flat_map(|source| [headings(source), gradient_test(source)].concat()));
    wrong
}

fn read(folder: &Path, root: &Path, files: &mut Vec<(String, String)>) {
    let mut entries: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    for path in entries {
        if path.is_dir() {
            read(&path, root, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let name: Vec<_> =
                path.strip_prefix(root).unwrap().iter().map(|part| part.to_string_lossy()).collect();
            files.push((name.join("/"), fs::read_to_string(&path).unwrap().replace("\r\n", "\n")));
        }
    }
}

#[test]
fn the_house_is_in_order() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = vec![];
    read(&root.join("src"), root, &mut files);
    let mut wrong = violations(&files);
    wrong.extend(features_are_explained(&fs::read_to_string(root.join("Cargo.toml")).unwrap()));
    for (path, _) in HELPERS.iter().chain(UNTESTED) {
        if !files.iter().any(|(known, _)| known == path) {
            wrong.push(format!("tests/house_rules.rs: an exception for {path}, which does not exist"));
        }
    }
    assert!(files.len() > 50, "the sources were not found");
    assert!(wrong.is_empty(), "{} violations:\n{}", wrong.len(), wrong.join("\n"));
}
