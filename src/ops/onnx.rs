//! A formula's program as nodes of an ONNX graph, and what several operations share there.

use candle_core::DType;

use super::reduction::Reduction;
use crate::autograd::{Onnx, OnnxAttribute, OnnxValue};
use crate::error::{Error, Result};
use crate::formula::{Binary, Interpreter, Tape, Unary};
use crate::kernel::WindowAxis;

/// The formula of all inputs, or one operator that is the same function.
pub(super) fn formula(program: &Tape, inputs: usize, onnx: &mut Onnx) -> Result<OnnxValue> {
    if let Some((operator, attributes)) = named(&program.to_string(), onnx.dtype(0)) {
        let x = onnx.input(0);
        return Ok(onnx.node(operator, &[x], &attributes));
    }
    let operands: Vec<Value> = (0..inputs).map(|i| Value { is: onnx.input(i), reads: 1 << i }).collect();
    let dtype = onnx.dtype(0);
    let results = program.run(&mut Nodes { onnx, dtype }, &operands)?;
    let Some(y) = results.first() else { return Err(onnx.no_form("a formula without a value")) };
    if y.reads == (1 << inputs) - 1 {
        return Ok(y.is);
    }
    // What some input has no part in still has the shape of all.
    let shape = onnx.output_dims().to_vec();
    let shape = onnx.shape(&shape);
    Ok(onnx.node("Expand", &[y.is, shape], &[]))
}

/// The operator that is this function of x, and its attributes.
fn named(formula: &str, dtype: DType) -> Option<(&'static str, Vec<(&'static str, OnnxAttribute)>)> {
    // An attribute is an f32, too short for a number of f64.
    let slope = || formula.strip_prefix("(x > 0 ? x : ")?.strip_suffix(" * x)")?.parse::<f32>().ok();
    match formula {
        "(0 > x ? 0 : x)" => Some(("Relu", vec![])),
        "1 / (1 + exp(-x))" => Some(("Sigmoid", vec![])),
        _ if dtype != DType::F32 => None,
        // onnxruntime has it in f32 alone.
        "max(x, 0) + ln_1p(exp(-|x|))" => Some(("Softplus", vec![])),
        _ => slope().map(|slope| ("LeakyRelu", vec![("alpha", OnnxAttribute::Float(slope))])),
    }
}

/// A value, and which inputs it was computed from.
#[derive(Clone, Copy)]
struct Value {
    is: OnnxValue,
    reads: u32,
}

/// Carries a program out by writing nodes.
struct Nodes<'a, 'b> {
    onnx: &'a mut Onnx<'b>,
    dtype: DType,
}

impl Nodes<'_, '_> {
    fn number(&mut self, number: f64) -> Result<OnnxValue> {
        self.onnx.number(number, self.dtype)
    }

    fn node(&mut self, operator: &'static str, inputs: &[OnnxValue]) -> OnnxValue {
        self.onnx.node(operator, inputs, &[])
    }

    /// f(x, a number)
    fn with(&mut self, operator: &'static str, x: OnnxValue, number: f64) -> Result<OnnxValue> {
        let number = self.number(number)?;
        Ok(self.node(operator, &[x, number]))
    }

    /// ln(1 + x), where 1 + x rounds: ln(u)·x/(u − 1) with u = 1 + x, which the rounding of u cancels from (W. Kahan).
    fn ln_1p(&mut self, x: OnnxValue) -> Result<OnnxValue> {
        let u = self.with("Add", x, 1.0)?;
        let (log, rest) = (self.node("Log", &[u]), self.with("Sub", u, 1.0)?);
        let ratio = self.node("Div", &[x, rest]);
        let near = self.node("Mul", &[log, ratio]);
        let tiny = self.with("Equal", rest, 0.0)?;
        let near = self.node("Where", &[tiny, x, near]);
        // Far from 0 nothing is lost, and ∞/∞ would be NaN.
        let far = self.with("Greater", x, 1.0)?;
        Ok(self.node("Where", &[far, log, near]))
    }

    /// a, plus b if its sign is another than that of b.
    fn rem(&mut self, a: OnnxValue, b: OnnxValue) -> Result<OnnxValue> {
        let left = self.onnx.node("Mod", &[a, b], &[("fmod", OnnxAttribute::Int(1))]);
        let signs = [left, b].map(|x| self.node("Sign", &[x]));
        let product = self.node("Mul", &signs);
        let wrong = self.with("Less", product, 0.0)?;
        let moved = self.node("Add", &[left, b]);
        Ok(self.node("Where", &[wrong, moved, left]))
    }
}

impl Interpreter for Nodes<'_, '_> {
    type Value = Value;
    type Error = Error;

    fn constant(&mut self, value: f64) -> Result<Value> {
        Ok(Value { is: self.number(value)?, reads: 0 })
    }

