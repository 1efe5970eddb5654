//! [`Trace`]: the operations of one run of a model, written down as they come.

use std::cell::RefCell;
use std::collections::HashMap;

use candle_core::TensorId;

use super::mode::{ObserverGuard, TRACE, is_observed_by};
use super::onnx::{Onnx, OnnxAttribute, OnnxValue};
use super::{Array, Tensor, anomaly};
use crate::error::{Error, Result};
use crate::kernel::Dims;

/// Where a value of a [`Trace`] comes from.
#[derive(Debug)]
pub(crate) enum Source {
    /// It is the input of the model.
    Input,
    /// It is a parameter or a buffer of the model.
    State(String, Array),
    Constant(Array),
    /// An optional input that is not given.
    Absent,
    /// Sizes, as a vector of i64: some may be the batch's.
    Sizes(Dims),
    Node {
        kind: &'static str,
        inputs: Vec<OnnxValue>,
        attributes: Vec<(&'static str, OnnxAttribute)>,
        /// The layer it is in.
        place: String,
    },
    /// An operation that has no ONNX form: an error once anybody wants its value.
    Missing(Error),
}

/// The values of one run, in the order in which they were computed.
#[derive(Debug, Default)]
pub(crate) struct Trace {
    pub(crate) values: Vec<Source>,
    known: HashMap<TensorId, OnnxValue>,
    /// Whether each value depends on the input.
    depends: Vec<bool>,
}

thread_local!(static RUNNING: RefCell<Option<Trace>> = const { RefCell::new(None) });

/// How an operation writes itself down.
pub(crate) type Form<'a> = &'a mut dyn FnMut(&mut Onnx) -> Result<OnnxValue>;

impl Trace {
    /// What `f` does to `input`, and which value its result is; `state` are the arrays that have names.
    pub(crate) fn of(
        input: &Tensor,
        state: Vec<(String, Tensor)>,
        f: impl FnOnce(&Tensor) -> Result<Tensor>,
    ) -> Result<(Trace, OnnxValue, Tensor)> {
        let mut trace = Trace::default();
        for (name, tensor) in state {
            let array = tensor.into_array();
            let id = array.id();
            let value = trace.push(Source::State(name, array), false);
            trace.known.entry(id).or_insert(value);
        }
        let value = trace.push(Source::Input, true);
        trace.known.insert(input.array().id(), value);
        let outer = RUNNING.replace(Some(trace));
        /// Takes the trace away again, also when a panic unwinds.
        struct End(Option<Trace>);
        impl Drop for End {
            fn drop(&mut self) {
                RUNNING.replace(self.0.take());
            }
        }
        let end = End(outer);
        let watch = ObserverGuard::set(TRACE, true);
        let y = f(input);
        drop(watch);
        let trace = RUNNING.take();
        drop(end);
        let (y, mut trace) = (y?, trace.unwrap_or_default());
        let output = trace.value(y.array());
        Ok((trace, output, y))
    }

    pub(super) fn push(&mut self, source: Source, depends: bool) -> OnnxValue {
        self.values.push(source);
        self.depends.push(depends);
        OnnxValue(self.values.len() - 1)
    }

    /// The value of an array: one that no operation made is a constant.
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
        let depends = inputs.iter().any(|input| self.depends.get(input.0) == Some(&true));
        let (inputs, attributes) = (inputs.to_vec(), attributes.to_vec());
        self.push(Source::Node { kind, inputs, attributes, place: anomaly::current_scope() }, depends)
    }

    /// Writes an operation down.
    fn note(&mut self, inputs: &[&Tensor], output: &Array, form: Form) {
        let is = |source: fn(&Trace, OnnxValue) -> bool| {
            inputs.iter().any(|x| self.known.get(&x.array().id()).is_some_and(|&value| source(self, value)))
        };
        let depends = is(|trace, value| trace.depends.get(value.0) == Some(&true));
        let named = is(|trace, value| !matches!(trace.values.get(value.0), Some(Source::Constant(_))));
        // What is computed from constants is a constant itself.
        if !depends && !named {
            return;
        }
        let start = self.values.len();
        let arrays: Vec<&Array> = inputs.iter().map(|x| x.array()).collect();
        let value = match form(&mut Onnx { trace: self, inputs: &arrays, output }) {
            Ok(value) => value,
            Err(_) if !depends => {
                self.forget_from(start);
                return;
            }
            Err(error) => {
                self.forget_from(start);
                let place = anomaly::current_scope();
                let error = if place.is_empty() { error } else { error.context(place) };
                self.push(Source::Missing(error), true)
            }
        };
        self.known.insert(output.id(), value);
    }

    fn forget_from(&mut self, start: usize) {
        self.values.truncate(start);
        self.depends.truncate(start);
        self.known.retain(|_, value| value.0 < start);
    }
}

/// Tells those who watch of an operation.
#[cold]
pub(super) fn observe(op: &'static str, inputs: &[&Tensor], output: &Array, form: Form) -> Result<()> {
    anomaly::check_forward(op, inputs, output)?;
    if is_observed_by(TRACE) {
        RUNNING.with_borrow_mut(|running| {
            if let Some(trace) = running {
                trace.note(inputs, output, form);
            }
        });
    }
    Ok(())
}

/// Refuses a tensor whose numbers are about to be read, if they depend on the input of a trace.
pub(crate) fn read(what: &str, x: &Tensor) -> Result<()> {
    if !is_observed_by(TRACE) {
        return Ok(());
    }
    let depends = RUNNING.with_borrow(|running| {
        let trace = running.as_ref()?;
        trace.depends.get(trace.known.get(&x.array().id())?.0).copied()
    });
    if depends != Some(true) {
        return Ok(());
    }
    Err(Error::argument("export_onnx", format!("{what} that do not depend on the input"), "some that do"))
}

/// `compute()`, which a trace sees as one operation of `inputs`: for what looks at numbers, or is one node in ONNX.
pub(crate) fn traced(
    inputs: &[&Tensor],
    compute: impl FnOnce() -> Result<Tensor>,
    form: impl FnOnce(&mut Onnx) -> Result<OnnxValue>,
) -> Result<Tensor> {
    if !is_observed_by(TRACE) {
        return compute();
    }
    let silence = ObserverGuard::set(TRACE, false);
    let y = compute()?;
    drop(silence);
    let mut form = Some(form);
    // A result that is an input itself was not computed.
    if !inputs.iter().any(|x| x.array().id() == y.array().id()) {
        RUNNING.with_borrow_mut(|running| {
            if let Some(trace) = running {
                trace.note(inputs, y.array(), &mut |onnx| match form.take() {
                    Some(form) => form(onnx),
                    None => Err(Error::argument("trace", "to be asked once", "twice")),
                });
            }
        });
    }
    Ok(y)
}
