//! Normalisation against the memory that it moves: `cargo bench -p tealight-kernels --bench norm`.
//!
//! Prints the elements of the input a nanosecond on one thread, for the moments, the forward pass and the backward pass. The fastest of
//! many runs counts.

#![allow(unsafe_code)]

use std::hint::black_box;

use tealight_kernels::kernel::{keep_freed, norm, simd_level};

/// Seconds that this thread has computed.
fn now() -> f64 {
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

fn main() {
    rayon::ThreadPoolBuilder::new().num_threads(1).build_global().expect("the first pool of this program");
    keep_freed(1 << 30);
    println!("{}: elements a nanosecond", simd_level());
    for dims in
        [[64, 32, 64], [64, 64, 16], [32, 16, 1024], [32, 64, 64], [16, 32, 256], [1, 512, 64], [64, 128, 1]]
    {
        let n = dims.iter().product();
        let array = |salt: f32| -> Vec<f32> { (0..n).map(|i| (i as f32 * 1.7 + salt).sin()).collect() };
        let (x, g) = (array(0.1), array(0.2));
        let m = norm::moments(&x, dims, 1e-5, true);
        let all = [&m.mean[..], &m.scale, &m.shift];
        let times = [
            seconds(|| drop(black_box(norm::moments(&x, dims, 1e-5, true)))),
            seconds(|| drop(black_box(norm::standardize(&x, dims, all)))),
            seconds(|| drop(black_box(norm::standardize_backward(&x, &g, dims, all, true)))),
        ];
        print!("{dims:?}");
        times.iter().for_each(|time| print!("{:9.1} µs {:5.2}", time * 1e6, n as f64 / time * 1e-9));
        println!();
    }
}
