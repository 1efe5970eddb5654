//! Batch normalization and the rectifier after it as one pass over their array, and so the gradients of both.

use std::sync::Arc;

use candle_core::{DType, WithDType};

use super::joined;
use crate::activation::{Activation, Relu};
use crate::autograd::launch::{Kernel, Launch, Operand, Primitive, ValueView, single};
use crate::formula::Tape;
use crate::kernel::{Element, norm};
use crate::program::plan::Stored;

/// The calls, with pairs of which only the second reads what the first makes as one.
pub(super) fn fuse(values: &[Stored], calls: Vec<Launch>, kept: &[usize]) -> Vec<Launch> {
    let relu = Tape::capture_exact(1, |x| vec![Relu.value(x[0])]);
    let slope = Tape::capture_exact(2, |x| vec![x[1] * Relu.derivative(x[0], x[0])]);
    // By the second call of a pair: the first one, and the inputs and the kernel of both.
    let mut pairs: Vec<Option<(usize, Vec<ValueView>, Kernel)>> = calls.iter().map(|_| None).collect();
    let mut readers: Vec<Vec<usize>> = vec![Vec::new(); values.len()];
    for (i, call) in calls.iter().enumerate() {
        call.inputs.iter().for_each(|view| readers[view.value].push(i));
    }
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
                pairs[j] = Some((i, call.inputs.clone(), kernel));
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
                pairs[j] = Some((i, inputs, kernel));
            }
            _ => {}
        }
    }
    let mut calls: Vec<Option<Launch>> = calls.into_iter().map(Some).collect();
    for (j, pair) in pairs.into_iter().enumerate() {
        if let Some((i, inputs, kernel)) = pair {
            let parts = [i, j].map(|i| calls[i].take().expect("a call is in one pair"));
            let outputs = parts[1].outputs.clone();
            calls[j] = Some(joined(parts.into(), inputs, outputs, kernel));
        }
    }
    calls.into_iter().flatten().collect()
}

/// Whether a view is all of its value, in the order of its memory.
fn is_whole(view: &ValueView, values: &[Stored]) -> bool {
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
    x.try_into().expect("a program calls a kernel with the inputs of its call")
}

fn forward<T: Element + WithDType>(sizes: [usize; 3]) -> Kernel {
    Kernel::Map(Arc::new(move |inputs| {
        let [x, numbers @ ..]: [_; 6] = operands(inputs);
        let numbers = numbers.map(|x| x.elements());
        Ok(single(norm::standardize_affine_relu(x.elements::<T>(), sizes, numbers)))
    }))
}

fn backward<T: Element + WithDType>(sizes: [usize; 3]) -> Kernel {
    Kernel::Map(Arc::new(move |inputs| {
        let [x, grad, numbers @ ..]: [_; 7] = operands(inputs);
        let numbers = numbers.map(|x| x.elements());
        let gradients =
            norm::standardize_affine_relu_backward(x.elements::<T>(), grad.elements(), sizes, numbers);
        Ok(gradients.map(T::to_cpu_storage_owned).into_iter().collect())
    }))
}
