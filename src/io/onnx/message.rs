//! A [`Graph`] as the bytes of an ONNX file.
//!
//! Source: `onnx.proto` of the ONNX project.

use std::collections::{BTreeMap, BTreeSet};

use candle_core::{DType, Device};

use super::merge::{Graph, Size, Value, bytes};
use crate::autograd::onnx::{FROM_BOOL, no_type, type_number};
use crate::autograd::trace::Target;
use crate::autograd::{Array, OnnxAttribute};
use crate::error::Result;
use crate::file::protobuf::{field, float_field, varint_field};

/// The versions of the operators.
pub(super) const OLDEST: usize = 17;
/// Before it onnx.reference has no `QuantizeLinear`.
pub(super) const OF_INTEGERS: usize = 19;
pub(super) const NEWEST: usize = 26;

/// The version of the file format that goes with the operators.
fn format(opset: usize) -> u64 {
    match opset {
        ..=18 => 8,
        19..=20 => 9,
        21..=22 => 10,
        23 => 11,
        24 => 12,
        _ => 13,
    }
}

/// The whole file.
pub(super) fn model(
    graph: &Graph,
    names: [&[String]; 2],
    metadata: &BTreeMap<String, String>,
) -> Result<Vec<u8>> {
    let entry = |(name, text): (&String, &String)| {
        field(14, &[field(1, name.as_bytes()), field(2, text.as_bytes())].concat())
    };
    let Target { opset: version, .. } = graph.target;
    let graph = Writer::of(graph, names)?;
    let opset = [field(1, b""), varint_field(2, version as u64)].concat();
    Ok([
        varint_field(1, format(version)),
        field(2, b"tealight"),
        field(3, env!("CARGO_PKG_VERSION").as_bytes()),
        field(7, &graph),
        field(8, &opset),
        metadata.iter().flat_map(entry).collect(),
    ]
    .concat())
}

/// The nodes and initializers so far.
struct Writer<'a> {
    graph: &'a Graph,
    inputs: &'a [String],
    nodes: Vec<u8>,
    initializers: Vec<u8>,
    /// All names in use.
    taken: BTreeSet<String>,
    /// The next number for a name that is in use.
    numbers: BTreeMap<String, usize>,
    /// The names of small constants by their content: each is written once.
    constants: BTreeMap<(i64, Vec<usize>, Vec<u8>), String>,
    /// The names of vectors of sizes by their content.
    sizes: BTreeMap<Vec<Size>, String>,
    /// The names of the further results of nodes.
    parts: BTreeMap<(usize, usize), String>,
}

