//! A loss in the place of a layer.
use tealight::prelude::*;

fn main() {
    Sequential::new().push(Mse);
}

//~ error[E0277]: `tealight::loss::Mse` is not a layer
//~ not_a_layer_in_a_model.rs:5:28
//~ expected a layer
//~ a layer has `forward` and `fields` (see `fields!`); activations are layers, and `Lambda` makes a layer of a function
