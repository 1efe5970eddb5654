//! [`Graph`]: the operations that two runs of a model with different batches have in common.

use candle_core::DType;
use safetensors::View;

use super::OP;
use crate::autograd::trace::{Source, Trace};
use crate::autograd::{Array, OnnxAttribute, OnnxValue, Tensor};
use crate::error::{Error, Result};

/// A size in the file: a number, or a multiple of the batch size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Size {
    Fixed(usize),
    Batches(usize),
}

/// A value in the file.
#[derive(Debug)]
pub(super) enum Value {
    Input(usize),
    Absent,
    Named(String, Array),
    Constant(Array),
    /// An array that is repeated to a shape that depends on the batch.
    Spread(Array, Vec<Size>),
    Sizes(Vec<Size>),
    Node {
        kind: &'static str,
        inputs: Vec<usize>,
        attributes: Vec<(&'static str, OnnxAttribute)>,
        place: String,
    },
}

/// The graph of the file. Unused values are `None`.
#[derive(Debug)]
pub(super) struct Graph {
    pub(super) values: Vec<Option<Value>>,
    pub(super) outputs: Vec<usize>,
    /// The axis of the inputs that is the batch.
    pub(super) batch: Option<usize>,
    /// Shapes and types of the inputs and of the outputs.
    pub(super) ends: [Vec<(Vec<Size>, DType)>; 2],
}

/// A trace, its outputs, and the tensors at both ends.
pub(super) type Run = (Trace, Vec<OnnxValue>, Vec<Tensor>, Vec<Tensor>);

/// What both runs have in common; `batch` is the axis of the batch and its two sizes.
pub(super) fn merged(runs: [Run; 2], batch: Option<(usize, [usize; 2])>) -> Result<Graph> {
    let sizes = batch.map(|(_, sizes)| sizes);
    let [(mut a, outputs, x, y), (b, others, second_x, second_y)] = runs;
    if a.values.len() != b.values.len() || outputs != others {
        return Err(differ(&a, &b));
    }
    let foreign = || Error::argument(OP, "values of this graph", "one of another (see Op::onnx)");
    if outputs.iter().any(|output| output.0 >= a.values.len()) {
        return Err(foreign());
    }
    // The layer that uses each value, from the last one on.
    let mut used_by: Vec<Option<String>> = a.values.iter().map(|_| None).collect();
    outputs.iter().for_each(|output| used_by[output.0] = Some(String::new()));
    let mut values: Vec<Option<Value>> = a.values.iter().map(|_| None).collect();
    for i in (0..values.len()).rev() {
        let Some(by) = used_by[i].take() else { continue };
        if let Source::Node { inputs, place, .. } = &a.values[i] {
            if inputs.iter().any(|input| input.0 >= i) {
                return Err(foreign());
            }
            inputs.iter().for_each(|input| used_by[input.0] = Some(place.clone()));
        }
        let place = |error: Error| if by.is_empty() { error } else { error.context(by.as_str()) };
        if let Source::Missing(_) = a.values[i] {
            let Source::Missing(error) = std::mem::replace(&mut a.values[i], Source::Absent) else {
                continue;
            };
            return Err(error);
        }
        let found = value(&a.values[i], &b.values[i], sizes).map_err(place)?;
        values[i] = Some(found.ok_or_else(|| differ(&a, &b))?);
    }
    let end =
        |(a, b): (&Tensor, &Tensor)| Ok::<_, Error>((same_sizes(a.dims(), b.dims(), sizes)?, a.dtype()));
    let side = |a: &[Tensor], b: &[Tensor]| a.iter().zip(b).map(end).collect::<Result<Vec<_>>>();
    let ends = [side(&x, &second_x)?, side(&y, &second_y)?];
    let outputs = outputs.into_iter().map(|output| output.0).collect();
    Ok(Graph { values, outputs, batch: batch.map(|(axis, _)| axis), ends })
}

/// A value that both runs have; `None` if they do not.
fn value(a: &Source, b: &Source, batches: Option<[usize; 2]>) -> Result<Option<Value>> {
    Ok(Some(match (a, b) {
        (Source::Input(a), Source::Input(b)) if a == b => Value::Input(*a),
        (Source::Absent, Source::Absent) => Value::Absent,
        (Source::State(a, array), Source::State(b, _)) if a == b => Value::Named(a.clone(), array.clone()),
        (Source::Constant(a), Source::Constant(b)) => constant(a, b, batches)?,
        (Source::Sizes(a), Source::Sizes(b)) => Value::Sizes(same_sizes(a, b, batches)?),
        (
            Source::Node { kind, inputs, attributes, place },
            Source::Node { kind: other, inputs: others, attributes: second, .. },
        ) if kind == other && inputs == others && attributes == second => Value::Node {
            kind,
            inputs: inputs.iter().map(|input| input.0).collect(),
            attributes: attributes.clone(),
            place: place.clone(),
        },
        _ => return Ok(None),
    }))
}

/// Sizes that are the same in both runs, or grow with the batch.
fn same_sizes(a: &[usize], b: &[usize], batches: Option<[usize; 2]>) -> Result<Vec<Size>> {
    let size = |(&a, &b): (&usize, &usize)| match batches {
        _ if a == b => Some(Size::Fixed(a)),
        Some([m, n]) if a % m == 0 && b % n == 0 && a / m == b / n => Some(Size::Batches(a / m)),
        _ => None,
    };
    let sizes: Option<Vec<Size>> = a.iter().zip(b).map(size).collect();
    sizes.filter(|_| a.len() == b.len()).ok_or_else(|| {
        let runs = batches.map_or(String::new(), |[m, n]| format!(" for batches of {m} and {n}"));
        let expected = "sizes that stay, or are a multiple of the batch (see fixed_batch)";
        Error::argument(OP, expected, format!("{a:?} and {b:?}{runs}"))
    })
}

/// A constant that both runs have. One that is a row repeated as often as the batch is that row.
fn constant(a: &Array, b: &Array, batches: Option<[usize; 2]>) -> Result<Value> {
    let changed = || {
        let expected =
            "constants that depend on neither the input nor the batch (numbers read out of a tensor, say)";
        Error::argument(OP, expected, format!("one of shape {:?} that does", a.dims()))
    };
    if a.dtype() != b.dtype() || a.rank() != b.rank() {
        return Err(changed());
    }
    if a.dims() == b.dims() {
        return if bytes(a)? == bytes(b)? { Ok(Value::Constant(a.clone())) } else { Err(changed()) };
    }
    let sizes = same_sizes(a.dims(), b.dims(), batches)?;
    let row = |x: &Array| -> Result<Array> {
        let mut row = x.clone();
        for axis in (0..x.rank()).filter(|&axis| a.dims()[axis] != b.dims()[axis]) {
            row = row.narrow(axis, 0, 1)?;
        }
        if bytes(&row.broadcast_as(x.dims())?)? == bytes(x)? { Ok(row) } else { Err(changed()) }
    };
    let (own, other) = (row(a)?, row(b)?);
    if bytes(&own)? == bytes(&other)? { Ok(Value::Spread(own, sizes)) } else { Err(changed()) }
}

/// The elements as ONNX has them.
pub(super) fn bytes(array: &Array) -> Result<Vec<u8>> {
    let array = if array.dtype() == DType::U32 { array.to_dtype(DType::I64)? } else { array.clone() };
    Ok(array.contiguous()?.data().into_owned())
}

/// The error of two runs that performed different operations.
fn differ(a: &Trace, b: &Trace) -> Error {
    let alike = |(a, b): (&Source, &Source)| match (a, b) {
        (Source::Node { kind: a, inputs, .. }, Source::Node { kind: b, inputs: others, .. }) => {
            a == b && inputs == others
        }
        _ => std::mem::discriminant(a) == std::mem::discriminant(b),
    };
    let at = a.values.iter().zip(&b.values).take_while(|&pair| alike(pair)).count();
    let name = |trace: &Trace| {
        let found = trace.values.iter().skip(at).find_map(|value| match value {
            Source::Node { kind, place, .. } if place.is_empty() => Some(kind.to_string()),
            Source::Node { kind, place, .. } => Some(format!("{kind} (in {place})")),
            _ => None,
        });
        found.unwrap_or_else(|| "the end".into())
    };
    let expected = "the same operations for every input (see fixed_batch)";
    Error::argument(OP, expected, format!("{} and {} for two of them", name(a), name(b)))
}
