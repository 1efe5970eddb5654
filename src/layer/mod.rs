//! Layers: what models are made of.
//!
//! A model is plain data, a struct of layers or a [`Sequential`]; [`parts`](Layer::parts) is the only list a layer
//! writes, and from it come its parameters and their names.

mod flatten;
mod gradcheck;
mod linear;
mod parameter;
mod parts;
mod pass;
mod sequential;
mod softmax;

pub use flatten::Flatten;
pub use gradcheck::gradcheck;
pub use linear::Linear;
pub use parameter::Parameter;
pub use parts::Parts;
pub use pass::Pass;
pub use sequential::Sequential;
pub use softmax::Softmax;

use crate::activation::Activation;
use crate::autograd::{Tensor, no_grad};
use crate::error::Result;
use crate::normalize::Normalize;
use crate::normalize::{NormalizeRows, Standardize};

/// A function of a tensor with parameters that can be learned.
///
/// ```
/// use tealight::prelude::*;
///
/// struct Scale { factor: Parameter }
/// impl Layer for Scale {
///     fn forward(&self, x: &Tensor, _: &mut Pass) -> Result<Tensor> { x * &self.factor.get() }
///     fn parts<'a>(&'a self, parts: &mut Parts<'a>) { parts.parameter("factor", &self.factor); }
/// }
///
/// let layer = Scale { factor: Parameter::new(Tensor::new(3.0, &Device::Cpu)?) };
/// assert_eq!(layer.predict(&Tensor::new(&[1.0, 2.0], &Device::Cpu)?)?.to_vec1::<f64>()?, [3.0, 6.0]);
/// assert_eq!(layer.parameters()[0].0, "factor");
/// # Ok::<(), tealight::Error>(())
/// ```
pub trait Layer: Send + Sync {
    /// The output for `x`.
    ///
    /// # Errors
    /// Inputs that the layer was not made for.
    fn forward(&self, x: &Tensor, pass: &mut Pass) -> Result<Tensor>;

    /// Names the layer's parameters and inner layers, in order.
    fn parts<'a>(&'a self, parts: &mut Parts<'a>);

    /// The output for `x` as when the model is used: an evaluating [`Pass`], and no history.
    ///
    /// # Errors
    /// Those of `forward`.
    fn predict(&self, x: &Tensor) -> Result<Tensor> {
        no_grad(|| self.forward(x, &mut Pass::eval()))
    }

    /// Every parameter with its full name, such as `0.weight`, in the order of [`parts`](Layer::parts). The handles are
    /// shared: setting one changes the model.
    fn parameters(&self) -> Vec<(String, Parameter)> {
        let mut parts = Parts::default();
        self.parts(&mut parts);
        parts.into_parameters()
    }
}

impl<A: Activation> Layer for A {
    fn forward(&self, x: &Tensor, _: &mut Pass) -> Result<Tensor> {
        self.apply(x)
    }

    fn parts<'a>(&'a self, _: &mut Parts<'a>) {}
}

macro_rules! normalizers {
    ($($t:ty)*) => {$(
        impl Layer for $t {
            fn forward(&self, x: &Tensor, _: &mut Pass) -> Result<Tensor> {
                self.normalize(x)
            }
            fn parts<'a>(&'a self, _: &mut Parts<'a>) {}
        }
    )*};
}
normalizers!(NormalizeRows Standardize);
