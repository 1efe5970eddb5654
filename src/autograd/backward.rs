//! The backward pass: from a result to what it depends on.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use candle_core::WithDType;

use super::array::{add, on_cpu, with_float};
use super::broadcast::{Accumulate, add_in_place, sum_to};
use super::gradients::Gradients;
use super::node::{Call, Node};
use super::op::Op;
use super::{Array, Tensor, anomaly, launch, mode};
use crate::error::{Error, Result};

/// A node whose gradient is being summed.
struct Pending {
    node: Arc<Node>,
    grad: Tensor,
    /// Whether the backward pass made the gradient's array, which can then be added to in place.
    owned: bool,
}

impl Pending {
    fn add(&mut self, other: Tensor) -> Result<()> {
        if mode::is_recording() {
            self.grad = Accumulate.apply([&self.grad, &other])?;
        } else if self.owned && !launch::recording() {
            add_in_place(&mut self.grad.array, &other.array)?;
        } else {
            self.grad = Tensor::constant(add(&self.grad.array, &other.array)?);
            self.owned = true;
        }
        Ok(())
    }
}

/// The nodes that wait for their turn, of which the one with the largest id is next.
#[derive(Default)]
struct Queue {
    /// Comes before all others: in a chain of operations there are none, and no memory is taken.
    next: Option<Pending>,
    others: BTreeMap<u64, Pending>,
}

impl Queue {
    fn pop(&mut self) -> Option<Pending> {
        self.next.take().or_else(|| self.others.pop_last().map(|(_, pending)| pending))
    }

    fn get_mut(&mut self, id: u64) -> Option<&mut Pending> {
        match &mut self.next {
            Some(next) if next.node.id == id => self.next.as_mut(),
            _ => self.others.get_mut(&id),
        }
    }

    /// Adds a node that does not wait yet.
    fn insert(&mut self, pending: Pending) {
        let last = match &self.next {
            Some(next) => Some(next.node.id),
            None => self.others.last_key_value().map(|(&id, _)| id),
        };
        let later = match last.is_none_or(|last| last < pending.node.id) {
            true => self.next.replace(pending),
            false => Some(pending),
        };
        if let Some(later) = later {
            self.others.insert(later.node.id, later);
        }
    }
}

/// Errors if the parameter whose value this leaf was has another value now.
pub(super) fn check_fresh(pass: &'static str, node: &Node) -> Result<()> {
    if !node.stale.load(Ordering::Relaxed) {
        return Ok(());
    }
    let reason = format!(
        "a parameter of shape {:?} was changed after the forward pass that read it: run forward again",
        node.dims
    );
    Err(Error::no_gradient(pass, reason))
}

/// Propagates `seed`, the gradient of `root`, and calls `found` with each visited node and its gradient.
///
/// Only nodes that are `useful` are visited, and the inputs of `ends` are not, by decreasing id: each once, when its gradient is complete. A gradient is
/// dropped as soon as it was passed on.
fn walk(
    root: &Tensor,
    seed: Tensor,
    useful: &dyn Fn(u64) -> bool,
    ends: &dyn Fn(u64) -> bool,
    found: &mut dyn FnMut(&Node, &Tensor),
) -> Result<()> {
    let Some(start) = root.node.clone().filter(|node| useful(node.id)) else { return Ok(()) };
    let mut queue = Queue::default();
    queue.insert(Pending { node: start, grad: seed, owned: false });
    while let Some(Pending { node, grad, .. }) = queue.pop() {
        check_fresh("backward", &node)?;
        found(&node, &grad);
        if ends(node.id) {
            continue;
        }
        let wanted = |i: usize| matches!(node.edges.get(i), Some(Some(input)) if useful(input.id));
        if !(0..node.edges.len()).any(wanted) {
            continue;
        }
        let call = Call { node: &node, wanted: &wanted };
        let grads = anomaly::check_backward(&node, &grad, || node.rule.backward(&call, &grad))?;
        let device = grad.device().clone();
        drop(grad);
        for (i, grad) in grads.into_iter().enumerate() {
            let (Some(Some(input)), true) = (node.edges.get(i), wanted(i)) else { continue };
            if let (Some(grad), true) = (&grad, launch::recording()) {
                launch::check_gradient(node.rule.name(), grad);
            }
            let grad = match grad {
                Some(grad) => sum_to(&grad, &input.dims).map_err(|error| error.context(node.rule.name()))?,
                None if queue.get_mut(input.id).is_some() => continue,
                // Zero is a gradient, too: only what is not reached has none.
                None => Tensor::constant(Array::zeros(&input.dims[..], input.dtype, &device)?),
            };
            match queue.get_mut(input.id) {
                Some(known) => known.add(grad)?,
                None => queue.insert(Pending { node: input.clone(), grad, owned: false }),
            }
        }
    }
    Ok(())
}

