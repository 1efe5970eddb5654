//! The sum or mean of a formula over all elements: most losses.

use std::sync::Arc;

use candle_core::DType;
use smallvec::SmallVec;

use super::pointwise::{AnyFormula, Loops, OUTPUT, Pointwise, Which, backward, forward, looped_again};
use crate::autograd::array::{contiguous, converted, elements, on_cpu, with_float};
use crate::autograd::launch::{
    FormulaKernel, Kernel, Operand, Outputs, Primitive, TotalKernel, is_constant, launch_borrowed, single,
};
use crate::autograd::{
    Array, Call, Element, Op, SaveContext, Saved, Tensor, VariadicOp, broadcast_to, partial_vjp, with_grad,
};
use crate::error::Result;
use crate::formula::Formula;
use crate::kernel::{self, Dims, SOURCES, Slots, Written};

/// Σ formula / `divisor` over tensors of one shape. The value and the gradient by the first input come from one pass. The
/// derivative must not read the formula's value, which is not kept.
pub(crate) fn total<F: Formula<N>, const N: usize>(
    formula: F,
    inputs: [&Tensor; N],
    divisor: f64,
) -> Result<Tensor> {
    Total { formula: Pointwise(formula), divisor }.apply(inputs)
}

/// Values and slopes in one loop, for a formula of two inputs that is inlined into it.
trait AtOnce: Send + Sync {
    fn boxed_at_once(&self) -> Box<dyn AtOnce>;
    fn both_f32<'s>(&self, factor: f32, out: Slots<'s, f32>, inputs: [&[f32]; 2]) -> (f64, Written<'s>);
    fn both_f64<'s>(&self, factor: f64, out: Slots<'s, f64>, inputs: [&[f64]; 2]) -> (f64, Written<'s>);
}

macro_rules! both {
    ($name:ident $t:ty) => {
        #[inline(always)]
        fn $name<'s>(&self, factor: $t, out: Slots<'s, $t>, inputs: [&[$t]; 2]) -> (f64, Written<'s>) {
            let formula = &self.0;
            kernel::both(
                out,
                inputs,
                #[inline(always)]
                |a, b| {
                    let inputs = std::array::from_fn(|i| if i == 0 { a } else { b });
                    let value = formula.value(inputs);
                    [value, factor * formula.derivative(inputs, value)[0]]
                },
            )
        }
    };
}

impl<F: Formula<N>, const N: usize> AtOnce for Pointwise<F, N> {
    fn boxed_at_once(&self) -> Box<dyn AtOnce> {
        Box::new(Pointwise(self.0.clone()))
    }

    both!(both_f32 f32);
    both!(both_f64 f64);
}

/// The element types of such a loop.
trait FusedElement: Element {
    fn both<'s>(
        loops: &dyn AtOnce,
        factor: Self,
        out: Slots<'s, Self>,
        inputs: [&[Self]; 2],
    ) -> (f64, Written<'s>);
}

impl FusedElement for f32 {
    fn both<'s>(
        loops: &dyn AtOnce,
        factor: f32,
        out: Slots<'s, f32>,
        inputs: [&[f32]; 2],
    ) -> (f64, Written<'s>) {
        loops.both_f32(factor, out, inputs)
    }
}

impl FusedElement for f64 {
    fn both<'s>(
        loops: &dyn AtOnce,
        factor: f64,
        out: Slots<'s, f64>,
        inputs: [&[f64]; 2],
    ) -> (f64, Written<'s>) {
        loops.both_f64(factor, out, inputs)
    }
}

/// Σ formula / divisor, which is the mean if that is n.
#[derive(Debug)]
struct Total<F, const N: usize> {
    formula: Pointwise<F, N>,
    divisor: f64,
}

impl<F: Formula<N>, const N: usize> Op<N> for Total<F, N> {
    const NAME: &'static str = F::NAME;

    fn forward(&self, inputs: [&Array; N], ctx: &mut SaveContext) -> Result<Array> {
        // No loop is compiled for the other formulas.
        let at_once: Option<&dyn AtOnce> =
            if const { F::IS_INLINED && N == 2 } { Some(&self.formula) } else { None };
        total_forward(&self.formula, at_once, &inputs, self.divisor, ctx)
    }

    fn backward(&self, saved: &Saved, grad: &Tensor) -> Result<[Option<Tensor>; N]> {
        let mut grads = [const { None }; N];
        for (i, slot) in grads.iter_mut().enumerate() {
            if saved.needs_input_grad(i) {
                *slot = total_backward(&self.formula, saved.call, N, grad, i, self.divisor)?;
            }
        }
        Ok(grads)
    }
}

