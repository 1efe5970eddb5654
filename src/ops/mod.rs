//! The operations on tensors: one op, or one tight family, a file, with its formula, gradient, methods and tests.

mod arithmetic;
mod axis;
mod compare;
mod create;
mod exp;
mod extrema;
mod lower;
mod matmul;
mod normalize_rows;
mod operators;
pub(crate) mod pointwise;
mod powers;
mod random;
mod reshape;
mod sigmoid;
mod softmax;
mod sum;
mod transpose;
mod trig;
mod where_cond;

pub use axis::Axis;
pub use pointwise::apply;
pub use random::Rng;
pub use sigmoid::sigmoid_derivative;

#[cfg(test)]
pub(crate) mod testing;
