//! Each rule on files with a planted fault, and on files that only look faulty.

use super::*;

/// What the rules say about planted files; the first of each pair is the path.
#[track_caller]
fn planted(files: &[(&str, &str)], expected: &[&str]) {
    let files: Vec<(String, String)> = files.iter().map(|(p, t)| (p.to_string(), t.to_string())).collect();
    assert_eq!(violations(&files), expected);
}

#[test]
fn an_import_that_points_up_is_found() {
    let says = |line: usize, from: &str, to: &str| {
        format!("src/{from}/new.rs:{line}: `{from}` imports `{to}`, which is not below it")
    };
    let file = |module: &str, text: &str| {
        violations(&[(format!("src/{module}/new.rs"), text.to_string())])
            .into_iter()
            .filter(|line| line.contains("imports"))
            .collect::<Vec<_>>()
    };
    for (module, text, to) in [
        ("kernel", "use crate::autograd::Tensor;", "autograd"),
        ("ops", "pub(crate) use crate::layer::Layer;", "layer"),
        ("ops", "fn f() { crate::activation::Relu.apply(x) }", "activation"),
        ("ops", "use crate::{error::Result, loss::{L1, L2}};", "loss"),
        ("ops", "use crate :: loss::L1;", "loss"),
        ("ops", "use super::super::loss::L1;", "loss"),
        ("ops", "use crate::prelude::*;", "prelude"),
        ("ops", "macro_rules! m { () => { $crate::train::Trainer } }", "train"),
        ("activation", "use crate::loss::L1;", "loss"),
        ("data", "use crate::activation::Relu;", "activation"),
        ("optim", "use crate::io::save;", "io"),
        ("ops", "use crate::Tensor;", "Tensor"),
    ] {
        assert_eq!(file(module, text), [says(1, module, to)], "{text}");
    }
    let twice = "//! Docs.\n\nuse crate::error::Result;\nuse crate::{\n    train::Trainer,\n    io,\n};\n";
    assert_eq!(file("ops", twice), [says(4, "ops", "train"), says(4, "ops", "io")]);
    for (module, text) in [
        (
            "ops",
            "//! See [`Relu`](crate::activation::Relu).\n/// use crate::loss::L1;\n/* crate::loss */ fn f() {}",
        ),
        ("ops", "#[cfg(test)]\nmod tests {\n    use crate::prelude::*;\n}\nfn f() { super::apply() }"),
        (
            "ops",
            "const S: &str = \"crate::loss\"; const R: &str = r#\"\"crate::loss\"#; use crate::{Error, Result};",
        ),
        ("train", "use crate::data::Dataset; use crate::io; use crate::error::Error; use super::History;"),
        ("loss", "pub(crate) use crate::loss::L1; pub(in crate::loss) fn f() {}"),
    ] {
        assert_eq!(file(module, text), [""; 0], "{text}");
    }
    planted(
        &[("src/mod_of_its_own.rs", "")],
        &["src/mod_of_its_own.rs:1: `mod_of_its_own` has no place in the house yet: give it one in HOUSE"],
    );
    planted(
        &[("src/error.rs", "use super::io;")],
        &["src/error.rs:1: `error` imports `io`, which is not below it"],
    );
}

const OP: &str = "//! An op.\n//!\n//! # Formula\n//! x\n//!\n//! # Gradient\n//! 1\n//!\n//! # Errors\n//! None.\n\n\
                  #[cfg(test)]\nmod tests {\n    #[test]\n    fn gradients() {\n        check(&[1.0], |x| x);\n    }\n}\n";

