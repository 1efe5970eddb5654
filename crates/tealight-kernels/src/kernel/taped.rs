//! The loop of a formula that is known only as a tape: each instruction is a loop over some hundred elements, which stay in level-1 cache.

use super::Element;
use super::block::{Block, WIDTH};
use super::buffer::{Uninit, assume_written, fill};
use super::map::{SOURCES, Slots, Written};
use super::parallel::vectorize;
use crate::formula::{Binary, Instruction, Real, Tape, Unary};

/// Elements that an instruction takes at a time.
const STEP: usize = 4 * WIDTH;

/// The one output of `tape`, whose inputs are the slices, with the bits that [`in_blocks`](super::in_blocks) gives.
#[inline(never)]
pub fn taped<'s, T: Element>(out: Slots<'s, T>, slices: [&[T]; SOURCES], tape: &Tape) -> Written<'s>
where
    Block<T>: Real,
{
    let code = tape.instructions();
    let last = tape.first_output();
    // Where it has an element for each of the output's, the last instruction writes these.
    let direct =
        last + 1 == code.len() && !matches!(code[last], Instruction::Input(_) | Instruction::Constant(_));
    let before_last = if direct { &code[..last] } else { code };
    let write = |out: &mut [Uninit<T>]| {
        let step = STEP.min(out.len());
        let mut memory: Vec<T> = Vec::with_capacity(code.len() * step);
        let values = &mut memory.spare_capacity_mut()[..code.len() * step];
        for (number, part) in out.chunks_mut(STEP).enumerate() {
            let (from, n) = (number * STEP, part.len());
            for (id, instruction) in before_last.iter().enumerate() {
                let (before, to) = values.split_at_mut(id * step);
                // SAFETY: an instruction reads those before it.
                let operand = |i: usize| unsafe { operand(code, before, &slices, i, step, from, n) };
                run(instruction, &mut to[..n], operand, number == 0);
            }
            // SAFETY: all instructions that it reads have run.
            let operand = |i: usize| unsafe { operand(code, values, &slices, i, step, from, n) };
            if direct {
                run(&code[last], part, operand, false);
            } else {
                let value = operand(last);
                fill(part, |i| value[i]);
            }
        }
    };
    // SAFETY: the chunks are all of `out`, and `run` and `fill` write every element of each.
    unsafe { out.write(write).1 }
}

/// The value of instruction i at the elements from `from` on.
///
/// # Safety
/// `values` must have the n elements of that instruction, unless it is an input.
#[inline(always)]
unsafe fn operand<'a, T>(
    code: &[Instruction],
    values: &'a [Uninit<T>],
    slices: &[&'a [T]; SOURCES],
    i: usize,
    step: usize,
    from: usize,
    n: usize,
) -> &'a [T] {
    match code[i] {
        Instruction::Input(k) => &slices[k][from..from + n],
        // SAFETY: by this function's contract.
        _ => unsafe { assume_written(&values[i * step..][..n]) },
    }
}

/// Writes all of `to`, but for an input, and for a constant if these are not the first elements.
#[inline(always)]
fn run<'a, T: Element>(
    instruction: &Instruction,
    to: &mut [Uninit<T>],
    operand: impl Fn(usize) -> &'a [T],
    is_first: bool,
) where
    Block<T>: Real,
{
    match *instruction {
        Instruction::Input(_) => {}
        // The first elements are the most.
        Instruction::Constant(c) if is_first => drop(fill(to, |_| T::constant(c))),
        Instruction::Constant(_) => {}
        Instruction::Binary(Binary::Add, a, b) => zip(to, operand(a), operand(b), |a, b| a + b),
        Instruction::Binary(Binary::Sub, a, b) => zip(to, operand(a), operand(b), |a, b| a - b),
        Instruction::Binary(Binary::Mul, a, b) => zip(to, operand(a), operand(b), |a, b| a * b),
        Instruction::Binary(Binary::Div, a, b) => zip(to, operand(a), operand(b), |a, b| a / b),
        Instruction::Unary(Unary::Neg, a) => zip(to, operand(a), operand(a), |a, _| -a),
        Instruction::Unary(f, a) => blocks(to, [operand(a)], |[a]| f.apply(a)),
        Instruction::Binary(f, a, b) => blocks(to, [a, b].map(operand), |[a, b]| f.apply(a, b)),
        Instruction::Select(ids) => blocks(to, ids.map(operand), |[a, b, yes, no]| a.select_gt(b, yes, no)),
    }
}

#[inline(always)]
fn zip<T: Element>(to: &mut [Uninit<T>], a: &[T], b: &[T], f: impl Fn(T, T) -> T) {
    vectorize!({
        let n = to.len();
        let (a, b) = (&a[..n], &b[..n]);
        for i in 0..n {
            to[i].write(f(a[i], b[i]));
        }
    });
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
    use super::taped;
    use crate::formula::{Real, Tape};

    #[test]
    fn as_in_blocks() {
        let tape = Tape::capture(|[a, b]| {
            let c = (a * b - Real::constant(2.0)).tanh() / (b + Real::constant(0.5)) - -a;
            [c.select_gt(a, c.powf(b), a.powi(3)).maximum(b) + Real::constant(1.0)]
        });
        for n in [0, 1, 63, 256, 257, 1000] {
            let x: Vec<f64> = (0..n).map(|i| (i as f64).sin()).collect();
            let y: Vec<f64> = (0..n).map(|i| 0.1 + (i as f64).cos().abs()).collect();
            let view = |data| View { data, strides: Dims::from_slice(&[1]) };
            let views = || sources([view(&x), view(&y)]);
            let got = map_by(&[n], views(), &|out, slices| taped(out, slices, &tape));
            let expected = map_by(&[n], views(), &|out, slices| {
                in_blocks(out, slices, &|[a, b, ..]| tape.eval(&[*a, *b])[0])
            });
            let bits = |x: &[f64]| x.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
            assert_eq!(bits(&got), bits(&expected), "{n}");
        }
        let identity = Tape::capture(|[a]| [a]);
        let x = [1.0_f32, 2.0];
        let view = View { data: &x[..], strides: Dims::from_slice(&[1]) };
        assert_eq!(map_by(&[2], sources([view]), &|out, slices| taped(out, slices, &identity)), x);
        // A constant last, for more elements than one step has.
        let constant = Tape::capture(|[_]| [Real::constant(2.5)]);
        let x = [1.0_f32; 300];
        let view = View { data: &x[..], strides: Dims::from_slice(&[1]) };
        let got = map_by(&[300], sources([view]), &|out, slices| taped(out, slices, &constant));
        assert_eq!(got, [2.5; 300]);
    }
}
