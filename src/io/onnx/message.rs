//! A [`Graph`] as the bytes of an ONNX file.
//!
//! Source: `onnx.proto` of the ONNX project.

use std::collections::{BTreeMap, BTreeSet};

use candle_core::{DType, Device};

use super::merge::{Graph, Size, Value, bytes};
use crate::autograd::onnx::{FROM_BOOL, no_type, type_number};
use crate::autograd::{Array, OnnxAttribute};
use crate::error::Result;
use crate::file::protobuf::{field, float_field, varint_field};

/// The version of the file format that goes with the operators.
const IR: u64 = 8;
const OPSET: u64 = 17;

/// The name of the free size.
const BATCH: &str = "batch";

/// The whole file.
pub(super) fn model(
    graph: &Graph,
    names: [&[String]; 2],
    metadata: &BTreeMap<String, String>,
) -> Result<Vec<u8>> {
    let entry = |(name, text): (&String, &String)| {
        field(14, &[field(1, name.as_bytes()), field(2, text.as_bytes())].concat())
    };
    let graph = Writer::of(graph, names)?;
    let opset = [field(1, b""), varint_field(2, OPSET)].concat();
    Ok([
        varint_field(1, IR),
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
    /// The names of small constants by their content: each is written once.
    constants: BTreeMap<(i64, Vec<usize>, Vec<u8>), String>,
    /// The names of vectors of sizes by their content.
    sizes: BTreeMap<String, String>,
}

impl<'a> Writer<'a> {
    fn of(graph: &'a Graph, [inputs, outputs]: [&'a [String]; 2]) -> Result<Vec<u8>> {
        let mut writer = Writer {
            graph,
            inputs,
            nodes: Vec::new(),
            initializers: Vec::new(),
            taken: inputs.iter().chain(outputs).cloned().collect(),
            constants: BTreeMap::new(),
            sizes: BTreeMap::new(),
        };
        for value in graph.values.iter().flatten() {
            if let Value::Named(name, _) = value {
                writer.taken.insert(name.clone());
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
                Some(Value::Spread(row, sizes)) => {
                    let (row, sizes) = (writer.constant(row)?, writer.shape(sizes)?);
                    writer.node("Expand", &[&row, &sizes], &[], "", None)?
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
                    let last =
                        graph.outputs.iter().position(|&output| output == i).map(|k| outputs[k].clone());
                    writer.node(kind, &own, attributes, place, last)?
                }
            };
            names.push(name);
        }
        for (&value, output) in graph.outputs.iter().zip(outputs) {
            if names[value] != *output {
                writer.node("Identity", &[&names[value]], &[], "", Some(output.clone()))?;
            }
        }
        let mut ends = Vec::new();
        for (number, (names, ends_of)) in [(11, (inputs, &graph.ends[0])), (12, (outputs, &graph.ends[1]))] {
            for (name, end) in names.iter().zip(ends_of) {
                ends.extend(field(number, &value_info(name, end)?));
            }
        }
        Ok([writer.nodes, field(2, b"tealight"), writer.initializers, ends].concat())
    }

    /// An unused name.
    fn free(&mut self, place: &str, kind: &str) -> String {
        let base = if place.is_empty() { kind.to_string() } else { format!("{place}.{kind}") };
        let mut name = base.clone();
        for number in 1.. {
            if self.taken.insert(name.clone()) {
                break;
            }
            name = format!("{base}_{number}");
        }
        name
    }

    fn node(
        &mut self,
        kind: &str,
        inputs: &[&str],
        attributes: &[(&str, OnnxAttribute)],
        place: &str,
        name: Option<String>,
    ) -> Result<String> {
        let own = self.free(place, kind);
        let output = name.unwrap_or_else(|| own.clone());
        let mut message: Vec<u8> = inputs.iter().flat_map(|input| field(1, input.as_bytes())).collect();
        message.extend(
            [field(2, output.as_bytes()), field(3, own.as_bytes()), field(4, kind.as_bytes())].concat(),
        );
        for (name, value) in attributes.iter().filter(|(name, _)| *name != FROM_BOOL) {
            let (number, value) = match value {
                OnnxAttribute::Float(value) => (1, float_field(2, *value)),
                OnnxAttribute::Int(value) => (2, varint_field(3, *value as u64)),
                OnnxAttribute::Text(text) => (3, field(4, text.as_bytes())),
                OnnxAttribute::Ints(list) => {
                    (7, list.iter().flat_map(|&value| varint_field(8, value as u64)).collect())
                }
            };
            message.extend(field(5, &[field(1, name.as_bytes()), value, varint_field(20, number)].concat()));
        }
        self.nodes.extend(field(1, &message));
        Ok(output)
    }

    fn initializer(&mut self, name: &str, array: &Array) -> Result<()> {
        let mut message: Vec<u8> =
            array.dims().iter().flat_map(|&size| varint_field(1, size as u64)).collect();
        let number = type_number(array.dtype()).ok_or_else(|| no_type(array.dtype()))?;
        message.extend(
            [varint_field(2, number as u64), field(8, name.as_bytes()), field(9, &bytes(array)?)].concat(),
        );
        self.initializers.extend(field(5, &message));
        Ok(())
    }

    fn constant(&mut self, array: &Array) -> Result<String> {
        /// The most bytes of a constant that is compared with those before it.
        const SMALL: usize = 256;
        let number = type_number(array.dtype()).ok_or_else(|| no_type(array.dtype()))?;
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

    /// A vector of sizes: a constant, or a concatenation of multiples of the batch size and constants.
    fn shape(&mut self, sizes: &[Size]) -> Result<String> {
        let known: Option<Vec<i64>> = sizes.iter().map(|size| size.known()).collect();
        if let Some(known) = known {
            return self.ints(&known);
        }
        let key = format!("{sizes:?}");
        if let Some(name) = self.sizes.get(&key) {
            return Ok(name.clone());
        }
        let mut parts = Vec::new();
        for size in sizes {
            parts.push(match *size {
                Size::Fixed(size) => self.ints(&[size as i64])?,
                Size::Batches(count) => self.batches(count)?,
            });
        }
        let name = match &parts[..] {
            [only] => only.clone(),
            _ => {
                let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
                self.node("Concat", &parts, &[("axis", OnnxAttribute::Int(0))], BATCH, None)?
            }
        };
        self.sizes.insert(key, name.clone());
        Ok(name)
    }

    /// `count` times the batch size, as a vector of one number.
    fn batches(&mut self, count: usize) -> Result<String> {
        let key = format!("{count}");
        if let Some(name) = self.sizes.get(&key) {
            return Ok(name.clone());
        }
        let name = if count == 1 {
            let axis = self.graph.batch.expect("sizes depend on the batch only if it is free") as i64;
            let ends = [("start", OnnxAttribute::Int(axis)), ("end", OnnxAttribute::Int(axis + 1))];
            self.node("Shape", &[&self.inputs[0]], &ends, BATCH, None)?
        } else {
            let (batch, count) = (self.batches(1)?, self.ints(&[count as i64])?);
            self.node("Mul", &[&batch, &count], &[], BATCH, None)?
        };
        self.sizes.insert(key, name.clone());
        Ok(name)
    }

    /// Sizes to reshape to, with −1 for a single unknown one.
    fn reshape(&mut self, sizes: &[Size]) -> Result<String> {
        let numbers: Vec<i64> = sizes.iter().map(|size| size.known().unwrap_or(-1)).collect();
        let open = numbers.iter().filter(|&&size| size == -1).count();
        if open == 1 && !numbers.contains(&0) { self.ints(&numbers) } else { self.shape(sizes) }
    }
}

impl Size {
    fn known(self) -> Option<i64> {
        match self {
            Size::Fixed(size) => Some(size as i64),
            Size::Batches(_) => None,
        }
    }
}

/// The name, the type and the shape of an input or an output.
fn value_info(name: &str, (sizes, dtype): &(Vec<Size>, DType)) -> Result<Vec<u8>> {
    let size = |size: &Size| {
        field(
            1,
            &match *size {
                Size::Fixed(size) => varint_field(1, size as u64),
                Size::Batches(1) => field(2, BATCH.as_bytes()),
                Size::Batches(count) => field(2, format!("{count}*{BATCH}").as_bytes()),
            },
        )
    };
    let shape: Vec<u8> = sizes.iter().flat_map(size).collect();
    let number = type_number(*dtype).ok_or_else(|| no_type(*dtype))?;
    let tensor = [varint_field(1, number as u64), field(2, &shape)].concat();
    Ok([field(1, name.as_bytes()), field(2, &field(1, &tensor))].concat())
}
