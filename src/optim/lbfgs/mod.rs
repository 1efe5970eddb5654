//! L-BFGS.

mod curvature;
mod flat;
mod line_search;

use std::collections::BTreeMap;

use candle_core::{DType, Device};

use self::curvature::{Curvature, Pair, max_abs};
use self::flat::{Flat, along};
use self::line_search::{Point, strong_wolfe};
use super::state::{LEARNING_RATE, StateReader, StateWriter};
use super::{Optimizer, distinct, not_negative};
use crate::autograd::{Gradients, Tensor};
use crate::error::{Error, Result};
use crate::kernel::dot;
use crate::layer::Parameter;
use crate::layer::pattern::matching;

/// L-BFGS, a quasi-Newton method for losses without noise: full batches, and several iterations in each step, as PyTorch's
/// `LBFGS`.
///
/// It evaluates the loss several times a step, so it steps from a closure: [`Lbfgs::step`], or
/// [`Optimizer::step_with`], which a [`Trainer`](crate::train::Trainer) calls. PyTorch's learning rate is 1. The length of
/// each iteration is the learning rate, unless a line search finds it, which is nearly always better:
/// [`strong_wolfe`](Lbfgs::strong_wolfe).
///
/// # Formula
/// p ← p + t·d with d = −H·g; H is the inverse Hessian that BFGS updates build from the last
/// [`history_size`](Lbfgs::history_size) pairs of step and change of gradient. Everything is computed in f64. The line search
/// takes losses as equal that differ by 4 roundings of the parameters' dtype, and then goes by the slope alone.
///
/// # Source
/// D. Liu and J. Nocedal 1989; iterations, stopping rules and defaults as in PyTorch. W. Hager and H. Zhang 2005: the Wolfe
/// conditions of losses that are rounded.
///
/// ```
/// # use tealight::optim::Lbfgs;
/// # use tealight::prelude::*;
/// # let p = Parameter::new(Tensor::new(5.0, &Device::Cpu)?);
/// let mut optimizer = Lbfgs::new(vec![("p".into(), p.clone())], 1.0)?.strong_wolfe();
/// let loss = optimizer.step(|| (p.get() - 3.0)?.sqr())?;
/// assert_eq!(loss, 4.0); // before the step
/// assert!((p.get().to_scalar::<f64>()? - 3.0).abs() < 1e-6);
/// # Ok::<(), tealight::Error>(())
/// ```
#[doc(alias = "LBFGS")]
#[derive(Debug)]
pub struct Lbfgs {
    parameters: Vec<(String, Parameter)>,
    learning_rate: f64,
    max_iter: usize,
    max_eval: Option<usize>,
    tolerance_grad: f64,
    tolerance_change: f64,
    history_size: usize,
    line_search: bool,
    /// The patterns of [`allow_unused`](Lbfgs::allow_unused).
    unused: Vec<String>,
    /// Which parameters were trainable when `curvature` began.
    trainable: Vec<bool>,
    curvature: Curvature,
}

impl Lbfgs {
    /// The optimizer for the parameters of a model.
    ///
    /// # Errors
    /// Errors if the learning rate is negative or not finite.
    pub fn new(parameters: Vec<(String, Parameter)>, learning_rate: f64) -> Result<Self> {
        Ok(Lbfgs {
            parameters: distinct(parameters),
            learning_rate: not_negative("Lbfgs", "a learning rate", learning_rate)?,
            max_iter: 20,
            max_eval: None,
            tolerance_grad: 1e-7,
            tolerance_change: 1e-9,
            history_size: 100,
            line_search: false,
            unused: Vec::new(),
            trainable: Vec::new(),
            curvature: Curvature::default(),
        })
    }

    /// Finds the length of each iteration with a line search for the strong Wolfe conditions.
    #[doc(alias = "line_search_fn")]
    #[must_use]
    pub fn strong_wolfe(mut self) -> Self {
        self.line_search = true;
        self
    }

    /// The most iterations per step. Default: 20.
    ///
    /// # Errors
    /// Errors if it is 0.
    pub fn max_iter(mut self, iterations: usize) -> Result<Self> {
        self.max_iter = at_least_one("an iteration or more", iterations)?;
        Ok(self)
    }

    /// The most evaluations of the loss per step. Default: 5/4 of [`max_iter`](Lbfgs::max_iter).
    ///
    /// # Errors
    /// Errors if it is 0.
    pub fn max_eval(mut self, evaluations: usize) -> Result<Self> {
        self.max_eval = Some(at_least_one("an evaluation or more", evaluations)?);
        Ok(self)
    }

