//! The nodes of the graph.

use std::fmt::Debug;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use candle_core::DType;
use smallvec::SmallVec;

use super::launch::Operand;
use super::saved::SavedArrays;
use super::tensor::placed;
use super::{Array, Tensor, anomaly, mode};
use crate::error::{Error, Result};
use crate::kernel::Dims;

/// One gradient for each input; `None` where it is zero or not needed.
pub(super) type InputGrads = SmallVec<[Option<Tensor>; 3]>;

/// The nodes that made the inputs; `None` for a constant.
type Edges = SmallVec<[Option<Arc<Node>>; 3]>;

/// The backward pass of a node: [`Op`](super::Op) and [`VariadicOp`](super::VariadicOp) without their types.
pub(super) trait BackwardRule: Debug + Send + Sync {
    fn name(&self) -> &'static str;
    fn backward(&self, call: &Call, grad: &Tensor) -> Result<InputGrads>;
    fn derivative(&self) -> Option<String>;
    /// The forward pass once more, for a program: the output and what it saves besides inputs and output. `wanted` says which
    /// inputs need a gradient.
    fn forward(&self, inputs: &[Operand<'_>], wanted: &[bool]) -> Result<Vec<Array>>;
}

/// A rule that a program shares.
#[derive(Debug)]
pub(super) struct Shared(pub(super) Arc<dyn BackwardRule>);

impl BackwardRule for Shared {
    fn name(&self) -> &'static str {
        self.0.name()
    }

    fn backward(&self, call: &Call, grad: &Tensor) -> Result<InputGrads> {
        self.0.backward(call, grad)
    }

    fn derivative(&self) -> Option<String> {
        self.0.derivative()
    }

    fn forward(&self, inputs: &[Operand<'_>], wanted: &[bool]) -> Result<Vec<Array>> {
        self.0.forward(inputs, wanted)
    }
}

/// One recorded operation, in a single allocation with what it saved.
///
/// Ids grow, so an input's id is smaller than its user's: decreasing id is a topological order.
pub(super) struct Node<R: ?Sized = dyn BackwardRule> {
    pub(super) id: u64,
    /// The shape and dtype of the output.
    pub(super) dims: Dims,
    pub(super) dtype: DType,
    pub(super) edges: Edges,
    pub(super) saved_arrays: SavedArrays,
    /// Whether [`Tensor::retain_grad`] was called.
    pub(super) retained: AtomicBool,
    /// Whether the parameter whose value this leaf was has another value now.
    pub(super) stale: AtomicBool,
    pub(super) rule: R,
}

/// A backward rule's view of the node it is called for.
pub(crate) struct Call<'a> {
    pub(super) node: &'a Arc<Node>,
    /// Whether the gradient of input i is needed.
    pub(super) wanted: &'a dyn Fn(usize) -> bool,
}

static NEXT_ID: AtomicU64 = AtomicU64::new(0);

/// A parameter: it has no inputs, and its gradient is collected.
#[derive(Debug)]
pub(super) struct Leaf;

impl BackwardRule for Leaf {
    fn name(&self) -> &'static str {
        "parameter"
    }

    fn backward(&self, _: &Call, _: &Tensor) -> Result<InputGrads> {
        Ok(InputGrads::new())
    }

    fn derivative(&self) -> Option<String> {
        None
    }

    fn forward(&self, _: &[Operand<'_>], _: &[bool]) -> Result<Vec<Array>> {
        unreachable!("a leaf is made by no op")
    }
}

impl<R: BackwardRule + 'static> Node<R> {
    pub(super) fn new(rule: R, output: &Array, edges: Edges, saved_arrays: SavedArrays) -> Arc<Node> {
        let id = NEXT_ID.fetch_add(1, Ordering::Relaxed);
        let (dims, dtype) = (Dims::from_slice(output.dims()), output.dtype());
        let (retained, stale) = (AtomicBool::new(false), AtomicBool::new(false));
        Arc::new(Node { id, dims, dtype, edges, saved_arrays, retained, stale, rule })
    }
}

impl Node {
    pub(super) fn is_leaf(&self) -> bool {
        self.edges.is_empty()
    }

    /// Whether [`Gradients`](super::Gradients) has the gradient of this node.
    pub(super) fn is_collected(&self) -> bool {
        self.is_leaf() || self.retained.load(Ordering::Relaxed)
    }
}

impl Call<'_> {
    pub(crate) fn wants(&self, i: usize) -> bool {
        (self.wanted)(i)
    }

    pub(crate) fn recording(&self) -> bool {
        mode::is_recording()
    }

    pub(super) fn input_count(&self) -> usize {
        self.node.edges.len()
    }

    #[cold]
    fn missing(&self, what: &str) -> Error {
        let reason = format!("backward reads {what}, which forward did not save");
        Error::no_gradient(self.node.rule.name(), reason)
    }

    pub(crate) fn input(&self, i: usize) -> Result<&Array> {
        let saved = self.node.saved_arrays.inputs.get(i).and_then(Option::as_ref);
        saved.ok_or_else(|| self.missing(&format!("input {i}")))
    }

    pub(crate) fn output(&self) -> Result<&Array> {
        self.node.saved_arrays.output.as_ref().ok_or_else(|| self.missing("the output"))
    }

    pub(crate) fn extra(&self, i: usize) -> Result<&Array> {
        self.node.saved_arrays.others.get(i).ok_or_else(|| self.missing(&format!("array {i}")))
    }

    pub(super) fn known_dims(&self, i: usize) -> Result<&[usize]> {
        match self.node.edges.get(i) {
            Some(Some(input)) => Ok(&input.dims),
            _ => Err(self.missing(&format!("the shape of input {i}"))),
        }
    }

    pub(crate) fn input_with_history(&self, i: usize) -> Result<Tensor> {
        Ok(self.with_history(self.input(i)?, self.node.edges[i].as_ref()))
    }

    pub(crate) fn output_with_history(&self) -> Result<Tensor> {
        Ok(self.with_history(self.output()?, Some(self.node)))
    }

    fn with_history(&self, array: &Array, edge: Option<&Arc<Node>>) -> Tensor {
        Tensor { array: array.clone(), node: edge.filter(|_| self.recording()).cloned() }
    }
}

/// The tensor that `node` made.
pub(super) fn attach(node: Arc<Node>, array: Array) -> Tensor {
    anomaly::remember_scope(node.id);
    Tensor { array: placed(array), node: Some(node) }
}

/// Whether an operation on these inputs is recorded.
pub(super) fn needs_grad(inputs: &[&Tensor]) -> bool {
    mode::is_recording() && inputs.iter().any(|input| input.node.is_some())
}

impl<R: ?Sized> Drop for Node<R> {
    /// Drops a whole graph without recursion: a chain of a million operations would overflow the stack.
    fn drop(&mut self) {
        let mut waiting: Vec<Arc<Node>> = self.edges.drain(..).flatten().collect();
        while let Some(mut node) = waiting.pop() {
            // A node with another owner is dropped by that; any other is dropped here, with no edges left.
            if let Some(node) = Arc::get_mut(&mut node) {
                waiting.extend(node.edges.drain(..).flatten());
            }
        }
    }
}
