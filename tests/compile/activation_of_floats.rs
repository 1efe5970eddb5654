//! A formula that leaves the numbers that it is read with: there is no derivative of it.
use tealight::prelude::*;

#[derive(Clone, Debug)]
struct Bell;

impl Activation for Bell {
    const NAME: &'static str = "bell";
    fn value<R: Real>(&self, x: R) -> R {
        let x: f64 = x;
        (-x * x).exp()
    }
}

fn main() {}

//~ error[E0308]: mismatched types
//~ activation_of_floats.rs:10:22
//~ expected `f64`, found type parameter `R`
//~ error[E0308]: mismatched types
//~ activation_of_floats.rs:11:9
//~ the caller chooses a type for `R` which can be different from `f64`
