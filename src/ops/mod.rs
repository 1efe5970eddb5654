//! The operations on tensors: one op, or one tight family, a file, with its formula, gradient, methods and tests.

mod arithmetic;
mod avg_pool;
mod axis;
mod broadcast_to;
mod cat;
mod compare;
mod conv;
mod create;
mod exp;
mod extrema;
mod gather;
mod index;
mod index_select;
mod lower;
mod matmul;
mod max;
mod max_pool;
mod narrow;
mod normalize_rows;
mod operators;
pub(crate) mod pointwise;
mod powers;
mod random;
mod resample;
mod reshape;
mod sigmoid;
mod softmax;
mod sum;
mod transpose;
mod trig;
mod upsample;
mod where_cond;
mod window;

pub use axis::Axis;
pub use index::{Index, Indices, Part};
pub use pointwise::apply;
pub use random::Rng;
pub use sigmoid::sigmoid_derivative;
pub use window::{ConvOptions, PoolOptions, Sides};

#[cfg(test)]
pub(crate) mod testing;
