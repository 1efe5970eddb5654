//! Exported programs against the crate, bit for bit: by the system's C compiler, if there is one, and by rustc.

use std::path::Path;
use std::process::Command;

use super::{CalibrationMethod, Export, Quantize};
use crate::layer::StateEntry;
use crate::prelude::*;
use crate::program::TrainStep;

/// The kernels that programs are exported with, as Rust.
#[allow(clippy::all, clippy::pedantic, dead_code)]
mod kernels {
    use super::super::integers::round_f32;
    use tealight_kernels::formula::math::{exp_f32, exp_negative_f32, ln_f32};
    include!("kernels.rs");

    pub(super) fn places(row: &[f32], vector: &[f32]) -> f32 {
        places_dot(row, 0, vector, 0, row.len())
    }

    pub(super) fn fused(a: f32, b: f32, c: f32) -> f32 {
        fused_f32(a, b, c)
    }

    pub(super) fn roots(x: f32) -> (f32, f64) {
        (root_f32(x), root_f64(f64::from(x)))
    }

    pub(super) fn wide_fused(a: f64, b: f64, c: f64) -> f64 {
        fused_f64(a, b, c)
    }
}

fn compiler() -> Option<&'static str> {
    let found =
        ["cc", "gcc", "clang"].into_iter().find(|name| Command::new(name).arg("--version").output().is_ok());
    if found.is_none() {
        eprintln!("skipped: there is no C compiler here");
    }
    found
}

fn run(command: &mut Command) -> Vec<u8> {
    let done = command.output().unwrap();
    assert!(done.status.success(), "{command:?}: {}", String::from_utf8_lossy(&done.stderr));
    done.stdout
}

const STRICT: [&str; 5] = ["-std=c11", "-Wall", "-Wextra", "-Werror", "-Wpedantic"];

/// What a C program prints, compiled in several ways.
fn outputs(here: &Path, source: &str, main: &str) -> Option<Vec<String>> {
    let compiler = compiler()?;
    let (file, program) = (here.join("model.c"), here.join("program"));
    std::fs::write(&file, format!("{source}\n#include <stdio.h>\n{main}")).unwrap();
    let ways: [&[&str]; 3] = [
        &["-O0", "-fsanitize=undefined,address", "-fno-sanitize-recover=all"],
        &["-O2", "-ffreestanding"],
        &["-std=gnu11", "-O3", "-march=native"],
    ];
    // What the compilers make does not depend on the instruction set that the kernels are told.
    let told = std::env::var_os("TEALIGHT_SIMD").is_some();
    let outputs = ways.iter().skip(usize::from(told)).take(if told { 1 } else { 3 }).map(|way| {
        run(Command::new(compiler).args(STRICT).args(*way).arg(&file).arg("-o").arg(&program));
        String::from_utf8(run(&mut Command::new(&program))).unwrap()
    });
    Some(outputs.collect())
}

/// What a program in Rust prints that has the source as a `no_std` module.
fn rust_output(here: &Path, source: &str, main: &str) -> String {
    let (file, program) = (here.join("model.rs"), here.join("rust"));
    std::fs::write(&file, format!("{source}\n")).unwrap();
    let library = here.join("library.rs");
    std::fs::write(&library, "#![no_std]\npub mod model;\n").unwrap();
    run(Command::new("rustc")
        .args(["--edition", "2024", "--crate-type", "rlib", "--crate-name", "library", "-O"])
        .arg("--out-dir")
        .arg(here)
        .arg(&library));
    let start = here.join("main.rs");
    std::fs::write(&start, main).unwrap();
    run(Command::new("rustc")
        .args(["--edition", "2024", "--extern"])
        .arg(format!("library={}", here.join("liblibrary.rlib").display()))
        .arg("-o")
        .arg(&program)
        .arg(&start));
    String::from_utf8(run(&mut Command::new(&program))).unwrap()
}

fn hex(x: &Tensor) -> String {
    x.flatten(0, -1)
        .unwrap()
        .to_vec1::<f32>()
        .unwrap()
        .iter()
        .map(|x| format!("{:08x} ", x.to_bits()))
        .collect()
}

fn c_array(x: &Tensor) -> String {
    x.flatten(0, -1).unwrap().to_vec1::<f32>().unwrap().iter().map(|x| format!("{x:?}f, ")).collect()
}

/// Without instructions for it, the products of this crate do not fuse, and exported ones do.
fn fuses() -> bool {
    crate::simd_level() != "scalar"
}

/// A program that prints the bits of the m outputs for x.
fn c_main(x: &Tensor, m: usize) -> String {
    format!(
        "int main(void) {{ static const float x[{}] = {{ {} }}; static float y[{m}]; model_run(x, y);\n\
         for (int i = 0; i < {m}; i += 1) printf(\"%08x \", (unsigned)to_bits32(y[i]));\nreturn 0; }}\n",
        x.elem_count(),
        c_array(x)
    )
}

/// [`c_main`] in Rust.
fn rust_main(x: &Tensor, m: usize) -> String {
    format!(
        "fn main() {{ let mut y = [0.0; {m}]; library::model::Model::new().run(&[{}], &mut y); for y in y {{ print!(\"{{:08x}} \", y.to_bits()) }} }}",
        c_array(x).replace("f,", ",")
    )
}

