//! Einstein summation: products of tensors whose axes have names.

use std::collections::BTreeMap;

use super::reshape::reshaped;
use super::trace::diagonal;
use crate::autograd::Tensor;
use crate::error::{Error, Result};

const NAME: &str = "einsum";

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum AxisName {
    /// An axis of `...`, counted from its right end.
    Ellipsis(usize),
    Letter(char),
}

/// A tensor whose axes have names, all of them different.
#[derive(Debug)]
struct NamedTensor {
    x: Tensor,
    names: Vec<AxisName>,
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
fn names(term: &Term, rest: usize) -> Vec<AxisName> {
    let mut names = vec![];
    for token in term {
        match token {
            Some(c) => names.push(AxisName::Letter(*c)),
            None => names.extend((0..rest).rev().map(AxisName::Ellipsis)),
        }
    }
    names
}

/// The names of the result if there is no `->`: `...`, then in alphabetical order the letters that occur once.
fn implicit_output(terms: &[Term], rest: usize) -> Vec<AxisName> {
    let mut letters: Vec<char> = terms.iter().flatten().copied().flatten().collect();
    letters.sort_unstable();
    let once = |c: &char| letters.iter().filter(|other| *other == c).count() == 1;
    let output = (0..rest).rev().map(AxisName::Ellipsis);
    output.chain(letters.iter().copied().filter(once).map(AxisName::Letter)).collect()
}

fn two_sizes(name: AxisName, a: usize, b: usize) -> Error {
    let expected = match name {
        AxisName::Letter(c) => format!("one size for index {c}"),
        AxisName::Ellipsis(_) => "sizes of ... that broadcast together".into(),
    };
    Error::argument(NAME, expected, format!("{a} and {b}"))
}

/// The number of elements of some axes. Their product can overflow where another axis is empty.
fn count(dims: &[usize]) -> Result<usize> {
    let product = dims.iter().try_fold(1_usize, |count, &size| count.checked_mul(size));
    product.ok_or_else(|| Error::shape(NAME, "a shape whose elements fit in memory", &[dims]))
}

impl NamedTensor {
    /// Takes the diagonal where a name occurs twice.
    fn new(x: &Tensor, names: Vec<AxisName>) -> Result<Self> {
        let mut named = NamedTensor { x: x.clone(), names };
        let twice =
            |names: &[AxisName]| names.iter().copied().find(|n| names.iter().filter(|m| *m == n).count() > 1);
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

    fn has(&self, name: AxisName) -> bool {
        self.names.contains(&name)
    }

    /// Sums over the axes whose name is not kept.
    fn sum_except(mut self, keep: impl Fn(AxisName) -> bool) -> Result<Self> {
        for axis in (0..self.names.len()).rev().filter(|&axis| !keep(self.names[axis])) {
            self.x = self.x.sum(axis)?;
        }
        self.names.retain(|&name| keep(name));
        Ok(self)
    }

    /// Removes axes of length 1 that are longer in other operands, so that they broadcast.
    fn without_broadcast(mut self, sizes: &BTreeMap<AxisName, usize>) -> Result<Self> {
        for axis in (0..self.names.len()).rev() {
            if self.x.dims()[axis] == 1 && sizes.get(&self.names[axis]) != Some(&1) {
                self.x = self.x.squeeze(axis)?;
                self.names.remove(axis);
            }
        }
        Ok(self)
    }

    /// The tensor with its axes in the order of `names`, which are a permutation of its own.
    fn ordered(&self, names: &[AxisName]) -> Result<Tensor> {
        let axis = |name| self.names.iter().position(|own| own == name).expect("all names are its own");
        self.x.permute(&names.iter().map(axis).collect::<Vec<_>>())
    }

    /// The product with `other`, summed over the names that are no longer needed.
    fn times(self, other: NamedTensor, needed: impl Fn(AxisName) -> bool) -> Result<Self> {
        let a = self.sum_except(|name| needed(name) || other.has(name))?;
        let b = other.sum_except(|name| needed(name) || a.has(name))?;
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
        // Element by element where a matrix product would be many products of scalars or short rows.
        if inner.is_empty() || left.is_empty() && right.is_empty() && !batch.is_empty() {
            let x = reshaped(&x, &[lead, rows, &vec![1; right.len()], depth].concat())?;
            let y = reshaped(&y, &[lead, &vec![1; left.len()], columns, depth].concat())?;
            let product = NamedTensor { x: (x * y)?, names: [&names[..], &inner].concat() };
            return product.sum_except(|name| !inner.contains(&name));
        }
        let x = reshaped(&x, &[lead, &[count(rows)?, count(depth)?]].concat())?;
        let y = reshaped(&y, &[lead, &[count(depth)?, count(columns)?]].concat())?;
        Ok(NamedTensor { x: reshaped(&x.matmul(&y)?, &dims)?, names })
    }
}

impl Tensor {
    /// Evaluates a sum of products in Einstein notation, such as `"ij,jk->ik"`, as numpy and PyTorch do.
    ///
    /// `spec` names the axes of each operand by letters and, after `->`, those of the result; letters missing there are
    /// summed. A letter that occurs twice in a term takes the diagonal. `...` stands for any axes, which broadcast. Without
    /// `->` the result has `...` and the letters that occur once, in alphabetical order. Operands are multiplied from left to
    /// right, as matrix products where possible. The gradient is that of the products, sums and permutations.
    ///
    /// # Errors
    /// Errors if `spec` is malformed or does not fit the operands, or a letter has two sizes (a length of 1 broadcasts).
    ///
    /// ```
    /// # use tealight::prelude::*;
    /// let a = Tensor::new(&[[1.0, 2.0], [3.0, 4.0]], &Device::Cpu)?;
    /// assert_eq!(Tensor::einsum("ij,jk->ik", &[&a, &a])?.to_vec2::<f64>()?, a.matmul(&a)?.to_vec2::<f64>()?);
    /// assert_eq!(Tensor::einsum("ii", &[&a])?.to_scalar::<f64>()?, 5.0);
    /// assert_eq!(Tensor::einsum("...j->...", &[&a])?.to_vec1::<f64>()?, [3.0, 7.0]);
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
            let x = NamedTensor::new(x, names(term, dots))?;
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
        let output = output.map_or_else(|| implicit_output(&terms, rest), |term| names(&term, rest));
        for (i, name) in output.iter().enumerate() {
            if output[..i].contains(name) || !sizes.contains_key(name) {
                let expected = "every index of the result once, and in an operand";
                return Err(Error::argument(NAME, expected, format!("{spec:?}")));
            }
        }
        let waiting: Vec<_> =
            named.into_iter().map(|x| x.without_broadcast(&sizes)).collect::<Result<_>>()?;
        let mut waiting = waiting.into_iter();
        let mut product = waiting.next().expect("even an empty text has one term, and as many operands");
        while let Some(next) = waiting.next() {
            let later = |name| output.contains(&name) || waiting.as_slice().iter().any(|x| x.has(name));
            product = product.times(next, later)?;
        }
        product.sum_except(|name| output.contains(&name))?.ordered(&output)
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