fn total_forward(
    formula: &AnyFormula,
    at_once: Option<&dyn AtOnce>,
    inputs: &[&Array],
    divisor: f64,
    ctx: &mut SaveContext,
) -> Result<Array> {
    let first = inputs[0];
    let (dims, n) = (first.dims(), inputs.len());
    if ctx.recording() {
        (0..n).for_each(|i| ctx.save_input(i));
    }
    if !inputs.iter().all(|x| on_cpu(x) && x.dtype() == first.dtype() && x.dims() == dims) {
        let each = forward(formula, inputs, ctx)?;
        // A sum of half precision overflows long before a mean does.
        let wide = if each.dtype() == DType::F64 { DType::F64 } else { DType::F32 };
        let total = (Tensor::constant(converted(&each, wide)?).sum_all()? / divisor)?;
        return converted(total.array(), each.dtype());
    }
    let mut copies = [const { None }; OUTPUT];
    for (copy, x) in copies.iter_mut().zip(inputs).filter(|(_, x)| !x.is_contiguous()) {
        *copy = Some(contiguous(x)?);
    }
    let wanted = ctx.needs_input_grad(0);
    let mut rows: SmallVec<[&Array; OUTPUT]> = SmallVec::new();
    for (copy, x) in copies.iter().zip(inputs) {
        rows.push(copy.as_ref().unwrap_or(x));
    }
    let shapes: &[&[usize]] = if wanted { &[&[], dims] } else { &[&[]] };
    let made = with_float!(first.dtype(), T => {
        let eager = |x: &[Operand<'_>]| totals::<T>(formula, at_once, wanted, divisor, x);
        let owned = || {
            let (formula, at_once) = (formula.boxed(), at_once.map(AtOnce::boxed_at_once));
            let dims = Dims::from_slice(dims);
            Kernel::Total(Arc::new(Recorded { formula, at_once, wanted, divisor, dims, inputs: n }))
        };
        let what = || {
            let mut used: [bool; SOURCES] = std::array::from_fn(|i| i < n);
            let values = formula.exact(Which::Value, used);
            used[SOURCES - 1] = true;
            let slopes = wanted.then(|| formula.exact(Which::Gradient(0), used));
            Primitive::Total { values, slopes, divisor }
        };
        launch_borrowed((formula.name(), what), &rows, shapes, &eager, owned)?
    });
    let mut made = made.into_iter();
    let total = made.next().expect("the total comes first");
    made.for_each(|slopes| ctx.save(slopes));
    Ok(total)
}

/// A call of [`totals`], to be made again.
struct Recorded {
    formula: Box<AnyFormula>,
    at_once: Option<Box<dyn AtOnce>>,
    wanted: bool,
    divisor: f64,
    dims: Dims,
    inputs: usize,
}

impl TotalKernel for Recorded {
    fn call(&self, operands: &[Operand<'_>]) -> Outputs {
        let Recorded { formula, at_once, wanted, divisor, .. } = self;
        with_float!(operands[0].dtype(), T => {
            totals::<T>(&**formula, at_once.as_deref(), *wanted, *divisor, operands)
        })
    }

    fn slopes(&self) -> Option<Arc<dyn FormulaKernel>> {
        // A page fuses no programs.
        if cfg!(target_arch = "wasm32") {
            return None;
        }
        let mut used: [bool; SOURCES] = std::array::from_fn(|i| i < self.inputs);
        used[SOURCES - 1] = true;
        let slopes = || looped_again(self.formula.boxed(), Which::Gradient(0), used, &self.dims);
        self.wanted.then(slopes)
    }

    fn divisor(&self) -> f64 {
        self.divisor
    }
}

/// The total and, if they are wanted, the slopes of the first of `inputs`.
fn totals<T: FusedElement>(
    formula: &AnyFormula,
    at_once: Option<&dyn AtOnce>,
    wanted: bool,
    divisor: f64,
    inputs: &[Operand<'_>],
) -> Outputs
where
    AnyFormula: Loops<T>,
{
    let mut slices: [&[T]; SOURCES] = [&[]; SOURCES];
    for (slice, x) in slices.iter_mut().zip(inputs) {
        *slice = x.elements();
    }
    let factor = T::constant(1.0) / T::constant(divisor);
    let in_one_loop = at_once.filter(|_| wanted).and_then(|loops| {
        let both: kernel::Both<T> = &|out, inputs| T::both(loops, factor, out, inputs);
        kernel::total_at_once([slices[0], slices[1]], both)
    });
    let value: kernel::Loop<T> = &|out, slices| formula.run(Which::Value, out, slices);
    let pull: kernel::Loop<T> = &|out, slices| formula.run(Which::Gradient(0), out, slices);
    let (total, slopes) = match in_one_loop {
        Some((total, slopes)) => (total, Some(slopes)),
        None => kernel::total(slices[0].len(), slices, value, wanted.then_some((pull, factor))),
    };
    let mut made = single(kernel::one(total / T::constant(divisor)));
    if let Some(slopes) = slopes {
        made.push(T::to_cpu_storage_owned(slopes));
    }
    made
}

fn total_backward(
    formula: &AnyFormula,
    call: &Call,
    n: usize,
    grad: &Tensor,
    i: usize,
    divisor: f64,
) -> Result<Option<Tensor>> {
    let recording = call.recording();
    // Derivatives of a loss's gradient are rare in a page, which has no room for an op of their own.
    let is_known = i == 0 && !(cfg!(target_arch = "wasm32") && recording);
    if let (true, Ok(slopes)) = (is_known, call.extra(0)) {
        if !recording {
            return scaled(slopes, grad).map(Some);
        }
        let mut inputs = (0..n).map(|i| call.input_with_history(i)).collect::<Result<Vec<_>>>()?;
        inputs.push(grad.clone());
        let op = TotalSlopes { formula: formula.boxed(), divisor, slopes: slopes.clone() };
        return op.apply(&inputs.iter().collect::<Vec<_>>()).map(Some);
    }
    let dims = call.input(i)?.dims();
    let grad = broadcast_to(&(grad / divisor)?, dims)?;
    backward(formula, call, n, &grad, i)
}

/// The gradient of a [`Total`] by its first input, from the slopes that the forward pass found: it is differentiated as the formula's
/// derivative is, in operations.
struct TotalSlopes {
    formula: Box<AnyFormula>,
    divisor: f64,
    slopes: Array,
}

impl std::fmt::Debug for TotalSlopes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "TotalSlopes({})", self.formula.name())
    }
}

