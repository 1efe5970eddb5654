//! Formulas that follow one another become one kernel, which takes them block by block: what only the next of them read stays in
//! level-1 cache, and takes no memory of the plan.

use std::collections::VecDeque;
use std::sync::Arc;

use candle_core::{DType, Layout, WithDType};
use smallvec::SmallVec;

use crate::autograd::array::with_float;
use crate::autograd::launch::{
    FormulaKernel, Kernel, Launch, OUTPUTS, Operand, Outputs, Primitive, ValueView,
};
use crate::formula::{Expr, Tape};
use crate::kernel::{self, Code, Element, ElementLoop, LINKS, Link, LinkSource, SOURCES, Slots, Written};

use super::joined;
use crate::program::plan::Stored;

/// The calls with formulas of as many elements that follow one another as one call each. `kept` are read after the last call.
pub(super) fn fuse(values: &[Stored], launches: Vec<Launch>, kept: &[usize]) -> Vec<Launch> {
    let launches = gathered(launches, values);
    // By value: the last call that reads it.
    let mut readers = vec![0; values.len()];
    for (i, call) in launches.iter().enumerate() {
        call.inputs.iter().for_each(|view| readers[view.value] = i);
    }
    kept.iter().for_each(|&value| readers[value] = usize::MAX);
    let mut fused = Vec::with_capacity(launches.len());
    group(launches, 0, &readers, values, &mut fused);
    fused
}

/// The most elements of formulas that calls between them may leave their place for: their arrays stay in cache meanwhile.
const FEW: usize = 1 << 14;

/// The most calls between two formulas that shall follow one another.
const NEAR: usize = 12;

/// The calls in an order in which more formulas follow one another: what is between two of them runs before the first or after the second,
/// if it makes nothing that the second reads.
fn gathered(calls: Vec<Launch>, values: &[Stored]) -> Vec<Launch> {
    let (mut rest, mut ordered) = (VecDeque::from(calls), Vec::new());
    while let Some(first) = rest.pop_front() {
        let few = first.outputs.first().is_some_and(|&made| values[made].len <= FEW);
        if !few || !is_formula(&first, values) {
            ordered.push(first);
            continue;
        }
        let mut group = Group::default();
        group.push(first, values);
        // Of the calls that follow, which belong to the group, and which others can run before it; and how many lie up to the last of the group.
        let (mut joins, mut precedes): (Vec<bool>, Vec<bool>) = Default::default();
        let mut between = 0;
        for (i, call) in rest.iter().enumerate() {
            let later = |i: &usize| !joins[*i] && !precedes[*i];
            let waits = (0..i).filter(later).any(|i| reads(call, &rest[i]));
            // Others depend on the place of the rest.
            let is_free =
                !call.outputs.is_empty() && !matches!(call.kernel, Kernel::Random(_) | Kernel::Over(_));
            let join = !waits && is_formula(call, values) && group.takes(call, values);
            joins.push(join);
            precedes.push(!join && !waits && is_free && !group.calls.iter().any(|made| reads(call, made)));
            if join {
                group.push(call.clone(), values);
                between = i + 1;
            } else if i + 1 - between == NEAR {
                break;
            }
        }
        let mut following = Vec::new();
        for (i, call) in rest.drain(..between).enumerate() {
            match (joins[i], precedes[i]) {
                (true, _) => {}
                (_, true) => ordered.push(call),
                _ => following.push(call),
            }
        }
        ordered.append(&mut group.calls);
        following.into_iter().rev().for_each(|call| rest.push_front(call));
    }
    ordered
}

/// Whether a call reads what another one makes.
fn reads(call: &Launch, other: &Launch) -> bool {
    call.inputs.iter().any(|view| other.outputs.contains(&view.value))
}

/// Adds the calls, of which the first has the number `first`, to `fused`, in groups.
fn group(calls: Vec<Launch>, first: usize, readers: &[usize], values: &[Stored], fused: &mut Vec<Launch>) {
    let (mut group, end) = (Group::default(), first + calls.len());
    for (i, call) in calls.into_iter().enumerate() {
        if !group.takes(&call, values) {
            std::mem::take(&mut group).finish(first + i, readers, values, fused);
        }
        group.push(call, values);
    }
    group.finish(end, readers, values, fused);
}

