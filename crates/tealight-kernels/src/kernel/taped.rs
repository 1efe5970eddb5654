//! The loop of a formula that is known only as a tape: each instruction is a loop over some hundred elements, which stay in level-1 cache.

use super::Element;
use super::block::{Block, WIDTH};
use super::buffer::{Uninit, fill};
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
    let write = |out: &mut [Uninit<T>]| {
        let step = STEP.min(out.len());
        let mut values = vec![T::default(); code.len() * step];
        for (number, part) in out.chunks_mut(STEP).enumerate() {
            let (from, n) = (number * STEP, part.len());
            for (id, instruction) in code.iter().enumerate() {
                let (before, to) = values.split_at_mut(id * step);
                let operand = |i: usize| operand(code, before, &slices, i, step, from, n);
                run(instruction, &mut to[..n], operand, number == 0);
            }
            let value = operand(code, &values, &slices, last, step, from, n);
            fill(part, |i| value[i]);
        }
    };
    // SAFETY: the chunks are all of `out`, and `fill` writes every element of each.
    unsafe { out.write(write).1 }
}

/// The value of instruction i at the elements from `from` on.
#[inline(always)]
fn operand<'a, T>(
    code: &[Instruction],
    before: &'a [T],
    slices: &[&'a [T]; SOURCES],
    i: usize,
    step: usize,
    from: usize,
    n: usize,
) -> &'a [T] {
    match code[i] {
        Instruction::Input(k) => &slices[k][from..from + n],
        _ => &before[i * step..][..n],
    }
}

#[inline(always)]
fn run<'a, T: Element>(
    instruction: &Instruction,
    to: &mut [T],
    operand: impl Fn(usize) -> &'a [T],
    is_first: bool,
) where
    Block<T>: Real,
{
    match *instruction {
        Instruction::Input(_) => {}
        // The first elements are the most.
        Instruction::Constant(c) if is_first => to.fill(T::constant(c)),
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
fn zip<T: Element>(to: &mut [T], a: &[T], b: &[T], f: impl Fn(T, T) -> T) {
    vectorize!({
        let n = to.len();
        let (a, b) = (&a[..n], &b[..n]);
        for i in 0..n {
            to[i] = f(a[i], b[i]);
        }
    });
}

fn blocks<T: Element, const N: usize>(
    to: &mut [T],
    operands: [&[T]; N],
    f: impl Fn([Block<T>; N]) -> Block<T>,
) {
    let mut loaded = [Block::zero(); N];
    for (number, to) in to.chunks_mut(WIDTH).enumerate() {
        for (block, operand) in loaded.iter_mut().zip(operands) {
            block.load(&operand[number * WIDTH..][..to.len()]);
        }
        f(loaded).copy_to(to);
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
        for n in [1, 63, 256, 257, 1000] {
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
    }
}
