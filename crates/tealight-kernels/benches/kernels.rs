//! Convolutions, recurrent layers and matrix products against the machine's peak, normalisation and pooling: `cargo bench -p tealight-kernels --bench kernels [FILTER]`.
//!
//! Prints, on one thread (or on RAYON_NUM_THREADS, by the clock), GFLOP/s (two for each product of an element of a window with one of the kernel) and their share of what a loop
//! of fused multiply-adds reaches, for a convolution, its transpose and the gradient of its kernel, and for the steps of a recurrent
//! layer, forward and backward (without the products of the inputs), and for products of matrices, of which both are stored row by row,
//! the left one column by column, or the right one; and the elements a nanosecond of the
//! moments of (outer, groups, inner), of their normalisation with a weight and a bias and of its gradients; and the elements of the images a
//! nanosecond of the largest elements of windows of two by two and of their gradient. The fastest of many runs counts.

#![allow(unsafe_code)]

use std::hint::black_box;
use std::sync::LazyLock;
use std::time::Instant;

use tealight_kernels::kernel::{
    Conv, Matrix, WindowAxis, conv, conv_kernel, conv_transpose, keep_freed, matmul, max_pool, norm,
    pool_scatter, recurrent, simd_level,
};

/// Seconds that this thread has computed; or the clock's, if RAYON_NUM_THREADS says that there are more threads.
fn now() -> f64 {
    static START: LazyLock<(Instant, bool)> = LazyLock::new(|| {
        (Instant::now(), std::env::var("RAYON_NUM_THREADS").is_ok_and(|threads| threads != "1"))
    });
    if START.1 {
        return START.0.elapsed().as_secs_f64();
    }
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the call writes to `time` only.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut time) };
    time.tv_sec as f64 + time.tv_nsec as f64 * 1e-9
}

fn seconds(mut f: impl FnMut()) -> f64 {
    f();
    let begin = now();
    let mut best = f64::INFINITY;
    while now() - begin < 0.2 {
        let start = now();
        f();
        best = best.min(now() - start);
    }
    best
}

/// GFLOP/s of fused multiply-adds in registers.
fn peak() -> f64 {
    struct Sums;
    impl pulp::WithSimd for Sums {
        type Output = f32;
        #[inline(always)]
        fn with_simd<S: pulp::Simd>(self, simd: S) -> f32 {
            let (a, b) = (simd.splat_f32s(black_box(0.5)), simd.splat_f32s(black_box(0.25)));
            let mut sums = [simd.splat_f32s(0.0); 12];
            for _ in 0..10_000 {
                for sum in &mut sums {
                    *sum = simd.mul_add_f32s(*sum, a, b);
                }
            }
            sums.iter().map(|&sum| simd.reduce_sum_f32s(sum)).sum()
        }
    }
    let lanes = match simd_level() {
        "avx512" => 16.0,
        "avx2" => 8.0,
        _ => 4.0,
    };
    let time = seconds(|| {
        black_box(pulp::Arch::new().dispatch(Sums));
    });
    10_000.0 * 12.0 * 2.0 * lanes / time / 1e9
}

