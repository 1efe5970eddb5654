//! Any [`Formula`] as an operation on tensors: fused loops on the CPU, candle ops elsewhere, tensor ops when recorded.

use candle_core::DType;

use super::lower::{Lower, Record, Value};
use crate::autograd::array::{make, on_cpu, read, view, with_float};
use crate::autograd::{Array, Keep, Op, Saved, Tensor};
use crate::error::{Error, Result};
use crate::formula::{Formula, Program, Real, Uses};
use crate::kernel::{self, Dims, SOURCES, View, broadcast_dims};

/// Where the loops find the output and its gradient, after up to three inputs.
const OUTPUT: usize = 3;
const GRAD: usize = 4;

/// Applies a formula to tensors element by element, with numpy's broadcasting.
///
/// This is how a formula of one's own becomes an operation:
///
/// ```
/// use tealight::prelude::*;
/// use tealight::formula::{Formula, Real};
/// #[derive(Clone, Debug)]
/// struct Hypot;
/// impl Formula<2> for Hypot {
///     const NAME: &'static str = "hypot";
///     fn value<R: Real>(&self, [a, b]: [R; 2]) -> R { (a * a + b * b).sqrt() }
/// }
/// let a = Tensor::parameter(Tensor::new(&[3.0, 5.0], &Device::Cpu)?.into_array());
/// let b = Tensor::new(&[[4.0], [12.0]], &Device::Cpu)?;
/// let y = tealight::ops::apply(Hypot, [&a, &b])?;
/// assert_eq!(y.dims(), [2, 2]);
/// assert_eq!(y.sum_all()?.backward()?.get(&a).unwrap().dims(), [2]);
/// # Ok::<(), tealight::Error>(())
/// ```
///
/// # Shapes
/// Any that broadcast together.
///
/// # Errors
/// Shapes that do not broadcast; dtypes that differ or are no float; tensors on different devices.
pub fn apply<F: Formula<N>, const N: usize>(formula: F, inputs: [&Tensor; N]) -> Result<Tensor> {
    Pointwise(formula).apply(inputs)
}