/// Of the formula's inputs and the gradient of the total.
impl VariadicOp for TotalSlopes {
    fn name(&self) -> &'static str {
        self.formula.name()
    }

    fn forward(&self, inputs: &[&Array], ctx: &mut SaveContext) -> Result<Array> {
        (0..inputs.len()).for_each(|i| ctx.save_input(i));
        let grad = inputs.last().expect("the gradient");
        Ok(scaled(&self.slopes, &Tensor::constant((*grad).clone()))?.into_array())
    }

    fn backward(&self, saved: &Saved, grad: &Tensor) -> Result<Vec<Option<Tensor>>> {
        let count = saved.input_count();
        let wanted: Vec<usize> = (0..count).filter(|&i| saved.needs_input_grad(i)).collect();
        let mut grads = vec![None; count];
        let found = with_grad(|| {
            let inputs = (0..count).map(|i| saved.input(i)).collect::<Result<Vec<_>>>()?;
            let scale = broadcast_to(&(&inputs[count - 1] / self.divisor)?, grad.dims())?;
            let slopes = backward(&*self.formula, saved.call, count - 1, &scale, 0)?;
            let Some(slopes) = slopes.filter(Tensor::requires_grad) else { return Ok(Vec::new()) };
            let targets: Vec<&Tensor> = wanted.iter().map(|&i| &inputs[i]).collect();
            partial_vjp(&slopes, &targets, grad)
        })?;
        for (i, found) in wanted.into_iter().zip(found) {
            grads[i] = Some(if saved.recording() { found } else { found.detach() });
        }
        Ok(grads)
    }
}

/// An array of slopes times a gradient, which is mostly the scalar 1.
pub(crate) fn scaled(slopes: &Array, grad: &Tensor) -> Result<Tensor> {
    let slopes = Tensor::constant(slopes.clone());
    // Unless it is a constant, a program multiplies: in another run the gradient may be another number.
    let one = grad.elem_count() == 1
        && is_constant(grad.array())
        && on_cpu(grad.array())
        && with_float!(grad.dtype(), T => elements::<T>(grad.array())?.first() == Some(&1.0));
    if one { Ok(slopes) } else { slopes * grad }
}

#[cfg(test)]
mod tests {
    use super::super::testing::tensor;
    use super::total;
    use crate::prelude::*;