fn main() {
    let threads =
        std::env::var("RAYON_NUM_THREADS").ok().and_then(|threads| threads.parse().ok()).unwrap_or(1);
    rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .build_global()
        .expect("the first pool of this program");
    keep_freed(1 << 30);
    let filter = std::env::args().nth(1).filter(|arg| !arg.starts_with("--")).unwrap_or_default();
    let peak = peak();
    println!("{}: {peak:.0} GFLOP/s at most", simd_level());
    // batch, groups, inputs and outputs of a group, size of the image, of the kernel, stride
    for [batch, groups, inputs, outputs, size, kernel, stride] in [
        [64, 1, 1, 32, 8, 3, 1],
        [32, 1, 16, 16, 32, 3, 1],
        [32, 1, 32, 16, 16, 3, 1],
        [1, 1, 16, 16, 32, 3, 1],
        [1, 1, 16, 32, 16, 3, 1],
        [1, 1, 32, 64, 8, 3, 1],
        [1, 1, 64, 64, 32, 3, 1],
        [1, 1, 128, 128, 16, 3, 1],
        [1, 1, 256, 256, 8, 3, 1],
        [8, 1, 256, 256, 8, 3, 1],
        [64, 1, 32, 64, 8, 3, 1],
        [32, 1, 3, 16, 32, 3, 1],
        [32, 1, 16, 32, 16, 3, 1],
        [32, 1, 32, 64, 8, 3, 1],
        [32, 1, 32, 32, 32, 3, 1],
        [8, 1, 64, 64, 32, 3, 1],
        [8, 1, 128, 128, 16, 3, 1],
        [16, 1, 24, 24, 24, 3, 1],
        [32, 1, 8, 8, 32, 3, 1],
        [32, 1, 12, 20, 14, 5, 1],
        [16, 1, 32, 64, 32, 3, 2],
        [16, 1, 3, 64, 32, 7, 2],
        [16, 16, 1, 1, 32, 3, 1],
        [16, 32, 1, 1, 16, 3, 1],
        [16, 32, 1, 1, 32, 3, 2],
        [16, 1, 16, 32, 32, 1, 1],
        [16, 1, 32, 64, 16, 1, 1],
        [16, 1, 64, 64, 16, 1, 1],
    ] {
        let padding = kernel / 2;
        let output = (size + 2 * padding - kernel) / stride + 1;
        let side = WindowAxis { input: size, output, kernel, stride, padding, dilation: 1 };
        let c = Conv { batch, groups, inputs, outputs, sides: [side; 2] };
        let array = |dims: [usize; 4]| -> Vec<f32> {
            (0..Conv::count(dims)).map(|i| (i as f32 * 1.7).sin()).collect()
        };
        let (x, w, g) = (array(c.x_dims()), array(c.w_dims()), array(c.y_dims()));
        let work = 2.0 * (Conv::count(c.y_dims()) * inputs * kernel * kernel) as f64;
        let name = format!("{batch}x{groups}x{inputs}->{outputs} {size}x{size} k{kernel} s{stride}");
        if !name.contains(&filter) {
            continue;
        }
        let times = [
            seconds(|| drop(black_box(conv(&c, &x, &w, None)))),
            seconds(|| drop(black_box(conv_transpose(&c, &w, &g, None)))),
            seconds(|| drop(black_box(conv_kernel(&c, &x, &g)))),
        ];
        print!("{name:36}");
        for time in times {
            let rate = work / time / 1e9;
            print!("{:9.0} µs {rate:4.0} = {:3.0} %", time * 1e6, 100.0 * rate / peak);
        }
        println!();
    }
    recurrent_layers(peak, &filter);
    products(peak, &filter);
    for dims in
        [[64, 32, 64], [64, 64, 16], [32, 16, 1024], [32, 64, 64], [16, 32, 256], [1, 512, 64], [64, 128, 1]]
    {
        let name = format!("norm {dims:?}");
        if !name.contains(&filter) {
            continue;
        }
        let n = dims.iter().product();
        let array = |salt: f32| -> Vec<f32> { (0..n).map(|i| (i as f32 * 1.7 + salt).sin()).collect() };
        let (x, g) = (array(0.1), array(0.2));
        let moments = norm::moments(&x, dims, 1e-5, true);
        let [m, scale, shift] = [&moments.mean[..], &moments.scale, &moments.shift];
        let times = [
            seconds(|| drop(black_box(norm::moments(&x, dims, 1e-5, true)))),
            seconds(|| drop(black_box(norm::standardize_affine(&x, dims, [m, scale, shift, scale, m])))),
            seconds(|| {
                drop(black_box(norm::standardize_affine_backward(&x, &g, dims, [m, scale, shift, scale])))
            }),
        ];
        print!("{name:36}");
        times.iter().for_each(|time| print!("{:9.1} µs {:5.2}", time * 1e6, n as f64 / time * 1e-9));
        println!();
    }
    for [images, size] in [[4096, 8], [512, 32], [1024, 16], [512, 15]] {
        let name = format!("max pool {images}, {size}x{size}");
        if !name.contains(&filter) {
            continue;
        }
        let x: Vec<f32> = (0..images * size * size).map(|i| (i as f32 * 1.7).sin()).collect();
        let side =
            WindowAxis { input: size, output: size / 2, kernel: 2, stride: 2, padding: 0, dilation: 1 };
        let (y, places) = max_pool(&x, &[side; 2]);
        let times = [
            seconds(|| drop(black_box(max_pool(&x, &[side; 2])))),
            seconds(|| drop(black_box(pool_scatter(&y, &places, images, x.len())))),
        ];
        print!("{name:36}");
        times.iter().for_each(|time| print!("{:9.1} µs {:5.2}", time * 1e6, x.len() as f64 / time * 1e-9));
        println!();
    }
}