impl Tensor {
    /// The gradient of this scalar with respect to every parameter that it depends on.
    ///
    /// The graph is kept, so `backward` can be called again. Unlike in PyTorch, gradients are returned, and not added
    /// to those of an earlier call.
    ///
    /// # Errors
    /// Errors if this is not a scalar, or depends on no parameter.
    ///
    /// ```
    /// # use tealight::prelude::*;
    /// let x = Tensor::parameter(Tensor::new(&[1.0, 2.0], &Device::Cpu)?);
    /// let gradients = x.sqr()?.sum_all()?.backward()?;
    /// assert_eq!(gradients.get(&x).unwrap().to_vec1::<f64>()?, [2.0, 4.0]);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn backward(&self) -> Result<Gradients> {
        if self.elem_count() != 1 {
            let expected = "a scalar (reduce it with mean_all or sum_all, or see autograd::vjp)";
            return Err(Error::shape("backward", expected, &[self.dims()]));
        }
        self.collect(ones(self)?)
    }

    /// [`backward`](Tensor::backward) from a tensor of any shape, given the gradient with respect to it: the gradient of
    /// Σ `gradient` · `self`.
    ///
    /// # Errors
    /// Errors if `gradient` has another shape or dtype, or this tensor depends on no parameter.
    ///
    /// ```
    /// # use tealight::prelude::*;
    /// let x = Tensor::parameter(Tensor::new(&[1.0, 2.0], &Device::Cpu)?);
    /// let gradient = Tensor::new(&[10.0, 1.0], &Device::Cpu)?;
    /// let gradients = x.sqr()?.backward_from(&gradient)?;
    /// assert_eq!(gradients.get(&x).unwrap().to_vec1::<f64>()?, [20.0, 4.0]);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn backward_from(&self, gradient: &Tensor) -> Result<Gradients> {
        if self.dims() != gradient.dims() {
            let expected = "a gradient of the tensor's shape";
            return Err(Error::shape("backward_from", expected, &[self.dims(), gradient.dims()]));
        }
        if self.dtype() != gradient.dtype() {
            let got = [self.dtype(), gradient.dtype()];
            return Err(Error::dtype(
                "backward_from",
                "a gradient of the tensor's dtype (see to_dtype)",
                &got,
            ));
        }
        self.collect(gradient.detach())
    }

    fn collect(&self, seed: Tensor) -> Result<Gradients> {
        if self.node.is_none() {
            let reason = "this tensor depends on no parameter (make one with Tensor::parameter; \
                          detach, no_grad and comparisons end the history)";
            return Err(Error::no_gradient("backward", reason));
        }
        mode::with_recording(false, || {
            let mut gradients = Gradients::default();
            walk(self, seed, &|_| true, &|_| false, &mut |node, grad| {
                if node.is_collected() {
                    gradients.by_node.insert(node.id, grad.clone());
                }
            })?;
            Ok(gradients)
        })
    }
}

