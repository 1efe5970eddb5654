//! Forward mode: directional derivatives ("tangents") are pushed through the recorded graph, from the inputs to the result.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use candle_core::WithDType;

use super::array::{contiguous, count, on_cpu, with_float};
use super::backward::{check_fresh, leading_to, ones};
use super::broadcast::{Accumulate, broadcast_to, sum_to};
use super::grad::vjps;
use super::jacobian::{inner_products, same_kind};
use super::launch::Primitive;
use super::node::{Call, Node, again, next_id};
use super::op::{ApplyTape, Jacobian, Op};
use super::saved::{SaveContext, Saved};
use super::series::series;
use super::{Array, Tensor, launch, mode};
use crate::error::{Error, Result};
use crate::formula::{Expr, InputSet, Real, Tape};
use crate::kernel;

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

/// What is known of a node: its derivatives along the directions, (directions, ..), and its second ones along them or, if they are added
/// up, the sum of those in one row. `None` is zero, or not needed. Axes along which they do not change may be of length 1.
#[derive(Clone, Debug, Default)]
struct Derivatives {
    first: Option<Tensor>,
    second: Option<Tensor>,
}

/// What is to be found of a node.
#[derive(Clone, Copy)]
struct Wanted {
    /// Whether the first derivatives are needed, and not those of the inputs alone.
    first: bool,
    second: bool,
    /// Whether the second derivatives are added up.
    total: bool,
}

/// Pushes all directions through one operation.
fn push_all(node: &Arc<Node>, inputs: &[Option<&Derivatives>], wanted: Wanted) -> Result<Derivatives> {
    if node.rule.jacobian() == Jacobian::Diagonal {
        return elementwise(node, inputs, wanted);
    }
    let firsts: Vec<_> = inputs.iter().map(|input| input.and_then(|input| input.first.as_ref())).collect();
    let seconds: Vec<_> = inputs.iter().map(|input| input.and_then(|input| input.second.as_ref())).collect();
    let mut y = Derivatives { first: None, second: push_rows(node, &seconds)? };
    if !wanted.second || is_linear(node, &|i| firsts[i].is_some()) {
        if wanted.first {
            y.first = push_rows(node, &firsts)?;
        }
        return Ok(y);
    }
    let (mut first, mut second) = (Vec::new(), Vec::new());
    for i in 0..count_of(&firsts) {
        let tangents = of_row(node, &firsts, i)?;
        let tangents: Vec<_> = tangents.iter().map(Option::as_ref).collect();
        let start = next_id();
        let pushed = mode::with_recording(true, || push(node, &tangents))?;
        let own = pushed.clone().map(kept);
        second.push(match (pushed, &own) {
            (Some(pushed), Some(own)) => curvature(node, &tangents, &pushed, own, start)?,
            _ => None,
        });
        first.push(own);
    }
    y.first = stacked(first)?;
    if let Some(second) = stacked(second)? {
        let second = if wanted.total { second.sum_keepdim(0)? } else { second };
        y.second = add(y.second, Some(second))?;
    }
    Ok(y)
}

/// Whether an operation is linear in those inputs together that move.
fn is_linear(node: &Node, moves: &dyn Fn(usize) -> bool) -> bool {
    let alone = (0..node.edges.len()).filter(|&i| moves(i)).count() == 1;
    match node.rule.jacobian() {
        Jacobian::Linear => true,
        Jacobian::Bilinear => alone,
        _ => alone && node.rule.by_rows() && moves(0),
    }
}

fn count_of(tangents: &[Option<&Tensor>]) -> usize {
    tangents.iter().flatten().next().map_or(0, |tangent| tangent.dims()[0])
}

/// The tangents along direction i, in the shapes of the inputs.
fn of_row(node: &Node, tangents: &[Option<&Tensor>], i: usize) -> Result<Vec<Option<Tensor>>> {
    let row = |(edge, tangent): (&Option<Arc<Node>>, &Option<&Tensor>)| {
        let (Some(edge), Some(tangent)) = (edge, tangent) else { return Ok(None) };
        let row = tangent.narrow(0, i, 1)?.squeeze(0)?;
        if row.dims() == &edge.dims[..] { Ok(Some(row)) } else { broadcast_to(&row, &edge.dims).map(Some) }
    };
    node.edges.iter().zip(tangents).map(row).collect()
}

