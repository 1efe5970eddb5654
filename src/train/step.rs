//! One step of a training.

use candle_core::DType;

use super::trainer::{State, Trainer};
use crate::autograd::{Gradients, Tensor, no_grad};
use crate::data::Epoch;
use crate::error::{Error, Result};
use crate::layer::ForwardContext;
use crate::ops::Rng;

const FINITE: &str =
    "a loss that is finite (a smaller learning rate? autograd::detect_anomaly finds the operation)";

impl Trainer<'_> {
    /// One step of the optimizer.
    pub(super) fn step(&mut self, batches: &mut Epoch, state: &mut State) -> Result<f64> {
        if let Some(schedule) = &self.schedule {
            let step = usize::try_from(state.step).unwrap_or(usize::MAX);
            self.optimizer.set_learning_rate(schedule.rate(step))?;
        }
        let (mut all, mut sum, mut examples) = (None, 0.0, 0);
        for (part, batch) in batches.by_ref().take(self.accumulate).enumerate() {
            let (inputs, targets) = batch?;
            let number = state.step.wrapping_mul(self.accumulate as u64).wrapping_add(part as u64);
            let ctx = ForwardContext::train(self.rng(number));
            let (loss, gradients) = self.gradients(&inputs, &targets, ctx, &mut state.history.summary)?;
            let rows = inputs.dims().first().map_or(1, |&rows| rows as u64);
            sum += loss * rows as f64;
            examples += rows;
            all = Some(match self.accumulate {
                1 => gradients,
                _ => self.added(all, gradients, rows as f64)?,
            });
        }
        let Some(mut gradients) = all else { return Ok(f64::NAN) };
        if self.accumulate > 1 {
            gradients = self.added(None, gradients, 1.0 / examples as f64)?;
        }
        if let Some(max) = self.clip {
            gradients.clip_norm(max, &self.parameters)?;
        }
        self.optimizer.step(&gradients)?;
        state.step = state.step.saturating_add(1);
        state.sum += sum;
        state.examples += examples;
        Ok(sum / examples as f64)
    }

    /// The random numbers of a batch: they depend on the seed and on its number alone, so nothing of them has to be saved.
    pub(super) fn rng(&self, batch: u64) -> Rng {
        let base = (Rng::seed(self.seed).uniform() * 2f64.powi(53)) as u64;
        Rng::seed(base ^ batch)
    }

    /// The loss of a batch and its gradients; where there is no table of the model yet, it is made on the way.
    pub(super) fn gradients(
        &self,
        inputs: &Tensor,
        targets: &Tensor,
        mut ctx: ForwardContext,
        summary: &mut String,
    ) -> Result<(f64, Gradients)> {
        let prediction = match summary.is_empty() {
            true => {
                let (prediction, table) = ctx.summarize(self.model, inputs)?;
                *summary = table.to_string();
                prediction
            }
            false => self.model.forward(inputs, &mut ctx)?,
        };
        let loss = self.loss.loss(&prediction, targets)?;
        let value = scalar(&loss)?;
        if !value.is_finite() {
            return Err(Error::argument("fit", FINITE, value));
        }
        Ok((value, loss.backward()?))
    }

    /// `all` + `gradients`·`factor`.
    fn added(&self, all: Option<Gradients>, gradients: Gradients, factor: f64) -> Result<Gradients> {
        let mut all = all.unwrap_or_default();
        for (_, parameter) in &self.parameters {
            let leaf = parameter.get();
            let Some(gradient) = gradients.get(&leaf) else { continue };
            let gradient = no_grad(|| {
                let scaled = gradient * factor;
                match all.get(&leaf) {
                    Some(known) => known + &scaled?,
                    None => scaled,
                }
            })?;
            all.replace(&leaf, gradient);
        }
        Ok(all)
    }
}

/// The loss as a number.
pub(super) fn scalar(loss: &Tensor) -> Result<f64> {
    if loss.rank() != 0 {
        return Err(Error::shape("fit", "a scalar loss (not Reduction::None)", &[loss.dims()]));
    }
    loss.detach().to_dtype(DType::F64)?.to_scalar()
}
