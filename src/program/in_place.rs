//! Steps that change parameters and buffers in place, in memory that belongs to the program.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use candle_core::backend::BackendStorage;
use candle_core::{CpuStorage, DType};
use smallvec::SmallVec;

use super::evaluate::{Entry, VERIFY_EVERY, is_whole, whole};
use super::{Place, Replay, on_cpu};
use crate::autograd::launch::{self, Operand};
use crate::autograd::{self, Array, Tensor};
use crate::error::Result;
use crate::kernel;
use crate::layer::{Lender, Parameter, StateEntry};
use crate::ops::Rng;
use crate::optim::{InPlace, Optimizer, ParameterMemory, total_norm_and_factor};

/// The values of the state entries that are lent to it.
#[derive(Debug, Default)]
pub(crate) struct Memory(Mutex<Vec<Held>>);

#[derive(Debug)]
struct Held {
    dims: Vec<usize>,
    storage: CpuStorage,
    /// The memory of the last value, for the next.
    spare: CpuStorage,
    /// A gradient that was clipped or has another layout.
    gradient: CpuStorage,
}

impl Lender for Memory {
    fn value(&self, i: usize) -> Array {
        let held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        launch::array(held[i].storage.clone(), &held[i].dims)
    }
}

impl Replay {
    /// Replays a step and lets the optimizer change the parameters in place. `None` if that cannot be done now: nothing has
    /// happened then. The loss is given to `check` before anything but buffers changes.
    pub(crate) fn step_in_place(
        &mut self,
        state: &[(String, StateEntry)],
        data: &[Tensor],
        rng: &dyn Fn() -> Rng,
        optimizer: &mut dyn Optimizer,
        max_norm: Option<f64>,
        check: &dyn Fn(f64) -> Result<()>,
    ) -> Option<Result<f64>> {
        if !optimizer.is_in_place()
            || self.paused
            || self.compare
            || autograd::is_observed()
            || self.replayed % VERIFY_EVERY == VERIFY_EVERY - 1
            || !data.iter().all(|x| x.device().is_cpu())
        {
            return None;
        }
        if !data.iter().all(|x| is_whole(x.array())) {
            let data = data.iter().map(whole).collect::<Result<SmallVec<[Tensor; 4]>>>();
            return match data {
                Ok(data) => self.step_in_place(state, &data, rng, optimizer, max_norm, check),
                Err(error) => Some(Err(error)),
            };
        }
        let Replay { entries, memory, places, replayed, leaves_memory, .. } = self;
        let i = entries.iter().position(|entry| entry.fits(data, state, memory))?;
        if !entries[i].verified || !entries[i].in_place {
            return None;
        }
        if take(memory, places, state)? {
            // What is lent has the shapes and dtypes of this program, and of no other.
            *entries = vec![entries.swap_remove(i)];
        }
        let entry = entries.iter_mut().find(|entry| entry.fits(data, state, memory)).expect("found above");
        *replayed += 1;
        if std::mem::take(leaves_memory) {
            kernel::trim_freed();
        }
        let mut held = memory.0.lock().unwrap_or_else(PoisonError::into_inner);
        let loss = entry.step(&mut held, places, data, rng, optimizer, max_norm, check);
        drop(held);
        // A tied parameter is where its last entry is, as in `places` and in the recording.
        for (i, (_, entry)) in state.iter().enumerate().rev() {
            if !entry.is_lent_by(Arc::as_ptr(memory).cast()) {
                entry.lend(memory.clone(), i);
            }
        }
        Some(loss)
    }
}