/// Tangents of all directions as one tensor.
fn stacked(rows: Vec<Option<Tensor>>) -> Result<Option<Tensor>> {
    let Some(like) = rows.iter().flatten().next().cloned() else { return Ok(None) };
    if rows.len() == 1 {
        return like.unsqueeze(0).map(Some);
    }
    let rows = rows.into_iter().map(|row| or_zeros(row, &like)).collect::<Result<Vec<_>>>()?;
    Tensor::stack(&rows.iter().collect::<Vec<_>>(), 0).map(Some)
}

/// [`push`] for tangents of all directions, one for each row: a product of matrices takes them together.
fn push_rows(node: &Arc<Node>, tangents: &[Option<&Tensor>]) -> Result<Option<Tensor>> {
    if let (true, [Some(x), others @ ..], [_, m]) = (node.rule.by_rows(), tangents, &node.dims[..])
        && others.iter().all(Option::is_none)
        && let (&[n, rows, _], Some(Some(input))) = (x.dims(), node.edges.first())
    {
        let k = input.dims[1];
        let whole = if x.dims()[2] == k { x } else { &broadcast_to(x, &[n, rows, k])? };
        let all = whole.reshape((n * rows, k))?;
        let mut moved: Vec<Option<&Tensor>> = vec![None; tangents.len()];
        moved[0] = Some(&all);
        let call = Call { node, wanted: &|i| i == 0 };
        let y = match node.rule.jvp(&call, &moved)? {
            Some(y) => y,
            None => again(node, &[&all, &call.input_with_history(1)?])?,
        };
        return y.reshape((n, rows, *m)).map(Some);
    }
    let mut pushed = Vec::new();
    for i in 0..count_of(tangents) {
        let row = of_row(node, tangents, i)?;
        pushed.push(push(node, &row.iter().map(Option::as_ref).collect::<Vec<_>>())?);
    }
    stacked(pushed)
}

/// The derivatives of an operation that is a formula of one variable.
pub(super) struct Slopes {
    node: Arc<Node>,
    /// The first and the second, from the input and the output.
    tapes: [Tape; 2],
    apply: ApplyTape,
}

impl Slopes {
    /// Those of a node, unless it is another operation or its slope is constant.
    pub(super) fn of(node: &Arc<Node>) -> Option<Self> {
        if node.edges.len() != 1 {
            return None;
        }
        let (tapes, apply) = node.rule.slopes()?;
        let reads = tapes[0].eval(&[InputSet::input(0), InputSet::input(1)]);
        (reads[0].has(0) || reads[0].has(1)).then(|| Slopes { node: node.clone(), tapes, apply })
    }

    /// A formula of the two derivatives and of `others`, element by element; `None` if it has more than three variables.
    fn apply(&self, others: &[&Tensor], f: impl Fn([Expr; 2], &[Expr]) -> Expr) -> Result<Option<Tensor>> {
        let whole = Tape::capture_slice(2 + others.len(), |x| {
            let of = |tape: &Tape| tape.eval(&x[..2]).pop().expect("the tape of a formula has one output");
            vec![f(self.tapes.each_ref().map(of), &x[2..])]
        });
        let reads: Vec<_> = (0..2 + others.len()).map(InputSet::input).collect();
        let reads = whole.eval(&reads)[0];
        let read: Vec<usize> = (0..2 + others.len()).filter(|&i| reads.has(i)).collect();
        if read.is_empty() || read.len() > 3 {
            return Ok(None);
        }
        let call = Call { node: &self.node, wanted: &|_| true };
        let inputs = read.iter().map(|&i| match i {
            0 => call.input_with_history(0),
            1 => call.output_with_history(),
            _ => Ok(others[i - 2].clone()),
        });
        let inputs = inputs.collect::<Result<Vec<_>>>()?;
        let tape = Tape::capture_slice(read.len(), |x| {
            let place = |i| read.iter().position(|&own| own == i);
            let unread = Expr::constant(0.0);
            let all: Vec<Expr> = (0..2 + others.len()).map(|i| place(i).map_or(unread, |k| x[k])).collect();
            whole.eval(&all)
        });
        (self.apply)(tape, &inputs.iter().collect::<Vec<_>>()).map(Some)
    }

