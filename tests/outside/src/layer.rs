//! A custom layer, with parameters and a layer inside.

use tealight::prelude::*;

/// x + scale · tanh(inner(x))
pub struct Residual {
    pub inner: Linear,
    pub scale: Parameter,
}

impl Residual {
    /// For `d` features, with a scale of 0.5 for each.
    pub fn new(d: usize, rng: &mut Rng) -> Result<Self> {
        let scale = Parameter::new((Tensor::ones(d, DType::F32, &Device::Cpu)? * 0.5)?);
        Ok(Residual { inner: Linear::new(d, d, rng)?, scale })
    }
}

impl Layer for Residual {
    fn forward(&self, x: &Tensor, ctx: &mut ForwardContext) -> Result<Tensor> {
        let inner = ctx.call("inner", &self.inner, x)?;
        x + (inner.tanh()? * &self.scale.get())?
    }

    tealight::fields!(scale, inner);
}

#[cfg(test)]
mod tests {
    use super::Residual;
    use tealight::layer::gradcheck;
    use tealight::prelude::*;

    #[test]
    fn every_parameter_passes_gradcheck() -> Result<()> {
        let layer = Residual::new(3, &mut Rng::seed(7))?;
        let x = Tensor::randn_dtype(0.0, 1.0, (2, 3), DType::F64, &mut Rng::seed(8))?;
        gradcheck(&layer, &x, &ForwardContext::eval())?;
        Ok(())
    }

    #[test]
    fn its_parts_have_names() -> Result<()> {
        let rng = &mut Rng::seed(1);
        let model = Sequential::new().push(Residual::new(4, rng)?).push(Relu);
        let names: Vec<String> = model.parameters().into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["0.scale", "0.inner.weight", "0.inner.bias"]);
        let error = model.predict(&Tensor::zeros((2, 3), DType::F32, &Device::Cpu)?).unwrap_err();
        assert!(error.to_string().starts_with("0.inner: linear: expected"), "{error}");
        Ok(())
    }
}