pub(super) fn ones(like: &Tensor) -> Result<Tensor> {
    if !on_cpu(&like.array) {
        return Ok(Tensor::constant(like.array.ones_like()?));
    }
    // Mostly of one element, for which candle's way takes longer than the rest of a short backward pass.
    let ones = with_float!(like.dtype(), T => T::to_cpu_storage_owned(vec![1.0; like.elem_count()]));
    Ok(Tensor::constant(launch::array(ones, like.dims())))
}

/// The gradients of `y`, weighted with `seed`, with respect to `xs`; `None` where y does not depend on x. What
/// an x was computed from counts only if `through`.
pub(super) fn gradients_of(
    y: &Tensor,
    xs: &[&Tensor],
    seed: Tensor,
    through: bool,
) -> Result<Vec<Option<Tensor>>> {
    let mut targets = BTreeSet::new();
    for (i, x) in xs.iter().enumerate() {
        let reason = || format!("input {i} does not require a gradient (make it with Tensor::parameter)");
        let node = x.node.as_ref().ok_or_else(|| Error::no_gradient("grad", reason()))?;
        targets.insert(node.id);
    }
    let oldest = targets.first().copied().unwrap_or(u64::MAX);
    let useful = leading_to(y, oldest, &|id| targets.contains(&id), through);
    let mut found = BTreeMap::new();
    let ends = |id| !through && targets.contains(&id);
    walk(y, seed, &|id| useful.contains_key(&id), &ends, &mut |node, grad| {
        if targets.contains(&node.id) {
            found.insert(node.id, grad.clone());
        }
    })?;
    Ok(xs.iter().map(|x| found.get(&x.node.as_ref()?.id).cloned()).collect())
}

/// The gradients of `y`, weighted with `seed`, with respect to the `nodes` between it and the node `end`, by their ids.
pub(super) fn gradients_along(
    y: &Tensor,
    seed: Tensor,
    nodes: &BTreeMap<u64, &Arc<Node>>,
    end: u64,
) -> Result<BTreeMap<u64, Tensor>> {
    let mut found = BTreeMap::new();
    walk(y, seed, &|id| nodes.contains_key(&id), &|id| id == end, &mut |node, grad| {
        found.insert(node.id, grad.clone());
    })?;
    Ok(found)
}

/// The nodes of y's history that depend on a target, oldest first. Besides the targets only those from id `oldest` on are visited: a node
/// older than every target cannot depend on one. The inputs of targets are visited only if `through`.
pub(super) fn leading_to<'a>(
    y: &'a Tensor,
    oldest: u64,
    is_target: &dyn Fn(u64) -> bool,
    through: bool,
) -> BTreeMap<u64, &'a Arc<Node>> {
    let mut nodes = BTreeMap::new();
    let mut waiting: Vec<&Arc<Node>> = y.node.iter().collect();
    while let Some(node) = waiting.pop() {
        let target = is_target(node.id);
        if (node.id >= oldest || target) && nodes.insert(node.id, node).is_none() && (through || !target) {
            waiting.extend(node.edges.iter().flatten());
        }
    }
    let mut useful = BTreeMap::new();
    for (id, node) in nodes {
        let leads = node.edges.iter().flatten().any(|input| useful.contains_key(&input.id));
        if leads || is_target(id) {
            useful.insert(id, node);
        }
    }
    useful
}

