//! Any [`Formula`] as a tensor operation: fused loops on the CPU, candle ops elsewhere, tensor ops when it is recorded.

use std::any::Any;
use std::sync::{Arc, OnceLock};

use candle_core::DType;
use smallvec::SmallVec;

use super::interpreters::{CandleOps, RecordedOps, Value};
use crate::autograd::Element;
use crate::autograd::array::{by_candle, converted, count, fits, is_narrow, on_cpu, with_float};
use crate::autograd::launch::{FormulaKernel, Kernel, Operand, Outputs, Primitive, launch_borrowed, single};
use crate::autograd::{ApplyTape, Array, Call, Jacobian, Onnx, OnnxValue, Op, SaveContext, Saved, Tensor};
use crate::error::{Error, Result};
use crate::formula::{Formula, InputSet, Interpreter, Jet, Real, Tape};
use crate::kernel::{self, Block, Code, Dims, ElementLoop, SOURCES, Slots, View, Written, broadcast_dims};

/// Where the loops find the output and its gradient, after up to three inputs.
pub(super) const OUTPUT: usize = 3;
const GRAD: usize = 4;

/// Applies a formula to tensors element by element, with numpy's broadcasting.
///
/// The gradient is g · ∂f/∂xᵢ, summed over the broadcast axes. The formula's loops support one to three inputs.
///
/// ```
/// # use tealight::prelude::*;
/// # use tealight::formula::{Formula, Real};
/// #[derive(Clone, Debug)]
/// struct Hypot;
/// impl Formula<2> for Hypot {
///     const NAME: &'static str = "hypot";
///     fn value<R: Real>(&self, [a, b]: [R; 2]) -> R { (a * a + b * b).sqrt() }
/// }
/// let a = Tensor::parameter(Tensor::new(&[3.0, 5.0], &Device::Cpu)?);
/// let b = Tensor::new(&[[4.0], [12.0]], &Device::Cpu)?;
/// let y = tealight::ops::apply(Hypot, [&a, &b])?;
/// assert_eq!(y.dims(), [2, 2]);
/// assert_eq!(y.sum_all()?.backward()?.get(&a).unwrap().dims(), [2]);
/// # Ok::<(), tealight::Error>(())
/// ```
pub fn apply<F: Formula<N>, const N: usize>(formula: F, inputs: [&Tensor; N]) -> Result<Tensor> {
    Pointwise(formula).apply(inputs)
}

/// Defines a built-in formula: its name, value, and derivative from the inputs and `y`, both taken from the table of
/// elementary functions with `elementary METHOD`. It becomes one fused loop, which takes time to compile; a formula that is
/// used seldom is marked `blocks` and uses the loops of its operations, which exist already.
macro_rules! formula {
    (blocks $($rest:tt)*) => { formula!(@ false, $($rest)*); };
    (@ $fused:literal, $name:ident = $label:literal, elementary $method:ident) => {
        formula!(@ $fused, $name = $label, [x] => x.$method(), y => [$crate::formula::slope::$method(x, y)]);
    };
    (@ $fused:literal, $(#[$doc:meta])* $name:ident $(($field:ident: $type:ty))? = $label:literal,
     [$($x:ident),*] => $value:expr, $y:ident => $derivative:expr) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug)]
        pub(super) struct $name $((pub(super) $type))?;
        impl $crate::formula::Formula<{ [$(stringify!($x)),*].len() }> for $name {
            const NAME: &'static str = $label;
            const IS_INLINED: bool = $fused;
            #[inline(always)]
            fn value<R: $crate::formula::Real>(&self, [$($x),*]: [R; [$(stringify!($x)),*].len()]) -> R {
                $(let $field = self.0;)?
                $value
            }
            #[inline(always)]
            #[allow(unused_variables)]
            fn derivative<R: $crate::formula::Real>(
                &self,
                [$($x),*]: [R; [$(stringify!($x)),*].len()],
                $y: R,
            ) -> [R; [$(stringify!($x)),*].len()] {
                $(let $field = self.0;)?
                $derivative
            }
        }
    };
    ($($rest:tt)*) => { formula!(@ true, $($rest)*); };
}
pub(super) use formula;

/// The operation that applies a formula of N inputs.
#[derive(Debug)]
pub(super) struct Pointwise<F, const N: usize>(pub(super) F);

/// What a loop computes.
#[derive(Clone, Copy, Debug)]
pub(super) enum Which {
    Value,
    /// The output's gradient times the derivative by this input.
    Gradient(usize),
}

