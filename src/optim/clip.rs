//! Gradient clipping.

use super::distinct;
use crate::autograd::array::{contiguous, elements, on_cpu, with_float};
use crate::autograd::{Array, Gradients, Tensor, no_grad};
use crate::error::{Error, Result};
use crate::kernel::optim::norm;
use crate::layer::Parameter;

impl Gradients {
    /// Scales the gradients of the parameters so that their total norm is at most `max_norm`, and returns the norm that
    /// they had.
    ///
    /// The gradients are multiplied by min(1, max_norm / (‖g‖ + 1e-6)), with ‖g‖ over all parameters together, as PyTorch
    /// does. If the norm is NaN or infinite, nothing changes; the optimizer's step will name the parameter. Parameters
    /// without a gradient are skipped. An infinite `max_norm` only measures.
    ///
    /// # Errors
    /// Errors if `max_norm` is negative or NaN.
    ///
    /// ```
    /// # use tealight::prelude::*;
    /// # let p = Parameter::new(Tensor::new(&[0.0, 0.0], &Device::Cpu)?);
    /// # let parameters = vec![("p".to_string(), p.clone())];
    /// let mut gradients = (p.get() * Tensor::new(&[3.0, 4.0], &Device::Cpu)?)?.sum_all()?.backward()?;
    /// assert_eq!(gradients.clip_grad_norm(1.0, &parameters)?, 5.0);
    /// assert!((gradients.get(&p.get()).unwrap().to_vec1::<f64>()?[0] - 0.6).abs() < 1e-6);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    #[doc(alias = "clip_grad_norm_")]
    pub fn clip_grad_norm(&mut self, max_norm: f64, parameters: &[(String, Parameter)]) -> Result<f64> {
        let leaves = leaves_for("clip_grad_norm", max_norm, parameters)?;
        let mut total = 0.0;
        for leaf in &leaves {
            if let Some(grad) = self.get(leaf) {
                total = f64::hypot(total, l2_norm(grad.array())?);
            }
        }
        let factor = max_norm / (total + 1e-6);
        if total.is_finite() && factor < 1.0 {
            self.change_all(&leaves, |grad| grad * factor)?;
        }
        Ok(total)
    }

    /// Clamps every element of the parameters' gradients to [−max, max].
    ///
    /// # Errors
    /// Errors if `max` is negative or NaN.
    #[doc(alias = "clip_grad_value_")]
    pub fn clip_grad_value(&mut self, max: f64, parameters: &[(String, Parameter)]) -> Result<()> {
        let leaves = leaves_for("clip_grad_value", max, parameters)?;
        // Not every dtype has an infinite bound.
        if max == f64::INFINITY { Ok(()) } else { self.change_all(&leaves, |grad| grad.clamp(-max, max)) }
    }

    /// Replaces all of the gradients or, where `f` fails, none.
    fn change_all(&mut self, leaves: &[Tensor], f: impl Fn(&Tensor) -> Result<Tensor>) -> Result<()> {
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

/// The values of the parameters, each once, if the bound is valid.
fn leaves_for(op: &'static str, max: f64, parameters: &[(String, Parameter)]) -> Result<Vec<Tensor>> {
    if max.is_nan() || max < 0.0 {
        return Err(Error::argument(op, "a bound that is not negative", max));
    }
    Ok(distinct(parameters.to_vec()).into_iter().map(|(_, parameter)| parameter.get()).collect())
}

fn l2_norm(x: &Array) -> Result<f64> {
    if on_cpu(x) {
        return with_float!(x.dtype(), T => Ok(norm::<T>(&elements(&contiguous(x)?)?)));
    }
    let x = super::first_order::flat_on_cpu(x, candle_core::DType::F32)?;
    Ok(norm::<f32>(&elements(&x)?))
}

#[cfg(test)]
mod tests {
    use crate::prelude::*;

    fn gradients(slopes: &[f64]) -> Result<(Vec<(String, Parameter)>, Gradients)> {
        let parameter = Parameter::new(Tensor::zeros(slopes.len(), DType::F64, &Device::Cpu)?);
        let loss = (parameter.get() * Tensor::new(slopes, &Device::Cpu)?)?.sum_all()?;
        // Twice the same one, as tied weights are.
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
            let norm = all.clip_grad_norm(f64::INFINITY, &parameters)?;
            assert!((norm / (5.0 * scale) - 1.0).abs() < 1e-15, "{norm}");
            assert_eq!(slopes(&parameters, &all)?, [3.0 * scale, -4.0 * scale]);
            all.clip_grad_norm(1e-310, &parameters)?;
            assert!(slopes(&parameters, &all)?.iter().all(|x| x.is_finite()));
        }
        for bad in [f64::NAN, f64::INFINITY] {
            let (parameters, mut all) = gradients(&[1.0, bad])?;
            assert!(!all.clip_grad_norm(0.5, &parameters)?.is_finite());
            assert_eq!(slopes(&parameters, &all)?[0], 1.0);
        }
        let (parameters, mut all) = gradients(&[])?;
        assert_eq!(all.clip_grad_norm(1.0, &parameters)?, 0.0);
        assert_eq!(Gradients::default().clip_grad_norm(1.0, &parameters)?, 0.0);
        let error = all.clip_grad_norm(-1.0, &parameters).unwrap_err().to_string();
        assert_eq!(error, "clip_grad_norm: expected a bound that is not negative, got -1");
        assert!(all.clip_grad_value(f64::NAN, &parameters).is_err());
        let (parameters, mut all) = gradients(&[0.0, -7.0, 0.25])?;
        all.clip_grad_value(0.5, &parameters)?;
        assert_eq!(slopes(&parameters, &all)?, [0.0, -0.5, 0.25]);
        Ok(())
    }
}
