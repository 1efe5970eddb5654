//! Taylor mode: the derivatives of each node along a line, to any order, from those of its inputs.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::backward::{check_fresh, leading_to};
use super::broadcast::broadcast_to;
use super::forward::{Slopes, add, kept, or_zeros, pull, push};
use super::node::{Node, again, next_id};
use super::op::Jacobian;
use super::{Array, Tensor, mode};
use crate::error::Result;

/// A tensor computed from nodes whose derivatives are known, and the nodes in between.
struct Part {
    value: Tensor,
    /// The node of the value; `None` for a constant.
    last: Option<u64>,
    nodes: Vec<Arc<Node>>,
}

/// How the derivatives of a node follow from those of its inputs.
enum Rule {
    /// y′ = s·u′ and y″ = s·u″ + s′·u′², of a formula of one variable, if there are no higher ones.
    Bend(Slopes),
    /// y′ = Σ sₐ·uₐ′, with the slope by each input that moves.
    Slopes(Vec<(usize, Part)>),
    /// y′ is computed from the inputs u, from y, and from a variable for each u′ that moves, with its id.
    Tangent(Part, Vec<(usize, u64)>),
}

/// A line through some tensors.
#[derive(Default)]
struct Line {
    order: usize,
    /// The derivatives of nodes, of order 1, 2, …, as far as they are known; `None` is zero.
    known: BTreeMap<u64, Vec<Option<Tensor>>>,
    rules: BTreeMap<u64, Rule>,
}

/// The derivatives of `y` along the line `xs` + t·`vs`, of order 1 to `order`.
///
/// Order k of a product is Leibniz's sum over those of its factors, of a linear operation the operation of order k, and of all others the order
/// k − 1 of its tangent, which is made of operations in turn.
pub(super) fn series(y: &Tensor, xs: &[Tensor], vs: &[Tensor], order: usize) -> Result<Vec<Tensor>> {
    let mut line = Line { order, ..Line::default() };
    for (node, v) in xs.iter().zip(vs).filter_map(|(x, v)| Some((x.node.as_ref()?, v))) {
        let mut straight = vec![None; order];
        straight[0] = Some(v.clone());
        line.known.insert(node.id, straight);
    }
    let oldest = line.known.keys().next().copied().unwrap_or(u64::MAX);
    let nodes = leading_to(y, oldest, &|id| line.known.contains_key(&id), false);
    for (id, node) in nodes {
        check_fresh("jvp", node)?;
        if !line.known.contains_key(&id) {
            let start = next_id();
            for k in 1..=order {
                line.extend(node, k)?;
            }
            // What the node's rule consisted of.
            line.known.split_off(&start);
            line.rules.clear();
        }
    }
    let found = y.node.as_ref().and_then(|node| line.known.remove(&node.id));
    found.unwrap_or_else(|| vec![None; order]).into_iter().map(|found| or_zeros(found, y)).collect()
}

impl Line {
    /// Derivative k of the node's input i.
    fn input(&self, node: &Node, i: usize, k: usize) -> Option<Tensor> {
        self.known.get(&node.edges[i].as_ref()?.id)?[k - 1].clone()
    }

    /// Finds derivative k of a node, all lower ones of which are known.
    fn extend(&mut self, node: &Arc<Node>, k: usize) -> Result<()> {
        self.known.entry(node.id).or_default();
        let next = self.next(node, k)?;
        self.known.entry(node.id).or_default().push(next);
        Ok(())
    }

    fn next(&mut self, node: &Arc<Node>, k: usize) -> Result<Option<Tensor>> {
        let inputs: Vec<_> = (0..node.edges.len()).map(|i| self.input(node, i, k)).collect();
        let moved: Vec<_> = inputs.iter().map(Option::as_ref).collect();
        match node.rule.jacobian() {
            Jacobian::Linear => return push(node, &moved),
            Jacobian::Bilinear => {
                let mut sum = push(node, &moved)?;
                for i in 1..k {
                    if let (Some(a), Some(b)) = (self.input(node, 0, i), self.input(node, 1, k - i)) {
                        sum = add(sum, times(binomial(k, i), Some(again(node, &[&a, &b])?))?)?;
                    }
                }
                return Ok(sum);
            }
            _ => {}
        }
        let rule = match self.rules.remove(&node.id) {
            Some(rule) => rule,
            None if k == 1 => match self.rule(node, &moved)? {
                Some(rule) => rule,
                None => return Ok(None),
            },
            None => return Ok(None),
        };
        let next = self.by_rule(node, &rule, inputs)?;
        self.rules.insert(node.id, rule);
        Ok(next)
    }

