//! The curvature pairs of L-BFGS, and the direction computed from them.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::kernel::dot;

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
            let mut alphas = Vec::with_capacity(self.pairs.len());
            for pair in self.pairs.iter().rev() {
                let alpha = dot(&pair.step, &d) * pair.inverse;
                add_scaled(&mut d, -alpha, &pair.change);
                alphas.push(alpha);
            }
            d.iter_mut().for_each(|d| *d *= self.scale);
            for (pair, alpha) in self.pairs.iter().zip(alphas.into_iter().rev()) {
                let beta = dot(&pair.change, &d) * pair.inverse;
                add_scaled(&mut d, alpha - beta, &pair.step);
            }
        }
        (self.direction, self.grad) = (d.into(), grad.into());
    }
}

fn add_scaled(a: &mut [f64], t: f64, b: &[f64]) {
    a.iter_mut().zip(b).for_each(|(a, b)| *a += t * b);
}

pub(super) fn max_abs(x: &[f64]) -> f64 {
    x.iter().fold(0.0, |most, x| most.max(x.abs()))
}
