//! [`Graph`]: the operations that two runs of a model with different batches have in common.

use candle_core::DType;
use safetensors::View;

use super::OP;
use crate::autograd::trace::{Source, Target, Trace};
use crate::autograd::{Array, OnnxAttribute, OnnxValue, Tensor};
use crate::error::{Error, Result};

/// A size that the user of the file chooses: its name, that of each of the two runs, and the inputs and axes that have it.
#[derive(Debug)]
pub(super) struct Axis {
    pub(super) name: String,
    pub(super) sizes: [usize; 2],
    pub(super) places: Vec<(usize, usize)>,
}

/// A size in the file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Size {
    Fixed(usize),
    /// A multiple of the product of free sizes.
    Product(usize, Vec<usize>),
    /// Another function of the free sizes.
    Open,
}

/// A value in the file.
#[derive(Debug)]
pub(super) enum Value {
    Input(usize),
    Absent,
    Named(String, Array),
    Constant(Array),
    /// See [`Source::Typed`].
    Typed(Array, i64),
    /// An array that is repeated to a shape that depends on the batch.
    Spread(Array, Vec<Size>),
    Sizes(Vec<Size>),
    Node {
        kind: &'static str,
        inputs: Vec<usize>,
        attributes: Vec<(&'static str, OnnxAttribute)>,
        place: String,
    },
    /// A further result of a node.
    Part(usize, usize),
}

/// The graph of the file. Unused values are `None`.
#[derive(Debug)]
pub(super) struct Graph {
    pub(super) values: Vec<Option<Value>>,
    pub(super) outputs: Vec<usize>,
    pub(super) axes: Vec<Axis>,
    /// Shapes and types of the inputs and of the outputs.
    pub(super) ends: [Vec<(Vec<Size>, DType)>; 2],
    pub(super) target: Target,
}

impl Graph {
    /// Whether it has integers of 8 bits.
    pub(super) fn is_quantized(&self) -> bool {
        self.values.iter().flatten().any(|value| matches!(value, Value::Node { kind: "QuantizeLinear", .. }))
    }
}

/// A trace, its outputs, and the tensors at both ends.
pub(super) type Run = (Trace, Vec<OnnxValue>, Vec<Tensor>, Vec<Tensor>);

/// What both runs have in common.
pub(super) fn merged(runs: [Run; 2], axes: Vec<Axis>) -> Result<Graph> {
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
        let (inputs, place) = match &a.values[i] {
            Source::Node { inputs, place, .. } => (&inputs[..], place),
            Source::Part(node, _) => (std::slice::from_ref(node), &by),
            _ => (&[][..], &by),
        };
        if inputs.iter().any(|input| input.0 >= i) {
            return Err(foreign());
        }
        inputs.iter().for_each(|input| used_by[input.0] = Some(place.clone()));
        let within = |place: &str, error: Error| if place.is_empty() { error } else { error.context(place) };
        for input in inputs {
            if let (Source::Sizes(first), Source::Sizes(second)) = (&a.values[input.0], &b.values[input.0]) {
                let sizes = same_sizes(first, second, &axes);
                let open = sizes.iter().flatten().filter(|&size| *size == Size::Open).count();
                let reshape =
                    matches!(&a.values[i], Source::Node { kind: "Reshape", .. }) && !first.contains(&0);
                if sizes.is_none() || open > usize::from(reshape) {
                    return Err(within(place, other_sizes(first, second, &axes)));
                }
            }
        }
        let place = |error: Error| within(&by, error);
        if let Source::Missing(_) = a.values[i] {
            let Source::Missing(error) = std::mem::replace(&mut a.values[i], Source::Absent) else {
                continue;
            };
            return Err(error);
        }
        let found = value(&a.values[i], &b.values[i], &axes).map_err(place)?;
        values[i] = Some(found.ok_or_else(|| differ(&a, &b))?);
    }
    let end = |(a, b): (&Tensor, &Tensor)| match same_sizes(a.dims(), b.dims(), &axes) {
        Some(sizes) => Ok((sizes, a.dtype())),
        None => Err(other_sizes(a.dims(), b.dims(), &axes)),
    };
    let side = |a: &[Tensor], b: &[Tensor]| a.iter().zip(b).map(end).collect::<Result<Vec<_>>>();
    let ends = [side(&x, &second_x)?, side(&y, &second_y)?];
    let outputs = outputs.into_iter().map(|output| output.0).collect();
    Ok(Graph { values, outputs, axes, ends, target: a.target })
}

/// A value that both runs have; `None` if they do not.
fn value(a: &Source, b: &Source, axes: &[Axis]) -> Result<Option<Value>> {
    Ok(Some(match (a, b) {
        (Source::Input(a), Source::Input(b)) if a == b => Value::Input(*a),
        (Source::Absent, Source::Absent) => Value::Absent,
        (Source::State(a, array), Source::State(b, _)) if a == b => Value::Named(a.clone(), array.clone()),
        (Source::Constant(a), Source::Constant(b)) => constant(a, b, axes)?,
        (Source::Typed(a, number), Source::Typed(b, _)) if bytes(a)? == bytes(b)? => {
            Value::Typed(a.clone(), *number)
        }
        (Source::Sizes(a), Source::Sizes(b)) => match same_sizes(a, b, axes) {
            Some(sizes) => Value::Sizes(sizes),
            None => return Err(other_sizes(a, b, axes)),
        },
        (Source::Part(a, k), Source::Part(b, l)) if (a, k) == (b, l) => Value::Part(a.0, *k),
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

/// Sizes of both runs; none if there are not as many of them.
fn same_sizes(a: &[usize], b: &[usize], axes: &[Axis]) -> Option<Vec<Size>> {
    let size = |(&a, &b): (&usize, &usize)| {
        if a == b {
            return Size::Fixed(a);
        }
        // All products of free sizes, the short ones first.
        let mut sets: Vec<u32> = (1..1 << axes.len()).collect();
        sets.sort_by_key(|set: &u32| set.count_ones());
        let product = |set: u32| {
            let chosen: Vec<usize> = (0..axes.len()).filter(|i| set >> i & 1 == 1).collect();
            let [m, n] = [0, 1].map(|run| chosen.iter().map(|&i| axes[i].sizes[run]).product::<usize>());
            (a % m == 0 && b % n == 0 && a / m == b / n).then(|| Size::Product(a / m, chosen))
        };
        sets.into_iter().find_map(product).unwrap_or(Size::Open)
    };
    (a.len() == b.len()).then(|| a.iter().zip(b).map(size).collect())
}

fn other_sizes(a: &[usize], b: &[usize], axes: &[Axis]) -> Error {
    let run = |axis: &Axis| format!(" for a {} of {} and {}", axis.name, axis.sizes[0], axis.sizes[1]);
    let runs: Vec<String> = axes.iter().map(run).collect();
    let expected = "sizes that stay, or are a multiple of the batch (see fixed_batch)";
    Error::argument(OP, expected, format!("{a:?} and {b:?}{}", runs.join(",")))
}

/// A constant that both runs have. One that is a row repeated as often as the batch is that row.
fn constant(a: &Array, b: &Array, axes: &[Axis]) -> Result<Value> {
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
    let sizes = same_sizes(a.dims(), b.dims(), axes).filter(|sizes| !sizes.contains(&Size::Open));
    let sizes = sizes.ok_or_else(|| other_sizes(a.dims(), b.dims(), axes))?;
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