fn recurrent_layers(peak: f64, filter: &str) {
    use recurrent::{Cell, Inputs, Scan};
    for (cell, [steps, batch, hidden]) in [
        (Cell::Lstm, [32, 32, 64]),
        (Cell::Gru, [32, 32, 64]),
        (Cell::Tanh, [32, 32, 64]),
        (Cell::Lstm, [16, 1, 32]),
        (Cell::Lstm, [64, 64, 256]),
    ] {
        let name = format!("{cell:?} {steps} steps, batch {batch}, {hidden} units");
        if !name.contains(filter) {
            continue;
        }
        let array = |n: usize, salt: f32| -> Vec<f32> {
            (0..n).map(|i| 0.2 * (i as f32 * 1.7 + salt).sin()).collect()
        };
        let (gates, state) = (cell.gates() * hidden, batch * hidden);
        let (x, weight, h) =
            (array(steps * batch * gates, 0.1), array(gates * hidden, 0.2), array(state, 0.3));
        let (bias, c) = (array(gates, 0.4), if cell == Cell::Lstm { array(state, 0.5) } else { vec![] });
        let bias = (cell == Cell::Gru).then_some(&bias[..]);
        let inputs = Inputs { x: &x, weight: &weight, bias, h: &h, c: &c };
        let (time_first, reverse, lengths, with_state) = (false, false, None, false);
        let scan = Scan { cell, steps, batch, hidden, time_first, reverse, lengths, with_state };
        let (y, kept) = scan.forward(inputs, true);
        let g = array(y.len(), 0.6);
        let kept = [&kept.gates[..], &kept.cells];
        let times = [
            seconds(|| drop(black_box(scan.forward(inputs, true)))),
            seconds(|| drop(black_box(scan.backward(inputs, kept, &y, &g, true)))),
        ];
        print!("{name:36}");
        for (time, products) in times.iter().zip([1, 2]) {
            let rate = (2 * products * steps * state * gates) as f64 / time / 1e9;
            print!("{:9.0} µs {rate:4.0} = {:3.0} %", time * 1e6, 100.0 * rate / peak);
        }
        println!();
    }
}

fn products(peak: f64, filter: &str) {
    for [batch, m, k, n] in [
        [1, 16, 4, 16],
        [1, 16, 16, 3],
        [1, 64, 784, 128],
        [1, 128, 64, 784],
        [1, 64, 128, 10],
        [1, 64, 10, 128],
        [1, 64, 256, 64],
        [1, 512, 64, 64],
        [1, 512, 64, 256],
        [1, 64, 512, 64],
        [64, 32, 16, 32],
        [64, 32, 32, 16],
        [1, 128, 32, 32],
        [1, 32, 128, 32],
        [1, 48, 100, 24],
        [1, 50, 100, 33],
        [1, 100, 100, 100],
        [1, 128, 128, 128],
        [1, 256, 256, 256],
        [1, 512, 512, 512],
        [1, 1024, 1024, 1024],
    ] {
        let name = format!("product {batch}x{m}x{k}x{n}");
        if !name.contains(filter) {
            continue;
        }
        let array =
            |n: usize, salt: f32| -> Vec<f32> { (0..n).map(|i| (i as f32 * 1.7 + salt).sin()).collect() };
        let (a, b) = (array(batch * m * k, 0.1), array(batch * k * n, 0.2));
        print!("{name:36}");
        for (by_a, by_b) in [([k, 1], [n, 1]), ([1, m], [n, 1]), ([k, 1], [1, k])] {
            // Reading the clock takes longer than a small one.
            let calls = (1_000_000 / (batch * m * k * n)).max(1);
            let time = seconds(|| {
                for _ in 0..calls {
                    drop(black_box(matmul(batch, [m, k, n], |i| {
                        let matrix = |data, [rows, columns]: [usize; 2]| Matrix { data, rows, columns };
                        (matrix(&a[i * m * k..], by_a), matrix(&b[i * k * n..], by_b))
                    })));
                }
            }) / calls as f64;
            let rate = 2.0 * (batch * m * k * n) as f64 / time / 1e9;
            print!("{:9.2} µs {rate:4.0} = {:3.0} %", time * 1e6, 100.0 * rate / peak);
        }
        println!();
    }
}
