//! The book's pages hang together: links lead somewhere, and the lists are complete. Their code is run by src/book.rs.
#![allow(clippy::unwrap_used, clippy::panic)] // a test fails by panicking

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

fn read(path: impl AsRef<Path>) -> String {
    let path = Path::new(ROOT).join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Every Markdown file below a folder, from the root.
fn markdown(folder: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut entries: Vec<_> =
        fs::read_dir(Path::new(ROOT).join(folder)).unwrap().map(|e| e.unwrap()).collect();
    entries.sort_by_key(|entry| entry.file_name());
    for entry in entries {
        let name = format!("{folder}/{}", entry.file_name().to_string_lossy());
        match entry.file_type().unwrap().is_dir() {
            true => found.extend(markdown(&name)),
            false if name.ends_with(".md") => found.push(name),
            false => {}
        }
    }
    found
}

/// The text outside of blocks and spans of code, line by line.
fn prose(text: &str) -> impl Iterator<Item = (usize, String)> {
    let mut code = false;
    let lines = text.lines().enumerate().filter(move |(_, line)| {
        let fence = line.trim_start().starts_with("```");
        code ^= fence;
        !code && !fence
    });
    lines.map(|(i, line)| (i + 1, line.split('`').step_by(2).collect::<Vec<_>>().join("`")))
}

/// The targets of `[text](target)` and `![text](target)`, with their lines.
fn links(text: &str) -> Vec<(usize, String)> {
    let of_line = |(line, text): (usize, String)| {
        let targets: Vec<_> = text
            .match_indices("](")
            .filter_map(|(at, _)| Some((line, text[at + 2..].split_once(')')?.0.to_string())))
            .collect();
        targets
    };
    prose(text).flat_map(of_line).collect()
}

/// What code hosts and mdBook make of a heading, to be linked to.
fn anchors(text: &str) -> BTreeSet<String> {
    let headings = text.lines().filter(|line| line.starts_with('#')).map(|line| line.trim_start_matches('#'));
    let kept = |c: char| match c {
        ' ' => Some('-'),
        _ => (c.is_alphanumeric() || c == '-' || c == '_').then_some(c),
    };
    headings.map(|heading| heading.trim().to_lowercase().chars().filter_map(kept).collect()).collect()
}

/// What is wrong with the links of a page.
fn broken(page: &str, text: &str) -> Vec<String> {
    let folder = Path::new(ROOT).join(page).parent().unwrap().to_path_buf();
    let mut wrong = Vec::new();
    for (line, target) in links(text) {
        if target.contains("://") {
            continue;
        }
        let (path, anchor) = target.split_once('#').unwrap_or((&target, ""));
        let file: PathBuf = if path.is_empty() { Path::new(ROOT).join(page) } else { folder.join(path) };
        if !file.exists() {
            wrong.push(format!("{page}:{line}: {target} is not there"));
        } else if !anchor.is_empty() && !anchors(&fs::read_to_string(file).unwrap()).contains(anchor) {
            wrong.push(format!("{page}:{line}: {target}: no such heading"));
        }
    }
    wrong
}

#[test]
fn every_link_and_picture_is_there() {
    let mut pages = markdown("docs");
    assert!(pages.len() > 20, "the pages were not found");
    pages.extend(["README.md", "CONTRIBUTING.md", "benches/README.md"].map(String::from));
    let wrong: Vec<String> = pages.iter().flat_map(|page| broken(page, &read(page))).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_broken_link_is_found() {
    let text = "[a](SUMMARY.md) ![b](no.png)\n```text\n[c](code.md)\n```\n`[d](code.md)` [e](ops.md#nowhere)\n[f](ops.md#products)";
    let wrong = broken("docs/page.md", text);
    assert_eq!(
        wrong,
        ["docs/page.md:1: no.png is not there", "docs/page.md:5: ops.md#nowhere: no such heading"]
    );
}

#[test]
fn the_summary_lists_every_page_once() {
    let listed: Vec<String> =
        links(&read("docs/SUMMARY.md")).into_iter().map(|(_, to)| format!("docs/{to}")).collect();
    let once: BTreeSet<&String> = listed.iter().collect();
    assert_eq!(once.len(), listed.len(), "a page is listed twice");
    let pages = markdown("docs");
    let missing: Vec<_> =
        pages.iter().filter(|page| *page != "docs/SUMMARY.md" && !once.contains(page)).collect();
    assert!(missing.is_empty(), "not in docs/SUMMARY.md: {missing:?}");
}

#[test]
fn the_code_of_every_page_is_run() {
    let book = read("src/book.rs");
    for page in markdown("docs") {
        if read(&page).lines().any(|line| line == "```rust") {
            let path = page.strip_prefix("docs/").unwrap();
            assert!(book.contains(&format!("\"{path}\"")), "src/book.rs does not run {page}");
        }
    }
}

#[test]
fn chapters_lead_to_the_next_and_say_what_is_known() {
    let chapters: Vec<String> = markdown("docs")
        .into_iter()
        .filter(|page| page["docs/".len()..].starts_with(|c: char| c.is_ascii_digit()))
        .collect();
    assert!(chapters.len() > 10, "the chapters were not found");
    for (i, chapter) in chapters.iter().enumerate() {
        let text = read(chapter);
        let (_, known) =
            text.split_once("## What you know now").unwrap_or_else(|| panic!("{chapter}: nothing is known"));
        let points = known.lines().filter(|line| line.starts_with("* ")).count();
        assert!((3..=5).contains(&points), "{chapter}: {points} points");
        if let Some(next) = chapters.get(i + 1) {
            assert!(known.contains(next.strip_prefix("docs/").unwrap()), "{chapter} does not lead to {next}");
        }
    }
}

/// The types that a module gives to the public.
fn public_types(module: &str) -> Vec<String> {
    let text = read(module);
    let exports = text.split("pub use ").skip(1).filter_map(|rest| rest.split(';').next());
    let names = exports.flat_map(|export| export.rsplit("::").next().unwrap().split([',', '{', '}']));
    let names = names.map(|name| name.trim().to_string());
    names.filter(|name| name.starts_with(|c: char| c.is_uppercase())).collect()
}

#[test]
fn the_list_of_layers_is_complete() {
    let list = read("docs/layers.md");
    let modules = ["layer", "activation", "loss", "normalize", "optim", "optim/schedule", "metrics"];
    for module in modules {
        let types = public_types(&format!("src/{module}/mod.rs"));
        assert!(types.len() > 2, "src/{module}/mod.rs: {types:?}");
        let missing: Vec<_> = types.iter().filter(|name| !list.contains(&format!("`{name}`"))).collect();
        assert!(missing.is_empty(), "not in docs/layers.md, from {module}: {missing:?}");
    }
}

#[test]
fn pictures_are_small_and_used() {
    let text: String = markdown("docs").iter().map(read).chain([read("README.md")]).collect();
    let mut together = 0;
    for entry in fs::read_dir(Path::new(ROOT).join("docs/images")).unwrap() {
        let entry = entry.unwrap();
        let (name, size) =
            (entry.file_name().to_string_lossy().into_owned(), entry.metadata().unwrap().len());
        assert!(size < 60_000, "{name} has {size} bytes");
        assert!(text.contains(&name) || name.ends_with(".dot"), "no page shows {name}");
        together += size;
    }
    assert!(together < 1_000_000, "{together} bytes of pictures");
}
