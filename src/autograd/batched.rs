//! Derivatives of a batch whose rows do not depend on one another: one pass for all of them.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::array::{epsilon, numbers};
use super::backward::{gradients_along, leading_to, ones};
use super::broadcast::sum_to;
use super::forward::jvp;
use super::grad::{try_from_fn, vjp, vjps};
use super::jacobian::at_row;
use super::node::{Call, Node};
use super::op::Jacobian;
use super::{Array, Tensor, launch, mode};
use crate::error::{Error, Result};

/// The Jacobian of each row of `y` (n, ..) with respect to the row of `x` (n, ..) at its place: (n, ..y, ..x), by as many passes as a row
/// of y or of x has elements, whichever are fewer. [`jacobian`](super::jacobian) takes n times as many.
///
/// Row i of y must depend on row i of x alone, as in a network without `BatchNorm` in training. This is checked by one more forward pass, along
/// a direction that moves all rows. The result can be differentiated again.
///
/// # Errors
/// Errors if x does not require a gradient, there is not a row of y for each of x, or rows depend on one another.
///
/// ```
/// # use tealight::prelude::*;
/// let x = Tensor::parameter(Tensor::new(&[[1.0, 2.0], [3.0, 4.0]], &Device::Cpu)?);
/// let j = autograd::batch_jacobian(&x.sqr()?, &x)?;
/// assert_eq!(j.to_vec3::<f64>()?, [[[2.0, 0.0], [0.0, 4.0]], [[6.0, 0.0], [0.0, 8.0]]]);
/// let centered = (&x - x.mean_keepdim(0)?)?;
/// assert!(autograd::batch_jacobian(&centered, &x).is_err());
/// # Ok::<(), tealight::Error>(())
/// ```
#[doc(alias = "vmap")]
#[doc(alias = "jacrev")]
pub fn batch_jacobian(y: &Tensor, x: &Tensor) -> Result<Tensor> {
    let (Some((&n, of_y)), Some((&rows, of_x))) = (y.dims().split_first(), x.dims().split_first()) else {
        return Err(rows_expected(y, x));
    };
    if n != rows {
        return Err(rows_expected(y, x));
    }
    let [m, d] = [of_y, of_x].map(|dims| dims.iter().product::<usize>());
    let unit = |like: &Tensor, width: usize, j: usize| -> Result<Tensor> {
        let mut row = vec![0.0; width];
        row[j] = 1.0;
        let row = Array::from_vec(row, width, like.device())?.to_dtype(like.dtype())?;
        Ok(Tensor::constant(row.broadcast_as((n, width))?.contiguous()?.reshape(like.dims())?))
    };
    let dims = [&[n], of_y, of_x].concat();
    let mut slices = Vec::new();
    let found = if n * m * d == 0 {
        Tensor::constant(Array::zeros(&dims[..], y.dtype(), y.device())?)
    } else if m <= d {
        for j in 0..m {
            let [slice] = vjp(y, [x], &unit(y, m, j)?)?;
            slices.push(slice.reshape((n, d))?);
        }
        Tensor::stack(&slices.iter().collect::<Vec<_>>(), 1)?
    } else {
        for j in 0..d {
            slices.push(jvp(y, [x], [&unit(x, d, j)?])?.reshape((n, m))?);
        }
        Tensor::stack(&slices.iter().collect::<Vec<_>>(), 2)?
    };
    // A program cannot look at numbers; its recording is compared with a run that does.
    if !launch::recording() && n > 1 && m * d > 0 {
        mode::with_recording(false, || {
            let v = uneven(x)?;
            let whole = jvp(y, [x], [&v])?;
            let j = found.detach().reshape((n, m, d))?;
            let v = v.reshape((n, 1, d))?;
            let [own, size] = [(&j * &v)?, (j.abs()? * v)?].map(|terms| terms.sum(2));
            same_up_to_rounding("batch_jacobian", &whole, &own?, &size?)
        })?;
    }
    found.reshape(&dims[..])
}

fn rows_expected(y: &Tensor, x: &Tensor) -> Error {
    Error::shape("batch_jacobian", "a row of y for each row of x", &[y.dims(), x.dims()])
}

/// Numbers between ½ and 1½ in the shape of `like`, without a pattern.
fn uneven(like: &Tensor) -> Result<Tensor> {
    let number = |i: usize| 0.5 + (i as f64 * 0.618_033_988_749_895).fract();
    let numbers: Vec<f64> = (1..=like.elem_count()).map(number).collect();
    Ok(Tensor::constant(Array::from_vec(numbers, like.dims(), like.device())?.to_dtype(like.dtype())?))
}

