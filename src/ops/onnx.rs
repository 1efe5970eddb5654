//! ONNX nodes for a formula's tape, and helpers that several operations share.

use candle_core::DType;

use super::reduction::ReducedAxes;
use super::window::reach;
use crate::autograd::{Onnx, OnnxAttribute, OnnxValue};
use crate::error::{Error, Result};
use crate::formula::{Binary, Expr, Interpreter, Real, Tape, Unary};
use crate::kernel::WindowAxis;

/// The formula applied to all inputs; a single operator where ONNX has one.
pub(super) fn formula(tape: &Tape, inputs: usize, onnx: &mut Onnx) -> Result<OnnxValue> {
    if let Some((operator, attributes)) = operator(tape, onnx.dtype(0)?) {
        let x = onnx.input(0);
        return Ok(onnx.node(operator, &[x], &attributes));
    }
    if onnx.dtype(0)? == DType::F32 && softplus().is(tape) {
        return Ok(softplus_nodes(onnx));
    }
    let operands: Vec<Node> = (0..inputs).map(|i| Node { value: onnx.input(i), reads: 1 << i }).collect();
    let dtype = onnx.dtype(0)?;
    let y = tape.run(&mut Nodes { onnx, dtype }, &operands)?.remove(0);
    if y.reads == (1 << inputs) - 1 {
        return Ok(y.value);
    }
    // If an input is not read, its shape still takes part in broadcasting.
    let shape = onnx.output_dims().to_vec();
    let shape = onnx.shape(&shape);
    Ok(onnx.node("Expand", &[y.value, shape], &[]))
}

/// The ONNX operator that computes exactly this, and its attributes.
fn operator(tape: &Tape, dtype: DType) -> Option<(&'static str, Vec<(&'static str, OnnxAttribute)>)> {
    let c = Expr::constant;
    let of = |f: &dyn Fn(Expr) -> Expr| Tape::capture(|[x]| [f(x)]);
    let plain: &[(&str, Tape)] =
        &[("Relu", of(&|x| c(0.0).select_gt(x, c(0.0), x))), ("Sigmoid", of(&|x| x.sigmoid()))];
    if let Some((operator, _)) = plain.iter().find(|(_, known)| known.is(tape)) {
        return Some((operator, vec![]));
    }
    // An attribute is an f32, which cannot hold the slope of an f64 formula.
    let mut slopes = tape.constants().filter(|_| dtype == DType::F32);
    let slope = slopes.find(|&slope| of(&|x| x.select_gt(c(0.0), x, c(slope) * x)).is(tape))?;
    Some(("LeakyRelu", vec![("alpha", OnnxAttribute::Float(slope as f32))]))
}

fn softplus() -> Tape {
    Tape::capture(|[x]: [Expr; 1]| [x.maximum(Expr::constant(0.0)) + (-x.abs()).exp().ln_1p()])
}

/// Relu(x) + Softplus(−|x|): the operator alone is infinite from 89 on in tract and OpenCV. onnxruntime supports it in f32 only.
fn softplus_nodes(onnx: &mut Onnx) -> OnnxValue {
    let x = onnx.input(0);
    let mut far = x;
    for operator in ["Abs", "Neg", "Softplus"] {
        far = onnx.node(operator, &[far], &[]);
    }
    let positive = onnx.node("Relu", &[x], &[]);
    onnx.node("Add", &[positive, far], &[])
}

/// A value, and the inputs it was computed from as a bit mask.
#[derive(Clone, Copy)]
struct Node {
    value: OnnxValue,
    reads: u32,
}

/// Runs a tape by writing nodes.
struct Nodes<'a, 'b> {
    onnx: &'a mut Onnx<'b>,
    dtype: DType,
}

impl Nodes<'_, '_> {
    fn scalar(&mut self, number: f64) -> Result<OnnxValue> {
        self.onnx.number(number, self.dtype)
    }

    fn node(&mut self, operator: &'static str, inputs: &[OnnxValue]) -> OnnxValue {
        self.onnx.node(operator, inputs, &[])
    }

