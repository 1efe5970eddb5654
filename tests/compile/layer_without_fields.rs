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

//~ error[E0046]: not all trait items implemented, missing: `fields`
//~ layer_without_fields.rs:8:1
//~ missing `fields` in implementation
