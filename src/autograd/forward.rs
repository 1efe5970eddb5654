//! Forward mode: directional derivatives ("tangents") are pushed through the recorded graph, from the inputs to the result.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::array::count;
use super::backward::{check_fresh, leading_to, ones};
use super::broadcast::{Accumulate, broadcast_to, sum_to};
use super::grad::vjps;
use super::jacobian::{inner_products, same_kind};
use super::node::{Call, Node, again, next_id};
use super::op::{Jacobian, Op};
use super::series::series;
use super::{Array, Tensor, launch, mode};
use crate::error::{Error, Result};

/// The tangents of some nodes, by their ids.
type Seeds = BTreeMap<u64, Tensor>;

/// The tangent of `y`, or `None` if it does not depend on a seed.
///
/// Only nodes from id `oldest` on are visited, besides the seeds. If `fixed`, the seeds' own inputs do not count.
fn tangent_of(y: &Tensor, seeds: &Seeds, oldest: u64, fixed: bool) -> Result<Option<Tensor>> {
    let mut tangents = Seeds::new();
    for (id, node) in leading_to(y, oldest, &|id| seeds.contains_key(&id), !fixed) {
        check_fresh("jvp", node)?;
        let seed = seeds.get(&id).cloned();
        let tangent = match seed {
            Some(seed) if fixed => Some(seed),
            seed => add(seed, push(node, &inputs_of(node, &tangents))?)?,
        };
        tangents.extend(tangent.map(|tangent| (id, tangent)));
    }
    Ok(y.node.as_ref().and_then(|node| tangents.remove(&node.id)))
}

fn inputs_of<'a>(node: &Node, tangents: &'a Seeds) -> Vec<Option<&'a Tensor>> {
    node.edges.iter().map(|edge| tangents.get(&edge.as_ref()?.id)).collect()
}

pub(super) fn add(a: Option<Tensor>, b: Option<Tensor>) -> Result<Option<Tensor>> {
    match (a, b) {
        (Some(a), Some(b)) => Accumulate.apply([&a, &b]).map(Some),
        (a, b) => Ok(a.or(b)),
    }
}

/// The tangent of a node's result, from those of its inputs.
pub(super) fn push(node: &Arc<Node>, tangents: &[Option<&Tensor>]) -> Result<Option<Tensor>> {
    if tangents.iter().all(Option::is_none) {
        return Ok(None);
    }
    let wanted = |i: usize| matches!(tangents.get(i), Some(Some(_)));
    let call = Call { node, wanted: &wanted };
    if let Some(tangent) = node.rule.jvp(&call, tangents)? {
        if tangent.dims() != &node.dims[..] || tangent.dtype() != node.dtype {
            let got = format!("a tangent of shape {:?} and dtype {:?}", tangent.dims(), tangent.dtype());
            let reason = format!("jvp returned {got} for an output of {:?} and {:?}", node.dims, node.dtype);
            return Err(Error::no_gradient(node.rule.name(), reason));
        }
        return Ok(Some(tangent));
    }
    match (node.rule.jacobian(), tangents) {
        (Jacobian::Linear, _) => {
            if let Some(inputs) = with_zeros(node, tangents)? {
                return again(node, &inputs.iter().collect::<Vec<_>>()).map(Some);
            }
        }
        (Jacobian::Bilinear, &[a, b]) => {
            let a = a.map(|a| again(node, &[a, &call.input_with_history(1)?])).transpose()?;
            let b = b.map(|b| again(node, &[&call.input_with_history(0)?, b])).transpose()?;
            return add(a, b);
        }
        (Jacobian::Diagonal | Jacobian::Symmetric, _) => {
            let mut sum = None;
            for (i, tangent) in tangents.iter().enumerate() {
                if let Some(tangent) = tangent {
                    sum = add(sum, pull(node, i, &broadcast_to(tangent, &node.dims)?)?)?;
                }
            }
            return Ok(sum);
        }
        _ => {}
    }
    transposed(&call, tangents)
}