    /// f(x, number)
    fn with(&mut self, operator: &'static str, x: OnnxValue, number: f64) -> Result<OnnxValue> {
        let number = self.scalar(number)?;
        Ok(self.node(operator, &[x, number]))
    }

    /// ln(1 + x) as ln(u)·x/(u − 1) with u = 1 + x, where the rounding error of u cancels (W. Kahan).
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

    /// The C remainder, plus b if its sign differs from that of b.
    fn remainder(&mut self, a: OnnxValue, b: OnnxValue) -> Result<OnnxValue> {
        let left = self.onnx.node("Mod", &[a, b], &[("fmod", OnnxAttribute::Int(1))]);
        let signs = [left, b].map(|x| self.node("Sign", &[x]));
        let product = self.node("Mul", &signs);
        let wrong = self.with("Less", product, 0.0)?;
        let moved = self.node("Add", &[left, b]);
        Ok(self.node("Where", &[wrong, moved, left]))
    }
}

impl Interpreter for Nodes<'_, '_> {
    type Value = Node;
    type Error = Error;

    fn constant(&mut self, value: f64) -> Result<Node> {
        Ok(Node { value: self.scalar(value)?, reads: 0 })
    }

    fn unary(&mut self, f: Unary, &Node { value: x, reads }: &Node) -> Result<Node> {
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
                return Ok(Node { value: self.node("Mul", &[sum, tanh]), reads });
            }
            Unary::Ln1p => return Ok(Node { value: self.ln_1p(x)?, reads }),
            Unary::Erfc => {
                let (one, erf) = (self.scalar(1.0)?, self.node("Erf", &[x]));
                return Ok(Node { value: self.node("Sub", &[one, erf]), reads });
            }
            Unary::Powi(2) => return Ok(Node { value: self.node("Mul", &[x, x]), reads }),
            Unary::Powi(n) => return Ok(Node { value: self.with("Pow", x, f64::from(n))?, reads }),
        };
        Ok(Node { value: self.node(operator, &[x]), reads })
    }

    fn binary(&mut self, f: Binary, a: &Node, b: &Node) -> Result<Node> {
        let operator = match f {
            Binary::Add => "Add",
            Binary::Sub => "Sub",
            Binary::Mul => "Mul",
            Binary::Div => "Div",
            Binary::Pow => "Pow",
            Binary::Max | Binary::Min => {
                let value = bounded(self.onnx, f == Binary::Max, [a.value, b.value]);
                return Ok(Node { value, reads: a.reads | b.reads });
            }
            Binary::Remainder => {
                return Ok(Node { value: self.remainder(a.value, b.value)?, reads: a.reads | b.reads });
            }
        };
        Ok(Node { value: self.node(operator, &[a.value, b.value]), reads: a.reads | b.reads })
    }

    fn select_gt(&mut self, operands: [&Node; 4]) -> Result<Node> {
        let [a, b, yes, no] = operands.map(|operand| operand.value);
        let greater = self.node("Greater", &[a, b]);
        let reads = operands.iter().fold(0, |reads, operand| reads | operand.reads);
        Ok(Node { value: self.node("Where", &[greater, yes, no]), reads })
    }
}

/// The larger of both, or the smaller. Not all engines have `Max`, and `Clip` takes numbers only.
fn bounded(onnx: &mut Onnx, max: bool, [a, b]: [OnnxValue; 2]) -> OnnxValue {
    let (x, bound) = if onnx.is_number(a) { (b, a) } else { (a, b) };
    match max {
        true if onnx.is_number(bound) => onnx.node("Clip", &[x, bound], &[]),
        false if onnx.is_number(bound) => {
            let absent = onnx.absent();
            onnx.node("Clip", &[x, absent, bound], &[])
        }
        true => onnx.node("Max", &[a, b], &[]),
        false => onnx.node("Min", &[a, b], &[]),
    }
}