    fn unary(&mut self, f: Unary, &Value { is: x, reads }: &Value) -> Result<Value> {
        let operator = match f {
            Unary::Neg => "Neg",
            Unary::Exp => "Exp",
            Unary::Ln => "Log",
            Unary::Sqrt => "Sqrt",
            Unary::Tanh => "Tanh",
            Unary::Sigmoid => "Sigmoid",
            Unary::Erf => "Erf",
            Unary::Atan => "Atan",
            Unary::Floor => "Floor",
            Unary::Round => "Round",
            Unary::Sin => "Sin",
            Unary::Cos => "Cos",
            Unary::Abs => "Abs",
            Unary::Signum => "Sign",
            Unary::Recip | Unary::Powi(-1) => "Reciprocal",
            Unary::ExpM1 => {
                // eˣ − 1 = (eˣ + 1)·tanh(x/2), in which nothing cancels.
                let half = self.with("Mul", x, 0.5)?;
                let (tanh, exp) = (self.node("Tanh", &[half]), self.node("Exp", &[x]));
                let sum = self.with("Add", exp, 1.0)?;
                return Ok(Value { is: self.node("Mul", &[sum, tanh]), reads });
            }
            Unary::Ln1p => return Ok(Value { is: self.ln_1p(x)?, reads }),
            Unary::Erfc => {
                let (one, erf) = (self.number(1.0)?, self.node("Erf", &[x]));
                return Ok(Value { is: self.node("Sub", &[one, erf]), reads });
            }
            Unary::Powi(2) => return Ok(Value { is: self.node("Mul", &[x, x]), reads }),
            Unary::Powi(n) => return Ok(Value { is: self.with("Pow", x, f64::from(n))?, reads }),
        };
        Ok(Value { is: self.node(operator, &[x]), reads })
    }

    fn binary(&mut self, f: Binary, a: &Value, b: &Value) -> Result<Value> {
        let operator = match f {
            Binary::Add => "Add",
            Binary::Sub => "Sub",
            Binary::Mul => "Mul",
            Binary::Div => "Div",
            Binary::Pow => "Pow",
            Binary::Max => "Max",
            Binary::Min => "Min",
            Binary::Rem => return Ok(Value { is: self.rem(a.is, b.is)?, reads: a.reads | b.reads }),
        };
        Ok(Value { is: self.node(operator, &[a.is, b.is]), reads: a.reads | b.reads })
    }

    fn select_gt(&mut self, operands: [&Value; 4]) -> Result<Value> {
        let [a, b, yes, no] = operands.map(|value| value.is);
        let greater = self.node("Greater", &[a, b]);
        let reads = operands.iter().fold(0, |reads, value| reads | value.reads);
        Ok(Value { is: self.node("Where", &[greater, yes, no]), reads })
    }
}

impl Reduction {
    /// The input, reduced along the axes by this operator.
    pub(super) fn onnx(&self, operator: &'static str, onnx: &mut Onnx) -> OnnxValue {
        let x = onnx.input(0);
        self.onnx_of(operator, x, self.keepdim, onnx)
    }

    /// `x`, reduced along the axes by this operator; an operator along no axis leaves it alone.
    pub(super) fn onnx_of(
        &self,
        operator: &'static str,
        x: OnnxValue,
        keepdim: bool,
        onnx: &mut Onnx,
    ) -> OnnxValue {
        let axes: Vec<i64> = self.axes.iter().map(|&axis| axis as i64).collect();
        let kept = ("keepdims", OnnxAttribute::Int(i64::from(keepdim)));
        match operator {
            // Without axes these would reduce all.
            _ if axes.is_empty() => x,
            // The only one whose axes are an input in opset 17.
            "ReduceSum" => {
                let axes = onnx.ints(&axes);
                onnx.node(operator, &[x, axes], &[kept])
            }
            _ => onnx.node(operator, &[x], &[("axes", OnnxAttribute::Ints(axes)), kept]),
        }
    }

    /// The mean of the squares of what `x` is off its mean, the axes kept or not.
    pub(super) fn onnx_variance(&self, keepdim: bool, onnx: &mut Onnx) -> OnnxValue {
        let x = onnx.input(0);
        let mean = self.onnx_of("ReduceMean", x, true, onnx);
        let off = onnx.node("Sub", &[x, mean], &[]);
        let squares = onnx.node("Mul", &[off, off], &[]);
        self.onnx_of("ReduceMean", squares, keepdim, onnx)
    }
}

/// A value of dtype u8 as int64, which every engine can compare and add.
pub(super) fn counted(value: OnnxValue, dtype: DType, onnx: &mut Onnx) -> Result<OnnxValue> {
    if dtype == DType::U8 { onnx.cast(value, DType::I64) } else { Ok(value) }
}

/// The attributes of windows along two axes, or the last of them alone.
pub(super) fn windows<const D: usize>(sides: &[WindowAxis; 2]) -> Vec<(&'static str, OnnxAttribute)> {
    let of = |number: fn(&WindowAxis) -> usize| {
        sides[2_usize.saturating_sub(D)..].iter().map(move |side| number(side) as i64)
    };
    let padding = || of(|side| side.padding);
    vec![
        ("kernel_shape", OnnxAttribute::Ints(of(|side| side.kernel).collect())),
        ("strides", OnnxAttribute::Ints(of(|side| side.stride).collect())),
        ("pads", OnnxAttribute::Ints(padding().chain(padding()).collect())),
    ]
}

/// The dilations of [`windows`].
pub(super) fn dilations<const D: usize>(sides: &[WindowAxis; 2]) -> (&'static str, OnnxAttribute) {
    let sides = &sides[2_usize.saturating_sub(D)..];
    ("dilations", OnnxAttribute::Ints(sides.iter().map(|side| side.dilation as i64).collect()))
}

/// `f` of the input, which gets a batch of one for it if it has none: a picture (c, h, w), or a sequence (c, l).
pub(super) fn batched<const D: usize>(
    onnx: &mut Onnx,
    f: impl FnOnce(&mut Onnx, OnnxValue) -> Result<OnnxValue>,
) -> Result<OnnxValue> {
    let x = onnx.input(0);
    if onnx.dims(0).len() != D + 1 {
        return f(onnx, x);
    }
    let first = onnx.ints(&[0]);
    let x = onnx.node("Unsqueeze", &[x, first], &[]);
    let y = f(onnx, x)?;
    Ok(onnx.node("Squeeze", &[y, first], &[]))
}
