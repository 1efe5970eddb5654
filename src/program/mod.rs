//! Programs: one run of a function, recorded as the kernel calls that it made and replayed without a graph.

mod compiled;
mod evaluate;
mod fuse;
mod in_place;
mod plan;
#[cfg(test)]
mod tests;
mod train_step;

pub(crate) use compiled::record;
pub use compiled::{Compiled, compile};
pub(crate) use evaluate::{Evaluation, Replay};
pub use train_step::TrainStep;
pub(crate) use train_step::step_rng;

use std::fmt;

use candle_core::backend::BackendStorage;
use candle_core::{CpuStorage, DType, Layout, Storage};
use smallvec::SmallVec;

use crate::autograd::Array;
use crate::autograd::launch::{self, Kernel, Launch, Operand, Recording, Source, Uniform, ValueView};
use crate::error::{Error, Result};
use crate::kernel::{self, LINKS};
use plan::Stored;

/// One recorded run: kernel calls on numbered values, which share memory that was planned ahead.
///
/// Formulas that follow one another are one kernel, which runs them block by block.
///
/// `Display` prints the plan: each kernel with its shapes, the bytes that it moves and its floating-point operations if they are known,
/// and the memory.
pub struct Program {
    launches: Vec<Launch>,
    externals: Vec<External>,
    constants: Vec<CpuStorage>,
    /// The memory: none before the first run. A slot holds one value after the other.
    slots: Vec<CpuStorage>,
    /// What is planned for each slot.
    planned: Vec<Stored>,
    places: Vec<Place>,
    values: Vec<Stored>,
    outputs: Vec<ValueView>,
    /// Whether nothing else is read of the value of an output after a run.
    alone: Vec<bool>,
    assignments: Vec<(usize, ValueView)>,
    /// See [`Recording::stepwise`].
    stepwise: Vec<String>,
}

/// An array that changes from run to run.
#[derive(Clone)]
struct External {
    dtype: DType,
    layout: Layout,
}

/// Where the storage of a value is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Place {
    External(usize),
    Constant(usize),
    Slot(usize),
    /// A value that nothing reads.
    Nowhere,
}

impl Program {
    /// The program of a recording that gives the arrays `outputs`. `externals` are those that the recording was told of.
    fn new(mut recording: Recording, externals: &[Array], outputs: &[&Array]) -> Result<Program> {
        let outputs: Vec<ValueView> = outputs.iter().map(|y| recording.view(y)).collect();
        let Recording { values, launches, assignments, stepwise, .. } = recording;
        let (mut places, mut constants) = (vec![Place::Nowhere; values.len()], Vec::new());
        for (place, value) in places.iter_mut().zip(&values) {
            match &value.source {
                Source::External(i) => *place = Place::External(*i),
                Source::Constant(x) => {
                    *place = Place::Constant(constants.len());
                    constants.push(storage(x)?);
                }
                Source::Launch => {}
            }
        }
        let external = |x: &Array| External { dtype: x.dtype(), layout: x.layout().clone() };
        let mut program = Program {
            launches,
            externals: externals.iter().map(external).collect(),
            constants,
            slots: Vec::new(),
            planned: Vec::new(),
            places,
            values: values.iter().map(|value| Stored { dtype: value.dtype, len: value.len }).collect(),
            outputs,
            alone: Vec::new(),
            assignments,
            stepwise,
        };
        program.launches = plan::needed(values.len(), std::mem::take(&mut program.launches), &program.kept());
        program.plan();
        Ok(program)
    }

    /// The values that are read after the last call.
    fn kept(&self) -> Vec<usize> {
        let assigned = self.assignments.iter().map(|(_, view)| view);
        self.outputs.iter().chain(assigned).map(|view| view.value).collect()
    }