/// A formula as a trait object: the code that takes one is compiled once, and not for each formula.
pub(super) trait DynFormula: Loops<f32> + Loops<f64> + Send + Sync {
    fn name(&self) -> &'static str;
    /// Which of the inputs and the output (number N) the derivative by an input reads.
    fn reads(&self, input: usize) -> InputSet;
    /// The derivative by an input, if it reads nothing.
    fn constant_slope(&self, input: usize) -> f64;
    fn tape(&self) -> Tape;
    /// The derivative by an input, from the inputs and the output.
    fn slope(&self, input: usize) -> Tape;
    /// Whether its loops run operation by operation.
    fn is_interpreted(&self) -> bool;
    /// What a loop computes, each operation as it is, from those of the [`SOURCES`] that are used.
    fn exact(&self, which: Which, used: [bool; SOURCES]) -> Tape;
    fn boxed(&self) -> Box<AnyFormula>;
}

/// A formula without its type.
pub(super) type AnyFormula = dyn DynFormula;

/// The loops of a formula over elements of type T.
pub(super) trait Loops<T: Element> {
    fn run<'s>(&self, which: Which, out: Slots<'s, T>, slices: [&[T]; SOURCES]) -> Written<'s>;
}

/// The first N elements. A closure at each use would be compiled for every formula.
#[inline(always)]
fn first<R: Copy, const N: usize>(values: &[R]) -> [R; N] {
    std::array::from_fn(|i| values[i])
}

/// The value if I is `OUTPUT`, else grad · ∂f/∂x_I. I is a constant, or the loop would not be vectorised.
#[inline(always)]
fn element<const I: usize, F: Formula<N>, const N: usize, R: Real>(formula: &F, s: &[R; SOURCES]) -> R {
    match I {
        OUTPUT => formula.value(first(s)),
        _ => s[GRAD] * formula.derivative(first(s), s[OUTPUT])[I % N],
    }
}

impl<F: Formula<N>, const N: usize, T: Element> Loops<T> for Pointwise<F, N>
where
    Block<T>: Real,
{
    fn run<'s>(&self, which: Which, out: Slots<'s, T>, slices: [&[T]; SOURCES]) -> Written<'s> {
        match which {
            Which::Value => run_loop::<OUTPUT, F, N, T>(&self.0, out, slices),
            Which::Gradient(1) if N > 1 => run_loop::<1, F, N, T>(&self.0, out, slices),
            Which::Gradient(2) if N > 2 => run_loop::<2, F, N, T>(&self.0, out, slices),
            Which::Gradient(_) => run_loop::<0, F, N, T>(&self.0, out, slices),
        }
    }
}

#[inline(always)]
fn run_loop<'s, const I: usize, F: Formula<N>, const N: usize, T: Element>(
    formula: &F,
    out: Slots<'s, T>,
    slices: [&[T]; SOURCES],
) -> Written<'s>
where
    Block<T>: Real,
{
    if let Some(taped) = (formula as &dyn Any).downcast_ref::<Taped>() {
        let which = if I == OUTPUT { Which::Value } else { Which::Gradient(I) };
        return kernel::taped(out, slices, &taped.ready::<N>(which).1);
    }
    if !F::IS_INLINED {
        return kernel::in_blocks(out, slices, &|s| element::<I, F, N, _>(formula, s));
    }
    kernel::fuse(
        out,
        slices,
        #[inline(always)]
        |s| element::<I, F, N, _>(formula, &s),
        &|s| element::<I, F, N, _>(formula, s),
    )
}

