//! The pages hang together: links lead somewhere, the lists are complete, and the gallery of examples is as the examples are. The
//! code of the book is run by src/book.rs.
#![allow(clippy::unwrap_used, clippy::panic)] // a test fails by panicking

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");
const GALLERY: &str = "examples/README.md";
/// The lines of an example, at most.
/// Programs in examples/ that are none.
const TOOLS: &[(&str, &str)] = &[
    ("figures", "draws the pictures of the book, and teaches nothing"),
    ("distributed", "needs MPI: tests/mpi/run runs it"),
];

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
    pages.extend(["README.md", "CONTRIBUTING.md", "benches/README.md", GALLERY].map(String::from));
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
    let text: String = markdown("docs").iter().map(read).chain([read("README.md"), read(GALLERY)]).collect();
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

/// The names of the programs in examples/, without the tools.
fn examples() -> Vec<String> {
    let entries = fs::read_dir(Path::new(ROOT).join("examples")).unwrap();
    let files = entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned());
    let mut names: Vec<String> =
        files.filter_map(|file| Some(file.strip_suffix(".rs")?.to_string())).collect();
    names.sort();
    for (tool, _) in TOOLS {
        assert!(names.iter().any(|name| name == tool), "there is no {tool}");
    }
    names.retain(|name| TOOLS.iter().all(|(tool, _)| tool != name));
    names
}

fn command(name: &str) -> String {
    format!("cargo run --release --example {name}")
}

/// What is wrong with an example that has this number in the gallery.
fn faults(number: usize, name: &str, text: &str) -> Vec<String> {
    let docs: Vec<&str> = text.lines().map_while(|line| line.strip_prefix("//!")).collect();
    let code = text.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>();
    // The last statement but `Ok(())` and what is printed; one that is long has lines of its own.
    let asserted = code.iter().rev().take(8).any(|line| line.trim_start().starts_with("assert"));
    let wrong = [
        (!docs.first().is_some_and(|first| first.starts_with(&format!(" Example {number}: "))), {
            format!("its docs do not begin with `Example {number}: `")
        }),
        (
            !docs.iter().any(|line| line.contains(&format!("`{}`", command(name)))),
            "its docs do not say how to run it".into(),
        ),
        (!asserted, "it does not end in an assertion".into()),
    ];
    wrong.into_iter().filter(|(is, _)| *is).map(|(_, what)| format!("examples/{name}.rs: {what}")).collect()
}

#[test]
fn the_gallery_is_as_the_examples_are() {
    let gallery = read(GALLERY);
    let (mut shown, mut wrong) = (Vec::new(), Vec::new());
    for (i, section) in gallery.split("\n## ").skip(1).enumerate() {
        let heading = section.lines().next().unwrap();
        let (number, name) = heading.split_once(". ").unwrap_or_else(|| panic!("{heading}: no number"));
        assert_eq!(number, (i + 1).to_string(), "{heading}");
        let commands = section.lines().filter(|line| *line == command(name)).count();
        let seen = section.contains("![") || section.contains("```text");
        if commands != 1 || !seen {
            wrong.push(format!("{GALLERY}: {heading}: its command once, and a picture or what it prints"));
        }
        wrong.extend(faults(i + 1, name, &read(format!("examples/{name}.rs"))));
        shown.push(name.to_string());
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));

    // The table in README.md has the same order.
    let readme = read("README.md");
    let places: Vec<usize> = shown
        .iter()
        .map(|name| {
            readme.find(&format!("| `{name}` |")).unwrap_or_else(|| panic!("README.md has no {name}"))
        })
        .collect();
    assert!(places.is_sorted(), "README.md lists the examples in another order");
    shown.sort();
    assert_eq!(shown, examples(), "the gallery and examples/");
}

#[test]
fn a_faulty_example_is_found() {
    let good = "//! Example 3: a.\n//!\n//! `cargo run --release --example a` prints.\n\nfn main() {\n    assert!(true);\n}\n";
    assert_eq!(faults(3, "a", good), [""; 0]);
    assert_eq!(faults(2, "a", good), ["examples/a.rs: its docs do not begin with `Example 2: `"]);
    assert_eq!(faults(3, "b", good), ["examples/b.rs: its docs do not say how to run it"]);
    let early = good.replace("}\n", &"    println!();\n".repeat(9));
    assert_eq!(faults(3, "a", &early), ["examples/a.rs: it does not end in an assertion"]);
}

#[test]
fn the_checks_run_every_example() {
    let checks = read(".ci/run");
    let (_, list) = checks.split_once("case \"$name\" in").unwrap();
    let (list, _) = list.split_once("esac").unwrap();
    let listed: BTreeSet<&str> = list
        .lines()
        .filter_map(|line| line.split_once(") settings="))
        .flat_map(|(names, _)| names.split('|').map(str::trim))
        .collect();
    let missing: Vec<_> = examples().into_iter().filter(|name| !listed.contains(name.as_str())).collect();
    assert!(missing.is_empty(), "no settings in .ci/run: {missing:?}");
}
