//! Einstein's sums: products of tensors whose axes have names.
//!
//! # Formula
//! y\[output indices\] = Σ over all other indices of the product of the operands
//!
//! # Gradient
//! That of the products, sums and permutations it consists of.
//!
//! # Errors
//! Text that is no such sum; another number of operands, or axes, than it names; an index with two sizes.

use std::collections::BTreeMap;

use super::reshape::reshaped;
use super::trace::diagonal;
use crate::autograd::Tensor;
use crate::error::{Error, Result};

const NAME: &str = "einsum";

/// The name of an axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Index {
    /// An axis of `...`, counted from its right end.
    Rest(usize),
    Letter(char),
}

/// A tensor whose axes have names, all of them different.
#[derive(Debug)]
struct Named {
    x: Tensor,
    names: Vec<Index>,
}

/// The letters of a term; `None` is `...`.
type Term = Vec<Option<char>>;

fn parse(spec: &str) -> Result<(Vec<Term>, Option<Term>)> {
    let wrong = || {
        let expected = "letters and at most one ... for each operand, such as \"ij,jk->ik\" or \"...i,i\"";
        Error::argument(NAME, expected, format!("{spec:?}"))
    };
    let term = |text: &str| -> Result<Term> {
        let mut term = Term::new();
        for c in text.replace("...", "…").chars().filter(|c| !c.is_whitespace()) {
            match c {
                '…' if !term.contains(&None) => term.push(None),
                c if c.is_ascii_alphabetic() => term.push(Some(c)),
                _ => return Err(wrong()),
            }
        }
        Ok(term)
    };
    let (inputs, output) = match spec.split_once("->") {
        Some((inputs, output)) => (inputs, Some(term(output)?)),
        None => (spec, None),
    };
    Ok((inputs.split(',').map(term).collect::<Result<_>>()?, output))
}

/// The names of a term's axes, where `...` stands for `rest` of them.
fn names(term: &Term, rest: usize) -> Vec<Index> {
    let mut names = vec![];
    for token in term {
        match token {
            Some(c) => names.push(Index::Letter(*c)),
            None => names.extend((0..rest).rev().map(Index::Rest)),
        }
    }
    names
}

/// The names of the result, if it is not said: `...`, and then in alphabetical order what stands there once.
fn implicit(terms: &[Term], rest: usize) -> Vec<Index> {
    let mut letters: Vec<char> = terms.iter().flatten().copied().flatten().collect();
    letters.sort_unstable();
    let once = |c: &char| letters.iter().filter(|other| *other == c).count() == 1;
    let output = (0..rest).rev().map(Index::Rest);
    output.chain(letters.iter().copied().filter(once).map(Index::Letter)).collect()
}

fn two_sizes(name: Index, a: usize, b: usize) -> Error {
    let expected = match name {
        Index::Letter(c) => format!("one size for index {c}"),
        Index::Rest(_) => "sizes of ... that broadcast together".into(),
    };
    Error::argument(NAME, expected, format!("{a} and {b}"))
}

/// The number of elements of some axes of a tensor, which need not be all: another one may be empty.
fn count(dims: &[usize]) -> Result<usize> {
    let product = dims.iter().try_fold(1_usize, |count, &size| count.checked_mul(size));
    product.ok_or_else(|| Error::shape(NAME, "a shape whose elements fit in memory", &[dims]))
}

impl Named {
    /// With the diagonal in place of axes of one name.
    fn new(x: &Tensor, names: Vec<Index>) -> Result<Self> {
        let mut named = Named { x: x.clone(), names };
        let twice =
            |names: &[Index]| names.iter().copied().find(|n| names.iter().filter(|m| *m == n).count() > 1);
        while let Some(name) = twice(&named.names) {
            let places: Vec<usize> =
                (0..named.names.len()).filter(|&i| named.names[i] == name).take(2).collect();
            let sizes: Vec<usize> = places.iter().map(|&i| named.x.dims()[i]).collect();
            if sizes[0] != sizes[1] {
                return Err(two_sizes(name, sizes[0], sizes[1]));
            }
            let others: Vec<usize> = (0..named.names.len()).filter(|i| !places.contains(i)).collect();
            named.x = diagonal(&named.x.permute(&[&others[..], &places].concat())?)?;
            named.names = others.iter().map(|&i| named.names[i]).chain([name]).collect();
        }
        Ok(named)
    }

