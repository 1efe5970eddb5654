//! cargo bench --bench exported [PYTHON]: one inference of an MLP 64-128-10 in exported C, in f32 and in integers, by a replayed program, and
//! by onnxruntime's session if PYTHON has it, in turns. Needs gcc.
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use tealight::export::{Export, quantize};
use tealight::prelude::*;
use tealight::program::compile;

/// What a program prints: nanoseconds.
fn printed(command: &mut Command) -> f64 {
    let done = command.output().expect("the program is there");
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8_lossy(&done.stdout).trim().parse().expect("a number")
}

const SESSION: &str = "import sys, time, numpy, onnxruntime as ort
options = ort.SessionOptions()
options.intra_op_num_threads = 1
session = ort.InferenceSession(sys.argv[1], options)
x = {'input': numpy.linspace(0, 1, 64, dtype=numpy.float32).reshape(1, 64)}
best = float('inf')
for _ in range(20):
    start = time.perf_counter_ns()
    for _ in range(1000):
        session.run(None, x)
    best = min(best, (time.perf_counter_ns() - start) / 1000)
print(best)";

fn compiled(here: &Path, name: &str, source: &str) -> Result<std::path::PathBuf> {
    let main = format!(
        "#define _POSIX_C_SOURCE 199309L\n{source}\n#include <stdio.h>\n#include <time.h>\nint main(void) {{\n\
         static float x[64], y[10]; double best = 1e9; float kept = 0;\n\
         for (int i = 0; i < 64; i += 1) x[i] = (float)i / 63;\n\
         for (int round = 0; round < 20; round += 1) {{\n\
         struct timespec start, end; clock_gettime(CLOCK_MONOTONIC, &start);\n\
         for (int i = 0; i < 2000; i += 1) {{ x[i % 64] += 1e-3f; model_run(x, y); kept += y[i % 10]; }}\n\
         clock_gettime(CLOCK_MONOTONIC, &end);\n\
         double took = ((end.tv_sec - start.tv_sec) * 1e9 + (end.tv_nsec - start.tv_nsec)) / 2000;\n\
         if (took < best) best = took; }}\n\
         if (kept == 12345) puts(\"\");\nprintf(\"%.1f\\n\", best);\nreturn 0; }}\n"
    );
    let (file, program) = (here.join(format!("{name}.c")), here.join(name));
    std::fs::write(&file, main).map_err(|error| Error::file(&file, error))?;
    let done = Command::new("gcc")
        .args(["-std=c11", "-O3", "-march=native", "-o"])
        .arg(&program)
        .arg(&file)
        .status();
    assert!(done.expect("gcc is there").success());
    Ok(program)
}

fn main() -> Result<()> {
    let here = std::env::temp_dir().join(format!("tealight-exported-{}", std::process::id()));
    std::fs::create_dir_all(&here).map_err(|error| Error::file(&here, error))?;
    let rng = &mut Rng::seed(1);
    let model =
        Sequential::new().push(Linear::new(64, 128, rng)?).push(Relu).push(Linear::new(128, 10, rng)?);
    let small = quantize(&model, &Tensor::rand(0f32, 1.0, (100, 64), rng)?)?;
    let (float, integers) = (Export::model(&model, (1, 64))?, Export::model(&small, (1, 64))?);
    let programs = [compiled(&here, "float", &float.to_c())?, compiled(&here, "integers", &integers.to_c())?];
    tealight::io::export_onnx(here.join("model.onnx"), &model, &[1, 64])?;
    let python = std::env::args().skip(1).find(|argument| argument != "--bench");
    let x = Tensor::rand(0f32, 1.0, (1, 64), rng)?;
    let mut replay = compile(|[x]: [&Tensor; 1]| model.predict(x));
    let mut best = [f64::INFINITY; 4];
    for _ in 0..8 {
        let start = Instant::now();
        for _ in 0..5000 {
            replay.call([&x])?;
        }
        let replayed = start.elapsed().as_nanos() as f64 / 5000.0;
        let [float, integers] = programs.each_ref().map(|program| printed(&mut Command::new(program)));
        let session = python.as_ref().map_or(f64::INFINITY, |python| {
            printed(Command::new(python).args(["-c", SESSION]).arg(here.join("model.onnx")))
        });
        for (best, took) in best.iter_mut().zip([replayed, float, integers, session]) {
            *best = best.min(took);
        }
    }
    let arena = replay.program().map_or(0, tealight::program::Program::memory_bytes);
    let [replayed, c, integers_c, session] = best;
    println!("ns: replayed {replayed:.0}, C {c:.0}, C in integers {integers_c:.0}, onnxruntime {session:.0}");
    println!("bytes of RAM: plan {arena}, C {}, in integers {}", float.ram(), integers.ram());
    println!("bytes of flash: C {}, in integers {}", float.flash(), integers.flash());
    std::fs::remove_dir_all(&here).map_err(|error| Error::file(&here, error))
}
