//! [`quantize`]: a model in integers of 8 bits.

use std::sync::Arc;

use candle_core::{DType, Device, Layout};

use super::{integers, numbers};
use crate::autograd::array::contiguous;
use crate::autograd::launch::{
    Int8, Int8Product, Int8Range, Launch, Operand, Primitive, ValueView, is_linear, launch,
};
use crate::autograd::trace::traced;
use crate::autograd::{Array, Onnx, OnnxAttribute, OnnxValue, Tensor, no_grad};
use crate::error::{Error, Result};
use crate::formula::Tape;
use crate::kernel::{self, Conv, Dims, Window, WindowAxis, broadcast_dims};
use crate::layer::{Fields, ForwardContext, Layer};
use crate::ops::{dilations, run_tape, windows};
use crate::program::{Place, Program, record};

/// The largest weight: two products with numbers of 8 bits then fit 16 bits, in which some engines add.
const LARGEST: f64 = 63.0;

/// Sums below this are exact in f32 too.
const EXACT: f64 = 16_777_216.0;

const OP: &str = "quantize";

/// The model in integers of 8 bits, calibrated on these examples (n, …): [`Quantize`] with its defaults.
///
/// ```
/// use tealight::prelude::*;
/// let rng = &mut Rng::seed(1);
/// let model = Sequential::new().push(Linear::new(64, 32, rng)?).push(Relu).push(Linear::new(32, 10, rng)?);
/// let examples = Tensor::rand(0f32, 1.0, (50, 64), rng)?;
/// let small = tealight::export::quantize(&model, &examples)?;
/// let error = (small.predict(&examples)? - model.predict(&examples)?)?.abs()?.max_all()?.to_scalar::<f32>()?;
/// assert!(error < 0.05, "{error}");
/// assert!(tealight::export::c(&small, (1, 64))?.contains("int8_t"));
/// # Ok::<(), tealight::Error>(())
/// ```
#[doc(alias = "quantize_static")]
pub fn quantize(model: &dyn Layer, examples: &Tensor) -> Result<Quantized> {
    Quantize::new().model(model, examples)
}

/// How the largest activations are found.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum CalibrationMethod {
    /// The smallest and the largest number.
    MinMax,
    /// The numbers below which and above which this share of all is, in percent, such as 99.9.
    Percentile(f64),
}

/// Options of [`quantize`].
///
/// A chain of linear layers, convolutions, [`Relu`](crate::activation::Relu), max pools, average pools without padding and batch
/// normalisation becomes integers; what is in front of the first product and behind the last one stays as it is. Activations have one scale for an
/// array, weights one for each output channel; the sums are integers of 32 bits.
#[derive(Clone, Copy, Debug)]
pub struct Quantize {
    method: CalibrationMethod,
    any_scale: bool,
}

impl Default for Quantize {
    fn default() -> Self {
        Quantize { method: CalibrationMethod::MinMax, any_scale: false }
    }
}

impl Quantize {
    /// The defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// How the largest activations are found. Default: `MinMax`.
    ///
    /// # Errors
    /// Errors if a percentile is not above 50 and at most 100.
    pub fn calibration_method(mut self, method: CalibrationMethod) -> Result<Self> {
        if let CalibrationMethod::Percentile(p) = method
            && !(p > 50.0 && p <= 100.0)
        {
            return Err(Error::argument(OP, "a percentile above 50 and at most 100", p));
        }
        self.method = method;
        Ok(self)
    }

    /// Allows scales that are no powers of two. They lose less, but the integers of some engines then differ by 1 from those of
    /// others in rare cases.
    #[must_use]
    pub fn any_scale(mut self) -> Self {
        self.any_scale = true;
        self
    }

