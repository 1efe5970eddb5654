//! [`compile`]: a function that is recorded once and replayed.

use candle_core::DType;
use smallvec::SmallVec;

use super::Program;
use super::evaluate::{is_whole, same_bits, whole};
use crate::autograd::launch::{Recording, State};
use crate::autograd::{self, Array, Tensor};
use crate::error::{Error, Result};

type Function<'a, const N: usize> = dyn Fn([&Tensor; N]) -> Result<Tensor> + 'a;

/// A function of N tensors with the programs that were recorded of it; see [`compile`].
pub struct Compiled<'a, const N: usize> {
    f: Box<Function<'a, N>>,
    entries: Vec<Entry>,
}

struct Entry {
    /// Shapes and dtypes of inputs and state, and whether they require a gradient.
    signature: Vec<(Vec<usize>, DType, bool)>,
    /// The parameters and buffers that the function reads.
    state: Vec<State>,
    program: Program,
    /// Whether a replay was compared with a call of the function.
    verified: bool,
}

/// Programs are kept for this many signatures.
const PROGRAMS: usize = 8;

/// A function that is recorded at its first call with inputs of some shapes and dtypes, compared with the recording at the second, bit
/// for bit, and replayed from then on.
///
/// The function may compute gradients ([`autograd::grad`](crate::autograd::grad)); its result has no history. Parameters and buffers
/// that it reads are seen when they change. Everything else that it reads must stay as it is: a captured number is recorded as a
/// constant.
///
/// ```
/// use tealight::prelude::*;
/// use tealight::program::compile;
/// let model = Linear::new(3, 2, &mut Rng::seed(1))?;
/// let mut predict = compile(|[x]: [&Tensor; 1]| model.predict(x)?.softmax(-1));
/// let x = Tensor::ones((4, 3), DType::F32, &Device::Cpu)?;
/// for _ in 0..3 {
///     assert_eq!(predict.call([&x])?, model.predict(&x)?.softmax(-1)?);
/// }
/// assert!(predict.program().is_some());
/// let mut read = compile(|[x]: [&Tensor; 1]| x * f64::from(x.sum_all()?.to_scalar::<f32>()?));
/// assert!(read.call([&x]).unwrap_err().to_string().contains("to_scalar"));
/// # Ok::<(), tealight::Error>(())
/// ```
#[doc(alias = "jit")]
pub fn compile<'a, const N: usize>(f: impl Fn([&Tensor; N]) -> Result<Tensor> + 'a) -> Compiled<'a, N> {
    Compiled { f: Box::new(f), entries: Vec::new() }
}

impl<const N: usize> Compiled<'_, N> {
    /// The function of `inputs`.
    ///
    /// # Errors
    /// Those of the function; if it cannot be replayed, because it looks at numbers that it computes, draws random numbers, sets
    /// buffers, or differs from its recording.
    pub fn call(&mut self, inputs: [&Tensor; N]) -> Result<Tensor> {
        if autograd::is_observed() || inputs.iter().any(|x| !x.device().is_cpu()) {
            return (self.f)(inputs).map(|y| y.detach());
        }
        if inputs.iter().any(|x| !is_whole(x.array())) {
            let own = inputs.iter().map(|x| whole(x)).collect::<Result<Vec<_>>>()?;
            return self.call_whole(std::array::from_fn(|i| &own[i]));
        }
        self.call_whole(inputs)
    }

    /// [`call`](Self::call) with inputs whose layouts follow from their shapes.
    fn call_whole(&mut self, inputs: [&Tensor; N]) -> Result<Tensor> {
        let found = self.entries.iter().position(|entry| entry.fits(&inputs));
        let Some(entry) = found.map(|i| &mut self.entries[i]) else { return self.record(inputs) };
        let replayed = entry.replay(&inputs)?;
        if !entry.verified {
            if !same_bits(&(self.f)(inputs)?, &replayed)? {
                let expected = "a function that does the same each time";
                return Err(Error::argument("compile", expected, "one that differs from its recording"));
            }
            entry.verified = true;
        }
        Ok(replayed)
    }

    fn record(&mut self, inputs: [&Tensor; N]) -> Result<Tensor> {
        let (y, program, state) = recorded(&*self.f, inputs, false)?;
        let program = program.fused();
        let signature = signature(&inputs, &state);
        if self.entries.len() == PROGRAMS {
            self.entries.remove(0);
        }
        self.entries.push(Entry { signature, state, program, verified: false });
        Ok(y)
    }

    /// The program of the last signature; none before the first call.
    pub fn program(&self) -> Option<&Program> {
        self.entries.last().map(|entry| &entry.program)
    }
}

/// The program of a function of such inputs, with the present parameters and buffers as constants.
pub(crate) fn record<const N: usize>(f: &Function<'_, N>, examples: [&Tensor; N]) -> Result<Program> {
    let own = examples.iter().map(|x| whole(x)).collect::<Result<Vec<_>>>()?;
    let (_, program, _) = recorded(f, std::array::from_fn(|i| &own[i]), true)?;
    Ok(program)
}

/// The result of a function, its program, and what it reads besides its inputs.
fn recorded<const N: usize>(
    f: &Function<'_, N>,
    inputs: [&Tensor; N],
    folds_state: bool,
) -> Result<(Tensor, Program, Vec<State>)> {
    let externals: Vec<Array> = inputs.iter().map(|x| x.array().clone()).collect();
    let (y, recording) = Recording::of_function(&externals, folds_state, || Ok(f(inputs)?.detach()))?;
    let mut recording = recording?;
    let refused = match &recording {
        recording if recording.is_random() => Some("random numbers (pass them as an input)"),
        recording if !recording.assignments.is_empty() => Some("buffers that it sets (see TrainStep)"),
        _ => None,
    };
    if let Some(refused) = refused {
        return Err(Error::argument("compile", "a function of its inputs and parameters", refused));
    }
    let state = std::mem::take(&mut recording.state);
    let mut externals = externals;
    externals.extend(state.iter().map(|state| state().into_array()));
    let program = Program::new(recording, &externals, &[y.array()])?;
    Ok((y, program, state))
}

fn signature(inputs: &[&Tensor], state: &[State]) -> Vec<(Vec<usize>, DType, bool)> {
    let part = |x: &Tensor| (x.dims().to_vec(), x.dtype(), x.requires_grad());
    inputs.iter().map(|x| part(x)).chain(state.iter().map(|state| part(&state()))).collect()
}

impl Entry {
    fn fits(&self, inputs: &[&Tensor]) -> bool {
        let same = |part: &(Vec<usize>, DType, bool), x: &Tensor| {
            part.0 == x.dims() && part.1 == x.dtype() && part.2 == x.requires_grad()
        };
        inputs.iter().zip(&self.signature).all(|(x, part)| same(part, x))
            && self
                .state
                .iter()
                .zip(&self.signature[inputs.len()..])
                .all(|(state, part)| same(part, &state()))
    }

    fn replay(&mut self, inputs: &[&Tensor]) -> Result<Tensor> {
        let mut externals: SmallVec<[Array; 8]> = inputs.iter().map(|x| x.array().clone()).collect();
        for state in &self.state {
            externals.push(whole(&state())?.into_array());
        }
        let mut made =
            self.program.call(&externals, &mut |_| unreachable!("compile refuses random numbers"))?;
        Ok(made.pop().expect("a compiled function has one output").into())
    }
}

impl<const N: usize> std::fmt::Debug for Compiled<'_, N> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Compiled({} programs)", self.entries.len())
    }
}
