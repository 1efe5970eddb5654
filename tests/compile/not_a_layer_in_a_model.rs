//! A loss in the place of a layer.
use tealight::prelude::*;

fn main() {
    Sequential::new().push(Mse);
}
