//! The nodes of the graph.

use std::fmt::{self, Debug};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use candle_core::DType;
use smallvec::SmallVec;

use super::launch::{self, Operand};
use super::op::{ApplyTape, Jacobian};
use super::saved::{SaveContext, SavedArrays};
use super::tensor::placed;
use super::{Array, Tensor, anomaly, mode, trace};
use crate::error::{Error, Result};
use crate::formula::Tape;
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
    fn jacobian(&self) -> Jacobian;
    fn jvp(&self, call: &Call, tangents: &[Option<&Tensor>]) -> Result<Option<Tensor>>;
    /// [`Op::by_rows`](super::Op::by_rows)
    fn by_rows(&self) -> bool {
        false
    }
    /// [`Op::slopes`](super::Op::slopes)
    fn slopes(&self) -> Option<([Tape; 2], ApplyTape)> {
        None
    }
    /// The forward pass on other inputs.
    fn run(&self, inputs: &[&Array], ctx: &mut SaveContext) -> Result<Array>;
}

/// A rule that a program shares.
#[derive(Debug)]
pub(super) struct Shared(pub(super) Arc<dyn BackwardRule>);

/// The rule of another node, for the same operation on other inputs.
struct Again(Arc<Node>);

impl Debug for Again {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.rule.fmt(f)
    }
}

macro_rules! delegate {
    ($($name:ident: |$rule:ident| $inner:expr),*) => {$(
        impl BackwardRule for $name {
            fn name(&self) -> &'static str {
                let $rule = &self.0;
                $inner.name()
            }
            fn backward(&self, call: &Call, grad: &Tensor) -> Result<InputGrads> {
                let $rule = &self.0;
                $inner.backward(call, grad)
            }
            fn derivative(&self) -> Option<String> {
                let $rule = &self.0;
                $inner.derivative()
            }
            fn forward(&self, inputs: &[Operand<'_>], wanted: &[bool]) -> Result<Vec<Array>> {
                let $rule = &self.0;
                $inner.forward(inputs, wanted)
            }
            fn jacobian(&self) -> Jacobian {
                let $rule = &self.0;
                $inner.jacobian()
            }
            fn jvp(&self, call: &Call, tangents: &[Option<&Tensor>]) -> Result<Option<Tensor>> {
                let $rule = &self.0;
                $inner.jvp(call, tangents)
            }
            fn by_rows(&self) -> bool {
                let $rule = &self.0;
                $inner.by_rows()
            }
            fn slopes(&self) -> Option<([Tape; 2], ApplyTape)> {
                let $rule = &self.0;
                $inner.slopes()
            }
            fn run(&self, inputs: &[&Array], ctx: &mut SaveContext) -> Result<Array> {
                let $rule = &self.0;
                $inner.run(inputs, ctx)
            }
        }
    )*};
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

    fn jacobian(&self) -> Jacobian {
        Jacobian::Linear
    }

    fn jvp(&self, _: &Call, _: &[Option<&Tensor>]) -> Result<Option<Tensor>> {
        Ok(None)
    }

    fn run(&self, _: &[&Array], _: &mut SaveContext) -> Result<Array> {
        unreachable!("a leaf is made by no op")
    }
}

delegate!(Shared: |rule| rule, Again: |node| node.rule);

/// The operation that made `node`, on other inputs of the same shapes.
pub(super) fn again(node: &Arc<Node>, inputs: &[&Tensor]) -> Result<Tensor> {
    let (mut ctx, mark) = (SaveContext::new(inputs), launch::mark());
    let arrays: Vec<&Array> = inputs.iter().map(|x| x.array()).collect();
    let (name, rule) = (node.rule.name(), Again(node.clone()));
    let output = rule.run(&arrays, &mut ctx)?;
    if mode::observed() {
        trace::observe(name, inputs, &output, &mut |onnx| Err(onnx.no_form(name)))?;
        if ctx.is_opaque(&output) {
            return Ok(ctx.record_opaque(mark, output, Arc::new(rule)));
        }
    }
    Ok(ctx.record(output, || rule))
}

/// The id of the next node; of this thread's later nodes none has a smaller one.
pub(super) fn next_id() -> u64 {
    NEXT_ID.load(Ordering::Relaxed)
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
        let mut waiting: SmallVec<[Arc<Node>; 4]> = SmallVec::new();
        self.edges.drain(..).flatten().for_each(|node| waiting.push(node));
        while let Some(mut node) = waiting.pop() {
            // A node with another owner is dropped by that; any other is dropped here, with no edges left.
            if let Some(node) = Arc::get_mut(&mut node) {
                waiting.extend(node.edges.drain(..).flatten());
            }
        }
    }
}
