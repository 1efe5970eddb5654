//! A tensor is asked for, and a result is there.
use tealight::prelude::*;

fn main() -> Result<()> {
    let x = Tensor::new(1.0, &Device::Cpu)?;
    let y: Tensor = x.exp();
    println!("{y}");
    Ok(())
}

//~ error[E0308]: mismatched types
//~ forgotten_question_mark.rs:6:21
//~ expected `Tensor`, found `Result<Tensor, Error>`
//~ let y: Tensor = x.exp()?;