    /// The model in integers, calibrated on these examples (n, …).
    ///
    /// # Errors
    /// Errors if the model is not a chain of the layers above, or an activation is not finite.
    pub fn model(&self, model: &dyn Layer, examples: &Tensor) -> Result<Quantized> {
        if examples.rank() < 2 || examples.elem_count() == 0 {
            return Err(Error::shape(OP, "examples (n, ..), one or more", &[examples.dims()]));
        }
        no_grad(|| {
            let program = record(&|[x]: [&Tensor; 1]| model.predict(x), [&examples.narrow(0, 0, 1)?])?;
            self.quantized(folded(nodes(&program)?), examples, &program.outputs()[0].layout.dims()[1..])
        })
    }

    fn quantized(&self, nodes: Vec<Node>, examples: &Tensor, result: &[usize]) -> Result<Quantized> {
        let is_product = |node: &Node| matches!(node.kind, Kind::Product(_));
        let places = (nodes.iter().position(is_product), nodes.iter().rposition(is_product));
        let (Some(first), Some(last)) = places else {
            let expected = "a model with a linear layer or a convolution";
            return Err(Error::argument(OP, expected, "one without"));
        };
        let pools = nodes[last + 1..].iter().take_while(|node| matches!(node.kind, Kind::MaxPool(_))).count();
        let (mut x, mut stages) = (examples.clone(), Vec::new());
        let (mut values, mut range) = (Vec::new(), Int8Range { scale: 1.0, zero: 0 });
        for (i, Node { kind, input, dims, place }) in nodes.into_iter().enumerate() {
            if i == first {
                if x.dtype() != DType::F32 {
                    return Err(Error::dtype(OP, "f32 in front of the first product", &[x.dtype()]));
                }
                values = x.flatten(0, -1)?.to_vec1::<f32>()?;
                range = self.range(values.iter().copied())?;
                let run = Run::Int8(Arc::new(Int8::Quantize(range)));
                stages.push(Stage { run, input: input.clone(), dims: input.clone() });
            }
            let run = match kind {
                Kind::Product(product) => {
                    let mut weights = product.weight.iter().chain(&product.bias);
                    if let Some(x) = weights.find(|x| !x.is_finite()) {
                        return Err(Error::argument(OP, format!("finite weights in {place}"), x));
                    }
                    values = product.run(&values, examples.dims()[0]);
                    let next = self.range(values.iter().copied())?;
                    let kernel = Int8::Product(self.product(&product, [range, next]));
                    range = next;
                    Run::Int8(Arc::new(kernel))
                }
                Kind::MaxPool(sides) if i > first && i <= last + pools => {
                    values = kernel::max_pool(&values, &sides).0;
                    Run::Int8(Arc::new(Int8::MaxPool(sides, range)))
                }
                Kind::Formula(tape, operands) if i < first || i > last => Run::Formula(tape, operands),
                Kind::Cast(dtype) if i < first || i > last => Run::Cast(dtype),
                Kind::Softmax(log) if i > last => Run::Softmax(log),
                _ => {
                    let expected =
                        "relu and pools between linear layers and convolutions, and formulas around them";
                    return Err(Error::argument(OP, expected, place));
                }
            };
            let stage = Stage { run, input, dims };
            if i < first {
                x = stage.apply(&x)?;
            }
            let dims = stage.dims.clone();
            stages.push(stage);
            if i == last + pools {
                let run = Run::Int8(Arc::new(Int8::Dequantize(range)));
                stages.push(Stage { run, input: dims.clone(), dims });
            }
        }
        Ok(Quantized { stages, input: examples.dims()[1..].to_vec(), result: result.to_vec() })
    }

    /// The range of activations.
    fn range(&self, values: impl Iterator<Item = f32>) -> Result<Int8Range> {
        let mut sorted: Vec<f32> = values.collect();
        sorted.sort_unstable_by(f32::total_cmp);
        if let Some(x) = sorted.iter().find(|x| !x.is_finite()) {
            return Err(Error::argument(OP, "finite activations", x));
        }
        let beyond = match self.method {
            CalibrationMethod::MinMax => 0,
            CalibrationMethod::Percentile(p) => ((1.0 - p / 100.0) * sorted.len() as f64) as usize,
        };
        let (low, high) = (f64::from(sorted[beyond]), f64::from(sorted[sorted.len() - 1 - beyond]));
        let (zero, exact) = if low >= 0.0 { (-128, high / 255.0) } else { (0, low.abs().max(high) / 127.0) };
        let scale = self.scale(sorted.iter().map(|&x| x.into()), exact, -128 - zero, 127 - zero);
        Ok(Int8Range { scale, zero })
    }

