//! Layers one after the other.
//!
//! # Errors
//! Those of the layers, with the number of the layer put before them.

use std::fmt;

use super::{Fields, ForwardContext, Layer};
use crate::autograd::Tensor;
use crate::error::Result;

/// The names of the first layers: to make one for each step costs as much as a small layer.
const NUMBERS: [&str; 10] = ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"];

/// Layers one after the other; their names are their numbers, as in PyTorch.
///
/// # Shapes
/// What the first layer takes to what the last one gives.
///
/// ```
/// use tealight::prelude::*;
/// let rng = &mut Rng::seed(1);
/// let model = Sequential::new().push(Linear::new(4, 16, rng)?).push(Relu).push(Linear::new(16, 3, rng)?);
/// let names: Vec<String> = model.parameters().into_iter().map(|(name, _)| name).collect();
/// assert_eq!(names, ["0.weight", "0.bias", "2.weight", "2.bias"]);
/// let error = model.predict(&Tensor::zeros((2, 5), DType::F32, &Device::Cpu)?).unwrap_err();
/// assert_eq!(error.to_string(), "0: linear: expected inputs of shape [.., 4] for 16 outputs, got [2, 5]");
/// # Ok::<(), tealight::Error>(())
/// ```
#[derive(Default)]
pub struct Sequential {
    layers: Vec<Box<dyn Layer>>,
}

impl Sequential {
    /// No layers yet: the identity.
    ///
    /// ```
    /// use tealight::prelude::*;
    /// let x = Tensor::new(&[1.0, 2.0], &Device::Cpu)?;
    /// assert_eq!(Sequential::new().predict(&x)?, x);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn new() -> Self {
        Self::default()
    }

    /// With one more layer.
    ///
    /// ```
    /// use tealight::layer::Lambda;
    /// use tealight::prelude::*;
    /// let model = Sequential::new().push(Lambda::new(|x| x - 1.0)).push(Relu);
    /// assert_eq!(model.predict(&Tensor::new(&[0.5, 3.0], &Device::Cpu)?)?.to_vec1::<f64>()?, [0.0, 2.0]);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    #[doc(alias = "append")]
    #[must_use]
    pub fn push(mut self, layer: impl Layer + 'static) -> Self {
        self.layers.push(Box::new(layer));
        self
    }
}

impl Layer for Sequential {
    fn forward(&self, x: &Tensor, ctx: &mut ForwardContext) -> Result<Tensor> {
        let mut x = x.clone();
        for (i, layer) in self.layers.iter().enumerate() {
            x = match NUMBERS.get(i) {
                Some(name) => ctx.call(name, layer.as_ref(), &x)?,
                None => ctx.call(&i.to_string(), layer.as_ref(), &x)?,
            };
        }
        Ok(x)
    }

    fn fields<'a>(&'a self, fields: &mut Fields<'a>) {
        for (i, layer) in self.layers.iter().enumerate() {
            fields.layer(&i.to_string(), layer.as_ref());
        }
    }
}

impl fmt::Debug for Sequential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<String> = self.parameters().into_iter().map(|(name, _)| name).collect();
        write!(f, "Sequential({} layers, parameters {})", self.layers.len(), names.join(", "))
    }
}
