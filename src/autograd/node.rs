//! The graph: nodes, and how they are made and let go.

use std::fmt::Debug;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use smallvec::SmallVec;

use super::saved::SavedArrays;
use super::tensor::placed;
use super::{Array, Tensor, anomaly, mode};
use crate::error::{Error, Result};
use crate::kernel::Dims;

/// One gradient for each input, `None` where nobody waits for it.
pub(crate) type Grads = SmallVec<[Option<Tensor>; 3]>;

/// The nodes that made the inputs; `None` for a constant.
pub(super) type Edges = SmallVec<[Option<Arc<Node>>; 3]>;

/// What a node knows about its operation: how to take a gradient back through it.
pub(crate) trait BackwardRule: Debug + Send + Sync {
    fn name(&self) -> &'static str;
    fn backward(&self, call: &Call, grad: &Tensor) -> Result<Grads>;

    /// The derivative as a formula, for [`Graph`](super::Graph).
    fn derivative(&self) -> Option<String> {
        None
    }
}

/// One recorded operation, in a single allocation with what it saved.
///
/// Ids grow, so an input's id is smaller than its user's: decreasing id is a topological order.
pub(super) struct Node<R: ?Sized = dyn BackwardRule> {
    pub(super) id: u64,
    /// The shape of the output.
    pub(super) dims: Dims,
    pub(super) edges: Edges,
    pub(super) saved_arrays: SavedArrays,
    /// Whether somebody asked for the gradient of this node, which is no leaf.
    pub(super) retained: AtomicBool,
    /// Whether the parameter that this leaf was has another value by now.
    pub(super) outdated: AtomicBool,
    pub(super) rule: R,
}

/// A backward rule's view of the node it is called for.
pub(crate) struct Call<'a> {
    pub(super) node: &'a Arc<Node>,
    /// Whether anybody waits for the gradient of input i.
    pub(super) wanted: &'a dyn Fn(usize) -> bool,
}

static NEXT_ID: AtomicU64 = AtomicU64::new(0);

/// A leaf: nothing came before it, and its gradient is collected.
#[derive(Debug)]
pub(super) struct Leaf;

impl BackwardRule for Leaf {
    fn name(&self) -> &'static str {
        "parameter"
    }
    fn backward(&self, _: &Call, _: &Tensor) -> Result<Grads> {
        Ok(Grads::new())
    }
}

impl<R: BackwardRule + 'static> Node<R> {
    pub(super) fn new(rule: R, dims: &[usize], edges: Edges, saved_arrays: SavedArrays) -> Arc<Node> {
        let id = NEXT_ID.fetch_add(1, Ordering::Relaxed);
        let (retained, outdated) = (AtomicBool::new(false), AtomicBool::new(false));
        Arc::new(Node { id, dims: Dims::from_slice(dims), edges, saved_arrays, retained, outdated, rule })
    }
}

impl Node {
    pub(super) fn is_leaf(&self) -> bool {
        self.edges.is_empty()
    }

    /// Whether [`Gradients`](super::Gradients) is to have the gradient of this node.
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

    /// The shape of input i, which the node that made it knows; of a constant nobody needs it.
    pub(crate) fn dims(&self, i: usize) -> Option<&[usize]> {
        Some(&self.node.edges.get(i)?.as_ref()?.dims)
    }

    #[cold]
    fn missing(&self, what: &str) -> Error {
        let reason = format!("the backward rule asks for {what}, which forward did not keep");
        Error::no_gradient(self.node.rule.name(), reason)
    }

    pub(crate) fn input(&self, i: usize) -> Result<&Array> {
        let kept = self.node.saved_arrays.inputs.get(i).and_then(Option::as_ref);
        kept.ok_or_else(|| self.missing(&format!("input {i}")))
    }

    pub(crate) fn output(&self) -> Result<&Array> {
        self.node.saved_arrays.output.as_ref().ok_or_else(|| self.missing("the output"))
    }

    pub(crate) fn extra(&self, i: usize) -> Result<&Array> {
        self.node.saved_arrays.extra.get(i).ok_or_else(|| self.missing(&format!("extra array {i}")))
    }

    pub(super) fn known_dims(&self, i: usize) -> Result<&[usize]> {
        self.dims(i).ok_or_else(|| self.missing(&format!("the shape of input {i}")))
    }

    pub(crate) fn input_with_history(&self, i: usize) -> Result<Tensor> {
        Ok(self.with_history(self.input(i)?, self.node.edges[i].as_ref()))
    }

    pub(crate) fn output_with_history(&self) -> Result<Tensor> {
        Ok(self.with_history(self.output()?, Some(self.node)))
    }

    pub(super) fn with_history(&self, array: &Array, edge: Option<&Arc<Node>>) -> Tensor {
        Tensor { array: array.clone(), node: edge.filter(|_| self.recording()).cloned() }
    }
}

/// The result of an operation: `array`, with a node if the history is recorded and any input has one.
///
/// `rule` is only called in that case.
pub(crate) fn record<R: BackwardRule + 'static>(
    inputs: &[&Tensor],
    array: Array,
    saved_arrays: SavedArrays,
    rule: impl FnOnce() -> R,
) -> Tensor {
    if !needs_grad(inputs) {
        return Tensor::constant(array);
    }
    attach(Node::new(rule(), array.dims(), edges(inputs), saved_arrays), array)
}

fn edges(inputs: &[&Tensor]) -> Edges {
    inputs.iter().map(|input| input.node.clone()).collect()
}

fn attach(node: Arc<Node>, array: Array) -> Tensor {
    anomaly::remember_place(node.id);
    Tensor { array: placed(array), node: Some(node) }
}

/// Whether an operation on these inputs is recorded.
pub(super) fn needs_grad(inputs: &[&Tensor]) -> bool {
    mode::is_recording() && inputs.iter().any(|input| input.node.is_some())
}

impl<R: ?Sized> Drop for Node<R> {
    /// Lets a whole graph go without recursion: a chain of a million operations would overflow the stack.
    fn drop(&mut self) {
        let mut waiting: Vec<Arc<Node>> = self.edges.drain(..).flatten().collect();
        while let Some(mut node) = waiting.pop() {
            // Whoever else holds the node will drop it; otherwise it goes now, with no edges left.
            if let Some(node) = Arc::get_mut(&mut node) {
                waiting.extend(node.edges.drain(..).flatten());
            }
        }
    }
}
