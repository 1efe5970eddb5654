//! A layer of one's own, with parameters and a layer inside.

use tealight::layer::{Parts, Pass};
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
    fn forward(&self, x: &Tensor, pass: &mut Pass) -> Result<Tensor> {
        let inner = self.inner.forward(x, pass).map_err(|error| error.within("inner"))?;
        x + (inner.tanh()? * &self.scale.get())?
    }

    fn parts<'a>(&'a self, parts: &mut Parts<'a>) {
        parts.parameter("scale", &self.scale).layer("inner", &self.inner);
    }
}

#[cfg(test)]
mod tests {
    use super::Residual;
    use tealight::layer::Pass;
    use tealight::prelude::*;

    fn f64(x: Result<Tensor>) -> Result<Tensor> {
        x?.to_dtype(DType::F64)
    }

    #[test]
    fn every_parameter_passes_gradcheck() -> Result<()> {
        let rng = &mut Rng::seed(7);
        let inputs = [
            f64(Tensor::randn(0.0, 1.0, (2, 3), rng))?,
            f64(Tensor::randn(0.0, 1.0, 3, rng))?,
            f64(Tensor::randn(0.0, 1.0, (3, 3), rng))?,
            f64(Tensor::randn(0.0, 1.0, 3, rng))?,
        ];
        // A parameter is a leaf of its own, so the layer is checked at its input, and its formula at the rest.
        let handle = |x: &Tensor| Parameter::new(x.detach());
        let inner = Linear { weight: handle(&inputs[2]), bias: Some(handle(&inputs[3])) };
        let layer = Residual { inner, scale: handle(&inputs[1]) };
        autograd::gradcheck(|x| layer.forward(&x[0], &mut Pass::eval()), &inputs[..1])?;
        let formula = |x: &[Tensor]| &x[0] + ((x[0].matmul(&x[2].t()?)? + &x[3])?.tanh()? * &x[1])?;
        autograd::gradcheck(formula, &inputs)?;

        // And what the layer gives its parameters is what the formula gives.
        let leaves = inputs.each_ref().map(|x| Tensor::parameter(x.array().clone()));
        let expected = formula(&leaves)?.powf(2.0)?.sum_all()?.backward()?;
        let given = layer.forward(&inputs[0], &mut Pass::eval())?.powf(2.0)?.sum_all()?.backward()?;
        for ((name, parameter), leaf) in layer.parameters().iter().zip(&leaves[1..]) {
            let difference = (given.get(&parameter.get()).expect(name) - expected.get(leaf).expect(name))?;
            let worst = difference.abs()?.sum_all()?.to_scalar::<f64>()?;
            assert!(worst < 1e-12, "{name}: {worst:e}");
        }
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
