//! The linear layer.

use super::{ForwardContext, Layer, Parameter};
use crate::autograd::Tensor;
use crate::error::{Error, Result};
use crate::ops::Rng;
use crate::ops::affine::affine;

/// x·Wᵀ + b; Keras's `Dense`.
///
/// # Shapes
/// (.., inputs) to (.., outputs)
///
/// # Gradient
/// g·W for x, gᵀ·x for W, Σ g over all but the last axis for b
///
/// ```
/// use tealight::prelude::*;
/// let layer = Linear::new(784, 10, &mut Rng::seed(1))?;
/// let x = Tensor::zeros((64, 784), DType::F32, &Device::Cpu)?;
/// assert_eq!(layer.predict(&x)?.dims(), [64, 10]);
/// # Ok::<(), tealight::Error>(())
/// ```
#[doc(alias = "Dense")]
#[derive(Clone, Debug)]
pub struct Linear {
    /// W, (outputs, inputs).
    pub weight: Parameter,
    /// b, (outputs).
    pub bias: Option<Parameter>,
}

impl Linear {
    /// A layer in f32. W and b start uniform in ±1/√inputs, as in PyTorch.
    pub fn new(inputs: usize, outputs: usize, rng: &mut Rng) -> Result<Self> {
        let bound = 1.0 / (inputs.max(1) as f32).sqrt();
        let weight = Parameter::new(Tensor::rand(-bound, bound, (outputs, inputs), rng)?);
        let bias = Parameter::new(Tensor::rand(-bound, bound, outputs, rng)?);
        Ok(Linear { weight, bias: Some(bias) })
    }

    /// Removes b.
    pub fn without_bias(self) -> Self {
        Linear { bias: None, ..self }
    }
}

impl Layer for Linear {
    fn forward(&self, x: &Tensor, _: &mut ForwardContext) -> Result<Tensor> {
        let weight = self.weight.get();
        let &[outputs, inputs] = weight.dims() else {
            return Err(Error::shape("linear", "a weight matrix (outputs, inputs)", &[weight.dims()]));
        };
        if x.dims().last() != Some(&inputs) {
            let expected = format!("inputs of shape [.., {inputs}] for {outputs} outputs");
            return Err(Error::shape("linear", expected, &[x.dims()]));
        }
        match &self.bias {
            Some(bias) => affine(x, &weight, &bias.get()),
            None => x.matmul(&weight.t()?),
        }
    }

    crate::fields!(weight, bias);
}

#[cfg(test)]
mod tests {
    use super::Linear;
    use crate::layer::ForwardContext;
    use crate::prelude::*;

    #[test]
    fn gradients() -> Result<()> {
        let rng = &mut Rng::seed(1);
        let inputs =
            [(4, 3), (2, 3), (2, 1)].map(|dims| Tensor::randn_dtype(0.0, 1.0, dims, DType::F64, rng));
        let [x, weight, bias] = inputs;
        autograd::gradcheck(
            |v| (v[0].matmul(&v[1].t()?)? + &v[2].flatten(0, 1)?)?.powf(3.0),
            &[x?, weight?, bias?],
        )?;
        Ok(())
    }

    #[test]
    fn shapes_names_and_errors() -> Result<()> {
        let layer = Linear::new(3, 2, &mut Rng::seed(1))?;
        let x = Tensor::zeros((5, 4, 3), DType::F32, &Device::Cpu)?;
        assert_eq!(layer.forward(&x, &mut ForwardContext::eval())?.dims(), [5, 4, 2]);
        let names: Vec<String> = layer.parameters().into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["weight", "bias"]);
        assert_eq!(layer.clone().without_bias().parameters().len(), 1);
        let error = layer.predict(&Tensor::zeros((5, 4), DType::F32, &Device::Cpu)?).unwrap_err();
        assert_eq!(error.to_string(), "linear: expected inputs of shape [.., 3] for 2 outputs, got [5, 4]");
        Ok(())
    }
}