/// Whether the source of a model gives its bits.
fn same(model: &dyn Layer, dims: &[usize], with_rust: bool) -> Result<()> {
    let export = Export::model(model, dims)?;
    let here = tempfile::tempdir().unwrap();
    let x = Tensor::randn(0.0, 1.5, dims, &mut Rng::seed(9))?;
    let expected = hex(&model.predict(&x)?);
    let m = model.predict(&x)?.elem_count();
    for got in outputs(here.path(), &export.to_c(), &c_main(&x, m)).unwrap_or_default() {
        assert_eq!(got, expected);
    }
    if with_rust {
        assert_eq!(rust_output(here.path(), &export.to_rust(), &rust_main(&x, m)), expected);
    }
    Ok(())
}

/// [`same`], where sums have another order, which the header says.
fn within_rounding(model: &dyn Layer, dims: &[usize], what: &str) -> Result<()> {
    let source = Export::model(model, dims)?.to_c();
    let note = format!("Not the same bits, but within rounding: {what}.");
    assert!(source.contains(&note), "{}", &source[..600]);
    let x = Tensor::randn(0.0, 1.5, dims, &mut Rng::seed(9))?;
    let expected = model.predict(&x)?.flatten(0, -1)?.to_vec1::<f32>()?;
    let here = tempfile::tempdir().expect("a directory");
    let all = outputs(here.path(), &source, &c_main(&x, expected.len())).unwrap_or_default();
    for got in &all {
        assert_eq!(got, &all[0]);
        let got =
            got.split_whitespace().map(|bits| f32::from_bits(u32::from_str_radix(bits, 16).expect("hex")));
        for (got, expected) in got.zip(&expected) {
            assert!((got - expected).abs() <= 1e-6, "{got} {expected}");
        }
    }
    Ok(())
}

#[test]
fn dense_models() -> Result<()> {
    if !fuses() {
        return Ok(());
    }
    let rng = &mut Rng::seed(1);
    let model = Sequential::new()
        .push(Linear::new(64, 128, rng)?)
        .push(Tanh)
        .push(Linear::new(128, 40, rng)?)
        .push(Sigmoid)
        .push(Linear::new(40, 10, rng)?)
        .push(crate::layer::Lambda::new(|x| x.softmax(-1)));
    same(&model, &[1, 64], true)?;
    let model = Sequential::new()
        .push(Linear::new(30, 17, rng)?)
        .push(Silu)
        .push(Linear::new(17, 1, rng)?)
        .push(crate::activation::LogSigmoid);
    same(&model, &[5, 30], false)
}

/// Products are summed in blocks, of a fixed size.
#[test]
fn long_sums() -> Result<()> {
    if !fuses() {
        return Ok(());
    }
    let rng = &mut Rng::seed(5);
    let model = Sequential::new()
        .push(Linear::new(1100, 20, rng)?)
        .push(crate::layer::Lambda::new(|x| x.matmul(&x.t()?)?.matmul(x)));
    same(&model, &[3, 1100], true)?;
    same(&crate::layer::Lambda::new(|x| x.t()?.matmul(x)), &[513, 9], false)?;
    let model = Sequential::new()
        .push(Conv2d::new(64, 40, 3, ConvOptions::new().padding(1).stride(2), rng)?)
        .push(Conv2d::new(40, 9, 4, ConvOptions::new(), rng)?);
    same(&model, &[1, 64, 9, 9], false)
}