    /// Gives each value that a call makes a place.
    fn plan(&mut self) {
        let (places, slots) = plan::plan(&self.values, &self.launches, &self.kept());
        for (place, new) in self.places.iter_mut().zip(places) {
            if let Place::Slot(_) | Place::Nowhere = place {
                *place = new;
            }
        }
        let mut reads = vec![0; self.values.len()];
        self.kept().into_iter().for_each(|value| reads[value] += 1);
        self.alone = self.outputs.iter().map(|view| reads[view.value] == 1).collect();
        self.slots = Vec::new();
        self.planned = slots;
    }

    /// The program with formulas that follow one another as one kernel.
    fn fused(mut self) -> Program {
        // A page has no room for that.
        if cfg!(not(target_arch = "wasm32")) {
            self.launches = fuse::fuse(&self.values, std::mem::take(&mut self.launches), &self.kept());
            self.plan();
        }
        self
    }

    /// The program with each kernel by itself, for those that write it down in another language.
    pub(crate) fn unfused(&self) -> Program {
        let parts = |call: &Launch| match &call.parts[..] {
            [] => vec![call.clone()],
            parts => parts.to_vec(),
        };
        let mut launches: Vec<Launch> = self.launches.iter().flat_map(parts).collect();
        launches.sort_by_key(|call| call.number);
        let mut program = Program {
            launches,
            externals: self.externals.clone(),
            constants: self.constants.clone(),
            slots: Vec::new(),
            planned: Vec::new(),
            places: self.places.clone(),
            values: self.values.clone(),
            outputs: self.outputs.clone(),
            alone: Vec::new(),
            assignments: self.assignments.clone(),
            stepwise: self.stepwise.clone(),
        };
        program.plan();
        program
    }

    /// Whether these arrays can stand where the recorded ones stood.
    fn takes(&self, externals: &[Array]) -> bool {
        externals.len() == self.externals.len()
            && externals
                .iter()
                .zip(&self.externals)
                .all(|(x, own)| x.dtype() == own.dtype && x.layout() == &own.layout && x.device().is_cpu())
    }

    /// Runs the kernels, and gives the outputs away; those that are needed again or are a part of something are copied.
    fn call(&mut self, externals: &[Array], uniform: &mut Uniform<'_>) -> Result<SmallVec<[Array; 4]>> {
        assert!(self.takes(externals), "the signature of a program is compared before it is run");
        with_storages(externals, |opened| {
            self.run(opened, uniform)?;
            let mut outputs = SmallVec::new();
            for output in 0..self.outputs.len() {
                outputs.push(match self.own_slot(output) {
                    Some(slot) => {
                        let storage = emptied(&mut self.slots[slot]);
                        launch::array(storage, self.outputs[output].layout.dims())
                    }
                    None => self.value(&self.outputs[output], opened).to_array()?,
                });
            }
            Ok(outputs)
        })
    }

    /// The slot whose storage is an output, if nothing else is read of it after a run.
    fn own_slot(&self, output: usize) -> Option<usize> {
        let ValueView { value, layout } = &self.outputs[output];
        let Place::Slot(slot) = self.places[*value] else { return None };
        // A larger slot has more memory than the output needs.
        let fits = self.planned[slot].len == layout.shape().elem_count();
        (self.alone[output] && fits && self.is_whole(slot, layout)).then_some(slot)
    }

    /// Whether an array is all that its slot holds, in row-major order.
    fn is_whole(&self, slot: usize, layout: &Layout) -> bool {
        layout.is_contiguous()
            && layout.start_offset() == 0
            && layout.shape().elem_count() == launch::storage_len(&self.slots[slot])
    }

