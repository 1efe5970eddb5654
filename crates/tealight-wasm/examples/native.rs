//! What `wasm/run speed` times in a browser, natively, and the network as a file: `native BATCH FILE.onnx`.
//!
//! Each line of the input is a round; each job answers with its name, microseconds a call, and its last result.

use std::time::Instant;

use tealight_wasm::Mlp;

const CALLS: u32 = 100;

fn main() {
    let mut arguments = std::env::args().skip(1);
    let batch: u32 = arguments.next().and_then(|text| text.parse().ok()).expect("a number of digits");
    let pixels = (0..batch * 64).map(|i| (i * 7919 % 17) as f32 / 16.0).collect();
    let mut mlp = Mlp::new(pixels, (0..batch).map(|i| i * 7 % 10).collect()).expect("a pixel is a number");
    mlp.export(&arguments.next().expect("a file")).expect("a network of two layers");
    let report = |name: &str, mlp: &mut Mlp, job: fn(&mut Mlp) -> f64| {
        let start = Instant::now();
        let result = job(mlp);
        println!("{name}, native\t{}\t{result}", start.elapsed().as_secs_f64() * 1e6 / f64::from(CALLS));
    };
    for _ in std::io::stdin().lines() {
        report("answer", &mut mlp, |mlp| mlp.answer(CALLS).expect("finite numbers")[0].into());
        report("step", &mut mlp, |mlp| mlp.train(CALLS).expect("a step of finite numbers"));
        println!();
    }
}