impl<F: Formula<N>, const N: usize> DynFormula for Pointwise<F, N> {
    fn name(&self) -> &'static str {
        F::NAME
    }

    fn reads(&self, input: usize) -> InputSet {
        self.0.derivative(std::array::from_fn(InputSet::input), InputSet::input(N))[input]
    }

    fn constant_slope(&self, input: usize) -> f64 {
        self.0.derivative([1.0_f64; N], 1.0)[input]
    }

    fn tape(&self) -> Tape {
        self.0.tape()
    }

    fn slope(&self, input: usize) -> Tape {
        Tape::capture_slice(N + 1, |x| vec![self.0.derivative(first(x), x[N])[input]])
    }

    fn is_interpreted(&self) -> bool {
        !F::IS_INLINED
    }

    fn exact(&self, which: Which, used: [bool; SOURCES]) -> Tape {
        let taped = (&self.0 as &dyn Any).downcast_ref::<Taped>().map(|taped| &taped.ready::<N>(which).0);
        Tape::capture_exact(used.iter().filter(|used| **used).count(), |x| {
            let mut x = x.iter().copied();
            // Nothing reads the others.
            let sources =
                used.map(|used| if used { x.next().expect("counted") } else { Real::constant(0.0) });
            if let Some(tape) = taped {
                return tape.eval(&sources[..tape.inputs()]);
            }
            vec![match which {
                Which::Value => element::<OUTPUT, F, N, _>(&self.0, &sources),
                Which::Gradient(1) if N > 1 => element::<1, F, N, _>(&self.0, &sources),
                Which::Gradient(2) if N > 2 => element::<2, F, N, _>(&self.0, &sources),
                Which::Gradient(_) => element::<0, F, N, _>(&self.0, &sources),
            }]
        })
    }

    fn boxed(&self) -> Box<AnyFormula> {
        Box::new(Pointwise(self.0.clone()))
    }
}

impl<F: Formula<N>, const N: usize> Op<N> for Pointwise<F, N> {
    const NAME: &'static str = F::NAME;

    fn forward(&self, inputs: [&Array; N], ctx: &mut SaveContext) -> Result<Array> {
        const { assert!(N >= 1 && N <= OUTPUT, "a formula on tensors has one to three inputs") };
        forward(self, &inputs, ctx)
    }

    fn derivative(&self) -> Option<String> {
        let names: &[&str] = match N {
            1 => &["x", "y"],
            2 => &["a", "b", "y"],
            _ => &["a", "b", "c", "y"],
        };
        let slopes = Tape::capture_slice(N + 1, |x| self.0.derivative(first(x), x[N]).to_vec());
        Some(slopes.named(names).to_string())
    }

    fn onnx(&self, onnx: &mut Onnx) -> Result<OnnxValue> {
        super::onnx::formula(&self.0.tape(), N, onnx)
    }

    fn jacobian(&self) -> Jacobian {
        Jacobian::Diagonal
    }

    fn slopes(&self) -> Option<([Tape; 2], ApplyTape)> {
        (N == 1).then(|| (slopes(self), super::apply_tape as ApplyTape))
    }

    fn backward(&self, saved: &Saved, grad: &Tensor) -> Result<[Option<Tensor>; N]> {
        let mut grads = [const { None }; N];
        for (i, slot) in grads.iter_mut().enumerate() {
            if saved.needs_input_grad(i) {
                *slot = backward(self, saved.call, N, grad, i)?;
            }
        }
        Ok(grads)
    }
}

/// Checks dtypes and devices, and returns the shape that all inputs broadcast to.
pub(super) fn broadcast(op: &'static str, inputs: &[&Array]) -> Result<Dims> {
    let first = inputs[0];
    if inputs.iter().any(|x| x.dtype() != first.dtype() || !x.dtype().is_float()) {
        let expected = if inputs.len() == 1 { "a float tensor" } else { "float tensors of one dtype" };
        let got: Vec<DType> = inputs.iter().map(|x| x.dtype()).collect();
        return Err(Error::dtype(op, format!("{expected} (see to_dtype)"), &got));
    }
    if inputs.iter().any(|x| !x.device().same_device(first.device())) {
        let got: Vec<String> = inputs.iter().map(|x| format!("{:?}", x.device().location())).collect();
        return Err(Error::Device { op, got: got.join(" and ") });
    }
    let mut dims = Dims::from_slice(first.dims());
    for x in &inputs[1..] {
        if x.dims() != &dims[..] {
            let expected = "shapes that broadcast together";
            let got = || inputs.iter().map(|x| x.dims()).collect::<Vec<_>>();
            dims = broadcast_dims(&dims, x.dims()).ok_or_else(|| Error::shape(op, expected, &got()))?;
        }
    }
    fits(op, &dims, first.dtype().size_in_bytes())?;
    Ok(dims)
}