    /// The scale of numbers: `exact`, or the power of two near it whose rounded numbers have the smaller squared error.
    fn scale(&self, values: impl Iterator<Item = f64> + Clone, exact: f64, low: i32, high: i32) -> f32 {
        // Scales of arrays of zeros and of tiny numbers have normal products, too.
        let exact = if exact > 0.0 { exact.clamp(2f64.powi(-40), 2f64.powi(40)) } else { 1.0 };
        if self.any_scale {
            return exact as f32;
        }
        let error = |scale: f64| -> f64 {
            let off =
                |x: f64| x - scale * (x / scale).round_ties_even().clamp(f64::from(low), f64::from(high));
            values.clone().map(|x| off(x).powi(2)).sum()
        };
        let above = exact.log2().ceil().exp2();
        (if error(above / 2.0) < error(above) { above / 2.0 } else { above }) as f32
    }

    fn product(&self, product: &Product, ranges: [Int8Range; 2]) -> Int8Product {
        let [x, y] = ranges;
        let Product { conv, weight, bias, .. } = product;
        let mut made = Int8Product {
            conv: *conv,
            weight: Vec::new(),
            bias: Vec::new(),
            scales: Vec::new(),
            factors: Vec::new(),
            ranges,
        };
        for (row, &b) in weight.chunks(weight.len() / bias.len()).zip(bias) {
            let most = row.iter().fold(0.0, |most: f64, w| most.max(w.abs()));
            let limit = LARGEST as i32;
            // A channel with weights of 0 has a scale for its bias.
            let exact =
                if most > 0.0 { most / LARGEST } else { b.abs() / (f64::from(x.scale) * EXACT.sqrt()) };
            let mut scale = self.scale(row.iter().copied(), exact, -limit, limit);
            // The sums stay exact.
            let (row, b) = loop {
                let rounded = |x: f64, scale: f32| (x / f64::from(scale)).round_ties_even();
                let small: Vec<f64> =
                    row.iter().map(|&w| rounded(w, scale).clamp(-LARGEST, LARGEST)).collect();
                let b = rounded(b, x.scale * scale);
                if small.iter().map(|w| w.abs() * 255.0).sum::<f64>() + b.abs() < EXACT {
                    break (small, b);
                }
                scale *= 2.0;
            };
            made.weight.extend(row.iter().map(|&w| w as i8));
            made.bias.push(b as i32);
            made.scales.push(scale);
            made.factors.push((x.scale * scale) / y.scale);
        }
        made
    }
}

/// A linear layer, a convolution or an average pool, perhaps with relu.
struct Product {
    /// Of one example.
    conv: Conv,
    weight: Vec<f64>,
    bias: Vec<f64>,
    relu: bool,
    is_pool: bool,
}

impl Product {
    /// The outputs for n examples.
    fn run(&self, x: &[f32], n: usize) -> Vec<f32> {
        let [weight, bias] =
            [&self.weight, &self.bias].map(|x| x.iter().map(|&x| x as f32).collect::<Vec<_>>());
        let mut y = kernel::conv(&Conv { batch: n, ..self.conv }, x, &weight, Some(&bias));
        if self.relu {
            y.iter_mut().for_each(|y| *y = y.max(0.0));
        }
        y
    }

    /// Followed by a factor and a summand for each channel.
    fn then(&mut self, by_channel: &[(f64, f64)]) {
        let depth = self.weight.len() / self.bias.len();
        for (i, &(factor, summand)) in by_channel.iter().enumerate() {
            self.weight[i * depth..][..depth].iter_mut().for_each(|w| *w *= factor);
            self.bias[i] = self.bias[i] * factor + summand;
        }
    }

