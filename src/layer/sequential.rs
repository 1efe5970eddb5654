//! Layers in sequence.

use std::fmt;

use super::{Fields, ForwardContext, Layer};
use crate::autograd::Tensor;
use crate::error::Result;

/// The names of the first ten layers: formatting them at each step would cost as much as a small layer.
const NUMBERS: [&str; 10] = ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"];

/// Runs layers one after the other. Their names are their numbers, as in PyTorch, and errors begin with the number.
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
    /// An empty sequence: the identity.
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends a layer; a `Box<dyn Layer>` is one too.
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