pub(super) fn forward(formula: &AnyFormula, inputs: &[&Array], ctx: &mut SaveContext) -> Result<Array> {
    let dims = broadcast(formula.name(), inputs)?;
    let n = inputs.len();
    if ctx.recording() {
        let needed = (0..n).filter(|&i| ctx.needs_input_grad(i));
        let reads = needed.fold(InputSet::constant(0.0), |reads, i| reads | formula.reads(i));
        (0..n).filter(|&i| reads.has(i)).for_each(|i| ctx.save_input(i));
        if reads.has(n) {
            ctx.save_output();
        }
    }
    if is_narrow(inputs[0]) {
        let wide = inputs.iter().map(|x| converted(x, DType::F32)).collect::<Result<Vec<_>>>()?;
        let y = values(formula, &wide.iter().collect::<Vec<_>>(), &dims)?;
        return converted(&y, inputs[0].dtype());
    }
    values(formula, inputs, &dims)
}

/// Runs a tape with one output.
fn output<I: Interpreter>(
    tape: &Tape,
    interpreter: &mut I,
    inputs: &[I::Value],
) -> Result<I::Value, I::Error> {
    Ok(tape.run(interpreter, inputs)?.pop().expect("the tape of a formula has one output"))
}

fn values(formula: &AnyFormula, inputs: &[&Array], dims: &[usize]) -> Result<Array> {
    let first = inputs[0];
    if by_candle(first) {
        let operands: Vec<_> = inputs.iter().map(|&x| Value::Array(x.clone())).collect();
        return output(&formula.tape(), &mut CandleOps, &operands)?.into_array(first, dims);
    }
    let mut arrays = [None; SOURCES];
    arrays.iter_mut().zip(inputs).for_each(|(slot, &x)| *slot = Some(x));
    with_float!(first.dtype(), T => run::<T>(formula, Which::Value, arrays, dims))
}

fn run<T: Element>(
    formula: &AnyFormula,
    which: Which,
    arrays: [Option<&Array>; SOURCES],
    dims: &[usize],
) -> Result<Array>
where
    AnyFormula: Loops<T>,
{
    let used = arrays.map(|array| array.is_some());
    let inputs: SmallVec<[&Array; SOURCES]> = arrays.into_iter().flatten().collect();
    let eager = |x: &[Operand<'_>]| single(looped::<T>(formula, which, used, dims, x));
    let owned = || Kernel::Formula(looped_again(formula.boxed(), which, used, dims));
    let mut made = launch_borrowed(
        (formula.name(), || Primitive::Map(formula.exact(which, used))),
        &inputs,
        &[dims],
        &eager,
        owned,
    )?;
    Ok(made.pop().expect("a formula makes one array"))
}

/// A call of [`run`], to be made again.
pub(super) fn looped_again(
    formula: Box<AnyFormula>,
    which: Which,
    used: [bool; SOURCES],
    dims: &[usize],
) -> Arc<dyn FormulaKernel> {
    Arc::new(Recorded { formula, which, used, dims: Dims::from_slice(dims) })
}

struct Recorded {
    formula: Box<AnyFormula>,
    which: Which,
    used: [bool; SOURCES],
    dims: Dims,
}

impl<T: Element> ElementLoop<T> for Recorded
where
    AnyFormula: Loops<T>,
{
    fn run<'s>(&self, out: Slots<'s, T>, slices: [&[T]; SOURCES]) -> Written<'s> {
        self.formula.run(self.which, out, slices)
    }
}

