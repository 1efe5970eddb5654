//! Averaged weights.
//!
//! # Formula
//! a ← d·a + (1 − d)·p after each step
//!
//! # Errors
//! A decay outside [0, 1); parameters that were changed to and fro in the wrong order.
//!
//! # Source
//! B. Polyak and A. Juditsky 1992.

use std::collections::BTreeMap;

use candle_core::DType;

use super::state::{Reader, Writer};
use super::{distinct, fraction};
use crate::autograd::{Array, Tensor, no_grad};
use crate::error::{Error, Result};
use crate::layer::Parameter;

/// A moving average of a model's weights, which often predicts better than the weights themselves.
///
/// It starts as the weights are; frozen ones are averaged too. The averages are f64 for f64 parameters and f32 for others.
///
/// # Formula
/// a ← d·a + (1 − d)·p at each [`update`](Ema::update)
///
/// ```
/// use tealight::optim::Ema;
/// use tealight::prelude::*;
/// let model = Linear::new(2, 1, &mut Rng::seed(1))?;
/// let mut optimizer = Sgd::new(model.parameters(), 0.1)?;
/// let mut average = Ema::new(model.parameters(), 0.9)?;
/// let x = Tensor::ones((4, 2), DType::F32, &Device::Cpu)?;
/// for _ in 0..3 {
///     let y = model.forward(&x, &mut ForwardContext::eval())?;
///     optimizer.step(&y.sqr()?.mean_all()?.backward()?)?;
///     average.update()?;
/// }
/// let weight = model.weight.get().to_vec2::<f32>()?;
/// let averaged = average.evaluate(|| model.weight.get().to_vec2::<f32>())?;
/// assert_ne!(averaged, weight);
/// assert_eq!(model.weight.get().to_vec2::<f32>()?, weight);
/// # Ok::<(), tealight::Error>(())
/// ```
#[doc(alias = "AveragedModel")]
#[doc(alias = "ExponentialMovingAverage")]
#[derive(Debug)]
pub struct Ema {
    parameters: Vec<(String, Parameter)>,
    averages: Vec<Tensor>,
    /// The weights, while the model has the averages.
    weights: Option<Vec<Array>>,
    decay: f64,
}

impl Ema {
    /// An average of these parameters, of which the part `decay` stays at each update.
    ///
    /// # Errors
    /// A decay outside [0, 1).
    ///
    /// ```
    /// use tealight::optim::Ema;
    /// use tealight::prelude::*;
    /// let model = Linear::new(2, 1, &mut Rng::seed(1))?;
    /// let average = Ema::new(model.parameters(), 0.9)?;
    /// assert_eq!(average.state()?["weight"], model.weight.get());
    /// assert!(Ema::new(model.parameters(), 1.0).is_err()); // nothing would ever change
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn new(parameters: Vec<(String, Parameter)>, decay: f64) -> Result<Self> {
        let decay = fraction("Ema", "a decay", decay)?;
        let parameters = distinct(parameters);
        let averages = parameters.iter().map(|(_, parameter)| wide(parameter)).collect::<Result<_>>()?;
        Ok(Ema { parameters, averages, weights: None, decay })
    }

    /// Takes in the weights as they are now: after each step of the optimizer.
    ///
    /// # Errors
    /// The model has the averages at the moment.
    ///
    /// ```
    /// use tealight::optim::Ema;
    /// use tealight::prelude::*;
    /// let p = Parameter::new(Tensor::new(0.0, &Device::Cpu)?);
    /// let mut average = Ema::new(vec![("p".into(), p.clone())], 0.75)?;
    /// p.set(&Tensor::new(1.0, &Device::Cpu)?)?;
    /// average.update()?;
    /// assert_eq!(average.state()?["p"].to_scalar::<f64>()?, 0.25); // 0.75 · 0 + 0.25 · 1
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn update(&mut self) -> Result<()> {
        self.demand(false, "update")?;
        let pairs = self.parameters.iter().zip(&self.averages);
        let moved = |((_, parameter), average): (&(String, Parameter), &Tensor)| {
            no_grad(|| average.add(&((wide(parameter)? - average)? * (1.0 - self.decay))?))
        };
        self.averages = pairs.map(moved).collect::<Result<_>>()?;
        Ok(())
    }

