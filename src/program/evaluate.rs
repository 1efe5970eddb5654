//! The loss and the gradients of a step: recorded once for each signature, and replayed.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::autograd::array::contiguous;
use crate::autograd::launch::{self, Recording, ValueView};
use crate::autograd::{self, Array, Gradients, Tensor};
use crate::error::{Error, Result};
use crate::kernel;
use crate::layer::{ForwardContext, StateEntry};
use crate::ops::Rng;

use super::in_place::Memory;
use super::{Program, with_storages};

/// What one forward and backward pass gives.
#[derive(Debug)]
pub(crate) struct Evaluation {
    pub(crate) outputs: Vec<Tensor>,
    pub(crate) loss: Tensor,
    pub(crate) gradients: Gradients,
}

/// The programs of a model's steps.
#[derive(Debug, Default)]
pub(crate) struct Replay {
    pub(super) entries: Vec<Entry>,
    pub(super) replayed: u64,
    recorded: u64,
    pub(super) paused: bool,
    pub(super) compare: bool,
    /// Whether the last step was computed anew beside its recording or replay, and left more free memory than a replay needs.
    pub(super) leaves_memory: bool,
    /// The values of parameters and buffers while steps change them in place.
    pub(super) memory: Arc<Memory>,
    /// The state entries by the address of their parameter.
    pub(super) places: BTreeMap<usize, usize>,
    /// Why steps are not replayed.
    refusal: Option<Error>,
}

#[derive(Debug)]
pub(super) struct Entry {
    signature: Vec<Part>,
    pub(super) program: Program,
    pub(super) outputs: usize,
    /// The state entry of each gradient.
    pub(super) gradients: Vec<usize>,
    /// Whether a replay was compared with an eager run on other data.
    pub(super) verified: bool,
    /// Whether a step can change parameters in place.
    pub(super) in_place: bool,
}

/// What decides whether a program fits: one input or state entry.
#[derive(Debug, PartialEq)]
struct Part {
    dims: Vec<usize>,
    dtype: candle_core::DType,
    frozen: bool,
}

/// Programs are kept for this many signatures: a last, smaller batch has its own.
const PROGRAMS: usize = 8;

/// Where more steps than these, and than a quarter of those that were replayed, had to be recorded, recording does not pay.
const RECORDINGS: u64 = 32;

/// A replay is compared with an eager run again after this many.
pub(super) const VERIFY_EVERY: u64 = 1000;

impl Replay {
    /// Evaluates steps anew for now.
    pub(crate) fn pause(&mut self, paused: bool) {
        self.paused = paused;
    }

    /// Compares the next replay with an eager run.
    pub(crate) fn compare_next(&mut self) {
        self.compare = true;
    }

    /// Never replays.
    pub(crate) fn refuse(&mut self, error: Error) {
        self.entries.clear();
        self.refusal.get_or_insert(error);
    }

    /// Why steps are not replayed.
    pub(crate) fn refusal(&self) -> Option<&Error> {
        self.refusal.as_ref()
    }

    /// How many steps were replayed.
    pub(crate) fn replayed(&self) -> u64 {
        self.replayed
    }

    /// The outputs of the last step in place with this data.
    pub(crate) fn last_outputs(
        &self,
        data: &[Tensor],
        state: &[(String, StateEntry)],
    ) -> Result<Vec<Tensor>> {
        let entry = self.entries.iter().find(|entry| entry.fits(data, state, &self.memory));
        entry.expect("the step found it").last_outputs()
    }

    /// The program of the last signature, and the state entry and the output of each gradient.
    pub(crate) fn recorded(&self) -> Option<(&Program, Vec<(usize, usize)>)> {
        let entry = self.entries.last()?;
        let outputs = entry.gradients.iter().enumerate().map(|(i, &own)| (own, 1 + entry.outputs + i));
        Some((&entry.program, outputs.collect()))
    }

    /// The program of the last signature.
    pub(crate) fn program(&self) -> Option<&Program> {
        self.entries.last().map(|entry| &entry.program)
    }

