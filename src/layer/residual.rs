//! A layer with a way around it.
//!
//! # Shapes
//! The layer's, which must not change the shape.
//!
//! # Formula
//! y = x + f(x)
//!
//! # Gradient
//! g for x, and what f makes of g
//!
//! # Errors
//! Those of the layer; an output of another shape than the input.
//!
//! # Source
//! K. He and others 2015.

use super::{Fields, ForwardContext, Layer};
use crate::autograd::Tensor;
use crate::error::{Error, Result};

/// x + f(x), for any layer f; its parameters have the names that they have in f.
///
/// # Shapes
/// Those of the layer, which must not change the shape.
///
/// ```
/// use tealight::layer::Residual;
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
    /// A way around `layer`.
    ///
    /// ```
    /// use tealight::layer::Residual;
    /// use tealight::prelude::*;
    /// let block = Residual::new(Relu);
    /// assert_eq!(block.predict(&Tensor::new(&[-1.0, 2.0], &Device::Cpu)?)?.to_vec1::<f64>()?, [-1.0, 4.0]);
    /// # Ok::<(), tealight::Error>(())
    /// ```
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
        let x = Tensor::randn(0.0, 1.0, (2, 3), &mut Rng::seed(1))?;
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
