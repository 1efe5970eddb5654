//! The loop of a formula that is known only as a tape: each instruction is a loop over some hundred elements, which stay in level-1 cache.

use std::ops::Range;

use smallvec::SmallVec;

use super::Element;
use super::block::{Block, WIDTH};
use super::buffer::{self, Scratch, Uninit};
use super::chain::LINKS;
use super::map::{SOURCES, Slots, Written};
use super::parallel::{PIECE, Shared, for_each, vectorize, worthwhile};
use super::simd::LINE;
use crate::formula::{Binary, Instruction, Real, Tape, Unary};

/// Elements that an instruction takes at a time.
const STEP: usize = 4 * WIDTH;

/// A tape that is made ready to run on arrays: each of its values has a place, which later ones take when nothing reads it any more.
#[derive(Debug)]
pub struct Code {
    inputs: usize,
    outputs: usize,
    /// Places after those of the inputs and the outputs.
    buffers: usize,
    constants: Vec<(usize, f64)>,
    /// The inputs that are read.
    reads: Vec<usize>,
    steps: Vec<Step>,
    /// Steps that are all arithmetic, and single other ones.
    runs: Vec<Range<usize>>,
}

#[derive(Clone, Copy, Debug)]
struct Step {
    what: What,
    /// Places, as many as it has operands, and the first again.
    from: [usize; 4],
    to: usize,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum What {
    Copy,
    Neg,
    Add,
    Sub,
    Mul,
    Div,
    Unary(Unary),
    Binary(Binary),
    Select,
    /// The second operation of the first one and of another operand, or the other way round.
    Pair(Sign, Sign, bool),
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Sign {
    Plus,
    Minus,
    Times,
}

impl What {
    fn is_arithmetic(self) -> bool {
        !matches!(self, What::Unary(_) | What::Binary(_) | What::Select)
    }

    fn sign(self) -> Option<Sign> {
        match self {
            What::Add => Some(Sign::Plus),
            What::Sub => Some(Sign::Minus),
            What::Mul => Some(Sign::Times),
            _ => None,
        }
    }
}

/// A step of instructions, before they have places.
struct Work {
    what: What,
    of: SmallVec<[usize; 4]>,
}

impl Work {
    /// None for an input or a constant.
    fn of(instruction: &Instruction) -> Option<Work> {
        let what = match *instruction {
            Instruction::Input(_) | Instruction::Constant(_) => return None,
            Instruction::Unary(Unary::Neg, _) => What::Neg,
            Instruction::Unary(f, _) => What::Unary(f),
            Instruction::Binary(Binary::Add, ..) => What::Add,
            Instruction::Binary(Binary::Sub, ..) => What::Sub,
            Instruction::Binary(Binary::Mul, ..) => What::Mul,
            Instruction::Binary(Binary::Div, ..) => What::Div,
            Instruction::Binary(f, ..) => What::Binary(f),
            Instruction::Select(_) => What::Select,
        };
        Some(Work { what, of: instruction.operands().collect() })
    }
}

/// Makes one step of two where the second alone reads what the first makes, which then goes through no memory.
fn join_pairs(works: &mut [Option<Work>], results: &[usize]) {
    // A page has no room for their loops.
    if cfg!(target_arch = "wasm32") {
        return;
    }
    let mut uses = vec![0; works.len()];
    works.iter().flatten().flat_map(|work| &work.of).chain(results).for_each(|&i| uses[i] += 1);
    for id in 0..works.len() {
        let Some(second) = &works[id] else { continue };
        let Some(two) = second.what.sign() else { continue };
        let first = |k: usize| works[second.of[k]].as_ref().filter(|_| uses[second.of[k]] == 1);
        let found = [0, 1].into_iter().find_map(|k| Some((k, first(k)?.what.sign()?)));
        if let Some((k, one)) = found {
            let (i, other) = (second.of[k], second.of[1 - k]);
            let first = works[i].take().expect("found above");
            let of = SmallVec::from_slice(&[first.of[0], first.of[1], other]);
            works[id] = Some(Work { what: What::Pair(one, two, k == 1), of });
        }
    }
}

impl Code {
    pub fn new(tape: &Tape) -> Code {
        let (all, results, inputs) = (tape.instructions(), tape.outputs(), tape.inputs());
        // What an instruction computes, of which other ones.
        let mut works: Vec<Option<Work>> = all.iter().map(Work::of).collect();
        join_pairs(&mut works, results);
        // The last one that reads each; a result stays.
        let mut last = vec![0; all.len()];
        for (id, work) in works.iter().enumerate() {
            work.iter().flat_map(|work| &work.of).for_each(|&i| last[i] = id);
        }
        results.iter().for_each(|&i| last[i] = usize::MAX);
        let mut code = Code {
            inputs,
            outputs: results.len(),
            buffers: 0,
            constants: Vec::new(),
            reads: Vec::new(),
            steps: Vec::new(),
            runs: Vec::new(),
        };
        let mut places = vec![usize::MAX; all.len()];
        let mut free = Vec::new();
        let new = |code: &mut Code| {
            code.buffers += 1;
            inputs + results.len() + code.buffers - 1
        };
        for (id, (instruction, work)) in all.iter().zip(&works).enumerate() {
            match (instruction, work) {
                (&Instruction::Input(k), _) => places[id] = k,
                (&Instruction::Constant(c), _) => {
                    places[id] = new(&mut code);
                    code.constants.push((places[id], c));
                }
                (_, None) => {}
                (_, Some(work)) => {
                    let from = std::array::from_fn(|k| places[*work.of.get(k).unwrap_or(&work.of[0])]);
                    places[id] = match results.iter().position(|&i| i == id) {
                        Some(result) => inputs + result,
                        None => free.pop().unwrap_or_else(|| new(&mut code)),
                    };
                    code.steps.push(Step { what: work.what, from, to: places[id] });
                    // Not before: a step writes to no place that it reads.
                    for &i in &work.of {
                        if last[i] == id && works[i].is_some() {
                            last[i] = usize::MAX;
                            free.push(places[i]);
                        }
                    }
                }
            }
        }
        for (result, &i) in results.iter().enumerate() {
            if places[i] != inputs + result {
                code.steps.push(Step { what: What::Copy, from: [places[i]; 4], to: inputs + result });
            }
        }
        code.reads = (0..inputs).filter(|k| code.steps.iter().any(|step| step.from.contains(k))).collect();
        for (i, step) in code.steps.iter().enumerate() {
            match code.runs.last_mut() {
                Some(run) if step.what.is_arithmetic() && code.steps[run.start].what.is_arithmetic() => {
                    run.end += 1
                }
                _ => code.runs.push(i..i + 1),
            }
        }
        code
    }
}

/// The one result of `code`, whose inputs are the slices, with the bits that [`in_blocks`](super::in_blocks) gives.
#[inline(never)]
pub fn taped<'s, T: Element>(out: Slots<'s, T>, slices: [&[T]; SOURCES], code: &Code) -> Written<'s>
where
    Block<T>: Real,
{
    // SAFETY: `run` writes every element of each result, of which there is one.
    unsafe { out.write(|out| run(code, &slices[..code.inputs], &mut [out])).1 }
}

/// The results of `code`, of `n` elements each. An input has `n` elements, or one, which stands for all.
#[inline(never)]
pub fn taped_all<T: Element>(n: usize, inputs: &[&[T]], code: &Code) -> SmallVec<[Vec<T>; LINKS]>
where
    Block<T>: Real,
{
    let mut results: SmallVec<[Vec<T>; LINKS]> = (0..code.outputs).map(|_| buffer::empty(n)).collect();
    if n == 0 {
        return results;
    }
    let starts: SmallVec<[Shared<Uninit<T>>; LINKS]> =
        results.iter_mut().map(|result| Shared::new(result.spare_capacity_mut().as_mut_ptr())).collect();
    let threads = worthwhile(n);
    let size = if threads { PIECE } else { n };
    let piece = |piece: usize| {
        let (first, end) = (piece * size, n.min((piece + 1) * size));
        let slices: SmallVec<[&[T]; LINKS]> =
            inputs.iter().map(|x| if x.len() == 1 { *x } else { &x[first..end] }).collect();
        let mut outputs: SmallVec<[&mut [Uninit<T>]; LINKS]> = starts
            .iter()
            // SAFETY: a result has room for n elements, and this piece alone has those from `first` to `end`.
            .map(|start| unsafe { std::slice::from_raw_parts_mut(start.get().add(first), end - first) })
            .collect();
        run(code, &slices, &mut outputs);
    };
    for_each(n.div_ceil(size), threads, &piece);
    for result in &mut results {
        // SAFETY: the pieces cover all n elements, and `run` wrote those of each.
        unsafe { result.set_len(n) };
    }
    results
}

/// Writes every element of all `outputs`, which have one length; an input has as many elements, or one, which stands for all.
fn run<T: Element>(code: &Code, inputs: &[&[T]], outputs: &mut [&mut [Uninit<T>]])
where
    Block<T>: Real,
{
    let Some(n) = outputs.first().map(|out| out.len()).filter(|&n| n > 0) else { return };
    let is_one = |k: usize| inputs[k].len() == 1 && n > 1;
    assert!(inputs.len() == code.inputs && outputs.len() == code.outputs, "kernel::taped: other arrays");
    assert!(outputs.iter().all(|out| out.len() == n), "kernel::taped: results of other lengths");
    assert!(code.reads.iter().all(|&k| is_one(k) || inputs[k].len() >= n), "kernel::taped: a short input");
    let step = STEP.min(n);
    // Not a multiple of 4 KiB, at which a processor takes a load for one of what was just stored elsewhere.
    let stride = step.next_multiple_of(LINE / size_of::<T>()) + LINE / size_of::<T>();
    let ones = code.reads.iter().filter(|&&k| is_one(k)).count();
    let mut memory = Scratch::<T>::new((code.buffers + ones + 1) * stride);
    // In lines of the cache, of which there is one more than the buffers need.
    let aligned = memory.as_ptr().align_offset(LINE).min(LINE / size_of::<T>());
    let mut buffers = memory[aligned..].chunks_exact_mut(stride);
    let mut buffer = || buffers.next().expect("as many as were counted");
    // Where each place begins, and whether it goes on with each step.
    let mut places: SmallVec<[(*mut T, bool); 64]> = SmallVec::new();
    for (k, input) in inputs.iter().enumerate() {
        places.push(if is_one(k) && code.reads.contains(&k) {
            let own = buffer();
            own[..step].fill(input[0]);
            (own.as_mut_ptr(), false)
        } else {
            (input.as_ptr().cast_mut(), true)
        });
    }
    places.extend(outputs.iter_mut().map(|out| (out.as_mut_ptr().cast(), true)));
    places.extend((0..code.buffers).map(|_| (buffer().as_mut_ptr(), false)));
    for &(place, c) in &code.constants {
        // SAFETY: a constant's place is a buffer of at least `step` elements.
        (0..step).for_each(|i| unsafe { *places[place].0.add(i) = T::constant(c) });
    }
    let mut now: SmallVec<[*mut T; 64]> = SmallVec::from_elem(std::ptr::null_mut(), places.len());
    for from in (0..n).step_by(STEP) {
        let len = STEP.min(n - from);
        for (now, &(start, goes_on)) in now.iter_mut().zip(&places) {
            *now = if goes_on { start.wrapping_add(from) } else { start };
        }
        for run in &code.runs {
            let steps = &code.steps[run.clone()];
            if steps[0].what.is_arithmetic() {
                vectorize!({
                    for step in steps {
                        // SAFETY: an input that is read and an output have the elements from `from` on, of which there are `len`, and a buffer has
                        // at least `len`. What a step reads is an input, a constant, or was written by an earlier step, and it writes to another
                        // place. A result is written by the step that makes it, and only this call has it.
                        unsafe { arithmetic(step, &now, len) };
                    }
                });
            } else {
                // SAFETY: as above.
                unsafe { function(&steps[0], &now, len) };
            }
        }
    }
}

/// # Safety
/// The places that the step reads must have `n` elements, and the one that it writes, which is none of them, room for as many.
#[inline(always)]
unsafe fn arithmetic<T: Element>(step: &Step, places: &[*mut T], n: usize) {
    let (to, a, b) = (places[step.to], places[step.from[0]], places[step.from[1]]);
    let c = places[step.from[2]];
    /// The loops of all pairs.
    macro_rules! pairs {
        ($($one:ident $f:tt: $($two:ident $g:tt),*;)*) => {
            match step.what {
                $($(
                    What::Pair(Sign::$one, Sign::$two, false) => {
                        return zip3(to, [a, b, c], n, |a, b, c| (a $f b) $g c);
                    }
                    What::Pair(Sign::$one, Sign::$two, true) => {
                        return zip3(to, [a, b, c], n, |a, b, c| c $g (a $f b));
                    }
                )*)*
                _ => {}
            }
        };
    }
    // SAFETY: by this function's contract.
    unsafe {
        // A page has none of these.
        if cfg!(not(target_arch = "wasm32")) {
            pairs! {
                Plus +: Plus +, Minus -, Times *;
                Minus -: Plus +, Minus -, Times *;
                Times *: Plus +, Minus -, Times *;
            }
        }
        match step.what {
            What::Add => zip(to, a, b, n, |a, b| a + b),
            What::Sub => zip(to, a, b, n, |a, b| a - b),
            What::Mul => zip(to, a, b, n, |a, b| a * b),
            What::Div => zip(to, a, b, n, |a, b| a / b),
            What::Neg => zip(to, a, a, n, |a, _| -a),
            _ => std::ptr::copy_nonoverlapping(a, to, n),
        }
    }
}

/// # Safety
/// As that of [`arithmetic`].
#[inline(always)]
unsafe fn zip<T: Element>(to: *mut T, a: *const T, b: *const T, n: usize, f: impl Fn(T, T) -> T) {
    // SAFETY: by this function's contract.
    let (to, a, b) = unsafe {
        (
            std::slice::from_raw_parts_mut(to.cast::<Uninit<T>>(), n),
            std::slice::from_raw_parts(a, n),
            std::slice::from_raw_parts(b, n),
        )
    };
    for i in 0..n {
        to[i].write(f(a[i], b[i]));
    }
}

/// # Safety
/// As that of [`arithmetic`].
#[inline(always)]
unsafe fn zip3<T: Element>(to: *mut T, from: [*mut T; 3], n: usize, f: impl Fn(T, T, T) -> T) {
    // SAFETY: by this function's contract.
    let (to, [a, b, c]) = unsafe {
        (
            std::slice::from_raw_parts_mut(to.cast::<Uninit<T>>(), n),
            from.map(|x| std::slice::from_raw_parts(x.cast_const(), n)),
        )
    };
    for i in 0..n {
        to[i].write(f(a[i], b[i], c[i]));
    }
}

/// # Safety
/// As that of [`arithmetic`].
unsafe fn function<T: Element>(step: &Step, places: &[*mut T], n: usize)
where
    Block<T>: Real,
{
    // SAFETY: by this function's contract.
    let (to, from) = unsafe {
        (
            std::slice::from_raw_parts_mut(places[step.to].cast::<Uninit<T>>(), n),
            step.from.map(|i| std::slice::from_raw_parts(places[i].cast_const(), n)),
        )
    };
    let [a, b, ..] = from;
    match step.what {
        What::Unary(f) => blocks(to, [a], |[a]| f.apply(a)),
        What::Binary(f) => blocks(to, [a, b], |[a, b]| f.apply(a, b)),
        _ => blocks(to, from, |[a, b, yes, no]| a.select_gt(b, yes, no)),
    }
}

fn blocks<T: Element, const N: usize>(
    to: &mut [Uninit<T>],
    operands: [&[T]; N],
    f: impl Fn([Block<T>; N]) -> Block<T>,
) {
    let mut loaded = [Block::zero(); N];
    for (number, to) in to.chunks_mut(WIDTH).enumerate() {
        for (block, operand) in loaded.iter_mut().zip(operands) {
            block.load(&operand[number * WIDTH..][..to.len()]);
        }
        f(loaded).store(to);
    }
}

#[cfg(test)]
mod tests {
    use super::super::map::{in_blocks, map_by, sources};
    use super::super::view::{Dims, View};
    use super::{Code, taped, taped_all};
    use crate::formula::{Real, Tape};

