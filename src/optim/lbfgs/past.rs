//! What L-BFGS remembers, and the direction that it finds from it.

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

/// What L-BFGS remembers of its iterations.
#[derive(Clone, Debug, Default)]
pub(super) struct Past {
    pub(super) iterations: u64,
    pub(super) evaluations: u64,
    pub(super) pairs: VecDeque<Pair>,
    /// The curvature before any pair: H = scale·I.
    pub(super) scale: f64,
    pub(super) direction: Arc<[f64]>,
    pub(super) grad: Arc<[f64]>,
    pub(super) t: f64,
}

impl Past {
    /// The next direction, at a place with this gradient; what the last step has shown is noted first.
    pub(super) fn turn(&mut self, grad: &[f64], history: usize) {
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
                while self.pairs.len() > history {
                    self.pairs.pop_front();
                }
            }
            let mut shares = Vec::with_capacity(self.pairs.len());
            for pair in self.pairs.iter().rev() {
                let share = dot(&pair.step, &d) * pair.inverse;
                add(&mut d, -share, &pair.change);
                shares.push(share);
            }
            d.iter_mut().for_each(|d| *d *= self.scale);
            for (pair, share) in self.pairs.iter().zip(shares.into_iter().rev()) {
                let other = dot(&pair.change, &d) * pair.inverse;
                add(&mut d, share - other, &pair.step);
            }
        }
        (self.direction, self.grad) = (d.into(), grad.into());
    }
}

fn add(a: &mut [f64], t: f64, b: &[f64]) {
    a.iter_mut().zip(b).for_each(|(a, b)| *a += t * b);
}

pub(super) fn largest(x: &[f64]) -> f64 {
    x.iter().fold(0.0, |most, x| most.max(x.abs()))
}
