//! Something that is no layer, in a model.
use tealight::prelude::*;

fn main() {
    Sequential::new().push(L2);
}