#[test]
fn training_steps() -> Result<()> {
    if !fuses() {
        return Ok(());
    }
    let digits = crate::data::digits()?;
    let rng = &mut Rng::seed(3);
    let (batch, steps) = (32, 10);
    let x =
        (digits.inputs.narrow(0, 0, batch * steps)?.reshape((batch * steps, 64))?).to_dtype(DType::F32)?;
    let targets = digits.targets.narrow(0, 0, batch * steps)?.to_dtype(DType::U32)?;
    let models = [
        Sequential::new().push(Linear::new(64, 10, rng)?),
        Sequential::new().push(Linear::new(64, 24, rng)?).push(Relu).push(Linear::new(24, 10, rng)?),
    ];
    for (number, model) in models.iter().enumerate() {
        let start_step = || -> Result<TrainStep<'_>> {
            Ok(match number {
                0 => {
                    let sgd = Sgd::new(model.parameters(), 0.1)?.momentum(0.9)?.weight_decay(1e-4)?;
                    TrainStep::new(model, CrossEntropy::new(), sgd)
                }
                _ => {
                    let adam = AdamW::new(model.parameters(), 0.01)?;
                    TrainStep::new(model, CrossEntropy::new(), adam).clip_grad_norm(0.5)
                }
            })
        };
        let rate = [0.1, 0.01][number];
        let mut step = start_step()?;
        let part = |i: usize| -> Result<(Tensor, Tensor)> {
            Ok((x.narrow(0, i * batch, batch)?, targets.narrow(0, i * batch, batch)?))
        };
        let start: Vec<Tensor> = model.parameters().iter().map(|(_, p)| p.get()).collect();
        let (a, b) = part(0)?;
        step.run(&a, &b)?;
        for ((_, p), start) in model.parameters().iter().zip(&start) {
            p.set(start)?;
        }
        let export = Export::step(&step)?;
        let mut step = start_step()?;
        let mut loss = 0.0;
        for i in 0..1000 {
            let (a, b) = part(i % steps)?;
            loss = step.run(&a, &b)?;
        }
        let mut expected = format!("{:08x} ", (loss as f32).to_bits());
        for (_, p) in model.parameters() {
            expected += &hex(&p.get());
        }
        let classes: String = targets.to_vec1::<u32>()?.iter().map(|class| format!("{class}, ")).collect();
        let mut main = format!(
            "static const float x[{}] = {{ {} }};\nstatic const uint32_t targets[] = {{ {classes} }};\n",
            x.elem_count(),
            c_array(&x)
        );
        main += "int main(void) { float loss[1]; for (int i = 0; i < 1000; i += 1)\n";
        main += &format!(
            "if (!model_step(x + i % {steps} * {batch} * 64, targets + i % {steps} * {batch}, {rate}, loss)) return 1;\n"
        );
        main += "printf(\"%08x \", (unsigned)to_bits32(loss[0]));\n";
        for (i, (_, p)) in model.parameters().iter().enumerate() {
            let n = p.get().elem_count();
            main += &format!(
                "for (int i = 0; i < {n}; i += 1) printf(\"%08x \", (unsigned)to_bits32(model_p{i}()[i]));\n"
            );
        }
        main += "return 0; }\n";
        let here = tempfile::tempdir().unwrap();
        for got in outputs(here.path(), &export.to_c(), &main).unwrap_or_default() {
            assert!(got == expected, "{} {}", &got[..40], &expected[..40]);
        }
        let classes = classes.replace(", ", "u32, ");
        let mut main =
            format!("static X: [f32; {}] = [{}];\n", x.elem_count(), c_array(&x).replace("f,", ","));
        main += &format!("static TARGETS: [u32; {}] = [{classes}];\n", batch * steps);
        main += "fn main() { let (mut model, mut loss) = (library::model::Model::new(), [0.0]); for i in 0..1000 {\n";
        main += &format!(
            "let i = i % {steps} * {batch}; let x = X[i * 64..][..{}].try_into().unwrap();\n",
            batch * 64
        );
        main += &format!(
            "assert!(model.step(x, TARGETS[i..][..{batch}].try_into().unwrap(), {rate:?}, &mut loss)); }}\n"
        );
        main += "let all = loss.iter()";
        for i in 0..model.parameters().len() {
            main += &format!(".chain(&model.p{i})");
        }
        main += ";\nfor x in all { print!(\"{:08x} \", x.to_bits()) } }\n";
        let got = rust_output(here.path(), &export.to_rust(), &main);
        assert!(got == expected, "{} {}", &got[..40], &expected[..40]);
    }
    Ok(())
}

#[test]
fn convolutional_models() -> Result<()> {
    if !fuses() {
        return Ok(());
    }
    let rng = &mut Rng::seed(2);
    let model = Sequential::new()
        .push(Conv2d::new(1, 8, 3, ConvOptions::new().padding(1), rng)?)
        .push(BatchNorm2d::new(8)?)
        .push(Relu)
        .push(MaxPool2d::new(PoolOptions::new(2)))
        .push(Conv2d::new(8, 16, 3, ConvOptions::new().padding(1).stride(2), rng)?)
        .push(Relu)
        .push(Flatten)
        .push(Linear::new(64, 10, rng)?);
    same(&model, &[1, 1, 8, 8], true)?;
    let model = Sequential::new()
        .push(Conv2d::new(2, 16, 3, ConvOptions::new().padding(1), rng)?)
        .push(Relu)
        .push(Conv2d::new(16, 16, 3, ConvOptions::new().padding(1), rng)?);
    within_rounding(&model, &[1, 2, 6, 6], "conv2d in 2")
}

#[test]
fn recurrent_and_pooled_models() -> Result<()> {
    if !fuses() {
        return Ok(());
    }
    let rng = &mut Rng::seed(4);
    let lstm = Lstm::new(3, 6, RnnOptions::new(), rng)?;
    let last = crate::layer::Lambda::new(|x| x.narrow(1, 6, 1)?.squeeze(1));
    let model = Sequential::new().push(lstm).push(last).push(Linear::new(6, 4, rng)?);
    same(&model, &[1, 7, 3], false)?;
    within_rounding(&model, &[2, 7, 3], "lstm in 0")?;
    let model = Sequential::new()
        .push(Conv2d::new(2, 4, 3, ConvOptions::new(), rng)?)
        .push(Silu)
        .push(crate::layer::Lambda::new(|x| x.avg_pool2d(PoolOptions::new(2))?.adaptive_avg_pool2d([1, 2])))
        .push(Flatten)
        .push(Linear::new(8, 3, rng)?);
    same(&model, &[1, 2, 9, 10], false)
}

#[test]
fn standardized_rows_of_a_table() -> Result<()> {
    if !fuses() {
        return Ok(());
    }
    let rng = &mut Rng::seed(6);
    let (mean, std) = (
        Tensor::rand_dtype(-1.0, 1.0, 9, DType::F64, rng)?,
        Tensor::rand_dtype(0.5, 2.0, 9, DType::F64, rng)?,
    );
    let scaled =
        crate::layer::Lambda::new(move |x| ((x.to_dtype(DType::F64)? - &mean)? / &std)?.to_dtype(DType::F32));
    let model = Sequential::new()
        .push(scaled)
        .push(Linear::new(9, 3, rng)?)
        .push(crate::layer::Lambda::new(|x| x.log_softmax(1)));
    same(&model, &[1, 9], true)
}