/// Calls that run as one.
#[derive(Default)]
struct Group {
    calls: Vec<Launch>,
    /// What they read besides what they make: the values, and whether one element stands for all.
    inputs: Vec<(ValueView, bool)>,
}

impl Group {
    /// Whether the call can run with those of the group.
    fn takes(&self, call: &Launch, values: &[Stored]) -> bool {
        let Some(first) = self.calls.first() else { return true };
        if !is_formula(first, values) || !is_formula(call, values) {
            return false;
        }
        let (own, other) = (values[first.outputs[0]], values[call.outputs[0]]);
        let is_new = |view: &&ValueView| self.input(view, own.len).is_none() && !self.makes(view.value);
        let new = call.inputs.iter().filter(is_new);
        own == other
            && self.calls.len() < LINKS
            && self.inputs.len() + new.count() <= LINKS
            // What the group makes is read whole.
            && call.inputs.iter().all(|view| !self.makes(view.value) || is_whole(&view.layout, own.len))
    }

    fn makes(&self, value: usize) -> bool {
        self.calls.iter().any(|call| call.outputs.contains(&value))
    }

    /// The number of an input that is the same array or the same element.
    fn input(&self, view: &ValueView, len: usize) -> Option<usize> {
        let constant = !is_whole(&view.layout, len);
        let same = |(own, is_one): &(ValueView, bool)| {
            let start = own.layout.start_offset() == view.layout.start_offset();
            own.value == view.value && start && *is_one == constant
        };
        self.inputs.iter().position(same)
    }

    fn push(&mut self, call: Launch, values: &[Stored]) {
        if is_formula(&call, values) {
            let len = values[call.outputs[0]].len;
            for view in &call.inputs {
                if !self.makes(view.value) && self.input(view, len).is_none() {
                    self.inputs.push((view.clone(), !is_whole(&view.layout, len)));
                }
            }
        }
        self.calls.push(call);
    }

    /// Adds one call in place of those of the group to `fused`, or two where one would make too many arrays. Call `end` is the next one.
    fn finish(mut self, end: usize, readers: &[usize], values: &[Stored], fused: &mut Vec<Launch>) {
        if self.calls.len() < 2 {
            return fused.extend(self.calls);
        }
        let is_kept = |value: usize| readers[value] >= end;
        if self.calls.iter().filter(|call| is_kept(call.outputs[0])).count() > OUTPUTS {
            let later = self.calls.split_off(self.calls.len() / 2);
            let middle = end - later.len();
            let first = middle - self.calls.len();
            group(self.calls, first, readers, values, fused);
            return group(later, middle, readers, values, fused);
        }
        let Stored { dtype, len } = values[self.calls[0].outputs[0]];
        let links = self.calls.iter().map(|call| {
            let Kernel::Formula(formula) = &call.kernel else {
                unreachable!("a group of several has formulas")
            };
            let mut operands = call.inputs.iter();
            let mut next = || {
                let view = operands.next().expect("an operand for each used source");
                match self.calls.iter().position(|call| call.outputs[0] == view.value) {
                    Some(link) => LinkSource::Link(link),
                    None => LinkSource::Input(self.input(view, len).expect("pushed with the call")),
                }
            };
            let sources = formula.used().map(|used| if used { next() } else { LinkSource::Unused });
            (formula.clone(), sources, is_kept(call.outputs[0]))
        });
        let links: Vec<_> = links.collect();
        let constant: SmallVec<[bool; LINKS]> = self.inputs.iter().map(|&(_, constant)| constant).collect();
        let kernel = match joint(&self.calls, &links, self.inputs.len()) {
            Some(code) => Kernel::map(move |x| {
                with_float!(dtype, T => {
                    let results = kernel::taped_all(len, &whole::<T>(len, &constant, x), &code);
                    results.into_iter().map(T::to_cpu_storage_owned).collect()
                })
            }),
            None => Kernel::map(move |x| with_float!(dtype, T => run::<T>(&links, len, &constant, x))),
        };
        let outputs = self.calls.iter().map(|call| call.outputs[0]).filter(|&value| is_kept(value)).collect();
        let inputs = self.inputs.into_iter().map(|(view, _)| view).collect();
        fused.push(joined(self.calls, inputs, outputs, kernel));
    }
}

