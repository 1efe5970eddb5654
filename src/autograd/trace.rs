//! [`Trace`]: the operations of one run of a model, for the ONNX export.

use std::cell::RefCell;
use std::collections::HashMap;

use candle_core::{DType, TensorId};

use super::mode::{ObserverGuard, TRACE, is_observed_by};
use super::onnx::{Onnx, OnnxAttribute, OnnxValue};
use super::{Array, Tensor, anomaly};
use crate::error::{Error, Result};
use crate::kernel::Dims;

/// Where a value of a [`Trace`] comes from.
#[derive(Debug)]
pub(crate) enum Source {
    /// An input of the model, by number.
    Input(usize),
    /// A parameter or a buffer of the model, by name.
    State(String, Array),
    Constant(Array),
    /// A constant of bytes (u8) or i32, of the type with this number in ONNX.
    Typed(Array, i64),
    /// An optional input that is not given.
    Absent,
    /// Sizes, as a vector of int64. Some may be the size of the batch.
    Sizes(Dims),
    Node {
        kind: &'static str,
        inputs: Vec<OnnxValue>,
        attributes: Vec<(&'static str, OnnxAttribute)>,
        /// The layer, such as `encoder.fc1`.
        place: String,
    },
    /// A further result of a node.
    Part(OnnxValue, usize),
    /// The result of an operation without an ONNX form: an error if the output depends on it.
    Missing(Error),
}

/// What the file is to be like.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Target {
    pub(crate) opset: usize,
    /// Recurrent layers are written step by step.
    pub(crate) unrolled: bool,
    /// f64 is written as f32.
    pub(crate) as_f32: bool,
    /// No size but that of the batch is free.
    pub(crate) fixed_steps: bool,
}

impl Target {
    /// The dtype in the file of what has this one here.
    pub(crate) fn dtype(self, dtype: DType) -> DType {
        if self.as_f32 && dtype == DType::F64 { DType::F32 } else { dtype }
    }
}

/// The values of one run, in the order in which they were computed.
#[derive(Debug)]
pub(crate) struct Trace {
    pub(crate) target: Target,
    pub(crate) values: Vec<Source>,
    known: HashMap<TensorId, OnnxValue>,
    /// Whether each value depends on an input.
    depends: Vec<bool>,
}

thread_local!(static RUNNING: RefCell<Option<Trace>> = const { RefCell::new(None) });

/// Writes an operation as ONNX nodes: a value for each result.
type Form<'a> = &'a mut dyn FnMut(&mut Onnx) -> Result<Vec<OnnxValue>>;

impl Trace {
    /// Traces `f(inputs)`: the trace, the values of the results, and the results. `state` are parameters and buffers by name.
    pub(crate) fn of(
        target: Target,
        inputs: &[Tensor],
        state: Vec<(String, Tensor)>,
        f: impl FnOnce(&[Tensor]) -> Result<Vec<Tensor>>,
    ) -> Result<(Trace, Vec<OnnxValue>, Vec<Tensor>)> {
        let mut trace = Trace { target, values: Vec::new(), known: HashMap::new(), depends: Vec::new() };
        for (name, tensor) in state {
            let array = tensor.into_array();
            let id = array.id();
            let value = trace.push(Source::State(name, array), false);
            trace.known.entry(id).or_insert(value);
        }
        for (i, input) in inputs.iter().enumerate() {
            let value = trace.push(Source::Input(i), true);
            trace.known.insert(input.array().id(), value);
        }
        let outer = RUNNING.replace(Some(trace));
        /// Restores the outer trace, also when a panic unwinds.
        struct Restore(Option<Trace>);
        impl Drop for Restore {
            fn drop(&mut self) {
                RUNNING.replace(self.0.take());
            }
        }
        let restore = Restore(outer);
        let guard = ObserverGuard::set(TRACE, true);
        let y = f(inputs);
        drop(guard);
        let trace = RUNNING.take();
        drop(restore);
        let mut trace = trace.expect("the trace set above: an inner one restores it");
        let y = y?;
        let outputs = y.iter().map(|y| trace.value(y.array())).collect();
        Ok((trace, outputs, y))
    }

    pub(super) fn push(&mut self, source: Source, depends: bool) -> OnnxValue {
        self.values.push(source);
        self.depends.push(depends);
        OnnxValue(self.values.len() - 1)
    }

    /// The value of an array. An array that no traced operation made is a constant.
    pub(super) fn value(&mut self, array: &Array) -> OnnxValue {
        match self.known.get(&array.id()) {
            Some(&value) => value,
            None => {
                let value = self.push(Source::Constant(array.clone()), false);
                self.known.insert(array.id(), value);
                value
            }
        }
    }