/// The gradient of input i alone.
pub(super) fn pull(node: &Arc<Node>, i: usize, grad: &Tensor) -> Result<Option<Tensor>> {
    let grads = node.rule.backward(&Call { node, wanted: &|j| i == j }, grad)?;
    Ok(grads.into_iter().nth(i).flatten())
}

/// The tangents, with zeros for those that are missing; `None` if the shape of one is not known.
fn with_zeros(node: &Node, tangents: &[Option<&Tensor>]) -> Result<Option<Vec<Tensor>>> {
    let Some(device) = tangents.iter().flatten().next().map(|x| x.device()) else { return Ok(None) };
    let tangent = |(edge, &tangent): (&Option<Arc<Node>>, &Option<&Tensor>)| match (tangent, edge) {
        (Some(tangent), _) => Some(Ok(tangent.clone())),
        (None, Some(input)) => {
            let zeros = Array::zeros(&input.dims[..], input.dtype, device);
            Some(zeros.map(Tensor::constant).map_err(Error::from))
        }
        (None, None) => None,
    };
    node.edges.iter().zip(tangents).map(tangent).collect::<Option<Result<Vec<_>>>>().transpose()
}

/// J·v by differentiating the backward pass: uᵀJ is linear in u, so the gradient of ⟨uᵀJ, v⟩ with respect to u is J·v for any u.
fn transposed(call: &Call, tangents: &[Option<&Tensor>]) -> Result<Option<Tensor>> {
    let node = call.node;
    let Some(first) = tangents.iter().flatten().next() else { return Ok(None) };
    if count(&node.dims) == 1 {
        // One row: its product with the tangents.
        let one = Tensor::constant(Array::ones(&node.dims[..], node.dtype, first.device())?);
        let mut sum = None;
        for (slope, tangent) in node.rule.backward(call, &one)?.into_iter().zip(tangents) {
            if let (Some(slope), Some(tangent)) = (slope, tangent) {
                sum = add(
                    sum,
                    inner_products(node.rule.name(), &[&sum_to(&slope, tangent.dims())?], &[tangent])?,
                )?;
            }
        }
        return sum.map(|sum| broadcast_to(&sum, &node.dims)).transpose();
    }
    let u = Tensor::parameter(Array::ones(&node.dims[..], node.dtype, first.device())?);
    let (mut pulled, mut vs) = (Vec::new(), Vec::new());
    mode::with_recording(true, || {
        for (grad, tangent) in node.rule.backward(call, &u)?.into_iter().zip(tangents) {
            let (Some(grad), Some(tangent)) = (grad, tangent) else { continue };
            if grad.node.is_none() {
                launch::refuse_reading("jvp", grad.array());
            }
            if grad.node.is_none() && grad.array().abs()?.sum_all()?.to_dtype(candle_core::DType::F64)?.to_scalar::<f64>()? != 0.0 {
                let reason = "backward is not made of tensor operations, so it cannot be differentiated (implement Op::jvp)";
                return Err(Error::no_gradient(node.rule.name(), reason));
            }
            pulled.push(sum_to(&grad, tangent.dims())?);
            vs.push(*tangent);
        }
        let pulled: Vec<&Tensor> = pulled.iter().collect();
        inner_products(node.rule.name(), &pulled, &vs)
    })?
    .map(|sum| {
        let product = vjps(&sum, &[&u], &ones(&sum)?, mode::is_recording())?;
        Ok(product.into_iter().next().expect("one gradient for the one input"))
    })
    .transpose()
}

