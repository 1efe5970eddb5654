//! Evaluates an expression and its gradients, whatever happens.

use std::panic::{AssertUnwindSafe, catch_unwind};

use tealight::prelude::*;

/// An expression of the table.
pub(crate) type Eval = fn(&[Tensor]) -> Result<Tensor>;

/// What an expression gave.
#[derive(Clone, Debug)]
pub(crate) struct Outcome {
    pub(crate) dtype: DType,
    pub(crate) dims: Vec<usize>,
    pub(crate) data: Vec<f64>,
    /// The gradient of ⟨v, y⟩ for each float input; or why there is none.
    pub(crate) grads: Result<Vec<Vec<f64>>, String>,
}

/// One of several results.
pub(crate) fn part(parts: Result<Vec<Tensor>>, i: usize) -> Result<Tensor> {
    let parts = parts?;
    parts.get(i).cloned().ok_or(Error::Argument {
        op: "part",
        expected: format!("part {i}"),
        got: parts.len().to_string(),
    })
}

/// The result of `f`, or the words of its panic.
pub(crate) fn caught<R>(f: impl FnOnce() -> R) -> Result<R, String> {
    catch_unwind(AssertUnwindSafe(f)).map_err(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        text.or_else(|| panic.downcast_ref::<&str>().map(|text| text.to_string())).unwrap_or_default()
    })
}

/// The elements in row-major order.
pub(crate) fn flat(x: &Array) -> Result<Vec<f64>> {
    Ok(x.to_dtype(DType::F64)?.flatten_all()?.to_vec1()?)
}

/// The inputs, of which the floats are parameters.
pub(crate) fn parameters(inputs: &[Array]) -> Vec<Tensor> {
    inputs.iter().map(|x| Tensor::parameter(x.clone())).collect()
}

pub(crate) fn floats(inputs: &[Tensor]) -> Vec<&Tensor> {
    inputs.iter().filter(|x| x.requires_grad()).collect()
}

/// `data` in the shape and type of `like`.
pub(crate) fn like(data: &[f64], like: &Tensor) -> Result<Tensor> {
    let array = Array::from_vec(data.to_vec(), like.dims(), &Device::Cpu)?;
    Ok(array.to_dtype(like.dtype())?.into())
}

/// The gradient of ⟨v, y⟩ by `backward`; zeros for what y does not depend on.
pub(crate) fn gradients(y: &Tensor, v: &Tensor, xs: &[&Tensor]) -> Result<Vec<Vec<f64>>> {
    if !y.requires_grad() {
        return xs.iter().map(|x| Ok(vec![0.0; x.elem_count()])).collect();
    }
    let gradients = (y * v)?.sum_all()?.backward()?;
    let each = |x: &&Tensor| match gradients.get(x) {
        Some(gradient) if gradient.dims() == x.dims() => flat(gradient.array()),
        Some(gradient) => panic!("a gradient of shape {:?} for an input of {:?}", gradient.dims(), x.dims()),
        None => Ok(vec![0.0; x.elem_count()]),
    };
    // Only what is not reached has none, such as the other inputs of meshgrid.
    let reached = y.graph().to_string().matches(": parameter").count();
    assert_eq!(gradients.len(), reached, "gradients of the inputs that the graph reaches");
    xs.iter().map(each).collect()
}

/// The products of `v` with the Jacobian, recorded.
pub(crate) fn products(y: &Tensor, v: &Tensor, xs: &[&Tensor]) -> Result<Vec<Tensor>> {
    Ok(match *xs {
        [] => vec![],
        [a] => autograd::vjp(y, [a], v)?.to_vec(),
        [a, b] => autograd::vjp(y, [a, b], v)?.to_vec(),
        [a, b, c] => autograd::vjp(y, [a, b, c], v)?.to_vec(),
        _ => panic!("{} inputs", xs.len()),
    })
}

/// The value and the gradient with some cotangent. The outer error is a panic.
pub(crate) fn attempt(eval: Eval, inputs: &[Array]) -> Result<Result<Outcome>, String> {
    caught(|| {
        let inputs = parameters(inputs);
        let y = eval(&inputs)?;
        let data = flat(y.array())?;
        assert_eq!(data.len(), y.elem_count(), "elements of the result");
        let v: Vec<f64> = (0..data.len()).map(|i| 0.5 + (i * 7 % 5) as f64 / 4.0).collect();
        let grads = match y.dtype().is_float() {
            true => like(&v, &y)
                .and_then(|v| gradients(&y, &v, &floats(&inputs)))
                .map_err(|error| error.to_string()),
            false => Ok(vec![]),
        };
        Ok(Outcome { dtype: y.dtype(), dims: y.dims().to_vec(), data, grads })
    })
}

/// The first element that is further off than `bound`, relative to the expected one, or to a thousandth of the largest.
pub(crate) fn difference(expected: &[f64], got: &[f64], bound: f64, each: bool) -> Option<String> {
    if expected.len() != got.len() {
        return Some(format!("expected {} elements, got {}", expected.len(), got.len()));
    }
    let finite = expected.iter().filter(|x| x.is_finite() && !each);
    let floor = 1e-3 * finite.fold(0.0, |most: f64, x| most.max(x.abs()));
    let off = |(&e, &g): (&f64, &f64)| {
        let same = e == g || (e.is_nan() && g.is_nan());
        let near = e.is_finite() && (e - g).abs() <= bound * e.abs().max(floor);
        !(same || near)
    };
    let count = expected.iter().zip(got).filter(|&pair| off(pair)).count();
    let at = expected.iter().zip(got).position(off)?;
    Some(format!(
        "element {at} ({count} of {}): expected {:?}, got {:?}",
        expected.len(),
        expected[at],
        got[at]
    ))
}