/// Errors where `a` and `b` differ by more than the root of a rounding error of `size`, or by that of sums that cancel; what is not finite is not
/// compared.
fn same_up_to_rounding(op: &'static str, a: &Tensor, b: &Tensor, size: &Tensor) -> Result<()> {
    let unit = epsilon(a.dtype()).expect("derivatives are floats");
    let [a, b, size] = [a, b, size].map(|x| numbers(x.array()));
    let (a, b, size) = (a?, b?, size?);
    let differ = |((a, b), size): ((&f64, &f64), &f64)| (a - b).abs() > unit.sqrt() * size + 100.0 * unit;
    if a.iter().zip(&b).zip(&size).any(differ) {
        let (expected, got) = ("rows that do not depend on one another", "some that do (see BatchNorm)");
        return Err(Error::argument(op, expected, got));
    }
    Ok(())
}

/// The gradient of each of `losses` (n), one of each row of `x` (n, ..), by the `parameters`: in the shape (n, ..) of each.
///
/// One backward pass for the whole batch, and for each operation that reads a parameter the gradients of all rows together, where it is a
/// product of matrices or a formula of single elements; others, such as a convolution, are passed backwards n times, they alone. Loss i must depend on row i of x alone, along
/// the first axis of all that lies between; this is checked by one more backward pass. x has to require a gradient. The result has no history.
///
/// # Errors
/// Errors if there is not a loss for each row, a tensor does not require a gradient, or rows depend on one another.
///
/// ```
/// # use tealight::prelude::*;
/// let w = Tensor::parameter(Tensor::new(&[2.0, 3.0], &Device::Cpu)?);
/// let x = Tensor::parameter(Tensor::new(&[[1.0, 2.0], [3.0, 4.0]], &Device::Cpu)?);
/// let losses = (&x * &w)?.sum(1)?.sqr()?; // of the outputs 8 and 18
/// let [each] = autograd::per_sample_grad(&losses, &x, [&w])?;
/// assert_eq!(each.to_vec2::<f64>()?, [[16.0, 32.0], [108.0, 144.0]]);
/// # Ok::<(), tealight::Error>(())
/// ```
#[doc(alias = "vmap")]
#[doc(alias = "per_example_grad")]
pub fn per_sample_grad<const N: usize>(
    losses: &Tensor,
    x: &Tensor,
    parameters: [&Tensor; N],
) -> Result<[Tensor; N]> {
    let n = losses.elem_count();
    if losses.rank() != 1 || x.dims().first() != Some(&n) {
        let expected = "one loss for each row of x";
        return Err(Error::shape(NAME, expected, &[losses.dims(), x.dims()]));
    }
    let recorded = |x: &Tensor| {
        let reason = "a tensor does not require a gradient (make it with Tensor::parameter)";
        x.node.as_ref().map(|node| node.id).ok_or_else(|| Error::no_gradient(NAME, reason))
    };
    let (place, mut ids) = (recorded(x)?, Vec::new());
    for p in parameters {
        ids.push(recorded(p)?);
    }
    mode::with_recording(false, || {
        let batched = leading_to(losses, place, &|id| id == place, false);
        let oldest = ids.iter().copied().min().unwrap_or(u64::MAX);
        let wanted = leading_to(losses, oldest, &|id| ids.contains(&id), true);
        let is_shared = |id| wanted.contains_key(&id) && !batched.contains_key(&id);
        let mut pending: BTreeMap<u64, (Arc<Node>, Tensor)> = BTreeMap::new();
        let seed = ones(losses)?;
        let grads = gradients_along(losses, seed, &batched, place)?;
        for (id, grad) in grads {
            let node = batched[&id];
            for (i, input) in node.edges.iter().enumerate() {
                if let Some(input) = input.as_ref().filter(|input| is_shared(input.id)) {
                    collect(&mut pending, input, of_each_row(node, i, &grad, n)?)?;
                }
            }
        }
        // From what the rows share, such as a transposed weight, to the parameters.
        let mut found: BTreeMap<u64, Tensor> = BTreeMap::new();
        while let Some((id, (node, each))) = pending.pop_last() {
            let wants = |i: usize| matches!(&node.edges[i], Some(input) if is_shared(input.id));
            let call = Call { node: &node, wanted: &wants };
            let mut parts: Vec<Vec<Tensor>> = vec![Vec::new(); node.edges.len()];
            for row in 0..if (0..parts.len()).any(wants) { n } else { 0 } {
                let row = each.narrow(0, row, 1)?.squeeze(0)?;
                for (i, grad) in node.rule.backward(&call, &row)?.into_iter().enumerate() {
                    if let (Some(input), true) = (&node.edges[i], wants(i)) {
                        parts[i].push(or_zeros(grad, input, &each)?);
                    }
                }
            }
            for (i, parts) in parts.into_iter().enumerate().filter(|(_, parts)| !parts.is_empty()) {
                let input = node.edges[i].as_ref().expect("an input that is wanted");
                collect(&mut pending, input, Tensor::stack(&parts.iter().collect::<Vec<_>>(), 0)?)?;
            }
            found.insert(id, each);
        }
        let each: [Tensor; N] = try_from_fn(|k| match found.get(&ids[k]) {
            Some(each) => Ok(each.clone()),
            None => {
                let dims = [&[n], parameters[k].dims()].concat();
                Ok(Tensor::constant(Array::zeros(dims, parameters[k].dtype(), parameters[k].device())?))
            }
        })?;
        if !launch::recording() && n > 1 {
            let weights = uneven(losses)?;
            for (whole, each) in vjps(losses, &parameters, &weights, false)?.iter().zip(&each) {
                let row = each.reshape((n, whole.elem_count()))?;
                let weights = weights.unsqueeze(0)?;
                let [own, size] = [weights.matmul(&row), weights.matmul(&row.abs()?)];
                same_up_to_rounding(NAME, whole, &own?, &size?)?;
            }
        }
        Ok(each)
    })
}