    /// Evaluates `eager`, or replays what it did. `state` are the parameters and buffers of the model, `data` what else it reads;
    /// random numbers come from `rng` alone.
    pub(crate) fn evaluate(
        &mut self,
        state: &[(String, StateEntry)],
        data: &[Tensor],
        rng: &Rng,
        eager: &mut dyn FnMut(&[Tensor], ForwardContext) -> Result<Evaluation>,
    ) -> Result<Evaluation> {
        let eager_only = self.refusal.is_some() || self.paused || autograd::is_observed();
        if eager_only || data.iter().any(|x| !x.device().is_cpu()) {
            return eager(data, ForwardContext::train(rng.clone()));
        }
        let data = data.iter().map(whole).collect::<Result<Vec<Tensor>>>()?;
        let mut state_arrays = Vec::with_capacity(state.len());
        for (_, entry) in state {
            let mut value = entry.get();
            if !value.device().is_cpu() {
                return eager(&data, ForwardContext::train(rng.clone()));
            }
            // One that shows a part of a larger array gets an array of its own.
            if !is_whole(value.array()) {
                value = whole(&value)?;
                entry.set(&value)?;
            }
            state_arrays.push(value.into_array());
        }
        let externals: Vec<Array> = data.iter().map(|x| x.array().clone()).chain(state_arrays).collect();
        let found = self.entries.iter().position(|entry| entry.fits(&data, state, &self.memory));
        let Some(i) = found else { return self.record(state, &data, &externals, rng, eager) };
        let entry = &mut self.entries[i];
        if !entry.verified || self.compare || self.replayed % VERIFY_EVERY == VERIFY_EVERY - 1 {
            return self.verify(i, state, &data, &externals, rng, eager);
        }
        self.replayed += 1;
        if std::mem::take(&mut self.leaves_memory) {
            kernel::trim_freed();
        }
        let evaluation = entry.replay(state, &externals, rng)?;
        entry.assign(state, &externals)?;
        Ok(evaluation)
    }

    fn record(
        &mut self,
        state: &[(String, StateEntry)],
        data: &[Tensor],
        externals: &[Array],
        rng: &Rng,
        eager: &mut dyn FnMut(&[Tensor], ForwardContext) -> Result<Evaluation>,
    ) -> Result<Evaluation> {
        self.recorded += 1;
        self.leaves_memory = true;
        if self.recorded > RECORDINGS + self.replayed / 4 {
            let got = format!("{} different ones in {} steps", self.recorded, self.recorded + self.replayed);
            self.refuse(Error::argument("program", "batches of few shapes", got));
            return eager(data, ForwardContext::train(rng.clone()));
        }
        let signature = signature(data, state);
        let (evaluation, recording) = Recording::of(externals, || {
            let mut evaluation = eager(data, ForwardContext::train(rng.clone()))?;
            // An optimizer that works in place reads gradients in row-major order.
            for (_, entry) in state {
                let leaf = leaf(entry);
                if let Some(gradient) = evaluation.gradients.get(&leaf) {
                    let gradient = Tensor::constant(launch::own(&contiguous(gradient.array())?)?);
                    evaluation.gradients.replace(&leaf, gradient);
                }
            }
            for result in evaluation.outputs.iter_mut().chain([&mut evaluation.loss]) {
                *result = Tensor::constant(launch::own(result.array())?);
            }
            Ok(evaluation)
        })?;
        let recording = match recording {
            Ok(recording) => recording,
            Err(refusal) => {
                self.refuse(refusal);
                return Ok(evaluation);
            }
        };
        let mut gradients: Vec<usize> = Vec::new();
        let mut outputs: Vec<&Array> = vec![evaluation.loss.array()];
        outputs.extend(evaluation.outputs.iter().map(Tensor::array));
        for (i, (_, entry)) in state.iter().enumerate() {
            // A tied parameter has one gradient: it is found by its last entry, whose array the recording knows it by.
            let tied = state[i + 1..].iter().any(|(_, later)| same_parameter(entry, later));
            if let Some(gradient) = evaluation.gradients.get(&leaf(entry)).filter(|_| !tied) {
                gradients.push(i);
                outputs.push(gradient.array());
            }
        }
        if !recording.state.is_empty() {
            let got = "another one that the step reads";
            self.refuse(Error::argument("program", "parameters and buffers of the model", got));
            return Ok(evaluation);
        }
        match Program::new(recording, externals, &outputs) {
            Err(error) => self.refuse(error),
            Ok(program) => {
                if self.entries.len() == PROGRAMS {
                    self.entries.remove(0);
                }
                let outputs = evaluation.outputs.len();
                // The loss and the gradients; the outputs of the model are between them.
                let floats = (0..program.outputs.len()).filter(|&output| output == 0 || output > outputs);
                let in_place = program.is_local(floats);
                let program = program.fused();
                self.entries.push(Entry {
                    signature,
                    program,
                    outputs,
                    gradients,
                    verified: false,
                    in_place,
                });
            }
        }
        Ok(evaluation)
    }