    /// Followed by another mean along the other axis.
    fn then_pool(&self, next: &Product) -> Option<Product> {
        if !(self.is_pool && next.is_pool) {
            return None;
        }
        let ([a, beside], [b, below]) = (self.conv.sides, next.conv.sides);
        let (channels, sides) = match (beside.input, below.input) {
            // Rows, then columns.
            (inner, 1) if inner == b.input && next.conv.groups == self.conv.groups * a.output => {
                (self.conv.groups, [a, b])
            }
            (1, inner) if inner == a.output && self.conv.groups == next.conv.groups * b.input => {
                (next.conv.groups, [b, a])
            }
            _ => return None,
        };
        Some(Product::pool(channels, sides, self.weight[0] * next.weight[0]))
    }

    fn pool(channels: usize, sides: [WindowAxis; 2], weight: f64) -> Product {
        let conv = Conv { batch: 1, groups: channels, inputs: 1, outputs: 1, sides };
        let weight = vec![weight; channels * sides[0].kernel * sides[1].kernel];
        Product { conv, weight, bias: vec![0.0; channels], relu: false, is_pool: true }
    }

    fn linear([k, n]: [usize; 2], weight: Vec<f64>, bias: Vec<f64>) -> Product {
        let conv = Conv { batch: 1, groups: 1, inputs: k, outputs: n, sides: [axis(1, 1, 1, 1); 2] };
        Product { conv, weight, bias, relu: false, is_pool: false }
    }
}

fn axis(input: usize, output: usize, kernel: usize, stride: usize) -> WindowAxis {
    WindowAxis { input, output, kernel, stride, padding: 0, dilation: 1 }
}

/// A step of the model.
struct Node {
    kind: Kind,
    /// The shapes of the input and of the output for one example.
    input: Vec<usize>,
    dims: Vec<usize>,
    /// The operation and its layer.
    place: String,
}

enum Kind {
    /// A formula of x, where there is none, and of constants.
    Formula(Tape, Vec<Option<Tensor>>),
    Cast(DType),
    Softmax(bool),
    Product(Product),
    MaxPool([WindowAxis; 2]),
}

impl Node {
    fn is_relu(&self) -> bool {
        let Kind::Formula(tape, operands) = &self.kind else { return false };
        matches!(operands[..], [None])
            && [-3.0, -0.5, 0.0, 0.25, 1.0, 7.0f64].iter().all(|&x| tape.eval(&[x])[0] == x.max(0.0))
    }

    /// The factor and the summand for each channel, if it is a formula that has them.
    fn affine(&self) -> Option<Vec<(f64, f64)>> {
        let Kind::Formula(tape, operands) = &self.kind else { return None };
        let channels = *self.input.first()?;
        let mut constants = Vec::new();
        for operand in operands {
            constants.push(match operand {
                None => None,
                Some(x) => {
                    let dims = [&[1], &self.input[..]].concat();
                    let all = numbers(x.broadcast_to(&dims[..]).ok()?.array()).ok()?;
                    let rows: Vec<&[f64]> = all.chunks(all.len() / channels).collect();
                    if rows.iter().any(|row| row.iter().any(|x| x != &row[0])) {
                        return None;
                    }
                    Some(rows.iter().map(|row| row[0]).collect::<Vec<f64>>())
                }
            });
        }
        let by_channel = |i: usize| {
            let f = |x: f64| {
                let inputs: Vec<f64> = constants.iter().map(|c| c.as_ref().map_or(x, |c| c[i])).collect();
                tape.eval(&inputs)[0]
            };
            let (summand, factor) = (f(0.0), f(1.0) - f(0.0));
            let straight = [-3.0, 2.0, 100.0].iter().all(|&x| {
                let expected = factor * x + summand;
                (f(x) - expected).abs() <= 1e-9 * (summand.abs() + (factor * x).abs())
            });
            straight.then_some((factor, summand))
        };
        (0..channels).map(by_channel).collect()
    }
}

