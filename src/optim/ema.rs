//! Exponential moving averages of parameters.

use std::collections::BTreeMap;

use candle_core::DType;

use super::state::{StateReader, StateWriter};
use super::{distinct, fraction};
use crate::autograd::{Tensor, no_grad};
use crate::error::{Error, Result};
use crate::layer::Parameter;

/// An exponential moving average of a model's parameters, which often predicts better than the parameters themselves.
///
/// It starts at the current parameters, and averages frozen ones too. Averages are f64 for f64 parameters and f32 for
/// all others.
///
/// # Formula
/// a ← d·a + (1 − d)·p at each [`update`](Ema::update)
///
/// ```
/// # use tealight::optim::Ema;
/// # use tealight::prelude::*;
/// # let p = Parameter::new(Tensor::new(0.0, &Device::Cpu)?);
/// let mut ema = Ema::new(vec![("p".into(), p.clone())], 0.75)?;
/// p.set(&Tensor::new(1.0, &Device::Cpu)?)?; // an optimizer's step
/// ema.update()?;
/// assert_eq!(ema.evaluate(|| p.get().to_scalar::<f64>())?, 0.25); // 0.75 · 0 + 0.25 · 1
/// assert_eq!(p.get().to_scalar::<f64>()?, 1.0);
/// # Ok::<(), tealight::Error>(())
/// ```
#[doc(alias = "AveragedModel")]
#[doc(alias = "ExponentialMovingAverage")]
#[derive(Debug)]
pub struct Ema {
    parameters: Vec<(String, Parameter)>,
    averages: Vec<Tensor>,
    /// The parameters' own values, while the model has the averages.
    backup: Option<Vec<Tensor>>,
    decay: f64,
}

impl Ema {
    /// The average of these parameters, with this decay d.
    ///
    /// # Errors
    /// Errors if the decay is outside [0, 1).
    pub fn new(parameters: Vec<(String, Parameter)>, decay: f64) -> Result<Self> {
        let decay = fraction("Ema", "a decay", decay)?;
        let parameters = distinct(parameters);
        let averages = parameters.iter().map(|(_, parameter)| widened(parameter)).collect::<Result<_>>()?;
        Ok(Ema { parameters, averages, backup: None, decay })
    }

    /// Averages in the current parameters: call it after each step of the optimizer.
    ///
    /// # Errors
    /// Errors while the model has the averages.
    pub fn update(&mut self) -> Result<()> {
        self.check_applied(false, "update")?;
        let pairs = self.parameters.iter().zip(&self.averages);
        let updated = |((_, parameter), average): (&(String, Parameter), &Tensor)| {
            no_grad(|| average.add(&((widened(parameter)? - average)? * (1.0 - self.decay))?))
        };
        self.averages = pairs.map(updated).collect::<Result<_>>()?;
        Ok(())
    }

    /// Sets the model's parameters to the averages, until [`restore`](Ema::restore).
    ///
    /// # Errors
    /// Errors if the model has them already.
    pub fn apply(&mut self) -> Result<()> {
        self.check_applied(false, "apply")?;
        let (mut weights, mut averages) = (Vec::new(), Vec::new());
        for ((_, parameter), average) in self.parameters.iter().zip(&self.averages) {
            let own = parameter.get();
            averages.push(average.to_dtype(own.dtype())?);
            weights.push(own.detach());
        }
        self.backup = Some(weights);
        self.set(&averages)
    }

    /// Sets the model's parameters to what they were before [`apply`](Ema::apply).
    ///
    /// # Errors
    /// Errors if the model does not have the averages.
    pub fn restore(&mut self) -> Result<()> {
        self.check_applied(true, "restore")?;
        let weights = self.backup.take().expect("check_applied found a backup");
        self.set(&weights)
    }

