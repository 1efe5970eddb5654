//! Tensors that record their history, and the gradients computed from it.
//!
//! Every operation on a [`Tensor`] that needs a gradient records a node: its inputs, and what its backward pass needs.
//! [`Tensor::backward`] visits the nodes from newest to oldest. [`grad`] does the same and records that pass too, so that
//! a gradient can be differentiated again.

mod anomaly;
#[cfg(feature = "approx")]
mod approx;
pub(crate) mod array;
mod backward;
mod batched;
mod broadcast;
mod candle;
mod display;
mod forward;
mod grad;
mod gradcheck;
mod gradients;
mod graph;
mod hook;
mod jacobian;
pub(crate) mod launch;
mod mode;
mod node;
pub(crate) mod onnx;
mod op;
mod primitive;
mod saved;
mod series;
mod tensor;
pub(crate) mod trace;

use std::collections::BTreeMap;

pub use anomaly::{detect_anomaly, named_scope};
pub use batched::{batch_jacobian, per_sample_grad};
pub use candle::{CandleOp, from_candle};
pub use forward::{divergence, hessian_diagonal, jvp, laplacian, taylor};
pub use grad::{grad, vjp};
pub use gradcheck::{GradCheck, GradCheckReport, gradcheck};
pub use gradients::Gradients;
pub use graph::Graph;
pub use jacobian::{hessian, hvp, jacobian};
pub use mode::{is_recording, no_grad};
pub use onnx::{Onnx, OnnxAttribute, OnnxValue};
pub(crate) use op::ApplyTape;
pub use op::{Jacobian, Op, VariadicOp};
pub use saved::{SaveContext, Saved};
pub use tensor::{Array, Tensor};

pub use crate::error::Mismatch;

pub(crate) use array::Element;
pub(crate) use broadcast::broadcast_to;
pub(crate) use grad::partial_vjp;
pub(crate) use mode::observed as is_observed;
pub(crate) use mode::with_grad;
pub(crate) use node::Call;
pub(crate) use trace::{is_traced, traced, traced_many};

/// A map of tensors by name. `collect` would compile a sort for each caller.
pub(crate) fn named(tensors: impl Iterator<Item = (String, Tensor)>) -> BTreeMap<String, Tensor> {
    let mut all = BTreeMap::new();
    tensors.for_each(|(name, tensor)| drop(all.insert(name, tensor)));
    all
}
