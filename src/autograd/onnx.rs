//! [`Onnx`]: an operation as nodes of an ONNX graph.

use candle_core::{CpuStorage, DType, Device};

use super::Array;
use super::launch::array;
use super::trace::{Source, Trace};
use crate::error::{Error, Result};
use crate::kernel::Dims;

/// A value of an ONNX graph: an input, a constant, or the result of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OnnxValue(pub(crate) usize);

/// An attribute of a node.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs)]
pub enum OnnxAttribute {
    Int(i64),
    Ints(Vec<i64>),
    Float(f32),
    Text(&'static str),
    Texts(Vec<&'static str>),
}

/// The ONNX graph that an operation is added to by [`Op::onnx`](super::Op::onnx).
///
/// f32, f64, f16 and bf16 have ONNX types of the same name; u8 is uint8, and i64 and u32 are int64.
///
/// ```
/// # use tealight::autograd::{Onnx, OnnxValue};
/// # use tealight::prelude::*;
/// # #[derive(Debug)]
/// # struct Cube;
/// # impl Op<1> for Cube {
/// #     const NAME: &'static str = "cube";
/// #     fn forward(&self, [x]: [&Array; 1], _: &mut SaveContext) -> Result<Array> { Ok((x.sqr()? * x)?) }
/// #     fn backward(&self, _: &Saved, _: &Tensor) -> Result<[Option<Tensor>; 1]> { Ok([None]) }
/// fn onnx(&self, onnx: &mut Onnx) -> Result<OnnxValue> {
///     let x = onnx.input(0);
///     let square = onnx.node("Mul", &[x, x], &[]);
///     Ok(onnx.node("Mul", &[square, x], &[]))
/// }
/// # }
/// # struct Cubes;
/// # impl Layer for Cubes {
/// #     fn forward(&self, x: &Tensor, _: &mut ForwardContext) -> Result<Tensor> { Cube.apply([x]) }
/// #     tealight::fields!();
/// # }
/// # let path = std::env::temp_dir().join(format!("tealight-doc-cube-{}.onnx", std::process::id()));
/// # tealight::io::export_onnx(&path, &Cubes, &[1, 3])?;
/// # std::fs::remove_file(path).ok();
/// # Ok::<(), tealight::Error>(())
/// ```
#[derive(Debug)]
pub struct Onnx<'a> {
    pub(super) trace: &'a mut Trace,
    pub(super) inputs: &'a [&'a Array],
    pub(super) output: &'a Array,
}

fn no_input(i: usize) -> Error {
    Error::argument("export_onnx", "an input that the operation has", i)
}

