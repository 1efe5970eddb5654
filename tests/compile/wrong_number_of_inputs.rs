//! An op of two inputs that is applied to one.
use tealight::prelude::*;

#[derive(Debug)]
struct Add;

impl Op<2> for Add {
    const NAME: &'static str = "add";
    fn forward(&self, [a, b]: [&Array; 2], _: &mut SaveContext) -> Result<Array> {
        Ok((a + b)?)
    }
    fn backward(&self, _: &Saved, grad: &Tensor) -> Result<[Option<Tensor>; 2]> {
        Ok([Some(grad.clone()), Some(grad.clone())])
    }
}

fn main() -> Result<()> {
    let x = Tensor::new(1.0, &Device::Cpu)?;
    Add.apply([&x])?;
    Ok(())
}

//~ error[E0308]: mismatched types
//~ wrong_number_of_inputs.rs:19:15
//~ expected an array with a size of 2, found one with a size of 1
//~ expected array `[&tealight::autograd::Tensor; 2]`