/// The names of the operations in y's history, each once.
pub(super) fn op_names(y: &Tensor) -> Vec<&'static str> {
    let mut names = Vec::new();
    let mut seen = HashSet::new();
    let mut waiting: Vec<&Arc<Node>> = y.node.iter().collect();
    while let Some(node) = waiting.pop() {
        if seen.insert(node.id) {
            if !node.is_leaf() && !names.contains(&node.rule.name()) {
                names.push(node.rule.name());
            }
            waiting.extend(node.edges.iter().flatten());
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use crate::prelude::*;

    #[test]
    fn zero_is_a_gradient() -> Result<()> {
        type Function = fn(&Tensor) -> Result<Tensor>;
        let flat: [(&str, Function); 12] = [
            ("x * 0", |x| x * 0.0),
            ("0 * x", |x| 0.0 * x),
            ("x / ∞", |x| x / f64::INFINITY),
            ("x⁰", |x| x.powf(0.0)),
            ("floor", Tensor::floor),
            ("ceil", Tensor::ceil),
            ("round", Tensor::round),
            ("trunc", Tensor::trunc),
            ("sign", Tensor::sign),
            ("clamp", |x| x.clamp(5.0, 6.0)),
            ("a chain", |x| (x.exp()? * 0.0)?.sin()),
            ("a matrix", |x| (x.unsqueeze(0)? * 0.0)?.matmul(&x.unsqueeze(1)?.detach())),
        ];
        for dtype in [DType::F16, DType::BF16, DType::F32, DType::F64] {
            let x = Tensor::parameter(Tensor::new(&[1.5, -2.0], &Device::Cpu)?.to_dtype(dtype)?);
            let other = x.detach().into_parameter();
            for (name, f) in flat {
                let loss = f(&x)?.sum_all()?;
                let gradients = loss.backward()?;
                let expected = x.zeros_like()?;
                assert_eq!(gradients.get(&x), Some(&expected), "{name}");
                assert!(gradients.get(&other).is_none(), "{name}");
                // It adds nothing to another path, and its derivative is zero again.
                let both = (loss + x.sum_all()?)?;
                assert_eq!(both.backward()?.get(&x), Some(&x.ones_like()?), "{name}");
                let [first] = autograd::grad(&f(&x)?.sum_all()?, [&x])?;
                let [second] = autograd::grad(&first.sum_all()?, [&x])?;
                assert_eq!((&first, &second), (&expected, &expected), "{name}");
            }
        }
        Ok(())
    }

    /// A custom operation that says with `None` that its gradient is zero.
    #[derive(Debug)]
    struct Flat;

    impl Op<2> for Flat {
        const NAME: &'static str = "flat";
        fn forward(&self, [a, b]: [&Array; 2], _: &mut SaveContext) -> Result<Array> {
            Ok(a.broadcast_add(b)?)
        }
        fn backward(&self, _: &Saved, grad: &Tensor) -> Result<[Option<Tensor>; 2]> {
            Ok([None, Some(grad.clone())])
        }
    }

    #[test]
    fn none_of_a_reached_input_is_zero() -> Result<()> {
        let [a, b] = [1.0, 2.0].map(|x| Tensor::parameter(Array::new(&[[x], [x]], &Device::Cpu).unwrap()));
        let gradients = Flat.apply([&a, &b])?.sum_all()?.backward()?;
        assert_eq!(gradients.get(&a), Some(&a.zeros_like()?));
        assert_eq!(gradients.get(&b), Some(&b.ones_like()?));
        // A constant is not reached.
        assert_eq!(Flat.apply([&a.detach(), &b])?.sum_all()?.backward()?.len(), 1);
        Ok(())
    }

    #[test]
    fn an_empty_tensor_used_many_times() -> Result<()> {
        for dims in [(3, 0), (0, 3), (0, 0)] {
            for dtype in [DType::F16, DType::F32, DType::F64] {
                let x = Tensor::parameter(Tensor::zeros(dims, dtype, &Device::Cpu)?);
                let y = ((&x * &x)? + (x.exp()? + (&x + x.t()?.t()?)?)?)?;
                let gradients = y.sum_all()?.backward()?;
                assert_eq!(gradients.get(&x), Some(&x.zeros_like()?));
                let [first] = autograd::grad(&y.sum_all()?, [&x])?;
                let [second] = autograd::grad(&first.sum_all()?, [&x])?;
                assert_eq!(second.shape().dims2()?, dims);
            }
        }
        Ok(())
    }
}