    fn has(&self, name: Index) -> bool {
        self.names.contains(&name)
    }

    /// Summed over all but what is kept.
    fn sum_but(mut self, keep: impl Fn(Index) -> bool) -> Result<Self> {
        for axis in (0..self.names.len()).rev().filter(|&axis| !keep(self.names[axis])) {
            self.x = self.x.sum(axis)?;
        }
        self.names.retain(|&name| keep(name));
        Ok(self)
    }

    /// Without the axes of length 1 that other operands have longer: they are repeated by not being there.
    fn without_repeated(mut self, sizes: &BTreeMap<Index, usize>) -> Result<Self> {
        for axis in (0..self.names.len()).rev() {
            if self.x.dims()[axis] == 1 && sizes.get(&self.names[axis]) != Some(&1) {
                self.x = self.x.squeeze(axis)?;
                self.names.remove(axis);
            }
        }
        Ok(self)
    }

    /// The tensor with its axes in the order of `names`, which are all of its own.
    fn ordered(&self, names: &[Index]) -> Result<Tensor> {
        let place = |name: &Index| self.names.iter().position(|own| own == name);
        self.x.permute(&names.iter().filter_map(place).collect::<Vec<_>>())
    }

    /// The product with `other`, summed over what is not needed any more.
    fn times(self, other: Named, needed: impl Fn(Index) -> bool) -> Result<Self> {
        let a = self.sum_but(|name| needed(name) || other.has(name))?;
        let b = other.sum_but(|name| needed(name) || a.has(name))?;
        let (shared, left): (Vec<_>, Vec<_>) = a.names.iter().copied().partition(|&name| b.has(name));
        let (batch, inner): (Vec<_>, Vec<_>) = shared.into_iter().partition(|&name| needed(name));
        let right: Vec<_> = b.names.iter().copied().filter(|&name| !a.has(name)).collect();
        let x = a.ordered(&[&batch[..], &left, &inner].concat())?;
        let y = b.ordered(&[&batch[..], &inner, &right].concat())?;
        let (lead, rest) = x.dims().split_at(batch.len());
        let (rows, depth) = rest.split_at(left.len());
        let columns = &y.dims()[batch.len() + inner.len()..];
        let names = [&batch[..], &left, &right].concat();
        let dims = [lead, rows, columns].concat();
        // A product of matrices, but where it would be many products of single numbers or short rows.
        if inner.is_empty() || left.is_empty() && right.is_empty() && !batch.is_empty() {
            let x = reshaped(&x, &[lead, rows, &vec![1; right.len()], depth].concat())?;
            let y = reshaped(&y, &[lead, &vec![1; left.len()], columns, depth].concat())?;
            let product = Named { x: (x * y)?, names: [&names[..], &inner].concat() };
            return product.sum_but(|name| !inner.contains(&name));
        }
        let x = reshaped(&x, &[lead, &[count(rows)?, count(depth)?]].concat())?;
        let y = reshaped(&y, &[lead, &[count(depth)?, count(columns)?]].concat())?;
        Ok(Named { x: reshaped(&x.matmul(&y)?, &dims)?, names })
    }
}