/// The steps of a program, one after the other.
fn nodes(program: &Program) -> Result<Vec<Node>> {
    let mut current = None;
    let is_x = |view: &ValueView, current: Option<usize>| match program.place(view.value).0 {
        Place::External(_) => current.is_none(),
        Place::Slot(_) => current == Some(view.value),
        _ => false,
    };
    let whole = |layout: &Layout| {
        let all = layout.is_contiguous() && layout.start_offset() == 0;
        (all && layout.dims().first() == Some(&1)).then(|| layout.dims()[1..].to_vec())
    };
    let mut nodes: Vec<Node> = Vec::new();
    for call in program.launches() {
        let layer = if call.scope.is_empty() { String::new() } else { format!(" in layer {}", call.scope) };
        let place = format!("{}{layer}", call.name);
        let refused = || {
            let expected = "a chain of formulas, linear layers, convolutions, pools and softmax";
            Error::argument(OP, expected, &place)
        };
        let mut input = None;
        let mut operands = Vec::new();
        for view in &call.inputs {
            operands.push(match program.place(view.value).0 {
                _ if is_x(view, current) => {
                    let dims = whole(&view.layout).ok_or_else(refused)?;
                    if input.as_ref().is_some_and(|known| *known != dims) {
                        return Err(refused());
                    }
                    input = Some(dims);
                    None
                }
                Place::Constant(i) => {
                    Some(Tensor::from(Operand::new(&program.constants()[i], &view.layout).to_array()?))
                }
                _ => return Err(refused()),
            });
        }
        let (Some(&output), Some(input)) = (call.outputs.first(), input) else { return Err(refused()) };
        if let Some((kind, input, dims)) = kind(call, operands, input, program.place(output).1, &refused)? {
            let last = nodes.last_mut();
            if let (Kind::Product(next), Some(Node { kind: Kind::Product(last), input, dims, .. })) =
                (&kind, last)
                && let Some(both) = last.then_pool(next)
            {
                (*input, *dims) = (both.conv.x_dims()[1..].to_vec(), both.conv.y_dims()[1..].to_vec());
                *last = both;
            } else {
                nodes.push(Node { kind, input, dims, place });
            }
        }
        current = Some(output);
    }
    let result = &program.outputs()[0];
    if !is_x(result, current) || whole(&result.layout).is_none() {
        return Err(Error::argument(OP, "a model that returns what its last layer computes", "another one"));
    }
    Ok(nodes)
}

/// A kind with the shapes of its input and its output.
type Shaped = (Kind, Vec<usize>, Vec<usize>);

