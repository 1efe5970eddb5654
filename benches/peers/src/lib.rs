//! The peers in Rust serve the jobs of the table: `peers --serve PEER`. See ../README.md.

mod burn;
#[path = "../../speed/candle.rs"]
mod candle;
mod dfdx;
#[path = "../../speed/job.rs"]
mod job;
#[path = "../../speed/serve.rs"]
mod serve;

use gemm as _; // for its feature alone

/// In f64 numpy alone has to be beaten.
const F64: &[&str] = &["-f64"];

/// What the programs do: they differ in their allocators.
pub fn run() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["--iris", "candle"] => println!("{}", candle::iris()?),
        ["--iris", "burn-flex"] => println!("{}", burn::iris(&burn::flex())?),
        ["--iris", "burn-ndarray"] => println!("{}", burn::iris(&burn::ndarray())?),
        ["--iris", "dfdx"] => println!("{}", dfdx::iris()?),
        ["--serve", "candle"] => serve::serve(candle::make, F64)?,
        ["--serve", "burn-flex"] => serve::serve(burn::make_flex, F64)?,
        ["--serve", "burn-ndarray"] => serve::serve(burn::make_ndarray, F64)?,
        // Its convolutions need a nightly compiler.
        ["--serve", "dfdx"] => serve::serve(dfdx::make, &["-f64", "cnn-sgd"])?,
        _ => return Err("peers --serve candle|burn-flex|burn-ndarray|dfdx".into()),
    }
    Ok(())
}