#[test]
fn what_has_no_form_is_named() -> Result<()> {
    let model = Sequential::new()
        .push(Linear::new(2, 2, &mut Rng::seed(1))?)
        .push(crate::layer::Lambda::new(|x| x.argsort(1, false)));
    let error = Export::model(&model, &[1, 2]).unwrap_err().to_string();
    assert!(
        error.contains("argsort") && error.starts_with("export: expected operations that have a form in C"),
        "{error}"
    );
    Ok(())
}

#[test]
fn numbers_without_an_instruction() {
    let mut rng = Rng::seed(5);
    for _ in 0..200_000 {
        let mut number = || f32::from_bits((rng.uniform() * f64::from(u32::MAX)) as u32);
        let (a, b) = (number(), number());
        for c in [number(), -(a * b)] {
            let (own, exact) = (kernels::fused(a, b, c), a.mul_add(b, c));
            assert!(
                own.to_bits() == exact.to_bits() || own.is_nan() && exact.is_nan(),
                "{a} {b} {c}: {own} {exact}"
            );
        }
        if a >= 0.0 {
            assert_eq!(kernels::roots(a).0.to_bits(), a.sqrt().to_bits(), "{a}");
            assert_eq!(kernels::roots(a).1.to_bits(), f64::from(a).sqrt().to_bits(), "{a}");
        }
        let [a, b] = [rng.uniform() - 0.5, rng.uniform() * 1e3];
        for c in [rng.uniform(), -(a * b)] {
            assert_eq!(kernels::wide_fused(a, b, c).to_bits(), a.mul_add(b, c).to_bits(), "{a} {b} {c}");
        }
    }
    for x in [0.0, -0.0, f32::INFINITY, f32::MIN_POSITIVE / 8.0] {
        assert_eq!(kernels::roots(x).0.to_bits(), x.sqrt().to_bits(), "{x}");
    }
    assert!(kernels::roots(-1.0).0.is_nan() && kernels::roots(f32::NAN).0.is_nan());
}

#[test]
fn rows_of_every_length() -> Result<()> {
    if !fuses() {
        return Ok(());
    }
    for n in [1, 15, 16, 17, 100, 1024, 1030, 3000] {
        let [row, vector] = [1, 2].map(|seed| Tensor::randn(0.0, 1.0, (1, n), &mut Rng::seed(seed)).unwrap());
        let [a, b] = [&row, &vector].map(|x| x.flatten(0, -1).unwrap().to_vec1::<f32>().unwrap());
        let product = row.matmul(&vector.t()?)?.flatten(0, -1)?.to_vec1::<f32>()?;
        assert_eq!(product[0].to_bits(), kernels::places(&a, &b).to_bits(), "{n}");
    }
    Ok(())
}

#[test]
fn normalised_models_and_rarer_functions() -> Result<()> {
    use crate::layer::{GroupNorm, InstanceNorm, Lambda, LayerNorm, RmsNorm, TransformerEncoderLayer};
    if !fuses() {
        return Ok(());
    }
    let rng = &mut Rng::seed(8);
    let model = Sequential::new()
        .push(LayerNorm::new(40)?)
        .push(Gelu)
        .push(GroupNorm::new(2, 4)?)
        .push(Lambda::new(|x| (x * 9.0)?.sin()? + (x * 1e5)?.cos()?))
        .push(InstanceNorm::new(4))
        .push(Lambda::new(|x| x.floor()? - (x * 2.5)?.round()?))
        .push(RmsNorm::new(40)?)
        .push(crate::normalize::NormalizeRows::default())
        .push(Lambda::new(|x| (x * 3e30)?.sin()? + x.erfc()?));
    same(&model, &[2, 4, 40], true)?;
    let encoder = TransformerEncoderLayer::new(8, 2, 12, rng)?.dropout(0.0)?;
    same(&encoder, &[1, 5, 8], false)
}

#[test]
fn scans_and_extrema() -> Result<()> {
    if !fuses() {
        return Ok(());
    }
    let model = crate::layer::Lambda::new(|x| {
        // Zeros of both signs among numbers.
        let zeros = (x.floor()? * 0.0)?;
        let long = zeros.reshape((2, 105))?;
        let mixed = x.gt(0.5)?.where_cond(x, &zeros)?;
        let places = [x.argmax(1)?, zeros.argmin(2)?, mixed.argmax_all()?];
        let mut all = vec![
            x.cumsum(1)?,
            x.t()?.cumprod(-1)?,
            mixed.prod(1)?,
            x.prod_all()?,
            mixed.max(1)?,
            zeros.min([1, 2])?,
            zeros.max([0, 2])?,
            long.max(1)?,
            long.min(1)?,
            mixed.min_all()?,
        ];
        for place in places {
            all.push(place.to_dtype(DType::F32)?);
        }
        Tensor::cat(&all.iter().map(|x| x.flatten(0, -1)).collect::<Result<Vec<_>>>()?, 0)
    });
    same(&Sequential::new().push(model), &[2, 35, 3], true)
}

