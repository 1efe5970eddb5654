//! Example 2: loops or tensors? Four products of vectors, computed both ways, compared and timed.
//!
//! `cargo run --release --example vectorization` prints a table: calling a tensor operation costs more than a loop over nine numbers,
//! and large sums are several times as fast with tensors. It draws `vectorization.png` with how many times as fast they are.

use clap::Parser;
use std::{hint::black_box, time::Instant};
use tealight::{plot, prelude::*};

/// Times loops and tensors at four products: dot, outer, elementwise, and matrix with vector.
#[derive(Parser)]
struct Options {
    /// The most multiplications; powers of ten from 1000 up to this are timed
    #[arg(long, value_name = "N", default_value_t = 10_000_000, value_parser = clap::value_parser!(u64).range(9..=100_000_000))]
    max: u64,
    /// Where the picture is written
    #[arg(long, value_name = "DIR", default_value = "out")]
    out: std::path::PathBuf,
}

/// Σⱼ aᵢⱼ·bⱼ for each row i of a matrix. A dot product is that with one row.
fn general_dot(a: &[f64], b: &[f64]) -> Vec<f64> {
    a.chunks(b.len()).map(|row| row.iter().zip(b).map(|(x, y)| x * y).sum()).collect()
}

fn outer(a: &[f64], b: &[f64]) -> Vec<f64> {
    let mut products = Vec::with_capacity(a.len() * b.len());
    a.iter().for_each(|x| products.extend(b.iter().map(|y| x * y)));
    products
}

type Shape = fn(usize) -> Vec<usize>; // of the first factor; the second is as long as its rows
type Loops = fn(&[f64], &[f64]) -> Vec<f64>;
type Tensors = fn(&Tensor, &Tensor) -> Result<Tensor>;
const PRODUCTS: [(&str, Shape, Loops, Tensors); 4] = [
    ("dot", |n| vec![n], general_dot, |a, b| a.dot(b)),
    ("outer", |n| vec![n.isqrt()], outer, |a, b| a.outer(b)),
    ("elementwise", |n| vec![n], |a, b| a.iter().zip(b).map(|(x, y)| x * y).collect(), |a, b| a * b),
    ("general dot", |n| vec![3, n / 3], general_dot, |w, x| w.matvec(x)),
];

/// The time of a run in seconds: the best of ten rounds, each with enough runs for the clock to tell them apart.
fn time<T>(n: usize, mut run: impl FnMut() -> T) -> f64 {
    let runs = 1 + 500_000 / n;
    let seconds = (0..10).map(|_| {
        let start = Instant::now();
        (0..runs).for_each(|_| drop(black_box(run())));
        start.elapsed().as_secs_f64() / runs as f64
    });
    seconds.fold(f64::INFINITY, f64::min)
}

fn main() -> Result<()> {
    tealight::memory::keep_freed(512 << 20);
    let (options, rng) = (Options::parse(), &mut Rng::seed(42));
    std::fs::create_dir_all(&options.out).map_err(|error| Error::file(&options.out, error))?;
    let mut curves = PRODUCTS.map(|(name, ..)| (name, Vec::new()));
    println!("{:<12} {:>15} {:>11} {:>11} {:>8}", "product", "multiplications", "loops", "tensors", "ratio");
    let (sizes, mut ratio) = ((3..).map(|power| 10_usize.pow(power)), 0.0);
    for n in [9].into_iter().chain(sizes.take_while(|&n| n as u64 <= options.max)) {
        for ((name, shape, loops, tensors), (_, curve)) in PRODUCTS.into_iter().zip(&mut curves) {
            let a = Tensor::rand_dtype(0.0, 1.0, shape(n), DType::F64, rng)?;
            let b = Tensor::rand_dtype(0.0, 1.0, a.dims()[a.rank() - 1], DType::F64, rng)?;
            let (x, y) = (a.flatten(0, -1)?.to_vec1::<f64>()?, b.to_vec1::<f64>()?);
            let (left, right) = (loops(&x, &y), tensors(&a, &b)?.flatten(0, -1)?.to_vec1::<f64>()?);
            // All numbers are positive, so that a sum of n loses no more than n roundings.
            let near = |(l, r): (&f64, &f64)| (l - r).abs() <= n as f64 * f64::EPSILON * l;
            assert!(left.len() == right.len() && left.iter().zip(&right).all(near), "{name}: not the same");
            let (slow, fast) = (time(n, || black_box(loops)(&x, &y)), time(n, || black_box(tensors)(&a, &b)));
            let count = x.len().max(left.len());
            ratio = slow / fast;
            curve.push((count as f64, ratio));
            println!("{name:<12} {count:>15} {:>8.2} µs {:>8.2} µs {ratio:>7.2}×", slow * 1e6, fast * 1e6);
        }
    }
    let (file, axes) =
        (options.out.join("vectorization.png"), plot::Axes::new("multiplications", "times as fast"));
    plot::curve_with_axes(&file, "How many times as fast the tensors are", &axes.log_x(), &curves)?;
    println!("\nratio: how many times as fast the tensors are\nwrote {}", file.display());
    assert!(options.max < 10_000_000 || ratio > 1.0, "the loops are faster");
    Ok(())
}
