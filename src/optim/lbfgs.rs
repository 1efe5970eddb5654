//! L-BFGS: Newton's method with a curvature that is guessed from the last steps.
//!
//! # Formula
//! p ← p + t·d with d = −H·g; H is the limited-memory BFGS inverse of the last pairs of step and change of gradient
//!
//! # Errors
//! A loss or gradient that is missing, NaN or infinite; a setting outside its range.
//!
//! # Source
//! D. Liu and J. Nocedal 1989; steps, tests and defaults as in PyTorch. All is computed in f64.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use candle_core::Device;

use super::flat::{Flat, along};
use super::line_search::{Point, strong_wolfe};
use super::state::{RATE, Reader, Writer};
use super::{distinct, not_negative};
use crate::autograd::Tensor;
use crate::error::{Error, Result};
use crate::kernel::dot;
use crate::layer::Parameter;

/// L-BFGS, for losses without noise: all data in each step, and many iterations a step.
///
/// PyTorch's learning rate is 1. Its steps are as long as the rate says; with [`strong_wolfe`](Lbfgs::strong_wolfe) a line
/// search finds out how long they should be, which is what one nearly always wants.
///
/// ```
/// use tealight::optim::Lbfgs;
/// use tealight::prelude::*;
/// let model = Linear::new(1, 1, &mut Rng::seed(1))?;
/// let mut optimizer = Lbfgs::new(model.parameters(), 1.0)?.strong_wolfe();
/// let x = Tensor::new(&[[1.0_f32], [2.0]], &Device::Cpu)?;
/// let target = Tensor::new(&[[5.0_f32], [8.0]], &Device::Cpu)?; // 3x + 2
/// let loss = || Mean(L2).loss(&model.forward(&x, &mut Pass::eval())?, &target);
/// optimizer.step(loss)?;
/// assert!((model.weight.get().to_scalar::<f32>()? - 3.0).abs() < 1e-3);
/// # Ok::<(), tealight::Error>(())
/// ```
#[doc(alias = "LBFGS")]
#[derive(Debug)]
pub struct Lbfgs {
    parameters: Vec<(String, Parameter)>,
    rate: f64,
    iterations: usize,
    evaluations: Option<usize>,
    tolerance_gradient: f64,
    tolerance_change: f64,
    history: usize,
    line_search: bool,
    /// Which parameters learned when `past` began.
    learning: Vec<bool>,
    past: Past,
}

/// A step and the change of the gradient along it.
#[derive(Clone, Debug)]
struct Pair {
    step: Arc<[f64]>,
    change: Arc<[f64]>,
    /// 1 / (step · change)
    inverse: f64,
}

#[derive(Clone, Debug, Default)]
struct Past {
    iterations: u64,
    evaluations: u64,
    pairs: VecDeque<Pair>,
    /// The curvature before any pair: H = scale·I.
    scale: f64,
    direction: Arc<[f64]>,
    grad: Arc<[f64]>,
    t: f64,
}

impl Lbfgs {
    /// The optimizer for the parameters of a model.
    ///
    /// # Errors
    /// A learning rate that is negative or not finite.
    pub fn new(parameters: Vec<(String, Parameter)>, learning_rate: f64) -> Result<Self> {
        let rate = not_negative("Lbfgs", "a learning rate", learning_rate)?;
        Ok(Lbfgs {
            parameters: distinct(parameters),
            rate,
            iterations: 20,
            evaluations: None,
            tolerance_gradient: 1e-7,
            tolerance_change: 1e-9,
            history: 100,
            line_search: false,
            learning: Vec::new(),
            past: Past::default(),
        })
    }

    /// Finds the length of each step with a line search for the strong Wolfe conditions.
    #[must_use]
    pub fn strong_wolfe(mut self) -> Self {
        self.line_search = true;
        self
    }

    /// How many iterations a step has at most, 20 if nothing is said.
    ///
    /// # Errors
    /// None at all.
    #[doc(alias = "max_iter")]
    pub fn iterations(mut self, most: usize) -> Result<Self> {
        self.iterations = at_least_one("an iteration or more", most)?;
        Ok(self)
    }

    /// How often a step evaluates the loss at most, 5/4 of the iterations if nothing is said.
    ///
    /// # Errors
    /// Not once.
    #[doc(alias = "max_eval")]
    pub fn evaluations(mut self, most: usize) -> Result<Self> {
        self.evaluations = Some(at_least_one("an evaluation or more", most)?);
        Ok(self)
    }