#[test]
fn powers_arcs_and_choices() -> Result<()> {
    use crate::layer::Lambda;
    if !fuses() {
        return Ok(());
    }
    let special = [
        0.0,
        -0.0,
        1.0,
        -1.0,
        0.5,
        -2.0,
        3.0,
        -3.0,
        2.5,
        1e-40,
        -1e-40,
        3e38,
        1e-30,
        7.25,
        f32::INFINITY,
        f32::NEG_INFINITY,
    ];
    let numbers = Tensor::new(&special[..], &Device::Cpu)?;
    let (a, b) = (numbers.reshape((16, 1))?, numbers.reshape((1, 16))?);
    let pairs = (a.clone(), b.clone());
    // NaN have no bits of their own.
    let zero = Tensor::zeros((), DType::F32, &Device::Cpu)?;
    let finite = move |x: Tensor| x.ne(&x)?.where_cond(&zero, &x);
    let model = Sequential::new().push(Lambda::new(move |x| {
        let (a, b) = (&pairs.0, &pairs.1);
        let all = [
            (x + a)?.pow(b)?,
            (x + b)?.atan()?.broadcast_to((16, 16))?,
            (x + b)?.powf(5.0)?.broadcast_to((16, 16))?,
            (x + b)?.atan2(a)?,
            (x + a)?.remainder(b)?,
            (x + a)?.fmod(b)?,
            (x + a)?
                .lt(b)?
                .where_cond(&(x * 3.0)?.broadcast_to((16, 16))?, &(x + b)?.broadcast_to((16, 16))?)?,
        ];
        Tensor::cat(&all.into_iter().map(&finite).collect::<Result<Vec<_>>>()?, 0)
    }));
    let x = Tensor::new(&[[0f32]], &Device::Cpu)?;
    let export = Export::function(|[x]| model.predict(x), [&x])?;
    let (expected, here) = (hex(&model.predict(&x)?), tempfile::tempdir().expect("a directory"));
    for got in outputs(here.path(), &export.to_c(), &c_main(&x, 7 * 256)).unwrap_or_default() {
        assert_eq!(got, expected);
    }
    assert_eq!(rust_output(here.path(), &export.to_rust(), &rust_main(&x, 7 * 256)), expected);
    Ok(())
}

#[test]
fn steps_with_random_numbers() -> Result<()> {
    use crate::layer::{Dropout, Lambda};
    if !fuses() {
        return Ok(());
    }
    let rng = &mut Rng::seed(5);
    let model = Sequential::new()
        .push(Dropout::new(0.2)?)
        .push(Linear::new(6, 9, rng)?)
        .push(Lambda::new(|x| x.atan()?.powf(3.0)? + (x.tanh()?.cumprod(1)?.cumsum(1)? * 0.1)?))
        .push(Dropout::new(0.5)?)
        .push(Linear::new(9, 2, rng)?);
    let (x, y) = (Tensor::randn(0.0, 1.0, (5, 6), rng)?, Tensor::randn(0.0, 1.0, (5, 2), rng)?);
    let new = || Ok::<_, Error>(TrainStep::new(&model, Mse, Sgd::new(model.parameters(), 0.1)?).seed(12));
    let start: Vec<Tensor> = model.parameters().iter().map(|(_, p)| p.get()).collect();
    let mut step = new()?;
    step.run(&x, &y)?;
    for ((_, p), start) in model.parameters().iter().zip(&start) {
        p.set(start)?;
    }
    let export = Export::step(&step)?;
    let (mut step, mut expected) = (new()?, String::new());
    for _ in 0..20 {
        expected += &format!("{:08x} ", (step.run(&x, &y)? as f32).to_bits());
    }
    let main = format!(
        "static const float x[30] = {{ {} }};\nstatic const float t[10] = {{ {} }};\nint main(void) {{ float loss[1];\n\
         for (int i = 0; i < 20; i += 1) {{ if (!model_step(x, t, 0.1, loss)) return 1; \
         printf(\"%08x \", (unsigned)to_bits32(loss[0])); }}\nreturn 0; }}\n",
        c_array(&x),
        c_array(&y)
    );
    let here = tempfile::tempdir().expect("a directory");
    for got in outputs(here.path(), &export.to_c(), &main).unwrap_or_default() {
        assert_eq!(got, expected);
    }
    let main = format!(
        "fn main() {{ let (mut model, mut loss) = (library::model::Model::new(), [0.0]);\n\
         for _ in 0..20 {{ assert!(model.step(&[{}], &[{}], 0.1, &mut loss)); print!(\"{{:08x}} \", loss[0].to_bits()) }} }}",
        c_array(&x).replace("f,", ","),
        c_array(&y).replace("f,", ",")
    );
    assert_eq!(rust_output(here.path(), &export.to_rust(), &main), expected);
    Ok(())
}

