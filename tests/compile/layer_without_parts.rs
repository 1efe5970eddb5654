//! A layer that does not say what it is made of: nobody would find its parameters.
use tealight::prelude::*;

struct Scale {
    factor: Parameter,
}

impl Layer for Scale {
    fn forward(&self, x: &Tensor, _: &mut ForwardContext) -> Result<Tensor> {
        x * &self.factor.get()
    }
}

fn main() {}
