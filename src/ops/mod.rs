//! The operations on tensors: one op, or one tight family, a file, with its formula, gradient, methods and tests.

mod argmax;
mod arithmetic;
mod axis;
mod broadcast_to;
mod cat;
mod compare;
mod count;
mod create;
mod cumprod;
mod cumsum;
mod exp;
mod extrema;
mod gather;
mod index;
mod index_select;
mod logsumexp;
mod lower;
mod matmul;
mod max;
mod narrow;
mod norm;
mod normalize_rows;
mod operators;
pub(crate) mod pointwise;
mod powers;
mod prod;
mod random;
mod reduction;
mod reshape;
mod sigmoid;
mod softmax;
mod sort;
mod std_dev;
mod sum;
mod transpose;
mod trig;
mod var;
mod where_cond;

pub use axis::{Axes, Axis};
pub use index::{Index, Indices, Part};
pub use pointwise::apply;
pub use random::Rng;
pub use sigmoid::sigmoid_derivative;

#[cfg(test)]
pub(crate) mod testing;