#[test]
fn steps_of_a_convolutional_model() -> Result<()> {
    let (digits, rng) = (crate::data::digits()?, &mut Rng::seed(5));
    let model = Sequential::new()
        .push(crate::layer::Reshape::new([1, 8, 8]))
        .push(Conv2d::new(1, 4, 3, ConvOptions::new().padding(1), rng)?)
        .push(BatchNorm2d::new(4)?)
        .push(Relu)
        .push(MaxPool2d::new(PoolOptions::new(2)))
        .push(Conv2d::new(4, 8, 3, ConvOptions::new().padding(1).stride(2), rng)?)
        .push(crate::layer::GroupNorm::new(2, 8)?)
        .push(Gelu)
        .push(crate::layer::AvgPool2d::new(PoolOptions::new(2)))
        .push(Flatten)
        .push(Linear::new(8, 10, rng)?);
    let (x, target) = (digits.inputs.narrow(0, 0, 16)?, digits.targets.narrow(0, 0, 16)?);
    let state = |model: &Sequential| -> Vec<Tensor> {
        let float = |(_, held): (String, StateEntry)| Some(held.get()).filter(|x| x.dtype() == DType::F32);
        model.state_dict().into_iter().filter_map(float).collect()
    };
    let start: Vec<(StateEntry, Tensor)> =
        model.state_dict().into_iter().map(|(_, held)| (held.clone(), held.get())).collect();
    let mut step = TrainStep::new(&model, CrossEntropy::new(), Sgd::new(model.parameters(), 0.1)?);
    step.run(&x, &target)?;
    for (held, value) in &start {
        match held {
            StateEntry::Parameter(parameter) => parameter.set(value)?,
            StateEntry::Buffer(buffer) => buffer.set(value)?,
        }
    }
    let export = Export::step(&step)?;
    let header =
        "Not the same bits, but within rounding: conv_transpose2d in the model, conv_kernel in the model.";
    assert!(export.to_c().contains(header), "{}", &export.to_c()[..700]);
    for _ in 0..30 {
        step.run(&x, &target)?;
    }
    let expected: Vec<f32> =
        state(&model).iter().flat_map(|x| x.flatten(0, -1).unwrap().to_vec1::<f32>().unwrap()).collect();
    let classes: Vec<String> = target.to_vec1::<u32>()?.iter().map(u32::to_string).collect();
    let mut main = format!(
        "static const float x[1024] = {{ {} }};\nstatic const uint32_t t[16] = {{ {} }};\nint main(void) {{ float loss[1];\n\
         for (int i = 0; i < 30; i += 1) if (!model_step(x, t, 0.1, loss)) return 1;\n",
        c_array(&x),
        classes.join(", ")
    );
    let mut fields = String::new();
    for (i, (_, held)) in
        model.state_dict().iter().enumerate().filter(|(_, (_, held))| held.get().dtype() == DType::F32)
    {
        let n = held.get().elem_count();
        main += &format!(
            "for (int i = 0; i < {n}; i += 1) printf(\"%08x \", (unsigned)to_bits32(model_p{i}()[i]));\n"
        );
        fields += &format!(".chain(&model.p{i})");
    }
    main += "return 0; }\n";
    let here = tempfile::tempdir().expect("a directory");
    let mut got = outputs(here.path(), &export.to_c(), &main).unwrap_or_default();
    let main = format!(
        "fn main() {{ let (mut model, mut loss) = (library::model::Model::new(), [0.0]);\n\
         for _ in 0..30 {{ assert!(model.step(&[{}], &[{}], 0.1, &mut loss)); }}\n\
         for x in [0f32; 0].iter(){fields} {{ print!(\"{{:08x}} \", x.to_bits()) }} }}",
        c_array(&x).replace("f,", ","),
        classes.join(", ")
    );
    got.push(rust_output(here.path(), &export.to_rust(), &main));
    for text in &got {
        assert!(text == &got[0]);
        let numbers =
            text.split_whitespace().map(|bits| f32::from_bits(u32::from_str_radix(bits, 16).expect("hex")));
        let worst =
            numbers.zip(&expected).fold(0f32, |worst, (got, x)| worst.max((got - x).abs() / (1.0 + x.abs())));
        assert!(worst < 2e-4 && text.split_whitespace().count() == expected.len(), "{worst}");
    }
    Ok(())
}

