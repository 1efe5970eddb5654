//! The operations on tensors: one op, or one tight family, a file, with its formula, gradient, methods and tests.

mod arc;
mod arithmetic;
mod axis;
mod blend;
mod broadcast_to;
mod cat;
mod compare;
mod create;
mod einsum;
mod erf;
mod exp;
mod extrema;
mod gather;
mod hyperbolic;
mod index;
mod index_select;
mod lower;
mod matmul;
mod max;
mod narrow;
mod normalize_rows;
mod operand;
mod operators;
pub(crate) mod pointwise;
mod powers;
mod random;
mod remainder;
mod reshape;
mod rounding;
mod sigmoid;
mod softmax;
mod sum;
mod trace;
mod transpose;
mod trig;
mod where_cond;

pub use axis::Axis;
pub use index::{Index, Indices, Part};
pub use operand::{Operand, Side};
pub use pointwise::apply;
pub use random::Rng;
pub use sigmoid::sigmoid_derivative;

#[cfg(test)]
pub(crate) mod testing;
