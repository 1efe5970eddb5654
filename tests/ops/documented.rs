//! `docs/ops.md` names every operation, and nothing else; and every operation has golden values.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use crate::{cases, name};

/// Methods whose name a macro puts in: the scan of the sources does not see them. They must stand in that file as words.
const GENERATED: &[(&str, &[&str])] = &[
    ("src/ops/compare.rs", &["eq", "ne", "lt", "le", "gt", "ge"]),
    (
        "src/ops/argmax.rs",
        &["argmax", "argmax_all", "max_with_indices", "argmin", "argmin_all", "min_with_indices"],
    ),
    (
        "src/ops/count.rs",
        &[
            "any",
            "any_keepdim",
            "any_all",
            "all",
            "all_keepdim",
            "all_all",
            "count_nonzero",
            "count_nonzero_keepdim",
            "count_nonzero_all",
        ],
    ),
    ("src/ops/max.rs", &["max", "max_keepdim", "max_all", "min", "min_keepdim", "min_all"]),
];

/// Operations without golden values.
const WITHOUT_CASES: &[(&str, &str)] = &[
    ("new", "the numbers are those given"),
    ("from_vec", "the numbers are those given; every input of every case is made like this"),
    ("from_slice", "the numbers are those given"),
    ("to_device", "the same numbers: src/ops/to_device.rs tests its gradient"),
    ("rand", "random numbers are this crate's own: src/ops/random.rs"),
    ("rand_dtype", "random numbers are this crate's own: src/ops/random.rs"),
    ("randn", "random numbers are this crate's own: src/ops/random.rs"),
    ("randn_dtype", "random numbers are this crate's own: src/ops/random.rs"),
];

/// The names of the methods in `impl Tensor` blocks, and of the generated ones.
fn methods() -> BTreeSet<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut names = BTreeSet::new();
    for folder in ["src/ops", "src/activation"] {
        for entry in fs::read_dir(root.join(folder)).unwrap() {
            let path = entry.unwrap().path();
            let file = format!("{folder}/{}", path.file_name().unwrap().to_string_lossy());
            if !file.ends_with(".rs") {
                continue;
            }
            let source = fs::read_to_string(&path).unwrap().replace("\r\n", "\n");
            let mut inside = false;
            for line in source.lines() {
                inside = (inside || line.starts_with("impl Tensor {")) && line != "}";
                if let Some(rest) = line.strip_prefix("    pub fn ").filter(|_| inside) {
                    names.insert(word(rest).to_string());
                }
            }
            let generated =
                GENERATED.iter().find(|(own, _)| *own == file).map_or(&[][..], |(_, names)| names);
            let by_macro = source.lines().any(|line| line.trim_start().starts_with("pub fn $"));
            assert_eq!(by_macro, !generated.is_empty(), "GENERATED and what {file} says");
            let words: BTreeSet<_> = source.split(|c: char| !(c.is_alphanumeric() || c == '_')).collect();
            for name in generated {
                assert!(words.contains(name), "{file} has no `{name}`");
                names.insert(name.to_string());
            }
        }
    }
    names
}

/// The word that a text begins with.
fn word(text: &str) -> &str {
    text.split(|c: char| !(c.is_alphanumeric() || c == '_')).next().unwrap()
}

/// The methods that the first column of the tables names: `x.sum(axes)`, `Tensor::cat(…)`.
fn documented() -> Vec<String> {
    let text = include_str!("../../docs/ops.md");
    let cells =
        text.lines().filter_map(|line| line.strip_prefix("| `")).filter_map(|line| line.split(" |").next());
    let calls = cells.flat_map(|cell| cell.split('`').step_by(2));
    calls
        .filter_map(|call| {
            let rest = call
                .strip_prefix("Tensor::")
                .or_else(|| call.strip_prefix("x.").or(call.strip_prefix("m.")))?;
            Some(word(rest).to_string())
        })
        .collect()
}

#[test]
fn the_document_is_complete() {
    let (methods, documented) = (methods(), documented());
    let unique: BTreeSet<_> = documented.iter().cloned().collect();
    assert_eq!(unique.len(), documented.len(), "a name stands twice in docs/ops.md");
    let missing: Vec<_> = methods.difference(&unique).collect();
    let unknown: Vec<_> = unique.difference(&methods).collect();
    assert!(
        missing.is_empty() && unknown.is_empty(),
        "docs/ops.md: not there {missing:?}; unknown {unknown:?}"
    );
    assert!(methods.len() > 100, "the sources were not found");
}

#[test]
fn every_operation_has_golden_values() {
    let tried: BTreeSet<_> = cases::read().iter().map(|case| name(&case.key).to_string()).collect();
    let without: BTreeSet<_> = WITHOUT_CASES.iter().map(|(name, _)| name.to_string()).collect();
    let bare: Vec<_> =
        methods().into_iter().filter(|name| !tried.contains(name) && !without.contains(name)).collect();
    assert!(bare.is_empty(), "no case for {bare:?}");
    let both: Vec<_> = without.intersection(&tried).collect();
    assert!(both.is_empty(), "exceptions that have cases: {both:?}");
}