    #[test]
    fn gradients() -> Result<()> {
        let inputs = [tensor(&[0.3, -1.0, 2.0]), tensor(&[1.0, -2.5, 0.5])];
        for divisor in [1.0, 3.0] {
            autograd::gradcheck(|x| total(Mse, [&x[0], &x[1]], divisor)?.sqr(), &inputs)?;
            autograd::gradcheck(|x| total(BceWithLogits, [&x[0], &x[1]], divisor), &inputs)?;
        }
        Ok(())
    }

    #[test]
    fn as_the_sum_of_each() -> Result<()> {
        let rng = &mut Rng::seed(4);
        for n in [0, 1, 31, 32, 1000, 40_000] {
            let x = Tensor::parameter(Tensor::randn_dtype(0.0, 1.0, n, DType::F64, rng)?);
            let t = Tensor::randn_dtype(0.0, 1.0, n, DType::F64, rng)?;
            let (y, each) = (total(Mse, [&x, &t], 1.0)?, super::super::apply(Mse, [&x, &t])?.sum_all()?);
            let (a, b) = (y.to_scalar::<f64>()?, each.to_scalar::<f64>()?);
            assert!((a - b).abs() <= 1e-12 * b, "{n}: {a} {b}");
            let [own, other] =
                [y, each].map(|y| y.backward().unwrap().get(&x).unwrap().to_vec1::<f64>().unwrap());
            assert_eq!(own, other, "{n}");
        }
        Ok(())
    }

    #[test]
    fn a_recorded_gradient_is_the_one_of_the_pass() -> Result<()> {
        let rng = &mut Rng::seed(5);
        let x = Tensor::randn_dtype(0.0, 1.0, (7, 5), DType::F32, rng)?.into_parameter();
        let t = Tensor::rand_dtype(0.0, 1.0, (7, 5), DType::F32, rng)?;
        let losses: [&dyn Loss; 4] = [&Mse, &L1, &BceWithLogits, &crate::loss::Huber::new()];
        for loss in losses {
            let y = loss.loss(&x, &t)?;
            let [recorded] = autograd::grad(&y, [&x])?;
            assert_eq!(Some(&recorded), y.backward()?.get(&x), "{loss:?}");
        }
        // Of the gradient of the total, too, which may depend on what it is of.
        let inputs = [x, t].map(|x| x.to_dtype(DType::F64).unwrap().detach().into_parameter());
        for loss in losses {
            autograd::gradcheck(|x| loss.loss(&x[0].sqr()?, &x[1])?.sqr(), &inputs)?;
        }
        let third = |x: &Tensor| {
            let [first] = autograd::grad(&Mse.loss(&x.powf(3.0)?, &x.detach())?, [x])?;
            let [second] = autograd::grad(&first.sum_all()?, [x])?;
            let [third] = autograd::grad(&second.sum_all()?, [x])?;
            third.to_vec1::<f64>()
        };
        // (x³ − t)²: 120x³ − 12t.
        let x = tensor(&[2.0]).into_parameter();
        assert_eq!(third(&x)?, [120.0 * 8.0 - 12.0 * 2.0]);
        Ok(())
    }

    #[test]
    fn only_a_scalar_of_one_leaves_the_slopes_alone() -> Result<()> {
        let x = Tensor::parameter(Tensor::zeros((3, 2), DType::F64, &Device::Cpu)?);
        let losses = CrossEntropy::new().elementwise(&x, &Tensor::new(&[0u32, 1, 0], &Device::Cpu)?)?;
        let slopes = losses.backward_from(&Tensor::new(&[1.0, 2.0, 0.0], &Device::Cpu)?)?;
        let expected = [[-0.5, 0.5], [1.0, -1.0], [0.0, 0.0]];
        assert_eq!(slopes.get(&x).unwrap().to_vec2::<f64>()?, expected);
        Ok(())
    }

    #[test]
    fn half_precision_and_views() -> Result<()> {
        let ones = Tensor::ones((3, 500), DType::F16, &Device::Cpu)?;
        let zeros = Tensor::zeros((3, 500), DType::F16, &Device::Cpu)?;
        assert_eq!(total(Mse, [&ones, &zeros], 1500.0)?.to_dtype(DType::F32)?.to_scalar::<f32>()?, 1.0);
        let (x, t) = (
            Tensor::randn_dtype(0.0, 1.0, (4, 3), DType::F64, &mut Rng::seed(1))?,
            tensor(&[0.5; 12]).reshape((3, 4))?,
        );
        let by_view = total(Mse, [&x.t()?, &t], 1.0)?.to_scalar::<f64>()?;
        assert!((by_view - total(Mse, [&x, &t.t()?], 1.0)?.to_scalar::<f64>()?).abs() < 1e-14);
        Ok(())
    }
}