    /// Gives the model the averages; [`restore`](Ema::restore) gives it its weights again.
    ///
    /// # Errors
    /// The model has them already.
    ///
    /// ```
    /// use tealight::optim::Ema;
    /// use tealight::prelude::*;
    /// let p = Parameter::new(Tensor::new(0.0, &Device::Cpu)?);
    /// let mut average = Ema::new(vec![("p".into(), p.clone())], 0.75)?;
    /// p.set(&Tensor::new(1.0, &Device::Cpu)?)?;
    /// average.apply()?;
    /// assert_eq!(p.get().to_scalar::<f64>()?, 0.0);
    /// let error = average.update().unwrap_err().to_string();
    /// assert_eq!(error, "Ema: expected a model with its own weights to update, got one with the averages");
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn apply(&mut self) -> Result<()> {
        self.demand(false, "apply")?;
        let mut new = Vec::with_capacity(self.averages.len());
        for ((_, parameter), average) in self.parameters.iter().zip(&self.averages) {
            let own = parameter.get();
            new.push((own.array().clone(), average.to_dtype(own.dtype())?.into_array()));
        }
        let (weights, averages): (Vec<Array>, Vec<Array>) = new.into_iter().unzip();
        self.weights = Some(weights);
        self.set(averages)
    }

    /// Gives the model the weights that it had before [`apply`](Ema::apply).
    ///
    /// # Errors
    /// The model does not have the averages.
    ///
    /// ```
    /// use tealight::optim::Ema;
    /// use tealight::prelude::*;
    /// let p = Parameter::new(Tensor::new(0.0, &Device::Cpu)?);
    /// let mut average = Ema::new(vec![("p".into(), p.clone())], 0.75)?;
    /// p.set(&Tensor::new(1.0, &Device::Cpu)?)?;
    /// average.apply()?;
    /// average.restore()?;
    /// assert_eq!(p.get().to_scalar::<f64>()?, 1.0);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn restore(&mut self) -> Result<()> {
        self.demand(true, "restore")?;
        let weights = self.weights.take().unwrap_or_default();
        self.set(weights)
    }

    /// What `f` finds while the model has the averages; the weights are put back also where it fails.
    ///
    /// # Errors
    /// Those of `f`; the model has the averages already.
    ///
    /// ```
    /// use tealight::optim::Ema;
    /// use tealight::prelude::*;
    /// let p = Parameter::new(Tensor::new(0.0, &Device::Cpu)?);
    /// let mut average = Ema::new(vec![("p".into(), p.clone())], 0.75)?;
    /// p.set(&Tensor::new(1.0, &Device::Cpu)?)?;
    /// assert_eq!(average.evaluate(|| p.get().to_scalar::<f64>())?, 0.0);
    /// assert_eq!(p.get().to_scalar::<f64>()?, 1.0);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn evaluate<T>(&mut self, f: impl FnOnce() -> Result<T>) -> Result<T> {
        /// Puts the weights back also when `f` panics.
        struct Guard<'a>(&'a mut Ema);
        impl Drop for Guard<'_> {
            fn drop(&mut self) {
                let _ = self.0.restore();
            }
        }
        self.apply()?;
        let guard = Guard(self);
        let found = f();
        guard.0.restore()?;
        found
    }

    /// The averages under the names of the parameters, to be saved.
    ///
    /// # Errors
    /// Two parameters of one name.
    ///
    /// ```
    /// use tealight::optim::Ema;
    /// use tealight::prelude::*;
    /// let model = Linear::new(2, 1, &mut Rng::seed(1))?;
    /// let names: Vec<String> = Ema::new(model.parameters(), 0.9)?.state()?.into_keys().collect();
    /// assert_eq!(names, ["bias", "weight"]);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn state(&self) -> Result<BTreeMap<String, Tensor>> {
        let mut writer = Writer::default();
        for ((name, _), average) in self.parameters.iter().zip(&self.averages) {
            writer.put(name.clone(), average.clone())?;
        }
        Ok(writer.0)
    }

    /// Takes over what [`state`](Ema::state) gave.
    ///
    /// # Errors
    /// An average that is missing, unknown, or of another shape or dtype: the error names it, and nothing is changed.
    ///
    /// ```
    /// use tealight::optim::Ema;
    /// use tealight::prelude::*;
    /// let p = Parameter::new(Tensor::new(0.0, &Device::Cpu)?);
    /// let saved = Ema::new(vec![("p".into(), p.clone())], 0.75)?.state()?;
    /// p.set(&Tensor::new(1.0, &Device::Cpu)?)?;
    /// let mut average = Ema::new(vec![("p".into(), p.clone())], 0.75)?; // it starts from 1 …
    /// average.load_state(&saved)?; // … and goes on from 0
    /// assert_eq!(average.state()?["p"].to_scalar::<f64>()?, 0.0);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn load_state(&mut self, state: &BTreeMap<String, Tensor>) -> Result<()> {
        let mut reader = Reader::new(state);
        let mut averages = Vec::with_capacity(self.averages.len());
        for ((name, _), own) in self.parameters.iter().zip(&self.averages) {
            let array = reader.take(name, own.dims(), own.dtype())?.array().to_device(own.device())?;
            averages.push(Tensor::from(array));
        }
        reader.finish()?;
        self.averages = averages;
        Ok(())
    }

    fn set(&self, values: Vec<Array>) -> Result<()> {
        self.parameters
            .iter()
            .zip(values)
            .try_for_each(|((_, parameter), value)| parameter.set(&Tensor::from(value)))
    }

    fn demand(&self, applied: bool, doing: &str) -> Result<()> {
        if self.weights.is_some() == applied {
            return Ok(());
        }
        let names = |applied| if applied { "the averages" } else { "its own weights" };
        let expected = format!("a model with {} to {doing}", names(applied));
        Err(Error::argument("Ema", expected, format!("one with {}", names(!applied))))
    }
}