    /// Runs the kernels on the storages of the externals. `uniform` draws random numbers.
    fn run(&mut self, externals: &[&CpuStorage], uniform: &mut Uniform<'_>) -> Result<()> {
        let Program { launches, constants, slots, planned, places, values, .. } = self;
        if slots.is_empty() {
            *slots = planned.iter().map(|&slot| plan::zeros(slot)).collect();
        }
        for call in launches {
            // The kernel writes to the memory that is planned for its outputs, which no input has but one that it may write over.
            let over = matches!(call.kernel, Kernel::Over(_)) as usize;
            let mut own = CpuStorage::U8(Vec::new());
            for (i, &output) in call.outputs.iter().enumerate() {
                if let Place::Slot(slot) = places[output] {
                    let used = std::mem::replace(&mut slots[slot], CpuStorage::U8(Vec::new()));
                    if i < over { own = used } else { give_spare(values[output].len, used) }
                }
            }
            let made = {
                // Pushed, and not collected, which would copy all that the vector has room for.
                let mut operands: SmallVec<[Operand<'_>; LINKS]> = SmallVec::new();
                for view in &call.inputs[over..] {
                    let storage = find(places[view.value], externals, constants, slots);
                    operands.push(Operand::new(storage, &view.layout));
                }
                match &call.kernel {
                    Kernel::Over(kernel) => Ok(kernel(own, &operands)),
                    Kernel::Random(draw) => Ok(draw(uniform)),
                    Kernel::Map(kernel) => kernel(&operands),
                    Kernel::Formula(formula) => Ok(formula.call(&operands)),
                    Kernel::Total(total) => Ok(total.call(&operands)),
                }
            };
            kernel::clear_spare();
            for (made, &output) in made?.drain(..).zip(&call.outputs) {
                if let Place::Slot(slot) = places[output] {
                    slots[slot] = made;
                }
            }
        }
        Ok(())
    }

    /// Whether no result is an input or a part of one, and the outputs with these numbers are f32 or f64.
    fn is_local(&self, floats: impl IntoIterator<Item = usize>) -> bool {
        let results = self.outputs.iter().chain(self.assignments.iter().map(|(_, view)| view));
        results.map(|view| self.places[view.value]).all(|place| !matches!(place, Place::External(_)))
            && floats
                .into_iter()
                .all(|output| matches!(self.dtype(self.outputs[output].value), DType::F32 | DType::F64))
    }

    /// A value of the last run.
    fn value<'a>(&'a self, view: &'a ValueView, externals: &[&'a CpuStorage]) -> Operand<'a> {
        Operand::new(find(self.places[view.value], externals, &self.constants, &self.slots), &view.layout)
    }

    /// The number of kernel calls.
    pub fn kernel_count(&self) -> usize {
        self.launches.len()
    }

    /// The bytes of memory that a run takes besides its inputs, parameters and constants.
    pub fn memory_bytes(&self) -> usize {
        self.planned.iter().map(|slot| slot.bytes()).sum()
    }
}

/// Takes a storage, and leaves an empty one of its dtype.
fn emptied(storage: &mut CpuStorage) -> CpuStorage {
    let empty = plan::zeros(Stored { dtype: storage.dtype(), len: 0 });
    std::mem::replace(storage, empty)
}

fn find<'a>(
    place: Place,
    externals: &[&'a CpuStorage],
    constants: &'a [CpuStorage],
    slots: &'a [CpuStorage],
) -> &'a CpuStorage {
    match place {
        Place::External(i) => externals[i],
        Place::Constant(i) => &constants[i],
        Place::Slot(i) => &slots[i],
        Place::Nowhere => unreachable!("a value that is read has a place"),
    }
}

/// Calls `f` with the storages of arrays in main memory.
fn with_storages<R>(arrays: &[Array], f: impl FnOnce(&[&CpuStorage]) -> R) -> R {
    let opened: SmallVec<[_; 16]> = arrays.iter().map(|x| x.storage_and_layout().0).collect();
    let storages: SmallVec<[&CpuStorage; 16]> = opened.iter().map(|storage| on_cpu(storage)).collect();
    f(&storages)
}

fn on_cpu(storage: &Storage) -> &CpuStorage {
    match storage {
        Storage::Cpu(storage) => storage,
        _ => unreachable!("the signature says that the array is in main memory"),
    }
}