impl Tensor {
    /// The sum of products that `spec` describes: a term of letters for each operand, one for each of its axes, and after
    /// `->` the axes of the result; what is missing there is summed.
    ///
    /// A letter twice in a term takes the diagonal. `...` stands for any axes, which broadcast. Without `->` the result
    /// has `...` and, in alphabetical order, the letters that stand there once. Spaces mean nothing. Operands are
    /// multiplied from left to right, two at a time, as products of matrices where possible.
    ///
    /// # Gradient
    /// That of the products and sums.
    ///
    /// # Errors
    /// A text that is not of this kind; another number of operands, or axes, than it names; an index with two sizes
    /// (a length of 1 is repeated); several operands of dtypes that differ or are no float.
    ///
    /// ```
    /// use tealight::prelude::*;
    /// let a = Tensor::new(&[[1.0, 2.0], [3.0, 4.0]], &Device::Cpu)?;
    /// assert_eq!(Tensor::einsum("ij,jk->ik", &[&a, &a])?.to_vec2::<f64>()?, a.matmul(&a)?.to_vec2::<f64>()?);
    /// assert_eq!(Tensor::einsum("ii", &[&a])?.to_scalar::<f64>()?, 5.0);
    /// assert_eq!(Tensor::einsum("...j->...", &[&a])?.to_vec1::<f64>()?, [3.0, 7.0]);
    /// let error = Tensor::einsum("ij,jk", &[&a, &Tensor::zeros((3, 2), DType::F64, &Device::Cpu)?]).unwrap_err();
    /// assert_eq!(error.to_string(), "einsum: expected one size for index j, got 2 and 3");
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn einsum(spec: &str, operands: &[&Tensor]) -> Result<Tensor> {
        let (terms, output) = parse(spec)?;
        if terms.len() != operands.len() {
            let expected = format!("{} operands for {spec:?}", terms.len());
            return Err(Error::argument(NAME, expected, operands.len()));
        }
        let dtypes: Vec<_> = operands.iter().map(|x| x.dtype()).collect();
        if dtypes.len() > 1 && dtypes.iter().any(|dtype| *dtype != dtypes[0] || !dtype.is_float()) {
            return Err(Error::dtype(NAME, "float tensors of one dtype (see to_dtype)", &dtypes));
        }
        let mut rest = 0;
        let mut sizes = BTreeMap::new();
        let mut named = vec![];
        for (term, x) in terms.iter().zip(operands) {
            let letters = term.iter().flatten().count();
            let dots = x.rank().saturating_sub(letters);
            if x.rank() < letters || dots > 0 && !term.contains(&None) {
                let text: String = term.iter().map(|c| c.map_or("...".into(), String::from)).collect();
                return Err(Error::shape(NAME, format!("an operand with the axes {text}"), &[x.dims()]));
            }
            rest = rest.max(dots);
            let x = Named::new(x, names(term, dots))?;
            for (&name, &size) in x.names.iter().zip(x.x.dims()) {
                let known = sizes.entry(name).or_insert(size);
                match (*known, size) {
                    (1, size) => *known = size,
                    (known, size) if size != 1 && size != known => return Err(two_sizes(name, known, size)),
                    _ => {}
                }
            }
            named.push(x);
        }
        let output = output.map_or_else(|| implicit(&terms, rest), |term| names(&term, rest));
        for (i, name) in output.iter().enumerate() {
            if output[..i].contains(name) || !sizes.contains_key(name) {
                let expected = "every index of the result once, and in an operand";
                return Err(Error::argument(NAME, expected, format!("{spec:?}")));
            }
        }
        let mut waiting =
            named.into_iter().map(|x| x.without_repeated(&sizes)).collect::<Result<Vec<_>>>()?;
        waiting.reverse();
        let mut product = match waiting.pop() {
            Some(first) => first,
            None => return Err(Error::argument(NAME, "at least one operand", 0)),
        };
        while let Some(next) = waiting.pop() {
            let later = |name| output.contains(&name) || waiting.iter().any(|x| x.has(name));
            product = product.times(next, later)?;
        }
        product.sum_but(|name| output.contains(&name))?.ordered(&output)
    }
}

#[cfg(test)]
mod cases;

#[cfg(test)]
mod tests {
    use super::super::testing::{check, check2};
    use super::cases::numbers;
    use crate::prelude::*;

    #[test]
    fn gradients() {
        check2(|a, b| Tensor::einsum("...,...->...", &[&a.sqr()?, b]));
        let m = numbers(&[3, 3], 0.2);
        check(&[0.3, -1.0, 2.0, 0.5, 1.5, -0.7, 0.1, 1.1, -2.0], |x| {
            let x = x.reshape((x.elem_count() / 3, 3))?;
            Tensor::einsum("ij,jk,lk->il", &[&x, &m, &x])
        });
        check(&[0.3, -1.0, 2.0, 0.5, 1.5, -0.7, 0.1, 1.1, -2.0], |x| {
            Tensor::einsum("bii,bij->jb", &[&x.reshape((x.elem_count() / 9, 3, 3))?, &m.unsqueeze(0)?])
        });
    }
}
