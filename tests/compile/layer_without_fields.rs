//! A layer that does not list its fields: its parameters could not be found.
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
