//! Gradients that are made smaller before a step.
//!
//! # Formula
//! g·min(1, max / (‖g‖ + 1e-6)) with ‖g‖ over all parameters together, or each element into [−max, max]
//!
//! # Errors
//! A bound that is negative or NaN.
//!
//! # Source
//! R. Pascanu, T. Mikolov and Y. Bengio 2013; the 1e-6 is PyTorch's.

use super::distinct;
use crate::autograd::array::{contiguous, elements, on_cpu, with_float};
use crate::autograd::{Array, Gradients, Tensor, no_grad};
use crate::error::{Error, Result};
use crate::kernel::optim::norm;
use crate::layer::Parameter;

impl Gradients {
    /// Scales the gradients of the parameters so that their norm, taken over all of them together, is `max` at most;
    /// returns the norm that they had.
    ///
    /// A norm that is NaN or infinite is returned, and nothing is changed: the optimizer's step will name the parameter. A
    /// parameter without a gradient is passed over. With an infinite `max` the norm is only measured.
    ///
    /// # Errors
    /// A `max` that is negative or NaN.
    ///
    /// ```
    /// use tealight::prelude::*;
    /// let model = Linear::new(2, 1, &mut Rng::seed(1))?.without_bias();
    /// let mut optimizer = Sgd::new(model.parameters(), 0.1)?;
    /// let y = model.forward(&Tensor::new(&[[3.0_f32, 4.0]], &Device::Cpu)?, &mut ForwardContext::eval())?;
    /// let mut gradients = y.sum_all()?.backward()?;
    /// assert_eq!(gradients.clip_norm(1.0, &model.parameters())?, 5.0);
    /// optimizer.step(&gradients)?;
    /// # Ok::<(), tealight::Error>(())
    /// ```
    #[doc(alias = "clip_grad_norm_")]
    pub fn clip_norm(&mut self, max: f64, parameters: &[(String, Parameter)]) -> Result<f64> {
        let leaves = checked("clip_norm", max, parameters)?;
        let mut total = 0.0;
        for leaf in &leaves {
            if let Some(grad) = self.get(leaf) {
                total = f64::hypot(total, length(grad.array())?);
            }
        }
        let factor = max / (total + 1e-6);
        if total.is_finite() && factor < 1.0 {
            self.change(&leaves, |grad| grad * factor)?;
        }
        Ok(total)
    }

    /// Puts every element of the parameters' gradients into [−max, max].
    ///
    /// # Errors
    /// A `max` that is negative or NaN.
    ///
    /// ```
    /// use tealight::prelude::*;
    /// let model = Linear::new(2, 1, &mut Rng::seed(1))?;
    /// let y = model.forward(&Tensor::new(&[[3.0_f32, -0.5]], &Device::Cpu)?, &mut ForwardContext::eval())?;
    /// let mut gradients = y.sum_all()?.backward()?;
    /// gradients.clip_value(1.0, &model.parameters())?;
    /// assert_eq!(gradients.get(&model.weight.get()).unwrap().to_vec2::<f32>()?, [[1.0, -0.5]]);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    #[doc(alias = "clip_grad_value_")]
    pub fn clip_value(&mut self, max: f64, parameters: &[(String, Parameter)]) -> Result<()> {
        let leaves = checked("clip_value", max, parameters)?;
        // An infinite bound would not do as an argument of clamp for every dtype.
        if max == f64::INFINITY { Ok(()) } else { self.change(&leaves, |grad| grad.clamp(-max, max)) }
    }

    /// All or none: the new gradients are there before the first is replaced.
    fn change(&mut self, leaves: &[Tensor], f: impl Fn(&Tensor) -> Result<Tensor>) -> Result<()> {
        let mut changed = Vec::with_capacity(leaves.len());
        for leaf in leaves {
            if let Some(grad) = self.get(leaf) {
                changed.push((leaf, no_grad(|| f(grad))?));
            }
        }
        for (leaf, grad) in changed {
            self.replace(leaf, grad);
        }
        Ok(())
    }
}

fn checked(op: &'static str, max: f64, parameters: &[(String, Parameter)]) -> Result<Vec<Tensor>> {
    if max.is_nan() || max < 0.0 {
        return Err(Error::argument(op, "a bound that is not negative", max));
    }
    Ok(distinct(parameters.to_vec()).into_iter().map(|(_, parameter)| parameter.get()).collect())
}

fn length(x: &Array) -> Result<f64> {
    if on_cpu(x) {
        return with_float!(x.dtype(), T => Ok(norm::<T>(&elements(&contiguous(x)?)?)));
    }
    let x = super::first_order::numbers(x, candle_core::DType::F32)?;
    Ok(norm::<f32>(&elements(&x)?))
}

#[cfg(test)]
mod tests {
    use crate::prelude::*;

    fn gradients(slopes: &[f64]) -> Result<(Vec<(String, Parameter)>, Gradients)> {
        let parameter = Parameter::new(Tensor::zeros(slopes.len(), DType::F64, &Device::Cpu)?);
        let loss = (parameter.get() * Tensor::new(slopes, &Device::Cpu)?)?.sum_all()?;
        // The same one twice, as tied weights are.
        let parameters = vec![("a".to_string(), parameter.clone()), ("b".to_string(), parameter)];
        Ok((parameters, loss.backward()?))
    }

    fn slopes(parameters: &[(String, Parameter)], gradients: &Gradients) -> Result<Vec<f64>> {
        gradients.get(&parameters[0].1.get()).unwrap().to_vec1()
    }

    #[test]
    fn extremes() -> Result<()> {
        for scale in [1e-300, 1.0, 1e200] {
            let (parameters, mut all) = gradients(&[3.0 * scale, -4.0 * scale])?;
            let norm = all.clip_norm(f64::INFINITY, &parameters)?;
            assert!((norm / (5.0 * scale) - 1.0).abs() < 1e-15, "{norm}");
            assert_eq!(slopes(&parameters, &all)?, [3.0 * scale, -4.0 * scale]);
            all.clip_norm(1e-310, &parameters)?;
            assert!(slopes(&parameters, &all)?.iter().all(|x| x.is_finite()));
        }
        for bad in [f64::NAN, f64::INFINITY] {
            let (parameters, mut all) = gradients(&[1.0, bad])?;
            assert!(!all.clip_norm(0.5, &parameters)?.is_finite());
            assert_eq!(slopes(&parameters, &all)?[0], 1.0);
        }
        let (parameters, mut all) = gradients(&[])?;
        assert_eq!(all.clip_norm(1.0, &parameters)?, 0.0);
        assert_eq!(Gradients::default().clip_norm(1.0, &parameters)?, 0.0);
        let error = all.clip_norm(-1.0, &parameters).unwrap_err().to_string();
        assert_eq!(error, "clip_norm: expected a bound that is not negative, got -1");
        assert!(all.clip_value(f64::NAN, &parameters).is_err());
        let (parameters, mut all) = gradients(&[0.0, -7.0, 0.25])?;
        all.clip_value(0.5, &parameters)?;
        assert_eq!(slopes(&parameters, &all)?, [0.0, -0.5, 0.25]);
        Ok(())
    }
}
