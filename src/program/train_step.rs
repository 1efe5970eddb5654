//! [`TrainStep`]: a training step that is recorded once and replayed.

use super::{Evaluation, Program, Replay};
use crate::autograd::{Array, Tensor};
use crate::error::{Error, Result};
use crate::layer::{Layer, Parameter, StateEntry};
use crate::loss::Loss;
use crate::ops::Rng;
use crate::optim::{LoweredRule, Optimizer, distinct};

/// A training step: forward pass, loss, backward pass, clipping and the optimizer's update.
///
/// The first run with inputs of some shape and dtype records the step, the second is compared with it bit for bit, and all later
/// ones are replayed, with the same results as without a recording. Freezing a parameter, [`Parameter::set`] and loading a
/// checkpoint between steps are seen. A step that cannot be replayed, because a layer looks at the numbers that it computes, for
/// example, runs as it would without this type; [`refusal`](TrainStep::refusal) says why.
///
/// What a layer reads besides its input, parameters and buffers must not change between the steps: a number that it keeps in a
/// `Cell` is recorded as a constant.
///
/// ```
/// use tealight::prelude::*;
/// use tealight::program::TrainStep;
/// let rng = &mut Rng::seed(1);
/// let model = Sequential::new().push(Linear::new(2, 8, rng)?).push(Tanh).push(Linear::new(8, 1, rng)?);
/// let (x, y) = (Tensor::randn(0.0, 1.0, (32, 2), rng)?, Tensor::randn(0.0, 1.0, (32, 1), rng)?);
/// let mut step = TrainStep::new(&model, Mse, AdamW::new(model.parameters(), 1e-2)?);
/// let first = step.run(&x, &y)?;
/// for _ in 0..20 { step.run(&x, &y)?; }
/// assert!(step.run(&x, &y)? < first && step.replayed() > 0);
/// println!("{}", step.program().unwrap());
/// # Ok::<(), tealight::Error>(())
/// ```
pub struct TrainStep<'a> {
    model: &'a dyn Layer,
    loss: Box<dyn Loss + 'a>,
    optimizer: Box<dyn Optimizer + 'a>,
    state: Vec<(String, StateEntry)>,
    parameters: Vec<(String, Parameter)>,
    replay: Replay,
    max_norm: Option<f64>,
    seed: u64,
    step: u64,
}

impl<'a> TrainStep<'a> {
    /// A step of `optimizer` on `loss`.
    pub fn new(model: &'a dyn Layer, loss: impl Loss + 'a, optimizer: impl Optimizer + 'a) -> Self {
        TrainStep {
            model,
            loss: Box::new(loss),
            optimizer: Box::new(optimizer),
            state: model.state_dict(),
            parameters: distinct(model.parameters()),
            replay: Replay::default(),
            max_norm: None,
            seed: 0,
            step: 0,
        }
    }

    /// Clips the gradients to this L2 norm, taken over all of them. Default: no clipping.
    #[must_use]
    pub fn clip_grad_norm(mut self, max_norm: f64) -> Self {
        self.max_norm = Some(max_norm);
        self
    }

    /// The seed of the random numbers that layers such as dropout draw. Default: 0.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Never records.
    #[must_use]
    pub fn eager(mut self) -> Self {
        self.replay.refuse(Error::argument("TrainStep", "steps that may be recorded", "eager"));
        self
    }

    /// Takes one step on a batch, and returns the loss before the update.
    ///
    /// # Errors
    /// Those of the model, the loss and the optimizer.
    pub fn run(&mut self, x: &Tensor, y: &Tensor) -> Result<f64> {
        let TrainStep { model, loss, optimizer, state, parameters, replay, max_norm, seed, step } = self;
        let (data, number) = ([x.clone(), y.clone()], *step);
        let rng = || step_rng(*seed, number);
        *step = step.wrapping_add(1);
        if let Some(loss) = replay.step_in_place(state, &data, &rng, &mut **optimizer, *max_norm, &|_| Ok(()))
        {
            return loss;
        }
        let (rng, mut value) = (rng(), None);
        optimizer.step_with(&mut || {
            let mut evaluation = replay.evaluate(state, &data, &rng, &mut |data, mut ctx| {
                let output = model.forward(&data[0], &mut ctx)?;
                let loss = loss.loss(&output, &data[1])?;
                let gradients = loss.backward()?;
                Ok(Evaluation { outputs: Vec::new(), loss, gradients })
            })?;
            if let Some(max_norm) = *max_norm {
                evaluation.gradients.clip_grad_norm(max_norm, parameters)?;
            }
            let loss = evaluation.loss.to_dtype(candle_core::DType::F64)?.to_scalar::<f64>()?;
            value.get_or_insert(loss);
            Ok((loss, evaluation.gradients))
        })?;
        value.ok_or_else(|| {
            Error::argument("TrainStep", "an optimizer that evaluates the loss", "one that does not")
        })
    }

    /// The optimizer, to read or set its learning rate.
    pub fn optimizer(&mut self) -> &mut (dyn Optimizer + 'a) {
        &mut *self.optimizer
    }

    /// The last recorded step, for those that write it down in another language.
    pub(crate) fn recorded(&self) -> Result<Recorded<'_>> {
        if let Some(refusal) = self.refusal() {
            return Err(Error::argument("export", "a step that can be replayed", refusal));
        }
        let Some((program, gradients)) = self.replay.recorded() else {
            return Err(Error::argument("export", "a step that was run", "one that was not"));
        };
        let mut rules = Vec::new();
        for &(entry, _) in &gradients {
            let (name, StateEntry::Parameter(parameter)) = &self.state[entry] else {
                unreachable!("what has a gradient is a parameter")
            };
            rules.push(self.optimizer.lowered(parameter).ok_or_else(|| {
                let got = format!("{} of {name}", self.optimizer.name());
                Error::argument("export", "an optimizer that has a form in C, such as Sgd", got)
            })?);
        }
        let state = self.state.iter().map(|(name, entry)| (name.clone(), entry.get().into_array())).collect();
        Ok(Recorded { program, gradients, rules, max_norm: self.max_norm, seed: base_seed(self.seed), state })
    }

    /// The program of the last recorded step; none before the first step, or if the step cannot be replayed.
    pub fn program(&self) -> Option<&Program> {
        self.replay.program()
    }

    /// How many steps were replayed.
    pub fn replayed(&self) -> u64 {
        self.replay.replayed()
    }

    /// Why the step cannot be replayed, if it cannot.
    pub fn refusal(&self) -> Option<&Error> {
        self.replay.refusal()
    }
}

/// A step: its program, the state entry and the output of each gradient, how the optimizer uses it, and the state.
pub(crate) struct Recorded<'a> {
    pub(crate) program: &'a Program,
    pub(crate) gradients: Vec<(usize, usize)>,
    pub(crate) rules: Vec<LoweredRule>,
    pub(crate) max_norm: Option<f64>,
    /// The seed of the step with number 0; see [`step_rng`].
    pub(crate) seed: u64,
    pub(crate) state: Vec<(String, Array)>,
}

/// The random numbers of one step follow from its number, so that a step can be evaluated again.
pub(crate) fn step_rng(seed: u64, number: u64) -> Rng {
    Rng::seed(base_seed(seed) ^ number)
}

fn base_seed(seed: u64) -> u64 {
    (Rng::seed(seed).uniform() * 2f64.powi(53)) as u64
}
