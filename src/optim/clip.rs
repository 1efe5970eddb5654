//! Gradient clipping.

use candle_core::DType;

use super::distinct;
use crate::autograd::array::{contiguous, elements, on_cpu, with_float};
use crate::autograd::{Array, Gradients, Tensor, no_grad};
use crate::error::{Error, Result};
use crate::kernel::{self, optim::norm};
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
        self.clip("clip_grad_norm", 2.0, max_norm, parameters)
    }

    /// [`clip_grad_norm`](Gradients::clip_grad_norm) with the p-norm (Σ |g|ᵖ)^(1/p), or the largest |g| for p = ∞.
    ///
    /// # Errors
    /// Errors if `p` is not above 0, or `max_norm` is negative or NaN.
    ///
    /// ```
    /// # use tealight::prelude::*;
    /// # let p = Parameter::new(Tensor::new(&[0.0, 0.0], &Device::Cpu)?);
    /// # let parameters = vec![("p".to_string(), p.clone())];
    /// let mut gradients = (p.get() * Tensor::new(&[3.0, -4.0], &Device::Cpu)?)?.sum_all()?.backward()?;
    /// assert_eq!(gradients.clip_grad_p_norm(f64::INFINITY, 8.0, &parameters)?, 4.0);
    /// assert_eq!(gradients.clip_grad_p_norm(1.0, 8.0, &parameters)?, 7.0);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    #[doc(alias = "norm_type")]
    pub fn clip_grad_p_norm(
        &mut self,
        p: f64,
        max_norm: f64,
        parameters: &[(String, Parameter)],
    ) -> Result<f64> {
        self.clip("clip_grad_p_norm", p, max_norm, parameters)
    }

    fn clip(
        &mut self,
        op: &'static str,
        p: f64,
        max_norm: f64,
        parameters: &[(String, Parameter)],
    ) -> Result<f64> {
        super::check(op, p > 0.0, "p", "> 0", p)?;
        let leaves = leaves_for(op, max_norm, parameters)?;
        let norm = |grad| if p == 2.0 { l2_norm(grad) } else { p_norm(&Tensor::from(grad.clone()), p) };
        let gradients = leaves.iter().filter_map(|leaf| self.get(leaf));
        let norms = gradients.map(|grad| norm(grad.array())).collect::<Result<Vec<_>>>()?;
        let (total, factor) = total_norm_and_factor(&norms, p, max_norm);
        if let Some(factor) = factor {
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

/// The norm of all gradients from that of each, and by what they are multiplied if it is too large.
pub(crate) fn total_norm_and_factor(norms: &[f64], p: f64, max_norm: f64) -> (f64, Option<f64>) {
    let total = kernel::moments::norm(norms, p);
    let factor = max_norm / (total + 1e-6);
    (total, (total.is_finite() && factor < 1.0).then_some(factor))
}

fn p_norm(x: &Tensor, p: f64) -> Result<f64> {
    no_grad(|| x.to_dtype(DType::F64)?.norm_all(p)?.to_scalar())
}

fn l2_norm(x: &Array) -> Result<f64> {
    if on_cpu(x) {
        return with_float!(x.dtype(), T => Ok(norm::<T>(&elements(&contiguous(x)?)?)));
    }
    let x = super::first_order::flat_on_cpu(x, DType::F32)?;
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
        // torch.nn.utils.clip_grad_norm_ returns these.
        let (parameters, mut all) = gradients(&[3.0, -4.0, 12.0])?;
        let norms = [(0.5, 51.784_609_690_826_53), (1.0, 19.0), (2.0, 13.0), (3.0, 12.207_054_953_820_636)];
        for (p, norm) in norms.into_iter().chain([(f64::INFINITY, 12.0)]) {
            let got = all.clip_grad_p_norm(p, f64::INFINITY, &parameters)?;
            assert!((got - norm).abs() < 1e-13 * norm, "{p}: {got}");
        }
        all.clip_grad_p_norm(1.0, 9.5, &parameters)?;
        assert!((slopes(&parameters, &all)?[2] - 6.0).abs() < 1e-6);
        for p in [0.0, -1.0, f64::NAN] {
            assert!(all.clip_grad_p_norm(p, 1.0, &parameters).is_err());
        }
        for bad in [f64::NAN, f64::INFINITY] {
            let (parameters, mut all) = gradients(&[1.0, bad])?;
            for p in [1.0, 3.0, f64::INFINITY] {
                assert!(!all.clip_grad_p_norm(p, 0.5, &parameters)?.is_finite());
            }
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