/// What a kernel does, with the shapes of its input and its output; nothing for a copy.
fn kind(
    call: &Launch,
    operands: Vec<Option<Tensor>>,
    input: Vec<usize>,
    dtype: DType,
    refused: &dyn Fn() -> Error,
) -> Result<Option<Shaped>> {
    let constant = |i: usize| match operands.get(i).and_then(Option::as_ref) {
        Some(x) => numbers(x.array()),
        None => Err(refused()),
    };
    let product = |product: Product| {
        let (from, to) = match is_linear(&product.conv) {
            true => (vec![product.conv.inputs], vec![product.conv.outputs]),
            false => (product.conv.x_dims()[1..].to_vec(), product.conv.y_dims()[1..].to_vec()),
        };
        Ok(Some((Kind::Product(product), from, to)))
    };
    match &call.primitive {
        Primitive::Map(tape) => {
            if tape.inputs() == 1 && [-2.0, 0.5, 3.0f64].iter().all(|&x| tape.eval(&[x])[0] == x) {
                return Ok(None);
            }
            let mut dims = Dims::from_slice(&[&[1], &input[..]].concat());
            for x in operands.iter().flatten() {
                dims = broadcast_dims(&dims, x.dims()).ok_or_else(refused)?;
            }
            if dims.len() != input.len() + 1 || dims[0] != 1 {
                return Err(refused());
            }
            Ok(Some((Kind::Formula(tape.clone(), operands), input, dims[1..].to_vec())))
        }
        Primitive::Cast => Ok(Some((Kind::Cast(dtype), input.clone(), input))),
        Primitive::Softmax { width, log } if input.last() == Some(width) => {
            Ok(Some((Kind::Softmax(*log), input.clone(), input)))
        }
        Primitive::Affine([1, k, n]) => product(Product::linear([*k, *n], constant(1)?, constant(2)?)),
        Primitive::MatMul(own) if own.sizes[0] == 1 && own.starts.len() == 1 => {
            let ([_, k, n], [row, column], b) = (own.sizes, own.strides[1], constant(1)?);
            let at = |i: usize| b.get(own.starts[0][1] + i % k * row + i / k * column).copied();
            let weight = (0..n * k).map(at).collect::<Option<Vec<f64>>>().ok_or_else(refused)?;
            product(Product::linear([k, n], weight, vec![0.0; n]))
        }
        Primitive::Conv(conv) if conv.batch == 1 => {
            let weight = constant(1)?;
            let channels = conv.groups * conv.outputs;
            let bias = if operands.len() > 2 { constant(2)? } else { vec![0.0; channels] };
            product(Product { conv: **conv, weight, bias, relu: false, is_pool: false })
        }
        Primitive::Resample { windows, sizes: [outer, from, inner] } => {
            let side = regular(windows, *from).ok_or_else(refused)?;
            let sides = [side, axis(*inner, *inner, 1, 1)];
            product(Product::pool(*outer, sides, windows[0].first / windows[0].divisor))
        }
        Primitive::MaxPool(sides) => {
            let [high, wide] = sides;
            let images = input.iter().product::<usize>() / (high.input * wide.input);
            let [from, to] = [[high.input, wide.input], [high.output, wide.output]];
            let dims = |[h, w]: [usize; 2]| vec![images, h, w];
            Ok(Some((Kind::MaxPool(*sides), dims(from), dims(to))))
        }
        _ => Err(refused()),
    }
}

/// The axis of means of windows that all are of one length.
fn regular(windows: &[Window], from: usize) -> Option<WindowAxis> {
    let first = windows.first()?;
    let stride = windows.get(1).map_or(1, |second| second.start - first.start).max(1);
    let same = windows.iter().enumerate().all(|(i, window)| {
        (window.start, window.len) == (i * stride, first.len)
            && window.divisor == first.divisor
            && window.first == first.first
            && (window.len == 1 || window.rest == first.first)
    });
    same.then(|| axis(from, windows.len(), first.len, stride))
}

/// The steps, with relu and what is a factor and a summand for each channel within the product before it.
fn folded(nodes: Vec<Node>) -> Vec<Node> {
    let mut kept: Vec<Node> = Vec::new();
    for node in nodes {
        if node.is_relu() {
            // The maximum of positive parts is the positive part of the maximum.
            let before = kept.iter_mut().rfind(|node| !matches!(node.kind, Kind::MaxPool(_)));
            if let Some(Node { kind: Kind::Product(product), .. }) = before {
                product.relu = true;
                continue;
            }
        } else if let (Some(by_channel), Some(Node { kind: Kind::Product(product), .. })) =
            (node.affine(), kept.last_mut())
            && !product.relu
            && by_channel.len() == product.bias.len()
        {
            product.then(&by_channel);
            continue;
        }
        kept.push(node);
    }
    kept
}

/// A model in integers of 8 bits, by [`quantize`]: a layer without parameters, which [`c`](super::c), [`rust`](super::rust) and
/// [`export_onnx`](https://docs.rs/tealight/latest/tealight/io/fn.export_onnx.html) take.
///
/// [`predict`](Layer::predict) computes with the integers that they compute with. No gradient flows through it.
#[derive(Debug)]
pub struct Quantized {
    stages: Vec<Stage>,
    /// The shapes of an example and of its result.
    input: Vec<usize>,
    result: Vec<usize>,
}

#[derive(Debug)]
struct Stage {
    run: Run,
    /// The shapes of the input and of the output for one example.
    input: Vec<usize>,
    dims: Vec<usize>,
}