    /// Runs both ways. From a difference on nothing is replayed.
    fn verify(
        &mut self,
        i: usize,
        state: &[(String, StateEntry)],
        data: &[Tensor],
        externals: &[Array],
        rng: &Rng,
        eager: &mut dyn FnMut(&[Tensor], ForwardContext) -> Result<Evaluation>,
    ) -> Result<Evaluation> {
        self.compare = false;
        self.leaves_memory = true;
        let mut evaluation = eager(data, ForwardContext::train(rng.clone()))?;
        // The graph's memory is free before that of the replay is taken.
        for result in evaluation.outputs.iter_mut().chain([&mut evaluation.loss]) {
            *result = result.detach();
        }
        kernel::trim_freed();
        let entry = &mut self.entries[i];
        let difference = match entry.replay(state, externals, rng) {
            Err(error) => Some(error.to_string()),
            Ok(replayed) => entry.difference(state, externals, &evaluation, &replayed)?,
        };
        match difference {
            None => {
                entry.verified = true;
                self.replayed += 1;
            }
            Some(difference) => self.refuse(Error::argument(
                "program",
                "a step that does the same each time",
                format!("one whose replay differs from it: {difference}"),
            )),
        }
        Ok(evaluation)
    }
}

impl Entry {
    /// Whether the program was recorded with data and state of these shapes, dtypes and frozen parts. What `memory` holds has the
    /// shape and dtype that it had when it came there.
    pub(super) fn fits(&self, data: &[Tensor], state: &[(String, StateEntry)], memory: &Arc<Memory>) -> bool {
        let same = |part: &Part, x: &Tensor| part.dims == x.dims() && part.dtype == x.dtype();
        self.signature.len() == data.len() + state.len()
            && data.iter().zip(&self.signature).all(|(x, part)| same(part, x))
            && state.iter().zip(&self.signature[data.len()..]).all(|((_, entry), part)| {
                part.frozen == is_frozen(entry)
                    && (entry.is_lent_by(Arc::as_ptr(memory).cast()) || same(part, &entry.get()))
            })
    }

    fn replay(
        &mut self,
        state: &[(String, StateEntry)],
        externals: &[Array],
        rng: &Rng,
    ) -> Result<Evaluation> {
        let mut rng = rng.clone();
        let mut made = self.program.call(externals, &mut |out| rng.fill_uniform(out))?.into_iter();
        let mut next = || Ok::<_, Error>(made.next().expect("a program has the outputs that were recorded"));
        let loss = Tensor::constant(next()?);
        let outputs =
            (0..self.outputs).map(|_| Ok(Tensor::constant(next()?))).collect::<Result<Vec<Tensor>>>()?;
        let mut gradients = Gradients::default();
        for &i in &self.gradients {
            gradients.replace(&leaf(&state[i].1), Tensor::constant(next()?));
        }
        Ok(Evaluation { outputs, loss, gradients })
    }

    /// Sets the buffers that the step replaces.
    fn assign(&self, state: &[(String, StateEntry)], externals: &[Array]) -> Result<()> {
        let first = externals.len() - state.len();
        for (i, view) in &self.program.assignments {
            state[i - first].1.set(&Tensor::constant(self.read(view, externals)?))?;
        }
        Ok(())
    }

    /// A value of the last run as an array.
    fn read(&self, view: &ValueView, externals: &[Array]) -> Result<Array> {
        with_storages(externals, |opened| self.program.value(view, opened).to_array())
    }