/// The second derivative of one operation along `tangents`, D²f\[t, t\], where its result has the tangent `pushed`, which is recorded from
/// the id `start` on: how it changes when the inputs do.
fn curvature(
    node: &Arc<Node>,
    tangents: &[Option<&Tensor>],
    pushed: &Tensor,
    own: &Tensor,
    start: u64,
) -> Result<Option<Tensor>> {
    let inputs = node.edges.iter().zip(tangents);
    let mut seeds: Seeds =
        inputs.filter_map(|(edge, tangent)| Some((edge.as_ref()?.id, (*tangent)?.clone()))).collect();
    seeds.insert(node.id, own.clone());
    tangent_of(pushed, &seeds, start, true)
}

/// The tangent without its history, unless this is recorded.
pub(super) fn kept(x: Tensor) -> Tensor {
    if mode::is_recording() { x } else { x.detach() }
}

/// What is known of a node: its derivative along each direction, and its second derivatives along them or, if they are added up, the sum
/// of those.
#[derive(Clone, Debug, Default)]
struct Derivatives {
    first: Vec<Option<Tensor>>,
    second: Vec<Option<Tensor>>,
}

impl Derivatives {
    fn second_of(&self, direction: usize) -> usize {
        direction.min(self.second.len().saturating_sub(1))
    }
}

/// Pushes all directions through one operation, with their second derivatives if there are any.
fn push_all(node: &Arc<Node>, inputs: &[Option<&Derivatives>], sizes: [usize; 2]) -> Result<Derivatives> {
    let [directions, seconds] = sizes;
    let first = |i: usize| -> Vec<Option<&Tensor>> {
        inputs.iter().map(|input| input.and_then(|input| input.first[i].as_ref())).collect()
    };
    let mut y = Derivatives { first: vec![None; directions], second: vec![None; seconds] };
    for (i, slot) in y.second.iter_mut().enumerate() {
        let tangents: Vec<_> =
            inputs.iter().map(|input| input.and_then(|input| input.second[i].as_ref())).collect();
        *slot = push(node, &tangents)?;
    }
    let kind = node.rule.jacobian();
    if kind == Jacobian::Diagonal && seconds > 0 {
        return elementwise(node, inputs, y);
    }
    for i in 0..directions {
        let tangents = first(i);
        if kind == Jacobian::Linear || seconds == 0 {
            y.first[i] = push(node, &tangents)?;
            continue;
        }
        let start = next_id();
        let Some(pushed) = mode::with_recording(true, || push(node, &tangents))? else { continue };
        let own = kept(pushed.clone());
        let second = curvature(node, &tangents, &pushed, &own, start)?;
        let at = y.second_of(i);
        y.second[at] = add(y.second[at].take(), second)?;
        y.first[i] = Some(own);
    }
    Ok(y)
}

/// [`push_all`] for a formula, whose slopes fₐ and fₐ₋ᵦ are computed once for all directions: y″ gains Σₐᵦ fₐᵦ·Σᵢ tₐᵢ·tᵦᵢ.
fn elementwise(node: &Arc<Node>, inputs: &[Option<&Derivatives>], mut y: Derivatives) -> Result<Derivatives> {
    let Some(like) = inputs.iter().flatten().flat_map(|input| &input.first).flatten().next() else {
        return Ok(y);
    };
    let unit = Tensor::constant(Array::ones(&node.dims[..], node.dtype, like.device())?);
    let moved: Vec<usize> = (0..inputs.len()).filter(|&a| inputs[a].is_some()).collect();
    let id = |a: usize| node.edges[a].as_ref().map(|edge| edge.id);
    // An operand that stands twice, as in x·x, is one variable.
    let mut variables = moved.clone();
    variables.dedup_by_key(|&mut b| id(b));
    let shared = |b| (0..inputs.len()).map(move |c| id(c) == id(b));
    for &a in &moved {
        let start = next_id();
        let Some(slope) = mode::with_recording(true, || pull(node, a, &unit))? else { continue };
        let own = kept(slope.clone());
        let firsts = &inputs[a].expect("chosen above").first;
        for (to, tangent) in y.first.iter_mut().zip(firsts) {
            let Some(tangent) = tangent else { continue };
            // A constant slope has no history; most are 1.
            let term = if slope.node.is_some() {
                Some((&own * tangent)?)
            } else {
                pull(node, a, &broadcast_to(tangent, &node.dims)?)?
            };
            *to = add(to.take(), term)?;
        }
        if slope.node.is_none() {
            continue;
        }
        for &b in &variables {
            let Some(Some(input)) = node.edges.get(b) else { continue };
            let one = Tensor::constant(Array::ones(&input.dims[..], input.dtype, like.device())?);
            let twins: Vec<_> = shared(b).map(|is| is.then_some(&one)).collect();
            let Some(along) = push(node, &twins)? else { continue };
            let Some(bend) = curvature(node, &twins, &slope, &along, start)? else { continue };
            let others = &inputs[b].expect("chosen above").first;
            for (i, pair) in firsts.iter().zip(others).enumerate() {
                let (Some(s), Some(t)) = pair else { continue };
                let at = y.second_of(i);
                y.second[at] = add(y.second[at].take(), Some((&bend * (s * t)?)?))?;
            }
        }
    }
    Ok(y)
}