#[derive(Debug)]
enum Run {
    Formula(Tape, Vec<Option<Tensor>>),
    Cast(DType),
    Softmax(bool),
    Int8(Arc<Int8>),
}

impl Layer for Quantized {
    fn forward(&self, x: &Tensor, _: &mut ForwardContext) -> Result<Tensor> {
        if x.dims().split_first().is_none_or(|(_, rest)| rest != self.input) {
            let expected = format!("inputs of shape (n, {:?})", self.input);
            return Err(Error::shape(OP, expected, &[x.dims()]));
        }
        let mut y = x.detach();
        for stage in &self.stages {
            y = stage.apply(&y)?;
        }
        shaped(&y, &self.result)
    }

    fn fields<'a>(&'a self, _: &mut Fields<'a>) {}
}

/// Examples in this shape.
fn shaped(x: &Tensor, dims: &[usize]) -> Result<Tensor> {
    if &x.dims()[1..] == dims {
        return Ok(x.clone());
    }
    x.reshape([&x.dims()[..1], dims].concat())
}

impl Stage {
    fn apply(&self, x: &Tensor) -> Result<Tensor> {
        let x = shaped(x, &self.input)?;
        match &self.run {
            Run::Formula(tape, operands) => {
                let inputs: Vec<Tensor> =
                    operands.iter().map(|operand| operand.as_ref().unwrap_or(&x).clone()).collect();
                run_tape(tape, &inputs)
            }
            Run::Cast(dtype) => x.to_dtype(*dtype),
            Run::Softmax(false) => x.softmax(-1),
            Run::Softmax(true) => x.log_softmax(-1),
            Run::Int8(kernel) => {
                let dims = [&x.dims()[..1], &self.dims].concat();
                let x = x.to_device(&Device::Cpu)?;
                traced(&[&x], || Ok(Tensor::from(run(kernel, x.array(), &dims)?)), |onnx| form(kernel, onnx))
            }
        }
    }
}

/// The windows of an image in the order of the kernels' parameters.
macro_rules! with_sides {
    ($kernel:ident($($argument:expr),*), $sides:expr) => {{
        let [high, wide] = $sides;
        integers::$kernel(
            $($argument,)* high.input, wide.input, high.output, wide.output, high.kernel, wide.kernel, high.stride,
            wide.stride, high.padding, wide.padding, high.dilation, wide.dilation,
        );
    }};
}

/// Calls a kernel.
fn run(kernel: &Arc<Int8>, x: &Array, dims: &[usize]) -> Result<Array> {
    let name = match &**kernel {
        Int8::Quantize(_) => "quantize",
        Int8::Dequantize(_) => "dequantize",
        Int8::Product(product) if is_linear(&product.conv) => "affine_int8",
        Int8::Product(_) => "conv_int8",
        Int8::MaxPool(..) => "max_pool_int8",
    };
    let (what, x) = ((name, || Primitive::Int8(kernel.clone())), &contiguous(x)?);
    let (n, count, own) = (dims[0], dims.iter().product::<usize>(), kernel.clone());
    if let Int8::Dequantize(Int8Range { scale, zero }) = **kernel {
        return launch(what, [x], dims, move |[x]| {
            let mut y = vec![0.0; count];
            integers::dequantize(x.elements(), 0, &mut y, 0, count, scale, zero + 128);
            y
        });
    }
    launch(what, [x], dims, move |[x]| {
        let mut y = vec![0; count];
        match &*own {
            Int8::Quantize(Int8Range { scale, zero }) => {
                integers::quantize(x.elements(), 0, &mut y, 0, count, *scale, (zero + 128) as f32);
            }
            Int8::Product(product) => run_product(product, x.elements(), &mut y, n),
            Int8::MaxPool(sides, _) => {
                let images = count / (sides[0].output * sides[1].output);
                with_sides!(max_pool_u8(x.elements(), 0, &mut y, 0, images), sides);
            }
            Int8::Dequantize(_) => unreachable!("dealt with above"),
        }
        y
    })
}