    #[test]
    fn as_in_blocks() {
        let tape = Tape::capture(|[a, b]| {
            let c = (a * b - Real::constant(2.0)).tanh() / (b + Real::constant(0.5)) - -a;
            [c.select_gt(a, c.powf(b), a.powi(3)).maximum(b) + Real::constant(1.0)]
        });
        let code = Code::new(&tape);
        for n in [0, 1, 63, 256, 257, 1000] {
            let x: Vec<f64> = (0..n).map(|i| (i as f64).sin()).collect();
            let y: Vec<f64> = (0..n).map(|i| 0.1 + (i as f64).cos().abs()).collect();
            let view = |data| View { data, strides: Dims::from_slice(&[1]) };
            let views = || sources([view(&x), view(&y)]);
            let got = map_by(&[n], views(), &|out, slices| taped(out, slices, &code));
            let expected = map_by(&[n], views(), &|out, slices| {
                in_blocks(out, slices, &|[a, b, ..]| tape.eval(&[*a, *b])[0])
            });
            let bits = |x: &[f64]| x.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
            assert_eq!(bits(&got), bits(&expected), "{n}");
        }
        let identity = Code::new(&Tape::capture(|[a]| [a]));
        let x = [1.0_f32, 2.0];
        let view = View { data: &x[..], strides: Dims::from_slice(&[1]) };
        assert_eq!(map_by(&[2], sources([view]), &|out, slices| taped(out, slices, &identity)), x);
        // A constant last, for more elements than one step has.
        let constant = Code::new(&Tape::capture(|[_]| [Real::constant(2.5)]));
        let x = [1.0_f32; 300];
        let view = View { data: &x[..], strides: Dims::from_slice(&[1]) };
        let got = map_by(&[300], sources([view]), &|out, slices| taped(out, slices, &constant));
        assert_eq!(got, [2.5; 300]);
    }

    #[test]
    fn several_results_of_arrays_and_single_numbers() {
        // A result is read again, one is an input, one a constant, one stands twice, and a place is used again.
        let tape = Tape::capture(|[a, b, c]| {
            let first = a * b - c;
            let second = (first * first + a).sqrt() / (b - a * c);
            let third = -(second * second) * (a - b) + first.exp();
            [first, second, a, Real::constant(3.5), third, second]
        });
        let code = Code::new(&tape);
        for n in [0, 1, 2, 255, 256, 257, 1000, 70_000] {
            let a: Vec<f64> = (0..n).map(|i| (i as f64).sin()).collect();
            let b: Vec<f64> = (0..n).map(|i| (i as f64).cos()).collect();
            let got = taped_all(n, &[&a, &b, &[0.75]], &code);
            for i in 0..n {
                let expected = tape.eval(&[a[i], b[i], 0.75]).into_iter().map(f64::to_bits);
                assert!(expected.eq(got.iter().map(|x| x[i].to_bits())), "element {i} of {n}");
            }
            assert!(got.len() == 6 && got.iter().all(|x| x.len() == n));
        }
    }
}
