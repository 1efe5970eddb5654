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

mod flat;
mod line_search;
mod past;
mod state;

use self::flat::{Flat, along};
use self::line_search::{Point, strong_wolfe};
use self::past::{Past, largest};
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
/// # Formula
/// p ← p + t·d with d = −H·g; H is the limited-memory BFGS inverse of the last pairs of step and change of gradient. All is
/// computed in f64.
///
/// # Source
/// D. Liu and J. Nocedal 1989; steps, tests and defaults as in PyTorch.
///
/// ```
/// use tealight::optim::Lbfgs;
/// use tealight::prelude::*;
/// let model = Linear::new(1, 1, &mut Rng::seed(1))?;
/// let mut optimizer = Lbfgs::new(model.parameters(), 1.0)?.strong_wolfe();
/// let x = Tensor::new(&[[1.0_f32], [2.0]], &Device::Cpu)?;
/// let target = Tensor::new(&[[5.0_f32], [8.0]], &Device::Cpu)?; // 3x + 2
/// let loss = || Mse.loss(&model.forward(&x, &mut ForwardContext::eval())?, &target);
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

impl Lbfgs {
    /// The optimizer for the parameters of a model.
    ///
    /// # Errors
    /// A learning rate that is negative or not finite.
    ///
    /// ```
    /// use tealight::optim::Lbfgs;
    /// use tealight::prelude::*;
    /// let model = Linear::new(2, 1, &mut Rng::seed(1))?;
    /// assert_eq!(Lbfgs::new(model.parameters(), 1.0)?.learning_rate(), 1.0);
    /// let error = Lbfgs::new(model.parameters(), -1.0).unwrap_err();
    /// assert_eq!(error.to_string(), "Lbfgs: expected a learning rate that is finite and not negative, got -1");
    /// # Ok::<(), tealight::Error>(())
    /// ```
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
    ///
    /// ```
    /// use tealight::optim::Lbfgs;
    /// use tealight::prelude::*;
    /// let p = Parameter::new(Tensor::new(103.0, &Device::Cpu)?);
    /// let optimizer = Lbfgs::new(vec![("p".into(), p.clone())], 1.0)?.iterations(1)?.evaluations(9)?;
    /// let mut optimizer = optimizer.strong_wolfe();
    /// optimizer.step(|| (p.get() - 3.0)?.sqr())?;
    /// assert!(p.get().to_scalar::<f64>()? < 102.0); // without the search the first iteration is 1 long
    /// # Ok::<(), tealight::Error>(())
    /// ```
    #[doc(alias = "line_search_fn")]
    #[must_use]
    pub fn strong_wolfe(mut self) -> Self {
        self.line_search = true;
        self
    }

    /// How many iterations a step has at most, 20 if nothing is said.
    ///
    /// # Errors
    /// 0 iterations.
    ///
    /// ```
    /// use tealight::optim::Lbfgs;
    /// use tealight::prelude::*;
    /// let p = Parameter::new(Tensor::new(5.0, &Device::Cpu)?);
    /// let mut optimizer = Lbfgs::new(vec![("p".into(), p.clone())], 1.0)?.iterations(1)?;
    /// optimizer.step(|| (p.get() - 3.0)?.sqr())?;
    /// assert_eq!(p.get().to_scalar::<f64>()?, 4.0); // the first iteration is 1 long
    /// # Ok::<(), tealight::Error>(())
    /// ```
    #[doc(alias = "max_iter")]
    pub fn iterations(mut self, most: usize) -> Result<Self> {
        self.iterations = at_least_one("an iteration or more", most)?;
        Ok(self)
    }

