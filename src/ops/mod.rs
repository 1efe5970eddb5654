//! The operations on tensors: one op, or one tight family, a file, with its formula, gradient, methods and tests.

pub(crate) mod affine;
mod arc;
mod argmax;
mod arithmetic;
mod assign;
mod avg_pool;
mod axis;
mod blend;
mod broadcast_to;
mod cat;
#[cfg(feature = "linalg")]
mod cholesky;
mod compare;
mod conv;
mod count;
mod create;
mod cumprod;
mod cumsum;
#[cfg(feature = "linalg")]
mod det;
mod diag;
mod distance;
mod einsum;
mod erf;
mod exp;
mod extrema;
mod flip;
mod gather;
mod hyperbolic;
mod index;
mod index_select;
mod interpreters;
#[cfg(feature = "linalg")]
mod linalg;
mod logaddexp;
mod logsumexp;
mod masked;
mod matmul;
mod max;
mod max_pool;
mod meshgrid;
mod narrow;
mod norm;
mod normalize_rows;
mod one_hot;
mod onnx;
mod operand;
mod operators;
mod pad;
pub(crate) mod pointwise;
mod powers;
mod prod;
mod random;
mod reduction;
mod remainder;
mod repeat;
#[cfg(test)]
mod replay;
mod resample;
mod reshape;
mod rounding;
mod sigmoid;
mod softmax;
mod sort;
mod split;
mod standardize;
mod std_dev;
mod sum;
mod take;
mod to_device;
mod to_dtype;
pub(crate) mod total;
mod trace;
mod transpose;
mod trig;
mod unfold;
mod upsample;
mod var;
mod where_cond;
mod window;

pub use axis::{Axes, Axis};
pub use index::{Index, Indices, StepRange, step};
pub use operand::Operand;
pub use pad::Pad;
pub use pointwise::apply;
pub use random::Rng;
pub use sigmoid::sigmoid_derivative;
pub(crate) use standardize::standardize;
pub use window::{ConvOptions, ConvPadding, PerSpatialDim, PoolOptions};

#[cfg(test)]
pub(crate) mod testing;