#[test]
fn digits_in_integers() -> Result<()> {
    let digits = crate::data::digits()?;
    let rng = &mut Rng::seed(7);
    let mlp = Sequential::new()
        .push(crate::layer::Lambda::new(|x| (x - 0.3)? / 0.4))
        .push(Flatten)
        .push(Linear::new(64, 32, rng)?)
        .push(Relu)
        .push(Linear::new(32, 10, rng)?)
        .push(crate::layer::Lambda::new(|x| x / 2.0));
    let image = crate::layer::Reshape::new([1, 8, 8]);
    let cnn = Sequential::new()
        .push(image)
        .push(Conv2d::new(1, 8, 3, ConvOptions::new().padding(1), rng)?)
        .push(BatchNorm2d::new(8)?)
        .push(Relu)
        .push(MaxPool2d::new(PoolOptions::new(2)))
        .push(Conv2d::new(8, 16, 3, ConvOptions::new().padding(1), rng)?)
        .push(Relu)
        .push(crate::layer::AvgPool2d::new(PoolOptions::new(2)))
        .push(Flatten)
        .push(Linear::new(64, 10, rng)?);
    let percentile = Quantize::new().any_scale().calibration_method(CalibrationMethod::Percentile(99.9))?;
    let (batch, tested) = (50, 497);
    let part = |start, count| -> Result<(Tensor, Tensor)> {
        Ok((digits.inputs.narrow(0, start, count)?, digits.targets.narrow(0, start, count)?))
    };
    let targets = digits.targets.to_vec1::<u32>()?;
    // Of those that the model was not trained on, and of all: half a point of the former would be two images.
    let wrong = |model: &dyn Layer| -> Result<[usize; 2]> {
        let best = model.predict(&digits.inputs)?.argmax(1)?.to_vec1::<u32>()?;
        let count = |n| best.iter().zip(&targets).take(n).filter(|(a, b)| a != b).count();
        Ok([count(tested), count(digits.len())])
    };
    for model in [&mlp, &cnn] {
        let mut step = TrainStep::new(model, CrossEntropy::new(), AdamW::new(model.parameters(), 0.01)?);
        for i in 0..8 * (digits.len() - tested) / batch {
            let (x, t) = part(tested + i * batch % (digits.len() - tested), batch)?;
            step.run(&x, &t)?;
        }
        let ([fresh, before], whole) = (wrong(model)?, Export::model(model, (1, 8, 8))?);
        for (options, in_rust) in [(Quantize::new(), true), (percentile, false)] {
            let small = options.model(model, &part(tested, 300)?.0)?;
            let [_, after] = wrong(&small)?;
            // Half a point.
            assert!(fresh <= 60 && after * 200 <= before * 200 + digits.len(), "{fresh} {before} {after}");
            let (x, export) = (part(5, 1)?.0, Export::model(&small, (1, 8, 8))?);
            assert!(export.flash() * 3 < whole.flash() && export.ram() < whole.ram() + 100);
            let (expected, here) = (hex(&small.predict(&x)?), tempfile::tempdir().expect("a directory"));
            for got in outputs(here.path(), &export.to_c(), &c_main(&x, 10)).unwrap_or_default() {
                assert_eq!(got, expected);
            }
            if in_rust {
                assert_eq!(rust_output(here.path(), &export.to_rust(), &rust_main(&x, 10)), expected);
            }
        }
    }
    Ok(())
}

#[test]
fn what_has_no_integers_is_named() -> Result<()> {
    let rng = &mut Rng::seed(1);
    let x = Tensor::randn(0.0, 1.0, (6, 4), rng)?;
    let error = |model: &dyn Layer, x: &Tensor| super::quantize(model, x).unwrap_err().to_string();
    let tanh = Sequential::new().push(Linear::new(4, 3, rng)?).push(Tanh).push(Linear::new(3, 2, rng)?);
    let expected = "quantize: expected relu and pools between linear layers and convolutions, and formulas around them, \
                    got tanh in layer 1";
    assert_eq!(error(&tanh, &x), expected);
    let residual = crate::layer::Residual::new(Linear::new(4, 4, rng)?);
    assert!(error(&residual, &x).starts_with("quantize: expected a chain of"), "{}", error(&residual, &x));
    assert!(
        error(&Relu, &x).ends_with("expected a model with a linear layer or a convolution, got one without")
    );
    let linear = Linear::new(4, 3, rng)?;
    assert!(error(&linear, &x.narrow(0, 0, 0)?).contains("one or more"));
    assert!(error(&linear, &(&x / 0.0)?).contains("finite activations"), "{}", error(&linear, &(&x / 0.0)?));
    // Relu would make a NaN 0.
    let broken = Sequential::new().push(Linear::new(4, 3, rng)?).push(Relu).push(Linear::new(3, 2, rng)?);
    broken.parameters()[1].1.set(&Tensor::new(&[0.0f32, f32::NAN, 0.0], &Device::Cpu)?)?;
    assert!(error(&broken, &x).contains("expected finite weights in"), "{}", error(&broken, &x));
    assert!(Quantize::new().calibration_method(CalibrationMethod::Percentile(30.0)).is_err());
    let small = super::quantize(&linear, &x)?;
    assert!(small.predict(&x.narrow(1, 0, 3)?).unwrap_err().to_string().contains("inputs of shape (n, [4])"));
    // Activations that are all 0, and weights of 0 with a bias.
    let zeros = Tensor::zeros((2, 4), DType::F32, &Device::Cpu)?;
    let linear = Linear::new(4, 2, rng)?;
    linear.parameters()[0].1.set(&Tensor::zeros((2, 4), DType::F32, &Device::Cpu)?)?;
    linear.parameters()[1].1.set(&Tensor::new(&[0.5f32, -3.0], &Device::Cpu)?)?;
    let y =
        super::quantize(&linear, &zeros)?.predict(&x)?.narrow(0, 0, 1)?.flatten(0, -1)?.to_vec1::<f32>()?;
    assert!((y[0] - 0.5).abs() < 0.02 && (y[1] + 3.0).abs() < 0.02, "{y:?}");
    Ok(())
}

