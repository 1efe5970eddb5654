//! A product of a matrix with a vector, and the product of the gradient of its result with the same matrix, in one pass over it: a block
//! of rows is still in level-2 cache when its part of the gradient is known and its rows are added. So the gradient of linear and logistic
//! regression is found.

use std::sync::Arc;

use candle_core::{DType, WithDType};
use smallvec::SmallVec;

use super::formulas::{Body, is_formula, is_one, is_whole};
use super::joined;
use crate::autograd::array::with_float;
use crate::autograd::launch::{
    FormulaKernel, Kernel, Launch, Operand, Outputs, Primitive, ValueView, single,
};
use crate::kernel::{self, Element, ElementLoop, LINKS, Link, LinkSource, SOURCES};
use crate::program::plan::Stored;

/// Matrices of fewer elements are in level-2 cache anyway.
const LARGE: usize = 1 << 16;

/// A matrix m × k, stored row by row.
#[derive(Clone, Copy, PartialEq)]
struct Matrix {
    value: usize,
    start: usize,
    sizes: [usize; 2],
}

impl Matrix {
    fn of(view: &ValueView, sizes: [usize; 2]) -> Matrix {
        Matrix { value: view.value, start: view.layout.start_offset(), sizes }
    }

    /// The matrix of a product with a vector at its right, as the kernel of such products computes it.
    fn times_vector(call: &Launch) -> Option<Matrix> {
        let sizes = match &call.primitive {
            &Primitive::Affine([m, k, 1]) => [m, k],
            Primitive::MatMul(product) => match (product.sizes, product.strides, &product.starts[..]) {
                ([m, k, 1], [[rows, 1], [1, _]], [[0, 0]]) if rows == k => [m, k],
                _ => return None,
            },
            _ => return None,
        };
        Some(Matrix::of(&call.inputs[0], sizes))
    }

    /// The matrix of a product with a vector at its left, and that vector.
    fn vector_times(call: &Launch) -> Option<(Matrix, &ValueView)> {
        let Primitive::MatMul(product) = &call.primitive else { return None };
        let [a, b] = &call.inputs[..] else { return None };
        match (product.sizes, product.strides, &product.starts[..]) {
            ([1, m, k], [[_, 1], [rows, 1]], [[0, 0]]) if rows == k => Some((Matrix::of(b, [m, k]), a)),
            ([k, m, 1], [[1, rows], [1, _]], [[0, 0]]) if rows == k => Some((Matrix::of(a, [m, k]), b)),
            _ => None,
        }
    }
}

/// The calls, with such pairs as one each, in the place of the first.
pub(super) fn fuse(values: &[Stored], mut calls: Vec<Launch>) -> Vec<Launch> {
    let mut second = 0;
    while second < calls.len() {
        match pair(values, &calls, second) {
            Some((first, chain)) => {
                let last = calls.remove(second);
                let both = chain.join(values, calls[first].clone(), last);
                calls[first] = both;
            }
            None => second += 1,
        }
    }
    calls
}

/// The earlier call with which call `second` can be one, and what is between them.
fn pair(values: &[Stored], calls: &[Launch], second: usize) -> Option<(usize, Chain)> {
    let (matrix, slopes) = Matrix::vector_times(&calls[second])?;
    let [m, k] = matrix.sizes;
    // The kernels add other products in another order.
    if m < 2 || k < 2 || m * k < LARGE {
        return None;
    }
    let first = (0..second).find(|&i| Matrix::times_vector(&calls[i]) == Some(matrix))?;
    let Stored { dtype, .. } = values[slopes.value];
    let known = matches!(dtype, DType::F32 | DType::F64) && values[calls[first].outputs[0]].len == m;
    if !known || !is_whole(&slopes.layout, m) {
        return None;
    }
    Some((first, Chain::of(values, calls, [first, second], slopes.value, m)?))
}

/// The formulas from the first product to the vector of the second one.
struct Chain {
    links: Vec<(Arc<dyn FormulaKernel>, [LinkSource; SOURCES])>,
    /// What they read besides one another: the first product is input 0, and these follow.
    inputs: Vec<ValueView>,
    /// If one of them is the slope of a sum: what that is divided by. One over it is the last input.
    divisor: Option<f64>,
}

