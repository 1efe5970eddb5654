//! [`RecurrentCell`]: one step of a recurrent layer.

use crate::autograd::{OnnxAttribute, Tensor};
use crate::error::Result;

/// One step of a recurrent layer. The state is S tensors of shape (n, hidden); the first one is the output.
///
/// ```
/// use tealight::layer::{Recurrent, RecurrentCell, RecurrentMap};
/// use tealight::prelude::*;
/// /// h′ = σ(first gate) · (second gate)
/// #[derive(Clone, Debug, Default)]
/// struct GatedCell;
/// impl RecurrentCell<1> for GatedCell {
///     # const NAME: &'static str = "gated";
///     # const KIND: &'static str = "Gated";
///     # const JOINT_BIAS: bool = true;
///     const GATES: usize = 2;
///     fn step(&self, x: &Tensor, [h]: [Tensor; 1], recurrent: &RecurrentMap) -> Result<[Tensor; 1]> {
///         let both = (x + recurrent.gates(&h)?)?;
///         Ok([(recurrent.gate(&both, 0)?.sigmoid()? * recurrent.gate(&both, 1)?)?])
///     }
/// }
/// # let layer = Recurrent::<GatedCell, 1>::new(3, 5, RnnOptions::new(), &mut Rng::seed(1))?;
/// # assert_eq!(layer.predict(&Tensor::ones((4, 7, 3), DType::F32, &Device::Cpu)?)?.dims(), [4, 7, 5]);
/// # Ok::<(), tealight::Error>(())
/// ```
pub trait RecurrentCell<const S: usize>: Clone + std::fmt::Debug + Send + Sync + 'static {
    /// The layer's name in error messages.
    const NAME: &'static str;
    /// The name of the layer's type in summaries.
    const KIND: &'static str;
    /// The number of gates: W·x has gates · hidden elements.
    const GATES: usize;
    /// Whether both biases are added to the product of the input, once for all steps, and none in
    /// [`RecurrentMap::gates`].
    const JOINT_BIAS: bool;

    /// The next state, from the gates W·x + b of the input and the state.
    fn step(&self, x: &Tensor, state: [Tensor; S], recurrent: &RecurrentMap) -> Result<[Tensor; S]>;

    /// The loop that computes `step` of f32 and f64 in main memory. Default: none.
    #[doc(hidden)]
    fn kernel(&self) -> Option<crate::kernel::recurrent::Cell> {
        None
    }

    /// The ONNX operator that runs this cell over a sequence in one direction or two. Default: none; its steps are exported one by one.
    fn onnx(&self, _directions: usize) -> Option<OnnxCell> {
        None
    }
}

/// A recurrent operator of ONNX; see [`RecurrentCell::onnx`].
#[derive(Clone, Debug)]
pub struct OnnxCell {
    /// Its name: `LSTM`.
    pub operator: &'static str,
    /// The numbers of our gates, in the order of the operator.
    pub gates: &'static [usize],
    /// What is not as the operator has it by default.
    pub attributes: Vec<(&'static str, OnnxAttribute)>,
}

/// The linear map of the previous output in a step, W_h·h + b_h.
#[derive(Debug)]
pub struct RecurrentMap {
    pub(super) weight: Tensor,
    pub(super) bias: Option<Tensor>,
    pub(super) hidden: usize,
}

impl RecurrentMap {
    /// W_h·h + b_h, without b_h if [`JOINT_BIAS`](RecurrentCell::JOINT_BIAS).
    ///
    /// # Shapes
    /// (n, hidden) to (n, gates · hidden)
    pub fn gates(&self, h: &Tensor) -> Result<Tensor> {
        let gates = h.matmul(&self.weight)?;
        match &self.bias {
            Some(bias) => gates + bias,
            None => Ok(gates),
        }
    }

    /// The gate number `k` of `gates`.
    ///
    /// # Shapes
    /// (n, gates · hidden) to (n, hidden)
    pub fn gate(&self, gates: &Tensor, k: usize) -> Result<Tensor> {
        gates.narrow(1, k.saturating_mul(self.hidden), self.hidden)
    }
}