    /// f′
    fn slope(&self) -> Result<Option<Tensor>> {
        self.apply(&[], |[s, _], _| s)
    }

    /// f′·u′
    pub(super) fn first(&self, u: &Tensor) -> Result<Option<Tensor>> {
        self.apply(&[u], |[s, _], u| s * u[0])
    }

    /// f′·u″ + f″·`square`, where either may be missing.
    fn second(&self, second: Option<&Tensor>, square: Option<&Tensor>) -> Result<Option<Tensor>> {
        let both = match (second, square) {
            (Some(second), Some(square)) => self.apply(&[second, square], |[s, b], x| s * x[0] + b * x[1])?,
            _ => None,
        };
        match (both, second, square) {
            (Some(both), ..) => Ok(Some(both)),
            (None, None, None) => Ok(None),
            (None, Some(second), None) => self.first(second),
            (None, second, Some(square)) => {
                let bent = self.apply(&[square], |[_, b], x| b * x[0])?;
                match second {
                    Some(second) => sum_of(self.second(Some(second), None)?, bent),
                    None => Ok(bent),
                }
            }
        }
    }

    /// f′·u″ + f″·u′²
    pub(super) fn along(&self, second: Option<&Tensor>, first: Option<&Tensor>) -> Result<Option<Tensor>> {
        let both = match (second, first) {
            (Some(second), Some(u)) => self.apply(&[second, u], |[s, b], x| s * x[0] + b * (x[1] * x[1]))?,
            (None, Some(u)) => self.apply(&[u], |[_, b], x| b * (x[0] * x[0]))?,
            (second, None) => return self.second(second, None),
        };
        match (both, first) {
            (None, Some(u)) => self.second(second, Some(&u.sqr()?)),
            (both, _) => Ok(both),
        }
    }
}