    /// A step ends where no element of the gradient is larger than the first, 1e-7 if nothing is said, or where neither
    /// the loss nor any element changes by more than the second, 1e-9.
    ///
    /// # Errors
    /// One that is negative or not finite.
    pub fn tolerances(mut self, gradient: f64, change: f64) -> Result<Self> {
        self.tolerance_gradient = not_negative("Lbfgs", "a tolerance", gradient)?;
        self.tolerance_change = not_negative("Lbfgs", "a tolerance", change)?;
        Ok(self)
    }

    /// How many earlier iterations count, 100 if nothing is said.
    ///
    /// # Errors
    /// None at all.
    #[doc(alias = "history_size")]
    pub fn history(mut self, most: usize) -> Result<Self> {
        self.history = at_least_one("a history of one or more", most)?;
        Ok(self)
    }

    /// The learning rate.
    pub fn learning_rate(&self) -> f64 {
        self.rate
    }

    /// Changes the learning rate.
    ///
    /// # Errors
    /// A rate that is negative or not finite.
    pub fn set_learning_rate(&mut self, rate: f64) -> Result<()> {
        self.rate = not_negative("Lbfgs", "a learning rate", rate)?;
        Ok(())
    }

    /// One step of several iterations; `loss` is called for each evaluation, and computes the loss from the parameters as
    /// they are then. Returns the loss before the step.
    ///
    /// # Errors
    /// Those of `loss`; a parameter that it does not depend on; a loss or gradient that is NaN or infinite (a line search
    /// walks around these). The parameters are what they were, and so is what the optimizer remembers.
    pub fn step(&mut self, mut loss: impl FnMut() -> Result<Tensor>) -> Result<f64> {
        let learning: Vec<bool> = self.parameters.iter().map(|(_, p)| !p.is_frozen()).collect();
        let mut past = if learning == self.learning { self.past.clone() } else { Past::default() };
        let flat = Flat::new(self.parameters.iter().filter(|(_, p)| !p.is_frozen()))?;
        match self.descend(&flat, &mut past, &mut loss) {
            Ok(first) => {
                (self.past, self.learning) = (past, learning);
                Ok(first)
            }
            Err(error) => {
                for ((_, parameter), value) in flat.parameters.iter().zip(&flat.before) {
                    parameter.set(value.clone())?;
                }
                Err(error)
            }
        }
    }

    fn descend(
        &self,
        flat: &Flat<'_>,
        past: &mut Past,
        f: &mut impl FnMut() -> Result<Tensor>,
    ) -> Result<f64> {
        let most = self.evaluations.unwrap_or_else(|| self.iterations.saturating_mul(5) / 4).max(1);
        let (mut loss, mut grad) = flat.evaluate(f)?;
        flat.check(loss, &grad)?;
        let (first, mut evaluations, mut x) = (loss, 1, flat.start.clone());
        past.evaluations += 1;
        if largest(&grad) <= self.tolerance_gradient {
            return Ok(first);
        }
        for iteration in 1..=self.iterations {
            past.iterations += 1;
            past.turn(&grad, self.history);
            let (before, d) = (loss, past.direction.clone());
            past.t = self.rate;
            if past.iterations == 1 {
                past.t *= (1.0 / grad.iter().map(|g| g.abs()).sum::<f64>()).min(1.0);
            }
            let slope = dot(&grad, &d);
            if slope > -self.tolerance_change {
                break;
            }
            let mut asked = 0;
            if self.line_search {
                let start = Point { t: 0.0, loss, slope, grad };
                let at = |t: f64| {
                    flat.write(&along(&x, t, &d))?;
                    let (loss, grad) = flat.evaluate(f)?;
                    // Beyond where the loss is defined it is too high.
                    let loss = if loss.is_nan() { f64::INFINITY } else { loss };
                    Ok(Point { t, loss, slope: dot(&grad, &d), grad })
                };
                let rest = most.saturating_sub(evaluations);
                let found;
                (found, asked) = strong_wolfe(at, &start, past.t, largest(&d), self.tolerance_change, rest)?;
                (past.t, loss, grad) = (found.t, found.loss, found.grad);
            }
            x = along(&x, past.t, &d);
            flat.write(&x)?;
            if !self.line_search && iteration < self.iterations {
                (loss, grad) = flat.evaluate(f)?;
                asked = 1;
            }
            flat.check(loss, &grad)?;
            evaluations += asked;
            past.evaluations += asked as u64;
            if evaluations >= most
                || largest(&grad) <= self.tolerance_gradient
                || largest(&d) * past.t.abs() <= self.tolerance_change
                || (loss - before).abs() < self.tolerance_change
            {
                break;
            }
        }
        Ok(first)
    }

