//! [`gradcheck`] of a whole layer.

use candle_core::DType;

use super::{ForwardContext, Layer, Parameter, StateEntry};
use crate::autograd::{GradCheck, GradCheckReport, Tensor};
use crate::error::{Error, Result};

/// Puts parameters and buffers back, also when the check fails.
struct Restore(Vec<(StateEntry, Tensor)>);

impl Restore {
    /// Saves all parameters and buffers of the layer, and converts the float ones to f64.
    fn after_widening(layer: &(impl Layer + ?Sized)) -> Result<Self> {
        let mut restore = Restore(Vec::new());
        for (_, entry) in layer.state_dict() {
            let value = match &entry {
                StateEntry::Parameter(parameter) => parameter.leaf(),
                StateEntry::Buffer(buffer) => buffer.get(),
            };
            if value.dtype().is_float() {
                let wide = value.detach().to_dtype(DType::F64)?;
                match &entry {
                    // A tied one is f64 at its second entry; the first entry, restored last, puts back the f32.
                    StateEntry::Parameter(parameter) => drop(parameter.replace(wide.into_parameter())),
                    StateEntry::Buffer(buffer) => buffer.replace(wide),
                }
            }
            restore.0.push((entry, value));
        }
        Ok(restore)
    }
}

impl Drop for Restore {
    fn drop(&mut self) {
        for (entry, value) in self.0.drain(..).rev() {
            match entry {
                StateEntry::Parameter(parameter) => drop(parameter.replace(value)),
                StateEntry::Buffer(buffer) => buffer.replace(value),
            }
        }
    }
}

/// Compares the gradients of a layer at `x` with finite differences in f64: by `x` and by each parameter that is not frozen,
/// first and second order. See [`autograd::gradcheck`](crate::autograd::gradcheck).
///
/// The layer is run with a clone of `ctx` each time, so in training mode it draws the same random numbers. Its parameters and
/// buffers are f64 during the check and restored afterwards; do not use the layer from another thread meanwhile.
///
/// # Errors
/// Errors if a gradient is wrong; the message begins with the name of the parameter.
///
/// ```
/// use tealight::prelude::*;
/// let layer = Sequential::new().push(Linear::new(3, 2, &mut Rng::seed(1))?).push(Tanh);
/// let x = Tensor::randn(0.0, 1.0, (4, 3), &mut Rng::seed(2))?;
/// let check = tealight::layer::gradcheck(&layer, &x, &ForwardContext::eval())?;
/// assert!(check.first < 1e-9 && check.second.unwrap() < 1e-9);
/// # Ok::<(), tealight::Error>(())
/// ```
pub fn gradcheck(layer: &(impl Layer + ?Sized), x: &Tensor, ctx: &ForwardContext) -> Result<GradCheckReport> {
    let mut parameters: Vec<(String, Parameter)> = Vec::new();
    for (name, parameter) in layer.parameters() {
        // A tied weight counts once, and a frozen one is a constant.
        if !parameter.is_frozen() && !parameters.iter().any(|(_, known)| known.ptr_eq(&parameter)) {
            parameters.push((name, parameter));
        }
    }
    let mut inputs = vec![x.to_dtype(DType::F64)?.detach()];
    let _restore = Restore::after_widening(layer)?;
    inputs.extend(parameters.iter().map(|(_, parameter)| parameter.get().detach()));
    let run = |inputs: &[Tensor]| {
        for ((_, parameter), value) in parameters.iter().zip(&inputs[1..]) {
            parameter.replace(value.clone());
        }
        layer.forward(&inputs[0], &mut ctx.clone())
    };
    GradCheck::new().run(run, &inputs).map_err(|error| match &error {
        Error::GradCheck(mismatch) if mismatch.input > 0 => {
            let (name, _) = &parameters[mismatch.input - 1];
            error.context(name.clone())
        }
        _ => error,
    })
}

#[cfg(test)]
mod tests {
    use crate::layer::{Fields, gradcheck};
    use crate::prelude::*;

    /// x·w with a gradient of w that is wrong by `factor`.
    #[derive(Debug)]
    struct Scaled {
        weight: Parameter,
        factor: f64,
    }

    impl Layer for Scaled {
        fn forward(&self, x: &Tensor, _: &mut ForwardContext) -> Result<Tensor> {
            let factor = self.factor;
            x.tanh()? * self.weight.get().register_hook(move |g| g * factor)?
        }
        fn fields<'a>(&'a self, fields: &mut Fields<'a>) {
            fields.parameter("weight", &self.weight);
        }
    }

    #[test]
    fn a_wrong_gradient_of_a_parameter_is_found_and_named() -> Result<()> {
        let weight = Parameter::new(Tensor::new(&[0.5_f32, -2.0], &Device::Cpu)?);
        let x = Tensor::new(&[[0.3, 1.0], [-0.7, 0.2]], &Device::Cpu)?;
        let layer = |factor| Sequential::new().push(Relu).push(Scaled { weight: weight.clone(), factor });
        let check = gradcheck(&layer(1.0), &x, &ForwardContext::eval())?;
        assert!(check.first < 1e-9 && check.second.unwrap() < 1e-9);
        let error = gradcheck(&layer(1.0 + 1e-7), &x, &ForwardContext::eval()).unwrap_err();
        assert!(error.to_string().starts_with("1.weight: gradcheck: "), "{error}");
        // The parameter is what it was.
        assert_eq!(weight.get().to_vec1::<f32>()?, [0.5, -2.0]);
        assert!(weight.get().requires_grad());
        Ok(())
    }

    #[test]
    fn frozen_parameters_and_buffers_are_restored() -> Result<()> {
        let rng = &mut Rng::seed(1);
        let tied = Linear::new(3, 3, rng)?;
        let model = Sequential::new().push(tied.clone()).push(BatchNorm1d::new(3)?).push(tied);
        model.freeze("1.*")?;
        let state = || {
            model.state_dict().into_iter().map(|(_, entry)| format!("{:?}", entry.get())).collect::<Vec<_>>()
        };
        let before = state();
        gradcheck(
            &model,
            &Tensor::randn_dtype(0.0, 1.0, (5, 3), DType::F64, rng)?,
            &ForwardContext::train(Rng::seed(2)),
        )?;
        assert_eq!(state(), before);
        assert!(model.parameters()[0].1.get().requires_grad());
        Ok(())
    }
}