/// The unit directions along the last axis of `x`, the same in all rows.
fn unit_directions(x: &Tensor) -> Result<Vec<Tensor>> {
    let d = x.dims().last().copied().unwrap_or(1);
    let unit = |j: usize| {
        let mut row = vec![0_f64; d];
        row[j] = 1.0;
        let dims = if x.rank() == 0 { vec![] } else { vec![d] };
        let row = Array::from_vec(row, dims, x.device())?.to_dtype(x.dtype())?;
        Ok(Tensor::constant(row.broadcast_as(x.dims())?.contiguous()?))
    };
    (0..d).map(unit).collect()
}

/// The derivatives of `y`, given those of some nodes: their numbers of directions and of second derivatives are `sizes`.
fn derivatives(y: &Tensor, mut seeds: BTreeMap<u64, Derivatives>, sizes: [usize; 2]) -> Result<Derivatives> {
    let targets: BTreeSet<u64> = seeds.keys().copied().collect();
    let nodes =
        leading_to(y, targets.first().copied().unwrap_or(u64::MAX), &|id| targets.contains(&id), true);
    let mut users: BTreeMap<u64, usize> = BTreeMap::new();
    for input in nodes.values().flat_map(|node| node.edges.iter().flatten()) {
        *users.entry(input.id).or_default() += 1;
    }
    let mut known: BTreeMap<u64, Derivatives> = BTreeMap::new();
    for (id, node) in nodes {
        check_fresh("jvp", node)?;
        let found = match seeds.remove(&id) {
            Some(seed) => seed,
            None => {
                let inputs: Vec<_> = node.edges.iter().map(|edge| known.get(&edge.as_ref()?.id)).collect();
                push_all(node, &inputs, sizes)?
            }
        };
        known.insert(id, found);
        for input in node.edges.iter().flatten() {
            if let Some(left) = users.get_mut(&input.id) {
                *left -= 1;
                if *left == 0 {
                    known.remove(&input.id);
                }
            }
        }
    }
    let found = y.node.as_ref().and_then(|node| known.remove(&node.id));
    Ok(found.unwrap_or_else(|| Derivatives { first: vec![None; sizes[0]], second: vec![None; sizes[1]] }))
}

/// The derivatives of `y` along each axis of the rows of `x`, and `seconds` second ones.
fn along_axes(y: &Tensor, x: &Tensor, seconds: impl Fn(usize) -> usize) -> Result<Derivatives> {
    let id = x.node.as_ref().ok_or_else(|| not_a_parameter(0))?.id;
    let first: Vec<_> = unit_directions(x)?.into_iter().map(Some).collect();
    let sizes = [first.len(), seconds(first.len())];
    let seed = Derivatives { first, second: vec![None; sizes[1]] };
    derivatives(y, BTreeMap::from([(id, seed)]), sizes)
}