impl Chain {
    /// The formulas that make the value `slopes` of `m` elements, element by element, of the product and of what was made before it.
    fn of(
        values: &[Stored],
        calls: &[Launch],
        [first, second]: [usize; 2],
        slopes: usize,
        m: usize,
    ) -> Option<Chain> {
        let between = &calls[first + 1..second];
        let mut needed = vec![slopes];
        let mut parts: Vec<&Launch> = Vec::new();
        for call in between.iter().rev().filter(|call| !call.outputs.is_empty()) {
            if call.outputs.iter().any(|made| needed.contains(made)) {
                parts.push(call);
                needed.extend(call.inputs.iter().map(|view| view.value));
            }
        }
        parts.reverse();
        let product = calls[first].outputs[0];
        let mut chain = Chain { links: Vec::new(), inputs: Vec::new(), divisor: None };
        // What each link makes.
        let mut made: Vec<usize> = Vec::new();
        for call in parts {
            let (formula, own, is_slope) = match &call.kernel {
                Kernel::Formula(formula) if is_formula(call, values) => {
                    (formula.clone(), call.outputs[0], false)
                }
                // The sum itself is of all rows.
                Kernel::Total(total) if !needed.contains(&call.outputs[0]) => {
                    if chain.divisor.replace(total.divisor()).is_some() {
                        return None;
                    }
                    (total.slopes()?, call.outputs[1], true)
                }
                _ => return None,
            };
            if values[own] != values[slopes] {
                return None;
            }
            let mut views = call.inputs.iter();
            let used = formula.used();
            let mut sources = [LinkSource::Unused; SOURCES];
            for (i, source) in sources.iter_mut().enumerate().filter(|&(i, _)| used[i]) {
                *source = match views.next() {
                    Some(view) => chain.source(view, product, &made, values, m)?,
                    // Its place is known when all inputs are.
                    None if is_slope && i == SOURCES - 1 => LinkSource::Input(usize::MAX),
                    None => unreachable!("an operand for each used source"),
                };
            }
            chain.links.push((formula, sources));
            made.push(own);
        }
        let inputs = chain.inputs.len() + 1 + usize::from(chain.divisor.is_some());
        if made.last() != Some(&slopes) || made.len() > LINKS || inputs > LINKS {
            return None;
        }
        for source in chain.links.iter_mut().flat_map(|(_, sources)| sources) {
            if let LinkSource::Input(usize::MAX) = source {
                *source = LinkSource::Input(inputs - 1);
            }
        }
        Some(chain)
    }

    /// Where a link finds an operand. `None` if it is not read element by element.
    fn source(
        &mut self,
        view: &ValueView,
        product: usize,
        made: &[usize],
        values: &[Stored],
        m: usize,
    ) -> Option<LinkSource> {
        let whole = is_whole(&view.layout, m);
        if view.value == product {
            return whole.then_some(LinkSource::Input(0));
        }
        if let Some(link) = made.iter().position(|&own| own == view.value) {
            return whole.then_some(LinkSource::Link(link));
        }
        if !(whole || is_one(&view.layout)) || values[view.value].dtype != values[product].dtype {
            return None;
        }
        let same = |own: &ValueView| own.value == view.value && own.layout == view.layout;
        let i = self.inputs.iter().position(same).unwrap_or_else(|| {
            self.inputs.push(view.clone());
            self.inputs.len() - 1
        });
        Some(LinkSource::Input(i + 1))
    }

    /// The two products as one call.
    fn join(self, values: &[Stored], first: Launch, last: Launch) -> Launch {
        let Chain { links, inputs, divisor } = self;
        let Some(Matrix { sizes, .. }) = Matrix::times_vector(&first) else {
            unreachable!("the first of a pair")
        };
        let (own, dtype) = (first.inputs.len(), values[first.outputs[0]].dtype);
        let constant: Vec<bool> = inputs.iter().map(|view| !is_whole(&view.layout, sizes[0])).collect();
        let kernel = Kernel::map(
            move |x| with_float!(dtype, T => run::<T>(x, own, sizes, &constant, divisor, &links)),
        );
        let outputs = SmallVec::from_iter([first.outputs[0], last.outputs[0]]);
        let all = first.inputs.iter().cloned().chain(inputs).collect();
        joined(vec![first, last], all, outputs, kernel)
    }
}

/// Of the `own` operands of the first product, and those of the links.
fn run<T: Element + WithDType>(
    operands: &[Operand<'_>],
    own: usize,
    sizes: [usize; 2],
    constant: &[bool],
    divisor: Option<f64>,
    links: &[(Arc<dyn FormulaKernel>, [LinkSource; SOURCES])],
) -> Outputs
where
    dyn FormulaKernel: ElementLoop<T>,
{
    let (product, others) = operands.split_at(own);
    let numbers = |i: usize| product[i].elements::<T>();
    let bias = (own == 3).then(|| numbers(2)[0]);
    let factor = divisor.map(|divisor| [T::constant(1.0) / T::constant(divisor)]);
    let mut inputs: SmallVec<[&[T]; LINKS]> = SmallVec::new();
    for (x, &constant) in others.iter().zip(constant) {
        let x = x.elements();
        inputs.push(if constant { &x[..1] } else { x });
    }
    inputs.extend(factor.as_ref().map(|factor| &factor[..]));
    let bodies: SmallVec<[Body<'_>; LINKS]> = links.iter().map(|(formula, _)| Body(&**formula)).collect();
    let links: SmallVec<[Link<'_, T>; LINKS]> = bodies
        .iter()
        .zip(links)
        .map(|(body, &(_, sources))| Link { body, sources, is_kept: false })
        .collect();
    let [z, gradient] = kernel::one_pass(numbers(0), numbers(1), bias, sizes, &inputs, &links);
    let mut made = single(z);
    made.push(T::to_cpu_storage_owned(gradient));
    made
}
