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