    /// A step ends when no element of the gradient is larger than this. Default: 1e-7.
    ///
    /// # Errors
    /// Errors if it is negative or not finite.
    pub fn tolerance_grad(mut self, tolerance: f64) -> Result<Self> {
        self.tolerance_grad = not_negative("Lbfgs", "a tolerance", tolerance)?;
        Ok(self)
    }

    /// A step ends when the loss or all parameter elements change by less than this. Default: 1e-9.
    ///
    /// # Errors
    /// Errors if it is negative or not finite.
    pub fn tolerance_change(mut self, tolerance: f64) -> Result<Self> {
        self.tolerance_change = not_negative("Lbfgs", "a tolerance", tolerance)?;
        Ok(self)
    }

    /// How many of the last iterations the inverse Hessian is built from. Default: 100.
    ///
    /// # Errors
    /// Errors if it is 0.
    pub fn history_size(mut self, pairs: usize) -> Result<Self> {
        self.history_size = at_least_one("a history of one or more", pairs)?;
        Ok(self)
    }

    /// Takes the gradient of a parameter that the loss does not depend on as 0, as PyTorch does, if its name matches `pattern`, in
    /// which `*` matches any text. Without this such a step is an error.
    ///
    /// # Errors
    /// Errors if no parameter matches.
    pub fn allow_unused(mut self, pattern: &str) -> Result<Self> {
        matching("Lbfgs", "parameter", self.parameters.iter().map(|(name, _)| name.as_str()), pattern)?;
        self.unused.push(pattern.into());
        Ok(self)
    }

    /// One step of several iterations; returns the loss before it. `loss` computes the loss from the current parameters,
    /// and is called for each evaluation.
    ///
    /// # Errors
    /// As [`Optimizer::step_with`].
    pub fn step(&mut self, mut loss: impl FnMut() -> Result<Tensor>) -> Result<f64> {
        self.step_with(&mut || {
            let loss = loss()?;
            Ok((loss.detach().to_dtype(DType::F64)?.to_scalar()?, loss.backward()?))
        })
    }

    fn trainable(&self) -> Vec<bool> {
        self.parameters.iter().map(|(_, p)| !p.is_frozen()).collect()
    }

    fn iterate(
        &self,
        flat: &Flat<'_>,
        state: &mut Curvature,
        evaluate: &mut dyn FnMut() -> Result<(f64, Gradients)>,
    ) -> Result<f64> {
        let max_eval = self.max_eval.unwrap_or_else(|| self.max_iter.saturating_mul(5) / 4).max(1);
        let (mut loss, mut grad) = flat.evaluate(evaluate)?;
        flat.check_finite(loss, &grad)?;
        let (first, mut evaluations, mut x) = (loss, 1, flat.start.clone());
        state.evaluations += 1;
        if max_abs(&grad) <= self.tolerance_grad {
            return Ok(first);
        }
        // Two losses are rounded, and the sums in them a little.
        let noise = 4.0 * flat.epsilon();
        for iteration in 1..=self.max_iter {
            state.iterations += 1;
            state.update(&grad, self.history_size);
            let (before, d) = (loss, state.direction.clone());
            state.t = self.learning_rate;
            if state.iterations == 1 {
                state.t *= (1.0 / grad.iter().map(|g| g.abs()).sum::<f64>()).min(1.0);
            }
            let slope = dot(&grad, &d);
            if slope > -self.tolerance_change {
                break;
            }
            let mut new_evaluations = 0;
            // Where on the line the parameters are.
            let mut at_t = 0.0;
            if self.line_search {
                let start = Point { t: 0.0, loss, slope, grad };
                let at = |t: f64| {
                    flat.write(&along(&x, t, &d))?;
                    at_t = t;
                    let (loss, grad) = flat.evaluate(evaluate)?;
                    // Where the loss is not defined, the step was too long.
                    let loss = if loss.is_nan() { f64::INFINITY } else { loss };
                    Ok(Point { t, loss, slope: dot(&grad, &d), grad })
                };
                let left = max_eval.saturating_sub(evaluations);
                let found;
                (found, new_evaluations) = strong_wolfe(
                    at,
                    &start,
                    state.t,
                    noise * start.loss.abs(),
                    max_abs(&d),
                    self.tolerance_change,
                    left,
                )?;
                (state.t, loss, grad) = (found.t, found.loss, found.grad);
            }
            x = along(&x, state.t, &d);
            if state.t != at_t {
                flat.write(&x)?;
            }
            if !self.line_search && iteration < self.max_iter {
                (loss, grad) = flat.evaluate(evaluate)?;
                new_evaluations = 1;
            }
            flat.check_finite(loss, &grad)?;
            evaluations += new_evaluations;
            state.evaluations += new_evaluations as u64;
            if evaluations >= max_eval
                || max_abs(&grad) <= self.tolerance_grad
                || max_abs(&d) * state.t.abs() <= self.tolerance_change
                || (loss - before).abs() < self.tolerance_change
            {
                break;
            }
        }
        Ok(first)
    }
}

