//! What the compiler says to a wrong op, layer or formula: the error stands at the mistake, and names it.
//!
//! The words are those of one version of the compiler; others are not asked.

const VERSION: &str = "rustc 1.95.";

#[test]
fn mistakes_do_not_compile() {
    // What the compiler says does not depend on the instruction set: once is enough.
    if std::env::var_os("TEALIGHT_SIMD").is_some() {
        return;
    }
    let said = std::process::Command::new(std::env::var("RUSTC").unwrap_or("rustc".into()))
        .arg("--version")
        .output();
    let version = said.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    if !version.starts_with(VERSION) {
        println!("not run: the expected texts are those of {VERSION}x, and this is {version}");
        return;
    }
    trybuild::TestCases::new().compile_fail("tests/compile/*.rs");
}
