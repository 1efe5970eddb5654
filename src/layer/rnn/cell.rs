//! [`Cell`] and [`RecurrentProjection`]: one step of a recurrent layer.

use crate::autograd::Tensor;
use crate::error::Result;

/// One step of a recurrent layer, whose state is S tensors of shape (n, h); the first of them is the output.
///
/// ```
/// use tealight::layer::{Cell, RecurrentProjection, Recurrent};
/// use tealight::prelude::*;
///
/// /// h′ = W·x + W_h·h
/// #[derive(Clone, Debug, Default)]
/// struct Plain;
///
/// impl Cell<1> for Plain {
///     const NAME: &'static str = "plain";
///     const KIND: &'static str = "Plain";
///     const GATES: usize = 1;
///     const JOINT_BIAS: bool = true;
///     fn step(&self, x: &Tensor, [h]: [Tensor; 1], recurrent: &RecurrentProjection) -> Result<[Tensor; 1]> {
///         Ok([(x + recurrent.gates(&h)?)?])
///     }
/// }
///
/// let layer = Recurrent::<Plain, 1>::new(1, 1, RnnOptions::new().without_bias(), &mut Rng::seed(1))?;
/// for (_, weight) in layer.parameters() {
///     weight.set(&weight.get().ones_like()?)?;
/// }
/// // With weights of 1 it adds up.
/// let y = layer.predict(&Tensor::new(&[[[1_f32], [2.0], [3.0]]], &Device::Cpu)?)?;
/// assert_eq!(y.to_vec3::<f32>()?, [[[1.0], [3.0], [6.0]]]);
/// # Ok::<(), tealight::Error>(())
/// ```
pub trait Cell<const S: usize>: Clone + std::fmt::Debug + Send + Sync {
    /// The name in error messages.
    const NAME: &'static str;
    /// The name of the layer's type.
    const KIND: &'static str;
    /// How many times h numbers the weights make of the input.
    const GATES: usize;
    /// Whether the second bias is added to the input's share, once for all steps.
    const JOINT_BIAS: bool;

    /// The state after a step: `x` is the input's share of the gates, `recurrent` makes the state's.
    ///
    /// # Errors
    /// Those of the operations.
    fn step(&self, x: &Tensor, state: [Tensor; S], recurrent: &RecurrentProjection) -> Result<[Tensor; S]>;
}

/// What a step does with the output of the one before: h·Wᵀ + b.
///
/// ```
/// use tealight::layer::{Cell, RecurrentProjection, Recurrent};
/// use tealight::prelude::*;
/// /// As if every step were the first: the state counts for nothing.
/// #[derive(Clone, Debug, Default)]
/// struct Forgetful;
/// impl Cell<1> for Forgetful {
///     # const NAME: &'static str = "forgetful";
///     # const KIND: &'static str = "Forgetful";
///     # const GATES: usize = 1;
///     # const JOINT_BIAS: bool = true;
///     fn step(&self, x: &Tensor, [h]: [Tensor; 1], recurrent: &RecurrentProjection) -> Result<[Tensor; 1]> {
///         Ok([(x + (recurrent.gates(&h)? * 0.0)?)?.tanh()?])
///     }
/// }
/// let layer = Recurrent::<Forgetful, 1>::new(2, 3, RnnOptions::new(), &mut Rng::seed(1))?;
/// let y = layer.predict(&Tensor::ones((1, 2, 2), DType::F32, &Device::Cpu)?)?;
/// assert_eq!(y.i((0, 0))?, y.i((0, 1))?);
/// # Ok::<(), tealight::Error>(())
/// ```
#[derive(Debug)]
pub struct RecurrentProjection {
    pub(super) weight: Tensor,
    pub(super) bias: Option<Tensor>,
    pub(super) hidden: usize,
}

impl RecurrentProjection {
    /// h·Wᵀ + b, (n, gates · h); b only if the cell does not have it added once for all.
    ///
    /// # Shapes
    /// (n, h) to (n, gates · h)
    ///
    /// # Errors
    /// An output of another shape.
    ///
    /// ```
    /// use tealight::layer::{Cell, RecurrentProjection, Recurrent};
    /// use tealight::prelude::*;
    /// #[derive(Clone, Debug, Default)]
    /// struct Pair;
    /// impl Cell<1> for Pair {
    ///     # const NAME: &'static str = "pair";
    ///     # const KIND: &'static str = "Pair";
    ///     const GATES: usize = 2;
    ///     # const JOINT_BIAS: bool = true;
    ///     fn step(&self, _: &Tensor, [h]: [Tensor; 1], recurrent: &RecurrentProjection) -> Result<[Tensor; 1]> {
    ///         assert_eq!((h.dims(), recurrent.gates(&h)?.dims()), (&[4, 5][..], &[4, 10][..]));
    ///         Ok([h])
    ///     }
    /// }
    /// let layer = Recurrent::<Pair, 1>::new(3, 5, RnnOptions::new(), &mut Rng::seed(1))?;
    /// assert_eq!(layer.predict(&Tensor::ones((4, 7, 3), DType::F32, &Device::Cpu)?)?.dims(), [4, 7, 5]);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn gates(&self, h: &Tensor) -> Result<Tensor> {
        let gates = h.matmul(&self.weight)?;
        match &self.bias {
            Some(bias) => gates + bias,
            None => Ok(gates),
        }
    }

    /// The k-th of all gates, (n, h).
    ///
    /// # Shapes
    /// (n, gates · h) to (n, h)
    ///
    /// # Errors
    /// A gate that there is not.
    ///
    /// ```
    /// use tealight::layer::{Cell, RecurrentProjection, Recurrent};
    /// use tealight::prelude::*;
    /// /// h′ = σ(the first gate) · (the second)
    /// #[derive(Clone, Debug, Default)]
    /// struct Gated;
    /// impl Cell<1> for Gated {
    ///     # const NAME: &'static str = "gated";
    ///     # const KIND: &'static str = "Gated";
    ///     const GATES: usize = 2;
    ///     # const JOINT_BIAS: bool = true;
    ///     fn step(&self, x: &Tensor, [h]: [Tensor; 1], recurrent: &RecurrentProjection) -> Result<[Tensor; 1]> {
    ///         let both = (x + recurrent.gates(&h)?)?;
    ///         Ok([(recurrent.gate(&both, 0)?.sigmoid()? * recurrent.gate(&both, 1)?)?])
    ///     }
    /// }
    /// let layer = Recurrent::<Gated, 1>::new(3, 5, RnnOptions::new(), &mut Rng::seed(1))?;
    /// assert_eq!(layer.predict(&Tensor::ones((4, 7, 3), DType::F32, &Device::Cpu)?)?.dims(), [4, 7, 5]);
    /// # Ok::<(), tealight::Error>(())
    /// ```
    pub fn gate(&self, gates: &Tensor, k: usize) -> Result<Tensor> {
        gates.narrow(1, k.saturating_mul(self.hidden), self.hidden)
    }
}
