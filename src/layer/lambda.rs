//! A function as a layer.

use std::fmt;

use super::{ForwardContext, Layer};
use crate::autograd::Tensor;
use crate::error::Result;

/// A function without parameters as a layer.
///
/// ```
/// use tealight::layer::Lambda;
/// use tealight::prelude::*;
/// let model = Sequential::new().push(Lambda::new(|x| x.transpose(1, 2))).push(Relu);
/// let x = Tensor::zeros((10, 3, 5), DType::F32, &Device::Cpu)?;
/// assert_eq!(model.predict(&x)?.dims(), [10, 5, 3]);
/// # Ok::<(), tealight::Error>(())
/// ```
#[derive(Clone, Copy)]
pub struct Lambda<F>(F);

impl<F: Fn(&Tensor) -> Result<Tensor> + Send + Sync> Lambda<F> {
    /// The layer whose output is `f(x)`.
    pub fn new(f: F) -> Self {
        Lambda(f)
    }
}

impl<F: Fn(&Tensor) -> Result<Tensor> + Send + Sync> Layer for Lambda<F> {
    fn forward(&self, x: &Tensor, _: &mut ForwardContext) -> Result<Tensor> {
        (self.0)(x)
    }

    crate::fields!();
}

impl<F> fmt::Debug for Lambda<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Lambda")
    }
}

#[cfg(test)]
mod tests {
    use super::Lambda;
    use crate::layer::gradcheck;
    use crate::prelude::*;

    #[test]
    fn gradients_and_errors() -> Result<()> {
        let x = Tensor::randn_dtype(0.0, 1.0, (2, 3), DType::F64, &mut Rng::seed(1))?;
        gradcheck(&Lambda::new(|x| x.tanh()? * x), &x, &ForwardContext::eval())?;
        let model = Sequential::new().push(Lambda::new(|x| x.t()));
        let scalar = Tensor::new(1.0, &Device::Cpu)?;
        assert!(model.predict(&scalar).unwrap_err().to_string().starts_with("0: "));
        Ok(())
    }
}