#[test]
fn an_op_without_docs_or_a_gradient_test_is_found() {
    planted(&[("src/ops/new.rs", OP), ("src/ops/mod.rs", ""), ("src/layer/new.rs", "")], &[]);
    let no = |what: &str| format!("src/loss/new.rs:1: no `{what}` in the module's docs");
    for heading in HEADINGS {
        planted(&[("src/loss/new.rs", &OP.replace(heading, "# Other"))], &[&no(heading)]);
    }
    let moved = OP.replace("//! # Errors", "/// # Errors");
    planted(&[("src/loss/new.rs", &moved)], &[&no("# Errors")]);
    planted(
        &[("src/loss/new.rs", &OP.replace("//! # Gradient\n//! 1", "//! # Gradient\n//!"))],
        &[&no("# Gradient")],
    );
    let untested = "src/activation/new.rs:1: no gradient test (gradcheck, check or check2)";
    for (from, to) in
        [("check(", "// check("), ("check(", "recheck("), ("#[cfg(test)]\n", ""), ("#[test]\n", "")]
    {
        planted(&[("src/activation/new.rs", &OP.replace(from, to))], &[untested]);
    }
}

#[test]
fn a_file_for_tests_is_test_code() {
    let files = [
        ("src/ops/mod.rs", "#[cfg(test)]\npub(crate) mod testing;\n"),
        ("src/ops/testing.rs", "use crate::prelude::*;\nfn f() { x.unwrap(); }\n"),
    ];
    planted(&files, &[]);
    let files = [("src/layer/mod.rs", "mod testing;\n"), ("src/layer/testing.rs", files[1].1)];
    planted(
        &files,
        &[
            "src/layer/testing.rs:1: `layer` imports `prelude`, which is not below it",
            "src/layer/testing.rs:2: `.unwrap()` outside of tests",
        ],
    );
}

#[test]
fn a_long_file_is_found() {
    planted(&[("src/layer/new.rs", &"\n".repeat(400))], &[]);
    planted(&[("src/layer/new.rs", &"\n".repeat(401))], &["src/layer/new.rs:401: more than 400 lines"]);
}

#[test]
fn an_unsafe_block_in_the_wrong_place_or_without_a_reason_is_found() {
    let block = "fn f() {\n    // SAFETY: planted.\n    #[allow(unsafe_code)]\n    unsafe { g() }\n}\n";
    planted(&[("src/kernel/new.rs", block)], &[]);
    planted(&[("src/layer/new.rs", block)], &["src/layer/new.rs:4: `unsafe` outside src/kernel"]);
    let tested = format!("#[cfg(test)]\nmod tests {{\n{block}}}\n");
    planted(&[("src/layer/new.rs", &tested)], &["src/layer/new.rs:6: `unsafe` outside src/kernel"]);
    let bare = "src/kernel/new.rs:4: `unsafe` without a `SAFETY:` comment above it";
    planted(&[("src/kernel/new.rs", &block.replace("SAFETY", "Why"))], &[bare]);
    let function = "/// F.\n///\n/// # Safety\n/// Never.\nunsafe fn f() {}\n";
    planted(&[("src/kernel/new.rs", function)], &[]);
    let bare = "src/kernel/new.rs:5: `unsafe` without a `# Safety` comment above it";
    planted(&[("src/kernel/new.rs", &function.replace("# Safety", "# Note"))], &[bare]);
}

