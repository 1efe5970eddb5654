//! Pairs of kernel calls that a program runs as one pass over their array: batch normalization and the rectifier after it, and the
//! gradients of both.
//!
//! The recorded calls stay as they are, for those that read a program; only a run has the passes. Both ways have the same bits.

use candle_core::{DType, WithDType};

use super::plan::reads;
use crate::activation::{Activation, Relu};
use crate::autograd::launch::{Kernel, Launch, Operand, Primitive, Value, ValueView, single};
use crate::formula::Tape;
use crate::kernel::{Element, norm};

/// How a run makes the outputs of a call.
pub(super) enum Way {
    /// By the call's own kernel.
    Own,
    /// Not at all: nothing but the call with this number reads them, which is another way.
    Within(usize),
    /// By another kernel, of other inputs.
    Instead(Vec<ValueView>, Kernel),
}

/// The way of each call, where the values `kept` are read after the last one.
pub(super) fn ways(calls: &[Launch], values: &[Value], kept: &[usize]) -> Vec<Way> {
    let relu = Tape::capture_exact(1, |x| vec![Relu.value(x[0])]);
    let slope = Tape::capture_exact(2, |x| vec![x[1] * Relu.derivative(x[0], x[0])]);
    let mut ways: Vec<Way> = calls.iter().map(|_| Way::Own).collect();
    // A page in the browser has no room for these kernels.
    if cfg!(target_arch = "wasm32") {
        return ways;
    }
    let readers = reads(calls, values.len());
    // The call that alone reads the only output of a call, all of it and once.
    let next = |i: usize| {
        let [made] = calls[i].outputs[..] else { return None };
        let [reader] = readers[made][..] else { return None };
        let mut views = calls[reader].inputs.iter().filter(|view| view.value == made);
        (!kept.contains(&made) && views.all(|view| is_whole(view, values))).then_some(reader)
    };
    // The calls of normalization whose rectified values are the second number.
    let mut rectified: Vec<(usize, usize)> = Vec::new();
    for (i, call) in calls.iter().enumerate() {
        let dtype = match call.outputs.first() {
            Some(&made) => values[made].dtype,
            None => continue,
        };
        let Some(j) = next(i) else { continue };
        let after = &calls[j];
        match (&call.primitive, &after.primitive) {
            (&Primitive::Standardize(sizes), Primitive::Map(tape))
                if call.inputs.len() == 6 && after.inputs.len() == 1 && tape.is(&relu) =>
            {
                let kernel = match dtype {
                    DType::F32 => forward::<f32>(sizes),
                    DType::F64 => forward::<f64>(sizes),
                    _ => continue,
                };
                rectified.push((i, after.outputs[0]));
                ways[i] = Way::Within(j);
                ways[j] = Way::Instead(call.inputs.clone(), kernel);
            }
            (Primitive::Map(tape), &Primitive::StandardizeBackward { sizes, centred: true })
                if call.inputs.len() == 2 && after.inputs.len() == 6 && tape.is(&slope) =>
            {
                let [y, grad] = [&call.inputs[0], &call.inputs[1]];
                // The input, the mean, the scale, the shift and the weight.
                let own = [0, 2, 3, 4, 5].map(|k| &after.inputs[k]);
                let is_of = |&&(first, made): &&(usize, usize)| {
                    made == y.value && calls[first].inputs.iter().zip(own).all(|(a, b)| is_same(a, b))
                };
                let Some(&(first, _)) = rectified.iter().find(is_of) else { continue };
                if after.inputs[1].value != call.outputs[0] || ![y, grad].iter().all(|x| is_whole(x, values))
                {
                    continue;
                }
                let kernel = match dtype {
                    DType::F32 => backward::<f32>(sizes),
                    DType::F64 => backward::<f64>(sizes),
                    _ => continue,
                };
                let mut inputs = vec![after.inputs[0].clone(), grad.clone()];
                inputs.extend(calls[first].inputs[1..].iter().cloned());
                ways[i] = Way::Within(j);
                ways[j] = Way::Instead(inputs, kernel);
            }
            _ => {}
        }
    }
    ways
}

/// Whether a view is all of its value, in the order of its memory.
fn is_whole(view: &ValueView, values: &[Value]) -> bool {
    let layout = &view.layout;
    layout.is_contiguous()
        && layout.start_offset() == 0
        && layout.shape().elem_count() == values[view.value].len
}

fn is_same(a: &ValueView, b: &ValueView) -> bool {
    a.value == b.value && a.layout == b.layout
}

/// The operands of a kernel.
fn operands<'a, const N: usize>(x: &[Operand<'a>]) -> [Operand<'a>; N] {
    x.try_into().expect("a program calls a kernel with the inputs of its way")
}

fn forward<T: Element + WithDType>(sizes: [usize; 3]) -> Kernel {
    Kernel::Map(Box::new(move |inputs| {
        let [x, numbers @ ..]: [_; 6] = operands(inputs);
        let numbers = numbers.map(|x| x.elements());
        Ok(single(norm::standardize_affine_relu(x.elements::<T>(), sizes, numbers)))
    }))
}

fn backward<T: Element + WithDType>(sizes: [usize; 3]) -> Kernel {
    Kernel::Map(Box::new(move |inputs| {
        let [x, grad, numbers @ ..]: [_; 7] = operands(inputs);
        let numbers = numbers.map(|x| x.elements());
        let gradients =
            norm::standardize_affine_relu_backward(x.elements::<T>(), grad.elements(), sizes, numbers);
        Ok(gradients.map(T::to_cpu_storage_owned).into_iter().collect())
    }))
}