/// [`push_all`] for a formula, whose slopes fₐ and fₐᵦ are computed once for all directions: y″ is Σₐ fₐ·aᵢ″ + Σₐᵦ fₐᵦ·Σᵢ aᵢ′·bᵢ′, where a and
/// b are variables: an operand that stands twice, as in x·x, is one.
fn elementwise(node: &Arc<Node>, inputs: &[Option<&Derivatives>], wanted: Wanted) -> Result<Derivatives> {
    let mut y = Derivatives::default();
    let mut variables: Vec<(&Arc<Node>, &Derivatives)> = Vec::new();
    for (edge, input) in node.edges.iter().zip(inputs) {
        if let (Some(edge), Some(input)) = (edge, input)
            && variables.iter().all(|(known, _)| known.id != edge.id)
        {
            variables.push((edge, input));
        }
    }
    let Some(like) = variables.iter().find_map(|(_, of)| of.first.as_ref().or(of.second.as_ref())) else {
        return Ok(y);
    };
    // Tangents of an input of fewer axes stand along the last ones.
    let aligned = |x: &Tensor| {
        let missing = (node.dims.len() + 1).saturating_sub(x.rank());
        (0..missing).try_fold(x.clone(), |x, _| x.unsqueeze(1))
    };
    if let (Some(slopes), [(_, of)]) = (Slopes::of(node), &variables[..]) {
        let [first, second] = [&of.first, &of.second].map(|x| x.as_ref().map(aligned).transpose());
        let (first, second) = (first?, second?);
        if let Some(first) = first.as_ref().filter(|_| wanted.first) {
            // In many directions the slope is computed once.
            y.first = match first.dims()[0] {
                1 => slopes.first(first)?,
                _ => slopes.slope()?.map(|slope| slope * first).transpose()?,
            };
        }
        if wanted.second {
            let squares = |first: &Tensor| if wanted.total { square_sum(first) } else { first.sqr() };
            let squares = first.as_ref().map(squares).transpose()?;
            y.second = slopes.second(second.as_ref(), squares.as_ref())?;
        }
        return Ok(y);
    }
    let unit = Tensor::constant(Array::ones(&node.dims[..], node.dtype, like.device())?);
    for (a, of_a) in &variables {
        let start = next_id();
        let slope = mode::with_recording(true, || {
            let stands = |edge: &Option<Arc<Node>>| edge.as_ref().is_some_and(|edge| edge.id == a.id);
            let places = (0..node.edges.len()).filter(|&i| stands(&node.edges[i]));
            places.map(|i| pull(node, i, &unit)).try_fold(None, |sum, slope| add(sum, slope?))
        })?;
        let Some(slope) = slope else { continue };
        let own = kept(slope.clone());
        let times = |x: &Option<Tensor>| -> Result<Option<Tensor>> {
            let Some(x) = x else { return Ok(None) };
            let x = aligned(x)?;
            // Most constant slopes are 1.
            if own.array.id() == unit.array.id() { Ok(Some(x)) } else { (&own * x).map(Some) }
        };
        if wanted.first {
            y.first = sum_of(y.first, times(&of_a.first)?)?;
        }
        if !wanted.second {
            continue;
        }
        y.second = sum_of(y.second, times(&of_a.second)?)?;
        let Some(first) = &of_a.first else { continue };
        let first = aligned(first)?;
        let squares = || if wanted.total { square_sum(&first) } else { first.sqr() };
        let mut bend_by = |bend: &Tensor, product: Tensor| -> Result<()> {
            y.second = sum_of(y.second.take(), Some((bend * product)?))?;
            Ok(())
        };
        // A constant slope has no history.
        if slope.node.is_none() {
            continue;
        }
        for (b, of_b) in &variables {
            let Some(other) = &of_b.first else { continue };
            let one = Tensor::constant(Array::ones(&b.dims[..], b.dtype, like.device())?);
            let twins: Vec<_> =
                node.edges.iter().map(|edge| (edge.as_ref()?.id == b.id).then_some(&one)).collect();
            let along =
                if a.id == b.id && a.dims == node.dims { Some(own.clone()) } else { push(node, &twins)? };
            let Some(along) = along else { continue };
            let Some(bend) = curvature(node, &twins, &slope, &along, start)? else { continue };
            let product = if a.id == b.id {
                squares()?
            } else {
                let each = (&first * aligned(other)?)?;
                if wanted.total { each.sum_keepdim(0)? } else { each }
            };
            bend_by(&bend, product)?;
        }
    }
    Ok(y)
}

/// Σ x² along the first axis, which is kept with length 1.
fn square_sum(x: &Tensor) -> Result<Tensor> {
    let inner = x.dims()[1..].iter().product::<usize>();
    // A trace sees the two operations, which have the same bits; single columns are summed another way, and sums of more rows have no form
    // in a program.
    let rows = if launch::recording() { 1..17 } else { 1..usize::MAX };
    let is_traced = mode::observed() && !launch::recording();
    if is_traced || !on_cpu(x.array()) || inner <= 1 || !rows.contains(&x.dims()[0]) {
        return x.sqr()?.sum_keepdim(0);
    }
    SquareSum.apply([x])
}

#[derive(Debug)]
struct SquareSum;

impl Op<1> for SquareSum {
    const NAME: &'static str = "square_sum";

    fn forward(&self, [x]: [&Array; 1], ctx: &mut SaveContext) -> Result<Array> {
        ctx.save_input(0);
        let [axis, rest @ ..] = x.dims() else {
            return Err(Error::shape(Self::NAME, "an axis", &[x.dims()]));
        };
        let (axis, dims) = (*axis, [&[1], rest].concat());
        let x = contiguous(x)?;
        let rows = (0..axis).map(|i| Ok(x.narrow(0, i, 1)?)).collect::<Result<Vec<_>>>()?;
        let squares = |x: &[Expr]| x[1..].iter().fold(x[0] * x[0], |sum, &x| sum + x * x);
        let what = (Self::NAME, || Primitive::map(axis, squares));
        with_float!(x.dtype(), T => {
            launch::launch_all(what, &rows.iter().collect::<Vec<_>>(), &dims, |rows| {
                let rows: Vec<&[T]> = rows.iter().map(|row| row.elements()).collect();
                Ok(T::to_cpu_storage_owned(kernel::sum_squares(&rows)))
            })
        })
    }