fn not_a_parameter(i: usize) -> Error {
    let reason = format!("input {i} does not require a gradient (make it with Tensor::parameter)");
    Error::no_gradient("jvp", reason)
}

pub(super) fn or_zeros(tangent: Option<Tensor>, y: &Tensor) -> Result<Tensor> {
    tangent.map_or_else(|| Ok(Tensor::constant(y.array.zeros_like()?)), Ok)
}

/// The Jacobian-vector product of `y` with `vs`, which have the shapes of `xs`: the directional derivative of y.
///
/// Forward mode: one pass through the recorded operations from `xs` to `y`, which costs about as much as the forward pass, whatever the size
/// of y. [`Op::jvp`](super::Op::jvp) says how an operation takes part. Unless under [`no_grad`](super::no_grad), the result can be
/// differentiated again, by any of the two modes.
///
/// # Errors
/// If an x does not require a gradient, a v has another shape or dtype than its x, or an operation has no derivative.
///
/// ```
/// # use tealight::prelude::*;
/// let x = Tensor::parameter(Tensor::new(&[1.0, 2.0], &Device::Cpu)?);
/// let v = Tensor::new(&[1.0, 10.0], &Device::Cpu)?;
/// let product = autograd::jvp(&x.sqr()?, [&x], [&v])?;
/// assert_eq!(product.to_vec1::<f64>()?, [2.0, 40.0]);
/// # Ok::<(), tealight::Error>(())
/// ```
pub fn jvp<const N: usize>(y: &Tensor, xs: [&Tensor; N], vs: [&Tensor; N]) -> Result<Tensor> {
    let mut seeds = Seeds::new();
    for (i, (x, v)) in xs.into_iter().zip(vs).enumerate() {
        same_kind("jvp", x, v)?;
        let id = x.node.as_ref().ok_or_else(|| not_a_parameter(i))?.id;
        // An x that is given twice has two directions.
        let known = seeds.remove(&id);
        seeds.extend(add(known, Some(v.clone()))?.map(|v| (id, v)));
    }
    let oldest = seeds.keys().next().copied().unwrap_or(u64::MAX);
    or_zeros(tangent_of(y, &seeds, oldest, false)?, y)
}

/// The derivatives of `y` along the line x + t·v by t, at t = 0, up to `order`: \[y′, y″, …\], each in the shape of y.
///
/// One forward pass, which carries the derivatives of all orders together: that of order k of a product is a sum of k products, so the cost
/// grows with the square of the order. (A formula's own series is [`formula::taylor`](crate::formula::taylor).)
///
/// # Errors
/// As [`jvp`].
///
/// ```
/// # use tealight::prelude::*;
/// let x = Tensor::parameter(Tensor::new(&[1.0, 2.0], &Device::Cpu)?);
/// let v = Tensor::new(&[1.0, 10.0], &Device::Cpu)?;
/// let [first, second] = &autograd::taylor(&x.powf(3.0)?, &x, &v, 2)?[..] else { unreachable!() };
/// assert_eq!(first.to_vec1::<f64>()?, [3.0, 120.0]);
/// assert_eq!(second.to_vec1::<f64>()?, [6.0, 1200.0]);
/// # Ok::<(), tealight::Error>(())
/// ```
pub fn taylor(y: &Tensor, x: &Tensor, v: &Tensor, order: usize) -> Result<Vec<Tensor>> {
    same_kind("taylor", x, v)?;
    if x.node.is_none() {
        return Err(not_a_parameter(0));
    }
    if order < 2 {
        return (0..order).map(|_| jvp(y, [x], [v])).collect();
    }
    series(y, std::slice::from_ref(x), std::slice::from_ref(v), order)
}

