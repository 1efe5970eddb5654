//! Loops or tensors? Four products of vectors, computed both ways, compared and timed.
//!
//! `cargo run --release --example vectorization` begins with vectors of nine numbers, where calling a tensor operation costs
//! more than the loop, and ends with ten million multiplications. It prints a table and draws `vectorization.png`.

use std::hint::black_box;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::Parser;
use tealight::plot::{Axes, curve_on};
use tealight::prelude::*;

/// Times loops and tensors at four products: dot, outer, elementwise, and matrix with vector.
#[derive(Parser)]
struct Options {
    /// The most multiplications; powers of ten from 1000 up to this are timed
    #[arg(long, value_name = "N", default_value_t = 10_000_000, value_parser = clap::value_parser!(u64).range(9..=100_000_000))]
    max: u64,
    /// Where the picture is written
    #[arg(long, value_name = "DIR", default_value = ".")]
    out: PathBuf,
}

const X1: [f64; 9] = [9.0, 2.0, 5.0, 0.0, 0.0, 7.0, 5.0, 0.0, 0.0];
const X2: [f64; 9] = [2.0, 5.0, 2.0, 9.0, 0.0, 0.0, 8.0, 5.0, 0.0];
/// The rows of the matrix.
const ROWS: usize = 3;

/// The product of two vectors: Σ aᵢ·bᵢ.
fn dot(a: &[f64], b: &[f64]) -> f64 {
    let mut sum = 0.0;
    for i in 0..a.len() {
        sum += a[i] * b[i];
    }
    sum
}

/// All products aᵢ·bⱼ, row by row.
fn outer(a: &[f64], b: &[f64]) -> Vec<f64> {
    let mut products = vec![0.0; a.len() * b.len()];
    for i in 0..a.len() {
        for j in 0..b.len() {
            products[i * b.len() + j] = a[i] * b[j];
        }
    }
    products
}

/// The products aᵢ·bᵢ.
fn elementwise(a: &[f64], b: &[f64]) -> Vec<f64> {
    let mut products = vec![0.0; a.len()];
    for i in 0..a.len() {
        products[i] = a[i] * b[i];
    }
    products
}

/// The product of a matrix, row by row, with a vector: Σⱼ wᵢⱼ·xⱼ.
fn general_dot(w: &[f64], x: &[f64]) -> Vec<f64> {
    let mut sums = vec![0.0; w.len() / x.len()];
    for i in 0..sums.len() {
        for j in 0..x.len() {
            sums[i] += w[i * x.len() + j] * x[j];
        }
    }
    sums
}

/// What a product took.
struct Row {
    name: &'static str,
    multiplications: usize,
    looped: f64,
    tensors: f64,
}

/// The median time of a run in seconds: a warm-up, then samples of so many runs each that the clock can tell them apart.
fn time<T>(mut run: impl FnMut() -> Result<T>) -> Result<f64> {
    let start = Instant::now();
    let mut runs = 0_u32;
    while runs == 0 || start.elapsed() < Duration::from_millis(20) {
        black_box(run()?);
        runs += 1;
    }
    let once = start.elapsed().as_secs_f64() / f64::from(runs);
    let batch = (50e-6 / once).ceil().clamp(1.0, 100_000.0);
    let count = (0.2 / (once * batch)).clamp(5.0, 201.0) as usize;
    let mut samples = Vec::with_capacity(count);
    for _ in 0..count {
        let start = Instant::now();
        for _ in 0..batch as u32 {
            black_box(run()?);
        }
        samples.push(start.elapsed().as_secs_f64() / batch);
    }
    samples.sort_by(f64::total_cmp);
    Ok(samples[samples.len() / 2])
}

/// Times a product both ways, and looks whether the results are the same but for rounding.
fn compare(
    name: &'static str,
    multiplications: usize,
    mut looped: impl FnMut() -> Vec<f64>,
    mut tensors: impl FnMut() -> Result<Tensor>,
) -> Result<Row> {
    let (left, right) = (looped(), tensors()?.flatten(0, -1)?.to_vec1::<f64>()?);
    assert_eq!(left.len(), right.len(), "{name}: another number of results");
    for (i, (a, b)) in left.iter().zip(&right).enumerate() {
        // All numbers are positive, so that a sum of n loses no more than n roundings.
        let allowed = multiplications as f64 * f64::EPSILON * a.abs();
        assert!((a - b).abs() <= allowed, "{name}, result {i}: the loop gives {a}, the tensors {b}");
    }
    drop((left, right));
    Ok(Row { name, multiplications, looped: time(|| Ok(looped()))?, tensors: time(tensors)? })
}

