//! Example 16: a reader of digits for a chip. It is trained here, written as one file of C, and compiled.
//!
//! `cargo run --release --example microcontroller` writes `digits.c`, `digits.rs`, the model, and `digits_int8.c` in integers of 8 bits, compiles the C with the system's compiler
//! and reads digits with it, whose scores have the bits of those that are computed here.

use std::path::{Path, PathBuf};
use std::process::Command;

use clap::Parser;
use tealight::export::{Export, quantize};
use tealight::prelude::*;
use tealight::program::TrainStep;
use tealight::{data, io};

/// Trains a reader of digits and writes it as C and Rust.
#[derive(Parser)]
struct Options {
    /// Steps of the optimizer
    #[arg(long, default_value_t = 1000)]
    steps: usize,
    /// Where the files are written
    #[arg(long, value_name = "DIR", default_value = "out")]
    out: PathBuf,
}

/// The digits that the compiled program reads.
const READ: usize = 100;

fn main() -> Result<()> {
    let options = Options::parse();
    std::fs::create_dir_all(&options.out).map_err(|error| Error::file(&options.out, error))?;
    let digits = data::digits()?;
    let rng = &mut Rng::seed(1);
    let model = Sequential::new()
        .push(Flatten)
        .push(Linear::new(64, 24, rng)?)
        .push(Relu)
        .push(Linear::new(24, 10, rng)?);
    let mut step = TrainStep::new(&model, CrossEntropy::new(), AdamW::new(model.parameters(), 0.01)?);
    let batches = digits.len() / 64;
    for i in 0..options.steps {
        let start = 64 * (i % batches);
        step.run(&digits.inputs.narrow(0, start, 64)?, &digits.targets.narrow(0, start, 64)?)?;
    }
    io::save(options.out.join("microcontroller.safetensors"), &model)?;

    let export = Export::model(&model, (1, 8, 8))?
        .name("digits")?
        .note("x: 8 × 8 pixels from 0 (white) to 1, row by row");
    println!("{} bytes of flash for the weights, {} bytes of RAM", export.flash(), export.ram());
    let (source, rust) = (options.out.join("digits.c"), options.out.join("digits.rs"));
    std::fs::write(&source, export.to_c()).map_err(|error| Error::file(&source, error))?;
    std::fs::write(&rust, export.to_rust()).map_err(|error| Error::file(&rust, error))?;

    // The same in integers of 8 bits.
    let small = quantize(&model, &digits.inputs.narrow(0, 0, 300)?)?;
    let export = Export::model(&small, (1, 8, 8))?.name("digits_int8")?;
    let accuracy = |model: &dyn Layer| -> Result<f64> {
        let best = model.predict(&digits.inputs)?.argmax(1)?.to_vec1::<u32>()?;
        let right = best.iter().zip(digits.targets.to_vec1::<u32>()?).filter(|(a, b)| **a == *b).count();
        Ok(right as f64 / digits.len() as f64)
    };
    println!("{} and {} bytes in integers of 8 bits", export.flash(), export.ram());
    println!("{:.2} % right, {:.2} % in integers", 100.0 * accuracy(&model)?, 100.0 * accuracy(&small)?);
    let source = options.out.join("digits_int8.c");
    std::fs::write(&source, export.to_c()).map_err(|error| Error::file(&source, error))?;

    let images = digits.inputs.narrow(0, 0, READ)?;
    // One at a time, as the compiled program does: the order of a sum depends on the number of rows.
    let mut expected = Vec::new();
    for i in 0..READ {
        expected.extend(bits(&model.predict(&images.narrow(0, i, 1)?)?)?);
    }
    match compiled(&options.out, &images) {
        Some(scores) => {
            assert_eq!(scores, expected, "the compiled program has other bits");
            println!("the compiled program has the same {} scores, bit for bit", scores.len());
        }
        None => println!("there is no C compiler here: digits.c is not compiled"),
    }
    Ok(())
}

fn bits(x: &Tensor) -> Result<Vec<u32>> {
    Ok(x.flatten(0, -1)?.to_vec1::<f32>()?.into_iter().map(f32::to_bits).collect())
}

/// The bits of the scores that the compiled program prints for some images; `None` without a C compiler.
fn compiled(out: &Path, images: &Tensor) -> Option<Vec<u32>> {
    let main = out.join("main.c");
    let pixels: Vec<String> = bits(images).ok()?.iter().map(|bits| format!("{bits}u")).collect();
    let text = format!(
        "#include <stdio.h>\n#include \"digits.c\"\nstatic const uint32_t pixels[] = {{ {} }};\n\
         int main(void) {{\n    for (int i = 0; i < {READ}; i += 1) {{\n        float x[64], y[10];\n\
         \x20       for (int j = 0; j < 64; j += 1) x[j] = from_bits32(pixels[i * 64 + j]);\n        digits_run(x, y);\n\
         \x20       for (int j = 0; j < 10; j += 1) printf(\"%lu\\n\", (unsigned long)to_bits32(y[j]));\n    }}\n    return 0;\n}}\n",
        pixels.join(", ")
    );
    std::fs::write(&main, text).ok()?;
    let program = out.join("digits");
    let done = Command::new("cc").args(["-std=c11", "-O2", "-o"]).arg(&program).arg(&main).status().ok()?;
    assert!(done.success(), "the C compiler refuses {}", main.display());
    let printed = Command::new(&program).output().expect("a program that was just compiled runs").stdout;
    String::from_utf8_lossy(&printed).lines().map(|line| line.parse().ok()).collect()
}
