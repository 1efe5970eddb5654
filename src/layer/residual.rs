//! The residual connection.

use super::{Fields, ForwardContext, Layer};
use crate::autograd::Tensor;
use crate::error::{Error, Result};

/// x + f(x) for a layer f. Its parameters have the names that they have in f.
///
/// # Errors
/// Errors if f changes the shape.
///
/// # Source
/// K. He et al. 2015
///
/// ```
/// use tealight::prelude::*;
/// let rng = &mut Rng::seed(1);
/// let block = Residual::new(Sequential::new().push(Linear::new(8, 8, rng)?).push(Relu));
/// let x = Tensor::ones((2, 8), DType::F32, &Device::Cpu)?;
/// assert_eq!(block.predict(&x)?.dims(), [2, 8]);
/// assert_eq!(block.parameters()[0].0, "0.weight");
/// # Ok::<(), tealight::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Residual<L> {
    /// f
    pub layer: L,
}

impl<L: Layer> Residual<L> {
    /// A residual connection around `layer`.
    pub fn new(layer: L) -> Self {
        Residual { layer }
    }
}

impl<L: Layer> Layer for Residual<L> {
    fn forward(&self, x: &Tensor, ctx: &mut ForwardContext) -> Result<Tensor> {
        let y = self.layer.forward(x, ctx)?;
        if y.dims() != x.dims() {
            let expected = "an output of the input's shape";
            return Err(Error::shape("residual", expected, &[x.dims(), y.dims()]));
        }
        x + &y
    }

    fn fields<'a>(&'a self, fields: &mut Fields<'a>) {
        self.layer.fields(fields);
    }
}

#[cfg(test)]
mod tests {
    use super::Residual;
    use crate::layer::gradcheck;
    use crate::prelude::*;

    #[test]
    fn gradients_and_refusals() -> Result<()> {
        let x = Tensor::randn_dtype(0.0, 1.0, (2, 3), DType::F64, &mut Rng::seed(1))?;
        let inner = |outputs: usize| -> Result<Sequential> {
            Ok(Sequential::new().push(Linear::new(3, outputs, &mut Rng::seed(2))?).push(Tanh))
        };
        gradcheck(&Residual::new(inner(3)?), &x, &ForwardContext::train(Rng::seed(3)))?;
        // (2, 1) would broadcast.
        let error = Residual::new(inner(1)?).predict(&x.to_dtype(DType::F32)?).unwrap_err();
        assert_eq!(
            error.to_string(),
            "residual: expected an output of the input's shape, got [2, 3] and [2, 1]"
        );
        Ok(())
    }
}