    pub(super) fn node(
        &mut self,
        kind: &'static str,
        inputs: &[OnnxValue],
        attributes: &[(&'static str, OnnxAttribute)],
    ) -> OnnxValue {
        let depends = inputs.iter().any(|&input| self.depends_on_input(input));
        let (inputs, attributes) = (inputs.to_vec(), attributes.to_vec());
        self.push(Source::Node { kind, inputs, attributes, place: anomaly::current_scope() }, depends)
    }

    /// A value of another graph, which the export reports, does not depend on this one's input.
    pub(super) fn depends_on_input(&self, value: OnnxValue) -> bool {
        self.depends.get(value.0) == Some(&true)
    }

    /// Adds an operation.
    fn add(&mut self, inputs: &[&Tensor], outputs: &[&Array], form: Form) {
        let is = |source: fn(&Trace, OnnxValue) -> bool| {
            inputs.iter().any(|x| self.known.get(&x.array().id()).is_some_and(|&value| source(self, value)))
        };
        let depends = is(Trace::depends_on_input);
        let named = is(|trace, value| !matches!(trace.values.get(value.0), Some(Source::Constant(_))));
        // A result of constants is a constant.
        if !depends && !named {
            return;
        }
        let start = self.values.len();
        let arrays: Vec<&Array> = inputs.iter().map(|x| x.array()).collect();
        let Some(&output) = outputs.first() else { return };
        let values = match form(&mut Onnx { trace: self, inputs: &arrays, output }) {
            Ok(values) => values,
            Err(_) if !depends => {
                self.forget_from(start);
                return;
            }
            Err(error) => {
                self.forget_from(start);
                let place = anomaly::current_scope();
                let error = if place.is_empty() { error } else { error.context(place) };
                vec![self.push(Source::Missing(error), true); outputs.len()]
            }
        };
        for (output, value) in outputs.iter().zip(values) {
            // The result may be one of the inputs, which is known already.
            if !arrays.iter().any(|x| x.id() == output.id()) {
                self.known.insert(output.id(), value);
            }
        }
    }

    fn forget_from(&mut self, start: usize) {
        self.values.truncate(start);
        self.depends.truncate(start);
        self.known.retain(|_, value| value.0 < start);
    }
}

/// Shows an operation to the observers: anomaly detection and the trace.
#[cold]
pub(super) fn observe(
    op: &'static str,
    inputs: &[&Tensor],
    output: &Array,
    form: &mut dyn FnMut(&mut Onnx) -> Result<OnnxValue>,
) -> Result<()> {
    anomaly::check_forward(op, inputs, output)?;
    if is_observed_by(TRACE) {
        RUNNING.with_borrow_mut(|running| {
            if let Some(trace) = running {
                trace.add(inputs, &[output], &mut |onnx| Ok(vec![form(onnx)?]));
            }
        });
    }
    Ok(())
}

/// What the file of the running trace is to be like, if there is a trace.
fn target() -> Option<Target> {
    if !is_observed_by(TRACE) {
        return None;
    }
    RUNNING.with_borrow(|running| running.as_ref().map(|trace| trace.target))
}

/// Whether arrays of this dtype are f32 in the file of the running trace, if there is a trace, and else whether they are f32.
pub(crate) fn is_f32(dtype: DType) -> bool {
    target().map_or(dtype, |target| target.dtype(dtype)) == DType::F32
}

/// Whether there is a trace whose file has recurrent layers of this dtype as one node each.
pub(crate) fn has_recurrent_nodes(dtype: DType) -> bool {
    target().is_some_and(|target| !target.unrolled) && is_f32(dtype)
}

/// Whether there is a trace whose file is for sequences of one length.
pub(crate) fn has_fixed_steps() -> bool {
    target().is_some_and(|target| target.fixed_steps)
}

/// Errors if the elements of a tensor, which are about to be read, depend on the input of a trace.
pub(crate) fn read(what: &str, x: &Tensor) -> Result<()> {
    if !is_observed_by(TRACE) {
        return Ok(());
    }
    let depends = RUNNING.with_borrow(|running| {
        let trace = running.as_ref()?;
        Some(trace.depends_on_input(*trace.known.get(&x.array().id())?))
    });
    if depends != Some(true) {
        return Ok(());
    }
    Err(Error::argument("export_onnx", format!("{what} that do not depend on the input"), "some that do"))
}

/// Whether the operations are traced for an ONNX export.
pub(crate) fn is_traced() -> bool {
    is_observed_by(TRACE)
}

/// Runs `compute`, which a trace sees as one operation of `inputs` with the given ONNX form.
pub(crate) fn traced(
    inputs: &[&Tensor],
    compute: impl FnOnce() -> Result<Tensor>,
    form: impl FnOnce(&mut Onnx) -> Result<OnnxValue>,
) -> Result<Tensor> {
    if !is_observed_by(TRACE) {
        return compute();
    }
    let mut results = traced_many(inputs, || Ok(vec![compute()?]), |onnx| Ok(vec![form(onnx)?]))?;
    Ok(results.pop().expect("one was computed"))
}

/// As [`traced`], with several results.
pub(crate) fn traced_many(
    inputs: &[&Tensor],
    compute: impl FnOnce() -> Result<Vec<Tensor>>,
    form: impl FnOnce(&mut Onnx) -> Result<Vec<OnnxValue>>,
) -> Result<Vec<Tensor>> {
    if !is_observed_by(TRACE) {
        return compute();
    }
    let guard = ObserverGuard::set(TRACE, false);
    let results = compute()?;
    drop(guard);
    let mut form = Some(form);
    let arrays: Vec<&Array> = results.iter().map(Tensor::array).collect();
    RUNNING.with_borrow_mut(|running| {
        if let Some(trace) = running {
            trace.add(inputs, &arrays, &mut |onnx| form.take().expect("`add` calls the form once")(onnx));
        }
    });
    Ok(results)
}