/// A layer with its name and the shape of an input.
type Case = (&'static str, Box<dyn Layer>, Vec<usize>);

/// Each layer of docs/layers.md that takes one tensor.
fn layers() -> Result<Vec<Case>> {
    use crate::layer::*;
    use crate::ops::{ConvOptions, PoolOptions};
    let rng = &mut Rng::seed(1);
    let (conv1, conv2) = (ConvOptions::<1>::new(), ConvOptions::<2>::new());
    let (pool1, pool2) = (PoolOptions::<1>::new(2), PoolOptions::<2>::new(2));
    let rnn = RnnOptions::new();
    let table = Tensor::randn(0.0, 1.0, (5, 4), rng)?.to_dtype(DType::F32)?;
    Ok(vec![
        ("Linear", Box::new(Linear::new(4, 3, rng)?) as Box<dyn Layer>, vec![2, 4]),
        ("Conv1d", Box::new(Conv1d::new(2, 3, 3, conv1, rng)?), vec![2, 2, 6]),
        ("Conv2d", Box::new(Conv2d::new(2, 3, 3, conv2.padding(1), rng)?), vec![2, 2, 5, 4]),
        ("ConvTranspose1d", Box::new(ConvTranspose1d::new(2, 3, 3, conv1, rng)?), vec![2, 2, 6]),
        ("ConvTranspose2d", Box::new(ConvTranspose2d::new(2, 3, 3, conv2, rng)?), vec![2, 2, 5, 4]),
        ("MaxPool1d", Box::new(MaxPool1d::new(pool1)), vec![2, 2, 6]),
        ("MaxPool2d", Box::new(MaxPool2d::new(pool2)), vec![2, 2, 6, 4]),
        ("AvgPool1d", Box::new(AvgPool1d::new(pool1)), vec![2, 2, 6]),
        ("AvgPool2d", Box::new(AvgPool2d::new(pool2)), vec![2, 2, 6, 4]),
        ("AdaptiveAvgPool1d", Box::new(AdaptiveAvgPool1d::new(2)), vec![2, 2, 5]),
        ("AdaptiveAvgPool2d", Box::new(AdaptiveAvgPool2d::new([1, 2])), vec![2, 2, 6, 5]),
        ("AdaptiveMaxPool1d", Box::new(AdaptiveMaxPool1d::new(2)), vec![2, 2, 6]),
        ("AdaptiveMaxPool2d", Box::new(AdaptiveMaxPool2d::new([1, 2])), vec![2, 2, 6, 4]),
        ("Upsample", Box::new(Upsample::by(2)), vec![2, 2, 3, 4]),
        ("BatchNorm1d", Box::new(BatchNorm1d::new(4)?), vec![6, 4]),
        ("BatchNorm2d", Box::new(BatchNorm2d::new(2)?), vec![2, 2, 3, 4]),
        ("LayerNorm", Box::new(LayerNorm::new(4)?), vec![3, 4]),
        ("RmsNorm", Box::new(RmsNorm::new(4)?), vec![3, 4]),
        ("GroupNorm", Box::new(GroupNorm::new(2, 4)?), vec![2, 4, 3]),
        ("InstanceNorm", Box::new(InstanceNorm::new(2)), vec![2, 2, 3, 4]),
        ("Rnn", Box::new(Rnn::new(3, 4, rnn, rng)?), vec![1, 3, 3]),
        ("Lstm", Box::new(Lstm::new(3, 4, rnn, rng)?), vec![1, 3, 3]),
        ("Gru", Box::new(Gru::new(3, 4, rnn, rng)?), vec![1, 3, 3]),
        ("MultiHeadAttention", Box::new(MultiHeadAttention::new(4, 2, rng)?), vec![2, 3, 4]),
        (
            "TransformerEncoderLayer",
            Box::new(TransformerEncoderLayer::new(4, 2, 6, rng)?.dropout(0.0)?),
            vec![2, 3, 4],
        ),
        ("Dropout", Box::new(Dropout::new(0.5)?), vec![2, 4]),
        ("Flatten", Box::new(Flatten), vec![2, 3, 2]),
        ("Reshape", Box::new(Reshape::new([2, 3])), vec![2, 6]),
        ("Softmax", Box::new(Softmax::default()), vec![3, 4]),
        ("LogSoftmax", Box::new(LogSoftmax::default()), vec![3, 4]),
        ("Softmin", Box::new(Softmin::default()), vec![3, 4]),
        ("PRelu", Box::new(PRelu::new()?), vec![2, 4]),
        ("Glu", Box::new(Glu::new(-1)), vec![2, 4]),
        ("Residual", Box::new(Residual::new(Linear::new(4, 4, rng)?)), vec![2, 4]),
        ("NormalizeRows", Box::new(crate::normalize::NormalizeRows::default()), vec![3, 4]),
        ("Standardize", Box::new(crate::normalize::Standardize::fit(&table)?), vec![3, 4]),
        ("MinMax", Box::new(crate::normalize::MinMax::fit(&table)?), vec![3, 4]),
    ])
}

#[test]
fn which_layers_have_a_form() -> Result<()> {
    let mut table = String::new();
    for (name, layer, dims) in layers()? {
        let model = Sequential::new().push(crate::layer::PRelu::new()?).push(layer).push(Flatten);
        let answer = |made: Result<Export>| match made {
            Ok(_) => "yes".to_string(),
            Err(error) => error.to_string().split("got ").nth(1).unwrap_or_default().to_string(),
        };
        let inference = answer(Export::model(&model, &dims[..]));
        let x = Tensor::randn(0.0, 1.0, &dims[..], &mut Rng::seed(2))?;
        let mut step = TrainStep::new(&model, Mse, Sgd::new(model.parameters(), 0.1)?);
        let y = Tensor::zeros(model.predict(&x)?.shape().clone(), DType::F32, &Device::Cpu)?;
        let training = answer(step.run(&x, &y).and_then(|_| Export::step(&step)));
        table += &format!("| `{name}` | {inference} | {training} |\n");
    }
    assert!(include_str!("../../docs/export.md").contains(&table), "{table}");
    Ok(())
}
