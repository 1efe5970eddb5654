//! The peers in Rust serve the jobs of the table: `peers --serve PEER`. See ../README.md.

mod burn;
#[path = "../../speed/candle.rs"]
mod candle;
mod dfdx;
#[path = "../../speed/job.rs"]
#[allow(dead_code)] // whether a job is replayed, which is for us
mod job;
#[path = "../../speed/serve.rs"]
mod serve;

use gemm as _; // for its feature alone

/// In f64 numpy alone has to be beaten; a gradient of a gradient is beyond them.
const WITHOUT: &[&str] = &["-f64", "pinn"];
/// Its gradient of a 1-D convolution is wrong for more than one sequence.
const WITHOUT_CANDLE: &[&str] = &["-f64", "pinn", "conv1d"];
/// Convolutions, and more that is made of layers, need a nightly compiler.
const WITHOUT_DFDX: &[&str] = &[
    "-f64",
    "cnn",
    "separable",
    "lstm",
    "transformer",
    "pinn",
    "gru",
    "autoencoder",
    "conv1d",
    "residual",
    "text",
];

/// What the programs do: they differ in their allocators.
pub fn run() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["--iris", "candle"] => println!("{}", candle::iris()?),
        ["--iris", "burn-flex"] => println!("{}", burn::iris(&burn::flex())?),
        ["--iris", "burn-ndarray"] => println!("{}", burn::iris(&burn::ndarray())?),
        ["--iris", "dfdx"] => println!("{}", dfdx::iris()?),
        ["--serve", "candle"] => serve::serve(candle::make, WITHOUT_CANDLE)?,
        ["--serve", "burn-flex"] => serve::serve(burn::make_flex, WITHOUT)?,
        ["--serve", "burn-ndarray"] => serve::serve(burn::make_ndarray, WITHOUT)?,
        ["--serve", "dfdx"] => serve::serve(dfdx::make, WITHOUT_DFDX)?,
        _ => return Err("peers --serve candle|burn-flex|burn-ndarray|dfdx".into()),
    }
    Ok(())
}