    /// Calls `f` while the model has the averages, and restores the parameters also where `f` fails or panics.
    ///
    /// # Errors
    /// Errors if `f` does, or if the model has the averages already.
    pub fn evaluate<T>(&mut self, f: impl FnOnce() -> Result<T>) -> Result<T> {
        struct Guard<'a>(&'a mut Ema);
        impl Drop for Guard<'_> {
            fn drop(&mut self) {
                let _ = self.0.restore();
            }
        }
        self.apply()?;
        let guard = Guard(self);
        let result = f();
        guard.0.restore()?;
        result
    }

    /// The averages under the names of the parameters, to be saved.
    ///
    /// # Errors
    /// Errors if two parameters have the same name.
    pub fn state_dict(&self) -> Result<BTreeMap<String, Tensor>> {
        let mut writer = StateWriter::default();
        for ((name, _), average) in self.parameters.iter().zip(&self.averages) {
            writer.insert(name.clone(), average.clone())?;
        }
        Ok(writer.0)
    }

    /// Loads what [`state_dict`](Ema::state_dict) returned.
    ///
    /// # Errors
    /// Errors if an average is missing, unexpected, or of another shape or dtype; then nothing changes.
    pub fn load_state_dict(&mut self, state: &BTreeMap<String, Tensor>) -> Result<()> {
        let mut reader = StateReader::new(state);
        let mut averages = Vec::with_capacity(self.averages.len());
        for ((name, _), own) in self.parameters.iter().zip(&self.averages) {
            let array = reader.take(name, own.dims(), own.dtype())?.array().to_device(own.device())?;
            averages.push(Tensor::from(array));
        }
        reader.finish()?;
        self.averages = averages;
        Ok(())
    }

    fn set(&self, values: &[Tensor]) -> Result<()> {
        self.parameters.iter().zip(values).try_for_each(|((_, parameter), value)| parameter.set(value))
    }

    fn check_applied(&self, applied: bool, action: &str) -> Result<()> {
        if self.backup.is_some() == applied {
            return Ok(());
        }
        let names = |applied| if applied { "the averages" } else { "its own weights" };
        let expected = format!("a model with {} to {action}", names(applied));
        Err(Error::argument("Ema", expected, format!("one with {}", names(!applied))))
    }
}

/// The value as f64 if it is f64, and as f32 otherwise.
fn widened(parameter: &Parameter) -> Result<Tensor> {
    let value = parameter.get().detach();
    if value.dtype() == DType::F64 { Ok(value) } else { value.to_dtype(DType::F32) }
}

#[cfg(test)]
mod tests {
    use super::Ema;
    use crate::prelude::*;

    #[test]
    fn apply_restore_and_state() -> Result<()> {
        let parameter = Parameter::new(Tensor::new(&[1.0, -2.0], &Device::Cpu)?);
        let named = vec![("w".to_string(), parameter.clone()), ("tied".to_string(), parameter.clone())];
        let mut ema = Ema::new(named.clone(), 0.75)?;
        parameter.set(&Tensor::new(&[5.0, -2.0], &Device::Cpu)?)?;
        ema.update()?;
        let averaged = ema.evaluate(|| {
            // A model that has the averages must not average them.
            parameter.get().to_vec1::<f64>()
        })?;
        assert_eq!(averaged, [2.0, -2.0]);
        assert_eq!(parameter.get().to_vec1::<f64>()?, [5.0, -2.0]);
        let failed: Result<()> = ema.evaluate(|| Err(Error::argument("f", "luck", "none")));
        assert_eq!(failed.unwrap_err().to_string(), "f: expected luck, got none");
        assert_eq!(parameter.get().to_vec1::<f64>()?, [5.0, -2.0]);

        ema.apply()?;
        for error in [ema.update(), ema.apply()] {
            let text = error.unwrap_err().to_string();
            assert!(text.ends_with(", got one with the averages"), "{text}");
        }
        ema.restore()?;
        let text = ema.restore().unwrap_err().to_string();
        assert_eq!(text, "Ema: expected a model with the averages to restore, got one with its own weights");

        let state = ema.state_dict()?;
        let mut other = Ema::new(named, 0.75)?;
        other.load_state_dict(&state)?;
        assert_eq!(other.evaluate(|| parameter.get().to_vec1::<f64>())?, [2.0, -2.0]);
        let text = other.load_state_dict(&Default::default()).unwrap_err().to_string();
        assert_eq!(text, "w: expected in the state, but not there");
        assert!(Ema::new(Vec::new(), 1.0).is_err() && Ema::new(Vec::new(), f64::NAN).is_err());
        Ok(())
    }

    #[test]
    fn averages_of_bf16_parameters_do_not_stall() -> Result<()> {
        let parameter = Parameter::new(Tensor::zeros(1, DType::BF16, &Device::Cpu)?);
        let mut ema = Ema::new(vec![("w".to_string(), parameter.clone())], 0.999)?;
        parameter.set(&Tensor::ones(1, DType::BF16, &Device::Cpu)?)?;
        for _ in 0..1000 {
            ema.update()?;
        }
        let average = ema.state_dict()?["w"].to_vec1::<f32>()?[0];
        assert!((average - (1.0 - 0.999_f32.powi(1000))).abs() < 1e-3, "{average}");
        Ok(())
    }
}
