//! Imports point down, and every file with a gradient has a gradient test: read from the sources' tokens.
#![allow(clippy::unwrap_used, clippy::expect_used)] // a test fails by panicking

use std::fs;
use std::path::Path;

use proc_macro2::{Delimiter, TokenStream, TokenTree};

/// Every module of the crate, and the modules directly below it. A file may import what is below its module, at any depth.
const LAYERS: &[(&str, &[&str])] = &[
    ("error", &[]),
    ("book", &[]),        // the code in docs/, for its tests alone
    ("file", &["error"]), // reads and writes whole files
    ("kernel", &["error"]),
    ("formula", &["kernel"]),
    ("autograd", &["formula"]),
    ("ops", &["autograd"]),
    ("activation", &["ops"]),
    ("loss", &["ops"]),
    ("data", &["ops", "file"]),
    ("metrics", &["ops"]),
    ("plot", &["activation", "data", "metrics"]),
    ("functional", &["data", "loss"]), // a first course's functions, defined elsewhere
    ("layer", &["activation", "loss"]),
    ("implicit", &["ops"]),
    ("normalize", &["layer"]), // what is fitted belongs to the model: buffers
    ("optim", &["layer"]),
    ("program", &["optim"]),
    ("export", &["program"]), // a program as source text
    ("io", &["optim", "file"]),
    ("distributed", &["ops"]),
    ("train", &["program", "data", "distributed", "io", "metrics", "plot"]),
    ("memory", &["kernel"]), // settings of the whole process, for programs that ask
];

/// Files in src/ops, src/activation and src/loss without a gradient of their own, and why.
const NO_GRADIENT: &[(&str, &str)] = &[
    ("src/loss/check.rs", "refuses wrong targets, and computes nothing"),
    ("src/loss/classes.rs", "reads the classes and their weights for the losses that take them"),
    ("src/ops/axis.rs", "names an axis and touches no number"),
    ("src/ops/compare.rs", "a comparison has no gradient, and its test says so"),
    ("src/ops/create.rs", "a new tensor depends on no other"),
    ("src/ops/interpreters.rs", "runs a formula's tape as candle ops or tensor ops: pointwise.rs"),
    ("src/ops/onnx.rs", "writes a formula's tape as ONNX nodes: the models in tests/interop test it"),
    ("src/ops/operand.rs", "a tensor or a number; the operations that take one test it"),
    ("src/ops/operators.rs", "+ - * / for the methods that arithmetic.rs defines and tests"),
    ("src/ops/pointwise.rs", "makes an op of any formula: the gradient test of every formula is its test"),
    ("src/ops/random.rs", "a random tensor depends on no other"),
    ("src/ops/reduction.rs", "says which axes go; the ops that reduce are tested"),
    ("src/ops/to_dtype.rs", "tested with numbers: gradcheck takes nothing but f64"),
    ("src/ops/window.rs", "options, and where windows lie: what uses them has the formulas"),
];

/// Files that are compiled for tests only, wherever they stand.
const TEST_FILES: &[&str] = &["tests.rs", "testing.rs", "cases.rs"];

/// A path from the root of the crate or, by `super::`, from the file's module upwards.
struct Import {
    /// 0 for `crate::`, else the number of `super::`.
    supers: usize,
    name: String,
    line: usize,
}

/// Collects imports; the tokens of items under `#[cfg(test)]` go to `tests` instead.
fn imports(tokens: TokenStream, found: &mut Vec<Import>, tests: &mut String) {
    let tokens: Vec<TokenTree> = tokens.into_iter().collect();
    let is_punct = |i: usize, c: char| matches!(tokens.get(i), Some(TokenTree::Punct(p)) if p.as_char() == c);
    let is_ident = |i: usize, name: &str| matches!(tokens.get(i), Some(TokenTree::Ident(n)) if n == name);
    let colons = |i: usize| is_punct(i, ':') && is_punct(i + 1, ':');
    let mut i = 0;
    while i < tokens.len() {
        if let (true, Some(TokenTree::Group(attribute))) = (is_punct(i, '#'), tokens.get(i + 1))
            && attribute.to_string().replace(' ', "") == "[cfg(test)]"
        {
            // The item ends at its braces or its semicolon.
            while i < tokens.len() {
                tests.push_str(&format!("{} ", tokens[i]));
                let end = is_punct(i, ';')
                    || matches!(&tokens[i], TokenTree::Group(g) if g.delimiter() == Delimiter::Brace);
                i += 1;
                if end {
                    break;
                }
            }
            continue;
        }
        let root = is_ident(i, "crate") && colons(i + 1);
        let up = is_ident(i, "super") && colons(i + 1) && !(i >= 2 && colons(i - 2));
        if root || up {
            let line = tokens[i].span().start().line;
            let mut supers = 0;
            while is_ident(i, "super") && colons(i + 1) {
                (supers, i) = (supers + 1, i + 3);
            }
            i += if root { 3 } else { 0 };
            let mut name = |token: &TokenTree| {
                if let TokenTree::Ident(ident) = token {
                    found.push(Import { supers, name: ident.to_string(), line });
                }
            };
            match tokens.get(i) {
                Some(TokenTree::Group(group)) => {
                    let inner: Vec<TokenTree> = group.stream().into_iter().collect();
                    for (k, token) in inner.iter().enumerate() {
                        let first =
                            k == 0 || matches!(&inner[k - 1], TokenTree::Punct(p) if p.as_char() == ',');
                        if first {
                            name(token);
                        }
                    }
                }
                Some(token) => name(token),
                None => {}
            }
        }
        if let Some(TokenTree::Group(group)) = tokens.get(i) {
            imports(group.stream(), found, tests);
        }
        i += 1;
    }
}

