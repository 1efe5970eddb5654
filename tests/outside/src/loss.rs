//! A custom pointwise loss is one method.

use tealight::prelude::*;

/// max(0, 1 − t·p)², for targets of −1 and 1.
#[derive(Clone, Debug)]
pub struct SquaredHinge;

impl PointwiseLoss for SquaredHinge {
    const NAME: &'static str = "squared_hinge";

    fn value<R: Real>(&self, prediction: R, target: R) -> R {
        let gap = (R::constant(1.0) - target * prediction).maximum(R::constant(0.0));
        gap * gap
    }
}

#[cfg(test)]
mod tests {
    use super::SquaredHinge;
    use tealight::prelude::*;

    #[test]
    fn prediction_and_target_get_their_gradients() -> Result<()> {
        let prediction = Tensor::new(&[[0.3, -2.0], [1.7, 0.4]], &Device::Cpu)?;
        let target = Tensor::new(&[[1.0, 1.0], [1.0, -1.0]], &Device::Cpu)?;
        let loss = SquaredHinge.loss(&prediction, &target)?.to_scalar::<f64>()?;
        assert!((loss - (0.49 + 9.0 + 0.0 + 1.96) / 4.0).abs() < 1e-15, "{loss}");
        let both = [prediction, target];
        autograd::gradcheck(|x| SquaredHinge.loss(&x[0], &x[1]), &both)?;
        autograd::gradcheck(|x| SquaredHinge.reduction(Reduction::Sum).loss(&x[0], &x[1])?.sqrt(), &both)?;
        Ok(())
    }

    #[test]
    fn shapes_that_differ_are_refused_by_name() -> Result<()> {
        let (p, t) =
            (Tensor::zeros(3, DType::F32, &Device::Cpu)?, Tensor::zeros((3, 1), DType::F32, &Device::Cpu)?);
        let error = SquaredHinge.loss(&p, &t).unwrap_err();
        assert!(error.to_string().starts_with("squared_hinge: "), "{error}");
        Ok(())
    }
}