fn run_product(product: &Int8Product, x: &[u8], y: &mut [u8], n: usize) {
    let Int8Product { conv, weight, bias, factors, ranges, .. } = product;
    let [from, to] = ranges.map(|range| range.zero + 128);
    if is_linear(conv) {
        integers::affine_u8(x, 0, weight, bias, factors, y, 0, n, conv.inputs, conv.outputs, from, to);
        return;
    }
    let counts = [Conv::count(conv.x_dims()), Conv::count(conv.w_dims()), Conv::count(conv.y_dims())];
    let [x_step, w_step, y_step] = counts.map(|count| count / conv.groups);
    for i in 0..n * conv.groups {
        let group = i % conv.groups;
        with_sides!(
            conv_u8(
                x,
                i * x_step,
                weight,
                group * w_step,
                bias,
                factors,
                group * conv.outputs,
                y,
                i * y_step,
                from,
                to,
                conv.inputs,
                conv.outputs
            ),
            conv.sides
        );
    }
}

/// The nodes between integers and integers: those of floats, between DequantizeLinear and QuantizeLinear.
fn form(kernel: &Int8, onnx: &mut Onnx) -> Result<OnnxValue> {
    let x = onnx.input(0);
    let ends = |onnx: &mut Onnx, kind: &'static str, x: OnnxValue, range: Int8Range| -> Result<OnnxValue> {
        let scale = onnx.number(range.scale.into(), DType::F32)?;
        let zero = onnx.int8(&[range.zero as i8], &[]);
        Ok(onnx.node(kind, &[x, scale, zero], &[]))
    };
    match kernel {
        Int8::Quantize(range) => ends(onnx, "QuantizeLinear", x, *range),
        Int8::Dequantize(range) => ends(onnx, "DequantizeLinear", x, *range),
        Int8::MaxPool(sides, range) => {
            let mut attributes = windows::<2>(sides);
            attributes.push(dilations::<2>(sides));
            let x = ends(onnx, "DequantizeLinear", x, *range)?;
            let y = onnx.node("MaxPool", &[x], &attributes);
            ends(onnx, "QuantizeLinear", y, *range)
        }
        Int8::Product(product) => {
            let Int8Product { conv, weight, bias, scales, ranges: [from, to], .. } = product;
            let linear = is_linear(conv);
            let channels = scales.len();
            let vector = |onnx: &mut Onnx, numbers: Vec<f32>| -> Result<OnnxValue> {
                Ok(onnx.constant(&Array::from_vec(numbers, channels, &Device::Cpu)?))
            };
            let by_channel = [("axis", OnnxAttribute::Int(0))];
            let x = ends(onnx, "DequantizeLinear", x, *from)?;
            let dims = if linear { vec![channels, conv.inputs] } else { conv.w_dims().to_vec() };
            let (w, scale) = (onnx.int8(weight, &dims), vector(onnx, scales.clone())?);
            let zeros = onnx.int8(&vec![0; channels], &[channels]);
            let w = onnx.node("DequantizeLinear", &[w, scale, zeros], &by_channel);
            let units: Vec<f32> = scales.iter().map(|scale| from.scale * scale).collect();
            // A product of powers of two is exact as a float; one of other scales is not.
            let exact = units.iter().all(|unit| unit.to_bits() & 0x007f_ffff == 0);
            let b = if exact {
                vector(onnx, bias.iter().zip(&units).map(|(&b, unit)| b as f32 * unit).collect())?
            } else {
                let (b, unit) = (onnx.int32(bias), vector(onnx, units)?);
                onnx.node("DequantizeLinear", &[b, unit], &by_channel)
            };
            let y = if linear {
                onnx.node("Gemm", &[x, w, b], &[("transB", OnnxAttribute::Int(1))])
            } else {
                let mut attributes = windows::<2>(&conv.sides);
                attributes.push(dilations::<2>(&conv.sides));
                attributes.push(("group", OnnxAttribute::Int(conv.groups as i64)));
                onnx.node("Conv", &[x, w, b], &attributes)
            };
            ends(onnx, "QuantizeLinear", y, *to)
        }
    }
}