/// The three products of two vectors of one length, and of a matrix with the first.
fn vectors(a: &[f64], b: &[f64], rng: &mut Rng) -> Result<[Row; 3]> {
    let cpu = &Device::Cpu;
    let (n, ta, tb) = (a.len(), Tensor::new(a, cpu)?, Tensor::new(b, cpu)?);
    let rows = [
        compare("dot", n, || vec![dot(black_box(a), black_box(b))], || black_box(&ta).dot(black_box(&tb)))?,
        compare(
            "elementwise",
            n,
            || elementwise(black_box(a), black_box(b)),
            || black_box(&ta) * black_box(&tb),
        )?,
    ];
    // As many multiplications as for the others.
    let k = if n == X1.len() { n } else { n / ROWS };
    let tw = Tensor::rand(0.0, 1.0, (ROWS, k), rng)?;
    let (w, tx) = (tw.flatten(0, -1)?.to_vec1::<f64>()?, ta.narrow(0, 0, k)?);
    let general = compare(
        "general dot",
        ROWS * k,
        || general_dot(black_box(&w), black_box(&a[..k])),
        || black_box(&tw).matvec(black_box(&tx)),
    )?;
    let [dot, elementwise] = rows;
    Ok([dot, elementwise, general])
}

fn outer_row(a: &[f64], b: &[f64]) -> Result<Row> {
    let (ta, tb) = (Tensor::new(a, &Device::Cpu)?, Tensor::new(b, &Device::Cpu)?);
    let multiplications = a.len() * b.len();
    compare(
        "outer",
        multiplications,
        || outer(black_box(a), black_box(b)),
        || black_box(&ta).outer(black_box(&tb)),
    )
}

/// A time as one reads it.
fn shown(seconds: f64) -> String {
    let (unit, size) = match seconds {
        s if s < 1e-6 => ("ns", 1e-9),
        s if s < 1e-3 => ("µs", 1e-6),
        s if s < 1.0 => ("ms", 1e-3),
        _ => ("s", 1.0),
    };
    format!("{:.1} {unit}", seconds / size)
}

fn main() {
    if let Err(error) = run(&Options::parse()) {
        eprintln!("error: {error}");
        std::process::exit(1);
    }
}

fn run(options: &Options) -> Result<()> {
    std::fs::create_dir_all(&options.out)
        .map_err(|error| Error::File { path: options.out.clone(), message: error.to_string() })?;
    let rng = &mut Rng::seed(42);
    println!("x1 = {X1:?}\nx2 = {X2:?}");
    println!("dot         = {}", dot(&X1, &X2));
    println!("elementwise = {:?}\n", elementwise(&X1, &X2));

    println!("{:<12} {:>15} {:>11} {:>11} {:>8}", "product", "multiplications", "loops", "tensors", "ratio");
    let mut rows: Vec<Row> = Vec::new();
    let sizes = (3..).map(|power| 10_usize.pow(power)).take_while(|&n| n as u64 <= options.max);
    for n in [X1.len()].into_iter().chain(sizes) {
        let (a, b) = if n == X1.len() {
            (X1.to_vec(), X2.to_vec())
        } else {
            let mut draw = || Tensor::rand(0.0, 1.0, n, rng)?.to_vec1::<f64>();
            (draw()?, draw()?)
        };
        // The products of two vectors of this length are about n as well.
        let side = if n == X1.len() { n } else { n.isqrt() };
        let [dot, elementwise, general] = vectors(&a, &b, rng)?;
        for row in [dot, outer_row(&a[..side], &b[..side])?, elementwise, general] {
            println!(
                "{:<12} {:>15} {:>11} {:>11} {:>7.2}×",
                row.name,
                row.multiplications,
                shown(row.looped),
                shown(row.tensors),
                row.looped / row.tensors
            );
            rows.push(row);
        }
    }
    println!("\nratio: how many times as fast the tensors are. All results are the same but for rounding.");

    let mut series: Vec<(String, Vec<(f64, f64)>)> = Vec::new();
    for name in ["dot", "outer", "elementwise", "general dot"] {
        let line = |pick: fn(&Row) -> f64| {
            let rows = rows.iter().filter(|row| row.name == name);
            rows.map(|row| (row.multiplications as f64, pick(row))).collect()
        };
        series.push((format!("{name}, loops"), line(|row| row.looped)));
        series.push((format!("{name}, tensors"), line(|row| row.tensors)));
    }
    let file = options.out.join("vectorization.png");
    let axes = Axes::new("multiplications", "seconds (median)").log_x().log_y();
    curve_on(&file, "Four products with loops and with tensors", &axes, &series)?;
    println!("wrote {}", file.display());
    Ok(())
}
