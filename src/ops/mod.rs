//! The operations on tensors: one op, or one tight family, a file, with its formula, gradient, methods and tests.

mod arithmetic;
mod assign;
mod axis;
mod broadcast_to;
mod cat;
mod compare;
mod create;
mod diag;
mod exp;
mod extrema;
mod flip;
mod gather;
mod index;
mod index_select;
mod lower;
mod masked;
mod matmul;
mod max;
mod meshgrid;
mod narrow;
mod normalize_rows;
mod one_hot;
mod operators;
mod pad;
pub(crate) mod pointwise;
mod powers;
mod random;
mod repeat;
mod reshape;
mod sigmoid;
mod softmax;
mod split;
mod sum;
mod take;
mod transpose;
mod trig;
mod unfold;
mod where_cond;

pub use axis::Axis;
pub use index::{Bounds, Index, Indices, Part, Step, step};
pub use pad::Pad;
pub use pointwise::apply;
pub use random::Rng;
pub use sigmoid::sigmoid_derivative;

#[cfg(test)]
pub(crate) mod testing;