    /// The rule of a node, from the first derivatives of its inputs; `None` if it does not move.
    fn rule(&self, node: &Arc<Node>, tangents: &[Option<&Tensor>]) -> Result<Option<Rule>> {
        let start = next_id();
        let moved = || tangents.iter().enumerate().filter_map(|(a, tangent)| Some((a, (*tangent)?)));
        let Some((_, like)) = moved().next() else { return Ok(None) };
        if self.order == 2
            && let Some(slopes) = Slopes::of(node)
        {
            return Ok(Some(Rule::Bend(slopes)));
        }
        if node.rule.jacobian() == Jacobian::Diagonal {
            let unit = Tensor::constant(Array::ones(&node.dims[..], node.dtype, like.device())?);
            let mut slopes = Vec::new();
            for (a, _) in moved() {
                let slope = mode::with_recording(true, || pull(node, a, &unit))?;
                slopes.extend(slope.map(|slope| (a, self.part(slope, start, &[]))));
            }
            return Ok(Some(Rule::Slopes(slopes)));
        }
        let mut variables: Vec<Option<Tensor>> = vec![None; tangents.len()];
        let mut ids = Vec::new();
        let pushed = mode::with_recording(true, || {
            for (a, tangent) in moved() {
                let of =
                    if tangent.requires_grad() { tangent.clone() } else { tangent.clone().into_parameter() };
                let variable = broadcast_to(&of, of.dims())?;
                ids.extend(variable.node.as_ref().map(|node| (a, node.id)));
                variables[a] = Some(variable);
            }
            push(node, &variables.iter().map(Option::as_ref).collect::<Vec<_>>())
        })?;
        let targets: Vec<u64> = ids.iter().map(|&(_, id)| id).collect();
        Ok(pushed.map(|pushed| Rule::Tangent(self.part(pushed, start, &targets), ids)))
    }

    /// `value`, which was recorded from the id `start` on, as a function of the known nodes and of `variables`.
    fn part(&self, value: Tensor, start: u64, variables: &[u64]) -> Part {
        let is_known = |id| self.known.contains_key(&id) || variables.contains(&id);
        let useful = leading_to(&value, start, &is_known, false);
        let last = value.node.as_ref().map(|node| node.id).filter(|id| useful.contains_key(id));
        let nodes =
            useful.into_iter().filter(|&(id, _)| !is_known(id)).map(|(_, node)| node.clone()).collect();
        Part { value: kept(value), last, nodes }
    }

    /// Derivative k of a part.
    fn derivative(&mut self, part: &Part, k: usize) -> Result<Option<Tensor>> {
        let Some(last) = part.last else { return Ok(None) };
        for node in &part.nodes {
            if self.known.get(&node.id).is_none_or(|known| known.len() < k) {
                self.extend(node, k)?;
            }
        }
        Ok(self.known[&last][k - 1].clone())
    }

    /// The next derivative of a node, given those of its inputs of the same order.
    fn by_rule(
        &mut self,
        node: &Arc<Node>,
        rule: &Rule,
        inputs: Vec<Option<Tensor>>,
    ) -> Result<Option<Tensor>> {
        let k = self.known[&node.id].len() + 1;
        let slopes = match rule {
            Rule::Slopes(slopes) => slopes,
            Rule::Bend(slopes) if k == 1 => {
                return inputs[0].as_ref().map_or(Ok(None), |first| slopes.first(first));
            }
            Rule::Bend(slopes) => {
                return slopes.along(inputs[0].as_ref(), self.input(node, 0, 1).as_ref());
            }
            Rule::Tangent(part, _) if k == 1 => return Ok(Some(part.value.clone())),
            Rule::Tangent(part, variables) => {
                for &(a, id) in variables {
                    self.known.entry(id).or_default().push(inputs[a].clone());
                }
                return self.derivative(part, k - 1);
            }
        };
        let mut sum = None;
        for (a, slope) in slopes {
            for j in 1..=k {
                let Some(u) = self.input(node, *a, j) else { continue };
                let term = match k - j {
                    // Most constant slopes are 1.
                    0 if slope.last.is_none() => pull(node, *a, &broadcast_to(&u, &node.dims)?)?,
                    0 => Some((&slope.value * u)?),
                    m => self.derivative(slope, m)?.map(|s| s * u).transpose()?,
                };
                sum = add(sum, times(binomial(k - 1, j - 1), term)?)?;
            }
        }
        Ok(sum)
    }
}

/// n over k
fn binomial(n: usize, k: usize) -> f64 {
    (0..k).fold(1.0, |product, i| product * (n - i) as f64 / (i + 1) as f64)
}

fn times(factor: f64, x: Option<Tensor>) -> Result<Option<Tensor>> {
    if factor == 1.0 { Ok(x) } else { x.map(|x| x * factor).transpose() }
}