fn at_least_one(what: &str, n: usize) -> Result<usize> {
    if n > 0 { Ok(n) } else { Err(Error::argument("Lbfgs", what, n)) }
}

impl Optimizer for Lbfgs {
    /// Always an error: gradients at one point are not enough.
    fn step(&mut self, _: &Gradients) -> Result<()> {
        let expected = "a function that evaluates the loss (step_with)";
        Err(Error::argument("Lbfgs", expected, "the gradients of one evaluation"))
    }

    fn step_with(&mut self, evaluate: &mut dyn FnMut() -> Result<(f64, Gradients)>) -> Result<f64> {
        let trainable = self.trainable();
        let mut curvature =
            if trainable == self.trainable { self.curvature.clone() } else { Curvature::default() };
        let flat = Flat::new(&self.parameters, &self.unused)?;
        match self.iterate(&flat, &mut curvature, evaluate) {
            Ok(first) => {
                (self.curvature, self.trainable) = (curvature, trainable);
                Ok(first)
            }
            Err(error) => {
                flat.restore()?;
                Err(error)
            }
        }
    }

    fn learning_rate(&self) -> f64 {
        self.learning_rate
    }

    fn set_learning_rate(&mut self, learning_rate: f64) -> Result<()> {
        self.learning_rate = not_negative("Lbfgs", "a learning rate", learning_rate)?;
        Ok(())
    }

    fn state_dict(&self) -> Result<BTreeMap<String, Tensor>> {
        let (mut writer, state) = (StateWriter::default(), &self.curvature);
        writer.scalar(LEARNING_RATE.into(), self.learning_rate)?;
        writer.count("n_iter".into(), state.iterations)?;
        writer.count("func_evals".into(), state.evaluations)?;
        if state.iterations > 0 {
            let (n, k) = (state.grad.len(), state.pairs.len());
            let rows = |row: fn(&Pair) -> &[f64]| {
                let data = state.pairs.iter().flat_map(row).copied().collect();
                Tensor::from_vec::<f64>(data, (k, n), &Device::Cpu)
            };
            writer.insert("old_dirs".into(), rows(|pair| &pair.change)?)?;
            writer.insert("old_stps".into(), rows(|pair| &pair.step)?)?;
            writer.insert("d".into(), Tensor::from_vec(state.direction.to_vec(), n, &Device::Cpu)?)?;
            writer
                .insert("prev_flat_grad".into(), Tensor::from_vec(state.grad.to_vec(), n, &Device::Cpu)?)?;
            let inverses = state.pairs.iter().map(|pair| pair.inverse).collect::<Vec<f64>>();
            writer.insert("ro".into(), Tensor::from_vec(inverses, k, &Device::Cpu)?)?;
            writer.scalar("H_diag".into(), state.scale)?;
            writer.scalar("t".into(), state.t)?;
        }
        Ok(writer.0)
    }

    fn load_state_dict(&mut self, state: &BTreeMap<String, Tensor>) -> Result<()> {
        let mut reader = StateReader::new(state);
        let learning_rate = not_negative("Lbfgs", "a learning rate", reader.scalar(LEARNING_RATE)?)?;
        let (iterations, evaluations) = (reader.count("n_iter")?, reader.count("func_evals")?);
        let mut curvature = Curvature { iterations, evaluations, ..Curvature::default() };
        if iterations > 0 {
            let n = Flat::new(&self.parameters, &self.unused)?.start.len();
            // Where there is none, or one without dimensions, reading it is the error.
            let k = reader.dims("old_dirs").and_then(|dims| dims.first()).copied().unwrap_or(0);
            let (changes, steps) =
                (reader.vec("old_dirs", &[k, n])?, reader.vec::<f64>("old_stps", &[k, n])?);
            let inverses = reader.vec("ro", &[k])?;
            let row = |data: &[f64], i: usize| data[i * n..(i + 1) * n].into();
            let pair = |(i, inverse)| Pair { step: row(&steps, i), change: row(&changes, i), inverse };
            curvature.pairs = inverses.into_iter().enumerate().map(pair).collect();
            curvature.direction = reader.vec("d", &[n])?.into();
            curvature.grad = reader.vec("prev_flat_grad", &[n])?.into();
            (curvature.scale, curvature.t) = (reader.scalar("H_diag")?, reader.scalar("t")?);
        }
        reader.finish()?;
        (self.trainable, self.curvature) = (self.trainable(), curvature);
        self.learning_rate = learning_rate;
        Ok(())
    }
}