impl<'a> Writer<'a> {
    fn of(graph: &'a Graph, [inputs, outputs]: [&'a [String]; 2]) -> Result<Vec<u8>> {
        let mut writer = Writer {
            graph,
            inputs,
            nodes: Vec::new(),
            initializers: Vec::new(),
            taken: inputs.iter().chain(outputs).cloned().collect(),
            numbers: BTreeMap::new(),
            constants: BTreeMap::new(),
            sizes: BTreeMap::new(),
            parts: BTreeMap::new(),
        };
        let output =
            |i: usize| graph.outputs.iter().position(|&output| output == i).map(|k| outputs[k].clone());
        for (i, value) in graph.values.iter().enumerate() {
            match value {
                Some(Value::Named(name, _)) => {
                    writer.taken.insert(name.clone());
                }
                Some(Value::Part(node, k)) => {
                    writer.parts.insert((*node, *k), output(i).unwrap_or_default());
                }
                _ => {}
            }
        }
        let mut names: Vec<String> = Vec::with_capacity(graph.values.len());
        for (i, value) in graph.values.iter().enumerate() {
            let name = match value {
                // Sizes are written where they are used.
                None | Some(Value::Absent | Value::Sizes(_)) => String::new(),
                Some(Value::Input(i)) => inputs[*i].clone(),
                Some(Value::Named(name, array)) => {
                    writer.initializer(name, array)?;
                    name.clone()
                }
                Some(Value::Constant(array)) => writer.constant(array)?,
                Some(Value::Typed(array, number)) => {
                    let name = writer.free("", "constant");
                    writer.typed(&name, *number, array)?;
                    name
                }
                Some(Value::Spread(row, sizes)) => {
                    let (row, sizes) = (writer.constant(row)?, writer.shape(sizes)?);
                    writer.node("Expand", &[&row, &sizes], &[], "")
                }
                Some(Value::Node { kind, inputs, attributes, place }) => {
                    let mut own = Vec::with_capacity(inputs.len());
                    for &input in inputs {
                        own.push(match (*kind, &graph.values[input]) {
                            ("Reshape", Some(Value::Sizes(sizes))) => writer.reshape(sizes)?,
                            (_, Some(Value::Sizes(sizes))) => writer.shape(sizes)?,
                            _ => names[input].clone(),
                        });
                    }
                    let own: Vec<&str> = own.iter().map(String::as_str).collect();
                    let name = writer.free(place, kind);
                    let mut results = vec![output(i).unwrap_or_else(|| name.clone())];
                    let last = writer.parts.range((i, 1)..(i + 1, 0)).next_back().map_or(0, |(key, _)| key.1);
                    for k in 1..=last {
                        let own = writer.parts.get(&(i, k)).filter(|own| !own.is_empty()).cloned();
                        let own = own.unwrap_or_else(|| writer.free(place, kind));
                        writer.parts.insert((i, k), own.clone());
                        results.push(own);
                    }
                    writer.add(&name, kind, &own, attributes, &results);
                    results.swap_remove(0)
                }
                Some(Value::Part(node, k)) => {
                    writer.parts.get(&(*node, *k)).expect("every part was noted before its node").clone()
                }
            };
            names.push(name);
        }
        for (&value, output) in graph.outputs.iter().zip(outputs) {
            if names[value] != *output {
                let own = writer.free("", "Identity");
                writer.add(&own, "Identity", &[&names[value]], &[], std::slice::from_ref(output));
            }
        }
        let mut ends = Vec::new();
        for (number, (names, ends_of)) in [(11, (inputs, &graph.ends[0])), (12, (outputs, &graph.ends[1]))] {
            for (name, end) in names.iter().zip(ends_of) {
                ends.extend(field(number, &writer.value_info(name, end)?));
            }
        }
        Ok([writer.nodes, field(2, b"tealight"), writer.initializers, ends].concat())
    }

    /// An unused name.
    fn free(&mut self, place: &str, kind: &str) -> String {
        let base = if place.is_empty() { kind.to_string() } else { format!("{place}.{kind}") };
        let mut name = base.clone();
        while !self.taken.insert(name.clone()) {
            let number = self.numbers.entry(base.clone()).or_default();
            *number += 1;
            name = format!("{base}_{number}");
        }
        name
    }

    /// A node with one output, of a free name.
    fn node(
        &mut self,
        kind: &str,
        inputs: &[&str],
        attributes: &[(&str, OnnxAttribute)],
        place: &str,
    ) -> String {
        let own = self.free(place, kind);
        self.add(&own, kind, inputs, attributes, std::slice::from_ref(&own));
        own
    }

    fn add(
        &mut self,
        own: &str,
        kind: &str,
        inputs: &[&str],
        attributes: &[(&str, OnnxAttribute)],
        outputs: &[String],
    ) {
        // Those at the end that are not given are not written.
        let given = inputs.iter().rposition(|input| !input.is_empty()).map_or(0, |last| last + 1);
        let inputs = &inputs[..given];
        let mut message: Vec<u8> = inputs.iter().flat_map(|input| field(1, input.as_bytes())).collect();
        message.extend(outputs.iter().flat_map(|output| field(2, output.as_bytes())));
        message.extend([field(3, own.as_bytes()), field(4, kind.as_bytes())].concat());
        for (name, value) in attributes.iter().filter(|(name, _)| *name != FROM_BOOL) {
            let (number, value) = match value {
                OnnxAttribute::Float(value) => (1, float_field(2, *value)),
                OnnxAttribute::Int(value) => (2, varint_field(3, *value as u64)),
                OnnxAttribute::Text(text) => (3, field(4, text.as_bytes())),
                OnnxAttribute::Texts(list) => {
                    (8, list.iter().flat_map(|text| field(9, text.as_bytes())).collect())
                }
                OnnxAttribute::Ints(list) => {
                    (7, list.iter().flat_map(|&value| varint_field(8, value as u64)).collect())
                }
            };
            message.extend(field(5, &[field(1, name.as_bytes()), value, varint_field(20, number)].concat()));
        }
        self.nodes.extend(field(1, &message));
    }

    fn initializer(&mut self, name: &str, array: &Array) -> Result<()> {
        let (number, array) = (self.type_number(array.dtype())?, self.converted(array)?);
        self.typed(name, number, &array)
    }

    fn typed(&mut self, name: &str, number: i64, array: &Array) -> Result<()> {
        let mut message: Vec<u8> =
            array.dims().iter().flat_map(|&size| varint_field(1, size as u64)).collect();
        message.extend(
            [varint_field(2, number as u64), field(8, name.as_bytes()), field(9, &bytes(array)?)].concat(),
        );
        self.initializers.extend(field(5, &message));
        Ok(())
    }

    /// The number of the type of what has this dtype here.
    fn type_number(&self, dtype: DType) -> Result<i64> {
        type_number(self.graph.target.dtype(dtype)).ok_or_else(|| no_type(dtype))
    }

    fn converted(&self, array: &Array) -> Result<Array> {
        Ok(array.to_dtype(self.graph.target.dtype(array.dtype()))?)
    }

    fn constant(&mut self, array: &Array) -> Result<String> {
        /// The most bytes of a constant that is compared with those before it.
        const SMALL: usize = 256;
        let number = self.type_number(array.dtype())?;
        let small = array.elem_count() * array.dtype().size_in_bytes() <= SMALL;
        let key = small
            .then(|| Ok::<_, crate::Error>((number, array.dims().to_vec(), bytes(array)?)))
            .transpose()?;
        if let Some(name) = key.as_ref().and_then(|key| self.constants.get(key)) {
            return Ok(name.clone());
        }
        let name = self.free("", "constant");
        self.initializer(&name, array)?;
        if let Some(key) = key {
            self.constants.insert(key, name.clone());
        }
        Ok(name)
    }

    fn ints(&mut self, numbers: &[i64]) -> Result<String> {
        self.constant(&Array::from_slice(numbers, numbers.len(), &Device::Cpu)?)
    }

    /// A vector of sizes: a constant, or a concatenation of products of free sizes and constants. An open one is −1.
    fn shape(&mut self, sizes: &[Size]) -> Result<String> {
        let known: Option<Vec<i64>> = sizes.iter().map(Size::known).collect();
        if let Some(known) = known {
            return self.ints(&known);
        }
        if let Some(name) = self.sizes.get(sizes) {
            return Ok(name.clone());
        }
        let mut parts = Vec::new();
        for size in sizes {
            parts.push(match size {
                Size::Product(count, axes) => self.product(*count, axes)?,
                _ => self.ints(&[size.known().unwrap_or(-1)])?,
            });
        }
        let name = match &parts[..] {
            [only] => only.clone(),
            _ => {
                let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
                self.node("Concat", &parts, &[("axis", OnnxAttribute::Int(0))], SIZES)
            }
        };
        self.sizes.insert(sizes.to_vec(), name.clone());
        Ok(name)
    }

    /// `count` times the product of free sizes, as a vector of one number.
    fn product(&mut self, count: usize, axes: &[usize]) -> Result<String> {
        let key = vec![Size::Product(count, axes.to_vec())];
        if let Some(name) = self.sizes.get(&key) {
            return Ok(name.clone());
        }
        let name = match (count, axes) {
            (1, &[axis]) => {
                let (input, at) = self.graph.axes[axis].places[0];
                // Some engines do not take the bounds that `Shape` has for this.
                let shape = self.node("Shape", &[&self.inputs[input]], &[], SIZES);
                let [start, end] = [self.ints(&[at as i64])?, self.ints(&[at as i64 + 1])?];
                self.node("Slice", &[&shape, &start, &end], &[], SIZES)
            }
            (1, [rest @ .., last]) => {
                let (rest, last) = (self.product(1, rest)?, self.product(1, &[*last])?);
                self.node("Mul", &[&rest, &last], &[], SIZES)
            }
            _ => {
                let (one, count) = (self.product(1, axes)?, self.ints(&[count as i64])?);
                self.node("Mul", &[&one, &count], &[], SIZES)
            }
        };
        self.sizes.insert(key, name.clone());
        Ok(name)
    }

    /// Sizes to reshape to, with −1 for a single unknown one.
    fn reshape(&mut self, sizes: &[Size]) -> Result<String> {
        let unknown = |size: &Size| size.known().is_none();
        let mut sizes = sizes.to_vec();
        if !sizes.contains(&Size::Fixed(0))
            && !sizes.contains(&Size::Open)
            && let Some(last) = sizes.iter().rposition(unknown)
        {
            sizes[last] = Size::Open;
        }
        let only = sizes.iter().filter(|size| unknown(size)).count() == 1 && sizes.contains(&Size::Open);
        if only {
            let numbers: Vec<i64> = sizes.iter().map(|size| size.known().unwrap_or(-1)).collect();
            return self.ints(&numbers);
        }
        self.shape(&sizes)
    }

    /// The name, the type and the shape of an input or an output.
    fn value_info(&self, name: &str, (sizes, dtype): &(Vec<Size>, DType)) -> Result<Vec<u8>> {
        let size = |size: &Size| {
            field(
                1,
                &match size {
                    Size::Fixed(size) => varint_field(1, *size as u64),
                    Size::Product(count, axes) => {
                        let names = axes.iter().map(|&axis| self.graph.axes[axis].name.clone());
                        let count = (*count > 1).then(|| count.to_string());
                        let factors: Vec<String> = count.into_iter().chain(names).collect();
                        field(2, factors.join("*").as_bytes())
                    }
                    Size::Open => vec![],
                },
            )
        };
        let shape: Vec<u8> = sizes.iter().flat_map(size).collect();
        let tensor = [varint_field(1, self.type_number(*dtype)? as u64), field(2, &shape)].concat();
        Ok([field(1, name.as_bytes()), field(2, &field(1, &tensor))].concat())
    }
}

/// The place of the nodes that compute sizes.
const SIZES: &str = "sizes";

impl Size {
    fn known(&self) -> Option<i64> {
        match *self {
            Size::Fixed(size) => Some(size as i64),
            _ => None,
        }
    }
}