#[test]
fn what_is_unfinished_or_panics_is_found() {
    for call in ["todo!", "unimplemented!", "dbg!"] {
        let text = format!("fn f() {{ {call}(); }}");
        planted(&[("src/io/new.rs", &text)], &[&format!("src/io/new.rs:1: `{call}` is left")]);
        let text = format!("#[cfg(test)]\nmod tests {{ {text} }}");
        planted(&[("src/io/new.rs", &text)], &[&format!("src/io/new.rs:2: `{call}` is left")]);
    }
    for (call, text) in [
        (".unwrap()", "let y = x.unwrap();"),
        (".expect(", "x\n.expect(\"\")"),
        ("panic!", "panic!(\"no\")"),
        ("unreachable!", "unreachable!()"),
        ("assert!", "assert!(x > 0);"),
        ("assert_eq!", "assert_eq!(x, 0);"),
    ] {
        let line = text.split(call).next().unwrap().matches('\n').count() + 1;
        let text = format!("fn f() {{ {text} }}");
        planted(&[("src/io/new.rs", &text)], &[&format!("src/io/new.rs:{line}: `{call}` outside of tests")]);
        planted(&[("src/io/new.rs", &format!("#[cfg(test)]\nmod tests {{ {text} }}"))], &[]);
    }
    let fine = "/// x.unwrap()\nfn f<'a>(x: &'a str) { const { assert!(N < 3) }; x.unwrap_or('\"'); debug_assert!(x); }";
    planted(&[("src/io/new.rs", fine)], &[]);
    planted(&[("src/kernel/new.rs", "fn f() { assert!(x); }")], &[]);
    // Code behind a literal that a careless reader would take for the start of another.
    for literal in
        ["'\"'", "'\\''", "b'\\\\'", "\"\\\"\"", "r#\"\"\"#", "'é'", "\"//\"", "\"/*\"", "x /* /* */ \" */"]
    {
        let text = format!("fn f<'a>() {{ g({literal}); h().unwrap(); }}");
        planted(&[("src/io/new.rs", &text)], &["src/io/new.rs:1: `.unwrap()` outside of tests"]);
    }
    // And code behind the tests.
    let behind =
        "#[cfg(test)]\nuse a::{b};\n#[cfg(test)]\n#[allow(x)]\nfn t(x: [u8; 2]) {}\nfn f() { x.unwrap() }";
    planted(&[("src/io/new.rs", behind)], &["src/io/new.rs:6: `.unwrap()` outside of tests"]);
}

#[test]
fn a_feature_without_a_comment_is_found() {
    let manifest = "[package]\nname = \"x\"\n[features]\n# All.\ndefault = [\n    \"a\",\n]\n# A.\na = []\nb = [\"a\"] # B\n[lib]\nc = 1\n";
    assert_eq!(features_are_explained(manifest), ["Cargo.toml:10: no comment above `b = [\"a\"]`"]);
}

#[test]
fn a_public_item_without_an_example_is_found() {
    let shown = "/// One.\n///\n/// ```\n/// assert_eq!(one(), 1);\n/// ```\n";
    let failing = "/// One.\n///\n/// # Errors\n/// Never.\n///\n/// ```\n/// one()?;\n/// ```\n";
    for text in [
        format!("{shown}pub fn one() -> u8 {{\n    1\n}}\n"),
        format!("{shown}#[derive(\n    Debug,\n)]\npub struct One;\n"),
        format!("{shown}pub fn one(f: impl Fn() -> Result<()>) -> u8 {{\n    1\n}}\n"),
        format!("{failing}pub fn one() -> Result<u8> {{\n    Ok(1)\n}}\n"),
        "pub(crate) fn one() {}\npub const ONE: u8 = 1;\n/* pub fn one() {} */\n".into(),
        "macro_rules! m { ($(#[$doc:meta])* $name:ident) => {\n$(#[$doc])*\npub struct $name;\n} }\n".into(),
        "#[cfg(test)]\nmod tests {\n    pub fn one() {}\n}\n".into(),
    ] {
        planted(&[("src/layer/new.rs", &text)], &[]);
    }
    for (text, line, what) in [
        ("/// One.\npub fn one() {}\n".to_string(), 2, "example"),
        (format!("{shown}pub struct One;\n/// Two.\npub enum One {{}}\n"), 8, "example"),
        (format!("{shown}pub fn one(\n    a: u8,\n) -> Result<u8> {{\n    Ok(a)\n}}\n"), 6, "`# Errors`"),
    ] {
        let name = if text.contains("fn one") { "one" } else { "One" };
        planted(
            &[("src/layer/new.rs", &text)],
            &[&format!("src/layer/new.rs:{line}: `{name}` has no {what}")],
        );
    }
}