impl Onnx<'_> {
    /// Input `i` of the operation.
    ///
    /// An input that the operation does not have makes the export fail.
    pub fn input(&mut self, i: usize) -> OnnxValue {
        match self.inputs.get(i) {
            Some(array) => self.trace.value(array),
            None => self.trace.push(Source::Missing(no_input(i)), true),
        }
    }

    /// The number of inputs of the operation.
    pub fn input_count(&self) -> usize {
        self.inputs.len()
    }

    /// The shape of input `i`; its first axis may be the batch. Errors if there is no such input.
    pub fn dims(&self, i: usize) -> Result<&[usize]> {
        self.inputs.get(i).map(|array| array.dims()).ok_or_else(|| no_input(i))
    }

    /// The dtype of input `i` in the file. Errors if there is no such input.
    pub fn dtype(&self, i: usize) -> Result<DType> {
        self.inputs.get(i).map(|array| self.trace.target.dtype(array.dtype())).ok_or_else(|| no_input(i))
    }

    /// The shape of the output.
    pub fn output_dims(&self) -> &[usize] {
        self.output.dims()
    }

    /// The dtype of the output in the file.
    pub fn output_dtype(&self) -> DType {
        self.trace.target.dtype(self.output.dtype())
    }

    /// The version of the operators in the file, from 17 on.
    pub fn opset(&self) -> usize {
        self.trace.target.opset
    }

    /// The first result of a new node. `operator` is one of this [`opset`](Onnx::opset).
    pub fn node(
        &mut self,
        operator: &'static str,
        inputs: &[OnnxValue],
        attributes: &[(&'static str, OnnxAttribute)],
    ) -> OnnxValue {
        self.trace.node(operator, inputs, attributes)
    }

    /// Result `k` of a node, whose result 0 is `node`.
    pub fn part(&mut self, node: OnnxValue, k: usize) -> OnnxValue {
        let depends = self.trace.depends_on_input(node);
        if k == 0 { node } else { self.trace.push(Source::Part(node, k), depends) }
    }

    /// A constant array. It must not depend on the model's input.
    pub fn constant(&mut self, array: &Array) -> OnnxValue {
        self.trace.push(Source::Constant(array.clone()), false)
    }

    /// A constant of int8.
    pub(crate) fn int8(&mut self, numbers: &[i8], dims: &[usize]) -> OnnxValue {
        let bytes = CpuStorage::U8(numbers.iter().map(|&x| x as u8).collect());
        self.trace.push(Source::Typed(array(bytes, dims), INT8), false)
    }

    /// A constant vector of int32.
    pub(crate) fn int32(&mut self, numbers: &[i32]) -> OnnxValue {
        let numbers = array(CpuStorage::I32(numbers.to_vec()), &[numbers.len()]);
        self.trace.push(Source::Typed(numbers, INT32), false)
    }

    /// Stands for an optional input that is not given.
    pub fn absent(&mut self) -> OnnxValue {
        self.trace.push(Source::Absent, false)
    }

    /// A scalar constant.
    ///
    /// # Errors
    /// Errors if the CPU does not have the dtype.
    pub fn number(&mut self, number: f64, dtype: DType) -> Result<OnnxValue> {
        let array = Array::new(number, &Device::Cpu)?.to_dtype(self.trace.target.dtype(dtype))?;
        Ok(self.constant(&array))
    }

    /// A constant vector of int64.
    pub fn ints(&mut self, numbers: &[i64]) -> OnnxValue {
        self.int_constant(Array::from_slice(numbers, numbers.len(), &Device::Cpu))
    }

    /// A constant scalar of int64.
    pub fn int(&mut self, number: i64) -> OnnxValue {
        self.int_constant(Array::new(number, &Device::Cpu))
    }

    fn int_constant(&mut self, array: candle_core::Result<Array>) -> OnnxValue {
        self.constant(&array.expect("integers in main memory always make an array"))
    }

    /// Sizes, such as the shape of a Reshape, as a vector of int64. Sizes of the batch stay variable in the file.
    pub fn shape(&mut self, sizes: &[usize]) -> OnnxValue {
        self.trace.push(Source::Sizes(Dims::from_slice(sizes)), false)
    }

    /// `x` in another shape.
    pub fn reshape(&mut self, x: OnnxValue, sizes: &[usize]) -> OnnxValue {
        let to = self.shape(sizes);
        // Without this attribute 0 means the size that the axis has.
        let zero = [("allowzero", OnnxAttribute::Int(1))];
        self.node("Reshape", &[x, to], if sizes.contains(&0) { &zero } else { &[] })
    }

    /// `x` in another dtype.
    ///
    /// # Errors
    /// Errors if ONNX does not have the dtype.
    pub fn cast(&mut self, x: OnnxValue, dtype: DType) -> Result<OnnxValue> {
        let number = type_number(self.trace.target.dtype(dtype)).ok_or_else(|| no_type(dtype))?;
        Ok(self.node("Cast", &[x], &[("to", OnnxAttribute::Int(number))]))
    }

    /// A mask of dtype u8, as comparisons return, as the bool that ONNX's `Where` takes: true where it is not 0.
    pub fn condition(&mut self, mask: OnnxValue) -> OnnxValue {
        // A mask made by `mask` was a bool before.
        if let Some(Source::Node { kind: "Cast", inputs, attributes, .. }) = self.trace.values.get(mask.0)
            && let ([condition], [_, (FROM_BOOL, _)]) = (&inputs[..], &attributes[..])
        {
            return *condition;
        }
        self.node("Cast", &[mask], &[("to", OnnxAttribute::Int(BOOL))])
    }

    /// An ONNX bool, as its comparisons return, as a mask of dtype u8.
    pub fn mask(&mut self, condition: OnnxValue) -> OnnxValue {
        let from_bool = (FROM_BOOL, OnnxAttribute::Int(1));
        self.node("Cast", &[condition], &[("to", OnnxAttribute::Int(UINT8)), from_bool])
    }

    /// Whether a value is a constant.
    pub(crate) fn is_constant(&self, value: OnnxValue) -> bool {
        matches!(self.trace.values.get(value.0), Some(Source::Constant(_)))
    }

    /// Whether a value is a constant number.
    pub(crate) fn is_number(&self, value: OnnxValue) -> bool {
        matches!(self.trace.values.get(value.0), Some(Source::Constant(array)) if array.rank() == 0)
    }

    pub(crate) fn no_form(&self, name: &str) -> Error {
        Error::argument("export_onnx", "an operation with an ONNX form", name)
    }
}

/// The attribute that marks a cast from bool. It is not written to the file.
pub(crate) const FROM_BOOL: &str = "_from_bool";
const UINT8: i64 = 2;
const BOOL: i64 = 9;
const INT8: i64 = 3;
const INT32: i64 = 6;

/// ONNX's number of the type for `dtype`.
pub(crate) fn type_number(dtype: DType) -> Option<i64> {
    match dtype {
        DType::F32 => Some(1),
        DType::U8 => Some(UINT8),
        DType::U32 | DType::I64 => Some(7),
        DType::F16 => Some(10),
        DType::F64 => Some(11),
        DType::BF16 => Some(16),
        _ => None,
    }
}

pub(crate) fn no_type(dtype: DType) -> Error {
    Error::dtype("export_onnx", "a dtype of f32, f64, f16, bf16, u8, u32 or i64", &[dtype])
}
