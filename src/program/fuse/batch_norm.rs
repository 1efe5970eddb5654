//! Batch normalization, the rectifier after it and the maxima of windows after that as one pass over their array, and so their gradients.

use std::sync::Arc;

use candle_core::{CpuStorage, DType, WithDType};

use super::joined;
use crate::activation::{Activation, Relu};
use crate::autograd::launch::{Kernel, Launch, Operand, Primitive, ValueView, single};
use crate::formula::Tape;
use crate::kernel::{Element, WindowAxis, norm};
use crate::program::plan::Stored;

/// The most elements of an image that is computed in the middle of a pass: a level-2 cache holds them.
const IMAGE: usize = 1 << 16;

/// The calls, with pairs and triples of which only the next one reads what one makes as one.
pub(super) fn fuse(values: &[Stored], calls: Vec<Launch>, kept: &[usize]) -> Vec<Launch> {
    pooled(values, rectified(values, calls, kept), kept)
}

/// Numbers that kernels change in place.
trait Owned: Element + WithDType {
    fn owned(x: CpuStorage) -> Vec<Self>;
}

macro_rules! owned {
    ($($t:ident $dtype:ident)*) => {$(
        impl Owned for $t {
            fn owned(x: CpuStorage) -> Vec<$t> {
                match x {
                    CpuStorage::$dtype(x) => x,
                    _ => unreachable!("a call makes an array of its dtype"),
                }
            }
        }
    )*};
}
owned!(f32 F32 f64 F64);