const NAME: &str = "per_sample_grad";

fn collect(pending: &mut BTreeMap<u64, (Arc<Node>, Tensor)>, node: &Arc<Node>, each: Tensor) -> Result<()> {
    let sum = match pending.remove(&node.id) {
        Some((_, known)) => (known + each)?,
        None => each,
    };
    pending.insert(node.id, (node.clone(), sum));
    Ok(())
}

fn or_zeros(grad: Option<Tensor>, input: &Node, like: &Tensor) -> Result<Tensor> {
    match grad {
        Some(grad) => sum_to(&grad, &input.dims),
        None => Ok(Tensor::constant(Array::zeros(&input.dims[..], input.dtype, like.device())?)),
    }
}

/// The gradient of input i, which all rows share, for each of the `n` rows by itself: (n, ..).
fn of_each_row(node: &Arc<Node>, i: usize, grad: &Tensor, n: usize) -> Result<Tensor> {
    let input = node.edges[i].as_ref().expect("an input with a gradient");
    let dims = [&[n], &input.dims[..]].concat();
    let rows = node.dims.first().copied().unwrap_or(0);
    if n == 0 {
        return Ok(Tensor::constant(Array::zeros(dims, input.dtype, grad.device())?));
    }
    if rows == 0 || rows % n != 0 {
        let expected = format!("operations with the {n} rows along their first axis");
        let got = format!("{} of {} with an output of shape {:?}", NAME, node.rule.name(), &node.dims[..]);
        return Err(Error::argument(NAME, expected, got));
    }
    let wanted = |j: usize| j == i;
    if node.rule.jacobian() == Jacobian::Diagonal && rows == n && input.dims.len() < node.dims.len() {
        // The slopes of all rows, which are not added up yet.
        let grads = node.rule.backward(&Call { node, wanted: &wanted }, grad)?;
        let Some(slopes) = grads.into_iter().nth(i).flatten() else {
            return Ok(Tensor::constant(Array::zeros(dims, input.dtype, grad.device())?));
        };
        let mut kept = vec![1; node.dims.len()];
        kept[0] = n;
        let lead = kept.len() - input.dims.len();
        kept[lead..].copy_from_slice(&input.dims);
        return sum_to(&slopes, &kept)?.reshape(&dims[..]);
    }
    if let Some(each) = by_products(node, i, grad, n)? {
        return Ok(each);
    }
    // One backward pass of the operation for each row, without the others.
    let mut each = Vec::with_capacity(n);
    for row in 0..n {
        let step = grad.elem_count() / n;
        let alone = grad.reshape((n, step))?.narrow(0, row, 1)?.into_array();
        let grad = Tensor::constant(at_row(&alone, row, n)?.reshape(&node.dims[..])?);
        let grads = node.rule.backward(&Call { node, wanted: &wanted }, &grad)?;
        each.push(or_zeros(grads.into_iter().nth(i).flatten(), input, &grad)?);
    }
    Tensor::stack(&each.iter().collect::<Vec<_>>(), 0)
}

/// [`of_each_row`] of the weight or the bias of a product of matrices, for all rows at once.
fn by_products(node: &Arc<Node>, i: usize, grad: &Tensor, n: usize) -> Result<Option<Tensor>> {
    let &[rows, m] = &node.dims[..] else { return Ok(None) };
    let grad = grad.reshape((n, rows / n, m))?;
    let x = |x: &Array| Tensor::constant(x.clone()).reshape((n, rows / n, x.elem_count() / rows));
    match (node.rule.name(), i, node.saved_arrays.inputs.first()) {
        ("linear", 2, _) => grad.sum(1).map(Some),
        ("linear", 1, Some(Some(left))) => grad.t()?.matmul(&x(left)?).map(Some),
        ("matmul", 1, Some(Some(left))) => x(left)?.t()?.matmul(&grad).map(Some),
        _ => Ok(None),
    }
}