impl ReducedAxes {
    /// The input, reduced along the axes by this operator.
    pub(super) fn onnx(&self, operator: &'static str, onnx: &mut Onnx) -> OnnxValue {
        let x = onnx.input(0);
        self.onnx_of(operator, x, self.keepdim, onnx)
    }

    /// `x`, reduced along the axes by this operator; unchanged if there are none.
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
            // Without axes these operators would reduce all axes.
            _ if axes.is_empty() => x,
            _ if operator == "ReduceSum" || onnx.opset() >= 18 => {
                let axes = onnx.ints(&axes);
                onnx.node(operator, &[x, axes], &[kept])
            }
            _ => onnx.node(operator, &[x], &[("axes", OnnxAttribute::Ints(axes)), kept]),
        }
    }

    /// √Σx², kept. `ReduceL2` is not right in all engines.
    pub(super) fn onnx_lengths(&self, keepdim: bool, onnx: &mut Onnx) -> OnnxValue {
        let x = onnx.input(0);
        let squares = onnx.node("Mul", &[x, x], &[]);
        let sum = self.onnx_of("ReduceSum", squares, keepdim, onnx);
        onnx.node("Sqrt", &[sum], &[])
    }

    /// The biased variance along the axes.
    pub(super) fn onnx_variance(&self, keepdim: bool, onnx: &mut Onnx) -> OnnxValue {
        let x = onnx.input(0);
        let mean = self.onnx_of("ReduceMean", x, true, onnx);
        let centered = onnx.node("Sub", &[x, mean], &[]);
        let squares = onnx.node("Mul", &[centered, centered], &[]);
        self.onnx_of("ReduceMean", squares, keepdim, onnx)
    }
}

/// Casts u8 to int64, which every engine can compare and add.
pub(super) fn counted(value: OnnxValue, dtype: DType, onnx: &mut Onnx) -> Result<OnnxValue> {
    if dtype == DType::U8 { onnx.cast(value, DType::I64) } else { Ok(value) }
}

/// The attributes of windows along two axes, or along the last one only.
pub(crate) fn windows<const D: usize>(sides: &[WindowAxis; 2]) -> Vec<(&'static str, OnnxAttribute)> {
    let of = |number: fn(&WindowAxis) -> usize| {
        sides[2_usize.saturating_sub(D)..].iter().map(move |side| number(side) as i64)
    };
    vec![
        ("kernel_shape", OnnxAttribute::Ints(of(|side| side.kernel).collect())),
        ("strides", OnnxAttribute::Ints(of(|side| side.stride).collect())),
        ("pads", OnnxAttribute::Ints(of(|side| side.padding).chain(of(pad_after)).collect())),
    ]
}

/// The padding behind an axis: that before it, unless it would give another number of windows.
pub(super) fn pad_after(side: &WindowAxis) -> usize {
    let (padded, reach) = (side.input + 2 * side.padding, reach(side));
    let same = padded >= reach && padded - reach < side.stride;
    if same { side.padding } else { reach.saturating_sub(side.input + side.padding) }
}

/// The dilations of [`windows`].
pub(crate) fn dilations<const D: usize>(sides: &[WindowAxis; 2]) -> (&'static str, OnnxAttribute) {
    let sides = &sides[2_usize.saturating_sub(D)..];
    ("dilations", OnnxAttribute::Ints(sides.iter().map(|side| side.dilation as i64).collect()))
}

/// `f` of the input, which gets a batch axis if it is a single image (c, h, w) or sequence (c, l).
pub(super) fn batched<const D: usize>(
    onnx: &mut Onnx,
    f: impl FnOnce(&mut Onnx, OnnxValue) -> Result<OnnxValue>,
) -> Result<OnnxValue> {
    let x = onnx.input(0);
    if onnx.dims(0)?.len() != D + 1 {
        return f(onnx, x);
    }
    let first = onnx.ints(&[0]);
    let x = onnx.node("Unsqueeze", &[x, first], &[]);
    let y = f(onnx, x)?;
    Ok(onnx.node("Squeeze", &[y, first], &[]))
}
