//! `docs/ops.md` names every operation, and nothing else; and every operation has golden values.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::Command;

use tealight::export::Export;
use tealight::prelude::*;

use crate::cases::{self, Case, Numbers};
use crate::name;
use crate::run::Eval;

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

/// An expression with its inputs: those in f32 come from a vector, from a place on, and the others are the same each time.
struct Form<'a> {
    eval: Eval,
    case: &'a Case,
    start: usize,
}

impl Form<'_> {
    /// The elements in f32; NaN, which have no bits of their own, as 0.
    fn outputs(&self, x: &Tensor) -> Result<Tensor> {
        let mut at = self.start;
        let input = |x: &Tensor, own: &Numbers, at: &mut usize| -> Result<Tensor> {
            if !own.is_float() {
                return Ok(own.array(DType::F32).into());
            }
            *at += own.data.len();
            x.narrow(0, *at - own.data.len(), own.data.len())?.reshape(&own.dims[..])
        };
        let inputs = self.case.inputs.iter().map(|own| input(x, own, &mut at)).collect::<Result<Vec<_>>>()?;
        let y = (self.eval)(&inputs)?.to_dtype(DType::F32)?.flatten(0, -1)?;
        y.ne(&y)?.where_cond(&Tensor::zeros((), DType::F32, &Device::Cpu)?, &y)
    }
}

/// All operations in one function of one vector: what its C gives has the bits that the crate computes, but for those whose sums may run in
/// another order. docs/export.md names the operations without a form, and why.
#[test]
fn operations_in_c() -> Result<()> {
    let (cases, mut numbers) = (cases::read(), Vec::new());
    let (mut forms, mut refusals) = (Vec::new(), BTreeMap::<String, Option<String>>::new());
    for (key, (eval, case)) in crate::samples(&cases) {
        let refusal = refusals.entry(name(&key).to_string()).or_default();
        let form = Form { eval, case, start: 0 };
        let own: Vec<f32> = case
            .inputs
            .iter()
            .filter(|x| x.is_float())
            .flat_map(|x| x.data.iter().map(|&x| x as f32))
            .collect();
        if own.is_empty() {
            *refusal = Some(String::new());
            continue;
        }
        let x = Tensor::from_slice(&own, own.len(), &Device::Cpu)?;
        match Export::function(|[x]| form.outputs(x), [&x]) {
            // One form is enough.
            Ok(export) => {
                *refusal = Some(String::new());
                forms.push((
                    Form { start: numbers.len(), eval, case },
                    format!("{export:?}").contains("Not the same bits"),
                ));
                numbers.extend(own);
            }
            Err(error) if refusal.is_none() => *refusal = Some(error.to_string()),
            Err(_) => {}
        }
    }
    let mut table = String::new();
    for (name, refusal) in &refusals {
        let refusal = refusal.as_deref().unwrap_or_default();
        if !refusal.is_empty() {
            // Without the place in the sources.
            let got = refusal.split_once("got ").map_or(refusal, |(_, got)| got);
            table += &format!("| `{name}` | {} |\n", got.split(" (src").next().unwrap());
        }
    }
    let (_, documented) = include_str!("../../docs/export.md").split_once("as the error names it |").unwrap();
    let absent = |line: &str| {
        cfg!(not(feature = "linalg")) && crate::LINALG.iter().any(|name| line.contains(&format!("`{name}`")))
    };
    let rows =
        documented.lines().skip(2).take_while(|line| line.starts_with('|')).filter(|line| !absent(line));
    assert_eq!(rows.map(|row| format!("{row}\n")).collect::<String>(), table);

    // What the compiler makes does not depend on the instruction set that the kernels are told.
    if std::env::var_os("TEALIGHT_SIMD").is_some() {
        return Ok(());
    }
    let x = Tensor::from_slice(&numbers, numbers.len(), &Device::Cpu)?;
    let each = |x: &Tensor| forms.iter().map(|(form, _)| form.outputs(x)).collect::<Result<Vec<_>>>();
    let source = Export::function(|[x]| Tensor::cat(&each(x)?, 0), [&x])?.to_c();
    let expected = each(&x)?;
    let total: usize = expected.iter().map(Tensor::elem_count).sum();
    let here = tempfile::tempdir().unwrap();
    let (file, program) = (here.path().join("all.c"), here.path().join("all"));
    let bits: String = numbers.iter().map(|x| format!("{}u,", x.to_bits())).collect();
    let main = format!(
        "#include <stdio.h>\nint main(void) {{ static const uint32_t bits[] = {{ {bits} }}; static float x[{n}], y[{total}];\n\
         for (int i = 0; i < {n}; i += 1) x[i] = from_bits32(bits[i]);\nmodel_run(x, y);\n\
         for (int i = 0; i < {total}; i += 1) printf(\"%u\\n\", (unsigned)to_bits32(y[i]));\nreturn 0; }}\n",
        n = numbers.len()
    );
    fs::write(&file, source + &main).unwrap();
    let strict = ["-std=c11", "-Wall", "-Wextra", "-Werror", "-O1", "-o"];
    let Ok(done) = Command::new("cc").args(strict).arg(&program).arg(&file).output() else {
        eprintln!("skipped: there is no C compiler here");
        return Ok(());
    };
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let done = Command::new(&program).output().unwrap();
    let text = String::from_utf8(done.stdout).unwrap();
    let mut got = text.lines().map(|line| f32::from_bits(line.parse().unwrap()));
    let mut wrong = Vec::new();
    for ((form, inexact), expected) in forms.iter().zip(&expected) {
        let inexact = *inexact || tealight::simd_level() == "scalar";
        for (i, expected) in expected.to_vec1::<f32>()?.into_iter().enumerate() {
            let got = got.next().unwrap();
            let near = inexact && (got - expected).abs() <= 1e-5 * expected.abs().max(1.0);
            if got.to_bits() != expected.to_bits() && !near {
                wrong.push(format!(
                    "{} | {}: element {i}: expected {expected:?}, got {got:?}",
                    form.case.key, form.case.label
                ));
            }
        }
    }
    assert!(
        wrong.is_empty() && forms.len() > 200,
        "{} of {}:\n{}",
        wrong.len(),
        forms.len(),
        wrong.join("\n")
    );
    Ok(())
}