    /// What the optimizer remembers, under names of its own, to be saved.
    ///
    /// # Errors
    /// None that are known.
    pub fn state(&self) -> Result<BTreeMap<String, Tensor>> {
        let (mut writer, past) = (Writer::default(), &self.past);
        writer.number(RATE.into(), self.rate)?;
        writer.count("n_iter".into(), past.iterations)?;
        writer.count("func_evals".into(), past.evaluations)?;
        if past.iterations > 0 {
            let (n, k) = (past.grad.len(), past.pairs.len());
            let rows = |row: fn(&Pair) -> &[f64]| {
                let data = past.pairs.iter().flat_map(row).copied().collect();
                Tensor::from_vec::<f64>(data, (k, n), &Device::Cpu)
            };
            writer.put("old_dirs".into(), rows(|pair| &pair.change)?)?;
            writer.put("old_stps".into(), rows(|pair| &pair.step)?)?;
            writer.put("d".into(), Tensor::from_vec(past.direction.to_vec(), n, &Device::Cpu)?)?;
            writer.put("prev_flat_grad".into(), Tensor::from_vec(past.grad.to_vec(), n, &Device::Cpu)?)?;
            let inverses = past.pairs.iter().map(|pair| pair.inverse).collect::<Vec<f64>>();
            writer.put("ro".into(), Tensor::from_vec(inverses, k, &Device::Cpu)?)?;
            writer.number("H_diag".into(), past.scale)?;
            writer.number("t".into(), past.t)?;
        }
        Ok(writer.0)
    }

    /// Takes over what [`state`](Lbfgs::state) gave, for the parameters that are not frozen now.
    ///
    /// # Errors
    /// Something that is missing, unknown, or of another shape or dtype: the error names it, and nothing is changed.
    pub fn load_state(&mut self, state: &BTreeMap<String, Tensor>) -> Result<()> {
        let mut reader = Reader::new(state);
        let rate = not_negative("Lbfgs", "a learning rate", reader.number(RATE)?)?;
        let (iterations, evaluations) = (reader.count("n_iter")?, reader.count("func_evals")?);
        let learning: Vec<bool> = self.parameters.iter().map(|(_, p)| !p.is_frozen()).collect();
        let mut past = Past { iterations, evaluations, ..Past::default() };
        if iterations > 0 {
            let own = self.parameters.iter().filter(|(_, p)| !p.is_frozen());
            let n = own.map(|(_, p)| p.get().elem_count()).sum();
            let k = reader.dims("old_dirs").and_then(|dims| dims.first()).copied().unwrap_or(0);
            let (changes, steps) =
                (reader.vec("old_dirs", &[k, n])?, reader.vec::<f64>("old_stps", &[k, n])?);
            let inverses = reader.vec("ro", &[k])?;
            let row = |data: &[f64], i: usize| data.iter().skip(i * n).take(n).copied().collect();
            let pair = |(i, inverse)| Pair { step: row(&steps, i), change: row(&changes, i), inverse };
            past.pairs = inverses.into_iter().enumerate().map(pair).collect();
            past.direction = reader.vec("d", &[n])?.into();
            past.grad = reader.vec("prev_flat_grad", &[n])?.into();
            (past.scale, past.t) = (reader.number("H_diag")?, reader.number("t")?);
        }
        reader.finish()?;
        (self.rate, self.past, self.learning) = (rate, past, learning);
        Ok(())
    }
}

impl Past {
    /// The next direction, at a place with this gradient; what the last step has shown is noted first.
    fn turn(&mut self, grad: &[f64], history: usize) {
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

fn largest(x: &[f64]) -> f64 {
    x.iter().fold(0.0, |most, x| most.max(x.abs()))
}

fn at_least_one(what: &str, n: usize) -> Result<usize> {
    if n > 0 { Ok(n) } else { Err(Error::argument("Lbfgs", what, n)) }
}