fn storage(x: &Array) -> Result<CpuStorage> {
    match &*x.storage_and_layout().0 {
        Storage::Cpu(storage) => Ok(storage.clone()),
        _ => Err(Error::Device { op: "program", got: format!("{:?}", x.device().location()) }),
    }
}

/// Gives the memory of a used value to the next kernel, for a result of `n` elements.
fn give_spare(n: usize, storage: CpuStorage) {
    match storage {
        CpuStorage::F32(data) => kernel::give_spare(n, data),
        CpuStorage::F64(data) => kernel::give_spare(n, data),
        CpuStorage::U32(data) => kernel::give_spare(n, data),
        CpuStorage::I64(data) => kernel::give_spare(n, data),
        CpuStorage::U8(data) => kernel::give_spare(n, data),
        _ => {}
    }
}

impl fmt::Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (mut moved, mut flops, size) =
            (0, 0, |view: &ValueView, dtype: DType| view.layout.shape().elem_count() * dtype.size_in_bytes());
        for (i, call) in self.launches.iter().enumerate() {
            let (mut bytes, mut shapes) = (0, Vec::new());
            for view in &call.inputs {
                let dtype = self.dtype(view.value);
                bytes += size(view, dtype);
                shapes.push(format!("{}{:?}", dtype.as_str(), view.layout.dims()));
            }
            let (mut targets, mut count) = (Vec::new(), 0);
            for &output in &call.outputs {
                if let Place::Slot(slot) = self.places[output] {
                    bytes += self.values[output].bytes();
                    count = count.max(self.len(output));
                    targets.push(format!("slot {slot}"));
                }
            }
            moved += bytes;
            let operations = match &call.parts[..] {
                [] => call.primitive.flops(count),
                parts => parts.iter().map(|part| part.primitive.flops(self.len(part.outputs[0]))).sum(),
            };
            flops += operations.unwrap_or(0);
            let operations = operations.map_or(String::new(), |flops| format!("  {flops} FLOP"));
            let (inputs, targets) = (shapes.join(", "), targets.join(", "));
            write!(f, "{i:4}  {:<20} {inputs} -> {targets}  {bytes} B{operations}", call.name)?;
            writeln!(f, "{}{}", if call.scope.is_empty() { "" } else { "  " }, call.scope)?;
        }
        let (calls, slots, memory) = (self.launches.len(), self.planned.len(), self.memory_bytes());
        write!(f, "{calls} kernels, {flops} FLOP, {moved} bytes moved, {memory} bytes in {slots} slots")
    }
}

impl Program {
    fn dtype(&self, value: usize) -> DType {
        self.values[value].dtype
    }
}

/// What a program is made of, for those that write it down in another language.
impl Program {
    pub(crate) fn launches(&self) -> &[Launch] {
        &self.launches
    }

    pub(crate) fn stepwise(&self) -> &[String] {
        &self.stepwise
    }

    pub(crate) fn external_arrays(&self) -> impl Iterator<Item = (DType, &Layout)> {
        self.externals.iter().map(|external| (external.dtype, &external.layout))
    }

    pub(crate) fn constants(&self) -> &[CpuStorage] {
        &self.constants
    }

    /// The dtype and length of each slot.
    pub(crate) fn slot_sizes(&self) -> impl Iterator<Item = (DType, usize)> {
        self.planned.iter().map(|slot| (slot.dtype, slot.len))
    }

    pub(crate) fn outputs(&self) -> &[ValueView] {
        &self.outputs
    }

    pub(crate) fn assignments(&self) -> &[(usize, ValueView)] {
        &self.assignments
    }

    /// Where a value is, and its dtype.
    pub(crate) fn place(&self, value: usize) -> (Place, DType) {
        (self.places[value], self.dtype(value))
    }

    /// The elements of a value.
    pub(crate) fn len(&self, value: usize) -> usize {
        self.values[value].len
    }
}

impl fmt::Debug for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Program({} kernels, {} bytes)", self.launches.len(), self.memory_bytes())
    }
}