fn is_above(module: &str, other: &str) -> bool {
    let below = LAYERS.iter().find(|(name, _)| *name == module).map_or(&[][..], |(_, below)| below);
    below.iter().any(|&next| next == other || is_above(next, other))
}

/// The faults of one file, named `src/module/….rs`.
fn faults(path: &str, text: &str) -> Vec<String> {
    let inner = path.strip_prefix("src/").unwrap();
    if TEST_FILES.contains(&inner.rsplit('/').next().unwrap()) {
        return vec![];
    }
    let module = inner.split('/').next().unwrap().trim_end_matches(".rs");
    // Programs use the crate by its public names, and `crate::` in them is the program.
    if ["lib", "bin"].contains(&module) {
        return vec![];
    }
    if !LAYERS.iter().any(|(name, _)| *name == module) {
        return vec![format!("{path}: `{module}` has no place in LAYERS yet")];
    }
    let (mut found, mut tests) = (vec![], String::new());
    imports(text.parse().unwrap(), &mut found, &mut tests);
    // How many `super::` lead from the file to the root of the crate.
    let depth = inner.split('/').count() - usize::from(inner.ends_with("/mod.rs"));
    let mut wrong = vec![];
    for import in found.iter().filter(|import| import.supers == 0 || import.supers >= depth) {
        // The root re-exports the first two, and a macro is always at the root.
        let to = match &*import.name {
            "Error" | "Result" => "error",
            "fields" => "layer",
            name => name,
        };
        if to != module && !is_above(module, to) {
            wrong.push(format!("{path}:{}: `{module}` imports `{to}`, which is not below it", import.line));
        }
    }
    let needs_check = ["ops", "activation", "loss"].contains(&module)
        && inner.matches('/').count() == 1
        && !inner.ends_with("mod.rs")
        && !NO_GRADIENT.iter().any(|(file, _)| *file == path);
    // The tests may lie in a folder named as the file.
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(path.trim_end_matches(".rs"));
    let beside: Vec<_> =
        fs::read_dir(&folder).into_iter().flatten().map(|entry| entry.unwrap().path()).collect();
    let beside: String = beside.iter().map(|file| fs::read_to_string(file).unwrap()).collect();
    if needs_check && !format!("{tests}{beside}").contains("check") {
        wrong.push(format!("{path}: no gradient test (gradcheck, check or check2)"));
    }
    wrong
}

#[test]
fn imports_point_down_and_gradients_are_tested() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (mut folders, mut files, mut wrong) = (vec![root.join("src")], 0, vec![]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let parts: Vec<_> =
                    path.strip_prefix(root).unwrap().iter().map(|p| p.to_string_lossy()).collect();
                wrong.extend(faults(&parts.join("/"), &fs::read_to_string(&path).unwrap()));
                files += 1;
            }
        }
    }
    for (path, _) in NO_GRADIENT {
        if !root.join(path).exists() {
            wrong.push(format!("NO_GRADIENT names {path}, which does not exist"));
        }
    }
    assert!(files > 50, "the sources were not found");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn planted_faults_are_found() {
    for (path, text, to) in [
        ("src/ops/mod.rs", "pub(crate) use crate::layer::Layer;", "layer"),
        ("src/ops/mod.rs", "fn f() { crate::activation::Relu.apply(x) }", "activation"),
        ("src/ops/mod.rs", "use crate::{error::Result, loss::{L1, Mse}};", "loss"),
        ("src/ops/mod.rs", "use super::super::loss::L1; use super::super::super::x;", "loss"),
        ("src/ops/mod.rs", "macro_rules! m { () => { $crate::train::Trainer } }", "train"),
        ("src/optim/x.rs", "#[cfg(test)] mod tests { use crate::io; }\nuse super::super::io::save;", "io"),
    ] {
        let found = faults(path, text);
        assert!(found.iter().any(|fault| fault.contains(&format!("imports `{to}`"))), "{text}: {found:?}");
    }
    for (path, text) in [
        ("src/ops/mod.rs", "//! See [`Relu`](crate::activation::Relu).\n/* crate::loss */ fn f() {}"),
        (
            "src/ops/axis.rs",
            "#[cfg(test)]\nmod tests {\n    use crate::prelude::*;\n}\nfn f() { super::apply() }",
        ),
        ("src/train/x.rs", "use crate::data::Dataset; use crate::{Error, Result}; use super::History;"),
    ] {
        assert_eq!(faults(path, text), [""; 0], "{text}");
    }
    assert!(faults("src/unknown.rs", "")[0].contains("no place in LAYERS"));
    assert!(faults("src/ops/new.rs", "fn f() {}")[0].contains("no gradient test"));
}