    fn jvp(&self, saved: &Saved, [x]: [Option<&Tensor>; 1]) -> Result<Option<Tensor>> {
        x.map(|x| ((saved.input(0)? * x)? * 2.0)?.sum_keepdim(0)).transpose()
    }

    fn backward(&self, saved: &Saved, grad: &Tensor) -> Result<[Option<Tensor>; 1]> {
        Ok([Some((grad * (saved.input(0)? * 2.0)?)?)])
    }
}

/// The sum of tangents that may broadcast.
fn sum_of(a: Option<Tensor>, b: Option<Tensor>) -> Result<Option<Tensor>> {
    match (a, b) {
        (Some(a), Some(b)) if a.dims() != b.dims() => (a + b).map(Some),
        (a, b) => add(a, b),
    }
}

/// The derivatives of `y`, given those of the node `target` along its directions.
fn derivatives(y: &Tensor, target: u64, first: Tensor, wanted: Wanted) -> Result<Derivatives> {
    let nodes = leading_to(y, target, &|id| id == target, true);
    let mut users: BTreeMap<u64, usize> = BTreeMap::new();
    for input in nodes.values().flat_map(|node| node.edges.iter().flatten()) {
        *users.entry(input.id).or_default() += 1;
    }
    // Linear operations do not need the first derivatives for the second ones.
    let mut needed = BTreeSet::new();
    needed.extend(y.node.as_ref().filter(|_| wanted.first).map(|node| node.id));
    for (id, node) in nodes.iter().rev() {
        let moves = |i: usize| node.edges[i].as_ref().is_some_and(|edge| nodes.contains_key(&edge.id));
        if needed.contains(id) || wanted.second && !is_linear(node, &moves) {
            needed.extend(node.edges.iter().flatten().map(|edge| edge.id));
        }
    }
    let mut known: BTreeMap<u64, Derivatives> = BTreeMap::new();
    known.insert(target, Derivatives { first: Some(first), second: None });
    for (id, node) in nodes {
        check_fresh("jvp", node)?;
        if id != target {
            let inputs: Vec<_> = node.edges.iter().map(|edge| known.get(&edge.as_ref()?.id)).collect();
            let wanted = Wanted { first: needed.contains(&id), ..wanted };
            let found = push_all(node, &inputs, wanted)?;
            known.insert(id, found);
        }
        for input in node.edges.iter().flatten() {
            if let Some(left) = users.get_mut(&input.id) {
                *left -= 1;
                if *left == 0 {
                    known.remove(&input.id);
                }
            }
        }
    }
    Ok(y.node.as_ref().and_then(|node| known.remove(&node.id)).unwrap_or_default())
}

/// The derivatives of `y` along each axis of the rows of `x`.
fn along_axes(y: &Tensor, x: &Tensor, wanted: Wanted) -> Result<Derivatives> {
    let id = x.node.as_ref().ok_or_else(|| not_a_parameter(0))?.id;
    let d = x.dims().last().copied().unwrap_or(1);
    if d == 0 {
        return Ok(Derivatives::default());
    }
    // The unit directions, the same in all rows.
    let mut dims = vec![1; x.rank() + 1];
    dims[0] = d;
    if x.rank() > 0 {
        dims[x.rank()] = d;
    }
    let numbers: Vec<f64> = (0..d * d).map(|i| f64::from(u8::from(i % (d + 1) == 0))).collect();
    let units = Tensor::constant(Array::from_vec(numbers, dims, x.device())?.to_dtype(x.dtype())?);
    derivatives(y, id, units, wanted)
}

