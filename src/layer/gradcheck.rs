//! [`gradcheck`] of a whole layer: by its input and by each of its parameters.

use candle_core::DType;

use super::{Layer, Parameter, Pass};
use crate::autograd::{Check, GradCheck, Tensor};
use crate::error::{Error, Result};

/// Puts the parameters back as they were, also when the check fails.
struct Restore(Vec<(Parameter, Tensor)>);

impl Drop for Restore {
    fn drop(&mut self) {
        for (parameter, value) in self.0.drain(..) {
            parameter.replace(value);
        }
    }
}

/// Checks the gradients of a layer at `x`, by `x` and by each parameter, first and second order, against finite
/// differences in f64: see [`autograd::gradcheck`](crate::autograd::gradcheck).
///
/// The layer is run with a clone of `pass` each time, so that a training pass draws the same random numbers again. Its
/// parameters are f64 meanwhile, and are put back afterwards: nobody else may use the layer in between.
///
/// ```
/// use tealight::prelude::*;
/// let layer = Sequential::new().push(Linear::new(3, 2, &mut Rng::seed(1))?).push(Tanh);
/// let x = Tensor::randn(0.0, 1.0, (4, 3), &mut Rng::seed(2))?;
/// tealight::layer::gradcheck(&layer, &x, &Pass::eval())?;
/// # Ok::<(), tealight::Error>(())
/// ```
///
/// # Errors
/// Those of the layer and of `autograd::gradcheck`; a wrong gradient of a parameter has its name before it.
pub fn gradcheck(layer: &(impl Layer + ?Sized), x: &Tensor, pass: &Pass) -> Result<Check> {
    let mut parameters: Vec<(String, Parameter)> = Vec::new();
    for (name, parameter) in layer.parameters() {
        // A tied weight is one input, and a frozen one is none.
        if !parameter.is_frozen() && !parameters.iter().any(|(_, known)| known.same(&parameter)) {
            parameters.push((name, parameter));
        }
    }
    let mut inputs = vec![x.to_dtype(DType::F64)?.detach()];
    let mut restore = Restore(Vec::new());
    for (_, parameter) in &parameters {
        let value = parameter.get();
        inputs.push(value.to_dtype(DType::F64)?.detach());
        restore.0.push((parameter.clone(), value));
    }
    let run = |inputs: &[Tensor]| {
        for ((_, parameter), value) in parameters.iter().zip(&inputs[1..]) {
            parameter.replace(value.clone());
        }
        layer.forward(&inputs[0], &mut pass.clone())
    };
    GradCheck::new().run(run, &inputs).map_err(|error| match &error {
        Error::GradCheck(mismatch) if mismatch.input > 0 => match parameters.get(mismatch.input - 1) {
            Some((name, _)) => error.within(name.clone()),
            None => error,
        },
        _ => error,
    })
}

#[cfg(test)]
mod tests {
    use crate::layer::{Parts, gradcheck};
    use crate::prelude::*;

    /// x·w with a gradient of w that is wrong by `factor`.
    #[derive(Debug)]
    struct Scaled {
        weight: Parameter,
        factor: f64,
    }

    impl Layer for Scaled {
        fn forward(&self, x: &Tensor, _: &mut Pass) -> Result<Tensor> {
            let factor = self.factor;
            x.tanh()? * self.weight.get().on_gradient(move |g| g * factor)?
        }
        fn parts<'a>(&'a self, parts: &mut Parts<'a>) {
            parts.parameter("weight", &self.weight);
        }
    }

    #[test]
    fn a_wrong_gradient_of_a_parameter_is_found_and_named() -> Result<()> {
        let weight = Parameter::new(Tensor::new(&[0.5_f32, -2.0], &Device::Cpu)?);
        let x = Tensor::new(&[[0.3, 1.0], [-0.7, 0.2]], &Device::Cpu)?;
        let layer = |factor| Sequential::new().push(Relu).push(Scaled { weight: weight.clone(), factor });
        let check = gradcheck(&layer(1.0), &x, &Pass::eval())?;
        assert!(check.first < 1e-9 && check.second < 1e-9);
        let error = gradcheck(&layer(1.0 + 1e-7), &x, &Pass::eval()).unwrap_err();
        assert!(error.to_string().starts_with("1.weight: gradcheck: "), "{error}");
        // The parameter is what it was.
        assert_eq!(weight.get().to_vec1::<f32>()?, [0.5, -2.0]);
        assert!(weight.get().requires_grad());
        Ok(())
    }
}