    /// Where the replay differs from the eager run, which has set the buffers.
    fn difference(
        &self,
        state: &[(String, StateEntry)],
        externals: &[Array],
        eager: &Evaluation,
        replayed: &Evaluation,
    ) -> Result<Option<String>> {
        if !same_bits(&eager.loss, &replayed.loss)? {
            return Ok(Some("in the loss".into()));
        }
        for (a, b) in eager.outputs.iter().zip(&replayed.outputs) {
            if !same_bits(a, b)? {
                return Ok(Some("in an output".into()));
            }
        }
        // Others are of what a step makes itself, as the places at which a loss differentiates a network.
        let of_state = |gradients: &Gradients| {
            state.iter().filter(|(_, entry)| gradients.get(&leaf(entry)).is_some()).count()
        };
        if of_state(&eager.gradients) != of_state(&replayed.gradients) {
            return Ok(Some("in which parameters have a gradient".into()));
        }
        for &i in &self.gradients {
            let (name, entry) = &state[i];
            let leaf = leaf(entry);
            let (Some(a), Some(b)) = (eager.gradients.get(&leaf), replayed.gradients.get(&leaf)) else {
                return Ok(Some(format!("in whether {name} has a gradient")));
            };
            if !same_bits(a, b)? {
                return Ok(Some(format!("in the gradient of {name}")));
            }
        }
        let first = externals.len() - state.len();
        for (i, (name, entry)) in state.iter().enumerate() {
            let assigned = self.program.assignments.iter().find(|(assigned, _)| *assigned == first + i);
            let replayed = match assigned {
                Some((_, view)) => self.read(view, externals)?,
                None => externals[first + i].clone(),
            };
            if !same_bits(&entry.get(), &replayed.into())? {
                return Ok(Some(format!("in {name}")));
            }
        }
        Ok(None)
    }
}

fn signature(data: &[Tensor], state: &[(String, StateEntry)]) -> Vec<Part> {
    let part = |x: &Tensor, frozen| Part { dims: x.dims().to_vec(), dtype: x.dtype(), frozen };
    let state = state.iter().map(|(_, entry)| part(&entry.get(), is_frozen(entry)));
    data.iter().map(|x| part(x, false)).chain(state).collect()
}

/// The tensor by which a gradient is found.
fn leaf(entry: &StateEntry) -> Tensor {
    match entry {
        StateEntry::Parameter(parameter) => parameter.get(),
        StateEntry::Buffer(buffer) => buffer.get(),
    }
}

fn same_parameter(a: &StateEntry, b: &StateEntry) -> bool {
    matches!((a, b), (StateEntry::Parameter(a), StateEntry::Parameter(b)) if a.ptr_eq(b))
}

fn is_frozen(entry: &StateEntry) -> bool {
    match entry {
        StateEntry::Parameter(parameter) => parameter.is_frozen(),
        StateEntry::Buffer(buffer) => buffer.is_frozen(),
    }
}

/// Whether the array is its storage's first elements in row-major order, so that its layout follows from its shape.
pub(super) fn is_whole(x: &Array) -> bool {
    x.is_contiguous() && x.layout().start_offset() == 0
}

/// The tensor with a layout that follows from its shape.
pub(super) fn whole(x: &Tensor) -> Result<Tensor> {
    Ok(if is_whole(x.array()) { x.clone() } else { Tensor::constant(x.array().force_contiguous()?) })
}

pub(super) fn same_bits(a: &Tensor, b: &Tensor) -> Result<bool> {
    if a.dims() != b.dims() || a.dtype() != b.dtype() {
        return Ok(false);
    }
    let bits = |x: &Tensor| -> Result<Vec<u64>> {
        match x.dtype() {
            candle_core::DType::I64 | candle_core::DType::U32 | candle_core::DType::U8 => Ok(x
                .array()
                .flatten_all()?
                .to_dtype(candle_core::DType::I64)?
                .to_vec1::<i64>()?
                .into_iter()
                .map(|x| x as u64)
                .collect()),
            _ => Ok(crate::autograd::array::numbers(x.array())?.into_iter().map(f64::to_bits).collect()),
        }
    };
    Ok(bits(a)? == bits(b)?)
}