/// In the shape of the rows of `y`.
fn spread(found: Tensor, y: &Tensor) -> Result<Tensor> {
    let dims = [&found.dims()[..1], y.dims()].concat();
    if found.dims() == &dims[..] { Ok(found) } else { broadcast_to(&found, &dims) }
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
/// Errors if an x does not require a gradient, a v has another shape or dtype than its x, or an operation has no derivative.
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
/// Errors if x does not require a gradient, or an operation has no second derivative.
///
/// ```
/// # use tealight::prelude::*;
/// let x = Tensor::parameter(Tensor::new(&[[1.0, 2.0], [3.0, 0.5]], &Device::Cpu)?);
/// let y = x.powf(3.0)?.sum(1)?; // 6·x₀ + 6·x₁
/// assert_eq!(autograd::laplacian(&y, &x)?.to_vec1::<f64>()?, [18.0, 21.0]);
/// # Ok::<(), tealight::Error>(())
/// ```
pub fn laplacian(y: &Tensor, x: &Tensor) -> Result<Tensor> {
    let found = along_axes(y, x, Wanted { first: false, second: true, total: true })?.second;
    or_zeros(found.map(|sum| spread(sum, y)?.squeeze(0)).transpose()?, y)
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
    let found = along_axes(y, x, Wanted { first: false, second: true, total: false })?.second;
    let Some(found) = found else {
        let dims: Vec<usize> =
            y.dims().iter().copied().chain([x.dims().last().copied().unwrap_or(1)]).collect();
        return Ok(Tensor::constant(Array::zeros(dims, y.dtype(), y.device())?));
    };
    let order: Vec<usize> = (1..=y.rank()).chain([0]).collect();
    spread(found, y)?.permute(&order)
}

/// The divergence of each row of the field `y` (.., d) by the last axis of `x` (.., d): Σⱼ ∂yⱼ/∂xⱼ, without the last axis. Rows as in
/// [`laplacian`].
///
/// # Errors
/// Errors if x does not require a gradient, the last axes differ in length, or an operation has no derivative.
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
    let Some(found) = along_axes(y, x, Wanted { first: true, second: false, total: false })?.first else {
        return Ok(Tensor::constant(Array::zeros(&y.dims()[..axis], y.dtype(), y.device())?));
    };
    let found = spread(found, y)?;
    let own = |j: usize| found.i(j)?.narrow(axis, j, 1)?.squeeze(axis);
    (1..found.dims()[0]).try_fold(own(0)?, |sum, j| sum + own(j)?)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::prelude::*;

    /// The operation that docs/ops.md names, of a tensor (2, 3).
    fn operation(name: &str, x: &Tensor) -> Result<Tensor> {
        let rng = &mut Rng::seed(1);
        let square = |x: &Tensor| x.matmul(&x.t()?)? + Tensor::eye(2, DType::F64, &Device::Cpu)?;
        let layer = |layer: &dyn Layer, x: &Tensor| {
            layer.to_dtype(DType::F64)?;
            layer.forward(x, &mut ForwardContext::train(Rng::seed(1)))
        };
        let index = Tensor::new(&[1_u32, 0], &Device::Cpu)?;
        match name {
            "cumsum" => x.cumsum(0),
            "narrow" => x.narrow(0, 0, 1),
            "i" => x.i(1),
            "cat" => Tensor::cat(&[x, x], 0),
            "stack" => Tensor::stack(&[x, x], 0),
            "pad" => x.pad(&[(1, 0), (0, 1)], crate::ops::Pad::Constant(0.0)),
            "flip" => x.flip(&[0]),
            "roll" => x.roll(1, 0),
            "repeat" => x.repeat(2, 0),
            "where_cond" => x.gt(0.0)?.where_cond(x, &x.detach()),
            "to_dtype" => x.to_dtype(DType::F32),
            "index_select" => x.index_select(0, &index),
            "matmul" => x.matmul(&x.t()?),
            "dot" => x.i(0)?.dot(&x.i(1)?),
            "outer" => x.i(0)?.outer(&x.i(1)?),
            "matvec" => x.matvec(&x.i(0)?),
            "einsum" => Tensor::einsum("ij,kj->ik", &[x, x]),
            "maximum" => x.maximum(0.0),
            "clamp" => x.clamp(-1.0, 1.0),
            "softmax" => x.softmax(1),
            "log_softmax" => x.log_softmax(1),
            "linear" => layer(&Linear::new(3, 2, rng)?, x),
            "conv2d" => {
                let conv = Conv2d::new(1, 1, 1, ConvOptions::new(), rng)?.without_bias();
                layer(&conv, &x.reshape((1, 1, 2, 3))?)
            }
            "conv2d with a bias" => {
                layer(&Conv2d::new(1, 1, 1, ConvOptions::new(), rng)?, &x.reshape((1, 1, 2, 3))?)
            }
            "BatchNorm1d" => layer(&BatchNorm1d::new(3)?, x),
            "LayerNorm" => layer(&LayerNorm::new(3)?, x),
            "logsumexp" => x.logsumexp(1),
            "norm" => x.norm(2.0, 1),
            "var" => x.var(1, 1),
            "std" => x.std(1, 1),
            "prod" => x.prod(1),
            "cumprod" => x.cumprod(1),
            #[cfg(feature = "linalg")]
            "solve" => square(x)?.solve(&x.t()?.i((0..2, 0))?),
            #[cfg(feature = "linalg")]
            "inv" => square(x)?.inv(),
            #[cfg(not(feature = "linalg"))]
            "solve" | "inv" | "cholesky" | "det" => square(x),
            #[cfg(feature = "linalg")]
            "cholesky" => square(x)?.cholesky(),
            #[cfg(feature = "linalg")]
            "det" => square(x)?.det(),
            name => panic!("docs/ops.md, Forward mode, names {name}: add how it is called"),
        }
    }

    /// How tangents pass the operations between x and y.
    fn rules(y: &Tensor, x: &Tensor) -> BTreeSet<&'static str> {
        let target = x.node.as_ref().expect("a parameter").id;
        let rule = |(id, node): (u64, &Arc<Node>)| {
            if id == target {
                return None;
            }
            let moved: Vec<_> = node
                .edges
                .iter()
                .map(|edge| {
                    Some(Tensor::constant(
                        Array::ones(&edge.as_ref()?.dims[..], edge.as_ref()?.dtype, &Device::Cpu).ok()?,
                    ))
                })
                .collect();
            let tangents: Vec<_> = moved.iter().map(Option::as_ref).collect();
            let own = node.rule.jvp(&Call { node, wanted: &|i| moved[i].is_some() }, &tangents);
            Some(match (own, node.rule.jacobian()) {
                (Ok(Some(_)), _) => "Op::jvp",
                (_, Jacobian::General) => "Jacobian::General",
                (_, Jacobian::Linear) => "Jacobian::Linear",
                (_, Jacobian::Bilinear) => "Jacobian::Bilinear",
                (_, Jacobian::Diagonal) => "Jacobian::Diagonal",
                (_, Jacobian::Symmetric) => "Jacobian::Symmetric",
            })
        };
        leading_to(y, target, &|id| id == target, false).into_iter().filter_map(rule).collect()
    }

    #[test]
    fn the_document_says_which_rule_each_operation_has() -> Result<()> {
        let text = include_str!("../../docs/ops.md").split("## Forward mode").nth(1).unwrap();
        let x = Tensor::parameter(
            Tensor::new(&[[0.5, -1.0, 2.0], [1.5, 0.25, -0.75]], &Device::Cpu)?.into_array(),
        );
        let mut seen = 0;
        for row in text.lines().filter(|line| line.starts_with("| ") && line.contains('`')) {
            let cells: Vec<&str> = row.split(" | ").collect();
            let rule = cells[0].split('`').nth(1).unwrap();
            for name in cells[1].split('`').skip(1).step_by(2) {
                if cfg!(not(feature = "linalg")) && ["solve", "inv", "cholesky", "det"].contains(&name) {
                    continue;
                }
                let found = rules(&operation(name, &x)?, &x);
                assert!(found.contains(rule), "{name}: {rule} in the document, {found:?} in the code");
                seen += 1;
            }
        }
        assert!(seen > 25, "{seen} operations");
        Ok(())
    }
}
