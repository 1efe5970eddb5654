//! An op of two inputs that answers with one gradient.
use tealight::prelude::*;

#[derive(Debug)]
struct Add;

impl Op<2> for Add {
    const NAME: &'static str = "add";
    fn forward(&self, [a, b]: [&Array; 2], _: &mut SaveContext) -> Result<Array> {
        Ok((a + b)?)
    }
    fn backward(&self, _: &Saved, grad: &Tensor) -> Result<[Option<Tensor>; 2]> {
        Ok([Some(grad.clone())])
    }
}

fn main() {}

//~ error[E0308]: mismatched types
//~ forgotten_gradient.rs:13:12
//~ expected an array with a size of 2, found one with a size of 1
//~ expected array `[Option<tealight::autograd::Tensor>; 2]`
