//! Kernel calls: from arrays to new arrays, and the recording of them that a program replays.
//!
//! Every op computes by [`launch`] on the CPU. While a [`Recording`] is made, each call is written down: its kernel, where its
//! inputs come from, and what it made. Views need no record: they share the storage of the array that they show, and it is the
//! storage that is known.

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;

use candle_core::backend::BackendStorage;
use candle_core::op::BackpropOp;
use candle_core::{CpuStorage, DType, Layout, Storage, WithDType};
use smallvec::SmallVec;

use super::array::with_float;
use super::mode::{ObserverGuard, PROGRAM, is_observed_by};
use super::node::BackwardRule;
pub(crate) use super::primitive::{
    Describe, Int8, Int8Product, Int8Range, MatMul, PlacesKernel, Primitive, is_linear,
};
use super::{Array, Tensor, anomaly};
use crate::error::{Error, Result};
use crate::kernel::{Dims, ElementLoop, SOURCES, View};

/// An array in main memory, as a kernel reads it.
#[derive(Clone, Copy)]
pub(crate) struct Operand<'a> {
    storage: &'a CpuStorage,
    layout: &'a Layout,
}

impl<'a> Operand<'a> {
    pub(crate) fn new(storage: &'a CpuStorage, layout: &'a Layout) -> Self {
        Operand { storage, layout }
    }

    pub(crate) fn dims(&self) -> &'a [usize] {
        self.layout.dims()
    }

    pub(crate) fn strides(&self) -> &'a [usize] {
        self.layout.stride()
    }

    /// For candle's own loops, with [`layout`](Operand::layout).
    pub(crate) fn storage(&self) -> &'a CpuStorage {
        self.storage
    }

    pub(crate) fn dtype(&self) -> DType {
        self.storage.dtype()
    }

    pub(crate) fn layout(&self) -> &'a Layout {
        self.layout
    }

    /// The elements in memory order: all of a contiguous array, else those from the first one on.
    pub(crate) fn elements<T: WithDType>(&self) -> &'a [T] {
        self.of(T::cpu_storage_as_slice(self.storage).expect("the op that calls the kernel checks the dtype"))
    }

    /// [`elements`](Self::elements), of those of the storage.
    pub(crate) fn of<T>(&self, all: &'a [T]) -> &'a [T] {
        let (start, count) = (self.layout.start_offset(), self.layout.shape().elem_count());
        match count {
            // An empty view may begin behind the end of its storage.
            0 => &[],
            _ if self.layout.is_contiguous() => &all[start..start + count],
            // The last element of a strided view may lie anywhere behind the first.
            _ => &all[start..],
        }
    }

    /// The array, broadcast to `out`.
    pub(crate) fn view<T: WithDType>(&self, out: &[usize]) -> View<'a, T> {
        View::broadcast(self.elements(), self.dims(), self.strides(), out)
    }

    /// Whether it is contiguous, and not broadcast to `out`.
    pub(crate) fn fills(&self, out: &[usize]) -> bool {
        self.dims() == out && self.layout.is_contiguous()
    }

    /// A copy in row-major order, of elements of type `T`.
    pub(crate) fn to_vec<T: WithDType>(self) -> Vec<T> {
        if self.layout.is_contiguous() {
            return self.elements().to_vec();
        }
        let all =
            T::cpu_storage_as_slice(self.storage).expect("the op that calls the kernel checks the dtype");
        let (dims, count) = (self.dims(), self.layout.shape().elem_count());
        let mut index = Dims::from_elem(0, dims.len());
        let mut at = self.layout.start_offset();
        let mut gathered = Vec::with_capacity(count);
        for _ in 0..count {
            gathered.push(all[at]);
            for (axis, &stride) in self.strides().iter().enumerate().rev() {
                index[axis] += 1;
                at += stride;
                if index[axis] < dims[axis] {
                    break;
                }
                at -= stride * dims[axis];
                index[axis] = 0;
            }
        }
        gathered
    }

    /// A copy as an array, in row-major order.
    pub(crate) fn to_array(self) -> Result<Array> {
        macro_rules! copied {
            ($($dtype:ident)*) => {
                match self.storage {
                    $(CpuStorage::$dtype(_) => CpuStorage::$dtype(self.to_vec()),)*
                    _ => return Err(Error::dtype("program", "a dtype with a CPU type", &[self.dtype()])),
                }
            };
        }
        let storage = copied!(U8 U32 I16 I32 I64 BF16 F16 F32 F64 F8E4M3);
        Ok(array(storage, self.dims()))
    }
}

