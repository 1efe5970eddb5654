//! The curvature pairs of L-BFGS, and the direction computed from them.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::kernel::{add_scaled_dot, dot};

/// A step and the change of the gradient along it.
#[derive(Clone, Debug)]
pub(super) struct Pair {
    pub(super) step: Arc<[f64]>,
    pub(super) change: Arc<[f64]>,
    /// 1 / (step · change)
    pub(super) inverse: f64,
}

/// What L-BFGS remembers from iteration to iteration.
#[derive(Clone, Debug, Default)]
pub(super) struct Curvature {
    pub(super) iterations: u64,
    pub(super) evaluations: u64,
    pub(super) pairs: VecDeque<Pair>,
    /// The inverse Hessian before any pair is scale·I.
    pub(super) scale: f64,
    pub(super) direction: Arc<[f64]>,
    pub(super) grad: Arc<[f64]>,
    pub(super) t: f64,
}

impl Curvature {
    /// Adds the pair of the last step, and computes the next direction from the gradient by the two-loop recursion.
    pub(super) fn update(&mut self, grad: &[f64], history_size: usize) {
        let mut d: Vec<f64> = grad.iter().map(|g| -g).collect();
        if self.iterations == 1 {
            self.scale = 1.0;
        } else {
            let change: Arc<[f64]> = grad.iter().zip(&*self.grad).map(|(new, old)| new - old).collect();
            let step: Arc<[f64]> = self.direction.iter().map(|d| d * self.t).collect();
            let product = dot(&change, &step);
            if product > 1e-10 {
                self.scale = product / dot(&change, &change);
                self.pairs.push_back(Pair { step, change, inverse: 1.0 / product });
                while self.pairs.len() > history_size {
                    self.pairs.pop_front();
                }
            }
            // Each pass applies a pair and makes the product for the next one; the last product is of no use.
            let mut alphas = Vec::with_capacity(self.pairs.len());
            let mut pairs = self.pairs.iter().rev().peekable();
            let mut product = self.pairs.back().map_or(0.0, |pair| dot(&pair.step, &d));
            while let Some(pair) = pairs.next() {
                let alpha = product * pair.inverse;
                alphas.push(alpha);
                let next = pairs.peek().unwrap_or(&pair);
                product = add_scaled_dot(&mut d, -alpha, &pair.change, &next.step);
            }
            d.iter_mut().for_each(|d| *d *= self.scale);
            let mut pairs = self.pairs.iter().zip(alphas.into_iter().rev()).peekable();
            let mut product = self.pairs.front().map_or(0.0, |pair| dot(&pair.change, &d));
            while let Some((pair, alpha)) = pairs.next() {
                let beta = product * pair.inverse;
                let next = pairs.peek().map_or(pair, |(next, _)| next);
                product = add_scaled_dot(&mut d, alpha - beta, &pair.step, &next.change);
            }
        }
        (self.direction, self.grad) = (d.into(), grad.into());
    }
}

pub(super) fn max_abs(x: &[f64]) -> f64 {
    x.iter().fold(0.0, |most, x| most.max(x.abs()))
}