/// Brings what is not in the memory into it, and tells whether something has another shape or dtype than before. `None` if the memory
/// cannot hold it.
fn take(
    memory: &Memory,
    places: &mut BTreeMap<usize, usize>,
    state: &[(String, StateEntry)],
) -> Option<bool> {
    let mut new: SmallVec<[(usize, Array); 8]> = SmallVec::new();
    for (i, (_, entry)) in state.iter().enumerate() {
        if !entry.is_lent_by(std::ptr::from_ref(memory).cast()) {
            let x = entry.get().into_array();
            let known =
                matches!(entry, StateEntry::Buffer(_)) || matches!(x.dtype(), DType::F32 | DType::F64);
            if !(known && x.device().is_cpu() && is_whole(&x)) {
                return None;
            }
            new.push((i, x));
        }
    }
    if new.is_empty() {
        return Some(false);
    }
    let mut held = memory.0.lock().unwrap_or_else(PoisonError::into_inner);
    let (first, mut changed) = (held.is_empty(), false);
    if first {
        // All are new then.
        for (i, (_, entry)) in state.iter().enumerate() {
            let empty = || CpuStorage::U8(Vec::new());
            held.push(Held { dims: Vec::new(), storage: empty(), spare: empty(), gradient: empty() });
            if let StateEntry::Parameter(parameter) = entry {
                places.insert(parameter.address(), i);
            }
        }
    }
    for (i, x) in new {
        let (opened, layout) = x.storage_and_layout();
        changed |= held[i].dims != x.dims() || held[i].storage.dtype() != x.dtype();
        copy(Operand::new(on_cpu(&opened), layout), &mut held[i].storage);
        held[i].dims.clear();
        held[i].dims.extend_from_slice(x.dims());
    }
    Some(changed && !first)
}

/// Copies elements in row-major order.
fn copy(from: Operand<'_>, to: &mut CpuStorage) {
    macro_rules! copied {
        ($($dtype:ident)*) => {
            match (from.storage(), to) {
                $((CpuStorage::$dtype(_), CpuStorage::$dtype(to)) if from.layout().is_contiguous() => {
                    to.clear();
                    to.extend_from_slice(from.elements());
                })*
                $((CpuStorage::$dtype(_), to) => *to = CpuStorage::$dtype(from.to_vec()),)*
                _ => unreachable!("no kernel makes another dtype"),
            }
        };
    }
    copied!(U8 U32 I16 I32 I64 BF16 F16 F32 F64 F8E4M3);
}

impl Entry {
    #[allow(clippy::too_many_arguments)] // the parts of a step, which have no other common owner
    fn step(
        &mut self,
        held: &mut [Held],
        places: &BTreeMap<usize, usize>,
        data: &[Tensor],
        rng: &dyn Fn() -> Rng,
        optimizer: &mut dyn Optimizer,
        max_norm: Option<f64>,
        check: &dyn Fn(f64) -> Result<()>,
    ) -> Result<f64> {
        let mut own = None;
        let mut uniform = |out: &mut [f64]| own.get_or_insert_with(rng).fill_uniform(out);
        let opened: SmallVec<[_; 4]> = data.iter().map(|x| x.array().storage_and_layout().0).collect();
        let mut externals: SmallVec<[&CpuStorage; 64]> =
            opened.iter().map(|storage| on_cpu(storage)).collect();
        externals.extend(held.iter().map(|held| &held.storage));
        self.program.run(&externals, &mut uniform)?;
        let loss = match self.program.value(&self.program.outputs[0], &externals) {
            loss if loss.dtype() == DType::F64 => loss.elements::<f64>()[0],
            loss => f64::from(loss.elements::<f32>()[0]),
        };
        drop(externals);
        for (i, view) in &self.program.assignments {
            // What a kernel made, which is in no external memory.
            copy(self.program.value(view, &[]), &mut held[i - data.len()].storage);
        }
        check(loss)?;
        let mut gradients = ProgramGradients { entry: self, held, places };
        gradients.clip(max_norm);
        optimizer.step_in_place(&mut InPlace(&mut gradients))?;
        Ok(loss)
    }

    /// The storage of the gradient of a state entry, if that is all there is in it.
    fn whole_gradient(&self, output: usize) -> Option<&CpuStorage> {
        let view = &self.program.outputs[output];
        match self.program.places[view.value] {
            Place::Slot(slot) => self.program.is_whole(slot, &view.layout).then(|| &self.program.slots[slot]),
            _ => None,
        }
    }