/// The Laplacian of each row of `y` by the last axis of `x` (.., d): Σⱼ ∂²y/∂xⱼ², in the shape of y.
///
/// The forward Laplacian: one pass, which carries the d first derivatives and the sum of the second ones through every operation. For a
/// batch x (n, d) where row i of y depends on row i of x alone, it is the Laplacian of each row; rows that depend on one another (as after
/// `BatchNorm`) are moved together. Unless under [`no_grad`](super::no_grad), it can be differentiated by the parameters: a loss may hold it.
///
/// # Errors
/// If x does not require a gradient, or an operation has no second derivative.
///
/// ```
/// # use tealight::prelude::*;
/// let x = Tensor::parameter(Tensor::new(&[[1.0, 2.0], [3.0, 0.5]], &Device::Cpu)?);
/// let y = x.powf(3.0)?.sum(1)?; // 6·x₀ + 6·x₁
/// assert_eq!(autograd::laplacian(&y, &x)?.to_vec1::<f64>()?, [18.0, 21.0]);
/// # Ok::<(), tealight::Error>(())
/// ```
pub fn laplacian(y: &Tensor, x: &Tensor) -> Result<Tensor> {
    let mut found = along_axes(y, x, |_| 1)?;
    or_zeros(found.second.pop().flatten(), y)
}

/// The second derivatives ∂²y/∂xⱼ² of each row of `y` by the last axis of `x` (.., d): y's shape followed by d. Rows as in [`laplacian`].
///
/// # Errors
/// As [`laplacian`].
///
/// ```
/// # use tealight::prelude::*;
/// let x = Tensor::parameter(Tensor::new(&[1.0, 2.0], &Device::Cpu)?);
/// let y = x.powf(3.0)?.sum_all()?;
/// assert_eq!(autograd::hessian_diagonal(&y, &x)?.to_vec1::<f64>()?, [6.0, 12.0]);
/// # Ok::<(), tealight::Error>(())
/// ```
pub fn hessian_diagonal(y: &Tensor, x: &Tensor) -> Result<Tensor> {
    let found = along_axes(y, x, |d| d)?.second;
    let columns = found.into_iter().map(|second| or_zeros(second, y)).collect::<Result<Vec<_>>>()?;
    if columns.is_empty() {
        let dims: Vec<usize> = y.dims().iter().copied().chain([0]).collect();
        return Ok(Tensor::constant(Array::zeros(dims, y.dtype(), y.device())?));
    }
    Tensor::stack(&columns.iter().collect::<Vec<_>>(), y.rank())
}

/// The divergence of each row of the field `y` (.., d) by the last axis of `x` (.., d): Σⱼ ∂yⱼ/∂xⱼ, without the last axis. Rows as in
/// [`laplacian`].
///
/// # Errors
/// If x does not require a gradient, the last axes differ in length, or an operation has no derivative.
///
/// ```
/// # use tealight::prelude::*;
/// let x = Tensor::parameter(Tensor::new(&[[1.0, 2.0], [3.0, 0.5]], &Device::Cpu)?);
/// assert_eq!(autograd::divergence(&x.sqr()?, &x)?.to_vec1::<f64>()?, [6.0, 7.0]);
/// # Ok::<(), tealight::Error>(())
/// ```
pub fn divergence(y: &Tensor, x: &Tensor) -> Result<Tensor> {
    if y.rank() == 0 || y.dims().last() != x.dims().last() {
        return Err(Error::shape(
            "divergence",
            "a field and a place with last axes of one length",
            &[y.dims(), x.dims()],
        ));
    }
    let axis = y.rank() - 1;
    let mut sum = None;
    for (j, first) in along_axes(y, x, |_| 0)?.first.into_iter().enumerate() {
        let own = first.map(|first| first.narrow(axis, j, 1)?.squeeze(axis)).transpose()?;
        sum = add(sum, own)?;
    }
    match sum {
        Some(sum) => Ok(sum),
        None => Ok(Tensor::constant(Array::zeros(&y.dims()[..axis], y.dtype(), y.device())?)),
    }
}