/// Defines a formula of this crate's own: its name, value, and derivative from the inputs and `y`. One loop for all of it
/// costs time to compile, so what is used seldom is marked `blocks`: a loop for each of its operations, which are there
/// already.
macro_rules! formula {
    (blocks $($rest:tt)*) => { formula!(@ false, $($rest)*); };
    (@ $fused:literal, $(#[$doc:meta])* $name:ident $(($field:ident: $type:ty))? = $label:literal,
     [$($x:ident),*] => $value:expr, $y:ident => $derivative:expr) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug)]
        pub(super) struct $name $((pub(super) $type))?;
        impl $crate::formula::Formula<{ [$(stringify!($x)),*].len() }> for $name {
            const NAME: &'static str = $label;
            const FUSED: bool = $fused;
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

#[derive(Debug)]
struct Pointwise<F>(F);

/// The shape that all inputs broadcast to, once their dtypes and devices agree.
fn broadcast<const N: usize>(op: &'static str, inputs: [&Array; N]) -> Result<Dims> {
    let first = inputs[0];
    if inputs.iter().any(|x| x.dtype() != first.dtype() || !x.dtype().is_float()) {
        let expected = if N == 1 { "a float tensor" } else { "float tensors of one dtype" };
        return Err(Error::dtype(op, format!("{expected} (see to_dtype)"), &inputs.map(Array::dtype)));
    }
    if inputs.iter().any(|x| !x.device().same_device(first.device())) {
        let got = inputs.map(|x| format!("{:?}", x.device().location())).join(" and ");
        return Err(Error::Device { op, got });
    }
    let mut dims = Dims::from_slice(first.dims());
    for x in &inputs[1..] {
        if x.dims() != &dims[..] {
            let expected = "shapes that broadcast together";
            dims = broadcast_dims(&dims, x.dims())
                .ok_or_else(|| Error::shape(op, expected, &inputs.map(Array::dims)))?;
        }
    }
    Ok(dims)
}

/// Which of x₀ … x_{N−1} and y (bit N) the i-th partial derivative reads. Folded by the compiler.
#[inline(always)]
fn read_by<F: Formula<N>, const N: usize>(formula: &F, i: usize) -> Uses {
    formula.derivative(std::array::from_fn(Uses::input), Uses::input(N))[i]
}

/// grad · ∂f/∂xᵢ
#[inline(always)]
fn pull<F: Formula<N>, const N: usize, R: Real>(formula: &F, s: [R; SOURCES], i: usize) -> R {
    let slopes = formula.derivative(std::array::from_fn(|j| s[j]), s[OUTPUT]);
    // Not slopes[i]: an index that is not known beforehand would keep the loop from being vectorised.
    let mut slope = slopes[0];
    for (j, &other) in slopes.iter().enumerate().skip(1) {
        slope = if i == j { other } else { slope };
    }
    s[GRAD] * slope
}

impl<F: Formula<N>, const N: usize> Op<N> for Pointwise<F> {
    const NAME: &'static str = F::NAME;

    fn forward(&self, inputs: [&Array; N], keep: &mut Keep) -> Result<Array> {
        const { assert!(N >= 1 && N <= OUTPUT, "a formula on tensors has one to three inputs") };
        let dims = broadcast(F::NAME, inputs)?;
        let mut used = Uses::constant(0.0);
        for i in (0..N).filter(|&i| keep.wants(i)) {
            used = used | read_by(&self.0, i);
        }
        (0..N).filter(|&i| used.has(i)).for_each(|i| keep.input(i));
        if used.has(N) {
            keep.output();
        }
        let narrow = matches!(inputs[0].dtype(), DType::F16 | DType::BF16);
        if narrow && inputs[0].device().is_cpu() {
            let mut wide = Vec::with_capacity(N);
            for x in inputs {
                wide.push(x.to_dtype(DType::F32)?);
            }
            let y = self.values(std::array::from_fn(|i| &wide[i]), &dims)?;
            return Ok(y.to_dtype(inputs[0].dtype())?);
        }
        self.values(inputs, &dims)
    }

    fn derivative(&self) -> Option<String> {
        let program = Program::capture_slice(N + 1, |x| {
            self.0.derivative(std::array::from_fn(|i| x[i]), x[N]).to_vec()
        });
        let names: &[&str] = match N {
            1 => &["x", "y"],
            2 => &["a", "b", "y"],
            _ => &["a", "b", "c", "y"],
        };
        Some(program.named(names).to_string())
    }

    fn backward(&self, saved: &Saved<N>, grad: &Tensor) -> Result<[Option<Tensor>; N]> {
        let mut grads = [const { None }; N];
        for (i, slot) in grads.iter_mut().enumerate() {
            if !saved.wants(i) {
                continue;
            }
            let uses = read_by(&self.0, i);
            if uses == Uses::constant(0.0) {
                // A constant: of a sum, say, or a multiple.
                let factor = self.0.derivative([1.0_f64; N], 1.0)[i];
                *slot = if factor == 0.0 {
                    None
                } else if factor == 1.0 {
                    Some(grad.clone())
                } else {
                    Some((grad * factor)?)
                };
            } else if !saved.recording() && on_cpu(grad.array()) {
                *slot = Some(Tensor::constant(self.fused(saved, grad.array(), i, uses)?));
            } else {
                *slot = self.recorded(saved, grad, i, uses)?;
            }
        }
        Ok(grads)
    }
}

impl<F> Pointwise<F> {
    fn values<const N: usize>(&self, inputs: [&Array; N], dims: &[usize]) -> Result<Array>
    where
        F: Formula<N>,
    {
        let first = inputs[0];
        if !on_cpu(first) {
            let operands = inputs.map(|x| Value::Is(x.clone()));
            let mut outputs = Program::of(&self.0).run(&mut Lower { op: F::NAME }, &operands)?;
            let output = outputs.pop().map(|y| y.into_array(first, dims)).transpose()?;
            return output.ok_or_else(|| Error::argument(F::NAME, "one output", "none"));
        }
        let formula = &self.0;
        with_float!(first.dtype(), T => {
            let data = read(inputs, |parts| {
                let sources = kernel::sources(parts.map(|part| view::<T>(part, dims)));
                if F::FUSED {
                    kernel::map(dims, sources, #[inline(always)] |x| formula.value(std::array::from_fn(|i| x[i])))
                } else {
                    kernel::map_blocks(dims, sources, |x| formula.value(std::array::from_fn(|i| x[i])))
                }
            })?;
            make(data, dims, first)
        })
    }

    /// grad · ∂f/∂xᵢ in one pass.
    fn fused<const N: usize>(&self, saved: &Saved<N>, grad: &Array, i: usize, uses: Uses) -> Result<Array>
    where
        F: Formula<N>,
    {
        let dims = grad.dims();
        // Only what the derivative reads was kept; the gradient stands in for the rest, unread.
        let mut arrays = [const { None }; SOURCES];
        for (j, slot) in arrays.iter_mut().enumerate().take(N) {
            if uses.has(j) {
                *slot = Some(saved.input(j)?.into_array());
            }
        }
        if uses.has(N) {
            arrays[OUTPUT] = Some(saved.output()?.into_array());
        }
        arrays[GRAD] = Some(grad.clone());
        let formula = &self.0;
        with_float!(grad.dtype(), T => {
            let all: [&Array; SOURCES] = std::array::from_fn(|j| arrays[j].as_ref().unwrap_or(grad));
            let data = read(all, |parts| {
                let sources = std::array::from_fn(|j| match arrays[j] {
                    Some(_) => view::<T>(parts[j], dims),
                    None => View::unused(),
                });
                if F::FUSED {
                    kernel::map(dims, sources, #[inline(always)] |s| pull(formula, s, i))
                } else {
                    kernel::map_blocks(dims, sources, |s| pull(formula, s, i))
                }
            })?;
            make(data, dims, grad)
        })
    }

    /// grad · ∂f/∂xᵢ in tensor operations, which are recorded in their turn (or run on another device).
    fn recorded<const N: usize>(
        &self,
        saved: &Saved<N>,
        grad: &Tensor,
        i: usize,
        uses: Uses,
    ) -> Result<Option<Tensor>>
    where
        F: Formula<N>,
    {
        let program = Program::capture_slice(N + 1, |x| {
            vec![self.0.derivative(std::array::from_fn(|j| x[j]), x[N])[i]]
        });
        let mut operands = vec![Value::Number(f64::NAN); N + 1];
        for (j, operand) in operands.iter_mut().enumerate().filter(|(j, _)| uses.has(*j)) {
            *operand = Value::Is(if j == N { saved.output()? } else { saved.input(j)? });
        }
        match program.run(&mut Record, &operands)?.pop() {
            Some(Value::Is(slope)) => Ok(Some((grad * slope)?)),
            Some(Value::Number(0.0)) | None => Ok(None),
            Some(Value::Number(factor)) => Ok(Some((grad * factor)?)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::apply;
    use crate::formula::{Formula, Real};
    use crate::prelude::*;

    /// Something of everything.
    #[inline(always)]
    fn mixture<R: Real>(a: R, b: R) -> R {
        let c = (a * b).sin().exp() / (b.abs() + R::constant(0.5)).sqrt();
        let d = (a * R::constant(3.0)).round_ties_even() + b.floor() + a.rem(b) * b.erfc() - c.atan();
        d + c.select_gt(a, c.tanh() - a.erf(), a.max(b).sigmoid())
            + b.powi(2).ln_1p().min(c)
            + b.abs().powf(a)
    }

    #[derive(Clone, Debug)]
    struct Fused;
    impl Formula<2> for Fused {
        const NAME: &'static str = "fused";
        const FUSED: bool = true;
        #[inline(always)]
        fn value<R: Real>(&self, [a, b]: [R; 2]) -> R {
            mixture(a, b)
        }
    }

    #[derive(Clone, Debug)]
    struct Blocks;
    impl Formula<2> for Blocks {
        const NAME: &'static str = "blocks";
        fn value<R: Real>(&self, [a, b]: [R; 2]) -> R {
            mixture(a, b)
        }
    }

    fn both<D: candle_core::WithDType>(dtype: DType) -> Result<()> {
        let rng = &mut Rng::seed(9);
        for (da, db) in [
            (vec![3, 700], vec![700]),
            (vec![40_000], vec![40_000]),
            (vec![5, 1], vec![1, 3]),
            (vec![0], vec![1]),
        ] {
            let a = Tensor::parameter(Tensor::randn(0.0, 1.0, da, rng)?.to_dtype(dtype)?.into_array());
            let b = Tensor::parameter(Tensor::randn(0.0, 1.0, db, rng)?.to_dtype(dtype)?.into_array());
            let run = |y: Tensor| -> Result<[Vec<D>; 3]> {
                let gradients = y.sum_all()?.backward()?;
                let numbers =
                    |x: Option<&Tensor>| x.map_or(Ok(Vec::new()), |x| x.flatten(0, -1)?.to_vec1::<D>());
                Ok([numbers(Some(&y))?, numbers(gradients.get(&a))?, numbers(gradients.get(&b))?])
            };
            assert!(run(apply(Fused, [&a, &b])?)? == run(apply(Blocks, [&a, &b])?)?, "{dtype:?}");
        }
        Ok(())
    }

    #[test]
    fn fused_loops_and_blocks_give_the_same_bits() -> Result<()> {
        both::<f32>(DType::F32)?;
        both::<f64>(DType::F64)
    }

    #[test]
    fn candle_ops_and_tensor_ops_give_the_same_numbers() -> Result<()> {
        use super::super::lower::{Lower, Record, Value};
        use crate::formula::Program;
        let rng = &mut Rng::seed(4);
        let (a, b) = (Tensor::randn(0.0, 1.0, 500, rng)?, Tensor::randn(0.0, 1.0, 500, rng)?);
        let expected = apply(Fused, [&a, &b])?.to_vec1::<f64>()?;
        let program = Program::of(&Fused);
        let operands = [&a, &b].map(|x| Value::Is(x.array().clone()));
        let lowered =
            program.run(&mut Lower { op: "fused" }, &operands)?.remove(0).into_array(a.array(), &[500])?;
        let Value::Is(recorded) = program.run(&mut Record, &[Value::Is(a), Value::Is(b)])?.remove(0) else {
            panic!("a number")
        };
        for (other, limit) in [(lowered.to_vec1::<f64>()?, 1e-9), (recorded.to_vec1()?, 1e-13)] {
            for (x, y) in other.iter().zip(&expected) {
                assert!((x - y).abs() <= limit * y.abs().max(1.0), "{x} {y}");
            }
        }
        Ok(())
    }
}