    /// The outputs of the last run, besides the loss.
    pub(super) fn last_outputs(&self) -> Result<Vec<Tensor>> {
        let outputs = &self.program.outputs[1..=self.outputs];
        outputs.iter().map(|view| Ok(self.program.value(view, &[]).to_array()?.into())).collect()
    }
}

/// The gradients of a run, and the parameters in the memory.
struct ProgramGradients<'a> {
    entry: &'a Entry,
    held: &'a mut [Held],
    places: &'a BTreeMap<usize, usize>,
}

impl ProgramGradients<'_> {
    /// The state entry of a parameter, and the output that is its gradient.
    fn find(&self, parameter: &Parameter) -> Option<(usize, usize)> {
        let &i = self.places.get(&parameter.address())?;
        let number = self.entry.gradients.iter().position(|&own| own == i)?;
        Some((i, 1 + self.entry.outputs + number))
    }

    /// The gradient of a state entry.
    fn gradient_of(&self, i: usize, output: usize) -> Option<&CpuStorage> {
        match &self.held[i].gradient {
            CpuStorage::U8(_) => self.entry.whole_gradient(output),
            copied => Some(copied),
        }
    }

    /// Multiplies all gradients if their norm is larger than `max_norm`, and copies those that are part of something else.
    fn clip(&mut self, max_norm: Option<f64>) {
        let ProgramGradients { entry, held, .. } = self;
        let gradient =
            |number: usize| entry.program.value(&entry.program.outputs[1 + entry.outputs + number], &[]);
        let factor = max_norm.and_then(|max_norm| {
            let norm = |number| match gradient(number) {
                g if g.dtype() == DType::F64 => kernel::optim::norm::<f64>(g.elements()),
                g => kernel::optim::norm::<f32>(g.elements()),
            };
            let norms: SmallVec<[f64; 32]> = (0..entry.gradients.len()).map(norm).collect();
            total_norm_and_factor(&norms, 2.0, max_norm).1
        });
        for (number, &i) in entry.gradients.iter().enumerate() {
            let copied = &mut held[i].gradient;
            match factor {
                None if entry.whole_gradient(1 + entry.outputs + number).is_some() => {
                    // Empty says that the gradient is where the program left it.
                    *copied = CpuStorage::U8(Vec::new());
                }
                None => copy(gradient(number), copied),
                Some(factor) => scale(gradient(number), factor, copied),
            }
        }
    }
}

/// `from`, in row-major order, times `factor`.
fn scale(from: Operand<'_>, factor: f64, to: &mut CpuStorage) {
    copy(from, to);
    match to {
        CpuStorage::F64(to) => to.iter_mut().for_each(|x| *x *= factor),
        CpuStorage::F32(to) => {
            let factor = factor as f32;
            to.iter_mut().for_each(|x| *x *= factor);
        }
        _ => unreachable!("parameters in the memory are f32 or f64"),
    }
}

impl ParameterMemory for ProgramGradients<'_> {
    fn gradient(&self, parameter: &Parameter) -> Option<&CpuStorage> {
        let (i, output) = self.find(parameter)?;
        self.gradient_of(i, output)
    }

    fn update(
        &mut self,
        parameter: &Parameter,
        update: &mut dyn FnMut(&CpuStorage, &CpuStorage) -> CpuStorage,
    ) {
        let (i, output) = self.find(parameter).expect("an optimizer updates what has a gradient");
        let spare = std::mem::replace(&mut self.held[i].spare, CpuStorage::U8(Vec::new()));
        super::give_spare(launch::storage_len(&self.held[i].storage), spare);
        let gradient = self.gradient_of(i, output).expect("what is found has a gradient");
        let updated = update(&self.held[i].storage, gradient);
        kernel::clear_spare();
        self.held[i].spare = std::mem::replace(&mut self.held[i].storage, updated);
    }
}