    /// How often a step evaluates the loss at most, 5/4 of the iterations if nothing is said.
    ///
    /// # Errors
    /// 0 evaluations.
    ///
    /// ```
    /// use tealight::optim::Lbfgs;
    /// use tealight::prelude::*;
    /// let p = Parameter::new(Tensor::new(5.0, &Device::Cpu)?);
    /// let (mut optimizer, mut calls) = (Lbfgs::new(vec![("p".into(), p.clone())], 0.1)?.evaluations(3)?, 0);
    /// optimizer.step(|| {
    ///     calls += 1;
    ///     (p.get() - 3.0)?.sqr()
    /// })?;
    /// assert_eq!(calls, 3);
    /// # Ok::<(), tealight::Error>(())
    /// ```
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
    ///
    /// ```
    /// use tealight::optim::Lbfgs;
    /// use tealight::prelude::*;
    /// let p = Parameter::new(Tensor::new(5.0, &Device::Cpu)?);
    /// let mut optimizer = Lbfgs::new(vec![("p".into(), p.clone())], 1.0)?.tolerances(4.0, 1e-9)?;
    /// optimizer.step(|| (p.get() - 3.0)?.sqr())?;
    /// assert_eq!(p.get().to_scalar::<f64>()?, 5.0); // where it starts the gradient is 4
    /// # Ok::<(), tealight::Error>(())
    /// ```
    #[doc(alias = "tolerance_grad")]
    #[doc(alias = "tolerance_change")]
    pub fn tolerances(mut self, gradient: f64, change: f64) -> Result<Self> {
        self.tolerance_gradient = not_negative("Lbfgs", "a tolerance", gradient)?;
        self.tolerance_change = not_negative("Lbfgs", "a tolerance", change)?;
        Ok(self)
    }

    /// How many earlier iterations count, 100 if nothing is said.
    ///
    /// # Errors
    /// A history of 0.
    ///
    /// ```
    /// use tealight::optim::Lbfgs;
    /// use tealight::prelude::*;
    /// let p = Parameter::new(Tensor::new(5.0, &Device::Cpu)?);
    /// let mut optimizer = Lbfgs::new(vec![("p".into(), p.clone())], 1.0)?.strong_wolfe().history(2)?;
    /// optimizer.step(|| (p.get() - 3.0)?.sqr()?.sqr())?;
    /// assert_eq!(optimizer.state()?["old_stps"].dims(), [2, 1]); // two steps of one number
    /// # Ok::<(), tealight::Error>(())
    /// ```
    #[doc(alias = "history_size")]
    pub fn history(mut self, most: usize) -> Result<Self> {
        self.history = at_least_one("a history of one or more", most)?;
        Ok(self)
    }

    /// The learning rate.
    ///
    /// ```
    /// use tealight::optim::Lbfgs;
    /// use tealight::prelude::*;
    /// let model = Linear::new(2, 1, &mut Rng::seed(1))?;
    /// assert_eq!(Lbfgs::new(model.parameters(), 0.5)?.learning_rate(), 0.5);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn learning_rate(&self) -> f64 {
        self.rate
    }

    /// Changes the learning rate.
    ///
    /// # Errors
    /// A rate that is negative or not finite.
    ///
    /// ```
    /// use tealight::optim::Lbfgs;
    /// use tealight::prelude::*;
    /// let p = Parameter::new(Tensor::new(5.0, &Device::Cpu)?);
    /// let mut optimizer = Lbfgs::new(vec![("p".into(), p.clone())], 1.0)?.iterations(1)?;
    /// optimizer.set_learning_rate(0.5)?;
    /// optimizer.step(|| (p.get() - 3.0)?.sqr())?;
    /// assert_eq!(p.get().to_scalar::<f64>()?, 4.5); // the first iteration is as long as the rate
    /// # Ok::<(), tealight::Error>(())
    /// ```
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
    ///
    /// ```
    /// use tealight::optim::Lbfgs;
    /// use tealight::prelude::*;
    /// let p = Parameter::new(Tensor::new(5.0, &Device::Cpu)?);
    /// let mut optimizer = Lbfgs::new(vec![("p".into(), p.clone())], 1.0)?.strong_wolfe();
    /// assert_eq!(optimizer.step(|| (p.get() - 3.0)?.sqr())?, 4.0); // (5 − 3)²
    /// assert!((p.get().to_scalar::<f64>()? - 3.0).abs() < 1e-6);
    /// # Ok::<(), tealight::Error>(())
    /// ```
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
                    parameter.set(&Tensor::from(value.clone()))?;
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
}

fn at_least_one(what: &str, n: usize) -> Result<usize> {
    if n > 0 { Ok(n) } else { Err(Error::argument("Lbfgs", what, n)) }
}