/// The kernel, in the memory of its first input if call j is the last one that reads it and another call makes it; else with a copy.
fn over<T: Owned>(
    kernel: impl Fn(Vec<T>, &[Operand<'_>]) -> [Vec<T>; 3] + Send + Sync + 'static,
    x: &ValueView,
    j: usize,
    (values, calls, kept): (&[Stored], &[Launch], &[usize]),
) -> Kernel {
    let reads = |call: &Launch| call.inputs.iter().any(|view| view.value == x.value);
    let is_own = calls[..j].iter().any(|call| call.outputs.contains(&x.value));
    let outputs = |made: [Vec<T>; 3]| made.map(T::to_cpu_storage_owned).into_iter().collect();
    if is_whole(x, values) && is_own && !calls[j + 1..].iter().any(reads) && !kept.contains(&x.value) {
        return Kernel::Over(Arc::new(move |x, others| outputs(kernel(T::owned(x), others))));
    }
    Kernel::map(move |x| outputs(kernel(x[0].elements().to_vec(), &x[1..])))
}

/// Of each value, the calls that read it.
fn readers(values: &[Stored], calls: &[Launch]) -> Vec<Vec<usize>> {
    let mut readers: Vec<Vec<usize>> = vec![Vec::new(); values.len()];
    for (i, call) in calls.iter().enumerate() {
        call.inputs.iter().for_each(|view| readers[view.value].push(i));
    }
    readers
}

/// The calls with a normalization and its rectifier as one, and so their gradients.
fn rectified(values: &[Stored], calls: Vec<Launch>, kept: &[usize]) -> Vec<Launch> {
    let relu = Tape::capture_exact(1, |x| vec![Relu.value(x[0])]);
    let slope = Tape::capture_exact(2, |x| vec![x[1] * Relu.derivative(x[0], x[0])]);
    // By the second call of a pair: the first one, and the inputs and the kernel of both.
    let mut pairs: Vec<Option<(usize, Vec<ValueView>, Kernel)>> = calls.iter().map(|_| None).collect();
    let readers = readers(values, &calls);
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
                let all = (values, &calls[..], kept);
                let kernel = match dtype {
                    DType::F32 => over(backward::<f32>(sizes), &after.inputs[0], j, all),
                    DType::F64 => over(backward::<f64>(sizes), &after.inputs[0], j, all),
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

/// The sizes of a normalization that is one call with its rectifier, and whether the call is of their gradients.
fn joint_sizes(call: &Launch) -> Option<([usize; 3], bool)> {
    let [first, second] = &call.parts[..] else { return None };
    match (&first.primitive, &second.primitive) {
        (&Primitive::Standardize(sizes), Primitive::Map(_)) => Some((sizes, false)),
        (Primitive::Map(_), &Primitive::StandardizeBackward { sizes, .. }) => Some((sizes, true)),
        _ => None,
    }
}

/// The calls with the maxima of the windows of what [`rectified`] has joined in its call.
fn pooled(values: &[Stored], calls: Vec<Launch>, kept: &[usize]) -> Vec<Launch> {
    let readers = readers(values, &calls);
    // By the second call of a pair: the first one, and the inputs and the kernel of both.
    let mut pairs: Vec<Option<(usize, Vec<ValueView>, Kernel)>> = calls.iter().map(|_| None).collect();
    // The places that pools took elements at, and the windows.
    let mut places: Vec<(usize, [WindowAxis; 2])> = Vec::new();
    for (i, call) in calls.iter().enumerate() {
        let Some(&made) = call.outputs.first() else { continue };
        let [j] = readers[made][..] else { continue };
        let after = &calls[j];
        if kept.contains(&made)
            || !after.inputs.iter().all(|view| view.value != made || is_whole(view, values))
        {
            continue;
        }
        let dtype = values[made].dtype;
        match (joint_sizes(call), &after.primitive) {
            (Some((sizes, false)), &Primitive::MaxPool(sides))
                if after.outputs.len() == 2 && is_image(&sides, sizes) =>
            {
                let kernel = match dtype {
                    DType::F32 => forward_pooled::<f32>(sizes, sides),
                    DType::F64 => forward_pooled::<f64>(sizes, sides),
                    _ => continue,
                };
                places.push((after.outputs[1], sides));
                pairs[j] = Some((i, call.inputs.clone(), kernel));
            }
            (None, _) if matches!(call.primitive, Primitive::PoolScatter(_)) => {
                let (Some((sizes, true)), [grad, indices]) = (joint_sizes(after), &call.inputs[..]) else {
                    continue;
                };
                let Some(&(_, sides)) = places.iter().find(|(value, _)| *value == indices.value) else {
                    continue;
                };
                let are_whole = [grad, indices].iter().all(|view| is_whole(view, values));
                if after.inputs[1].value != made || !are_whole || !is_image(&sides, sizes) {
                    continue;
                }
                let all = (values, &calls[..], kept);
                let kernel = match dtype {
                    DType::F32 => over(backward_pooled::<f32>(sizes, sides), &after.inputs[0], j, all),
                    DType::F64 => over(backward_pooled::<f64>(sizes, sides), &after.inputs[0], j, all),
                    _ => continue,
                };
                let mut inputs = vec![after.inputs[0].clone(), grad.clone(), indices.clone()];
                inputs.extend(after.inputs[2..].iter().cloned());
                pairs[j] = Some((i, inputs, kernel));
            }
            _ => {}
        }
    }
    let mut calls: Vec<Option<Launch>> = calls.into_iter().map(Some).collect();
    for (j, pair) in pairs.into_iter().enumerate() {
        if let Some((i, inputs, kernel)) = pair {
            let both = [i, j].map(|i| calls[i].take().expect("a call is in one pair"));
            let outputs = both[1].outputs.clone();
            let parts = both.into_iter().flat_map(|call| match &call.parts[..] {
                [] => vec![call],
                parts => parts.to_vec(),
            });
            calls[j] = Some(joined(parts.collect(), inputs, outputs, kernel));
        }
    }
    calls.into_iter().flatten().collect()
}

/// Whether each group of a normalization is one image of a pool, which may be made in the middle of a pass.
fn is_image([high, wide]: &[WindowAxis; 2], [_, _, inner]: [usize; 3]) -> bool {
    let windows = high.output * wide.output;
    high.input * wide.input == inner && (2..=IMAGE).contains(&inner) && windows > 0
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

fn backward<T: Owned>(sizes: [usize; 3]) -> impl Fn(Vec<T>, &[Operand<'_>]) -> [Vec<T>; 3] {
    move |x, others| {
        let [grad, numbers @ ..]: [_; 6] = operands(others);
        norm::standardize_affine_relu_backward(x, grad.elements(), sizes, numbers.map(|x| x.elements()))
    }
}

fn forward_pooled<T: Element + WithDType>(sizes: [usize; 3], sides: [WindowAxis; 2]) -> Kernel {
    Kernel::Map(Arc::new(move |inputs| {
        let [x, numbers @ ..]: [_; 6] = operands(inputs);
        let numbers = numbers.map(|x| x.elements());
        let (y, places) = norm::standardize_affine_relu_pool(x.elements::<T>(), sizes, numbers, &sides);
        Ok([T::to_cpu_storage_owned(y), u32::to_cpu_storage_owned(places)].into_iter().collect())
    }))
}

fn backward_pooled<T: Owned>(
    sizes: [usize; 3],
    sides: [WindowAxis; 2],
) -> impl Fn(Vec<T>, &[Operand<'_>]) -> [Vec<T>; 3] {
    move |x, others| {
        let [grad, places, numbers @ ..]: [_; 7] = operands(others);
        let (grad, numbers) = ((grad.elements(), places.elements()), numbers.map(|x| x.elements()));
        norm::standardize_affine_relu_pool_backward(x, grad, sizes, numbers, &sides)
    }
}
