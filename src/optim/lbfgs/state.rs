//! What L-BFGS remembers as tensors with names, and back.
//!
//! # Errors
//! Something that is missing, unknown, or of another shape or dtype.

use std::collections::BTreeMap;

use candle_core::Device;

use super::super::not_negative;
use super::super::state::{RATE, Reader, Writer};
use super::Lbfgs;
use super::past::{Pair, Past};
use crate::autograd::Tensor;
use crate::error::Result;

impl Lbfgs {
    /// What the optimizer remembers, under names of its own, to be saved.
    ///
    /// # Errors
    /// None that are known.
    ///
    /// ```
    /// use tealight::optim::Lbfgs;
    /// use tealight::prelude::*;
    /// let p = Parameter::new(Tensor::new(5.0, &Device::Cpu)?);
    /// let mut optimizer = Lbfgs::new(vec![("p".into(), p.clone())], 1.0)?.iterations(1)?;
    /// optimizer.step(|| (p.get() - 3.0)?.sqr())?;
    /// let state = optimizer.state()?;
    /// assert_eq!(state["n_iter"].to_scalar::<i64>()?, 1);
    /// assert_eq!(state["d"].to_vec1::<f64>()?, [-4.0]); // against the gradient
    /// # Ok::<(), tealight::Error>(())
    /// ```
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
    ///
    /// ```
    /// use tealight::optim::Lbfgs;
    /// use tealight::prelude::*;
    /// let parameters = Linear::new(2, 1, &mut Rng::seed(1))?.parameters();
    /// let saved = Lbfgs::new(parameters.clone(), 0.5)?.state()?;
    /// let mut optimizer = Lbfgs::new(parameters, 1.0)?;
    /// optimizer.load_state(&saved)?;
    /// assert_eq!(optimizer.learning_rate(), 0.5);
    /// # Ok::<(), tealight::Error>(())
    /// ```
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