fn wide(parameter: &Parameter) -> Result<Tensor> {
    let value = parameter.get().detach();
    if value.dtype() == DType::F64 { Ok(value) } else { value.to_dtype(DType::F32) }
}

#[cfg(test)]
mod tests {
    use super::Ema;
    use crate::prelude::*;

    #[test]
    fn averages_and_back_again() -> Result<()> {
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

        let state = ema.state()?;
        let mut other = Ema::new(named, 0.75)?;
        other.load_state(&state)?;
        assert_eq!(other.evaluate(|| parameter.get().to_vec1::<f64>())?, [2.0, -2.0]);
        let text = other.load_state(&Default::default()).unwrap_err().to_string();
        assert_eq!(text, "w: expected in the state, but not there");
        assert!(Ema::new(Vec::new(), 1.0).is_err() && Ema::new(Vec::new(), f64::NAN).is_err());
        Ok(())
    }

    #[test]
    fn sixteen_bits_do_not_stop_the_average() -> Result<()> {
        let parameter = Parameter::new(Tensor::zeros(1, DType::BF16, &Device::Cpu)?);
        let mut ema = Ema::new(vec![("w".to_string(), parameter.clone())], 0.999)?;
        parameter.set(&Tensor::ones(1, DType::BF16, &Device::Cpu)?)?;
        for _ in 0..1000 {
            ema.update()?;
        }
        let average = ema.state()?["w"].to_vec1::<f32>()?[0];
        assert!((average - (1.0 - 0.999_f32.powi(1000))).abs() < 1e-3, "{average}");
        Ok(())
    }
}