/// What a kernel makes: up to [`OUTPUTS`] without an allocation.
pub(crate) type Outputs = SmallVec<[CpuStorage; OUTPUTS]>;
pub(crate) const OUTPUTS: usize = 5;

/// Writes uniform random numbers in \[0, 1), the next ones in their order.
pub(crate) type Uniform<'a> = dyn FnMut(&mut [f64]) + 'a;

type MapKernel = dyn Fn(&[Operand<'_>]) -> Result<Outputs> + Send + Sync;
type OverKernel = dyn Fn(CpuStorage, &[Operand<'_>]) -> Outputs + Send + Sync;
type RandomKernel = dyn Fn(&mut Uniform<'_>) -> Outputs + Send + Sync;

/// A kernel with everything it needs besides its inputs.
#[derive(Clone)]
pub(crate) enum Kernel {
    Map(Arc<MapKernel>),
    /// From all of a value of the program that nothing reads later, whose memory its first output takes, and from the other inputs.
    Over(Arc<OverKernel>),
    /// From uniform random numbers in \[0, 1\).
    Random(Arc<RandomKernel>),
    /// One that computes each element by itself, so that a program can run it in blocks.
    Formula(Arc<dyn FormulaKernel>),
    /// A sum of a formula and, if they are wanted, its slopes.
    Total(Arc<dyn TotalKernel>),
}

/// The sum of a formula of whole operands, and the array of its slopes, each of which is computed by itself.
pub(crate) trait TotalKernel: Send + Sync {
    fn call(&self, operands: &[Operand<'_>]) -> Outputs;

    /// The slopes alone, if they are wanted: of the operands and, as the last source, of 1 / divisor.
    fn slopes(&self) -> Option<Arc<dyn FormulaKernel>>;

    /// What the sum is divided by.
    fn divisor(&self) -> f64;
}

/// The loop of a formula over operands that are broadcast to the output.
pub(crate) trait FormulaKernel: ElementLoop<f32> + ElementLoop<f64> + Send + Sync {
    fn call(&self, operands: &[Operand<'_>]) -> Outputs;

    /// Which of the sources of the loop the operands are, in their order.
    fn used(&self) -> [bool; SOURCES];

    /// Whether the loop runs operation by operation.
    fn is_interpreted(&self) -> bool {
        false
    }
}

impl Kernel {
    pub(crate) fn map(kernel: impl Fn(&[Operand<'_>]) -> Outputs + Send + Sync + 'static) -> Self {
        Kernel::Map(Arc::new(move |x| Ok(kernel(x))))
    }
}

/// Where the storage of a value comes from.
#[derive(Debug)]
pub(crate) enum Source {
    /// Array `i` of those that the recording was told of.
    External(usize),
    /// An array that no kernel made while recording.
    Constant(Array),
    Launch,
}

/// A storage: an array and all its views.
#[derive(Debug)]
pub(crate) struct Value {
    pub(crate) source: Source,
    pub(crate) dtype: DType,
    /// In elements.
    pub(crate) len: usize,
}

/// A value as an array.
#[derive(Clone, Debug)]
pub(crate) struct ValueView {
    pub(crate) value: usize,
    pub(crate) layout: Layout,
}

/// A recorded kernel call.
#[derive(Clone)]
pub(crate) struct Launch {
    /// Calls are recorded in this order.
    pub(crate) number: usize,
    pub(crate) name: Cow<'static, str>,
    pub(crate) primitive: Primitive,
    /// The layer, such as `encoder.fc1`; empty in the backward pass.
    pub(crate) scope: String,
    pub(crate) kernel: Kernel,
    pub(crate) inputs: Vec<ValueView>,
    pub(crate) outputs: SmallVec<[usize; 2]>,
    /// The calls that this one stands for, if there are several.
    pub(crate) parts: Vec<Launch>,
}

/// Reads a parameter or a buffer.
pub(crate) type State = Box<dyn Fn() -> Tensor + Send + Sync>;

/// The kernel calls of one run of a function.
#[derive(Default)]
pub(crate) struct Recording {
    pub(crate) values: Vec<Value>,
    pub(crate) launches: Vec<Launch>,
    /// The external arrays that the run replaces (running statistics), and by what.
    pub(crate) assignments: Vec<(usize, ValueView)>,
    /// The parameters and buffers that the run read and that were not among the externals, which they follow.
    pub(crate) state: Vec<State>,
    externals: usize,
    /// Whether parameters and buffers are constants, so that what depends on them alone is one too.
    folds_state: bool,
    /// The layers that computed step by step, for a program to be read, and would use one kernel otherwise.
    pub(crate) stepwise: Vec<String>,
    /// See [`unless_finite`].
    result: Option<Array>,
    /// Why the run cannot be replayed.
    refusal: Option<Error>,
    /// Values whose elements were read by other means than kernels.
    reads: Vec<usize>,
    /// Values by the address of their storage, which `alive` keeps from being used again.
    known: HashMap<usize, usize>,
    alive: Vec<Array>,
}

thread_local!(static RUNNING: RefCell<Option<Recording>> = const { RefCell::new(None) });

/// An array of these elements.
pub(crate) fn array(storage: CpuStorage, dims: &[usize]) -> Array {
    Array::from_storage(Storage::Cpu(storage), dims, BackpropOp::none(), false)
}

/// The array of shape `dims` that `kernel` makes of the elements of `inputs`, which are in main memory.
///
/// The kernel is called again when a program replays the call, so all that it reads besides its operands is the same for each call.
pub(crate) fn launch<T: WithDType, const N: usize>(
    what: impl Describe,
    inputs: [&Array; N],
    dims: &[usize],
    kernel: impl Fn([Operand<'_>; N]) -> Vec<T> + Send + Sync + 'static,
) -> Result<Array> {
    let [y] = launch_many(what, inputs, [dims], move |x| Ok([T::to_cpu_storage_owned(kernel(x))]))?;
    Ok(y)
}

/// [`launch`] for a kernel that makes several arrays, and may fail.
pub(crate) fn launch_many<const N: usize, const M: usize>(
    what: impl Describe,
    inputs: [&Array; N],
    dims: [&[usize]; M],
    kernel: impl Fn([Operand<'_>; N]) -> Result<[CpuStorage; M]> + Send + Sync + 'static,
) -> Result<[Array; M]> {
    let outputs = with_operands(inputs, &kernel)?;
    let mut dims = dims.into_iter();
    let outputs = outputs.map(|storage| array(storage, dims.next().expect("a shape for each output")));
    if is_observed_by(PROGRAM) {
        let kernel = move |x: &[Operand<'_>]| {
            let x = x.try_into().expect("a program calls a kernel with the inputs that it recorded");
            Ok(kernel(x)?.into_iter().collect())
        };
        record(what.name(), what.primitive(), &inputs, &outputs.each_ref(), Kernel::Map(Arc::new(kernel)));
    }
    Ok(outputs)
}

/// A copy in row-major order.
pub(crate) const COPY: (&str, fn() -> Primitive) = ("copy", || Primitive::map(1, |x| x[0]));

/// [`launch`] for any number of inputs and outputs, with a kernel that borrows: `owned` makes one that does not.
pub(crate) fn launch_borrowed(
    what: impl Describe,
    inputs: &[&Array],
    dims: &[&[usize]],
    kernel: &dyn Fn(&[Operand<'_>]) -> Outputs,
    owned: impl FnOnce() -> Kernel,
) -> Result<SmallVec<[Array; 2]>> {
    let made = with_all(inputs, |operands| Ok(kernel(operands)))?;
    let mut outputs: SmallVec<[Array; 2]> = SmallVec::new();
    for (storage, dims) in made.into_iter().zip(dims) {
        outputs.push(array(storage, dims));
    }
    if recording() {
        let views: SmallVec<[&Array; 2]> = outputs.iter().collect();
        record(what.name(), what.primitive(), inputs, &views, owned());
    }
    Ok(outputs)
}

/// The one output of a kernel.
pub(crate) fn single<T: WithDType>(data: Vec<T>) -> Outputs {
    let mut outputs = Outputs::new();
    outputs.push(T::to_cpu_storage_owned(data));
    outputs
}

/// The array that `kernel` makes of any number of inputs.
pub(crate) fn launch_all(
    what: impl Describe,
    inputs: &[&Array],
    dims: &[usize],
    kernel: impl Fn(&[Operand<'_>]) -> Result<CpuStorage> + Send + Sync + 'static,
) -> Result<Array> {
    let y = array(with_all(inputs, &kernel)?, dims);
    if is_observed_by(PROGRAM) {
        let kernel = move |x: &[Operand<'_>]| Ok(SmallVec::from_iter([kernel(x)?]));
        record(what.name(), what.primitive(), inputs, &[&y], Kernel::Map(Arc::new(kernel)));
    }
    Ok(y)
}

/// The array that `draw` makes of uniform random numbers.
pub(crate) fn launch_random<T: WithDType>(
    what: impl Describe,
    uniform: &mut Uniform<'_>,
    dims: &[usize],
    draw: impl Fn(&mut Uniform<'_>) -> Vec<T> + Send + Sync + 'static,
) -> Array {
    let y = array(T::to_cpu_storage_owned(draw(uniform)), dims);
    if is_observed_by(PROGRAM) {
        let draw = move |uniform: &mut Uniform<'_>| single(draw(uniform));
        record(what.name(), what.primitive(), &[], &[&y], Kernel::Random(Arc::new(draw)));
    }
    y
}

/// Calls a kernel that only checks its inputs; a program calls it again, see [`unless_finite`].
pub(crate) fn launch_check<const N: usize>(
    what: impl Describe,
    inputs: [&Array; N],
    check: impl Fn([Operand<'_>; N]) -> Result<()> + Send + Sync + 'static,
) -> Result<()> {
    // A page has no room for what saves a look.
    if cfg!(target_arch = "wasm32") {
        return launch_many(what, inputs, [], move |x| check(x).map(|()| [])).map(|[]| ());
    }
    with_operands(inputs, &check)?;
    if !is_observed_by(PROGRAM) {
        return Ok(());
    }
    let check = move |x: &[Operand<'_>]| {
        // What follows the inputs says whether they need a look.
        let (inputs, result) = x.split_at(N);
        if !result.iter().all(is_finite) || result.is_empty() {
            check(inputs.try_into().expect("a program calls a kernel with the inputs that it recorded"))?;
        }
        Ok(Outputs::new())
    };
    let result = RUNNING.with_borrow(|running| running.as_ref()?.result.clone());
    // Inputs that are the same in each run were checked above.
    let changing = inputs.iter().any(|x| !is_constant(x));
    let inputs: SmallVec<[&Array; 4]> =
        inputs.into_iter().chain(result.as_ref().filter(|_| changing)).collect();
    record(what.name(), what.primitive(), &inputs, &[], Kernel::Map(Arc::new(check)));
    Ok(())
}

/// Records the checks in `f` as ones that look only if `result`, a number that was computed of what they check, is not finite.
pub(crate) fn unless_finite<R>(result: &Array, f: impl FnOnce() -> R) -> R {
    // See `launch_check`.
    if cfg!(target_arch = "wasm32") {
        return f();
    }
    let set = |result: Option<Array>| {
        RUNNING.with_borrow_mut(|running| {
            if let Some(recording) = running {
                recording.result = result;
            }
        });
    };
    let known = matches!(result.dtype(), DType::F32 | DType::F64);
    set(known.then(|| result.clone()));
    let checked = f();
    set(None);
    checked
}

/// Whether the first element of a float array is.
fn is_finite(x: &Operand<'_>) -> bool {
    with_float!(x.dtype(), T => x.elements::<T>()[0].is_finite())
}

/// Calls `f` with the operands.
pub(crate) fn with_operands<const N: usize, R>(
    inputs: [&Array; N],
    f: impl FnOnce([Operand<'_>; N]) -> Result<R>,
) -> Result<R> {
    let opened = inputs.map(|x| x.storage_and_layout());
    for (storage, layout) in &opened {
        operand(storage, layout)?;
    }
    f(opened.each_ref().map(|(storage, layout)| operand(storage, layout).expect("checked above")))
}

/// [`with_operands`] for any number of inputs.
fn with_all<R>(inputs: &[&Array], f: impl FnOnce(&[Operand<'_>]) -> Result<R>) -> Result<R> {
    // Pushed, since `collect` of a few costs more than the kernel of a small array.
    let mut opened: SmallVec<[_; 5]> = SmallVec::new();
    for x in inputs {
        opened.push(x.storage_and_layout());
    }
    let mut operands: SmallVec<[_; 5]> = SmallVec::new();
    for (storage, layout) in &opened {
        operands.push(operand(storage, layout)?);
    }
    f(&operands)
}

fn operand<'a>(storage: &'a Storage, layout: &'a Layout) -> Result<Operand<'a>> {
    match storage {
        Storage::Cpu(storage) => Ok(Operand { storage, layout }),
        _ => Err(candle_core::Error::Msg("expected an array in main memory".into()).into()),
    }
}

fn address(x: &Array) -> usize {
    std::ptr::from_ref::<Storage>(&x.storage_and_layout().0).addr()
}

#[cold]
fn record(name: &'static str, primitive: Primitive, inputs: &[&Array], outputs: &[&Array], kernel: Kernel) {
    RUNNING.with_borrow_mut(|running| {
        let Some(recording) = running else { return };
        let inputs: Vec<ValueView> = inputs.iter().map(|x| recording.view(x)).collect();
        let is_constant = |x: &ValueView| matches!(recording.values[x.value].source, Source::Constant(_));
        if !inputs.is_empty() && inputs.iter().all(is_constant) {
            for &y in outputs {
                recording.insert(y, Source::Constant(y.clone()));
            }
        } else {
            recording.push(name, primitive, inputs, outputs, kernel);
        }
    });
}

impl Recording {
    /// Records `f`. `externals` are the arrays that change from run to run: inputs, parameters and buffers.
    ///
    /// # Errors
    /// The inner error says why the run cannot be replayed.
    pub(crate) fn of<R>(
        externals: &[Array],
        f: impl FnOnce() -> Result<R>,
    ) -> Result<(R, Result<Recording>)> {
        Self::of_function(externals, false, f)
    }

    /// [`of`](Self::of); parameters and buffers that are no externals are constants if `folds_state`.
    pub(crate) fn of_function<R>(
        externals: &[Array],
        folds_state: bool,
        f: impl FnOnce() -> Result<R>,
    ) -> Result<(R, Result<Recording>)> {
        let mut recording = Recording { externals: externals.len(), folds_state, ..Recording::default() };
        for (i, x) in externals.iter().enumerate() {
            recording.insert(x, Source::External(i));
        }
        let outer = RUNNING.replace(Some(recording));
        /// Restores the outer recording, also when a panic unwinds.
        struct Restore(Option<Recording>);
        impl Drop for Restore {
            fn drop(&mut self) {
                RUNNING.replace(self.0.take());
            }
        }
        let restore = Restore(outer);
        let guard = ObserverGuard::set(PROGRAM, true);
        let result = f();
        drop(guard);
        let mut recording = RUNNING.take().expect("the recording set above: an inner one restores it");
        drop(restore);
        if !recording.reads.is_empty() {
            recording.refuse(looked("an operation that reads elements of its own accord"));
        }
        Ok((
            result?,
            match recording.refusal {
                Some(refusal) => Err(refusal),
                None => Ok(recording),
            },
        ))
    }

    fn push(
        &mut self,
        name: &'static str,
        primitive: Primitive,
        inputs: Vec<ValueView>,
        outputs: &[&Array],
        kernel: Kernel,
    ) {
        let outputs = outputs.iter().map(|y| self.insert(y, Source::Launch)).collect();
        self.launches.push(Launch {
            number: self.launches.len(),
            name: name.into(),
            primitive,
            scope: anomaly::current_scope(),
            kernel,
            inputs,
            outputs,
            parts: Vec::new(),
        });
    }

    /// Adds a value; arrays that share a storage are one.
    fn insert(&mut self, x: &Array, source: Source) -> usize {
        let value = self.values.len();
        let len = x.storage_and_layout().0.cpu_len().unwrap_or(x.elem_count());
        self.values.push(Value { source, dtype: x.dtype(), len });
        self.known.insert(address(x), value);
        self.alive.push(x.clone());
        value
    }

    /// An array as a view of its value. What no kernel made is a constant.
    pub(crate) fn view(&mut self, x: &Array) -> ValueView {
        let value = match self.known.get(&address(x)) {
            Some(&value) => value,
            None => self.insert(x, Source::Constant(x.clone())),
        };
        ValueView { value, layout: x.layout().clone() }
    }

    /// The value of an array, unless it is a constant.
    fn changing(&self, x: &Array) -> Option<usize> {
        let &value = self.known.get(&address(x))?;
        (!matches!(self.values[value].source, Source::Constant(_))).then_some(value)
    }

    fn knows(&self, x: &Array) -> bool {
        self.known.contains_key(&address(x))
    }

    /// Whether the run drew random numbers.
    pub(crate) fn is_random(&self) -> bool {
        self.launches.iter().any(|call| matches!(call.kernel, Kernel::Random(_)))
    }

    fn refuse(&mut self, error: Error) {
        self.refusal.get_or_insert(error);
    }
}

/// The number of elements of a storage in main memory.
trait CpuLen {
    fn cpu_len(&self) -> Option<usize>;
}

impl CpuLen for Storage {
    fn cpu_len(&self) -> Option<usize> {
        match self {
            Storage::Cpu(storage) => Some(storage_len(storage)),
            _ => None,
        }
    }
}

/// The number of elements.
pub(crate) fn storage_len(storage: &CpuStorage) -> usize {
    match storage {
        CpuStorage::U8(x) => x.len(),
        CpuStorage::U32(x) => x.len(),
        CpuStorage::I16(x) => x.len(),
        CpuStorage::I32(x) => x.len(),
        CpuStorage::I64(x) => x.len(),
        CpuStorage::BF16(x) => x.len(),
        CpuStorage::F16(x) => x.len(),
        CpuStorage::F32(x) => x.len(),
        CpuStorage::F64(x) => x.len(),
        CpuStorage::F8E4M3(x) => x.len(),
        CpuStorage::F6E2M3(x) | CpuStorage::F6E3M2(x) | CpuStorage::F4(x) | CpuStorage::F8E8M0(x) => x.len(),
    }
}

/// Whether a recording is being made, so that an op may not look at numbers.
pub(crate) fn recording() -> bool {
    is_observed_by(PROGRAM)
}

/// A point of a recording, to return to by [`record_opaque`].
#[derive(Clone, Copy, Default)]
pub(super) struct Mark {
    launches: usize,
    reads: usize,
}

pub(super) fn mark() -> Mark {
    if !recording() {
        return Mark::default();
    }
    RUNNING.with_borrow(|running| match running {
        Some(recording) => Mark { launches: recording.launches.len(), reads: recording.reads.len() },
        None => Mark::default(),
    })
}

/// Notes that elements are read by other means than kernels, which only an op that is called as a whole may do, of its inputs.
pub(super) fn note_read(x: &Array) {
    if !recording() {
        return;
    }
    RUNNING.with_borrow_mut(|running| {
        if let Some(recording) = running
            && let Some(value) = recording.changing(x)
        {
            recording.reads.push(value);
        }
    });
}

/// Whether the array is the same in each run of what is recorded, so that its elements may be read.
pub(crate) fn is_constant(x: &Array) -> bool {
    !recording()
        || RUNNING
            .with_borrow(|running| running.as_ref().is_none_or(|recording| recording.changing(x).is_none()))
}

fn looked(got: impl std::fmt::Display) -> Error {
    Error::argument("program", "a function that does not look at the numbers that it computes", got)
}

/// The array, copied by a kernel if it is an external one or shows one, so that a program has it in memory of its own.
pub(crate) fn own(x: &Array) -> Result<Array> {
    let external = RUNNING.with_borrow(|running| {
        let recording = running.as_ref()?;
        let &value = recording.known.get(&address(x))?;
        Some(matches!(recording.values[value].source, Source::External(_)))
    });
    match x.dtype() {
        _ if external != Some(true) => Ok(x.clone()),
        DType::F32 => launch(COPY, [x], x.dims(), |[x]| x.to_vec::<f32>()),
        DType::F64 => launch(COPY, [x], x.dims(), |[x]| x.to_vec::<f64>()),
        _ => Ok(x.clone()),
    }
}

/// Whether an op made its result, or what it saves, by other means than kernels: such an op is called as a whole.
pub(super) fn is_opaque(inputs: &[&Tensor], output: &Array, saved: &[Array]) -> bool {
    recording()
        && RUNNING.with_borrow_mut(|running| {
            running.as_mut().is_some_and(|recording| {
                // The output may be a view of a constant.
                inputs.iter().for_each(|x| drop(recording.view(x.array())));
                !(recording.knows(output) && saved.iter().all(|x| recording.knows(x)))
            })
        })
}

/// Records a call of an op's own forward pass in place of the kernels since `mark`.
pub(super) fn record_opaque(
    mark: Mark,
    rule: &Arc<dyn BackwardRule>,
    inputs: &[&Tensor],
    output: &Array,
    saved: &[Array],
) {
    let (rule, name) = (rule.clone(), rule.name());
    let wanted: Vec<bool> = inputs.iter().map(|x| x.requires_grad()).collect();
    let layouts: Vec<Layout> = [output].into_iter().chain(saved).map(|y| y.layout().clone()).collect();
    let kernel = move |x: &[Operand<'_>]| {
        let made = rule.forward(x, &wanted)?;
        let same =
            made.len() == layouts.len() && made.iter().zip(&layouts).all(|(y, layout)| y.layout() == layout);
        if !same {
            let shapes: Vec<&[usize]> = layouts.iter().map(Layout::dims).collect();
            return Err(Error::shape(rule.name(), format!("results as recorded, {shapes:?}"), &[]));
        }
        made.iter().map(whole_storage).collect()
    };
    RUNNING.with_borrow_mut(|running| {
        let Some(recording) = running else { return };
        recording.launches.truncate(mark.launches);
        let reads = recording.reads.split_off(mark.reads);
        let inputs: Vec<ValueView> = inputs.iter().map(|x| recording.view(x.array())).collect();
        let of_another = |read: &usize| inputs.iter().all(|x| x.value != *read);
        recording.reads.extend(reads.into_iter().filter(of_another));
        // The op may be more than a function of its inputs, such as one that draws random numbers: it is called though they are constants.
        let outputs: Vec<&Array> = [output].into_iter().chain(saved).collect();
        recording.push(name, Primitive::Opaque, inputs, &outputs, Kernel::Map(Arc::new(kernel)));
    });
}

/// A copy of all that the array's storage holds.
fn whole_storage(x: &Array) -> Result<CpuStorage> {
    match &*x.storage_and_layout().0 {
        Storage::Cpu(storage) => Ok(storage.clone()),
        _ => Err(candle_core::Error::Msg("expected an array in main memory".into()).into()),
    }
}

/// Refuses a gradient that a backward rule made by other means than kernels and ops: nothing could compute it again.
pub(super) fn check_gradient(op: &'static str, grad: &Tensor) {
    RUNNING.with_borrow_mut(|running| {
        if let Some(recording) = running
            && !recording.knows(grad.array())
        {
            recording.refuse(Error::argument(
                "program",
                "backward passes that compute with tensors",
                format!("{op}, which makes an array by itself"),
            ));
        }
    });
}

/// Refuses to record a run of which a program would leave something out.
pub(crate) fn refuse(what: &str) {
    RUNNING.with_borrow_mut(|running| {
        if let Some(recording) = running {
            recording.refuse(Error::argument("program", "operations alone", what));
        }
    });
}

/// Refuses to record a run that looks at elements.
#[track_caller]
pub(crate) fn refuse_reading(what: &str, x: &Array) {
    if !recording() {
        return;
    }
    let at = std::panic::Location::caller();
    RUNNING.with_borrow_mut(|running| {
        if let Some(recording) = running
            && recording.changing(x).is_some()
        {
            recording.refuse(looked(format!("{what} of a tensor of shape {:?} ({at})", x.dims())));
        }
    });
}

/// Whether a recurrent layer shall compute its steps one by one, of primitives, because the program is exported.
pub(crate) fn wants_steps(layer: &str) -> bool {
    recording()
        && RUNNING.with_borrow_mut(|running| {
            let Some(recording) = running.as_mut().filter(|recording| recording.folds_state) else {
                return false;
            };
            let scope = anomaly::current_scope();
            let place = if scope.is_empty() { "the model" } else { &scope };
            recording.stepwise.push(format!("{layer} in {place}"));
            true
        })
}

/// Notes that a run reads a parameter or a buffer whose array is `x`.
pub(crate) fn note_state(x: &Array, state: impl Fn() -> Tensor + Send + Sync + 'static) {
    RUNNING.with_borrow_mut(|running| {
        if let Some(recording) = running
            && !recording.knows(x)
            && !recording.folds_state
        {
            recording.insert(x, Source::External(recording.externals + recording.state.len()));
            recording.state.push(Box::new(state));
        }
    });
}

/// Notes that the external array `old` is replaced by `new`.
pub(crate) fn assign(old: &Array, new: &Array) {
    if !recording() {
        return;
    }
    RUNNING.with_borrow_mut(|running| {
        let Some(recording) = running else { return };
        let external = recording.known.get(&address(old)).and_then(|&value| {
            match recording.values[value].source {
                Source::External(i) => Some(i),
                // It was set before in this run.
                _ => recording.assignments.iter().find(|(_, view)| view.value == value).map(|&(i, _)| i),
            }
        });
        if let Some(i) = external {
            let view = recording.view(new);
            recording.assignments.retain(|(assigned, _)| *assigned != i);
            recording.assignments.push((i, view));
        } else {
            recording.refuse(Error::argument("program", "a buffer of the model", "another one that is set"));
        }
    });
}