impl FormulaKernel for Recorded {
    fn call(&self, operands: &[Operand<'_>]) -> Outputs {
        let Recorded { formula, which, used, dims } = self;
        with_float!(operands[0].dtype(), T => single(looped::<T>(&**formula, *which, *used, dims, operands)))
    }

    fn used(&self) -> [bool; SOURCES] {
        self.used
    }

    fn is_interpreted(&self) -> bool {
        self.formula.is_interpreted()
    }
}

/// The formula's loop over the operands, which stand at the places that are `used`.
fn looped<T: Element>(
    formula: &AnyFormula,
    which: Which,
    used: [bool; SOURCES],
    dims: &[usize],
    operands: &[Operand<'_>],
) -> Vec<T>
where
    AnyFormula: Loops<T>,
{
    let body: kernel::Loop<T> = &|out, slices| formula.run(which, out, slices);
    let whole = operands.iter().all(|x| x.fills(dims));
    let mut operands = operands.iter();
    let mut next = || operands.next().expect("an operand for each used place");
    if whole {
        let slices = used.map(|used| if used { next().elements() } else { &[] });
        return kernel::map_slices(count(dims), slices, body);
    }
    let sources = used.map(|used| if used { next().view(dims) } else { View::unused() });
    kernel::map_by(dims, sources, body)
}

/// The gradient of input i of `n`.
pub(super) fn backward(
    formula: &AnyFormula,
    call: &Call,
    n: usize,
    grad: &Tensor,
    i: usize,
) -> Result<Option<Tensor>> {
    let reads = formula.reads(i);
    if reads == InputSet::constant(0.0) {
        return match formula.constant_slope(i) {
            0.0 => Ok(None),
            1.0 => Ok(Some(grad.clone())),
            factor => Ok(Some((grad * factor)?)),
        };
    }
    if call.recording() || !on_cpu(grad.array()) {
        return recorded(formula, call, n, grad, i);
    }
    // Only what the derivative reads was saved.
    let mut arrays = [None; SOURCES];
    for j in (0..n).filter(|&j| reads.has(j)) {
        arrays[j] = Some(call.input(j)?);
    }
    if reads.has(n) {
        arrays[OUTPUT] = Some(call.output()?);
    }
    let grad = grad.array();
    arrays[GRAD] = Some(grad);
    let data = with_float!(grad.dtype(), T => run::<T>(formula, Which::Gradient(i), arrays, grad.dims())?);
    Ok(Some(Tensor::constant(data)))
}

/// The first and the second derivative of a formula of one input, from the input and the output.
fn slopes(formula: &AnyFormula) -> [Tape; 2] {
    let slope = formula.slope(0);
    let bend = Tape::capture_slice(2, |x| {
        let along = slope.eval(x).pop().expect("the tape of a formula has one output");
        let along = [Jet::<_, 1>::variable(x[0]), Jet::line(x[1], along)];
        slope.eval(&along).into_iter().map(|s| s.derivative(1)).collect()
    });
    [slope, bend]
}

/// A formula given as a tape.
#[derive(Clone, Debug)]
struct Taped(Arc<Tapes>);

#[derive(Debug)]
struct Tapes {
    value: (Tape, Code),
    /// The output's gradient times the derivative by each input, from all [`SOURCES`]; made when they are needed.
    gradients: [OnceLock<(Tape, Code)>; OUTPUT],
}

impl<const N: usize> Formula<N> for Taped {
    const NAME: &'static str = "formula";

    fn value<R: Real>(&self, inputs: [R; N]) -> R {
        self.0.value.0.eval(&inputs).pop().expect("the tape of a formula has one output")
    }
}

impl Taped {
    /// What a loop computes, and the same ready to run.
    fn ready<const N: usize>(&self, which: Which) -> &(Tape, Code) {
        let Which::Gradient(i) = which else { return &self.0.value };
        self.0.gradients[i].get_or_init(|| {
            let slope = DynFormula::slope(&Pointwise::<_, N>(self.clone()), i);
            let tape = Tape::capture_slice(SOURCES, |x| {
                let mut inputs = x[..N].to_vec();
                inputs.push(x[OUTPUT]);
                slope.eval(&inputs).into_iter().map(|slope| x[GRAD] * slope).collect()
            });
            let code = Code::new(&tape);
            (tape, code)
        })
    }
}

/// [`apply`] for a formula of one to three inputs that is given as a tape.
pub(crate) fn apply_tape(tape: Tape, inputs: &[&Tensor]) -> Result<Tensor> {
    let code = Code::new(&tape);
    let taped = Taped(Arc::new(Tapes { value: (tape, code), gradients: Default::default() }));
    match *inputs {
        [a] => apply(taped, [a]),
        [a, b] => apply(taped, [a, b]),
        [a, b, c] => apply(taped, [a, b, c]),
        _ => unreachable!("the callers give one to three inputs"),
    }
}

/// grad · ∂f/∂xᵢ in tensor operations: recorded for a higher derivative, or on another device.
fn recorded(formula: &AnyFormula, call: &Call, n: usize, grad: &Tensor, i: usize) -> Result<Option<Tensor>> {
    let reads = formula.reads(i);
    let operand = |j| match j {
        // The tape does not use what the derivative does not read.
        _ if !reads.has(j) => Ok(Value::Scalar(f64::NAN)),
        _ if j == n => call.output_with_history().map(Value::Array),
        _ => call.input_with_history(j).map(Value::Array),
    };
    let operands = (0..=n).map(operand).collect::<Result<Vec<_>>>()?;
    match output(&formula.slope(i), &mut RecordedOps, &operands)? {
        Value::Array(slope) => Ok(Some((grad * slope)?)),
        Value::Scalar(0.0) => Ok(None),
        Value::Scalar(factor) => Ok(Some((grad * factor)?)),
    }
}

#[cfg(test)]
mod tests;