/// Whether the call is a formula of arrays that are read in the order of the result, or one element of which stands for all.
pub(super) fn is_formula(call: &Launch, values: &[Stored]) -> bool {
    let Kernel::Formula(_) = call.kernel else { return false };
    let own = values[call.outputs[0]];
    matches!(own.dtype, DType::F32 | DType::F64)
        && call.inputs.iter().all(|view| {
            values[view.value].dtype == own.dtype && (is_whole(&view.layout, own.len) || is_one(&view.layout))
        })
}

pub(super) fn is_whole(layout: &Layout, len: usize) -> bool {
    layout.is_contiguous() && layout.shape().elem_count() == len
}

pub(super) fn is_one(layout: &Layout) -> bool {
    layout.shape().elem_count() > 0
        && layout.dims().iter().zip(layout.stride()).all(|(&len, &stride)| len == 1 || stride == 0)
}

/// A formula as a loop of either type.
pub(super) struct Body<'a>(pub(super) &'a (dyn FormulaKernel + 'static));

impl<T: Element> ElementLoop<T> for Body<'_>
where
    dyn FormulaKernel: ElementLoop<T>,
{
    fn run<'s>(&self, out: Slots<'s, T>, slices: [&[T]; SOURCES]) -> Written<'s> {
        self.0.run(out, slices)
    }
}

/// All of the calls as one list of operations, if some would be interpreted alone, and the others are so simple that loops of their own would not be
/// faster.
fn joint(calls: &[Launch], links: &[Part], inputs: usize) -> Option<Code> {
    let tapes: Option<Vec<&Tape>> = calls
        .iter()
        .zip(links)
        .map(|(call, (formula, ..))| match &call.primitive {
            Primitive::Map(tape) if formula.is_interpreted() || tape.is_simple() => Some(tape),
            _ => None,
        })
        .collect();
    let tapes = tapes.filter(|_| links.iter().any(|(formula, ..)| formula.is_interpreted()))?;
    Some(Code::new(&Tape::capture_exact(inputs, |x| {
        let mut made = Vec::new();
        for (tape, (_, sources, _)) in tapes.iter().zip(links) {
            let operands = sources.iter().filter_map(|source| match *source {
                LinkSource::Unused => None,
                LinkSource::Input(i) => Some(x[i]),
                LinkSource::Link(i) => Some(made[i]),
            });
            let operands: Vec<Expr> = operands.collect();
            made.push(tape.eval(&operands).pop().expect("the tape of a formula has one output"));
        }
        made.into_iter().zip(links).filter(|(_, (.., is_kept))| *is_kept).map(|(y, _)| y).collect()
    })))
}

/// The inputs of a group, of which one element may stand for all.
fn whole<'a, T: Element + WithDType>(
    len: usize,
    constant: &[bool],
    operands: &[Operand<'a>],
) -> SmallVec<[&'a [T]; LINKS]> {
    let count = |&constant: &bool| if constant { 1 } else { len };
    operands.iter().zip(constant).map(|(x, constant)| &x.elements()[..count(constant)]).collect()
}

/// A formula, where its sources come from, and whether its array is kept.
type Part = (Arc<dyn FormulaKernel>, [LinkSource; SOURCES], bool);

fn run<T: Element + WithDType>(
    parts: &[Part],
    len: usize,
    constant: &[bool],
    operands: &[Operand<'_>],
) -> Outputs
where
    dyn FormulaKernel: ElementLoop<T>,
{
    let inputs = whole(len, constant, operands);
    let bodies: SmallVec<[Body<'_>; LINKS]> = parts.iter().map(|(formula, ..)| Body(&**formula)).collect();
    let links: SmallVec<[Link<'_, T>; LINKS]> = bodies
        .iter()
        .zip(parts)
        .map(|(body, &(_, sources, is_kept))| Link { body, sources, is_kept })
        .collect();
    kernel::chain(len, &inputs, &links).into_iter().map(T::to_cpu_storage_owned).collect()
}
